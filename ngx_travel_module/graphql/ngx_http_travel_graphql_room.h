/* What graphql's own files share and no other room may use. */

#ifndef NGX_HTTP_TRAVEL_GRAPHQL_ROOM_H
#define NGX_HTTP_TRAVEL_GRAPHQL_ROOM_H

#include "ngx_http_travel_graphql.h"
#include "../query/ngx_http_travel_query.h"
#include "../auth/ngx_http_travel_auth.h"
#include "../command/ngx_http_travel_command.h"
#include "../net/ngx_http_travel_inner.h"
#include "../../common/cursor.h"
#include "../../common/graphql/part.h"
#include "../../common/graphql/text.h"
#include "../../common/graphql/validate.h"
#include "../../common/json_writer.h"

#define NGX_HTTP_TRAVEL_GRAPHQL_PLANS    512   /* kept by a worker */
#define NGX_HTTP_TRAVEL_GRAPHQL_ROOTS    64    /* of an operation */
#define NGX_HTTP_TRAVEL_GRAPHQL_BATCH    50    /* no batch= is larger */
#define NGX_HTTP_TRAVEL_GRAPHQL_TIMEOUT  5000  /* ms, of a statement */
#define NGX_HTTP_TRAVEL_GRAPHQL_MARK     32    /* hex characters */
#define NGX_HTTP_TRAVEL_GRAPHQL_INVALID  422   /* as strict clients hear it */
#define NGX_HTTP_TRAVEL_GRAPHQL_PARTIAL  294   /* ... and data with errors */
#define NGX_HTTP_TRAVEL_GRAPHQL_MISTAKES 32    /* that are told at once */


/* A mutation's field and its command. */
typedef struct {
    const travel_graphql_map_field_t  *field;
    const ngx_http_travel_order_t     *order;
} ngx_http_travel_graphql_order_t;

typedef struct {
    ngx_str_t                          file;
    ngx_str_t                          sdl;
    travel_graphql_text_t              public;     /* as clients may see it */
    travel_graphql_document_t         *document;
    travel_graphql_schema_t           *schema;
    travel_graphql_mapping_t          *mapping;
    ngx_http_travel_read_conf_t       *reads;
    ngx_array_t                        orders;
    ngx_uint_t                         planned;    /* counters */
    ngx_uint_t                         reused;
    ngx_uint_t                         refused;
    ngx_uint_t                         partial;
} ngx_http_travel_graphql_main_conf_t;

typedef struct {
    ngx_uint_t                         depth;
    ngx_uint_t                         fields;
    ngx_uint_t                         cost;
    ngx_uint_t                         batch;      /* 0: none are taken */
    ngx_http_travel_door_t            *door;       /* for those of a batch */
    size_t                             max_body;
    ngx_array_t                       *allowed;    /* documents, or NULL */
    ngx_str_t                          graphiql;   /* its files' URI; empty:
                                                      there is no page */
    ngx_uint_t                         enabled;
    ngx_uint_t                         apq;
    ngx_uint_t                         strict;     /* 422 and 294 */
} ngx_http_travel_graphql_loc_conf_t;

/* A document of the allow-list. */
typedef struct {
    u_char                             id[2 * TRAVEL_SHA256_LEN];
    ngx_str_t                          text;
} ngx_http_travel_graphql_allowed_t;


/* --- plans of this nginx worker (plans.c) -------------------------------- */

typedef struct {
    ngx_queue_t                        lru;
    ngx_queue_t                        chain;
    uint64_t                           hash;
    ngx_str_t                          query;      /* ngx_alloc()ed, both in
                                                      one piece */
    ngx_str_t                          operation;
    ngx_str_t                          shape;
    travel_graphql_part_t              part;       /* zeroed: all of it */
    ngx_uint_t                         refs;       /* requests that use it */
    travel_graphql_plan_t             *plan;       /* NULL: an empty slot */
    travel_graphql_statement_t         alone;      /* of a part */
    const travel_graphql_statement_t  *sql;
    uint8_t                            digest[TRAVEL_SHA256_LEN];
    travel_query_t                     query_like; /* for the query room */
    ngx_http_travel_pg_statement_t     statement;
    u_char                             name[24];
} ngx_http_travel_graphql_plan_t;

typedef struct ngx_http_travel_graphql_s  ngx_http_travel_graphql_t;

/* How a root ended: NGX_OK and the rows of g->part's statement, or an error. */
typedef void (*ngx_http_travel_graphql_asked_pt)(ngx_http_travel_graphql_t *g,
    ngx_int_t rc, ngx_http_travel_pg_result_t *result);

/* A request. */
struct ngx_http_travel_graphql_s {
    ngx_http_request_t                 *request;
    ngx_http_travel_graphql_loc_conf_t *conf;
    ngx_http_travel_graphql_main_conf_t *main;
    travel_json_t                      *json;
    travel_json_t                      *json2;     /* GET: its variables */
    ngx_str_t                           query;
    ngx_str_t                           operation;
    travel_graphql_variables_t          variables;
    travel_graphql_report_t            *report;    /* why it is not valid */
    ngx_str_t                           hash;      /* of a persisted query */
    ngx_http_travel_graphql_plan_t     *plan;      /* held */
    ngx_http_travel_graphql_plan_t     *part;      /* held: one root alone */
    const char                        **values;
    ngx_http_travel_read_t              read;
    ngx_http_travel_route_need_t        need;
    u_char                              mark[NGX_HTTP_TRAVEL_GRAPHQL_MARK + 1];
    ngx_uint_t                          root;      /* being asked alone */
    travel_graphql_search_t             search;    /* how far that is */
    ngx_uint_t                          tries;     /* statements of searches */
    ngx_msec_t                          since;     /* the first of them */
    ngx_http_travel_graphql_asked_pt    asked;
    ngx_str_t                          *pieces;    /* of the roots */
    ngx_int_t                          *failures;  /* errors, or NGX_OK */
    ngx_str_t                          *messages;  /* of mutations, or NULL */
    ngx_str_t                           told;      /* errors of nulls that may
                                                      not be, by commas */
    ngx_str_t                           made;      /* id of what was made */
    ngx_str_t                           job;
    unsigned                            finished:1;   /* the job */
    unsigned                            get:1;
    unsigned                            modern:1;  /* graphql-response+json */
    unsigned                            async:1;
    unsigned                            inside:1;  /* the body's handler */
};

/* The plan for the request's document and variables, held until the request
 * ends or it is let go; 'part' NULL: all of it.  NGX_OK; NGX_DECLINED:
 * *ret_error, and all that is wrong in g->report; NGX_ERROR. */
ngx_int_t ngx_http_travel_graphql_plan(ngx_http_travel_graphql_t *g,
    const travel_graphql_part_t *part,
    ngx_http_travel_graphql_plan_t **ret_plan,
    travel_graphql_error_t *ret_error);
void ngx_http_travel_graphql_let_go(ngx_http_travel_graphql_t *g,
    ngx_http_travel_graphql_plan_t *plan);
/* Are the variables what the operation wants?  NGX_OK; NGX_DECLINED:
 * *ret_error and g->report; NGX_ERROR. */
ngx_int_t ngx_http_travel_graphql_coerce(ngx_http_travel_graphql_t *g,
    const travel_graphql_ast_t *operation, travel_graphql_error_t *ret_error);
ngx_int_t ngx_http_travel_graphql_plans_init(ngx_cycle_t *cycle);
void ngx_http_travel_graphql_plans_exit(void);
/* Persisted documents of this worker, by hash (64 hex characters). */
ngx_int_t ngx_http_travel_graphql_recall(const ngx_str_t *hash,
    ngx_str_t *ret_query);
void ngx_http_travel_graphql_remember(const ngx_str_t *hash,
    const ngx_str_t *query);


/* --- a request (request.c) ----------------------------------------------- */

ngx_int_t ngx_http_travel_graphql_handler(ngx_http_request_t *r);
void ngx_http_travel_graphql_end(ngx_http_travel_graphql_t *g, ngx_int_t rc);
void ngx_http_travel_graphql_request_exit(void);


/* --- batches (batch.c) --------------------------------------------------- */

/* The body is an array.  NGX_AGAIN: it will end the request; otherwise as
 * finalize wants it. */
ngx_int_t ngx_http_travel_graphql_batch(ngx_http_travel_graphql_t *g,
    const ngx_str_t *body);


/* --- the page (page.c) --------------------------------------------------- */

/* NGX_DECLINED: it is not the page that is asked for. */
ngx_int_t ngx_http_travel_graphql_page(ngx_http_request_t *r,
    const ngx_http_travel_graphql_loc_conf_t *glcf);


/* --- its execution (execute.c) ------------------------------------------- */

/* The document and its variables are known: always ends the request. */
void ngx_http_travel_graphql_execute(ngx_http_travel_graphql_t *g);
/* What a statement's values are: NUL-terminated, NULL for null. */
ngx_int_t ngx_http_travel_graphql_bind(ngx_http_travel_graphql_t *g,
    const ngx_http_travel_graphql_plan_t *plan, const char ***ret_values,
    travel_graphql_error_t *ret_error);


/* --- roots one by one (roots.c) ------------------------------------------- */

/* The operation as a whole failed: answers what can be answered.  NGX_AGAIN: it
 * will end the request; otherwise as finalize wants it. */
ngx_int_t ngx_http_travel_graphql_roots(ngx_http_travel_graphql_t *g,
    ngx_int_t failure);
/* The root that g->root is the number of. */
const travel_graphql_node_t *ngx_http_travel_graphql_current(
    ngx_http_travel_graphql_t *g);
/* Reads of roots go to where the caller's own writes are, from now on. */
void ngx_http_travel_graphql_own(ngx_http_travel_graphql_t *g);
/* Reads that root alone, from where g->need says; if that fails, without the
 * fields that are to blame.  NGX_OK: 'asked' will be called; NGX_ERROR. */
ngx_int_t ngx_http_travel_graphql_ask_root(ngx_http_travel_graphql_t *g,
    ngx_http_travel_graphql_asked_pt asked);


/* --- mutations (mutation.c) ---------------------------------------------- */

/* Always ends the request, unless NGX_ERROR. */
ngx_int_t ngx_http_travel_graphql_mutate(ngx_http_travel_graphql_t *g);
/* What a payload's "job" says, NUL-terminated. */
ngx_int_t ngx_http_travel_graphql_job(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, const char **ret_json);


/* --- subscriptions (watch.c) ---------------------------------------------- */

/* Ends the request; NGX_DECLINED: *ret_error, NGX_ERROR: it does not. */
ngx_int_t ngx_http_travel_graphql_subscribe(ngx_http_travel_graphql_t *g,
    travel_graphql_error_t *ret_error);
/* A query that is about to be read: is it to be told again when it changes?
 * Then who asked is left what he has to know. */
ngx_int_t ngx_http_travel_graphql_leave(ngx_http_travel_graphql_t *g);
void ngx_http_travel_graphql_watches_init(void);
void ngx_http_travel_graphql_watches_exit(void);


/* --- cursors (cursor.c) -------------------------------------------------- */

/* The keys of a connection's "after", NUL-terminated. */
ngx_int_t ngx_http_travel_graphql_cursor_read(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *node, travel_str_t text,
    const char *ret_keys[TRAVEL_GRAPHQL_KEYS_MAX]);
/* Signs what a body's marks stand for. */
ngx_int_t ngx_http_travel_graphql_cursor_body(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *roots, ngx_str_t *body);


/* --- answers (answer.c) -------------------------------------------------- */

/* The text, NUL-terminated, as the request's own; and frees it. */
ngx_int_t ngx_http_travel_graphql_keep(ngx_http_travel_graphql_t *g,
    travel_graphql_text_t *text, ngx_str_t *ret_text);
/*
 * What a statement answered, {"data":OBJECT}, becomes OBJECT as the schema
 * promises it; what had to become null for that is told in g->told.  'nodes',
 * 'only' and 'above' are those of the statement (common/graphql/complete.h).
 */
ngx_int_t ngx_http_travel_graphql_data(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *nodes, ngx_uint_t only,
    const travel_graphql_node_t *above, ngx_str_t *body);
/* The same of what g->part's statement answered, cursors included. */
ngx_int_t ngx_http_travel_graphql_part(ngx_http_travel_graphql_t *g,
    ngx_http_travel_pg_result_t *result, ngx_str_t *ret_body);
/* 200, or what strict clients hear when there are errors beside data. */
ngx_uint_t ngx_http_travel_graphql_well(ngx_http_travel_graphql_t *g,
    ngx_uint_t failed);
/* {"data": ...} that is complete. */
ngx_int_t ngx_http_travel_graphql_send(ngx_http_travel_graphql_t *g,
    ngx_uint_t status, ngx_str_t *body);
/* {"errors": [...]}, without data: nothing was executed.  All of g->report, or
 * the one error when there is none. */
ngx_int_t ngx_http_travel_graphql_refuse(ngx_http_travel_graphql_t *g,
    ngx_uint_t status, const travel_graphql_error_t *error);
/* The same with a sentence. */
ngx_int_t ngx_http_travel_graphql_error(ngx_http_travel_graphql_t *g,
    ngx_uint_t status, travel_error_e code, const char *fmt, ...);
/* Data and errors of roots that were asked one by one. */
ngx_int_t ngx_http_travel_graphql_partial(ngx_http_travel_graphql_t *g);

#endif
