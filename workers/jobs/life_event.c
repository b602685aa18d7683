/*
 * life_event.record: many small rows, one statement for as many as wait.
 *
 * A row has its job's id, so the table is its own inbox: what is run again is
 * there already.  Fences are checked in the statement; a partition that is not
 * ours any more keeps its rows for its new owner.
 */

#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "../pool/slot.h"
#include "../store/tx.h"

#define LIFE_EVENT_BATCH  1000


static json_t *
life_event_row(const worker_job_t *job)
{
    return json_pack("{s:s#, s:i, s:I, s:s, s:s, s:O}",
                     "queue", job->id.queue.data, (int) job->id.queue.len,
                     "partition", (int) job->id.partition,
                     "fence", (json_int_t) job->fence, "id", job->uuid,
                     "user", job->sub, "body", job->body);
}


/* The statement's answer: the names of stale partitions; NULL: it failed, and
 * the first job's error says why. */
static PGresult *
life_event_write(worker_job_t *const *jobs, size_t n)
{
    char         *text;
    size_t        i;
    json_t       *rows;
    PGresult     *res;
    worker_pg_t  *pg;
    const char   *params[2];

    pg = jobs[0]->slot->pg;
    rows = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(rows, life_event_row(jobs[i]));
    }

    text = json_dumps(rows, JSON_COMPACT);
    json_decref(rows);
    params[0] = jobs[0]->owner;
    params[1] = text;
    res = worker_pg_ready(pg) == TRAVEL_OK
          ? worker_pg_exec(pg, "SELECT travel.record_life_events($1,"
                               " $2::jsonb)", 2, params) : NULL;
    free(text);

    if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK) {
        return res;
    }

    PQclear(res);
    (void) worker_job_fail(jobs[0], WORKER_RETRY, worker_pg_away(pg)
                           ? "DEPENDENCY_UNAVAILABLE" : "INTERNAL_ERROR",
                           "the events cannot be written (%s)",
                           worker_pg_sqlstate(pg));
    return NULL;
}


static bool
life_event_stale(const worker_job_t *job, const char *stale)
{
    char         name[TRAVEL_QUEUE_NAME_MAX + 8];
    size_t       n;
    const char  *p;

    n = (size_t) snprintf(name, sizeof(name), "%.*s.%u",
                          (int) job->id.queue.len, job->id.queue.data,
                          job->id.partition);

    for (p = stale; (p = strstr(p, name)) != NULL; p += n) {
        if (strchr(",}", p[n]) != NULL && strchr(",{", p[-1]) != NULL) {
            return true;
        }
    }

    return false;
}


/* A statement that fails for one row's sake is tried again row by row. */
static void
life_event_batch(worker_job_t *const *jobs, worker_verdict_e *verdicts,
    size_t n)
{
    size_t       i;
    PGresult    *res;
    const char  *stale;

    res = life_event_write(jobs, n);

    if (res == NULL && n > 1
        && strcmp(jobs[0]->error.code, "INTERNAL_ERROR") == 0)
    {
        jobs[0]->error.code[0] = '\0';

        for (i = 0; i < n; i++) {
            life_event_batch(&jobs[i], &verdicts[i], 1);
        }

        return;
    }

    stale = res != NULL ? PQgetvalue(res, 0, 0) : "{}";

    for (i = 0; i < n; i++) {
        if (res == NULL) {
            jobs[i]->error = jobs[0]->error;
            verdicts[i] = WORKER_RETRY;
        } else {
            verdicts[i] = life_event_stale(jobs[i], stale) ? WORKER_FENCED
                                                           : WORKER_DONE;
        }
    }

    if (res != NULL) {
        worker_tx_position(jobs, n);
    }

    PQclear(res);
}


static worker_verdict_e
life_event_record(worker_job_t *job)
{
    worker_job_t      *jobs[] = { job };
    worker_verdict_e   verdict;

    life_event_batch(jobs, &verdict, 1);
    return verdict;
}


const worker_job_type_t  worker_jobs_life_event[] = {
    { .type = "life_event.record", .queue = "content",
      .priority = TRAVEL_PRIORITY_NORMAL, .run = life_event_record,
      .retries = 5, .base_ms = 1000, .cap_ms = 60000, .timeout_ms = 60000,
      .unordered = true },
    { .type = NULL }
};

const worker_job_batch_t  worker_batches_life_event[] = {
    { "life_event.record", life_event_batch, LIFE_EVENT_BATCH },
    { .type = NULL }
};
