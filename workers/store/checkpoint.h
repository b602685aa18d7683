/*
 * How far a long job is: a cursor of its own making, kept in PostgreSQL under
 * the job's id, from which it goes on after a crash, a retry or a lost lease.
 *
 *     if (worker_checkpoint_get(job, &cursor) != TRAVEL_OK) {
 *         return WORKER_RETRY;
 *     }
 *     for (n = json_integer_value(cursor); n < N && !job->cancel; n++) {
 *         ... work ...
 *         verdict = worker_checkpoint_put(job, json_integer(n + 1));
 *         if (verdict != WORKER_DONE) return verdict;
 *     }
 *
 * Work between two checkpoints may be done twice; what must not be goes with
 * its cursor into one transaction (worker_tx_checkpoint), whose step names the
 * stretch.  Who has lost the lease cannot move the cursor.
 */

#ifndef WORKER_CHECKPOINT_H
#define WORKER_CHECKPOINT_H

#include "tx.h"

/* The last one: a new reference, or NULL where there is none.  TRAVEL_OK, or
 * TRAVEL_ERROR with job->error filled, for RETRY. */
int worker_checkpoint_get(worker_job_t *job, json_t **ret_cursor)
    TRAVEL_MUST_CHECK;

/* Steals 'cursor'.  DONE, FENCED, or RETRY with job->error filled. */
worker_verdict_e worker_checkpoint_put(worker_job_t *job, json_t *cursor);

/* In a transaction, which checks the fence.  Likewise. */
int worker_tx_checkpoint(worker_tx_t *tx, json_t *cursor) TRAVEL_MUST_CHECK;

#endif
