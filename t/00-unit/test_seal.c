/* Sealed values: opened by their key, at their place, and by nothing else. */

#include <stdio.h>

#include "unit.h"
#include "seal.h"

/* Made by "openssl genpkey -algorithm X25519", and "openssl pkey -pubout". */
static const char  private_a[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIEDtvfGEvCg42W0Ys02OE5YT7R8zg42V1WIQMX2zJ6x/\n"
    "-----END PRIVATE KEY-----\n";
static const char  public_a[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VuAyEAQSsUOnMMay0meqMVBwXYhO5ywNOfTZSs0I1wtac8wWI=\n"
    "-----END PUBLIC KEY-----\n";
static const char  private_b[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIKgVvPCiA4xAX2KsL+MpCTTC+7DW5/kHk42WzWVHynh5\n"
    "-----END PRIVATE KEY-----\n";
static const char  private_ed25519[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEINpQe5ZsvOe2tzuWCwHVZ4IPwOyNbj5CwQXipRUvT4Sh\n"
    "-----END PRIVATE KEY-----\n";

static travel_seal_place_t
place_of(const char *type, const char *sub, const char *member)
{
    return (travel_seal_place_t) { S(type), S(sub), S(member) };
}


/* NUL-terminated; the caller's to free. */
static char *
seal_of(const char *value, const travel_seal_place_t *place)
{
    char                  *text;
    size_t                 len = TRAVEL_SEALED_LEN(strlen(value));
    travel_seal_public_t   key;

    assert_int_equal(travel_seal_public(&key, S(public_a)), TRAVEL_OK);
    text = test_malloc(len + 1);
    assert_int_equal(travel_seal(text, &key, place, S(value)), TRAVEL_OK);
    text[len] = '\0';

    return text;
}


static int
open_of(char *dst, const travel_seal_keys_t *keys,
    const travel_seal_place_t *place, const char *sealed)
{
    int     rc;
    size_t  len = 0;

    rc = travel_unseal(dst, &len, keys, place, S(sealed));
    dst[rc == TRAVEL_OK ? len : 0] = '\0';

    return rc;
}


static void
test_round(void **state)
{
    char                  back[4096], long_value[2048];
    char                 *first, *again;
    size_t                i;
    travel_seal_keys_t   *keys;
    travel_seal_place_t   place = place_of("booking.create", "alice", "card");

    (void) state;

    memset(long_value, 'x', sizeof(long_value) - 1);
    long_value[sizeof(long_value) - 1] = '\0';

    const char  *values[] = { "\"4111 1111 1111 1111\"", "7", "", "null",
                              "{\"a\":[1,2]}", long_value };

    assert_int_equal(travel_seal_private(&keys, S(private_a)), TRAVEL_OK);

    for (i = 0; i < N(values); i++) {
        first = seal_of(values[i], &place);
        again = seal_of(values[i], &place);

        assert_string_not_equal(first, again);
        assert_memory_equal(first, "v1.", 3);
        assert_null(strpbrk(first, "\"\\ +/="));

        assert_int_equal(open_of(back, keys, &place, first), TRAVEL_OK);
        assert_string_equal(back, values[i]);
        assert_int_equal(open_of(back, keys, &place, again), TRAVEL_OK);
        assert_string_equal(back, values[i]);

        test_free(first);
        test_free(again);
    }

    travel_seal_free(keys);
}


static void
test_place(void **state)
{
    char                  back[256], *sealed;
    size_t                i;
    travel_seal_keys_t   *keys;
    travel_seal_place_t   place = place_of("booking.create", "alice", "card");
    travel_seal_place_t   others[] = {
        place_of("booking.cancel", "alice", "card"),
        place_of("booking.create", "bob", "card"),
        place_of("booking.create", "alice", "cvc"),
        place_of("booking.createalice", "", "card")
    };

    (void) state;

    assert_int_equal(travel_seal_private(&keys, S(private_a)), TRAVEL_OK);
    sealed = seal_of("\"secret\"", &place);

    for (i = 0; i < N(others); i++) {
        assert_int_equal(open_of(back, keys, &others[i], sealed),
                         TRAVEL_INVALID);
    }

    test_free(sealed);
    travel_seal_free(keys);
}


/* Each character of it counts. */
static void
test_tampered(void **state)
{
    int                   rc;
    char                  back[256], was, *sealed;
    size_t                i, len;
    travel_seal_keys_t   *keys;
    travel_seal_place_t   place = place_of("t", "s", "m");

    (void) state;

    assert_int_equal(travel_seal_private(&keys, S(private_a)), TRAVEL_OK);
    sealed = seal_of("12345", &place);
    len = strlen(sealed);

    for (i = 0; i < len; i++) {
        was = sealed[i];

        /* two steps in the alphabet: the unused bits of a last character may
         * not be set, and no other value may be the same */

        sealed[i] = was == 'A' ? 'Q' : 'A';
        rc = open_of(back, keys, &place, sealed);

        /* X25519 ignores the top bit of the key made for the value, but the
         * salt does not */

        assert_true(rc == TRAVEL_INVALID || rc == TRAVEL_UNKNOWN);
        sealed[i] = '\0';
        assert_int_not_equal(open_of(back, keys, &place, sealed), TRAVEL_OK);
        sealed[i] = was;
    }

    assert_int_equal(open_of(back, keys, &place, sealed), TRAVEL_OK);
    assert_int_equal(open_of(back, keys, &place, "v2.AAAA"), TRAVEL_INVALID);
    assert_int_equal(open_of(back, keys, &place, ""), TRAVEL_INVALID);

    test_free(sealed);
    travel_seal_free(keys);
}


/* The new key in front, the old one behind it. */
static void
test_rotation(void **state)
{
    char                  back[256], both[1024], *sealed;
    travel_seal_keys_t   *keys;
    travel_seal_place_t   place = place_of("t", "s", "m");

    (void) state;

    sealed = seal_of("1", &place);

    assert_int_equal(travel_seal_private(&keys, S(private_b)), TRAVEL_OK);
    assert_int_equal(open_of(back, keys, &place, sealed), TRAVEL_UNKNOWN);
    travel_seal_free(keys);

    snprintf(both, sizeof(both), "%s%s", private_b, private_a);
    assert_int_equal(travel_seal_private(&keys, S(both)), TRAVEL_OK);
    assert_int_equal(open_of(back, keys, &place, sealed), TRAVEL_OK);
    assert_string_equal(back, "1");
    assert_int_equal(travel_seal(both, travel_seal_newest(keys), &place,
                                 S("2")), TRAVEL_OK);
    travel_seal_free(keys);

    both[TRAVEL_SEALED_LEN(1)] = '\0';
    assert_int_equal(travel_seal_private(&keys, S(private_b)), TRAVEL_OK);
    assert_int_equal(open_of(back, keys, &place, both), TRAVEL_OK);
    assert_string_equal(back, "2");
    travel_seal_free(keys);

    test_free(sealed);
}


static void
test_keys(void **state)
{
    char                   many[4096];
    size_t                 i;
    travel_seal_keys_t    *keys = NULL;
    travel_seal_public_t   key;

    (void) state;

    assert_int_equal(travel_seal_public(&key, S("")), TRAVEL_INVALID);
    assert_int_equal(travel_seal_public(&key, S(private_a)), TRAVEL_INVALID);
    assert_int_equal(travel_seal_private(&keys, S("")), TRAVEL_INVALID);
    assert_int_equal(travel_seal_private(&keys, S(public_a)), TRAVEL_INVALID);
    assert_int_equal(travel_seal_private(&keys, S(private_ed25519)),
                     TRAVEL_INVALID);

    for (many[0] = '\0', i = 0; i <= TRAVEL_SEAL_KEYS_MAX; i++) {
        strcat(many, private_a);
    }

    assert_int_equal(travel_seal_private(&keys, S(many)), TRAVEL_INVALID);
    assert_null(keys);
    travel_seal_free(keys);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_tampered),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
