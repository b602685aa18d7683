/*
 * Who are you?  travel_jwks, travel_auth, travel_require; fills the identity
 * fields of the request context.
 *
 *     travel_jwks    NAME file=PATH [issuer=URL] [algs=...] [allow=hs] [ours]
 *                    [user_id];
 *     travel_auth    off | optional | required [jwks=NAME] [audience=A]
 *                    [typ=T] [leeway=30s];
 *     travel_require [METHOD ...] PERMISSION ... ;     all; any=... for one of
 *
 * Variables: $travel_user $travel_sub $travel_issuer $travel_email
 * $travel_permissions.
 */

#ifndef NGX_HTTP_TRAVEL_AUTH_H
#define NGX_HTTP_TRAVEL_AUTH_H

#include "../core/ngx_http_travel.h"

/* Does the caller of r hold this permission ("journeys:read", or its alias
 * "read:journeys")? */
ngx_uint_t ngx_http_travel_permitted(ngx_http_request_t *r,
    const ngx_str_t *permission);

extern ngx_module_t  ngx_http_travel_auth_module;

#endif
