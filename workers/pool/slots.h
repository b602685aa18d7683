/*
 * The slots of one process: threads that take entries from a hand-over queue,
 * run them and hand them back.
 *
 * A job that waits for the outside without a slot (jobs/ask.h) stays theirs:
 * when the answer is there, the I/O thread puts it into the queue again.
 *
 * worker_slots_* are called by the fetcher thread, except where it says.
 */

#ifndef WORKER_SLOTS_H
#define WORKER_SLOTS_H

#include "board.h"
#include "slot.h"

typedef struct worker_slots_s  worker_slots_t;

typedef struct {
    const worker_conf_t     *conf;
    worker_sheet_t          *sheet;
    struct worker_queue_s   *queue;
    struct worker_io_s      *io;
    const char              *name;      /* of the process, for sessions */
    int                      ring_fd;   /* eventfd: entries came back */
} worker_slots_spec_t;

typedef struct {
    unsigned  slots;
    unsigned  idle;
    size_t    waiting[TRAVEL_PRIORITY_MAX];     /* handed over, not taken
                                                   yet: this priority or
                                                   higher */
    double    waiting_ms;               /* their expected run time */
    unsigned  asking;                   /* jobs that wait without a slot */
} worker_slots_load_t;

/* As many as the sheet says; never more than the config allows. */
worker_slots_t *worker_slots_start(const worker_slots_spec_t *spec);

/* From now on so many: more begin at once, of those that are too many each
 * leaves when its job is over.  To be called now and then: it buries them. */
void worker_slots_resize(worker_slots_t *slots, unsigned n);

/* Hands all of 'list' over and empties it; wakes as many slots as the
 * expected time of the work is worth. */
void worker_slots_push(worker_slots_t *slots, worker_entries_t *list);

/* Appends what came back. */
void worker_slots_collect(worker_slots_t *slots, worker_entries_t *list);

worker_slots_load_t worker_slots_load(worker_slots_t *slots);

/* Work waits although slots sleep (a short job turned out long): wake them. */
void worker_slots_nudge(worker_slots_t *slots);

/* All slots are idle and will take no more: joins the threads, closes their
 * sessions.  With a stuck slot do not call it: leave the process. */
void worker_slots_stop(worker_slots_t **pslots);

/* The slot of the calling thread, or -1: for the crash handler. */
int worker_slot_current(void);

#endif
