/*
 * Jobs of trips: trip.create, itinerary.generate.
 *
 * The itinerary is the saga of the table itinerary_steps: tx "request" (its
 * row, pending, the trip's next version), provider step "compose", tx "ready".
 * Its events are in the stream of its trip.  Nothing it does is seen outside,
 * so there is nothing to take back but the row's hope.
 */

#include <stdio.h>
#include <stdlib.h>

#include "compose.h"
#include "families.h"
#include "resource.h"
#include "../pool/slot.h"
#include "../store/saga_run.h"


/* --- trip.create --------------------------------------------------------- */

/* Columns: trip, data of its event; no row: the place is not known. */
static PGresult *
trip_insert(worker_tx_t *tx)
{
    char        *preferences;
    PGresult    *res;
    const char  *params[6];

    preferences = json_dumps(json_object_get(tx->job->body, "preferences"),
                             JSON_COMPACT);
    params[0] = tx->job->uuid;
    params[1] = tx->job->sub;
    params[2] = worker_body_string(tx->job, "destination");
    params[3] = worker_body_string(tx->job, "starts_on");
    params[4] = worker_body_string(tx->job, "ends_on");
    params[5] = preferences;

    res = worker_tx_exec(tx,
        "INSERT INTO travel.trips AS t (id, user_id, destination, place_id,"
        "    starts_on, ends_on, preferences)"
        " SELECT $1::uuid, $2::uuid, $3, p.id, $4::date, $5::date,"
        "        coalesce($6::jsonb, '{}')"
        "   FROM travel.resolve_place($3) AS p"
        " RETURNING travel.trip_json(t), json_build_object("
        "     'user_id', t.user_id, 'trip_id', t.id,"
        "     'destination', travel.place_json(t.place_id),"
        "     'dates', json_build_object('starts_on', t.starts_on,"
        "                                'ends_on', t.ends_on),"
        "     'preferences', t.preferences)", 6, params);
    free(preferences);
    return res;
}


/* What must hold when the job runs, whatever the edge found earlier. */
static worker_verdict_e
trip_check(worker_tx_t *tx)
{
    bool         place, dates;
    PGresult    *res;
    const char  *params[] = { worker_body_string(tx->job, "destination"),
                              worker_body_string(tx->job, "starts_on"),
                              worker_body_string(tx->job, "ends_on") };

    if (params[0] == NULL || params[1] == NULL || params[2] == NULL) {
        return worker_tx_refuse(tx, "VALIDATION_ERROR", "destination, "
                                "starts_on and ends_on are needed");
    }

    res = worker_tx_exec(tx,
        "SELECT EXISTS (SELECT FROM travel.resolve_place($1)),"
        "       $3::date BETWEEN $2::date AND $2::date + 29", 3, params);

    if (res == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    place = *PQgetvalue(res, 0, 0) == 't';
    dates = *PQgetvalue(res, 0, 1) == 't';
    PQclear(res);

    if (!place) {
        return worker_tx_refuse(tx, "VALIDATION_ERROR",
                                "no place is known as \"%.120s\"", params[0]);
    }

    if (!dates) {
        return worker_tx_refuse(tx, "VALIDATION_ERROR", "a trip ends on the "
                                "day it starts, or within 29 days of it");
    }

    return WORKER_DONE;
}


static worker_verdict_e
trip_create_in(worker_tx_t *tx)
{
    PGresult          *res;
    worker_verdict_e   verdict;

    verdict = trip_check(tx);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    res = worker_tx_user(tx) == TRAVEL_OK ? trip_insert(tx) : NULL;

    if (res == NULL
        || worker_tx_event(tx, "trip", tx->job->uuid, -1, "trip_created",
                           worker_row_json(res, 1)) != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    worker_tx_tag(tx, "user:%s trips:%s trip:%s", tx->job->sub, tx->job->sub,
                  tx->job->uuid);
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
trip_create(worker_job_t *job)
{
    return worker_tx_run(job, "create", trip_create_in);
}


static worker_verdict_e
trip_giveup(worker_job_t *job)
{
    return worker_fail_event(job, "trip", "trip");
}


/* --- itinerary.generate -------------------------------------------------- */

static const worker_saga_t  itinerary_saga;


static void
itinerary_tags(worker_tx_t *tx)
{
    worker_tx_tag(tx, "user:%s trip:%s itinerary:%s", tx->job->sub,
                  worker_body_string(tx->job, "trip_id"), tx->job->uuid);
}


/* The trip's row is locked: two at once are two versions. */
static PGresult *
itinerary_insert(worker_tx_t *tx)
{
    const char  *params[] = { tx->job->uuid, tx->job->sub,
                              worker_body_string(tx->job, "trip_id") };

    return worker_tx_exec(tx,
        "WITH t AS (SELECT id, user_id FROM travel.trips"
        "            WHERE id = $3::uuid AND user_id = $2::uuid FOR UPDATE)"
        " INSERT INTO travel.itineraries AS i (id, trip_id, user_id, version)"
        " SELECT $1::uuid, t.id, t.user_id, 1 + coalesce((SELECT max(version)"
        "        FROM travel.itineraries WHERE trip_id = t.id), 0) FROM t"
        " RETURNING travel.itinerary_json(i), json_build_object("
        "     'trip_id', i.trip_id, 'itinerary_id', i.id,"
        "     'version', i.version)", 3, params);
}


static worker_verdict_e
itinerary_request_in(worker_tx_t *tx)
{
    PGresult    *res;
    const char  *trip;

    trip = worker_body_string(tx->job, "trip_id");

    if (trip == NULL) {
        return worker_tx_refuse(tx, "VALIDATION_ERROR", "trip_id is needed");
    }

    res = itinerary_insert(tx);

    if (res != NULL && PQntuples(res) == 0) {
        PQclear(res);
        return worker_trip_absent(tx, trip);
    }

    if (res == NULL
        || worker_tx_event(tx, "trip", trip, -1, "itinerary_requested",
                           worker_row_json(res, 1)) != TRAVEL_OK
        || worker_saga_begin(tx, &itinerary_saga) != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    itinerary_tags(tx);
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
itinerary_do_request(worker_saga_run_t *run, json_t **ret_result)
{
    (void) ret_result;
    return worker_tx_run(run->job, "request", itinerary_request_in);
}


/* The result: the text, and "facts" that it was made of. */
static worker_verdict_e
itinerary_do_compose(worker_saga_run_t *run, json_t **ret_result)
{
    json_t            *facts;
    PGresult          *res;
    worker_job_t      *job;
    worker_verdict_e   verdict;
    worker_compose_t   compose = { .step = "compose", .task = "itinerary" };

    job = run->job;

    const char  *params[] = { worker_body_string(job, "trip_id") };

    res = worker_query(job, "SELECT travel.trip_days($1::uuid)", 1, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    facts = worker_row_json(res, 0);
    PQclear(res);

    if (facts == NULL) {
        return worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                               "the places around it cannot be read (%s)",
                               worker_pg_sqlstate(job->slot->pg));
    }

    compose.facts = facts;
    compose.theme = json_string_value(json_object_get(facts, "theme"));
    verdict = worker_compose_step(job, &compose, ret_result);

    if (verdict == WORKER_DONE) {
        json_object_set(*ret_result, "items", json_object_get(facts, "items"));
    }

    json_decref(facts);
    return verdict;
}


static PGresult *
itinerary_update(worker_tx_t *tx, const json_t *text)
{
    char        *items;
    PGresult    *res;
    const char  *params[5];

    items = json_dumps(json_object_get(text, "items"),
                       JSON_COMPACT | JSON_REAL_PRECISION(15));
    params[0] = tx->job->uuid;
    params[1] = json_string_value(json_object_get(text, "title"));
    params[2] = json_string_value(json_object_get(text, "content"));
    params[3] = items;
    params[4] = json_string_value(json_object_get(text, "model"));

    res = worker_tx_exec(tx,
        "UPDATE travel.itineraries AS i"
        "   SET status = 'ready', title = $2, content = $3, items = $4::jsonb,"
        "       provider = $5, updated_at = now()"
        " WHERE id = $1::uuid AND status = 'pending'"
        " RETURNING travel.itinerary_json(i), json_build_object("
        "     'trip_id', i.trip_id, 'itinerary_id', i.id,"
        "     'version', i.version, 'items', i.items)", 5, params);
    free(items);
    return res;
}


static worker_verdict_e
itinerary_ready_in(worker_tx_t *tx, const json_t *text)
{
    PGresult          *res;
    res = itinerary_update(tx, text);

    if (res != NULL && PQntuples(res) == 0) {
        PQclear(res);
        return worker_tx_refuse(tx, "CONFLICT",
                                "the itinerary is not pending any more");
    }

    if (res == NULL
        || worker_tx_event(tx, "trip", worker_body_string(tx->job, "trip_id"),
                           -1, "itinerary_generated", worker_row_json(res, 1))
           != TRAVEL_OK
        || worker_saga_end(tx, tx->job->uuid, "done") != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    itinerary_tags(tx);
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
itinerary_do_ready(worker_saga_run_t *run, json_t **ret_result)
{
    worker_tx_e  state;
    worker_tx_t  tx;

    (void) ret_result;
    state = worker_tx_begin(&tx, run->job, "ready");

    return state == WORKER_TX_FRESH
           ? itinerary_ready_in(&tx, json_object_get(run->results, "compose"))
           : worker_tx_not_fresh(&tx, state);
}


static const worker_saga_step_t  itinerary_steps[] = {
    { "request", itinerary_do_request, NULL, 0, 0 },
    { "compose", itinerary_do_compose, NULL, 0, 0 },
    { "ready",   itinerary_do_ready,   NULL, 0, 0 },
    { .name = NULL }
};

static const worker_saga_t  itinerary_saga = { "itinerary", NULL,
                                               itinerary_steps };


static worker_verdict_e
itinerary_generate(worker_job_t *job)
{
    return worker_saga_forwards(job, &itinerary_saga);
}


static worker_verdict_e
itinerary_fail_in(worker_tx_t *tx)
{
    int        n;
    json_t    *failure;
    PGresult  *res;

    res = worker_tx_fail_row(tx, tx->job->uuid,
        "UPDATE travel.itineraries SET status = 'failed', error = $2::jsonb,"
        "       updated_at = now()"
        " WHERE id = $1::uuid AND status = 'pending' RETURNING id");
    n = res != NULL ? PQntuples(res) : -1;
    PQclear(res);

    if (n < 1) {
        worker_tx_end(tx);
        return n == 0 ? WORKER_DONE : WORKER_RETRY;
    }

    failure = worker_failure(tx->job);
    json_object_set_new(failure, "itinerary_id", json_string(tx->job->uuid));

    if (worker_tx_event(tx, "trip", worker_body_string(tx->job, "trip_id"), -1,
                        "itinerary_failed", failure) != TRAVEL_OK
        || worker_saga_turn(tx, &itinerary_saga, NULL) != TRAVEL_OK)
    {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    itinerary_tags(tx);
    return worker_tx_commit(tx, NULL);
}


static worker_verdict_e
itinerary_giveup(worker_job_t *job)
{
    return worker_tx_run(job, "fail", itinerary_fail_in);
}


const worker_job_type_t  worker_jobs_trip[] = {
    { "trip.create", "journey", TRAVEL_PRIORITY_NORMAL, trip_create,
      trip_giveup, WORKER_RETRY_DEFAULTS, false },
    { "itinerary.generate", "ai", TRAVEL_PRIORITY_NORMAL, itinerary_generate,
      itinerary_giveup, WORKER_RETRY_DEFAULTS, false },
    { .type = NULL }
};
