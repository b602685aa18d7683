/* travelctl graphql explain: what a document becomes, and whether a database
 * takes it. */

#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "../../common/graphql/plan.h"

typedef struct {
    const char                  *dir;
    const char                  *file;
    const char                  *dsn;
    travel_graphql_document_t   *sdl;
    travel_graphql_mapping_t    *mapping;
    travel_json_t               *json;
    travel_graphql_variables_t   variables;
} graphql_t;


static bool
graphql_schema(graphql_t *g)
{
    int                      rc;
    char                     path[4096], *text;
    size_t                   len;
    travel_graphql_fault_t   fault = { 0 };

    snprintf(path, sizeof(path), "%s/graphql/schema.graphql", g->dir);
    text = ctl_read(path, &len);

    if (text == NULL) {
        return false;
    }

    rc = travel_graphql_parse_schema(&g->sdl, (travel_str_t) { text, len },
                                     &fault);
    free(text);

    if (rc == TRAVEL_OK) {
        rc = travel_graphql_map(&g->mapping, g->sdl, &fault);
    }

    if (rc != TRAVEL_OK) {
        (void) ctl_broken("%s:%u: %s", path, fault.line, rc == TRAVEL_ERROR
                                       ? "out of memory" : fault.message);
    }

    return rc == TRAVEL_OK;
}


static bool
graphql_variables(graphql_t *g, const char *text)
{
    travel_json_error_t  err = { 0 };

    if (text == NULL) {
        return true;
    }

    g->json = travel_json_create(0);

    if (g->json == NULL
        || travel_json_parse(g->json, (travel_str_t) { text, strlen(text) }, 0,
                             &err) != TRAVEL_OK
        || travel_json_nodes(g->json)->type != TRAVEL_JSON_OBJECT)
    {
        (void) ctl_broken("--variables must be a JSON object: %s",
                          err.message);
        return false;
    }

    g->variables.json = g->json;
    g->variables.present = true;
    return true;
}


static void
graphql_template(const travel_graphql_template_t *t)
{
    size_t  i;

    for (i = 0; i < t->n; i++) {
        printf(t->pieces[i].kind == TRAVEL_GRAPHQL_PIECE_TEXT ? "%.*s"
               : t->pieces[i].kind == TRAVEL_GRAPHQL_PIECE_VIEWER
                 ? "{viewer%.*s}" : "{%.*s}",
               t->pieces[i].kind == TRAVEL_GRAPHQL_PIECE_VIEWER ? 0
               : (int) t->pieces[i].text.len, t->pieces[i].text.data);
    }
}


static void
graphql_print(const travel_graphql_plan_t *plan, uint64_t cost)
{
    size_t  i;

    static const char *const  kinds[] = {
        "literal", "variable", "limit", "cursor key", "viewer", "mark",
        "introspection", "made id", "job"
    };

    printf("%s\n\n", plan->statement.sql != NULL ? plan->statement.sql
                                                 : "(a command)");

    for (i = 0; i < plan->statement.nbinds; i++) {
        const travel_graphql_bind_t  *b = &plan->statement.binds[i];

        printf("$%zu %s", i + 1, kinds[b->kind]);

        if (b->value != NULL && b->value->variable.len > 0) {
            printf(" $%.*s", (int) b->value->variable.len,
                   b->value->variable.data);
        } else if (b->value != NULL) {
            printf(" %.*s", (int) b->value->text.len, b->value->text.data);
        }

        printf("\n");
    }

    printf("\ncost %llu  depth %u  fields %u\n", (unsigned long long) cost,
           plan->depth, plan->breadth);
    printf("viewer %s  kept %us  route replica\n",
           plan->viewer ? "yes" : "no", plan->ttl);
    printf("tags");

    for (i = 0; i < plan->ntags; i++) {
        printf(" ");
        graphql_template(plan->tags[i].tags);
    }

    printf("\nrequires");

    for (i = 0; i < plan->nrequires; i++) {
        printf(" %.*s", (int) plan->requires[i].len, plan->requires[i].data);
    }

    printf("\n");
}


static int
graphql_prepare(const graphql_t *g, const travel_graphql_plan_t *plan)
{
    int        rc = CTL_GOOD;
    PGconn    *pg;
    PGresult  *res;

    if (g->dsn == NULL || plan->statement.sql == NULL) {
        return CTL_GOOD;
    }

    pg = ctl_pg(g->dsn);
    if (pg == NULL) {
        return CTL_BROKEN;
    }

    res = PQprepare(pg, "", plan->statement.sql, 0, NULL);

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        fprintf(stderr, "%s: the database refuses the statement: %s", g->file,
                PQerrorMessage(pg));
        rc = CTL_REFUSED;
    } else {
        printf("prepared\n");
    }

    PQclear(res);
    PQfinish(pg);
    return rc;
}


static int
graphql_explain(graphql_t *g, const char *operation)
{
    int                         rc;
    char                       *text;
    size_t                      len;
    uint64_t                    cost = 0;
    travel_str_t                name = TRAVEL_NULL_STR;
    travel_graphql_plan_t      *plan;
    travel_graphql_fault_t      fault = { 0 };
    travel_graphql_error_t      error = { 0 };
    travel_graphql_document_t  *document;

    text = ctl_read(g->file, &len);
    if (text == NULL) {
        return CTL_BROKEN;
    }

    if (operation != NULL) {
        name = (travel_str_t) { operation, strlen(operation) };
    }

    rc = travel_graphql_parse(&document, (travel_str_t) { text, len }, &fault);

    if (rc != TRAVEL_OK) {
        fprintf(stderr, "%s:%u:%u: %s\n", g->file, fault.line, fault.column,
                fault.message);
        free(text);
        return CTL_REFUSED;
    }

    rc = travel_graphql_plan(&plan, g->mapping, document, name, &g->variables,
                             &error);

    if (rc == TRAVEL_OK) {
        rc = travel_graphql_check_variables(g->mapping, plan->operation,
                                            &g->variables, &error);

        if (rc == TRAVEL_OK) {
            rc = travel_graphql_cost(plan, &g->variables, &cost, &error);
        }

        if (rc == TRAVEL_OK) {
            graphql_print(plan, cost);
            rc = graphql_prepare(g, plan);
            travel_graphql_plan_free(plan);
            free(text);
            return rc;
        }

        travel_graphql_plan_free(plan);
    }

    fprintf(stderr, "%s:%u:%u: %s\n", g->file, error.line, error.column,
            error.message);
    free(text);
    return CTL_REFUSED;
}


int
travelctl_graphql_explain(int argc, char **argv)
{
    int          rc;
    graphql_t    g = { .dir = "conf/travel" };
    const char  *args[CTL_ARGS_MAX + 1], *variables = NULL, *operation = NULL;

    const ctl_option_t  options[] = {
        { "dir", CTL_STRING, &g.dir, "DIR", "the product (conf/travel)" },
        { "variables", CTL_STRING, &variables, "JSON", "their values" },
        { "operation", CTL_STRING, &operation, "NAME", "which, of several" },
        { "dsn", CTL_STRING, &g.dsn, "DSN",
          "a database that shall prepare the statement" },
        { .name = NULL }
    };
    const ctl_spec_t  spec = { "graphql explain [options] FILE",
        "Prints the SQL that a GraphQL document becomes, its parameters, cost "
        "and tags,\nand whom it may be asked by.  Exit code 1 when the "
        "document is not valid.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    g.file = args[0];
    rc = graphql_schema(&g) && graphql_variables(&g, variables)
         ? graphql_explain(&g, operation) : CTL_BROKEN;

    travel_json_free(g.json);
    travel_graphql_document_free(g.sdl);

    return rc;
}
