/* Dates of HTTP fields: three forms in, one out. */

#include "http_date.h"


#define HTTP_DATE_FIRST  (-11644473600LL)       /* 1601-01-01 */
#define HTTP_DATE_LAST   253402300799LL         /* 9999-12-31T23:59:59 */


typedef struct {
    const char  *p;
    const char  *end;
} http_date_cursor_t;

typedef struct {
    int64_t      year;
    unsigned     month;             /* 0 = January */
    unsigned     day;
    unsigned     hour;
    unsigned     minute;
    unsigned     second;
} http_date_parts_t;


static const char  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char  days[] = "SunMonTueWedThuFriSat";
static const char *const  long_days[] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"
};


/* Days since 1970-01-01 of the proleptic Gregorian calendar. */
static int64_t
civil_days(int64_t year, unsigned month, unsigned day)
{
    int64_t   era;
    unsigned  yoe, doy, doe;

    /* a year that begins in March ends with the leap day */
    month++;
    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    yoe = (unsigned) (year - era * 400);
    doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + (int64_t) doe - 719468;
}


static bool
take(http_date_cursor_t *c, const char *literal)
{
    size_t  n;

    n = strlen(literal);

    if ((size_t) (c->end - c->p) < n || memcmp(c->p, literal, n) != 0) {
        return false;
    }

    c->p += n;

    return true;
}


static bool
take_number(http_date_cursor_t *c, unsigned digits, unsigned *ret_v)
{
    unsigned  i, v;

    if ((size_t) (c->end - c->p) < digits) {
        return false;
    }

    for (i = 0, v = 0; i < digits; i++) {
        if (c->p[i] < '0' || c->p[i] > '9') {
            return false;
        }

        v = v * 10 + (unsigned) (c->p[i] - '0');
    }

    c->p += digits;
    *ret_v = v;

    return true;
}


/* One of the three-letter names, by its place among them. */
static bool
take_name(http_date_cursor_t *c, const char *names, unsigned *ret_i)
{
    unsigned  i;

    if (c->end - c->p < 3) {
        return false;
    }

    for (i = 0; names[3 * i] != '\0'; i++) {
        if (memcmp(c->p, names + 3 * i, 3) == 0) {
            c->p += 3;
            *ret_i = i;
            return true;
        }
    }

    return false;
}


static bool
take_time(http_date_cursor_t *c, http_date_parts_t *d)
{
    return take_number(c, 2, &d->hour) && take(c, ":")
           && take_number(c, 2, &d->minute) && take(c, ":")
           && take_number(c, 2, &d->second);
}


static bool
take_zone(http_date_cursor_t *c)
{
    return take(c, " ") && (take(c, "GMT") || take(c, "UTC"))
           && c->p == c->end;
}


/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool
parse_imf(http_date_cursor_t c, http_date_parts_t *d)
{
    unsigned  i, year;

    if (!take_name(&c, days, &i) || !take(&c, ", ")
        || !take_number(&c, 2, &d->day) || !take(&c, " ")
        || !take_name(&c, months, &d->month) || !take(&c, " ")
        || !take_number(&c, 4, &year) || !take(&c, " ")
        || !take_time(&c, d) || !take_zone(&c))
    {
        return false;
    }

    d->year = year;

    return true;
}


/* Sunday, 06-Nov-94 08:49:37 GMT */
static bool
parse_rfc850(http_date_cursor_t c, http_date_parts_t *d, int64_t now)
{
    int64_t   this_year;
    unsigned  i, year;

    for (i = 0; i < 7 && !take(&c, long_days[i]); i++) {
        /* void */
    }

    if (i == 7 || !take(&c, ", ")
        || !take_number(&c, 2, &d->day) || !take(&c, "-")
        || !take_name(&c, months, &d->month) || !take(&c, "-")
        || !take_number(&c, 2, &year) || !take(&c, " ")
        || !take_time(&c, d) || !take_zone(&c))
    {
        return false;
    }

    this_year = 1970 + now / 31556952;
    d->year = this_year - this_year % 100 + year;

    if (d->year > this_year + 50) {
        d->year -= 100;
    }

    return true;
}


/* Sun Nov  6 08:49:37 1994 */
static bool
parse_asctime(http_date_cursor_t c, http_date_parts_t *d)
{
    unsigned  i, year;

    if (!take_name(&c, days, &i) || !take(&c, " ")
        || !take_name(&c, months, &d->month) || !take(&c, " ")
        || !(take(&c, " ") ? take_number(&c, 1, &d->day)
                           : take_number(&c, 2, &d->day))
        || !take(&c, " ") || !take_time(&c, d) || !take(&c, " ")
        || !take_number(&c, 4, &year) || c.p != c.end)
    {
        return false;
    }

    d->year = year;

    return true;
}


int
travel_http_date_parse(int64_t *ret_seconds, travel_str_t text, int64_t now)
{
    int64_t             seconds;
    unsigned            leap;
    http_date_parts_t   d = { 0 };
    http_date_cursor_t  c;

    static const unsigned char  lengths[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    c.p = text.data;
    c.end = text.data + text.len;

    if (text.len == 0
        || (!parse_imf(c, &d) && !parse_rfc850(c, &d, now)
            && !parse_asctime(c, &d)))
    {
        return TRAVEL_INVALID;
    }

    leap = d.month == 1 && d.year % 4 == 0
           && (d.year % 100 != 0 || d.year % 400 == 0);

    /* a leap second is the next minute's first */

    if (d.day == 0 || d.day > lengths[d.month] + leap || d.hour > 23
        || d.minute > 59 || d.second > 60)
    {
        return TRAVEL_INVALID;
    }

    seconds = civil_days(d.year, d.month, d.day) * 86400
           + (int64_t) (d.hour * 3600 + d.minute * 60 + d.second);

    if (seconds < HTTP_DATE_FIRST || seconds > HTTP_DATE_LAST) {
        return TRAVEL_INVALID;
    }

    *ret_seconds = seconds;

    return TRAVEL_OK;
}


static void
put_number(char *dst, unsigned digits, unsigned v)
{
    while (digits--) {
        dst[digits] = (char) ('0' + v % 10);
        v /= 10;
    }
}


void
travel_http_date_format(char *dst, int64_t seconds)
{
    int64_t   all, year;
    unsigned  rest, month, day;

    seconds = seconds < HTTP_DATE_FIRST ? HTTP_DATE_FIRST : seconds;
    seconds = seconds > HTTP_DATE_LAST ? HTTP_DATE_LAST : seconds;

    all = (seconds - HTTP_DATE_FIRST) / 86400 + HTTP_DATE_FIRST / 86400;
    rest = (unsigned) (seconds - all * 86400);

    year = 1970 + all / 366;

    if (all < 0) {
        year = 1970 + all / 365 - 1;
    }

    while (civil_days(year + 1, 0, 1) <= all) {
        year++;
    }

    for (month = 11; civil_days(year, month, 1) > all; month--) {
        /* void */
    }

    day = (unsigned) (all - civil_days(year, month, 1)) + 1;

    memcpy(dst, "Sun, 06 Nov 1994 08:49:37 GMT", TRAVEL_HTTP_DATE_LEN);
    memcpy(dst, days + 3 * ((all % 7 + 11) % 7), 3);
    put_number(dst + 5, 2, day);
    memcpy(dst + 8, months + 3 * month, 3);
    put_number(dst + 12, 4, (unsigned) year);
    put_number(dst + 17, 2, rest / 3600);
    put_number(dst + 20, 2, rest / 60 % 60);
    put_number(dst + 23, 2, rest % 60);
}
