/* The sliding window against a list of every event's time. */

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "window.h"


#define EVENTS  200000

/* Events of the reference: when, and whether taken back. */
static uint32_t  times[EVENTS];
static size_t    count;


static uint32_t
events_within(uint32_t now, uint32_t span)
{
    size_t    i;
    uint32_t  n;

    for (n = 0, i = count; i > 0 && now - times[i - 1] < span; i--) {
        n++;
    }

    return n;
}


static unsigned
admit(travel_window_t *w, const travel_window_rule_t *rule, uint32_t now)
{
    travel_window_advance(w, rule, now);

    if (travel_window_room(w, rule) == 0) {
        return 0;
    }

    (void) travel_window_take(w, rule, 1, now);
    assert_true(count < EVENTS);
    times[count++] = now;

    return 1;
}


static void
test_exact_quota(void **state)
{
    unsigned              i;
    travel_window_t       w = { 0 };
    travel_window_rule_t  rule = travel_window_rule(10, 10000);

    (void) state;
    count = 0;
    assert_int_equal(rule.grain, 0);

    for (i = 0; i < 10; i++) {
        assert_int_equal(travel_window_room(&w, &rule), 10 - i);
        assert_true(admit(&w, &rule, 1000 + 100 * i));
    }

    assert_false(admit(&w, &rule, 1950));
    assert_int_equal(travel_window_wait(&w, &rule, 1, 1950), 9050);
    assert_int_equal(travel_window_more(&w, &rule, 1950), 9050);
    assert_false(admit(&w, &rule, 10999));
    assert_true(admit(&w, &rule, 11000));
    assert_false(admit(&w, &rule, 11000));
    assert_false(admit(&w, &rule, 11099));
    assert_true(admit(&w, &rule, 11100));
}


static void
test_a_burst_counts_exactly_its_span(void **state)
{
    unsigned              i;
    travel_window_t       w = { 0 };
    travel_window_rule_t  rule = travel_window_rule(1000, 3600000);

    (void) state;
    count = 0;

    for (i = 0; i < 1000; i++) {
        assert_true(admit(&w, &rule, 5));
    }

    assert_false(admit(&w, &rule, 5));
    assert_int_equal(travel_window_wait(&w, &rule, 1, 5), 3600000);
    assert_false(admit(&w, &rule, 3600004));
    assert_true(admit(&w, &rule, 3600005));
    assert_int_equal(travel_window_room(&w, &rule), 999);
}


/*
 * Both promises, over random traffic: no interval of a span holds more than
 * the quota, and a refusal means that the last span + grain was full.
 */
static void
promises(uint32_t quota, uint32_t span, uint32_t start, unsigned gap)
{
    unsigned              i, refused;
    uint32_t              now, wait;
    travel_window_t       w = { 0 };
    travel_window_rule_t  rule = travel_window_rule(quota, span);

    count = 0;
    refused = 0;
    now = start;

    for (i = 0; i < 60000 && count < EVENTS; i++) {
        now += (uint32_t) rand() % (2 * gap + 1);

        if (rand() % 500 == 0) {
            now += span / 2;
        }

        if (admit(&w, &rule, now)) {
            assert_true(events_within(now, span) <= quota);

        } else {
            refused++;
            assert_true(events_within(now, span + rule.grain) >= quota);

            wait = travel_window_wait(&w, &rule, 1, now);
            assert_true(wait > 0 && wait <= span);

            if (rand() % 100 == 0) {
                travel_window_advance(&w, &rule, now + wait - 1);
                assert_int_equal(travel_window_room(&w, &rule), 0);
                now += wait;
                assert_true(admit(&w, &rule, now));
            }
        }

        assert_true(w.live <= TRAVEL_WINDOW_MARKS);
    }

    assert_true(refused > 100);
}


static void
test_promises(void **state)
{
    (void) state;
    srand(7);

    promises(10, 10000, 0, 300);
    promises(24, 1000, 17, 10);
    promises(25, 1000, 17, 10);
    promises(60, 60000, 99, 200);
    promises(1000, 3600000, 5, 900);
    promises(100, 100, 5, 0);
    promises(1, 1000, 5, 300);
    promises(100, 86400000, 1, 100000);
    promises(60, 60000, UINT32_MAX - 600000, 200);       /* wraps */
}


static void
test_sustained_rate(void **state)
{
    uint32_t              now;
    unsigned              admitted;
    travel_window_t       w = { 0 };
    travel_window_rule_t  rule = travel_window_rule(60, 60000);

    (void) state;
    count = 0;
    admitted = 0;

    /* ten requests a second for an hour: what the window lets through */
    for (now = 0; now < 3600000; now += 100) {
        admitted += admit(&w, &rule, now);
    }

    assert_true(admitted <= 3600);
    assert_true(admitted >= 3600 * 22 / 23);
}


static void
test_undo(void **state)
{
    unsigned              i, mark;
    uint32_t              now;
    travel_window_t       w = { 0 };
    travel_window_rule_t  rule = travel_window_rule(3, 1000);

    (void) state;

    for (i = 0; i < 1000; i++) {
        now = 5000 + i;
        travel_window_advance(&w, &rule, now);
        mark = travel_window_take(&w, &rule, 1, now);
        travel_window_undo(&w, &rule, 1, mark, now, now);
        assert_int_equal(travel_window_room(&w, &rule), 3);
        assert_true(w.live <= 1);
    }

    /* an older one goes, the newer ones stay */
    mark = travel_window_take(&w, &rule, 1, 7000);
    (void) travel_window_take(&w, &rule, 1, 7100);
    (void) travel_window_take(&w, &rule, 1, 7200);
    assert_int_equal(travel_window_room(&w, &rule), 0);
    travel_window_undo(&w, &rule, 1, mark, 7000, 7300);
    assert_int_equal(travel_window_room(&w, &rule), 1);
    assert_int_equal(travel_window_more(&w, &rule, 7300), 800);
    (void) travel_window_take(&w, &rule, 1, 7300);
    assert_int_equal(travel_window_room(&w, &rule), 0);
    assert_int_equal(travel_window_wait(&w, &rule, 1, 7300), 800);

    /* too late: it has left by itself, and its mark may be another's */
    travel_window_advance(&w, &rule, 8150);
    assert_int_equal(travel_window_room(&w, &rule), 1);
    travel_window_undo(&w, &rule, 1, mark, 7000, 8150);
    assert_int_equal(travel_window_room(&w, &rule), 1);
}


/* Taking back leaves the promises as they are. */
static void
test_undo_at_random(void **state)
{
    unsigned              i, mark;
    uint32_t              now;
    travel_window_t       w = { 0 };
    travel_window_rule_t  rule = travel_window_rule(100, 10000);

    (void) state;
    srand(11);
    count = 0;
    now = 1;

    for (i = 0; i < 100000; i++) {
        now += (uint32_t) rand() % 150;
        travel_window_advance(&w, &rule, now);

        if (travel_window_room(&w, &rule) == 0) {
            assert_true(events_within(now, 10000 + rule.grain) >= 100);
            continue;
        }

        mark = travel_window_take(&w, &rule, 1, now);

        if (rand() % 3 == 0) {
            travel_window_undo(&w, &rule, 1, mark, now, now);
            continue;
        }

        assert_true(count < EVENTS);
        times[count++] = now;
        assert_true(events_within(now, 10000) <= 100);
        assert_true(w.live <= TRAVEL_WINDOW_MARKS);
    }
}


static void
test_a_lowered_quota(void **state)
{
    unsigned              i;
    travel_window_t       w = { 0 };
    travel_window_rule_t  high = travel_window_rule(20, 1000);
    travel_window_rule_t  low = travel_window_rule(5, 1000);

    (void) state;

    for (i = 0; i < 20; i++) {
        (void) travel_window_take(&w, &high, 1, i * 10);
    }

    assert_int_equal(travel_window_room(&w, &low), 0);
    assert_int_equal(travel_window_wait(&w, &low, 1, 190), 150 + 1000 - 190);
}


/* Weights: the same promises, counted in units. */
static void
test_weights(void **state)
{
    unsigned              i, mark;
    uint32_t              n, now, wait;
    travel_window_t       w = { 0 };
    travel_window_rule_t  rule = travel_window_rule(500, 10000);

    (void) state;
    srand(13);
    count = 0;

    assert_int_equal(travel_window_wait(&w, &rule, 500, 1), 0);
    assert_int_equal(travel_window_wait(&w, &rule, 501, 1),
                     TRAVEL_WINDOW_NEVER);

    for (i = 0, now = 1; i < 5000; i++) {
        now += (uint32_t) rand() % 400;
        n = 1 + (uint32_t) rand() % 40;

        travel_window_advance(&w, &rule, now);
        wait = travel_window_wait(&w, &rule, n, now);

        if (wait == 0) {
            mark = travel_window_take(&w, &rule, n, now);

            if (rand() % 5 == 0) {
                travel_window_undo(&w, &rule, n, mark, now, now);
                continue;
            }

            while (n-- > 0) {
                assert_true(count < EVENTS);
                times[count++] = now;
            }

            assert_true(events_within(now, 10000) <= 500);

        } else {
            assert_true(events_within(now, 10000 + rule.grain) + n > 500);
            travel_window_advance(&w, &rule, now + wait - 1);
            assert_true(travel_window_room(&w, &rule) < n);
            travel_window_advance(&w, &rule, now + wait);
            assert_true(travel_window_room(&w, &rule) >= n);
            now += wait;
        }
    }
}


/* What was charged afterwards is paid before anything else is admitted. */
static void
test_debt(void **state)
{
    travel_window_t       w = { 0 };
    travel_window_rule_t  rule = travel_window_rule(100, 10000);

    (void) state;

    (void) travel_window_take(&w, &rule, 250, 1000);
    (void) travel_window_take(&w, &rule, 50, 3000);
    assert_int_equal(travel_window_room(&w, &rule), 0);
    assert_int_equal(travel_window_wait(&w, &rule, 1, 3000), 8000);
    assert_int_equal(travel_window_wait(&w, &rule, 60, 3000), 10000);
    travel_window_advance(&w, &rule, 11000);
    assert_int_equal(travel_window_room(&w, &rule), 50);

    (void) travel_window_take(&w, &rule, UINT32_MAX, 11000);
    (void) travel_window_take(&w, &rule, UINT32_MAX, 11001);
    assert_int_equal(w.sum, TRAVEL_WINDOW_SUM_MAX);
    travel_window_advance(&w, &rule, 21001);
    assert_int_equal(travel_window_room(&w, &rule), 100);
}


static void
test_days(void **state)
{
    travel_window_t       w = { 0 };
    travel_window_rule_t  rule = travel_window_rule(100, 86400000);

    (void) state;

    travel_window_turn(&w, 20000);
    travel_window_day_take(&w, 60);
    travel_window_day_take(&w, 40);
    assert_int_equal(travel_window_room(&w, &rule), 0);
    assert_int_equal(travel_window_day_wait(&w, &rule, 1, 20000, 5000), 5000);
    assert_int_equal(travel_window_day_wait(&w, &rule, 101, 20000, 5000),
                     TRAVEL_WINDOW_NEVER);

    travel_window_day_undo(&w, 40, 20000);
    assert_int_equal(travel_window_room(&w, &rule), 40);
    assert_int_equal(travel_window_day_wait(&w, &rule, 40, 20000, 5000), 0);

    /* west: the day was had already */
    travel_window_turn(&w, 19999);
    assert_int_equal(travel_window_room(&w, &rule), 40);
    assert_int_equal(travel_window_day_wait(&w, &rule, 41, 19999, 5000),
                     5000 + 86400000);

    travel_window_turn(&w, 20001);
    assert_int_equal(travel_window_room(&w, &rule), 100);
    travel_window_day_undo(&w, 60, 20000);
    assert_int_equal(w.sum, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_exact_quota),
        cmocka_unit_test(test_a_burst_counts_exactly_its_span),
        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_sustained_rate),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_undo_at_random),
        cmocka_unit_test(test_a_lowered_quota),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_debt),
        cmocka_unit_test(test_days)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
