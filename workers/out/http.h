/*
 * Outgoing HTTP: one I/O thread per process owns the libcurl multi handle;
 * slots hand a request over and wait on it (contracts section 7).
 */

#ifndef WORKER_HTTP_H
#define WORKER_HTTP_H

#include "../../common/traceparent.h"
#include "../pool/conf.h"

typedef struct worker_http_s  worker_http_t;

typedef struct {
    const char             *method;
    const char             *url;
    const char *const      *headers;       /* NULL-terminated, or NULL */
    travel_str_t            body;
    long                    timeout_ms;
    size_t                  max_response;  /* 0: 1 MiB */
    const travel_trace_t   *trace;         /* parent span; injected */
    const char             *destination;   /* breaker and span name: partner */
    bool                    stranger;      /* a url that others chose: only to
                                              public addresses and those that
                                              webhook_allow names; no breaker,
                                              which all of them would share */
} worker_http_request_t;

typedef struct {
    int     status;                        /* 0: no answer */
    char   *body;                          /* NUL-terminated, owned */
    size_t  len;
    long    retry_after_ms;                /* 0: none */
    bool    barred;                        /* the address was not allowed */
    char    error[160];                    /* why there is no answer */
} worker_http_response_t;

worker_http_t *worker_http_start(const worker_conf_t *conf);
void worker_http_stop(worker_http_t **phttp);

/* Any thread; blocks until the answer or the time-out.  TRAVEL_OK: a status
 * came; TRAVEL_REFUSED: the breaker is open; TRAVEL_ERROR: none came. */
int worker_http_call(worker_http_t *http, const worker_http_request_t *req,
    worker_http_response_t *ret_resp) TRAVEL_MUST_CHECK;
void worker_http_response_free(worker_http_response_t *resp);

#endif
