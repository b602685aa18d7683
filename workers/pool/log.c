/* JSON log lines: built on the stack, written at once. */

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "../jobs/job.h"
#include "../../common/hash.h"
#include "../../common/json_writer.h"
#include "../../common/timestamp.h"

#define LOG_LINE_MAX  4096          /* PIPE_BUF: a line stays whole in a pipe */
#define LOG_MSG_MAX   1024

static const char *const  log_words[] = { "error", "warn", "info", "debug" };

static int   log_limit = WORKER_LOG_INFO;    /* set before the first thread */
static char  log_process[32] = "-";          /* so is this */


int
worker_log_level(const char *word)
{
    int  i;

    for (i = 0; i <= WORKER_LOG_DEBUG; i++) {
        if (strcmp(log_words[i], word) == 0) {
            return i;
        }
    }

    return -1;
}


void
worker_log_init(int level, const char *process)
{
    log_limit = level;
    snprintf(log_process, sizeof(log_process), "%s", process);
}


bool
worker_log_on(int level)
{
    return level <= log_limit;
}


static void
log_head(travel_json_writer_t *w, int level)
{
    char             ts[TRAVEL_TIMESTAMP_LEN];
    struct timespec  now;

    clock_gettime(CLOCK_REALTIME, &now);
    travel_timestamp_format(ts, (uint64_t) now.tv_sec * 1000
                                + (uint64_t) now.tv_nsec / 1000000);

    travel_json_object(w);
    travel_json_member_string(w, "ts", (travel_str_t) { ts, sizeof(ts) });
    travel_json_member_cstring(w, "level", log_words[level]);
    travel_json_member_cstring(w, "process", log_process);
}


static void
log_tail(travel_json_writer_t *w, char *line)
{
    size_t  n;

    travel_json_object_end(w);
    n = travel_json_writer_finish(w);

    if (n == 0) {
        return;
    }

    line[n++] = '\n';

    if (write(STDERR_FILENO, line, n) < 0) {
        return;                     /* there is nowhere to say so */
    }
}


void
worker_log(int level, const char *fmt, ...)
{
    char                  msg[LOG_MSG_MAX], line[LOG_LINE_MAX];
    va_list               ap;
    travel_json_writer_t  w;

    if (!worker_log_on(level)) {
        return;
    }

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);

    travel_json_writer_init(&w, line, sizeof(line) - 1);
    log_head(&w, level);
    travel_json_member_cstring(&w, "msg", msg);
    log_tail(&w, line);
}


static void
log_job(travel_json_writer_t *w, const worker_job_t *job, double duration_ms)
{
    char                  trace[32];
    travel_str_t          queue;
    static const uint8_t  none[16];

    if (job->job_id[0]) {
        queue.data = job->job_id;
        queue.len = strlen(job->job_id) - TRAVEL_UUID_TEXT_LEN - 1;
        travel_json_member_string(w, "queue", queue);
        travel_json_member_cstring(w, "job", job->job_id);
    }

    travel_json_member_string(w, "type", job->env.type);
    travel_json_member_cstring(w, "key", job->key);

    if (memcmp(job->trace.trace_id, none, sizeof(none)) != 0) {
        travel_hex_encode(trace, job->trace.trace_id, 16);
        travel_json_member_string(w, "trace_id", (travel_str_t) { trace, 32 });
    }

    if (job->attempt) {
        travel_json_member_int(w, "attempt", job->attempt);
    }

    if (duration_ms >= 0) {
        travel_json_key(w, TRAVEL_STR("duration_ms"));
        travel_json_fixed(w, (int64_t) (duration_ms * 1000), 3);
    }

    if (job->error.code[0]) {
        travel_json_member_cstring(w, "code", job->error.code);
        travel_json_member_cstring(w, "reason", job->error.message);
    }
}


void
worker_log_job(int level, const worker_job_t *job, double duration_ms,
    const char *fmt, ...)
{
    char                  msg[LOG_MSG_MAX], line[LOG_LINE_MAX];
    va_list               ap;
    travel_json_writer_t  w;

    if (!worker_log_on(level)) {
        return;
    }

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);

    travel_json_writer_init(&w, line, sizeof(line) - 1);
    log_head(&w, level);
    travel_json_member_cstring(&w, "msg", msg);
    log_job(&w, job, duration_ms);
    log_tail(&w, line);
}
