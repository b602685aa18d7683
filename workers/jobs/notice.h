/*
 * Messages to many: the rows of a batch (jobs.notice) and how they are sent.
 * The handlers are in notice.c, the database in notice_rows.c.  And one mail
 * (notification.c), for other families.
 */

#ifndef WORKER_NOTICE_H
#define WORKER_NOTICE_H

#include "resource.h"
#include "message.h"

#define NOTICE_CHUNK  250               /* messages under way at once */

typedef struct {
    int          n;
    const char  *service;               /* "email", "fcm", "apns" */
    const char  *address;
    const char  *data;                  /* JSON, or "" */
    unsigned     attempts;              /* this one included */
} notice_t;

typedef enum {
    NOTICE_SENT,
    NOTICE_REFUSED,
    NOTICE_BOUNCED,                     /* refused, and the address with it */
    NOTICE_LATER
} notice_outcome_e;

typedef struct {
    notice_outcome_e  outcome;
    long              wait_ms;          /* LATER: at least so long */
    int64_t           gone_ms;          /* BOUNCED: since then; 0: not said */
    bool              slow;             /* LATER: the others had better wait,
                                           too */
    char              why[160];
} notice_answer_t;

typedef struct {
    long  sent;
    long  refused;
    long  failed;
    long  open;
    long  due_ms;                       /* until the next is due */
} notice_count_t;

/* The rows of a batch that is in the job's body, once (step "expand"). */
worker_verdict_e notice_expand(worker_job_t *job, const char *channel);

/* What an earlier run had taken and not settled may be taken again.  DONE,
 * FENCED or RETRY. */
worker_verdict_e notice_recover(worker_job_t *job);

/* At most NOTICE_CHUNK rows that are due, taken under the fence; the notices
 * are views into *ret_res; both are the caller's (free, PQclear), NULL when
 * nothing is due.  DONE, FENCED or RETRY. */
worker_verdict_e notice_take(worker_job_t *job, PGresult **ret_res,
    notice_t **ret_notices, size_t *ret_n);

/* What became of them; tokens that are gone and addresses that bounced with
 * it.  DONE, FENCED or RETRY. */
worker_verdict_e notice_settle(worker_job_t *job, const notice_t *notices,
    const notice_answer_t *answers, size_t n);

worker_verdict_e notice_count(worker_job_t *job, notice_count_t *ret_count);

/* The batch's job gave up: what is open has failed. */
worker_verdict_e notice_fail(worker_job_t *job);

/* notification.c: one mail, of a body {template, to, data}. */
worker_verdict_e worker_notification_email(worker_job_t *job);

#endif
