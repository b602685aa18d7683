/*
 * The keys that jobs of the partitions before still hold, after a
 * repartitioning (common/layout.h).
 *
 * The closed partitions go on under their owners until they are empty; nothing
 * is added to them.  A key of theirs may have its next job here.  So a
 * partition that took their place asks each of them what it has left: while
 * that is much, nothing starts here, for all of it came before; when it is
 * little, the keys of it are held here as a retrying job holds its own, and
 * everything else starts. Once a second it is asked again, and keys that are in
 * none of the answers any more are free.  An answer says what there is at one
 * moment, and nothing moves from one closed partition to another, so what is in
 * none is over.  One that is not closed yet (a partition may be opened again
 * while it has an owner) counts as full.
 *
 * All of it belongs to the fetcher.
 */

#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../pool/log.h"

#define BEFORE_MAX      "1000"     /* keys of one closed partition */
#define BEFORE_AGAIN_MS  1000
#define BEFORE_HOLDER   "before"   /* in the place of a job's uuid */

typedef char  before_key_t[37];

typedef struct {
    before_key_t  *keys;
    size_t         n;
    size_t         room;
} before_keys_t;

typedef struct worker_before_s {
    worker_partition_t  *part;
    unsigned             open;      /* calls without an answer */
    bool                 adopts;    /* the adoption waits for them */
    bool                 lost;      /* an answer was */
    bool                 many;      /* too many for one to name them, or not
                                       closed yet */
    bool                 orphan;    /* the partition has forgotten us */
    before_keys_t        held;      /* sorted */
    before_keys_t        told;      /* by the answers so far */
} worker_before_t;


static int
before_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}


static bool
before_add(before_keys_t *keys, travel_str_t key)
{
    size_t         room;
    before_key_t  *more;

    if (key.len >= sizeof(before_key_t)) {
        return true;                /* no job of such a key is run */
    }

    if (keys->n == keys->room) {
        room = keys->room ? keys->room * 2 : 64;
        more = realloc(keys->keys, room * sizeof(before_key_t));

        if (more == NULL) {
            return false;
        }

        keys->keys = more;
        keys->room = room;
    }

    memcpy(keys->keys[keys->n], key.data, key.len);
    keys->keys[keys->n++][key.len] = '\0';
    return true;
}


static void
before_free(worker_before_t *before)
{
    free(before->held.keys);
    free(before->told.keys);
    free(before);
}


void
worker_before_forget(worker_partition_t *part)
{
    worker_before_t  *before;

    before = part->before;
    part->before = NULL;

    if (before == NULL) {
        return;
    }

    if (before->open > 0) {
        before->orphan = true;      /* the last answer frees it */
        return;
    }

    before_free(before);
}


/* What is held and was not told is free; what was told is held. */
static void
before_take_over(worker_before_t *before)
{
    size_t               i;
    before_keys_t        was;
    worker_partition_t  *part;

    part = before->part;
    was = before->held;
    before->held = before->told;
    before->told = (before_keys_t) { NULL, 0, 0 };

    if (before->held.n > 0) {
        qsort(before->held.keys, before->held.n, sizeof(before_key_t),
              before_compare);
    }

    for (i = 0; before->adopts && i < before->held.n; i++) {
        worker_part_hold_key(part, (travel_str_t) { before->held.keys[i],
                             strlen(before->held.keys[i]) },
                             TRAVEL_STR(BEFORE_HOLDER), INT64_MAX / 2);
    }

    for (i = 0; i < was.n; i++) {
        if (before->held.n == 0
            || bsearch(was.keys[i], before->held.keys, before->held.n,
                       sizeof(before_key_t), before_compare) == NULL)
        {
            worker_part_unhold_key(part, was.keys[i], BEFORE_HOLDER);
        }
    }

    free(was.keys);
}


/* All have answered. */
static void
before_answered(worker_before_t *before)
{
    bool                 adopts;
    worker_partition_t  *part;

    part = before->part;
    adopts = before->adopts;
    part->adopting = part->adopting && !adopts;

    if (before->orphan) {
        before_free(before);
        return;
    }

    if (before->lost || before->many) {
        before->told.n = 0;
        part->retry_at = adopts ? part->queue->now + BEFORE_AGAIN_MS
                                : part->retry_at;
        return;                     /* asked again */
    }

    before_take_over(before);

    if (before->held.n > 0 && adopts) {
        worker_log(WORKER_LOG_INFO, "%s: %zu keys are held by what was queued "
                   "before the repartitioning", part->name, before->held.n);
    }

    if (before->held.n == 0) {
        worker_before_forget(part);
    }

    if (adopts) {
        worker_take_opened(part);
    }
}


static void
before_on_reply(void *data, const redisReply *reply)
{
    size_t               i;
    bool                 good;
    worker_before_t     *before = data;

    good = reply != NULL && reply->type == REDIS_REPLY_ARRAY
           && reply->elements > 0
           && reply->element[0]->type == REDIS_REPLY_INTEGER;
    before->lost |= !good;
    before->many |= good && reply->element[0]->integer != 0
                    && reply->elements == 1;

    for (i = 1; good && i < reply->elements; i++) {
        before->lost |= !before_add(&before->told, (travel_str_t) {
                                    reply->element[i]->str,
                                    (size_t) reply->element[i]->len });
    }

    if (--before->open == 0) {
        before_answered(before);
    }
}


static void
before_send(worker_before_t *before, unsigned number)
{
    char                 key[TRAVEL_KEY_MAX];
    size_t               i, len;
    unsigned             slot;
    travel_str_t         queue;
    worker_args_t       *args;
    worker_partition_t  *part;

    part = before->part;
    args = &part->queue->args;
    queue = (travel_str_t) { part->queue_name, strlen(part->queue_name) };
    worker_args_begin(args);
    len = travel_key_named(key, queue, number, "owner");
    slot = travel_cluster_slot((travel_str_t) { key, len });
    worker_args_copy(args, key, len);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_args_copy(args, key, travel_key_stream(key, queue, number,
                                                      (travel_priority_e) i));
    }

    worker_args_copy(args, key, travel_key_named(key, queue, number,
                                                 "delayed"));
    worker_args_str(args, BEFORE_MAX, sizeof(BEFORE_MAX) - 1);
    before->open++;
    worker_link_script(worker_hub_link(part->queue->hub, slot),
                       TRAVEL_SCRIPT_BEFORE, before_on_reply, before, args,
                       TRAVEL_PRIORITY_MAX + 2);
}


void
worker_before_ask(worker_partition_t *part)
{
    unsigned          i;
    worker_before_t  *before;

    before = part->before;

    if (before == NULL) {
        before = calloc(1, sizeof(worker_before_t));

        if (before == NULL) {
            return;                 /* asked again with the next turn */
        }

        before->part = part;
        part->before = before;
    }

    if (before->open > 0) {
        return;
    }

    before->lost = false;
    before->many = false;
    before->adopts = part->first;
    part->adopting = before->adopts;

    /* an answer may come from inside of the call */
    before->open = 1;

    for (i = 0; i < part->range.n; i++) {
        before_send(before, part->range.base + i);
    }

    if (--before->open == 0) {
        before_answered(before);
    }
}


/* Once a second. */
void
worker_before_turn(worker_queue_t *queue)
{
    size_t               i;
    worker_partition_t  *part;

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        if (part->before != NULL && !part->first && worker_part_up(part)
            && part->state == WORKER_PART_OPEN && !part->resync)
        {
            worker_before_ask(part);
        }
    }
}
