/*
 * Presence: how many watch a topic, on all nodes together.
 *
 * Each nginx worker tells Redis (role cache) its own counts: a hash for the
 * topic, a field for the worker, "<count> <until>".  What changed is told once
 * a second, and all again before it runs out, so a worker that died is
 * forgotten within a minute.  Who asks sums up what has not run out.
 *
 * Only where some location has presence=on is anything told.
 */

#include "ngx_http_travel_live_hub.h"

#define NGX_HTTP_TRAVEL_PRESENCE_LOOK   1000       /* ms */
#define NGX_HTTP_TRAVEL_PRESENCE_AGAIN  20000
#define NGX_HTTP_TRAVEL_PRESENCE_BATCH  200        /* topics in one look */


static void ngx_http_travel_presence_look(ngx_event_t *ev);
static void ngx_http_travel_presence_told(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_presence_summed(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);


static const char  ngx_http_travel_presence_tell[] =
    "local t = tonumber(redis.call('TIME')[1])\n"
    "if ARGV[2] == '0' then return redis.call('HDEL', KEYS[1], ARGV[1]) end\n"
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. (t + 60))\n"
    "return redis.call('EXPIRE', KEYS[1], 60)\n";

static const char  ngx_http_travel_presence_sum[] =
    "local t = tonumber(redis.call('TIME')[1])\n"
    "local n = 0\n"
    "local all = redis.call('HGETALL', KEYS[1])\n"
    "for i = 1, #all, 2 do\n"
    "  local c, e = string.match(all[i + 1], '(%d+) (%d+)')\n"
    "  if tonumber(e) > t then n = n + tonumber(c)\n"
    "  else redis.call('HDEL', KEYS[1], all[i]) end\n"
    "end\n"
    "return n\n";

static ngx_event_t  ngx_http_travel_presence_timer;
static u_char       ngx_http_travel_presence_self[16];    /* hex */
static ngx_uint_t   ngx_http_travel_presence_on;


ngx_int_t
ngx_http_travel_presence_start(ngx_cycle_t *cycle)
{
    uint8_t  random[8];

    static ngx_connection_t  dummy;      /* what timers' debug log looks at */

    if (travel_random(random, sizeof(random)) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    travel_hex_encode((char *) ngx_http_travel_presence_self, random,
                      sizeof(random));

    ngx_http_travel_presence_timer.handler = ngx_http_travel_presence_look;
    ngx_http_travel_presence_timer.data = &dummy;
    ngx_http_travel_presence_timer.log = cycle->log;
    ngx_http_travel_presence_timer.cancelable = 1;
    ngx_add_timer(&ngx_http_travel_presence_timer,
                  NGX_HTTP_TRAVEL_PRESENCE_LOOK);

    ngx_http_travel_presence_on = 1;

    return NGX_OK;
}


void
ngx_http_travel_presence_stop(void)
{
    if (ngx_http_travel_presence_timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_presence_timer);
    }

    ngx_http_travel_presence_on = 0;
}


static ngx_int_t
ngx_http_travel_presence_script(ngx_http_travel_redis_op_t *op,
    const char *script, const ngx_str_t *topic, ngx_uint_t n)
{
    u_char       key[sizeof(TRAVEL_LIVE_PREFIX) + TRAVEL_LIVE_TOPIC_MAX + 8];
    u_char       count[NGX_INT_T_LEN];
    size_t       len[3];
    const char  *argv[3];

    if (op == NULL || topic->len > TRAVEL_LIVE_TOPIC_MAX) {
        return NGX_ERROR;
    }

    argv[0] = (char *) key;
    len[0] = ngx_sprintf(key, TRAVEL_LIVE_PREFIX "here:%V", topic) - key;
    argv[1] = (char *) ngx_http_travel_presence_self;
    len[1] = sizeof(ngx_http_travel_presence_self);
    argv[2] = (char *) count;
    len[2] = ngx_sprintf(count, "%ui", n) - count;

    return ngx_http_travel_redis_script(op, script, 1,
               script == ngx_http_travel_presence_tell ? 3 : 1, argv, len);
}


/* What the hub has of it is another number than what was told, or that runs
 * out soon. */
ngx_uint_t
ngx_http_travel_presence_due(const ngx_http_travel_presence_t *p,
    ngx_uint_t watchers)
{
    return p->told != watchers
           || ngx_current_msec - p->at >= NGX_HTTP_TRAVEL_PRESENCE_AGAIN;
}


void
ngx_http_travel_presence_say(ngx_http_travel_presence_t *p,
    const ngx_str_t *topic, ngx_uint_t watchers)
{
    ngx_http_travel_redis_op_t  *op;

    if (!ngx_http_travel_presence_on || (watchers == 0 && p->told == 0)) {
        return;
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                  ngx_http_travel_presence_told, NULL);

    if (ngx_http_travel_presence_script(op, ngx_http_travel_presence_tell,
                                        topic, watchers)
        == NGX_OK)
    {
        p->told = watchers;
        p->at = ngx_current_msec;
    }
}


static void
ngx_http_travel_presence_look(ngx_event_t *ev)
{
    ngx_http_travel_hub_presence(NGX_HTTP_TRAVEL_PRESENCE_BATCH);

    if (!ngx_exiting) {
        ngx_add_timer(ev, NGX_HTTP_TRAVEL_PRESENCE_LOOK);
    }
}


/* A count that was lost is told again in its time. */
static void
ngx_http_travel_presence_told(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    (void) op;
    (void) i;
    (void) reply;
}


/* --- asking -------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_presence_ask(ngx_http_travel_asker_t *asker,
    const ngx_str_t *topic)
{
    if (asker->op != NULL) {
        return NGX_BUSY;
    }

    asker->op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                         ngx_http_travel_presence_summed,
                                         asker);

    if (ngx_http_travel_presence_script(asker->op,
                                        ngx_http_travel_presence_sum, topic, 0)
        != NGX_OK)
    {
        asker->op = NULL;
        return NGX_ERROR;
    }

    asker->topic.len = topic->len;
    ngx_memcpy(asker->text, topic->data, topic->len);
    asker->topic.data = asker->text;

    return NGX_OK;
}


void
ngx_http_travel_presence_forget(ngx_http_travel_asker_t *asker)
{
    if (asker->op != NULL) {
        asker->op->data = NULL;
        asker->op = NULL;
    }
}


static void
ngx_http_travel_presence_summed(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_asker_t  *asker = op->data;

    (void) i;

    if (asker == NULL) {
        return;
    }

    asker->op = NULL;
    asker->answer(asker, reply != NULL
                         && ngx_http_travel_reply_type(reply)
                            == NGX_HTTP_TRAVEL_REPLY_INTEGER
                         ? (ngx_int_t) ngx_http_travel_reply_int(reply) : -1);
}
