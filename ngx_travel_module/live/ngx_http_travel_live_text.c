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
ngx_http_travel_text_copy(const void *data, size_t len)
{
    ngx_http_travel_text_t  *text;

    text = ngx_http_travel_text(len);

    if (text != NULL) {
        ngx_memcpy(text->data, data, len);
    }

    return text;
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


/* JSON may hold line breaks between its tokens, an event's line may not; a
 * space means the same there. */
ngx_http_travel_text_t *
ngx_http_travel_text_event(const char *type, const ngx_str_t *id,
    const void *data, size_t len)
{
    u_char                  *p, *from;
    ngx_http_travel_text_t  *text;

    text = ngx_http_travel_text(len + (id ? id->len : 0)
                                + (type ? ngx_strlen(type) : 0)
                                + sizeof("id: \nevent: \ndata: \n\n") - 1);
    if (text == NULL) {
        return NULL;
    }

    p = text->data;

    if (id != NULL) {
        p = ngx_sprintf(p, "id: %V\n", id);
    }

    if (type != NULL) {
        p = ngx_sprintf(p, "event: %s\n", type);
    }

    p = ngx_cpymem(p, "data: ", 6);
    from = p;

    for (p = ngx_cpymem(p, data, len); from < p; from++) {
        if (*from == '\n' || *from == '\r') {
            *from = ' ';
        }
    }

    *p++ = '\n';
    *p++ = '\n';
    text->len = p - text->data;

    return text;
}
