/*
 * Outgoing HTTP: one I/O thread owns the libcurl multi handle.
 *
 * A call lives on its caller's stack.  It is on exactly one list: 'incoming'
 * (mutex), then its destination's 'waiting' or in the multi handle (I/O thread
 * alone), and when it is over the I/O thread sets 'done' under the mutex and
 * never looks at it again.  Destinations, breakers and easy handles belong to
 * the I/O thread; connections are libcurl's, kept alive and used again.
 *
 * The time-out counts from the hand-over, so a call that waits for its turn
 * at a busy destination does not wait for ever.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <curl/curl.h>
#include <netinet/in.h>

#include "http.h"
#include "breaker.h"
#include "../pool/log.h"
#include "../trace/trace.h"

#define HTTP_MAX_RESPONSE   (1024 * 1024)
#define HTTP_TIMEOUT_MS     30000
#define HTTP_CONCURRENCY    64
#define HTTP_DESTINATIONS   64
#define HTTP_NAME_MAX       48

typedef struct http_call_s         http_call_t;
typedef struct http_destination_s  http_destination_t;

struct http_call_s {
    const worker_http_request_t  *req;
    worker_http_response_t       *resp;
    http_destination_t           *to;        /* I/O thread */
    http_call_t                  *next;      /* of its list */
    CURL                         *easy;      /* I/O thread */
    struct curl_slist            *headers;   /* I/O thread */
    const worker_conf_t          *conf;
    uint64_t                      until_ms;
    size_t                        room;      /* of resp->body */
    size_t                        too_large; /* the bound that was hit, or 0 */
    unsigned                      pass;      /* of the breaker */
    char                          why[CURL_ERROR_SIZE];
    travel_trace_t                trace;     /* of the call's own span */
    int                           rc;
    bool                          done;      /* mutex */
    pthread_cond_t                ended;
};

struct http_destination_s {
    char               name[HTTP_NAME_MAX];
    unsigned           limit;
    unsigned           active;
    http_call_t       *waiting;
    http_call_t      **last;
    worker_breaker_t   breaker;
};

struct worker_http_s {
    pthread_mutex_t       mutex;
    pthread_t             thread;
    http_call_t          *incoming;          /* mutex */
    http_call_t         **last;              /* mutex */
    bool                  stopping;          /* mutex */
    CURLM                *multi;             /* I/O thread, but for wakeup */
    http_destination_t    destinations[HTTP_DESTINATIONS];
    size_t                ndestinations;     /* I/O thread */
    const worker_conf_t  *conf;              /* borrowed */
};


static uint64_t
http_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


/* The only way a call ends. */
static void
http_finish(worker_http_t *http, http_call_t *call, int rc)
{
    if (call->easy != NULL) {
        curl_easy_cleanup(call->easy);
        curl_slist_free_all(call->headers);
        call->easy = NULL;
    }

    pthread_mutex_lock(&http->mutex);
    call->rc = rc;
    call->done = true;
    pthread_cond_signal(&call->ended);
    pthread_mutex_unlock(&http->mutex);
}


static size_t
http_body(char *data, size_t size, size_t n, void *ctx)
{
    char         *more;
    size_t        len, max, room;
    http_call_t  *call = ctx;

    len = size * n;
    max = call->req->max_response != 0 ? call->req->max_response
                                       : HTTP_MAX_RESPONSE;

    if (len > max - call->resp->len) {
        call->too_large = max;
        return 0;
    }

    if (call->resp->len + len + 1 > call->room) {
        room = (call->resp->len + len + 1) * 2;
        more = realloc(call->resp->body, room);

        if (more == NULL) {
            return 0;
        }

        call->resp->body = more;
        call->room = room;
    }

    memcpy(call->resp->body + call->resp->len, data, len);
    call->resp->len += len;
    call->resp->body[call->resp->len] = '\0';

    return len;
}


static http_destination_t *
http_destination(worker_http_t *http, const char *name)
{
    size_t                   i;
    http_destination_t      *to;
    const worker_partner_t  *partner;

    for (i = 0; i < http->ndestinations; i++) {
        if (strncmp(http->destinations[i].name, name, HTTP_NAME_MAX - 1) == 0) {
            return &http->destinations[i];
        }
    }

    if (http->ndestinations == HTTP_DESTINATIONS) {
        return NULL;
    }

    to = &http->destinations[http->ndestinations++];
    partner = worker_conf_partner(http->conf, name);

    snprintf(to->name, sizeof(to->name), "%s", name);
    to->limit = partner != NULL && partner->concurrency > 0
                ? partner->concurrency : HTTP_CONCURRENCY;

    if (partner != NULL) {
        to->breaker.max_failures = partner->breaker_failures;
        to->breaker.min_successes = partner->breaker_successes;
        to->breaker.open_ms = (uint64_t) partner->breaker_open_ms;
    }

    to->last = &to->waiting;

    return to;
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

    for (h = call->req->headers; h != NULL && *h != NULL; h++) {
        if (!http_add_header(call, *h)) {
            return false;
        }
    }

    if (worker_trace_valid(call->req->trace)) {
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
        call->resp->barred = true;
        return CURL_SOCKET_BAD;
    }

    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}


static bool
http_easy(http_call_t *call, uint64_t now)
{
    CURL  *easy;

    easy = curl_easy_init();
    call->easy = easy;

    if (easy == NULL || !http_headers(call)) {
        return false;
    }

    curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *) call);
    curl_easy_setopt(easy, CURLOPT_URL, call->req->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) (call->until_ms - now));
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* none from the environment */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "ngx_travel");

    if (call->req->body.len > 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t) call->req->body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->req->body.data);

    } else if (strcmp(call->req->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }

    if (call->req->stranger) {
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, http_open_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }

    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->req->method);
    return true;
}


/* Sends a call that has its turn, or ends it at once. */
static void
http_send(worker_http_t *http, http_call_t *call)
{
    uint64_t             now, wait;
    http_destination_t  *to;

    to = call->to;
    now = http_now();

    if (now >= call->until_ms) {
        snprintf(call->why, sizeof(call->why), "no turn within the time-out");
        http_finish(http, call, TRAVEL_ERROR);
        return;
    }

    if (!call->req->stranger
        && !worker_breaker_ask(&to->breaker, now, &call->pass, &wait))
    {
        snprintf(call->why, sizeof(call->why), "the breaker for %s is open",
                 to->name);
        call->resp->retry_after_ms = (long) wait;
        http_finish(http, call, TRAVEL_REFUSED);
        return;
    }

    if (!http_easy(call, now)
        || curl_multi_add_handle(http->multi, call->easy) != CURLM_OK)
    {
        snprintf(call->why, sizeof(call->why), "out of memory");

        if (!call->req->stranger) {
            (void) worker_breaker_report(&to->breaker, call->pass, false, now);
        }

        http_finish(http, call, TRAVEL_ERROR);
        return;
    }

    to->active++;
}


static void
http_pump(worker_http_t *http, http_destination_t *to)
{
    http_call_t  *call;

    while (to->waiting != NULL && to->active < to->limit) {
        call = to->waiting;
        to->waiting = call->next;

        if (to->waiting == NULL) {
            to->last = &to->waiting;
        }

        http_send(http, call);
    }
}


/* Takes what the slots handed over; false when it is time to stop. */
static bool
http_accept(worker_http_t *http)
{
    bool                 stopping;
    http_call_t         *call, *next;
    http_destination_t  *to;

    pthread_mutex_lock(&http->mutex);
    call = http->incoming;
    http->incoming = NULL;
    http->last = &http->incoming;
    stopping = http->stopping;
    pthread_mutex_unlock(&http->mutex);

    for ( ; call != NULL; call = next) {
        next = call->next;
        call->next = NULL;
        to = http_destination(http, call->req->destination);
        call->to = to;

        if (stopping || to == NULL) {
            snprintf(call->why, sizeof(call->why), "%s",
                     stopping ? "the process is stopping"
                              : "too many destinations");
            http_finish(http, call, TRAVEL_ERROR);
            continue;
        }

        *to->last = call;
        to->last = &call->next;
        http_pump(http, to);
    }

    return !stopping;
}


static void
http_complete(worker_http_t *http, CURL *easy, CURLcode code)
{
    bool                 good;
    long                 status;
    curl_off_t           after;
    http_call_t         *call;
    http_destination_t  *to;

    status = 0;
    after = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &call);
    curl_multi_remove_handle(http->multi, easy);
    to = call->to;
    to->active--;

    if (code == CURLE_OK) {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &after);

    } else if (call->too_large > 0) {
        snprintf(call->why, sizeof(call->why),
                 "the answer is larger than %zu bytes", call->too_large);

    } else if (call->why[0] == '\0') {
        snprintf(call->why, sizeof(call->why), "%s", curl_easy_strerror(code));
    }

    call->resp->status = (int) status;
    call->resp->retry_after_ms = after > 0 && after < 86400
                                 ? (long) after * 1000 : 0;
    good = code == CURLE_OK && status < 500;

    if (!call->req->stranger
        && worker_breaker_report(&to->breaker, call->pass, good, http_now()))
    {
        worker_log(WORKER_LOG_WARN, "circuit breaker for %s %s", to->name,
                   to->breaker.state == WORKER_BREAKER_OPEN ? "opened"
                                                            : "closed");
    }

    http_finish(http, call, code == CURLE_OK ? TRAVEL_OK : TRAVEL_ERROR);
    http_pump(http, to);
}


/* At the end: whoever still waits is told. */
static void
http_abandon(worker_http_t *http)
{
    size_t        i;
    http_call_t  *call, *next;

    for (i = 0; i < http->ndestinations; i++) {
        for (call = http->destinations[i].waiting; call; call = next) {
            next = call->next;
            snprintf(call->why, sizeof(call->why), "the process is stopping");
            http_finish(http, call, TRAVEL_ERROR);
        }

        http->destinations[i].waiting = NULL;
        http->destinations[i].last = &http->destinations[i].waiting;
    }
}


static bool
http_busy(const worker_http_t *http)
{
    size_t  i;

    for (i = 0; i < http->ndestinations; i++) {
        if (http->destinations[i].active > 0) {
            return true;
        }
    }

    return false;
}


static void *
http_run(void *ctx)
{
    int             running, left;
    bool            go_on;
    CURLMsg        *msg;
    worker_http_t  *http = ctx;

    do {
        go_on = http_accept(http);

        if (!go_on) {
            http_abandon(http);
        }

        (void) curl_multi_perform(http->multi, &running);

        while ((msg = curl_multi_info_read(http->multi, &left)) != NULL) {
            if (msg->msg == CURLMSG_DONE) {
                http_complete(http, msg->easy_handle, msg->data.result);
            }
        }

        if (go_on || http_busy(http)) {
            (void) curl_multi_poll(http->multi, NULL, 0, 1000, NULL);
        }

        /* those on the wire finish, bounded by their time-outs */
    } while (go_on || http_busy(http));

    return NULL;
}


worker_http_t *
worker_http_start(const worker_conf_t *conf)
{
    worker_http_t  *http;

    http = calloc(1, sizeof(worker_http_t));

    if (http == NULL) {
        return NULL;
    }

    http->conf = conf;
    http->last = &http->incoming;
    http->multi = curl_multi_init();

    if (http->multi == NULL) {
        free(http);
        return NULL;
    }

    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 256L);
    pthread_mutex_init(&http->mutex, NULL);

    if (pthread_create(&http->thread, NULL, http_run, http) != 0) {
        curl_multi_cleanup(http->multi);
        pthread_mutex_destroy(&http->mutex);
        free(http);
        return NULL;
    }

    return http;
}


void
worker_http_stop(worker_http_t **phttp)
{
    worker_http_t  *http;

    http = *phttp;
    *phttp = NULL;

    if (http == NULL) {
        return;
    }

    pthread_mutex_lock(&http->mutex);
    http->stopping = true;
    pthread_mutex_unlock(&http->mutex);
    curl_multi_wakeup(http->multi);

    pthread_join(http->thread, NULL);
    curl_multi_cleanup(http->multi);
    pthread_mutex_destroy(&http->mutex);
    free(http);
}


/* Host and port of a URL, for the span. */
static travel_str_t
http_authority(const char *url)
{
    const char  *p;

    p = strstr(url, "://");
    p = p != NULL ? p + 3 : url;

    return (travel_str_t) { p, strcspn(p, "/?#") };
}


static void
http_emit(const http_call_t *call, uint64_t start)
{
    int                            status;
    char                           name[80], type[16];
    size_t                         n;
    travel_str_t                   host;
    travel_span_t                  span;
    travel_attr_t                  attrs[6];
    const worker_http_request_t   *req;

    req = call->req;
    status = call->resp->status;
    host = http_authority(req->url);
    n = 0;

    attrs[n++] = (travel_attr_t) { TRAVEL_STR("http.request.method"),
        TRAVEL_ATTR_STRING, { .s = { req->method, strlen(req->method) } } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("url.full"),
        TRAVEL_ATTR_STRING, { .s = { req->url, strcspn(req->url, "?#") } } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("server.address"),
        TRAVEL_ATTR_STRING, { .s = host } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("peer.service"),
        TRAVEL_ATTR_STRING,
        { .s = { req->destination, strlen(req->destination) } } };

    if (status != 0) {
        attrs[n++] = (travel_attr_t) {
            TRAVEL_STR("http.response.status_code"), TRAVEL_ATTR_INT,
            { .i = status } };
    }

    memset(&span, 0, sizeof(span));

    if (status == 0 || status >= 400) {
        snprintf(type, sizeof(type), "%d", status);
        attrs[n++] = (travel_attr_t) { TRAVEL_STR("error.type"),
            TRAVEL_ATTR_STRING, { .s = status != 0
                ? (travel_str_t) { type, strlen(type) }
                : call->rc == TRAVEL_REFUSED ? TRAVEL_STR("breaker_open")
                                             : TRAVEL_STR("no_answer") } };
        span.error = true;
        span.message = (travel_str_t) { call->resp->error,
                                        strlen(call->resp->error) };
    }

    span.id = call->trace;
    memcpy(span.parent, req->trace->span_id, sizeof(span.parent));
    span.name = (travel_str_t) { name, (size_t) snprintf(name, sizeof(name),
                    "%s %.60s", req->method, req->destination) };
    span.kind = TRAVEL_SPAN_CLIENT;
    span.start_ns = start;
    span.end_ns = worker_trace_now();
    span.attrs = attrs;
    span.nattrs = n;

    worker_trace_emit(&span);
}


/* Gives the call to the I/O thread and waits for its end. */
static void
http_hand_over(worker_http_t *http, http_call_t *call)
{
    pthread_mutex_lock(&http->mutex);

    if (http->stopping) {
        snprintf(call->why, sizeof(call->why), "the process is stopping");
        call->rc = TRAVEL_ERROR;
        call->done = true;

    } else {
        *http->last = call;
        http->last = &call->next;
        curl_multi_wakeup(http->multi);
    }

    while (!call->done) {
        pthread_cond_wait(&call->ended, &http->mutex);
    }

    pthread_mutex_unlock(&http->mutex);
}


int
worker_http_call(worker_http_t *http, const worker_http_request_t *req,
    worker_http_response_t *ret_resp)
{
    uint64_t     start;
    http_call_t  call;

    memset(ret_resp, 0, sizeof(*ret_resp));
    memset(&call, 0, sizeof(call));
    call.req = req;
    call.resp = ret_resp;
    call.conf = http->conf;
    call.until_ms = http_now() + (uint64_t) (req->timeout_ms > 0
                                             ? req->timeout_ms
                                             : HTTP_TIMEOUT_MS);
    pthread_cond_init(&call.ended, NULL);

    if (req->trace != NULL) {
        call.trace = worker_trace_child(req->trace);
    }

    start = worker_trace_now();

    http_hand_over(http, &call);
    pthread_cond_destroy(&call.ended);

    if (ret_resp->body == NULL) {
        ret_resp->body = calloc(1, 1);
    }

    if (ret_resp->body == NULL) {
        call.rc = TRAVEL_ERROR;
        ret_resp->status = 0;
    }

    snprintf(ret_resp->error, sizeof(ret_resp->error), "%.159s", call.why);

    if (req->trace != NULL) {
        http_emit(&call, start);
    }

    return call.rc;
}


void
worker_http_response_free(worker_http_response_t *resp)
{
    free(resp->body);
    memset(resp, 0, sizeof(*resp));
}
