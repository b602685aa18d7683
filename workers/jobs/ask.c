/* A handler in stages: asking, going on, the end of it. */

#include <stdlib.h>
#include <time.h>

#include "ask.h"
#include "../pool/slot.h"

#define ASK_TIMEOUT_MS  30000


/* As long as the request says, and not past the job's deadline. */
static long
ask_timeout(const worker_job_t *job, const worker_http_request_t *req)
{
    long             timeout;
    int64_t          left;
    struct timespec  now;

    timeout = req->timeout_ms > 0 ? req->timeout_ms : ASK_TIMEOUT_MS;

    if (job->deadline <= 0) {
        return timeout;
    }

    clock_gettime(CLOCK_REALTIME, &now);
    left = job->deadline - (int64_t) now.tv_sec * 1000
           - now.tv_nsec / 1000000;

    return left >= timeout ? timeout : left > 0 ? (long) left : 1;
}


worker_verdict_e
worker_job_ask(worker_job_t *job, const worker_http_request_t *req,
    worker_resume_pt next)
{
    worker_http_ask_free(&job->ask);
    job->ask = worker_http_ask_create(req, ask_timeout(job, req),
                                      &job->cancel);
    job->resume = next;

    return job->ask != NULL ? WORKER_AWAIT
           : worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                             "out of memory");
}


worker_verdict_e
worker_job_resume(worker_job_t *job)
{
    worker_verdict_e    verdict;
    worker_resume_pt    next;
    worker_http_ask_t  *ask;

    next = job->resume;
    ask = job->ask;
    job->resume = NULL;
    job->ask = NULL;
    verdict = next(job, worker_http_ask_answer(ask));
    worker_http_ask_free(&ask);

    return verdict;
}


worker_verdict_e
worker_job_run_on(worker_job_t *job, worker_verdict_e verdict)
{
    while (verdict == WORKER_AWAIT) {
        worker_http_ask_wait(job->ask, job->slot->io);
        verdict = worker_job_resume(job);
    }

    worker_job_stages_end(job);
    return verdict;
}


void
worker_job_stages_end(worker_job_t *job)
{
    worker_http_ask_free(&job->ask);
    job->resume = NULL;

    if (job->free_state != NULL) {
        job->free_state(job->state);
    }

    job->state = NULL;
    job->free_state = NULL;
}
