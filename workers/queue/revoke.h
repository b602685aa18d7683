/* What has been taken back is told to every node (common/revocation.h). */

#ifndef WORKER_REVOKE_H
#define WORKER_REVOKE_H

#include "redis.h"
#include "../../common/revocation.h"

/* Announces n revocations that may be forgotten at 'expires' (unix seconds):
 * put on record first, then told.  TRAVEL_OK; TRAVEL_INVALID: one can be none;
 * TRAVEL_ERROR: it may have been done in part, and may be repeated.  Why is
 * filled then. */
int worker_revoke(worker_redis_t *redis,
    const travel_revocation_t *revocations, size_t n, long long expires,
    char why[WORKER_WHY_MAX]) TRAVEL_MUST_CHECK;

#endif
