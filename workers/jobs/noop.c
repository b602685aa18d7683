/* The job that does nothing: the pool's own cost, measured and tested; under
 * another name a second type, with limits of its own. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ask.h"
#include "families.h"
#include "resource.h"
#include "../pool/slot.h"
#include "../queue/queue.h"
#include "../store/checkpoint.h"


/* Kept in a list until the process ends, so that it is no leak to a checker. */
static void
noop_grow(json_int_t mb)
{
    void                    *more;
    size_t                   size;
    static _Atomic(void *)   kept;

    size = (size_t) mb << 20;
    more = mb > 0 && mb <= 1024 ? malloc(size) : NULL;

    if (more != NULL) {
        memset(more, 1, size);
        *(void **) more = atomic_exchange(&kept, more);
    }
}


static worker_verdict_e
noop_result(worker_job_t *job)
{
    char          *text;
    size_t         len;
    const json_t  *wants;

    wants = json_object_get(job->body, "wants");
    len = json_string_length(json_object_get(job->body, "pad"));

    if (wants != NULL && (size_t) json_integer_value(wants) != len) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "drill: a pad of %zu bytes", len);
    }

    len = (size_t) json_integer_value(json_object_get(job->body, "result_kb"))
          << 10;
    text = len > 0 && len <= 16 << 20 ? malloc(len) : NULL;

    if (text != NULL) {
        memset(text, 'x', len);
        json_decref(job->result);
        job->result = json_pack("{s:s#}", "pad", text, (int) len);
        free(text);
    }

    return WORKER_DONE;
}


/* Body members, all optional: follow ({unique, window_ms}: asks for a job,
 * empty or with this body, that is unique among those of that text; with
 * quiet_ms the last one wins); ask (a partner and a path, "slow/5000": GET it
 * without a slot, and go on with its answer); sleep_ms; hang_ms (sleeps on
 * when told to stop); fail_until (retry below this attempt), not before
 * retry_ms have passed; fail_before (retry before this moment, unix ms);
 * reject (a code); answer (its result); crash (abort on this attempt);
 * snooze_ms (not yet, until snooze_until, unix ms); count_to (n stretches of
 * step_ms, each with a checkpoint); grow_mb (memory that is never given back);
 * result_kb (a result of that size); wants (a text whose length "pad" must
 * have, else the job is refused). They let tests and drills put a pool into
 * any state without a partner of the product. */
static worker_verdict_e
noop_drill(worker_job_t *job)
{
    long              ms;
    bool              hang;
    const char       *code;
    struct timespec   ts;

    ms = (long) json_integer_value(json_object_get(job->body, "sleep_ms"));
    hang = false;

    if (ms == 0) {
        ms = (long) json_integer_value(json_object_get(job->body, "hang_ms"));
        hang = true;
    }

    for ( ; ms > 0 && (hang || !job->cancel); ms -= 10) {
        ts.tv_sec = 0;
        ts.tv_nsec = (ms < 10 ? ms : 10) * 1000000;
        nanosleep(&ts, NULL);
    }

    if (job->called_off) {
        return worker_job_fail(job, WORKER_RETRY, "CANCELLED",
                               "drill: called off");
    }

    noop_grow(json_integer_value(json_object_get(job->body, "grow_mb")));

    if (json_integer_value(json_object_get(job->body, "crash"))
        == (json_int_t) job->attempt)
    {
        abort();
    }

    clock_gettime(CLOCK_REALTIME, &ts);

    if ((json_int_t) job->attempt
        < json_integer_value(json_object_get(job->body, "fail_until"))
        || (json_int_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000
           < json_integer_value(json_object_get(job->body, "fail_before")))
    {
        (void) worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                               "drill: attempt %u fails", job->attempt);
        job->error.retry_after_ms =
            (long) json_integer_value(json_object_get(job->body, "retry_ms"));
        return WORKER_RETRY;
    }

    code = json_string_value(json_object_get(job->body, "reject"));

    if (code != NULL) {
        return worker_job_fail(job, WORKER_REJECT, code, "drill: refused");
    }

    if (job->result == NULL) {
        job->result = json_incref(json_object_get(job->body, "answer"));
    }

    return noop_result(job);
}


static worker_verdict_e
noop_answered(worker_job_t *job, const worker_http_response_t *resp)
{
    if (resp->rc != TRAVEL_OK || resp->status >= 400) {
        return worker_job_fail(job, WORKER_RETRY, "EXTERNAL_SERVICE_ERROR",
                               "drill: status %d %s", resp->status,
                               resp->error);
    }

    json_decref(job->result);
    job->result = json_pack("{s:i, s:s#}", "status", resp->status, "body",
                            resp->body, resp->len);

    return noop_drill(job);
}


static worker_verdict_e
noop_ask(worker_job_t *job, const char *where)
{
    char                     name[48], url[512];
    const char              *path;
    worker_http_request_t    req = { .method = "GET", .url = url,
                                     .trace = &job->trace,
                                     .destination = name };
    const worker_partner_t  *partner;

    path = strchrnul(where, '/');
    snprintf(name, sizeof(name), "%.*s", (int) (path - where), where);
    partner = worker_conf_partner(job->slot->conf, name);

    if (partner == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "EXTERNAL_SERVICE_ERROR",
                               "drill: there is no partner %s", name);
    }

    snprintf(url, sizeof(url), "%s%s", partner->url, path);
    req.timeout_ms = partner->timeout_ms;

    return worker_job_ask(job, &req, noop_answered);
}


/* A transaction of its own that asks for a follow-up job, unique for a time. */
static worker_verdict_e
noop_follow(worker_job_t *job, const json_t *follow)
{
    int           rc;
    json_t       *body;
    int64_t       window, quiet;
    const char   *unique;
    worker_tx_t   tx;
    worker_tx_e   state;

    unique = json_string_value(json_object_get(follow, "unique"));
    window = json_integer_value(json_object_get(follow, "window_ms"));
    quiet = json_integer_value(json_object_get(follow, "quiet_ms"));
    state = worker_tx_begin(&tx, job, "follow");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    body = json_deep_copy(json_object_get(follow, "body"));
    body = body != NULL ? body : json_object();
    unique = unique != NULL ? unique : "";
    rc = quiet > 0
         ? worker_tx_job_debounced(&tx, "maintenance.noop", job->uuid, body,
                                   unique, quiet, window)
         : worker_tx_job_unique(&tx, "maintenance.noop", job->uuid, body,
                                unique, window);

    if (rc != TRAVEL_OK) {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    return worker_tx_commit(&tx, json_pack("{s:s}", "unique", unique));
}


/* In stretches, each of which is done for good. */
static worker_verdict_e
noop_count(worker_job_t *job, json_int_t to)
{
    json_t             *cursor;
    json_int_t          n, from;
    struct timespec     ts;
    worker_verdict_e    verdict;

    cursor = NULL;

    if (worker_checkpoint_get(job, &cursor) != TRAVEL_OK) {
        return WORKER_RETRY;
    }

    from = json_integer_value(cursor);
    json_decref(cursor);
    ts.tv_sec = 0;
    ts.tv_nsec = (long) json_integer_value(json_object_get(job->body,
                                                           "step_ms"))
                 % 1000 * 1000000;

    for (n = from; n < to && !job->cancel; n++) {
        nanosleep(&ts, NULL);
        verdict = worker_checkpoint_put(job, json_integer(n + 1));

        if (verdict != WORKER_DONE) {
            return verdict;
        }
    }

    json_decref(job->result);
    job->result = json_pack("{s:I, s:I}", "from", from, "to", n);
    return WORKER_DONE;
}


/* Not before a moment that the body names; the handler of many a queue asks
 * somebody instead. */
static worker_verdict_e
noop_snooze(worker_job_t *job, json_int_t until)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (json_int_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000 < until
           ? worker_job_snooze(job, (long) json_integer_value(
                                   json_object_get(job->body, "snooze_ms")))
           : noop_drill(job);
}


static worker_verdict_e
noop_run(worker_job_t *job)
{
    const char  *where;
    json_int_t   n;

    if (json_object_size(job->body) == 0) {
        return WORKER_DONE;
    }

    if (json_is_object(json_object_get(job->body, "follow"))) {
        return noop_follow(job, json_object_get(job->body, "follow"));
    }

    n = json_integer_value(json_object_get(job->body, "snooze_until"));

    if (n > 0) {
        return noop_snooze(job, n);
    }

    n = json_integer_value(json_object_get(job->body, "count_to"));

    if (n > 0) {
        return noop_count(job, n);
    }

    where = json_string_value(json_object_get(job->body, "ask"));

    return where != NULL ? noop_ask(job, where) : noop_drill(job);
}


const worker_job_type_t  worker_jobs_noop[] = {
    { "maintenance.noop", "maintenance", TRAVEL_PRIORITY_NORMAL, noop_run,
      NULL, 3, 100, 5000, 60000, false },
    { "maintenance.drill", "maintenance", TRAVEL_PRIORITY_NORMAL, noop_run,
      NULL, 3, 100, 5000, 60000, false },
    { NULL, NULL, TRAVEL_PRIORITY_NORMAL, NULL, NULL, 0, 0, 0, 0, false }
};
