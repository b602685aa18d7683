/*
 * Pushes to devices by the services that reach them: FCM (HTTP v1) and APNs,
 * both over HTTP/2 and by the I/O thread (io.h).
 *
 * A token that a service calls invalid or gone is told to the caller, whose
 * table it is in.  A message may be delivered twice (a crash, a lost answer);
 * the device then replaces the first by the second, which has the same key.
 */

#ifndef WORKER_PUSH_H
#define WORKER_PUSH_H

#include <jansson.h>

#include "../../common/push_answer.h"
#include "../../common/traceparent.h"
#include "ask.h"

typedef struct {
    worker_push_service_e   service;
    const char             *token;         /* the device's */
    const char             *id;            /* a UUID, the same when repeated */
    const char             *title;
    const char             *body;
    const json_t           *data;          /* strings for the app, or NULL */
    const travel_trace_t   *trace;         /* parent span, or NULL */
} worker_push_t;

typedef struct {
    travel_push_outcome_e  outcome;        /* never KEY: that is LATER */
    int                    status;         /* 0: no answer */
    long                   retry_after_ms; /* 0: nothing said */
    int64_t                gone_ms;        /* since then (unix), 0: not said */
    char                   why[160];       /* unless SENT */
} worker_push_answer_t;

/*
 * Many pushes at once, each with its answer; both arrays, and what the pushes
 * point to, must stay until it is over.  All of it is over within 'patience_ms'
 * (0: each within its section's time-out), and given up within a second when
 * *cancel (may be NULL) becomes true.  NULL: out of memory.
 */
worker_ask_t *worker_push_ask(const worker_push_t *pushes,
    worker_push_answer_t *ret_answers, size_t n, long patience_ms,
    const _Atomic bool *cancel);

/* "fcm" or "apns"; -1 when it is neither. */
int worker_push_service(const char *name);

#endif
