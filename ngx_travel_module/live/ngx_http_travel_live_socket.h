/* What the two files of sockets share: one hears and ends, one sends. */

#ifndef NGX_HTTP_TRAVEL_LIVE_SOCKET_H
#define NGX_HTTP_TRAVEL_LIVE_SOCKET_H

#include "ngx_http_travel_live_room.h"

/* This nginx worker's; made with its first socket. */
extern travel_ws_packer_t  *ngx_http_travel_socket_packer;

void ngx_http_travel_socket_out_start(ngx_uint_t batches);

/* Adds it, whatever the bound; a socket that is closing, too. */
void ngx_http_travel_socket_queue(ngx_http_travel_socket_t *s,
    ngx_http_travel_text_t *text);
/* Sends what can be sent; afterwards it may have failed. */
void ngx_http_travel_socket_flush(ngx_http_travel_socket_t *s);
/* What is unsent is not sent any more. */
void ngx_http_travel_socket_forget(ngx_http_travel_socket_t *s);

/* It is to end, in its own handler. */
void ngx_http_travel_socket_fail(ngx_http_travel_socket_t *s, const char *why,
    ngx_http_travel_live_counter_e how);

#endif
