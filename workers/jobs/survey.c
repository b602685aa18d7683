/*
 * Jobs of surveys: survey.create, survey.answer.
 *
 * Those who answer have no account: a fingerprint keeps them from answering
 * twice.
 */

#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "resource.h"


/* --- create -------------------------------------------------------------- */

static PGresult *
survey_insert(worker_tx_t *tx)
{
    char        *questions;
    PGresult    *res;
    const char  *params[3];

    questions = json_dumps(json_object_get(tx->job->body, "questions"),
                           JSON_COMPACT);
    params[0] = tx->job->uuid;
    params[1] = tx->job->sub;
    params[2] = questions;

    res = worker_tx_exec(tx,
        "INSERT INTO travel.surveys AS s (id, user_id, questions)"
        " VALUES ($1::uuid, $2::uuid,"
        "         coalesce($3::jsonb, travel.survey_questions()))"
        " RETURNING travel.survey_json(s), json_build_object('questions',"
        "           s.questions)", 3, params);
    free(questions);
    return res;
}


static worker_verdict_e
survey_create_in(worker_tx_t *tx)
{
    PGresult  *res;

    res = worker_tx_user(tx) == TRAVEL_OK ? survey_insert(tx) : NULL;

    if (res == NULL
        || worker_tx_event(tx, "survey", tx->job->uuid, -1, "survey.created",
                           worker_row_json(res, 1)) != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    worker_tx_tag(tx, "survey:%s", tx->job->uuid);
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
survey_create(worker_job_t *job)
{
    return worker_tx_run(job, "create", survey_create_in);
}


static worker_verdict_e
survey_giveup(worker_job_t *job)
{
    return worker_fail_event(job, "survey", "survey");
}


/* --- answer -------------------------------------------------------------- */

/* One row when it is in; none when there is no such survey, or somebody with
 * this fingerprint has answered it. */
static PGresult *
survey_answer_insert(worker_tx_t *tx, const char *survey,
    const char *fingerprint)
{
    char        *answers;
    PGresult    *res;
    const char  *params[4];

    answers = json_dumps(json_object_get(tx->job->body, "answers"),
                         JSON_COMPACT);
    params[0] = tx->job->uuid;
    params[1] = survey;
    params[2] = answers;
    params[3] = fingerprint;

    res = worker_tx_exec(tx,
        "INSERT INTO travel.survey_responses (id, survey_id, answers,"
        "    fingerprint)"
        " SELECT $1::uuid, s.id, $3::jsonb, $4 FROM travel.surveys AS s"
        "  WHERE s.id = $2::uuid"
        " ON CONFLICT (survey_id, fingerprint) DO NOTHING RETURNING id", 4,
        params);
    free(answers);
    return res;
}


static worker_verdict_e
survey_answer_in(worker_tx_t *tx, const char *survey, const char *fingerprint)
{
    int        n;
    PGresult  *res;

    res = survey_answer_insert(tx, survey, fingerprint);

    if (res == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    n = PQntuples(res);
    PQclear(res);

    if (n == 0) {
        return worker_tx_refuse(tx, "CONFLICT", "You have answered this "
                                "survey, or it is not there any more.");
    }

    if (worker_tx_event(tx, "survey", survey, -1, "survey.answered",
                        json_pack("{s:s, s:O}", "response_id", tx->job->uuid,
                                  "answers", json_object_get(tx->job->body,
                                                             "answers")))
        != TRAVEL_OK)
    {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(tx, json_pack("{s:s, s:s}", "id", tx->job->uuid,
                                          "status", "success"));
}


static worker_verdict_e
survey_answer(worker_job_t *job)
{
    worker_tx_e  state;
    worker_tx_t  tx;
    const char  *survey, *fingerprint;

    survey = worker_body_string(job, "survey_id");
    fingerprint = worker_body_string(job, "fingerprint");

    if (survey == NULL || fingerprint == NULL
        || !json_is_object(json_object_get(job->body, "answers")))
    {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "survey_id, fingerprint and answers are "
                               "needed");
    }

    state = worker_tx_begin(&tx, job, "answer");

    return state == WORKER_TX_FRESH
           ? survey_answer_in(&tx, survey, fingerprint)
           : worker_tx_not_fresh(&tx, state);
}


const worker_job_type_t  worker_jobs_survey[] = {
    { "survey.create", "account", TRAVEL_PRIORITY_NORMAL, survey_create,
      survey_giveup, WORKER_RETRY_DEFAULTS, false },
    { "survey.answer", "account", TRAVEL_PRIORITY_NORMAL, survey_answer, NULL,
      WORKER_RETRY_DEFAULTS, false },
    { .type = NULL }
};
