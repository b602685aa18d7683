/*
 * The tree of what is to be answered, written as SQL.  See plan.h.
 *
 * The recursion follows the tree, whose depth plan.c has bounded by
 * TRAVEL_GRAPHQL_DEPTH_MAX.
 */

#include "plan.h"
#include "text.h"

#include <stdlib.h>

#define SQL_PAIRS    48             /* of a json_build_object: 100 arguments */
#define SQL_COLUMNS  256            /* of a row, that one plan reads */

typedef travel_graphql_text_t  text_t;

/* A row under construction: its alias is t<n>, and what is read of it. */
typedef struct {
    unsigned                          n;
    const travel_graphql_map_type_t  *type;
    travel_str_t                      columns[SQL_COLUMNS];
    size_t                            ncolumns;
} sql_row_t;

typedef struct {
    travel_graphql_bind_t  *binds;
    size_t                  nbinds;
    size_t                  room;
    unsigned                rows;         /* aliases used */
    unsigned                viewer;       /* its parameter, or 0 */
    unsigned                mark;
    bool                    refused;
    bool                    failed;
} sql_t;

/* The pieces of a row's SELECT. */
typedef struct {
    text_t  object;
    text_t  joins;
    text_t  tags;
    size_t  ntags;
} sql_parts_t;

static void sql_object(sql_t *s, sql_row_t *row,
    const travel_graphql_node_t *first, sql_parts_t *parts, text_t *out);


#define puts_(t, s)  travel_graphql_text_puts(t, s)
#define put_(t, s)   travel_graphql_text_add(t, s)


static void
sql_parts_free(sql_parts_t *parts)
{
    travel_graphql_text_free(&parts->object);
    travel_graphql_text_free(&parts->joins);
    travel_graphql_text_free(&parts->tags);
}


/* --- parameters ---------------------------------------------------------- */

/* The number of a new parameter; 0 when there is none to be had. */
static unsigned
sql_bind(sql_t *s, travel_graphql_bind_t bind)
{
    size_t                  room;
    travel_graphql_bind_t  *binds;

    if (s->nbinds == TRAVEL_GRAPHQL_BINDS_MAX) {
        s->refused = true;
        return 0;
    }

    if (s->nbinds == s->room) {
        room = s->room > 0 ? s->room * 2 : 16;
        binds = realloc(s->binds, room * sizeof(*binds));

        if (binds == NULL) {
            s->failed = true;
            return 0;
        }

        s->binds = binds;
        s->room = room;
    }

    s->binds[s->nbinds++] = bind;
    return (unsigned) s->nbinds;
}


static unsigned
sql_bind_value(sql_t *s, const travel_graphql_given_t *given)
{
    return sql_bind(s, (travel_graphql_bind_t) {
        .kind = given->value.variable.len > 0 ? TRAVEL_GRAPHQL_BIND_VARIABLE
                                              : TRAVEL_GRAPHQL_BIND_TEXT,
        .value = &given->value
    });
}


static unsigned
sql_viewer(sql_t *s)
{
    if (s->viewer == 0) {
        s->viewer = sql_bind(s, (travel_graphql_bind_t) {
                                 .kind = TRAVEL_GRAPHQL_BIND_VIEWER });
    }

    return s->viewer;
}


static unsigned
sql_mark(sql_t *s)
{
    if (s->mark == 0) {
        s->mark = sql_bind(s, (travel_graphql_bind_t) {
                               .kind = TRAVEL_GRAPHQL_BIND_MARK });
    }

    return s->mark;
}


/* --- names and templates ------------------------------------------------- */

static void
sql_column(sql_t *s, sql_row_t *row, travel_str_t name, text_t *out)
{
    size_t  i;

    for (i = 0; i < row->ncolumns; i++) {
        if (travel_str_eq(row->columns[i], name)) {
            break;
        }
    }

    if (i == row->ncolumns) {
        if (i == SQL_COLUMNS) {
            s->refused = true;
            return;
        }

        row->columns[row->ncolumns++] = name;
    }

    travel_graphql_text_printf(out, "t%u.", row->n);
    travel_graphql_text_name(out, name);
}


static const travel_graphql_given_t *
sql_argument(const travel_graphql_node_t *node, travel_str_t name)
{
    size_t  i;

    for (i = 0; i < node->field->nargs; i++) {
        if (travel_str_eq(node->field->args[i].name, name)) {
            return &node->given[i];
        }
    }

    return NULL;
}


/* 'self' is what {} and {$} stand for: 'inner' SQL, or the argument. */
static void
sql_template(sql_t *s, sql_row_t *row,
    const travel_graphql_template_t *template,
    const travel_graphql_node_t *node, const travel_graphql_given_t *self,
    const text_t *inner, text_t *out)
{
    size_t                         i;
    const travel_graphql_piece_t  *piece;
    const travel_graphql_given_t  *given;

    for (i = 0; i < template->n; i++) {
        piece = &template->pieces[i];

        switch (piece->kind) {

        case TRAVEL_GRAPHQL_PIECE_TEXT:
            put_(out, piece->text);
            break;

        case TRAVEL_GRAPHQL_PIECE_COLUMN:
            if (piece->text.len == 0 && inner != NULL) {
                puts_(out, "(");
                travel_graphql_text_join(out, inner);
                puts_(out, ")");
            } else {
                sql_column(s, row, piece->text, out);
            }

            break;

        case TRAVEL_GRAPHQL_PIECE_ARG:
            given = piece->text.len == 0 ? self
                                         : sql_argument(node, piece->text);

            if (given != NULL && given->given) {
                travel_graphql_text_printf(out, "$%u",
                                           sql_bind_value(s, given));
            } else {
                puts_(out, "NULL");
            }

            break;

        case TRAVEL_GRAPHQL_PIECE_VIEWER:
            travel_graphql_text_printf(out, "$%u::uuid", sql_viewer(s));
        }
    }
}


/* --- FROM, WHERE, ORDER BY ----------------------------------------------- */

static void
sql_and(text_t *out, unsigned *n)
{
    puts_(out, (*n)++ == 0 ? " WHERE " : " AND ");
}


static void
sql_filters(sql_t *s, sql_row_t *row, const travel_graphql_node_t *node,
    const travel_graphql_map_arg_t *args, size_t nargs,
    const travel_graphql_given_t *given, text_t *out, unsigned *n)
{
    size_t  i, k;

    for (i = 0; i < nargs; i++) {

        if (!given[i].given) {
            continue;
        }

        if (args[i].filter.n > 0) {
            sql_and(out, n);
            puts_(out, "(");
            sql_template(s, row, &args[i].filter, node, &given[i], NULL, out);
            puts_(out, ")");
        }

        /* one level: a filter's members are scalars */

        for (k = 0; k < args[i].nmembers && given[i].members != NULL; k++) {
            if (given[i].members[k].given && args[i].members[k].filter.n > 0) {
                sql_and(out, n);
                puts_(out, "(");
                sql_template(s, row, &args[i].members[k].filter, node,
                             &given[i].members[k], NULL, out);
                puts_(out, ")");
            }
        }
    }
}


/* A payload's row: that of what the command made. */
static bool
sql_made(const travel_graphql_node_t *node)
{
    return node->kind == TRAVEL_GRAPHQL_NODE_ONE && node->field->nlinks == 0
           && node->field->nargs == 0 && node->field->from.n == 0
           && node->field->owner->payload;
}


/* Every row that is read comes through here: links to the parent's row, the
 * owner's condition, the arguments'. */
static void
sql_from(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const travel_graphql_node_t *node, text_t *out)
{
    size_t                             i, read = row->ncolumns;
    unsigned                           n = 0;
    const travel_graphql_map_field_t  *field = node->field;

    puts_(out, " FROM ");

    if (field->from.n > 0) {
        sql_template(s, parent, &field->from, node, NULL, NULL, out);
    } else {
        put_(out, row->type->table);
    }

    travel_graphql_text_printf(out, " AS t%u", row->n);

    for (i = 0; i < field->nlinks; i++) {
        sql_and(out, &n);
        sql_column(s, row, field->remote[i], out);
        puts_(out, " = ");
        sql_column(s, parent, field->local[i], out);
    }

    if (sql_made(node)) {
        sql_and(out, &n);
        sql_column(s, row, row->type->key.keys[0].column, out);
        travel_graphql_text_printf(out, " = $%u",
            sql_bind(s, (travel_graphql_bind_t) {
                         .kind = TRAVEL_GRAPHQL_BIND_MADE }));
    }

    if (row->type->owner.len > 0) {
        sql_and(out, &n);
        sql_column(s, row, row->type->owner, out);
        travel_graphql_text_printf(out, " = $%u::uuid", sql_viewer(s));
    }

    sql_filters(s, row, node, field->args, field->nargs, node->given, out, &n);

    if (n == 0) {
        puts_(out, " WHERE true");
    }

    row->ncolumns = read;            /* conditions are not read further out */
}


static void
sql_order(sql_t *s, sql_row_t *row, const travel_graphql_order_t *order,
    text_t *out)
{
    size_t  i, read = row->ncolumns;

    puts_(out, " ORDER BY ");

    for (i = 0; i < order->n; i++) {
        puts_(out, i > 0 ? ", " : "");
        sql_column(s, row, order->keys[i].column, out);
        puts_(out, order->keys[i].desc ? " DESC" : "");
    }

    row->ncolumns = read;
}


/* After the row that a cursor names, in any mix of directions:
 * k1 > a OR (k1 = a AND (k2 > b ...)). */
static void
sql_after(sql_t *s, sql_row_t *row, const travel_graphql_node_t *node,
    text_t *out)
{
    size_t                         i;
    unsigned                       n;
    const travel_graphql_given_t  *after;
    const travel_graphql_order_t  *order;

    after = travel_graphql_node_given(node, TRAVEL_GRAPHQL_ARG_AFTER);
    order = travel_graphql_node_order(node);

    if (after == NULL || !after->given) {
        return;
    }

    puts_(out, " AND (");

    for (i = 0; i < order->n; i++) {
        n = sql_bind(s, (travel_graphql_bind_t) {
                .kind = TRAVEL_GRAPHQL_BIND_KEY, .value = &after->value,
                .node = node, .key = (uint32_t) i });

        sql_column(s, row, order->keys[i].column, out);
        travel_graphql_text_printf(out, " %s $%u",
                                   order->keys[i].desc ? "<" : ">", n);

        if (i + 1 < order->n) {
            puts_(out, " OR (");
            sql_column(s, row, order->keys[i].column, out);
            travel_graphql_text_printf(out, " = $%u AND (", n);
        }
    }

    for (i = 1; i < order->n; i++) {
        puts_(out, "))");
    }

    puts_(out, ")");
}


static unsigned
sql_limit(sql_t *s, const travel_graphql_node_t *node)
{
    const travel_graphql_given_t  *limit;

    limit = travel_graphql_node_given(node, TRAVEL_GRAPHQL_ARG_LIMIT);

    return sql_bind(s, (travel_graphql_bind_t) {
        .kind = TRAVEL_GRAPHQL_BIND_LIMIT, .node = node,
        .value = limit != NULL && limit->given ? &limit->value : NULL,
        .max = node->field->max, .fallback = node->field->fallback });
}


/* The columns that were read of a row, once all of it is written. */
static void
sql_columns(const sql_row_t *row, text_t *out)
{
    size_t  i;

    for (i = 0; i < row->ncolumns; i++) {
        puts_(out, i > 0 ? ", " : "");
        travel_graphql_text_printf(out, "t%u.", row->n);
        travel_graphql_text_name(out, row->columns[i]);
    }

    if (row->ncolumns == 0) {
        puts_(out, "1 AS one");
    }
}


/* --- tags ---------------------------------------------------------------- */

static void
sql_tag_from(sql_parts_t *parts, unsigned n)
{
    puts_(&parts->tags, parts->ntags++ > 0 ? ", " : "");
    travel_graphql_text_printf(&parts->tags, "r%u.t", n);
}


/* The row's own tag: 'journey:' || t1.id */
static void
sql_tag(sql_t *s, sql_row_t *row, sql_parts_t *parts)
{
    size_t                            i;
    text_t                           *out = &parts->tags;
    const travel_graphql_template_t  *tag = &row->type->tag;

    if (tag->n == 0) {
        return;
    }

    puts_(out, parts->ntags++ > 0 ? ", " : "");

    for (i = 0; i < tag->n; i++) {
        puts_(out, i > 0 ? " || " : "");

        if (tag->pieces[i].kind == TRAVEL_GRAPHQL_PIECE_TEXT) {
            travel_graphql_text_literal(out, tag->pieces[i].text);
        } else {
            sql_column(s, row, tag->pieces[i].text, out);
            puts_(out, "::text");
        }
    }
}


static void
sql_tags(const sql_parts_t *parts, text_t *out)
{
    if (parts->ntags > 0) {
        puts_(out, ", concat_ws(' ', ");
        travel_graphql_text_join(out, &parts->tags);
        puts_(out, ") AS t");
    }
}


/* --- rows: one, a list --------------------------------------------------- */

/* What stands around the innermost SELECT of a list: its keys for the order
 * that json_agg shall keep. */
static void
sql_keys(sql_t *s, sql_row_t *row, const travel_graphql_order_t *order,
    text_t *out)
{
    size_t  i;

    for (i = 0; i < order->n; i++) {
        puts_(out, ", ");
        sql_column(s, row, order->keys[i].column, out);
        travel_graphql_text_printf(out, " AS k%zu", i + 1);
    }
}


static void
sql_agg_order(const travel_graphql_order_t *order, unsigned n, text_t *out)
{
    size_t  i;

    puts_(out, " ORDER BY ");

    for (i = 0; i < order->n; i++) {
        travel_graphql_text_printf(out, "%sp%u.k%zu%s", i > 0 ? ", " : "", n,
                                   i + 1, order->keys[i].desc ? " DESC" : "");
    }
}


static void
sql_one(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const travel_graphql_node_t *node, sql_parts_t *parts, text_t *out)
{
    text_t  from = { 0 };

    sql_object(s, row, node->children, parts, &parts->object);
    sql_tag(s, row, parts);
    sql_from(s, row, parent, node, &from);
    sql_order(s, row, &row->type->key, &from);

    puts_(out, "SELECT ");
    travel_graphql_text_join(out, &parts->object);
    puts_(out, " AS j");
    sql_tags(parts, out);
    puts_(out, " FROM (SELECT ");
    sql_columns(row, out);
    travel_graphql_text_join(out, &from);
    travel_graphql_text_printf(out, " LIMIT 1) AS t%u", row->n);
    travel_graphql_text_join(out, &parts->joins);

    travel_graphql_text_free(&from);
}


static void
sql_list(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const travel_graphql_node_t *node, sql_parts_t *parts, text_t *out)
{
    text_t                         from = { 0 }, keys = { 0 };
    const travel_graphql_order_t  *order = travel_graphql_node_order(node);

    sql_object(s, row, node->children, parts, &parts->object);
    sql_tag(s, row, parts);
    sql_keys(s, row, order, &keys);
    sql_from(s, row, parent, node, &from);
    sql_order(s, row, order, &from);

    travel_graphql_text_printf(out, "SELECT coalesce(json_agg(p%u.j", row->n);
    sql_agg_order(order, row->n, out);
    puts_(out, "), '[]'::json) AS j");

    if (parts->ntags > 0) {
        travel_graphql_text_printf(out, ", string_agg(p%u.t, ' ') AS t",
                                   row->n);
    }

    puts_(out, " FROM (SELECT ");
    travel_graphql_text_join(out, &parts->object);
    puts_(out, " AS j");
    sql_tags(parts, out);
    travel_graphql_text_join(out, &keys);
    puts_(out, " FROM (SELECT ");
    sql_columns(row, out);
    travel_graphql_text_join(out, &from);
    travel_graphql_text_printf(out, " LIMIT $%u) AS t%u", sql_limit(s, node),
                               row->n);
    travel_graphql_text_join(out, &parts->joins);
    travel_graphql_text_printf(out, ") AS p%u", row->n);

    travel_graphql_text_free(&from);
    travel_graphql_text_free(&keys);
}


/* --- connections --------------------------------------------------------- */

/* MARK<index>:<hex>.<hex>; NULL would be no place to go on from. */
static void
sql_cursor(sql_t *s, sql_row_t *row, const travel_graphql_node_t *node,
    text_t *out)
{
    size_t                         i;
    const travel_graphql_order_t  *order = travel_graphql_node_order(node);

    travel_graphql_text_printf(out, "$%u::text || '%u:'", sql_mark(s),
                               node->index);

    for (i = 0; i < order->n; i++) {
        puts_(out, i > 0 ? " || '.' || encode(convert_to("
                         : " || encode(convert_to(");
        sql_column(s, row, order->keys[i].column, out);
        puts_(out, "::text, 'UTF8'), 'hex')");
    }
}


/* What a connection's row must yield for an edge, or for a node. */
static void
sql_edge(sql_t *s, sql_row_t *row, const travel_graphql_node_t *connection,
    const travel_graphql_node_t *edges, sql_parts_t *parts, text_t *out)
{
    size_t                        n = 0;
    const travel_graphql_node_t  *node;

    if (edges->kind == TRAVEL_GRAPHQL_NODE_NODES) {
        sql_object(s, row, edges->children, parts, out);
        return;
    }

    puts_(out, "json_build_object(");

    for (node = edges->children; node != NULL; node = node->next) {
        puts_(out, n++ > 0 ? ", " : "");
        travel_graphql_text_literal(out, node->key);
        puts_(out, ", ");

        switch (node->kind) {

        case TRAVEL_GRAPHQL_NODE_NODE:
            sql_object(s, row, node->children, parts, out);
            break;

        case TRAVEL_GRAPHQL_NODE_CURSOR:
            sql_cursor(s, row, connection, out);
            break;

        default:
            travel_graphql_text_literal(out, node->type);
            puts_(out, "::text");
        }
    }

    puts_(out, ")");
}


static void
sql_page_info(const travel_graphql_node_t *connection,
    const travel_graphql_node_t *info, unsigned row, unsigned limit,
    text_t *out)
{
    size_t                         n = 0;
    const travel_graphql_node_t   *node;
    const travel_graphql_given_t  *after;

    after = travel_graphql_node_given(connection, TRAVEL_GRAPHQL_ARG_AFTER);
    puts_(out, "json_build_object(");

    for (node = info->children; node != NULL; node = node->next) {
        puts_(out, n++ > 0 ? ", " : "");
        travel_graphql_text_literal(out, node->key);
        puts_(out, ", ");

        switch (node->kind) {

        case TRAVEL_GRAPHQL_NODE_HAS_NEXT:
            travel_graphql_text_printf(out, "count(*) > $%u::bigint", limit);
            break;

        case TRAVEL_GRAPHQL_NODE_HAS_PREVIOUS:
            puts_(out, after != NULL && after->given ? "true" : "false");
            break;

        case TRAVEL_GRAPHQL_NODE_START_CURSOR:
        case TRAVEL_GRAPHQL_NODE_END_CURSOR:
            travel_graphql_text_printf(out,
                "(array_agg(p%u.c ORDER BY p%u.n%s) FILTER (WHERE p%u.n <= "
                "$%u::bigint))[1]", row, row,
                node->kind == TRAVEL_GRAPHQL_NODE_END_CURSOR ? " DESC" : "",
                row, limit);
            break;

        default:
            travel_graphql_text_literal(out, node->type);
            puts_(out, "::text");
        }
    }

    puts_(out, ")");
}


/* The connection's own object, over the rows' columns j<i>, n and c. */
static void
sql_connection_object(sql_t *s, sql_row_t *parent, sql_row_t *row,
    const travel_graphql_node_t *node, unsigned limit, text_t *out)
{
    size_t                        n = 0;
    unsigned                      i = 0;
    text_t                        from = { 0 };
    sql_row_t                     all;
    const travel_graphql_node_t  *part;

    puts_(out, "json_build_object(");

    for (part = node->children; part != NULL; part = part->next) {
        puts_(out, n++ > 0 ? ", " : "");
        travel_graphql_text_literal(out, part->key);
        puts_(out, ", ");

        switch (part->kind) {

        case TRAVEL_GRAPHQL_NODE_EDGES:
        case TRAVEL_GRAPHQL_NODE_NODES:
            i++;
            travel_graphql_text_printf(out,
                "coalesce(json_agg(p%u.j%u ORDER BY p%u.n) FILTER (WHERE "
                "p%u.n <= $%u::bigint), '[]'::json)", row->n, i, row->n,
                row->n, limit);
            break;

        case TRAVEL_GRAPHQL_NODE_PAGE_INFO:
            sql_page_info(node, part, row->n, limit, out);
            break;

        case TRAVEL_GRAPHQL_NODE_TOTAL:
            memset(&all, 0, sizeof(all));
            all.n = ++s->rows;
            all.type = row->type;
            sql_from(s, &all, parent, node, &from);
            puts_(out, "(SELECT count(*)::int");
            travel_graphql_text_join(out, &from);
            puts_(out, ")");
            travel_graphql_text_free(&from);
            break;

        default:
            travel_graphql_text_literal(out, part->type);
            puts_(out, "::text");
        }
    }

    puts_(out, ")");
}


static void
sql_connection(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const travel_graphql_node_t *node, sql_parts_t *parts, text_t *out)
{
    text_t                         from = { 0 }, cursor = { 0 }, over = { 0 };
    unsigned                       limit, i = 0;
    const travel_graphql_node_t   *part;
    const travel_graphql_order_t  *order = travel_graphql_node_order(node);

    limit = sql_limit(s, node);

    for (part = node->children; part != NULL; part = part->next) {
        if (part->kind == TRAVEL_GRAPHQL_NODE_EDGES
            || part->kind == TRAVEL_GRAPHQL_NODE_NODES)
        {
            puts_(&parts->object, ", ");
            sql_edge(s, row, node, part, parts, &parts->object);
            travel_graphql_text_printf(&parts->object, " AS j%u", ++i);
        }
    }

    sql_tag(s, row, parts);
    sql_cursor(s, row, node, &cursor);
    sql_order(s, row, order, &over);
    sql_from(s, row, parent, node, &from);
    sql_after(s, row, node, &from);

    puts_(out, "SELECT ");
    sql_connection_object(s, parent, row, node, limit, out);
    puts_(out, " AS j");

    if (parts->ntags > 0) {
        travel_graphql_text_printf(out, ", string_agg(p%u.t, ' ') AS t",
                                   row->n);
    }

    travel_graphql_text_printf(out, " FROM (SELECT t%u.n, ", row->n);
    travel_graphql_text_join(out, &cursor);
    puts_(out, " AS c");
    travel_graphql_text_join(out, &parts->object);
    sql_tags(parts, out);
    puts_(out, " FROM (SELECT ");
    sql_columns(row, out);
    puts_(out, ", row_number() OVER (");
    travel_graphql_text_add(out, (travel_str_t) { over.data + 1,
                                                  over.len - 1 });
    puts_(out, ") AS n");
    travel_graphql_text_join(out, &from);
    travel_graphql_text_join(out, &over);
    travel_graphql_text_printf(out, " LIMIT $%u::bigint + 1) AS t%u", limit,
                               row->n);
    travel_graphql_text_join(out, &parts->joins);
    travel_graphql_text_printf(out, ") AS p%u", row->n);

    travel_graphql_text_free(&from);
    travel_graphql_text_free(&cursor);
    travel_graphql_text_free(&over);
}


/* --- objects ------------------------------------------------------------- */

/* Joins rows of their own to the parts; returns their alias. */
static unsigned
sql_rows(sql_t *s, sql_row_t *parent, const travel_graphql_node_t *node,
    sql_parts_t *outer)
{
    text_t       select = { 0 };
    unsigned     n;
    sql_row_t   *row;
    sql_parts_t  parts = { 0 };

    row = calloc(1, sizeof(*row));
    if (row == NULL) {
        s->failed = true;
        return 0;
    }

    n = ++s->rows;
    row->n = n;
    row->type = node->field->of;

    switch (node->kind) {

    case TRAVEL_GRAPHQL_NODE_ONE:
        sql_one(s, row, parent, node, &parts, &select);
        break;

    case TRAVEL_GRAPHQL_NODE_LIST:
        sql_list(s, row, parent, node, &parts, &select);
        break;

    default:
        sql_connection(s, row, parent, node, &parts, &select);
    }

    puts_(&outer->joins, " LEFT JOIN LATERAL (");
    travel_graphql_text_join(&outer->joins, &select);
    travel_graphql_text_printf(&outer->joins, ") AS r%u ON true", n);

    if (parts.ntags > 0) {
        sql_tag_from(outer, n);
    }

    s->failed |= parts.object.failed || parts.tags.failed;
    travel_graphql_text_free(&select);
    sql_parts_free(&parts);
    free(row);

    return n;
}


static void
sql_leaf(sql_t *s, sql_row_t *row, const travel_graphql_node_t *node,
    text_t *out)
{
    text_t  value = { 0 };

    if (node->field->sql.n > 0) {
        sql_template(s, row, &node->field->sql, node, NULL, NULL, &value);
    } else {
        sql_column(s, row, node->field->name, &value);
    }

    if (node->field->render.n > 0) {
        sql_template(s, row, &node->field->render, node, NULL, &value, out);
    } else {
        travel_graphql_text_join(out, &value);
    }

    travel_graphql_text_free(&value);
}


static void
sql_value(sql_t *s, sql_row_t *row, const travel_graphql_node_t *node,
    sql_parts_t *parts, text_t *out)
{
    switch (node->kind) {

    case TRAVEL_GRAPHQL_NODE_LEAF:
        sql_leaf(s, row, node, out);
        break;

    case TRAVEL_GRAPHQL_NODE_EMBED:
        sql_object(s, row, node->children, parts, out);
        break;

    case TRAVEL_GRAPHQL_NODE_ONE:
    case TRAVEL_GRAPHQL_NODE_LIST:
    case TRAVEL_GRAPHQL_NODE_CONNECTION:
        travel_graphql_text_printf(out, "r%u.j",
                                   sql_rows(s, row, node, parts));
        break;

    case TRAVEL_GRAPHQL_NODE_TYPENAME:
        travel_graphql_text_literal(out, node->type);
        puts_(out, "::text");
        break;

    case TRAVEL_GRAPHQL_NODE_SUCCESS:
        puts_(out, "true");
        break;

    case TRAVEL_GRAPHQL_NODE_JOB:
        travel_graphql_text_printf(out, "$%u::json",
            sql_bind(s, (travel_graphql_bind_t) {
                         .kind = TRAVEL_GRAPHQL_BIND_JOB, .node = node }));
        break;

    case TRAVEL_GRAPHQL_NODE_META:
        travel_graphql_text_printf(out, "$%u::json",
            sql_bind(s, (travel_graphql_bind_t) {
                         .kind = TRAVEL_GRAPHQL_BIND_META, .node = node }));
        break;

    default:
        puts_(out, "NULL::json");
    }
}


/* A function takes 100 arguments: a bigger object is chunks without their
 * braces, put together. */
static void
sql_object(sql_t *s, sql_row_t *row, const travel_graphql_node_t *first,
    sql_parts_t *parts, text_t *out)
{
    size_t                        n, total = 0;
    bool                          chunks;
    const travel_graphql_node_t  *node;

    for (node = first; node != NULL; node = node->next) {
        total++;
    }

    chunks = total > SQL_PAIRS;
    puts_(out, chunks ? "('{' || left(substr(json_build_object("
                      : "json_build_object(");

    for (node = first, n = 0; node != NULL; node = node->next, n++) {

        if (n > 0 && n % SQL_PAIRS == 0) {
            puts_(out, ")::text, 2), -1) || ', ' || "
                       "left(substr(json_build_object(");
        }

        puts_(out, n % SQL_PAIRS > 0 ? ", " : "");
        travel_graphql_text_literal(out, node->key);
        puts_(out, ", ");
        sql_value(s, row, node, parts, out);
    }

    puts_(out, chunks ? ")::text, 2), -1) || '}')::json" : ")");
}


/* A root alone: the others are left out. */
static void
sql_only(sql_t *s, sql_row_t *row, const travel_graphql_node_t *node,
    sql_parts_t *parts)
{
    puts_(&parts->object, "json_build_object(");
    travel_graphql_text_literal(&parts->object, node->key);
    puts_(&parts->object, ", ");
    sql_value(s, row, node, parts, &parts->object);
    puts_(&parts->object, ")");
}


/* --- the statement ------------------------------------------------------- */

int
travel_graphql_sql(travel_graphql_statement_t *ret_statement,
    const travel_graphql_node_t *roots, const travel_graphql_node_t *only)
{
    sql_t                   s = { 0 };
    text_t                  out = { 0 };
    sql_row_t              *row;
    sql_parts_t             parts = { 0 };

    row = calloc(1, sizeof(*row));
    if (row == NULL) {
        return TRAVEL_ERROR;
    }

    if (only != NULL) {
        sql_only(&s, row, only, &parts);
    } else {
        sql_object(&s, row, roots, &parts, &parts.object);
    }

    puts_(&out, "SELECT '{\"data\":' || ");
    travel_graphql_text_join(&out, &parts.object);
    puts_(&out, "::text || '}', ");

    if (parts.ntags > 0) {
        puts_(&out, "string_to_array(concat_ws(' ', ");
        travel_graphql_text_join(&out, &parts.tags);
        puts_(&out, "), ' ')");
    } else {
        puts_(&out, "'{}'::text[]");
    }

    puts_(&out, " FROM (VALUES (1)) AS z");
    travel_graphql_text_join(&out, &parts.joins);

    sql_parts_free(&parts);
    free(row);

    if (s.failed || s.refused || out.failed) {
        travel_graphql_text_free(&out);
        free(s.binds);
        return s.refused ? TRAVEL_REFUSED : TRAVEL_ERROR;
    }

    ret_statement->sql = out.data;
    ret_statement->binds = s.binds;
    ret_statement->nbinds = s.nbinds;
    ret_statement->viewer = s.viewer != 0;
    ret_statement->marked = s.mark != 0;

    return TRAVEL_OK;
}


void
travel_graphql_statement_fini(travel_graphql_statement_t *statement)
{
    free(statement->sql);
    free(statement->binds);
    memset(statement, 0, sizeof(*statement));
}


const travel_graphql_given_t *
travel_graphql_node_given(const travel_graphql_node_t *node,
    travel_graphql_arg_e kind)
{
    size_t  i;

    for (i = 0; i < node->field->nargs; i++) {
        if (node->field->args[i].kind == kind) {
            return &node->given[i];
        }
    }

    return NULL;
}


const travel_graphql_order_t *
travel_graphql_node_order(const travel_graphql_node_t *node)
{
    const travel_graphql_given_t  *given;

    given = travel_graphql_node_given(node, TRAVEL_GRAPHQL_ARG_ORDER);

    return given != NULL && given->given && given->choice != NULL
           ? &given->choice->order : &node->field->order;
}
