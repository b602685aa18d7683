/*
 * API keys: who shows one, what is remembered of it, and asking PostgreSQL.
 * auth's own; no other room may use it.
 *
 *     travel_api_key on | off [ttl=1m] [negative=5s];
 */

#ifndef NGX_HTTP_TRAVEL_API_KEY_H
#define NGX_HTTP_TRAVEL_API_KEY_H

#include "ngx_http_travel_auth.h"
#include "../../common/api_key.h"

#define NGX_HTTP_TRAVEL_KEY_PERMISSIONS  768      /* bytes at most */

typedef struct {
    time_t            ttl;
    time_t            negative;
    unsigned          set:1;
    unsigned          on:1;
} ngx_http_travel_api_key_conf_t;

/* What PostgreSQL said of a key. */
typedef struct {
    u_char            user[TRAVEL_UUID_TEXT_LEN];
    time_t            expires;         /* of the key; 0: never */
    time_t            until;           /* so long may this be believed */
    uint16_t          len;             /* of permissions, normal form */
    uint16_t          good;            /* 0: there is no such key */
    u_char            permissions[NGX_HTTP_TRAVEL_KEY_PERMISSIONS];
} ngx_http_travel_key_facts_t;


/* --- what is remembered (known_keys) -------------------------------------- */

/* The zone "apikeys"; NULL after logging. */
ngx_http_travel_zone_t *ngx_http_travel_known_keys_zone(ngx_conf_t *cf);

/* By the whole digest of the key's text.  NGX_OK, or NGX_DECLINED: not known,
 * or not any more. */
ngx_int_t ngx_http_travel_known_key_find(ngx_http_travel_zone_t *zone,
    const uint8_t digest[TRAVEL_SHA256_LEN],
    ngx_http_travel_key_facts_t *ret_facts);
void ngx_http_travel_known_key_keep(ngx_http_travel_zone_t *zone,
    const uint8_t digest[TRAVEL_SHA256_LEN],
    const ngx_http_travel_key_facts_t *facts);

#endif
