/*
 * What the fetcher does by the clock: slots that hang, keys held in vain, the
 * heartbeat of the invalidation stream, gauges, and the hashes of jobs that
 * were over long ago.
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../pool/log.h"
#include "../../common/digits.h"

#define WATCH_GRACE_MS   10000     /* past its deadline: a slot is stuck */
#define WATCH_ASK_MAX    512       /* jobs that may have been called off */
#define WATCH_HELD_MS    5000      /* a retry is overdue: does it exist? */


/* --- once a second -------------------------------------------------------- */

/* The slot may still touch the entry, so what is settled is a twin of it. */
static void
watch_stuck(worker_queue_t *queue, worker_entry_t *entry)
{
    worker_entry_t  *twin;

    entry->stuck = true;
    queue->stuck++;
    queue->failed = true;
    worker_log_job(WORKER_LOG_ERROR, &entry->job, -1, "hangs past its "
                   "deadline: the process finishes the others and leaves");

    if (entry->epoch != entry->part->epoch) {
        return;
    }

    twin = worker_entry_create(entry->pack.data, entry->pack.len);

    if (twin == NULL) {
        return;
    }

    twin->part = entry->part;
    twin->epoch = entry->epoch;
    twin->type = entry->type;
    twin->stream = entry->stream;
    twin->ahead = entry->ahead;
    memcpy(twin->stream_id, entry->stream_id, sizeof(twin->stream_id));
    twin->job.attempt = entry->job.attempt;
    twin->outcome = WORKER_OUTCOME_RETRYING;
    twin->delay_ms = entry->type->base_ms;
    (void) worker_job_fail(&twin->job, WORKER_RETRY, "TIMEOUT", "the attempt "
                           "ran into its time limit and did not end");

    twin->part->entries++;
    queue->in_memory++;
    queue->bytes += twin->pack.len;
    worker_part_twin(twin->part, entry, twin);
    worker_give_finish(queue, twin);
}


/* A retry that is long overdue and still holds its key. */
typedef struct {
    worker_partition_t  *part;
    uint64_t             epoch;
    char                 uuid[37];
} watch_held_t;


/*
 * Gone from the set: it was cancelled, or its hash has expired.  In its
 * owner's hand, but not in ours: the answer that brought it was lost.  Else it
 * is only late (we stood still, or memory is short) and keeps its key.
 */
static void
watch_on_score(void *data, const redisReply *reply)
{
    watch_held_t        *held = data;
    travel_str_t         uuid;
    worker_partition_t  *part;

    part = held->part;
    uuid = (travel_str_t) { held->uuid, strlen(held->uuid) };

    if (held->epoch != part->epoch || reply == NULL) {
        free(held);
        return;
    }

    if (reply->type == REDIS_REPLY_NIL) {
        worker_part_unhold(part, uuid);

    } else if (reply->type == REDIS_REPLY_STRING
               && strcmp(reply->str, "0") == 0
               && !worker_part_in_hand(part, uuid))
    {
        part->resync = true;
    }

    free(held);
}


static void
watch_overdue(worker_partition_t *part, const char *uuid)
{
    const char    *argv[3] = { "ZSCORE", part->delayed.text, uuid };
    watch_held_t  *held;

    held = malloc(sizeof(watch_held_t));

    if (held == NULL) {
        return;                     /* asked again in a second */
    }

    held->part = part;
    held->epoch = part->epoch;
    snprintf(held->uuid, sizeof(held->uuid), "%s", uuid);
    worker_link_send(worker_part_link(part), watch_on_score, held, 3, argv,
                     NULL);
}


/* Whether a job that runs was called off meanwhile: its name, for the entry
 * may be gone when the answer comes. */
typedef struct {
    worker_queue_t  *queue;
    worker_entry_t  *entry;
    char             job_id[TRAVEL_JOB_ID_MAX + 1];
} watch_asked_t;


static void
watch_on_cancel(void *data, const redisReply *reply)
{
    size_t           i;
    worker_entry_t  *entry;
    watch_asked_t   *asked = data;

    if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
        for (i = 0; i < asked->queue->handed; i++) {
            entry = asked->queue->handed_list[i];

            if (entry == asked->entry
                && strcmp(entry->job.job_id, asked->job_id) == 0)
            {
                entry->job.called_off = true;
                entry->job.cancel = true;
            }
        }
    }

    free(asked);
}


static void
watch_ask(worker_queue_t *queue, worker_entry_t *entry)
{
    char            key[TRAVEL_KEY_MAX];
    const char     *argv[3] = { "HGET", key, "cancel" };
    watch_asked_t  *asked;

    asked = malloc(sizeof(watch_asked_t));

    if (asked == NULL) {
        return;                     /* asked again in a second */
    }

    asked->queue = queue;
    asked->entry = entry;
    memcpy(asked->job_id, entry->job.job_id, sizeof(asked->job_id));
    (void) travel_key_job(key, &entry->job.id);
    worker_link_send(worker_part_link(entry->part), watch_on_cancel, asked, 3,
                     argv, NULL);
}


/* Of those that were running a second ago, some each time. */
static void
watch_cancels(worker_queue_t *queue)
{
    size_t           i, n;
    worker_entry_t  *entry;

    n = queue->handed < WATCH_ASK_MAX ? queue->handed : WATCH_ASK_MAX;

    for (i = 0; i < n; i++) {
        queue->watched = (queue->watched + 1) % queue->handed;
        entry = queue->handed_list[queue->watched];

        if (entry->watched && !entry->job.cancel
            && worker_part_up(entry->part))
        {
            watch_ask(queue, entry);
        }

        entry->watched = true;
    }
}


void
worker_watch_slots(worker_queue_t *queue)
{
    size_t           i;
    worker_entry_t  *entry;

    for (i = 0; i < queue->handed; i++) {
        entry = queue->handed_list[i];

        if (entry->until >= queue->now) {
            continue;
        }

        entry->job.cancel = true;

        if (!entry->stuck
            && entry->until + WATCH_GRACE_MS < queue->now)
        {
            watch_stuck(queue, entry);
        }
    }

    for (i = 0; i < queue->nparts; i++) {
        if (queue->parts[i]->state == WORKER_PART_OPEN
            && !queue->parts[i]->paused     /* then they are all overdue */
            && worker_part_up(queue->parts[i]))
        {
            worker_part_overdue(queue->parts[i], WATCH_HELD_MS, watch_overdue);
        }
    }

    watch_cancels(queue);
    worker_slots_nudge(queue->slots);
}


void
worker_watch_beat(worker_queue_t *queue)
{
    size_t               i, len[12];
    char                 timeline[TRAVEL_DIGITS_MAX], lsn[24];
    const char          *argv[12] = {
        "XADD", TRAVEL_KEY_INVAL, "MAXLEN", "~", WORKER_INVAL_MAX, "*",
        "hb", "1", "timeline", "", "lsn", ""
    };
    travel_lsn_t         at;
    worker_link_t       *link;
    worker_partition_t  *part;

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        if (part->number == 0 && strcmp(part->queue_name, "maintenance") == 0) {
            queue->beating = part->state == WORKER_PART_OPEN
                             || part->state == WORKER_PART_CLOSING
                             || (queue->beating
                                 && worker_keeper_blind(queue->keeper));
        }
    }

    at = worker_keeper_position(queue->keeper);
    link = worker_hub_link(queue->hub, queue->inval_slot);

    if (!queue->beating || at.timeline == 0 || !worker_link_up(link)) {
        return;
    }

    for (i = 0; i < 12; i++) {
        len[i] = strlen(argv[i]);
    }

    argv[9] = timeline;
    len[9] = travel_digits_format(timeline, at.timeline);
    argv[11] = lsn;
    len[11] = travel_lsn_format(lsn, at.lsn);
    worker_link_send(link, NULL, NULL, 12, argv, len);
}


/* --- gauges --------------------------------------------------------------- */

static void
gauge_on_reply(void *data, const redisReply *reply)
{
    size_t                i;
    travel_str_t          id;
    travel_stream_id_t    oldest;
    worker_partition_t   *part = data;
    worker_board_part_t  *gauge;

    gauge = part->gauge;

    if (gauge == NULL || reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 6)
    {
        return;
    }

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        atomic_store(&gauge->depth[i], reply->element[i]->integer);
    }

    atomic_store(&gauge->delayed, reply->element[3]->integer);
    atomic_store(&gauge->dead, reply->element[4]->integer);
    atomic_store(&gauge->fence, part->fence);
    id.data = reply->element[5]->str;
    id.len = (size_t) reply->element[5]->len;
    atomic_store(&gauge->oldest_ms,
                 travel_stream_id_parse(&oldest, id) == TRAVEL_OK
                 ? (int64_t) oldest.ms : 0);
    atomic_store(&gauge->used, true);
}


static void
gauge_send(worker_partition_t *part)
{
    size_t          i;
    worker_args_t  *args;

    args = &part->queue->args;
    worker_args_begin(args);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_args_str(args, part->streams[i].key, part->streams[i].key_len);
    }

    worker_args_str(args, part->delayed.text, part->delayed.len);
    worker_args_str(args, part->dead.text, part->dead.len);
    worker_link_script(worker_part_link(part), TRAVEL_SCRIPT_GAUGE,
                       gauge_on_reply, part, args, 5);
}


void
worker_watch_gauges(worker_queue_t *queue)
{
    size_t                i, free_row;
    worker_partition_t   *part;
    worker_board_part_t  *row;

    free_row = 0;
    atomic_store(&queue->sheet->in_memory, queue->in_memory);

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        if (part->state != WORKER_PART_OPEN) {
            continue;
        }

        while (part->gauge == NULL && free_row < WORKER_BOARD_PARTS) {
            row = &queue->sheet->parts[free_row++];

            if (!atomic_load(&row->used)) {
                snprintf(row->name, sizeof(row->name), "%s", part->name);
                atomic_store(&row->used, true);
                part->gauge = row;
            }
        }

        if (part->gauge != NULL && worker_part_up(part)) {
            gauge_send(part);
        }
    }
}


/* --- what became of jobs, forgotten --------------------------------------- */

static void ended_send(worker_partition_t *part);


/* More of them are asked for at once: Redis serves others in between. */
static void
ended_on_reply(void *data, const redisReply *reply)
{
    worker_partition_t  *part = data;

    part->forgetting = false;

    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER
        && reply->integer == 1)
    {
        ended_send(part);
    }
}


static void
ended_send(worker_partition_t *part)
{
    worker_args_t  *args;

    if (part->state != WORKER_PART_OPEN || part->forgetting
        || !worker_part_up(part))
    {
        return;
    }

    args = &part->queue->args;
    worker_args_begin(args);
    worker_args_str(args, part->owner.text, part->owner.len);
    worker_args_str(args, part->ended.text, part->ended.len);
    worker_args_int(args, part->retention_s);
    part->forgetting = true;
    worker_link_script(worker_part_link(part), TRAVEL_SCRIPT_FORGET,
                       ended_on_reply, part, args, 2);
}


void
worker_watch_ended(worker_queue_t *queue)
{
    size_t  i;

    for (i = 0; i < queue->nparts; i++) {
        ended_send(queue->parts[i]);
    }
}
