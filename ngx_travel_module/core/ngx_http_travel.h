/*
 * What every room of the edge may use of core: the request context, error
 * answers, shared zones, and finishing a request from a foreign event.
 *
 * A request passes the rooms in this order (each registers its own phase
 * handler; the order of sections in `config` makes it so):
 *
 *   post-read   observe   starts the span, request id
 *   preaccess   risk      travel_geo
 *   preaccess   limit     keys that need no identity ($binary_remote_addr ...)
 *   access      auth      who; then travel_require
 *   access      risk      how well proven, how unlike the user
 *   access      limit     keys that need identity ($travel_user ...)
 *   access      breaker   is there anybody who can do it
 *   content     core      dispatches by method to query, command, ...
 *   log         observe   ends the span, counts
 */

#ifndef NGX_HTTP_TRAVEL_H
#define NGX_HTTP_TRAVEL_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../../common/travel.h"
#include "../../common/errors.h"
#include "../../common/http_accept.h"
#include "../../common/problem.h"
#include "../../common/ids.h"
#include "../../common/hash.h"
#include "../../common/traceparent.h"
#include "../../common/consistency.h"

#include "ngx_http_travel_params.h"

#define NGX_HTTP_TRAVEL_CTX_MAGIC  0x54524358            /* "TRCX" */


/* Views of one kind of string as the other; no copy. */
static ngx_inline travel_str_t
ngx_http_travel_view(const ngx_str_t *s)
{
    travel_str_t  v;

    v.data = (const char *) s->data;
    v.len = s->len;

    return v;
}


static ngx_inline ngx_str_t
ngx_http_travel_str(travel_str_t v)
{
    ngx_str_t  s;

    s.data = (u_char *) v.data;
    s.len = v.len;

    return s;
}


/* --- the request context ------------------------------------------------ */

/* pointer, code, message (travel_str_t) and, for malformed JSON, the offset. */
typedef travel_problem_detail_t  ngx_http_travel_detail_t;


typedef enum {
    NGX_HTTP_TRAVEL_ROOM_AUTH,
    NGX_HTTP_TRAVEL_ROOM_LIMIT,
    NGX_HTTP_TRAVEL_ROOM_CACHE,
    NGX_HTTP_TRAVEL_ROOM_QUERY,
    NGX_HTTP_TRAVEL_ROOM_COMMAND,
    NGX_HTTP_TRAVEL_ROOM_OBSERVE,
    NGX_HTTP_TRAVEL_ROOM_RISK,
    NGX_HTTP_TRAVEL_ROOM_GRAPHQL,
    NGX_HTTP_TRAVEL_ROOM_MAX
} ngx_http_travel_room_e;


/*
 * One per client request, allocated from r->pool, shared by subrequests, and
 * found again after internal redirects (which clear r->ctx) through a pool
 * cleanup.  Filled by the room named; read by all.
 */
typedef struct {
    ngx_uint_t             magic;

    /* observe */
    ngx_str_t              request_id;     /* client's if sane, else ours */
    travel_trace_t         trace;          /* its id, our server span, flags */
    u_char                 parent[8];      /* caller's span id, or zeroes */
    ngx_str_t              tracestate;     /* what may be passed on */
    uint64_t               start_ns;       /* unix time */

    /* auth: all empty for an anonymous caller */
    ngx_str_t              user;           /* 36 characters, internal UUID */
    ngx_str_t              sub;            /* as the token has it */
    ngx_str_t              issuer;
    ngx_str_t              email;
    ngx_str_t              permissions;    /* "a:b c:d", noun:verb, lower */
    ngx_str_t              api_key;        /* its id, when that is what let
                                              the caller in */
    ngx_str_t              claims;         /* "Name: value" LF, as the upstream
                                              is told them in headers */
    ngx_str_t              acr;            /* claims acr and auth_time: how */
    int64_t                auth_time;      /* and when; INT64_MIN: unsaid */
    int64_t                expires;        /* the token's last second; 0: it
                                              has none (an API key) */
    unsigned               authenticated:1;

    /* core: the location (r->loc_conf) that the caller may enter; NULL */
    const void            *admitted;

    /* core: the headers' configuration of the location first come to */
    const void            *headers;

    /* core: the last error answered, for logs, metrics and error_page */
    travel_error_e         error;
    ngx_str_t              error_message;
    ngx_http_travel_detail_t  *details;
    ngx_uint_t             ndetails;
    travel_str_t          *violated;       /* limits: names, for the problem */
    ngx_uint_t             nviolated;

    /* what the rooms report of themselves: variables, log, metrics */
    ngx_str_t              route;          /* "journeys.list", "trip.create" */
    const char            *cache_status;   /* "HIT" "MISS" "BYPASS" ..., NULL */
    ngx_str_t              server;         /* PostgreSQL server that answered */
    ngx_str_t              job;            /* job id of an accepted command */
    const char            *limited;        /* policy that refused, NULL */
    ngx_str_t              quota;          /* limit: what a job's cost is to be
                                              charged to (quota_claim.h) */
    unsigned               quota_sent:1;   /* command: a job has it */
    ngx_msec_t             wait;           /* ms spent in Prefer: wait */
    unsigned               dependency_us;  /* time spent waiting on Redis */

    /* the answer of a room is another room's to use: see _send() */
    struct ngx_http_travel_divert_s  *divert;

    void                  *room[NGX_HTTP_TRAVEL_ROOM_MAX];
} ngx_http_travel_ctx_t;


/* An answer that was not sent. */
typedef struct ngx_http_travel_divert_s {
    ngx_uint_t             status;         /* 0: none yet */
    ngx_str_t              body;
} ngx_http_travel_divert_t;


extern ngx_module_t  ngx_http_travel_module;

ngx_http_travel_ctx_t *ngx_http_travel_make_ctx(ngx_http_request_t *r);

/* The context of r->main, made when absent; NULL only when out of memory.  A
 * request asks for it some thirty times. */
static ngx_inline ngx_http_travel_ctx_t *
ngx_http_travel_get_ctx(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_travel_module);

    return (ctx != NULL) ? ctx : ngx_http_travel_make_ctx(r);
}


/* --- requests of the node itself ----------------------------------------- */

/*
 * The cache's warm-up, and what a request asks on its own behalf (check=), are
 * what any client may ask, but come through a socket that only the node has;
 * they are known by the name, this very string, of what stands for a listening
 * socket.  Limits do not count them.
 */
extern ngx_str_t  ngx_http_travel_own;

static ngx_inline ngx_uint_t
ngx_http_travel_is_own(ngx_http_request_t *r)
{
    return r->connection->listening->addr_text.data
           == ngx_http_travel_own.data;
}


/* --- variables ----------------------------------------------------------- */

/* Adds a table that ends with ngx_http_null_variable; from preconfiguration. */
ngx_int_t ngx_http_travel_variables(ngx_conf_t *cf, ngx_http_variable_t *table);

/* Getter of an ngx_str_t of the context; 'data' is its offset there. */
ngx_int_t ngx_http_travel_ctx_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* --- error answers ------------------------------------------------------- */

/*
 * Answers with the error envelope (or problem+json by Accept): status, body,
 * headers, discarding the request body.  The message is for the client: a
 * sentence, never SQL, never a key.  The return value is for
 * ngx_http_finalize_request(); a phase handler uses ngx_http_travel_refuse().
 */
ngx_int_t ngx_http_travel_error(ngx_http_request_t *r, travel_error_e code,
    const char *fmt, ...);

/* The same with details, which must live as long as the request. */
ngx_int_t ngx_http_travel_error_details(ngx_http_request_t *r,
    travel_error_e code, ngx_http_travel_detail_t *details, ngx_uint_t n,
    const char *fmt, ...);

/* For preaccess and access handlers: finalizes with rc, returns NGX_DONE. */
ngx_int_t ngx_http_travel_refuse(ngx_http_request_t *r, ngx_int_t rc);

/*
 * What an access handler returns that lets the caller in; and what one that
 * does not asks first: NGX_OK, answer; else return this status, for with
 * "satisfy any" another way may be open.  Both also work without that.
 */
ngx_int_t ngx_http_travel_admit(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_leave(ngx_http_request_t *r, travel_error_e code);

/*
 * Finishes r from an event that is not the client's (a reply, a timer):
 * restores the log context, finalizes, runs posted requests.  The request must
 * not be touched after it.
 */
void ngx_http_travel_finish(ngx_http_request_t *r, ngx_int_t rc);

/* Sends a complete body and returns what finalize wants.  'body' must live as
 * long as the request; type NULL means application/json.  While the context
 * has a 'divert', status and body go there, and the client hears nothing. */
ngx_int_t ngx_http_travel_send(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *type, ngx_str_t *body);

/* Events (event_stream.c): does the client accept them; their header, sent.
 * 'vary' lives as long as the request; an answer without a body has NGX_OK,
 * too, and r->header_only set. */
ngx_uint_t ngx_http_travel_event_stream_wanted(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_event_stream_header(ngx_http_request_t *r,
    const ngx_str_t *vary);

/* Adds a response header; key and value must live as long as the request.  For
 * who has to keep it where nginx's filters look; NULL: no memory. */
ngx_table_elt_t *ngx_http_travel_push_field(ngx_http_request_t *r,
    const ngx_str_t *key, const ngx_str_t *value);

/* For all others; the length of a literal is known when this is compiled. */
static ngx_inline ngx_int_t
ngx_http_travel_add_header(ngx_http_request_t *r, const char *key,
    const ngx_str_t *value)
{
    ngx_str_t  name;

    name.data = (u_char *) key;
    name.len = ngx_strlen(key);

    return ngx_http_travel_push_field(r, &name, value) ? NGX_OK : NGX_ERROR;
}

/* Retry-After, Age and the like: seconds. */
ngx_int_t ngx_http_travel_add_number(ngx_http_request_t *r, const char *key,
    uint64_t n);

/* The first request header of that name (lower case), or NULL. */
ngx_str_t *ngx_http_travel_header_in(ngx_http_request_t *r, const char *lower,
    size_t len);


/* --- a body that has been read -------------------------------------------- */

/* Its bytes, and a copy of so many at 'p'; NGX_ERROR: a file cannot be read. */
off_t ngx_http_travel_received_size(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_received_copy(ngx_http_request_t *r, u_char *p);


/* --- content dispatch by method ------------------------------------------ */

/*
 * A directive of a room (travel_query GET ..., travel_command POST ...) claims
 * methods of its location.  Unclaimed methods answer 405 with Allow; HEAD goes
 * where GET goes.  NGX_CONF_OK or an error text for the directive to return.
 */
char *ngx_http_travel_claim(ngx_conf_t *cf, ngx_uint_t methods,
    ngx_http_handler_pt handler);
/* From postconfiguration; nginx runs handlers of a phase from the last one
 * that was added to the first. */
ngx_int_t ngx_http_travel_phase(ngx_conf_t *cf, ngx_http_phases phase,
    ngx_http_handler_pt handler);
/* The first of all precontent handlers: what has to be done to a request before
 * any room or module looks at its fields again.  One room may have one. */
void ngx_http_travel_before_content(ngx_conf_t *cf,
    ngx_http_handler_pt handler);
/* Is the content of r's location a room's?  (Else it is proxy_pass or such.) */
ngx_uint_t ngx_http_travel_claimed(ngx_http_request_t *r);

/* "GET", "POST", ... as NGX_HTTP_GET ...; 0 when it is none we route. */
ngx_uint_t ngx_http_travel_method(const ngx_str_t *name);


/* --- main configuration -------------------------------------------------- */

/*
 * travel_catalog DIRECTORY;            conf/travel; relative to nginx's prefix
 * travel_consistency_key FILE;         signs tokens; the same on every node
 */
typedef struct {
    ngx_str_t              catalog;        /* absolute, NUL-terminated */
    ngx_str_t              consistency_secret;
    ngx_str_t              problem_base;   /* of problem types; empty: ours */
    ngx_http_handler_pt    before_content; /* NULL */
    ngx_array_t            error_pages;    /* ngx_str_t: locations' names */
    ngx_array_t            zones;          /* ngx_http_travel_zone_t * */
    ngx_array_t            counters;       /* core's own */
    ngx_shm_zone_t        *counter_zone;
} ngx_http_travel_main_conf_t;

/* problems.c: the pages of problem types. */
char *ngx_http_travel_problems(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

ngx_http_travel_main_conf_t *ngx_http_travel_main_conf(ngx_conf_t *cf);
/* NULL when the configuration has no http{}. */
ngx_http_travel_main_conf_t *ngx_http_travel_cycle_conf(ngx_cycle_t *cycle);


/* --- shared zones -------------------------------------------------------- */

/*
 * travel_zone NAME SIZE [shards=N];
 *
 * A zone is N nginx shared zones ("travel_NAME_0" ...).  Each shard is under
 * its own shpool->mutex, the only lock the master frees when a worker dies,
 * and has a dirty word: set on lock, cleared on unlock, so that the next
 * locker finds a shard that a crash left half-changed and empties it.
 *
 * Zones survive reload and worker exit; a new layout version refuses the
 * reload with a message, and an upgrade of the binary starts them empty.
 */

typedef struct ngx_http_travel_zone_s   ngx_http_travel_zone_t;
typedef struct ngx_http_travel_shard_s  ngx_http_travel_shard_t;

/* Lays out an empty shard: allocates from shard->pool with the _locked calls of
 * ngx_slab and sets shard->data.  Called at start and when a dirty shard is
 * emptied (then under the lock; it must not block or log). */
typedef ngx_int_t (*ngx_http_travel_shard_init_pt)(
    ngx_http_travel_shard_t *shard);

struct ngx_http_travel_shard_s {
    ngx_http_travel_zone_t        *zone;
    ngx_shm_zone_t                *shm_zone;
    ngx_slab_pool_t               *pool;
    void                          *root;      /* shm: core's, first in pool */
    void                          *data;      /* shm: the room's root; set by
                                                 init, refreshed by lock */
    ngx_uint_t                     number;
};

struct ngx_http_travel_zone_s {
    ngx_str_t                      name;
    size_t                         size;      /* of all shards together */
    size_t                         default_size;
    ngx_uint_t                     nshards;
    ngx_uint_t                     default_shards;
    ngx_uint_t                     layout;    /* the room's layout version */
    ngx_http_travel_shard_init_pt  init;
    ngx_http_travel_shard_t       *shards;

    /* where travel_zone stood, for what is only found wrong at the end */
    ngx_str_t                      file;
    ngx_uint_t                     line;
};

/*
 * A room takes part in the zone NAME at configuration time: made with
 * 'default_size' and 'default_shards' when nginx.conf has no travel_zone line
 * for it.  Call it once per cycle, from a directive or postconfiguration.
 */
ngx_http_travel_zone_t *ngx_http_travel_zone(ngx_conf_t *cf, const char *name,
    size_t default_size, ngx_uint_t default_shards, ngx_uint_t layout,
    ngx_http_travel_shard_init_pt init);

/* Which shard a hash belongs to (its high bits decide). */
ngx_http_travel_shard_t *ngx_http_travel_shard(ngx_http_travel_zone_t *zone,
    uint64_t hash);

/*
 * The key of a zone's hash, for an init: one for all shards, so that the hash
 * can choose the shard.  Drawn by the first, taken from a neighbour by the
 * others and after a crash.  'offset' is where rooms' roots have theirs.
 */
ngx_int_t ngx_http_travel_shard_key(ngx_http_travel_shard_t *shard,
    travel_siphash_key_t *ret_key, size_t offset);

/* Between the two: bounded, memory-only work; no I/O, no log, no r->pool
 * growth beyond a bounded copy. */
void ngx_http_travel_shard_lock(ngx_http_travel_shard_t *shard);
void ngx_http_travel_shard_unlock(ngx_http_travel_shard_t *shard);

/* How many times a shard of the zone was found dirty and emptied. */
ngx_uint_t ngx_http_travel_zone_emptied(ngx_http_travel_zone_t *zone);


/* --- counters ------------------------------------------------------------ */

/*
 * Named counters in shared memory, for /metrics and tests; one atomic add.
 * Declared at configuration time, so the set is fixed.
 */
typedef ngx_atomic_t  ngx_http_travel_counter_t;

/* 'name' is the Prometheus name with its labels, kept as it is:
 * "travel_cache_total{result=\"hit\"}".  The same name gives the same index;
 * NGX_ERROR when there are too many. */
ngx_int_t ngx_http_travel_counter_add(ngx_conf_t *cf, const char *name,
    const char *help);
void ngx_http_travel_count(ngx_uint_t index, ngx_int_t n);
/* Renders all of them; for observe. */
size_t ngx_http_travel_counters_size(void);
u_char *ngx_http_travel_counters_render(u_char *p, u_char *last);

#endif /* NGX_HTTP_TRAVEL_H */
