/*
 * Messages to many: notification.batch, and notification.push, which is one to
 * all devices of a user.
 *
 * body {channel, template, data, recipients}: "email" or "push"; a recipient
 * is {user} or {to}, and may have "data" of its own.  A batch that SQL made
 * (jobs.notify) has its rows already and comes without recipients.
 *
 * Chunk by chunk: taken in the database, sent all at once, settled in the
 * database.  A crash in between repeats a chunk, under the same Message-IDs
 * and push ids.  Cancelling leaves what is not sent as it is.
 */

#include <stdio.h>
#include <stdlib.h>

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
    worker_job_t      *job;
    const char        *template;
    PGresult          *res;
    notice_t           notices[NOTICE_CHUNK];
    notice_answer_t    answers[NOTICE_CHUNK];
    size_t             n;
    worker_message_t   messages[NOTICE_CHUNK];
    json_t            *data[NOTICE_CHUNK];
    char               ids[NOTICE_CHUNK][64];
    size_t             at[NOTICE_CHUNK];     /* of the one that is sent i-th */
    size_t             nsent;
} notice_chunk_t;


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

static void
notice_mails(notice_chunk_t *c)
{
    size_t                 i, k;
    worker_mail_t         *mails;
    notice_answer_t       *answer;
    worker_mail_answer_t  *said;

    mails = calloc(c->nsent, sizeof(worker_mail_t));
    said = calloc(c->nsent, sizeof(worker_mail_answer_t));

    if (mails == NULL || said == NULL) {
        free(mails);
        free(said);
        return;                         /* all stay LATER */
    }

    for (i = 0; i < c->nsent; i++) {
        k = c->at[i];
        snprintf(c->ids[k] + 36, sizeof(c->ids[k]) - 36, "@travel.local");
        mails[i] = (worker_mail_t) {
            .to = c->notices[k].address, .subject = c->messages[k].subject,
            .text = c->messages[k].text, .html = c->messages[k].html,
            .message_id = c->ids[k], .trace = &c->job->trace
        };
    }

    worker_smtp_send(c->job->slot->io, mails, said, c->nsent);

    for (i = 0; i < c->nsent; i++) {
        answer = &c->answers[c->at[i]];
        answer->outcome = said[i].bounce == TRAVEL_SMTP_ACCEPTED ? NOTICE_SENT
                          : said[i].bounce == TRAVEL_SMTP_SOFT ? NOTICE_LATER
                          : said[i].bounce == TRAVEL_SMTP_HARD
                            ? NOTICE_BOUNCED : NOTICE_REFUSED;
        answer->wait_ms = said[i].retry_after_ms;
        answer->slow = said[i].retry_after_ms > 0;
        memcpy(answer->why, said[i].why, sizeof(answer->why));
    }

    free(mails);
    free(said);
}


/* --- pushes -------------------------------------------------------------- */

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


static void
notice_pushes(notice_chunk_t *c)
{
    size_t                 i, k;
    worker_push_t         *pushes;
    worker_push_answer_t  *said;

    pushes = calloc(c->nsent, sizeof(worker_push_t));
    said = calloc(c->nsent, sizeof(worker_push_answer_t));

    if (pushes == NULL || said == NULL) {
        free(pushes);
        free(said);
        return;
    }

    for (i = 0; i < c->nsent; i++) {
        k = c->at[i];
        pushes[i] = (worker_push_t) {
            .service = (worker_push_service_e)
                       worker_push_service(c->notices[k].service),
            .token = c->notices[k].address, .id = c->ids[k],
            .title = c->messages[k].subject, .body = c->messages[k].text,
            .data = c->data[k], .trace = &c->job->trace
        };
    }

    worker_push_send(c->job->slot->io, pushes, said, c->nsent);

    for (i = 0; i < c->nsent; i++) {
        notice_pushed(&c->answers[c->at[i]], &said[i]);
    }

    free(pushes);
    free(said);
}


/* --- a chunk ------------------------------------------------------------- */

/* The text of each; those whose template cannot be used are answered. */
static void
notice_render(notice_chunk_t *c, bool push)
{
    bool                   good;
    size_t                 i;
    json_t                *own, *data;
    const worker_conf_t   *conf;

    conf = c->job->slot->conf;

    for (i = 0; i < c->n; i++) {
        own = json_loads(c->notices[i].data, 0, NULL);
        data = json_object();
        json_object_update(data, json_object_get(c->job->body, "data"));
        json_object_update(data, own);
        json_decref(own);
        c->data[i] = data;

        good = push ? worker_message_push(conf, c->template, data,
                                          &c->messages[i])
                    : worker_message_render(conf, c->template, data,
                                            &c->messages[i]);

        if (good && notice_id(c->job, c->notices[i].n, c->ids[i])) {
            c->answers[i].outcome = NOTICE_LATER;
            c->at[c->nsent++] = i;
            continue;
        }

        c->answers[i].outcome = NOTICE_REFUSED;
        snprintf(c->answers[i].why, sizeof(c->answers[i].why),
                 "the template \"%.64s\" cannot be used", c->template);
    }
}


/* Takes, sends and settles; *ret_slow: the service wants a pause. */
static worker_verdict_e
notice_chunk(notice_chunk_t *c, bool push, long *ret_slow_ms)
{
    size_t             i;
    worker_verdict_e   verdict;

    verdict = notice_take(c->job, &c->res, c->notices, &c->n);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    if (c->n > 0) {
        notice_render(c, push);

        if (push) {
            notice_pushes(c);
        } else {
            notice_mails(c);
        }

        verdict = notice_settle(c->job, c->notices, c->answers, c->n);
    }

    for (i = 0; i < c->n; i++) {
        if (c->answers[i].slow && c->answers[i].wait_ms > *ret_slow_ms) {
            *ret_slow_ms = c->answers[i].wait_ms;
        }

        worker_message_free(&c->messages[i]);
        json_decref(c->data[i]);
    }

    PQclear(c->res);
    return verdict;
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


static worker_verdict_e
notice_over(worker_job_t *job, const notice_count_t *count)
{
    json_decref(job->result);
    job->result = json_pack("{s:I, s:I, s:I}",
                            "sent", (json_int_t) count->sent,
                            "refused", (json_int_t) count->refused,
                            "failed", (json_int_t) count->failed);
    return WORKER_DONE;
}


/* Until nothing is due, or the service wants a pause. */
static worker_verdict_e
notice_run(worker_job_t *job, bool push, const char *template)
{
    long               slow;
    size_t             n;
    unsigned           turn;
    notice_chunk_t    *c;
    notice_count_t     count;
    worker_verdict_e   verdict;

    slow = 0;
    turn = 0;
    c = malloc(sizeof(notice_chunk_t));
    verdict = c != NULL ? notice_recover(job)
                        : worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                                          "out of memory");
    n = 1;

    while (verdict == WORKER_DONE && n > 0 && slow == 0 && !job->cancel) {
        memset(c, 0, sizeof(*c));
        c->job = job;
        c->template = template;
        verdict = notice_chunk(c, push, &slow);
        n = c->n;

        if (verdict == WORKER_DONE && turn++ % NOTICE_TELL == 0) {
            verdict = notice_count(job, &count);

            if (verdict == WORKER_DONE) {
                notice_progress(job, &count);
            }
        }
    }

    if (verdict == WORKER_DONE) {
        verdict = notice_count(job, &count);
    }

    free(c);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    if (job->cancel) {
        return worker_job_fail(job, WORKER_REJECT, "CANCELLED",
                               "cancelled on the way");
    }

    if (count.open == 0) {
        return notice_over(job, &count);
    }

    job->error.retry_after_ms = slow > count.due_ms ? slow : count.due_ms;
    return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                           "%ld of the batch are to be sent later",
                           count.open);
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
