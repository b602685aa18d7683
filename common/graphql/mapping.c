/*
 * SDL into the mapping.  See mapping.h.
 *
 * Everything is allocated in the SDL document's arena, and goes with it; the
 * mapping itself is two arrays, of types and of what they point to.
 */

#include "mapping.h"
#include "steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAPPING_LIST      20
#define MAPPING_MAX       100
#define MAPPING_WAIT_MAX  60000

typedef travel_graphql_ast_t  ast_t;

struct travel_graphql_mapping_s {
    travel_graphql_document_t  *sdl;
    travel_graphql_map_type_t  *types;
    size_t                      ntypes;
    travel_str_t                roots[3];
    travel_graphql_fault_t     *fault;     /* while it is made */
};

typedef travel_graphql_mapping_t  mapping_t;


TRAVEL_PRINTF(3, 4)
static int
mapping_fault(mapping_t *m, const ast_t *at, const char *fmt, ...)
{
    va_list  args;

    m->fault->line = at->line;
    m->fault->column = at->column;

    va_start(args, fmt);
    vsnprintf(m->fault->message, sizeof(m->fault->message), fmt, args);
    va_end(args);

    return TRAVEL_INVALID;
}


/* --- directives' arguments ----------------------------------------------- */

static const ast_t *
mapping_directive(const ast_t *node, const char *name)
{
    return travel_graphql_find(node->directives,
                               (travel_str_t) { name, strlen(name) });
}


static travel_str_t
mapping_string(const ast_t *directive, const char *name)
{
    const ast_t  *arg;

    arg = directive != NULL
          ? travel_graphql_find(directive->arguments,
                                (travel_str_t) { name, strlen(name) })
          : NULL;

    return arg != NULL && arg->value->kind == TRAVEL_GRAPHQL_STRING
           ? arg->value->text : TRAVEL_NULL_STR;
}


/* A whole number of a directive; 'fallback' when it does not say. */
static int
mapping_number(mapping_t *m, const ast_t *directive, const char *name,
    uint32_t max, uint32_t fallback, uint32_t *ret_n)
{
    char           buf[16], *end;
    unsigned long  n;
    const ast_t   *arg;

    *ret_n = fallback;
    arg = directive != NULL
          ? travel_graphql_find(directive->arguments,
                                (travel_str_t) { name, strlen(name) })
          : NULL;

    if (arg == NULL) {
        return TRAVEL_OK;
    }

    snprintf(buf, sizeof(buf), "%.*s", S_(arg->value->text));
    n = strtoul(buf, &end, 10);

    if (arg->value->kind != TRAVEL_GRAPHQL_INT || *end != '\0' || n > max) {
        return mapping_fault(m, arg, "\"%s\" of @%.*s must be a whole number "
                             "from 0 to %u", name, S_(directive->name), max);
    }

    *ret_n = (uint32_t) n;
    return TRAVEL_OK;
}


/* --- text into parts ----------------------------------------------------- */

static bool
mapping_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == ',';
}


/* The next word of *s, taken off it; empty at the end. */
static travel_str_t
mapping_word(travel_str_t *s)
{
    travel_str_t  word;

    while (s->len > 0 && mapping_space(*s->data)) {
        s->data++;
        s->len--;
    }

    word = (travel_str_t) { s->data, 0 };

    while (s->len > 0 && !mapping_space(*s->data)) {
        s->data++;
        s->len--;
        word.len++;
    }

    return word;
}


static int
mapping_piece(mapping_t *m, const ast_t *at, travel_str_t hole,
    travel_graphql_piece_t *piece)
{
    size_t  i;

    piece->kind = TRAVEL_GRAPHQL_PIECE_COLUMN;

    if (hole.len > 0 && *hole.data == '$') {
        piece->kind = TRAVEL_GRAPHQL_PIECE_ARG;
        hole.data++;
        hole.len--;

        if (travel_str_eq(hole, TRAVEL_STR("viewer"))) {
            piece->kind = TRAVEL_GRAPHQL_PIECE_VIEWER;
        }
    }

    for (i = 0; i < hole.len; i++) {
        if (hole.data[i] != '_' && (hole.data[i] < '0' || hole.data[i] > '9')
            && ((hole.data[i] | 0x20) < 'a' || (hole.data[i] | 0x20) > 'z'))
        {
            return mapping_fault(m, at, "\"{%.*s}\" must be {column}, "
                                 "{$argument} or {$viewer}; write \"{{\" for a "
                                 "brace", S_(hole));
        }
    }

    piece->text = hole;
    return TRAVEL_OK;
}


static int
mapping_template(mapping_t *m, const ast_t *at, travel_str_t text,
    travel_graphql_template_t *ret_template)
{
    size_t                   n = 2;
    const char              *p, *end, *open, *close;
    travel_graphql_piece_t  *pieces;

    ret_template->n = 0;

    if (text.len == 0) {
        return TRAVEL_OK;
    }

    end = text.data + text.len;

    for (p = text.data; p < end; p++) {
        n += (*p == '{') * 2;
    }

    pieces = travel_graphql_alloc(m->sdl, n * sizeof(*pieces));
    if (pieces == NULL) {
        return TRAVEL_ERROR;
    }

    n = 0;

    for (p = text.data; p < end; p = close + 1) {

        open = memchr(p, '{', (size_t) (end - p));
        close = open != NULL && open + 1 < end && open[1] == '{' ? open + 1
                : open != NULL ? memchr(open, '}', (size_t) (end - open))
                               : end - 1;

        if (close == NULL) {
            return mapping_fault(m, at, "\"{\" is not closed");
        }

        pieces[n].kind = TRAVEL_GRAPHQL_PIECE_TEXT;
        pieces[n].text = (travel_str_t) {
            p, (size_t) ((open != NULL ? open : end) - p) };

        if (open != NULL && close == open + 1 && *close == '{') {
            pieces[n].text.len++;                    /* the brace itself */
            n++;
            continue;
        }

        n += pieces[n].text.len > 0;

        if (open != NULL) {
            TRY(mapping_piece(m, at, (travel_str_t) {
                    open + 1, (size_t) (close - open - 1) }, &pieces[n]));
            n++;
        }
    }

    ret_template->pieces = pieces;
    ret_template->n = n;
    return TRAVEL_OK;
}


/* "created_at desc, id": appended to what is there, without repetitions. */
static int
mapping_order(mapping_t *m, const ast_t *at, travel_str_t text,
    travel_graphql_order_t *order)
{
    size_t                 i, k;
    travel_str_t           word, item;
    travel_graphql_key_t   key;

    while (text.len > 0) {
        i = 0;

        while (i < text.len && text.data[i] != ',') {
            i++;
        }

        item = (travel_str_t) { text.data, i };
        text.data += i + (i < text.len);
        text.len -= i + (i < text.len);

        key.column = mapping_word(&item);
        word = mapping_word(&item);
        key.desc = travel_str_eq(word, TRAVEL_STR("desc"));

        if (key.column.len == 0
            || (word.len > 0 && !key.desc
                && !travel_str_eq(word, TRAVEL_STR("asc"))))
        {
            return mapping_fault(m, at, "an order must be \"COLUMN [asc|desc], "
                                 "...\"");
        }

        for (k = 0; k < order->n; k++) {
            if (travel_str_eq(order->keys[k].column, key.column)) {
                break;
            }
        }

        if (k < order->n) {
            continue;
        }

        if (order->n == TRAVEL_GRAPHQL_KEYS_MAX) {
            return mapping_fault(m, at, "an order has at most %d columns, with "
                                 "those of the key", TRAVEL_GRAPHQL_KEYS_MAX);
        }

        order->keys[order->n++] = key;
    }

    return TRAVEL_OK;
}


static void
mapping_total(travel_graphql_order_t *order, const travel_graphql_order_t *key)
{
    size_t  i, k;

    for (i = 0; i < key->n; i++) {

        for (k = 0; k < order->n; k++) {
            if (travel_str_eq(order->keys[k].column, key->keys[i].column)) {
                break;
            }
        }

        if (k == order->n && order->n < TRAVEL_GRAPHQL_KEYS_MAX) {
            order->keys[order->n++] = key->keys[i];
        }
    }
}


/* "fromPlace" is the column from_place. */
static int
mapping_snake(mapping_t *m, travel_str_t name, travel_str_t *ret_snake)
{
    char    *p;
    size_t   i, n = 0;

    p = travel_graphql_alloc(m->sdl, name.len * 2 + 1);
    if (p == NULL) {
        return TRAVEL_ERROR;
    }

    for (i = 0; i < name.len; i++) {
        if (name.data[i] >= 'A' && name.data[i] <= 'Z') {
            if (i > 0) {
                p[n++] = '_';
            }

            p[n++] = (char) (name.data[i] | 0x20);
        } else {
            p[n++] = name.data[i];
        }
    }

    *ret_snake = (travel_str_t) { p, n };
    return TRAVEL_OK;
}


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


/* The type without lists and exclamation marks. */
static travel_str_t
mapping_base(const ast_t *type, bool *ret_list, bool *ret_nonnull)
{
    *ret_list = false;
    *ret_nonnull = type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL;

    while (type->kind != TRAVEL_GRAPHQL_TYPE_NAMED) {
        *ret_list |= type->kind == TRAVEL_GRAPHQL_TYPE_LIST;
        type = type->type;
    }

    return type->name;
}


static const char *
mapping_builtin(travel_str_t name)
{
    size_t  i;

    static const struct {
        const char  *name;
        const char  *render;
    } scalars[] = {
        { "Int", "{}" }, { "Boolean", "{}" }, { "Float", "{}::float8" },
        { "String", "{}::text" }, { "ID", "{}::text" }
    };

    for (i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++) {
        if (name.len == strlen(scalars[i].name)
            && memcmp(name.data, scalars[i].name, name.len) == 0)
        {
            return scalars[i].render;
        }
    }

    return NULL;
}


/* --- fields' arguments --------------------------------------------------- */

static int
mapping_choices(mapping_t *m, const ast_t *def, travel_graphql_map_arg_t *arg,
    const travel_graphql_order_t *key)
{
    size_t        n = 0;
    const ast_t  *value, *by;

    for (value = def->children; value != NULL; value = value->next) {
        n++;
    }

    arg->choices = travel_graphql_alloc(m->sdl, n * sizeof(*arg->choices));
    if (arg->choices == NULL) {
        return TRAVEL_ERROR;
    }

    for (value = def->children; value != NULL; value = value->next) {
        by = mapping_directive(value, "order");

        if (by == NULL) {
            return mapping_fault(m, value, "\"%.*s\" must have an @order(by:), "
                                 "as the other values of its enum have",
                                 S_(value->name));
        }

        arg->choices[arg->nchoices].name = value->name;
        TRY(mapping_order(m, by, mapping_string(by, "by"),
                          &arg->choices[arg->nchoices].order));
        mapping_total(&arg->choices[arg->nchoices++].order, key);
    }

    return TRAVEL_OK;
}


static int
mapping_arg(mapping_t *m, const ast_t *def, travel_graphql_map_arg_t *arg)
{
    const ast_t   *directive;
    travel_str_t   sql;

    arg->name = def->name;
    arg->def = def;
    arg->base = mapping_base(def->type, &arg->list, &arg->nonnull);

    directive = mapping_directive(def, "filter");

    if (directive != NULL) {
        sql = mapping_string(directive, "sql");
        arg->kind = TRAVEL_GRAPHQL_ARG_FILTER;

        if (sql.len == 0) {
            return mapping_fault(m, directive, "@filter needs sql:, a "
                                 "condition with {$} for the value");
        }

        TRY(mapping_template(m, directive, sql, &arg->filter));
    }

    directive = mapping_directive(def, "column");
    arg->member = mapping_string(directive, "name");

    return arg->member.len == 0 ? mapping_snake(m, def->name, &arg->member)
                                : TRAVEL_OK;
}


static int
mapping_members(mapping_t *m, travel_graphql_map_arg_t *arg)
{
    size_t        n = 0;
    const ast_t  *def, *member;

    def = travel_graphql_map_definition(m, arg->base);

    if (def == NULL || def->kind != TRAVEL_GRAPHQL_DEF_INPUT) {
        return TRAVEL_OK;
    }

    for (member = def->children; member != NULL; member = member->next) {
        n++;
    }

    arg->members = travel_graphql_alloc(m->sdl, n * sizeof(*arg->members));
    if (arg->members == NULL) {
        return TRAVEL_ERROR;
    }

    for (member = def->children; member != NULL; member = member->next) {
        TRY(mapping_arg(m, member, &arg->members[arg->nmembers++]));
    }

    return TRAVEL_OK;
}


static int
mapping_args(mapping_t *m, const ast_t *def, travel_graphql_map_field_t *field)
{
    size_t                     n = 0;
    bool                       list, connection;
    const ast_t               *node, *type;
    travel_graphql_map_arg_t  *arg;

    for (node = def->arguments; node != NULL; node = node->next) {
        n++;
    }

    field->args = travel_graphql_alloc(m->sdl, (n + 1) * sizeof(*field->args));
    if (field->args == NULL) {
        return TRAVEL_ERROR;
    }

    list = field->kind == TRAVEL_GRAPHQL_MAP_LIST;
    connection = field->kind == TRAVEL_GRAPHQL_MAP_CONNECTION;

    for (node = def->arguments; node != NULL; node = node->next) {
        arg = &field->args[field->nargs++];
        TRY(mapping_arg(m, node, arg));
        TRY(mapping_members(m, arg));

        if (arg->kind == TRAVEL_GRAPHQL_ARG_FILTER) {
            continue;
        }

        type = travel_graphql_map_definition(m, arg->base);

        if ((list && travel_str_eq(arg->name, TRAVEL_STR("limit")))
            || (connection && travel_str_eq(arg->name, TRAVEL_STR("first"))))
        {
            arg->kind = TRAVEL_GRAPHQL_ARG_LIMIT;

        } else if (connection && travel_str_eq(arg->name, TRAVEL_STR("after")))
        {
            arg->kind = TRAVEL_GRAPHQL_ARG_AFTER;

        } else if ((list || connection) && type != NULL
                   && type->kind == TRAVEL_GRAPHQL_DEF_ENUM
                   && type->children != NULL
                   && mapping_directive(type->children, "order") != NULL)
        {
            arg->kind = TRAVEL_GRAPHQL_ARG_ORDER;
            TRY(mapping_choices(m, type, arg, &field->of->key));
        }
    }

    return TRAVEL_OK;
}


/* An argument that nothing uses would be ignored without a word. */
static int
mapping_used(mapping_t *m, const travel_graphql_map_field_t *field)
{
    bool                              used;
    size_t                            i, k, t;
    const travel_graphql_template_t  *templates[3];

    templates[0] = &field->sql;
    templates[1] = &field->from;
    templates[2] = &field->topic;

    for (i = 0; i < field->nargs; i++) {

        used = field->args[i].kind != TRAVEL_GRAPHQL_ARG_INPUT
               || field->kind == TRAVEL_GRAPHQL_MAP_COMMAND;

        for (k = 0; k < field->args[i].nmembers; k++) {
            used |= field->args[i].members[k].filter.n > 0;
        }

        for (t = 0; t < 3 && !used; t++) {
            for (k = 0; k < templates[t]->n; k++) {
                used |= templates[t]->pieces[k].kind
                            == TRAVEL_GRAPHQL_PIECE_ARG
                        && travel_str_eq(templates[t]->pieces[k].text,
                                         field->args[i].name);
            }
        }

        if (!used) {
            return mapping_fault(m, field->args[i].def, "the argument "
                                 "\"%.*s\" does nothing: give it a "
                                 "@filter(sql:), or use {$%.*s} in @sql or "
                                 "@from", S_(field->args[i].name),
                                 S_(field->args[i].name));
        }
    }

    return TRAVEL_OK;
}


/* --- fields -------------------------------------------------------------- */

static int
mapping_leaf(mapping_t *m, const ast_t *def, travel_graphql_map_field_t *field,
    const ast_t *type)
{
    const char    *render;
    const ast_t   *directive;
    travel_str_t   column, sql;

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

    render = mapping_builtin(field->base);
    sql = render != NULL ? (travel_str_t) { render, strlen(render) }
                         : TRAVEL_STR("{}::text");
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

    TRY(mapping_order(m, bounds != NULL ? bounds : def,
                      mapping_string(bounds, "order"), &field->order));
    mapping_total(&field->order, &field->of->key);

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
    TRY(mapping_number(m, command, "wait", MAPPING_WAIT_MAX, 2000,
                       &field->wait));

    return field->command.len > 0 ? TRAVEL_OK
           : mapping_fault(m, command, "@command needs type:, as of a file in "
                           "commands/");
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
        return TRAVEL_OK;
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

    if (field->of == NULL || field->of->table.len == 0) {
        field->kind = TRAVEL_GRAPHQL_MAP_OTHER;
        return TRAVEL_OK;
    }

    TRY(mapping_template(m, def,
                         mapping_string(mapping_directive(def, "from"), "sql"),
                         &field->from));
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


static int
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
    TRY(mapping_args(m, def, field));
    TRY(mapping_topic(m, def, field));

    /* what introspection's fields take, its own code reads */

    return field->owner->def->builtin ? TRAVEL_OK : mapping_used(m, field);
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

    cache = mapping_directive(def, "cache");
    type->cached = cache != NULL;
    TRY(mapping_number(m, cache, "ttl", 86400, 30, &type->ttl));
    TRY(mapping_template(m, def, mapping_string(cache, "tags"), &type->tags));

    return mapping_template(m, def, mapping_string(cache, "row"), &type->tag);
}


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
        n += def->kind == TRAVEL_GRAPHQL_DEF_OBJECT && !def->extend;
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

    for (i = 0; i < m->ntypes; i++) {
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
