/*
 * Jobs by the clock: a thread of the first worker processes, one of which, in
 * all pools on a database, leads.
 *
 * The leader holds a PostgreSQL advisory lock.  A fire is: enqueue a job whose
 * id is made of the schedule's name and the fire time (so twice is once), then
 * move jobs.schedule.last_fire.  Whoever leads next goes on from there.
 */

#ifndef WORKER_SCHEDULE_H
#define WORKER_SCHEDULE_H

#include <jansson.h>

#include "../pool/board.h"
#include "../queue/redis.h"
#include "../../common/ids.h"

/* Whose the jobs of schedules are: nobody's among the users. */
#define WORKER_SCHEDULE_SUB  "00000000-0000-8000-8000-000000000000"

typedef struct worker_scheduler_s  worker_scheduler_t;

/* NULL: no memory or thread (logged).  Figures go to the sheet. */
worker_scheduler_t *worker_scheduler_start(const worker_conf_t *conf,
    const char *owner, worker_sheet_t *sheet);
/* Gives the lead back and joins the thread; at most some seconds. */
void worker_scheduler_stop(worker_scheduler_t **pscheduler);

/* Enqueues the job of a fire at 'at' (unix seconds).  'salt' NULL: the
 * schedule's own; else another job, not the clock's.  Blocking. */
int worker_schedule_enqueue(worker_redis_t *redis,
    const worker_schedule_t *schedule, int64_t at, const char *salt,
    char ret_job[TRAVEL_JOB_ID_MAX + 1]) TRAVEL_MUST_CHECK;

/* Of a fire at 'at': the schedule's own body, with its name and the time that
 * is meant.  NULL: it is no JSON, or there is no memory. */
json_t *worker_schedule_body(const worker_schedule_t *schedule, int64_t at);

/* The first fire time after 'after' in the schedule's own time zone.
 * TRAVEL_REFUSED: never; TRAVEL_ERROR: the zone cannot be read. */
int worker_schedule_next(const worker_schedule_t *schedule, int64_t after,
    int64_t *ret_at) TRAVEL_MUST_CHECK;

/* The last fire time in (after, now]; TRAVEL_REFUSED: there is none. */
int worker_schedule_last(const worker_schedule_t *schedule, int64_t after,
    int64_t now, int64_t *ret_at) TRAVEL_MUST_CHECK;

#endif
