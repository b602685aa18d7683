/*
 * Points of journeys, from the stream that nginx appends them to
 * (travel_publish stream=travel:points, cache role) into
 * travel.journey_points, in batches: some statements a second, however many
 * points there are.
 *
 * At least once in Redis, once in PostgreSQL: a point's key is its entry's id.
 * What is in the stream when the cache role is lost is lost with it.
 */

#ifndef WORKER_TRACK_H
#define WORKER_TRACK_H

#include "../pool/conf.h"

typedef struct worker_track_s  worker_track_t;

/* NULL: there is no cache role, or no memory or thread (logged). */
worker_track_t *worker_track_start(const worker_conf_t *conf,
    const char *owner);
/* Ends after the batch under way. */
void worker_track_stop(worker_track_t **ptrack);

#endif
