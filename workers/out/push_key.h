/*
 * What a push service lets us in by: an OAuth2 access token (FCM), a signed
 * provider token (APNs).  One of each per process, made when first needed and
 * renewed before it ends.
 */

#ifndef WORKER_PUSH_KEY_H
#define WORKER_PUSH_KEY_H

#include "push.h"

#define WORKER_PUSH_KEY_MAX  4096

/* Any thread but the I/O thread; may take a call to Google.  TRAVEL_OK, or
 * TRAVEL_ERROR with one line in 'why'. */
int worker_push_key(worker_io_t *io, worker_push_service_e service,
    const travel_trace_t *trace, char ret_key[WORKER_PUSH_KEY_MAX],
    char why[160]) TRAVEL_MUST_CHECK;

/* The service does not take 'key' any more: it is not given again.  False:
 * it is younger than it may be (APNs counts renewals), so it stays. */
bool worker_push_key_bad(worker_push_service_e service, const char *key);

#endif
