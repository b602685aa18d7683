/* A database that is not there takes no statement of what the GraphQL schema
 * says of it. */

#include "unit.h"
#include "ctl/ctl.h"


static void
nothing_is_taken(void **state)
{
    PGconn    *pg;
    unsigned   good = 0, bad = 0;

    (void) state;
    pg = PQconnectdb("host=/nowhere");
    assert_int_equal(PQstatus(pg), CONNECTION_BAD);
    assert_true(ctl_graphql_survey("conf/travel", pg, &good, &bad));
    assert_int_equal(good, 0);
    assert_true(bad > 0);
    PQfinish(pg);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(nothing_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
