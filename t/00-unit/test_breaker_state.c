/* Breakers as processes tell of them, and as the edge takes it. */

#include "unit.h"
#include "breaker_state.h"

#define NOW  1000000u


static int
parse(travel_breaker_entry_t *entry, const char *field, const char *value)
{
    return travel_breaker_parse(entry, S(field), S(value));
}


static void
test_round(void **state)
{
    char                    text[TRAVEL_BREAKER_TEXT_MAX];
    size_t                  n;
    travel_breaker_entry_t  e;
    travel_breaker_state_e  s;

    (void) state;

    for (s = TRAVEL_BREAKER_CLOSED; s <= TRAVEL_BREAKER_HALF_OPEN; s++) {
        n = travel_breaker_format(text, s, UINT64_MAX, NOW);
        assert_int_equal(n, strlen(text));
        assert_int_equal(parse(&e, "opentable host:1/w 0", text), TRAVEL_OK);
        assert_str(e.destination, "opentable");
        assert_int_equal(e.state, s);
        assert_true(e.until_ms == UINT64_MAX);
        assert_int_equal(e.at_ms, NOW);
    }
}


static void
test_refused(void **state)
{
    size_t                  i;
    travel_breaker_entry_t  e;

    static const char *const  bad[][2] = {
        { "", "open 1 1" }, { "x", "open 1 1" }, { " s", "open 1 1" },
        { "x s", "" }, { "x s", "ajar 1 1" }, { "x s", "open" },
        { "x s", "open 1" }, { "x s", "open a 1" }, { "x s", "open 1 b" },
        { "x s", "open 1 1 1" }, { "x s", "open -1 1" },
        { "0123456789012345678901234567890123456789012345678 s", "open 1 1" }
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        if (parse(&e, bad[i][0], bad[i][1]) != TRAVEL_INVALID) {
            fail_msg("%s: %s", bad[i][0], bad[i][1]);
        }
    }
}


static void
test_sum(void **state)
{
    uint64_t                wait;
    travel_breaker_sum_t    sum = { 0 };
    travel_breaker_entry_t  e = { .at_ms = NOW };

    (void) state;

    assert_int_equal(travel_breaker_sum(&sum, NOW, &wait),
                     TRAVEL_BREAKER_CLOSED);

    /* all open: until the first tries again */
    e.state = TRAVEL_BREAKER_OPEN;
    e.until_ms = NOW + 5000;
    travel_breaker_add(&sum, &e, NOW);
    e.until_ms = NOW + 3000;
    travel_breaker_add(&sum, &e, NOW);
    assert_int_equal(travel_breaker_sum(&sum, NOW, &wait),
                     TRAVEL_BREAKER_OPEN);
    assert_int_equal(wait, 3000);
    assert_int_equal(travel_breaker_sum(&sum, NOW + 3000, &wait),
                     TRAVEL_BREAKER_HALF_OPEN);

    /* words that are old say nothing, a process that goes on does */
    e.state = TRAVEL_BREAKER_CLOSED;
    e.at_ms = NOW - TRAVEL_BREAKER_AGE_MS - 1;
    travel_breaker_add(&sum, &e, NOW);
    assert_int_equal(travel_breaker_sum(&sum, NOW, &wait),
                     TRAVEL_BREAKER_OPEN);
    e.at_ms = NOW + 20000;              /* a clock that is ahead */
    travel_breaker_add(&sum, &e, NOW);
    assert_int_equal(travel_breaker_sum(&sum, NOW, &wait),
                     TRAVEL_BREAKER_HALF_OPEN);

    sum = (travel_breaker_sum_t) { 0 };
    e.state = TRAVEL_BREAKER_HALF_OPEN;
    travel_breaker_add(&sum, &e, NOW);
    assert_int_equal(travel_breaker_sum(&sum, NOW, &wait),
                     TRAVEL_BREAKER_HALF_OPEN);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
