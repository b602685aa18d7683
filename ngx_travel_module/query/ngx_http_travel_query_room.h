/* What query's own files share and no other room may use. */

#ifndef NGX_HTTP_TRAVEL_QUERY_ROOM_H
#define NGX_HTTP_TRAVEL_QUERY_ROOM_H

#include "ngx_http_travel_query.h"
#include "../cache/ngx_http_travel_cache.h"
#include "../../common/hash.h"
#include "../../common/cursor.h"

/* --- the catalog of a cycle ---------------------------------------------- */

typedef struct {
    travel_query_t                  *query;         /* freed with the cycle */
    ngx_http_travel_pg_statement_t   statement;
    ngx_http_travel_pg_statement_t   next;          /* later pages */
} ngx_http_travel_query_entry_t;

typedef struct {
    ngx_array_t    entries;       /* ngx_http_travel_query_entry_t * */
    ngx_str_t      cursor_secret; /* empty: no list has a cursor */
    ngx_uint_t     reads;         /* another room reads through us */
    ngx_uint_t     rerouted;      /* counters */
    ngx_uint_t     unavailable;
    ngx_uint_t     overloaded[TRAVEL_PRIORITY_MAX];
    ngx_uint_t     timed_out;
    ngx_uint_t     failed;
    ngx_uint_t     to_replica;
    ngx_uint_t     to_primary;
    ngx_uint_t     to_analytics;
    ngx_uint_t     to_frozen;
} ngx_http_travel_query_main_conf_t;

struct ngx_http_travel_read_conf_s {
    ngx_str_t      name;
    ngx_uint_t     cached[4];     /* as below */
    ngx_uint_t     answered;
    ngx_uint_t     not_found;
};

/* --- a location's query -------------------------------------------------- */

typedef struct {
    ngx_http_complex_value_t  *value;   /* NULL: the argument 'arg' */
    ngx_str_t                  arg;
} ngx_http_travel_query_source_t;

/* A piece of a tag template: literal text, then a value (or none). */
typedef struct {
    ngx_str_t      text;
    ngx_int_t      param;         /* index, or one of the two below */
    unsigned       space:1;       /* the piece starts a tag */
} ngx_http_travel_query_piece_t;

#define NGX_HTTP_TRAVEL_PIECE_END     -1
#define NGX_HTTP_TRAVEL_PIECE_VIEWER  -2

typedef struct {
    const travel_query_t                  *query;
    const ngx_http_travel_pg_statement_t  *statement;
    const ngx_http_travel_pg_statement_t  *next;     /* @cursor's later pages */
    ngx_str_t                              name;
    uint8_t                                digest[TRAVEL_SHA256_LEN];
    ngx_str_t                              requires;
    ngx_http_travel_query_source_t         sources[TRAVEL_QUERY_PARAMS_MAX];
    ngx_array_t                            pieces;
    ngx_uint_t                             priority;   /* unset: the file's */
    ngx_uint_t                             cached[4];      /* counters: hit,
                                                      stale, miss, bypass */
    ngx_uint_t                             answered;
    ngx_uint_t                             not_found;
} ngx_http_travel_query_loc_conf_t;

ngx_http_travel_query_main_conf_t *ngx_http_travel_query_main(
    ngx_http_request_t *r);

/* --- parameters ---------------------------------------------------------- */

/* Fills values[] (query->nparams, text or NULL, from r->pool).  NGX_OK, or what
 * ngx_http_finalize_request() wants after the client was told. */
ngx_int_t ngx_http_travel_query_params(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf, const char **values);
/* What makes the answer's identity: name and text of the query (a reload may
 * bring another), values, the viewer where bound. */
ngx_int_t ngx_http_travel_query_identity(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf, const char *const *values,
    ngx_str_t *ret_identity);
/* The query's tags, expanded; a tag with an absent value is left out. */
ngx_int_t ngx_http_travel_query_tags(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf, const char *const *values,
    ngx_str_t *ret_tags);
ngx_int_t ngx_http_travel_query_template(ngx_conf_t *cf,
    ngx_http_travel_query_loc_conf_t *qlcf);

/* values[], of a query with a cursor, end with the keys of the page before; all
 * NULL: the first page. */
#define NGX_HTTP_TRAVEL_QUERY_VALUES                                          \
    (TRAVEL_QUERY_PARAMS_MAX + TRAVEL_QUERY_KEYS_MAX)

/* --- cursors ------------------------------------------------------------- */

/* Fills keys[] (query->nkeys) from the request's "cursor".  NGX_OK;
 * NGX_DECLINED: it is none of this list's; NGX_ERROR. */
ngx_int_t ngx_http_travel_cursor_read(ngx_http_request_t *r,
    const ngx_http_travel_query_loc_conf_t *qlcf, ngx_str_t *text,
    const char **keys);
/* {items, next_cursor} of a page's row. */
ngx_int_t ngx_http_travel_cursor_body(ngx_http_request_t *r,
    const ngx_http_travel_query_loc_conf_t *qlcf,
    ngx_http_travel_pg_result_t *result, ngx_str_t *ret_body);
/* At the end of the configuration: what cursors are signed with. */
ngx_int_t ngx_http_travel_cursor_secret(ngx_conf_t *cf,
    ngx_http_travel_query_main_conf_t *qmcf);

/* --- a run: one statement on one server, or on a second one -------------- */

typedef struct {
    ngx_http_request_t                    *request;
    const travel_query_t                  *query;
    const ngx_http_travel_pg_statement_t  *statement;
    const char                           **values;       /* nbinds */
    ngx_http_travel_route_need_t           need;
    ngx_http_travel_route_t                route;
    ngx_http_travel_pg_server_t           *avoid;        /* it failed us */
    ngx_http_travel_query_done_pt          done;
    void                                  *data;
    travel_priority_e                      priority;
    ngx_event_t                            event;        /* retry, or failure */
    ngx_int_t                              rc;
    uint64_t                               sent_us;
    unsigned                               rerouted:1;
    unsigned                               waits:3;
    unsigned                               cleanup:1;
} ngx_http_travel_query_run_t;

/* run: zeroed, then request .. need, done, data and priority set. */
ngx_int_t ngx_http_travel_query_start(ngx_http_travel_query_run_t *run,
    const char *const *values);

/* --- the router ---------------------------------------------------------- */

/* As ngx_http_travel_route(), which see; NGX_AGAIN: this worker has just been
 * born and the probes are on their way. */
ngx_int_t ngx_http_travel_router_pick(const ngx_http_travel_route_need_t *need,
    const ngx_http_travel_pg_server_t *avoid,
    ngx_http_travel_route_t *ret_route);
/* A session of it broke under us: do not go there before the next probe. */
void ngx_http_travel_router_suspect(ngx_http_travel_pg_server_t *server);
ngx_int_t ngx_http_travel_router_init(ngx_cycle_t *cycle);
void ngx_http_travel_router_exit(void);

/* --- the answer to a GET ------------------------------------------------- */

ngx_int_t ngx_http_travel_query_handler(ngx_http_request_t *r);
ngx_http_travel_token_resolver_pt ngx_http_travel_query_resolver(void);

#endif
