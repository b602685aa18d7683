/*
 * The leases of a batch's jobs, as the first parameters of a statement that
 * checks them (jobs.held): for each partition its owner, queue, number and
 * fence.  The jobs say by a place, from 1, which of them is theirs.
 */

#ifndef WORKER_LEASES_H
#define WORKER_LEASES_H

#include "array.h"
#include "../jobs/job.h"

#define WORKER_LEASES_ARRAYS  4

typedef struct {
    const worker_job_t  **of;       /* a job of each; owned */
    size_t                n;
} worker_leases_t;

/* 'jobs' at most will be asked for.  TRAVEL_ERROR: no memory. */
int worker_leases_init(worker_leases_t *leases,
    worker_array_t arrays[WORKER_LEASES_ARRAYS], size_t jobs)
    TRAVEL_MUST_CHECK;

/* Frees no array. */
void worker_leases_free(worker_leases_t *leases);

/* The place of the job's partition, which joins the arrays when it is new. */
int32_t worker_leases_place(worker_leases_t *leases,
    worker_array_t arrays[WORKER_LEASES_ARRAYS], const worker_job_t *job);

#endif
