/*
 * What the files that write SQL share; nobody else includes it.
 *
 * Text is written from the inside: what is read of a row (its columns) is
 * known when all that reads it is written, so an object comes before the
 * SELECT that it stands around.
 */

#ifndef TRAVEL_GRAPHQL_SQL_PARTS_H
#define TRAVEL_GRAPHQL_SQL_PARTS_H

#include "plan.h"
#include "text.h"

#define SQL_COLUMNS  256            /* of a row, that one plan reads */
#define SQL_LIMIT    24             /* "$512::bigint" */

typedef travel_graphql_text_t  text_t;
typedef travel_graphql_node_t  node_t;

/* A row under construction: its alias is t<n>, and what is read of it. */
typedef struct {
    unsigned                          n;
    unsigned                          number;   /* of its type, among those of
                                                   an interface or a union */
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
    bool    several;            /* a column t whatever there is: other types'
                                   rows may have one */
} sql_parts_t;

#define puts_(t, s)  travel_graphql_text_puts(t, s)
#define put_(t, s)   travel_graphql_text_add(t, s)

#define sql_parts_free   travel_graphql_sql_parts_free
#define sql_bind         travel_graphql_sql_bind
#define sql_viewer       travel_graphql_sql_viewer
#define sql_mark         travel_graphql_sql_mark
#define sql_key          travel_graphql_sql_key
#define sql_column       travel_graphql_sql_column
#define sql_template     travel_graphql_sql_template
#define sql_typename     travel_graphql_sql_typename
#define sql_open         travel_graphql_sql_open
#define sql_pair         travel_graphql_sql_pair
#define sql_close        travel_graphql_sql_close
#define sql_object       travel_graphql_sql_object
#define sql_rows         travel_graphql_sql_rows
#define sql_from         travel_graphql_sql_from
#define sql_order        travel_graphql_sql_order
#define sql_limit        travel_graphql_sql_limit
#define sql_select       travel_graphql_sql_select
#define sql_tag          travel_graphql_sql_tag
#define sql_tags         travel_graphql_sql_tags
#define sql_keys         travel_graphql_sql_keys
#define sql_by           travel_graphql_sql_by
#define sql_several      travel_graphql_sql_several
#define sql_connection   travel_graphql_sql_connection

void sql_parts_free(sql_parts_t *parts);

/* --- parameters, names, objects (plan_sql.c) ------------------------------ */

/* The number of a new parameter; 0 when there is none to be had. */
unsigned sql_bind(sql_t *s, travel_graphql_bind_t bind);
unsigned sql_viewer(sql_t *s);
unsigned sql_mark(sql_t *s);

void sql_column(sql_t *s, sql_row_t *row, travel_str_t name, text_t *out);
/* A column of an order, or the number of the row's type. */
void sql_key(sql_t *s, sql_row_t *row, const travel_graphql_key_t *key,
    text_t *out);
/* 'self' is what {} and {$} stand for: 'inner' SQL, or the argument. */
void sql_template(sql_t *s, sql_row_t *row,
    const travel_graphql_template_t *template, const node_t *node,
    const travel_graphql_given_t *self, const text_t *inner, text_t *out);

/* What __typename is. */
void sql_typename(const node_t *node, text_t *out);
/* An object of the values that 'first' and the next of it are: one pair each,
 * the n-th with its value behind it. */
bool sql_open(const node_t *first, text_t *out);
void sql_pair(size_t n, travel_str_t key, text_t *out);
void sql_close(bool chunks, text_t *out);
/* The object that 'node' selects from the row: json_build_object(...). */
void sql_object(sql_t *s, sql_row_t *row, const node_t *node,
    sql_parts_t *parts, text_t *out);

/* --- rows (plan_rows.c) --------------------------------------------------- */

/* Joins rows of their own to the parts; returns their alias. */
unsigned sql_rows(sql_t *s, sql_row_t *parent, const node_t *node,
    sql_parts_t *outer);

/* Every row that is read comes through here: links to the parent's row, the
 * owner's condition, the type's own, the arguments'. */
void sql_from(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const node_t *node, text_t *out);
void sql_order(sql_t *s, sql_row_t *row, const travel_graphql_order_t *order,
    bool backward, text_t *out);
/* How many of them: a number of the document's, or a parameter. */
void sql_limit(sql_t *s, const node_t *node, char buf[SQL_LIMIT]);
/* " FROM (SELECT <what was read> <from> LIMIT <limit>) AS t<n> <joins>" */
void sql_select(const sql_row_t *row, const text_t *from, const char *limit,
    const sql_parts_t *parts, text_t *out);

/* The row's own tag, among the parts'; ", ... AS t". */
void sql_tag(sql_t *s, sql_row_t *row, sql_parts_t *parts);
void sql_tags(const sql_parts_t *parts, text_t *out);
/* ", ... AS k1, ..." for an order further out; " ORDER BY <of>k1, ..." */
void sql_keys(sql_t *s, sql_row_t *row, const travel_graphql_order_t *order,
    text_t *out);
void sql_by(const travel_graphql_order_t *order, bool backward, const char *of,
    text_t *out);

/*
 * The rows of the node's type as 'write' has them, in brackets: of an interface
 * or a union those of each of its types, as many as 'limit' of them all by the
 * node's order.  Tells in parts->ntags whether they have a column t.
 */
typedef void (*sql_write_pt)(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const node_t *node, const char *limit, sql_parts_t *parts, text_t *out);

void sql_several(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const node_t *node, const char *limit, sql_write_pt write,
    sql_parts_t *parts, text_t *out);

/* --- connections (plan_connection.c) -------------------------------------- */

void sql_connection(sql_t *s, sql_row_t *row, sql_row_t *parent,
    const node_t *node, sql_parts_t *parts, text_t *out);

#endif
