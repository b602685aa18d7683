/*
 * The answer to a GET of a travel_query location.
 *
 * A request walks the steps below; a step that has to wait returns NGX_AGAIN
 * and is taken up again by a callback.  The state lives in r->pool.  Whatever
 * outlives a callback (a wait of the cache, an op of net, the run's event) ends
 * by itself with the request, so nothing here is undone by hand but a fill.
 *
 *   NEED     what must this caller not read older than?   (may ask for a job)
 *   WAIT     until this node has processed that invalidation, at most 250 ms
 *   WAITED   it has, or the cache is left aside
 *   LOOKUP   the cache: hit, join somebody's fill, or fill it ourselves
 *   FETCH    a fill of ours: does L2 have it, or another node soon?
 *            (what is stale by its time alone is answered first, and the fill
 *            goes on behind the client's back)
 *   SEND     a server that has replayed enough; then ..._done()
 *
 * The body goes out as the bytes PostgreSQL sent: the result is kept until the
 * pool dies.
 */

#include "ngx_http_travel_query_room.h"
#include "../auth/ngx_http_travel_auth.h"


#define NGX_HTTP_TRAVEL_QUERY_WAIT        250     /* ms for a position */
#define NGX_HTTP_TRAVEL_QUERY_JOINS       4
#define NGX_HTTP_TRAVEL_QUERY_UNVERIFIED  5000    /* ms such a fill is kept */


typedef enum {
    NGX_HTTP_TRAVEL_QUERY_NEED,
    NGX_HTTP_TRAVEL_QUERY_WAIT_NODE,
    NGX_HTTP_TRAVEL_QUERY_WAITED,
    NGX_HTTP_TRAVEL_QUERY_LOOKUP,
    NGX_HTTP_TRAVEL_QUERY_FETCH,
    NGX_HTTP_TRAVEL_QUERY_SEND
} ngx_http_travel_query_step_e;


typedef struct {
    ngx_http_request_t                *request;
    ngx_http_travel_query_loc_conf_t  *conf;      /* NULL: a read it is */
    const ngx_http_travel_read_t      *read;
    const travel_query_t              *query;
    const char                        *values[NGX_HTTP_TRAVEL_QUERY_VALUES];
    ngx_str_t                          identity;
    ngx_str_t                          tags;
    travel_consistency_t               need;
    ngx_http_travel_fill_t             fill;
    ngx_http_travel_hit_t              hit;
    ngx_http_travel_hit_t              found;     /* in L2 */
    ngx_http_travel_query_run_t        run;
    ngx_http_travel_query_step_e       step;
    ngx_event_t                        renewal;
    ngx_int_t                          rc;        /* for finalize */
    ngx_uint_t                         joins;
    unsigned                           bypass:1;  /* leave the cache aside */
    unsigned                           primary:1;
    unsigned                           filling:1;
    unsigned                           renewing:1; /* answered already */
    unsigned                           again:1;   /* the pending hook's turn
                                                     was had */
} ngx_http_travel_query_t;


static ngx_int_t ngx_http_travel_query_access(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf);
static ngx_http_travel_query_t *ngx_http_travel_query_create(
    ngx_http_request_t *r, ngx_http_travel_query_loc_conf_t *qlcf);
static ngx_int_t ngx_http_travel_query_suspend(ngx_http_request_t *r);

static ngx_int_t ngx_http_travel_query_walk(ngx_http_travel_query_t *q);
static void ngx_http_travel_query_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_query_end(ngx_http_travel_query_t *q,
    ngx_int_t rc);
static ngx_int_t ngx_http_travel_query_step_need(ngx_http_travel_query_t *q);
static ngx_int_t ngx_http_travel_query_resolve(ngx_http_travel_query_t *q);
static void ngx_http_travel_query_resolved(ngx_http_request_t *r,
    ngx_int_t rc, const travel_consistency_t *write);
static void ngx_http_travel_query_raise(ngx_http_travel_query_t *q,
    const travel_consistency_t *write);
static ngx_int_t ngx_http_travel_query_step_wait(ngx_http_travel_query_t *q);
static ngx_int_t ngx_http_travel_query_step_waited(ngx_http_travel_query_t *q);
static ngx_int_t ngx_http_travel_query_step_lookup(ngx_http_travel_query_t *q);
static ngx_int_t ngx_http_travel_query_renew(ngx_http_travel_query_t *q);
static void ngx_http_travel_query_renewal(ngx_event_t *ev);
static void ngx_http_travel_query_renewal_gone(void *data);
static void ngx_http_travel_query_renewed(ngx_http_travel_query_t *q,
    ngx_http_travel_pg_result_t *result);
static ngx_int_t ngx_http_travel_query_step_fetch(ngx_http_travel_query_t *q);
static void ngx_http_travel_query_fetched(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_travel_query_step_send(ngx_http_travel_query_t *q);

static void ngx_http_travel_query_done(ngx_http_request_t *r, void *data,
    ngx_int_t rc, ngx_http_travel_pg_result_t *result);
static ngx_int_t ngx_http_travel_query_failed(ngx_http_travel_query_t *q,
    ngx_int_t rc);
static ngx_int_t ngx_http_travel_query_absent(ngx_http_travel_query_t *q);
static ngx_int_t ngx_http_travel_query_rows(ngx_http_travel_query_t *q,
    ngx_http_travel_pg_result_t *result);
static ngx_int_t ngx_http_travel_query_cached(ngx_http_travel_query_t *q);
static ngx_int_t ngx_http_travel_query_answer(ngx_http_travel_query_t *q,
    ngx_http_travel_hit_t *hit);
static void ngx_http_travel_query_counted(ngx_http_travel_query_t *q);
static ngx_int_t ngx_http_travel_query_etag(ngx_http_request_t *r,
    ngx_str_t *etag);


static ngx_http_travel_pending_pt  ngx_http_travel_pending;


void
ngx_http_travel_query_set_pending(ngx_http_travel_pending_pt pending)
{
    ngx_http_travel_pending = pending;
}


/* --- the request comes --------------------------------------------------- */

ngx_int_t
ngx_http_travel_query_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_http_travel_ctx_t             *ctx;
    ngx_http_travel_query_t           *q;
    ngx_http_travel_query_loc_conf_t  *qlcf;

    qlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_query_module);

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->route = qlcf->name;

    rc = ngx_http_travel_query_access(r, qlcf);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    q = ngx_http_travel_query_create(r, qlcf);
    if (q == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_query_params(r, qlcf, q->values);
    if (rc != NGX_OK || r->header_sent) {
        return rc;
    }

    if (ngx_http_travel_query_identity(r, qlcf, q->values, &q->identity)
            != NGX_OK
        || ngx_http_travel_query_tags(r, qlcf, q->values, &q->tags) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_travel_query_walk(q) != NGX_AGAIN) {
        return q->rc;
    }

    return ngx_http_travel_query_suspend(r);
}


/* NGX_DECLINED: the caller may ask. */

static ngx_int_t
ngx_http_travel_query_access(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf)
{
    ngx_http_travel_ctx_t  *ctx;

    static ngx_str_t  bearer = ngx_string("Bearer realm=\"travel\"");

    if (qlcf->query->public) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx->user.len == 0) {
        if (ngx_http_travel_add_header(r, "WWW-Authenticate", &bearer)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_travel_error(r, TRAVEL_E_AUTHENTICATION_ERROR,
                                     "This resource needs an access token.");
    }

    if (qlcf->requires.len != 0
        && !ngx_http_travel_permitted(r, &qlcf->requires))
    {
        return ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                                     "The permission \"%V\" is missing.",
                                     &qlcf->requires);
    }

    return NGX_DECLINED;
}


static ngx_http_travel_query_t *
ngx_http_travel_query_create(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf)
{
    ngx_http_travel_ctx_t    *ctx;
    ngx_http_travel_query_t  *q;

    q = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_query_t));
    if (q == NULL) {
        return NULL;
    }

    q->request = r;
    q->conf = qlcf;
    q->query = qlcf != NULL ? qlcf->query : NULL;

    ctx = ngx_http_travel_get_ctx(r);
    ctx->room[NGX_HTTP_TRAVEL_ROOM_QUERY] = q;

    return q;
}


/* From now on only a callback finishes r; the client may hang up meanwhile. */

static ngx_int_t
ngx_http_travel_query_suspend(ngx_http_request_t *r)
{
    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;

    return NGX_DONE;
}


/* --- a read of another room ---------------------------------------------- */

void
ngx_http_travel_query_read(ngx_http_request_t *r,
    const ngx_http_travel_read_t *read)
{
    ngx_http_travel_query_t  *q;

    q = ngx_http_travel_query_create(r, NULL);
    if (q == NULL) {
        read->end(r, read->data, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    q->read = read;
    q->query = read->query;
    q->identity = read->identity;
    q->tags = read->tags;

    if (read->write != NULL) {
        ngx_http_travel_query_raise(q, read->write);
        q->bypass = 1;
        q->step = NGX_HTTP_TRAVEL_QUERY_LOOKUP;
    }

    if (ngx_http_travel_query_walk(q) != NGX_AGAIN) {
        if (q->rc != NGX_AGAIN) {
            read->end(r, read->data, q->rc);
        }

        return;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }
}


/* --- steps --------------------------------------------------------------- */

/* A step returns NGX_OK (q->step is the next), NGX_AGAIN (a callback resumes),
 * or NGX_DONE (q->rc is for finalize). */

static ngx_int_t
ngx_http_travel_query_walk(ngx_http_travel_query_t *q)
{
    ngx_int_t  rc;

    do {
        switch (q->step) {

        case NGX_HTTP_TRAVEL_QUERY_NEED:
            rc = ngx_http_travel_query_step_need(q);
            break;

        case NGX_HTTP_TRAVEL_QUERY_WAIT_NODE:
            rc = ngx_http_travel_query_step_wait(q);
            break;

        case NGX_HTTP_TRAVEL_QUERY_WAITED:
            rc = ngx_http_travel_query_step_waited(q);
            break;

        case NGX_HTTP_TRAVEL_QUERY_LOOKUP:
            rc = ngx_http_travel_query_step_lookup(q);
            break;

        case NGX_HTTP_TRAVEL_QUERY_FETCH:
            rc = ngx_http_travel_query_step_fetch(q);
            break;

        case NGX_HTTP_TRAVEL_QUERY_SEND:
            rc = ngx_http_travel_query_step_send(q);
            break;

        default:
            rc = ngx_http_travel_query_end(q, NGX_HTTP_INTERNAL_SERVER_ERROR);
            break;
        }

    } while (rc == NGX_OK);

    return rc;
}


static void
ngx_http_travel_query_resume(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t    *ctx;
    ngx_http_travel_query_t  *q;

    ctx = ngx_http_travel_get_ctx(r);
    q = ctx->room[NGX_HTTP_TRAVEL_ROOM_QUERY];

    if (ngx_http_travel_query_walk(q) == NGX_DONE) {

        if (q->rc == NGX_AGAIN && q->read != NULL) {
            return;
        }

        if (q->renewing && q->step == NGX_HTTP_TRAVEL_QUERY_SEND) {
            ngx_http_travel_query_renewed(q, NULL);
            return;
        }

        ngx_http_travel_finish(r, q->rc);
    }
}


static ngx_int_t
ngx_http_travel_query_end(ngx_http_travel_query_t *q, ngx_int_t rc)
{
    q->rc = rc;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_travel_query_step_need(ngx_http_travel_query_t *q)
{
    q->step = NGX_HTTP_TRAVEL_QUERY_WAIT_NODE;

    switch (ngx_http_travel_query_need(q->request, &q->need)) {

    case NGX_OK:
        return NGX_OK;

    case NGX_AGAIN:
        return ngx_http_travel_query_resolve(q);

    case NGX_ABORT:
        q->primary = 1;
        q->bypass = 1;
        return NGX_OK;

    case NGX_DECLINED:
        return ngx_http_travel_query_end(q,
                   ngx_http_travel_error(q->request,
                                         TRAVEL_E_MALFORMED_REQUEST,
                                         "The Travel-Consistency header is "
                                         "none of ours: send back what an "
                                         "answer carried, or nothing."));

    default:
        return ngx_http_travel_query_end(q, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* A job that has not ended has written nothing that could be read. */

static ngx_int_t
ngx_http_travel_query_resolve(ngx_http_travel_query_t *q)
{
    ngx_str_t                          job;
    ngx_http_travel_token_resolver_pt  resolver;

    resolver = ngx_http_travel_query_resolver();
    if (resolver == NULL) {
        return NGX_OK;
    }

    job = *ngx_http_travel_header_in(q->request, "travel-consistency",
                                     sizeof("travel-consistency") - 1);
    job.data += sizeof("job:") - 1;
    job.len -= sizeof("job:") - 1;

    return resolver(q->request, &job, NGX_HTTP_TRAVEL_QUERY_WAIT,
                    ngx_http_travel_query_resolved) == NGX_AGAIN
           ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_travel_query_resolved(ngx_http_request_t *r, ngx_int_t rc,
    const travel_consistency_t *write)
{
    ngx_http_travel_ctx_t  *ctx;

    if (rc == NGX_OK && write != NULL) {
        ctx = ngx_http_travel_get_ctx(r);
        ngx_http_travel_query_raise(ctx->room[NGX_HTTP_TRAVEL_ROOM_QUERY],
                                    write);
    }

    ngx_http_travel_query_resume(r);
}


static void
ngx_http_travel_query_raise(ngx_http_travel_query_t *q,
    const travel_consistency_t *write)
{
    if (travel_lsn_cmp(write->commit, q->need.commit) > 0) {
        q->need.commit = write->commit;
    }

    if (travel_stream_id_cmp(write->inval, q->need.inval) > 0) {
        q->need.inval = write->inval;
    }
}


static ngx_int_t
ngx_http_travel_query_step_wait(ngx_http_travel_query_t *q)
{
    ngx_http_travel_node_t  node;

    q->step = NGX_HTTP_TRAVEL_QUERY_LOOKUP;

    if (q->bypass || (q->need.inval.ms == 0 && q->need.inval.seq == 0)) {
        return NGX_OK;
    }

    ngx_http_travel_node(&node);

    if (travel_stream_id_cmp(node.pos, q->need.inval) >= 0) {
        return NGX_OK;
    }

    if (!node.hearing) {
        q->bypass = 1;
        return NGX_OK;
    }

    q->step = NGX_HTTP_TRAVEL_QUERY_WAITED;

    return ngx_http_travel_node_wait(q->request, q->need.inval,
                                     NGX_HTTP_TRAVEL_QUERY_WAIT,
                                     ngx_http_travel_query_resume)
           == NGX_AGAIN ? NGX_AGAIN : NGX_OK;
}


static ngx_int_t
ngx_http_travel_query_step_waited(ngx_http_travel_query_t *q)
{
    ngx_http_travel_node_t  node;

    ngx_http_travel_node(&node);

    q->bypass = travel_stream_id_cmp(node.pos, q->need.inval) < 0;
    q->step = NGX_HTTP_TRAVEL_QUERY_LOOKUP;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_query_step_lookup(ngx_http_travel_query_t *q)
{
    ngx_int_t               rc;
    ngx_http_request_t     *r = q->request;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    q->step = NGX_HTTP_TRAVEL_QUERY_SEND;

    if (q->bypass) {
        ctx->cache_status = "BYPASS";
        return NGX_OK;
    }

    if (q->read != NULL && q->read->ttl == 0) {
        return NGX_OK;
    }

    ngx_memzero(&q->hit, sizeof(ngx_http_travel_hit_t));

    rc = ngx_http_travel_cache_lookup(r, &q->identity, &q->tags,
                                      q->need.inval, &q->fill, &q->hit);
    switch (rc) {

    case NGX_OK:
        ctx->cache_status = q->hit.stale ? "STALE" : "HIT";
        return ngx_http_travel_query_end(q, ngx_http_travel_query_cached(q));

    case NGX_DECLINED:
        ctx->cache_status = "MISS";

        if (q->read != NULL) {
            q->fill.ttl = ngx_min(q->fill.ttl, q->read->ttl);
        }

        rc = ngx_http_travel_cache_begin(r, &q->fill);

        if (rc == NGX_OK) {
            q->filling = 1;
            q->step = NGX_HTTP_TRAVEL_QUERY_FETCH;

            if (q->hit.renew) {
                return ngx_http_travel_query_renew(q);
            }
        }

        if (rc != NGX_BUSY) {
            return NGX_OK;
        }

        /* fall through */

    case NGX_BUSY:
        ctx->cache_status = "MISS";

        if (q->joins == NGX_HTTP_TRAVEL_QUERY_JOINS
            || ngx_http_travel_cache_wait(r, &q->fill,
                                          q->query->timeout_ms,
                                          ngx_http_travel_query_resume)
               == NGX_ERROR)
        {
            return NGX_OK;
        }

        q->joins++;
        q->step = NGX_HTTP_TRAVEL_QUERY_LOOKUP;
        return NGX_AGAIN;

    default:
        return NGX_OK;
    }
}


/*
 * Stale-while-revalidate: the old answer goes out now, the fill goes on with
 * the request, which one more count keeps.  (As with proxy_cache's background
 * update, the next request of an HTTP/1 connection waits for the end of it.)
 */

static ngx_int_t
ngx_http_travel_query_renew(ngx_http_travel_query_t *q)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_request_t     *r = q->request;
    ngx_http_travel_ctx_t  *ctx;

    if (r != r->main) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_OK;
    }

    cln->handler = ngx_http_travel_query_renewal_gone;
    cln->data = q;

    q->renewal.data = r->connection;
    q->renewal.handler = ngx_http_travel_query_renewal;
    q->renewal.log = r->connection->log;

    q->renewing = 1;
    r->main->count++;

    ngx_post_event(&q->renewal, &ngx_posted_events);

    ctx = ngx_http_travel_get_ctx(r);
    ctx->cache_status = "STALE";

    return ngx_http_travel_query_end(q, ngx_http_travel_query_cached(q));
}


static void
ngx_http_travel_query_renewal(ngx_event_t *ev)
{
    ngx_http_travel_query_t  *q;

    q = (ngx_http_travel_query_t *)
            ((u_char *) ev - offsetof(ngx_http_travel_query_t, renewal));

    ngx_http_set_log_request(q->request->connection->log, q->request);

    ngx_http_travel_query_resume(q->request);
}


static void
ngx_http_travel_query_renewal_gone(void *data)
{
    ngx_http_travel_query_t  *q = data;

    if (q->renewal.posted) {
        ngx_delete_posted_event(&q->renewal);
    }
}


/* A result of NULL: there is none, and the old answer serves on. */

static void
ngx_http_travel_query_renewed(ngx_http_travel_query_t *q,
    ngx_http_travel_pg_result_t *result)
{
    if (result != NULL && ngx_http_travel_pg_rows(result) != 0
        && ngx_http_travel_pg_value(result, 0, 0).data != NULL)
    {
        (void) ngx_http_travel_query_rows(q, result);
    }

    if (q->filling) {
        ngx_http_travel_cache_abandon(q->request, &q->fill);
        q->filling = 0;
    }

    ngx_http_travel_finish(q->request, NGX_DONE);
}


static ngx_int_t
ngx_http_travel_query_step_fetch(ngx_http_travel_query_t *q)
{
    q->step = NGX_HTTP_TRAVEL_QUERY_SEND;

    return ngx_http_travel_cache_fetch(q->request, &q->fill, q->need.inval,
                                       &q->found, ngx_http_travel_query_fetched)
           == NGX_AGAIN ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_travel_query_fetched(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_travel_ctx_t    *ctx;
    ngx_http_travel_query_t  *q;

    ctx = ngx_http_travel_get_ctx(r);
    q = ctx->room[NGX_HTTP_TRAVEL_ROOM_QUERY];

    if (rc != NGX_OK) {
        ngx_http_travel_query_resume(r);
        return;
    }

    q->filling = 0;

    if (q->renewing) {
        ngx_http_travel_query_renewed(q, NULL);
        return;
    }

    q->hit = q->found;
    ctx->cache_status = "HIT";

    rc = ngx_http_travel_query_cached(q);

    if (rc != NGX_AGAIN || q->read == NULL) {
        ngx_http_travel_finish(r, rc);
    }
}


static ngx_int_t
ngx_http_travel_query_step_send(ngx_http_travel_query_t *q)
{
    q->run.request = q->request;
    q->run.query = q->query;

    if (q->read != NULL) {
        q->run.statement = q->read->statement;
        q->run.priority = q->query->priority;

    } else {
        q->run.statement = q->conf->statement;
        q->run.priority = q->conf->priority;

        if (q->conf->next != NULL
            && q->values[q->query->nparams] != NULL)
        {
            q->run.statement = q->conf->next;
        }
    }

    q->run.done = ngx_http_travel_query_done;
    q->run.data = q;
    q->run.avoid = NULL;
    q->run.rerouted = 0;
    q->run.waits = 0;
    q->run.need.primary = q->primary;
    q->run.need.floor = q->need.commit;

    if (q->filling
        && travel_lsn_cmp(q->fill.floor, q->run.need.floor) > 0)
    {
        q->run.need.floor = q->fill.floor;
    }

    if (ngx_http_travel_query_start(&q->run, q->read != NULL
                                             ? q->read->values : q->values)
        != NGX_OK)
    {
        return ngx_http_travel_query_end(q, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

    return NGX_AGAIN;
}


/* --- the database has answered ------------------------------------------- */

static void
ngx_http_travel_query_done(ngx_http_request_t *r, void *data, ngx_int_t rc,
    ngx_http_travel_pg_result_t *result)
{
    ngx_http_travel_query_t  *q = data;

    if (q->renewing) {
        ngx_http_travel_query_renewed(q, result);
        return;
    }

    if (result == NULL) {
        rc = ngx_http_travel_query_failed(q, rc);

    } else if (ngx_http_travel_pg_rows(result) == 0
               || ngx_http_travel_pg_value(result, 0, 0).data == NULL)
    {
        rc = ngx_http_travel_query_absent(q);

        if (rc == NGX_DONE) {
            return;                  /* the hook has r now */
        }

    } else {
        rc = ngx_http_travel_query_rows(q, result);
    }

    if (rc == NGX_AGAIN && q->read != NULL) {
        return;                      /* whoever reads goes on by itself */
    }

    ngx_http_travel_finish(r, rc);
}


/* What is stale may stand in when no server answers, and only then. */

static ngx_int_t
ngx_http_travel_query_failed(ngx_http_travel_query_t *q, ngx_int_t rc)
{
    ngx_http_travel_ctx_t  *ctx;

    if (q->filling) {
        ngx_http_travel_cache_abandon(q->request, &q->fill);
        q->filling = 0;
    }

    if (q->hit.stale && q->hit.body.data != NULL
        && (rc == TRAVEL_E_DEPENDENCY_UNAVAILABLE
            || rc == TRAVEL_E_GATEWAY_TIMEOUT))
    {
        ctx = ngx_http_travel_get_ctx(q->request);
        ctx->cache_status = "STALE";
        q->run.route.unverified = 1;

        return ngx_http_travel_query_cached(q);
    }

    if (q->read != NULL) {
        return q->read->failed(q->request, q->read->data, rc);
    }

    return ngx_http_travel_query_refuse(q->request, rc);
}


/* No row.  NGX_DONE: the pending hook finishes r. */

static ngx_int_t
ngx_http_travel_query_absent(ngx_http_travel_query_t *q)
{
    ngx_str_t              id;
    const travel_param_t  *param;

    if (q->filling) {
        ngx_http_travel_cache_abandon(q->request, &q->fill);
        q->filling = 0;
    }

    if (q->read != NULL) {
        return q->read->failed(q->request, q->read->data,
                               TRAVEL_E_INTERNAL_ERROR);
    }

    if (q->query->returns != TRAVEL_RETURNS_ONE) {
        ngx_log_error(NGX_LOG_ERR, q->request->connection->log, 0,
                      "query \"%V\" returned no row, though it is a list: let "
                      "it always return one JSON text", &q->conf->name);
        return ngx_http_travel_query_refuse(q->request,
                                            TRAVEL_E_INTERNAL_ERROR);
    }

    if (q->query->pending != NULL && ngx_http_travel_pending != NULL
        && !q->again)
    {
        q->again = 1;
        param = travel_query_param(q->query, TRAVEL_STR("id"));
        id.data = (u_char *) q->values[param - q->query->params];

        if (id.data != NULL) {
            id.len = ngx_strlen(id.data);

            if (ngx_http_travel_pending(q->request, q->query, &id)
                == NGX_DONE)
            {
                return NGX_DONE;
            }
        }
    }

    ngx_http_travel_count(q->conf->not_found, 1);

    return ngx_http_travel_query_refuse(q->request,
                                        TRAVEL_E_RESOURCE_NOT_FOUND);
}


void
ngx_http_travel_query_again(ngx_http_request_t *r,
    const travel_consistency_t *write)
{
    ngx_http_travel_ctx_t    *ctx;
    ngx_http_travel_query_t  *q;

    ctx = ngx_http_travel_get_ctx(r);
    q = ctx->room[NGX_HTTP_TRAVEL_ROOM_QUERY];

    if (write != NULL) {
        ngx_http_travel_query_raise(q, write);

    } else {
        q->primary = 1;
    }

    q->bypass = 1;
    q->again = 1;
    q->step = NGX_HTTP_TRAVEL_QUERY_LOOKUP;

    ngx_http_travel_query_resume(r);
}


static ngx_int_t
ngx_http_travel_query_rows(ngx_http_travel_query_t *q,
    ngx_http_travel_pg_result_t *result)
{
    ngx_int_t              rc;
    ngx_str_t              body, tags;
    ngx_http_travel_hit_t  hit;

    if (ngx_http_travel_pg_result_keep(result, q->request) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body = ngx_http_travel_pg_value(result, 0, 0);
    ngx_str_null(&tags);

    if (q->read != NULL) {
        rc = q->read->body(q->request, q->read->data, result, &body, &tags);

        if (rc == NGX_DONE && q->filling) {
            ngx_http_travel_cache_abandon(q->request, &q->fill);
            q->filling = 0;

        } else if (rc != NGX_OK && rc != NGX_DONE) {
            return ngx_http_travel_query_failed(q, TRAVEL_E_INTERNAL_ERROR);
        }

    } else if (q->conf->next != NULL
        && ngx_http_travel_cursor_body(q->request, q->conf, result, &body)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&hit, sizeof(ngx_http_travel_hit_t));
    hit.body = body;

    if (q->filling) {

        if (q->run.route.unverified) {
            q->fill.ttl = ngx_min(q->fill.ttl,
                                  NGX_HTTP_TRAVEL_QUERY_UNVERIFIED);
            q->fill.stale = 0;
        }

        ngx_http_travel_cache_touched(&q->fill, &tags);
        ngx_http_travel_cache_store(q->request, &q->fill, &body,
                                    q->run.route.replay, &hit);
        q->filling = 0;
    }

    if (q->renewing) {
        return NGX_OK;
    }

    return ngx_http_travel_query_answer(q, &hit);
}


/* --- the answer ---------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_query_cached(ngx_http_travel_query_t *q)
{
    if (q->read != NULL) {
        ngx_http_travel_query_counted(q);
        return q->read->answer(q->request, q->read->data, &q->hit, 1);
    }

    if (ngx_http_travel_add_number(q->request, "Age", q->hit.age) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_query_answer(q, &q->hit);
}


static ngx_int_t
ngx_http_travel_query_answer(ngx_http_travel_query_t *q,
    ngx_http_travel_hit_t *hit)
{
    ngx_http_request_t  *r = q->request;

    static ngx_str_t  private = ngx_string("private, no-cache");
    static ngx_str_t  public = ngx_string("public, no-cache");
    static ngx_str_t  unverified = ngx_string("unverified");

    if (q->read != NULL) {
        ngx_http_travel_query_counted(q);
        return q->read->answer(r, q->read->data, hit, 0);
    }

    if (ngx_http_travel_add_header(r, "Cache-Control",
                                   q->query->public ? &public : &private)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (q->run.route.unverified
        && ngx_http_travel_add_header(r, "Travel-Consistency", &unverified)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (hit->etag.len != 0
        && (ngx_http_travel_query_etag(r, &hit->etag) != NGX_OK
            || ngx_http_travel_cache_coding(r, hit) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_travel_count(q->conf->answered, 1);
    ngx_http_travel_query_counted(q);

    return ngx_http_travel_send(r, NGX_HTTP_OK, NULL, &hit->body);
}


/* By what the cache knew: the first letter tells. */

static void
ngx_http_travel_query_counted(ngx_http_travel_query_t *q)
{
    ngx_uint_t              which;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(q->request);

    if (ctx->cache_status == NULL) {
        return;                          /* no travel_cache here */
    }

    switch (ctx->cache_status[0]) {

    case 'H':
        which = 0;
        break;

    case 'S':
        which = 1;
        break;

    case 'M':
        which = 2;
        break;

    default:
        which = 3;
    }

    ngx_http_travel_count(q->read != NULL ? q->read->conf->cached[which]
                                          : q->conf->cached[which], 1);
}


/* nginx's own filter makes a 304 of it when If-None-Match says so. */

static ngx_int_t
ngx_http_travel_query_etag(ngx_http_request_t *r, ngx_str_t *etag)
{
    static const ngx_str_t  name = ngx_string("ETag");

    r->headers_out.etag = ngx_http_travel_push_field(r, &name, etag);

    return r->headers_out.etag ? NGX_OK : NGX_ERROR;
}
