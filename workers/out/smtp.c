/*
 * Outgoing mail over SMTP (RFC 5321): what is said for a mail, and what became
 * of it.
 *
 * libcurl connects, starts TLS and logs in; who it was that said no then is
 * seen where it is written and read (smtp_overhear).  From MAIL on the dialogue
 * is ours, because libcurl's own waits for the answer to a mail and lets nobody
 * else go on: one command, one reply, a mail after the other over the same
 * connection.  What a reply means is judged by common/smtp_reply.h.
 */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <idn2.h>

#include "mail_text.h"
#include "smtp.h"
#include "../trace/trace.h"
#include "../../common/utf8.h"

#define SMTP_ADDRESS_MAX  320
#define SMTP_LINE_MAX     160
#define SMTP_REPLY_MAX    100            /* lines */
#define SMTP_REPLY_BYTES  65536          /* more of one, or after it, is noise */

typedef struct smtp_ask_s  smtp_ask_t;

typedef enum {                           /* the command that is under way */
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_TEXT,
    SMTP_RSET                            /* after a refusal */
} smtp_command_e;

typedef struct {
    worker_io_call_t       io;
    smtp_ask_t            *of;
    const worker_conf_t   *conf;
    worker_mail_t          mail;         /* 'to' as below */
    char                   to[SMTP_ADDRESS_MAX + 1];
    worker_mail_answer_t  *answer;
    char                   url[300];
    char                  *text;         /* owned, with the dot at its end */
    size_t                 text_len;
    bool                   begun;        /* the dialogue is ours */
    smtp_command_e         command;
    travel_smtp_stage_e    stage;
    char                   words[SMTP_ADDRESS_MAX + 32];
    const char            *out;          /* of words or text: yet to be sent */
    size_t                 out_len;
    char                   read[256];    /* and yet to be looked at, from */
    size_t                 read_at;      /* here on */
    size_t                 read_len;
    char                   in[SMTP_LINE_MAX];      /* a line, so far */
    size_t                 in_len;
    unsigned               lines;        /* of the reply, so far */
    size_t                 heard;        /* bytes, since a command was said */
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


/* The address as it goes over the wire: its domain by A-labels (RFC 5890).
 * Anything but ASCII before the @ would need a server of RFC 6531. */
static bool
smtp_recipient(char dst[SMTP_ADDRESS_MAX + 1], const char *address)
{
    int          n;
    char        *domain;
    const char  *p, *at;

    if (!smtp_address_good(address)) {
        return false;
    }

    at = strrchr(address, '@');

    for (p = address; p < at; p++) {
        if ((uint8_t) *p >= 0x80) {
            return false;
        }
    }

    while (*p != '\0' && (uint8_t) *p < 0x80) {
        p++;
    }

    if (*p == '\0') {
        snprintf(dst, SMTP_ADDRESS_MAX + 1, "%s", address);
        return true;
    }

    if (idn2_to_ascii_8z(at + 1, &domain, IDN2_NONTRANSITIONAL) != IDN2_OK) {
        return false;
    }

    n = snprintf(dst, SMTP_ADDRESS_MAX + 1, "%.*s%s", (int) (at + 1 - address),
                 address, domain);
    idn2_free(domain);

    return n <= SMTP_ADDRESS_MAX;
}


/* libcurl's own account of the session, up to our part of it. */
static int
smtp_overhear(CURL *easy, curl_infotype type, char *data, size_t len,
    void *ctx)
{
    size_t           n;
    smtp_message_t  *m = ctx;

    (void) easy;

    if (type == CURLINFO_HEADER_IN) {
        n = len < sizeof(m->line) - 1 ? len : sizeof(m->line) - 1;
        memcpy(m->line, data, n);
        m->line[n] = '\0';
        m->line[strcspn(m->line, "\r\n")] = '\0';
    }

    return 0;
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

    snprintf(m->url, sizeof(m->url), "%s://%.255s:%u/travel.local",
             m->conf->smtp_tls == WORKER_TLS_IMPLICIT ? "smtps" : "smtp",
             m->conf->smtp_host, m->conf->smtp_port);

    smtp_server(m, easy);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, smtp_overhear);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, m);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);

    return true;
}


/* --- the dialogue --------------------------------------------------------- */

static void
smtp_say(smtp_message_t *m, smtp_command_e command)
{
    const char  *from, *end;

    m->command = command;
    m->lines = 0;
    m->heard = 0;

    if (command != SMTP_RSET) {         /* which leaves what was refused */
        m->line[0] = '\0';
    }

    switch (command) {

    case SMTP_MAIL:                     /* "Name <address>" or an address */
        from = strchr(m->conf->smtp_from, '<');
        from = from != NULL ? from + 1 : m->conf->smtp_from;
        end = from + strcspn(from, ">");
        snprintf(m->words, sizeof(m->words), "MAIL FROM:<%.*s>\r\n",
                 (int) (end - from), from);
        break;

    case SMTP_RCPT:
        m->stage = TRAVEL_SMTP_RCPT;
        snprintf(m->words, sizeof(m->words), "RCPT TO:<%s>\r\n", m->to);
        break;

    case SMTP_DATA:
        m->stage = TRAVEL_SMTP_DATA;
        strcpy(m->words, "DATA\r\n");
        break;

    case SMTP_TEXT:
        m->out = m->text;
        m->out_len = m->text_len;
        return;

    case SMTP_RSET:
        strcpy(m->words, "RSET\r\n");
        break;
    }

    m->out = m->words;
    m->out_len = strlen(m->words);
}


/* TRAVEL_OK: all is sent; TRAVEL_REFUSED: not yet. */
static int
smtp_write(smtp_message_t *m, CURL *easy)
{
    size_t    n;
    CURLcode  code;

    while (m->out_len > 0) {
        code = curl_easy_send(easy, m->out, m->out_len, &n);

        if (code != CURLE_OK) {
            return code == CURLE_AGAIN ? TRAVEL_REFUSED : TRAVEL_ERROR;
        }

        m->out += n;
        m->out_len -= n;
    }

    return TRAVEL_OK;
}


/* A line, what of it there is room for.  TRAVEL_REFUSED: it is not there yet;
 * TRAVEL_ERROR: it will not be. */
static int
smtp_line(smtp_message_t *m, CURL *easy)
{
    char      c;
    CURLcode  code;

    for ( ;; ) {
        if (m->read_at == m->read_len) {
            m->read_at = 0;
            m->read_len = 0;
            code = curl_easy_recv(easy, m->read, sizeof(m->read),
                                  &m->read_len);

            if (code != CURLE_OK || m->read_len == 0) {
                return code == CURLE_AGAIN ? TRAVEL_REFUSED : TRAVEL_ERROR;
            }

            m->heard += m->read_len;

            if (m->heard > SMTP_REPLY_BYTES) {
                return TRAVEL_ERROR;
            }
        }

        c = m->read[m->read_at++];

        if (c == '\n') {
            m->in_len -= m->in_len > 0 && m->in[m->in_len - 1] == '\r';
            m->in[m->in_len] = '\0';
            return TRAVEL_OK;
        }

        if (m->in_len < sizeof(m->in) - 1) {
            m->in[m->in_len++] = c;
        }
    }
}


/* A reply; its last line stays in m->in.  As above. */
static int
smtp_read(smtp_message_t *m, CURL *easy, travel_smtp_reply_t *ret_reply)
{
    int     rc;
    size_t  n;

    do {
        rc = smtp_line(m, easy);

        if (rc != TRAVEL_OK) {
            return rc;
        }

        n = m->in_len;
        m->in_len = 0;
        rc = m->lines++ < SMTP_REPLY_MAX
             ? travel_smtp_reply_parse(ret_reply, (travel_str_t) { m->in, n })
             : TRAVEL_INVALID;
    } while (rc == TRAVEL_OK && n > 3 && m->in[3] == '-');

    return rc == TRAVEL_OK ? TRAVEL_OK : TRAVEL_ERROR;
}


/* A kept session that its server ends, without a word or by 421, has done
 * nothing as long as no byte of the text was sent: the mail goes over a new
 * connection, at once.  Later nobody knows, and the job is tried again. */
static worker_io_talk_e
smtp_lost(smtp_message_t *m)
{
    if (m->io.kept && m->command < SMTP_TEXT) {
        m->begun = false;
        m->stage = TRAVEL_SMTP_SESSION;
        m->line[0] = '\0';
        return WORKER_IO_STALE;
    }

    if (m->command != SMTP_RSET) {
        snprintf(m->io.why, sizeof(m->io.why), "the connection was lost");
    }

    return WORKER_IO_CLOSE;
}


/* A command has its reply: the next one, or it is over. */
static worker_io_talk_e
smtp_next(smtp_message_t *m, const travel_smtp_reply_t *reply)
{
    if (m->command == SMTP_RSET) {
        return reply->code / 100 == 2 ? WORKER_IO_KEEP : WORKER_IO_CLOSE;
    }

    memcpy(m->line, m->in, sizeof(m->line));

    if (m->command == SMTP_DATA ? reply->code != 354 : reply->code / 100 != 2) {
        if (reply->code == 421) {
            return smtp_lost(m);
        }

        if (reply->code < 400) {
            return WORKER_IO_CLOSE;
        }

        smtp_say(m, SMTP_RSET);
        return WORKER_IO_WRITE;
    }

    if (m->command == SMTP_TEXT) {
        m->answer->bounce = TRAVEL_SMTP_ACCEPTED;
        return WORKER_IO_KEEP;
    }

    smtp_say(m, m->command + 1);
    return WORKER_IO_WRITE;
}


static worker_io_talk_e
smtp_talk(worker_io_call_t *io, CURL *easy)
{
    int                   rc;
    smtp_message_t       *m = io->ctx;
    worker_io_talk_e      next;
    travel_smtp_reply_t   reply;

    if (!m->begun) {
        m->begun = true;
        m->in_len = 0;
        m->read_at = 0;
        m->read_len = 0;
        curl_easy_setopt(easy, CURLOPT_VERBOSE, 0L);
        smtp_say(m, SMTP_MAIL);
    }

    do {
        rc = smtp_write(m, easy);

        if (rc == TRAVEL_REFUSED) {
            return WORKER_IO_WRITE;
        }

        rc = rc == TRAVEL_OK ? smtp_read(m, easy, &reply) : rc;

        if (rc == TRAVEL_REFUSED) {
            return WORKER_IO_READ;
        }

        next = rc == TRAVEL_OK ? smtp_next(m, &reply) : smtp_lost(m);
    } while (next == WORKER_IO_WRITE);

    return next;
}


/* The server is well when it had an opinion about the mail, whichever. */
static bool
smtp_judge(worker_io_call_t *io, CURL *easy, CURLcode code)
{
    smtp_message_t       *m = io->ctx;
    travel_smtp_reply_t   reply;

    (void) easy;
    (void) code;
    m->end = worker_trace_now();

    if (travel_smtp_reply_parse(&reply, (travel_str_t) {
                                m->line, strlen(m->line) }) == TRAVEL_OK)
    {
        m->answer->status = reply.code;
    } else {
        reply.code = 0;
    }

    if (m->answer->bounce == TRAVEL_SMTP_ACCEPTED) {
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
        { .s = { m->mail.message_id, strlen(m->mail.message_id) } } };
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
    memcpy(span.parent, m->mail.trace->span_id, sizeof(span.parent));
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
        travel_utf8_mend(answer->why,       /* rows and results have it */
                         answer->why + strlen(answer->why));
    }

    if (m->mail.trace != NULL) {
        smtp_emit(m);
    }

    free(m->text);
    m->text = NULL;
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


static void
smtp_fail(worker_mail_answer_t *answer, travel_smtp_bounce_e bounce,
    const char *why)
{
    memset(answer, 0, sizeof(*answer));
    answer->bounce = bounce;
    snprintf(answer->why, sizeof(answer->why), "%s", why);
}


/* What is to be sent; false: it is answered. */
static bool
smtp_text(smtp_message_t *m)
{
    switch (worker_mail_text(&m->text, &m->text_len, m->conf->smtp_from,
                             &m->mail, worker_trace_valid(m->mail.trace)
                                      ? &m->trace : NULL))
    {
    case TRAVEL_OK:
        return true;

    case TRAVEL_INVALID:
        smtp_fail(m->answer, TRAVEL_SMTP_REFUSED,
                  "a header of it would be two lines");
        return false;

    default:
        smtp_fail(m->answer, TRAVEL_SMTP_SOFT, "out of memory");
        return false;
    }
}


/* False: it is not sent at all, and answered. */
static bool
smtp_begin(smtp_message_t *m, worker_io_t *io, const worker_mail_t *mail,
    worker_mail_answer_t *answer)
{
    if (!smtp_recipient(m->to, mail->to)) {
        smtp_fail(answer, TRAVEL_SMTP_HARD,
                  "not an address that mail can be sent to");
        return false;
    }

    smtp_fail(answer, TRAVEL_SMTP_SOFT, "");
    m->conf = worker_io_conf(io);
    m->mail = *mail;
    m->mail.to = m->to;
    m->answer = answer;
    m->io.destination = "smtp";
    m->io.timeout_ms = m->conf->smtp_timeout_ms;
    m->io.patience_ms = m->of->patience_ms;
    m->io.cancel = m->of->cancel;
    m->io.ctx = m;
    m->io.prepare = smtp_prepare;
    m->io.talk = smtp_talk;
    m->io.judge = smtp_judge;
    m->io.over = smtp_message_over;
    m->start = worker_trace_now();

    if (mail->trace != NULL) {
        m->trace = worker_trace_child(mail->trace);
    }

    return smtp_text(m);
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
