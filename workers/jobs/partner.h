/*
 * A partner's call as a saga step: taken, called under its stable key,
 * settled (store/saga.h, out/http.h); meanwhile the job has no slot.
 */

#ifndef WORKER_PARTNER_H
#define WORKER_PARTNER_H

#include "ask.h"
#include "../store/saga.h"

typedef struct {
    const char    *partner;       /* its section in workers.conf */
    const char    *step;
    const char    *method;
    const char    *path;          /* after the partner's url */
    const json_t  *body;          /* or NULL */
    const char    *key;           /* Idempotency-Key; NULL: the step's own */
} worker_partner_call_t;

/*
 * DONE    2xx, now or earlier: *ret_answer is its JSON
 * REJECT  4xx, now or earlier: *ret_answer is {status, code, message}, and
 *         job->error says the same; the step is settled as refused
 * RETRY   no answer, 5xx, 408, 425, 429, breaker open, answer unreadable
 * FENCED  the lease is lost
 * AWAIT   it is asked: return this.  The handler is run again from its top
 *         (ask.h), and at this step finds what came of it
 * *ret_answer is a new reference, or NULL.
 */
worker_verdict_e worker_partner_step(worker_job_t *job,
    const worker_partner_call_t *call, json_t **ret_answer);

/*
 * For batches (booking_batch.c), which take and settle many steps at once: the
 * step is taken, so at it worker_partner_step only asks; who was asked last, or
 * NULL; an answer's JSON when it is plainly good (a new reference), else NULL;
 * what came of a step in this attempt (steals 'answer').
 */
void worker_partner_taken(worker_job_t *job, const char *step);
const char *worker_partner_asked(const worker_job_t *job);
json_t *worker_partner_good(const worker_http_response_t *resp);
void worker_partner_note(worker_job_t *job, const char *step,
    worker_verdict_e verdict, json_t *answer);

/* 'text' as one path segment: percent-encoded, NUL-terminated.  False when it
 * is empty or does not fit. */
bool worker_path_segment(char *dst, size_t room, const char *text);

#endif
