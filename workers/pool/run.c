/*
 * What happens to a job between the hand-over and the hand-back.
 *
 * A verdict becomes an outcome here, because only here the handler's giveup
 * can be run: a job that is refused for good or has used up its retries is
 * not over before that is on record.  When even that fails the job comes
 * back, and the run that failed to give up is not counted.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"
#include "run.h"
#include "sealed.h"
#include "../../common/backoff.h"
#include "../../common/hash.h"
#include "../jobs/ask.h"
#include "../store/claim.h"
#include "../store/flow.h"
#include "../store/pg.h"
#include "../trace/trace.h"

#define RUN_ATTRS      12
#define RUN_GIVEUP_MS  2000         /* before a failed giveup is tried again */
#define RUN_OUTAGE_MS  1000         /* about, between tries with no database */


static uint64_t
run_clock_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


/* Chance and jitter need no secrets, but each thread its own numbers. */
static uint32_t
run_random(void)
{
    static _Thread_local uint64_t  state;

    if (state == 0 && (travel_random(&state, sizeof(state)) != TRAVEL_OK
                       || state == 0))
    {
        state = run_clock_ns() | 1;
    }

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;

    return (uint32_t) (state >> 32);
}


/* --- trace --------------------------------------------------------------- */

/* The process span's ids.  Its parent is the enqueue span of the envelope; a
 * job that comes without one may start a trace of its own. */
static bool
run_trace_begin(const worker_slot_t *slot, worker_job_t *job,
    travel_trace_t *ret_parent)
{
    double  chance;

    memset(ret_parent, 0, sizeof(*ret_parent));

    if (job->env.tp.len
        && travel_traceparent_parse(ret_parent, job->env.tp) == TRAVEL_OK)
    {
        job->trace = ret_parent->flags & TRAVEL_TRACE_SAMPLED
                     ? worker_trace_child(ret_parent) : *ret_parent;
        return true;
    }

    chance = (double) run_random() / 4294967296.0;

    if (slot->conf->otlp_url == NULL || chance >= slot->conf->otlp_sample
        || travel_random(&job->trace, sizeof(job->trace)) != TRAVEL_OK)
    {
        memset(&job->trace, 0, sizeof(job->trace));
        return false;
    }

    job->trace.flags = TRAVEL_TRACE_SAMPLED | TRAVEL_TRACE_RANDOM;
    return false;
}


static travel_str_t
run_str(const char *s)
{
    return (travel_str_t) { s, strlen(s) };
}


static travel_attr_t
run_attr(const char *name, travel_str_t value)
{
    return (travel_attr_t) { .name = run_str(name), .type = TRAVEL_ATTR_STRING,
                             .v.s = value };
}


static travel_attr_t
run_attr_int(const char *name, int64_t value)
{
    return (travel_attr_t) { .name = run_str(name), .type = TRAVEL_ATTR_INT,
                             .v.i = value };
}


static void
run_trace_end(const worker_entry_t *entry, const travel_trace_t *parent,
    bool linked, uint64_t start_ns)
{
    int                  len;
    char                 name[80], partition[8];
    size_t               n;
    travel_span_t        span = { 0 };
    travel_attr_t        attrs[RUN_ATTRS];
    const worker_job_t  *job;

    job = &entry->job;

    if (!(job->trace.flags & TRAVEL_TRACE_SAMPLED)) {
        return;
    }

    len = snprintf(name, sizeof(name), "process %.*s", (int) job->id.queue.len,
                   job->id.queue.data);
    len = len < (int) sizeof(name) ? len : (int) sizeof(name) - 1;
    snprintf(partition, sizeof(partition), "%u", job->id.partition);

    n = 0;
    attrs[n++] = run_attr("messaging.system", TRAVEL_STR("redis"));
    attrs[n++] = run_attr("messaging.operation.type", TRAVEL_STR("process"));
    attrs[n++] = run_attr("messaging.operation.name", TRAVEL_STR("process"));
    attrs[n++] = run_attr("messaging.destination.name", job->id.queue);
    attrs[n++] = run_attr("messaging.destination.partition.id",
                          run_str(partition));
    attrs[n++] = run_attr("messaging.consumer.group.name",
                          TRAVEL_STR(TRAVEL_GROUP));
    attrs[n++] = run_attr("messaging.message.id", run_str(job->job_id));
    attrs[n++] = run_attr_int("messaging.message.body.size",
                              (int64_t) job->env.body.len);
    attrs[n++] = run_attr("travel.job.type", job->env.type);
    attrs[n++] = run_attr_int("travel.job.attempt", job->attempt);

    if (entry->outcome != WORKER_OUTCOME_SUCCEEDED) {
        attrs[n++] = run_attr("error.type",
                              job->error.code[0] ? run_str(job->error.code)
                                                 : TRAVEL_STR("FENCED"));
        span.error = true;
        span.message = run_str(job->error.message);
    }

    span.id = job->trace;
    memcpy(span.parent, parent->span_id, sizeof(span.parent));
    span.name = (travel_str_t) { name, (size_t) len };
    span.kind = TRAVEL_SPAN_CONSUMER;
    span.start_ns = start_ns;
    span.end_ns = worker_trace_now();
    span.attrs = attrs;
    span.nattrs = n;
    span.links = parent;
    span.nlinks = linked ? 1 : 0;

    worker_trace_emit(&span);
}


/* --- verdict and outcome ------------------------------------------------- */

static worker_verdict_e
run_database(worker_job_t *job, const char *what)
{
    return worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                           "%s cannot be reached in jobs.claim (%s)", what,
                           worker_pg_sqlstate(job->slot->pg));
}


/* A payload that was too large for the stream: another text in its place. */
static worker_verdict_e
run_claimed_body(worker_job_t *job, char **ret_text)
{
    switch (worker_claim_get(job->slot->pg, job->uuid, WORKER_CLAIM_BODY,
                             ret_text))
    {
    case TRAVEL_OK:
        return WORKER_DONE;

    case TRAVEL_INVALID:
        return worker_job_fail(job, WORKER_REJECT, "MALFORMED",
                               "its payload is not in jobs.claim any more");

    default:
        return run_database(job, "the payload");
    }
}


static worker_verdict_e
run_body(worker_job_t *job)
{
    char              *text;
    json_error_t       err;
    travel_str_t       body;
    worker_verdict_e   verdict;

    text = NULL;
    body = job->env.body;

    if (job->env.claim.len > 0) {
        verdict = run_claimed_body(job, &text);

        if (verdict != WORKER_DONE) {
            return verdict;
        }

        body = (travel_str_t) { text, strlen(text) };
    }

    job->body = json_loadb(body.data, body.len, JSON_DECODE_ANY, &err);
    free(text);

    if (job->body != NULL) {
        return job->env.sealed.len > 0 ? worker_sealed_open(job) : WORKER_DONE;
    }

    return worker_job_fail(job, WORKER_REJECT, "MALFORMED",
                           "the body is not JSON: %s at byte %d", err.text,
                           err.position);
}


/* Our own database was away: the job waits for it, however long that takes, and
 * none of its attempts is used up. */
static bool
run_outage(const worker_entry_t *entry)
{
    const worker_job_t  *job;

    job = &entry->job;

    return strcmp(job->error.code, "DEPENDENCY_UNAVAILABLE") == 0
           && worker_pg_away(job->slot->pg);
}


static void
run_retry(worker_entry_t *entry)
{
    const worker_job_t  *job;

    job = &entry->job;
    entry->outcome = WORKER_OUTCOME_RETRYING;
    entry->uncounted = run_outage(entry);

    if (entry->uncounted) {
        entry->delay_ms = RUN_OUTAGE_MS / 2 + run_random() % RUN_OUTAGE_MS;
        return;
    }

    entry->delay_ms = (int64_t)
        travel_backoff_ms(job->attempt - 1, (uint64_t) entry->type->base_ms,
                          (uint64_t) entry->type->cap_ms,
                          (uint64_t) job->error.retry_after_ms, run_random());
}


/* 'final' when the handler has put the end on record, else what that says. */
static void
run_giveup(worker_entry_t *entry, worker_outcome_e final)
{
    worker_error_t     why;
    worker_verdict_e   verdict;
    worker_giveup_pt   giveup;

    giveup = entry->type->type->giveup;
    entry->outcome = final;
    snprintf(entry->cause, sizeof(entry->cause), "%s", entry->job.error.code);

    if (giveup == NULL) {
        return;
    }

    why = entry->job.error;
    verdict = giveup(&entry->job);

    if (verdict == WORKER_FENCED) {
        entry->outcome = WORKER_OUTCOME_FENCED;

    } else if (verdict == WORKER_RETRY) {
        worker_log_job(WORKER_LOG_WARN, &entry->job, -1,
                       "could not give up, will try again");
        entry->outcome = WORKER_OUTCOME_RETRYING;
        entry->uncounted = true;
        entry->delay_ms = RUN_GIVEUP_MS;
    }

    entry->job.error = why;
}


/* One that is too large for the job's hash goes to the database, and the job is
 * not over before it is there. */
static worker_verdict_e
run_claim(worker_entry_t *entry)
{
    worker_job_t    *job;
    worker_claim_t   claim;

    job = &entry->job;
    claim = (worker_claim_t) {
        .uuid = job->uuid, .what = WORKER_CLAIM_RESULT, .sub = job->sub,
        .text = entry->result,
        .keep_ms = worker_conf_retention_ms(job->slot->conf,
                                            entry->type->type->queue)
    };

    if (worker_claim_put(job->slot->pg, &claim) != TRAVEL_OK) {
        return run_database(job, "the result");
    }

    entry->claimed = true;
    return WORKER_DONE;
}


/* Slots share the work of making JSON text; the fetcher is one. */
static worker_verdict_e
run_result(worker_entry_t *entry)
{
    worker_job_t      *job;
    worker_verdict_e   verdict;

    job = &entry->job;
    verdict = WORKER_DONE;

    if (job->result == NULL) {
        return verdict;
    }

    /* 15 digits: what PostgreSQL wrote as 144.8 stays 144.8 */
    entry->result = json_dumps(job->result, JSON_COMPACT | JSON_ENCODE_ANY
                                            | JSON_REAL_PRECISION(15));
    entry->result_len = entry->result != NULL ? strlen(entry->result) : 0;

    if (entry->result_len > job->slot->conf->claim_check && !job->env.once) {
        verdict = run_claim(entry);
        free(entry->result);
        entry->result = NULL;
        entry->result_len = 0;
    }

    return verdict;
}


static void
run_judge(worker_entry_t *entry, worker_verdict_e verdict)
{
    worker_job_t  *job;

    job = &entry->job;

    if (verdict == WORKER_DONE) {
        verdict = run_result(entry);
    }

    if (verdict == WORKER_SNOOZE && job->called_off) {
        verdict = WORKER_RETRY;
    }

    if (verdict != WORKER_DONE && verdict != WORKER_FENCED
        && verdict != WORKER_SNOOZE && job->error.code[0] == '\0')
    {
        (void) worker_job_fail(job, verdict, "INTERNAL_ERROR",
                               "the handler gave no reason");
    }

    switch (verdict) {

    case WORKER_DONE:
        entry->outcome = WORKER_OUTCOME_SUCCEEDED;
        break;

    case WORKER_FENCED:
        entry->outcome = WORKER_OUTCOME_FENCED;
        break;

    case WORKER_AWAIT:              /* is no end */
        break;

    case WORKER_SNOOZE:
        entry->outcome = WORKER_OUTCOME_RETRYING;
        entry->uncounted = true;
        entry->delay_ms = job->error.retry_after_ms;
        break;

    case WORKER_REJECT:
        run_giveup(entry, strcmp(job->error.code, "MALFORMED") == 0
                          ? WORKER_OUTCOME_DEAD : WORKER_OUTCOME_FAILED);
        break;

    case WORKER_RETRY:
        if (job->called_off) {
            (void) worker_job_fail(job, verdict, "CANCELLED",
                                   "called off");
            run_giveup(entry, WORKER_OUTCOME_CANCELLED);
            break;
        }

        if (job->attempt > entry->type->retries && !run_outage(entry)) {
            run_giveup(entry, WORKER_OUTCOME_DEAD);
        } else {
            run_retry(entry);
        }

        break;
    }
}


/* The flow it is of hears of an end before the queue does.  One that cannot be
 * told keeps the job. */
static void
run_flow(worker_entry_t *entry)
{
    worker_error_t     why;
    worker_verdict_e   verdict;

    if (!worker_flow_of(&entry->job)
        || entry->outcome == WORKER_OUTCOME_RETRYING
        || entry->outcome == WORKER_OUTCOME_FENCED)
    {
        return;
    }

    why = entry->job.error;
    verdict = worker_flow_done(&entry->job,
                               worker_outcome_status(entry->outcome));

    if (verdict == WORKER_FENCED) {
        entry->outcome = WORKER_OUTCOME_FENCED;

    } else if (verdict == WORKER_RETRY) {
        if (entry->outcome != WORKER_OUTCOME_SUCCEEDED) {
            entry->job.error = why;
        }

        entry->outcome = WORKER_OUTCOME_RETRYING;
        entry->uncounted = true;
        entry->delay_ms = RUN_GIVEUP_MS;
        free(entry->result);
        entry->result = NULL;
        entry->result_len = 0;
        entry->claimed = false;
    }
}


static void
run_log(const worker_entry_t *entry)
{
    double  ms;

    ms = (double) entry->run_ns / 1e6;

    switch (entry->outcome) {

    case WORKER_OUTCOME_SUCCEEDED:
        worker_log_job(WORKER_LOG_DEBUG, &entry->job, ms, "succeeded");
        break;

    case WORKER_OUTCOME_RETRYING:
        worker_log_job(entry->job.error.code[0] != '\0' ? WORKER_LOG_WARN
                                                        : WORKER_LOG_DEBUG,
                       &entry->job, ms, "%s %lld ms",
                       entry->job.error.code[0] != '\0' ? "retrying in"
                                                        : "snoozed for",
                       (long long) entry->delay_ms);
        break;

    case WORKER_OUTCOME_FENCED:
        worker_log_job(WORKER_LOG_WARN, &entry->job, ms,
                       "left to the partition's new owner");
        break;

    case WORKER_OUTCOME_DEAD:
        worker_log_job(WORKER_LOG_ERROR, &entry->job, ms, "dead: %s",
                       entry->cause);
        break;

    case WORKER_OUTCOME_CANCELLED:
        worker_log_job(WORKER_LOG_INFO, &entry->job, ms, "cancelled");
        break;

    default:
        worker_log_job(WORKER_LOG_INFO, &entry->job, ms, "failed");
    }
}


static void
run_forget(worker_job_t *job)
{
    json_decref(job->result);
    json_decref(job->body);
    job->result = NULL;
    job->body = NULL;
}


static worker_verdict_e
run_begin(worker_entry_t *entry)
{
    worker_job_t      *job;
    worker_verdict_e   verdict;

    job = &entry->job;
    entry->stages++;
    entry->linked = run_trace_begin(job->slot, job, &entry->parent);
    entry->start_ns = worker_trace_now();
    entry->begin_ns = run_clock_ns();

    if (worker_flow_of(job) && !entry->giveup) {
        verdict = worker_flow_begin(job);

        if (verdict != WORKER_DONE) {
            return verdict;
        }
    }

    return entry->type->batch != NULL && entry->type->batch->raw
           ? WORKER_DONE : run_body(job);
}


static void
run_end(worker_entry_t *entry)
{
    entry->run_ns = run_clock_ns() - entry->begin_ns;
    run_trace_end(entry, &entry->parent, entry->linked, entry->start_ns);
    run_log(entry);
    run_forget(&entry->job);
    worker_job_stages_end(&entry->job);
}


/* A handler that waits must have asked. */
static worker_verdict_e
run_checked(worker_job_t *job, worker_verdict_e verdict)
{
    return verdict != WORKER_AWAIT || job->ask != NULL ? verdict
           : worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                             "the handler waits for nothing");
}


/* The first stage, or the one that is due. */
static worker_verdict_e
run_stage(worker_entry_t *entry)
{
    worker_job_t      *job;
    worker_verdict_e   verdict;

    job = &entry->job;
    verdict = WORKER_DONE;

    if (entry->stages == 0) {
        verdict = run_begin(entry);
    } else {
        entry->stages++;
    }

    worker_pg_trace(job->slot->pg, &job->trace);

    if (verdict != WORKER_DONE || entry->giveup) {
        return verdict;
    }

    return run_checked(job, job->resume != NULL
                            ? worker_job_resume(job)
                            : entry->type->type->run(job));
}


/* What came of it, and its flow told. */
static void
run_conclude(worker_entry_t *entry, worker_verdict_e verdict)
{
    if (verdict == WORKER_AWAIT) {
        return;
    }

    if (!entry->giveup) {
        run_judge(entry, verdict);
    } else if (!entry->over) {
        run_giveup(entry, entry->outcome);
    }

    run_flow(entry);
}


bool
worker_run(worker_slot_t *slot, worker_entry_t *entry)
{
    uint64_t           begin;
    worker_job_t      *job;
    worker_verdict_e   verdict;

    job = &entry->job;
    job->slot = slot;
    slot->job = job;
    begin = run_clock_ns();
    verdict = run_stage(entry);

    run_conclude(entry, verdict);
    entry->slot_ns += run_clock_ns() - begin;
    worker_pg_trace(slot->pg, NULL);

    if (verdict != WORKER_AWAIT) {
        run_end(entry);
    }

    job->slot = NULL;
    slot->job = NULL;

    return verdict != WORKER_AWAIT;
}


/* --- many at once --------------------------------------------------------- */

/* The handler sees those whose body could be read; jobs[] and which[] have room
 * for all.  All begin, or all have their answers. */
static void
run_batch_handler(worker_entry_t *const *entries, size_t n,
    worker_verdict_e *verdicts)
{
    size_t             i, m;
    worker_batch_pt    handler;
    worker_job_t      *jobs[WORKER_RUN_BATCH_MAX];
    worker_verdict_e   told[WORKER_RUN_BATCH_MAX];
    unsigned           which[WORKER_RUN_BATCH_MAX];

    handler = entries[0]->stages == 0 ? entries[0]->type->batch->run
                                      : entries[0]->type->batch->answered;

    for (i = 0, m = 0; i < n; i++) {
        verdicts[i] = WORKER_DONE;

        if (entries[i]->stages == 0) {
            verdicts[i] = run_begin(entries[i]);
        } else {
            entries[i]->stages++;
        }

        if (verdicts[i] == WORKER_DONE) {
            which[m] = (unsigned) i;
            jobs[m++] = &entries[i]->job;
        }
    }

    if (m == 0) {
        return;
    }

    worker_pg_trace(jobs[0]->slot->pg, &jobs[0]->trace);
    handler(jobs, told, m);
    worker_pg_trace(jobs[0]->slot->pg, NULL);

    for (i = 0; i < m; i++) {
        verdicts[which[i]] = run_checked(jobs[i], told[i]);
    }
}


uint64_t
worker_run_batch(worker_slot_t *slot, worker_entry_t *const *entries, size_t n)
{
    size_t             i;
    uint64_t           begin, each;
    worker_verdict_e   verdicts[WORKER_RUN_BATCH_MAX];

    for (i = 0; i < n; i++) {
        entries[i]->job.slot = slot;
    }

    slot->job = &entries[0]->job;
    begin = run_clock_ns();
    run_batch_handler(entries, n, verdicts);

    for (i = 0; i < n; i++) {
        run_conclude(entries[i], verdicts[i]);
    }

    each = (run_clock_ns() - begin) / n;

    for (i = 0; i < n; i++) {
        entries[i]->slot_ns += each;

        if (verdicts[i] != WORKER_AWAIT) {
            run_end(entries[i]);
        }

        entries[i]->job.slot = NULL;
    }

    slot->job = NULL;
    return each;
}
