/*
 * The rules of a schema's types (section 3): what each kind must have, how
 * interfaces are implemented, what may not contain itself; and the literals in
 * it, whose types are known by now.
 */

#include "schema_parts.h"

#include <stdlib.h>

typedef travel_graphql_ast_t       ast_t;
typedef travel_graphql_type_t      type_t;
typedef travel_graphql_check_t     check_t;
typedef travel_graphql_mistake_t   mistake_t;

#define complain_  travel_graphql_report
#define at_        travel_graphql_report_at
#define type_text  travel_graphql_type_text
#define TEXT       TRAVEL_GRAPHQL_TYPE_TEXT


/* --- names and inputs ---------------------------------------------------- */

static void
types_name(check_t *c, const ast_t *node)
{
    if (node->name.len >= 2 && node->name.data[0] == '_'
        && node->name.data[1] == '_')
    {
        at_(complain_(c->report, "Name \"%.*s\" must not begin with \"__\", "
                      "which is reserved by GraphQL introspection.",
                      N_(node->name)), node);
    }
}


/* An argument or input field. */
static int
types_input(check_t *c, const ast_t *input, const char *what)
{
    char           text[TEXT];
    mistake_t     *mistake;
    const ast_t   *deprecated;
    const type_t  *type = travel_graphql_base(input->type)->of;

    types_name(c, input);

    if (!travel_graphql_is_input(type)) {
        at_(complain_(c->report, "The type of %s \"%.*s\" must be an input "
                      "type, but is \"%s\".", what, N_(input->name),
                      type_text(input->type, text)), input->type);
        return TRAVEL_OK;
    }

    deprecated = travel_graphql_find(input->directives,
                                     TRAVEL_STR("deprecated"));

    if (deprecated != NULL && travel_graphql_is_required(input)) {
        mistake = complain_(c->report, "Required %s \"%.*s\" cannot be "
                            "deprecated.", what, N_(input->name));
        at_(mistake, deprecated);
        at_(mistake, input->type);
    }

    TRY(travel_graphql_check_directives(c, input->directives,
            input->kind == TRAVEL_GRAPHQL_INPUT_VALUE && *what == 'a'
            ? TRAVEL_GRAPHQL_AT_ARGUMENT_DEFINITION
            : TRAVEL_GRAPHQL_AT_INPUT_FIELD_DEFINITION, NULL));

    return input->value == NULL ? TRAVEL_OK
           : travel_graphql_check_value(c, input->value, input->type, false);
}


static int
types_arguments(check_t *c, const ast_t *owner)
{
    const ast_t  *arg;

    for (arg = owner->arguments; arg != NULL; arg = arg->next) {
        TRY(types_input(c, arg, "argument"));
    }

    return TRAVEL_OK;
}


/* --- fields -------------------------------------------------------------- */

static void
types_empty(check_t *c, const type_t *type, const char *what)
{
    at_(complain_(c->report, "Type \"%.*s\" must define one or more %s.",
                  N_(type->name), what), type->def);
}


static int
types_fields(check_t *c, const type_t *type)
{
    char          text[TEXT];
    const ast_t  *field;

    if (type->def->children == NULL) {
        types_empty(c, type, "fields");
    }

    for (field = type->def->children; field != NULL; field = field->next) {
        types_name(c, field);

        if (!travel_graphql_is_output(travel_graphql_base(field->type)->of)) {
            at_(complain_(c->report, "The type of \"%.*s.%.*s\" must be an "
                          "output type, but is \"%s\".", N_(type->name),
                          N_(field->name), type_text(field->type, text)),
                field->type);
        }

        TRY(types_arguments(c, field));
        TRY(travel_graphql_check_directives(c, field->directives,
                                            TRAVEL_GRAPHQL_AT_FIELD_DEFINITION,
                                            NULL));
    }

    return TRAVEL_OK;
}


/* --- interfaces ---------------------------------------------------------- */

static void
types_implemented_args(check_t *c, const type_t *type, const ast_t *field,
    const ast_t *wanted)
{
    char          text[TEXT], other[TEXT];
    mistake_t    *mistake;
    const ast_t  *arg, *mine;

    for (arg = wanted->arguments; arg != NULL; arg = arg->next) {
        mine = travel_graphql_schema_argument(c->schema, field, arg->name);

        if (mine == NULL) {
            mistake = complain_(c->report, "Argument \"%.*s\" of interface "
                                "field \"%.*s\" is expected, but \"%.*s.%.*s\" "
                                "does not provide it.", N_(arg->name),
                                N_(wanted->name), N_(type->name),
                                N_(field->name));
            at_(mistake, arg);
            at_(mistake, field);

        } else if (!travel_graphql_same_type(arg->type, mine->type)) {
            mistake = complain_(c->report, "Argument \"%.*s\" of interface "
                                "field \"%.*s\" has type \"%s\", but in "
                                "\"%.*s\" it is \"%s\".", N_(arg->name),
                                N_(wanted->name), type_text(arg->type, text),
                                N_(type->name), type_text(mine->type, other));
            at_(mistake, arg->type);
            at_(mistake, mine->type);
        }
    }

    for (mine = field->arguments; mine != NULL; mine = mine->next) {

        if (!travel_graphql_is_required(mine)
            || travel_graphql_schema_argument(c->schema, wanted, mine->name)
               != NULL)
        {
            continue;
        }

        mistake = complain_(c->report, "\"%.*s.%.*s\" has the required "
                            "argument \"%.*s\", which the interface does not "
                            "have.", N_(type->name), N_(field->name),
                            N_(mine->name));
        at_(mistake, mine);
        at_(mistake, wanted);
    }
}


static void
types_implements(check_t *c, const type_t *type, const type_t *interface)
{
    char          text[TEXT], other[TEXT];
    mistake_t    *mistake;
    const ast_t  *wanted, *field;

    for (wanted = interface->def->children; wanted != NULL;
         wanted = wanted->next)
    {
        field = travel_graphql_schema_member(c->schema, type, wanted->name);

        if (field == NULL) {
            mistake = complain_(c->report, "Interface field \"%.*s.%.*s\" is "
                                "expected, but \"%.*s\" does not provide it.",
                                N_(interface->name), N_(wanted->name),
                                N_(type->name));
            at_(mistake, wanted);
            at_(mistake, type->def);
            continue;
        }

        if (!travel_graphql_schema_fits(c->schema, field->type, wanted->type))
        {
            mistake = complain_(c->report, "Interface field \"%.*s.%.*s\" has "
                                "type \"%s\", but \"%.*s.%.*s\" is \"%s\".",
                                N_(interface->name), N_(wanted->name),
                                type_text(wanted->type, text), N_(type->name),
                                N_(field->name),
                                type_text(field->type, other));
            at_(mistake, wanted->type);
            at_(mistake, field->type);
        }

        types_implemented_args(c, type, field, wanted);
    }
}


/* An interface's own interfaces are implemented, too. */
static void
types_ancestors(check_t *c, const type_t *type, const ast_t *name)
{
    mistake_t    *mistake;
    const ast_t  *above;

    for (above = name->of->def->implements; above != NULL; above = above->next)
    {
        if (above->of == NULL || above->of->kind
                                 != TRAVEL_GRAPHQL_DEF_INTERFACE)
        {
            continue;
        }

        if (above->of == type) {
            mistake = complain_(c->report, "\"%.*s\" cannot implement "
                                "\"%.*s\", which implements it.",
                                N_(type->name), N_(name->name));

        } else if (travel_graphql_find(type->def->implements, above->name)
                   == NULL)
        {
            mistake = complain_(c->report, "\"%.*s\" must implement \"%.*s\", "
                                "because \"%.*s\" does.", N_(type->name),
                                N_(above->name), N_(name->name));
        } else {
            continue;
        }

        at_(mistake, above);
        at_(mistake, name);
    }
}


static int
types_interfaces(check_t *c, const type_t *type)
{
    void         **seen;
    mistake_t     *mistake;
    const ast_t   *name;

    for (name = type->def->implements; name != NULL; name = name->next) {

        if (name->of->kind != TRAVEL_GRAPHQL_DEF_INTERFACE) {
            at_(complain_(c->report, "\"%.*s\" can only implement interfaces, "
                          "and \"%.*s\" is none.", N_(type->name),
                          N_(name->name)), name);
            continue;
        }

        if (name->of == type) {
            at_(complain_(c->report, "\"%.*s\" cannot implement itself.",
                          N_(type->name)), name);
            continue;
        }

        TRY(travel_graphql_names_put(&c->names, type, name->name, &seen));

        if (*seen != NULL) {
            mistake = complain_(c->report, "\"%.*s\" can only implement "
                                "\"%.*s\" once.", N_(type->name),
                                N_(name->name));
            at_(mistake, *seen);
            at_(mistake, name);
            continue;
        }

        *seen = (void *) name;
        types_ancestors(c, type, name);
        types_implements(c, type, name->of);
    }

    return TRAVEL_OK;
}


/* --- unions, enums, input objects ---------------------------------------- */

static int
types_union(check_t *c, const type_t *type)
{
    void         **seen;
    mistake_t     *mistake;
    const ast_t   *name;

    if (type->def->implements == NULL) {
        types_empty(c, type, "member types");
    }

    for (name = type->def->implements; name != NULL; name = name->next) {
        TRY(travel_graphql_names_put(&c->names, type, name->name, &seen));

        if (*seen != NULL) {
            mistake = complain_(c->report, "Union \"%.*s\" can only include "
                                "\"%.*s\" once.", N_(type->name),
                                N_(name->name));
            at_(mistake, *seen);
            at_(mistake, name);

        } else if (name->of->kind != TRAVEL_GRAPHQL_DEF_OBJECT) {
            at_(complain_(c->report, "Union \"%.*s\" can only include object "
                          "types, and \"%.*s\" is none.", N_(type->name),
                          N_(name->name)), name);
        }

        *seen = *seen == NULL ? (void *) name : *seen;
    }

    return TRAVEL_OK;
}


static int
types_enum(check_t *c, const type_t *type)
{
    const ast_t  *value;

    if (type->def->children == NULL) {
        types_empty(c, type, "values");
    }

    for (value = type->def->children; value != NULL; value = value->next) {
        types_name(c, value);
        TRY(travel_graphql_check_directives(c, value->directives,
                                            TRAVEL_GRAPHQL_AT_ENUM_VALUE,
                                            NULL));
    }

    return TRAVEL_OK;
}


static int
types_input_object(check_t *c, const type_t *type)
{
    const ast_t  *field;

    if (type->def->children == NULL) {
        types_empty(c, type, "fields");
    }

    for (field = type->def->children; field != NULL; field = field->next) {
        TRY(types_input(c, field, "input field"));

        if (type->one_of && field->type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL) {
            at_(complain_(c->report, "OneOf input field \"%.*s.%.*s\" must be "
                          "nullable.", N_(type->name), N_(field->name)),
                field->type);
        }

        if (type->one_of && field->value != NULL) {
            at_(complain_(c->report, "OneOf input field \"%.*s.%.*s\" cannot "
                          "have a default value.", N_(type->name),
                          N_(field->name)), field);
        }
    }

    return TRAVEL_OK;
}


/* --- input objects that contain themselves ------------------------------- */

/* An object whose fields are being followed. */
typedef struct {
    type_t       *type;
    const ast_t  *at;                 /* the field that is followed */
} types_step_t;


/* The input object that a field cannot do without, or NULL. */
static type_t *
types_needed(const ast_t *field)
{
    const ast_t  *inner = field->type->type;

    return field->type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL
           && inner->kind == TRAVEL_GRAPHQL_TYPE_NAMED
           && inner->of->kind == TRAVEL_GRAPHQL_DEF_INPUT
           ? (type_t *) inner->of : NULL;
}


/* From each object once, along such fields; 'mark' of its definition: 1 it is
 * on the way, 2 all behind it is known. */
static int
types_circle(check_t *c, type_t *type)
{
    size_t         i, n = 0, room = 0;
    type_t        *next;
    mistake_t     *mistake;
    types_step_t  *steps = NULL;

    for ( ;; ) {

        if (type != NULL) {
            if (travel_graphql_grow((void **) &steps, &room, n, sizeof(*steps))
                != TRAVEL_OK)
            {
                free(steps);
                return TRAVEL_ERROR;
            }

            steps[n].type = type;
            steps[n++].at = type->def->children;
            type->def->mark = 1;
        }

        if (steps[n - 1].at == NULL) {
            steps[--n].type->def->mark = 2;

            if (n == 0) {
                break;
            }

            steps[n - 1].at = steps[n - 1].at->next;
            type = NULL;
            continue;
        }

        next = types_needed(steps[n - 1].at);
        type = next != NULL && next->def->mark == 0 ? next : NULL;

        if (type != NULL) {
            continue;
        }

        if (next != NULL && next->def->mark == 1) {
            mistake = complain_(c->report, "Input object \"%.*s\" cannot "
                                "contain itself by fields that must not be "
                                "null.", N_(next->name));

            for (i = n; i > 0 && steps[i - 1].type != next; i--) {
                /* void */
            }

            for (i = i - 1; i < n; i++) {
                at_(mistake, steps[i].at);
            }
        }

        steps[n - 1].at = steps[n - 1].at->next;
    }

    free(steps);
    return TRAVEL_OK;
}


/* --- directives that mean themselves ------------------------------------- */

/* Definitions that a directive's own definition leads to. */
typedef struct {
    check_t       *c;
    const ast_t   *directive;         /* scopes: it for directives, its
                                         'children' for types */
    const ast_t  **stack;             /* free()d */
    size_t         n;
    size_t         room;
} types_reach_t;


static int
types_reached(types_reach_t *r, const void *scope, const ast_t *def)
{
    void  **value;

    if (def == NULL || def->builtin) {
        return TRAVEL_OK;
    }

    TRY(travel_graphql_names_put(&r->c->names, scope, def->name, &value));

    if (*value != NULL) {
        return TRAVEL_OK;
    }

    *value = (void *) def;
    TRY(travel_graphql_grow((void **) &r->stack, &r->room, r->n,
                            sizeof(*r->stack)));
    r->stack[r->n++] = def;
    return TRAVEL_OK;
}


static int
types_applied(types_reach_t *r, const ast_t *directives)
{
    const ast_t  *d;

    for (d = directives; d != NULL; d = d->next) {
        TRY(types_reached(r, r->directive, travel_graphql_schema_directive(
                                               r->c->schema, d->name)));
    }

    return TRAVEL_OK;
}


/* A definition's directives, those of what is in it, and the types of that. */
static int
types_from(types_reach_t *r, const ast_t *def)
{
    const ast_t   *node;
    const type_t  *type;

    TRY(types_applied(r, def->directives));

    node = def->kind == TRAVEL_GRAPHQL_DEF_DIRECTIVE ? def->arguments
                                                     : def->children;

    for ( /* void */ ; node != NULL; node = node->next) {
        TRY(types_applied(r, node->directives));
        type = node->type != NULL ? travel_graphql_base(node->type)->of : NULL;

        if (type != NULL) {
            TRY(types_reached(r, &r->directive->children, type->def));
        }
    }

    return TRAVEL_OK;
}


/* Section 3.13: no use of a directive leads back to its definition. */
static int
types_directive(check_t *c, const ast_t *directive)
{
    int            rc;
    types_reach_t  r = { .c = c, .directive = directive };

    rc = types_from(&r, directive);

    while (rc == TRAVEL_OK && r.n > 0
           && travel_graphql_check_work(c, 1))
    {
        if (r.stack[r.n - 1] == directive) {
            at_(complain_(c->report, "Directive \"@%.*s\" must not be used in "
                          "its own definition.", N_(directive->name)),
                directive);
            break;
        }

        rc = types_from(&r, r.stack[--r.n]);
    }

    free(r.stack);
    return rc;
}


/* --- all of them --------------------------------------------------------- */

static int
types_type(check_t *c, const type_t *type)
{
    const ast_t  *def = type->def;

    types_name(c, def);

    TRY(travel_graphql_check_directives(c, def->directives,
                                        travel_graphql_schema_location(def),
                                        NULL));

    switch (type->kind) {

    case TRAVEL_GRAPHQL_DEF_OBJECT:
    case TRAVEL_GRAPHQL_DEF_INTERFACE:
        TRY(types_fields(c, type));
        return types_interfaces(c, type);

    case TRAVEL_GRAPHQL_DEF_UNION:
        return types_union(c, type);

    case TRAVEL_GRAPHQL_DEF_ENUM:
        return types_enum(c, type);

    case TRAVEL_GRAPHQL_DEF_INPUT:
        TRY(types_input_object(c, type));
        return type->def->mark == 0 ? types_circle(c, (type_t *) type)
                                    : TRAVEL_OK;

    default:
        return TRAVEL_OK;
    }
}


/* Where the schema says it, else where the type is. */
static const ast_t *
types_root_place(const ast_t *schema, const char *word, const type_t *root)
{
    const ast_t  *op = NULL;

    if (schema != NULL) {
        op = travel_graphql_find(schema->children, (travel_str_t) {
                                     word, strlen(word) });
    }

    return op != NULL ? op->type : root->def;
}


static void
types_root(check_t *c, const ast_t *schema, size_t i)
{
    size_t         k;
    const type_t  *const *roots = c->schema->roots;

    static const char *const  words[] = { "query", "mutation",
                                          "subscription" };

    if (roots[i] == NULL) {
        return;
    }

    if (roots[i]->kind != TRAVEL_GRAPHQL_DEF_OBJECT) {
        at_(complain_(c->report, "The %s type must be an object, and \"%.*s\" "
                      "is none.", words[i], N_(roots[i]->name)),
            types_root_place(schema, words[i], roots[i]));
    }

    for (k = 0; k < i; k++) {
        if (roots[i] == roots[k]) {
            at_(complain_(c->report, "The types of %s and %s must be "
                          "different.", words[k], words[i]),
                types_root_place(schema, words[i], roots[i]));
        }
    }
}


static void
types_roots(check_t *c)
{
    size_t        i;
    mistake_t    *mistake;
    const ast_t  *def, *schema = NULL;

    for (def = travel_graphql_definitions(c->schema->sdl); def != NULL;
         def = def->next)
    {
        if (def->kind == TRAVEL_GRAPHQL_DEF_SCHEMA) {
            schema = def;
        }
    }

    if (c->schema->roots[TRAVEL_GRAPHQL_QUERY] == NULL) {
        mistake = complain_(c->report, "A schema must have a query type.");

        if (schema != NULL) {
            at_(mistake, schema);
        }
    }

    for (i = 0; i < 3; i++) {
        types_root(c, schema, i);
    }
}


int
travel_graphql_schema_types(check_t *c)
{
    size_t        i;
    const ast_t  *def;

    /* names have been seen once: this is another look at them */

    travel_graphql_names_fini(&c->names);
    TRY(travel_graphql_names_init(&c->names));

    types_roots(c);

    for (def = travel_graphql_definitions(c->schema->sdl); def != NULL;
         def = def->next)
    {
        if (def->builtin) {
            continue;
        }

        if (def->kind == TRAVEL_GRAPHQL_DEF_DIRECTIVE) {
            types_name(c, def);
            TRY(types_arguments(c, def));
            TRY(types_directive(c, def));

        } else if (def->kind == TRAVEL_GRAPHQL_DEF_SCHEMA) {
            TRY(travel_graphql_check_directives(c, def->directives,
                                                TRAVEL_GRAPHQL_AT_SCHEMA,
                                                NULL));
        }
    }

    for (i = 0; i < c->schema->ntypes; i++) {
        if (!c->schema->types[i]->def->builtin) {
            TRY(types_type(c, c->schema->types[i]));
        }
    }

    return travel_graphql_schema_defaults(c);
}
