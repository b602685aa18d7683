/*
 * Who is over its budget of signature checks is served after everybody else.
 *
 * To refuse costs little, but nginx takes events in the order in which they
 * come: beside sixty connections that ask as fast as they are refused, a good
 * client waits for sixty refusals.  So a connection whose request was refused
 * for its address's budget is noted, and when it has something to read again it
 * gets in line here; of those in line a few are served in each turn of the
 * event loop, after all that turn's other events.  Nothing is slowed down while
 * there is time for all.
 *
 * A seat lives in its connection's pool and ends with it.  It is put in the
 * place of the connection's read handler once nginx has set that for the next
 * request, which is after the refused one has ended: hence the event.  Timers
 * and the end of the process reach the true handler at once.  Only a
 * connection of the client itself gets a seat: one of a proxy, whose requests
 * are other clients' too, does not.
 */

#include "ngx_http_travel_bearer.h"


#define NGX_HTTP_TRAVEL_LANE_TURN  4         /* served in a turn */


typedef struct {
    ngx_queue_t           queue;             /* in line */
    ngx_event_t           note;              /* posted: take the seat */
    ngx_connection_t     *connection;
    ngx_event_handler_pt  handler;           /* of the connection's reading */
    socklen_t             socklen;
    ngx_sockaddr_t        client;            /* whose budget it was */
    unsigned              waiting:1;         /* in line */
    unsigned              streams:1;         /* asks many things at once */
} ngx_http_travel_seat_t;


static ngx_http_travel_seat_t *ngx_http_travel_lane_seat(ngx_connection_t *c);
static void ngx_http_travel_lane_noted(ngx_event_t *ev);
static void ngx_http_travel_lane_read(ngx_event_t *rev);
static void ngx_http_travel_lane_turn(ngx_event_t *ev);
static void ngx_http_travel_lane_serve(ngx_http_travel_seat_t *seat);
static void ngx_http_travel_lane_gone(void *data);


/* of this nginx worker */

static ngx_queue_t  ngx_http_travel_lane;
static ngx_event_t  ngx_http_travel_lane_event;
static ngx_uint_t   ngx_http_travel_lane_counter;


void
ngx_http_travel_auth_last(ngx_http_request_t *r,
    const struct sockaddr *client, ngx_uint_t counter)
{
    ngx_connection_t        *c;
    ngx_http_travel_seat_t  *seat;

    c = r->connection;

#if (NGX_HTTP_V2)
    if (r->stream) {
        c = r->stream->connection->connection;
    }
#endif

    seat = ngx_http_travel_lane_seat(c);
    if (seat == NULL) {
        return;
    }

    ngx_http_travel_lane_counter = counter;

    seat->socklen = ngx_min(r->connection->socklen,
                            (socklen_t) sizeof(ngx_sockaddr_t));
    ngx_memcpy(&seat->client, client, seat->socklen);
    seat->streams = (c != r->connection);

    if (!seat->note.posted) {
        ngx_post_event(&seat->note, &ngx_posted_events);
    }
}


static ngx_http_travel_seat_t *
ngx_http_travel_lane_seat(ngx_connection_t *c)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_travel_seat_t  *seat;

    for (cln = c->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_travel_lane_gone) {
            return cln->data;
        }
    }

    cln = ngx_pool_cleanup_add(c->pool, sizeof(ngx_http_travel_seat_t));
    if (cln == NULL) {
        return NULL;
    }

    seat = cln->data;
    ngx_memzero(seat, sizeof(ngx_http_travel_seat_t));
    cln->handler = ngx_http_travel_lane_gone;

    seat->connection = c;
    seat->note.handler = ngx_http_travel_lane_noted;
    seat->note.data = seat;
    seat->note.log = ngx_cycle->log;

    return seat;
}


/* The address is again the peer's, if realip had put another in its place. */
static void
ngx_http_travel_lane_noted(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_travel_seat_t  *seat;

    seat = ev->data;
    c = seat->connection;

    if (c->read->handler == ngx_http_travel_lane_read
        || ngx_cmp_sockaddr(c->sockaddr, c->socklen,
                            &seat->client.sockaddr, seat->socklen, 0)
           != NGX_OK)
    {
        return;
    }

    seat->handler = c->read->handler;
    c->read->handler = ngx_http_travel_lane_read;
}


static void
ngx_http_travel_lane_read(ngx_event_t *rev)
{
    ngx_connection_t        *c;
    ngx_http_travel_seat_t  *seat;

    c = rev->data;
    seat = ngx_http_travel_lane_seat(c);

    if (rev->timedout || c->close || c->error) {
        ngx_http_travel_lane_serve(seat);
        return;
    }

    if (seat->waiting) {
        return;
    }

    if (ngx_http_travel_lane.next == NULL) {
        ngx_queue_init(&ngx_http_travel_lane);
        ngx_http_travel_lane_event.handler = ngx_http_travel_lane_turn;
        ngx_http_travel_lane_event.log = ngx_cycle->log;
    }

    ngx_queue_insert_tail(&ngx_http_travel_lane, &seat->queue);
    seat->waiting = 1;

    ngx_http_travel_count(ngx_http_travel_lane_counter, 1);

    if (!ngx_http_travel_lane_event.posted) {
        ngx_post_event(&ngx_http_travel_lane_event, &ngx_posted_events);
    }
}


/*
 * Those who came before the turn's events are all taken go into the next.  So
 * does who has been served and is ready again at once, as the next of pipelined
 * requests is: while this event waits for the next turn nobody posts it for
 * this one.  An HTTP/2 connection takes a turn for itself, for it is read in
 * one piece, with up to http2_max_concurrent_streams requests in it.
 */
static void
ngx_http_travel_lane_turn(ngx_event_t *ev)
{
    ngx_uint_t               n;
    ngx_queue_t             *q;
    ngx_http_travel_seat_t  *seat;

    for (n = 0; n < NGX_HTTP_TRAVEL_LANE_TURN
                && !ngx_queue_empty(&ngx_http_travel_lane); /* void */)
    {
        q = ngx_queue_head(&ngx_http_travel_lane);
        seat = ngx_queue_data(q, ngx_http_travel_seat_t, queue);

        n += seat->streams ? NGX_HTTP_TRAVEL_LANE_TURN : 1;
        ngx_http_travel_lane_serve(seat);
    }

    if (n != 0) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


/* The seat is free again; the connection may be gone when this returns. */
static void
ngx_http_travel_lane_serve(ngx_http_travel_seat_t *seat)
{
    ngx_event_t  *rev;

    rev = seat->connection->read;

    if (seat->waiting) {
        ngx_queue_remove(&seat->queue);
        seat->waiting = 0;
    }

    if (rev->handler == ngx_http_travel_lane_read) {
        rev->handler = seat->handler;
    }

    rev->handler(rev);
}


static void
ngx_http_travel_lane_gone(void *data)
{
    ngx_http_travel_seat_t  *seat = data;

    if (seat->waiting) {
        ngx_queue_remove(&seat->queue);
        seat->waiting = 0;
    }

    if (seat->note.posted) {
        ngx_delete_posted_event(&seat->note);
    }
}
