/*
 * travelctl jobs run: one job here, outside the queue, to look at it closely.
 *
 * It leases the job's partition like a worker does, so it cannot run beside
 * the partition's owner, and gives it back afterwards.  With the workers'
 * rules in force (fence, inbox, sagas) it may be repeated under the same --id:
 * that is how a crash is looked into.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "../jobs/ask.h"
#include "../pool/log.h"
#include "../pool/slot.h"
#include "../store/pg.h"
#include "../trace/trace.h"
#include "../../common/hash.h"

#define RUN_TTL_S  "60"

typedef struct {
    const char      *config;
    const char      *id;
    const char      *sub;
    const char      *email;
    const char      *key;
    const char      *tp;
    const char      *owner;
    bool             giveup;
    bool             keep;
    worker_conf_t   *conf;
    worker_slot_t    slot;
    worker_job_t     job;
} run_t;


static travel_str_t
run_str(const char *text)
{
    return text != NULL ? (travel_str_t) { text, strlen(text) }
                        : TRAVEL_NULL_STR;
}


/* The id given, or a new one in the caller's bucket. */
static bool
run_job_id(run_t *r, const worker_job_type_t *type)
{
    uint8_t           rnd[8];
    worker_job_t     *job;
    struct timespec   now;

    job = &r->job;

    if (r->id != NULL) {
        snprintf(job->job_id, sizeof(job->job_id), "%s", r->id);

    } else {
        if (travel_random(rnd, sizeof(rnd)) != TRAVEL_OK) {
            return false;
        }

        clock_gettime(CLOCK_REALTIME, &now);
        job->id.queue = run_str(type->queue);
        job->id.id = travel_uuid7((uint64_t) now.tv_sec * 1000,
                                  travel_bucket(run_str(r->sub)), rnd);
        job->id.partition = travel_uuid_bucket(&job->id.id)
                            % TRAVEL_PARTITIONS_DEFAULT;
        travel_job_id_format(job->job_id, &job->id);
    }

    if (travel_job_id_parse(&job->id, run_str(job->job_id)) != TRAVEL_OK) {
        return false;
    }

    travel_uuid_format(job->uuid, &job->id.id);
    return true;
}


static bool
run_fill(run_t *r, const worker_job_type_t *type, const char *body)
{
    worker_job_t     *job;
    struct timespec   now;

    job = &r->job;

    if (!run_job_id(r, type)) {
        ctl_broken("\"%s\" is not a job id", r->id != NULL ? r->id : "");
        return false;
    }

    job->body = json_loads(body, 0, NULL);

    if (!json_is_object(job->body)) {
        ctl_broken("BODY is not a JSON object");
        return false;
    }

    snprintf(job->key, sizeof(job->key), "%s", r->key != NULL ? r->key
                                                              : job->uuid);
    snprintf(job->sub, sizeof(job->sub), "%s", r->sub);
    clock_gettime(CLOCK_MONOTONIC, &now);

    job->env.id = run_str(job->job_id);
    job->env.type = run_str(type->type);
    job->env.sub = run_str(job->sub);
    job->env.email = run_str(r->email);
    job->env.key = run_str(job->key);
    job->env.tp = run_str(r->tp);
    job->env.body = run_str(body);
    job->attempt = 1;
    job->deadline = (int64_t) now.tv_sec * 1000 + type->timeout_ms;
    job->owner = r->owner;
    job->slot = &r->slot;

    if (r->tp != NULL
        && travel_traceparent_parse(&job->trace, run_str(r->tp)) != TRAVEL_OK)
    {
        ctl_broken("--traceparent is not one");
        return false;
    }

    return true;
}


/* The partition's fence, or 0 when somebody else has it. */
static long long
run_lease(run_t *r)
{
    char          queue[TRAVEL_QUEUE_NAME_MAX + 1], partition[16];
    long long     fence;
    PGresult     *res;
    const char   *params[] = { queue, partition, r->owner, RUN_TTL_S };

    worker_job_partition(&r->job, queue, partition);
    fence = 0;

    if (worker_pg_ready(r->slot.pg) == TRAVEL_OK) {
        res = worker_pg_exec(r->slot.pg,
                  "SELECT jobs.lease($1, $2::int, $3,"
                  "                  make_interval(secs => $4::int))", 4,
                  params);

        if (PQresultStatus(res) == PGRES_TUPLES_OK
            && !PQgetisnull(res, 0, 0))
        {
            fence = atoll(PQgetvalue(res, 0, 0));
        }

        PQclear(res);
    }

    return fence;
}


static void
run_release(run_t *r)
{
    char         queue[TRAVEL_QUEUE_NAME_MAX + 1], partition[16];
    const char  *params[] = { queue, partition, r->owner };

    worker_job_partition(&r->job, queue, partition);

    if (!r->keep && worker_pg_ready(r->slot.pg) == TRAVEL_OK) {
        PQclear(worker_pg_exec(r->slot.pg,
                               "SELECT jobs.release($1, $2::int, $3)", 3,
                               params));
    }
}


static int
run_report(const run_t *r, worker_verdict_e verdict)
{
    char                 lsn[18];
    json_t              *line;
    const worker_job_t  *job;

    static const char  *const verdicts[] = {
        [WORKER_DONE] = "done", [WORKER_RETRY] = "retry",
        [WORKER_REJECT] = "reject", [WORKER_SNOOZE] = "snooze",
        [WORKER_FENCED] = "fenced", [WORKER_AWAIT] = "await"
    };

    job = &r->job;
    travel_lsn_format(lsn, job->commit.commit.lsn);

    line = json_pack("{s:s, s:s, s:O?, s:s}", "id", job->job_id,
                     "verdict", verdicts[verdict], "result", job->result,
                     "lsn", lsn);

    if (verdict != WORKER_DONE) {
        json_object_set_new(line, "error",
                            json_pack("{s:s, s:s, s:I}", "code",
                                job->error.code, "message", job->error.message,
                                "retry_after_ms",
                                (json_int_t) job->error.retry_after_ms));
    }

    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    putchar('\n');
    fflush(stdout);              /* now: the last spans may take a while */
    json_decref(line);

    return verdict == WORKER_DONE ? CTL_GOOD : CTL_REFUSED;
}


static int
run_job(run_t *r, const worker_job_type_t *type)
{
    worker_verdict_e  verdict;

    r->job.fence = run_lease(r);

    if (r->job.fence == 0) {
        return ctl_broken("the partition of %s has an owner, or PostgreSQL "
                          "does not answer %s", r->job.job_id,
                          worker_pg_error(r->slot.pg));
    }

    if (r->giveup) {
        (void) worker_job_fail(&r->job, WORKER_REJECT, "INTERNAL_ERROR",
                               "given up by the operator");
        verdict = type->giveup != NULL ? type->giveup(&r->job) : WORKER_DONE;
    } else {
        verdict = worker_job_run_on(&r->job, type->run(&r->job));
    }

    run_release(r);
    return run_report(r, verdict);
}


static int
run_open(run_t *r, const worker_job_type_t *type, const char *body)
{
    int  rc;

    rc = CTL_BROKEN;
    r->conf = ctl_conf(r->config);

    if (r->conf == NULL) {
        return rc;
    }

    worker_log_init(WORKER_LOG_WARN, "travelctl");
    r->slot.conf = r->conf;
    r->slot.job = &r->job;
    r->slot.pg = worker_pg_create(r->conf->pg_dsn, "travelctl");
    r->slot.io = worker_io_start(r->conf, NULL);

    if (r->slot.pg != NULL && r->slot.io != NULL
        && worker_trace_start(r->conf) == TRAVEL_OK
        && run_fill(r, type, body))
    {
        rc = run_job(r, type);
    }

    worker_io_stop(&r->slot.io);
    worker_trace_stop();
    worker_pg_free(&r->slot.pg);
    json_decref(r->job.body);
    json_decref(r->job.result);
    worker_conf_free(r->conf);
    return rc;
}


int
travelctl_jobs_run(int argc, char **argv)
{
    int                       rc;
    run_t                     r;
    const char               *args[CTL_ARGS_MAX + 1];
    const worker_job_type_t  *type;

    memset(&r, 0, sizeof(r));
    r.sub = "01890000-0000-7000-8000-000000000000";
    r.owner = "travelctl";

    ctl_option_t  options[] = {
        CTL_CONFIG(r.config),
        { "id", CTL_STRING, &r.id, "ID", "job id (a new one)" },
        { "sub", CTL_STRING, &r.sub, "UUID", "whose job (the demo user's)" },
        { "email", CTL_STRING, &r.email, "ADDRESS", "as if from the token" },
        { "key", CTL_STRING, &r.key, "UUID", "the aggregate (the job's own)" },
        { "traceparent", CTL_STRING, &r.tp, "TP", "parent of its spans" },
        { "owner", CTL_STRING, &r.owner, "NAME", "lease as (travelctl)" },
        { "keep-lease", CTL_FLAG, &r.keep, NULL, "do not give it back" },
        { "giveup", CTL_FLAG, &r.giveup, NULL,
          "run what follows a failure instead" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "jobs run [options] TYPE BODY",
                         "Runs one job here, under a lease of its partition, "
                         "and prints its verdict as\nJSON.  Refuses where a "
                         "worker owns the partition.  Exit code 1 when the "
                         "verdict\nis not \"done\".", options, 2, 2 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    type = worker_job_type(run_str(args[0]));

    if (type == NULL) {
        return ctl_broken("there is no job type \"%s\"", args[0]);
    }

    return run_open(&r, type, args[1]);
}
