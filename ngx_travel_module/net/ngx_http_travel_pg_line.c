/*
 * Who waits for a place in the pipelines of a PostgreSQL server.
 *
 * A server has a line per class and priority, bounded together (queue=).  The
 * urgent are sent first; when there is no room, the last of the least urgent
 * that wait is shed for a more urgent one: it leaves its line at once and is
 * told by the server's "turn" event, since a room's question never ends anybody
 * else's.
 */

#include "ngx_http_travel_pg_session.h"


const char  ngx_http_travel_pg_shed[] = "shed for more urgent ones";


void
ngx_http_travel_pg_wait(ngx_http_travel_pg_call_t *call, ngx_uint_t first)
{
    ngx_queue_t                  *line;
    ngx_http_travel_pg_server_t  *server;

    server = call->op.server;
    line = call->slow ? &server->waiting_slow[call->priority]
                      : &server->waiting[call->priority];

    if (first) {
        ngx_queue_insert_head(line, &call->place);

    } else {
        ngx_queue_insert_tail(line, &call->place);
    }

    call->waiting = 1;
    server->nwaiting++;
}


void
ngx_http_travel_pg_unwait(ngx_http_travel_pg_call_t *call)
{
    if (call->waiting) {
        ngx_queue_remove(&call->place);
        call->waiting = 0;

        if (!call->shed) {
            call->op.server->nwaiting--;
        }

        call->shed = 0;
    }
}


ngx_uint_t
ngx_http_travel_pg_waits(const ngx_queue_t *lines)
{
    ngx_uint_t  i;

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        if (!ngx_queue_empty(&lines[i])) {
            return 1;
        }
    }

    return 0;
}


ngx_http_travel_pg_call_t *
ngx_http_travel_pg_first(ngx_queue_t *lines)
{
    ngx_uint_t   i;
    ngx_queue_t  *q;

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        if (!ngx_queue_empty(&lines[i])) {
            q = ngx_queue_head(&lines[i]);
            return ngx_queue_data(q, ngx_http_travel_pg_call_t, place);
        }
    }

    return NULL;
}


/* Makes room in line for a call of that priority: 0 when all that wait are as
 * urgent.  Some room is asking, so nobody is told from here. */

ngx_uint_t
ngx_http_travel_pg_shed_for(ngx_http_travel_pg_server_t *server,
    travel_priority_e priority)
{
    ngx_uint_t                  i;
    ngx_queue_t                *line;
    ngx_http_travel_pg_call_t  *call;

    for (i = TRAVEL_PRIORITY_MAX - 1; i > (ngx_uint_t) priority; i--) {

        line = !ngx_queue_empty(&server->waiting[i])
               ? &server->waiting[i] : &server->waiting_slow[i];

        if (ngx_queue_empty(line)) {
            continue;
        }

        call = ngx_queue_data(ngx_queue_last(line), ngx_http_travel_pg_call_t,
                              place);

        ngx_queue_remove(&call->place);
        ngx_queue_insert_tail(&server->shed, &call->place);
        call->shed = 1;
        server->nwaiting--;

        ngx_http_travel_count(server->conf->counters.shed, 1);
        ngx_http_travel_pg_dispatch_soon(server);

        return 1;
    }

    return 0;
}


void
ngx_http_travel_pg_tell_shed(ngx_http_travel_pg_server_t *server)
{
    ngx_queue_t                *q;
    ngx_http_travel_pg_call_t  *call;

    while (!ngx_queue_empty(&server->shed)) {
        q = ngx_queue_head(&server->shed);
        call = ngx_queue_data(q, ngx_http_travel_pg_call_t, place);

        ngx_http_travel_pg_unwait(call);
        ngx_http_travel_pg_lost(call, ngx_http_travel_pg_shed);
        ngx_http_travel_pg_call_end(call);
    }
}
