/*
 * JSON Schema, draft 2020-12, compiled once and run many times.
 *
 * Local references only ($ref, $anchor, $dynamicRef within the document); a
 * reference that leaves it, or an unknown "$schema", cannot be judged and
 * fails at compile.  "format" asserts for the formats of schema_format.c,
 * unless the run says otherwise.  A pattern is ECMA-262-like through PCRE-free
 * code of our own choosing and must run in time linear in the input.
 *
 * A compiled schema is immutable and may be shared by threads; a run keeps its
 * state on the caller's 'run' object, which is used again.
 */

#ifndef TRAVEL_SCHEMA_H
#define TRAVEL_SCHEMA_H

#include "json.h"

typedef struct travel_schema_s      travel_schema_t;
typedef struct travel_schema_run_s  travel_schema_run_t;

typedef struct {
    char  pointer[256];       /* RFC 6901, into the instance; "" is the root */
    char  schema[256];        /* RFC 6901, into the schema: the keyword */
    char  code[32];           /* the keyword: "minimum", "required", ... */
    char  message[192];       /* a sentence for the client */
} travel_schema_error_t;

typedef struct {
    size_t  line;             /* where in the schema text, 1-based; 0 unknown */
    char    pointer[256];     /* where in the schema */
    char    message[256];     /* what is wrong and what to do */
} travel_schema_fault_t;

/* TRAVEL_OK; TRAVEL_INVALID: not a schema; TRAVEL_UNKNOWN: a $ref or dialect
 * that cannot be resolved; *ret_fault filled in both. */
int travel_schema_compile(travel_schema_t **ret_schema, travel_str_t text,
    travel_schema_fault_t *ret_fault) TRAVEL_MUST_CHECK;
void travel_schema_free(travel_schema_t *schema);

travel_schema_run_t *travel_schema_run_create(void);
void travel_schema_run_free(travel_schema_run_t *run);
/* Does "format" assert in the checks to come (the default), or annotate? */
void travel_schema_run_formats(travel_schema_run_t *run, bool assert);

/* TRAVEL_OK valid; TRAVEL_REFUSED with up to 'max' errors in errs and their
 * number in *ret_n; TRAVEL_ERROR out of memory or the work bound was hit. */
int travel_schema_check(const travel_schema_t *schema, const travel_json_t *doc,
    travel_schema_run_t *run, travel_schema_error_t *errs, size_t max,
    size_t *ret_n) TRAVEL_MUST_CHECK;

/* The check of a "format"; NULL for one that is an annotation only.  The text
 * is well-formed UTF-8. */
typedef bool (*travel_schema_format_pt)(travel_str_t text);
travel_schema_format_pt travel_schema_format(travel_str_t name);

/* Does the schema's root (through allOf/$ref/properties) mark this top-level
 * member "x-sealed": true? */
bool travel_schema_sealed(const travel_schema_t *schema, travel_str_t member);
/* The i-th of them; one may come twice.  False past the end. */
bool travel_schema_seals(const travel_schema_t *schema, size_t i,
    travel_str_t *ret_member);
/* Is "x-sealed": true said of anything else, where it would seal nothing? */
bool travel_schema_seals_astray(const travel_schema_t *schema);

#endif
