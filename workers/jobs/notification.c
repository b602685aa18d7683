/*
 * Jobs of notifications, one mail each: notification.email.
 *
 * body {template, to, data}: conf/travel/templates/<template>.txt (first line
 * "Subject: ...", an empty line, the text) and, when there is one,
 * <template>.html.  The mail is a saga step, so a crash after it was accepted
 * does not send it again unless the crash came before the row was settled; then
 * the second copy carries the same Message-ID.  No slot waits for the server
 * (ask.h).
 */

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "families.h"
#include "notice.h"
#include "../out/smtp.h"
#include "../pool/slot.h"
#include "../store/saga.h"

/* A mail and what became of it: the job's state. */
typedef struct {
    worker_message_t      message;
    char                  id[64];
    worker_mail_t         mail;
    worker_mail_answer_t  answer;
} notification_t;


static void
notification_free(void *state)
{
    notification_t  *n = state;

    worker_message_free(&n->message);
    free(n);
}


static worker_verdict_e
notification_settled(worker_job_t *job, const char *state, json_t *result)
{
    json_decref(job->result);
    job->result = json_incref(result);

    switch (worker_saga_settle(job, "send", state, result)) {
    case TRAVEL_OK:
        return WORKER_DONE;
    case TRAVEL_REFUSED:
        return WORKER_FENCED;
    default:
        return WORKER_RETRY;
    }
}


/* --- addresses that take no mail ----------------------------------------- */

/* DONE: it bounced before, and nothing is sent; REJECT: it may be sent to;
 * RETRY: it is not known. */
static worker_verdict_e
notification_suppressed(worker_job_t *job, const char *to)
{
    PGresult          *res;
    const char        *params[] = { to };
    worker_verdict_e   verdict;

    res = worker_query(job, "SELECT reason FROM jobs.suppressed"
                            " WHERE address = lower($1)", 1, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    verdict = WORKER_REJECT;

    if (PQntuples(res) > 0) {
        json_decref(job->result);
        job->result = json_pack("{s:s, s:s}", "skipped",
                                "the address takes no mail", "reason",
                                PQgetvalue(res, 0, 0));
        verdict = WORKER_DONE;
    }

    PQclear(res);
    return verdict;
}


/* A hard bounce is on record before the job is over. */
static bool
notification_suppress(worker_job_t *job, const char *to, const char *why)
{
    PGresult    *res;
    const char  *params[] = { to, why };

    res = worker_query(job,
        "INSERT INTO jobs.suppressed (address, reason) VALUES (lower($1), $2)"
        " ON CONFLICT (address) DO UPDATE SET reason = EXCLUDED.reason"
        " RETURNING address", 2, params);
    PQclear(res);
    return res != NULL;
}


static worker_verdict_e
notification_refused(worker_job_t *job, const worker_mail_answer_t *answer)
{
    worker_verdict_e  verdict;

    verdict = notification_settled(job, "refused",
        json_pack("{s:s, s:s}", "refused", answer->why, "bounce",
                  travel_smtp_bounce_name(answer->bounce)));

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    return worker_job_fail(job, WORKER_REJECT, "EXTERNAL_SERVICE_ERROR",
                           "%s", answer->why);
}


/* --- the mail ------------------------------------------------------------- */

static worker_verdict_e
notification_sent(worker_job_t *job, const worker_http_response_t *resp)
{
    notification_t              *n = job->state;
    const worker_mail_answer_t  *answer;

    (void) resp;
    answer = &n->answer;

    switch (answer->bounce) {

    case TRAVEL_SMTP_ACCEPTED:
        return notification_settled(job, "done",
                                    json_pack("{s:s, s:s}", "sent", n->mail.to,
                                              "message_id", n->id));

    case TRAVEL_SMTP_SOFT:
        job->error.retry_after_ms = answer->retry_after_ms;
        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "%s", answer->why);

    default:
        if (answer->bounce == TRAVEL_SMTP_HARD
            && !notification_suppress(job, n->mail.to, answer->why))
        {
            return WORKER_RETRY;
        }

        return notification_refused(job, answer);
    }
}


static worker_verdict_e
notification_send(worker_job_t *job, const char *to)
{
    notification_t  *n = job->state;

    snprintf(n->id, sizeof(n->id), "%s@travel.local", job->uuid);
    n->mail = (worker_mail_t) {
        .to = to, .subject = n->message.subject, .text = n->message.text,
        .html = n->message.html, .message_id = n->id, .trace = &job->trace
    };

    return worker_job_await(job,
               worker_smtp_ask(&n->mail, &n->answer, 1,
                               worker_job_patience(job), &job->cancel),
               notification_sent);
}


static worker_verdict_e
notification_take(worker_job_t *job, const char *to)
{
    char               key[WORKER_STEP_KEY_MAX];
    json_t            *earlier;
    worker_verdict_e   verdict;

    verdict = WORKER_RETRY;

    switch (worker_saga_take(job, "send", key, &earlier)) {

    case WORKER_STEP_CALL:
        return notification_send(job, to);

    case WORKER_STEP_DONE:
        json_decref(job->result);
        job->result = json_incref(earlier);
        verdict = WORKER_DONE;
        break;

    case WORKER_STEP_REFUSED:
        verdict = worker_job_fail(job, WORKER_REJECT, "EXTERNAL_SERVICE_ERROR",
                                  "the mail was refused");
        break;

    case WORKER_STEP_FENCED:
        verdict = WORKER_FENCED;
        break;

    case WORKER_STEP_FAILED:
        break;
    }

    json_decref(earlier);
    return verdict;
}


worker_verdict_e
worker_notification_email(worker_job_t *job)
{
    const char        *to, *template;
    notification_t    *n;
    worker_verdict_e   verdict;

    to = worker_body_string(job, "to");
    template = worker_body_string(job, "template");

    if (template == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "template is needed");
    }

    if (to == NULL || *to == '\0') {
        json_decref(job->result);
        job->result = json_pack("{s:s}", "skipped", "no address");
        return WORKER_DONE;
    }

    verdict = notification_suppressed(job, to);

    if (verdict != WORKER_REJECT) {
        return verdict;
    }

    n = worker_job_state(job, sizeof(notification_t), notification_free);

    if (n == NULL) {
        return WORKER_RETRY;
    }

    if (!worker_message_render(job->slot->conf, template,
                               json_object_get(job->body, "data"),
                               &n->message))
    {
        return worker_job_fail(job, WORKER_REJECT, "INTERNAL_ERROR",
                               "the mail template \"%.64s\" cannot be used",
                               template);
    }

    return notification_take(job, to);
}


static worker_verdict_e
notification_giveup(worker_job_t *job)
{
    return worker_fail_event(job, "notification", "notification");
}


const worker_job_type_t  worker_jobs_notification[] = {
    { "notification.email", "notification", TRAVEL_PRIORITY_NORMAL,
      worker_notification_email, notification_giveup, 8, 1000, 300000, 120000,
      true },
    { .type = NULL }
};
