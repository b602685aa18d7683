/* Variables against their declarations.  See coerce.h. */

#include "arena.h"
#include "coerce.h"
#include "steps.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef travel_graphql_ast_t     ast_t;
typedef travel_graphql_type_t    type_t;
typedef travel_graphql_schema_t  schema_t;
typedef travel_json_node_t       node_t;

#define TEXT       TRAVEL_GRAPHQL_TYPE_TEXT
#define type_text  travel_graphql_type_text

#define COERCE_PATH  80               /* of a path, as it is told */

/* A list or an object that is being looked through. */
typedef struct {
    uint32_t       at;                /* the next item, or member's name */
    uint32_t       left;
    uint32_t       index;             /* of the last item */
    travel_str_t   name;              /* of the last member */
    const ast_t   *type;              /* of items; NULL: members of 'input' */
    const type_t  *input;
} coerce_frame_t;

typedef struct {
    const schema_t           *schema;
    const travel_json_t      *json;
    travel_graphql_report_t  *report;
    const ast_t              *var;
    coerce_frame_t           *frames; /* free()d */
    size_t                    n;
    size_t                    room;
} coerce_t;


/* --- what is told -------------------------------------------------------- */

/* "context.places[2].name", from the front as far as it fits. */
static void
coerce_path(const coerce_t *c, char buf[COERCE_PATH])
{
    int     n;
    size_t  i, len;

    len = (size_t) snprintf(buf, COERCE_PATH, "%.*s", N_(c->var->name));

    for (i = 0; i < c->n && len + 1 < COERCE_PATH; i++) {

        n = c->frames[i].type != NULL
            ? snprintf(buf + len, COERCE_PATH - len, "[%u]",
                       c->frames[i].index)
            : snprintf(buf + len, COERCE_PATH - len, ".%.*s",
                       N_(c->frames[i].name));

        if (n < 0 || (size_t) n >= COERCE_PATH - len) {
            snprintf(buf + COERCE_PATH - 4, 4, "...");
            return;
        }

        len += (size_t) n;
    }
}


static travel_str_t
coerce_found(const node_t *node)
{
    switch (node->type) {

    case TRAVEL_JSON_NULL:    return TRAVEL_STR("null");
    case TRAVEL_JSON_TRUE:    return TRAVEL_STR("true");
    case TRAVEL_JSON_FALSE:   return TRAVEL_STR("false");
    case TRAVEL_JSON_ARRAY:   return TRAVEL_STR("a list");
    case TRAVEL_JSON_OBJECT:  return TRAVEL_STR("an object");
    default:                  return node->text;
    }
}


TRAVEL_PRINTF(2, 3)
static void
coerce_wrong(coerce_t *c, const char *fmt, ...)
{
    char     why[TRAVEL_GRAPHQL_MESSAGE_MAX], path[COERCE_PATH];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);

    coerce_path(c, path);
    travel_graphql_report_at(
        travel_graphql_report(c->report, "Variable \"$%.*s\" got an invalid "
                              "value at \"%s\": %s", N_(c->var->name), path,
                              why), c->var);
}


static void
coerce_expected(coerce_t *c, const ast_t *type, const node_t *node)
{
    char          text[TEXT];
    travel_str_t  found = coerce_found(node);

    if (node->type == TRAVEL_JSON_STRING) {
        coerce_wrong(c, "expected \"%s\", found the string \"%.*s\".",
                     type_text(type, text), N_(found));
    } else {
        coerce_wrong(c, "expected \"%s\", found %.*s.", type_text(type, text),
                     N_(found));
    }
}


/* --- values -------------------------------------------------------------- */

static bool
coerce_is(const type_t *type, const char *name)
{
    return type->name.len == strlen(name)
           && memcmp(type->name.data, name, type->name.len) == 0;
}


/* Is it one of a scalar or an enum?  Not null. */
static bool
coerce_leaf(const coerce_t *c, const type_t *type, const node_t *node)
{
    int64_t  v;

    if (type->kind == TRAVEL_GRAPHQL_DEF_ENUM) {
        return node->type == TRAVEL_JSON_STRING
               && travel_graphql_schema_member(c->schema, type, node->text)
                  != NULL;
    }

    if (coerce_is(type, "Int")) {
        return node->type == TRAVEL_JSON_NUMBER
               && travel_json_int64(node, &v) == TRAVEL_OK && v == (int32_t) v;
    }

    if (coerce_is(type, "Float")) {
        return node->type == TRAVEL_JSON_NUMBER
               && isfinite(travel_json_double(node));
    }

    if (coerce_is(type, "Boolean")) {
        return node->type == TRAVEL_JSON_TRUE
               || node->type == TRAVEL_JSON_FALSE;
    }

    if (coerce_is(type, "ID") && node->type == TRAVEL_JSON_NUMBER) {
        return node->integer;
    }

    if (coerce_is(type, "ID") || coerce_is(type, "String")) {
        return node->type == TRAVEL_JSON_STRING;
    }

    return (type->format == NULL && !type->whole)
           || ((node->type == TRAVEL_JSON_STRING
                || node->type == TRAVEL_JSON_NUMBER)
               && travel_graphql_scalar_takes(type, node->text,
                                              node->type
                                              == TRAVEL_JSON_STRING));
}


static int
coerce_push(coerce_t *c, const node_t *node, const ast_t *items,
    const type_t *input)
{
    coerce_frame_t  *frame;

    TRY(travel_graphql_grow((void **) &c->frames, &c->room, c->n,
                            sizeof(*c->frames)));
    frame = &c->frames[c->n++];
    memset(frame, 0, sizeof(*frame));
    frame->at = (uint32_t) (node - travel_json_nodes(c->json)) + 1;
    frame->left = node->count;
    frame->index = UINT32_MAX;
    frame->type = items;
    frame->input = input;
    return TRAVEL_OK;
}


/* What an object must have; its members are looked at one by one later. */
static void
coerce_object(coerce_t *c, const type_t *input, const node_t *node)
{
    char           text[TEXT];
    size_t         given = 0;
    uint32_t       object;
    const ast_t   *field, *null = NULL;
    const node_t  *member;

    object = (uint32_t) (node - travel_json_nodes(c->json));

    for (field = input->def->children; field != NULL; field = field->next) {
        member = travel_json_member(c->json, object, field->name);

        if (member == NULL) {
            if (travel_graphql_is_required(field)) {
                coerce_wrong(c, "field \"%.*s\" of required type \"%s\" was "
                             "not provided.", N_(field->name),
                             type_text(field->type, text));
            }

            continue;
        }

        if (given++ == 0 && member->type == TRAVEL_JSON_NULL) {
            null = field;
        }
    }

    if (input->one_of && given != 1) {
        coerce_wrong(c, "exactly one key must be specified for OneOf type "
                     "\"%.*s\".", N_(input->name));
    }

    if (input->one_of && null != NULL) {
        coerce_wrong(c, "field \"%.*s\" must be non-null.", N_(null->name));
    }
}


static int
coerce_value(coerce_t *c, const ast_t *type, const node_t *node)
{
    const ast_t   *whole = type;
    const type_t  *base = travel_graphql_base(type)->of;

    if (node->type == TRAVEL_JSON_NULL) {
        if (type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL) {
            coerce_expected(c, type, node);
        }

        return TRAVEL_OK;
    }

    /* a value stands for a list of it */

    while (type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL
           || (type->kind == TRAVEL_GRAPHQL_TYPE_LIST
               && node->type != TRAVEL_JSON_ARRAY))
    {
        type = type->type;
    }

    if (type->kind == TRAVEL_GRAPHQL_TYPE_LIST) {
        return coerce_push(c, node, type->type, NULL);
    }

    if (base->kind == TRAVEL_GRAPHQL_DEF_INPUT) {
        if (node->type != TRAVEL_JSON_OBJECT) {
            coerce_expected(c, whole, node);
            return TRAVEL_OK;
        }

        coerce_object(c, base, node);
        return coerce_push(c, node, NULL, base);
    }

    if (!coerce_leaf(c, base, node)) {
        coerce_expected(c, whole, node);
    }

    return TRAVEL_OK;
}


static int
coerce_member(coerce_t *c, coerce_frame_t *frame)
{
    const ast_t   *field;
    const type_t  *input = frame->input;
    const node_t  *nodes = travel_json_nodes(c->json), *name, *value;

    name = &nodes[frame->at];
    value = name + 1;
    frame->name = name->text;
    frame->at = value->next;
    field = travel_graphql_schema_member(c->schema, input, name->text);

    if (field != NULL) {
        return coerce_value(c, field->type, value);
    }

    c->n--;                                /* the path is the object's */
    coerce_wrong(c, "field \"%.*s\" is not defined by type \"%.*s\".",
                 N_(name->text), N_(input->name));
    c->n++;
    return TRAVEL_OK;
}


/* By a stack of what is left. */
static int
coerce_all(coerce_t *c, const node_t *node)
{
    const node_t    *item;
    coerce_frame_t  *frame;

    TRY(coerce_value(c, c->var->type, node));

    while (c->n > 0) {
        frame = &c->frames[c->n - 1];

        if (frame->left == 0) {
            c->n--;
            continue;
        }

        frame->left--;
        frame->index++;

        if (frame->type == NULL) {
            TRY(coerce_member(c, frame));
            continue;
        }

        item = &travel_json_nodes(c->json)[frame->at];
        frame->at = item->next;
        TRY(coerce_value(c, frame->type, item));
    }

    return TRAVEL_OK;
}


/* --- variables ----------------------------------------------------------- */

static int
coerce_variable(coerce_t *c, const travel_graphql_variables_t *variables)
{
    char           text[TEXT];
    const ast_t   *var = c->var;
    const node_t  *node;

    (void) travel_graphql_schema_resolve(c->schema, var->type);

    node = variables->present
           ? travel_json_member(variables->json, variables->object, var->name)
           : NULL;

    if (node == NULL) {
        if (travel_graphql_is_required(var)) {
            travel_graphql_report_at(
                travel_graphql_report(c->report, "Variable \"$%.*s\" of "
                                      "required type \"%s\" was not provided.",
                                      N_(var->name),
                                      type_text(var->type, text)), var);
        }

        return TRAVEL_OK;
    }

    if (node->type == TRAVEL_JSON_NULL
        && var->type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL)
    {
        travel_graphql_report_at(
            travel_graphql_report(c->report, "Variable \"$%.*s\" of non-null "
                                  "type \"%s\" must not be null.",
                                  N_(var->name), type_text(var->type, text)),
            var);
        return TRAVEL_OK;
    }

    c->n = 0;
    return coerce_all(c, node);
}


int
travel_graphql_coerce(const schema_t *schema, const ast_t *operation,
    const travel_graphql_variables_t *variables,
    travel_graphql_report_t *report)
{
    int       rc = TRAVEL_OK;
    size_t    before = report->n;
    coerce_t  c = { .schema = schema, .json = variables->json,
                    .report = report };

    for (c.var = operation->variables; c.var != NULL && rc == TRAVEL_OK;
         c.var = c.var->next)
    {
        rc = coerce_variable(&c, variables);
    }

    free(c.frames);

    if (rc != TRAVEL_OK || report->failed) {
        return TRAVEL_ERROR;
    }

    return report->n > before || report->more ? TRAVEL_INVALID : TRAVEL_OK;
}
