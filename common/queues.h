/*
 * The queues, their priorities and the names of their Redis keys
 * (contracts sections 2 and 3).  Nobody else spells a key.
 */

#ifndef TRAVEL_QUEUES_H
#define TRAVEL_QUEUES_H

#include "ids.h"

#define TRAVEL_PARTITIONS_DEFAULT  4
#define TRAVEL_KEY_MAX             192   /* any key below, with its NUL */

#define TRAVEL_KEY_LAYOUT      "travel:layout"   /* hash: queue → layout.h */
#define TRAVEL_KEY_INVAL       "travel:inval"    /* stream, section 4 */
#define TRAVEL_KEY_REVOKE      "travel:revoke"   /* stream, section 4 */
#define TRAVEL_KEY_REVOKED     "travel:revoke:set"  /* sorted set, beside it */
#define TRAVEL_GROUP           "workers"         /* the pool, in traces */

typedef enum {
    TRAVEL_PRIORITY_HIGH,
    TRAVEL_PRIORITY_NORMAL,
    TRAVEL_PRIORITY_LOW,
    TRAVEL_PRIORITY_MAX
} travel_priority_e;

/* "journey", "booking", ...; NULL past the end.  'internal' queues are those
 * the edge's Redis login cannot write. */
const char *travel_queue_name(size_t i);
bool travel_queue_exists(travel_str_t name);
bool travel_queue_internal(travel_str_t name);
/* travel_job_id_parse() of an id whose queue exists: a job can have it. */
int travel_job_id_possible(travel_job_id_t *ret_id, travel_str_t text)
    TRAVEL_MUST_CHECK;

const char *travel_priority_name(travel_priority_e p);
int travel_priority_parse(travel_priority_e *ret_p, travel_str_t name)
    TRAVEL_MUST_CHECK;

/* Each writes a NUL-terminated key into dst[TRAVEL_KEY_MAX], returns length.
 *   stream   travel:{booking.3}:high
 *   named    travel:{booking.3}:<name>      (delayed, dead, owner)
 *   job      travel:{booking.3}:job:<uuid>
 *   idem     travel:{booking.3}:idem:<64 hex of sha256>           */
size_t travel_key_stream(char *dst, travel_str_t queue, unsigned partition,
    travel_priority_e priority);
size_t travel_key_named(char *dst, travel_str_t queue, unsigned partition,
    const char *name);
size_t travel_key_job(char *dst, const travel_job_id_t *id);
size_t travel_key_idem(char *dst, travel_str_t queue, unsigned partition,
    const uint8_t scope[32]);

/* Job status words: queued running retrying succeeded failed dead cancelled. */
typedef enum {
    TRAVEL_JOB_QUEUED,
    TRAVEL_JOB_RUNNING,
    TRAVEL_JOB_RETRYING,
    TRAVEL_JOB_SUCCEEDED,
    TRAVEL_JOB_FAILED,
    TRAVEL_JOB_DEAD,
    TRAVEL_JOB_CANCELLED,
    TRAVEL_JOB_STATUS_MAX
} travel_job_status_e;

const char *travel_job_status_name(travel_job_status_e s);
int travel_job_status_parse(travel_job_status_e *ret_s, travel_str_t name)
    TRAVEL_MUST_CHECK;
bool travel_job_status_final(travel_job_status_e s);

#endif
