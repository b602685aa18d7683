/* A partner's call as a saga step. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "partner.h"
#include "../out/http.h"
#include "../pool/slot.h"

#define PARTNER_URL_MAX      1024
#define PARTNER_HEADER_MAX   640
#define PARTNER_TIMEOUT_MS   10000


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


static long
partner_timeout(const worker_job_t *job, const worker_partner_t *partner)
{
    int64_t          left;
    struct timespec  now;

    left = partner->timeout_ms > 0 ? partner->timeout_ms : PARTNER_TIMEOUT_MS;

    if (job->deadline > 0) {
        clock_gettime(CLOCK_REALTIME, &now);
        now.tv_sec = (time_t) (job->deadline / 1000 - now.tv_sec);

        if (now.tv_sec < left / 1000 + 1) {
            left = now.tv_sec > 1 ? (now.tv_sec - 1) * 1000 : 500;
        }
    }

    return (long) left;
}


static int
partner_send(worker_job_t *job, const worker_partner_t *partner,
    const worker_partner_call_t *call, const char *key,
    worker_http_response_t *ret_resp)
{
    int                     rc;
    char                    url[PARTNER_URL_MAX], *body;
    char                    idem[PARTNER_HEADER_MAX], auth[PARTNER_HEADER_MAX];
    size_t                  i, n;
    const char             *headers[WORKER_HEADERS_MAX + 5];
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
    req.timeout_ms = partner_timeout(job, partner);
    req.trace = &job->trace;
    req.destination = partner->code;

    rc = worker_http_call(job->slot->io, &req, ret_resp);
    free(body);
    return rc;
}


/* Settles the step by the answer; steals nothing. */
static worker_verdict_e
partner_settle(worker_job_t *job, const worker_partner_call_t *call,
    const char *state, json_t *answer, json_t **ret_answer)
{
    switch (worker_saga_settle(job, call->step, state, json_incref(answer))) {

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


static worker_verdict_e
partner_judge(worker_job_t *job, const worker_partner_call_t *call, int rc,
    const worker_http_response_t *resp, json_t **ret_answer)
{
    json_t            *answer;
    worker_verdict_e   verdict;

    if (rc != TRAVEL_OK) {
        verdict = worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                                  "%s, %s: %s", call->partner, call->step,
                                  resp->error);
        job->error.retry_after_ms = resp->retry_after_ms;
        return verdict;
    }

    if (resp->status >= 200 && resp->status <= 299) {
        answer = resp->len > 0 ? json_loads(resp->body, 0, NULL)
                               : json_object();

        if (json_is_object(answer)) {
            return partner_settle(job, call, "done", answer, ret_answer);
        }

        json_decref(answer);
        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "%s, %s: the answer is not a JSON object",
                               call->partner, call->step);
    }

    if (resp->status >= 400 && resp->status <= 499 && resp->status != 408
        && resp->status != 425 && resp->status != 429)
    {
        return partner_settle(job, call, "refused",
                              partner_refusal(resp->status, resp->body),
                              ret_answer);
    }

    verdict = worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                              "%s, %s: status %d", call->partner, call->step,
                              resp->status);
    job->error.retry_after_ms = resp->retry_after_ms;
    return verdict;
}


worker_verdict_e
worker_partner_step(worker_job_t *job, const worker_partner_call_t *call,
    json_t **ret_answer)
{
    int                      rc;
    char                     key[WORKER_STEP_KEY_MAX];
    worker_verdict_e         verdict;
    worker_http_response_t   resp;
    const worker_partner_t  *partner;

    *ret_answer = NULL;
    partner = worker_conf_partner(job->slot->conf, call->partner);

    if (partner == NULL) {
        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "partner \"%s\" is not configured",
                               call->partner);
    }

    switch (worker_saga_take(job, call->step, key, ret_answer)) {

    case WORKER_STEP_CALL:
        break;
    case WORKER_STEP_DONE:
        return WORKER_DONE;
    case WORKER_STEP_REFUSED:
        return partner_refused(job, *ret_answer);
    case WORKER_STEP_FENCED:
        return WORKER_FENCED;
    case WORKER_STEP_FAILED:
        return WORKER_RETRY;
    }

    rc = partner_send(job, partner, call, call->key != NULL ? call->key : key,
                      &resp);
    verdict = partner_judge(job, call, rc, &resp, ret_answer);
    worker_http_response_free(&resp);

    return verdict;
}
