/*
 * Messages to many: notification.batch, and notification.push, which is one to
 * all devices of a user.
 *
 * body {channel, template, data, recipients}: "email" or "push"; a recipient
 * is {user} or {to}, and may have "data" of its own.  A batch that SQL made
 * (jobs.notify) has its rows already and comes without recipients.
 *
 * Chunk by chunk: taken in the database, sent all at once while no slot waits
 * (ask.h), settled in the database.  A crash in between repeats a chunk, under
 * the same Message-IDs and push ids.  Cancelling leaves what is not sent as it
 * is.
 */

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "families.h"
#include "notice.h"
#include "../out/push.h"
#include "../out/smtp.h"
#include "../pool/slot.h"
#include "../queue/queue.h"
#include "../../common/ids.h"

#define NOTICE_RECIPIENTS  10000
#define NOTICE_TELL        4            /* chunks between words of progress */

typedef struct {
    worker_message_t   message;
    json_t            *data;            /* of the template */
    char               id[64];
} notice_text_t;

/* What is under way: the job's state between its stages. */
typedef struct {
    bool               push;
    const char        *template;        /* in the job's body */
    unsigned           turn;
    long               slow_ms;         /* the service wants a pause */

    PGresult          *res;             /* a chunk, n of all these */
    notice_t          *notices;
    notice_answer_t   *answers;
    notice_text_t     *texts;
    size_t             n;
    size_t            *at;              /* of the one that is sent i-th */
    void              *messages;        /* nsent mails or pushes, and what */
    void              *said;            /* was said to each */
    size_t             nsent;
} notice_run_t;


static void
notice_forget(notice_run_t *run)
{
    size_t  i;

    for (i = 0; run->texts != NULL && i < run->n; i++) {
        worker_message_free(&run->texts[i].message);
        json_decref(run->texts[i].data);
    }

    free(run->notices);
    free(run->answers);
    free(run->texts);
    free(run->at);
    free(run->messages);
    free(run->said);
    PQclear(run->res);

    run->res = NULL;
    run->notices = NULL;
    run->answers = NULL;
    run->texts = NULL;
    run->at = NULL;
    run->messages = NULL;
    run->said = NULL;
    run->n = 0;
    run->nsent = 0;
}


static void
notice_free(void *state)
{
    notice_forget(state);
    free(state);
}


/* A mail's or push's own id: of the batch and its place in it. */
static bool
notice_id(const worker_job_t *job, int n, char dst[37])
{
    char           number[16];
    travel_str_t   parts[2];
    travel_uuid_t  uuid;

    snprintf(number, sizeof(number), "%d", n);
    parts[0] = (travel_str_t) { job->uuid, strlen(job->uuid) };
    parts[1] = (travel_str_t) { number, strlen(number) };

    if (travel_uuid8(&uuid, parts, 2) != TRAVEL_OK) {
        return false;
    }

    travel_uuid_format(dst, &uuid);
    dst[36] = '\0';
    return true;
}


/* --- mails --------------------------------------------------------------- */

static worker_ask_t *
notice_mails(worker_job_t *job, notice_run_t *run)
{
    size_t          i, k;
    worker_mail_t  *mails;
    notice_text_t  *text;

    mails = calloc(run->nsent, sizeof(worker_mail_t));
    run->messages = mails;
    run->said = calloc(run->nsent, sizeof(worker_mail_answer_t));

    if (mails == NULL || run->said == NULL) {
        return NULL;
    }

    for (i = 0; i < run->nsent; i++) {
        k = run->at[i];
        text = &run->texts[k];
        snprintf(text->id + 36, sizeof(text->id) - 36, "@travel.local");
        mails[i] = (worker_mail_t) {
            .to = run->notices[k].address, .subject = text->message.subject,
            .text = text->message.text, .html = text->message.html,
            .message_id = text->id, .trace = &job->trace
        };
    }

    return worker_smtp_ask(mails, run->said, run->nsent,
                           worker_job_patience(job), &job->cancel);
}


static void
notice_mailed(notice_answer_t *answer, const worker_mail_answer_t *said)
{
    answer->outcome = said->bounce == TRAVEL_SMTP_ACCEPTED ? NOTICE_SENT
                      : said->bounce == TRAVEL_SMTP_SOFT ? NOTICE_LATER
                      : said->bounce == TRAVEL_SMTP_HARD
                        ? NOTICE_BOUNCED : NOTICE_REFUSED;
    answer->wait_ms = said->retry_after_ms;
    answer->slow = said->retry_after_ms > 0;
    memcpy(answer->why, said->why, sizeof(answer->why));
}


/* --- pushes -------------------------------------------------------------- */

static worker_ask_t *
notice_pushes(worker_job_t *job, notice_run_t *run)
{
    size_t                i, k;
    worker_push_t        *pushes;
    const notice_text_t  *text;

    pushes = calloc(run->nsent, sizeof(worker_push_t));
    run->messages = pushes;
    run->said = calloc(run->nsent, sizeof(worker_push_answer_t));

    if (pushes == NULL || run->said == NULL) {
        return NULL;
    }

    for (i = 0; i < run->nsent; i++) {
        k = run->at[i];
        text = &run->texts[k];
        pushes[i] = (worker_push_t) {
            .service = (worker_push_service_e)
                       worker_push_service(run->notices[k].service),
            .token = run->notices[k].address, .id = text->id,
            .title = text->message.subject, .body = text->message.text,
            .data = text->data, .trace = &job->trace
        };
    }

    return worker_push_ask(pushes, run->said, run->nsent,
                           worker_job_patience(job), &job->cancel);
}


static void
notice_pushed(notice_answer_t *answer, const worker_push_answer_t *said)
{
    switch (said->outcome) {

    case TRAVEL_PUSH_SENT:
        answer->outcome = NOTICE_SENT;
        break;

    case TRAVEL_PUSH_GONE:
        answer->outcome = NOTICE_BOUNCED;
        break;

    case TRAVEL_PUSH_REFUSED:
        answer->outcome = NOTICE_REFUSED;
        break;

    default:
        answer->outcome = NOTICE_LATER;
        break;
    }

    answer->wait_ms = said->retry_after_ms;
    answer->gone_ms = said->gone_ms;
    answer->slow = said->outcome == TRAVEL_PUSH_SLOW;
    memcpy(answer->why, said->why, sizeof(answer->why));
}


/* --- a chunk ------------------------------------------------------------- */

/* The text of one; false: its template cannot be used. */
static bool
notice_text(const worker_job_t *job, const notice_run_t *run, size_t i)
{
    json_t               *own;
    notice_text_t        *text;
    const worker_conf_t  *conf;

    conf = job->slot->conf;
    text = &run->texts[i];
    own = json_loads(run->notices[i].data, 0, NULL);
    text->data = json_object();
    json_object_update(text->data, json_object_get(job->body, "data"));
    json_object_update(text->data, own);
    json_decref(own);

    return (run->push ? worker_message_push(conf, run->template, text->data,
                                            &text->message)
                      : worker_message_render(conf, run->template, text->data,
                                              &text->message))
           && notice_id(job, run->notices[i].n, text->id);
}


/* The text of each; those whose template cannot be used are answered. */
static bool
notice_render(const worker_job_t *job, notice_run_t *run)
{
    size_t  i;

    run->answers = calloc(run->n, sizeof(notice_answer_t));
    run->texts = calloc(run->n, sizeof(notice_text_t));
    run->at = calloc(run->n, sizeof(size_t));

    if (run->answers == NULL || run->texts == NULL || run->at == NULL) {
        return false;
    }

    for (i = 0; i < run->n; i++) {
        if (notice_text(job, run, i)) {
            run->answers[i].outcome = NOTICE_LATER;
            run->at[run->nsent++] = i;
            continue;
        }

        run->answers[i].outcome = NOTICE_REFUSED;
        snprintf(run->answers[i].why, sizeof(run->answers[i].why),
                 "the template \"%.64s\" cannot be used", run->template);
    }

    return true;
}


/* What was said of those that were sent. */
static void
notice_heard(notice_run_t *run)
{
    size_t            i;
    notice_answer_t  *answer;

    for (i = 0; i < run->nsent; i++) {
        answer = &run->answers[run->at[i]];

        if (run->push) {
            notice_pushed(answer, (worker_push_answer_t *) run->said + i);
        } else {
            notice_mailed(answer, (worker_mail_answer_t *) run->said + i);
        }

        if (answer->slow && answer->wait_ms > run->slow_ms) {
            run->slow_ms = answer->wait_ms;
        }
    }
}


static void
notice_progress(worker_job_t *job, const notice_count_t *count)
{
    long  all;

    all = count->sent + count->refused + count->failed + count->open;

    if (job->slot->queue != NULL && all > 0) {
        worker_queue_progress(job->slot->queue, job,
                              (unsigned) ((all - count->open) * 100 / all));
    }
}


/* Its answers are there: on record, and forgotten. */
static worker_verdict_e
notice_settled(worker_job_t *job, notice_run_t *run)
{
    notice_count_t     count;
    worker_verdict_e   verdict;

    notice_heard(run);
    verdict = notice_settle(job, run->notices, run->answers, run->n);
    notice_forget(run);

    if (verdict != WORKER_DONE || run->turn++ % NOTICE_TELL != 0) {
        return verdict;
    }

    verdict = notice_count(job, &count);

    if (verdict == WORKER_DONE) {
        notice_progress(job, &count);
    }

    return verdict;
}


/* --- the whole ------------------------------------------------------------ */

/* Nothing more is to be sent now. */
static worker_verdict_e
notice_end(worker_job_t *job, const notice_run_t *run)
{
    notice_count_t     count;
    worker_verdict_e   verdict;

    verdict = notice_count(job, &count);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    if (job->cancel) {
        return worker_job_fail(job, WORKER_REJECT, "CANCELLED",
                               "cancelled on the way");
    }

    if (count.open > 0) {
        job->error.retry_after_ms = run->slow_ms > count.due_ms
                                    ? run->slow_ms : count.due_ms;
        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "%ld of the batch are to be sent later",
                               count.open);
    }

    json_decref(job->result);
    job->result = json_pack("{s:I, s:I, s:I}",
                            "sent", (json_int_t) count.sent,
                            "refused", (json_int_t) count.refused,
                            "failed", (json_int_t) count.failed);
    return WORKER_DONE;
}


static worker_verdict_e  notice_sent(worker_job_t *job,
    const worker_http_response_t *resp);


/* The next chunk; those of which nothing can be sent need no stage.  Until
 * nothing is due, or the service wants a pause. */
static worker_verdict_e
notice_next(worker_job_t *job, notice_run_t *run)
{
    worker_verdict_e  verdict;

    while (run->slow_ms == 0 && !job->cancel) {
        verdict = notice_take(job, &run->res, &run->notices, &run->n);

        if (verdict != WORKER_DONE) {
            return verdict;
        }

        if (run->n == 0) {
            break;
        }

        if (!notice_render(job, run)) {
            return worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                                   "out of memory");
        }

        if (run->nsent > 0) {
            return worker_job_await(job, run->push ? notice_pushes(job, run)
                                                   : notice_mails(job, run),
                                    notice_sent);
        }

        verdict = notice_settled(job, run);

        if (verdict != WORKER_DONE) {
            return verdict;
        }
    }

    return notice_end(job, run);
}


static worker_verdict_e
notice_sent(worker_job_t *job, const worker_http_response_t *resp)
{
    notice_run_t      *run = job->state;
    worker_verdict_e   verdict;

    (void) resp;
    verdict = notice_settled(job, run);

    return verdict == WORKER_DONE ? notice_next(job, run) : verdict;
}


static worker_verdict_e
notice_run(worker_job_t *job, bool push, const char *template)
{
    notice_run_t      *run;
    worker_verdict_e   verdict;

    run = worker_job_state(job, sizeof(notice_run_t), notice_free);

    if (run == NULL) {
        return WORKER_RETRY;
    }

    run->push = push;
    run->template = template;
    verdict = notice_recover(job);

    return verdict == WORKER_DONE ? notice_next(job, run) : verdict;
}


/* --- the jobs ------------------------------------------------------------ */

static worker_verdict_e
notice_batch(worker_job_t *job)
{
    bool               push;
    const char        *channel, *template;
    const json_t      *who;
    worker_verdict_e   verdict;

    channel = worker_body_string(job, "channel");
    template = worker_body_string(job, "template");
    who = json_object_get(job->body, "recipients");
    push = channel != NULL && strcmp(channel, "push") == 0;

    if (template == NULL
        || (!push && (channel == NULL || strcmp(channel, "email") != 0))
        || (who != NULL && (!json_is_array(who)
                            || json_array_size(who) > NOTICE_RECIPIENTS)))
    {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "template, channel \"email\" or \"push\", at "
                               "most %d recipients", NOTICE_RECIPIENTS);
    }

    verdict = who != NULL ? notice_expand(job, channel) : WORKER_DONE;

    return verdict == WORKER_DONE ? notice_run(job, push, template) : verdict;
}


/* body {template, user, data}. */
static worker_verdict_e
notice_push(worker_job_t *job)
{
    const char        *template, *user;
    worker_verdict_e   verdict;

    template = worker_body_string(job, "template");
    user = worker_body_string(job, "user");

    if (template == NULL || user == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "template and user are needed");
    }

    json_object_set_new(job->body, "recipients",
                        json_pack("[{s:s}]", "user", user));
    verdict = notice_expand(job, "push");

    return verdict == WORKER_DONE ? notice_run(job, true, template) : verdict;
}


static worker_verdict_e
notice_giveup(worker_job_t *job)
{
    worker_verdict_e  verdict;

    verdict = notice_fail(job);

    return verdict == WORKER_DONE
           ? worker_fail_event(job, "notification", "notification") : verdict;
}


const worker_job_type_t  worker_jobs_notice[] = {
    { "notification.push", "notification", TRAVEL_PRIORITY_NORMAL,
      notice_push, notice_giveup, 8, 1000, 300000, 300000, true },
    { "notification.batch", "notification", TRAVEL_PRIORITY_LOW,
      notice_batch, notice_giveup, 12, 1000, 300000, 3600000, true },
    { .type = NULL }
};
