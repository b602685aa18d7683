/*
 * Devices that can be pushed to: device.register, device.remove.
 *
 * A token is one device's; whoever registers it last has it.
 */

#include <stdio.h>

#include "families.h"
#include "resource.h"
#include "../out/push.h"


/* The row as clients see it, or NULL: the transaction is over then. */
static PGresult *
device_row(worker_tx_t *tx, const char *service)
{
    PGresult    *res;
    const char  *params[] = { service, worker_body_string(tx->job, "token"),
                              tx->job->uuid, tx->job->sub };

    res = worker_tx_exec(tx, "DELETE FROM travel.devices"
                             " WHERE service = $1 AND token = $2", 2, params);

    if (res == NULL) {
        return NULL;
    }

    PQclear(res);

    return worker_tx_exec(tx,
        "INSERT INTO travel.devices (service, token, id, user_id)"
        " VALUES ($1, $2, $3::uuid, $4::uuid)"
        " RETURNING json_build_object('id', id, 'service', service,"
        "               'registered_at', travel.rfc3339(registered_at))", 4,
        params);
}


static worker_verdict_e
device_register_in(worker_tx_t *tx)
{
    PGresult    *res;
    const char  *service;

    service = worker_body_string(tx->job, "service");
    res = worker_tx_user(tx) == TRAVEL_OK ? device_row(tx, service) : NULL;

    if (res == NULL
        || worker_tx_event(tx, "device", tx->job->uuid, -1,
                           "device.registered",
                           json_pack("{s:s}", "service", service))
           != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    worker_tx_tag(tx, "user:%s", tx->job->sub);
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
device_register(worker_job_t *job)
{
    const char  *service, *token;

    service = worker_body_string(job, "service");
    token = worker_body_string(job, "token");

    if (service == NULL || token == NULL || worker_push_service(service) < 0
        || *token == '\0' || strlen(token) > 1024)
    {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "service \"fcm\" or \"apns\", and a token");
    }

    return worker_tx_run(job, "register", device_register_in);
}


static worker_verdict_e
device_remove_in(worker_tx_t *tx)
{
    PGresult     *res;
    const char   *device, *params[2];

    device = worker_body_string(tx->job, "device_id");
    params[0] = device;
    params[1] = tx->job->sub;

    res = worker_tx_exec(tx, "DELETE FROM travel.devices"
                             " WHERE id = $1::uuid AND user_id = $2::uuid"
                             " RETURNING id", 2, params);

    if (res == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return worker_tx_refuse(tx, "RESOURCE_NOT_FOUND",
                                "There is no such device.");
    }

    PQclear(res);

    if (worker_tx_event(tx, "device", device, -1, "device.removed",
                        json_object()) != TRAVEL_OK)
    {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    worker_tx_tag(tx, "user:%s", tx->job->sub);
    return worker_tx_commit(tx, json_pack("{s:s, s:s}", "id", device,
                                          "status", "removed"));
}


static worker_verdict_e
device_remove(worker_job_t *job)
{
    const char     *device;
    travel_uuid_t   uuid;

    device = worker_body_string(job, "device_id");

    if (device == NULL
        || travel_uuid_parse(&uuid, (travel_str_t) { device, strlen(device) })
           != TRAVEL_OK)
    {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "device_id is not the id of one");
    }

    return worker_tx_run(job, "remove", device_remove_in);
}


static worker_verdict_e
device_giveup(worker_job_t *job)
{
    return worker_fail_event(job, "device", "device");
}


const worker_job_type_t  worker_jobs_device[] = {
    { "device.register", "account", TRAVEL_PRIORITY_NORMAL, device_register,
      device_giveup, WORKER_RETRY_DEFAULTS, false },
    { "device.remove", "account", TRAVEL_PRIORITY_NORMAL, device_remove,
      NULL, WORKER_RETRY_DEFAULTS, false },
    { .type = NULL }
};
