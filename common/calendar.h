/*
 * Calendar days of a time zone: which day it is there, and when the next one
 * begins.  A zone is the list of its offsets from UTC; who fills it (from the
 * tz database) is not our business.
 */

#ifndef TRAVEL_CALENDAR_H
#define TRAVEL_CALENDAR_H

#include "travel.h"

typedef struct {
    int64_t   from;              /* unix seconds; the first: any */
    int32_t   offset;            /* seconds east of UTC from then on */
} travel_zone_change_t;

typedef struct {
    const travel_zone_change_t  *changes;      /* by rising 'from' */
    size_t                       n;            /* 0: UTC */
} travel_zone_t;

typedef struct {
    uint32_t  day;               /* from 1970-01-01, local */
    uint32_t  left;              /* ms until the next begins, 1 or more */
} travel_day_t;

/* Days have 23 to 25 hours.  Where midnight is skipped the next day begins at
 * the moment it is skipped; times before 1970 read as its first day. */
void travel_calendar_day(travel_day_t *ret_day, const travel_zone_t *zone,
    uint64_t unix_ms);

#endif
