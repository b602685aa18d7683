/*
 * One usable key of a JWKS: its single algorithm, its name, its thumbprint and
 * a verification prepared once, so that a check fetches nothing (jwks.c and
 * the signer only; everybody else holds a travel_jwks_t).
 */

#ifndef TRAVEL_JWK_H
#define TRAVEL_JWK_H

#include <openssl/evp.h>

#include "jwt.h"

#define TRAVEL_SIGNATURE_MAX  1024     /* bytes: RSA of 8192 bits */

/* SubjectPublicKeyInfo (RFC 5480) of a P-256 key up to its coordinates. */
#define TRAVEL_P256_HEAD      27
extern const uint8_t  travel_p256_head[TRAVEL_P256_HEAD];

typedef struct {
    travel_alg_e   alg;
    uint8_t        thumbprint[TRAVEL_THUMBPRINT_LEN];
    travel_str_t   kid;             /* owned; empty: none */
    EVP_PKEY      *pkey;
    EVP_MD_CTX    *prepared;        /* never finished, only copied from: so a
                                       key may be used by several threads */
} travel_jwk_t;

/* The object at 'obj'.  TRAVEL_OK; TRAVEL_REFUSED: not a key for us;
 * TRAVEL_ERROR. */
int travel_jwk_read(travel_jwk_t *ret_jwk, const travel_json_t *doc,
    uint32_t obj, uint32_t allow) TRAVEL_MUST_CHECK;
void travel_jwk_close(travel_jwk_t *jwk);

/* TRAVEL_OK, TRAVEL_REFUSED, TRAVEL_ERROR. */
int travel_jwk_verify(const travel_jwk_t *jwk, travel_str_t input,
    travel_str_t signature) TRAVEL_MUST_CHECK;

/* RFC 7638 over the members in their order; n pairs of name and value, none
 * of which needs escaping. */
int travel_jwk_thumbprint(uint8_t ret_md[TRAVEL_THUMBPRINT_LEN],
    const travel_str_t *pairs, size_t n) TRAVEL_MUST_CHECK;

#endif
