/*
 * Signs access tokens with the house's own key, and publishes its public half;
 * signs with keys that others gave us, by the names they go by.  Workers and
 * travelctl only: the edge has no private key to give it.
 */

#include <limits.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base64url.h"
#include "json_writer.h"
#include "jwk.h"


#define TRAVEL_P256_FIELD  32
#define TRAVEL_P256_TEXT   TRAVEL_BASE64URL_LEN(TRAVEL_P256_FIELD)
#define TRAVEL_HEADER_MAX  256
#define TRAVEL_KID_ROOM    128
#define TRAVEL_RSA_MIN     2048             /* bits: RFC 7518 section 3.3 */
#define TRAVEL_RAW_MAX     1024             /* a signature of 8192 bits */

typedef struct {
    EVP_PKEY      *pkey;
    travel_alg_e   alg;
    char           x[TRAVEL_P256_TEXT];     /* ES256 */
    char           y[TRAVEL_P256_TEXT];
    char           kid[TRAVEL_KID_ROOM];
    size_t         nkid;                    /* 0: none */
} travel_signer_t;


/* An encrypted key fails instead of asking the terminal for its password. */

static int
travel_signer_password(char *buf, int size, int writing, void *data)
{
    (void) buf;
    (void) size;
    (void) writing;
    (void) data;

    return -1;
}


/* Coordinates and name of the key; NULL, or what is wrong. */

static const char *
travel_signer_describe(travel_signer_t *signer)
{
    int       n;
    uint8_t   spki[TRAVEL_P256_HEAD + 2 * TRAVEL_P256_FIELD];
    uint8_t   thumbprint[TRAVEL_THUMBPRINT_LEN], *p;

    n = i2d_PUBKEY(signer->pkey, NULL);

    if (n != (int) sizeof(spki)) {
        return "the signing key is not an EC P-256 key";
    }

    p = spki;
    n = i2d_PUBKEY(signer->pkey, &p);

    if (n != (int) sizeof(spki)
        || memcmp(spki, travel_p256_head, TRAVEL_P256_HEAD) != 0)
    {
        return "the signing key is not an EC P-256 key";
    }

    p = spki + TRAVEL_P256_HEAD;
    travel_base64url_encode(signer->x, p, TRAVEL_P256_FIELD);
    travel_base64url_encode(signer->y, p + TRAVEL_P256_FIELD,
                            TRAVEL_P256_FIELD);

    if (travel_jwk_thumbprint(thumbprint, (travel_str_t[]) {
            TRAVEL_STR("crv"), TRAVEL_STR("P-256"),
            TRAVEL_STR("kty"), TRAVEL_STR("EC"),
            TRAVEL_STR("x"), { signer->x, sizeof(signer->x) },
            TRAVEL_STR("y"), { signer->y, sizeof(signer->y) } }, 4)
        != TRAVEL_OK)
    {
        return "the signing key could not be named";
    }

    signer->nkid = travel_base64url_encode(signer->kid, thumbprint,
                                           sizeof(thumbprint));

    return NULL;
}


static const char *
travel_signer_check_rsa(const travel_signer_t *signer)
{
    if (EVP_PKEY_get_base_id(signer->pkey) != EVP_PKEY_RSA
        || EVP_PKEY_get_bits(signer->pkey) < TRAVEL_RSA_MIN
        || EVP_PKEY_get_size(signer->pkey) > TRAVEL_RAW_MAX)
    {
        return "the signing key is not an RSA key of 2048 bits or more";
    }

    return NULL;
}


/* Opens 'pem' for 'alg'; on success the caller frees signer->pkey. */

static const char *
travel_signer_open(travel_signer_t *signer, travel_str_t pem, travel_alg_e alg)
{
    BIO         *bio;
    const char  *why;

    signer->alg = alg;
    signer->nkid = 0;

    if (pem.len == 0 || pem.len > INT_MAX) {
        return "the signing key is not PEM";
    }

    bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    if (bio == NULL) {
        return "out of memory";
    }

    signer->pkey = PEM_read_bio_PrivateKey(bio, NULL, travel_signer_password,
                                           NULL);
    BIO_free(bio);

    if (signer->pkey == NULL) {
        return "the signing key is not an unencrypted PEM private key";
    }

    why = alg == TRAVEL_ALG_RS256 ? travel_signer_check_rsa(signer)
                                  : travel_signer_describe(signer);

    if (why) {
        EVP_PKEY_free(signer->pkey);
        signer->pkey = NULL;
    }

    return why;
}


/* r || s of the DER signature, each of the field's length. */

static bool
travel_signer_raw(uint8_t raw[2 * TRAVEL_P256_FIELD], const uint8_t *der,
    size_t n)
{
    bool           ok;
    ECDSA_SIG     *sig;
    const BIGNUM  *r, *s;

    sig = d2i_ECDSA_SIG(NULL, &der, (long) n);
    if (sig == NULL) {
        return false;
    }

    ECDSA_SIG_get0(sig, &r, &s);

    ok = BN_bn2binpad(r, raw, TRAVEL_P256_FIELD) == TRAVEL_P256_FIELD
         && BN_bn2binpad(s, raw + TRAVEL_P256_FIELD, TRAVEL_P256_FIELD)
            == TRAVEL_P256_FIELD;

    ECDSA_SIG_free(sig);

    return ok;
}


static bool
travel_signer_sign(const travel_signer_t *signer, uint8_t raw[TRAVEL_RAW_MAX],
    size_t *ret_n, travel_str_t input)
{
    bool         ok;
    size_t       n;
    uint8_t      made[TRAVEL_RAW_MAX];
    EVP_MD_CTX  *ctx;

    n = sizeof(made);
    ctx = EVP_MD_CTX_new();

    ok = ctx
         && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, signer->pkey)
            == 1
         && EVP_DigestSign(ctx, made, &n, (const uint8_t *) input.data,
                           input.len) == 1;

    EVP_MD_CTX_free(ctx);

    if (ok && signer->alg == TRAVEL_ALG_RS256) {
        memcpy(raw, made, n);
        *ret_n = n;
        return true;
    }

    *ret_n = 2 * TRAVEL_P256_FIELD;

    return ok && travel_signer_raw(raw, made, n);
}


static size_t
travel_signer_header(const travel_signer_t *signer, char *dst, size_t room)
{
    travel_json_writer_t  w;

    travel_json_writer_init(&w, dst, room);

    travel_json_object(&w);
    travel_json_member_cstring(&w, "alg", travel_alg_name(signer->alg));
    travel_json_member_cstring(&w, "typ", "JWT");

    if (signer->nkid > 0) {
        travel_json_member_string(&w, "kid", (travel_str_t) {
                                      signer->kid, signer->nkid });
    }

    travel_json_object_end(&w);

    return travel_json_writer_finish(&w);
}


/* The compact form; NULL, or what is wrong. */

static const char *
travel_signer_token(const travel_signer_t *signer, char *dst, size_t room,
    travel_str_t payload)
{
    char     header[TRAVEL_HEADER_MAX], *p;
    size_t   n, nraw, need;
    uint8_t  raw[TRAVEL_RAW_MAX];

    n = travel_signer_header(signer, header, sizeof(header));

    if (n == 0) {
        return "the key's name is too long";
    }

    if (payload.len > TRAVEL_JWT_MAX) {
        return "the payload is too long";
    }

    nraw = signer->alg == TRAVEL_ALG_RS256
           ? (size_t) EVP_PKEY_get_size(signer->pkey) : 2 * TRAVEL_P256_FIELD;
    need = TRAVEL_BASE64URL_LEN(n) + 1 + TRAVEL_BASE64URL_LEN(payload.len) + 1
           + TRAVEL_BASE64URL_LEN(nraw);

    if (need > TRAVEL_JWT_MAX || need + 1 > room) {
        return "the token is too long";
    }

    p = dst;
    p += travel_base64url_encode(p, header, n);
    *p++ = '.';
    p += travel_base64url_encode(p, payload.data, payload.len);

    if (!travel_signer_sign(signer, raw, &nraw, (travel_str_t) { dst,
                                             (size_t) (p - dst) }))
    {
        return "the signature could not be made";
    }

    *p++ = '.';
    p += travel_base64url_encode(p, raw, nraw);
    *p = '\0';

    return NULL;
}


int
travel_jwt_sign_as(char *dst, size_t room, travel_str_t pem, travel_alg_e alg,
    travel_str_t kid, travel_str_t payload, const char **ret_why)
{
    const char       *why;
    travel_signer_t   signer;

    if ((alg != TRAVEL_ALG_ES256 && alg != TRAVEL_ALG_RS256)
        || kid.len > sizeof(signer.kid))
    {
        *ret_why = "neither ES256 nor RS256, or the key's name is too long";
        return TRAVEL_INVALID;
    }

    ERR_set_mark();
    why = travel_signer_open(&signer, pem, alg);

    if (why == NULL) {
        memcpy(signer.kid, kid.data, kid.len);
        signer.nkid = kid.len;
        why = travel_signer_token(&signer, dst, room, payload);
        EVP_PKEY_free(signer.pkey);
    }

    ERR_pop_to_mark();

    if (why) {
        *ret_why = why;
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


int
travel_jwt_sign(char *dst, size_t room, travel_str_t pem,
    travel_str_t payload, const char **ret_why)
{
    const char       *why;
    travel_signer_t   signer;

    ERR_set_mark();

    why = travel_signer_open(&signer, pem, TRAVEL_ALG_ES256);

    if (why == NULL) {
        why = travel_signer_token(&signer, dst, room, payload);
        EVP_PKEY_free(signer.pkey);
    }

    ERR_pop_to_mark();

    if (why) {
        *ret_why = why;
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


int
travel_jwks_of_pem(char *dst, size_t room, travel_str_t pem,
    const char **ret_why)
{
    size_t                 n;
    const char            *why;
    travel_signer_t        signer;
    travel_json_writer_t   w;

    ERR_set_mark();
    why = travel_signer_open(&signer, pem, TRAVEL_ALG_ES256);
    ERR_pop_to_mark();

    if (why) {
        *ret_why = why;
        return TRAVEL_INVALID;
    }

    EVP_PKEY_free(signer.pkey);

    travel_json_writer_init(&w, dst, room ? room - 1 : 0);

    travel_json_object(&w);
    travel_json_key(&w, TRAVEL_STR("keys"));
    travel_json_array(&w);
    travel_json_object(&w);
    travel_json_member_cstring(&w, "kty", "EC");
    travel_json_member_cstring(&w, "crv", "P-256");
    travel_json_member_string(&w, "x", (travel_str_t) { signer.x,
                                           sizeof(signer.x) });
    travel_json_member_string(&w, "y", (travel_str_t) { signer.y,
                                           sizeof(signer.y) });
    travel_json_member_string(&w, "kid",
                              (travel_str_t) { signer.kid, signer.nkid });
    travel_json_member_cstring(&w, "alg", "ES256");
    travel_json_member_cstring(&w, "use", "sig");
    travel_json_object_end(&w);
    travel_json_array_end(&w);
    travel_json_object_end(&w);

    n = travel_json_writer_finish(&w);

    if (n == 0) {
        *ret_why = "the JWKS does not fit";
        return TRAVEL_INVALID;
    }

    dst[n] = '\0';

    return TRAVEL_OK;
}
