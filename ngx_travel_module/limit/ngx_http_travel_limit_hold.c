/*
 * Requests that stand still: for an answer of Redis, or, with delay=, for a
 * place to become free instead of being refused.
 *
 * A held request counts nowhere in its phase; its timer is set for the moment
 * at which the limiter said there would be room, and then it asks anew, until
 * its time is over.  How many are held is bounded per nginx worker.  A client
 * that leaves is noticed, and its request's cleanup stops the timer.
 */

#include "ngx_http_travel_policy.h"


static void ngx_http_travel_limit_held(ngx_event_t *ev);
static void ngx_http_travel_limit_release(void *data);


/* Of this nginx worker. */
static ngx_uint_t  ngx_http_travel_limit_holding;


/* The request goes on with a handler of ours; its client may leave. */
ngx_int_t
ngx_http_travel_limit_suspend(ngx_http_request_t *r)
{
    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


void
ngx_http_travel_limit_resume(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


/* May v's request, which is refused, be held until it is not? */
ngx_uint_t
ngx_http_travel_limit_may_hold(ngx_http_travel_limit_record_t *record,
    const ngx_http_travel_verdict_t *v)
{
    ngx_msec_t  left;

    if (v->limit->delay == 0 || v->retry == TRAVEL_WINDOW_NEVER
        || ngx_http_travel_limit_holding >= v->limit->hold)
    {
        return 0;
    }

    if (record->hold_until == 0) {
        record->hold_until = ngx_current_msec + v->limit->delay;
    }

    left = record->hold_until - ngx_current_msec;

    return (ngx_msec_int_t) left > 0 && v->retry <= left;
}


ngx_int_t
ngx_http_travel_limit_hold(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record)
{
    ngx_http_cleanup_t  *cln;

    if (record->timer.handler == NULL) {
        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        cln->handler = ngx_http_travel_limit_release;
        cln->data = record;

        record->timer.handler = ngx_http_travel_limit_held;
        record->timer.data = r;
        record->timer.log = r->connection->log;
    }

    /* the clock of timers may lag behind the limiter's by a millisecond */
    ngx_add_timer(&record->timer, record->hold + 1);

    record->hold = 0;
    ngx_http_travel_limit_holding++;

    return ngx_http_travel_limit_suspend(r);
}


static void
ngx_http_travel_limit_held(ngx_event_t *ev)
{
    ngx_http_travel_limit_holding--;

    ngx_http_travel_limit_resume(ev->data);
}


static void
ngx_http_travel_limit_release(void *data)
{
    ngx_http_travel_limit_record_t  *record = data;

    if (record->timer.timer_set) {
        ngx_del_timer(&record->timer);
        ngx_http_travel_limit_holding--;
    }
}
