/*
 * The cursor of a list: where the next page begins, opaque to the client and
 * signed, so that nobody makes up a position or takes one to another list.
 *
 *     text = base64url( version 1 | each value, NUL-terminated |
 *                       first 16 bytes of HMAC-SHA-256 )
 *
 * The signature covers a scope besides (which list, whose), that is not in the
 * text.  Values are texts as PostgreSQL prints them.
 */

#ifndef TRAVEL_CURSOR_H
#define TRAVEL_CURSOR_H

#include "travel.h"

#define TRAVEL_CURSOR_VALUES_MAX  4
#define TRAVEL_CURSOR_RAW_MAX     512
#define TRAVEL_CURSOR_MAX         ((TRAVEL_CURSOR_RAW_MAX * 4 + 2) / 3)

/* dst holds TRAVEL_CURSOR_MAX; *ret_len set, no NUL.  TRAVEL_OK,
 * TRAVEL_INVALID (values too long, too many or with a NUL; an empty secret),
 * TRAVEL_ERROR. */
int travel_cursor_sign(char *dst, size_t *ret_len, const travel_str_t *values,
    size_t n, travel_str_t scope, travel_str_t secret) TRAVEL_MUST_CHECK;

/* 'buf' holds TRAVEL_CURSOR_RAW_MAX; ret_values[n] point into it, each
 * NUL-terminated.  TRAVEL_OK, TRAVEL_INVALID (shape), TRAVEL_REFUSED
 * (signature, or another list's), TRAVEL_ERROR. */
int travel_cursor_verify(char *buf, const char **ret_values, size_t n,
    travel_str_t text, travel_str_t scope, travel_str_t secret)
    TRAVEL_MUST_CHECK;

#endif
