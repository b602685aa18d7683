/*
 * The relay: channels of the cache role, subscribed once for the whole node.
 *
 * The same to the hub as net's listener of an nginx worker's own, and by the
 * same words: on_down: nothing is joined any more; on_joined: from now on every
 * message of the channel comes; on_message.  But what was joined is joined
 * again without being asked for; on_up asks for it anew all the same.
 */

#ifndef NGX_HTTP_TRAVEL_LIVE_RELAY_H
#define NGX_HTTP_TRAVEL_LIVE_RELAY_H

#include "ngx_http_travel_live_board.h"
#include "../net/ngx_http_travel_redis.h"

/* From init_process. */
ngx_int_t ngx_http_travel_relay_start(ngx_cycle_t *cycle,
    ngx_http_travel_zone_t *zone, ngx_http_travel_redis_listener_t *hears);
void ngx_http_travel_relay_stop(void);

/* Neither calls what 'hears'. */
void ngx_http_travel_relay_join(const ngx_str_t *channel);
void ngx_http_travel_relay_leave(const ngx_str_t *channel);

#endif
