/*
 * From the JSON of a schema to its rules: one handler per keyword, each of
 * which checks that the keyword's value is what the draft says it is.
 *
 * Subschemas are queued, not recursed into; a JSON node is queued once, so
 * the work is linear in the schema.
 */

#include <stdlib.h>

#include "schema_parts.h"

typedef void (*schema_handler_pt)(schema_compile_t *cc, uint32_t at,
    uint32_t value);

typedef struct {
    const char         *name;
    schema_handler_pt   handler;
} schema_keyword_t;

static void schema_compile_node(schema_compile_t *cc, uint32_t at);


void
schema_request(schema_compile_t *cc, uint32_t json, uint32_t resource,
    const char *keyword)
{
    schema_node_t  *node = &cc->schema->nodes[json];

    if (node->kind != SCHEMA_UNSEEN || cc->rc != TRAVEL_OK) {
        return;
    }

    node->resource = resource;
    node->keyword = keyword;
    node->types = SCHEMA_ANY;
    node->unevaluated_properties = SCHEMA_NONE;
    node->unevaluated_items = SCHEMA_NONE;

    switch (cc->json[json].type) {

    case TRAVEL_JSON_TRUE:
        node->kind = SCHEMA_TRUE;
        return;

    case TRAVEL_JSON_FALSE:
        node->kind = SCHEMA_FALSE;
        return;

    case TRAVEL_JSON_OBJECT:
        node->kind = SCHEMA_QUEUED;
        cc->queue[cc->tail++] = json;
        return;

    default:
        schema_fault(cc, TRAVEL_INVALID, json,
                     "a schema is an object, true or false");
    }
}


void
schema_compile_queued(schema_compile_t *cc)
{
    while (cc->head < cc->tail && cc->rc == TRAVEL_OK) {
        schema_compile_node(cc, cc->queue[cc->head++]);
    }
}


/* What the handlers ask for. */

static bool
schema_want(schema_compile_t *cc, uint32_t value, travel_json_type_e type,
    const char *what)
{
    if (cc->json[value].type == type) {
        return true;
    }

    schema_fault(cc, TRAVEL_INVALID, value, "the value must be %s", what);
    return false;
}


static bool
schema_want_count(schema_compile_t *cc, uint32_t value, uint64_t *ret_n)
{
    int64_t                    v;
    const travel_json_node_t  *node = &cc->json[value];

    if (node->type != TRAVEL_JSON_NUMBER || !node->integer
        || (node->text.data[0] == '-'
            && (travel_json_int64(node, &v) != TRAVEL_OK || v != 0)))
    {
        schema_fault(cc, TRAVEL_INVALID, value,
                     "the value must be a whole number, not negative");
        return false;
    }

    *ret_n = travel_json_int64(node, &v) == TRAVEL_OK ? (uint64_t) v
                                                      : UINT64_MAX;
    return true;
}


static uint32_t
schema_sub(schema_compile_t *cc, uint32_t at, uint32_t value,
    const char *keyword)
{
    schema_request(cc, value, cc->schema->nodes[at].resource, keyword);

    return value;
}


/* A non-empty array of schemas. */
static void
schema_sub_list(schema_compile_t *cc, uint32_t at, uint32_t value,
    const char *keyword, schema_list_t *list)
{
    uint32_t  i;

    if (!schema_want(cc, value, TRAVEL_JSON_ARRAY, "an array of schemas")) {
        return;
    }

    if (cc->json[value].count == 0) {
        schema_fault(cc, TRAVEL_INVALID, value,
                     "the array must have at least one schema");
        return;
    }

    list->v = schema_alloc(cc, cc->json[value].count * sizeof(list->v[0]));
    if (list->v == NULL) {
        return;
    }

    list->n = 0;
    for (i = value + 1; i < cc->json[value].next; i = cc->json[i].next) {
        list->v[list->n++] = schema_sub(cc, at, i, keyword);
    }
}


/* The blocks of a subschema are made when a keyword first needs them. */

static schema_object_t *
schema_object(schema_compile_t *cc, uint32_t at)
{
    schema_node_t  *node = &cc->schema->nodes[at];

    if (node->object == NULL) {
        node->object = schema_alloc(cc, sizeof(*node->object));

        if (node->object) {
            node->object->additional = SCHEMA_NONE;
            node->object->property_names = SCHEMA_NONE;
            node->object->max = UINT64_MAX;
        }
    }

    return node->object;
}


static schema_array_t *
schema_array(schema_compile_t *cc, uint32_t at)
{
    schema_node_t  *node = &cc->schema->nodes[at];

    if (node->array == NULL) {
        node->array = schema_alloc(cc, sizeof(*node->array));

        if (node->array) {
            node->array->items = SCHEMA_NONE;
            node->array->contains = SCHEMA_NONE;
            node->array->min_contains = 1;
            node->array->max_contains = UINT64_MAX;
            node->array->max = UINT64_MAX;
        }
    }

    return node->array;
}


static schema_string_t *
schema_string(schema_compile_t *cc, uint32_t at)
{
    schema_node_t  *node = &cc->schema->nodes[at];

    if (node->string == NULL) {
        node->string = schema_alloc(cc, sizeof(*node->string));

        if (node->string) {
            node->string->max = UINT64_MAX;
        }
    }

    return node->string;
}


static schema_logic_t *
schema_logic(schema_compile_t *cc, uint32_t at)
{
    schema_node_t   *node = &cc->schema->nodes[at];
    schema_logic_t  *logic;

    if (node->logic == NULL) {
        node->logic = logic = schema_alloc(cc, sizeof(*logic));

        if (logic) {
            logic->ref = logic->dynamic = SCHEMA_NONE;
            logic->not = SCHEMA_NONE;
            logic->if_ = logic->then = logic->else_ = SCHEMA_NONE;
        }
    }

    return node->logic;
}


/* Core. */

static void
schema_on_dialect(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    travel_str_t  uri;

    (void) at;

    if (!schema_want(cc, value, TRAVEL_JSON_STRING, "a URI")) {
        return;
    }

    uri = cc->json[value].text;

    if (uri.len && uri.data[uri.len - 1] == '#') {
        uri.len--;
    }

    if (!travel_str_eq(uri,
             TRAVEL_STR("https://json-schema.org/draft/2020-12/schema")))
    {
        schema_fault(cc, TRAVEL_UNKNOWN, value, "only draft 2020-12 is known "
                     "here; leave \"$schema\" out or name that draft");
    }
}


static void
schema_on_string_note(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    (void) at;
    (void) schema_want(cc, value, TRAVEL_JSON_STRING, "a string");
}


static void
schema_on_flag_note(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    (void) at;

    if (cc->json[value].type != TRAVEL_JSON_TRUE) {
        (void) schema_want(cc, value, TRAVEL_JSON_FALSE, "true or false");
    }
}


static void
schema_on_array_note(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    (void) at;
    (void) schema_want(cc, value, TRAVEL_JSON_ARRAY, "an array");
}


static void
schema_on_object_note(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    (void) at;
    (void) schema_want(cc, value, TRAVEL_JSON_OBJECT, "an object");
}


static void
schema_on_ref(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    if (schema_want(cc, value, TRAVEL_JSON_STRING, "a URI reference")
        && schema_logic(cc, at))
    {
        schema_refs_add(cc, at, value, false);
    }
}


static void
schema_on_dynamic_ref(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    if (schema_want(cc, value, TRAVEL_JSON_STRING, "a URI reference")
        && schema_logic(cc, at))
    {
        schema_refs_add(cc, at, value, true);
    }
}


static void
schema_on_defs(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    uint32_t  i;

    if (!schema_want(cc, value, TRAVEL_JSON_OBJECT, "an object of schemas")) {
        return;
    }

    for (i = value + 1; i < cc->json[value].next; i = cc->json[i + 1].next) {
        schema_sub(cc, at, i + 1, "$defs");
    }
}


/* Any instance. */

static uint8_t
schema_type_bits(travel_str_t name)
{
    size_t  i;

    static const struct {
        const char  *name;
        uint8_t      bits;
    } types[] = {
        { "null", SCHEMA_NULL },
        { "boolean", SCHEMA_BOOLEAN },
        { "number", SCHEMA_FRACTION | SCHEMA_INTEGER },
        { "integer", SCHEMA_INTEGER },
        { "string", SCHEMA_STRING },
        { "array", SCHEMA_ARRAY },
        { "object", SCHEMA_OBJECT }
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strlen(types[i].name) == name.len
            && memcmp(types[i].name, name.data, name.len) == 0)
        {
            return types[i].bits;
        }
    }

    return 0;
}


static void
schema_on_type(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    uint8_t   bits, one;
    uint32_t  i, start = value, end = cc->json[value].next;

    if (cc->json[value].type == TRAVEL_JSON_ARRAY) {
        start++;
    }

    bits = 0;

    for (i = start; i < end; i = cc->json[i].next) {
        one = cc->json[i].type == TRAVEL_JSON_STRING
              ? schema_type_bits(cc->json[i].text) : 0;

        if (one == 0) {
            schema_fault(cc, TRAVEL_INVALID, i, "a type is one of null, "
                         "boolean, object, array, number, integer, string");
            return;
        }

        bits |= one;
    }

    if (bits == 0) {
        schema_fault(cc, TRAVEL_INVALID, value, "there is no type in it");
        return;
    }

    cc->schema->nodes[at].types = bits;
}


static void
schema_values(schema_compile_t *cc, uint32_t at, uint32_t start, uint32_t end,
    bool constant)
{
    uint32_t          i, n = 0;
    schema_values_t  *values;

    for (i = start; i < end; i = cc->json[i].next) {
        n++;
    }

    values = schema_alloc(cc, sizeof(*values));
    if (values == NULL) {
        return;
    }

    values->values.v = schema_alloc(cc, (n ? n : 1) * sizeof(uint32_t));
    if (values->values.v == NULL) {
        return;
    }

    values->all_strings = true;
    values->constant = constant;

    for (i = start; i < end; i = cc->json[i].next) {
        values->values.v[values->values.n++] = i;

        if (cc->json[i].type != TRAVEL_JSON_STRING) {
            values->all_strings = false;

        } else if (schema_names_add(cc, &values->strings, cc->json[i].text)
                   == SCHEMA_NONE)
        {
            return;
        }
    }

    cc->schema->nodes[at].values[constant] = values;
}


static void
schema_on_enum(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    if (schema_want(cc, value, TRAVEL_JSON_ARRAY, "an array of values")) {
        schema_values(cc, at, value + 1, cc->json[value].next, false);
    }
}


static void
schema_on_const(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    schema_values(cc, at, value, cc->json[value].next, true);
}


/* Logic. */

#define SCHEMA_ON_LIST(fn, keyword, field)                                    \
    static void                                                               \
    fn(schema_compile_t *cc, uint32_t at, uint32_t value)                     \
    {                                                                         \
        schema_logic_t  *logic = schema_logic(cc, at);                        \
                                                                              \
        if (logic) {                                                          \
            schema_sub_list(cc, at, value, keyword, &logic->field);           \
        }                                                                     \
    }

SCHEMA_ON_LIST(schema_on_all, "allOf", all)
SCHEMA_ON_LIST(schema_on_any, "anyOf", any)
SCHEMA_ON_LIST(schema_on_one, "oneOf", one)

#define SCHEMA_ON_SUB(fn, block, keyword, field)                              \
    static void                                                               \
    fn(schema_compile_t *cc, uint32_t at, uint32_t value)                     \
    {                                                                         \
        if (block(cc, at)) {                                                  \
            block(cc, at)->field = schema_sub(cc, at, value, keyword);        \
        }                                                                     \
    }

SCHEMA_ON_SUB(schema_on_not, schema_logic, "not", not)
SCHEMA_ON_SUB(schema_on_if, schema_logic, "if", if_)
SCHEMA_ON_SUB(schema_on_then, schema_logic, "then", then)
SCHEMA_ON_SUB(schema_on_else, schema_logic, "else", else_)
SCHEMA_ON_SUB(schema_on_items, schema_array, "items", items)
SCHEMA_ON_SUB(schema_on_contains, schema_array, "contains", contains)
SCHEMA_ON_SUB(schema_on_additional, schema_object, "additionalProperties",
              additional)
SCHEMA_ON_SUB(schema_on_names, schema_object, "propertyNames", property_names)


/* Counts. */

#define SCHEMA_ON_COUNT(fn, block, field)                                     \
    static void                                                               \
    fn(schema_compile_t *cc, uint32_t at, uint32_t value)                     \
    {                                                                         \
        uint64_t  n;                                                          \
                                                                              \
        if (schema_want_count(cc, value, &n) && block(cc, at)) {              \
            block(cc, at)->field = n;                                         \
        }                                                                     \
    }

SCHEMA_ON_COUNT(schema_on_min_length, schema_string, min)
SCHEMA_ON_COUNT(schema_on_max_length, schema_string, max)
SCHEMA_ON_COUNT(schema_on_min_items, schema_array, min)
SCHEMA_ON_COUNT(schema_on_max_items, schema_array, max)
SCHEMA_ON_COUNT(schema_on_min_contains, schema_array, min_contains)
SCHEMA_ON_COUNT(schema_on_max_contains, schema_array, max_contains)
SCHEMA_ON_COUNT(schema_on_min_properties, schema_object, min)
SCHEMA_ON_COUNT(schema_on_max_properties, schema_object, max)


/* Numbers. */

static void
schema_bound(schema_compile_t *cc, uint32_t at, uint32_t value,
    schema_bound_e which)
{
    schema_node_t     *node = &cc->schema->nodes[at];
    travel_decimal_t   d;

    if (!schema_want(cc, value, TRAVEL_JSON_NUMBER, "a number")) {
        return;
    }

    d = travel_decimal_read(cc->json[value].text);

    if (which == SCHEMA_MULTIPLE_OF) {

        if (d.n == 0 || d.negative) {
            schema_fault(cc, TRAVEL_INVALID, value,
                         "the value must be greater than zero");
            return;
        }

        if (d.n > TRAVEL_DECIMAL_DIVISOR_DIGITS) {
            schema_fault(cc, TRAVEL_UNKNOWN, value,
                         "more than %d significant digits cannot be judged "
                         "exactly; round the step",
                         TRAVEL_DECIMAL_DIVISOR_DIGITS);
            return;
        }
    }

    if (node->number == NULL) {
        node->number = schema_alloc(cc, sizeof(*node->number));
        if (node->number == NULL) {
            return;
        }
    }

    node->number->bound[which] = d;
    node->number->text[which] = cc->json[value].text;
}


#define SCHEMA_ON_BOUND(fn, which)                                            \
    static void                                                               \
    fn(schema_compile_t *cc, uint32_t at, uint32_t value)                     \
    {                                                                         \
        schema_bound(cc, at, value, which);                                   \
    }

SCHEMA_ON_BOUND(schema_on_minimum, SCHEMA_MINIMUM)
SCHEMA_ON_BOUND(schema_on_maximum, SCHEMA_MAXIMUM)
SCHEMA_ON_BOUND(schema_on_exclusive_minimum, SCHEMA_EXCLUSIVE_MINIMUM)
SCHEMA_ON_BOUND(schema_on_exclusive_maximum, SCHEMA_EXCLUSIVE_MAXIMUM)
SCHEMA_ON_BOUND(schema_on_multiple_of, SCHEMA_MULTIPLE_OF)


/* Where all bounds are whole numbers that fit, most instances need no more
 * than two comparisons. */
static void
schema_number_quick(schema_number_t *number)
{
    int64_t  v;
    size_t   i;

    number->lo = INT64_MIN;
    number->hi = INT64_MAX;
    number->quick = true;

    for (i = 0; i < SCHEMA_BOUNDS; i++) {

        if (number->text[i].data == NULL) {
            continue;
        }

        if (i == SCHEMA_MULTIPLE_OF
            || travel_decimal_int64(&number->bound[i], &v) != TRAVEL_OK
            || v < -INT64_MAX / 2 || v > INT64_MAX / 2)
        {
            number->quick = false;
            return;
        }

        v += i == SCHEMA_EXCLUSIVE_MINIMUM;
        v -= i == SCHEMA_EXCLUSIVE_MAXIMUM;

        if (i == SCHEMA_MINIMUM || i == SCHEMA_EXCLUSIVE_MINIMUM) {
            number->lo = v > number->lo ? v : number->lo;

        } else {
            number->hi = v < number->hi ? v : number->hi;
        }
    }
}


/* Strings. */

static travel_pattern_t *
schema_pattern(schema_compile_t *cc, uint32_t value, travel_str_t text)
{
    int                rc;
    size_t             at;
    const char        *why;
    travel_schema_t   *schema = cc->schema;
    travel_pattern_t  *pattern;

    if (!schema_array_grow(cc, (void **) &schema->patterns, schema->npatterns,
                           &schema->patterns_cap, sizeof(pattern)))
    {
        return NULL;
    }

    rc = travel_pattern_compile(&pattern, text, &why, &at);

    if (rc == TRAVEL_INVALID) {
        schema_fault(cc, TRAVEL_INVALID, value,
                     "in the pattern, at byte %zu: %s", at, why);
        return NULL;
    }

    if (rc != TRAVEL_OK) {
        cc->rc = TRAVEL_ERROR;
        return NULL;
    }

    schema->patterns[schema->npatterns++] = pattern;

    return pattern;
}


static void
schema_on_pattern(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    schema_string_t  *string;

    if (!schema_want(cc, value, TRAVEL_JSON_STRING, "a regular expression")) {
        return;
    }

    string = schema_string(cc, at);

    if (string) {
        string->pattern = schema_pattern(cc, value, cc->json[value].text);
    }
}


static void
schema_on_format(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    schema_string_t   *string;
    schema_format_pt   format;

    if (!schema_want(cc, value, TRAVEL_JSON_STRING, "the name of a format")) {
        return;
    }

    format = schema_format_find(cc->json[value].text);

    if (format) {
        string = schema_string(cc, at);

        if (string) {
            string->format = format;
            string->format_name = cc->json[value].text;
        }
    }
}


/* Arrays. */

static void
schema_on_prefix(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    schema_array_t  *array = schema_array(cc, at);

    if (array) {
        schema_sub_list(cc, at, value, "prefixItems", &array->prefix);
    }
}


static void
schema_on_unique(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    schema_on_flag_note(cc, at, value);

    if (cc->json[value].type == TRAVEL_JSON_TRUE && schema_array(cc, at)) {
        schema_array(cc, at)->unique = true;
    }
}


static void
schema_on_unevaluated_items(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    cc->schema->nodes[at].unevaluated_items
        = schema_sub(cc, at, value, "unevaluatedItems");
}


/* Objects. */

static void
schema_on_unevaluated_properties(schema_compile_t *cc, uint32_t at,
    uint32_t value)
{
    cc->schema->nodes[at].unevaluated_properties
        = schema_sub(cc, at, value, "unevaluatedProperties");
}


static void
schema_on_properties(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    uint32_t          i, k;
    schema_object_t  *object = schema_object(cc, at);

    if (object == NULL
        || !schema_want(cc, value, TRAVEL_JSON_OBJECT, "an object of schemas"))
    {
        return;
    }

    for (i = value + 1; i < cc->json[value].next; i = cc->json[i + 1].next) {
        k = schema_names_add(cc, &object->names, cc->json[i].text);
        if (k == SCHEMA_NONE) {
            return;
        }

        object->names.names[k].schema = schema_sub(cc, at, i + 1,
                                                   "properties");
    }
}


static void
schema_on_pattern_properties(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    uint32_t           i;
    schema_object_t   *object = schema_object(cc, at);
    schema_pattern_t  *p;

    if (object == NULL
        || !schema_want(cc, value, TRAVEL_JSON_OBJECT, "an object of schemas"))
    {
        return;
    }

    p = schema_alloc(cc, (cc->json[value].count + 1) * sizeof(*p));
    if (p == NULL) {
        return;
    }

    object->patterns = p;

    for (i = value + 1; i < cc->json[value].next; i = cc->json[i + 1].next) {
        p->pattern = schema_pattern(cc, i, cc->json[i].text);
        if (p->pattern == NULL) {
            return;
        }

        p->schema = schema_sub(cc, at, i + 1, "patternProperties");
        p++;
        object->npatterns++;
    }
}


/* An array of names, all different; each is added to the object's. */
static bool
schema_name_list(schema_compile_t *cc, uint32_t value, schema_object_t *object,
    uint32_t **ret_list, uint32_t *ret_n)
{
    uint32_t         i, n = 0, *list;
    schema_names_t   once = { 0 };

    if (!schema_want(cc, value, TRAVEL_JSON_ARRAY, "an array of names")) {
        return false;
    }

    list = schema_alloc(cc, (cc->json[value].count + 1) * sizeof(*list));
    if (list == NULL) {
        return false;
    }

    for (i = value + 1; i < cc->json[value].next; i = cc->json[i].next) {

        if (!schema_want(cc, i, TRAVEL_JSON_STRING, "a member's name")) {
            return false;
        }

        if (schema_names_find(&once, cc->json[i].text) != SCHEMA_NONE) {
            schema_fault(cc, TRAVEL_INVALID, i, "this name is there twice");
            return false;
        }

        list[n] = schema_names_add(cc, &object->names, cc->json[i].text);

        if (list[n++] == SCHEMA_NONE
            || schema_names_add(cc, &once, cc->json[i].text) == SCHEMA_NONE)
        {
            return false;
        }
    }

    *ret_list = list;
    *ret_n = n;

    return true;
}


static void
schema_on_required(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    uint32_t          i, n, *list;
    schema_object_t  *object = schema_object(cc, at);

    if (object == NULL || !schema_name_list(cc, value, object, &list, &n)) {
        return;
    }

    for (i = 0; i < n; i++) {
        object->names.names[list[i]].required = true;
    }
}


/* Room for 'n' more dependents; there are two keywords that add some. */
static schema_dependent_t *
schema_dependents(schema_compile_t *cc, schema_object_t *object, uint32_t n)
{
    schema_dependent_t  *p;

    p = schema_alloc(cc, (object->ndependents + n + 1) * sizeof(*p));
    if (p == NULL) {
        return NULL;
    }

    if (object->ndependents) {
        memcpy(p, object->dependents, object->ndependents * sizeof(*p));
    }

    object->dependents = p;

    return p + object->ndependents;
}


static void
schema_on_dependents(schema_compile_t *cc, uint32_t at, uint32_t value,
    bool schemas)
{
    uint32_t             i;
    schema_object_t     *object = schema_object(cc, at);
    schema_dependent_t  *d;

    if (object == NULL
        || !schema_want(cc, value, TRAVEL_JSON_OBJECT, "an object"))
    {
        return;
    }

    d = schema_dependents(cc, object, cc->json[value].count);
    if (d == NULL) {
        return;
    }

    for (i = value + 1; i < cc->json[value].next; i = cc->json[i + 1].next) {

        d->trigger = schema_names_add(cc, &object->names, cc->json[i].text);
        d->schema = SCHEMA_NONE;

        if (d->trigger == SCHEMA_NONE) {
            return;
        }

        if (schemas) {
            d->schema = schema_sub(cc, at, i + 1, "dependentSchemas");

        } else if (!schema_name_list(cc, i + 1, object, &d->names, &d->n)) {
            return;
        }

        d++;
        object->ndependents++;
    }
}


static void
schema_on_dependent_required(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    schema_on_dependents(cc, at, value, false);
}


static void
schema_on_dependent_schemas(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    schema_on_dependents(cc, at, value, true);
}


static void
schema_on_content(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    schema_sub(cc, at, value, "contentSchema");
}


static void
schema_on_sealed(schema_compile_t *cc, uint32_t at, uint32_t value)
{
    schema_on_flag_note(cc, at, value);
    cc->schema->nodes[at].sealed = cc->json[value].type == TRAVEL_JSON_TRUE;
}


/* $id, $anchor and $dynamicAnchor are read before all others, by
 * schema_refs_identify(). */
static const schema_keyword_t  schema_keywords[] = {
    { "$schema", schema_on_dialect },
    { "$id", schema_on_string_note },
    { "$anchor", schema_on_string_note },
    { "$dynamicAnchor", schema_on_string_note },
    { "$ref", schema_on_ref },
    { "$dynamicRef", schema_on_dynamic_ref },
    { "$defs", schema_on_defs },
    { "definitions", schema_on_defs },
    { "$comment", schema_on_string_note },
    { "$vocabulary", schema_on_object_note },

    { "type", schema_on_type },
    { "enum", schema_on_enum },
    { "const", schema_on_const },

    { "allOf", schema_on_all },
    { "anyOf", schema_on_any },
    { "oneOf", schema_on_one },
    { "not", schema_on_not },
    { "if", schema_on_if },
    { "then", schema_on_then },
    { "else", schema_on_else },

    { "multipleOf", schema_on_multiple_of },
    { "minimum", schema_on_minimum },
    { "maximum", schema_on_maximum },
    { "exclusiveMinimum", schema_on_exclusive_minimum },
    { "exclusiveMaximum", schema_on_exclusive_maximum },

    { "minLength", schema_on_min_length },
    { "maxLength", schema_on_max_length },
    { "pattern", schema_on_pattern },
    { "format", schema_on_format },

    { "prefixItems", schema_on_prefix },
    { "items", schema_on_items },
    { "contains", schema_on_contains },
    { "minContains", schema_on_min_contains },
    { "maxContains", schema_on_max_contains },
    { "minItems", schema_on_min_items },
    { "maxItems", schema_on_max_items },
    { "uniqueItems", schema_on_unique },
    { "unevaluatedItems", schema_on_unevaluated_items },

    { "properties", schema_on_properties },
    { "patternProperties", schema_on_pattern_properties },
    { "additionalProperties", schema_on_additional },
    { "propertyNames", schema_on_names },
    { "required", schema_on_required },
    { "minProperties", schema_on_min_properties },
    { "maxProperties", schema_on_max_properties },
    { "dependentRequired", schema_on_dependent_required },
    { "dependentSchemas", schema_on_dependent_schemas },
    { "unevaluatedProperties", schema_on_unevaluated_properties },

    { "title", schema_on_string_note },
    { "description", schema_on_string_note },
    { "deprecated", schema_on_flag_note },
    { "readOnly", schema_on_flag_note },
    { "writeOnly", schema_on_flag_note },
    { "examples", schema_on_array_note },
    { "contentEncoding", schema_on_string_note },
    { "contentMediaType", schema_on_string_note },
    { "contentSchema", schema_on_content },

    { "x-sealed", schema_on_sealed },
    { NULL, NULL }
};


/* The set of required names, once all names are known. */
static void
schema_required_set(schema_compile_t *cc, schema_object_t *object)
{
    uint32_t  i;

    object->words = (object->names.n + 63) / 64;

    if (object->words == 0) {
        return;
    }

    object->required = schema_alloc(cc, object->words * sizeof(uint64_t));
    if (object->required == NULL) {
        return;
    }

    for (i = 0; i < object->names.n; i++) {
        if (object->names.names[i].required) {
            object->required[i / 64] |= UINT64_C(1) << (i % 64);
        }
    }
}


static void
schema_compile_node(schema_compile_t *cc, uint32_t at)
{
    uint32_t                 i;
    travel_str_t             name;
    schema_node_t           *node = &cc->schema->nodes[at];
    const schema_keyword_t  *k;

    node->kind = SCHEMA_RULES;

    schema_refs_identify(cc, at);

    for (i = at + 1; i < cc->json[at].next; i = cc->json[i + 1].next) {

        name = cc->json[i].text;

        for (k = schema_keywords; k->name; k++) {
            if (strlen(k->name) == name.len
                && memcmp(k->name, name.data, name.len) == 0)
            {
                k->handler(cc, at, i + 1);
                break;
            }
        }

        if (cc->rc != TRAVEL_OK) {
            return;
        }
    }

    if (node->object) {
        schema_required_set(cc, node->object);
    }

    if (node->number) {
        schema_number_quick(node->number);
    }
}
