/*
 * Who are you?  travel_jwks, travel_auth, travel_require; fills the identity
 * fields of the request context.
 *
 *     travel_jwks    NAME file=PATH | url=URL [issuer=URL] [algs=...]
 *                    [allow=hs] [ours] [user_id] [refresh=T] [grace=T] ...;
 *     travel_auth    off | optional | required [jwks=NAME] [audience=A]
 *                    [typ=T] [leeway=30s];
 *     travel_signature_budget RATE [burst=N] | off;
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

/* Gauges of the key sets, as text for /metrics, and the room they take. */
u_char *ngx_http_travel_auth_metrics(u_char *p, u_char *last);
size_t ngx_http_travel_auth_metrics_size(void);

/*
 * The caller's credential, for who outlives the request (a socket): in the
 * heap, NULL where revocations are not asked for.  NGX_ERROR: no memory, or it
 * is not known any more.
 */
typedef struct ngx_http_travel_lasting_s  ngx_http_travel_lasting_t;

ngx_int_t ngx_http_travel_lasting(ngx_http_request_t *r,
    ngx_http_travel_lasting_t **ret_lasting);
void ngx_http_travel_lasting_free(ngx_http_travel_lasting_t *lasting);
ngx_uint_t ngx_http_travel_lasting_revoked(
    const ngx_http_travel_lasting_t *lasting);
/* Another number than before: something has been revoked since. */
ngx_uint_t ngx_http_travel_revocations(void);

extern ngx_module_t  ngx_http_travel_auth_module;

#endif
