/*
 * Fragments (section 5.5) and variables (5.8): what one definition means for
 * another.
 *
 * Which fragments an operation reaches is walked once per operation, each
 * fragment once; that is the work of operations times fragments, and counted.
 */

#include "validate_parts.h"

#include <stdlib.h>

typedef travel_graphql_ast_t         ast_t;
typedef travel_graphql_unit_t        unit_t;
typedef travel_graphql_check_t       check_t;
typedef travel_graphql_usage_t       usage_t;
typedef travel_graphql_mistake_t     mistake_t;
typedef travel_graphql_spread_t      spread_t;
typedef travel_graphql_validation_t  validation_t;

#define complain_  travel_graphql_report
#define at_        travel_graphql_report_at
#define at_name_   travel_graphql_report_at_name
#define type_text  travel_graphql_type_text
#define TEXT       TRAVEL_GRAPHQL_TYPE_TEXT


/* --- spreads ------------------------------------------------------------- */

static int
units_spread(validation_t *v, const ast_t *spread)
{
    TRY(travel_graphql_grow((void **) &v->spreads, &v->spreads_room,
                            v->nspreads, sizeof(*v->spreads)));
    v->spreads[v->nspreads].spread = spread;
    v->spreads[v->nspreads++].unit =
        travel_graphql_validate_fragment(v, spread->name);
    return TRAVEL_OK;
}


/* A selection set that is still to be looked through. */
static int
units_later(validation_t *v, size_t *n, const ast_t *owner)
{
    TRY(travel_graphql_grow((void **) &v->owners, &v->owners_room, *n,
                            sizeof(*v->owners)));
    v->owners[(*n)++] = owner;
    return TRAVEL_OK;
}


/* The spreads of a definition: of a selection set first, then of those in it,
 * from the last on.  Which circle is told depends on it, and so does the
 * number of them; others have the same order. */
static int
units_spreads(validation_t *v, unit_t *unit)
{
    size_t        n = 0;
    const ast_t  *node;

    unit->spreads = v->nspreads;
    TRY(units_later(v, &n, unit->def));

    while (n > 0) {

        for (node = v->owners[--n]->children; node != NULL; node = node->next)
        {
            if (node->kind == TRAVEL_GRAPHQL_SPREAD) {
                TRY(units_spread(v, node));

            } else if (node->children != NULL) {
                TRY(units_later(v, &n, node));
            }
        }
    }

    unit->nspreads = v->nspreads - unit->spreads;
    return TRAVEL_OK;
}


/* --- circles ------------------------------------------------------------- */

/* A fragment whose spreads are being followed. */
typedef struct {
    unit_t  *unit;
    size_t   at;
} units_step_t;


static void
units_circle(validation_t *v, const units_step_t *steps, size_t n,
    const unit_t *back)
{
    size_t       i = n;
    mistake_t   *mistake;

    mistake = complain_(v->check.report, "Cannot spread fragment \"%.*s\" "
                        "within itself.", N_(back->def->name));

    while (steps[i - 1].unit != back) {
        i--;
    }

    for (i--; i < n; i++) {
        at_(mistake, v->spreads[steps[i].unit->spreads + steps[i].at].spread);
    }
}


/* From a fragment that no walk has met; 'state': 1 it is on the way, 2 all
 * behind it is known. */
static int
units_follow(validation_t *v, unit_t *unit)
{
    int            rc = TRAVEL_OK;
    size_t         n = 0, room = 0;
    unit_t        *next;
    units_step_t  *steps = NULL, *step;

    while (unit != NULL || n > 0) {

        if (unit != NULL) {
            rc = travel_graphql_grow((void **) &steps, &room, n,
                                     sizeof(*steps));
            if (rc != TRAVEL_OK) {
                break;
            }

            unit->state = 1;
            steps[n].unit = unit;
            steps[n++].at = 0;
        }

        step = &steps[n - 1];
        unit = NULL;

        if (step->at == step->unit->nspreads) {
            step->unit->state = 2;
            n--;

            if (n > 0) {
                steps[n - 1].at++;
            }

            continue;
        }

        next = v->spreads[step->unit->spreads + step->at].unit;

        if (next != NULL && next->state == 0) {
            unit = next;
            continue;
        }

        if (next != NULL && next->state == 1) {
            units_circle(v, steps, n, next);
        }

        step->at++;
    }

    free(steps);
    return rc;
}


/* --- what an operation reaches ------------------------------------------- */

static int
units_push(validation_t *v, size_t *n, unit_t *unit)
{
    TRY(travel_graphql_grow((void **) &v->stack, &v->stack_room, *n,
                            sizeof(*v->stack)));
    unit->mark = v->mark;
    v->stack[(*n)++] = unit;
    return TRAVEL_OK;
}


/* It and the fragments below it, each once, into v->stack; *ret_n: how many. */
static int
units_reach(validation_t *v, unit_t *operation, size_t *ret_n)
{
    size_t   i, k, n = 0;
    unit_t  *unit, *next;

    v->mark++;
    TRY(units_push(v, &n, operation));

    for (i = 0; i < n; i++) {
        unit = v->stack[i];

        if (!travel_graphql_check_work(&v->check, unit->nspreads + 1)) {
            break;
        }

        for (k = 0; k < unit->nspreads; k++) {
            next = v->spreads[unit->spreads + k].unit;

            if (next != NULL && next->mark != v->mark) {
                TRY(units_push(v, &n, next));
            }
        }
    }

    *ret_n = n;
    return TRAVEL_OK;
}


/* --- variables ----------------------------------------------------------- */

/* May the variable stand there (section 5.8.5)? */
static void
units_position(check_t *c, const ast_t *var, const usage_t *usage)
{
    char          text[TEXT], other[TEXT];
    bool          fits;
    mistake_t    *mistake;
    const ast_t  *wanted = usage->type;

    if (wanted == NULL || travel_graphql_base(var->type)->of == NULL) {
        return;
    }

    if (wanted->kind == TRAVEL_GRAPHQL_TYPE_NONNULL
        && var->type->kind != TRAVEL_GRAPHQL_TYPE_NONNULL
        && (usage->fallback
            || (var->value != NULL
                && var->value->kind != TRAVEL_GRAPHQL_NULL)))
    {
        wanted = wanted->type;
    }

    fits = travel_graphql_schema_fits(c->schema, var->type, wanted);

    if (!fits) {
        mistake = complain_(c->report, "Variable \"$%.*s\" of type \"%s\" used "
                            "in position expecting type \"%s\".",
                            N_(var->name), type_text(var->type, text),
                            type_text(usage->type, other));
        at_(mistake, var);
        at_(mistake, usage->variable);
    }

    if (usage->one_of != NULL && var->type->kind != TRAVEL_GRAPHQL_TYPE_NONNULL)
    {
        mistake = complain_(c->report, "Variable \"$%.*s\" of type \"%s\" must "
                            "be non-nullable to be used for OneOf Input Object "
                            "\"%.*s\".", N_(var->name),
                            type_text(var->type, text),
                            N_(usage->one_of->name));
        at_(mistake, var);
        at_(mistake, usage->variable);
    }
}


static void
units_undefined(check_t *c, const ast_t *operation, const ast_t *variable)
{
    mistake_t  *mistake;

    mistake = operation->name.len > 0
        ? complain_(c->report, "Variable \"$%.*s\" is not defined by operation "
                    "\"%.*s\".", N_(variable->name), N_(operation->name))
        : complain_(c->report, "Variable \"$%.*s\" is not defined.",
                    N_(variable->name));
    at_(mistake, variable);
    at_(mistake, operation);
}


/* The variables of what is reached, n units in v->stack. */
static int
units_variables(validation_t *v, const ast_t *operation, size_t n)
{
    size_t          i, k;
    void          **value;
    ast_t          *var;
    check_t        *c = &v->check;
    const usage_t  *usage;

    for (var = operation->variables; var != NULL; var = var->next) {
        TRY(travel_graphql_names_put(&c->names, operation, var->name, &value));
        *value = var;
        var->mark = 0;
    }

    for (i = 0; i < n; i++) {

        if (!travel_graphql_check_work(c, v->stack[i]->nusages)) {
            return TRAVEL_OK;
        }

        for (k = 0; k < v->stack[i]->nusages; k++) {
            usage = &c->usages[v->stack[i]->usages + k];
            var = travel_graphql_names_get(&c->names, operation,
                                           usage->variable->name);

            if (var == NULL) {
                units_undefined(c, operation, usage->variable);
                continue;
            }

            var->mark = 1;
            units_position(c, var, usage);
        }
    }

    for (var = operation->variables; var != NULL; var = var->next) {

        if (((ast_t *) travel_graphql_names_get(&c->names, operation,
                                                var->name))->mark == 0)
        {
            at_(complain_(c->report, "Variable \"$%.*s\" is never used.",
                          N_(var->name)), var);
        }
    }

    return TRAVEL_OK;
}


/* --- all of them --------------------------------------------------------- */

int
travel_graphql_validate_units(validation_t *v)
{
    size_t   i, k, n;
    unit_t  *unit;

    for (i = 0; i < v->nunits; i++) {
        TRY(units_spreads(v, v->units[i]));
    }

    for (i = 0; i < v->nunits; i++) {
        unit = v->units[i];

        if (unit->def->kind == TRAVEL_GRAPHQL_FRAGMENT && unit->state == 0) {
            TRY(units_follow(v, unit));
        }
    }

    for (i = 0; i < v->nunits; i++) {
        unit = v->units[i];

        if (unit->def->kind != TRAVEL_GRAPHQL_OPERATION) {
            continue;
        }

        TRY(units_reach(v, unit, &n));

        for (k = 0; k < n; k++) {
            v->stack[k]->used = true;
        }

        TRY(units_variables(v, unit->def, n));

        if (v->check.report->exhausted) {
            return TRAVEL_OK;
        }
    }

    for (i = 0; i < v->nunits; i++) {
        unit = v->units[i];

        if (unit->def->kind == TRAVEL_GRAPHQL_FRAGMENT
            && !travel_graphql_validate_fragment(v, unit->def->name)->used)
        {
            at_(complain_(v->check.report, "Fragment \"%.*s\" is never used.",
                          N_(unit->def->name)), unit->def);
        }
    }

    return TRAVEL_OK;
}
