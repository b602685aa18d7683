/*
 * Calls to the outside that cost no slot: a handler in stages.
 *
 *     static worker_verdict_e
 *     deliver(worker_job_t *job)                       type->run
 *     {
 *         ...
 *         return worker_job_ask(job, &req, delivered);
 *     }
 *
 *     static worker_verdict_e
 *     delivered(worker_job_t *job, const worker_http_response_t *resp)
 *     {
 *         ...                                          resp: as of http.h
 *         return WORKER_DONE;                          or ask once more
 *     }
 *
 * A handler that returns worker_job_ask() leaves its slot.  The request is
 * sent after that, by the process's I/O thread, and when the answer is there,
 * or there will be none, the next stage runs in whichever slot is free, ahead
 * of jobs that have not begun.  While it waits a job is its entry, the request
 * and a libcurl handle: some 30 KB with a connection of its own, and neither a
 * thread nor a session.
 *
 * What a handler must know:
 *
 *   - Nothing of the slot outlives a stage: no transaction, no result of its
 *     session, no pointer to the stack.  What the next stage needs goes into
 *     job->state, which is freed by job->free_state after the last one, also
 *     when the next one never comes.  body, result, tokens and commit stay.
 *   - One request at a time.  It and its texts are copied.
 *   - It is given up at the job's deadline, and within a second of job->cancel
 *     (a lost lease among others); the next stage is told so: resp->rc is
 *     TRAVEL_ERROR.  It looks at job->cancel when that matters.
 *   - A process that ends before the answer leaves the job to be run from its
 *     first stage, as after any crash.  So the rule of every outside call
 *     stands: a committed saga step (store/saga.h) before, its key in the
 *     request.
 *   - giveup is one stage: it may call, not ask.
 *
 * At most 'waiting' jobs of a process (workers.conf) wait like this; beyond
 * that a call keeps its slot, and no more jobs of such a type are started.
 */

#ifndef WORKER_ASK_H
#define WORKER_ASK_H

#include "job.h"
#include "../out/http.h"

/* WORKER_AWAIT; or WORKER_RETRY with job->error filled: out of memory. */
worker_verdict_e worker_job_ask(worker_job_t *job,
    const worker_http_request_t *req, worker_resume_pt next);

/* For who runs handlers: the stage that is due, its request being over. */
worker_verdict_e worker_job_resume(worker_job_t *job);

/* For who runs a handler on a thread that may wait: all its further stages,
 * when 'verdict' is that of the first; what was kept between them is freed. */
worker_verdict_e worker_job_run_on(worker_job_t *job,
    worker_verdict_e verdict);

/* For who runs handlers: what was kept between stages is freed. */
void worker_job_stages_end(worker_job_t *job);

#endif
