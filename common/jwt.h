/*
 * JSON Web Tokens: JWS compact serialisation (RFC 7515), algorithms
 * (RFC 7518, RFC 8037), claims (RFC 7519), by the rules of RFC 8725.
 *
 * Three separate questions, because the edge remembers the answer to the
 * second and asks the third on every request (contracts section 1):
 *   travel_jwt_parse    is it a token, what does it say?
 *   travel_jwks_verify  did one of these keys sign it?
 *   travel_jwt_judge    are its claims acceptable here and now?
 */

#ifndef TRAVEL_JWT_H
#define TRAVEL_JWT_H

#include "json.h"
#include "errors.h"

#define TRAVEL_JWT_MAX        8192      /* a longer token is refused unread */
#define TRAVEL_JWT_KID_MAX    256
#define TRAVEL_THUMBPRINT_LEN 32

typedef enum {
    TRAVEL_ALG_RS256, TRAVEL_ALG_RS384, TRAVEL_ALG_RS512,
    TRAVEL_ALG_PS256, TRAVEL_ALG_PS384, TRAVEL_ALG_PS512,
    TRAVEL_ALG_ES256, TRAVEL_ALG_ES384, TRAVEL_ALG_ES512,
    TRAVEL_ALG_EDDSA,
    TRAVEL_ALG_HS256, TRAVEL_ALG_HS384, TRAVEL_ALG_HS512,
    TRAVEL_ALG_MAX
} travel_alg_e;

#define TRAVEL_ALG_BIT(a)     (1u << (a))
#define TRAVEL_ALG_HS_MASK    (TRAVEL_ALG_BIT(TRAVEL_ALG_HS256)               \
                               | TRAVEL_ALG_BIT(TRAVEL_ALG_HS384)             \
                               | TRAVEL_ALG_BIT(TRAVEL_ALG_HS512))
#define TRAVEL_ALG_PUBLIC_MASK                                                \
    ((TRAVEL_ALG_BIT(TRAVEL_ALG_MAX) - 1) & ~TRAVEL_ALG_HS_MASK)

const char *travel_alg_name(travel_alg_e alg);
/* "none", and any name but the thirteen as they are spelt: TRAVEL_INVALID. */
int travel_alg_parse(travel_alg_e *ret_alg, travel_str_t name)
    TRAVEL_MUST_CHECK;

typedef struct travel_jwks_s  travel_jwks_t;

/* What a token says.  Texts point into storage owned by the parser object. */
typedef struct {
    travel_alg_e   alg;
    travel_str_t   kid;             /* empty: none */
    travel_str_t   typ;             /* empty: none */
    travel_str_t   signing_input;   /* header.payload, into the token */
    travel_str_t   iss;
    travel_str_t   sub;
    travel_str_t   user_id;         /* string or integer as text */
    travel_str_t   email;
    travel_str_t   jti;
    travel_str_t   acr;             /* how he was authenticated (OIDC) */
    travel_str_t   permissions;     /* space-separated, from "permissions"
                                       (array) or "scope" (string) */
    const travel_str_t *auds;       /* each audience */
    size_t         naud;
    int64_t        exp;             /* seconds; INT64_MAX when absent */
    int64_t        nbf;             /* INT64_MIN when absent */
    int64_t        iat;             /* INT64_MIN when absent */
    int64_t        auth_time;       /* and when; INT64_MIN when absent */
    travel_str_t   payload;         /* decoded JSON text */
} travel_jwt_t;

/* Reused between tokens; holds decoded bytes and both JSON documents. */
typedef struct travel_jwt_parser_s  travel_jwt_parser_t;

travel_jwt_parser_t *travel_jwt_parser_create(void);
void travel_jwt_parser_free(travel_jwt_parser_t *parser);

/* TRAVEL_OK; TRAVEL_INVALID with *ret_why a static sentence: not three parts,
 * base64url not strict, header or payload not a strict JSON object, duplicate
 * members, "crit", "b64" or "zip" present, unknown or "none" alg, a claim of
 * the wrong type, too long.  jku, x5u, jwk, x5c are ignored. */
int travel_jwt_parse(travel_jwt_parser_t *parser, travel_str_t token,
    travel_jwt_t *ret_jwt, const char **ret_why) TRAVEL_MUST_CHECK;

/* The same for any compact JWS: the payload may be any bytes, no claim is read
 * (they stay empty or absent) and 'payload' is what was signed. */
int travel_jws_parse(travel_jwt_parser_t *parser, travel_str_t token,
    travel_jwt_t *ret_jwt, const char **ret_why) TRAVEL_MUST_CHECK;

/* A JWKS (RFC 7517) by its JSON text.  Keys that are not for signatures
 * ("use" other than "sig", "key_ops" without verify), of unknown type, or too
 * weak (RSA < 2048, HMAC shorter than its hash, EC point off the curve) are
 * skipped and counted; a set without one usable key is TRAVEL_INVALID.
 * 'allow' masks algorithms: symmetric keys load only where it has an HS bit.
 * Each key is used with exactly one algorithm per its "alg", or for RSA
 * without "alg" with RS256 only. */
int travel_jwks_load(travel_jwks_t **ret_jwks, travel_str_t text,
    uint32_t allow, const char **ret_why) TRAVEL_MUST_CHECK;
void travel_jwks_free(travel_jwks_t *jwks);
size_t travel_jwks_count(const travel_jwks_t *jwks);
size_t travel_jwks_skipped(const travel_jwks_t *jwks);

/* RFC 7638 thumbprint (SHA-256) of the i-th key. */
const uint8_t *travel_jwks_thumbprint(const travel_jwks_t *jwks, size_t i);

/* Its "kid" in the set; empty: none. */
travel_str_t travel_jwks_kid(const travel_jwks_t *jwks, size_t i);

/* Finds the key (by kid, else by alg: at most 4 candidates) and checks the
 * signature over 'token'.  TRAVEL_OK with *ret_key = index of the key;
 * TRAVEL_UNKNOWN no such key; TRAVEL_REFUSED bad signature or alg not that
 * key's; *ret_why a static sentence. */
int travel_jwks_verify(const travel_jwks_t *jwks, const travel_jwt_t *jwt,
    travel_str_t token, size_t *ret_key, const char **ret_why)
    TRAVEL_MUST_CHECK;

typedef struct {
    travel_str_t  issuer;           /* empty: not pinned */
    travel_str_t  audience;         /* empty: not pinned */
    travel_str_t  typ;              /* empty: not pinned */
    int64_t       leeway;           /* seconds */
    bool          exp_required;
} travel_jwt_policy_t;

/* TRAVEL_E_NONE when acceptable at 'now' (unix seconds); else
 * TRAVEL_E_TOKEN_INVALID (from or for somebody else, of another type, not yet
 * valid) or TRAVEL_E_TOKEN_EXPIRED, *ret_why a static sentence. */
travel_error_e travel_jwt_judge(const travel_jwt_t *jwt,
    const travel_jwt_policy_t *policy, int64_t now, const char **ret_why);

/* Signing, for workers and travelctl only; the edge never calls it.
 * 'pem' is an EC P-256 private key; ES256, kid = thumbprint.  Writes a
 * NUL-terminated compact JWS to dst. */
int travel_jwt_sign(char *dst, size_t room, travel_str_t pem,
    travel_str_t payload, const char **ret_why) TRAVEL_MUST_CHECK;
/* The same with somebody else's rules: RS256 (a key of 2048 bits or more) or
 * ES256, and the key named 'kid' (at most 128 bytes), or not at all. */
int travel_jwt_sign_as(char *dst, size_t room, travel_str_t pem,
    travel_alg_e alg, travel_str_t kid, travel_str_t payload,
    const char **ret_why) TRAVEL_MUST_CHECK;
/* The public JWKS document of that key; NUL-terminated. */
int travel_jwks_of_pem(char *dst, size_t room, travel_str_t pem,
    const char **ret_why) TRAVEL_MUST_CHECK;

#endif
