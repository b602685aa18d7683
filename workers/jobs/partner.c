/*
 * A partner's call as a saga step, without a slot while it lasts.
 *
 * What came of a step in this attempt is noted with the job: "step <name>" of
 * its memo (jobs/ask.h) is {verdict, answer}, "asked" is who was asked last.
 */

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "partner.h"
#include "../pool/slot.h"

#define PARTNER_URL_MAX      1024
#define PARTNER_HEADER_MAX   640
#define PARTNER_TIMEOUT_MS   10000
#define PARTNER_NOTE         "step "
#define PARTNER_NOTE_MAX     64

static worker_verdict_e partner_answered(worker_job_t *job,
    const worker_http_response_t *resp);


bool
worker_path_segment(char *dst, size_t room, const char *text)
{
    size_t  n;

    if (*text == '\0') {
        return false;
    }

    for (n = 0; *text != '\0'; text++) {

        if (n + 4 > room) {
            return false;
        }

        if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')
            || (*text >= '0' && *text <= '9') || strchr("-_~", *text) != NULL)
        {
            dst[n++] = *text;
        } else {
            n += (size_t) sprintf(dst + n, "%%%02X", (uint8_t) *text);
        }
    }

    dst[n] = '\0';
    return true;
}


/* A partner's code is shown to the client when it looks like one. */
static bool
partner_code_good(const char *code)
{
    size_t  n;

    n = strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return n > 0 && n < 48 && code[n] == '\0';
}


/* {status, code, message} of a refusal, whichever way the partner says it. */
static json_t *
partner_refusal(int status, const char *body)
{
    json_t      *doc, *error, *refusal;
    const char  *code, *message;

    doc = json_loads(body, 0, NULL);
    error = json_object_get(doc, "error");

    if (!json_is_object(error)) {
        error = doc;
    }

    code = json_string_value(json_object_get(error, "code"));
    message = json_string_value(json_object_get(error, "message"));

    refusal = json_pack("{s:i, s:s, s:s}", "status", status,
                        "code", code != NULL && partner_code_good(code)
                                ? code : "EXTERNAL_SERVICE_ERROR",
                        "message", message != NULL ? message
                                                   : "the partner refused");
    json_decref(doc);
    return refusal;
}


static worker_verdict_e
partner_refused(worker_job_t *job, const json_t *refusal)
{
    const char  *code, *message;

    code = json_string_value(json_object_get(refusal, "code"));
    message = json_string_value(json_object_get(refusal, "message"));

    return worker_job_fail(job, WORKER_REJECT,
                           code != NULL ? code : "EXTERNAL_SERVICE_ERROR",
                           "%s", message != NULL ? message
                                                 : "the partner refused");
}


/* The call goes out when the job has left its slot. */
static worker_verdict_e
partner_ask(worker_job_t *job, const worker_partner_t *partner,
    const worker_partner_call_t *call, const char *key)
{
    char                    url[PARTNER_URL_MAX], *body;
    char                    idem[PARTNER_HEADER_MAX], auth[PARTNER_HEADER_MAX];
    size_t                  i, n;
    const char             *headers[WORKER_HEADERS_MAX + 5];
    worker_verdict_e        verdict;
    worker_http_request_t   req = { .method = call->method };

    body = call->body != NULL ? json_dumps(call->body, JSON_COMPACT) : NULL;
    snprintf(url, sizeof(url), "%s%s", partner->url, call->path);
    snprintf(idem, sizeof(idem), "Idempotency-Key: %s", key);

    n = 0;
    headers[n++] = idem;
    headers[n++] = "Accept: application/json";

    if (body != NULL) {
        headers[n++] = "Content-Type: application/json";
        req.body = (travel_str_t) { body, strlen(body) };
    }

    if (partner->key != NULL) {
        snprintf(auth, sizeof(auth), "Authorization: Bearer %s", partner->key);
        headers[n++] = auth;
    }

    for (i = 0; i < WORKER_HEADERS_MAX && partner->headers[i] != NULL; i++) {
        headers[n++] = partner->headers[i];
    }

    headers[n] = NULL;
    req.url = url;
    req.headers = headers;
    req.timeout_ms = partner->timeout_ms > 0 ? partner->timeout_ms
                                             : PARTNER_TIMEOUT_MS;
    req.trace = &job->trace;
    req.destination = partner->code;

    worker_job_memo_set(job, "asked", json_pack("{s:s, s:s}", "partner",
                                                call->partner, "step",
                                                call->step));
    verdict = worker_job_ask(job, &req, partner_answered);
    free(body);
    return verdict;
}


/* Settles the step by the answer; steals nothing. */
static worker_verdict_e
partner_settle(worker_job_t *job, const char *step,
    const char *state, json_t *answer, json_t **ret_answer)
{
    switch (worker_saga_settle(job, step, state, json_incref(answer))) {

    case TRAVEL_OK:
        *ret_answer = answer;
        return strcmp(state, "done") == 0 ? WORKER_DONE
                                          : partner_refused(job, answer);

    case TRAVEL_REFUSED:
        json_decref(answer);
        return WORKER_FENCED;

    default:
        json_decref(answer);
        return WORKER_RETRY;
    }
}


json_t *
worker_partner_good(const worker_http_response_t *resp)
{
    json_t  *answer;

    if (resp->rc != TRAVEL_OK || resp->status < 200 || resp->status > 299) {
        return NULL;
    }

    answer = resp->len > 0 ? json_loads(resp->body, 0, NULL) : json_object();

    if (!json_is_object(answer)) {
        json_decref(answer);
        return NULL;
    }

    return answer;
}


static worker_verdict_e
partner_judge(worker_job_t *job, const char *partner, const char *step,
    const worker_http_response_t *resp, json_t **ret_answer)
{
    json_t            *answer;
    worker_verdict_e   verdict;

    if (resp->rc != TRAVEL_OK) {
        verdict = worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                                  "%s, %s: %s", partner, step, resp->error);
        job->error.retry_after_ms = resp->retry_after_ms;
        return verdict;
    }

    if (resp->status >= 200 && resp->status <= 299) {
        answer = worker_partner_good(resp);

        if (answer != NULL) {
            return partner_settle(job, step, "done", answer, ret_answer);
        }

        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "%s, %s: the answer is not a JSON object",
                               partner, step);
    }

    if (resp->status >= 400 && resp->status <= 499 && resp->status != 408
        && resp->status != 425 && resp->status != 429)
    {
        return partner_settle(job, step, "refused",
                              partner_refusal(resp->status, resp->body),
                              ret_answer);
    }

    verdict = worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                              "%s, %s: status %d", partner, step, resp->status);
    job->error.retry_after_ms = resp->retry_after_ms;
    return verdict;
}


void
worker_partner_note(worker_job_t *job, const char *step,
    worker_verdict_e verdict, json_t *answer)
{
    char  name[PARTNER_NOTE_MAX];

    snprintf(name, sizeof(name), PARTNER_NOTE "%s", step);
    worker_job_memo_set(job, name, json_pack("{s:i, s:o?}", "verdict",
                                             (int) verdict, "answer",
                                             answer));
}


/* True: it was called in this attempt, and this came of it. */
static bool
partner_noted(const worker_job_t *job, const char *step,
    worker_verdict_e *ret_verdict, json_t **ret_answer)
{
    char          name[PARTNER_NOTE_MAX];
    const json_t *note, *answer;

    snprintf(name, sizeof(name), PARTNER_NOTE "%s", step);
    note = worker_job_memo(job, name);

    if (note == NULL) {
        return false;
    }

    answer = json_object_get(note, "answer");
    *ret_answer = json_is_null(answer) ? NULL : json_incref((json_t *) answer);
    *ret_verdict = (worker_verdict_e) json_integer_value(
                       json_object_get(note, "verdict"));
    return true;
}


void
worker_partner_taken(worker_job_t *job, const char *step)
{
    worker_job_memo_set(job, "taken", json_string(step));
}


const char *
worker_partner_asked(const worker_job_t *job)
{
    return json_string_value(json_object_get(worker_job_memo(job, "asked"),
                                             "step"));
}


/* By a batch: *ret_answer stays NULL.  Else as worker_saga_take. */
static worker_step_e
partner_take(worker_job_t *job, const char *step,
    char ret_key[WORKER_STEP_KEY_MAX], json_t **ret_answer)
{
    const char  *taken;

    taken = json_string_value(worker_job_memo(job, "taken"));

    if (taken == NULL || strcmp(taken, step) != 0) {
        return worker_saga_take(job, step, ret_key, ret_answer);
    }

    worker_job_memo_set(job, "taken", json_null());
    snprintf(ret_key, WORKER_STEP_KEY_MAX, "%s:%s", job->job_id, step);
    return WORKER_STEP_CALL;
}


/* The next stage: the answer is put on record, and the handler goes on. */
static worker_verdict_e
partner_answered(worker_job_t *job, const worker_http_response_t *resp)
{
    json_t            *asked, *answer;
    const char        *step;
    worker_verdict_e   verdict;

    answer = NULL;
    asked = worker_job_memo(job, "asked");
    step = worker_partner_asked(job);
    verdict = partner_judge(job, json_string_value(
                                     json_object_get(asked, "partner")),
                            step, resp, &answer);
    worker_partner_note(job, step, verdict, answer);

    return worker_job_again(job);
}


worker_verdict_e
worker_partner_step(worker_job_t *job, const worker_partner_call_t *call,
    json_t **ret_answer)
{
    char                     key[WORKER_STEP_KEY_MAX];
    worker_verdict_e         verdict;
    const worker_partner_t  *partner;

    *ret_answer = NULL;

    if (partner_noted(job, call->step, &verdict, ret_answer)) {
        return verdict;
    }

    partner = worker_conf_partner(job->slot->conf, call->partner);

    if (partner == NULL) {
        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "partner \"%s\" is not configured",
                               call->partner);
    }

    switch (partner_take(job, call->step, key, ret_answer)) {

    case WORKER_STEP_CALL:
        return partner_ask(job, partner, call, call->key != NULL ? call->key
                                                                 : key);
    case WORKER_STEP_DONE:
        verdict = WORKER_DONE;
        break;
    case WORKER_STEP_REFUSED:
        verdict = partner_refused(job, *ret_answer);
        break;
    case WORKER_STEP_FENCED:
        return WORKER_FENCED;
    default:
        return WORKER_RETRY;
    }

    worker_partner_note(job, call->step, verdict, json_incref(*ret_answer));
    return verdict;
}
