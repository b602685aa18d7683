/* GraphQL documents: parsed, planned against a small schema, printed. */

#include <stdlib.h>

#include "../../common/graphql/plan.h"
#include "../../common/graphql/introspection.h"
#include "../../common/graphql/sdl.h"

static const char  schema[] =
    "scalar Date\n"
    "enum E { A @order(by: \"a desc\") B @order(by: \"b\") }\n"
    "input I { a: Int @filter(sql: \"{a} = {$}\") b: [String] }\n"
    "type T @table(name: \"t\", key: \"id\") @owner(column: \"u\")"
    " @cache(tags: \"t:{$viewer}\", row: \"t:{id}\") {\n"
    "  id: ID! a: Int b: Date t: T @relation(from: \"a\", to: \"id\")\n"
    "  ts(limit: Int, o: E, i: I): [T] @relation(from: \"id\", to: \"a\")\n"
    "  c(first: Int, after: String): C @connection\n}\n"
    "type C { edges: [D] nodes: [T] pageInfo: P totalCount: Int }\n"
    "type D { node: T cursor: String }\n"
    "type P { hasNextPage: Boolean endCursor: String startCursor: String"
    " hasPreviousPage: Boolean }\n"
    "type Query { t(id: ID @filter(sql: \"{id} = {$}\")): T"
    " ts(limit: Int = 3, o: E): [T] c(first: Int, after: String, i: I): C"
    " @connection }\n";

static travel_graphql_document_t  *sdl;
static travel_graphql_mapping_t   *mapping;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

        for (node = plan->roots; node != NULL; node = node->next) {
            if (node->kind == TRAVEL_GRAPHQL_NODE_META) {
                travel_graphql_introspect(plan, node, &none, &out);
                travel_graphql_text_free(&out);
            }
        }

        travel_graphql_plan_free(plan);
    }

    return 0;
}
