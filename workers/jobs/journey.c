/* Jobs of journeys: journey.start, journey.complete. */

#include <stdio.h>

#include "families.h"
#include "resource.h"


static void
journey_tags(worker_tx_t *tx, const char *journey)
{
    worker_tx_tag(tx, "user:%s journeys:%s journey:%s", tx->job->sub,
                  tx->job->sub, journey);
}


/* --- start --------------------------------------------------------------- */

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

    data = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:O}",
                     "created_at", json_object_get(journey, "created_at"),
                     "origin", json_object_get(journey, "origin"),
                     "destination", json_object_get(journey, "destination"),
                     "theme", json_object_get(journey, "theme"),
                     "personality", json_object_get(journey, "personality"),
                     "distance_miles",
                     json_object_get(journey, "distance_miles"),
                     "status", json_object_get(journey, "status"));

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

    journey_tags(tx, tx->job->uuid);
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


/* --- complete ------------------------------------------------------------ */

/* 1: the journey is there and the caller's, 0: not so, -1: it cannot be told,
 * and the transaction is over. */
static int
journey_is_his(worker_tx_t *tx)
{
    int          n;
    PGresult    *res;
    const char  *params[] = { tx->job->key, tx->job->sub };

    res = worker_tx_exec(tx, "SELECT FROM travel.journeys"
                             " WHERE id = $1::uuid AND user_id = $2::uuid",
                         2, params);

    if (res == NULL) {
        worker_tx_end(tx);
        return -1;
    }

    n = PQntuples(res);
    PQclear(res);
    return n;
}


/* No row was completed: there is none of the caller's, or it has ended. */
static worker_verdict_e
journey_not_completed(worker_tx_t *tx)
{
    switch (journey_is_his(tx)) {
    case 1:
        return worker_tx_refuse(tx, "JOURNEY_COMPLETED",
                                "the journey is completed already");
    case 0:
        return worker_journey_absent(tx, tx->job->key);
    default:
        return WORKER_RETRY;
    }
}


static worker_verdict_e
journey_complete_in(worker_tx_t *tx)
{
    PGresult    *res;
    const char  *params[] = { tx->job->key, tx->job->sub };

    res = worker_tx_exec(tx,
        "UPDATE travel.journeys AS j"
        "   SET status = 'completed', completed_at = now(), updated_at = now()"
        " WHERE id = $1::uuid AND user_id = $2::uuid AND status = 'active'"
        " RETURNING travel.journey_json(j), json_build_object("
        "     'status', j.status,"
        "     'completed_at', travel.rfc3339(j.completed_at),"
        "     'duration_s', extract(epoch FROM j.completed_at"
        "                           - j.created_at)::bigint)", 2, params);

    if (res != NULL && PQntuples(res) == 0) {
        PQclear(res);
        return journey_not_completed(tx);
    }

    if (res == NULL
        || worker_tx_event(tx, "journey", tx->job->key, -1,
                           "journey.completed", worker_row_json(res, 1))
           != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    journey_tags(tx, tx->job->key);
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
journey_complete(worker_job_t *job)
{
    return worker_tx_run(job, "complete", journey_complete_in);
}


/* On record with the journey, if it is there and the caller's. */
static worker_verdict_e
journey_complete_fail_in(worker_tx_t *tx)
{
    int  his;

    his = journey_is_his(tx);

    if (his < 0) {
        return WORKER_RETRY;
    }

    if (his > 0 && worker_tx_event(tx, "journey", tx->job->key, -1,
                                   "journey.complete_failed",
                                   worker_failure(tx->job)) != TRAVEL_OK)
    {
        return worker_tx_retry(tx, NULL);
    }

    return worker_tx_commit(tx, NULL);
}


static worker_verdict_e
journey_complete_giveup(worker_job_t *job)
{
    return worker_tx_run(job, "fail", journey_complete_fail_in);
}


const worker_job_type_t  worker_jobs_journey[] = {
    { "journey.start", "journey", TRAVEL_PRIORITY_NORMAL, journey_start,
      journey_start_giveup, WORKER_RETRY_DEFAULTS, false },
    { "journey.complete", "journey", TRAVEL_PRIORITY_NORMAL, journey_complete,
      journey_complete_giveup, WORKER_RETRY_DEFAULTS, false },
    { .type = NULL }
};
