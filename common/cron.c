/* Cron expressions: five sets of numbers, and the next time in all of them. */

#include "cron.h"

#define CRON_DAY     86400
#define CRON_FIELDS  5

typedef struct {
    unsigned            min;
    unsigned            max;
    const char *const  *names;      /* of min, min + 1, ...; or NULL */
    const char         *why;
} cron_field_t;

static const char *const cron_months[] = {
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct",
    "nov", "dec", NULL
};

static const char *const cron_weekdays[] = {
    "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL
};

static const cron_field_t cron_fields[CRON_FIELDS] = {
    { 0, 59, NULL, "minute: not from 0 to 59" },
    { 0, 23, NULL, "hour: not from 0 to 23" },
    { 1, 31, NULL, "day: not from 1 to 31" },
    { 1, 12, cron_months, "month: not from 1 to 12, nor jan to dec" },
    { 0, 7, cron_weekdays, "weekday: not from 0 to 7, nor sun to sat" }
};

static const struct {
    travel_str_t  name;
    const char   *fields;
} cron_words[] = {
    { { "@yearly", 7 },   "0 0 1 1 *" },
    { { "@annually", 9 }, "0 0 1 1 *" },
    { { "@monthly", 8 },  "0 0 1 * *" },
    { { "@weekly", 7 },   "0 0 * * 0" },
    { { "@daily", 6 },    "0 0 * * *" },
    { { "@midnight", 9 }, "0 0 * * *" },
    { { "@hourly", 7 },   "0 * * * *" }
};


/* --- parsing ------------------------------------------------------------- */

static bool
cron_is_name(const char *p, const char *end, const char *name)
{
    return end - p >= 3 && (p[0] | 0x20) == name[0]
           && (p[1] | 0x20) == name[1] && (p[2] | 0x20) == name[2];
}


/* A number or a name at *p, which moves behind it. */
static bool
cron_number(const cron_field_t *field, const char **p, const char *end,
    unsigned *ret_v)
{
    unsigned     i, v;
    const char  *s;

    s = *p;

    for (i = 0; field->names != NULL && field->names[i] != NULL; i++) {
        if (cron_is_name(s, end, field->names[i])) {
            *p = s + 3;
            *ret_v = field->min + i;
            return true;
        }
    }

    for (v = 0; s < end && *s >= '0' && *s <= '9' && s - *p < 3; s++) {
        v = v * 10 + (unsigned) (*s - '0');
    }

    if (s == *p) {
        return false;
    }

    *p = s;
    *ret_v = v;
    return true;
}


/* One member of a list: "*", 3, 1-5, each with a step or without. */
static bool
cron_member(const cron_field_t *field, const char **p, const char *end,
    uint64_t *set)
{
    unsigned  low, high, step;

    step = 1;

    if (*p < end && **p == '*') {
        (*p)++;
        low = field->min;
        high = field->max;

    } else {
        if (!cron_number(field, p, end, &low)) {
            return false;
        }

        high = low;

        if (*p < end && **p == '-') {
            (*p)++;

            if (!cron_number(field, p, end, &high)) {
                return false;
            }

        } else if (*p < end && **p == '/') {
            high = field->max;
        }
    }

    if (*p < end && **p == '/') {
        (*p)++;

        /* the minute's field: a step has no names */
        if (!cron_number(&cron_fields[0], p, end, &step) || step == 0) {
            return false;
        }
    }

    if (low < field->min || high > field->max || low > high) {
        return false;
    }

    for ( ; low <= high; low += step) {
        *set |= UINT64_C(1) << low;
    }

    return true;
}


static bool
cron_list(const cron_field_t *field, travel_str_t text, uint64_t *ret_set)
{
    uint64_t     set;
    const char  *p, *end;

    set = 0;
    p = text.data;
    end = p + text.len;

    for ( ;; ) {
        if (!cron_member(field, &p, end, &set)) {
            return false;
        }

        if (p == end) {
            *ret_set = set;
            return true;
        }

        if (*p++ != ',') {
            return false;
        }
    }
}


/* The text between blanks, *p behind it; empty at the end. */
static travel_str_t
cron_word(const char **p, const char *end)
{
    travel_str_t  word;

    while (*p < end && (**p == ' ' || **p == '\t')) {
        (*p)++;
    }

    word.data = *p;

    while (*p < end && **p != ' ' && **p != '\t') {
        (*p)++;
    }

    word.len = (size_t) (*p - word.data);
    return word;
}


static travel_str_t
cron_expand(travel_str_t text)
{
    size_t  i;

    for (i = 0; i < sizeof(cron_words) / sizeof(cron_words[0]); i++) {
        if (travel_str_eq(text, cron_words[i].name)) {
            return (travel_str_t) { cron_words[i].fields,
                                    strlen(cron_words[i].fields) };
        }
    }

    return text;
}


int
travel_cron_parse(travel_cron_t *ret_cron, travel_str_t text,
    const char **ret_why)
{
    bool           any[CRON_FIELDS];
    size_t         i;
    uint64_t       set[CRON_FIELDS];
    const char    *p, *end;
    travel_str_t   word;

    text = cron_expand(text);
    p = text.data;
    end = p + text.len;

    for (i = 0; i < CRON_FIELDS; i++) {
        word = cron_word(&p, end);

        if (word.len == 0) {
            *ret_why = "there must be five fields (minute hour day month "
                       "weekday) or a word like @hourly";
            return TRAVEL_INVALID;
        }

        if (!cron_list(&cron_fields[i], word, &set[i])) {
            *ret_why = cron_fields[i].why;
            return TRAVEL_INVALID;
        }

        any[i] = word.data[0] == '*';
    }

    if (cron_word(&p, end).len != 0) {
        *ret_why = "there is something behind the fifth field";
        return TRAVEL_INVALID;
    }

    *ret_cron = (travel_cron_t) {
        .minutes = set[0], .hours = (uint32_t) set[1],
        .days = (uint32_t) set[2], .months = (uint16_t) set[3],
        .weekdays = (uint8_t) ((set[4] | set[4] >> 7) & 0x7f),
        .any_day = any[2], .any_weekday = any[4],
        .by_clock = any[0] || any[1]
    };

    return TRAVEL_OK;
}


/* --- the next time ------------------------------------------------------- */

/* Month and day of a day since 1970 (H. Hinnant's civil_from_days). */
static void
cron_civil(int64_t days, unsigned *ret_month, unsigned *ret_day)
{
    int64_t   era;
    unsigned  doe, yoe, doy, mp;

    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    doe = (unsigned) (days - era * 146097);
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    *ret_day = doy - (153 * mp + 2) / 5 + 1;
    *ret_month = mp < 10 ? mp + 3 : mp - 9;
}


static bool
cron_day_fits(const travel_cron_t *cron, int64_t days)
{
    bool      day, weekday;
    unsigned  d, m, w;

    cron_civil(days, &m, &d);
    w = (unsigned) (((days + 4) % 7 + 7) % 7);       /* 1970-01-01: Thursday */
    day = cron->days >> d & 1;
    weekday = cron->weekdays >> w & 1;

    if (!(cron->months >> m & 1)) {
        return false;
    }

    return cron->any_day || cron->any_weekday ? day && weekday
                                              : day || weekday;
}


/*
 * The first moment after 'after' at which a clock shows 'local', or at which
 * it should have; INT64_MAX when there is none.  The time between two changes
 * is looked at piece by piece.
 */
static int64_t
cron_moment(const travel_cron_t *cron, const travel_zone_t *zone,
    int64_t local, int64_t after)
{
    size_t   i;
    bool     shown;
    int64_t  at, begin, end, jump;

    shown = false;
    jump = INT64_MAX;

    if (zone->n == 0) {
        return local > after ? local : INT64_MAX;
    }

    for (i = 0; i < zone->n; i++) {
        begin = i > 0 ? zone->changes[i].from : INT64_MIN;
        end = i + 1 < zone->n ? zone->changes[i + 1].from : INT64_MAX;
        at = local - zone->changes[i].offset;

        if (i > 0 && local < begin + zone->changes[i].offset
            && local >= begin + zone->changes[i - 1].offset)
        {
            jump = begin;
        }

        if (at < begin || at >= end) {
            continue;
        }

        if (at > after) {
            return shown && !cron->by_clock ? INT64_MAX : at;
        }

        shown = true;
    }

    return !shown && !cron->by_clock && jump > after ? jump : INT64_MAX;
}


static int64_t
cron_in_day(const travel_cron_t *cron, const travel_zone_t *zone,
    int64_t day, int64_t after)
{
    int64_t   at, best;
    unsigned  h, m;

    best = INT64_MAX;

    if (!cron_day_fits(cron, day)) {
        return best;
    }

    for (h = 0; h < 24; h++) {
        for (m = 0; (cron->hours >> h & 1) && m < 60; m++) {
            if (cron->minutes >> m & 1) {
                at = cron_moment(cron, zone,
                                 day * CRON_DAY + h * 3600 + m * 60, after);
                best = at < best ? at : best;
            }
        }
    }

    return best;
}


int
travel_cron_next(const travel_cron_t *cron, const travel_zone_t *zone,
    int64_t after, int64_t *ret_at)
{
    int64_t  at, best, day, last;

    /* local days are within two of the UTC day, whatever the offset */
    day = after / CRON_DAY - 2;
    last = day + TRAVEL_CRON_YEARS * 366;

    for ( ; day <= last; day++) {
        best = cron_in_day(cron, zone, day, after);

        if (best == INT64_MAX) {
            continue;
        }

        /* clocks that go back may show an earlier day's time later */
        at = cron_in_day(cron, zone, day + 1, after);
        *ret_at = at < best ? at : best;
        return TRAVEL_OK;
    }

    return TRAVEL_REFUSED;
}
