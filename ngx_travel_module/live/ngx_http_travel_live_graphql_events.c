/*
 * travel_live graphql over event streams (the protocol of the library
 * graphql-sse).
 *
 * Distinct connections: an operation, by GET or POST with Accept:
 * text/event-stream, has a stream of its own:
 *
 *     event: next        data: an execution result
 *     event: complete    data:
 *
 * Single connection: PUT reserves a stream and answers its token; GET with the
 * token opens it; POST with the token starts the operation of
 * extensions.operationId and answers 202; DELETE ?operationId= with the token
 * ends one.  Events tell which operation they are of:
 *
 *     event: next        data: {"id":..,"payload":..}
 *     event: complete    data: {"id":..}
 *
 * The token comes as header X-GraphQL-Event-Stream-Token or argument token=.
 * A reservation is a key of the cache role; the nginx worker that has the
 * stream listens to a channel by the token's and the caller's name, to which
 * any worker of any node sends what it is asked: so a token is of no use to
 * somebody else.
 */

#include "ngx_http_travel_live_session.h"

#define NGX_HTTP_TRAVEL_SHOW_BODY     (256 * 1024)
#define NGX_HTTP_TRAVEL_SHOW_TOKEN    32           /* hex characters */
#define NGX_HTTP_TRAVEL_SHOW_ID_MAX   128
#define NGX_HTTP_TRAVEL_SHOW_RESERVE  "60"         /* seconds */

/* A stream, of one operation or of many. */
typedef struct {
    ngx_http_travel_events_t        events;
    ngx_http_travel_session_t       session;
    ngx_http_travel_line_t          line;
    ngx_event_t                    *begin;         /* single: perhaps posted */
    unsigned                        single:1;
} ngx_http_travel_show_t;

/* A request about a stream. */
typedef struct {
    ngx_http_request_t                     *request;
    const ngx_http_travel_live_loc_conf_t  *conf;
    ngx_str_t                               token;
    ngx_str_t                               user;
    ngx_http_travel_show_t                 *show;
    ngx_event_t                             begin;     /* posted */
    unsigned                                busy:1;
} ngx_http_travel_backstage_t;


static ngx_int_t ngx_http_travel_show_start(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, ngx_str_t *body,
    ngx_uint_t safe);
static ngx_int_t ngx_http_travel_show_create(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf,
    ngx_http_travel_show_t **ret_show);
static ngx_int_t ngx_http_travel_show_get(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf);
static ngx_int_t ngx_http_travel_show_receive(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt posted);
static void ngx_http_travel_show_posted(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_show_run(ngx_http_travel_show_t *show,
    const ngx_str_t *id, const ngx_str_t *body);
static void ngx_http_travel_show_farewell(ngx_http_travel_events_t *e,
    unsigned code);
static void ngx_http_travel_show_gone(ngx_http_travel_events_t *e);
static void ngx_http_travel_show_next(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op, const ngx_str_t *result);
static void ngx_http_travel_show_error(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op, const ngx_str_t *errors);
static void ngx_http_travel_show_complete(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op);

static ngx_int_t ngx_http_travel_backstage(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, ngx_str_t *token);
static ngx_int_t ngx_http_travel_backstage_reserve(
    ngx_http_travel_backstage_t *b);
static ngx_int_t ngx_http_travel_backstage_open(
    ngx_http_travel_backstage_t *b);
static ngx_int_t ngx_http_travel_backstage_send(
    ngx_http_travel_backstage_t *b, u_char kind, ngx_str_t *what);


static const ngx_http_travel_events_pt  ngx_http_travel_show_owner = {
    ngx_http_travel_show_farewell,
    ngx_http_travel_show_gone
};

static const ngx_http_travel_session_pt  ngx_http_travel_show_says = {
    ngx_http_travel_show_next,
    ngx_http_travel_show_error,
    ngx_http_travel_show_complete
};


ngx_int_t
ngx_http_travel_live_graphql(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf)
{
    ngx_str_t  *header, token;

    if (r != r->main || ngx_http_travel_header_in(r, "upgrade", 7) != NULL) {
        return NGX_DECLINED;
    }

    if (!ngx_http_travel_live_origin(r, conf)) {
        ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_REFUSED);
        return ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                   "Pages of this origin may not watch anything here.");
    }

    ngx_str_null(&token);
    header = ngx_http_travel_header_in(r, "x-graphql-event-stream-token", 28);

    if (header != NULL) {
        token = *header;

    } else if (ngx_http_arg(r, (u_char *) "token", 5, &token) != NGX_OK) {
        ngx_str_null(&token);
    }

    if (token.len > 0 || r->method == NGX_HTTP_PUT
        || r->method == NGX_HTTP_DELETE)
    {
        return ngx_http_travel_backstage(r, conf, &token);
    }

    if (r->method == NGX_HTTP_POST) {
        return ngx_http_travel_show_receive(r, ngx_http_travel_show_posted);
    }

    if (r->args.len == 0) {
        return NGX_DECLINED;
    }

    return ngx_http_travel_show_get(r, conf);
}


static ngx_int_t
ngx_http_travel_show_receive(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt posted)
{
    ngx_int_t  rc;

    rc = ngx_http_travel_live_json_type(r, NGX_HTTP_TRAVEL_SHOW_BODY);
    if (rc != NGX_OK || r->header_sent) {
        return rc;
    }

    r->request_body_in_single_buf = 1;
    rc = ngx_http_read_client_request_body(r, posted);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


/* --- an operation's own stream ------------------------------------------- */

static ngx_int_t
ngx_http_travel_show_body(ngx_http_request_t *r, ngx_str_t *ret_body)
{
    off_t  size;

    size = ngx_http_travel_received_size(r);

    if (size > NGX_HTTP_TRAVEL_SHOW_BODY) {
        return NGX_ERROR;
    }

    ret_body->data = ngx_pnalloc(r->pool, (size_t) size + 1);
    ret_body->len = (size_t) size;

    return ret_body->data != NULL
           ? ngx_http_travel_received_copy(r, ret_body->data) : NGX_ERROR;
}


static void
ngx_http_travel_show_posted(ngx_http_request_t *r)
{
    ngx_int_t                               rc;
    ngx_str_t                               body;
    const ngx_http_travel_live_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_travel_live_module);
    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (ngx_http_travel_show_body(r, &body) == NGX_OK) {
        rc = ngx_http_travel_show_start(r, conf, &body, 0);
    }

    ngx_http_finalize_request(r, rc);
}


/* The query string's parts as the body that a POST would have. */
static ngx_int_t
ngx_http_travel_show_get(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf)
{
    u_char      *src, *dst, *p, *text;
    ngx_str_t    value, body;
    ngx_uint_t   i, k;

    static const struct {
        char        *name;
        ngx_uint_t   text;
    } args[] = {
        { "query", 1 }, { "operationName", 1 },
        { "variables", 0 }, { "extensions", 0 }
    };

    body.data = ngx_pnalloc(r->pool, 6 * r->args.len + 128);
    text = ngx_pnalloc(r->pool, r->args.len);

    if (body.data == NULL || text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = body.data;
    *p++ = '{';

    for (i = 0; i < 4; i++) {
        if (ngx_http_arg(r, (u_char *) args[i].name,
                         ngx_strlen(args[i].name), &value)
            != NGX_OK || value.len == 0)
        {
            continue;
        }

        ngx_memcpy(text, value.data, value.len);

        for (k = 0; k < value.len; k++) {
            if (text[k] == '+') {
                text[k] = ' ';
            }
        }

        src = text;
        dst = text;
        ngx_unescape_uri(&dst, &src, value.len, 0);

        p = ngx_sprintf(p, "%s\"%s\":", p > body.data + 1 ? "," : "",
                        args[i].name);
        p = args[i].text
            ? p + travel_json_quote((char *) p, (travel_str_t) {
                                    (char *) text, (size_t) (dst - text) })
            : ngx_cpymem(p, text, dst - text);
    }

    *p++ = '}';
    body.len = p - body.data;

    return ngx_http_travel_show_start(r, conf, &body, 1);
}


/* NGX_OK; NGX_BUSY, NGX_ERROR: see guest_refused(). */
static ngx_int_t
ngx_http_travel_show_create(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf,
    ngx_http_travel_show_t **ret_show)
{
    ngx_int_t                rc;
    ngx_http_travel_show_t  *show;

    show = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_show_t));
    if (show == NULL) {
        return NGX_ERROR;
    }

    show->events.owner = &ngx_http_travel_show_owner;
    show->events.data = show;
    show->session.handlers = &ngx_http_travel_show_says;
    show->session.data = show;

    rc = ngx_http_travel_session_open(&show->session, r, conf,
                                      &show->events.guest);

    if (rc == NGX_OK) {
        rc = ngx_http_travel_events_init(&show->events, r, conf);

        if (rc != NGX_OK) {
            ngx_http_travel_session_close(&show->session);
            ngx_http_travel_guest_gone(&show->events.guest);
        }
    }

    *ret_show = show;
    return rc;
}


/* With something to send: the header alone would be kept back. */
static ngx_int_t
ngx_http_travel_show_open(ngx_http_travel_show_t *show)
{
    ngx_int_t  rc;

    rc = ngx_http_travel_events_open(&show->events);

    if (rc == NGX_DONE) {
        ngx_http_travel_events_give(&show->events,
                                    ngx_http_travel_text_copy(":\n\n", 3));
    }

    return rc;
}


/* What was not accepted comes as an event all the same: a browser's
 * EventSource cannot see anything else. */
static ngx_int_t
ngx_http_travel_show_start(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, ngx_str_t *body,
    ngx_uint_t safe)
{
    ngx_int_t                rc;
    ngx_str_t                id;
    ngx_http_travel_show_t  *show;

    ngx_str_set(&id, "");
    rc = ngx_http_travel_show_create(r, conf, &show);

    if (rc != NGX_OK) {
        return ngx_http_travel_guest_refused(r, rc);
    }

    show->session.safe = safe;
    rc = ngx_http_travel_show_run(show, &id, body);

    if (rc == NGX_OK) {
        return ngx_http_travel_show_open(show);
    }

    return rc == NGX_DECLINED
           ? ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                                   "The body must be a JSON object, with "
                                   "\"query\".")
           : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* NGX_DECLINED: it is no request at all. */
static ngx_int_t
ngx_http_travel_show_run(ngx_http_travel_show_t *show, const ngx_str_t *id,
    const ngx_str_t *body)
{
    ngx_int_t             rc;
    travel_json_t        *json;
    travel_json_error_t   err;

    json = travel_json_create(64);
    rc = NGX_DECLINED;

    if (json != NULL
        && travel_json_parse(json, ngx_http_travel_view(body), 0, &err)
           == TRAVEL_OK
        && travel_json_nodes(json)->type == TRAVEL_JSON_OBJECT)
    {
        rc = ngx_http_travel_session_start(&show->session, id, json,
                                           travel_json_nodes(json), body);

        if (rc == NGX_DECLINED) {
            rc = NGX_BUSY;
        }
    }

    travel_json_free(json);

    return rc;
}


static void
ngx_http_travel_show_farewell(ngx_http_travel_events_t *e, unsigned code)
{
    u_char  text[64];

    if (code == TRAVEL_WS_GOING_AWAY) {
        ngx_http_travel_events_give(e,
            ngx_http_travel_text_copy(text,
                ngx_sprintf(text, "retry: %i\n\n",
                            ngx_random() % NGX_HTTP_TRAVEL_LIVE_BACK + 1)
                - text));
    }
}


static void
ngx_http_travel_show_gone(ngx_http_travel_events_t *e)
{
    ngx_http_travel_show_t  *show = e->data;

    if (show->single) {
        ngx_http_travel_hub_hang_up(&show->line);

        if (show->begin->posted) {
            ngx_delete_posted_event(show->begin);
        }
    }

    ngx_http_travel_session_close(&show->session);
}


/* --- out ----------------------------------------------------------------- */

/* Of one operation: the result; of several: {"id":..,"payload":..}. */
static void
ngx_http_travel_show_tell(ngx_http_travel_show_t *show,
    ngx_http_travel_operation_t *op, const char *type,
    const ngx_str_t *payload)
{
    u_char                  *text, *p;
    ngx_http_travel_text_t  *event;

    static const ngx_str_t  none = ngx_string("");

    if (!show->single) {
        payload = payload ? payload : &none;
        ngx_http_travel_events_give(&show->events,
            ngx_http_travel_text_event(type, NULL, payload->data,
                                       payload->len));
        return;
    }

    text = ngx_alloc(6 * op->id.len + (payload ? payload->len : 0) + 64,
                     ngx_cycle->log);
    event = NULL;

    if (text != NULL) {
        p = ngx_cpymem(text, "{\"id\":", 6);
        p += travel_json_quote((char *) p, ngx_http_travel_view(&op->id));

        if (payload != NULL) {
            p = ngx_sprintf(p, ",\"payload\":%V", payload);
        }

        *p++ = '}';
        event = ngx_http_travel_text_event(type, NULL, text, p - text);
        ngx_free(text);
    }

    ngx_http_travel_events_give(&show->events, event);
}


static void
ngx_http_travel_show_next(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op, const ngx_str_t *result)
{
    ngx_http_travel_show_tell(session->data, op, "next", result);
}


static void
ngx_http_travel_show_error(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op, const ngx_str_t *errors)
{
    u_char     *text;
    ngx_str_t   result;

    text = ngx_alloc(errors->len + 32, ngx_cycle->log);

    if (text != NULL) {
        result.data = text;
        result.len = ngx_sprintf(text, "{\"errors\":%V}", errors) - text;
        ngx_http_travel_show_tell(session->data, op, "next", &result);
        ngx_free(text);
    }

    ngx_http_travel_show_complete(session, op);
}


static void
ngx_http_travel_show_complete(ngx_http_travel_session_t *session,
    ngx_http_travel_operation_t *op)
{
    ngx_http_travel_show_t  *show = session->data;

    ngx_http_travel_show_tell(show, op, "complete", NULL);

    if (!show->single) {
        ngx_http_travel_events_end(&show->events);
    }
}


/* --- one stream for many: what is asked about it ------------------------- */

static ngx_int_t ngx_http_travel_show_id(travel_json_t *json,
    const ngx_str_t *body, ngx_str_t *ret_id);
static void ngx_http_travel_backstage_posted(ngx_http_request_t *r);
static void ngx_http_travel_backstage_reserved(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_backstage_known(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_backstage_sent(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_show_joined(void *data);
static void ngx_http_travel_backstage_begin(ngx_event_t *ev);
static void ngx_http_travel_show_order(void *data, const ngx_str_t *message);


static ngx_int_t
ngx_http_travel_backstage_error(ngx_http_request_t *r, ngx_int_t rc)
{
    switch (rc) {

    case NGX_DECLINED:
        return ngx_http_travel_error(r, TRAVEL_E_RESOURCE_NOT_FOUND,
                                     "There is no such stream.");

    case NGX_BUSY:
        return ngx_http_travel_error(r, TRAVEL_E_CONFLICT,
                                     "This stream is open already.");

    default:
        return ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "Nothing can be watched now.");
    }
}


/* <token> of 32 hex characters; the channel is of the caller, too. */
static ngx_int_t
ngx_http_travel_backstage(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, ngx_str_t *token)
{
    size_t                        i;
    ngx_int_t                     rc;
    ngx_str_t                     id;
    ngx_http_travel_ctx_t        *ctx;
    ngx_http_travel_backstage_t  *b;

    b = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_backstage_t));
    ctx = ngx_http_travel_get_ctx(r);

    if (b == NULL || ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->request = r;
    b->conf = conf;
    b->token = *token;
    b->user = ctx->user;
    ngx_http_set_ctx(r, b, ngx_http_travel_live_module);

    if (b->user.len == 0) {
        ngx_str_set(&b->user, "-");
    }

    if (!ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE)) {
        return ngx_http_travel_backstage_error(r, NGX_ERROR);
    }

    if (r->method == NGX_HTTP_PUT) {
        return ngx_http_travel_backstage_reserve(b);
    }

    for (i = 0; i < token->len; i++) {
        if (ngx_strlchr((u_char *) "0123456789abcdef",
                        (u_char *) "0123456789abcdef" + 16, token->data[i])
            == NULL)
        {
            break;
        }
    }

    if (i != NGX_HTTP_TRAVEL_SHOW_TOKEN || i != token->len) {
        return ngx_http_travel_backstage_error(r, NGX_DECLINED);
    }

    if (r->method == NGX_HTTP_POST) {
        return ngx_http_travel_show_receive(r,
                                            ngx_http_travel_backstage_posted);
    }

    if (r->method != NGX_HTTP_DELETE) {
        return ngx_http_travel_backstage_open(b);
    }

    if (ngx_http_arg(r, (u_char *) "operationId", 11, &id) != NGX_OK
        || id.len == 0 || id.len > NGX_HTTP_TRAVEL_SHOW_ID_MAX)
    {
        return ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                                     "\"operationId\" is missing.");
    }

    rc = ngx_http_travel_backstage_send(b, 'X', &id);

    return rc == NGX_OK ? NGX_DONE : ngx_http_travel_backstage_error(r, rc);
}


/* extensions.operationId must be there: the stream's worker reads it again. */
static void
ngx_http_travel_backstage_posted(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_str_t                     body, id;
    travel_json_t                *json;
    ngx_http_travel_backstage_t  *b;

    b = ngx_http_get_module_ctx(r, ngx_http_travel_live_module);
    json = travel_json_create(64);
    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (json != NULL && ngx_http_travel_show_body(r, &body) == NGX_OK) {

        if (ngx_http_travel_show_id(json, &body, &id) != NGX_OK) {
            rc = ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                                       "The body must be a JSON object, with "
                                       "\"extensions\": {\"operationId\"}.");
        } else {
            rc = ngx_http_travel_backstage_send(b, 'S', &body);
            rc = rc == NGX_OK ? NGX_DONE
                              : ngx_http_travel_backstage_error(r, rc);
        }
    }

    travel_json_free(json);
    ngx_http_finalize_request(r, rc);
}


/* *ret_id points into 'json' or 'body'. */
static ngx_int_t
ngx_http_travel_show_id(travel_json_t *json, const ngx_str_t *body,
    ngx_str_t *ret_id)
{
    travel_json_error_t        err;
    const travel_json_node_t  *node;

    if (travel_json_parse(json, ngx_http_travel_view(body), 0, &err)
        != TRAVEL_OK
        || travel_json_nodes(json)->type != TRAVEL_JSON_OBJECT)
    {
        return NGX_DECLINED;
    }

    node = travel_json_member(json, 0, TRAVEL_STR("extensions"));

    if (node == NULL || node->type != TRAVEL_JSON_OBJECT) {
        return NGX_DECLINED;
    }

    node = travel_json_member(json,
                              (uint32_t) (node - travel_json_nodes(json)),
                              TRAVEL_STR("operationId"));

    if (node == NULL || node->type != TRAVEL_JSON_STRING
        || node->text.len == 0
        || node->text.len > NGX_HTTP_TRAVEL_SHOW_ID_MAX)
    {
        return NGX_DECLINED;
    }

    *ret_id = ngx_http_travel_str(node->text);

    return NGX_OK;
}


static ngx_http_travel_redis_op_t *
ngx_http_travel_backstage_op(ngx_http_travel_backstage_t *b,
    ngx_http_travel_redis_handler_pt handler)
{
    return ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, b->request, 0,
                                    handler, b);
}


/* "travel:live:stream:<token>": the reservation's key; and ":<user>": the
 * channel. */
static ngx_str_t
ngx_http_travel_backstage_name(ngx_http_travel_backstage_t *b,
    ngx_uint_t channel)
{
    u_char     *p;
    ngx_str_t   name;

    name.len = 0;
    name.data = ngx_pnalloc(b->request->pool, b->token.len + b->user.len + 32);

    if (name.data != NULL) {
        p = ngx_sprintf(name.data, TRAVEL_LIVE_PREFIX "stream:%V", &b->token);
        name.len = (channel ? ngx_sprintf(p, ":%V", &b->user) : p)
                   - name.data;
    }

    return name;
}


/* The answer is the token itself, as text. */
static ngx_int_t
ngx_http_travel_backstage_reserve(ngx_http_travel_backstage_t *b)
{
    size_t                       len[5];
    uint8_t                      random[NGX_HTTP_TRAVEL_SHOW_TOKEN / 2];
    ngx_int_t                    rc;
    ngx_str_t                    key;
    const char                  *argv[5];
    ngx_http_travel_redis_op_t  *op;

    rc = ngx_http_discard_request_body(b->request);
    if (rc != NGX_OK) {
        return rc;
    }

    b->token.len = NGX_HTTP_TRAVEL_SHOW_TOKEN;
    b->token.data = ngx_pnalloc(b->request->pool,
                                NGX_HTTP_TRAVEL_SHOW_TOKEN + 1);

    if (b->token.data == NULL
        || travel_random(random, sizeof(random)) != TRAVEL_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_hex_encode((char *) b->token.data, random, sizeof(random));
    key = ngx_http_travel_backstage_name(b, 0);

    argv[0] = "SET";
    len[0] = 3;
    argv[1] = (char *) key.data;
    len[1] = key.len;
    argv[2] = (char *) b->user.data;
    len[2] = b->user.len;
    argv[3] = "EX";
    len[3] = 2;
    argv[4] = NGX_HTTP_TRAVEL_SHOW_RESERVE;
    len[4] = sizeof(NGX_HTTP_TRAVEL_SHOW_RESERVE) - 1;

    op = ngx_http_travel_backstage_op(b, ngx_http_travel_backstage_reserved);

    if (key.len == 0 || op == NULL
        || ngx_http_travel_redis_command(op, 5, argv, len) != NGX_OK)
    {
        return ngx_http_travel_backstage_error(b->request, NGX_ERROR);
    }

    b->request->main->count++;

    return NGX_DONE;
}


static void
ngx_http_travel_backstage_reserved(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_backstage_t  *b = op->data;

    static ngx_str_t  plain = ngx_string("text/plain; charset=utf-8");

    (void) i;

    if (reply == NULL
        || ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_STATUS)
    {
        ngx_http_travel_finish(b->request,
            ngx_http_travel_backstage_error(b->request, NGX_ERROR));
        return;
    }

    ngx_http_travel_finish(b->request,
        ngx_http_travel_send(b->request, NGX_HTTP_CREATED, &plain, &b->token));
}


/* The reservation is used up, and whether somebody listens already is asked. */
static ngx_int_t
ngx_http_travel_backstage_open(ngx_http_travel_backstage_t *b)
{
    size_t                       len[3], key_len[2];
    ngx_str_t                    key, channel;
    const char                  *argv[3], *key_argv[2];
    ngx_http_travel_redis_op_t  *op;

    key = ngx_http_travel_backstage_name(b, 0);
    channel = ngx_http_travel_backstage_name(b, 1);
    op = ngx_http_travel_backstage_op(b, ngx_http_travel_backstage_known);

    argv[0] = "PUBSUB";
    len[0] = 6;
    argv[1] = "NUMSUB";
    len[1] = 6;
    argv[2] = (char *) channel.data;
    len[2] = channel.len;

    key_argv[0] = "GETDEL";
    key_len[0] = 6;
    key_argv[1] = (char *) key.data;
    key_len[1] = key.len;

    /* the request's end releases an op of which but half could be asked */
    if (key.len == 0 || channel.len == 0 || op == NULL
        || ngx_http_travel_redis_command(op, 3, argv, len) != NGX_OK
        || ngx_http_travel_redis_command(op, 2, key_argv, key_len) != NGX_OK)
    {
        return ngx_http_travel_backstage_error(b->request, NGX_ERROR);
    }

    b->request->main->count++;

    return NGX_DONE;
}


static void
ngx_http_travel_backstage_known(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_int_t                     rc;
    ngx_str_t                     user, name;
    ngx_http_request_t           *r;
    ngx_http_travel_backstage_t  *b = op->data;

    r = b->request;

    if (i == 0 && reply != NULL) {
        b->busy = ngx_http_travel_reply_type(reply)
                  == NGX_HTTP_TRAVEL_REPLY_ARRAY
                  && ngx_http_travel_reply_count(reply) == 2
                  && ngx_http_travel_reply_int(
                         ngx_http_travel_reply_elt(reply, 1)) > 0;
        return;
    }

    rc = NGX_ERROR;

    if (reply != NULL) {
        user = ngx_http_travel_reply_type(reply)
               == NGX_HTTP_TRAVEL_REPLY_STRING
               ? ngx_http_travel_reply_str(reply) : (ngx_str_t) { 0, NULL };
        rc = b->busy ? NGX_BUSY
             : user.len == b->user.len
               && ngx_memcmp(user.data, b->user.data, user.len) == 0
               ? NGX_OK : NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        rc = ngx_http_travel_show_create(r, b->conf, &b->show);

        if (rc != NGX_OK) {
            ngx_http_travel_finish(r, ngx_http_travel_guest_refused(r, rc));
            return;
        }

        name = ngx_http_travel_backstage_name(b, 1);
        name.data += sizeof(TRAVEL_LIVE_PREFIX) - 1;
        name.len -= sizeof(TRAVEL_LIVE_PREFIX) - 1;

        b->begin.handler = ngx_http_travel_backstage_begin;
        b->begin.data = b;
        b->begin.log = ngx_cycle->log;

        b->show->single = 1;
        b->show->begin = &b->begin;
        b->show->line.joined = ngx_http_travel_show_joined;
        b->show->line.message = ngx_http_travel_show_order;
        b->show->line.data = b;

        rc = ngx_http_travel_hub_listen(&b->show->line, &name);

        if (rc == NGX_OK) {
            r->read_event_handler = ngx_http_test_reading;
            return;
        }
    }

    ngx_http_travel_finish(r, ngx_http_travel_backstage_error(r, rc));
}


/* Whoever is told that the stream is open may send to it at once. */
static void
ngx_http_travel_show_joined(void *data)
{
    ngx_http_travel_backstage_t  *b = data;

    ngx_post_event(&b->begin, &ngx_posted_events);
}


static void
ngx_http_travel_backstage_begin(ngx_event_t *ev)
{
    ngx_http_travel_backstage_t  *b = ev->data;

    if (b->show->events.opened) {
        return;                         /* joined once more, on a new link */
    }

    ngx_http_set_log_request(b->request->connection->log, b->request);
    ngx_http_travel_finish(b->request,
                           ngx_http_travel_show_open(b->show));
}


/* "S" and a body: start it; "X" and an id: stop it. */
static void
ngx_http_travel_show_order(void *data, const ngx_str_t *message)
{
    ngx_str_t                     what, id, errors;
    travel_json_t                *json;
    ngx_http_travel_operation_t   none;
    ngx_http_travel_backstage_t  *b = data;

    if (message->len < 2 || !b->show->events.opened) {
        return;
    }

    what.data = message->data + 1;
    what.len = message->len - 1;

    if (message->data[0] == 'X') {
        (void) ngx_http_travel_session_stop(&b->show->session, &what);
        return;
    }

    json = travel_json_create(64);

    if (json != NULL
        && ngx_http_travel_show_id(json, &what, &id) == NGX_OK
        && ngx_http_travel_show_run(b->show, &id, &what) != NGX_OK)
    {
        ngx_memzero(&none, sizeof(none));
        none.id = id;
        ngx_str_set(&errors, "[{\"message\":\"There is an operation of that "
                    "id, or there are too many.\",\"extensions\":{\"code\":"
                    "\"CONFLICT\"}}]");
        ngx_http_travel_show_error(&b->show->session, &none, &errors);
    }

    travel_json_free(json);
}


/* PUBLISH tells how many heard it. */
static ngx_int_t
ngx_http_travel_backstage_send(ngx_http_travel_backstage_t *b, u_char kind,
    ngx_str_t *what)
{
    size_t                       len[3];
    u_char                      *p;
    ngx_str_t                    channel;
    const char                  *argv[3];
    ngx_http_travel_redis_op_t  *op;

    channel = ngx_http_travel_backstage_name(b, 1);
    p = ngx_pnalloc(b->request->pool, what->len + 1);
    op = ngx_http_travel_backstage_op(b, ngx_http_travel_backstage_sent);

    if (channel.len == 0 || p == NULL || op == NULL) {
        return NGX_ERROR;
    }

    p[0] = kind;
    ngx_memcpy(p + 1, what->data, what->len);

    argv[0] = "PUBLISH";
    len[0] = 7;
    argv[1] = (char *) channel.data;
    len[1] = channel.len;
    argv[2] = (char *) p;
    len[2] = what->len + 1;

    if (ngx_http_travel_redis_command(op, 3, argv, len) != NGX_OK) {
        return NGX_ERROR;
    }

    b->request->main->count++;

    return NGX_OK;
}


static void
ngx_http_travel_backstage_sent(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_int_t                     rc;
    ngx_http_request_t           *r;
    ngx_http_travel_backstage_t  *b = op->data;

    (void) i;

    r = b->request;

    if (reply == NULL
        || ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_INTEGER)
    {
        rc = ngx_http_travel_backstage_error(r, NGX_ERROR);

    } else if (ngx_http_travel_reply_int(reply) == 0) {
        rc = ngx_http_travel_backstage_error(r, NGX_DECLINED);

    } else {
        r->headers_out.status = r->method == NGX_HTTP_POST
                                ? NGX_HTTP_ACCEPTED : NGX_HTTP_OK;
        r->headers_out.content_length_n = 0;
        r->header_only = 1;
        rc = ngx_http_send_header(r);
    }

    ngx_http_travel_finish(r, rc);
}
