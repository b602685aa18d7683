/* What the parts of the pattern compiler share; nobody else includes this. */

#ifndef PATTERN_PARTS_H
#define PATTERN_PARTS_H

#include "pattern.h"

#define PATTERN_NONE       UINT32_MAX
#define PATTERN_CP_MAX     0x10FFFF
#define PATTERN_RANGES_MAX 100000      /* of all sets of one pattern */

typedef struct {
    uint32_t  lo;
    uint32_t  hi;             /* inclusive */
    uint8_t   category;       /* index into pattern_categories */
} pattern_category_t;

extern const char *const         pattern_categories[];
extern const pattern_category_t  pattern_unicode[];
extern const size_t              pattern_unicode_count;

typedef struct {
    uint32_t  lo;
    uint32_t  hi;
} pattern_range_t;

typedef struct {
    pattern_range_t  *r;
    size_t            n;
    size_t            cap;
} pattern_ranges_t;

/* A set of code points: ranges sorted, apart from each other. */
typedef struct {
    uint32_t  start;          /* first range in tree->ranges */
    uint32_t  count;
    uint64_t  ascii[2];
} pattern_set_t;

typedef enum {
    PATTERN_EMPTY,
    PATTERN_SET,
    PATTERN_START,            /* ^ */
    PATTERN_END,              /* $ */
    PATTERN_WORD,             /* \b */
    PATTERN_NOT_WORD,         /* \B */
    PATTERN_SEQUENCE,         /* children one after another */
    PATTERN_CHOICE,           /* children one or another */
    PATTERN_REPEAT,           /* one child, min..max times */
    PATTERN_BEYOND            /* look-around, back-reference */
} pattern_kind_e;

typedef struct {
    uint8_t   kind;
    uint32_t  set;
    uint32_t  min;
    uint32_t  max;            /* PATTERN_NONE: no limit */
    uint32_t  child;          /* first one; of a SEQUENCE the last one */
    uint32_t  next;           /* sibling; of a SEQUENCE the one before */
} pattern_node_t;

typedef struct {
    pattern_node_t    *nodes;
    size_t             nnodes;
    size_t             nodes_cap;
    pattern_set_t     *sets;
    size_t             nsets;
    size_t             sets_cap;
    pattern_ranges_t   ranges;
    uint32_t           root;
    const char        *why;   /* what is wrong */
    size_t             at;
    bool               memory;
    bool               beyond;        /* has a PATTERN_BEYOND */
    size_t             beyond_at;
} pattern_tree_t;

/* TRAVEL_OK, TRAVEL_INVALID (why, at), TRAVEL_ERROR; fini in every case. */
int pattern_tree_parse(pattern_tree_t *tree, travel_str_t text);
void pattern_tree_fini(pattern_tree_t *tree);

bool pattern_grow(void **pp, size_t *cap, size_t want, size_t item);

/* Adds the ranges of a general category such as "Lu", "L" or "Letter". */
bool pattern_category_add(pattern_ranges_t *to, travel_str_t name,
    bool *ret_memory);
bool pattern_ranges_add(pattern_ranges_t *to, uint32_t lo, uint32_t hi);
bool pattern_ranges_add_all(pattern_ranges_t *to,
    const pattern_ranges_t *from);
void pattern_ranges_sort(pattern_ranges_t *ranges);
bool pattern_ranges_invert(pattern_ranges_t *ranges);   /* sorted; in place */

#endif
