/*
 * webhook.deliver: one domain event to one webhook (Standard Webhooks 1.0).
 *
 * body {delivery}.  The request's webhook-id is the delivery's, whatever job
 * sends it: a receiver that got it twice can tell.  No slot waits for a
 * receiver (ask.h).  Every secret signs, so that
 * a receiver may change from one to the next.  Attempts are spread over days by
 * the job's own backoff; each is on record.  410 ends the webhook.
 */

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ask.h"
#include "families.h"
#include "resource.h"
#include "../out/http.h"
#include "../pool/slot.h"
#include "../store/saga.h"
#include "../../common/hash.h"

#define WEBHOOK_TIMEOUT_MS  15000
#define WEBHOOK_ANSWER_MAX  65536
#define WEBHOOK_SECRET_MAX  64          /* bytes, decoded */
#define WEBHOOK_SIGN_MAX    512

typedef struct {
    const char  *delivery;
    const char  *webhook;
    const char  *url;
    const char  *secrets;               /* separated by blanks */
    const char  *payload;
} webhook_t;


static bool
webhook_do(worker_job_t *job, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    res = worker_query(job, sql, n, params);
    PQclear(res);
    return res != NULL;
}


/* --- the request --------------------------------------------------------- */

/* "v1,<base64>" of "<id>.<timestamp>.<payload>" by one "whsec_..." secret. */
static bool
webhook_sign_one(const char *secret, size_t len, travel_str_t content,
    char *dst, size_t room)
{
    int       n;
    uint8_t   key[WEBHOOK_SECRET_MAX + 3], md[TRAVEL_SHA256_LEN];

    if (len < 6 || strncmp(secret, "whsec_", 6) != 0
        || (len - 6) % 4 != 0 || (len - 6) / 4 * 3 > WEBHOOK_SECRET_MAX
        || room < 3 + 44 + 2)
    {
        return false;
    }

    n = EVP_DecodeBlock(key, (const uint8_t *) secret + 6, (int) len - 6);

    while (n > 0 && len > 6 && secret[len - 1] == '=') {
        n--;                            /* what the padding stands for */
        len--;
    }

    if (n <= 0
        || travel_hmac_sha256(md, (travel_str_t) { (char *) key, (size_t) n },
                              content) != TRAVEL_OK)
    {
        return false;
    }

    memcpy(dst, "v1,", 3);
    EVP_EncodeBlock((uint8_t *) dst + 3, md, sizeof(md));
    return true;
}


static bool
webhook_sign(const webhook_t *hook, const char *timestamp,
    char dst[WEBHOOK_SIGN_MAX])
{
    bool          good;
    char         *content;
    size_t        len, used;
    const char   *p;

    len = strlen(hook->delivery) + strlen(timestamp) + strlen(hook->payload)
          + 3;
    content = malloc(len);
    good = content != NULL;
    used = 0;

    if (good) {
        len = (size_t) snprintf(content, len, "%s.%s.%s", hook->delivery,
                                timestamp, hook->payload);
    }

    for (p = hook->secrets; good && *p != '\0'; p += strspn(p, " ")) {
        if (used > 0) {
            dst[used++] = ' ';
        }

        good = webhook_sign_one(p, strcspn(p, " "),
                                (travel_str_t) { content, len }, dst + used,
                                WEBHOOK_SIGN_MAX - used);
        used = good ? strlen(dst) : used;
        p += strcspn(p, " ");
    }

    free(content);
    return good && used > 0;
}


/* --- what became of it --------------------------------------------------- */

/* One row per attempt; 'state' of the delivery from now on. */
static bool
webhook_record(worker_job_t *job, const webhook_t *hook, const char *state,
    const worker_http_response_t *resp, long ms)
{
    char         status[16], took[24];
    const char  *params[] = { hook->delivery, status,
                              resp->error[0] != '\0' ? resp->error : NULL,
                              took, state };

    snprintf(status, sizeof(status), "%d", resp->status);
    snprintf(took, sizeof(took), "%ld", ms);

    return webhook_do(job,
        "WITH a AS (INSERT INTO jobs.webhook_attempt"
        "            (delivery_id, status, error, ms)"
        "           VALUES ($1::uuid, $2::int, $3, $4::int))"
        " UPDATE jobs.webhook_delivery SET state = $5 WHERE id = $1::uuid",
        5, params);
}


static worker_verdict_e
webhook_settle(worker_job_t *job, const char *state, worker_verdict_e verdict)
{
    switch (worker_saga_settle(job, "send", state, NULL)) {
    case TRAVEL_OK:
        return verdict;
    case TRAVEL_REFUSED:
        return WORKER_FENCED;
    default:
        return WORKER_RETRY;
    }
}


static worker_verdict_e
webhook_judge(worker_job_t *job, const webhook_t *hook,
    const worker_http_response_t *resp, long ms)
{
    int          rc;
    bool         good, over;
    const char  *params[] = { hook->webhook };

    rc = resp->rc;

    good = rc == TRAVEL_OK && resp->status >= 200 && resp->status <= 299;
    over = rc == TRAVEL_INVALID || (rc != TRAVEL_OK && resp->barred)
           || (rc == TRAVEL_OK && resp->status == 410);

    if (!webhook_record(job, hook, good ? "delivered" : over ? "dead"
                                                             : "pending",
                        resp, ms))
    {
        return WORKER_RETRY;
    }

    if (good) {
        return webhook_settle(job, "done", WORKER_DONE);
    }

    if (!over) {
        job->error.retry_after_ms = resp->retry_after_ms;
        (void) worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "the webhook answered %d %s", resp->status,
                               resp->error);
        return WORKER_RETRY;
    }

    if (resp->status == 410
        && !webhook_do(job, "UPDATE jobs.webhook SET state = 'gone',"
                            "       updated_at = now() WHERE id = $1::uuid",
                       1, params))
    {
        return WORKER_RETRY;
    }

    (void) worker_job_fail(job, WORKER_REJECT, "EXTERNAL_SERVICE_ERROR", "%s",
                           resp->status == 410 ? "the webhook is gone (410)"
                           : resp->barred ? "the address is not public"
                           : resp->error);
    return webhook_settle(job, "refused", WORKER_REJECT);
}


/* What the stage after the answer needs. */
typedef struct {
    char             delivery[40];
    char             webhook[40];
    struct timespec  begin;
} webhook_state_t;


static worker_verdict_e
webhook_answered(worker_job_t *job, const worker_http_response_t *resp)
{
    webhook_t         hook = { 0 };
    struct timespec   end;
    webhook_state_t  *state = job->state;

    hook.delivery = state->delivery;
    hook.webhook = state->webhook;
    clock_gettime(CLOCK_MONOTONIC, &end);

    return webhook_judge(job, &hook, resp,
                         (end.tv_sec - state->begin.tv_sec) * 1000
                         + (end.tv_nsec - state->begin.tv_nsec) / 1000000);
}


static worker_verdict_e
webhook_send(worker_job_t *job, const webhook_t *hook)
{
    char         id[64], at[64], timestamp[24];
    char         signature[WEBHOOK_SIGN_MAX + 32], sign[WEBHOOK_SIGN_MAX];
    const char  *headers[] = { id, at, signature,
                               "Content-Type: application/json", NULL };

    worker_http_request_t  req = {
        .method = "POST", .url = hook->url, .headers = headers,
        .body = { hook->payload, strlen(hook->payload) },
        .timeout_ms = WEBHOOK_TIMEOUT_MS, .max_response = WEBHOOK_ANSWER_MAX,
        .trace = &job->trace, .destination = "webhooks", .stranger = true
    };

    worker_http_response_t  resp = { 0 };

    snprintf(timestamp, sizeof(timestamp), "%lld", (long long) time(NULL));

    if (!webhook_sign(hook, timestamp, sign)) {
        resp.rc = TRAVEL_INVALID;
        snprintf(resp.error, sizeof(resp.error),
                 "a secret is not whsec_ and base64");
        return webhook_judge(job, hook, &resp, 0);
    }

    snprintf(id, sizeof(id), "webhook-id: %s", hook->delivery);
    snprintf(at, sizeof(at), "webhook-timestamp: %s", timestamp);
    snprintf(signature, sizeof(signature), "webhook-signature: %s", sign);

    return worker_job_ask(job, &req, webhook_answered);
}


static worker_verdict_e
webhook_call(worker_job_t *job, const webhook_t *hook)
{
    char              key[WORKER_STEP_KEY_MAX];
    json_t           *earlier;
    webhook_state_t  *state;

    switch (worker_saga_take(job, "send", key, &earlier)) {
    case WORKER_STEP_CALL:
        break;
    case WORKER_STEP_DONE:
        json_decref(earlier);
        return WORKER_DONE;
    case WORKER_STEP_REFUSED:
        json_decref(earlier);
        return worker_job_fail(job, WORKER_REJECT, "EXTERNAL_SERVICE_ERROR",
                               "the webhook does not want it");
    case WORKER_STEP_FENCED:
        json_decref(earlier);
        return WORKER_FENCED;
    case WORKER_STEP_FAILED:
        return WORKER_RETRY;
    }

    state = worker_job_state(job, sizeof(webhook_state_t), free);

    if (state == NULL) {
        return WORKER_RETRY;
    }

    snprintf(state->delivery, sizeof(state->delivery), "%s", hook->delivery);
    snprintf(state->webhook, sizeof(state->webhook), "%s", hook->webhook);
    clock_gettime(CLOCK_MONOTONIC, &state->begin);

    return webhook_send(job, hook);
}


static worker_verdict_e
webhook_deliver(worker_job_t *job)
{
    webhook_t          hook;
    PGresult          *res;
    const char        *params[1];
    worker_verdict_e   verdict;

    params[0] = worker_body_string(job, "delivery");

    if (params[0] == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "delivery is needed");
    }

    res = worker_query(job,
        "SELECT d.id, w.id, w.url, array_to_string(w.secrets, ' '), d.payload,"
        "       w.state, d.state"
        "  FROM jobs.webhook_delivery AS d"
        "  JOIN jobs.webhook AS w ON w.id = d.webhook_id"
        " WHERE d.id = $1::uuid", 1, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    if (PQntuples(res) == 0 || strcmp(PQgetvalue(res, 0, 5), "active") != 0) {
        verdict = worker_job_fail(job, WORKER_REJECT, "CONFLICT",
                                  "the webhook is not active");

    } else if (strcmp(PQgetvalue(res, 0, 6), "delivered") == 0) {
        verdict = WORKER_DONE;

    } else {
        hook = (webhook_t) { PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
                             PQgetvalue(res, 0, 2), PQgetvalue(res, 0, 3),
                             PQgetvalue(res, 0, 4) };
        verdict = webhook_call(job, &hook);
    }

    PQclear(res);
    return verdict;
}


static worker_verdict_e
webhook_giveup(worker_job_t *job)
{
    const char  *params[] = { worker_body_string(job, "delivery") };

    return params[0] == NULL
           || webhook_do(job, "UPDATE jobs.webhook_delivery SET state = 'dead'"
                              " WHERE id = $1::uuid AND state = 'pending'", 1,
                         params)
           ? WORKER_DONE : WORKER_RETRY;
}


/* 16 tries: 5 s, 10 s, 20 s ... 12 h; about two days in the middle. */
const worker_job_type_t  worker_jobs_webhook[] = {
    { "webhook.deliver", "maintenance", TRAVEL_PRIORITY_LOW, webhook_deliver,
      webhook_giveup, 15, 5000, 43200000, 60000, true },
    { .type = NULL }
};
