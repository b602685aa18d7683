/* Structured fields: what RFC 9651 takes, and what it does not. */

#include <stdio.h>

#include "unit.h"
#include "structured_field.h"


/* Reads all of a list; its members' number, -1: malformed. */
static int
list(const char *text, travel_sf_item_t *last)
{
    int               rc, n;
    travel_sf_t       sf;
    travel_sf_item_t  item;

    sf = travel_sf_open(S(text));

    for (n = 0; (rc = travel_sf_list_next(&sf, &item)) == TRAVEL_OK; n++) {
        if (last != NULL) {
            *last = item;
        }
    }

    return rc == TRAVEL_UNKNOWN ? n : -1;
}


static int
dict(const char *text)
{
    int               rc, n;
    travel_sf_t       sf;
    travel_str_t      key;
    travel_sf_item_t  item;

    sf = travel_sf_open(S(text));

    for (n = 0; (rc = travel_sf_dict_next(&sf, &key, &item)) == TRAVEL_OK; n++)
    {
        /* void */
    }

    return rc == TRAVEL_UNKNOWN ? n : -1;
}


static void
test_items(void **state)
{
    travel_sf_item_t  item;

    (void) state;

    assert_int_equal(list("42", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_INTEGER);
    assert_int_equal(item.number, 42);

    assert_int_equal(list("-999999999999999", &item), 1);
    assert_int_equal(item.number, -999999999999999);
    assert_int_equal(list("1000000000000000", NULL), -1);

    assert_int_equal(list("4.5", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_DECIMAL);
    assert_int_equal(item.number, 4500);
    assert_int_equal(list("-0.125", &item), 1);
    assert_int_equal(item.number, -125);
    assert_int_equal(list("1.", NULL), -1);
    assert_int_equal(list("1.1234", NULL), -1);
    assert_int_equal(list("1234567890123.0", NULL), -1);
    assert_int_equal(list("-", NULL), -1);

    assert_int_equal(list("\"a \\\"b\\\\\"", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_STRING);
    assert_str(item.text, "a \\\"b\\\\");
    assert_int_equal(list("\"a", NULL), -1);
    assert_int_equal(list("\"a\\", NULL), -1);
    assert_int_equal(list("\"\\a\"", NULL), -1);
    assert_int_equal(list("\"\xc3\xbc\"", NULL), -1);

    assert_int_equal(list("*foo123/456:x", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_TOKEN);
    assert_str(item.text, "*foo123/456:x");

    assert_int_equal(list(":cHJldGVuZA==:", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_BYTES);
    assert_int_equal(list(":a b:", NULL), -1);
    assert_int_equal(list(":ab", NULL), -1);

    assert_int_equal(list("?1", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_BOOLEAN);
    assert_int_equal(item.number, 1);
    assert_int_equal(list("?", NULL), -1);
    assert_int_equal(list("?2", NULL), -1);

    assert_int_equal(list("@1659578233", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_DATE);
    assert_int_equal(item.number, 1659578233);
    assert_int_equal(list("@1.5", NULL), -1);
    assert_int_equal(list("@", NULL), -1);

    assert_int_equal(list("%\"f%c3%bc\"", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_DISPLAY);
    assert_int_equal(list("%\"f%C3\"", NULL), -1);
    assert_int_equal(list("%\"f%c\"", NULL), -1);
    assert_int_equal(list("%f", NULL), -1);
}


static void
test_lists(void **state)
{
    (void) state;

    assert_int_equal(list("", NULL), 0);
    assert_int_equal(list("   ", NULL), 0);
    assert_int_equal(list("a, b\t,c", NULL), 3);
    assert_int_equal(list(" a ", NULL), 1);
    assert_int_equal(list("a,", NULL), -1);
    assert_int_equal(list("a,,b", NULL), -1);
    assert_int_equal(list("a b", NULL), -1);
    assert_int_equal(list("a;x=1; y ;z", NULL), -1);
    assert_int_equal(list("a;x=1; y;z", NULL), 1);
    assert_int_equal(list("a;X", NULL), -1);
    assert_int_equal(list("(\"foo\" \"bar\");q=1, (), ( a  b )", NULL), 3);
    assert_int_equal(list("(a", NULL), -1);
    assert_int_equal(list("(a\"b\")", NULL), -1);
}


static void
test_dictionaries(void **state)
{
    (void) state;

    assert_int_equal(dict(""), 0);
    assert_int_equal(dict("max-age=60, public, a;x=?0, b=(1 2)"), 4);
    assert_int_equal(dict("a=1,a=2"), 2);
    assert_int_equal(dict("A=1"), -1);
    assert_int_equal(dict("a="), -1);
    assert_int_equal(dict("a = 1"), -1);
    assert_int_equal(dict("a=1,"), -1);
    assert_int_equal(dict("max-age=60 public"), -1);
}


static void
test_string_without_escapes(void **state)
{
    char    out[16];
    size_t  n;

    (void) state;

    n = travel_sf_string(out, L("a\\\"b\\\\c"));
    assert_str(((travel_str_t) { out, n }), "a\"b\\c");
}


/* An Item is a List of one member that holds no inner list. */
static bool
item(const char *text)
{
    travel_sf_item_t  it;

    return list(text, &it) == 1 && it.type != TRAVEL_SF_INNER_LIST;
}


/* What RFC 9651 prints, section by section, and standards whose fields are of
 * its kind. */
static void
test_printed(void **state)
{
    size_t            i;
    travel_sf_item_t  last;

    static const struct {
        const char  *text;
        int          n;             /* members */
    } lists[] = {
        { "\"foo\", \"bar\", \"It was the best of times.\"", 3 },
        { "sugar, tea, rum", 3 },
        { "(\"foo\" \"bar\"), (\"baz\"), (\"bat\" \"one\"), ()", 4 },
        { "(\"foo\"; a=1;b=2);lvl=5, (\"bar\" \"baz\");lvl=1", 2 },
        { "abc;a=1;b=2; cde_456, (ghi;jk=4 l);q=\"9\";r=w", 2 },
        { "2; foourl=\"https://foo.example.com/\"", 1 },
        { "1; a; b=?0", 1 },
        { "5; foo=bar", 1 },
        { "\"hello world\"", 1 },
        { "foo123/456", 1 },
        { ":cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==:", 1 },
        { "?1", 1 },
        { "@1659578233", 1 },
        { "%\"This is intended for display to %c3%bcsers.\"", 1 },

        /* RFC 9211 */
        { "ExampleCache; hit; ttl=376", 1 },
        { "ExampleCache; hit; ttl=-412", 1 },
        { "ExampleCache; fwd=stale; fwd-status=304", 1 },
        { "ExampleCache; fwd=uri-miss; collapsed=?0", 1 },
        { "OriginCache; hit; ttl=1100, \"CDN Company Here\"; hit; ttl=545", 2 },
        { "ReverseProxyCache; hit, ForwardProxyCache; fwd=uri-miss; "
          "collapsed; stored, BrowserCache; fwd=uri-miss", 3 },

        /* RFC 9875 */
        { "\"scripts\"", 1 },
        { "\"eurovision-results\", \"australia\"", 2 },

        /* RateLimit headers draft-10 */
        { "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400", 2 },
        { "\"permin\";q=50;w=60,\"perhr\";q=1000;w=3600,"
          "\"perday\";q=5000;w=86400", 3 },
        { "\"peruser\";q=100;w=60;pk=:cHsdsRa894==:", 1 },
        { "\"default\";r=50;t=30", 1 },
    }, dictionaries[] = {
        { "en=\"Applepie\", da=:w4ZibGV0w6ZydGU=:", 2 },
        { "a=?0, b, c; foo=bar", 3 },
        { "rating=1.5, feelings=(joy sadness)", 2 },
        { "a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid", 4 },
        { "foo=1, bar=2", 2 },
    };

    (void) state;

    for (i = 0; i < N(lists); i++) {
        assert_int_equal(list(lists[i].text, &last), lists[i].n);
    }

    for (i = 0; i < N(dictionaries); i++) {
        assert_int_equal(dict(dictionaries[i].text), dictionaries[i].n);
    }

    assert_int_equal(list("4.5", &last), 1);
    assert_int_equal(last.number, 4500);
    assert_int_equal(list("42", &last), 1);
    assert_int_equal(last.number, 42);
}


/* Facts of the working group's public tests: what every reader takes, and
 * what none does. */
static void
test_public_facts(void **state)
{
    size_t  i;

    static const char *const  good[] = {
        /* numbers */
        "0", "-0", "00", "042", "-042", "-42", "123456789012.1", "1.123",
        "-1.5", "0.0", "999999999999999", "-999999999999999",
        "  1", "1  ", "  1  ",
        /* strings, tokens */
        "\"\"", "\"foo\"", "\"foo \\\"bar\\\" \\\\ baz\"",
        "a_b-c.d3:f%00/*", "fooBar", "FooBar", "*", "a!#$%&'*+-.^_`|~",
        /* bytes: padding may be left out, bits that are left over are */
        "::", ":aGVsbG8=:", ":aGVsbG8:", ":iZ==:", ":/+Ah:", ":aGVsbG9v:",
        /* booleans, dates, display strings */
        "?0", "@0", "@-1659578233", "%\"foo bar\"", "%\"\"",
        "%\" !%22#$%25&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\"",
        "%\"f%c3%bc%c3%bc\"", "%\"BOM: %ef%bb%bf\"", "%\"%f0%9f%98%80\"",
        /* parameters */
        "1;a", "1; a; b=?0", "1;  a=1;b", "a;*x_-.9*=1", "1;a=1;a=2"
    };

    static const char *const  bad[] = {
        "", " ", "\t1", "1;", "1;;a", "1; a ; b", "1;a =1", "1;a= 1",
        "1 ;a", "1;A", "1;1a", "1;=1", "1;a=", "1;_a",
        "- 42", "--0", "-", "-a23", "4-2", "1.", "-.1", ".1", "1..4", "1.5.4",
        "1.1234", "1000000000000000", "-1000000000000000", "1234567890123.1",
        "1.0.0", "+1", "0x1",
        "\"foo", "'foo'", "\"foo \\,\"", "\"foo \\", "\"\t\"", "\"\n\"",
        "\"\x7f\"", "\"\\a\"", "\"f\xc3\xbc\"",
        "@", "@1.5", "@ 1", "@a", "?", "?T", "?2", "? 1", "?true",
        ":aGVsbG8=", "aGVsbG8=:", ":aGVsb G8=:", ":    :", ":aGVsbG!8=:",
        ":aGVsbG8=!:", ":=aGVsbG8=:", ":a=GVsbG8=:", ":_-Ah:", ":a:", ":=:",
        ":aGVsbG8==:", ":aGVsbG9v====:", ":aGVsbG8=.:",
        "%foo", "%'foo'", "%foo\"", "%\"foo", "%\"\t\"", "%\"\n\"",
        "%\"f%C3%BC\"", "%\"foo %a\"", "%\"foo %\"", "%\"f\xc3\xbc\"",
        "%\"%c3%28\"", "%\"%a0%a1\"", "%\"%e2%28%a1\"",
        "%\"%f0%28%8c%28\"", "%\"%c3\"", "%\"%c3x\"", "%\"%ed%a0%80\"",
        "%\"%ff\"", "%\"%c0%80\"", "(1 2", "2,3"
    };

    static const char *const  no_list[] = {
        "1, 42,", "1,,42", ",1", ", ", "1 42", "(1 42", "1)", "(1,2)", "(1\t2)",
        "(1)(2)", "(a;b)c", "((1))", "(1 ;a)"
    };

    static const char *const  no_dictionary[] = {
        "a=1,b=2,", "a=1,,b=2", "a =1", "a= 1", "=1", ",a", "A=1", "1=1",
        "a=b;q =0.5", "a=b;q= 0.5", "a=b ;q=0.5", "a=b; q=1.0,", "(a)=1",
        "a=(1 2", "a==1", "\xc3=1"
    };

    (void) state;

    for (i = 0; i < N(good); i++) {
        assert_true(item(good[i]));
    }

    for (i = 0; i < N(bad); i++) {
        assert_false(item(bad[i]));
    }

    for (i = 0; i < N(no_list); i++) {
        assert_int_equal(list(no_list[i], NULL), -1);
    }

    for (i = 0; i < N(no_dictionary); i++) {
        assert_int_equal(dict(no_dictionary[i]), -1);
    }

    assert_int_equal(list("1 ,\t42", NULL), 2);
    assert_int_equal(list("(1  42), (), (a;b=1 c);d", NULL), 3);
    assert_int_equal(list("text/html  ,  text/plain;  q=0.5;  charset=utf-8",
                          NULL), 2);
    assert_int_equal(dict("a=b;  c=1  ,  d=e; f=2; g=3"), 2);
    assert_int_equal(dict("a=3;c;d=5, b, c=?0;x"), 3);
    assert_int_equal(dict("a=(1 2); q=1.0"), 1);
}


/* Every octet, where it may stand and where not. */
static void
test_characters(void **state)
{
    int   c;
    bool  lower, alpha, digit, token, key;
    char  text[8];

    (void) state;

    for (c = 1; c < 256; c++) {
        lower = c >= 'a' && c <= 'z';
        alpha = lower || (c >= 'A' && c <= 'Z');
        digit = c >= '0' && c <= '9';
        token = alpha || digit || strchr("!#$%&'*+-.^_`|~:/", c) != NULL;
        key = lower || digit || strchr("_-.*", c) != NULL;

        snprintf(text, sizeof(text), "a%ca", c);
        assert_int_equal(list(text, NULL) == 1, token || c == ';');

        snprintf(text, sizeof(text), "%c", c);
        assert_int_equal(list(text, NULL) == 1, alpha || digit || c == '*');

        snprintf(text, sizeof(text), "a%cb=1", c);
        assert_int_equal(dict(text) == 1, key || c == ';');

        snprintf(text, sizeof(text), "%ca=1", c);
        assert_int_equal(dict(text) == 1, lower || c == '*' || c == ' ');

        snprintf(text, sizeof(text), "\"%c\"", c);
        assert_int_equal(list(text, NULL) == 1,
                         c >= ' ' && c <= '~' && c != '"' && c != '\\');
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_dictionaries),
        cmocka_unit_test(test_string_without_escapes),
        cmocka_unit_test(test_printed),
        cmocka_unit_test(test_public_facts),
        cmocka_unit_test(test_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
