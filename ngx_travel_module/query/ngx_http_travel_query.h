/*
 * Read it: named prepared SQL, the replica router, read-your-writes.
 *
 *     travel_query METHOD NAME [param=VALUE ...];
 *
 * The catalog's queries (conf/travel/queries/NAME.sql) are parsed by
 * common/catalog.h at configuration time.
 */

#ifndef NGX_HTTP_TRAVEL_QUERY_H
#define NGX_HTTP_TRAVEL_QUERY_H

#include "../core/ngx_http_travel.h"
#include "../net/ngx_http_travel_pg.h"
#include "../../common/catalog.h"

/* A catalog query by name; NULL after logging why with cf's file and line. */
const travel_query_t *ngx_http_travel_query_find(ngx_conf_t *cf,
    const ngx_str_t *name);

/* The net statement of a catalog query (same object for the same query). */
const ngx_http_travel_pg_statement_t *ngx_http_travel_query_statement(
    ngx_conf_t *cf, const travel_query_t *query);


/* --- the router ----------------------------------------------------------- */

typedef struct {
    travel_lsn_t    floor;        /* replayed at least this; {0}: anything fit */
    unsigned        primary:1;    /* only the primary will do */
} ngx_http_travel_route_need_t;

typedef struct {
    ngx_http_travel_pg_server_t  *server;
    travel_lsn_t                  replay;   /* known before the query is sent;
                                               of the primary: its flush LSN */
    unsigned                      unverified:1;   /* no primary is known */
} ngx_http_travel_route_t;

/* Replica first, the primary when none is fit; NGX_OK, NGX_DECLINED none. */
ngx_int_t ngx_http_travel_route(const ngx_http_travel_route_need_t *need,
    ngx_http_travel_route_t *ret_route);

/* State of the i-th server as the probes see it, for /ready and /metrics. */
typedef struct {
    ngx_str_t       name;
    unsigned        up:1;
    unsigned        fit:1;
    unsigned        primary:1;
    travel_lsn_t    replay;
    ngx_msec_t      lag;
    ngx_uint_t      in_flight;
} ngx_http_travel_route_state_t;

ngx_uint_t ngx_http_travel_route_states(ngx_http_travel_route_state_t *states,
    ngx_uint_t max);


/* --- for command: prechecks and reading a resource back ------------------ */

/*
 * Runs a query for a room: 'values' by the query's parameter order (text, NULL
 * for SQL NULL; :viewer is bound by itself).  done(r, data, rc, result): rc
 * NGX_OK with rows, or an error already worded for
 * ngx_http_travel_error (rc = the travel_error_e, negative never).
 */
typedef void (*ngx_http_travel_query_done_pt)(ngx_http_request_t *r,
    void *data, ngx_int_t rc, ngx_http_travel_pg_result_t *result);

ngx_int_t ngx_http_travel_query_run(ngx_http_request_t *r,
    const travel_query_t *query,
    const ngx_http_travel_pg_statement_t *statement,
    const char *const *values, const ngx_http_travel_route_need_t *need,
    ngx_http_travel_query_done_pt done, void *data);

/* What this request must not read older than: its Travel-Consistency token,
 * the caller's last write on this node. */
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

extern ngx_module_t  ngx_http_travel_query_module;

#endif
