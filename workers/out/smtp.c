/*
 * Outgoing mail over SMTP, one message a call.
 *
 * Each slot thread keeps one libcurl handle, so that its next mail finds the
 * session of the last one open; the handle goes with the thread.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <curl/curl.h>

#include "smtp.h"
#include "../trace/trace.h"

#define SMTP_TIMEOUT_MS   30000
#define SMTP_ADDRESS_MAX  320

typedef struct {
    char                url[300];
    char                from[SMTP_ADDRESS_MAX + 3];
    char                to[SMTP_ADDRESS_MAX + 3];
    char                error[CURL_ERROR_SIZE];
    struct curl_slist  *rcpt;
    struct curl_slist  *headers;
    curl_mime          *mime;
    travel_trace_t      trace;
} smtp_message_t;

static pthread_key_t   smtp_key;
static pthread_once_t  smtp_once = PTHREAD_ONCE_INIT;


static void
smtp_close(void *easy)
{
    curl_easy_cleanup(easy);
}


static void
smtp_make_key(void)
{
    (void) pthread_key_create(&smtp_key, smtp_close);
}


/* This thread's handle, its options cleared, its connections kept. */
static CURL *
smtp_easy(void)
{
    CURL  *easy;

    pthread_once(&smtp_once, smtp_make_key);
    easy = pthread_getspecific(smtp_key);

    if (easy != NULL) {
        curl_easy_reset(easy);
        return easy;
    }

    easy = curl_easy_init();

    if (easy != NULL && pthread_setspecific(smtp_key, easy) != 0) {
        curl_easy_cleanup(easy);
        return NULL;
    }

    return easy;
}


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


static bool
smtp_prepare(CURL *easy, smtp_message_t *m, const worker_conf_t *conf,
    const worker_mail_t *mail)
{
    const char  *from, *end;

    /* "Name <address>" or an address */
    from = strchr(conf->smtp_from, '<');
    end = from != NULL ? strchr(from, '>') : NULL;

    if (end != NULL) {
        snprintf(m->from, sizeof(m->from), "%.*s", (int) (end - from + 1),
                 from);
    } else {
        snprintf(m->from, sizeof(m->from), "<%.320s>", conf->smtp_from);
    }

    snprintf(m->to, sizeof(m->to), "<%.320s>", mail->to);
    snprintf(m->url, sizeof(m->url), "smtp://%.255s:%u/travel.local",
             conf->smtp_host, conf->smtp_port);
    m->rcpt = curl_slist_append(NULL, m->to);

    if (m->rcpt == NULL || !smtp_headers(m, conf, mail)
        || !smtp_body(easy, m, mail))
    {
        return false;
    }

    curl_easy_setopt(easy, CURLOPT_URL, m->url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, m->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, m->rcpt);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, m->headers);
    curl_easy_setopt(easy, CURLOPT_MIMEPOST, m->mime);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, m->error);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) SMTP_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp");
    curl_easy_setopt(easy, CURLOPT_USE_SSL,
                     conf->smtp_starttls ? (long) CURLUSESSL_ALL
                                         : (long) CURLUSESSL_NONE);

    if (conf->smtp_user != NULL && *conf->smtp_user != '\0') {
        curl_easy_setopt(easy, CURLOPT_USERNAME, conf->smtp_user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD,
                         conf->smtp_password != NULL ? conf->smtp_password
                                                     : "");
    }

    return true;
}


static void
smtp_emit(const smtp_message_t *m, const worker_conf_t *conf,
    const worker_mail_t *mail, uint64_t start, int rc, long status)
{
    size_t         n;
    travel_span_t  span;
    travel_attr_t  attrs[5];

    n = 0;
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("network.protocol.name"),
        TRAVEL_ATTR_STRING, { .s = TRAVEL_STR("smtp") } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("server.address"),
        TRAVEL_ATTR_STRING,
        { .s = { conf->smtp_host, strlen(conf->smtp_host) } } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("server.port"),
        TRAVEL_ATTR_INT, { .i = conf->smtp_port } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("messaging.message.id"),
        TRAVEL_ATTR_STRING,
        { .s = { mail->message_id, strlen(mail->message_id) } } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("smtp.response.status_code"),
        TRAVEL_ATTR_INT, { .i = status } };

    memset(&span, 0, sizeof(span));
    span.id = m->trace;
    memcpy(span.parent, mail->trace->span_id, sizeof(span.parent));
    span.name = TRAVEL_STR("send mail");
    span.kind = TRAVEL_SPAN_CLIENT;
    span.start_ns = start;
    span.end_ns = worker_trace_now();
    span.error = rc != TRAVEL_OK;
    span.message = (travel_str_t) { m->error, rc != TRAVEL_OK
                                              ? strlen(m->error) : 0 };
    span.attrs = attrs;
    span.nattrs = n;

    worker_trace_emit(&span);
}


/* A 5xx to our mail is final; one to our login is a matter of configuration
 * that somebody will mend. */
static int
smtp_judge(CURLcode code, long status)
{
    if (code == CURLE_OK) {
        return TRAVEL_OK;
    }

    if (status >= 500 && status <= 599 && code != CURLE_LOGIN_DENIED
        && code != CURLE_USE_SSL_FAILED)
    {
        return TRAVEL_REFUSED;
    }

    return TRAVEL_ERROR;
}


int
worker_smtp_send(const worker_conf_t *conf, const worker_mail_t *mail,
    char why[160])
{
    int             rc;
    CURL           *easy;
    long            status;
    CURLcode        code;
    uint64_t        start;
    smtp_message_t  m;

    if (!smtp_address_good(mail->to)) {
        snprintf(why, 160, "not an address that mail can be sent to");
        return TRAVEL_REFUSED;
    }

    memset(&m, 0, sizeof(m));
    start = worker_trace_now();
    status = 0;
    easy = smtp_easy();

    if (mail->trace != NULL) {
        m.trace = worker_trace_child(mail->trace);
    }

    if (easy == NULL || !smtp_prepare(easy, &m, conf, mail)) {
        snprintf(why, 160, "the message could not be put together");
        rc = TRAVEL_ERROR;

    } else {
        code = curl_easy_perform(easy);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        rc = smtp_judge(code, status);

        if (rc != TRAVEL_OK) {
            snprintf(why, 160, "SMTP %ld: %.140s", status,
                     m.error[0] != '\0' ? m.error : curl_easy_strerror(code));
        }
    }

    if (mail->trace != NULL) {
        smtp_emit(&m, conf, mail, start, rc, status);
    }

    if (easy != NULL) {
        curl_easy_reset(easy);
    }

    curl_mime_free(m.mime);
    curl_slist_free_all(m.rcpt);
    curl_slist_free_all(m.headers);
    return rc;
}
