/*
 * Rows: where they are from, whose they are, in which order and how many; one,
 * a list, those of several types.
 */

#include "sql_parts.h"

#include <stdio.h>
#include <stdlib.h>

#define SQL_DIGITS  10                /* of a limit that a document has */


/* --- FROM, WHERE, ORDER BY ----------------------------------------------- */

static void
sql_and(text_t *out, unsigned *n)
{
    puts_(out, (*n)++ == 0 ? " WHERE " : " AND ");
}


/* Input objects within each other are at most TRAVEL_GRAPHQL_NESTED_MAX. */
static void
sql_filters(sql_t *s, sql_row_t *row, const node_t *node,
    const travel_graphql_map_arg_t *args, size_t nargs,
    const travel_graphql_given_t *given, text_t *out, unsigned *n)
{
    size_t  i;

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

        if (given[i].members != NULL) {
            sql_filters(s, row, node, args[i].members, args[i].nmembers,
                        given[i].members, out, n);
        }
    }
}


/* A payload's row: that of what the command made. */
static bool
sql_made(const node_t *node)
{
    return node->kind == TRAVEL_GRAPHQL_NODE_ONE && node->field->nlinks == 0
           && node->field->nargs == 0 && node->field->from.n == 0
           && node->field->owner->payload;
}


void
sql_from(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const node_t *node, text_t *out)
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

    if (row->type->where.n > 0) {
        sql_and(out, &n);
        puts_(out, "(");
        sql_template(s, row, &row->type->where, node, NULL, NULL, out);
        puts_(out, ")");
    }

    sql_filters(s, row, node, field->args, field->nargs, node->given, out, &n);

    if (n == 0) {
        puts_(out, " WHERE true");
    }

    row->ncolumns = read;            /* conditions are not read further out */
}


void
sql_order(sql_t *s, sql_row_t *row, const travel_graphql_order_t *order,
    bool backward, text_t *out)
{
    size_t  i, n = 0, read = row->ncolumns;

    for (i = 0; i < order->n; i++) {

        /* of one type all rows have the same number */

        if (order->keys[i].column.len > 0) {
            puts_(out, n++ > 0 ? ", " : " ORDER BY ");
            sql_column(s, row, order->keys[i].column, out);
            puts_(out, order->keys[i].desc != backward ? " DESC" : "");
        }
    }

    row->ncolumns = read;
}


void
sql_limit(sql_t *s, const node_t *node, char buf[SQL_LIMIT])
{
    unsigned                       n;
    const travel_graphql_value_t  *value;
    const travel_graphql_given_t  *given;

    given = travel_graphql_node_limit(node);

    /* a number that is the same each time is one for PostgreSQL's planner */

    if (given == NULL) {
        snprintf(buf, SQL_LIMIT, "%u", node->field->fallback);
        return;
    }

    value = &given->value;

    if (value->variable.len == 0 && value->text.len > 0
        && value->text.len < SQL_DIGITS
        && strspn(value->text.data, "0123456789") >= value->text.len)
    {
        snprintf(buf, SQL_LIMIT, "%.*s", (int) value->text.len,
                 value->text.data);
        return;
    }

    n = sql_bind(s, (travel_graphql_bind_t) {
            .kind = TRAVEL_GRAPHQL_BIND_LIMIT, .node = node, .value = value,
            .max = node->field->max, .fallback = node->field->fallback });
    snprintf(buf, SQL_LIMIT, "$%u::bigint", n);
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


void
sql_select(const sql_row_t *row, const text_t *from, const char *limit,
    const sql_parts_t *parts, text_t *out)
{
    puts_(out, " FROM (SELECT ");
    sql_columns(row, out);
    travel_graphql_text_join(out, from);
    travel_graphql_text_printf(out, " LIMIT %s) AS t%u", limit, row->n);
    travel_graphql_text_join(out, &parts->joins);
}


/* --- tags ---------------------------------------------------------------- */

/* The row's own tag: 'journey:' || t1.id */
void
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


void
sql_tags(const sql_parts_t *parts, text_t *out)
{
    if (parts->ntags > 0) {
        puts_(out, ", concat_ws(' ', ");
        travel_graphql_text_join(out, &parts->tags);
        puts_(out, ") AS t");

    } else if (parts->several) {
        puts_(out, ", NULL::text AS t");
    }
}


/* --- orders further out -------------------------------------------------- */

void
sql_keys(sql_t *s, sql_row_t *row, const travel_graphql_order_t *order,
    text_t *out)
{
    size_t  i;

    for (i = 0; i < order->n; i++) {
        puts_(out, ", ");
        sql_key(s, row, &order->keys[i], out);
        travel_graphql_text_printf(out, " AS k%zu", i + 1);
    }
}


void
sql_by(const travel_graphql_order_t *order, bool backward, const char *of,
    text_t *out)
{
    size_t  i;

    for (i = 0; i < order->n; i++) {
        travel_graphql_text_printf(out, "%s%sk%zu%s",
                                   i > 0 ? ", " : " ORDER BY ", of, i + 1,
                                   order->keys[i].desc != backward ? " DESC"
                                                                   : "");
    }
}


/* One row has no order of its own. */
static const travel_graphql_order_t *
sql_order_of(const node_t *node)
{
    return node->kind == TRAVEL_GRAPHQL_NODE_ONE
           ? &node->field->of->key : travel_graphql_node_order(node);
}


void
sql_several(sql_t *s, sql_row_t *row, sql_row_t *parent, const node_t *node,
    const char *limit, sql_write_pt write, sql_parts_t *parts, text_t *out)
{
    size_t                            i;
    sql_row_t                        *one;
    sql_parts_t                       own;
    const travel_graphql_map_type_t  *type = node->field->of;

    puts_(out, "(");

    if (type->nmembers == 0) {
        write(s, row, parent, node, limit, parts, out);
        puts_(out, ")");
        return;
    }

    for (i = 0; i < type->nmembers; i++) {
        one = calloc(1, sizeof(*one));

        if (one == NULL) {
            s->failed = true;
            return;
        }

        memset(&own, 0, sizeof(own));
        own.several = true;
        one->n = ++s->rows;
        one->number = (unsigned) i;
        one->type = type->members[i];

        puts_(out, i > 0 ? " UNION ALL (" : "(");
        write(s, one, parent, node, limit, &own, out);
        puts_(out, ")");

        s->failed |= own.object.failed || own.tags.failed;
        sql_parts_free(&own);
        free(one);
    }

    sql_by(sql_order_of(node), node->backward, "", out);
    travel_graphql_text_printf(out, " LIMIT %s)", limit);
    parts->ntags++;
}


/* --- one, a list --------------------------------------------------------- */

/* A row as what is asked of it, with its tags and, where it is one of many,
 * what they are ordered by. */
static void
sql_row(sql_t *s, sql_row_t *row, sql_row_t *parent, const node_t *node,
    const char *limit, sql_parts_t *parts, text_t *out)
{
    bool                           one = node->kind == TRAVEL_GRAPHQL_NODE_ONE;
    text_t                         from = { 0 }, keys = { 0 };
    const travel_graphql_order_t  *order = sql_order_of(node);

    sql_object(s, row, node, parts, &parts->object);
    sql_tag(s, row, parts);

    if (!one || parts->several) {
        sql_keys(s, row, order, &keys);
    }

    sql_from(s, row, parent, node, &from);
    sql_order(s, row, one ? &row->type->key : order, false, &from);

    puts_(out, "SELECT ");
    travel_graphql_text_join(out, &parts->object);
    puts_(out, " AS j");
    sql_tags(parts, out);
    travel_graphql_text_join(out, &keys);
    sql_select(row, &from, limit, parts, out);

    travel_graphql_text_free(&from);
    travel_graphql_text_free(&keys);
}


static void
sql_one(sql_t *s, sql_row_t *row, sql_row_t *parent, const node_t *node,
    sql_parts_t *parts, text_t *out)
{
    if (row->type->nmembers == 0) {
        sql_row(s, row, parent, node, "1", parts, out);
        return;
    }

    travel_graphql_text_printf(out, "SELECT p%u.j, p%u.t FROM ", row->n,
                               row->n);
    sql_several(s, row, parent, node, "1", sql_row, parts, out);
    travel_graphql_text_printf(out, " AS p%u", row->n);
}


static void
sql_list(sql_t *s, sql_row_t *row, sql_row_t *parent, const node_t *node,
    sql_parts_t *parts, text_t *out)
{
    char    limit[SQL_LIMIT], of[16];
    text_t  rows = { 0 };

    snprintf(of, sizeof(of), "p%u.", row->n);
    sql_limit(s, node, limit);
    sql_several(s, row, parent, node, limit, sql_row, parts, &rows);

    travel_graphql_text_printf(out, "SELECT coalesce(json_agg(%sj", of);
    sql_by(travel_graphql_node_order(node), false, of, out);
    puts_(out, "), '[]'::json) AS j");

    if (parts->ntags > 0) {
        travel_graphql_text_printf(out, ", string_agg(%st, ' ') AS t", of);
    }

    puts_(out, " FROM ");
    travel_graphql_text_join(out, &rows);
    travel_graphql_text_printf(out, " AS p%u", row->n);

    travel_graphql_text_free(&rows);
}


unsigned
sql_rows(sql_t *s, sql_row_t *parent, const node_t *node, sql_parts_t *outer)
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
        puts_(&outer->tags, outer->ntags++ > 0 ? ", " : "");
        travel_graphql_text_printf(&outer->tags, "r%u.t", n);
    }

    s->failed |= parts.object.failed || parts.tags.failed;
    travel_graphql_text_free(&select);
    sql_parts_free(&parts);
    free(row);

    return n;
}
