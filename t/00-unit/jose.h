/* Makes keys, JWKs and signatures of every algorithm for the token tests, by
 * OpenSSL 3 and apart from the code under test. */

#ifndef TRAVEL_TEST_JOSE_H
#define TRAVEL_TEST_JOSE_H

#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "unit.h"
#include "jwt.h"


/* Base64url of the test's own, by OpenSSL's base64. */

static inline char *
jose_b64(const void *data, size_t n)
{
    char    *p, *text;

    text = malloc(4 * ((n + 2) / 3) + 1);
    EVP_EncodeBlock((unsigned char *) text, data, (int) n);

    for (p = text; *p; p++) {
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p == '=' ? '\0' : *p;
    }

    return text;
}


static inline char *
jose_number(EVP_PKEY *pkey, const char *param, int field)
{
    int      n;
    char    *text;
    BIGNUM  *bn = NULL;
    uint8_t  raw[2048];

    assert_int_equal(EVP_PKEY_get_bn_param(pkey, param, &bn), 1);
    n = field ? field : BN_num_bytes(bn);
    assert_int_equal(BN_bn2binpad(bn, raw, n), n);
    BN_free(bn);

    text = jose_b64(raw, (size_t) n);

    return text;
}


static inline EVP_PKEY *
jose_key(travel_alg_e alg, int ed448)
{
    switch (alg) {
    case TRAVEL_ALG_ES256: return EVP_EC_gen("P-256");
    case TRAVEL_ALG_ES384: return EVP_EC_gen("P-384");
    case TRAVEL_ALG_ES512: return EVP_EC_gen("P-521");
    case TRAVEL_ALG_EDDSA:
        return EVP_PKEY_Q_keygen(NULL, NULL, ed448 ? "ED448" : "ED25519");
    case TRAVEL_ALG_HS256:
    case TRAVEL_ALG_HS384:
    case TRAVEL_ALG_HS512:
        return EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL,
            (const uint8_t *) "0123456789abcdef0123456789abcdef"
                              "0123456789abcdef0123456789abcdef", 64);
    default: return EVP_RSA_gen(2048);
    }
}


/* The JWK of 'pkey' with 'more' members (",\"kid\":\"x\"") at its end. */

static inline char *
jose_jwk(EVP_PKEY *pkey, const char *more)
{
    int          field;
    char        *a, *b, *jwk;
    size_t       n;
    uint8_t      raw[64];
    const char  *crv;

    jwk = malloc(4096);

    if (EVP_PKEY_is_a(pkey, "RSA")) {
        a = jose_number(pkey, OSSL_PKEY_PARAM_RSA_N, 0);
        b = jose_number(pkey, OSSL_PKEY_PARAM_RSA_E, 0);
        snprintf(jwk, 4096, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}",
                 a, b, more);
        free(b);

    } else if (EVP_PKEY_is_a(pkey, "EC")) {
        field = (EVP_PKEY_get_bits(pkey) + 7) / 8;
        crv = field == 32 ? "P-256" : field == 48 ? "P-384" : "P-521";
        a = jose_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, field);
        b = jose_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, field);
        snprintf(jwk, 4096, "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\","
                 "\"y\":\"%s\"%s}", crv, a, b, more);
        free(b);

    } else if (EVP_PKEY_is_a(pkey, "HMAC")) {
        n = sizeof(raw);
        assert_int_equal(EVP_PKEY_get_raw_private_key(pkey, raw, &n), 1);
        a = jose_b64(raw, n);
        snprintf(jwk, 4096, "{\"kty\":\"oct\",\"k\":\"%s\"%s}", a, more);

    } else {
        n = sizeof(raw);
        assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, raw, &n), 1);
        a = jose_b64(raw, n);
        snprintf(jwk, 4096, "{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"%s\"%s}",
                 n == 32 ? "Ed25519" : "Ed448", a, more);
    }

    free(a);

    return jwk;
}


static inline const EVP_MD *
jose_md(travel_alg_e alg)
{
    const char  *name = travel_alg_name(alg);

    return alg == TRAVEL_ALG_EDDSA ? NULL
         : strcmp(name + 2, "256") == 0 ? EVP_sha256()
         : strcmp(name + 2, "384") == 0 ? EVP_sha384() : EVP_sha512();
}


/* The signature as JWS wants it; *ret_n its length. */

static inline uint8_t *
jose_signature(travel_alg_e alg, EVP_PKEY *pkey, const char *input,
    size_t *ret_n)
{
    int             field;
    size_t          n;
    uint8_t        *sig;
    ECDSA_SIG      *ecdsa;
    EVP_MD_CTX     *ctx;
    EVP_PKEY_CTX   *pctx;
    const uint8_t  *p;

    ctx = EVP_MD_CTX_new();
    sig = malloc(2048);
    n = 2048;

    assert_int_equal(EVP_DigestSignInit(ctx, &pctx, jose_md(alg), NULL, pkey),
                     1);

    if (alg >= TRAVEL_ALG_PS256 && alg <= TRAVEL_ALG_PS512) {
        EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
    }

    assert_int_equal(EVP_DigestSign(ctx, sig, &n, (const uint8_t *) input,
                                    strlen(input)), 1);
    EVP_MD_CTX_free(ctx);

    if (alg >= TRAVEL_ALG_ES256 && alg <= TRAVEL_ALG_ES512) {
        field = (EVP_PKEY_get_bits(pkey) + 7) / 8;
        p = sig;
        ecdsa = d2i_ECDSA_SIG(NULL, &p, (long) n);
        BN_bn2binpad(ECDSA_SIG_get0_r(ecdsa), sig, field);
        BN_bn2binpad(ECDSA_SIG_get0_s(ecdsa), sig + field, field);
        ECDSA_SIG_free(ecdsa);
        n = (size_t) (2 * field);
    }

    *ret_n = n;

    return sig;
}


static inline char *
jose_join(const char *header, const char *payload, const void *sig, size_t n)
{
    char  *h, *p, *s, *token;

    h = jose_b64(header, strlen(header));
    p = jose_b64(payload, strlen(payload));
    s = jose_b64(sig, n);

    token = malloc(strlen(h) + strlen(p) + strlen(s) + 3);
    sprintf(token, "%s.%s.%s", h, p, s);

    free(h);
    free(p);
    free(s);

    return token;
}


static inline char *
jose_token(travel_alg_e alg, EVP_PKEY *pkey, const char *header,
    const char *payload)
{
    char     *unsigned_, *token;
    size_t    n;
    uint8_t  *sig;

    unsigned_ = jose_join(header, payload, "", 0);
    unsigned_[strlen(unsigned_) - 1] = '\0';             /* the second dot */

    sig = jose_signature(alg, pkey, unsigned_, &n);
    token = jose_join(header, payload, sig, n);

    free(sig);
    free(unsigned_);

    return token;
}

#endif
