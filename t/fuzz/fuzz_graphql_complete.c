/* What a database could say, made what the schema promises. */

#include <stdlib.h>

#include "../../common/graphql/complete.h"

static const char  schema[] =
    "type A @table(name: \"a\", key: \"id\") @public"
    " { id: ID! l: [[Int!]]! e: E es: [E!] f: Float! d: Day b: Boolean"
    " a: A @relation(from: \"a\", to: \"id\")"
    " as: [A!] @relation(from: \"id\", to: \"a\") }\n"
    "type B @table(name: \"b\", key: \"id\") @public { id: ID! }\n"
    "enum E { X Y }\n"
    "scalar Day @format(is: \"date\")\n"
    "union U = A | B\n"
    "type Query { a: A us: [U!] u: U! }\n";

static const char  asked[] =
    "{ a { id l as { id a { id } } } us { ... on A { id l e es f d b } ... on B"
    " { x: id } } u { __typename } }";

static travel_graphql_plan_t  *plan;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    travel_str_t                 text = { (const char *) data, size };
    travel_graphql_text_t        out = { 0 }, errors = { 0 };
    travel_graphql_error_t       error;
    travel_graphql_fault_t       fault;
    travel_graphql_mapping_t    *mapping;
    travel_graphql_document_t   *sdl, *document;
    travel_graphql_variables_t   none = { 0 };

    if (plan == NULL
        && (travel_graphql_parse_schema(&sdl, (travel_str_t) { schema,
                                        sizeof(schema) - 1 }, &fault)
            != TRAVEL_OK
            || travel_graphql_map(&mapping, sdl, &fault) != TRAVEL_OK
            || travel_graphql_parse(&document, (travel_str_t) { asked,
                                    sizeof(asked) - 1 }, &fault) != TRAVEL_OK
            || travel_graphql_plan(&plan, mapping, document, TRAVEL_NULL_STR,
                                   &none, &error) != TRAVEL_OK))
    {
        abort();
    }

    /* some of it left out */

    plan->roots->withheld = size % 2;
    plan->roots->children->withheld = size % 3 == 0;
    plan->roots->next->children->children->withheld = size % 5 == 0;

    (void) !travel_graphql_complete(plan->roots, false, NULL, text, &out,
                                    &errors);
    travel_graphql_text_free(&out);
    travel_graphql_text_free(&errors);

    return 0;
}
