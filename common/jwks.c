/* A set of keys: loading it, and finding the one that signed a token. */

#include <stdlib.h>

#include "base64url.h"
#include "jwk.h"


#define TRAVEL_JWKS_DEPTH       16
#define TRAVEL_JWKS_MAX         1024
#define TRAVEL_JWKS_CANDIDATES  4      /* what one token may cost */

struct travel_jwks_s {
    size_t         n;
    size_t         skipped;
    travel_jwk_t   keys[];
};


void
travel_jwks_free(travel_jwks_t *jwks)
{
    size_t  i;

    if (jwks == NULL) {
        return;
    }

    for (i = 0; i < jwks->n; i++) {
        travel_jwk_close(&jwks->keys[i]);
    }

    free(jwks);
}


/* The "keys" array of a document that parsed; NULL with *ret_why. */

static const travel_json_node_t *
travel_jwks_array(const travel_json_t *doc, const char **ret_why)
{
    const travel_json_node_t  *keys;

    keys = NULL;

    if (travel_json_nodes(doc)->type == TRAVEL_JSON_OBJECT) {
        keys = travel_json_member(doc, 0, TRAVEL_STR("keys"));
    }

    if (keys == NULL || keys->type != TRAVEL_JSON_ARRAY) {
        *ret_why = "the JWKS has no array \"keys\"";
        return NULL;
    }

    if (keys->count > TRAVEL_JWKS_MAX) {
        *ret_why = "the JWKS has too many keys";
        return NULL;
    }

    return keys;
}


static int
travel_jwks_read(travel_jwks_t **ret_jwks, const travel_json_t *doc,
    uint32_t allow, const char **ret_why)
{
    int                        rc;
    uint32_t                   i;
    travel_jwks_t             *jwks;
    const travel_json_node_t  *key, *keys, *nodes;

    keys = travel_jwks_array(doc, ret_why);
    if (keys == NULL) {
        return TRAVEL_INVALID;
    }

    jwks = malloc(sizeof(*jwks) + keys->count * sizeof(jwks->keys[0]));
    if (jwks == NULL) {
        *ret_why = "out of memory";
        return TRAVEL_ERROR;
    }

    jwks->n = 0;
    jwks->skipped = 0;

    nodes = travel_json_nodes(doc);
    key = keys + 1;

    for (i = 0; i < keys->count; i++, key = nodes + key->next) {

        rc = travel_jwk_read(&jwks->keys[jwks->n], doc,
                             (uint32_t) (key - nodes), allow);

        if (rc == TRAVEL_OK) {
            jwks->n++;

        } else if (rc == TRAVEL_REFUSED) {
            jwks->skipped++;

        } else {
            travel_jwks_free(jwks);
            *ret_why = "a key could not be prepared";
            return rc;
        }
    }

    if (jwks->n == 0) {
        travel_jwks_free(jwks);
        *ret_why = "the JWKS has no usable key";
        return TRAVEL_INVALID;
    }

    *ret_jwks = jwks;

    return TRAVEL_OK;
}


int
travel_jwks_load(travel_jwks_t **ret_jwks, travel_str_t text, uint32_t allow,
    const char **ret_why)
{
    int                  rc;
    travel_json_t       *doc;
    travel_json_error_t  err;

    doc = travel_json_create(text.len);
    if (doc == NULL) {
        *ret_why = "out of memory";
        return TRAVEL_ERROR;
    }

    rc = travel_json_parse(doc, text, TRAVEL_JWKS_DEPTH, &err);

    if (rc == TRAVEL_OK) {
        rc = travel_jwks_read(ret_jwks, doc, allow, ret_why);

    } else {
        *ret_why = rc == TRAVEL_INVALID ? "the JWKS is not strict JSON"
                                        : "out of memory";
    }

    travel_json_free(doc);

    return rc;
}


size_t
travel_jwks_count(const travel_jwks_t *jwks)
{
    return jwks->n;
}


size_t
travel_jwks_skipped(const travel_jwks_t *jwks)
{
    return jwks->skipped;
}


const uint8_t *
travel_jwks_thumbprint(const travel_jwks_t *jwks, size_t i)
{
    return jwks->keys[i].thumbprint;
}


travel_str_t
travel_jwks_kid(const travel_jwks_t *jwks, size_t i)
{
    return jwks->keys[i].kid;
}


/* The signature's bytes: what follows the signing input and its dot. */

static int
travel_jwks_signature(uint8_t dst[TRAVEL_SIGNATURE_MAX], size_t *ret_len,
    const travel_jwt_t *jwt, travel_str_t token)
{
    travel_str_t  text;

    if (token.len <= jwt->signing_input.len + 1) {
        return TRAVEL_INVALID;
    }

    text.data = token.data + jwt->signing_input.len + 1;
    text.len = token.len - jwt->signing_input.len - 1;

    if (text.len > TRAVEL_BASE64URL_LEN(TRAVEL_SIGNATURE_MAX)) {
        return TRAVEL_INVALID;
    }

    return travel_base64url_decode(dst, ret_len, text);
}


int
travel_jwks_verify(const travel_jwks_t *jwks, const travel_jwt_t *jwt,
    travel_str_t token, size_t *ret_key, const char **ret_why)
{
    int                  rc;
    bool                 named;
    size_t               i, n, tried;
    uint8_t              bytes[TRAVEL_SIGNATURE_MAX];
    travel_str_t         signature;
    const travel_jwk_t  *key;

    if (travel_jwks_signature(bytes, &n, jwt, token) != TRAVEL_OK) {
        *ret_why = "the signature is malformed";
        return TRAVEL_REFUSED;
    }

    signature = (travel_str_t) { (const char *) bytes, n };
    named = false;
    tried = 0;

    for (i = 0; i < jwks->n && tried < TRAVEL_JWKS_CANDIDATES; i++) {
        key = &jwks->keys[i];

        if (jwt->kid.len) {
            if (!travel_str_eq(key->kid, jwt->kid)) {
                continue;
            }

            named = true;
        }

        if (key->alg != jwt->alg) {
            continue;
        }

        tried++;
        rc = travel_jwk_verify(key, jwt->signing_input, signature);

        if (rc == TRAVEL_OK) {
            *ret_key = i;
            return TRAVEL_OK;
        }

        if (rc != TRAVEL_REFUSED) {
            *ret_why = "the signature could not be checked";
            return rc;
        }
    }

    if (tried) {
        *ret_why = "the signature is not valid";
        return TRAVEL_REFUSED;
    }

    if (named) {
        *ret_why = "the token's alg is not its key's";
        return TRAVEL_REFUSED;
    }

    *ret_why = "no key of the set fits the token";

    return TRAVEL_UNKNOWN;
}
