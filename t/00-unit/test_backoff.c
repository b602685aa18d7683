/* Backoff: bounds, growth, spread, and no overflow anywhere. */

#include "unit.h"
#include "backoff.h"


static void
bounds(void **state)
{
    unsigned  attempt;
    uint64_t  top;

    (void) state;

    for (attempt = 0; attempt < 200; attempt++) {
        top = attempt < 9 ? 1000ull << attempt : 300000;
        top = top > 300000 ? 300000 : top;

        assert_true(travel_backoff_ms(attempt, 1000, 300000, 0, 0) == 0);
        assert_true(travel_backoff_ms(attempt, 1000, 300000, 0, UINT32_MAX)
                    == top);
        assert_in_range(travel_backoff_ms(attempt, 1000, 300000, 0,
                                          0x80000000), top / 2, top / 2 + 1);

        /* a Retry-After is waited for first */

        assert_true(travel_backoff_ms(attempt, 1000, 300000, 7000, 0)
                    == 7000);
        assert_true(travel_backoff_ms(attempt, 1000, 300000, 7000, UINT32_MAX)
                    == 7000 + top);
    }
}


static void
extremes(void **state)
{
    (void) state;

    assert_true(travel_backoff_ms(0, 0, 1000, 0, UINT32_MAX) == 0);
    assert_true(travel_backoff_ms(5, 1000, 0, 0, UINT32_MAX) == 0);
    assert_true(travel_backoff_ms(0, 1000, 300, 0, UINT32_MAX) == 300);
    assert_true(travel_backoff_ms(UINT32_MAX, 1, UINT64_MAX, 0, UINT32_MAX)
                > UINT64_MAX / 2);
    assert_true(travel_backoff_ms(63, 1, UINT64_MAX, 0, UINT32_MAX)
                <= 1ull << 63);
    assert_true(travel_backoff_ms(64, 1, UINT64_MAX, UINT64_MAX, UINT32_MAX)
                == UINT64_MAX);
    assert_true(travel_backoff_ms(63, 3, 1ull << 63, 0, UINT32_MAX)
                <= 1ull << 63);
}


static void
spread(void **state)
{
    uint32_t  rnd;
    unsigned  i, count[10] = { 0 };
    uint64_t  v;

    (void) state;

    for (rnd = 1, i = 0; i < 100000; i++) {
        rnd = rnd * 1664525 + 1013904223;
        v = travel_backoff_ms(3, 1000, 300000, 0, rnd);

        assert_true(v <= 8000);
        count[v == 8000 ? 9 : v / 800]++;
    }

    for (i = 0; i < 10; i++) {
        assert_in_range(count[i], 9500, 10500);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bounds),
        cmocka_unit_test(extremes),
        cmocka_unit_test(spread)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
