/*
 * A sighting of a user as nodes tell it each other (risk.h): what travel and
 * device signals need, in 56 bytes, integers big-endian:
 *
 *     "R1"  u16 country  u32 radius  16 bytes user
 *     u64 now (unix s)  u64 device  i32 lat  i32 lon (1e-6 degrees)
 *     8 bytes: of HMAC-SHA-256 of all before under the nodes' common secret
 *
 * A latitude of INT32_MIN: without a place.  Bytes from a shared store are
 * never believed: what is not of this form, signed and possible is
 * TRAVEL_INVALID.
 */

#ifndef TRAVEL_RISK_NEWS_H
#define TRAVEL_RISK_NEWS_H

#include "ids.h"
#include "risk.h"

#define TRAVEL_RISK_NEWS_LEN  56

int travel_risk_news_encode(char dst[TRAVEL_RISK_NEWS_LEN],
    const travel_uuid_t *user, const travel_risk_sighting_t *sighting,
    travel_str_t secret) TRAVEL_MUST_CHECK;

/* Everything of *ret_sighting but 'failures' is filled, which is 0. */
int travel_risk_news_decode(travel_uuid_t *ret_user,
    travel_risk_sighting_t *ret_sighting, travel_str_t bytes,
    travel_str_t secret) TRAVEL_MUST_CHECK;

#endif
