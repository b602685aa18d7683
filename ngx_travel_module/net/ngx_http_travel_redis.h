/*
 * Redis on nginx's event loop.  The only room that includes hiredis.
 *
 * Roles "queue" and "cache" (travel_redis ROLE ADDRESS ...).  Each nginx
 * worker keeps per role one shared pipelined link; one event-loop turn makes
 * one write on it, however many commands were asked for.  Subscriptions and
 * blocking reads have links of their own.
 */

#ifndef NGX_HTTP_TRAVEL_REDIS_H
#define NGX_HTTP_TRAVEL_REDIS_H

#include "../core/ngx_http_travel.h"

typedef enum {
    NGX_HTTP_TRAVEL_REDIS_QUEUE,
    NGX_HTTP_TRAVEL_REDIS_CACHE,
    NGX_HTTP_TRAVEL_REDIS_ROLES
} ngx_http_travel_redis_role_e;


/* A reply, opaque here; valid only inside the handler it was passed to. */
typedef struct ngx_http_travel_reply_s  ngx_http_travel_reply_t;

typedef enum {
    NGX_HTTP_TRAVEL_REPLY_STRING,
    NGX_HTTP_TRAVEL_REPLY_STATUS,
    NGX_HTTP_TRAVEL_REPLY_INTEGER,
    NGX_HTTP_TRAVEL_REPLY_ARRAY,
    NGX_HTTP_TRAVEL_REPLY_NIL,
    NGX_HTTP_TRAVEL_REPLY_ERROR
} ngx_http_travel_reply_e;

ngx_http_travel_reply_e ngx_http_travel_reply_type(
    const ngx_http_travel_reply_t *reply);
ngx_str_t ngx_http_travel_reply_str(const ngx_http_travel_reply_t *reply);
int64_t ngx_http_travel_reply_int(const ngx_http_travel_reply_t *reply);
ngx_uint_t ngx_http_travel_reply_count(const ngx_http_travel_reply_t *reply);
const ngx_http_travel_reply_t *ngx_http_travel_reply_elt(
    const ngx_http_travel_reply_t *reply, ngx_uint_t i);


/*
 * One or more commands whose replies belong together.
 *
 * handler(op, i, reply): the i-th command's reply came; reply NULL: it will
 * never come (link lost or deadline), then it is called once, for the first
 * unanswered command, with op->lost naming the reason, and not again.
 * After the last call the op is freed by net.
 *
 * An op bound to a request is released when the request ends: its handler is
 * then no longer called (the replies are still drained).  One with 'orphan' set
 * has that told instead, with 'tag', which must outlive every request, of each
 * reply that comes; of those that do not come nothing.
 */
typedef struct ngx_http_travel_redis_op_s  ngx_http_travel_redis_op_t;

typedef void (*ngx_http_travel_redis_handler_pt)(
    ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply);

struct ngx_http_travel_redis_op_s {
    ngx_uint_t                        magic;
    ngx_http_travel_redis_handler_pt  handler;
    void                             *data;
    ngx_http_request_t               *request;   /* NULL: not bound, or gone */
    void                            (*orphan)(void *tag,
                                        const ngx_http_travel_reply_t *reply);
    void                             *tag;
    const char                       *lost;
    unsigned                          sent:1;    /* bytes may have left us */
    unsigned                          durable:1; /* set before its first
                                                    command, of two at most:
                                                    replies come when acks=
                                                    replicas have it, else
                                                    they are lost */
};

/* 'request' may be NULL; 'timeout' ms from now, 0 = the role's default.
 * NULL when out of memory. */
ngx_http_travel_redis_op_t *ngx_http_travel_redis_op(
    ngx_http_travel_redis_role_e role, ngx_http_request_t *request,
    ngx_msec_t timeout, ngx_http_travel_redis_handler_pt handler, void *data);

/* Appends a command.  NGX_OK; NGX_DECLINED: no link now (nothing was sent, the
 * handler will not be called if this was the op's first command; the op is
 * freed); NGX_ERROR. */
ngx_int_t ngx_http_travel_redis_command(ngx_http_travel_redis_op_t *op,
    ngx_uint_t argc, const char **argv, const size_t *argvlen);

/* EVALSHA by a script's text, loading it when the server does not know it; a
 * NOSCRIPT answer is retried inside.  'script' must be static. */
ngx_int_t ngx_http_travel_redis_script(ngx_http_travel_redis_op_t *op,
    const char *script, ngx_uint_t nkeys, ngx_uint_t argc, const char **argv,
    const size_t *argvlen);

/* Is the role configured; is its shared link up? */
ngx_uint_t ngx_http_travel_redis_configured(ngx_http_travel_redis_role_e role);
/* The same while the configuration is made, from postconfiguration on. */
ngx_uint_t ngx_http_travel_redis_declared(ngx_conf_t *cf,
    ngx_http_travel_redis_role_e role);
ngx_uint_t ngx_http_travel_redis_up(ngx_http_travel_redis_role_e role);


/*
 * A channel of this nginx worker.  Kept subscribed for life, across
 * reconnections; on_up(data) is called at every (re)subscription, so that
 * waiters can look at the truth again; on_message for each message.
 */
typedef struct {
    ngx_str_t     channel;
    void        (*on_up)(void *data);
    void        (*on_message)(void *data, ngx_str_t *payload);
    void         *data;
} ngx_http_travel_redis_sub_t;

/* From init_process. */
ngx_int_t ngx_http_travel_redis_subscribe(ngx_cycle_t *cycle,
    ngx_http_travel_redis_role_e role, ngx_http_travel_redis_sub_t *sub);

/*
 * Tails a stream from a position, for life: XREAD BLOCK on a link of its own.
 *
 * on_up at every (re)connection, names the id to read after ("$" or an id;
 * text that lives until the next call).  on_start follows when reading does
 * not simply go on there: it was "$", entries after it are gone, or ids went
 * back; 'after' is where reading begins instead.  on_entry for each entry,
 * with its id and alternating names and values; on_batch after each answer
 * with entries, 'newest' when the stream held no more than these; on_idle when
 * there was none in all the time of a read (two seconds); on_down when the link
 * is lost.
 */
typedef struct {
    ngx_str_t     stream;
    void        (*on_up)(void *data, ngx_str_t *after);
    void        (*on_start)(void *data, ngx_str_t *after);
    void        (*on_entry)(void *data, ngx_str_t *id,
                            const ngx_http_travel_reply_t *fields);
    void        (*on_batch)(void *data, ngx_uint_t newest);
    void        (*on_idle)(void *data);
    void        (*on_down)(void *data);
    void         *data;
} ngx_http_travel_redis_tail_t;

ngx_int_t ngx_http_travel_redis_tail(ngx_cycle_t *cycle,
    ngx_http_travel_redis_role_e role, ngx_http_travel_redis_tail_t *tail);


/*
 * Channels of the cache role that come and go, on one link of this nginx
 * worker, which is there while somebody listens.  on_up: the link is (again)
 * there and nothing is joined; on_joined: from now on every message of the
 * channel comes; a message of a channel that was left may come late.  A name
 * with a "*" is a pattern, and 'source' the channel that the message was sent
 * to.  There is one listener (live).
 */
typedef struct {
    void        (*on_up)(void *data);
    void        (*on_down)(void *data);
    void        (*on_joined)(void *data, const ngx_str_t *channel);
    void        (*on_message)(void *data, const ngx_str_t *channel,
                              const ngx_str_t *source,
                              const ngx_str_t *payload);
    void         *data;
} ngx_http_travel_redis_listener_t;

/* From init_process; NGX_DECLINED: the role is not configured. */
ngx_int_t ngx_http_travel_redis_listen(ngx_cycle_t *cycle,
    ngx_http_travel_redis_listener_t *listener);
/* The link is given up, and its listener hears no more; never from within one
 * of its functions.  Another may listen then. */
void ngx_http_travel_redis_unlisten(void);
/* NGX_DECLINED: no link; join again when it is up. */
ngx_int_t ngx_http_travel_redis_join(const ngx_str_t *channel);
void ngx_http_travel_redis_leave(const ngx_str_t *channel);


extern ngx_module_t  ngx_http_travel_net_module;

#endif /* NGX_HTTP_TRAVEL_REDIS_H */
