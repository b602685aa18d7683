/*
 * The workers' spans: encoded by whoever ends them, sent by one thread.
 *
 * Two buffers: 'active' takes encoded spans under the mutex (a copy, nothing
 * else happens there); the exporter swaps it with 'sending', which it alone
 * touches, and posts that one without the lock.  While a batch is being sent
 * or retried the active one fills up; full means drop and count, so the memory
 * is bounded and no job ever waits for the collector.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "trace.h"
#include "../../common/backoff.h"
#include "../../common/hash.h"

#define TRACE_BUFFER       (1024 * 1024)
#define TRACE_HEAD         1024              /* resource and scope */
#define TRACE_SPAN_MAX     8192
#define TRACE_RING_AT      (TRACE_BUFFER / 2)
#define TRACE_INTERVAL_MS  500
#define TRACE_TRIES        5
#define TRACE_TIMEOUT_MS   5000
#define TRACE_STOP_MS      3000

typedef struct {
    uint8_t   *bytes;               /* TRACE_HEAD free, then spans */
    size_t     len;                 /* of the spans */
    unsigned   spans;
} trace_buffer_t;

typedef struct {
    pthread_mutex_t      mutex;
    pthread_cond_t       ring;
    pthread_t            thread;
    atomic_bool          running;   /* start and stop: one caller at a time */
    bool                 stopping;  /* mutex */
    struct timespec      give_up;   /* mutex; once stopping */
    trace_buffer_t       active;    /* mutex */
    trace_buffer_t       sending;   /* exporter thread */
    worker_trace_stat_t  stat;      /* mutex */
    char                *url;
    CURL                *curl;      /* exporter thread */
    struct curl_slist   *headers;   /* exporter thread */
} trace_t;

static trace_t  trace = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
};


uint64_t
worker_trace_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


travel_trace_t
worker_trace_child(const travel_trace_t *parent)
{
    travel_trace_t  child;

    child = *parent;

    if (travel_random(child.span_id, sizeof(child.span_id)) != TRAVEL_OK) {
        child.flags = 0;
    }

    return child;
}


bool
worker_trace_valid(const travel_trace_t *trace)
{
    static const uint8_t  zero[sizeof(trace->trace_id)];

    return trace != NULL
           && memcmp(trace->trace_id, zero, sizeof(zero)) != 0;
}


void
worker_trace_emit(const travel_span_t *span)
{
    size_t   len;
    bool     fits, ring;
    uint8_t  bytes[TRACE_SPAN_MAX];

    if (!(span->id.flags & TRAVEL_TRACE_SAMPLED) || !trace.running) {
        return;
    }

    len = travel_otlp_span(bytes, sizeof(bytes), span);

    pthread_mutex_lock(&trace.mutex);

    fits = len > 0
           && trace.active.len + len <= TRACE_BUFFER - TRACE_HEAD;

    if (fits) {
        memcpy(trace.active.bytes + TRACE_HEAD + trace.active.len, bytes, len);
        trace.active.len += len;
        trace.active.spans++;
    } else {
        trace.stat.dropped++;
    }

    ring = trace.active.len >= TRACE_RING_AT
           && trace.active.len - len < TRACE_RING_AT;

    if (ring) {
        pthread_cond_signal(&trace.ring);
    }

    pthread_mutex_unlock(&trace.mutex);
}


worker_trace_stat_t
worker_trace_stat(void)
{
    worker_trace_stat_t  stat;

    pthread_mutex_lock(&trace.mutex);
    stat = trace.stat;
    pthread_mutex_unlock(&trace.mutex);

    return stat;
}


/* Writes the resource in front of the spans; returns where the message
 * begins, NULL when it does not fit. */
static const uint8_t *
trace_message(const trace_buffer_t *buffer, size_t *ret_len)
{
    char           host[64], instance[96];
    size_t         len;
    uint8_t        head[TRACE_HEAD];
    travel_attr_t  resource[4];

    if (gethostname(host, sizeof(host)) != 0) {
        strcpy(host, "unknown");
    }

    host[sizeof(host) - 1] = '\0';
    snprintf(instance, sizeof(instance), "%s:%d", host, (int) getpid());

    resource[0] = (travel_attr_t) { TRAVEL_STR("service.name"),
        TRAVEL_ATTR_STRING, { .s = TRAVEL_STR("travel-worker") } };
    resource[1] = (travel_attr_t) { TRAVEL_STR("service.instance.id"),
        TRAVEL_ATTR_STRING, { .s = { instance, strlen(instance) } } };
    resource[2] = (travel_attr_t) { TRAVEL_STR("host.name"),
        TRAVEL_ATTR_STRING, { .s = { host, strlen(host) } } };
    resource[3] = (travel_attr_t) { TRAVEL_STR("process.pid"),
        TRAVEL_ATTR_INT, { .i = getpid() } };

    len = travel_otlp_batch_head(head, sizeof(head), resource, 4, buffer->len);

    if (len == 0) {
        return NULL;
    }

    memcpy(buffer->bytes + TRACE_HEAD - len, head, len);
    *ret_len = len + buffer->len;
    return buffer->bytes + TRACE_HEAD - len;
}


static size_t
trace_discard(char *data, size_t size, size_t n, void *ctx)
{
    (void) data;
    (void) ctx;

    return size * n;
}


static void
trace_after(struct timespec *ts, long ms)
{
    clock_gettime(CLOCK_MONOTONIC, ts);
    ts->tv_sec += ms / 1000;
    ts->tv_nsec += ms % 1000 * 1000000;

    if (ts->tv_nsec >= 1000000000) {
        ts->tv_sec++;
        ts->tv_nsec -= 1000000000;
    }
}


/* Milliseconds that may still be spent: all of them until stop is called. */
static long
trace_time_left(void)
{
    long             left;
    struct timespec  now;

    left = TRACE_TIMEOUT_MS;
    pthread_mutex_lock(&trace.mutex);

    if (trace.stopping) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        left = (trace.give_up.tv_sec - now.tv_sec) * 1000
               + (trace.give_up.tv_nsec - now.tv_nsec) / 1000000;
    }

    pthread_mutex_unlock(&trace.mutex);
    return left < TRACE_TIMEOUT_MS ? left : TRACE_TIMEOUT_MS;
}


static bool
trace_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec
                                  : a->tv_nsec < b->tv_nsec;
}


/* Sleeps before another try; once stopping, not beyond the end. */
static void
trace_pause(long ms)
{
    struct timespec  until, now;

    trace_after(&until, ms);
    pthread_mutex_lock(&trace.mutex);

    do {
        if (trace.stopping && trace_before(&trace.give_up, &until)) {
            until = trace.give_up;
        }

        /* rung because the active buffer fills: it may, we drop */
        (void) pthread_cond_timedwait(&trace.ring, &trace.mutex, &until);
        clock_gettime(CLOCK_MONOTONIC, &now);

    } while (trace_before(&now, &until));

    pthread_mutex_unlock(&trace.mutex);
}


/* One POST: HTTP status, 0 when there was no answer. */
static long
trace_post(const uint8_t *message, size_t len, long timeout, long *ret_after)
{
    long        status;
    curl_off_t  after;

    status = 0;
    after = 0;

    curl_easy_setopt(trace.curl, CURLOPT_POSTFIELDS, (const char *) message);
    curl_easy_setopt(trace.curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     (curl_off_t) len);
    curl_easy_setopt(trace.curl, CURLOPT_TIMEOUT_MS, timeout);

    if (curl_easy_perform(trace.curl) == CURLE_OK) {
        curl_easy_getinfo(trace.curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(trace.curl, CURLINFO_RETRY_AFTER, &after);
    }

    *ret_after = after > 0 && after < 60 ? (long) after * 1000 : 0;
    return status;
}


/* The OTLP rules: 2xx is done, 429, 502, 503, 504 and no answer are tried
 * again, all else is lost. */
static bool
trace_send(const trace_buffer_t *buffer)
{
    long            status, after, left;
    size_t          len;
    uint32_t        rnd;
    unsigned        i;
    const uint8_t  *message;

    message = trace_message(buffer, &len);

    for (i = 0; message != NULL && i < TRACE_TRIES; i++) {
        left = trace_time_left();

        if (left <= 0) {
            return false;
        }

        status = trace_post(message, len, left, &after);

        if (status >= 200 && status <= 299) {
            return true;
        }

        if (status != 0 && status != 429 && status != 502 && status != 503
            && status != 504)
        {
            return false;
        }

        if (travel_random(&rnd, sizeof(rnd)) != TRAVEL_OK) {
            rnd = 0;
        }

        trace_pause((long) travel_backoff_ms(i, 250, 5000, (uint64_t) after,
                                             rnd));
    }

    return false;
}


static void
trace_flush(void)
{
    bool            sent;
    trace_buffer_t  swap;

    pthread_mutex_lock(&trace.mutex);
    swap = trace.active;
    trace.active = trace.sending;
    trace.sending = swap;
    pthread_mutex_unlock(&trace.mutex);

    if (trace.sending.spans == 0) {
        return;
    }

    sent = trace_send(&trace.sending);

    pthread_mutex_lock(&trace.mutex);

    if (sent) {
        trace.stat.exported += trace.sending.spans;
    } else {
        trace.stat.failed += trace.sending.spans;
    }

    pthread_mutex_unlock(&trace.mutex);

    trace.sending.len = 0;
    trace.sending.spans = 0;
}


static void *
trace_run(void *ctx)
{
    bool             last;
    struct timespec  until;

    (void) ctx;

    do {
        trace_after(&until, TRACE_INTERVAL_MS);
        pthread_mutex_lock(&trace.mutex);

        while (!trace.stopping && trace.active.len < TRACE_RING_AT
               && pthread_cond_timedwait(&trace.ring, &trace.mutex, &until)
                  == 0)
        {
            /* woken without need */
        }

        last = trace.stopping;
        pthread_mutex_unlock(&trace.mutex);

        trace_flush();

    } while (!last);

    return NULL;
}


static int
trace_prepare(const worker_conf_t *conf)
{
    pthread_condattr_t  attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&trace.ring, &attr);
    pthread_condattr_destroy(&attr);

    trace.stopping = false;
    trace.active = (trace_buffer_t) { malloc(TRACE_BUFFER), 0, 0 };
    trace.sending = (trace_buffer_t) { malloc(TRACE_BUFFER), 0, 0 };
    trace.url = strdup(conf->otlp_url);
    trace.curl = curl_easy_init();
    trace.headers = curl_slist_append(NULL,
                                      "Content-Type: application/x-protobuf");

    if (trace.active.bytes == NULL || trace.sending.bytes == NULL
        || trace.url == NULL || trace.curl == NULL || trace.headers == NULL)
    {
        return TRAVEL_ERROR;
    }

    curl_easy_setopt(trace.curl, CURLOPT_URL, trace.url);
    curl_easy_setopt(trace.curl, CURLOPT_HTTPHEADER, trace.headers);
    curl_easy_setopt(trace.curl, CURLOPT_POST, 1L);
    curl_easy_setopt(trace.curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(trace.curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(trace.curl, CURLOPT_WRITEFUNCTION, trace_discard);
    curl_easy_setopt(trace.curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(trace.curl, CURLOPT_PROXY, "");

    return TRAVEL_OK;
}


static void
trace_free(void)
{
    free(trace.active.bytes);
    free(trace.sending.bytes);
    free(trace.url);
    curl_easy_cleanup(trace.curl);
    curl_slist_free_all(trace.headers);
    pthread_cond_destroy(&trace.ring);
    trace.curl = NULL;
}


int
worker_trace_start(const worker_conf_t *conf)
{
    if (conf->otlp_url == NULL || trace.running) {
        return TRAVEL_OK;
    }

    if (trace_prepare(conf) != TRAVEL_OK
        || pthread_create(&trace.thread, NULL, trace_run, NULL) != 0)
    {
        trace_free();
        return TRAVEL_ERROR;
    }

    trace.running = true;
    return TRAVEL_OK;
}


void
worker_trace_stop(void)
{
    if (!trace.running) {
        return;
    }

    pthread_mutex_lock(&trace.mutex);
    trace_after(&trace.give_up, TRACE_STOP_MS);
    trace.stopping = true;
    pthread_cond_broadcast(&trace.ring);
    pthread_mutex_unlock(&trace.mutex);

    pthread_join(trace.thread, NULL);
    trace.running = false;
    trace_free();
}
