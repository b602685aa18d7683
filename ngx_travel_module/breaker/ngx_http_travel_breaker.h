/*
 * Is there anybody who can do it?  What the workers tell of their circuit
 * breakers (common/breaker_state.h), read beside the requests, so that a write
 * that cannot be done now is refused at once and not queued.
 *
 *     travel_breakers on | off;              http
 *     travel_breaker NAME ...;               location: refuse writes
 *     travel_breaker_status;                 location: JSON
 *     $travel_breaker_NAME                   closed, half-open, open
 *     travel_command ... breaker=MEMBER      the body's member is the name
 */

#ifndef NGX_HTTP_TRAVEL_BREAKER_H
#define NGX_HTTP_TRAVEL_BREAKER_H

#include "../core/ngx_http_travel.h"

/* NGX_OK, or NGX_BUSY: the destination's breaker is open for *ret_later more
 * seconds.  One of which nothing is known, or nothing of late, is well. */
ngx_int_t ngx_http_travel_breaker_ask(const ngx_str_t *destination,
    ngx_uint_t *ret_later);

#define NGX_HTTP_TRAVEL_BREAKER_SAYS                                          \
    "The service behind this is out of order."

/* Counts a refusal that is told by others. */
void ngx_http_travel_breaker_refused(ngx_http_request_t *r);

/* The error of such a refusal, with Retry-After; counts it. */
ngx_int_t ngx_http_travel_breaker_refuse(ngx_http_request_t *r,
    ngx_uint_t later);

/* At configuration: somebody asks, so it is to be known. */
void ngx_http_travel_breaker_needed(ngx_conf_t *cf);

size_t ngx_http_travel_breaker_metrics_size(void);
u_char *ngx_http_travel_breaker_metrics(u_char *p, u_char *last);

extern ngx_module_t  ngx_http_travel_breaker_module;

#endif /* NGX_HTTP_TRAVEL_BREAKER_H */
