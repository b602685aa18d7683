/*
 * Jobs of stories: story.generate.
 *
 * tx "create": row pending; then the facts from the gazetteer and the provider;
 * tx "ready": title, content and places, story.generated.
 */

#include <stdio.h>
#include <stdlib.h>

#include "compose.h"
#include "families.h"
#include "resource.h"
#include "../pool/slot.h"

#define STORY_PLACES_MIN  3


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


/* What is known about the way: both ends, miles, and real places between, in
 * the order one passes them.  The strip is widened until it has enough of
 * them; a way too short or too empty takes neighbours of its ends. */
static json_t *
story_facts(worker_job_t *job)
{
    size_t        i;
    json_t       *facts;
    PGresult     *res;
    const char   *params[4];

    static const char  *widths[] = { "20", "60", "200", NULL };
    static const char   sql[] =
        "WITH j AS ("
        "  SELECT o.id AS oid, o.name AS origin, o.lat AS olat, o.lon AS olon,"
        "         d.id AS did, d.name AS destination, d.lat AS dlat,"
        "         d.lon AS dlon, j.distance_miles AS miles"
        "    FROM travel.journeys AS j"
        "    JOIN travel.place AS o ON o.id = j.origin_place_id"
        "    JOIN travel.place AS d ON d.id = j.destination_place_id"
        "   WHERE j.id = $1::uuid),"
        " p AS ("
        "  SELECT a.id, a.name, a.region, a.country_code, a.population, a.lat,"
        "         a.lon, a.km"
        "    FROM j, LATERAL travel.places_along(j.olat, j.olon, j.dlat,"
        "             j.dlon, coalesce($2::float8, 1), $3::int) AS a"
        "   WHERE $2 IS NOT NULL"
        "  UNION ALL"
        "  (SELECT n.id, n.name, n.region, n.country_code, n.population, n.lat,"
        "          n.lon, n.km"
        "     FROM j, LATERAL travel.places_near(j.olat, j.olon, 500, 20) AS n"
        "    WHERE $2 IS NULL AND n.id NOT IN (j.oid, j.did)"
        "    ORDER BY n.km LIMIT $4::int))"
        " SELECT (SELECT count(*) FROM p),"
        "  json_build_object('origin', j.origin, 'destination', j.destination,"
        "   'miles', j.miles, 'places', coalesce((SELECT json_agg("
        "     json_build_object('place_id', p.id, 'name', p.name,"
        "      'region', coalesce(p.region, p.country_code),"
        "      'country_code', p.country_code, 'lat', p.lat, 'lon', p.lon,"
        "      'population', p.population,"
        "      'miles_from_start', round((p.km / 1.609344)::numeric, 1),"
        "      'miles_left', round(greatest(j.miles"
        "                          - (p.km / 1.609344)::numeric, 0), 1))"
        "     ORDER BY p.km) FROM p), '[]'::json))"
        "  FROM j";

    facts = NULL;
    params[0] = worker_body_string(job, "journey_id");
    params[2] = "6";
    params[3] = "6";

    for (i = 0; facts == NULL && i < sizeof(widths) / sizeof(widths[0]); i++) {
        params[1] = widths[i];
        res = worker_pg_exec(job->slot->pg, sql, 4, params);

        if (PQresultStatus(res) != PGRES_TUPLES_OK) {
            PQclear(res);
            break;
        }

        if (PQntuples(res) > 0
            && (widths[i] == NULL
                || atoi(PQgetvalue(res, 0, 0)) >= STORY_PLACES_MIN))
        {
            facts = worker_row_json(res, 1);
        }

        PQclear(res);
    }

    if (facts == NULL) {
        (void) worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                               "the places along the way cannot be read (%s)",
                               worker_pg_sqlstate(job->slot->pg));
    }

    return facts;
}


/* Of what the facts say of a place, what the resource shows. */
static json_t *
story_places(const json_t *facts)
{
    size_t    i;
    json_t   *places, *place;

    places = json_array();

    json_array_foreach(json_object_get(facts, "places"), i, place) {
        json_array_append_new(places,
            json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}",
            "place_id", json_object_get(place, "place_id"),
            "name", json_object_get(place, "name"),
            "country_code", json_object_get(place, "country_code"),
            "lat", json_object_get(place, "lat"),
            "lon", json_object_get(place, "lon"),
            "miles_from_start", json_object_get(place, "miles_from_start")));
    }

    return places;
}


static worker_verdict_e
story_ready_in(worker_tx_t *tx, const json_t *text, const json_t *facts)
{
    char        *way;
    json_t      *places, *story;
    PGresult    *res;
    const char  *params[5];

    places = story_places(facts);
    way = json_dumps(places, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(places);

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


static worker_verdict_e
story_write(worker_job_t *job, json_t *facts)
{
    json_t            *text;
    worker_tx_e        state;
    worker_tx_t        tx;
    worker_verdict_e   verdict;
    worker_compose_t   compose = { .task = "story", .facts = facts };

    compose.theme = json_string_value(json_object_get(job->result, "theme"));

    if (compose.theme == NULL) {
        compose.theme = "default";
    }

    if (worker_compose(job, &compose, &text) != TRAVEL_OK) {
        return WORKER_RETRY;
    }

    state = worker_tx_begin(&tx, job, "ready");
    verdict = state == WORKER_TX_FRESH ? story_ready_in(&tx, text, facts)
                                       : worker_tx_not_fresh(&tx, state);
    json_decref(text);
    return verdict;
}


static worker_verdict_e
story_generate(worker_job_t *job)
{
    json_t            *facts;
    worker_verdict_e   verdict;

    verdict = worker_tx_run(job, "create", story_create_in);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    facts = story_facts(job);

    if (facts == NULL) {
        return WORKER_RETRY;
    }

    verdict = story_write(job, facts);
    json_decref(facts);
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
