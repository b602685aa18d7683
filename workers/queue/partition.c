/*
 * A partition in its owner's memory: the lines of its keys.
 *
 * Where an entry stands is its state, and only the functions here move it
 * between a line, the ready lists and the settle list:
 *
 *     add ──▶ WAITING (key->line) ──▶ READY (part->ready) ──▶ give.c
 *      └────▶ READY, when its key is free or it has none (order=none)
 *      └────▶ settle, when it cannot be run: malformed, type not known
 *
 * A key exists while it has a busy entry, a line, or a retrying job that
 * holds it; it is freed with the last of them.
 */

#include <stdio.h>
#include <stdlib.h>

#include "fetcher.h"
#include "../pool/log.h"


uint64_t
worker_key_hash(const char *text)
{
    uint64_t  h;

    for (h = 1469598103934665603u; *text; text++) {
        h = (h ^ (uint8_t) *text) * 1099511628211u;
    }

    return h;
}


/* Keys are ids that callers may choose; a bad spread costs time only, and lines
 * are bounded by WORKER_IN_MEMORY_MAX. */
static size_t
part_key_hash(const char *text)
{
    return (size_t) (worker_key_hash(text) >> 32) & (WORKER_KEY_BUCKETS - 1);
}


static worker_key_t *
part_key_find(worker_partition_t *part, const char *text)
{
    worker_key_t  *key;

    for (key = part->keys[part_key_hash(text)]; key; key = key->chain) {
        if (strcmp(key->text, text) == 0) {
            return key;
        }
    }

    return NULL;
}


static worker_key_t *
part_key_make(worker_partition_t *part, const char *text)
{
    size_t         h;
    worker_key_t  *key;

    key = part_key_find(part, text);

    if (key != NULL) {
        return key;
    }

    key = calloc(1, sizeof(worker_key_t));

    if (key == NULL) {
        worker_log(WORKER_LOG_ERROR, "out of memory");
        abort();                    /* the supervisor starts another */
    }

    h = part_key_hash(text);
    snprintf(key->text, sizeof(key->text), "%s", text);
    worker_entries_init(&key->line);
    key->chain = part->keys[h];
    part->keys[h] = key;

    return key;
}


static void
part_key_unhold(worker_partition_t *part, worker_key_t *key)
{
    if (key->held_by[0] == '\0') {
        return;
    }

    key->held_by[0] = '\0';

    if (key->held_prev != NULL) {
        key->held_prev->held_next = key->held_next;
    } else {
        part->held = key->held_next;
    }

    if (key->held_next != NULL) {
        key->held_next->held_prev = key->held_prev;
    }

    key->held_prev = NULL;
    key->held_next = NULL;
}


static void
part_key_drop(worker_partition_t *part, worker_key_t *key)
{
    worker_key_t  **p;

    part_key_unhold(part, key);

    for (p = &part->keys[part_key_hash(key->text)]; *p; p = &(*p)->chain) {
        if (*p == key) {
            *p = key->chain;
            break;
        }
    }

    free(key);
}


static void
part_ready(worker_partition_t *part, worker_entry_t *entry, bool front)
{
    entry->state = WORKER_ENTRY_READY;

    if (!worker_ready_put(&part->ready[entry->priority], entry, front)) {
        worker_log(WORKER_LOG_ERROR, "out of memory");
        abort();                    /* the supervisor starts another */
    }
}


void
worker_part_unstart(worker_partition_t *part, worker_entry_t *entry)
{
    part_ready(part, entry, true);
}


/* The key is free: the next in line is ready, or the key is not needed. */
static void
part_key_next(worker_partition_t *part, worker_key_t *key)
{
    worker_entry_t  *entry;

    if (key->busy != NULL || key->held_by[0]) {
        return;
    }

    entry = worker_entries_pop(&key->line);

    if (entry == NULL) {
        part_key_drop(part, key);
        return;
    }

    key->busy = entry;
    part_ready(part, entry, false);
}


static void
part_hold_key(worker_partition_t *part, worker_key_t *key, const char *uuid,
    int64_t due)
{
    part_key_unhold(part, key);
    snprintf(key->held_by, sizeof(key->held_by), "%s", uuid);
    key->held_until = due;
    key->held_next = part->held;

    if (part->held != NULL) {
        part->held->held_prev = key;
    }

    part->held = key;
}


void
worker_part_hold(worker_partition_t *part, worker_entry_t *entry, int64_t due)
{
    worker_key_t  *key;

    key = entry->key;

    if (key == NULL) {
        return;
    }

    entry->key = NULL;
    key->busy = NULL;
    part_hold_key(part, key, entry->job.uuid, due);
}


void
worker_part_hold_key(worker_partition_t *part, travel_str_t text,
    travel_str_t uuid, int64_t due)
{
    char           k[37], u[37];
    worker_key_t  *key;

    if (text.len >= sizeof(k) || uuid.len >= sizeof(u)) {
        return;
    }

    snprintf(k, sizeof(k), "%.*s", (int) text.len, text.data);
    snprintf(u, sizeof(u), "%.*s", (int) uuid.len, uuid.data);
    key = part_key_make(part, k);

    if (key->busy == NULL) {
        part_hold_key(part, key, u, due);
    }
}


void
worker_part_unhold(worker_partition_t *part, travel_str_t uuid)
{
    worker_key_t  *key;

    for (key = part->held; key; key = key->held_next) {
        if (strlen(key->held_by) == uuid.len
            && memcmp(key->held_by, uuid.data, uuid.len) == 0)
        {
            part_key_unhold(part, key);
            part_key_next(part, key);
            return;
        }
    }
}


void
worker_part_unhold_key(worker_partition_t *part, const char *text,
    const char *uuid)
{
    worker_key_t  *key;

    key = part_key_find(part, text);

    if (key != NULL && strcmp(key->held_by, uuid) == 0) {
        part_key_unhold(part, key);
        part_key_next(part, key);
    }
}


void
worker_part_overdue(worker_partition_t *part, int64_t ms,
    void (*overdue)(worker_partition_t *part, const char *uuid))
{
    worker_key_t  *key;

    for (key = part->held; key; key = key->held_next) {
        if (key->held_until + ms < part->queue->now_unix) {
            overdue(part, key->held_by);
        }
    }
}


void
worker_part_release(worker_partition_t *part, worker_entry_t *entry)
{
    worker_key_t  *key;

    key = entry->key;

    if (key == NULL) {
        return;
    }

    entry->key = NULL;
    key->busy = NULL;
    part_key_next(part, key);
}


static void
part_dead(worker_partition_t *part, worker_entry_t *entry, const char *cause,
    const char *why)
{
    snprintf(entry->cause, sizeof(entry->cause), "%s", cause);
    (void) worker_job_fail(&entry->job, WORKER_REJECT, cause, "%s", why);
    entry->outcome = WORKER_OUTCOME_DEAD;
    entry->state = WORKER_ENTRY_SETTLING;
    worker_log_job(WORKER_LOG_ERROR, &entry->job, -1, "dead: %s", cause);
    worker_entries_push(&part->settle, entry);
}


/* --- where entries came from ---------------------------------------------- */

static worker_origin_t *
part_origin(worker_partition_t *part, const worker_entry_t *entry)
{
    return &part->origins[entry->ahead ? WORKER_ORIGIN_AHEAD + entry->stream - 1
                                       : entry->stream];
}


/* Behind 'older', or as the newest when that is NULL. */
static void
part_origin_link(worker_partition_t *part, worker_entry_t *entry,
    worker_entry_t *older)
{
    worker_origin_t  *origin;

    origin = part_origin(part, entry);

    if (older == NULL) {
        older = origin->newest;
    }

    entry->older = older;
    entry->newer = older != NULL ? older->newer : NULL;

    if (older != NULL) {
        older->newer = entry;
    } else {
        origin->oldest = entry;
    }

    if (entry->newer != NULL) {
        entry->newer->older = entry;
    } else {
        origin->newest = entry;
    }
}


/* What a lost lease has left in the slots was unlinked with it. */
static void
part_origin_unlink(worker_partition_t *part, worker_entry_t *entry)
{
    worker_origin_t  *origin;

    if (entry->epoch != part->epoch) {
        return;
    }

    origin = part_origin(part, entry);

    if (entry->older != NULL) {
        entry->older->newer = entry->newer;
    } else {
        origin->oldest = entry->newer;
    }

    if (entry->newer != NULL) {
        entry->newer->older = entry->older;
    } else {
        origin->newest = entry->older;
    }
}


static bool
part_is_job(const worker_entry_t *entry, travel_str_t uuid)
{
    return strlen(entry->job.uuid) == uuid.len
           && memcmp(entry->job.uuid, uuid.data, uuid.len) == 0;
}


void
worker_part_caught_up(worker_partition_t *part, worker_entry_t *entry)
{
    part_origin_unlink(part, entry);
    entry->ahead = false;
    part_origin_link(part, entry, NULL);
}


bool
worker_part_in_hand(const worker_partition_t *part, travel_str_t uuid)
{
    const worker_entry_t  *entry;

    for (entry = part->origins[0].oldest; entry; entry = entry->newer) {
        if (part_is_job(entry, uuid)) {
            return true;
        }
    }

    for (entry = part->settle.head; entry; entry = entry->next) {
        if (entry->resent && part_is_job(entry, uuid)) {
            return true;
        }
    }

    return false;
}


void
worker_part_bounds(const worker_partition_t *part, unsigned stream,
    const char **ret_oldest, char ret_next[WORKER_STREAM_ID_MAX])
{
    const char            *last;
    travel_stream_id_t     id;
    const worker_entry_t  *entry;

    entry = part->origins[stream].oldest;
    *ret_oldest = entry != NULL && entry->leaving ? entry->stream_id : "";

    while (entry != NULL && entry->leaving) {
        entry = entry->newer;
    }

    if (entry != NULL) {
        memcpy(ret_next, entry->stream_id, WORKER_STREAM_ID_MAX);
        return;
    }

    if (part->streams[stream - 1].passed[0] != '\0') {
        *ret_oldest = "";           /* not all before it are in memory */
    }

    last = worker_stream_last(&part->streams[stream - 1]);

    if (travel_stream_id_parse(&id, (travel_str_t) { last, strlen(last) })
        != TRAVEL_OK)
    {
        *ret_oldest = "";
        id = (travel_stream_id_t) { 0, 0 };
    }

    id.seq++;
    ret_next[travel_stream_id_format(ret_next, id)] = '\0';
}


/* --- entries in ----------------------------------------------------------- */

/* Counts it in and looks at it; false when it is already on its way out. */
static bool
part_admit(worker_partition_t *part, worker_entry_t *entry)
{
    char           why[160];
    worker_job_t  *job;

    job = &entry->job;
    entry->part = part;
    entry->epoch = part->epoch;
    part->entries++;
    part->queue->in_memory++;
    part->queue->bytes += entry->pack.len;

    part_origin_link(part, entry, NULL);

    if (job->job_id[0] != '\0'
        && (job->id.partition != part->number
            || strlen(part->queue_name) != job->id.queue.len
            || memcmp(part->queue_name, job->id.queue.data, job->id.queue.len)
               != 0))
    {
        job->job_id[0] = '\0';      /* its hash is not ours to write */
        part_dead(part, entry, "MALFORMED", "id names another partition");
        return false;
    }

    if (entry->cause[0] != '\0') {
        snprintf(why, sizeof(why), "%.150s", job->error.message);
        part_dead(part, entry, "MALFORMED", why);
        return false;
    }

    entry->type = worker_queue_type(part->queue, job->env.type);

    if (entry->type == NULL) {
        snprintf(why, sizeof(why), "no handler for \"%.*s\"",
                 job->env.type.len < 64 ? (int) job->env.type.len : 64,
                 job->env.type.data);
        part_dead(part, entry, "UNKNOWN_TYPE", why);
        return false;
    }

    /*
     * Who may write a queue may ask for that queue's types, not for those of
     * the queues that only workers write.
     */
    if (strcmp(entry->type->type->queue, part->queue_name) != 0) {
        snprintf(why, sizeof(why), "\"%s\" belongs to the queue \"%s\"",
                 entry->type->type->type, entry->type->type->queue);
        entry->type = NULL;
        part_dead(part, entry, "WRONG_QUEUE", why);
        return false;
    }

    entry->priority = (uint8_t) entry->type->type->priority;

    if (entry->stream != 0) {
        entry->priority = (uint8_t) (entry->stream - 1);
    }

    return true;
}


void
worker_part_add(worker_partition_t *part, worker_entry_t *entry)
{
    worker_key_t  *key;

    if (!part_admit(part, entry)) {
        return;
    }

    if (entry->type->type->unordered) {
        part_ready(part, entry, false);
        return;
    }

    key = part_key_make(part, entry->job.key);


    entry->key = key;

    if (key->busy != NULL || key->held_by[0]) {
        entry->state = WORKER_ENTRY_WAITING;
        worker_entries_push(&key->line, entry);
        return;
    }

    key->busy = entry;
    part_ready(part, entry, false);
}


void
worker_part_return(worker_partition_t *part, worker_entry_t *entry)
{
    worker_key_t  *key;

    if (!part_admit(part, entry)) {
        return;
    }

    if (entry->type->type->unordered) {
        part_ready(part, entry, true);
        return;
    }

    key = part_key_make(part, entry->job.key);

    if (key->held_by[0] && strcmp(key->held_by, entry->job.uuid) == 0) {
        part_key_unhold(part, key);
    }

    entry->key = key;

    if (key->busy != NULL || key->held_by[0]) {
        entry->state = WORKER_ENTRY_WAITING;
        worker_entries_push_front(&key->line, entry);
        return;
    }

    key->busy = entry;
    part_ready(part, entry, true);
}


/* The hanging entry keeps no key: the twin ends what that began. */
void
worker_part_twin(worker_partition_t *part, worker_entry_t *entry,
    worker_entry_t *twin)
{
    worker_key_t  *key;

    part_origin_link(part, twin, entry);
    key = part_key_find(part, twin->job.key);

    if (key != NULL && key->busy != NULL
        && strcmp(key->busy->job.job_id, twin->job.job_id) == 0)
    {
        key->busy->key = NULL;
        key->busy = twin;
        twin->key = key;
    }
}


worker_link_t *
worker_part_link(const worker_partition_t *part)
{
    return worker_hub_link(part->queue->hub, part->slot);
}


bool
worker_part_up(const worker_partition_t *part)
{
    return worker_link_up(worker_part_link(part));
}


const char *
worker_stream_last(const worker_stream_t *stream)
{
    return stream->last[0] ? stream->last : "0-0";
}


void
worker_args_fence(worker_args_t *args, const worker_partition_t *part)
{
    worker_args_str(args, part->holder.text, part->holder.len);
    worker_args_int(args, part->fence);
}


/* The jobs of a batch, and their entries. */
static void
args_jobs(worker_args_t *args, const worker_entries_t *entries)
{
    const char            *id;
    const worker_entry_t  *entry;
    static const char      nobody[] = "------------------------------------";

    worker_args_copy(args, "", 0);

    for (entry = entries->head; entry; entry = entry->next) {
        worker_args_more(args, entry->job.job_id[0] ? entry->job.uuid : nobody,
                         TRAVEL_UUID_TEXT_LEN);
    }

    worker_args_copy(args, "", 0);

    for (entry = entries->head; entry; entry = entry->next) {
        id = entry->stream_id[0] ? entry->stream_id : "-";
        worker_args_more(args, id, strlen(id));
        worker_args_more(args, " ", 1);
    }
}


int
worker_args_batch(worker_args_t *args, const worker_partition_t *part,
    const worker_entries_t *entries, bool dead)
{
    int     first, keys;
    size_t  i;

    worker_args_begin(args);
    first = args->argc;
    worker_args_str(args, part->owner.text, part->owner.len);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_args_str(args, part->streams[i].key, part->streams[i].key_len);
    }

    worker_args_str(args, part->delayed.text, part->delayed.len);

    if (dead) {
        worker_args_str(args, part->dead.text, part->dead.len);
    }

    keys = args->argc - first;

    worker_args_fence(args, part);
    worker_args_int(args, part->queue->now_unix);
    args_jobs(args, entries);

    return keys;
}


/* --- entries out ---------------------------------------------------------- */

void
worker_part_forget(worker_partition_t *part, worker_entry_t *entry)
{
    part->entries--;
    part->queue->in_memory--;
    part->queue->bytes -= entry->pack.len;

    part_origin_unlink(part, entry);
    worker_ready_over(entry);
    worker_entry_free(entry);
}


static void
part_forget_list(worker_partition_t *part, worker_entries_t *list)
{
    worker_entry_t  *entry;

    while ((entry = worker_entries_pop(list)) != NULL) {
        worker_part_forget(part, entry);
    }
}


static void
part_forget_ready(worker_partition_t *part)
{
    size_t           i;
    worker_entry_t  *entry;

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        while ((entry = worker_ready_drain(&part->ready[i])) != NULL) {
            worker_part_forget(part, entry);
        }
    }
}


static void
part_forget_keys(worker_partition_t *part)
{
    size_t         i;
    worker_key_t  *key;

    for (i = 0; i < WORKER_KEY_BUCKETS; i++) {
        while ((key = part->keys[i]) != NULL) {
            part->keys[i] = key->chain;
            part_forget_list(part, &key->line);
            free(key);
        }
    }

    part->held = NULL;
}


/* --- read again ----------------------------------------------------------- */

/* What came from the delayed set is in our hand and nowhere else: it keeps its
 * place, and so does what stands in the same line. */
static bool
part_line_stays(const worker_key_t *key)
{
    const worker_entry_t  *entry;

    for (entry = key->line.head; entry; entry = entry->next) {
        if (entry->stream == 0) {
            return true;
        }
    }

    return false;
}


/* Ready entries out of their lanes; those that stay, in their order. */
static void
part_unready(worker_partition_t *part, worker_ready_t *ready)
{
    worker_entry_t    *entry;
    worker_entries_t   stay;

    worker_entries_init(&stay);

    while ((entry = worker_ready_drain(ready)) != NULL) {
        if (entry->stream == 0
            || (entry->key != NULL && part_line_stays(entry->key)))
        {
            worker_entries_push(&stay, entry);
            continue;
        }

        if (entry->key != NULL) {
            part_forget_list(part, &entry->key->line);
        }

        worker_part_release(part, entry);
        worker_part_forget(part, entry);
    }

    while ((entry = worker_entries_pop(&stay)) != NULL) {
        part_ready(part, entry, false);
    }
}


/* Of a stream all that is left in memory is known when reading comes to it, as
 * what was taken ahead is. */
static void
part_reread(worker_partition_t *part, size_t stream)
{
    worker_entry_t   *entry;
    worker_origin_t  *read, *ahead;
    worker_stream_t  *s;

    read = &part->origins[stream + 1];
    ahead = &part->origins[WORKER_ORIGIN_AHEAD + stream];

    for (entry = read->oldest; entry; entry = entry->newer) {
        entry->ahead = true;
    }

    if (read->newest != NULL) {
        read->newest->newer = ahead->oldest;

        if (ahead->oldest != NULL) {
            ahead->oldest->older = read->newest;
        } else {
            ahead->newest = read->newest;
        }

        ahead->oldest = read->oldest;
    }

    *read = (worker_origin_t) { NULL, NULL };

    s = &part->streams[stream];
    s->last[0] = '\0';
    s->passed[0] = '\0';
    s->turn++;
    s->rung = true;
    worker_ahead_stop(s);
}


void
worker_part_rewind(worker_partition_t *part)
{
    size_t         i;
    worker_key_t  *key;

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        part_unready(part, &part->ready[i]);
    }

    for (i = 0; i < WORKER_KEY_BUCKETS; i++) {
        for (key = part->keys[i]; key; key = key->chain) {
            if (!part_line_stays(key)) {
                part_forget_list(part, &key->line);
            }
        }
    }

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        part_reread(part, i);
    }
}


void
worker_part_lose(worker_partition_t *part, const char *why)
{
    size_t           i;
    worker_queue_t  *queue;
    worker_entry_t  *entry;

    queue = part->queue;
    worker_log(WORKER_LOG_INFO, "%s: no longer ours: %s", part->name, why);
    worker_board_add(&queue->sheet->leases_lost, 1);

    part->epoch++;                  /* open calls will find it changed */
    part->state = WORKER_PART_FREE;
    part->doubtful = false;
    part->fence = 0;
    part->retry_at = queue->now;

    part_forget_ready(part);
    worker_pause_forget(part);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        part->streams[i].last[0] = '\0';
        worker_ahead_stop(&part->streams[i]);
    }

    memset(part->origins, 0, sizeof(part->origins));

    part_forget_list(part, &part->settle);
    part_forget_keys(part);
    worker_before_forget(part);

    /* What runs, runs on: its transactions will meet the fence. */
    for (i = 0; i < queue->handed; i++) {
        entry = queue->handed_list[i];

        if (entry->part == part) {
            entry->job.cancel = true;
            entry->key = NULL;
        }
    }

    if (part->gauge != NULL) {
        atomic_store(&part->gauge->used, false);
        part->gauge = NULL;
    }
}


/* --- life ----------------------------------------------------------------- */

void
worker_part_name_streams(worker_partition_t *part, bool closed)
{
    size_t            i;
    travel_str_t      queue;
    worker_stream_t  *s;

    part->closed = closed;
    queue = (travel_str_t) { part->queue_name, strlen(part->queue_name) };

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        s = &part->streams[i];
        s->key_len = travel_key_stream(s->key, queue, part->number,
                                       (travel_priority_e) i);

        if (closed) {
            memcpy(s->key + s->key_len, TRAVEL_CLOSED, sizeof(TRAVEL_CLOSED));
            s->key_len += sizeof(TRAVEL_CLOSED) - 1;
        }
    }
}


static void
part_name_keys(worker_partition_t *part)
{
    travel_str_t  queue;

    queue = (travel_str_t) { part->queue_name, strlen(part->queue_name) };

    part->owner.len = travel_key_named(part->owner.text, queue, part->number,
                                       "owner");
    part->delayed.len = travel_key_named(part->delayed.text, queue,
                                         part->number, "delayed");
    part->dead.len = travel_key_named(part->dead.text, queue, part->number,
                                      "dead");
    part->ended.len = travel_key_named(part->ended.text, queue, part->number,
                                       "ended");

    worker_part_name_streams(part, false);
}


worker_partition_t *
worker_part_create(worker_queue_t *queue, const char *queue_name,
    unsigned number)
{
    worker_partition_t  *part;

    part = calloc(1, sizeof(worker_partition_t));

    if (part == NULL) {
        return NULL;
    }

    part->queue = queue;
    part->number = number;
    part->epoch = 1;
    snprintf(part->queue_name, sizeof(part->queue_name), "%s", queue_name);
    snprintf(part->name, sizeof(part->name), "%s.%u", part->queue_name,
             number);
    part->retention_s = worker_conf_retention_ms(queue->conf, queue_name)
                        / 1000;

    worker_entries_init(&part->settle);
    part_name_keys(part);
    part->slot = travel_cluster_slot((travel_str_t) { part->owner.text,
                                                      part->owner.len });

    return part;
}


void
worker_part_free(worker_partition_t *part)
{
    size_t  i;

    part_forget_ready(part);
    part_forget_list(part, &part->settle);
    part_forget_keys(part);
    worker_before_forget(part);
    worker_pause_forget(part);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_ready_free(&part->ready[i]);
        worker_ahead_stop(&part->streams[i]);
    }

    free(part);
}


worker_type_t *
worker_queue_type(worker_queue_t *queue, travel_str_t name)
{
    size_t       i;
    const char  *type;

    for (i = 0; i < queue->ntypes; i++) {
        type = queue->types[i].type->type;

        if (travel_str_eq(name, (travel_str_t) { type, strlen(type) })) {
            return &queue->types[i];
        }
    }

    return NULL;
}
