/* How the commands of travelctl take things back (common/revocation.h). */

#ifndef TRAVELCTL_REVOKE_H
#define TRAVELCTL_REVOKE_H

#include <hiredis/hiredis.h>

#include "ctl.h"
#include "../../common/revocation.h"

#define CTL_REVOKE_TTL  (30 * 24 * 3600L)     /* seconds */

/* Announces n revocations that may be forgotten at 'expires' (unix seconds):
 * put on record first, then told to all nodes.  CTL_GOOD, or a complaint on
 * stderr; it may have been done in part, and may be repeated. */
int ctl_revoke(worker_redis_t *redis, const travel_revocation_t *revocations,
    size_t n, long long expires);

#endif
