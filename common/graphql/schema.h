/*
 * A schema as the language's rules see it, of any SDL: what its names mean,
 * which types go together, and whether it is a schema at all (section 3).
 *
 * It is made of an SDL document and leaves what it learns in that tree: every
 * TYPE_NAMED knows its type ('of'), extensions are folded into what they
 * extend.  A type is written as the tree has it, TYPE_NAMED in TYPE_LIST and
 * TYPE_NONNULL; "base" is what is in the middle.
 */

#ifndef TRAVEL_GRAPHQL_SCHEMA_H
#define TRAVEL_GRAPHQL_SCHEMA_H

#include "report.h"
#include "../schema.h"

struct travel_graphql_type_s {
    travel_graphql_ast_e           kind;      /* DEF_SCALAR ... DEF_INPUT */
    bool                           one_of;    /* DEF_INPUT: @oneOf */
    bool                           whole;     /* DEF_SCALAR: a whole number of
                                                 64 bits, in digits or not */
    travel_schema_format_pt        format;    /* DEF_SCALAR: what its strings,
                                                 and it takes no others, look
                                                 like; NULL: as they like */
    uint32_t                       index;
    travel_str_t                   name;
    travel_graphql_ast_t          *def;
    const travel_graphql_type_t  **possible;  /* composite: the object types
                                                 it may be, by index */
    size_t                         npossible;
};

typedef struct travel_graphql_schema_s  travel_graphql_schema_t;

/*
 * From travel_graphql_parse_schema(), whose document must outlive it and which
 * it changes.  TRAVEL_OK; TRAVEL_INVALID: the report says what is wrong;
 * TRAVEL_ERROR: out of memory.
 */
int travel_graphql_schema_make(travel_graphql_schema_t **ret_schema,
    travel_graphql_document_t *sdl, travel_graphql_report_t *report)
    TRAVEL_MUST_CHECK;
void travel_graphql_schema_free(travel_graphql_schema_t *schema);

/* --- names; NULL: not known ---------------------------------------------- */

const travel_graphql_type_t *travel_graphql_schema_type(
    const travel_graphql_schema_t *schema, travel_str_t name);
const travel_graphql_type_t *travel_graphql_schema_root(
    const travel_graphql_schema_t *schema, travel_graphql_op_e op);
const travel_graphql_ast_t *travel_graphql_schema_directive(
    const travel_graphql_schema_t *schema, travel_str_t name);
/* A FIELD_DEF, INPUT_VALUE or ENUM_VALUE of a type. */
const travel_graphql_ast_t *travel_graphql_schema_member(
    const travel_graphql_schema_t *schema, const travel_graphql_type_t *type,
    travel_str_t name);
/* A field that may be selected: __typename, __schema and __type as well. */
const travel_graphql_ast_t *travel_graphql_schema_field(
    const travel_graphql_schema_t *schema, const travel_graphql_type_t *type,
    travel_str_t name);
/* The INPUT_VALUE of a FIELD_DEF or of a DEF_DIRECTIVE. */
const travel_graphql_ast_t *travel_graphql_schema_argument(
    const travel_graphql_schema_t *schema, const travel_graphql_ast_t *def,
    travel_str_t name);

/* --- types ---------------------------------------------------------------- */

/* What is in the middle: a TYPE_NAMED. */
const travel_graphql_ast_t *travel_graphql_base(
    const travel_graphql_ast_t *type);
/* Looks up what is in the middle, if nobody has; NULL: not known. */
const travel_graphql_type_t *travel_graphql_schema_resolve(
    const travel_graphql_schema_t *schema, const travel_graphql_ast_t *type);

bool travel_graphql_is_input(const travel_graphql_type_t *type);
bool travel_graphql_is_output(const travel_graphql_type_t *type);
bool travel_graphql_is_composite(const travel_graphql_type_t *type);
bool travel_graphql_is_leaf(const travel_graphql_type_t *type);

/* What a scalar with @format(is:) takes, or one that is not the language's. */
bool travel_graphql_scalar_takes(const travel_graphql_type_t *type,
    travel_str_t text, bool string);

/* An argument or input field that has to be given. */
bool travel_graphql_is_required(const travel_graphql_ast_t *input_value);

/* Is 'type' (an object or an interface) one of an abstract type? */
bool travel_graphql_schema_is(const travel_graphql_schema_t *schema,
    const travel_graphql_type_t *type, const travel_graphql_type_t *abstract);
/* May a value be of both?  Adds to *work what it cost. */
bool travel_graphql_schema_overlap(const travel_graphql_type_t *a,
    const travel_graphql_type_t *b, uint64_t *work);
/* Both resolved: may a value of 'type' stand where 'wanted' is expected? */
bool travel_graphql_schema_fits(const travel_graphql_schema_t *schema,
    const travel_graphql_ast_t *type, const travel_graphql_ast_t *wanted);
bool travel_graphql_same_type(const travel_graphql_ast_t *a,
    const travel_graphql_ast_t *b);

/* "[Journey!]!", cut where it does not fit; returns buf. */
#define TRAVEL_GRAPHQL_TYPE_TEXT  80
char *travel_graphql_type_text(const travel_graphql_ast_t *type,
    char buf[TRAVEL_GRAPHQL_TYPE_TEXT]);

#endif
