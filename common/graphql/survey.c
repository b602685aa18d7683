/*
 * What an SDL says of a database, a document each.  See survey.h.
 *
 * Types are met from the roots on, the nearest first; a type is asked about
 * where it was met, by the text that leads there.
 */

#include "arena.h"
#include "schema.h"
#include "steps.h"
#include "survey.h"
#include "text.h"

#include <stdlib.h>

typedef travel_graphql_ast_t        ast_t;
typedef travel_graphql_text_t       text_t;
typedef travel_graphql_map_type_t   type_t;
typedef travel_graphql_map_field_t  field_t;

#define puts_(t, s)  travel_graphql_text_puts(t, s)
#define put_(t, s)   travel_graphql_text_add(t, s)

/* A type, and the text up to what is selected of it. */
typedef struct {
    const type_t  *type;
    text_t         before;
    size_t         braces;            /* that it has open */
} survey_place_t;

typedef struct {
    const travel_graphql_mapping_t  *mapping;
    travel_graphql_survey_pt         ask;
    void                            *data;
    survey_place_t                  *places;   /* free()d */
    size_t                           n;
    size_t                           room;
} survey_t;


/* --- arguments ----------------------------------------------------------- */

/* A literal that is one of the type; the recursion is as deep as types nest in
 * each other, at most TRAVEL_GRAPHQL_NESTED_MAX objects. */
static void
survey_literal(const survey_t *s, const ast_t *type, unsigned depth,
    text_t *out)
{
    size_t        n = 0;
    const ast_t  *def, *member;

    type = travel_graphql_base(type);
    def = travel_graphql_map_definition(s->mapping, type->name);

    if (travel_str_eq(type->name, TRAVEL_STR("Boolean"))) {
        puts_(out, "true");

    } else if (travel_str_eq(type->name, TRAVEL_STR("Int"))
               || travel_str_eq(type->name, TRAVEL_STR("Float")))
    {
        puts_(out, "1");

    } else if (def != NULL && def->kind == TRAVEL_GRAPHQL_DEF_ENUM) {
        put_(out, def->children->name);

    } else if (def != NULL && def->kind == TRAVEL_GRAPHQL_DEF_INPUT) {
        puts_(out, "{");

        for (member = depth < TRAVEL_GRAPHQL_NESTED_MAX ? def->children : NULL;
             member != NULL; member = member->next)
        {
            puts_(out, n++ > 0 ? ", " : "");
            put_(out, member->name);
            puts_(out, ": ");
            survey_literal(s, member->type, depth + 1, out);
        }

        puts_(out, "}");

    } else {
        puts_(out, "\"1\"");
    }
}


/* All of them, but for cursors; 'choice' is the number of the order. */
static void
survey_arguments(const survey_t *s, const field_t *field, size_t choice,
    text_t *out)
{
    size_t                           i, n = 0;
    const travel_graphql_map_arg_t  *arg;

    for (i = 0; i < field->nargs; i++) {
        arg = &field->args[i];

        if (arg->kind == TRAVEL_GRAPHQL_ARG_LAST
            || arg->kind == TRAVEL_GRAPHQL_ARG_AFTER
            || arg->kind == TRAVEL_GRAPHQL_ARG_BEFORE)
        {
            continue;
        }

        puts_(out, n++ > 0 ? ", " : "(");
        put_(out, arg->name);
        puts_(out, ": ");

        if (arg->kind == TRAVEL_GRAPHQL_ARG_ORDER) {
            put_(out, arg->choices[choice].name);
        } else {
            survey_literal(s, arg->def->type, 0, out);
        }
    }

    puts_(out, n > 0 ? ")" : "");
}


static size_t
survey_orders(const field_t *field)
{
    size_t  i;

    for (i = 0; i < field->nargs; i++) {
        if (field->args[i].kind == TRAVEL_GRAPHQL_ARG_ORDER) {
            return field->args[i].nchoices;
        }
    }

    return 1;
}


/* --- places -------------------------------------------------------------- */

static bool
survey_met(const survey_t *s, const type_t *type)
{
    size_t  i;

    for (i = 0; i < s->n; i++) {
        if (s->places[i].type == type) {
            return true;
        }
    }

    return false;
}


/* A type that was not met before: 'before' is taken over. */
static int
survey_add(survey_t *s, const type_t *type, text_t *before, size_t braces)
{
    if (before->failed
        || travel_graphql_grow((void **) &s->places, &s->room, s->n,
                               sizeof(*s->places)) != TRAVEL_OK)
    {
        travel_graphql_text_free(before);
        return TRAVEL_ERROR;
    }

    s->places[s->n++] = (survey_place_t) { type, *before, braces };
    return TRAVEL_OK;
}


/* The type that a field is of; of an interface or a union each of its own. */
static int
survey_behind(survey_t *s, const survey_place_t *place, const field_t *field,
    const type_t *type)
{
    size_t         i;
    text_t         before;
    const type_t  *met;

    for (i = 0; i == 0 || i < type->nmembers; i++) {
        met = type->nmembers > 0 ? type->members[i] : type;

        if (survey_met(s, met)) {
            continue;
        }

        memset(&before, 0, sizeof(before));
        travel_graphql_text_join(&before, &place->before);
        put_(&before, field->name);
        survey_arguments(s, field, 0, &before);
        puts_(&before, " { ");

        if (met != type) {
            puts_(&before, "... on ");
            put_(&before, met->name);
            puts_(&before, " { ");
        }

        TRY(survey_add(s, met, &before, place->braces + 1 + (met != type)));
    }

    return TRAVEL_OK;
}


static int
survey_ask(survey_t *s, const survey_place_t *place, const field_t *field,
    const type_t *behind, size_t choice)
{
    int     rc;
    size_t  i;
    text_t  out = { 0 };

    travel_graphql_text_join(&out, &place->before);
    put_(&out, field->name);
    survey_arguments(s, field, choice, &out);
    puts_(&out, behind != NULL ? " { __typename }" : "");

    for (i = 0; i < place->braces; i++) {
        puts_(&out, " }");
    }

    rc = out.failed ? TRAVEL_ERROR
                    : s->ask(s->data, field, (travel_str_t) { out.data,
                                                              out.len });
    travel_graphql_text_free(&out);
    return rc;
}


static int
survey_field(survey_t *s, size_t at, const field_t *field)
{
    int              rc = TRAVEL_OK;
    size_t           i, n = survey_orders(field);
    const type_t    *behind;
    survey_place_t   place = s->places[at];

    behind = travel_graphql_map_type(s->mapping, field->base);

    for (i = 0; i < n && rc == TRAVEL_OK; i++) {
        rc = survey_ask(s, &place, field, behind, i);
    }

    if (rc != TRAVEL_OK) {
        return rc == TRAVEL_REFUSED ? TRAVEL_OK : rc;
    }

    return behind != NULL ? survey_behind(s, &place, field, behind)
                          : TRAVEL_OK;
}


/* --- all of it ----------------------------------------------------------- */

static int
survey_root(survey_t *s, travel_graphql_op_e op, const char *begin)
{
    text_t         before = { 0 };
    const type_t  *root = travel_graphql_map_root(s->mapping, op);

    if (root == NULL) {
        return TRAVEL_OK;
    }

    puts_(&before, begin);
    return survey_add(s, root, &before, 1);
}


int
travel_graphql_survey(const travel_graphql_mapping_t *mapping,
    travel_graphql_survey_pt ask, void *data)
{
    int       rc;
    size_t    i, k;
    survey_t  s = { .mapping = mapping, .ask = ask, .data = data };

    rc = survey_root(&s, TRAVEL_GRAPHQL_QUERY, "query { ");

    if (rc == TRAVEL_OK) {
        rc = survey_root(&s, TRAVEL_GRAPHQL_MUTATION, "mutation { ");
    }

    for (i = 0; i < s.n && rc == TRAVEL_OK; i++) {
        for (k = 0; k < s.places[i].type->nfields && rc == TRAVEL_OK; k++) {
            rc = survey_field(&s, i, &s.places[i].type->fields[k]);
        }
    }

    for (i = 0; i < s.n; i++) {
        travel_graphql_text_free(&s.places[i].before);
    }

    free(s.places);
    return rc;
}
