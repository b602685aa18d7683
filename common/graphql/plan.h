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
 *   into the text comes from the SDL, or is a response key as a literal, or a
 *   limit in digits.
 * - Every FROM is written by one function, which adds the owner's condition.
 * - Objects are json_build_object: json, not jsonb, keeps the order asked for;
 *   an object of over 50 fields is made of several.
 * - Orders are total: they end with the type's key.
 * - Rows of an interface or a union are those of each of its types, each read
 *   as a list of that type would be, put together by UNION ALL, and as many of
 *   them as asked for; such an object says which type it is (complete.h).
 * - The second column has the tags of the rows that took part.
 * - A connection reads a row more than asked for, to know of a next page; with
 *   'last' it is read from its end, and its rows are turned round again.  Its
 *   cursors leave the database as MARK<n>:<hex>[.<hex>...], MARK a random
 *   parameter that data cannot guess; who asked signs them (cursor.h).
 *
 * A plan is for a document, an operation and the shape of its variables: which
 * are absent, null, true or false, of enums the word.  Other values do not
 * change the text, so that a statement is prepared once.
 *
 * A mutation's root is a command; what it made is read by a statement of its
 * own, whose roots are the payload's fields: "success" is true, "job" comes as
 * a parameter, and a type with rows is the row with the command's id.
 *
 * Cost = for each object field its @cost (1) plus, for lists, the items asked
 * for times what an item costs.  It is known before anything is asked.
 */

#ifndef TRAVEL_GRAPHQL_PLAN_H
#define TRAVEL_GRAPHQL_PLAN_H

#include "coerce.h"
#include "mapping.h"
#include "text.h"

#define TRAVEL_GRAPHQL_DEPTH_MAX    24      /* no limit can be set higher */
#define TRAVEL_GRAPHQL_BREADTH_MAX  2000    /* fields of a plan */
#define TRAVEL_GRAPHQL_BINDS_MAX    512
#define TRAVEL_GRAPHQL_ERROR_TEXT   240     /* bytes of a message */
#define TRAVEL_GRAPHQL_REQUIRES_MAX 64      /* permissions of a plan */

/* --- what is to be answered ---------------------------------------------- */

typedef enum {
    TRAVEL_GRAPHQL_NODE_LEAF,
    TRAVEL_GRAPHQL_NODE_TYPENAME,
    TRAVEL_GRAPHQL_NODE_EMBED,
    TRAVEL_GRAPHQL_NODE_ONE,
    TRAVEL_GRAPHQL_NODE_LIST,
    TRAVEL_GRAPHQL_NODE_CONNECTION,
    TRAVEL_GRAPHQL_NODE_MEMBER,         /* of an interface or a union: what is
                                           selected of rows of one type */
    TRAVEL_GRAPHQL_NODE_META,           /* __schema, __type: from memory */
    TRAVEL_GRAPHQL_NODE_COMMAND,
    TRAVEL_GRAPHQL_NODE_OTHER,          /* of a payload */
    TRAVEL_GRAPHQL_NODE_SUCCESS,        /* a payload's "success", "job" */
    TRAVEL_GRAPHQL_NODE_JOB,

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
    TRAVEL_GRAPHQL_BIND_MARK,
    TRAVEL_GRAPHQL_BIND_META,         /* what introspection says, as JSON */
    TRAVEL_GRAPHQL_BIND_MADE,         /* id of what a command made */
    TRAVEL_GRAPHQL_BIND_JOB           /* what 'node' says of the job, JSON */
} travel_graphql_bind_e;

/* A value: of the document, or where in the variables it is. */
typedef struct {
    const travel_graphql_map_arg_t  *arg;      /* what it is for; NULL: text */
    const travel_graphql_ast_t      *literal;  /* of the document, or NULL */
    travel_str_t                     text;     /* as PostgreSQL reads it */
    bool                             made;     /* that is not known before
                                                  the variables are */
    travel_str_t                     variable; /* its name; or none */
    travel_str_t                     path[TRAVEL_GRAPHQL_NESTED_MAX];
    size_t                           npath;    /* members below it */
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
    bool                             fallback;  /* by the SDL's default */
    travel_graphql_value_t           value;
    const travel_graphql_choice_t   *choice;  /* ORDER */
    travel_graphql_given_t          *members; /* of an input object */
};

struct travel_graphql_node_s {
    travel_graphql_node_e              kind;
    travel_str_t                       key;        /* response key */
    const travel_graphql_map_field_t  *field;
    travel_str_t                       type;       /* TYPENAME */
    const travel_graphql_map_type_t   *rows;       /* MEMBER */
    travel_graphql_given_t            *given;
    travel_graphql_node_t             *children;
    travel_graphql_node_t             *next;
    uint32_t                           line;       /* in the document */
    uint32_t                           column;
    uint32_t                           index;      /* CONNECTION: its number */
    bool                               backward;   /* it is read from its end */
    uint64_t                           needs;      /* permissions: bits, by
                                                      place in the plan's */
    int                                withheld;   /* travel_error_e: null it
                                                      is, for that; part.h */
    const travel_graphql_ast_t        *source;     /* the document's field */
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

/* --- a plan -------------------------------------------------------------- */

typedef struct {
    const travel_graphql_template_t  *tags;
    const travel_graphql_node_t      *node;     /* whose arguments they name */
} travel_graphql_tags_t;

typedef struct {
    const travel_graphql_mapping_t  *mapping;
    travel_graphql_document_t       *document;  /* owns all but statements */
    const travel_graphql_ast_t      *operation;
    travel_graphql_node_t           *roots;
    size_t                           nroots;
    travel_graphql_statement_t       statement; /* of a query */
    travel_graphql_tags_t           *tags;
    size_t                           ntags;
    travel_str_t                    *requires;  /* permissions, all of them */
    size_t                           nrequires;
    uint32_t                         ttl;       /* seconds; 0: not kept */
    uint32_t                         depth;
    uint32_t                         breadth;   /* fields */
    uint32_t                         connections;
    bool                             priced;    /* no variable changes this: */
    uint64_t                         cost;
    bool                             viewer;    /* it depends on who asks */
    bool                             meta;      /* there is introspection */
    bool                             data;      /* there is something else */
} travel_graphql_plan_t;

typedef struct {
    uint32_t  line;                   /* 0: no place in the document */
    uint32_t  column;
    int       code;                   /* travel_error_e */
    char      message[TRAVEL_GRAPHQL_ERROR_TEXT];
} travel_graphql_error_t;

/*
 * Plans the operation 'name' (empty: the only one) of a document whose
 * fragments and fields it checks as it goes.  The document becomes the plan's,
 * whatever is returned.  TRAVEL_OK; TRAVEL_INVALID: *ret_error; TRAVEL_ERROR.
 */
int travel_graphql_plan(travel_graphql_plan_t **ret_plan,
    const travel_graphql_mapping_t *mapping,
    travel_graphql_document_t *document, travel_str_t name,
    const travel_graphql_variables_t *variables,
    travel_graphql_error_t *ret_error) TRAVEL_MUST_CHECK;
void travel_graphql_plan_free(travel_graphql_plan_t *plan);

/* The operation that a request means.  TRAVEL_OK, TRAVEL_INVALID. */
int travel_graphql_operation(const travel_graphql_ast_t **ret_operation,
    const travel_graphql_document_t *document, travel_str_t name,
    travel_graphql_error_t *ret_error) TRAVEL_MUST_CHECK;

/* The shape of the variables, as the plan depends on it: a byte or a word for
 * each that the operation declares.  Returns its length, at most 'room'; 0:
 * it does not fit. */
size_t travel_graphql_shape(const travel_graphql_mapping_t *mapping,
    const travel_graphql_ast_t *operation,
    const travel_graphql_variables_t *variables, char *dst, size_t room);

/* --- values -------------------------------------------------------------- */

/*
 * What a value is now, as PostgreSQL reads it: a scalar as it is, a list as an
 * array's text, an input object and a list of lists as JSON; 'alloc' gives the
 * room for what is in no such form yet (NULL where none can be).  TRAVEL_OK
 * (data NULL: absent or null); TRAVEL_INVALID; TRAVEL_ERROR.
 */
typedef void *(*travel_graphql_alloc_pt)(void *pool, size_t size);

int travel_graphql_value(const travel_graphql_plan_t *plan,
    const travel_graphql_value_t *value,
    const travel_graphql_variables_t *variables,
    travel_graphql_alloc_pt alloc, void *pool, travel_str_t *ret_text)
    TRAVEL_MUST_CHECK;

/* The arguments of a command as its body: JSON, appended, by the names of its
 * schema; what is null is left out.  TRAVEL_OK; TRAVEL_INVALID: it nests too
 * deep, or is not what the variables were judged by; TRAVEL_ERROR. */
int travel_graphql_input(const travel_graphql_plan_t *plan,
    const travel_graphql_node_t *node,
    const travel_graphql_variables_t *variables, travel_graphql_text_t *out)
    TRAVEL_MUST_CHECK;

/* How many items a list may have now.  TRAVEL_INVALID: out of its bounds, with
 * *ret_error. */
int travel_graphql_limit(const travel_graphql_plan_t *plan,
    const travel_graphql_node_t *node,
    const travel_graphql_variables_t *variables, uint32_t *ret_limit,
    travel_graphql_error_t *ret_error) TRAVEL_MUST_CHECK;

/* The plan's cost with these variables; limits out of bounds are errors. */
int travel_graphql_cost(const travel_graphql_plan_t *plan,
    const travel_graphql_variables_t *variables, uint64_t *ret_cost,
    travel_graphql_error_t *ret_error) TRAVEL_MUST_CHECK;

/* The order of a list as it was asked for. */
const travel_graphql_order_t *travel_graphql_node_order(
    const travel_graphql_node_t *node);
/* How many of its rows are asked for: by first, last or limit. */
const travel_graphql_given_t *travel_graphql_node_limit(
    const travel_graphql_node_t *node);
/* The argument of that kind; NULL: the field has none, or it is not given. */
const travel_graphql_given_t *travel_graphql_node_given(
    const travel_graphql_node_t *node, travel_graphql_arg_e kind);

#endif
