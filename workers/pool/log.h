/*
 * The log: one JSON object a line on standard error, written by one write(2),
 * so that lines of many processes and threads never mix.
 *
 *     {"ts":"2026-03-01T19:00:00.000Z","level":"info","process":"w0",
 *      "msg":"...","queue":"booking.3","job":"booking.3.<uuid>",
 *      "type":"booking.create","trace_id":"...","duration_ms":12.3,"attempt":1}
 */

#ifndef WORKER_LOG_H
#define WORKER_LOG_H

#include "../../common/travel.h"

typedef enum {
    WORKER_LOG_ERROR,
    WORKER_LOG_WARN,
    WORKER_LOG_INFO,
    WORKER_LOG_DEBUG
} worker_log_level_e;

struct worker_job_s;

/* The level of a word of the config, or -1. */
int worker_log_level(const char *word);

/* Before the first thread; 'process' is copied. */
void worker_log_init(int level, const char *process);

bool worker_log_on(int level);

/* Any thread. */
void worker_log(int level, const char *fmt, ...) TRAVEL_PRINTF(2, 3);

/* Any thread.  duration_ms < 0: not said. */
void worker_log_job(int level, const struct worker_job_s *job,
    double duration_ms, const char *fmt, ...) TRAVEL_PRINTF(4, 5);

#endif
