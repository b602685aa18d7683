/*
 * Mutations: each root field is a command, one after the other.
 *
 * The arguments become the command's body, which its schema judges; command
 * does the rest (check, queue, wait).  When the outcome is there in time, the
 * payload is read not older than the caller's last write, which is this one;
 * else it is {success, job}, and what has rows is null.
 */

#include "ngx_http_travel_graphql_room.h"


static void ngx_http_travel_graphql_order(ngx_http_travel_graphql_t *g);
static ngx_int_t ngx_http_travel_graphql_input(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, ngx_str_t *ret_body);
static void ngx_http_travel_graphql_ordered(ngx_http_request_t *r, void *data,
    const ngx_http_travel_ordered_t *ordered);
static ngx_int_t ngx_http_travel_graphql_payload(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, ngx_str_t *ret_json);
static ngx_int_t ngx_http_travel_graphql_reread(ngx_http_travel_graphql_t *g);
static void ngx_http_travel_graphql_done(ngx_http_travel_graphql_t *g,
    ngx_int_t failure, const ngx_str_t *piece);


ngx_int_t
ngx_http_travel_graphql_mutate(ngx_http_travel_graphql_t *g)
{
    ngx_uint_t  n;

    n = g->plan->plan->nroots;
    g->pieces = ngx_pcalloc(g->request->pool, n * sizeof(ngx_str_t));
    g->failures = ngx_pcalloc(g->request->pool, n * sizeof(ngx_int_t));
    g->messages = ngx_pcalloc(g->request->pool, n * sizeof(ngx_str_t));

    if (g->pieces == NULL || g->failures == NULL || g->messages == NULL) {
        return NGX_ERROR;
    }

    g->root = 0;
    ngx_http_travel_graphql_order(g);

    return NGX_OK;
}


/* --- asking -------------------------------------------------------------- */

static void
ngx_http_travel_graphql_order(ngx_http_travel_graphql_t *g)
{
    ngx_int_t                       rc;
    ngx_str_t                       body, word;
    ngx_uint_t                      i;
    const travel_graphql_node_t    *node;
    ngx_http_travel_graphql_order_t *orders;

    if (g->root == g->plan->plan->nroots) {
        ngx_http_travel_graphql_end(g, ngx_http_travel_graphql_partial(g));
        return;
    }

    node = ngx_http_travel_graphql_current(g);

    if (node->kind == TRAVEL_GRAPHQL_NODE_TYPENAME) {
        word = ngx_http_travel_str(node->type);
        body.data = ngx_pnalloc(g->request->pool, word.len + 2);

        if (body.data == NULL) {
            ngx_http_travel_graphql_end(g, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        body.len = ngx_sprintf(body.data, "\"%V\"", &word) - body.data;
        ngx_http_travel_graphql_done(g, NGX_OK, &body);
        return;
    }

    orders = g->main->orders.elts;

    for (i = 0; i < g->main->orders.nelts; i++) {
        if (orders[i].field == node->field) {
            break;
        }
    }

    rc = ngx_http_travel_graphql_input(g, node, &body);

    if (i == g->main->orders.nelts || rc != NGX_OK) {
        ngx_http_travel_graphql_done(g, rc == NGX_DECLINED
                                        ? TRAVEL_E_VALIDATION_ERROR
                                        : TRAVEL_E_INTERNAL_ERROR, NULL);
        return;
    }

    /* it may be over before this returns, and g with it */

    g->async = 1;
    ngx_http_travel_command_run(g->request, orders[i].order, &body,
                                g->plan->plan->nroots == 1,
                                ngx_http_travel_graphql_ordered, g);
}


static ngx_int_t
ngx_http_travel_graphql_input(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, ngx_str_t *ret_body)
{
    int                    rc;
    travel_graphql_text_t  text;

    ngx_memzero(&text, sizeof(travel_graphql_text_t));
    rc = travel_graphql_input(g->plan->plan, node, &g->variables, &text);

    if (rc == TRAVEL_INVALID) {
        travel_graphql_text_free(&text);
        return NGX_DECLINED;
    }

    return ngx_http_travel_graphql_keep(g, &text, ret_body);
}


/* --- what came of it ----------------------------------------------------- */

static void
ngx_http_travel_graphql_ordered(ngx_http_request_t *r, void *data,
    const ngx_http_travel_ordered_t *ordered)
{
    ngx_str_t                     piece;
    ngx_http_travel_graphql_t    *g = data;
    const travel_graphql_node_t  *node, *child;

    node = ngx_http_travel_graphql_current(g);

    if (ordered->error != TRAVEL_E_NONE) {
        g->messages[g->root] = ordered->message;
        ngx_http_travel_graphql_done(g, ordered->error, NULL);
        return;
    }

    g->made = ordered->id;
    g->job = ordered->job;
    g->finished = (ordered->status != NGX_HTTP_ACCEPTED);

    for (child = node->children; child != NULL; child = child->next) {
        if (child->kind == TRAVEL_GRAPHQL_NODE_ONE && g->finished) {
            if (ngx_http_travel_graphql_reread(g) != NGX_OK) {
                ngx_http_travel_graphql_done(g, TRAVEL_E_INTERNAL_ERROR, NULL);
            }

            return;
        }
    }

    if (ngx_http_travel_graphql_payload(g, node, &piece) != NGX_OK) {
        ngx_http_travel_graphql_done(g, TRAVEL_E_INTERNAL_ERROR, NULL);
        return;
    }

    ngx_http_travel_graphql_done(g, NGX_OK, &piece);
}


static void
ngx_http_travel_graphql_job_members(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, travel_json_writer_t *w)
{
    const travel_graphql_node_t  *child;

    travel_json_object(w);

    for (child = node->children; child != NULL; child = child->next) {
        travel_json_key(w, child->key);

        if (child->kind == TRAVEL_GRAPHQL_NODE_TYPENAME) {
            travel_json_string(w, child->type);

        } else if (travel_str_eq(child->field->name, TRAVEL_STR("id"))) {
            travel_json_string(w, ngx_http_travel_view(&g->job));

        } else if (travel_str_eq(child->field->name, TRAVEL_STR("status"))) {
            travel_json_cstring(w, g->finished ? "succeeded" : "queued");

        } else {
            travel_json_null(w);
        }
    }

    travel_json_object_end(w);
}


ngx_int_t
ngx_http_travel_graphql_job(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, const char **ret_json)
{
    char                  *buf;
    size_t                 n;
    travel_json_writer_t   w;

    travel_json_writer_init(&w, NULL, 0);
    ngx_http_travel_graphql_job_members(g, node, &w);

    n = w.len;
    buf = ngx_pnalloc(g->request->pool, n + 1);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    travel_json_writer_init(&w, buf, n);
    ngx_http_travel_graphql_job_members(g, node, &w);
    buf[n] = '\0';
    *ret_json = buf;

    return NGX_OK;
}


/* {success, job} without rows. */
static ngx_int_t
ngx_http_travel_graphql_payload(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, ngx_str_t *ret_json)
{
    u_char                       *buf;
    size_t                        size;
    travel_json_writer_t          w;
    const travel_graphql_node_t  *child;

    buf = NULL;
    size = 0;

    for ( ;; ) {
        travel_json_writer_init(&w, (char *) buf, size);
        travel_json_object(&w);

        for (child = node->children; child != NULL; child = child->next) {
            travel_json_key(&w, child->key);

            switch (child->kind) {

            case TRAVEL_GRAPHQL_NODE_SUCCESS:
                travel_json_bool(&w, true);
                break;

            case TRAVEL_GRAPHQL_NODE_JOB:
                ngx_http_travel_graphql_job_members(g, child, &w);
                break;

            case TRAVEL_GRAPHQL_NODE_TYPENAME:
                travel_json_string(&w, child->type);
                break;

            default:
                travel_json_null(&w);
            }
        }

        travel_json_object_end(&w);

        if (buf != NULL) {
            ret_json->data = buf;
            ret_json->len = travel_json_writer_finish(&w);
            return NGX_OK;
        }

        size = w.len;
        buf = ngx_pnalloc(g->request->pool, size);

        if (buf == NULL) {
            return NGX_ERROR;
        }
    }
}


/* --- reading the payload ------------------------------------------------- */

/* {"data":PAYLOAD} */
static void
ngx_http_travel_graphql_read_again(ngx_http_travel_graphql_t *g, ngx_int_t rc,
    ngx_http_travel_pg_result_t *result)
{
    ngx_str_t  piece;

    if (rc == NGX_OK
        && ngx_http_travel_graphql_part(g, result, &piece) != NGX_OK)
    {
        rc = TRAVEL_E_INTERNAL_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_str_set(&g->messages[g->root], "It was carried out, but its result "
                                           "could not be read.");
        ngx_http_travel_graphql_done(g, rc, NULL);
        return;
    }

    ngx_http_travel_graphql_done(g, NGX_OK, &piece);
}


static ngx_int_t
ngx_http_travel_graphql_reread(ngx_http_travel_graphql_t *g)
{
    ngx_http_travel_graphql_own(g);

    return ngx_http_travel_graphql_ask_root(g,
               ngx_http_travel_graphql_read_again);
}


static void
ngx_http_travel_graphql_done(ngx_http_travel_graphql_t *g, ngx_int_t failure,
    const ngx_str_t *piece)
{
    g->failures[g->root] = failure;

    if (piece != NULL) {
        g->pieces[g->root] = *piece;
    }

    g->root++;
    ngx_http_travel_graphql_order(g);
}
