/* The pool's size by what jobs wait and slots do: steps, bounds, hysteresis;
 * and a process's bounds with jitter. */

#include <unistd.h>

#include "unit.h"
#include "pool/recycle.h"
#include "pool/scale.h"

static const worker_scale_conf_t  conf = {
    .min = { 2, 4 }, .max = { 5, 16 }, .age_ms = 2000, .every_ms = 5000,
    .idle_ms = 60000
};


static void
begun(worker_scale_t *s)
{
    memset(s, 0, sizeof(*s));
    worker_scale_begin(s, &conf, 1000);
}


static void
grows_to_its_bound(void **state)
{
    size_t           i;
    int64_t          now;
    worker_scale_t   s;
    static const worker_size_t  steps[] = {
        { 2, 8 }, { 2, 16 }, { 3, 16 }, { 5, 16 }
    };

    (void) state;

    begun(&s);
    assert_int_equal(s.size.processes, 2);
    assert_int_equal(s.size.slots, 4);

    for (i = 0, now = 1000; i < N(steps); i++) {
        assert_int_equal(worker_scale_turn(&s, &conf, 9000, 8, now + 4999),
                         WORKER_SCALE_STAY);
        now += 5000;
        assert_int_equal(worker_scale_turn(&s, &conf, 9000, 8, now),
                         WORKER_SCALE_UP);
        assert_int_equal(s.size.processes, steps[i].processes);
        assert_int_equal(s.size.slots, steps[i].slots);
    }

    assert_int_equal(worker_scale_turn(&s, &conf, 9000, 80, now + 5000),
                     WORKER_SCALE_STAY);
}


static void
shrinks_to_its_bound(void **state)
{
    size_t           i;
    int64_t          now;
    worker_scale_t   s;
    static const worker_size_t  steps[] = {
        { 4, 16 }, { 3, 16 }, { 2, 16 }, { 2, 8 }, { 2, 4 }
    };

    (void) state;

    begun(&s);
    s.size = conf.max;

    for (i = 0, now = 1000; i < N(steps); i++) {
        assert_int_equal(worker_scale_turn(&s, &conf, 0, 1, now + 59999),
                         WORKER_SCALE_STAY);
        now += 60000;
        assert_int_equal(worker_scale_turn(&s, &conf, 0, 1, now),
                         WORKER_SCALE_DOWN);
        assert_int_equal(s.size.processes, steps[i].processes);
        assert_int_equal(s.size.slots, steps[i].slots);
    }

    assert_int_equal(worker_scale_turn(&s, &conf, 0, 1, now + 60000),
                     WORKER_SCALE_STAY);
}


static void
stays_while_it_is_needed(void **state)
{
    worker_scale_t  s;

    (void) state;

    /* one second in which three quarters of the smaller pool (4 of 16) were
     * not enough keeps it for the whole window */
    begun(&s);
    s.size = conf.max;
    assert_int_equal(worker_scale_turn(&s, &conf, 0, 49, 2000),
                     WORKER_SCALE_STAY);
    assert_int_equal(worker_scale_turn(&s, &conf, 0, 0, 61000),
                     WORKER_SCALE_STAY);
    assert_int_equal(worker_scale_turn(&s, &conf, 0, 48, 121000),
                     WORKER_SCALE_DOWN);

    /* and so does a job that waited half of what would make it grow */
    begun(&s);
    s.size = conf.max;
    assert_int_equal(worker_scale_turn(&s, &conf, 1000, 0, 60000),
                     WORKER_SCALE_STAY);
    assert_int_equal(worker_scale_turn(&s, &conf, 999, 0, 119999),
                     WORKER_SCALE_STAY);
    assert_int_equal(worker_scale_turn(&s, &conf, 999, 0, 120000),
                     WORKER_SCALE_DOWN);
}


static void
fixed_without_bounds(void **state)
{
    worker_scale_t        s = { { 3, 3 }, 0, 0, 0 };
    worker_scale_conf_t   fixed = conf;

    (void) state;

    fixed.max = fixed.min;
    worker_scale_begin(&s, &fixed, 0);
    assert_int_equal(s.size.processes, 2);
    assert_int_equal(s.size.slots, 4);
    assert_int_equal(worker_scale_turn(&s, &fixed, 60000, 8, 100000),
                     WORKER_SCALE_STAY);
    assert_int_equal(worker_scale_turn(&s, &fixed, 0, 0, 300000),
                     WORKER_SCALE_STAY);
}


static void
enough_done(void **state)
{
    int                i;
    bool               apart;
    uint64_t           first;
    worker_conf_t     *c;
    worker_recycle_t   r;

    (void) state;

    c = calloc(1, sizeof(worker_conf_t));
    worker_recycle_begin(&r, c);
    assert_int_equal(worker_recycle_due(&r, getpid(), UINT64_MAX),
                     WORKER_RECYCLE_NOT);

    c->recycle_jobs = 1000000;
    c->recycle_jitter = 0.2;
    worker_recycle_begin(&r, c);
    first = r.jobs;

    for (i = 0, apart = false; i < 20; i++) {
        worker_recycle_begin(&r, c);
        assert_in_range(r.jobs, 800000, 1000000);
        apart |= r.jobs != first;
    }

    assert_true(apart);
    assert_int_equal(worker_recycle_due(&r, getpid(), r.jobs - 1),
                     WORKER_RECYCLE_NOT);
    assert_int_equal(worker_recycle_due(&r, getpid(), r.jobs),
                     WORKER_RECYCLE_JOBS);

    c->recycle_jobs = 0;
    c->recycle_memory = 4096;
    worker_recycle_begin(&r, c);
    assert_int_equal(worker_recycle_due(&r, getpid(), 0),
                     WORKER_RECYCLE_MEMORY);
    c->recycle_memory = UINT64_C(1) << 50;
    worker_recycle_begin(&r, c);
    assert_int_equal(worker_recycle_due(&r, getpid(), 0),
                     WORKER_RECYCLE_NOT);
    free(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(grows_to_its_bound),
        cmocka_unit_test(shrinks_to_its_bound),
        cmocka_unit_test(stays_while_it_is_needed),
        cmocka_unit_test(fixed_without_bounds),
        cmocka_unit_test(enough_done)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
