/* A provider's text as a saga step: taken, written, settled. */

#include "compose.h"
#include "../../common/hash.h"
#include "../ai/provider.h"
#include "../store/saga.h"

#define COMPOSE_PROVIDER  "offline"


/* Text from the same job's id is the same text. */
static uint64_t
compose_seed(const worker_job_t *job)
{
    uint64_t  seed;
    uint8_t   md[TRAVEL_SHA256_LEN];

    seed = 0;

    if (travel_sha256(md, (travel_str_t) { job->uuid, strlen(job->uuid) })
        == TRAVEL_OK)
    {
        memcpy(&seed, md, sizeof(seed));
    }

    return seed;
}


int
worker_compose(worker_job_t *job, const worker_compose_t *compose,
    json_t **ret_text)
{
    worker_ai_answer_t    answer;
    worker_ai_request_t   req = { .task = compose->task,
                                  .theme = compose->theme,
                                  .facts = compose->facts };

    req.seed = compose_seed(job);

    if (worker_provider(COMPOSE_PROVIDER)->complete(job, &req, &answer)
        != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    job->tokens += (uint64_t) (answer.input_tokens + answer.output_tokens);
    *ret_text = json_pack("{s:s, s:s, s:s}", "title", answer.title,
                          "content", answer.content, "model", answer.model);
    worker_ai_answer_free(&answer);

    if (*ret_text == NULL) {
        (void) worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "the provider's answer is not UTF-8");
        return TRAVEL_ERROR;
    }

    return TRAVEL_OK;
}


worker_verdict_e
worker_compose_step(worker_job_t *job, const worker_compose_t *compose,
    json_t **ret_text)
{
    int      rc;
    char     key[WORKER_STEP_KEY_MAX];
    json_t  *text;

    *ret_text = NULL;

    switch (worker_saga_take(job, compose->step, key, ret_text)) {

    case WORKER_STEP_CALL:
        break;
    case WORKER_STEP_DONE:
        return WORKER_DONE;
    case WORKER_STEP_REFUSED:
        json_decref(*ret_text);
        *ret_text = NULL;
        return worker_job_fail(job, WORKER_REJECT, "CONFLICT",
                               "the saga has been turned round");
    case WORKER_STEP_FENCED:
        return WORKER_FENCED;
    case WORKER_STEP_FAILED:
        return WORKER_RETRY;
    }

    if (worker_compose(job, compose, &text) != TRAVEL_OK) {
        return WORKER_RETRY;
    }

    rc = worker_saga_settle(job, compose->step, "done", json_incref(text));

    if (rc != TRAVEL_OK) {
        json_decref(text);
        return rc == TRAVEL_REFUSED ? WORKER_FENCED : WORKER_RETRY;
    }

    *ret_text = text;
    return WORKER_DONE;
}
