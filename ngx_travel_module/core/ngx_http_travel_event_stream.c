/* What is common to all that is sent as events (WHATWG HTML, section 9.2):
 * whether the client asks for them, and the answer's header. */

#include "ngx_http_travel.h"


ngx_uint_t
ngx_http_travel_event_stream_wanted(ngx_http_request_t *r)
{
    ngx_str_t  *accept;

    accept = ngx_http_travel_header_in(r, "accept", sizeof("accept") - 1);

    return accept && travel_http_accepts(ngx_http_travel_view(accept),
                                         TRAVEL_STR("text/event-stream"));
}


ngx_int_t
ngx_http_travel_event_stream_header(ngx_http_request_t *r,
    const ngx_str_t *vary)
{
    ngx_int_t  rc;

    static const ngx_str_t  fresh = ngx_string("no-store");
    static const ngx_str_t  no = ngx_string("no");

    /* proxies in front must pass it on as it comes */

    if (ngx_http_travel_add_header(r, "Cache-Control", &fresh) != NGX_OK
        || ngx_http_travel_add_header(r, "Vary", vary) != NGX_OK
        || ngx_http_travel_add_header(r, "X-Accel-Buffering", &no) != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_length_n = -1;

    rc = ngx_http_send_header(r);

    return rc == NGX_AGAIN ? NGX_OK : rc;
}
