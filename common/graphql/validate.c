/*
 * A document against a schema, one walk down and up each definition.  See
 * validate.h; what needs to know of all definitions is in the other files.
 */

#include "validate_parts.h"

#include <stdlib.h>

typedef travel_graphql_ast_t         ast_t;
typedef travel_graphql_type_t        type_t;
typedef travel_graphql_unit_t        unit_t;
typedef travel_graphql_check_t       check_t;
typedef travel_graphql_mistake_t     mistake_t;
typedef travel_graphql_validation_t  validation_t;

#define complain_  travel_graphql_report
#define at_        travel_graphql_report_at
#define at_name_   travel_graphql_report_at_name
#define type_text  travel_graphql_type_text
#define TEXT       TRAVEL_GRAPHQL_TYPE_TEXT


/* --- fields -------------------------------------------------------------- */

static int
validate_field(check_t *c, ast_t *field, const type_t *parent)
{
    char           text[TEXT];
    const type_t  *type = NULL;

    field->of = NULL;
    field->def = parent != NULL
                 ? travel_graphql_schema_field(c->schema, parent, field->name)
                 : NULL;

    if (field->def != NULL) {
        type = travel_graphql_base(field->def->type)->of;

    } else if (parent != NULL) {
        at_(complain_(c->report, "Cannot query field \"%.*s\" on type "
                      "\"%.*s\".", N_(field->name), N_(parent->name)), field);
    }

    if (type != NULL && travel_graphql_is_composite(type)) {
        field->of = type;

        if (field->children == NULL) {
            at_(complain_(c->report, "Field \"%.*s\" of type \"%s\" must have "
                          "a selection of subfields.", N_(field->name),
                          type_text(field->def->type, text)), field);
        }

    } else if (type != NULL && field->children != NULL) {
        at_(complain_(c->report, "Field \"%.*s\" must not have a selection "
                      "since type \"%s\" has no subfields.", N_(field->name),
                      type_text(field->def->type, text)), field);
    }

    TRY(travel_graphql_check_directives(c, field->directives,
                                        TRAVEL_GRAPHQL_AT_FIELD, NULL));

    return travel_graphql_check_arguments(c, field, field->def, "");
}


/* --- fragments ----------------------------------------------------------- */

/* "on Type": what is selected from there, NULL when that says nothing. */
static const type_t *
validate_condition(check_t *c, const ast_t *name, const char *what)
{
    const type_t  *type;

    type = travel_graphql_schema_resolve(c->schema, name);

    if (type == NULL) {
        at_(complain_(c->report, "Unknown type \"%.*s\".", N_(name->name)),
            name);
        return NULL;
    }

    if (!travel_graphql_is_composite(type)) {
        at_(complain_(c->report, "%s cannot be on \"%.*s\", which has no "
                      "fields.", what, N_(name->name)), name);
        return NULL;
    }

    return type;
}


static void
validate_possible(check_t *c, const ast_t *at, const type_t *parent,
    const type_t *type)
{
    if (parent == NULL || type == NULL
        || travel_graphql_schema_overlap(parent, type, &c->work))
    {
        return;
    }

    at_(complain_(c->report, "A fragment on \"%.*s\" cannot be spread here: no "
                  "object of type \"%.*s\" can ever be one.", N_(type->name),
                  N_(parent->name)), at);
}


static int
validate_inline(check_t *c, ast_t *node, const type_t *parent)
{
    node->of = parent;

    if (node->type != NULL) {
        node->of = validate_condition(c, node->type, "An inline fragment");
        validate_possible(c, node, parent, node->of);
    }

    return travel_graphql_check_directives(c, node->directives,
                                           TRAVEL_GRAPHQL_AT_INLINE_FRAGMENT,
                                           NULL);
}


static int
validate_spread(validation_t *v, const ast_t *node, const type_t *parent)
{
    unit_t        *fragment;
    check_t       *c = &v->check;
    const type_t  *type;

    fragment = travel_graphql_validate_fragment(v, node->name);

    if (fragment == NULL) {
        at_name_(complain_(c->report, "Unknown fragment \"%.*s\".",
                           N_(node->name)), node);
    } else {
        type = travel_graphql_schema_resolve(c->schema, fragment->def->type);
        validate_possible(c, node, parent,
                          type != NULL && travel_graphql_is_composite(type)
                          ? type : NULL);
    }

    return travel_graphql_check_directives(c, node->directives,
                                           TRAVEL_GRAPHQL_AT_FRAGMENT_SPREAD,
                                           NULL);
}


/* Down by 'children', up by 'parent': a tree of any depth. */
ast_t *
travel_graphql_validate_next(const ast_t *node, const ast_t *owner, bool down)
{
    if (down && node->children != NULL) {
        return node->children;
    }

    while (node->next == NULL && node->parent != owner) {
        node = node->parent;
    }

    return node->next;
}


static int
validate_selections(validation_t *v, ast_t *def)
{
    ast_t         *node;
    const type_t  *of;

    for (node = def->children; node != NULL;
         node = travel_graphql_validate_next(node, def, true))
    {
        of = node->parent->of;

        switch (node->kind) {

        case TRAVEL_GRAPHQL_FIELD:
            TRY(validate_field(&v->check, node, of));
            break;

        case TRAVEL_GRAPHQL_INLINE:
            TRY(validate_inline(&v->check, node, of));
            break;

        default:
            TRY(validate_spread(v, node, of));
        }
    }

    return TRAVEL_OK;
}


/* --- definitions --------------------------------------------------------- */

static int
validate_variable(check_t *c, const ast_t *var)
{
    char           text[TEXT];
    const type_t  *type;

    type = travel_graphql_schema_resolve(c->schema, var->type);

    if (type == NULL) {
        at_(complain_(c->report, "Unknown type \"%.*s\".",
                      N_(travel_graphql_base(var->type)->name)),
            travel_graphql_base(var->type));

    } else if (!travel_graphql_is_input(type)) {
        at_(complain_(c->report, "Variable \"$%.*s\" cannot be of type \"%s\", "
                      "which is no input type.", N_(var->name),
                      type_text(var->type, text)), var->type);
        type = NULL;
    }

    if (var->value != NULL) {
        TRY(travel_graphql_check_value(c, var->value,
                                       type != NULL ? var->type : NULL,
                                       false));
    }

    return travel_graphql_check_directives(c, var->directives,
               TRAVEL_GRAPHQL_AT_VARIABLE_DEFINITION, NULL);
}


static int
validate_operation(validation_t *v, ast_t *def)
{
    check_t      *c = &v->check;
    const ast_t  *var;

    static const char *const  words[] = { "query", "mutation",
                                          "subscription" };

    def->of = travel_graphql_schema_root(c->schema, def->op);

    if (def->of == NULL) {
        at_(complain_(c->report, "The schema has no %s type.", words[def->op]),
            def);
    }

    if (def->name.len == 0 && v->noperations > 1) {
        at_(complain_(c->report, "An operation without a name must be the only "
                      "one."), def);
    }

    TRY(travel_graphql_check_unique(c, def->variables, &def->variables,
                                    "variable"));

    for (var = def->variables; var != NULL; var = var->next) {
        TRY(validate_variable(c, var));
    }

    return travel_graphql_check_directives(c, def->directives,
               def->op == TRAVEL_GRAPHQL_QUERY ? TRAVEL_GRAPHQL_AT_QUERY
               : def->op == TRAVEL_GRAPHQL_MUTATION
                 ? TRAVEL_GRAPHQL_AT_MUTATION : TRAVEL_GRAPHQL_AT_SUBSCRIPTION,
               NULL);
}


static int
validate_unit(validation_t *v, unit_t *unit)
{
    check_t  *c = &v->check;

    unit->usages = c->nusages;

    if (unit->def->kind == TRAVEL_GRAPHQL_FRAGMENT) {
        unit->def->of = validate_condition(c, unit->def->type, "A fragment");
        TRY(travel_graphql_check_directives(c, unit->def->directives,
                TRAVEL_GRAPHQL_AT_FRAGMENT_DEFINITION, NULL));
    } else {
        TRY(validate_operation(v, unit->def));
    }

    TRY(validate_selections(v, unit->def));
    unit->nusages = c->nusages - unit->usages;
    return TRAVEL_OK;
}


unit_t *
travel_graphql_validate_fragment(const validation_t *v, travel_str_t name)
{
    return travel_graphql_names_get(&v->check.names, &v->units, name);
}


/* Operations and fragments by their names; all else is no part of it. */
static int
validate_define(validation_t *v, ast_t *def)
{
    void       **value;
    unit_t      *unit;
    check_t     *c = &v->check;
    mistake_t   *mistake;
    const void  *scope;

    if (def->kind != TRAVEL_GRAPHQL_OPERATION
        && def->kind != TRAVEL_GRAPHQL_FRAGMENT)
    {
        at_(complain_(c->report, "The definition of \"%.*s\" is not "
                      "executable.", N_(def->name)), def);
        return TRAVEL_OK;
    }

    TRY(travel_graphql_grow((void **) &v->units, &v->room, v->nunits,
                            sizeof(*v->units)));
    unit = travel_graphql_arena_alloc(&c->arena, sizeof(*unit));

    if (unit == NULL) {
        return TRAVEL_ERROR;
    }

    unit->def = def;
    unit->self = unit;
    v->units[v->nunits++] = unit;
    v->noperations += def->kind == TRAVEL_GRAPHQL_OPERATION;

    if (def->name.len == 0) {
        return TRAVEL_OK;
    }

    scope = def->kind == TRAVEL_GRAPHQL_OPERATION ? &v->noperations
                                                  : (void *) &v->units;
    TRY(travel_graphql_names_put(&c->names, scope, def->name, &value));

    if (*value != NULL) {
        mistake = complain_(c->report, "There can be only one %s named "
                            "\"%.*s\".",
                            def->kind == TRAVEL_GRAPHQL_OPERATION ? "operation"
                                                                  : "fragment",
                            N_(def->name));
        at_name_(mistake, ((unit_t *) *value)->def);
        at_name_(mistake, def);
    }

    *value = unit;
    return TRAVEL_OK;
}


static int
validate_all(validation_t *v, travel_graphql_document_t *document)
{
    size_t   i;
    ast_t   *def;

    for (def = (ast_t *) travel_graphql_definitions(document); def != NULL;
         def = def->next)
    {
        TRY(validate_define(v, def));
    }

    for (i = 0; i < v->nunits; i++) {
        TRY(validate_unit(v, v->units[i]));
    }

    TRY(travel_graphql_validate_units(v));
    TRY(travel_graphql_validate_roots(v));

    return travel_graphql_validate_overlap(v);
}


int
travel_graphql_validate(const travel_graphql_schema_t *schema,
    travel_graphql_document_t *document, uint64_t work,
    travel_graphql_report_t *report)
{
    int           rc;
    validation_t  v = { 0 };

    rc = travel_graphql_check_init(&v.check, schema, report, work);

    if (rc == TRAVEL_OK) {
        rc = validate_all(&v, document);
    }

    travel_graphql_check_fini(&v.check);
    free(v.units);
    free(v.spreads);
    free(v.stack);
    free(v.owners);

    if (rc != TRAVEL_OK || report->failed) {
        return TRAVEL_ERROR;
    }

    travel_graphql_report_sort(report);

    return report->n > 0 ? TRAVEL_INVALID : TRAVEL_OK;
}
