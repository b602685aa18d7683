/*
 * Content-Encoding of a command's body: none, or gzip (RFC 9110 section 8.4.1,
 * RFC 1952), inflated to max_body at most, so that a bomb costs no more than an
 * honest body of the largest size.
 */

#include "ngx_http_travel_command_room.h"

#include <zlib.h>


/* Before the body is read: NGX_OK with *ret_gzip, NGX_DONE: refused. */
ngx_int_t
ngx_http_travel_command_coding(ngx_http_request_t *r, ngx_uint_t *ret_gzip)
{
    ngx_str_t  *coding;

    static ngx_str_t  known = ngx_string("gzip, identity");

    *ret_gzip = 0;

    coding = ngx_http_travel_header_in(r, "content-encoding",
                                       sizeof("content-encoding") - 1);

    if (coding == NULL || coding->len == 0
        || (coding->len == 8
            && ngx_strncasecmp(coding->data, (u_char *) "identity", 8) == 0))
    {
        return NGX_OK;
    }

    if ((coding->len == 4
         && ngx_strncasecmp(coding->data, (u_char *) "gzip", 4) == 0)
        || (coding->len == 6
            && ngx_strncasecmp(coding->data, (u_char *) "x-gzip", 6) == 0))
    {
        *ret_gzip = 1;
        return NGX_OK;
    }

    /* which would be: RFC 9110 section 12.5.3 */

    if (ngx_http_travel_add_header(r, "Accept-Encoding", &known) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_command_told(r,
               ngx_http_travel_error(r, TRAVEL_E_UNSUPPORTED_MEDIA_TYPE,
                                     "The body must be plain or gzip."));
}


/* One member after the other, as gzip files have them. */
static int
ngx_http_travel_coding_inflate(z_stream *z)
{
    int  rc;

    for ( ;; ) {
        rc = inflate(z, Z_NO_FLUSH);

        if (rc != Z_STREAM_END || z->avail_in == 0) {
            return rc;
        }

        if (inflateReset(z) != Z_OK) {
            return Z_DATA_ERROR;
        }
    }
}


/* 'body' becomes what was in it. */
ngx_int_t
ngx_http_travel_command_inflate(ngx_http_request_t *r, size_t max,
    ngx_str_t *body)
{
    int        rc;
    u_char    *p;
    z_stream   z;
    ngx_str_t  plain;

    /* a byte more than there may be tells what is too much */

    p = ngx_pnalloc(r->pool, max + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&z, sizeof(z_stream));

    if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    z.next_in = body->data;
    z.avail_in = (uInt) body->len;
    z.next_out = p;
    z.avail_out = (uInt) (max + 1);

    rc = ngx_http_travel_coding_inflate(&z);

    plain.data = p;
    plain.len = max + 1 - z.avail_out;

    (void) inflateEnd(&z);

    if (plain.len > max) {
        return ngx_http_travel_command_told(r,
               ngx_http_travel_error(r, TRAVEL_E_PAYLOAD_TOO_LARGE,
                                     "A body of this command may have %uz "
                                     "bytes.", max));
    }

    if (rc == Z_MEM_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != Z_STREAM_END) {
        return ngx_http_travel_command_told(r,
               ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                                     "The body is not the gzip that its "
                                     "Content-Encoding says."));
    }

    *body = plain;

    return NGX_OK;
}
