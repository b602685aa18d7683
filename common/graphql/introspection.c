/*
 * __schema and __type.  See introspection.h.
 *
 * The planner has made a tree of what is asked (its types are definitions like
 * any other's); here each node is answered from the schema's own tree.  The
 * recursion is as deep as that of the nodes, TRAVEL_GRAPHQL_DEPTH_MAX.
 */

#include "introspection.h"
#include "sdl.h"

#include <stdlib.h>

typedef travel_graphql_ast_t   ast_t;
typedef travel_graphql_node_t  node_t;
typedef travel_graphql_text_t  text_t;

/* What a selection is about: NULL is null. */
typedef struct {
    const ast_t  *ref;        /* a type as it is written, or ... */
    const ast_t  *def;        /* ... a definition, a field, a value */
} about_t;

typedef struct {
    const travel_graphql_plan_t       *plan;
    const travel_graphql_variables_t  *variables;
    const ast_t                       *definitions;
    text_t                            *out;
} meta_t;

static void meta_object(meta_t *m, const node_t *first, about_t about,
    void (*field)(meta_t *m, const node_t *node, about_t about));
static void meta_type(meta_t *m, const node_t *node, about_t about);

#define puts_(m, s)  travel_graphql_text_puts((m)->out, s)


static bool
meta_is(travel_str_t name, const char *word)
{
    return name.len == strlen(word) && memcmp(name.data, word, name.len) == 0;
}


static void
meta_string(meta_t *m, travel_str_t s)
{
    char    *quoted;
    size_t   n;

    if (s.len == 0) {
        puts_(m, "null");
        return;
    }

    quoted = malloc(6 * s.len + 2);
    if (quoted == NULL) {
        m->out->failed = true;
        return;
    }

    n = travel_json_quote(quoted, s);
    travel_graphql_text_add(m->out, (travel_str_t) { quoted, n });
    free(quoted);
}


static void
meta_bool(meta_t *m, bool v)
{
    puts_(m, v ? "true" : "false");
}


/* --- directives of definitions ------------------------------------------- */

static travel_str_t
meta_argument(const ast_t *def, const char *directive, const char *argument,
    const char *fallback)
{
    const ast_t  *d, *arg;

    d = travel_graphql_find(def->directives,
                            (travel_str_t) { directive, strlen(directive) });
    if (d == NULL) {
        return TRAVEL_NULL_STR;
    }

    arg = travel_graphql_argument(d, argument);

    return arg != NULL ? arg->value->text
                       : (travel_str_t) { fallback, strlen(fallback) };
}


static travel_str_t
meta_reason(const ast_t *def)
{
    return meta_argument(def, "deprecated", "reason", "No longer supported");
}


/* The argument includeDeprecated of a node. */
static bool
meta_all(meta_t *m, const node_t *node)
{
    travel_str_t  text;

    return node->field->nargs > 0 && node->given[0].given
           && travel_graphql_value(m->plan, &node->given[0].value,
                                   m->variables, NULL, NULL, &text)
              == TRAVEL_OK
           && meta_is(text, "true");
}


/* --- lists --------------------------------------------------------------- */

static void
meta_list(meta_t *m, const node_t *node, const ast_t *list, bool all,
    void (*field)(meta_t *m, const node_t *node, about_t about))
{
    bool  first = true;

    puts_(m, "[");

    for ( /* void */ ; list != NULL; list = list->next) {

        if (!all && meta_reason(list).len > 0) {
            continue;
        }

        puts_(m, first ? "" : ",");
        first = false;
        meta_object(m, node->children,
                    list->kind == TRAVEL_GRAPHQL_TYPE_NAMED
                    ? (about_t) { .ref = list } : (about_t) { .def = list },
                    field);
    }

    puts_(m, "]");
}


/* --- __InputValue, __EnumValue, __Field ---------------------------------- */

static void meta_member(meta_t *m, const node_t *node, about_t about);


static void
meta_member(meta_t *m, const node_t *node, about_t about)
{
    text_t        text = { 0 };
    const ast_t  *def = about.def;
    travel_str_t  name = node->field->name;

    if (meta_is(name, "name")) {
        meta_string(m, def->name);

    } else if (meta_is(name, "description")) {
        meta_string(m, def->description);

    } else if (meta_is(name, "type")) {
        meta_object(m, node->children, (about_t) { .ref = def->type },
                    meta_type);

    } else if (meta_is(name, "args")) {
        meta_list(m, node, def->arguments, meta_all(m, node), meta_member);

    } else if (meta_is(name, "isDeprecated")) {
        meta_bool(m, meta_reason(def).len > 0);

    } else if (meta_is(name, "deprecationReason")) {
        meta_string(m, meta_reason(def));

    } else if (meta_is(name, "defaultValue") && def->value != NULL) {
        travel_graphql_sdl_value(def->value, &text);
        meta_string(m, (travel_str_t) { text.data, text.len });
        m->out->failed |= text.failed;
        travel_graphql_text_free(&text);

    } else {
        puts_(m, "null");
    }
}


/* --- __Type -------------------------------------------------------------- */

static const char *
meta_kind(const about_t *about)
{
    if (about->ref != NULL && about->ref->kind == TRAVEL_GRAPHQL_TYPE_LIST) {
        return "\"LIST\"";
    }

    if (about->ref != NULL && about->ref->kind == TRAVEL_GRAPHQL_TYPE_NONNULL)
    {
        return "\"NON_NULL\"";
    }

    switch (about->def->kind) {

    case TRAVEL_GRAPHQL_DEF_OBJECT:    return "\"OBJECT\"";
    case TRAVEL_GRAPHQL_DEF_INTERFACE: return "\"INTERFACE\"";
    case TRAVEL_GRAPHQL_DEF_UNION:     return "\"UNION\"";
    case TRAVEL_GRAPHQL_DEF_ENUM:      return "\"ENUM\"";
    case TRAVEL_GRAPHQL_DEF_INPUT:     return "\"INPUT_OBJECT\"";
    default:                           return "\"SCALAR\"";
    }
}


/* The objects that implement an interface. */
static void
meta_implementers(meta_t *m, const node_t *node, const ast_t *interface)
{
    bool          first = true;
    const ast_t  *def;

    puts_(m, "[");

    for (def = m->definitions; def != NULL; def = def->next) {
        if (def->kind == TRAVEL_GRAPHQL_DEF_OBJECT
            && travel_graphql_find(def->implements, interface->name) != NULL)
        {
            puts_(m, first ? "" : ",");
            first = false;
            meta_object(m, node->children, (about_t) { .def = def },
                        meta_type);
        }
    }

    puts_(m, "]");
}


/* Lists of a definition, null where the kind has none. */
static void
meta_type_list(meta_t *m, const node_t *node, const ast_t *def)
{
    travel_str_t          name = node->field->name;
    travel_graphql_ast_e  kind = def->kind;
    bool                  object = kind == TRAVEL_GRAPHQL_DEF_OBJECT
                                   || kind == TRAVEL_GRAPHQL_DEF_INTERFACE;

    if (meta_is(name, "fields") && object) {
        meta_list(m, node, def->children, meta_all(m, node), meta_member);

    } else if (meta_is(name, "interfaces") && object) {
        meta_list(m, node, def->implements, true, meta_type);

    } else if (meta_is(name, "possibleTypes")
               && kind == TRAVEL_GRAPHQL_DEF_UNION)
    {
        meta_list(m, node, def->implements, true, meta_type);

    } else if (meta_is(name, "possibleTypes")
               && kind == TRAVEL_GRAPHQL_DEF_INTERFACE)
    {
        meta_implementers(m, node, def);

    } else if ((meta_is(name, "enumValues") && kind == TRAVEL_GRAPHQL_DEF_ENUM)
               || (meta_is(name, "inputFields")
                   && kind == TRAVEL_GRAPHQL_DEF_INPUT))
    {
        meta_list(m, node, def->children, meta_all(m, node), meta_member);

    } else {
        puts_(m, "null");
    }
}


static void
meta_type(meta_t *m, const node_t *node, about_t about)
{
    bool          wrapper = about.ref != NULL
                            && about.ref->kind != TRAVEL_GRAPHQL_TYPE_NAMED;
    travel_str_t  name = node->field->name;

    if (meta_is(name, "kind")) {
        puts_(m, meta_kind(&about));

    } else if (meta_is(name, "ofType") && wrapper) {
        meta_object(m, node->children, (about_t) { .ref = about.ref->type },
                    meta_type);

    } else if (wrapper) {
        puts_(m, "null");

    } else if (meta_is(name, "name")) {
        meta_string(m, about.def->name);

    } else if (meta_is(name, "description")) {
        meta_string(m, about.def->description);

    } else if (meta_is(name, "specifiedByURL")) {
        meta_string(m, meta_argument(about.def, "specifiedBy", "url", ""));

    } else if (meta_is(name, "isOneOf")
               && about.def->kind == TRAVEL_GRAPHQL_DEF_INPUT)
    {
        meta_bool(m, travel_graphql_find(about.def->directives,
                                         TRAVEL_STR("oneOf")) != NULL);

    } else {
        meta_type_list(m, node, about.def);
    }
}


/* --- __Directive, __Schema ----------------------------------------------- */

static void
meta_directive(meta_t *m, const node_t *node, about_t about)
{
    const ast_t   *at;
    travel_str_t   name = node->field->name;

    if (meta_is(name, "isRepeatable")) {
        meta_bool(m, about.def->repeatable);

    } else if (meta_is(name, "locations")) {
        puts_(m, "[");

        for (at = about.def->implements; at != NULL; at = at->next) {
            puts_(m, at == about.def->implements ? "" : ",");
            meta_string(m, at->name);
        }

        puts_(m, "]");

    } else {
        meta_member(m, node, about);
    }
}


/* Types, or the directives that mean something to clients. */
static void
meta_definitions(meta_t *m, const node_t *node, bool directives)
{
    bool          first = true;
    const ast_t  *def;

    puts_(m, "[");

    for (def = m->definitions; def != NULL; def = def->next) {

        if (def->extend || def->kind == TRAVEL_GRAPHQL_DEF_SCHEMA
            || (def->kind == TRAVEL_GRAPHQL_DEF_DIRECTIVE) != directives
            || (directives && !def->builtin))
        {
            continue;
        }

        puts_(m, first ? "" : ",");
        first = false;
        meta_object(m, node->children, (about_t) { .def = def },
                    directives ? meta_directive : meta_type);
    }

    puts_(m, "]");
}


static void
meta_schema(meta_t *m, const node_t *node, about_t about)
{
    size_t                            i;
    travel_str_t                      name = node->field->name;
    const travel_graphql_map_type_t  *root;

    static const char *const  roots[] = { "queryType", "mutationType",
                                          "subscriptionType" };

    (void) about;

    if (meta_is(name, "types") || meta_is(name, "directives")) {
        meta_definitions(m, node, meta_is(name, "directives"));
        return;
    }

    for (i = 0; i < 3; i++) {
        root = travel_graphql_map_root(m->plan->mapping,
                                       (travel_graphql_op_e) i);

        if (meta_is(name, roots[i]) && root != NULL) {
            meta_object(m, node->children, (about_t) { .def = root->def },
                        meta_type);
            return;
        }
    }

    puts_(m, "null");
}


/* --- objects ------------------------------------------------------------- */

static void
meta_object(meta_t *m, const node_t *first, about_t about,
    void (*field)(meta_t *m, const node_t *node, about_t about))
{
    const node_t  *node;

    /* a type by its name */

    if (about.ref != NULL && about.ref->kind == TRAVEL_GRAPHQL_TYPE_NAMED) {
        about.def = travel_graphql_map_definition(m->plan->mapping,
                                                  about.ref->name);
    }

    if (about.def == NULL
        && (about.ref == NULL || about.ref->kind == TRAVEL_GRAPHQL_TYPE_NAMED))
    {
        puts_(m, "null");
        return;
    }

    puts_(m, "{");

    for (node = first; node != NULL; node = node->next) {
        puts_(m, node == first ? "" : ",");
        meta_string(m, node->key);
        puts_(m, ":");

        if (node->kind == TRAVEL_GRAPHQL_NODE_TYPENAME) {
            meta_string(m, node->type);
        } else {
            field(m, node, about);
        }
    }

    puts_(m, "}");
}


void
travel_graphql_introspect(const travel_graphql_plan_t *plan,
    const travel_graphql_node_t *node,
    const travel_graphql_variables_t *variables, travel_graphql_text_t *out)
{
    meta_t        m = { .plan = plan, .variables = variables, .out = out };
    about_t       about = { 0 };
    travel_str_t  name = TRAVEL_NULL_STR;

    m.definitions = travel_graphql_definitions(
                        travel_graphql_map_document(plan->mapping));

    if (node->given == NULL) {
        about.def = travel_graphql_map_root(plan->mapping,
                                            TRAVEL_GRAPHQL_QUERY)->def;
        meta_object(&m, node->children, about, meta_schema);
        return;
    }

    if (travel_graphql_value(plan, &node->given->value, variables, NULL, NULL,
                             &name) == TRAVEL_OK && name.data != NULL)
    {
        about.def = travel_graphql_map_definition(plan->mapping, name);
    }

    meta_object(&m, node->children, about, meta_type);
}
