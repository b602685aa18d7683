/* RFC 3339 instants.  Output is always UTC with milliseconds and 'Z'. */

#ifndef TRAVEL_TIMESTAMP_H
#define TRAVEL_TIMESTAMP_H

#include "travel.h"

#define TRAVEL_TIMESTAMP_LEN  24     /* 2026-03-01T19:00:00.000Z */

/* No NUL; years 0000-9999. */
void travel_timestamp_format(char *dst, uint64_t unix_ms);

/* The whole of RFC 3339 section 5.6 date-time, offset required; leap second
 * 60 is accepted and read as 59.999.  TRAVEL_OK or TRAVEL_INVALID. */
int travel_timestamp_parse(int64_t *ret_unix_ms, travel_str_t text)
    TRAVEL_MUST_CHECK;

/* The same to the microsecond, what is finer cut off; a leap second is read as
 * 59.999999. */
int travel_timestamp_parse_us(int64_t *ret_unix_us, travel_str_t text)
    TRAVEL_MUST_CHECK;

/* full-date (YYYY-MM-DD): is it a day of the calendar? */
bool travel_date_valid(travel_str_t text);

#endif
