/*
 * Connections: edges, nodes, a page's ends, the number of all.
 *
 * A row more than asked for is read, to know of a next page; 'n' counts them by
 * the order, from the end for the last ones; 'c' is a row's cursor, j1, j2, ...
 * what edges and nodes want.
 */

#include "sql_parts.h"

#include <stdio.h>


/* After (or before) the row that a cursor names, in any mix of directions:
 * k1 > a OR (k1 = a AND (k2 > b ...)). */
static void
sql_beyond(sql_t *s, sql_row_t *row, const node_t *node,
    travel_graphql_arg_e kind, text_t *out)
{
    bool                           less = kind == TRAVEL_GRAPHQL_ARG_BEFORE;
    size_t                         i;
    unsigned                       n;
    const travel_graphql_given_t  *cursor;
    const travel_graphql_order_t  *order;

    cursor = travel_graphql_node_given(node, kind);
    order = travel_graphql_node_order(node);

    if (cursor == NULL) {
        return;
    }

    puts_(out, " AND (");

    for (i = 0; i < order->n; i++) {
        n = sql_bind(s, (travel_graphql_bind_t) {
                .kind = TRAVEL_GRAPHQL_BIND_KEY, .value = &cursor->value,
                .node = node, .key = (uint32_t) i });

        sql_key(s, row, &order->keys[i], out);
        travel_graphql_text_printf(out, " %s $%u",
                                   order->keys[i].desc != less ? "<" : ">", n);

        if (i + 1 < order->n) {
            puts_(out, " OR (");
            sql_key(s, row, &order->keys[i], out);
            travel_graphql_text_printf(out, " = $%u AND (", n);
        }
    }

    for (i = 1; i < order->n; i++) {
        puts_(out, "))");
    }

    puts_(out, ")");
}


/* MARK<index>:<hex>.<hex>; NULL would be no place to go on from. */
static void
sql_cursor(sql_t *s, sql_row_t *row, const node_t *node, text_t *out)
{
    size_t                         i;
    const travel_graphql_order_t  *order = travel_graphql_node_order(node);

    travel_graphql_text_printf(out, "$%u::text || '%u:'", sql_mark(s),
                               node->index);

    for (i = 0; i < order->n; i++) {
        puts_(out, i > 0 ? " || '.' || encode(convert_to("
                         : " || encode(convert_to(");
        sql_key(s, row, &order->keys[i], out);
        puts_(out, "::text, 'UTF8'), 'hex')");
    }
}


/* What a connection's row must yield for an edge, or for a node. */
static void
sql_edge(sql_t *s, sql_row_t *row, const node_t *connection,
    const node_t *edges, sql_parts_t *parts, text_t *out)
{
    bool           chunks;
    size_t         n = 0;
    const node_t  *node;

    if (edges->kind == TRAVEL_GRAPHQL_NODE_NODES) {
        sql_object(s, row, edges, parts, out);
        return;
    }

    chunks = sql_open(edges->children, out);

    for (node = edges->children; node != NULL; node = node->next) {
        sql_pair(n++, node->key, out);

        switch (node->kind) {

        case TRAVEL_GRAPHQL_NODE_NODE:
            sql_object(s, row, node, parts, out);
            break;

        case TRAVEL_GRAPHQL_NODE_CURSOR:
            sql_cursor(s, row, connection, out);
            break;

        default:
            sql_typename(node, out);
        }
    }

    sql_close(chunks, out);
}


/* Where the page came from there was a row: that of the cursor. */
static void
sql_page_info(const node_t *connection, const node_t *info, unsigned row,
    const char *limit, text_t *out)
{
    size_t                         n = 0;
    bool                           chunks = sql_open(info->children, out);
    bool                           next;
    const node_t                  *node;

    for (node = info->children; node != NULL; node = node->next) {
        sql_pair(n++, node->key, out);

        switch (node->kind) {

        case TRAVEL_GRAPHQL_NODE_HAS_NEXT:
        case TRAVEL_GRAPHQL_NODE_HAS_PREVIOUS:
            next = node->kind == TRAVEL_GRAPHQL_NODE_HAS_NEXT;

            if (next != connection->backward) {
                travel_graphql_text_printf(out, "count(*) > %s", limit);
            } else {
                puts_(out, travel_graphql_node_given(connection, next
                               ? TRAVEL_GRAPHQL_ARG_BEFORE
                               : TRAVEL_GRAPHQL_ARG_AFTER) != NULL ? "true"
                                                                   : "false");
            }

            break;

        case TRAVEL_GRAPHQL_NODE_START_CURSOR:
        case TRAVEL_GRAPHQL_NODE_END_CURSOR:
            next = node->kind == TRAVEL_GRAPHQL_NODE_END_CURSOR;
            travel_graphql_text_printf(out,
                "(array_agg(p%u.c ORDER BY p%u.n%s) FILTER (WHERE p%u.n <= "
                "%s))[1]", row, row,
                next != connection->backward ? " DESC" : "", row, limit);
            break;

        default:
            sql_typename(node, out);
        }
    }

    sql_close(chunks, out);
}


/* How many there are: of several types, of each. */
static void
sql_total(sql_t *s, sql_row_t *parent, const node_t *node, text_t *out)
{
    size_t                            i;
    text_t                            from;
    sql_row_t                         all;
    const travel_graphql_map_type_t  *type = node->field->of;

    for (i = 0; i == 0 || i < type->nmembers; i++) {
        memset(&from, 0, sizeof(from));
        memset(&all, 0, sizeof(all));
        all.n = ++s->rows;
        all.type = type->nmembers > 0 ? type->members[i] : type;

        sql_from(s, &all, parent, node, &from);
        puts_(out, i > 0 ? " + (SELECT count(*)::int"
                         : "(SELECT count(*)::int");
        travel_graphql_text_join(out, &from);
        puts_(out, ")");
        travel_graphql_text_free(&from);
    }
}


/* The connection's own object, over the rows' columns j<i>, n and c. */
static void
sql_connection_object(sql_t *s, sql_row_t *parent, sql_row_t *row,
    const node_t *node, const char *limit, text_t *out)
{
    bool           chunks = sql_open(node->children, out);
    size_t         n = 0;
    unsigned       i = 0;
    const node_t  *part;

    for (part = node->children; part != NULL; part = part->next) {
        sql_pair(n++, part->key, out);

        switch (part->kind) {

        case TRAVEL_GRAPHQL_NODE_EDGES:
        case TRAVEL_GRAPHQL_NODE_NODES:
            i++;
            travel_graphql_text_printf(out,
                "coalesce(json_agg(p%u.j%u ORDER BY p%u.n%s) FILTER (WHERE "
                "p%u.n <= %s), '[]'::json)", row->n, i, row->n,
                node->backward ? " DESC" : "", row->n, limit);
            break;

        case TRAVEL_GRAPHQL_NODE_PAGE_INFO:
            sql_page_info(node, part, row->n, limit, out);
            break;

        case TRAVEL_GRAPHQL_NODE_TOTAL:
            sql_total(s, parent, node, out);
            break;

        default:
            sql_typename(part, out);
        }
    }

    sql_close(chunks, out);
}


/* A row as edges and nodes have it. */
static void
sql_connection_row(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const node_t *node, const char *limit, sql_parts_t *parts, text_t *out)
{
    text_t                         from = { 0 }, cursor = { 0 }, keys = { 0 };
    unsigned                       i = 0;
    const node_t                  *part;
    const travel_graphql_order_t  *order = travel_graphql_node_order(node);

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
    sql_keys(s, row, order, &keys);
    sql_from(s, row, parent, node, &from);
    sql_beyond(s, row, node, TRAVEL_GRAPHQL_ARG_AFTER, &from);
    sql_beyond(s, row, node, TRAVEL_GRAPHQL_ARG_BEFORE, &from);
    sql_order(s, row, order, node->backward, &from);

    puts_(out, "SELECT ");
    travel_graphql_text_join(out, &cursor);
    puts_(out, " AS c");
    travel_graphql_text_join(out, &parts->object);
    sql_tags(parts, out);
    travel_graphql_text_join(out, &keys);
    sql_select(row, &from, limit, parts, out);

    travel_graphql_text_free(&from);
    travel_graphql_text_free(&cursor);
    travel_graphql_text_free(&keys);
}


/* Is a row part of the answer, or what a page begins and ends with?  Where none
 * is, none is read, not for its tag either: PostgreSQL leaves out what no
 * aggregate wants. */
static bool
sql_shows_rows(const node_t *node)
{
    const node_t  *part;

    for (part = node->children; part != NULL; part = part->next) {
        if (part->kind == TRAVEL_GRAPHQL_NODE_EDGES
            || part->kind == TRAVEL_GRAPHQL_NODE_NODES
            || part->kind == TRAVEL_GRAPHQL_NODE_PAGE_INFO)
        {
            return true;
        }
    }

    return false;
}


void
sql_connection(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const node_t *node, sql_parts_t *parts, text_t *out)
{
    char    limit[SQL_LIMIT], more[SQL_LIMIT + 4], of[16];
    text_t  rows = { 0 };

    snprintf(of, sizeof(of), "u%u.", row->n);
    sql_limit(s, node, limit);
    snprintf(more, sizeof(more), "%s + 1", limit);
    sql_several(s, row, parent, node, more, sql_connection_row, parts, &rows);

    if (!sql_shows_rows(node)) {
        parts->ntags = 0;
    }

    puts_(out, "SELECT ");
    sql_connection_object(s, parent, row, node, limit, out);
    puts_(out, " AS j");

    if (parts->ntags > 0) {
        travel_graphql_text_printf(out, ", string_agg(p%u.t, ' ') AS t",
                                   row->n);
    }

    puts_(out, " FROM (SELECT row_number() OVER (");
    sql_by(travel_graphql_node_order(node), node->backward, of, out);
    travel_graphql_text_printf(out, ") AS n, %s* FROM ", of);
    travel_graphql_text_join(out, &rows);
    /* one row, also when nothing that was asked for is an aggregate */
    travel_graphql_text_printf(out, " AS u%u) AS p%u HAVING true", row->n,
                               row->n);

    travel_graphql_text_free(&rows);
}
