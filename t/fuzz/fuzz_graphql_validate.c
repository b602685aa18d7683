/* GraphQL documents against a schema, and schemas: the rules of the language.
 * The first byte: 's' a schema follows, else a document, and behind a NUL its
 * variables. */

#include <stdlib.h>

#include "../../common/graphql/coerce.h"
#include "../../common/graphql/validate.h"

#define MISTAKES  20
#define WORK      20000

static const char  text[] =
    "directive @tag(n: Int = 1, i: I) repeatable on FIELD | QUERY |"
    " INLINE_FRAGMENT | FRAGMENT_SPREAD | VARIABLE_DEFINITION\n"
    "enum E { A B } scalar S\n"
    "input I { a: Int! b: [E!] c: I d: S e: Float = 1 f: Boolean! = true }\n"
    "input O @oneOf { a: Int b: String c: I }\n"
    "interface N { id: ID! n: N }\n"
    "interface M implements N { id: ID! n: N m: [M!]! }\n"
    "type T implements N & M { id: ID! n: N m: [M!]! t(i: I, o: O, n: Int! = 1"
    "): T f(x: [[Int!]], e: E): Float s: S }\n"
    "type V implements N { id: ID! n: N f: Int v(s: String, b: Boolean): V }\n"
    "union U = T | V\n"
    "type Query { t: T n: N u: U v(o: O!): V ts(l: [I]): [T] }\n"
    "type Mutation { t(i: I!): T }\n"
    "type Subscription { t: T u: U }\n";

static travel_graphql_document_t  *sdl;
static travel_graphql_schema_t    *schema;


/* As many as there may be, each with places in the text. */
static void
sane(const travel_graphql_report_t *report)
{
    size_t  i;

    if (report->n > MISTAKES || (report->more && report->n < MISTAKES)) {
        abort();
    }

    for (i = 0; i < report->n; i++) {
        if (report->items[i].message[0] == '\0'
            || report->items[i].nplaces > TRAVEL_GRAPHQL_PLACES_MAX)
        {
            abort();
        }
    }
}


static void
fuzz_schema(travel_str_t source)
{
    int                         rc;
    travel_graphql_fault_t      fault;
    travel_graphql_report_t     report;
    travel_graphql_schema_t    *other = NULL;
    travel_graphql_document_t  *document;

    if (travel_graphql_parse_schema(&document, source, &fault) != TRAVEL_OK) {
        return;
    }

    travel_graphql_report_init(&report, MISTAKES);
    rc = travel_graphql_schema_make(&other, document, &report);
    sane(&report);

    if ((rc == TRAVEL_OK) != (other != NULL && report.n == 0)) {
        abort();
    }

    travel_graphql_schema_free(other);
    travel_graphql_document_free(document);
    travel_graphql_report_free(&report);
}


static void
fuzz_variables(const travel_graphql_ast_t *operation, travel_str_t source)
{
    travel_json_t               *json;
    travel_json_error_t          error;
    travel_graphql_report_t      report;
    travel_graphql_variables_t   variables = { .present = true };

    json = travel_json_create(0);
    if (json == NULL) {
        abort();
    }

    if (travel_json_parse(json, source, 0, &error) == TRAVEL_OK
        && travel_json_nodes(json)->type == TRAVEL_JSON_OBJECT)
    {
        variables.json = json;
        travel_graphql_report_init(&report, MISTAKES);
        (void) !travel_graphql_coerce(schema, operation, &variables, &report);
        sane(&report);
        travel_graphql_report_free(&report);
    }

    travel_json_free(json);
}


static void
fuzz_document(travel_str_t source, travel_str_t variables)
{
    int                         rc;
    size_t                      n;
    travel_graphql_fault_t      fault;
    travel_graphql_report_t     report;
    travel_graphql_document_t  *document;

    if (travel_graphql_parse(&document, source, &fault) != TRAVEL_OK) {
        return;
    }

    travel_graphql_report_init(&report, MISTAKES);
    rc = travel_graphql_validate(schema, document, WORK, &report);
    n = report.n;
    sane(&report);
    travel_graphql_report_free(&report);

    if ((rc == TRAVEL_OK) != (n == 0)) {
        abort();
    }

    if (rc == TRAVEL_OK
        && travel_graphql_definitions(document)->kind
           == TRAVEL_GRAPHQL_OPERATION)
    {
        fuzz_variables(travel_graphql_definitions(document), variables);
    }

    travel_graphql_document_free(document);
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char               *nul;
    travel_str_t              source, variables = TRAVEL_NULL_STR;
    travel_graphql_fault_t    fault;
    travel_graphql_report_t   report;

    travel_graphql_report_init(&report, MISTAKES);

    if (schema == NULL
        && (travel_graphql_parse_schema(&sdl, TRAVEL_STR(text), &fault)
            != TRAVEL_OK
            || travel_graphql_schema_make(&schema, sdl, &report) != TRAVEL_OK))
    {
        abort();
    }

    if (size == 0) {
        return 0;
    }

    source = (travel_str_t) { (const char *) data + 1, size - 1 };

    if (data[0] == 's') {
        fuzz_schema(source);
        return 0;
    }

    nul = source.len > 0 ? memchr(source.data, '\0', source.len) : NULL;

    if (nul != NULL) {
        variables = (travel_str_t) { nul + 1, (size_t) (source.data + source.len
                                                        - nul - 1) };
        source.len = (size_t) (nul - source.data);
    }

    fuzz_document(source, variables);
    return 0;
}
