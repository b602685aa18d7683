/*
 * One connection of this nginx worker to a Redis server: the shared pipelined
 * link of a role, or the link of a subscription or a tail.  Private to net.
 */

#ifndef NGX_HTTP_TRAVEL_REDIS_LINK_H
#define NGX_HTTP_TRAVEL_REDIS_LINK_H

#include "ngx_http_travel_net.h"

#include <hiredis/hiredis.h>
#include <hiredis/async.h>

typedef enum {
    NGX_HTTP_TRAVEL_LINK_DOWN,        /* timer: when to try again */
    NGX_HTTP_TRAVEL_LINK_CONNECTING,  /* timer: until when; commands queue */
    NGX_HTTP_TRAVEL_LINK_GREETING,    /* connected, PING on its way */
    NGX_HTTP_TRAVEL_LINK_UP
} ngx_http_travel_link_state_e;

typedef struct ngx_http_travel_link_s  ngx_http_travel_link_t;

struct ngx_http_travel_link_s {
    ngx_http_travel_redis_conf_t  *conf;
    const char                    *what;      /* "commands", "tail" ... */
    ngx_http_travel_link_state_e   state;
    redisAsyncContext             *ac;        /* NULL when DOWN */
    ngx_connection_t              *c;         /* watches ac's descriptor */
    ngx_uint_t                     attempt;   /* failures in a row */
    ngx_uint_t                     server;    /* whose turn it is */
    const ngx_http_travel_redis_server_t
                                  *at;        /* the last one tried */
    ngx_event_t                    timer;     /* see the states; cancelable */
    ngx_event_t                    flush;     /* posted, once per loop turn */
    ngx_msec_t                     heard;     /* when bytes last came */
    ngx_msec_t                     silence;   /* drop after this; 0 never */
    ngx_uint_t                     epoch;     /* flushes so far */
    ngx_uint_t                     commands;  /* since the last flush */
    const char                    *why;       /* of the last drop; static */

    /* the owner's; up: greeted and ready; down: every drop from UP */
    void                         (*on_up)(ngx_http_travel_link_t *link);
    void                         (*on_down)(ngx_http_travel_link_t *link);
    /* before what was asked for is written: it may ask for more */
    void                         (*on_write)(ngx_http_travel_link_t *link);
    /* where to; NULL: one configured server after the other.  It may answer
     * NULL: not known yet */
    const ngx_http_travel_redis_server_t
                                *(*aim)(ngx_http_travel_link_t *link);
    void                          *data;

    unsigned                       flushing:1;
    unsigned                       demoted:1; /* it said READONLY */
    unsigned                       resting:1; /* once down it stays so */
    unsigned                       closing:1; /* the nginx worker exits */
};

void ngx_http_travel_link_init(ngx_http_travel_link_t *link,
    ngx_http_travel_redis_conf_t *conf, const char *what);
void ngx_http_travel_link_connect(ngx_http_travel_link_t *link);

/* The one place where a link ends; every unanswered command's callback is
 * called with a NULL reply.  'why' is static. */
void ngx_http_travel_link_drop(ngx_http_travel_link_t *link, const char *why);
/* Ends its rest. */
void ngx_http_travel_link_wake(ngx_http_travel_link_t *link);
/* For good: nothing reconnects. */
void ngx_http_travel_link_close(ngx_http_travel_link_t *link);

/* NGX_OK: fn(ac, reply, data) will be called once (for each message, when it
 * is SUBSCRIBE); NGX_DECLINED: no link; NGX_ERROR. */
ngx_int_t ngx_http_travel_link_send(ngx_http_travel_link_t *link,
    redisCallbackFn *fn, void *data, ngx_uint_t argc, const char **argv,
    const size_t *argvlen);

/*
 * A command as the protocol has it, in one buffer that serves all of them, with
 * a NUL behind it; and one that is such text already.
 */
char *ngx_http_travel_link_format(ngx_uint_t argc, const char **argv,
    const size_t *argvlen, size_t *ret_len);
ngx_int_t ngx_http_travel_link_send_text(ngx_http_travel_link_t *link,
    redisCallbackFn *fn, void *data, const char *text, size_t len);

/* For freeReplyObject().  NULL: out of memory, or too deep. */
redisReply *ngx_http_travel_reply_copy(const redisReply *reply);

#endif /* NGX_HTTP_TRAVEL_REDIS_LINK_H */
