/*
 * The rules of a schema's text (section 3): what is named twice, what is not
 * known, what stands where it may not.  They look at definitions as they are
 * written, before extensions are folded into them.
 */

#include "schema_parts.h"

typedef travel_graphql_ast_t       ast_t;
typedef travel_graphql_type_t      type_t;
typedef travel_graphql_check_t     check_t;
typedef travel_graphql_mistake_t   mistake_t;

#define complain_  travel_graphql_report
#define at_        travel_graphql_report_at
#define at_name_   travel_graphql_report_at_name

/* What belongs to a name, wherever its type is defined and extended: places
 * for scopes. */
typedef struct {
    char  members;
    char  directives;
} rules_key_t;


/* Scopes: only their addresses count. */
static const char  rules_keys, rules_types, rules_directives, rules_builtins,
                   rules_operations, rules_schema;


/* A definition in a scope of names: is another there? */
static int
rules_once(check_t *c, const void *scope, const ast_t *node, const char *what)
{
    void       **value;
    mistake_t   *mistake;

    TRY(travel_graphql_names_put(&c->names, scope, node->name, &value));

    if (*value == NULL) {
        *value = (void *) node;
        return TRAVEL_OK;
    }

    mistake = complain_(c->report, "There can be only one %s named \"%.*s\".",
                        what, N_(node->name));
    at_name_(mistake, *value);
    at_name_(mistake, node);
    return TRAVEL_OK;
}


static int
rules_key(check_t *c, travel_str_t name, rules_key_t **ret_key)
{
    void  **value;

    TRY(travel_graphql_names_put(&c->names, &rules_keys, name,
                                 &value));

    if (*value == NULL) {
        *value = travel_graphql_arena_alloc(&c->arena, sizeof(rules_key_t));
    }

    *ret_key = *value;
    return *value != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


/* --- types that are named ------------------------------------------------ */

static void
rules_known(check_t *c, const ast_t *type)
{
    type = travel_graphql_base(type);

    if (travel_graphql_schema_type(c->schema, type->name) == NULL) {
        at_(complain_(c->report, "Unknown type \"%.*s\".", N_(type->name)),
            type);
    }
}


static int
rules_inputs(check_t *c, const ast_t *list,
    travel_graphql_location_e location)
{
    const ast_t  *node;

    for (node = list; node != NULL; node = node->next) {
        rules_known(c, node->type);
        TRY(travel_graphql_check_directives(c, node->directives, location,
                                            NULL));

        if (node->value != NULL) {
            TRY(travel_graphql_check_value(c, node->value, NULL, false));
        }
    }

    return TRAVEL_OK;
}


/* --- a definition -------------------------------------------------------- */

travel_graphql_location_e
travel_graphql_schema_location(const ast_t *def)
{
    switch (def->kind) {

    case TRAVEL_GRAPHQL_DEF_SCHEMA:    return TRAVEL_GRAPHQL_AT_SCHEMA;
    case TRAVEL_GRAPHQL_DEF_SCALAR:    return TRAVEL_GRAPHQL_AT_SCALAR;
    case TRAVEL_GRAPHQL_DEF_INTERFACE: return TRAVEL_GRAPHQL_AT_INTERFACE;
    case TRAVEL_GRAPHQL_DEF_UNION:     return TRAVEL_GRAPHQL_AT_UNION;
    case TRAVEL_GRAPHQL_DEF_ENUM:      return TRAVEL_GRAPHQL_AT_ENUM;
    case TRAVEL_GRAPHQL_DEF_INPUT:     return TRAVEL_GRAPHQL_AT_INPUT_OBJECT;
    default:                           return TRAVEL_GRAPHQL_AT_OBJECT;
    }
}


static int
rules_members(check_t *c, const ast_t *def, const rules_key_t *key)
{
    const ast_t  *node;

    if (def->kind == TRAVEL_GRAPHQL_DEF_INPUT) {
        TRY(rules_inputs(c, def->children,
                         TRAVEL_GRAPHQL_AT_INPUT_FIELD_DEFINITION));
    }

    for (node = def->children; node != NULL; node = node->next) {

        TRY(rules_once(c, &key->members, node, "member of this"));

        if (node->kind == TRAVEL_GRAPHQL_INPUT_VALUE) {
            continue;
        }

        if (node->type != NULL) {
            rules_known(c, node->type);
        }

        TRY(travel_graphql_check_unique(c, node->arguments, node,
                                        "argument"));
        TRY(rules_inputs(c, node->arguments,
                         TRAVEL_GRAPHQL_AT_ARGUMENT_DEFINITION));
        TRY(travel_graphql_check_directives(c, node->directives,
                node->kind == TRAVEL_GRAPHQL_ENUM_VALUE
                ? TRAVEL_GRAPHQL_AT_ENUM_VALUE
                : TRAVEL_GRAPHQL_AT_FIELD_DEFINITION, NULL));
    }

    return TRAVEL_OK;
}


/* What is extended must be there, and of that kind. */
static void
rules_extends(check_t *c, const ast_t *def)
{
    mistake_t     *mistake;
    const type_t  *type;

    type = travel_graphql_schema_type(c->schema, def->name);

    if (type == NULL) {
        at_name_(complain_(c->report, "Cannot extend type \"%.*s\" because it "
                           "is not defined.", N_(def->name)), def);

    } else if (type->def->builtin) {
        at_name_(complain_(c->report, "Cannot extend type \"%.*s\", which "
                           "every schema has.", N_(def->name)), def);

    } else if (type->kind != def->kind) {
        mistake = complain_(c->report, "Cannot extend \"%.*s\" as what it is "
                            "not.", N_(def->name));
        at_(mistake, type->def);
        at_(mistake, def);
    }
}


/* Names that every schema has are not to be given anew; the scalars among them
 * may be written out, though. */
static void
rules_taken(check_t *c, const ast_t *def)
{
    const ast_t  *builtin;

    builtin = travel_graphql_names_get(&c->names, &rules_builtins, def->name);

    if (builtin != NULL && (builtin->kind != TRAVEL_GRAPHQL_DEF_SCALAR
                            || def->kind != TRAVEL_GRAPHQL_DEF_SCALAR))
    {
        at_name_(complain_(c->report, "\"%.*s\" is a type of every schema and "
                           "must not be defined.", N_(def->name)), def);
    }
}


static int
rules_builtin(check_t *c)
{
    void         **value;
    const ast_t   *def;

    for (def = travel_graphql_definitions(c->schema->sdl); def != NULL;
         def = def->next)
    {
        if (def->builtin && def->kind != TRAVEL_GRAPHQL_DEF_DIRECTIVE) {
            TRY(travel_graphql_names_put(&c->names, &rules_builtins, def->name,
                                         &value));
            *value = (void *) def;
        }
    }

    return TRAVEL_OK;
}


static int
rules_type(check_t *c, const ast_t *def)
{
    rules_key_t  *key;
    const ast_t  *name;

    TRY(rules_key(c, def->name, &key));

    if (def->extend) {
        rules_extends(c, def);
    } else {
        rules_taken(c, def);
        TRY(rules_once(c, &rules_types, def, "type"));
    }

    for (name = def->implements; name != NULL; name = name->next) {
        rules_known(c, name);
    }

    TRY(travel_graphql_check_directives(c, def->directives,
                                        travel_graphql_schema_location(def),
                                        &key->directives));

    return rules_members(c, def, key);
}


static int
rules_roots(check_t *c, const ast_t *def, const ast_t **first)
{
    void         **value;
    mistake_t     *mistake;
    const ast_t   *root;

    if (!def->extend) {
        if (*first != NULL) {
            at_(complain_(c->report, "Must provide only one schema "
                          "definition."), def);
        }

        *first = def;
    }

    for (root = def->children; root != NULL; root = root->next) {
        rules_known(c, root->type);
        TRY(travel_graphql_names_put(&c->names, &rules_operations, root->name,
                                     &value));

        if (*value == NULL) {
            *value = (void *) root;
            continue;
        }

        mistake = complain_(c->report, "There can be only one %.*s type in a "
                            "schema.", N_(root->name));
        at_(mistake, *value);
        at_(mistake, root);
    }

    return travel_graphql_check_directives(c, def->directives,
                                           TRAVEL_GRAPHQL_AT_SCHEMA,
                                           &rules_schema);
}


static int
rules_directive(check_t *c, const ast_t *def)
{
    TRY(rules_once(c, &rules_directives, def, "directive"));
    TRY(travel_graphql_check_unique(c, def->arguments, def, "argument"));

    return rules_inputs(c, def->arguments,
                        TRAVEL_GRAPHQL_AT_ARGUMENT_DEFINITION);
}


int
travel_graphql_schema_rules(check_t *c)
{
    const ast_t  *def, *first = NULL;

    TRY(rules_builtin(c));

    for (def = travel_graphql_definitions(c->schema->sdl); def != NULL;
         def = def->next)
    {
        if (def->builtin) {
            continue;
        }

        switch (def->kind) {

        case TRAVEL_GRAPHQL_OPERATION:
        case TRAVEL_GRAPHQL_FRAGMENT:
            at_(complain_(c->report, "An operation or fragment is no part of a "
                          "schema."), def);
            break;

        case TRAVEL_GRAPHQL_DEF_SCHEMA:
            TRY(rules_roots(c, def, &first));
            break;

        case TRAVEL_GRAPHQL_DEF_DIRECTIVE:
            TRY(rules_directive(c, def));
            break;

        default:
            TRY(rules_type(c, def));
        }
    }

    return TRAVEL_OK;
}
