/*
 * Topics of this nginx worker: joined, followed, read again after a loss.
 *
 * A topic's life: JOINING (Redis was asked to send its channel), PLACING (it
 * does; now its position is asked for), LIVE.  When the link is lost all
 * topics are JOINING again, but those that were LIVE keep their position and
 * read what they missed from the history, which is the truth; a hint that does
 * not follow on the position also leads there.  PLACING is left out when the
 * relay says where the topic is, and that is where it was left.
 *
 * Answers of Redis may come when who asked is gone: an op's 'data' is cleared
 * then, and its handler does nothing.
 *
 * A job's topic has neither channel nor history: it is LIVE from when its state
 * was seen (hub_job.c).
 *
 * Topics are in a hash of chains that has a fixed size; all of it belongs to
 * this process.
 */

#include "ngx_http_travel_live_topic.h"
#include "ngx_http_travel_live_relay.h"

#define NGX_HTTP_TRAVEL_HUB_BUCKETS  8192
#define NGX_HTTP_TRAVEL_HUB_READ     "100"     /* of history, at once */
#define NGX_HTTP_TRAVEL_HUB_BATCH    100
#define NGX_HTTP_TRAVEL_HUB_RETRY    500       /* ms */


static ngx_http_travel_topic_t **ngx_http_travel_hub_chain(
    const ngx_str_t *name);
static ngx_http_travel_topic_t *ngx_http_travel_hub_find(
    const ngx_str_t *name);
static ngx_http_travel_topic_t *ngx_http_travel_hub_create(
    const ngx_str_t *name);
static void ngx_http_travel_hub_forget(ngx_http_travel_topic_t *t);
static void ngx_http_travel_hub_up(void *data);
static void ngx_http_travel_hub_down(void *data);
static void ngx_http_travel_hub_joined(void *data, const ngx_str_t *channel);
static void ngx_http_travel_hub_found(const ngx_str_t *channel,
    const ngx_str_t *position);
static void ngx_http_travel_hub_hint(void *data, const ngx_str_t *channel,
    const ngx_str_t *source, const ngx_str_t *payload);
static void ngx_http_travel_hub_wild(ngx_http_travel_topic_t *t,
    const ngx_str_t *source, const ngx_str_t *payload);
static void ngx_http_travel_hub_read(ngx_http_travel_topic_t *t);
static void ngx_http_travel_hub_placed(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_hub_entries(ngx_http_travel_topic_t *t,
    const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_hub_position(ngx_http_travel_topic_t *t,
    travel_stream_id_t position);
static void ngx_http_travel_hub_settle_later(ngx_http_travel_topic_t *t);
static void ngx_http_travel_hub_settle_ripe(ngx_event_t *ev);
static void ngx_http_travel_hub_retry(ngx_event_t *ev);


static ngx_http_travel_topic_t          **ngx_http_travel_hub_topics;
static ngx_queue_t                        ngx_http_travel_hub_all;
static ngx_queue_t                        ngx_http_travel_hub_ripe;
static ngx_http_travel_redis_listener_t   ngx_http_travel_hub_listener;
static ngx_event_t                        ngx_http_travel_hub_timer;
static ngx_event_t                        ngx_http_travel_hub_event;


ngx_int_t
ngx_http_travel_hub_start(ngx_cycle_t *cycle, ngx_http_travel_zone_t *relay)
{
    ngx_http_travel_hub_topics = ngx_calloc(NGX_HTTP_TRAVEL_HUB_BUCKETS
                                            * sizeof(ngx_http_travel_topic_t *),
                                            cycle->log);
    if (ngx_http_travel_hub_topics == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&ngx_http_travel_hub_all);
    ngx_queue_init(&ngx_http_travel_hub_ripe);

    ngx_http_travel_hub_timer.handler = ngx_http_travel_hub_retry;
    ngx_http_travel_hub_timer.data = &ngx_http_travel_hub_all;
    ngx_http_travel_hub_timer.log = cycle->log;
    ngx_http_travel_hub_timer.cancelable = 1;

    ngx_http_travel_hub_event.handler = ngx_http_travel_hub_settle_ripe;
    ngx_http_travel_hub_event.log = cycle->log;

    ngx_http_travel_hub_listener.on_up = ngx_http_travel_hub_up;
    ngx_http_travel_hub_listener.on_down = ngx_http_travel_hub_down;
    ngx_http_travel_hub_listener.on_joined = ngx_http_travel_hub_joined;
    ngx_http_travel_hub_listener.on_message = ngx_http_travel_hub_hint;

    return ngx_http_travel_relay_start(cycle, relay,
                                       &ngx_http_travel_hub_listener,
                                       ngx_http_travel_hub_found);
}


void
ngx_http_travel_hub_stop(void)
{
    if (ngx_http_travel_hub_timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_hub_timer);
    }

    ngx_http_travel_relay_stop();

    /* topics went with their subscribers */
    ngx_free(ngx_http_travel_hub_topics);
    ngx_http_travel_hub_topics = NULL;
}


/* --- topics -------------------------------------------------------------- */

static ngx_http_travel_topic_t **
ngx_http_travel_hub_chain(const ngx_str_t *name)
{
    return &ngx_http_travel_hub_topics[ngx_murmur_hash2(name->data, name->len)
                                       % NGX_HTTP_TRAVEL_HUB_BUCKETS];
}


static ngx_http_travel_topic_t *
ngx_http_travel_hub_find(const ngx_str_t *name)
{
    ngx_http_travel_topic_t  *t;

    if (ngx_http_travel_hub_topics == NULL) {
        return NULL;
    }

    for (t = *ngx_http_travel_hub_chain(name); t != NULL; t = t->next) {
        if (t->name.len == name->len
            && ngx_memcmp(t->name.data, name->data, name->len) == 0)
        {
            return t;
        }
    }

    return NULL;
}


/* Lines have names of another kind. */
static ngx_uint_t
ngx_http_travel_hub_is_job(const ngx_http_travel_topic_t *t)
{
    return !t->pattern && t->name.len > 4
           && ngx_memcmp(t->name.data, "job:", 4) == 0;
}


static ngx_http_travel_topic_t *
ngx_http_travel_hub_create(const ngx_str_t *name)
{
    ngx_http_travel_topic_t  *t, **chain;

    t = ngx_calloc(sizeof(ngx_http_travel_topic_t)
                   + sizeof(TRAVEL_LIVE_PREFIX) - 1 + name->len,
                   ngx_cycle->log);
    if (t == NULL) {
        return NULL;
    }

    ngx_queue_init(&t->subs);

    t->key.data = t->text;
    t->key.len = sizeof(TRAVEL_LIVE_PREFIX) - 1 + name->len;
    t->name.data = ngx_cpymem(t->text, TRAVEL_LIVE_PREFIX,
                              sizeof(TRAVEL_LIVE_PREFIX) - 1);
    t->name.len = name->len;
    ngx_memcpy(t->name.data, name->data, name->len);

    t->pattern = ngx_strlchr(name->data, name->data + name->len, '*') != NULL;

    chain = ngx_http_travel_hub_chain(name);
    t->next = *chain;
    *chain = t;
    ngx_queue_insert_tail(&ngx_http_travel_hub_all, &t->all);

    if (ngx_http_travel_hub_is_job(t)) {

        if (ngx_http_travel_hub_job(t) != NGX_OK) {
            ngx_http_travel_hub_forget(t);
            return NULL;
        }

    } else {
        ngx_http_travel_relay_join(&t->key);
    }

    return t;
}


static void
ngx_http_travel_hub_forget(ngx_http_travel_topic_t *t)
{
    ngx_http_travel_topic_t  **chain;

    for (chain = ngx_http_travel_hub_chain(&t->name); *chain != t;
         chain = &(*chain)->next)
    {
        /* void */
    }

    *chain = t->next;
    ngx_queue_remove(&t->all);

    if (t->ripe) {
        ngx_queue_remove(&t->unsettled);
    }

    if (t->op != NULL) {
        t->op->data = NULL;
    }

    ngx_http_travel_presence_say(&t->presence, &t->name, 0);

    if (ngx_http_travel_hub_is_job(t)) {
        ngx_http_travel_hub_job_gone(t);

    } else {
        ngx_http_travel_relay_leave(&t->key);
    }

    ngx_free(t);
}


/* --- subscribers --------------------------------------------------------- */

ngx_int_t
ngx_http_travel_subscribe(ngx_http_travel_subscriber_t *sub,
    const ngx_str_t *topic, const u_char *owner,
    const travel_stream_id_t *cursor,
    const ngx_http_travel_subscriber_pt *handlers, void *data)
{
    ngx_http_travel_topic_t  *t;

    if (!ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE)) {
        return NGX_ERROR;
    }

    t = ngx_http_travel_hub_find(topic);

    if (t == NULL) {
        t = ngx_http_travel_hub_create(topic);
        if (t == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_memzero(sub, sizeof(ngx_http_travel_subscriber_t));

    sub->topic = t;
    sub->owner = owner;
    sub->handlers = handlers;
    sub->data = data;

    if (cursor != NULL) {
        sub->pos = *cursor;
        sub->resumes = 1;
    }

    ngx_queue_insert_tail(&t->subs, &sub->queue);
    t->watchers++;

    if (t->state == NGX_HTTP_TRAVEL_TOPIC_LIVE) {
        ngx_http_travel_hub_settle_later(t);
    }

    return NGX_OK;
}


void
ngx_http_travel_unsubscribe(ngx_http_travel_subscriber_t *sub)
{
    ngx_http_travel_topic_t  *t = sub->topic;

    if (t == NULL) {
        return;
    }

    if (sub->op != NULL) {
        sub->op->data = NULL;
        sub->op = NULL;
    }

    sub->topic = NULL;
    ngx_queue_remove(&sub->queue);

    if (--t->watchers == 0) {
        ngx_http_travel_hub_forget(t);
    }
}


const ngx_str_t *
ngx_http_travel_subscribed(const ngx_http_travel_subscriber_t *sub)
{
    return &sub->topic->name;
}


ngx_int_t
ngx_http_travel_hub_listen(ngx_http_travel_line_t *line,
    const ngx_str_t *name)
{
    if (ngx_http_travel_hub_find(name) != NULL) {
        return NGX_BUSY;
    }

    line->topic = ngx_http_travel_hub_create(name);
    if (line->topic == NULL) {
        return NGX_ERROR;
    }

    line->topic->line = line;

    return NGX_OK;
}


void
ngx_http_travel_hub_hang_up(ngx_http_travel_line_t *line)
{
    if (line->topic != NULL) {
        ngx_http_travel_hub_forget(line->topic);
        line->topic = NULL;
    }
}


/* Those who came to a topic that is live are settled in an event of their
 * own, never within subscribe(). */
static void
ngx_http_travel_hub_settle_later(ngx_http_travel_topic_t *t)
{
    if (!t->ripe) {
        t->ripe = 1;
        ngx_queue_insert_tail(&ngx_http_travel_hub_ripe, &t->unsettled);
    }

    ngx_post_event(&ngx_http_travel_hub_event, &ngx_posted_events);
}


static void
ngx_http_travel_hub_settle_ripe(ngx_event_t *ev)
{
    ngx_queue_t              *q;
    ngx_http_travel_topic_t  *t;

    (void) ev;

    while (!ngx_queue_empty(&ngx_http_travel_hub_ripe)) {
        q = ngx_queue_head(&ngx_http_travel_hub_ripe);
        t = ngx_queue_data(q, ngx_http_travel_topic_t, unsettled);

        ngx_queue_remove(q);
        t->ripe = 0;

        if (t->state == NGX_HTTP_TRAVEL_TOPIC_LIVE) {
            ngx_http_travel_hub_settle_all(t);
        }
    }
}


/* Whose number was told goes to the end: all have their turn. */
void
ngx_http_travel_hub_presence(ngx_uint_t n)
{
    ngx_queue_t              *q, *next, *last;
    ngx_http_travel_topic_t  *t;

    last = ngx_queue_last(&ngx_http_travel_hub_all);

    for (q = ngx_queue_head(&ngx_http_travel_hub_all);
         q != ngx_queue_sentinel(&ngx_http_travel_hub_all) && n > 0;
         q = next)
    {
        next = q == last ? ngx_queue_sentinel(&ngx_http_travel_hub_all)
                         : ngx_queue_next(q);
        t = ngx_queue_data(q, ngx_http_travel_topic_t, all);

        if (t->line == NULL
            && ngx_http_travel_presence_due(&t->presence, t->watchers))
        {
            ngx_http_travel_presence_say(&t->presence, &t->name, t->watchers);
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&ngx_http_travel_hub_all, q);
            n--;
        }
    }
}


/* --- what Redis says ----------------------------------------------------- */

static void
ngx_http_travel_hub_up(void *data)
{
    ngx_queue_t              *q;
    ngx_http_travel_topic_t  *t;

    (void) data;

    for (q = ngx_queue_head(&ngx_http_travel_hub_all);
         q != ngx_queue_sentinel(&ngx_http_travel_hub_all);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_travel_topic_t, all);

        if (t->job == NULL) {
            ngx_http_travel_relay_join(&t->key);
        }
    }
}


static void
ngx_http_travel_hub_down(void *data)
{
    ngx_queue_t              *q;
    ngx_http_travel_topic_t  *t;

    (void) data;

    for (q = ngx_queue_head(&ngx_http_travel_hub_all);
         q != ngx_queue_sentinel(&ngx_http_travel_hub_all);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_travel_topic_t, all);

        if (t->job == NULL) {
            t->state = NGX_HTTP_TRAVEL_TOPIC_JOINING;
        }
    }
}


static ngx_http_travel_topic_t *
ngx_http_travel_hub_of(const ngx_str_t *channel)
{
    ngx_str_t  name;

    name.data = channel->data + sizeof(TRAVEL_LIVE_PREFIX) - 1;
    name.len = channel->len - (sizeof(TRAVEL_LIVE_PREFIX) - 1);

    return ngx_http_travel_hub_find(&name);
}


static void
ngx_http_travel_hub_joined(void *data, const ngx_str_t *channel)
{
    ngx_http_travel_topic_t  *t;

    (void) data;

    t = ngx_http_travel_hub_of(channel);

    if (t == NULL || t->state != NGX_HTTP_TRAVEL_TOPIC_JOINING) {
        return;
    }

    if (t->line != NULL) {
        t->state = NGX_HTTP_TRAVEL_TOPIC_LIVE;
        t->line->joined(t->line->data);
        return;
    }

    if (t->pattern) {
        t->state = NGX_HTTP_TRAVEL_TOPIC_LIVE;

        if (t->placed) {
            ngx_http_travel_hub_gap(t, -1);
        }

        t->placed = 1;
        ngx_http_travel_hub_settle_all(t);
        return;
    }

    t->state = NGX_HTTP_TRAVEL_TOPIC_PLACING;
    ngx_http_travel_hub_read(t);
}


/* Joined, and where the topic was just before is known: who is there already
 * need not read. */
static void
ngx_http_travel_hub_found(const ngx_str_t *channel, const ngx_str_t *position)
{
    travel_stream_id_t        at;
    ngx_http_travel_topic_t  *t;

    t = ngx_http_travel_hub_of(channel);

    if (t == NULL || t->state != NGX_HTTP_TRAVEL_TOPIC_JOINING
        || t->line != NULL || t->pattern || t->op != NULL || t->again
        || travel_stream_id_parse(&at, ngx_http_travel_view(position))
           != TRAVEL_OK)
    {
        ngx_http_travel_hub_joined(NULL, channel);
        return;
    }

    if (!t->placed) {
        t->placed = 1;
        t->last = at;

    } else if (travel_stream_id_cmp(at, t->last) != 0
               && (at.seq != 0 || t->last.seq != 0))
    {
        ngx_http_travel_hub_joined(NULL, channel);
        return;
    }

    t->state = NGX_HTTP_TRAVEL_TOPIC_LIVE;
    ngx_http_travel_hub_settle_all(t);
}


static void
ngx_http_travel_hub_hint(void *data, const ngx_str_t *channel,
    const ngx_str_t *source, const ngx_str_t *payload)
{
    ngx_str_t                 json;
    travel_str_t              text;
    travel_stream_id_t        id;
    ngx_http_travel_topic_t  *t;

    (void) data;

    t = ngx_http_travel_hub_of(channel);

    if (t == NULL) {
        return;
    }

    if (t->state == NGX_HTTP_TRAVEL_TOPIC_JOINING) {
        /* a position that was asked for earlier says nothing of it */
        t->again = t->line == NULL && !t->pattern;
        return;
    }

    if (t->line != NULL) {
        t->line->message(t->line->data, payload);
        return;
    }

    if (t->pattern) {
        ngx_http_travel_hub_wild(t, source, payload);
        return;
    }

    if (travel_live_passing(ngx_http_travel_view(payload), &text)
        == TRAVEL_OK)
    {
        json = ngx_http_travel_str(text);
        ngx_http_travel_hub_pass(t, &json);
        return;
    }

    if (t->state == NGX_HTTP_TRAVEL_TOPIC_PLACING || t->op != NULL
        || travel_live_hint(ngx_http_travel_view(payload), &id, &text)
           != TRAVEL_OK)
    {
        ngx_http_travel_hub_read(t);
        return;
    }

    if (travel_live_follows(t->last, id)
        || (id.seq == 1 && id.ms > t->last.ms))
    {
        /* a new history began, and nothing of the old one was missed: the
         * channel has been joined all the time */
        json = ngx_http_travel_str(text);
        t->last = id;
        ngx_http_travel_hub_deliver(t, &t->name, id, &json);

    } else if (travel_stream_id_cmp(id, t->last) > 0) {
        ngx_http_travel_hub_read(t);
    }
}


/* Patterns have no history and no position: each message as it comes, under
 * its own topic's name. */
static void
ngx_http_travel_hub_wild(ngx_http_travel_topic_t *t, const ngx_str_t *source,
    const ngx_str_t *payload)
{
    ngx_str_t           name, json;
    travel_str_t        text;
    travel_stream_id_t  id;

    if (travel_live_passing(ngx_http_travel_view(payload), &text)
        == TRAVEL_OK)
    {
        ngx_memzero(&id, sizeof(id));

    } else if (travel_live_hint(ngx_http_travel_view(payload), &id, &text)
               != TRAVEL_OK)
    {
        return;
    }

    name.data = source->data + sizeof(TRAVEL_LIVE_PREFIX) - 1;
    name.len = source->len - (sizeof(TRAVEL_LIVE_PREFIX) - 1);
    json = ngx_http_travel_str(text);

    ngx_http_travel_hub_deliver(t, &name, id, &json);
}


/* Reads what follows the topic's position, if it has one, and then where the
 * topic is. */
static void
ngx_http_travel_hub_read(ngx_http_travel_topic_t *t)
{
    size_t                       len[1];
    ngx_int_t                    rc;
    const char                  *argv[1];
    ngx_http_travel_redis_op_t  *op;

    if (t->op != NULL) {
        t->again = 1;
        return;
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                  ngx_http_travel_hub_placed, t);
    rc = op != NULL ? NGX_OK : NGX_ERROR;

    if (rc == NGX_OK && t->placed) {
        rc = ngx_http_travel_hub_range(op, &t->key, t->last);
    }

    if (rc == NGX_OK) {
        argv[0] = (char *) t->key.data;
        len[0] = t->key.len;
        rc = ngx_http_travel_redis_script(op, travel_live_positions, 1, 1,
                                          argv, len);

        if (rc != NGX_OK && t->placed) {
            /* half a question: its answer is for nobody */
            op->data = NULL;
        }
    }

    t->op = rc == NGX_OK ? op : NULL;
    t->again = rc != NGX_OK;

    if (t->again) {
        ngx_http_travel_hub_ask_later();
    }
}


void
ngx_http_travel_hub_ask_later(void)
{
    if (!ngx_http_travel_hub_timer.timer_set) {
        ngx_add_timer(&ngx_http_travel_hub_timer, NGX_HTTP_TRAVEL_HUB_RETRY);
    }
}


/* Topics whose question was lost ask again. */
static void
ngx_http_travel_hub_retry(ngx_event_t *ev)
{
    ngx_queue_t              *q;
    ngx_http_travel_topic_t  *t;

    (void) ev;

    for (q = ngx_queue_head(&ngx_http_travel_hub_all);
         q != ngx_queue_sentinel(&ngx_http_travel_hub_all);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_travel_topic_t, all);

        if (t->late) {
            ngx_http_travel_hub_hurry(t);
        }

        if (t->state != NGX_HTTP_TRAVEL_TOPIC_JOINING && t->op == NULL
            && (t->again || t->state == NGX_HTTP_TRAVEL_TOPIC_PLACING))
        {
            ngx_http_travel_hub_read(t);
        }
    }
}


static void
ngx_http_travel_hub_placed(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                 text;
    travel_stream_id_t        position;
    ngx_http_travel_topic_t  *t;

    t = op->data;

    if (t == NULL) {
        return;
    }

    if (reply != NULL && t->placed && i == 0) {
        ngx_http_travel_hub_entries(t, reply);
        return;
    }

    t->op = NULL;

    if (reply == NULL
        || ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_ARRAY
        || ngx_http_travel_reply_count(reply) != 1)
    {
        t->again = 1;
        ngx_http_travel_hub_ask_later();
        return;
    }

    text = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 0));

    if (travel_stream_id_parse(&position, ngx_http_travel_view(&text))
        == TRAVEL_OK)
    {
        ngx_http_travel_hub_position(t, position);
    }
}


/* What was found after the topic's position: it is told to those who are up
 * to there. */
static void
ngx_http_travel_hub_entries(ngx_http_travel_topic_t *t,
    const ngx_http_travel_reply_t *reply)
{
    int64_t             missed;
    ngx_str_t           json;
    ngx_uint_t          i, n;
    travel_stream_id_t  id;

    if (ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_ARRAY) {
        return;
    }

    n = ngx_http_travel_reply_count(reply);

    for (i = 0; i < n; i++) {
        if (ngx_http_travel_hub_entry(ngx_http_travel_reply_elt(reply, i),
                                      &id, &json)
            != NGX_OK)
        {
            continue;
        }

        missed = travel_live_missed(t->last, id);

        if (missed != 0) {
            ngx_http_travel_hub_gap(t, missed);
        }

        t->last = id;
        ngx_http_travel_hub_deliver(t, &t->name, id, &json);
    }

    if (n == NGX_HTTP_TRAVEL_HUB_BATCH) {
        t->again = 1;
    }
}


/* Where the topic was when it was asked, which may be later than what was read
 * just before: then it is read again. */
static void
ngx_http_travel_hub_position(ngx_http_travel_topic_t *t,
    travel_stream_id_t position)
{
    if (!t->placed) {
        t->placed = 1;
        t->last = position;

    } else if (position.ms == t->last.ms) {

        if (position.seq > t->last.seq) {
            t->again = 1;
        }

    } else if (t->last.seq != 0 || position.seq != 0) {

        if (position.seq != 0 && position.ms > t->last.ms) {
            /* there is more to read */
            t->again = 1;

        } else {
            /* the history is gone, with whatever came last */
            ngx_http_travel_hub_gap(t, -1);
            t->last = position;
        }
    }

    t->state = NGX_HTTP_TRAVEL_TOPIC_LIVE;

    if (t->again) {
        ngx_http_travel_hub_read(t);
    }

    ngx_http_travel_hub_settle_all(t);
}


ngx_int_t
ngx_http_travel_hub_range(ngx_http_travel_redis_op_t *op,
    const ngx_str_t *key, travel_stream_id_t after)
{
    char         from[48];
    size_t       len[6];
    const char  *argv[6];

    from[0] = '(';

    argv[0] = "XRANGE";
    len[0] = 6;
    argv[1] = (char *) key->data;
    len[1] = key->len;
    argv[2] = from;
    len[2] = 1 + travel_stream_id_format(from + 1, after);
    argv[3] = "+";
    len[3] = 1;
    argv[4] = "COUNT";
    len[4] = 5;
    argv[5] = NGX_HTTP_TRAVEL_HUB_READ;
    len[5] = sizeof(NGX_HTTP_TRAVEL_HUB_READ) - 1;

    return ngx_http_travel_redis_command(op, 6, argv, len);
}


/* [id, ["m", JSON]] */
ngx_int_t
ngx_http_travel_hub_entry(const ngx_http_travel_reply_t *entry,
    travel_stream_id_t *ret_id, ngx_str_t *ret_json)
{
    ngx_str_t                       id;
    const ngx_http_travel_reply_t  *fields;

    if (ngx_http_travel_reply_type(entry) != NGX_HTTP_TRAVEL_REPLY_ARRAY
        || ngx_http_travel_reply_count(entry) != 2)
    {
        return NGX_ERROR;
    }

    id = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(entry, 0));
    fields = ngx_http_travel_reply_elt(entry, 1);

    if (travel_stream_id_parse(ret_id, ngx_http_travel_view(&id))
        != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_travel_reply_type(fields) != NGX_HTTP_TRAVEL_REPLY_ARRAY
        || ngx_http_travel_reply_count(fields) < 2)
    {
        /* deleted while it was read: it had its number all the same */
        ngx_str_set(ret_json, "null");
        return NGX_OK;
    }

    *ret_json = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(fields,
                                                                    1));
    return NGX_OK;
}
