/* Cursors of long jobs: written and read; contract in the header. */

#include <stdio.h>
#include <stdlib.h>

#include "checkpoint.h"
#include "../jobs/resource.h"

#define CHECKPOINT_PUT   "SELECT jobs.checkpoint($1::uuid, $2::jsonb, $3,"    \
                         " $4::int, $5, $6::bigint)"
#define CHECKPOINT_ARGS  6


int
worker_checkpoint_get(worker_job_t *job, json_t **ret_cursor)
{
    PGresult    *res;
    const char  *params[] = { job->uuid };

    res = worker_query(job, "SELECT cursor FROM jobs.checkpoint"
                            " WHERE job = $1::uuid", 1, params);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    *ret_cursor = worker_row_json(res, 0);
    PQclear(res);
    return TRAVEL_OK;
}


/* The parameters of CHECKPOINT_PUT; those that are made are in the first. */
typedef struct {
    char                *text;
    const char          *params[CHECKPOINT_ARGS];
    worker_job_lease_t   lease;
} checkpoint_args_t;


/* Steals 'cursor'; the caller frees args->text. */
static int
checkpoint_args(checkpoint_args_t *args, worker_job_t *job, json_t *cursor)
{
    worker_job_lease(job, &args->lease);
    args->text = cursor != NULL ? json_dumps(cursor, WORKER_TX_DUMP) : NULL;
    json_decref(cursor);

    args->params[0] = job->uuid;
    args->params[1] = args->text;
    args->params[2] = args->lease.queue;
    args->params[3] = args->lease.partition;
    args->params[4] = job->owner;
    args->params[5] = args->lease.fence;

    if (args->text == NULL) {
        (void) worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                               "the checkpoint is no JSON");
        return TRAVEL_ERROR;
    }

    return TRAVEL_OK;
}


worker_verdict_e
worker_checkpoint_put(worker_job_t *job, json_t *cursor)
{
    PGresult           *res;
    worker_verdict_e    verdict;
    checkpoint_args_t   args;

    if (checkpoint_args(&args, job, cursor) != TRAVEL_OK) {
        return WORKER_RETRY;
    }

    res = worker_query(job, CHECKPOINT_PUT, CHECKPOINT_ARGS, args.params);
    free(args.text);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    verdict = *PQgetvalue(res, 0, 0) == 't' ? WORKER_DONE : WORKER_FENCED;
    PQclear(res);
    return verdict;
}


int
worker_tx_checkpoint(worker_tx_t *tx, json_t *cursor)
{
    PGresult           *res;
    checkpoint_args_t   args;

    if (checkpoint_args(&args, tx->job, cursor) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    res = worker_tx_exec(tx, CHECKPOINT_PUT, CHECKPOINT_ARGS, args.params);
    free(args.text);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    PQclear(res);
    return TRAVEL_OK;
}
