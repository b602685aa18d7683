/*
 * Jobs of voices: voice.interact.
 *
 * The provider's answer is a saga step ("compose"), what comes of it the
 * transaction "answer".  What sounds like danger is answered by nobody's
 * personality.
 */

#include <stdio.h>
#include <stdlib.h>

#include "compose.h"
#include "families.h"
#include "resource.h"

#define VOICE_PERSONALITY  "guide"


static json_t *
voice_facts(worker_job_t *job)
{
    json_t      *facts;
    PGresult    *res;
    const char  *params[] = { job->sub, worker_body_string(job, "journey_id"),
                              worker_body_string(job, "text") };

    res = worker_query(job, "SELECT travel.voice_facts($1::uuid, $2::uuid,"
                            " $3)", 3, params);
    facts = res != NULL ? worker_row_json(res, 0) : NULL;
    PQclear(res);

    return facts;
}


/* The one asked for, or the journey's, or ours. */
static const char *
voice_personality(const worker_job_t *job, const json_t *facts)
{
    const char  *name;

    name = worker_body_string(job, "personality");

    if (name == NULL) {
        name = json_string_value(json_object_get(facts, "personality"));
    }

    return name != NULL ? name : VOICE_PERSONALITY;
}


/* The row as clients see it, which is what its event says, too. */
static PGresult *
voice_insert(worker_tx_t *tx, const json_t *facts, const json_t *text)
{
    char        *suggestions;
    PGresult    *res;
    const char  *params[10];

    suggestions = json_dumps(json_object_get(facts, "suggestions"),
                             JSON_COMPACT);
    params[0] = tx->job->uuid;
    params[1] = tx->job->sub;
    params[2] = worker_body_string(tx->job, "journey_id");
    params[3] = worker_body_string(tx->job, "text");
    params[4] = voice_personality(tx->job, facts);
    params[5] = json_string_value(json_object_get(text, "content"));
    params[6] = json_string_value(json_object_get(text, "title"));
    params[7] = suggestions;
    params[8] = json_is_true(json_object_get(facts, "safety")) ? "t" : "f";
    params[9] = json_string_value(json_object_get(text, "model"));

    res = worker_tx_exec(tx,
        "INSERT INTO travel.voice_interactions AS v (id, user_id, journey_id,"
        "    said, personality, text, emotion, suggestions,"
        "    is_safety_critical, provider)"
        " SELECT $1::uuid, $2::uuid, $3::uuid, $4, $5, $6, $7,"
        "        ARRAY(SELECT jsonb_array_elements_text($8::jsonb)),"
        "        $9::boolean, $10"
        "  WHERE $3::uuid IS NULL OR EXISTS (SELECT FROM travel.journeys AS j"
        "        WHERE j.id = $3::uuid AND j.user_id = $2::uuid)"
        " RETURNING travel.voice_json(v)", 10, params);
    free(suggestions);
    return res;
}


static worker_verdict_e
voice_answer_in(worker_tx_t *tx, const json_t *facts, const json_t *text)
{
    PGresult  *res;

    res = worker_tx_user(tx) == TRAVEL_OK ? voice_insert(tx, facts, text)
                                          : NULL;

    if (res != NULL && PQntuples(res) == 0) {
        PQclear(res);
        return worker_journey_absent(tx, worker_body_string(tx->job,
                                                            "journey_id"));
    }

    if (res == NULL
        || worker_tx_event(tx, "voice", tx->job->uuid, -1, "voice.answered",
                           worker_row_json(res, 0)) != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    worker_tx_tag(tx, "user:%s voice:%s", tx->job->sub, tx->job->sub);
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
voice_answer(worker_job_t *job, const json_t *facts, const json_t *text)
{
    worker_tx_e  state;
    worker_tx_t  tx;

    state = worker_tx_begin(&tx, job, "answer");

    return state == WORKER_TX_FRESH ? voice_answer_in(&tx, facts, text)
                                    : worker_tx_not_fresh(&tx, state);
}


static worker_verdict_e
voice_interact(worker_job_t *job)
{
    json_t            *facts, *text;
    worker_verdict_e   verdict;
    worker_compose_t   compose = { .step = "compose", .task = "voice" };

    if (worker_body_string(job, "text") == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "text is needed");
    }

    facts = voice_facts(job);

    if (facts == NULL) {
        return WORKER_RETRY;
    }

    compose.facts = facts;
    compose.theme = json_is_true(json_object_get(facts, "safety"))
                    ? "safety" : voice_personality(job, facts);
    verdict = worker_compose_step(job, &compose, &text);

    if (verdict == WORKER_DONE) {
        verdict = voice_answer(job, facts, text);
    }

    json_decref(text);
    json_decref(facts);
    return verdict;
}


static worker_verdict_e
voice_giveup(worker_job_t *job)
{
    return worker_fail_event(job, "voice", "voice");
}


const worker_job_type_t  worker_jobs_voice[] = {
    { "voice.interact", "ai", TRAVEL_PRIORITY_HIGH, voice_interact,
      voice_giveup, WORKER_RETRY_DEFAULTS, false },
    { .type = NULL }
};
