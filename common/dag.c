/* Circles in a graph: nodes without predecessors are taken out until there are
 * none; what is left is on a circle or behind one. */

#include <stdlib.h>

#include "dag.h"


/* Room for each node's edges by where they come from: 'first' has n + 1 places
 * in 'next'; 'waits' counts those that come in. */
static void
dag_index(size_t n, const travel_dag_edge_t *edges, size_t nedges,
    uint32_t *first, uint32_t *next, uint32_t *waits)
{
    size_t  i;

    for (i = 0; i < nedges; i++) {
        first[edges[i].from + 1]++;
        waits[edges[i].to]++;
    }

    for (i = 0; i < n; i++) {
        first[i + 1] += first[i];
    }

    for (i = nedges; i-- > 0; ) {
        next[--first[edges[i].from + 1]] = edges[i].to;
    }
}


int
travel_dag_check(size_t n, const travel_dag_edge_t *edges, size_t nedges,
    uint32_t *ret_node)
{
    size_t     i, done, ready;
    uint32_t   k, *first, *next, *waits, *queue;

    /* one more place than needed: after the index first[i + 1] is where i's
     * edges begin, and first[i + 2] where they end */
    first = calloc(3 * n + nedges + 2, sizeof(uint32_t));

    if (first == NULL) {
        return TRAVEL_ERROR;
    }

    waits = first + n + 2;
    queue = waits + n;
    next = queue + n;
    dag_index(n, edges, nedges, first, next, waits);
    first[n + 1] = (uint32_t) nedges;
    ready = 0;

    for (i = 0; i < n; i++) {
        if (waits[i] == 0) {
            queue[ready++] = (uint32_t) i;
        }
    }

    for (done = 0; done < ready; done++) {
        for (k = first[queue[done] + 1]; k < first[queue[done] + 2]; k++) {
            if (--waits[next[k]] == 0) {
                queue[ready++] = next[k];
            }
        }
    }

    for (i = 0; done < n && i < n; i++) {
        if (waits[i] > 0) {
            *ret_node = (uint32_t) i;
            break;
        }
    }

    free(first);
    return done == n ? TRAVEL_OK : TRAVEL_INVALID;
}
