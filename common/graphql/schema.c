/* A schema: its names and its types.  See schema.h. */

#include "schema_parts.h"
#include "../digits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef travel_graphql_ast_t     ast_t;
typedef travel_graphql_type_t    type_t;
typedef travel_graphql_schema_t  schema_t;

#define SCHEMA_WORK  100000000u

/* Fields of every type, of the query's root (section 4.1). */
static const char  schema_meta[] =
    "type Meta { __typename: String! __schema: __Schema!"
    " __type(name: String!): __Type }";


/* --- names --------------------------------------------------------------- */

const type_t *
travel_graphql_schema_type(const schema_t *schema, travel_str_t name)
{
    return travel_graphql_names_get(&schema->names, schema, name);
}


const type_t *
travel_graphql_schema_root(const schema_t *schema, travel_graphql_op_e op)
{
    return schema->roots[op];
}


const ast_t *
travel_graphql_schema_directive(const schema_t *schema, travel_str_t name)
{
    return travel_graphql_names_get(&schema->names, &schema->meta, name);
}


const ast_t *
travel_graphql_schema_member(const schema_t *schema, const type_t *type,
    travel_str_t name)
{
    return travel_graphql_names_get(&schema->names, type, name);
}


const ast_t *
travel_graphql_schema_field(const schema_t *schema, const type_t *type,
    travel_str_t name)
{
    const ast_t  *meta;

    if (name.len < 2 || name.data[0] != '_' || name.data[1] != '_') {
        return travel_graphql_schema_member(schema, type, name);
    }

    meta = travel_graphql_definitions(schema->meta)->children;

    if (travel_str_eq(meta->name, name)) {
        return meta;
    }

    return type == schema->roots[TRAVEL_GRAPHQL_QUERY]
           && travel_graphql_find(meta->next, name) != NULL
           ? travel_graphql_find(meta->next, name)
           : travel_graphql_schema_member(schema, type, name);
}


const ast_t *
travel_graphql_schema_argument(const schema_t *schema, const ast_t *def,
    travel_str_t name)
{
    return travel_graphql_names_get(&schema->names, def, name);
}


/* --- types --------------------------------------------------------------- */

const ast_t *
travel_graphql_base(const ast_t *type)
{
    while (type->kind != TRAVEL_GRAPHQL_TYPE_NAMED) {
        type = type->type;
    }

    return type;
}


const type_t *
travel_graphql_schema_resolve(const schema_t *schema, const ast_t *type)
{
    ast_t  *base = (ast_t *) travel_graphql_base(type);

    if (base->of == NULL) {
        base->of = travel_graphql_schema_type(schema, base->name);
    }

    return base->of;
}


bool
travel_graphql_is_input(const type_t *type)
{
    return travel_graphql_is_leaf(type)
           || type->kind == TRAVEL_GRAPHQL_DEF_INPUT;
}


bool
travel_graphql_is_output(const type_t *type)
{
    return type->kind != TRAVEL_GRAPHQL_DEF_INPUT;
}


bool
travel_graphql_is_composite(const type_t *type)
{
    return type->kind == TRAVEL_GRAPHQL_DEF_OBJECT
           || type->kind == TRAVEL_GRAPHQL_DEF_INTERFACE
           || type->kind == TRAVEL_GRAPHQL_DEF_UNION;
}


bool
travel_graphql_is_leaf(const type_t *type)
{
    return type->kind == TRAVEL_GRAPHQL_DEF_SCALAR
           || type->kind == TRAVEL_GRAPHQL_DEF_ENUM;
}


bool
travel_graphql_is_required(const ast_t *input_value)
{
    return input_value->type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL
           && input_value->value == NULL;
}


bool
travel_graphql_schema_is(const schema_t *schema, const type_t *type,
    const type_t *abstract)
{
    return travel_graphql_names_get(&schema->names, &abstract->possible,
                                    type->name) != NULL;
}


bool
travel_graphql_schema_overlap(const type_t *a, const type_t *b, uint64_t *work)
{
    size_t  i = 0, k = 0;

    if (a == b) {
        return true;
    }

    while (i < a->npossible && k < b->npossible) {

        if (a->possible[i] == b->possible[k]) {
            return true;
        }

        if (a->possible[i]->index < b->possible[k]->index) {
            i++;
        } else {
            k++;
        }

        ++*work;
    }

    return false;
}


bool
travel_graphql_same_type(const ast_t *a, const ast_t *b)
{
    while (a->kind == b->kind && a->kind != TRAVEL_GRAPHQL_TYPE_NAMED) {
        a = a->type;
        b = b->type;
    }

    return a->kind == b->kind && a->of == b->of;
}


bool
travel_graphql_schema_fits(const schema_t *schema, const ast_t *type,
    const ast_t *wanted)
{
    for ( ;; ) {

        if (wanted->kind == TRAVEL_GRAPHQL_TYPE_NONNULL) {
            if (type->kind != TRAVEL_GRAPHQL_TYPE_NONNULL) {
                return false;
            }

            wanted = wanted->type;
            type = type->type;

        } else if (type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL) {
            type = type->type;

        } else if (wanted->kind != type->kind) {
            return false;

        } else if (wanted->kind == TRAVEL_GRAPHQL_TYPE_NAMED) {
            return wanted->of == type->of
                   || (wanted->of != NULL && type->of != NULL
                       && travel_graphql_is_composite(wanted->of)
                       && travel_graphql_schema_is(schema, type->of,
                                                   wanted->of));

        } else {
            wanted = wanted->type;
            type = type->type;
        }
    }
}


char *
travel_graphql_type_text(const ast_t *type, char buf[TRAVEL_GRAPHQL_TYPE_TEXT])
{
    char          tail[TRAVEL_GRAPHQL_TYPE_TEXT], *p = tail + sizeof(tail);
    size_t        n = 0;

    *--p = '\0';

    for ( /* void */ ; type->kind != TRAVEL_GRAPHQL_TYPE_NAMED;
         type = type->type)
    {
        *--p = type->kind == TRAVEL_GRAPHQL_TYPE_LIST ? ']' : '!';

        if (type->kind == TRAVEL_GRAPHQL_TYPE_LIST) {
            buf[n++] = '[';
        }
    }

    snprintf(buf + n, TRAVEL_GRAPHQL_TYPE_TEXT - n, "%.*s%s",
             (int) (type->name.len > 30 ? 30 : type->name.len),
             type->name.data, p);
    return buf;
}


/* --- what is defined ----------------------------------------------------- */

static bool
schema_is_type(const ast_t *def)
{
    return def->kind >= TRAVEL_GRAPHQL_DEF_SCALAR
           && def->kind <= TRAVEL_GRAPHQL_DEF_INPUT;
}


/* The first of a name; another is the rules' to find. */
static int
schema_collect(schema_t *schema)
{
    void    **value;
    ast_t    *def;
    type_t   *type;

    for (def = (ast_t *) travel_graphql_definitions(schema->sdl); def != NULL;
         def = def->next)
    {
        if (def->extend) {
            continue;
        }

        schema->declared |= def->kind == TRAVEL_GRAPHQL_DEF_SCHEMA;

        if (def->kind == TRAVEL_GRAPHQL_DEF_DIRECTIVE) {
            TRY(travel_graphql_names_put(&schema->names, &schema->meta,
                                         def->name, &value));
            *value = *value == NULL ? def : *value;
        }

        if (!schema_is_type(def)) {
            continue;
        }

        TRY(travel_graphql_names_put(&schema->names, schema, def->name,
                                     &value));

        if (*value != NULL) {
            continue;
        }

        TRY(travel_graphql_grow((void **) &schema->types, &schema->room,
                                schema->ntypes, sizeof(*schema->types)));
        type = travel_graphql_arena_alloc(&schema->arena, sizeof(*type));

        if (type == NULL) {
            return TRAVEL_ERROR;
        }

        type->kind = def->kind;
        type->name = def->name;
        type->def = def;
        type->index = (uint32_t) schema->ntypes;
        schema->types[schema->ntypes++] = type;
        *value = type;
    }

    return TRAVEL_OK;
}


/* --- extensions ---------------------------------------------------------- */

static void
schema_append(ast_t **list, ast_t *more)
{
    while (*list != NULL) {
        list = &(*list)->next;
    }

    *list = more;
}


/* Each into what it extends; the list of definitions is without them then. */
static void
schema_fold(schema_t *schema)
{
    ast_t         *def, *prev = NULL, *into, *roots = NULL;
    const type_t  *type;

    for (def = (ast_t *) travel_graphql_definitions(schema->sdl); def != NULL;
         def = def->next)
    {
        if (def->kind == TRAVEL_GRAPHQL_DEF_SCHEMA && !def->extend) {
            roots = def;
        }
    }

    for (def = (ast_t *) travel_graphql_definitions(schema->sdl); def != NULL;
         def = def->next)
    {
        type = schema_is_type(def)
               ? travel_graphql_schema_type(schema, def->name) : NULL;
        into = type != NULL ? type->def : roots;

        /* an extension of a schema that is not written stands for it */
        if (def->extend && type == NULL && roots == NULL) {
            def->extend = false;
            roots = def;
        }

        if (!def->extend) {
            prev = def;
            continue;
        }

        schema_append(&into->directives, def->directives);
        schema_append(&into->implements, def->implements);
        schema_append(into->last != NULL ? &into->last->next : &into->children,
                      def->children);
        into->last = def->last != NULL ? def->last : into->last;
        travel_graphql_drop(schema->sdl, prev, def);
    }
}


/* --- what it means ------------------------------------------------------- */

static int
schema_put(schema_t *schema, const void *scope, const ast_t *list)
{
    void         **value;
    const ast_t   *node;

    for (node = list; node != NULL; node = node->next) {
        TRY(travel_graphql_names_put(&schema->names, scope, node->name,
                                     &value));
        *value = *value == NULL ? (void *) node : *value;

        if (node->type != NULL) {
            (void) travel_graphql_schema_resolve(schema, node->type);
        }
    }

    return TRAVEL_OK;
}


/* @format(is:) of a scalar, where a schema has it. */
static void
schema_format(travel_graphql_type_t *type)
{
    const ast_t   *arg;
    travel_str_t   is;

    arg = travel_graphql_argument(travel_graphql_find(type->def->directives,
                                                      TRAVEL_STR("format")),
                                  "is");

    if (type->kind == TRAVEL_GRAPHQL_DEF_SCALAR && arg != NULL
        && arg->value->kind == TRAVEL_GRAPHQL_STRING)
    {
        is = arg->value->text;
        type->whole = travel_str_eq(is, TRAVEL_STR("int64"));
        type->format = travel_schema_format(is);
    }
}


bool
travel_graphql_scalar_takes(const travel_graphql_type_t *type,
    travel_str_t text, bool string)
{
    char       buf[TRAVEL_DIGITS_MAX + 2], *end;
    long long  n;

    if (!type->whole) {
        return type->format == NULL || (string && type->format(text));
    }

    if (text.len == 0 || text.len > TRAVEL_DIGITS_MAX) {
        return false;
    }

    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';
    errno = 0;
    n = strtoll(buf, &end, 10);

    return errno == 0 && *end == '\0' && (n != 0 || text.len < 3)
           && (*buf == '-' || (*buf >= '0' && *buf <= '9'));
}


static int
schema_members(schema_t *schema, type_t *type)
{
    const ast_t  *field;

    TRY(schema_put(schema, type, type->def->children));

    for (field = type->def->children; field != NULL; field = field->next) {
        TRY(schema_put(schema, field, field->arguments));
    }

    for (field = type->def->implements; field != NULL; field = field->next) {
        (void) travel_graphql_schema_resolve(schema, field);
    }

    type->one_of = travel_graphql_find(type->def->directives,
                                       TRAVEL_STR("oneOf")) != NULL;
    schema_format(type);

    return TRAVEL_OK;
}


/* 'sub' is one of 'abstract'. */
static int
schema_subtype(schema_t *schema, const type_t *abstract, const type_t *sub)
{
    void  **value;

    TRY(travel_graphql_names_put(&schema->names, &abstract->possible,
                                 sub->name, &value));
    *value = (void *) sub;
    return TRAVEL_OK;
}


/* Declares what is a subtype of what, and counts them. */
static int
schema_subtypes(schema_t *schema)
{
    size_t         i;
    type_t        *abstract;
    const type_t  *object;
    const ast_t   *name;

    for (i = 0; i < schema->ntypes; i++) {

        for (name = schema->types[i]->def->implements; name != NULL;
             name = name->next)
        {
            if (name->of == NULL) {
                continue;
            }

            abstract = (type_t *) name->of;
            object = schema->types[i];

            if (object->kind == TRAVEL_GRAPHQL_DEF_UNION) {
                object = name->of;
                abstract = schema->types[i];
            }

            TRY(schema_subtype(schema, abstract, object));
            abstract->npossible++;
        }

        schema->types[i]->npossible +=
            schema->types[i]->kind == TRAVEL_GRAPHQL_DEF_OBJECT;
    }

    return TRAVEL_OK;
}


static void
schema_possible(type_t *abstract, const type_t *object)
{
    size_t  n = abstract->npossible;

    if (n == 0 || abstract->possible[n - 1] != object) {
        abstract->possible[abstract->npossible++] = object;
    }
}


/* Lists them, by index: interfaces first as their objects come, then unions,
 * whose lists are sorted. */
static int
schema_by_index(const void *a, const void *b)
{
    const type_t  *const *x = a, *const *y = b;

    return (*x)->index < (*y)->index ? -1 : (*x)->index > (*y)->index;
}


static int
schema_lists(schema_t *schema)
{
    size_t        i;
    type_t       *type;
    const ast_t  *name;

    for (i = 0; i < schema->ntypes; i++) {
        type = schema->types[i];
        type->possible = travel_graphql_arena_alloc(&schema->arena,
                             (type->npossible + 1) * sizeof(*type->possible));

        if (type->possible == NULL) {
            return TRAVEL_ERROR;
        }

        type->npossible = 0;
    }

    for (i = 0; i < schema->ntypes; i++) {
        type = schema->types[i];

        if (type->kind == TRAVEL_GRAPHQL_DEF_OBJECT) {
            schema_possible(type, type);
        }

        for (name = type->def->implements; name != NULL; name = name->next) {

            if (name->of == NULL) {
                continue;
            }

            if (type->kind == TRAVEL_GRAPHQL_DEF_OBJECT) {
                schema_possible((type_t *) name->of, type);

            } else if (type->kind == TRAVEL_GRAPHQL_DEF_UNION
                       && name->of->kind == TRAVEL_GRAPHQL_DEF_OBJECT)
            {
                schema_possible(type, name->of);
            }
        }

        if (type->kind == TRAVEL_GRAPHQL_DEF_UNION) {
            qsort(type->possible, type->npossible, sizeof(*type->possible),
                  schema_by_index);
        }
    }

    return TRAVEL_OK;
}


static void
schema_roots(schema_t *schema)
{
    size_t        i;
    const ast_t  *def, *root;

    static const struct {
        travel_str_t  word;
        travel_str_t  name;
    } roots[] = {
        { { "query", 5 }, { "Query", 5 } },
        { { "mutation", 8 }, { "Mutation", 8 } },
        { { "subscription", 12 }, { "Subscription", 12 } }
    };

    for (i = 0; i < 3; i++) {

        for (def = travel_graphql_definitions(schema->sdl); def != NULL;
             def = def->next)
        {
            root = def->kind == TRAVEL_GRAPHQL_DEF_SCHEMA
                   ? travel_graphql_find(def->children, roots[i].word) : NULL;

            if (root != NULL) {
                schema->roots[i] = travel_graphql_schema_resolve(schema,
                                                                 root->type);
            }
        }

        if (schema->roots[i] == NULL && !schema->declared) {
            schema->roots[i] = travel_graphql_schema_type(schema,
                                                          roots[i].name);
        }
    }
}


static int
schema_link(schema_t *schema)
{
    size_t                  i;
    const ast_t            *def;
    travel_graphql_fault_t  fault;

    schema_fold(schema);

    for (i = 0; i < schema->ntypes; i++) {
        TRY(schema_members(schema, schema->types[i]));
    }

    TRY(schema_subtypes(schema));
    TRY(schema_lists(schema));
    schema_roots(schema);

    TRY(travel_graphql_parse(&schema->meta, TRAVEL_STR(schema_meta), &fault));

    for (def = travel_graphql_definitions(schema->meta)->children; def != NULL;
         def = def->next)
    {
        (void) travel_graphql_schema_resolve(schema, def->type);
        TRY(schema_put(schema, def, def->arguments));
    }

    return TRAVEL_OK;
}


/* The arguments of directives: the rules look at them before all else. */
static int
schema_directives(schema_t *schema)
{
    const ast_t  *def;

    for (def = travel_graphql_definitions(schema->sdl); def != NULL;
         def = def->next)
    {
        if (def->kind == TRAVEL_GRAPHQL_DEF_DIRECTIVE) {
            TRY(schema_put(schema, def, def->arguments));
        }
    }

    return TRAVEL_OK;
}


static int
schema_build(schema_t *schema, travel_graphql_check_t *c)
{
    TRY(travel_graphql_names_init(&schema->names));
    TRY(schema_collect(schema));
    TRY(schema_directives(schema));
    c->untyped = true;
    TRY(travel_graphql_schema_rules(c));
    c->untyped = false;

    if (c->report->n > 0 || c->report->exhausted) {
        return TRAVEL_INVALID;
    }

    TRY(schema_link(schema));
    TRY(travel_graphql_schema_types(c));

    return c->report->n > 0 || c->report->exhausted ? TRAVEL_INVALID
                                                    : TRAVEL_OK;
}


int
travel_graphql_schema_make(schema_t **ret_schema,
    travel_graphql_document_t *sdl, travel_graphql_report_t *report)
{
    int                     rc;
    schema_t               *schema;
    travel_graphql_check_t  c;

    schema = calloc(1, sizeof(*schema));
    if (schema == NULL) {
        return TRAVEL_ERROR;
    }

    schema->sdl = sdl;
    rc = travel_graphql_check_init(&c, schema, report, SCHEMA_WORK);

    if (rc == TRAVEL_OK) {
        rc = schema_build(schema, &c);
    }

    travel_graphql_check_fini(&c);
    travel_graphql_report_sort(report);

    if (rc == TRAVEL_OK && report->failed) {
        rc = TRAVEL_ERROR;
    }

    if (rc != TRAVEL_OK) {
        travel_graphql_schema_free(schema);
        return rc;
    }

    *ret_schema = schema;
    return TRAVEL_OK;
}


void
travel_graphql_schema_free(schema_t *schema)
{
    if (schema == NULL) {
        return;
    }

    travel_graphql_document_free(schema->meta);
    travel_graphql_names_fini(&schema->names);
    travel_graphql_arena_free(&schema->arena);
    free(schema->types);
    free(schema);
}
