/* Graphs with and without circles. */

#include "unit.h"

#include "dag.h"


static void
test_good(void **state)
{
    uint32_t           node = 77;
    travel_dag_edge_t  chain[] = { { 2, 1 }, { 1, 0 }, { 2, 0 }, { 3, 0 } };

    (void) state;
    assert_int_equal(travel_dag_check(0, NULL, 0, &node), TRAVEL_OK);
    assert_int_equal(travel_dag_check(5, NULL, 0, &node), TRAVEL_OK);
    assert_int_equal(travel_dag_check(4, chain, N(chain), &node), TRAVEL_OK);
    assert_int_equal(node, 77);
}


static void
test_circles(void **state)
{
    uint32_t           node = 77;
    travel_dag_edge_t  self[] = { { 0, 1 }, { 2, 2 } };
    travel_dag_edge_t  three[] = { { 0, 1 }, { 1, 2 }, { 2, 3 }, { 3, 1 } };

    (void) state;
    assert_int_equal(travel_dag_check(3, self, N(self), &node),
                     TRAVEL_INVALID);
    assert_int_equal(node, 2);
    assert_int_equal(travel_dag_check(4, three, N(three), &node),
                     TRAVEL_INVALID);
    assert_int_equal(node, 1);
}


/* Layers of a hundred, each after all of the one before; then one edge back. */
static void
test_large(void **state)
{
    size_t              n;
    uint32_t            layer, a, b, node;
    travel_dag_edge_t  *edges;

    (void) state;
    edges = calloc(9 * 10000 + 1, sizeof(travel_dag_edge_t));
    assert_non_null(edges);
    n = 0;

    for (layer = 0; layer < 9; layer++) {
        for (a = 0; a < 100; a++) {
            for (b = 0; b < 100; b++) {
                edges[n++] = (travel_dag_edge_t) { (layer + 1) * 100 + a,
                                                   layer * 100 + b };
            }
        }
    }

    assert_int_equal(travel_dag_check(1000, edges, n, &node), TRAVEL_OK);
    edges[n++] = (travel_dag_edge_t) { 0, 999 };
    assert_int_equal(travel_dag_check(1000, edges, n, &node), TRAVEL_INVALID);
    free(edges);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_circles),
        cmocka_unit_test(test_large)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
