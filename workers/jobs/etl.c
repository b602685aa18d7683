/*
 * etl.run: what changed in the product's database, into the warehouse.
 *
 * body {job}: a section "etl" of workers.conf, whose file has two statements:
 *
 *     -- @extract   at the source; $1 and $2 are points of the event store
 *                   (xid8): rows of what changed from $1 up to before $2
 *     -- @load      at the warehouse; $1 is those rows, a JSON array
 *
 * The warehouse keeps the point up to which a job has loaded, in the
 * transaction that loads.  So a batch is loaded as often as it takes, its
 * effect is that of one time (the statement replaces rows by their key), and
 * a run that is cut off goes on where it was.  The points come from
 * events.horizon: nothing that commits late is passed over.
 *
 * Two runs of one job meet at the job's row, which the load locks first: the
 * later one finds the point moved and begins again from there.
 */

#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "resource.h"
#include "../pool/slot.h"

#define ETL_TURNS     100000
#define ETL_FILE_MAX  (256 * 1024)

typedef struct {
    worker_job_t  *job;
    const char    *name;
    const char    *batch;          /* events in one, as text */
    worker_pg_t   *source;         /* the slot's */
    worker_pg_t   *target;         /* this run's own */
    char          *file;
    const char    *extract;        /* both in 'file' */
    const char    *load;
    long           rows;
    long           batches;
} etl_t;


/* --- the file ------------------------------------------------------------ */

static char *
etl_read(const char *path)
{
    FILE    *f;
    char    *text;
    size_t   n;

    f = fopen(path, "re");
    text = f != NULL ? malloc(ETL_FILE_MAX) : NULL;

    if (text != NULL) {
        n = fread(text, 1, ETL_FILE_MAX - 1, f);
        text[n] = '\0';
    }

    if (f != NULL) {
        fclose(f);
    }

    return text;
}


/* The two statements, cut out in place. */
static worker_verdict_e
etl_statements(etl_t *etl, const char *path)
{
    char  *extract, *load;

    etl->file = etl_read(path);
    extract = etl->file != NULL ? strstr(etl->file, "-- @extract\n") : NULL;
    load = extract != NULL ? strstr(extract, "-- @load\n") : NULL;

    if (load == NULL) {
        return worker_job_fail(etl->job, WORKER_REJECT, "INTERNAL_ERROR",
                               "%s: no \"-- @extract\" line with a "
                               "\"-- @load\" line after it", path);
    }

    *load = '\0';
    etl->extract = extract;
    etl->load = load + sizeof("-- @load\n") - 1;
    return WORKER_DONE;
}


/* --- statements ---------------------------------------------------------- */

static worker_verdict_e
etl_failed(etl_t *etl, const worker_pg_t *pg)
{
    const char  *state;

    state = worker_pg_sqlstate(pg);

    return worker_job_fail(etl->job, WORKER_RETRY,
                           worker_pg_away(pg) ? "DEPENDENCY_UNAVAILABLE"
                                              : "INTERNAL_ERROR",
                           "etl %.60s: %s %.150s", etl->name, state,
                           worker_pg_error(pg));
}


static PGresult *
etl_ask(etl_t *etl, worker_pg_t *pg, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    res = worker_pg_ready(pg) == TRAVEL_OK ? worker_pg_exec(pg, sql, n, params)
                                           : NULL;

    if (worker_pg_good(res)) {
        return res;
    }

    (void) etl_failed(etl, pg);
    PQclear(res);
    return NULL;
}


static bool
etl_do(etl_t *etl, worker_pg_t *pg, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    res = etl_ask(etl, pg, sql, n, params);
    PQclear(res);
    return res != NULL;
}


/* --- one batch ----------------------------------------------------------- */

/* The rows between two points as a JSON array; NULL: job->error is filled. */
static PGresult *
etl_extract(etl_t *etl, const char *from, const char *to)
{
    char        *sql;
    size_t       len;
    PGresult    *res;
    const char  *params[] = { from, to };

    static const char  head[] = "SELECT coalesce(jsonb_agg(to_jsonb(r)),"
                                " '[]'), count(*) FROM (\n";

    len = sizeof(head) + strlen(etl->extract) + sizeof("\n) AS r");
    sql = malloc(len);

    if (sql == NULL) {
        return NULL;
    }

    snprintf(sql, len, "%s%s\n) AS r", head, etl->extract);
    res = etl_ask(etl, etl->source, sql, 2, params);
    free(sql);
    return res;
}


/* Loads and moves the point, if it still is at 'from'. */
static bool
etl_load(etl_t *etl, const char *from, const char *to, const char *sync,
    const PGresult *rows)
{
    bool         there;
    PGresult    *res;
    const char  *load[] = { PQgetvalue(rows, 0, 0) };
    const char  *lock[] = { etl->name, from };
    const char  *move[] = { etl->name, to, sync, PQgetvalue(rows, 0, 1) };

    if (!etl_do(etl, etl->target, "BEGIN", 0, NULL)) {
        return false;
    }

    res = etl_ask(etl, etl->target, "SELECT FROM analytics.etl_job_status"
                                    " WHERE job_name = $1 AND last_xid = $2"
                                    "   FOR UPDATE", 2, lock);
    there = res != NULL && PQntuples(res) == 1;
    PQclear(res);

    if (res != NULL && !there) {
        return etl_do(etl, etl->target, "ROLLBACK", 0, NULL);
    }

    if (there && etl_do(etl, etl->target, etl->load, 1, load)
        && etl_do(etl, etl->target,
                  "UPDATE analytics.etl_job_status"
                  "   SET last_xid = $2, last_sync = $3::timestamptz,"
                  "       rows = rows + $4::bigint, updated_at = now()"
                  " WHERE job_name = $1", 4, move)
        && etl_do(etl, etl->target, "COMMIT", 0, NULL))
    {
        etl->rows += strtol(PQgetvalue(rows, 0, 1), NULL, 10);
        etl->batches++;
        return true;
    }

    PQclear(worker_pg_exec(etl->target, "ROLLBACK", 0, NULL));
    return false;
}


/* How far the job is; a new one begins at the first event. */
static PGresult *
etl_point(etl_t *etl)
{
    const char  *params[] = { etl->name };

    return etl_ask(etl, etl->target,
        "INSERT INTO analytics.etl_job_status AS s (job_name, last_sync, runs)"
        " VALUES ($1, '-infinity', 0)"
        " ON CONFLICT (job_name) DO UPDATE SET updated_at = now()"
        " RETURNING last_xid", 1, params);
}


/* True in *ret_more: there was something, and there may be more. */
static bool
etl_batch(etl_t *etl, bool *ret_more)
{
    bool         good;
    PGresult    *point, *next, *rows;
    const char  *params[2];

    point = etl_point(etl);

    if (point == NULL) {
        return false;
    }

    params[0] = PQgetvalue(point, 0, 0);
    params[1] = etl->batch;
    next = etl_ask(etl, etl->source,
        "SELECT h, clock_timestamp(), EXISTS (SELECT FROM events.event"
        "         WHERE xid >= $1::xid8 AND xid < h)"
        "  FROM events.horizon($1::xid8, $2::int) AS h", 2, params);
    *ret_more = next != NULL && *PQgetvalue(next, 0, 2) == 't';
    rows = *ret_more ? etl_extract(etl, PQgetvalue(point, 0, 0),
                                   PQgetvalue(next, 0, 0)) : NULL;
    good = next != NULL
           && (!*ret_more
               || (rows != NULL
                   && etl_load(etl, PQgetvalue(point, 0, 0),
                               PQgetvalue(next, 0, 0), PQgetvalue(next, 0, 1),
                               rows)));
    PQclear(rows);
    PQclear(next);
    PQclear(point);

    return good;
}


static worker_verdict_e
etl_batches(etl_t *etl)
{
    int          turn;
    bool         more;
    const char  *params[] = { etl->name };

    more = true;

    for (turn = 0; more && turn < ETL_TURNS && !etl->job->cancel; turn++) {
        if (!etl_batch(etl, &more)) {
            return WORKER_RETRY;
        }
    }

    if (!etl_do(etl, etl->target, "UPDATE analytics.etl_job_status"
                                  "   SET runs = runs + 1, updated_at = now()"
                                  " WHERE job_name = $1", 1, params))
    {
        return WORKER_RETRY;
    }

    json_decref(etl->job->result);
    etl->job->result = json_pack("{s:s, s:I, s:I, s:b}", "job", etl->name,
                                 "rows", (json_int_t) etl->rows, "batches",
                                 (json_int_t) etl->batches, "complete", !more);
    return WORKER_DONE;
}


static worker_verdict_e
etl_run(worker_job_t *job)
{
    char                    batch[24];
    etl_t                   etl = { .job = job };
    worker_verdict_e        verdict;
    const worker_conf_t    *conf;
    const worker_etl_t     *which;

    conf = job->slot->conf;
    etl.name = worker_body_string(job, "job");
    which = etl.name != NULL ? worker_conf_etl(conf, etl.name) : NULL;

    if (which == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "\"job\" is not the name of an etl section of "
                               "workers.conf");
    }

    verdict = etl_statements(&etl, which->file);

    if (verdict == WORKER_DONE) {
        snprintf(batch, sizeof(batch), "%u", which->batch);
        etl.batch = batch;
        etl.source = job->slot->pg;
        etl.target = worker_pg_create(conf->analytics_dsn, "travel-etl");
        verdict = etl.target != NULL ? etl_batches(&etl) : WORKER_RETRY;
        worker_pg_free(&etl.target);
    }

    free(etl.file);
    return verdict;
}


const worker_job_type_t  worker_jobs_etl[] = {
    { "etl.run", "analytics", TRAVEL_PRIORITY_LOW, etl_run, NULL, 5, 1000,
      300000, 3600000, true },
    { .type = NULL }
};
