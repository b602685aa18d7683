/*
 * The answer's text by the plan's tree.  See complete.h.
 *
 * What cannot be is taken back from 'out', and the rest of it is skipped.  The
 * recursion follows the plan's tree and its fields' types, never the text.
 */

#include "complete.h"
#include "path.h"
#include "steps.h"

typedef travel_graphql_ast_t   ast_t;
typedef travel_graphql_node_t  node_t;
typedef travel_graphql_step_t  step_t;

typedef struct {
    const char             *p;
    const char             *end;
    travel_graphql_text_t  *out;
    travel_graphql_text_t  *errors;
    unsigned                nerrors;
    bool                    broken;   /* the text is none of the plan's */
} complete_t;

static bool complete_value(complete_t *c, const node_t *node,
    const ast_t *type, const step_t *at);


/* Is there a "null" anywhere?  By its rarest letter: most answers have none,
 * and are only looked through. */
static bool
complete_null(travel_str_t data)
{
    const char  *p = data.data, *end = data.data + data.len;

    while (end - p > 3) {
        p = memchr(p + 1, 'u', (size_t) (end - p - 1));

        if (p == NULL) {
            return false;
        }

        if (p[-1] == 'n' && end - p > 2 && p[1] == 'l' && p[2] == 'l') {
            return true;
        }
    }

    return false;
}


bool
travel_graphql_is_complete(const travel_graphql_plan_t *plan,
    travel_str_t data)
{
    return !plan->several && !complete_null(data);
}


/* --- tokens -------------------------------------------------------------- */

static char
complete_peek(complete_t *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n')) {
        c->p++;
    }

    return c->p < c->end ? *c->p : '\0';
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


/* Past a string whose quote was taken. */
static void
complete_string(complete_t *c)
{
    while (c->p < c->end && *c->p != '"') {
        c->p += *c->p == '\\' ? 2 : 1;
    }

    complete_expect(c, '"');
}


/* Past any value: its text. */
static travel_str_t
complete_skip(complete_t *c)
{
    size_t       depth = 0;
    const char  *from;

    (void) complete_peek(c);
    from = c->p;

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

        default:                           /* a number, a word */
            while (c->p < c->end && memchr(",:{}[]\" \n", *c->p, 9) == NULL) {
                c->p++;
            }
        }

    } while (depth > 0 && !c->broken);

    return c->broken ? TRAVEL_NULL_STR
                     : (travel_str_t) { from, (size_t) (c->p - from) };
}


/* --- values -------------------------------------------------------------- */

static void
complete_puts(complete_t *c, const char *s)
{
    travel_graphql_text_puts(c->out, s);
}


/* The number of its type is taken out of an object of several types. */
static const node_t *
complete_member(complete_t *c, const node_t *first)
{
    unsigned      n = 0;
    travel_str_t  text;

    if (first == NULL || first->kind != TRAVEL_GRAPHQL_NODE_MEMBER) {
        return first;
    }

    complete_expect(c, '"');
    complete_expect(c, '"');
    complete_expect(c, ':');
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
    complete_puts(c, "{");
    first = complete_member(c, first);

    for (node = first; node != NULL && !c->broken;
         node = only ? NULL : node->next)
    {
        if (node != first) {
            complete_expect(c, ',');
            complete_puts(c, ",");
        }

        complete_expect(c, '"');
        complete_string(c);
        complete_expect(c, ':');

        travel_graphql_text_string(c->out, node->key);
        complete_puts(c, ":");
        step = (step_t) { .up = up, .key = node->key };

        if (!complete_value(c, node, node->field != NULL
                                     ? node->field->def->type : NULL, &step))
        {
            return false;
        }
    }

    complete_expect(c, '}');
    complete_puts(c, "}");
    return true;
}


static bool
complete_list(complete_t *c, const node_t *node, const ast_t *items,
    const step_t *up)
{
    step_t  step = { .up = up };

    complete_expect(c, '[');
    complete_puts(c, "[");

    if (complete_take(c, ']')) {
        complete_puts(c, "]");
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

        complete_puts(c, ",");
    }

    complete_expect(c, ']');
    complete_puts(c, "]");
    return true;
}


/* What is neither null nor a list that the type wants. */
static bool
complete_item(complete_t *c, const node_t *node, const step_t *at)
{
    if (node->children == NULL || node->kind == TRAVEL_GRAPHQL_NODE_META
        || node->kind == TRAVEL_GRAPHQL_NODE_JOB)
    {
        travel_graphql_text_add(c->out, complete_skip(c));
        return true;
    }

    return complete_object(c, node->children, false, at);
}


/* 'type' NULL: it is never null.  False: it is, and must not be. */
static bool
complete_value(complete_t *c, const node_t *node, const ast_t *type,
    const step_t *at)
{
    bool          nonnull, good;
    char          first;
    size_t        start = c->out->len;
    const char   *from;

    if (type == NULL) {
        return complete_item(c, node, at);
    }

    nonnull = type->kind == TRAVEL_GRAPHQL_TYPE_NONNULL;
    type = nonnull ? type->type : type;
    first = complete_peek(c);
    from = c->p;

    if (first == 'n') {
        (void) complete_skip(c);

        if (nonnull) {
            travel_graphql_null_error(c->errors, &c->nerrors, node, at);
            return false;
        }

        complete_puts(c, "null");
        return true;
    }

    good = type->kind == TRAVEL_GRAPHQL_TYPE_LIST && first == '['
           ? complete_list(c, node, type->type, at)
           : complete_item(c, node, at);

    if (good || c->broken) {
        return true;
    }

    c->out->len = start;
    c->p = from;
    (void) complete_skip(c);

    if (!nonnull) {
        complete_puts(c, "null");
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
                      .out = out, .errors = errors };

    if (above != NULL) {
        root.key = above->key;
    }

    if (!complete_object(&c, nodes, only, above != NULL ? &root : NULL)) {
        out->len = start;
        travel_graphql_text_puts(out, "null");

    } else if (complete_peek(&c) != '\0') {
        c.broken = true;
    }

    return out->failed || errors->failed ? TRAVEL_ERROR
           : c.broken ? TRAVEL_INVALID : TRAVEL_OK;
}
