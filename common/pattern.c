/*
 * Regular expressions, run as automata.
 *
 * The tree becomes a small program (Thompson's construction).  A search keeps
 * the set of all places in the program where a match may stand and moves the
 * whole set over each code point once: time is text times program, whatever
 * the pattern.  Where the set of those sets is small, and for the patterns of
 * real schemas it is, they are all worked out at compile, and a search is one
 * table look-up per code point.
 *
 * Everything in travel_pattern_t is written by compile only.
 */

#include <stdlib.h>

#include "pattern_parts.h"
#include "utf8.h"

#define PATTERN_DFA_STATES   512
#define PATTERN_DFA_CLASSES  64
#define PATTERN_DFA_STEPS    2048
#define PATTERN_DFA_SETS     64       /* bits of a signature */
#define PATTERN_EMIT_WORK    200000   /* copies of nothing are work as well */

typedef enum {
    PATTERN_OP_SET,
    PATTERN_OP_SPLIT,
    PATTERN_OP_START,
    PATTERN_OP_END,
    PATTERN_OP_WORD,
    PATTERN_OP_NOT_WORD,
    PATTERN_OP_MATCH
} pattern_op_e;

typedef struct {
    uint32_t  op;
    uint32_t  set;
    uint32_t  out;
    uint32_t  other;          /* SPLIT: the second way */
} pattern_step_t;

#define PATTERN_STATE_MATCH   1   /* a match has ended here */
#define PATTERN_STATE_AT_END  2   /* is one if the text ends here */
#define PATTERN_STATE_DEAD    4   /* no match can come any more */

struct travel_pattern_s {
    pattern_step_t   *steps;
    uint32_t          nsteps;
    uint32_t          start;
    bool              words;          /* has \b or \B */
    pattern_set_t    *sets;
    pattern_range_t  *ranges;

    /* the table, if there is one: states x classes */

    uint16_t         *table;
    uint8_t          *flags;          /* by state */
    uint32_t          nclasses;
    uint8_t           ascii[128];     /* class of a code point */
    uint32_t         *points;         /* where each interval starts */
    uint8_t          *classes;        /* its class */
    uint32_t          npoints;
};

typedef struct {
    travel_pattern_t      *pattern;
    const pattern_tree_t  *tree;
    size_t                 cap;
    size_t                 work;
    bool                   memory;
    bool                   large;
} pattern_emit_t;

/* Where the text stands between two code points. */
typedef struct {
    bool  start;
    bool  end;
    bool  boundary;
} pattern_place_t;

/* Working memory of a search; all arrays of nsteps. */
typedef struct {
    uint32_t  *kernel;        /* places right after the last code point */
    uint32_t  *next;          /* the same after the next one */
    uint32_t  *sets;          /* SET steps that can be reached from there */
    uint32_t  *stack;         /* twice as long */
    uint32_t  *mark;          /* == epoch: seen */
    uint32_t   epoch;
    uint32_t   nkernel;
    uint32_t   nsets;
} pattern_walk_t;

static uint32_t pattern_emit(pattern_emit_t *em, uint32_t node,
    uint32_t next);
static uint32_t pattern_emit_repeat(pattern_emit_t *em,
    const pattern_node_t *node, uint32_t next);
static void pattern_table(travel_pattern_t *pattern,
    const pattern_tree_t *tree);
static bool pattern_table_classes(travel_pattern_t *pattern,
    const pattern_tree_t *tree);


int
travel_pattern_compile(travel_pattern_t **ret_pattern, travel_str_t text,
    const char **ret_why, size_t *ret_at)
{
    int                rc;
    uint32_t           match;
    pattern_emit_t     em = { 0 };
    pattern_tree_t     tree;
    travel_pattern_t  *pattern = NULL;

    rc = pattern_tree_parse(&tree, text);

    if (rc != TRAVEL_OK) {
        *ret_why = tree.why;
        *ret_at = tree.at;
        goto done;
    }

    if (tree.beyond) {
        *ret_why = "look-around and back-references cannot be checked in "
                   "linear time and are not supported";
        *ret_at = tree.beyond_at;
        rc = TRAVEL_INVALID;
        goto done;
    }

    rc = TRAVEL_ERROR;

    pattern = calloc(1, sizeof(*pattern));
    if (pattern == NULL) {
        goto done;
    }

    pattern->sets = tree.sets;
    pattern->ranges = tree.ranges.r;
    tree.sets = NULL;
    tree.ranges.r = NULL;

    em.pattern = pattern;
    em.tree = &tree;

    match = pattern_emit(&em, PATTERN_NONE, PATTERN_NONE);
    pattern->start = pattern_emit(&em, tree.root, match);

    if (em.large) {
        *ret_why = "the pattern is too large once its repeats are written "
                   "out";
        *ret_at = 0;
        rc = TRAVEL_INVALID;
        goto done;
    }

    if (em.memory) {
        goto done;
    }

    pattern_table(pattern, &tree);

    *ret_pattern = pattern;
    pattern = NULL;
    rc = TRAVEL_OK;

done:

    travel_pattern_free(pattern);
    pattern_tree_fini(&tree);

    return rc;
}


void
travel_pattern_free(travel_pattern_t *pattern)
{
    if (pattern == NULL) {
        return;
    }

    free(pattern->steps);
    free(pattern->sets);
    free(pattern->ranges);
    free(pattern->table);
    free(pattern->flags);
    free(pattern->points);
    free(pattern->classes);
    free(pattern);
}


bool
travel_pattern_valid(travel_str_t text)
{
    int             rc;
    pattern_tree_t  tree;

    rc = pattern_tree_parse(&tree, text);
    pattern_tree_fini(&tree);

    return rc == TRAVEL_OK;
}


static uint32_t
pattern_step(pattern_emit_t *em, pattern_op_e op, uint32_t set, uint32_t out)
{
    pattern_step_t    *step;
    travel_pattern_t  *pattern = em->pattern;

    if (pattern->nsteps == TRAVEL_PATTERN_STEPS_MAX) {
        em->large = true;
        return 0;
    }

    if (!pattern_grow((void **) &pattern->steps, &em->cap,
                      pattern->nsteps + 1, sizeof(pattern->steps[0])))
    {
        em->memory = true;
        return 0;
    }

    step = &pattern->steps[pattern->nsteps];
    step->op = op;
    step->set = set;
    step->out = out;
    step->other = PATTERN_NONE;

    return pattern->nsteps++;
}


/* Emits 'node' so that it goes on to 'next'; returns where it is entered.
 * No node is the end of all: a match.  Recursion as deep as groups nest. */
static uint32_t
pattern_emit(pattern_emit_t *em, uint32_t node, uint32_t next)
{
    uint32_t               child, split, way;
    const pattern_node_t  *n;

    if (node == PATTERN_NONE) {
        return pattern_step(em, PATTERN_OP_MATCH, 0, 0);
    }

    if (++em->work > PATTERN_EMIT_WORK) {
        em->large = true;
    }

    if (em->large || em->memory) {
        return 0;
    }

    n = &em->tree->nodes[node];

    switch (n->kind) {

    case PATTERN_SET:
        return pattern_step(em, PATTERN_OP_SET, n->set, next);

    case PATTERN_START:
        return pattern_step(em, PATTERN_OP_START, 0, next);

    case PATTERN_END:
        return pattern_step(em, PATTERN_OP_END, 0, next);

    case PATTERN_WORD:
    case PATTERN_NOT_WORD:
        em->pattern->words = true;
        return pattern_step(em, n->kind == PATTERN_WORD ? PATTERN_OP_WORD
                                                        : PATTERN_OP_NOT_WORD,
                            0, next);

    case PATTERN_SEQUENCE:
        for (child = n->child; child != PATTERN_NONE;
             child = em->tree->nodes[child].next)
        {
            next = pattern_emit(em, child, next);
        }

        return next;

    case PATTERN_CHOICE:
        way = pattern_emit(em, n->child, next);

        for (child = em->tree->nodes[n->child].next; child != PATTERN_NONE;
             child = em->tree->nodes[child].next)
        {
            split = pattern_step(em, PATTERN_OP_SPLIT, 0, way);
            way = pattern_emit(em, child, next);

            if (em->large || em->memory) {
                return 0;
            }

            em->pattern->steps[split].other = way;
            way = split;
        }

        return way;

    case PATTERN_REPEAT:
        return pattern_emit_repeat(em, n, next);

    default:
        return next;
    }
}


static uint32_t
pattern_emit_repeat(pattern_emit_t *em, const pattern_node_t *n, uint32_t next)
{
    uint32_t  i, split, body, tail = next;

    if (n->min > TRAVEL_PATTERN_REPEAT_MAX
        || (n->max != PATTERN_NONE && n->max > TRAVEL_PATTERN_REPEAT_MAX))
    {
        em->large = true;
        return 0;
    }

    if (n->max == PATTERN_NONE) {
        split = pattern_step(em, PATTERN_OP_SPLIT, 0, next);
        body = pattern_emit(em, n->child, split);

        if (em->large || em->memory) {
            return 0;
        }

        em->pattern->steps[split].other = body;
        tail = split;
    }

    for (i = n->min; n->max != PATTERN_NONE && i < n->max; i++) {
        body = pattern_emit(em, n->child, tail);
        tail = pattern_step(em, PATTERN_OP_SPLIT, 0, next);

        if (em->large || em->memory) {
            return 0;
        }

        em->pattern->steps[tail].other = body;
    }

    for (i = 0; i < n->min; i++) {
        tail = pattern_emit(em, n->child, tail);
    }

    return tail;
}


static bool
pattern_set_has(const travel_pattern_t *pattern, uint32_t set, uint32_t cp)
{
    size_t                  lo, hi, mid;
    const pattern_set_t    *s = &pattern->sets[set];
    const pattern_range_t  *r;

    if (cp < 128) {
        return s->ascii[cp >> 6] >> (cp & 63) & 1;
    }

    if (s->count == 0) {
        return false;                 /* and there may be no range at all */
    }

    r = pattern->ranges + s->start;
    lo = 0;
    hi = s->count;

    while (lo < hi) {
        mid = (lo + hi) / 2;

        if (cp > r[mid].hi) {
            lo = mid + 1;

        } else if (cp < r[mid].lo) {
            hi = mid;

        } else {
            return true;
        }
    }

    return false;
}


/* Follows everything that takes no code point from the kernel and, for a
 * match may begin anywhere, from the start.  Fills walk->sets; true when the
 * match step was reached. */
static bool
pattern_close(const travel_pattern_t *pattern, pattern_walk_t *w,
    pattern_place_t place)
{
    bool                   go, matched = false;
    uint32_t               i, pc, top = 0;
    const pattern_step_t  *step;

    w->epoch++;
    w->nsets = 0;

    for (i = 0; i <= w->nkernel; i++) {

        w->stack[top++] = i < w->nkernel ? w->kernel[i] : pattern->start;

        while (top) {
            pc = w->stack[--top];

            if (w->mark[pc] == w->epoch) {
                continue;
            }

            w->mark[pc] = w->epoch;
            step = &pattern->steps[pc];

            switch (step->op) {
            case PATTERN_OP_SET:
                w->sets[w->nsets++] = pc;
                continue;

            case PATTERN_OP_MATCH:
                matched = true;
                continue;

            case PATTERN_OP_SPLIT:
                w->stack[top++] = step->other;
                go = true;
                break;

            case PATTERN_OP_START:
                go = place.start;
                break;

            case PATTERN_OP_END:
                go = place.end;
                break;

            case PATTERN_OP_WORD:
                go = place.boundary;
                break;

            default:
                go = !place.boundary;
            }

            if (go) {
                w->stack[top++] = step->out;
            }
        }
    }

    return matched;
}


static void
pattern_walk_init(pattern_walk_t *w, uint32_t *memory, uint32_t n)
{
    w->kernel = memory;
    w->next = memory + n;
    w->sets = memory + 2 * (size_t) n;
    w->mark = memory + 3 * (size_t) n;
    w->stack = memory + 4 * (size_t) n;
    w->epoch = 0;
    w->nkernel = 0;
    w->nsets = 0;

    memset(w->mark, 0, n * sizeof(w->mark[0]));
}

/* A step is expanded once and pushes two at most, one comes from outside. */
#define pattern_walk_words(n)  (4 * (size_t) (n) + 2 * (size_t) (n) + 2)


static bool
pattern_word_at(const char *p, const char *end)
{
    return p < end
           && ((uint8_t) ((*p | 0x20) - 'a') < 26
               || (uint8_t) (*p - '0') < 10 || *p == '_');
}


static bool
pattern_walk_text(const travel_pattern_t *pattern, pattern_walk_t *w,
    travel_str_t s)
{
    bool              before = false, after;
    uint32_t          i, cp, pc, n, *swap;
    const char       *p = s.data, *end = s.data + s.len;
    pattern_place_t   place = { true, false, false };

    for ( ;; ) {
        after = pattern_word_at(p, end);
        place.end = p == end;
        place.boundary = before != after;

        if (pattern_close(pattern, w, place)) {
            return true;
        }

        if (p == end) {
            return false;
        }

        cp = travel_utf8_next(&p);
        place.start = false;
        before = after;

        w->epoch++;

        for (i = 0, n = 0; i < w->nsets; i++) {
            pc = w->sets[i];

            if (pattern_set_has(pattern, pattern->steps[pc].set, cp)
                && w->mark[pattern->steps[pc].out] != w->epoch)
            {
                w->mark[pattern->steps[pc].out] = w->epoch;
                w->next[n++] = pattern->steps[pc].out;
            }
        }

        swap = w->kernel;
        w->kernel = w->next;
        w->next = swap;
        w->nkernel = n;
    }
}


/* Class of a code point outside ASCII: the last interval that starts at or
 * before it. */
static uint32_t
pattern_class_of(const travel_pattern_t *pattern, uint32_t cp)
{
    uint32_t  lo = 0, hi = pattern->npoints, mid;

    while (hi - lo > 1) {
        mid = (lo + hi) / 2;

        if (pattern->points[mid] <= cp) {
            lo = mid;

        } else {
            hi = mid;
        }
    }

    return pattern->classes[lo];
}


int
travel_pattern_search(const travel_pattern_t *pattern, travel_str_t s,
    travel_pattern_scratch_t *scratch)
{
    void            *data;
    size_t           size;
    uint32_t         state = 0, class;
    const char      *p, *end;
    pattern_walk_t   w;

    if (s.len == 0) {
        s.data = "";
    }

    if (pattern->table) {

        for (p = s.data, end = s.data + s.len; p < end; ) {

            if (pattern->flags[state]
                & (PATTERN_STATE_MATCH | PATTERN_STATE_DEAD))
            {
                return pattern->flags[state] & PATTERN_STATE_MATCH
                       ? TRAVEL_OK : TRAVEL_REFUSED;
            }

            if ((uint8_t) *p < 128) {
                class = pattern->ascii[(uint8_t) *p++];

            } else {
                class = pattern_class_of(pattern, travel_utf8_next(&p));
            }

            state = pattern->table[state * pattern->nclasses + class];
        }

        return pattern->flags[state]
               & (PATTERN_STATE_MATCH | PATTERN_STATE_AT_END)
               ? TRAVEL_OK : TRAVEL_REFUSED;
    }

    size = pattern_walk_words(pattern->nsteps) * sizeof(uint32_t);

    if (scratch->size < size) {
        data = realloc(scratch->data, size);
        if (data == NULL) {
            return TRAVEL_ERROR;
        }

        scratch->data = data;
        scratch->size = size;
    }

    pattern_walk_init(&w, scratch->data, pattern->nsteps);

    return pattern_walk_text(pattern, &w, s) ? TRAVEL_OK : TRAVEL_REFUSED;
}


void
travel_pattern_scratch_free(travel_pattern_scratch_t *scratch)
{
    free(scratch->data);
    scratch->data = NULL;
    scratch->size = 0;
}


static int
pattern_point_cmp(const void *a, const void *b)
{
    uint32_t  pa = *(const uint32_t *) a, pb = *(const uint32_t *) b;

    return (pa > pb) - (pa < pb);
}


/* Code points that are in the same sets are one class. */
static bool
pattern_table_classes(travel_pattern_t *pattern, const pattern_tree_t *tree)
{
    size_t     i, k, n;
    uint32_t   cp;
    uint64_t   sig, known[PATTERN_DFA_CLASSES];

    pattern->points = malloc((2 * tree->ranges.n + 2) * sizeof(uint32_t));
    if (pattern->points == NULL) {
        return false;
    }

    n = 0;
    pattern->points[n++] = 0;
    pattern->points[n++] = 128;

    for (i = 0; i < tree->ranges.n; i++) {
        pattern->points[n++] = pattern->ranges[i].lo;
        pattern->points[n++] = pattern->ranges[i].hi + 1;
    }

    qsort(pattern->points, n, sizeof(uint32_t), pattern_point_cmp);

    for (i = 1, k = 0; i < n; i++) {
        if (pattern->points[i] != pattern->points[k]) {
            pattern->points[++k] = pattern->points[i];
        }
    }

    pattern->npoints = (uint32_t) k + 1;

    pattern->classes = malloc(pattern->npoints);
    if (pattern->classes == NULL) {
        return false;
    }

    for (i = 0; i < pattern->npoints; i++) {
        sig = 0;

        for (k = 0; k < tree->nsets; k++) {
            sig |= (uint64_t) pattern_set_has(pattern, (uint32_t) k,
                                              pattern->points[i]) << k;
        }

        for (k = 0; k < pattern->nclasses && known[k] != sig; k++) {
            /* void */
        }

        if (k == PATTERN_DFA_CLASSES) {
            return false;
        }

        known[k] = sig;
        pattern->classes[i] = (uint8_t) k;

        if (k == pattern->nclasses) {
            pattern->nclasses++;
        }
    }

    for (cp = 0; cp < 128; cp++) {
        pattern->ascii[cp] = (uint8_t) pattern_class_of(pattern, cp);
    }

    return true;
}


typedef struct {
    travel_pattern_t  *pattern;
    pattern_walk_t     walk;
    uint64_t          *kernels;       /* a bit per step, a row per state */
    size_t             words;
    uint32_t           sample[PATTERN_DFA_CLASSES];   /* a member of each */
    uint32_t           n;             /* states; 0 has the start before it */
} pattern_build_t;


/* The state whose kernel is 'row'; 'row' lies behind the last state. */
static uint32_t
pattern_build_state(pattern_build_t *b, const uint64_t *row)
{
    uint32_t  i;

    for (i = 1; i < b->n; i++) {
        if (memcmp(b->kernels + i * b->words, row,
                   b->words * sizeof(*row)) == 0)
        {
            return i;
        }
    }

    return b->n++;
}


static bool
pattern_build(pattern_build_t *b)
{
    uint64_t          *row;
    uint32_t           s, c, i, pc, out;
    pattern_walk_t    *w = &b->walk;
    pattern_place_t    place;
    travel_pattern_t  *pattern = b->pattern;

    b->n = 1;

    for (s = 0; s < b->n; s++) {

        w->nkernel = 0;
        for (pc = 0; pc < pattern->nsteps; pc++) {
            if (b->kernels[s * b->words + pc / 64] >> (pc % 64) & 1) {
                w->kernel[w->nkernel++] = pc;
            }
        }

        place = (pattern_place_t) { s == 0, true, false };

        if (pattern_close(pattern, w, place)) {
            pattern->flags[s] |= PATTERN_STATE_AT_END;
        }

        place.end = false;

        if (pattern_close(pattern, w, place)) {
            pattern->flags[s] |= PATTERN_STATE_MATCH;
            continue;
        }

        for (c = 0; c < pattern->nclasses; c++) {

            if (b->n == PATTERN_DFA_STATES) {
                return false;
            }

            row = b->kernels + b->n * b->words;
            memset(row, 0, b->words * sizeof(*row));

            for (i = 0; i < w->nsets; i++) {
                pc = w->sets[i];

                if (pattern_set_has(pattern, pattern->steps[pc].set,
                                    b->sample[c]))
                {
                    out = pattern->steps[pc].out;
                    row[out / 64] |= UINT64_C(1) << (out % 64);
                }
            }

            pattern->table[s * pattern->nclasses + c]
                = (uint16_t) pattern_build_state(b, row);
        }

        /* Nothing to read on, and not at the start: it stays like this. */

        if (s != 0 && w->nsets == 0 && pattern->flags[s] == 0) {
            pattern->flags[s] = PATTERN_STATE_DEAD;
        }
    }

    return true;
}


/* Works out the table; without one the search walks, so failing is fine. */
static void
pattern_table(travel_pattern_t *pattern, const pattern_tree_t *tree)
{
    bool              ok = false;
    uint32_t          i, *memory = NULL;
    pattern_build_t  *b = NULL;

    if (pattern->words || pattern->nsteps > PATTERN_DFA_STEPS
        || tree->nsets > PATTERN_DFA_SETS
        || !pattern_table_classes(pattern, tree))
    {
        goto done;
    }

    b = calloc(1, sizeof(*b));
    if (b == NULL) {
        goto done;
    }

    b->pattern = pattern;
    b->words = pattern->nsteps / 64 + 1;
    b->kernels = calloc(PATTERN_DFA_STATES + 1, b->words * sizeof(uint64_t));
    memory = malloc(pattern_walk_words(pattern->nsteps) * sizeof(uint32_t));
    pattern->flags = calloc(PATTERN_DFA_STATES, 1);
    pattern->table = calloc(PATTERN_DFA_STATES,
                            pattern->nclasses * sizeof(uint16_t));

    if (b->kernels && memory && pattern->flags && pattern->table) {
        pattern_walk_init(&b->walk, memory, pattern->nsteps);

        for (i = 0; i < pattern->npoints; i++) {
            b->sample[pattern->classes[i]] = pattern->points[i];
        }

        ok = pattern_build(b);
    }

done:

    if (!ok) {
        free(pattern->table);
        pattern->table = NULL;
    }

    if (b) {
        free(b->kernels);
        free(b);
    }

    free(memory);
}
