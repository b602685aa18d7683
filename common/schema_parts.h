/* What the parts of the schema compiler and runner share; nobody else includes
 * this.  A subschema is known by the index of its JSON node. */

#ifndef SCHEMA_PARTS_H
#define SCHEMA_PARTS_H

#include "schema.h"
#include "decimal.h"
#include "pattern.h"

#define SCHEMA_NONE  UINT32_MAX

/* Values of 'types': one bit per type of an instance. */
#define SCHEMA_NULL      0x01
#define SCHEMA_BOOLEAN   0x02
#define SCHEMA_FRACTION  0x04         /* a number that is no integer */
#define SCHEMA_INTEGER   0x08
#define SCHEMA_STRING    0x10
#define SCHEMA_ARRAY     0x20
#define SCHEMA_OBJECT    0x40
#define SCHEMA_ANY       0x7F

/* Names of an object's members that a subschema has something to say about:
 * an open hash table that is complete after compile. */
typedef struct {
    travel_str_t  name;
    uint32_t      schema;             /* of "properties", or none */
    bool          required;
} schema_name_t;

typedef struct {
    schema_name_t  *names;
    uint32_t       *slots;            /* index + 1, 0 free */
    uint32_t        n;
    uint32_t        cap;              /* slots: twice as many */
} schema_names_t;

typedef struct {
    travel_pattern_t  *pattern;
    uint32_t           schema;
} schema_pattern_t;

typedef struct {
    uint32_t   trigger;               /* index into names */
    uint32_t   schema;                /* dependentSchemas, or none */
    uint32_t  *names;                 /* dependentRequired */
    uint32_t   n;
} schema_dependent_t;

typedef struct {
    uint32_t  *v;
    uint32_t   n;
} schema_list_t;

typedef struct {
    schema_names_t       names;
    uint64_t            *required;    /* bit per name */
    uint32_t             words;       /* of such a bit set */
    schema_pattern_t    *patterns;
    uint32_t             npatterns;
    schema_dependent_t  *dependents;
    uint32_t             ndependents;
    uint32_t             additional;
    uint32_t             property_names;
    uint64_t             min;
    uint64_t             max;
} schema_object_t;

typedef struct {
    schema_list_t  prefix;
    uint32_t       items;
    uint32_t       contains;
    uint64_t       min_contains;
    uint64_t       max_contains;
    uint64_t       min;
    uint64_t       max;
    bool           unique;
} schema_array_t;

typedef travel_schema_format_pt  schema_format_pt;

typedef struct {
    uint64_t           min;
    uint64_t           max;
    travel_pattern_t  *pattern;
    schema_format_pt   format;
    travel_str_t       format_name;
} schema_string_t;

typedef enum {
    SCHEMA_MINIMUM,
    SCHEMA_MAXIMUM,
    SCHEMA_EXCLUSIVE_MINIMUM,
    SCHEMA_EXCLUSIVE_MAXIMUM,
    SCHEMA_MULTIPLE_OF,
    SCHEMA_BOUNDS
} schema_bound_e;

typedef struct {
    travel_decimal_t  bound[SCHEMA_BOUNDS];
    travel_str_t      text[SCHEMA_BOUNDS];    /* data NULL: not given */
    bool              quick;          /* lo and hi say it all */
    int64_t           lo;
    int64_t           hi;
} schema_number_t;

typedef struct {
    schema_list_t   all;
    schema_list_t   any;
    schema_list_t   one;
    uint32_t        ref;
    uint32_t        dynamic;          /* where $dynamicRef leads at first */
    travel_str_t    dynamic_name;     /* data NULL: it stays there */
    uint32_t        not;
    uint32_t        if_;
    uint32_t        then;
    uint32_t        else_;
} schema_logic_t;

typedef struct {
    schema_list_t   values;           /* JSON nodes of the schema */
    schema_names_t  strings;          /* all of them, if all are strings */
    bool            all_strings;
    bool            constant;         /* "const", not "enum" */
} schema_values_t;

typedef enum {
    SCHEMA_UNSEEN,                    /* this JSON node is no schema */
    SCHEMA_QUEUED,
    SCHEMA_RULES,
    SCHEMA_TRUE,
    SCHEMA_FALSE
} schema_kind_e;

typedef struct {
    uint8_t           kind;
    uint8_t           types;
    bool              sealed;
    uint32_t          resource;
    const char       *keyword;        /* under which it was met first */
    schema_object_t  *object;
    schema_array_t   *array;
    schema_string_t  *string;
    schema_number_t  *number;
    schema_values_t  *values[2];      /* enum, const */
    schema_logic_t   *logic;
    uint32_t          unevaluated_properties;
    uint32_t          unevaluated_items;
} schema_node_t;

/* A schema resource: what "$id" begins; number 0 is the document. */
typedef struct {
    uint32_t      root;
    travel_str_t  uri;                /* absolute, or as far as it goes */
} schema_resource_t;

typedef struct {
    uint32_t      resource;
    uint32_t      schema;
    travel_str_t  name;
    bool          dynamic;
} schema_anchor_t;

typedef struct schema_chunk_s  schema_chunk_t;

struct travel_schema_s {
    char               *text;         /* the schema's own bytes */
    travel_json_t      *doc;          /* over 'text' */
    schema_node_t      *nodes;        /* by JSON node */
    size_t              n;
    schema_resource_t  *resources;
    uint32_t            nresources;
    uint32_t            resources_cap;
    schema_anchor_t    *anchors;
    uint32_t            nanchors;
    uint32_t            anchors_cap;
    travel_pattern_t  **patterns;     /* all, to free them */
    uint32_t            npatterns;
    uint32_t            patterns_cap;
    travel_str_t       *sealed;
    uint32_t            nsealed;
    bool                stray;        /* "x-sealed" where it means nothing */
    schema_chunk_t     *chunks;       /* everything else */
};

/* A reference to resolve once all subschemas are known. */
typedef struct {
    uint32_t  schema;
    uint32_t  value;                  /* JSON node of its text */
    bool      dynamic;
    bool      done;
} schema_ref_t;

typedef struct {
    travel_schema_t           *schema;
    const travel_json_node_t  *json;
    uint32_t                  *queue;
    size_t                     head;
    size_t                     tail;
    schema_ref_t              *refs;
    uint32_t                   nrefs;
    uint32_t                   refs_cap;
    travel_schema_fault_t     *fault;
    int                        rc;    /* TRAVEL_OK until the first fault */
} schema_compile_t;

/* schema.c: memory that lives as long as the schema, zeroed; NULL sets rc. */
void *schema_alloc(schema_compile_t *cc, size_t size);
bool schema_array_grow(schema_compile_t *cc, void **pp, uint32_t n,
    uint32_t *cap, size_t item);
void schema_fault(schema_compile_t *cc, int rc, uint32_t json,
    const char *fmt, ...) TRAVEL_PRINTF(4, 5);

/* The name's index, SCHEMA_NONE when it is not there. */
uint32_t schema_names_find(const schema_names_t *names, travel_str_t name);
/* Adds it if need be; SCHEMA_NONE: out of memory, rc is set. */
uint32_t schema_names_add(schema_compile_t *cc, schema_names_t *names,
    travel_str_t name);

/* schema_compile.c: 'json' is a subschema, met under 'keyword'. */
void schema_request(schema_compile_t *cc, uint32_t json, uint32_t resource,
    const char *keyword);
void schema_compile_queued(schema_compile_t *cc);

/* schema_refs.c */
void schema_refs_identify(schema_compile_t *cc, uint32_t json);
void schema_refs_add(schema_compile_t *cc, uint32_t json, uint32_t value,
    bool dynamic);
void schema_refs_resolve(schema_compile_t *cc);
void schema_refs_loops(schema_compile_t *cc);
uint32_t schema_refs_dynamic(const travel_schema_t *schema, uint32_t resource,
    travel_str_t name);

/* schema_uri.c: RFC 3986 section 5.2; 'dst' holds base.len + ref.len + 4.
 * Fragments are cut.  Returns the length. */
size_t schema_uri_resolve(char *dst, travel_str_t base, travel_str_t ref);

/* schema_format.c */
#define schema_format_find  travel_schema_format

#endif
