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
 *   - One request at a time.  It and its texts are copied.  Mails and pushes
 *     (out/smtp.h, out/push.h) go many at once, by worker_job_await(): they and
 *     their answers are in job->state.
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
 *
 * A handler whose calls depend on one another reads better in one piece: its
 * next stage notes the answer (worker_job_memo_set, job.h) and returns
 * worker_job_again(), which runs the handler from its top.  What it has done
 * by then it finds there and does not do again; so it comes to the same place
 * with the answer.  partner.h does so for calls to partners, saga_run.h for
 * the steps of a saga.
 */

#ifndef WORKER_ASK_H
#define WORKER_ASK_H

#include "job.h"
#include "../out/http.h"

/* WORKER_AWAIT; or WORKER_RETRY with job->error filled: out of memory. */
worker_verdict_e worker_job_ask(worker_job_t *job,
    const worker_http_request_t *req, worker_resume_pt next);

/* For anything else than an HTTP request: 'ask' (NULL: out of memory) is the
 * job's from now on, what it borrows is in job->state.  As above; the next
 * stage has no 'resp'. */
worker_verdict_e worker_job_await(worker_job_t *job, worker_ask_t *ask,
    worker_resume_pt next);

/* Zeroed, and the job's: job->state, until 'free_state' is called with it.
 * NULL: out of memory, job->error is filled, for RETRY. */
void *worker_job_state(worker_job_t *job, size_t size,
    void (*free_state)(void *state));

/* How long it may take: to the job's deadline, in ms; 0: there is none. */
long worker_job_patience(const worker_job_t *job);

/* The handler of the job's type, from its top. */
worker_verdict_e worker_job_again(worker_job_t *job);

/* For a job that runs another one once more (job->carrier): it waits in the
 * other's stead, and passes the answer on. */
worker_verdict_e worker_job_pass(worker_job_t *carried,
    const worker_http_response_t *resp);

/* For a batch of those that have their answers (job.h): what it is, and that
 * it was dealt with; else worker_job_resume is to be called. */
const worker_http_response_t *worker_job_answer(const worker_job_t *job);
void worker_job_answered(worker_job_t *job);

/* For who runs handlers: the stage that is due, its request being over. */
worker_verdict_e worker_job_resume(worker_job_t *job);

/* For who runs a handler on a thread that may wait: all its further stages,
 * when 'verdict' is that of the first; what was kept between them is freed. */
worker_verdict_e worker_job_run_on(worker_job_t *job,
    worker_verdict_e verdict);

/* For who runs handlers: what was kept between stages is freed. */
void worker_job_stages_end(worker_job_t *job);

#endif
