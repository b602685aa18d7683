/* RFC 3339: its own examples, the calendar against the C library, refusals. */

#include <stdio.h>
#include <time.h>

#include "unit.h"
#include "timestamp.h"


static void
rfc_examples(void **state)
{
    size_t   i;
    int64_t  ms;

    static const struct { const char *text; int64_t ms; } rows[] = {
        { "1985-04-12T23:20:50.52Z", 482196050520 },
        { "1996-12-19T16:39:57-08:00", 851042397000 },
        { "1990-12-31T23:59:60Z", 662687999999 },
        { "1990-12-31T15:59:60-08:00", 662687999999 },
        { "1937-01-01T12:00:27.87+00:20", -1041337172130 },
        { "1970-01-01T00:00:00Z", 0 },
        { "1969-12-31T23:59:59.999Z", -1 },
        { "0000-01-01T00:00:00Z", -62167219200000 },
        { "9999-12-31T23:59:59.999Z", 253402300799999 },
        { "2026-03-01T19:00:00.000Z", 1772391600000 },
        { "2026-03-01t19:00:00z", 1772391600000 },
        { "2026-03-01T19:00:00-00:00", 1772391600000 },
        { "2026-03-02T00:30:00+05:30", 1772391600000 },
        { "2026-03-01T19:00:00.0009999999999999999999Z", 1772391600000 },
        { "2026-03-01T19:00:00.1Z", 1772391600100 },
        { "2026-03-01T00:00:00+23:59", 1772323200000 - 86340000 },
        { "2024-02-29T00:00:00Z", 1709164800000 },
        { "2000-02-29T00:00:00Z", 951782400000 },
        { "2016-12-31T23:59:60.5Z", 1483228799999 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        ms = 1;
        assert_int_equal(travel_timestamp_parse(&ms, S(rows[i].text)),
                         TRAVEL_OK);
        assert_true(ms == rows[i].ms);
    }
}


static void
microseconds(void **state)
{
    size_t   i;
    int64_t  us;

    static const struct { const char *text; int64_t us; } rows[] = {
        { "1985-04-12T23:20:50.52Z", 482196050520000 },
        { "2026-03-01T19:00:00.123456Z", 1772391600123456 },
        { "2026-03-01T19:00:00.1234569Z", 1772391600123456 },
        { "1969-12-31T23:59:59.999999Z", -1 },
        { "1990-12-31T23:59:60Z", 662687999999999 },
        { "0000-01-01T00:00:00Z", -62167219200000000 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        us = 1;
        assert_int_equal(travel_timestamp_parse_us(&us, S(rows[i].text)),
                         TRAVEL_OK);
        assert_true(us == rows[i].us);
    }

    assert_int_equal(travel_timestamp_parse_us(&us, S("2026-03-01")),
                     TRAVEL_INVALID);
}


static void
refusals(void **state)
{
    size_t   i;
    int64_t  ms;

    static const char  *bad[] = {
        "", "2026-03-01", "2026-03-01T19:00:00", "2026-03-01T19:00Z",
        "2026-03-01 19:00:00Z", "2026-03-01T19:00:00.Z",
        "2026-03-01T19:00:00,5Z", "2026-03-01T19:00:00 Z",
        "2026-03-01T19:00:00+0100", "2026-03-01T19:00:00+01",
        "2026-03-01T19:00:00+24:00", "2026-03-01T19:00:00+01:60",
        "2026-03-01T19:00:00Zx", "2026-03-01T19:00:00+01:000",
        "2026-03-01T24:00:00Z", "2026-03-01T19:60:00Z",
        "2026-03-01T19:00:61Z",
        "2026-03-01T19:00:60Z",                /* no leap second there */
        "1998-12-31T23:58:60Z", "1998-12-31T22:59:60Z",
        "2026-13-01T19:00:00Z", "2026-00-01T19:00:00Z",
        "2026-02-29T19:00:00Z", "2024-02-30T19:00:00Z",
        "1900-02-29T19:00:00Z",
        "2026-04-31T19:00:00Z", "2026-04-00T19:00:00Z",
        "26-03-01T19:00:00Z", "02026-03-01T19:00:00Z",
        "+2026-03-01T19:00:00Z", "-026-03-01T19:00:00Z",
        "2026/03/01T19:00:00Z", "2026-03-01T19.00.00Z",
        "2026-03-0\xd9\xa1T19:00:00Z", "2026-3-01T019:00:00Z"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        ms = 77;
        assert_int_equal(travel_timestamp_parse(&ms, S(bad[i])),
                         TRAVEL_INVALID);
        assert_true(ms == 77);
    }

    assert_int_equal(travel_timestamp_parse(&ms, TRAVEL_NULL_STR),
                     TRAVEL_INVALID);
}


/* Every day of four centuries, as gmtime_r() and as ourselves see it. */

static void
calendar(void **state)
{
    char       text[TRAVEL_TIMESTAMP_LEN + 1], want[64];
    time_t     t;
    int64_t    ms;
    struct tm  tm;
    size_t     n;

    (void) state;

    text[TRAVEL_TIMESTAMP_LEN] = '\0';

    for (t = 0; t < 14000000000; t += 86400 - 7) {
        gmtime_r(&t, &tm);
        n = strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);
        memcpy(want + n, ".042Z", 6);

        travel_timestamp_format(text, (uint64_t) t * 1000 + 42);
        assert_string_equal(text, want);

        assert_int_equal(travel_timestamp_parse(&ms, S(text)), TRAVEL_OK);
        assert_true(ms == (int64_t) t * 1000 + 42);
    }

    travel_timestamp_format(text, UINT64_MAX);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}


static void
dates(void **state)
{
    int   m, d;
    char  text[40];

    static const int  days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    (void) state;

    for (m = 1; m <= 12; m++) {
        for (d = 1; d <= 32; d++) {
            snprintf(text, sizeof(text), "2023-%02d-%02d", m, d);
            assert_int_equal(travel_date_valid(S(text)), d <= days[m - 1]);
        }
    }

    assert_true(travel_date_valid(L("2024-02-29")));
    assert_true(travel_date_valid(L("0000-02-29")));
    assert_true(travel_date_valid(L("9999-12-31")));
    assert_false(travel_date_valid(L("2023-02-29")));
    assert_false(travel_date_valid(L("2100-02-29")));
    assert_false(travel_date_valid(L("2023-06-31")));
    assert_false(travel_date_valid(L("2023-6-01")));
    assert_false(travel_date_valid(L("2023-06-1")));
    assert_false(travel_date_valid(L("2023-06-01T")));
    assert_false(travel_date_valid(L("")));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(rfc_examples),
        cmocka_unit_test(microseconds),
        cmocka_unit_test(refusals),
        cmocka_unit_test(calendar),
        cmocka_unit_test(dates)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
