/*
 * Looking ahead: one caller's long line must not hide another's job.
 *
 * Lanes (ready.h) are fair among the jobs in memory.  When a caller has put
 * more into a stream than memory holds, those of others stand behind in Redis.
 * Then the stream is gone through from where reading stopped (script AHEAD),
 * and what is not of those with the most jobs in memory is taken out of its
 * turn.  Reading comes by later and finds it: it is known, or gone.
 *
 * The order of a key holds: what was passed over leaves the mark of its key in
 * a filter, and an entry whose key may be marked is passed over, too.  A mark
 * that is not its own delays an entry until reading comes to it, no more.
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../pool/log.h"

#define AHEAD_PAGE      500         /* entries of one call */
#define AHEAD_MAX       64          /* of a stream, in memory */
#define AHEAD_HEAVY     8           /* callers that are passed over */
#define AHEAD_GAP_MS    2           /* Redis has others to serve */
#define AHEAD_IDLE_MS   100         /* after the end was seen */
#define AHEAD_KEY       12          /* characters of a key, its random end */
#define AHEAD_BITS      (1u << 24)

struct worker_ahead_s {
    char      cursor[WORKER_STREAM_ID_MAX];
    int64_t   next_at;
    size_t    passed;               /* marks in the filter */
    uint8_t   marks[AHEAD_BITS / 8];
};

typedef struct {
    worker_partition_t  *part;
    unsigned             stream;
    uint64_t             epoch;
} ahead_call_t;

/* The most frequent callers, by Misra and Gries: who has more than a ninth of
 * all is among them. */
typedef struct {
    const char  *sub;
    size_t       count;
} ahead_caller_t;


static size_t
ahead_heavy(const worker_origin_t *origin, const char *ret_subs[AHEAD_HEAVY])
{
    size_t                 i, n, all;
    ahead_caller_t         callers[AHEAD_HEAVY] = { { NULL, 0 } };
    const worker_entry_t  *entry;

    for (all = 0, entry = origin->oldest; entry; entry = entry->newer, all++) {
        for (i = 0, n = AHEAD_HEAVY; i < AHEAD_HEAVY; i++) {
            if (callers[i].count == 0) {
                n = i;
            } else if (strcmp(callers[i].sub, entry->job.sub) == 0) {
                break;
            }
        }

        if (i < AHEAD_HEAVY) {
            callers[i].count++;
        } else if (n < AHEAD_HEAVY) {
            callers[n] = (ahead_caller_t) { entry->job.sub, 1 };
        } else {
            for (i = 0; i < AHEAD_HEAVY; i++) {
                callers[i].count--;
            }
        }
    }

    for (i = 0, n = 0; i < AHEAD_HEAVY; i++) {
        if (callers[i].count > all / 16) {
            ret_subs[n++] = callers[i].sub;
        }
    }

    return n;
}


/* --- the filter ----------------------------------------------------------- */

static uint64_t
ahead_hash(const char *key)
{
    size_t    i;
    uint64_t  h;

    for (h = 1469598103934665603u, i = 0; i < AHEAD_KEY; i++) {
        h = (h ^ (uint8_t) key[i]) * 1099511628211u;
    }

    return h ^ h >> 29;
}


static void
ahead_mark(worker_ahead_t *ahead, const char *key)
{
    uint64_t  h;

    h = ahead_hash(key);
    ahead->marks[(h & (AHEAD_BITS - 1)) / 8] |= (uint8_t) (1 << h % 8);
    h >>= 32;
    ahead->marks[(h & (AHEAD_BITS - 1)) / 8] |= (uint8_t) (1 << h % 8);
    ahead->passed++;
}


static bool
ahead_marked(const worker_ahead_t *ahead, const char *key)
{
    uint64_t  h;

    h = ahead_hash(key);

    return ahead->marks[(h & (AHEAD_BITS - 1)) / 8] & 1 << h % 8
           && ahead->marks[((h >> 32) & (AHEAD_BITS - 1)) / 8]
              & 1 << (h >> 32) % 8;
}


/* --- what was found ------------------------------------------------------- */

static size_t
ahead_count(const worker_origin_t *origin)
{
    size_t                 n;
    const worker_entry_t  *entry;

    for (n = 0, entry = origin->oldest; entry; entry = entry->newer) {
        n++;
    }

    return n;
}


static void
ahead_take(worker_partition_t *part, unsigned stream, const redisReply *e)
{
    size_t           len;
    travel_str_t     id;
    worker_entry_t  *entry;
    worker_ahead_t  *ahead;

    ahead = part->streams[stream].ahead;

    if (e->type != REDIS_REPLY_ARRAY || e->elements != 2) {
        return;
    }

    entry = worker_read_entry(e->element[1]);

    if (entry == NULL) {
        return;                     /* no memory: reading comes to it */
    }

    len = strlen(entry->job.key);

    /* What cannot be run has no key and waits for its turn. */
    if (entry->cause[0] != '\0' || len < AHEAD_KEY
        || ahead_marked(ahead, entry->job.key + len - AHEAD_KEY)
        || (part->paused && worker_pause_passes(part, entry)))
    {
        if (len >= AHEAD_KEY) {
            ahead_mark(ahead, entry->job.key + len - AHEAD_KEY);
        }

        worker_entry_free(entry);
        return;
    }

    id = (travel_str_t) { e->element[0]->str, (size_t) e->element[0]->len };
    entry->stream = (uint8_t) (stream + 1);
    entry->ahead = true;
    snprintf(entry->stream_id, sizeof(entry->stream_id), "%.*s", (int) id.len,
             id.data);
    worker_part_add(part, entry);
}


/* → how many were gone through, the last of them, keys of those passed over,
 * the others. */
static void
ahead_on_reply(void *data, const redisReply *reply)
{
    size_t               i;
    ahead_call_t        *call = data;
    worker_ahead_t      *ahead;
    const redisReply    *keys;
    worker_partition_t  *part;

    part = call->part;
    part->queue->looking = false;
    ahead = part->streams[call->stream].ahead;

    if (call->epoch != part->epoch || ahead == NULL || reply == NULL
        || reply->type != REDIS_REPLY_ARRAY || reply->elements < 3)
    {
        free(call);
        return;
    }

    keys = reply->element[2];

    /* First the marks: an entry may stand behind one that was passed over. */
    for (i = 0; i + AHEAD_KEY <= (size_t) keys->len; i += AHEAD_KEY) {
        ahead_mark(ahead, keys->str + i);
    }

    for (i = 3; i < reply->elements; i++) {
        ahead_take(part, call->stream, reply->element[i]);
    }

    snprintf(ahead->cursor, sizeof(ahead->cursor), "%s",
             reply->element[1]->str);
    ahead->next_at = part->queue->now
                     + (reply->element[0]->integer < AHEAD_PAGE
                        ? AHEAD_IDLE_MS : AHEAD_GAP_MS);
    free(call);
}


bool
worker_ahead_known(worker_partition_t *part, unsigned stream,
    travel_str_t id)
{
    worker_entry_t  *entry;

    for (entry = part->origins[WORKER_ORIGIN_AHEAD + stream].oldest; entry;
         entry = entry->newer)
    {
        if (strlen(entry->stream_id) == id.len
            && memcmp(entry->stream_id, id.data, id.len) == 0)
        {
            worker_part_caught_up(part, entry);
            return true;
        }
    }

    return false;
}


/* --- whether, and where --------------------------------------------------- */

static void
ahead_send(worker_partition_t *part, unsigned stream,
    const char *const *subs, size_t n)
{
    size_t           i;
    ahead_call_t    *call;
    worker_args_t   *args;
    worker_stream_t  *s;

    s = &part->streams[stream];
    call = malloc(sizeof(ahead_call_t));

    if (call == NULL) {
        return;
    }

    *call = (ahead_call_t) { part, stream, part->epoch };
    part->queue->looking = true;
    args = &part->queue->args;
    worker_args_begin(args);
    worker_args_str(args, s->key, s->key_len);
    worker_args_str(args, s->ahead->cursor, strlen(s->ahead->cursor));
    worker_args_int(args, AHEAD_PAGE);
    worker_args_int(args, AHEAD_MAX);

    for (i = 0; i < n; i++) {
        worker_args_str(args, subs[i], strlen(subs[i]));
    }

    worker_link_script(worker_part_link(part), TRAVEL_SCRIPT_AHEAD,
                       ahead_on_reply, call, args, 1);
}


static worker_ahead_t *
ahead_create(const worker_stream_t *s)
{
    worker_ahead_t  *ahead;

    ahead = calloc(1, sizeof(worker_ahead_t));

    if (ahead != NULL) {
        snprintf(ahead->cursor, sizeof(ahead->cursor), "%s",
                 worker_stream_last(s));
    }

    return ahead;
}


/* Reading is at its bound, and more is there than it can take. */
static bool
ahead_wanted(const worker_partition_t *part, unsigned stream)
{
    size_t  room;

    room = worker_read_room(part->queue, stream);

    return part->state == WORKER_PART_OPEN && !part->resync && !part->shut
           && worker_part_up(part) && part->streams[stream].rung
           && room < WORKER_IN_MEMORY_MAX / 8;
}


void
worker_ahead_stop(worker_stream_t *s)
{
    free(s->ahead);
    s->ahead = NULL;
}


static void
ahead_stream(worker_partition_t *part, unsigned stream)
{
    size_t            n;
    const char       *subs[AHEAD_HEAVY];
    worker_queue_t   *queue;
    worker_stream_t  *s;

    queue = part->queue;
    s = &part->streams[stream];

    if (!ahead_wanted(part, stream)) {
        if (!s->rung) {
            worker_ahead_stop(s);   /* all of it was read */
        }

        return;
    }

    if (s->ahead == NULL) {
        s->ahead = ahead_create(s);
    }

    if (s->ahead == NULL || ahead_count(&part->origins[WORKER_ORIGIN_AHEAD
                                                       + stream]) >= AHEAD_MAX)
    {
        return;
    }

    if (queue->now < s->ahead->next_at) {
        queue->ready_at = s->ahead->next_at < queue->ready_at
                          ? s->ahead->next_at : queue->ready_at;
        return;
    }

    n = ahead_heavy(&part->origins[stream + 1], subs);

    if (n > 0) {
        ahead_send(part, stream, subs, n);
    } else {
        s->ahead->next_at = queue->now + AHEAD_IDLE_MS;
    }
}


void
worker_ahead_turn(worker_queue_t *queue)
{
    size_t    i;
    unsigned  p;

    for (i = 0; i < queue->nparts; i++) {
        for (p = 0; p < TRAVEL_PRIORITY_MAX && !queue->looking
                    && !queue->draining; p++)
        {
            ahead_stream(queue->parts[(queue->turn + i) % queue->nparts], p);
        }
    }
}
