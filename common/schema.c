/*
 * JSON Schema 2020-12: the life of a compiled schema.
 *
 * schema_compile.c turns each subschema into one schema_node_t, keyed by the
 * index of its JSON node, with blocks of rules by the type of instance they
 * are about; schema_refs.c binds $ref, $anchor and $dynamicRef and refuses
 * references that run in circles without going deeper into the instance;
 * schema_run.c judges; schema_format.c knows the formats.
 *
 * A schema is written by compile only and may then be shared by threads.  It
 * owns a copy of its text; names, numbers and error pointers point into that.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema_parts.h"
#include "errors.h"

#define SCHEMA_CHUNK  8192

struct schema_chunk_s {
    schema_chunk_t  *next;
    size_t           used;
    size_t           size;
    max_align_t      data[];
};

static int schema_load(schema_compile_t *cc, travel_str_t text);
static void schema_collect_sealed(schema_compile_t *cc);
static void schema_root_walk(schema_compile_t *cc, uint8_t *seen,
    uint8_t *counted, uint32_t *stack);


int
travel_schema_compile(travel_schema_t **ret_schema, travel_str_t text,
    travel_schema_fault_t *ret_fault)
{
    travel_schema_fault_t  fault = { 0 };
    schema_compile_t       cc = { 0 };

    cc.fault = &fault;
    cc.schema = calloc(1, sizeof(*cc.schema));

    if (cc.schema == NULL) {
        return TRAVEL_ERROR;
    }

    cc.rc = schema_load(&cc, text);

    if (cc.rc == TRAVEL_OK) {
        schema_request(&cc, 0, 0, "");
        schema_compile_queued(&cc);
        schema_refs_resolve(&cc);
        schema_refs_loops(&cc);
        schema_collect_sealed(&cc);
    }

    free(cc.queue);
    free(cc.refs);

    if (cc.rc == TRAVEL_OK) {
        *ret_schema = cc.schema;

    } else {
        travel_schema_free(cc.schema);
        *ret_fault = fault;
    }

    return cc.rc;
}


static int
schema_load(schema_compile_t *cc, travel_str_t text)
{
    int                   rc;
    travel_schema_t      *schema = cc->schema;
    travel_json_error_t   err;

    schema->text = malloc(text.len + 1);
    schema->doc = travel_json_create(text.len);

    if (schema->text == NULL || schema->doc == NULL) {
        return TRAVEL_ERROR;
    }

    memcpy(schema->text, text.len ? text.data : "", text.len);
    text.data = schema->text;

    rc = travel_json_parse(schema->doc, text, TRAVEL_JSON_DEPTH_MAX, &err);

    if (rc == TRAVEL_INVALID) {
        size_t  i;

        cc->fault->line = 1;
        for (i = 0; i < err.offset && i < text.len; i++) {
            cc->fault->line += text.data[i] == '\n';
        }

        memcpy(cc->fault->pointer, err.pointer, sizeof(err.pointer));
        snprintf(cc->fault->message, sizeof(cc->fault->message),
                 "not JSON at byte %zu: %s", err.offset, err.message);
    }

    if (rc != TRAVEL_OK) {
        return rc;
    }

    cc->json = travel_json_nodes(schema->doc);
    schema->n = travel_json_count(schema->doc);
    schema->nodes = calloc(schema->n, sizeof(schema->nodes[0]));
    cc->queue = malloc(schema->n * sizeof(cc->queue[0]));

    if (schema->nodes == NULL || cc->queue == NULL
        || !schema_array_grow(cc, (void **) &schema->resources, 0,
                              &schema->resources_cap,
                              sizeof(schema->resources[0])))
    {
        return TRAVEL_ERROR;
    }

    schema->resources[0].root = 0;
    schema->resources[0].uri = TRAVEL_NULL_STR;
    schema->nresources = 1;

    return TRAVEL_OK;
}


void
travel_schema_free(travel_schema_t *schema)
{
    uint32_t         i;
    schema_chunk_t  *chunk;

    if (schema == NULL) {
        return;
    }

    for (i = 0; i < schema->npatterns; i++) {
        travel_pattern_free(schema->patterns[i]);
    }

    while (schema->chunks) {
        chunk = schema->chunks;
        schema->chunks = chunk->next;
        free(chunk);
    }

    free(schema->patterns);
    free(schema->resources);
    free(schema->anchors);
    free(schema->nodes);
    travel_json_free(schema->doc);
    free(schema->text);
    free(schema);
}


void *
schema_alloc(schema_compile_t *cc, size_t size)
{
    void            *p;
    size_t           room;
    schema_chunk_t  *chunk = cc->schema->chunks;

    size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);

    if (chunk == NULL || chunk->size - chunk->used < size) {
        room = size > SCHEMA_CHUNK ? size : SCHEMA_CHUNK;

        chunk = calloc(1, sizeof(*chunk) + room);
        if (chunk == NULL) {
            cc->rc = TRAVEL_ERROR;
            return NULL;
        }

        chunk->size = room;
        chunk->next = cc->schema->chunks;
        cc->schema->chunks = chunk;
    }

    p = (char *) chunk->data + chunk->used;
    chunk->used += size;

    return p;
}


/* Room for one more behind the first n. */
bool
schema_array_grow(schema_compile_t *cc, void **pp, uint32_t n, uint32_t *cap,
    size_t item)
{
    void      *p;
    uint32_t   want = *cap ? *cap * 2 : 8;

    if (n < *cap) {
        return true;
    }

    p = realloc(*pp, want * item);
    if (p == NULL) {
        cc->rc = TRAVEL_ERROR;
        return false;
    }

    *pp = p;
    *cap = want;

    return true;
}


void
schema_fault(schema_compile_t *cc, int rc, uint32_t json, const char *fmt, ...)
{
    va_list   args;
    uint32_t  i;

    if (cc->rc != TRAVEL_OK) {
        return;                       /* the first one is told */
    }

    cc->rc = rc;
    cc->fault->line = 1;

    for (i = 0; i < cc->json[json].offset; i++) {
        cc->fault->line += cc->schema->text[i] == '\n';
    }

    travel_json_pointer(cc->schema->doc, json, cc->fault->pointer,
                        sizeof(cc->fault->pointer));

    va_start(args, fmt);
    vsnprintf(cc->fault->message, sizeof(cc->fault->message), fmt, args);
    va_end(args);
}


/*
 * The names are the schema's own, so nobody outside can make them collide;
 * a stranger's name costs at most the longest run of ours.
 */
static inline uint32_t
schema_name_hash(travel_str_t name)
{
    size_t    i;
    uint64_t  a = 0, b = 0, h;

    if (name.len >= 8) {
        memcpy(&a, name.data, 8);
        memcpy(&b, name.data + name.len - 8, 8);

    } else {
        for (i = 0; i < name.len; i++) {
            a = a << 8 | (uint8_t) name.data[i];
        }
    }

    h = (a ^ name.len * UINT64_C(0x9E3779B97F4A7C15))
        * UINT64_C(0xBF58476D1CE4E5B9);
    h ^= b * UINT64_C(0x94D049BB133111EB);

    return (uint32_t) (h >> 32 ^ h >> 7);
}


uint32_t
schema_names_find(const schema_names_t *names, travel_str_t name)
{
    uint32_t  h, mask = names->cap * 2 - 1;

    if (names->n == 0) {
        return SCHEMA_NONE;
    }

    for (h = schema_name_hash(name) & mask; names->slots[h];
         h = (h + 1) & mask)
    {
        if (travel_str_eq(names->names[names->slots[h] - 1].name, name)) {
            return names->slots[h] - 1;
        }
    }

    return SCHEMA_NONE;
}


static void
schema_names_put(schema_names_t *names, uint32_t i)
{
    uint32_t  h, mask = names->cap * 2 - 1;

    h = schema_name_hash(names->names[i].name) & mask;

    while (names->slots[h]) {
        h = (h + 1) & mask;
    }

    names->slots[h] = i + 1;
}


uint32_t
schema_names_add(schema_compile_t *cc, schema_names_t *names,
    travel_str_t name)
{
    uint32_t        i, cap;
    schema_names_t  grown;

    i = schema_names_find(names, name);
    if (i != SCHEMA_NONE) {
        return i;
    }

    if (names->n == names->cap) {
        cap = names->cap ? names->cap * 2 : 8;

        grown.cap = cap;
        grown.n = names->n;
        grown.names = schema_alloc(cc, cap * sizeof(grown.names[0]));
        grown.slots = schema_alloc(cc, cap * 2 * sizeof(grown.slots[0]));

        if (grown.names == NULL || grown.slots == NULL) {
            return SCHEMA_NONE;
        }

        for (i = 0; i < names->n; i++) {
            grown.names[i] = names->names[i];
            schema_names_put(&grown, i);
        }

        *names = grown;
    }

    i = names->n++;
    names->names[i].name = name;
    names->names[i].schema = SCHEMA_NONE;
    names->names[i].required = false;
    schema_names_put(names, i);

    return i;
}


/* Which top-level members are sealed is settled here: the edge asks for each
 * command. */
static void
schema_collect_sealed(schema_compile_t *cc)
{
    uint8_t          *seen, *counted;
    uint32_t          i, *stack;
    travel_schema_t  *schema = cc->schema;

    if (cc->rc != TRAVEL_OK) {
        return;
    }

    seen = calloc(schema->n, 1);
    counted = calloc(schema->n, 1);
    stack = malloc(schema->n * sizeof(stack[0]));

    for (i = 0; i < schema->n && !schema->nodes[i].sealed; i++) {
        /* void */
    }

    if (seen == NULL || counted == NULL || stack == NULL) {
        cc->rc = TRAVEL_ERROR;

    } else if (i < schema->n) {
        schema_root_walk(cc, seen, counted, stack);

        for (i = 0; i < schema->n; i++) {
            schema->stray |= schema->nodes[i].sealed && !counted[i];
        }
    }

    free(seen);
    free(counted);
    free(stack);
}


static void
schema_push_unseen(uint8_t *seen, uint32_t *stack, uint32_t *top, uint32_t i)
{
    if (i != SCHEMA_NONE && !seen[i]) {
        seen[i] = 1;
        stack[(*top)++] = i;
    }
}


static void
schema_push_merged(const schema_node_t *node, uint8_t *seen, uint32_t *stack,
    uint32_t *top)
{
    uint32_t  i;

    if (node->logic == NULL) {
        return;
    }

    schema_push_unseen(seen, stack, top, node->logic->ref);
    schema_push_unseen(seen, stack, top, node->logic->dynamic);

    for (i = 0; i < node->logic->all.n; i++) {
        schema_push_unseen(seen, stack, top, node->logic->all.v[i]);
    }
}


/* Is this subschema, or one that it takes in whole, marked?  The marks that
 * say so are noted in 'counted'. */
static bool
schema_is_sealed(schema_compile_t *cc, uint32_t start, uint8_t *counted)
{
    bool              sealed = false;
    uint8_t          *seen;
    uint32_t          top = 0, at, *stack;
    travel_schema_t  *schema = cc->schema;

    seen = calloc(schema->n, 1);
    stack = malloc(schema->n * sizeof(stack[0]));

    if (seen && stack) {
        schema_push_unseen(seen, stack, &top, start);

        while (top) {
            at = stack[--top];
            counted[at] |= schema->nodes[at].sealed;
            sealed |= schema->nodes[at].sealed;
            schema_push_merged(&schema->nodes[at], seen, stack, &top);
        }

    } else {
        cc->rc = TRAVEL_ERROR;
    }

    free(seen);
    free(stack);

    return sealed;
}


static void
schema_root_walk(schema_compile_t *cc, uint8_t *seen, uint8_t *counted,
    uint32_t *stack)
{
    uint32_t               i, top = 0, cap = 0;
    travel_str_t          *list = NULL, *kept;
    const schema_node_t   *node;
    const schema_names_t  *known;

    schema_push_unseen(seen, stack, &top, 0);

    while (top && cc->rc == TRAVEL_OK) {
        node = &cc->schema->nodes[stack[--top]];

        for (i = 0; node->object && i < node->object->names.n; i++) {
            known = &node->object->names;

            if (known->names[i].schema == SCHEMA_NONE
                || !schema_is_sealed(cc, known->names[i].schema, counted)
                || !schema_array_grow(cc, (void **) &list,
                                      cc->schema->nsealed, &cap,
                                      sizeof(list[0])))
            {
                continue;
            }

            list[cc->schema->nsealed++] = known->names[i].name;
        }

        schema_push_merged(node, seen, stack, &top);
    }

    if (cc->schema->nsealed) {
        kept = schema_alloc(cc, cc->schema->nsealed * sizeof(kept[0]));

        if (kept) {
            memcpy(kept, list, cc->schema->nsealed * sizeof(kept[0]));
        }

        cc->schema->sealed = kept;
    }

    free(list);
}


bool
travel_schema_sealed(const travel_schema_t *schema, travel_str_t member)
{
    uint32_t  i;

    for (i = 0; i < schema->nsealed; i++) {
        if (travel_str_eq(schema->sealed[i], member)) {
            return true;
        }
    }

    return false;
}


bool
travel_schema_seals(const travel_schema_t *schema, size_t i,
    travel_str_t *ret_member)
{
    if (i >= schema->nsealed) {
        return false;
    }

    *ret_member = schema->sealed[i];

    return true;
}


bool
travel_schema_seals_astray(const travel_schema_t *schema)
{
    return schema->stray;
}
