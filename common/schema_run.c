/*
 * Judging an instance by a compiled schema.
 *
 * A run first only asks for the verdict and stops at the first refusal; if
 * there is one, a second pass over the same ground collects the errors.  So a
 * good instance, the usual case, pays for no message.
 *
 * Depth.  schema_eval() calls itself for a child of the instance or for
 * another subschema on the same instance node.  The first can happen as often
 * as the document is deep (the parser's limit); the second, between two of
 * the first, at most once per subschema, because compile refuses circles.
 * The product is finite but may be large, so SCHEMA_DEPTH_MAX ends it first.
 *
 * Work.  A schema can still ask for exponential work (two references to the
 * next level, on every level).  Each evaluation and each mark costs a unit;
 * when the budget is used up the answer is TRAVEL_ERROR, never "valid".
 *
 * Marks are bits over the children of one instance node: which were evaluated
 * by a keyword so far.  They exist only below an unevaluatedItems or
 * unevaluatedProperties and live on a stack in the run object; since it may
 * move when it grows, they are known by their offset.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "schema_check.h"

#define SCHEMA_DEPTH_MAX    2048
#define SCHEMA_WORK_BASE    2000000
#define SCHEMA_WORK_NODE    256       /* more of it per instance node */
#define SCHEMA_NO_MARKS     SIZE_MAX

static bool schema_eval(schema_check_t *ck, uint32_t at, uint32_t i,
    size_t marks, const schema_scope_t *scope);
static bool schema_eval_rules(schema_check_t *ck, uint32_t at, uint32_t i,
    size_t marks, const schema_scope_t *scope);
static bool schema_eval_array(schema_check_t *ck, uint32_t at,
    const schema_array_t *array, uint32_t i, size_t marks,
    const schema_scope_t *scope);
static bool schema_eval_object(schema_check_t *ck, uint32_t at,
    const schema_object_t *object, uint32_t i, size_t marks,
    const schema_scope_t *scope);
static bool schema_eval_logic(schema_check_t *ck, uint32_t at,
    const schema_logic_t *logic, uint32_t i, size_t marks,
    const schema_scope_t *scope);
static bool schema_eval_rest(schema_check_t *ck, uint32_t rest, uint32_t i,
    size_t marks, const schema_scope_t *scope);


travel_schema_run_t *
travel_schema_run_create(void)
{
    travel_schema_run_t  *run;

    run = calloc(1, sizeof(*run));
    if (run == NULL) {
        return NULL;
    }

    if (getrandom(&run->seed, sizeof(run->seed), 0)
        != (ssize_t) sizeof(run->seed))
    {
        free(run);
        return NULL;
    }

    return run;
}


void
travel_schema_run_free(travel_schema_run_t *run)
{
    if (run == NULL) {
        return;
    }

    travel_pattern_scratch_free(&run->scratch);
    free(run->marks);
    free(run->hashes);
    free(run);
}


void
travel_schema_run_formats(travel_schema_run_t *run, bool assert)
{
    run->annotate = !assert;
}


static uint64_t
schema_budget(const travel_json_t *doc)
{
    return SCHEMA_WORK_BASE
           + SCHEMA_WORK_NODE * (uint64_t) travel_json_count(doc);
}


int
travel_schema_check(const travel_schema_t *schema, const travel_json_t *doc,
    travel_schema_run_t *run, travel_schema_error_t *errs, size_t max,
    size_t *ret_n)
{
    bool            ok;
    schema_check_t  ck = { 0 };

    *ret_n = 0;

    if (travel_json_count(doc) == 0) {
        return TRAVEL_ERROR;
    }

    ck.schema = schema;
    ck.doc = doc;
    ck.json = travel_json_nodes(doc);
    ck.run = run;
    ck.errs = errs;
    ck.max = max;
    ck.work = schema_budget(doc);
    ck.quiet = 1;
    run->used = 0;

    ok = schema_eval(&ck, 0, 0, SCHEMA_NO_MARKS, NULL);

    if (ck.broken) {
        return TRAVEL_ERROR;
    }

    if (ok) {
        return TRAVEL_OK;
    }

    if (max) {
        ck.quiet = 0;
        ck.depth = 0;
        ck.work = schema_budget(doc);
        run->used = 0;

        (void) schema_eval(&ck, 0, 0, SCHEMA_NO_MARKS, NULL);

        /* The verdict stands.  What the first pass found in its budget is
         * found again; a second budget spent on looking for more is no
         * reason to hide it. */

        if (ck.n == 0) {
            return TRAVEL_ERROR;
        }

        *ret_n = ck.n;
    }

    return TRAVEL_REFUSED;
}


/* Notes an error about the instance node 'i' (or its member 'name', which may
 * be missing) against a keyword of subschema 'at'.  Always false, to be
 * returned. */
bool
schema_refuse(schema_check_t *ck, uint32_t at, const char *keyword,
    uint32_t i, const travel_str_t *name, const char *fmt, ...)
{
    size_t                  n;
    va_list                 args;
    travel_str_t            key = { keyword, strlen(keyword) };
    travel_schema_error_t  *err;

    if (ck->quiet || ck->n == ck->max || ck->broken) {
        return false;
    }

    err = &ck->errs[ck->n++];

    n = travel_json_pointer(ck->doc, i, err->pointer, sizeof(err->pointer));

    if (name) {
        n += travel_json_pointer_token(err->pointer + n,
                                       sizeof(err->pointer) - n, *name);
        err->pointer[n] = '\0';
    }

    n = travel_json_pointer(ck->schema->doc, at, err->schema,
                            sizeof(err->schema));

    if (ck->schema->nodes[at].kind == SCHEMA_RULES) {
        n += travel_json_pointer_token(err->schema + n,
                                       sizeof(err->schema) - n, key);
        err->schema[n] = '\0';
    }

    snprintf(err->code, sizeof(err->code), "%s", keyword);

    va_start(args, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);

    return false;
}


static inline uint8_t
schema_type_of(const travel_json_node_t *node)
{
    static const uint8_t  bits[] = { SCHEMA_NULL, SCHEMA_BOOLEAN,
        SCHEMA_BOOLEAN, SCHEMA_FRACTION, SCHEMA_STRING, SCHEMA_ARRAY,
        SCHEMA_OBJECT };

    return node->type == TRAVEL_JSON_NUMBER && node->integer
           ? SCHEMA_INTEGER : bits[node->type];
}


static size_t
schema_marks_push(schema_check_t *ck, uint32_t children)
{
    void                 *p;
    size_t                at, cap, words = (children + 63u) / 64 + 1;
    travel_schema_run_t  *run = ck->run;

    if (!schema_spend(ck, words)) {
        return SCHEMA_NO_MARKS;
    }

    if (run->cap - run->used < words) {
        cap = (run->used + words) * 2;

        p = realloc(run->marks, cap * sizeof(uint64_t));
        if (p == NULL) {
            ck->broken = true;
            return SCHEMA_NO_MARKS;
        }

        run->marks = p;
        run->cap = cap;
    }

    at = run->used;
    run->used += words;
    memset(run->marks + at, 0, words * sizeof(uint64_t));

    return at;
}


static inline void
schema_mark(schema_check_t *ck, size_t marks, uint32_t child)
{
    if (marks != SCHEMA_NO_MARKS) {
        ck->run->marks[marks + child / 64] |= UINT64_C(1) << (child % 64);
    }
}


static void
schema_marks_merge(schema_check_t *ck, size_t to, size_t from,
    uint32_t children)
{
    size_t  k;

    if (to != SCHEMA_NO_MARKS) {
        for (k = 0; k < (children + 63u) / 64; k++) {
            ck->run->marks[to + k] |= ck->run->marks[from + k];
        }
    }
}


/* A boolean schema's error names the keyword that it stands under. */
static bool
schema_refuse_always(schema_check_t *ck, uint32_t at, uint32_t i)
{
    const char  *keyword = ck->schema->nodes[at].keyword;
    const char  *what = "value";

    if (strstr(keyword, "ropert")) {
        what = "member";

    } else if (strstr(keyword, "tems")) {
        what = "element";
    }

    if (keyword[0] == '\0') {
        keyword = "false";
    }

    return schema_refuse(ck, at, keyword, i, NULL,
                         "this %s is not allowed here", what);
}


static bool
schema_eval(schema_check_t *ck, uint32_t at, uint32_t i, size_t marks,
    const schema_scope_t *scope)
{
    bool                  ok;
    size_t                own = marks, used = ck->run->used;
    uint32_t              rest = SCHEMA_NONE;
    schema_scope_t        here;
    const schema_node_t  *node = &ck->schema->nodes[at];

    if (node->kind == SCHEMA_TRUE) {
        return true;
    }

    if (node->kind == SCHEMA_FALSE) {
        return schema_refuse_always(ck, at, i);
    }

    if (ck->broken || ck->depth == SCHEMA_DEPTH_MAX
        || !schema_spend(ck, 1 + ck->json[i].count / 4
                             + ck->json[i].text.len / 16))
    {
        ck->broken = true;
        return false;
    }

    ck->depth++;

    if (scope == NULL || scope->resource != node->resource) {
        here.outer = scope;
        here.resource = node->resource;
        scope = &here;
    }

    if (ck->json[i].type == TRAVEL_JSON_OBJECT) {
        rest = node->unevaluated_properties;

    } else if (ck->json[i].type == TRAVEL_JSON_ARRAY) {
        rest = node->unevaluated_items;
    }

    if (rest != SCHEMA_NONE) {
        own = schema_marks_push(ck, ck->json[i].count);
    }

    ok = !ck->broken && schema_eval_rules(ck, at, i, own, scope);

    /* After a refusal in a branch the marks say too little: what it would
     * have evaluated must not look alien. */

    if (rest != SCHEMA_NONE && !ck->broken
        && (ok || (node->logic == NULL && !schema_enough(ck))))
    {
        ok = schema_eval_rest(ck, rest, i, own, scope) && ok;

        if (ok) {
            schema_marks_merge(ck, marks, own, ck->json[i].count);
        }
    }

    ck->run->used = used;
    ck->depth--;

    return ok && !ck->broken;
}


static const char *
schema_type_words(uint8_t types, char *buf, size_t room)
{
    size_t  i, n = 0;

    static const struct {
        uint8_t      bits;
        const char  *words;
    } words[] = {
        { SCHEMA_OBJECT, "an object" },
        { SCHEMA_ARRAY, "an array" },
        { SCHEMA_STRING, "a string" },
        { SCHEMA_FRACTION | SCHEMA_INTEGER, "a number" },
        { SCHEMA_INTEGER, "an integer" },
        { SCHEMA_BOOLEAN, "true or false" },
        { SCHEMA_NULL, "null" }
    };

    buf[0] = '\0';

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if ((types & words[i].bits) == words[i].bits && n < room) {
            types &= (uint8_t) ~words[i].bits;
            n += (size_t) snprintf(buf + n, room - n, "%s%s",
                                   n ? " or " : "", words[i].words);
        }
    }

    return buf;
}


static bool
schema_eval_rules(schema_check_t *ck, uint32_t at, uint32_t i, size_t marks,
    const schema_scope_t *scope)
{
    bool                  ok = true;
    char                  words[96];
    uint8_t               type = schema_type_of(&ck->json[i]);
    unsigned              k;
    const schema_node_t  *node = &ck->schema->nodes[at];

    if (!(node->types & type)) {
        if (ck->quiet) {
            return false;
        }

        return schema_refuse(ck, at, "type", i, NULL, "this must be %s",
                             schema_type_words(node->types, words,
                                               sizeof(words)));
    }

    for (k = 0; k < 2; k++) {
        if (node->values[k]
            && !schema_eval_values(ck, at, node->values[k], i))
        {
            ok = false;

            if (schema_enough(ck)) {
                return false;
            }
        }
    }

    if (node->string && type == SCHEMA_STRING) {
        ok = schema_eval_string(ck, at, node->string, i) && ok;

    } else if (node->number && (type & (SCHEMA_INTEGER | SCHEMA_FRACTION))) {
        ok = schema_eval_number(ck, at, node->number, i) && ok;

    } else if (node->object && type == SCHEMA_OBJECT) {
        ok = schema_eval_object(ck, at, node->object, i, marks, scope) && ok;

    } else if (node->array && type == SCHEMA_ARRAY) {
        ok = schema_eval_array(ck, at, node->array, i, marks, scope) && ok;
    }

    if (node->logic && (ok || !schema_enough(ck))) {
        ok = schema_eval_logic(ck, at, node->logic, i, marks, scope) && ok;
    }

    return ok;
}


static const char *
schema_plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}


static bool
schema_eval_contains(schema_check_t *ck, uint32_t at,
    const schema_array_t *array, uint32_t i, size_t marks,
    const schema_scope_t *scope)
{
    bool      match;
    uint32_t  c, k;
    uint64_t  n = 0;

    ck->quiet++;

    for (c = i + 1, k = 0; c < ck->json[i].next; c = ck->json[c].next, k++) {

        match = schema_eval(ck, array->contains, c, SCHEMA_NO_MARKS, scope);

        if (match) {
            n++;
            schema_mark(ck, marks, k);
        }

        if (n > array->max_contains
            || (n >= array->min_contains && marks == SCHEMA_NO_MARKS
                && array->max_contains == UINT64_MAX))
        {
            break;
        }
    }

    ck->quiet--;

    if (n < array->min_contains) {
        return schema_refuse(ck, at, array->min_contains == 1
                             ? "contains" : "minContains", i, NULL,
                             "this needs at least %llu more element%s of the "
                             "required kind",
                             (unsigned long long) (array->min_contains - n),
                             schema_plural(array->min_contains - n));
    }

    if (n > array->max_contains) {
        return schema_refuse(ck, at, "maxContains", i, NULL,
                             "this must have at most %llu element%s of the "
                             "limited kind",
                             (unsigned long long) array->max_contains,
                             schema_plural(array->max_contains));
    }

    return true;
}


static bool
schema_eval_array(schema_check_t *ck, uint32_t at,
    const schema_array_t *array, uint32_t i, size_t marks,
    const schema_scope_t *scope)
{
    bool      ok = true;
    uint32_t  c, k, sub, count = ck->json[i].count;

    if (count < array->min) {
        ok = schema_refuse(ck, at, "minItems", i, NULL,
                           "this must have at least %llu element%s",
                           (unsigned long long) array->min,
                           schema_plural(array->min));
    }

    if (count > array->max) {
        ok = schema_refuse(ck, at, "maxItems", i, NULL,
                           "this must have at most %llu element%s",
                           (unsigned long long) array->max,
                           schema_plural(array->max));
    }

    if (!ok && schema_enough(ck)) {
        return false;
    }

    for (c = i + 1, k = 0; c < ck->json[i].next; c = ck->json[c].next, k++) {

        sub = k < array->prefix.n ? array->prefix.v[k] : array->items;

        if (sub == SCHEMA_NONE) {
            break;
        }

        schema_mark(ck, marks, k);

        if (!schema_eval(ck, sub, c, SCHEMA_NO_MARKS, scope)) {
            ok = false;

            if (schema_enough(ck)) {
                return false;
            }
        }
    }

    if (array->unique && count > 1 && !schema_eval_unique(ck, at, i)) {
        ok = false;
    }

    if (array->contains != SCHEMA_NONE && (ok || !schema_enough(ck))) {
        ok = schema_eval_contains(ck, at, array, i, marks, scope) && ok;
    }

    return ok;
}


/* One member: the properties, patterns and the rest that it meets. */
static bool
schema_eval_member(schema_check_t *ck, const schema_object_t *object,
    uint32_t name, uint32_t known, bool *met, const schema_scope_t *scope)
{
    int       rc;
    bool      ok = true;
    uint32_t  k;

    *met = false;

    if (known != SCHEMA_NONE
        && object->names.names[known].schema != SCHEMA_NONE)
    {
        *met = true;
        ok = schema_eval(ck, object->names.names[known].schema, name + 1,
                         SCHEMA_NO_MARKS, scope);
    }

    for (k = 0; k < object->npatterns && (ok || !schema_enough(ck)); k++) {

        rc = travel_pattern_search(object->patterns[k].pattern,
                                   ck->json[name].text, &ck->run->scratch);

        if (rc == TRAVEL_ERROR) {
            ck->broken = true;
            return false;
        }

        if (rc == TRAVEL_OK) {
            *met = true;
            ok = schema_eval(ck, object->patterns[k].schema, name + 1,
                             SCHEMA_NO_MARKS, scope) && ok;
        }
    }

    if (!*met && object->additional != SCHEMA_NONE) {
        *met = true;
        ok = schema_eval(ck, object->additional, name + 1, SCHEMA_NO_MARKS,
                         scope);
    }

    if (object->property_names != SCHEMA_NONE && (ok || !schema_enough(ck))) {
        ok = schema_eval(ck, object->property_names, name, SCHEMA_NO_MARKS,
                         scope) && ok;
    }

    return ok;
}


static inline bool
schema_seen(const uint64_t *seen, uint32_t k)
{
    return seen[k / 64] >> (k % 64) & 1;
}


static bool
schema_eval_required(schema_check_t *ck, uint32_t at,
    const schema_object_t *object, uint32_t i, const uint64_t *seen)
{
    bool      ok = true;
    uint32_t  k, w;

    for (w = 0; w < object->words; w++) {

        if ((seen[w] & object->required[w]) == object->required[w]) {
            continue;
        }

        ok = false;

        if (schema_enough(ck)) {
            return false;
        }

        for (k = w * 64; k < object->names.n && k < w * 64 + 64; k++) {
            if (object->names.names[k].required && !schema_seen(seen, k)) {
                schema_refuse(ck, at, "required", i,
                              &object->names.names[k].name,
                              "this member is required");
            }
        }
    }

    return ok;
}


static bool
schema_eval_dependents(schema_check_t *ck, uint32_t at,
    const schema_object_t *object, uint32_t i, size_t seen, size_t marks,
    const schema_scope_t *scope)
{
    bool                       ok = true;
    uint32_t                   d, k;
    travel_str_t               trigger;
    const schema_name_t       *names = object->names.names;
    const schema_dependent_t  *dep;

    for (d = 0; d < object->ndependents; d++) {
        dep = &object->dependents[d];

        if (!schema_seen(ck->run->marks + seen, dep->trigger)) {
            continue;
        }

        if (dep->schema != SCHEMA_NONE) {
            ok = schema_eval(ck, dep->schema, i, marks, scope) && ok;
        }

        for (k = 0; k < dep->n; k++) {
            if (!schema_seen(ck->run->marks + seen, dep->names[k])) {
                trigger = names[dep->trigger].name;
                ok = schema_refuse(ck, at, "dependentRequired", i,
                                   &names[dep->names[k]].name,
                                   "this member is required where %.*s is "
                                   "given", (int) (trigger.len < 64
                                                   ? trigger.len : 64),
                                   trigger.data);
            }
        }

        if (!ok && schema_enough(ck)) {
            return false;
        }
    }

    return ok;
}


static bool
schema_eval_object(schema_check_t *ck, uint32_t at,
    const schema_object_t *object, uint32_t i, size_t marks,
    const schema_scope_t *scope)
{
    bool                       ok = true, met;
    size_t                     seen = SCHEMA_NO_MARKS;
    uint32_t                   m, k, known;
    uint64_t                   count = ck->json[i].count;
    const travel_json_node_t  *json = ck->json;

    if (count < object->min) {
        ok = schema_refuse(ck, at, "minProperties", i, NULL,
                           "this must have at least %llu member%s",
                           (unsigned long long) object->min,
                           schema_plural(object->min));
    }

    if (count > object->max) {
        ok = schema_refuse(ck, at, "maxProperties", i, NULL,
                           "this must have at most %llu member%s",
                           (unsigned long long) object->max,
                           schema_plural(object->max));
    }

    if (!ok && schema_enough(ck)) {
        return false;
    }

    if (object->words) {
        seen = schema_marks_push(ck, object->words * 64);
        if (ck->broken) {
            return false;
        }
    }

    for (m = i + 1, k = 0; m < json[i].next; m = json[m + 1].next, k++) {

        known = schema_names_find(&object->names, json[m].text);

        if (known != SCHEMA_NONE) {
            schema_mark(ck, seen, known);
        }

        if (!schema_eval_member(ck, object, m, known, &met, scope)) {
            ok = false;

            if (schema_enough(ck)) {
                return false;
            }
        }

        if (met) {
            schema_mark(ck, marks, k);
        }
    }

    if (seen != SCHEMA_NO_MARKS) {
        ok = schema_eval_required(ck, at, object, i, ck->run->marks + seen)
             && ok;
    }

    if (object->ndependents && (ok || !schema_enough(ck))) {
        ok = schema_eval_dependents(ck, at, object, i, seen, marks, scope)
             && ok;
    }

    return ok;
}


/* Evaluates a branch that may fail without the whole failing: the marks it
 * makes count only if it holds. */
static bool
schema_eval_branch(schema_check_t *ck, uint32_t at, uint32_t i, size_t marks,
    const schema_scope_t *scope)
{
    bool    ok;
    size_t  own = SCHEMA_NO_MARKS, used = ck->run->used;

    if (marks != SCHEMA_NO_MARKS) {
        own = schema_marks_push(ck, ck->json[i].count);
        if (ck->broken) {
            return false;
        }
    }

    ck->quiet++;
    ok = schema_eval(ck, at, i, own, scope);
    ck->quiet--;

    if (ok && own != SCHEMA_NO_MARKS) {
        schema_marks_merge(ck, marks, own, ck->json[i].count);
    }

    ck->run->used = used;

    return ok;
}


static bool
schema_eval_any(schema_check_t *ck, uint32_t at, const schema_list_t *list,
    uint32_t i, size_t marks, const schema_scope_t *scope)
{
    bool      ok = false;
    uint32_t  k;

    for (k = 0; k < list->n && !ck->broken; k++) {
        ok = schema_eval_branch(ck, list->v[k], i, marks, scope) || ok;

        if (ok && marks == SCHEMA_NO_MARKS) {
            break;
        }
    }

    return ok || schema_refuse(ck, at, "anyOf", i, NULL,
                               "this has none of the forms that are allowed "
                               "here");
}


static bool
schema_eval_one(schema_check_t *ck, uint32_t at, const schema_list_t *list,
    uint32_t i, size_t marks, const schema_scope_t *scope)
{
    uint32_t  k, n = 0;

    for (k = 0; k < list->n && n < 2 && !ck->broken; k++) {
        n += schema_eval_branch(ck, list->v[k], i, marks, scope);
    }

    if (n == 1) {
        return true;
    }

    return schema_refuse(ck, at, "oneOf", i, NULL, n == 0
                         ? "this has none of the forms that are allowed here"
                         : "this has more than one of the forms that exclude "
                           "each other");
}


/* The outermost resource that has the dynamic anchor wins. */
static uint32_t
schema_dynamic_target(schema_check_t *ck, const schema_logic_t *logic,
    const schema_scope_t *scope)
{
    uint32_t  to = logic->dynamic, found;

    if (logic->dynamic_name.data == NULL || ck->schema->nresources == 1) {
        return to;
    }

    for ( ; scope; scope = scope->outer) {
        found = schema_refs_dynamic(ck->schema, scope->resource,
                                    logic->dynamic_name);
        if (found != SCHEMA_NONE) {
            to = found;
        }
    }

    return to;
}


static bool
schema_eval_if(schema_check_t *ck, const schema_logic_t *logic, uint32_t i,
    size_t marks, const schema_scope_t *scope)
{
    uint32_t  to;

    if (logic->then == SCHEMA_NONE && logic->else_ == SCHEMA_NONE
        && marks == SCHEMA_NO_MARKS)
    {
        return true;
    }

    to = schema_eval_branch(ck, logic->if_, i, marks, scope)
         ? logic->then : logic->else_;

    return to == SCHEMA_NONE || schema_eval(ck, to, i, marks, scope);
}


static bool
schema_eval_logic(schema_check_t *ck, uint32_t at,
    const schema_logic_t *logic, uint32_t i, size_t marks,
    const schema_scope_t *scope)
{
    bool      ok = true;
    uint32_t  k;

    if (logic->ref != SCHEMA_NONE) {
        ok = schema_eval(ck, logic->ref, i, marks, scope);
    }

    if (logic->dynamic != SCHEMA_NONE && (ok || !schema_enough(ck))) {
        ok = schema_eval(ck, schema_dynamic_target(ck, logic, scope), i,
                         marks, scope) && ok;
    }

    for (k = 0; k < logic->all.n && (ok || !schema_enough(ck)); k++) {
        ok = schema_eval(ck, logic->all.v[k], i, marks, scope) && ok;
    }

    if (logic->any.n && (ok || !schema_enough(ck))) {
        ok = schema_eval_any(ck, at, &logic->any, i, marks, scope) && ok;
    }

    if (logic->one.n && (ok || !schema_enough(ck))) {
        ok = schema_eval_one(ck, at, &logic->one, i, marks, scope) && ok;
    }

    if (logic->not != SCHEMA_NONE && (ok || !schema_enough(ck))
        && schema_eval_branch(ck, logic->not, i, SCHEMA_NO_MARKS, scope))
    {
        ok = schema_refuse(ck, at, "not", i, NULL,
                           "this has a form that is not allowed here");
    }

    if (logic->if_ != SCHEMA_NONE && (ok || !schema_enough(ck))) {
        ok = schema_eval_if(ck, logic, i, marks, scope) && ok;
    }

    return ok;
}


/* Children that nothing evaluated meet the unevaluated... schema. */
static bool
schema_eval_rest(schema_check_t *ck, uint32_t rest, uint32_t i, size_t marks,
    const schema_scope_t *scope)
{
    bool                       ok = true;
    uint32_t                   c, k, value;
    const travel_json_node_t  *json = ck->json;

    for (c = i + 1, k = 0; c < json[i].next; k++) {

        value = json[i].type == TRAVEL_JSON_OBJECT ? c + 1 : c;
        c = json[value].next;

        if (schema_seen(ck->run->marks + marks, k)) {
            continue;
        }

        schema_mark(ck, marks, k);

        if (!schema_eval(ck, rest, value, SCHEMA_NO_MARKS, scope)) {
            ok = false;

            if (schema_enough(ck)) {
                return false;
            }
        }
    }

    return ok;
}
