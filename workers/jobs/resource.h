/* What the product's handlers share: reading bodies, answering with rows. */

#ifndef WORKER_RESOURCE_H
#define WORKER_RESOURCE_H

#include "../store/tx.h"

/* A string member of the body; NULL when absent, null or not a string. */
const char *worker_body_string(const worker_job_t *job, const char *name);

/* A JSON column of a result's first row (new reference), or NULL. */
json_t *worker_row_json(const PGresult *res, int column);
json_t *worker_row_json_at(const PGresult *res, int row, int column);

/* One statement on the slot's session, in a transaction of its own: nothing
 * that must happen once.  NULL: job->error is filled, for RETRY. */
PGresult *worker_query(worker_job_t *job, const char *sql, int n,
    const char *const *params);

/* The way on from a worker_tx_begin that was not FRESH: a step seen before is
 * DONE with its result, the rest its verdict.  Ends the transaction. */
worker_verdict_e worker_tx_not_fresh(worker_tx_t *tx, worker_tx_e state);

/* A step that is one transaction: 'in' ends it.  One that was seen before is
 * DONE with its result. */
worker_verdict_e worker_tx_run(worker_job_t *job, const char *step,
    worker_verdict_e (*in)(worker_tx_t *tx));

/* Commits; the result is the row's first column.  Clears 'res'. */
worker_verdict_e worker_tx_commit_row(worker_tx_t *tx, PGresult *res);

/* Ends the transaction: something in it has failed, and job->error is filled.
 * Clears 'res', which may be NULL. */
worker_verdict_e worker_tx_retry(worker_tx_t *tx, PGresult *res);

/* Ends the transaction with a refusal: REJECT, job->error filled. */
worker_verdict_e worker_tx_refuse(worker_tx_t *tx, const char *code,
    const char *fmt, ...) TRAVEL_PRINTF(3, 4);

/*
 * Ends the transaction of a job about a journey that is not there.  The edge
 * lets such a job in while the caller's own journey.start is under way, and
 * that runs in another queue: a young id is looked for again some times
 * (RETRY), before it is RESOURCE_NOT_FOUND for good (REJECT).
 */
worker_verdict_e worker_journey_absent(worker_tx_t *tx, const char *journey);

/* The same of an itinerary's trip. */
worker_verdict_e worker_trip_absent(worker_tx_t *tx, const char *trip);

/* The data of a <aggregate>.failed event: {code, message}. */
json_t *worker_failure(const worker_job_t *job);

/* In a give-up: the statement that marks the row $1 failed, $2 being the error
 * as clients see it.  NULL: it failed, and the transaction is over. */
PGresult *worker_tx_fail_row(worker_tx_t *tx, const char *id,
    const char *sql);

/* The give-up of a job whose aggregate has no row to mark: the event
 * "<aggregate>.failed" alone. */
worker_verdict_e worker_fail_event(worker_job_t *job, const char *aggregate,
    const char *tag);

#endif
