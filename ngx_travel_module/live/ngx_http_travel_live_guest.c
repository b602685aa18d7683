/*
 * Guests of this nginx worker: sockets, event streams, polls.
 *
 * They are in one list, and one timer looks whether something was revoked
 * since the last look, or the worker ends; it runs while there are guests.  A
 * guest belongs to the transport that holds it and is told to leave, never
 * removed, from here; those who are told may not go within the call.
 */

#include "ngx_http_travel_live_room.h"
#include "../../common/live_message.h"

#define NGX_HTTP_TRAVEL_GUESTS_LOOK  100      /* ms */


static void ngx_http_travel_guests_look(ngx_event_t *ev);


static ngx_queue_t  ngx_http_travel_guests;
static ngx_event_t  ngx_http_travel_guests_timer;
static ngx_uint_t   ngx_http_travel_guests_revocations;


void
ngx_http_travel_guests_start(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_travel_guests);

    ngx_http_travel_guests_timer.handler = ngx_http_travel_guests_look;
    ngx_http_travel_guests_timer.data = &ngx_http_travel_guests;
    ngx_http_travel_guests_timer.log = cycle->log;
    ngx_http_travel_guests_timer.cancelable = 1;
}


void
ngx_http_travel_guests_stop(void)
{
    if (ngx_http_travel_guests_timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_guests_timer);
    }
}


static ngx_inline ngx_uint_t
ngx_http_travel_guest_revoked(const ngx_http_travel_guest_t *guest)
{
    return guest->lasting && ngx_http_travel_lasting_revoked(guest->lasting);
}


static void
ngx_http_travel_guests_look(ngx_event_t *ev)
{
    ngx_uint_t                n;
    ngx_queue_t              *q;
    ngx_http_travel_guest_t  *guest;

    n = ngx_http_travel_revocations();

    if (n != ngx_http_travel_guests_revocations || ngx_exiting) {
        ngx_http_travel_guests_revocations = n;

        for (q = ngx_queue_head(&ngx_http_travel_guests);
             q != ngx_queue_sentinel(&ngx_http_travel_guests);
             q = ngx_queue_next(q))
        {
            guest = ngx_queue_data(q, ngx_http_travel_guest_t, queue);

            if (ngx_http_travel_guest_revoked(guest)) {
                guest->leave(guest, TRAVEL_LIVE_REVOKED,
                             "the credential has been revoked",
                             NGX_HTTP_TRAVEL_LIVE_REVOKED_TOKEN);

            } else if (ngx_exiting) {
                guest->leave(guest, TRAVEL_WS_GOING_AWAY,
                             "the server restarts",
                             NGX_HTTP_TRAVEL_LIVE_RELEASED);
            }
        }
    }

    if (!ngx_queue_empty(&ngx_http_travel_guests)) {
        ngx_add_timer(ev, NGX_HTTP_TRAVEL_GUESTS_LOOK);
    }
}


ngx_int_t
ngx_http_travel_guest_invite(ngx_http_travel_guest_t *guest,
    ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx == NULL || ngx_http_travel_lasting(r, &guest->lasting) != NGX_OK) {
        return NGX_ERROR;
    }

    guest->expires = ctx->authenticated ? (time_t) ctx->expires : 0;

    return NGX_OK;
}


/* What was revoked while the request was served counts too: the next look is
 * at all. */
void
ngx_http_travel_guest_enter(ngx_http_travel_guest_t *guest)
{
    ngx_queue_insert_tail(&ngx_http_travel_guests, &guest->queue);
    guest->entered = 1;

    if (ngx_http_travel_guest_revoked(guest)) {
        ngx_http_travel_guests_revocations = ngx_http_travel_revocations() - 1;
    }

    if (!ngx_http_travel_guests_timer.timer_set) {
        ngx_add_timer(&ngx_http_travel_guests_timer,
                      NGX_HTTP_TRAVEL_GUESTS_LOOK);
    }
}


void
ngx_http_travel_guest_gone(ngx_http_travel_guest_t *guest)
{
    if (guest->entered) {
        ngx_queue_remove(&guest->queue);
        guest->entered = 0;
    }

    ngx_http_travel_lasting_free(guest->lasting);
    guest->lasting = NULL;
}


void
ngx_http_travel_guest_renew(ngx_http_travel_guest_t *guest,
    ngx_http_travel_guest_t *by)
{
    ngx_http_travel_lasting_free(guest->lasting);

    guest->lasting = by->lasting;
    guest->expires = by->expires;
    by->lasting = NULL;
}


ngx_msec_int_t
ngx_http_travel_guest_left(const ngx_http_travel_guest_t *guest)
{
    time_t  left;

    if (guest->expires == 0) {
        return -1;
    }

    left = guest->expires - ngx_time();

    /* within a day; who asks asks again */
    return left <= 0 ? 0 : ngx_min(left, 86400) * 1000;
}
