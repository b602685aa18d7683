/*
 * Messages of GraphQL over WebSocket, as clients send them, in both
 * subprotocols: what is taken for one has all that its kind needs, and a token
 * can stand in a header.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "graphql_message.h"


static void
check(bool ok)
{
    if (!ok) {
        abort();
    }
}


static void
token(const travel_json_t *doc, const travel_json_node_t *payload)
{
    size_t        i;
    travel_str_t  t;

    t = travel_graphql_message_token(doc, payload);
    check(payload != NULL || t.len == 0);

    for (i = 0; i < t.len; i++) {
        check(t.data[i] > ' ' && t.data[i] < 0x7f);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int                        legacy;
    travel_str_t               text;
    travel_graphql_message_t   m;

    static travel_json_t  *doc;

    if (doc == NULL) {
        doc = travel_json_create(4096);
        check(doc != NULL);
    }

    text = (travel_str_t) { (const char *) data, n };

    for (legacy = 0; legacy < 2; legacy++) {

        if (travel_graphql_message_parse(&m, doc, text, legacy) != TRAVEL_OK) {
            continue;
        }

        check(travel_json_nodes(doc)->type == TRAVEL_JSON_OBJECT);
        check(m.payload == NULL || m.payload->type == TRAVEL_JSON_OBJECT);
        token(doc, m.payload);

        if (m.kind == TRAVEL_GRAPHQL_MESSAGE_SUBSCRIBE) {
            check(m.payload != NULL && m.id.len > 0
                  && m.id.len <= TRAVEL_GRAPHQL_MESSAGE_ID_MAX);
        }

        if (m.kind == TRAVEL_GRAPHQL_MESSAGE_COMPLETE) {
            check(m.id.len > 0);
        }

        check((m.kind != TRAVEL_GRAPHQL_MESSAGE_TERMINATE) || legacy);
        check((m.kind != TRAVEL_GRAPHQL_MESSAGE_PING
               && m.kind != TRAVEL_GRAPHQL_MESSAGE_PONG) || !legacy);
    }

    return 0;
}
