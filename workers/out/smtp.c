/*
 * Outgoing mail over SMTP: what a mail is for libcurl, and what became of it.
 *
 * libcurl has one code for most refusals.  What the server said to which
 * command is seen where it is written and read (smtp_overhear), and judged by
 * common/smtp_reply.h.
 */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "smtp.h"
#include "../trace/trace.h"

#define SMTP_ADDRESS_MAX  320
#define SMTP_LINE_MAX     160

typedef struct smtp_ask_s  smtp_ask_t;

typedef struct {
    worker_io_call_t       io;
    smtp_ask_t            *of;
    const worker_conf_t   *conf;
    const worker_mail_t   *mail;
    worker_mail_answer_t  *answer;
    char                   url[300];
    char                   from[SMTP_ADDRESS_MAX + 3];
    char                   to[SMTP_ADDRESS_MAX + 3];
    struct curl_slist     *rcpt;
    struct curl_slist     *headers;
    curl_mime             *mime;
    travel_smtp_stage_e    stage;
    bool                   over;         /* all that is said now is goodbye */
    char                   line[SMTP_LINE_MAX];    /* of the server, the last */
    travel_trace_t         trace;
    uint64_t               start;
    uint64_t               end;
} smtp_message_t;

struct smtp_ask_s {
    worker_ask_t           ask;
    const worker_mail_t   *mails;        /* borrowed, so below */
    worker_mail_answer_t  *answers;
    long                   patience_ms;
    const _Atomic bool    *cancel;
    _Atomic size_t         left;         /* without an answer; and one, while
                                            they are being sent */
    size_t                 n;
    smtp_message_t         messages[];
};


/* What goes into an envelope or header must not open a new line, and an
 * address has neither blanks nor angle brackets (RFC 5321 allows quoted ones;
 * we do not send to those). */
static bool
smtp_address_good(const char *address)
{
    size_t       n;
    const char  *at;

    n = strlen(address);
    at = strrchr(address, '@');

    if (at == NULL || at == address || at[1] == '\0' || n > SMTP_ADDRESS_MAX) {
        return false;
    }

    for ( ; *address != '\0'; address++) {
        if ((uint8_t) *address <= ' ' || *address == 0x7f
            || strchr("<>()\",;:\\", *address) != NULL)
        {
            return false;
        }
    }

    return true;
}


static bool
smtp_header(smtp_message_t *m, const char *name, const char *value)
{
    char                line[1200];
    struct curl_slist  *more;

    if (strpbrk(value, "\r\n") != NULL
        || (size_t) snprintf(line, sizeof(line), "%s: %s", name, value)
           >= sizeof(line))
    {
        return false;
    }

    more = curl_slist_append(m->headers, line);

    if (more == NULL) {
        return false;
    }

    m->headers = more;
    return true;
}


/* RFC 2047: UTF-8 in encoded words of at most 45 bytes each, cut between
 * characters; plain ASCII goes as it is. */
static bool
smtp_subject(smtp_message_t *m, const char *text)
{
    char         value[1024];
    size_t       i, n, len, out;
    const char  *p;
    uint32_t     v;

    static const char  b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (p = text; *p != '\0' && (uint8_t) *p < 0x80; p++) { /* void */ }

    if (*p == '\0') {
        return smtp_header(m, "Subject", text);
    }

    out = 0;

    for (len = strlen(text); len > 0; text += n, len -= n) {
        n = len < 45 ? len : 45;

        while (n < len && n > 1 && ((uint8_t) text[n] & 0xc0) == 0x80) {
            n--;
        }

        if (out + 12 + (n + 2) / 3 * 4 + 3 > sizeof(value)) {
            break;
        }

        out += (size_t) sprintf(value + out, "%s=?UTF-8?B?",
                                out > 0 ? " " : "");

        for (i = 0; i < n; i += 3) {
            v = (uint32_t) (uint8_t) text[i] << 16
                | (i + 1 < n ? (uint32_t) (uint8_t) text[i + 1] << 8 : 0)
                | (i + 2 < n ? (uint32_t) (uint8_t) text[i + 2] : 0);
            value[out++] = b64[v >> 18];
            value[out++] = b64[v >> 12 & 63];
            value[out++] = i + 1 < n ? b64[v >> 6 & 63] : '=';
            value[out++] = i + 2 < n ? b64[v & 63] : '=';
        }

        out += (size_t) sprintf(value + out, "?=");
    }

    return smtp_header(m, "Subject", value);
}


static bool
smtp_date(smtp_message_t *m)
{
    char        value[64];
    time_t      now;
    struct tm   tm;

    static const char  *days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri",
                                   "Sat" };
    static const char  *months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov",
                                     "Dec" };

    now = time(NULL);
    gmtime_r(&now, &tm);
    snprintf(value, sizeof(value), "%s, %d %s %d %02d:%02d:%02d +0000",
             days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);

    return smtp_header(m, "Date", value);
}


static bool
smtp_headers(smtp_message_t *m, const worker_conf_t *conf,
    const worker_mail_t *mail)
{
    char  id[256], tp[TRAVEL_TRACEPARENT_LEN + 1];

    snprintf(id, sizeof(id), "<%s>", mail->message_id);
    travel_traceparent_format(tp, &m->trace);
    tp[TRAVEL_TRACEPARENT_LEN] = '\0';

    return smtp_date(m)
           && smtp_header(m, "From", conf->smtp_from)
           && smtp_header(m, "To", mail->to)
           && smtp_subject(m, mail->subject)
           && smtp_header(m, "Message-ID", id)
           && smtp_header(m, "Auto-Submitted", "auto-generated")
           && (!worker_trace_valid(mail->trace)
               || smtp_header(m, "traceparent", tp));
}


static bool
smtp_part(curl_mime *mime, const char *text, const char *type)
{
    curl_mimepart  *part;

    part = curl_mime_addpart(mime);

    return part != NULL
           && curl_mime_data(part, text, CURL_ZERO_TERMINATED) == CURLE_OK
           && curl_mime_type(part, type) == CURLE_OK
           && curl_mime_encoder(part, "quoted-printable") == CURLE_OK;
}


/* multipart/mixed is libcurl's top level; the alternatives go inside it. */
static bool
smtp_body(CURL *easy, smtp_message_t *m, const worker_mail_t *mail)
{
    curl_mime          *alternatives;
    curl_mimepart      *part;
    struct curl_slist  *slist;

    m->mime = curl_mime_init(easy);

    if (m->mime == NULL) {
        return false;
    }

    if (mail->html == NULL) {
        return smtp_part(m->mime, mail->text, "text/plain; charset=utf-8");
    }

    alternatives = curl_mime_init(easy);
    part = curl_mime_addpart(m->mime);

    if (alternatives == NULL || part == NULL
        || !smtp_part(alternatives, mail->text, "text/plain; charset=utf-8")
        || !smtp_part(alternatives, mail->html, "text/html; charset=utf-8")
        || curl_mime_subparts(part, alternatives) != CURLE_OK)
    {
        curl_mime_free(alternatives);
        return false;
    }

    curl_mime_type(part, "multipart/alternative");
    slist = curl_slist_append(NULL, "Content-Disposition: inline");
    curl_mime_headers(part, slist, 1);
    return true;
}


/* libcurl's own account of the session: commands go out, lines come in. */
static int
smtp_overhear(CURL *easy, curl_infotype type, char *data, size_t len,
    void *ctx)
{
    size_t           n;
    smtp_message_t  *m = ctx;

    (void) easy;

    if (type == CURLINFO_HEADER_OUT) {
        if (len >= 5 && strncasecmp(data, "RCPT ", 5) == 0) {
            m->stage = TRAVEL_SMTP_RCPT;

        } else if (len >= 4 && strncasecmp(data, "DATA", 4) == 0) {
            m->stage = TRAVEL_SMTP_DATA;

        } else if (len >= 4 && strncasecmp(data, "QUIT", 4) == 0) {
            m->over = true;
        }

    } else if (type == CURLINFO_HEADER_IN && !m->over) {
        n = len < sizeof(m->line) - 1 ? len : sizeof(m->line) - 1;
        memcpy(m->line, data, n);
        m->line[n] = '\0';
        m->line[strcspn(m->line, "\r\n")] = '\0';
    }

    return 0;
}


/* "Name <address>" or an address, as the envelope has it. */
static void
smtp_sender(smtp_message_t *m)
{
    const char  *from, *end;

    from = strchr(m->conf->smtp_from, '<');
    end = from != NULL ? strchr(from, '>') : NULL;

    if (end != NULL) {
        snprintf(m->from, sizeof(m->from), "%.*s", (int) (end - from + 1),
                 from);
    } else {
        snprintf(m->from, sizeof(m->from), "<%.320s>", m->conf->smtp_from);
    }
}


static void
smtp_server(const smtp_message_t *m, CURL *easy)
{
    const worker_conf_t  *conf;

    conf = m->conf;

    curl_easy_setopt(easy, CURLOPT_URL, m->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_USE_SSL,
                     conf->smtp_tls != WORKER_TLS_OFF
                     ? (long) CURLUSESSL_ALL : (long) CURLUSESSL_NONE);

    if (conf->smtp_ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, conf->smtp_ca_file);
    }

    if (conf->smtp_user != NULL) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, conf->smtp_user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD,
                         conf->smtp_password != NULL ? conf->smtp_password
                                                     : "");
    }
}


static bool
smtp_prepare(worker_io_call_t *io, CURL *easy)
{
    smtp_message_t  *m = io->ctx;

    smtp_sender(m);
    snprintf(m->to, sizeof(m->to), "<%.320s>", m->mail->to);
    snprintf(m->url, sizeof(m->url), "%s://%.255s:%u/travel.local",
             m->conf->smtp_tls == WORKER_TLS_IMPLICIT ? "smtps" : "smtp",
             m->conf->smtp_host, m->conf->smtp_port);
    m->rcpt = curl_slist_append(NULL, m->to);

    if (m->rcpt == NULL || !smtp_headers(m, m->conf, m->mail)
        || !smtp_body(easy, m, m->mail))
    {
        return false;
    }

    smtp_server(m, easy);
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, m->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, m->rcpt);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, m->headers);
    curl_easy_setopt(easy, CURLOPT_MIMEPOST, m->mime);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, smtp_overhear);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, m);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);

    return true;
}


/* The server is well when it had an opinion about the mail, whichever. */
static bool
smtp_judge(worker_io_call_t *io, CURL *easy, CURLcode code)
{
    smtp_message_t       *m = io->ctx;
    travel_smtp_reply_t   reply;

    (void) easy;
    m->end = worker_trace_now();

    if (travel_smtp_reply_parse(&reply, (travel_str_t) {
                                m->line, strlen(m->line) }) == TRAVEL_OK)
    {
        m->answer->status = reply.code;
    } else {
        reply.code = 0;
    }

    if (code == CURLE_OK) {
        m->answer->bounce = TRAVEL_SMTP_ACCEPTED;
        return true;
    }

    m->answer->bounce = reply.code >= 400
                        ? travel_smtp_judge(&reply, m->stage)
                        : TRAVEL_SMTP_SOFT;

    return reply.code >= 400 && reply.code != 421
           && m->stage != TRAVEL_SMTP_SESSION;
}


static void
smtp_emit(const smtp_message_t *m)
{
    char                         type[16];
    size_t                       n;
    travel_span_t                span;
    travel_attr_t                attrs[7];
    const worker_mail_answer_t  *answer;

    n = 0;
    answer = m->answer;
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("network.protocol.name"),
        TRAVEL_ATTR_STRING, { .s = TRAVEL_STR("smtp") } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("server.address"),
        TRAVEL_ATTR_STRING,
        { .s = { m->conf->smtp_host, strlen(m->conf->smtp_host) } } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("server.port"),
        TRAVEL_ATTR_INT, { .i = m->conf->smtp_port } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("peer.service"),
        TRAVEL_ATTR_STRING, { .s = TRAVEL_STR("smtp") } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("messaging.message.id"),
        TRAVEL_ATTR_STRING,
        { .s = { m->mail->message_id, strlen(m->mail->message_id) } } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("smtp.response.status_code"),
        TRAVEL_ATTR_INT, { .i = answer->status } };

    memset(&span, 0, sizeof(span));

    if (answer->bounce != TRAVEL_SMTP_ACCEPTED) {
        snprintf(type, sizeof(type), "%u", answer->status);
        attrs[n++] = (travel_attr_t) { TRAVEL_STR("error.type"),
            TRAVEL_ATTR_STRING, { .s = m->io.rc == TRAVEL_REFUSED
                ? TRAVEL_STR("breaker_open")
                : answer->status >= 400
                  ? (travel_str_t) { type, strlen(type) }
                  : TRAVEL_STR("no_answer") } };
        span.error = true;
        span.message = (travel_str_t) { answer->why, strlen(answer->why) };
    }

    span.id = m->trace;
    memcpy(span.parent, m->mail->trace->span_id, sizeof(span.parent));
    span.name = TRAVEL_STR("send mail");
    span.kind = TRAVEL_SPAN_CLIENT;
    span.start_ns = m->start;
    span.end_ns = m->end != 0 ? m->end : worker_trace_now();
    span.attrs = attrs;
    span.nattrs = n;

    worker_trace_emit(&span);
}


/* --- an ask --------------------------------------------------------------- */

static void
smtp_end(smtp_message_t *m)
{
    worker_mail_answer_t  *answer;

    answer = m->answer;
    answer->retry_after_ms = m->io.wait_ms;

    if (answer->bounce != TRAVEL_SMTP_ACCEPTED) {
        snprintf(answer->why, sizeof(answer->why), "SMTP: %.150s",
                 answer->status >= 400 ? m->line : m->io.why);
    }

    if (m->mail->trace != NULL) {
        smtp_emit(m);
    }

    curl_mime_free(m->mime);
    curl_slist_free_all(m->rcpt);
    curl_slist_free_all(m->headers);
}


/* One of them is; with the last the ask is. */
static void
smtp_over(smtp_ask_t *of)
{
    if (atomic_fetch_sub(&of->left, 1) == 1) {
        worker_ask_over(&of->ask);
    }
}


static void
smtp_message_over(worker_io_call_t *io)
{
    smtp_message_t  *m = io->ctx;

    smtp_end(m);
    smtp_over(m->of);
}


/* False: the address is not one, and the mail is not sent at all. */
static bool
smtp_begin(smtp_message_t *m, worker_io_t *io, const worker_mail_t *mail,
    worker_mail_answer_t *answer)
{
    memset(answer, 0, sizeof(*answer));
    answer->bounce = TRAVEL_SMTP_SOFT;

    if (!smtp_address_good(mail->to)) {
        answer->bounce = TRAVEL_SMTP_HARD;
        snprintf(answer->why, sizeof(answer->why),
                 "not an address that mail can be sent to");
        return false;
    }

    m->conf = worker_io_conf(io);
    m->mail = mail;
    m->answer = answer;
    m->io.destination = "smtp";
    m->io.timeout_ms = m->conf->smtp_timeout_ms;
    m->io.patience_ms = m->of->patience_ms;
    m->io.cancel = m->of->cancel;
    m->io.ctx = m;
    m->io.prepare = smtp_prepare;
    m->io.judge = smtp_judge;
    m->io.over = smtp_message_over;
    m->start = worker_trace_now();

    if (mail->trace != NULL) {
        m->trace = worker_trace_child(mail->trace);
    }

    return true;
}


static void
smtp_send(worker_ask_t *ask, worker_io_t *io)
{
    size_t           i;
    smtp_ask_t      *of = (smtp_ask_t *) ask;
    smtp_message_t  *m;

    atomic_store(&of->left, of->n + 1);

    for (i = 0; i < of->n; i++) {
        m = &of->messages[i];
        m->of = of;

        if (smtp_begin(m, io, &of->mails[i], &of->answers[i])) {
            worker_io_submit(io, &m->io);
        } else {
            smtp_over(of);
        }
    }

    smtp_over(of);
}


static void
smtp_free(worker_ask_t *ask)
{
    free(ask);
}


worker_ask_t *
worker_smtp_ask(const worker_mail_t *mails, worker_mail_answer_t *ret_answers,
    size_t n, long patience_ms, const _Atomic bool *cancel)
{
    smtp_ask_t  *of;

    of = calloc(1, sizeof(smtp_ask_t) + n * sizeof(smtp_message_t));

    if (of == NULL) {
        return NULL;
    }

    of->ask.send = smtp_send;
    of->ask.free = smtp_free;
    of->mails = mails;
    of->answers = ret_answers;
    of->n = n;
    of->patience_ms = patience_ms;
    of->cancel = cancel;

    return &of->ask;
}
