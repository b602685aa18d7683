/*
 * Cursors of connections.  PostgreSQL writes them as MARK<n>:<hex>.<hex>, the
 * mark a random parameter of the statement; here they are signed, for the
 * field and order they belong to, and for whom.
 */

#include "ngx_http_travel_graphql_room.h"

#define NGX_HTTP_TRAVEL_GRAPHQL_SCOPE  512


static travel_str_t
ngx_http_travel_graphql_scope(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node,
    u_char buf[NGX_HTTP_TRAVEL_GRAPHQL_SCOPE])
{
    u_char                        *p, *last;
    size_t                         i;
    ngx_str_t                      column;
    travel_str_t                   scope;
    ngx_http_travel_ctx_t         *ctx;
    const travel_graphql_order_t  *order;

    last = buf + NGX_HTTP_TRAVEL_GRAPHQL_SCOPE;
    ctx = ngx_http_travel_get_ctx(g->request);
    order = travel_graphql_node_order(node);
    column = ngx_http_travel_str(node->field->owner->name);

    p = ngx_slprintf(buf, last, "graphql %V.", &column);
    column = ngx_http_travel_str(node->field->name);
    p = ngx_slprintf(p, last, "%V", &column);

    for (i = 0; i < order->n; i++) {
        column = ngx_http_travel_str(order->keys[i].column);
        p = ngx_slprintf(p, last, " %V%c", &column,
                         order->keys[i].desc ? '-' : '+');
    }

    if (g->plan->plan->viewer) {
        p = ngx_slprintf(p, last, " %V", &ctx->user);
    }

    scope.data = (char *) buf;
    scope.len = p - buf;

    return scope;
}


ngx_int_t
ngx_http_travel_graphql_cursor_read(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, travel_str_t text,
    const char *ret_keys[TRAVEL_GRAPHQL_KEYS_MAX])
{
    char   *buf;
    u_char  scope[NGX_HTTP_TRAVEL_GRAPHQL_SCOPE];

    buf = ngx_pnalloc(g->request->pool, TRAVEL_CURSOR_RAW_MAX);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    switch (travel_cursor_verify(buf, ret_keys,
                                 travel_graphql_node_order(node)->n, text,
                                 ngx_http_travel_graphql_scope(g, node, scope),
                                 ngx_http_travel_query_cursor_secret(
                                     g->request)))
    {

    case TRAVEL_OK:
        return NGX_OK;

    case TRAVEL_ERROR:
        return NGX_ERROR;

    default:
        return NGX_DECLINED;
    }
}


/* The connection of that number; the tree is walked by hand, as it is read
 * only here. */
static const travel_graphql_node_t *
ngx_http_travel_graphql_connection(const travel_graphql_node_t *node,
    ngx_uint_t index)
{
    ngx_uint_t                    n = 0;
    const travel_graphql_node_t  *stack[TRAVEL_GRAPHQL_DEPTH_MAX + 2];

    while (node != NULL || n > 0) {

        if (node == NULL) {
            node = stack[--n];
            continue;
        }

        if (node->kind == TRAVEL_GRAPHQL_NODE_CONNECTION
            && node->index == index)
        {
            return node;
        }

        if (node->children != NULL && n < TRAVEL_GRAPHQL_DEPTH_MAX + 2) {
            stack[n++] = node->next;
            node = node->children;
            continue;
        }

        node = node->next;
    }

    return NULL;
}


/* "<n>:<hex>.<hex>" up to the closing quote; *pp is moved there. */
static ngx_int_t
ngx_http_travel_graphql_cursor_sign(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *roots, u_char **pp, u_char *last,
    char *dst, size_t *ret_len)
{
    char                          raw[TRAVEL_CURSOR_RAW_MAX];
    u_char                       *p, scope[NGX_HTTP_TRAVEL_GRAPHQL_SCOPE];
    size_t                        used;
    ngx_int_t                     byte;
    ngx_uint_t                    index, n;
    travel_str_t                  values[TRAVEL_GRAPHQL_KEYS_MAX];
    const travel_graphql_node_t  *node;

    index = 0;
    used = 0;
    n = 0;

    for (p = *pp; p < last && *p >= '0' && *p <= '9'; p++) {
        index = index * 10 + (*p - '0');
    }

    node = ngx_http_travel_graphql_connection(roots, index);

    if (node == NULL || p == last || *p++ != ':') {
        return NGX_ERROR;
    }

    values[0].data = raw;
    values[0].len = 0;

    for ( /* void */ ; p < last && *p != '"'; p++) {

        if (*p == '.') {
            if (++n == TRAVEL_GRAPHQL_KEYS_MAX) {
                return NGX_ERROR;
            }

            values[n].data = raw + used;
            values[n].len = 0;
            continue;
        }

        byte = p + 1 < last ? ngx_hextoi(p, 2) : NGX_ERROR;

        if (byte == NGX_ERROR || used == sizeof(raw)) {
            return NGX_ERROR;
        }

        raw[used++] = (char) byte;
        values[n].len++;
        p++;
    }

    *pp = p;

    return travel_cursor_sign(dst, ret_len, values, n + 1,
                              ngx_http_travel_graphql_scope(g, node, scope),
                              ngx_http_travel_query_cursor_secret(g->request))
           == TRAVEL_OK ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_travel_graphql_cursor_body(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *roots, ngx_str_t *body)
{
    u_char      *p, *last, *found, *out, *dst;
    size_t       n, marks;
    ngx_int_t    rc;

    last = body->data + body->len;
    marks = 0;

    for (p = body->data;
         (p = ngx_strlcasestrn(p, last, g->mark,
                               NGX_HTTP_TRAVEL_GRAPHQL_MARK - 1)) != NULL;
         p++)
    {
        marks++;
    }

    if (marks == 0) {
        return NGX_OK;
    }

    out = ngx_pnalloc(g->request->pool, body->len
                                        + marks * TRAVEL_CURSOR_MAX);
    if (out == NULL) {
        return NGX_ERROR;
    }

    dst = out;

    for (p = body->data; /* void */ ; /* void */) {

        found = ngx_strlcasestrn(p, last, g->mark,
                                 NGX_HTTP_TRAVEL_GRAPHQL_MARK - 1);
        if (found == NULL) {
            break;
        }

        dst = ngx_cpymem(dst, p, found - p);
        p = found + NGX_HTTP_TRAVEL_GRAPHQL_MARK;

        rc = ngx_http_travel_graphql_cursor_sign(g, roots, &p, last,
                                                 (char *) dst, &n);
        if (rc != NGX_OK) {
            return rc;
        }

        dst += n;
    }

    dst = ngx_cpymem(dst, p, last - p);
    body->data = out;
    body->len = dst - out;

    return NGX_OK;
}
