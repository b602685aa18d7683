/* travelctl graphql: is a document valid, what does it become, and does a
 * database take it? */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl.h"
#include "../../common/graphql/plan.h"
#include "../../common/graphql/survey.h"
#include "../../common/graphql/validate.h"

#define GRAPHQL_MISTAKES  100
#define GRAPHQL_WORK      50000000u   /* some seconds */

typedef struct {
    const char                  *dir;
    const char                  *file;
    const char                  *dsn;
    const char                  *operation;
    travel_graphql_document_t   *sdl;
    travel_graphql_schema_t     *schema;
    travel_graphql_mapping_t    *mapping;
    travel_json_t               *json;
    char                        *given;     /* variables, from a file */
    travel_graphql_variables_t   variables;
} graphql_t;


static int
graphql_fault(const char *file, const travel_graphql_fault_t *fault)
{
    fprintf(stderr, "%s:%u:%u: %s\n", file, fault->line, fault->column,
            fault->message);

    return fault->bound ? CTL_BROKEN : CTL_REFUSED;
}


/* Each mistake on a line; its further places are in brackets. */
static int
graphql_mistakes(const char *file, const travel_graphql_report_t *report)
{
    size_t                           i, k;
    const travel_graphql_mistake_t  *m;

    for (i = 0; i < report->n; i++) {
        m = &report->items[i];
        fprintf(stderr, "%s:%u:%u: %s", file,
                m->nplaces > 0 ? m->places[0].line : 0,
                m->nplaces > 0 ? m->places[0].column : 0, m->message);

        for (k = 1; k < m->nplaces; k++) {
            fprintf(stderr, "%s%u:%u", k == 1 ? " [" : ", ",
                    m->places[k].line, m->places[k].column);
        }

        fprintf(stderr, "%s\n", m->nplaces > 1 ? "]" : "");
    }

    if (report->more) {
        fprintf(stderr, "%s: and more\n", file);
    }

    return report->exhausted && report->n == 1 ? CTL_BROKEN : CTL_REFUSED;
}


/* A schema of any kind. */
static int
graphql_schema(graphql_t *g, const char *path)
{
    int                       rc;
    char                     *text;
    size_t                    len;
    travel_graphql_fault_t    fault = { 0 };
    travel_graphql_report_t   report;

    text = ctl_read(path, &len);

    if (text == NULL) {
        return CTL_BROKEN;
    }

    rc = travel_graphql_parse_schema(&g->sdl, (travel_str_t) { text, len },
                                     &fault);
    free(text);

    if (rc != TRAVEL_OK) {
        return rc == TRAVEL_INVALID ? graphql_fault(path, &fault)
                                    : ctl_broken("out of memory");
    }

    travel_graphql_report_init(&report, GRAPHQL_MISTAKES);
    rc = travel_graphql_schema_make(&g->schema, g->sdl, &report);
    rc = rc == TRAVEL_OK ? CTL_GOOD
         : rc == TRAVEL_INVALID ? graphql_mistakes(path, &report)
                                : ctl_broken("out of memory");
    travel_graphql_report_free(&report);
    return rc;
}


/* The product's, with what it says of tables. */
static int
graphql_product(graphql_t *g)
{
    int                      rc;
    char                     path[4096];
    travel_graphql_fault_t   fault = { 0 };

    snprintf(path, sizeof(path), "%s/graphql/schema.graphql", g->dir);

    if (graphql_schema(g, path) != CTL_GOOD) {
        return CTL_BROKEN;
    }

    rc = travel_graphql_map(&g->mapping, g->sdl, &fault);

    if (rc == TRAVEL_INVALID) {
        (void) graphql_fault(path, &fault);
    }

    return rc == TRAVEL_OK ? CTL_GOOD
           : rc == TRAVEL_INVALID ? CTL_BROKEN : ctl_broken("out of memory");
}


/* Reads and checks the document, and the variables of its operation. */
static int
graphql_document(graphql_t *g, char **ret_text,
    travel_graphql_document_t **ret_document)
{
    int                          rc;
    size_t                       len;
    travel_str_t                 name = TRAVEL_NULL_STR;
    travel_graphql_error_t       error = { 0 };
    travel_graphql_fault_t       fault = { 0 };
    travel_graphql_report_t      report;
    const travel_graphql_ast_t  *operation;

    *ret_text = ctl_read(g->file, &len);

    if (*ret_text == NULL) {
        return CTL_BROKEN;
    }

    rc = travel_graphql_parse(ret_document, (travel_str_t) { *ret_text, len },
                              &fault);

    if (rc != TRAVEL_OK) {
        return rc == TRAVEL_INVALID ? graphql_fault(g->file, &fault)
                                    : ctl_broken("out of memory");
    }

    travel_graphql_report_init(&report, GRAPHQL_MISTAKES);
    rc = travel_graphql_validate(g->schema, *ret_document, GRAPHQL_WORK,
                                 &report);

    if (rc == TRAVEL_OK && (g->variables.present || g->operation != NULL)) {

        if (g->operation != NULL) {
            name = (travel_str_t) { g->operation, strlen(g->operation) };
        }

        if (travel_graphql_operation(&operation, *ret_document, name, &error)
            != TRAVEL_OK)
        {
            travel_graphql_report_free(&report);
            return ctl_broken("%s: %s", g->file, error.message);
        }

        rc = travel_graphql_coerce(g->schema, operation, &g->variables,
                                   &report);
    }

    rc = rc == TRAVEL_OK ? CTL_GOOD
         : rc == TRAVEL_INVALID ? graphql_mistakes(g->file, &report)
                                : ctl_broken("out of memory");
    travel_graphql_report_free(&report);
    return rc;
}


/* The tree may point into 'text', which lives as long. */
static bool
graphql_variables_read(graphql_t *g, travel_str_t text)
{
    travel_json_error_t  err = { 0 };

    g->json = travel_json_create(0);

    if (g->json == NULL
        || travel_json_parse(g->json, text, 0, &err) != TRAVEL_OK
        || travel_json_nodes(g->json)->type != TRAVEL_JSON_OBJECT)
    {
        (void) ctl_broken("--variables must be a JSON object, or the name of "
                          "a file that has one%s%s",
                          err.message[0] != '\0' ? ": " : "", err.message);
        return false;
    }

    g->variables.json = g->json;
    g->variables.present = true;
    return true;
}


/* 'given' is the object itself, else where it is. */
static bool
graphql_variables(graphql_t *g, const char *given)
{
    size_t  len;

    if (given == NULL) {
        return true;
    }

    if (given[strspn(given, " \t\r\n")] == '{') {
        return graphql_variables_read(g, (travel_str_t) { given,
                                                          strlen(given) });
    }

    g->given = ctl_read(given, &len);

    return g->given != NULL
           && graphql_variables_read(g, (travel_str_t) { g->given, len });
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
        } else if (b->value != NULL && !b->value->made) {
            printf(" %.*s", (int) b->value->text.len, b->value->text.data);
        }

        printf("\n");
    }

    printf("\ncost %llu  depth %u  fields %u\n", (unsigned long long) cost,
           plan->depth, plan->breadth);
    printf("viewer %s  kept %us\nroute %s\n", plan->viewer ? "yes" : "no",
           plan->ttl, plan->operation->op == TRAVEL_GRAPHQL_MUTATION
           ? "the command's queue; what it made, from a server that has its "
             "commit"
           : "a replica that has the caller's last write, else the primary");
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
graphql_explain(graphql_t *g)
{
    int                         rc;
    char                       *text = NULL;
    uint64_t                    cost = 0;
    travel_str_t                name = TRAVEL_NULL_STR;
    travel_graphql_plan_t      *plan;
    travel_graphql_error_t      error = { 0 };
    travel_graphql_document_t  *document = NULL;

    rc = graphql_document(g, &text, &document);

    if (rc != CTL_GOOD) {
        travel_graphql_document_free(document);
        free(text);
        return rc;
    }

    if (g->operation != NULL) {
        name = (travel_str_t) { g->operation, strlen(g->operation) };
    }

    rc = travel_graphql_plan(&plan, g->mapping, document, name, &g->variables,
                             &error);

    if (rc == TRAVEL_OK) {
        rc = travel_graphql_cost(plan, &g->variables, &cost, &error);

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


static void
graphql_free(graphql_t *g)
{
    travel_json_free(g->json);
    free(g->given);
    travel_graphql_schema_free(g->schema);
    travel_graphql_document_free(g->sdl);
}


int
travelctl_graphql_explain(int argc, char **argv)
{
    int          rc;
    graphql_t    g = { .dir = "conf/travel" };
    const char  *args[CTL_ARGS_MAX + 1], *variables = NULL;

    const ctl_option_t  options[] = {
        { "dir", CTL_STRING, &g.dir, "DIR", "the product (conf/travel)" },
        { "variables", CTL_STRING, &variables, "JSON",
          "their values, or a file that has them" },
        { "operation", CTL_STRING, &g.operation, "NAME", "which, of several" },
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
    rc = graphql_variables(&g, variables) ? graphql_product(&g) : CTL_BROKEN;

    if (rc == CTL_GOOD) {
        rc = graphql_explain(&g);
    }

    graphql_free(&g);
    return rc;
}


/* One of the files; CTL_GOOD, CTL_REFUSED, CTL_BROKEN. */
static int
graphql_check(graphql_t *g, const char *file)
{
    int                         rc;
    char                       *text = NULL;
    travel_graphql_document_t  *document = NULL;

    g->file = file;
    rc = graphql_document(g, &text, &document);
    travel_graphql_document_free(document);
    free(text);
    return rc;
}


int
travelctl_graphql_check(int argc, char **argv)
{
    int          i, rc, worst;
    graphql_t    g = { 0 };
    const char  *args[CTL_ARGS_MAX + 1], *variables = NULL;
    const char  *schema = "conf/travel/graphql/schema.graphql";

    const ctl_option_t  options[] = {
        { "schema", CTL_STRING, &schema, "SDL",
          "any schema (the product's)" },
        { "variables", CTL_STRING, &variables, "JSON",
          "values that are judged as well, or a file that has them" },
        { "operation", CTL_STRING, &g.operation, "NAME", "whose they are" },
        { .name = NULL }
    };
    const ctl_spec_t  spec = { "graphql check [options] [FILE ...]",
        "Says on stderr what is wrong with GraphQL documents, one mistake a "
        "line, by all\nthe rules of the language; without FILE, what is wrong "
        "with the schema.  Exit\ncode 0 valid, 1 not valid, 2 one cannot be "
        "judged: no file, no schema, too large.", options, 0, CTL_ARGS_MAX };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    worst = graphql_variables(&g, variables) ? graphql_schema(&g, schema)
                                             : CTL_BROKEN;

    if (args[0] != NULL && worst != CTL_GOOD) {
        graphql_free(&g);
        return CTL_BROKEN;
    }

    for (i = 0; args[0] != NULL && args[i] != NULL; i++) {
        rc = graphql_check(&g, args[i]);
        worst = rc > worst ? rc : worst;
    }

    graphql_free(&g);
    return worst;
}


/* --- the schema, against a database --------------------------------------- */

typedef struct {
    const graphql_t  *product;
    PGconn           *pg;
    unsigned          good;
    unsigned          bad;
} graphql_survey_t;


/* The statement of a document; a mutation's is what it answers with. */
static int
graphql_statement(const graphql_survey_t *s, travel_str_t text,
    travel_graphql_plan_t **ret_plan, travel_graphql_statement_t *ret_sql,
    travel_graphql_error_t *ret_error)
{
    int                          rc;
    travel_graphql_plan_t       *plan;
    travel_graphql_fault_t       fault;
    travel_graphql_document_t   *document;
    travel_graphql_variables_t   none = { 0 };

    rc = travel_graphql_parse(&document, text, &fault);

    if (rc == TRAVEL_OK) {
        rc = travel_graphql_plan(&plan, s->product->mapping, document,
                                 TRAVEL_NULL_STR, &none, ret_error);
    }

    if (rc != TRAVEL_OK) {
        return rc;
    }

    *ret_plan = plan;
    return travel_graphql_sql(ret_sql, plan->operation->op
                                       == TRAVEL_GRAPHQL_MUTATION
                                       ? plan->roots->children : plan->roots,
                              NULL);
}


static int
graphql_ask(void *data, const travel_graphql_map_field_t *field,
    travel_str_t document)
{
    int                          rc;
    PGresult                    *res = NULL;
    const char                  *why;
    graphql_survey_t            *s = data;
    travel_graphql_plan_t       *plan = NULL;
    travel_graphql_error_t       error = { 0 };
    travel_graphql_statement_t   sql = { 0 };

    rc = graphql_statement(s, document, &plan, &sql, &error);
    why = error.message;

    if (rc == TRAVEL_OK) {
        res = PQprepare(s->pg, "", sql.sql, 0, NULL);

        if (PQresultStatus(res) != PGRES_COMMAND_OK) {
            why = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
            why = why != NULL ? why : PQerrorMessage(s->pg);
            rc = TRAVEL_REFUSED;
        }
    }

    if (rc == TRAVEL_OK) {
        s->good++;

    } else if (rc != TRAVEL_ERROR) {
        s->bad++;
        fprintf(stderr, "%s:%u:%u: \"%.*s.%.*s\": %s\n", s->product->file,
                field->line, field->def->column, (int) field->owner->name.len,
                field->owner->name.data, (int) field->name.len,
                field->name.data, why);
        rc = TRAVEL_REFUSED;
    }

    PQclear(res);
    travel_graphql_statement_fini(&sql);
    travel_graphql_plan_free(plan);
    return rc;
}


bool
ctl_graphql_survey(const char *dir, PGconn *pg, unsigned *good, unsigned *bad)
{
    char              path[4096];
    graphql_t         g = { .dir = dir, .file = path };
    graphql_survey_t  s = { .product = &g, .pg = pg };

    snprintf(path, sizeof(path), "%s/graphql/schema.graphql", dir);

    if (access(path, F_OK) != 0) {
        return true;
    }

    if (graphql_product(&g) != CTL_GOOD) {
        s.bad++;

    } else if (pg == NULL) {
        s.good++;

    } else if (travel_graphql_survey(g.mapping, graphql_ask, &s) != TRAVEL_OK)
    {
        (void) ctl_broken("out of memory");
        graphql_free(&g);
        return false;
    }

    *good += s.good;
    *bad += s.bad;
    graphql_free(&g);
    return true;
}
