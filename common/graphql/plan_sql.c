/*
 * The tree of what is to be answered, written as SQL.  See plan.h.
 *
 * The recursion follows the tree, whose depth plan.c has bounded by
 * TRAVEL_GRAPHQL_DEPTH_MAX.
 */

#include "sql_parts.h"

#include <stdlib.h>

#define SQL_PAIRS  48               /* of a json_build_object: 100 arguments */

static void sql_value(sql_t *s, sql_row_t *row, const node_t *node,
    sql_parts_t *parts, text_t *out);


void
sql_parts_free(sql_parts_t *parts)
{
    travel_graphql_text_free(&parts->object);
    travel_graphql_text_free(&parts->joins);
    travel_graphql_text_free(&parts->tags);
}


/* --- parameters ---------------------------------------------------------- */

unsigned
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
        .kind = given->value.variable.len > 0 || given->value.made
                ? TRAVEL_GRAPHQL_BIND_VARIABLE : TRAVEL_GRAPHQL_BIND_TEXT,
        .value = &given->value
    });
}


unsigned
sql_viewer(sql_t *s)
{
    if (s->viewer == 0) {
        s->viewer = sql_bind(s, (travel_graphql_bind_t) {
                                 .kind = TRAVEL_GRAPHQL_BIND_VIEWER });
    }

    return s->viewer;
}


unsigned
sql_mark(sql_t *s)
{
    if (s->mark == 0) {
        s->mark = sql_bind(s, (travel_graphql_bind_t) {
                               .kind = TRAVEL_GRAPHQL_BIND_MARK });
    }

    return s->mark;
}


/* --- names and templates ------------------------------------------------- */

void
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


void
sql_key(sql_t *s, sql_row_t *row, const travel_graphql_key_t *key, text_t *out)
{
    if (key->column.len == 0) {
        travel_graphql_text_printf(out, "%u", row->number);
    } else {
        sql_column(s, row, key->column, out);
    }
}


static const travel_graphql_given_t *
sql_argument(const node_t *node, travel_str_t name)
{
    size_t  i;

    for (i = 0; i < node->field->nargs; i++) {
        if (travel_str_eq(node->field->args[i].name, name)) {
            return &node->given[i];
        }
    }

    return NULL;
}


void
sql_template(sql_t *s, sql_row_t *row,
    const travel_graphql_template_t *template,
    const node_t *node, const travel_graphql_given_t *self,
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


/* --- objects ------------------------------------------------------------- */

static void
sql_leaf(sql_t *s, sql_row_t *row, const node_t *node,
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


void
sql_typename(const node_t *node, text_t *out)
{
    travel_graphql_text_literal(out, node->type);
    puts_(out, "::text");
}


static void
sql_value(sql_t *s, sql_row_t *row, const node_t *node,
    sql_parts_t *parts, text_t *out)
{
    if (node->withheld != 0) {
        puts_(out, "NULL::json");
        return;
    }

    switch (node->kind) {

    case TRAVEL_GRAPHQL_NODE_LEAF:
        sql_leaf(s, row, node, out);
        break;

    case TRAVEL_GRAPHQL_NODE_EMBED:
        sql_object(s, row, node, parts, out);
        break;

    case TRAVEL_GRAPHQL_NODE_ONE:
    case TRAVEL_GRAPHQL_NODE_LIST:
    case TRAVEL_GRAPHQL_NODE_CONNECTION:
        travel_graphql_text_printf(out, "r%u.j",
                                   sql_rows(s, row, node, parts));
        break;

    case TRAVEL_GRAPHQL_NODE_TYPENAME:
        sql_typename(node, out);
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


/* A function takes 100 arguments: an object of more is chunks without their
 * braces, put together. */
bool
sql_open(const node_t *first, text_t *out)
{
    size_t  n = 0;

    for ( /* void */ ; first != NULL; first = first->next) {
        n++;
    }

    puts_(out, n > SQL_PAIRS ? "('{' || left(substr(json_build_object("
                             : "json_build_object(");
    return n > SQL_PAIRS;
}


void
sql_pair(size_t n, travel_str_t key, text_t *out)
{
    puts_(out, n == 0 ? "" : n % SQL_PAIRS > 0 ? ", "
               : ")::text, 2), -1) || ', ' || left(substr(json_build_object(");
    travel_graphql_text_literal(out, key);
    puts_(out, ", ");
}


void
sql_close(bool chunks, text_t *out)
{
    puts_(out, chunks ? ")::text, 2), -1) || '}')::json" : ")");
}


/* 'numbered': an object of several types begins with which it is, under a name
 * that no document has (complete.h). */
static void
sql_fields(sql_t *s, sql_row_t *row, const node_t *first, bool numbered,
    sql_parts_t *parts, text_t *out)
{
    bool           chunks = sql_open(first, out);
    size_t         n = 0;
    const node_t  *node;

    if (numbered) {
        travel_graphql_text_printf(out, "'', %u%s", row->number,
                                   first != NULL ? ", " : "");
    }

    for (node = first; node != NULL; node = node->next) {
        sql_pair(n++, node->key, out);
        sql_value(s, row, node, parts, out);
    }

    sql_close(chunks, out);
}


void
sql_object(sql_t *s, sql_row_t *row, const node_t *node, sql_parts_t *parts,
    text_t *out)
{
    const node_t  *member = node->children;

    if (member == NULL || member->kind != TRAVEL_GRAPHQL_NODE_MEMBER) {
        sql_fields(s, row, member, false, parts, out);
        return;
    }

    while (member->rows != row->type && member->next != NULL) {
        member = member->next;
    }

    sql_fields(s, row, member->children, true, parts, out);
}


/* A root alone: the others are left out. */
static void
sql_only(sql_t *s, sql_row_t *row, const node_t *node,
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
        sql_fields(&s, row, roots, false, &parts, &parts.object);
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
            return node->given[i].given ? &node->given[i] : NULL;
        }
    }

    return NULL;
}


const travel_graphql_given_t *
travel_graphql_node_limit(const travel_graphql_node_t *node)
{
    return travel_graphql_node_given(node,
               node->backward ? TRAVEL_GRAPHQL_ARG_LAST
                              : TRAVEL_GRAPHQL_ARG_LIMIT);
}


const travel_graphql_order_t *
travel_graphql_node_order(const travel_graphql_node_t *node)
{
    const travel_graphql_given_t  *given;

    given = travel_graphql_node_given(node, TRAVEL_GRAPHQL_ARG_ORDER);

    return given != NULL && given->choice != NULL
           ? &given->choice->order : &node->field->order;
}
