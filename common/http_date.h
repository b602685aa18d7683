/*
 * Dates of HTTP fields (RFC 9110 section 5.6.7): IMF-fixdate, and the two
 * obsolete forms that a recipient must still read.  Seconds since 1970, UTC.
 */

#ifndef TRAVEL_HTTP_DATE_H
#define TRAVEL_HTTP_DATE_H

#include "travel.h"

#define TRAVEL_HTTP_DATE_LEN  29        /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Years 1601 to 9999; a two-digit year is the one within fifty years of 'now'.
 * Case and zone are strict ("GMT" or "UTC").  TRAVEL_OK or TRAVEL_INVALID. */
int travel_http_date_parse(int64_t *ret_seconds, travel_str_t text, int64_t now)
    TRAVEL_MUST_CHECK;

/* IMF-fixdate, TRAVEL_HTTP_DATE_LEN characters, no NUL; a time out of those
 * years is the nearest in them. */
void travel_http_date_format(char *dst, int64_t seconds);

#endif
