/* Who fills, of all nodes, and how those wait who do not: for answers of
 * queries (l2.c) and of upstreams (kept_l2.c) alike. */

#include "ngx_http_travel_cache_room.h"
#include "../net/ngx_http_travel_redis.h"

#define NGX_HTTP_TRAVEL_L2_STEP      3          /* ms, first, then doubled */
#define NGX_HTTP_TRAVEL_L2_STEP_MAX  24
#define NGX_HTTP_TRAVEL_L2_WAITERS   256        /* of a kind, per worker */


ngx_int_t
ngx_http_travel_l2_claim(ngx_http_travel_redis_op_t *op, const ngx_str_t *key,
    const ngx_str_t *value, ngx_msec_t lives)
{
    u_char       px[NGX_INT64_LEN];
    size_t       argvlen[7];
    const char  *argv[7];

    argv[0] = "SET";
    argvlen[0] = 3;
    argv[1] = (char *) key->data;
    argvlen[1] = key->len;
    argv[2] = (char *) value->data;
    argvlen[2] = value->len;
    argv[3] = "NX";
    argvlen[3] = 2;
    argv[4] = "GET";
    argvlen[4] = 3;
    argv[5] = "PX";
    argvlen[5] = 2;
    argv[6] = (char *) px;
    argvlen[6] = ngx_sprintf(px, "%M", lives) - px;

    return ngx_http_travel_redis_command(op, 7, argv, argvlen) == NGX_OK
           ? NGX_AGAIN : NGX_DECLINED;
}


void
ngx_http_travel_l2_wait_init(ngx_http_travel_l2_wait_t *w,
    ngx_http_request_t *r, ngx_msec_t longest, ngx_uint_t *waiters,
    ngx_event_handler_pt look)
{
    w->request = r;
    w->until = ngx_current_msec + longest;
    w->step = NGX_HTTP_TRAVEL_L2_STEP;
    w->waiters = waiters;
    w->event.data = r->connection;
    w->event.handler = look;
    w->event.log = r->connection->log;
}


ngx_int_t
ngx_http_travel_l2_wait(ngx_http_travel_l2_wait_t *w)
{
    if ((ngx_msec_int_t) (w->until - ngx_current_msec) <= 0
        || (!w->waiting && *w->waiters >= NGX_HTTP_TRAVEL_L2_WAITERS))
    {
        ngx_http_travel_cache_count(w->request, NGX_HTTP_TRAVEL_L2_GAVE_UP);
        return NGX_DECLINED;
    }

    if (!w->waiting) {
        w->waiting = 1;
        (*w->waiters)++;
        ngx_http_travel_cache_count(w->request, NGX_HTTP_TRAVEL_L2_WAITED);
    }

    ngx_add_timer(&w->event, w->step);
    w->step = ngx_min(w->step * 2, NGX_HTTP_TRAVEL_L2_STEP_MAX);

    return NGX_AGAIN;
}


void
ngx_http_travel_l2_wait_end(ngx_http_travel_l2_wait_t *w)
{
    if (w->event.timer_set) {
        ngx_del_timer(&w->event);
    }

    if (w->waiting) {
        w->waiting = 0;
        (*w->waiters)--;
    }
}
