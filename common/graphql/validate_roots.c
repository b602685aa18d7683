/*
 * What a subscription selects at its root (section 5.2.4), and how deep
 * introspection goes: types of fields of types of fields are a bomb that
 * needs no database.
 */

#include "validate_parts.h"

#include <stdlib.h>

#define ROOTS_INTROSPECTION  3        /* lists within lists */

typedef travel_graphql_ast_t         ast_t;
typedef travel_graphql_type_t        type_t;
typedef travel_graphql_unit_t        unit_t;
typedef travel_graphql_check_t       check_t;
typedef travel_graphql_validation_t  validation_t;

#define complain_  travel_graphql_report
#define at_        travel_graphql_report_at

/* Where a walk goes on when it comes up again. */
typedef struct {
    const ast_t  *at;
    size_t        depth;
} roots_step_t;

typedef struct {
    validation_t  *v;
    roots_step_t  *steps;             /* free()d */
    size_t         n;
    size_t         room;
} roots_t;


static int
roots_push(roots_t *r, const ast_t *at, size_t depth)
{
    TRY(travel_graphql_grow((void **) &r->steps, &r->room, r->n,
                            sizeof(*r->steps)));
    r->steps[r->n].at = at;
    r->steps[r->n++].depth = depth;
    return TRAVEL_OK;
}


/* --- subscriptions ------------------------------------------------------- */

static travel_str_t
roots_key(const ast_t *field)
{
    return field->alias.len > 0 ? field->alias : field->name;
}


static bool
roots_applies(const check_t *c, const type_t *root, const ast_t *condition)
{
    const type_t  *type;

    type = condition != NULL
           ? travel_graphql_schema_resolve(c->schema, condition) : root;

    return type == root
           || (type != NULL && travel_graphql_is_composite(type)
               && travel_graphql_schema_is(c->schema, root, type));
}


static void
roots_conditional(check_t *c, const ast_t *selection)
{
    const ast_t  *d;

    for (d = selection->directives; d != NULL; d = d->next) {
        if (travel_str_eq(d->name, TRAVEL_STR("skip"))
            || travel_str_eq(d->name, TRAVEL_STR("include")))
        {
            at_(complain_(c->report, "The root of a subscription must not have "
                          "\"@%.*s\".", N_(d->name)), d);
        }
    }
}


/* Fields of one response key. */
typedef struct {
    size_t  mistake;                  /* its number: they are introspection */
} roots_group_t;


/* A field at the root.  The first response key is the only one there may be:
 * *extra is the number of the mistake that has the others. */
static int
roots_field(check_t *c, const ast_t *operation, const ast_t *field,
    const ast_t **first, size_t *extra)
{
    void           **value;
    roots_group_t   *group;

    *first = *first == NULL ? field : *first;

    if (!travel_str_eq(roots_key(field), roots_key(*first))) {

        if (*extra == 0
            && complain_(c->report, "A subscription must select only one top "
                         "level field.") != NULL)
        {
            *extra = c->report->n;
        }

        if (*extra > 0) {
            at_(&c->report->items[*extra - 1], field);
        }
    }

    TRY(travel_graphql_names_put(&c->names, &operation->children,
                                 roots_key(field), &value));

    if (*value == NULL) {
        *value = travel_graphql_arena_alloc(&c->arena, sizeof(roots_group_t));
        group = *value;

        if (group == NULL) {
            return TRAVEL_ERROR;
        }

        if (field->name.len >= 2 && memcmp(field->name.data, "__", 2) == 0
            && complain_(c->report, "A subscription must not select an "
                         "introspection top level field.") != NULL)
        {
            group->mistake = c->report->n;
        }
    }

    group = *value;

    if (group->mistake > 0) {
        at_(&c->report->items[group->mistake - 1], field);
    }

    return TRAVEL_OK;
}


static int
roots_subscription(roots_t *r, const ast_t *operation)
{
    unit_t       *unit;
    check_t      *c = &r->v->check;
    size_t        extra = 0;
    const ast_t  *node = operation->children, *inner, *first = NULL;

    r->v->mark++;

    while (node != NULL || r->n > 0) {

        if (node == NULL) {
            node = r->steps[--r->n].at;
            continue;
        }

        roots_conditional(c, node);
        inner = NULL;

        if (node->kind == TRAVEL_GRAPHQL_FIELD) {
            TRY(roots_field(c, operation, node, &first, &extra));

        } else if (node->kind == TRAVEL_GRAPHQL_INLINE) {
            if (roots_applies(c, operation->of, node->type)) {
                inner = node->children;
            }

        } else {
            unit = travel_graphql_validate_fragment(r->v, node->name);

            if (unit != NULL && unit->mark != r->v->mark) {
                unit->mark = r->v->mark;

                if (roots_applies(c, operation->of, unit->def->type)) {
                    inner = unit->def->children;
                }
            }
        }

        if (inner != NULL) {
            TRY(roots_push(r, node->next, 0));
            node = inner;
        } else {
            node = node->next;
        }
    }

    return TRAVEL_OK;
}


/* --- introspection ------------------------------------------------------- */

static bool
roots_list(travel_str_t name)
{
    return travel_str_eq(name, TRAVEL_STR("fields"))
           || travel_str_eq(name, TRAVEL_STR("interfaces"))
           || travel_str_eq(name, TRAVEL_STR("possibleTypes"))
           || travel_str_eq(name, TRAVEL_STR("inputFields"));
}


/* From __schema or __type down.  A fragment is walked again only where it is
 * met deeper than before: its mark is the walk's, plus that depth. */
static int
roots_introspection(roots_t *r, const ast_t *root, bool *ret_deep)
{
    size_t        depth = 0, inner;
    unit_t       *unit;
    uint32_t      mark = r->v->mark + 1;
    const ast_t  *node = root->children, *below;

    r->n = 0;
    r->v->mark += ROOTS_INTROSPECTION;
    *ret_deep = false;

    while (node != NULL || r->n > 0) {

        if (node == NULL) {
            node = r->steps[--r->n].at;
            depth = r->steps[r->n].depth;
            continue;
        }

        if (!travel_graphql_check_work(&r->v->check, 1)) {
            return TRAVEL_OK;
        }

        below = node->children;
        inner = depth + (node->kind == TRAVEL_GRAPHQL_FIELD
                         && roots_list(node->name));

        if (inner == ROOTS_INTROSPECTION) {
            *ret_deep = true;
            return TRAVEL_OK;
        }

        if (node->kind == TRAVEL_GRAPHQL_SPREAD) {
            unit = travel_graphql_validate_fragment(r->v, node->name);

            if (unit != NULL && unit->mark < mark + depth) {
                unit->mark = mark + (uint32_t) depth;
                below = unit->def->children;
            }
        }

        if (below != NULL) {
            TRY(roots_push(r, node->next, depth));
            depth = inner;
            node = below;
        } else {
            node = node->next;
        }
    }

    return TRAVEL_OK;
}


static int
roots_introspections(roots_t *r, const ast_t *def)
{
    bool          deep;
    const ast_t  *node;

    for (node = def->children; node != NULL;
         node = travel_graphql_validate_next(node, def, !deep))
    {
        deep = false;

        if (node->kind == TRAVEL_GRAPHQL_FIELD
            && (travel_str_eq(node->name, TRAVEL_STR("__schema"))
                || travel_str_eq(node->name, TRAVEL_STR("__type"))))
        {
            TRY(roots_introspection(r, node, &deep));

            if (deep) {
                at_(complain_(r->v->check.report, "Introspection must not go "
                              "through more than %d lists within each other.",
                              ROOTS_INTROSPECTION - 1), node);
            }
        }
    }

    return TRAVEL_OK;
}


int
travel_graphql_validate_roots(validation_t *v)
{
    int           rc = TRAVEL_OK;
    size_t        i;
    roots_t       r = { .v = v };
    const ast_t  *def;

    for (i = 0; i < v->nunits && rc == TRAVEL_OK; i++) {
        def = v->units[i]->def;
        r.n = 0;

        if (def->kind == TRAVEL_GRAPHQL_OPERATION
            && def->op == TRAVEL_GRAPHQL_SUBSCRIPTION && def->of != NULL)
        {
            rc = roots_subscription(&r, def);
        }

        if (rc == TRAVEL_OK) {
            rc = roots_introspections(&r, def);
        }
    }

    free(r.steps);
    return rc;
}
