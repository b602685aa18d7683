/* Sealing and opening, by OpenSSL's X25519, HMAC and AES-256-GCM. */

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "seal.h"

#define SEAL_HEAD  TRAVEL_SEAL_KEY_LEN
#define SEAL_INFO  "ngx_travel seal v1\001"     /* and HKDF's first counter */

typedef struct {
    travel_seal_public_t   public;
    EVP_PKEY              *pkey;
} seal_key_t;

struct travel_seal_keys_s {
    size_t                 n;
    seal_key_t             keys[TRAVEL_SEAL_KEYS_MAX];
};

static const char  seal_version[3] = { 'v', '1', '.' };


/* --- keys ----------------------------------------------------------------- */

/* The raw public key of an X25519 key, and its name. */
static int
seal_public_of(travel_seal_public_t *ret_key, EVP_PKEY *pkey)
{
    size_t   len = TRAVEL_SEAL_KEY_LEN;
    uint8_t  md[TRAVEL_SHA256_LEN];

    if (EVP_PKEY_id(pkey) != EVP_PKEY_X25519
        || EVP_PKEY_get_raw_public_key(pkey, ret_key->key, &len) != 1
        || len != TRAVEL_SEAL_KEY_LEN
        || travel_sha256(md, (travel_str_t) { (char *) ret_key->key, len })
           != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    memcpy(ret_key->name, md, TRAVEL_SEAL_NAME_LEN);

    return TRAVEL_OK;
}


int
travel_seal_public(travel_seal_public_t *ret_key, travel_str_t pem)
{
    int                    rc = TRAVEL_INVALID;
    BIO                   *bio;
    EVP_PKEY              *pkey;
    travel_seal_public_t   key = { 0 };

    bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    pkey = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;

    if (pkey != NULL) {
        rc = seal_public_of(&key, pkey);
    }

    if (rc == TRAVEL_OK) {
        *ret_key = key;
    }

    EVP_PKEY_free(pkey);
    BIO_free(bio);

    return rc;
}


/* A file that asks for a pass phrase has none here. */
static int
seal_no_password(char *buf, int size, int rwflag, void *data)
{
    (void) buf;
    (void) size;
    (void) rwflag;
    (void) data;

    return -1;
}


int
travel_seal_private(travel_seal_keys_t **ret_keys, travel_str_t pem)
{
    int                  rc = TRAVEL_OK;
    BIO                 *bio;
    EVP_PKEY            *pkey;
    travel_seal_keys_t  *keys;

    bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    keys = calloc(1, sizeof(travel_seal_keys_t));

    if (bio == NULL || keys == NULL) {
        BIO_free(bio);
        free(keys);
        return TRAVEL_ERROR;
    }

    while (rc == TRAVEL_OK
           && (pkey = PEM_read_bio_PrivateKey(bio, NULL, seal_no_password,
                                              NULL))
              != NULL)
    {
        if (keys->n == TRAVEL_SEAL_KEYS_MAX
            || seal_public_of(&keys->keys[keys->n].public, pkey) != TRAVEL_OK)
        {
            EVP_PKEY_free(pkey);
            rc = TRAVEL_INVALID;
            break;
        }

        keys->keys[keys->n++].pkey = pkey;
    }

    BIO_free(bio);

    if (rc != TRAVEL_OK || keys->n == 0) {
        travel_seal_free(keys);
        return TRAVEL_INVALID;
    }

    *ret_keys = keys;

    return TRAVEL_OK;
}


const travel_seal_public_t *
travel_seal_newest(const travel_seal_keys_t *keys)
{
    return &keys->keys[0].public;
}


void
travel_seal_free(travel_seal_keys_t *keys)
{
    size_t  i;

    for (i = 0; keys != NULL && i < keys->n; i++) {
        EVP_PKEY_free(keys->keys[i].pkey);
    }

    free(keys);
}


/* --- the box -------------------------------------------------------------- */

/* HKDF of the shared secret, one block of it. */
static int
seal_expand(uint8_t ret_key[TRAVEL_SHA256_LEN], travel_str_t secret,
    const uint8_t *made, const uint8_t *theirs)
{
    int      rc;
    uint8_t  salt[2 * TRAVEL_SEAL_KEY_LEN], prk[TRAVEL_SHA256_LEN];

    memcpy(salt, made, TRAVEL_SEAL_KEY_LEN);
    memcpy(salt + TRAVEL_SEAL_KEY_LEN, theirs, TRAVEL_SEAL_KEY_LEN);

    rc = travel_hmac_sha256(prk, (travel_str_t) { (char *) salt, sizeof(salt) },
                            secret);

    if (rc == TRAVEL_OK) {
        rc = travel_hmac_sha256(ret_key,
                                (travel_str_t) { (char *) prk, sizeof(prk) },
                                TRAVEL_STR(SEAL_INFO));
    }

    OPENSSL_cleanse(prk, sizeof(prk));

    return rc;
}


/* The key of AES, by one's private and the other's public key; 'made' is the
 * one that was made for the value. */
static int
seal_agree(uint8_t ret_key[TRAVEL_SHA256_LEN], EVP_PKEY *own,
    const uint8_t *other, const uint8_t *made, const uint8_t *theirs)
{
    int            rc = TRAVEL_ERROR;
    size_t         len = TRAVEL_SEAL_KEY_LEN;
    uint8_t        secret[TRAVEL_SEAL_KEY_LEN];
    EVP_PKEY      *peer;
    EVP_PKEY_CTX  *ctx;

    peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, other,
                                       TRAVEL_SEAL_KEY_LEN);
    ctx = EVP_PKEY_CTX_new(own, NULL);

    if (peer != NULL && ctx != NULL && EVP_PKEY_derive_init(ctx) == 1) {

        /* a point of low order is not agreed upon (RFC 7748 section 6.1) */

        rc = EVP_PKEY_derive_set_peer(ctx, peer) == 1
             && EVP_PKEY_derive(ctx, secret, &len) == 1
             ? seal_expand(ret_key, (travel_str_t) { (char *) secret, len },
                           made, theirs)
             : TRAVEL_INVALID;
    }

    OPENSSL_cleanse(secret, sizeof(secret));
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(peer);

    return rc;
}


static int
seal_place(uint8_t md[TRAVEL_SHA256_LEN], const travel_seal_place_t *place)
{
    travel_str_t  parts[3];

    parts[0] = place->type;
    parts[1] = place->sub;
    parts[2] = place->member;

    return travel_sha256_parts(md, parts, 3);
}


/* AES-256-GCM: 'tag' is written or checked.  TRAVEL_INVALID: it is not its. */
static int
seal_crypt(uint8_t *dst, const uint8_t *src, size_t len, uint8_t *tag,
    const uint8_t key[TRAVEL_SHA256_LEN], const uint8_t md[TRAVEL_SHA256_LEN],
    int encrypt)
{
    int              n, good;
    uint8_t          nonce[12] = { 0 };
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();

    good = ctx != NULL && len <= INT32_MAX
           && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce,
                                encrypt)
              == 1
           && EVP_CipherUpdate(ctx, NULL, &n, md, TRAVEL_SHA256_LEN) == 1
           && EVP_CipherUpdate(ctx, dst, &n, src, (int) len) == 1;

    if (good && !encrypt) {
        good = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG,
                                   TRAVEL_SEAL_TAG_LEN, tag)
               == 1;
    }

    good = good && EVP_CipherFinal_ex(ctx, dst + len, &n) == 1;

    if (good && encrypt) {
        good = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG,
                                   TRAVEL_SEAL_TAG_LEN, tag)
               == 1;
    }

    EVP_CIPHER_CTX_free(ctx);

    return good ? TRAVEL_OK : encrypt ? TRAVEL_ERROR : TRAVEL_INVALID;
}


/* --- sealing -------------------------------------------------------------- */

static int
seal_box(uint8_t *box, const travel_seal_public_t *key,
    const travel_seal_place_t *place, travel_str_t value)
{
    int                    rc;
    uint8_t                aes[TRAVEL_SHA256_LEN], md[TRAVEL_SHA256_LEN];
    EVP_PKEY              *made;
    travel_seal_public_t   public;

    made = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");

    rc = made != NULL ? seal_public_of(&public, made) : TRAVEL_ERROR;

    if (rc == TRAVEL_OK) {
        rc = seal_agree(aes, made, key->key, public.key, key->key);
    }

    if (rc == TRAVEL_OK) {
        rc = seal_place(md, place);
    }

    if (rc == TRAVEL_OK) {
        memcpy(box, public.key, SEAL_HEAD);
        rc = seal_crypt(box + SEAL_HEAD, (const uint8_t *) value.data,
                        value.len, box + SEAL_HEAD + value.len, aes, md, 1);
    }

    OPENSSL_cleanse(aes, sizeof(aes));
    EVP_PKEY_free(made);

    return rc == TRAVEL_OK ? TRAVEL_OK : TRAVEL_ERROR;
}


int
travel_seal(char *dst, const travel_seal_public_t *key,
    const travel_seal_place_t *place, travel_str_t value)
{
    int       rc;
    size_t    len;
    uint8_t  *box;

    len = SEAL_HEAD + value.len + TRAVEL_SEAL_TAG_LEN;
    box = malloc(len);

    if (box == NULL) {
        return TRAVEL_ERROR;
    }

    rc = seal_box(box, key, place, value);

    if (rc == TRAVEL_OK) {
        memcpy(dst, seal_version, sizeof(seal_version));
        dst += sizeof(seal_version);
        dst += travel_base64url_encode(dst, key->name, TRAVEL_SEAL_NAME_LEN);
        *dst++ = '.';
        (void) travel_base64url_encode(dst, box, len);
    }

    free(box);

    return rc;
}


/* --- opening -------------------------------------------------------------- */

/* Into its two parts; 'box' is decoded into 'dst'. */
static int
seal_parts(travel_str_t sealed, uint8_t name[TRAVEL_SEAL_NAME_LEN],
    uint8_t *dst, size_t *ret_len)
{
    size_t        len;
    uint8_t       bytes[TRAVEL_BASE64URL_MAX(
                          TRAVEL_BASE64URL_LEN(TRAVEL_SEAL_NAME_LEN)) + 1];
    travel_str_t  head, box;

    head.data = sealed.data + sizeof(seal_version);
    head.len = TRAVEL_BASE64URL_LEN(TRAVEL_SEAL_NAME_LEN);

    if (sealed.len < TRAVEL_SEALED_LEN(0)
        || memcmp(sealed.data, seal_version, sizeof(seal_version)) != 0
        || head.data[head.len] != '.'
        || travel_base64url_decode(bytes, &len, head) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    memcpy(name, bytes, TRAVEL_SEAL_NAME_LEN);

    box.data = head.data + head.len + 1;
    box.len = (size_t) (sealed.data + sealed.len - box.data);

    return travel_base64url_decode(dst, ret_len, box) == TRAVEL_OK
           && *ret_len >= SEAL_HEAD + TRAVEL_SEAL_TAG_LEN
           ? TRAVEL_OK : TRAVEL_INVALID;
}


static int
seal_open(char *dst, size_t *ret_len, const seal_key_t *key,
    const travel_seal_place_t *place, uint8_t *box, size_t len)
{
    int      rc;
    uint8_t  aes[TRAVEL_SHA256_LEN], md[TRAVEL_SHA256_LEN];

    rc = seal_agree(aes, key->pkey, box, box, key->public.key);

    if (rc == TRAVEL_OK) {
        rc = seal_place(md, place);
    }

    if (rc == TRAVEL_OK) {
        len -= SEAL_HEAD + TRAVEL_SEAL_TAG_LEN;
        rc = seal_crypt((uint8_t *) dst, box + SEAL_HEAD, len,
                        box + SEAL_HEAD + len, aes, md, 0);
    }

    if (rc == TRAVEL_OK) {
        *ret_len = len;
    }

    OPENSSL_cleanse(aes, sizeof(aes));

    return rc;
}


int
travel_unseal(char *dst, size_t *ret_len, const travel_seal_keys_t *keys,
    const travel_seal_place_t *place, travel_str_t sealed)
{
    int       rc;
    size_t    i, len;
    uint8_t  *box, name[TRAVEL_SEAL_NAME_LEN];

    box = malloc(sealed.len + 1);

    if (box == NULL) {
        return TRAVEL_ERROR;
    }

    rc = seal_parts(sealed, name, box, &len);

    if (rc == TRAVEL_OK) {
        rc = TRAVEL_UNKNOWN;

        for (i = 0; i < keys->n; i++) {
            if (memcmp(keys->keys[i].public.name, name, sizeof(name)) == 0) {
                rc = seal_open(dst, ret_len, &keys->keys[i], place, box, len);
                break;
            }
        }
    }

    free(box);

    return rc;
}
