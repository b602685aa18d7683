/* A handler in stages: asking, going on, the end of it. */

#include <stdlib.h>
#include <time.h>

#include "ask.h"
#include "../pool/slot.h"

#define ASK_TIMEOUT_MS  30000


long
worker_job_patience(const worker_job_t *job)
{
    int64_t          left;
    struct timespec  now;

    if (job->deadline <= 0) {
        return 0;
    }

    clock_gettime(CLOCK_MONOTONIC, &now);
    left = job->deadline - (int64_t) now.tv_sec * 1000
           - now.tv_nsec / 1000000;

    return left > 0 ? (long) left : 1;
}


void *
worker_job_state(worker_job_t *job, size_t size,
    void (*free_state)(void *state))
{
    void  *state;

    state = calloc(1, size);

    if (state == NULL) {
        (void) worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                               "out of memory");
        return NULL;
    }

    job->state = state;
    job->free_state = free_state;

    return state;
}


worker_verdict_e
worker_job_await(worker_job_t *job, worker_ask_t *ask, worker_resume_pt next)
{
    worker_job_t  *waits;

    waits = job->carrier != NULL ? job->carrier : job;
    worker_ask_free(&waits->ask);
    waits->ask = ask;
    job->resume = next;

    return ask != NULL ? WORKER_AWAIT
           : worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                             "out of memory");
}


worker_verdict_e
worker_job_ask(worker_job_t *job, const worker_http_request_t *req,
    worker_resume_pt next)
{
    const worker_job_t  *waits;

    waits = job->carrier != NULL ? job->carrier : job;

    return worker_job_await(job,
               worker_http_ask(req, req->timeout_ms > 0 ? req->timeout_ms
                                                        : ASK_TIMEOUT_MS,
                               worker_job_patience(job), &waits->cancel),
               next);
}


worker_verdict_e
worker_job_again(worker_job_t *job)
{
    return worker_job_type(job->env.type)->run(job);
}


worker_verdict_e
worker_job_pass(worker_job_t *carried, const worker_http_response_t *resp)
{
    worker_resume_pt  next;

    next = carried->resume;
    carried->resume = NULL;
    carried->slot = carried->carrier->slot;

    return next(carried, resp);
}


json_t *
worker_job_memo(const worker_job_t *job, const char *name)
{
    return json_object_get(job->memo, name);
}


void
worker_job_memo_set(worker_job_t *job, const char *name, json_t *value)
{
    if (job->memo == NULL) {
        job->memo = json_object();
    }

    (void) json_object_set_new(job->memo, name, value);
}


const worker_http_response_t *
worker_job_answer(const worker_job_t *job)
{
    return job->ask->answer;
}


void
worker_job_answered(worker_job_t *job)
{
    worker_ask_free(&job->ask);
    job->resume = NULL;
}


worker_verdict_e
worker_job_resume(worker_job_t *job)
{
    worker_ask_t      *ask;
    worker_verdict_e   verdict;
    worker_resume_pt   next;

    next = job->resume;
    ask = job->ask;
    job->resume = NULL;
    job->ask = NULL;
    verdict = next(job, ask->answer);
    worker_ask_free(&ask);

    return verdict;
}


worker_verdict_e
worker_job_run_on(worker_job_t *job, worker_verdict_e verdict)
{
    while (verdict == WORKER_AWAIT) {
        worker_ask_wait(job->ask, job->slot->io);
        verdict = worker_job_resume(job);
    }

    worker_job_stages_end(job);
    return verdict;
}


void
worker_job_stages_end(worker_job_t *job)
{
    worker_ask_free(&job->ask);
    job->resume = NULL;

    if (job->free_state != NULL) {
        job->free_state(job->state);
    }

    json_decref(job->memo);
    job->state = NULL;
    job->free_state = NULL;
    job->memo = NULL;
}
