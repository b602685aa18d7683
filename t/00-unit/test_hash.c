/* Digests against published vectors, SipHash against a second writing of it. */

#include "unit.h"
#include "hash.h"


static void
assert_hex(const uint8_t *raw, size_t n, const char *want)
{
    char  hex[257];

    travel_hex_encode(hex, raw, n);
    hex[2 * n] = '\0';

    assert_string_equal(hex, want);
}


static void
sha256_vectors(void **state)
{
    uint8_t  md[TRAVEL_SHA256_LEN];

    (void) state;

    assert_int_equal(travel_sha256(md, L("")), TRAVEL_OK);
    assert_hex(md, 32, "e3b0c44298fc1c149afbf4c8996fb924"
                       "27ae41e4649b934ca495991b7852b855");

    assert_int_equal(travel_sha256(md, L("abc")), TRAVEL_OK);
    assert_hex(md, 32, "ba7816bf8f01cfea414140de5dae2223"
                       "b00361a396177a9cb410ff61f20015ad");

    assert_int_equal(travel_sha256(md, L("abcdbcdecdefdefgefghfghighijhijkijkl"
                                         "jklmklmnlmnomnopnopq")), TRAVEL_OK);
    assert_hex(md, 32, "248d6a61d20638b8e5c026930c3e6039"
                       "a33ce45964ff2167f6ecedd419db06c1");

    assert_int_equal(travel_sha256(md, TRAVEL_NULL_STR), TRAVEL_OK);
    assert_hex(md, 4, "e3b0c442");
}


static void
parts_are_framed(void **state)
{
    uint8_t  a[TRAVEL_SHA256_LEN], b[TRAVEL_SHA256_LEN];

    (void) state;

    assert_int_equal(travel_sha256_parts(a, (travel_str_t[]) {
                         L("ab"), L("c") }, 2), TRAVEL_OK);
    assert_int_equal(travel_sha256_parts(b, (travel_str_t[]) {
                         L("a"), L("bc") }, 2), TRAVEL_OK);
    assert_memory_not_equal(a, b, sizeof(a));

    assert_int_equal(travel_sha256_parts(b, (travel_str_t[]) {
                         L("ab"), L("c"), TRAVEL_NULL_STR }, 3), TRAVEL_OK);
    assert_memory_not_equal(a, b, sizeof(a));

    /* the frame is what the header says: others recompute it */

    assert_int_equal(travel_sha256(b, L("\0\0\0\0\0\0\0\2" "ab"
                                        "\0\0\0\0\0\0\0\1" "c")), TRAVEL_OK);
    assert_memory_equal(a, b, sizeof(a));
}


/* RFC 4231, all cases whose output is whole */

static void
hmac_vectors(void **state)
{
    size_t   i;
    char     ones[131], dd[50], cd[50], count[25];
    uint8_t  md[TRAVEL_SHA256_LEN];

    (void) state;

    memset(ones, 0xaa, sizeof(ones));
    memset(dd, 0xdd, sizeof(dd));
    memset(cd, 0xcd, sizeof(cd));

    for (i = 0; i < sizeof(count); i++) {
        count[i] = (char) (i + 1);
    }

    const struct { travel_str_t key, data; const char *mac; } rows[] = {
        { L("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
            "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"), L("Hi There"),
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { L("Jefe"), L("what do ya want for nothing?"),
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { { ones, 20 }, { dd, 50 },
          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
        { { count, 25 }, { cd, 50 },
          "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
        { { ones, 131 },
          L("Test Using Larger Than Block-Size Key - Hash Key First"),
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
        { { ones, 131 },
          L("This is a test using a larger than block-size key and a larger t"
            "han block-size data. The key needs to be hashed before being use"
            "d by the HMAC algorithm."),
          "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" }
    };

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(travel_hmac_sha256(md, rows[i].key, rows[i].data),
                         TRAVEL_OK);
        assert_hex(md, sizeof(md), rows[i].mac);
    }

    /* an empty key is a key of zeros */

    assert_int_equal(travel_hmac_sha256(md, TRAVEL_NULL_STR, L("")),
                     TRAVEL_OK);
    assert_hex(md, sizeof(md), "b613679a0814d9ec772f95d778c35fc5"
                               "ff1697c493715653c6c712144292c5ad");
}


static void
hexadecimal(void **state)
{
    char     text[512];
    size_t   i;
    uint8_t  raw[8], all[256], back[256];

    static const char  *bad[] = {
        "0", "abc", "0g", "g0", "AB", "0 ", "-1", "0:", "0/", "0`"
    };

    (void) state;

    assert_int_equal(travel_hex_decode(raw, L("00ff7f80deadbeef")),
                     TRAVEL_OK);
    assert_memory_equal(raw, "\x00\xff\x7f\x80\xde\xad\xbe\xef", 8);
    assert_hex(raw, 8, "00ff7f80deadbeef");
    assert_int_equal(travel_hex_decode(raw, L("")), TRAVEL_OK);

    for (i = 0; i < sizeof(all); i++) {
        all[i] = (uint8_t) i;
    }

    travel_hex_encode(text, all, sizeof(all));
    assert_int_equal(travel_hex_decode(back, (travel_str_t) { text, 512 }),
                     TRAVEL_OK);
    assert_memory_equal(back, all, sizeof(all));

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_hex_decode(raw, S(bad[i])), TRAVEL_INVALID);
    }
}


/* SipHash-c-d written for clarity, proved on the paper's own 2-4 vector. */

static uint64_t
rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}


static void
rounds(uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d, int n)
{
    while (n--) {
        *a += *b; *c += *d;
        *b = rotate(*b, 13); *d = rotate(*d, 16);
        *b ^= *a; *d ^= *c;
        *a = rotate(*a, 32);
        *c += *b; *a += *d;
        *b = rotate(*b, 17); *d = rotate(*d, 21);
        *b ^= *c; *d ^= *a;
        *c = rotate(*c, 32);
    }
}


static uint64_t
reference(uint64_t k0, uint64_t k1, const uint8_t *m, size_t n, int c, int d)
{
    size_t    i, w;
    uint64_t  v0, v1, v2, v3, word;

    v0 = k0 ^ 0x736f6d6570736575; v1 = k1 ^ 0x646f72616e646f6d;
    v2 = k0 ^ 0x6c7967656e657261; v3 = k1 ^ 0x7465646279746573;

    for (w = 0; w <= n / 8; w++) {
        word = 0;

        for (i = 0; i < 8 && w * 8 + i < n; i++) {
            word |= (uint64_t) m[w * 8 + i] << (8 * i);
        }

        if (w == n / 8) {
            word |= (uint64_t) (n & 255) << 56;
        }

        v3 ^= word;
        rounds(&v0, &v1, &v2, &v3, c);
        v0 ^= word;
    }

    v2 ^= 255;
    rounds(&v0, &v1, &v2, &v3, d);

    return v0 ^ v1 ^ v2 ^ v3;
}


static void
siphash(void **state)
{
    size_t                n, i, j, same;
    uint8_t               m[300];
    uint64_t              seen[300];
    travel_siphash_key_t  key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
    travel_siphash_key_t  other = { 0x0706050403020100, 0x0f0e0d0c0b0a0909 };

    (void) state;

    for (i = 0; i < sizeof(m); i++) {
        m[i] = (uint8_t) i;
    }

    assert_true(reference(key.k0, key.k1, m, 15, 2, 4) == 0xa129ca6149be45e5);

    for (n = 0; n < sizeof(m); n++) {
        seen[n] = travel_siphash(&key, m, n);
        assert_true(seen[n] == reference(key.k0, key.k1, m, n, 1, 3));
        assert_true(travel_siphash(&other, m, n) != seen[n]);
    }

    for (same = 0, i = 0; i < N(seen); i++) {
        for (j = 0; j < i; j++) {
            same += seen[i] == seen[j];
        }
    }

    assert_int_equal(same, 0);

    /* unaligned input reads the same */

    memmove(m + 1, m, 64);
    assert_true(travel_siphash(&key, m + 1, 64) == seen[64]);
}


static void
secrets_and_random(void **state)
{
    uint8_t  a[64], b[64];

    (void) state;

    assert_true(travel_secret_eq(L("secret"), L("secret")));
    assert_false(travel_secret_eq(L("secret"), L("secreT")));
    assert_false(travel_secret_eq(L("secret"), L("secre")));
    assert_true(travel_secret_eq(TRAVEL_NULL_STR, L("")));

    memset(a, 0, sizeof(a));
    assert_int_equal(travel_random(a, sizeof(a)), TRAVEL_OK);
    assert_int_equal(travel_random(b, sizeof(b)), TRAVEL_OK);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(travel_random(a, 0), TRAVEL_OK);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(parts_are_framed),
        cmocka_unit_test(hmac_vectors),
        cmocka_unit_test(hexadecimal),
        cmocka_unit_test(siphash),
        cmocka_unit_test(secrets_and_random)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
