/*
 * PostgreSQL servers as the rooms see them: taking a query, choosing a session,
 * waiting in line, deadlines, cancelling, results.
 *
 * A call (an op and its copy of the values) is ours, never the request's.  It
 * is "waiting" in a line of its server (ngx_http_travel_pg_line.c), or "sent",
 * when an entry of a session's pipeline refers to it; "timed" in the server's
 * list by deadline as long as its handler may be called; "done" when it may
 * not.  It goes back to the free list when it is neither waiting, sent nor
 * inside its handler.
 *
 * A room's question never ends anybody else's: what breaks while sending is
 * only noted there, and dropped by the session's flush event.  Handlers are
 * called from events alone.
 *
 * Fast calls share the sessions' pipelines, least loaded first.  Slow ones have
 * sessions of their own, connected at first use, one query at a time; so a slow
 * query cannot hold up a fast one.  A slow session that was asked to cancel is
 * used again only when both its answer and the canceller's are in, because a
 * late signal would hit the next query.
 */

#include "ngx_http_travel_pg_session.h"

#define NGX_HTTP_TRAVEL_PG_SILENCE  500      /* ms: has heard nothing of late */


static ngx_http_travel_pg_call_t *ngx_http_travel_pg_call_get(void);
static ngx_http_travel_pg_call_t *ngx_http_travel_pg_call_new(
    ngx_http_travel_pg_server_t *server, ngx_http_request_t *r,
    const ngx_http_travel_pg_statement_t *statement,
    const char *const *values, ngx_http_travel_pg_handler_pt handler,
    void *data);
static ngx_int_t ngx_http_travel_pg_copy(ngx_http_travel_pg_call_t *call,
    const char *const *values, ngx_uint_t n);
static void ngx_http_travel_pg_time(ngx_http_travel_pg_call_t *call,
    ngx_msec_t timeout);
static void ngx_http_travel_pg_untime(ngx_http_travel_pg_call_t *call);
static void ngx_http_travel_pg_released(void *data);
static void ngx_http_travel_pg_deadline(ngx_event_t *ev);
static void ngx_http_travel_pg_silent(ngx_http_travel_pg_server_t *server);
static void ngx_http_travel_pg_overdue(ngx_http_travel_pg_call_t *call);
static ngx_http_travel_session_t *ngx_http_travel_pg_pick(
    ngx_http_travel_pg_server_t *server, ngx_uint_t slow);
static ngx_uint_t ngx_http_travel_pg_hopeless(
    ngx_http_travel_pg_server_t *server, ngx_uint_t slow);
static void ngx_http_travel_pg_open_slow(ngx_http_travel_pg_server_t *server);
static void ngx_http_travel_pg_turn(ngx_event_t *ev);
static void ngx_http_travel_pg_dispatch_lines(
    ngx_http_travel_pg_server_t *server, ngx_uint_t slow);
static void ngx_http_travel_pg_cancel(ngx_http_travel_session_t *s);
static void ngx_http_travel_pg_cancel_next(
    ngx_http_travel_pg_server_t *server);
static void ngx_http_travel_pg_cancelled(ngx_http_travel_pg_op_t *op,
    ngx_http_travel_pg_result_t *result);
static void ngx_http_travel_pg_clear(void *data);


static const ngx_http_travel_pg_statement_t  ngx_http_travel_pg_cancel_sql = {
    ngx_string("travel.cancel"),
    ngx_string("SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
               " WHERE pid = $1::int AND state = 'active'"),
    1,
    NGX_HTTP_TRAVEL_PG_FAST,
    2000,
    0
};


/* of this nginx worker; empty in the master */

static ngx_http_travel_pg_server_t  *ngx_http_travel_pg_servers;
static ngx_uint_t                    ngx_http_travel_pg_nservers;
static ngx_queue_t                   ngx_http_travel_pg_calls;

/* the result that a handler is looking at, and whether it keeps it */

static PGresult                     *ngx_http_travel_pg_current;
static ngx_uint_t                    ngx_http_travel_pg_kept;


/* --- start and stop ------------------------------------------------------- */

ngx_int_t
ngx_http_travel_pg_start(ngx_cycle_t *cycle, ngx_http_travel_net_conf_t *conf)
{
    ngx_uint_t                    i, n;
    ngx_http_travel_pg_conf_t    *pc;
    ngx_http_travel_pg_server_t  *server;

    ngx_queue_init(&ngx_http_travel_pg_calls);
    ngx_http_travel_session_statements_init();

    pc = conf->servers.elts;

    if (conf->servers.nelts == 0) {
        return NGX_OK;
    }

    server = ngx_pcalloc(cycle->pool, conf->servers.nelts
                         * sizeof(ngx_http_travel_pg_server_t));
    if (server == NULL) {
        return NGX_ERROR;
    }

    ngx_http_travel_pg_servers = server;
    ngx_http_travel_pg_nservers = conf->servers.nelts;

    for (i = 0; i < conf->servers.nelts; i++, server++) {
        server->conf = &pc[i];
        server->nfast = pc[i].info.connections;
        server->nslow = pc[i].slow;

        for (n = 0; n < TRAVEL_PRIORITY_MAX; n++) {
            ngx_queue_init(&server->waiting[n]);
            ngx_queue_init(&server->waiting_slow[n]);
        }

        ngx_queue_init(&server->shed);
        ngx_queue_init(&server->due);
        ngx_queue_init(&server->cancels);

        server->deadline.handler = ngx_http_travel_pg_deadline;
        server->deadline.data = server;
        server->deadline.log = cycle->log;
        server->deadline.cancelable = 1;

        server->turn.handler = ngx_http_travel_pg_turn;
        server->turn.data = server;
        server->turn.log = cycle->log;

        server->sessions = ngx_pcalloc(cycle->pool,
                                       (server->nfast + server->nslow)
                                       * sizeof(ngx_http_travel_session_t));
        if (server->sessions == NULL) {
            return NGX_ERROR;
        }

        for (n = 0; n < server->nfast + server->nslow; n++) {
            ngx_http_travel_session_init(&server->sessions[n], server,
                                         n < server->nfast
                                             ? NGX_HTTP_TRAVEL_SESSION_FAST
                                             : NGX_HTTP_TRAVEL_SESSION_SLOW,
                                         n);
        }

        ngx_http_travel_session_init(&server->control, server,
                                     NGX_HTTP_TRAVEL_SESSION_CONTROL, n);

        for (n = 0; n < server->nfast; n++) {
            ngx_http_travel_session_connect(&server->sessions[n]);
        }

        ngx_http_travel_session_connect(&server->control);
    }

    return NGX_OK;
}


void
ngx_http_travel_pg_stop(void)
{
    ngx_uint_t                    i, n;
    ngx_http_travel_pg_server_t  *server;

    for (i = 0; i < ngx_http_travel_pg_nservers; i++) {
        server = &ngx_http_travel_pg_servers[i];
        server->closing = 1;

        for (n = 0; n < server->nfast + server->nslow; n++) {
            ngx_http_travel_session_drop(&server->sessions[n],
                                         "shutting down");
        }

        ngx_http_travel_session_drop(&server->control, "shutting down");

        if (server->deadline.timer_set) {
            ngx_del_timer(&server->deadline);
        }

        if (server->turn.posted) {
            ngx_delete_posted_event(&server->turn);
        }
    }

    ngx_http_travel_pg_nservers = 0;
}


/* --- calls ---------------------------------------------------------------- */

static ngx_http_travel_pg_call_t *
ngx_http_travel_pg_call_get(void)
{
    ngx_uint_t                  i;
    ngx_queue_t                *q;
    ngx_http_travel_pg_call_t  *call;

    if (ngx_queue_empty(&ngx_http_travel_pg_calls)) {

        /* given back with the nginx worker's own pool */

        call = ngx_palloc(ngx_cycle->pool,
                          16 * sizeof(ngx_http_travel_pg_call_t));
        if (call == NULL) {
            return NULL;
        }

        for (i = 0; i < 16; i++) {
            ngx_queue_insert_tail(&ngx_http_travel_pg_calls, &call[i].place);
        }
    }

    q = ngx_queue_head(&ngx_http_travel_pg_calls);
    ngx_queue_remove(q);

    call = ngx_queue_data(q, ngx_http_travel_pg_call_t, place);
    ngx_memzero(call, offsetof(ngx_http_travel_pg_call_t, bytes));

    return call;
}


static ngx_http_travel_pg_call_t *
ngx_http_travel_pg_call_new(ngx_http_travel_pg_server_t *server,
    ngx_http_request_t *r, const ngx_http_travel_pg_statement_t *statement,
    const char *const *values, ngx_http_travel_pg_handler_pt handler,
    void *data)
{
    ngx_http_travel_pg_call_t  *call;

    call = ngx_http_travel_pg_call_get();
    if (call == NULL) {
        return NULL;
    }

    call->op.magic = NGX_HTTP_TRAVEL_PG_OP_MAGIC;
    call->op.handler = handler;
    call->op.data = data;
    call->op.request = r;
    call->op.statement = statement;
    call->op.server = server;
    call->slow = (statement->class == NGX_HTTP_TRAVEL_PG_SLOW);

    call->known = ngx_http_travel_session_statement(statement);

    if (call->known == NULL
        || ngx_http_travel_pg_copy(call, values, statement->nparams)
           != NGX_OK)
    {
        ngx_http_travel_pg_call_end(call);
        return NULL;
    }

    if (r) {
        call->cleanup = ngx_http_cleanup_add(r, 0);
        if (call->cleanup == NULL) {
            ngx_http_travel_pg_call_end(call);
            return NULL;
        }

        call->cleanup->handler = ngx_http_travel_pg_released;
        call->cleanup->data = call;
    }

    return call;
}


/* The values must outlive the caller: they may be sent later, or twice. */
static ngx_int_t
ngx_http_travel_pg_copy(ngx_http_travel_pg_call_t *call,
    const char *const *values, ngx_uint_t n)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   i;

    size = n * sizeof(char *);

    for (i = 0; i < n; i++) {
        size += values[i] ? ngx_strlen(values[i]) + 1 : 0;
    }

    p = call->bytes;

    if (size > NGX_HTTP_TRAVEL_PG_INLINE) {
        p = ngx_alloc(size, ngx_cycle->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        call->blob = p;
    }

    call->values = (const char **) p;
    p += n * sizeof(char *);

    for (i = 0; i < n; i++) {
        call->values[i] = NULL;

        if (values[i]) {
            call->values[i] = (char *) p;
            p = ngx_cpymem(p, values[i], ngx_strlen(values[i]) + 1);
        }
    }

    return NGX_OK;
}


void
ngx_http_travel_pg_call_end(ngx_http_travel_pg_call_t *call)
{
    if (call->waiting || call->sent || call->busy) {
        return;
    }

    ngx_http_travel_pg_untime(call);

    if (call->cleanup) {
        call->cleanup->handler = NULL;
    }

    if (call->blob) {
        ngx_free(call->blob);
    }

    call->op.magic = 0;

    ngx_queue_insert_head(&ngx_http_travel_pg_calls, &call->place);
}


/* From now, at most its class's bound; 0 is the bound. */
static void
ngx_http_travel_pg_time(ngx_http_travel_pg_call_t *call, ngx_msec_t timeout)
{
    ngx_msec_t                    most;
    ngx_queue_t                  *q;
    ngx_http_travel_pg_call_t    *other;
    ngx_http_travel_pg_server_t  *server;

    server = call->op.server;

    most = call->slow ? server->conf->slow_timeout : server->conf->timeout;

    if (timeout == 0 || timeout > most) {
        timeout = most;
    }

    call->deadline = ngx_current_msec + timeout;

    for (q = ngx_queue_last(&server->due);
         q != ngx_queue_sentinel(&server->due);
         q = ngx_queue_prev(q))
    {
        other = ngx_queue_data(q, ngx_http_travel_pg_call_t, due);

        if ((ngx_msec_int_t) (other->deadline - call->deadline) <= 0) {
            break;
        }
    }

    ngx_queue_insert_after(q, &call->due);
    call->timed = 1;

    server->deadline.cancelable = 0;

    if (!server->deadline.timer_set
        || ngx_queue_head(&server->due) == &call->due)
    {
        ngx_add_timer(&server->deadline, timeout);
    }
}


static void
ngx_http_travel_pg_untime(ngx_http_travel_pg_call_t *call)
{
    if (!call->timed) {
        return;
    }

    ngx_queue_remove(&call->due);
    call->timed = 0;

    if (ngx_queue_empty(&call->op.server->due)) {
        call->op.server->deadline.cancelable = 1;
    }
}


/* --- asking --------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_pg_query(ngx_http_travel_pg_server_t *server,
    ngx_http_request_t *r, const ngx_http_travel_pg_statement_t *statement,
    const char *const *values, travel_priority_e priority,
    ngx_http_travel_pg_handler_pt handler, void *data)
{
    ngx_uint_t                  slow;
    ngx_queue_t                *lines;
    ngx_http_travel_session_t  *s;
    ngx_http_travel_pg_call_t  *call;

    slow = (statement->class == NGX_HTTP_TRAVEL_PG_SLOW);
    lines = slow ? server->waiting_slow : server->waiting;

    if (ngx_http_travel_pg_hopeless(server, slow)) {
        return NGX_DECLINED;
    }

    s = ngx_http_travel_pg_waits(lines)
        ? NULL : ngx_http_travel_pg_pick(server, slow);

    if (s == NULL && server->nwaiting >= server->conf->queue
        && !ngx_http_travel_pg_shed_for(server, priority))
    {
        ngx_http_travel_count(server->conf->counters.busy, 1);
        return NGX_BUSY;
    }

    call = ngx_http_travel_pg_call_new(server, r, statement, values, handler,
                                       data);
    if (call == NULL) {
        return NGX_ERROR;
    }

    call->priority = priority;

    if (s == NULL || ngx_http_travel_session_send(s, call, slow) != NGX_OK) {
        ngx_http_travel_pg_wait(call, 0);

        if (slow) {
            /* a session may have to be made for it, but not from here */
            ngx_http_travel_pg_dispatch_soon(server);
        }
    }

    ngx_http_travel_pg_time(call, statement->timeout);

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_pg_probe(ngx_http_travel_pg_server_t *server,
    const ngx_http_travel_pg_statement_t *statement, ngx_msec_t timeout,
    ngx_http_travel_pg_handler_pt handler, void *data)
{
    ngx_http_travel_session_t  *s;
    ngx_http_travel_pg_call_t  *call;

    s = &server->control;

    if (s->state != NGX_HTTP_TRAVEL_SESSION_READY || s->broken) {
        return NGX_DECLINED;
    }

    if (s->in_flight || !ngx_queue_empty(&server->cancels)) {
        return NGX_BUSY;
    }

    call = ngx_http_travel_pg_call_new(server, NULL, statement, NULL, handler,
                                       data);
    if (call == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_travel_session_send(s, call, 1) != NGX_OK) {
        ngx_http_travel_pg_call_end(call);
        return NGX_DECLINED;
    }

    ngx_http_travel_pg_time(call, timeout ? timeout : statement->timeout);

    return NGX_OK;
}


/* --- choosing a session --------------------------------------------------- */

static ngx_http_travel_session_t *
ngx_http_travel_pg_pick(ngx_http_travel_pg_server_t *server, ngx_uint_t slow)
{
    ngx_uint_t                  i, n;
    ngx_http_travel_session_t  *s, *best;

    best = NULL;
    s = slow ? server->sessions + server->nfast : server->sessions;
    n = slow ? server->nslow : server->nfast;

    for (i = 0; i < n; i++, s++) {

        if (s->state != NGX_HTTP_TRAVEL_SESSION_READY || s->broken) {
            continue;
        }

        if (s->in_flight >= (slow ? 1 : server->conf->pipeline)
            || s->cancel != NGX_HTTP_TRAVEL_CANCEL_NONE)
        {
            continue;
        }

        if (best == NULL || s->in_flight < best->in_flight) {
            best = s;
        }

        if (best->in_flight == 0) {
            break;
        }
    }

    return best;
}


/* No session is up or on its way up for the first time. */
static ngx_uint_t
ngx_http_travel_pg_hopeless(ngx_http_travel_pg_server_t *server,
    ngx_uint_t slow)
{
    ngx_uint_t                  i, n;
    ngx_http_travel_session_t  *s;

    s = slow ? server->sessions + server->nfast : server->sessions;
    n = slow ? server->nslow : server->nfast;

    for (i = 0; i < n; i++, s++) {

        if (s->state == NGX_HTTP_TRAVEL_SESSION_READY
            || s->state == NGX_HTTP_TRAVEL_SESSION_UNUSED)
        {
            return 0;
        }

        if (s->state == NGX_HTTP_TRAVEL_SESSION_CONNECTING && s->attempt == 0) {
            return 0;
        }
    }

    return 1;
}


/* Makes one slow session at a time, when somebody waits for it. */
static void
ngx_http_travel_pg_open_slow(ngx_http_travel_pg_server_t *server)
{
    ngx_uint_t                  i;
    ngx_http_travel_session_t  *s, *unused;

    unused = NULL;

    for (i = server->nfast; i < server->nfast + server->nslow; i++) {
        s = &server->sessions[i];

        if (s->state == NGX_HTTP_TRAVEL_SESSION_CONNECTING) {
            return;
        }

        if (s->state == NGX_HTTP_TRAVEL_SESSION_UNUSED) {
            unused = s;
        }
    }

    if (unused) {
        ngx_http_travel_session_connect(unused);
    }
}


/* At the end of this loop turn, from an event of its own. */
void
ngx_http_travel_pg_dispatch_soon(ngx_http_travel_pg_server_t *server)
{
    if (!server->closing && !server->turn.posted) {
        ngx_post_event(&server->turn, &ngx_posted_events);
    }
}


static void
ngx_http_travel_pg_turn(ngx_event_t *ev)
{
    ngx_http_travel_pg_dispatch(ev->data);
}


void
ngx_http_travel_pg_dispatch(ngx_http_travel_pg_server_t *server)
{
    if (server->closing) {
        return;
    }

    ngx_http_travel_pg_tell_shed(server);
    ngx_http_travel_pg_cancel_next(server);

    if (ngx_http_travel_pg_waits(server->waiting)) {
        ngx_http_travel_pg_dispatch_lines(server, 0);
    }

    if (ngx_http_travel_pg_waits(server->waiting_slow)) {
        ngx_http_travel_pg_dispatch_lines(server, 1);
    }
}


static void
ngx_http_travel_pg_dispatch_lines(ngx_http_travel_pg_server_t *server,
    ngx_uint_t slow)
{
    ngx_queue_t                *lines;
    ngx_http_travel_session_t  *s;
    ngx_http_travel_pg_call_t  *call;

    lines = slow ? server->waiting_slow : server->waiting;

    for ( ;; ) {
        call = ngx_http_travel_pg_first(lines);
        if (call == NULL) {
            return;
        }

        /* nobody waits for the answer of what is sent too late */

        if ((ngx_msec_int_t) (call->deadline - ngx_current_msec) <= 0) {
            ngx_http_travel_pg_overdue(call);
            continue;
        }

        s = ngx_http_travel_pg_pick(server, slow);
        if (s == NULL) {
            break;
        }

        ngx_http_travel_pg_unwait(call);

        if (ngx_http_travel_session_send(s, call, slow) != NGX_OK) {
            ngx_http_travel_pg_wait(call, 1);
        }
    }

    if (slow) {
        ngx_http_travel_pg_open_slow(server);
    }

    if (!ngx_http_travel_pg_hopeless(server, slow)) {
        return;
    }

    while ((call = ngx_http_travel_pg_first(lines)) != NULL) {
        ngx_http_travel_pg_unwait(call);
        ngx_http_travel_pg_lost(call, "the server is down");
        ngx_http_travel_pg_call_end(call);
    }
}


/* --- ends ----------------------------------------------------------------- */

void
ngx_http_travel_pg_lost(ngx_http_travel_pg_call_t *call, const char *why)
{
    ngx_http_travel_pg_untime(call);

    if (call->done) {
        return;
    }

    call->done = 1;
    call->op.lost = why;

    call->busy = 1;
    call->op.handler(&call->op, NULL);
    call->busy = 0;
}


void
ngx_http_travel_pg_unsent(ngx_http_travel_pg_call_t *call)
{
    call->sent = 0;
    call->session = NULL;

    ngx_http_travel_pg_call_end(call);
}


void
ngx_http_travel_pg_deliver(ngx_http_travel_pg_call_t *call, PGresult *res)
{
    ngx_http_travel_pg_untime(call);

    if (call->done) {
        PQclear(res);
        return;
    }

    call->done = 1;

    ngx_http_travel_pg_current = res;
    ngx_http_travel_pg_kept = 0;

    call->busy = 1;
    call->op.handler(&call->op, (ngx_http_travel_pg_result_t *) res);
    call->busy = 0;

    if (!ngx_http_travel_pg_kept) {
        PQclear(res);
    }

    ngx_http_travel_pg_current = NULL;
}


/* The request ended first.  What was not sent is forgotten, a fast answer is
 * drained, a slow query is cancelled. */
static void
ngx_http_travel_pg_released(void *data)
{
    ngx_http_travel_session_t  *s;
    ngx_http_travel_pg_call_t  *call = data;

    s = call->session;

    call->cleanup = NULL;
    call->op.request = NULL;

    ngx_http_travel_pg_untime(call);
    ngx_http_travel_pg_unwait(call);

    if (s && !call->done) {
        call->done = 1;
        ngx_http_travel_pg_cancel(s);
    }

    call->done = 1;

    ngx_http_travel_pg_call_end(call);
}


static void
ngx_http_travel_pg_deadline(ngx_event_t *ev)
{
    ngx_queue_t                  *q;
    ngx_http_travel_pg_call_t    *call;
    ngx_http_travel_pg_server_t  *server;

    server = ev->data;

    while (!ngx_queue_empty(&server->due)) {
        q = ngx_queue_head(&server->due);
        call = ngx_queue_data(q, ngx_http_travel_pg_call_t, due);

        if ((ngx_msec_int_t) (call->deadline - ngx_current_msec) > 0) {
            if (!ev->timer_set) {
                ngx_add_timer(ev, call->deadline - ngx_current_msec);
            }
            break;
        }

        ngx_http_travel_pg_overdue(call);
    }
}


static void
ngx_http_travel_pg_overdue(ngx_http_travel_pg_call_t *call)
{
    ngx_msec_t                    quiet;
    ngx_http_travel_session_t    *s;
    ngx_http_travel_pg_server_t  *server;

    s = call->session;
    server = call->op.server;

    ngx_http_travel_count(server->conf->counters.timeouts, 1);

    ngx_http_travel_pg_unwait(call);
    ngx_http_travel_pg_lost(call, "deadline");
    ngx_http_travel_pg_call_end(call);

    if (s == NULL || s->pg == NULL) {
        return;
    }

    if (s->kind == NGX_HTTP_TRAVEL_SESSION_CONTROL) {
        ngx_http_travel_session_drop(s, "no answer");
        ngx_http_travel_pg_silent(server);
        return;
    }

    ngx_http_travel_pg_cancel(s);

    /* the server should have ended it by its own statement_timeout */

    quiet = ngx_min(ngx_current_msec - s->heard, ngx_current_msec - s->asked);

    if (s->kind == NGX_HTTP_TRAVEL_SESSION_FAST
        && quiet > server->conf->timeout + 1000)
    {
        ngx_http_travel_session_drop(s, "no answer");
    }
}


/*
 * A probe had no answer.  When no other session has heard anything of late, the
 * server is a black hole: what waits for it is lost now, while its callers
 * have time left to ask another one.  Slow queries have time enough.
 */
static void
ngx_http_travel_pg_silent(ngx_http_travel_pg_server_t *server)
{
    ngx_uint_t                  i, n;
    ngx_http_travel_session_t  *s;

    n = server->nfast + server->nslow;

    for (i = 0; i < n; i++) {
        s = &server->sessions[i];

        if (s->pg && ngx_current_msec - s->heard < NGX_HTTP_TRAVEL_PG_SILENCE) {
            return;
        }
    }

    for (i = 0; i < server->nfast; i++) {
        s = &server->sessions[i];

        if (s->pg && s->in_flight) {
            ngx_http_travel_session_drop(s, "no answer");
        }
    }
}


/* --- cancelling ----------------------------------------------------------- */

static void
ngx_http_travel_pg_cancel(ngx_http_travel_session_t *s)
{
    if (s->kind != NGX_HTTP_TRAVEL_SESSION_SLOW || s->in_flight == 0
        || s->cancel != NGX_HTTP_TRAVEL_CANCEL_NONE)
    {
        return;
    }

    s->cancel = NGX_HTTP_TRAVEL_CANCEL_WANTED;
    ngx_queue_insert_tail(&s->server->cancels, &s->cancels);

    ngx_http_travel_pg_cancel_next(s->server);
}


static void
ngx_http_travel_pg_cancel_next(ngx_http_travel_pg_server_t *server)
{
    const char                 *values[1];
    ngx_queue_t                *q;
    ngx_http_travel_session_t  *s, *control;
    ngx_http_travel_pg_call_t  *call;

    control = &server->control;

    if (ngx_queue_empty(&server->cancels) || control->in_flight
        || control->state != NGX_HTTP_TRAVEL_SESSION_READY || control->broken)
    {
        return;
    }

    q = ngx_queue_head(&server->cancels);
    s = ngx_queue_data(q, ngx_http_travel_session_t, cancels);

    values[0] = s->pid;

    call = ngx_http_travel_pg_call_new(server, NULL,
                                       &ngx_http_travel_pg_cancel_sql, values,
                                       ngx_http_travel_pg_cancelled, s);
    if (call == NULL) {
        return;
    }

    if (ngx_http_travel_session_send(control, call, 1) != NGX_OK) {
        ngx_http_travel_pg_call_end(call);
        return;
    }

    ngx_http_travel_pg_time(call, ngx_http_travel_pg_cancel_sql.timeout);

    ngx_queue_remove(q);
    s->cancel = NGX_HTTP_TRAVEL_CANCEL_SENT;

    ngx_http_travel_count(server->conf->counters.cancels, 1);
}


static void
ngx_http_travel_pg_cancelled(ngx_http_travel_pg_op_t *op,
    ngx_http_travel_pg_result_t *result)
{
    ngx_http_travel_session_t  *s;

    s = op->data;

    if (s->cancel != NGX_HTTP_TRAVEL_CANCEL_SENT) {
        return;
    }

    s->cancel = NGX_HTTP_TRAVEL_CANCEL_NONE;

    if (result == NULL || ngx_http_travel_pg_sqlstate(result)) {
        /* the signal may still be on its way to the next query */
        ngx_http_travel_session_drop(s, "cancelling got no answer");
    }
}


/* --- results -------------------------------------------------------------- */

const char *
ngx_http_travel_pg_sqlstate(const ngx_http_travel_pg_result_t *res)
{
    const char      *state;
    const PGresult  *pr;

    pr = (const PGresult *) res;

    switch (PQresultStatus(pr)) {

    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        return NULL;

    default:
        state = PQresultErrorField(pr, PG_DIAG_SQLSTATE);
        return state ? state : "XX000";
    }
}


const char *
ngx_http_travel_pg_message(const ngx_http_travel_pg_result_t *res)
{
    const char  *text;

    text = PQresultErrorField((const PGresult *) res,
                              PG_DIAG_MESSAGE_PRIMARY);

    return text ? text : "";
}


ngx_uint_t
ngx_http_travel_pg_rows(const ngx_http_travel_pg_result_t *res)
{
    return (ngx_uint_t) PQntuples((const PGresult *) res);
}


ngx_uint_t
ngx_http_travel_pg_columns(const ngx_http_travel_pg_result_t *res)
{
    return (ngx_uint_t) PQnfields((const PGresult *) res);
}


ngx_str_t
ngx_http_travel_pg_value(const ngx_http_travel_pg_result_t *res,
    ngx_uint_t row, ngx_uint_t column)
{
    ngx_str_t        s;
    const PGresult  *pr;

    pr = (const PGresult *) res;

    if (PQgetisnull(pr, (int) row, (int) column)) {
        ngx_str_null(&s);
        return s;
    }

    s.data = (u_char *) PQgetvalue(pr, (int) row, (int) column);
    s.len = (size_t) PQgetlength(pr, (int) row, (int) column);

    return s;
}


static void
ngx_http_travel_pg_clear(void *data)
{
    PQclear(data);
}


ngx_int_t
ngx_http_travel_pg_result_keep(ngx_http_travel_pg_result_t *res,
    ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    if ((PGresult *) res != ngx_http_travel_pg_current
        || ngx_http_travel_pg_kept)
    {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_travel_pg_clear;
    cln->data = res;

    ngx_http_travel_pg_kept = 1;

    return NGX_OK;
}


/* --- servers -------------------------------------------------------------- */

ngx_uint_t
ngx_http_travel_pg_server_count(void)
{
    return ngx_http_travel_pg_nservers;
}


ngx_uint_t
ngx_http_travel_pg_declared(ngx_conf_t *cf)
{
    ngx_http_travel_net_conf_t  *conf;

    conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_net_module);

    return conf->servers.nelts != 0;
}


ngx_http_travel_pg_server_t *
ngx_http_travel_pg_server(ngx_uint_t i)
{
    return i < ngx_http_travel_pg_nservers ? &ngx_http_travel_pg_servers[i]
                                           : NULL;
}


const ngx_http_travel_pg_server_info_t *
ngx_http_travel_pg_server_info(const ngx_http_travel_pg_server_t *server)
{
    return &server->conf->info;
}


ngx_uint_t
ngx_http_travel_pg_server_ready(const ngx_http_travel_pg_server_t *server)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < server->nfast; i++) {
        n += (server->sessions[i].state == NGX_HTTP_TRAVEL_SESSION_READY);
    }

    return n;
}


ngx_uint_t
ngx_http_travel_pg_server_load(const ngx_http_travel_pg_server_t *server)
{
    ngx_uint_t  i, n;

    n = server->nwaiting;

    for (i = 0; i < server->nfast + server->nslow; i++) {
        n += server->sessions[i].in_flight;
    }

    return n;
}
