/*
 * What the SDL says of PostgreSQL: the schema's types as tables, its fields as
 * columns, expressions and joins, its mutations as commands.  Compiled once,
 * at configuration; every mistake is told with file and line.
 *
 *   on OBJECT
 *     @table(name: "travel.journeys", key: "id desc", where: "{kind} = 'x'")
 *                              rows of a table or view, of those 'where' is
 *                              true for; 'key' is unique and not null, and
 *                              closes every order
 *     @owner(column: "user_id")   only the viewer's rows, wherever they are
 *                              read: the planner adds it to each FROM
 *     @public                  anybody's rows
 *     @auth(requires: "journeys:read")  a permission to see it, in whichever
 *                              way a field leads to it
 *     @cache(ttl: 30, tags: "journeys:{$viewer}", row: "journey:{id}")
 *                              an answer with such rows is kept that long, and
 *                              until one of the tags is invalidated; without
 *                              it, no answer with such rows is kept at all
 *   on INTERFACE and UNION, which a field may be of, with @relation, @list and
 *   @connection as of one type, when each of its types has a @table
 *     @rows(key: "created_at desc, id")   columns that all of them have, with
 *                              the key of each; without it, the key that all
 *                              of them share.  Between rows that are alike the
 *                              order is that of the types
 *   on FIELD_DEFINITION
 *     (nothing)                the column of that name in snake_case
 *     @sql(expr: "{lat} + 1")  {name}: a column of the row, {$name}: an
 *                              argument, {$viewer}: who asks
 *     @relation(from: "id", to: "journey_id")   rows of the field's type; a
 *                              list when the field is one
 *     @from(sql: "travel.near({$lat}, {$lon})")  FROM this, not the table
 *     @embed                   an object of the same row
 *     @list(max: 100, default: 20, order: "created_at desc")
 *     @connection(max: 100, default: 20, order: ...)   edges, by cursor: as
 *                              many as 'first' says, or from the end 'last',
 *                              'after' and 'before' a cursor; of these four a
 *                              field has the arguments that it declares
 *     @cache(ttl: 30, tags: "journeys:{$viewer}")   besides the type's
 *     @auth(requires: "journeys:read")
 *     @cost(value: 10)
 *     @command(type: "booking.create", check: "bookings.precheck",
 *              wait: 2000, breaker: "partner")
 *                              of Mutation; its type is a payload: success,
 *                              job { id status }, and types with rows, of
 *                              which it is the one with the command's id
 *     @topic(name: "journey:{$journeyId}",
 *            check: "journey(journeyId: {$journeyId})")
 *                              of Subscription: the live topic whose messages
 *                              the field's type is read from; 'check' is a
 *                              field of Query that must not be null for who
 *                              may subscribe (arguments are strings there);
 *                              {$viewer} is the caller, who must be known then
 *     @payload(path: "data.position.lat")   where in the message, or in the
 *                              object around it, the field's value is; without
 *                              it, the member of that name in snake_case
 *   on ARGUMENT_DEFINITION and INPUT_FIELD_DEFINITION
 *     @filter(sql: "{status} = {$}")   a condition when a value is given
 *     @column(name: "booking_date")    the command's member of that name
 *   on ENUM_VALUE
 *     @order(by: "created_at desc")    for an argument that chooses the order
 *     an input object's members may be conditions, each with its own @filter;
 *     in @sql and @from, {$name} is an array for a list, JSON for an object
 *     and for a list of lists
 *   on SCALAR
 *     @format(is: "date-time")         what its values must look like:
 *                              a format of JSON Schema (date-time, date, uuid,
 *                              ...), int64, json (anything)
 *     @render(sql: "travel.rfc3339({})")        how its values are written
 *
 * A type with @table and neither @owner nor @public does not compile: a row
 * that is nobody's cannot be read by mistake.  A list without a bound gets 20
 * of at most 100.  What an interface or a union is read by is what each of its
 * types says: its owner, its permission, its tags; all of them, whichever a
 * document tells apart.  The columns of an order must not be null.
 */

#ifndef TRAVEL_GRAPHQL_MAPPING_H
#define TRAVEL_GRAPHQL_MAPPING_H

#include "document.h"
#include "../schema.h"

#define TRAVEL_GRAPHQL_KEYS_MAX   4
#define TRAVEL_GRAPHQL_LINKS_MAX  4
#define TRAVEL_GRAPHQL_NESTED_MAX  4        /* input objects of conditions */
#define TRAVEL_GRAPHQL_LIST_MAX   1000      /* no list is longer */

/* --- templates: SQL with holes ------------------------------------------- */

typedef enum {
    TRAVEL_GRAPHQL_PIECE_TEXT,
    TRAVEL_GRAPHQL_PIECE_COLUMN,      /* {name}; empty: the value itself */
    TRAVEL_GRAPHQL_PIECE_ARG,         /* {$name}; empty: the argument itself */
    TRAVEL_GRAPHQL_PIECE_VIEWER       /* {$viewer} */
} travel_graphql_piece_e;

typedef struct {
    travel_graphql_piece_e  kind;
    travel_str_t            text;
} travel_graphql_piece_t;

typedef struct {
    travel_graphql_piece_t  *pieces;
    size_t                   n;       /* 0: none */
} travel_graphql_template_t;

/* --- types and fields ---------------------------------------------------- */

typedef struct {
    travel_str_t  column;             /* empty: the number of the row's type
                                         among those of an abstract one */
    bool          desc;
} travel_graphql_key_t;

typedef struct {
    travel_graphql_key_t  keys[TRAVEL_GRAPHQL_KEYS_MAX];
    size_t                n;
} travel_graphql_order_t;

typedef enum {
    TRAVEL_GRAPHQL_MAP_LEAF,
    TRAVEL_GRAPHQL_MAP_EMBED,         /* an object of the same row */
    TRAVEL_GRAPHQL_MAP_ONE,           /* one row, or null */
    TRAVEL_GRAPHQL_MAP_LIST,
    TRAVEL_GRAPHQL_MAP_CONNECTION,
    TRAVEL_GRAPHQL_MAP_COMMAND,
    TRAVEL_GRAPHQL_MAP_OTHER          /* of a payload, an edge: its own rules */
} travel_graphql_map_e;

/* What the values of a leaf are, as JSON. */
typedef enum {
    TRAVEL_GRAPHQL_LEAF_ANY,          /* or no leaf */
    TRAVEL_GRAPHQL_LEAF_INT,          /* of 32 bits */
    TRAVEL_GRAPHQL_LEAF_FLOAT,        /* finite */
    TRAVEL_GRAPHQL_LEAF_BOOLEAN,
    TRAVEL_GRAPHQL_LEAF_STRING,       /* String and ID */
    TRAVEL_GRAPHQL_LEAF_ENUM,
    TRAVEL_GRAPHQL_LEAF_FORMAT
} travel_graphql_leaf_e;

typedef enum {
    TRAVEL_GRAPHQL_ARG_INPUT,         /* for templates and commands */
    TRAVEL_GRAPHQL_ARG_FILTER,
    TRAVEL_GRAPHQL_ARG_LIMIT,         /* "limit", "first" */
    TRAVEL_GRAPHQL_ARG_LAST,
    TRAVEL_GRAPHQL_ARG_AFTER,
    TRAVEL_GRAPHQL_ARG_BEFORE,
    TRAVEL_GRAPHQL_ARG_ORDER
} travel_graphql_arg_e;

typedef struct {
    travel_str_t            name;     /* of an enum's value */
    travel_graphql_order_t  order;
} travel_graphql_choice_t;

typedef struct travel_graphql_map_arg_s   travel_graphql_map_arg_t;
typedef struct travel_graphql_map_field_s travel_graphql_map_field_t;
typedef struct travel_graphql_map_type_s  travel_graphql_map_type_t;

struct travel_graphql_map_arg_s {
    travel_str_t                name;
    travel_graphql_arg_e        kind;
    travel_graphql_template_t   filter;
    travel_str_t                member;    /* of a command's body */
    travel_graphql_choice_t    *choices;   /* ORDER */
    size_t                      nchoices;
    travel_graphql_map_arg_t   *members;   /* of an input object: all that are
                                              of it have the same */
    size_t                      nmembers;
    bool                        filtered;  /* its members are conditions */
    bool                        json;      /* a scalar that takes anything */
    const travel_graphql_ast_t *def;
    travel_str_t                base;      /* its type's name */
    bool                        list;
    bool                        nonnull;
};

struct travel_graphql_map_field_s {
    travel_str_t                      name;
    travel_graphql_map_e              kind;
    const travel_graphql_map_type_t  *of;        /* the rows' type, or NULL */
    const travel_graphql_map_type_t  *owner;     /* the type it is a field of */
    travel_graphql_template_t         sql;       /* LEAF */
    travel_graphql_template_t         render;    /* LEAF: {} is the value */
    travel_graphql_leaf_e             leaf;
    const travel_graphql_ast_t       *values;    /* LEAF_ENUM: the first */
    travel_schema_format_pt           format;    /* LEAF_FORMAT */
    travel_graphql_template_t         from;
    travel_str_t                      local[TRAVEL_GRAPHQL_LINKS_MAX];
    travel_str_t                      remote[TRAVEL_GRAPHQL_LINKS_MAX];
    size_t                            nlinks;
    travel_graphql_order_t            order;     /* total */
    travel_graphql_map_arg_t         *args;
    size_t                            nargs;
    uint32_t                          max;
    uint32_t                          fallback;  /* items without a limit */
    travel_graphql_template_t         tags;
    bool                              cached;
    uint32_t                          ttl;       /* seconds */
    travel_str_t                      requires;
    uint32_t                          cost;
    bool                              nonnull;
    bool                              list;
    const travel_graphql_ast_t       *def;
    travel_str_t                      base;      /* its type's name */
    travel_graphql_template_t         topic;     /* of Subscription */
    travel_graphql_template_t         may;       /* @topic(check:) */
    travel_str_t                      path;      /* in a message */
    travel_str_t                      command;   /* COMMAND: its type */
    travel_str_t                      check;
    travel_str_t                      breaker;
    uint32_t                          wait;      /* ms */
    uint32_t                          line;
};

struct travel_graphql_map_type_s {
    travel_str_t                 name;
    travel_str_t                 table;          /* empty: no rows of its own */
    travel_graphql_template_t    where;
    travel_graphql_order_t       key;
    const travel_graphql_map_type_t  **members;  /* of an interface or a union
                                                    that fields are of, as
                                                    the SDL has them */
    size_t                       nmembers;
    travel_str_t                 owner;          /* column, or empty */
    bool                         public;
    bool                         payload;        /* what a command answers */
    travel_graphql_template_t    tag;            /* of a row */
    travel_graphql_template_t    tags;           /* of a plan with such rows */
    bool                         cached;
    uint32_t                     ttl;            /* seconds */
    travel_str_t                 requires;
    travel_graphql_map_field_t  *fields;
    size_t                       nfields;
    const travel_graphql_ast_t  *def;
    uint32_t                     line;
};

typedef struct travel_graphql_mapping_s  travel_graphql_mapping_t;

/* From an SDL document, which must outlive it.  TRAVEL_OK; TRAVEL_INVALID with
 * *ret_fault; TRAVEL_ERROR: out of memory. */
int travel_graphql_map(travel_graphql_mapping_t **ret_mapping,
    travel_graphql_document_t *sdl, travel_graphql_fault_t *ret_fault)
    TRAVEL_MUST_CHECK;

/* The type of queries, of mutations (NULL: none). */
const travel_graphql_map_type_t *travel_graphql_map_root(
    const travel_graphql_mapping_t *mapping, travel_graphql_op_e op);
/* The SDL it was made from. */
const travel_graphql_document_t *travel_graphql_map_document(
    const travel_graphql_mapping_t *mapping);
/* A definition of the SDL by name, or NULL. */
const travel_graphql_ast_t *travel_graphql_map_definition(
    const travel_graphql_mapping_t *mapping, travel_str_t name);
/* Every field of kind COMMAND, one after another: *at starts at 0. */
const travel_graphql_map_field_t *travel_graphql_map_command(
    const travel_graphql_mapping_t *mapping, size_t *at);

const travel_graphql_map_type_t *travel_graphql_map_type(
    const travel_graphql_mapping_t *mapping, travel_str_t name);
const travel_graphql_map_field_t *travel_graphql_map_field(
    const travel_graphql_map_type_t *type, travel_str_t name);
const travel_graphql_map_arg_t *travel_graphql_map_arg(
    const travel_graphql_map_field_t *field, travel_str_t name);

#endif
