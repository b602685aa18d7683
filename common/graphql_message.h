/*
 * What a client of GraphQL over WebSocket says: messages of
 * graphql-transport-ws (the protocol of the library graphql-ws), and of the
 * older graphql-ws (of subscriptions-transport-ws), which has other words.
 *
 *   connection_init {payload}    both
 *   subscribe {id, payload}      start {id, payload}
 *   complete {id}                stop {id}
 *   ping, pong {payload}         connection_terminate
 */

#ifndef TRAVEL_GRAPHQL_MESSAGE_H
#define TRAVEL_GRAPHQL_MESSAGE_H

#include "json.h"
#include "travel.h"

#define TRAVEL_GRAPHQL_MESSAGE_ID_MAX  128

typedef enum {
    TRAVEL_GRAPHQL_MESSAGE_INIT,
    TRAVEL_GRAPHQL_MESSAGE_SUBSCRIBE,
    TRAVEL_GRAPHQL_MESSAGE_COMPLETE,
    TRAVEL_GRAPHQL_MESSAGE_PING,
    TRAVEL_GRAPHQL_MESSAGE_PONG,
    TRAVEL_GRAPHQL_MESSAGE_TERMINATE
} travel_graphql_message_e;

/* As long as the document that it was read into. */
typedef struct {
    travel_graphql_message_e   kind;
    travel_str_t               id;         /* SUBSCRIBE, COMPLETE */
    const travel_json_node_t  *payload;    /* an object; NULL: none, or null */
} travel_graphql_message_t;

/* TRAVEL_INVALID: it is no message (close code 4400). */
int travel_graphql_message_parse(travel_graphql_message_t *ret_message,
    travel_json_t *doc, travel_str_t text, bool legacy) TRAVEL_MUST_CHECK;

/* A bearer token in the payload, whatever clients call it, without the word
 * before it.  Empty: there is none; "-": what is there cannot be one. */
travel_str_t travel_graphql_message_token(const travel_json_t *doc,
    const travel_json_node_t *payload);

#endif
