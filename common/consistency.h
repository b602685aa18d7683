/*
 * The consistency token: "what this caller has written" (contracts section 4).
 *
 *     text = base64url( version 1 | timeline u32 | lsn u64 | inval_ms u64 |
 *                       inval_seq u32 | first 12 bytes of HMAC-SHA-256 )
 *
 * A 202's token is "job:" and its job id instead, and is resolved when used.
 * Positions compare by (timeline, lsn); ids of the invalidation stream by
 * (ms, seq).
 */

#ifndef TRAVEL_CONSISTENCY_H
#define TRAVEL_CONSISTENCY_H

#include "travel.h"

#define TRAVEL_CONSISTENCY_MAX  96

typedef struct {
    uint32_t  timeline;
    uint64_t  lsn;
} travel_lsn_t;

typedef struct {
    uint64_t  ms;
    uint64_t  seq;
} travel_stream_id_t;

typedef struct {
    travel_lsn_t        commit;
    travel_stream_id_t  inval;
} travel_consistency_t;

int travel_lsn_cmp(travel_lsn_t a, travel_lsn_t b);
int travel_stream_id_cmp(travel_stream_id_t a, travel_stream_id_t b);

/* "16/B374D848"; dst holds 18; returns length, NUL-terminated. */
size_t travel_lsn_format(char *dst, uint64_t lsn);
int travel_lsn_parse(uint64_t *ret_lsn, travel_str_t text) TRAVEL_MUST_CHECK;

/* "1700000000000-0"; dst holds 42; returns length, NUL-terminated. */
size_t travel_stream_id_format(char *dst, travel_stream_id_t id);
int travel_stream_id_parse(travel_stream_id_t *ret_id, travel_str_t text)
    TRAVEL_MUST_CHECK;

/* dst holds TRAVEL_CONSISTENCY_MAX; *ret_len set, no NUL. */
int travel_consistency_sign(char *dst, size_t *ret_len,
    const travel_consistency_t *token, travel_str_t secret) TRAVEL_MUST_CHECK;

/* TRAVEL_OK, TRAVEL_INVALID (shape), TRAVEL_REFUSED (signature). */
int travel_consistency_verify(travel_consistency_t *ret_token,
    travel_str_t text, travel_str_t secret) TRAVEL_MUST_CHECK;

#endif
