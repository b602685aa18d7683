/*
 * A document into the tree of what is to be answered.  See plan.h.
 *
 * Fields that share a response key are merged first, then each is resolved.
 * The recursion goes from an object's fields to those of the objects in them,
 * and no deeper than TRAVEL_GRAPHQL_DEPTH_MAX, which is checked before it
 * descends: a fragment that contains itself ends there too.
 */

#include "plan.h"
#include "../errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PLAN_NESTED  64               /* fragments within a selection set */

typedef travel_graphql_ast_t   ast_t;
typedef travel_graphql_node_t  node_t;

/* Where in a connection a selection set stands. */
typedef enum {
    PLAN_PLAIN,
    PLAN_IN_CONNECTION,
    PLAN_IN_EDGE,
    PLAN_IN_PAGE_INFO,
    PLAN_IN_PAYLOAD
} plan_where_e;

/* Fields of one response key, as they were found. */
typedef struct plan_entry_s  plan_entry_t;

struct plan_entry_s {
    const ast_t    *field;
    plan_entry_t   *same;             /* further ones */
    plan_entry_t   *next;
};

typedef struct {
    travel_graphql_plan_t             *plan;
    const travel_graphql_variables_t  *variables;
    travel_graphql_error_t            *error;
    size_t                             visited;     /* selections */
    uint32_t                           mark;        /* of the last collect */
} plan_t;

static int plan_fields(plan_t *p, const travel_graphql_map_type_t *type,
    const plan_entry_t *owners, plan_where_e where, uint32_t depth,
    node_t **ret_nodes);

#define TRY(call)                                                             \
    do {                                                                      \
        int  rc_ = (call);                                                    \
        if (rc_ != TRAVEL_OK) {                                               \
            return rc_;                                                       \
        }                                                                     \
    } while (0)

#define S_(s)  (int) (s).len, (s).data


TRAVEL_PRINTF(4, 5)
static int
plan_error(travel_graphql_error_t *error, const ast_t *at, int code,
    const char *fmt, ...)
{
    va_list  args;

    memset(error, 0, sizeof(*error));
    error->code = code;

    if (at != NULL) {
        error->line = at->line;
        error->column = at->column;
    }

    va_start(args, fmt);
    vsnprintf(error->message, sizeof(error->message), fmt, args);
    va_end(args);

    return TRAVEL_INVALID;
}


static void *
plan_alloc(plan_t *p, size_t size)
{
    return travel_graphql_alloc(p->plan->document, size);
}


/* --- variables ----------------------------------------------------------- */

/* The value given for a variable, or its default: exactly one is not NULL, or
 * neither is. */
static void
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


size_t
travel_graphql_shape(const travel_graphql_mapping_t *mapping,
    const ast_t *operation, const travel_graphql_variables_t *variables,
    char *dst, size_t room)
{
    size_t                     n = 0;
    const ast_t               *var, *value, *type;
    travel_str_t               word;
    const travel_json_node_t  *json, *member;

    for (var = operation->variables; var != NULL; var = var->next) {
        plan_variable(operation, variables, var->name, &json, &value);
        type = travel_graphql_map_definition(mapping,
                                             plan_base(var->type)->name);
        word = TRAVEL_STR("v");

        if (json == NULL && value == NULL) {
            word = TRAVEL_STR("-");

        } else if (json != NULL && json->type == TRAVEL_JSON_NULL) {
            word = TRAVEL_STR("n");

        } else if (json != NULL && json->type == TRAVEL_JSON_TRUE) {
            word = TRAVEL_STR("t");

        } else if (json != NULL && json->type == TRAVEL_JSON_FALSE) {
            word = TRAVEL_STR("f");

        } else if (json == NULL) {
            word = TRAVEL_STR("d");

        } else if (json->type == TRAVEL_JSON_STRING && type != NULL
                   && type->kind == TRAVEL_GRAPHQL_DEF_ENUM)
        {
            word = json->text;
        }

        if (n + word.len + 1 > room) {
            return 0;
        }

        memcpy(dst + n, word.data, word.len);
        n += word.len;
        dst[n++] = ' ';

        if (json == NULL || json->type != TRAVEL_JSON_OBJECT || type == NULL
            || type->kind != TRAVEL_GRAPHQL_DEF_INPUT)
        {
            continue;
        }

        for (type = type->children; type != NULL; type = type->next) {
            member = travel_json_member(variables->json,
                (uint32_t) (json - travel_json_nodes(variables->json)),
                type->name);

            if (n == room) {
                return 0;
            }

            dst[n++] = member == NULL || member->type == TRAVEL_JSON_NULL
                       ? '-' : 'v';
        }
    }

    if (n == 0 && room > 0) {
        dst[n++] = '.';
    }

    return n;
}


/* --- literals ------------------------------------------------------------ */

static bool
plan_is(travel_str_t name, const char *word)
{
    return name.len == strlen(word) && memcmp(name.data, word, name.len) == 0;
}


/* Is a literal one of the type (without lists and exclamation marks)? */
static bool
plan_literal_fits(plan_t *p, travel_str_t base, const ast_t *value)
{
    const ast_t  *type;

    if (value->kind == TRAVEL_GRAPHQL_VARIABLE) {
        return true;
    }

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


/* A list as PostgreSQL's array text: {"a","b"}. */
static int
plan_array(plan_t *p, const ast_t *list, travel_str_t base,
    travel_str_t *ret_text)
{
    char         *dst;
    size_t        i, n = 3;
    const ast_t  *item;

    for (item = list->children; item != NULL; item = item->next) {

        if (item->kind == TRAVEL_GRAPHQL_VARIABLE
            || item->kind == TRAVEL_GRAPHQL_NULL
            || !plan_literal_fits(p, base, item))
        {
            return plan_error(p->error, item, TRAVEL_E_VALIDATION_ERROR,
                              "An item of this list must be a \"%.*s\" literal;"
                              " pass the list as a variable instead.",
                              S_(base));
        }

        n += 2 * item->text.len + 3;
    }

    dst = plan_alloc(p, n);
    if (dst == NULL) {
        return TRAVEL_ERROR;
    }

    n = 0;
    dst[n++] = '{';

    for (item = list->children; item != NULL; item = item->next) {
        dst[n++] = '"';

        for (i = 0; i < item->text.len; i++) {
            if (item->text.data[i] == '"' || item->text.data[i] == '\\') {
                dst[n++] = '\\';
            }

            dst[n++] = item->text.data[i];
        }

        dst[n++] = '"';

        if (item->next != NULL) {
            dst[n++] = ',';
        }
    }

    dst[n++] = '}';
    *ret_text = (travel_str_t) { dst, n };
    return TRAVEL_OK;
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


static int
plan_members(plan_t *p, const travel_graphql_map_arg_t *arg,
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

    if (value->kind == TRAVEL_GRAPHQL_VARIABLE) {
        given->value.variable = value->name;

    } else if (arg->list && value->kind == TRAVEL_GRAPHQL_LIST) {
        return arg->nmembers > 0 ? TRAVEL_OK
               : plan_array(p, value, arg->base, &given->value.text);

    } else if (!plan_literal_fits(p, arg->base, value)) {
        return plan_error(p->error, value, TRAVEL_E_VALIDATION_ERROR,
                          "Argument \"%.*s\" has a value that is no \"%.*s\".",
                          S_(arg->name), S_(arg->base));

    } else {
        given->value.text = value->text;
    }

    if (arg->kind == TRAVEL_GRAPHQL_ARG_ORDER) {
        return plan_choice(p, arg, value, given);
    }

    return arg->nmembers > 0 ? plan_members(p, arg, value, given) : TRAVEL_OK;
}


static int
plan_members(plan_t *p, const travel_graphql_map_arg_t *arg,
    const ast_t *value, travel_graphql_given_t *given)
{
    size_t                     i;
    const ast_t               *member, *fallback;
    const travel_json_node_t  *json, *at;
    travel_graphql_given_t    *m;

    given->members = plan_alloc(p, arg->nmembers * sizeof(*given->members));
    if (given->members == NULL) {
        return TRAVEL_ERROR;
    }

    if (value->kind == TRAVEL_GRAPHQL_OBJECT) {

        for (member = value->children; member != NULL; member = member->next) {
            for (i = 0; i < arg->nmembers; i++) {
                if (travel_str_eq(arg->members[i].name, member->name)) {
                    break;
                }
            }

            if (i == arg->nmembers) {
                return plan_error(p->error, member, TRAVEL_E_VALIDATION_ERROR,
                                  "Field \"%.*s\" is not defined by type "
                                  "\"%.*s\".", S_(member->name),
                                  S_(arg->base));
            }
        }

        for (i = 0; i < arg->nmembers; i++) {
            member = travel_graphql_find(value->children,
                                         arg->members[i].name);

            if (arg->members[i].nmembers == 0) {
                TRY(plan_value(p, &arg->members[i],
                               member != NULL ? member->value : NULL, value,
                               &given->members[i]));
            }
        }

        return TRAVEL_OK;
    }

    plan_variable(p->plan->operation, p->variables, value->name, &json,
                  &fallback);

    for (i = 0; i < arg->nmembers && json != NULL; i++) {
        m = &given->members[i];
        at = json->type != TRAVEL_JSON_OBJECT ? NULL
             : travel_json_member(p->variables->json, (uint32_t)
                   (json - travel_json_nodes(p->variables->json)),
                   arg->members[i].name);

        m->given = at != NULL && at->type != TRAVEL_JSON_NULL;
        m->value.variable = value->name;
        m->value.path[0] = arg->members[i].name;
        m->value.npath = 1;
    }

    return TRAVEL_OK;
}


static int
plan_args(plan_t *p, const ast_t *ast, node_t *node)
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
    }

    return TRAVEL_OK;
}


/* --- collecting fields --------------------------------------------------- */

/* @skip and @include; *ret_in: the selection counts. */
static int
plan_included(plan_t *p, const ast_t *selection, bool *ret_in)
{
    bool                       skip, yes;
    const ast_t               *d, *arg, *value;
    const travel_json_node_t  *json;

    *ret_in = true;

    for (d = selection->directives; d != NULL; d = d->next) {
        skip = plan_is(d->name, "skip");

        if (!skip && !plan_is(d->name, "include")) {
            if (travel_graphql_map_definition(p->plan->mapping, d->name)
                == NULL && !plan_is(d->name, "live"))
            {
                return plan_error(p->error, d, TRAVEL_E_VALIDATION_ERROR,
                                  "Unknown directive \"@%.*s\".", S_(d->name));
            }

            continue;
        }

        arg = travel_graphql_find(d->arguments, TRAVEL_STR("if"));
        value = arg != NULL ? arg->value : NULL;
        json = NULL;

        if (value != NULL && value->kind == TRAVEL_GRAPHQL_VARIABLE) {
            plan_variable(p->plan->operation, p->variables, value->name, &json,
                          &value);
        }

        if ((json == NULL || (json->type != TRAVEL_JSON_TRUE
                              && json->type != TRAVEL_JSON_FALSE))
            && (value == NULL || value->kind != TRAVEL_GRAPHQL_BOOLEAN))
        {
            return plan_error(p->error, d, TRAVEL_E_VALIDATION_ERROR,
                              "Argument \"if\" of \"@%.*s\" must be a "
                              "Boolean.", S_(d->name));
        }

        yes = json != NULL ? json->type == TRAVEL_JSON_TRUE
                           : plan_is(value->text, "true");
        *ret_in &= yes != skip;
    }

    return TRAVEL_OK;
}


static const ast_t *
plan_fragment(plan_t *p, travel_str_t name)
{
    const ast_t  *def;

    for (def = travel_graphql_definitions(p->plan->document); def != NULL;
         def = def->next)
    {
        if (def->kind == TRAVEL_GRAPHQL_FRAGMENT
            && travel_str_eq(def->name, name))
        {
            return def;
        }
    }

    return NULL;
}


/* Does a fragment on 'condition' apply to an object of this type? */
static int
plan_applies(plan_t *p, const travel_graphql_map_type_t *type,
    const ast_t *condition, bool *ret_applies)
{
    const ast_t  *def;

    *ret_applies = true;

    if (condition == NULL || travel_str_eq(condition->name, type->name)) {
        return TRAVEL_OK;
    }

    def = travel_graphql_map_definition(p->plan->mapping, condition->name);

    if (def == NULL) {
        return plan_error(p->error, condition, TRAVEL_E_VALIDATION_ERROR,
                          "Unknown type \"%.*s\".", S_(condition->name));
    }

    *ret_applies =
        (def->kind == TRAVEL_GRAPHQL_DEF_INTERFACE
         && travel_graphql_find(type->def->implements, def->name) != NULL)
        || (def->kind == TRAVEL_GRAPHQL_DEF_UNION
            && travel_graphql_find(def->implements, type->name) != NULL);

    return TRAVEL_OK;
}


static int
plan_append(plan_t *p, const ast_t *field, plan_entry_t **list)
{
    travel_str_t    key, other;
    plan_entry_t   *entry, *entry_at, **tail;

    key = field->alias.len > 0 ? field->alias : field->name;

    entry = plan_alloc(p, sizeof(*entry));
    if (entry == NULL) {
        return TRAVEL_ERROR;
    }

    entry->field = field;

    for (tail = list; *tail != NULL; tail = &(*tail)->next) {
        other = (*tail)->field->alias.len > 0 ? (*tail)->field->alias
                                              : (*tail)->field->name;

        if (!travel_str_eq(key, other)) {
            continue;
        }

        if (!travel_str_eq((*tail)->field->name, field->name)) {
            return plan_error(p->error, field, TRAVEL_E_VALIDATION_ERROR,
                              "Fields \"%.*s\" conflict because \"%.*s\" and "
                              "\"%.*s\" are different fields. Use different "
                              "aliases.", S_(key), S_((*tail)->field->name),
                              S_(field->name));
        }

        for (entry_at = *tail; entry_at->same != NULL; /* void */) {
            entry_at = entry_at->same;
        }

        entry_at->same = entry;
        return TRAVEL_OK;
    }

    *tail = entry;
    return TRAVEL_OK;
}


/* The fields of one selection set, fragments opened: each once. */
static int
plan_collect(plan_t *p, const travel_graphql_map_type_t *type,
    const ast_t *selections, plan_entry_t **list)
{
    bool          in;
    size_t        n = 0;
    const ast_t  *stack[PLAN_NESTED], *s = selections, *inner;

    for ( ;; ) {

        if (s == NULL) {
            if (n == 0) {
                return TRAVEL_OK;
            }

            s = stack[--n];
            continue;
        }

        if (p->visited++ >= TRAVEL_GRAPHQL_BREADTH_MAX * 4) {
            return plan_error(p->error, s, TRAVEL_E_VALIDATION_ERROR,
                              "The operation has too many fields.");
        }

        TRY(plan_included(p, s, &in));
        inner = NULL;

        if (in && s->kind == TRAVEL_GRAPHQL_FIELD) {
            TRY(plan_append(p, s, list));

        } else if (in && s->kind == TRAVEL_GRAPHQL_INLINE) {
            TRY(plan_applies(p, type, s->type, &in));
            inner = in ? s->children : NULL;

        } else if (in) {
            inner = plan_fragment(p, s->name);

            if (inner == NULL) {
                return plan_error(p->error, s, TRAVEL_E_VALIDATION_ERROR,
                                  "Unknown fragment \"%.*s\".", S_(s->name));
            }

            TRY(plan_applies(p, type, inner->type, &in));

            /* each fragment once: a later one says nothing new */
            if (inner->mark == p->mark) {
                in = false;
            }

            ((ast_t *) inner)->mark = p->mark;
            inner = in ? inner->children : NULL;
        }

        s = s->next;

        if (inner != NULL) {
            if (n == PLAN_NESTED) {
                return plan_error(p->error, inner, TRAVEL_E_VALIDATION_ERROR,
                                  "Fragments nest too deep.");
            }

            stack[n++] = s;
            s = inner;
        }
    }
}


/* --- nodes --------------------------------------------------------------- */

static int
plan_tags(plan_t *p, const travel_graphql_template_t *tags, const node_t *node)
{
    size_t                   i;
    travel_graphql_plan_t   *plan = p->plan;
    travel_graphql_tags_t   *more;

    if (tags->n == 0) {
        return TRAVEL_OK;
    }

    for (i = 0; i < plan->ntags; i++) {
        if (plan->tags[i].tags == tags) {
            return TRAVEL_OK;
        }
    }

    more = plan_alloc(p, (plan->ntags + 1) * sizeof(*more));
    if (more == NULL) {
        return TRAVEL_ERROR;
    }

    if (plan->ntags > 0) {
        memcpy(more, plan->tags, plan->ntags * sizeof(*more));
    }

    more[plan->ntags].tags = tags;
    more[plan->ntags++].node = node;
    plan->tags = more;
    return TRAVEL_OK;
}


static int
plan_requires(plan_t *p, travel_str_t permission)
{
    size_t                  i;
    travel_str_t           *more;
    travel_graphql_plan_t  *plan = p->plan;

    if (permission.len == 0) {
        return TRAVEL_OK;
    }

    for (i = 0; i < plan->nrequires; i++) {
        if (travel_str_eq(plan->requires[i], permission)) {
            return TRAVEL_OK;
        }
    }

    more = plan_alloc(p, (plan->nrequires + 1) * sizeof(*more));
    if (more == NULL) {
        return TRAVEL_ERROR;
    }

    if (plan->nrequires > 0) {
        memcpy(more, plan->requires, plan->nrequires * sizeof(*more));
    }

    more[plan->nrequires++] = permission;
    plan->requires = more;
    return TRAVEL_OK;
}


/* What a field, and the rows that it reads, mean for the whole plan. */
static int
plan_rules(plan_t *p, const node_t *node)
{
    const travel_graphql_map_type_t   *rows = NULL;
    const travel_graphql_map_field_t  *field = node->field;

    TRY(plan_requires(p, field->requires));
    TRY(plan_tags(p, &field->tags, node));

    if (field->cached && field->ttl < p->plan->ttl) {
        p->plan->ttl = field->ttl;
    }

    if (node->kind == TRAVEL_GRAPHQL_NODE_ONE
        || node->kind == TRAVEL_GRAPHQL_NODE_LIST
        || node->kind == TRAVEL_GRAPHQL_NODE_CONNECTION)
    {
        rows = field->of;
    }

    if (rows == NULL) {
        return TRAVEL_OK;
    }

    TRY(plan_requires(p, rows->requires));
    TRY(plan_tags(p, &rows->tags, node));

    if (!rows->cached) {
        p->plan->ttl = 0;

    } else if (rows->ttl < p->plan->ttl) {
        p->plan->ttl = rows->ttl;
    }

    return TRAVEL_OK;
}


/* The kinds of a connection's own fields. */
static travel_graphql_node_e
plan_kind_within(plan_where_e where, travel_str_t name)
{
    size_t  i;

    static const struct {
        plan_where_e           where;
        const char            *name;
        travel_graphql_node_e  kind;
    } kinds[] = {
        { PLAN_IN_CONNECTION, "edges", TRAVEL_GRAPHQL_NODE_EDGES },
        { PLAN_IN_CONNECTION, "nodes", TRAVEL_GRAPHQL_NODE_NODES },
        { PLAN_IN_CONNECTION, "pageInfo", TRAVEL_GRAPHQL_NODE_PAGE_INFO },
        { PLAN_IN_CONNECTION, "totalCount", TRAVEL_GRAPHQL_NODE_TOTAL },
        { PLAN_IN_EDGE, "node", TRAVEL_GRAPHQL_NODE_NODE },
        { PLAN_IN_EDGE, "cursor", TRAVEL_GRAPHQL_NODE_CURSOR },
        { PLAN_IN_PAGE_INFO, "hasNextPage", TRAVEL_GRAPHQL_NODE_HAS_NEXT },
        { PLAN_IN_PAGE_INFO, "hasPreviousPage",
          TRAVEL_GRAPHQL_NODE_HAS_PREVIOUS },
        { PLAN_IN_PAGE_INFO, "startCursor",
          TRAVEL_GRAPHQL_NODE_START_CURSOR },
        { PLAN_IN_PAGE_INFO, "endCursor", TRAVEL_GRAPHQL_NODE_END_CURSOR }
    };

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].where == where && plan_is(name, kinds[i].name)) {
            return kinds[i].kind;
        }
    }

    return TRAVEL_GRAPHQL_NODE_OTHER;
}


static travel_graphql_node_e
plan_kind(const travel_graphql_map_field_t *field, plan_where_e where)
{
    if (where == PLAN_IN_PAYLOAD && plan_is(field->name, "success")) {
        return TRAVEL_GRAPHQL_NODE_SUCCESS;
    }

    if (where == PLAN_IN_PAYLOAD && plan_is(field->name, "job")) {
        return TRAVEL_GRAPHQL_NODE_JOB;
    }

    if (where != PLAN_PLAIN && where != PLAN_IN_PAYLOAD) {
        return plan_kind_within(where, field->name);
    }

    switch (field->kind) {

    case TRAVEL_GRAPHQL_MAP_LEAF:       return TRAVEL_GRAPHQL_NODE_LEAF;
    case TRAVEL_GRAPHQL_MAP_EMBED:      return TRAVEL_GRAPHQL_NODE_EMBED;
    case TRAVEL_GRAPHQL_MAP_ONE:        return TRAVEL_GRAPHQL_NODE_ONE;
    case TRAVEL_GRAPHQL_MAP_LIST:       return TRAVEL_GRAPHQL_NODE_LIST;
    case TRAVEL_GRAPHQL_MAP_CONNECTION: return TRAVEL_GRAPHQL_NODE_CONNECTION;
    case TRAVEL_GRAPHQL_MAP_COMMAND:    return TRAVEL_GRAPHQL_NODE_COMMAND;
    default:                            return TRAVEL_GRAPHQL_NODE_OTHER;
    }
}


static plan_where_e
plan_within(travel_graphql_node_e kind)
{
    switch (kind) {

    case TRAVEL_GRAPHQL_NODE_CONNECTION: return PLAN_IN_CONNECTION;
    case TRAVEL_GRAPHQL_NODE_EDGES:      return PLAN_IN_EDGE;
    case TRAVEL_GRAPHQL_NODE_PAGE_INFO:  return PLAN_IN_PAGE_INFO;
    case TRAVEL_GRAPHQL_NODE_COMMAND:    return PLAN_IN_PAYLOAD;
    default:                             return PLAN_PLAIN;
    }
}


/* The objects below a field, when it has any. */
static int
plan_below(plan_t *p, const plan_entry_t *entry, node_t *node, uint32_t depth)
{
    const ast_t                      *ast = entry->field;
    const travel_graphql_map_type_t  *type;

    type = travel_graphql_map_type(p->plan->mapping, node->field->base);

    if (type == NULL && ast->children != NULL) {
        return plan_error(p->error, ast, TRAVEL_E_VALIDATION_ERROR,
                          "Field \"%.*s\" must not have a selection since type "
                          "\"%.*s\" has no subfields.", S_(ast->name),
                          S_(node->field->base));
    }

    if (type == NULL) {
        if (node->kind == TRAVEL_GRAPHQL_NODE_ONE
            || node->kind == TRAVEL_GRAPHQL_NODE_LIST)
        {
            return plan_error(p->error, ast, TRAVEL_E_INTERNAL_ERROR,
                              "Field \"%.*s\" is of an abstract type, which "
                              "is not mapped.", S_(ast->name));
        }

        return TRAVEL_OK;
    }

    if (ast->children == NULL) {
        return plan_error(p->error, ast, TRAVEL_E_VALIDATION_ERROR,
                          "Field \"%.*s\" of type \"%.*s\" must have a "
                          "selection of subfields. Did you mean \"%.*s { ... "
                          "}\"?", S_(ast->name), S_(node->field->base),
                          S_(ast->name));
    }

    return plan_fields(p, type, entry, plan_within(node->kind), depth + 1,
                       &node->children);
}


/* __schema, __type: what is below is a tree like any other, but costs neither
 * depth nor the database anything. */
static int
plan_meta(plan_t *p, const plan_entry_t *entry, node_t *node)
{
    int                               rc;
    bool                              data = p->plan->data;
    uint32_t                          depth = p->plan->depth;
    const ast_t                      *arg;
    travel_str_t                      name = TRAVEL_STR("__Schema");
    const travel_graphql_map_type_t  *type;

    node->kind = TRAVEL_GRAPHQL_NODE_META;
    p->plan->meta = true;

    if (plan_is(entry->field->name, "__type")) {
        name = TRAVEL_STR("__Type");
        arg = travel_graphql_find(entry->field->arguments, TRAVEL_STR("name"));
        node->given = plan_alloc(p, sizeof(*node->given));

        if (node->given == NULL) {
            return TRAVEL_ERROR;
        }

        if (arg == NULL || (arg->value->kind != TRAVEL_GRAPHQL_STRING
                            && arg->value->kind != TRAVEL_GRAPHQL_VARIABLE))
        {
            return plan_error(p->error, entry->field,
                              TRAVEL_E_VALIDATION_ERROR, "Argument \"name\" of "
                              "type \"String!\" is required, but it was not "
                              "provided.");
        }

        node->given->given = true;
        node->given->value.text = arg->value->text;

        if (arg->value->kind == TRAVEL_GRAPHQL_VARIABLE) {
            node->given->value.variable = arg->value->name;
        }
    }

    type = travel_graphql_map_type(p->plan->mapping, name);

    if (type == NULL || entry->field->children == NULL) {
        return plan_error(p->error, entry->field, TRAVEL_E_VALIDATION_ERROR,
                          "Field \"%.*s\" must have a selection of "
                          "subfields.", S_(entry->field->name));
    }

    rc = plan_fields(p, type, entry, PLAN_PLAIN, 2, &node->children);

    p->plan->data = data;
    p->plan->depth = depth;
    return rc;
}


static int
plan_node(plan_t *p, const travel_graphql_map_type_t *type,
    const plan_entry_t *entry, plan_where_e where, uint32_t depth,
    node_t **ret_node)
{
    node_t       *node;
    const ast_t  *ast = entry->field;

    if (++p->plan->breadth > TRAVEL_GRAPHQL_BREADTH_MAX) {
        return plan_error(p->error, ast, TRAVEL_E_VALIDATION_ERROR,
                          "The operation has more than %d fields.",
                          TRAVEL_GRAPHQL_BREADTH_MAX);
    }

    node = plan_alloc(p, sizeof(*node));
    if (node == NULL) {
        return TRAVEL_ERROR;
    }

    *ret_node = node;
    node->key = ast->alias.len > 0 ? ast->alias : ast->name;
    node->line = ast->line;
    node->column = ast->column;
    node->source = ast;
    node->type = type->name;
    node->kind = TRAVEL_GRAPHQL_NODE_TYPENAME;

    if (plan_is(ast->name, "__typename")) {
        return TRAVEL_OK;
    }

    if (depth == 1 && (plan_is(ast->name, "__schema")
                       || plan_is(ast->name, "__type"))
        && type == travel_graphql_map_root(p->plan->mapping,
                                           TRAVEL_GRAPHQL_QUERY))
    {
        return plan_meta(p, entry, node);
    }

    node->field = travel_graphql_map_field(type, ast->name);

    if (node->field == NULL) {
        return plan_error(p->error, ast, TRAVEL_E_VALIDATION_ERROR,
                          "Cannot query field \"%.*s\" on type \"%.*s\".",
                          S_(ast->name), S_(type->name));
    }

    node->kind = plan_kind(node->field, where);
    p->plan->data = true;

    if (node->kind == TRAVEL_GRAPHQL_NODE_CONNECTION) {
        node->index = p->plan->connections++;
    }

    TRY(plan_args(p, ast, node));
    TRY(plan_rules(p, node));

    return plan_below(p, entry, node, depth);
}


static int
plan_fields(plan_t *p, const travel_graphql_map_type_t *type,
    const plan_entry_t *owners, plan_where_e where, uint32_t depth,
    node_t **ret_nodes)
{
    plan_entry_t        *entries = NULL, *entry;
    const plan_entry_t  *owner;

    if (depth > TRAVEL_GRAPHQL_DEPTH_MAX) {
        return plan_error(p->error, owners->field, TRAVEL_E_VALIDATION_ERROR,
                          "The operation is deeper than %d levels, or a "
                          "fragment contains itself.",
                          TRAVEL_GRAPHQL_DEPTH_MAX);
    }

    if (depth > p->plan->depth) {
        p->plan->depth = depth;
    }

    p->mark++;

    for (owner = owners; owner != NULL; owner = owner->same) {
        TRY(plan_collect(p, type, owner->field->children, &entries));
    }

    for (entry = entries; entry != NULL; entry = entry->next) {
        TRY(plan_node(p, type, entry, where, depth, ret_nodes));
        ret_nodes = &(*ret_nodes)->next;
    }

    return TRAVEL_OK;
}


/* --- operations ---------------------------------------------------------- */

int
travel_graphql_operation(const ast_t **ret_operation,
    const travel_graphql_document_t *document, travel_str_t name,
    travel_graphql_error_t *ret_error)
{
    size_t        n = 0;
    const ast_t  *def, *found = NULL;

    for (def = travel_graphql_definitions(document); def != NULL;
         def = def->next)
    {
        if (def->kind != TRAVEL_GRAPHQL_OPERATION) {
            if (def->kind != TRAVEL_GRAPHQL_FRAGMENT) {
                return plan_error(ret_error, def, TRAVEL_E_VALIDATION_ERROR,
                                  "The \"%.*s\" definition is not executable.",
                                  S_(def->name));
            }

            continue;
        }

        n++;

        if (name.len == 0 || travel_str_eq(def->name, name)) {
            found = def;
        }
    }

    if (n == 0) {
        return plan_error(ret_error, NULL, TRAVEL_E_VALIDATION_ERROR,
                          "Must provide an operation.");
    }

    if (name.len == 0 && n > 1) {
        return plan_error(ret_error, NULL, TRAVEL_E_VALIDATION_ERROR,
                          "Must provide operation name if query contains "
                          "multiple operations.");
    }

    if (found == NULL) {
        return plan_error(ret_error, NULL, TRAVEL_E_VALIDATION_ERROR,
                          "Unknown operation named \"%.*s\".", S_(name));
    }

    *ret_operation = found;
    return TRAVEL_OK;
}


static int
plan_build(plan_t *p)
{
    ast_t                            *operation;
    node_t                           *node;
    plan_entry_t                      entry = { 0 };
    travel_graphql_plan_t            *plan = p->plan;
    const travel_graphql_map_type_t  *root;

    operation = (ast_t *) plan->operation;
    root = travel_graphql_map_root(plan->mapping, operation->op);

    if (root == NULL) {
        return plan_error(p->error, operation, TRAVEL_E_VALIDATION_ERROR,
                          "The schema has no such type of operation.");
    }

    plan->ttl = 86400;
    entry.field = operation;
    TRY(plan_fields(p, root, &entry, PLAN_PLAIN, 1, &plan->roots));

    for (node = plan->roots; node != NULL; node = node->next) {
        plan->nroots++;
    }

    if (operation->op != TRAVEL_GRAPHQL_QUERY) {
        plan->viewer = true;
        return TRAVEL_OK;
    }

    switch (travel_graphql_sql(&plan->statement, plan->roots, NULL)) {

    case TRAVEL_OK:
        plan->viewer = plan->statement.viewer;
        return TRAVEL_OK;

    case TRAVEL_REFUSED:
        return plan_error(p->error, operation, TRAVEL_E_VALIDATION_ERROR,
                          "The operation has too many values.");

    default:
        return TRAVEL_ERROR;
    }
}


int
travel_graphql_plan(travel_graphql_plan_t **ret_plan,
    const travel_graphql_mapping_t *mapping,
    travel_graphql_document_t *document, travel_str_t name,
    const travel_graphql_variables_t *variables,
    travel_graphql_error_t *ret_error)
{
    int                     rc;
    plan_t                  p = { 0 };
    travel_graphql_plan_t  *plan;

    plan = calloc(1, sizeof(*plan));
    if (plan == NULL) {
        travel_graphql_document_free(document);
        return TRAVEL_ERROR;
    }

    plan->mapping = mapping;
    plan->document = document;
    p.plan = plan;
    p.variables = variables;
    p.error = ret_error;

    rc = travel_graphql_operation(&plan->operation, document, name, ret_error);

    if (rc == TRAVEL_OK) {
        rc = plan_build(&p);
    }

    if (rc != TRAVEL_OK) {
        travel_graphql_plan_free(plan);
        return rc;
    }

    *ret_plan = plan;
    return TRAVEL_OK;
}


void
travel_graphql_plan_free(travel_graphql_plan_t *plan)
{
    if (plan != NULL) {
        travel_graphql_statement_fini(&plan->statement);
        travel_graphql_document_free(plan->document);
        free(plan);
    }
}
