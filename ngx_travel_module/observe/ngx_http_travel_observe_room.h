/* What observe's own files share: the export queue, durations, the room's
 * configuration. */

#ifndef NGX_HTTP_TRAVEL_OBSERVE_ROOM_H
#define NGX_HTTP_TRAVEL_OBSERVE_ROOM_H

#include "ngx_http_travel_observe.h"


typedef struct {
    ngx_url_t           url;           /* of the collector; resolved at start */
    ngx_str_t           host;          /* Host header */
    ngx_str_t           path;
    ngx_str_t           service;
    ngx_uint_t          sample;        /* of 2^20, without a caller's trace */
    ngx_uint_t          queue;         /* spans kept while none can go */
    ngx_uint_t          batch;         /* spans that make a batch due */
    ngx_msec_t          interval;      /* and the longest a span waits */
    ngx_msec_t          slow;          /* kept whatever the sampling says */
    ngx_msec_t          timeout;
    ngx_uint_t          configured;    /* there is a collector */
    ngx_uint_t          measured;      /* somebody may ask for metrics */

    ngx_uint_t          exported;      /* counters */
    ngx_uint_t          dropped;
    ngx_uint_t          failed;
    ngx_http_travel_zone_t  *durations;
} ngx_http_travel_observe_main_conf_t;


/* --- queue: encoded spans on their way to the collector (per process) ---- */

ngx_int_t ngx_http_travel_export_start(ngx_cycle_t *cycle,
    ngx_http_travel_observe_main_conf_t *omcf);
void ngx_http_travel_export_stop(ngx_cycle_t *cycle);

/* Encodes and queues; full means drop and count. */
void ngx_http_travel_export_span(const travel_span_t *span);

/* The request's method, "_OTHER" for one that nobody knows. */
travel_str_t ngx_http_travel_observe_method(ngx_http_request_t *r);

/* tries.c: spans of what upstreams were asked; when the request is logged. */
void ngx_http_travel_observe_tries(ngx_http_request_t *r, uint64_t now);


/* --- durations: histograms by route and status class, in shared memory --- */

ngx_int_t ngx_http_travel_durations_init(ngx_http_travel_shard_t *shard);
void ngx_http_travel_durations_add(ngx_http_travel_zone_t *zone,
    const ngx_str_t *route, ngx_uint_t status, uint64_t us);
size_t ngx_http_travel_durations_size(ngx_http_travel_zone_t *zone);
u_char *ngx_http_travel_durations_render(ngx_http_travel_zone_t *zone,
    u_char *p, u_char *last);


/* --- answers: health, readiness, metrics --------------------------------- */

ngx_int_t ngx_http_travel_health_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_ready_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_metrics_handler(ngx_http_request_t *r);

#endif
