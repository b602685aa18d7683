/* JSON: what parses into what, where each fault is found, numbers, deep
 * equality, quoting. */

#include <stdio.h>

#include "unit.h"
#include "errors.h"
#include "json.h"
#include "decimal.h"

static travel_json_t        *doc;
static travel_json_error_t   err;


static int
set_up(void **state)
{
    (void) state;
    doc = travel_json_create(0);
    return doc == NULL;
}


static int
tear_down(void **state)
{
    (void) state;
    travel_json_free(doc);
    return 0;
}


/* Parses a copy without a NUL behind it, so that a sanitizer sees a read too
 * far.  The copy lives until the next call. */
static int
parse_bytes(travel_json_t *into, travel_str_t text, unsigned depth)
{
    static char  *copy[2];
    static int    turn;

    turn = !turn;
    free(copy[turn]);
    copy[turn] = malloc(text.len + !text.len);
    memcpy(copy[turn], text.data, text.len);
    text.data = copy[turn];

    return travel_json_parse(into, text, depth, &err);
}


static void
good(const char *text)
{
    if (parse_bytes(doc, S(text), 0) != TRAVEL_OK) {
        print_error("%s: @%zu %s\n", text, err.offset, err.message);
        fail();
    }
}


static void
nodes(void **state)
{
    size_t                     i;
    const travel_json_node_t  *n;

    static const struct {
        uint8_t      type;
        uint16_t     depth;
        uint32_t     offset, count, next;
        const char  *text, *pointer;
    } rows[] = {
        { TRAVEL_JSON_OBJECT, 0, 1, 3, 12, "{ \"a\" :[-1.50E+2,true,[], null ],"
          "\"~/\":\"x\\n\\u00e9\\uD83D\\uDE00\\\"y\"  , \"\": {\"k\":0}}", "" },
        { TRAVEL_JSON_STRING, 1, 3, 0, 2, "a", "/a" },
        { TRAVEL_JSON_ARRAY, 1, 8, 4, 7, "[-1.50E+2,true,[], null ]", "/a" },
        { TRAVEL_JSON_NUMBER, 2, 9, 0, 4, "-1.50E+2", "/a/0" },
        { TRAVEL_JSON_TRUE, 2, 18, 0, 5, NULL, "/a/1" },
        { TRAVEL_JSON_ARRAY, 2, 23, 0, 6, "[]", "/a/2" },
        { TRAVEL_JSON_NULL, 2, 27, 0, 7, NULL, "/a/3" },
        { TRAVEL_JSON_STRING, 1, 34, 0, 8, "~/", "/~0~1" },
        { TRAVEL_JSON_STRING, 1, 39, 0, 9, "x\n\xC3\xA9\xF0\x9F\x98\x80\"y",
          "/~0~1" },
        { TRAVEL_JSON_STRING, 1, 70, 0, 10, "", "/" },
        { TRAVEL_JSON_OBJECT, 1, 74, 1, 12, "{\"k\":0}", "/" },
        { TRAVEL_JSON_STRING, 2, 75, 0, 11, "k", "//k" },
    };
    char  pointer[64];

    (void) state;

    good(" { \"a\" :[-1.50E+2,true,[], null ],\"~/\":"
         "\"x\\n\\u00e9\\uD83D\\uDE00\\\"y\"  , \"\": {\"k\":0}} ");

    assert_int_equal(travel_json_count(doc), N(rows) + 1);

    for (i = 0; i < N(rows); i++) {
        n = &travel_json_nodes(doc)[i];

        assert_int_equal(n->type, rows[i].type);
        assert_int_equal(n->depth, rows[i].depth);
        assert_int_equal(n->count, rows[i].count);

        if (i < 9) {
            assert_int_equal(n->offset, rows[i].offset);
        }

        if (rows[i].text) {
            assert_str(n->text, rows[i].text);
        }

        travel_json_pointer(doc, (uint32_t) i, pointer, sizeof(pointer));
        assert_string_equal(pointer, rows[i].pointer);

        if (i && i < 9) {
            assert_int_equal(n->next, rows[i].next);
        }
    }

    assert_int_equal(travel_json_nodes(doc)[0].next, N(rows) + 1);
}


static void
malformed(void **state)
{
    size_t  i;

    static const struct { const char *text; size_t len, offset; } rows[] = {
#define R(text, offset)  { text, sizeof(text) - 1, offset }
        R("", 0), R(" ", 1), R("nul", 3), R("nulL", 3), R("tru ", 3),
        R("falsy", 4), R("'a'", 0), R("[1,]", 3), R("[1 2]", 3), R("[,1]", 1),
        R("[", 1), R("[1", 2), R("[1,", 3), R("]", 0), R("[1}", 2),
        R("{", 1), R("{\"a\"", 4), R("{\"a\":", 5), R("{\"a\":1", 6),
        R("{\"a\":1,", 7), R("{\"a\":1,}", 7), R("{,}", 1), R("{a:1}", 1),
        R("{\"a\" 1}", 5), R("{\"a\":1]", 6), R("{\"a\":1 \"b\":2}", 7),
        R("{1:2}", 1), R("{}x", 2), R("1 1", 2), R("{}{}", 2), R("1\0", 1),
        R("01", 1), R("-", 1), R("-a", 1), R("-01", 2), R("+1", 0), R(".5", 0),
        R("1.", 2), R("1.e1", 2), R("1e", 2), R("1e+", 3), R("1e+x", 3),
        R("0x1", 1), R("1.5.5", 3), R("NaN", 0), R("-Infinity", 1),
        R("\"", 1), R("\"a", 2), R("\"\\", 2), R("\"\\\"", 3),
        R("\"a\tb\"", 2), R("\"\n\"", 1), R("\"a\0b\"", 2),
        R("\"ab\\x\"", 3), R("\"\\u12\"", 1), R("\"\\u12", 5),
        R("\"\\u12g4\"", 1), R("\"\\U0041\"", 1), R("\"\\'\"", 1),

        /* surrogates */
        R("\"x\\ud800\"", 2), R("\"\\udc00\"", 1), R("\"\\ud800x\"", 1),
        R("\"\\ud800\\n\"", 1), R("\"\\ud800\\ud800\"", 1),
        R("\"\\ud83d\\u0041\"", 1), R("\"\\udc00\\ud800\"", 1),

        /* UTF-8 */
        R("\"\x80\"", 1), R("\"a\xFF\"", 2), R("\"\xC0\xAF\"", 1),
        R("\"\xC1\xBF\"", 1), R("\"\xC3\"", 1), R("\"\xC3(\"", 1),
        R("\"\xE0\x80\xAF\"", 1), R("\"\xE2\x82\"", 1),
        R("\"\xED\xA0\x80\"", 1), R("\"\xF0\x80\x80\x80\"", 1),
        R("\"\xF0\x9F\x98\"", 1), R("\"\xF4\x90\x80\x80\"", 1),
        R("\"\xF8\x88\x80\x80\x80\"", 1), R("\"\\n\xFF\"", 3),
        R("\"\\n\x01\"", 3), R("\xEF\xBB\xBF{}", 0), R("\xC3\xA9", 0),
        R("[\"0123456789abcdef0123456789abcde\xFF\"]", 33),
        R("[\"0123456789abcdef\x1F\"]", 18)
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        memset(&err, 0x55, sizeof(err));

        if (parse_bytes(doc, (travel_str_t) { rows[i].text, rows[i].len }, 0)
                != TRAVEL_INVALID
            || err.kind != TRAVEL_E_MALFORMED_JSON
            || err.offset != rows[i].offset)
        {
            print_error("row %zu %s: kind %d @%zu, expected @%zu\n", i,
                        rows[i].text, err.kind, err.offset, rows[i].offset);
            fail();
        }

        assert_string_equal(err.pointer, "");
        assert_true(strlen(err.message) > 5);
        assert_int_equal(travel_json_count(doc), 0);
    }
}


static void
well_formed(void **state)
{
    size_t  i;

    static const char *const  rows[] = {
        "0", "-0", "0.0", "1E400", "-0.0e-0", "\"\"", "[]", "{}", "\r\n\t 1 ",
        "\"\x7F\"", "\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\"",
        "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"", "\"\\u0000\"", "\"\\/\"",
        "{\"a\":{\"a\":{\"a\":1}}}", "[[[]],{}]"
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        good(rows[i]);
    }

    good("\"\\u0000\"");
    assert_int_equal(travel_json_nodes(doc)->text.len, 1);
    assert_int_equal(travel_json_nodes(doc)->text.data[0], 0);
}


static void
duplicates(void **state)
{
    size_t  i;

    static const struct { const char *text, *pointer; size_t offset; } rows[]
    = {
        { "{\"a\":1,\"a\":2}", "/a", 7 },
        { "{\"\":1,\"\":2}", "/", 6 },
        { "[{},{\"x\":[{\"a/b\":1,\"~\":2,\"a\\u002fb\":3}]}]",
          "/1/x/0/a~1b", 25 },
        /* the first one in the text, though an inner object closes first */
        { "{\"a\":1,\"a\":{\"b\":1,\"b\":2}}", "/a", 7 },
        { "{\"a\":{\"b\":1,\"b\":2},\"a\":1}", "/a/b", 12 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(parse_bytes(doc, S(rows[i].text), 0),
                         TRAVEL_INVALID);
        assert_int_equal(err.kind, TRAVEL_E_DUPLICATE_KEY);
        assert_string_equal(err.pointer, rows[i].pointer);
        assert_int_equal(err.offset, rows[i].offset);
    }

    /* no JSON at all is worse than a duplicate */

    assert_int_equal(parse_bytes(doc, S("{\"a\":1,\"a\":2]"), 0),
                     TRAVEL_INVALID);
    assert_int_equal(err.kind, TRAVEL_E_MALFORMED_JSON);
    assert_int_equal(err.offset, 12);

    good("{\"a\":1,\"A\":2,\"aa\":3,\"b\":{\"a\":1}}");
}


/* An object of n members, the name of the last one 'last'. */
static char *
large(unsigned n, unsigned last)
{
    char      *text = malloc(n * 24 + 16), *p = text;
    unsigned   i;

    *p++ = '{';
    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s\"k%u\":%u", i ? "," : "", i + 1 < n ? i : last, i);
    }
    strcpy(p, "}");

    return text;
}


static void
large_objects(void **state)
{
    char                       name[16], *text, *nested;
    int64_t                    v;
    unsigned                   n, i;
    const travel_json_node_t  *node;

    (void) state;

    for (n = 2; n < 200; n++) {
        text = large(n, n - 1);
        good(text);

        for (i = 0; i < n; i++) {
            sprintf(name, "k%u", i);
            node = travel_json_member(doc, 0, S(name));
            assert_non_null(node);
            assert_int_equal(travel_json_int64(node, &v), TRAVEL_OK);
            assert_int_equal(v, i);
        }

        assert_null(travel_json_member(doc, 0, S("k")));
        assert_null(travel_json_member(doc, 1, S("k0")));
        free(text);

        text = large(n, n / 2 == n - 1 ? 0 : n / 2);
        assert_int_equal(parse_bytes(doc, S(text), 0), TRAVEL_INVALID);
        assert_int_equal(err.kind, TRAVEL_E_DUPLICATE_KEY);
        free(text);
    }

    /* several large ones, in and after each other: each has its own table */

    text = large(40, 39);
    nested = malloc(4 * strlen(text) + 64);
    text[strlen(text) - 1] = '\0';
    sprintf(nested, "[%s},%s,\"in\":%s,\"in\":%s}}}]", text, text, text, text);
    good(nested);

    node = travel_json_nodes(doc) + travel_json_nodes(doc)[1].next;

    for (i = 0; i < 3; i++) {
        n = (unsigned) (node - travel_json_nodes(doc));
        assert_int_equal(node->count, i < 2 ? 41 : 40);
        assert_non_null(travel_json_member(doc, n, S("k39")));
        assert_int_equal(travel_json_member(doc, n, S("k39"))->depth,
                         2 + i);
        node = travel_json_member(doc, n, S("in"));
        assert_true((node != NULL) == (i < 2));
    }

    free(nested);
    free(text);
}


/* Twice the members may take about twice the time, not four times; with a
 * hundred thousand of them a quadratic search would run for minutes. */
static void
many_members(void **state)
{
    char  *text = large(100000, 99999);

    (void) state;

    good(text);
    assert_int_equal(travel_json_nodes(doc)->count, 100000);
    free(text);

    text = large(100000, 5);
    assert_int_equal(parse_bytes(doc, S(text), 0), TRAVEL_INVALID);
    assert_string_equal(err.pointer, "/k5");
    free(text);
}


static void
depth(void **state)
{
    char    *text = malloc(4100);
    size_t   i;

    static const struct { unsigned given, most; } rows[] = {
        { 1, 1 }, { 2, 2 }, { 0, TRAVEL_JSON_DEPTH_DEFAULT }, { 100, 100 },
        { 100000, TRAVEL_JSON_DEPTH_MAX }
    };

    (void) state;

    memset(text, '[', 2000);
    memset(text + 2000, ']', 2000);

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(parse_bytes(doc,
                             (travel_str_t) { text + 2000 - rows[i].most,
                                              2 * rows[i].most },
                             rows[i].given), TRAVEL_OK);
        assert_int_equal(parse_bytes(doc,
                             (travel_str_t) { text + 1999 - rows[i].most,
                                              2 * rows[i].most + 2 },
                             rows[i].given), TRAVEL_INVALID);
        assert_int_equal(err.kind, TRAVEL_E_MALFORMED_JSON);
        assert_int_equal(err.offset, rows[i].most);
    }

    assert_int_equal(parse_bytes(doc, S("5"), 1), TRAVEL_OK);
    free(text);
}


static void
integers(void **state)
{
    int      rc;
    size_t   i;
    int64_t  v;

    static const struct { const char *text; int integer, rc; int64_t v; }
    rows[] = {
        { "0", 1, 0, 0 }, { "-0", 1, 0, 0 }, { "-0.0", 1, 0, 0 },
        { "1", 1, 0, 1 }, { "1.0", 1, 0, 1 }, { "1.5", 0, -2, 0 },
        { "1e3", 1, 0, 1000 }, { "1.5e1", 1, 0, 15 }, { "15e-1", 0, -2, 0 },
        { "1500e-2", 1, 0, 15 }, { "0e-99999999999999999999", 1, 0, 0 },
        { "0.000e5", 1, 0, 0 }, { "12.3400e2", 1, 0, 1234 },
        { "12.3400e1", 0, -2, 0 }, { "-7E+0", 1, 0, -7 },
        { "9223372036854775807", 1, 0, INT64_MAX },
        { "9223372036854775808", 1, -2, 0 },
        { "-9223372036854775808", 1, 0, INT64_MIN },
        { "-9223372036854775809", 1, -2, 0 },
        { "922337203685477580.7e1", 1, 0, INT64_MAX },
        { "18446744073709551617", 1, -2, 0 }, { "1e19", 1, -2, 0 },
        { "1e99999999999999999999", 1, -2, 0 },
        { "1e-99999999999999999999", 0, -2, 0 },
        { "100000000000000000000e-20", 1, 0, 1 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        good(rows[i].text);
        assert_int_equal(travel_json_nodes(doc)->integer, rows[i].integer);

        v = 42;
        rc = travel_json_int64(travel_json_nodes(doc), &v);

        if (rc != rows[i].rc || v != (rc ? 42 : rows[i].v)) {
            print_error("%s: %d %lld\n", rows[i].text, rc, (long long) v);
            fail();
        }
    }

    good("\"1\"");
    assert_int_equal(travel_json_int64(travel_json_nodes(doc), &v),
                     TRAVEL_INVALID);
}


static void
doubles(void **state)
{
    char      text[1200];
    double    want, got;
    size_t    i;
    uint64_t  bits, x = 88172645463325252ull;

    static const char *const  rows[] = {
        "0", "1", "-1.5", "0.1", "1e22", "1e23", "123456789012345678",
        "9007199254740993", "1.7976931348623157e308", "1e309", "-1e999",
        "5e-324", "2e-324", "2.4703282292062328e-324", "1e-400", "0.3e-5",
        "8.5e22", "123456789.123456789e-7"
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        good(rows[i]);
        assert_true(travel_json_double(travel_json_nodes(doc))
                    == strtod(rows[i], NULL));
    }

    for (i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bits = x;
        memcpy(&want, &bits, sizeof(want));

        if (want != want || want - want != 0) {
            continue;
        }

        sprintf(text, i & 1 ? "%.17g" : "%.25e", want);
        good(text);
        got = travel_json_double(travel_json_nodes(doc));
        assert_memory_equal(&got, &want, sizeof(got));
    }

    /* half way between two doubles, and a digit far behind that decides */

    strcpy(text, "9007199254740993.");
    memset(text + strlen(text) + 1, 0, 8);
    i = strlen(text);
    memset(text + i, '0', 1000);
    strcpy(text + i + 1000, "1");
    good(text);
    assert_true(travel_json_double(travel_json_nodes(doc))
                == 9007199254740994.0);
}


static void
decimals(void **state)
{
    int                cmp;
    size_t             i;
    travel_decimal_t   a, b;

    static const struct { const char *a, *b; int cmp; } order[] = {
        { "0", "-0.0e9", 0 }, { "1", "1.00", 0 }, { "1e2", "100", 0 },
        { "-1", "1", -1 }, { "-2", "-1", -1 }, { "0", "-1", 1 },
        { "0", "1e-99", -1 }, { "0.1", "0.10000000000000000001", -1 },
        { "9007199254740993", "9007199254740992", 1 },
        { "1e400", "1e399", 1 }, { "-1e400", "1e-400", -1 },
        { "12.5", "125e-1", 0 }, { "12.05", "12.5", -1 },
        { "1e1000000000000000000000", "1", 1 }, { "99", "100", -1 }
    };
    static const struct { const char *a, *b; bool is; } multiple[] = {
        { "0", "0.01", true }, { "0.07", "0.01", true },
        { "19.99", "0.01", true }, { "4.35", "0.01", true },
        { "1.005", "0.01", false }, { "-0.3", "0.1", true },
        { "1e308", "0.123456789", false }, { "1e30", "1e15", true },
        { "1e30", "3", false }, { "3e30", "3", true },
        { "12391239123", "1e-8", true }, { "0.0075", "0.0001", true },
        { "0.00751", "0.0001", false }, { "7", "7.0", true },
        { "5", "10", false }, { "1e999999999999", "7", false },
        { "7e999999999999", "7", true }, { "4.5", "1.5", true },
        { "999999999999999999999999999999", "999999999999999999", false }
    };

    (void) state;

    for (i = 0; i < N(order); i++) {
        a = travel_decimal_read(S(order[i].a));
        b = travel_decimal_read(S(order[i].b));
        cmp = travel_decimal_cmp(&a, &b);
        assert_int_equal((cmp > 0) - (cmp < 0), order[i].cmp);
        cmp = travel_decimal_cmp(&b, &a);
        assert_int_equal((cmp > 0) - (cmp < 0), -order[i].cmp);
    }

    for (i = 0; i < N(multiple); i++) {
        a = travel_decimal_read(S(multiple[i].a));
        b = travel_decimal_read(S(multiple[i].b));

        if (travel_decimal_multiple(&a, &b) != multiple[i].is) {
            print_error("%s / %s\n", multiple[i].a, multiple[i].b);
            fail();
        }
    }
}


static void
equality(void **state)
{
    size_t          i;
    travel_json_t  *other = travel_json_create(0);

    static const struct { const char *a, *b; bool is; } rows[] = {
        { "1", "1.0", true }, { "100", "1e2", true }, { "0", "-0", true },
        { "1", "\"1\"", false }, { "true", "1", false },
        { "false", "null", false }, { "[]", "{}", false },
        { "\"\\u0061\"", "\"a\"", true }, { "\"a\"", "\"b\"", false },
        { "[1,2]", "[2,1]", false }, { "[1,2]", "[1,2,3]", false },
        { "[[],[1]]", "[[],[1.0]]", true }, { "[[1],[]]", "[[],[1]]", false },
        { "{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}", true },
        { "{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}", false },
        { "{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}", false },
        { "{\"a\":{\"x\":1,\"y\":{}},\"b\":[]}",
          "{\"b\":[],\"a\":{\"y\":{},\"x\":1}}", true },
        { "[{\"a\":1},2]", "[{\"a\":1},3]", false },
        { "{\"a\":[],\"b\":{}}", "{\"b\":[],\"a\":{}}", false }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        good(rows[i].a);
        assert_int_equal(parse_bytes(other, S(rows[i].b), 0), TRAVEL_OK);
        assert_true(travel_json_equal(doc, 0, other, 0) == rows[i].is);
        assert_true(travel_json_equal(other, 0, doc, 0) == rows[i].is);
        assert_true(travel_json_equal(doc, 0, doc, 0));
    }

    travel_json_free(other);
}


/* The same large object forwards and backwards: found by hash, not by turns. */
static void
equality_of_large(void **state)
{
    char           *a = malloc(2000000), *b = malloc(2000000), *p = a, *q = b;
    unsigned        i, n = 60000;
    travel_json_t  *other = travel_json_create(0);

    (void) state;

    *p++ = *q++ = '{';
    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s\"n%u\":%u", i ? "," : "", i, i);
        q += sprintf(q, "%s\"n%u\":%u.0", i ? "," : "", n - 1 - i, n - 1 - i);
    }
    strcpy(p, "}");
    strcpy(q, "}");

    good(a);
    assert_int_equal(parse_bytes(other, S(b), 0), TRAVEL_OK);
    assert_true(travel_json_equal(doc, 0, other, 0));

    travel_json_free(other);
    free(a);
    free(b);
}


static void
quoting(void **state)
{
    char          out[64];
    size_t        i, n;
    travel_str_t  in;

    static const struct { const char *in; size_t len; const char *out; }
    rows[] = {
        { "", 0, "\"\"" }, { "abc", 3, "\"abc\"" },
        { "a\"b\\c/", 6, "\"a\\\"b\\\\c/\"" },
        { "\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"" },
        { "\0\x01\x0B\x1F\x7F", 5, "\"\\u0000\\u0001\\u000b\\u001f\x7F\"" },
        { "\xC3\xA9\xF0\x9F\x98\x80", 6, "\"\xC3\xA9\xF0\x9F\x98\x80\"" },
        { "a\xFFz", 3, "\"a\xEF\xBF\xBDz\"" },
        { "\xC3", 1, "\"\xEF\xBF\xBD\"" },
        { "\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"" }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        in = (travel_str_t) { rows[i].in, rows[i].len };
        n = travel_json_quote(out, in);
        assert_int_equal(n, strlen(rows[i].out));
        assert_memory_equal(out, rows[i].out, n);
        assert_true(n <= 6 * in.len + 2);
        assert_int_equal(parse_bytes(doc, (travel_str_t) { out, n }, 0),
                         TRAVEL_OK);
    }
}


static void
pointers_that_do_not_fit(void **state)
{
    char    room[16], name[300];
    char    text[700];
    size_t  n;

    (void) state;

    good("{\"abc\":{\"defghijklmnop\":[1,2]}}");
    n = travel_json_pointer(doc, 5, room, sizeof(room));
    assert_string_equal(room, "/abc");
    assert_int_equal(n, 4);

    memset(name, '~', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    sprintf(text, "{\"%s\":1,\"%s\":2}", name, name);
    assert_int_equal(parse_bytes(doc, S(text), 0), TRAVEL_INVALID);
    assert_int_equal(err.kind, TRAVEL_E_DUPLICATE_KEY);
    assert_string_equal(err.pointer, "");
}


/* A document is used again; what an earlier text left must not show. */
static void
reuse(void **state)
{
    int  i;

    (void) state;

    for (i = 0; i < 50; i++) {
        good("[\"\\u0041\\u0042 some text that needs the arena\"]");
        assert_str(travel_json_nodes(doc)[1].text,
                   "AB some text that needs the arena");
        assert_int_equal(parse_bytes(doc, S("[\"\\x\"]"), 0), TRAVEL_INVALID);
        good("{}");
        assert_int_equal(travel_json_count(doc), 1);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(nodes),
        cmocka_unit_test(malformed),
        cmocka_unit_test(well_formed),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(large_objects),
        cmocka_unit_test(many_members),
        cmocka_unit_test(depth),
        cmocka_unit_test(integers),
        cmocka_unit_test(doubles),
        cmocka_unit_test(decimals),
        cmocka_unit_test(equality),
        cmocka_unit_test(equality_of_large),
        cmocka_unit_test(quoting),
        cmocka_unit_test(pointers_that_do_not_fit),
        cmocka_unit_test(reuse),
    };

    return cmocka_run_group_tests_name("json", tests, set_up, tear_down);
}
