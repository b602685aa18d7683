/* GraphQL: the parser, the mapping's faults, and the SQL of plans. */

#include <stdio.h>
#include <stdlib.h>

#include "unit.h"
#include "../../common/errors.h"
#include "../../common/graphql/complete.h"
#include "../../common/graphql/part.h"
#include "../../common/graphql/sdl.h"
#include "../../common/graphql/survey.h"

static const char  SCHEMA[] =
    "scalar Date @render(sql: \"to_char({}, 'x')\")\n"
    "enum E { A @order(by: \"a desc\") B @order(by: \"b\") }\n"
    "type T @table(name: \"s.t\", key: \"id\") @owner(column: \"u\")"
    " @cache(ttl: 9, tags: \"t:{$viewer}\", row: \"t:{id}\") {\n"
    "  id: ID! someName: String d: Date\n"
    "  up: T @relation(from: \"parent\", to: \"id\")\n"
    "  down(limit: Int, o: E): [T] @relation(from: \"id\", to: \"parent\")"
    " @list(max: 7, default: 3)\n}\n"
    "type P @table(name: \"s.p\", key: \"id\") @public { id: ID! }\n"
    "interface I @rows(key: \"at desc, id\") { id: ID! }\n"
    "type A implements I @table(name: \"s.a\", key: \"id\", where: \"{kind} ="
    " 'a'\") @owner(column: \"u\") @auth(requires: \"a:read\")"
    " @cache(ttl: 9, tags: \"a:{$viewer}\", row: \"a:{id}\")"
    " { id: ID! one: Int }\n"
    "type B implements I @table(name: \"s.b\", key: \"id\") @public"
    " @cache(ttl: 5, tags: \"b\") { id: ID! two: String! }\n"
    "union U @rows(key: \"id\") = P | B\n"
    "type TE { node: T cursor: String }\n"
    "type TC { edges: [TE] pageInfo: PI totalCount: Int }\n"
    "type PI { hasNextPage: Boolean hasPreviousPage: Boolean"
    " startCursor: String endCursor: String }\n"
    "type IE { node: I }\n"
    "type IC { edges: [IE] totalCount: Int }\n"
    "scalar Any @format(is: \"json\")\n"
    "input J { aB: Int of: ID = \"id\" list: [String] deep: J }\n"
    "type Pay { success: Boolean! }\n"
    "type Mutation { make(i: J, any: Any): Pay @command(type: \"x.y\") }\n"
    "type Query { t(id: ID! @filter(sql: \"{id} = {$}\")): T ps: [P]"
    " i: I is(limit: Int): [I!] us: [U!]! tagged(x: String @filter(sql:"
    " \"{x} = {$}\")): [B] @cache(tags: \"x:{$x}\")"
    " tc(first: Int = 5, last: Int, after: ID, before: String, o: E): TC"
    " @connection ic(last: Int): IC @connection v: V }\n"
    "enum M { happy sad }\n"
    "scalar Day @format(is: \"date\")\n"
    "type V @table(name: \"s.v\", key: \"id\") @public { n: Int f: Float!"
    " m: M ms: [M!] d: Day b: Boolean any: Any }\n";

static travel_graphql_document_t  *sdl;
static travel_graphql_mapping_t   *mapping;


static int
setup(void **state)
{
    travel_graphql_fault_t  fault;

    (void) state;

    return travel_graphql_parse_schema(&sdl, TRAVEL_STR(SCHEMA), &fault)
           != TRAVEL_OK
           || travel_graphql_map(&mapping, sdl, &fault) != TRAVEL_OK;
}


static int
teardown(void **state)
{
    (void) state;
    travel_graphql_document_free(sdl);
    return 0;
}


static travel_graphql_plan_t *
plan_of(const char *text, travel_graphql_error_t *error)
{
    travel_graphql_plan_t       *plan;
    travel_graphql_fault_t       fault;
    travel_graphql_document_t   *document;
    travel_graphql_variables_t   none = { 0 };

    assert_int_equal(travel_graphql_parse(&document,
                         (travel_str_t) { text, strlen(text) }, &fault),
                     TRAVEL_OK);

    return travel_graphql_plan(&plan, mapping, document, TRAVEL_NULL_STR,
                               &none, error) == TRAVEL_OK ? plan : NULL;
}


static size_t
count(const char *text, const char *what)
{
    size_t       n = 0;
    const char  *p;

    for (p = text; (p = strstr(p, what)) != NULL; p++) {
        n++;
    }

    return n;
}


/* --- the SQL -------------------------------------------------------------- */

static void
test_sql(void **state)
{
    travel_graphql_plan_t   *plan;
    travel_graphql_error_t   error;

    (void) state;
    plan = plan_of("{ x: t(id: 5) { n: someName d } }", &error);
    assert_non_null(plan);
    assert_string_equal(plan->statement.sql,
        "SELECT '{\"data\":' || json_build_object('x', r1.j)::text || '}', "
        "string_to_array(concat_ws(' ', r1.t), ' ') FROM (VALUES (1)) AS z "
        "LEFT JOIN LATERAL (SELECT json_build_object('n', "
        "(t1.\"some_name\")::text, 'd', to_char((t1.\"d\"), 'x')) AS j, "
        "concat_ws(' ', 't:' || t1.\"id\"::text) AS t FROM (SELECT "
        "t1.\"some_name\", t1.\"d\", t1.\"id\" FROM s.t AS t1 WHERE t1.\"u\" "
        "= $1::uuid AND (t1.\"id\" = $2) ORDER BY t1.\"id\" LIMIT 1) AS t1) "
        "AS r1 ON true");
    assert_int_equal(plan->statement.nbinds, 2);
    assert_true(plan->viewer);
    assert_int_equal(plan->ttl, 9);
    assert_int_equal(plan->ntags, 1);
    travel_graphql_plan_free(plan);
}


/* Rows are read for what is asked of them, and for their tags only then. */
static void
test_connection(void **state)
{
    size_t                   i;
    travel_graphql_plan_t   *plan;
    travel_graphql_error_t   error;

    static const struct {
        const char  *text;
        size_t       aggregates;
    } cases[] = {
        { "{ tc { totalCount } }", 0 }, { "{ tc { __typename } }", 0 },
        { "{ ic { totalCount __typename } }", 0 },
        { "{ tc { edges { node { id } } } }", 2 },
        { "{ ic { totalCount edges { __typename } } }", 2 },
        { "{ tc { pageInfo { hasNextPage } } }", 1 }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        plan = plan_of(cases[i].text, &error);
        assert_non_null(plan);
        assert_int_equal(count(plan->statement.sql, "_agg("),
                         cases[i].aggregates);
        assert_int_equal(count(plan->statement.sql, " HAVING true)"), 1);
        travel_graphql_plan_free(plan);
    }
}


/* The last ones: read from the end, and turned round again. */
static void
test_backward(void **state)
{
    uint64_t                     cost;
    const char                  *sql;
    travel_graphql_plan_t       *plan;
    travel_graphql_error_t       error;
    travel_graphql_variables_t   none = { 0 };

    (void) state;
    plan = plan_of("{ tc(last: 2, before: \"c\", after: \"a\", o: A) { edges {"
                   " cursor } pageInfo { hasNextPage hasPreviousPage"
                   " startCursor endCursor } } }", &error);
    assert_non_null(plan);
    sql = plan->statement.sql;
    assert_int_equal(count(sql, "ORDER BY t1.\"a\", t1.\"id\" DESC LIMIT 2 +"
                                " 1"), 1);
    assert_int_equal(count(sql, "(ORDER BY u1.k1, u1.k2 DESC)"), 0);
    assert_int_equal(count(sql, "OVER ( ORDER BY u1.k1, u1.k2 DESC)"), 1);
    assert_int_equal(count(sql, "json_agg(p1.j1 ORDER BY p1.n DESC)"), 1);
    assert_int_equal(count(sql, "'hasNextPage', true"), 1);
    assert_int_equal(count(sql, "'hasPreviousPage', count(*) > 2"), 1);
    assert_int_equal(count(sql, "'startCursor', (array_agg(p1.c ORDER BY p1.n "
                                "DESC)"), 1);
    assert_int_equal(count(sql, "'endCursor', (array_agg(p1.c ORDER BY p1.n)"),
                     1);
    assert_int_equal(travel_graphql_cost(plan, &none, &cost, &error),
                     TRAVEL_OK);
    assert_int_equal(cost, 1 + 2 * (1 + 1 + 1));
    travel_graphql_plan_free(plan);

    /* after: less, for an order that falls; before: more */
    plan = plan_of("{ a: tc(first: 2, after: \"a\", o: A) { totalCount }"
                   " b: tc(first: 2, before: \"b\", o: A) { totalCount } }",
                   &error);
    assert_non_null(plan);
    sql = plan->statement.sql;
    assert_int_equal(count(sql, "t1.\"a\" < $"), 1);
    assert_int_equal(count(sql, "t3.\"a\" > $"), 1);
    travel_graphql_plan_free(plan);

    assert_null(plan_of("{ tc(first: 1, last: 1) { totalCount } }", &error));
    assert_non_null(strstr(error.message, "not both"));
    assert_null(plan_of("{ ps(last: 1) { id } }", &error));
    plan = plan_of("{ tc(first: null, last: null) { totalCount } ic(last: 1) {"
                   " totalCount } }", &error);
    assert_non_null(plan);
    assert_false(plan->roots->backward);
    assert_true(plan->roots->next->backward);
    travel_graphql_plan_free(plan);
}


/* A literal is a parameter, whatever it says. */
static void
test_literals(void **state)
{
    travel_graphql_plan_t   *plan;
    travel_graphql_error_t   error;

    (void) state;
    plan = plan_of("{ t(id: \"'; DROP TABLE x; --\") { id } }", &error);
    assert_non_null(plan);
    assert_null(strstr(plan->statement.sql, "DROP"));
    travel_graphql_plan_free(plan);
}


/* Each FROM of a type with an owner has the owner's condition. */
static void
test_owner(void **state)
{
    travel_graphql_plan_t   *plan;
    travel_graphql_error_t   error;

    (void) state;
    plan = plan_of("{ t(id: 1) { up { down { up { id } } } down(o: A) { id } }"
                   " ps { id } }", &error);
    assert_non_null(plan);
    assert_int_equal(count(plan->statement.sql, "FROM s.t AS"), 5);
    assert_int_equal(count(plan->statement.sql, ".\"u\" = $1::uuid"), 5);
    assert_int_equal(count(plan->statement.sql, "FROM s.p AS"), 1);
    assert_int_equal(plan->ttl, 0);       /* P says nothing of a cache */
    travel_graphql_plan_free(plan);

    plan = plan_of("{ ps { id } }", &error);
    assert_non_null(plan);
    assert_false(plan->viewer);
    travel_graphql_plan_free(plan);
}


static void
test_cost(void **state)
{
    uint64_t                     cost;
    travel_graphql_plan_t       *plan;
    travel_graphql_error_t       error;
    travel_graphql_variables_t   none = { 0 };

    (void) state;
    plan = plan_of("{ t(id: 1) { down(limit: 5) { down { id } } } }", &error);
    assert_non_null(plan);

    /* t 1, down 1 + 5 * (1 + down 1 + 3 * 1) */
    assert_int_equal(travel_graphql_cost(plan, &none, &cost, &error),
                     TRAVEL_OK);
    assert_int_equal(cost, 1 + 1 + 5 * (1 + 1 + 3));
    assert_int_equal(plan->depth, 4);
    travel_graphql_plan_free(plan);

    plan = plan_of("{ t(id: 1) { down(limit: 8) { id } } }", &error);
    assert_non_null(plan);
    assert_int_equal(travel_graphql_cost(plan, &none, &cost, &error),
                     TRAVEL_INVALID);
    assert_non_null(strstr(error.message, "from 0 to 7"));
    travel_graphql_plan_free(plan);
}


/* Rows of several types: each by its own table and owner, with what is asked
 * of it, as many as asked for of all. */
static void
test_several(void **state)
{
    const char              *sql;
    travel_graphql_plan_t   *plan;
    travel_graphql_error_t   error;

    (void) state;
    plan = plan_of("{ is(limit: 4) { __typename id ... on B { two } } }",
                   &error);
    assert_non_null(plan);
    sql = plan->statement.sql;

    assert_int_equal(count(sql, "FROM s.a AS"), 1);
    assert_int_equal(count(sql, "FROM s.b AS"), 1);
    assert_int_equal(count(sql, ".\"u\" = $1::uuid"), 1);
    assert_int_equal(count(sql, ".\"kind\" = 'a')"), 1);
    assert_int_equal(count(sql, "\"two\""), 2);
    assert_int_equal(count(sql, "\"one\""), 0);
    assert_int_equal(count(sql, " UNION ALL "), 1);
    assert_int_equal(count(sql, " LIMIT 4)"), 3);
    assert_int_equal(count(sql, " ORDER BY k1 DESC, k2, k3 LIMIT 4)"), 1);
    assert_int_equal(count(sql, "'__typename', 'A'::text"), 1);
    assert_true(plan->viewer);
    assert_int_equal(plan->ttl, 5);
    assert_int_equal(plan->ntags, 2);
    assert_int_equal(plan->nrequires, 1);     /* A's, whatever is asked */
    travel_graphql_plan_free(plan);

    plan = plan_of("{ us { ... on B { id } } i { id } }", &error);
    assert_non_null(plan);
    assert_int_equal(plan->ttl, 0);           /* P is not kept */
    travel_graphql_plan_free(plan);
}


/* The tags of two fields that differ by what they were given. */
static void
test_tags(void **state)
{
    travel_graphql_plan_t   *plan;
    travel_graphql_error_t   error;

    (void) state;
    plan = plan_of("{ a: tagged(x: \"1\") { id } b: tagged(x: \"2\") { id } }",
                   &error);
    assert_non_null(plan);
    assert_int_equal(plan->ntags, 3);
    travel_graphql_plan_free(plan);
}


/* What a command is given: literals with variables in them, defaults, lists of
 * one, names of its own. */
static void
test_input(void **state)
{
    size_t                       i;
    travel_json_t               *json;
    travel_json_error_t          err;
    travel_graphql_text_t        out;
    travel_graphql_plan_t       *plan;
    travel_graphql_error_t       error;
    travel_graphql_fault_t       fault;
    travel_graphql_document_t   *document;
    travel_graphql_variables_t   variables = { .present = true };

    static const char *const  cases[][3] = {
        { "mutation { make(i: {aB: 1, deep: {list: \"x\"}}, any: [1, {a: ONE}])"
          " { success } }", "{}",
          "{\"a_b\":1,\"of\":\"id\",\"deep\":{\"of\":\"id\",\"list\":"
          "[\"x\"]},\"any\":[1,{\"a\":\"ONE\"}]}" },
        { "mutation($v: J = {aB: 3}, $l: [String]) { make(i: $v, any: $l)"
          " { success } }", "{\"l\":[\"q\\\"\",null]}",
          "{\"a_b\":3,\"of\":\"id\",\"any\":[\"q\\u0022\",null]}" },
        { "mutation($v: J) { make(i: $v, any: null) { success } }",
          "{\"v\":{\"of\":7,\"list\":[],\"deep\":null,\"aB\":2.0}}",
          "{\"a_b\":2,\"of\":\"7\",\"list\":[]}" },
        { "mutation($n: Int, $m: Int) { make(i: {aB: $n, list: [$m, \"a\"]})"
          " { success } }", "{\"n\":5}",
          "{\"a_b\":5,\"of\":\"id\",\"list\":[null,\"a\"]}" },
    };

    (void) state;
    json = travel_json_create(64);
    variables.json = json;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&out, 0, sizeof(out));
        assert_int_equal(travel_json_parse(json, (travel_str_t) { cases[i][1],
                             strlen(cases[i][1]) }, 0, &err), TRAVEL_OK);
        assert_int_equal(travel_graphql_parse(&document, (travel_str_t) {
                             cases[i][0], strlen(cases[i][0]) }, &fault),
                         TRAVEL_OK);
        assert_int_equal(travel_graphql_plan(&plan, mapping, document,
                             TRAVEL_NULL_STR, &variables, &error), TRAVEL_OK);
        assert_int_equal(travel_graphql_input(plan, plan->roots, &variables,
                                              &out), TRAVEL_OK);
        assert_string_equal(out.data, cases[i][2]);
        travel_graphql_text_free(&out);
        travel_graphql_plan_free(plan);
    }

    travel_json_free(json);
}


/* --- what a database said ------------------------------------------------ */

static void
test_complete(void **state)
{
    int                      rc;
    size_t                   i;
    travel_graphql_text_t    out, errors;
    travel_graphql_plan_t   *plan;
    travel_graphql_error_t   error;

    static const struct {
        const char  *document;
        const char  *said;
        const char  *data;        /* NULL: as it is; empty: it is broken */
        const char  *path;        /* of the error; NULL: none */
    } cases[] = {
        { "{ t(id: 1) { id someName } }",
          "{\"t\" : {\"id\" : \"1\", \"someName\" : null}}", NULL, NULL },
        { "{ t(id: 1) { a: id } }", "{\"t\" : {\"a\" : null}}",
          "{\"t\" : null}", "\"path\":[\"t\",\"a\"]" },
        { "{ t(id: 1) { down { id } } }",
          "{\"t\" : {\"down\" : [{\"id\" : \"1\"}, \n {\"id\" : null}]}}",
          "{\"t\" : {\"down\" : [{\"id\" : \"1\"}, \n null]}}",
          "\"path\":[\"t\",\"down\",1,\"id\"]" },
        { "{ us { ... on B { two } } __typename }",
          "{\"us\" : [{\"\" : 1, \"two\" : null}], \"__typename\" : "
          "\"Query\"}", "null", "\"path\":[\"us\",0,\"two\"]" },
        { "{ is { ... on B { two } } }",
          "{\"is\" : [{\"\" : 0}, {\"\" : 1, \"two\" : \"a \\\"]}\"}]}",
          "{\"is\" : [{}, { \"two\" : \"a \\\"]}\"}]}", NULL },
        { "{ us { ... on P { id } } x: __typename }",
          "{\"us\" : [{\"\" : 0, \"id\" : \"a\\\\\"}, {\"\" : 1}], \"x\" :"
          " \"Q\"}",
          "{\"us\" : [{ \"id\" : \"a\\\\\"}, {}], \"x\" : \"Q\"}", NULL },
        { "{ i { id } }", "{\"i\" : null}", NULL, NULL },
        { "{ is { id } us { ... on P { id } } }",
          "{\"is\" : [{\"\" : 0, \"id\" : \"1\"}, {\"\" : 1, \"id\" : null}],"
          " \"us\" : [{\"\" : 1}]}", "{\"is\" : null, \"us\" : [{}]}",
          "\"path\":[\"is\",1,\"id\"]" },

        /* what a leaf can be */
        { "{ v { n f m ms d b any } }", "{\"v\" : {\"n\" : -2147483648, \"f\" :"
          " 1e+20, \"m\" : \"sad\", \"ms\" : [\"happy\"], \"d\" :"
          " \"2026-02-28\", \"b\" : true, \"any\" : {\"a\":\t[\r\n1, null]}}}",
          NULL, NULL },
        { "{ v { n m } }", "{\"v\" : {\"n\" : 5.00, \"m\" : null}}", NULL,
          NULL },
        { "{ v { n m } }", "{\"v\" : {\"n\" : 2147483648, \"m\" : \"sad\"}}",
          "{\"v\" : {\"n\" : null, \"m\" : \"sad\"}}",
          "\"path\":[\"v\",\"n\"]" },
        { "{ v { n } }", "{\"v\" : {\"n\" : 1.5}}", "{\"v\" : {\"n\" : null}}",
          "Cannot represent the value of V.n as Int." },
        { "{ v { b n } }", "{\"v\" : {\"b\" : 1, \"n\" : 1}}",
          "{\"v\" : {\"b\" : null, \"n\" : 1}}", "as Boolean." },
        { "{ v { x: m } }", "{\"v\" : {\"x\" : \"angry\"}}",
          "{\"v\" : {\"x\" : null}}", "\"path\":[\"v\",\"x\"]" },
        { "{ v { ms n } }", "{\"v\" : {\"ms\" : [\"sad\", \"\"], \"n\" : 1}}",
          "{\"v\" : {\"ms\" : null, \"n\" : 1}}", "\"path\":[\"v\",\"ms\",1]" },
        { "{ v { d f } }", "{\"v\" : {\"d\" : \"infinity\", \"f\" : 1}}",
          "{\"v\" : {\"d\" : null, \"f\" : 1}}", "as Day." },
        { "{ v { n f } }", "{\"v\" : {\"n\" : 1, \"f\" : \"NaN\"}}",
          "{\"v\" : null}", "\"path\":[\"v\",\"f\"]" },
        { "{ v { n } }", "{\"v\" : {\"f\" : 1}}", "", "" },
        { "{ v { any } }", "{\"v\" : {\"any\" : \001}}", "", "" },
        { "{ t(id: 1) { id } }", "{\"t\" : {\"id\" : null", "", "" },
        { "{ t(id: 1) { down { id } } }", "{\"t\" : {\"down\" :", "", "" },
        { "{ t(id: 1) { id } }", "{\"t\" : {\"id\" : \"\\", "", "" },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&out, 0, sizeof(out));
        memset(&errors, 0, sizeof(errors));
        plan = plan_of(cases[i].document, &error);
        assert_non_null(plan);

        rc = travel_graphql_complete(plan->roots, false, NULL, (travel_str_t) {
                                         cases[i].said,
                                         strlen(cases[i].said) },
                                     &out, &errors);

        if (cases[i].data != NULL && cases[i].data[0] == '\0') {
            assert_int_equal(rc, TRAVEL_INVALID);
        } else {
            assert_int_equal(rc, TRAVEL_OK);

            if (cases[i].data == NULL) {
                assert_int_equal(out.len, 0);
            } else {
                assert_string_equal(out.data, cases[i].data);
            }

            if (cases[i].path != NULL) {
                assert_int_equal(count(errors.data, "\"message\""), 1);
                assert_non_null(strstr(errors.data, cases[i].path));
            } else {
                assert_null(errors.data);
            }
        }

        travel_graphql_text_free(&out);
        travel_graphql_text_free(&errors);
        travel_graphql_plan_free(plan);
    }
}


/* --- parts ---------------------------------------------------------------- */

/* Without a field nothing of it is read, and the answer says why it is not
 * there. */
static void
test_parts(void **state)
{
    travel_graphql_text_t        out = { 0 }, errors = { 0 };
    travel_graphql_part_t        part = { 0 };
    travel_graphql_plan_t       *plan;
    travel_graphql_error_t       error;
    travel_graphql_statement_t   sql;

    static const char  said[] =
        "{\"t\" : {\"id\" : \"1\", \"someName\" : null, \"up\" : null}}";

    (void) state;

    plan = plan_of("{ is { id } t(id: 1) { id someName up { d } } }", &error);
    assert_non_null(plan);
    assert_int_equal(plan->nrequires, 1);
    assert_true(travel_graphql_part_shows(plan, 1));

    /* who may not read A may not read I */

    part.denied = 1;
    part.only = 2;
    part.nblamed = 2;
    part.blamed[0].field = 2;
    part.blamed[0].code = TRAVEL_E_VALIDATION_ERROR;
    part.blamed[1].field = 4;
    part.blamed[1].code = TRAVEL_E_INTERNAL_ERROR;
    assert_int_equal(travel_graphql_part_sql(&sql, plan, &part), TRAVEL_OK);
    assert_null(strstr(sql.sql, "some_name"));
    assert_null(strstr(sql.sql, "to_char"));
    assert_int_equal(count(sql.sql, "FROM s."), 1);
    assert_int_equal(plan->roots->withheld, TRAVEL_E_AUTHORIZATION_ERROR);

    assert_int_equal(travel_graphql_complete(travel_graphql_root(plan, 2), true,
                         NULL, TRAVEL_STR(said), &out, &errors), TRAVEL_OK);
    assert_int_equal(out.len, 0);
    assert_string_equal(errors.data,
        "{\"message\":\"A value is not one that can be taken for T.someName.\","
        "\"locations\":[{\"line\":1,\"column\":27}],\"path\":[\"t\","
        "\"someName\"],\"extensions\":{\"code\":\"VALIDATION_ERROR\"}},"
        "{\"message\":\"The database could not answer T.up.\",\"locations\":"
        "[{\"line\":1,\"column\":36}],\"path\":[\"t\",\"up\"],"
        "\"extensions\":{\"code\":\"INTERNAL_ERROR\"}}");

    travel_graphql_text_free(&errors);
    travel_graphql_statement_fini(&sql);

    part.only = 0;
    part.nblamed = 0;
    assert_int_equal(travel_graphql_part_sql(&sql, plan, &part), TRAVEL_OK);
    assert_null(strstr(sql.sql, "FROM s.a"));
    assert_null(strstr(sql.sql, "FROM s.b"));
    travel_graphql_statement_fini(&sql);
    travel_graphql_plan_free(plan);

    plan = plan_of("{ is { id } __typename }", &error);
    assert_non_null(plan);
    assert_false(travel_graphql_part_shows(plan, 1));
    travel_graphql_plan_free(plan);
}


/* As many permissions as there are bits for them, and one more. */
static void
test_permissions(void **state)
{
    char                        *text;
    size_t                       i, n;
    travel_graphql_plan_t       *plan;
    travel_graphql_error_t       error;
    travel_graphql_fault_t       fault;
    travel_graphql_mapping_t    *many;
    travel_graphql_document_t   *schema, *document;
    travel_graphql_variables_t   none = { 0 };

    (void) state;
    text = calloc(1, 8192);
    assert_non_null(text);
    n = (size_t) sprintf(text, "type Query {");

    for (i = 0; i <= TRAVEL_GRAPHQL_REQUIRES_MAX; i++) {
        n += (size_t) sprintf(text + n, " f%zu: Int @sql(expr: \"1\") "
                              "@auth(requires: \"p:%zu\")", i, i);
    }

    sprintf(text + n, " }");
    assert_int_equal(travel_graphql_parse_schema(&schema, (travel_str_t) {
                         text, strlen(text) }, &fault), TRAVEL_OK);
    assert_int_equal(travel_graphql_map(&many, schema, &fault), TRAVEL_OK);

    for (i = TRAVEL_GRAPHQL_REQUIRES_MAX; i <= TRAVEL_GRAPHQL_REQUIRES_MAX + 1;
         i++)
    {
        char    asked[1024] = "{";
        size_t  k;

        for (k = 0; k < i; k++) {
            sprintf(asked + strlen(asked), " f%zu", k);
        }

        strcat(asked, " }");
        assert_int_equal(travel_graphql_parse(&document, (travel_str_t) {
                             asked, strlen(asked) }, &fault), TRAVEL_OK);

        if (i > TRAVEL_GRAPHQL_REQUIRES_MAX) {
            assert_int_equal(travel_graphql_plan(&plan, many, document,
                                 TRAVEL_NULL_STR, &none, &error),
                             TRAVEL_INVALID);
            assert_non_null(strstr(error.message, "64 permissions"));
            continue;
        }

        assert_int_equal(travel_graphql_plan(&plan, many, document,
                             TRAVEL_NULL_STR, &none, &error), TRAVEL_OK);
        assert_true(travel_graphql_part_shows(plan, UINT64_MAX >> 1));
        assert_false(travel_graphql_part_shows(plan, UINT64_MAX));
        travel_graphql_plan_free(plan);
    }

    travel_graphql_document_free(schema);
    free(text);
}


/* Is one of the fields of 'bad' in the statement? */
static int
fails(const travel_graphql_part_t *part, uint64_t bad)
{
    uint32_t  i, field;

    for (field = 1; field <= 40; field++) {

        if ((bad >> field & 1) == 0 || field <= part->upto) {
            continue;
        }

        for (i = 0; i < part->nblamed && part->blamed[i].field != field; i++) {
            /* void */
        }

        if (i == part->nblamed) {
            return field % 2 ? TRAVEL_E_VALIDATION_ERROR
                             : TRAVEL_E_INTERNAL_ERROR;
        }
    }

    return 0;
}


/* Whichever fields fail, they are found, and by few statements. */
static void
test_search(void **state)
{
    int                       code;
    char                      text[1024];
    size_t                    i, n, nbad, steps;
    uint64_t                  bad, found;
    travel_graphql_plan_t    *plan;
    travel_graphql_error_t    error;
    travel_graphql_search_t   search;
    travel_graphql_search_e   next;

    (void) state;

    for (n = 1; n <= 40; n += 3) {
        strcpy(text, "{ t(id: 1) {");

        for (i = 0; i < n; i++) {
            snprintf(text + strlen(text), 16, " x%zu: id", i);
        }

        plan = plan_of(strcat(text, " } }"), &error);
        assert_non_null(plan);

        for (i = 0; i < 400; i++) {
            bad = 0;
            nbad = (size_t) rand() % 6;

            for (steps = 0; steps < nbad; steps++) {
                bad |= (uint64_t) 2 << ((size_t) rand() % n);
            }

            travel_graphql_search_init(&search, plan, 1, 0);
            assert_int_equal(search.fields, n);
            steps = 0;
            found = 0;

            do {
                next = travel_graphql_search(&search,
                                             fails(&search.part, bad));
                steps++;
            } while (next == TRAVEL_GRAPHQL_SEARCH_ASK);

            nbad = (size_t) __builtin_popcountll(bad);
            assert_int_equal(next, nbad > TRAVEL_GRAPHQL_BLAMED_MAX
                                   ? TRAVEL_GRAPHQL_SEARCH_ROOT
                                   : TRAVEL_GRAPHQL_SEARCH_FOUND);
            assert_true(steps <= 2 + (nbad + 1) * 7);

            for (nbad = 0; next == TRAVEL_GRAPHQL_SEARCH_FOUND
                           && nbad < search.part.nblamed; nbad++)
            {
                found |= (uint64_t) 1 << search.part.blamed[nbad].field;
                code = search.part.blamed[nbad].field % 2
                       ? TRAVEL_E_VALIDATION_ERROR : TRAVEL_E_INTERNAL_ERROR;
                assert_int_equal(search.part.blamed[nbad].code, code);
            }

            assert_true(next != TRAVEL_GRAPHQL_SEARCH_FOUND || found == bad);
        }

        /* the root's own fault; one that comes and goes has an end, too */

        travel_graphql_search_init(&search, plan, 1, 0);
        assert_int_equal(travel_graphql_search(&search, 1),
                         TRAVEL_GRAPHQL_SEARCH_ASK);
        assert_int_equal(travel_graphql_search(&search, 2),
                         TRAVEL_GRAPHQL_SEARCH_ROOT);
        assert_int_equal(search.first, 1);

        for (i = 0; i < 200; i++) {
            travel_graphql_search_init(&search, plan, 1, 0);

            for (steps = 0; travel_graphql_search(&search, rand() % 2)
                            == TRAVEL_GRAPHQL_SEARCH_ASK; steps++)
            {
                assert_true(steps < 60);
                assert_true(search.part.upto <= n);
            }
        }

        travel_graphql_plan_free(plan);
    }
}


/* --- what the SDL must say ------------------------------------------------ */

static void
test_faults(void **state)
{
    size_t                      i;
    char                        text[1024];
    travel_graphql_fault_t      fault;
    travel_graphql_mapping_t   *m;
    travel_graphql_document_t  *d;

    static const struct {
        const char  *sdl;
        uint32_t     line;
        const char  *message;
    } cases[] = {
        { "type T @table(name: \"t\", key: \"id\") @public { id: ID\n"
          " c(last: Int = 3): C @connection }\ntype C { edges: [E] }\n"
          "type E { node: T }", 3, "without a default" },
        { "type T @table(name: \"t\", key: \"id\") @public { id: ID\n"
          " c(before: Int): C @connection }\ntype C { edges: [E] }\n"
          "type E { node: T }", 3, "must be a String" },
        { "type T @table(name: \"t\", key: \"id\") @public { id: ID\n"
          " c(limit: [Int]): [T] }", 3, "must be an Int" },
        { "type N { x: Int }\ntype T @table(name: \"t\", key: \"id\")"
          " @public {\n n: N }", 4, "there are no rows for \"n\"" },
        { "extend type Query { y: Int } type N { x: Int }\n"
          "type Mutation {\n n: N }", 4, "must have @command" },
        { "type T {\n x: Int @sql(expr: \"f({$y})\") }", 3,
          "{$y} is no argument" },
        { "type T {\n x(y: Int): Int @sql(expr: \"{$y}\")"
          " @cache(tags: \"x:{$z}\") }", 3, "{$z} is no argument" },
        { "type T @table(name: \"t\", key: \"id\") { id: ID }", 2,
          "must say whose its rows are" },
        { "type T @table(name: \"t\", key: \"id\") @public @owner(column: "
          "\"u\") { id: ID }", 2, "and not both" },
        { "type T @table(name: \"t\") @public { id: ID }", 2, "key:" },
        { "type T {\n x: Nothing }", 3, "no type \"Nothing\"" },
        { "type T {\n x(a: Int): Int }", 3, "does nothing" },
        { "type T {\n x: Int @sql(expr: \"{a\") }", 3, "not closed" },
        { "type T {\n x: Int @sql(expr: \"{a b}\") }", 3, "must be {column}" },
        { "type T @table(name: \"t\", key: \"id\") @public {\n"
          " t: T @relation(from: \"a, b\", to: \"c\") }", 3,
          "as many columns" },
        { "type T @table(name: \"t\", key: \"id\") @public {\n"
          " t: [T] @list(max: 1001) }", 3, "from 0 to 1000" },
        { "type T @table(name: \"t\", key: \"a, b, c, d\") @public {\n"
          " t: [T] @list(order: \"e sideways\") }", 3, "an order must be" },
        { "type N { x: Int }\nunion U = N\ntype M {\n u: [U] }", 5,
          "\"N\", which is one of it, has none" },
        { "type N @table(name: \"n\", key: \"a\") @public { x: Int }\n"
          "union U @rows(key: \"b\") = N\ntype M { u: [U] }", 3,
          "\"a\" of \"N\" is missing" },
        { "type N @table(name: \"n\", key: \"a\") @public { x: Int }\n"
          "union U = N\ntype M {\n u: [U] @from(sql: \"x\") }", 5,
          "@from is rows of one type" },
        { "type N @table(name: \"n\", key: \"a\") @public { x: Int }\n"
          "union U = N\ntype M {\n u: U @embed }", 5, "@embed is of one" },
        { "scalar S @format(is: \"nothing\")", 2, "date-time, date, uuid" },
        { "input F {\n a: Int @filter(sql: \"x\")\n b: Int }\ntype M {"
          " x(f: F): Int }", 4, "\"b\" of the input \"F\" does nothing" },
        { "input F { f: F a: Int @filter(sql: \"x\") }\ntype M {"
          " x(f: F): Int }", 2, "\"f\" of the input \"F\" does nothing" },
        { "interface I {\n x: Int @cost(value: 3) }", 3,
          "@cost says nothing on a field of an interface" },
        { "interface I { x: Int }\ntype M {\n i: I }", 4, "no type is a" },
        { "type T @table(name: \"t\", key: \"a, b, c, d\") @public {\n"
          " t: [T] @list(order: \"e\") }", 3, "at most 4 columns" },
        { "type C { edges: Int }\ntype T @table(name: \"t\", key: \"id\") "
          "@public {\n c: C @connection }", 4, "edges { node }" },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "type Query { x: Int }\n%s",
                 cases[i].sdl);
        assert_int_equal(travel_graphql_parse(&d,
                             (travel_str_t) { text, strlen(text) }, &fault),
                         TRAVEL_OK);
        assert_int_equal(travel_graphql_map(&m, d, &fault), TRAVEL_INVALID);

        if (fault.line != cases[i].line
            || strstr(fault.message, cases[i].message) == NULL)
        {
            fail_msg("%s: %u: %s", cases[i].sdl, fault.line, fault.message);
        }

        travel_graphql_document_free(d);
    }
}


/* --- everything that it says of a database -------------------------------- */

typedef struct {
    size_t  asked;
    size_t  down;                 /* fields named so */
} surveyed_t;


/* Each is one that can be planned; what is behind "down" is not asked for. */
static int
surveyed(void *data, const travel_graphql_map_field_t *field,
    travel_str_t document)
{
    char                    *text;
    surveyed_t              *s = data;
    travel_graphql_plan_t   *plan;
    travel_graphql_error_t   error;

    text = strndup(document.data, document.len);
    plan = plan_of(text, &error);
    assert_non_null(plan);
    travel_graphql_plan_free(plan);
    free(text);

    s->asked++;
    s->down += travel_str_eq(field->name, TRAVEL_STR("down"));

    return travel_str_eq(field->name, TRAVEL_STR("v")) ? TRAVEL_REFUSED
                                                       : TRAVEL_OK;
}


static void
test_survey(void **state)
{
    surveyed_t  s = { 0 };

    (void) state;
    assert_int_equal(travel_graphql_survey(mapping, surveyed, &s), TRAVEL_OK);

    /* Query 9, tc twice; T 5, down twice; P 1; A 2; B 2; TC 3, PI 4, TE 2,
     * IC 2, IE 1; Mutation 1, Pay 1; V none */
    assert_int_equal(s.asked, 10 + 6 + 1 + 2 + 2 + 3 + 4 + 2 + 2 + 1 + 1 + 1);
    assert_int_equal(s.down, 2);
}


/* --- the language --------------------------------------------------------- */

static void
test_strings(void **state)
{
    const travel_graphql_ast_t  *arg;
    travel_graphql_fault_t       fault;
    travel_graphql_document_t   *d;

    static const char  text[] =
        "{ f(a: \"x\\n\\u00e9\\uD83D\\uDE00\\u{1F600}\", b: \"\"\"\n"
        "    one\n      two \\\"\"\" \n\n    three\n    \"\"\", c: -1.5e3) }";

    (void) state;
    assert_int_equal(travel_graphql_parse(&d, TRAVEL_STR(text), &fault),
                     TRAVEL_OK);
    arg = travel_graphql_definitions(d)->children->arguments;
    assert_true(travel_str_eq(arg->value->text,
                    TRAVEL_STR("x\n\xC3\xA9\xF0\x9F\x98\x80"
                               "\xF0\x9F\x98\x80")));
    assert_true(travel_str_eq(arg->next->value->text,
                    TRAVEL_STR("one\n  two \"\"\" \n\nthree")));
    assert_int_equal(arg->next->next->value->kind, TRAVEL_GRAPHQL_FLOAT);
    travel_graphql_document_free(d);
}


static void
test_syntax(void **state)
{
    size_t                      i;
    travel_graphql_fault_t      fault;
    travel_graphql_document_t  *d;

    static const struct {
        const char  *text;
        uint32_t     line;
        uint32_t     column;
    } cases[] = {
        { "{", 1, 2 }, { "{ }", 1, 3 }, { "{ a(b: ) }", 1, 8 },
        { "{ a\n  ( }", 2, 5 }, { "query ($x: Int = $y) { a }", 1, 18 },
        { "{ a @ }", 1, 7 }, { "fragment on on T { a }", 1, 10 },
        { "{ a(b: 01) }", 1, 8 }, { "{ a(b: 1x) }", 1, 8 },
        { "{ a(b: \"x) }", 1, 8 }, { "{ a(b: \"\\q\") }", 1, 8 },
        { "{ ... on }", 1, 10 }, { "{ a..b }", 1, 4 }, { "", 1, 1 },
        { "{ a(b: \"\\uD83D\") }", 1, 8 }, { "type T { a }", 1, 12 },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(travel_graphql_parse(&d, (travel_str_t) {
                             cases[i].text, strlen(cases[i].text) }, &fault),
                         TRAVEL_INVALID);

        if (fault.line != cases[i].line || fault.column != cases[i].column) {
            fail_msg("%s: %u:%u %s", cases[i].text, fault.line, fault.column,
                     fault.message);
        }
    }
}


/* Depth costs the parser nothing but nodes; the planner refuses it. */
static void
test_bombs(void **state)
{
    char                        *text;
    size_t                       i, n = 20000;
    travel_graphql_plan_t       *plan;
    travel_graphql_error_t       error;
    travel_graphql_fault_t       fault;
    travel_graphql_document_t   *d;

    (void) state;
    text = malloc(n * 4 + 64);
    assert_non_null(text);

    text[0] = '\0';
    for (i = 0; i < n; i++) {
        memcpy(text + i * 2, "{a", 2);
        text[2 * n + i] = '}';
    }

    assert_int_equal(travel_graphql_parse(&d, (travel_str_t) { text, 3 * n },
                                          &fault), TRAVEL_OK);
    travel_graphql_document_free(d);

    memset(text, '[', n);
    memcpy(text, "{a(b:", 5);
    assert_int_equal(travel_graphql_parse(&d, (travel_str_t) { text, n },
                                          &fault), TRAVEL_INVALID);
    free(text);

    plan = plan_of("{ t(id: 1) { ...F } } fragment F on T { up { ...F } }",
                   &error);
    assert_null(plan);
    assert_non_null(strstr(error.message, "contains itself"));
}


static void
test_sdl(void **state)
{
    travel_graphql_text_t  out = { 0 };

    (void) state;
    travel_graphql_sdl(sdl, &out);
    assert_false(out.failed);
    assert_null(strstr(out.data, "@"));
    assert_null(strstr(out.data, "s.t"));
    assert_non_null(strstr(out.data, "  down(limit: Int, o: E): [T]\n"));
    travel_graphql_text_free(&out);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_sql),
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_permissions),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_survey),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_sdl),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
