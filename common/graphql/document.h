/*
 * The GraphQL language (October 2021, and what the 2025 edition adds to
 * executable documents): text into a tree, for operations and for SDL.
 *
 * The tree lives in the document's arena; names and values point into it or
 * into the source, which must outlive it.  The parser does not recurse: how
 * deep a text nests costs it nothing but nodes, and those are bounded.
 */

#ifndef TRAVEL_GRAPHQL_DOCUMENT_H
#define TRAVEL_GRAPHQL_DOCUMENT_H

#include "../travel.h"

#define TRAVEL_GRAPHQL_NODES_MAX   50000     /* of one document */
#define TRAVEL_GRAPHQL_SCHEMA_MAX  1000000   /* of a schema */

typedef enum {
    TRAVEL_GRAPHQL_OPERATION,         /* op; variables, selections */
    TRAVEL_GRAPHQL_FRAGMENT,          /* name, type; selections */
    TRAVEL_GRAPHQL_FIELD,             /* alias, name; arguments, selections */
    TRAVEL_GRAPHQL_SPREAD,            /* name */
    TRAVEL_GRAPHQL_INLINE,            /* type or NULL; selections */
    TRAVEL_GRAPHQL_ARGUMENT,          /* name, value; also an object's field */
    TRAVEL_GRAPHQL_DIRECTIVE,         /* name; arguments */
    TRAVEL_GRAPHQL_VARIABLE_DEF,      /* name, type, value (default) */

    TRAVEL_GRAPHQL_VARIABLE,          /* name */
    TRAVEL_GRAPHQL_INT,               /* text */
    TRAVEL_GRAPHQL_FLOAT,
    TRAVEL_GRAPHQL_STRING,            /* text: decoded */
    TRAVEL_GRAPHQL_BOOLEAN,           /* text: true, false */
    TRAVEL_GRAPHQL_NULL,
    TRAVEL_GRAPHQL_ENUM,              /* text */
    TRAVEL_GRAPHQL_LIST,              /* children */
    TRAVEL_GRAPHQL_OBJECT,            /* children: ARGUMENT */

    TRAVEL_GRAPHQL_TYPE_NAMED,        /* name */
    TRAVEL_GRAPHQL_TYPE_LIST,         /* type */
    TRAVEL_GRAPHQL_TYPE_NONNULL,      /* type */

    TRAVEL_GRAPHQL_DEF_SCHEMA,        /* children: FIELD_DEF query ..., each
                                         of a named type */
    TRAVEL_GRAPHQL_DEF_SCALAR,
    TRAVEL_GRAPHQL_DEF_OBJECT,        /* children: FIELD_DEF; implements */
    TRAVEL_GRAPHQL_DEF_INTERFACE,
    TRAVEL_GRAPHQL_DEF_UNION,         /* implements: its members */
    TRAVEL_GRAPHQL_DEF_ENUM,          /* children: ENUM_VALUE */
    TRAVEL_GRAPHQL_DEF_INPUT,         /* children: INPUT_VALUE */
    TRAVEL_GRAPHQL_DEF_DIRECTIVE,     /* arguments: INPUT_VALUE; implements:
                                         its locations, as bits in 'mark' */
    TRAVEL_GRAPHQL_FIELD_DEF,         /* name, type; arguments: INPUT_VALUE */
    TRAVEL_GRAPHQL_INPUT_VALUE,       /* name, type, value (default) */
    TRAVEL_GRAPHQL_ENUM_VALUE         /* name */
} travel_graphql_ast_e;

typedef enum {
    TRAVEL_GRAPHQL_QUERY,
    TRAVEL_GRAPHQL_MUTATION,
    TRAVEL_GRAPHQL_SUBSCRIPTION
} travel_graphql_op_e;

/* Where a directive stands (section 3.13). */
typedef enum {
    TRAVEL_GRAPHQL_AT_QUERY,
    TRAVEL_GRAPHQL_AT_MUTATION,
    TRAVEL_GRAPHQL_AT_SUBSCRIPTION,
    TRAVEL_GRAPHQL_AT_FIELD,
    TRAVEL_GRAPHQL_AT_FRAGMENT_DEFINITION,
    TRAVEL_GRAPHQL_AT_FRAGMENT_SPREAD,
    TRAVEL_GRAPHQL_AT_INLINE_FRAGMENT,
    TRAVEL_GRAPHQL_AT_VARIABLE_DEFINITION,
    TRAVEL_GRAPHQL_AT_SCHEMA,
    TRAVEL_GRAPHQL_AT_SCALAR,
    TRAVEL_GRAPHQL_AT_OBJECT,
    TRAVEL_GRAPHQL_AT_FIELD_DEFINITION,
    TRAVEL_GRAPHQL_AT_ARGUMENT_DEFINITION,
    TRAVEL_GRAPHQL_AT_INTERFACE,
    TRAVEL_GRAPHQL_AT_UNION,
    TRAVEL_GRAPHQL_AT_ENUM,
    TRAVEL_GRAPHQL_AT_ENUM_VALUE,
    TRAVEL_GRAPHQL_AT_INPUT_OBJECT,
    TRAVEL_GRAPHQL_AT_INPUT_FIELD_DEFINITION
} travel_graphql_location_e;

typedef struct travel_graphql_ast_s   travel_graphql_ast_t;
typedef struct travel_graphql_type_s  travel_graphql_type_t;  /* schema.h */

struct travel_graphql_ast_s {
    travel_graphql_ast_e   kind;
    travel_graphql_op_e    op;
    bool                   extend;        /* DEF_*: "extend type" */
    bool                   repeatable;    /* DEF_DIRECTIVE */
    bool                   block;         /* STRING: """ """ */
    bool                   builtin;       /* a definition of every schema */
    travel_str_t           name;
    travel_str_t           alias;
    travel_str_t           text;
    travel_str_t           description;
    travel_graphql_ast_t  *type;
    travel_graphql_ast_t  *value;
    travel_graphql_ast_t  *arguments;     /* lists go on by 'next' */
    travel_graphql_ast_t  *directives;
    travel_graphql_ast_t  *variables;
    travel_graphql_ast_t  *implements;    /* TYPE_NAMED each */
    travel_graphql_ast_t  *children;
    travel_graphql_ast_t  *last;          /* of children */
    travel_graphql_ast_t  *parent;        /* of a selection, of a value */
    travel_graphql_ast_t  *next;
    uint32_t               line;          /* from 1 */
    uint32_t               column;
    uint32_t               name_line;     /* 0: it has none */
    uint32_t               name_column;
    uint32_t               mark;          /* for whoever walks it */

    /* what the schema says of it, once it was looked at (schema.h) */
    const travel_graphql_type_t  *of;     /* what a selection is of; the type
                                             of a TYPE_NAMED */
    const travel_graphql_ast_t   *def;    /* FIELD: its FIELD_DEF */
};

typedef struct {
    uint32_t  line;
    uint32_t  column;
    bool      bound;          /* not wrong, but larger than is read */
    char      message[160];
} travel_graphql_fault_t;

typedef struct travel_graphql_document_s  travel_graphql_document_t;

/* Parses operations, SDL, or both; whoever asks says what it takes.
 * TRAVEL_OK; TRAVEL_INVALID with *ret_fault; TRAVEL_ERROR: out of memory. */
int travel_graphql_parse(travel_graphql_document_t **ret_document,
    travel_str_t source, travel_graphql_fault_t *ret_fault) TRAVEL_MUST_CHECK;
/* The same for a schema, with the definitions that every schema has behind it
 * (scalars, directives, introspection's types).  'source' need not outlive. */
int travel_graphql_parse_schema(travel_graphql_document_t **ret_document,
    travel_str_t source, travel_graphql_fault_t *ret_fault) TRAVEL_MUST_CHECK;
void travel_graphql_document_free(travel_graphql_document_t *document);

/* The definitions, by 'next'; NULL never. */
const travel_graphql_ast_t *travel_graphql_definitions(
    const travel_graphql_document_t *document);
/* Takes 'def' out of the list; 'prev' is before it, NULL: it is the first. */
void travel_graphql_drop(travel_graphql_document_t *document,
    travel_graphql_ast_t *prev, travel_graphql_ast_t *def);
/* Zeroed room that lives as long as the document; NULL: out of memory. */
void *travel_graphql_alloc(travel_graphql_document_t *document, size_t size);

/* "FIELD", "INLINE_FRAGMENT", ... */
const char *travel_graphql_location(travel_graphql_location_e location);

/* The node of that name in a list by 'next', or NULL. */
const travel_graphql_ast_t *travel_graphql_find(
    const travel_graphql_ast_t *list, travel_str_t name);
/* A directive's argument of that name; NULL: it has none, or there is no
 * directive. */
const travel_graphql_ast_t *travel_graphql_argument(
    const travel_graphql_ast_t *directive, const char *name);

#endif
