/* What servers of a cluster say, and commands as they are sent: no read beyond
 * the end; what a map has taken can be looked up. */

#include "cluster.h"

#include <stdlib.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                           slot;
    unsigned                      i, owned;
    travel_str_t                  text = { (const char *) data, size };
    travel_cluster_answer_t       answer;
    const travel_cluster_node_t  *node;
    const travel_cluster_node_t   asked = { "127.0.0.1", 6379 };

    static travel_cluster_map_t  map;

    slot = travel_cluster_command_slot(text);

    if (slot < TRAVEL_CLUSTER_ANY || slot >= TRAVEL_CLUSTER_SLOTS
        || travel_cluster_slot(text) >= TRAVEL_CLUSTER_SLOTS)
    {
        abort();
    }

    if (travel_cluster_answer_parse(&answer, text, &asked) == TRAVEL_OK
        && answer.kind != TRAVEL_CLUSTER_LATER
        && (answer.slot >= TRAVEL_CLUSTER_SLOTS || answer.node.port == 0
            || answer.node.host[0] == '\0'))
    {
        abort();
    }

    if (travel_cluster_map_parse(&map, text, &asked) != TRAVEL_OK) {
        return 0;
    }

    for (i = 0, owned = 0; i < TRAVEL_CLUSTER_SLOTS; i++) {
        node = travel_cluster_map_find(&map, i);
        owned += node != NULL;

        if (node != NULL && (node->port == 0 || node->host[0] == '\0')) {
            abort();
        }
    }

    if (owned == 0 || map.n == 0 || map.n > TRAVEL_CLUSTER_MASTERS) {
        abort();
    }

    return 0;
}
