/*
 * Channels that come and go: one link of this nginx worker to the cache role,
 * on which its owner joins and leaves as it likes.
 *
 * A channel may be left while its messages are on their way and joined again
 * before Redis has heard of that, so nothing here points at what the owner
 * knows about a channel: it is told names.  One channel is never left: hiredis
 * must not see the last subscription end, and joining it again and again shows
 * whether the link is alive.
 */

#include "ngx_http_travel_redis_link.h"

#define NGX_HTTP_TRAVEL_LISTEN_IDLE     "travel:live:-"
#define NGX_HTTP_TRAVEL_LISTEN_BEAT     2000        /* ms */
#define NGX_HTTP_TRAVEL_LISTEN_SILENCE  5000


static void ngx_http_travel_listen_up(ngx_http_travel_link_t *link);
static void ngx_http_travel_listen_down(ngx_http_travel_link_t *link);
static void ngx_http_travel_listen_beat(ngx_event_t *ev);
static ngx_uint_t ngx_http_travel_listen_wild(const ngx_str_t *channel);
static ngx_int_t ngx_http_travel_listen_send(const char *command,
    const ngx_str_t *channel);
static void ngx_http_travel_listen_message(redisAsyncContext *ac, void *reply,
    void *data);


static struct {
    ngx_http_travel_link_t             link;
    ngx_event_t                        timer;
    ngx_http_travel_redis_listener_t  *listener;
    unsigned                           started:1;
} ngx_http_travel_listen;


ngx_int_t
ngx_http_travel_redis_listen(ngx_cycle_t *cycle,
    ngx_http_travel_redis_listener_t *listener)
{
    ngx_http_travel_net_conf_t  *conf;

    if (ngx_http_travel_listen.started
        || ngx_http_travel_net_start(cycle) != NGX_OK
        || !ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE))
    {
        return NGX_DECLINED;
    }

    conf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_net_module);

    ngx_http_travel_listen.started = 1;
    ngx_http_travel_listen.listener = listener;

    ngx_http_travel_listen.timer.handler = ngx_http_travel_listen_beat;
    ngx_http_travel_listen.timer.data = &ngx_http_travel_listen;
    ngx_http_travel_listen.timer.log = cycle->log;
    ngx_http_travel_listen.timer.cancelable = 1;

    ngx_http_travel_link_init(&ngx_http_travel_listen.link,
                              &conf->redis[NGX_HTTP_TRAVEL_REDIS_CACHE],
                              "live");
    ngx_http_travel_listen.link.on_up = ngx_http_travel_listen_up;
    ngx_http_travel_listen.link.on_down = ngx_http_travel_listen_down;
    ngx_http_travel_listen.link.silence = NGX_HTTP_TRAVEL_LISTEN_SILENCE;

    ngx_http_travel_link_connect(&ngx_http_travel_listen.link);

    return NGX_OK;
}


void
ngx_http_travel_redis_unlisten(void)
{
    if (!ngx_http_travel_listen.started) {
        return;
    }

    if (ngx_http_travel_listen.timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_listen.timer);
    }

    ngx_http_travel_link_close(&ngx_http_travel_listen.link);
    ngx_http_travel_listen.started = 0;
}


static ngx_uint_t
ngx_http_travel_listen_wild(const ngx_str_t *channel)
{
    return ngx_strlchr(channel->data, channel->data + channel->len, '*')
           != NULL;
}


ngx_int_t
ngx_http_travel_redis_join(const ngx_str_t *channel)
{
    return ngx_http_travel_listen_send(ngx_http_travel_listen_wild(channel)
                                       ? "PSUBSCRIBE" : "SUBSCRIBE", channel);
}


void
ngx_http_travel_redis_leave(const ngx_str_t *channel)
{
    (void) ngx_http_travel_listen_send(ngx_http_travel_listen_wild(channel)
                                       ? "PUNSUBSCRIBE" : "UNSUBSCRIBE",
                                       channel);
}


static ngx_int_t
ngx_http_travel_listen_send(const char *command, const ngx_str_t *channel)
{
    size_t       len[2];
    const char  *argv[2];

    if (!ngx_http_travel_listen.started
        || ngx_http_travel_listen.link.state != NGX_HTTP_TRAVEL_LINK_UP)
    {
        return NGX_DECLINED;
    }

    argv[0] = command;
    len[0] = ngx_strlen(command);
    argv[1] = (char *) channel->data;
    len[1] = channel->len;

    return ngx_http_travel_link_send(&ngx_http_travel_listen.link,
                                     ngx_http_travel_listen_message, NULL, 2,
                                     argv, len);
}


static void
ngx_http_travel_listen_beat(ngx_event_t *ev)
{
    static ngx_str_t  idle = ngx_string(NGX_HTTP_TRAVEL_LISTEN_IDLE);

    if (ngx_http_travel_redis_join(&idle) == NGX_OK && !ngx_exiting) {
        ngx_add_timer(ev, NGX_HTTP_TRAVEL_LISTEN_BEAT);
    }
}


static void
ngx_http_travel_listen_up(ngx_http_travel_link_t *link)
{
    ngx_http_travel_redis_listener_t  *listener;

    (void) link;

    listener = ngx_http_travel_listen.listener;

    ngx_http_travel_listen_beat(&ngx_http_travel_listen.timer);
    listener->on_up(listener->data);
}


static void
ngx_http_travel_listen_down(ngx_http_travel_link_t *link)
{
    ngx_http_travel_redis_listener_t  *listener;

    (void) link;

    listener = ngx_http_travel_listen.listener;

    if (ngx_http_travel_listen.timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_listen.timer);
    }

    listener->on_down(listener->data);
}


static void
ngx_http_travel_listen_message(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_str_t                          channel, source, payload;
    redisReply                        *r, **e;
    ngx_http_travel_redis_listener_t  *listener;

    (void) ac;
    (void) data;

    r = reply;
    listener = ngx_http_travel_listen.listener;

    if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements < 3
        || r->element[0]->type != REDIS_REPLY_STRING
        || r->element[1]->type != REDIS_REPLY_STRING)
    {
        return;
    }

    e = r->element;

    if (r->elements == 4 && ngx_strcmp(e[0]->str, "pmessage") == 0
        && e[2]->type == REDIS_REPLY_STRING
        && e[3]->type == REDIS_REPLY_STRING)
    {
        channel.data = (u_char *) e[1]->str;
        channel.len = e[1]->len;
        source.data = (u_char *) e[2]->str;
        source.len = e[2]->len;
        payload.data = (u_char *) e[3]->str;
        payload.len = e[3]->len;

        listener->on_message(listener->data, &channel, &source, &payload);
        return;
    }

    channel.data = (u_char *) e[1]->str;
    channel.len = e[1]->len;

    if (channel.len == sizeof(NGX_HTTP_TRAVEL_LISTEN_IDLE) - 1
        && ngx_memcmp(channel.data, NGX_HTTP_TRAVEL_LISTEN_IDLE, channel.len)
           == 0)
    {
        return;
    }

    if (ngx_strcmp(e[0]->str, "subscribe") == 0
        || ngx_strcmp(e[0]->str, "psubscribe") == 0)
    {
        listener->on_joined(listener->data, &channel);

    } else if (ngx_strcmp(e[0]->str, "message") == 0
               && e[2]->type == REDIS_REPLY_STRING)
    {
        payload.data = (u_char *) e[2]->str;
        payload.len = e[2]->len;

        listener->on_message(listener->data, &channel, &channel, &payload);
    }
}
