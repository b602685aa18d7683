/*
 * What the jobs of bookings share: booking.c (create and its failure),
 * booking_batch.c (many creates at once), booking_pay.c (the money),
 * booking_release.c (compensation), booking_cancel.c.
 */

#ifndef WORKER_BOOKING_H
#define WORKER_BOOKING_H

#include "partner.h"
#include "resource.h"
#include "../store/saga_run.h"

#define BOOKING_PATH_MAX  512

/* of b, p (partner) and u (user): the resource, then what a mail says */
#define BOOKING_RETURNING                                                     \
    " RETURNING travel.booking_json(b), p.commission_bps, p.name, u.email,"   \
    "       u.name, to_char(b.booking_date AT TIME ZONE u.tz,"                \
    "                       'FMDay, FMDD FMMonth YYYY, HH24:MI')"             \
    "               || ' (' || u.tz || ')',"                                  \
    "       to_char(b.amount_cents / 100.0, 'FM999999999990.00')"

/* Tags of what a change of the booking makes stale; journey may be NULL. */
void booking_tags_text(char *dst, size_t room, const char *sub,
    const char *booking, const char *journey);
void booking_tags(worker_tx_t *tx, const char *booking, const char *journey);

/* The mail of a booking as a follow-up job.  Columns of 'res' from 2 on are
 * those of BOOKING_RETURNING. */
int booking_mail(worker_tx_t *tx, const PGresult *res, const json_t *booking,
    const char *template);

/* What the partner is asked for, from a create's body, always the same bytes:
 * a repeat under the first key must not differ.  A new reference. */
json_t *booking_hold_request(const json_t *body);

/* "/v1/holds/{id}" + tail; false when the partner gave no usable id. */
bool booking_hold_path(char path[BOOKING_PATH_MAX], const char *id,
    const char *tail);

/* booking_pay.c.  DONE with *ret_charge NULL: there was nothing to pay. */
worker_verdict_e booking_pay(worker_job_t *job, const json_t *hold,
    json_t **ret_charge);
bool booking_is_paid(const worker_job_t *job, const json_t *hold);
const char *booking_charge_id(const json_t *charge);
/* Gives a charge back, under the key of the job 'first' or this one's own;
 * NULL: there is none. */
worker_verdict_e booking_refund(worker_job_t *job, const char *charge,
    const char *first);
worker_verdict_e booking_un_pay(worker_saga_run_t *run);

extern const worker_saga_t  booking_saga;

worker_verdict_e booking_create(worker_job_t *job);

/* booking_batch.c: booking.create by the batch, before and after a partner was
 * asked. */
void booking_create_batch(worker_job_t *const *jobs,
    worker_verdict_e *verdicts, size_t n);
void booking_answered_batch(worker_job_t *const *jobs,
    worker_verdict_e *verdicts, size_t n);

/* Undoes the hold, and the confirmation if there was one. */
worker_verdict_e booking_un_hold(worker_saga_run_t *run);
worker_verdict_e booking_release(worker_job_t *job);
worker_verdict_e booking_cancel(worker_job_t *job);
worker_verdict_e booking_cancel_giveup(worker_job_t *job);
worker_verdict_e booking_cancel_settle(worker_job_t *job);

#endif
