/*
 * What is given for an argument: of the document, of the variables, by default;
 * as PostgreSQL reads it, or as the JSON of a command.
 *
 * Literals may have variables in them, and those may be lists and objects: a
 * source is either a piece of the document or of the variables, and what is in
 * it is a source again.  The recursion is at most INPUT_DEPTH deep.
 */

#include "plan_parts.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

#define INPUT_DEPTH  64
#define INPUT_INT    24               /* a whole number as text */

typedef travel_graphql_ast_t      ast_t;
typedef travel_graphql_map_arg_t  arg_t;

/* Neither: nothing is given. */
typedef struct {
    const ast_t               *ast;
    const travel_json_node_t  *json;
} source_t;

typedef struct {
    const ast_t                       *operation;
    const travel_graphql_variables_t  *variables;
    travel_graphql_text_t             *out;
    bool                               wrong;
} input_t;

static void input_json(input_t *in, const arg_t *arg, const ast_t *type,
    source_t source, unsigned depth);


/* --- sources -------------------------------------------------------------- */

static source_t
input_follow(const input_t *in, const ast_t *ast)
{
    source_t  source = { .ast = ast };

    if (ast != NULL && ast->kind == TRAVEL_GRAPHQL_VARIABLE) {
        travel_graphql_plan_variable(in->operation, in->variables, ast->name,
                                     &source.json, &source.ast);
    }

    return source;
}


static bool
input_absent(source_t source)
{
    return source.ast == NULL && source.json == NULL;
}


/* Or null. */
static bool
input_empty(source_t source)
{
    return source.json != NULL ? source.json->type == TRAVEL_JSON_NULL
           : source.ast == NULL || source.ast->kind == TRAVEL_GRAPHQL_NULL;
}


static bool
input_is_list(source_t source)
{
    return source.json != NULL ? source.json->type == TRAVEL_JSON_ARRAY
                               : source.ast->kind == TRAVEL_GRAPHQL_LIST;
}


static uint32_t
input_index(const input_t *in, const travel_json_node_t *node)
{
    return (uint32_t) (node - travel_json_nodes(in->variables->json));
}


static source_t
input_member(const input_t *in, source_t object, travel_str_t name)
{
    const ast_t  *ast;
    source_t      none = { 0 };

    if (object.json != NULL) {
        if (object.json->type == TRAVEL_JSON_OBJECT) {
            none.json = travel_json_member(in->variables->json,
                                           input_index(in, object.json),
                                           name);
        }

        return none;
    }

    if (object.ast == NULL || object.ast->kind != TRAVEL_GRAPHQL_OBJECT) {
        return none;
    }

    ast = travel_graphql_find(object.ast->children, name);

    return ast != NULL ? input_follow(in, ast->value) : none;
}


/* Each item of a list in turn; anything else is a list of itself. */
typedef struct {
    source_t  next;
    uint32_t  left;
    bool      one;
} items_t;


static items_t
input_items(source_t list)
{
    items_t  items = { .next = list, .left = 1, .one = true };

    if (!input_is_list(list)) {
        return items;
    }

    items.one = false;

    if (list.json != NULL) {
        items.left = list.json->count;
        items.next.json = list.json + 1;
        return items;
    }

    items.next.ast = list.ast->children;
    items.left = UINT32_MAX;
    return items;
}


static bool
input_next(const input_t *in, items_t *items, source_t *ret_item)
{
    if (items->left == 0 || input_absent(items->next)) {
        return false;
    }

    items->left--;
    *ret_item = items->next;

    if (items->one) {
        return true;
    }

    if (items->next.json != NULL) {
        items->next.json = travel_json_nodes(in->variables->json)
                           + items->next.json->next;
        return true;
    }

    items->next.ast = items->next.ast->next;
    *ret_item = input_follow(in, ret_item->ast);
    return true;
}


/* --- scalars -------------------------------------------------------------- */

static void
input_puts(input_t *in, const char *s)
{
    travel_graphql_text_puts(in->out, s);
}


/* As it is written; a whole number that is written as 1.0 or 1e3 as PostgreSQL
 * reads one, in 'buf'.  False: it is no scalar. */
static bool
input_text(source_t source, char buf[INPUT_INT], travel_str_t *ret_text)
{
    int64_t                    v;
    const travel_json_node_t  *node = source.json;

    if (node == NULL) {
        *ret_text = source.ast->text;
        return source.ast->kind != TRAVEL_GRAPHQL_LIST
               && source.ast->kind != TRAVEL_GRAPHQL_OBJECT;
    }

    switch (node->type) {

    case TRAVEL_JSON_TRUE:
        *ret_text = TRAVEL_STR("true");
        return true;

    case TRAVEL_JSON_FALSE:
        *ret_text = TRAVEL_STR("false");
        return true;

    case TRAVEL_JSON_STRING:
        *ret_text = node->text;
        return true;

    case TRAVEL_JSON_NUMBER:
        *ret_text = node->text;

        if (node->integer
            && (memchr(node->text.data, '.', node->text.len) != NULL
                || memchr(node->text.data, 'e', node->text.len) != NULL
                || memchr(node->text.data, 'E', node->text.len) != NULL)
            && travel_json_int64(node, &v) == TRAVEL_OK)
        {
            *ret_text = (travel_str_t) {
                buf, (size_t) snprintf(buf, INPUT_INT, "%lld",
                                       (long long) v) };
        }

        return true;

    default:
        return false;
    }
}


static bool
input_is_string(source_t source)
{
    return source.json != NULL ? source.json->type == TRAVEL_JSON_STRING
           : source.ast->kind == TRAVEL_GRAPHQL_STRING
             || source.ast->kind == TRAVEL_GRAPHQL_ENUM;
}


static bool
input_is_boolean(source_t source)
{
    return source.json != NULL ? source.json->type != TRAVEL_JSON_STRING
                                 && source.json->type != TRAVEL_JSON_NUMBER
                               : source.ast->kind == TRAVEL_GRAPHQL_BOOLEAN;
}


/* --- JSON ----------------------------------------------------------------- */

/* 'base' empty: as it is. */
static void
input_leaf(input_t *in, travel_str_t base, source_t source)
{
    char          buf[INPUT_INT];
    bool          raw;
    travel_str_t  text;

    if (!input_text(source, buf, &text)) {
        in->wrong = true;
        return;
    }

    raw = !input_is_string(source)
          && (input_is_boolean(source) || base.len == 0
              || travel_graphql_is(base, "Int")
              || travel_graphql_is(base, "Float"));

    if (raw) {
        travel_graphql_text_add(in->out, text);
    } else {
        travel_graphql_text_string(in->out, text);
    }
}


/* What a scalar takes that takes anything. */
static void
input_any(input_t *in, source_t source, unsigned depth)
{
    size_t        n = 0;
    items_t       items;
    source_t      item;
    uint32_t      at, left;
    const ast_t  *member;

    if (input_empty(source)) {
        input_puts(in, "null");
        return;
    }

    if (depth == INPUT_DEPTH) {
        in->wrong = true;
        return;
    }

    if (input_is_list(source)) {
        items = input_items(source);
        input_puts(in, "[");

        while (input_next(in, &items, &item)) {
            input_puts(in, n++ > 0 ? "," : "");
            input_any(in, item, depth + 1);
        }

        input_puts(in, "]");

    } else if (source.json != NULL && source.json->type == TRAVEL_JSON_OBJECT)
    {
        at = input_index(in, source.json) + 1;
        input_puts(in, "{");

        for (left = source.json->count; left > 0; left--) {
            item = (source_t) { .json = travel_json_nodes(in->variables->json)
                                        + at };
            input_puts(in, n++ > 0 ? "," : "");
            travel_graphql_text_string(in->out, item.json->text);
            input_puts(in, ":");
            item.json++;
            at = item.json->next;
            input_any(in, item, depth + 1);
        }

        input_puts(in, "}");

    } else if (source.json == NULL
               && source.ast->kind == TRAVEL_GRAPHQL_OBJECT)
    {
        input_puts(in, "{");

        for (member = source.ast->children; member != NULL;
             member = member->next)
        {
            item = input_follow(in, member->value);

            if (!input_absent(item)) {
                input_puts(in, n++ > 0 ? "," : "");
                travel_graphql_text_string(in->out, member->name);
                input_puts(in, ":");
                input_any(in, item, depth + 1);
            }
        }

        input_puts(in, "}");

    } else {
        input_leaf(in, TRAVEL_NULL_STR, source);
    }
}


/* The members of an input object, without braces; null is as none. */
static void
input_members(input_t *in, const arg_t *arg, source_t source, size_t *n,
    unsigned depth)
{
    size_t        i;
    source_t      member;
    const arg_t  *of;

    for (i = 0; i < arg->nmembers; i++) {
        of = &arg->members[i];
        member = input_member(in, source, of->name);

        if (input_absent(member)) {
            member.ast = of->def->value;
        }

        if (!input_empty(member)) {
            input_puts(in, (*n)++ > 0 ? "," : "");
            travel_graphql_text_string(in->out, of->member);
            input_puts(in, ":");
            input_json(in, of, of->def->type, member, depth);
        }
    }
}


static void
input_json(input_t *in, const arg_t *arg, const ast_t *type, source_t source,
    unsigned depth)
{
    size_t    n = 0;
    items_t   items;
    source_t  item;

    if (type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL) {
        type = type->type;
    }

    if (depth == INPUT_DEPTH) {
        in->wrong = true;

    } else if (input_empty(source)) {
        input_puts(in, "null");

    } else if (type->kind == TRAVEL_GRAPHQL_TYPE_LIST) {
        items = input_items(source);
        input_puts(in, "[");

        while (input_next(in, &items, &item)) {
            input_puts(in, n++ > 0 ? "," : "");
            input_json(in, arg, type->type, item, depth + 1);
        }

        input_puts(in, "]");

    } else if (arg->nmembers > 0) {
        input_puts(in, "{");
        input_members(in, arg, source, &n, depth + 1);
        input_puts(in, "}");

    } else if (arg->json) {
        input_any(in, source, depth + 1);

    } else {
        input_leaf(in, arg->base, source);
    }
}


/* --- as PostgreSQL reads it ----------------------------------------------- */

/* {"a",NULL,"{...}"}: the text of an array; objects in it are JSON. */
static void
input_array(input_t *in, const arg_t *arg, const ast_t *type, source_t list)
{
    char                    buf[INPUT_INT];
    size_t                  n = 0;
    items_t                 items = input_items(list);
    source_t                item;
    travel_str_t            text;
    travel_graphql_text_t   json, *out = in->out;

    travel_graphql_text_puts(out, "{");

    while (input_next(in, &items, &item) && !in->wrong) {
        travel_graphql_text_puts(out, n++ > 0 ? "," : "");

        if (input_empty(item)) {
            travel_graphql_text_puts(out, "NULL");

        } else if (arg->nmembers > 0 || arg->json) {
            memset(&json, 0, sizeof(json));
            in->out = &json;
            input_json(in, arg, type, item, 1);
            in->out = out;
            travel_graphql_text_item(out, (travel_str_t) { json.data,
                                                           json.len });
            out->failed |= json.failed;
            travel_graphql_text_free(&json);

        } else if (input_text(item, buf, &text)) {
            travel_graphql_text_item(out, text);

        } else {
            in->wrong = true;
        }
    }

    travel_graphql_text_puts(out, "}");
}


/* A list of lists is no array, whose rows are all as long as each other. */
static bool
input_is_array(const ast_t *type)
{
    if (type->kind != TRAVEL_GRAPHQL_TYPE_LIST) {
        return false;
    }

    type = type->type;
    type = type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL ? type->type : type;

    return type->kind != TRAVEL_GRAPHQL_TYPE_LIST;
}


static int
input_keep(travel_str_t text, travel_graphql_alloc_pt alloc, void *pool,
    travel_str_t *ret_text)
{
    char  *copy;

    copy = alloc != NULL ? alloc(pool, text.len + 1) : NULL;
    if (copy == NULL) {
        return alloc != NULL ? TRAVEL_ERROR : TRAVEL_INVALID;
    }

    memcpy(copy, text.data, text.len);
    *ret_text = (travel_str_t) { copy, text.len };
    return TRAVEL_OK;
}


/* A list, an object, any JSON. */
static int
input_made(input_t *in, const arg_t *arg, source_t source,
    travel_graphql_alloc_pt alloc, void *pool, travel_str_t *ret_text)
{
    int                     rc;
    const ast_t            *type = arg->def->type;
    travel_graphql_text_t   out = { 0 };

    if (type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL) {
        type = type->type;
    }

    in->out = &out;

    if (input_is_array(type)) {
        input_array(in, arg, type->type, source);
    } else {
        input_json(in, arg, type, source, 0);
    }

    rc = out.failed ? TRAVEL_ERROR
         : in->wrong ? TRAVEL_INVALID
         : input_keep((travel_str_t) { out.data, out.len }, alloc, pool,
                      ret_text);
    travel_graphql_text_free(&out);
    return rc;
}


static source_t
input_source(const input_t *in, const travel_graphql_value_t *value)
{
    size_t    i;
    source_t  source = { .ast = value->literal };

    if (value->variable.len > 0) {
        travel_graphql_plan_variable(in->operation, in->variables,
                                     value->variable, &source.json,
                                     &source.ast);
    }

    for (i = 0; i < value->npath; i++) {
        source = input_member(in, source, value->path[i]);
    }

    return source;
}


int
travel_graphql_value(const travel_graphql_plan_t *plan,
    const travel_graphql_value_t *value,
    const travel_graphql_variables_t *variables,
    travel_graphql_alloc_pt alloc, void *pool, travel_str_t *ret_text)
{
    char          buf[INPUT_INT];
    input_t       in = { .operation = plan->operation,
                         .variables = variables };
    source_t      source;
    const arg_t  *arg = value->arg;

    if (value->variable.len == 0 && !value->made) {
        *ret_text = value->text;
        return TRAVEL_OK;
    }

    *ret_text = TRAVEL_NULL_STR;
    source = input_source(&in, value);

    if (input_empty(source)) {
        return TRAVEL_OK;
    }

    if (arg != NULL && (arg->list || arg->nmembers > 0 || arg->json)) {
        return input_made(&in, arg, source, alloc, pool, ret_text);
    }

    if (!input_text(source, buf, ret_text)) {
        return TRAVEL_INVALID;
    }

    return ret_text->data == buf ? input_keep(*ret_text, alloc, pool, ret_text)
                                 : TRAVEL_OK;
}


/* --- a command's body ----------------------------------------------------- */

int
travel_graphql_input(const travel_graphql_plan_t *plan,
    const travel_graphql_node_t *node,
    const travel_graphql_variables_t *variables, travel_graphql_text_t *out)
{
    size_t        i, n = 0;
    input_t       in = { .operation = plan->operation,
                         .variables = variables, .out = out };
    source_t      source;
    const arg_t  *arg;

    input_puts(&in, "{");

    for (i = 0; i < node->field->nargs; i++) {
        arg = &node->field->args[i];

        if (!node->given[i].given) {
            continue;
        }

        source = input_source(&in, &node->given[i].value);

        if (input_empty(source)) {
            continue;
        }

        /* an input object's members are the body's */

        if (arg->nmembers > 0 && !arg->list) {
            input_members(&in, arg, source, &n, 0);
            continue;
        }

        input_puts(&in, n++ > 0 ? "," : "");
        travel_graphql_text_string(out, arg->member);
        input_puts(&in, ":");
        input_json(&in, arg, arg->def->type, source, 0);
    }

    input_puts(&in, "}");

    return out->failed ? TRAVEL_ERROR : in.wrong ? TRAVEL_INVALID : TRAVEL_OK;
}
