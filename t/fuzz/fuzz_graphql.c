/* GraphQL documents: parsed, planned against a small schema, printed. */

#include <stdlib.h>

#include "../../common/graphql/plan.h"
#include "../../common/graphql/introspection.h"
#include "../../common/graphql/part.h"
#include "../../common/graphql/sdl.h"

static const char  schema[] =
    "scalar Date\n"
    "enum E { A @order(by: \"a desc\") B @order(by: \"b\") }\n"
    "input I { a: Int @filter(sql: \"{a} = {$}\") b: [String]"
    " @filter(sql: \"{b} = ANY({$})\") i: K }\n"
    "input K { c: Int @filter(sql: \"{c} = {$}\") }\n"
    "type T @table(name: \"t\", key: \"id\") @owner(column: \"u\")"
    " @cache(tags: \"t:{$viewer}\", row: \"t:{id}\") {\n"
    "  id: ID! a: Int b: Date t: T @relation(from: \"a\", to: \"id\")\n"
    "  ts(limit: Int, o: E, i: I): [T] @relation(from: \"id\", to: \"a\")\n"
    "  c(first: Int, after: String): C @connection\n}\n"
    "type C { edges: [D] nodes: [T] pageInfo: P totalCount: Int }\n"
    "type D { node: T cursor: String }\n"
    "type P { hasNextPage: Boolean endCursor: String startCursor: String"
    " hasPreviousPage: Boolean }\n"
    "interface N @rows(key: \"id\") { id: ID! }\n"
    "type A implements N @table(name: \"a\", key: \"id\", where: \"{k} = 1\")"
    " @public { id: ID! n: N @relation(from: \"a\", to: \"id\") }\n"
    "type B implements N @table(name: \"b\", key: \"id\") @owner(column:"
    " \"u\") { id: ID! ns: [N!] @relation(from: \"a\", to: \"id\") }\n"
    "union M = A | B type NC { edges: [NE] nodes: [M] pageInfo: P }\n"
    "type NE { node: M cursor: String! } scalar Any @format(is: \"json\")\n"
    "input J { a: Int = 1 j: J l: [J!] any: Any e: E }\n"
    "type Pay { success: Boolean! }\n"
    "type Mutation { make(i: J, l: [[Int]], any: Any, s: [String!]): Pay"
    " @command(type: \"x\") }\n"
    "type Query { n: N ns(limit: Int): [M] nc(first: Int, after: String): NC"
    " @connection t(id: ID @filter(sql: \"{id} = {$}\")): T"
    " ts(limit: Int = 3, o: E): [T] c(first: Int, after: String, i: I): C"
    " @connection }\n";

static travel_graphql_document_t  *sdl;
static travel_graphql_mapping_t   *mapping;


/* Given back with each input. */
static char    room[1 << 16];
static size_t  used;


static void *
take(void *pool, size_t size)
{
    (void) pool;

    if (size > sizeof(room) - used) {
        return NULL;
    }

    used += size;
    return room + used - size;
}


/* What the plan's values are, and its commands' bodies. */
static void
values(const travel_graphql_plan_t *plan,
    const travel_graphql_variables_t *none)
{
    size_t                        i;
    travel_str_t                  text;
    travel_graphql_text_t         out = { 0 };
    const travel_graphql_node_t  *node;

    used = 0;

    for (i = 0; i < plan->statement.nbinds; i++) {
        if (plan->statement.binds[i].value != NULL) {
            (void) !travel_graphql_value(plan, plan->statement.binds[i].value,
                                         none, take, NULL, &text);
        }
    }

    for (node = plan->roots; node != NULL; node = node->next) {
        if (node->kind == TRAVEL_GRAPHQL_NODE_COMMAND) {
            (void) !travel_graphql_input(plan, node, none, &out);
        }
    }

    travel_graphql_text_free(&out);
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Some of its fields left out, as the text's length has it. */
static void
parts(travel_graphql_plan_t *plan, size_t size)
{
    travel_graphql_part_t       part = { .denied = size };
    travel_graphql_search_t     search;
    travel_graphql_statement_t  sql;

    if (travel_graphql_root(plan, 1) != NULL) {
        travel_graphql_search_init(&search, plan, 1, size);
        part.only = size % 2;
        part.upto = (uint32_t) (size % (search.fields + 1));
    }

    (void) travel_graphql_part_shows(plan, size);

    if (travel_graphql_part_sql(&sql, plan, &part) == TRAVEL_OK) {
        travel_graphql_statement_fini(&sql);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t                     cost;
    travel_str_t                 text = { (const char *) data, size };
    travel_graphql_plan_t       *plan;
    travel_graphql_text_t        out = { 0 };
    travel_graphql_error_t       error;
    travel_graphql_fault_t       fault;
    travel_graphql_document_t   *document;
    const travel_graphql_node_t *node;
    travel_graphql_mapping_t    *other;
    travel_graphql_variables_t   none = { 0 };

    if (mapping == NULL
        && (travel_graphql_parse_schema(&sdl, (travel_str_t) { schema,
                                        sizeof(schema) - 1 }, &fault)
            != TRAVEL_OK
            || travel_graphql_map(&mapping, sdl, &fault) != TRAVEL_OK))
    {
        abort();
    }

    if (travel_graphql_parse(&document, text, &fault) != TRAVEL_OK) {
        return 0;
    }

    travel_graphql_sdl(document, &out);
    travel_graphql_text_free(&out);
    (void) !travel_graphql_map(&other, document, &fault);

    if (travel_graphql_plan(&plan, mapping, document, TRAVEL_NULL_STR, &none,
                            &error) == TRAVEL_OK)
    {
        (void) !travel_graphql_cost(plan, &none, &cost, &error);
        values(plan, &none);

        for (node = plan->roots; node != NULL; node = node->next) {
            if (node->kind == TRAVEL_GRAPHQL_NODE_META) {
                travel_graphql_introspect(plan, node, &none, &out);
                travel_graphql_text_free(&out);
            }
        }

        parts(plan, size);
        travel_graphql_plan_free(plan);
    }

    return 0;
}
