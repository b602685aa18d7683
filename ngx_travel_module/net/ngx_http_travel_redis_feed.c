/*
 * What Redis tells us unasked: channels of this nginx worker and tailed
 * streams, each kept up for life.
 *
 * All subscriptions of a role share one link; every tail has its own, because
 * its XREAD blocks.  A message lost while a link was down is nobody's loss by
 * contract: on_up makes the owner look at the truth again, and a tail goes on
 * after the last id its owner names.
 */

#include "ngx_http_travel_redis_call.h"

#define NGX_HTTP_TRAVEL_TAIL_BLOCK    "2000"     /* ms */
#define NGX_HTTP_TRAVEL_TAIL_COUNT    "1000"
#define NGX_HTTP_TRAVEL_TAIL_BATCH    1000
#define NGX_HTTP_TRAVEL_TAIL_SILENCE  4000       /* ms: an XREAD and a half */


typedef struct {
    ngx_queue_t                    queue;
    ngx_http_travel_redis_sub_t   *sub;
} ngx_http_travel_feed_sub_t;


typedef struct {
    ngx_http_travel_link_t         link;
    ngx_queue_t                    subs;
    unsigned                       started:1;
} ngx_http_travel_feed_channels_t;


typedef struct {
    ngx_http_travel_link_t         link;
    ngx_queue_t                    queue;
    ngx_http_travel_redis_tail_t  *tail;
    travel_stream_id_t             oldest;       /* when the link came up */
    ngx_uint_t                     unreadable;   /* errors in a row */
    u_char                         after[64];    /* the id to read after */
    size_t                         after_len;
} ngx_http_travel_feed_tail_t;


static ngx_http_travel_redis_conf_t *ngx_http_travel_feed_conf(
    ngx_cycle_t *cycle, ngx_http_travel_redis_role_e role);
static void ngx_http_travel_feed_subscribe(ngx_http_travel_link_t *link,
    ngx_http_travel_redis_sub_t *sub);
static void ngx_http_travel_feed_channels_up(ngx_http_travel_link_t *link);
static void ngx_http_travel_feed_message(redisAsyncContext *ac, void *reply,
    void *data);
static const ngx_http_travel_redis_server_t *ngx_http_travel_feed_aim(
    ngx_http_travel_link_t *link);
static void ngx_http_travel_feed_unreadable(ngx_http_travel_feed_tail_t *ft,
    const redisReply *reply);
static void ngx_http_travel_feed_tail_up(ngx_http_travel_link_t *link);
static void ngx_http_travel_feed_tail_down(ngx_http_travel_link_t *link);
static void ngx_http_travel_feed_edge(ngx_http_travel_feed_tail_t *ft,
    const char *command, const char *from, const char *to,
    redisCallbackFn *handler);
static ngx_int_t ngx_http_travel_feed_edge_id(redisReply *r,
    travel_str_t *ret_id);
static void ngx_http_travel_feed_oldest(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_travel_feed_newest(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_travel_feed_read(ngx_http_travel_feed_tail_t *ft);
static void ngx_http_travel_feed_entries(redisAsyncContext *ac, void *reply,
    void *data);
static ngx_int_t ngx_http_travel_feed_entry(ngx_http_travel_feed_tail_t *ft,
    redisReply *entry);
static ngx_int_t ngx_http_travel_feed_after(ngx_http_travel_feed_tail_t *ft,
    const char *id, size_t len);


static ngx_http_travel_feed_channels_t
    ngx_http_travel_feed_channels[NGX_HTTP_TRAVEL_REDIS_ROLES];
static ngx_queue_t  ngx_http_travel_feed_tails;


static ngx_http_travel_redis_conf_t *
ngx_http_travel_feed_conf(ngx_cycle_t *cycle,
    ngx_http_travel_redis_role_e role)
{
    ngx_http_travel_net_conf_t  *conf;

    if (ngx_http_travel_net_start(cycle) != NGX_OK
        || !ngx_http_travel_redis_configured(role))
    {
        return NULL;
    }

    conf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_net_module);

    return &conf->redis[role];
}


void
ngx_http_travel_feed_stop(void)
{
    ngx_uint_t                    i;
    ngx_queue_t                  *q;
    ngx_http_travel_feed_tail_t  *ft;

    for (i = 0; i < NGX_HTTP_TRAVEL_REDIS_ROLES; i++) {
        if (ngx_http_travel_feed_channels[i].started) {
            ngx_http_travel_link_close(&ngx_http_travel_feed_channels[i].link);
        }
    }

    while (ngx_http_travel_feed_tails.next
           && !ngx_queue_empty(&ngx_http_travel_feed_tails))
    {
        q = ngx_queue_head(&ngx_http_travel_feed_tails);
        ngx_queue_remove(q);

        ft = ngx_queue_data(q, ngx_http_travel_feed_tail_t, queue);
        ngx_http_travel_link_close(&ft->link);
    }
}


/* --- channels ------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_redis_subscribe(ngx_cycle_t *cycle,
    ngx_http_travel_redis_role_e role, ngx_http_travel_redis_sub_t *sub)
{
    ngx_http_travel_feed_sub_t       *fs;
    ngx_http_travel_redis_conf_t     *conf;
    ngx_http_travel_feed_channels_t  *channels;

    conf = ngx_http_travel_feed_conf(cycle, role);
    if (conf == NULL) {
        return NGX_DECLINED;
    }

    fs = ngx_palloc(cycle->pool, sizeof(ngx_http_travel_feed_sub_t));
    if (fs == NULL) {
        return NGX_ERROR;
    }

    fs->sub = sub;
    channels = &ngx_http_travel_feed_channels[role];

    if (!channels->started) {
        channels->started = 1;

        ngx_queue_init(&channels->subs);

        ngx_http_travel_link_init(&channels->link, conf, "channels");
        channels->link.on_up = ngx_http_travel_feed_channels_up;
        channels->link.data = channels;

        ngx_queue_insert_tail(&channels->subs, &fs->queue);
        ngx_http_travel_link_connect(&channels->link);

        return NGX_OK;
    }

    ngx_queue_insert_tail(&channels->subs, &fs->queue);

    if (channels->link.state == NGX_HTTP_TRAVEL_LINK_UP) {
        ngx_http_travel_feed_subscribe(&channels->link, sub);
    }

    return NGX_OK;
}


static void
ngx_http_travel_feed_channels_up(ngx_http_travel_link_t *link)
{
    ngx_queue_t                      *q;
    ngx_http_travel_feed_sub_t       *fs;
    ngx_http_travel_feed_channels_t  *channels;

    channels = link->data;

    for (q = ngx_queue_head(&channels->subs);
         q != ngx_queue_sentinel(&channels->subs);
         q = ngx_queue_next(q))
    {
        fs = ngx_queue_data(q, ngx_http_travel_feed_sub_t, queue);
        ngx_http_travel_feed_subscribe(link, fs->sub);
    }
}


static void
ngx_http_travel_feed_subscribe(ngx_http_travel_link_t *link,
    ngx_http_travel_redis_sub_t *sub)
{
    size_t       len[2];
    const char  *argv[2];

    argv[0] = "SUBSCRIBE";
    len[0] = 9;
    argv[1] = (char *) sub->channel.data;
    len[1] = sub->channel.len;

    (void) ngx_http_travel_link_send(link, ngx_http_travel_feed_message, sub,
                                     2, argv, len);
}


static void
ngx_http_travel_feed_message(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_str_t                     payload;
    redisReply                   *r, **e;
    ngx_http_travel_redis_sub_t  *sub;

    (void) ac;

    r = reply;
    sub = data;

    if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 3
        || r->element[0]->type != REDIS_REPLY_STRING)
    {
        return;
    }

    e = r->element;

    if (ngx_strcmp(e[0]->str, "subscribe") == 0) {
        if (sub->on_up) {
            sub->on_up(sub->data);
        }

        return;
    }

    if (ngx_strcmp(e[0]->str, "message") == 0
        && e[2]->type == REDIS_REPLY_STRING)
    {
        payload.data = (u_char *) e[2]->str;
        payload.len = e[2]->len;

        sub->on_message(sub->data, &payload);
    }
}


/* --- tails ---------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_redis_tail(ngx_cycle_t *cycle,
    ngx_http_travel_redis_role_e role, ngx_http_travel_redis_tail_t *tail)
{
    ngx_http_travel_feed_tail_t   *ft;
    ngx_http_travel_redis_conf_t  *conf;

    conf = ngx_http_travel_feed_conf(cycle, role);
    if (conf == NULL) {
        return NGX_DECLINED;
    }

    ft = ngx_pcalloc(cycle->pool, sizeof(ngx_http_travel_feed_tail_t));
    if (ft == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_travel_feed_tails.next == NULL) {
        ngx_queue_init(&ngx_http_travel_feed_tails);
    }

    ngx_queue_insert_tail(&ngx_http_travel_feed_tails, &ft->queue);

    ft->tail = tail;

    ngx_http_travel_link_init(&ft->link, conf, "tail");
    ft->link.on_up = ngx_http_travel_feed_tail_up;
    ft->link.on_down = ngx_http_travel_feed_tail_down;
    ft->link.data = ft;
    ft->link.silence = NGX_HTTP_TRAVEL_TAIL_SILENCE;

    if (conf->cluster) {
        ft->link.aim = ngx_http_travel_feed_aim;
    }

    ngx_http_travel_link_connect(&ft->link);

    return NGX_OK;
}


/* In a cluster the stream is at one of the masters. */
static const ngx_http_travel_redis_server_t *
ngx_http_travel_feed_aim(ngx_http_travel_link_t *link)
{
    ngx_http_travel_feed_tail_t  *ft;

    ft = link->data;

    return ngx_http_travel_redis_cluster_at(link->conf, &ft->tail->stream);
}


static void
ngx_http_travel_feed_unreadable(ngx_http_travel_feed_tail_t *ft,
    const redisReply *reply)
{
    ngx_http_travel_redis_cluster_told(ft->link.conf, ft->link.at, reply);

    /* the server is there, so the link's own count begins anew each time */

    ft->link.attempt = ngx_min(ft->unreadable, 3);
    ft->unreadable++;

    ngx_http_travel_link_drop(&ft->link, "the stream cannot be read");
}


static void
ngx_http_travel_feed_tail_up(ngx_http_travel_link_t *link)
{
    ngx_str_t                     after;
    ngx_http_travel_feed_tail_t  *ft;

    ft = link->data;

    ngx_str_set(&after, "$");
    ft->tail->on_up(ft->tail->data, &after);

    if (ngx_http_travel_feed_after(ft, (char *) after.data, after.len)
        != NGX_OK)
    {
        return;
    }

    /*
     * Can reading go on after that id?  Only if the stream still holds what
     * came next: its oldest entry is not newer, its newest not older.
     */

    ft->oldest.ms = (uint64_t) -1;

    ngx_http_travel_feed_edge(ft, "XRANGE", "-", "+",
                              ngx_http_travel_feed_oldest);
    ngx_http_travel_feed_edge(ft, "XREVRANGE", "+", "-",
                              ngx_http_travel_feed_newest);
}


static void
ngx_http_travel_feed_edge(ngx_http_travel_feed_tail_t *ft,
    const char *command, const char *from, const char *to,
    redisCallbackFn *handler)
{
    size_t       len[6];
    const char  *argv[6];

    argv[0] = command;
    len[0] = ngx_strlen(command);
    argv[1] = (char *) ft->tail->stream.data;
    len[1] = ft->tail->stream.len;
    argv[2] = from;
    len[2] = 1;
    argv[3] = to;
    len[3] = 1;
    argv[4] = "COUNT";
    len[4] = 5;
    argv[5] = "1";
    len[5] = 1;

    (void) ngx_http_travel_link_send(&ft->link, handler, ft, 6, argv, len);
}


static void
ngx_http_travel_feed_tail_down(ngx_http_travel_link_t *link)
{
    ngx_http_travel_feed_tail_t  *ft;

    ft = link->data;

    if (ft->tail->on_down) {
        ft->tail->on_down(ft->tail->data);
    }
}


/* The id of the one entry of an XRANGE answer; "0-0" when there is none. */
static ngx_int_t
ngx_http_travel_feed_edge_id(redisReply *r, travel_str_t *ret_id)
{
    redisReply  *entry;

    if (r->type != REDIS_REPLY_ARRAY) {
        return NGX_ERROR;
    }

    if (r->elements == 0) {
        *ret_id = TRAVEL_STR("0-0");
        return NGX_OK;
    }

    entry = r->element[0];

    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2
        || entry->element[0]->type != REDIS_REPLY_STRING)
    {
        return NGX_ERROR;
    }

    ret_id->data = entry->element[0]->str;
    ret_id->len = entry->element[0]->len;

    return NGX_OK;
}


static void
ngx_http_travel_feed_oldest(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply                   *r;
    travel_str_t                  id;
    ngx_http_travel_feed_tail_t  *ft;

    r = reply;
    ft = data;

    if (r == NULL || ft->link.ac != ac) {
        return;
    }

    if (ngx_http_travel_feed_edge_id(r, &id) != NGX_OK
        || travel_stream_id_parse(&ft->oldest, id) != TRAVEL_OK)
    {
        ngx_http_travel_feed_unreadable(ft, r);
    }
}


static void
ngx_http_travel_feed_newest(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_str_t                     start;
    redisReply                   *r;
    travel_str_t                  id, after;
    travel_stream_id_t            newest, pos;
    ngx_http_travel_feed_tail_t  *ft;

    r = reply;
    ft = data;

    if (r == NULL || ft->link.ac != ac) {
        return;
    }

    if (ngx_http_travel_feed_edge_id(r, &id) != NGX_OK
        || travel_stream_id_parse(&newest, id) != TRAVEL_OK)
    {
        ngx_http_travel_feed_unreadable(ft, r);
        return;
    }

    after.data = (char *) ft->after;
    after.len = ft->after_len;

    if (travel_stream_id_parse(&pos, after) != TRAVEL_OK
        || travel_stream_id_cmp(ft->oldest, pos) > 0
        || travel_stream_id_cmp(newest, pos) < 0)
    {
        if (ngx_http_travel_feed_after(ft, id.data, id.len) != NGX_OK) {
            return;
        }

        if (ft->tail->on_start) {
            start = ngx_http_travel_str(id);
            ft->tail->on_start(ft->tail->data, &start);
        }
    }

    ngx_http_travel_feed_read(ft);
}


/* Remembers where to go on; an id that is none ends the link. */
static ngx_int_t
ngx_http_travel_feed_after(ngx_http_travel_feed_tail_t *ft, const char *id,
    size_t len)
{
    if (len == 0 || len > sizeof(ft->after)) {
        ngx_http_travel_link_drop(&ft->link, "bad stream id");
        return NGX_ERROR;
    }

    ngx_memcpy(ft->after, id, len);
    ft->after_len = len;

    return NGX_OK;
}


static void
ngx_http_travel_feed_read(ngx_http_travel_feed_tail_t *ft)
{
    size_t       len[8];
    const char  *argv[8];

    argv[0] = "XREAD";
    len[0] = 5;
    argv[1] = "COUNT";
    len[1] = 5;
    argv[2] = NGX_HTTP_TRAVEL_TAIL_COUNT;
    len[2] = sizeof(NGX_HTTP_TRAVEL_TAIL_COUNT) - 1;
    argv[3] = "BLOCK";
    len[3] = 5;
    argv[4] = NGX_HTTP_TRAVEL_TAIL_BLOCK;
    len[4] = sizeof(NGX_HTTP_TRAVEL_TAIL_BLOCK) - 1;
    argv[5] = "STREAMS";
    len[5] = 7;
    argv[6] = (char *) ft->tail->stream.data;
    len[6] = ft->tail->stream.len;
    argv[7] = (char *) ft->after;
    len[7] = ft->after_len;

    (void) ngx_http_travel_link_send(&ft->link, ngx_http_travel_feed_entries,
                                     ft, 8, argv, len);
}


static void
ngx_http_travel_feed_entries(redisAsyncContext *ac, void *reply, void *data)
{
    size_t                        i;
    redisReply                   *r, *entries;
    ngx_http_travel_feed_tail_t  *ft;

    r = reply;
    ft = data;

    if (r == NULL || ft->link.ac != ac) {
        return;
    }

    if (r->type == REDIS_REPLY_NIL) {
        ft->unreadable = 0;

        if (ft->tail->on_idle) {
            ft->tail->on_idle(ft->tail->data);
        }

        ngx_http_travel_feed_read(ft);
        return;
    }

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 1
        || r->element[0]->type != REDIS_REPLY_ARRAY
        || r->element[0]->elements != 2)
    {
        ngx_http_travel_feed_unreadable(ft, r);
        return;
    }

    ft->unreadable = 0;
    entries = r->element[0]->element[1];

    for (i = 0; i < entries->elements; i++) {
        if (ngx_http_travel_feed_entry(ft, entries->element[i]) != NGX_OK) {
            return;
        }
    }

    if (ft->tail->on_batch) {
        ft->tail->on_batch(ft->tail->data, entries->elements
                                           < NGX_HTTP_TRAVEL_TAIL_BATCH);
    }

    ngx_http_travel_feed_read(ft);
}


static ngx_int_t
ngx_http_travel_feed_entry(ngx_http_travel_feed_tail_t *ft, redisReply *entry)
{
    ngx_str_t    id;
    redisReply  *fields;

    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2
        || entry->element[0]->type != REDIS_REPLY_STRING)
    {
        ngx_http_travel_link_drop(&ft->link, "bad stream entry");
        return NGX_ERROR;
    }

    fields = entry->element[1];

    if (ngx_http_travel_feed_after(ft, entry->element[0]->str,
                                   entry->element[0]->len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* an entry deleted while it was read has no fields */

    if (fields->type != REDIS_REPLY_ARRAY) {
        return NGX_OK;
    }

    id.data = (u_char *) entry->element[0]->str;
    id.len = entry->element[0]->len;

    ft->tail->on_entry(ft->tail->data, &id,
                       (const ngx_http_travel_reply_t *) fields);

    return NGX_OK;
}
