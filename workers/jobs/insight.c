/*
 * Jobs of insights: insight.generate.
 *
 * What the caller has told of the last days is counted (travel.insight_facts),
 * what a provider writes of that is a saga step ("compose"), and what comes of
 * it the transaction "store".
 */

#include <stdio.h>
#include <stdlib.h>

#include "compose.h"
#include "families.h"
#include "resource.h"

#define INSIGHT_DAYS  14


static json_t *
insight_facts(worker_job_t *job)
{
    char         days[16];
    json_t      *facts, *asked;
    PGresult    *res;
    const char  *params[] = { job->sub, days };

    asked = json_object_get(job->body, "days");
    snprintf(days, sizeof(days), "%d", json_is_integer(asked)
             ? (int) json_integer_value(asked) : INSIGHT_DAYS);

    res = worker_query(job, "SELECT travel.insight_facts($1::uuid,"
                            " $2::integer)", 2, params);
    facts = res != NULL ? worker_row_json(res, 0) : NULL;
    PQclear(res);

    return facts;
}


static PGresult *
insight_insert(worker_tx_t *tx, const json_t *facts, const json_t *text)
{
    char         days[16], told[16];
    const char  *params[7];

    snprintf(days, sizeof(days), "%d",
             (int) json_integer_value(json_object_get(facts, "days")));
    snprintf(told, sizeof(told), "%d",
             (int) json_integer_value(json_object_get(facts, "told")));

    params[0] = tx->job->uuid;
    params[1] = tx->job->sub;
    params[2] = days;
    params[3] = told;
    params[4] = json_string_value(json_object_get(text, "title"));
    params[5] = json_string_value(json_object_get(text, "content"));
    params[6] = json_string_value(json_object_get(text, "model"));

    return worker_tx_exec(tx,
        "INSERT INTO travel.insights AS i"
        "    (id, user_id, days, based_on, title, content, provider)"
        " VALUES ($1::uuid, $2::uuid, $3::integer, $4::integer, $5, $6, $7)"
        " RETURNING travel.insight_json(i)", 7, params);
}


static worker_verdict_e
insight_store_in(worker_tx_t *tx, const json_t *facts, const json_t *text)
{
    PGresult  *res;

    res = worker_tx_user(tx) == TRAVEL_OK ? insight_insert(tx, facts, text)
                                          : NULL;

    if (res == NULL
        || worker_tx_event(tx, "insight", tx->job->uuid, 0,
                           "insight.generated", worker_row_json(res, 0))
           != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    worker_tx_tag(tx, "insights:%s", tx->job->sub);
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
insight_store(worker_job_t *job, const json_t *facts, const json_t *text)
{
    worker_tx_e  state;
    worker_tx_t  tx;

    state = worker_tx_begin(&tx, job, "store");

    return state == WORKER_TX_FRESH ? insight_store_in(&tx, facts, text)
                                    : worker_tx_not_fresh(&tx, state);
}


static worker_verdict_e
insight_generate(worker_job_t *job)
{
    json_t            *facts, *text;
    worker_verdict_e   verdict;
    worker_compose_t   compose = { .step = "compose", .task = "insight" };

    facts = insight_facts(job);

    if (facts == NULL) {
        return WORKER_RETRY;
    }

    compose.facts = facts;
    compose.theme = json_integer_value(json_object_get(facts, "told")) > 0
                    ? "days" : "nothing";
    verdict = worker_compose_step(job, &compose, &text);

    if (verdict == WORKER_DONE) {
        verdict = insight_store(job, facts, text);
    }

    json_decref(text);
    json_decref(facts);
    return verdict;
}


static worker_verdict_e
insight_giveup(worker_job_t *job)
{
    return worker_fail_event(job, "insight", "insights");
}


const worker_job_type_t  worker_jobs_insight[] = {
    { "insight.generate", "ai", TRAVEL_PRIORITY_NORMAL, insight_generate,
      insight_giveup, WORKER_RETRY_DEFAULTS, false },
    { .type = NULL }
};
