/* The job that does nothing: the pool's own cost, measured and tested. */

#include <stdlib.h>
#include <time.h>

#include "families.h"
#include "../queue/queue.h"


/* Body members, all optional: sleep_ms; hang_ms (sleeps on when told to stop);
 * fail_until (retry below this attempt), not before retry_ms have passed;
 * fail_before (retry before this moment, unix ms); reject (a code); crash (abort
 * on this attempt).  They let tests and drills put a pool into any state without a
 * partner. */
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

    return WORKER_DONE;
}


static worker_verdict_e
noop_run(worker_job_t *job)
{
    return json_object_size(job->body) > 0 ? noop_drill(job) : WORKER_DONE;
}


const worker_job_type_t  worker_jobs_noop[] = {
    { "maintenance.noop", "maintenance", TRAVEL_PRIORITY_NORMAL, noop_run,
      NULL, 3, 100, 5000, 60000, false },
    { NULL, NULL, TRAVEL_PRIORITY_NORMAL, NULL, NULL, 0, 0, 0, 0, false }
};
