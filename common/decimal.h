/*
 * Exact decimal numbers over the text of a JSON number: nothing is rounded,
 * so 0.07 is a multiple of 0.01 and 9007199254740993 is not ...992.
 */

#ifndef TRAVEL_DECIMAL_H
#define TRAVEL_DECIMAL_H

#include "travel.h"

/* value = (-1)^negative * D * 10^scale, D being the 'n' digits from 'digits'
 * on (a '.' among them is skipped), without leading or trailing zeros.
 * n = 0 is zero, whatever its sign was. */
typedef struct {
    const char  *digits;      /* into the text */
    size_t       n;
    int64_t      scale;
    bool         negative;
} travel_decimal_t;

#define TRAVEL_DECIMAL_DIVISOR_DIGITS  18

/* 'text' is a number by RFC 8259's grammar: the JSON parser saw to it. */
travel_decimal_t travel_decimal_read(travel_str_t text);

static inline bool
travel_decimal_integer(const travel_decimal_t *d)
{
    return d->n == 0 || d->scale >= 0;
}

/* < 0, 0, > 0 */
int travel_decimal_cmp(const travel_decimal_t *a, const travel_decimal_t *b);

/* Is a = k * b for an integer k?  b is not zero and has at most
 * TRAVEL_DECIMAL_DIVISOR_DIGITS significant digits. */
bool travel_decimal_multiple(const travel_decimal_t *a,
    const travel_decimal_t *b);

/* TRAVEL_OK, or TRAVEL_INVALID when it is no integer or does not fit. */
int travel_decimal_int64(const travel_decimal_t *d, int64_t *ret_v)
    TRAVEL_MUST_CHECK;

/* Nearest double; overflow is infinity, underflow zero. */
double travel_decimal_double(const travel_decimal_t *d);

#endif
