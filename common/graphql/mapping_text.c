/* What the SDL's directives say: their words, templates, orders. */

#include "mapping_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>


int
mapping_fault(mapping_t *m, const ast_t *at, const char *fmt, ...)
{
    va_list  args;

    m->fault->line = at->line;
    m->fault->column = at->column;

    va_start(args, fmt);
    vsnprintf(m->fault->message, sizeof(m->fault->message), fmt, args);
    va_end(args);

    return TRAVEL_INVALID;
}


/* --- directives' arguments ----------------------------------------------- */

const ast_t *
mapping_directive(const ast_t *node, const char *name)
{
    return travel_graphql_find(node->directives,
                               (travel_str_t) { name, strlen(name) });
}


travel_str_t
mapping_string(const ast_t *directive, const char *name)
{
    const ast_t  *arg = travel_graphql_argument(directive, name);

    return arg != NULL && arg->value->kind == TRAVEL_GRAPHQL_STRING
           ? arg->value->text : TRAVEL_NULL_STR;
}


/* A whole number of a directive; 'fallback' when it does not say. */
int
mapping_number(mapping_t *m, const ast_t *directive, const char *name,
    uint32_t max, uint32_t fallback, uint32_t *ret_n)
{
    char           buf[16], *end;
    unsigned long  n;
    const ast_t   *arg = travel_graphql_argument(directive, name);

    *ret_n = fallback;

    if (arg == NULL) {
        return TRAVEL_OK;
    }

    snprintf(buf, sizeof(buf), "%.*s", S_(arg->value->text));
    n = strtoul(buf, &end, 10);

    if (arg->value->kind != TRAVEL_GRAPHQL_INT || *end != '\0' || n > max) {
        return mapping_fault(m, arg, "\"%s\" of @%.*s must be a whole number "
                             "from 0 to %u", name, S_(directive->name), max);
    }

    *ret_n = (uint32_t) n;
    return TRAVEL_OK;
}


/* --- text into parts ----------------------------------------------------- */

static bool
mapping_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == ',';
}


/* The next word of *s, taken off it; empty at the end. */
travel_str_t
mapping_word(travel_str_t *s)
{
    travel_str_t  word;

    while (s->len > 0 && mapping_space(*s->data)) {
        s->data++;
        s->len--;
    }

    word = (travel_str_t) { s->data, 0 };

    while (s->len > 0 && !mapping_space(*s->data)) {
        s->data++;
        s->len--;
        word.len++;
    }

    return word;
}


static int
mapping_piece(mapping_t *m, const ast_t *at, travel_str_t hole,
    travel_graphql_piece_t *piece)
{
    size_t  i;

    piece->kind = TRAVEL_GRAPHQL_PIECE_COLUMN;

    if (hole.len > 0 && *hole.data == '$') {
        piece->kind = TRAVEL_GRAPHQL_PIECE_ARG;
        hole.data++;
        hole.len--;

        if (travel_str_eq(hole, TRAVEL_STR("viewer"))) {
            piece->kind = TRAVEL_GRAPHQL_PIECE_VIEWER;
        }
    }

    for (i = 0; i < hole.len; i++) {
        if (hole.data[i] != '_' && (hole.data[i] < '0' || hole.data[i] > '9')
            && ((hole.data[i] | 0x20) < 'a' || (hole.data[i] | 0x20) > 'z'))
        {
            return mapping_fault(m, at, "\"{%.*s}\" must be {column}, "
                                 "{$argument} or {$viewer}; write \"{{\" for a "
                                 "brace", S_(hole));
        }
    }

    piece->text = hole;
    return TRAVEL_OK;
}


int
mapping_template(mapping_t *m, const ast_t *at, travel_str_t text,
    travel_graphql_template_t *ret_template)
{
    size_t                   n = 2;
    const char              *p, *end, *open, *close;
    travel_graphql_piece_t  *pieces;

    ret_template->n = 0;

    if (text.len == 0) {
        return TRAVEL_OK;
    }

    end = text.data + text.len;

    for (p = text.data; p < end; p++) {
        n += (*p == '{') * 2;
    }

    pieces = travel_graphql_alloc(m->sdl, n * sizeof(*pieces));
    if (pieces == NULL) {
        return TRAVEL_ERROR;
    }

    n = 0;

    for (p = text.data; p < end; p = close + 1) {

        open = memchr(p, '{', (size_t) (end - p));
        close = open != NULL && open + 1 < end && open[1] == '{' ? open + 1
                : open != NULL ? memchr(open, '}', (size_t) (end - open))
                               : end - 1;

        if (close == NULL) {
            return mapping_fault(m, at, "\"{\" is not closed");
        }

        pieces[n].kind = TRAVEL_GRAPHQL_PIECE_TEXT;
        pieces[n].text = (travel_str_t) {
            p, (size_t) ((open != NULL ? open : end) - p) };

        if (open != NULL && close == open + 1 && *close == '{') {
            pieces[n].text.len++;                    /* the brace itself */
            n++;
            continue;
        }

        n += pieces[n].text.len > 0;

        if (open != NULL) {
            TRY(mapping_piece(m, at, (travel_str_t) {
                    open + 1, (size_t) (close - open - 1) }, &pieces[n]));
            n++;
        }
    }

    ret_template->pieces = pieces;
    ret_template->n = n;
    return TRAVEL_OK;
}


bool
mapping_orders(const travel_graphql_order_t *order, travel_str_t column)
{
    size_t  i;

    for (i = 0; i < order->n; i++) {
        if (travel_str_eq(order->keys[i].column, column)) {
            return true;
        }
    }

    return false;
}


/* One more column, unless it is there. */
static int
mapping_key(mapping_t *m, const ast_t *at, travel_graphql_order_t *order,
    const travel_graphql_key_t *key)
{
    if (mapping_orders(order, key->column)) {
        return TRAVEL_OK;
    }

    if (order->n == TRAVEL_GRAPHQL_KEYS_MAX) {
        return mapping_fault(m, at, "an order has at most %d columns, with "
                             "those of the key", TRAVEL_GRAPHQL_KEYS_MAX);
    }

    order->keys[order->n++] = *key;
    return TRAVEL_OK;
}


int
mapping_order(mapping_t *m, const ast_t *at, travel_str_t text,
    travel_graphql_order_t *order)
{
    size_t                 i;
    travel_str_t           word, item;
    travel_graphql_key_t   key;

    while (text.len > 0) {
        i = 0;

        while (i < text.len && text.data[i] != ',') {
            i++;
        }

        item = (travel_str_t) { text.data, i };
        text.data += i + (i < text.len);
        text.len -= i + (i < text.len);

        key.column = mapping_word(&item);
        word = mapping_word(&item);
        key.desc = travel_str_eq(word, TRAVEL_STR("desc"));

        if (key.column.len == 0
            || (word.len > 0 && !key.desc
                && !travel_str_eq(word, TRAVEL_STR("asc"))))
        {
            return mapping_fault(m, at, "an order must be \"COLUMN [asc|desc], "
                                 "...\"");
        }

        TRY(mapping_key(m, at, order, &key));
    }

    return TRAVEL_OK;
}


int
mapping_total(mapping_t *m, const ast_t *at, travel_graphql_order_t *order,
    const travel_graphql_order_t *key)
{
    size_t  i;

    for (i = 0; i < key->n; i++) {
        TRY(mapping_key(m, at, order, &key->keys[i]));
    }

    return TRAVEL_OK;
}


/* "fromPlace" is the column from_place. */
int
mapping_snake(mapping_t *m, travel_str_t name, travel_str_t *ret_snake)
{
    char    *p;
    size_t   i, n = 0;

    p = travel_graphql_alloc(m->sdl, name.len * 2 + 1);
    if (p == NULL) {
        return TRAVEL_ERROR;
    }

    for (i = 0; i < name.len; i++) {
        if (name.data[i] >= 'A' && name.data[i] <= 'Z') {
            if (i > 0) {
                p[n++] = '_';
            }

            p[n++] = (char) (name.data[i] | 0x20);
        } else {
            p[n++] = name.data[i];
        }
    }

    *ret_snake = (travel_str_t) { p, n };
    return TRAVEL_OK;
}


/* --- types as they are written ------------------------------------------- */

/* The type without lists and exclamation marks. */
travel_str_t
mapping_base(const ast_t *type, bool *ret_list, bool *ret_nonnull)
{
    *ret_list = false;
    *ret_nonnull = type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL;

    while (type->kind != TRAVEL_GRAPHQL_TYPE_NAMED) {
        *ret_list |= type->kind == TRAVEL_GRAPHQL_TYPE_LIST;
        type = type->type;
    }

    return type->name;
}


const mapping_scalar_t *
mapping_builtin(travel_str_t name)
{
    size_t  i;

    static const mapping_scalar_t  scalars[] = {
        { { "Int", 3 }, { "{}", 2 }, TRAVEL_GRAPHQL_LEAF_INT },
        { { "Boolean", 7 }, { "{}", 2 }, TRAVEL_GRAPHQL_LEAF_BOOLEAN },
        { { "Float", 5 }, { "{}::float8", 10 }, TRAVEL_GRAPHQL_LEAF_FLOAT },
        { { "String", 6 }, { "{}::text", 8 }, TRAVEL_GRAPHQL_LEAF_STRING },
        { { "ID", 2 }, { "{}::text", 8 }, TRAVEL_GRAPHQL_LEAF_STRING }
    };

    for (i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++) {
        if (travel_str_eq(scalars[i].name, name)) {
            return &scalars[i];
        }
    }

    return NULL;
}
