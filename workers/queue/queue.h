/*
 * The queue client of one worker process: leases, streams, settling.
 *
 * Threads: one fetcher thread owns the Redis connections and all per-key
 * queues; slots reach it only through the three functions marked
 * "any thread", which append to a locked list and ring an eventfd.
 *
 * Order of what the fetcher sends for a finished job: the invalidations of
 * its commits first (their ids are needed), then the settle script.
 */

#ifndef WORKER_QUEUE_H
#define WORKER_QUEUE_H

#include "redis.h"
#include "../jobs/job.h"

typedef struct worker_queue_s  worker_queue_t;

/* Any thread.  A commit happened: append {tags, timeline, lsn, sub} to the
 * invalidation stream.  Queued before a later worker_queue_finish of the same
 * slot.  tags: space-separated. */
void worker_queue_invalidate(worker_queue_t *queue, const worker_job_t *job,
    const char *tags, travel_lsn_t commit);

/* Any thread.  Progress in per cent, for the job's hash; best effort. */
void worker_queue_progress(worker_queue_t *queue, const worker_job_t *job,
    unsigned percent);

/* Any thread.  Rings the outbox relay: rows of this partition wait. */
void worker_queue_outbox(worker_queue_t *queue, const worker_job_t *job);

/* Enqueues a follow-up job exactly once for its id, by script: blocking, on
 * the caller's own connection; used by the relay and by travelctl.
 * TRAVEL_REFUSED, so below: the partition is closed (place.h). */
int worker_enqueue(worker_redis_t *redis, const travel_envelope_t *env,
    travel_priority_e priority, int64_t not_before_ms) TRAVEL_MUST_CHECK;

/* Once in 'window_ms' for all jobs of a type that share a key and a partition:
 * the first wins, the others are none.  'quiet_ms' not 0: the last wins, when
 * so long there was no other, and 'window_ms' after the first at the latest. */
typedef struct {
    const char  *key;
    int64_t      window_ms;
    int64_t      quiet_ms;
} worker_unique_t;

/* Before many: Redis keeps the script, so that its text is not sent with each.
 * Nothing may be outstanding. */
void worker_enqueue_begin(worker_redis_t *redis);

/* The same without waiting, for many on one connection: the request is
 * appended (TRAVEL_INVALID: it was not), and its answer read in its turn.
 * 'unique' NULL: as worker_enqueue. */
int worker_enqueue_append(worker_redis_t *redis,
    const travel_envelope_t *env, travel_priority_e priority,
    int64_t not_before_ms, const worker_unique_t *unique) TRAVEL_MUST_CHECK;
int worker_enqueue_answer(worker_redis_t *redis) TRAVEL_MUST_CHECK;

/* A dead job once more, under its own id and as if it had never run; exactly
 * once for a token, and not while it is anything but dead or forgotten. */
int worker_requeue(worker_redis_t *redis, const travel_envelope_t *env,
    travel_priority_e priority, int64_t not_before_ms, const char *token)
    TRAVEL_MUST_CHECK;

#endif
