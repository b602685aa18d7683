/*
 * The jobs of a partition and priority that may start, in a fair order.
 *
 * Each type is a course, and within a course each caller has a lane, first in
 * first out.  Courses take turns by their types' weights (stride scheduling: a
 * course that was empty claims nothing for that time); the lanes of a course
 * take turns, one job each.  So a caller with a million jobs delays another's
 * one by one job of his, and a type with weight 3 starts three times as often
 * as one with weight 1, while both have jobs.
 *
 * A lane whose caller has as many jobs running as a type allows him, or has
 * used up his rate, steps aside until that changes.  What a type as a whole
 * may do is the caller's to say (limits.c).
 *
 * All of it belongs to the fetcher.
 */

#ifndef WORKER_READY_H
#define WORKER_READY_H

#include "entry.h"

#define WORKER_LANE_BUCKETS  256        /* a power of two */

typedef struct worker_course_s  worker_course_t;

typedef struct worker_lane_s {
    struct worker_lane_s  *chain;       /* in its hash bucket */
    struct worker_lane_s  *prev;        /* of its course's ring, or of those */
    struct worker_lane_s  *next;        /* that have stepped aside */
    worker_course_t       *course;
    char                   sub[37];
    worker_entries_t       entries;
    unsigned               running;     /* taken, and not over */
    double                 tokens;      /* of the caller's rate */
    int64_t                filled_at;   /* ms */
    bool                   listed;      /* in ring or aside */
    bool                   stepped;     /* aside */
} worker_lane_t;

struct worker_course_s {
    worker_course_t  *link;             /* of the next type */
    worker_type_t    *type;
    worker_lane_t    *ring;             /* circular: whose turn it is */
    worker_lane_t    *aside;            /* circular, too */
    uint64_t          pass;
    struct worker_ready_s  *ready;
};

typedef struct worker_ready_s {
    worker_course_t  *courses;
    uint64_t          pass;             /* of the course that started last */
    size_t            count;            /* of entries */
    int64_t           now;              /* as last told */
    worker_lane_t    *lanes[WORKER_LANE_BUCKETS];
} worker_ready_t;

/* 'front': before the others of its lane; it has been taken and was not
 * started, or comes back to a key that it holds.  False: no memory. */
bool worker_ready_put(worker_ready_t *ready, worker_entry_t *entry,
    bool front) TRAVEL_MUST_CHECK;

/* The next to start, without taking it; NULL: there is none now, and
 * *ret_when is lowered to the time when a lane may go on, if time alone keeps
 * it.  'allowed' says whether a type may start one more. */
worker_entry_t *worker_ready_next(worker_ready_t *ready, int64_t now,
    bool (*allowed)(void *data, worker_type_t *type), void *data,
    int64_t *ret_when);
/* Takes what worker_ready_next has just named. */
void worker_ready_take(worker_ready_t *ready, worker_entry_t *entry,
    int64_t now);

/* An entry that was taken is out of memory, or put back. */
void worker_ready_over(worker_entry_t *entry);

/* Any of them, taken out without having been started; NULL: it is empty. */
worker_entry_t *worker_ready_drain(worker_ready_t *ready);

void worker_ready_free(worker_ready_t *ready);

#endif
