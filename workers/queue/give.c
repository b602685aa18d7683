/*
 * What leaves memory: jobs that start, what they hand back, invalidations,
 * progress; settle.c writes the ends.
 *
 * Per partition one start call and one settle call are open at a time; what
 * gathers meanwhile goes with the next.  So an idle pool answers at once and
 * a busy one in batches as large as a round trip is long.
 *
 * A finished job waits for the ids of its invalidations (state FINISHED),
 * then enters part->settle.  That list is settled in order, so the next job
 * of the same key may start as soon as one that succeeded is in it: should
 * this process die there, the next owner runs that one again and finds its
 * effect in the inbox.  Any other end has left nothing behind: run again after
 * its successor it might well succeed, so its key is free once it is written.
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../pool/log.h"
#include "../store/flow.h"
#include "../../common/digits.h"

#define GIVE_SHORT_MS     0.5      /* jobs this short may be started ahead */
#define GIVE_AHEAD_MS     4.0      /* of work per idle slot */
#define GIVE_AHEAD_MAX    2048
#define GIVE_AHEAD_BATCH  512      /* of a type that is run in batches */
#define GIVE_EST_MIN_MS   0.002
#define GIVE_RETRY_MS     200      /* an invalidation that was refused */
#define GIVE_FULL_MS      1000     /* until Redis may have room again */


/* --- starting ------------------------------------------------------------- */

static void
give_hand(worker_queue_t *queue, worker_entry_t *entry,
    worker_entries_t *list)
{
    size_t             room;
    worker_entry_t   **more;

    if (queue->handed == queue->handed_room) {
        room = queue->handed_room ? queue->handed_room * 2 : 1024;
        more = realloc(queue->handed_list, room * sizeof(worker_entry_t *));

        if (more == NULL) {
            worker_log(WORKER_LOG_ERROR, "out of memory");
            abort();                /* the supervisor starts another */
        }

        queue->handed_list = more;
        queue->handed_room = room;
    }

    entry->state = WORKER_ENTRY_HANDED;
    entry->until = entry->job.deadline;
    entry->handed_index = queue->handed;
    queue->handed_list[queue->handed++] = entry;
    worker_entries_push(list, entry);
}


static void
give_unhand(worker_queue_t *queue, worker_entry_t *entry)
{
    worker_entry_t  *last;

    last = queue->handed_list[--queue->handed];
    queue->handed_list[entry->handed_index] = last;
    last->handed_index = entry->handed_index;
}


/* Back to the ready lists, before those that wait there. */
static void
start_undo(worker_partition_t *part, worker_entries_t *entries)
{
    worker_entry_t    *entry;
    worker_entries_t   back;        /* the last one first */

    worker_entries_init(&back);

    while ((entry = worker_entries_pop(entries)) != NULL) {
        worker_entries_push_front(&back, entry);
    }

    while ((entry = worker_entries_pop(&back)) != NULL) {
        worker_part_unstart(part, entry);
    }
}


/* It is over already: cancelled before it started, or settled by an owner
 * whose answer was lost.  The script has taken it off the stream. */
static void
start_over(worker_partition_t *part, worker_entry_t *entry, long long code)
{
    worker_board_type_t  *row;

    row = &part->queue->sheet->types[entry->type->number];

    if (code == TRAVEL_START_CANCELLED) {
        worker_board_add(&row->outcome[WORKER_OUTCOME_CANCELLED], 1);
    }

    worker_part_release(part, entry);
    worker_part_forget(part, entry);
}


/* One of a flow that was called off before it began: a slot tells the flow, and
 * settling finds that there is nothing to write. */
static void
start_called_off(worker_partition_t *part, worker_entry_t *entry)
{
    worker_job_t  *job;

    job = &entry->job;
    entry->giveup = true;
    entry->over = true;
    entry->outcome = WORKER_OUTCOME_CANCELLED;
    job->fence = part->fence;
    job->owner = part->queue->owner;
    job->deadline = part->queue->now + entry->type->timeout_ms;
    (void) worker_job_fail(job, WORKER_REJECT, "CANCELLED",
                           "called off before it began");
}


/* The caller's deadline is a time of day; from the start on it is a time that
 * is left, which a clock that is set does not change. */
static void
start_deadline(worker_queue_t *queue, worker_entry_t *entry)
{
    uint64_t       deadline, now;
    worker_job_t  *job;

    job = &entry->job;
    deadline = job->env.deadline;
    now = (uint64_t) queue->now_unix;
    job->deadline = queue->now + entry->type->timeout_ms;

    if (deadline == 0) {
        return;
    }

    if (deadline <= now) {
        entry->giveup = true;
        entry->outcome = WORKER_OUTCOME_FAILED;
        (void) worker_job_fail(job, WORKER_REJECT, "DEADLINE_EXCEEDED",
                               "the deadline passed before the job started");
        return;
    }

    if (deadline - now < (uint64_t) entry->type->timeout_ms) {
        job->deadline = queue->now + (int64_t) (deadline - now);
    }
}


static void
start_one(worker_partition_t *part, worker_entry_t *entry, long long code,
    worker_entries_t *list)
{
    worker_queue_t  *queue;

    queue = part->queue;

    if (code == TRAVEL_START_CANCELLED && worker_flow_of(&entry->job)) {
        start_called_off(part, entry);
        give_hand(queue, entry, list);
        return;
    }

    if (code < 0) {
        start_over(part, entry, code);
        return;
    }

    if (code >= TRAVEL_CALLED_OFF_BIT) {
        code -= TRAVEL_CALLED_OFF_BIT;
        entry->giveup = true;
        entry->outcome = WORKER_OUTCOME_CANCELLED;
        (void) worker_job_fail(&entry->job, WORKER_REJECT, "CANCELLED",
                               "called off");
    }

    if (code >= TRAVEL_AGAIN_BIT) {
        code -= TRAVEL_AGAIN_BIT;
        entry->again = true;
    }

    if (code >= TRAVEL_SUSPECT_BIT) {
        code -= TRAVEL_SUSPECT_BIT;
        entry->suspect = true;
    }

    entry->job.attempt = (unsigned) code + 1;
    entry->job.fence = part->fence;
    entry->job.owner = queue->owner;
    start_deadline(queue, entry);

    /* A handler that fails says so in time; only a crash or a slot that hung
     * brings a job back with its attempts used up. */
    if (code > (long long) entry->type->retries && !entry->giveup) {
        entry->giveup = true;
        entry->outcome = WORKER_OUTCOME_DEAD;
        (void) worker_job_fail(&entry->job, WORKER_REJECT,
                               "ATTEMPTS_EXHAUSTED", "every attempt crashed "
                               "its process or hung");
    }

    if (entry->suspect && !entry->giveup) {
        worker_entries_push(&queue->suspects, entry);
        return;
    }

    give_hand(queue, entry, list);
}


static void
start_on_reply(void *data, const redisReply *reply)
{
    size_t               i;
    worker_batch_t      *batch = data;
    worker_queue_t      *queue;
    worker_entry_t      *entry;
    worker_entries_t     list;
    worker_partition_t  *part;

    part = batch->part;
    queue = batch->queue;
    part->starting = false;

    for (entry = batch->entries.head; entry; entry = entry->next) {
        queue->starting--;
        queue->starting_of[entry->priority]--;
        queue->starting_ms -= entry->expected_ms;
    }

    if (queue->starting == 0) {
        queue->starting_ms = 0;     /* sums of doubles do not come out even */
    }

    if (batch->epoch == part->epoch
        && (reply == NULL || worker_part_refused(part, reply)
            || reply->elements != batch->entries.count + 1)
        && batch->epoch == part->epoch)
    {
        part->resync = true;
        start_undo(part, &batch->entries);
    }

    worker_entries_init(&list);

    for (i = 1; (entry = worker_entries_pop(&batch->entries)) != NULL; i++) {
        if (batch->epoch != part->epoch) {
            worker_part_forget(part, entry);
        } else {
            start_one(part, entry, reply->element[i]->integer, &list);
        }
    }

    worker_slots_push(queue->slots, &list);
    free(batch);
}


static void
start_send(worker_partition_t *part)
{
    int              keys;
    char             streams[WORKER_BATCH_MAX];
    size_t           i;
    worker_args_t   *args;
    worker_batch_t  *batch;
    worker_entry_t  *entry;

    batch = part->batch;
    part->batch = NULL;
    args = &part->queue->args;
    keys = worker_args_batch(args, part, &batch->entries, false);

    for (entry = batch->entries.head, i = 0; entry; entry = entry->next) {
        streams[i++] = (char) ('0' + entry->stream);
    }

    worker_args_str(args, streams, i);
    part->starting = true;
    worker_link_script(worker_part_link(part), TRAVEL_SCRIPT_START,
                       start_on_reply, batch, args, keys);
}


/* May one more job be started?  Idle slots may have one each; jobs known to
 * be short may queue up before them, some milliseconds of work deep, and those
 * that are run in batches; and what queues there must not keep a higher
 * priority out. */
static bool
start_allowed(const worker_queue_t *queue, const worker_slots_load_t *load,
    const worker_entry_t *entry)
{
    size_t    before, all;
    double    idle, ms;
    unsigned  p;

    before = load->waiting[entry->priority];

    for (p = 0; p <= entry->priority; p++) {
        before += queue->starting_of[p];
    }

    all = load->waiting[TRAVEL_PRIORITY_MAX - 1] + queue->starting;

    if (before < load->idle || (before < all && before < load->slots)) {
        return true;
    }

    ms = entry->type->est_ms;
    idle = load->idle > 0 ? load->idle : 1;

    if (entry->type->batch != NULL && before < GIVE_AHEAD_BATCH * idle) {
        return all < GIVE_AHEAD_MAX;
    }

    return ms < GIVE_SHORT_MS && all < GIVE_AHEAD_MAX
           && load->waiting_ms + queue->starting_ms + ms
              <= GIVE_AHEAD_MS * idle;
}


/* Of types that wait for the outside without a slot there are so many jobs and
 * no more; the rest is what workers.conf and operators say of the type. */
typedef struct {
    worker_queue_t             *queue;
    const worker_slots_load_t  *load;
} start_ask_t;


static bool
start_type_allowed(void *data, worker_type_t *type)
{
    const start_ask_t  *ask = data;

    return !type->paused
           && (!type->asks
               || ask->load->asking + ask->queue->starting
                  + ask->load->waiting[TRAVEL_PRIORITY_MAX - 1]
                  < ask->queue->conf->waiting)
           && worker_limits_allow(ask->queue, type);
}


/* The next job has everything but a slot: since it came into its stream. */
static void
start_waits(worker_queue_t *queue, const worker_entry_t *entry)
{
    int64_t  ms;

    if (entry->stream == 0) {
        return;                     /* it waited for its time */
    }

    ms = queue->now_unix - strtoll(entry->stream_id, NULL, 10);
    queue->waited_ms = ms > queue->waited_ms ? ms : queue->waited_ms;
}


static bool
start_gather(worker_partition_t *part, unsigned priority,
    const worker_slots_load_t *load)
{
    start_ask_t      ask = { part->queue, load };
    worker_queue_t  *queue;
    worker_entry_t  *entry;

    queue = part->queue;

    while ((entry = worker_ready_next(&part->ready[priority], queue->now,
                                      start_type_allowed, &ask,
                                      &queue->ready_at)) != NULL)
    {

        if (!start_allowed(queue, load, entry)) {
            start_waits(queue, entry);
            return false;
        }

        if (part->batch == NULL) {
            part->batch = worker_batch_create(part);
        }

        if (part->batch == NULL
            || part->batch->entries.count == WORKER_BATCH_MAX)
        {
            return true;
        }

        worker_ready_take(&part->ready[priority], entry, queue->now);
        worker_limits_started(entry->type);
        entry->state = WORKER_ENTRY_STARTING;
        worker_entries_push(&part->batch->entries, entry);
        queue->starting++;
        queue->starting_of[entry->priority]++;
        entry->expected_ms = entry->type->est_ms;
        queue->starting_ms += entry->expected_ms;
    }

    return true;
}


static bool
start_open(const worker_partition_t *part)
{
    return part->state == WORKER_PART_OPEN && !part->starting
           && !part->resync && part->queue->now >= part->retry_at
           && worker_part_up(part);
}


/* A suspect runs when nothing else does, and nothing starts beside it. */
static void
start_suspect(worker_queue_t *queue)
{
    worker_entry_t    *entry;
    worker_entries_t   list;

    if (queue->handed > 0 || queue->starting > 0) {
        return;
    }

    entry = worker_entries_pop(&queue->suspects);

    if (entry->epoch != entry->part->epoch) {
        worker_part_forget(entry->part, entry);
        return;
    }

    worker_log_job(WORKER_LOG_WARN, &entry->job, -1, "runs alone: its slot "
                   "crashed before");
    worker_entries_init(&list);
    give_hand(queue, entry, &list);
    queue->alone = true;
    worker_slots_push(queue->slots, &list);
}


static void
give_start(worker_queue_t *queue)
{
    size_t                i, n;
    unsigned              p;
    bool                  more;
    worker_partition_t   *part;
    worker_slots_load_t   load;

    if (queue->draining) {
        return;
    }

    if (queue->alone || queue->suspects.count > 0) {
        if (!queue->alone) {
            start_suspect(queue);
        }

        return;
    }

    load = worker_slots_load(queue->slots);
    n = queue->nparts;
    more = true;
    queue->ready_at = INT64_MAX;

    for (p = 0; more && p < TRAVEL_PRIORITY_MAX; p++) {
        for (i = 0; more && i < n; i++) {
            part = queue->parts[(queue->turn + i) % n];

            if (start_open(part)) {
                more = start_gather(part, p, &load);
            }
        }
    }

    for (i = 0; i < n; i++) {
        if (queue->parts[i]->batch != NULL) {
            start_send(queue->parts[i]);
        }
    }

    worker_limits_turn(queue);
    queue->turn++;
}


/* --- what the slots hand back --------------------------------------------- */

/* All it had to say is said: into the settle list. */
void
worker_give_finish(worker_queue_t *queue, worker_entry_t *entry)
{
    worker_partition_t  *part;

    part = entry->part;

    if (entry->stuck) {             /* came back after all; its twin settles */
        queue->stuck--;
        worker_part_forget(part, entry);
        return;
    }

    if (entry->epoch != part->epoch) {
        worker_part_forget(part, entry);
        return;
    }

    if (entry->outcome == WORKER_OUTCOME_FENCED) {
        worker_settle_count(queue, entry);
        worker_part_forget(part, entry);
        worker_part_lose(part, "a transaction met a newer fence");
        part->retry_at = queue->now + 500;
        queue->meet_at = 0;
        return;
    }

    entry->state = WORKER_ENTRY_SETTLING;
    entry->due_ms = queue->now_unix + entry->delay_ms;

    if (entry->outcome == WORKER_OUTCOME_SUCCEEDED) {
        worker_part_release(part, entry);
    }

    worker_entries_push(&part->settle, entry);
}


/* What most runs of this type stay below.  It grows at most fourfold a run
 * and shrinks slowly, so it is no mean: now and then a run of microseconds is
 * preempted for many milliseconds, and that says nothing about the next. */
static void
give_estimate(worker_type_t *type, uint64_t slot_ns)
{
    double  ms;

    ms = (double) slot_ns / 1e6;

    if (ms > type->est_ms) {
        type->est_ms = ms < 4 * type->est_ms ? ms : 4 * type->est_ms;
    } else if (type->est_ms > GIVE_EST_MIN_MS) {
        type->est_ms *= 0.95;
    }
}


static void
give_back(worker_queue_t *queue, worker_entry_t *entry)
{
    give_unhand(queue, entry);
    give_estimate(entry->type, entry->slot_ns);
    entry->type->asks = entry->stages > 1;
    worker_board_ran(queue->sheet, entry->type->number, entry->run_ns);
    worker_board_add(&queue->sheet->ran, 1);

    if (entry->suspect) {
        queue->alone = false;
    }

    if (entry->invals > 0) {
        entry->state = WORKER_ENTRY_FINISHED;
        queue->finishing++;
        return;
    }

    worker_give_finish(queue, entry);
}


/* --- invalidations -------------------------------------------------------- */

/* All of them rest a little. */
static void
inval_refused(worker_queue_t *queue, const redisReply *reply)
{
    if (queue->now >= queue->full_until && reply->type == REDIS_REPLY_ERROR
        && strncmp(reply->str, "OOM", 3) == 0)
    {
        worker_log(WORKER_LOG_WARN, "redis is full: %s", reply->str);
        queue->full_until = queue->now + GIVE_FULL_MS;
        return;
    }

    if (queue->now >= queue->inval_at) {
        worker_log(WORKER_LOG_WARN, "invalidation: redis: %s",
                   reply->type == REDIS_REPLY_ERROR ? reply->str : "?");
    }

    queue->inval_at = queue->now + GIVE_RETRY_MS;
}


static void
inval_on_reply(void *data, const redisReply *reply)
{
    worker_inval_t      *inval = data;
    worker_queue_t      *queue;
    worker_entry_t      *entry;
    travel_stream_id_t   id;

    queue = inval->queue;
    entry = inval->entry;

    if (reply == NULL || reply->type != REDIS_REPLY_STRING
        || travel_stream_id_parse(&id, (travel_str_t) { reply->str,
                                  (size_t) reply->len }) != TRAVEL_OK)
    {
        if (reply != NULL) {
            inval_refused(queue, reply);
        }

        /* It may be in the stream already; there twice it does no harm. */
        inval->next = NULL;
        *queue->invals.tail = inval;
        queue->invals.tail = &inval->next;
        return;
    }

    if (travel_stream_id_cmp(id, entry->job.commit.inval) > 0) {
        entry->job.commit.inval = id;
    }

    free(inval);

    if (--entry->invals == 0 && entry->state == WORKER_ENTRY_FINISHED) {
        queue->finishing--;
        worker_give_finish(queue, entry);
    }
}


static void
inval_send(worker_queue_t *queue, worker_inval_t *inval)
{
    size_t          i, len[14];
    char            timeline[TRAVEL_DIGITS_MAX], lsn[24];
    worker_args_t  *args;
    worker_link_t  *link;
    const char     *argv[14] = {
        "XADD", TRAVEL_KEY_INVAL, "MAXLEN", "~", WORKER_INVAL_MAX, "*",
        "tags", inval->tags, "timeline", "", "lsn", "", "sub", inval->sub
    };

    for (i = 0; i < 14; i++) {
        len[i] = strlen(argv[i]);
    }

    argv[9] = timeline;
    len[9] = travel_digits_format(timeline, inval->commit.timeline);
    argv[11] = lsn;
    len[11] = travel_lsn_format(lsn, inval->commit.lsn);

    link = worker_hub_link(queue->hub, queue->inval_slot);

    if (queue->now >= queue->full_until) {
        worker_link_send(link, inval_on_reply, inval, 14, argv, len);
        return;
    }

    /* without it the job cannot end, and jobs are what Redis is full of */
    args = &queue->args;
    worker_args_begin(args);
    worker_args_str(args, argv[1], len[1]);
    worker_args_str(args, argv[0], len[0]);

    for (i = 2; i < 14; i++) {
        worker_args_str(args, argv[i], len[i]);
    }

    worker_link_script(link, TRAVEL_SCRIPT_WRITE, inval_on_reply, inval, args,
                       1);
}


/* Those that wait to be sent; while the link is down they go on waiting. */
static void
give_invals(worker_queue_t *queue)
{
    worker_inval_t  *inval, *list;

    if (queue->now < queue->inval_at
        || !worker_link_up(worker_hub_link(queue->hub, queue->inval_slot)))
    {
        return;
    }

    list = queue->invals.head;
    queue->invals.head = NULL;
    queue->invals.tail = &queue->invals.head;

    while ((inval = list) != NULL) {
        list = inval->next;
        inval_send(queue, inval);
    }
}


static void
give_progress(worker_queue_t *queue, worker_progress_t *list)
{
    char                key[TRAVEL_KEY_MAX];
    size_t              len;
    worker_args_t      *args = &queue->args;
    worker_link_t      *link;
    worker_progress_t  *p;

    while ((p = list) != NULL) {
        list = p->next;

        len = travel_key_job(key, &p->id);
        link = worker_hub_link(queue->hub, travel_cluster_slot((travel_str_t)
                                                               { key, len }));

        if (worker_link_up(link)) {
            worker_args_begin(args);
            worker_args_copy(args, key, len);
            worker_args_int(args, p->percent);
            worker_link_script(link, TRAVEL_SCRIPT_PROGRESS, NULL, NULL, args,
                               1);
        }

        free(p);
    }
}


void
worker_give_collect(worker_queue_t *queue)
{
    worker_entry_t     *entry;
    worker_inval_t     *inval;
    worker_entries_t    back;
    worker_progress_t  *progress;

    /* First what came back, then the invalidations: a slot puts its own into
     * the list before it hands its entry back, so none is overlooked. */
    worker_entries_init(&back);
    worker_slots_collect(queue->slots, &back);

    pthread_mutex_lock(&queue->mutex);
    inval = queue->invals_in.head;

    if (inval != NULL) {
        *queue->invals.tail = inval;
        queue->invals.tail = queue->invals_in.tail;
        queue->invals_in.head = NULL;
        queue->invals_in.tail = &queue->invals_in.head;
    }

    progress = queue->progress_in;
    queue->progress_in = NULL;
    pthread_mutex_unlock(&queue->mutex);

    for ( ; inval != NULL; inval = inval->next) {
        inval->entry->invals++;
    }

    give_progress(queue, progress);

    while ((entry = worker_entries_pop(&back)) != NULL) {
        give_back(queue, entry);
    }
}


/* --- the turn ------------------------------------------------------------- */

void
worker_give_turn(worker_queue_t *queue)
{
    size_t  i;

    give_invals(queue);

    for (i = 0; i < queue->nparts; i++) {
        worker_settle_turn(queue->parts[i]);
    }

    give_start(queue);
}


bool
worker_give_idle(const worker_queue_t *queue)
{
    size_t               i;
    worker_partition_t  *part;

    if (queue->handed > queue->stuck || queue->starting > 0
        || queue->finishing > 0 || queue->invals.head != NULL)
    {
        return false;
    }

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        if (part->settle.count > 0 || part->settling || part->starting) {
            return false;
        }
    }

    return true;
}
