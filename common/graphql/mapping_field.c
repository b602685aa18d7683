/* Fields of the SDL: a column, SQL, rows, a command, part of a message. */

#include "mapping_parts.h"

#define MAPPING_LIST      20
#define MAPPING_MAX       100
#define MAPPING_WAIT_MAX  60000


/* What the field's values are, lists or not; 'scalar' NULL: of the schema's own
 * 'type'. */
static void
mapping_values(travel_graphql_map_field_t *field, const ast_t *type,
    const mapping_scalar_t *scalar)
{
    if (scalar != NULL) {
        field->leaf = scalar->leaf;

    } else if (type->kind == TRAVEL_GRAPHQL_DEF_ENUM) {
        field->leaf = TRAVEL_GRAPHQL_LEAF_ENUM;
        field->values = type->children;

    } else {
        field->format = travel_schema_format(
            mapping_string(mapping_directive(type, "format"), "is"));
        field->leaf = field->format != NULL ? TRAVEL_GRAPHQL_LEAF_FORMAT
                                            : TRAVEL_GRAPHQL_LEAF_ANY;
    }
}


static int
mapping_leaf(mapping_t *m, const ast_t *def, travel_graphql_map_field_t *field,
    const ast_t *type)
{
    const ast_t             *directive;
    travel_str_t             column, sql;
    const mapping_scalar_t  *scalar = mapping_builtin(field->base);

    mapping_values(field, type, scalar);
    directive = mapping_directive(def, "sql");
    sql = mapping_string(directive, "expr");

    if (sql.len > 0) {
        TRY(mapping_template(m, directive, sql, &field->sql));

    } else {
        field->sql.pieces = travel_graphql_alloc(m->sdl,
                                                 sizeof(*field->sql.pieces));
        if (field->sql.pieces == NULL
            || mapping_snake(m, def->name, &column) != TRAVEL_OK)
        {
            return TRAVEL_ERROR;
        }

        field->sql.n = 1;
        field->sql.pieces[0].kind = TRAVEL_GRAPHQL_PIECE_COLUMN;
        field->sql.pieces[0].text = column;
    }

    if (field->list) {
        return TRAVEL_OK;
    }

    sql = scalar != NULL ? scalar->render : TRAVEL_STR("{}::text");
    directive = type != NULL ? mapping_directive(type, "render") : NULL;

    if (directive != NULL) {
        sql = mapping_string(directive, "sql");
    }

    return mapping_template(m, def, sql, &field->render);
}


static int
mapping_links(mapping_t *m, const ast_t *def,
    travel_graphql_map_field_t *field)
{
    const ast_t   *relation;
    travel_str_t   from, to, local, remote;

    relation = mapping_directive(def, "relation");
    if (relation == NULL) {
        return TRAVEL_OK;
    }

    from = mapping_string(relation, "from");
    to = mapping_string(relation, "to");

    for ( ;; ) {
        local = mapping_word(&from);
        remote = mapping_word(&to);

        if (local.len == 0 && remote.len == 0 && field->nlinks > 0) {
            return TRAVEL_OK;
        }

        if (local.len == 0 || remote.len == 0
            || field->nlinks == TRAVEL_GRAPHQL_LINKS_MAX)
        {
            return mapping_fault(m, relation, "@relation needs from: and to: "
                                 "with as many columns each, at most %d",
                                 TRAVEL_GRAPHQL_LINKS_MAX);
        }

        field->local[field->nlinks] = local;
        field->remote[field->nlinks++] = remote;
    }
}


static int
mapping_bounds(mapping_t *m, const ast_t *def,
    travel_graphql_map_field_t *field)
{
    const ast_t  *bounds;

    bounds = mapping_directive(def, field->kind == TRAVEL_GRAPHQL_MAP_LIST
                                    ? "list" : "connection");

    TRY(mapping_number(m, bounds, "max", TRAVEL_GRAPHQL_LIST_MAX, MAPPING_MAX,
                       &field->max));
    TRY(mapping_number(m, bounds, "default", field->max,
                       field->max < MAPPING_LIST ? field->max : MAPPING_LIST,
                       &field->fallback));

    bounds = bounds != NULL ? bounds : def;
    TRY(mapping_order(m, bounds, mapping_string(bounds, "order"),
                      &field->order));
    TRY(mapping_total(m, bounds, &field->order, &field->of->key));

    if (field->order.n == 0) {
        return mapping_fault(m, def, "the list \"%.*s\" has no total order: "
                             "\"%.*s\" needs @table(key:)", S_(field->name),
                             S_(field->of->name));
    }

    return TRAVEL_OK;
}


/* XConnection { edges: [XEdge] } XEdge { node: X }: X. */
static const travel_graphql_map_type_t *
mapping_node_type(mapping_t *m, const ast_t *connection)
{
    bool          list, nonnull;
    const ast_t  *field, *edge;

    field = travel_graphql_find(connection->children, TRAVEL_STR("edges"));
    edge = field != NULL ? travel_graphql_map_definition(m,
                               mapping_base(field->type, &list, &nonnull))
                         : NULL;
    field = edge != NULL ? travel_graphql_find(edge->children,
                                               TRAVEL_STR("node")) : NULL;

    return field != NULL ? travel_graphql_map_type(m,
                               mapping_base(field->type, &list, &nonnull))
                         : NULL;
}


static int
mapping_command(mapping_t *m, const ast_t *def,
    travel_graphql_map_field_t *field)
{
    size_t        i;
    const ast_t  *command = mapping_directive(def, "command");

    for (i = 0; i < m->ntypes; i++) {
        if (travel_str_eq(m->types[i].name, field->base)) {
            m->types[i].payload = m->types[i].table.len == 0;
        }
    }

    field->kind = TRAVEL_GRAPHQL_MAP_COMMAND;
    field->command = mapping_string(command, "type");
    field->check = mapping_string(command, "check");
    field->breaker = mapping_string(command, "breaker");
    TRY(mapping_number(m, command, "wait", MAPPING_WAIT_MAX, 2000,
                       &field->wait));

    return field->command.len > 0 ? TRAVEL_OK
           : mapping_fault(m, command, "@command needs type:, as of a file in "
                           "commands/");
}


/* An object that is no row: part of a connection, a payload or a message.  On a
 * row, or at a root, it would be null without a word. */
static int
mapping_other(mapping_t *m, const ast_t *def,
    travel_graphql_map_field_t *field)
{
    const travel_graphql_map_type_t  *owner = field->owner;

    field->kind = TRAVEL_GRAPHQL_MAP_OTHER;

    if (travel_str_eq(owner->name, m->roots[TRAVEL_GRAPHQL_MUTATION])) {
        return mapping_fault(m, def, "\"%.*s\" must have @command(type:), the "
                             "command that it is", S_(field->name));
    }

    return owner->table.len == 0
           && !travel_str_eq(owner->name, m->roots[TRAVEL_GRAPHQL_QUERY])
           ? TRAVEL_OK
           : mapping_fault(m, def, "there are no rows for \"%.*s\": give "
                           "\"%.*s\" a @table, or the field an @embed, if it "
                           "is an object of the same row", S_(field->name),
                           S_(field->base));
}


static int
mapping_kind(mapping_t *m, const ast_t *def, travel_graphql_map_field_t *field,
    const ast_t *type)
{
    if (mapping_directive(def, "command") != NULL) {
        return mapping_command(m, def, field);
    }

    if (mapping_directive(def, "embed") != NULL) {
        field->kind = TRAVEL_GRAPHQL_MAP_EMBED;
        field->of = travel_graphql_map_type(m, field->base);

        return type->kind == TRAVEL_GRAPHQL_DEF_OBJECT ? TRAVEL_OK
               : mapping_fault(m, def, "@embed is of one type, and \"%.*s\" "
                               "is several", S_(field->base));
    }

    if (mapping_directive(def, "connection") != NULL) {
        field->kind = TRAVEL_GRAPHQL_MAP_CONNECTION;
        field->of = mapping_node_type(m, type);

        if (field->of == NULL) {
            return mapping_fault(m, def, "\"%.*s\" must have edges { node }, "
                                 "for @connection", S_(field->base));
        }

    } else {
        field->of = travel_graphql_map_type(m, field->base);
        field->kind = field->list ? TRAVEL_GRAPHQL_MAP_LIST
                                  : TRAVEL_GRAPHQL_MAP_ONE;
    }

    TRY(mapping_members(m, def, field->of));

    if (field->of == NULL
        || (field->of->table.len == 0 && field->of->nmembers == 0))
    {
        return mapping_other(m, def, field);
    }

    TRY(mapping_template(m, def,
                         mapping_string(mapping_directive(def, "from"), "sql"),
                         &field->from));

    if (field->from.n > 0 && field->of->nmembers > 0) {
        return mapping_fault(m, def, "@from is rows of one type, and \"%.*s\" "
                             "is several: make it a view, and the types "
                             "@table(where:) of it", S_(field->of->name));
    }

    TRY(mapping_links(m, def, field));

    return field->kind != TRAVEL_GRAPHQL_MAP_ONE
           ? mapping_bounds(m, def, field) : TRAVEL_OK;
}


/* What a field is of a message, or which messages it is of. */
static int
mapping_topic(mapping_t *m, const ast_t *def,
    travel_graphql_map_field_t *field)
{
    const ast_t  *topic = mapping_directive(def, "topic");

    TRY(mapping_template(m, def, mapping_string(topic, "name"),
                         &field->topic));
    TRY(mapping_template(m, def, mapping_string(topic, "check"),
                         &field->may));
    field->path = mapping_string(mapping_directive(def, "payload"), "path");

    if (field->path.len == 0) {
        TRY(mapping_snake(m, field->name, &field->path));
    }

    if (field->topic.n == 0
        && travel_str_eq(field->owner->name,
                         m->roots[TRAVEL_GRAPHQL_SUBSCRIPTION]))
    {
        return mapping_fault(m, def, "\"%.*s\" must have @topic(name:), the "
                             "live topic whose messages it is of",
                             S_(field->name));
    }

    return TRAVEL_OK;
}


int
mapping_field(mapping_t *m, const ast_t *def, travel_graphql_map_field_t *field)
{
    const ast_t  *type, *cache;

    field->name = def->name;
    field->def = def;
    field->line = def->line;
    field->base = mapping_base(def->type, &field->list, &field->nonnull);
    type = travel_graphql_map_definition(m, field->base);

    if (type == NULL && mapping_builtin(field->base) == NULL) {
        return mapping_fault(m, def, "there is no type \"%.*s\"",
                             S_(field->base));
    }

    if (type == NULL || type->kind == TRAVEL_GRAPHQL_DEF_SCALAR
        || type->kind == TRAVEL_GRAPHQL_DEF_ENUM)
    {
        TRY(mapping_leaf(m, def, field, type));
    } else {
        TRY(mapping_kind(m, def, field, type));
    }

    cache = mapping_directive(def, "cache");
    field->cached = cache != NULL;
    TRY(mapping_number(m, cache, "ttl", 86400, 86400, &field->ttl));
    TRY(mapping_template(m, def, mapping_string(cache, "tags"), &field->tags));

    field->requires = mapping_string(mapping_directive(def, "auth"),
                                     "requires");
    TRY(mapping_number(m, mapping_directive(def, "cost"), "value", 1000000,
                       field->kind == TRAVEL_GRAPHQL_MAP_LEAF ? 0 : 1,
                       &field->cost));
    TRY(mapping_topic(m, def, field));

    return mapping_args(m, def, field);
}
