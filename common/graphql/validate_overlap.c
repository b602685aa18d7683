/*
 * Fields of one response name must be one field (section 5.3.2).
 *
 * Every selection set is collected once: its fields by response name, inline
 * fragments opened, and the names of the fragments it spreads.  Then pairs are
 * compared: fields within a set, a set with a fragment, a fragment with a
 * fragment; two fields that agree have their own selections compared in turn.
 * Pairs with fragments are remembered and compared once.
 *
 * A comparison that leads to others is not a call but a task on a stack.  The
 * task that was put below them hears whether they found anything: a conflict
 * of what is selected is one of the fields that select it, with the places of
 * all of them.
 *
 * Collecting and comparing count work.  Copies of a leaf with the same
 * arguments are collected a few times only: more of them say nothing new.
 */

#include "validate_parts.h"

#include <stdlib.h>

#define OVERLAP_COPIES  32

typedef travel_graphql_ast_t         ast_t;
typedef travel_graphql_type_t        type_t;
typedef travel_graphql_unit_t        unit_t;
typedef travel_graphql_check_t       check_t;
typedef travel_graphql_mistake_t     mistake_t;
typedef travel_graphql_validation_t  validation_t;

/* A field in a set. */
typedef struct overlap_field_s  overlap_field_t;

struct overlap_field_s {
    const ast_t      *node;
    const type_t     *parent;
    overlap_field_t  *next;           /* of the same response name */
};

/* A response name of a set. */
typedef struct overlap_key_s  overlap_key_t;

struct overlap_key_s {
    travel_str_t      name;
    overlap_field_t  *fields;
    overlap_field_t  *last;
    size_t            n;
    overlap_key_t    *next;
};

typedef struct overlap_spread_s  overlap_spread_t;

struct overlap_spread_s {
    unit_t            *unit;
    overlap_spread_t  *next;
    overlap_spread_t  *prev;
};

/* A selection set, collected. */
typedef struct {
    overlap_key_t     *keys;
    overlap_key_t     *last;
    overlap_spread_t  *spreads;       /* each fragment once */
    overlap_spread_t  *last_spread;
} overlap_set_t;

typedef enum {
    OVERLAP_SETS,                     /* a's fields and b's */
    OVERLAP_SET_FRAGMENT,             /* a's fields and a fragment's */
    OVERLAP_FRAGMENTS,
    OVERLAP_PAIR                      /* two fields whose selections were
                                         compared by the tasks above */
} overlap_task_e;

typedef struct {
    overlap_task_e          kind;
    bool                    apart;    /* never of one object */
    bool                    found;    /* PAIR: a conflict below */
    size_t                  pair;     /* the task PAIR it is for, plus one */
    const overlap_set_t    *a;
    const overlap_set_t    *b;
    unit_t                 *x;
    unit_t                 *y;
    const overlap_key_t    *key;      /* SETS: where it is */
    const overlap_field_t  *fa;       /* PAIR, and SETS within the key */
    const overlap_field_t  *fb;
    travel_graphql_place_t  left[TRAVEL_GRAPHQL_PLACES_MAX];
    travel_graphql_place_t  right[TRAVEL_GRAPHQL_PLACES_MAX];
    size_t                  nleft;
    size_t                  nright;
} overlap_task_t;

typedef struct {
    validation_t    *v;
    check_t         *c;
    overlap_task_t  *tasks;           /* free()d */
    size_t           n;
    size_t           room;
} overlap_t;


/* --- collecting ---------------------------------------------------------- */

static bool overlap_same_arguments(check_t *c, const ast_t *a, const ast_t *b);


static travel_str_t
overlap_name(const ast_t *field)
{
    return field->alias.len > 0 ? field->alias : field->name;
}


/* Has the key a leaf like this already, among the first few? */
static bool
overlap_copy(check_t *c, const overlap_key_t *key, const ast_t *node,
    const type_t *parent)
{
    const overlap_field_t  *field;

    if (key->n < OVERLAP_COPIES || node->children != NULL) {
        return false;
    }

    for (field = key->fields; field != NULL; field = field->next) {
        if (field->parent == parent && field->node->children == NULL
            && travel_str_eq(field->node->name, node->name)
            && overlap_same_arguments(c, field->node, node))
        {
            return true;
        }

        if (!travel_graphql_check_work(c, 1)) {
            return true;
        }
    }

    return false;
}


static int
overlap_add_field(check_t *c, overlap_set_t *set, const ast_t *node,
    const type_t *parent)
{
    void             **value;
    overlap_key_t     *key;
    overlap_field_t   *field;

    TRY(travel_graphql_names_put(&c->names, set, overlap_name(node), &value));
    key = *value;

    if (key == NULL) {
        key = travel_graphql_arena_alloc(&c->arena, sizeof(*key));
        if (key == NULL) {
            return TRAVEL_ERROR;
        }

        *value = key;
        key->name = overlap_name(node);

        if (set->last != NULL) {
            set->last->next = key;
        } else {
            set->keys = key;
        }

        set->last = key;

    } else if (overlap_copy(c, key, node, parent)) {
        return TRAVEL_OK;
    }

    field = travel_graphql_arena_alloc(&c->arena, sizeof(*field));
    if (field == NULL) {
        return TRAVEL_ERROR;
    }

    field->node = node;
    field->parent = parent;
    key->n++;

    if (key->last != NULL) {
        key->last->next = field;
    } else {
        key->fields = field;
    }

    key->last = field;
    return TRAVEL_OK;
}


static int
overlap_add_spread(validation_t *v, overlap_set_t *set, const ast_t *node)
{
    void              **value;
    unit_t             *unit;
    overlap_spread_t   *spread;

    unit = travel_graphql_validate_fragment(v, node->name);

    if (unit == NULL) {
        return TRAVEL_OK;
    }

    TRY(travel_graphql_names_put(&v->check.names, &set->spreads, node->name,
                                 &value));

    if (*value != NULL) {
        return TRAVEL_OK;
    }

    spread = travel_graphql_arena_alloc(&v->check.arena, sizeof(*spread));
    if (spread == NULL) {
        return TRAVEL_ERROR;
    }

    *value = spread;
    spread->unit = unit;
    spread->prev = set->last_spread;

    if (set->last_spread != NULL) {
        set->last_spread->next = spread;
    } else {
        set->spreads = spread;
    }

    set->last_spread = spread;
    return TRAVEL_OK;
}


/* What 'owner' selects; inline fragments are part of it. */
static int
overlap_collect(validation_t *v, const ast_t *owner, overlap_set_t *set)
{
    const ast_t  *node;

    for (node = owner->children; node != NULL;
         node = travel_graphql_validate_next(node, owner,
                    node->kind == TRAVEL_GRAPHQL_INLINE))
    {
        if (!travel_graphql_check_work(&v->check, 1)) {
            return TRAVEL_OK;
        }

        if (node->kind == TRAVEL_GRAPHQL_FIELD) {
            TRY(overlap_add_field(&v->check, set, node, node->parent->of));

        } else if (node->kind != TRAVEL_GRAPHQL_INLINE) {
            TRY(overlap_add_spread(v, set, node));
        }
    }

    return TRAVEL_OK;
}


static int
overlap_set(validation_t *v, const ast_t *owner, overlap_set_t **ret_set)
{
    void  **value;

    TRY(travel_graphql_names_put(&v->check.names, &owner->children,
                                 TRAVEL_STR("set"), &value));

    if (*value != NULL) {
        *ret_set = *value;
        return TRAVEL_OK;
    }

    *ret_set = travel_graphql_arena_alloc(&v->check.arena, sizeof(**ret_set));
    if (*ret_set == NULL) {
        return TRAVEL_ERROR;
    }

    *value = *ret_set;
    return overlap_collect(v, owner, *ret_set);
}


/* --- values -------------------------------------------------------------- */

static size_t
overlap_count(const ast_t *list)
{
    size_t  n = 0;

    while (list != NULL) {
        list = list->next;
        n++;
    }

    return n;
}


/* Are two literals alike as such, without what is in them? */
static bool
overlap_alike(const ast_t *a, const ast_t *b)
{
    return a->kind == b->kind && a->block == b->block
           && travel_str_eq(a->text, b->text)
           && travel_str_eq(a->name, b->name)
           && overlap_count(a->children) == overlap_count(b->children);
}


/* The item or member of 'list' that belongs to 'child'; 'at' is where it would
 * be in the same order. */
static const ast_t *
overlap_partner(check_t *c, const ast_t *list, const ast_t *child,
    const ast_t *at)
{
    if (child->kind != TRAVEL_GRAPHQL_ARGUMENT
        || (at != NULL && travel_str_eq(at->name, child->name)))
    {
        return at;
    }

    at = travel_graphql_find(list, child->name);

    return travel_graphql_check_work(c, overlap_count(list)) ? at : NULL;
}


/* Two literals, by a stack of pairs; members of objects in any order. */
static bool
overlap_same_value(check_t *c, const ast_t *a, const ast_t *b)
{
    size_t        n = 0;
    const ast_t  *child, *at, *other;

    for ( ;; ) {

        if (!overlap_alike(a, b)) {
            return false;
        }

        for (child = a->children, at = b->children; child != NULL;
             child = child->next, at = at != NULL ? at->next : NULL)
        {
            other = overlap_partner(c, b->children, child, at);

            if (other == NULL || !travel_graphql_check_work(c, 1)) {
                return false;
            }

            if (travel_graphql_grow((void **) &c->frames, &c->frames_room, n,
                                    sizeof(*c->frames)) != TRAVEL_OK)
            {
                c->report->failed = true;
                return false;
            }

            c->frames[n].at = child->value != NULL ? child->value : child;
            c->frames[n++].type = other->value != NULL ? other->value : other;
        }

        if (n == 0) {
            return true;
        }

        a = c->frames[--n].at;
        b = c->frames[n].type;
    }
}


static bool
overlap_same_arguments(check_t *c, const ast_t *a, const ast_t *b)
{
    const ast_t  *arg, *other;

    if (overlap_count(a->arguments) != overlap_count(b->arguments)) {
        return false;
    }

    for (arg = a->arguments; arg != NULL; arg = arg->next) {
        other = travel_graphql_find(b->arguments, arg->name);

        if (other == NULL || !travel_graphql_check_work(c, 1)
            || !overlap_same_value(c, arg->value, other->value))
        {
            return false;
        }
    }

    return true;
}


/* Can one value not be of both?  Lists and non-null must be so in both. */
static bool
overlap_types_differ(const ast_t *a, const ast_t *b)
{
    while (a->kind == b->kind && a->kind != TRAVEL_GRAPHQL_TYPE_NAMED) {
        a = a->type;
        b = b->type;
    }

    return a->kind != b->kind
           || (a->of != b->of && a->of != NULL && b->of != NULL
               && (travel_graphql_is_leaf(a->of)
                   || travel_graphql_is_leaf(b->of)));
}


/* --- tasks --------------------------------------------------------------- */

static int
overlap_push(overlap_t *o, const overlap_task_t *task)
{
    TRY(travel_graphql_grow((void **) &o->tasks, &o->room, o->n,
                            sizeof(*o->tasks)));
    o->tasks[o->n++] = *task;
    return TRAVEL_OK;
}


static int
overlap_push_sets(overlap_t *o, size_t pair, bool apart,
    const overlap_set_t *a, const overlap_set_t *b)
{
    overlap_task_t  task = { .kind = OVERLAP_SETS, .pair = pair, .a = a,
                             .b = b, .apart = apart };

    return overlap_push(o, &task);
}


static int
overlap_push_fragment(overlap_t *o, size_t pair, bool apart,
    const overlap_set_t *a, unit_t *y)
{
    overlap_task_t  task = { .kind = OVERLAP_SET_FRAGMENT, .pair = pair,
                             .a = a, .y = y, .apart = apart };

    return overlap_push(o, &task);
}


static int
overlap_push_fragments(overlap_t *o, size_t pair, bool apart, unit_t *x,
    unit_t *y)
{
    overlap_task_t  task = { .kind = OVERLAP_FRAGMENTS, .pair = pair, .x = x,
                             .y = y, .apart = apart };

    return overlap_push(o, &task);
}


/* Was the pair compared before, as strictly?  Remembers that it was. */
static int
overlap_known(overlap_t *o, const void *scope, unit_t *unit, bool apart,
    bool *ret_known)
{
    void  **value;

    static char  strictly, loosely;

    TRY(travel_graphql_names_put(&o->c->names, scope, (travel_str_t) {
            (const char *) &unit->self, sizeof(unit->self) }, &value));

    *ret_known = *value == &strictly || (*value != NULL && apart);

    if (!*ret_known) {
        *value = apart ? &loosely : &strictly;
    }

    return TRAVEL_OK;
}


/* --- conflicts ----------------------------------------------------------- */

static void
overlap_place(travel_graphql_place_t *places, size_t *n, uint32_t line,
    uint32_t column)
{
    if (*n < TRAVEL_GRAPHQL_PLACES_MAX) {
        places[*n].line = line;
        places[(*n)++].column = column;
    }
}


/* Tells whoever waits for it; if nobody does, it is a mistake. */
static void
overlap_conflict(overlap_t *o, const overlap_task_t *pair, const char *why)
{
    size_t           i;
    mistake_t       *mistake;
    travel_str_t     name = overlap_name(pair->fa->node);
    overlap_task_t  *outer;

    if (pair->pair > 0) {
        outer = &o->tasks[pair->pair - 1];
        outer->found = true;

        for (i = 0; i < pair->nleft; i++) {
            overlap_place(outer->left, &outer->nleft, pair->left[i].line,
                          pair->left[i].column);
        }

        for (i = 0; i < pair->nright; i++) {
            overlap_place(outer->right, &outer->nright, pair->right[i].line,
                          pair->right[i].column);
        }

        return;
    }

    mistake = travel_graphql_report(o->c->report, "Fields \"%.*s\" conflict "
                  "because %s. Use different aliases on the fields to fetch "
                  "both if this was intentional.", N_(name), why);

    for (i = 0; mistake != NULL && i < pair->nleft; i++) {
        overlap_place(mistake->places, &mistake->nplaces, pair->left[i].line,
                      pair->left[i].column);
    }

    for (i = 0; mistake != NULL && i < pair->nright; i++) {
        overlap_place(mistake->places, &mistake->nplaces, pair->right[i].line,
                      pair->right[i].column);
    }
}


/* Why the two cannot be one, themselves; NULL: they can. */
static const char *
overlap_differ(overlap_t *o, const overlap_field_t *a,
    const overlap_field_t *b, bool apart)
{
    if (!apart && !travel_str_eq(a->node->name, b->node->name)) {
        return "they are different fields";
    }

    if (!apart && !overlap_same_arguments(o->c, a->node, b->node)) {
        return "they have differing arguments";
    }

    return a->node->def != NULL && b->node->def != NULL
           && overlap_types_differ(a->node->def->type, b->node->def->type)
           ? "they return conflicting types" : NULL;
}


/* What two fields select, under a task that waits for it; what is pushed last
 * is done first. */
static int
overlap_below(overlap_t *o, size_t pair, const overlap_field_t *fa,
    const overlap_field_t *fb, bool apart)
{
    overlap_set_t           *a, *b;
    const overlap_spread_t  *s, *t;

    TRY(overlap_set(o->v, fa->node, &a));
    TRY(overlap_set(o->v, fb->node, &b));

    for (s = a->last_spread; s != NULL; s = s->prev) {
        for (t = b->last_spread; t != NULL; t = t->prev) {
            if (!travel_graphql_check_work(o->c, 1)) {
                return TRAVEL_OK;
            }

            TRY(overlap_push_fragments(o, pair, apart, s->unit, t->unit));
        }
    }

    for (s = a->last_spread; s != NULL; s = s->prev) {
        TRY(overlap_push_fragment(o, pair, apart, b, s->unit));
    }

    for (t = b->last_spread; t != NULL; t = t->prev) {
        TRY(overlap_push_fragment(o, pair, apart, a, t->unit));
    }

    return overlap_push_sets(o, pair, apart, a, b);
}


static int
overlap_pair(overlap_t *o, const overlap_field_t *a, const overlap_field_t *b,
    bool apart, size_t waiting)
{
    const char      *why;
    overlap_task_t   pair = { .kind = OVERLAP_PAIR, .pair = waiting, .fa = a,
                              .fb = b };

    apart = apart || (a->parent != b->parent && a->parent != NULL
                      && b->parent != NULL
                      && a->parent->kind == TRAVEL_GRAPHQL_DEF_OBJECT
                      && b->parent->kind == TRAVEL_GRAPHQL_DEF_OBJECT);

    overlap_place(pair.left, &pair.nleft, a->node->line, a->node->column);
    overlap_place(pair.right, &pair.nright, b->node->line, b->node->column);
    why = overlap_differ(o, a, b, apart);

    if (why != NULL) {
        if (!o->c->report->exhausted) {
            overlap_conflict(o, &pair, why);
        }

        return TRAVEL_OK;
    }

    if (a->node->children == NULL || b->node->children == NULL) {
        return TRAVEL_OK;
    }

    TRY(overlap_push(o, &pair));
    return overlap_below(o, o->n, a, b, apart);
}


/* --- what the tasks do --------------------------------------------------- */

/* The next pair of fields, one of a and one of b; the task stays until there
 * is none. */
static int
overlap_sets(overlap_t *o)
{
    overlap_key_t          *other;
    overlap_task_t         *task = &o->tasks[o->n - 1];
    const overlap_field_t  *fa, *fb;

    while (task->fb == NULL) {

        if (task->fa != NULL && task->fa->next != NULL) {
            task->fa = task->fa->next;

        } else {
            task->key = task->key == NULL ? task->a->keys : task->key->next;
            task->fa = task->key != NULL ? task->key->fields : NULL;
        }

        if (task->key == NULL || !travel_graphql_check_work(o->c, 1)) {
            o->n--;
            return TRAVEL_OK;
        }

        other = travel_graphql_names_get(&o->c->names, task->b,
                                         task->key->name);
        task->fb = other != NULL ? other->fields : NULL;

        if (other == NULL) {
            task->fa = NULL;
        }
    }

    fa = task->fa;
    fb = task->fb;
    task->fb = fb->next;

    return overlap_pair(o, fa, fb, task->apart, task->pair);
}


static int
overlap_set_fragment(overlap_t *o, overlap_task_t task)
{
    bool                     known;
    overlap_set_t           *set;
    const overlap_spread_t  *s;

    if (task.a->keys == NULL) {
        return TRAVEL_OK;
    }

    TRY(overlap_known(o, &task.a->last, task.y, task.apart, &known));

    if (known) {
        return TRAVEL_OK;
    }

    TRY(overlap_set(o->v, task.y->def, &set));

    if (set == task.a) {
        return TRAVEL_OK;
    }

    for (s = set->last_spread; s != NULL; s = s->prev) {
        TRY(overlap_push_fragment(o, task.pair, task.apart, task.a, s->unit));
    }

    return overlap_push_sets(o, task.pair, task.apart, task.a, set);
}


static int
overlap_fragments(overlap_t *o, overlap_task_t task)
{
    bool                     known;
    overlap_set_t           *a, *b;
    const overlap_spread_t  *s;

    if (task.x == task.y) {
        return TRAVEL_OK;
    }

    TRY(task.x < task.y
        ? overlap_known(o, &task.x->self, task.y, task.apart, &known)
        : overlap_known(o, &task.y->self, task.x, task.apart, &known));

    if (known) {
        return TRAVEL_OK;
    }

    TRY(overlap_set(o->v, task.x->def, &a));
    TRY(overlap_set(o->v, task.y->def, &b));

    for (s = a->last_spread; s != NULL; s = s->prev) {
        TRY(overlap_push_fragments(o, task.pair, task.apart, s->unit, task.y));
    }

    for (s = b->last_spread; s != NULL; s = s->prev) {
        TRY(overlap_push_fragments(o, task.pair, task.apart, task.x, s->unit));
    }

    return overlap_push_sets(o, task.pair, task.apart, a, b);
}


/* Until nothing is left to do, or too much was done. */
static int
overlap_run(overlap_t *o)
{
    overlap_task_t  task;

    while (o->n > 0 && travel_graphql_check_work(o->c, 1)) {

        if (o->tasks[o->n - 1].kind == OVERLAP_SETS) {
            TRY(overlap_sets(o));
            continue;
        }

        task = o->tasks[--o->n];

        switch (task.kind) {

        case OVERLAP_SET_FRAGMENT:
            TRY(overlap_set_fragment(o, task));
            break;

        case OVERLAP_FRAGMENTS:
            TRY(overlap_fragments(o, task));
            break;

        default:
            if (task.found) {
                overlap_conflict(o, &task, "what they select conflicts");
            }
        }
    }

    return TRAVEL_OK;
}


/* --- every selection set ------------------------------------------------- */

/* The fields of one set with each other, and with the fragments in it. */
static int
overlap_within(overlap_t *o, const ast_t *owner)
{
    overlap_set_t           *set;
    const overlap_key_t     *key;
    const overlap_field_t   *a, *b;
    const overlap_spread_t  *s, *t;

    o->n = 0;
    TRY(overlap_set(o->v, owner, &set));

    for (key = set->keys; key != NULL; key = key->next) {
        for (a = key->fields; a != NULL; a = a->next) {
            for (b = a->next; b != NULL; b = b->next) {

                if (!travel_graphql_check_work(o->c, 1)) {
                    return TRAVEL_OK;
                }

                TRY(overlap_pair(o, a, b, false, 0));
                TRY(overlap_run(o));
            }
        }
    }

    for (s = set->spreads; s != NULL; s = s->next) {
        TRY(overlap_push_fragment(o, 0, false, set, s->unit));
        TRY(overlap_run(o));

        for (t = s->next; t != NULL; t = t->next) {

            if (!travel_graphql_check_work(o->c, 1)) {
                return TRAVEL_OK;
            }

            TRY(overlap_push_fragments(o, 0, false, s->unit, t->unit));
            TRY(overlap_run(o));
        }
    }

    return TRAVEL_OK;
}


static int
overlap_all(overlap_t *o)
{
    size_t        i;
    const ast_t  *def, *node;

    for (i = 0; i < o->v->nunits; i++) {
        def = o->v->units[i]->def;
        TRY(overlap_within(o, def));

        for (node = def->children;
             node != NULL && !o->c->report->exhausted;
             node = travel_graphql_validate_next(node, def, true))
        {
            if (node->children != NULL) {
                TRY(overlap_within(o, node));
            }
        }
    }

    return TRAVEL_OK;
}


int
travel_graphql_validate_overlap(validation_t *v)
{
    int        rc;
    overlap_t  o = { .v = v, .c = &v->check };

    rc = overlap_all(&o);
    free(o.tasks);
    return rc;
}
