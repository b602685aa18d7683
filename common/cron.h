/*
 * Times that repeat: the five fields of crontab(5), in a time zone.
 *
 *     minute 0-59   hour 0-23   day 1-31   month 1-12   weekday 0-7
 *
 * Each is "*", a number, a range 1-5, a step over either ("*" "/15", 8-18/2),
 * or a list of these.  Months and weekdays have names (jan, mon), weekday 0
 * and 7 are Sunday.  When day and weekday are both restricted (neither begins
 * with "*"), a day that fits one of them fits.  Also @yearly (@annually),
 * @monthly, @weekly, @daily (@midnight) and @hourly.
 *
 * Summer time, as Debian's cron has it.  An entry with a "*" at the beginning
 * of minute or hour goes by what clocks show: it fires in both passes of an
 * hour that comes twice and not in one that is left out.  Any other has a time
 * of day: left out, it fires at the moment of the jump; come twice, the first
 * time only.
 */

#ifndef TRAVEL_CRON_H
#define TRAVEL_CRON_H

#include "calendar.h"

#define TRAVEL_CRON_YEARS  9        /* how far ahead a fire time is sought */

typedef struct {
    uint64_t  minutes;              /* bit i: minute i, and so on */
    uint32_t  hours;
    uint32_t  days;                 /* bits 1 to 31 */
    uint16_t  months;               /* bits 1 to 12 */
    uint8_t   weekdays;             /* bits 0 to 6 */
    bool      any_day;              /* the field began with "*" */
    bool      any_weekday;
    bool      by_clock;             /* minute or hour began with "*" */
} travel_cron_t;

/* TRAVEL_OK, or TRAVEL_INVALID with *ret_why a static text. */
int travel_cron_parse(travel_cron_t *ret_cron, travel_str_t text,
    const char **ret_why) TRAVEL_MUST_CHECK;

/* The first fire time after 'after', unix seconds; TRAVEL_REFUSED when
 * there is none within TRAVEL_CRON_YEARS (30 February).  The zone must know
 * its changes until then (tzif.h). */
int travel_cron_next(const travel_cron_t *cron, const travel_zone_t *zone,
    int64_t after, int64_t *ret_at) TRAVEL_MUST_CHECK;

#endif
