/*
 * The relay: channels of the cache role, subscribed once for the whole node.
 *
 * The same to the hub as net's listener of an nginx worker's own, and by the
 * same words: on_down: nothing is joined any more; on_joined: from now on every
 * message of the channel comes; on_message.  But what was joined is joined
 * again without being asked for; on_up asks for it anew all the same.  And
 * where the node knows the topic's position at that time, 'found' is called in
 * place of on_joined: a member that has all up to there, and has heard nothing
 * since the channel was not joined, has missed nothing.
 */

#ifndef NGX_HTTP_TRAVEL_LIVE_RELAY_H
#define NGX_HTTP_TRAVEL_LIVE_RELAY_H

#include "ngx_http_travel_live_board.h"
#include "../net/ngx_http_travel_redis.h"

typedef void (*ngx_http_travel_found_pt)(const ngx_str_t *channel,
    const ngx_str_t *position);

/* From init_process. */
ngx_int_t ngx_http_travel_relay_start(ngx_cycle_t *cycle,
    ngx_http_travel_zone_t *zone, ngx_http_travel_redis_listener_t *hears,
    ngx_http_travel_found_pt found);
void ngx_http_travel_relay_stop(void);

/* Neither calls what 'hears'. */
void ngx_http_travel_relay_join(const ngx_str_t *channel);
void ngx_http_travel_relay_leave(const ngx_str_t *channel);

#endif
