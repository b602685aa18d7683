/* Arguments of the SDL's fields: filters, limits, orders, commands' input. */

#include "mapping_parts.h"


static int
mapping_choices(mapping_t *m, const ast_t *def, travel_graphql_map_arg_t *arg,
    const travel_graphql_order_t *key)
{
    size_t        n = 0;
    const ast_t  *value, *by;

    for (value = def->children; value != NULL; value = value->next) {
        n++;
    }

    arg->choices = travel_graphql_alloc(m->sdl, n * sizeof(*arg->choices));
    if (arg->choices == NULL) {
        return TRAVEL_ERROR;
    }

    for (value = def->children; value != NULL; value = value->next) {
        by = mapping_directive(value, "order");

        if (by == NULL) {
            return mapping_fault(m, value, "\"%.*s\" must have an @order(by:), "
                                 "as the other values of its enum have",
                                 S_(value->name));
        }

        arg->choices[arg->nchoices].name = value->name;
        TRY(mapping_order(m, by, mapping_string(by, "by"),
                          &arg->choices[arg->nchoices].order));
        TRY(mapping_total(m, by, &arg->choices[arg->nchoices++].order, key));
    }

    return TRAVEL_OK;
}


static int
mapping_arg(mapping_t *m, const ast_t *def, travel_graphql_map_arg_t *arg)
{
    const ast_t   *directive;
    travel_str_t   sql;

    arg->name = def->name;
    arg->def = def;
    arg->base = mapping_base(def->type, &arg->list, &arg->nonnull);

    directive = mapping_directive(def, "filter");

    if (directive != NULL) {
        sql = mapping_string(directive, "sql");
        arg->kind = TRAVEL_GRAPHQL_ARG_FILTER;

        if (sql.len == 0) {
            return mapping_fault(m, directive, "@filter needs sql:, a "
                                 "condition with {$} for the value");
        }

        TRY(mapping_template(m, directive, sql, &arg->filter));
    }

    directive = mapping_directive(def, "column");
    arg->member = mapping_string(directive, "name");

    return arg->member.len == 0 ? mapping_snake(m, def->name, &arg->member)
                                : TRAVEL_OK;
}


static int
mapping_input(mapping_t *m, travel_graphql_map_arg_t *arg)
{
    size_t            n = 0;
    const ast_t      *def, *member;
    mapping_input_t  *input;

    def = travel_graphql_map_definition(m, arg->base);

    if (def != NULL && def->kind == TRAVEL_GRAPHQL_DEF_SCALAR) {
        arg->json = travel_str_eq(mapping_string(mapping_directive(def,
                                                     "format"), "is"),
                                  TRAVEL_STR("json"));
    }

    if (def == NULL || def->kind != TRAVEL_GRAPHQL_DEF_INPUT) {
        return TRAVEL_OK;
    }

    for (input = m->inputs; input != NULL; input = input->next) {
        if (input->def == def) {
            arg->members = input->members;
            arg->nmembers = input->n;
            return TRAVEL_OK;
        }
    }

    for (member = def->children; member != NULL; member = member->next) {
        n++;
    }

    input = travel_graphql_alloc(m->sdl, sizeof(*input));
    arg->members = travel_graphql_alloc(m->sdl, n * sizeof(*arg->members));

    if (input == NULL || arg->members == NULL) {
        return TRAVEL_ERROR;
    }

    /* known before its members are looked at: it may be one of them */

    input->def = def;
    input->members = arg->members;
    input->n = n;
    input->next = m->inputs;
    m->inputs = input;
    arg->nmembers = n;

    for (member = def->children, n = 0; member != NULL;
         member = member->next, n++)
    {
        TRY(mapping_arg(m, member, &input->members[n]));
        TRY(mapping_input(m, &input->members[n]));
    }

    return TRAVEL_OK;
}


/* Does a template of the field name the argument? */
static bool
mapping_named(const travel_graphql_map_field_t *field,
    const travel_graphql_map_arg_t *arg)
{
    size_t                            i, k;
    const travel_graphql_template_t  *templates[] = { &field->sql,
                                                      &field->from,
                                                      &field->topic };

    for (i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
        for (k = 0; k < templates[i]->n; k++) {
            if (templates[i]->pieces[k].kind == TRAVEL_GRAPHQL_PIECE_ARG
                && travel_str_eq(templates[i]->pieces[k].text, arg->name))
            {
                return true;
            }
        }
    }

    return false;
}


/* Conditions all the way down. */
static int
mapping_conditions(mapping_t *m, travel_graphql_map_arg_t *arg,
    unsigned depth)
{
    size_t                     i;
    travel_graphql_map_arg_t  *member;

    arg->filtered = true;

    for (i = 0; i < arg->nmembers; i++) {
        member = &arg->members[i];

        if (member->filter.n > 0) {
            continue;
        }

        if (member->nmembers == 0 || member->list
            || depth == TRAVEL_GRAPHQL_NESTED_MAX)
        {
            return mapping_fault(m, member->def, "\"%.*s\" of the input "
                                 "\"%.*s\" does nothing: give it a "
                                 "@filter(sql:)", S_(member->name),
                                 S_(arg->base));
        }

        TRY(mapping_conditions(m, member, depth + 1));
    }

    return TRAVEL_OK;
}


/* An argument that nothing uses would be ignored without a word. */
static int
mapping_used(mapping_t *m, const travel_graphql_map_field_t *field)
{
    size_t                     i;
    travel_graphql_map_arg_t  *arg;

    for (i = 0; i < field->nargs; i++) {
        arg = &field->args[i];

        if (arg->kind != TRAVEL_GRAPHQL_ARG_INPUT
            || field->kind == TRAVEL_GRAPHQL_MAP_COMMAND
            || mapping_named(field, arg))
        {
            continue;
        }

        if (arg->nmembers == 0 || arg->list) {
            return mapping_fault(m, arg->def, "the argument \"%.*s\" does "
                                 "nothing: give it a @filter(sql:), or use "
                                 "{$%.*s} in @sql or @from", S_(arg->name),
                                 S_(arg->name));
        }

        TRY(mapping_conditions(m, arg, 1));
    }

    return TRAVEL_OK;
}


/* What a template names must be there: it would be NULL without a word. */
static int
mapping_holes(mapping_t *m, const travel_graphql_map_field_t *field)
{
    size_t                            i, k;
    const travel_graphql_piece_t     *piece;
    const travel_graphql_template_t  *templates[] = { &field->sql,
                                                      &field->from,
                                                      &field->topic,
                                                      &field->may,
                                                      &field->tags };

    for (i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
        for (k = 0; k < templates[i]->n; k++) {
            piece = &templates[i]->pieces[k];

            if (piece->kind == TRAVEL_GRAPHQL_PIECE_ARG
                && travel_graphql_map_arg(field, piece->text) == NULL)
            {
                return mapping_fault(m, field->def, "{$%.*s} is no argument of "
                                     "\"%.*s\"", S_(piece->text),
                                     S_(field->name));
            }
        }
    }

    return TRAVEL_OK;
}


/* What an argument of that name says of a field's rows. */
static travel_graphql_arg_e
mapping_page(travel_graphql_map_e field, travel_str_t name)
{
    size_t  i;

    static const struct {
        travel_graphql_map_e  field;
        travel_str_t          name;
        travel_graphql_arg_e  kind;
    } words[] = {
        { TRAVEL_GRAPHQL_MAP_LIST, { "limit", 5 }, TRAVEL_GRAPHQL_ARG_LIMIT },
        { TRAVEL_GRAPHQL_MAP_CONNECTION, { "first", 5 },
          TRAVEL_GRAPHQL_ARG_LIMIT },
        { TRAVEL_GRAPHQL_MAP_CONNECTION, { "last", 4 },
          TRAVEL_GRAPHQL_ARG_LAST },
        { TRAVEL_GRAPHQL_MAP_CONNECTION, { "after", 5 },
          TRAVEL_GRAPHQL_ARG_AFTER },
        { TRAVEL_GRAPHQL_MAP_CONNECTION, { "before", 6 },
          TRAVEL_GRAPHQL_ARG_BEFORE }
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (words[i].field == field && travel_str_eq(words[i].name, name)) {
            return words[i].kind;
        }
    }

    return TRAVEL_GRAPHQL_ARG_INPUT;
}


/* It takes what its name promises; and what 'last' is by default would leave
 * 'first' without a meaning. */
static int
mapping_paged(mapping_t *m, const travel_graphql_map_arg_t *arg)
{
    bool  count;

    count = arg->kind == TRAVEL_GRAPHQL_ARG_LIMIT
            || arg->kind == TRAVEL_GRAPHQL_ARG_LAST;

    if (arg->list
        || (count ? !travel_str_eq(arg->base, TRAVEL_STR("Int"))
                  : !travel_str_eq(arg->base, TRAVEL_STR("String"))
                    && !travel_str_eq(arg->base, TRAVEL_STR("ID"))))
    {
        return mapping_fault(m, arg->def, "\"%.*s\" must be %s",
                             S_(arg->name), count ? "an Int, a number of rows"
                             : "a String, as the cursor of an edge is");
    }

    return arg->kind != TRAVEL_GRAPHQL_ARG_LAST
           || (arg->def->value == NULL && !arg->nonnull) ? TRAVEL_OK
           : mapping_fault(m, arg->def, "\"last\" must be an Int without a "
                           "default: a page is the first rows unless the last "
                           "ones are asked for");
}


int
mapping_args(mapping_t *m, const ast_t *def, travel_graphql_map_field_t *field)
{
    size_t                     n = 0;
    const ast_t               *node, *type;
    travel_graphql_map_arg_t  *arg;

    for (node = def->arguments; node != NULL; node = node->next) {
        n++;
    }

    field->args = travel_graphql_alloc(m->sdl, (n + 1) * sizeof(*field->args));
    if (field->args == NULL) {
        return TRAVEL_ERROR;
    }

    for (node = def->arguments; node != NULL; node = node->next) {
        arg = &field->args[field->nargs++];
        TRY(mapping_arg(m, node, arg));
        TRY(mapping_input(m, arg));

        if (arg->kind == TRAVEL_GRAPHQL_ARG_FILTER) {
            continue;
        }

        type = travel_graphql_map_definition(m, arg->base);

        arg->kind = mapping_page(field->kind, arg->name);

        if (arg->kind != TRAVEL_GRAPHQL_ARG_INPUT) {
            TRY(mapping_paged(m, arg));

        } else if ((field->kind == TRAVEL_GRAPHQL_MAP_LIST
                    || field->kind == TRAVEL_GRAPHQL_MAP_CONNECTION)
                   && type != NULL
                   && type->kind == TRAVEL_GRAPHQL_DEF_ENUM
                   && type->children != NULL
                   && mapping_directive(type->children, "order") != NULL)
        {
            arg->kind = TRAVEL_GRAPHQL_ARG_ORDER;
            TRY(mapping_choices(m, type, arg, &field->of->key));
        }
    }

    /* what introspection's fields take, its own code reads */

    if (field->owner->def->builtin) {
        return TRAVEL_OK;
    }

    TRY(mapping_holes(m, field));
    return mapping_used(m, field);
}
