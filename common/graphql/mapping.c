/*
 * SDL into the mapping.  See mapping.h.
 *
 * Everything is allocated in the SDL document's arena, and goes with it; the
 * mapping itself is two arrays, of types and of what they point to.
 */

#include "mapping_parts.h"

#include <stdio.h>


/* --- definitions --------------------------------------------------------- */

const travel_graphql_ast_t *
travel_graphql_map_definition(const travel_graphql_mapping_t *mapping,
    travel_str_t name)
{
    const ast_t  *def;

    for (def = travel_graphql_definitions(mapping->sdl); def != NULL;
         def = def->next)
    {
        if (def->kind != TRAVEL_GRAPHQL_DEF_DIRECTIVE && !def->extend
            && travel_str_eq(def->name, name))
        {
            return def;
        }
    }

    return NULL;
}


/* --- types --------------------------------------------------------------- */

static int
mapping_type(mapping_t *m, const ast_t *def, travel_graphql_map_type_t *type)
{
    const ast_t  *table, *cache;

    type->name = def->name;
    type->def = def;
    type->line = def->line;
    type->requires = mapping_string(mapping_directive(def, "auth"),
                                    "requires");

    table = mapping_directive(def, "table");
    if (table == NULL) {
        return TRAVEL_OK;
    }

    type->table = mapping_string(table, "name");
    type->owner = mapping_string(mapping_directive(def, "owner"), "column");
    type->public = mapping_directive(def, "public") != NULL;

    TRY(mapping_order(m, table, mapping_string(table, "key"), &type->key));

    if (type->table.len == 0 || type->key.n == 0) {
        return mapping_fault(m, table, "@table of \"%.*s\" needs name: and "
                             "key:, columns that no two rows share",
                             S_(type->name));
    }

    if ((type->owner.len > 0) == type->public) {
        return mapping_fault(m, def, "\"%.*s\" must say whose its rows are: "
                             "@owner(column: \"user_id\"), or @public, and not "
                             "both", S_(type->name));
    }

    TRY(mapping_template(m, table, mapping_string(table, "where"),
                         &type->where));
    cache = mapping_directive(def, "cache");
    type->cached = cache != NULL;
    TRY(mapping_number(m, cache, "ttl", 86400, 30, &type->ttl));
    TRY(mapping_template(m, def, mapping_string(cache, "tags"), &type->tags));

    return mapping_template(m, def, mapping_string(cache, "row"), &type->tag);
}


/* --- interfaces and unions ------------------------------------------------ */

static bool
mapping_abstract(const ast_t *def)
{
    return !def->extend && (def->kind == TRAVEL_GRAPHQL_DEF_INTERFACE
                            || def->kind == TRAVEL_GRAPHQL_DEF_UNION);
}


/* By each row's order it must be told from all others: that of its own type
 * has the key's columns, that of another one another number. */
static int
mapping_shared_key(mapping_t *m, const ast_t *at,
    travel_graphql_map_type_t *type)
{
    size_t                            i, k;
    const ast_t                      *rows;
    travel_graphql_order_t            number = { .n = 1 };
    const travel_graphql_map_type_t  *member;

    rows = mapping_directive(type->def, "rows");

    if (rows != NULL) {
        at = rows;
        TRY(mapping_order(m, rows, mapping_string(rows, "key"), &type->key));
    } else {
        type->key = type->members[0]->key;
    }

    for (i = 0; i < type->nmembers; i++) {
        member = type->members[i];

        for (k = 0; k < member->key.n; k++) {
            if (!mapping_orders(&type->key, member->key.keys[k].column)) {
                return mapping_fault(m, at, "\"%.*s\" must have a "
                                     "@rows(key:) with the key of each of its "
                                     "types: \"%.*s\" of \"%.*s\" is "
                                     "missing", S_(type->name),
                                     S_(member->key.keys[k].column),
                                     S_(member->name));
            }
        }
    }

    return mapping_total(m, at, &type->key, &number);
}


static int
mapping_member(mapping_t *m, const ast_t *at, travel_graphql_map_type_t *type,
    const travel_graphql_map_type_t *member)
{
    if (member->table.len == 0) {
        return mapping_fault(m, at, "\"%.*s\" is read as rows here, and "
                             "\"%.*s\", which is one of it, has none: give it "
                             "a @table", S_(type->name), S_(member->name));
    }

    type->members[type->nmembers++] = member;
    return TRAVEL_OK;
}


int
mapping_members(mapping_t *m, const ast_t *at,
    const travel_graphql_map_type_t *abstract)
{
    size_t                           i;
    const ast_t                     *name;
    travel_graphql_map_type_t       *type;
    const travel_graphql_map_type_t *member;

    if (abstract == NULL || !mapping_abstract(abstract->def)
        || abstract->nmembers > 0)
    {
        return TRAVEL_OK;
    }

    type = &m->types[abstract - m->types];
    type->members = travel_graphql_alloc(m->sdl, (m->ntypes + 1)
                                                 * sizeof(*type->members));
    if (type->members == NULL) {
        return TRAVEL_ERROR;
    }

    /* a union's as it names them, an interface's as they come */

    for (name = type->def->kind == TRAVEL_GRAPHQL_DEF_UNION
                ? type->def->implements : NULL; name != NULL;
         name = name->next)
    {
        member = travel_graphql_map_type(m, name->name);

        if (member != NULL) {
            TRY(mapping_member(m, at, type, member));
        }
    }

    for (i = 0; i < m->ntypes; i++) {
        member = &m->types[i];

        if (member->def->kind == TRAVEL_GRAPHQL_DEF_OBJECT
            && type->def->kind == TRAVEL_GRAPHQL_DEF_INTERFACE
            && travel_graphql_find(member->def->implements, type->name)
               != NULL)
        {
            TRY(mapping_member(m, at, type, member));
        }
    }

    return type->nmembers > 0 ? mapping_shared_key(m, at, type)
           : mapping_fault(m, at, "no type is a \"%.*s\"", S_(type->name));
}


/* What maps a field is said where the rows are: said here it would be ignored
 * without a word. */
static int
mapping_interface(mapping_t *m, const ast_t *def)
{
    size_t        i;
    const ast_t  *field, *directive;

    static const char *const  words[] = {
        "sql", "relation", "from", "embed", "list", "connection", "cache",
        "auth", "cost", "command", "topic", "payload"
    };

    for (field = def->children; field != NULL; field = field->next) {
        for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            directive = mapping_directive(field, words[i]);

            if (directive != NULL) {
                return mapping_fault(m, directive, "@%s says nothing on a field"
                                     " of an interface: put it on \"%.*s\" of "
                                     "each type that implements \"%.*s\"",
                                     words[i], S_(field->name),
                                     S_(def->name));
            }
        }
    }

    return TRAVEL_OK;
}


static int
mapping_scalar(mapping_t *m, const ast_t *def)
{
    travel_str_t   is;
    const ast_t   *format = mapping_directive(def, "format");

    is = mapping_string(format, "is");

    return format == NULL || travel_schema_format(is) != NULL
           || travel_str_eq(is, TRAVEL_STR("int64"))
           || travel_str_eq(is, TRAVEL_STR("json")) ? TRAVEL_OK
           : mapping_fault(m, format, "@format of \"%.*s\" must be date-time, "
                           "date, uuid or another format of JSON Schema, "
                           "int64, or json", S_(def->name));
}


/* --- all of them ---------------------------------------------------------- */

static int
mapping_fields(mapping_t *m, travel_graphql_map_type_t *type)
{
    size_t        n = 0;
    const ast_t  *def;

    for (def = type->def->children; def != NULL; def = def->next) {
        n++;
    }

    type->fields = travel_graphql_alloc(m->sdl,
                                        (n + 1) * sizeof(*type->fields));
    if (type->fields == NULL) {
        return TRAVEL_ERROR;
    }

    for (def = type->def->children; def != NULL; def = def->next) {
        type->fields[type->nfields].owner = type;
        TRY(mapping_field(m, def, &type->fields[type->nfields]));
        type->nfields++;
    }

    return TRAVEL_OK;
}


static int
mapping_types(mapping_t *m)
{
    size_t        i, n = 0;
    const ast_t  *def;

    for (def = travel_graphql_definitions(m->sdl); def != NULL;
         def = def->next)
    {
        n += (def->kind == TRAVEL_GRAPHQL_DEF_OBJECT && !def->extend)
             || mapping_abstract(def);
    }

    m->types = travel_graphql_alloc(m->sdl, (n + 1) * sizeof(*m->types));
    if (m->types == NULL) {
        return TRAVEL_ERROR;
    }

    for (def = travel_graphql_definitions(m->sdl); def != NULL;
         def = def->next)
    {
        if (def->kind == TRAVEL_GRAPHQL_DEF_OBJECT && !def->extend) {
            TRY(mapping_type(m, def, &m->types[m->ntypes]));
            m->ntypes++;
        }
    }

    n = m->ntypes;

    for (def = travel_graphql_definitions(m->sdl); def != NULL;
         def = def->next)
    {
        if (mapping_abstract(def)) {
            m->types[m->ntypes].name = def->name;
            m->types[m->ntypes].line = def->line;
            m->types[m->ntypes++].def = def;
        }

        if (def->kind == TRAVEL_GRAPHQL_DEF_INTERFACE) {
            TRY(mapping_interface(m, def));

        } else if (def->kind == TRAVEL_GRAPHQL_DEF_SCALAR) {
            TRY(mapping_scalar(m, def));
        }
    }

    for (i = 0; i < n; i++) {
        TRY(mapping_fields(m, &m->types[i]));
    }

    return TRAVEL_OK;
}


static void
mapping_roots(mapping_t *m)
{
    size_t        i;
    const ast_t  *def, *op;

    static const char *const  words[] = { "query", "mutation",
                                          "subscription" };

    m->roots[0] = TRAVEL_STR("Query");
    m->roots[1] = TRAVEL_STR("Mutation");
    m->roots[2] = TRAVEL_STR("Subscription");

    for (def = travel_graphql_definitions(m->sdl); def != NULL;
         def = def->next)
    {
        if (def->kind != TRAVEL_GRAPHQL_DEF_SCHEMA) {
            continue;
        }

        for (i = 0; i < 3; i++) {
            op = travel_graphql_find(def->children,
                     (travel_str_t) { words[i], strlen(words[i]) });
            if (op != NULL && op->type->kind == TRAVEL_GRAPHQL_TYPE_NAMED) {
                m->roots[i] = op->type->name;
            }
        }
    }
}


int
travel_graphql_map(travel_graphql_mapping_t **ret_mapping,
    travel_graphql_document_t *sdl, travel_graphql_fault_t *ret_fault)
{
    mapping_t  *m;

    memset(ret_fault, 0, sizeof(*ret_fault));
    m = travel_graphql_alloc(sdl, sizeof(*m));

    if (m == NULL) {
        return TRAVEL_ERROR;
    }

    m->sdl = sdl;
    m->fault = ret_fault;
    mapping_roots(m);
    TRY(mapping_types(m));
    m->fault = NULL;

    if (travel_graphql_map_root(m, TRAVEL_GRAPHQL_QUERY) == NULL) {
        ret_fault->line = 1;
        snprintf(ret_fault->message, sizeof(ret_fault->message),
                 "the schema needs a type \"Query\"");
        return TRAVEL_INVALID;
    }

    *ret_mapping = m;
    return TRAVEL_OK;
}


/* --- looking up ---------------------------------------------------------- */

const travel_graphql_map_type_t *
travel_graphql_map_type(const travel_graphql_mapping_t *mapping,
    travel_str_t name)
{
    size_t  i;

    for (i = 0; i < mapping->ntypes; i++) {
        if (travel_str_eq(mapping->types[i].name, name)) {
            return &mapping->types[i];
        }
    }

    return NULL;
}


const travel_graphql_document_t *
travel_graphql_map_document(const travel_graphql_mapping_t *mapping)
{
    return mapping->sdl;
}


const travel_graphql_map_type_t *
travel_graphql_map_root(const travel_graphql_mapping_t *mapping,
    travel_graphql_op_e op)
{
    return travel_graphql_map_type(mapping, mapping->roots[op]);
}


const travel_graphql_map_field_t *
travel_graphql_map_field(const travel_graphql_map_type_t *type,
    travel_str_t name)
{
    size_t  i;

    for (i = 0; i < type->nfields; i++) {
        if (travel_str_eq(type->fields[i].name, name)) {
            return &type->fields[i];
        }
    }

    return NULL;
}


const travel_graphql_map_arg_t *
travel_graphql_map_arg(const travel_graphql_map_field_t *field,
    travel_str_t name)
{
    size_t  i;

    for (i = 0; i < field->nargs; i++) {
        if (travel_str_eq(field->args[i].name, name)) {
            return &field->args[i];
        }
    }

    return NULL;
}


const travel_graphql_map_field_t *
travel_graphql_map_command(const travel_graphql_mapping_t *mapping,
    size_t *at)
{
    const travel_graphql_map_type_t  *type;

    type = travel_graphql_map_root(mapping, TRAVEL_GRAPHQL_MUTATION);

    while (type != NULL && *at < type->nfields) {
        if (type->fields[(*at)++].kind == TRAVEL_GRAPHQL_MAP_COMMAND) {
            return &type->fields[*at - 1];
        }
    }

    return NULL;
}
