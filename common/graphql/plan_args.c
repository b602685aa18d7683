/*
 * The arguments of a document's fields: literals, variables, what they are by
 * default; and the shape of the variables, which a plan depends on.
 */

#include "plan_parts.h"
#include "schema.h"
#include "steps.h"
#include "text.h"

#include <stdlib.h>

typedef travel_graphql_ast_t     ast_t;
typedef travel_graphql_node_t    node_t;
typedef travel_graphql_making_t  plan_t;

#define plan_error     travel_graphql_plan_error
#define plan_alloc     travel_graphql_plan_alloc
#define plan_variable  travel_graphql_plan_variable
#define plan_is        travel_graphql_is


/* --- variables ----------------------------------------------------------- */

void
plan_variable(const ast_t *operation,
    const travel_graphql_variables_t *variables, travel_str_t name,
    const travel_json_node_t **ret_json, const ast_t **ret_default)
{
    const ast_t  *def;

    *ret_json = variables->present
                ? travel_json_member(variables->json, variables->object, name)
                : NULL;
    *ret_default = NULL;

    if (*ret_json == NULL) {
        def = travel_graphql_find(operation->variables, name);
        *ret_default = def != NULL ? def->value : NULL;
    }
}


static bool
plan_given(const ast_t *operation, const travel_graphql_variables_t *variables,
    travel_str_t name)
{
    const ast_t               *value;
    const travel_json_node_t  *json;

    plan_variable(operation, variables, name, &json, &value);

    return json != NULL ? json->type != TRAVEL_JSON_NULL
                        : value != NULL && value->kind != TRAVEL_GRAPHQL_NULL;
}


static const ast_t *
plan_base(const ast_t *type)
{
    while (type->kind != TRAVEL_GRAPHQL_TYPE_NAMED) {
        type = type->type;
    }

    return type;
}


/* Which members of an object there are, and of those within it. */
static size_t
plan_shape_members(const travel_graphql_mapping_t *mapping, const ast_t *input,
    const travel_graphql_variables_t *variables,
    const travel_json_node_t *object, unsigned depth, char *dst, size_t room)
{
    size_t                     n = 0;
    const ast_t               *field, *type;
    const travel_json_node_t  *member;

    for (field = input->children; field != NULL; field = field->next) {
        member = travel_json_member(variables->json, (uint32_t)
                     (object - travel_json_nodes(variables->json)),
                     field->name);

        if (n == room) {
            return room;
        }

        dst[n++] = member == NULL ? '-'
                   : member->type == TRAVEL_JSON_NULL ? 'n' : 'v';

        if (member == NULL || member->type != TRAVEL_JSON_OBJECT
            || depth == TRAVEL_GRAPHQL_NESTED_MAX)
        {
            continue;
        }

        type = travel_graphql_map_definition(mapping,
                                             plan_base(field->type)->name);

        if (type != NULL && type->kind == TRAVEL_GRAPHQL_DEF_INPUT) {
            n += plan_shape_members(mapping, type, variables, member,
                                    depth + 1, dst + n, room - n);
        }
    }

    return n;
}


/* What tells a variable's shape, but for an object's members. */
static travel_str_t
plan_shape_word(const travel_json_node_t *json, const ast_t *value,
    const ast_t *type)
{
    if (json == NULL) {
        return value == NULL ? TRAVEL_STR("-") : TRAVEL_STR("d");
    }

    switch (json->type) {

    case TRAVEL_JSON_NULL:   return TRAVEL_STR("n");
    case TRAVEL_JSON_TRUE:   return TRAVEL_STR("t");
    case TRAVEL_JSON_FALSE:  return TRAVEL_STR("f");

    case TRAVEL_JSON_STRING:
        if (type != NULL && type->kind == TRAVEL_GRAPHQL_DEF_ENUM) {
            return json->text;
        }

        return TRAVEL_STR("v");

    default:
        return TRAVEL_STR("v");
    }
}


size_t
travel_graphql_shape(const travel_graphql_mapping_t *mapping,
    const ast_t *operation, const travel_graphql_variables_t *variables,
    char *dst, size_t room)
{
    size_t                     n = 0;
    const ast_t               *var, *value, *type;
    travel_str_t               word;
    const travel_json_node_t  *json;

    for (var = operation->variables; var != NULL; var = var->next) {
        plan_variable(operation, variables, var->name, &json, &value);
        type = plan_base(var->type);

        /* the validator has looked it up, if it was asked */
        type = type->of != NULL ? type->of->def
               : travel_graphql_map_definition(mapping, type->name);
        word = plan_shape_word(json, value, type);

        if (n + word.len + 1 > room) {
            return 0;
        }

        memcpy(dst + n, word.data, word.len);
        n += word.len;
        dst[n++] = ' ';

        if (json != NULL && json->type == TRAVEL_JSON_OBJECT && type != NULL
            && type->kind == TRAVEL_GRAPHQL_DEF_INPUT)
        {
            n += plan_shape_members(mapping, type, variables, json, 1, dst + n,
                                    room - n);

            if (n == room) {
                return 0;
            }
        }
    }

    if (n == 0 && room > 0) {
        dst[n++] = '.';
    }

    return n;
}


/* --- literals ------------------------------------------------------------ */

/* Is a literal, no variable, one of the type (without lists and exclamation
 * marks)? */
static bool
plan_literal_fits(plan_t *p, travel_str_t base, const ast_t *value)
{
    const ast_t  *type;

    if (plan_is(base, "Int")) {
        return value->kind == TRAVEL_GRAPHQL_INT && value->text.len < 12
               && strtoll(value->text.data, NULL, 10) == (int32_t)
                      strtoll(value->text.data, NULL, 10);
    }

    if (plan_is(base, "Float")) {
        return value->kind == TRAVEL_GRAPHQL_INT
               || value->kind == TRAVEL_GRAPHQL_FLOAT;
    }

    if (plan_is(base, "Boolean")) {
        return value->kind == TRAVEL_GRAPHQL_BOOLEAN;
    }

    if (plan_is(base, "String")) {
        return value->kind == TRAVEL_GRAPHQL_STRING;
    }

    if (plan_is(base, "ID")) {
        return value->kind == TRAVEL_GRAPHQL_STRING
               || value->kind == TRAVEL_GRAPHQL_INT;
    }

    type = travel_graphql_map_definition(p->plan->mapping, base);

    if (type != NULL && type->kind == TRAVEL_GRAPHQL_DEF_ENUM) {
        return value->kind == TRAVEL_GRAPHQL_ENUM
               && travel_graphql_find(type->children, value->text) != NULL;
    }

    if (type != NULL && type->kind == TRAVEL_GRAPHQL_DEF_INPUT) {
        return value->kind == TRAVEL_GRAPHQL_OBJECT;
    }

    return value->kind != TRAVEL_GRAPHQL_ENUM;
}


/* --- arguments ----------------------------------------------------------- */

static int
plan_choice(plan_t *p, const travel_graphql_map_arg_t *arg, const ast_t *value,
    travel_graphql_given_t *given)
{
    size_t                     i;
    const ast_t               *fallback;
    travel_str_t               word = value->text;
    const travel_json_node_t  *json;

    if (value->kind == TRAVEL_GRAPHQL_VARIABLE) {
        plan_variable(p->plan->operation, p->variables, value->name, &json,
                      &fallback);
        word = json != NULL ? json->text : fallback->text;
    }

    for (i = 0; i < arg->nchoices; i++) {
        if (travel_str_eq(arg->choices[i].name, word)) {
            given->choice = &arg->choices[i];
            return TRAVEL_OK;
        }
    }

    return plan_error(p->error, value, TRAVEL_E_VALIDATION_ERROR,
                      "Value \"%.*s\" does not exist in \"%.*s\" enum.",
                      S_(word), S_(arg->base));
}


static int plan_members(plan_t *p, const travel_graphql_map_arg_t *arg,
    const ast_t *value, travel_graphql_given_t *given);


/* One argument's value, a default of the SDL included. */
static int
plan_value(plan_t *p, const travel_graphql_map_arg_t *arg, const ast_t *value,
    const ast_t *at, travel_graphql_given_t *given)
{
    if (value != NULL && value->kind == TRAVEL_GRAPHQL_VARIABLE
        && travel_graphql_find(p->plan->operation->variables, value->name)
           == NULL)
    {
        return plan_error(p->error, value, TRAVEL_E_VALIDATION_ERROR,
                          "Variable \"$%.*s\" is not defined.",
                          S_(value->name));
    }

    if (value != NULL && value->kind == TRAVEL_GRAPHQL_VARIABLE
        && !plan_given(p->plan->operation, p->variables, value->name))
    {
        const ast_t               *fallback;
        const travel_json_node_t  *json;

        plan_variable(p->plan->operation, p->variables, value->name, &json,
                      &fallback);

        /* an absent variable leaves the argument to its default */
        value = json == NULL && fallback == NULL ? NULL : value;

        if (value != NULL) {
            if (arg->nonnull) {
                return plan_error(p->error, value, TRAVEL_E_VALIDATION_ERROR,
                                  "Argument \"%.*s\" must not be null.",
                                  S_(arg->name));
            }

            return TRAVEL_OK;
        }
    }

    if (value == NULL) {
        value = arg->def->value;
        given->fallback = true;
    }

    if (value == NULL || value->kind == TRAVEL_GRAPHQL_NULL) {

        if (arg->nonnull) {
            return plan_error(p->error, at, TRAVEL_E_VALIDATION_ERROR,
                              "Argument \"%.*s\" of type \"%.*s!\" is "
                              "required, but it was not provided.",
                              S_(arg->name), S_(arg->base));
        }

        return TRAVEL_OK;
    }

    given->given = true;
    given->value.arg = arg;

    if (value->kind == TRAVEL_GRAPHQL_VARIABLE) {
        given->value.variable = value->name;

    } else if (arg->list || arg->nmembers > 0 || arg->json) {
        given->value.literal = value;
        given->value.made = true;

    } else if (!plan_literal_fits(p, arg->base, value)) {
        return plan_error(p->error, value, TRAVEL_E_VALIDATION_ERROR,
                          "Argument \"%.*s\" has a value that is no \"%.*s\".",
                          S_(arg->name), S_(arg->base));

    } else {
        given->value.literal = value;
        given->value.text = value->text;
    }

    if (arg->kind == TRAVEL_GRAPHQL_ARG_ORDER) {
        return plan_choice(p, arg, value, given);
    }

    return arg->filtered ? plan_members(p, arg, value, given) : TRAVEL_OK;
}


/* The members of an object of the variables, which 'given' is. */
static int
plan_json_members(plan_t *p, const travel_graphql_map_arg_t *arg,
    const travel_json_node_t *json, travel_graphql_given_t *given)
{
    size_t                     i, depth = given->value.npath;
    const travel_json_node_t  *at;
    travel_graphql_given_t    *m;

    if (depth == TRAVEL_GRAPHQL_NESTED_MAX) {
        return TRAVEL_OK;
    }

    given->members = plan_alloc(p, arg->nmembers * sizeof(*given->members));
    if (given->members == NULL) {
        return TRAVEL_ERROR;
    }

    for (i = 0; i < arg->nmembers; i++) {
        m = &given->members[i];
        at = json->type != TRAVEL_JSON_OBJECT ? NULL
             : travel_json_member(p->variables->json, (uint32_t)
                   (json - travel_json_nodes(p->variables->json)),
                   arg->members[i].name);

        if (at == NULL) {
            TRY(plan_value(p, &arg->members[i], NULL, arg->def, m));
            continue;
        }

        m->given = at->type != TRAVEL_JSON_NULL;
        m->value = given->value;
        m->value.arg = &arg->members[i];
        m->value.path[depth] = arg->members[i].name;
        m->value.npath = depth + 1;

        if (m->given && arg->members[i].filtered) {
            TRY(plan_json_members(p, &arg->members[i], at, m));
        }
    }

    return TRAVEL_OK;
}


/* The conditions of an input object, one by one. */
static int
plan_members(plan_t *p, const travel_graphql_map_arg_t *arg,
    const ast_t *value, travel_graphql_given_t *given)
{
    size_t                           i;
    const ast_t                     *member;
    const travel_json_node_t        *json;
    const travel_graphql_map_arg_t  *of;

    if (value->kind == TRAVEL_GRAPHQL_VARIABLE) {
        plan_variable(p->plan->operation, p->variables, value->name, &json,
                      &value);

        if (json != NULL) {
            return plan_json_members(p, arg, json, given);
        }
    }

    if (value->kind != TRAVEL_GRAPHQL_OBJECT) {
        return plan_error(p->error, value, TRAVEL_E_VALIDATION_ERROR,
                          "Argument \"%.*s\" has a value that is no "
                          "\"%.*s\".", S_(arg->name), S_(arg->base));
    }

    given->members = plan_alloc(p, arg->nmembers * sizeof(*given->members));
    if (given->members == NULL) {
        return TRAVEL_ERROR;
    }

    for (i = 0; i < arg->nmembers; i++) {
        of = &arg->members[i];
        member = travel_graphql_find(value->children, of->name);

        TRY(plan_value(p, of, member != NULL ? member->value : NULL, value,
                       &given->members[i]));
    }

    return TRAVEL_OK;
}


int
travel_graphql_plan_args(plan_t *p, const ast_t *ast, node_t *node)
{
    size_t        i;
    const ast_t  *arg;

    for (arg = ast->arguments; arg != NULL; arg = arg->next) {

        if (travel_graphql_map_arg(node->field, arg->name) == NULL) {
            return plan_error(p->error, arg, TRAVEL_E_VALIDATION_ERROR,
                              "Unknown argument \"%.*s\" on field "
                              "\"%.*s.%.*s\".", S_(arg->name),
                              S_(node->field->owner->name),
                              S_(node->field->name));
        }

        if (travel_graphql_find(arg->next, arg->name) != NULL) {
            return plan_error(p->error, arg, TRAVEL_E_VALIDATION_ERROR,
                              "There can be only one argument named \"%.*s\".",
                              S_(arg->name));
        }
    }

    node->given = plan_alloc(p, (node->field->nargs + 1)
                                * sizeof(*node->given));
    if (node->given == NULL) {
        return TRAVEL_ERROR;
    }

    for (i = 0; i < node->field->nargs; i++) {
        arg = travel_graphql_find(ast->arguments, node->field->args[i].name);
        TRY(plan_value(p, &node->field->args[i],
                       arg != NULL ? arg->value : NULL, ast,
                       &node->given[i]));
        p->varies |= node->given[i].value.variable.len > 0
                     && (node->field->args[i].kind == TRAVEL_GRAPHQL_ARG_LIMIT
                         || node->field->args[i].kind
                            == TRAVEL_GRAPHQL_ARG_LAST);
    }

    return TRAVEL_OK;
}
