/* The circuit breaker: 5 failures, 60 s, 2 successes, one probe at a time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/out/breaker.h"


static unsigned
call(worker_breaker_t *b, uint64_t now, bool good)
{
    unsigned  pass;
    uint64_t  wait;

    if (!worker_breaker_ask(b, now, &pass, &wait)) {
        return 0;
    }

    (void) worker_breaker_report(b, pass, good, now);
    return 1;
}


static void
open_it(worker_breaker_t *b, uint64_t now)
{
    int  i;

    for (i = 0; i < WORKER_BREAKER_FAILURES; i++) {
        assert_int_equal(call(b, now, false), 1);
    }

    assert_int_equal(b->state, WORKER_BREAKER_OPEN);
}


static void
test_opens_after_failures_in_a_row(void **state)
{
    int               i;
    unsigned          pass;
    uint64_t          wait;
    worker_breaker_t  b = { 0 };

    (void) state;

    for (i = 0; i < 20; i++) {
        call(&b, 0, i % WORKER_BREAKER_FAILURES == 0);
    }

    assert_int_equal(b.state, WORKER_BREAKER_CLOSED);

    call(&b, 0, false);
    open_it(&(worker_breaker_t) { 0 }, 0);

    b = (worker_breaker_t) { 0 };
    open_it(&b, 1000);
    assert_false(worker_breaker_ask(&b, 1000, &pass, &wait));
    assert_int_equal(wait, WORKER_BREAKER_OPEN_MS);
    assert_false(worker_breaker_ask(&b, 60999, &pass, &wait));
    assert_int_equal(wait, 1);
}


static void
test_one_probe_at_a_time(void **state)
{
    unsigned          first, second;
    uint64_t          wait;
    worker_breaker_t  b = { 0 };

    (void) state;

    open_it(&b, 0);
    assert_true(worker_breaker_ask(&b, 60000, &first, &wait));
    assert_int_equal(b.state, WORKER_BREAKER_HALF_OPEN);
    assert_false(worker_breaker_ask(&b, 60000, &second, &wait));
    assert_false(worker_breaker_report(&b, first, true, 60001));
    assert_true(worker_breaker_ask(&b, 60002, &second, &wait));
    assert_true(worker_breaker_report(&b, second, true, 60003));
    assert_int_equal(b.state, WORKER_BREAKER_CLOSED);
}


static void
test_failed_probe_opens_again(void **state)
{
    unsigned          pass;
    uint64_t          wait;
    worker_breaker_t  b = { 0 };

    (void) state;

    open_it(&b, 0);

    /* a success does not count towards the next half-open period */
    assert_int_equal(call(&b, 60000, true), 1);
    assert_int_equal(call(&b, 60001, false), 1);
    assert_int_equal(b.state, WORKER_BREAKER_OPEN);
    assert_false(worker_breaker_ask(&b, 120000, &pass, &wait));
    assert_int_equal(call(&b, 120001, true), 1);
    assert_int_equal(b.state, WORKER_BREAKER_HALF_OPEN);
    assert_int_equal(call(&b, 120002, true), 1);
    assert_int_equal(b.state, WORKER_BREAKER_CLOSED);
}


static void
test_late_answers_do_not_count(void **state)
{
    unsigned          early, probe;
    uint64_t          wait;
    worker_breaker_t  b = { 0 };

    (void) state;

    assert_true(worker_breaker_ask(&b, 0, &early, &wait));
    open_it(&b, 0);
    assert_true(worker_breaker_ask(&b, 60000, &probe, &wait));

    assert_false(worker_breaker_report(&b, early, false, 60001));
    assert_int_equal(b.state, WORKER_BREAKER_HALF_OPEN);
    assert_false(worker_breaker_report(&b, early, true, 60001));
    assert_int_equal(b.successes, 0);
    assert_true(b.probing);
}


/* Two failures, a second, one success. */
static void
test_own_figures(void **state)
{
    unsigned          pass, i;
    uint64_t          wait;
    worker_breaker_t  b = { .max_failures = 2, .min_successes = 1,
                            .open_ms = 1000 };

    (void) state;

    for (i = 0; i < 2; i++) {
        assert_true(worker_breaker_ask(&b, 5000, &pass, &wait));
        assert_int_equal(worker_breaker_report(&b, pass, false, 5000), i == 1);
    }

    assert_false(worker_breaker_ask(&b, 5001, &pass, &wait));
    assert_int_equal(wait, 999);
    assert_true(worker_breaker_ask(&b, 6000, &pass, &wait));
    assert_false(worker_breaker_ask(&b, 6000, &pass, &wait));
    assert_true(worker_breaker_report(&b, pass, true, 6000));
    assert_int_equal(b.state, WORKER_BREAKER_CLOSED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_opens_after_failures_in_a_row),
        cmocka_unit_test(test_one_probe_at_a_time),
        cmocka_unit_test(test_failed_probe_opens_again),
        cmocka_unit_test(test_late_answers_do_not_count),
        cmocka_unit_test(test_own_figures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
