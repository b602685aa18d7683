/*
 * What is in the queues, for operators: looked through, called off, made due.
 *
 * Blocking, on the caller's own connection.  It reads pages that cost Redis a
 * millisecond or so each, and what it says may be over by the time it is read.
 */

#ifndef WORKER_BROWSE_H
#define WORKER_BROWSE_H

#include <jansson.h>

#include "redis.h"
#include "../../common/ids.h"

#define WORKER_BROWSE_SCAN  200000  /* entries that are looked at, at most */

/* Which jobs; what is NULL or 0 does not matter. */
typedef struct {
    const char  *state;         /* queued, scheduled, running or retrying */
    const char  *queue;
    const char  *type;
    const char  *sub;
    const char  *job;           /* its id: this one alone */
    long         older_s;       /* in its state for so long */
    size_t       limit;         /* at most so many are found; 0: any */
    bool         bodies;        /* what they were given, too */
} worker_browse_t;

/* False: there is no such state. */
bool worker_browse_state(const char *text);

/*
 * Appends to 'list' an object for each: id, type, state, sub, key, attempts,
 * created_at, updated_at, due_at (scheduled, retrying), error, trace_id,
 * called_off, where (stream or delayed set), with 'bodies' body, deadline; what
 * is sealed in a body is "(sealed)".
 * TRAVEL_OK; TRAVEL_REFUSED: there are more than were looked at or asked for;
 * TRAVEL_ERROR: Redis does not answer (worker_redis_error).
 */
int worker_browse(worker_redis_t *redis, const worker_browse_t *what,
    json_t *list) TRAVEL_MUST_CHECK;

/* "cancelled", "told" (it runs, or waits for a retry), the status of one that
 * is over, "" no such job; owned by the caller.  NULL: Redis does not say. */
char *worker_browse_cancel(worker_redis_t *redis, const travel_job_id_t *id);

/* TRAVEL_OK: it is due; TRAVEL_REFUSED: it does not wait for its time or a
 * retry; TRAVEL_ERROR. */
int worker_browse_now(worker_redis_t *redis, const travel_job_id_t *id)
    TRAVEL_MUST_CHECK;

#endif
