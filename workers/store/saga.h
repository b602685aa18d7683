/*
 * Saga steps: no outside call without a committed row that says so.
 *
 *     TAKE: conditional insert/update under the fence → call → DONE with the
 *     result.  A step found 'taken' after a crash is called again under the
 *     same key; one found 'done' is not called at all.
 */

#ifndef WORKER_SAGA_H
#define WORKER_SAGA_H

#include "tx.h"

typedef enum {
    WORKER_STEP_CALL,        /* yours to call, under ret_key */
    WORKER_STEP_DONE,        /* *ret_result holds the earlier result (owned) */
    WORKER_STEP_REFUSED,     /* refused for good earlier, or being undone */
    WORKER_STEP_FENCED,
    WORKER_STEP_FAILED       /* job->error is filled */
} worker_step_e;

#define WORKER_STEP_KEY_MAX  128

worker_step_e worker_saga_take(worker_job_t *job, const char *step,
    char ret_key[WORKER_STEP_KEY_MAX], json_t **ret_result);

/* Steals 'result'.  state: "done", "refused", "undone".  TRAVEL_OK,
 * TRAVEL_REFUSED when the fence is stale, TRAVEL_ERROR. */
int worker_saga_settle(worker_job_t *job, const char *step, const char *state,
    json_t *result) TRAVEL_MUST_CHECK;

#endif
