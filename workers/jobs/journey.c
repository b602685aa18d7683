/* Jobs of journeys: journey.start. */

#include <stdio.h>

#include "families.h"
#include "resource.h"


/* Finds both ends and the way between them, in miles of 1.609344 km. */
static PGresult *
journey_places(worker_tx_t *tx, const char *origin, const char *destination)
{
    const char  *params[] = { origin, destination };

    return worker_tx_exec(tx,
        "SELECT o.id, d.id,"
        "       round((travel.distance_km(o.lat, o.lon, d.lat, d.lon)"
        "              / 1.609344)::numeric, 1)"
        "  FROM (SELECT 1) AS one"
        "  LEFT JOIN travel.resolve_place($1) AS o ON true"
        "  LEFT JOIN travel.resolve_place($2) AS d ON true", 2, params);
}


static json_t *
journey_insert(worker_tx_t *tx, const PGresult *places, const char *origin,
    const char *destination)
{
    json_t        *journey;
    PGresult      *res;
    const char    *params[9];
    worker_job_t  *job;

    job = tx->job;
    params[0] = job->uuid;
    params[1] = job->sub;
    params[2] = origin;
    params[3] = destination;
    params[4] = PQgetvalue(places, 0, 0);
    params[5] = PQgetvalue(places, 0, 1);
    params[6] = worker_body_string(job, "theme");
    params[7] = worker_body_string(job, "personality");
    params[8] = PQgetvalue(places, 0, 2);

    res = worker_tx_exec(tx,
        "INSERT INTO travel.journeys AS j (id, user_id, origin, destination,"
        "    origin_place_id, destination_place_id, theme, personality,"
        "    distance_miles)"
        " VALUES ($1::uuid, $2::uuid, $3, $4, $5::bigint, $6::bigint,"
        "         coalesce($7, 'adventure'), $8, $9::numeric)"
        " RETURNING travel.journey_json(j)", 9, params);

    if (res == NULL) {
        return NULL;
    }

    journey = worker_row_json(res, 0);
    PQclear(res);
    return journey;
}


static int
journey_started(worker_tx_t *tx, const json_t *journey)
{
    json_t  *data;

    data = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}",
                     "created_at", json_object_get(journey, "created_at"),
                     "origin", json_object_get(journey, "origin"),
                     "destination", json_object_get(journey, "destination"),
                     "theme", json_object_get(journey, "theme"),
                     "personality", json_object_get(journey, "personality"),
                     "distance_miles",
                     json_object_get(journey, "distance_miles"));

    return worker_tx_event(tx, "journey", tx->job->uuid, -1,
                           "journey.started", data);
}


static worker_verdict_e
journey_start_in(worker_tx_t *tx)
{
    json_t      *journey;
    PGresult    *places;
    const char  *origin, *destination, *missing;

    origin = worker_body_string(tx->job, "origin");
    destination = worker_body_string(tx->job, "destination");

    if (origin == NULL || destination == NULL) {
        return worker_tx_refuse(tx, "VALIDATION_ERROR",
                                "origin and destination are needed");
    }

    if (worker_tx_user(tx) != TRAVEL_OK) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    places = journey_places(tx, origin, destination);

    if (places == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    if (PQgetisnull(places, 0, 0) || PQgetisnull(places, 0, 1)) {
        missing = PQgetisnull(places, 0, 0) ? origin : destination;
        PQclear(places);
        return worker_tx_refuse(tx, "VALIDATION_ERROR",
                                "no place is known as \"%.120s\"", missing);
    }

    journey = journey_insert(tx, places, origin, destination);
    PQclear(places);

    if (journey == NULL || journey_started(tx, journey) != TRAVEL_OK) {
        json_decref(journey);
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    worker_tx_tag(tx, "user:%s journeys:%s journey:%s", tx->job->sub,
                  tx->job->sub, tx->job->uuid);

    return worker_tx_commit(tx, journey);
}


static worker_verdict_e
journey_start(worker_job_t *job)
{
    return worker_tx_run(job, "start", journey_start_in);
}


static worker_verdict_e
journey_start_giveup(worker_job_t *job)
{
    return worker_fail_event(job, "journey", "journey");
}


const worker_job_type_t  worker_jobs_journey[] = {
    { "journey.start", "journey", TRAVEL_PRIORITY_NORMAL, journey_start,
      journey_start_giveup, WORKER_RETRY_DEFAULTS, false },
    { .type = NULL }
};
