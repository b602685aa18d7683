/* References, seen from a request: RFC 3986 section 5.4, of one origin. */

#include "unit.h"
#include "http_target.h"


static void
check(const char *path, const char *ref, const char *want)
{
    int     rc;
    char    out[512];
    size_t  n;

    rc = travel_http_target(out, &n, L("http"), L("a.example"), S(path),
                            S(ref));

    if (want == NULL) {
        assert_int_not_equal(rc, TRAVEL_OK);
        return;
    }

    assert_int_equal(rc, TRAVEL_OK);
    assert_str(((travel_str_t) { out, n }), want);
}


static void
test_relative(void **state)
{
    size_t  i;

    static const char *const  pairs[][2] = {
        { "g",          "/b/c/g" },
        { "./g",        "/b/c/g" },
        { "g/",         "/b/c/g/" },
        { "/g",         "/g" },
        { "?y",         "/b/c/d;p?y" },
        { "g?y",        "/b/c/g?y" },
        { "#s",         "/b/c/d;p?q" },
        { "g#s",        "/b/c/g" },
        { "g?y#s",      "/b/c/g?y" },
        { ";x",         "/b/c/;x" },
        { "",           "/b/c/d;p?q" },
        { ".",          "/b/c/" },
        { "./",         "/b/c/" },
        { "..",         "/b/" },
        { "../",        "/b/" },
        { "../g",       "/b/g" },
        { "../..",      "/" },
        { "../../g",    "/g" },
        { "../../../g", "/g" },
        { "/./g",       "/g" },
        { "/../g",      "/g" },
        { "g.",         "/b/c/g." },
        { "..g",        "/b/c/..g" },
        { "./g/.",      "/b/c/g/" },
        { "g/./h",      "/b/c/g/h" },
        { "g/../h",     "/b/c/h" },
        { "g?y/../x",   "/b/c/g?y/../x" },
    };

    (void) state;

    for (i = 0; i < N(pairs); i++) {
        check("/b/c/d;p?q", pairs[i][0], pairs[i][1]);
    }
}


static void
test_origins(void **state)
{
    (void) state;

    check("/b", "http://a.example/x?y#z", "/x?y");
    check("/b", "HTTP://A.Example:80/x", "/x");
    check("/b", "http://a.example", "/");
    check("/b", "http://a.example?q", "/?q");
    check("/b", "//a.example/x", "/x");
    check("/b", "https://a.example/x", NULL);
    check("/b", "http://b.example/x", NULL);
    check("/b", "http://a.example:81/x", NULL);
    check("/b", "http://a.example.evil/x", NULL);
    check("/b", "http://u@a.example/x", NULL);
    check("/b", "//b.example/x", NULL);
    check("/b", "mailto:a", NULL);
    check("/b", "http:x", NULL);
    check("*", "/x", NULL);
}


static void
test_authority(void **state)
{
    char    out[64];
    size_t  n;

    (void) state;

    n = travel_http_authority(out, L("http"), L("A.example:80"));
    assert_str(((travel_str_t) { out, n }), "a.example");
    n = travel_http_authority(out, L("https"), L("A.example:80"));
    assert_str(((travel_str_t) { out, n }), "a.example:80");
    n = travel_http_authority(out, L("https"), L("[::1]:443"));
    assert_str(((travel_str_t) { out, n }), "[::1]");
    n = travel_http_authority(out, L("http"), L("a:"));
    assert_str(((travel_str_t) { out, n }), "a");
    n = travel_http_authority(out, L("http"), L(""));
    assert_int_equal(n, 0);
}


static void
test_normal(void **state)
{
    size_t  i, n;
    char    out[128];

    static const char *const  pairs[][2] = {
        /* RFC 9110 section 4.2.3, RFC 3986 section 6.2.2 */
        { "/%7Esmith/home.html",  "/~smith/home.html" },
        { "/%7esmith/home.html",  "/~smith/home.html" },
        { "/~smith/home.html",    "/~smith/home.html" },
        { "/a/./b/../b/%63/%7bfoo%7d", "/a/b/c/%7Bfoo%7D" },
        { "/%2e%2e/a",            "/a" },
        { "/a%2fb%2Fc",           "/a%2Fb%2Fc" },
        { "/a?b=%41&c=/../%2f",   "/a?b=A&c=/../%2F" },
        { "/a%",                  "/a%" },
        { "/a%4",                 "/a%4" },
        { "/a%zz%41",             "/a%zzA" },
        { "/%00",                 "/%00" },
        { "/%c3%a4",              "/%C3%A4" },
        { "/..",                  "/" },
        { "/.?x",                 "/?x" },
        { "//a//b",               "//a//b" },
        { "*",                    "*" },
        { "",                     "" },
    };

    (void) state;

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        n = travel_http_normal(out, S(pairs[i][0]));
        assert_true(n <= strlen(pairs[i][0]));
        assert_str(((travel_str_t) { out, n }), pairs[i][1]);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_relative),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_authority),
        cmocka_unit_test(test_normal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
