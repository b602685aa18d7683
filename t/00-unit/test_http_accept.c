/* Accept: what is named, and what is refused by name. */

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


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
