/*
 * What the files of net share and no other room sees: the configuration of
 * servers and roles, the watch on a file descriptor that a library owns, and
 * the start and stop of this nginx worker's links.
 */

#ifndef NGX_HTTP_TRAVEL_NET_H
#define NGX_HTTP_TRAVEL_NET_H

#include "ngx_http_travel_pg.h"
#include "ngx_http_travel_redis.h"

/* Waits between two attempts to connect: full jitter over the range, ms. */
#define NGX_HTTP_TRAVEL_RETRY_FLOOR  50
#define NGX_HTTP_TRAVEL_RETRY_CAP    1950


/* --- configuration: written by the directives, read-only afterwards ------- */

typedef struct {
    ngx_int_t     connects;       /* counters, by index */
    ngx_int_t     drops;
    ngx_int_t     commands;       /* commands or queries sent */
    ngx_int_t     timeouts;
    ngx_int_t     busy;
    ngx_int_t     resent;         /* queries that a neighbour's error undid */
    ngx_int_t     cancels;
    ngx_int_t     shed;           /* gave their place in line to others */
    ngx_int_t     moved;          /* sent again: a cluster's slot has moved */
    ngx_int_t     asked;          /* or is being moved */
} ngx_http_travel_net_counters_t;


/* One address of a role's Redis. */
typedef struct {
    char                           *path;       /* unix socket, or NULL: */
    char                           *addr;       /* numeric */
    in_port_t                       port;
} ngx_http_travel_redis_server_t;


typedef struct {
    ngx_str_t                       name;       /* "queue", "cache" */
    ngx_array_t                     servers;    /* of the above; one of them is
                                                   the master, or each knows
                                                   the cluster */
    ngx_uint_t                      acks;       /* replicas that must have what
                                                   is accepted */
    ngx_str_t                       user;
    ngx_str_t                       password;
    ngx_uint_t                      db;
    ngx_msec_t                      timeout;
    ngx_flag_t                      cluster;
    ngx_http_travel_net_counters_t  counters;
    ngx_uint_t                      configured;
} ngx_http_travel_redis_conf_t;


typedef struct {
    ngx_http_travel_pg_server_info_t  info;
    const char                      **keywords;      /* of libpq, NULL ends */
    const char                      **values_fast;
    const char                      **values_slow;
    ngx_uint_t                        pipeline;
    ngx_uint_t                        queue;
    ngx_uint_t                        slow;          /* slow sessions */
    ngx_msec_t                        timeout;       /* class fast, at most */
    ngx_msec_t                        slow_timeout;  /* class slow, at most */
    ngx_http_travel_net_counters_t    counters;
} ngx_http_travel_pg_conf_t;


typedef struct {
    ngx_http_travel_redis_conf_t   redis[NGX_HTTP_TRAVEL_REDIS_ROLES];
    ngx_array_t                    servers;    /* ngx_http_travel_pg_conf_t */
} ngx_http_travel_net_conf_t;


/* Directives, each in the file of its server's kind. */
char *ngx_http_travel_redis_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_travel_pg_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The first line of a file, for password_file=. */
ngx_int_t ngx_http_travel_net_secret(ngx_conf_t *cf, ngx_str_t *file,
    ngx_str_t *ret_secret);
/* Resolves "host" while blocking is allowed: at configuration time. */
ngx_int_t ngx_http_travel_net_resolve(ngx_conf_t *cf, ngx_str_t *host,
    in_port_t port, char ***ret_addrs, ngx_uint_t *ret_n);
char *ngx_http_travel_net_cstr(ngx_pool_t *pool, const ngx_str_t *s);
ngx_int_t ngx_http_travel_net_counters(ngx_conf_t *cf, const char *kind,
    ngx_str_t *name, ngx_http_travel_net_counters_t *ret_counters);


/* --- a watched descriptor ------------------------------------------------- */

/*
 * The library (hiredis, libpq) owns the descriptor: it opens and closes it.
 * We only watch, level-triggered, because neither reads until EAGAIN.
 * Release before the library closes, or say that it has closed already.
 */
ngx_connection_t *ngx_http_travel_fd_open(int fd, void *data,
    ngx_event_handler_pt read, ngx_event_handler_pt write);
ngx_int_t ngx_http_travel_fd_read(ngx_connection_t *c, ngx_uint_t on);
ngx_int_t ngx_http_travel_fd_write(ngx_connection_t *c, ngx_uint_t on);
void ngx_http_travel_fd_release(ngx_connection_t **pc, ngx_uint_t closed);

/* When to try again after 'attempt' failures. */
ngx_msec_t ngx_http_travel_net_backoff(ngx_uint_t attempt);


/* --- this worker's links -------------------------------------------------- */

/* Idempotent: rooms may ask for feeds before net's own init_process. */
ngx_int_t ngx_http_travel_net_start(ngx_cycle_t *cycle);

ngx_int_t ngx_http_travel_redis_start(ngx_cycle_t *cycle,
    ngx_http_travel_net_conf_t *conf);
void ngx_http_travel_redis_stop(void);
void ngx_http_travel_feed_stop(void);

ngx_int_t ngx_http_travel_pg_start(ngx_cycle_t *cycle,
    ngx_http_travel_net_conf_t *conf);
void ngx_http_travel_pg_stop(void);


#endif /* NGX_HTTP_TRAVEL_NET_H */
