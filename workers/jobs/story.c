/*
 * Jobs of stories: story.generate.
 *
 * tx "create": row pending; then, unless the way's story is written already
 * (story.pregenerate), the facts from the gazetteer and the provider; tx
 * "ready": title, content and places, story.generated.
 */

#include <stdio.h>
#include <stdlib.h>

#include "compose.h"
#include "families.h"
#include "resource.h"
#include "way.h"


static void
story_tags(worker_tx_t *tx, const char *journey)
{
    worker_tx_tag(tx, "user:%s stories:%s story:%s stories:%s journey:%s",
                  tx->job->sub, tx->job->sub, tx->job->uuid, journey, journey);
}


/* One statement, whose row is the story and whose absence a refusal. */
static worker_verdict_e
story_create_in(worker_tx_t *tx)
{
    json_t      *story;
    PGresult    *res;
    const char  *params[4];

    params[0] = tx->job->uuid;
    params[1] = tx->job->sub;
    params[2] = worker_body_string(tx->job, "journey_id");
    params[3] = worker_body_string(tx->job, "theme");

    if (params[2] == NULL) {
        return worker_tx_refuse(tx, "VALIDATION_ERROR",
                                "journey_id is needed");
    }

    res = worker_tx_exec(tx,
        "INSERT INTO travel.stories AS s"
        "    (id, journey_id, user_id, status, theme)"
        " SELECT $1::uuid, j.id, j.user_id, 'pending', coalesce($4, j.theme)"
        "   FROM travel.journeys AS j"
        "  WHERE j.id = $3::uuid AND j.user_id = $2::uuid"
        " RETURNING travel.story_json(s)", 4, params);

    if (res == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    story = worker_row_json(res, 0);
    PQclear(res);

    if (story == NULL) {
        return worker_journey_absent(tx, params[2]);
    }

    if (worker_tx_event(tx, "story", tx->job->uuid, -1, "story.requested",
                        json_incref(story)) != TRAVEL_OK)
    {
        json_decref(story);
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    story_tags(tx, params[2]);
    return worker_tx_commit(tx, story);
}


static worker_verdict_e
story_ready_in(worker_tx_t *tx, const json_t *text)
{
    char        *way;
    json_t      *story;
    PGresult    *res;
    const char  *params[5];

    way = json_dumps(json_object_get(text, "places"),
                     JSON_COMPACT | JSON_REAL_PRECISION(15));

    params[0] = tx->job->uuid;
    params[1] = json_string_value(json_object_get(text, "title"));
    params[2] = json_string_value(json_object_get(text, "content"));
    params[3] = way;
    params[4] = json_string_value(json_object_get(text, "model"));

    res = worker_tx_exec(tx,
        "UPDATE travel.stories AS s"
        "   SET status = 'ready', title = $2, content = $3,"
        "       places = $4::jsonb, provider = $5, error = NULL,"
        "       updated_at = now()"
        " WHERE id = $1::uuid AND status = 'pending'"
        " RETURNING travel.story_json(s)", 5, params);
    free(way);

    story = res != NULL ? worker_row_json(res, 0) : NULL;
    PQclear(res);

    if (res != NULL && story == NULL) {
        return worker_tx_refuse(tx, "CONFLICT",
                                "the story is not pending any more");
    }

    if (story == NULL
        || worker_tx_event(tx, "story", tx->job->uuid, -1, "story.generated",
                           json_incref(story)) != TRAVEL_OK)
    {
        json_decref(story);
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    story_tags(tx, json_string_value(json_object_get(story, "journey_id")));
    return worker_tx_commit(tx, story);
}


/* What the way is, and its text if it is written already.  NULL: job->error is
 * filled. */
static PGresult *
story_way(worker_job_t *job, const char *theme)
{
    const char  *params[] = { worker_body_string(job, "journey_id"), theme };

    return worker_query(job,
        "SELECT j.origin_place_id, j.destination_place_id,"
        "       CASE WHEN s.theme IS NOT NULL THEN json_build_object("
        "           'title', s.title, 'content', s.content,"
        "           'places', s.places, 'model', s.provider) END"
        "  FROM travel.journeys AS j"
        "  LEFT JOIN travel.route_stories AS s"
        "    ON s.origin_place_id = j.origin_place_id"
        "   AND s.destination_place_id = j.destination_place_id"
        "   AND s.theme = $2"
        "   AND s.made_at > now() - travel.route_story_life()"
        " WHERE j.id = $1::uuid", 2, params);
}


/* NULL: to be tried again. */
static json_t *
story_text(worker_job_t *job)
{
    json_t      *text;
    PGresult    *way;
    const char  *theme;

    theme = json_string_value(json_object_get(job->result, "theme"));
    theme = theme != NULL ? theme : "default";
    way = story_way(job, theme);

    if (way == NULL) {
        return NULL;
    }

    text = worker_row_json(way, 2);

    if (text == NULL) {
        text = worker_way_story(job, PQgetvalue(way, 0, 0),
                                PQgetvalue(way, 0, 1), theme);
    }

    PQclear(way);
    return text;
}


static worker_verdict_e
story_generate(worker_job_t *job)
{
    json_t            *text;
    worker_tx_e        state;
    worker_tx_t        tx;
    worker_verdict_e   verdict;

    verdict = worker_tx_run(job, "create", story_create_in);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    text = story_text(job);

    if (text == NULL) {
        return WORKER_RETRY;
    }

    state = worker_tx_begin(&tx, job, "ready");
    verdict = state == WORKER_TX_FRESH ? story_ready_in(&tx, text)
                                       : worker_tx_not_fresh(&tx, state);
    json_decref(text);
    return verdict;
}


static worker_verdict_e
story_fail_in(worker_tx_t *tx)
{
    PGresult  *res;

    res = worker_tx_fail_row(tx, tx->job->uuid,
        "UPDATE travel.stories SET status = 'failed', error = $2::jsonb,"
        "       updated_at = now()"
        " WHERE id = $1::uuid AND status = 'pending'"
        " RETURNING journey_id");

    if (res == NULL
        || worker_tx_event(tx, "story", tx->job->uuid, -1, "story.failed",
                           worker_failure(tx->job)) != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    if (PQntuples(res) > 0) {
        story_tags(tx, PQgetvalue(res, 0, 0));
    }

    PQclear(res);
    return worker_tx_commit(tx, NULL);
}


static worker_verdict_e
story_giveup(worker_job_t *job)
{
    return worker_tx_run(job, "fail", story_fail_in);
}


const worker_job_type_t  worker_jobs_story[] = {
    { "story.generate", "ai", TRAVEL_PRIORITY_NORMAL, story_generate,
      story_giveup, WORKER_RETRY_DEFAULTS, false },
    { .type = NULL }
};
