/*
 * travel_live topics: the plain JSON protocol.
 *
 *   → {"type":"subscribe","topic":T}          cursor: what was read last
 *   → {"type":"subscribe","topic":T,"cursor":C}
 *   → {"type":"resume","cursors":{T:C, ...}}  many of these in one
 *   ← {"type":"subscribed","topic":T,"cursor":C}
 *   ← {"type":"gap","topic":T,"missed":N|null,"cursor":C}
 *   ← {"type":"message","topic":T,"cursor":C,"message":{...}}
 *   → {"type":"unsubscribe","topic":T}        ← "unsubscribed"
 *   → {"type":"ping"}                         ← {"type":"pong"}
 *   → {"type":"auth","token":JWT}    ← {"type":"auth","ok":BOOL,"expires":T}
 *   → {"type":"presence","topic":T}  ← {"type":"presence","topic":T,"count":N}
 *   ← {"type":"error","code":..,"message":..,"topic":T}
 *   ← {"type":"bye","code":N,"reconnect_in":MS,"cursors":{T:C, ...}}
 *
 * What a message changes of the socket (a subscription, the end) happens at
 * once; what is told of topics comes from the hub.
 */

#include "ngx_http_travel_live_session.h"
#include "../../common/json.h"
#include "../../common/json_writer.h"

#define NGX_HTTP_TRAVEL_WATCHER_ROOM  1024     /* bytes of a short answer */


typedef struct {
    ngx_http_travel_socket_t       *socket;
    ngx_http_travel_subscriber_t   *subs;
    ngx_uint_t                      n;
    ngx_http_travel_session_t       session;       /* who it is */
    ngx_http_travel_asker_t        *asker;         /* of presence; or NULL */
} ngx_http_travel_watcher_t;


static ngx_int_t ngx_http_travel_watcher_open(ngx_http_travel_socket_t *s,
    ngx_http_request_t *r);
static void ngx_http_travel_watcher_gone(ngx_http_travel_socket_t *s);
static void ngx_http_travel_watcher_farewell(ngx_http_travel_socket_t *s,
    unsigned code);
static void ngx_http_travel_watcher_message(ngx_http_travel_socket_t *s,
    ngx_uint_t text, ngx_str_t *data);
static void ngx_http_travel_watcher_auth(ngx_http_travel_watcher_t *w);
static void ngx_http_travel_watcher_vouched(ngx_http_travel_session_t *session,
    ngx_http_travel_caller_t *caller);
static void ngx_http_travel_watcher_presence(ngx_http_travel_watcher_t *w,
    ngx_str_t *topic);
static void ngx_http_travel_watcher_counted(ngx_http_travel_asker_t *asker,
    ngx_int_t count);
static void ngx_http_travel_watcher_subscribe(ngx_http_travel_watcher_t *w,
    ngx_str_t *topic, const travel_json_node_t *cursor);
static void ngx_http_travel_watcher_resume(ngx_http_travel_watcher_t *w,
    const travel_json_node_t *cursors);
static void ngx_http_travel_watcher_unsubscribe(ngx_http_travel_watcher_t *w,
    ngx_str_t *topic);
static void ngx_http_travel_watcher_drop(ngx_http_travel_watcher_t *w,
    const ngx_str_t *topic);
static ngx_http_travel_subscriber_t **ngx_http_travel_watcher_find(
    ngx_http_travel_watcher_t *w, const ngx_str_t *topic);
static void ngx_http_travel_watcher_tell(ngx_http_travel_watcher_t *w,
    travel_json_writer_t *json);
static void ngx_http_travel_watcher_say(ngx_http_travel_watcher_t *w,
    const char *type, const ngx_str_t *topic);
static void ngx_http_travel_watcher_error(ngx_http_travel_watcher_t *w,
    const char *code, const char *message, const ngx_str_t *topic);
static void ngx_http_travel_watcher_ready(ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_watcher_gap(ngx_http_travel_subscriber_t *sub,
    int64_t missed);
static void ngx_http_travel_watcher_news(ngx_http_travel_subscriber_t *sub,
    ngx_http_travel_message_t *message);
static void ngx_http_travel_watcher_refused(ngx_http_travel_subscriber_t *sub);


const ngx_http_travel_protocol_t  ngx_http_travel_topics = {
    ngx_null_string,
    ngx_http_travel_watcher_open,
    ngx_http_travel_watcher_message,
    ngx_http_travel_watcher_gone,
    ngx_http_travel_watcher_farewell
};

static const ngx_http_travel_subscriber_pt  ngx_http_travel_watcher_hears = {
    ngx_http_travel_watcher_ready,
    ngx_http_travel_watcher_gap,
    ngx_http_travel_watcher_news,
    ngx_http_travel_watcher_refused
};

/* This worker's reader of messages. */
static travel_json_t  *ngx_http_travel_watcher_json;


static ngx_int_t
ngx_http_travel_watcher_open(ngx_http_travel_socket_t *s,
    ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_travel_watcher_t  *w;

    if (ngx_http_travel_watcher_json == NULL) {
        ngx_http_travel_watcher_json = travel_json_create(4096);

        if (ngx_http_travel_watcher_json == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    w = ngx_calloc(sizeof(ngx_http_travel_watcher_t), r->connection->log);

    rc = w != NULL ? ngx_http_travel_session_open(&w->session, r, s->conf,
                                                  &s->guest)
                   : NGX_ERROR;

    if (rc != NGX_OK) {
        ngx_free(w);
        return ngx_http_travel_guest_refused(r, rc);
    }

    w->socket = s;
    w->session.data = w;
    s->data = w;

    return NGX_OK;
}


static void
ngx_http_travel_watcher_gone(ngx_http_travel_socket_t *s)
{
    ngx_http_travel_watcher_t     *w = s->data;
    ngx_http_travel_subscriber_t  *sub;

    while (w->subs != NULL) {
        sub = w->subs;
        w->subs = sub->next;

        ngx_http_travel_unsubscribe(sub);
        ngx_free(sub);
    }

    if (w->asker != NULL) {
        ngx_http_travel_presence_forget(w->asker);
        ngx_free(w->asker);
    }

    ngx_http_travel_session_close(&w->session);
    ngx_free(w);
    s->data = NULL;
}


static void
ngx_http_travel_watcher_farewell(ngx_http_travel_socket_t *s, unsigned code)
{
    ngx_http_travel_text_t     *bye;
    ngx_http_travel_watcher_t  *w = s->data;

    bye = ngx_http_travel_told_bye(w->subs, w->n, code);

    if (bye != NULL) {
        ngx_http_travel_socket_message(s, TRAVEL_WS_TEXT, bye->data, bye->len);
        ngx_http_travel_text_release(bye);
    }
}


/* --- in ------------------------------------------------------------------ */

/* A member that is a string; NULL data: it is not there. */
static ngx_str_t
ngx_http_travel_watcher_member(const char *name)
{
    ngx_str_t                  s = ngx_null_string;
    const travel_json_node_t  *node;

    node = travel_json_member(ngx_http_travel_watcher_json, 0,
                              (travel_str_t) { name, ngx_strlen(name) });

    if (node != NULL && node->type == TRAVEL_JSON_STRING) {
        s = ngx_http_travel_str(node->text);
    }

    return s;
}


static ngx_uint_t
ngx_http_travel_watcher_is(const ngx_str_t *s, const char *text)
{
    return s->len == ngx_strlen(text)
           && ngx_memcmp(s->data, text, s->len) == 0;
}


static void
ngx_http_travel_watcher_message(ngx_http_travel_socket_t *s, ngx_uint_t text,
    ngx_str_t *data)
{
    ngx_str_t                   type, topic;
    travel_json_t              *doc = ngx_http_travel_watcher_json;
    travel_json_error_t         err;
    const travel_json_node_t   *nodes;
    ngx_http_travel_watcher_t  *w = s->data;

    if (!text
        || travel_json_parse(doc, ngx_http_travel_view(data), 8, &err)
           != TRAVEL_OK)
    {
        ngx_http_travel_watcher_error(w, "MALFORMED_JSON",
                                      "A message is a JSON object as text.",
                                      NULL);
        return;
    }

    nodes = travel_json_nodes(doc);

    if (nodes[0].type != TRAVEL_JSON_OBJECT) {
        ngx_http_travel_watcher_error(w, "MALFORMED_JSON",
                                      "A message is a JSON object as text.",
                                      NULL);
        return;
    }

    type = ngx_http_travel_watcher_member("type");
    topic = ngx_http_travel_watcher_member("topic");

    if (ngx_http_travel_watcher_is(&type, "subscribe")) {
        ngx_http_travel_watcher_subscribe(w, &topic,
            travel_json_member(doc, 0, TRAVEL_STR("cursor")));

    } else if (ngx_http_travel_watcher_is(&type, "resume")) {
        ngx_http_travel_watcher_resume(w,
            travel_json_member(doc, 0, TRAVEL_STR("cursors")));

    } else if (ngx_http_travel_watcher_is(&type, "unsubscribe")) {
        ngx_http_travel_watcher_unsubscribe(w, &topic);

    } else if (ngx_http_travel_watcher_is(&type, "auth")) {
        ngx_http_travel_watcher_auth(w);

    } else if (ngx_http_travel_watcher_is(&type, "presence")) {
        ngx_http_travel_watcher_presence(w, &topic);

    } else if (ngx_http_travel_watcher_is(&type, "ping")) {
        ngx_http_travel_watcher_say(w, "pong", NULL);

    } else {
        ngx_http_travel_watcher_error(w, "VALIDATION_ERROR",
            "The type must be subscribe, unsubscribe, resume, auth, presence "
            "or ping.", NULL);
    }
}


/* Another token of the same user: the socket ends with that one. */
static void
ngx_http_travel_watcher_auth(ngx_http_travel_watcher_t *w)
{
    ngx_str_t   token;
    ngx_uint_t  i;

    token = ngx_http_travel_watcher_member("token");

    /* it goes into a header */
    for (i = 0; i < token.len; i++) {
        if (token.data[i] <= ' ' || token.data[i] >= 0x7f) {
            token.len = 0;
        }
    }

    if (token.len == 0
        || ngx_http_travel_session_vouch(&w->session, &token,
                                         ngx_http_travel_watcher_vouched)
           != NGX_OK)
    {
        ngx_http_travel_watcher_error(w, "VALIDATION_ERROR",
            "\"token\" must be an access token, and one at a time.", NULL);
    }
}


static void
ngx_http_travel_watcher_vouched(ngx_http_travel_session_t *session,
    ngx_http_travel_caller_t *caller)
{
    char                        text[NGX_HTTP_TRAVEL_WATCHER_ROOM];
    ngx_uint_t                  ok;
    travel_json_writer_t        json;
    ngx_http_travel_watcher_t  *w = session->data;

    ok = caller != NULL && ngx_http_travel_session_same(session, caller)
         && ngx_http_travel_session_become(session, &w->socket->guest, caller)
            == NGX_OK;

    if (ok) {
        ngx_http_travel_socket_renewed(w->socket);
    }

    travel_json_writer_init(&json, text, sizeof(text));
    travel_json_object(&json);
    travel_json_member_cstring(&json, "type", "auth");
    travel_json_key(&json, TRAVEL_STR("ok"));
    travel_json_bool(&json, ok);
    travel_json_member_int(&json, "expires", w->socket->guest.expires);
    travel_json_object_end(&json);
    ngx_http_travel_watcher_tell(w, &json);
}


/* Of topics that he may watch, where presence is counted. */
static void
ngx_http_travel_watcher_presence(ngx_http_travel_watcher_t *w,
    ngx_str_t *topic)
{
    ngx_int_t      rc;
    const u_char  *owner;

    rc = ngx_http_travel_live_allowed(&w->session.rights, topic, &owner);

    if (rc == NGX_OK && owner != NULL
        && *ngx_http_travel_watcher_find(w, topic) == NULL)
    {
        /* of what he watches it is known that it is his */
        rc = NGX_DECLINED;
    }

    if (rc != NGX_OK || !w->socket->conf->presence) {
        ngx_http_travel_watcher_error(w, rc == NGX_DECLINED
                                         ? "AUTHORIZATION_ERROR"
                                         : "RESOURCE_NOT_FOUND",
                                      "Who watches this topic is not told.",
                                      topic);
        return;
    }

    if (w->asker == NULL) {
        w->asker = ngx_calloc(sizeof(ngx_http_travel_asker_t),
                              ngx_cycle->log);
        if (w->asker == NULL) {
            return;
        }

        w->asker->answer = ngx_http_travel_watcher_counted;
        w->asker->data = w;
    }

    if (ngx_http_travel_presence_ask(w->asker, topic) != NGX_OK) {
        ngx_http_travel_watcher_error(w, "DEPENDENCY_UNAVAILABLE",
                                      "One question at a time.", topic);
    }
}


static void
ngx_http_travel_watcher_counted(ngx_http_travel_asker_t *asker,
    ngx_int_t count)
{
    char                        text[NGX_HTTP_TRAVEL_WATCHER_ROOM];
    travel_json_writer_t        json;
    ngx_http_travel_watcher_t  *w = asker->data;

    if (count < 0) {
        ngx_http_travel_watcher_error(w, "DEPENDENCY_UNAVAILABLE",
                                      "It cannot be told now.",
                                      &asker->topic);
        return;
    }

    travel_json_writer_init(&json, text, sizeof(text));
    travel_json_object(&json);
    travel_json_member_cstring(&json, "type", "presence");
    travel_json_member_string(&json, "topic",
                              ngx_http_travel_view(&asker->topic));
    travel_json_member_int(&json, "count", count);
    travel_json_object_end(&json);
    ngx_http_travel_watcher_tell(w, &json);
}


static void
ngx_http_travel_watcher_subscribe(ngx_http_travel_watcher_t *w,
    ngx_str_t *topic, const travel_json_node_t *cursor)
{
    ngx_int_t                      rc;
    const u_char                  *owner;
    travel_stream_id_t             pos;
    ngx_http_travel_subscriber_t  *sub;

    if (cursor != NULL && cursor->type == TRAVEL_JSON_NULL) {
        cursor = NULL;
    }

    if (cursor != NULL
        && (cursor->type != TRAVEL_JSON_STRING
            || travel_stream_id_parse(&pos, cursor->text) != TRAVEL_OK))
    {
        ngx_http_travel_watcher_error(w, "VALIDATION_ERROR",
            "The cursor is none that was given here.", topic);
        return;
    }

    rc = ngx_http_travel_live_allowed(&w->session.rights, topic, &owner);

    if (rc != NGX_OK) {
        ngx_http_travel_watcher_error(w, rc == NGX_ERROR
                                         ? "RESOURCE_NOT_FOUND"
                                         : "AUTHORIZATION_ERROR",
                                      rc == NGX_ERROR
                                      ? "There is no such topic."
                                      : "The caller may not watch this topic.",
                                      topic);
        return;
    }

    if (*ngx_http_travel_watcher_find(w, topic) != NULL) {
        ngx_http_travel_watcher_error(w, "CONFLICT",
                                      "This topic is subscribed already.",
                                      topic);
        return;
    }

    if (w->n == w->socket->conf->topics) {
        ngx_http_travel_watcher_error(w, "RATE_LIMIT_EXCEEDED",
                                      "One socket may not watch more topics.",
                                      topic);
        return;
    }

    sub = ngx_alloc(sizeof(ngx_http_travel_subscriber_t), ngx_cycle->log);

    if (sub == NULL
        || ngx_http_travel_subscribe(sub, topic, owner, cursor ? &pos : NULL,
                                     &ngx_http_travel_watcher_hears, w)
           != NGX_OK)
    {
        ngx_free(sub);
        ngx_http_travel_watcher_error(w, "DEPENDENCY_UNAVAILABLE",
                                      "Nothing can be watched now.", topic);
        return;
    }

    sub->near = w->socket;
    sub->next = w->subs;
    w->subs = sub;
    w->n++;
}


static void
ngx_http_travel_watcher_resume(ngx_http_travel_watcher_t *w,
    const travel_json_node_t *cursors)
{
    ngx_str_t                  topic;
    ngx_uint_t                 i;
    const travel_json_node_t  *node, *nodes;

    if (cursors == NULL || cursors->type != TRAVEL_JSON_OBJECT) {
        ngx_http_travel_watcher_error(w, "VALIDATION_ERROR",
            "\"cursors\" must be an object of topics and cursors.", NULL);
        return;
    }

    nodes = travel_json_nodes(ngx_http_travel_watcher_json);
    node = cursors + 1;

    for (i = 0; i < cursors->count; i++) {
        topic = ngx_http_travel_str(node->text);
        node++;
        ngx_http_travel_watcher_subscribe(w, &topic, node);
        node = &nodes[node->next];
    }
}


static void
ngx_http_travel_watcher_unsubscribe(ngx_http_travel_watcher_t *w,
    ngx_str_t *topic)
{
    if (*ngx_http_travel_watcher_find(w, topic) == NULL) {
        ngx_http_travel_watcher_error(w, "RESOURCE_NOT_FOUND",
                                      "This topic is not subscribed.", topic);
        return;
    }

    ngx_http_travel_watcher_drop(w, topic);
    ngx_http_travel_watcher_say(w, "unsubscribed", topic);
}


/* One that is there.  'topic' may be its own. */
static void
ngx_http_travel_watcher_drop(ngx_http_travel_watcher_t *w,
    const ngx_str_t *topic)
{
    ngx_http_travel_subscriber_t  *sub, **at;

    at = ngx_http_travel_watcher_find(w, topic);
    sub = *at;
    *at = sub->next;
    w->n--;

    ngx_http_travel_unsubscribe(sub);
    ngx_free(sub);
}


static ngx_http_travel_subscriber_t **
ngx_http_travel_watcher_find(ngx_http_travel_watcher_t *w,
    const ngx_str_t *topic)
{
    const ngx_str_t                *name;
    ngx_http_travel_subscriber_t  **at;

    for (at = &w->subs; *at != NULL; at = &(*at)->next) {
        name = ngx_http_travel_subscribed(*at);

        if (name->len == topic->len
            && ngx_memcmp(name->data, topic->data, topic->len) == 0)
        {
            break;
        }
    }

    return at;
}


/* --- out ----------------------------------------------------------------- */

static void
ngx_http_travel_watcher_tell(ngx_http_travel_watcher_t *w,
    travel_json_writer_t *json)
{
    size_t  len;

    len = travel_json_writer_finish(json);

    if (len > 0) {
        ngx_http_travel_socket_message(w->socket, TRAVEL_WS_TEXT, json->dst,
                                       len);
    }
}


static void
ngx_http_travel_watcher_say(ngx_http_travel_watcher_t *w, const char *type,
    const ngx_str_t *topic)
{
    char                  text[NGX_HTTP_TRAVEL_WATCHER_ROOM];
    travel_json_writer_t  json;

    travel_json_writer_init(&json, text, sizeof(text));
    travel_json_object(&json);
    travel_json_member_cstring(&json, "type", type);

    if (topic != NULL) {
        travel_json_member_string(&json, "topic", ngx_http_travel_view(topic));
    }

    travel_json_object_end(&json);
    ngx_http_travel_watcher_tell(w, &json);
}


static void
ngx_http_travel_watcher_error(ngx_http_travel_watcher_t *w, const char *code,
    const char *message, const ngx_str_t *topic)
{
    char    text[NGX_HTTP_TRAVEL_TOLD_MAX];
    size_t  len;

    len = ngx_http_travel_told_error(code, message, topic, text);
    ngx_http_travel_socket_message(w->socket, TRAVEL_WS_TEXT, text, len);
}


static void
ngx_http_travel_watcher_ready(ngx_http_travel_subscriber_t *sub)
{
    char                        text[NGX_HTTP_TRAVEL_TOLD_MAX];
    size_t                      len;
    ngx_http_travel_watcher_t  *w = sub->data;

    len = ngx_http_travel_told_ready(sub, text);
    ngx_http_travel_socket_message(w->socket, TRAVEL_WS_TEXT, text, len);
}


static void
ngx_http_travel_watcher_gap(ngx_http_travel_subscriber_t *sub, int64_t missed)
{
    char                        text[NGX_HTTP_TRAVEL_TOLD_MAX];
    size_t                      len;
    ngx_http_travel_watcher_t  *w = sub->data;

    len = ngx_http_travel_told_gap(sub, missed, text);
    ngx_http_travel_socket_message(w->socket, TRAVEL_WS_TEXT, text, len);
}


static void
ngx_http_travel_watcher_news(ngx_http_travel_subscriber_t *sub,
    ngx_http_travel_message_t *message)
{
    ngx_http_travel_text_t  *frame;

    frame = ngx_http_travel_told(message, NGX_HTTP_TRAVEL_FORM_FRAME);

    if (frame != NULL) {
        ngx_http_travel_socket_send(sub->near, frame);
    }
}


static void
ngx_http_travel_watcher_refused(ngx_http_travel_subscriber_t *sub)
{
    char                        text[NGX_HTTP_TRAVEL_TOLD_MAX];
    size_t                      len;
    ngx_http_travel_watcher_t  *w = sub->data;

    len = ngx_http_travel_told_refused(sub, text);
    ngx_http_travel_watcher_drop(w, ngx_http_travel_subscribed(sub));
    ngx_http_travel_socket_message(w->socket, TRAVEL_WS_TEXT, text, len);
}


void
ngx_http_travel_watcher_stop(void)
{
    travel_json_free(ngx_http_travel_watcher_json);
    ngx_http_travel_watcher_json = NULL;
}
