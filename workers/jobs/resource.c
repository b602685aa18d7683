/* What the product's handlers share: reading bodies, answering with rows. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "resource.h"
#include "../pool/log.h"
#include "../pool/slot.h"
#include "../store/pg.h"

#define PARENT_LOOKS     3                /* attempts that end in a retry */
#define PARENT_YOUNG_MS  (5 * 60 * 1000)  /* the deadline of what makes one */


const char *
worker_body_string(const worker_job_t *job, const char *name)
{
    return json_string_value(json_object_get(job->body, name));
}


json_t *
worker_row_json_at(const PGresult *res, int row, int column)
{
    if (PQntuples(res) <= row || PQgetisnull(res, row, column)) {
        return NULL;
    }

    return json_loads(PQgetvalue(res, row, column), JSON_DECODE_ANY, NULL);
}


json_t *
worker_row_json(const PGresult *res, int column)
{
    return worker_row_json_at(res, 0, column);
}


PGresult *
worker_query(worker_job_t *job, const char *sql, int n,
    const char *const *params)
{
    PGresult     *res;
    worker_pg_t  *pg;

    pg = job->slot->pg;
    res = worker_pg_ready(pg) == TRAVEL_OK ? worker_pg_exec(pg, sql, n, params)
                                           : NULL;

    if (worker_pg_good(res)) {
        return res;
    }

    (void) worker_job_fail(job, WORKER_RETRY, worker_pg_away(pg)
                           ? "DEPENDENCY_UNAVAILABLE" : "INTERNAL_ERROR",
                           "a statement failed (%s)", worker_pg_sqlstate(pg));
    worker_log_job(WORKER_LOG_WARN, job, -1, "postgres: %s",
                   worker_pg_error(pg));
    PQclear(res);
    return NULL;
}


worker_verdict_e
worker_tx_not_fresh(worker_tx_t *tx, worker_tx_e state)
{
    worker_verdict_e  verdict;

    switch (state) {

    case WORKER_TX_SEEN:
        json_decref(tx->job->result);
        tx->job->result = json_incref(tx->seen);
        verdict = WORKER_DONE;
        break;

    case WORKER_TX_FENCED:
        verdict = WORKER_FENCED;
        break;

    default:
        verdict = WORKER_RETRY;
        break;
    }

    worker_tx_end(tx);
    return verdict;
}


worker_verdict_e
worker_tx_run(worker_job_t *job, const char *step,
    worker_verdict_e (*in)(worker_tx_t *tx))
{
    worker_tx_e  state;
    worker_tx_t  tx;

    state = worker_tx_begin(&tx, job, step);

    return state == WORKER_TX_FRESH ? in(&tx)
                                    : worker_tx_not_fresh(&tx, state);
}


worker_verdict_e
worker_tx_retry(worker_tx_t *tx, PGresult *res)
{
    PQclear(res);
    worker_tx_end(tx);
    return WORKER_RETRY;
}


worker_verdict_e
worker_tx_commit_row(worker_tx_t *tx, PGresult *res)
{
    worker_verdict_e  verdict;

    verdict = worker_tx_commit(tx, worker_row_json(res, 0));
    PQclear(res);
    return verdict;
}


worker_verdict_e
worker_tx_refuse(worker_tx_t *tx, const char *code, const char *fmt, ...)
{
    char     message[256];
    va_list  ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);

    worker_tx_end(tx);
    return worker_job_fail(tx->job, WORKER_REJECT, code, "%s", message);
}


/* One of somebody else's is there, and so not awaited. */
static worker_verdict_e
worker_parent_absent(worker_tx_t *tx, const char *kind, const char *sql,
    const char *parent)
{
    bool            awaited;
    int64_t         age;
    PGresult       *res;
    travel_uuid_t   id;
    const char     *params[] = { parent };

    awaited = tx->job->attempt <= PARENT_LOOKS
              && travel_uuid_parse(&id, (travel_str_t) { parent,
                                   strlen(parent) }) == TRAVEL_OK
              && travel_uuid_version(&id) == 7;

    if (awaited) {
        age = (int64_t) time(NULL) * 1000 - (int64_t) travel_uuid_ms(&id);
        awaited = age < PARENT_YOUNG_MS && age > -PARENT_YOUNG_MS;
    }

    if (awaited) {
        res = worker_tx_exec(tx, sql, 1, params);

        if (res == NULL) {
            worker_tx_end(tx);
            return WORKER_RETRY;
        }

        awaited = PQntuples(res) == 0;
        PQclear(res);
    }

    if (!awaited) {
        return worker_tx_refuse(tx, "RESOURCE_NOT_FOUND",
                                "there is no such %s", kind);
    }

    worker_tx_end(tx);
    return worker_job_fail(tx->job, WORKER_RETRY, "RESOURCE_NOT_FOUND",
                           "the %s is not there yet", kind);
}


worker_verdict_e
worker_journey_absent(worker_tx_t *tx, const char *journey)
{
    return worker_parent_absent(tx, "journey", "SELECT FROM travel.journeys"
                                " WHERE id = $1::uuid", journey);
}


worker_verdict_e
worker_trip_absent(worker_tx_t *tx, const char *trip)
{
    return worker_parent_absent(tx, "trip", "SELECT FROM travel.trips"
                                " WHERE id = $1::uuid", trip);
}


json_t *
worker_failure(const worker_job_t *job)
{
    return json_pack("{s:s, s:s}",
                     "code", job->error.code[0] != '\0' ? job->error.code
                                                        : "INTERNAL_ERROR",
                     "message", job->error.message);
}


PGresult *
worker_tx_fail_row(worker_tx_t *tx, const char *id, const char *sql)
{
    char        *text;
    json_t      *failure;
    PGresult    *res;
    const char  *params[2];

    failure = worker_failure(tx->job);
    text = json_dumps(failure, JSON_COMPACT);
    json_decref(failure);
    params[0] = id;
    params[1] = text;
    res = worker_tx_exec(tx, sql, 2, params);
    free(text);
    return res;
}


worker_verdict_e
worker_fail_event(worker_job_t *job, const char *aggregate, const char *tag)
{
    char         type[64];
    worker_tx_e  state;
    worker_tx_t  tx;

    state = worker_tx_begin(&tx, job, "fail");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    snprintf(type, sizeof(type), "%s.failed", aggregate);

    if (worker_tx_event(&tx, aggregate, job->key, -1, type,
                        worker_failure(job)) != TRAVEL_OK)
    {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    worker_tx_tag(&tx, "%s:%s", tag, job->key);
    return worker_tx_commit(&tx, NULL);
}
