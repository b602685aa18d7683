/*
 * What has been taken back: the table of this node and the feed that fills it
 * (contracts section 4).  auth's own; no other room may use it.
 *
 *     travel_revocation on | off [on_blind=allow|deny] [blind=10s] [wait=2s];
 */

#ifndef NGX_HTTP_TRAVEL_REVOCATION_H
#define NGX_HTTP_TRAVEL_REVOCATION_H

#include "ngx_http_travel_auth.h"
#include "../../common/revocation.h"

typedef struct {
    ngx_msec_t        blind;           /* silence that is too long */
    ngx_msec_t        wait;            /* for the first load */
    ngx_uint_t        deny;            /* on_blind=deny */
    unsigned          set:1;
    unsigned          on:1;
} ngx_http_travel_revocation_t;

/* What is asked about: one credential. */
typedef struct {
    travel_str_t      issuer;          /* as the credential has it */
    travel_str_t      key_issuer;      /* who the signing key belongs to */
    travel_str_t      jti;             /* empty: none */
    travel_str_t      kid;             /* the key's own name; empty: none */
    const uint8_t    *thumbprint;      /* the key's; NULL: none */
    travel_str_t      user;            /* empty: not asked */
    travel_str_t      key;             /* an API key's id; empty: none */
    int64_t           iat;             /* INT64_MIN: not told */
} ngx_http_travel_credential_t;


/* --- the table (revoked) -------------------------------------------------- */

typedef struct {
    travel_stream_id_t  pos;           /* all up to here is in the table */
    ngx_msec_t          heard;
    unsigned            loaded:1;
    unsigned            full:1;        /* something did not fit */
} ngx_http_travel_revoked_t;

/* The zone "revocations"; NULL after logging. */
ngx_http_travel_zone_t *ngx_http_travel_revoked_zone(ngx_conf_t *cf);

/* Is it revoked?  Also tells how much the answer is worth. */
ngx_uint_t ngx_http_travel_revoked(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_credential_t *credential,
    ngx_http_travel_revoked_t *ret_state);

/* Writing; each takes the lock.  Doing it twice changes nothing.  NGX_OK,
 * NGX_DECLINED: known already; NGX_ERROR: no room, 'full' is set. */
ngx_int_t ngx_http_travel_revoked_add(ngx_http_travel_zone_t *zone,
    const travel_revocation_t *revocation, int64_t expires);
/* Forgets what has expired in the next piece of the table; how many. */
ngx_uint_t ngx_http_travel_revoked_sweep(ngx_http_travel_zone_t *zone,
    time_t now);

/* The feed's place.  'from': reading begins here, and what lies between is not
 * known, unless others have read as far: false then.  'back': ids began anew.
 * 'reached': all up to here is known.  'loaded': the set has been read, and
 * all up to here. */
ngx_uint_t ngx_http_travel_revoked_from(ngx_http_travel_zone_t *zone,
    travel_stream_id_t id, ngx_uint_t back);
void ngx_http_travel_revoked_reached(ngx_http_travel_zone_t *zone,
    travel_stream_id_t id);
void ngx_http_travel_revoked_heard(ngx_http_travel_zone_t *zone,
    ngx_msec_t when);
void ngx_http_travel_revoked_loaded(ngx_http_travel_zone_t *zone,
    travel_stream_id_t id, ngx_uint_t full);


/* --- the feed and the rule (revocation) ----------------------------------- */

char *ngx_http_travel_revocation_directive(ngx_conf_t *cf,
    ngx_http_travel_revocation_t *revocation);
void ngx_http_travel_revocation_merge(ngx_http_travel_revocation_t *conf,
    const ngx_http_travel_revocation_t *prev);
/* From auth's own postconfiguration, when some location has it on. */
ngx_int_t ngx_http_travel_revocation_init(ngx_conf_t *cf);
ngx_int_t ngx_http_travel_revocation_open(ngx_cycle_t *cycle,
    ngx_http_travel_zone_t *zone);
void ngx_http_travel_revocation_close(void);

/*
 * May the credential be used?  NGX_OK; NGX_DECLINED: it is revoked;
 * NGX_AGAIN: the table is being loaded, r's phases run again when it is or
 * when the time is up; NGX_BUSY: it cannot be told, *ret_why a sentence.
 */
ngx_int_t ngx_http_travel_revocation_judge(ngx_http_request_t *r,
    const ngx_http_travel_revocation_t *revocation,
    ngx_http_travel_zone_t *zone,
    const ngx_http_travel_credential_t *credential, const char **ret_why);

#endif
