/*
 * Told: WebSocket (RFC 6455, RFC 7692), live topics, what changed to whoever
 * watches.
 *
 *     travel_live echo | off [max_message=64k] [queue=256k] [heartbeat=30s]
 *                 [close=5s] [rate=50] [deflate=on|off] [origins=LIST];
 *
 * A socket leaves its request behind: when the 101 is on its way the request
 * ends as any other (log, metrics, its pool and the header buffers go), and
 * what stays is a small object on the connection.  Nothing of a request may be
 * used later, so whoever needs the caller copies what he needs.
 *
 * Who owns what:
 *   - a socket (ngx_http_travel_socket_t) belongs to the nginx worker that
 *     accepted it and is freed in one place, by the read handler of its
 *     connection, when nobody can be in the middle of it; sending never frees,
 *     a send that fails only marks the socket and posts that handler;
 *   - a text (ngx_http_travel_text_t) is immutable and counts its owners: one
 *     for whoever made it, one for each socket that has not sent it yet;
 *   - bytes are read into one buffer of the worker: frames are parsed as they
 *     come, so an idle socket owns no buffer at all;
 *   - what nginx workers share of topics is on the board, under its lock: one
 *     of them is subscribed for all (live_relay.c); guests' seats likewise
 *     (live_seats.c).  All else is a process's own.
 */

#ifndef NGX_HTTP_TRAVEL_LIVE_H
#define NGX_HTTP_TRAVEL_LIVE_H

#include "../core/ngx_http_travel.h"

extern ngx_module_t  ngx_http_travel_live_module;

#endif
