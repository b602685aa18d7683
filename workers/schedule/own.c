/* Rows of jobs.own_schedule as schedules. */

#include <string.h>
#include <time.h>

#include "own.h"
#include "../jobs/job.h"


int
worker_own_check(worker_schedule_t *schedule, const char **ret_why)
{
    int64_t  at;

    if (worker_job_type((travel_str_t) { schedule->type,
                                         strlen(schedule->type) }) == NULL)
    {
        *ret_why = "there is no such job type";
        return TRAVEL_INVALID;
    }

    if (travel_cron_parse(&schedule->cron,
                          (travel_str_t) { schedule->expression,
                                           strlen(schedule->expression) },
                          ret_why) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    if (strstr(schedule->timezone, "..") != NULL
        || worker_schedule_next(schedule, time(NULL), &at) == TRAVEL_ERROR)
    {
        *ret_why = "there is no such time zone";
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


int
worker_own_schedule(const PGresult *res, int row,
    worker_schedule_t *ret_schedule, const char **ret_why)
{
    worker_schedule_t  s = {
        .name = PQgetvalue(res, row, 0),
        .expression = PQgetvalue(res, row, 1),
        .timezone = PQgetvalue(res, row, 2),
        .type = PQgetvalue(res, row, 3),
        .body = PQgetvalue(res, row, 4),
        .catch_up = strcmp(PQgetvalue(res, row, 5), "once") == 0
                    ? WORKER_CATCH_UP_ONCE : WORKER_CATCH_UP_SKIP
    };

    if (worker_own_check(&s, ret_why) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    *ret_schedule = s;
    return TRAVEL_OK;
}
