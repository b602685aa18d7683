/*
 * API keys as text:
 *
 *     trv_0123456789abcdef_<43 characters of base64url>
 *
 * The id names the key, in lists and in the database; the rest is 256 random
 * bits.  Whoever keeps a key keeps the SHA-256 of the whole text.
 */

#ifndef TRAVEL_API_KEY_H
#define TRAVEL_API_KEY_H

#include "hash.h"

#define TRAVEL_API_KEY_PREFIX  "trv_"
#define TRAVEL_API_KEY_ID_LEN  16
#define TRAVEL_API_KEY_SECRET  32          /* bytes */
#define TRAVEL_API_KEY_LEN     (4 + TRAVEL_API_KEY_ID_LEN + 1 + 43)

/* Is it shaped like one?  The id points into 'text'.  TRAVEL_OK or
 * TRAVEL_INVALID. */
int travel_api_key_parse(travel_str_t *ret_id, travel_str_t text)
    TRAVEL_MUST_CHECK;

/* 'dst' holds TRAVEL_API_KEY_LEN; no NUL.  From random bytes of the caller's
 * making: 8 for the id, 32 for the secret. */
void travel_api_key_format(char *dst, const uint8_t id[8],
    const uint8_t secret[TRAVEL_API_KEY_SECRET]);

#endif
