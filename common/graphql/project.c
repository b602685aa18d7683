/* A message onto a selection.  The recursion follows the plan's tree, which is
 * at most TRAVEL_GRAPHQL_DEPTH_MAX deep, never the message's. */

#include "path.h"
#include "plan_parts.h"
#include "project.h"
#include "steps.h"

#define PROJECT_DEPTH   64            /* of a JSON value that is copied */

typedef travel_graphql_node_t  node_t;

typedef travel_graphql_step_t  step_t;

typedef struct {
    const travel_json_t     *json;
    travel_graphql_text_t   *out;
    travel_graphql_text_t    errors;
    unsigned                 nerrors;
} project_t;

static bool project_object(project_t *p, const node_t *nodes, uint32_t object,
    const step_t *up);


/* --- out ----------------------------------------------------------------- */

static void
project_puts(project_t *p, const char *s)
{
    travel_graphql_text_puts(p->out, s);
}


/* --- values -------------------------------------------------------------- */

/* The value that 'path' (members, by points) leads to from 'object', or
 * NULL. */
static const travel_json_node_t *
project_find(const travel_json_t *json, uint32_t object, travel_str_t path)
{
    size_t                     n;
    const travel_json_node_t  *node, *nodes;

    nodes = travel_json_nodes(json);
    node = &nodes[object];

    while (path.len > 0) {
        if (node->type != TRAVEL_JSON_OBJECT) {
            return NULL;
        }

        for (n = 0; n < path.len && path.data[n] != '.'; n++) {
            /* void */
        }

        node = travel_json_member(json, (uint32_t) (node - nodes),
                                  (travel_str_t) { path.data, n });
        if (node == NULL) {
            return NULL;
        }

        n += n < path.len;
        path.data += n;
        path.len -= n;
    }

    return node;
}


static void
project_scalar(project_t *p, const travel_json_node_t *node)
{
    static const char *const  words[] = { "null", "false", "true" };

    if (node->type == TRAVEL_JSON_STRING) {
        travel_graphql_text_string(p->out, node->text);

    } else if (node->type == TRAVEL_JSON_NUMBER) {
        travel_graphql_text_add(p->out, node->text);

    } else {
        project_puts(p, words[node->type]);
    }
}


/* Any JSON value as it is: its nodes follow each other. */
static void
project_copy(project_t *p, const travel_json_node_t *value)
{
    size_t                     depth = 0;
    uint32_t                   done[PROJECT_DEPTH + 1];
    const travel_json_node_t  *open[PROJECT_DEPTH + 1], *node = value;

    for ( ;; ) {
        if ((node->type == TRAVEL_JSON_ARRAY
             || node->type == TRAVEL_JSON_OBJECT) && depth < PROJECT_DEPTH)
        {
            project_puts(p, node->type == TRAVEL_JSON_ARRAY ? "[" : "{");
            done[depth] = 0;
            open[depth++] = node;

        } else {
            project_scalar(p, node);
        }

        node++;

        while (depth > 0
               && done[depth - 1] == open[depth - 1]->count
                  * (open[depth - 1]->type == TRAVEL_JSON_OBJECT ? 2u : 1u))
        {
            project_puts(p, open[--depth]->type == TRAVEL_JSON_ARRAY ? "]"
                                                                     : "}");
        }

        if (depth == 0) {
            return;
        }

        if (done[depth - 1] > 0) {
            project_puts(p, open[depth - 1]->type == TRAVEL_JSON_OBJECT
                            && done[depth - 1] % 2 == 1 ? ":" : ",");
        }

        done[depth - 1]++;
    }
}


/* A leaf that is no list; false: it is null. */
static bool
project_leaf(project_t *p, const travel_graphql_map_field_t *field,
    const travel_json_node_t *node)
{
    int64_t  n;
    bool     string = node->type == TRAVEL_JSON_STRING;
    bool     number = node->type == TRAVEL_JSON_NUMBER;
    bool     fits;

    switch (field->leaf) {

    case TRAVEL_GRAPHQL_LEAF_INT:
        if (!number || travel_json_int64(node, &n) != TRAVEL_OK
            || n < INT32_MIN || n > INT32_MAX)
        {
            return false;
        }

        travel_graphql_text_printf(p->out, "%d", (int) n);
        return true;

    case TRAVEL_GRAPHQL_LEAF_STRING:
        if (number) {
            travel_graphql_text_string(p->out, node->text);
            return true;
        }

        fits = string;
        break;

    case TRAVEL_GRAPHQL_LEAF_FLOAT:
        fits = number;
        break;

    case TRAVEL_GRAPHQL_LEAF_BOOLEAN:
        fits = node->type == TRAVEL_JSON_TRUE
               || node->type == TRAVEL_JSON_FALSE;
        break;

    case TRAVEL_GRAPHQL_LEAF_ENUM:
        fits = string && travel_graphql_find(field->values, node->text) != NULL;
        break;

    default:
        fits = node->type != TRAVEL_JSON_NULL;
    }

    if (fits) {
        project_copy(p, node);
    }

    return fits;
}


static bool
project_list(project_t *p, const node_t *node, const travel_json_node_t *list)
{
    uint32_t                     i;
    const travel_json_node_t    *item, *nodes = travel_json_nodes(p->json);
    const travel_graphql_ast_t  *type = node->field->def->type;

    while (type->kind != TRAVEL_GRAPHQL_TYPE_LIST) {
        type = type->type;
    }

    if (list->type != TRAVEL_JSON_ARRAY) {
        return false;
    }

    project_puts(p, "[");

    for (i = 0, item = list + 1; i < list->count;
         i++, item = &nodes[item->next])
    {
        project_puts(p, i > 0 ? "," : "");

        if (project_leaf(p, node->field, item)) {
            continue;
        }

        if (type->type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL) {
            return false;
        }

        project_puts(p, "null");
    }

    project_puts(p, "]");
    return true;
}


static bool
project_value(project_t *p, const node_t *node, uint32_t object,
    const step_t *at)
{
    const travel_json_node_t  *value;

    if (node->kind == TRAVEL_GRAPHQL_NODE_TYPENAME) {
        travel_graphql_text_string(p->out, node->type);
        return true;
    }

    value = node->field->topic.n > 0
            ? travel_json_nodes(p->json) + object
            : project_find(p->json, object, node->field->path);

    if (value == NULL || value->type == TRAVEL_JSON_NULL) {
        return false;
    }

    if (node->children != NULL) {
        return value->type == TRAVEL_JSON_OBJECT
               && project_object(p, node->children,
                                 (uint32_t) (value
                                             - travel_json_nodes(p->json)),
                                 at);
    }

    return node->field->list ? project_list(p, node, value)
                             : project_leaf(p, node->field, value);
}


/* What was written of an object that cannot be is taken back. */
static bool
project_object(project_t *p, const node_t *nodes, uint32_t object,
    const step_t *up)
{
    step_t         step;
    size_t         start = p->out->len, before;
    unsigned       told;
    const node_t  *node;

    project_puts(p, "{");

    for (node = nodes; node != NULL; node = node->next) {
        step = (step_t) { .up = up, .key = node->key };

        project_puts(p, node == nodes ? "" : ",");
        travel_graphql_text_string(p->out, node->key);
        project_puts(p, ":");
        before = p->out->len;
        told = p->nerrors;

        if (project_value(p, node, object, &step)) {
            continue;
        }

        p->out->len = before;

        if (node->field->nonnull) {
            /* it may be null because of what is below, which is told */
            if (p->nerrors == told) {
                travel_graphql_null_error(&p->errors, &p->nerrors, node,
                                          &step);
            }

            p->out->len = start;
            return false;
        }

        project_puts(p, "null");
    }

    project_puts(p, "}");
    return true;
}


void
travel_graphql_project(const travel_graphql_plan_t *plan,
    const travel_json_t *message, travel_graphql_text_t *out)
{
    project_t  p = { .json = message, .out = out };

    project_puts(&p, "\"data\":");

    if (!project_object(&p, plan->roots, 0, NULL)) {
        project_puts(&p, "null");
    }

    if (p.nerrors > 0) {
        project_puts(&p, ",\"errors\":[");
        travel_graphql_text_join(out, &p.errors);
        project_puts(&p, "]");
    }

    out->failed |= p.errors.failed;
    travel_graphql_text_free(&p.errors);
}


/* --- what it is of ------------------------------------------------------- */

static int
project_fill(const travel_graphql_plan_t *plan, const node_t *node,
    const travel_graphql_template_t *template,
    const travel_graphql_variables_t *variables, travel_str_t viewer,
    bool quoted, travel_graphql_text_t *out)
{
    size_t        i, k;
    travel_str_t  value;

    for (i = 0; i < template->n; i++) {
        const travel_graphql_piece_t  *piece = &template->pieces[i];

        if (piece->kind != TRAVEL_GRAPHQL_PIECE_ARG
            && piece->kind != TRAVEL_GRAPHQL_PIECE_VIEWER)
        {
            travel_graphql_text_add(out, piece->text);
            continue;
        }

        value = TRAVEL_NULL_STR;

        if (piece->kind == TRAVEL_GRAPHQL_PIECE_VIEWER && viewer.len > 0) {
            value = viewer;
        }

        for (k = 0; k < node->field->nargs; k++) {
            if (travel_str_eq(node->field->args[k].name, piece->text)
                && node->given[k].given
                && travel_graphql_value(plan, &node->given[k].value, variables,
                                        NULL, NULL, &value) != TRAVEL_OK)
            {
                return TRAVEL_INVALID;
            }
        }

        if (value.data == NULL) {
            return TRAVEL_INVALID;
        }

        if (quoted) {
            travel_graphql_text_string(out, value);
        } else {
            travel_graphql_text_add(out, value);
        }
    }

    return out->failed ? TRAVEL_ERROR : TRAVEL_OK;
}


int
travel_graphql_topic(const travel_graphql_plan_t *plan,
    const travel_graphql_variables_t *variables, travel_str_t viewer,
    travel_graphql_text_t *topic, travel_graphql_text_t *check)
{
    const node_t  *root = plan->roots;

    TRY(project_fill(plan, root, &root->field->topic, variables, viewer, false,
                     topic));

    if (root->field->may.n == 0) {
        return TRAVEL_OK;
    }

    travel_graphql_text_puts(check, "{check:");
    TRY(project_fill(plan, root, &root->field->may, variables, viewer, true,
                     check));
    travel_graphql_text_puts(check, "{__typename}}");

    return check->failed ? TRAVEL_ERROR : TRAVEL_OK;
}


bool
travel_graphql_live(const travel_graphql_plan_t *plan)
{
    return plan->operation->op == TRAVEL_GRAPHQL_QUERY
           && travel_graphql_find(plan->operation->directives,
                                  TRAVEL_STR("live")) != NULL;
}
