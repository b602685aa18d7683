/*
 * PostgreSQL on nginx's event loop.  The only room that includes libpq.
 *
 *     travel_postgres primary|replica|analytics "conninfo" connections=4
 *                     pipeline=16 queue=1024 max_lag=5s slow_start=5s spill=N;
 *
 * Each nginx worker keeps 'connections' sessions per server in pipeline mode.
 * Statements are prepared once per session, by text, at first use.  A session
 * that breaks, or answers what was not asked, is dropped with a reason and
 * made again with backoff.  This room knows servers; which one a query should
 * go to is the router's question (query/).
 */

#ifndef NGX_HTTP_TRAVEL_PG_H
#define NGX_HTTP_TRAVEL_PG_H

#include "../core/ngx_http_travel.h"
#include "../../common/queues.h"

typedef enum {
    NGX_HTTP_TRAVEL_PG_PRIMARY,
    NGX_HTTP_TRAVEL_PG_REPLICA,
    NGX_HTTP_TRAVEL_PG_ANALYTICS
} ngx_http_travel_pg_role_e;

typedef enum {
    NGX_HTTP_TRAVEL_PG_FAST,      /* one Sync per loop turn, shared pipeline */
    NGX_HTTP_TRAVEL_PG_SLOW       /* own Sync, depth 1, may be cancelled */
} ngx_http_travel_pg_class_e;

typedef struct ngx_http_travel_pg_server_s  ngx_http_travel_pg_server_t;
typedef struct ngx_http_travel_pg_result_s  ngx_http_travel_pg_result_t;
typedef struct ngx_http_travel_pg_op_s      ngx_http_travel_pg_op_t;

/* A statement of the catalog: lives as long as the cycle.  Its text may change
 * between two calls, with 'version' counted up: then each session forgets the
 * old one when it next runs the new. */
typedef struct {
    ngx_str_t                     name;        /* prepared under this name */
    ngx_str_t                     sql;         /* NUL-terminated; $1 ... */
    ngx_uint_t                    nparams;
    ngx_http_travel_pg_class_e    class;
    ngx_msec_t                    timeout;
    uint32_t                      version;     /* 0 for what never changes */
} ngx_http_travel_pg_statement_t;


/*
 * handler(op, result): the rows, or an SQL error (see _sqlstate); result NULL:
 * none will come, op->lost says why (link lost, deadline, queue full).  Called
 * once; the op is freed after it.  If the request ends first the handler is
 * not called.  The result is the handler's: keep it with _result_keep or it is
 * cleared on return.
 */
typedef void (*ngx_http_travel_pg_handler_pt)(ngx_http_travel_pg_op_t *op,
    ngx_http_travel_pg_result_t *result);

struct ngx_http_travel_pg_op_s {
    ngx_uint_t                            magic;
    ngx_http_travel_pg_handler_pt         handler;
    void                                 *data;
    ngx_http_request_t                   *request;
    const ngx_http_travel_pg_statement_t *statement;
    ngx_http_travel_pg_server_t          *server;
    const char                           *lost;
    unsigned                              sent:1;
};

/* What op->lost points at when a more urgent query took its place in line. */
extern const char  ngx_http_travel_pg_shed[];

/*
 * Sends (or queues, bounded) a statement with text parameters; a NULL value is
 * SQL NULL; values are copied.  NGX_OK: the handler will be called; NGX_BUSY:
 * the server's wait queue is full of what is as urgent; NGX_DECLINED: the
 * server is down; NGX_ERROR.  The more urgent waits in front, and where the
 * queue is full the last of the least urgent makes room.
 */
ngx_int_t ngx_http_travel_pg_query(ngx_http_travel_pg_server_t *server,
    ngx_http_request_t *r, const ngx_http_travel_pg_statement_t *statement,
    const char *const *values, travel_priority_e priority,
    ngx_http_travel_pg_handler_pt handler, void *data);

/* A statement on the server's control session (probes), never pipelined with
 * the work; no request.  One at a time per server: NGX_BUSY otherwise. */
ngx_int_t ngx_http_travel_pg_probe(ngx_http_travel_pg_server_t *server,
    const ngx_http_travel_pg_statement_t *statement, ngx_msec_t timeout,
    ngx_http_travel_pg_handler_pt handler, void *data);


/* --- results -------------------------------------------------------------- */
const char *ngx_http_travel_pg_sqlstate(const ngx_http_travel_pg_result_t *res);
                                              /* NULL: rows, no error */
const char *ngx_http_travel_pg_message(const ngx_http_travel_pg_result_t *res);
ngx_uint_t ngx_http_travel_pg_rows(const ngx_http_travel_pg_result_t *res);
ngx_uint_t ngx_http_travel_pg_columns(const ngx_http_travel_pg_result_t *res);
/* data NULL: SQL NULL; points into the result. */
ngx_str_t ngx_http_travel_pg_value(const ngx_http_travel_pg_result_t *res,
    ngx_uint_t row, ngx_uint_t column);
/* The result now lives until r's pool is destroyed. */
ngx_int_t ngx_http_travel_pg_result_keep(ngx_http_travel_pg_result_t *res,
    ngx_http_request_t *r);


/* --- servers (one array per cycle, same index in every worker) ------------ */
typedef struct {
    ngx_str_t                    name;       /* "primary", "replica-1" ... */
    ngx_str_t                    namespace;  /* "travel|public", for traces */
    ngx_http_travel_pg_role_e    role;
    ngx_msec_t                   max_lag;
    ngx_msec_t                   slow_start; /* the share grows; 0: at once */
    ngx_uint_t                   spill;      /* reads at most, as a primary, of
                                                those that replicas lost */
    ngx_uint_t                   connections;
} ngx_http_travel_pg_server_info_t;

/* Servers of that role in the configuration being read. */
ngx_uint_t ngx_http_travel_pg_configured(ngx_conf_t *cf,
    ngx_http_travel_pg_role_e role);

ngx_uint_t ngx_http_travel_pg_server_count(void);
/* Will there be any?  While the configuration is made, from postconfiguration
 * on. */
ngx_uint_t ngx_http_travel_pg_declared(ngx_conf_t *cf);
ngx_http_travel_pg_server_t *ngx_http_travel_pg_server(ngx_uint_t i);
const ngx_http_travel_pg_server_info_t *ngx_http_travel_pg_server_info(
    const ngx_http_travel_pg_server_t *server);
/* Sessions ready for work; queries in flight and waiting. */
ngx_uint_t ngx_http_travel_pg_server_ready(
    const ngx_http_travel_pg_server_t *server);
ngx_uint_t ngx_http_travel_pg_server_load(
    const ngx_http_travel_pg_server_t *server);

#endif /* NGX_HTTP_TRAVEL_PG_H */
