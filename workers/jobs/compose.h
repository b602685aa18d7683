/*
 * A text that a provider writes, as a saga step (store/saga.h): whatever
 * crashes later, it is asked for once and stays what it was.
 */

#ifndef WORKER_COMPOSE_H
#define WORKER_COMPOSE_H

#include "job.h"

typedef struct {
    const char    *step;
    const char    *task;         /* "persona": of ai/provider.h */
    const char    *theme;
    const json_t  *facts;
} worker_compose_t;

/*
 * DONE    now or earlier: *ret_text is {title, content, model}, a new
 *         reference; job->tokens has grown by what this run cost
 * RETRY   job->error says why
 * FENCED  the lease is lost
 */
worker_verdict_e worker_compose_step(worker_job_t *job,
    const worker_compose_t *compose, json_t **ret_text);

/* The same without a step: asked for at each run.  TRAVEL_OK, or TRAVEL_ERROR
 * with job->error: to be tried again. */
int worker_compose(worker_job_t *job, const worker_compose_t *compose,
    json_t **ret_text) TRAVEL_MUST_CHECK;

#endif
