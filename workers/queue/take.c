/*
 * What brings entries into memory: adoption, fetching, promotion, the bell.
 *
 * Nobody reads a stream for its owner in a blocking way: an XREADGROUP that
 * waits inside Redis would go on taking entries for a process that has lost
 * the partition meanwhile.  So the bell only listens (XREAD, no group), and
 * what it announces is fetched by a script that checks the fence first.
 *
 * All owners read as the same consumer, "owner": what a predecessor left
 * pending is therefore simply the consumer's own history, and a new owner
 * reads it page by page, before it reads anything new.
 *
 * An adoption: the script (fence, groups), the delayed set (keys that are
 * held by retrying jobs, jobs that were in the predecessor's hand), then the
 * pending entries of each stream.  The same walk, keeping what is in memory,
 * repairs a lost answer ("resync"): entries that Redis delivered in it stand
 * behind the last id that was read.
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../pool/log.h"
#include "../trace/trace.h"
#include "../../common/digits.h"

#define TAKE_PAGE          256
#define TAKE_BELL_MS       "250"   /* how long a bell may miss a new stream */
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


static void
take_args_fence(worker_partition_t *part, worker_args_t *args)
{
    worker_args_str(args, part->queue->owner, strlen(part->queue->owner));
    worker_args_int(args, part->fence);
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

    if ((long long) fence < part->fence) {      /* Redis has forgotten us */
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

        case TRAVEL_SCRIPT_NOGROUP:
            worker_log(WORKER_LOG_WARN, "%s: its groups are gone, making "
                       "them again", part->name);
            part->resync = true;
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


static worker_entry_t *
take_entry(worker_partition_t *part, unsigned stream, travel_str_t id,
    travel_str_t pack)
{
    worker_entry_t  *entry;

    entry = worker_entry_create(pack.data, pack.len);

    if (entry == NULL) {
        part->resync = true;
        return NULL;
    }

    entry->stream = (uint8_t) stream;

    if (stream != 0) {
        snprintf(entry->stream_id, sizeof(entry->stream_id), "%.*s",
                 (int) id.len, id.data);
    }

    return entry;
}


/* Entries of one stream: id, pack, id, pack ... from index i on. */
static size_t
take_entries(worker_partition_t *part, unsigned stream,
    const redisReply *reply, size_t i, worker_spans_t *spans)
{
    size_t            n;
    travel_str_t      id, pack;
    worker_entry_t   *entry;
    worker_stream_t  *s;

    s = &part->streams[stream];

    for (n = 0; i + 1 < reply->elements; i += 2, n++) {
        id = take_str(reply->element[i]);
        pack = take_str(reply->element[i + 1]);
        entry = pack.len ? take_entry(part, stream + 1, id, pack) : NULL;

        if (part->resync) {         /* no memory: all of this comes again */
            return n;
        }

        snprintf(s->last, sizeof(s->last), "%.*s", (int) id.len, id.data);

        if (entry != NULL) {
            worker_spans_add(spans, entry, false);
            worker_part_add(part, entry);
        }
    }

    worker_board_add(&part->queue->sheet->fetched, n);

    return n;
}


/* --- adoption ------------------------------------------------------------- */

static const char *
take_last(const worker_stream_t *stream)
{
    return stream->last[0] ? stream->last : "0-0";
}


static void
adopt_opened(worker_partition_t *part)
{
    size_t  i;

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        part->streams[i].rung = true;
    }

    if (part->first) {
        worker_log(WORKER_LOG_INFO, "%s: ours, fence %lld, %zu entries taken "
                   "over", part->name, part->fence, part->entries);
    }

    part->first = false;
    part->state = WORKER_PART_OPEN;
    part->promote_at = 0;
}


static void
adopt_on_script(void *data, const redisReply *reply)
{
    size_t               i;
    travel_str_t         id;
    worker_batch_t      *batch = data;
    worker_stream_t     *s;
    worker_partition_t  *part;
    travel_stream_id_t   last, delivered;

    batch->part->fetching = false;
    part = take_answered(batch, reply);
    free(batch);

    if (part == NULL) {
        return;
    }

    /* In an adoption from scratch the pending entries are read from 0 on;
     * else a group made anew may stand before what was read of the old. */
    for (i = 0; !part->first && i < TRAVEL_PRIORITY_MAX
                && i + 1 < reply->elements; i++)
    {
        s = &part->streams[i];
        id = take_str(reply->element[i + 1]);

        if (travel_stream_id_parse(&delivered, id) == TRAVEL_OK
            && travel_stream_id_parse(&last, (travel_str_t) { take_last(s),
                                      strlen(take_last(s)) }) == TRAVEL_OK
            && travel_stream_id_cmp(delivered, last) < 0)
        {
            snprintf(s->last, sizeof(s->last), "%.*s", (int) id.len, id.data);
        }
    }

    part->adopt_step = WORKER_ADOPT_DELAYED;
    part->adopt_offset = 0;
}


static void
adopt_send_script(worker_partition_t *part, worker_batch_t *batch)
{
    size_t          i;
    worker_args_t  *args;

    args = take_args(part);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_args_str(args, part->streams[i].key, part->streams[i].key_len);
    }

    take_args_fence(part, args);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_args_str(args, take_last(&part->streams[i]),
                        strlen(take_last(&part->streams[i])));
    }

    worker_link_script(part->queue->cmd, TRAVEL_SCRIPT_ADOPT, adopt_on_script,
                       batch, args, 4);
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

    entry = take_entry(part, 0, uuid, pack);

    if (entry != NULL && again) {
        worker_part_return(part, entry);
    } else if (entry != NULL) {
        worker_part_add(part, entry);
    }
}


static void
adopt_on_delayed(void *data, const redisReply *reply)
{
    size_t               i;
    worker_batch_t      *batch = data;
    worker_partition_t  *part;

    batch->part->fetching = false;
    part = take_answered(batch, reply);
    free(batch);

    if (part == NULL) {
        return;
    }

    for (i = 1; i + 3 < reply->elements; i += 4) {
        adopt_delayed(part, take_str(reply->element[i]),
                      take_str(reply->element[i + 1]),
                      take_str(reply->element[i + 2]),
                      take_str(reply->element[i + 3]));
    }

    part->adopt_offset += TAKE_PAGE;

    if (i == 1) {
        part->adopt_step = WORKER_ADOPT_PENDING;
        part->adopt_stream = 0;
    }
}


static void
adopt_send_delayed(worker_partition_t *part, worker_batch_t *batch)
{
    worker_args_t  *args;

    args = take_args(part);
    worker_args_str(args, part->delayed.text, part->delayed.len);
    take_args_fence(part, args);
    worker_args_int(args, (int64_t) part->adopt_offset);
    worker_args_int(args, TAKE_PAGE);

    worker_link_script(part->queue->cmd, TRAVEL_SCRIPT_DELAYED,
                       adopt_on_delayed, batch, args, 2);
}


static void
adopt_on_pending(void *data, const redisReply *reply)
{
    size_t               n;
    uint64_t             sent;
    worker_batch_t      *batch = data;
    worker_spans_t       spans = { 0 };
    worker_partition_t  *part;

    batch->part->fetching = false;
    sent = batch->sent_ns;
    part = take_answered(batch, reply);
    free(batch);

    if (part == NULL) {
        return;
    }

    n = take_entries(part, part->adopt_stream, reply, 1, &spans);
    worker_spans_end(&spans, part, "receive", sent, false);

    if (n > 0 || part->resync) {
        return;                     /* the next turn asks for the next page */
    }

    if (++part->adopt_stream == TRAVEL_PRIORITY_MAX) {
        adopt_opened(part);
    }
}


static void
adopt_send_pending(worker_partition_t *part, worker_batch_t *batch)
{
    worker_args_t    *args;
    worker_stream_t  *s;

    s = &part->streams[part->adopt_stream];
    args = take_args(part);
    worker_args_str(args, s->key, s->key_len);
    take_args_fence(part, args);
    worker_args_str(args, take_last(s), strlen(take_last(s)));
    worker_args_int(args, TAKE_PAGE);

    worker_link_script(part->queue->cmd, TRAVEL_SCRIPT_PENDING,
                       adopt_on_pending, batch, args, 2);
}


static void
take_adopt(worker_partition_t *part)
{
    worker_batch_t  *batch;

    batch = worker_batch_create(part);

    if (batch == NULL) {
        return;
    }

    part->fetching = true;

    switch (part->adopt_step) {

    case WORKER_ADOPT_SCRIPT:
        adopt_send_script(part, batch);
        break;

    case WORKER_ADOPT_DELAYED:
        adopt_send_delayed(part, batch);
        break;

    case WORKER_ADOPT_PENDING:
        adopt_send_pending(part, batch);
        break;
    }
}


/* --- fetching ------------------------------------------------------------- */

static void
fetch_on_reply(void *data, const redisReply *reply)
{
    size_t               i, n;
    worker_batch_t      *batch = data;
    worker_spans_t       spans = { 0 };
    worker_partition_t  *part;

    batch->part->fetching = false;
    part = take_answered(batch, reply);

    for (i = 0; part != NULL && i < TRAVEL_PRIORITY_MAX
                && i + 1 < reply->elements; i++)
    {
        n = take_entries(part, (unsigned) i, reply->element[i + 1], 0,
                         &spans);

        if (batch->counts[i] > 0 && n < batch->counts[i]) {
            part->streams[i].rung = false;
        }
    }

    worker_spans_end(&spans, batch->part, "receive", batch->sent_ns, false);
    free(batch);
}


/* How many entries of a stream may come in now; memory that is short is kept
 * for the higher priorities. */
static unsigned
fetch_count(const worker_queue_t *queue, unsigned priority)
{
    size_t                     limit, room;
    static const unsigned      share[TRAVEL_PRIORITY_MAX] = { 8, 6, 4 };

    limit = WORKER_IN_MEMORY_MAX / 8 * share[priority];

    if (queue->in_memory >= limit
        || queue->bytes >= WORKER_BYTES_MAX / 8 * share[priority])
    {
        return 0;
    }

    room = (limit - queue->in_memory) / (queue->nparts ? queue->nparts : 1);

    return room == 0 ? 1 : room > WORKER_BATCH_MAX ? WORKER_BATCH_MAX
                                                   : (unsigned) room;
}


static void
take_fetch(worker_partition_t *part)
{
    size_t           i;
    unsigned         total, counts[TRAVEL_PRIORITY_MAX];
    worker_args_t   *args;
    worker_batch_t  *batch;

    total = 0;

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        counts[i] = part->streams[i].rung
                    ? fetch_count(part->queue, (unsigned) i) : 0;
        total += counts[i];
    }

    if (total == 0) {
        return;
    }

    batch = worker_batch_create(part);

    if (batch == NULL) {
        return;
    }

    memcpy(batch->counts, counts, sizeof(counts));
    args = take_args(part);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_args_str(args, part->streams[i].key, part->streams[i].key_len);
    }

    take_args_fence(part, args);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_args_int(args, counts[i]);
    }

    part->fetching = true;
    worker_link_script(part->queue->cmd, TRAVEL_SCRIPT_FETCH, fetch_on_reply,
                       batch, args, 4);
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

    entry = take_entry(part, 0, uuid, pack);

    if (entry == NULL) {
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

    if (next < part->promote_at || part->promote_at <= part->queue->now_unix) {
        part->promote_at = next;
    }
}


static void
take_promote(worker_partition_t *part)
{
    worker_args_t   *args;
    worker_batch_t  *batch;

    if (fetch_count(part->queue, TRAVEL_PRIORITY_HIGH) == 0) {
        part->promote_at = part->queue->now_unix + TAKE_PROMOTE_MS;
        return;
    }

    batch = worker_batch_create(part);

    if (batch == NULL) {
        return;
    }

    args = take_args(part);
    worker_args_str(args, part->delayed.text, part->delayed.len);
    take_args_fence(part, args);
    worker_args_int(args, part->queue->now_unix);
    worker_args_int(args, TAKE_PAGE);

    part->promoting = true;
    worker_link_script(part->queue->cmd, TRAVEL_SCRIPT_PROMOTE,
                       promote_on_reply, batch, args, 2);
}


/* --- the bell ------------------------------------------------------------- */

static worker_stream_t *
bell_stream(worker_queue_t *queue, travel_str_t key)
{
    size_t            i, p;
    worker_stream_t  *s;

    for (i = 0; i < queue->nparts; i++) {
        for (p = 0; p < TRAVEL_PRIORITY_MAX; p++) {
            s = &queue->parts[i]->streams[p];

            if (s->key_len == key.len && memcmp(s->key, key.data, key.len) == 0)
            {
                return s;
            }
        }
    }

    return NULL;
}


static void
bell_on_reply(void *data, const redisReply *reply)
{
    size_t            i;
    worker_queue_t   *queue = data;
    worker_stream_t  *s;

    queue->bell_armed = false;

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
        return;
    }

    for (i = 0; i < reply->elements; i++) {
        if (reply->element[i]->elements == 2) {
            s = bell_stream(queue, take_str(reply->element[i]->element[0]));

            if (s != NULL) {
                s->rung = true;
            }
        }
    }
}


static size_t
bell_gather(worker_queue_t *queue, worker_args_t *args, bool ids)
{
    size_t               i, p, n;
    worker_stream_t     *s;
    worker_partition_t  *part;

    n = 0;

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        for (p = 0; part->state == WORKER_PART_OPEN && !part->resync
                    && p < TRAVEL_PRIORITY_MAX; p++)
        {
            s = &part->streams[p];

            if (s->rung) {
                continue;
            }

            n++;

            if (ids) {
                worker_args_str(args, take_last(s), strlen(take_last(s)));
            } else {
                worker_args_str(args, s->key, s->key_len);
            }
        }
    }

    return n;
}


void
worker_take_bell(worker_queue_t *queue)
{
    size_t          i;
    worker_args_t  *args;

    if (queue->bell_armed || queue->draining || !worker_link_up(queue->bell)) {
        return;
    }

    for (i = 0; i < queue->nparts; i++) {
        if (queue->parts[i]->fetching) {
            return;                 /* it would ring for the same entries */
        }
    }

    args = &queue->args;
    worker_args_begin(args);
    args->argc = 0;
    worker_args_str(args, "XREAD", 5);
    worker_args_str(args, "COUNT", 5);
    worker_args_str(args, "1", 1);
    worker_args_str(args, "BLOCK", 5);
    worker_args_str(args, TAKE_BELL_MS, sizeof(TAKE_BELL_MS) - 1);
    worker_args_str(args, "STREAMS", 7);

    if (bell_gather(queue, args, false) == 0) {
        return;
    }

    (void) bell_gather(queue, args, true);

    if (!args->failed) {
        queue->bell_armed = true;
        worker_link_send(queue->bell, bell_on_reply, queue, args->argc,
                         args->argv, args->argvlen);
    }
}


/* --- the turn ------------------------------------------------------------- */

bool
worker_take_promotes(const worker_partition_t *part)
{
    return part->state == WORKER_PART_OPEN && !part->resync
           && !part->promoting && !part->doubtful
           && !part->queue->draining
           && part->queue->now >= part->retry_at
           && worker_link_up(part->queue->cmd);
}


static void
take_part(worker_partition_t *part)
{
    if (part->state == WORKER_PART_FREE || part->fetching
        || part->queue->now < part->retry_at)
    {
        return;
    }

    if (part->resync && !part->starting && !part->settling && !part->promoting)
    {
        part->resync = false;
        part->state = WORKER_PART_ADOPTING;
        part->adopt_step = WORKER_ADOPT_SCRIPT;
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

    take_fetch(part);

    if (worker_take_promotes(part)
        && part->queue->now_unix >= part->promote_at)
    {
        take_promote(part);
    }
}


void
worker_take_turn(worker_queue_t *queue)
{
    size_t  i;

    if (!worker_link_up(queue->cmd) || queue->draining) {
        return;
    }

    for (i = 0; i < queue->nparts; i++) {
        take_part(queue->parts[(queue->turn + i) % queue->nparts]);
    }
}


/* Fetches that were open have said so themselves; what was not open may have
 * changed all the same: a Redis that was killed may have lost its memory. */
void
worker_take_link_down(worker_queue_t *queue)
{
    size_t               i;
    worker_partition_t  *part;

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        if (part->state != WORKER_PART_FREE) {
            part->resync = true;
        }
    }
}
