/* Ridge regression: known weights are found, whatever the scale; features that
 * say nothing or say the same are harmless. */

#include <math.h>

#include "unit.h"
#include "ridge.h"


/* Between 0 and 1, the same each time. */
static double
some(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (double) (*seed >> 8) / (1 << 24);
}


static void
known_weights(void **state)
{
    int             i;
    double          x[3], w[4];
    uint32_t        seed;
    travel_ridge_t  ridge;

    (void) state;
    seed = 7;
    travel_ridge_start(&ridge, 3);

    for (i = 0; i < 500; i++) {
        x[0] = some(&seed);
        x[1] = 1e6 + 1000 * some(&seed);
        x[2] = some(&seed) / 1000;
        travel_ridge_add(&ridge, x, 3 * x[0] - 0.01 * x[1] + 200 * x[2] + 5);
    }

    assert_int_equal(travel_ridge_solve(&ridge, 1e-9, w), TRAVEL_OK);
    assert_true(fabs(w[0] - 3) < 1e-4);
    assert_true(fabs(w[1] + 0.01) < 1e-6);
    assert_true(fabs(w[2] - 200) < 0.01);
    assert_true(fabs(w[3] - 5) < 0.1);

    x[0] = 0.5;
    x[1] = 1e6 + 500;
    x[2] = 0.0005;
    assert_true(fabs(travel_ridge_predict(w, 3, x)
                     - (1.5 - 10005 + 0.1 + 5)) < 1e-3);
}


static void
constant_and_twin(void **state)
{
    int             i;
    double          x[3], w[4];
    uint32_t        seed;
    travel_ridge_t  ridge;

    (void) state;
    seed = 11;
    travel_ridge_start(&ridge, 3);

    for (i = 0; i < 200; i++) {
        x[0] = some(&seed);
        x[1] = x[0];
        x[2] = 4;
        travel_ridge_add(&ridge, x, 2 * x[0] + 1);
    }

    assert_int_equal(travel_ridge_solve(&ridge, 1e-6, w), TRAVEL_OK);
    assert_true(w[2] == 0);
    assert_true(fabs(w[0] - w[1]) < 1e-9);
    assert_true(fabs(w[0] + w[1] - 2) < 1e-3);
}


/* A large penalty leaves the mean alone. */
static void
penalty(void **state)
{
    double          x, w[2];
    travel_ridge_t  ridge;

    (void) state;
    travel_ridge_start(&ridge, 1);

    for (x = 0; x < 10; x++) {
        travel_ridge_add(&ridge, &x, x);
    }

    assert_int_equal(travel_ridge_solve(&ridge, 1e9, w), TRAVEL_OK);
    assert_true(fabs(w[0]) < 1e-6);
    assert_true(fabs(w[1] - 4.5) < 1e-3);
}


static void
too_little(void **state)
{
    double          x, w[2] = { 7, 7 };
    travel_ridge_t  ridge;

    (void) state;
    travel_ridge_start(&ridge, 1);
    assert_int_equal(travel_ridge_solve(&ridge, 1, w), TRAVEL_INVALID);

    x = 1;
    travel_ridge_add(&ridge, &x, 1);
    assert_int_equal(travel_ridge_solve(&ridge, 1, w), TRAVEL_INVALID);

    x = INFINITY;
    travel_ridge_add(&ridge, &x, 1);
    assert_int_equal(travel_ridge_solve(&ridge, 1, w), TRAVEL_INVALID);
    assert_true(w[0] == 7 && w[1] == 7);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(known_weights),
        cmocka_unit_test(constant_and_twin),
        cmocka_unit_test(penalty),
        cmocka_unit_test(too_little)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
