/*
 * What a type as a whole may do: so many jobs at once, so many a second, in all
 * processes of all pools together.
 *
 * A process runs on a grant that it has from Redis (script LIMIT) and renews
 * while it has such jobs.  A grant counts here for less long than there: when
 * Redis is silent nothing more of the type starts, and what runs is still
 * counted.  Rates are shared by what each has to do; each keeps a bucket of a
 * tenth of a second's worth, one at least.
 */

#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../pool/log.h"

#define LIMITS_ASK_MS    200
#define LIMITS_SOON_MS   5          /* when it needs more than it has */
#define LIMITS_COUNT_MS  3000       /* as long a grant counts */
#define LIMITS_WANT_MAX  10000
#define LIMITS_KEY       "travel:limit:"
#define LIMITS_KEY_MAX   (sizeof(LIMITS_KEY) + 64)

typedef struct {
    worker_queue_t  *queue;
    worker_type_t   *type;
    int64_t          sent_at;
} limits_call_t;


static bool
limits_limited(const worker_type_t *type)
{
    return type->concurrency > 0 || type->rate > 0;
}


static void
limits_fill(worker_type_t *type, int64_t now)
{
    double  most, rate;

    rate = type->rate * type->share;
    most = rate > 10 ? rate / 10 : 1;

    if (type->filled_at == 0) {
        type->tokens = most;
    } else if (now > type->filled_at) {
        type->tokens += (double) (now - type->filled_at) / 1000 * rate;
    }

    type->tokens = type->tokens < most ? type->tokens : most;
    type->filled_at = now;
}


bool
worker_limits_allow(worker_queue_t *queue, worker_type_t *type)
{
    int64_t  when;

    if (!limits_limited(type)) {
        return true;
    }

    if (queue->now >= type->granted_until
        || (type->concurrency > 0 && type->running >= type->grant))
    {
        return false;
    }

    if (type->rate <= 0) {
        return true;
    }

    limits_fill(type, queue->now);

    if (type->tokens >= 1) {
        return true;
    }

    when = queue->now + 1
           + (int64_t) ((1 - type->tokens) * 1000 / (type->rate * type->share));
    queue->ready_at = when < queue->ready_at ? when : queue->ready_at;

    return false;
}


void
worker_limits_started(worker_type_t *type)
{
    if (type->rate > 0) {
        type->tokens -= 1;
    }
}


static size_t
limits_want(const worker_type_t *type)
{
    size_t  want;

    want = type->ready + type->running;

    return want < LIMITS_WANT_MAX ? want : LIMITS_WANT_MAX;
}


static void
limits_on_reply(void *data, const redisReply *reply)
{
    long long        wants;
    worker_type_t   *type;
    limits_call_t   *call = data;

    type = call->type;
    type->asking = false;

    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY
        && reply->elements == 2)
    {
        wants = reply->element[1]->integer;
        type->grant = (size_t) reply->element[0]->integer;
        type->share = wants > 0 && limits_want(type) > 0
                      ? (double) limits_want(type) / (double) wants : 1;
        type->share = type->share < 1 ? type->share : 1;
        type->granted_until = call->sent_at + LIMITS_COUNT_MS;

    } else if (reply != NULL) {
        worker_log(WORKER_LOG_WARN, "limit of %s: redis: %s",
                   type->type->type, reply->type == REDIS_REPLY_ERROR
                                     ? reply->str : "unexpected answer");
    }

    free(call);
}


static size_t
limits_key(char key[LIMITS_KEY_MAX], const worker_type_t *type)
{
    return (size_t) snprintf(key, LIMITS_KEY_MAX, LIMITS_KEY "%.63s",
                             type->type->type);
}


unsigned
worker_limits_slot(const worker_type_t *type)
{
    char    key[LIMITS_KEY_MAX];
    size_t  len;

    len = limits_key(key, type);

    return travel_cluster_slot((travel_str_t) { key, len });
}


static void
limits_ask(worker_queue_t *queue, worker_type_t *type)
{
    char            key[LIMITS_KEY_MAX];
    size_t          limit;
    limits_call_t  *call;
    worker_args_t  *args;

    call = malloc(sizeof(limits_call_t));

    if (call == NULL) {
        return;
    }

    *call = (limits_call_t) { queue, type, queue->now };
    limit = type->concurrency > 0 ? type->concurrency
                                  : LIMITS_WANT_MAX * WORKER_PROCESSES_MAX;
    type->asking = true;
    type->asked_at = queue->now;
    type->ask_at = queue->now + LIMITS_ASK_MS;

    args = &queue->args;
    worker_args_begin(args);
    worker_args_copy(args, key, limits_key(key, type));
    worker_args_str(args, queue->owner, strlen(queue->owner));
    worker_args_int(args, (int64_t) limit);
    worker_args_int(args, (int64_t) type->running);
    worker_args_int(args, (int64_t) limits_want(type));
    worker_link_script(worker_hub_link(queue->hub, type->slot),
                       TRAVEL_SCRIPT_LIMIT, limits_on_reply, call, args, 1);
}


/* Some of it could start, and the grant is used up or is none. */
static bool
limits_short(const worker_queue_t *queue, const worker_type_t *type)
{
    return type->ready > 0
           && (queue->now >= type->granted_until
               || (type->concurrency > 0 && type->running >= type->grant));
}


void
worker_limits_turn(worker_queue_t *queue)
{
    size_t          i;
    int64_t         at;
    worker_type_t  *type;

    for (i = 0; i < queue->ntypes; i++) {
        type = &queue->types[i];

        if (!limits_limited(type) || type->asking
            || !worker_link_up(worker_hub_link(queue->hub, type->slot))
            || (limits_want(type) == 0 && type->grant == 0))
        {
            continue;
        }

        at = limits_short(queue, type) ? type->asked_at + LIMITS_SOON_MS
                                       : type->ask_at;

        if (queue->now >= at) {
            limits_ask(queue, type);
        } else if (type->ready > 0 && at < queue->ready_at) {
            queue->ready_at = at;
        }
    }
}
