/*
 * Parts of plans.  See part.h.
 *
 * The recursion follows the plan's tree, whose depth plan.c has bounded by
 * TRAVEL_GRAPHQL_DEPTH_MAX.
 */

#include "part.h"
#include "../errors.h"

typedef travel_graphql_node_t  node_t;

typedef struct {
    const travel_graphql_part_t  *part;     /* NULL: they are only counted */
    uint32_t                      n;
} part_walk_t;


/* Null can stand for it, whoever is around it. */
static bool
part_can(const node_t *node)
{
    return node->kind == TRAVEL_GRAPHQL_NODE_LEAF
           || node->kind == TRAVEL_GRAPHQL_NODE_EMBED
           || node->kind == TRAVEL_GRAPHQL_NODE_ONE
           || node->kind == TRAVEL_GRAPHQL_NODE_LIST
           || node->kind == TRAVEL_GRAPHQL_NODE_CONNECTION;
}


/* What is not of the database, with all that is below it. */
static bool
part_foreign(const node_t *node)
{
    return node->kind == TRAVEL_GRAPHQL_NODE_META
           || node->kind == TRAVEL_GRAPHQL_NODE_JOB;
}


static void
part_walk(part_walk_t *w, node_t *node)
{
    uint32_t                      i;
    node_t                       *child;
    const travel_graphql_part_t  *part = w->part;

    if (part_foreign(node)) {
        return;
    }

    for (child = node->children; child != NULL; child = child->next) {
        part_walk(w, child);
    }

    if (!part_can(node)) {
        return;
    }

    w->n++;

    if (part == NULL || node->withheld != 0) {
        return;
    }

    if (w->n <= part->upto) {
        node->withheld = TRAVEL_E_INTERNAL_ERROR;
    }

    for (i = 0; i < part->nblamed; i++) {
        if (part->blamed[i].field == w->n) {
            node->withheld = part->blamed[i].code;
        }
    }
}


static uint32_t
part_below(const node_t *root, const travel_graphql_part_t *part)
{
    node_t       *child;
    part_walk_t   w = { .part = part };

    for (child = root->children; child != NULL; child = child->next) {
        part_walk(&w, child);
    }

    return w.n;
}


/* What the node needs, with what is around nothing that null can stand for. */
static uint64_t
part_needs(const node_t *node)
{
    uint64_t       needs = node->needs;
    const node_t  *child;

    for (child = node->children; child != NULL; child = child->next) {
        if (!part_can(child)) {
            needs |= part_needs(child);
        }
    }

    return needs;
}


static void
part_deny(node_t *node, uint64_t denied)
{
    node_t  *child;

    if (part_can(node) && (part_needs(node) & denied) != 0) {
        node->withheld = TRAVEL_E_AUTHORIZATION_ERROR;
        return;
    }

    for (child = node->children; child != NULL; child = child->next) {
        part_deny(child, denied);
    }
}


travel_graphql_node_t *
travel_graphql_root(const travel_graphql_plan_t *plan, uint32_t number)
{
    node_t  *root = plan->roots;

    while (root != NULL && --number > 0) {
        root = root->next;
    }

    return root;
}


bool
travel_graphql_part_shows(const travel_graphql_plan_t *plan, uint64_t denied)
{
    bool           shows = false;
    const node_t  *root;

    for (root = plan->roots; root != NULL; root = root->next) {

        if ((part_needs(root) & denied) == 0) {
            shows |= root->kind != TRAVEL_GRAPHQL_NODE_TYPENAME;

        } else if (!part_can(root) || root->field->nonnull) {
            return false;
        }
    }

    return shows;
}


int
travel_graphql_part_sql(travel_graphql_statement_t *ret_statement,
    travel_graphql_plan_t *plan, const travel_graphql_part_t *part)
{
    node_t  *root;

    for (root = plan->roots; root != NULL; root = root->next) {
        part_deny(root, part->denied);
    }

    if (part->only == 0) {
        return travel_graphql_sql(ret_statement, plan->roots, NULL);
    }

    root = travel_graphql_root(plan, part->only);
    if (root == NULL) {
        return TRAVEL_ERROR;
    }

    (void) part_below(root, part);

    return plan->operation->op == TRAVEL_GRAPHQL_MUTATION
           ? travel_graphql_sql(ret_statement, root->children, NULL)
           : travel_graphql_sql(ret_statement, plan->roots, root);
}


/* --- which field is to blame --------------------------------------------- */

void
travel_graphql_search_init(travel_graphql_search_t *search,
    const travel_graphql_plan_t *plan, uint32_t only, uint64_t denied)
{
    memset(search, 0, sizeof(*search));
    search->part.only = only;
    search->part.denied = denied;
    search->fields = part_below(travel_graphql_root(plan, only), NULL);
}


/* 'high' is one to blame: is it the last?  Those behind it are not. */
static travel_graphql_search_e
search_blame(travel_graphql_search_t *search)
{
    travel_graphql_part_t  *part = &search->part;

    if (part->nblamed == TRAVEL_GRAPHQL_BLAMED_MAX) {
        return TRAVEL_GRAPHQL_SEARCH_ROOT;
    }

    part->blamed[part->nblamed].field = search->high--;
    part->blamed[part->nblamed++].code = search->code;
    part->upto = 0;

    return TRAVEL_GRAPHQL_SEARCH_ASK;
}


travel_graphql_search_e
travel_graphql_search(travel_graphql_search_t *search, int code)
{
    travel_graphql_part_t  *part = &search->part;

    if (code == 0 && part->upto == 0) {
        return TRAVEL_GRAPHQL_SEARCH_FOUND;
    }

    if (!search->running) {
        search->running = true;
        search->first = code;
        search->code = code;
        part->upto = search->fields;

        return search->fields > 0 ? TRAVEL_GRAPHQL_SEARCH_ASK
                                  : TRAVEL_GRAPHQL_SEARCH_ROOT;
    }

    if (code == 0) {
        search->high = part->upto;

    } else if (search->high == 0) {       /* without any field, too */
        return TRAVEL_GRAPHQL_SEARCH_ROOT;

    } else {
        search->low = part->upto;
        search->code = code;
    }

    if (search->high - search->low == 1) {
        return search_blame(search);
    }

    part->upto = search->low + (search->high - search->low) / 2;
    return TRAVEL_GRAPHQL_SEARCH_ASK;
}
