/* Key sets and signatures: the RFCs' vectors, every algorithm, every trick. */

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "unit.h"
#include "base64url.h"
#include "jose.h"
#include "hash.h"
#include "jwk.h"


#define ALL    (TRAVEL_ALG_PUBLIC_MASK | TRAVEL_ALG_HS_MASK)

/* RFC 7515 appendix A.1 to A.4, RFC 8037 appendix A.4 */

#define JOE                                                                   \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmN" \
    "vbS9pc19yb290Ijp0cnVlfQ"

static const char  rfc_hs256_key[] =
    "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS"
    "0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}";

static const char  rfc_hs256[] =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." JOE
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

static const char  rfc_rs256_key[] =
    "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0"
    "l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_Yp"
    "RPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e"
    "-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7"
    "aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\""
    ",\"e\":\"AQAB\"}";

static const char  rfc_rs256[] =
    "eyJhbGciOiJSUzI1NiJ9." JOE
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4B"
    "h-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLg"
    "rnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--x"
    "i12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9"
    "Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

static const char  rfc_es256_key[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\","
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";

static const char  rfc_es256[] =
    "eyJhbGciOiJFUzI1NiJ9." JOE
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKT"
    "UJqPP3-Kg6NU1Q";

static const char  rfc_es512_key[] =
    "{\"kty\":\"EC\",\"crv\":\"P-521\","
    "\"x\":\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLF"
    "V1jSfS9tsz4qUxcWceqwQGk\","
    "\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kk"
    "d0AZMaZmh9ubmf63e3kyMj2\"}";

static const char  rfc_es512[] =
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi7"
    "0cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX"
    "3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";

static const char  rfc_eddsa_key[] =
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";

static const char  rfc_eddsa[] =
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0Jz"
    "lnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

/* The RFCs have no token of Ed448: this one was signed with the secret key of
 * RFC 8032 section 7.4 ("Blank") by that section's formulas in plain integers,
 * without a line of the library that checks it. */

static const char  own_ed448_key[] =
    "{\"kty\":\"OKP\",\"crv\":\"Ed448\","
    "\"x\":\"X9dEm1m0Yf0s54fsYWrUah2hNCSFpw4fig6nXYDpZ3jt8SR2m0bHBhvWeD3x5Q9s"
    "0foavq_oJWGA\"}";

static const char  own_ed448[] =
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDQ0OCBzaWduaW5n.wW3QG5pxlbrl9796"
    "GM2Qj9-MQq3jDHjsK2qqqtr9Q0ihOxa0OCRBzy4zbFnaQk-s6xvjcRnRaDIAR4oP1CIeu-"
    "wQpEzyTYHE4bXP6uhQXLTkJzjEW_5OyLX3_BdsvrFcWfncU3KgI24y1ShgnvigBA4A";

/* RFC 7520 sections 4.1 to 4.4 */

#define COOK                                                                  \
    "."                                                                       \
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIg"    \
    "ZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVw"    \
    "IHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJl"    \
    "IHN3ZXB0IG9mZiB0by4"                                                     \
    "."

static const char  cook_rs256_key[] =
    "{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":"
    "\"sig\",\"alg"
    "\":\"RS256\",\"n\":\"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTe"
    "T-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-"
    "QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1"
    "E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-"
    "tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5i"
    "aiQkqgc5gHdrNP5zw\",\"e\":\"AQAB\"}";

static const char  cook_rs256[] =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBs"
    "ZSJ9" COOK
    "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM"
    "1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWR"
    "a-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnH"
    "XFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KL"
    "UQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDqu"
    "Dg";

static const char  cook_ps384_key[] =
    "{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":"
    "\"sig\",\"alg"
    "\":\"PS384\",\"n\":\"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTe"
    "T-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-"
    "QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1"
    "E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-"
    "tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5i"
    "aiQkqgc5gHdrNP5zw\",\"e\":\"AQAB\"}";

static const char  cook_ps384[] =
    "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBs"
    "ZSJ9" COOK
    "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tP"
    "id6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8b"
    "iiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrx"
    "UeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlq"
    "RHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72E"
    "aw";

static const char  cook_es512_key[] =
    "{\"kty\":\"EC\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\""
    "sig\",\"crv\""
    ":\"P-521\",\"x\":\"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9"
    "A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt\",\"y\":\"AdymlHvOiLxXkEhayXQnNCvDX4h"
    "9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1\"}";

static const char  cook_es512[] =
    "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBs"
    "ZSJ9" COOK
    "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon"
    "7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2pu"
    "Qens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2";

static const char  cook_hs256_key[] =
    "{\"kty\":\"oct\",\"kid\":\"018c0ae5-4d9b-471b-bfd6-eef314bc7037\",\"u"
    "se\":\"sig"
    "\",\"alg\":\"HS256\",\"k\":\"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxC"
    "cYg\"}";

static const char  cook_hs256[] =
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMx"
    "NGJjNzAzNyJ9" COOK
    "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0";

static travel_jwt_parser_t  *parser;


static int
setup(void **state)
{
    (void) state;

    parser = travel_jwt_parser_create();

    return parser == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    travel_jwt_parser_free(parser);

    return 0;
}


/* nginx calls whatever is left on OpenSSL's error queue an alert. */

static int
errors_cleared(void **state)
{
    (void) state;

    return ERR_peek_error() != 0;
}


static int
load(travel_jwks_t **jwks, uint32_t allow, const char *keys)
{
    int          rc;
    char        *text;
    const char  *why = NULL;

    text = malloc(strlen(keys) + 16);
    sprintf(text, "{\"keys\":[%s]}", keys);
    *jwks = NULL;
    rc = travel_jwks_load(jwks, S(text), allow, &why);
    assert_int_equal(why == NULL, rc == TRAVEL_OK);
    free(text);

    return rc;
}


static int
verify(const travel_jwks_t *jwks, const char *token, size_t *key)
{
    int            rc;
    size_t         k = 99;
    const char    *why = NULL;
    travel_jwt_t   jwt;

    rc = travel_jws_parse(parser, S(token), &jwt, &why);
    if (rc != TRAVEL_OK) {
        return rc;
    }

    rc = travel_jwks_verify(jwks, &jwt, S(token), &k, &why);

    assert_int_equal(why == NULL, rc == TRAVEL_OK);
    assert_int_equal(k == 99, rc != TRAVEL_OK);

    if (key) {
        *key = k;
    }

    return rc;
}


static void
rfc_vectors(void **state)
{
    size_t          i, n, p;
    char            token[1024];
    travel_jwks_t  *jwks;

    static const struct { const char *key, *token; } rows[] = {
        { rfc_hs256_key, rfc_hs256 }, { rfc_rs256_key, rfc_rs256 },
        { rfc_es256_key, rfc_es256 }, { rfc_es512_key, rfc_es512 },
        { rfc_eddsa_key, rfc_eddsa }, { cook_rs256_key, cook_rs256 },
        { cook_ps384_key, cook_ps384 }, { cook_es512_key, cook_es512 },
        { cook_hs256_key, cook_hs256 }, { own_ed448_key, own_ed448 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(load(&jwks, ALL, rows[i].key), TRAVEL_OK);
        assert_int_equal(verify(jwks, rows[i].token, NULL), TRAVEL_OK);

        /* not one character of payload or signature may be another */

        n = strlen(rows[i].token);

        for (p = strcspn(rows[i].token, "."); p < n; p += 1 + p % 3) {
            strcpy(token, rows[i].token);

            if (token[p] == '.') {
                continue;
            }

            token[p] = token[p] == 'A' ? 'Q' : 'A';
            assert_int_not_equal(verify(jwks, token, NULL), TRAVEL_OK);
        }

        travel_jwks_free(jwks);
    }
}


/* RFC 8032 section 7.4 ("Blank" and "1 octet"): there is no Ed448 among the
 * JOSE RFCs' tokens, so the check is asked directly. */

static void
ed448_vectors(void **state)
{
    size_t          i;
    uint8_t         key[57], sig[114];
    char           *x, text[256];
    travel_jwk_t    jwk;
    travel_json_t  *doc;
    travel_json_error_t  err;

    static const struct { const char *key, *message, *sig; } rows[] = {
        { "5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778"
          "edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180", "",
          "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f"
          "2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980ff0d2028d4b18a"
          "9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4db"
          "b61149f05a7363268c71d95808ff2e652600" },
        { "43ba28f430cdff456ae531545f7ecd0ac834a55d9358c0372bfa0c6c6798c086"
          "6aea01eb00742802b8438ea4cb82169c235160627b4c3a9480", "\x03",
          "26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f435"
          "2541b143c4b981b7e18f62de8ccdf633fc1bf037ab7cd779805e0dbcc0aae1cb"
          "cee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0f"
          "f3348ab21aa4adafd1d234441cf807c03a00" }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(travel_hex_decode(key, S(rows[i].key)), TRAVEL_OK);
        assert_int_equal(travel_hex_decode(sig, S(rows[i].sig)), TRAVEL_OK);

        x = jose_b64(key, sizeof(key));
        snprintf(text, sizeof(text), "{\"kty\":\"OKP\",\"crv\":\"Ed448\","
                 "\"x\":\"%s\"}", x);
        free(x);

        doc = travel_json_create(sizeof(text));
        assert_int_equal(travel_json_parse(doc, S(text), 4, &err), TRAVEL_OK);
        assert_int_equal(travel_jwk_read(&jwk, doc, 0, ALL), TRAVEL_OK);
        assert_int_equal(travel_jwk_verify(&jwk, S(rows[i].message),
            (travel_str_t) { (char *) sig, sizeof(sig) }), TRAVEL_OK);
        assert_int_equal(travel_jwk_verify(&jwk, S("x"),
            (travel_str_t) { (char *) sig, sizeof(sig) }), TRAVEL_REFUSED);
        sig[20] ^= 1;
        assert_int_equal(travel_jwk_verify(&jwk, S(rows[i].message),
            (travel_str_t) { (char *) sig, sizeof(sig) }), TRAVEL_REFUSED);

        travel_jwk_close(&jwk);
        travel_json_free(doc);
    }
}


/* RFC 8032 sections 5.1.7 and 5.2.7: S is below the group's order.  The same
 * signatures with the order added to S fulfil the equation all the same, so
 * only the bound tells them apart: one token has one spelling. */

static void
ed_canonical(void **state)
{
    char            token[512];
    size_t          i;
    travel_jwks_t  *jwks;

    static const struct { const char *key, *token, *sig; } rows[] = {
        { rfc_eddsa_key, rfc_eddsa,
          "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6KLa6_pyZkOh9Vg8wk"
          "iO1VhVsPt9g7sVvpAr_MuM0KEg" },
        { own_ed448_key, own_ed448,
          "wW3QG5pxlbrl9796GM2Qj9-MQq3jDHjsK2qqqtr9Q0ihOxa0OCRBzy4zbFna"
          "Qk-s6xvjcRnRaDIAOs9nf7XgMxBmMxKAwEMxA0YGwZeaNwOpEVyO2P1OyLX3"
          "_BdsvrFcWfncU3KgI24y1ShgnvigBE4A" }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(load(&jwks, ALL, rows[i].key), TRAVEL_OK);
        assert_int_equal(verify(jwks, rows[i].token, NULL), TRAVEL_OK);

        strcpy(token, rows[i].token);
        strcpy(strrchr(token, '.') + 1, rows[i].sig);
        assert_int_equal(strlen(token), strlen(rows[i].token));
        assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);

        travel_jwks_free(jwks);
    }
}


/* A token that brings its own key, or says where there is one, is checked with
 * the key of the set like any other (RFC 8725 section 3.10). */

static void
keys_in_the_header(void **state)
{
    size_t          i;
    char           *jwk, *token, header[2048];
    EVP_PKEY       *ours, *theirs;
    travel_jwks_t  *jwks;

    static const char  *forms[] = {
        "{\"alg\":\"ES256\",\"jwk\":%s}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"jwk\":%s}",
        "{\"alg\":\"ES256\",\"jku\":\"https://evil.example/k\",\"a\":%s}",
        "{\"alg\":\"ES256\",\"x5u\":\"https://evil.example/c\",\"a\":%s}",
        "{\"alg\":\"ES256\",\"x5c\":[\"MIIB\"],\"a\":%s}"
    };

    (void) state;

    ours = jose_key(TRAVEL_ALG_ES256, 0);
    theirs = jose_key(TRAVEL_ALG_ES256, 0);
    jwk = jose_jwk(ours, ",\"kid\":\"k\"");
    assert_int_equal(load(&jwks, ALL, jwk), TRAVEL_OK);
    free(jwk);
    jwk = jose_jwk(theirs, ",\"kid\":\"k\"");

    for (i = 0; i < N(forms); i++) {
        snprintf(header, sizeof(header), forms[i], jwk);

        token = jose_token(TRAVEL_ALG_ES256, theirs, header, "{}");
        assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
        free(token);

        token = jose_token(TRAVEL_ALG_ES256, ours, header, "{}");
        assert_int_equal(verify(jwks, token, NULL), TRAVEL_OK);
        free(token);
    }

    free(jwk);
    travel_jwks_free(jwks);
    EVP_PKEY_free(ours);
    EVP_PKEY_free(theirs);
}


/* A kid is compared with those of the set and used for nothing else. */

static void
kids_that_are_not_names(void **state)
{
    size_t          i;
    char           *jwk, *token, header[512];
    EVP_PKEY       *pkey;
    travel_jwks_t  *jwks;

    static const char  *kids[] = {
        "../../../../etc/passwd", "/dev/null", "' OR '1'='1", "k'; --",
        "http://evil.example/k", "K", "k ", "k\\u0020", "", "%00", "$(id)"
    };

    (void) state;

    pkey = jose_key(TRAVEL_ALG_ES256, 0);
    jwk = jose_jwk(pkey, ",\"kid\":\"k\"");
    assert_int_equal(load(&jwks, ALL, jwk), TRAVEL_OK);
    free(jwk);

    for (i = 0; i < N(kids); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\"}",
                 kids[i]);
        token = jose_token(TRAVEL_ALG_ES256, pkey, header, "{}");

        /* an empty one is none */
        assert_int_equal(verify(jwks, token, NULL),
                         kids[i][0] ? TRAVEL_UNKNOWN : TRAVEL_OK);
        free(token);
    }

    travel_jwks_free(jwks);
    EVP_PKEY_free(pkey);
}


/* Under a public key of small order everything is signed: an identity as R
 * and zero as S fit any message. */

static void
points_of_small_order(void **state)
{
    size_t          i, n;
    char           *x, text[256];
    uint8_t         key[57];
    travel_jwks_t  *jwks;

    static const struct { uint8_t first, rest, last; size_t n; } rows[] = {
        { 0x00, 0x00, 0x00, 32 }, { 0x00, 0x00, 0x80, 32 },
        { 0x01, 0x00, 0x00, 32 }, { 0x01, 0x00, 0x80, 32 },
        { 0xec, 0xff, 0x7f, 32 }, { 0xec, 0xff, 0xff, 32 },
        { 0xed, 0xff, 0x7f, 32 }, { 0xee, 0xff, 0xff, 32 },
        { 0x00, 0x00, 0x00, 57 }, { 0x01, 0x00, 0x80, 57 },
        { 0x01, 0x00, 0x00, 57 }, { 0xfe, 0xff, 0x00, 57 },
        { 0xff, 0xff, 0x80, 57 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        n = rows[i].n;
        memset(key, rows[i].rest, sizeof(key));
        key[0] = rows[i].first;
        key[n - 1] = rows[i].last;

        if (n == 57 && rows[i].rest == 0xff) {
            key[28] = 0xfe;
        }

        x = jose_b64(key, n);
        snprintf(text, sizeof(text), "{\"kty\":\"OKP\",\"crv\":\"%s\","
                 "\"x\":\"%s\"}", n == 32 ? "Ed25519" : "Ed448", x);
        free(x);
        assert_int_equal(load(&jwks, ALL, text), TRAVEL_INVALID);
    }

    /* the two of order eight */

    assert_int_equal(load(&jwks, ALL, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
        "\"x\":\"JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU\"}"),
        TRAVEL_INVALID);
    assert_int_equal(load(&jwks, ALL, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
        "\"x\":\"xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o\"}"),
        TRAVEL_INVALID);
}


static void
thumbprints(void **state)
{
    char            text[64];
    size_t          n;
    travel_jwks_t  *jwks;

    (void) state;

    /* RFC 7638 section 3.1, RFC 8037 appendix A.3 */

    assert_int_equal(load(&jwks, ALL,
        "{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWh"
        "M78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM"
        "stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
        "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdk"
        "t-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\","
        "\"kid\":\"2011-04-29\"},"
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
        "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"), TRAVEL_OK);
    assert_int_equal(travel_jwks_count(jwks), 2);

    n = travel_base64url_encode(text, travel_jwks_thumbprint(jwks, 0), 32);
    assert_str(((travel_str_t) { text, n }),
               "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");

    n = travel_base64url_encode(text, travel_jwks_thumbprint(jwks, 1), 32);
    assert_str(((travel_str_t) { text, n }),
               "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");

    travel_jwks_free(jwks);
}


/* Each algorithm with a new key: good, tampered, cut, grown, and under every
 * other algorithm's name. */

static void
every_algorithm(void **state)
{
    int             a, b, k;
    char           *jwk, *token, header[64], more[64];
    EVP_PKEY       *pkey;
    travel_jwks_t  *jwks;
    size_t          n;

    (void) state;

    for (k = 0; k <= TRAVEL_ALG_MAX; k++) {         /* EdDSA twice */
        a = k == TRAVEL_ALG_MAX ? TRAVEL_ALG_EDDSA : k;
        pkey = jose_key((travel_alg_e) a, k == TRAVEL_ALG_MAX);
        assert_non_null(pkey);

        snprintf(more, sizeof(more), ",\"kid\":\"k\",\"alg\":\"%s\"",
                 travel_alg_name((travel_alg_e) a));
        jwk = jose_jwk(pkey, more);
        assert_int_equal(load(&jwks, ALL, jwk), TRAVEL_OK);
        free(jwk);

        snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"k\"}",
                 travel_alg_name((travel_alg_e) a));
        token = jose_token((travel_alg_e) a, pkey, header, "{\"sub\":\"a\"}");
        assert_int_equal(verify(jwks, token, NULL), TRAVEL_OK);
        assert_int_equal(verify(jwks, token, NULL), TRAVEL_OK);

        n = strlen(token);
        token[n - 10] = token[n - 10] == 'A' ? 'B' : 'A';
        assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
        token[n - 4] = '\0';
        assert_int_not_equal(verify(jwks, token, NULL), TRAVEL_OK);
        free(token);

        /* the same key must not speak another algorithm (RFC 8725 3.1) */

        for (b = 0; b < TRAVEL_ALG_MAX; b++) {
            if (b == a || b > TRAVEL_ALG_PS512 || a > TRAVEL_ALG_PS512) {
                continue;
            }

            snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"k\"}",
                     travel_alg_name((travel_alg_e) b));
            token = jose_token((travel_alg_e) b, pkey, header, "{}");
            assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
            free(token);
        }

        travel_jwks_free(jwks);
        EVP_PKEY_free(pkey);
    }
}


/* The public key as an HMAC secret: the oldest trick. */

static void
hmac_with_a_public_key(void **state)
{
    char           *token, pem[1024];
    BIO            *bio;
    EVP_PKEY       *rsa, *hmac;
    int             n;
    char           *jwk;
    travel_jwks_t  *jwks;

    (void) state;

    rsa = jose_key(TRAVEL_ALG_RS256, 0);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, rsa);
    n = BIO_read(bio, pem, sizeof(pem));
    BIO_free(bio);

    hmac = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL,
                                        (const uint8_t *) pem, (size_t) n);
    token = jose_token(TRAVEL_ALG_HS256, hmac,
                       "{\"alg\":\"HS256\",\"kid\":\"k\"}", "{}");

    jwk = jose_jwk(rsa, ",\"kid\":\"k\"");
    assert_int_equal(load(&jwks, ALL, jwk), TRAVEL_OK);
    assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
    travel_jwks_free(jwks);

    free(jwk);
    free(token);
    EVP_PKEY_free(hmac);
    EVP_PKEY_free(rsa);
}


static void
symmetric_only_when_allowed(void **state)
{
    char            both[2048];
    travel_jwks_t  *jwks;

    (void) state;

    assert_int_equal(load(&jwks, TRAVEL_ALG_PUBLIC_MASK, rfc_hs256_key),
                     TRAVEL_INVALID);

    snprintf(both, sizeof(both), "%s,%s", rfc_hs256_key, rfc_es256_key);
    assert_int_equal(load(&jwks, TRAVEL_ALG_PUBLIC_MASK, both), TRAVEL_OK);
    assert_int_equal(travel_jwks_count(jwks), 1);
    assert_int_equal(travel_jwks_skipped(jwks), 1);
    assert_int_equal(verify(jwks, rfc_hs256, NULL), TRAVEL_UNKNOWN);
    assert_int_equal(verify(jwks, rfc_es256, NULL), TRAVEL_OK);
    travel_jwks_free(jwks);

    /* a mask may also take away */

    assert_int_equal(load(&jwks, TRAVEL_ALG_BIT(TRAVEL_ALG_EDDSA), both),
                     TRAVEL_INVALID);
}


/* Signatures of zeros, of the group's order, in DER: none of them is one
 * (CVE-2022-21449 and its kin). */

static void
psychic_signatures(void **state)
{
    size_t          i;
    char           *token;
    uint8_t         sig[64];
    travel_jwks_t  *jwks;

    static const uint8_t  order[32] = {
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
        0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51
    };

    (void) state;

    assert_int_equal(load(&jwks, ALL, rfc_es256_key), TRAVEL_OK);

    for (i = 0; i < 4; i++) {
        memset(sig, 0, sizeof(sig));

        if (i & 1) { memcpy(sig, order, 32); }
        if (i & 2) { memcpy(sig + 32, order, 32); }

        token = jose_join("{\"alg\":\"ES256\"}", "{}", sig, sizeof(sig));
        assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
        free(token);
    }

    memset(sig, 1, sizeof(sig));

    for (i = 1; i <= 64; i++) {
        if (i == 64) {
            continue;
        }

        token = jose_join("{\"alg\":\"ES256\"}", "{}", sig, i);
        assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
        free(token);
    }

    token = jose_join("{\"alg\":\"ES256\"}", "{}",
        "\x30\x06\x02\x01\x01\x02\x01\x01", 8);
    assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
    free(token);

    travel_jwks_free(jwks);

    /* and one that is longer than any */

    token = malloc(8192);
    memset(token, 'A', 8191);
    memcpy(token, "eyJhbGciOiJSUzI1NiJ9.e30.", 25);
    token[25 + 4000] = '\0';
    assert_int_equal(load(&jwks, ALL, rfc_rs256_key), TRAVEL_OK);
    assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
    travel_jwks_free(jwks);
    free(token);
}


static void
choosing_by_kid(void **state)
{
    char           *jwk[3], *token, *keys;
    size_t          i, key;
    EVP_PKEY       *pkey[3];
    travel_jwks_t  *jwks;

    static const char  *more[] = {
        ",\"kid\":\"a\"", ",\"kid\":\"b\"", ",\"kid\":\"a\""
    };

    (void) state;

    /* "a" twice: one for RS256, one for ES256, as RFC 7517 4.5 allows */

    for (i = 0; i < 3; i++) {
        pkey[i] = jose_key(i == 2 ? TRAVEL_ALG_RS256 : TRAVEL_ALG_ES256, 0);
        jwk[i] = jose_jwk(pkey[i], more[i]);
    }

    keys = malloc(8192);
    sprintf(keys, "%s,%s,%s", jwk[0], jwk[1], jwk[2]);
    assert_int_equal(load(&jwks, ALL, keys), TRAVEL_OK);

    token = jose_token(TRAVEL_ALG_ES256, pkey[1],
                       "{\"alg\":\"ES256\",\"kid\":\"b\"}", "{}");
    assert_int_equal(verify(jwks, token, &key), TRAVEL_OK);
    assert_int_equal(key, 1);
    free(token);

    token = jose_token(TRAVEL_ALG_RS256, pkey[2],
                       "{\"alg\":\"RS256\",\"kid\":\"a\"}", "{}");
    assert_int_equal(verify(jwks, token, &key), TRAVEL_OK);
    assert_int_equal(key, 2);
    free(token);

    /* the right key under another's name, an unknown name, an alg that no
     * key of that name has */

    token = jose_token(TRAVEL_ALG_ES256, pkey[1],
                       "{\"alg\":\"ES256\",\"kid\":\"a\"}", "{}");
    assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
    free(token);

    token = jose_token(TRAVEL_ALG_ES256, pkey[1],
                       "{\"alg\":\"ES256\",\"kid\":\"c\"}", "{}");
    assert_int_equal(verify(jwks, token, NULL), TRAVEL_UNKNOWN);
    free(token);

    token = jose_token(TRAVEL_ALG_RS256, pkey[2],
                       "{\"alg\":\"RS256\",\"kid\":\"b\"}", "{}");
    assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
    free(token);

    /* without a name every key of the algorithm is tried */

    token = jose_token(TRAVEL_ALG_ES256, pkey[1], "{\"alg\":\"ES256\"}", "{}");
    assert_int_equal(verify(jwks, token, &key), TRAVEL_OK);
    assert_int_equal(key, 1);
    free(token);

    token = jose_token(TRAVEL_ALG_PS256, pkey[2], "{\"alg\":\"PS256\"}", "{}");
    assert_int_equal(verify(jwks, token, NULL), TRAVEL_UNKNOWN);
    free(token);

    travel_jwks_free(jwks);

    /* but at most four */

    keys[0] = '\0';
    for (i = 0; i < 4; i++) {
        strcat(strcat(keys, jwk[0]), ",");
    }
    strcat(keys, jwk[1]);
    assert_int_equal(load(&jwks, ALL, keys), TRAVEL_OK);
    token = jose_token(TRAVEL_ALG_ES256, pkey[1], "{\"alg\":\"ES256\"}", "{}");
    assert_int_equal(verify(jwks, token, NULL), TRAVEL_REFUSED);
    free(token);
    travel_jwks_free(jwks);

    for (i = 0; i < 3; i++) {
        EVP_PKEY_free(pkey[i]);
        free(jwk[i]);
    }

    free(keys);
}


#define EC_X  "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y  "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\""  \
              EC_Y "\""

static void
unusable_keys_are_skipped(void **state)
{
    size_t          i;
    char           *jwk, *two;
    EVP_PKEY       *pkey;
    travel_jwks_t  *jwks;

    static const char  *bad[] = {
        "7", "null", "[]", "{}", "{\"kty\":\"EC\"}", "{\"kty\":7}",
        "{" EC ",\"use\":\"enc\"}", "{" EC ",\"use\":7}",
        "{" EC ",\"key_ops\":[\"sign\"]}", "{" EC ",\"key_ops\":[]}",
        "{" EC ",\"key_ops\":\"verify\"}",
        "{" EC ",\"key_ops\":[[\"verify\"]]}",
        "{" EC ",\"alg\":\"ES384\"}", "{" EC ",\"alg\":\"HS256\"}",
        "{" EC ",\"alg\":\"none\"}", "{" EC ",\"alg\":7}",
        "{" EC ",\"alg\":\"ECDH-ES\"}", "{" EC ",\"kid\":7}",
        /* off the curve; other curves; wrong lengths */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X
            "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
            "\"}",
        "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X "\",\"y\":\""
            EC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"AA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"" EC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "AA\",\"y\":\"" EC_Y
            "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "=\",\"y\":\"" EC_Y
            "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":7,\"y\":\"" EC_Y "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" EC_X "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" EC_X "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}",
        "{\"kty\":\"RSA\",\"n\":\"" EC_X "\",\"e\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"k\":\"" EC_X "\",\"alg\":\"HS384\"}",
        "{\"kty\":\"oct\",\"k\":\"AAAA\"}", "{\"kty\":\"oct\"}",
        "{\"kty\":\"oct\",\"k\":\"" EC_X "\",\"alg\":\"RS256\"}"
    };

    (void) state;

    two = malloc(8192);

    for (i = 0; i < N(bad); i++) {
        if (load(&jwks, ALL, bad[i]) != TRAVEL_INVALID) {
            fail_msg("loaded: %s", bad[i]);
        }

        sprintf(two, "%s,{" EC "},%s", bad[i], bad[i]);
        assert_int_equal(load(&jwks, ALL, two), TRAVEL_OK);
        assert_int_equal(travel_jwks_count(jwks), 1);
        assert_int_equal(travel_jwks_skipped(jwks), 2);
        assert_int_equal(verify(jwks, rfc_es256, NULL), TRAVEL_OK);
        travel_jwks_free(jwks);
    }

    /* RSA: 2047 bits, 1024 bits, an even modulus, exponents 1 and 2 */

    for (i = 1024; i < 2048; i += 1023) {
        pkey = EVP_RSA_gen((unsigned) i);
        jwk = jose_jwk(pkey, "");
        assert_int_equal(load(&jwks, ALL, jwk), TRAVEL_INVALID);
        free(jwk);
        EVP_PKEY_free(pkey);
    }

    pkey = EVP_RSA_gen(2048);
    jwk = jose_jwk(pkey, "");

    strcpy(two, jwk);
    memcpy(strstr(two, "AQAB"), "AQ\" ", 4);
    *strrchr(two, '"') = ' ';
    assert_int_equal(load(&jwks, ALL, two), TRAVEL_INVALID);

    strcpy(two, jwk);
    memcpy(strstr(two, "AQAB"), "AQAA", 4);
    assert_int_equal(load(&jwks, ALL, two), TRAVEL_INVALID);

    strcpy(two, jwk);
    memcpy(strstr(two, "\"n\":\"") + 5, "A", 1);       /* the highest bits */
    assert_int_equal(load(&jwks, ALL, two), TRAVEL_INVALID);

    free(jwk);
    EVP_PKEY_free(pkey);
    free(two);
}


static void
usable_oddities(void **state)
{
    size_t          i;
    travel_jwks_t  *jwks;

    static const char  *good[] = {
        "{" EC ",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"]}",
        "{" EC ",\"alg\":\"ES256\",\"x5c\":[\"junk\"],\"unknown\":{}}",
        /* a private half that should not be there is not looked at */
        "{" EC ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}"
    };

    (void) state;

    for (i = 0; i < N(good); i++) {
        assert_int_equal(load(&jwks, ALL, good[i]), TRAVEL_OK);
        assert_int_equal(verify(jwks, rfc_es256, NULL), TRAVEL_OK);
        travel_jwks_free(jwks);
    }
}


/* A zero byte before the modulus, as some libraries write it, neither hurts a
 * good key nor lifts a short one over the bound. */

static void
modulus_with_a_zero(void **state)
{
    int             i;
    char           *n, *token, jwk[2048];
    EVP_PKEY       *pkey;
    travel_jwks_t  *jwks;

    (void) state;

    for (i = 0; i < 2; i++) {
        pkey = EVP_RSA_gen(i ? 2040 : 2048);
        n = jose_number(pkey, OSSL_PKEY_PARAM_RSA_N, i ? 256 : 257);
        snprintf(jwk, sizeof(jwk),
                 "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%s\"}", n);

        if (i) {
            assert_int_equal(load(&jwks, ALL, jwk), TRAVEL_INVALID);

        } else {
            assert_int_equal(load(&jwks, ALL, jwk), TRAVEL_OK);
            token = jose_token(TRAVEL_ALG_RS256, pkey, "{\"alg\":\"RS256\"}",
                               "{}");
            assert_int_equal(verify(jwks, token, NULL), TRAVEL_OK);
            free(token);
            travel_jwks_free(jwks);
        }

        free(n);
        EVP_PKEY_free(pkey);
    }
}


static void
large_sets(void **state)
{
    size_t          i;
    char           *keys;
    travel_jwks_t  *jwks;

    (void) state;

    keys = malloc(8192);
    strcpy(keys, "{" EC "}");

    for (i = 1; i < 1024; i++) {
        strcat(keys, ",{}");
    }

    assert_int_equal(load(&jwks, ALL, keys), TRAVEL_OK);
    assert_int_equal(travel_jwks_skipped(jwks), 1023);
    assert_int_equal(verify(jwks, rfc_es256, NULL), TRAVEL_OK);
    travel_jwks_free(jwks);

    strcat(keys, ",{}");
    assert_int_equal(load(&jwks, ALL, keys), TRAVEL_INVALID);
    free(keys);
}


static void
broken_sets(void **state)
{
    size_t          i;
    const char     *why;
    travel_jwks_t  *jwks;

    static const char  *bad[] = {
        "", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[]}",
        "{\"keys\":null}", "{\"keys\":[{" EC "}]", "{\"keys\":[{" EC "}]} x",
        "{\"keys\":[{" EC "}],\"keys\":[]}",
        "{\"keys\":[{" EC ",\"x\":\"" EC_X "\"}]}", "[{" EC "}]", "{" EC "}"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        jwks = NULL;
        assert_int_equal(travel_jwks_load(&jwks, S(bad[i]), ALL, &why),
                         TRAVEL_INVALID);
        assert_null(jwks);
    }

    travel_jwks_free(NULL);
}


static char *
pem_of(EVP_PKEY *pkey, const char *password)
{
    BIO   *bio;
    char  *pem;
    int    n;

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, pkey, password ? EVP_aes_128_cbc() : NULL,
                             (const unsigned char *) password,
                             password ? (int) strlen(password) : 0, NULL,
                             NULL);
    pem = calloc(1, 8192);
    n = BIO_read(bio, pem, 8191);
    assert_true(n > 0);
    BIO_free(bio);

    return pem;
}


static void
own_tokens(void **state)
{
    char           *pem, token[TRAVEL_JWT_MAX + 1], set[1024], kid[64];
    size_t          key, n, room;
    EVP_PKEY       *pkey;
    const char     *why;
    travel_jwt_t    jwt;
    travel_jwks_t  *jwks;

    (void) state;

    pkey = EVP_EC_gen("P-256");
    pem = pem_of(pkey, NULL);

    assert_int_equal(travel_jwks_of_pem(set, sizeof(set), S(pem), &why),
                     TRAVEL_OK);
    assert_null(strstr(set, "\"d\""));
    assert_int_equal(travel_jwks_load(&jwks, S(set), TRAVEL_ALG_PUBLIC_MASK,
                                      &why), TRAVEL_OK);

    for (n = 0; n < 50; n++) {        /* r and s of every length */
        assert_int_equal(travel_jwt_sign(token, sizeof(token), S(pem),
            L("{\"iss\":\"https://travel.local\",\"sub\":\"u\"}"), &why),
            TRAVEL_OK);
        assert_int_equal(travel_jwt_parse(parser, S(token), &jwt, &why),
                         TRAVEL_OK);
        assert_int_equal(jwt.alg, TRAVEL_ALG_ES256);
        assert_str(jwt.typ, "JWT");
        assert_str(jwt.iss, "https://travel.local");
        assert_int_equal(travel_jwks_verify(jwks, &jwt, S(token), &key, &why),
                         TRAVEL_OK);
    }

    /* kid is the thumbprint that a loader computes for itself */

    n = travel_base64url_encode(kid, travel_jwks_thumbprint(jwks, 0), 32);
    assert_true(travel_str_eq(jwt.kid, (travel_str_t) { kid, n }));

    /* rooms: exactly enough, and less */

    room = strlen(token) + 1;
    assert_int_equal(travel_jwt_sign(token, room, S(pem),
        L("{\"iss\":\"https://travel.local\",\"sub\":\"u\"}"), &why),
        TRAVEL_OK);
    assert_int_equal(travel_jwt_sign(token, room - 1, S(pem),
        L("{\"iss\":\"https://travel.local\",\"sub\":\"u\"}"), &why),
        TRAVEL_INVALID);
    assert_int_equal(travel_jwks_of_pem(token, strlen(set) + 1, S(pem), &why),
                     TRAVEL_OK);
    assert_string_equal(token, set);
    assert_int_equal(travel_jwks_of_pem(token, strlen(set), S(pem), &why),
                     TRAVEL_INVALID);
    assert_int_equal(travel_jwks_of_pem(token, 0, S(pem), &why),
                     TRAVEL_INVALID);

    travel_jwks_free(jwks);
    free(pem);
    EVP_PKEY_free(pkey);
}


/* With others' keys, by the names they go by. */

static void
signed_for_others(void **state)
{
    int             i;
    char           *pem, *jwk, set[4096], token[4096], long_kid[130];
    size_t          key;
    EVP_PKEY       *pkey;
    const char     *why;
    travel_jwt_t    jwt;
    travel_alg_e    alg;
    travel_jwks_t  *jwks;

    (void) state;

    memset(long_kid, 'k', sizeof(long_kid));

    for (i = 0; i < 2; i++) {
        alg = i == 0 ? TRAVEL_ALG_RS256 : TRAVEL_ALG_ES256;
        pkey = jose_key(alg, 0);
        pem = pem_of(pkey, NULL);
        jwk = jose_jwk(pkey, ",\"kid\":\"ABC123\"");
        snprintf(set, sizeof(set), "{\"keys\":[%s]}", jwk);
        assert_int_equal(travel_jwks_load(&jwks, S(set),
                                          TRAVEL_ALG_PUBLIC_MASK, &why),
                         TRAVEL_OK);

        assert_int_equal(travel_jwt_sign_as(token, sizeof(token), S(pem), alg,
            L("ABC123"), L("{\"iss\":\"team\",\"iat\":1}"), &why),
            TRAVEL_OK);
        assert_int_equal(travel_jwt_parse(parser, S(token), &jwt, &why),
                         TRAVEL_OK);
        assert_int_equal(jwt.alg, alg);
        assert_str(jwt.kid, "ABC123");
        assert_str(jwt.iss, "team");
        assert_int_equal(travel_jwks_verify(jwks, &jwt, S(token), &key, &why),
                         TRAVEL_OK);

        assert_int_equal(travel_jwt_sign_as(token, sizeof(token), S(pem), alg,
            L(""), L("{}"), &why), TRAVEL_OK);
        assert_int_equal(travel_jwt_parse(parser, S(token), &jwt, &why),
                         TRAVEL_OK);
        assert_int_equal(jwt.kid.len, 0);

        /* the other algorithm's key, one that is not there, a long name */
        assert_int_equal(travel_jwt_sign_as(token, sizeof(token), S(pem),
            i == 0 ? TRAVEL_ALG_ES256 : TRAVEL_ALG_RS256, L("k"), L("{}"),
            &why), TRAVEL_INVALID);
        assert_int_equal(travel_jwt_sign_as(token, sizeof(token), S(pem),
            TRAVEL_ALG_RS512, L("k"), L("{}"), &why), TRAVEL_INVALID);
        assert_int_equal(travel_jwt_sign_as(token, sizeof(token), S(pem), alg,
            (travel_str_t) { long_kid, 128 }, L("{}"), &why), TRAVEL_OK);
        assert_int_equal(travel_jwt_sign_as(token, sizeof(token), S(pem), alg,
            (travel_str_t) { long_kid, 129 }, L("{}"), &why), TRAVEL_INVALID);

        travel_jwks_free(jwks);
        free(jwk);
        free(pem);
        EVP_PKEY_free(pkey);
    }
}


static void
keys_that_do_not_sign(void **state)
{
    int          i;
    char        *pem, token[4096];
    EVP_PKEY    *pkey;
    const char  *why;

    (void) state;

    for (i = 0; i < 4; i++) {
        pkey = i == 0 ? EVP_EC_gen("P-384")
             : i == 1 ? EVP_RSA_gen(2048)
             : i == 2 ? EVP_EC_gen("secp256k1")
             : EVP_EC_gen("P-256");
        pem = pem_of(pkey, i == 3 ? "secret" : NULL);    /* must not ask */

        assert_int_equal(travel_jwt_sign(token, sizeof(token), S(pem), L("{}"),
                                         &why), TRAVEL_INVALID);
        assert_int_equal(travel_jwks_of_pem(token, sizeof(token), S(pem),
                                            &why), TRAVEL_INVALID);
        free(pem);
        EVP_PKEY_free(pkey);
    }

    assert_int_equal(travel_jwt_sign(token, sizeof(token), L(""), L("{}"),
                                     &why), TRAVEL_INVALID);
    assert_int_equal(travel_jwt_sign(token, sizeof(token),
        L("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        L("{}"), &why), TRAVEL_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_teardown(rfc_vectors, errors_cleared),
        cmocka_unit_test_teardown(ed448_vectors, errors_cleared),
        cmocka_unit_test_teardown(ed_canonical, errors_cleared),
        cmocka_unit_test_teardown(keys_in_the_header, errors_cleared),
        cmocka_unit_test_teardown(kids_that_are_not_names, errors_cleared),
        cmocka_unit_test_teardown(points_of_small_order, errors_cleared),
        cmocka_unit_test_teardown(thumbprints, errors_cleared),
        cmocka_unit_test_teardown(every_algorithm, errors_cleared),
        cmocka_unit_test_teardown(hmac_with_a_public_key, errors_cleared),
        cmocka_unit_test_teardown(symmetric_only_when_allowed, errors_cleared),
        cmocka_unit_test_teardown(psychic_signatures, errors_cleared),
        cmocka_unit_test_teardown(choosing_by_kid, errors_cleared),
        cmocka_unit_test_teardown(unusable_keys_are_skipped, errors_cleared),
        cmocka_unit_test_teardown(usable_oddities, errors_cleared),
        cmocka_unit_test_teardown(modulus_with_a_zero, errors_cleared),
        cmocka_unit_test_teardown(large_sets, errors_cleared),
        cmocka_unit_test_teardown(broken_sets, errors_cleared),
        cmocka_unit_test_teardown(own_tokens, errors_cleared),
        cmocka_unit_test_teardown(signed_for_others, errors_cleared),
        cmocka_unit_test_teardown(keys_that_do_not_sign, errors_cleared)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
