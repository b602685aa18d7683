/*
 * GraphQL text into a tree.  See document.h.
 *
 * Selections and values nest as deep as the text likes: both are read in a
 * loop that goes down and up by the nodes' own 'parent'.
 */

#include "arena.h"
#include "builtin.h"
#include "document.h"
#include "lexer.h"
#include "steps.h"

#include <stdlib.h>

#define PARSER_TYPE_MAX   16          /* lists in lists, of a type */

struct travel_graphql_document_s {
    travel_graphql_arena_t  arena;
    travel_graphql_ast_t    root;       /* its children: the definitions */
    size_t                  nodes;
    size_t                  max;
    char                   *owned;      /* the source, if it is ours */
};

typedef struct {
    travel_graphql_lexer_t      lexer;
    travel_graphql_document_t  *document;
} parser_t;

typedef travel_graphql_ast_t  ast_t;


/* --- memory and tokens --------------------------------------------------- */

void *
travel_graphql_alloc(travel_graphql_document_t *document, size_t size)
{
    return travel_graphql_arena_alloc(&document->arena, size);
}


static int
parser_node(parser_t *p, travel_graphql_ast_e kind, ast_t **ret_node)
{
    ast_t  *node;

    if (p->document->nodes++ >= p->document->max) {
        p->lexer.fault->bound = true;
        return travel_graphql_lexer_fault(&p->lexer, "Syntax Error: The "
                                          "document is too large.");
    }

    node = travel_graphql_alloc(p->document, sizeof(*node));
    if (node == NULL) {
        return TRAVEL_ERROR;
    }

    node->kind = kind;
    node->line = p->lexer.at_line;
    node->column = p->lexer.at_column;
    *ret_node = node;
    return TRAVEL_OK;
}


static void
parser_append(ast_t *parent, ast_t *node)
{
    if (parent->last != NULL) {
        parent->last->next = node;
    } else {
        parent->children = node;
    }

    parent->last = node;
}


static bool
parser_punct(const parser_t *p, const char *punct)
{
    return p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_PUNCT
           && p->lexer.text.len == strlen(punct)
           && memcmp(p->lexer.text.data, punct, p->lexer.text.len) == 0;
}


static bool
parser_word(const parser_t *p, const char *word)
{
    return p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_NAME
           && p->lexer.text.len == strlen(word)
           && memcmp(p->lexer.text.data, word, p->lexer.text.len) == 0;
}


static int
parser_next(parser_t *p)
{
    return travel_graphql_lexer_next(&p->lexer);
}


static int
parser_unexpected(parser_t *p, const char *expected)
{
    int  n = p->lexer.text.len > 40 ? 40 : (int) p->lexer.text.len;

    if (p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_END) {
        return travel_graphql_lexer_fault(&p->lexer, "Syntax Error: Expected "
                                          "%s, found <EOF>.", expected);
    }

    return travel_graphql_lexer_fault(&p->lexer, "Syntax Error: Expected %s, "
                                      "found \"%.*s\".", expected, n,
                                      p->lexer.text.data);
}


static int
parser_expect(parser_t *p, const char *punct)
{
    if (!parser_punct(p, punct)) {
        char  quoted[8] = "\"";

        strcat(quoted, punct);
        strcat(quoted, "\"");
        return parser_unexpected(p, quoted);
    }

    return parser_next(p);
}


/* Takes a token if it is this one. */
static int
parser_skip(parser_t *p, const char *punct, bool *ret_was)
{
    *ret_was = parser_punct(p, punct);

    return *ret_was ? parser_next(p) : TRAVEL_OK;
}


static int
parser_name(parser_t *p, travel_str_t *ret_name)
{
    if (p->lexer.kind != TRAVEL_GRAPHQL_TOKEN_NAME) {
        return parser_unexpected(p, "Name");
    }

    *ret_name = p->lexer.text;
    return parser_next(p);
}


/* The node's own name, and where it is. */
static int
parser_named(parser_t *p, ast_t *node)
{
    node->name_line = p->lexer.at_line;
    node->name_column = p->lexer.at_column;

    return parser_name(p, &node->name);
}


static int
parser_text(parser_t *p, travel_str_t *ret_text)
{
    char    *dst;
    size_t   len;

    if (!p->lexer.escaped) {
        *ret_text = p->lexer.text;
        return parser_next(p);
    }

    dst = travel_graphql_alloc(p->document, p->lexer.text.len + 1);
    if (dst == NULL) {
        return TRAVEL_ERROR;
    }

    len = travel_graphql_lexer_decode(&p->lexer, dst);
    if (len == SIZE_MAX) {
        return TRAVEL_INVALID;
    }

    *ret_text = (travel_str_t) { dst, len };
    return parser_next(p);
}


static bool
parser_string(const parser_t *p)
{
    return p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_STRING
           || p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_BLOCK;
}


/* --- values -------------------------------------------------------------- */

/* One value without what is inside of it. */
static int
parser_value_head(parser_t *p, bool constant, ast_t **ret_value)
{
    ast_t  *v;

    TRY(parser_node(p, TRAVEL_GRAPHQL_NULL, &v));
    *ret_value = v;
    v->text = p->lexer.text;

    if (parser_string(p)) {
        v->kind = TRAVEL_GRAPHQL_STRING;
        v->block = p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_BLOCK;
        return parser_text(p, &v->text);
    }

    if (parser_punct(p, "$") && !constant) {
        v->kind = TRAVEL_GRAPHQL_VARIABLE;
        TRY(parser_next(p));
        return parser_named(p, v);
    }

    if (parser_punct(p, "[")) {
        v->kind = TRAVEL_GRAPHQL_LIST;

    } else if (parser_punct(p, "{")) {
        v->kind = TRAVEL_GRAPHQL_OBJECT;

    } else if (p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_INT) {
        v->kind = TRAVEL_GRAPHQL_INT;

    } else if (p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_FLOAT) {
        v->kind = TRAVEL_GRAPHQL_FLOAT;

    } else if (p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_NAME) {
        v->kind = parser_word(p, "null") ? TRAVEL_GRAPHQL_NULL
                  : parser_word(p, "true") || parser_word(p, "false")
                    ? TRAVEL_GRAPHQL_BOOLEAN : TRAVEL_GRAPHQL_ENUM;

    } else {
        return parser_unexpected(p, "a value");
    }

    return parser_next(p);
}


static int
parser_value(parser_t *p, bool constant, ast_t **ret_value)
{
    bool    closed;
    ast_t  *v, *cur, *member;

    TRY(parser_value_head(p, constant, &v));
    *ret_value = v;
    cur = v->kind == TRAVEL_GRAPHQL_LIST || v->kind == TRAVEL_GRAPHQL_OBJECT
          ? v : NULL;

    while (cur != NULL) {

        TRY(parser_skip(p, cur->kind == TRAVEL_GRAPHQL_LIST ? "]" : "}",
                        &closed));

        if (closed) {
            cur = cur->parent;
            continue;
        }

        member = NULL;

        if (cur->kind == TRAVEL_GRAPHQL_OBJECT) {
            TRY(parser_node(p, TRAVEL_GRAPHQL_ARGUMENT, &member));
            TRY(parser_named(p, member));
            TRY(parser_expect(p, ":"));
            parser_append(cur, member);
        }

        TRY(parser_value_head(p, constant, &v));

        if (member != NULL) {
            member->value = v;
        } else {
            parser_append(cur, v);
        }

        if (v->kind == TRAVEL_GRAPHQL_LIST || v->kind == TRAVEL_GRAPHQL_OBJECT)
        {
            v->parent = cur;
            cur = v;
        }
    }

    return TRAVEL_OK;
}


static int
parser_type(parser_t *p, ast_t **ret_type)
{
    bool      was;
    ast_t    *type, *outer, *lists[PARSER_TYPE_MAX];
    unsigned  n = 0;

    while (parser_punct(p, "[")) {

        if (n == PARSER_TYPE_MAX) {
            p->lexer.fault->bound = true;
            return travel_graphql_lexer_fault(&p->lexer, "Syntax Error: A "
                                              "type nests too deep.");
        }

        TRY(parser_node(p, TRAVEL_GRAPHQL_TYPE_LIST, &lists[n++]));
        TRY(parser_next(p));
    }

    TRY(parser_node(p, TRAVEL_GRAPHQL_TYPE_NAMED, &type));
    TRY(parser_named(p, type));

    for ( ;; ) {
        TRY(parser_skip(p, "!", &was));

        if (was) {
            TRY(parser_node(p, TRAVEL_GRAPHQL_TYPE_NONNULL, &outer));
            outer->line = type->line;
            outer->column = type->column;
            outer->type = type;
            type = outer;
        }

        if (n == 0) {
            break;
        }

        TRY(parser_expect(p, "]"));
        outer = lists[--n];
        outer->type = type;
        type = outer;
    }

    *ret_type = type;
    return TRAVEL_OK;
}


/* --- arguments and directives -------------------------------------------- */

static int
parser_arguments(parser_t *p, bool constant, ast_t **list)
{
    bool    was;
    ast_t  *arg, **tail = list;

    TRY(parser_skip(p, "(", &was));

    while (was) {
        TRY(parser_node(p, TRAVEL_GRAPHQL_ARGUMENT, &arg));
        TRY(parser_named(p, arg));
        TRY(parser_expect(p, ":"));
        TRY(parser_value(p, constant, &arg->value));
        *tail = arg;
        tail = &arg->next;

        if (parser_punct(p, ")")) {
            return parser_next(p);
        }
    }

    return TRAVEL_OK;
}


static int
parser_directives(parser_t *p, bool constant, ast_t **list)
{
    ast_t  *directive, **tail = list;

    while (parser_punct(p, "@")) {
        TRY(parser_node(p, TRAVEL_GRAPHQL_DIRECTIVE, &directive));
        TRY(parser_next(p));
        TRY(parser_named(p, directive));
        TRY(parser_arguments(p, constant, &directive->arguments));
        *tail = directive;
        tail = &directive->next;
    }

    return TRAVEL_OK;
}


/* --- operations ---------------------------------------------------------- */

static int
parser_field(parser_t *p, ast_t *field)
{
    bool  was;

    TRY(parser_named(p, field));
    TRY(parser_skip(p, ":", &was));

    if (was) {
        field->alias = field->name;
        TRY(parser_named(p, field));
    }

    TRY(parser_arguments(p, false, &field->arguments));

    return parser_directives(p, false, &field->directives);
}


/* A field, a spread or an inline fragment, up to its selections. */
static int
parser_selection(parser_t *p, ast_t **ret_node)
{
    bool    was;
    ast_t  *node;

    TRY(parser_node(p, TRAVEL_GRAPHQL_FIELD, &node));
    *ret_node = node;
    TRY(parser_skip(p, "...", &was));

    if (!was) {
        return parser_field(p, node);
    }

    node->kind = TRAVEL_GRAPHQL_INLINE;

    if (parser_word(p, "on")) {
        TRY(parser_next(p));
        TRY(parser_node(p, TRAVEL_GRAPHQL_TYPE_NAMED, &node->type));
        TRY(parser_named(p, node->type));

    } else if (p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_NAME) {
        node->kind = TRAVEL_GRAPHQL_SPREAD;
        TRY(parser_named(p, node));
    }

    return parser_directives(p, false, &node->directives);
}


static int
parser_selections(parser_t *p, ast_t *owner)
{
    ast_t  *cur = owner, *node;

    TRY(parser_expect(p, "{"));

    for ( ;; ) {

        if (cur->children != NULL && parser_punct(p, "}")) {
            TRY(parser_next(p));

            if (cur == owner) {
                return TRAVEL_OK;
            }

            cur = cur->parent;
            continue;
        }

        TRY(parser_selection(p, &node));
        parser_append(cur, node);
        node->parent = cur;

        if (node->kind == TRAVEL_GRAPHQL_INLINE && !parser_punct(p, "{")) {
            return parser_unexpected(p, "\"{\"");
        }

        if (node->kind != TRAVEL_GRAPHQL_SPREAD && parser_punct(p, "{")) {
            TRY(parser_next(p));
            cur = node;
        }
    }
}


static int
parser_variables(parser_t *p, ast_t *operation)
{
    bool    was;
    ast_t  *var, **tail = &operation->variables;

    TRY(parser_skip(p, "(", &was));

    while (was) {
        TRY(parser_node(p, TRAVEL_GRAPHQL_VARIABLE_DEF, &var));

        if (parser_string(p)) {
            TRY(parser_text(p, &var->description));
        }

        TRY(parser_expect(p, "$"));
        TRY(parser_named(p, var));
        TRY(parser_expect(p, ":"));
        TRY(parser_type(p, &var->type));
        TRY(parser_skip(p, "=", &was));

        if (was) {
            TRY(parser_value(p, true, &var->value));
        }

        TRY(parser_directives(p, true, &var->directives));
        *tail = var;
        tail = &var->next;
        was = !parser_punct(p, ")");

        if (!was) {
            return parser_next(p);
        }
    }

    return TRAVEL_OK;
}


static int
parser_operation(parser_t *p, ast_t *node)
{
    node->kind = TRAVEL_GRAPHQL_OPERATION;

    if (!parser_punct(p, "{")) {
        node->op = parser_word(p, "query") ? TRAVEL_GRAPHQL_QUERY
                   : parser_word(p, "mutation") ? TRAVEL_GRAPHQL_MUTATION
                                                : TRAVEL_GRAPHQL_SUBSCRIPTION;
        TRY(parser_next(p));

        if (p->lexer.kind == TRAVEL_GRAPHQL_TOKEN_NAME) {
            TRY(parser_named(p, node));
        }

        TRY(parser_variables(p, node));
        TRY(parser_directives(p, false, &node->directives));
    }

    return parser_selections(p, node);
}


static int
parser_fragment(parser_t *p, ast_t *node)
{
    node->kind = TRAVEL_GRAPHQL_FRAGMENT;
    TRY(parser_next(p));

    if (parser_word(p, "on")) {
        return parser_unexpected(p, "a fragment's name");
    }

    TRY(parser_named(p, node));

    if (!parser_word(p, "on")) {
        return parser_unexpected(p, "\"on\"");
    }

    TRY(parser_next(p));
    TRY(parser_node(p, TRAVEL_GRAPHQL_TYPE_NAMED, &node->type));
    TRY(parser_named(p, node->type));
    TRY(parser_directives(p, false, &node->directives));

    return parser_selections(p, node);
}


/* --- definitions of a schema --------------------------------------------- */

static int
parser_description(parser_t *p, travel_str_t *ret_text)
{
    return parser_string(p) ? parser_text(p, ret_text) : TRAVEL_OK;
}


static int
parser_input_value(parser_t *p, ast_t **ret_node)
{
    bool    was;
    ast_t  *node;

    TRY(parser_node(p, TRAVEL_GRAPHQL_INPUT_VALUE, &node));
    TRY(parser_description(p, &node->description));
    node->line = p->lexer.at_line;
    node->column = p->lexer.at_column;
    TRY(parser_named(p, node));
    TRY(parser_expect(p, ":"));
    TRY(parser_type(p, &node->type));
    TRY(parser_skip(p, "=", &was));

    if (was) {
        TRY(parser_value(p, true, &node->value));
    }

    *ret_node = node;
    return parser_directives(p, true, &node->directives);
}


static int
parser_argument_defs(parser_t *p, ast_t **list)
{
    bool    was;
    ast_t  *node, **tail = list;

    TRY(parser_skip(p, "(", &was));

    while (was) {
        TRY(parser_input_value(p, &node));
        *tail = node;
        tail = &node->next;

        if (parser_punct(p, ")")) {
            return parser_next(p);
        }
    }

    return TRAVEL_OK;
}


/* "query: Query", of a schema. */
static int
parser_root(parser_t *p, ast_t *node)
{
    if (!parser_word(p, "query") && !parser_word(p, "mutation")
        && !parser_word(p, "subscription"))
    {
        return parser_unexpected(p, "\"query\", \"mutation\" or "
                                 "\"subscription\"");
    }

    TRY(parser_named(p, node));
    TRY(parser_expect(p, ":"));
    TRY(parser_node(p, TRAVEL_GRAPHQL_TYPE_NAMED, &node->type));

    return parser_named(p, node->type);
}


static int
parser_enum_value(parser_t *p, ast_t *node)
{
    if (parser_word(p, "true") || parser_word(p, "false")
        || parser_word(p, "null"))
    {
        return parser_unexpected(p, "a name that no other value has");
    }

    TRY(parser_named(p, node));

    return parser_directives(p, true, &node->directives);
}


static int
parser_field_def(parser_t *p, ast_t *node)
{
    TRY(parser_named(p, node));
    TRY(parser_argument_defs(p, &node->arguments));
    TRY(parser_expect(p, ":"));
    TRY(parser_type(p, &node->type));

    return parser_directives(p, true, &node->directives);
}


static int
parser_member(parser_t *p, travel_graphql_ast_e owner, ast_t **ret_node)
{
    ast_t  *node;

    if (owner == TRAVEL_GRAPHQL_DEF_INPUT) {
        return parser_input_value(p, ret_node);
    }

    TRY(parser_node(p, owner == TRAVEL_GRAPHQL_DEF_ENUM
                       ? TRAVEL_GRAPHQL_ENUM_VALUE : TRAVEL_GRAPHQL_FIELD_DEF,
                    &node));
    *ret_node = node;

    if (owner == TRAVEL_GRAPHQL_DEF_SCHEMA) {
        return parser_root(p, node);
    }

    TRY(parser_description(p, &node->description));
    node->line = p->lexer.at_line;
    node->column = p->lexer.at_column;

    return owner == TRAVEL_GRAPHQL_DEF_ENUM ? parser_enum_value(p, node)
                                            : parser_field_def(p, node);
}


/* "{" members "}": of an object, an enum, an input or a schema. */
static int
parser_members(parser_t *p, ast_t *def)
{
    bool    was;
    ast_t  *node;

    TRY(parser_skip(p, "{", &was));

    while (was) {
        TRY(parser_member(p, def->kind, &node));
        parser_append(def, node);

        if (parser_punct(p, "}")) {
            return parser_next(p);
        }
    }

    return TRAVEL_OK;
}


/* Names between '&' or '|'. */
static int
parser_names(parser_t *p, const char *between, ast_t **list)
{
    bool    was;
    ast_t  *node, **tail = list;

    TRY(parser_skip(p, between, &was));

    do {
        TRY(parser_node(p, TRAVEL_GRAPHQL_TYPE_NAMED, &node));
        TRY(parser_named(p, node));
        *tail = node;
        tail = &node->next;
        TRY(parser_skip(p, between, &was));
    } while (was);

    return TRAVEL_OK;
}


/* Where a directive may stand (section 3.13), in the order of
 * travel_graphql_location_e. */
static const char *const  parser_locations[] = {
    "QUERY", "MUTATION", "SUBSCRIPTION", "FIELD", "FRAGMENT_DEFINITION",
    "FRAGMENT_SPREAD", "INLINE_FRAGMENT", "VARIABLE_DEFINITION", "SCHEMA",
    "SCALAR", "OBJECT", "FIELD_DEFINITION", "ARGUMENT_DEFINITION", "INTERFACE",
    "UNION", "ENUM", "ENUM_VALUE", "INPUT_OBJECT", "INPUT_FIELD_DEFINITION"
};


const char *
travel_graphql_location(travel_graphql_location_e location)
{
    return parser_locations[location];
}


static int
parser_location(parser_t *p, ast_t *def)
{
    size_t  i;

    for (i = 0; i < sizeof(parser_locations) / sizeof(*parser_locations); i++)
    {
        if (parser_word(p, parser_locations[i])) {
            def->mark |= 1u << i;
            return TRAVEL_OK;
        }
    }

    return parser_unexpected(p, "a place of directives");
}


static int
parser_directive_def(parser_t *p, ast_t *def)
{
    bool    was;
    ast_t  *node, **tail = &def->implements;

    TRY(parser_expect(p, "@"));
    TRY(parser_named(p, def));
    TRY(parser_argument_defs(p, &def->arguments));

    if (parser_word(p, "repeatable")) {
        def->repeatable = true;
        TRY(parser_next(p));
    }

    if (!parser_word(p, "on")) {
        return parser_unexpected(p, "\"on\"");
    }

    TRY(parser_next(p));
    TRY(parser_skip(p, "|", &was));

    do {
        TRY(parser_location(p, def));
        TRY(parser_node(p, TRAVEL_GRAPHQL_TYPE_NAMED, &node));
        TRY(parser_named(p, node));
        *tail = node;
        tail = &node->next;
        TRY(parser_skip(p, "|", &was));
    } while (was);

    return TRAVEL_OK;
}


/* An extension that adds nothing is none; a schema lists its roots. */
static int
parser_complete(parser_t *p, const ast_t *def)
{
    if (def->kind == TRAVEL_GRAPHQL_DEF_SCHEMA && !def->extend
        && def->children == NULL)
    {
        return parser_unexpected(p, "\"{\"");
    }

    if (def->extend && def->implements == NULL && def->directives == NULL
        && def->children == NULL)
    {
        return parser_unexpected(p, "what the extension adds");
    }

    return TRAVEL_OK;
}


static int
parser_type_def(parser_t *p, ast_t *def)
{
    bool  was = false;

    if (def->kind != TRAVEL_GRAPHQL_DEF_SCHEMA) {
        TRY(parser_named(p, def));
    }

    if ((def->kind == TRAVEL_GRAPHQL_DEF_OBJECT
         || def->kind == TRAVEL_GRAPHQL_DEF_INTERFACE)
        && parser_word(p, "implements"))
    {
        TRY(parser_next(p));
        TRY(parser_names(p, "&", &def->implements));
    }

    TRY(parser_directives(p, true, &def->directives));

    if (def->kind == TRAVEL_GRAPHQL_DEF_UNION) {
        TRY(parser_skip(p, "=", &was));

        if (was) {
            TRY(parser_names(p, "|", &def->implements));
        }

    } else if (def->kind != TRAVEL_GRAPHQL_DEF_SCALAR) {
        TRY(parser_members(p, def));
    }

    return parser_complete(p, def);
}


static int
parser_system_def(parser_t *p, ast_t *node)
{
    size_t  i;

    static const struct {
        const char            *word;
        travel_graphql_ast_e   kind;
    } words[] = {
        { "schema", TRAVEL_GRAPHQL_DEF_SCHEMA },
        { "scalar", TRAVEL_GRAPHQL_DEF_SCALAR },
        { "type", TRAVEL_GRAPHQL_DEF_OBJECT },
        { "interface", TRAVEL_GRAPHQL_DEF_INTERFACE },
        { "union", TRAVEL_GRAPHQL_DEF_UNION },
        { "enum", TRAVEL_GRAPHQL_DEF_ENUM },
        { "input", TRAVEL_GRAPHQL_DEF_INPUT },
        { "directive", TRAVEL_GRAPHQL_DEF_DIRECTIVE }
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {

        if (!parser_word(p, words[i].word)
            || (node->extend && words[i].kind == TRAVEL_GRAPHQL_DEF_DIRECTIVE))
        {
            continue;
        }

        node->kind = words[i].kind;
        TRY(parser_next(p));

        return node->kind == TRAVEL_GRAPHQL_DEF_DIRECTIVE
               ? parser_directive_def(p, node) : parser_type_def(p, node);
    }

    return parser_unexpected(p, "a definition");
}


static int
parser_definition(parser_t *p)
{
    bool    described;
    ast_t  *node;

    TRY(parser_node(p, TRAVEL_GRAPHQL_OPERATION, &node));
    described = parser_string(p);
    TRY(parser_description(p, &node->description));
    node->line = p->lexer.at_line;
    node->column = p->lexer.at_column;
    parser_append(&p->document->root, node);

    if (described && (parser_punct(p, "{") || parser_word(p, "extend"))) {
        return parser_unexpected(p, "a definition that can be described");
    }

    if (parser_punct(p, "{") || parser_word(p, "query")
        || parser_word(p, "mutation") || parser_word(p, "subscription"))
    {
        return parser_operation(p, node);
    }

    if (parser_word(p, "fragment")) {
        return parser_fragment(p, node);
    }

    if (parser_word(p, "extend")) {
        node->extend = true;
        TRY(parser_next(p));
    }

    return parser_system_def(p, node);
}


/* Appends what 'source' defines to the document. */
static int
parser_source(travel_graphql_document_t *document, travel_str_t source,
    travel_graphql_fault_t *ret_fault)
{
    parser_t  p;

    travel_graphql_lexer_init(&p.lexer, source, ret_fault);
    p.document = document;
    TRY(parser_next(&p));

    do {
        TRY(parser_definition(&p));
    } while (p.lexer.kind != TRAVEL_GRAPHQL_TOKEN_END);

    return TRAVEL_OK;
}


int
travel_graphql_parse(travel_graphql_document_t **ret_document,
    travel_str_t source, travel_graphql_fault_t *ret_fault)
{
    int                         rc;
    travel_graphql_document_t  *document;

    memset(ret_fault, 0, sizeof(*ret_fault));

    document = calloc(1, sizeof(*document));
    if (document == NULL) {
        return TRAVEL_ERROR;
    }

    document->max = TRAVEL_GRAPHQL_NODES_MAX;
    rc = parser_source(document, source, ret_fault);

    if (rc != TRAVEL_OK) {
        travel_graphql_document_free(document);
        return rc;
    }

    *ret_document = document;
    return TRAVEL_OK;
}


/* The builtin definitions are behind the others, and marked as such. */
static int
parser_schema(travel_graphql_document_t *document, travel_str_t source,
    travel_graphql_fault_t *ret_fault)
{
    ast_t  *def;

    document->max = TRAVEL_GRAPHQL_SCHEMA_MAX;
    document->owned = malloc(source.len + 1);

    if (document->owned == NULL) {
        return TRAVEL_ERROR;
    }

    if (source.len > 0) {
        memcpy(document->owned, source.data, source.len);
    }

    TRY(parser_source(document, (travel_str_t) { document->owned, source.len },
                      ret_fault));
    def = document->root.last;
    TRY(parser_source(document, TRAVEL_STR(parser_builtin), ret_fault));

    for (def = def->next; def != NULL; def = def->next) {
        def->builtin = true;
    }

    return TRAVEL_OK;
}


int
travel_graphql_parse_schema(travel_graphql_document_t **ret_document,
    travel_str_t source, travel_graphql_fault_t *ret_fault)
{
    int                         rc;
    travel_graphql_document_t  *document;

    memset(ret_fault, 0, sizeof(*ret_fault));

    document = calloc(1, sizeof(*document));
    if (document == NULL) {
        return TRAVEL_ERROR;
    }

    rc = parser_schema(document, source, ret_fault);

    if (rc != TRAVEL_OK) {
        travel_graphql_document_free(document);
        return rc;
    }

    *ret_document = document;
    return TRAVEL_OK;
}


void
travel_graphql_document_free(travel_graphql_document_t *document)
{
    if (document == NULL) {
        return;
    }

    travel_graphql_arena_free(&document->arena);
    free(document->owned);
    free(document);
}


const travel_graphql_ast_t *
travel_graphql_definitions(const travel_graphql_document_t *document)
{
    return document->root.children;
}


void
travel_graphql_drop(travel_graphql_document_t *document, ast_t *prev,
    ast_t *def)
{
    if (prev == NULL) {
        document->root.children = def->next;
    } else {
        prev->next = def->next;
    }

    if (document->root.last == def) {
        document->root.last = prev;
    }
}


const travel_graphql_ast_t *
travel_graphql_find(const travel_graphql_ast_t *list, travel_str_t name)
{
    while (list != NULL && !travel_str_eq(list->name, name)) {
        list = list->next;
    }

    return list;
}


const travel_graphql_ast_t *
travel_graphql_argument(const travel_graphql_ast_t *directive,
    const char *name)
{
    return directive == NULL ? NULL
           : travel_graphql_find(directive->arguments,
                                 (travel_str_t) { name, strlen(name) });
}
