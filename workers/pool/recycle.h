/*
 * When a worker process has done enough: by the jobs it has run and by its
 * memory.  The supervisor asks, and replaces it as it does for a new config:
 * one at a time, drained first.
 */

#ifndef WORKER_RECYCLE_H
#define WORKER_RECYCLE_H

#include <sys/types.h>

#include "conf.h"

/* The bounds of one incarnation; 0: none. */
typedef struct {
    uint64_t  jobs;
    uint64_t  memory;           /* bytes that are resident */
} worker_recycle_t;

typedef enum {
    WORKER_RECYCLE_NOT,
    WORKER_RECYCLE_JOBS,
    WORKER_RECYCLE_MEMORY,
    WORKER_RECYCLE_MAX
} worker_recycle_e;

/* The configured bounds less a random part of them, so that processes which
 * were started together are not due together. */
void worker_recycle_begin(worker_recycle_t *recycle,
    const worker_conf_t *conf);

/* 'jobs': run since it was started. */
worker_recycle_e worker_recycle_due(const worker_recycle_t *recycle,
    pid_t pid, uint64_t jobs);

/* "jobs", "memory" */
const char *worker_recycle_name(worker_recycle_e why);

#endif
