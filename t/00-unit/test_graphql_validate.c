/* GraphQL: the rules of documents, of schemas and of variables; what the
 * reference implementation leaves out of them, and bombs. */

#include <stdio.h>
#include <time.h>

#include "unit.h"
#include "../../common/graphql/coerce.h"
#include "../../common/graphql/validate.h"

static const char  SCHEMA[] =
    "enum E { A B } scalar S\n"
    "input I { a: Int! b: [E!] c: I = null d: S e: Float }\n"
    "input O @oneOf { a: Int b: String c: I }\n"
    "interface N { id: ID! n: N }\n"
    "type T implements N { id: ID! n: T t(i: I, o: O, n: Int! = 1): T ts: [T!]"
    " f(x: [Int]): Float }\n"
    "type V implements N { id: ID! n: N f: Int } union U = T | V\n"
    "type Query { t: T n: N u: U v(o: O!): V }\n"
    "type Subscription { t: T u: U }\n";

static travel_graphql_document_t  *sdl;
static travel_graphql_schema_t    *schema;


static int
setup(void **state)
{
    int                      rc;
    travel_graphql_fault_t   fault;
    travel_graphql_report_t  report;

    (void) state;
    travel_graphql_report_init(&report, 10);
    rc = travel_graphql_parse_schema(&sdl, TRAVEL_STR(SCHEMA), &fault);

    if (rc == TRAVEL_OK) {
        rc = travel_graphql_schema_make(&schema, sdl, &report);
    }

    travel_graphql_report_free(&report);
    return rc;
}


static int
teardown(void **state)
{
    (void) state;
    travel_graphql_schema_free(schema);
    travel_graphql_document_free(sdl);
    return 0;
}


/* The mistakes of a document, for the caller to free. */
static void
judge(travel_str_t text, travel_graphql_report_t *report)
{
    int                         rc;
    travel_graphql_fault_t      fault;
    travel_graphql_document_t  *document;

    travel_graphql_report_init(report, 100);
    rc = travel_graphql_parse(&document, text, &fault);

    if (rc != TRAVEL_OK) {
        fail_msg("%u:%u: %s", fault.line, fault.column, fault.message);
    }

    rc = travel_graphql_validate(schema, document, TRAVEL_GRAPHQL_WORK,
                                 report);
    assert_int_equal(rc, report->n > 0 ? TRAVEL_INVALID : TRAVEL_OK);
    travel_graphql_document_free(document);
}


typedef struct {
    const char  *text;
    const char  *says;                /* NULL: it is valid */
    size_t       n;
} case_t;


static void
check(const case_t *c, const travel_graphql_report_t *report)
{
    if (c->says == NULL ? report->n != 0
        : report->n != c->n || strstr(report->items[0].message, c->says)
                               == NULL)
    {
        fail_msg("%s: %zu mistakes, first %s", c->text, report->n,
                 report->n > 0 ? report->items[0].message : "(none)");
    }
}


/* --- documents ------------------------------------------------------------ */

static void
test_documents(void **state)
{
    size_t                   i;
    travel_graphql_report_t  report;

    static const case_t  cases[] = {
        { "{ t { id t(i: {a: 1, b: A}, o: {a: 2}) { id } } }", NULL, 0 },
        { "\"why\" query Q(\"what\" $a: Int!) { t { t(o: {a: $a}) { id } } }",
          NULL, 0 },
        { "{ __schema { types { fields { type { name } } } } }", NULL, 0 },
        { "{ t { f(x: 1) } } fragment F on T { id }", "never used", 1 },

        /* an operation that the schema has not (2025) */
        { "mutation { a }", "no mutation type", 1 },

        /* a oneOf field takes no variable that may be null (2025), also where
         * the object itself must not be null */
        { "query($a: Int) { v(o: {a: $a}) { id } }", "non-nullable", 1 },
        { "query($a: Int!) { v(o: {a: $a}) { id } }", NULL, 0 },
        { "{ v(o: {a: 1, b: \"x\"}) { id } }", "exactly one key", 1 },
        { "{ v(o: {a: null}) { id } }", "non-null", 1 },
        { "{ v(o: {}) { id } }", "exactly one key", 1 },

        /* what a subscription selects must not depend on variables (2025) */
        { "subscription { t @skip(if: true) { id } }", "@skip", 1 },
        { "subscription { ...F } fragment F on Subscription { ... @include("
          "if: true) { t { id } } }", "@include", 1 },
        { "subscription { t { id @skip(if: true) } }", NULL, 0 },
        { "subscription { t { id } u { __typename } }", "only one", 1 },

        /* __typename has a type as well */
        { "{ u { ... on T { a: __typename } ... on V { a: f } } }",
          "conflicting types", 1 },
        { "{ u { ... on T { f } ... on V { f } } }", "conflicting types", 1 },
        { "{ u { ... on T { a: id } ... on V { a: id } } }", NULL, 0 },

        /* lists of more than a few */
        { "{ t { f(x: [1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,"
          "1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,"
          "7,8,9,1,2]) f(x: [1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,"
          "7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,"
          "4,5,6,7,8,9,1,2]) } }", NULL, 0 },
        { "{ t { t(i: {a: 1, e: 2}) { id } t(i: {e: 2, a: 1}) { id } } }",
          NULL, 0 },
        { "{ t { f(x: [1]) f(x: 1) } }", "differing arguments", 1 },

        /* a type's name is no directive's, nor the other way round */
        { "{ t @T { id } }", "Unknown directive", 1 },
        { "query @N { t @Query { id } }", "Unknown directive", 2 },
        { "{ t { ... on skip { id } } }", "Unknown type", 1 },
        { "type A", "not executable", 1 },
        { "{ t { t(n: null) { id } } }", "found null", 1 },
        { "query($n: Int) { t { t(n: $n) { id } } }", NULL, 0 }
    };

    (void) state;

    for (i = 0; i < N(cases); i++) {
        judge(S(cases[i].text), &report);
        check(&cases[i], &report);
        travel_graphql_report_free(&report);
    }
}


static void
test_places(void **state)
{
    travel_graphql_report_t  report;

    (void) state;
    judge(L("{ t { ...A } }\nfragment A on T { n { ...B } }\n"
            "fragment B on T { ...A }"), &report);
    assert_int_equal(report.n, 1);
    assert_int_equal(report.items[0].nplaces, 2);
    assert_int_equal(report.items[0].places[0].line, 2);
    assert_int_equal(report.items[0].places[1].line, 3);
    assert_int_equal(report.items[0].places[1].column, 19);
    travel_graphql_report_free(&report);

    judge(L("{ no1 no2 no3 }"), &report);
    assert_int_equal(report.n, 3);
    assert_int_equal(report.items[2].places[0].column, 11);
    travel_graphql_report_free(&report);
}


/* --- bombs ---------------------------------------------------------------- */

static char *
repeated(const char *head, const char *fmt, size_t n, const char *tail)
{
    char    *text;
    size_t   i, len, room = strlen(head) + n * (strlen(fmt) + 24)
                            + strlen(tail) + 1;

    text = malloc(room);
    assert_non_null(text);
    len = (size_t) sprintf(text, "%s", head);

    for (i = 0; i < n; i++) {
        len += (size_t) sprintf(text + len, fmt, i, i + 1);
    }

    sprintf(text + len, "%s", tail);
    return text;
}


static void
bomb(char *text, const char *says)
{
    clock_t                  start = clock();
    travel_graphql_report_t  report;

    judge(S(text), &report);

    if (says == NULL ? report.n != 0
        : report.n == 0 || strstr(report.items[report.n - 1].message, says)
                           == NULL)
    {
        fail_msg("%.60s...: %zu mistakes, last %s", text, report.n,
                 report.n > 0 ? report.items[report.n - 1].message : "(none)");
    }

    /* a bound of work, not of time: this only tells seconds from minutes */
    assert_true((clock() - start) / CLOCKS_PER_SEC < 5);
    travel_graphql_report_free(&report);
    free(text);
}


static void
test_bombs(void **state)
{
    size_t   i, n;
    char    *deep, *tail;

    (void) state;

    /* as many copies of a field as there is room for: nothing wrong in it */
    bomb(repeated("{ t { ", "id ", 40000, "} }"), NULL);
    bomb(repeated("{ t { ", "a%zu: id ", 20000, "} }"), NULL);

    /* each with each */
    bomb(repeated("{ ", "t { id } ", 12000, "}"), "too complicated");
    bomb(repeated("{ t { ", "f(x: %zu) ", 10000, "} }"), "too complicated");

    /* fragments with fragments */
    bomb(repeated("{ t { ...F0 ...F1 } } fragment F9999 on T { id } ",
                  "fragment F%zu on T { id n { ...F%zu } } ", 5000,
                  "fragment F5000 on T { id }"), "never used");
    bomb(repeated("{ t { ...F0 } } ", "fragment F%zu on T { a: n { ...F%zu } "
                  "b: n { ...F0 } } ", 4000, "fragment F4000 on T { id }"),
         "");
    bomb(repeated("fragment A on T { id } query Z { t { ...A ",
                  "...A f(x: %zu) ", 9000, "} }"), "too complicated");

    /* operations times fragments */
    bomb(repeated("fragment L on T { f(x: $v) } ", "query Q%zu($v: [Int]) "
                  "{ t { ...L ...M } } ", 2000,
                  "fragment M on T { n { ...L } }"), NULL);

    /* introspection of introspection */
    tail = repeated("", "}} ", 8000, "}");
    bomb(repeated("{ ", "__schema { types { name ", 8000, tail), "");
    free(tail);

    /* as deep as it is long */
    n = 20000;
    deep = malloc(n * 10 + 64);
    assert_non_null(deep);
    strcpy(deep, "{ t ");

    for (i = 0; i < n; i++) {
        strcat(deep + i * 3, "{ n");
    }

    strcat(deep, "{ id }");
    memset(deep + strlen(deep) + n + 1, '\0', 1);
    memset(deep + strlen(deep), '}', n + 1);
    bomb(deep, NULL);
}


/* --- schemas -------------------------------------------------------------- */

static void
test_schemas(void **state)
{
    size_t                      i;
    travel_graphql_fault_t      fault;
    travel_graphql_report_t     report;
    travel_graphql_schema_t    *other;
    travel_graphql_document_t  *document;

    static const case_t  cases[] = {
        { "type Query { a: Int }", NULL, 0 },
        { "extend type Query { b: Int } type Query { a: Int }", NULL, 0 },
        { "extend schema { mutation: M } type Query { a: Int } "
          "type M { a: Int }", NULL, 0 },
        { "scalar ID type Query { a: ID }", NULL, 0 },
        { "type Query { a: Int } query { a }", "no part of a schema", 1 },
        { "type Query { a: Int } type __A { a: Int }", "__", 1 },
        { "type Query { a: Int } type String { a: Int }", "every schema", 1 },
        { "type Query { a(b: Int = \"x\"): Int }", "found a string", 1 },
        { "type Query { a: Int @deprecated(reason: 1) }", "found 1", 1 },
        { "schema { query: A mutation: A } type A { a: Int }", "different",
          1 },
        { "directive @d(a: Int @d) on ARGUMENT_DEFINITION "
          "type Query { a: Int }", "its own definition", 1 },
        { "directive @d(a: I) on INPUT_FIELD_DEFINITION | ENUM_VALUE "
          "directive @e(a: E) on INPUT_OBJECT input I @e { a: Int } "
          "enum E { A @d } type Query { a: Int }", "its own definition", 2 },
        { "directive @d(a: I) on INPUT_FIELD_DEFINITION input I { a: I b: E } "
          "enum E { A @deprecated } input J { a: Int @d } "
          "type Query { a(j: J): Int }", NULL, 0 },
        { "type Query { a: A b: B }", "Unknown type", 2 },
        { "type Query { a: Int } input I { i: J! } input J { j: I! }",
          "cannot contain itself", 1 },
        { "type Query { a: Int } union U = Query | Query | Query | Query",
          "once", 3 },

        /* what directives are given, of types defined and extended anywhere */
        { "type Query @d(e: B, i: {a: 1, b: [A]}) { a: Int @d(e: A) } "
          "directive @d(e: E, i: I) on OBJECT | FIELD_DEFINITION "
          "extend input I { b: [E!] } input I { a: Int! } enum E { A } "
          "extend enum E { B }", NULL, 0 },
        { "type Query @d(e: C) { a: Int @d(e: A, i: {c: 1}) } "
          "directive @d(e: E, i: I) on OBJECT | FIELD_DEFINITION "
          "input I { a: Int! } enum E { A } extend enum E { B }",
          "", 3 },

        /* defaults without an end (2025) */
        { "input I { i: I = {} } type Query { a(i: I): Int }",
          "contains itself", 1 },
        { "input I { j: J = {} k: Int } input J { i: [[I]!] = [{k: 1}, []] }"
          " type Query { a(i: I): Int }", "contains itself", 1 },
        { "input I { j: J = {k: {}} } input J { k: K l: I } input K { l: L ="
          " {a: 1} } input L { a: Int i: I = {} } type Query { a(i: I): Int }",
          "contains itself", 1 },
        { "input I { i: I = {i: null} j: I = {i: {i: {i: null, j: null},"
          " j: {i: null, j: null}}, j: null} } type Query { a(i: I): Int }",
          NULL, 0 },
        { "input I { i: I j: J = {i: {j: {}}} } input J { i: I } "
          "type Query { a(i: I = {}): Int }", NULL, 0 }
    };

    (void) state;

    for (i = 0; i < N(cases); i++) {
        travel_graphql_report_init(&report, 100);
        assert_int_equal(travel_graphql_parse_schema(&document,
                             S(cases[i].text), &fault), TRAVEL_OK);
        other = NULL;
        (void) !travel_graphql_schema_make(&other, document, &report);
        check(&cases[i], &report);
        assert_true((other != NULL) == (cases[i].says == NULL));
        travel_graphql_schema_free(other);
        travel_graphql_document_free(document);
        travel_graphql_report_free(&report);
    }
}


/* --- variables ------------------------------------------------------------ */

static void
test_variables(void **state)
{
    size_t                       i;
    travel_json_t               *json;
    travel_json_error_t          err;
    travel_graphql_fault_t       fault;
    travel_graphql_report_t      report;
    travel_graphql_document_t   *document;
    travel_graphql_variables_t   variables = { .present = true };

    static const case_t  cases[] = {
        { "{\"i\":{\"a\":1,\"b\":\"A\",\"c\":null,\"d\":[{}],\"e\":2}}", NULL,
          0 },
        { "{\"i\":{\"a\":1},\"l\":3}", NULL, 0 },
        { "{\"i\":{\"a\":1.0},\"l\":[[3],null]}", NULL, 0 },
        { "{}", "required type \"I!\" was not provided", 1 },
        { "{\"i\":null}", "must not be null", 1 },
        { "{\"i\":{\"b\":[\"A\",\"C\",null]}}", "field \"a\" of required", 3 },
        { "{\"i\":{\"a\":1,\"x\":2,\"c\":{\"a\":\"y\"}}}",
          "at \"i\": field \"x\" is not defined", 2 },
        { "{\"i\":{\"a\":1,\"e\":1e999}}", "at \"i.e\": expected \"Float\"",
          1 },
        { "{\"i\":{\"a\":2147483648}}", "found 2147483648", 1 },
        { "{\"i\":{\"a\":1},\"o\":{}}", "exactly one key", 1 },
        { "{\"i\":{\"a\":1},\"o\":{\"a\":null,\"z\":8}}", "must be non-null",
          2 },
        { "{\"i\":{\"a\":1},\"o\":{\"a\":null,\"b\":\"x\"}}",
          "exactly one key", 2 },
        { "{\"i\":{\"a\":1},\"o\":{\"a\":1,\"b\":\"x\"}}", "exactly one key",
          1 },
        { "{\"i\":{\"a\":1},\"o\":{\"a\":null}}", "must be non-null", 1 },
        { "{\"i\":{\"a\":1},\"o\":{\"b\":\"x\"}}", NULL, 0 },
        { "{\"i\":{\"a\":1},\"l\":[[1],[2,\"x\"]]}",
          "at \"l[1][1]\": expected \"Int\", found the string \"x\"", 1 }
    };

    (void) state;
    json = travel_json_create(64);
    assert_int_equal(travel_graphql_parse(&document,
                         L("query($i: I!, $o: O, $l: [[Int]]) { t { id } }"),
                         &fault), TRAVEL_OK);
    variables.json = json;

    for (i = 0; i < N(cases); i++) {
        travel_graphql_report_init(&report, 100);
        assert_int_equal(travel_json_parse(json, S(cases[i].text), 0, &err),
                         TRAVEL_OK);
        assert_int_equal(travel_graphql_coerce(schema,
                             travel_graphql_definitions(document), &variables,
                             &report),
                         cases[i].says == NULL ? TRAVEL_OK : TRAVEL_INVALID);
        check(&cases[i], &report);
        travel_graphql_report_free(&report);
    }

    travel_json_free(json);
    travel_graphql_document_free(document);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_variables)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
