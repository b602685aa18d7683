/* What the rules of documents and of schemas share.  See check.h. */

#include "check.h"

#include <stdio.h>
#include <stdlib.h>

typedef travel_graphql_ast_t    ast_t;
typedef travel_graphql_type_t   type_t;
typedef travel_graphql_check_t  check_t;
typedef travel_graphql_frame_t  frame_t;

#define CHECK_TYPE  TRAVEL_GRAPHQL_TYPE_TEXT


int
travel_graphql_check_init(check_t *c, const travel_graphql_schema_t *schema,
    travel_graphql_report_t *report, uint64_t max)
{
    memset(c, 0, sizeof(*c));
    c->schema = schema;
    c->report = report;
    c->max = max;

    return travel_graphql_names_init(&c->names);
}


void
travel_graphql_check_fini(check_t *c)
{
    travel_graphql_arena_free(&c->arena);
    travel_graphql_names_fini(&c->names);
    free(c->frames);
    free(c->usages);
}


bool
travel_graphql_check_work(check_t *c, uint64_t more)
{
    c->work += more;

    if (c->work <= c->max) {
        return true;
    }

    if (!c->report->exhausted) {
        c->report->exhausted = true;
        (void) travel_graphql_report(c->report, "The document is too "
                                     "complicated to be checked: its fragments "
                                     "and fields meet too often.");
    }

    return false;
}


/* --- names --------------------------------------------------------------- */

int
travel_graphql_check_unique(check_t *c, const ast_t *list, const void *scope,
    const char *what)
{
    void                     **value;
    ast_t                     *first;
    const ast_t               *node;
    travel_graphql_mistake_t  *mistake;

    if (list == NULL || list->next == NULL) {
        return TRAVEL_OK;
    }

    for (node = list; node != NULL; node = node->next) {
        TRY(travel_graphql_names_put(&c->names, scope, node->name, &value));
        first = *value;

        if (first == NULL) {
            *value = (void *) node;
            continue;
        }

        /* 'mark' is the number of the mistake that has the others */

        if (first->mark != 0) {
            mistake = &c->report->items[first->mark - 1];

        } else {
            mistake = travel_graphql_report(c->report, "There can be only one "
                                            "%s named \"%.*s\".", what,
                                            N_(node->name));
            if (mistake == NULL) {
                continue;
            }

            first->mark = (uint32_t) c->report->n;
            travel_graphql_report_at_name(mistake, first);
        }

        travel_graphql_report_at_name(mistake, node);
    }

    return TRAVEL_OK;
}


/* --- literals ------------------------------------------------------------ */

static int
check_push(check_t *c, size_t *n, const frame_t *frame)
{
    TRY(travel_graphql_grow((void **) &c->frames, &c->frames_room, *n,
                            sizeof(*c->frames)));
    c->frames[(*n)++] = *frame;
    return TRAVEL_OK;
}


static int
check_usage(check_t *c, const ast_t *variable, const ast_t *type,
    const type_t *one_of, bool fallback)
{
    travel_graphql_usage_t  *usage;

    TRY(travel_graphql_grow((void **) &c->usages, &c->usages_room, c->nusages,
                            sizeof(*c->usages)));
    usage = &c->usages[c->nusages++];
    usage->variable = variable;
    usage->type = type;
    usage->one_of = one_of;
    usage->fallback = fallback;
    return TRAVEL_OK;
}


static bool
check_is(const type_t *type, const char *name)
{
    return type->name.len == strlen(name)
           && memcmp(type->name.data, name, type->name.len) == 0;
}


static bool
check_int32(travel_str_t text)
{
    char       buf[16];
    long long  v;

    if (text.len > 12) {
        return false;
    }

    snprintf(buf, sizeof(buf), "%.*s", S_(text));
    v = strtoll(buf, NULL, 10);
    return v == (int32_t) v;
}


/* Is a literal, no variable and no null, one of a scalar or an enum?  Scalars
 * of a schema's own take what they like. */
static bool
check_leaf(const check_t *c, const type_t *type, const ast_t *value)
{
    bool  number = value->kind == TRAVEL_GRAPHQL_INT;

    if (type->kind == TRAVEL_GRAPHQL_DEF_ENUM) {
        return value->kind == TRAVEL_GRAPHQL_ENUM
               && travel_graphql_schema_member(c->schema, type, value->text)
                  != NULL;
    }

    if (check_is(type, "Int")) {
        return number && check_int32(value->text);
    }

    if (check_is(type, "Float")) {
        return number || value->kind == TRAVEL_GRAPHQL_FLOAT;
    }

    if (check_is(type, "ID")) {
        return number || value->kind == TRAVEL_GRAPHQL_STRING;
    }

    if (check_is(type, "String")) {
        return value->kind == TRAVEL_GRAPHQL_STRING;
    }

    if (check_is(type, "Boolean")) {
        return value->kind == TRAVEL_GRAPHQL_BOOLEAN;
    }

    return (type->format == NULL && !type->whole)
           || ((number || value->kind == TRAVEL_GRAPHQL_STRING)
               && travel_graphql_scalar_takes(type, value->text, !number));
}


/* As it is written, or what kind of thing it is. */
static travel_str_t
check_found(const ast_t *value)
{
    switch (value->kind) {

    case TRAVEL_GRAPHQL_LIST:    return TRAVEL_STR("a list");
    case TRAVEL_GRAPHQL_OBJECT:  return TRAVEL_STR("an object");
    case TRAVEL_GRAPHQL_STRING:  return TRAVEL_STR("a string");
    case TRAVEL_GRAPHQL_NULL:    return TRAVEL_STR("null");
    default:                     return value->text;
    }
}


static void
check_expected(check_t *c, const ast_t *type, const ast_t *value)
{
    char          text[CHECK_TYPE];
    travel_str_t  found = check_found(value);

    travel_graphql_report_at(
        travel_graphql_report(c->report, "Expected value of type \"%s\", found "
                              "%.*s.", travel_graphql_type_text(type, text),
                              N_(found)), value);
}


/* Exactly one member, and not null (section 5.6.5). */
static void
check_one_of(check_t *c, const type_t *type, const ast_t *value)
{
    const ast_t  *member = value->children, *other = member;

    /* of a name that is there twice, which is told, the last counts */

    while (other != NULL && travel_str_eq(other->name, member->name)) {
        member = other;
        other = other->next;
    }

    if (member == NULL || other != NULL) {
        travel_graphql_report_at(
            travel_graphql_report(c->report, "OneOf Input Object \"%.*s\" must "
                                  "specify exactly one key.", N_(type->name)),
            value);

    } else if (member->value->kind == TRAVEL_GRAPHQL_NULL) {
        travel_graphql_report_at(
            travel_graphql_report(c->report, "Field \"%.*s.%.*s\" must be "
                                  "non-null.", N_(type->name),
                                  N_(member->name)), value);
    }
}


/* The object as a whole; its members are looked at one by one later. */
static int
check_object(check_t *c, const type_t *input, const ast_t *value)
{
    char          text[CHECK_TYPE];
    void        **known;
    const ast_t  *field, *member;

    for (member = value->children; member != NULL; member = member->next) {
        TRY(travel_graphql_names_put(&c->names, value, member->name, &known));

        if (*known != NULL) {
            travel_graphql_mistake_t  *mistake;

            mistake = travel_graphql_report(c->report, "There can be only one "
                                            "input field named \"%.*s\".",
                                            N_(member->name));
            travel_graphql_report_at_name(mistake, *known);
            travel_graphql_report_at_name(mistake, member);
        }

        *known = *known == NULL ? (void *) member : *known;
    }

    if (input == NULL) {
        return TRAVEL_OK;
    }

    for (field = input->def->children; field != NULL; field = field->next) {

        if (!travel_graphql_is_required(field)
            || travel_graphql_names_get(&c->names, value, field->name) != NULL)
        {
            continue;
        }

        travel_graphql_report_at(
            travel_graphql_report(c->report, "Field \"%.*s.%.*s\" of required "
                                  "type \"%s\" was not provided.",
                                  N_(input->name), N_(field->name),
                                  travel_graphql_type_text(field->type, text)),
            value);
    }

    if (input->one_of) {
        check_one_of(c, input, value);
    }

    return TRAVEL_OK;
}


/* A list or an object where 'type' is expected. */
static int
check_container(check_t *c, const ast_t *value, const ast_t *type, bool quiet,
    size_t *n)
{
    frame_t        frame = { .at = value->children, .quiet = quiet };
    const ast_t   *inner = type;
    const type_t  *base;

    base = type != NULL ? travel_graphql_base(type)->of : NULL;

    if (inner != NULL && inner->kind == TRAVEL_GRAPHQL_TYPE_NONNULL) {
        inner = inner->type;
    }

    if (value->kind == TRAVEL_GRAPHQL_LIST) {
        frame.type = inner;
        frame.input = base;

        if (inner != NULL && inner->kind == TRAVEL_GRAPHQL_TYPE_LIST) {
            frame.type = inner->type;
            frame.input = NULL;
            return check_push(c, n, &frame);
        }

    } else {
        frame.members = true;

        if (base != NULL && base->kind == TRAVEL_GRAPHQL_DEF_INPUT) {
            frame.input = base;
        }

        TRY(check_object(c, quiet ? NULL : frame.input, value));

        if (frame.input != NULL) {
            return check_push(c, n, &frame);
        }
    }

    if (base != NULL && !quiet
        && (!travel_graphql_is_leaf(base) || !check_leaf(c, base, value)))
    {
        check_expected(c, type, value);
    }

    frame.quiet = true;
    return check_push(c, n, &frame);
}


static int
check_one(check_t *c, const ast_t *value, const ast_t *type,
    const type_t *one_of, bool fallback, bool quiet, size_t *n)
{
    const type_t  *base;

    if (value->kind == TRAVEL_GRAPHQL_VARIABLE) {
        return check_usage(c, value, type, one_of, fallback);
    }

    if (value->kind == TRAVEL_GRAPHQL_LIST
        || value->kind == TRAVEL_GRAPHQL_OBJECT)
    {
        return check_container(c, value, type, quiet, n);
    }

    base = type != NULL && !quiet ? travel_graphql_base(type)->of : NULL;

    if (base == NULL) {
        return TRAVEL_OK;
    }

    if (value->kind == TRAVEL_GRAPHQL_NULL
        ? type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL
        : !travel_graphql_is_leaf(base) || !check_leaf(c, base, value))
    {
        check_expected(c, type, value);
    }

    return TRAVEL_OK;
}


static const type_t *
check_one_of_type(const frame_t *frame)
{
    return frame->input != NULL && frame->input->one_of ? frame->input : NULL;
}


/* The next member of an input object. */
static int
check_member(check_t *c, const frame_t *frame, size_t *n)
{
    const ast_t  *def = NULL;

    if (frame->input != NULL) {
        def = travel_graphql_schema_member(c->schema, frame->input,
                                           frame->at->name);

        if (def == NULL && !frame->quiet) {
            travel_graphql_report_at(
                travel_graphql_report(c->report, "Field \"%.*s\" is not "
                                      "defined by type \"%.*s\".",
                                      N_(frame->at->name),
                                      N_(frame->input->name)), frame->at);
        }
    }

    return check_one(c, frame->at->value, def != NULL ? def->type : NULL,
                     check_one_of_type(frame),
                     def != NULL && def->value != NULL, frame->quiet, n);
}


/* By a stack of what is left: literals nest as deep as they like. */
int
travel_graphql_check_value(check_t *c, const ast_t *value, const ast_t *type,
    bool fallback)
{
    size_t   n = 0;
    frame_t  frame;

    TRY(check_one(c, value, type, NULL, fallback, false, &n));

    while (n > 0) {
        frame = c->frames[n - 1];

        if (frame.at == NULL) {
            n--;
            continue;
        }

        c->frames[n - 1].at = frame.at->next;

        if (frame.members) {
            TRY(check_member(c, &frame, &n));
        } else {
            TRY(check_one(c, frame.at, frame.type, check_one_of_type(&frame),
                          false, frame.quiet, &n));
        }
    }

    return TRAVEL_OK;
}


/* --- arguments ----------------------------------------------------------- */

int
travel_graphql_check_arguments(check_t *c, const ast_t *owner,
    const ast_t *def, const char *sigil)
{
    char          text[CHECK_TYPE];
    const ast_t  *arg, *wanted;

    TRY(travel_graphql_check_unique(c, owner->arguments, &owner->arguments,
                                    "argument"));

    for (arg = owner->arguments; arg != NULL; arg = arg->next) {
        wanted = def != NULL
                 ? travel_graphql_schema_argument(c->schema, def, arg->name)
                 : NULL;

        if (def != NULL && wanted == NULL) {
            travel_graphql_report_at(
                travel_graphql_report(c->report, "Unknown argument \"%.*s\" on "
                                      "\"%s%.*s\".", N_(arg->name), sigil,
                                      N_(owner->name)), arg);
        }

        TRY(travel_graphql_check_value(c, arg->value,
                                       wanted != NULL && !c->untyped
                                       ? wanted->type : NULL,
                                       wanted != NULL
                                       && wanted->value != NULL));
    }

    for (wanted = def != NULL ? def->arguments : NULL; wanted != NULL;
         wanted = wanted->next)
    {
        if (!travel_graphql_is_required(wanted)
            || travel_graphql_find(owner->arguments, wanted->name) != NULL)
        {
            continue;
        }

        travel_graphql_report_at(
            travel_graphql_report(c->report, "Argument \"%.*s\" of type \"%s\" "
                                  "is required by \"%s%.*s\", but it was not "
                                  "provided.", N_(wanted->name),
                                  travel_graphql_type_text(wanted->type, text),
                                  sigil, N_(owner->name)), owner);
    }

    return TRAVEL_OK;
}


/* --- directives ---------------------------------------------------------- */

static int
check_directive(check_t *c, const ast_t *directive, const ast_t *def,
    travel_graphql_location_e location, const void *scope)
{
    void                     **first;
    travel_graphql_mistake_t  *mistake;

    if (def == NULL) {
        travel_graphql_report_at(
            travel_graphql_report(c->report, "Unknown directive \"@%.*s\".",
                                  N_(directive->name)), directive);
        return TRAVEL_OK;
    }

    if ((def->mark & (1u << location)) == 0) {
        travel_graphql_report_at(
            travel_graphql_report(c->report, "Directive \"@%.*s\" may not be "
                                  "used on %s.", N_(directive->name),
                                  travel_graphql_location(location)),
            directive);
    }

    if (def->repeatable) {
        return TRAVEL_OK;
    }

    TRY(travel_graphql_names_put(&c->names, scope, directive->name, &first));

    if (*first == NULL) {
        *first = (void *) directive;
        return TRAVEL_OK;
    }

    mistake = travel_graphql_report(c->report, "The directive \"@%.*s\" can "
                                    "only be used once here.",
                                    N_(directive->name));
    travel_graphql_report_at(mistake, *first);
    travel_graphql_report_at(mistake, directive);

    return TRAVEL_OK;
}


int
travel_graphql_check_directives(check_t *c, const ast_t *list,
    travel_graphql_location_e location, const void *scope)
{
    const ast_t  *directive, *def;

    for (directive = list; directive != NULL; directive = directive->next) {
        def = travel_graphql_schema_directive(c->schema, directive->name);

        TRY(check_directive(c, directive, def, location,
                            scope != NULL ? scope : &list->directives));
        TRY(travel_graphql_check_arguments(c, directive, def, "@"));
    }

    return TRAVEL_OK;
}
