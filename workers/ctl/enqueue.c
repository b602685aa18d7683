/* A job that an operator enqueues by hand, as the scheduler would. */

#include <stdio.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "ctl.h"
#include "../schedule/schedule.h"


int
ctl_enqueue(const worker_conf_t *conf, const worker_schedule_t *schedule,
    const char *salt)
{
    int               rc;
    char              job[TRAVEL_JOB_ID_MAX + 1], moment[64];
    worker_redis_t   *redis;
    struct timespec   now;

    redis = ctl_redis(conf);

    if (redis == NULL) {
        return CTL_BROKEN;
    }

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(moment, sizeof(moment), "%ld %s", now.tv_nsec, salt);
    rc = worker_schedule_enqueue(redis, schedule, now.tv_sec, moment, job);
    worker_redis_close(&redis);

    if (rc != TRAVEL_OK) {
        return ctl_broken("the job could not be enqueued");
    }

    puts(job);
    return CTL_GOOD;
}
