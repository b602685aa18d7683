/*
 * SHA-256, HMAC-SHA-256, hexadecimal, SipHash-1-3 and random bytes.
 *
 * The digests use OpenSSL's block functions with their state on the stack and
 * not EVP, because an EVP digest of 36 bytes costs more in its context (two
 * allocations and, unless cached in a global, a provider fetch under a lock)
 * than in its hashing.  OpenSSL 3 marks them deprecated in favour of EVP; they
 * are the same code beneath it, SHA extensions included.
 */

#define OPENSSL_SUPPRESS_DEPRECATED

#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "hash.h"


#define TRAVEL_SHA256_BLOCK  64

#define ROTL(x, n)  ((x) << (n) | (x) >> (64 - (n)))

#define SIPROUND(v)                                                           \
    do {                                                                      \
        v[0] += v[1]; v[1] = ROTL(v[1], 13); v[1] ^= v[0];                    \
        v[0] = ROTL(v[0], 32);                                                \
        v[2] += v[3]; v[3] = ROTL(v[3], 16); v[3] ^= v[2];                    \
        v[0] += v[3]; v[3] = ROTL(v[3], 21); v[3] ^= v[0];                    \
        v[2] += v[1]; v[1] = ROTL(v[1], 17); v[1] ^= v[2];                    \
        v[2] = ROTL(v[2], 32);                                                \
    } while (0)


int
travel_sha256(uint8_t ret_md[TRAVEL_SHA256_LEN], travel_str_t data)
{
    SHA256_CTX  ctx;

    if (!SHA256_Init(&ctx)
        || !SHA256_Update(&ctx, data.data, data.len)
        || !SHA256_Final(ret_md, &ctx))
    {
        return TRAVEL_ERROR;
    }

    return TRAVEL_OK;
}


/* A part is its length as 8 bytes, big-endian, then its bytes. */

int
travel_sha256_parts(uint8_t ret_md[TRAVEL_SHA256_LEN],
    const travel_str_t *parts, size_t n)
{
    int         b;
    size_t      i;
    uint8_t     frame[8];
    SHA256_CTX  ctx;

    if (!SHA256_Init(&ctx)) {
        return TRAVEL_ERROR;
    }

    for (i = 0; i < n; i++) {

        for (b = 0; b < 8; b++) {
            frame[b] = (uint8_t) ((uint64_t) parts[i].len >> (56 - 8 * b));
        }

        if (!SHA256_Update(&ctx, frame, sizeof(frame))
            || !SHA256_Update(&ctx, parts[i].data, parts[i].len))
        {
            return TRAVEL_ERROR;
        }
    }

    return SHA256_Final(ret_md, &ctx) ? TRAVEL_OK : TRAVEL_ERROR;
}


/* One half of RFC 2104: hash of (key xor 'mask') and the message. */

static int
travel_hmac_half(uint8_t md[TRAVEL_SHA256_LEN],
    const uint8_t key[TRAVEL_SHA256_BLOCK], uint8_t mask, travel_str_t data)
{
    int         i, ok;
    uint8_t     pad[TRAVEL_SHA256_BLOCK];
    SHA256_CTX  ctx;

    for (i = 0; i < TRAVEL_SHA256_BLOCK; i++) {
        pad[i] = key[i] ^ mask;
    }

    ok = SHA256_Init(&ctx)
         && SHA256_Update(&ctx, pad, sizeof(pad))
         && SHA256_Update(&ctx, data.data, data.len)
         && SHA256_Final(md, &ctx);

    OPENSSL_cleanse(pad, sizeof(pad));
    OPENSSL_cleanse(&ctx, sizeof(ctx));

    return ok ? TRAVEL_OK : TRAVEL_ERROR;
}


int
travel_hmac_sha256(uint8_t ret_md[TRAVEL_SHA256_LEN], travel_str_t key,
    travel_str_t data)
{
    int      rc;
    uint8_t  block[TRAVEL_SHA256_BLOCK] = { 0 };
    uint8_t  inner[TRAVEL_SHA256_LEN];

    rc = TRAVEL_OK;

    if (key.len > sizeof(block)) {
        rc = travel_sha256(block, key);

    } else if (key.len) {
        memcpy(block, key.data, key.len);
    }

    if (rc == TRAVEL_OK) {
        rc = travel_hmac_half(inner, block, 0x36, data);
    }

    if (rc == TRAVEL_OK) {
        rc = travel_hmac_half(ret_md, block, 0x5c,
                 (travel_str_t) { (const char *) inner, sizeof(inner) });
    }

    OPENSSL_cleanse(block, sizeof(block));

    return rc;
}


void
travel_hex_encode(char *dst, const uint8_t *src, size_t n)
{
    size_t             i;
    static const char  digits[16] = "0123456789abcdef";

    for (i = 0; i < n; i++) {
        *dst++ = digits[src[i] >> 4];
        *dst++ = digits[src[i] & 15];
    }
}


static int
travel_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


int
travel_hex_decode(uint8_t *dst, travel_str_t hex)
{
    int     hi, lo;
    size_t  i;

    if (hex.len % 2) {
        return TRAVEL_INVALID;
    }

    for (i = 0; i < hex.len; i += 2) {
        hi = travel_hex_digit(hex.data[i]);
        lo = travel_hex_digit(hex.data[i + 1]);

        if (hi < 0 || lo < 0) {
            return TRAVEL_INVALID;
        }

        *dst++ = (uint8_t) (hi << 4 | lo);
    }

    return TRAVEL_OK;
}


/* Little-endian whatever the machine, so that a hash means the same on both
 * sides of a connection; compilers make one load of it. */

static inline uint64_t
travel_load64(const uint8_t *p)
{
    return (uint64_t) p[0] | (uint64_t) p[1] << 8
           | (uint64_t) p[2] << 16 | (uint64_t) p[3] << 24
           | (uint64_t) p[4] << 32 | (uint64_t) p[5] << 40
           | (uint64_t) p[6] << 48 | (uint64_t) p[7] << 56;
}


uint64_t
travel_siphash(const travel_siphash_key_t *key, const void *data, size_t n)
{
    size_t          left;
    uint64_t        v[4], m;
    const uint8_t  *p;

    v[0] = key->k0 ^ 0x736f6d6570736575ULL;
    v[1] = key->k1 ^ 0x646f72616e646f6dULL;
    v[2] = key->k0 ^ 0x6c7967656e657261ULL;
    v[3] = key->k1 ^ 0x7465646279746573ULL;

    p = data;

    for (left = n; left >= 8; left -= 8, p += 8) {
        m = travel_load64(p);

        v[3] ^= m;
        SIPROUND(v);
        v[0] ^= m;
    }

    m = (uint64_t) n << 56;

    while (left) {
        left--;
        m |= (uint64_t) p[left] << (8 * left);
    }

    v[3] ^= m;
    SIPROUND(v);
    v[0] ^= m;

    v[2] ^= 0xff;
    SIPROUND(v);
    SIPROUND(v);
    SIPROUND(v);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


bool
travel_secret_eq(travel_str_t a, travel_str_t b)
{
    return a.len == b.len
           && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}


int
travel_random(void *dst, size_t n)
{
    if (n > INT_MAX || RAND_bytes(dst, (int) n) != 1) {
        return TRAVEL_ERROR;
    }

    return TRAVEL_OK;
}
