/* travel_live echo: every message goes back as it came, so that conformance
 * suites can speak to the frame layer. */

#include "ngx_http_travel_live_room.h"


static void ngx_http_travel_echo_message(ngx_http_travel_socket_t *s,
    ngx_uint_t text, ngx_str_t *data);


const ngx_http_travel_protocol_t  ngx_http_travel_echo = {
    ngx_null_string,
    NULL,
    ngx_http_travel_echo_message,
    NULL,
    NULL
};


static void
ngx_http_travel_echo_message(ngx_http_travel_socket_t *s, ngx_uint_t text,
    ngx_str_t *data)
{
    ngx_http_travel_socket_message(s, text ? TRAVEL_WS_TEXT
                                           : TRAVEL_WS_BINARY,
                                   data->data, data->len);
}
