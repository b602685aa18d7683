/* Base64url: the RFCs' examples, every length, and every refusal. */

#include "unit.h"
#include "base64url.h"


static void
rfc_examples(void **state)
{
    char     text[16];
    size_t   i, n;
    uint8_t  raw[16];

    static const struct { const char *raw, *text; } rows[] = {
        { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" },
        { "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" },
        { "foobar", "Zm9vYmFy" },
        { "\x03\xec\xff\xe0\xc1", "A-z_4ME" }       /* RFC 7515 appendix C */
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        n = travel_base64url_encode(text, rows[i].raw, strlen(rows[i].raw));

        assert_int_equal(n, TRAVEL_BASE64URL_LEN(strlen(rows[i].raw)));
        assert_int_equal(n, strlen(rows[i].text));
        assert_memory_equal(text, rows[i].text, n);

        assert_int_equal(travel_base64url_decode(raw, &n, S(rows[i].text)),
                         TRAVEL_OK);
        assert_int_equal(n, strlen(rows[i].raw));
        assert_int_equal(n, TRAVEL_BASE64URL_MAX(strlen(rows[i].text)));
        assert_memory_equal(raw, rows[i].raw, n);
    }
}


static void
round_trips(void **state)
{
    char      text[400];
    size_t    n, len, i;
    uint8_t   raw[256], back[256];

    (void) state;

    for (n = 0; n <= 255; n++) {
        for (i = 0; i < n; i++) {
            raw[i] = (uint8_t) (i * 131 + n * 17);
        }

        len = travel_base64url_encode(text, raw, n);
        assert_int_equal(len, TRAVEL_BASE64URL_LEN(n));

        assert_int_equal(travel_base64url_decode(back, &i,
                             (travel_str_t) { text, len }), TRAVEL_OK);
        assert_int_equal(i, n);
        assert_memory_equal(back, raw, n);
    }
}


static void
every_character(void **state)
{
    int      c;
    char     text[4];
    size_t   n;
    uint8_t  raw[4];
    bool     legal;

    (void) state;

    for (c = 0; c < 256; c++) {
        legal = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
                || (c >= '0' && c <= '9') || c == '-' || c == '_';

        memset(text, 'A', 4);
        text[c & 3] = (char) c;

        assert_int_equal(travel_base64url_decode(raw, &n,
                             (travel_str_t) { text, 4 }),
                         legal ? TRAVEL_OK : TRAVEL_INVALID);
    }
}


static void
refusals(void **state)
{
    size_t   i, n;
    uint8_t  raw[64];

    static const char  *bad[] = {
        "A",               /* no byte in six bits */
        "Zm9vY",
        "Zg==",            /* padding */
        "Zm8=",
        "Zh", "Zm9",       /* bits that encode nothing are set */
        "Zm9vYh", "Zm9vYmF",
        "Zm9v\n", " Zm9v", "Zm 9v", "Zm+v", "Zm/v", "Zm.v", "Zg\x80"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        n = 12345;
        assert_int_equal(travel_base64url_decode(raw, &n, S(bad[i])),
                         TRAVEL_INVALID);
        assert_int_equal(n, 12345);
    }

    assert_int_equal(travel_base64url_decode(raw, &n, L("Zm\0v")),
                     TRAVEL_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(rfc_examples),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(every_character),
        cmocka_unit_test(refusals)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
