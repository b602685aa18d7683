/*
 * What the files of commands share: an operation in our hands, its commands,
 * the servers they go to.  Private to net; redis.c opens with who owns what.
 */

#ifndef NGX_HTTP_TRAVEL_REDIS_CALL_H
#define NGX_HTTP_TRAVEL_REDIS_CALL_H

#include "ngx_http_travel_redis_link.h"

#define NGX_HTTP_TRAVEL_REDIS_HELD      2        /* commands of a durable op */


typedef struct ngx_http_travel_redis_role_s     ngx_http_travel_redis_role_t;
typedef struct ngx_http_travel_redis_cluster_s  ngx_http_travel_redis_cluster_t;


/* A server, and what is under way there. */
typedef struct {
    ngx_http_travel_link_t          link;
    ngx_http_travel_redis_role_t   *role;
    ngx_queue_t                     durable;      /* calls of this turn */
    ngx_uint_t                      outstanding;  /* cmds, drained ones too */
    ngx_http_travel_redis_server_t  at;           /* of a cluster's */
} ngx_http_travel_redis_node_t;


struct ngx_http_travel_redis_role_s {
    ngx_http_travel_redis_node_t      node;       /* a cluster's seed */
    ngx_http_travel_redis_cluster_t  *cluster;    /* NULL: it is none */
    ngx_queue_t                       waiting;    /* calls, by deadline */
    ngx_event_t                       deadline;
};


typedef struct {
    ngx_http_travel_redis_op_t     op;           /* first: what rooms see */
    ngx_queue_t                    queue;        /* waiting, or free */
    ngx_http_travel_redis_role_t  *role;
    ngx_http_travel_redis_node_t  *node;         /* of the last command */
    ngx_http_cleanup_t            *cleanup;      /* of op.request */
    ngx_uint_t                     commands;     /* appended */
    ngx_uint_t                     outstanding;  /* cmds that hiredis holds */
    ngx_uint_t                     answered;
    ngx_uint_t                     epoch;        /* the link's, at the last */
    ngx_msec_t                     deadline;
    ngx_queue_t                    durable;      /* node's, or a barrier's */
    redisReply                    *held[NGX_HTTP_TRAVEL_REDIS_HELD];
    unsigned                       gathered:1;   /* in node->durable */
    unsigned                       barred:1;     /* behind a WAIT */
    unsigned                       rebar:1;      /* behind another one, too */
    unsigned                       few:1;        /* so said an earlier one */
    unsigned                       spread:1;     /* over several servers */
    unsigned                       waiting:1;    /* in role->waiting */
    unsigned                       done:1;       /* no more handler calls */
    unsigned                       busy:1;       /* inside its handler */
    unsigned                       released:1;   /* its request has ended */
} ngx_http_travel_redis_call_t;


typedef struct {
    ngx_queue_t                    queue;        /* free */
    ngx_http_travel_redis_call_t  *call;
    ngx_http_travel_redis_node_t  *node;         /* where it was sent last */
    ngx_uint_t                     index;
    char                          *eval;         /* see redis.c; ngx_alloc() */
    ngx_uint_t                     argc;
    char                          *text;         /* of a cluster: as sent */
    size_t                         text_len;
    ngx_uint_t                     tries;        /* redirections so far */
} ngx_http_travel_redis_cmd_t;


/* redis.c */
void ngx_http_travel_redis_node_init(ngx_http_travel_redis_node_t *node,
    ngx_http_travel_redis_role_t *role, ngx_http_travel_redis_conf_t *conf);
void ngx_http_travel_redis_replied(redisAsyncContext *ac, void *reply,
    void *data);
/* No more handler calls; the last one says what is lost. */
void ngx_http_travel_redis_lost(ngx_http_travel_redis_call_t *call,
    ngx_uint_t i, const char *why);
void ngx_http_travel_redis_unwait(ngx_http_travel_redis_call_t *call);
/* Frees the call when nothing refers to it any more. */
void ngx_http_travel_redis_call_end(ngx_http_travel_redis_call_t *call);

/* redis_durable.c: replies that are held until replicas have what was written.
 * gather: the call hears nothing before a WAIT that follows this turn's
 * commands on its node.  bar: the turn is about to be written.  ungather: its
 * commands never left, so no WAIT follows them. */
void ngx_http_travel_redis_gather(ngx_http_travel_redis_call_t *call);
void ngx_http_travel_redis_ungather(ngx_http_travel_redis_call_t *call);
void ngx_http_travel_redis_bar(ngx_http_travel_link_t *link);
/* False: it cannot be held, and counts as lost. */
ngx_uint_t ngx_http_travel_redis_hold(ngx_http_travel_redis_call_t *call,
    ngx_uint_t i, const redisReply *reply);

/* redis_cluster.c */
ngx_int_t ngx_http_travel_redis_cluster_start(
    ngx_http_travel_redis_role_t *role);
void ngx_http_travel_redis_cluster_stop(ngx_http_travel_redis_role_t *role);
ngx_uint_t ngx_http_travel_redis_cluster_up(
    const ngx_http_travel_redis_role_t *role);
/* Sends the command to its key's server, and notes which that is.  As
 * ngx_http_travel_link_send(). */
ngx_int_t ngx_http_travel_redis_cluster_send(
    ngx_http_travel_redis_cmd_t *cmd, ngx_uint_t argc, const char **argv,
    const size_t *argvlen);
/* NGX_OK: it was sent again, where the reply says. */
ngx_int_t ngx_http_travel_redis_cluster_follow(
    ngx_http_travel_redis_cmd_t *cmd, const redisReply *reply);
/* Where the link of a key of the cluster must go now; NULL: not known yet. */
const ngx_http_travel_redis_server_t *ngx_http_travel_redis_cluster_at(
    const ngx_http_travel_redis_conf_t *conf, const ngx_str_t *key);
/* Such a link was answered by an error. */
void ngx_http_travel_redis_cluster_told(
    const ngx_http_travel_redis_conf_t *conf,
    const ngx_http_travel_redis_server_t *by, const redisReply *reply);

#endif /* NGX_HTTP_TRAVEL_REDIS_CALL_H */
