/*
 * Outgoing HTTP, by the process's I/O thread (io.h): slots hand requests over
 * and wait for the answers.
 */

#ifndef WORKER_HTTP_H
#define WORKER_HTTP_H

#include "../../common/traceparent.h"
#include "io.h"

typedef struct {
    const char             *method;
    const char             *url;
    const char *const      *headers;       /* NULL-terminated, or NULL */
    travel_str_t            body;
    long                    timeout_ms;
    size_t                  max_response;  /* 0: 1 MiB */
    const travel_trace_t   *trace;         /* parent span; injected */
    const char             *destination;   /* breaker and span name: partner */
    const char             *ca_file;       /* whom to trust, or NULL: the
                                              system's list */
    bool                    multiplexed;   /* https: over one HTTP/2
                                              connection with others */
    bool                    stranger;      /* a url that others chose: only to
                                              public addresses and those that
                                              webhook_allow names; no breaker,
                                              which all of them would share */
} worker_http_request_t;

typedef struct worker_http_response_s {
    int     rc;                            /* as of worker_http_call */
    int     status;                        /* 0: no answer */
    char   *body;                          /* NUL-terminated, owned */
    size_t  len;
    long    retry_after_ms;                /* 0: none */
    long    version;                       /* of HTTP: 11, 20; 0 not known */
    bool    barred;                        /* the address was not allowed */
    char    error[160];                    /* why there is no answer */
} worker_http_response_t;

/* Any thread; blocks until the answer or the time-out.  TRAVEL_OK: a status
 * came; TRAVEL_REFUSED: the breaker is open; TRAVEL_ERROR: none came. */
int worker_http_call(worker_io_t *io, const worker_http_request_t *req,
    worker_http_response_t *ret_resp) TRAVEL_MUST_CHECK;

/* Many at once, each with its answer and its rc; blocks until the last. */
void worker_http_calls(worker_io_t *io, const worker_http_request_t *reqs,
    worker_http_response_t *ret_resps, size_t n);

void worker_http_response_free(worker_http_response_t *resp);

/*
 * A request that nobody waits for, with all it needs copied.  It waits for its
 * turn for 'patience_ms' at most, answer included (0: timeout_ms), and for the
 * answer from then on for 'timeout_ms'.  Sent, it must stay until 'over' was
 * called: on the I/O thread, exactly once.  It is given up within a second when
 * *cancel (may be NULL) becomes true.
 */
typedef struct worker_http_ask_s  worker_http_ask_t;

worker_http_ask_t *worker_http_ask_create(const worker_http_request_t *req,
    long timeout_ms, long patience_ms, const _Atomic bool *cancel);
void worker_http_ask_send(worker_http_ask_t *ask, worker_io_t *io,
    void (*over)(void *data), void *data);
/* The same, and waits. */
void worker_http_ask_wait(worker_http_ask_t *ask, worker_io_t *io);
/* When it is over. */
const worker_http_response_t *worker_http_ask_answer(
    const worker_http_ask_t *ask);
void worker_http_ask_free(worker_http_ask_t **pask);

#endif
