/* Decimal numbers: bounds, and what is not one. */

#include <inttypes.h>
#include <stdio.h>

#include "unit.h"
#include "digits.h"


static void
bounds(void **state)
{
    char      text[TRAVEL_DIGITS_MAX], want[32];
    size_t    i, n;
    uint64_t  v;

    static const uint64_t  values[] = {
        0, 1, 9, 10, 99, 100, 4294967295u, 4294967296u, 1700000000000,
        INT64_MAX, UINT64_MAX - 1, UINT64_MAX
    };

    (void) state;

    for (i = 0; i < N(values); i++) {
        snprintf(want, sizeof(want), "%" PRIu64, values[i]);
        n = travel_digits_format(text, values[i]);

        assert_str(((travel_str_t) { text, n }), want);
        assert_int_equal(travel_digits_parse(&v, S(want)), TRAVEL_OK);
        assert_true(v == values[i]);
    }
}


/* The number of digits changes at the powers of ten, its guess at those of two;
 * not a byte is written beyond it. */
static void
widths(void **state)
{
    char      text[TRAVEL_DIGITS_MAX + 1], want[32];
    size_t    base, n;
    uint64_t  v, power;

    (void) state;

    for (base = 2; base <= 10; base += 8) {

        for (power = 1; power <= UINT64_MAX / base; power *= base) {

            for (v = power - 1; v <= power + 1; v++) {
                snprintf(want, sizeof(want), "%" PRIu64, v);
                memset(text, '#', sizeof(text));
                n = travel_digits_format(text, v);

                assert_str(((travel_str_t) { text, n }), want);
                assert_int_equal(text[n], '#');
            }
        }
    }
}


static void
refusals(void **state)
{
    size_t    i;
    uint64_t  v;

    static const char  *bad[] = {
        "", "-1", "+1", " 1", "1 ", "01", "00", "1a", "1:", "1/", "0x1", "1.0",
        "1e3", "18446744073709551616", "18446744073709551620",
        "99999999999999999999", "100000000000000000000"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        v = 42;
        assert_int_equal(travel_digits_parse(&v, S(bad[i])), TRAVEL_INVALID);
        assert_true(v == 42);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bounds),
        cmocka_unit_test(widths),
        cmocka_unit_test(refusals)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
