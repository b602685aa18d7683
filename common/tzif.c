/*
 * TZif files: header, list of changes, and the rule behind it.
 *
 * A file has its data twice, first with 32-bit times for old readers; that
 * part is stepped over.  Version 1 files, which have nothing else, are
 * refused: nobody has written them for twenty years.
 */

#include "tzif.h"

#define TZIF_HEAD      44
#define TZIF_DAY       86400
#define TZIF_YEAR_MAX  3000

typedef struct {
    const uint8_t  *p;
    const uint8_t  *end;
} tzif_bytes_t;

typedef struct {
    uint32_t  isut;
    uint32_t  isstd;
    uint32_t  leap;
    uint32_t  times;
    uint32_t  types;
    uint32_t  chars;
} tzif_counts_t;

typedef struct {                    /* one end of summer time */
    char      kind;                 /* 'M', 'J' or 'D' (from 0) */
    int       month;
    int       week;
    int       day;
    int32_t   time;                 /* seconds after local midnight */
} tzif_date_t;

typedef struct {
    int32_t      standard;          /* seconds east of UTC */
    int32_t      summer;
    bool         changes;
    tzif_date_t  begin;
    tzif_date_t  end;
} tzif_rule_t;

typedef struct {                    /* what is written, and how far */
    travel_zone_change_t  *changes;
    size_t                 room;
    size_t                 n;
    int64_t                from;
    int64_t                to;
    bool                   full;
} tzif_out_t;


static int64_t
tzif_number(const uint8_t *p, size_t n)
{
    size_t    i;
    uint64_t  v;

    v = p[0] & 0x80 ? UINT64_MAX : 0;

    for (i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }

    return (int64_t) v;
}


static uint32_t
tzif_count(const uint8_t *p)
{
    return (uint32_t) tzif_number(p, 4);
}


/* A change comes after all that are written. */
static void
tzif_put(tzif_out_t *out, int64_t at, int32_t offset)
{
    if (out->n > 0 && (at > out->to || at <= out->changes[out->n - 1].from)) {
        return;
    }

    if (out->n > 0 && at <= out->from) {
        out->n = 0;                 /* overtaken before the time asked for */
    }

    if (out->n > 0 && out->changes[out->n - 1].offset == offset) {
        return;
    }

    if (out->n == out->room) {
        out->full = true;
        return;
    }

    out->changes[out->n++] = (travel_zone_change_t) { at, offset };
}


/* --- the rule ------------------------------------------------------------ */

/* A name: letters, or anything in <>. */
static bool
rule_name(tzif_bytes_t *b)
{
    const uint8_t  *s;

    s = b->p;

    if (s < b->end && *s == '<') {
        while (b->p < b->end && *b->p != '>') {
            b->p++;
        }

        return b->p++ < b->end;
    }

    while (b->p < b->end && ((*b->p | 0x20) >= 'a' && (*b->p | 0x20) <= 'z')) {
        b->p++;
    }

    return b->p - s >= 3;
}


static bool
rule_digits(tzif_bytes_t *b, int max, int *ret_v)
{
    int             v;
    const uint8_t  *s;

    s = b->p;

    for (v = 0; b->p < b->end && *b->p >= '0' && *b->p <= '9'; b->p++) {
        v = v * 10 + (*b->p - '0');

        if (v > max) {
            return false;
        }
    }

    *ret_v = v;
    return b->p > s;
}


static bool
rule_take(tzif_bytes_t *b, char c)
{
    if (b->p < b->end && *b->p == (uint8_t) c) {
        b->p++;
        return true;
    }

    return false;
}


/* [+-]h[h[h]][:mm[:ss]] in seconds. */
static bool
rule_time(tzif_bytes_t *b, int32_t *ret_s)
{
    int   h, m, s, sign;

    sign = rule_take(b, '-') ? -1 : 1;
    (void) (sign == 1 && rule_take(b, '+'));
    m = 0;
    s = 0;

    if (!rule_digits(b, 167, &h)
        || (rule_take(b, ':') && (!rule_digits(b, 59, &m)
            || (rule_take(b, ':') && !rule_digits(b, 59, &s)))))
    {
        return false;
    }

    *ret_s = sign * (h * 3600 + m * 60 + s);
    return true;
}


/* Mm.w.d, Jn or n, and /time. */
static bool
rule_date(tzif_bytes_t *b, tzif_date_t *d)
{
    d->time = 7200;
    d->kind = 'D';

    if (rule_take(b, 'M')) {
        d->kind = 'M';

        if (!rule_digits(b, 12, &d->month) || d->month == 0
            || !rule_take(b, '.') || !rule_digits(b, 5, &d->week)
            || d->week == 0 || !rule_take(b, '.')
            || !rule_digits(b, 6, &d->day))
        {
            return false;
        }

    } else {
        if (rule_take(b, 'J')) {
            d->kind = 'J';
        }

        if (!rule_digits(b, 365, &d->day) || (d->kind == 'J' && d->day == 0)) {
            return false;
        }
    }

    return !rule_take(b, '/') || rule_time(b, &d->time);
}


/* Offsets in the rule count west of UTC. */
static bool
rule_parse(tzif_bytes_t b, tzif_rule_t *rule)
{
    int32_t  west;

    memset(rule, 0, sizeof(*rule));

    if (!rule_name(&b) || !rule_time(&b, &west)) {
        return false;
    }

    rule->standard = -west;

    if (b.p == b.end) {
        return true;
    }

    rule->changes = true;
    rule->summer = rule->standard + 3600;

    if (!rule_name(&b)) {
        return false;
    }

    if (b.p < b.end && *b.p != ',') {
        if (!rule_time(&b, &west)) {
            return false;
        }

        rule->summer = -west;
    }

    return rule_take(&b, ',') && rule_date(&b, &rule->begin)
           && rule_take(&b, ',') && rule_date(&b, &rule->end)
           && b.p == b.end;
}


static bool
rule_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}


/* Days from 1970-01-01 to 1 January of a year after 1600. */
static int64_t
rule_year(int64_t year)
{
    int64_t  y;

    y = year - 1;

    return (year - 1970) * 365 + (y / 4 - y / 100 + y / 400)
           - (1969 / 4 - 1969 / 100 + 1969 / 400);
}


/* Local seconds since 1970 of a date of the rule. */
static int64_t
rule_moment(const tzif_date_t *d, int64_t year)
{
    int      length;
    int64_t  day, first;

    static const int  before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243,
                                   273, 304, 334, 365 };

    day = rule_year(year);

    switch (d->kind) {

    case 'J':                       /* 29 February is never counted */
        day += d->day - 1 + (rule_leap(year) && d->day >= 60);
        break;

    case 'D':
        day += d->day;
        break;

    default:
        first = day + before[d->month - 1]
                + (rule_leap(year) && d->month > 2);
        length = before[d->month] - before[d->month - 1]
                 + (rule_leap(year) && d->month == 2);
        day = (d->day - (first + 4) % 7 + 7) % 7 + 7 * (d->week - 1);
        day = first + (day < length ? day : day - 7);
    }

    return day * TZIF_DAY + d->time;
}


static void
rule_change(tzif_out_t *out, int64_t at, int32_t offset, int64_t last)
{
    if (at > last) {
        tzif_put(out, at, offset);
    }
}


/* The rule's changes after 'last', in order. */
static void
rule_put(tzif_out_t *out, const tzif_rule_t *rule, int64_t last)
{
    int64_t  year, begin, end, start;

    start = last > out->from ? last : out->from;

    if (!rule->changes) {
        tzif_put(out, last, rule->standard);
        return;
    }

    year = start / (365 * TZIF_DAY + TZIF_DAY / 4) + 1970 - 1;

    for ( ; year <= TZIF_YEAR_MAX && !out->full; year++) {
        begin = rule_moment(&rule->begin, year) - rule->standard;
        end = rule_moment(&rule->end, year) - rule->summer;

        if (begin > out->to && end > out->to) {
            return;
        }

        if (begin < end) {
            rule_change(out, begin, rule->summer, last);
            rule_change(out, end, rule->standard, last);
        } else {
            rule_change(out, end, rule->standard, last);
            rule_change(out, begin, rule->summer, last);
        }
    }
}


/* --- the file ------------------------------------------------------------ */

/* Reads a header and leaves b behind it. */
static bool
tzif_header(tzif_bytes_t *b, tzif_counts_t *c)
{
    if (b->end - b->p < TZIF_HEAD || memcmp(b->p, "TZif", 4) != 0
        || b->p[4] < '2')
    {
        return false;
    }

    c->isut = tzif_count(b->p + 20);
    c->isstd = tzif_count(b->p + 24);
    c->leap = tzif_count(b->p + 28);
    c->times = tzif_count(b->p + 32);
    c->types = tzif_count(b->p + 36);
    c->chars = tzif_count(b->p + 40);
    b->p += TZIF_HEAD;

    return true;
}


/* How long the data behind a header are; each count is below 2^32. */
static uint64_t
tzif_length(const tzif_counts_t *c, unsigned width)
{
    return (uint64_t) c->times * (width + 1) + (uint64_t) c->types * 6
           + c->chars + (uint64_t) c->leap * (width + 4) + c->isstd + c->isut;
}


/* Changes by the list; the last of them in *ret_last. */
static bool
tzif_list(tzif_out_t *out, const uint8_t *p, const tzif_counts_t *c,
    int64_t *ret_last)
{
    int64_t         at;
    uint32_t        i;
    const uint8_t  *index, *types;

    index = p + (size_t) c->times * 8;
    types = index + c->times;

    if (c->types == 0) {
        return false;
    }

    tzif_put(out, INT64_MIN, (int32_t) tzif_number(types, 4));
    *ret_last = INT64_MIN;

    for (i = 0; i < c->times; i++) {
        at = tzif_number(p + (size_t) i * 8, 8);

        if (index[i] >= c->types || (i > 0 && at <= *ret_last)) {
            return false;
        }

        *ret_last = at;
        tzif_put(out, at,
                 (int32_t) tzif_number(types + (size_t) index[i] * 6, 4));
    }

    return true;
}


static bool
tzif_sane(const tzif_out_t *out)
{
    size_t  i;

    for (i = 0; i < out->n; i++) {
        if (out->changes[i].offset > 2 * TZIF_DAY
            || out->changes[i].offset < -2 * TZIF_DAY)
        {
            return false;
        }
    }

    return !out->full && out->n > 0;
}


int
travel_tzif_read(travel_zone_change_t *changes, size_t room, size_t *ret_n,
    travel_str_t file, int64_t from, int64_t to)
{
    int64_t        last;
    tzif_out_t     out = { changes, room, 0, from, to, false };
    tzif_rule_t    rule;
    tzif_bytes_t   b;
    tzif_counts_t  c;
    const uint8_t *data;

    b.p = (const uint8_t *) file.data;
    b.end = b.p + file.len;

    if (from < 0 || to < from
        || (to - from) / (366 * TZIF_DAY) > TRAVEL_TZIF_YEARS
        || !tzif_header(&b, &c)
        || (uint64_t) (b.end - b.p) < tzif_length(&c, 4))
    {
        return TRAVEL_INVALID;
    }

    b.p += tzif_length(&c, 4);

    if (!tzif_header(&b, &c)
        || (uint64_t) (b.end - b.p) < tzif_length(&c, 8) + 2)
    {
        return TRAVEL_INVALID;
    }

    data = b.p;
    b.p += tzif_length(&c, 8);

    if (*b.p++ != '\n' || *--b.end != '\n' || b.p > b.end
        || !tzif_list(&out, data, &c, &last))
    {
        return TRAVEL_INVALID;
    }

    if (b.p < b.end) {
        if (!rule_parse(b, &rule)) {
            return TRAVEL_INVALID;
        }

        rule_put(&out, &rule, last);
    }

    if (!tzif_sane(&out)) {
        return TRAVEL_INVALID;
    }

    *ret_n = out.n;
    return TRAVEL_OK;
}
