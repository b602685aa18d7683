/*
 * check=URI: whether a caller may is what another location says, which is
 * asked by a GET in his name (200: he may).  Limits have counted the request
 * that asks, and do not count this.
 *
 * A question lives in its request's pool, and is cancelled with the request.
 */

#include "ngx_http_travel_live_room.h"
#include "../net/ngx_http_travel_inner.h"

#define NGX_HTTP_TRAVEL_CHECK_TIMEOUT  10000     /* ms */


typedef struct {
    ngx_http_request_t                     *request;
    const ngx_http_travel_live_loc_conf_t  *conf;
    ngx_http_travel_inner_t                *asking;
} ngx_http_travel_check_t;


static void ngx_http_travel_check_asked(void *data,
    ngx_http_travel_inner_t *inner, ngx_uint_t status, ngx_str_t *body);
static void ngx_http_travel_check_cleanup(void *data);


char *
ngx_http_travel_live_uri(ngx_conf_t *cf, const ngx_http_travel_param_t *param,
    ngx_str_t *value, void *conf)
{
    if (value->data[0] != '/') {
        return "must be a URI of this server block";
    }

    return ngx_http_travel_param_expression(cf, param, value, conf);
}


ngx_int_t
ngx_http_travel_live_ask(ngx_http_request_t *r, ngx_http_travel_door_t *door,
    ngx_http_complex_value_t *check, ngx_http_travel_inner_pt handler,
    void *data, ngx_http_travel_inner_t **ret_inner)
{
    u_char                  *p;
    size_t                   i;
    ngx_str_t                uri, request, *bearer, *key;
    ngx_http_travel_peer_t   peer;

    if (ngx_http_complex_value(r, check, &uri) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* parts of it may be the client's: no line ends there */
    for (i = 0; i < uri.len; i++) {
        if (uri.data[i] <= ' ' || uri.data[i] == 0x7f) {
            return ngx_http_travel_error(r, TRAVEL_E_RESOURCE_NOT_FOUND,
                                         "There is nothing by that id.");
        }
    }

    bearer = ngx_http_travel_header_in(r, "authorization", 13);
    key = ngx_http_travel_header_in(r, "x-api-key", 9);

    request.data = ngx_alloc(uri.len + (bearer ? bearer->len : 0)
                             + (key ? key->len : 0) + 128, ngx_cycle->log);
    if (request.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(request.data, "GET %V HTTP/1.0\r\nHost: localhost\r\n",
                    &uri);

    if (bearer != NULL) {
        p = ngx_sprintf(p, "Authorization: %V\r\n", bearer);
    }

    if (key != NULL) {
        p = ngx_sprintf(p, "X-Api-Key: %V\r\n", key);
    }

    *p++ = CR;
    *p++ = LF;
    request.len = p - request.data;

    ngx_http_travel_peer(r, &peer);

    *ret_inner = ngx_http_travel_inner(door, &peer, &request,
                                       NGX_HTTP_TRAVEL_CHECK_TIMEOUT, handler,
                                       data);
    if (*ret_inner == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_travel_inner_counted(*ret_inner);

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;

    return NGX_DONE;
}


ngx_int_t
ngx_http_travel_live_verdict(ngx_http_request_t *r, ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_OK:
        return NGX_OK;

    case NGX_HTTP_NOT_FOUND:
        return ngx_http_travel_error(r, TRAVEL_E_RESOURCE_NOT_FOUND,
                                     "There is nothing by that id.");

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        return ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                                     "The caller may not do this here.");

    default:
        return ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "Whether the caller may cannot be told "
                                     "now.");
    }
}


/* --- before a socket, a stream or a poll ---------------------------------- */

ngx_int_t
ngx_http_travel_live_check(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf)
{
    ngx_http_cleanup_t       *cln;
    ngx_http_travel_check_t  *ask;

    ask = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_check_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (ask == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_travel_check_cleanup;
    cln->data = ask;

    ask->request = r;
    ask->conf = conf;

    return ngx_http_travel_live_ask(r, conf->door, conf->check,
                                    ngx_http_travel_check_asked, ask,
                                    &ask->asking);
}


static void
ngx_http_travel_check_asked(void *data, ngx_http_travel_inner_t *inner,
    ngx_uint_t status, ngx_str_t *body)
{
    ngx_int_t                 rc;
    ngx_http_request_t       *r;
    ngx_http_travel_check_t  *ask = data;

    (void) inner;
    (void) body;

    ask->asking = NULL;
    r = ask->request;
    ngx_http_set_log_request(r->connection->log, r);

    rc = ngx_http_travel_live_verdict(r, status);

    if (rc == NGX_OK && !r->header_sent) {
        rc = ngx_http_travel_live_begin(r, ask->conf);
    }

    ngx_http_travel_finish(r, rc);
}


static void
ngx_http_travel_check_cleanup(void *data)
{
    ngx_http_travel_check_t  *ask = data;

    if (ask->asking != NULL) {
        ngx_http_travel_inner_cancel(ask->asking);
        ask->asking = NULL;
    }
}
