/* The state of one run of a schema, between schema_run.c, which walks, and
 * schema_leaf.c, which judges without descending.  Nobody else includes it. */

#ifndef SCHEMA_CHECK_H
#define SCHEMA_CHECK_H

#include "schema_parts.h"
#include "hash.h"

struct travel_schema_run_s {
    uint64_t                  *marks;
    size_t                     used;
    size_t                     cap;
    uint64_t                  *hashes;     /* for uniqueItems */
    size_t                     hashes_cap;
    travel_pattern_scratch_t   scratch;
    travel_siphash_key_t       seed;
    bool                       annotate;   /* "format" does not assert */
};

/* The resources entered so far, for $dynamicRef. */
typedef struct schema_scope_s  schema_scope_t;

struct schema_scope_s {
    const schema_scope_t  *outer;
    uint32_t               resource;
};

typedef struct {
    const travel_schema_t     *schema;
    const travel_json_t       *doc;
    const travel_json_node_t  *json;
    travel_schema_run_t       *run;
    travel_schema_error_t     *errs;
    size_t                     max;
    size_t                     n;
    uint64_t                   work;
    unsigned                   depth;
    unsigned                   quiet;      /* > 0: only the verdict counts */
    bool                       broken;     /* memory or a bound */
} schema_check_t;

/* schema_run.c: notes an error about the instance node 'i' (or its member
 * 'name', which may be missing) against a keyword of subschema 'at'.  Always
 * false, to be returned. */
bool schema_refuse(schema_check_t *ck, uint32_t at, const char *keyword,
    uint32_t i, const travel_str_t *name, const char *fmt, ...)
    TRAVEL_PRINTF(6, 7);

/* schema_leaf.c */
bool schema_eval_values(schema_check_t *ck, uint32_t at,
    const schema_values_t *values, uint32_t i);
bool schema_eval_number(schema_check_t *ck, uint32_t at,
    const schema_number_t *number, uint32_t i);
bool schema_eval_string(schema_check_t *ck, uint32_t at,
    const schema_string_t *string, uint32_t i);
bool schema_eval_unique(schema_check_t *ck, uint32_t at, uint32_t i);


/* After a refusal: does it make sense to look for more? */
static inline bool
schema_enough(const schema_check_t *ck)
{
    return ck->quiet || ck->broken || ck->n == ck->max;
}


static inline bool
schema_spend(schema_check_t *ck, uint64_t units)
{
    if (ck->work < units) {
        ck->broken = true;
        return false;
    }

    ck->work -= units;

    return true;
}

#endif
