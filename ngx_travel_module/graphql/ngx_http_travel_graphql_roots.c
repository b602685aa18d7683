/*
 * An operation whose statement failed, answered as far as it can be.
 *
 * A statement that fails does not say which field is to blame.  So each root
 * is asked alone, one after the other; and one that fails again, with fewer of
 * its fields, until those that are to blame are found (common/graphql/part.h):
 * they are null, with their paths, and all else is answered.  None of this is
 * done where nothing fails, and it has a bound: so many statements, begun
 * within the time that one may take; then it is the root that is to blame.
 * What failed for another reason than what was asked (no database, no time) is
 * not tried again.
 *
 * A plan is held while its statement is asked, and let go then: a request has
 * three at most, however many roots it has.
 */

#include "ngx_http_travel_graphql_room.h"

#define NGX_HTTP_TRAVEL_GRAPHQL_TRIES  32      /* statements of a request */


static ngx_int_t ngx_http_travel_graphql_next(ngx_http_travel_graphql_t *g);
static void ngx_http_travel_graphql_rooted(ngx_http_travel_graphql_t *g,
    ngx_int_t rc, ngx_http_travel_pg_result_t *result);
static void ngx_http_travel_graphql_begin(ngx_http_travel_graphql_t *g,
    ngx_http_travel_graphql_asked_pt asked);
static ngx_int_t ngx_http_travel_graphql_send_part(
    ngx_http_travel_graphql_t *g);
static void ngx_http_travel_graphql_came(ngx_http_request_t *r, void *data,
    ngx_int_t rc, ngx_http_travel_pg_result_t *result);
static travel_graphql_search_e ngx_http_travel_graphql_judge_part(
    ngx_http_travel_graphql_t *g, ngx_int_t rc);


const travel_graphql_node_t *
ngx_http_travel_graphql_current(ngx_http_travel_graphql_t *g)
{
    return travel_graphql_root(g->plan->plan, (uint32_t) g->root + 1);
}


/* --- one after the other ------------------------------------------------- */

ngx_int_t
ngx_http_travel_graphql_roots(ngx_http_travel_graphql_t *g, ngx_int_t failure)
{
    ngx_uint_t  n;

    n = g->plan->plan->nroots;
    g->pieces = ngx_pcalloc(g->request->pool, n * sizeof(ngx_str_t));
    g->failures = ngx_pcalloc(g->request->pool, n * sizeof(ngx_int_t));

    if (g->pieces == NULL || g->failures == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_travel_graphql_own(g);
    g->root = 0;

    if (n > 1) {
        return ngx_http_travel_graphql_next(g);
    }

    /* how the only root fails is known */

    ngx_http_travel_graphql_begin(g, ngx_http_travel_graphql_rooted);

    if (ngx_http_travel_graphql_judge_part(g, failure)
        != TRAVEL_GRAPHQL_SEARCH_ASK)
    {
        g->failures[0] = failure;
        return ngx_http_travel_graphql_partial(g);
    }

    return ngx_http_travel_graphql_send_part(g) == NGX_OK
           ? NGX_AGAIN : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_travel_graphql_next(ngx_http_travel_graphql_t *g)
{
    if (g->root == g->plan->plan->nroots) {
        return ngx_http_travel_graphql_partial(g);
    }

    return ngx_http_travel_graphql_ask_root(g, ngx_http_travel_graphql_rooted)
           == NGX_OK ? NGX_AGAIN : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* {"key" : VALUE} as VALUE; the whole may be null, too. */
static ngx_int_t
ngx_http_travel_graphql_root(ngx_http_travel_graphql_t *g,
    ngx_http_travel_pg_result_t *result)
{
    u_char     *p;
    ngx_str_t   body;

    if (ngx_http_travel_graphql_part(g, result, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    if (body.data[0] == '{') {
        p = ngx_strlchr(body.data, body.data + body.len, ':');

        if (p == NULL) {
            return NGX_ERROR;
        }

        body.len -= p + 2 - body.data;
        body.data = p + 1;
    }

    g->pieces[g->root] = body;

    return NGX_OK;
}


static void
ngx_http_travel_graphql_rooted(ngx_http_travel_graphql_t *g, ngx_int_t rc,
    ngx_http_travel_pg_result_t *result)
{
    g->failures[g->root] = rc;

    if (rc == NGX_OK && ngx_http_travel_graphql_root(g, result) != NGX_OK) {
        ngx_http_travel_graphql_end(g, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    g->root++;
    rc = ngx_http_travel_graphql_next(g);

    if (rc != NGX_AGAIN) {
        ngx_http_travel_graphql_end(g, rc);
    }
}


/* --- one ----------------------------------------------------------------- */

/* Whatever else is there: when it cannot be said where they are, the primary
 * has them. */
void
ngx_http_travel_graphql_own(ngx_http_travel_graphql_t *g)
{
    travel_consistency_t  last;

    ngx_memzero(&g->need, sizeof(ngx_http_travel_route_need_t));
    g->need.primary = ngx_http_travel_query_need(g->request, &last) != NGX_OK;
    g->need.floor = last.commit;
}


static void
ngx_http_travel_graphql_begin(ngx_http_travel_graphql_t *g,
    ngx_http_travel_graphql_asked_pt asked)
{
    g->asked = asked;
    travel_graphql_search_init(&g->search, g->plan->plan,
                               (uint32_t) g->root + 1, g->plan->part.denied);
}


ngx_int_t
ngx_http_travel_graphql_ask_root(ngx_http_travel_graphql_t *g,
    ngx_http_travel_graphql_asked_pt asked)
{
    ngx_http_travel_graphql_begin(g, asked);

    return ngx_http_travel_graphql_send_part(g);
}


static ngx_int_t
ngx_http_travel_graphql_send_part(ngx_http_travel_graphql_t *g)
{
    const char             **values;
    travel_graphql_error_t   error;

    if (ngx_http_travel_graphql_plan(g, &g->search.part, &g->part, &error)
        != NGX_OK
        || ngx_http_travel_graphql_bind(g, g->part, &values, &error) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_query_run(g->request, &g->part->query_like,
                                     &g->part->statement, values, &g->need,
                                     ngx_http_travel_graphql_came, g);
}


/* What next?  Only what was asked is looked for in what was asked. */
static travel_graphql_search_e
ngx_http_travel_graphql_judge_part(ngx_http_travel_graphql_t *g, ngx_int_t rc)
{
    travel_graphql_search_e  next;

    if (rc != NGX_OK || g->search.running) {
        g->since = g->tries++ == 0 ? ngx_current_msec : g->since;
    }

    if (rc != NGX_OK && rc != TRAVEL_E_VALIDATION_ERROR
        && rc != TRAVEL_E_INTERNAL_ERROR)
    {
        return TRAVEL_GRAPHQL_SEARCH_ROOT;
    }

    next = travel_graphql_search(&g->search, (int) rc);

    if (next == TRAVEL_GRAPHQL_SEARCH_ASK
        && (g->tries >= NGX_HTTP_TRAVEL_GRAPHQL_TRIES
            || ngx_current_msec - g->since > NGX_HTTP_TRAVEL_GRAPHQL_TIMEOUT))
    {
        return TRAVEL_GRAPHQL_SEARCH_ROOT;
    }

    return next;
}


static void
ngx_http_travel_graphql_came(ngx_http_request_t *r, void *data, ngx_int_t rc,
    ngx_http_travel_pg_result_t *result)
{
    ngx_http_travel_graphql_t  *g = data;
    travel_graphql_search_e     next;

    /* it stays what it is until another plan is made */

    ngx_http_travel_graphql_let_go(g, g->part);
    next = ngx_http_travel_graphql_judge_part(g, rc);

    if (next == TRAVEL_GRAPHQL_SEARCH_FOUND) {
        g->asked(g, NGX_OK, result);
        return;
    }

    if (next == TRAVEL_GRAPHQL_SEARCH_ASK
        && ngx_http_travel_graphql_send_part(g) == NGX_OK)
    {
        return;
    }

    g->asked(g, g->search.running ? g->search.first : rc, NULL);
}
