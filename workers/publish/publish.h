/*
 * Domain events, from the event store to the streams that others follow:
 *
 *     travel:topic:<topic>:<partition>
 *
 * on the queue Redis.  An entry has "id" (the event's position: tells a
 * repeat), "type" and "event", a JSON object.  One aggregate's events are in
 * one partition, in the order of their versions.  At least once; kept for the
 * topic's retention, or about WORKER_TOPIC_MAX entries of a partition, and as
 * long as a group of consumers has not acknowledged them.
 *
 * Called by the thread that leads the schedules (schedule/schedule.h): there
 * is one publisher.
 */

#ifndef WORKER_PUBLISH_H
#define WORKER_PUBLISH_H

#include "tail.h"
#include "../queue/redis.h"

#define WORKER_TOPIC_PREFIX  "travel:topic:"
#define WORKER_TOPIC_MAX     100000
#define WORKER_TOPICS_NAME   "topics"     /* the publisher's */

/* 'tail' starts zeroed.  Publishes a batch and moves the checkpoint.  Events
 * published; 0: none waits; TRAVEL_ERROR: later again, from the checkpoint of
 * the database. */
int worker_publish(worker_tail_t *tail, worker_pg_t *pg,
    worker_redis_t *redis) TRAVEL_MUST_CHECK;

/* trim.c: takes what is not to be kept any more, of all topics.  Wants to be
 * called now and then.  False: Redis is gone. */
bool worker_topics_trim(worker_tail_t *tail, worker_pg_t *pg,
    worker_redis_t *redis) TRAVEL_MUST_CHECK;

#endif
