/*
 * Ids that know the way (contracts section 2).
 *
 * Aggregates and commands are UUIDv7 (RFC 9562 section 5.7) whose rand_a
 * field, 12 bits, holds a bucket = hash(caller); partition = bucket mod
 * partitions(queue).  A create, its cancel and its repeat therefore meet in
 * one partition, whoever computes it.  Derived ids are UUIDv8 (section 5.8).
 *
 * Job id = "<queue>.<partition>.<uuid>", and all keys of a job share the Redis
 * hash tag "{<queue>.<partition>}".
 */

#ifndef TRAVEL_IDS_H
#define TRAVEL_IDS_H

#include "travel.h"

#define TRAVEL_UUID_LEN         16
#define TRAVEL_UUID_TEXT_LEN    36
#define TRAVEL_BUCKETS          4096
#define TRAVEL_QUEUE_NAME_MAX   16
#define TRAVEL_PARTITIONS_MAX   256
#define TRAVEL_JOB_ID_MAX       (TRAVEL_QUEUE_NAME_MAX + 1 + 3 + 1 + 36)

typedef struct {
    uint8_t  b[TRAVEL_UUID_LEN];
} travel_uuid_t;

/* The bucket of a caller: first 12 bits of SHA-256 of the user's id text. */
unsigned travel_bucket(travel_str_t user);

/* UUIDv7 at 'unix_ms' in 'bucket'; 'rnd' are 8 random bytes of the caller's
 * making (62 bits are used), so the function itself is pure. */
travel_uuid_t travel_uuid7(uint64_t unix_ms, unsigned bucket,
    const uint8_t rnd[8]);

/* UUIDv8 = first 128 bits of SHA-256 of the framed parts, version and variant
 * written over six of them (RFC 9562 appendix B.2). */
int travel_uuid8(travel_uuid_t *ret_id, const travel_str_t *parts, size_t n)
    TRAVEL_MUST_CHECK;

/* The n-th id after this one, of the same moment and bucket: the random part
 * is a counter (RFC 9562 section 6.2, method 2).  So many ids follow from one;
 * those of two random ones do not meet. */
travel_uuid_t travel_uuid_after(const travel_uuid_t *id, uint32_t n);

unsigned travel_uuid_bucket(const travel_uuid_t *id);
uint64_t travel_uuid_ms(const travel_uuid_t *id);
unsigned travel_uuid_version(const travel_uuid_t *id);

/* Lower case, exactly 36 characters, no NUL. */
void travel_uuid_format(char dst[TRAVEL_UUID_TEXT_LEN],
    const travel_uuid_t *id);
/* Accepts upper and lower case, the 8-4-4-4-12 form only; any version, but
 * the variant must be RFC 9562's.  TRAVEL_OK or TRAVEL_INVALID. */
int travel_uuid_parse(travel_uuid_t *ret_id, travel_str_t text)
    TRAVEL_MUST_CHECK;

typedef struct {
    travel_str_t   queue;         /* points into the parsed text */
    unsigned       partition;
    travel_uuid_t  id;
} travel_job_id_t;

/* 'dst' holds TRAVEL_JOB_ID_MAX + 1; returns the length, NUL-terminated. */
size_t travel_job_id_format(char *dst, const travel_job_id_t *id);

/* The uuid of a job's id, as text; false: it is no id. */
bool travel_job_id_uuid(char dst[TRAVEL_UUID_TEXT_LEN + 1], travel_str_t text);
/* Checks the shape only: queue of [a-z]{1,16}, partition without leading
 * zeros below TRAVEL_PARTITIONS_MAX, uuid.  Whether such a queue exists is the
 * caller's to ask. */
int travel_job_id_parse(travel_job_id_t *ret_id, travel_str_t text)
    TRAVEL_MUST_CHECK;

#endif
