/*
 * Claims of the caller's token, beyond those that auth itself judges.  auth's
 * own; no other room may use it (others read $travel_claim_NAME).
 *
 * A path is the name of a member of the token's payload, or a JSON pointer
 * (RFC 6901) when it begins with "/".
 */

#ifndef NGX_HTTP_TRAVEL_CLAIMS_H
#define NGX_HTTP_TRAVEL_CLAIMS_H

#include "ngx_http_travel_auth.h"

typedef enum {
    NGX_HTTP_TRAVEL_CLAIM_EXISTS,      /* claim:PATH */
    NGX_HTTP_TRAVEL_CLAIM_EQUALS,      /* claim:PATH=TEXT */
    NGX_HTTP_TRAVEL_CLAIM_DIFFERS,     /* claim:PATH!=TEXT; absent differs */
    NGX_HTTP_TRAVEL_CLAIM_MATCHES      /* claim:PATH=~REGEX, =~* caseless */
} ngx_http_travel_claim_test_e;

typedef struct {
    ngx_http_travel_claim_test_e   test;
    ngx_str_t                      path;
    ngx_str_t                      text;
#if (NGX_PCRE)
    ngx_regex_t                   *regex;
#endif
} ngx_http_travel_claim_t;

/* This process's reader of claims. */
void ngx_http_travel_claims_close(void);

/* "claim:..." of a travel_require line into the array; logs what is wrong. */
char *ngx_http_travel_claim_parse(ngx_conf_t *cf, ngx_array_t *claims,
    ngx_str_t *value);

/* Does the caller's token pass the test?  An array passes when one of its
 * elements does ("!=": when all do). */
ngx_uint_t ngx_http_travel_claim_holds(ngx_http_request_t *r,
    const ngx_http_travel_claim_t *claim);

/* A claim as text in r's pool: text as it is, numbers as written, true, false,
 * an array of these separated by spaces.  NGX_DECLINED: there is none, it is
 * null or an object, or it has control characters. */
ngx_int_t ngx_http_travel_claim_text(ngx_http_request_t *r,
    const ngx_str_t *path, ngx_str_t *ret_text);

/* $travel_claim_NAME, $travel_claim_OUTER__INNER: 'data' is an ngx_str_t. */
ngx_int_t ngx_http_travel_claim_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* --- headers to the upstream (claim_header) ------------------------------- */

/* travel_claim_header NAME PATH; or off. */
char *ngx_http_travel_claim_header_directive(ngx_conf_t *cf,
    ngx_array_t **headers, ngx_uint_t *alone);
char *ngx_http_travel_claim_header_merge(ngx_conf_t *cf, ngx_array_t **headers,
    ngx_array_t *above, ngx_uint_t alone);

/* Takes the client's copies away, puts ours in. */
ngx_int_t ngx_http_travel_claim_header_apply(ngx_http_request_t *r,
    const ngx_array_t *headers);

#endif
