/*
 * Seen: W3C trace context in and out, spans to an OTLP collector off the
 * request path, health, Prometheus metrics.
 *
 *     travel_otlp     URL [service=NAME] [sample=0.1] [queue=4096] [slow=1s];
 *     travel_trace    on | off;
 *     travel_health;  travel_ready;  travel_metrics;     in a location
 */

#ifndef NGX_HTTP_TRAVEL_OBSERVE_H
#define NGX_HTTP_TRAVEL_OBSERVE_H

#include "../core/ngx_http_travel.h"
#include "../../common/otlp.h"

/* A child span of r's server span that a room measured: name and attributes
 * are copied.  Does nothing when the trace is not sampled.  'ret_id' (may be
 * NULL) gets the span's ids, for a traceparent to hand on; to have that before
 * the end, take ids from ngx_http_travel_observe_child first and pass them in
 * span->id. */
void ngx_http_travel_observe_child(ngx_http_request_t *r,
    travel_trace_t *ret_id);
void ngx_http_travel_observe_span(ngx_http_request_t *r, travel_span_t *span);

/* Unix time in ns. */
uint64_t ngx_http_travel_observe_now(void);

extern ngx_module_t  ngx_http_travel_observe_module;

#endif
