/*
 * Operations of a session.
 *
 *   ASKED      inner != NULL: the endpoint has it
 *   CHECKED    inner and may: it is a subscription, and whether the caller may
 *              is asked by a query
 *   WATCHING   sub.topic != NULL: the hub feeds it
 *   LIVE       group != NULL: its query is asked again when it has changed
 *
 * Answers come in events of their own, so an operation ends in them, in the
 * hub's (never: a subscription has no end of its own), or by its session.
 */

#include "ngx_http_travel_live_session.h"
#include "../../common/json_writer.h"

#define NGX_HTTP_TRAVEL_SESSION_TIMEOUT  60000


static ngx_int_t ngx_http_travel_operation_keep(
    ngx_http_travel_operation_t *op, const ngx_str_t *body);
static void ngx_http_travel_operation_free(ngx_http_travel_operation_t *op);
static ngx_http_travel_operation_t **ngx_http_travel_session_find(
    ngx_http_travel_session_t *session, const ngx_str_t *id);
static void ngx_http_travel_operation_answered(void *data,
    ngx_http_travel_inner_t *inner, ngx_uint_t status, ngx_str_t *body);
static void ngx_http_travel_operation_found(ngx_http_travel_operation_t *op,
    ngx_http_travel_graphql_subscription_t *sub);
static void ngx_http_travel_operation_checked(ngx_http_travel_operation_t *op,
    ngx_uint_t status, const ngx_str_t *body);
static void ngx_http_travel_operation_watch(ngx_http_travel_operation_t *op,
    ngx_http_travel_graphql_subscription_t *sub, const u_char *owner);
static void ngx_http_travel_operation_error(ngx_http_travel_operation_t *op,
    const char *code, const char *message);
static void ngx_http_travel_operation_ready(ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_operation_gap(ngx_http_travel_subscriber_t *sub,
    int64_t missed);
static void ngx_http_travel_operation_news(ngx_http_travel_subscriber_t *sub,
    ngx_http_travel_message_t *message);
static void ngx_http_travel_operation_refused_topic(
    ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_session_answered(void *data,
    ngx_http_travel_inner_t *inner, ngx_uint_t status, ngx_str_t *body);
static void ngx_http_travel_caller_free(void *data);


static const ngx_http_travel_subscriber_pt  ngx_http_travel_operation_hears = {
    ngx_http_travel_operation_ready,
    ngx_http_travel_operation_gap,
    ngx_http_travel_operation_news,
    ngx_http_travel_operation_refused_topic
};


/* --- sessions ------------------------------------------------------------ */

static ngx_int_t
ngx_http_travel_session_credential(ngx_http_travel_session_t *session,
    ngx_http_request_t *r)
{
    u_char      *p;
    ngx_str_t   *bearer, *key;

    bearer = ngx_http_travel_header_in(r, "authorization", 13);
    key = ngx_http_travel_header_in(r, "x-api-key", 9);

    /* topics ask nothing of any endpoint */
    if ((bearer == NULL && key == NULL) || session->conf->endpoint.len == 0) {
        return NGX_OK;
    }

    p = ngx_alloc((bearer ? bearer->len : 0) + (key ? key->len : 0) + 64,
                  r->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    session->credential.data = p;

    if (bearer != NULL) {
        p = ngx_sprintf(p, "Authorization: %V\r\n", bearer);
    }

    if (key != NULL) {
        p = ngx_sprintf(p, "X-Api-Key: %V\r\n", key);
    }

    session->credential.len = p - session->credential.data;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_session_open(ngx_http_travel_session_t *session,
    ngx_http_request_t *r, const ngx_http_travel_live_loc_conf_t *conf,
    ngx_http_travel_guest_t *guest)
{
    uintptr_t  escape;
    ngx_int_t  rc;

    session->conf = conf;
    ngx_http_travel_peer(r, &session->peer);

    escape = ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
    session->uri.data = ngx_alloc(r->uri.len + 2 * escape + 1,
                                  r->connection->log);

    rc = NGX_ERROR;

    if (session->uri.data != NULL
        && ngx_http_travel_session_credential(session, r) == NGX_OK
        && ngx_http_travel_live_rights(r, conf, &session->rights) == NGX_OK)
    {
        rc = ngx_http_travel_guest_invite(guest, r, conf);
    }

    if (rc != NGX_OK) {
        ngx_http_travel_session_close(session);
        return rc;
    }

    if (escape > 0) {
        session->uri.len = (u_char *) ngx_escape_uri(session->uri.data,
                                           r->uri.data, r->uri.len,
                                           NGX_ESCAPE_URI)
                           - session->uri.data;
    } else {
        session->uri.len = r->uri.len;
        ngx_memcpy(session->uri.data, r->uri.data, r->uri.len);
    }

    return NGX_OK;
}


void
ngx_http_travel_session_close(ngx_http_travel_session_t *session)
{
    ngx_http_travel_operation_t  *op;

    while (session->ops != NULL) {
        op = session->ops;
        session->ops = op->next;
        session->n--;
        ngx_http_travel_operation_free(op);
    }

    if (session->asking != NULL) {
        ngx_http_travel_inner_cancel(session->asking);
        session->asking = NULL;
    }

    ngx_free(session->uri.data);
    ngx_free(session->credential.data);
    ngx_free(session->offered.data);
    ngx_free(session->rights.grant.data);

    session->uri.data = NULL;
    session->credential.data = NULL;
    session->offered.data = NULL;
    session->rights.grant.data = NULL;
}


static ngx_http_travel_operation_t **
ngx_http_travel_session_find(ngx_http_travel_session_t *session,
    const ngx_str_t *id)
{
    ngx_http_travel_operation_t  **at;

    for (at = &session->ops; *at != NULL; at = &(*at)->next) {
        if ((*at)->id.len == id->len
            && ngx_memcmp((*at)->id.data, id->data, id->len) == 0)
        {
            break;
        }
    }

    return at;
}


ngx_int_t
ngx_http_travel_session_start(ngx_http_travel_session_t *session,
    const ngx_str_t *id, const travel_json_t *doc,
    const travel_json_node_t *request, const ngx_str_t *body)
{
    ngx_http_travel_operation_t  *op;
    const travel_json_node_t     *node;

    if (*ngx_http_travel_session_find(session, id) != NULL) {
        return NGX_BUSY;
    }

    if (session->n == session->conf->operations) {
        return NGX_DECLINED;
    }

    op = ngx_calloc(sizeof(ngx_http_travel_operation_t) + id->len,
                    ngx_cycle->log);
    if (op == NULL) {
        return NGX_ERROR;
    }

    op->session = session;
    op->id.data = op->text;
    op->id.len = id->len;
    ngx_memcpy(op->text, id->data, id->len);

    /* where an earlier subscription stopped */
    node = travel_json_member(doc,
                              (uint32_t) (request - travel_json_nodes(doc)),
                              TRAVEL_STR("extensions"));

    if (node != NULL && node->type == TRAVEL_JSON_OBJECT) {
        node = travel_json_member(doc,
                                  (uint32_t) (node - travel_json_nodes(doc)),
                                  TRAVEL_STR("cursor"));
        op->resumes = node != NULL && node->type == TRAVEL_JSON_STRING
                      && travel_stream_id_parse(&op->cursor, node->text)
                         == TRAVEL_OK;
    }

    if (ngx_http_travel_operation_keep(op, body) != NGX_OK
        || ngx_http_travel_operation_ask(op, body) != NGX_OK)
    {
        ngx_free(op->body.data);
        ngx_free(op);
        return NGX_ERROR;
    }

    op->next = session->ops;
    session->ops = op;
    session->n++;

    return NGX_OK;
}


/* It may be a query with @live, which is asked again. */
static ngx_int_t
ngx_http_travel_operation_keep(ngx_http_travel_operation_t *op,
    const ngx_str_t *body)
{
    if (ngx_strlcasestrn(body->data, body->data + body->len,
                         (u_char *) "@live", 5 - 1)
        == NULL)
    {
        return NGX_OK;
    }

    op->body.data = ngx_alloc(body->len, ngx_cycle->log);
    if (op->body.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(op->body.data, body->data, body->len);
    op->body.len = body->len;
    ngx_http_travel_since_now(&op->since);

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_session_stop(ngx_http_travel_session_t *session,
    const ngx_str_t *id)
{
    ngx_http_travel_operation_t  *op, **at;

    at = ngx_http_travel_session_find(session, id);
    op = *at;

    if (op == NULL) {
        return NGX_DECLINED;
    }

    *at = op->next;
    session->n--;
    ngx_http_travel_operation_free(op);

    return NGX_OK;
}


/* --- operations ---------------------------------------------------------- */

static void
ngx_http_travel_operation_free(ngx_http_travel_operation_t *op)
{
    if (op->inner != NULL) {
        ngx_http_travel_inner_cancel(op->inner);
        op->inner = NULL;
    }

    ngx_http_travel_requery_leave(op);
    ngx_free(op->body.data);

    if (op->may != NULL) {
        ngx_http_travel_graphql_unsubscribe(op->may);
    }

    ngx_http_travel_unsubscribe(&op->sub);
    ngx_http_travel_graphql_watch_release(op->watch);
    ngx_free(op);
}


static void
ngx_http_travel_operation_end(ngx_http_travel_operation_t *op)
{
    (void) ngx_http_travel_session_stop(op->session, &op->id);
}


ngx_int_t
ngx_http_travel_operation_ask(ngx_http_travel_operation_t *op,
    const ngx_str_t *body)
{
    ngx_str_t                   request;
    ngx_http_travel_session_t  *session = op->session;

    static const char  head[] =
        "POST %V HTTP/1.0\r\n"
        "Host: localhost\r\n"
        "Content-Type: application/json\r\n"
        "Accept: application/graphql-response+json\r\n"
        "%V"
        "Content-Length: %uz\r\n\r\n"
        "%V";

    request.data = ngx_alloc(sizeof(head) + session->conf->endpoint.len
                             + session->credential.len + NGX_SIZE_T_LEN
                             + body->len, ngx_cycle->log);
    if (request.data == NULL) {
        return NGX_ERROR;
    }

    request.len = ngx_sprintf(request.data, head, &session->conf->endpoint,
                              &session->credential, body->len, body)
                  - request.data;

    op->inner = ngx_http_travel_inner(session->conf->door, &session->peer,
                                      &request,
                                      NGX_HTTP_TRAVEL_SESSION_TIMEOUT,
                                      ngx_http_travel_operation_answered, op);

    if (op->inner == NULL) {
        return NGX_ERROR;
    }

    if (session->safe) {
        ngx_http_travel_inner_safe(op->inner);
    }

    return NGX_OK;
}


static void
ngx_http_travel_operation_answered(void *data, ngx_http_travel_inner_t *inner,
    ngx_uint_t status, ngx_str_t *body)
{
    ngx_int_t                                rc;
    ngx_http_travel_operation_t             *op = data;
    ngx_http_travel_graphql_live_t          *live;
    ngx_http_travel_graphql_subscription_t  *sub;

    op->inner = NULL;

    if (op->group != NULL) {
        ngx_http_travel_requery_answered(op, status, body);
        return;
    }

    if (op->may != NULL) {
        ngx_http_travel_operation_checked(op, status, body);
        return;
    }

    sub = ngx_http_travel_inner_take(inner,
                                     NGX_HTTP_TRAVEL_INNER_SUBSCRIPTION);

    if (sub != NULL) {
        ngx_http_travel_operation_found(op, sub);
        return;
    }

    /* 294: some of it failed, for who wants to know by the status */

    if (status != NGX_HTTP_OK && status != 294) {
        ngx_http_travel_operation_refused(op, body);
        return;
    }

    op->session->handlers->next(op->session, op, body);

    live = op->body.len > 0
           ? ngx_http_travel_inner_take(inner, NGX_HTTP_TRAVEL_INNER_QUERY)
           : NULL;
    rc = live ? ngx_http_travel_requery_join(op, live, body) : NGX_DECLINED;
    ngx_free(live);

    if (rc == NGX_OK) {
        return;
    }

    op->session->handlers->complete(op->session, op);
    ngx_http_travel_operation_end(op);
}


/* A subscription: may he?  By the location's rules, or by the schema's. */
static void
ngx_http_travel_operation_found(ngx_http_travel_operation_t *op,
    ngx_http_travel_graphql_subscription_t *sub)
{
    size_t         n;
    ngx_int_t      rc;
    ngx_str_t      body;
    const u_char  *owner;

    rc = ngx_http_travel_live_allowed(&op->session->rights, &sub->topic,
                                      &owner);

    if (rc == NGX_DECLINED && sub->check.len == 0) {
        /* what the schema leaves open is open to all, but somebody's job */
        rc = ngx_strncmp(sub->topic.data, "job:", 4) == 0 ? NGX_ERROR : NGX_OK;
    }

    if (rc == NGX_OK) {
        ngx_http_travel_operation_watch(op, sub, owner);
        return;
    }

    op->may = sub;

    if (rc == NGX_ERROR) {
        ngx_http_travel_operation_error(op, "RESOURCE_NOT_FOUND",
                                        "There is nothing to watch by that "
                                        "name.");
        return;
    }

    body.data = ngx_alloc(6 * sub->check.len + 16, ngx_cycle->log);

    if (body.data == NULL) {
        ngx_http_travel_operation_error(op, "INTERNAL_ERROR", "No memory.");
        return;
    }

    n = ngx_sprintf(body.data, "{\"query\":") - body.data;
    n += travel_json_quote((char *) body.data + n,
                           ngx_http_travel_view(&sub->check));
    body.data[n++] = '}';
    body.len = n;

    rc = ngx_http_travel_operation_ask(op, &body);
    ngx_free(body.data);

    if (rc != NGX_OK) {
        ngx_http_travel_operation_error(op, "INTERNAL_ERROR", "No memory.");
    }
}


/* {"data":{"check":{...}}}: NGX_OK; null there: NGX_DECLINED. */
static ngx_int_t
ngx_http_travel_operation_verdict(const ngx_str_t *body)
{
    ngx_int_t                  rc;
    travel_json_t             *json;
    travel_json_error_t        err;
    const travel_json_node_t  *node;

    rc = NGX_ERROR;
    json = travel_json_create(64);

    if (json != NULL
        && travel_json_parse(json, ngx_http_travel_view(body), 0, &err)
           == TRAVEL_OK
        && travel_json_nodes(json)->type == TRAVEL_JSON_OBJECT)
    {
        node = travel_json_member(json, 0, TRAVEL_STR("data"));

        if (node != NULL && node->type == TRAVEL_JSON_OBJECT) {
            node = travel_json_member(json,
                       (uint32_t) (node - travel_json_nodes(json)),
                       TRAVEL_STR("check"));
            rc = node == NULL ? NGX_ERROR
                 : node->type == TRAVEL_JSON_OBJECT ? NGX_OK : NGX_DECLINED;
        }
    }

    travel_json_free(json);

    return rc;
}


static void
ngx_http_travel_operation_checked(ngx_http_travel_operation_t *op,
    ngx_uint_t status, const ngx_str_t *body)
{
    ngx_int_t                                rc;
    ngx_http_travel_graphql_subscription_t  *sub;

    rc = status == NGX_HTTP_OK ? ngx_http_travel_operation_verdict(body)
                               : NGX_ERROR;

    if (rc == NGX_OK) {
        sub = op->may;
        op->may = NULL;
        ngx_http_travel_operation_watch(op, sub, NULL);

    } else if (rc == NGX_DECLINED) {
        ngx_http_travel_operation_error(op, "RESOURCE_NOT_FOUND",
                                        NGX_HTTP_TRAVEL_TOLD_REFUSED);

    } else {
        ngx_http_travel_operation_refused(op, body);
    }
}


static void
ngx_http_travel_operation_watch(ngx_http_travel_operation_t *op,
    ngx_http_travel_graphql_subscription_t *sub, const u_char *owner)
{
    ngx_int_t  rc;

    op->watch = sub->watch;
    sub->watch = NULL;

    rc = ngx_http_travel_subscribe(&op->sub, &sub->topic, owner,
                                   op->resumes ? &op->cursor : NULL,
                                   &ngx_http_travel_operation_hears, op);
    ngx_http_travel_graphql_unsubscribe(sub);

    if (rc != NGX_OK) {
        ngx_http_travel_operation_error(op, "DEPENDENCY_UNAVAILABLE",
                                        "Nothing can be watched now.");
    }
}


static void
ngx_http_travel_operation_said(const travel_json_t *json,
    const travel_json_node_t *object, travel_str_t name, char *dst,
    size_t room)
{
    const travel_json_node_t  *node;

    node = travel_json_member(json,
                              (uint32_t) (object - travel_json_nodes(json)),
                              name);

    if (node != NULL && node->type == TRAVEL_JSON_STRING) {
        ngx_cpystrn((u_char *) dst, (u_char *) node->text.data,
                    ngx_min(node->text.len + 1, room));
    }
}


/* {"errors": [...]} of the endpoint, or the error answer of who stands before
 * it. */
void
ngx_http_travel_operation_refused(ngx_http_travel_operation_t *op,
    const ngx_str_t *body)
{
    char                       code[64], message[512];
    ngx_str_t                  errors;
    travel_json_t             *json;
    travel_json_error_t        err;
    const travel_json_node_t  *node;

    static const ngx_str_t  head = ngx_string("{\"errors\":[");

    if (body->len > head.len && ngx_memcmp(body->data, head.data, head.len) == 0
        && body->data[body->len - 2] == ']')
    {
        errors.data = body->data + head.len - 1;
        errors.len = body->len - head.len;
        op->session->handlers->error(op->session, op, &errors);
        ngx_http_travel_operation_end(op);
        return;
    }

    ngx_memcpy(code, "DEPENDENCY_UNAVAILABLE", 23);
    ngx_memcpy(message, "There was no answer.", 21);

    json = travel_json_create(64);

    if (json != NULL
        && travel_json_parse(json, ngx_http_travel_view(body), 0, &err)
           == TRAVEL_OK
        && travel_json_nodes(json)->type == TRAVEL_JSON_OBJECT)
    {
        node = travel_json_member(json, 0, TRAVEL_STR("error"));

        if (node != NULL && node->type == TRAVEL_JSON_OBJECT) {
            ngx_http_travel_operation_said(json, node, TRAVEL_STR("code"),
                                           code, sizeof(code));
            ngx_http_travel_operation_said(json, node, TRAVEL_STR("message"),
                                           message, sizeof(message));
        }
    }

    travel_json_free(json);
    ngx_http_travel_operation_error(op, code, message);
}


static void
ngx_http_travel_operation_error(ngx_http_travel_operation_t *op,
    const char *code, const char *message)
{
    char                  text[4096];
    ngx_str_t             errors;
    travel_json_writer_t  json;

    travel_json_writer_init(&json, text, sizeof(text));
    travel_json_array(&json);
    travel_json_object(&json);
    travel_json_member_cstring(&json, "message", message);
    travel_json_key(&json, TRAVEL_STR("extensions"));
    travel_json_object(&json);
    travel_json_member_cstring(&json, "code", code);
    travel_json_object_end(&json);
    travel_json_object_end(&json);
    travel_json_array_end(&json);

    errors.data = (u_char *) text;
    errors.len = travel_json_writer_finish(&json);

    op->session->handlers->error(op->session, op, &errors);
    ngx_http_travel_operation_end(op);
}


/* --- what the hub says --------------------------------------------------- */

static void
ngx_http_travel_operation_refused_topic(ngx_http_travel_subscriber_t *sub)
{
    ngx_http_travel_operation_error(sub->data, "RESOURCE_NOT_FOUND",
                                    NGX_HTTP_TRAVEL_TOLD_REFUSED);
}


static void
ngx_http_travel_operation_ready(ngx_http_travel_subscriber_t *sub)
{
    (void) sub;
}


/* No data: who wants to know what was missed asks by a query. */
static void
ngx_http_travel_operation_gap(ngx_http_travel_subscriber_t *sub,
    int64_t missed)
{
    u_char                        text[512], *p;
    char                          cursor[NGX_HTTP_TRAVEL_CURSOR_MAX];
    ngx_str_t                     result;
    ngx_http_travel_operation_t  *op = sub->data;

    cursor[travel_stream_id_format(cursor, sub->pos)] = '\0';

    p = ngx_sprintf(text, "{\"data\":null,\"errors\":[{\"message\":\"Messages "
                    "were missed: load anew.\",\"extensions\":{\"code\":"
                    "\"GAP\",\"missed\":");
    p = missed >= 0 ? ngx_sprintf(p, "%L", missed) : ngx_sprintf(p, "null");
    p = ngx_sprintf(p, "}}],\"extensions\":{\"cursor\":\"%s\"}}", cursor);

    result.data = text;
    result.len = p - text;

    op->session->handlers->next(op->session, op, &result);
}


static void
ngx_http_travel_operation_news(ngx_http_travel_subscriber_t *sub,
    ngx_http_travel_message_t *message)
{
    ngx_str_t                     result;
    ngx_http_travel_text_t       *text;
    ngx_http_travel_operation_t  *op = sub->data;

    text = ngx_http_travel_told_to(message, op->watch);

    if (text != NULL) {
        result.data = text->data;
        result.len = text->len;
        op->session->handlers->next(op->session, op, &result);
    }
}


/* --- who is it? ---------------------------------------------------------- */

ngx_int_t
ngx_http_travel_session_vouch(ngx_http_travel_session_t *session,
    const ngx_str_t *token, ngx_http_travel_vouched_pt vouched)
{
    u_char     *p;
    ngx_str_t   request;

    static const char  head[] =
        "GET %V HTTP/1.0\r\n"
        "Host: localhost\r\n"
        "%V\r\n";

    if (session->asking != NULL) {
        return NGX_BUSY;
    }

    ngx_free(session->offered.data);
    session->offered.data = ngx_alloc(token->len + 32, ngx_cycle->log);
    request.data = ngx_alloc(sizeof(head) + session->uri.len + token->len + 32,
                             ngx_cycle->log);

    if (session->offered.data == NULL || request.data == NULL) {
        ngx_free(request.data);
        return NGX_ERROR;
    }

    p = ngx_sprintf(session->offered.data, "Authorization: Bearer %V\r\n",
                    token);
    session->offered.len = p - session->offered.data;

    request.len = ngx_sprintf(request.data, head, &session->uri,
                              &session->offered)
                  - request.data;

    session->vouched = vouched;
    session->asking = ngx_http_travel_inner(session->conf->door,
                                            &session->peer, &request,
                                            NGX_HTTP_TRAVEL_SESSION_TIMEOUT,
                                            ngx_http_travel_session_answered,
                                            session);

    return session->asking != NULL ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_travel_session_answered(void *data, ngx_http_travel_inner_t *inner,
    ngx_uint_t status, ngx_str_t *body)
{
    ngx_http_travel_caller_t   *caller;
    ngx_http_travel_session_t  *session = data;

    (void) body;

    session->asking = NULL;
    session->unsure = status == 0 || status >= NGX_HTTP_INTERNAL_SERVER_ERROR;
    caller = ngx_http_travel_inner_take(inner, NGX_HTTP_TRAVEL_INNER_CALLER);

    session->vouched(session, status == NGX_HTTP_NO_CONTENT ? caller : NULL);

    if (caller != NULL) {
        ngx_http_travel_caller_free(caller);
    }
}


ngx_uint_t
ngx_http_travel_session_same(const ngx_http_travel_session_t *session,
    const ngx_http_travel_caller_t *caller)
{
    return session->rights.known == caller->rights.known
           && ngx_memcmp(session->rights.user, caller->rights.user,
                         TRAVEL_UUID_TEXT_LEN) == 0;
}


ngx_int_t
ngx_http_travel_session_become(ngx_http_travel_session_t *session,
    ngx_http_travel_guest_t *guest, ngx_http_travel_caller_t *caller)
{
    if (ngx_http_travel_guest_renew(guest, &caller->guest) != NGX_OK) {
        return NGX_BUSY;
    }

    ngx_free(session->credential.data);
    session->credential = session->offered;
    ngx_str_null(&session->offered);

    ngx_free(session->rights.grant.data);
    session->rights = caller->rights;
    caller->rights.grant.data = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_live_vouch(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf,
    ngx_http_travel_inner_t *inner)
{
    ngx_http_travel_caller_t  *caller;

    caller = ngx_calloc(sizeof(ngx_http_travel_caller_t), ngx_cycle->log);

    if (caller == NULL
        || ngx_http_travel_live_rights(r, conf, &caller->rights) != NGX_OK
        || ngx_http_travel_guest_invite(&caller->guest, r, NULL) != NGX_OK
        || ngx_http_travel_inner_leave(inner, NGX_HTTP_TRAVEL_INNER_CALLER,
                                       caller, ngx_http_travel_caller_free)
           != NGX_OK)
    {
        if (caller != NULL) {
            ngx_http_travel_caller_free(caller);
        }

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


static void
ngx_http_travel_caller_free(void *data)
{
    ngx_http_travel_caller_t  *caller = data;

    ngx_http_travel_guest_gone(&caller->guest);
    ngx_free(caller->rights.grant.data);
    ngx_free(caller);
}


/* --- a value's own bytes ------------------------------------------------- */

/* What was read is JSON, so brackets and quotes match. */
ngx_str_t
ngx_http_travel_live_bytes(const travel_json_node_t *node,
    const ngx_str_t *text)
{
    u_char      *p, *last;
    ngx_str_t    bytes;
    ngx_uint_t   depth, quoted;

    p = text->data + node->offset;
    last = text->data + text->len;
    bytes.data = p;
    depth = 0;
    quoted = 0;

    for ( /* void */ ; p < last; p++) {

        if (quoted) {
            if (*p == '\\') {
                p++;
            } else if (*p == '"') {
                quoted = 0;
            }

        } else if (*p == '"') {
            quoted = 1;

        } else if (*p == '{' || *p == '[') {
            depth++;

        } else if (*p == '}' || *p == ']') {
            if (--depth == 0) {
                p++;
                break;
            }
        }
    }

    bytes.len = p - bytes.data;

    return bytes;
}
