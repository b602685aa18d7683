/*
 * The message of a command on its stream: flat fields (contracts section 3)
 *
 *     id type v sub email key tp ts deadline reply quota sealed once claim flow
 *     body
 *
 *   id        job id text             type      "booking.create"
 *   v         "1"                     sub       internal user id (UUID text),
 *                                               or TRAVEL_ENVELOPE_ANYBODY
 *   email     only if the token has it
 *   key       ordering key: the aggregate's id
 *   tp        traceparent of the enqueue span; empty when not sampled
 *   ts        enqueue time, unix ms   deadline  unix ms, 0 = none
 *   reply     pub/sub channel of a waiter, empty when nobody waits
 *   quota     what its cost is to be charged to (quota_claim.h), empty: nothing
 *   sealed    members of the body that are sealed (seal.h), with spaces between
 *   once      "1": its result is for the waiter alone and stored nowhere
 *   claim     the body is in the database not here (jobs.claim), empty: here
 *   flow      uuid of the flow whose node it is (store/flow.h), empty: none
 *   body      JSON exactly as it was validated, but for what is sealed
 *
 * Everything is a view: writing takes pointers, reading yields pointers into
 * the reply it was given.
 */

#ifndef TRAVEL_ENVELOPE_H
#define TRAVEL_ENVELOPE_H

#include "travel.h"

#define TRAVEL_ENVELOPE_VERSION  "1"
#define TRAVEL_ENVELOPE_FIELDS   16

/* The caller of a command that needs none: the nil UUID (RFC 9562, 5.9). */
#define TRAVEL_ENVELOPE_ANYBODY  "00000000-0000-0000-0000-000000000000"

typedef struct {
    travel_str_t  id;
    travel_str_t  type;
    travel_str_t  sub;
    travel_str_t  email;
    travel_str_t  key;
    travel_str_t  tp;
    travel_str_t  reply;
    travel_str_t  quota;
    travel_str_t  sealed;
    travel_str_t  claim;
    travel_str_t  flow;
    travel_str_t  body;
    uint64_t      ts;
    uint64_t      deadline;
    bool          once;
} travel_envelope_t;

/* Room for the two numbers while the argument vector is in use. */
typedef struct {
    char  ts[24];
    char  deadline[24];
} travel_envelope_scratch_t;

/* Appends name, value pairs to argv/argvlen from index n; absent (empty)
 * optional fields are left out.  Room for 2 * TRAVEL_ENVELOPE_FIELDS needed.
 * Returns the new count. */
size_t travel_envelope_args(const travel_envelope_t *env,
    travel_envelope_scratch_t *scratch, const char **argv, size_t *argvlen,
    size_t n);

/* Reads n alternating names and values.  Unknown names are skipped, so a
 * newer edge may add some.  TRAVEL_OK, or TRAVEL_INVALID with *ret_why set to
 * a static text: missing id, type, sub, key or body, unknown version, odd
 * count, a number that is not one. */
int travel_envelope_read(travel_envelope_t *ret_env, const travel_str_t *fields,
    size_t n, const char **ret_why) TRAVEL_MUST_CHECK;

#endif
