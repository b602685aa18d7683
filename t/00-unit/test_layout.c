/* Layouts: what they say, what they may not, and what follows them. */

#include "unit.h"
#include "layout.h"


static void
round_trips(void **state)
{
    size_t           i;
    char             text[TRAVEL_LAYOUT_TEXT_MAX];
    travel_layout_t  l;

    static const struct {
        const char      *text;
        travel_layout_t  layout;
    } cases[] = {
        { "4", { { 4, 0 }, { 0, 0 } } },
        { "256", { { 256, 0 }, { 0, 0 } } },
        { "6@4<4@0", { { 6, 4 }, { 4, 0 } } },
        { "3@0<6@4", { { 3, 0 }, { 6, 4 } } },
        { "128@128<128@0", { { 128, 128 }, { 128, 0 } } },
        { "2@9", { { 2, 9 }, { 0, 0 } } }
    };

    (void) state;

    for (i = 0; i < N(cases); i++) {
        assert_int_equal(travel_layout_parse(&l, S(cases[i].text)), TRAVEL_OK);
        assert_memory_equal(&l, &cases[i].layout, sizeof(l));
        assert_int_equal(travel_layout_format(text, &l),
                         strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}


static void
refusals(void **state)
{
    size_t           i;
    travel_layout_t  l;

    static const char *const  bad[] = {
        "", "0", "257", "-1", "4@", "@4", "4@253", "256@1", "4<", "<4@0",
        "4@0<4@3", "4@0<4", "6@4<4@0<2@0", "4 ", "x", "4@0<0@9",
        "99999999999999999999"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        if (travel_layout_parse(&l, S(bad[i])) != TRAVEL_INVALID) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }
}


static void
places(void **state)
{
    unsigned        b;
    travel_range_t  r = { 6, 4 };

    (void) state;

    for (b = 0; b < TRAVEL_BUCKETS; b++) {
        assert_in_range(travel_range_place(&r, b), 4, 9);
        assert_int_equal(travel_range_place(&r, b), 4 + b % 6);
    }
}


static void
what_follows(void **state)
{
    travel_layout_t  l = { { 4, 0 }, { 0, 0 } }, next;

    (void) state;

    assert_int_equal(travel_layout_next(&next, &l, 6), TRAVEL_OK);
    assert_int_equal(next.now.base, 4);
    assert_int_equal(next.now.n, 6);
    assert_int_equal(next.was.n, 4);
    assert_int_equal(next.was.base, 0);
    assert_int_equal(travel_layout_top(&next), 10);

    /* no numbers are left behind: those in front, when they are free */
    l = (travel_layout_t) { { 200, 50 }, { 50, 0 } };
    assert_int_equal(travel_layout_next(&next, &l, 40), TRAVEL_OK);
    assert_int_equal(next.now.base, 0);
    assert_int_equal(travel_layout_next(&next, &l, 51), TRAVEL_REFUSED);
    assert_int_equal(travel_layout_next(&next, &l, 0), TRAVEL_REFUSED);
    assert_int_equal(next.now.n, 40);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(round_trips), cmocka_unit_test(refusals),
        cmocka_unit_test(places), cmocka_unit_test(what_follows)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
