/*
 * Where topics stand (their positions in the histories), asked of Redis for
 * many of them by one script: for all that were asked for in a turn of the
 * event loop.
 */

#ifndef NGX_HTTP_TRAVEL_LIVE_PLACES_H
#define NGX_HTTP_TRAVEL_LIVE_PLACES_H

#include "../core/ngx_http_travel.h"

/* What was so when the place was asked for: the asker's. */
typedef struct {
    uint64_t                link;
    uint64_t                joins;
} ngx_http_travel_mark_t;

/* 'position' is empty when it cannot be told. */
typedef void (*ngx_http_travel_place_pt)(const ngx_http_travel_mark_t *mark,
    const ngx_str_t *channel, const ngx_str_t *position);

/* From init_process. */
void ngx_http_travel_places_start(ngx_cycle_t *cycle,
    ngx_http_travel_place_pt told);
void ngx_http_travel_places_stop(void);

/* The channel's name is a topic's key.  'told' is called once for it, perhaps
 * from within; after stop() perhaps not. */
void ngx_http_travel_places_ask(const ngx_http_travel_mark_t *mark,
    const ngx_str_t *channel);

#endif
