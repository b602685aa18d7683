/* What an operator's tools ask: alive, ready, and the figures. */

#include "ngx_http_travel_observe_room.h"
#include "../net/ngx_http_travel_redis.h"
#include "../auth/ngx_http_travel_auth.h"
#include "../breaker/ngx_http_travel_breaker.h"
#include "../cache/ngx_http_travel_cache.h"
#include "../limit/ngx_http_travel_limit.h"
#include "../query/ngx_http_travel_query.h"
#include "../../common/json_writer.h"


#define NGX_HTTP_TRAVEL_STATES_MAX  32
#define NGX_HTTP_TRAVEL_STATE_ROOM  8192


static ngx_uint_t ngx_http_travel_ready_json(travel_json_writer_t *w);
static size_t ngx_http_travel_metrics_size(
    ngx_http_travel_observe_main_conf_t *omcf, ngx_array_t *zones);
static u_char *ngx_http_travel_metrics_nginx(u_char *p, u_char *last);
static u_char *ngx_http_travel_metrics_cache(u_char *p, u_char *last);
static u_char *ngx_http_travel_metrics_zones(ngx_array_t *zones, u_char *p,
    u_char *last);
static u_char *ngx_http_travel_metrics_servers(u_char *p, u_char *last);
static u_char *ngx_http_travel_metrics_node(u_char *p, u_char *last);


/* Alive: this process takes requests.  Nothing else is asked, so that a broken
 * dependency does not make an orchestrator restart a healthy proxy. */
ngx_int_t
ngx_http_travel_health_handler(ngx_http_request_t *r)
{
    ngx_str_t  body = ngx_string("{\"status\":\"ok\"}");

    return ngx_http_travel_send(r, NGX_HTTP_OK, NULL, &body);
}


/* Ready: writes can be accepted and reads answered.  Whether invalidations are
 * heard is told and does not decide: reads go on without the cache, and a
 * worker pool that is down must not take every edge out of service. */
ngx_int_t
ngx_http_travel_ready_handler(ngx_http_request_t *r)
{
    ngx_str_t              body;
    ngx_uint_t             ready;
    travel_json_writer_t   w;

    body.data = ngx_pnalloc(r->pool, NGX_HTTP_TRAVEL_STATE_ROOM);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_json_writer_init(&w, (char *) body.data,
                            NGX_HTTP_TRAVEL_STATE_ROOM);
    ready = ngx_http_travel_ready_json(&w);
    body.len = travel_json_writer_finish(&w);

    return ngx_http_travel_send(r, ready ? NGX_HTTP_OK
                                         : NGX_HTTP_SERVICE_UNAVAILABLE,
                                NULL, &body);
}


static ngx_uint_t
ngx_http_travel_ready_json(travel_json_writer_t *w)
{
    ngx_uint_t                      i, n, queue, reads;
    travel_str_t                    name;
    ngx_http_travel_node_t          node;
    ngx_http_travel_route_state_t   states[NGX_HTTP_TRAVEL_STATES_MAX];

    n = ngx_http_travel_route_states(states, NGX_HTTP_TRAVEL_STATES_MAX);
    reads = (n == 0);

    for (i = 0; i < n; i++) {
        states[i].fit |= states[i].primary;
        reads |= states[i].up && states[i].fit;
    }

    queue = !ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_QUEUE)
            || ngx_http_travel_redis_up(NGX_HTTP_TRAVEL_REDIS_QUEUE);

    ngx_http_travel_node(&node);

    travel_json_object(w);
    travel_json_member_cstring(w, "status",
                               queue && reads ? "ready" : "unavailable");
    travel_json_member_cstring(w, "queue", queue ? "up" : "down");
    travel_json_member_cstring(w, "invalidations",
                               node.hearing ? "heard" : "silent");
    travel_json_key(w, TRAVEL_STR("postgres"));
    travel_json_array(w);

    for (i = 0; i < n; i++) {
        name = ngx_http_travel_view(&states[i].name);

        travel_json_object(w);
        travel_json_member_string(w, "name", name);
        travel_json_member_cstring(w, "role", states[i].primary ? "primary"
                                        : states[i].analytics ? "analytics"
                                                              : "replica");
        travel_json_member_cstring(w, "state", !states[i].up ? "down"
                                        : states[i].fit || states[i].analytics
                                          ? "fit" : "behind");
        travel_json_member_int(w, "lag_ms", states[i].lag);
        travel_json_object_end(w);
    }

    travel_json_array_end(w);
    travel_json_object_end(w);

    return queue && reads;
}


ngx_int_t
ngx_http_travel_metrics_handler(ngx_http_request_t *r)
{
    u_char                               *p, *last;
    ngx_str_t                             body;
    ngx_http_travel_main_conf_t          *tmcf;
    ngx_http_travel_observe_main_conf_t  *omcf;

    static ngx_str_t  type =
        ngx_string("text/plain; version=0.0.4; charset=utf-8");

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_travel_observe_module);

    body.len = ngx_http_travel_metrics_size(omcf, &tmcf->zones);
    body.data = ngx_palloc(r->pool, body.len);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = body.data + body.len;

    p = ngx_http_travel_counters_render(body.data, last);
    p = ngx_http_travel_metrics_nginx(p, last);
    p = ngx_http_travel_metrics_zones(&tmcf->zones, p, last);
    p = ngx_http_travel_metrics_cache(p, last);
    p = ngx_http_travel_metrics_servers(p, last);
    p = ngx_http_travel_metrics_node(p, last);
    p = ngx_http_travel_auth_metrics(p, last);
    p = ngx_http_travel_limit_metrics(p, last);
    p = ngx_http_travel_breaker_metrics(p, last);

    if (omcf->durations != NULL) {
        p = ngx_http_travel_durations_render(omcf->durations, p, last);
    }

    body.len = p - body.data;

    return ngx_http_travel_send(r, NGX_HTTP_OK, &type, &body);
}


static size_t
ngx_http_travel_metrics_size(ngx_http_travel_observe_main_conf_t *omcf,
    ngx_array_t *zones)
{
    size_t  size;

    size = NGX_HTTP_TRAVEL_STATE_ROOM + ngx_http_travel_counters_size()
           + ngx_http_travel_auth_metrics_size()
           + ngx_http_travel_limit_metrics_size()
           + ngx_http_travel_breaker_metrics_size()
           + zones->nelts * 512;

    if (omcf->durations != NULL) {
        size += ngx_http_travel_durations_size(omcf->durations);
    }

    return size;
}


static u_char *
ngx_http_travel_metrics_nginx(u_char *p, u_char *last)
{
#if (NGX_STAT_STUB)
    p = ngx_slprintf(p, last,
                     "# HELP travel_connections Client connections of all "
                     "nginx workers.\n"
                     "# TYPE travel_connections gauge\n"
                     "travel_connections{state=\"active\"} %uA\n"
                     "travel_connections{state=\"reading\"} %uA\n"
                     "travel_connections{state=\"writing\"} %uA\n"
                     "travel_connections{state=\"waiting\"} %uA\n",
                     *ngx_stat_active, *ngx_stat_reading, *ngx_stat_writing,
                     *ngx_stat_waiting);
#endif

    return ngx_slprintf(p, last,
                        "# HELP travel_worker_connections Connections of the "
                        "nginx worker that answers.\n"
                        "# TYPE travel_worker_connections gauge\n"
                        "travel_worker_connections{state=\"used\"} %ui\n"
                        "travel_worker_connections{state=\"free\"} %ui\n",
                        ngx_cycle->connection_n
                        - ngx_cycle->free_connection_n,
                        ngx_cycle->free_connection_n);
}


static u_char *
ngx_http_travel_metrics_cache(u_char *p, u_char *last)
{
    size_t      used, size;
    ngx_uint_t  entries;

    ngx_http_travel_cache_usage(&used, &size, &entries);

    return ngx_slprintf(p, last,
                        "# HELP travel_cache_size_bytes Room for answers.\n"
                        "# TYPE travel_cache_size_bytes gauge\n"
                        "travel_cache_size_bytes %uz\n"
                        "# HELP travel_cache_used_bytes What answers take.\n"
                        "# TYPE travel_cache_used_bytes gauge\n"
                        "travel_cache_used_bytes %uz\n"
                        "# HELP travel_cache_entries Answers kept.\n"
                        "# TYPE travel_cache_entries gauge\n"
                        "travel_cache_entries %ui\n",
                        size, used, entries);
}


static u_char *
ngx_http_travel_metrics_zones(ngx_array_t *zones, u_char *p, u_char *last)
{
    ngx_uint_t                i, k, free;
    ngx_http_travel_zone_t  **zone;

    zone = zones->elts;

    p = ngx_slprintf(p, last, "# HELP travel_zone_bytes Size of a shared zone."
                     "\n# TYPE travel_zone_bytes gauge\n");

    for (i = 0; i < zones->nelts; i++) {
        p = ngx_slprintf(p, last, "travel_zone_bytes{zone=\"%V\"} %uz\n",
                         &zone[i]->name, zone[i]->size);
    }

    p = ngx_slprintf(p, last, "# HELP travel_zone_free_bytes Unused pages of a "
                     "shared zone.\n# TYPE travel_zone_free_bytes gauge\n");

    for (i = 0; i < zones->nelts; i++) {
        free = 0;

        for (k = 0; k < zone[i]->nshards; k++) {
            free += zone[i]->shards[k].pool->pfree;
        }

        p = ngx_slprintf(p, last, "travel_zone_free_bytes{zone=\"%V\"} %ui\n",
                         &zone[i]->name, free * ngx_pagesize);
    }

    p = ngx_slprintf(p, last, "# HELP travel_zone_emptied_total Shards emptied "
                     "because a worker died inside.\n"
                     "# TYPE travel_zone_emptied_total counter\n");

    for (i = 0; i < zones->nelts; i++) {
        p = ngx_slprintf(p, last, "travel_zone_emptied_total{zone=\"%V\"} "
                         "%ui\n", &zone[i]->name,
                         ngx_http_travel_zone_emptied(zone[i]));
    }

    return p;
}


static u_char *
ngx_http_travel_metrics_servers(u_char *p, u_char *last)
{
    ngx_uint_t                      i, k, n;
    ngx_http_travel_route_state_t   states[NGX_HTTP_TRAVEL_STATES_MAX], *s;

    static const struct {
        const char  *name;
        const char  *help;
    } metric[] = {
        { "travel_postgres_up", "The server answers its probe." },
        { "travel_postgres_fit", "Reads may go to the server." },
        { "travel_postgres_lag_seconds", "How far behind a replica is." },
        { "travel_postgres_in_flight", "Queries sent or waiting." },
        { "travel_postgres_share", "Of its full share of reads: one that is "
                                   "just back gets less." }
    };

    n = ngx_http_travel_route_states(states, NGX_HTTP_TRAVEL_STATES_MAX);

    if (n == 0) {
        return p;
    }

    for (k = 0; k < sizeof(metric) / sizeof(metric[0]); k++) {
        p = ngx_slprintf(p, last, "# HELP %s %s\n# TYPE %s gauge\n",
                         metric[k].name, metric[k].help, metric[k].name);

        for (i = 0; i < n; i++) {
            s = &states[i];
            p = ngx_slprintf(p, last, "%s{server=\"%V\"} ", metric[k].name,
                             &s->name);

            switch (k) {
            case 0:
                p = ngx_slprintf(p, last, "%d\n", (int) s->up);
                break;
            case 1:
                p = ngx_slprintf(p, last, "%d\n",
                                 (int) (s->fit || s->primary));
                break;
            case 2:
                p = ngx_slprintf(p, last, "%M.%03M\n", s->lag / 1000,
                                 s->lag % 1000);
                break;
            case 3:
                p = ngx_slprintf(p, last, "%ui\n", s->in_flight);
                break;
            default:
                p = ngx_slprintf(p, last, "%ui.%02ui\n", s->share / 100,
                                 s->share % 100);
            }
        }
    }

    return p;
}


static u_char *
ngx_http_travel_metrics_node(u_char *p, u_char *last)
{
    ngx_http_travel_node_t  node;

    ngx_http_travel_node(&node);

    return ngx_slprintf(p, last,
                        "# HELP travel_invalidation_silence_seconds Time since "
                        "the invalidation stream was last heard.\n"
                        "# TYPE travel_invalidation_silence_seconds gauge\n"
                        "travel_invalidation_silence_seconds %M.%03M\n"
                        "# HELP travel_invalidation_hearing Cached answers are "
                        "served.\n"
                        "# TYPE travel_invalidation_hearing gauge\n"
                        "travel_invalidation_hearing %d\n"
                        "# HELP travel_redis_up The shared link of a role is "
                        "up.\n"
                        "# TYPE travel_redis_up gauge\n"
                        "travel_redis_up{role=\"queue\"} %ui\n"
                        "travel_redis_up{role=\"cache\"} %ui\n",
                        node.silence / 1000, node.silence % 1000,
                        (int) node.hearing,
                        ngx_http_travel_redis_up(NGX_HTTP_TRAVEL_REDIS_QUEUE),
                        ngx_http_travel_redis_up(NGX_HTTP_TRAVEL_REDIS_CACHE));
}
