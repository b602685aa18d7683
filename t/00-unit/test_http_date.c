/* Dates of HTTP fields: three forms, every day. */

#include "unit.h"
#include "http_date.h"


#define NOW  1700000000


static void
test_forms(void **state)
{
    size_t   i;
    int64_t  t;

    static const char *const  same[] = {
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 UTC"
    };

    static const char *const  none[] = {
        "", "0", "-1", "tomorrow", "784111777",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 PST",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 32 Jan 1994 08:49:37 GMT",
        "Sun, 00 Jan 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 00:00:00 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1500 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "1994-11-06T08:49:37Z"
    };

    (void) state;

    for (i = 0; i < N(same); i++) {
        assert_int_equal(travel_http_date_parse(&t, S(same[i]), NOW),
                         TRAVEL_OK);
        assert_int_equal(t, 784111777);
    }

    for (i = 0; i < N(none); i++) {
        t = 5;
        assert_int_equal(travel_http_date_parse(&t, S(none[i]), NOW),
                         TRAVEL_INVALID);
        assert_int_equal(t, 5);
    }

    assert_int_equal(travel_http_date_parse(&t,
                         L("Thu, 29 Feb 2024 23:59:60 GMT"), NOW), TRAVEL_OK);
    assert_int_equal(t, 1709251200);

    /* two digits: within fifty years */
    assert_int_equal(travel_http_date_parse(&t,
                         L("Sunday, 06-Nov-73 00:00:00 GMT"), NOW), TRAVEL_OK);
    assert_true(t > NOW);
    assert_int_equal(travel_http_date_parse(&t,
                         L("Sunday, 06-Nov-74 00:00:00 GMT"), NOW), TRAVEL_OK);
    assert_true(t < NOW);
}


static void
test_every_day(void **state)
{
    char     text[TRAVEL_HTTP_DATE_LEN];
    int64_t  t, back;

    (void) state;

    for (t = -11644473600LL; t <= 253402300799LL; t += 86400 * 17 + 4001) {
        travel_http_date_format(text, t);
        assert_int_equal(travel_http_date_parse(&back,
                             ((travel_str_t) { text, sizeof(text) }), NOW),
                         TRAVEL_OK);
        assert_int_equal(back, t);
    }

    travel_http_date_format(text, 0);
    assert_memory_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT", sizeof(text));
    travel_http_date_format(text, 951782400);
    assert_memory_equal(text, "Tue, 29 Feb 2000 00:00:00 GMT", sizeof(text));
    travel_http_date_format(text, -1);
    assert_memory_equal(text, "Wed, 31 Dec 1969 23:59:59 GMT", sizeof(text));
    travel_http_date_format(text, INT64_MAX);
    assert_memory_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT", sizeof(text));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_every_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
