/* The fetcher's life: made and run by pool/process.c on its main thread. */

#ifndef WORKER_QUEUE_RUN_H
#define WORKER_QUEUE_RUN_H

#include "queue.h"
#include "../pool/board.h"

struct worker_io_s;

typedef struct {
    const worker_conf_t   *conf;
    worker_sheet_t        *sheet;
    const char            *owner;       /* outlives the queue, so does seat */
    const char            *seat;
    struct worker_io_s    *io;
    int                    signal_fd;   /* signalfd: SIGTERM drains */
} worker_queue_spec_t;

typedef enum {
    WORKER_QUEUE_ENDED,         /* all threads are joined, all memory freed */
    WORKER_QUEUE_LEFT,          /* drained as far as time allowed: slots run on,
                                   so what they use must stay */
    WORKER_QUEUE_HUNG,          /* likewise, because a slot hung */
    WORKER_QUEUE_BROKEN         /* did not start */
} worker_queue_end_e;

/* Runs until a signal has been answered by draining. */
worker_queue_end_e worker_queue_run(const worker_queue_spec_t *spec);

#endif
