/* Is a directed graph without circles?  Kahn's algorithm, in time and memory
 * that follow nodes and edges. */

#ifndef TRAVEL_DAG_H
#define TRAVEL_DAG_H

#include "travel.h"

typedef struct {
    uint32_t  from;
    uint32_t  to;
} travel_dag_edge_t;

/* Nodes are 0 to n - 1; edges that name others are the caller's mistake.
 * TRAVEL_OK; TRAVEL_INVALID: it has a circle, *ret_node is on one or behind it;
 * TRAVEL_ERROR: no memory. */
int travel_dag_check(size_t n, const travel_dag_edge_t *edges, size_t nedges,
    uint32_t *ret_node) TRAVEL_MUST_CHECK;

#endif
