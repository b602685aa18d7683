/*
 * Pauses: jobs of a type, or of a whole queue, that are not to start.
 *
 * jobs.paused says which; the keeper reads it (keeper_errand.c).  What runs is
 * not touched.  What waits stays where it is, in its stream, and takes no
 * memory, which others need: when a pause begins or ends, what has not been
 * started is forgotten and the partition's streams are read from their start
 * once more (worker_part_rewind), and reading passes over what is paused.  What
 * is due in the delayed set is put off.  A queue of which all types are paused
 * is not read at all.
 *
 * The order of a key holds: what was passed over leaves the hash of its key,
 * and what comes later under that key is passed over, too.
 *
 * While nothing is paused this costs a look at part->paused for each entry that
 * is read, and a number to compare when the keeper is met.
 */

#include <stdlib.h>

#include "fetcher.h"
#include "../pool/log.h"

#define PAUSE_MARKS_MIN  1024


/* --- keys of what was passed over ----------------------------------------- */

static uint64_t
pause_hash(const char *key)
{
    uint64_t  h;

    h = worker_key_hash(key);
    h ^= h >> 29;

    return h != 0 ? h : 1;
}


/* Where it is, or the free place where it would be. */
static uint64_t *
pause_place(const worker_passed_t *passed, uint64_t hash)
{
    size_t  i;

    for (i = (size_t) hash & (passed->room - 1);
         passed->marks[i] != 0 && passed->marks[i] != hash;
         i = (i + 1) & (passed->room - 1))
    {
        /* the next one */ ;
    }

    return &passed->marks[i];
}


static bool
pause_marked(const worker_passed_t *passed, uint64_t hash)
{
    return passed->n > 0 && *pause_place(passed, hash) != 0;
}


static void
pause_grow(worker_passed_t *passed)
{
    size_t           i;
    worker_passed_t  more;

    more.room = passed->room ? passed->room * 2 : PAUSE_MARKS_MIN;
    more.n = passed->n;
    more.marks = calloc(more.room, sizeof(uint64_t));

    if (more.marks == NULL) {
        worker_log(WORKER_LOG_ERROR, "out of memory");
        abort();                    /* the supervisor starts another */
    }

    for (i = 0; i < passed->room; i++) {
        if (passed->marks[i] != 0) {
            *pause_place(&more, passed->marks[i]) = passed->marks[i];
        }
    }

    free(passed->marks);
    *passed = more;
}


static void
pause_mark(worker_passed_t *passed, uint64_t hash)
{
    uint64_t  *place;

    if (passed->n >= passed->room / 2) {
        pause_grow(passed);
    }

    place = pause_place(passed, hash);
    passed->n += *place == 0;
    *place = hash;
}


void
worker_pause_forget(worker_partition_t *part)
{
    size_t  i;

    free(part->passed.marks);
    part->passed = (worker_passed_t) { NULL, 0, 0 };

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        part->streams[i].passed[0] = '\0';
    }
}


/* What cannot be run is not kept waiting: it is dead at once. */
bool
worker_pause_passes(worker_partition_t *part, const worker_entry_t *entry)
{
    bool            ordered;
    uint64_t        hash;
    worker_type_t  *type;

    type = entry->cause[0] == '\0'
           ? worker_queue_type(part->queue, entry->job.env.type) : NULL;

    if (type == NULL) {
        return false;
    }

    ordered = !type->type->unordered;
    hash = ordered ? pause_hash(entry->job.key) : 0;

    if (!type->paused && !(ordered && pause_marked(&part->passed, hash))) {
        return false;
    }

    if (ordered) {
        pause_mark(&part->passed, hash);
    }

    return true;
}


/* --- what is paused ------------------------------------------------------- */

static bool
pause_says(const worker_pauses_t *pauses, const char *kind, const char *name)
{
    size_t  i, n;

    n = strlen(kind);

    for (i = 0; i < pauses->n; i++) {
        if (strncmp(pauses->names[i], kind, n) == 0
            && strcmp(pauses->names[i] + n, name) == 0)
        {
            return true;
        }
    }

    return false;
}


/* Whether it has changed. */
static bool
pause_type(worker_type_t *type, const worker_pauses_t *pauses)
{
    bool  paused;

    paused = !worker_job_steers(type->type)
             && (pause_says(pauses, "type ", type->type->type)
                 || pause_says(pauses, "queue ", type->type->queue));

    if (paused == type->paused) {
        return false;
    }

    type->paused = paused;
    worker_log(WORKER_LOG_INFO, "%s: %s", type->type->type,
               paused ? "paused, none is started" : "goes on");

    return true;
}


void
worker_pause_part(worker_partition_t *part)
{
    size_t                i;
    const worker_type_t  *type;

    part->paused = false;
    part->shut = true;

    for (i = 0; i < part->queue->ntypes; i++) {
        type = &part->queue->types[i];

        if (strcmp(type->type->queue, part->queue_name) == 0) {
            part->paused |= type->paused;
            part->shut &= type->paused;
        }
    }

    part->shut &= part->paused;
}


void
worker_pause_turn(worker_queue_t *queue)
{
    bool                 changed[WORKER_BOARD_TYPES] = { false };
    size_t               i, k;
    worker_pauses_t      pauses;
    worker_partition_t  *part;

    if (!worker_keeper_pauses(queue->keeper, queue->pauses, &pauses)) {
        return;
    }

    queue->pauses = pauses.version;

    for (i = 0; i < queue->ntypes; i++) {
        changed[i] = pause_type(&queue->types[i], &pauses);
    }

    for (i = 0; i < queue->nparts; i++) {
        part = queue->parts[i];

        for (k = 0; k < queue->ntypes; k++) {
            if (changed[k] && part->state != WORKER_PART_FREE
                && strcmp(queue->types[k].type->queue, part->queue_name) == 0)
            {
                worker_pause_forget(part);
                worker_part_rewind(part);
                worker_pause_part(part);
                part->promote_at = 0;
                break;
            }
        }
    }
}
