/*
 * What is read from the streams.
 *
 * A stream holds what is not settled, in order, and only its owner settles:
 * so it is read by a plain XREAD from the last id that was read, without a
 * consumer group.  Reading changes nothing, hence an answer that is lost is
 * simply asked for again, and a process that has lost the partition reads in
 * vain.  A new owner begins at the start of the stream.
 *
 * Two reads may be open.  The bell waits inside Redis on a connection of its
 * own, for the streams of which all was read; what it brings is taken at once.
 * Streams that may have more (rung) are read between the scripts.  No stream
 * is in both (asked).
 *
 * In a cluster a command's keys must be in one slot, so each partition is read
 * by itself, and has a bell of its own while it is ours: a partition has one
 * owner, so that is one connection for each, however many processes there are.
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../pool/log.h"
#include "../trace/trace.h"

#define READ_BELL_MS     "250"     /* how long a bell may miss a new stream */
#define READ_COUNT_MAX   256
#define READ_COUNT_MIN   16        /* a stream is worth this many, or waits */
#define READ_RETRY_MS    200       /* after an error */
#define READ_COMPLAIN_MS 1000
#define READ_BYTES       1048576   /* of a stream in an answer, about: Redis
                                      serves nobody else while it writes it */
#define READ_FIELDS_MAX  1024      /* names and values; an envelope has fewer */


/* One open XREAD: of whom it asked, in the order of its keys. */
typedef struct {
    worker_partition_t  *part;
    unsigned             stream;
    unsigned             turn;
    uint64_t             epoch;
} read_asked_t;

typedef struct {
    worker_queue_t      *queue;
    bool                *bell;      /* armed, until it answers; or NULL */
    unsigned             count;
    uint64_t             sent_ns;
    size_t               n;
    read_asked_t         asked[];
} read_call_t;


static travel_str_t
read_str(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING) {
        return TRAVEL_STR("");
    }

    return (travel_str_t) { reply->str, (size_t) reply->len };
}


static worker_stream_t *
read_stream(const read_asked_t *asked)
{
    return &asked->part->streams[asked->stream];
}


/* --- answers -------------------------------------------------------------- */

worker_entry_t *
worker_read_entry(const redisReply *fields)
{
    size_t        i, n;
    travel_str_t  list[READ_FIELDS_MAX];

    n = fields->type == REDIS_REPLY_ARRAY ? fields->elements : 0;
    n = n < READ_FIELDS_MAX ? n : READ_FIELDS_MAX;

    for (i = 0; i < n; i++) {
        list[i] = read_str(fields->element[i]);
    }

    return worker_entry_pack(list, n);
}


/* The entries of one stream: [id, fields] each. */
static void
read_entries(const read_asked_t *asked, const redisReply *list,
    worker_spans_t *spans)
{
    size_t               i;
    travel_str_t         id;
    worker_entry_t      *entry;
    worker_stream_t     *s;
    worker_partition_t  *part;

    part = asked->part;
    s = read_stream(asked);

    for (i = 0; i < list->elements; i++) {
        id = read_str(list->element[i]->element[0]);

        if (worker_ahead_known(part, asked->stream, id)) {
            snprintf(s->last, sizeof(s->last), "%.*s", (int) id.len, id.data);
            continue;
        }

        entry = worker_read_entry(list->element[i]->element[1]);

        if (entry == NULL) {
            s->rung = true;         /* no memory: this comes again */
            break;
        }

        entry->stream = (uint8_t) (asked->stream + 1);
        snprintf(entry->stream_id, sizeof(entry->stream_id), "%.*s",
                 (int) id.len, id.data);
        memcpy(s->last, entry->stream_id, sizeof(s->last));

        if (part->paused && worker_pause_passes(part, entry)) {
            if (s->passed[0] == '\0') {
                memcpy(s->passed, entry->stream_id, sizeof(s->passed));
            }

            worker_entry_free(entry);
            continue;
        }

        part->queue->entry_bytes += ((double) entry->pack.len
                                     - part->queue->entry_bytes) / 8;
        worker_spans_add(spans, entry, false);
        worker_part_add(part, entry);
    }

    worker_board_add(&part->queue->sheet->fetched, i);
}


/* list NULL: the stream has nothing new. */
static void
read_answered(const read_call_t *call, const read_asked_t *asked,
    const redisReply *list)
{
    worker_spans_t       spans = { 0 };
    worker_stream_t     *s;
    worker_partition_t  *part;

    part = asked->part;
    s = read_stream(asked);

    if (asked->epoch != part->epoch || asked->turn != s->turn
        || part->state != WORKER_PART_OPEN || part->resync)
    {
        s->rung = true;
        return;
    }

    s->rung = list != NULL && list->elements == call->count;

    if (list != NULL) {
        read_entries(asked, list, &spans);
        worker_spans_end(&spans, part, "receive", call->sent_ns, false);
    }
}


/* Is this element of the answer, [key, entries], that stream's? */
static bool
read_is_of(const redisReply *element, const worker_stream_t *s)
{
    travel_str_t  key;

    key = read_str(element->element[0]);

    return key.len == s->key_len && memcmp(key.data, s->key, key.len) == 0;
}


/* One of the streams has another name now: its partition was closed, or opened
 * again.  Which one it is shows when they are adopted again. */
static void
read_renamed(const read_call_t *call)
{
    size_t               i;
    const read_asked_t  *asked;

    for (i = 0; i < call->n; i++) {
        asked = &call->asked[i];

        if (asked->epoch == asked->part->epoch
            && asked->part->state == WORKER_PART_OPEN)
        {
            asked->part->resync = true;
        }
    }
}


/* The server refuses: those it was asked for rest a little, unless it was a
 * bell of a slot that is elsewhere now. */
static void
read_refused(const read_call_t *call, const redisReply *reply)
{
    size_t           i;
    worker_queue_t  *queue;

    if (strncmp(reply->str, "MOVED ", 6) == 0
        || strncmp(reply->str, "ASK ", 4) == 0)
    {
        return;
    }

    if (strncmp(reply->str, "WRONGTYPE", 9) == 0) {
        read_renamed(call);
        return;
    }

    queue = call->queue;

    for (i = 0; i < call->n; i++) {
        call->asked[i].part->retry_at = queue->now + READ_RETRY_MS;
    }

    if (queue->now >= queue->complain_at) {
        queue->complain_at = queue->now + READ_COMPLAIN_MS;
        worker_log(WORKER_LOG_WARN, "reading: redis: %s", reply->str);
    }
}


static void
read_on_reply(void *data, const redisReply *reply)
{
    bool              failed;
    size_t            i, n;
    read_call_t      *call = data;
    worker_stream_t  *s;

    if (call->bell != NULL) {
        *call->bell = false;
        call->sent_ns = worker_trace_now();     /* it waited, it did not work */
    }

    failed = reply == NULL || reply->type == REDIS_REPLY_ERROR;
    n = 0;

    for (i = 0; i < call->n; i++) {
        s = read_stream(&call->asked[i]);
        s->asked = false;

        if (failed) {
            s->rung = true;

        } else if (n < reply->elements && read_is_of(reply->element[n], s)) {
            read_answered(call, &call->asked[i],
                          reply->element[n++]->element[1]);

        } else {
            read_answered(call, &call->asked[i], NULL);
        }
    }

    if (failed && reply != NULL) {
        read_refused(call, reply);
    }

    free(call);
}


/* --- questions ------------------------------------------------------------ */

size_t
worker_read_room(const worker_queue_t *queue, unsigned priority)
{
    size_t                 limit;
    static const unsigned  share[TRAVEL_PRIORITY_MAX] = { 8, 6, 4 };

    limit = WORKER_IN_MEMORY_MAX / 8 * share[priority];

    if (queue->in_memory >= limit
        || queue->bytes >= WORKER_BYTES_MAX / 8 * share[priority])
    {
        return 0;
    }

    return limit - queue->in_memory;
}


/* Those to be asked: rung ones, or for the bell the others. */
static bool
read_wants(const worker_partition_t *part, const worker_stream_t *s, bool bell)
{
    return part->state == WORKER_PART_OPEN && !part->resync && !part->shut
           && !s->asked && s->rung == !bell
           && part->queue->now >= part->retry_at;
}


/* Those of one partition down to that priority. */
static size_t
read_gather_part(worker_partition_t *part, bool bell, unsigned lowest,
    read_asked_t *ret_asked)
{
    size_t    n;
    unsigned  p;

    n = 0;

    for (p = 0; p <= lowest; p++) {
        if (!read_wants(part, &part->streams[p], bell)) {
            continue;
        }

        if (ret_asked != NULL) {
            part->streams[p].asked = true;
            ret_asked[n] = (read_asked_t) { part, p, part->streams[p].turn,
                                            part->epoch };
        }

        n++;
    }

    return n;
}


/* How many there are, of one partition or (NULL) of all; they are noted in
 * 'ret_asked', unless that is NULL. */
static size_t
read_gather(worker_queue_t *queue, worker_partition_t *part, bool bell,
    unsigned lowest, read_asked_t *ret_asked)
{
    size_t  i, n;

    if (part != NULL) {
        return read_gather_part(part, bell, lowest, ret_asked);
    }

    n = 0;

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[(queue->turn + i) % queue->nparts];
        n += read_gather_part(part, bell, lowest, ret_asked != NULL
                                                  ? ret_asked + n : NULL);
    }

    return n;
}


/* How many of 'count' entries, if they are as large as the last ones. */
static size_t
read_within(const worker_queue_t *queue, size_t count)
{
    double  most;

    most = READ_BYTES / (queue->entry_bytes > 1 ? queue->entry_bytes : 1);

    return most < (double) count ? (size_t) most : count;
}


/* Down to which priority memory has room, and for how many entries of each
 * stream.  False: there is nobody to ask or no room. */
typedef struct {
    bool      bell;
    unsigned  lowest;
    unsigned  count;
} read_plan_t;

static bool
read_plan(worker_queue_t *queue, bool bell, read_plan_t *ret_plan)
{
    size_t    n, room, count;
    unsigned  lowest;

    for (lowest = TRAVEL_PRIORITY_MAX - 1; ; lowest--) {
        n = read_gather(queue, NULL, bell, lowest, NULL);
        room = worker_read_room(queue, lowest);

        if (n > 0 && room >= (lowest == 0 ? 1 : n * READ_COUNT_MIN)) {
            break;
        }

        if (lowest == 0) {
            return false;
        }
    }

    count = read_within(queue, room / n);
    ret_plan->bell = bell;
    ret_plan->lowest = lowest;
    ret_plan->count = count == 0 ? 1
                    : count < READ_COUNT_MAX ? (unsigned) count
                                             : READ_COUNT_MAX;

    return true;
}


/* NULL: there is nobody to ask, or no memory. */
static read_call_t *
read_create(worker_queue_t *queue, worker_partition_t *part,
    const read_plan_t *plan, bool *bell)
{
    size_t        n;
    read_call_t  *call;

    n = read_gather(queue, part, plan->bell, plan->lowest, NULL);
    call = n > 0 ? malloc(sizeof(read_call_t) + n * sizeof(read_asked_t))
                 : NULL;

    if (call == NULL) {
        return NULL;
    }

    call->queue = queue;
    call->bell = bell;
    call->count = plan->count;
    call->sent_ns = worker_trace_now();
    call->n = read_gather(queue, part, plan->bell, plan->lowest, call->asked);

    if (bell != NULL) {
        *bell = true;
    }

    return call;
}


static void
read_send(read_call_t *call, worker_link_t *link)
{
    size_t            i;
    worker_args_t    *args;
    worker_queue_t   *queue;
    worker_stream_t  *s;

    queue = call->queue;
    args = &queue->args;
    worker_args_begin(args);
    args->argc = 0;
    worker_args_str(args, "XREAD", 5);
    worker_args_str(args, "COUNT", 5);
    worker_args_int(args, call->count);

    if (call->bell != NULL) {
        worker_args_str(args, "BLOCK", 5);
        worker_args_str(args, READ_BELL_MS, sizeof(READ_BELL_MS) - 1);
    }

    worker_args_str(args, "STREAMS", 7);

    for (i = 0; i < call->n; i++) {
        s = read_stream(&call->asked[i]);
        worker_args_str(args, s->key, s->key_len);
    }

    for (i = 0; i < call->n; i++) {
        s = read_stream(&call->asked[i]);
        worker_args_str(args, worker_stream_last(s),
                        strlen(worker_stream_last(s)));
    }

    worker_link_call(link, read_on_reply, call, args);
}


/* Of one partition, or (NULL) of all. */
static void
read_one(worker_queue_t *queue, worker_partition_t *part,
    const read_plan_t *plan, worker_link_t *link, bool *armed)
{
    read_call_t  *call;

    if (!worker_link_up(link) || (plan->bell && *armed)) {
        return;
    }

    call = read_create(queue, part, plan, plan->bell ? armed : NULL);

    if (call != NULL) {
        read_send(call, link);
    }
}


/* In a cluster: has the partition its bell, as long as it is ours? */
static void
read_bell(worker_partition_t *part)
{
    bool  ours;

    ours = part->state != WORKER_PART_FREE;

    if (ours && part->bell == NULL) {
        part->bell = worker_hub_bell(part->queue->hub, "travel-bell",
                                     part->slot);

    } else if (!ours && part->bell != NULL) {
        worker_hub_mute(part->queue->hub, &part->bell);
    }
}


static void
read_parts(worker_queue_t *queue, const read_plan_t *plan)
{
    size_t               i;
    worker_partition_t  *part;

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[(queue->turn + i) % queue->nparts];
        read_one(queue, part, plan, plan->bell ? part->bell
                                               : worker_part_link(part),
                 &part->bell_armed);
    }
}


void
worker_read_turn(worker_queue_t *queue)
{
    size_t       i;
    read_plan_t  plan;

    if (queue->draining) {
        return;
    }

    if (queue->bell != NULL) {
        if (worker_link_up(worker_hub_link(queue->hub, 0))
            && read_plan(queue, false, &plan))
        {
            read_one(queue, NULL, &plan, worker_hub_link(queue->hub, 0), NULL);
        }

        if (worker_link_up(queue->bell) && !queue->bell_armed
            && read_plan(queue, true, &plan))
        {
            read_one(queue, NULL, &plan, queue->bell, &queue->bell_armed);
        }

        return;
    }

    for (i = 0; i < queue->nparts; i++) {
        read_bell(queue->parts[i]);
    }

    if (read_plan(queue, false, &plan)) {
        read_parts(queue, &plan);
    }

    if (read_plan(queue, true, &plan)) {
        read_parts(queue, &plan);
    }
}


/* False: no memory. */
bool
worker_read_start(worker_queue_t *queue)
{
    if (worker_hub_is_cluster(queue->hub)) {
        return true;
    }

    queue->bell = worker_hub_bell(queue->hub, "travel-bell", 0);

    return queue->bell != NULL;
}
