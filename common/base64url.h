/* Base64url without padding, RFC 4648 section 5 as RFC 7515 section 2 wants
 * it: strict, so '=', an alien character or non-zero trailing bits are
 * refused. */

#ifndef TRAVEL_BASE64URL_H
#define TRAVEL_BASE64URL_H

#include "travel.h"

#define TRAVEL_BASE64URL_LEN(n)  (((n) * 4 + 2) / 3)    /* encoded, exact */
#define TRAVEL_BASE64URL_MAX(n)  ((n) * 3 / 4)          /* decoded, exact */

/* Writes TRAVEL_BASE64URL_LEN(n) characters, no NUL; returns that count. */
size_t travel_base64url_encode(char *dst, const void *src, size_t n);

/* 'dst' holds at least TRAVEL_BASE64URL_MAX(src.len) bytes.
 * TRAVEL_OK or TRAVEL_INVALID. */
int travel_base64url_decode(uint8_t *dst, size_t *ret_len, travel_str_t src)
    TRAVEL_MUST_CHECK;

#endif
