/*
 * The money of a booking: charged after the hold, before the confirmation;
 * given back when the booking fails or is cancelled.
 *
 * Who takes payments is a partner like others, named by "payments" in
 * workers.conf; without it, or when the hold costs nothing, the step does
 * nothing.  A charge whose answer was lost is asked for again under its first
 * key, so that there is one, and that one is refunded.
 */

#include <stdio.h>

#include "booking.h"
#include "../pool/slot.h"


/* What is charged: the same bytes whenever it is asked for. */
static json_t *
booking_charge_request(const char *booking, json_int_t cents)
{
    return json_pack("{s:s, s:I}", "booking_id", booking, "amount_cents",
                     cents);
}


bool
booking_is_paid(const worker_job_t *job, const json_t *hold)
{
    return job->slot->conf->payments != NULL
           && json_integer_value(json_object_get(hold, "amount_cents")) > 0;
}


worker_verdict_e
booking_pay(worker_job_t *job, const json_t *hold, json_t **ret_charge)
{
    json_t            *request;
    json_int_t         cents;
    worker_verdict_e   verdict;

    *ret_charge = NULL;
    cents = json_integer_value(json_object_get(hold, "amount_cents"));

    if (!booking_is_paid(job, hold)) {
        return WORKER_DONE;
    }

    request = booking_charge_request(job->uuid, cents);

    worker_partner_call_t  call = {
        .partner = job->slot->conf->payments, .step = "pay",
        .method = "POST", .path = "/v1/charges", .body = request,
    };

    verdict = worker_partner_step(job, &call, ret_charge);
    json_decref(request);

    if (verdict == WORKER_DONE && booking_charge_id(*ret_charge) == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "EXTERNAL_SERVICE_ERROR",
                               "the charge has no charge_id");
    }

    return verdict;
}


const char *
booking_charge_id(const json_t *charge)
{
    return json_string_value(json_object_get(charge, "charge_id"));
}


worker_verdict_e
booking_refund(worker_job_t *job, const char *charge, const char *first)
{
    char               path[BOOKING_PATH_MAX], segment[256];
    char               key[WORKER_STEP_KEY_MAX];
    json_t            *answer;
    worker_verdict_e   verdict;

    if (charge == NULL
        || !worker_path_segment(segment, sizeof(segment), charge))
    {
        return WORKER_DONE;
    }

    snprintf(path, sizeof(path), "/v1/charges/%s/refund", segment);

    worker_partner_call_t  call = {
        .partner = job->slot->conf->payments, .step = "refund",
        .method = "POST", .path = path,
    };

    if (first != NULL) {
        snprintf(key, sizeof(key), "%.100s:refund", first);
        call.key = key;
    }

    if (call.partner == NULL) {
        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "\"payments\" is gone from workers.conf, and "
                               "a charge is to be refunded");
    }

    verdict = worker_partner_step(job, &call, &answer);
    json_decref(answer);

    /* refused: refunded already, or not theirs to give: somebody must look */
    return verdict;
}


/* The undo: body member "pay" is there when a charge may be. */
worker_verdict_e
booking_un_pay(worker_saga_run_t *run)
{
    char               key[WORKER_STEP_KEY_MAX];
    json_t            *pay, *request, *charge;
    worker_job_t      *job;
    worker_verdict_e   verdict;

    job = run->job;
    charge = NULL;
    pay = json_object_get(job->body, "pay");

    if (!json_is_object(pay)) {
        return WORKER_DONE;
    }

    if (booking_charge_id(pay) != NULL) {
        return booking_refund(job, booking_charge_id(pay), NULL);
    }

    /* its answer was never seen: the same request under the same key */
    request = booking_charge_request(worker_body_string(job, "booking_id"),
        json_integer_value(json_object_get(pay, "amount_cents")));
    snprintf(key, sizeof(key), "%.100s:pay",
             worker_body_string(job, "create_job"));

    worker_partner_call_t  call = {
        .partner = job->slot->conf->payments, .step = "pay",
        .method = "POST", .path = "/v1/charges", .body = request, .key = key,
    };

    verdict = call.partner != NULL
              ? worker_partner_step(job, &call, &charge)
              : worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                                "\"payments\" is gone from workers.conf");
    json_decref(request);

    if (verdict == WORKER_DONE) {
        verdict = booking_refund(job, booking_charge_id(charge), NULL);

    } else if (verdict == WORKER_REJECT) {
        verdict = WORKER_DONE;          /* then there is none */
    }

    json_decref(charge);
    return verdict;
}
