/*
 * A saga as a table of steps, run forwards by its job and, when that gives up,
 * taken back in reverse order by a job of its own.
 *
 *     static const worker_saga_step_t  steps[] = {
 *         { "create",  do_create, NULL,    0,     0 },
 *         { "hold",    do_hold,   un_hold, 10000, 0 },
 *         { NULL }
 *     };
 *     static const worker_saga_t  saga = { "booking", "booking.release",
 *                                          steps };
 *
 * A step is a transaction (store/tx.h) or a call outside (store/saga.h) under
 * its own name: what is done is on record with it, so a job that runs again
 * goes on at the right step, and the results of earlier ones are there.  A step
 * that waits for an answer (WORKER_AWAIT) is run again when that is there.
 */

#ifndef WORKER_SAGA_RUN_H
#define WORKER_SAGA_RUN_H

#include "tx.h"

typedef struct {
    worker_job_t  *job;         /* forwards the saga's own, else the undoing */
    const char    *id;          /* of the saga: the uuid of its own job */
    json_t        *results;     /* forwards: step → what it yielded */
} worker_saga_run_t;

typedef struct {
    const char         *name;   /* of its inbox or saga row; NULL ends */
    /* *ret_result is a new reference or NULL, whatever the verdict. */
    worker_verdict_e  (*run)(worker_saga_run_t *run, json_t **ret_result);
    worker_verdict_e  (*undo)(worker_saga_run_t *run);   /* NULL: nothing */
    long                timeout_ms;     /* of one try; 0: the job's */
    unsigned            retries;        /* calls outside without an answer,
                                           then it turns round; 0: the job's */
} worker_saga_step_t;

typedef struct {
    const char                *name;
    const char                *undo;    /* type of the job that undoes */
    const worker_saga_step_t  *steps;
} worker_saga_t;

/* The handler of the saga's own job: its steps in order.  On DONE the last
 * step has set job->result. */
worker_verdict_e worker_saga_forwards(worker_job_t *job,
    const worker_saga_t *saga);

/* For batches: the first 'done' steps are done in this attempt. */
void worker_saga_done(worker_job_t *job, unsigned done);

/* The handler of the undoing job: what of saga 'id' was begun is undone, last
 * first.  Those undone on an earlier run are asked again: they know. */
worker_verdict_e worker_saga_backwards(worker_job_t *job,
    const worker_saga_t *saga, const char *id);

/* In the first step's transaction: the saga is on record. */
int worker_saga_begin(worker_tx_t *tx, const worker_saga_t *saga)
    TRAVEL_MUST_CHECK;

/* In the give-up's transaction: turned round.  'body' (stolen) is for the
 * undoing job; NULL: there is nothing to undo. */
int worker_saga_turn(worker_tx_t *tx, const worker_saga_t *saga, json_t *body)
    TRAVEL_MUST_CHECK;

/* In the last step's transaction, forwards or backwards: "done", "undone". */
int worker_saga_end(worker_tx_t *tx, const char *id, const char *state)
    TRAVEL_MUST_CHECK;

/* In the give-up's transaction, before it turns round: calls outside that may
 * have left something are "undoing" now; *ret_steps has a member for each, what
 * it answered or {}.  A new reference. */
int worker_saga_undoing(worker_tx_t *tx, json_t **ret_steps)
    TRAVEL_MUST_CHECK;

/* In the undoing job's last transaction: calls and saga 'id' are "undone". */
int worker_saga_undone(worker_tx_t *tx, const char *id) TRAVEL_MUST_CHECK;

/* The give-up of an undoing job: body member "saga" is the id. */
worker_verdict_e worker_saga_stuck(worker_job_t *job);

#endif
