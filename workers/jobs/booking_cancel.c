/*
 * booking.cancel and booking.cancel_settle.
 *
 * cancel   tx "cancelling", partner step "cancel", step "refund" when it was
 *          paid, tx "cancelled"
 * given up tx "fail": a partner that refused, or was never asked, leaves the
 *          booking confirmed (booking.cancel_failed).  When its answer was
 *          lost nobody knows, so the booking stays cancelling and
 *          booking.cancel_settle finds out
 * settle   the same call under the same key, with patience: then "cancelled",
 *          or, refused, confirmed as before
 */

#include <stdio.h>
#include <stdlib.h>

#include "booking.h"


/* --- cancel ------------------------------------------------------------- */


static worker_verdict_e
booking_cancelling_in(worker_tx_t *tx)
{
    json_t            *result;
    PGresult          *res;
    const char        *status;
    const char        *params[] = { tx->job->key, tx->job->sub };

    res = worker_tx_exec(tx,
        "SELECT status, partner, confirmation_number, journey_id, charge_id"
        "  FROM travel.bookings"
        " WHERE id = $1::uuid AND user_id = $2::uuid FOR UPDATE", 2, params);

    if (res == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return worker_tx_refuse(tx, "RESOURCE_NOT_FOUND",
                                "there is no such booking");
    }

    status = PQgetvalue(res, 0, 0);

    if (strcmp(status, "confirmed") != 0) {
        worker_verdict_e  verdict;

        verdict = worker_tx_refuse(tx, "BOOKING_NOT_CANCELLABLE",
                                   "the booking is %s", status);
        PQclear(res);
        return verdict;
    }

    result = json_pack("{s:s, s:s, s:s*}", "partner", PQgetvalue(res, 0, 1),
                       "number", PQgetvalue(res, 0, 2), "charge",
                       PQgetisnull(res, 0, 4) ? NULL
                                              : PQgetvalue(res, 0, 4));
    booking_tags(tx, tx->job->key, PQgetvalue(res, 0, 3));
    PQclear(res);

    res = worker_tx_exec(tx, "UPDATE travel.bookings"
                             "   SET status = 'cancelling', updated_at = now()"
                             " WHERE id = $1::uuid AND user_id = $2::uuid",
                         2, params);

    if (res == NULL) {
        json_decref(result);
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    PQclear(res);

    if (worker_tx_event(tx, "booking", tx->job->key, -1, "booking.cancelling",
                        json_object()) != TRAVEL_OK)
    {
        json_decref(result);
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(tx, result);
}


/*
 * At the partner, where the reservation may be gone already.  'what' has
 * partner and number; 'first' is the job whose key is used, NULL for this one.
 */
static worker_verdict_e
booking_cancel_call(worker_job_t *job, const json_t *what, const char *first)
{
    int                status;
    char               path[BOOKING_PATH_MAX], segment[BOOKING_PATH_MAX - 64];
    char               key[WORKER_STEP_KEY_MAX];
    json_t            *answer;
    const char        *number;
    worker_verdict_e   verdict;

    number = json_string_value(json_object_get(what, "number"));

    if (number == NULL
        || !worker_path_segment(segment, sizeof(segment), number))
    {
        return worker_job_fail(job, WORKER_REJECT, "BOOKING_NOT_CANCELLABLE",
                               "the booking has no confirmation number");
    }

    snprintf(path, sizeof(path), "/v1/reservations/%s", segment);

    worker_partner_call_t  call = {
        .partner = json_string_value(json_object_get(what, "partner")),
        .step = "cancel", .method = "DELETE", .path = path,
    };

    if (first != NULL) {
        snprintf(key, sizeof(key), "%.100s:cancel", first);
        call.key = key;
    }

    verdict = worker_partner_step(job, &call, &answer);
    status = (int) json_integer_value(json_object_get(answer, "status"));
    json_decref(answer);

    if (verdict == WORKER_REJECT && (status == 404 || status == 410)) {
        verdict = WORKER_DONE;
    }

    return verdict;
}


/* At the partner, then the money. */
static worker_verdict_e
booking_cancel_calls(worker_job_t *job, const json_t *what, const char *first)
{
    worker_verdict_e  verdict;

    verdict = booking_cancel_call(job, what, first);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    verdict = booking_refund(job, json_string_value(
                                      json_object_get(what, "charge")),
                             first);

    /* the reservation is gone: a refund that is refused is somebody's to
     * look at, not the booking's to stay */
    return verdict == WORKER_REJECT
           ? worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                             "the refund is refused: %.180s",
                             job->error.message) : verdict;
}


static int
booking_cancel_events(worker_tx_t *tx, const PGresult *res,
    const json_t *booking)
{
    int      charge;
    json_t  *cents;

    charge = PQnfields(res) - 1;

    if (!PQgetisnull(res, 0, charge)
        && worker_tx_event(tx, "booking", tx->job->key, -1,
               "payment.refunded", json_pack("{s:s}", "charge_id",
                                             PQgetvalue(res, 0, charge)))
           != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    if (worker_tx_event(tx, "booking", tx->job->key, -1, "booking.cancelled",
            json_pack("{s:O, s:O}", "confirmation_number",
                      json_object_get(booking, "confirmation_number"),
                      "updated_at", json_object_get(booking, "updated_at")))
        != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    cents = json_object_get(booking, "commission_cents");

    return worker_tx_event(tx, "booking", tx->job->key, -1,
               "commission.reversed",
               json_pack("{s:I, s:O}", "commission_cents",
                         -json_integer_value(cents), "partner",
                         json_object_get(booking, "partner")));
}


static worker_verdict_e
booking_cancelled_in(worker_tx_t *tx)
{
    json_t            *booking;
    PGresult          *res;
    worker_verdict_e   verdict;
    const char        *params[] = { tx->job->key };

    res = worker_tx_exec(tx,
        "UPDATE travel.bookings AS b"
        "   SET status = 'cancelled', updated_at = now()"
        "  FROM travel.partners AS p, travel.users AS u"
        " WHERE b.id = $1::uuid AND b.status = 'cancelling'"
        "   AND p.code = b.partner AND u.id = b.user_id"
        BOOKING_RETURNING ", b.charge_id", 1, params);

    booking = res != NULL ? worker_row_json(res, 0) : NULL;

    if (booking == NULL
        || booking_cancel_events(tx, res, booking) != TRAVEL_OK
        || booking_mail(tx, res, booking, "booking_cancelled") != TRAVEL_OK)
    {
        verdict = worker_tx_retry(tx, res);

    } else {
        booking_tags(tx, tx->job->key, json_string_value(
                         json_object_get(booking, "journey_id")));
        verdict = worker_tx_commit_row(tx, res);
    }

    json_decref(booking);
    return verdict;
}


/* Partner, number and charge, once the booking is on its way out. */
static worker_verdict_e
booking_cancelling(worker_job_t *job)
{
    worker_verdict_e  verdict;

    if (worker_job_memo(job, "what") != NULL) {
        return WORKER_DONE;
    }

    verdict = worker_tx_run(job, "cancelling", booking_cancelling_in);

    if (verdict == WORKER_DONE) {
        worker_job_memo_set(job, "what", json_incref(job->result));
    }

    return verdict;
}


worker_verdict_e
booking_cancel(worker_job_t *job)
{
    worker_verdict_e  verdict;

    verdict = booking_cancelling(job);

    if (verdict == WORKER_DONE) {
        verdict = booking_cancel_calls(job, worker_job_memo(job, "what"),
                                       NULL);
    }

    return verdict == WORKER_DONE
           ? worker_tx_run(job, "cancelled", booking_cancelled_in) : verdict;
}


/* --- given up ----------------------------------------------------------- */


/* The booking is what it was, and that is said. */
static int
booking_cancel_revert(worker_tx_t *tx)
{
    int           rc;
    PGresult     *res;
    const char   *params[] = { tx->job->key };

    res = worker_tx_exec(tx,
        "UPDATE travel.bookings AS b"
        "   SET status = 'confirmed', updated_at = now()"
        " WHERE b.id = $1::uuid AND b.status = 'cancelling'"
        " RETURNING b.journey_id", 1, params);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    rc = TRAVEL_OK;

    if (PQntuples(res) > 0) {
        booking_tags(tx, tx->job->key, PQgetvalue(res, 0, 0));
        rc = worker_tx_event(tx, "booking", tx->job->key, -1,
                             "booking.cancel_failed", worker_failure(tx->job));
    }

    PQclear(res);
    return rc;
}


/*
 * What this job has begun: its inbox row has partner and number, its saga row
 * says whether a call is without an answer.
 */
static int
booking_cancel_begun(worker_tx_t *tx, json_t **ret_what, bool *ret_asked)
{
    PGresult    *res;
    const char  *params[] = { tx->job->uuid };

    *ret_what = NULL;
    *ret_asked = false;

    res = worker_tx_exec(tx,
        "SELECT i.result, EXISTS (SELECT FROM jobs.saga AS s"
        "   WHERE s.job_id = i.job_id AND s.step = 'cancel'"
        "     AND s.state IN ('taken', 'done'))"
        "  FROM jobs.inbox AS i"
        " WHERE i.job_id = $1::uuid AND i.step = 'cancelling'", 1, params);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    if (PQntuples(res) > 0) {
        *ret_what = json_loads(PQgetvalue(res, 0, 0), 0, NULL);
        *ret_asked = *PQgetvalue(res, 0, 1) == 't';
    }

    PQclear(res);
    return TRAVEL_OK;
}


static int
booking_cancel_hand_over(worker_tx_t *tx, const json_t *what)
{
    json_t  *body;

    body = json_pack("{s:s, s:O, s:O, s:O*}", "cancel_job", tx->job->job_id,
                     "partner", json_object_get(what, "partner"),
                     "number", json_object_get(what, "number"),
                     "charge", json_object_get(what, "charge"));

    return worker_tx_job(tx, "booking.cancel_settle", tx->job->key, body);
}


worker_verdict_e
booking_cancel_giveup(worker_job_t *job)
{
    int           rc;
    bool          asked;
    json_t       *what;
    worker_tx_e   state;
    worker_tx_t   tx;

    state = worker_tx_begin(&tx, job, "fail");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    rc = booking_cancel_begun(&tx, &what, &asked);

    if (rc == TRAVEL_OK && what != NULL) {
        rc = asked ? booking_cancel_hand_over(&tx, what)
                   : booking_cancel_revert(&tx);
    }

    json_decref(what);

    if (rc != TRAVEL_OK) {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(&tx, NULL);
}


/* --- settle ------------------------------------------------------------- */


/* The first job's step ends as the partner has now said. */
static int
booking_cancel_close(worker_tx_t *tx, const char *state)
{
    char              uuid[TRAVEL_UUID_TEXT_LEN + 1];
    PGresult         *res;
    const char       *first, *params[] = { uuid, state };
    travel_job_id_t   id;

    first = worker_body_string(tx->job, "cancel_job");

    if (first == NULL
        || travel_job_id_parse(&id, (travel_str_t) { first, strlen(first) })
           != TRAVEL_OK)
    {
        return TRAVEL_OK;
    }

    travel_uuid_format(uuid, &id.id);
    uuid[TRAVEL_UUID_TEXT_LEN] = '\0';

    res = worker_tx_exec(tx,
        "UPDATE jobs.saga SET state = $2, updated_at = now()"
        " WHERE job_id = $1::uuid AND step = 'cancel' AND state = 'taken'",
        2, params);
    PQclear(res);

    return res != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


static worker_verdict_e
booking_cancel_refused(worker_tx_t *tx)
{
    if (booking_cancel_revert(tx) != TRAVEL_OK
        || booking_cancel_close(tx, "refused") != TRAVEL_OK)
    {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(tx, json_pack("{s:b}", "cancelled", 0));
}


worker_verdict_e
booking_cancel_settle(worker_job_t *job)
{
    worker_tx_e        state;
    worker_tx_t        tx;
    worker_verdict_e   verdict;

    if (worker_body_string(job, "partner") == NULL
        || worker_body_string(job, "cancel_job") == NULL)
    {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "partner and cancel_job are needed");
    }

    verdict = booking_cancel_calls(job, job->body,
                                   worker_body_string(job, "cancel_job"));

    if (verdict != WORKER_DONE && verdict != WORKER_REJECT) {
        return verdict;
    }

    state = worker_tx_begin(&tx, job, "settled");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    if (verdict == WORKER_REJECT) {
        return booking_cancel_refused(&tx);
    }

    if (booking_cancel_close(&tx, "done") != TRAVEL_OK) {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    return booking_cancelled_in(&tx);
}
