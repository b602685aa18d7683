/*
 * From the text of a regular expression to a tree: the grammar of ECMA-262
 * with the 'u' flag.  The recursion is over groups only, and those nest no
 * deeper than TRAVEL_PATTERN_NESTING_MAX.
 */

#include <stdlib.h>

#include "pattern_parts.h"
#include "utf8.h"

typedef struct {
    pattern_tree_t  *tree;
    const char      *start;
    const char      *p;
    const char      *end;
    unsigned         depth;
    unsigned         groups;          /* capturing ones */
    unsigned         back_max;        /* highest \N seen */
    const char      *back_at;
    bool             failed;
} pattern_parse_t;

static uint32_t pattern_choice(pattern_parse_t *ps);
static uint32_t pattern_sequence(pattern_parse_t *ps);
static uint32_t pattern_term(pattern_parse_t *ps);
static uint32_t pattern_group(pattern_parse_t *ps, bool *assertion);
static uint32_t pattern_quantified(pattern_parse_t *ps, uint32_t child);
static bool pattern_braces(pattern_parse_t *ps, uint32_t *min, uint32_t *max);
static uint32_t pattern_atom_escape(pattern_parse_t *ps);
static uint32_t pattern_class(pattern_parse_t *ps);
static bool pattern_class_atom(pattern_parse_t *ps, pattern_ranges_t *to,
    uint32_t *cp);
static bool pattern_class_escape(pattern_parse_t *ps, pattern_ranges_t *to);
static bool pattern_property(pattern_parse_t *ps, pattern_ranges_t *to,
    bool negated);
static uint32_t pattern_char_escape(pattern_parse_t *ps, bool in_class);
static uint32_t pattern_hex(pattern_parse_t *ps, unsigned digits);


static uint32_t
pattern_fail(pattern_parse_t *ps, const char *at, const char *why)
{
    if (!ps->failed) {
        ps->failed = true;
        ps->tree->why = why;
        ps->tree->at = (size_t) (at - ps->start);
    }

    return PATTERN_NONE;
}


static uint32_t
pattern_no_memory(pattern_parse_t *ps)
{
    ps->tree->memory = true;
    return pattern_fail(ps, ps->p, "out of memory");
}


int
pattern_tree_parse(pattern_tree_t *tree, travel_str_t text)
{
    pattern_parse_t  ps = { 0 };

    memset(tree, 0, sizeof(*tree));

    ps.tree = tree;
    ps.start = text.len ? text.data : "";
    ps.p = ps.start;
    ps.end = ps.start + text.len;

    tree->root = pattern_choice(&ps);

    if (!ps.failed && ps.p < ps.end) {
        pattern_fail(&ps, ps.p, "this closing parenthesis has no opening one");
    }

    if (!ps.failed && ps.back_max > ps.groups) {
        pattern_fail(&ps, ps.back_at, "there is no such group to refer to");
    }

    if (!ps.failed) {
        return TRAVEL_OK;
    }

    return tree->memory ? TRAVEL_ERROR : TRAVEL_INVALID;
}


void
pattern_tree_fini(pattern_tree_t *tree)
{
    free(tree->nodes);
    free(tree->sets);
    free(tree->ranges.r);
}


static uint32_t
pattern_node(pattern_parse_t *ps, pattern_kind_e kind)
{
    pattern_node_t  *node;
    pattern_tree_t  *tree = ps->tree;

    if (!pattern_grow((void **) &tree->nodes, &tree->nodes_cap,
                      tree->nnodes + 1, sizeof(tree->nodes[0])))
    {
        return pattern_no_memory(ps);
    }

    node = &tree->nodes[tree->nnodes];
    memset(node, 0, sizeof(*node));
    node->kind = (uint8_t) kind;
    node->child = PATTERN_NONE;
    node->next = PATTERN_NONE;

    return (uint32_t) tree->nnodes++;
}


/* A node that matches one code point out of 'ranges', which are consumed. */
static uint32_t
pattern_set_node(pattern_parse_t *ps, pattern_ranges_t *ranges, bool negated)
{
    size_t           i;
    uint32_t         node, cp;
    pattern_set_t   *set;
    pattern_tree_t  *tree = ps->tree;

    pattern_ranges_sort(ranges);

    if ((negated && !pattern_ranges_invert(ranges))
        || !pattern_grow((void **) &tree->sets, &tree->sets_cap,
                         tree->nsets + 1, sizeof(tree->sets[0])))
    {
        free(ranges->r);
        return pattern_no_memory(ps);
    }

    set = &tree->sets[tree->nsets];
    memset(set, 0, sizeof(*set));
    set->start = (uint32_t) tree->ranges.n;
    set->count = (uint32_t) ranges->n;

    for (i = 0; i < ranges->n; i++) {
        for (cp = ranges->r[i].lo; cp <= ranges->r[i].hi && cp < 128; cp++) {
            set->ascii[cp >> 6] |= UINT64_C(1) << (cp & 63);
        }
    }

    if (!pattern_ranges_add_all(&tree->ranges, ranges)) {
        free(ranges->r);
        return pattern_no_memory(ps);
    }

    free(ranges->r);

    if (tree->ranges.n > PATTERN_RANGES_MAX) {
        return pattern_fail(ps, ps->p, "the pattern is too large");
    }

    node = pattern_node(ps, PATTERN_SET);
    if (node != PATTERN_NONE) {
        tree->nodes[node].set = (uint32_t) tree->nsets++;
    }

    return node;
}


static uint32_t
pattern_one(pattern_parse_t *ps, uint32_t cp)
{
    pattern_ranges_t  ranges = { NULL, 0, 0 };

    if (!pattern_ranges_add(&ranges, cp, cp)) {
        return pattern_no_memory(ps);
    }

    return pattern_set_node(ps, &ranges, false);
}


static uint32_t
pattern_choice(pattern_parse_t *ps)
{
    uint32_t  first, last, node, choice;

    first = pattern_sequence(ps);

    if (ps->failed || ps->p == ps->end || *ps->p != '|') {
        return first;
    }

    choice = pattern_node(ps, PATTERN_CHOICE);
    if (choice == PATTERN_NONE) {
        return PATTERN_NONE;
    }

    ps->tree->nodes[choice].child = first;
    last = first;

    while (ps->p < ps->end && *ps->p == '|') {
        ps->p++;

        node = pattern_sequence(ps);
        if (node == PATTERN_NONE) {
            return PATTERN_NONE;
        }

        ps->tree->nodes[last].next = node;
        last = node;
    }

    return choice;
}


static uint32_t
pattern_sequence(pattern_parse_t *ps)
{
    uint32_t  seq, node;

    seq = pattern_node(ps, PATTERN_SEQUENCE);

    /* The list is built backwards: a program is emitted from its end. */

    while (!ps->failed && ps->p < ps->end && *ps->p != '|' && *ps->p != ')') {

        node = pattern_term(ps);
        if (node == PATTERN_NONE) {
            return PATTERN_NONE;
        }

        ps->tree->nodes[node].next = ps->tree->nodes[seq].child;
        ps->tree->nodes[seq].child = node;
    }

    return seq;
}


static uint32_t
pattern_term(pattern_parse_t *ps)
{
    bool              assertion = false;
    char              c = *ps->p;
    uint32_t          node;
    pattern_ranges_t  dot = { NULL, 0, 0 };

    switch (c) {

    case '^':
    case '$':
        ps->p++;
        return pattern_node(ps, c == '^' ? PATTERN_START : PATTERN_END);

    case '(':
        node = pattern_group(ps, &assertion);
        break;

    case '[':
        node = pattern_class(ps);
        break;

    case '.':
        ps->p++;
        if (!pattern_ranges_add(&dot, '\n', '\n')
            || !pattern_ranges_add(&dot, '\r', '\r')
            || !pattern_ranges_add(&dot, 0x2028, 0x2029))
        {
            free(dot.r);
            return pattern_no_memory(ps);
        }

        node = pattern_set_node(ps, &dot, true);
        break;

    case '\\':
        if (ps->end - ps->p >= 2 && (ps->p[1] == 'b' || ps->p[1] == 'B')) {
            ps->p += 2;
            return pattern_node(ps, ps->p[-1] == 'b' ? PATTERN_WORD
                                                     : PATTERN_NOT_WORD);
        }

        node = pattern_atom_escape(ps);
        break;

    case '*':
    case '+':
    case '?':
    case '{':
        return pattern_fail(ps, ps->p, "there is nothing to repeat here");

    case ']':
    case '}':
        return pattern_fail(ps, ps->p, "a lone bracket must be escaped");

    default:
        node = pattern_one(ps, travel_utf8_next(&ps->p));
    }

    if (node == PATTERN_NONE || assertion) {
        return node;
    }

    return pattern_quantified(ps, node);
}


static uint32_t
pattern_beyond(pattern_parse_t *ps, const char *at)
{
    if (!ps->tree->beyond) {
        ps->tree->beyond = true;
        ps->tree->beyond_at = (size_t) (at - ps->start);
    }

    return pattern_node(ps, PATTERN_BEYOND);
}


/* "<name>" at ps->p. */
static bool
pattern_group_name(pattern_parse_t *ps)
{
    uint32_t     cp;
    const char  *at = ps->p;

    if (ps->p == ps->end || *ps->p != '<') {
        goto bad;
    }

    for (ps->p++; ps->p < ps->end && *ps->p != '>'; ) {
        cp = travel_utf8_next(&ps->p);

        if (!(cp >= 128 || cp == '_' || cp == '$'
              || (cp | 0x20) - 'a' < 26
              || (cp - '0' < 10 && ps->p - at > 2)))
        {
            goto bad;
        }
    }

    if (ps->p == ps->end || ps->p - at < 2) {
        goto bad;
    }

    ps->p++;

    return true;

bad:

    pattern_fail(ps, at, "a group name was expected here");
    return false;
}


static uint32_t
pattern_group(pattern_parse_t *ps, bool *assertion)
{
    bool         beyond = false;
    uint32_t     node;
    const char  *at = ps->p++;

    if (++ps->depth > TRAVEL_PATTERN_NESTING_MAX) {
        return pattern_fail(ps, at, "groups are nested too deeply");
    }

    if (ps->p < ps->end && *ps->p == '?') {
        ps->p++;

        if (ps->p == ps->end) {
            return pattern_fail(ps, at, "this group is not closed");
        }

        if (*ps->p == ':') {
            ps->p++;

        } else if (*ps->p == '=' || *ps->p == '!') {
            ps->p++;
            beyond = true;

        } else if (ps->end - ps->p >= 2 && *ps->p == '<'
                   && (ps->p[1] == '=' || ps->p[1] == '!'))
        {
            ps->p += 2;
            beyond = true;

        } else {
            ps->groups++;
            if (!pattern_group_name(ps)) {
                return PATTERN_NONE;
            }
        }

    } else {
        ps->groups++;
    }

    node = pattern_choice(ps);
    if (ps->failed) {
        return PATTERN_NONE;
    }

    if (ps->p == ps->end) {
        return pattern_fail(ps, at, "this group is not closed");
    }

    ps->p++;
    ps->depth--;

    *assertion = beyond;

    return beyond ? pattern_beyond(ps, at) : node;
}


static uint32_t
pattern_quantified(pattern_parse_t *ps, uint32_t child)
{
    uint32_t  node, min, max = PATTERN_NONE;

    if (ps->p == ps->end) {
        return child;
    }

    switch (*ps->p) {
    case '*':
        min = 0;
        ps->p++;
        break;
    case '+':
        min = 1;
        ps->p++;
        break;
    case '?':
        min = 0;
        max = 1;
        ps->p++;
        break;
    case '{':
        if (!pattern_braces(ps, &min, &max)) {
            return PATTERN_NONE;
        }
        break;
    default:
        return child;
    }

    /* Whether it is greedy or lazy makes no difference to "does it match". */

    if (ps->p < ps->end && *ps->p == '?') {
        ps->p++;
    }

    node = pattern_node(ps, PATTERN_REPEAT);
    if (node != PATTERN_NONE) {
        ps->tree->nodes[node].min = min;
        ps->tree->nodes[node].max = max;
        ps->tree->nodes[node].child = child;
    }

    return node;
}


static bool
pattern_count(pattern_parse_t *ps, uint32_t *v)
{
    const char  *at = ps->p;

    *v = 0;

    while (ps->p < ps->end && (uint8_t) (*ps->p - '0') <= 9) {
        *v = *v * 10 + (uint32_t) (*ps->p - '0');
        if (*v > 1000000000) {
            *v = 1000000000;
        }
        ps->p++;
    }

    return ps->p > at;
}


static bool
pattern_braces(pattern_parse_t *ps, uint32_t *min, uint32_t *max)
{
    const char  *at = ps->p++;

    if (!pattern_count(ps, min)) {
        goto bad;
    }

    *max = *min;

    if (ps->p < ps->end && *ps->p == ',') {
        ps->p++;
        *max = PATTERN_NONE;

        if (ps->p < ps->end && *ps->p != '}' && !pattern_count(ps, max)) {
            goto bad;
        }
    }

    if (ps->p == ps->end || *ps->p != '}') {
        goto bad;
    }

    ps->p++;

    if (*max < *min) {
        pattern_fail(ps, at, "the bounds of this repeat are out of order");
        return false;
    }

    return true;

bad:

    pattern_fail(ps, at, "a repeat looks like {2}, {2,} or {2,5}");
    return false;
}


/* An escape outside a class; \b and \B are not ours. */
static uint32_t
pattern_atom_escape(pattern_parse_t *ps)
{
    uint32_t           cp, n;
    const char        *at = ps->p;
    pattern_ranges_t   ranges = { NULL, 0, 0 };

    if (ps->end - ps->p < 2) {
        return pattern_fail(ps, at, "a backslash must not be the last");
    }

    if (ps->p[1] >= '1' && ps->p[1] <= '9') {
        ps->p++;
        pattern_count(ps, &n);

        if (n > ps->back_max) {
            ps->back_max = n;
            ps->back_at = at;
        }

        return pattern_beyond(ps, at);
    }

    if (ps->p[1] == 'k') {
        ps->p += 2;
        return pattern_group_name(ps) ? pattern_beyond(ps, at) : PATTERN_NONE;
    }

    if (pattern_class_escape(ps, &ranges)) {
        return pattern_set_node(ps, &ranges, false);
    }

    if (ps->failed) {
        free(ranges.r);
        return PATTERN_NONE;
    }

    cp = pattern_char_escape(ps, false);

    return cp == PATTERN_NONE ? PATTERN_NONE : pattern_one(ps, cp);
}


static uint32_t
pattern_class(pattern_parse_t *ps)
{
    bool               negated = false;
    uint32_t           lo, hi;
    const char        *at = ps->p++, *from;
    pattern_ranges_t   ranges = { NULL, 0, 0 };

    if (ps->p < ps->end && *ps->p == '^') {
        negated = true;
        ps->p++;
    }

    while (ps->p < ps->end && *ps->p != ']') {

        from = ps->p;

        if (!pattern_class_atom(ps, &ranges, &lo)) {
            goto failed;
        }

        hi = lo;

        if (ps->end - ps->p >= 2 && ps->p[0] == '-' && ps->p[1] != ']') {
            ps->p++;

            if (!pattern_class_atom(ps, &ranges, &hi)) {
                goto failed;
            }

            if (lo == PATTERN_NONE || hi == PATTERN_NONE || hi < lo) {
                pattern_fail(ps, from, "this range has no order");
                goto failed;
            }
        }

        if (lo != PATTERN_NONE && !pattern_ranges_add(&ranges, lo, hi)) {
            pattern_no_memory(ps);
            goto failed;
        }

        if (ranges.n > PATTERN_RANGES_MAX) {
            pattern_ranges_sort(&ranges);     /* many, so many are the same */
        }
    }

    if (ps->p == ps->end) {
        pattern_fail(ps, at, "this class is not closed");
        goto failed;
    }

    ps->p++;

    return pattern_set_node(ps, &ranges, negated);

failed:

    free(ranges.r);
    return PATTERN_NONE;
}


/* One code point, or a whole class added to 'to' (then *cp is none). */
static bool
pattern_class_atom(pattern_parse_t *ps, pattern_ranges_t *to, uint32_t *cp)
{
    *cp = PATTERN_NONE;

    if (*ps->p != '\\') {
        *cp = travel_utf8_next(&ps->p);
        return true;
    }

    if (ps->end - ps->p < 2) {
        pattern_fail(ps, ps->p, "a backslash must not be the last");
        return false;
    }

    if (pattern_class_escape(ps, to)) {
        return true;
    }

    if (!ps->failed) {
        *cp = pattern_char_escape(ps, true);
    }

    return !ps->failed;
}


/* \d \D \w \W \s \S \p{} \P{}; false when it is another escape or failed. */
static bool
pattern_class_escape(pattern_parse_t *ps, pattern_ranges_t *to)
{
    size_t                  i;
    char                    c = ps->p[1], kind = (char) (c | 0x20);
    pattern_ranges_t        set = { NULL, 0, 0 };

    static const struct {
        char             kind;
        pattern_range_t  range;
    } classes[] = {
        { 'd', { '0', '9' } },
        { 'w', { '0', '9' } }, { 'w', { 'A', 'Z' } }, { 'w', { '_', '_' } },
        { 'w', { 'a', 'z' } },
        { 's', { 0x09, 0x0D } }, { 's', { 0x20, 0x20 } },
        { 's', { 0xA0, 0xA0 } }, { 's', { 0x1680, 0x1680 } },
        { 's', { 0x2000, 0x200A } }, { 's', { 0x2028, 0x2029 } },
        { 's', { 0x202F, 0x202F } }, { 's', { 0x205F, 0x205F } },
        { 's', { 0x3000, 0x3000 } }, { 's', { 0xFEFF, 0xFEFF } }
    };

    if (kind == 'p') {
        return pattern_property(ps, to, c == 'P');
    }

    if (kind != 'd' && kind != 'w' && kind != 's') {
        return false;
    }

    ps->p += 2;

    for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (classes[i].kind == kind
            && !pattern_ranges_add(&set, classes[i].range.lo,
                                   classes[i].range.hi))
        {
            goto no_memory;
        }
    }

    if ((c != kind && !pattern_ranges_invert(&set))
        || !pattern_ranges_add_all(to, &set))
    {
        goto no_memory;
    }

    free(set.r);

    return true;

no_memory:

    free(set.r);
    pattern_no_memory(ps);
    return false;
}


static bool
pattern_property(pattern_parse_t *ps, pattern_ranges_t *to, bool negated)
{
    bool               ok, memory = false;
    size_t             i;
    const char        *at = ps->p, *close, *equal;
    travel_str_t       name;
    pattern_ranges_t   set = { NULL, 0, 0 };

    static const char *const  keys[] = { "General_Category", "gc" };

    ps->p += 2;

    close = ps->p < ps->end && *ps->p == '{'
            ? memchr(ps->p, '}', (size_t) (ps->end - ps->p)) : NULL;

    if (close == NULL) {
        pattern_fail(ps, at, "a property looks like \\p{Lu}");
        return false;
    }

    name.data = ps->p + 1;
    name.len = (size_t) (close - name.data);
    ps->p = close + 1;

    equal = memchr(name.data, '=', name.len);

    for (i = 0; equal && i < sizeof(keys) / sizeof(keys[0]); i++) {
        if ((size_t) (equal - name.data) == strlen(keys[i])
            && memcmp(name.data, keys[i], strlen(keys[i])) == 0)
        {
            name.len -= (size_t) (equal + 1 - name.data);
            name.data = equal + 1;
            break;
        }
    }

    if (travel_str_eq(name, TRAVEL_STR("Any"))) {
        ok = pattern_ranges_add(&set, 0, PATTERN_CP_MAX);
        memory = !ok;

    } else if (travel_str_eq(name, TRAVEL_STR("ASCII"))) {
        ok = pattern_ranges_add(&set, 0, 0x7F);
        memory = !ok;

    } else {
        ok = pattern_category_add(&set, name, &memory);
    }

    if (ok) {
        pattern_ranges_sort(&set);
        memory = (negated && !pattern_ranges_invert(&set))
                 || !pattern_ranges_add_all(to, &set);
    }

    free(set.r);

    if (memory) {
        pattern_no_memory(ps);

    } else if (!ok) {
        pattern_fail(ps, at, "only general categories (such as \\p{L}), Any "
                     "and ASCII are known here");
    }

    return ok && !memory;
}


/* The code point that an escape stands for. */
static uint32_t
pattern_char_escape(pattern_parse_t *ps, bool in_class)
{
    uint32_t     cp, low;
    const char  *at = ps->p, *mark;

    ps->p++;

    switch (*ps->p++) {
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'v':
        return '\v';
    case 'f':
        return '\f';
    case 'r':
        return '\r';

    case 'b':
        if (in_class) {
            return '\b';
        }
        break;

    case '-':
        if (in_class) {
            return '-';
        }
        break;

    case '0':
        if (ps->p == ps->end || (uint8_t) (*ps->p - '0') > 9) {
            return 0;
        }
        break;

    case 'c':
        if (ps->p < ps->end && (uint8_t) ((*ps->p | 0x20) - 'a') < 26) {
            return (uint32_t) *ps->p++ & 31;
        }
        break;

    case 'x':
        cp = pattern_hex(ps, 2);
        if (cp != PATTERN_NONE) {
            return cp;
        }
        break;

    case 'u':
        if (ps->p < ps->end && *ps->p == '{') {
            ps->p++;
            cp = pattern_hex(ps, 0);
            if (cp <= PATTERN_CP_MAX && ps->p < ps->end && *ps->p == '}') {
                ps->p++;
                return cp;
            }
            break;
        }

        cp = pattern_hex(ps, 4);

        if (cp >= 0xD800 && cp <= 0xDBFF && ps->end - ps->p >= 6
            && ps->p[0] == '\\' && ps->p[1] == 'u')
        {
            mark = ps->p;
            ps->p += 2;
            low = pattern_hex(ps, 4);

            if (low >= 0xDC00 && low <= 0xDFFF) {
                return 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            }

            ps->p = mark;
        }

        if (cp != PATTERN_NONE) {
            return cp;
        }
        break;

    default:
        if (ps->p[-1] && strchr("^$\\.*+?()[]{}|/", ps->p[-1])) {
            return (uint32_t) ps->p[-1];
        }
    }

    return pattern_fail(ps, at, "this escape is not known");
}


/* Exactly 'digits' hexadecimal digits, or one and more for 0. */
static uint32_t
pattern_hex(pattern_parse_t *ps, unsigned digits)
{
    char      c;
    unsigned  n;
    uint32_t  v = 0;

    for (n = 0; ps->p < ps->end && (digits == 0 || n < digits); n++) {
        c = *ps->p;

        if (c >= '0' && c <= '9') {
            v = v << 4 | (uint32_t) (c - '0');

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            v = v << 4 | (uint32_t) ((c | 0x20) - 'a' + 10);

        } else {
            break;
        }

        if (v > PATTERN_CP_MAX) {
            return PATTERN_NONE;
        }

        ps->p++;
    }

    return n == 0 || (digits && n < digits) ? PATTERN_NONE : v;
}
