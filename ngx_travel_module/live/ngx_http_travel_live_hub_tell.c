/*
 * What the hub tells the subscribers of a topic: messages as they come, gaps,
 * and to those who come back what they have missed.
 *
 * A subscriber is 'ready' when it has been told that it follows, and 'behind'
 * as long as it reads the history, by questions of its own; then it is where
 * the topic is, and hears with all others.
 */

#include "ngx_http_travel_live_topic.h"

#define NGX_HTTP_TRAVEL_HUB_AHEAD  16          /* subscribers fetched */


static void ngx_http_travel_hub_tell(ngx_http_travel_topic_t *t,
    ngx_http_travel_message_t *m, ngx_uint_t moves);
static void ngx_http_travel_hub_settle(ngx_http_travel_topic_t *t,
    ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_hub_state(ngx_http_travel_topic_t *t,
    ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_hub_catch_up(ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_hub_late(ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_hub_caught(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);


void
ngx_http_travel_hub_gap(ngx_http_travel_topic_t *t, int64_t missed)
{
    ngx_queue_t                   *q;
    ngx_http_travel_subscriber_t  *sub;

    for (q = ngx_queue_head(&t->subs); q != ngx_queue_sentinel(&t->subs);
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_http_travel_subscriber_t, queue);

        if (sub->ready && !sub->behind) {
            sub->handlers->gap(sub, missed);
        }
    }
}


void
ngx_http_travel_hub_deliver(ngx_http_travel_topic_t *t,
    const ngx_str_t *name, travel_stream_id_t id, const ngx_str_t *json)
{
    ngx_http_travel_message_t  m;

    ngx_memzero(&m, sizeof(m));

    m.topic = name;
    m.id = id;
    m.json = *json;

    ngx_http_travel_hub_tell(t, &m, !t->pattern);
    ngx_http_travel_told_release(&m);
}


/* What is in no history: who follows the topic hears it, at his own place. */
void
ngx_http_travel_hub_pass(ngx_http_travel_topic_t *t, const ngx_str_t *json)
{
    ngx_http_travel_message_t  m;

    ngx_memzero(&m, sizeof(m));

    m.topic = &t->name;
    m.id = t->last;
    m.json = *json;

    ngx_http_travel_hub_tell(t, &m, 0);
    ngx_http_travel_told_release(&m);
}


/*
 * To all who are up to the topic's position; one that 'moves' it, to those who
 * have not had it yet.  A crowd's memory is in no cache: it is fetched for some
 * of them at once, so that only the walk along the list has to wait for it.
 */
static void
ngx_http_travel_hub_tell(ngx_http_travel_topic_t *t,
    ngx_http_travel_message_t *m, ngx_uint_t moves)
{
    ngx_uint_t                     n;
    ngx_queue_t                   *q, *end;
    ngx_http_travel_subscriber_t  *sub;

    q = ngx_queue_head(&t->subs);

    while (q != ngx_queue_sentinel(&t->subs)) {

        for (n = 0, end = q;
             n < NGX_HTTP_TRAVEL_HUB_AHEAD
             && end != ngx_queue_sentinel(&t->subs);
             n++, end = ngx_queue_next(end))
        {
            sub = ngx_queue_data(end, ngx_http_travel_subscriber_t, queue);
            ngx_http_travel_fetch(sub->near, NGX_HTTP_TRAVEL_SOCKET_LINES);
        }

        for ( /* void */ ; q != end; q = ngx_queue_next(q)) {
            sub = ngx_queue_data(q, ngx_http_travel_subscriber_t, queue);

            if (!sub->ready || sub->behind
                || (moves && t->job == NULL
                    && travel_stream_id_cmp(sub->pos, m->id) >= 0))
            {
                continue;
            }

            if (moves) {
                sub->pos = m->id;
            }

            sub->handlers->message(sub, m);
        }
    }
}


/* The newest are last, and behind them nobody is. */
void
ngx_http_travel_hub_settle_all(ngx_http_travel_topic_t *t)
{
    ngx_uint_t                     last;
    ngx_queue_t                   *q, *prev;
    ngx_http_travel_subscriber_t  *sub;

    for (q = ngx_queue_last(&t->subs); q != ngx_queue_sentinel(&t->subs);
         q = prev)
    {
        prev = ngx_queue_prev(q);
        sub = ngx_queue_data(q, ngx_http_travel_subscriber_t, queue);

        if (sub->ready) {
            return;
        }

        if (t->job == NULL || ngx_http_travel_hub_job_of(t, sub)) {
            ngx_http_travel_hub_settle(t, sub);
            continue;
        }

        last = t->watchers == 1;
        sub->handlers->refused(sub);

        if (last) {
            return;                 /* the topic went with him */
        }
    }
}


/* The topic is live: from where on does this one follow it? */
static void
ngx_http_travel_hub_settle(ngx_http_travel_topic_t *t,
    ngx_http_travel_subscriber_t *sub)
{
    sub->ready = 1;

    if (t->job != NULL) {
        ngx_http_travel_hub_state(t, sub);
        return;
    }

    if (!sub->resumes) {
        sub->pos = t->last;
        sub->handlers->ready(sub);
        return;
    }

    sub->handlers->ready(sub);

    if (t->pattern) {
        sub->handlers->gap(sub, -1);
        return;
    }

    if (sub->pos.ms == t->last.ms && sub->pos.seq >= t->last.seq) {
        /* all is read, or a cursor of the future, which nobody was given */
        sub->pos = t->last;
        return;
    }

    if (t->last.seq == 0 && sub->pos.seq == 0) {
        /* nothing was there, nothing is */
        sub->pos = t->last;
        return;
    }

    if (sub->pos.ms == t->last.ms
        || (sub->pos.seq == 0 && sub->pos.ms < t->last.ms))
    {
        sub->behind = 1;
        ngx_http_travel_hub_catch_up(sub);
        return;
    }

    sub->pos = t->last;
    sub->handlers->gap(sub, -1);
}


/* The state, to one who has another. */
static void
ngx_http_travel_hub_state(ngx_http_travel_topic_t *t,
    ngx_http_travel_subscriber_t *sub)
{
    ngx_uint_t                 same;
    ngx_http_travel_message_t  m;

    same = sub->resumes && travel_stream_id_cmp(sub->pos, t->last) == 0;

    sub->pos = t->last;
    sub->handlers->ready(sub);

    if (same) {
        return;
    }

    ngx_memzero(&m, sizeof(m));
    m.topic = &t->name;
    m.id = t->last;
    m.json = t->state_json;

    sub->handlers->message(sub, &m);
    ngx_http_travel_told_release(&m);
}


static void
ngx_http_travel_hub_catch_up(ngx_http_travel_subscriber_t *sub)
{
    sub->op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                       ngx_http_travel_hub_caught, sub);

    if (sub->op == NULL
        || ngx_http_travel_hub_range(sub->op, &sub->topic->key, sub->pos)
           != NGX_OK)
    {
        ngx_http_travel_hub_late(sub);
    }
}


/* The history is there, but cannot be read just now: it is asked again. */
static void
ngx_http_travel_hub_late(ngx_http_travel_subscriber_t *sub)
{
    sub->op = NULL;
    sub->topic->late = 1;
    ngx_http_travel_hub_ask_later();
}


void
ngx_http_travel_hub_hurry(ngx_http_travel_topic_t *t)
{
    ngx_queue_t                   *q;
    ngx_http_travel_subscriber_t  *sub;

    t->late = 0;

    for (q = ngx_queue_head(&t->subs); q != ngx_queue_sentinel(&t->subs);
         q = ngx_queue_next(q))
    {
        sub = ngx_queue_data(q, ngx_http_travel_subscriber_t, queue);

        if (sub->behind && sub->op == NULL) {
            ngx_http_travel_hub_catch_up(sub);
        }
    }
}


static void
ngx_http_travel_hub_caught(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    int64_t                        missed;
    ngx_uint_t                     k, n;
    ngx_http_travel_topic_t       *t;
    ngx_http_travel_message_t      m;
    ngx_http_travel_subscriber_t  *sub;

    (void) i;

    sub = op->data;

    if (sub == NULL) {
        return;
    }

    sub->op = NULL;
    t = sub->topic;

    if (reply == NULL
        || ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_ARRAY)
    {
        ngx_http_travel_hub_late(sub);
        return;
    }

    n = ngx_http_travel_reply_count(reply);

    for (k = 0; k < n; k++) {
        ngx_memzero(&m, sizeof(m));
        m.topic = &t->name;

        if (ngx_http_travel_hub_entry(ngx_http_travel_reply_elt(reply, k),
                                      &m.id, &m.json)
            != NGX_OK)
        {
            continue;
        }

        missed = travel_live_missed(sub->pos, m.id);

        if (missed != 0) {
            sub->handlers->gap(sub, missed);
        }

        sub->pos = m.id;
        sub->handlers->message(sub, &m);
        ngx_http_travel_told_release(&m);
    }

    if (n > 0 && travel_stream_id_cmp(sub->pos, t->last) < 0) {
        ngx_http_travel_hub_catch_up(sub);
        return;
    }

    sub->behind = 0;

    if (travel_stream_id_cmp(sub->pos, t->last) < 0) {
        sub->pos = t->last;
        sub->handlers->gap(sub, -1);
    }
}
