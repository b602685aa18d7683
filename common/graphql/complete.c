/*
 * The answer's text by the plan's tree.  See complete.h.
 *
 * Most of it is only looked through: 'kept' is from where on it is to go out as
 * it is, and 'out' has what comes before that, once something was taken out.
 * A value that cannot be is gone back to, and the rest of it is skipped.  The
 * recursion follows the plan's tree and its fields' types, never the text.
 */

#include "complete.h"
#include "path.h"
#include "steps.h"

#include <stdlib.h>

#define COMPLETE_INT  12                  /* "-2147483648" and its end */

typedef travel_graphql_ast_t   ast_t;
typedef travel_graphql_node_t  node_t;
typedef travel_graphql_step_t  step_t;

typedef struct {
    const char             *p;
    const char             *end;
    const char             *kept;
    travel_graphql_text_t  *out;
    travel_graphql_text_t  *errors;
    unsigned                nerrors;
    bool                    broken;   /* the text is none of the plan's */
} complete_t;

static bool complete_value(complete_t *c, const node_t *node,
    const ast_t *type, const step_t *at);


/* --- tokens -------------------------------------------------------------- */

static char
complete_blanks(complete_t *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t'
                             || *c->p == '\r'))
    {
        c->p++;
    }

    return c->p < c->end ? *c->p : '\0';
}


static inline char
complete_peek(complete_t *c)
{
    return c->p < c->end && *c->p > ' ' ? *c->p : complete_blanks(c);
}


static bool
complete_take(complete_t *c, char what)
{
    if (complete_peek(c) != what) {
        return false;
    }

    c->p++;
    return true;
}


static void
complete_expect(complete_t *c, char what)
{
    if (!complete_take(c, what)) {
        c->broken = true;
    }
}


/* Past a string whose quote was taken: up to one that no backslash is for. */
static void
complete_string(complete_t *c)
{
    const char  *p, *quote = c->p;

    while ((quote = memchr(quote, '"', (size_t) (c->end - quote))) != NULL) {

        for (p = quote; p > c->p && p[-1] == '\\'; p--) {
            /* void */
        }

        if ((quote - p) % 2 == 0) {
            c->p = quote + 1;
            return;
        }

        quote++;
    }

    c->p = c->end;
    c->broken = true;
}


/* A member's name is the one that the document has there.  PostgreSQL puts one
 * space before it, and " : " behind. */
static void
complete_key(complete_t *c, travel_str_t key)
{
    size_t       len = key.len;
    const char  *p = c->p;

    p += p < c->end && *p == ' ';

    if ((size_t) (c->end - p) > len + 5 && p[0] == '"' && p[len + 1] == '"'
        && memcmp(p + 1, key.data, len) == 0
        && memcmp(p + len + 2, " : ", 3) == 0)
    {
        c->p = p + len + 5;
        return;
    }

    complete_expect(c, '"');

    if ((size_t) (c->end - c->p) > len && c->p[len] == '"'
        && memcmp(c->p, key.data, len) == 0)
    {
        c->p += len + 1;
    } else {
        c->broken = true;
    }

    complete_expect(c, ':');
}


/* Of a number, of true, false and null. */
static bool
complete_word(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || ch == '.'
           || ch == '-' || ch == '+' || ch == 'E';
}


/* Past any value: its text. */
static travel_str_t
complete_skip(complete_t *c)
{
    char         first = complete_peek(c);
    size_t       depth = 0;
    const char  *from = c->p;

    if (first == '"') {                     /* most are strings */
        c->p++;
        complete_string(c);
        return c->broken ? TRAVEL_NULL_STR
                         : (travel_str_t) { from, (size_t) (c->p - from) };
    }

    do {
        switch (complete_peek(c)) {

        case '\0':
            c->broken = true;
            return TRAVEL_NULL_STR;

        case '{':
        case '[':
            depth++;
            c->p++;
            break;

        case '}':
        case ']':
            depth -= depth > 0;
            c->p++;
            break;

        case ',':
        case ':':
            c->p++;
            break;

        case '"':
            c->p++;
            complete_string(c);
            break;

        default:
            c->broken |= !complete_word(*c->p);

            while (c->p < c->end && complete_word(*c->p)) {
                c->p++;
            }
        }

    } while (depth > 0 && !c->broken);

    return c->broken ? TRAVEL_NULL_STR
                     : (travel_str_t) { from, (size_t) (c->p - from) };
}


/* --- what goes out ------------------------------------------------------- */

/* All up to there; what is between there and here does not. */
static void
complete_keep(complete_t *c, const char *to)
{
    travel_graphql_text_add(c->out, (travel_str_t) {
                                c->kept, (size_t) (to - c->kept) });
    c->kept = c->p;
}


/* --- leaves -------------------------------------------------------------- */

/* Digits, or with a fraction that is none: 12, -3, 4.00. */
static bool
complete_int32(travel_str_t text)
{
    char       buf[COMPLETE_INT];
    size_t     n, i;
    long long  v;

    for (n = 0; n < text.len && text.data[n] != '.'; n++) {
        /* void */
    }

    for (i = n + 1; i < text.len; i++) {
        if (text.data[i] != '0') {
            return false;
        }
    }

    if (n == 0 || n >= sizeof(buf)) {
        return false;
    }

    for (i = *text.data == '-'; i < n; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }

    memcpy(buf, text.data, n);
    buf[n] = '\0';
    v = strtoll(buf, NULL, 10);
    return v == (int32_t) v;
}


static bool
complete_enum(const ast_t *value, travel_str_t text)
{
    if (text.len < 2 || *text.data != '"') {
        return false;
    }

    text.data++;
    text.len -= 2;

    return travel_graphql_find(value, text) != NULL;
}


/* Is the text a value of such a leaf? */
static bool
complete_fits(const travel_graphql_map_field_t *field, travel_str_t text)
{
    char  first = text.len > 0 ? *text.data : '\0';

    switch (field->leaf) {

    case TRAVEL_GRAPHQL_LEAF_INT:
        return complete_int32(text);

    case TRAVEL_GRAPHQL_LEAF_FLOAT:        /* "NaN" is a string */
        return first == '-' || (first >= '0' && first <= '9');

    case TRAVEL_GRAPHQL_LEAF_BOOLEAN:
        return first == 't' || first == 'f';

    case TRAVEL_GRAPHQL_LEAF_ENUM:
        return complete_enum(field->values, text);

    case TRAVEL_GRAPHQL_LEAF_FORMAT:       /* what is escaped may be one */
        return text.len >= 2 && first == '"'
               && (memchr(text.data, '\\', text.len) != NULL
                   || field->format((travel_str_t) { text.data + 1,
                                                     text.len - 2 }));

    default:
        return true;
    }
}


static bool
complete_leaf(complete_t *c, const node_t *node, const step_t *at)
{
    travel_str_t  text = complete_skip(c);

    if (node->field == NULL || c->broken || complete_fits(node->field, text)) {
        return true;
    }

    travel_graphql_leaf_error(c->errors, &c->nerrors, node, at);
    return false;
}


/* Past a leaf that can go out as it is, which most are; false: it is something
 * else, and still to be looked at. */
static bool
complete_plain(complete_t *c, const node_t *node)
{
    const char  *from = c->p, *end = from;

    if (end < c->end && *end == '"') {
        end = memchr(end + 1, '"', (size_t) (c->end - end - 1));

        if (end == NULL || end[-1] == '\\') {
            return false;
        }

        end++;

    } else {
        while (end < c->end && complete_word(*end)) {
            end++;
        }

        if (end == from || *from == 'n') {
            return false;
        }
    }

    if (node->field != NULL
        && !complete_fits(node->field,
                          (travel_str_t) { from, (size_t) (end - from) }))
    {
        return false;
    }

    c->p = end;
    return true;
}


/* --- objects and lists --------------------------------------------------- */

/* The number of its type is taken out of an object of several types. */
static const node_t *
complete_member(complete_t *c, const node_t *first)
{
    unsigned      n = 0;
    const char   *from = c->p;
    travel_str_t  text;

    if (first == NULL || first->kind != TRAVEL_GRAPHQL_NODE_MEMBER) {
        return first;
    }

    complete_key(c, TRAVEL_STR(""));
    text = complete_skip(c);

    while (text.len > 0) {
        n = n * 10 + (unsigned) (*text.data - '0');
        text.data++;
        text.len--;
    }

    while (n-- > 0 && first->next != NULL) {
        first = first->next;
    }

    if (first->children != NULL) {
        complete_expect(c, ',');
    }

    complete_keep(c, from);

    return first->children;
}


/* False: it cannot be; where the text is then does not matter. */
static bool
complete_object(complete_t *c, const node_t *first, bool only,
    const step_t *up)
{
    step_t         step;
    const node_t  *node;

    complete_expect(c, '{');
    first = complete_member(c, first);

    for (node = first; node != NULL && !c->broken;
         node = only ? NULL : node->next)
    {
        if (node != first) {
            complete_expect(c, ',');
        }

        complete_key(c, node->key);

        if (node->children == NULL && complete_plain(c, node)) {
            continue;
        }

        step = (step_t) { .up = up, .key = node->key };

        if (!complete_value(c, node, node->field != NULL
                                     ? node->field->def->type : NULL, &step))
        {
            return false;
        }
    }

    complete_expect(c, '}');
    return true;
}


static bool
complete_list(complete_t *c, const node_t *node, const ast_t *items,
    const step_t *up)
{
    step_t  step = { .up = up };

    complete_expect(c, '[');

    if (complete_take(c, ']')) {
        return true;
    }

    for ( ;; ) {
        if (!complete_value(c, node, items, &step)) {
            return false;
        }

        step.index++;

        if (c->broken || !complete_take(c, ',')) {
            break;
        }
    }

    complete_expect(c, ']');
    return true;
}


/* What is neither null nor a list that the type wants. */
static bool
complete_item(complete_t *c, const node_t *node, const step_t *at)
{
    if (node->kind == TRAVEL_GRAPHQL_NODE_META
        || node->kind == TRAVEL_GRAPHQL_NODE_JOB)
    {
        (void) complete_skip(c);          /* a parameter's: made right by us */
        return true;
    }

    return node->children == NULL
           ? complete_leaf(c, node, at)
           : complete_object(c, node->children, false, at);
}


/* 'type' NULL: it is never null.  False: it is, and must not be. */
static bool
complete_value(complete_t *c, const node_t *node, const ast_t *type,
    const step_t *at)
{
    bool         nonnull, good;
    char         first;
    size_t       len = c->out->len;
    const char  *from, *kept = c->kept;

    if (type == NULL) {
        return complete_item(c, node, at);
    }

    nonnull = type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL;
    type = nonnull ? type->type : type;
    first = complete_peek(c);
    from = c->p;

    if (first == 'n') {
        (void) complete_skip(c);

        if (node->withheld != 0) {
            travel_graphql_withheld_error(c->errors, &c->nerrors, node, at);

        } else if (nonnull) {
            travel_graphql_null_error(c->errors, &c->nerrors, node, at);
        }

        return !nonnull;
    }

    good = type->kind == TRAVEL_GRAPHQL_TYPE_LIST && first == '['
           ? complete_list(c, node, type->type, at)
           : complete_item(c, node, at);

    if (good || c->broken) {
        return true;
    }

    c->out->len = len;
    c->kept = kept;
    c->p = from;
    (void) complete_skip(c);

    if (!nonnull) {
        complete_keep(c, from);
        travel_graphql_text_puts(c->out, "null");
    }

    return !nonnull;
}


int
travel_graphql_complete(const node_t *nodes, bool only, const node_t *above,
    travel_str_t data, travel_graphql_text_t *out,
    travel_graphql_text_t *errors)
{
    size_t      start = out->len;
    step_t      root = { 0 };
    complete_t  c = { .p = data.data, .end = data.data + data.len,
                      .kept = data.data, .out = out, .errors = errors };

    if (above != NULL) {
        root.key = above->key;
    }

    if (!complete_object(&c, nodes, only, above != NULL ? &root : NULL)) {
        out->len = start;
        travel_graphql_text_puts(out, "null");

    } else if (complete_peek(&c) != '\0') {
        c.broken = true;

    } else if (c.kept != data.data) {
        complete_keep(&c, c.end);
    }

    return out->failed || errors->failed ? TRAVEL_ERROR
           : c.broken ? TRAVEL_INVALID : TRAVEL_OK;
}
