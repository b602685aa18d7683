/*
 * Outgoing HTTP: what a request asks of libcurl, and what an answer says.
 *
 * A call is an ask with all its texts in one allocation, and the I/O thread's
 * from the submission until it is over (io.c).
 */

#include <stdio.h>
#include <stdlib.h>

#include <netinet/in.h>

#include "http.h"
#include "../trace/trace.h"

#define HTTP_MAX_RESPONSE  (1024 * 1024)
#define HTTP_MAX_WAIT_S    86400L       /* of a Retry-After */

typedef struct {
    worker_ask_t             ask;
    worker_io_call_t         io;
    worker_http_request_t    req;        /* its texts behind the struct */
    worker_http_response_t   resp;
    long                     timeout_ms;
    long                     patience_ms;
    const _Atomic bool      *cancel;
    const worker_conf_t     *conf;
    struct curl_slist       *headers;    /* I/O thread */
    size_t                   room;       /* of resp.body */
    size_t                   too_large;  /* the bound that was hit, or 0 */
    travel_trace_t           parent;
    travel_trace_t           trace;      /* of the call's own span */
    uint64_t                 start;
    uint64_t                 end;
} http_call_t;


static size_t
http_body(char *data, size_t size, size_t n, void *ctx)
{
    char         *more;
    size_t        len, max, room;
    http_call_t  *call = ctx;

    len = size * n;
    max = call->req.max_response != 0 ? call->req.max_response
                                      : HTTP_MAX_RESPONSE;

    if (len > max - call->resp.len && call->req.stranger) {
        return len;                     /* its status is all that counts */
    }

    if (len > max - call->resp.len) {
        call->too_large = max;
        return 0;
    }

    if (call->resp.len + len + 1 > call->room) {
        room = (call->resp.len + len + 1) * 2;
        more = realloc(call->resp.body, room);

        if (more == NULL) {
            return 0;
        }

        call->resp.body = more;
        call->room = room;
    }

    memcpy(call->resp.body + call->resp.len, data, len);
    call->resp.len += len;
    call->resp.body[call->resp.len] = '\0';

    return len;
}


static bool
http_add_header(http_call_t *call, const char *line)
{
    struct curl_slist  *more;

    more = curl_slist_append(call->headers, line);

    if (more == NULL) {
        return false;
    }

    call->headers = more;
    return true;
}


static bool
http_headers(http_call_t *call)
{
    char                tp[16 + TRAVEL_TRACEPARENT_LEN];
    const char *const  *h;

    for (h = call->req.headers; h != NULL && *h != NULL; h++) {
        if (!http_add_header(call, *h)) {
            return false;
        }
    }

    if (worker_trace_valid(call->req.trace)) {
        memcpy(tp, "traceparent: ", 13);
        travel_traceparent_format(tp + 13, &call->trace);
        tp[13 + TRAVEL_TRACEPARENT_LEN] = '\0';

        if (!http_add_header(call, tp)) {
            return false;
        }
    }

    /* no 100-continue: it costs a round trip or a second's wait */
    return http_add_header(call, "Expect:");
}


/* The address that is about to be connected to, after the name was resolved:
 * a name cannot say one thing to a check and another to the connection. */
static curl_socket_t
http_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
    size_t             i;
    http_call_t       *call = ctx;
    travel_address_t   address = { { 0 } };

    (void) purpose;

    if (to->family == AF_INET) {
        memset(address.bytes + 10, 0xff, 2);
        memcpy(address.bytes + 12,
               &((struct sockaddr_in *) &to->addr)->sin_addr, 4);

    } else if (to->family == AF_INET6) {
        memcpy(address.bytes,
               &((struct sockaddr_in6 *) &to->addr)->sin6_addr, 16);
    }

    for (i = 0; i < call->conf->nwebhook_allow; i++) {
        if (travel_network_holds(&call->conf->webhook_allow[i], &address)) {
            break;
        }
    }

    if (i == call->conf->nwebhook_allow && !travel_address_public(&address)) {
        call->resp.barred = true;
        return CURL_SOCKET_BAD;
    }

    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}


/* As 11 or 20; 0: not known. */
static long
http_version(CURL *easy)
{
    long  version;

    version = 0;
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);

    switch (version) {
    case CURL_HTTP_VERSION_1_0:
        return 10;
    case CURL_HTTP_VERSION_1_1:
        return 11;
    case CURL_HTTP_VERSION_2_0:
        return 20;
    default:
        return 0;
    }
}


static bool
http_prepare(worker_io_call_t *io, CURL *easy)
{
    http_call_t                  *call = io->ctx;
    const worker_http_request_t  *req;

    req = &call->req;

    if (!http_headers(call)) {
        return false;
    }

    curl_easy_setopt(easy, CURLOPT_URL, req->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "ngx_travel");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     (long) CURL_HTTP_VERSION_2TLS);

    if (req->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, req->ca_file);
    }

    if (req->multiplexed) {
        curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    }

    if (req->body.len > 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t) req->body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, req->body.data);

    } else if (strcmp(req->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }

    if (req->stranger) {
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, http_open_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }

    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
    return true;
}


static bool
http_judge(worker_io_call_t *io, CURL *easy, CURLcode code)
{
    long          status;
    curl_off_t    after;
    http_call_t  *call = io->ctx;

    status = 0;
    after = 0;
    call->end = worker_trace_now();

    if (code == CURLE_OK) {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &after);
        call->resp.version = http_version(easy);

    } else if (call->too_large > 0) {
        snprintf(io->why, sizeof(io->why),
                 "the answer is larger than %zu bytes", call->too_large);
    }

    call->resp.status = (int) status;
    call->resp.retry_after_ms = after <= 0 ? 0
                                : after < HTTP_MAX_WAIT_S
                                  ? (long) after * 1000 : HTTP_MAX_WAIT_S * 1000;

    return code == CURLE_OK && status < 500;
}


/* Host and port of a URL, for the span. */
static travel_str_t
http_host(const char *url, int64_t *ret_port)
{
    char         *end;
    size_t        n;
    const char   *p, *colon;
    travel_str_t  host;

    *ret_port = strncmp(url, "https:", 6) == 0 ? 443 : 80;
    p = strstr(url, "://");
    p = p != NULL ? p + 3 : url;
    n = strcspn(p, "/?#");
    host = (travel_str_t) { p, n };
    colon = memrchr(p, ':', n);

    if (colon != NULL && memchr(colon, ']', n - (size_t) (colon - p)) == NULL) {
        host.len = (size_t) (colon - p);
        *ret_port = strtol(colon + 1, &end, 10);
    }

    return host;
}


static travel_attr_t
http_attr(travel_str_t name, travel_str_t value)
{
    return (travel_attr_t) { name, TRAVEL_ATTR_STRING, { .s = value } };
}


/* What went wrong, as error.type has it; empty: nothing. */
static travel_str_t
http_error_type(const http_call_t *call, char room[16])
{
    if (call->io.rc == TRAVEL_REFUSED) {
        return TRAVEL_STR("breaker_open");
    }

    if (call->resp.status == 0) {
        return TRAVEL_STR("no_answer");
    }

    if (call->resp.status < 400) {
        return TRAVEL_STR("");
    }

    return (travel_str_t) { room, (size_t) snprintf(room, 16, "%d",
                                                    call->resp.status) };
}


static void
http_emit(const http_call_t *call)
{
    char                          name[80], type[16];
    size_t                        n;
    int64_t                       port;
    travel_str_t                  host, error;
    travel_span_t                 span;
    travel_attr_t                 attrs[8];
    const worker_http_request_t  *req;

    req = &call->req;
    host = http_host(req->url, &port);
    error = http_error_type(call, type);
    n = 0;

    attrs[n++] = http_attr(TRAVEL_STR("http.request.method"),
                           (travel_str_t) { req->method,
                                            strlen(req->method) });
    attrs[n++] = http_attr(TRAVEL_STR("url.full"),
                           (travel_str_t) { req->url,
                                            strcspn(req->url, "?#") });
    attrs[n++] = http_attr(TRAVEL_STR("server.address"), host);
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("server.port"),
                                   TRAVEL_ATTR_INT, { .i = port } };
    attrs[n++] = http_attr(TRAVEL_STR("peer.service"),
                           (travel_str_t) { req->destination,
                                            strlen(req->destination) });

    if (call->resp.status != 0) {
        attrs[n++] = (travel_attr_t) {
            TRAVEL_STR("http.response.status_code"), TRAVEL_ATTR_INT,
            { .i = call->resp.status } };
    }

    if (call->resp.version != 0) {
        attrs[n++] = http_attr(TRAVEL_STR("network.protocol.version"),
                               call->resp.version == 20 ? TRAVEL_STR("2")
                               : call->resp.version == 11
                                 ? TRAVEL_STR("1.1") : TRAVEL_STR("1.0"));
    }

    memset(&span, 0, sizeof(span));

    if (error.len > 0) {
        attrs[n++] = http_attr(TRAVEL_STR("error.type"), error);
        span.error = true;
        span.message = (travel_str_t) { call->resp.error,
                                        strlen(call->resp.error) };
    }

    span.id = call->trace;
    memcpy(span.parent, req->trace->span_id, sizeof(span.parent));
    span.name = (travel_str_t) { name, (size_t) snprintf(name, sizeof(name),
                    "%.15s %.60s", req->method, req->destination) };
    span.kind = TRAVEL_SPAN_CLIENT;
    span.start_ns = call->start;
    span.end_ns = call->end != 0 ? call->end : worker_trace_now();
    span.attrs = attrs;
    span.nattrs = n;

    worker_trace_emit(&span);
}


/* --- a call --------------------------------------------------------------- */

static void
http_end(http_call_t *call)
{
    worker_http_response_t  *resp;

    resp = &call->resp;
    curl_slist_free_all(call->headers);

    if (resp->body == NULL) {
        resp->body = calloc(1, 1);
    }

    if (resp->body == NULL) {
        call->io.rc = TRAVEL_ERROR;
        resp->status = 0;
    }

    if (call->io.rc == TRAVEL_REFUSED) {
        resp->retry_after_ms = call->io.wait_ms;
    }

    resp->rc = call->io.rc;
    snprintf(resp->error, sizeof(resp->error), "%.159s", call->io.why);

    if (call->req.trace != NULL) {
        http_emit(call);
    }
}


static void
http_over(worker_io_call_t *io)
{
    http_call_t  *call = io->ctx;

    http_end(call);
    worker_ask_over(&call->ask);
}


static void
http_send(worker_ask_t *ask, worker_io_t *io)
{
    http_call_t  *call = (http_call_t *) ask;

    call->conf = worker_io_conf(io);
    call->io.destination = call->req.destination;
    call->io.timeout_ms = call->timeout_ms;
    call->io.patience_ms = call->patience_ms;
    call->io.cancel = call->cancel;
    call->io.unguarded = call->req.stranger;
    call->io.ctx = call;
    call->io.prepare = http_prepare;
    call->io.judge = http_judge;
    call->io.over = http_over;
    call->start = worker_trace_now();

    if (call->req.trace != NULL) {
        call->trace = worker_trace_child(call->req.trace);
    }

    worker_io_submit(io, &call->io);
}


static void
http_free(worker_ask_t *ask)
{
    http_call_t  *call = (http_call_t *) ask;

    free(call->resp.body);
    free(call);
}


static size_t
http_size(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}


/* Copies a text to *p, which moves on; NULL stays NULL. */
static const char *
http_copy(char **p, const char *text)
{
    char    *copy;
    size_t   n;

    n = http_size(text);

    if (n == 0) {
        return NULL;
    }

    copy = memcpy(*p, text, n);
    *p += n;

    return copy;
}


/* The texts of the request, copied to behind the call. */
static void
http_keep(http_call_t *call, const worker_http_request_t *req, size_t nheaders)
{
    char         *p;
    size_t        i;
    const char  **headers;

    headers = (const char **) (call + 1);
    p = (char *) (headers + nheaders + 1);
    call->req = *req;
    call->req.method = http_copy(&p, req->method);
    call->req.url = http_copy(&p, req->url);
    call->req.destination = http_copy(&p, req->destination);
    call->req.ca_file = http_copy(&p, req->ca_file);
    call->req.headers = headers;

    for (i = 0; i < nheaders; i++) {
        headers[i] = http_copy(&p, req->headers[i]);
    }

    if (req->body.len > 0) {
        call->req.body.data = memcpy(p, req->body.data, req->body.len);
    }

    if (req->trace != NULL) {
        call->parent = *req->trace;
        call->req.trace = &call->parent;
    }
}


worker_ask_t *
worker_http_ask(const worker_http_request_t *req, long timeout_ms,
    long patience_ms, const _Atomic bool *cancel)
{
    size_t        n, size;
    http_call_t  *call;

    size = sizeof(http_call_t) + http_size(req->method) + http_size(req->url)
           + http_size(req->destination) + http_size(req->ca_file)
           + req->body.len;

    for (n = 0; req->headers != NULL && req->headers[n] != NULL; n++) {
        size += http_size(req->headers[n]);
    }

    call = calloc(1, size + (n + 1) * sizeof(char *));

    if (call == NULL) {
        return NULL;
    }

    http_keep(call, req, n);
    call->timeout_ms = timeout_ms;
    call->patience_ms = patience_ms;
    call->cancel = cancel;
    call->ask.send = http_send;
    call->ask.free = http_free;
    call->ask.answer = &call->resp;

    return &call->ask;
}
