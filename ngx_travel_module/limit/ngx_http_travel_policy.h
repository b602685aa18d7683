/* What limit's own files share and no other room may use. */

#ifndef NGX_HTTP_TRAVEL_POLICY_H
#define NGX_HTTP_TRAVEL_POLICY_H

#include "ngx_http_travel_limit.h"
#include "../../common/window.h"

#define NGX_HTTP_TRAVEL_LIMIT_WINDOWS  4         /* of one policy */
#define NGX_HTTP_TRAVEL_LIMIT_KEY      64        /* bytes kept as they are */


/* --- policies: what a travel_limit line says ----------------------------- */

typedef struct {
    travel_window_rule_t      rule;
    ngx_str_t                 name;        /* "user-60", NUL-terminated */
    ngx_str_t                 item;        /* "\"user-60\";r=" */
    ngx_int_t                 refused;     /* counters */
    ngx_int_t                 dry;
} ngx_http_travel_window_t;

/*
 * The same line in several places is one policy, counted in one place: it is
 * known by its name, the text of its key and its windows.
 */
typedef struct {
    uint64_t                  id;
    ngx_str_t                 name;        /* "user" */
    ngx_str_t                 text;        /* of the key, as written */
    ngx_http_complex_value_t  key;
    ngx_http_travel_window_t  windows[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    ngx_uint_t                nwindows;    /* by rising span */
    ngx_str_t                 header;      /* its part of RateLimit-Policy */
    unsigned                  identity:1;  /* needs to know who it is */
} ngx_http_travel_policy_t;

typedef struct {
    ngx_http_travel_policy_t  *policy;
    ngx_uint_t                 methods;    /* NGX_HTTP_GET ...; 0: all */
    ngx_uint_t                 dry_run;
} ngx_http_travel_limit_t;

typedef struct {
    ngx_array_t               policies;    /* ngx_http_travel_policy_t * */
    ngx_http_travel_zone_t   *zone;
    ngx_int_t                 admitted;    /* counters */
    ngx_int_t                 evicted;
    unsigned                  early:1;     /* some policy needs no identity */
    unsigned                  late:1;      /* some does */
} ngx_http_travel_limit_main_conf_t;

typedef struct {
    ngx_array_t              *limits;      /* ngx_http_travel_limit_t */
    unsigned                  alone:1;     /* travel_limit off */
} ngx_http_travel_limit_loc_conf_t;


/* --- the zone (slots) ---------------------------------------------------- */

/* What a policy said of one request. */
typedef struct {
    ngx_http_travel_policy_t *policy;
    ngx_http_travel_shard_t  *shard;
    void                     *slot;        /* shm, valid while 'born' fits */
    uint64_t                  hash;
    uint64_t                  at;          /* ms, when it was counted */
    uint32_t                  born;
    uint8_t                   marks[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    uint32_t                  room[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    uint32_t                  wait[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];   /* ms */
    ngx_uint_t                worst;       /* the window to wait longest for */
    unsigned                  counted:1;
    unsigned                  full:1;      /* it would not be admitted */
    unsigned                  evicted:1;   /* a live slot had to go */
    unsigned                  dry_run:1;
} ngx_http_travel_verdict_t;

/* The zone "limits"; NULL after logging. */
ngx_http_travel_zone_t *ngx_http_travel_slots_zone(ngx_conf_t *cf);

/* Milliseconds of a clock that all processes of this machine share and that
 * never goes back. */
uint64_t ngx_http_travel_slots_now(void);

/*
 * Asks all windows of v->policy about 'key'; if all have room and 'count' is
 * set, counts in all.  Fills the rest of v: room and wait as they are after
 * that.  NGX_OK, or NGX_ERROR: the key could not be hashed.
 */
ngx_int_t ngx_http_travel_slots_ask(ngx_http_travel_zone_t *zone,
    const ngx_str_t *key, ngx_uint_t count, ngx_http_travel_verdict_t *v);

/* Takes back what was counted. */
void ngx_http_travel_slots_undo(ngx_http_travel_verdict_t *v);


/* --- the request (limit_access) ------------------------------------------ */

ngx_int_t ngx_http_travel_limit_early(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_limit_late(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_limit_headers(ngx_http_request_t *r);

#endif
