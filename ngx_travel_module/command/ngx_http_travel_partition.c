/*
 * What this nginx worker knows of the queues' partitions: how many there are
 * (travel:layout in Redis), and how long the streams are.
 *
 * Both are read beside the requests, never in their way, but for the very first
 * one, which waits until the layout is known.  A backlog is what was counted
 * last, at most 50 ms ago while the partition is used, plus what went in from
 * here since; bytes are asked for every fourth time.  Commands of low priority
 * may fill only a part of the bound, so they are refused first.  A partition
 * that has refused is counted on, used or not, until there is room: the first
 * who comes then is not refused for what was.
 */

#include "ngx_http_travel_command_room.h"

#define NGX_HTTP_TRAVEL_QUEUES_MAX     16
#define NGX_HTTP_TRAVEL_LAYOUT_AGE     3000      /* ms until it is read again */
#define NGX_HTTP_TRAVEL_BACKLOG_AGE    50
#define NGX_HTTP_TRAVEL_BACKLOG_WATCH  100
#define NGX_HTTP_TRAVEL_BACKLOG_BYTES  4         /* every so many counts */
#define NGX_HTTP_TRAVEL_BACKLOG_ENTRY  400       /* bytes beside the body */
#define NGX_HTTP_TRAVEL_BACKLOG_LATER  30        /* Retry-After at most, s */


typedef struct {
    ngx_msec_t    at;              /* of the last count, or of asking */
    uint64_t      depth;           /* as counted */
    uint64_t      added;           /* from here, not in that count */
    uint64_t      asked_at;        /* 'added' when the next was asked for */
    uint64_t      sum;             /* of the count that is coming in */
    uint64_t      size;            /* the same five of bytes */
    uint64_t      size_added;
    uint64_t      size_asked_at;
    uint64_t      size_sum;
    uint64_t      rate;            /* messages a second that left, smoothed */
    ngx_msec_t    counted;         /* when 'depth' was */
    ngx_uint_t    turn;
    unsigned      asked:1;
    unsigned      known:1;
    unsigned      refused:1;       /* somebody, since there was room for all */
    unsigned      bytes:1;         /* are in what was asked for */
} ngx_http_travel_partition_t;


typedef struct {
    travel_layout_t               layout;      /* now.n 0: unknown */
    ngx_http_travel_partition_t  *parts;       /* TRAVEL_PARTITIONS_MAX */
} ngx_http_travel_lane_t;


static ngx_http_travel_lane_t *ngx_http_travel_lane(travel_str_t queue);
static ngx_int_t ngx_http_travel_layout_ask(ngx_http_request_t *r, void *data);
static void ngx_http_travel_layout_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_layout_take(const ngx_http_travel_reply_t *reply);
static ngx_uint_t ngx_http_travel_backlog_over(
    const ngx_http_travel_partition_t *part,
    const ngx_http_travel_backlog_t *bound, ngx_uint_t share, size_t size);
static ngx_uint_t ngx_http_travel_backlog_later(
    const ngx_http_travel_partition_t *part,
    const ngx_http_travel_backlog_t *bound, ngx_uint_t share);
static void ngx_http_travel_backlog_watch(void);
static void ngx_http_travel_backlog_recount(ngx_event_t *ev);
static void ngx_http_travel_backlog_ask(travel_str_t queue, unsigned partition,
    ngx_http_travel_partition_t *part);
static void ngx_http_travel_backlog_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);


/* of this nginx worker */

static ngx_http_travel_lane_t
    ngx_http_travel_lanes[NGX_HTTP_TRAVEL_QUEUES_MAX];
static ngx_msec_t  ngx_http_travel_layout_at;
static ngx_uint_t  ngx_http_travel_layout_known;
static ngx_uint_t  ngx_http_travel_layout_asked;
static ngx_event_t  ngx_http_travel_backlog_timer;
static ngx_connection_t  ngx_http_travel_backlog_ident;
static const ngx_http_travel_backlog_t  *ngx_http_travel_backlog_bound;


static ngx_http_travel_lane_t *
ngx_http_travel_lane(travel_str_t queue)
{
    size_t        i;
    travel_str_t  name;

    for (i = 0; i < NGX_HTTP_TRAVEL_QUEUES_MAX; i++) {
        name.data = travel_queue_name(i);

        if (name.data == NULL) {
            break;
        }

        name.len = ngx_strlen(name.data);

        if (travel_str_eq(name, queue)) {
            return &ngx_http_travel_lanes[i];
        }
    }

    return NULL;
}


/* --- the layout ----------------------------------------------------------- */

travel_layout_t
ngx_http_travel_layout_now(travel_str_t queue)
{
    ngx_http_travel_lane_t  *lane;

    static const travel_layout_t  unknown = TRAVEL_LAYOUT_DEFAULT;

    lane = ngx_http_travel_lane(queue);

    return lane && lane->layout.now.n ? lane->layout : unknown;
}


ngx_int_t
ngx_http_travel_layout_again(ngx_http_request_t *r,
    void (*ready)(ngx_http_request_t *r, ngx_int_t rc))
{
    if (r == NULL) {
        ngx_http_travel_layout_asked = 1;
    }

    return ngx_http_travel_layout_ask(r, (void *) ready);
}


ngx_int_t
ngx_http_travel_layout(ngx_http_request_t *r,
    void (*ready)(ngx_http_request_t *r, ngx_int_t rc))
{
    if (!ngx_http_travel_layout_known) {
        return ngx_http_travel_layout_ask(r, (void *) ready) == NGX_OK
               ? NGX_AGAIN : NGX_ERROR;
    }

    if (ngx_current_msec - ngx_http_travel_layout_at
        > NGX_HTTP_TRAVEL_LAYOUT_AGE && !ngx_http_travel_layout_asked)
    {
        ngx_http_travel_layout_asked = 1;

        if (ngx_http_travel_layout_ask(NULL, NULL) != NGX_OK) {
            ngx_http_travel_layout_asked = 0;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_layout_ask(ngx_http_request_t *r, void *data)
{
    ngx_http_travel_redis_op_t  *op;

    static const char    *argv[] = { "HGETALL", TRAVEL_KEY_LAYOUT };
    static const size_t   len[] = { 7, sizeof(TRAVEL_KEY_LAYOUT) - 1 };

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, r, 0,
                                  ngx_http_travel_layout_reply, data);
    if (op == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_travel_redis_command(op, 2, argv, len);
}


static void
ngx_http_travel_layout_reply(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_int_t   rc;
    ngx_str_t   text;
    void      (*ready)(ngx_http_request_t *r, ngx_int_t rc);

    (void) i;

    rc = NGX_ERROR;

    if (reply && ngx_http_travel_reply_type(reply)
                 == NGX_HTTP_TRAVEL_REPLY_ARRAY)
    {
        ngx_http_travel_layout_take(reply);
        rc = NGX_OK;

    } else if (reply) {
        text = ngx_http_travel_reply_str(reply);
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "travel:layout cannot be read: %V", &text);
    }

    if (op->request) {
        ready = (void (*)(ngx_http_request_t *, ngx_int_t)) op->data;
        ready(op->request, rc);
        return;
    }

    ngx_http_travel_layout_asked = 0;
}


static void
ngx_http_travel_layout_take(const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                name, value;
    ngx_uint_t               i;
    ngx_http_travel_lane_t  *lane;

    for (i = 0; i + 1 < ngx_http_travel_reply_count(reply); i += 2) {
        name = ngx_http_travel_reply_str(
                                      ngx_http_travel_reply_elt(reply, i));
        value = ngx_http_travel_reply_str(
                                      ngx_http_travel_reply_elt(reply, i + 1));
        lane = ngx_http_travel_lane(ngx_http_travel_view(&name));

        if (lane == NULL) {
            continue;
        }

        if (travel_layout_parse(&lane->layout, ngx_http_travel_view(&value))
            != TRAVEL_OK)
        {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "travel:layout: queue \"%V\" cannot have \"%V\" "
                          "partitions", &name, &value);
        }
    }

    ngx_http_travel_layout_known = 1;
    ngx_http_travel_layout_at = ngx_current_msec;
}


/* --- the backlog ---------------------------------------------------------- */

ngx_int_t
ngx_http_travel_backlog(travel_str_t queue, unsigned partition,
    travel_priority_e priority, size_t size,
    const ngx_http_travel_backlog_t *bound, ngx_uint_t *ret_later)
{
    ngx_uint_t                    share;
    ngx_http_travel_lane_t       *lane;
    ngx_http_travel_partition_t  *part;

    lane = ngx_http_travel_lane(queue);

    if (lane == NULL || partition >= TRAVEL_PARTITIONS_MAX) {
        return NGX_OK;
    }

    if (lane->parts == NULL) {
        lane->parts = ngx_pcalloc(ngx_cycle->pool, TRAVEL_PARTITIONS_MAX
                                  * sizeof(ngx_http_travel_partition_t));
        if (lane->parts == NULL) {
            return NGX_OK;
        }
    }

    part = &lane->parts[partition];
    share = bound->share[priority];
    size += NGX_HTTP_TRAVEL_BACKLOG_ENTRY;

    if (!part->asked
        && (!part->known || ngx_current_msec - part->at
                            >= NGX_HTTP_TRAVEL_BACKLOG_AGE))
    {
        ngx_http_travel_backlog_ask(queue, partition, part);
    }

    if (ngx_http_travel_backlog_over(part, bound, share, size)) {
        part->refused = 1;
        ngx_http_travel_backlog_bound = bound;
        ngx_http_travel_backlog_watch();

        *ret_later = ngx_http_travel_backlog_later(part, bound, share);

        return NGX_BUSY;
    }

    part->added++;
    part->size_added += size;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_travel_backlog_over(const ngx_http_travel_partition_t *part,
    const ngx_http_travel_backlog_t *bound, ngx_uint_t share, size_t size)
{
    return part->depth + part->added >= bound->messages * share / 100
           || (part->size + part->size_added
               && part->size + part->size_added + size
                  > bound->bytes * share / 100);
}


/* Seconds until a tenth of the share is free again, as fast as it went. */
static ngx_uint_t
ngx_http_travel_backlog_later(const ngx_http_travel_partition_t *part,
    const ngx_http_travel_backlog_t *bound, ngx_uint_t share)
{
    uint64_t  goal, over;

    goal = bound->messages * share / 100 * 9 / 10;
    over = part->depth + part->added;
    over = (over > goal) ? over - goal : 1;

    if (part->rate == 0 || over / part->rate >= NGX_HTTP_TRAVEL_BACKLOG_LATER)
    {
        return NGX_HTTP_TRAVEL_BACKLOG_LATER;
    }

    return (ngx_uint_t) (over / part->rate) + 1;
}


static void
ngx_http_travel_backlog_watch(void)
{
    ngx_event_t  *ev;

    ev = &ngx_http_travel_backlog_timer;

    if (ev->timer_set || ngx_exiting) {
        return;
    }

    ngx_http_travel_backlog_ident.fd = (ngx_socket_t) -1;   /* for debug logs */

    ev->handler = ngx_http_travel_backlog_recount;
    ev->data = &ngx_http_travel_backlog_ident;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_TRAVEL_BACKLOG_WATCH);
}


static void
ngx_http_travel_backlog_recount(ngx_event_t *ev)
{
    size_t                        i;
    unsigned                      n;
    ngx_uint_t                    full, share;
    travel_str_t                  name;
    ngx_http_travel_partition_t  *part;

    const ngx_http_travel_backlog_t  *bound;

    (void) ev;

    full = 0;
    bound = ngx_http_travel_backlog_bound;
    share = ngx_min(bound->share[TRAVEL_PRIORITY_LOW],
                    bound->share[TRAVEL_PRIORITY_NORMAL]);

    for (i = 0; i < NGX_HTTP_TRAVEL_QUEUES_MAX; i++) {
        name.data = travel_queue_name(i);

        if (name.data == NULL) {
            break;
        }

        name.len = ngx_strlen(name.data);
        part = ngx_http_travel_lanes[i].parts;

        for (n = 0; part && n < TRAVEL_PARTITIONS_MAX; n++, part++) {

            if (!part->refused) {
                continue;
            }

            if (!ngx_http_travel_backlog_over(part, bound, share, 0)) {
                part->refused = 0;
                continue;
            }

            full = 1;

            if (!part->asked) {
                ngx_http_travel_backlog_ask(name, n, part);
            }
        }
    }

    if (full) {
        ngx_http_travel_backlog_watch();
    }
}


/* XLEN of the three streams, ZCARD of what is delayed; and now and then the
 * bytes of the streams.  The role may be cut off in between: then the link says
 * so to the handler, or this is asked again. */
static void
ngx_http_travel_backlog_ask(travel_str_t queue, unsigned partition,
    ngx_http_travel_partition_t *part)
{
    char                         key[TRAVEL_KEY_MAX];
    size_t                       len[3];
    ngx_int_t                    rc;
    ngx_uint_t                   i, n;
    const char                  *argv[3];
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, NULL, 0,
                                  ngx_http_travel_backlog_reply, part);
    if (op == NULL) {
        return;
    }

    part->sum = 0;
    part->size_sum = 0;
    part->bytes = (part->turn++ % NGX_HTTP_TRAVEL_BACKLOG_BYTES == 0);

    n = TRAVEL_PRIORITY_MAX + 1 + (part->bytes ? TRAVEL_PRIORITY_MAX : 0);

    for (i = 0; i < n; i++) {

        if (i < TRAVEL_PRIORITY_MAX) {
            argv[0] = "XLEN";
            len[0] = 4;
            len[1] = travel_key_stream(key, queue, partition,
                                       (travel_priority_e) i);
            argv[1] = key;
            rc = ngx_http_travel_redis_command(op, 2, argv, len);

        } else if (i == TRAVEL_PRIORITY_MAX) {
            argv[0] = "ZCARD";
            len[0] = 5;
            len[1] = travel_key_named(key, queue, partition, "delayed");
            argv[1] = key;
            rc = ngx_http_travel_redis_command(op, 2, argv, len);

        } else {
            argv[0] = "MEMORY";
            len[0] = 6;
            argv[1] = "USAGE";
            len[1] = 5;
            len[2] = travel_key_stream(key, queue, partition,
                         (travel_priority_e) (i - TRAVEL_PRIORITY_MAX - 1));
            argv[2] = key;
            rc = ngx_http_travel_redis_command(op, 3, argv, len);
        }

        if (rc != NGX_OK) {
            return;
        }

        /* what is added from now on comes after the count on the same link */

        part->asked = 1;
        part->asked_at = part->added;
        part->size_asked_at = part->size_added;
        part->at = ngx_current_msec;
    }
}


static void
ngx_http_travel_backlog_reply(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    uint64_t                      n, left;
    ngx_msec_t                    passed;
    ngx_http_travel_partition_t  *part;

    part = op->data;

    if (reply == NULL) {
        part->asked = 0;
        return;
    }

    n = (uint64_t) ngx_http_travel_reply_int(reply);

    if (i > TRAVEL_PRIORITY_MAX) {
        part->size_sum += n;

        if (i == 2 * TRAVEL_PRIORITY_MAX) {
            part->size = part->size_sum;
            part->size_added -= part->size_asked_at;
            part->asked = 0;
        }

        return;
    }

    part->sum += n;

    if (i < TRAVEL_PRIORITY_MAX) {
        return;
    }

    passed = ngx_current_msec - part->counted;

    if (part->known && passed) {
        left = part->depth + part->asked_at;
        left = (left > part->sum) ? left - part->sum : 0;
        part->rate = (3 * part->rate + left * 1000 / passed) / 4;
    }

    part->counted = ngx_current_msec;
    part->depth = part->sum;
    part->added -= part->asked_at;
    part->known = 1;

    if (!part->bytes) {
        part->asked = 0;
    }
}
