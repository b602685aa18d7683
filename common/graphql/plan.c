/*
 * A document into the tree of what is to be answered.  See plan.h.
 *
 * Fields that share a response key are merged first, then each is resolved.
 * The recursion goes from an object's fields to those of the objects in them,
 * and no deeper than TRAVEL_GRAPHQL_DEPTH_MAX, which is checked before it
 * descends: a fragment that contains itself ends there too.
 */

#include "plan_parts.h"
#include "steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PLAN_NESTED  64               /* fragments within a selection set */

typedef travel_graphql_ast_t     ast_t;
typedef travel_graphql_node_t    node_t;
typedef travel_graphql_making_t  plan_t;

#define plan_error     travel_graphql_plan_error
#define plan_alloc     travel_graphql_plan_alloc
#define plan_variable  travel_graphql_plan_variable
#define plan_is        travel_graphql_is
#define plan_args      travel_graphql_plan_args

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

static int plan_fields(plan_t *p, const travel_graphql_map_type_t *type,
    const plan_entry_t *owners, plan_where_e where, uint32_t depth,
    node_t **ret_nodes);


int
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


void *
plan_alloc(plan_t *p, size_t size)
{
    return travel_graphql_alloc(p->plan->document, size);
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
    bool                     named = false;
    size_t                   i;
    travel_graphql_plan_t   *plan = p->plan;
    travel_graphql_tags_t   *more;

    if (tags->n == 0) {
        return TRAVEL_OK;
    }

    for (i = 0; i < tags->n; i++) {
        named |= tags->pieces[i].kind == TRAVEL_GRAPHQL_PIECE_ARG;
    }

    /* by another field's arguments they are other tags */

    for (i = 0; i < plan->ntags; i++) {
        if (plan->tags[i].tags == tags
            && (!named || plan->tags[i].node == node))
        {
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


/* The permission is one of the plan's, and the node's. */
static int
plan_requires(plan_t *p, travel_str_t permission, node_t *node)
{
    size_t                  i;
    travel_str_t           *more;
    travel_graphql_plan_t  *plan = p->plan;

    if (permission.len == 0) {
        return TRAVEL_OK;
    }

    for (i = 0; i < plan->nrequires; i++) {
        if (travel_str_eq(plan->requires[i], permission)) {
            node->needs |= (uint64_t) 1 << i;
            return TRAVEL_OK;
        }
    }

    if (i == TRAVEL_GRAPHQL_REQUIRES_MAX) {
        return plan_error(p->error, node->source, TRAVEL_E_VALIDATION_ERROR,
                          "The operation needs more than %d permissions.",
                          TRAVEL_GRAPHQL_REQUIRES_MAX);
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
    node->needs |= (uint64_t) 1 << i;
    return TRAVEL_OK;
}


static int
plan_rows(plan_t *p, const travel_graphql_map_type_t *rows, node_t *node)
{
    TRY(plan_requires(p, rows->requires, node));
    TRY(plan_tags(p, &rows->tags, node));

    if (!rows->cached) {
        p->plan->ttl = 0;

    } else if (rows->ttl < p->plan->ttl) {
        p->plan->ttl = rows->ttl;
    }

    return TRAVEL_OK;
}


/* What a field, and the rows that it reads, mean for the whole plan. */
static int
plan_rules(plan_t *p, node_t *node)
{
    size_t                             i;
    const travel_graphql_map_type_t   *rows = NULL, *type;
    const travel_graphql_map_field_t  *field = node->field;

    type = travel_graphql_map_type(p->plan->mapping, field->base);

    TRY(plan_requires(p, field->requires, node));
    TRY(plan_requires(p, type != NULL ? type->requires : TRAVEL_NULL_STR,
                      node));
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

    /* all of its types may be in the answer, whichever is asked about */

    for (i = 0; i < rows->nmembers; i++) {
        TRY(plan_rows(p, rows->members[i], node));
    }

    return rows->nmembers == 0 ? plan_rows(p, rows, node) : TRAVEL_OK;
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


/* What is selected of rows of each type that there may be. */
static int
plan_members(plan_t *p, const travel_graphql_map_type_t *type,
    const plan_entry_t *entry, node_t *node, uint32_t depth)
{
    size_t    i;
    node_t  **tail = &node->children, *member;

    for (i = 0; i < type->nmembers; i++) {
        member = plan_alloc(p, sizeof(*member));
        if (member == NULL) {
            return TRAVEL_ERROR;
        }

        member->kind = TRAVEL_GRAPHQL_NODE_MEMBER;
        member->rows = type->members[i];
        member->type = member->rows->name;
        *tail = member;
        tail = &member->next;

        TRY(plan_fields(p, member->rows, entry, PLAN_PLAIN, depth + 1,
                        &member->children));
    }

    return TRAVEL_OK;
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
        return TRAVEL_OK;
    }

    if (ast->children == NULL) {
        return plan_error(p->error, ast, TRAVEL_E_VALIDATION_ERROR,
                          "Field \"%.*s\" of type \"%.*s\" must have a "
                          "selection of subfields. Did you mean \"%.*s { ... "
                          "}\"?", S_(ast->name), S_(node->field->base),
                          S_(ast->name));
    }

    if (type->nmembers > 0) {
        return plan_members(p, type, entry, node, depth);
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


/* Which end a connection's page is counted from: what 'first' is by default
 * does not count beside 'last'. */
static int
plan_page(plan_t *p, const ast_t *ast, node_t *node)
{
    const travel_graphql_given_t  *first, *last;

    first = travel_graphql_node_given(node, TRAVEL_GRAPHQL_ARG_LIMIT);
    last = travel_graphql_node_given(node, TRAVEL_GRAPHQL_ARG_LAST);
    node->index = p->plan->connections++;
    node->backward = last != NULL;

    if (node->backward && first != NULL && !first->fallback) {
        return plan_error(p->error, ast, TRAVEL_E_VALIDATION_ERROR,
                          "Field \"%.*s\" takes \"first\" or \"last\", not "
                          "both.", S_(ast->name));
    }

    return TRAVEL_OK;
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

    TRY(plan_args(p, ast, node));

    if (node->kind == TRAVEL_GRAPHQL_NODE_CONNECTION) {
        TRY(plan_page(p, ast, node));
    }

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
    travel_graphql_error_t            unpriced;
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

    /* a limit out of its bounds is told when it is executed */

    plan->priced = !p->varies
                   && travel_graphql_cost(plan, p->variables, &plan->cost,
                                          &unpriced) == TRAVEL_OK;

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
