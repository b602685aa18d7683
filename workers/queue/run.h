/* The fetcher's life: made and run by pool/process.c on its main thread. */

#ifndef WORKER_QUEUE_RUN_H
#define WORKER_QUEUE_RUN_H

#include "queue.h"
#include "../pool/board.h"

struct worker_http_s;

typedef struct {
    const worker_conf_t   *conf;
    worker_sheet_t        *sheet;
    const char            *owner;       /* outlives the queue, so does seat */
    const char            *seat;
    struct worker_http_s  *http;
    int                    signal_fd;   /* signalfd: SIGTERM drains */
} worker_queue_spec_t;

/* Runs until a signal has been answered by draining.  Returns the exit code
 * of the process: 0, or 1 when a slot hung and the process must be left. */
int worker_queue_run(const worker_queue_spec_t *spec);

#endif
