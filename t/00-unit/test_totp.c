/* One-time passwords: the vectors of RFC 4226 and RFC 6238, base32's of RFC
 * 4648, clocks that differ, and what is no code. */

#include <stdio.h>

#include "unit.h"
#include "totp.h"

static const char  secret[] = "12345678901234567890";


/* RFC 4226, appendix D. */
static void
test_hotp(void **state)
{
    char    code[16];
    size_t  i;

    static const char *const  codes[] = {
        "755224", "287082", "359152", "969429", "338314", "254676", "287922",
        "162583", "399871", "520489"
    };

    (void) state;

    for (i = 0; i < 10; i++) {
        assert_int_equal(travel_hotp(code, S(secret), i, 6), TRAVEL_OK);
        assert_string_equal(code, codes[i]);
    }

    assert_int_equal(travel_hotp(code, S(secret), 1, 0), TRAVEL_ERROR);
    assert_int_equal(travel_hotp(code, S(secret), 1, 10), TRAVEL_ERROR);
}


/* RFC 6238, appendix B: SHA-1, eight digits; the last six are the code. */
static void
test_totp(void **state)
{
    char      code[16];
    size_t    i;
    uint64_t  step;

    static const struct {
        int64_t      at;
        const char  *code;
    } vectors[] = {
        { 59, "94287082" }, { 1111111109, "07081804" },
        { 1111111111, "14050471" }, { 1234567890, "89005924" },
        { 2000000000, "69279037" }, { 20000000000, "65353130" }
    };

    (void) state;

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        assert_int_equal(travel_hotp(code, S(secret),
                             (uint64_t) vectors[i].at / 30, 8), TRAVEL_OK);
        assert_string_equal(code, vectors[i].code);
        assert_int_equal(travel_totp_step(&step, S(secret),
                             S(vectors[i].code + 2), vectors[i].at),
                         TRAVEL_OK);
        assert_int_equal(step, vectors[i].at / 30);
    }
}


static void
test_drift(void **state)
{
    int64_t   now = 1234567890;
    uint64_t  step = 7;

    (void) state;
    assert_int_equal(travel_totp_step(&step, S(secret), S("005 924"),
                                      now + 30), TRAVEL_OK);
    assert_int_equal(step, now / 30);
    assert_int_equal(travel_totp_step(&step, S(secret), S("005924"),
                                      now - 30), TRAVEL_OK);
    assert_int_equal(step, now / 30);
    step = 7;
    assert_int_equal(travel_totp_step(&step, S(secret), S("005924"),
                                      now + 60), TRAVEL_REFUSED);
    assert_int_equal(travel_totp_step(&step, S(secret), S("005924"),
                                      now - 60), TRAVEL_REFUSED);
    assert_int_equal(travel_totp_step(&step, S("another secret"), S("005924"),
                                      now), TRAVEL_REFUSED);
    assert_int_equal(travel_totp_step(&step, S(secret), S("00592"), now),
                     TRAVEL_INVALID);
    assert_int_equal(travel_totp_step(&step, S(secret), S("0059240"), now),
                     TRAVEL_INVALID);
    assert_int_equal(travel_totp_step(&step, S(secret), S("00592a"), now),
                     TRAVEL_INVALID);
    assert_int_equal(travel_totp_step(&step, S(secret), S(""), now),
                     TRAVEL_INVALID);
    assert_int_equal(travel_totp_step(&step, S(secret), S("005924"), -1),
                     TRAVEL_INVALID);
    assert_int_equal(step, 7);
}


/* RFC 4648, section 10, less the padding. */
static void
test_base32(void **state)
{
    char    text[64];
    size_t  i, n;

    static const char *const  pairs[][2] = {
        { "", "" }, { "f", "MY" }, { "fo", "MZXQ" }, { "foo", "MZXW6" },
        { "foob", "MZXW6YQ" }, { "fooba", "MZXW6YTB" },
        { "foobar", "MZXW6YTBOI" }, { "\xff\xff\xff\xff\xff", "77777777" }
    };

    (void) state;

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        n = travel_base32_encode(text, pairs[i][0], strlen(pairs[i][0]));
        text[n] = '\0';
        assert_string_equal(text, pairs[i][1]);
        assert_int_equal(n, TRAVEL_BASE32_LEN(strlen(pairs[i][0])));
    }
}


static void
test_recovery(void **state)
{
    char  plain[64];

    (void) state;
    assert_int_equal(travel_recovery_plain(plain, S("abcd-EF23 45")),
                     TRAVEL_OK);
    assert_string_equal(plain, "ABCDEF2345");
    assert_int_equal(travel_recovery_plain(plain, S("ab_cd")),
                     TRAVEL_INVALID);
    assert_int_equal(travel_recovery_plain(plain, S("- -")), TRAVEL_INVALID);
    assert_int_equal(travel_recovery_plain(plain, S("")), TRAVEL_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_hotp),
        cmocka_unit_test(test_totp),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_base32),
        cmocka_unit_test(test_recovery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
