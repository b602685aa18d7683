/*
 * What an unsafe request made invalid, told to Redis and to the other nodes:
 * l2=on of travel_cache http (kept_l2.c).
 *
 * The URI gets another version, or the group a number, and the stream that
 * purges travel in an entry for the other nodes' memories.  What Redis has not
 * taken is kept here and sent again, and nothing is read from Redis meanwhile;
 * with too much of it all memories are purged instead.  Told twice it is told
 * once.
 *
 * A table of this nginx worker; a slot is free when its text is empty.
 */

#include "ngx_http_travel_kept.h"
#include "../net/ngx_http_travel_redis.h"


#define NGX_HTTP_TRAVEL_KEPT_L2_OWED      1024     /* not taken by Redis yet */
#define NGX_HTTP_TRAVEL_KEPT_L2_AGAIN     250      /* ms until they are told */


typedef struct {
    size_t                       len;          /* 0: free */
    unsigned                     sent:1;
    unsigned                     failed:1;
    u_char                       text[NGX_HTTP_TRAVEL_MARK_TEXT];
} ngx_http_travel_owed_t;


static void ngx_http_travel_kept_l2_tell(ngx_http_travel_owed_t *owed);
static ngx_int_t ngx_http_travel_kept_l2_version(
    ngx_http_travel_redis_op_t *op, const ngx_http_travel_owed_t *owed);
static ngx_int_t ngx_http_travel_kept_l2_word(ngx_http_travel_redis_op_t *op,
    const ngx_http_travel_owed_t *owed);
static void ngx_http_travel_kept_l2_told(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_kept_l2_retry(ngx_event_t *ev);


static ngx_http_travel_owed_t  ngx_http_travel_kept_l2_owed[
                                   NGX_HTTP_TRAVEL_KEPT_L2_OWED];
static ngx_uint_t              ngx_http_travel_kept_l2_nowed;
static ngx_uint_t              ngx_http_travel_kept_l2_unsent;
static ngx_uint_t              ngx_http_travel_kept_l2_lost;
static ngx_uint_t              ngx_http_travel_kept_l2_purging;
static ngx_event_t             ngx_http_travel_kept_l2_event;
static ngx_connection_t        ngx_http_travel_kept_l2_dummy;


/* Would a look find what should be invalid?  What was sent before it, on the
 * same link, is done before it. */
ngx_uint_t
ngx_http_travel_kept_l2_owes(void)
{
    return ngx_http_travel_kept_l2_unsent || ngx_http_travel_kept_l2_lost;
}


void
ngx_http_travel_kept_l2_changed(const ngx_str_t *text)
{
    ngx_http_travel_owed_t  *owed;

    static ngx_uint_t  next;

    /* slots are used in turn: one that is not free now is late */

    owed = &ngx_http_travel_kept_l2_owed[next++ % NGX_HTTP_TRAVEL_KEPT_L2_OWED];

    if (owed->len != 0) {
        ngx_http_travel_kept_l2_lost++;

    } else {
        ngx_memcpy(owed->text, text->data, text->len);
        owed->len = text->len;
        ngx_http_travel_kept_l2_nowed++;
        ngx_http_travel_kept_l2_unsent++;
        ngx_http_travel_kept_l2_tell(owed);
    }

    if (!ngx_http_travel_kept_l2_event.timer_set) {
        ngx_http_travel_kept_l2_dummy.fd = (ngx_socket_t) -1;
        ngx_http_travel_kept_l2_event.data = &ngx_http_travel_kept_l2_dummy;
        ngx_http_travel_kept_l2_event.handler = ngx_http_travel_kept_l2_retry;
        ngx_http_travel_kept_l2_event.log = ngx_cycle->log;
        ngx_http_travel_kept_l2_event.cancelable = 1;
        ngx_add_timer(&ngx_http_travel_kept_l2_event,
                      NGX_HTTP_TRAVEL_KEPT_L2_AGAIN);
    }
}


/*
 * Another version, where there is one, and word of it to all; NULL: all is to
 * be purged.  No script: one that Redis does not know yet is sent again, behind
 * looks that were to come after it.
 */
static void
ngx_http_travel_kept_l2_tell(ngx_http_travel_owed_t *owed)
{
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                  ngx_http_travel_kept_l2_told, owed);
    if (op == NULL) {
        return;
    }

    if (owed == NULL) {
        ngx_http_travel_kept_l2_purging = ngx_http_travel_kept_l2_lost;
        (void) ngx_http_travel_kept_l2_word(op, NULL);
        return;
    }

    owed->failed = 0;
    owed->sent = 1;
    ngx_http_travel_kept_l2_unsent--;

    text.data = owed->text;
    text.len = owed->len;

    rc = (owed->text[0] == NGX_HTTP_TRAVEL_MARK_GROUP)
         ? ngx_http_travel_kept_group_over(op, &text)
         : ngx_http_travel_kept_l2_version(op, owed);

    if (rc == NGX_OK) {
        rc = ngx_http_travel_kept_l2_word(op, owed);
    }

    if (rc != NGX_OK && owed->sent) {
        owed->sent = 0;
        ngx_http_travel_kept_l2_unsent++;
    }
}


static ngx_int_t
ngx_http_travel_kept_l2_version(ngx_http_travel_redis_op_t *op,
    const ngx_http_travel_owed_t *owed)
{
    u_char       key[NGX_HTTP_TRAVEL_KEPT_L2_KEY];
    u_char       fresh[NGX_HTTP_TRAVEL_KEPT_L2_VERSION];
    size_t       argvlen[5];
    const char  *argv[5];

    argv[0] = "SET";
    argvlen[0] = 3;
    argv[1] = (char *) key;
    argvlen[1] = ngx_http_travel_kept_l2_uri(key, owed->text, owed->len);
    argv[2] = (char *) fresh;
    argvlen[2] = ngx_http_travel_kept_l2_random(fresh);
    argv[3] = "XX";
    argvlen[3] = 2;
    argv[4] = "KEEPTTL";
    argvlen[4] = 7;

    return ngx_http_travel_redis_command(op, 5, argv, argvlen);
}


static ngx_int_t
ngx_http_travel_kept_l2_word(ngx_http_travel_redis_op_t *op,
    const ngx_http_travel_owed_t *owed)
{
    u_char       node[NGX_INT64_LEN];
    size_t       argvlen[12];
    ngx_uint_t   i;
    const char  *argv[12] = { "XADD", NGX_HTTP_TRAVEL_PURGE_STREAM, "MAXLEN",
                              "~", NGX_HTTP_TRAVEL_PURGE_KEPT, "*", "kind",
                              owed ? "5" : "4", "from", "", "what", "" };

    for (i = 0; i < 12; i++) {
        argvlen[i] = ngx_strlen(argv[i]);
    }

    argv[9] = (char *) node;
    argvlen[9] = ngx_http_travel_kept_l2_node(node);

    if (owed) {
        argv[11] = (char *) owed->text;
        argvlen[11] = owed->len;
    }

    return ngx_http_travel_redis_command(op, 12, argv, argvlen);
}


/* The last reply is that to the XADD: a string. */
static void
ngx_http_travel_kept_l2_told(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_reply_e   type;
    ngx_http_travel_owed_t   *owed = op->data;

    type = reply ? ngx_http_travel_reply_type(reply)
                 : NGX_HTTP_TRAVEL_REPLY_ERROR;

    if (owed == NULL) {

        /* what was lost since it was sent is not covered by it */

        if (type == NGX_HTTP_TRAVEL_REPLY_STRING
            && ngx_http_travel_kept_l2_lost == ngx_http_travel_kept_l2_purging)
        {
            ngx_http_travel_kept_l2_lost = 0;
        }

        return;
    }

    owed->failed |= (type == NGX_HTTP_TRAVEL_REPLY_ERROR);

    if (reply != NULL && i == 0) {
        return;
    }

    owed->sent = 0;

    if (owed->failed) {
        ngx_http_travel_kept_l2_unsent++;

    } else {
        owed->len = 0;
        ngx_http_travel_kept_l2_nowed--;
    }
}


static void
ngx_http_travel_kept_l2_retry(ngx_event_t *ev)
{
    ngx_uint_t               i;
    ngx_http_travel_owed_t  *owed;

    for (i = 0; i < NGX_HTTP_TRAVEL_KEPT_L2_OWED; i++) {
        owed = &ngx_http_travel_kept_l2_owed[i];

        if (owed->len != 0 && !owed->sent) {
            ngx_http_travel_kept_l2_tell(owed);
        }
    }

    if (ngx_http_travel_kept_l2_lost) {
        ngx_http_travel_kept_l2_tell(NULL);
    }

    if (ngx_http_travel_kept_l2_nowed || ngx_http_travel_kept_l2_lost) {
        ngx_add_timer(ev, NGX_HTTP_TRAVEL_KEPT_L2_AGAIN);
    }
}


/* This node, in words. */
size_t
ngx_http_travel_kept_l2_node(u_char *p)
{
    return ngx_sprintf(p, "%016xL", travel_siphash(ngx_http_travel_node_key(),
                                                   "node", 4))
           - p;
}
