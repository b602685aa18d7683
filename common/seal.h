/*
 * Sealed members of commands (contracts section 1): a value that only workers
 * can read, from the edge through Redis and dead letters to the job that runs.
 *
 *     v1.<key>.<box>       both base64url
 *     key    the first 8 bytes of SHA-256 of the workers' public key
 *     box    an X25519 key made for this value (32), AES-256-GCM of the value's
 *            JSON text, its tag (16)
 *
 * The key of AES is HKDF-SHA-256 (RFC 5869) of what X25519 (RFC 7748) yields,
 * with both public keys as salt; it serves once, so the nonce is zero.  A
 * value is bound to its place: type of command, caller, member.
 */

#ifndef TRAVEL_SEAL_H
#define TRAVEL_SEAL_H

#include "base64url.h"
#include "hash.h"

#define TRAVEL_SEAL_KEY_LEN   32
#define TRAVEL_SEAL_TAG_LEN   16
#define TRAVEL_SEAL_NAME_LEN  8
#define TRAVEL_SEAL_KEYS_MAX  8          /* of a file of private keys */

/* Characters that a value of n bytes takes, exactly. */
#define TRAVEL_SEALED_LEN(n)                                                  \
    (4 + TRAVEL_BASE64URL_LEN(TRAVEL_SEAL_NAME_LEN)                           \
     + TRAVEL_BASE64URL_LEN((n) + TRAVEL_SEAL_KEY_LEN + TRAVEL_SEAL_TAG_LEN))

typedef struct {
    uint8_t  name[TRAVEL_SEAL_NAME_LEN];
    uint8_t  key[TRAVEL_SEAL_KEY_LEN];
} travel_seal_public_t;

typedef struct travel_seal_keys_s  travel_seal_keys_t;

/* Where a value belongs: what it is bound to. */
typedef struct {
    travel_str_t  type;
    travel_str_t  sub;
    travel_str_t  member;
} travel_seal_place_t;

/* The first public X25519 key of a PEM text.  TRAVEL_OK, TRAVEL_INVALID. */
int travel_seal_public(travel_seal_public_t *ret_key, travel_str_t pem)
    TRAVEL_MUST_CHECK;
/* All private X25519 keys of a PEM text: those of before a change stay behind
 * the new one.  TRAVEL_OK; TRAVEL_INVALID: none, another kind, or too many;
 * TRAVEL_ERROR: memory. */
int travel_seal_private(travel_seal_keys_t **ret_keys, travel_str_t pem)
    TRAVEL_MUST_CHECK;
void travel_seal_free(travel_seal_keys_t *keys);

/* The public half of the first, for who seals what is for himself; borrowed. */
const travel_seal_public_t *travel_seal_newest(const travel_seal_keys_t *keys);

/* Writes TRAVEL_SEALED_LEN(value.len) characters, no NUL.  TRAVEL_OK or
 * TRAVEL_ERROR. */
int travel_seal(char *dst, const travel_seal_public_t *key,
    const travel_seal_place_t *place, travel_str_t value) TRAVEL_MUST_CHECK;

/* 'dst' holds sealed.len bytes.  TRAVEL_OK; TRAVEL_INVALID: not a sealed value,
 * or not of this place, or tampered with; TRAVEL_UNKNOWN: none of the keys is
 * its; TRAVEL_ERROR. */
int travel_unseal(char *dst, size_t *ret_len, const travel_seal_keys_t *keys,
    const travel_seal_place_t *place, travel_str_t sealed) TRAVEL_MUST_CHECK;

#endif
