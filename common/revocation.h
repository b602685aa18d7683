/*
 * What has been taken back: a token, a user's tokens, a key (contracts
 * section 4).
 *
 * In Redis (queue role) each revocation is one member of the sorted set
 * TRAVEL_KEY_REVOKED, its score the second after which it may be forgotten,
 * and one entry of the stream TRAVEL_KEY_REVOKE: {r: member, exp: score}.
 * The set is written first: whoever sees the entry, or begins behind it, finds
 * it there.  Two steps, because in a Redis Cluster the two keys are in two
 * slots; who is interrupted between them repeats both.
 *
 *     member = kind TAB before TAB issuer TAB id
 *
 * 'issuer' may be empty: whoever issued it.  A user is the internal one
 * (contracts section 1), so there it always is.
 */

#ifndef TRAVEL_REVOCATION_H
#define TRAVEL_REVOCATION_H

#include "travel.h"

#define TRAVEL_REVOCATION_ID_MAX      512    /* bytes; of the issuer as well */
#define TRAVEL_REVOCATION_MEMBER_MAX  1280
#define TRAVEL_REVOCATION_STREAM_MAX  "10000"
#define TRAVEL_REVOCATION_EXPIRED     3600   /* s: kept on, for other clocks */

typedef enum {
    TRAVEL_REVOKE_JTI,             /* one token */
    TRAVEL_REVOKE_USER,            /* tokens of a user issued before 'before' */
    TRAVEL_REVOKE_KID,             /* all that a signing key signed */
    TRAVEL_REVOKE_KEY,             /* an API key, by its id */
    TRAVEL_REVOKE_KINDS
} travel_revoke_e;

typedef struct {
    travel_revoke_e  kind;
    travel_str_t     issuer;
    travel_str_t     id;
    int64_t          before;       /* unix seconds; USER only, else 0 */
} travel_revocation_t;

/* "jti" "user" "kid" "key" */
const char *travel_revoke_name(travel_revoke_e kind);

/* 'dst' holds TRAVEL_REVOCATION_MEMBER_MAX; no NUL.  TRAVEL_OK, or
 * TRAVEL_INVALID: no id, one that is too long, control characters. */
int travel_revocation_format(char *dst, size_t *ret_len,
    const travel_revocation_t *revocation) TRAVEL_MUST_CHECK;

/* Texts point into 'member'.  TRAVEL_OK or TRAVEL_INVALID. */
int travel_revocation_parse(travel_revocation_t *ret_revocation,
    travel_str_t member) TRAVEL_MUST_CHECK;

/* The first step.  KEYS: the set.  ARGV: expiry,
 * now - TRAVEL_REVOCATION_EXPIRED, members ... */
extern const char  travel_revoke_note_script[];
/* The second.  KEYS: the stream.  ARGV: expiry, stream length, members ...;
 * answers the id of the last entry. */
extern const char  travel_revoke_tell_script[];

#endif
