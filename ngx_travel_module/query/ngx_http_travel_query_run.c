/*
 * One statement for one request: routed, sent, and sent once more elsewhere
 * when a server failed it in a way that says nothing about the statement.
 *
 * A run lives in r->pool.  While it waits for an answer, net holds an op that
 * ends with the request; while it waits for a server (a worker just born) or
 * has a failure to tell, its event is a timer or posted, and the cleanup takes
 * it out.  done() is never called from inside ngx_http_travel_query_start().
 */

#include "ngx_http_travel_query_room.h"
#include "../observe/ngx_http_travel_observe.h"

#include <time.h>


#define NGX_HTTP_TRAVEL_RUN_BIRTH_STEP  5       /* ms between looks */
#define NGX_HTTP_TRAVEL_RUN_WAITS       4       /* for a server to be gone */
#define NGX_HTTP_TRAVEL_RUN_WAIT        50      /* ms each */


static ngx_int_t ngx_http_travel_run_send(ngx_http_travel_query_run_t *run);
static ngx_int_t ngx_http_travel_run_try(ngx_http_travel_query_run_t *run,
    const ngx_http_travel_pg_server_t *avoid);
static void ngx_http_travel_run_answered(ngx_http_travel_pg_op_t *op,
    ngx_http_travel_pg_result_t *result);
static void ngx_http_travel_run_span(ngx_http_travel_query_run_t *run,
    ngx_http_travel_pg_op_t *op, ngx_http_travel_pg_result_t *result,
    uint64_t took_us);
static void ngx_http_travel_run_lost(ngx_http_travel_query_run_t *run,
    ngx_http_travel_pg_op_t *op);
static void ngx_http_travel_run_refused(ngx_http_travel_query_run_t *run,
    ngx_http_travel_pg_result_t *result);
static ngx_uint_t ngx_http_travel_run_elsewhere(const char *sqlstate);
static travel_error_e ngx_http_travel_run_error(const char *sqlstate);
static ngx_uint_t ngx_http_travel_run_again(ngx_http_travel_query_run_t *run);
static ngx_uint_t ngx_http_travel_run_later(ngx_http_travel_query_run_t *run);
static void ngx_http_travel_run_fail_later(ngx_http_travel_query_run_t *run,
    travel_error_e error);
static void ngx_http_travel_run_overloaded(ngx_http_travel_query_run_t *run);
static void ngx_http_travel_run_event(ngx_event_t *ev);
static void ngx_http_travel_run_cleanup(void *data);
static void ngx_http_travel_run_done(ngx_http_travel_query_run_t *run,
    ngx_int_t rc, ngx_http_travel_pg_result_t *result);
static uint64_t ngx_http_travel_run_clock(void);


ngx_int_t
ngx_http_travel_query_run(ngx_http_request_t *r, const travel_query_t *query,
    const ngx_http_travel_pg_statement_t *statement,
    const char *const *values, const ngx_http_travel_route_need_t *need,
    ngx_http_travel_query_done_pt done, void *data)
{
    ngx_http_travel_query_run_t  *run;

    run = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_query_run_t));
    if (run == NULL) {
        return NGX_ERROR;
    }

    run->request = r;
    run->query = query;
    run->statement = statement;
    run->done = done;
    run->data = data;
    run->priority = query->priority;

    if (need != NULL) {
        run->need = *need;
    }

    return ngx_http_travel_query_start(run, values);
}


ngx_int_t
ngx_http_travel_query_start(ngx_http_travel_query_run_t *run,
    const char *const *values)
{
    char                   *viewer;
    ngx_http_request_t     *r = run->request;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    run->values = ngx_palloc(r->pool, (run->query->nbinds + run->query->nkeys
                                       + 1) * sizeof(char *));

    if (ctx == NULL || run->values == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(run->values, values, run->query->nparams * sizeof(char *));

    if (run->query->viewer != 0) {
        viewer = NULL;

        if (ctx->user.len != 0) {
            viewer = ngx_pnalloc(r->pool, ctx->user.len + 1);
            if (viewer == NULL) {
                return NGX_ERROR;
            }

            (void) ngx_cpystrn((u_char *) viewer, ctx->user.data,
                               ctx->user.len + 1);
        }

        run->values[run->query->viewer - 1] = viewer;
    }

    if (run->statement->nparams > run->query->nbinds) {
        ngx_memcpy(run->values + run->query->nbinds,
                   values + run->query->nparams,
                   run->query->nkeys * sizeof(char *));
    }

    return ngx_http_travel_run_send(run);
}


/* --- sending ------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_run_send(ngx_http_travel_query_run_t *run)
{
    ngx_int_t             rc;
    ngx_http_cleanup_t   *cln;

    if (!run->cleanup) {
        cln = ngx_http_cleanup_add(run->request, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_travel_run_cleanup;
        cln->data = run;

        run->event.data = run->request->connection;
        run->event.handler = ngx_http_travel_run_event;
        run->event.log = run->request->connection->log;
        run->cleanup = 1;
    }

    run->need.priority = run->priority;
    run->need.analytics = run->query->analytics;

    rc = ngx_http_travel_run_try(run, run->avoid);

    if (rc == NGX_DECLINED && run->avoid != NULL) {
        /* the one that failed may be the only one */
        rc = ngx_http_travel_run_try(run, NULL);
    }

    switch (rc) {

    case NGX_OK:
    case NGX_ERROR:
        return rc;

    case NGX_AGAIN:
        ngx_add_timer(&run->event, NGX_HTTP_TRAVEL_RUN_BIRTH_STEP);
        return NGX_OK;

    case NGX_BUSY:
        ngx_http_travel_run_overloaded(run);
        ngx_http_travel_run_fail_later(run, TRAVEL_E_DEPENDENCY_UNAVAILABLE);
        return NGX_OK;

    default:
        ngx_http_travel_count(
            ngx_http_travel_query_main(run->request)->unavailable, 1);
        ngx_http_travel_run_fail_later(run, TRAVEL_E_DEPENDENCY_UNAVAILABLE);
        return NGX_OK;
    }
}


/* Asks one server; a server that turns out to be down is marked, and the next
 * is asked.  NGX_OK sent, NGX_AGAIN not yet, NGX_DECLINED none, NGX_BUSY,
 * NGX_ERROR. */

static ngx_int_t
ngx_http_travel_run_try(ngx_http_travel_query_run_t *run,
    const ngx_http_travel_pg_server_t *avoid)
{
    ngx_int_t   rc;
    ngx_uint_t  left;

    for (left = ngx_http_travel_pg_server_count(); left > 0; left--) {

        rc = ngx_http_travel_router_pick(&run->need, avoid, &run->route);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_travel_pg_query(run->route.server, run->request,
                                      run->statement, run->values,
                                      run->priority,
                                      ngx_http_travel_run_answered, run);

        if (rc != NGX_DECLINED) {
            run->sent_us = ngx_http_travel_run_clock();
            return rc;
        }

        ngx_http_travel_router_suspect(run->route.server);
    }

    return NGX_DECLINED;
}


/* --- answers ------------------------------------------------------------- */

static void
ngx_http_travel_run_answered(ngx_http_travel_pg_op_t *op,
    ngx_http_travel_pg_result_t *result)
{
    uint64_t                            took_us;
    ngx_http_request_t                 *r;
    ngx_http_travel_ctx_t              *ctx;
    ngx_http_travel_query_run_t        *run = op->data;
    ngx_http_travel_query_main_conf_t  *qmcf;

    r = run->request;
    ctx = ngx_http_travel_get_ctx(r);
    qmcf = ngx_http_travel_query_main(r);

    ngx_http_set_log_request(r->connection->log, r);

    took_us = ngx_http_travel_run_clock() - run->sent_us;
    ctx->dependency_us += took_us;
    ctx->server = ngx_http_travel_pg_server_info(run->route.server)->name;

    if (ctx->trace.flags & TRAVEL_TRACE_SAMPLED) {
        ngx_http_travel_run_span(run, op, result, took_us);
    }

    if (result == NULL) {
        ngx_http_travel_run_lost(run, op);
        return;
    }

    if (ngx_http_travel_pg_sqlstate(result) != NULL) {
        ngx_http_travel_run_refused(run, result);
        return;
    }

    ngx_http_travel_count(run->need.analytics ? qmcf->to_analytics
        : run->route.unverified ? qmcf->to_frozen
        : ngx_http_travel_pg_server_info(run->route.server)->role
              == NGX_HTTP_TRAVEL_PG_REPLICA ? qmcf->to_replica
                                            : qmcf->to_primary, 1);

    ngx_http_travel_run_done(run, NGX_OK, result);
}


/* A client span by the semantic conventions of databases; a statement sent
 * twice makes two. */

static void
ngx_http_travel_run_span(ngx_http_travel_query_run_t *run,
    ngx_http_travel_pg_op_t *op, ngx_http_travel_pg_result_t *result,
    uint64_t took_us)
{
    const char                              *sqlstate;
    travel_attr_t                            attrs[6];
    travel_span_t                            span;
    const ngx_http_travel_pg_server_info_t  *server;

    ngx_memzero(&span, sizeof(travel_span_t));
    ngx_memzero(attrs, sizeof(attrs));

    server = ngx_http_travel_pg_server_info(run->route.server);
    sqlstate = (result != NULL) ? ngx_http_travel_pg_sqlstate(result) : NULL;

    attrs[0].name = TRAVEL_STR("db.system.name");
    attrs[0].v.s = TRAVEL_STR("postgresql");
    attrs[1].name = TRAVEL_STR("db.query.summary");
    attrs[1].v.s.data = run->query->name;
    attrs[1].v.s.len = ngx_strlen(run->query->name);
    attrs[2].name = TRAVEL_STR("server.address");
    attrs[2].v.s = ngx_http_travel_view(&server->name);
    attrs[3].name = TRAVEL_STR("db.namespace");
    attrs[3].v.s = ngx_http_travel_view(&server->namespace);
    span.nattrs = 4;

    if (sqlstate != NULL) {
        attrs[4].name = TRAVEL_STR("db.response.status_code");
        attrs[4].v.s.data = sqlstate;
        attrs[4].v.s.len = ngx_strlen(sqlstate);
        attrs[5].name = TRAVEL_STR("error.type");
        attrs[5].v.s = attrs[4].v.s;
        span.nattrs = 6;
    }

    if (result == NULL) {
        span.message.data = op->lost;
        span.message.len = ngx_strlen(op->lost);
    }

    span.name = attrs[1].v.s;
    span.kind = TRAVEL_SPAN_CLIENT;
    span.end_ns = ngx_http_travel_observe_now();
    span.start_ns = span.end_ns - took_us * 1000;
    span.error = (result == NULL || sqlstate != NULL);
    span.attrs = attrs;

    ngx_http_travel_observe_span(run->request, &span);
}


/* No answer will come. */

static void
ngx_http_travel_run_lost(ngx_http_travel_query_run_t *run,
    ngx_http_travel_pg_op_t *op)
{
    ngx_http_travel_query_main_conf_t  *qmcf;

    qmcf = ngx_http_travel_query_main(run->request);

    if (ngx_strcmp(op->lost, "deadline") == 0) {
        ngx_log_error(NGX_LOG_WARN, run->request->connection->log, 0,
                      "query \"%s\": no answer from \"%V\" in time",
                      run->query->name,
                      &ngx_http_travel_pg_server_info(run->route.server)->name);
        ngx_http_travel_count(qmcf->timed_out, 1);
        ngx_http_travel_run_done(run, TRAVEL_E_GATEWAY_TIMEOUT, NULL);
        return;
    }

    /* the others are as full: nothing is asked elsewhere */

    if (op->lost == ngx_http_travel_pg_shed) {
        ngx_http_travel_run_overloaded(run);
        ngx_http_travel_run_done(run, TRAVEL_E_DEPENDENCY_UNAVAILABLE, NULL);
        return;
    }

    if (ngx_http_travel_run_again(run) || ngx_http_travel_run_later(run)) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, run->request->connection->log, 0,
                  "query \"%s\": the answer from \"%V\" was lost: %s",
                  run->query->name,
                  &ngx_http_travel_pg_server_info(run->route.server)->name,
                  op->lost);
    ngx_http_travel_count(qmcf->unavailable, 1);
    ngx_http_travel_run_done(run, TRAVEL_E_DEPENDENCY_UNAVAILABLE, NULL);
}


static void
ngx_http_travel_run_refused(ngx_http_travel_query_run_t *run,
    ngx_http_travel_pg_result_t *result)
{
    const char                         *sqlstate;
    ngx_uint_t                          level;
    travel_error_e                      error;
    ngx_http_travel_query_main_conf_t  *qmcf;

    sqlstate = ngx_http_travel_pg_sqlstate(result);
    qmcf = ngx_http_travel_query_main(run->request);

    if (ngx_http_travel_run_elsewhere(sqlstate)
        && ngx_http_travel_run_again(run))
    {
        return;
    }

    error = ngx_http_travel_run_error(sqlstate);

    level = (error == TRAVEL_E_INTERNAL_ERROR) ? NGX_LOG_ERR : NGX_LOG_WARN;

    ngx_log_error(level, run->request->connection->log, 0,
                  "query \"%s\" on \"%V\": %s: %s", run->query->name,
                  &ngx_http_travel_pg_server_info(run->route.server)->name,
                  sqlstate, ngx_http_travel_pg_message(result));

    ngx_http_travel_count(error == TRAVEL_E_GATEWAY_TIMEOUT ? qmcf->timed_out
                          : error == TRAVEL_E_DEPENDENCY_UNAVAILABLE
                            ? qmcf->unavailable : qmcf->failed, 1);

    ngx_http_travel_run_done(run, error, NULL);
}


/* What tells of the server or the moment, not of the statement: a prepared
 * statement gone or stale, a server going down, a conflict with recovery. */

static ngx_uint_t
ngx_http_travel_run_elsewhere(const char *sqlstate)
{
    ngx_uint_t  i;

    static const char *const  states[] = {
        "26000", "0A000", "57P01", "57P02", "57P03", "40001", "40P01"
    };

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (ngx_strcmp(sqlstate, states[i]) == 0) {
            return 1;
        }
    }

    return ngx_strncmp(sqlstate, "08", 2) == 0;
}


static travel_error_e
ngx_http_travel_run_error(const char *sqlstate)
{
    ngx_uint_t  i;

    /* values that the type's own check let through and PostgreSQL does not */
    static const char *const  values[] = {
        "22003", "22007", "22008", "22009", "22021", "22P02", "22P05"
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        if (ngx_strcmp(sqlstate, values[i]) == 0) {
            return TRAVEL_E_VALIDATION_ERROR;
        }
    }

    if (ngx_strcmp(sqlstate, "57014") == 0) {
        return TRAVEL_E_GATEWAY_TIMEOUT;
    }

    if (ngx_strncmp(sqlstate, "53", 2) == 0
        || ngx_http_travel_run_elsewhere(sqlstate))
    {
        return TRAVEL_E_DEPENDENCY_UNAVAILABLE;
    }

    return TRAVEL_E_INTERNAL_ERROR;
}


/* Once to another server: a second failure is the client's to hear. */

static ngx_uint_t
ngx_http_travel_run_again(ngx_http_travel_query_run_t *run)
{
    if (run->rerouted) {
        return 0;
    }

    run->rerouted = 1;
    run->avoid = run->route.server;

    if (ngx_http_travel_run_send(run) != NGX_OK) {
        return 0;
    }

    ngx_http_travel_count(ngx_http_travel_query_main(run->request)->rerouted,
                          1);

    return 1;
}


/*
 * A server that goes down loses one session after the other, and the second
 * try may have met the next.  A moment later it has none left and is no place
 * any more: then it counts what holds without it.
 */

static ngx_uint_t
ngx_http_travel_run_later(ngx_http_travel_query_run_t *run)
{
    if (run->waits == NGX_HTTP_TRAVEL_RUN_WAITS) {
        return 0;
    }

    run->waits++;
    run->avoid = run->route.server;

    ngx_add_timer(&run->event, NGX_HTTP_TRAVEL_RUN_WAIT);

    return 1;
}


static void
ngx_http_travel_run_overloaded(ngx_http_travel_query_run_t *run)
{
    ngx_http_travel_count(
        ngx_http_travel_query_main(run->request)->overloaded[run->priority],
        1);
}


/* --- the run's own event ------------------------------------------------- */

static void
ngx_http_travel_run_fail_later(ngx_http_travel_query_run_t *run,
    travel_error_e error)
{
    run->rc = error;
    ngx_post_event(&run->event, &ngx_posted_events);
}


static void
ngx_http_travel_run_event(ngx_event_t *ev)
{
    ngx_http_travel_query_run_t  *run;

    run = (ngx_http_travel_query_run_t *)
              ((u_char *) ev - offsetof(ngx_http_travel_query_run_t, event));

    ngx_http_set_log_request(run->request->connection->log, run->request);

    if (!ev->timedout) {
        ngx_http_travel_run_done(run, run->rc, NULL);
        return;
    }

    ev->timedout = 0;

    if (ngx_http_travel_run_send(run) != NGX_OK) {
        ngx_http_travel_run_done(run, TRAVEL_E_INTERNAL_ERROR, NULL);
    }
}


static void
ngx_http_travel_run_cleanup(void *data)
{
    ngx_http_travel_query_run_t  *run = data;

    if (run->event.timer_set) {
        ngx_del_timer(&run->event);
    }

    if (run->event.posted) {
        ngx_delete_posted_event(&run->event);
    }
}


static void
ngx_http_travel_run_done(ngx_http_travel_query_run_t *run, ngx_int_t rc,
    ngx_http_travel_pg_result_t *result)
{
    run->done(run->request, run->data, rc, result);
}


static uint64_t
ngx_http_travel_run_clock(void)
{
    struct timespec  ts;

    /* served by the vdso: no system call */
    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


/* --- how it is told ------------------------------------------------------ */

ngx_int_t
ngx_http_travel_query_refuse(ngx_http_request_t *r, ngx_int_t rc)
{
    switch (rc) {

    case TRAVEL_E_DEPENDENCY_UNAVAILABLE:
        if (ngx_http_travel_add_number(r, "Retry-After", 1) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "The database cannot be asked at the "
                                     "moment. Please try again.");

    case TRAVEL_E_GATEWAY_TIMEOUT:
        return ngx_http_travel_error(r, TRAVEL_E_GATEWAY_TIMEOUT,
                                     "The database did not answer in time.");

    case TRAVEL_E_VALIDATION_ERROR:
        return ngx_http_travel_error(r, TRAVEL_E_VALIDATION_ERROR,
                                     "A parameter is out of the range that "
                                     "can be stored.");

    case TRAVEL_E_RESOURCE_NOT_FOUND:
        return ngx_http_travel_error(r, TRAVEL_E_RESOURCE_NOT_FOUND,
                                     "There is no such resource.");

    default:
        return ngx_http_travel_error(r, TRAVEL_E_INTERNAL_ERROR,
                                     "The request could not be answered.");
    }
}
