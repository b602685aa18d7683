/* What limit's own files share and no other room may use. */

#ifndef NGX_HTTP_TRAVEL_POLICY_H
#define NGX_HTTP_TRAVEL_POLICY_H

#include "ngx_http_travel_limit.h"
#include "../../common/window.h"
#include "../../common/calendar.h"
#include "../../common/digits.h"

#define NGX_HTTP_TRAVEL_LIMIT_WINDOWS  4         /* of one policy */
#define NGX_HTTP_TRAVEL_LIMIT_KEY      64        /* bytes kept as they are */


/* --- policies: what a travel_limit line says ----------------------------- */

typedef struct {
    travel_window_rule_t      rule;
    ngx_str_t                 name;        /* "user-60", NUL-terminated */
    ngx_str_t                 item;        /* "\"user-60\";r=" */
    ngx_int_t                 refused;     /* counters */
    ngx_int_t                 dry;
    ngx_int_t                 delayed;
    unsigned                  bytes:1;     /* the rate was in bytes */
    unsigned                  calendar:1;  /* a day that ends at midnight */
} ngx_http_travel_window_t;

/* What a request costs, and when that is known. */
typedef enum {
    NGX_HTTP_TRAVEL_COST_FIXED,            /* cost_fixed */
    NGX_HTTP_TRAVEL_COST_VALUE,            /* cost_value, at once */
    NGX_HTTP_TRAVEL_COST_TOKENS,           /* what the job says at its end */
    NGX_HTTP_TRAVEL_COST_REQUEST,          /* bytes of the body sent to us */
    NGX_HTTP_TRAVEL_COST_RESPONSE,         /* of ours, at the end */
    NGX_HTTP_TRAVEL_COST_BYTES             /* of both, at the end */
} ngx_http_travel_cost_e;

/* Who counts: this node alone, all nodes by leases, all nodes by each call. */
typedef enum {
    NGX_HTTP_TRAVEL_MODE_LOCAL,
    NGX_HTTP_TRAVEL_MODE_GLOBAL,
    NGX_HTTP_TRAVEL_MODE_STRICT
} ngx_http_travel_mode_e;

/* Without Redis: each node counts alone, nobody is refused, everybody is. */
typedef enum {
    NGX_HTTP_TRAVEL_FAIL_LOCAL,
    NGX_HTTP_TRAVEL_FAIL_OPEN,
    NGX_HTTP_TRAVEL_FAIL_CLOSED
} ngx_http_travel_fail_e;

/*
 * The same line in several places is one policy, counted in one place: it is
 * known by its name, the text of its key and its windows.  What a request
 * costs may differ from place to place.
 */
typedef struct {
    uint64_t                  id;
    ngx_str_t                 name;        /* "user" */
    ngx_str_t                 text;        /* of the key, as written */
    ngx_int_t                 variable;    /* the key is this one alone ... */
    ngx_http_complex_value_t  key;         /* ... or, if NGX_ERROR, a text */
    ngx_http_travel_window_t  windows[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    ngx_uint_t                nwindows;    /* by rising span */
    ngx_str_t                 header;      /* its part of RateLimit-Policy */
    ngx_str_t                 tz;          /* as written; empty: UTC */
    ngx_http_complex_value_t  tz_value;
    travel_zone_t             zone;        /* when tz has no variable */
    ngx_uint_t                mode;        /* ngx_http_travel_mode_e */
    ngx_uint_t                fail;        /* ngx_http_travel_fail_e */
    uint32_t                  slice;       /* as written: N, or percent */
    uint32_t                  life;        /* ms of a lease */
    ngx_msec_t                timeout;     /* of a call */
    ngx_flag_t                partition;   /* the answer names the key's hash */
    ngx_int_t                 leases;      /* counters */
    ngx_int_t                 waited;
    ngx_int_t                 failures;
    unsigned                  percent:1;   /* slice is, until it is resolved */
    unsigned                  identity:1;  /* needs to know who it is */
    unsigned                  calendar:1;  /* some window is */
    unsigned                  costs:1;     /* the unit is not requests */
    unsigned                  bytes:1;     /* it is bytes */
} ngx_http_travel_policy_t;

typedef struct {
    ngx_http_travel_policy_t *policy;
    ngx_uint_t                methods;     /* NGX_HTTP_GET ...; 0: all */
    ngx_http_travel_cost_e    cost;
    uint32_t                  cost_fixed;  /* or the reserve */
    ngx_http_complex_value_t  cost_value;
    ngx_msec_t                delay;       /* 0: refuse at once */
    ngx_uint_t                hold;        /* held at most, per worker */
    ngx_flag_t                dry_run;
} ngx_http_travel_limit_t;

typedef struct {
    ngx_str_t                 name;        /* "Europe/Berlin", NUL-term. */
    travel_zone_t             zone;
} ngx_http_travel_tz_t;

typedef struct {
    ngx_array_t               policies;    /* ngx_http_travel_policy_t * */
    ngx_http_travel_zone_t   *zone;
    ngx_array_t               zones;       /* ngx_http_travel_tz_t, by name */
    ngx_int_t                 evicted;     /* counter */
    ngx_int_t                 admitted;    /* counter */
    ngx_int_t                 tokens;      /* counter: costs that jobs told */
    unsigned                  early:1;     /* some policy needs no identity */
    unsigned                  late:1;      /* some does */
    unsigned                  measured:1;  /* some cost is known at the end */
    unsigned                  settled:1;   /* some with the job's end */
} ngx_http_travel_limit_main_conf_t;

typedef struct {
    ngx_array_t              *limits;      /* ngx_http_travel_limit_t */
    unsigned                  alone:1;     /* travel_limit off */
} ngx_http_travel_limit_loc_conf_t;


/* travel_limit: an error text, NGX_CONF_OK or NGX_CONF_ERROR after logging. */
char *ngx_http_travel_limit_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The policy of that name (policies.c), new or the same again; NULL: it says
 * something else, and that has been logged. */
ngx_http_travel_policy_t *ngx_http_travel_limit_policy(ngx_conf_t *cf,
    ngx_http_travel_limit_main_conf_t *lmcf,
    const ngx_http_travel_policy_t *wanted);

/* Adds the line to the list unless it is there. */
ngx_int_t ngx_http_travel_limit_add(ngx_conf_t *cf, ngx_array_t **limits,
    const ngx_http_travel_limit_t *limit);


/* --- time zones (tz) ------------------------------------------------------ */

/* All zones of the machine's tz database into 'zones', once; sorted. */
ngx_int_t ngx_http_travel_tz_load(ngx_conf_t *cf, ngx_array_t *zones);

/* The zone of that name, or NULL. */
const travel_zone_t *ngx_http_travel_tz_find(const ngx_array_t *zones,
    const ngx_str_t *name);


/* --- the zone (slots) ---------------------------------------------------- */

/* What this node holds of a shared limit; in the slot, under its lock. */
typedef struct {
    uint64_t                  until;       /* ms, the lease's end */
    uint64_t                  closed;      /* ms, nobody before that */
    uint64_t                  asking;      /* ms, somebody asks until then */
    uint64_t                  told;        /* ms, when it was heard; 0: never */
    uint64_t                  at;          /* Redis' name for the lease */
    uint32_t                  left;        /* of the lease */
    uint32_t                  credit;      /* admitted without, not reported */
    uint32_t                  used;        /* since the last call */
    uint32_t                  back;        /* of ended leases, to give back */
    uint32_t                  rooms[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    uint32_t                  waits[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    uint8_t                   blocks;      /* windows that closed it, by bit */
} ngx_http_travel_lease_t;

#define NGX_HTTP_TRAVEL_LIMIT_CALL  8      /* strict ones in a call */

/* What a policy said of one request. */
typedef struct {
    ngx_http_travel_policy_t *policy;
    ngx_http_travel_limit_t  *limit;
    ngx_http_travel_shard_t  *shard;
    void                     *slot;        /* shm, valid while 'born' fits */
    uint64_t                  hash;
    uint64_t                  at;          /* ms, when it was counted */
    uint32_t                  born;
    uint32_t                  cost;        /* in: 0 only asks for room */
    travel_day_t              day;         /* in: of the caller's zone */
    uint8_t                   marks[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    uint32_t                  room[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    uint32_t                  wait[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];   /* ms */
    uint32_t                  retry;       /* ms until it would be admitted, or
                                              TRAVEL_WINDOW_NEVER */
    ngx_str_t                 name;        /* its key, if it is shared */
    uint64_t                  shared_at;   /* Redis' name for the time */
    u_char                    pk[12];      /* base64, with partition */
    u_char                    key[65];     /* in Redis; only if it is shared */
    u_char                    key_len;
    ngx_uint_t                worst;       /* the window to wait longest for */
    unsigned                  counted:1;
    unsigned                  full:1;      /* it would not be admitted */
    unsigned                  evicted:1;   /* a live slot had to go */
    unsigned                  dry_run:1;
    unsigned                  shared:1;    /* in: count with the other nodes */
    unsigned                  shared_counted:1;   /* in Redis, at shared_at */
    unsigned                  on_credit:1;
    unsigned                  waits:1;     /* only Redis can tell */
    unsigned                  asks:1;      /* a lease is to be asked for */
    unsigned                  asked:1;     /* slot and born are valid */
    unsigned                  pending:1;   /* Redis is to be asked (strict) */
    unsigned                  blocks:NGX_HTTP_TRAVEL_LIMIT_WINDOWS;
                                           /* windows that refuse it, by bit */
} ngx_http_travel_verdict_t;

/* The zone "limits"; NULL after logging. */
ngx_http_travel_zone_t *ngx_http_travel_slots_zone(ngx_conf_t *cf);

/* Milliseconds of a clock that all processes of this machine share and that
 * never goes back. */
uint64_t ngx_http_travel_slots_now(void);

/*
 * Asks all windows of v->policy about 'key' and v->cost; if all have room and
 * 'count' is set, counts in all.  Fills the rest of v: room and wait as they
 * are after that.  NGX_OK, or NGX_ERROR: the key could not be hashed.
 */
ngx_int_t ngx_http_travel_slots_ask(ngx_http_travel_zone_t *zone,
    const ngx_str_t *key, ngx_uint_t count, ngx_http_travel_verdict_t *v);

/* Takes back what was counted. */
void ngx_http_travel_slots_undo(ngx_http_travel_verdict_t *v);

/* What the node holds for v's key, NULL if it was evicted; under the lock. */
ngx_http_travel_lease_t *ngx_http_travel_slots_lease_locked(
    const ngx_http_travel_verdict_t *v);

/* In place of what was counted 'cost' counts, however much room there is. */
void ngx_http_travel_slots_charge(ngx_http_travel_verdict_t *v, uint32_t cost);


/* By hash and born: v->slot and v->shard, for _charge().  NGX_DECLINED: the
 * slot is not there any more. */
ngx_int_t ngx_http_travel_slots_again(ngx_http_travel_zone_t *zone,
    ngx_http_travel_verdict_t *v);

/* What this node is called in claims: the same as long as the zone lives. */
uint64_t ngx_http_travel_slots_node(ngx_http_travel_zone_t *zone);

/* True once for each id, whichever process asks, in rising order. */
ngx_uint_t ngx_http_travel_slots_settle(ngx_http_travel_zone_t *zone,
    travel_stream_id_t id);
/* The stream, asked for what follows 'asked' ({0}: for what is new), begins
 * after 'id': it is new to this node, or it was lost and its ids began anew. */
void ngx_http_travel_slots_restart(ngx_http_travel_zone_t *zone,
    travel_stream_id_t asked, travel_stream_id_t id);
/* The last one, or {0}. */
travel_stream_id_t ngx_http_travel_slots_settled(ngx_http_travel_zone_t *zone);


/* --- costs that jobs tell (settled) --------------------------------------- */

/* ctx->quota of an admitted request, for what of it costs tokens. */
ngx_int_t ngx_http_travel_settled_claim(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf, ngx_http_travel_verdict_t *v);
/* Tails the stream of costs; from init_process. */
ngx_int_t ngx_http_travel_settled_start(ngx_cycle_t *cycle,
    ngx_http_travel_limit_main_conf_t *lmcf);


/* --- the request (limit_access) ------------------------------------------ */

typedef struct {
    ngx_array_t                 verdicts;  /* ngx_http_travel_verdict_t */
    ngx_event_t                 timer;     /* set while it is held */
    ngx_msec_t                  hold_until;
    uint32_t                    hold;      /* ms from now; 0: is not to be */
    ngx_uint_t                  sent[NGX_HTTP_TRAVEL_LIMIT_CALL];
    ngx_uint_t                  nsent;     /* verdicts that wait, by number */
    unsigned                    waiting:1; /* for Redis */
    unsigned                    closed:1;  /* Redis is gone, fail=closed */
    unsigned                    refused:1;
    unsigned                    written:1; /* the headers are */
} ngx_http_travel_limit_record_t;

ngx_int_t ngx_http_travel_limit_early(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_limit_late(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_limit_log(ngx_http_request_t *r);


/* --- requests that stand still (limit_hold) ------------------------------- */

/* NGX_AGAIN, or an error for the phase to return. */
ngx_int_t ngx_http_travel_limit_suspend(ngx_http_request_t *r);

/* Runs the phases on; r must not be touched after it. */
void ngx_http_travel_limit_resume(ngx_http_request_t *r);

ngx_uint_t ngx_http_travel_limit_may_hold(
    ngx_http_travel_limit_record_t *record,
    const ngx_http_travel_verdict_t *v);

/* For record->hold; returns as suspend. */
ngx_int_t ngx_http_travel_limit_hold(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record);


/* --- what the client is told (limit_headers) ------------------------------ */

ngx_int_t ngx_http_travel_limit_headers(ngx_http_request_t *r);

/* A window that would refuse, the longest; else the one with least room. */
const ngx_http_travel_verdict_t *ngx_http_travel_limit_tightest(
    const ngx_http_travel_limit_record_t *record);

/* At most NGX_INT32_LEN bytes; ngx_sprintf costs more than all the rest. */
static ngx_inline u_char *
ngx_http_travel_limit_number(u_char *p, uint32_t n)
{
    return p + travel_digits_format((char *) p, n);
}


static ngx_inline uint32_t
ngx_http_travel_limit_seconds(uint32_t ms)
{
    return (ms + 999) / 1000;
}

#endif
