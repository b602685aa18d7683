/*
 * dead.requeue, dead.drop: an operator's word about dead jobs, taken by the
 * edge.  The body is the filter of jobs.dead_matching; "rate" spreads what is
 * requeued over time.  Who may ask is the edge's to know.
 */

#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "resource.h"


/* 'sql' yields the result as JSON. */
static worker_verdict_e
dead_do(worker_job_t *job, const char *step, const char *sql)
{
    char         *filter;
    PGresult     *res;
    worker_tx_e   state;
    worker_tx_t   tx;
    const char   *params[1];

    state = worker_tx_begin(&tx, job, step);

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    filter = json_dumps(job->body, JSON_COMPACT);
    params[0] = filter;
    res = worker_tx_exec(&tx, sql, 1, params);
    free(filter);

    if (res == NULL) {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit_row(&tx, res);
}


static worker_verdict_e
dead_requeue(worker_job_t *job)
{
    return dead_do(job, "requeue",
                   "SELECT row_to_json(r) FROM jobs.requeue_dead($1::jsonb)"
                   " AS r");
}


static worker_verdict_e
dead_drop(worker_job_t *job)
{
    return dead_do(job, "drop",
                   "SELECT json_build_object('dropped',"
                   "       jobs.drop_dead($1::jsonb))");
}


const worker_job_type_t  worker_jobs_dead[] = {
    { "dead.requeue", "account", TRAVEL_PRIORITY_HIGH, dead_requeue, NULL,
      WORKER_RETRY_DEFAULTS, true },
    { "dead.drop", "account", TRAVEL_PRIORITY_HIGH, dead_drop, NULL,
      WORKER_RETRY_DEFAULTS, true },
    { .type = NULL }
};
