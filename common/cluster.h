/*
 * Redis Cluster as a client must know it (Redis Cluster specification, "Key
 * distribution model" and "Redirection and resharding"): in which slot a key
 * is, which master has a slot, and what a master answers that has it not.
 *
 * The map is read from the text of CLUSTER NODES, one line a server, which both
 * sides get as one string.  Addresses are numeric: whoever connects by them
 * must not have to ask a name server.
 */

#ifndef TRAVEL_CLUSTER_H
#define TRAVEL_CLUSTER_H

#include "address.h"

#define TRAVEL_CLUSTER_SLOTS    16384
#define TRAVEL_CLUSTER_MASTERS  255       /* with slots; more are refused */
#define TRAVEL_CLUSTER_ANY      (-1)      /* the slot of what has no key */

/* The key's slot, or its hash tag's: what stands between the first "{" and the
 * first "}" behind it, unless that is nothing. */
unsigned travel_cluster_slot(travel_str_t key);

/*
 * The slot of a command as it is sent ("*2\r\n$3\r\nGET\r\n..."), by its first
 * key.  TRAVEL_CLUSTER_ANY: it has none (PUBLISH, PING, WAIT ...), or is no
 * command.
 */
int travel_cluster_command_slot(travel_str_t command);

typedef struct {
    char      host[TRAVEL_ADDRESS_TEXT_LEN + 1];
    uint16_t  port;
} travel_cluster_node_t;

/* False also for what is no numeric address. */
bool travel_cluster_node_set(travel_cluster_node_t *ret_node,
    travel_str_t host, unsigned port);
bool travel_cluster_node_eq(const travel_cluster_node_t *a,
    const travel_cluster_node_t *b);

typedef struct {
    travel_cluster_node_t  nodes[TRAVEL_CLUSTER_MASTERS];
    size_t                 n;
    uint8_t                owner[TRAVEL_CLUSTER_SLOTS];  /* of nodes, plus 1;
                                                            0: nobody has it */
} travel_cluster_map_t;

/*
 * What CLUSTER NODES said.  Masters with slots only; slots on their way from
 * one to another still count as the first one's.  'asked' is the server that
 * said so: one that does not know its own address leaves it out.
 * TRAVEL_OK or TRAVEL_INVALID.
 */
int travel_cluster_map_parse(travel_cluster_map_t *ret_map, travel_str_t text,
    const travel_cluster_node_t *asked) TRAVEL_MUST_CHECK;
/* NULL: nobody has the slot. */
const travel_cluster_node_t *travel_cluster_map_find(
    const travel_cluster_map_t *map, unsigned slot);
/* A redirection is news of one slot.  False: there is no room for the node. */
bool travel_cluster_map_move(travel_cluster_map_t *map, unsigned slot,
    const travel_cluster_node_t *node);

typedef enum {
    TRAVEL_CLUSTER_MOVED,         /* the slot is there now: ask there again */
    TRAVEL_CLUSTER_ASK,           /* this command only, behind ASKING */
    TRAVEL_CLUSTER_LATER          /* TRYAGAIN, CLUSTERDOWN: not now */
} travel_cluster_answer_e;

typedef struct {
    travel_cluster_answer_e  kind;
    unsigned                 slot;        /* of MOVED and ASK */
    travel_cluster_node_t    node;        /* likewise */
} travel_cluster_answer_t;

/* An error reply, without its "-".  'asked' is as above.  TRAVEL_OK, or
 * TRAVEL_UNKNOWN: it is about something else. */
int travel_cluster_answer_parse(travel_cluster_answer_t *ret_answer,
    travel_str_t error, const travel_cluster_node_t *asked) TRAVEL_MUST_CHECK;

#endif
