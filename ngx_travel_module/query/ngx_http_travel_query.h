/*
 * Read it: named prepared SQL, the replica router, read-your-writes.
 *
 *     travel_query METHOD NAME [param=VALUE ...];
 *
 * The catalog's queries (conf/travel/queries/NAME.sql) are parsed by
 * common/catalog.h at configuration time.  A parameter that is not named takes
 * $arg_<name>; a value that is "$arg_..." alone is percent-decoded, any other
 * is taken as it is.
 */

#ifndef NGX_HTTP_TRAVEL_QUERY_H
#define NGX_HTTP_TRAVEL_QUERY_H

#include "../core/ngx_http_travel.h"
#include "../net/ngx_http_travel_pg.h"
#include "../cache/ngx_http_travel_cache.h"
#include "../../common/catalog.h"

/* A catalog query by name; NULL after logging why with cf's file and line. */
const travel_query_t *ngx_http_travel_query_find(ngx_conf_t *cf,
    const ngx_str_t *name);

/* The net statement of a catalog query (same object for the same query). */
const ngx_http_travel_pg_statement_t *ngx_http_travel_query_statement(
    ngx_conf_t *cf, const travel_query_t *query);


/* --- the router ---------------------------------------------------------- */

typedef struct {
    travel_lsn_t       floor;     /* replayed at least this; {0}: any fit */
    travel_priority_e  priority;  /* the low spill over to the primary less */
    unsigned           primary:1;    /* only the primary will do */
    unsigned           analytics:1;  /* only the analytics servers may */
} ngx_http_travel_route_need_t;

typedef struct {
    ngx_http_travel_pg_server_t  *server;
    travel_lsn_t                  replay;   /* known before the query is sent;
                                               of the primary: its flush LSN */
    unsigned                      unverified:1;   /* no primary is known */
} ngx_http_travel_route_t;

/* Replica first, the primary when none is fit; NGX_OK, NGX_DECLINED none,
 * NGX_BUSY: the primary has all that it may be given for lost replicas. */
ngx_int_t ngx_http_travel_route(const ngx_http_travel_route_need_t *need,
    ngx_http_travel_route_t *ret_route);

/* State of the i-th server as the probes see it, for /ready and /metrics. */
typedef struct {
    ngx_str_t       name;
    unsigned        up:1;
    unsigned        fit:1;
    unsigned        primary:1;
    unsigned        analytics:1;
    travel_lsn_t    replay;
    ngx_msec_t      lag;
    ngx_uint_t      share;        /* of a fit replica's full share, percent */
    ngx_uint_t      in_flight;
} ngx_http_travel_route_state_t;

ngx_uint_t ngx_http_travel_route_states(ngx_http_travel_route_state_t *states,
    ngx_uint_t max);


/* --- for command: prechecks and reading a resource back ------------------ */

/*
 * Runs a query for a room: 'values' by the query's parameter order (text, NULL
 * for SQL NULL; :viewer is bound by itself); they must live as long as r.
 * done(r, data, rc, result): rc NGX_OK with rows, or what went wrong as a
 * travel_error_e, which ngx_http_travel_query_refuse() words.  NGX_OK: done
 * will be called, never from inside this call, and not when r ends before;
 * NGX_ERROR: out of memory.  A 'need' of NULL: any fit server.
 */
typedef void (*ngx_http_travel_query_done_pt)(ngx_http_request_t *r,
    void *data, ngx_int_t rc, ngx_http_travel_pg_result_t *result);

ngx_int_t ngx_http_travel_query_run(ngx_http_request_t *r,
    const travel_query_t *query,
    const ngx_http_travel_pg_statement_t *statement,
    const char *const *values, const ngx_http_travel_route_need_t *need,
    ngx_http_travel_query_done_pt done, void *data);

/* Answers with such an rc: the sentence, Retry-After where it helps. */
ngx_int_t ngx_http_travel_query_refuse(ngx_http_request_t *r, ngx_int_t rc);

/*
 * For graphql: a read whose statement and answer are the caller's, on the way
 * of a travel_query: the writes of the caller, the cache and the running fills
 * (the location's travel_cache), the router, what is stale.
 */
typedef struct ngx_http_travel_read_conf_s  ngx_http_travel_read_conf_t;

typedef struct {
    ngx_http_travel_read_conf_t           *conf;
    const travel_query_t                  *query;     /* nparams = nbinds, no
                                                         viewer of its own */
    const ngx_http_travel_pg_statement_t  *statement;
    const char *const                     *values;
    ngx_str_t                              identity;
    ngx_str_t                              tags;
    ngx_msec_t                             ttl;       /* ms at most; 0: the
                                                         cache is left aside */
    const travel_consistency_t            *write;     /* not older, or NULL */
    void                                  *data;

    /* What is kept of a result, which lives as long as r, and the tags of its
     * rows, separated by spaces.  NGX_DONE: it is an answer, but not kept. */
    ngx_int_t   (*body)(ngx_http_request_t *r, void *data,
                        ngx_http_travel_pg_result_t *result,
                        ngx_str_t *ret_body, ngx_str_t *ret_tags);
    /* Answers with what was found or made; 'kept': by the cache.  What finalize
     * wants, or NGX_AGAIN: the caller goes on and finishes r. */
    ngx_int_t   (*answer)(ngx_http_request_t *r, void *data,
                          ngx_http_travel_hit_t *hit, ngx_uint_t kept);
    /* The same for a travel_error_e. */
    ngx_int_t   (*failed)(ngx_http_request_t *r, void *data, ngx_int_t rc);
    /* Ends r with what finalize wants; also from inside _query_read(). */
    void        (*end)(ngx_http_request_t *r, void *data, ngx_int_t rc);
} ngx_http_travel_read_t;

/* Counters "route"; at configuration. */
ngx_http_travel_read_conf_t *ngx_http_travel_query_read_conf(ngx_conf_t *cf,
    const ngx_str_t *route);
/* 'read' must live as long as r, whose body was read.  Always ends r. */
void ngx_http_travel_query_read(ngx_http_request_t *r,
    const ngx_http_travel_read_t *read);
/* What cursors are signed with. */
travel_str_t ngx_http_travel_query_cursor_secret(ngx_http_request_t *r);

/*
 * What this request must not read older than: its Travel-Consistency token,
 * the caller's last write on this node.  NGX_OK; NGX_AGAIN: the token is a job
 * id besides, which only a resolver can tell; NGX_ABORT: a token that is signed
 * by a key we do not know, only the primary will do; NGX_DECLINED: no token at
 * all by its shape.
 */
ngx_int_t ngx_http_travel_query_need(ngx_http_request_t *r,
    travel_consistency_t *ret_need);

/*
 * A single-resource query that found no row asks this before answering 404:
 * is there an accepted command that will make it?  Set by command at
 * configuration.  Returns NGX_DECLINED (no: 404), NGX_DONE (it will finish r).
 */
typedef ngx_int_t (*ngx_http_travel_pending_pt)(ngx_http_request_t *r,
    const travel_query_t *query, const ngx_str_t *id);
void ngx_http_travel_query_set_pending(ngx_http_travel_pending_pt pending);

/* For the pending hook: the job has ended meanwhile, read once more, not older
 * than 'write'.  It finishes r. */
void ngx_http_travel_query_again(ngx_http_request_t *r,
    const travel_consistency_t *write);

/*
 * Resolves the token "job:ID" of a 202, set by command at configuration.
 * NGX_AGAIN: resolved() will be called once, unless r ends before, with NGX_OK
 * and the write, or NGX_DECLINED when there is none (yet); NGX_DECLINED: not
 * the caller's job, or not to be known now.
 */
typedef void (*ngx_http_travel_resolved_pt)(ngx_http_request_t *r,
    ngx_int_t rc, const travel_consistency_t *write);
typedef ngx_int_t (*ngx_http_travel_token_resolver_pt)(ngx_http_request_t *r,
    const ngx_str_t *job, ngx_msec_t timeout,
    ngx_http_travel_resolved_pt resolved);
void ngx_http_travel_query_set_token_resolver(
    ngx_http_travel_token_resolver_pt resolver);

extern ngx_module_t  ngx_http_travel_query_module;

#endif
