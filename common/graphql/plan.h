/*
 * A GraphQL query as one SQL statement.
 *
 * The document, checked already, is first turned into a tree of what is to be
 * answered: fragments merged, @skip and @include decided, each field with its
 * place in the mapping.  The tree is then written as SQL:
 *
 *     SELECT '{"data":' || json_build_object('mine', r1.j)::text || '}',
 *            string_to_array(concat_ws(' ', r1.t), ' ')
 *       FROM (VALUES (1)) AS z
 *       LEFT JOIN LATERAL (
 *            SELECT coalesce(json_agg(p1.j ORDER BY p1.k1 DESC), '[]') AS j,
 *                   string_agg(p1.t, ' ') AS t
 *              FROM (SELECT json_build_object('id', ..., 'stories', r2.j) AS j,
 *                           concat_ws(' ', 'journey:' || t1.id, r2.t) AS t,
 *                           t1.id AS k1
 *                      FROM (SELECT id FROM travel.journeys AS t1
 *                             WHERE t1.user_id = $1::uuid
 *                             ORDER BY t1.id DESC LIMIT $2) AS t1
 *                      LEFT JOIN LATERAL (... stories of t1 ...) AS r2 ON true
 *                   ) AS p1) AS r1 ON true
 *
 * - One statement, whatever is nested: no row is asked for by itself.
 * - The innermost SELECT names the columns that the document reads, has the
 *   conditions, the order and the bound; only what survives it is joined.
 * - Values are parameters only, the document's literals too; what is written
 *   into the text comes from the SDL, or is a response key as a literal.
 * - Every FROM is written by one function, which adds the owner's condition.
 * - Objects are json_build_object: json, not jsonb, keeps the order asked for;
 *   an object of over 50 fields is made of several.
 * - Orders are total: they end with the type's key.
 * - The second column has the tags of the rows that took part.
 * - A connection reads a row more than asked for, to know of a next page.  Its
 *   cursors leave the database as MARK<n>:<hex>[.<hex>...], MARK a random
 *   parameter that data cannot guess; who asked signs them (cursor.h).
 *
 * A plan is for a document, an operation and the shape of its variables: which
 * are absent, null, true or false, of enums the word.  Other values do not
 * change the text, so that a statement is prepared once.
 *
 * Cost = for each object field its @cost (1) plus, for lists, the items asked
 * for times what an item costs.  It is known before anything is asked.
 */

#ifndef TRAVEL_GRAPHQL_PLAN_H
#define TRAVEL_GRAPHQL_PLAN_H

#include "mapping.h"

#define TRAVEL_GRAPHQL_DEPTH_MAX    24      /* no limit can be set higher */
#define TRAVEL_GRAPHQL_BREADTH_MAX  2000    /* fields of a plan */
#define TRAVEL_GRAPHQL_BINDS_MAX    512

/* --- what is to be answered ---------------------------------------------- */

typedef enum {
    TRAVEL_GRAPHQL_NODE_LEAF,
    TRAVEL_GRAPHQL_NODE_TYPENAME,
    TRAVEL_GRAPHQL_NODE_EMBED,
    TRAVEL_GRAPHQL_NODE_ONE,
    TRAVEL_GRAPHQL_NODE_LIST,
    TRAVEL_GRAPHQL_NODE_CONNECTION,
    TRAVEL_GRAPHQL_NODE_META,           /* __schema, __type: from memory */
    TRAVEL_GRAPHQL_NODE_COMMAND,
    TRAVEL_GRAPHQL_NODE_OTHER,          /* of a payload */

    /* within a connection */
    TRAVEL_GRAPHQL_NODE_EDGES,
    TRAVEL_GRAPHQL_NODE_NODES,
    TRAVEL_GRAPHQL_NODE_NODE,
    TRAVEL_GRAPHQL_NODE_CURSOR,
    TRAVEL_GRAPHQL_NODE_TOTAL,
    TRAVEL_GRAPHQL_NODE_PAGE_INFO,
    TRAVEL_GRAPHQL_NODE_HAS_NEXT,
    TRAVEL_GRAPHQL_NODE_HAS_PREVIOUS,
    TRAVEL_GRAPHQL_NODE_START_CURSOR,
    TRAVEL_GRAPHQL_NODE_END_CURSOR
} travel_graphql_node_e;

typedef enum {
    TRAVEL_GRAPHQL_BIND_TEXT,         /* as the document has it */
    TRAVEL_GRAPHQL_BIND_VARIABLE,
    TRAVEL_GRAPHQL_BIND_LIMIT,        /* the same, between 0 and max */
    TRAVEL_GRAPHQL_BIND_KEY,          /* the key-th value of a cursor */
    TRAVEL_GRAPHQL_BIND_VIEWER,
    TRAVEL_GRAPHQL_BIND_MARK
} travel_graphql_bind_e;

/* A value: of the document, or where in the variables it is. */
typedef struct {
    travel_str_t     text;            /* as PostgreSQL reads it */
    travel_str_t     variable;        /* its name; else 'text' it is */
    travel_str_t     path[4];         /* members below it */
    size_t           npath;
} travel_graphql_value_t;

typedef struct travel_graphql_node_s   travel_graphql_node_t;
typedef struct travel_graphql_given_s  travel_graphql_given_t;

typedef struct {
    travel_graphql_bind_e          kind;
    const travel_graphql_value_t  *value;   /* TEXT, VARIABLE, LIMIT, KEY */
    const travel_graphql_node_t   *node;    /* LIMIT, KEY: whose */
    uint32_t                       max;
    uint32_t                       fallback;
    uint32_t                       key;
} travel_graphql_bind_t;

/* An argument as it was given; parallel to the field's args. */
struct travel_graphql_given_s {
    bool                             given;   /* and not null */
    travel_graphql_value_t           value;
    const travel_graphql_choice_t   *choice;  /* ORDER */
    travel_graphql_given_t          *members; /* of an input object */
};

struct travel_graphql_node_s {
    travel_graphql_node_e              kind;
    travel_str_t                       key;        /* response key */
    const travel_graphql_map_field_t  *field;
    travel_str_t                       type;       /* TYPENAME */
    travel_graphql_given_t            *given;
    travel_graphql_node_t             *children;
    travel_graphql_node_t             *next;
    uint32_t                           line;       /* in the document */
    uint32_t                           column;
    uint32_t                           index;      /* CONNECTION: its number */
    const void                        *source;     /* the document's field */
};

/* --- as SQL -------------------------------------------------------------- */

typedef struct {
    char                   *sql;      /* NUL-terminated, $1 ... $nbinds */
    travel_graphql_bind_t  *binds;
    size_t                  nbinds;
    bool                    viewer;   /* the viewer is among them */
    bool                    marked;   /* and a mark: there are cursors */
} travel_graphql_statement_t;

/* 'only' NULL: all the roots.  TRAVEL_OK; TRAVEL_REFUSED: more parameters than
 * a statement may have; TRAVEL_ERROR: out of memory. */
int travel_graphql_sql(travel_graphql_statement_t *ret_statement,
    const travel_graphql_node_t *roots, const travel_graphql_node_t *only)
    TRAVEL_MUST_CHECK;
void travel_graphql_statement_fini(travel_graphql_statement_t *statement);

/* The order of a list as it was asked for. */
const travel_graphql_order_t *travel_graphql_node_order(
    const travel_graphql_node_t *node);
/* The argument of that kind, given or not; NULL: the field has none. */
const travel_graphql_given_t *travel_graphql_node_given(
    const travel_graphql_node_t *node, travel_graphql_arg_e kind);

#endif
