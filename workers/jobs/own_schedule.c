/*
 * schedule.turn, once a minute: of the schedules that were added while the pool
 * runs (jobs.own_schedule), those that are due ask for their jobs.  One
 * transaction moves the rows and asks, so a turn that is run twice fires once.
 */

#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "resource.h"
#include "../pool/log.h"
#include "../schedule/own.h"

#define OWN_LATE_S  90           /* a fire time before that was missed */

enum { OWN_LAST = 6, OWN_NOW };


static bool
own_moved(worker_tx_t *tx, const char *name, int64_t at, bool fired)
{
    char         when[24];
    PGresult    *res;
    const char  *params[] = { name, when, fired ? "1" : "0" };

    snprintf(when, sizeof(when), "%lld", (long long) at);
    res = worker_tx_exec(tx,
        "UPDATE jobs.own_schedule"
        "   SET last_fire = to_timestamp($2::bigint),"
        "       fired = fired + $3::int, skipped = skipped + 1 - $3::int"
        " WHERE name = $1", 3, params);
    PQclear(res);

    return res != NULL;
}


/* The id of the fire: the ordering key, and so of the job, too. */
static bool
own_key(char dst[37], const char *name, int64_t at)
{
    char           when[24];
    travel_str_t   parts[3];
    travel_uuid_t  id;

    snprintf(when, sizeof(when), "%lld", (long long) at);
    parts[0] = TRAVEL_STR("own schedule");
    parts[1] = (travel_str_t) { name, strlen(name) };
    parts[2] = (travel_str_t) { when, strlen(when) };

    if (travel_uuid8(&id, parts, 3) != TRAVEL_OK) {
        return false;
    }

    travel_uuid_format(dst, &id);
    dst[36] = '\0';
    return true;
}


static bool
own_fire(worker_tx_t *tx, const worker_schedule_t *schedule, int64_t at)
{
    char     key[37];
    json_t  *body;

    body = worker_schedule_body(schedule, at);

    if (body == NULL || !own_key(key, schedule->name, at)) {
        json_decref(body);
        return false;
    }

    return worker_tx_job(tx, schedule->type, key, body) == TRAVEL_OK
           && own_moved(tx, schedule->name, at, true);
}


/* False: the transaction is over.  What was missed is one fire, or none. */
static bool
own_due(worker_tx_t *tx, const PGresult *res, int row, json_int_t *fired)
{
    int64_t             at, last, now;
    const char         *why;
    worker_schedule_t   schedule;

    if (worker_own_schedule(res, row, &schedule, &why) != TRAVEL_OK) {
        worker_log_job(WORKER_LOG_WARN, tx->job, -1, "schedule %s: %s",
                       PQgetvalue(res, row, 0), why);
        return true;
    }

    last = strtoll(PQgetvalue(res, row, OWN_LAST), NULL, 10);
    now = strtoll(PQgetvalue(res, row, OWN_NOW), NULL, 10);

    if (worker_schedule_last(&schedule, last, now, &at) != TRAVEL_OK) {
        return true;
    }

    if (schedule.catch_up == WORKER_CATCH_UP_SKIP && now - at > OWN_LATE_S) {
        return own_moved(tx, schedule.name, at, false);
    }

    ++*fired;
    return own_fire(tx, &schedule, at);
}


/* As the scheduler's own: what was fired by a clock that was ahead goes on from
 * now.  False: the transaction is over. */
static bool
own_set_back(worker_tx_t *tx)
{
    PGresult  *res;

    res = worker_tx_exec(tx,
        "UPDATE jobs.own_schedule SET last_fire = clock_timestamp()"
        " WHERE last_fire > clock_timestamp() + interval '1 day'", 0, NULL);

    if (res != NULL && PQcmdTuples(res)[0] != '0') {
        worker_log_job(WORKER_LOG_WARN, tx->job, -1, "%s schedules were fired "
                       "by a clock that was ahead", PQcmdTuples(res));
    }

    PQclear(res);
    return res != NULL;
}


static worker_verdict_e
own_turn_in(worker_tx_t *tx)
{
    int          row;
    json_int_t   fired;
    PGresult    *res;

    if (!own_set_back(tx)) {
        return worker_tx_retry(tx, NULL);
    }

    res = worker_tx_exec(tx,
        "SELECT " WORKER_OWN_COLUMNS ","
        "       floor(extract(epoch FROM last_fire))::bigint,"
        "       floor(extract(epoch FROM clock_timestamp()))::bigint"
        "  FROM jobs.own_schedule WHERE NOT paused"
        " ORDER BY name FOR UPDATE", 0, NULL);

    if (res == NULL) {
        return worker_tx_retry(tx, NULL);
    }

    fired = 0;

    for (row = 0; row < PQntuples(res); row++) {
        if (!own_due(tx, res, row, &fired)) {
            return worker_tx_retry(tx, res);
        }
    }

    PQclear(res);
    return worker_tx_commit(tx, json_pack("{s:I}", "fired", fired));
}


static worker_verdict_e
own_turn(worker_job_t *job)
{
    return worker_tx_run(job, "turn", own_turn_in);
}


const worker_job_type_t  worker_jobs_own_schedule[] = {
    { "schedule.turn", "maintenance", TRAVEL_PRIORITY_HIGH, own_turn, NULL,
      WORKER_RETRY_DEFAULTS, true },
    { .type = NULL }
};
