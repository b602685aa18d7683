/* The jobs that may start, in a fair order; the rules are in the header. */

#include <stdlib.h>

#include "ready.h"

#define READY_STRIDE  (1u << 20)        /* of weight 1 */


/* --- lists ---------------------------------------------------------------- */

/* Behind all others of a circular list whose head is *plist. */
static void
lane_append(worker_lane_t **plist, worker_lane_t *lane)
{
    worker_lane_t  *head;

    head = *plist;

    if (head == NULL) {
        lane->prev = lane;
        lane->next = lane;
        *plist = lane;
        return;
    }

    lane->next = head;
    lane->prev = head->prev;
    head->prev->next = lane;
    head->prev = lane;
}


static void
lane_remove(worker_lane_t **plist, worker_lane_t *lane)
{
    if (lane->next == lane) {
        *plist = NULL;
        return;
    }

    lane->prev->next = lane->next;
    lane->next->prev = lane->prev;

    if (*plist == lane) {
        *plist = lane->next;
    }
}


static worker_lane_t **
lane_list(worker_lane_t *lane)
{
    return lane->stepped ? &lane->course->aside : &lane->course->ring;
}


static void
lane_leave(worker_lane_t *lane)
{
    if (lane->listed) {
        lane_remove(lane_list(lane), lane);
        lane->listed = false;
    }
}


static void
lane_join(worker_lane_t *lane, bool aside)
{
    lane_leave(lane);
    lane->stepped = aside;
    lane->listed = true;
    lane_append(lane_list(lane), lane);
}


/* --- lanes ---------------------------------------------------------------- */

static size_t
lane_hash(const char *sub)
{
    uint64_t  h;

    for (h = 1469598103934665603u; *sub; sub++) {
        h = (h ^ (uint8_t) *sub) * 1099511628211u;
    }

    return (size_t) (h >> 32) & (WORKER_LANE_BUCKETS - 1);
}


/* A full bucket: a tenth of a second's worth, and one at least. */
static double
lane_most(const worker_lane_t *lane)
{
    double  rate;

    rate = lane->course->type->user_rate;

    return rate > 10 ? rate / 10 : 1;
}


/* What the caller's rate has given since the last look. */
static void
lane_fill(worker_lane_t *lane, int64_t now)
{
    double  most, rate;

    rate = lane->course->type->user_rate;
    most = lane_most(lane);

    if (lane->filled_at < 0) {
        lane->tokens = most;
    } else if (now > lane->filled_at) {
        lane->tokens += (double) (now - lane->filled_at) / 1000 * rate;
    }

    lane->tokens = lane->tokens < most ? lane->tokens : most;
    lane->filled_at = now;
}


/* It has nothing to say any more: no entry, none running, a full bucket. */
static bool
lane_idle(worker_lane_t *lane)
{
    if (lane->entries.count > 0 || lane->running > 0) {
        return false;
    }

    if (lane->course->type->user_rate <= 0) {
        return true;
    }

    lane_fill(lane, lane->course->ready->now);

    return lane->tokens >= lane_most(lane);
}


static void
lane_drop(worker_lane_t *lane)
{
    worker_lane_t  **p;

    if (!lane_idle(lane)) {
        return;
    }

    lane_leave(lane);

    for (p = &lane->course->ready->lanes[lane_hash(lane->sub)]; *p != lane;
         p = &(*p)->chain)
    {
        /* looks for it */ ;
    }

    *p = lane->chain;
    free(lane);
}


static worker_course_t *
ready_course(worker_ready_t *ready, worker_type_t *type)
{
    worker_course_t  *course;

    for (course = ready->courses; course; course = course->link) {
        if (course->type == type) {
            return course;
        }
    }

    course = calloc(1, sizeof(worker_course_t));

    if (course != NULL) {
        course->type = type;
        course->ready = ready;
        course->link = ready->courses;
        ready->courses = course;
    }

    return course;
}


static worker_lane_t *
ready_lane(worker_ready_t *ready, worker_course_t *course, const char *sub)
{
    size_t          h;
    worker_lane_t  *lane, *next;

    h = lane_hash(sub);

    for (lane = ready->lanes[h]; lane; lane = next) {
        next = lane->chain;

        if (lane->course == course && strcmp(lane->sub, sub) == 0) {
            return lane;
        }

        lane_drop(lane);            /* if only its bucket has kept it */
    }

    lane = calloc(1, sizeof(worker_lane_t));

    if (lane != NULL) {
        lane->course = course;
        memcpy(lane->sub, sub, strlen(sub) + 1);
        worker_entries_init(&lane->entries);
        lane->filled_at = -1;
        lane->chain = ready->lanes[h];
        ready->lanes[h] = lane;
    }

    return lane;
}


/* May its caller start one more?  If it is but a matter of time, *ret_when is
 * when. */
static bool
lane_may(worker_lane_t *lane, int64_t now, int64_t *ret_when)
{
    int64_t               when;
    const worker_type_t  *type;

    type = lane->course->type;

    if (type->user_concurrency > 0
        && lane->running >= type->user_concurrency)
    {
        return false;
    }

    if (type->user_rate <= 0) {
        return true;
    }

    lane_fill(lane, now);

    if (lane->tokens >= 1) {
        return true;
    }

    when = now + 1 + (int64_t) ((1 - lane->tokens) * 1000 / type->user_rate);
    *ret_when = when < *ret_when ? when : *ret_when;

    return false;
}


/* --- in and out ----------------------------------------------------------- */

bool
worker_ready_put(worker_ready_t *ready, worker_entry_t *entry, bool front)
{
    worker_lane_t    *lane;
    worker_course_t  *course;

    course = ready_course(ready, entry->type);
    lane = course != NULL ? ready_lane(ready, course, entry->job.sub) : NULL;

    if (lane == NULL) {
        return false;
    }

    if (front) {
        worker_entries_push_front(&lane->entries, entry);
    } else {
        worker_entries_push(&lane->entries, entry);
    }

    ready->count++;
    entry->type->ready++;

    if (!lane->listed) {
        if (course->ring == NULL && course->pass < ready->pass) {
            course->pass = ready->pass;
        }

        lane_join(lane, false);
    }

    worker_ready_over(entry);       /* now that the lane has something */
    return true;
}


/* Lanes that stepped aside and may go on. */
static void
course_recall(worker_course_t *course, int64_t now, int64_t *ret_when)
{
    worker_lane_t  *lane, *next, *last;

    lane = course->aside;

    if (lane == NULL) {
        return;
    }

    last = lane->prev;

    for ( ;; lane = next) {
        next = lane->next;

        if (lane_may(lane, now, ret_when)) {
            lane_join(lane, false);
        }

        if (lane == last) {
            return;
        }
    }
}


/* The lane whose turn it is; those that may not step aside. */
static worker_lane_t *
course_lane(worker_course_t *course, int64_t now, int64_t *ret_when)
{
    worker_lane_t  *lane;

    if (course->type->user_rate > 0) {
        course_recall(course, now, ret_when);
    }

    while ((lane = course->ring) != NULL) {
        if (lane_may(lane, now, ret_when)) {
            return lane;
        }

        lane_join(lane, true);
    }

    return NULL;
}


worker_entry_t *
worker_ready_next(worker_ready_t *ready, int64_t now,
    bool (*allowed)(void *data, worker_type_t *type), void *data,
    int64_t *ret_when)
{
    worker_lane_t    *lane, *best;
    worker_course_t  *course;

    best = NULL;
    ready->now = now;

    for (course = ready->courses; course; course = course->link) {
        if ((course->ring == NULL && course->aside == NULL)
            || (best != NULL && course->pass >= best->course->pass)
            || !allowed(data, course->type))
        {
            continue;
        }

        lane = course_lane(course, now, ret_when);
        best = lane != NULL ? lane : best;
    }

    return best != NULL ? best->entries.head : NULL;
}


static worker_lane_t *
ready_lane_of(worker_ready_t *ready, const worker_entry_t *entry)
{
    worker_lane_t  *lane;

    for (lane = ready->lanes[lane_hash(entry->job.sub)]; lane;
         lane = lane->chain)
    {
        if (lane->entries.head == entry) {
            break;
        }
    }

    return lane;
}


void
worker_ready_take(worker_ready_t *ready, worker_entry_t *entry, int64_t now)
{
    worker_lane_t    *lane;
    worker_course_t  *course;

    lane = ready_lane_of(ready, entry);
    course = lane->course;
    (void) worker_entries_pop(&lane->entries);
    ready->count--;
    entry->type->ready--;
    entry->type->running++;
    entry->lane = lane;
    lane->running++;

    if (course->type->user_rate > 0) {
        lane_fill(lane, now);
        lane->tokens -= 1;
    }

    ready->pass = course->pass;
    course->pass += READY_STRIDE / course->type->weight;

    if (lane->entries.count == 0) {
        lane_leave(lane);
    } else {
        course->ring = lane->next;      /* the next caller's turn */
    }
}


void
worker_ready_over(worker_entry_t *entry)
{
    int64_t         never;
    worker_lane_t  *lane;

    lane = entry->lane;

    if (lane == NULL) {
        return;
    }

    entry->lane = NULL;
    entry->type->running--;
    lane->running--;
    never = INT64_MAX;

    if (lane->stepped && lane->listed && lane->course->type->user_rate <= 0
        && lane_may(lane, 0, &never))
    {
        lane_join(lane, false);
    }

    lane_drop(lane);
}


worker_entry_t *
worker_ready_drain(worker_ready_t *ready)
{
    worker_lane_t    *lane;
    worker_entry_t   *entry;
    worker_course_t  *course;

    for (course = ready->courses; course; course = course->link) {
        lane = course->ring != NULL ? course->ring : course->aside;

        if (lane == NULL) {
            continue;
        }

        entry = worker_entries_pop(&lane->entries);
        ready->count--;
        entry->type->ready--;

        if (lane->entries.count == 0) {
            lane_leave(lane);
            lane_drop(lane);
        }

        return entry;
    }

    return NULL;
}


void
worker_ready_free(worker_ready_t *ready)
{
    size_t            i;
    worker_lane_t    *lane;
    worker_course_t  *course;

    for (i = 0; i < WORKER_LANE_BUCKETS; i++) {
        while ((lane = ready->lanes[i]) != NULL) {
            ready->lanes[i] = lane->chain;
            free(lane);
        }
    }

    while ((course = ready->courses) != NULL) {
        ready->courses = course->link;
        free(course);
    }
}
