/* The leases of a batch; its jobs are of few partitions. */

#include <stdlib.h>

#include "leases.h"


int
worker_leases_init(worker_leases_t *leases,
    worker_array_t arrays[WORKER_LEASES_ARRAYS], size_t jobs)
{
    size_t  i;

    static const worker_array_e  types[WORKER_LEASES_ARRAYS] = {
        WORKER_ARRAY_TEXT, WORKER_ARRAY_TEXT, WORKER_ARRAY_INT4,
        WORKER_ARRAY_INT8
    };

    for (i = 0; i < WORKER_LEASES_ARRAYS; i++) {
        worker_array_init(&arrays[i], types[i]);
    }

    leases->n = 0;
    leases->of = calloc(jobs, sizeof(worker_job_t *));

    return leases->of != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


void
worker_leases_free(worker_leases_t *leases)
{
    free(leases->of);
    leases->of = NULL;
}


int32_t
worker_leases_place(worker_leases_t *leases,
    worker_array_t arrays[WORKER_LEASES_ARRAYS], const worker_job_t *job)
{
    size_t               i;
    const worker_job_t  *other;

    for (i = 0; i < leases->n; i++) {
        other = leases->of[i];

        if (other->id.partition == job->id.partition
            && other->fence == job->fence
            && travel_str_eq(other->id.queue, job->id.queue))
        {
            return (int32_t) i + 1;
        }
    }

    worker_array_text(&arrays[0], (travel_str_t) { job->owner,
                                                   strlen(job->owner) });
    worker_array_text(&arrays[1], job->id.queue);
    worker_array_int4(&arrays[2], (int32_t) job->id.partition);
    worker_array_int8(&arrays[3], job->fence);
    leases->of[leases->n++] = job;

    return (int32_t) leases->n;
}
