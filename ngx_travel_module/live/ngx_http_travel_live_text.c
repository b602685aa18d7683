/* Texts: immutable bytes that all who are to be sent them share. */

#include "ngx_http_travel_live_room.h"


ngx_http_travel_text_t *
ngx_http_travel_text(size_t len)
{
    ngx_http_travel_text_t  *text;

    text = ngx_alloc(sizeof(ngx_http_travel_text_t) + len, ngx_cycle->log);

    if (text != NULL) {
        text->refs = 1;
        text->len = len;
    }

    return text;
}


void
ngx_http_travel_text_release(ngx_http_travel_text_t *text)
{
    if (--text->refs == 0) {
        ngx_free(text);
    }
}


ngx_http_travel_text_t *
ngx_http_travel_text_frame(travel_ws_opcode_e opcode, ngx_uint_t compressed,
    const void *data, size_t len)
{
    size_t                   n;
    uint8_t                  head[TRAVEL_WS_HEAD_MAX];
    ngx_http_travel_text_t  *text;

    n = travel_ws_head(head, opcode, compressed, len);

    text = ngx_http_travel_text(n + len);
    if (text == NULL) {
        return NULL;
    }

    ngx_memcpy(ngx_cpymem(text->data, head, n), data, len);

    return text;
}
