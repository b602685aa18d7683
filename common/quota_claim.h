/*
 * What a job's end is to be charged to: a request was admitted by a limit whose
 * cost (the tokens of a language model) only the job's end will tell, and
 * counted what was reserved.  The claim travels with the command as the field
 * "quota" of its envelope and comes back, with the cost, on the stream
 * TRAVEL_KEY_QUOTA; the node that made it puts the cost in the reserve's place.
 *
 *     XADD travel:quota MAXLEN ~ N * claim TEXT cost N
 *
 * As text: one letter, then base64url of version and figures, big-endian.
 * 'c': the reserve is to be taken back; 'm': it was, or there is none (a
 * further job of one request, a further attempt of one job), and the cost
 * counts besides.
 */

#ifndef TRAVEL_QUOTA_CLAIM_H
#define TRAVEL_QUOTA_CLAIM_H

#include "travel.h"

#define TRAVEL_KEY_QUOTA          "travel:quota"
#define TRAVEL_QUOTA_CLAIM_KEY    64
#define TRAVEL_QUOTA_CLAIM_MARKS  4
#define TRAVEL_QUOTA_CLAIM_MAX    184        /* bytes of the text */

#define TRAVEL_QUOTA_CLAIM_RESERVED  'c'
#define TRAVEL_QUOTA_CLAIM_MORE      'm'

typedef struct {
    uint64_t   node;             /* who counts: others pass it over */
    uint64_t   policy;
    uint64_t   hash;             /* of policy and key, on that node */
    uint64_t   at;               /* that node's ms, of the counting */
    uint64_t   shared_at;        /* Redis' name for it; 0: counted there not */
    uint32_t   born;             /* of the slot */
    uint32_t   cost;             /* what was reserved */
    uint32_t   day;              /* of the caller's zone */
    uint32_t   left;             /* ms of it */
    uint8_t    marks[TRAVEL_QUOTA_CLAIM_MARKS];
    bool       more;
    size_t     key_len;          /* 0 to TRAVEL_QUOTA_CLAIM_KEY */
    uint8_t    key[TRAVEL_QUOTA_CLAIM_KEY];
} travel_quota_claim_t;

/* 'dst' holds TRAVEL_QUOTA_CLAIM_MAX bytes; returns how many it takes. */
size_t travel_quota_claim_format(char *dst, const travel_quota_claim_t *claim);

/* TRAVEL_OK, or TRAVEL_INVALID: not such a text. */
int travel_quota_claim_parse(travel_quota_claim_t *ret_claim,
    travel_str_t text) TRAVEL_MUST_CHECK;

#endif
