/*
 * booking.release: what a failed booking.create may have left at the partner
 * is undone, with retries that outlive that job.
 *
 * It asks for the hold again under its first key when the answer was never
 * seen, and deletes it; a hold that turns out to be confirmed is confirmed
 * again under its first key to learn the number, and that reservation is
 * cancelled.
 */

#include <stdio.h>
#include <stdlib.h>

#include "booking.h"


/* A partner's call of the release job, under a key of the create job when
 * 'first' names one of its steps. */
static worker_verdict_e
booking_release_call(worker_job_t *job, const char *step, const char *first,
    const char *method, const char *path, const json_t *body,
    json_t **ret_answer)
{
    char         key[WORKER_STEP_KEY_MAX];
    const char  *create;

    create = worker_body_string(job, "create_job");

    worker_partner_call_t  call = {
        .partner = worker_body_string(job, "partner"), .step = step,
        .method = method, .path = path, .body = body,
    };

    if (first != NULL && create != NULL) {
        snprintf(key, sizeof(key), "%.100s:%s", create, first);
        call.key = key;
    }

    return worker_partner_step(job, &call, ret_answer);
}


/* The hold's id: known, or learnt by asking under the first key again.  A
 * partner that refuses now has no hold of ours: DONE with an empty id. */
static worker_verdict_e
booking_release_id(worker_job_t *job, char id[256])
{
    json_t            *answer, *request;
    const char        *text;
    worker_verdict_e   verdict;

    verdict = WORKER_DONE;
    answer = NULL;
    request = NULL;
    text = worker_body_string(job, "hold_id");

    if (text == NULL) {
        /* the same bytes as then: jsonb has shuffled the members since */
        request = booking_hold_request(json_object_get(job->body, "request"));
        verdict = booking_release_call(job, "hold", "hold", "POST",
                                       "/v1/holds", request, &answer);
        text = verdict == WORKER_DONE
               ? json_string_value(json_object_get(answer, "hold_id")) : NULL;
    }

    snprintf(id, 256, "%s", text != NULL ? text : "");
    json_decref(answer);
    json_decref(request);

    return verdict == WORKER_REJECT ? WORKER_DONE : verdict;
}


/* A hold that cannot be released because the confirmation went through. */
static worker_verdict_e
booking_release_reservation(worker_job_t *job, const char *hold_id)
{
    char               path[BOOKING_PATH_MAX], segment[256];
    json_t            *answer, *ignored;
    const char        *number;
    worker_verdict_e   verdict;

    if (!booking_hold_path(path, hold_id, "/confirm")) {
        return WORKER_DONE;
    }

    verdict = booking_release_call(job, "confirm", "confirm", "POST", path,
                                   NULL, &answer);

    if (verdict != WORKER_DONE) {
        json_decref(answer);
        return verdict == WORKER_REJECT ? WORKER_DONE : verdict;
    }

    number = json_string_value(json_object_get(answer,
                                               "confirmation_number"));

    if (number != NULL
        && worker_path_segment(segment, sizeof(segment), number))
    {
        snprintf(path, sizeof(path), "/v1/reservations/%s", segment);
        verdict = booking_release_call(job, "cancel", NULL, "DELETE", path,
                                       NULL, &ignored);
        json_decref(ignored);
    }

    json_decref(answer);
    return verdict == WORKER_REJECT ? WORKER_DONE : verdict;
}


/* What was given back, as this job's step "refund" has it. */
static int
booking_refunded(worker_tx_t *tx)
{
    int          rc;
    PGresult    *res;
    const char  *params[] = { tx->job->uuid };

    res = worker_tx_exec(tx, "SELECT result->>'charge_id' FROM jobs.saga"
                             " WHERE job_id = $1::uuid AND step = 'refund'"
                             "   AND state = 'done'"
                             "   AND result ? 'charge_id'", 1, params);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    rc = PQntuples(res) == 0 ? TRAVEL_OK
         : worker_tx_event(tx, "booking",
                           worker_body_string(tx->job, "booking_id"), -1,
                           "payment.refunded",
                           json_pack("{s:s}", "charge_id",
                                     PQgetvalue(res, 0, 0)));
    PQclear(res);
    return rc;
}


/* A create's job id is its booking's id, and so its saga's. */
static worker_verdict_e
booking_released_in(worker_tx_t *tx)
{
    if (worker_saga_undone(tx, worker_body_string(tx->job, "booking_id"))
        != TRAVEL_OK
        || booking_refunded(tx) != TRAVEL_OK)
    {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(tx, json_pack("{s:b}", "released", 1));
}


worker_verdict_e
booking_un_hold(worker_saga_run_t *run)
{
    int                status;
    char               id[256], path[BOOKING_PATH_MAX];
    json_t            *answer;
    worker_job_t      *job;
    worker_verdict_e   verdict;

    job = run->job;
    verdict = booking_release_id(job, id);

    if (verdict == WORKER_DONE && booking_hold_path(path, id, "")) {
        verdict = booking_release_call(job, "release", NULL, "DELETE", path,
                                       NULL, &answer);
        status = (int) json_integer_value(json_object_get(answer, "status"));
        json_decref(answer);

        if (verdict == WORKER_REJECT) {
            verdict = status == 409 ? booking_release_reservation(job, id)
                                    : WORKER_DONE;
        }
    }

    return verdict;
}


worker_verdict_e
booking_release(worker_job_t *job)
{
    const char        *booking;
    worker_verdict_e   verdict;

    booking = worker_body_string(job, "booking_id");

    if (worker_body_string(job, "partner") == NULL || booking == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "partner and booking_id are needed");
    }

    verdict = worker_saga_backwards(job, &booking_saga, booking);

    return verdict == WORKER_DONE
           ? worker_tx_run(job, "released", booking_released_in) : verdict;
}
