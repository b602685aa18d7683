/*
 * Jobs of notifications: notification.email.
 *
 * body {template, to, data}: conf/travel/templates/<template>.txt (first line
 * "Subject: ...", an empty line, the text) and, when there is one,
 * <template>.html.  The mail is a saga step, so a crash after it was accepted
 * does not send it again unless the crash came before the row was settled; then
 * the second copy carries the same Message-ID.
 */

#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "resource.h"
#include "template.h"
#include "../out/smtp.h"
#include "../pool/slot.h"
#include "../store/saga.h"

#define NOTIFICATION_NAME_MAX  64

typedef struct {
    char  *subject;               /* all owned */
    char  *text;
    char  *html;                  /* or NULL */
} notification_t;


static void
notification_free(notification_t *n)
{
    free(n->subject);
    free(n->text);
    free(n->html);
}


/* The subject is the file's first line, without "Subject: ". */
static bool
notification_split(notification_t *n, const char *source, const json_t *data)
{
    size_t       line;
    const char  *body;

    line = strcspn(source, "\n");

    if (strncmp(source, "Subject: ", 9) != 0 || line < 10) {
        return false;
    }

    body = source + line;
    body += strspn(body, "\n");

    n->subject = worker_template_render(
                     (travel_str_t) { source + 9, line - 9 }, data, false);
    n->text = worker_template_render(
                  (travel_str_t) { body, strlen(body) }, data, false);

    return n->subject != NULL && n->text != NULL;
}


static bool
notification_render(const worker_job_t *job, const char *template,
    notification_t *n)
{
    bool           good;
    char           file[NOTIFICATION_NAME_MAX + 8], *source;
    const char    *dir;
    const json_t  *data;

    dir = job->slot->conf->templates_dir;
    data = json_object_get(job->body, "data");

    snprintf(file, sizeof(file), "%.64s.txt", template);
    source = worker_template_load(dir, file);

    if (source == NULL) {
        return false;
    }

    good = notification_split(n, source, data);
    free(source);

    snprintf(file, sizeof(file), "%.64s.html", template);
    source = good ? worker_template_load(dir, file) : NULL;

    if (source != NULL) {
        n->html = worker_template_render(
                      (travel_str_t) { source, strlen(source) }, data, true);
        good = n->html != NULL;
        free(source);
    }

    return good;
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


static worker_verdict_e
notification_send(worker_job_t *job, const char *to, const notification_t *n)
{
    char              why[160], id[64];
    worker_mail_t     mail = { .to = to, .subject = n->subject,
                               .text = n->text, .html = n->html,
                               .message_id = id, .trace = &job->trace };
    worker_verdict_e  verdict;

    snprintf(id, sizeof(id), "%s@travel.local", job->uuid);

    switch (worker_smtp_send(job->slot->conf, &mail, why)) {

    case TRAVEL_OK:
        return notification_settled(job, "done",
                                    json_pack("{s:s, s:s}", "sent", to,
                                              "message_id", id));

    case TRAVEL_REFUSED:
        verdict = notification_settled(job, "refused",
                                       json_pack("{s:s}", "refused", why));

        if (verdict != WORKER_DONE) {
            return verdict;
        }

        return worker_job_fail(job, WORKER_REJECT, "EXTERNAL_SERVICE_ERROR",
                               "%s", why);

    default:
        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "%s", why);
    }
}


static worker_verdict_e
notification_take(worker_job_t *job, const char *to, const notification_t *n)
{
    char               key[WORKER_STEP_KEY_MAX];
    json_t            *earlier;
    worker_verdict_e   verdict;

    verdict = WORKER_RETRY;

    switch (worker_saga_take(job, "send", key, &earlier)) {

    case WORKER_STEP_CALL:
        return notification_send(job, to, n);

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


static worker_verdict_e
notification_email(worker_job_t *job)
{
    const char        *to, *template;
    notification_t     n = { .subject = NULL };
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

    if (notification_render(job, template, &n)) {
        verdict = notification_take(job, to, &n);

    } else {
        verdict = worker_job_fail(job, WORKER_REJECT, "INTERNAL_ERROR",
                                  "the mail template \"%.64s\" cannot be used",
                                  template);
    }

    notification_free(&n);
    return verdict;
}


static worker_verdict_e
notification_giveup(worker_job_t *job)
{
    return worker_fail_event(job, "notification", "notification");
}


const worker_job_type_t  worker_jobs_notification[] = {
    { "notification.email", "notification", TRAVEL_PRIORITY_NORMAL,
      notification_email, notification_giveup, 8, 1000, 300000, 120000,
      true },
    { .type = NULL }
};
