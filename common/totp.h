/*
 * One-time passwords by the clock (RFC 6238, over RFC 4226): SHA-1, steps of 30
 * seconds, six digits, which is what authenticator apps do; and base32 (RFC
 * 4648 section 6, without padding), in which they are given secrets.
 */

#ifndef TRAVEL_TOTP_H
#define TRAVEL_TOTP_H

#include "travel.h"

#define TRAVEL_TOTP_STEP    30          /* s */
#define TRAVEL_TOTP_DIGITS  6
#define TRAVEL_TOTP_SECRET  20          /* bytes */
#define TRAVEL_TOTP_DRIFT   1           /* steps that clocks may differ */

#define TRAVEL_BASE32_LEN(n)  (((n) * 8 + 4) / 5)    /* encoded, exact */

/* Writes TRAVEL_BASE32_LEN(n) characters, no NUL; returns that count. */
size_t travel_base32_encode(char *dst, const void *src, size_t n);

/* The code of a counter, of 'digits' (1 to 9) and NUL.  TRAVEL_OK or
 * TRAVEL_ERROR. */
int travel_hotp(char *dst, travel_str_t secret, uint64_t counter,
    unsigned digits) TRAVEL_MUST_CHECK;

/* Which step around 'now' (unix seconds) has this code: TRAVEL_OK;
 * TRAVEL_REFUSED: none; TRAVEL_INVALID: it is no code, not six digits;
 * TRAVEL_ERROR.  Blanks in it do not count.  Whether the step was used before
 * is the caller's to know. */
int travel_totp_step(uint64_t *ret_step, travel_str_t secret,
    travel_str_t code, int64_t now) TRAVEL_MUST_CHECK;

/* A recovery code as it is hashed: letters and digits in upper case, dashes and
 * blanks left out.  'dst' holds code.len + 1 bytes; NUL-terminated.  TRAVEL_OK;
 * TRAVEL_INVALID: it has other characters, or none. */
int travel_recovery_plain(char *dst, travel_str_t code) TRAVEL_MUST_CHECK;

#endif
