/* The steps by which a pool grows and shrinks; contract in the header. */

#include <stdbool.h>

#include "scale.h"


static unsigned
scale_within(unsigned n, unsigned min, unsigned max)
{
    return n < min ? min : n > max ? max : n;
}


static void
scale_window(worker_scale_t *scale, unsigned busy, int64_t now)
{
    scale->since = now;
    scale->peak = busy;
}


void
worker_scale_begin(worker_scale_t *scale, const worker_scale_conf_t *conf,
    int64_t now)
{
    worker_size_t  *size;

    size = &scale->size;
    size->processes = scale_within(size->processes, conf->min.processes,
                                   conf->max.processes);
    size->slots = scale_within(size->slots, conf->min.slots, conf->max.slots);
    scale->grown_at = now;
    scale_window(scale, 0, now);
}


static worker_size_t
scale_larger(worker_size_t size, const worker_scale_conf_t *conf)
{
    if (size.slots < conf->max.slots) {
        size.slots = scale_within(2 * size.slots, 1, conf->max.slots);
    } else {
        size.processes = scale_within(size.processes
                                      + (size.processes + 1) / 2,
                                      1, conf->max.processes);
    }

    return size;
}


static worker_size_t
scale_smaller(worker_size_t size, const worker_scale_conf_t *conf)
{
    if (size.processes > conf->min.processes) {
        size.processes--;
    } else {
        size.slots = scale_within(size.slots / 2, conf->min.slots,
                                  conf->max.slots);
    }

    return size;
}


static bool
scale_same(worker_size_t a, worker_size_t b)
{
    return a.processes == b.processes && a.slots == b.slots;
}


worker_scale_e
worker_scale_turn(worker_scale_t *scale, const worker_scale_conf_t *conf,
    int64_t waited_ms, unsigned busy, int64_t now)
{
    worker_size_t  next;

    scale->peak = busy > scale->peak ? busy : scale->peak;

    if (waited_ms >= conf->age_ms && now - scale->grown_at >= conf->every_ms) {
        next = scale_larger(scale->size, conf);
        scale_window(scale, busy, now);

        if (scale_same(next, scale->size)) {
            return WORKER_SCALE_STAY;
        }

        scale->size = next;
        scale->grown_at = now;
        return WORKER_SCALE_UP;
    }

    if (waited_ms >= conf->age_ms / 2) {
        scale_window(scale, busy, now);
        return WORKER_SCALE_STAY;
    }

    if (now - scale->since < conf->idle_ms) {
        return WORKER_SCALE_STAY;
    }

    next = scale_smaller(scale->size, conf);

    if (scale_same(next, scale->size)
        || 4 * scale->peak > 3 * next.processes * next.slots)
    {
        scale_window(scale, busy, now);
        return WORKER_SCALE_STAY;
    }

    scale->size = next;
    scale_window(scale, busy, now);
    return WORKER_SCALE_DOWN;
}
