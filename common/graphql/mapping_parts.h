/* What the mapping's files share; nobody else includes it. */

#ifndef TRAVEL_GRAPHQL_MAPPING_PARTS_H
#define TRAVEL_GRAPHQL_MAPPING_PARTS_H

#include "mapping.h"
#include "steps.h"

typedef travel_graphql_ast_t      ast_t;
typedef travel_graphql_mapping_t  mapping_t;

/* A scalar that every schema has: how a column's value, {}, is written as one,
 * and what that is. */
typedef struct {
    travel_str_t           name;
    travel_str_t           render;
    travel_graphql_leaf_e  leaf;
} mapping_scalar_t;

/* An input object, made once. */
typedef struct mapping_input_s  mapping_input_t;

struct mapping_input_s {
    const ast_t               *def;
    travel_graphql_map_arg_t  *members;
    size_t                     n;
    mapping_input_t           *next;
};

struct travel_graphql_mapping_s {
    travel_graphql_document_t  *sdl;
    travel_graphql_map_type_t  *types;     /* objects, then what is abstract */
    size_t                      ntypes;
    mapping_input_t            *inputs;
    travel_str_t                roots[3];
    travel_graphql_fault_t     *fault;     /* while it is made */
};

#define mapping_fault      travel_graphql_map_fault
#define mapping_directive  travel_graphql_map_directive
#define mapping_string     travel_graphql_map_string
#define mapping_number     travel_graphql_map_number
#define mapping_word       travel_graphql_map_word
#define mapping_template   travel_graphql_map_template
#define mapping_order      travel_graphql_map_order
#define mapping_total      travel_graphql_map_total
#define mapping_orders     travel_graphql_map_orders
#define mapping_snake      travel_graphql_map_snake
#define mapping_base       travel_graphql_map_base
#define mapping_builtin    travel_graphql_map_builtin
#define mapping_args       travel_graphql_map_args
#define mapping_field      travel_graphql_map_fill
#define mapping_members    travel_graphql_map_members

/* --- what directives say (mapping_text.c) -------------------------------- */

/* Says what is wrong at 'at'; always TRAVEL_INVALID. */
int mapping_fault(mapping_t *m, const ast_t *at, const char *fmt, ...)
    TRAVEL_PRINTF(3, 4);

/* Its directive of that name, or NULL; a directive's string, empty if it has
 * none, and its whole number, 'fallback' if it has none. */
const ast_t *mapping_directive(const ast_t *node, const char *name);
travel_str_t mapping_string(const ast_t *directive, const char *name);
int mapping_number(mapping_t *m, const ast_t *directive, const char *name,
    uint32_t max, uint32_t fallback, uint32_t *ret_n) TRAVEL_MUST_CHECK;

/* The next word of *s, taken off it; empty at the end. */
travel_str_t mapping_word(travel_str_t *s);
int mapping_template(mapping_t *m, const ast_t *at, travel_str_t text,
    travel_graphql_template_t *ret_template) TRAVEL_MUST_CHECK;
/* "created_at desc, id": appended to what is there, without repetitions. */
int mapping_order(mapping_t *m, const ast_t *at, travel_str_t text,
    travel_graphql_order_t *order) TRAVEL_MUST_CHECK;
/* Closes it by what no two rows share. */
int mapping_total(mapping_t *m, const ast_t *at,
    travel_graphql_order_t *order, const travel_graphql_order_t *key)
    TRAVEL_MUST_CHECK;
/* Is the column one of the order's? */
bool mapping_orders(const travel_graphql_order_t *order, travel_str_t column);
/* "fromPlace" is the column from_place. */
int mapping_snake(mapping_t *m, travel_str_t name, travel_str_t *ret_snake)
    TRAVEL_MUST_CHECK;

/* The type without lists and exclamation marks. */
travel_str_t mapping_base(const ast_t *type, bool *ret_list,
    bool *ret_nonnull);
/* A scalar of the language, or NULL. */
const mapping_scalar_t *mapping_builtin(travel_str_t name);

/* --- what they are of ----------------------------------------------------- */

/* Whose rows those of an interface or a union are, which a field at 'at' is
 * of; any other type (or NULL) is left as it is (mapping.c). */
int mapping_members(mapping_t *m, const ast_t *at,
    const travel_graphql_map_type_t *type) TRAVEL_MUST_CHECK;
/* A field's arguments, when all else of it is known (mapping_args.c). */
int mapping_args(mapping_t *m, const ast_t *def,
    travel_graphql_map_field_t *field) TRAVEL_MUST_CHECK;
/* A field of field->owner (mapping_field.c). */
int mapping_field(mapping_t *m, const ast_t *def,
    travel_graphql_map_field_t *field) TRAVEL_MUST_CHECK;

#endif
