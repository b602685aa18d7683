/* A schema's tree as SDL for clients.  See sdl.h. */

#include "sdl.h"
#include "../json.h"

#include <stdlib.h>

#define SDL_TYPE_MAX   40             /* wrappers that the parser lets by */
#define SDL_DEPTH_MAX  64             /* of a constant */

typedef travel_graphql_ast_t   ast_t;
typedef travel_graphql_text_t  text_t;

#define puts_(t, s)  travel_graphql_text_puts(t, s)
#define put_(t, s)   travel_graphql_text_add(t, s)


bool
travel_graphql_sdl_public(travel_str_t directive)
{
    return travel_str_eq(directive, TRAVEL_STR("deprecated"))
           || travel_str_eq(directive, TRAVEL_STR("specifiedBy"))
           || travel_str_eq(directive, TRAVEL_STR("oneOf"));
}


void
travel_graphql_sdl_type(const ast_t *type, text_t *out)
{
    size_t        n = 0;
    const ast_t  *outer[SDL_TYPE_MAX];

    while (type->kind != TRAVEL_GRAPHQL_TYPE_NAMED && n < SDL_TYPE_MAX) {
        if (type->kind == TRAVEL_GRAPHQL_TYPE_LIST) {
            puts_(out, "[");
        }

        outer[n++] = type;
        type = type->type;
    }

    put_(out, type->name);

    while (n > 0) {
        puts_(out, outer[--n]->kind == TRAVEL_GRAPHQL_TYPE_LIST ? "]" : "!");
    }
}


static void
sdl_string(travel_str_t s, text_t *out)
{
    char    *quoted;
    size_t   n;

    quoted = malloc(6 * s.len + 2);
    if (quoted == NULL) {
        out->failed = true;
        return;
    }

    n = travel_json_quote(quoted, s);
    travel_graphql_text_add(out, (travel_str_t) { quoted, n });
    free(quoted);
}


static void
sdl_scalar(const ast_t *value, text_t *out)
{
    switch (value->kind) {

    case TRAVEL_GRAPHQL_STRING:
        sdl_string(value->text, out);
        break;

    case TRAVEL_GRAPHQL_NULL:
        puts_(out, "null");
        break;

    case TRAVEL_GRAPHQL_VARIABLE:
        puts_(out, "$");
        put_(out, value->name);
        break;

    default:
        put_(out, value->text);
    }
}


/* Down into lists and objects, and up again by a stack of what is left. */
void
travel_graphql_sdl_value(const ast_t *value, text_t *out)
{
    bool          list;
    size_t        n = 0;
    const ast_t  *stack[SDL_DEPTH_MAX], *at = value, *inner;
    bool          lists[SDL_DEPTH_MAX];

    for ( ;; ) {

        inner = at != NULL && at->kind == TRAVEL_GRAPHQL_ARGUMENT ? at->value
                                                                  : at;

        if (at == NULL) {
            puts_(out, lists[--n] ? "]" : "}");

        } else {
            if (at->kind == TRAVEL_GRAPHQL_ARGUMENT) {
                put_(out, at->name);
                puts_(out, ": ");
            }

            list = inner->kind == TRAVEL_GRAPHQL_LIST;

            if ((list || inner->kind == TRAVEL_GRAPHQL_OBJECT)
                && n < SDL_DEPTH_MAX)
            {
                puts_(out, list ? "[" : "{");
                lists[n] = list;
                stack[n] = n == 0 ? NULL : at->next;
                n++;
                at = inner->children;
                continue;
            }

            sdl_scalar(inner, out);

            if (n == 0) {
                return;
            }

            at = at->next;

            if (at != NULL) {
                puts_(out, ", ");
            }

            continue;
        }

        if (n == 0) {
            return;
        }

        at = stack[n];

        if (at != NULL) {
            puts_(out, ", ");
        }
    }
}


static void
sdl_description(travel_str_t text, const char *indent, text_t *out)
{
    if (text.len > 0) {
        puts_(out, indent);
        sdl_string(text, out);
        puts_(out, "\n");
    }
}


static void
sdl_directives(const ast_t *directive, text_t *out)
{
    const ast_t  *arg;

    for ( /* void */ ; directive != NULL; directive = directive->next) {

        if (!travel_graphql_sdl_public(directive->name)) {
            continue;
        }

        puts_(out, " @");
        put_(out, directive->name);

        for (arg = directive->arguments; arg != NULL; arg = arg->next) {
            puts_(out, arg == directive->arguments ? "(" : ", ");
            put_(out, arg->name);
            puts_(out, ": ");
            travel_graphql_sdl_value(arg->value, out);
        }

        puts_(out, directive->arguments != NULL ? ")" : "");
    }
}


static void
sdl_input(const ast_t *value, text_t *out)
{
    put_(out, value->name);
    puts_(out, ": ");
    travel_graphql_sdl_type(value->type, out);

    if (value->value != NULL) {
        puts_(out, " = ");
        travel_graphql_sdl_value(value->value, out);
    }

    sdl_directives(value->directives, out);
}


static void
sdl_members(const ast_t *def, text_t *out)
{
    const ast_t  *member, *arg;

    puts_(out, " {\n");

    for (member = def->children; member != NULL; member = member->next) {
        sdl_description(member->description, "  ", out);
        puts_(out, "  ");

        if (def->kind == TRAVEL_GRAPHQL_DEF_INPUT) {
            sdl_input(member, out);
            puts_(out, "\n");
            continue;
        }

        put_(out, member->name);

        for (arg = member->arguments; arg != NULL; arg = arg->next) {
            puts_(out, arg == member->arguments ? "(" : ", ");
            sdl_input(arg, out);
        }

        puts_(out, member->arguments != NULL ? ")" : "");

        if (member->type != NULL) {
            puts_(out, ": ");
            travel_graphql_sdl_type(member->type, out);
        }

        sdl_directives(member->directives, out);
        puts_(out, "\n");
    }

    puts_(out, "}\n");
}


static void
sdl_names(const ast_t *list, const char *first, const char *between,
    text_t *out)
{
    const ast_t  *name;

    for (name = list; name != NULL; name = name->next) {
        puts_(out, name == list ? first : between);
        put_(out, name->name);
    }
}


static void
sdl_definition(const ast_t *def, const char *word, text_t *out)
{
    sdl_description(def->description, "", out);
    puts_(out, def->extend ? "extend " : "");
    puts_(out, word);

    if (def->kind != TRAVEL_GRAPHQL_DEF_SCHEMA) {
        puts_(out, " ");
        put_(out, def->name);
    }

    if (def->kind != TRAVEL_GRAPHQL_DEF_UNION) {
        sdl_names(def->implements, " implements ", " & ", out);
    }

    sdl_directives(def->directives, out);

    if (def->kind == TRAVEL_GRAPHQL_DEF_UNION) {
        sdl_names(def->implements, " = ", " | ", out);
    }

    if (def->children != NULL) {
        sdl_members(def, out);
    } else {
        puts_(out, "\n");
    }
}


void
travel_graphql_sdl(const travel_graphql_document_t *document, text_t *out)
{
    bool          first = true;
    const char   *word;
    const ast_t  *def;

    for (def = travel_graphql_definitions(document); def != NULL;
         def = def->next)
    {
        if (def->builtin) {
            continue;
        }

        switch (def->kind) {

        case TRAVEL_GRAPHQL_DEF_SCHEMA:    word = "schema";    break;
        case TRAVEL_GRAPHQL_DEF_SCALAR:    word = "scalar";    break;
        case TRAVEL_GRAPHQL_DEF_OBJECT:    word = "type";      break;
        case TRAVEL_GRAPHQL_DEF_INTERFACE: word = "interface"; break;
        case TRAVEL_GRAPHQL_DEF_UNION:     word = "union";     break;
        case TRAVEL_GRAPHQL_DEF_ENUM:      word = "enum";      break;
        case TRAVEL_GRAPHQL_DEF_INPUT:     word = "input";     break;
        default:                           continue;
        }

        puts_(out, first ? "" : "\n");
        first = false;
        sdl_definition(def, word, out);
    }
}
