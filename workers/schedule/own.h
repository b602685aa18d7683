/* Schedules that were added while the pool runs: rows of jobs.own_schedule. */

#ifndef WORKER_OWN_SCHEDULE_H
#define WORKER_OWN_SCHEDULE_H

#include <libpq-fe.h>

#include "schedule.h"

/* The first columns of whoever reads such rows. */
#define WORKER_OWN_COLUMNS  "name, cron, timezone, type, body, catch_up"

/* Its texts are the row's.  TRAVEL_OK; TRAVEL_INVALID: it cannot be fired, and
 * *ret_why says why. */
int worker_own_schedule(const PGresult *res, int row,
    worker_schedule_t *ret_schedule, const char **ret_why) TRAVEL_MUST_CHECK;

/* The same of one that is not in the database yet: fills schedule->cron. */
int worker_own_check(worker_schedule_t *schedule, const char **ret_why)
    TRAVEL_MUST_CHECK;

#endif
