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
static ngx_int_t ngx_http_travel_guest_place(ngx_http_travel_guest_t *guest,
    ngx_connection_t *c, const ngx_http_travel_live_loc_conf_t *conf);


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
    ngx_http_request_t *r, const ngx_http_travel_live_loc_conf_t *conf)
{
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx == NULL || ngx_http_travel_lasting(r, &guest->lasting) != NGX_OK) {
        return NGX_ERROR;
    }

    guest->expires = ctx->authenticated ? (time_t) ctx->expires : 0;

    if (ctx->authenticated && ctx->user.len == TRAVEL_UUID_TEXT_LEN) {
        guest->known = 1;
        ngx_memcpy(guest->user, ctx->user.data, TRAVEL_UUID_TEXT_LEN);
    }

    if (conf == NULL || conf->seats == NULL) {
        return NGX_OK;
    }

    guest->seats = conf->seats;
    guest->per_user = conf->per_user;

    if ((guest->known
         && ngx_http_travel_seat_take(guest->seats, 'u', guest->user,
                                      TRAVEL_UUID_TEXT_LEN, guest->per_user,
                                      &guest->seat)
            != NGX_OK)
        || ngx_http_travel_guest_place(guest, r->connection, conf) != NGX_OK)
    {
        ngx_http_travel_guest_gone(guest);
        return NGX_BUSY;
    }

    return NGX_OK;
}


/* An address of IPv6 counts by its network: a host has all of it. */
static ngx_int_t
ngx_http_travel_guest_place(ngx_http_travel_guest_t *guest,
    ngx_connection_t *c, const ngx_http_travel_live_loc_conf_t *conf)
{
    size_t        len;
    const void   *address;

    switch (c->sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        address = &((struct sockaddr_in6 *) c->sockaddr)->sin6_addr;
        len = IN6_IS_ADDR_V4MAPPED((struct in6_addr *) address) ? 16 : 8;
        break;
#endif

    case AF_INET:
        address = &((struct sockaddr_in *) c->sockaddr)->sin_addr;
        len = 4;
        break;

    default:
        return NGX_OK;
    }

    return ngx_http_travel_seat_take(conf->seats, 'a', address, len,
                                     conf->per_address, &guest->place);
}


ngx_int_t
ngx_http_travel_guest_refused(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc != NGX_BUSY) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_REFUSED);

    return ngx_http_travel_error(r, TRAVEL_E_RATE_LIMIT_EXCEEDED,
                                 "Too many sockets or streams are open for "
                                 "this user or address.");
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

    if (guest->seats != NULL) {
        ngx_http_travel_seat_leave(guest->seats, &guest->seat);
        ngx_http_travel_seat_leave(guest->seats, &guest->place);
    }

    ngx_http_travel_lasting_free(guest->lasting);
    guest->lasting = NULL;
}


ngx_int_t
ngx_http_travel_guest_renew(ngx_http_travel_guest_t *guest,
    ngx_http_travel_guest_t *by)
{
    if (!guest->known && by->known && guest->seats != NULL
        && ngx_http_travel_seat_take(guest->seats, 'u', by->user,
                                     TRAVEL_UUID_TEXT_LEN, guest->per_user,
                                     &guest->seat)
           != NGX_OK)
    {
        return NGX_BUSY;
    }

    ngx_http_travel_lasting_free(guest->lasting);

    guest->lasting = by->lasting;
    guest->expires = by->expires;
    guest->known = by->known;
    ngx_memcpy(guest->user, by->user, TRAVEL_UUID_TEXT_LEN);
    by->lasting = NULL;

    return NGX_OK;
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
