/*
 * The transaction of a job: fence, inbox, state, domain events and outbox in
 * one commit (contracts section 5).
 *
 *     switch (worker_tx_begin(&tx, job, "create")) {
 *     case WORKER_TX_FRESH:   do the work ...;
 *                             return worker_tx_commit(&tx, result);
 *     case WORKER_TX_SEEN:    tx.seen is the earlier result (owned by tx)
 *     case WORKER_TX_FENCED:  return WORKER_FENCED;
 *     case WORKER_TX_FAILED:  return WORKER_RETRY;       job->error is filled
 *     }
 *
 * After COMMIT the commit LSN is read in a new statement, job->commit set, and
 * the invalidation handed to the queue (queue.h).
 */

#ifndef WORKER_TX_H
#define WORKER_TX_H

#include "pg.h"
#include "../jobs/job.h"

/* JSON for a column.  15 digits: what PostgreSQL wrote as 123.4 stays 123.4 */
#define WORKER_TX_DUMP  (JSON_COMPACT | JSON_ENCODE_ANY                       \
                         | JSON_REAL_PRECISION(15))

typedef enum {
    WORKER_TX_FRESH,
    WORKER_TX_SEEN,
    WORKER_TX_FENCED,
    WORKER_TX_FAILED
} worker_tx_e;

typedef struct {
    worker_job_t  *job;
    const char    *step;
    const char    *user;           /* whose events these are, borrowed; NULL:
                                      the caller's */
    json_t        *seen;
    char           tags[512];      /* space-separated */
    bool           open;
    bool           outbox;
    bool           overflow;       /* tags did not fit: commit refuses */
} worker_tx_t;

worker_tx_e worker_tx_begin(worker_tx_t *tx, worker_job_t *job,
    const char *step);

/* A statement inside; NULL and job->error filled on failure (the transaction
 * is then already rolled back). Result owned by the caller. */
PGresult *worker_tx_exec(worker_tx_t *tx, const char *sql, int n,
    const char *const *params);

/* Domain event; 'expected' version or -1.  Steals 'data'. */
int worker_tx_event(worker_tx_t *tx, const char *stream_type,
    const char *stream_id, int expected, const char *type, json_t *data)
    TRAVEL_MUST_CHECK;

/* Follow-up job: enqueued by the relay under UUIDv8(job id, step, type,
 * key), in the caller's bucket.  Steals 'body'.  'key' is the id of its
 * aggregate. */
int worker_tx_job(worker_tx_t *tx, const char *type, const char *key,
    json_t *body) TRAVEL_MUST_CHECK;

/* The same, but once in 'window_ms' for all follow-up jobs of the type with
 * this unique text (250 characters at most), whoever asks for them. */
int worker_tx_job_unique(worker_tx_t *tx, const char *type, const char *key,
    json_t *body, const char *unique, int64_t window_ms) TRAVEL_MUST_CHECK;

/* The same, but the last wins: it is done when no other of this text was
 * asked for in 'quiet_ms', and 'max_ms' after the first at the latest.  One
 * that comes while it is done is another. */
int worker_tx_job_debounced(worker_tx_t *tx, const char *type,
    const char *key, json_t *body, const char *unique, int64_t quiet_ms,
    int64_t max_ms) TRAVEL_MUST_CHECK;

/* "booking:<id>", "user:<id>" ... what the commit makes stale. */
void worker_tx_tag(worker_tx_t *tx, const char *fmt, ...) TRAVEL_PRINTF(2, 3);

/* Steals 'result', which becomes job->result and, unless it is told once and
 * stored nowhere, the inbox row's. */
worker_verdict_e worker_tx_commit(worker_tx_t *tx, json_t *result);

/* For a batch that was committed by a statement of its own: where the commit
 * is.  Without it the jobs' callers may read what was before. */
int worker_tx_position(worker_job_t *const *jobs, size_t n) TRAVEL_MUST_CHECK;

/* Likewise, after that: what became stale, and that the outbox has rows. */
void worker_tx_announce(worker_job_t *job, const char *tags);

/* Likewise: a follow-up job as worker_tx_job writes it, for a statement that
 * adds the body when it is NULL (else stolen); a trace's text, NULL when nobody
 * samples it. */
json_t *worker_tx_job_payload(worker_job_t *job, const char *step,
    const char *type, const char *key, json_t *body);
const char *worker_tx_trace(char dst[TRAVEL_TRACEPARENT_LEN + 1],
    const travel_trace_t *trace);

/* Rolls back; safe on a transaction that is already over; frees tx->seen. */
void worker_tx_end(worker_tx_t *tx);

/* The caller's row in travel.users, made from the token's facts when absent. */
int worker_tx_user(worker_tx_t *tx) TRAVEL_MUST_CHECK;

#endif
