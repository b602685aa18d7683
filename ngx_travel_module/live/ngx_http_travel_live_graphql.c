/*
 * travel_live graphql over WebSocket: graphql-transport-ws (the protocol of
 * the library graphql-ws), and graphql-ws, its predecessor of
 * subscriptions-transport-ws, whose names of messages differ.
 *
 *   → connection_init {authToken | Authorization}     ← connection_ack
 *   → subscribe  (start)                ← next (data), error, complete
 *   → complete   (stop)
 *   → ping                              ← pong
 *
 * A token may come with the handshake, or with connection_init, or in the
 * payload of a later ping, which is then answered when it has been looked at:
 * so a session goes on beyond its first token.
 *
 * Close codes of graphql-transport-ws: 4400 what is no message, 4401 subscribe
 * before the acknowledgement, 4403 the token is not let in, 4406 no such
 * subprotocol, 4408 no connection_init in time, 4409 an id that is in use,
 * 4429 connection_init twice.
 */

#include "ngx_http_travel_live_session.h"
#include "../../common/graphql_message.h"


typedef struct {
    ngx_http_travel_socket_t       *socket;
    ngx_http_travel_session_t       session;
    ngx_event_t                     timer;         /* for connection_init */
    ngx_http_travel_unsent_t       *early;         /* until acknowledged */
    ngx_http_travel_unsent_t      **last;
    ngx_uint_t                      nearly;
    unsigned                        legacy:1;
    unsigned                        mute:1;        /* nothing we both speak */
    unsigned                        begun:1;       /* connection_init came */
    unsigned                        acknowledged:1;
} ngx_http_travel_talk_t;


static ngx_int_t ngx_http_travel_talk_open(ngx_http_travel_socket_t *s,
    ngx_http_request_t *r);
static void ngx_http_travel_talk_gone(ngx_http_travel_socket_t *s);
static void ngx_http_travel_talk_late(ngx_event_t *ev);
static void ngx_http_travel_talk_mute(ngx_http_travel_talk_t *talk);
static void ngx_http_travel_talk_message(ngx_http_travel_socket_t *s,
    ngx_uint_t text, ngx_str_t *data);
static void ngx_http_travel_talk_keep(ngx_http_travel_talk_t *talk,
    const ngx_str_t *data);
static void ngx_http_travel_talk_early(ngx_http_travel_talk_t *talk,
    ngx_uint_t heard);
static void ngx_http_travel_talk_init(ngx_http_travel_talk_t *talk,
    const travel_json_node_t *payload);
static void ngx_http_travel_talk_vouched(ngx_http_travel_session_t *session,
    ngx_http_travel_caller_t *caller);
static void ngx_http_travel_talk_renewed(ngx_http_travel_session_t *session,
    ngx_http_travel_caller_t *caller);
static void ngx_http_travel_talk_subscribe(ngx_http_travel_talk_t *talk,
    const ngx_str_t *id, const travel_json_node_t *payload,
    const ngx_str_t *data);
static void ngx_http_travel_talk_ping(ngx_http_travel_talk_t *talk,
    const travel_json_node_t *payload, const ngx_str_t *data);
static void ngx_http_travel_talk_close(ngx_http_travel_talk_t *talk,
    unsigned code, const char *reason);
static void ngx_http_travel_talk_say(ngx_http_travel_talk_t *talk,
    const ngx_str_t *id, const char *type, const ngx_str_t *payload);

static void ngx_http_travel_talk_next(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op, const ngx_str_t *result);
static void ngx_http_travel_talk_error(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op, const ngx_str_t *errors);
static void ngx_http_travel_talk_complete(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op);


const ngx_http_travel_protocol_t  ngx_http_travel_graphql_socket = {
    ngx_null_string,
    ngx_http_travel_talk_open,
    ngx_http_travel_talk_message,
    ngx_http_travel_talk_gone,
    NULL
};

static const ngx_http_travel_session_pt  ngx_http_travel_talk_says = {
    ngx_http_travel_talk_next,
    ngx_http_travel_talk_error,
    ngx_http_travel_talk_complete
};

/* This worker's reader of messages. */
static travel_json_t  *ngx_http_travel_talk_json;


void
ngx_http_travel_talk_stop(void)
{
    travel_json_free(ngx_http_travel_talk_json);
    ngx_http_travel_talk_json = NULL;
}


/* --- life ---------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_talk_open(ngx_http_travel_socket_t *s, ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_uint_t               i, modern, legacy;
    ngx_http_travel_talk_t  *talk;

    static const char  header[] = "sec-websocket-protocol";
    static ngx_str_t   names[] = { ngx_string("graphql-ws"),
                                   ngx_string("graphql-transport-ws") };

    if (ngx_http_travel_talk_json == NULL) {
        ngx_http_travel_talk_json = travel_json_create(4096);
    }

    modern = ngx_http_travel_live_token(r, header, sizeof(header) - 1,
                                        "graphql-transport-ws");
    legacy = ngx_http_travel_live_token(r, header, sizeof(header) - 1,
                                        "graphql-ws");
    i = modern ? 1 : 0;

    talk = ngx_calloc(sizeof(ngx_http_travel_talk_t), r->connection->log);

    rc = talk != NULL && ngx_http_travel_talk_json != NULL
         ? ngx_http_travel_session_open(&talk->session, r, s->conf, &s->guest)
         : NGX_ERROR;

    if (rc != NGX_OK) {
        ngx_free(talk);
        return ngx_http_travel_guest_refused(r, rc);
    }

    if ((modern || legacy)
        && ngx_http_travel_add_header(r, "Sec-WebSocket-Protocol", &names[i])
           != NGX_OK)
    {
        ngx_http_travel_session_close(&talk->session);
        ngx_free(talk);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    talk->socket = s;
    talk->legacy = !modern && legacy;
    talk->last = &talk->early;
    talk->session.handlers = &ngx_http_travel_talk_says;
    talk->session.data = talk;
    s->data = talk;

    talk->timer.handler = ngx_http_travel_talk_late;
    talk->timer.data = talk;
    talk->timer.log = ngx_cycle->log;
    talk->timer.cancelable = 1;

    /* the close comes after the handshake, which says that nothing is spoken */
    talk->mute = !modern && !legacy;
    ngx_add_timer(&talk->timer, talk->mute ? 1 : s->conf->init);

    return NGX_OK;
}


static void
ngx_http_travel_talk_gone(ngx_http_travel_socket_t *s)
{
    ngx_http_travel_talk_t  *talk = s->data;

    if (talk->timer.timer_set) {
        ngx_del_timer(&talk->timer);
    }

    ngx_http_travel_talk_early(talk, 0);
    ngx_http_travel_session_close(&talk->session);
    ngx_free(talk);
    s->data = NULL;
}


static void
ngx_http_travel_talk_late(ngx_event_t *ev)
{
    ngx_http_travel_talk_t  *talk = ev->data;

    if (talk->mute) {
        ngx_http_travel_talk_mute(talk);
        return;
    }

    ngx_http_travel_talk_close(talk, 4408,
                               "Connection initialisation timeout");
}


static void
ngx_http_travel_talk_mute(ngx_http_travel_talk_t *talk)
{
    ngx_http_travel_talk_close(talk, 4406, "Subprotocol not acceptable");
}


static void
ngx_http_travel_talk_close(ngx_http_travel_talk_t *talk, unsigned code,
    const char *reason)
{
    ngx_http_travel_socket_close(talk->socket, code, reason,
                                 NGX_HTTP_TRAVEL_LIVE_BROKEN);
}


/* --- in ------------------------------------------------------------------ */

static void
ngx_http_travel_talk_message(ngx_http_travel_socket_t *s, ngx_uint_t text,
    ngx_str_t *data)
{
    ngx_str_t                  id;
    ngx_http_travel_talk_t    *talk = s->data;
    travel_graphql_message_t   m;

    if (talk->mute) {
        ngx_http_travel_talk_mute(talk);
        return;
    }

    if (!text
        || travel_graphql_message_parse(&m, ngx_http_travel_talk_json,
                                        ngx_http_travel_view(data),
                                        talk->legacy)
           != TRAVEL_OK)
    {
        ngx_http_travel_talk_close(talk, 4400, "Invalid message");
        return;
    }

    id = ngx_http_travel_str(m.id);

    switch (m.kind) {

    case TRAVEL_GRAPHQL_MESSAGE_INIT:
        ngx_http_travel_talk_init(talk, m.payload);
        break;

    case TRAVEL_GRAPHQL_MESSAGE_SUBSCRIBE:
        ngx_http_travel_talk_subscribe(talk, &id, m.payload, data);
        break;

    case TRAVEL_GRAPHQL_MESSAGE_COMPLETE:
        if (ngx_http_travel_session_stop(&talk->session, &id) == NGX_OK
            && talk->legacy)
        {
            ngx_http_travel_talk_say(talk, &id, "complete", NULL);
        }

        break;

    case TRAVEL_GRAPHQL_MESSAGE_TERMINATE:
        ngx_http_travel_socket_close(s, TRAVEL_WS_NORMAL, "as asked",
                                     NGX_HTTP_TRAVEL_LIVE_CLOSED);
        break;

    case TRAVEL_GRAPHQL_MESSAGE_PING:
        ngx_http_travel_talk_ping(talk, m.payload, data);
        break;

    case TRAVEL_GRAPHQL_MESSAGE_PONG:
        break;
    }
}


/* Clients of the old protocol do not wait for the acknowledgement. */
static void
ngx_http_travel_talk_keep(ngx_http_travel_talk_t *talk, const ngx_str_t *data)
{
    ngx_http_travel_unsent_t  *u;

    u = talk->nearly < talk->session.conf->operations
        ? ngx_alloc(sizeof(ngx_http_travel_unsent_t), ngx_cycle->log) : NULL;

    if (u != NULL) {
        u->next = NULL;
        u->text = ngx_http_travel_text_copy(data->data, data->len);

        if (u->text == NULL) {
            ngx_free(u);
            u = NULL;
        }
    }

    if (u == NULL) {
        ngx_http_travel_talk_close(talk, TRAVEL_WS_POLICY,
                                   "too many messages before the "
                                   "acknowledgement");
        return;
    }

    *talk->last = u;
    talk->last = &u->next;
    talk->nearly++;
}


/* What came early is heard now, or thrown away. */
static void
ngx_http_travel_talk_early(ngx_http_travel_talk_t *talk, ngx_uint_t heard)
{
    ngx_str_t                  data;
    ngx_http_travel_unsent_t  *u;

    while (talk->early != NULL) {
        u = talk->early;
        talk->early = u->next;

        if (heard && !talk->socket->closing && !talk->socket->failed) {
            data.data = u->text->data;
            data.len = u->text->len;
            ngx_http_travel_talk_message(talk->socket, 1, &data);
        }

        ngx_http_travel_text_release(u->text);
        ngx_free(u);
    }

    talk->last = &talk->early;
    talk->nearly = 0;
}


static ngx_str_t
ngx_http_travel_talk_token(const travel_json_node_t *payload)
{
    return ngx_http_travel_str(travel_graphql_message_token(
                                   ngx_http_travel_talk_json, payload));
}


static void
ngx_http_travel_talk_init(ngx_http_travel_talk_t *talk,
    const travel_json_node_t *payload)
{
    ngx_str_t  token;

    if (talk->begun) {
        ngx_http_travel_talk_close(talk, 4429,
                                   "Too many initialisation requests");
        return;
    }

    talk->begun = 1;

    if (talk->timer.timer_set) {
        ngx_del_timer(&talk->timer);
    }

    token = ngx_http_travel_talk_token(payload);

    if (token.len == 0) {
        talk->acknowledged = 1;
        ngx_http_travel_talk_say(talk, NULL, "connection_ack", NULL);
        return;
    }

    if (ngx_http_travel_session_vouch(&talk->session, &token,
                                      ngx_http_travel_talk_vouched)
        != NGX_OK)
    {
        ngx_http_travel_talk_close(talk, TRAVEL_WS_INTERNAL, "no memory");
    }
}


static void
ngx_http_travel_talk_vouched(ngx_http_travel_session_t *session,
    ngx_http_travel_caller_t *caller)
{
    ngx_http_travel_talk_t  *talk = session->data;

    static const ngx_str_t  why = ngx_string("{\"message\":\"The token is not "
                                             "let in.\"}");

    if (caller == NULL && session->unsure) {
        ngx_http_travel_talk_close(talk, TRAVEL_WS_TRY_LATER,
                                   "the token cannot be looked at now");
        return;
    }

    if (caller == NULL) {
        if (talk->legacy) {
            ngx_http_travel_talk_say(talk, NULL, "connection_error", &why);
        }

        ngx_http_travel_talk_close(talk, 4403, "Forbidden");
        return;
    }

    if (ngx_http_travel_session_become(session, &talk->socket->guest, caller)
        != NGX_OK)
    {
        ngx_http_travel_talk_close(talk, TRAVEL_WS_TRY_LATER,
                                   "too many sockets of this user");
        return;
    }

    ngx_http_travel_socket_renewed(talk->socket);
    talk->acknowledged = 1;
    ngx_http_travel_talk_say(talk, NULL, "connection_ack", NULL);
    ngx_http_travel_talk_early(talk, 1);
}


static void
ngx_http_travel_talk_ping(ngx_http_travel_talk_t *talk,
    const travel_json_node_t *payload, const ngx_str_t *data)
{
    ngx_str_t  token, bytes;

    token = ngx_http_travel_talk_token(payload);

    if (token.len > 0 && talk->acknowledged
        && ngx_http_travel_session_vouch(&talk->session, &token,
                                         ngx_http_travel_talk_renewed)
           == NGX_OK)
    {
        return;
    }

    if (payload != NULL && token.len == 0) {
        bytes = ngx_http_travel_live_bytes(payload, data);
        ngx_http_travel_talk_say(talk, NULL, "pong", &bytes);
        return;
    }

    ngx_http_travel_talk_say(talk, NULL, "pong", NULL);
}


/* One that is not let in changes nothing: the first is still good. */
static void
ngx_http_travel_talk_renewed(ngx_http_travel_session_t *session,
    ngx_http_travel_caller_t *caller)
{
    u_char                   text[64];
    ngx_str_t                payload;
    ngx_http_travel_talk_t  *talk = session->data;

    static const ngx_str_t  no = ngx_string("{\"refreshed\":false}");

    if (caller == NULL || !ngx_http_travel_session_same(session, caller)
        || ngx_http_travel_session_become(session, &talk->socket->guest,
                                          caller)
           != NGX_OK)
    {
        ngx_http_travel_talk_say(talk, NULL, "pong", &no);
        return;
    }

    ngx_http_travel_socket_renewed(talk->socket);

    payload.data = text;
    payload.len = ngx_sprintf(text, "{\"refreshed\":true,\"expires\":%T}",
                              talk->socket->guest.expires) - text;
    ngx_http_travel_talk_say(talk, NULL, "pong", &payload);
}


static void
ngx_http_travel_talk_subscribe(ngx_http_travel_talk_t *talk,
    const ngx_str_t *id, const travel_json_node_t *payload,
    const ngx_str_t *data)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    static const ngx_str_t  many = ngx_string("[{\"message\":\"Too many "
        "operations at once.\",\"extensions\":{\"code\":"
        "\"RATE_LIMIT_EXCEEDED\"}}]");
    static const ngx_str_t  first = ngx_string("[{\"message\":\"The connection "
        "is not acknowledged.\",\"extensions\":{\"code\":"
        "\"AUTHENTICATION_ERROR\"}}]");

    if (!talk->acknowledged) {
        if (talk->legacy && talk->begun) {
            ngx_http_travel_talk_keep(talk, data);

        } else if (talk->legacy) {
            ngx_http_travel_talk_say(talk, id, "error", &first);
        } else {
            ngx_http_travel_talk_close(talk, 4401, "Unauthorized");
        }

        return;
    }

    body = ngx_http_travel_live_bytes(payload, data);
    rc = ngx_http_travel_session_start(&talk->session, id,
                                       ngx_http_travel_talk_json, payload,
                                       &body);

    if (rc == NGX_BUSY && talk->legacy) {
        /* the old way: the later one takes its place */
        (void) ngx_http_travel_session_stop(&talk->session, id);
        rc = ngx_http_travel_session_start(&talk->session, id,
                                           ngx_http_travel_talk_json, payload,
                                           &body);
    }

    if (rc == NGX_BUSY) {
        ngx_http_travel_talk_close(talk, 4409, "Subscriber already exists");

    } else if (rc == NGX_DECLINED) {
        ngx_http_travel_talk_say(talk, id, "error", &many);

    } else if (rc != NGX_OK) {
        ngx_http_travel_talk_close(talk, TRAVEL_WS_INTERNAL, "no memory");
    }
}


/* --- out ----------------------------------------------------------------- */

/* {"id":..,"type":..,"payload":..} */
static void
ngx_http_travel_talk_say(ngx_http_travel_talk_t *talk, const ngx_str_t *id,
    const char *type, const ngx_str_t *payload)
{
    u_char  *text, *p;
    u_char   buf[1024];
    size_t   room;

    room = 64 + (id ? 6 * id->len : 0) + (payload ? payload->len : 0);
    text = room <= sizeof(buf) ? buf : ngx_alloc(room, ngx_cycle->log);

    if (text == NULL) {
        ngx_http_travel_talk_close(talk, TRAVEL_WS_INTERNAL, "no memory");
        return;
    }

    p = text;
    *p++ = '{';

    if (id != NULL) {
        p = ngx_cpymem(p, "\"id\":", 5);
        p += travel_json_quote((char *) p, ngx_http_travel_view(id));
        *p++ = ',';
    }

    p = ngx_sprintf(p, "\"type\":\"%s\"", type);

    if (payload != NULL) {
        p = ngx_cpymem(p, ",\"payload\":", 11);
        p = ngx_cpymem(p, payload->data, payload->len);
    }

    *p++ = '}';

    ngx_http_travel_socket_message(talk->socket, TRAVEL_WS_TEXT, text,
                                   p - text);

    if (text != buf) {
        ngx_free(text);
    }
}


static void
ngx_http_travel_talk_next(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op, const ngx_str_t *result)
{
    ngx_http_travel_talk_t  *talk = session->data;

    ngx_http_travel_talk_say(talk, &op->id, talk->legacy ? "data" : "next",
                             result);
}


/* The old protocol tells one error, or a result that has errors alone. */
static void
ngx_http_travel_talk_error(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op, const ngx_str_t *errors)
{
    u_char                  *text;
    ngx_str_t                result;
    ngx_http_travel_talk_t  *talk = session->data;

    if (!talk->legacy) {
        ngx_http_travel_talk_say(talk, &op->id, "error", errors);
        return;
    }

    text = ngx_alloc(errors->len + 32, ngx_cycle->log);
    if (text == NULL) {
        ngx_http_travel_talk_close(talk, TRAVEL_WS_INTERNAL, "no memory");
        return;
    }

    result.data = text;
    result.len = ngx_sprintf(text, "{\"errors\":%V}", errors) - text;
    ngx_http_travel_talk_say(talk, &op->id, "data", &result);
    ngx_http_travel_talk_say(talk, &op->id, "complete", NULL);
    ngx_free(text);
}


static void
ngx_http_travel_talk_complete(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op)
{
    ngx_http_travel_talk_say(session->data, &op->id, "complete", NULL);
}
