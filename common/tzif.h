/*
 * Time zone files (TZif, RFC 8536/9636): the offsets of a zone over some
 * years.
 *
 * The file's list of changes is taken as it is; what comes after its last one
 * is worked out from the rule at its end ("CET-1CEST,M3.5.0,M10.5.0/3").
 */

#ifndef TRAVEL_TZIF_H
#define TRAVEL_TZIF_H

#include "calendar.h"

#define TRAVEL_TZIF_YEARS  40       /* the longest time that is worked out */

/*
 * Writes the offset that holds at 'from', then every change up to 'to' (unix
 * seconds), at most 'room' of them.  TRAVEL_OK with *ret_n 1 or more;
 * TRAVEL_INVALID when 'file' is no such file, names no such time, or 'room'
 * does not do.
 */
int travel_tzif_read(travel_zone_change_t *changes, size_t room,
    size_t *ret_n, travel_str_t file, int64_t from, int64_t to)
    TRAVEL_MUST_CHECK;

#endif
