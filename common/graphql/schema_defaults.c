/*
 * Defaults of input fields that contain themselves (September 2025, section
 * 3.10): what is by default would have no end.
 *
 * A field leads to others where its default has an object that does not name
 * them, and they have defaults of their own.  Each field is followed once, by
 * a stack; 'mark' of its definition: 1 it is on the way, 2 all behind it is
 * known.
 */

#include "schema_parts.h"

#include <stdlib.h>

typedef travel_graphql_ast_t      ast_t;
typedef travel_graphql_type_t     type_t;
typedef travel_graphql_check_t    check_t;
typedef travel_graphql_mistake_t  mistake_t;

/* Part of a default, still to be looked through. */
typedef struct {
    const ast_t   *value;
    const type_t  *type;
} defaults_part_t;

/* A field on the way; what it leads to is below what the next leads to. */
typedef struct {
    ast_t   *field;
    size_t   at;
    size_t   end;
} defaults_step_t;

typedef struct {
    check_t           *c;
    defaults_part_t   *parts;         /* free()d, as the next */
    size_t             nparts;
    size_t             parts_room;
    ast_t            **found;
    size_t             nfound;
    size_t             found_room;
    defaults_step_t   *steps;
    size_t             nsteps;
    size_t             steps_room;
} defaults_t;


/* The input object that a field is of, or NULL. */
static const type_t *
defaults_input(const ast_t *field)
{
    const type_t  *type = travel_graphql_base(field->type)->of;

    return type->kind == TRAVEL_GRAPHQL_DEF_INPUT ? type : NULL;
}


static int
defaults_push(defaults_t *d, const ast_t *value, const type_t *type)
{
    TRY(travel_graphql_grow((void **) &d->parts, &d->parts_room, d->nparts,
                            sizeof(*d->parts)));
    d->parts[d->nparts++] = (defaults_part_t) { value, type };
    return TRAVEL_OK;
}


static int
defaults_object(defaults_t *d, const ast_t *object, const type_t *type)
{
    ast_t         *field;
    const ast_t   *member;
    const type_t  *of;

    for (field = type->def->children; field != NULL; field = field->next) {
        of = defaults_input(field);

        if (of == NULL || !travel_graphql_check_work(d->c, 1)) {
            continue;
        }

        member = travel_graphql_find(object->children, field->name);

        if (member != NULL) {
            TRY(defaults_push(d, member->value, of));

        } else if (field->value != NULL) {
            TRY(travel_graphql_grow((void **) &d->found, &d->found_room,
                                    d->nfound, sizeof(*d->found)));
            d->found[d->nfound++] = field;
        }
    }

    return TRAVEL_OK;
}


/* Goes on with a field: what its default leads to. */
static int
defaults_follow(defaults_t *d, ast_t *field)
{
    const ast_t       *item;
    defaults_part_t    part;
    defaults_step_t   *step;

    TRY(travel_graphql_grow((void **) &d->steps, &d->steps_room, d->nsteps,
                            sizeof(*d->steps)));
    step = &d->steps[d->nsteps++];
    step->field = field;
    step->at = d->nfound;
    field->mark = 1;
    TRY(defaults_push(d, field->value, defaults_input(field)));

    while (d->nparts > 0) {
        part = d->parts[--d->nparts];

        if (part.value->kind == TRAVEL_GRAPHQL_OBJECT) {
            TRY(defaults_object(d, part.value, part.type));
        }

        for (item = part.value->kind == TRAVEL_GRAPHQL_LIST
                    ? part.value->children : NULL; item != NULL;
             item = item->next)
        {
            TRY(defaults_push(d, item, part.type));
        }
    }

    step->end = d->nfound;
    return TRAVEL_OK;
}


static void
defaults_circle(defaults_t *d, const ast_t *field)
{
    size_t      i = d->nsteps;
    mistake_t  *mistake;

    mistake = travel_graphql_report(d->c->report, "The default of input field "
                                    "\"%.*s\" contains itself, by the defaults "
                                    "of what is in it.", N_(field->name));

    do {
        i--;
    } while (d->steps[i].field != field);

    for ( /* void */ ; i < d->nsteps; i++) {
        travel_graphql_report_at(mistake, d->steps[i].field);
    }
}


static int
defaults_from(defaults_t *d, ast_t *field)
{
    ast_t            *next;
    defaults_step_t  *step;

    TRY(defaults_follow(d, field));

    while (d->nsteps > 0) {
        step = &d->steps[d->nsteps - 1];

        if (step->at == step->end) {
            step->field->mark = 2;
            d->nsteps--;
            d->nfound = d->nsteps > 0 ? d->steps[d->nsteps - 1].end : 0;
            continue;
        }

        next = d->found[step->at++];

        if (next->mark == 0) {
            TRY(defaults_follow(d, next));

        } else if (next->mark == 1) {
            defaults_circle(d, next);
        }
    }

    return TRAVEL_OK;
}


int
travel_graphql_schema_defaults(check_t *c)
{
    int            rc = TRAVEL_OK;
    size_t         i;
    ast_t         *field;
    defaults_t     d = { .c = c };
    const type_t  *type;

    for (i = 0; i < c->schema->ntypes; i++) {
        type = c->schema->types[i];

        for (field = type->kind == TRAVEL_GRAPHQL_DEF_INPUT
                     ? type->def->children : NULL;
             field != NULL && rc == TRAVEL_OK; field = field->next)
        {
            if (field->value != NULL && field->mark == 0
                && defaults_input(field) != NULL)
            {
                rc = defaults_from(&d, field);
            }
        }
    }

    free(d.parts);
    free(d.found);
    free(d.steps);
    return rc;
}
