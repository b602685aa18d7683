/*
 * Headers that an answer gets whoever made it: CORS, security headers,
 * Proxy-Status.  Shared by the three files of it in core; no other room's.
 *
 *     travel_cors ORIGIN ... [credentials] [max_age=T] [methods=LIST]
 *                 [headers=LIST] [expose=LIST];
 *     travel_security_headers on [csp=...] [hsts=...] [nosniff=...] ...;
 *
 * error_page leads to another location; what applies is remembered from the
 * one that the request came to first (ctx->headers).
 */

#ifndef NGX_HTTP_TRAVEL_HEADERS_H
#define NGX_HTTP_TRAVEL_HEADERS_H

#include "ngx_http_travel_core.h"

typedef struct {
    ngx_array_t    origins;        /* ngx_str_t, patterns of common/origin.h */
    ngx_str_t      methods;        /* empty: what the location serves */
    ngx_str_t      headers;        /* "*": whatever is asked for */
    ngx_str_t      expose;
    ngx_str_t      max_age;        /* seconds, as text */
    ngx_flag_t     credentials;
    unsigned       any:1;          /* "*" alone, without credentials */
} ngx_http_travel_cors_t;

#define NGX_HTTP_TRAVEL_SECURITY_MAX  6

typedef struct {
    ngx_str_t      value[NGX_HTTP_TRAVEL_SECURITY_MAX];  /* empty: off */
} ngx_http_travel_security_t;

/* NULL: nothing is set here or above, or it is off. */
typedef struct {
    ngx_http_travel_cors_t      *cors;
    ngx_http_travel_security_t  *security;
    ngx_flag_t                   request_id;
    unsigned                     cors_set:1;
    unsigned                     security_set:1;
} ngx_http_travel_headers_loc_conf_t;


/* --- cors ---------------------------------------------------------------- */

char *ngx_http_travel_cors_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* A preflight is answered: what the phase is to return.  NGX_DECLINED: the
 * request is none. */
ngx_int_t ngx_http_travel_cors_preflight(ngx_http_request_t *r,
    const ngx_http_travel_cors_t *cors);
ngx_int_t ngx_http_travel_cors_headers(ngx_http_request_t *r,
    const ngx_http_travel_cors_t *cors);

/* --- security headers ---------------------------------------------------- */

char *ngx_http_travel_security_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_travel_security_add(ngx_http_request_t *r,
    const ngx_http_travel_security_t *security);

extern ngx_module_t  ngx_http_travel_headers_module;

/* May it have fields of an application: of an upstream, or kept of one? */
ngx_uint_t ngx_http_travel_headers_behind(ngx_http_request_t *r);

#endif
