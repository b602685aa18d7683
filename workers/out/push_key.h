/*
 * What a push service lets us in by: an OAuth2 access token (FCM), a signed
 * provider token (APNs).  One of each per process, made when first needed and
 * renewed before it ends.
 */

#ifndef WORKER_PUSH_KEY_H
#define WORKER_PUSH_KEY_H

#include "push.h"

#define WORKER_PUSH_KEY_MAX  4096

/* Who wants a key.  'got' is called exactly once: with the key, or NULL and one
 * line in 'why'; both are gone after it.  It may be called before
 * worker_push_key returns, or later on the I/O thread. */
typedef struct worker_push_wait_s  worker_push_wait_t;

struct worker_push_wait_s {
    void  (*got)(worker_push_wait_t *wait, const char *key, const char *why);
    worker_push_wait_t  *next;
};

/* Any thread; may take a call to Google, which nobody waits for.  'wait' must
 * stay until 'got' is called; trace: of who may have made it necessary. */
void worker_push_key(worker_io_t *io, worker_push_service_e service,
    const travel_trace_t *trace, worker_push_wait_t *wait);

/* The service does not take 'key' any more: it is not given again.  False:
 * it is younger than it may be (APNs counts renewals), so it stays. */
bool worker_push_key_bad(worker_push_service_e service, const char *key);

#endif
