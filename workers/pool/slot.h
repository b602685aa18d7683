/*
 * A slot: one thread that runs one job at a time, with what it needs to do so.
 * The slot's thread alone touches these fields while a job runs; the fetcher
 * touches a slot only through its hand-over queue (pool/slot.c).
 */

#ifndef WORKER_SLOT_H
#define WORKER_SLOT_H

#include "conf.h"
#include "../jobs/job.h"

struct worker_pg_s;          /* store/pg.h: this slot's connection */
struct worker_io_s;          /* out/io.h: the process's I/O thread */
struct worker_queue_s;       /* queue/queue.h: the process's queue client */

typedef struct worker_slot_s {
    const worker_conf_t     *conf;
    unsigned                 number;
    struct worker_pg_s      *pg;
    struct worker_io_s      *io;       /* shared, thread-safe */
    struct worker_queue_s   *queue;    /* shared, thread-safe */
    worker_job_t            *job;      /* running now, or NULL */
} worker_slot_t;

#endif
