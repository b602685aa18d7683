/*
 * Digests: SHA-256 and HMAC-SHA-256 (OpenSSL's, no allocation, no algorithm
 * fetch) and a fast keyed hash for tables that outsiders fill.
 */

#ifndef TRAVEL_HASH_H
#define TRAVEL_HASH_H

#include "travel.h"

#define TRAVEL_SHA256_LEN  32

/* Parts are framed by their length (8 bytes, big-endian, before each), so that
 * ("ab","c") and ("a","bc") differ. */
int travel_sha256(uint8_t ret_md[TRAVEL_SHA256_LEN], travel_str_t data)
    TRAVEL_MUST_CHECK;
int travel_sha256_parts(uint8_t ret_md[TRAVEL_SHA256_LEN],
    const travel_str_t *parts, size_t n) TRAVEL_MUST_CHECK;
int travel_hmac_sha256(uint8_t ret_md[TRAVEL_SHA256_LEN], travel_str_t key,
    travel_str_t data) TRAVEL_MUST_CHECK;

/* 'dst' holds 2 * n characters; lower case, no NUL. */
void travel_hex_encode(char *dst, const uint8_t *src, size_t n);
/* TRAVEL_OK or TRAVEL_INVALID (odd length, upper case or alien character). */
int travel_hex_decode(uint8_t *dst, travel_str_t hex) TRAVEL_MUST_CHECK;

/* SipHash-1-3 under a key; never decides identity alone, the full key is
 * always compared after it. */
typedef struct {
    uint64_t  k0;
    uint64_t  k1;
} travel_siphash_key_t;

uint64_t travel_siphash(const travel_siphash_key_t *key, const void *data,
    size_t n);

/* Constant-time comparison of secrets. */
bool travel_secret_eq(travel_str_t a, travel_str_t b);

/* Cryptographic random bytes. */
int travel_random(void *dst, size_t n) TRAVEL_MUST_CHECK;

#endif
