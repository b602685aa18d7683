/*
 * Jobs of trends: trend.report, one or many in a job (an array, in which null
 * is what the edge has refused; the n-th has the n-th id after the job's).
 *
 * One transaction of one statement, travel.take_trends: what is good enough is
 * enriched, stored and told in events; what is not is named in the result.
 */

#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "resource.h"


static int
trend_add(json_t *items, const travel_uuid_t *id, json_t *raw)
{
    int    rc;
    char   text[TRAVEL_UUID_TEXT_LEN + 1];
    char  *dump;

    travel_uuid_format(text, id);
    text[TRAVEL_UUID_TEXT_LEN] = '\0';
    dump = json_dumps(raw, JSON_COMPACT | JSON_REAL_PRECISION(15));

    rc = dump != NULL
         ? json_array_append_new(items, json_pack("{s:s, s:s}", "id", text,
                                                  "raw", dump))
         : -1;
    free(dump);

    return rc == 0 ? TRAVEL_OK : TRAVEL_ERROR;
}


/* What travel.take_trends takes.  NULL: out of memory. */
static json_t *
trend_items(const worker_job_t *job)
{
    int             rc;
    size_t          i;
    json_t         *items, *item;
    travel_uuid_t   id;

    items = json_array();

    if (!json_is_array(job->body)) {
        rc = trend_add(items, &job->id.id, job->body);

    } else {
        rc = TRAVEL_OK;

        json_array_foreach(job->body, i, item) {
            if (json_is_object(item) && rc == TRAVEL_OK) {
                id = travel_uuid_after(&job->id.id, (uint32_t) i + 1);
                rc = trend_add(items, &id, item);
            }
        }
    }

    if (rc != TRAVEL_OK) {
        json_decref(items);
        return NULL;
    }

    return items;
}


/* The answer's row, or NULL: it is over, job->error says why. */
static PGresult *
trend_take(worker_tx_t *tx)
{
    char               *text, partition[16], tp[TRAVEL_TRACEPARENT_LEN + 1];
    char                queue[TRAVEL_QUEUE_NAME_MAX + 1];
    json_t             *items;
    PGresult           *res;
    const char         *params[6];
    const worker_job_t *job;

    job = tx->job;
    items = trend_items(job);
    text = items != NULL ? json_dumps(items, JSON_COMPACT) : NULL;
    json_decref(items);

    if (text == NULL) {
        (void) worker_job_fail(tx->job, WORKER_RETRY, "INTERNAL_ERROR",
                               "out of memory");
        return NULL;
    }

    worker_job_partition(job, queue, partition);
    params[0] = text;
    params[1] = job->sub;
    params[2] = job->uuid;
    params[3] = worker_tx_trace(tp, &job->trace);
    params[4] = queue;
    params[5] = partition;

    res = worker_tx_exec(tx,
        "SELECT answer, answer ->> 'recorded', answer #>> '{refused,0,code}'"
        "  FROM travel.take_trends($1::jsonb, $2::uuid, $3::uuid, $4, $5,"
        "                          $6::integer) AS answer", 6, params);
    free(text);
    return res;
}


static worker_verdict_e
trend_report_in(worker_tx_t *tx)
{
    bool               some;
    PGresult          *res;
    worker_verdict_e   verdict;

    res = trend_take(tx);

    if (res == NULL) {
        return worker_tx_retry(tx, res);
    }

    some = strcmp(PQgetvalue(res, 0, 1), "0") != 0;

    if (some) {
        tx->outbox = true;              /* by events.append_many */
        worker_tx_tag(tx, "trends");
    }

    if (!json_is_object(tx->job->body)) {
        return worker_tx_commit_row(tx, res);
    }

    verdict = some ? worker_tx_commit(tx, json_pack("{s:s}", "id",
                                                    tx->job->uuid))
                   : worker_tx_refuse(tx, "VALIDATION_ERROR",
                                      "the trend is not taken: %s",
                                      PQgetvalue(res, 0, 2));
    PQclear(res);
    return verdict;
}


static worker_verdict_e
trend_report(worker_job_t *job)
{
    return worker_tx_run(job, "take", trend_report_in);
}


const worker_job_type_t  worker_jobs_trend[] = {
    { "trend.report", "content", TRAVEL_PRIORITY_LOW, trend_report, NULL,
      WORKER_RETRY_DEFAULTS, true },
    { .type = NULL }
};
