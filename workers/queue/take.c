/*
 * What brings entries into memory besides reading: adoption and promotion.
 *
 * An adoption: the script (fence, turn, whether it is closed), then the delayed
 * set (keys that are held by retrying jobs, jobs that were in the predecessor's
 * hand); then the streams are read from their start.  The same walk, keeping
 * what is in memory, repairs a lost answer ("resync").
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../pool/log.h"
#include "../trace/trace.h"
#include "../../common/digits.h"

#define TAKE_PAGE          256
#define TAKE_PROMOTE_MS    1000    /* others may put jobs into the set */
#define TAKE_RETRY_MS      200


static travel_str_t
take_str(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING) {
        return TRAVEL_STR("");
    }

    return (travel_str_t) { reply->str, (size_t) reply->len };
}


static worker_args_t *
take_args(worker_partition_t *part)
{
    worker_args_t  *args;

    args = &part->queue->args;
    worker_args_begin(args);
    worker_args_str(args, part->owner.text, part->owner.len);

    return args;
}


worker_batch_t *
worker_batch_create(worker_partition_t *part)
{
    worker_batch_t  *batch;

    batch = calloc(1, sizeof(worker_batch_t));

    if (batch != NULL) {
        batch->queue = part->queue;
        batch->part = part;
        batch->epoch = part->epoch;
        batch->sent_ns = worker_trace_now();
        worker_entries_init(&batch->entries);
    }

    return batch;
}


/* Is that us, though under an earlier turn? */
static bool
part_is_ours(const worker_partition_t *part, travel_str_t holder)
{
    size_t       len;
    const char  *owner;

    owner = part->queue->owner;
    len = strlen(owner);

    return holder.len > len && memcmp(holder.data, owner, len) == 0
           && holder.data[len] == '#';
}


/* Redis's word on who owns the partition against ours. */
static void
part_fenced(worker_partition_t *part, const redisReply *reply)
{
    uint64_t      fence;
    travel_str_t  owner;

    fence = 0;
    owner = TRAVEL_STR("");

    if (reply->elements == 3) {
        owner = take_str(reply->element[1]);

        if (travel_digits_parse(&fence, take_str(reply->element[2]))
            != TRAVEL_OK)
        {
            fence = 0;
        }
    }

    if ((long long) fence < part->fence         /* Redis has forgotten us */
        || ((long long) fence == part->fence && part_is_ours(part, owner)))
    {
        part->resync = true;
        return;
    }

    worker_log(WORKER_LOG_WARN, "%s: fence %lld is stale, %.*s has %llu",
               part->name, part->fence, (int) owner.len, owner.data,
               (unsigned long long) fence);

    part->lease.lift = (long long) fence;
    part->queue->meet_at = 0;
    worker_part_lose(part, "a higher fence in Redis");
    part->retry_at = part->queue->now + TAKE_RETRY_MS;
}


bool
worker_part_refused(worker_partition_t *part, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
        && reply->element[0]->type == REDIS_REPLY_INTEGER)
    {
        switch (reply->element[0]->integer) {

        case TRAVEL_SCRIPT_GOOD:
            return false;

        case TRAVEL_SCRIPT_FENCED:
            part_fenced(part, reply);
            return true;
        }
    }

    worker_log(WORKER_LOG_WARN, "%s: redis: %s", part->name,
               reply->type == REDIS_REPLY_ERROR ? reply->str
                                                : "unexpected answer");
    part->resync = true;
    part->retry_at = part->queue->now + TAKE_RETRY_MS;

    return true;
}


/* The answer's batch is done with.  NULL: there is nothing to do with it. */
static worker_partition_t *
take_answered(worker_batch_t *batch, const redisReply *reply)
{
    worker_partition_t  *part;

    part = batch->part;

    if (batch->epoch != part->epoch) {
        return NULL;
    }

    if (reply == NULL) {
        if (part->first) {
            worker_part_lose(part, "redis went away during its adoption");
        } else {
            part->resync = true;
        }

        return NULL;
    }

    if (worker_part_refused(part, reply)) {
        if (batch->epoch == part->epoch && part->first) {
            worker_part_lose(part, "its adoption was refused");
            part->retry_at = part->queue->now + TAKE_RETRY_MS;
        }

        return NULL;
    }

    return part;
}


/* --- adoption ------------------------------------------------------------- */

/* From here on nothing is sent under the old name, and once the script has run
 * nothing that was can be carried out. */
void
worker_take_begin(worker_partition_t *part)
{
    part->holder.len = (size_t) snprintf(part->holder.text,
                                         sizeof(part->holder.text), "%s#%llu",
                                         part->queue->owner,
                                         (unsigned long long) ++part->turn);
    part->resync = false;
    part->state = WORKER_PART_ADOPTING;
    part->adopt_step = WORKER_ADOPT_SCRIPT;
}


static travel_stream_id_t
adopt_id(const char *text)
{
    travel_stream_id_t  id;

    if (travel_stream_id_parse(&id, (travel_str_t) { text, strlen(text) })
        != TRAVEL_OK)
    {
        id = (travel_stream_id_t) { 0, 0 };
    }

    return id;
}


/* Is this the stream we have read?  Not when it never came to where we are, or
 * holds something older than all that we have not settled or have passed over:
 * it was lost, and this one began anew or comes from an older copy. */
static bool
adopt_knows(const worker_partition_t *part, size_t stream,
    travel_str_t newest, travel_str_t oldest)
{
    travel_stream_id_t      last, id, first;
    const worker_entry_t   *entry;

    last = adopt_id(worker_stream_last(&part->streams[stream]));

    if (travel_stream_id_parse(&id, newest) != TRAVEL_OK
        || travel_stream_id_cmp(id, last) < 0)
    {
        return false;
    }

    if (travel_stream_id_parse(&id, oldest) != TRAVEL_OK) {
        return true;                /* it is empty */
    }

    entry = part->origins[stream + 1].oldest;
    first = adopt_id(part->streams[stream].passed);

    if (first.ms != 0 && travel_stream_id_cmp(id, first) >= 0) {
        return true;
    }

    return entry != NULL
           ? travel_stream_id_cmp(id, adopt_id(entry->stream_id)) >= 0
           : travel_stream_id_cmp(id, last) > 0;
}


void
worker_take_opened(worker_partition_t *part)
{
    size_t  i;

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        part->streams[i].rung = true;
    }

    if (part->first) {
        worker_log(WORKER_LOG_INFO, "%s: ours, fence %lld, %zu retries taken "
                   "over", part->name, part->fence, part->entries);
    }

    part->first = false;
    part->state = WORKER_PART_OPEN;
    part->promote_at = 0;
}


/* What it is besides: closed, or in the place of others. */
static void
adopt_told(worker_partition_t *part, const redisReply *reply)
{
    size_t  i;

    if (reply->elements < 9) {
        return;
    }

    if (part->closed && reply->element[7]->len == 0) {
        part->first = true;         /* opened again: it had nothing left */
        worker_pause_forget(part);

        for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
            part->streams[i].last[0] = '\0';
        }
    }

    worker_part_name_streams(part, reply->element[7]->len > 0);

    if (travel_range_parse(&part->range, take_str(reply->element[8]))
        != TRAVEL_OK)
    {
        part->range.n = 0;
    }
}


static void
adopt_on_script(void *data, const redisReply *reply)
{
    size_t               i;
    worker_batch_t      *batch = data;
    worker_partition_t  *part;

    batch->part->adopting = false;
    part = take_answered(batch, reply);
    free(batch);

    if (part == NULL) {
        return;
    }

    adopt_told(part, reply);

    for (i = 0; !part->first && i < TRAVEL_PRIORITY_MAX
                && 2 * i + 2 < reply->elements; i++)
    {
        if (!adopt_knows(part, i, take_str(reply->element[2 * i + 1]),
                         take_str(reply->element[2 * i + 2])))
        {
            worker_part_lose(part, "Redis has lost what we have read");
            return;
        }
    }

    part->adopt_step = WORKER_ADOPT_DELAYED;
    part->adopt_offset = 0;
}


static void
adopt_send_script(worker_partition_t *part, worker_batch_t *batch)
{
    char            key[TRAVEL_KEY_MAX];
    size_t          i;
    travel_str_t    queue;
    worker_args_t  *args;

    args = take_args(part);
    queue = (travel_str_t) { part->queue_name, strlen(part->queue_name) };

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_args_copy(args, key, travel_key_stream(key, queue, part->number,
                                                      (travel_priority_e) i));
    }

    worker_args_fence(args, part);
    worker_link_script(worker_part_link(part), TRAVEL_SCRIPT_ADOPT,
                       adopt_on_script, batch, args, 4);
}


/* A job of the delayed set: waiting for its retry it holds its key; in its
 * owner's hand (score 0) it comes into ours; with a time of its own it takes
 * its place when that comes. */
static void
adopt_delayed(worker_partition_t *part, travel_str_t uuid, travel_str_t score,
    travel_str_t status, travel_str_t pack)
{
    bool             again;
    worker_type_t   *type;
    worker_entry_t  *entry;

    again = !travel_str_eq(status, TRAVEL_STR("queued"));

    if (pack.len == 0) {
        return;                     /* its hash has expired; promotion drops */
    }

    if (!travel_str_eq(score, TRAVEL_STR("0"))) {
        type = worker_queue_type(part->queue, worker_pack_field(pack, "type"));

        if (part->first && again && type != NULL && !type->type->unordered) {
            worker_part_hold_key(part, worker_pack_field(pack, "key"), uuid,
                                 (int64_t) strtod(score.data, NULL));
        }

        return;
    }

    if (worker_part_in_hand(part, uuid)) {
        return;
    }

    entry = worker_entry_create(pack.data, pack.len);

    if (entry == NULL) {
        part->resync = true;
    } else if (again) {
        worker_part_return(part, entry);
    } else {
        worker_part_add(part, entry);
    }
}


static void
adopt_on_delayed(void *data, const redisReply *reply)
{
    size_t               i;
    worker_batch_t      *batch = data;
    worker_partition_t  *part;

    batch->part->adopting = false;
    part = take_answered(batch, reply);
    free(batch);

    if (part == NULL) {
        return;
    }

    for (i = 2; i + 3 < reply->elements; i += 4) {
        adopt_delayed(part, take_str(reply->element[i]),
                      take_str(reply->element[i + 1]),
                      take_str(reply->element[i + 2]),
                      take_str(reply->element[i + 3]));
    }

    part->adopt_offset += TAKE_PAGE;

    if (reply->elements > 1 && reply->element[1]->integer == 0) {
        return;                     /* the next page */
    }

    if (part->first && part->range.n > 0 && !part->closed) {
        part->adopt_step = WORKER_ADOPT_BEFORE;
    } else {
        worker_take_opened(part);
    }
}


static void
adopt_send_delayed(worker_partition_t *part, worker_batch_t *batch)
{
    worker_args_t  *args;

    args = take_args(part);
    worker_args_str(args, part->delayed.text, part->delayed.len);
    worker_args_fence(args, part);
    worker_args_int(args, (int64_t) part->adopt_offset);
    worker_args_int(args, TAKE_PAGE);
    worker_args_str(args, part->first ? "1" : "0", 1);

    worker_link_script(worker_part_link(part), TRAVEL_SCRIPT_DELAYED,
                       adopt_on_delayed, batch, args, 2);
}


static void
take_adopt(worker_partition_t *part)
{
    worker_batch_t  *batch;

    if (part->adopt_step == WORKER_ADOPT_BEFORE) {
        worker_before_ask(part);
        return;
    }

    batch = worker_batch_create(part);

    if (batch == NULL) {
        return;
    }

    part->adopting = true;

    switch (part->adopt_step) {

    case WORKER_ADOPT_BEFORE:
        break;

    case WORKER_ADOPT_SCRIPT:
        adopt_send_script(part, batch);
        break;

    case WORKER_ADOPT_DELAYED:
        adopt_send_delayed(part, batch);
        break;
    }
}


/* --- promotion ------------------------------------------------------------ */

static void
promote_one(worker_partition_t *part, travel_str_t uuid, travel_str_t status,
    travel_str_t pack)
{
    worker_entry_t  *entry;

    if (pack.len == 0) {
        worker_part_unhold(part, uuid);
        return;
    }

    entry = worker_entry_create(pack.data, pack.len);

    if (entry == NULL) {
        part->resync = true;
        return;
    }

    if (travel_str_eq(status, TRAVEL_STR("queued"))) {
        worker_part_add(part, entry);
    } else {
        worker_part_return(part, entry);
    }
}


static void
promote_on_reply(void *data, const redisReply *reply)
{
    size_t               i;
    int64_t              next;
    travel_str_t         due;
    worker_batch_t      *batch = data;
    worker_partition_t  *part;

    batch->part->promoting = false;
    part = take_answered(batch, reply);
    free(batch);

    if (part == NULL || reply->elements < 2) {
        return;
    }

    for (i = 2; i + 2 < reply->elements; i += 3) {
        promote_one(part, take_str(reply->element[i]),
                    take_str(reply->element[i + 1]),
                    take_str(reply->element[i + 2]));
    }

    due = take_str(reply->element[1]);
    next = part->queue->now_unix + TAKE_PROMOTE_MS;

    if (due.len && (int64_t) strtod(due.data, NULL) < next) {
        next = (int64_t) strtod(due.data, NULL);
    }

    if (next < part->promote_at || worker_take_promote_ms(part) == 0) {
        part->promote_at = next;
    }
}


/* Paused types: theirs are put off. */
static void
promote_except(worker_args_t *args, const worker_partition_t *part)
{
    size_t                i;
    const worker_type_t  *type;

    for (i = 0; i < part->queue->ntypes; i++) {
        type = &part->queue->types[i];

        if (type->paused
            && strcmp(type->type->queue, part->queue_name) == 0)
        {
            worker_args_str(args, type->type->type, strlen(type->type->type));
        }
    }
}


static void
take_promote(worker_partition_t *part)
{
    worker_args_t   *args;
    worker_batch_t  *batch;

    if (worker_read_room(part->queue, TRAVEL_PRIORITY_HIGH) == 0) {
        part->promote_at = part->queue->now_unix + TAKE_PROMOTE_MS;
        return;
    }

    batch = worker_batch_create(part);

    if (batch == NULL) {
        return;
    }

    args = take_args(part);
    worker_args_str(args, part->delayed.text, part->delayed.len);
    worker_args_fence(args, part);
    worker_args_int(args, part->queue->now_unix);
    worker_args_int(args, TAKE_PAGE);

    if (part->paused) {
        promote_except(args, part);
    }

    part->promoting = true;
    worker_link_script(worker_part_link(part), TRAVEL_SCRIPT_PROMOTE,
                       promote_on_reply, batch, args, 2);
}


/* --- the turn ------------------------------------------------------------- */

/* It is never further away than this, unless the clock was set back since. */
int64_t
worker_take_promote_ms(const worker_partition_t *part)
{
    int64_t  ms;

    ms = part->promote_at - part->queue->now_unix;

    return ms > 0 && ms <= TAKE_PROMOTE_MS ? ms : 0;
}


bool
worker_take_promotes(const worker_partition_t *part)
{
    return part->state == WORKER_PART_OPEN && !part->resync && !part->shut
           && !part->promoting && !part->doubtful
           && !part->queue->draining
           && part->queue->now >= part->retry_at
           && worker_part_up(part);
}


static void
take_part(worker_partition_t *part)
{
    if (part->state == WORKER_PART_FREE || part->adopting
        || part->queue->now < part->retry_at || !worker_part_up(part))
    {
        return;
    }

    if (part->resync && !part->starting && !part->settling && !part->promoting)
    {
        worker_take_begin(part);
    }

    if (part->resync) {
        return;
    }

    if (part->state == WORKER_PART_ADOPTING) {
        take_adopt(part);
        return;
    }

    if (part->state != WORKER_PART_OPEN) {
        return;
    }

    if (worker_take_promotes(part) && worker_take_promote_ms(part) == 0) {
        take_promote(part);
    }
}


void
worker_take_turn(worker_queue_t *queue)
{
    size_t  i;

    for (i = 0; i < queue->nparts; i++) {
        take_part(queue->parts[(queue->turn + i) % queue->nparts]);
    }
}


/* Calls that were open have said so themselves; what was not open may have
 * changed all the same: a Redis that was killed may have lost its memory. */
void
worker_take_link_down(worker_queue_t *queue, const worker_link_t *link)
{
    size_t               i;
    worker_partition_t  *part;

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        if (part->state != WORKER_PART_FREE
            && worker_part_link(part) == link)
        {
            part->resync = true;
        }
    }
}
