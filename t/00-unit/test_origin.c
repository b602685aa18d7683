/* Origins, and the patterns that let them in. */

#include "unit.h"
#include "origin.h"


static travel_str_t
str(const char *s)
{
    return (travel_str_t) { s, strlen(s) };
}


static void
origins(void **state)
{
    size_t  i;

    static const char *const  good[] = {
        "https://example.com", "http://localhost:3000", "https://a-b.c_d.e",
        "https://[::1]:8443", "https://127.0.0.1", "capacitor://localhost",
        "chrome-extension://abcdef"
    };

    static const char *const  bad[] = {
        "", "null", "*", "https://", "https:///", "https://example.com/",
        "https://example.com/x", "https://Example.com", "example.com",
        "https://.example.com", "https://a b", "https://a\r\nX: y",
        "https://u@example.com", "https://example.com:", "https://a:123456",
        "https://a:99999", "https://a:0", "https://a:08080",
        "https://a:x", "https://[::1", "https://[]", "://a", "1https://a",
        "https://a,https://b", "https://*.example.com", "HTTPS://a"
    };

    (void) state;

    for (i = 0; i < N(good); i++) {
        assert_true(travel_origin_sane(str(good[i])));
        assert_true(travel_origin_pattern_sane(str(good[i])));
        assert_true(travel_origin_match(str(good[i]), str(good[i])));
        assert_true(travel_origin_match(TRAVEL_STR("*"), str(good[i])));
    }

    for (i = 0; i < N(bad); i++) {
        assert_false(travel_origin_sane(str(bad[i])));
        assert_false(travel_origin_match(str(bad[i]), str(bad[i])));
        assert_false(travel_origin_match(TRAVEL_STR("*"), str(bad[i])));
    }
}


static void
patterns(void **state)
{
    size_t  i;

    static const char *const  good[] = {
        "*", "https://*.example.com", "https://*.example.com:8443"
    };

    static const char *const  bad[] = {
        "", "null", "**", "*.example.com", "https://*", "https://*.",
        "https://*example.com", "https://a.*.com", "https://*.*.com",
        "https://example.com/", "https://*.example.com/*", "https://*.Example",
        "https://a:443", "http://a:80", "https://*.a:443"
    };

    static const struct { const char *origin; int rc; } rows[] = {
        { "https://app.example.com", 1 },
        { "https://a.b.example.com", 1 },
        { "https://example.com", 0 },
        { "https://.example.com", 0 },
        { "https://evilexample.com", 0 },
        { "https://app.example.com.evil.org", 0 },
        { "https://app.example.com:8443", 0 },
        { "http://app.example.com", 0 },
        { "https://evil.org/.example.com", 0 },
        { "null", 0 },
        { "", 0 }
    };

    (void) state;

    for (i = 0; i < N(good); i++) {
        assert_true(travel_origin_pattern_sane(str(good[i])));
    }

    for (i = 0; i < N(bad); i++) {
        assert_false(travel_origin_pattern_sane(str(bad[i])));
    }

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(travel_origin_match(
                             TRAVEL_STR("https://*.example.com"),
                             str(rows[i].origin)), rows[i].rc);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(origins),
        cmocka_unit_test(patterns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
