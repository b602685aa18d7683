/* Query files: what loads, into what, and what each fault says and where. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/catalog.h"


static travel_query_t *
parse(const char *text)
{
    int                      rc;
    travel_query_t          *q = NULL;
    travel_catalog_fault_t   fault = { 0 };

    rc = travel_query_parse(&q, "things.list", "queries/things.list.sql",
                            (travel_str_t) { text, strlen(text) }, &fault);

    if (rc != TRAVEL_OK) {
        print_error("line %zu: %s\n", fault.line, fault.message);
    }

    assert_int_equal(rc, TRAVEL_OK);

    return q;
}


static void
refuse_text(travel_str_t text, size_t line, const char *says)
{
    int                      rc;
    travel_query_t          *q = NULL;
    travel_catalog_fault_t   fault = { 0 };

    rc = travel_query_parse(&q, "things.list", "queries/things.list.sql",
                            text, &fault);

    assert_int_equal(rc, TRAVEL_INVALID);
    assert_null(q);
    assert_string_equal(fault.file, "queries/things.list.sql");

    if (fault.line != line || strstr(fault.message, says) == NULL) {
        print_error("got line %zu: %s\n", fault.line, fault.message);
    }

    assert_int_equal(fault.line, line);
    assert_non_null(strstr(fault.message, says));
}


static void
refuse(const char *text, size_t line, const char *says)
{
    refuse_text((travel_str_t) { text, strlen(text) }, line, says);
}


/* The statement below a head that declares a and b. */

static void
rewrites(const char *sql, const char *expect)
{
    char             text[2048];
    travel_query_t  *q;

    snprintf(text, sizeof(text), "-- @public\n-- @returns list\n"
             "-- @param a int\n-- @param b text\n%s", sql);

    q = parse(text);
    assert_string_equal(q->sql, expect);
    travel_query_free(q);
}


static void
test_whole_file(void **state)
{
    travel_query_t  *q;

    (void) state;

    q = parse("-- Somebody's things, newest first.\r\n"
              "--\r\n"
              "\r\n"
              "-- @param    limit  int 1..100 = 20\r\n"
              "-- @param    cursor uuid?\r\n"
              "-- @param    theme  enum(a|bc)?\r\n"
              "-- @returns  list\r\n"
              "-- @tags     user:{viewer} thing:{cursor}\r\n"
              "-- @class    slow\r\n"
              "-- @timeout  500ms\r\n"
              "SELECT things(:viewer, :theme, :limit,\r\n"
              "              :cursor, :limit) ;\r\n"
              "-- the end\r\n");

    assert_string_equal(q->name, "things.list");
    assert_string_equal(q->file, "queries/things.list.sql");
    assert_string_equal(q->sql,
                        "SELECT things($4::uuid, $3::text, $1::integer,\r\n"
                        "              $2::uuid, $1::integer)");
    assert_int_equal(q->nbinds, 4);
    assert_int_equal(q->viewer, 4);
    assert_int_equal(q->nparams, 3);
    assert_int_equal(q->returns, TRAVEL_RETURNS_LIST);
    assert_true(q->slow);
    assert_int_equal(q->timeout_ms, 500);
    assert_string_equal(q->tags, "user:{viewer} thing:{cursor}");
    assert_null(q->pending);
    assert_null(q->requires);
    assert_false(q->public);

    assert_string_equal(q->params[0].name, "limit");
    assert_int_equal(q->params[0].type, TRAVEL_PARAM_INT);
    assert_int_equal(q->params[0].position, 1);
    assert_true(q->params[0].bounded);
    assert_true(q->params[0].min == 1 && q->params[0].max == 100);
    assert_string_equal(q->params[0].fallback, "20");
    assert_false(q->params[0].optional);
    assert_true(q->params[1].optional);
    assert_int_equal(q->params[2].position, 3);
    assert_string_equal(q->params[2].words[1], "bc");
    assert_null(q->params[2].words[2]);

    assert_ptr_equal(travel_query_param(q, TRAVEL_STR("theme")),
                     &q->params[2]);
    assert_null(travel_query_param(q, TRAVEL_STR("them")));

    travel_query_free(q);
}


static void
test_defaults(void **state)
{
    travel_query_t  *q;

    (void) state;

    q = parse("-- @requires things:read\n-- @returns one\n"
              "-- @param id uuid\n-- @pending thing\n"
              "SELECT thing(:id)");

    assert_string_equal(q->requires, "things:read");
    assert_string_equal(q->pending, "thing");
    assert_false(q->slow);
    assert_int_equal(q->timeout_ms, 2000);
    assert_int_equal(q->viewer, 0);
    assert_int_equal(q->nbinds, 1);

    travel_query_free(q);
}


static void
test_rewrite(void **state)
{
    (void) state;

    rewrites("SELECT :a, :b", "SELECT $1::integer, $2::text");
    rewrites("SELECT :b::int, :a", "SELECT $2::text::int, $1::integer");
    rewrites("select x::a, :a, :b", "select x::a, $1::integer, $2::text");
    rewrites("SELECT ':a', ':b''s', :a, :b",
             "SELECT ':a', ':b''s', $1::integer, $2::text");
    /* with standard_conforming_strings a backslash ends nothing */
    rewrites("SELECT '\\', :a, :b", "SELECT '\\', $1::integer, $2::text");
    rewrites("SELECT E'\\':a', :a, :b",
             "SELECT E'\\':a', $1::integer, $2::text");
    rewrites("SELECT e'\\\\', :a, :b",
             "SELECT e'\\\\', $1::integer, $2::text");
    /* an identifier that ends in e is no prefix */
    rewrites("SELECT date'\\', :a, :b",
             "SELECT date'\\', $1::integer, $2::text");
    rewrites("SELECT \"x:a\", \"y\"\":b\", :a, :b",
             "SELECT \"x:a\", \"y\"\":b\", $1::integer, $2::text");
    rewrites("SELECT $$:a$$, $q$ :a $$ ' $q$, :a, :b",
             "SELECT $$:a$$, $q$ :a $$ ' $q$, $1::integer, $2::text");
    rewrites("SELECT a$b$, :a, c$b$, :b",
             "SELECT a$b$, $1::integer, c$b$, $2::text");
    rewrites("SELECT :a -- not :c, it's\n, :b",
             "SELECT $1::integer -- not :c, it's\n, $2::text");
    rewrites("SELECT /* :c /* ' */ :d */ :a, :b",
             "SELECT /* :c /* ' */ :d */ $1::integer, $2::text");
    rewrites("SELECT f(x := :a), v[1 : 2], :b",
             "SELECT f(x := $1::integer), v[1 : 2], $2::text");
    rewrites("WITH x AS (SELECT :a) SELECT :b FROM x; -- done",
             "WITH x AS (SELECT $1::integer) SELECT $2::text FROM x");
    rewrites("(SELECT :a) UNION (SELECT :b);\n\n/* ; */",
             "(SELECT $1::integer) UNION (SELECT $2::text)");
    rewrites("SELECT ';', :a, :b", "SELECT ';', $1::integer, $2::text");
    rewrites("SELECT a-:a, b||:b", "SELECT a-$1::integer, b||$2::text");
}


static void
test_types(void **state)
{
    travel_query_t  *q;

    (void) state;

    q = parse("-- @public\n-- @returns list\n"
              "-- @param a bigint\n-- @param b number -90..90\n"
              "-- @param c bool = true\n-- @param d date?\n"
              "-- @param e timestamp\n-- @param f text ..80\n"
              "-- @param g int 3..\n"
              "SELECT :a,:b,:c,:d,:e,:f,:g");

    assert_string_equal(q->sql, "SELECT $1::bigint,$2::double precision,"
                        "$3::boolean,$4::date,$5::timestamptz,$6::text,"
                        "$7::integer");

    travel_query_free(q);
}


static void
test_most_parameters(void **state)
{
    int              i;
    char             text[4096];
    size_t           n;
    travel_query_t  *q;

    (void) state;

    n = (size_t) sprintf(text, "-- @public\n-- @returns list\n");
    for (i = 0; i < TRAVEL_QUERY_PARAMS_MAX; i++) {
        n += (size_t) sprintf(text + n, "-- @param p%c number\n", 'a' + i);
    }

    n += (size_t) sprintf(text + n, "SELECT 1");
    for (i = 0; i < TRAVEL_QUERY_PARAMS_MAX; i++) {
        n += (size_t) sprintf(text + n, ",:p%c", 'a' + i);
    }

    q = parse(text);
    assert_int_equal(q->nbinds, TRAVEL_QUERY_PARAMS_MAX);
    assert_non_null(strstr(q->sql, "$16::double precision"));
    travel_query_free(q);

    /* the head one longer */
    memmove(text + 20, text, n + 1);
    memcpy(text, "-- @param zz number\n", 20);
    refuse(text, 19, "at most 16");
}


static void
test_refused_heads(void **state)
{
    (void) state;

    refuse("-- @returns one\nSELECT 1", 0, "bind :viewer");
    refuse("-- @public\nSELECT 1", 0, "@returns");
    refuse("-- @public\n-- @requires a:b\n-- @returns one\nSELECT 1", 2,
           "exclude");
    refuse("-- @public yes\n-- @returns one\nSELECT 1", 1, "alone");
    refuse("-- @public\n-- @public\nSELECT 1", 2, "twice");
    refuse("-- @publik\nSELECT 1", 1, "\"@publik\" is not known");
    refuse("-- @requires\nSELECT 1", 1, "one word");
    refuse("-- @requires a:b c:d\nSELECT 1", 1, "one word");
    refuse("-- @public\n-- @returns many\nSELECT 1", 2, "one, list or rows");
    refuse("-- @class quick\nSELECT 1", 1, "fast or slow");
    refuse("-- @timeout 2\nSELECT 1", 1, "duration");
    refuse("-- @timeout 2h\nSELECT 1", 1, "duration");
    refuse("-- @timeout 1ms\nSELECT 1", 1, "duration");
    refuse("-- @public\n-- @returns one\n-- @pending thing\nSELECT 1", 3,
           "@param id uuid");
    refuse("-- @public\n-- @returns list\n-- @pending thing\n"
           "-- @param id uuid\nSELECT :id", 3, "@returns one");
    refuse("-- @public\n-- @returns one\n-- @tags a:{b}\nSELECT 1", 3,
           "\"{b}\"");
    refuse("-- @public\n-- @returns one\n-- @tags a:{viewer\nSELECT 1", 3,
           "not closed");
    refuse("-- @public\n-- @returns one\n-- @tags a:{b}\n"
           "-- @param b text\nSELECT :b", 3, "free text");
    refuse("-- @public\n-- @returns one\n-- @tags a:}\nSELECT 1", 3,
           "without");
    refuse("-- @public\n-- @returns one\n", 3, "no statement");
    refuse("", 1, "no statement");
    refuse_text(TRAVEL_STR("-- @public\n-- \xff\nSELECT 1"), 2, "UTF-8");
    refuse_text(TRAVEL_STR("-- @public\nSELECT\0 1"), 2, "UTF-8");
}


static void
test_refused_parameters(void **state)
{
    (void) state;

    refuse("-- @param\nSELECT 1", 1, "needs a name");
    refuse("-- @param Limit int\nSELECT 1", 1, "needs a name");
    refuse("-- @param li-mit int\nSELECT 1", 1, "lower case");
    refuse("-- @param viewer uuid\nSELECT 1", 1, "by itself");
    refuse("-- @param a\nSELECT 1", 1, "no known type");
    refuse("-- @param a integer\nSELECT 1", 1, "no known type");
    refuse("-- @param a int(3)\nSELECT 1", 1, "no known type");
    refuse("-- @param a int 1-100\nSELECT 1", 1, "1..100");
    refuse("-- @param a int 100..1\nSELECT 1", 1, "smaller first");
    refuse("-- @param a int ..\nSELECT 1", 1, "1..100");
    refuse("-- @param a text -1..5\nSELECT 1", 1, "1..100");
    refuse("-- @param a uuid 1..2\nSELECT 1", 1, "only numbers and text");
    refuse("-- @param a int 1..2 3\nSELECT 1", 1, "too much");
    refuse("-- @param a int 1..2 = 3\nSELECT 1", 1,
           "default of parameter \"a\" must be a whole number from 1 to 2");
    refuse("-- @param a int =\nSELECT 1", 1, "is empty");
    refuse("-- @param a int? = 3\nSELECT 1", 1, "keep one");
    refuse("-- @param a enum\nSELECT 1", 1, "enum(a|b|c)");
    refuse("-- @param a enum(a|)\nSELECT 1", 1, "empty word");
    refuse("-- @param a enum(b|c) = a\nSELECT 1", 1, "must be one of b c");
    refuse("-- @param a int\n-- @param a text\nSELECT :a", 2, "twice");
    refuse("-- @public\n-- @returns one\n-- @param a int\nSELECT ':a'", 3,
           "\"a\" is not used");
}


static void
test_refused_statements(void **state)
{
    (void) state;

    refuse("-- @public\n\nSELECT 1,\n :b", 4, "\":b\" is not declared");
    refuse("-- @public\nSELECT v[1:b]", 2, "space after the ':'");
    refuse("-- @public\nSELECT $1", 2, "by name");
    refuse("-- @public\nSELECT 1;\nSELECT 2", 3, "one statement");
    refuse("-- @public\nSELECT\n 'abc", 3, "quote that starts here");
    refuse("-- @public\nSELECT \"abc", 2, "quote that starts here");
    refuse("-- @public\nSELECT E'abc\\'", 2, "quote that starts here");
    refuse("-- @public\nSELECT E'abc\\", 2, "quote that starts here");
    refuse("-- @public\nSELECT $a$ $b$", 2, "dollar quote");
    refuse("-- @public\nSELECT 1 /* /* */", 2, "comment that starts here");
    refuse("-- @public\nSELECT 1\n--   @returns one", 3, "before the");
    refuse("-- @public\nDELETE FROM x", 2, "SELECT or WITH");
    refuse("-- @public\nSELECTED", 2, "SELECT or WITH");
    refuse("-- @public\n;", 2, "SELECT or WITH");
}


typedef struct {
    const char  *declared;
    const char  *value;
    int          rc;
    const char  *why;
} value_case_t;

static const value_case_t  values[] = {
    { "int", "0", TRAVEL_OK, NULL },
    { "int", "-2147483648", TRAVEL_OK, NULL },
    { "int", "2147483647", TRAVEL_OK, NULL },
    { "int", "2147483648", TRAVEL_REFUSED, "32 bits" },
    { "int", "", TRAVEL_INVALID, "whole number" },
    { "int", "-", TRAVEL_INVALID, "whole number" },
    { "int", "-0", TRAVEL_INVALID, "whole number" },
    { "int", "+5", TRAVEL_INVALID, "whole number" },
    { "int", "05", TRAVEL_INVALID, "whole number" },
    { "int", "5.0", TRAVEL_INVALID, "whole number" },
    { "int", "1e2", TRAVEL_INVALID, "whole number" },
    { "int", " 5", TRAVEL_INVALID, "whole number" },
    { "int", "99999999999999999999999", TRAVEL_INVALID, "whole number" },
    { "int 1..100", "100", TRAVEL_OK, NULL },
    { "int 1..100", "0", TRAVEL_REFUSED, "from 1 to 100" },
    { "int 1..100", "101", TRAVEL_REFUSED, "from 1 to 100" },
    { "int 3..", "2", TRAVEL_REFUSED, "at least 3" },
    { "int ..3", "4", TRAVEL_REFUSED, "at most 3" },
    { "bigint", "9223372036854775807", TRAVEL_OK, NULL },
    { "bigint", "-9223372036854775808", TRAVEL_OK, NULL },
    { "bigint", "9223372036854775808", TRAVEL_INVALID, "whole" },
    { "number -90..90", "-90", TRAVEL_OK, NULL },
    { "number -90..90", "52.52", TRAVEL_OK, NULL },
    { "number -90..90", "9e1", TRAVEL_OK, NULL },
    { "number -90..90", "90.0001", TRAVEL_REFUSED, "from -90 to 90" },
    { "number", "1e400", TRAVEL_REFUSED, "64 bits" },
    { "number", "1e-400", TRAVEL_REFUSED, "64 bits" },
    { "number", "NaN", TRAVEL_INVALID, "a number" },
    { "number", "Infinity", TRAVEL_INVALID, "a number" },
    { "number", ".5", TRAVEL_INVALID, "a number" },
    { "number", "5.", TRAVEL_INVALID, "a number" },
    { "number", "1e", TRAVEL_INVALID, "a number" },
    { "number", "0x10", TRAVEL_INVALID, "a number" },
    { "text", "", TRAVEL_OK, NULL },
    { "text 2..3", "\xc3\xa9\xc3\xa9\xe2\x82\xac", TRAVEL_OK, NULL },
    { "text 2..3", "\xc3\xa9", TRAVEL_REFUSED, "from 2 to 3 characters" },
    { "text 2..3", "abcd", TRAVEL_REFUSED, "from 2 to 3 characters" },
    { "text", "a\xff", TRAVEL_INVALID, "UTF-8" },
    { "text", "\xed\xa0\x80", TRAVEL_INVALID, "UTF-8" },
    { "uuid", "01890000-0000-7000-8000-000000000000", TRAVEL_OK, NULL },
    { "uuid", "8c8c0f2d-7b0f-3e11-1c1f-ABCDEF000000", TRAVEL_OK, NULL },
    { "uuid", "01890000-0000-7000-8000-00000000000g", TRAVEL_INVALID, "UUID" },
    { "uuid", "01890000-0000-7000-8000-00000000000", TRAVEL_INVALID, "UUID" },
    { "uuid", "018900000000700080000000000000000000", TRAVEL_INVALID, "UUID" },
    { "bool", "true", TRAVEL_OK, NULL },
    { "bool", "TRUE", TRAVEL_INVALID, "true or false" },
    { "date", "2028-02-29", TRAVEL_OK, NULL },
    { "date", "2027-02-29", TRAVEL_INVALID, "a date" },
    { "date", "0000-01-01", TRAVEL_INVALID, "a date" },
    { "timestamp", "2026-03-01T19:00:00Z", TRAVEL_OK, NULL },
    { "timestamp", "2026-03-01T19:00:00.5-15:59", TRAVEL_OK, NULL },
    { "timestamp", "2026-03-01T19:00:00+16:00", TRAVEL_INVALID, "a time" },
    { "timestamp", "2026-03-01T19:00:00", TRAVEL_INVALID, "a time" },
    { "timestamp", "0000-03-01T19:00:00Z", TRAVEL_INVALID, "a time" },
    { "enum(food|art)", "art", TRAVEL_OK, NULL },
    { "enum(food|art)", "ar", TRAVEL_REFUSED, "one of food art" },
    { "enum(food|art)", "", TRAVEL_REFUSED, "one of food art" }
};


static void
test_values(void **state)
{
    int              rc;
    char             text[256], why[160];
    size_t           i;
    travel_query_t  *q;

    (void) state;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        snprintf(text, sizeof(text), "-- @public\n-- @returns one\n"
                 "-- @param a %s\nSELECT :a", values[i].declared);

        q = parse(text);
        rc = travel_param_check(&q->params[0], (travel_str_t) {
                 values[i].value, strlen(values[i].value) }, why);

        if (rc != values[i].rc) {
            print_error("%s \"%s\"\n", values[i].declared, values[i].value);
        }

        assert_int_equal(rc, values[i].rc);

        if (values[i].why != NULL) {
            assert_non_null(strstr(why, values[i].why));
        }

        travel_query_free(q);
    }
}


static void
test_zero_byte(void **state)
{
    char             why[160];
    travel_query_t  *q;

    (void) state;

    q = parse("-- @public\n-- @returns one\n-- @param a text\nSELECT :a");

    assert_int_equal(travel_param_check(&q->params[0],
                                        (travel_str_t) { "a\0b", 3 }, why),
                     TRAVEL_INVALID);

    travel_query_free(q);
}


/* Each parameter's worth must not run past the sentence's room. */

static void
test_many_words(void **state)
{
    char             text[1024], why[160];
    travel_query_t  *q;

    (void) state;

    snprintf(text, sizeof(text), "-- @public\n-- @returns one\n-- @param a "
             "enum(%s|%s|%s|%s|%s|%s|%s)\nSELECT :a",
             "abcdefghijklmnopqrstuvwxyz1", "abcdefghijklmnopqrstuvwxyz2",
             "abcdefghijklmnopqrstuvwxyz3", "abcdefghijklmnopqrstuvwxyz4",
             "abcdefghijklmnopqrstuvwxyz5", "abcdefghijklmnopqrstuvwxyz6",
             "abcdefghijklmnopqrstuvwxyz7");

    q = parse(text);

    assert_int_equal(travel_param_check(&q->params[0], TRAVEL_STR("x"), why),
                     TRAVEL_REFUSED);
    assert_true(strlen(why) < sizeof(why));
    assert_non_null(strstr(why, "..."));

    travel_query_free(q);
}


static void
test_read(void **state)
{
    char                    *text, path[] = "/tmp/travel-catalog-XXXXXX";
    FILE                    *f;
    size_t                   n;
    travel_catalog_fault_t   fault;

    (void) state;

    f = fdopen(mkstemp(path), "w");
    assert_non_null(f);
    fputs("SELECT 1", f);
    fclose(f);

    assert_int_equal(travel_catalog_read(&text, &n, path, &fault), TRAVEL_OK);
    assert_int_equal(n, 8);
    assert_string_equal(text, "SELECT 1");
    free(text);
    remove(path);

    assert_int_equal(travel_catalog_read(&text, &n, path, &fault),
                     TRAVEL_INVALID);
    assert_string_equal(fault.file, path);
    assert_non_null(strstr(fault.message, "No such file"));
    assert_int_equal(fault.line, 0);
}


/* --- pages ---------------------------------------------------------------- */

#define HEAD  "-- @public\n-- @returns list\n-- @param limit int 1..9 = 5\n"

static void
test_cursor(void **state)
{
    travel_query_t  *q;

    (void) state;

    q = parse(HEAD "-- @param t text\n-- @cursor at desc, id desc\n"
              "SELECT at, id, item FROM x WHERE t = :t AND :viewer IS NULL;");

    assert_int_equal(q->nkeys, 2);
    assert_string_equal(q->keys[0].name, "at");
    assert_true(q->keys[0].desc && q->keys[1].desc);
    assert_int_equal(q->nbinds, 3);
    assert_int_equal(q->params[0].position, 1);
    assert_string_equal(q->sql,
        "WITH travel_page AS (SELECT q.* FROM (\n"
        "SELECT at, id, item FROM x WHERE t = $2::text AND $3::uuid IS NULL\n"
        ") AS q ORDER BY q.\"at\" DESC, q.\"id\" DESC LIMIT $1::integer + 1), "
        "travel_list AS (SELECT p.*, row_number() OVER ( ORDER BY p.\"at\" "
        "DESC, p.\"id\" DESC) AS travel_n FROM travel_page AS p) SELECT "
        "coalesce(json_agg(l.item ORDER BY l.travel_n) FILTER (WHERE "
        "l.travel_n <= $1::integer), '[]')::text, "
        "CASE WHEN count(*) > $1::integer THEN min(l.\"at\"::text) FILTER "
        "(WHERE l.travel_n = $1::integer) END, "
        "CASE WHEN count(*) > $1::integer THEN min(l.\"id\"::text) FILTER "
        "(WHERE l.travel_n = $1::integer) END FROM travel_list AS l");
    assert_non_null(strstr(q->sql_next, ") AS q WHERE (q.\"at\", q.\"id\") < "
                           "($4, $5) ORDER BY q.\"at\" DESC"));
    travel_query_free(q);

    /* no viewer: the keys come right behind the parameters */

    q = parse(HEAD "-- @cursor id\nSELECT id, item FROM x");
    assert_non_null(strstr(q->sql_next, "WHERE (q.\"id\") > ($2) ORDER BY "
                           "q.\"id\" LIMIT"));
    travel_query_free(q);

    /* of something that may not be there */

    q = parse("-- @public\n-- @returns one\n-- @param limit int 1..9 = 5\n"
              "-- @cursor id\nSELECT id, item FROM x");
    assert_non_null(strstr(q->sql, "(WHERE l.travel_n <= $1::integer AND "
                           "l.item IS NOT NULL)"));
    assert_non_null(strstr(q->sql,
                           " FROM travel_list AS l HAVING count(*) > 0"));
    assert_null(strstr(q->sql_next, "HAVING"));
    travel_query_free(q);

    /* two directions */

    q = parse(HEAD "-- @cursor a desc, b asc, c\nSELECT a, b, c, item FROM x");
    assert_non_null(strstr(q->sql_next, " WHERE q.\"a\" <= $2 AND "
        "(q.\"a\" < $2 OR (q.\"a\" = $2 AND (q.\"b\" > $3 OR (q.\"b\" = $3 AND "
        "(q.\"c\" > $4))))) ORDER BY q.\"a\" DESC, q.\"b\", q.\"c\" LIMIT"));
    travel_query_free(q);
}


static void
test_cursor_refused(void **state)
{
    (void) state;

    refuse(HEAD "-- @cursor\nSELECT 1", 4, "columns of the statement");
    refuse(HEAD "-- @cursor a,\nSELECT 1", 4, "columns of the statement");
    refuse(HEAD "-- @cursor a down\nSELECT 1", 4, "asc or desc");
    refuse(HEAD "-- @cursor a desc b\nSELECT 1", 4, "asc or desc");
    refuse(HEAD "-- @cursor A\nSELECT 1", 4, "lower case");
    refuse(HEAD "-- @cursor a\" \nSELECT 1", 4, "lower case");
    refuse(HEAD "-- @cursor 1a\nSELECT 1", 4, "lower case");
    refuse(HEAD "-- @cursor a, b, c, d, e\nSELECT 1", 4, "at most 4");
    refuse("-- @public\n-- @returns rows\n-- @cursor a\nSELECT 1", 3,
           "@cursor is for lists");
    refuse("-- @public\n-- @returns one\n-- @cursor a\nSELECT 1", 3,
           "needs a page length");
    refuse("-- @public\n-- @returns list\n-- @cursor a\nSELECT 1", 3,
           "needs a page length");
    refuse(HEAD "-- @param cursor text\n-- @cursor a\nSELECT :cursor", 5,
           "take one of them out");
    refuse("-- @public\n-- @returns list\n-- @param limit int\nSELECT :limit",
           3, "at most 1000");
    refuse("-- @public\n-- @returns list\n-- @param limit int 1..1001\n"
           "SELECT :limit", 3, "at most 1000");
    refuse("-- @public\n-- @returns list\n-- @param limit int 0..10\n"
           "SELECT :limit", 3, "with bounds");
}


static void
test_route_and_priority(void **state)
{
    travel_query_t  *q;

    (void) state;

    q = parse("-- @public\n-- @returns one\nSELECT 1");
    assert_false(q->analytics);
    assert_int_equal(q->priority, TRAVEL_PRIORITY_NORMAL);
    assert_int_equal(q->nkeys, 0);
    assert_null(q->sql_next);
    travel_query_free(q);

    q = parse("-- @public\n-- @returns one\n-- @route analytics\n"
              "-- @priority low\nSELECT 1");
    assert_true(q->analytics);
    assert_int_equal(q->priority, TRAVEL_PRIORITY_LOW);
    travel_query_free(q);

    refuse("-- @public\n-- @returns one\n-- @route primary\nSELECT 1", 3,
           "replica or analytics");
    refuse("-- @public\n-- @returns one\n-- @priority top\nSELECT 1", 3,
           "high, normal or low");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_cursor_refused),
        cmocka_unit_test(test_route_and_priority),
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_most_parameters),
        cmocka_unit_test(test_refused_heads),
        cmocka_unit_test(test_refused_parameters),
        cmocka_unit_test(test_refused_statements),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_zero_byte),
        cmocka_unit_test(test_many_words),
        cmocka_unit_test(test_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
