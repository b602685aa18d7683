/*
 * What this nginx worker knows of the workers' breakers: travel:breakers, read
 * once a second by a timer, whole.
 *
 * A read that fails leaves what was; after some seconds that is too old, and
 * nothing is known: then nobody is refused.
 */

#include "ngx_http_travel_breaker_room.h"
#include "../net/ngx_http_travel_redis.h"


#define NGX_HTTP_TRAVEL_BREAKERS_TICK  1000
#define NGX_HTTP_TRAVEL_BREAKERS_OLD   10000


static void ngx_http_travel_breakers_tick(ngx_event_t *ev);
static void ngx_http_travel_breakers_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_http_travel_breaker_t *ngx_http_travel_breaker_row(
    travel_str_t name);


/* of this nginx worker */

static ngx_http_travel_breaker_t
    ngx_http_travel_breaker_rows[NGX_HTTP_TRAVEL_BREAKERS_MAX];
static ngx_uint_t        ngx_http_travel_nbreakers;
static ngx_msec_t        ngx_http_travel_breakers_at;
static ngx_event_t       ngx_http_travel_breakers_timer;
static ngx_connection_t  ngx_http_travel_breakers_ident;


static uint64_t
ngx_http_travel_breakers_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


void
ngx_http_travel_breakers_start(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    ev = &ngx_http_travel_breakers_timer;
    ngx_http_travel_breakers_ident.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_travel_breakers_tick;
    ev->data = &ngx_http_travel_breakers_ident;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, 1);
}


static void
ngx_http_travel_breakers_tick(ngx_event_t *ev)
{
    ngx_http_travel_redis_op_t  *op;

    static const char    *argv[] = { "HGETALL", TRAVEL_KEY_BREAKERS };
    static const size_t   len[] = { 7, sizeof(TRAVEL_KEY_BREAKERS) - 1 };

    if (ngx_exiting) {
        return;
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, NULL, 0,
                                  ngx_http_travel_breakers_reply, NULL);
    if (op != NULL) {
        (void) ngx_http_travel_redis_command(op, 2, argv, len);
    }

    ngx_add_timer(ev, NGX_HTTP_TRAVEL_BREAKERS_TICK);
}


static void
ngx_http_travel_breakers_reply(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    uint64_t                    now;
    ngx_str_t                   field, value;
    travel_breaker_entry_t      entry;
    ngx_http_travel_breaker_t  *row;

    (void) op;

    if (reply == NULL || ngx_http_travel_reply_type(reply)
                         != NGX_HTTP_TRAVEL_REPLY_ARRAY)
    {
        return;
    }

    now = ngx_http_travel_breakers_now();
    ngx_http_travel_nbreakers = 0;
    ngx_http_travel_breakers_at = ngx_current_msec;

    for (i = 0; i + 1 < ngx_http_travel_reply_count(reply); i += 2) {
        field = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, i));
        value = ngx_http_travel_reply_str(
                                      ngx_http_travel_reply_elt(reply, i + 1));

        if (travel_breaker_parse(&entry, ngx_http_travel_view(&field),
                                 ngx_http_travel_view(&value)) != TRAVEL_OK)
        {
            continue;
        }

        row = ngx_http_travel_breaker_row(entry.destination);

        if (row != NULL) {
            travel_breaker_add(&row->sum, &entry, now);
        }
    }
}


/* Found, or made; NULL: there is no room for more. */
static ngx_http_travel_breaker_t *
ngx_http_travel_breaker_row(travel_str_t name)
{
    ngx_uint_t                  i;
    ngx_http_travel_breaker_t  *row;

    for (i = 0; i < ngx_http_travel_nbreakers; i++) {
        row = &ngx_http_travel_breaker_rows[i];

        if (row->len == name.len
            && ngx_memcmp(row->name, name.data, name.len) == 0)
        {
            return row;
        }
    }

    if (i == NGX_HTTP_TRAVEL_BREAKERS_MAX) {
        return NULL;
    }

    row = &ngx_http_travel_breaker_rows[ngx_http_travel_nbreakers++];
    ngx_memzero(row, sizeof(ngx_http_travel_breaker_t));
    row->len = name.len;
    ngx_memcpy(row->name, name.data, name.len);

    return row;
}


const ngx_http_travel_breaker_t *
ngx_http_travel_breakers(ngx_uint_t *ret_n)
{
    *ret_n = (ngx_msec_int_t) (ngx_current_msec - ngx_http_travel_breakers_at)
             <= NGX_HTTP_TRAVEL_BREAKERS_OLD ? ngx_http_travel_nbreakers : 0;

    return ngx_http_travel_breaker_rows;
}


travel_breaker_state_e
ngx_http_travel_breaker_state(const ngx_http_travel_breaker_t *breaker,
    uint64_t *ret_wait)
{
    return travel_breaker_sum(&breaker->sum, ngx_http_travel_breakers_now(),
                              ret_wait);
}


ngx_int_t
ngx_http_travel_breaker_ask(const ngx_str_t *destination,
    ngx_uint_t *ret_later)
{
    uint64_t                          wait;
    ngx_uint_t                        i, n;
    const ngx_http_travel_breaker_t  *rows;

    rows = ngx_http_travel_breakers(&n);

    for (i = 0; i < n; i++) {

        if (rows[i].len != destination->len
            || ngx_memcmp(rows[i].name, destination->data, rows[i].len) != 0)
        {
            continue;
        }

        if (ngx_http_travel_breaker_state(&rows[i], &wait)
            == TRAVEL_BREAKER_OPEN)
        {
            *ret_later = (ngx_uint_t) (wait / 1000) + 1;
            return NGX_BUSY;
        }

        break;
    }

    return NGX_OK;
}
