/*
 * How many processes and slots a pool should have, between bounds, by how long
 * jobs wait for a slot and by how many slots are in use.  Arithmetic only: the
 * supervisor brings the figures and acts.
 */

#ifndef WORKER_SCALE_H
#define WORKER_SCALE_H

#include <stdint.h>

typedef struct {
    unsigned  processes;
    unsigned  slots;            /* of each process */
} worker_size_t;

typedef struct {
    worker_size_t  min;
    worker_size_t  max;         /* none below min */
    long           age_ms;      /* a job that waits so long wants a larger
                                   pool */
    long           every_ms;    /* at least, between two steps up */
    long           idle_ms;     /* that long the smaller pool must have been
                                   enough */
} worker_scale_conf_t;

typedef struct {
    worker_size_t  size;
    int64_t        grown_at;    /* monotonic ms, so below */
    int64_t        since;       /* of the window that is watched */
    unsigned       peak;        /* most slots in use in it */
} worker_scale_t;

typedef enum {
    WORKER_SCALE_STAY,
    WORKER_SCALE_UP,
    WORKER_SCALE_DOWN
} worker_scale_e;

/* Keeps the size that there is, within new bounds; a zeroed one gets the
 * least. */
void worker_scale_begin(worker_scale_t *scale, const worker_scale_conf_t *conf,
    int64_t now);

/*
 * 'waited_ms': the longest that a job has waited for nothing but a slot, of
 * late; 'busy': slots in use now.  Changes scale->size by a step at most:
 *   up    twice the slots, and when those are at their bound half as many
 *         processes again;
 *   down  a process less, and when they are at their bound half the slots;
 *         only if for all of idle_ms nobody waited half of age_ms and three
 *         quarters of what is left had been enough.
 */
worker_scale_e worker_scale_turn(worker_scale_t *scale,
    const worker_scale_conf_t *conf, int64_t waited_ms, unsigned busy,
    int64_t now);

#endif
