/* Whole unsigned numbers in decimal, as in ids, stream fields and keys. */

#ifndef TRAVEL_DIGITS_H
#define TRAVEL_DIGITS_H

#include "travel.h"

#define TRAVEL_DIGITS_MAX  20       /* digits of UINT64_MAX */

/* Writes no more than the digits of 'v', TRAVEL_DIGITS_MAX at most; no NUL;
 * returns their number. */
size_t travel_digits_format(char *dst, uint64_t v);

/* Digits only, no sign, no leading zero but "0" itself, no overflow.
 * TRAVEL_OK or TRAVEL_INVALID. */
int travel_digits_parse(uint64_t *ret_v, travel_str_t text) TRAVEL_MUST_CHECK;

#endif
