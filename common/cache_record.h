/*
 * A cached answer as bytes that another node can take over (contracts section
 * 4): what it answers, where the stream stood when its fill began, how long it
 * lives.
 *
 * Layout, version 1, integers big-endian:
 *
 *     "TRC1"  u32 length of all
 *     u64 pos.ms  u64 pos.seq  u32 timeline
 *     u64 purge.ms  u64 purge.seq
 *     u64 filled (unix ms)  u64 ttl (ms)  u64 stale (ms)
 *     u32 lengths of key, tags, etag, body, packed; then these five
 *     32 bytes: HMAC-SHA-256 of all before under the nodes' common secret
 *
 * Bytes from a shared store are never believed: a record that is cut, too
 * long, of another version, or signed by another secret is TRAVEL_INVALID.
 */

#ifndef TRAVEL_CACHE_RECORD_H
#define TRAVEL_CACHE_RECORD_H

#include "travel.h"
#include "consistency.h"

#define TRAVEL_CACHE_RECORD_MAX   (1024 * 1024)   /* bytes of a record */
#define TRAVEL_CACHE_RECORD_TIME  (60ULL * 24 * 3600 * 1000)  /* ttl, stale */

typedef struct {
    travel_stream_id_t  pos;        /* of the invalidation stream */
    uint32_t            timeline;   /* of PostgreSQL, then */
    travel_stream_id_t  purge;      /* position in the stream of purges */
    uint64_t            filled;     /* unix ms, by the clock of who filled */
    uint64_t            ttl;        /* ms from 'filled' */
    uint64_t            stale;      /* ms beyond that */
    travel_str_t        key;        /* in full: it is compared */
    travel_str_t        tags;       /* in words, separated by spaces */
    travel_str_t        etag;
    travel_str_t        body;
    travel_str_t        packed;     /* the body gzipped, or empty */
} travel_cache_record_t;

/* Bytes that encoding takes; 0 when that is more than there may be. */
size_t travel_cache_record_size(const travel_cache_record_t *record);

/* 'dst' holds travel_cache_record_size() bytes. */
int travel_cache_record_encode(char *dst, const travel_cache_record_t *record,
    travel_str_t secret) TRAVEL_MUST_CHECK;

/* The strings of *ret_record are views into 'bytes'. */
int travel_cache_record_decode(travel_cache_record_t *ret_record,
    travel_str_t bytes, travel_str_t secret) TRAVEL_MUST_CHECK;

#endif
