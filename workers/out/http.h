/*
 * Outgoing HTTP, by the process's I/O thread (io.h): a request is an ask
 * (ask.h), whose answer says what came of it.
 */

#ifndef WORKER_HTTP_H
#define WORKER_HTTP_H

#include "../../common/traceparent.h"
#include "ask.h"

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
    int     rc;                            /* TRAVEL_OK: a status came;
                                              TRAVEL_REFUSED: the breaker is
                                              open; TRAVEL_ERROR: none came */
    int     status;                        /* 0: no answer */
    char   *body;                          /* NUL-terminated, owned */
    size_t  len;
    long    retry_after_ms;                /* 0: none */
    long    version;                       /* of HTTP: 11, 20; 0 not known */
    bool    barred;                        /* the address was not allowed */
    char    error[160];                    /* why there is no answer */
} worker_http_response_t;

/*
 * A request with all it needs copied.  It waits for its turn for 'patience_ms'
 * at most, answer included (0: timeout_ms), and for the answer from then on for
 * 'timeout_ms'.  It is given up within a second when *cancel (may be NULL)
 * becomes true.  NULL: out of memory.
 */
worker_ask_t *worker_http_ask(const worker_http_request_t *req, long timeout_ms,
    long patience_ms, const _Atomic bool *cancel);

#endif
