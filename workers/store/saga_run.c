/* Sagas as tables: forwards, round, backwards, stuck. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "saga_run.h"
#include "../pool/log.h"
#include "../pool/slot.h"


static int
saga_do(worker_tx_t *tx, const char *sql, int n, const char *const *params)
{
    PGresult  *res;

    res = worker_tx_exec(tx, sql, n, params);
    PQclear(res);

    return res != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


/* --- forwards ------------------------------------------------------------ */

static int64_t
saga_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* Calls of this step so far; 0: not known, or it makes none. */
static long
saga_attempts(const worker_saga_run_t *run, const char *step)
{
    long          n;
    PGresult     *res;
    worker_pg_t  *pg;
    const char   *params[] = { run->id, step };

    pg = run->job->slot->pg;
    n = 0;

    if (worker_pg_ready(pg) == TRAVEL_OK) {
        res = worker_pg_exec(pg, "SELECT attempts FROM jobs.saga"
                                 " WHERE job_id = $1::uuid AND step = $2", 2,
                             params);

        if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0) {
            n = strtol(PQgetvalue(res, 0, 0), NULL, 10);
        }

        PQclear(res);
    }

    return n;
}


static worker_verdict_e
saga_step(worker_saga_run_t *run, const worker_saga_step_t *step)
{
    int64_t            deadline, until;
    json_t            *result;
    worker_job_t      *job;
    worker_verdict_e   verdict;

    job = run->job;
    deadline = job->deadline;
    until = saga_now() + step->timeout_ms;
    result = NULL;

    if (step->timeout_ms > 0 && (deadline == 0 || until < deadline)) {
        job->deadline = until;
    }

    verdict = step->run(run, &result);
    job->deadline = deadline;

    if (result != NULL) {
        json_object_set_new(run->results, step->name, result);
    }

    if (verdict == WORKER_RETRY && step->retries > 0
        && saga_attempts(run, step->name) > (long) step->retries)
    {
        return WORKER_REJECT;       /* job->error is the last try's */
    }

    return verdict;
}


void
worker_saga_done(worker_job_t *job, unsigned done)
{
    worker_job_memo_set(job, "steps", json_integer(done));
}


/* Run from its top again (jobs/ask.h): the steps that are done are behind. */
worker_verdict_e
worker_saga_forwards(worker_job_t *job, const worker_saga_t *saga)
{
    json_int_t                 done;
    worker_saga_run_t          run = { .job = job, .id = job->uuid };
    worker_verdict_e           verdict;
    const worker_saga_step_t  *step;

    if (worker_job_memo(job, "results") == NULL) {
        worker_job_memo_set(job, "results", json_object());
    }

    run.results = worker_job_memo(job, "results");
    done = json_integer_value(worker_job_memo(job, "steps"));
    verdict = WORKER_DONE;

    for (step = saga->steps + done; step->name != NULL; step++) {
        verdict = saga_step(&run, step);

        if (verdict != WORKER_DONE) {
            break;
        }

        worker_saga_done(job, (unsigned) ++done);
    }

    return verdict;
}


/* --- backwards ----------------------------------------------------------- */

/* Names of the steps that were begun, as members of an object; NULL: the
 * database did not say. */
static json_t *
saga_begun(worker_job_t *job, const char *id)
{
    json_t       *begun;
    PGresult     *res;
    worker_pg_t  *pg;
    const char   *params[] = { id };

    pg = job->slot->pg;
    res = NULL;
    begun = NULL;

    if (worker_pg_ready(pg) == TRAVEL_OK) {
        res = worker_pg_exec(pg,
            "SELECT coalesce(jsonb_object_agg(step, true), '{}') FROM ("
            "  SELECT step FROM jobs.inbox WHERE job_id = $1::uuid"
            "   UNION SELECT step FROM jobs.saga WHERE job_id = $1::uuid"
            ") AS b", 1, params);
    }

    if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK) {
        begun = json_loads(PQgetvalue(res, 0, 0), 0, NULL);
    }

    if (begun == NULL) {
        (void) worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                               "the saga's steps cannot be read (%s)",
                               worker_pg_sqlstate(pg));
    }

    PQclear(res);
    return begun;
}


worker_verdict_e
worker_saga_backwards(worker_job_t *job, const worker_saga_t *saga,
    const char *id)
{
    size_t                     n;
    json_t                    *begun;
    worker_saga_run_t          run = { .job = job, .id = id };
    worker_verdict_e           verdict;
    const worker_saga_step_t  *step;

    if (worker_job_memo(job, "begun") == NULL) {
        worker_job_memo_set(job, "begun", saga_begun(job, id));
    }

    begun = worker_job_memo(job, "begun");

    if (begun == NULL) {
        return WORKER_RETRY;
    }

    for (n = 0; saga->steps[n].name != NULL; n++) {
        /* counts */ ;
    }

    verdict = WORKER_DONE;

    while (verdict == WORKER_DONE && n-- > 0) {
        step = &saga->steps[n];

        if (step->undo != NULL && json_object_get(begun, step->name) != NULL) {
            verdict = step->undo(&run);
        }
    }

    return verdict;
}


/* --- on record ----------------------------------------------------------- */

int
worker_saga_begin(worker_tx_t *tx, const worker_saga_t *saga)
{
    int            rc;
    char           email[321], type[64], *body;
    const char    *params[8];
    worker_job_t  *job;

    job = tx->job;
    body = json_dumps(job->body, JSON_COMPACT | JSON_ENCODE_ANY);
    snprintf(email, sizeof(email), "%.*s", (int) job->env.email.len,
             job->env.email.len > 0 ? job->env.email.data : "");
    snprintf(type, sizeof(type), "%.*s", (int) job->env.type.len,
             job->env.type.data);

    params[0] = job->uuid;
    params[1] = saga->name;
    params[2] = job->job_id;
    params[3] = type;
    params[4] = job->sub;
    params[5] = email[0] != '\0' ? email : NULL;
    params[6] = job->key;
    params[7] = body;

    rc = saga_do(tx, "INSERT INTO jobs.saga_run"
                     " (id, name, job_id, type, sub, email, key, body)"
                     " VALUES ($1::uuid, $2, $3, $4, $5, $6, $7::uuid,"
                     "         $8::jsonb) ON CONFLICT (id) DO NOTHING", 8,
                 params);
    free(body);
    return rc;
}


int
worker_saga_turn(worker_tx_t *tx, const worker_saga_t *saga, json_t *body)
{
    int          rc;
    char        *error, *undo;
    json_t      *why;
    const char  *params[5];

    why = json_pack("{s:s, s:s}", "code", tx->job->error.code, "message",
                    tx->job->error.message);
    error = json_dumps(why, JSON_COMPACT);
    json_decref(why);
    undo = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;

    params[0] = tx->job->uuid;
    params[1] = undo != NULL ? "undoing" : "undone";
    params[2] = undo;
    params[3] = error;

    rc = saga_do(tx, "UPDATE jobs.saga_run SET state = $2, undo = $3::jsonb,"
                     "       error = $4::jsonb, updated_at = now()"
                     " WHERE id = $1::uuid AND state = 'running'", 4, params);
    free(error);
    free(undo);

    if (body == NULL || rc != TRAVEL_OK) {
        json_decref(body);
        return rc;
    }

    return worker_tx_job(tx, saga->undo, tx->job->uuid, body);
}


int
worker_saga_end(worker_tx_t *tx, const char *id, const char *state)
{
    const char  *params[] = { id, state };

    return saga_do(tx, "UPDATE jobs.saga_run"
                       "   SET state = $2, updated_at = now()"
                       " WHERE id = $1::uuid", 2, params);
}


/* Who refuses at the first call has nothing of ours; a refusal after a call
 * whose answer was lost says nothing of what that one left behind. */
int
worker_saga_undoing(worker_tx_t *tx, json_t **ret_steps)
{
    json_t      *steps;
    PGresult    *res;
    const char  *params[] = { tx->job->uuid };

    res = worker_tx_exec(tx,
        "WITH u AS ("
        "  UPDATE jobs.saga SET state = 'undoing', updated_at = now()"
        "   WHERE job_id = $1::uuid AND (state IN ('taken', 'done')"
        "         OR (state = 'refused' AND attempts > 1))"
        "  RETURNING step, result)"
        " SELECT coalesce(jsonb_object_agg(step, coalesce(result, '{}')),"
        "                 '{}') FROM u", 1, params);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    steps = json_loads(PQgetvalue(res, 0, 0), 0, NULL);
    PQclear(res);

    if (steps == NULL) {
        return TRAVEL_ERROR;
    }

    *ret_steps = steps;
    return TRAVEL_OK;
}


int
worker_saga_undone(worker_tx_t *tx, const char *id)
{
    const char  *params[] = { id };

    if (saga_do(tx, "UPDATE jobs.saga SET state = 'undone', updated_at = now()"
                    " WHERE job_id = $1::uuid AND state = 'undoing'", 1,
                params) != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    return worker_saga_end(tx, id, "undone");
}


worker_verdict_e
worker_saga_stuck(worker_job_t *job)
{
    char         *error;
    json_t       *why;
    worker_tx_e   state;
    worker_tx_t   tx;
    const char   *params[2];

    state = worker_tx_begin(&tx, job, "stuck");

    if (state != WORKER_TX_FRESH) {
        worker_tx_end(&tx);
        return state == WORKER_TX_SEEN ? WORKER_DONE
               : state == WORKER_TX_FENCED ? WORKER_FENCED : WORKER_RETRY;
    }

    why = json_pack("{s:s, s:s}", "code", job->error.code, "message",
                    job->error.message);
    error = json_dumps(why, JSON_COMPACT);
    json_decref(why);
    params[0] = json_string_value(json_object_get(job->body, "saga"));
    params[1] = error;

    if (saga_do(&tx, "UPDATE jobs.saga_run SET state = 'stuck',"
                     "       error = $2::jsonb, updated_at = now()"
                     " WHERE id = $1::uuid AND state IN ('running', 'undoing')",
                2, params) != TRAVEL_OK)
    {
        free(error);
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    free(error);
    worker_log_job(WORKER_LOG_ERROR, job, -1, "the saga %s is stuck: "
                   "travelctl saga show", params[0] != NULL ? params[0] : "?");
    return worker_tx_commit(&tx, NULL);
}
