/* Accept: what is named, what is refused by name, and weights. */

#include "unit.h"
#include "http_accept.h"


static void
test_named(void **state)
{
    size_t  i;

    static const struct {
        const char  *accept;
        bool         named;
    } cases[] = {
        { "a/b",                          true },
        { "A/B",                          true },
        { " a/b ",                        true },
        { "x/y, a/b",                     true },
        { "x/y;q=0.1,a/b;q=0.2",          true },
        { "a/b;q=1",                      true },
        { "a/b;q=0.001",                  true },
        { "a/b;charset=utf-8",            true },
        { "a/b;q=01",                     true },
        { "x/y;z=\"a/b,\", a/b",          true },
        { "a/b;q=0, a/b;q=0.5",           true },
        { "a/b;q=0",                      false },
        { "a/b ; Q=0.000",                false },
        { "a/b;q=0.",                     false },
        { "a/b;charset=utf-8;q=0",        false },
        { "x/y;z=\"a/b\"",                false },
        { "x/y;z=\", a/b",                false },
        { "a/bc",                         false },
        { "xa/b",                         false },
        { "a/*",                          false },
        { "*/*",                          false },
        { ",,;;,",                        false },
        { "",                             false },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (travel_http_accepts(S(cases[i].accept), L("a/b"))
            != cases[i].named)
        {
            fail_msg("%s", cases[i].accept);
        }
    }
}


static void
test_weight(void **state)
{
    size_t    i;
    unsigned  weight, place;

    static const struct {
        const char  *accept;
        unsigned     weight;
        unsigned     place;
    } cases[] = {
        { "a/b",                        1000, 1 },
        { "x/y, a/b;q=0.25",             250, 2 },
        { "a/b;q=0.5, a/*, */*",         500, 1 },
        { "*/*, a/b;q=0",                  0, 2 },
        { "A/*;q=0.1, */*;q=0.9",        100, 0 },
        { "*/*;Q=0.001",                   1, 0 },
        { "*/*;q=0.1, */*;q=0.2",        200, 0 },
        { "a/b;q=1.9",                  1000, 1 },
        { "a/b;q=0.1239",                123, 1 },
        { "a/b;q=x",                    1000, 1 },
        { "a/b;z=\",\";q=0.5, x/y",      500, 1 },
        { "x/*, ab/*, a/c",                0, 0 },
        { "/*, *, **",                     0, 0 },
        { "",                              0, 0 },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weight = travel_http_accept_weight(S(cases[i].accept), L("a/b"),
                                           &place);

        if (weight != cases[i].weight || place != cases[i].place) {
            fail_msg("%s: %u at %u", cases[i].accept, weight, place);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_weight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
