/* GraphQL: messages projected onto subscriptions, and what they are of. */

#include "unit.h"
#include "../../common/graphql/project.h"

static const char  SCHEMA[] =
    "scalar JSON @render(sql: \"{}\")\n"
    "enum E { a b }\n"
    "type Query { j(id: ID! @filter(sql: \"{id} = {$}\")): T }\n"
    "type T @table(name: \"s.t\", key: \"id\") @public { id: ID! }\n"
    "type U {\n"
    "  type: String!\n"
    "  id: ID @payload(path: \"aggregate.id\")\n"
    "  milesDone: Float @payload(path: \"data.miles_done\")\n"
    "  n: Int @payload(path: \"data.n\")\n"
    "  ok: Boolean @payload(path: \"data.ok\")\n"
    "  e: E @payload(path: \"data.e\")\n"
    "  tags: [String!] @payload(path: \"data.tags\")\n"
    "  data: JSON\n"
    "  position: P @payload(path: \"data.position\")\n"
    "}\n"
    "type P { lat: Float! lon: Float! label: String }\n"
    "type Subscription { u(id: ID!): U @topic(name: \"t:{$id}\", check: "
    "\"j(id: {$id})\") all: U! @topic(name: \"all\")"
    " mine(c: E!): U! @topic(name: \"user:{$viewer}:{$c}\") }\n";

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
plan_of(const char *text, const travel_graphql_variables_t *variables)
{
    travel_graphql_plan_t      *plan;
    travel_graphql_fault_t      fault;
    travel_graphql_error_t      error;
    travel_graphql_document_t  *document;

    assert_int_equal(travel_graphql_parse(&document,
                         (travel_str_t) { text, strlen(text) }, &fault),
                     TRAVEL_OK);
    assert_int_equal(travel_graphql_plan(&plan, mapping, document,
                                         TRAVEL_NULL_STR, variables, &error),
                     TRAVEL_OK);
    return plan;
}


static void
check(const char *query, const char *message, const char *want)
{
    travel_json_t               *json = travel_json_create(64);
    travel_json_error_t          error;
    travel_graphql_text_t        out = { 0 };
    travel_graphql_plan_t       *plan;
    travel_graphql_variables_t   none = { 0 };

    assert_non_null(json);
    assert_int_equal(travel_json_parse(json, (travel_str_t) {
                         message, strlen(message) }, 0, &error), TRAVEL_OK);

    plan = plan_of(query, &none);
    travel_graphql_project(plan, json, &out);
    assert_false(out.failed);
    assert_string_equal(out.data, want);

    travel_graphql_text_free(&out);
    travel_graphql_plan_free(plan);
    travel_json_free(json);
}


static const char  MESSAGE[] =
    "{\"type\":\"t.moved\",\"aggregate\":{\"id\":7},\"data\":{\"miles_done\":"
    "1.50,\"n\":3,\"ok\":true,\"e\":\"b\",\"tags\":[\"x\\\"\",\"y\"],"
    "\"position\":{\"lat\":1,\"lon\":-2.5,\"label\":null}}}";


static void
test_values(void **state)
{
    (void) state;
    check("subscription { all { kind: type id milesDone n ok e tags "
          "__typename } }", MESSAGE,
          "\"data\":{\"all\":{\"kind\":\"t.moved\",\"id\":\"7\",\"milesDone\":"
          "1.50,\"n\":3,\"ok\":true,\"e\":\"b\",\"tags\":[\"x\\u0022\",\"y\"],"
          "\"__typename\":\"U\"}}");
    check("subscription { all { position { lon ...F } } } "
          "fragment F on P { lat label }", MESSAGE,
          "\"data\":{\"all\":{\"position\":{\"lon\":-2.5,\"lat\":1,"
          "\"label\":null}}}");
    check("subscription { all { data } }",
          "{\"type\":\"x\",\"data\":{\"a\":[1,[],{},{\"b\":null}],"
          "\"c\":\"d\"}}",
          "\"data\":{\"all\":{\"data\":{\"a\":[1,[],{},{\"b\":null}],"
          "\"c\":\"d\"}}}");
    check("subscription { all { a: type @skip(if: true) id @include(if: true)"
          " } }", MESSAGE, "\"data\":{\"all\":{\"id\":\"7\"}}");
}


static void
test_nulls(void **state)
{
    (void) state;

    /* of another type, or not there */
    check("subscription { all { id n ok e milesDone tags position { lat } } }",
          "{\"data\":{\"n\":1.5,\"ok\":\"x\",\"miles_done\":\"2\",\"tags\":"
          "[\"a\",null],\"position\":3}}",
          "\"data\":{\"all\":{\"id\":null,\"n\":null,\"ok\":null,\"e\":null,"
          "\"milesDone\":null,\"tags\":null,\"position\":null}}");
    /* the nearest that may be null takes it */
    check("subscription { all { p: position { l: lat lon } } }",
          "{\"data\":{\"position\":{\"lon\":1}}}",
          "\"data\":{\"all\":{\"p\":null}},\"errors\":[{\"message\":\"Cannot "
          "return null for non-nullable field P.lat.\",\"locations\":[{\"line\""
          ":1,\"column\":36}],\"path\":[\"all\",\"p\",\"l\"],\"extensions\":"
          "{\"code\":\"INTERNAL_ERROR\"}}]");
    /* none may: all of it is null, told once */
    check("subscription { all { type } }", "{}",
          "\"data\":null,\"errors\":[{\"message\":\"Cannot return null for "
          "non-nullable field U.type.\",\"locations\":[{\"line\":1,\"column\":"
          "22}],\"path\":[\"all\",\"type\"],\"extensions\":{\"code\":"
          "\"INTERNAL_ERROR\"}}]");
    check("subscription { u(id: 1) { type } }", "{\"type\":7}",
          "\"data\":{\"u\":{\"type\":\"7\"}}");
}


static void
test_topic(void **state)
{
    travel_json_t               *json = travel_json_create(64);
    travel_json_error_t          error;
    travel_graphql_text_t        topic = { 0 }, may = { 0 };
    travel_graphql_plan_t       *plan;
    travel_graphql_variables_t   variables = { json, 0, true };

    (void) state;
    assert_non_null(json);
    assert_int_equal(travel_json_parse(json, TRAVEL_STR("{\"j\":\"a\\\"}\"}"),
                                       0, &error), TRAVEL_OK);

    plan = plan_of("subscription S($j: ID!) { u(id: $j) { type } }",
                   &variables);
    assert_int_equal(travel_graphql_topic(plan, &variables, TRAVEL_STR(""),
                                          &topic, &may), TRAVEL_OK);
    assert_string_equal(topic.data, "t:a\"}");
    assert_string_equal(may.data,
                        "{check:j(id: \"a\\u0022}\"){__typename}}");
    assert_false(travel_graphql_live(plan));
    travel_graphql_plan_free(plan);

    travel_graphql_text_free(&topic);
    memset(&topic, 0, sizeof(topic));
    plan = plan_of("subscription { mine(c: b) { type } }", &variables);
    assert_int_equal(travel_graphql_topic(plan, &variables, TRAVEL_STR("7"),
                                          &topic, &may), TRAVEL_OK);
    assert_string_equal(topic.data, "user:7:b");
    assert_int_equal(travel_graphql_topic(plan, &variables, TRAVEL_STR(""),
                                          &topic, &may), TRAVEL_INVALID);
    travel_graphql_plan_free(plan);

    plan = plan_of("query Q @live { j(id: 1) { id } }", &variables);
    assert_true(travel_graphql_live(plan));
    travel_graphql_plan_free(plan);

    travel_graphql_text_free(&topic);
    travel_graphql_text_free(&may);
    travel_json_free(json);
}


static void
test_faults(void **state)
{
    travel_graphql_fault_t      fault;
    travel_graphql_mapping_t   *m;
    travel_graphql_document_t  *d;

    (void) state;
    assert_int_equal(travel_graphql_parse_schema(&d, TRAVEL_STR(
        "type Query { a: Int } type Subscription { s(x: ID): U }"
        " type U { a: Int }"), &fault), TRAVEL_OK);
    assert_int_equal(travel_graphql_map(&m, d, &fault), TRAVEL_INVALID);
    assert_non_null(strstr(fault.message, "@topic"));
    travel_graphql_document_free(d);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_topic),
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
