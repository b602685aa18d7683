/*
 * A batch: operations in an array, answered by an array in the same order.
 * Where "batch=" allows it, each is a request of its own (net/inner.h), with
 * the caller's credentials: it passes authentication, limits, the cache and
 * the log as if it had come alone.  They run side by side.
 *
 * The batch lives in the pool of its request, whose cleanup calls off what has
 * not been answered.
 */

#include "ngx_http_travel_graphql_room.h"

#define NGX_HTTP_TRAVEL_GRAPHQL_BATCH_TIMEOUT  65000    /* ms */


typedef struct ngx_http_travel_graphql_batch_s
    ngx_http_travel_graphql_batch_t;

typedef struct {
    ngx_http_travel_graphql_batch_t  *batch;
    ngx_http_travel_inner_t          *inner;      /* NULL: answered */
    ngx_str_t                         answer;
} ngx_http_travel_graphql_item_t;

struct ngx_http_travel_graphql_batch_s {
    ngx_http_travel_graphql_t        *g;
    ngx_uint_t                        n;
    ngx_uint_t                        left;
    ngx_http_travel_graphql_item_t    items[];
};


static ngx_int_t ngx_http_travel_graphql_ask(
    ngx_http_travel_graphql_item_t *item, const ngx_str_t *operation);
static void ngx_http_travel_graphql_answered(void *data,
    ngx_http_travel_inner_t *inner, ngx_uint_t status, ngx_str_t *body);
static void ngx_http_travel_graphql_call_off(void *data);


/* The i-th item's text, from its node to where the next begins. */
static ngx_str_t
ngx_http_travel_graphql_slice(const travel_json_node_t *nodes, uint32_t at,
    ngx_uint_t last, const ngx_str_t *body)
{
    u_char     *end;
    ngx_str_t   text;

    text.data = body->data + nodes[at].offset;
    end = last ? body->data + body->len
               : body->data + nodes[nodes[at].next].offset;

    while (end > text.data && end[-1] != '}') {
        end--;
    }

    text.len = end - text.data;
    return text;
}


ngx_int_t
ngx_http_travel_graphql_batch(ngx_http_travel_graphql_t *g,
    const ngx_str_t *body)
{
    uint32_t                          at;
    ngx_str_t                         text;
    ngx_uint_t                        i, n;
    ngx_http_cleanup_t               *cln;
    const travel_json_node_t         *nodes;
    ngx_http_travel_graphql_batch_t  *batch;

    nodes = travel_json_nodes(g->json);
    n = nodes->count;

    for (i = 0, at = 1; i < n && nodes[at].type == TRAVEL_JSON_OBJECT; i++) {
        at = nodes[at].next;
    }

    if (n == 0 || n > g->conf->batch || i < n) {
        return ngx_http_travel_graphql_error(g, NGX_HTTP_BAD_REQUEST,
                   TRAVEL_E_MALFORMED_REQUEST, "A batch has from 1 to %ui "
                   "operations, each an object.", g->conf->batch);
    }

    batch = ngx_pcalloc(g->request->pool,
                        sizeof(ngx_http_travel_graphql_batch_t)
                        + n * sizeof(ngx_http_travel_graphql_item_t));
    cln = ngx_http_cleanup_add(g->request, 0);

    if (batch == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    batch->g = g;
    batch->n = n;
    batch->left = n;
    cln->handler = ngx_http_travel_graphql_call_off;
    cln->data = batch;

    for (i = 0, at = 1; i < n; i++, at = nodes[at].next) {
        text = ngx_http_travel_graphql_slice(nodes, at, i + 1 == n, body);
        batch->items[i].batch = batch;

        if (ngx_http_travel_graphql_ask(&batch->items[i], &text) != NGX_OK) {
            ngx_http_travel_graphql_call_off(batch);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    g->request->read_event_handler = ngx_http_test_reading;
    g->request->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


/* --- asking -------------------------------------------------------------- */

/* What of the client's own head an operation has as well. */
static const ngx_str_t  ngx_http_travel_graphql_heads[] = {
    ngx_string("authorization"),
    ngx_string("cookie"),
    ngx_string("x-api-key"),
    ngx_string("traceparent"),
    ngx_string("tracestate"),
    ngx_string("travel-consistency"),
    ngx_string("user-agent"),
    ngx_string("idempotency-key")      /* last: one of each operation's own */
};

#define NGX_HTTP_TRAVEL_GRAPHQL_HEADS                                         \
    (sizeof(ngx_http_travel_graphql_heads) / sizeof(ngx_str_t))


static ngx_int_t
ngx_http_travel_graphql_ask(ngx_http_travel_graphql_item_t *item,
    const ngx_str_t *operation)
{
    u_char                     *p;
    size_t                      len;
    ngx_str_t                   request;
    ngx_str_t                  *values[NGX_HTTP_TRAVEL_GRAPHQL_HEADS];
    ngx_uint_t                  i;
    ngx_http_request_t         *r = item->batch->g->request;
    ngx_http_travel_peer_t      peer;
    ngx_http_travel_graphql_t  *g = item->batch->g;

    len = r->unparsed_uri.len + operation->len + 256;

    for (i = 0; i < NGX_HTTP_TRAVEL_GRAPHQL_HEADS; i++) {
        values[i] = ngx_http_travel_header_in(r,
                        (char *) ngx_http_travel_graphql_heads[i].data,
                        ngx_http_travel_graphql_heads[i].len);
        len += values[i] != NULL ? values[i]->len + 64 : 0;
    }

    p = ngx_alloc(len, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    request.data = p;
    p = ngx_sprintf(p, "POST %V HTTP/1.0\r\nHost: localhost\r\n"
                    "Content-Type: application/json\r\nAccept: %s\r\n",
                    &r->unparsed_uri,
                    g->modern ? "application/graphql-response+json"
                              : "application/json");

    for (i = 0; i < NGX_HTTP_TRAVEL_GRAPHQL_HEADS; i++) {

        if (values[i] == NULL) {
            continue;
        }

        p = ngx_sprintf(p, "%V: %V", &ngx_http_travel_graphql_heads[i],
                        values[i]);

        if (i + 1 == NGX_HTTP_TRAVEL_GRAPHQL_HEADS) {
            p = ngx_sprintf(p, ".%ui", item - item->batch->items);
        }

        *p++ = CR;
        *p++ = LF;
    }

    p = ngx_sprintf(p, "Content-Length: %uz\r\n\r\n%V", operation->len,
                    operation);
    request.len = p - request.data;

    ngx_http_travel_peer(r, &peer);
    item->inner = ngx_http_travel_inner(g->conf->door, &peer, &request,
                                        NGX_HTTP_TRAVEL_GRAPHQL_BATCH_TIMEOUT,
                                        ngx_http_travel_graphql_answered,
                                        item);

    return item->inner != NULL ? NGX_OK : NGX_ERROR;
}


/* --- answers ------------------------------------------------------------- */

/* Anything that is no response of this protocol becomes one. */
static ngx_int_t
ngx_http_travel_graphql_response(ngx_http_travel_graphql_item_t *item,
    ngx_uint_t status, const ngx_str_t *body)
{
    u_char              *p;
    ngx_http_request_t  *r = item->batch->g->request;

    static const char  said[] =
        "{\"errors\":[{\"message\":\"The operation was answered by status %ui."
        "\",\"extensions\":{\"code\":\"%s\"}}]}";

    if (body->len > 7
        && (ngx_strncmp(body->data, "{\"data\"", 7) == 0
            || ngx_strncmp(body->data, "{\"error", 7) == 0)
        && ngx_strncmp(body->data, "{\"error\"", 8) != 0)
    {
        item->answer.data = ngx_pstrdup(r->pool, (ngx_str_t *) body);
        item->answer.len = body->len;
        return item->answer.data != NULL ? NGX_OK : NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof(said) + NGX_INT_T_LEN + 64);
    if (p == NULL) {
        return NGX_ERROR;
    }

    item->answer.data = p;
    item->answer.len = ngx_sprintf(p, said, status,
                           travel_error_code(status == 429
                               ? TRAVEL_E_RATE_LIMIT_EXCEEDED
                               : status == 401 ? TRAVEL_E_AUTHENTICATION_ERROR
                               : status == 403 ? TRAVEL_E_AUTHORIZATION_ERROR
                               : status == 503
                                 ? TRAVEL_E_DEPENDENCY_UNAVAILABLE
                               : TRAVEL_E_INTERNAL_ERROR)) - p;
    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_graphql_joined(ngx_http_travel_graphql_batch_t *batch)
{
    u_char      *p;
    size_t       len;
    ngx_str_t    body;
    ngx_uint_t   i;

    for (i = 0, len = 2; i < batch->n; i++) {
        len += batch->items[i].answer.len + 1;
    }

    p = ngx_pnalloc(batch->g->request->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;

    for (i = 0; i < batch->n; i++) {
        *p++ = i == 0 ? '[' : ',';
        p = ngx_cpymem(p, batch->items[i].answer.data,
                       batch->items[i].answer.len);
    }

    *p++ = ']';
    body.len = p - body.data;

    return ngx_http_travel_graphql_send(batch->g, NGX_HTTP_OK, &body);
}


static void
ngx_http_travel_graphql_answered(void *data, ngx_http_travel_inner_t *inner,
    ngx_uint_t status, ngx_str_t *body)
{
    ngx_http_travel_graphql_item_t   *item = data;
    ngx_http_travel_graphql_batch_t  *batch = item->batch;

    item->inner = NULL;
    batch->left--;

    if (ngx_http_travel_graphql_response(item, status, body) != NGX_OK) {
        ngx_http_travel_graphql_call_off(batch);
        ngx_http_travel_graphql_end(batch->g, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (batch->left == 0) {
        ngx_http_travel_graphql_end(batch->g,
                                    ngx_http_travel_graphql_joined(batch));
    }
}


static void
ngx_http_travel_graphql_call_off(void *data)
{
    ngx_uint_t                        i;
    ngx_http_travel_graphql_batch_t  *batch = data;

    for (i = 0; i < batch->n; i++) {
        if (batch->items[i].inner != NULL) {
            ngx_http_travel_inner_cancel(batch->items[i].inner);
            batch->items[i].inner = NULL;
        }
    }
}
