/*
 * Jobs of sagas in general: saga.resume takes up one whose own job is over or
 * lost, booking.check_pending looks for such ones, saga.drill is one to try.
 *
 * A resumed saga runs under the lease of the job that resumes it, but under
 * its own names: inbox rows, steps and keys are those of the first time.  So
 * what was done is not done again.  Only one that nobody works at is resumed:
 * the first job's hash in Redis says so.
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "families.h"
#include "resource.h"
#include "ask.h"
#include "../pool/slot.h"
#include "../queue/redis.h"
#include "../store/saga_run.h"

#define SAGA_REDIS_S  2

static worker_verdict_e saga_again_answered(worker_job_t *job,
    const worker_http_response_t *resp);


/* --- resume -------------------------------------------------------------- */

/* Is the first job still in somebody's hands?  TRAVEL_OK: no, TRAVEL_REFUSED:
 * yes, TRAVEL_ERROR: Redis does not say. */
static int
saga_left(const worker_job_t *job, const travel_job_id_t *id)
{
    int                   rc;
    char                  key[TRAVEL_KEY_MAX];
    redisReply           *reply;
    worker_redis_t       *redis;
    travel_job_status_e   status;

    redis = worker_redis_connect(job->slot->conf, "travel-saga", SAGA_REDIS_S);

    if (redis == NULL) {
        return TRAVEL_ERROR;
    }

    (void) travel_key_job(key, id);
    reply = worker_redis_command(redis, "HGET %s status", key);
    rc = TRAVEL_ERROR;

    if (reply != NULL && reply->type == REDIS_REPLY_NIL) {
        rc = TRAVEL_OK;

    } else if (reply != NULL && reply->type == REDIS_REPLY_STRING
               && travel_job_status_parse(&status, (travel_str_t) {
                                          reply->str, reply->len })
                  == TRAVEL_OK)
    {
        rc = travel_job_status_final(status) ? TRAVEL_OK : TRAVEL_REFUSED;
    }

    freeReplyObject(reply);
    worker_redis_close(&redis);
    return rc;
}


/* Steps that were begun may be taken under this job's fence: fences of two
 * partitions cannot be compared.  The row as it is then, or NULL. */
static PGresult *
saga_free(worker_job_t *job, const char *id)
{
    const char  *params[] = { id };

    return worker_query(job,
        "WITH f AS (UPDATE jobs.saga SET lease = NULL"
        "            WHERE job_id = $1::uuid AND state = 'taken')"
        " SELECT job_id, type, sub, coalesce(email, ''), key, body, state"
        "   FROM jobs.saga_run WHERE id = $1::uuid", 1, params);
}


/* The first job, while it runs once more: state of the one that runs it. */
typedef struct {
    PGresult                 *row;      /* columns as in saga_free */
    json_t                   *body;
    const worker_job_type_t  *type;
    worker_job_t              job;      /* has views into 'row' */
} saga_again_t;


static void
saga_again_free(void *data)
{
    saga_again_t  *again = data;

    worker_job_stages_end(&again->job);
    json_decref(again->job.result);
    json_decref(again->body);
    PQclear(again->row);
    free(again);
}


static bool
saga_again_fill(worker_job_t *again, worker_job_t *job, const PGresult *res,
    json_t *body)
{
    travel_str_t     email;
    travel_job_id_t  id;

    if (travel_job_id_parse(&id, (travel_str_t) { PQgetvalue(res, 0, 0),
                            (size_t) PQgetlength(res, 0, 0) }) != TRAVEL_OK)
    {
        return false;
    }

    email = (travel_str_t) { PQgetvalue(res, 0, 3),
                             (size_t) PQgetlength(res, 0, 3) };
    memset(again, 0, sizeof(*again));
    again->env = job->env;
    again->env.email = email;
    again->env.type = (travel_str_t) { PQgetvalue(res, 0, 1),
                                       (size_t) PQgetlength(res, 0, 1) };
    again->id = job->id;            /* the lease; but its own bucket */
    again->id.id = id.id;
    again->body = body;
    again->attempt = job->attempt;
    again->deadline = job->deadline;
    again->fence = job->fence;
    again->owner = job->owner;
    again->trace = job->trace;
    again->slot = job->slot;
    again->carrier = job;
    snprintf(again->job_id, sizeof(again->job_id), "%s",
             PQgetvalue(res, 0, 0));
    snprintf(again->sub, sizeof(again->sub), "%s", PQgetvalue(res, 0, 2));
    snprintf(again->key, sizeof(again->key), "%s", PQgetvalue(res, 0, 4));
    travel_uuid_format(again->uuid, &id.id);

    return true;
}


/* What came of it, unless it waits; one that ends refused is given up here. */
static worker_verdict_e
saga_again_over(worker_job_t *job, saga_again_t *state,
    worker_verdict_e verdict)
{
    worker_job_t  *again;

    again = &state->job;

    if (verdict == WORKER_AWAIT) {
        job->resume = saga_again_answered;
        return WORKER_AWAIT;
    }

    if (verdict == WORKER_REJECT) {
        verdict = state->type->giveup != NULL ? state->type->giveup(again)
                                              : WORKER_DONE;

        if (verdict == WORKER_DONE) {
            json_decref(again->result);
            again->result = json_pack("{s:s, s:o}", "outcome", "turned",
                                      "error", worker_failure(again));
        }
    }

    job->error = again->error;
    job->commit = again->commit;
    json_decref(job->result);
    job->result = json_incref(again->result);
    return verdict;
}


static worker_verdict_e
saga_again_answered(worker_job_t *job, const worker_http_response_t *resp)
{
    saga_again_t  *state = job->state;

    return saga_again_over(job, state, worker_job_pass(&state->job, resp));
}


/* Forwards, or straight round.  Steals 'row'. */
static worker_verdict_e
saga_again(worker_job_t *job, PGresult *row, const worker_job_type_t *type)
{
    saga_again_t      *state;
    worker_verdict_e   verdict;

    state = worker_job_state(job, sizeof(saga_again_t), saga_again_free);

    if (state == NULL) {
        PQclear(row);
        return WORKER_RETRY;
    }

    state->row = row;
    state->type = type;
    state->body = json_loads(PQgetvalue(row, 0, 5), 0, NULL);

    if (state->body == NULL
        || !saga_again_fill(&state->job, job, row, state->body))
    {
        return worker_job_fail(job, WORKER_REJECT, "INTERNAL_ERROR",
                               "the saga's row is not readable");
    }

    verdict = json_is_true(json_object_get(job->body, "turn"))
              ? worker_job_fail(&state->job, WORKER_REJECT, "CANCELLED",
                                "turned round by hand")
              : type->run(&state->job);

    return saga_again_over(job, state, verdict);
}


/* Steals 'res'. */
static worker_verdict_e
saga_resume_row(worker_job_t *job, PGresult *res)
{
    int                       left;
    travel_job_id_t           id;
    worker_verdict_e          verdict;
    const worker_job_type_t  *type;

    type = worker_job_type((travel_str_t) { PQgetvalue(res, 0, 1),
                                            (size_t) PQgetlength(res, 0, 1) });

    if (strcmp(PQgetvalue(res, 0, 6), "running") != 0 || type == NULL
        || travel_job_id_parse(&id, (travel_str_t) { PQgetvalue(res, 0, 0),
                               (size_t) PQgetlength(res, 0, 0) }) != TRAVEL_OK)
    {
        verdict = worker_job_fail(job, WORKER_REJECT, "CONFLICT",
                                  "the saga is %s", PQgetvalue(res, 0, 6));
        PQclear(res);
        return verdict;
    }

    left = saga_left(job, &id);

    if (left == TRAVEL_OK) {
        return saga_again(job, res, type);
    }

    PQclear(res);

    return left == TRAVEL_REFUSED
           ? worker_job_fail(job, WORKER_REJECT, "CONFLICT",
                             "its own job is still under way")
           : worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                             "Redis cannot be asked");
}


static worker_verdict_e
saga_resume(worker_job_t *job)
{
    PGresult       *res;
    travel_uuid_t   uuid;
    const char     *id;

    id = worker_body_string(job, "saga");

    if (id == NULL || travel_uuid_parse(&uuid, (travel_str_t) { id,
                                        strlen(id) }) != TRAVEL_OK)
    {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "\"saga\" is not the id of one");
    }

    res = saga_free(job, id);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    if (PQntuples(res) == 1) {
        return saga_resume_row(job, res);
    }

    PQclear(res);
    return worker_job_fail(job, WORKER_REJECT, "RESOURCE_NOT_FOUND",
                           "there is no such saga");
}


/* --- pending confirmations ----------------------------------------------- */

/* Sagas that nobody has moved for a while, bookings above all, are taken up
 * again; one that does not get on is looked at once an hour. */
static worker_verdict_e
saga_check_in(worker_tx_t *tx)
{
    int          i, n;
    PGresult    *res;
    const char  *older;

    older = worker_body_string(tx->job, "older");

    const char  *params[] = { older != NULL ? older : "15 minutes" };

    res = worker_tx_exec(tx,
        "UPDATE jobs.saga_run SET resumed_at = now()"
        " WHERE id IN (SELECT id FROM jobs.saga_run"
        "               WHERE state = 'running'"
        "                 AND updated_at < now() - $1::interval"
        "                 AND (resumed_at IS NULL"
        "                      OR resumed_at < now() - interval '1 hour')"
        "               ORDER BY updated_at LIMIT 200)"
        " RETURNING id", 1, params);

    if (res == NULL) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    n = PQntuples(res);

    for (i = 0; i < n; i++) {
        if (worker_tx_job(tx, "saga.resume", PQgetvalue(res, i, 0),
                          json_pack("{s:s}", "saga", PQgetvalue(res, i, 0)))
            != TRAVEL_OK)
        {
            return worker_tx_retry(tx, res);
        }
    }

    PQclear(res);
    return worker_tx_commit(tx, json_pack("{s:i}", "resumed", n));
}


static worker_verdict_e
saga_check_pending(worker_job_t *job)
{
    return worker_tx_run(job, "check", saga_check_in);
}


/* --- the drill ----------------------------------------------------------- */

static const worker_saga_t  saga_drill;

/* Each step is a transaction that does nothing.  Body: "fail", "crash" name a
 * step that is refused, or where the process ends. */
static worker_verdict_e
drill_step(worker_saga_run_t *run, const char *name, json_t **ret_result)
{
    int           rc;
    worker_tx_e   state;
    worker_tx_t   tx;
    const char   *at;
    worker_job_t *job;

    job = run->job;
    at = worker_body_string(job, "fail");

    if (at != NULL && strcmp(at, name) == 0) {
        return worker_job_fail(job, WORKER_REJECT, "CONFLICT", "drill: %s",
                               name);
    }

    state = worker_tx_begin(&tx, job, name);

    if (state != WORKER_TX_FRESH) {
        *ret_result = json_incref(tx.seen);
        return worker_tx_not_fresh(&tx, state);
    }

    at = worker_body_string(job, "crash");

    if (at != NULL && strcmp(at, name) == 0) {
        abort();
    }

    rc = strcmp(name, "a") == 0 ? worker_saga_begin(&tx, &saga_drill)
         : strcmp(name, "c") == 0 ? worker_saga_end(&tx, run->id, "done")
         : TRAVEL_OK;

    if (rc != TRAVEL_OK) {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    *ret_result = json_pack("{s:i}", "steps before",
                            (int) json_object_size(run->results));
    return worker_tx_commit(&tx, json_incref(*ret_result));
}


static worker_verdict_e
drill_a(worker_saga_run_t *run, json_t **ret_result)
{
    return drill_step(run, "a", ret_result);
}


static worker_verdict_e
drill_b(worker_saga_run_t *run, json_t **ret_result)
{
    return drill_step(run, "b", ret_result);
}


static worker_verdict_e
drill_c(worker_saga_run_t *run, json_t **ret_result)
{
    return drill_step(run, "c", ret_result);
}


static worker_verdict_e
drill_undo(worker_saga_run_t *run, const char *name)
{
    worker_tx_e   state;
    worker_tx_t   tx;
    const char   *at;

    at = worker_body_string(run->job, "fail");

    if (at != NULL && strcmp(at, name) == 0) {
        return worker_job_fail(run->job, WORKER_RETRY, "CONFLICT", "drill: %s",
                               name);
    }

    state = worker_tx_begin(&tx, run->job, name);

    return state == WORKER_TX_FRESH
           ? worker_tx_commit(&tx, json_string(name))
           : worker_tx_not_fresh(&tx, state);
}


static worker_verdict_e
drill_undo_a(worker_saga_run_t *run)
{
    return drill_undo(run, "undo a");
}


static worker_verdict_e
drill_undo_b(worker_saga_run_t *run)
{
    return drill_undo(run, "undo b");
}


static worker_verdict_e
drill_undo_c(worker_saga_run_t *run)
{
    return drill_undo(run, "undo c");
}


static const worker_saga_step_t  drill_steps[] = {
    { "a", drill_a, drill_undo_a, 0, 0 },
    { "b", drill_b, drill_undo_b, 1000, 0 },
    { "c", drill_c, drill_undo_c, 0, 0 },
    { .name = NULL }
};

static const worker_saga_t  saga_drill = { "drill", "saga.drill_undo",
                                           drill_steps };


static worker_verdict_e
drill_run(worker_job_t *job)
{
    return worker_saga_forwards(job, &saga_drill);
}


static worker_verdict_e
drill_giveup(worker_job_t *job)
{
    json_t       *fail;
    worker_tx_e   state;
    worker_tx_t   tx;

    state = worker_tx_begin(&tx, job, "fail");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    fail = json_object_get(job->body, "fail_undo");

    if (worker_saga_turn(&tx, &saga_drill,
                         json_pack("{s:s, s:O?}", "saga", job->uuid, "fail",
                                   fail)) != TRAVEL_OK)
    {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(&tx, NULL);
}


static worker_verdict_e
drill_back(worker_job_t *job)
{
    const char        *id;
    worker_tx_e        state;
    worker_tx_t        tx;
    worker_verdict_e   verdict;

    id = worker_body_string(job, "saga");
    verdict = id != NULL ? worker_saga_backwards(job, &saga_drill, id)
                         : worker_job_fail(job, WORKER_REJECT,
                                           "VALIDATION_ERROR", "no saga");

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    state = worker_tx_begin(&tx, job, "undone");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    if (worker_saga_end(&tx, id, "undone") != TRAVEL_OK) {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(&tx, NULL);
}


const worker_job_type_t  worker_jobs_saga[] = {
    { "saga.resume", "maintenance", TRAVEL_PRIORITY_HIGH, saga_resume,
      worker_saga_stuck, 10, 1000, 300000, 300000, false },
    { "booking.check_pending", "maintenance", TRAVEL_PRIORITY_NORMAL,
      saga_check_pending, NULL, 3, 1000, 300000, 60000, true },
    { "saga.drill", "maintenance", TRAVEL_PRIORITY_NORMAL, drill_run,
      drill_giveup, 3, 100, 1000, 60000, false },
    { "saga.drill_undo", "maintenance", TRAVEL_PRIORITY_NORMAL, drill_back,
      worker_saga_stuck, 1, 100, 200, 60000, false },
    { .type = NULL }
};
