/* Saga steps: the committed row that stands before and after each outside
 * call.  Each function is one statement, hence one transaction; the rows are
 * guarded by the fence, which the statement itself checks. */

#include <stdio.h>
#include <stdlib.h>

#include "saga.h"
#include "../pool/log.h"
#include "../pool/slot.h"


typedef struct {
    worker_job_lease_t  of;
    char                name[TRAVEL_QUEUE_NAME_MAX + 20];   /* "booking.3" */
} saga_lease_t;


static void
saga_lease(saga_lease_t *l, const worker_job_t *job)
{
    worker_job_lease(job, &l->of);
    snprintf(l->name, sizeof(l->name), "%s.%s", l->of.queue, l->of.partition);
}


static PGresult *
saga_exec(worker_job_t *job, const char *step, const char *sql, int n,
    const char *const *params)
{
    PGresult     *res;
    worker_pg_t  *pg;

    pg = job->slot->pg;
    res = NULL;

    if (worker_pg_ready(pg) == TRAVEL_OK) {
        worker_pg_trace(pg, &job->trace);
        res = worker_pg_exec(pg, sql, n, params);
    }

    if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK) {
        return res;
    }

    worker_log_job(WORKER_LOG_WARN, job, -1, "saga step %s: %s (%s)", step,
                   worker_pg_error(pg), worker_pg_sqlstate(pg));
    (void) worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                           "the database could not take the step \"%s\" (%s)",
                           step, worker_pg_sqlstate(pg));
    PQclear(res);
    return NULL;
}


/* The row after the attempt to take it: fenced, taken by us, or settled. */
static worker_step_e
saga_read(const PGresult *res, json_t **ret_result)
{
    const char  *state;

    if (*PQgetvalue(res, 0, 0) != 't') {
        return WORKER_STEP_FENCED;
    }

    if (!PQgetisnull(res, 0, 1)) {
        return WORKER_STEP_CALL;
    }

    state = PQgetvalue(res, 0, 2);

    if (strcmp(state, "taken") == 0) {
        return WORKER_STEP_FENCED;      /* under a higher fence */
    }

    *ret_result = json_loads(PQgetvalue(res, 0, 3), JSON_DECODE_ANY, NULL);

    return strcmp(state, "done") == 0 ? WORKER_STEP_DONE : WORKER_STEP_REFUSED;
}


worker_step_e
worker_saga_take(worker_job_t *job, const char *step,
    char ret_key[WORKER_STEP_KEY_MAX], json_t **ret_result)
{
    char           key[WORKER_STEP_KEY_MAX];
    PGresult      *res;
    const char    *params[8];
    saga_lease_t   lease;
    worker_step_e  rc;

    saga_lease(&lease, job);
    snprintf(key, sizeof(key), "%s:%s", job->job_id, step);
    *ret_result = NULL;

    params[0] = lease.of.queue;
    params[1] = lease.of.partition;
    params[2] = job->owner;
    params[3] = lease.of.fence;
    params[4] = job->uuid;
    params[5] = step;
    params[6] = key;
    params[7] = lease.name;

    res = saga_exec(job, step,
        "WITH f AS MATERIALIZED ("
        "  SELECT jobs.fenced($1, $2::int, $3, $4::bigint) AS ok),"
        " took AS ("
        "  INSERT INTO jobs.saga AS s (job_id, step, state, key, fence, lease)"
        "  SELECT $5::uuid, $6::text, 'taken', $7::text, $4::bigint, $8"
        "    FROM f WHERE f.ok"
        "  ON CONFLICT (job_id, step) DO UPDATE"
        "     SET fence = EXCLUDED.fence, lease = EXCLUDED.lease,"
        "         attempts = s.attempts + 1, updated_at = now()"
        "   WHERE s.state = 'taken'"
        "     AND (s.lease IS NULL"
        "          OR (s.lease = EXCLUDED.lease AND s.fence <= EXCLUDED.fence)"
        "          OR (s.lease <> EXCLUDED.lease"
        "              AND NOT jobs.leased(s.lease, s.fence)))"
        "  RETURNING key)"
        " SELECT f.ok, took.key, s.state, s.result"
        "   FROM f LEFT JOIN took ON true"
        "   LEFT JOIN jobs.saga AS s"
        "     ON s.job_id = $5::uuid AND s.step = $6::text", 8, params);

    if (res == NULL) {
        return WORKER_STEP_FAILED;
    }

    rc = saga_read(res, ret_result);

    if (rc == WORKER_STEP_CALL) {
        snprintf(ret_key, WORKER_STEP_KEY_MAX, "%s", PQgetvalue(res, 0, 1));
    }

    PQclear(res);
    return rc;
}


int
worker_saga_settle(worker_job_t *job, const char *step, const char *state,
    json_t *result)
{
    int            rc;
    char          *text;
    PGresult      *res;
    const char    *params[9];
    saga_lease_t   lease;

    saga_lease(&lease, job);
    text = result != NULL ? json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY)
                          : NULL;
    json_decref(result);

    params[0] = lease.of.queue;
    params[1] = lease.of.partition;
    params[2] = job->owner;
    params[3] = lease.of.fence;
    params[4] = job->uuid;
    params[5] = step;
    params[6] = state;
    params[7] = text;
    params[8] = lease.name;

    res = saga_exec(job, step,
        "WITH f AS MATERIALIZED ("
        "  SELECT jobs.fenced($1, $2::int, $3, $4::bigint) AS ok)"
        " UPDATE jobs.saga AS s"
        "    SET state = $7, result = coalesce($8::jsonb, s.result),"
        "        updated_at = now()"
        "   FROM f"
        "  WHERE f.ok AND s.job_id = $5::uuid AND s.step = $6"
        "    AND s.fence = $4::bigint AND s.lease = $9"
        " RETURNING 1", 9, params);
    free(text);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    rc = PQntuples(res) == 1 ? TRAVEL_OK : TRAVEL_REFUSED;
    PQclear(res);
    return rc;
}
