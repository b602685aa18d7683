/*
 * One JSON Web Key (RFC 7517, 7518 section 6, 8037) made ready to verify.
 *
 * Public keys are written as SubjectPublicKeyInfo and read back by OpenSSL's
 * decoder, one way for every type and for OpenSSL 1.1 and 3 alike; the decoder
 * also refuses points that are not on the curve.
 *
 * A key is prepared once: EVP_DigestVerifyInit looks up algorithms by name,
 * under locks, for longer than an RSA check takes.  A check copies the
 * prepared context, so the key itself is never written to.  Whatever fails in
 * here takes its entries off OpenSSL's error queue again: nginx reports any
 * that it finds there as an alert of the next TLS connection.
 */

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base64url.h"
#include "der.h"
#include "hash.h"
#include "json_writer.h"
#include "jwk.h"


#define TRAVEL_RSA_MIN    256      /* bytes of the modulus: 2048 bits */
#define TRAVEL_RSA_MAX    1024     /* 8192 bits: what a check may cost */
#define TRAVEL_RSA_E_MAX  8
#define TRAVEL_HMAC_MAX   1024
#define TRAVEL_SPKI_MAX   (TRAVEL_RSA_MAX + 64)
#define TRAVEL_JWK_TEXT   (2 * TRAVEL_RSA_MAX)

const uint8_t  travel_p256_head[TRAVEL_P256_HEAD] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
    0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03,
    0x42, 0x00, 0x04
};

static const uint8_t  travel_p384_head[] = {
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
    0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04
};

static const uint8_t  travel_p521_head[] = {
    0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86,
    0x00, 0x04
};

static const uint8_t  travel_ed25519_head[] = {
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00
};

static const uint8_t  travel_ed448_head[] = {
    0x30, 0x43, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x71, 0x03, 0x3a, 0x00
};

/* AlgorithmIdentifier of rsaEncryption */
static const uint8_t  travel_rsa_algorithm[] = {
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
    0x01, 0x05, 0x00
};

typedef struct {
    travel_str_t    crv;
    travel_alg_e    alg;
    size_t          field;       /* bytes of x, and of y if there is one */
    const uint8_t  *head;        /* SubjectPublicKeyInfo before x */
    size_t          head_len;
} travel_curve_t;

static const travel_curve_t  travel_ec_curves[] = {
    { { "P-256", 5 }, TRAVEL_ALG_ES256, 32, travel_p256_head,
      sizeof(travel_p256_head) },
    { { "P-384", 5 }, TRAVEL_ALG_ES384, 48, travel_p384_head,
      sizeof(travel_p384_head) },
    { { "P-521", 5 }, TRAVEL_ALG_ES512, 66, travel_p521_head,
      sizeof(travel_p521_head) },
    { { NULL, 0 }, TRAVEL_ALG_MAX, 0, NULL, 0 }
};

static const travel_curve_t  travel_okp_curves[] = {
    { { "Ed25519", 7 }, TRAVEL_ALG_EDDSA, 32, travel_ed25519_head,
      sizeof(travel_ed25519_head) },
    { { "Ed448", 5 }, TRAVEL_ALG_EDDSA, 57, travel_ed448_head,
      sizeof(travel_ed448_head) },
    { { NULL, 0 }, TRAVEL_ALG_MAX, 0, NULL, 0 }
};


/* A string member, or an empty text for anything else. */

static travel_str_t
travel_jwk_text(const travel_json_t *doc, uint32_t obj, travel_str_t name)
{
    const travel_json_node_t  *node;

    node = travel_json_member(doc, obj, name);

    return node && node->type == TRAVEL_JSON_STRING ? node->text
                                                    : TRAVEL_NULL_STR;
}


/* A base64url member of at most 'room' bytes; false when it is none. */

static bool
travel_jwk_bytes(const travel_json_t *doc, uint32_t obj, travel_str_t name,
    uint8_t *dst, size_t room, size_t *ret_len, travel_str_t *ret_text)
{
    travel_str_t  text;

    text = travel_jwk_text(doc, obj, name);

    if (text.len == 0 || text.len > TRAVEL_BASE64URL_LEN(room)
        || travel_base64url_decode(dst, ret_len, text) != TRAVEL_OK)
    {
        return false;
    }

    *ret_text = text;

    return true;
}


int
travel_jwk_thumbprint(uint8_t ret_md[TRAVEL_THUMBPRINT_LEN],
    const travel_str_t *pairs, size_t n)
{
    char                  text[TRAVEL_JWK_TEXT];
    size_t                i;
    travel_str_t          json;
    travel_json_writer_t  w;

    travel_json_writer_init(&w, text, sizeof(text));
    travel_json_object(&w);

    for (i = 0; i < n; i++) {
        travel_json_key(&w, pairs[2 * i]);
        travel_json_string(&w, pairs[2 * i + 1]);
    }

    travel_json_object_end(&w);

    json = (travel_str_t) { text, travel_json_writer_finish(&w) };

    return json.len ? travel_sha256(ret_md, json) : TRAVEL_ERROR;
}


/* May the key verify signatures at all (RFC 7517 sections 4.2 and 4.3)? */

static bool
travel_jwk_for_signatures(const travel_json_t *doc, uint32_t obj)
{
    uint32_t                   i;
    const travel_json_node_t  *node, *nodes;

    node = travel_json_member(doc, obj, TRAVEL_STR("use"));

    if (node && (node->type != TRAVEL_JSON_STRING
                 || !travel_str_eq(node->text, TRAVEL_STR("sig"))))
    {
        return false;
    }

    node = travel_json_member(doc, obj, TRAVEL_STR("key_ops"));

    if (node == NULL) {
        return true;
    }

    if (node->type != TRAVEL_JSON_ARRAY) {
        return false;
    }

    nodes = travel_json_nodes(doc);

    for (i = node->count, node++; i; i--, node = nodes + node->next) {
        if (node->type == TRAVEL_JSON_STRING
            && travel_str_eq(node->text, TRAVEL_STR("verify")))
        {
            return true;
        }
    }

    return false;
}


/* The key's one algorithm: its "alg", else 'absent'; TRAVEL_ALG_MAX when
 * "alg" is not one of the 'mask' that its type can do. */

static travel_alg_e
travel_jwk_alg(const travel_json_t *doc, uint32_t obj, uint32_t mask,
    travel_alg_e absent)
{
    travel_alg_e               alg;
    const travel_json_node_t  *node;

    node = travel_json_member(doc, obj, TRAVEL_STR("alg"));

    if (node == NULL) {
        return absent;
    }

    if (node->type != TRAVEL_JSON_STRING
        || travel_alg_parse(&alg, node->text) != TRAVEL_OK
        || !(mask & TRAVEL_ALG_BIT(alg)))
    {
        return TRAVEL_ALG_MAX;
    }

    return alg;
}


static EVP_PKEY *
travel_jwk_decode(const uint8_t *spki, size_t n)
{
    EVP_PKEY       *pkey;
    const uint8_t  *p;

    p = spki;
    pkey = d2i_PUBKEY(NULL, &p, (long) n);

    if (pkey && p != spki + n) {
        EVP_PKEY_free(pkey);
        return NULL;
    }

    return pkey;
}


static int
travel_jwk_rsa(travel_jwk_t *jwk, const travel_json_t *doc, uint32_t obj)
{
    size_t        n_len, e_len, n_skip, seq;
    uint8_t       n[TRAVEL_RSA_MAX + 1], e[TRAVEL_RSA_E_MAX + 1];
    uint8_t       spki[TRAVEL_SPKI_MAX], *p;
    travel_str_t  n_text, e_text;

    jwk->alg = travel_jwk_alg(doc, obj,
                   TRAVEL_ALG_BIT(TRAVEL_ALG_RS256)
                   | TRAVEL_ALG_BIT(TRAVEL_ALG_RS384)
                   | TRAVEL_ALG_BIT(TRAVEL_ALG_RS512)
                   | TRAVEL_ALG_BIT(TRAVEL_ALG_PS256)
                   | TRAVEL_ALG_BIT(TRAVEL_ALG_PS384)
                   | TRAVEL_ALG_BIT(TRAVEL_ALG_PS512), TRAVEL_ALG_RS256);

    if (jwk->alg == TRAVEL_ALG_MAX
        || !travel_jwk_bytes(doc, obj, TRAVEL_STR("n"), n, sizeof(n), &n_len,
                             &n_text)
        || !travel_jwk_bytes(doc, obj, TRAVEL_STR("e"), e, sizeof(e), &e_len,
                             &e_text))
    {
        return TRAVEL_REFUSED;
    }

    for (n_skip = 0; n_skip < n_len && n[n_skip] == 0; n_skip++) { /* void */ }

    /* at least 2048 bits, both odd, e not 1 */

    if (n_len - n_skip < TRAVEL_RSA_MIN || n_len - n_skip > TRAVEL_RSA_MAX
        || (n_len - n_skip == TRAVEL_RSA_MIN && !(n[n_skip] & 0x80))
        || !(n[n_len - 1] & 1) || !(e[e_len - 1] & 1)
        || (e[e_len - 1] == 1 && travel_der_uint_len(e, e_len) == 1))
    {
        return TRAVEL_REFUSED;
    }

    seq = travel_der_size(travel_der_uint_len(n, n_len))
          + travel_der_size(travel_der_uint_len(e, e_len));

    p = travel_der_head(spki, TRAVEL_DER_SEQUENCE,
                        sizeof(travel_rsa_algorithm)
                        + travel_der_size(1 + travel_der_size(seq)));
    memcpy(p, travel_rsa_algorithm, sizeof(travel_rsa_algorithm));
    p += sizeof(travel_rsa_algorithm);
    p = travel_der_head(p, TRAVEL_DER_BIT_STRING, 1 + travel_der_size(seq));
    *p++ = 0;
    p = travel_der_head(p, TRAVEL_DER_SEQUENCE, seq);
    p = travel_der_uint(p, n, n_len);
    p = travel_der_uint(p, e, e_len);

    jwk->pkey = travel_jwk_decode(spki, (size_t) (p - spki));

    if (jwk->pkey == NULL) {
        return TRAVEL_REFUSED;
    }

    return travel_jwk_thumbprint(jwk->thumbprint, (travel_str_t[]) {
               TRAVEL_STR("e"), e_text, TRAVEL_STR("kty"), TRAVEL_STR("RSA"),
               TRAVEL_STR("n"), n_text }, 3);
}


static bool
travel_jwk_point_valid(EVP_PKEY *pkey)
{
    int            ok;
    EVP_PKEY_CTX  *ctx;

    ctx = EVP_PKEY_CTX_new(pkey, NULL);
    ok = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);

    return ok;
}


/*
 * Points of small order: under such a "key" anybody can sign, as it takes no
 * part in the equation.  OpenSSL does not look.  y, little-endian, without the
 * sign of x, of all there are, p and p + 1 standing for 0 and 1 as well.
 */

static const char  travel_ed25519_small[][65] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
};

static const char  travel_ed448_small[][115] = {
    "00000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000",
    "01000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000",
    "feffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "feffffffffffffffffffffffffffffffffffffffffffffffffffffff00",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "feffffffffffffffffffffffffffffffffffffffffffffffffffffff00",
    "00000000000000000000000000000000000000000000000000000000"
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff00"
};


static bool
travel_jwk_small_order(const uint8_t *x, size_t n)
{
    char     text[2 * 57 + 1];
    size_t   i;
    uint8_t  y[57];

    memcpy(y, x, n);
    y[n - 1] &= 0x7f;
    travel_hex_encode(text, y, n);

    if (n == 32) {
        for (i = 0; i < sizeof(travel_ed25519_small)
                        / sizeof(travel_ed25519_small[0]); i++)
        {
            if (memcmp(text, travel_ed25519_small[i], 2 * n) == 0) {
                return true;
            }
        }

        return false;
    }

    for (i = 0; i < sizeof(travel_ed448_small)
                    / sizeof(travel_ed448_small[0]); i++)
    {
        if (memcmp(text, travel_ed448_small[i], 2 * n) == 0) {
            return true;
        }
    }

    return false;
}


/* kty EC and OKP: x, and for EC y, behind the head of their curve. */

static int
travel_jwk_curve(travel_jwk_t *jwk, const travel_json_t *doc, uint32_t obj,
    const travel_curve_t *curves)
{
    bool                   ec;
    size_t                 n;
    uint8_t                spki[32 + 2 * 66 + 4], *p;
    travel_str_t           crv, x, y;
    const travel_curve_t  *curve;

    ec = curves == travel_ec_curves;
    y = TRAVEL_NULL_STR;
    crv = travel_jwk_text(doc, obj, TRAVEL_STR("crv"));

    for (curve = curves; curve->head; curve++) {
        if (travel_str_eq(curve->crv, crv)) {
            break;
        }
    }

    if (curve->head == NULL) {
        return TRAVEL_REFUSED;
    }

    jwk->alg = travel_jwk_alg(doc, obj, TRAVEL_ALG_BIT(curve->alg),
                              curve->alg);
    if (jwk->alg == TRAVEL_ALG_MAX) {
        return TRAVEL_REFUSED;
    }

    memcpy(spki, curve->head, curve->head_len);
    p = spki + curve->head_len;

    /* coordinates have their full length, zeros included */

    if (!travel_jwk_bytes(doc, obj, TRAVEL_STR("x"), p, curve->field, &n, &x)
        || n != curve->field)
    {
        return TRAVEL_REFUSED;
    }

    if (!ec && travel_jwk_small_order(p, n)) {
        return TRAVEL_REFUSED;
    }

    p += n;

    if (ec) {
        if (!travel_jwk_bytes(doc, obj, TRAVEL_STR("y"), p, curve->field, &n,
                              &y)
            || n != curve->field)
        {
            return TRAVEL_REFUSED;
        }

        p += n;
    }

    jwk->pkey = travel_jwk_decode(spki, (size_t) (p - spki));

    if (jwk->pkey == NULL || (ec && !travel_jwk_point_valid(jwk->pkey))) {
        return TRAVEL_REFUSED;
    }

    return travel_jwk_thumbprint(jwk->thumbprint, (travel_str_t[]) {
               TRAVEL_STR("crv"), crv, TRAVEL_STR("kty"),
               ec ? TRAVEL_STR("EC") : TRAVEL_STR("OKP"),
               TRAVEL_STR("x"), x, TRAVEL_STR("y"), y },
               ec ? 4 : 3);
}


static int
travel_jwk_oct(travel_jwk_t *jwk, const travel_json_t *doc, uint32_t obj)
{
    int           rc;
    size_t        n, min;
    uint8_t       k[TRAVEL_HMAC_MAX];
    travel_str_t  text;

    jwk->alg = travel_jwk_alg(doc, obj, TRAVEL_ALG_HS_MASK, TRAVEL_ALG_HS256);

    min = jwk->alg == TRAVEL_ALG_HS256 ? 32
          : jwk->alg == TRAVEL_ALG_HS384 ? 48 : 64;

    if (jwk->alg == TRAVEL_ALG_MAX
        || !travel_jwk_bytes(doc, obj, TRAVEL_STR("k"), k, sizeof(k), &n,
                             &text)
        || n < min)
    {
        return TRAVEL_REFUSED;
    }

    jwk->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, k, n);
    OPENSSL_cleanse(k, sizeof(k));

    if (jwk->pkey == NULL) {
        return TRAVEL_ERROR;
    }

    rc = travel_jwk_thumbprint(jwk->thumbprint, (travel_str_t[]) {
             TRAVEL_STR("k"), text, TRAVEL_STR("kty"), TRAVEL_STR("oct") }, 2);

    return rc;
}


static bool
travel_jwk_symmetric(travel_alg_e alg)
{
    return (TRAVEL_ALG_BIT(alg) & TRAVEL_ALG_HS_MASK) != 0;
}


static const EVP_MD *
travel_jwk_digest(travel_alg_e alg)
{
    switch (alg) {

    case TRAVEL_ALG_RS256:
    case TRAVEL_ALG_PS256:
    case TRAVEL_ALG_ES256:
    case TRAVEL_ALG_HS256:
        return EVP_sha256();

    case TRAVEL_ALG_RS384:
    case TRAVEL_ALG_PS384:
    case TRAVEL_ALG_ES384:
    case TRAVEL_ALG_HS384:
        return EVP_sha384();

    case TRAVEL_ALG_RS512:
    case TRAVEL_ALG_PS512:
    case TRAVEL_ALG_ES512:
    case TRAVEL_ALG_HS512:
        return EVP_sha512();

    default:
        return NULL;              /* EdDSA hashes by itself */
    }
}


static bool
travel_jwk_prepare(EVP_MD_CTX *ctx, const travel_jwk_t *jwk)
{
    EVP_PKEY_CTX  *pctx;
    const EVP_MD  *md;

    md = travel_jwk_digest(jwk->alg);

    if (travel_jwk_symmetric(jwk->alg)) {
        return EVP_DigestSignInit(ctx, NULL, md, NULL, jwk->pkey) == 1;
    }

    if (EVP_DigestVerifyInit(ctx, &pctx, md, NULL, jwk->pkey) != 1) {
        return false;
    }

    if (jwk->alg >= TRAVEL_ALG_PS256 && jwk->alg <= TRAVEL_ALG_PS512) {

        /* RFC 7518 section 3.5: MGF1 with the same hash, salt as long as it */

        return EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1
               && EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
                                                   RSA_PSS_SALTLEN_DIGEST)
                  == 1;
    }

    return true;
}


static int
travel_jwk_kid(travel_jwk_t *jwk, const travel_json_t *doc, uint32_t obj)
{
    char                      *copy;
    const travel_json_node_t  *node;

    node = travel_json_member(doc, obj, TRAVEL_STR("kid"));

    if (node == NULL) {
        return TRAVEL_OK;
    }

    if (node->type != TRAVEL_JSON_STRING
        || node->text.len > TRAVEL_JWT_KID_MAX)
    {
        return TRAVEL_REFUSED;
    }

    copy = malloc(node->text.len + 1);
    if (copy == NULL) {
        return TRAVEL_ERROR;
    }

    if (node->text.len) {
        memcpy(copy, node->text.data, node->text.len);
    }

    jwk->kid = (travel_str_t) { copy, node->text.len };

    return TRAVEL_OK;
}


static int
travel_jwk_material(travel_jwk_t *jwk, const travel_json_t *doc, uint32_t obj)
{
    travel_str_t  kty;

    kty = travel_jwk_text(doc, obj, TRAVEL_STR("kty"));

    if (travel_str_eq(kty, TRAVEL_STR("RSA"))) {
        return travel_jwk_rsa(jwk, doc, obj);
    }

    if (travel_str_eq(kty, TRAVEL_STR("EC"))) {
        return travel_jwk_curve(jwk, doc, obj, travel_ec_curves);
    }

    if (travel_str_eq(kty, TRAVEL_STR("OKP"))) {
        return travel_jwk_curve(jwk, doc, obj, travel_okp_curves);
    }

    if (travel_str_eq(kty, TRAVEL_STR("oct"))) {
        return travel_jwk_oct(jwk, doc, obj);
    }

    return TRAVEL_REFUSED;
}


int
travel_jwk_read(travel_jwk_t *ret_jwk, const travel_json_t *doc, uint32_t obj,
    uint32_t allow)
{
    int           rc;
    travel_jwk_t  jwk;

    memset(&jwk, 0, sizeof(jwk));

    if (travel_json_nodes(doc)[obj].type != TRAVEL_JSON_OBJECT
        || !travel_jwk_for_signatures(doc, obj))
    {
        return TRAVEL_REFUSED;
    }

    ERR_set_mark();

    rc = travel_jwk_material(&jwk, doc, obj);

    if (rc == TRAVEL_OK && !(allow & TRAVEL_ALG_BIT(jwk.alg))) {
        rc = TRAVEL_REFUSED;
    }

    if (rc == TRAVEL_OK) {
        rc = travel_jwk_kid(&jwk, doc, obj);
    }

    if (rc == TRAVEL_OK) {
        jwk.prepared = EVP_MD_CTX_new();

        if (jwk.prepared == NULL || !travel_jwk_prepare(jwk.prepared, &jwk)) {
            rc = TRAVEL_ERROR;
        }
    }

    ERR_pop_to_mark();

    if (rc != TRAVEL_OK) {
        travel_jwk_close(&jwk);
        return rc;
    }

    *ret_jwk = jwk;

    return TRAVEL_OK;
}


void
travel_jwk_close(travel_jwk_t *jwk)
{
    EVP_MD_CTX_free(jwk->prepared);
    EVP_PKEY_free(jwk->pkey);
    free((void *) jwk->kid.data);

    memset(jwk, 0, sizeof(*jwk));
}


/* A JWS holds r and s side by side (RFC 7518 section 3.4), OpenSSL wants them
 * as a SEQUENCE.  0 when the length is not the curve's. */

static size_t
travel_jwk_ecdsa_der(uint8_t *dst, travel_alg_e alg, travel_str_t signature)
{
    size_t          field, len;
    uint8_t        *p;
    const uint8_t  *r, *s;

    field = travel_ec_curves[alg - TRAVEL_ALG_ES256].field;

    if (signature.len != 2 * field) {
        return 0;
    }

    r = (const uint8_t *) signature.data;
    s = r + field;

    len = travel_der_size(travel_der_uint_len(r, field))
          + travel_der_size(travel_der_uint_len(s, field));

    p = travel_der_head(dst, TRAVEL_DER_SEQUENCE, len);
    p = travel_der_uint(p, r, field);
    p = travel_der_uint(p, s, field);

    return (size_t) (p - dst);
}


static int
travel_jwk_hmac(EVP_MD_CTX *ctx, travel_str_t input, travel_str_t signature)
{
    size_t   n;
    uint8_t  mac[EVP_MAX_MD_SIZE];

    n = sizeof(mac);

    if (EVP_DigestSign(ctx, mac, &n, (const uint8_t *) input.data, input.len)
        != 1)
    {
        return TRAVEL_ERROR;
    }

    return travel_secret_eq((travel_str_t) { (const char *) mac, n },
                            signature)
           ? TRAVEL_OK : TRAVEL_REFUSED;
}


static int
travel_jwk_check(EVP_MD_CTX *ctx, const travel_jwk_t *jwk, travel_str_t input,
    travel_str_t signature)
{
    uint8_t  der[2 * 66 + 16];

    if (travel_jwk_symmetric(jwk->alg)) {
        return travel_jwk_hmac(ctx, input, signature);
    }

    if (jwk->alg >= TRAVEL_ALG_ES256 && jwk->alg <= TRAVEL_ALG_ES512) {
        signature.len = travel_jwk_ecdsa_der(der, jwk->alg, signature);
        signature.data = (const char *) der;

        if (signature.len == 0) {
            return TRAVEL_REFUSED;
        }
    }

    return EVP_DigestVerify(ctx, (const uint8_t *) signature.data,
                            signature.len, (const uint8_t *) input.data,
                            input.len) == 1
           ? TRAVEL_OK : TRAVEL_REFUSED;
}


int
travel_jwk_verify(const travel_jwk_t *jwk, travel_str_t input,
    travel_str_t signature)
{
    int          rc;
    EVP_MD_CTX  *ctx;

    ERR_set_mark();

    rc = TRAVEL_ERROR;
    ctx = EVP_MD_CTX_new();

    /* OpenSSL 1.1 cannot copy a context without a digest (EdDSA) */

    if (ctx && (EVP_MD_CTX_copy_ex(ctx, jwk->prepared) == 1
                || travel_jwk_prepare(ctx, jwk)))
    {
        rc = travel_jwk_check(ctx, jwk, input, signature);
    }

    EVP_MD_CTX_free(ctx);
    ERR_pop_to_mark();

    return rc;
}
