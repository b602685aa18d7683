/* Messages of GraphQL over WebSocket, as clients send them. */

#include "graphql_message.h"

#include <string.h>
#include <strings.h>


static const struct {
    const char                *modern;     /* NULL: no such word */
    const char                *legacy;
    travel_graphql_message_e   kind;
} words[] = {
    { "connection_init", "connection_init", TRAVEL_GRAPHQL_MESSAGE_INIT },
    { "subscribe", "start", TRAVEL_GRAPHQL_MESSAGE_SUBSCRIBE },
    { "complete", "stop", TRAVEL_GRAPHQL_MESSAGE_COMPLETE },
    { "ping", NULL, TRAVEL_GRAPHQL_MESSAGE_PING },
    { "pong", NULL, TRAVEL_GRAPHQL_MESSAGE_PONG },
    { NULL, "connection_terminate", TRAVEL_GRAPHQL_MESSAGE_TERMINATE }
};


static const travel_json_node_t *
member(const travel_json_t *doc, const travel_json_node_t *object,
    const char *name)
{
    return travel_json_member(doc,
                              (uint32_t) (object - travel_json_nodes(doc)),
                              (travel_str_t) { name, strlen(name) });
}


/* Empty: it is not there, or no string. */
static travel_str_t
text_member(const travel_json_t *doc, const travel_json_node_t *object,
    const char *name)
{
    const travel_json_node_t  *node = member(doc, object, name);

    return node != NULL && node->type == TRAVEL_JSON_STRING
           ? node->text : (travel_str_t) { "", 0 };
}


static int
word(travel_str_t type, bool legacy, travel_graphql_message_e *ret_kind)
{
    size_t       i;
    const char  *name;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        name = legacy ? words[i].legacy : words[i].modern;

        if (name != NULL && type.len == strlen(name)
            && memcmp(type.data, name, type.len) == 0)
        {
            *ret_kind = words[i].kind;
            return TRAVEL_OK;
        }
    }

    return TRAVEL_INVALID;
}


/* A document may be left out where extensions name it. */
static bool
whole(const travel_json_t *doc, const travel_graphql_message_t *m, bool legacy)
{
    switch (m->kind) {

    case TRAVEL_GRAPHQL_MESSAGE_COMPLETE:
        return m->id.len > 0;

    case TRAVEL_GRAPHQL_MESSAGE_SUBSCRIBE:
        return m->id.len > 0 && m->id.len <= TRAVEL_GRAPHQL_MESSAGE_ID_MAX
               && m->payload != NULL
               && (legacy || member(doc, m->payload, "extensions") != NULL
                   || text_member(doc, m->payload, "query").len > 0);

    default:
        return true;
    }
}


int
travel_graphql_message_parse(travel_graphql_message_t *ret_message,
    travel_json_t *doc, travel_str_t text, bool legacy)
{
    travel_json_error_t        err;
    travel_graphql_message_t   m;
    const travel_json_node_t  *root;

    if (travel_json_parse(doc, text, 0, &err) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    root = travel_json_nodes(doc);

    if (root->type != TRAVEL_JSON_OBJECT
        || word(text_member(doc, root, "type"), legacy, &m.kind) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    m.id = text_member(doc, root, "id");
    m.payload = member(doc, root, "payload");

    if (m.payload != NULL && m.payload->type == TRAVEL_JSON_NULL) {
        m.payload = NULL;
    }

    if ((m.payload != NULL && m.payload->type != TRAVEL_JSON_OBJECT)
        || !whole(doc, &m, legacy))
    {
        return TRAVEL_INVALID;
    }

    *ret_message = m;

    return TRAVEL_OK;
}


travel_str_t
travel_graphql_message_token(const travel_json_t *doc,
    const travel_json_node_t *payload)
{
    size_t        i;
    travel_str_t  token = { "", 0 };

    static const char *const  names[] = { "authToken", "Authorization",
                                          "authorization", "accessToken" };

    for (i = 0; payload != NULL && i < 4 && token.len == 0; i++) {
        token = text_member(doc, payload, names[i]);
    }

    if (token.len > 7 && strncasecmp(token.data, "bearer ", 7) == 0) {
        token.data += 7;
        token.len -= 7;
    }

    /* it goes into a header: what cannot be there is no token */
    for (i = 0; i < token.len; i++) {
        if (token.data[i] <= ' ' || token.data[i] >= 0x7f) {
            return TRAVEL_STR("-");
        }
    }

    return token;
}
