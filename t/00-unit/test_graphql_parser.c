/* GraphQL: what is a document and what is none. */

#include "unit.h"
#include "../../common/graphql/document.h"


static bool
reads(const char *text)
{
    travel_graphql_fault_t      fault;
    travel_graphql_document_t  *document;

    if (travel_graphql_parse(&document, S(text), &fault) != TRAVEL_OK) {
        assert_true(fault.line > 0 && fault.message[0] != '\0');
        return false;
    }

    travel_graphql_document_free(document);
    return true;
}


static void
check(const char *const *texts, size_t n, bool good)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (reads(texts[i]) != good) {
            fail_msg("%s: %s", good ? "refused" : "accepted", texts[i]);
        }
    }
}


static void
test_operations(void **state)
{
    static const char *const  good[] = {
        "{ a }", "query { a }", "\"said\" query Q { a }",
        "\"\"\"said\"\"\" fragment F on T { a }",
        "query ( \"said\" $a: Int = 1 @d ) { a }",
        "{ query: type on schema true: null }", "{ ... on on { a } }",
        "subscription S @d(a: $b) { a }", "{ a(b: [], c: {}, d: enum) }"
    };
    static const char *const  bad[] = {
        "", "{ }", "\"said\" { a }", "{ a(b: ) }", "{ a() }", "query () { a }",
        "query ($a: Int = $b) { a }", "query ($a: Int @d(x: $b)) { a }",
        "fragment on on T { a }", "fragment F { a }", "{ a } }", "{ ...on }",
        "\"said\"", "{ a: b: c }", "{ ...F { a } }", "query Q",
        "query ($a: [Int) { a }", "{ a(b: {c: 1, 2}) }"
    };

    (void) state;
    check(good, N(good), true);
    check(bad, N(bad), false);
}


static void
test_definitions(void **state)
{
    static const char *const  good[] = {
        "type A", "type A implements & B & C", "input A", "enum E", "union U",
        "union U = | A | B", "scalar S", "interface I implements J { a: A }",
        "schema { query: Q mutation: M }", "\"said\" schema { query: Q }",
        "schema @d { subscription: S }", "enum E { true_ nullable on }",
        "extend type A @d", "extend type A implements B", "extend scalar S @d",
        "extend schema @d", "extend schema { mutation: M }",
        "extend union U = A", "extend enum E { A }", "extend input I { a: A }",
        "directive @d repeatable on | FIELD | ENUM_VALUE",
        "type A { \"said\" a(\"said\" b: Int = 1 @d): Int @d }"
    };
    static const char *const  bad[] = {
        "schema", "schema @d", "schema { }", "schema { a: Q }",
        "schema { query: Q! }", "schema { query: [Q] }",
        "schema { query(a: Int): Q }", "schema { \"said\" query: Q }",
        "schema { query: Q @d }", "type A {}", "input I {}", "enum E {}",
        "enum E { true }", "enum E { false }", "enum E { A null }",
        "union U =", "type A implements", "type A { a }", "type A { a(): B }",
        "extend", "extend type A", "extend interface A", "extend scalar S",
        "extend union U", "extend enum E", "extend input I", "extend schema",
        "extend directive @d on FIELD", "\"said\" extend type A @d",
        "directive @d on", "directive @d", "directive d on FIELD",
        "directive @d on ANYWHERE", "directive @d on FIELD | field",
        "directive @d on QUERY |", "extend query { a }", "type A { a: B! ! }"
    };

    (void) state;
    check(good, N(good), true);
    check(bad, N(bad), false);
}


static void
test_tokens(void **state)
{
    static const char *const  good[] = {
        "\xEF\xBB\xBF{ a }", "{ a \xEF\xBB\xBF b }",
        "{ a # \xE2\x82\xAC\n }", "{ a(b: \"\x01\") }", "{ a(b: -0) }",
        "{ a(b: 1.5e+10) }", "{ a(b: \"\\u{1F600}\\uD83D\\uDE00\") }",
        "{ a(b: \"\"\"x\\\"\"\"y\"\"\") }", "{a,,,b,}"
    };
    static const char *const  bad[] = {
        "{ a # \xFF\n }", "{ a \xEF\xBB }", "{ a(b: 00) }", "{ a(b: 1.) }",
        "{ a(b: 1x) }", "{ a(b: 0.5.5) }", "{ a(b: \"\\uD83D\") }",
        "{ a(b: \"\\u{110000}\") }", "{ a(b: \"\n\") }", "{ a(b: \"\xC0\") }",
        "{ a(b: \"\\x\") }", "{ a(b: \"\"\"x\") }", "{ .. a }", "{ a? }"
    };

    (void) state;
    check(good, N(good), true);
    check(bad, N(bad), false);
}


/* A schema's text ends where it ends: what every schema has is behind it, but
 * completes nothing. */
static void
test_schema_end(void **state)
{
    size_t                      i;
    travel_graphql_fault_t      fault;
    travel_graphql_document_t  *document;

    static const char *const  bad[] = {
        "", "# nothing", "\"said\"", "schema", "extend", "type A implements",
        "union U =", "directive @d on", "type A { a: [Int", "\"\"\"open"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_graphql_parse_schema(&document, S(bad[i]),
                                                     &fault), TRAVEL_INVALID);
    }

    assert_int_equal(travel_graphql_parse_schema(&document, S("type A"),
                                                 &fault), TRAVEL_OK);
    assert_false(travel_graphql_definitions(document)->builtin);
    assert_true(travel_graphql_definitions(document)->next->builtin);
    travel_graphql_document_free(document);
}


static void
test_places(void **state)
{
    const travel_graphql_ast_t  *def, *field;
    travel_graphql_fault_t       fault;
    travel_graphql_document_t   *document;

    (void) state;
    assert_int_equal(travel_graphql_parse(&document,
                         L("\"x\" query Q {\n  a: b\n}"), &fault), TRAVEL_OK);
    def = travel_graphql_definitions(document);
    field = def->children;
    assert_int_equal(def->column, 5);
    assert_int_equal(def->name_column, 11);
    assert_int_equal(field->line, 2);
    assert_int_equal(field->column, 3);
    assert_int_equal(field->name_column, 6);
    travel_graphql_document_free(document);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_schema_end),
        cmocka_unit_test(test_places)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
