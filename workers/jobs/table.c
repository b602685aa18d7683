/* All job types of all families, found by name. */

#include <stdarg.h>
#include <stdio.h>

#include "families.h"
#include "../../common/utf8.h"

extern const worker_job_type_t  worker_jobs_noop[];

static const worker_job_type_t *const  table_families[] = {
    worker_jobs_journey,
    worker_jobs_story,
    worker_jobs_way,
    worker_jobs_survey,
    worker_jobs_persona,
    worker_jobs_trip,
    worker_jobs_personality,
    worker_jobs_model,
    worker_jobs_voice,
    worker_jobs_insight,
    worker_jobs_booking,
    worker_jobs_notification,
    worker_jobs_notice,
    worker_jobs_device,
    worker_jobs_account,
    worker_jobs_session,
    worker_jobs_factor,
    worker_jobs_maintenance,
    worker_jobs_etl,
    worker_jobs_saga,
    worker_jobs_flow,
    worker_jobs_own_schedule,
    worker_jobs_webhook,
    worker_jobs_dead,
    worker_jobs_operator,
    worker_jobs_life_event,
    worker_jobs_trend,
    worker_jobs_noop
};

#define TABLE_FAMILIES  (sizeof(table_families) / sizeof(table_families[0]))


static const worker_job_type_t *const  table_steers[] = {
    worker_jobs_dead,
    worker_jobs_operator
};


static const worker_job_batch_t *const  table_batches[] = {
    worker_batches_booking,
    worker_batches_life_event
};


const worker_job_batch_t *
worker_job_batch(const char *type)
{
    size_t                     f;
    const worker_job_batch_t  *row;

    for (f = 0; f < sizeof(table_batches) / sizeof(table_batches[0]); f++) {
        for (row = table_batches[f]; row->type != NULL; row++) {
            if (strcmp(row->type, type) == 0) {
                return row;
            }
        }
    }

    return NULL;
}


const worker_job_type_t *
worker_job_type_at(size_t i)
{
    size_t                    f;
    const worker_job_type_t  *row;

    for (f = 0; f < TABLE_FAMILIES; f++) {
        for (row = table_families[f]; row->type != NULL; row++) {
            if (i-- == 0) {
                return row;
            }
        }
    }

    return NULL;
}


const worker_job_type_t *
worker_job_type(travel_str_t type)
{
    size_t                    i;
    const worker_job_type_t  *row;

    for (i = 0; (row = worker_job_type_at(i)) != NULL; i++) {
        if (travel_str_eq(type, (travel_str_t) { row->type,
                                                 strlen(row->type) }))
        {
            return row;
        }
    }

    return NULL;
}


bool
worker_job_steers(const worker_job_type_t *type)
{
    size_t                    i;
    const worker_job_type_t  *row;

    for (i = 0; i < sizeof(table_steers) / sizeof(table_steers[0]); i++) {
        for (row = table_steers[i]; row->type != NULL; row++) {
            if (row == type) {
                return true;
            }
        }
    }

    return false;
}


void
worker_job_partition(const worker_job_t *job,
    char queue[TRAVEL_QUEUE_NAME_MAX + 1], char partition[16])
{
    snprintf(queue, TRAVEL_QUEUE_NAME_MAX + 1, "%.*s",
             (int) job->id.queue.len, job->id.queue.data);
    snprintf(partition, 16, "%u", job->id.partition);
}


void
worker_job_lease(const worker_job_t *job, worker_job_lease_t *ret_lease)
{
    worker_job_partition(job, ret_lease->queue, ret_lease->partition);
    snprintf(ret_lease->fence, sizeof(ret_lease->fence), "%lld", job->fence);
}


worker_verdict_e
worker_job_snooze(worker_job_t *job, long ms)
{
    memset(&job->error, 0, sizeof(job->error));
    job->error.retry_after_ms = ms > 0 ? ms : 1;

    return WORKER_SNOOZE;
}


worker_verdict_e
worker_job_fail(worker_job_t *job, worker_verdict_e verdict, const char *code,
    const char *fmt, ...)
{
    va_list  ap;

    snprintf(job->error.code, sizeof(job->error.code), "%s", code);

    va_start(ap, fmt);
    vsnprintf(job->error.message, sizeof(job->error.message), fmt, ap);
    va_end(ap);
    travel_utf8_mend(job->error.message,    /* rows and events have it */
                     job->error.message + strlen(job->error.message));

    return verdict;
}
