/* Local days by a list of offsets. */

#include "calendar.h"


static int64_t
travel_calendar_offset(const travel_zone_t *zone, int64_t at)
{
    size_t   i;
    int64_t  offset;

    offset = zone->n ? zone->changes[0].offset : 0;

    for (i = 1; i < zone->n && zone->changes[i].from <= at; i++) {
        offset = zone->changes[i].offset;
    }

    return offset;
}


void
travel_calendar_day(travel_day_t *ret_day, const travel_zone_t *zone,
    uint64_t unix_ms)
{
    int64_t  at, day, next, midnight;

    at = (int64_t) (unix_ms / 1000);
    day = (at + travel_calendar_offset(zone, at)) / 86400;

    if (day < 0) {
        day = 0;
    }

    midnight = (day + 1) * 86400;

    /* by the offset of now; if it changes before, by that of then */
    next = midnight - travel_calendar_offset(zone, at);

    if (next + travel_calendar_offset(zone, next) < midnight
        || (next - 1) + travel_calendar_offset(zone, next - 1) >= midnight)
    {
        next = midnight - travel_calendar_offset(zone, next);
    }

    ret_day->day = (uint32_t) day;
    ret_day->left = next > at
                    ? (uint32_t) ((uint64_t) next * 1000 - unix_ms) : 1;
}
