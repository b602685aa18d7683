/* Vary: names, and values that mean the same. */

#include "unit.h"
#include "http_vary.h"


static void
value(const char *name, const char *line, const char *want)
{
    char          out[1024];
    size_t        n;
    travel_str_t  lines[1];

    lines[0] = S(line);
    n = travel_vary_value(out, S(name), lines, 1);

    assert_str(((travel_str_t) { out, n }), want);
}


static void
test_names(void **state)
{
    int            i;
    char           line[64];
    travel_vary_t  v = { 0 };
    travel_vary_t  many = { 0 };

    (void) state;

    travel_vary_add(&v, L("Foo, accept-encoding ,,BAR"));
    travel_vary_add(&v, L("foo"));
    assert_int_equal(v.n, 3);
    assert_str(v.names[0], "accept-encoding");
    assert_str(v.names[1], "bar");
    assert_str(v.names[2], "foo");
    assert_false(v.any);

    travel_vary_add(&v, L("x, *"));
    assert_true(v.any);

    /* more than fits never matches */
    for (i = 0; i < TRAVEL_VARY_NAMES_MAX + 1; i++) {
        assert_false(many.any);
        line[0] = (char) ('a' + i);
        line[1] = '\0';
        travel_vary_add(&many, S(line));
    }

    assert_true(many.any);
}


static void
test_long_names(void **state)
{
    char           line[TRAVEL_VARY_SIZE + 2];
    travel_vary_t  v = { 0 };

    (void) state;

    memset(line, 'a', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    travel_vary_add(&v, S(line));
    assert_true(v.any);
}


static void
test_values(void **state)
{
    int           i;
    char          out[1024], long_one[900];
    size_t        n;
    travel_str_t  lines[2];

    (void) state;

    value("x-foo", " b ,\ta,, b ", "b,a,b");
    value("x-foo", "A", "A");
    value("x-foo", "\"a , b\" , c", "\"a , b\",c");
    value("x-foo", "\"a", "\"a");
    value("x-foo", "", "");
    value("cookie", "a=1; b=2", "a=1; b=2");
    value("accept-language", "en;q=0.5 , DE", "de,en;q=0.5");
    value("accept-language", "de, en ; q=0.5", "de,en;q=0.5");
    value("accept-encoding", "GZIP, br", "br,gzip");
    value("accept", "b/c,a/b", "a/b,b/c");
    value("accept", ",,", "");

    lines[0] = L("gzip");
    lines[1] = L("br");
    n = travel_vary_value(out, L("accept-encoding"), lines, 2);
    assert_str(((travel_str_t) { out, n }), "br,gzip");
    n = travel_vary_value(out, L("x"), lines, 2);
    assert_str(((travel_str_t) { out, n }), "gzip,br");

    /* too much to sort stays as it is */
    for (i = 0; i < 899; i++) {
        long_one[i] = i % 3 == 2 ? ',' : (char) ('z' - i % 25);
    }

    long_one[899] = '\0';
    lines[0] = S(long_one);
    n = travel_vary_value(out, L("accept"), lines, 1);
    assert_true(n <= 900);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
