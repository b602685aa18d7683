/* RFC 3339 instants to Unix milliseconds and back, proleptic Gregorian. */

#include "timestamp.h"


#define MS_PER_DAY   86400000LL
#define YEAR_9999    253402300799999ULL      /* 9999-12-31T23:59:59.999Z */


/*
 * Days since 1970-01-01.  Years are counted from March, so that the leap day
 * is the last of its year and the months before a date take
 * (153 * m + 2) / 5 days; 400 years are 146,097 days.
 */

static int64_t
travel_days(int year, int month, int day)
{
    int64_t  y, era, of_era, of_year;

    y = month <= 2 ? year - 1 : year;
    era = (y >= 0 ? y : y - 399) / 400;
    of_era = y - era * 400;
    of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
           - 719468;
}


static void
travel_timestamp_digits(char *dst, unsigned v, int n)
{
    while (n) {
        dst[--n] = (char) ('0' + v % 10);
        v /= 10;
    }
}


void
travel_timestamp_format(char *dst, uint64_t unix_ms)
{
    unsigned  days, ms, era, of_era, of_year, y, m, d;

    if (unix_ms > YEAR_9999) {
        unix_ms = YEAR_9999;
    }

    days = (unsigned) (unix_ms / MS_PER_DAY) + 719468;
    ms = (unsigned) (unix_ms % MS_PER_DAY);

    era = days / 146097;
    of_era = days % 146097;
    y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * y + y / 4 - y / 100);
    m = (5 * of_year + 2) / 153;
    d = of_year - (153 * m + 2) / 5 + 1;

    y += era * 400 + (m >= 10);
    m = m < 10 ? m + 3 : m - 9;

    memcpy(dst, "0000-00-00T00:00:00.000Z", TRAVEL_TIMESTAMP_LEN);

    travel_timestamp_digits(dst, y, 4);
    travel_timestamp_digits(dst + 5, m, 2);
    travel_timestamp_digits(dst + 8, d, 2);
    travel_timestamp_digits(dst + 11, ms / 3600000, 2);
    travel_timestamp_digits(dst + 14, ms / 60000 % 60, 2);
    travel_timestamp_digits(dst + 17, ms / 1000 % 60, 2);
    travel_timestamp_digits(dst + 20, ms % 1000, 3);
}


/* Exactly n digits as a number, or -1. */

static int
travel_number(const char *p, int n)
{
    int  v;

    for (v = 0; n; n--, p++) {
        if (*p < '0' || *p > '9') {
            return -1;
        }

        v = v * 10 + (*p - '0');
    }

    return v;
}


static int
travel_month_days(int year, int month)
{
    static const uint8_t  days[12] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (month == 2 && year % 4 == 0 && (year % 100 || year % 400 == 0)) {
        return 29;
    }

    return days[month - 1];
}


/* YYYY-MM-DD in the ten bytes at 'p'. */

static int
travel_date_parse(int64_t *ret_days, const char *p)
{
    int  year, month, day;

    year = travel_number(p, 4);
    month = travel_number(p + 5, 2);
    day = travel_number(p + 8, 2);

    if (year < 0 || p[4] != '-' || p[7] != '-'
        || month < 1 || month > 12
        || day < 1 || day > travel_month_days(year, month))
    {
        return TRAVEL_INVALID;
    }

    *ret_days = travel_days(year, month, day);

    return TRAVEL_OK;
}


bool
travel_date_valid(travel_str_t text)
{
    int64_t  days;

    return text.len == 10 && travel_date_parse(&days, text.data) == TRAVEL_OK;
}


/* "Z" or "+hh:mm" filling [p, end): minutes east of UTC. */

static int
travel_offset_parse(int *ret_minutes, const char *p, const char *end)
{
    int  hours, minutes;

    if (end - p == 1 && (*p == 'Z' || *p == 'z')) {
        *ret_minutes = 0;
        return TRAVEL_OK;
    }

    if (end - p != 6 || (*p != '+' && *p != '-') || p[3] != ':') {
        return TRAVEL_INVALID;
    }

    hours = travel_number(p + 1, 2);
    minutes = travel_number(p + 4, 2);

    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) {
        return TRAVEL_INVALID;
    }

    *ret_minutes = (hours * 60 + minutes) * (*p == '-' ? -1 : 1);

    return TRAVEL_OK;
}


/* ".123456" at 'p', or nothing: microseconds, rounded down.  Returns what
 * follows, or NULL. */

static const char *
travel_fraction_parse(int *ret_us, const char *p, const char *end)
{
    int          us, digits;
    const char  *start;

    us = 0;

    if (p < end && *p == '.') {
        start = ++p;

        for (digits = 0; p < end && *p >= '0' && *p <= '9'; p++) {
            if (digits < 6) {
                us = us * 10 + (*p - '0');
                digits++;
            }
        }

        if (p == start) {
            return NULL;
        }

        for ( /* void */ ; digits < 6; digits++) {
            us *= 10;
        }
    }

    *ret_us = us;

    return p;
}


int
travel_timestamp_parse_us(int64_t *ret_unix_us, travel_str_t text)
{
    int          hour, minute, second, us, offset, utc;
    int64_t      days;
    const char  *p, *end;

    p = text.data;

    if (text.len < sizeof("2026-03-01T19:00:00Z") - 1
        || travel_date_parse(&days, p) != TRAVEL_OK
        || (p[10] != 'T' && p[10] != 't') || p[13] != ':' || p[16] != ':')
    {
        return TRAVEL_INVALID;
    }

    hour = travel_number(p + 11, 2);
    minute = travel_number(p + 14, 2);
    second = travel_number(p + 17, 2);

    if (hour < 0 || hour > 23 || minute < 0 || minute > 59
        || second < 0 || second > 60)
    {
        return TRAVEL_INVALID;
    }

    end = p + text.len;
    p = travel_fraction_parse(&us, p + 19, end);

    if (p == NULL || travel_offset_parse(&offset, p, end) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    utc = hour * 60 + minute - offset;

    if (second == 60) {

        /* leap seconds end a day of UTC and no other minute */

        if ((utc + 2 * 1440) % 1440 != 1439) {
            return TRAVEL_INVALID;
        }

        second = 59;
        us = 999999;
    }

    *ret_unix_us = (days * MS_PER_DAY + (int64_t) utc * 60000 + second * 1000)
                   * 1000 + us;

    return TRAVEL_OK;
}


int
travel_timestamp_parse(int64_t *ret_unix_ms, travel_str_t text)
{
    int      rc;
    int64_t  us;

    rc = travel_timestamp_parse_us(&us, text);

    if (rc == TRAVEL_OK) {
        us -= (us % 1000 + 1000) % 1000;          /* down, before 1970 too */
        *ret_unix_ms = us / 1000;
    }

    return rc;
}
