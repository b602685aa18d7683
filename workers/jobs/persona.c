/*
 * Jobs of personas: persona.start, persona.generate, persona.discard.
 *
 * start     tx "start": the caller's persona, made if there is none; with
 *           three answers it is begun, by a follow-up job
 * generate  the saga of the table persona_steps:
 *           tx "begin": what the friends said most
 *           provider step "compose": a prompt
 *           tx "describe": persona.synthesized
 *           partner step "image" (with "images" in workers.conf): a portrait
 *           tx "ready": persona.ready
 * failed    (refused, or retries used up) tx "fail": persona.failed, and, when
 *           a portrait may be out there, persona.discard
 */

#include <stdio.h>
#include <stdlib.h>

#include "compose.h"
#include "families.h"
#include "partner.h"
#include "resource.h"
#include "../pool/slot.h"
#include "../store/saga_run.h"

#define PERSONA_PATH_MAX  512

static const worker_saga_t  persona_saga;


/* --- start --------------------------------------------------------------- */

/* Columns: persona, id, survey_id, made, started. */
static PGresult *
persona_start_row(worker_tx_t *tx)
{
    const char  *params[] = { tx->job->uuid, tx->job->sub,
                              worker_body_string(tx->job, "survey_id") };

    if (worker_tx_user(tx) != TRAVEL_OK) {
        return NULL;
    }

    return worker_tx_exec(tx, "SELECT * FROM travel.start_persona($1::uuid,"
                              " $2::uuid, $3::uuid)", 3, params);
}


static int
persona_started(worker_tx_t *tx, const PGresult *res)
{
    const char  *id, *survey;

    id = PQgetvalue(res, 0, 1);
    survey = PQgetvalue(res, 0, 2);

    if (*PQgetvalue(res, 0, 3) == 't'
        && worker_tx_event(tx, "persona", id, -1, "persona.created",
                           json_object()) != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    if (*PQgetvalue(res, 0, 4) != 't') {
        return TRAVEL_OK;
    }

    if (worker_tx_event(tx, "persona", id, -1, "persona.synthesizing",
                        json_pack("{s:s}", "survey_id", survey))
        != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    return worker_tx_job(tx, "persona.generate", id,
                         json_pack("{s:s, s:s, s:s}", "persona_id", id,
                                   "user_id", tx->job->sub, "survey_id",
                                   survey));
}


static worker_verdict_e
persona_start(worker_job_t *job)
{
    PGresult     *res;
    worker_tx_e   state;
    worker_tx_t   tx;

    state = worker_tx_begin(&tx, job, "start");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    res = persona_start_row(&tx);

    if (res == NULL || persona_started(&tx, res) != TRAVEL_OK) {
        return worker_tx_retry(&tx, res);
    }

    worker_tx_tag(&tx, "user:%s persona:%s", job->sub, job->sub);
    return worker_tx_commit_row(&tx, res);
}


/* --- generate ------------------------------------------------------------ */

static const char *
persona_id(const worker_job_t *job)
{
    return worker_body_string(job, "persona_id");
}


/* Ends a transaction that has moved the persona on: the row, its event. */
static worker_verdict_e
persona_move(worker_tx_t *tx, PGresult *res, const char *type, json_t *data)
{

    if (res == NULL) {
        json_decref(data);
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    if (PQntuples(res) == 0) {
        json_decref(data);
        PQclear(res);
        return worker_tx_refuse(tx, "CONFLICT",
                                "the persona is not being made any more");
    }

    if (worker_tx_event(tx, "persona", persona_id(tx->job), -1, type, data)
        != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    worker_tx_tag(tx, "user:%s persona:%s", tx->job->sub, tx->job->sub);
    return worker_tx_commit_row(tx, res);
}


/* The result: {traits, items: [{question, answer, votes}]}. */
static worker_verdict_e
persona_begin_in(worker_tx_t *tx, json_t **ret_facts)
{
    json_t      *traits;
    PGresult    *res;
    const char  *params[] = { persona_id(tx->job),
                              worker_body_string(tx->job, "survey_id") };

    res = worker_tx_exec(tx, "SELECT travel.survey_traits($2::uuid)"
                             "  FROM travel.personas WHERE id = $1::uuid"
                             "   AND status = 'synthesizing'", 2, params);

    if (res == NULL || worker_saga_begin(tx, &persona_saga) != TRAVEL_OK) {
        return worker_tx_retry(tx, res);
    }

    traits = worker_row_json(res, 0);
    PQclear(res);

    if (traits == NULL) {
        return worker_tx_refuse(tx, "CONFLICT",
                                "the persona is not being made any more");
    }

    *ret_facts = json_pack("{s:i, s:o}", "traits",
                           (int) json_array_size(traits), "items", traits);
    return worker_tx_commit(tx, json_incref(*ret_facts));
}


static worker_verdict_e
persona_do_begin(worker_saga_run_t *run, json_t **ret_result)
{
    worker_tx_e       state;
    worker_tx_t       tx;
    worker_verdict_e  verdict;

    state = worker_tx_begin(&tx, run->job, "begin");

    if (state == WORKER_TX_FRESH) {
        return persona_begin_in(&tx, ret_result);
    }

    verdict = worker_tx_not_fresh(&tx, state);

    if (verdict == WORKER_DONE) {
        *ret_result = json_incref(run->job->result);
    }

    return verdict;
}


static worker_verdict_e
persona_do_compose(worker_saga_run_t *run, json_t **ret_result)
{
    worker_compose_t  compose = {
        .step = "compose", .task = "persona", .theme = "default",
        .facts = json_object_get(run->results, "begin"),
    };

    return worker_compose_step(run->job, &compose, ret_result);
}


static worker_verdict_e
persona_do_describe(worker_saga_run_t *run, json_t **ret_result)
{
    json_t       *text;
    worker_tx_e   state;
    worker_tx_t   tx;
    const char   *params[3];

    (void) ret_result;
    text = json_object_get(run->results, "compose");
    state = worker_tx_begin(&tx, run->job, "describe");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    params[0] = persona_id(run->job);
    params[1] = json_string_value(json_object_get(text, "content"));
    params[2] = json_string_value(json_object_get(text, "model"));

    return persona_move(&tx, worker_tx_exec(&tx,
        "UPDATE travel.personas AS p"
        "   SET status = 'generating_image', persona_prompt = $2,"
        "       provider = $3, illustration_url = NULL, updated_at = now()"
        " WHERE id = $1::uuid AND status = 'synthesizing'"
        " RETURNING travel.persona_json(p)", 3, params),
        "persona.synthesized", json_pack("{s:s?}", "persona_prompt",
                                         params[1]));
}


/* Always the same bytes: a repeat under the first key must not differ. */
static json_t *
persona_image_request(const json_t *prompt)
{
    return json_pack("{s:s, s:O?}", "style", "character portrait", "prompt",
                     prompt);
}


static worker_verdict_e
persona_image(worker_job_t *job, const char *key, const json_t *prompt,
    json_t **ret_image)
{
    json_t            *request;
    worker_verdict_e   verdict;

    request = persona_image_request(prompt);

    worker_partner_call_t  call = {
        .partner = job->slot->conf->images, .step = "image",
        .method = "POST", .path = "/v1/images", .body = request, .key = key,
    };

    verdict = worker_partner_step(job, &call, ret_image);
    json_decref(request);
    return verdict;
}


static worker_verdict_e
persona_do_image(worker_saga_run_t *run, json_t **ret_result)
{
    json_t  *prompt;

    *ret_result = NULL;

    if (run->job->slot->conf->images == NULL) {
        return WORKER_DONE;
    }

    prompt = json_object_get(json_object_get(run->results, "compose"),
                             "content");
    return persona_image(run->job, NULL, prompt, ret_result);
}


static worker_verdict_e
persona_do_ready(worker_saga_run_t *run, json_t **ret_result)
{
    worker_tx_e   state;
    worker_tx_t   tx;
    const char   *params[2];

    (void) ret_result;
    state = worker_tx_begin(&tx, run->job, "ready");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    if (worker_saga_end(&tx, run->id, "done") != TRAVEL_OK) {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    params[0] = persona_id(run->job);
    params[1] = json_string_value(json_object_get(
                    json_object_get(run->results, "image"), "url"));

    return persona_move(&tx, worker_tx_exec(&tx,
        "UPDATE travel.personas AS p"
        "   SET status = 'ready', illustration_url = $2, updated_at = now()"
        " WHERE id = $1::uuid AND status = 'generating_image'"
        " RETURNING travel.persona_json(p)", 2, params),
        "persona.ready", json_pack("{s:s?}", "illustration_url", params[1]));
}


/* --- and back ------------------------------------------------------------ */

/* The portrait's id: known, or learnt by asking under the first key again; a
 * partner that refuses now has none of ours: DONE with an empty id. */
static worker_verdict_e
persona_image_id(worker_job_t *job, char id[256])
{
    char               key[WORKER_STEP_KEY_MAX];
    json_t            *image;
    const char        *text;
    worker_verdict_e   verdict;

    image = NULL;
    verdict = WORKER_DONE;
    text = worker_body_string(job, "image_id");

    if (text == NULL) {
        snprintf(key, sizeof(key), "%.100s:image",
                 worker_body_string(job, "generate_job"));
        verdict = persona_image(job, key,
                                json_object_get(job->body, "prompt"), &image);
        text = verdict == WORKER_DONE
               ? json_string_value(json_object_get(image, "image_id")) : NULL;
    }

    snprintf(id, 256, "%s", text != NULL ? text : "");
    json_decref(image);
    return verdict == WORKER_REJECT ? WORKER_DONE : verdict;
}


static worker_verdict_e
persona_un_image(worker_saga_run_t *run)
{
    char               id[256], segment[PERSONA_PATH_MAX - 64];
    char               path[PERSONA_PATH_MAX];
    json_t            *answer;
    worker_job_t      *job;
    worker_verdict_e   verdict;

    job = run->job;

    if (job->slot->conf->images == NULL) {
        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "\"images\" is gone from workers.conf, and a "
                               "portrait is to be deleted");
    }

    verdict = persona_image_id(job, id);

    if (verdict != WORKER_DONE
        || !worker_path_segment(segment, sizeof(segment), id))
    {
        return verdict;
    }

    snprintf(path, sizeof(path), "/v1/images/%s", segment);

    worker_partner_call_t  call = {
        .partner = job->slot->conf->images, .step = "delete",
        .method = "DELETE", .path = path,
    };

    verdict = worker_partner_step(job, &call, &answer);
    json_decref(answer);
    return verdict == WORKER_REJECT ? WORKER_DONE : verdict;
}


static const worker_saga_step_t  persona_steps[] = {
    { "begin",    persona_do_begin,    NULL,             0, 0 },
    { "compose",  persona_do_compose,  NULL,             0, 0 },
    { "describe", persona_do_describe, NULL,             0, 0 },
    { "image",    persona_do_image,    persona_un_image, 0, 0 },
    { "ready",    persona_do_ready,    NULL,             0, 0 },
    { .name = NULL }
};

static const worker_saga_t  persona_saga = { "persona", "persona.discard",
                                             persona_steps };


static worker_verdict_e
persona_generate(worker_job_t *job)
{
    if (persona_id(job) == NULL
        || worker_body_string(job, "survey_id") == NULL)
    {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "persona_id and survey_id are needed");
    }

    return worker_saga_forwards(job, &persona_saga);
}


/* What persona.discard is given; NULL: no portrait can be out there. */
static json_t *
persona_discard_body(const worker_job_t *job, const json_t *steps)
{
    json_t  *image;

    image = json_object_get(steps, "image");

    if (image == NULL) {
        return NULL;
    }

    return json_pack("{s:s, s:s, s:O?, s:O?}", "saga", job->uuid,
        "generate_job", job->job_id,
        "image_id", json_object_get(image, "image_id"), "prompt",
        json_object_get(json_object_get(steps, "compose"), "content"));
}


static worker_verdict_e
persona_fail_in(worker_tx_t *tx)
{
    int        n;
    json_t    *steps, *body;
    PGresult  *res;

    res = worker_tx_fail_row(tx, persona_id(tx->job),
        "UPDATE travel.personas SET status = 'failed', error = $2::jsonb,"
        "       updated_at = now()"
        " WHERE id = $1::uuid AND status IN ('synthesizing',"
        "                                    'generating_image')"
        " RETURNING id");
    n = res != NULL ? PQntuples(res) : -1;
    PQclear(res);

    if (n < 1) {
        /* it did succeed, and the news got lost: nothing to put on record */
        worker_tx_end(tx);
        return n == 0 ? WORKER_DONE : WORKER_RETRY;
    }

    if (worker_tx_event(tx, "persona", persona_id(tx->job), -1,
                        "persona.failed", worker_failure(tx->job))
        != TRAVEL_OK
        || worker_saga_undoing(tx, &steps) != TRAVEL_OK)
    {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    body = persona_discard_body(tx->job, steps);
    json_decref(steps);

    if (worker_saga_turn(tx, &persona_saga, body) != TRAVEL_OK) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    worker_tx_tag(tx, "user:%s persona:%s", tx->job->sub, tx->job->sub);
    return worker_tx_commit(tx, NULL);
}


static worker_verdict_e
persona_giveup(worker_job_t *job)
{
    return worker_tx_run(job, "fail", persona_fail_in);
}


static worker_verdict_e
persona_discarded_in(worker_tx_t *tx)
{
    if (worker_saga_undone(tx, worker_body_string(tx->job, "saga"))
        != TRAVEL_OK)
    {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(tx, NULL);
}


static worker_verdict_e
persona_discard(worker_job_t *job)
{
    const char        *saga;
    worker_verdict_e   verdict;

    saga = worker_body_string(job, "saga");
    verdict = saga != NULL
              ? worker_saga_backwards(job, &persona_saga, saga)
              : worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                                "saga is needed");

    return verdict == WORKER_DONE
           ? worker_tx_run(job, "discarded", persona_discarded_in) : verdict;
}


const worker_job_type_t  worker_jobs_persona[] = {
    { "persona.start", "ai", TRAVEL_PRIORITY_NORMAL, persona_start, NULL,
      WORKER_RETRY_DEFAULTS, false },
    { "persona.generate", "ai", TRAVEL_PRIORITY_NORMAL, persona_generate,
      persona_giveup, WORKER_RETRY_DEFAULTS, false },
    { "persona.discard", "maintenance", TRAVEL_PRIORITY_HIGH, persona_discard,
      worker_saga_stuck, 10, 1000, 300000, 300000, false },
    { .type = NULL }
};
