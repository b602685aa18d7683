/*
 * operator.*: what operators ask of the queues by HTTP, as travelctl does by
 * hand.  Who may ask is the edge's to know (operator:read, operator:write).
 *
 * They go through a queue themselves, the account one, in front; a pause never
 * holds them up (worker_job_steers).  Each may run twice without harm: what is
 * called off, due, paused or begun stays so.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "families.h"
#include "resource.h"
#include "../pool/log.h"
#include "../pool/slot.h"
#include "../queue/browse.h"
#include "../schedule/schedule.h"

#define OPERATOR_REDIS_S  5
#define OPERATOR_SOME     100       /* jobs of a list, unless it says */
#define OPERATOR_MOST     10000     /* that are called off at once */


/* NULL: job->error is filled, for RETRY. */
static worker_redis_t *
operator_redis(worker_job_t *job)
{
    worker_redis_t  *redis;

    redis = worker_redis_connect(job->slot->conf, "travel-operator",
                                 OPERATOR_REDIS_S);

    if (redis == NULL) {
        (void) worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                               "the queue's Redis cannot be reached");
    }

    return redis;
}


static worker_verdict_e
operator_silent(worker_job_t *job)
{
    return worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                           "the queue's Redis does not answer");
}


static long
operator_number(const worker_job_t *job, const char *name, long value)
{
    json_t  *v;

    v = json_object_get(job->body, name);

    return json_is_integer(v) ? (long) json_integer_value(v) : value;
}


static worker_browse_t
operator_filter(const worker_job_t *job, long limit)
{
    return (worker_browse_t) {
        .state = worker_body_string(job, "state"),
        .queue = worker_body_string(job, "queue"),
        .type = worker_body_string(job, "type"),
        .sub = worker_body_string(job, "sub"),
        .job = worker_body_string(job, "job"),
        .older_s = operator_number(job, "older", 0),
        .limit = (size_t) operator_number(job, "limit", limit),
        .bodies = worker_body_string(job, "job") != NULL
    };
}


static void
operator_result(worker_job_t *job, json_t *result)
{
    json_decref(job->result);
    job->result = result;
}


/* --- jobs ----------------------------------------------------------------- */

static worker_verdict_e
operator_jobs(worker_job_t *job)
{
    int              rc;
    json_t          *list;
    worker_redis_t  *redis;
    worker_browse_t  what;

    what = operator_filter(job, OPERATOR_SOME);
    redis = operator_redis(job);

    if (redis == NULL) {
        return WORKER_RETRY;
    }

    list = json_array();
    rc = worker_browse(redis, &what, list);
    worker_redis_close(&redis);

    if (rc == TRAVEL_ERROR) {
        json_decref(list);
        return operator_silent(job);
    }

    operator_result(job, json_pack("{s:o, s:b}", "items", list, "complete",
                                   rc == TRAVEL_OK));

    return WORKER_DONE;
}


/* False: no job can have such an id. */
static bool
operator_job(const char *text, travel_job_id_t *ret_id)
{
    return travel_job_id_possible(ret_id, (travel_str_t) { text,
                                                           strlen(text) })
           == TRAVEL_OK;
}


/* The job is called off, and counted; false: Redis does not answer. */
static bool
operator_call_off(worker_redis_t *redis, const char *text, long counts[3])
{
    char             *answer;
    travel_job_id_t   id;

    if (!operator_job(text, &id)) {
        counts[2]++;
        return true;
    }

    answer = worker_browse_cancel(redis, &id);

    if (answer == NULL) {
        return false;
    }

    counts[strcmp(answer, "cancelled") == 0 ? 0
           : strcmp(answer, "told") == 0 ? 1 : 2]++;
    free(answer);

    return true;
}


static worker_verdict_e
operator_cancel(worker_job_t *job)
{
    int              rc;
    bool             good;
    long             counts[3] = { 0, 0, 0 };
    size_t           i;
    json_t          *list, *one;
    worker_redis_t  *redis;
    worker_browse_t  what;

    what = operator_filter(job, OPERATOR_MOST);
    redis = operator_redis(job);

    if (redis == NULL) {
        return WORKER_RETRY;
    }

    list = json_array();
    rc = what.job == NULL ? worker_browse(redis, &what, list) : TRAVEL_OK;
    good = rc != TRAVEL_ERROR
           && (what.job == NULL || operator_call_off(redis, what.job, counts));

    json_array_foreach(list, i, one) {
        good = good && operator_call_off(redis,
                           json_string_value(json_object_get(one, "id")),
                           counts);
    }

    json_decref(list);
    worker_redis_close(&redis);

    if (!good) {
        return operator_silent(job);
    }

    operator_result(job, json_pack("{s:I, s:I, s:I, s:b}",
                                   "cancelled", (json_int_t) counts[0],
                                   "told", (json_int_t) counts[1],
                                   "over", (json_int_t) counts[2],
                                   "complete", rc == TRAVEL_OK));
    worker_log_job(WORKER_LOG_INFO, job, -1, "an operator called off %ld jobs",
                   counts[0] + counts[1]);

    return WORKER_DONE;
}


static worker_verdict_e
operator_now(worker_job_t *job)
{
    int               rc;
    const char       *text;
    worker_redis_t   *redis;
    travel_job_id_t   id;

    text = worker_body_string(job, "job");

    if (text == NULL || !operator_job(text, &id)) {
        return worker_job_fail(job, WORKER_REJECT, "RESOURCE_NOT_FOUND",
                               "there is no such job");
    }

    redis = operator_redis(job);

    if (redis == NULL) {
        return WORKER_RETRY;
    }

    rc = worker_browse_now(redis, &id);
    worker_redis_close(&redis);

    if (rc == TRAVEL_ERROR) {
        return operator_silent(job);
    }

    if (rc != TRAVEL_OK) {
        return worker_job_fail(job, WORKER_REJECT, "CONFLICT", "the job waits "
                               "neither for its time nor for a retry");
    }

    operator_result(job, json_pack("{s:s}", "due", text));

    return WORKER_DONE;
}


/* --- pauses --------------------------------------------------------------- */

/* Is there such a queue or type, and may it be paused?  NULL: yes. */
static const char *
operator_unfit(const char *name)
{
    const worker_job_type_t  *type;

    if (strchr(name, '.') == NULL) {
        return travel_queue_exists((travel_str_t) { name, strlen(name) })
               ? NULL : "there is no such queue";
    }

    type = worker_job_type((travel_str_t) { name, strlen(name) });

    return type == NULL ? "there is no such job type"
           : worker_job_steers(type) ? "operators steer by it: it is never "
                                       "paused" : NULL;
}


/* 'sql' says what has changed: the result's "changed". */
static worker_verdict_e
operator_change(worker_job_t *job, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    res = worker_query(job, sql, n, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    operator_result(job, json_pack("{s:s, s:b}", "name", params[0], "changed",
                                   *PQgetvalue(res, 0, 0) == 't'));
    PQclear(res);

    return WORKER_DONE;
}


static worker_verdict_e
operator_pause(worker_job_t *job)
{
    const char  *unfit;
    const char  *params[3] = { worker_body_string(job, "name"), job->sub,
                               worker_body_string(job, "reason") };

    unfit = params[0] != NULL ? operator_unfit(params[0]) : "name it";

    if (unfit != NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR", "%s",
                               unfit);
    }

    return operator_change(job, "SELECT jobs.pause($1, $2, $3)", 3, params);
}


static worker_verdict_e
operator_resume(worker_job_t *job)
{
    const char  *params[1] = { worker_body_string(job, "name") };

    return operator_change(job, "SELECT jobs.resume($1)", 1, params);
}


/* --- what happens by the clock, and sagas --------------------------------- */

/* Enqueues a job as a schedule would; its id is the result. */
static worker_verdict_e
operator_enqueue(worker_job_t *job, const worker_schedule_t *schedule)
{
    int              rc;
    char             id[TRAVEL_JOB_ID_MAX + 1];
    worker_redis_t  *redis;

    redis = operator_redis(job);

    if (redis == NULL) {
        return WORKER_RETRY;
    }

    rc = worker_schedule_enqueue(redis, schedule,
                                 (int64_t) (job->env.ts / 1000), job->uuid,
                                 id);
    worker_redis_close(&redis);

    if (rc != TRAVEL_OK) {
        return operator_silent(job);
    }

    operator_result(job, json_pack("{s:s}", "job", id));

    return WORKER_DONE;
}


static worker_verdict_e
operator_run(worker_job_t *job, const char *name)
{
    size_t                i;
    const worker_conf_t  *conf;

    conf = job->slot->conf;

    for (i = 0; i < conf->nschedules; i++) {
        if (strcmp(conf->schedules[i].name, name) == 0) {
            return operator_enqueue(job, &conf->schedules[i]);
        }
    }

    return worker_job_fail(job, WORKER_REJECT, "RESOURCE_NOT_FOUND",
                           "no schedule has that name");
}


static worker_verdict_e
operator_schedule(worker_job_t *job)
{
    const char  *act;
    const char  *params[2] = { worker_body_string(job, "name"), NULL };

    act = worker_body_string(job, "act");

    if (params[0] == NULL || act == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "\"name\" and \"act\": run, pause or resume");
    }

    if (strcmp(act, "run") == 0) {
        return operator_run(job, params[0]);
    }

    params[1] = strcmp(act, "pause") == 0 ? "t" : "f";

    return operator_change(job, "WITH put AS (UPDATE jobs.schedule"
                           "   SET paused = $2::boolean"
                           " WHERE name = $1 RETURNING 1)"
                           " SELECT EXISTS (SELECT FROM put)", 2, params);
}


/* jobs.steer_saga says what is to be done, or why nothing is. */
static worker_verdict_e
operator_saga(worker_job_t *job)
{
    PGresult           *res;
    const char         *params[2] = { worker_body_string(job, "saga"),
                                      worker_body_string(job, "act") };
    worker_schedule_t   schedule;
    worker_verdict_e    verdict;

    if (params[0] == NULL || params[1] == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "\"saga\" and \"act\": resume, compensate or "
                               "close");
    }

    res = worker_query(job, "SELECT refused, code, type, body"
                            "  FROM jobs.steer_saga($1::uuid, $2)", 2, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    if (!PQgetisnull(res, 0, 0)) {
        verdict = worker_job_fail(job, WORKER_REJECT, PQgetvalue(res, 0, 1),
                                  "%s", PQgetvalue(res, 0, 0));

    } else if (PQgetisnull(res, 0, 2)) {
        operator_result(job, json_pack("{s:s}", "closed", params[0]));
        verdict = WORKER_DONE;

    } else {
        memset(&schedule, 0, sizeof(schedule));
        schedule.name = (char *) params[0];
        schedule.type = PQgetvalue(res, 0, 2);
        schedule.body = PQgetvalue(res, 0, 3);
        verdict = operator_enqueue(job, &schedule);
    }

    PQclear(res);

    return verdict;
}


#define OPERATOR_TYPE(name, run)                                              \
    { name, "account", TRAVEL_PRIORITY_HIGH, run, NULL, 3, 200, 2000, 60000,  \
      true }

const worker_job_type_t  worker_jobs_operator[] = {
    OPERATOR_TYPE("operator.jobs", operator_jobs),
    OPERATOR_TYPE("operator.cancel", operator_cancel),
    OPERATOR_TYPE("operator.now", operator_now),
    OPERATOR_TYPE("operator.pause", operator_pause),
    OPERATOR_TYPE("operator.resume", operator_resume),
    OPERATOR_TYPE("operator.schedule", operator_schedule),
    OPERATOR_TYPE("operator.saga", operator_saga),
    { .type = NULL }
};
