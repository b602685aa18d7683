/* Where a job of a worker's making goes: its partition by the queue's
 * layout. */

#ifndef WORKER_PLACE_H
#define WORKER_PLACE_H

#include "redis.h"
#include "../../common/layout.h"

/* The queue's layout, the default when there is none.  TRAVEL_OK, or
 * TRAVEL_ERROR: Redis did not say, or says nonsense. */
int worker_layout(worker_redis_t *redis, travel_str_t queue,
    travel_layout_t *ret_layout) TRAVEL_MUST_CHECK;

/* Sets id->partition: where 'bucket' has its place; but a job that was put into
 * its place before the last repartitioning is there.  Likewise. */
int worker_place(worker_redis_t *redis, travel_job_id_t *id, unsigned bucket)
    TRAVEL_MUST_CHECK;

#endif
