/* The opening handshake (RFC 6455 section 4.2): a request that becomes a
 * socket, or is told why not. */

#include "ngx_http_travel_live_session.h"
#include "../../common/origin.h"


static ngx_int_t ngx_http_travel_live_upgrade_required(ngx_http_request_t *r,
    const char *why);
static ngx_int_t ngx_http_travel_live_offers(ngx_http_request_t *r,
    ngx_str_t *ret_offers);
static ngx_int_t ngx_http_travel_live_switch(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, ngx_str_t *key);
static ngx_int_t ngx_http_travel_live_deal(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, travel_ws_deflate_t *deal);
static ngx_int_t ngx_http_travel_live_answer(ngx_http_request_t *r,
    ngx_str_t *key);


ngx_int_t
ngx_http_travel_live_handler(ngx_http_request_t *r)
{
    ngx_int_t                               rc;
    ngx_http_travel_inner_t                *inner;
    const ngx_http_travel_live_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_travel_live_module);
    inner = ngx_http_travel_inner_of(r);

    if (conf->protocol == &ngx_http_travel_graphql_socket && inner == NULL) {
        rc = ngx_http_travel_live_graphql(r, conf);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (inner != NULL) {
        return ngx_http_travel_live_vouch(r, conf, inner);
    }

    return conf->check != NULL ? ngx_http_travel_live_check(r, conf)
                               : ngx_http_travel_live_begin(r, conf);
}


ngx_int_t
ngx_http_travel_live_begin(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf)
{
    ngx_int_t   rc;
    ngx_str_t  *key, *version;

    if (conf->protocol == &ngx_http_travel_topics) {
        rc = ngx_http_travel_live_http(r, conf);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (r->http_version != NGX_HTTP_VERSION_11 || r != r->main) {
        return ngx_http_travel_live_upgrade_required(r,
                   "WebSocket is spoken over HTTP/1.1 only here.");
    }

    if (!ngx_http_travel_live_token(r, "upgrade", 7, "websocket")
        || !ngx_http_travel_live_token(r, "connection", 10, "upgrade"))
    {
        return ngx_http_travel_live_upgrade_required(r,
                   "This is a WebSocket: ask for an upgrade.");
    }

    version = ngx_http_travel_header_in(r, "sec-websocket-version", 21);

    if (version == NULL || version->len != 2
        || ngx_memcmp(version->data, "13", 2) != 0)
    {
        return ngx_http_travel_live_upgrade_required(r,
                   "Version 13 of WebSocket is spoken here.");
    }

    key = ngx_http_travel_header_in(r, "sec-websocket-key", 17);

    if (key == NULL || !travel_ws_key_sane(ngx_http_travel_view(key))) {
        ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_REFUSED);
        return ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                   "Sec-WebSocket-Key must be 16 bytes in base64.");
    }

    if (!ngx_http_travel_live_origin(r, conf)) {
        ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_REFUSED);
        return ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                   "Pages of this origin may not open sockets here.");
    }

    return ngx_http_travel_live_switch(r, conf, key);
}


ngx_uint_t
ngx_http_travel_live_token(ngx_http_request_t *r, const char *header,
    size_t len, const char *token)
{
    u_char     *p, *last, *from;
    size_t      n;
    ngx_str_t  *value;

    value = ngx_http_travel_header_in(r, header, len);
    if (value == NULL) {
        return 0;
    }

    n = ngx_strlen(token);
    p = value->data;
    last = p + value->len;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        for (from = p; p < last && *p != ',' && *p != ' ' && *p != '\t'; p++) {
            /* void */
        }

        if ((size_t) (p - from) == n
            && ngx_strncasecmp(from, (u_char *) token, n) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_travel_live_json_type(ngx_http_request_t *r, size_t max)
{
    ngx_str_t  *type;

    static const ngx_str_t  json = ngx_string("application/json");

    type = r->headers_in.content_type ? &r->headers_in.content_type->value
                                      : NULL;

    if (type == NULL || type->len < json.len
        || ngx_strncasecmp(type->data, json.data, json.len) != 0)
    {
        return ngx_http_travel_error(r, TRAVEL_E_UNSUPPORTED_MEDIA_TYPE,
                                     "The body must be application/json, in "
                                     "UTF-8.");
    }

    if (r->headers_in.content_length_n > (off_t) max) {
        return ngx_http_travel_error(r, TRAVEL_E_PAYLOAD_TOO_LARGE,
                                     "The body may have %uz bytes.", max);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_live_upgrade_required(ngx_http_request_t *r, const char *why)
{
    static ngx_str_t  websocket = ngx_string("websocket");
    static ngx_str_t  version = ngx_string("13");

    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_REFUSED);

    /* HTTP/2 has no Upgrade header (RFC 9113 section 8.2.2) */
    if (r->http_version < NGX_HTTP_VERSION_20
        && ngx_http_travel_add_header(r, "Upgrade", &websocket) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_travel_add_header(r, "Sec-WebSocket-Version", &version)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_error(r, TRAVEL_E_UPGRADE_REQUIRED, "%s", why);
}


/*
 * A browser sends its cookies to any site a page opens a socket to, so a page
 * of a stranger could speak in its reader's name (section 10.2).  With
 * origins= an Origin must be one of them; without, one that comes with cookies
 * must be our own.  Programs send none.
 */
ngx_uint_t
ngx_http_travel_live_origin(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf)
{
    size_t               i;
    ngx_str_t           *origin, host;
    const travel_str_t  *pattern;

    origin = ngx_http_travel_header_in(r, "origin", 6);
    if (origin == NULL) {
        return 1;
    }

    if (conf->origins != NULL) {
        pattern = conf->origins->elts;

        for (i = 0; i < conf->origins->nelts; i++) {
            if (travel_origin_match(pattern[i], ngx_http_travel_view(origin))) {
                return 1;
            }
        }

        return 0;
    }

    if (ngx_http_travel_header_in(r, "cookie", 6) == NULL) {
        return 1;
    }

    if (r->headers_in.host == NULL) {
        return 0;
    }

    host = r->headers_in.host->value;

    for (i = 0; i + 3 <= origin->len; i++) {
        if (ngx_memcmp(origin->data + i, "://", 3) == 0) {
            i += 3;
            return origin->len - i == host.len
                   && ngx_strncasecmp(origin->data + i, host.data, host.len)
                      == 0;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_travel_live_switch(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, ngx_str_t *key)
{
    ngx_int_t                  rc;
    ngx_uint_t                 refused;
    travel_ws_deflate_t        deal;
    ngx_http_travel_socket_t  *s;

    rc = ngx_http_travel_live_deal(r, conf, &deal);

    if (rc == NGX_DECLINED) {
        ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_REFUSED);
        return ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                   "Sec-WebSocket-Extensions is no list of extensions.");
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s = ngx_http_travel_socket_create(r, conf, &deal);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = conf->protocol->open ? conf->protocol->open(s, r) : NGX_OK;

    refused = rc != NGX_OK || r->header_sent;

    if (!refused) {
        rc = ngx_http_travel_live_answer(r, key);
        refused = rc != NGX_OK;

        if (refused && s->protocol->gone) {
            s->protocol->gone(s);
        }
    }

    if (refused) {
        ngx_http_travel_guest_gone(&s->guest);
        ngx_free(s);
        return rc;
    }

    ngx_http_travel_socket_adopt(r, s);

    return NGX_DONE;
}


/* All lines of Sec-WebSocket-Extensions as one list. */
static ngx_int_t
ngx_http_travel_live_offers(ngx_http_request_t *r, ngx_str_t *ret_offers)
{
    u_char           *p;
    size_t            len;
    ngx_uint_t        i, pass;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static const char  name[] = "sec-websocket-extensions";

    ngx_str_null(ret_offers);
    p = NULL;

    for (pass = 0; pass < 2; pass++) {
        len = 0;

        for (part = &r->headers_in.headers.part; part; part = part->next) {
            h = part->elts;

            for (i = 0; i < part->nelts; i++) {

                if (h[i].key.len != sizeof(name) - 1
                    || ngx_strncasecmp(h[i].key.data, (u_char *) name,
                                       sizeof(name) - 1) != 0)
                {
                    continue;
                }

                if (pass == 1) {
                    p = ngx_cpymem(p, h[i].value.data, h[i].value.len);
                    *p++ = ',';
                }

                len += h[i].value.len + 1;
            }
        }

        if (len == 0) {
            return NGX_OK;
        }

        if (pass == 0) {
            p = ngx_pnalloc(r->pool, len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            ret_offers->data = p;
            ret_offers->len = len;
        }
    }

    return NGX_OK;
}


/* What was agreed upon of extensions, as a header; NGX_DECLINED: it is no
 * list. */
static ngx_int_t
ngx_http_travel_live_deal(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, travel_ws_deflate_t *deal)
{
    int        rc;
    char       text[TRAVEL_WS_DEFLATE_MAX];
    size_t     len;
    ngx_str_t  offers, answer;

    deal->window = 0;

    if (ngx_http_travel_live_offers(r, &offers) != NGX_OK) {
        return NGX_ERROR;
    }

    if (offers.len == 0) {
        return NGX_OK;
    }

    rc = travel_ws_deflate_agree(ngx_http_travel_view(&offers), deal, text,
                                 &len);

    if (rc == TRAVEL_INVALID) {
        return NGX_DECLINED;
    }

    if (rc != TRAVEL_OK || !conf->deflate) {
        deal->window = 0;
        return NGX_OK;
    }

    answer.len = len;
    answer.data = ngx_pnalloc(r->pool, len);
    if (answer.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(answer.data, text, len);

    return ngx_http_travel_add_header(r, "Sec-WebSocket-Extensions", &answer);
}


/* The 101, all of it in the socket's buffer: it is the connection's first
 * answer since the client has read the last, so it fits. */
static ngx_int_t
ngx_http_travel_live_answer(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_int_t  rc;
    ngx_str_t  accept;

    static ngx_str_t  websocket = ngx_string("websocket");

    accept.len = TRAVEL_WS_ACCEPT_LEN;
    accept.data = ngx_pnalloc(r->pool, TRAVEL_WS_ACCEPT_LEN);

    if (accept.data == NULL
        || travel_ws_accept((char *) accept.data, ngx_http_travel_view(key))
           != TRAVEL_OK
        || ngx_http_travel_add_header(r, "Upgrade", &websocket) != NGX_OK
        || ngx_http_travel_add_header(r, "Sec-WebSocket-Accept", &accept)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->headers_out.content_length_n = -1;
    r->keepalive = 0;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_send_special(r, NGX_HTTP_FLUSH);

    if (rc != NGX_OK || r->out != NULL || r->connection->buffered) {
        return NGX_ERROR;
    }

    return NGX_OK;
}
