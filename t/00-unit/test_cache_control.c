/* Cache directives, lenient and strict. */

#include "unit.h"
#include "cache_control.h"


static travel_cache_control_t
parsed(const char *line)
{
    travel_cache_control_t  cc = { 0 };

    travel_cache_control_parse(&cc, S(line));

    return cc;
}


static void
test_lenient(void **state)
{
    travel_cache_control_t  cc;

    (void) state;

    cc = parsed("");
    assert_int_equal(cc.set, TRAVEL_CC_ANY);

    cc = parsed(" max-age=60 ,\tS-MaxAge=\"7\",, public");
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_MAX_AGE
                             |TRAVEL_CC_S_MAXAGE|TRAVEL_CC_PUBLIC);
    assert_int_equal(cc.max_age, 60);
    assert_int_equal(cc.s_maxage, 7);

    /* the first of two counts, also from line to line */
    cc = parsed("max-age=1, max-age=2");
    travel_cache_control_parse(&cc, L("max-age=3"));
    assert_int_equal(cc.max_age, 1);

    /* within quotes nothing is a directive */
    cc = parsed("x=\"no-store, \\\"private\\\"\", no-cache=\"a, b\"");
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_NO_CACHE);
    cc = parsed("x=\"no-store");
    assert_int_equal(cc.set, TRAVEL_CC_ANY);

    /* names that only begin or end like one */
    cc = parsed("no-stores, xno-store, max-age-x=1, private1");
    assert_int_equal(cc.set, TRAVEL_CC_ANY);
    cc = parsed("no store");
    assert_int_equal(cc.set, TRAVEL_CC_ANY);

    cc = parsed("max-stale");
    assert_int_equal(cc.max_stale, TRAVEL_DELTA_SECONDS_MAX);
    cc = parsed("max-stale=5, min-fresh=6, only-if-cached, stale-if-error=7,"
                "stale-while-revalidate=8");
    assert_int_equal(cc.max_stale, 5);
    assert_int_equal(cc.min_fresh, 6);
    assert_int_equal(cc.sie, 7);
    assert_int_equal(cc.swr, 8);
    assert_true(cc.set & TRAVEL_CC_ONLY_IF_CACHED);
}


static void
test_numbers(void **state)
{
    size_t                  i;
    uint32_t                v;
    travel_cache_control_t  cc;

    static const char *const  stale[] = {
        "max-age=", "max-age", "max-age=-1", "max-age=1.5", "max-age=0x10",
        "max-age=\"\"", "max-age=1s", "max-age= 5"
    };

    (void) state;

    for (i = 0; i < N(stale); i++) {
        cc = parsed(stale[i]);
        assert_true(cc.set & TRAVEL_CC_MAX_AGE);
        assert_int_equal(cc.max_age, 0);
    }

    cc = parsed("stale-if-error=x, min-fresh, stale-while-revalidate=-1");
    assert_int_equal(cc.set, TRAVEL_CC_ANY);

    assert_int_equal(travel_delta_seconds(&v, L("2147483648")), TRAVEL_OK);
    assert_true(v == TRAVEL_DELTA_SECONDS_MAX);
    assert_int_equal(travel_delta_seconds(&v, L("99999999999999999999999")),
                     TRAVEL_OK);
    assert_true(v == TRAVEL_DELTA_SECONDS_MAX);
    assert_int_equal(travel_delta_seconds(&v, L("007")), TRAVEL_OK);
    assert_int_equal(v, 7);
    assert_int_equal(travel_delta_seconds(&v, L("")), TRAVEL_INVALID);
    assert_int_equal(travel_delta_seconds(&v, L(" 7")), TRAVEL_INVALID);
}


static void
test_targeted(void **state)
{
    travel_cache_control_t  cc;

    (void) state;
    memset(&cc, 0xff, sizeof(cc));

    assert_int_equal(travel_cache_control_targeted(&cc,
                         L("max-age=60, no-cache, x=y")), TRAVEL_OK);
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_MAX_AGE
                             |TRAVEL_CC_NO_CACHE);
    assert_int_equal(cc.max_age, 60);

    /* what is none counts as absent */
    assert_int_equal(travel_cache_control_targeted(&cc, L("")),
                     TRAVEL_INVALID);
    assert_int_equal(travel_cache_control_targeted(&cc, L("max-age=60,")),
                     TRAVEL_INVALID);
    assert_int_equal(travel_cache_control_targeted(&cc, L("Max-Age=60")),
                     TRAVEL_INVALID);
    assert_int_equal(travel_cache_control_targeted(&cc, L("max-age: 60")),
                     TRAVEL_INVALID);
    assert_int_equal(cc.max_age, 60);

    /* the wrong type, and what takes back */
    assert_int_equal(travel_cache_control_targeted(&cc,
                         L("max-age=\"60\", no-store=?0, private=?1")),
                     TRAVEL_OK);
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_PRIVATE);

    /* of two the last counts, and that is of no use here */
    assert_int_equal(travel_cache_control_targeted(&cc,
                         L("public, max-age=60, max-age=60.0")), TRAVEL_OK);
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_PUBLIC);

    assert_int_equal(travel_cache_control_targeted(&cc,
                         L("max-age=1, max-age=-2")), TRAVEL_OK);
    assert_int_equal(cc.max_age, 0);
    assert_int_equal(travel_cache_control_targeted(&cc,
                         L("max-age=99999999999")), TRAVEL_OK);
    assert_true(cc.max_age == TRAVEL_DELTA_SECONDS_MAX);
}


/* Lines that RFC 9111, 5861, 8246 and 9213 print. */
static void
test_printed(void **state)
{
    travel_cache_control_t  cc;

    (void) state;

    cc = parsed("must-understand, no-store");
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_MUST_UNDERSTAND
                             |TRAVEL_CC_NO_STORE);

    cc = parsed("private, community=\"UCI\"");
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_PRIVATE);

    cc = parsed("max-age=600, stale-while-revalidate=30");
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_MAX_AGE|TRAVEL_CC_SWR);
    assert_int_equal(cc.max_age, 600);
    assert_int_equal(cc.swr, 30);

    cc = parsed("max-age=600, stale-if-error=1200");
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_MAX_AGE|TRAVEL_CC_SIE);
    assert_int_equal(cc.max_age, 600);
    assert_int_equal(cc.sie, 1200);

    cc = parsed("max-age=60, s-maxage=120");
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_MAX_AGE
                             |TRAVEL_CC_S_MAXAGE);
    assert_int_equal(cc.max_age, 60);
    assert_int_equal(cc.s_maxage, 120);

    /* a field's name in quotes: as if it were not there */
    cc = parsed("max-age=31536000, immutable, no-cache=\"set-cookie\"");
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_MAX_AGE
                             |TRAVEL_CC_NO_CACHE);

    assert_int_equal(travel_cache_control_targeted(&cc, L("max-age=600")),
                     TRAVEL_OK);
    assert_int_equal(cc.set, TRAVEL_CC_ANY|TRAVEL_CC_MAX_AGE);
    assert_int_equal(cc.max_age, 600);

    /* not empty, so it decides, and says nothing that is known */
    assert_int_equal(travel_cache_control_targeted(&cc, L("none")),
                     TRAVEL_OK);
    assert_int_equal(cc.set, TRAVEL_CC_ANY);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_targeted),
        cmocka_unit_test(test_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
