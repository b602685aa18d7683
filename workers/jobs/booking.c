/*
 * Jobs of bookings: booking.create here, booking.release and booking.cancel in
 * files of their own.
 *
 * create   the saga of the table booking_steps:
 *          tx "create": row pending, booking.created; of a trip's item, in the
 *          trip's stream booking_requested
 *          partner step "hold", step "pay" (booking_pay.c), partner step
 *          "confirm"
 *          tx "confirm": row confirmed, booking.confirmed,
 *          commission.calculated, mail as a follow-up job
 * failed   (refused, or retries used up: the give-up) tx "fail": row failed,
 *          booking.failed, the saga's rows undoing, and, when a hold may be
 *          out there, booking.release as a follow-up job with retries of its
 *          own: compensation outlives this job
 *
 * Follow-ups live in "maintenance": the edge cannot write that queue.
 */

#include <stdio.h>
#include <stdlib.h>

#include "booking.h"
#include "families.h"

#define BOOKING_BATCH  256


void
booking_tags_text(char *dst, size_t room, const char *sub,
    const char *booking, const char *journey)
{
    bool  of_one;

    of_one = journey != NULL && *journey != '\0';
    snprintf(dst, room, "user:%s bookings:%s booking:%s%s%s", sub, sub,
             booking, of_one ? " journey:" : "", of_one ? journey : "");
}


void
booking_tags(worker_tx_t *tx, const char *booking, const char *journey)
{
    char  tags[sizeof(tx->tags)];

    booking_tags_text(tags, sizeof(tags), tx->job->sub, booking, journey);
    worker_tx_tag(tx, "%s", tags);
}


/* --- create ------------------------------------------------------------- */


/* What must hold when the job runs, whatever the edge found earlier. */
static worker_verdict_e
booking_check(worker_tx_t *tx, const char *partner, const char *journey,
    const char *date)
{
    char         why;
    PGresult    *res;
    const char  *params[] = { partner, journey, date, tx->job->sub,
                              worker_body_string(tx->job, "trip_id"),
                              worker_body_string(tx->job, "item_id") };

    res = worker_tx_exec(tx,
        "SELECT CASE WHEN NOT EXISTS (SELECT FROM travel.partners"
        "                              WHERE code = $1) THEN 'p'"
        "            WHEN $3::timestamptz <= now() THEN 'd'"
        "            WHEN $2::uuid IS NOT NULL AND NOT EXISTS"
        "                 (SELECT FROM travel.journeys"
        "                   WHERE id = $2::uuid AND user_id = $4::uuid)"
        "            THEN 'j' WHEN $5::uuid IS NOT NULL"
        "            THEN coalesce(travel.trip_item_wrong($5::uuid, $4::uuid,"
        "                                                 $6), '-')"
        "            ELSE '-' END", 6, params);

    if (res == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    why = *PQgetvalue(res, 0, 0);
    PQclear(res);

    switch (why) {
    case 'p':
        return worker_tx_refuse(tx, "VALIDATION_ERROR",
                                "no partner is called \"%.32s\"", partner);
    case 'd':
        return worker_tx_refuse(tx, "VALIDATION_ERROR",
                                "booking_date lies in the past");
    case 'j':
        return worker_journey_absent(tx, journey);
    case 't':
        return worker_trip_absent(tx, params[4]);
    case 'i':
        return worker_tx_refuse(tx, "VALIDATION_ERROR", "no itinerary of the "
                                "trip has an item \"%.64s\"",
                                params[5] != NULL ? params[5] : "");
    default:
        return WORKER_DONE;
    }
}


static PGresult *
booking_insert(worker_tx_t *tx, const char *partner, const char *journey,
    const char *date)
{
    char         party[16];
    const char  *params[9];

    snprintf(party, sizeof(party), "%d", (int) json_integer_value(
                 json_object_get(tx->job->body, "party_size")));

    params[0] = tx->job->uuid;
    params[1] = tx->job->sub;
    params[2] = journey;
    params[3] = partner;
    params[4] = worker_body_string(tx->job, "venue_id");
    params[5] = date;
    params[6] = party;
    params[7] = worker_body_string(tx->job, "trip_id");
    params[8] = worker_body_string(tx->job, "item_id");

    return worker_tx_exec(tx,
        "INSERT INTO travel.bookings AS b (id, user_id, journey_id, partner,"
        "    venue_id, booking_date, party_size, trip_id, item_id, status)"
        " VALUES ($1::uuid, $2::uuid, $3::uuid, $4, $5, $6::timestamptz,"
        "         $7::int, $8::uuid, $9, 'pending')"
        " RETURNING travel.booking_json(b)", 9, params);
}


/* In the trip's stream (TP-21), of a booking of an item of it. */
static int
booking_requested(worker_tx_t *tx)
{
    json_t      *body, *details;
    const char  *trip;

    body = tx->job->body;
    trip = worker_body_string(tx->job, "trip_id");

    if (trip == NULL) {
        return TRAVEL_OK;
    }

    details = json_pack("{s:s, s:O, s:O, s:O}", "booking_id", tx->job->uuid,
                        "venue_id", json_object_get(body, "venue_id"),
                        "booking_date", json_object_get(body, "booking_date"),
                        "party_size", json_object_get(body, "party_size"));

    return worker_tx_event(tx, "trip", trip, -1, "booking_requested",
                           json_pack("{s:s, s:O, s:O, s:o}", "trip_id", trip,
                                     "item_id",
                                     json_object_get(body, "item_id"),
                                     "provider",
                                     json_object_get(body, "partner"),
                                     "details", details));
}


static worker_verdict_e
booking_create_in(worker_tx_t *tx)
{
    PGresult          *res;
    const char        *partner, *journey, *date;
    worker_job_t      *job;
    worker_verdict_e   verdict;

    job = tx->job;
    partner = worker_body_string(job, "partner");
    journey = worker_body_string(job, "journey_id");
    date = worker_body_string(job, "booking_date");

    if (partner == NULL || date == NULL
        || worker_body_string(job, "venue_id") == NULL
        || !json_is_integer(json_object_get(job->body, "party_size")))
    {
        return worker_tx_refuse(tx, "VALIDATION_ERROR", "partner, venue_id, "
                                "booking_date and party_size are needed");
    }

    if (worker_tx_user(tx) != TRAVEL_OK) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    verdict = booking_check(tx, partner, journey, date);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    res = booking_insert(tx, partner, journey, date);

    if (res == NULL
        || worker_tx_event(tx, "booking", job->uuid, -1, "booking.created",
                           worker_row_json(res, 0)) != TRAVEL_OK
        || booking_requested(tx) != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    if (worker_saga_begin(tx, &booking_saga) != TRAVEL_OK) {
        return worker_tx_retry(tx, res);
    }

    booking_tags(tx, job->uuid, journey);
    return worker_tx_commit_row(tx, res);
}


/* The first step, on a later run too: a booking that has failed meanwhile (a
 * crash after tx "fail") stays failed and the partner is left alone. */
static worker_verdict_e
booking_created(worker_job_t *job)
{
    bool          failed;
    PGresult     *res;
    worker_tx_e   state;
    worker_tx_t   tx;

    state = worker_tx_begin(&tx, job, "create");

    if (state == WORKER_TX_FRESH) {
        return booking_create_in(&tx);
    }

    if (state != WORKER_TX_SEEN) {
        return worker_tx_not_fresh(&tx, state);
    }

    const char *params[] = { job->uuid };

    res = worker_tx_exec(&tx,
        "SELECT error->>'code', error->>'message' FROM travel.bookings"
        " WHERE id = $1::uuid AND status = 'failed'", 1, params);

    if (res == NULL) {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    failed = PQntuples(res) > 0;

    if (failed) {
        (void) worker_job_fail(job, WORKER_REJECT, PQgetvalue(res, 0, 0), "%s",
                               PQgetvalue(res, 0, 1));
    }

    PQclear(res);
    worker_tx_end(&tx);
    return failed ? WORKER_REJECT : WORKER_DONE;
}


json_t *
booking_hold_request(const json_t *body)
{
    return json_pack("{s:O, s:O, s:O}",
                     "venue_id", json_object_get(body, "venue_id"),
                     "booking_date", json_object_get(body, "booking_date"),
                     "party_size", json_object_get(body, "party_size"));
}


static worker_verdict_e
booking_hold(worker_job_t *job, json_t **ret_hold)
{
    json_t            *request;
    worker_verdict_e   verdict;

    request = booking_hold_request(job->body);

    worker_partner_call_t  call = {
        .partner = worker_body_string(job, "partner"), .step = "hold",
        .method = "POST", .path = "/v1/holds", .body = request,
    };

    verdict = worker_partner_step(job, &call, ret_hold);
    json_decref(request);
    return verdict;
}


bool
booking_hold_path(char path[BOOKING_PATH_MAX], const char *id,
    const char *tail)
{
    char  segment[BOOKING_PATH_MAX - 64];

    if (id == NULL || !worker_path_segment(segment, sizeof(segment), id)) {
        return false;
    }

    snprintf(path, BOOKING_PATH_MAX, "/v1/holds/%s%s", segment, tail);
    return true;
}


static worker_verdict_e
booking_confirm(worker_job_t *job, const json_t *hold, json_t **ret_answer)
{
    char  path[BOOKING_PATH_MAX];

    worker_partner_call_t  call = {
        .partner = worker_body_string(job, "partner"), .step = "confirm",
        .method = "POST", .path = path,
    };

    *ret_answer = NULL;

    if (!booking_hold_path(path, json_string_value(
                                     json_object_get(hold, "hold_id")),
                           "/confirm"))
    {
        return worker_job_fail(job, WORKER_REJECT, "EXTERNAL_SERVICE_ERROR",
                               "the partner's hold has no hold_id");
    }

    return worker_partner_step(job, &call, ret_answer);
}


/* Row confirmed, with what the partner said; commission rounded half up. */
static PGresult *
booking_confirm_row(worker_tx_t *tx, const json_t *hold,
    const json_t *charge, const json_t *answer)
{
    char         amount[24];
    json_t      *cents;
    const char  *params[6];

    cents = json_object_get(answer, "amount_cents");

    if (!json_is_integer(cents)) {
        cents = json_object_get(hold, "amount_cents");
    }

    snprintf(amount, sizeof(amount), "%" JSON_INTEGER_FORMAT,
             json_integer_value(cents));

    params[0] = tx->job->uuid;
    params[1] = json_string_value(json_object_get(answer,
                                                  "confirmation_number"));
    params[2] = json_string_value(json_object_get(answer, "venue_name"));
    params[3] = amount;
    params[4] = json_string_value(json_object_get(hold, "hold_id"));
    params[5] = booking_charge_id(charge);

    return worker_tx_exec(tx,
        "UPDATE travel.bookings AS b"
        "   SET status = 'confirmed', confirmation_number = $2,"
        "       venue_name = $3, amount_cents = $4::bigint, hold_id = $5,"
        "       commission_cents = floor(($4::numeric * p.commission_bps"
        "                                 + 5000) / 10000)::bigint,"
        "       charge_id = $6, error = NULL, updated_at = now()"
        "  FROM travel.partners AS p, travel.users AS u"
        " WHERE b.id = $1::uuid AND b.status = 'pending'"
        "   AND p.code = b.partner AND u.id = b.user_id"
        BOOKING_RETURNING, 6, params);
}


static int
booking_confirm_events(worker_tx_t *tx, const PGresult *res,
    const json_t *booking, const json_t *charge)
{
    json_t  *confirmed, *commission;

    if (booking_charge_id(charge) != NULL
        && worker_tx_event(tx, "booking", tx->job->uuid, -1,
               "payment.captured",
               json_pack("{s:s, s:O}", "charge_id", booking_charge_id(charge),
                         "amount_cents",
                         json_object_get(booking, "amount_cents")))
           != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    confirmed = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}",
        "confirmation_number", json_object_get(booking, "confirmation_number"),
        "venue_name", json_object_get(booking, "venue_name"),
        "amount_cents", json_object_get(booking, "amount_cents"),
        "partner", json_object_get(booking, "partner"),
        "error", json_object_get(booking, "error"),
        "updated_at", json_object_get(booking, "updated_at"));
    commission = json_pack("{s:O, s:i, s:O, s:O, s:O}",
        "amount_cents", json_object_get(booking, "amount_cents"),
        "commission_bps", atoi(PQgetvalue(res, 0, 1)),
        "commission_cents", json_object_get(booking, "commission_cents"),
        "partner", json_object_get(booking, "partner"),
        "updated_at", json_object_get(booking, "updated_at"));

    if (worker_tx_event(tx, "booking", tx->job->uuid, -1, "booking.confirmed",
                        confirmed) != TRAVEL_OK)
    {
        json_decref(commission);
        return TRAVEL_ERROR;
    }

    return worker_tx_event(tx, "booking", tx->job->uuid, -1,
                           "commission.calculated", commission);
}


int
booking_mail(worker_tx_t *tx, const PGresult *res, const json_t *booking,
    const char *template)
{
    json_t        *data, *to;
    worker_job_t  *job;

    job = tx->job;

    if (job->env.email.len > 0) {
        to = json_stringn(job->env.email.data, job->env.email.len);

    } else {
        to = PQgetisnull(res, 0, 3) ? json_null()
                                    : json_string(PQgetvalue(res, 0, 3));
    }

    data = json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:O, s:O}",
        "partner", PQgetvalue(res, 0, 2),
        "name", PQgetisnull(res, 0, 4) ? "traveller" : PQgetvalue(res, 0, 4),
        "date", PQgetvalue(res, 0, 5), "amount", PQgetvalue(res, 0, 6),
        "venue_name", json_object_get(booking, "venue_name"),
        "party_size", json_object_get(booking, "party_size"),
        "confirmation_number", json_object_get(booking, "confirmation_number"),
        "booking_id", json_object_get(booking, "id"));

    return worker_tx_job(tx, "notification.email", job->key,
                         json_pack("{s:s, s:o, s:o}", "template", template,
                                   "to", to, "data", data));
}


static worker_verdict_e
booking_confirmed_in(worker_tx_t *tx, const json_t *hold,
    const json_t *charge, const json_t *answer)
{
    json_t            *booking;
    PGresult          *res;
    worker_verdict_e   verdict;

    if (json_string_value(json_object_get(answer, "confirmation_number"))
        == NULL)
    {
        return worker_tx_refuse(tx, "EXTERNAL_SERVICE_ERROR", "the partner's "
                                "answer has no confirmation_number");
    }

    res = booking_confirm_row(tx, hold, charge, answer);

    if (res == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    booking = worker_row_json(res, 0);

    if (booking == NULL) {
        PQclear(res);
        return worker_tx_refuse(tx, "CONFLICT",
                                "the booking is not pending any more");
    }

    if (booking_confirm_events(tx, res, booking, charge) != TRAVEL_OK
        || booking_mail(tx, res, booking, "booking_confirmed") != TRAVEL_OK
        || worker_saga_end(tx, tx->job->uuid, "done") != TRAVEL_OK)
    {
        verdict = worker_tx_retry(tx, res);

    } else {
        booking_tags(tx, tx->job->uuid, json_string_value(
                         json_object_get(booking, "journey_id")));
        verdict = worker_tx_commit_row(tx, res);
    }

    json_decref(booking);
    return verdict;
}


static worker_verdict_e
booking_do_create(worker_saga_run_t *run, json_t **ret_result)
{
    (void) ret_result;
    return booking_created(run->job);
}


static worker_verdict_e
booking_do_hold(worker_saga_run_t *run, json_t **ret_result)
{
    return booking_hold(run->job, ret_result);
}


static worker_verdict_e
booking_do_pay(worker_saga_run_t *run, json_t **ret_result)
{
    return booking_pay(run->job, json_object_get(run->results, "hold"),
                       ret_result);
}


static worker_verdict_e
booking_do_confirm(worker_saga_run_t *run, json_t **ret_result)
{
    return booking_confirm(run->job, json_object_get(run->results, "hold"),
                           ret_result);
}


static worker_verdict_e
booking_do_settle(worker_saga_run_t *run, json_t **ret_result)
{
    worker_tx_e  state;
    worker_tx_t  tx;

    (void) ret_result;
    state = worker_tx_begin(&tx, run->job, "confirm");

    return state == WORKER_TX_FRESH
           ? booking_confirmed_in(&tx,
                                  json_object_get(run->results, "hold"),
                                  json_object_get(run->results, "pay"),
                                  json_object_get(run->results, "confirm"))
           : worker_tx_not_fresh(&tx, state);
}


/*
 * The hold's undo covers the confirmation: the hold is released, and only when
 * the partner says that it is confirmed already is the reservation cancelled.
 * The other way round, an undo of "confirm" would have to confirm first what
 * may never have been.  Commission and mail are in the last transaction, which
 * is there as a whole or not at all.
 */
static const worker_saga_step_t  booking_steps[] = {
    { "create",  booking_do_create,  NULL,            0, 0 },
    { "hold",    booking_do_hold,    booking_un_hold, 0, 0 },
    { "pay",     booking_do_pay,     booking_un_pay,  0, 0 },
    { "confirm", booking_do_confirm, NULL,            0, 0 },
    { "settle",  booking_do_settle,  NULL,            0, 0 },
    { .name = NULL }
};

const worker_saga_t  booking_saga = { "booking", "booking.release",
                                      booking_steps };


worker_verdict_e
booking_create(worker_job_t *job)
{
    return worker_saga_forwards(job, &booking_saga);
}


/* --- failure and compensation ------------------------------------------- */


static PGresult *
booking_fail_row(worker_tx_t *tx)
{
    return worker_tx_fail_row(tx, tx->job->uuid,
        "WITH failed AS ("
        "  UPDATE travel.bookings AS b"
        "     SET status = 'failed', error = $2::jsonb, updated_at = now()"
        "   WHERE id = $1::uuid AND status = 'pending'"
        "  RETURNING b.journey_id)"
        " SELECT (SELECT journey_id FROM failed),"
        "        EXISTS (SELECT FROM travel.bookings"
        "                 WHERE id = $1::uuid AND status <> 'pending')");
}


/* What booking.release is given; NULL when nothing can be out there. */
static json_t *
booking_release_body(const worker_job_t *job, const json_t *steps)
{
    json_t  *hold, *charge, *id, *pay;

    if (json_object_size(steps) == 0) {
        return NULL;
    }

    hold = json_object_get(steps, "hold");
    charge = json_object_get(steps, "pay");
    id = json_object_get(hold, "hold_id");
    pay = charge == NULL ? NULL
          : json_pack("{s:O?, s:O?}", "charge_id",
                      json_object_get(charge, "charge_id"), "amount_cents",
                      json_object_get(hold, "amount_cents"));

    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:O, s:o?}",
                     "saga", job->uuid,
                     "booking_id", job->uuid, "create_job", job->job_id,
                     "partner", worker_body_string(job, "partner"),
                     "request", booking_hold_request(job->body),
                     "hold_id", json_is_string(id) ? id : json_null(),
                     "pay", pay);
}


static worker_verdict_e
booking_fail_in(worker_tx_t *tx)
{
    bool       over;
    json_t    *steps, *body;
    PGresult  *res;

    res = booking_fail_row(tx);

    if (res == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    /* it did succeed, the news of it got lost: nothing to put on record */
    over = *PQgetvalue(res, 0, 1) == 't';

    if (over) {
        PQclear(res);
        worker_tx_end(tx);
        return WORKER_DONE;
    }

    booking_tags(tx, tx->job->uuid, PQgetvalue(res, 0, 0));
    PQclear(res);

    if (worker_saga_undoing(tx, &steps) != TRAVEL_OK) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    body = booking_release_body(tx->job, steps);
    json_decref(steps);

    if (worker_saga_turn(tx, &booking_saga, body) != TRAVEL_OK
        || worker_tx_event(tx, "booking", tx->job->uuid, -1, "booking.failed",
                           worker_failure(tx->job)) != TRAVEL_OK)
    {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(tx, NULL);
}


static worker_verdict_e
booking_create_giveup(worker_job_t *job)
{
    return worker_tx_run(job, "fail", booking_fail_in);
}


const worker_job_type_t  worker_jobs_booking[] = {
    { "booking.create", "booking", TRAVEL_PRIORITY_NORMAL, booking_create,
      booking_create_giveup, WORKER_RETRY_DEFAULTS, false },
    { "booking.cancel", "booking", TRAVEL_PRIORITY_NORMAL, booking_cancel,
      booking_cancel_giveup, WORKER_RETRY_DEFAULTS, false },
    { "booking.release", "maintenance", TRAVEL_PRIORITY_HIGH, booking_release,
      worker_saga_stuck, 10, 1000, 300000, 300000, false },
    { "booking.cancel_settle", "maintenance", TRAVEL_PRIORITY_HIGH,
      booking_cancel_settle, NULL, 20, 2000, 3600000, 300000, false },
    { .type = NULL }
};

const worker_job_batch_t  worker_batches_booking[] = {
    { "booking.create", booking_create_batch, BOOKING_BATCH,
      booking_answered_batch, false },
    { .type = NULL }
};
