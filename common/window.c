/* Sliding windows over a ring of marks. */

#include "window.h"


/*
 * Marks are opened at least a grain apart and live until 'span' after their
 * last event, which is less than a grain after they were opened.  So fewer
 * than span / grain + 2 are alive at once, and that is what the ring holds.
 */

travel_window_rule_t
travel_window_rule(uint32_t quota, uint32_t span)
{
    travel_window_rule_t  rule;

    rule.quota = quota;
    rule.span = span;
    rule.grain = 0;

    if (quota > TRAVEL_WINDOW_MARKS) {
        rule.grain = (span + TRAVEL_WINDOW_MARKS - 3)
                     / (TRAVEL_WINDOW_MARKS - 2);
    }

    return rule;
}


static unsigned
travel_window_index(const travel_window_t *w, unsigned i)
{
    return (w->oldest + i) % TRAVEL_WINDOW_MARKS;
}


void
travel_window_advance(travel_window_t *w, const travel_window_rule_t *rule,
    uint32_t now)
{
    const travel_window_mark_t  *mark;

    while (w->live != 0) {
        mark = &w->marks[w->oldest];

        if (now - mark->at < rule->span) {
            return;
        }

        w->sum -= mark->n;
        w->oldest = (uint16_t) travel_window_index(w, 1);
        w->live--;
    }
}


uint32_t
travel_window_room(const travel_window_t *w, const travel_window_rule_t *rule)
{
    return w->sum < rule->quota ? rule->quota - w->sum : 0;
}


uint32_t
travel_window_wait(const travel_window_t *w, const travel_window_rule_t *rule,
    uint32_t n, uint32_t now)
{
    uint64_t                     freed, need;
    unsigned                     i;
    const travel_window_mark_t  *mark;

    if (n > rule->quota) {
        return TRAVEL_WINDOW_NEVER;
    }

    if (w->sum + (uint64_t) n <= rule->quota) {
        return 0;
    }

    need = w->sum + (uint64_t) n - rule->quota;
    freed = 0;

    for (i = 0; i < w->live; i++) {
        mark = &w->marks[travel_window_index(w, i)];
        freed += mark->n;

        if (freed >= need) {
            return mark->at + rule->span - now;
        }
    }

    return rule->span;
}


uint32_t
travel_window_more(const travel_window_t *w, const travel_window_rule_t *rule,
    uint32_t now)
{
    unsigned                     i;
    const travel_window_mark_t  *mark;

    for (i = 0; i < w->live; i++) {
        mark = &w->marks[travel_window_index(w, i)];

        if (mark->n != 0) {
            return mark->at + rule->span - now;
        }
    }

    return 0;
}


/* What a sum still holds, so that no debt, however large, wraps it. */
static inline uint32_t
travel_window_fits(const travel_window_t *w, uint32_t n)
{
    return n <= TRAVEL_WINDOW_SUM_MAX - w->sum ? n
                                               : TRAVEL_WINDOW_SUM_MAX - w->sum;
}


unsigned
travel_window_take(travel_window_t *w, const travel_window_rule_t *rule,
    uint32_t n, uint32_t now)
{
    bool                   join;
    unsigned               newest;
    travel_window_mark_t  *mark;

    newest = 0;
    join = false;

    if (w->live != 0) {
        newest = travel_window_index(w, w->live - 1u);

        /* a full ring cannot be; if it were, joining errs on the safe side */
        join = w->marks[newest].at == now
               || now - w->opened < rule->grain
               || w->live == TRAVEL_WINDOW_MARKS;
    }

    if (!join) {
        newest = travel_window_index(w, w->live);
        w->marks[newest].n = 0;
        w->opened = now;
        w->live++;
    }

    n = travel_window_fits(w, n);

    mark = &w->marks[newest];
    mark->at = now;
    mark->n += n;
    w->sum += n;

    return newest;
}


/*
 * A mark that held an event of 'taken' lives at least until 'taken' + span, so
 * before that the index still means the same mark.  An emptied newest mark is
 * removed, so that taking and undoing for ever does not fill the ring.
 */

void
travel_window_undo(travel_window_t *w, const travel_window_rule_t *rule,
    uint32_t n, unsigned mark, uint32_t taken, uint32_t now)
{
    if (now - taken >= rule->span || mark >= TRAVEL_WINDOW_MARKS
        || w->live == 0)
    {
        return;
    }

    if (n > w->marks[mark].n) {
        n = w->marks[mark].n;
    }

    if (n > w->sum) {
        n = w->sum;
    }

    w->marks[mark].n -= n;
    w->sum -= n;

    if (w->marks[mark].n == 0
        && mark == travel_window_index(w, w->live - 1u))
    {
        w->live--;
        w->opened = now - rule->grain;
    }
}


/* --- days ---------------------------------------------------------------- */

void
travel_window_turn(travel_window_t *w, uint32_t day)
{
    if (day > w->opened) {
        w->opened = day;
        w->sum = 0;
    }
}


uint32_t
travel_window_day_wait(const travel_window_t *w,
    const travel_window_rule_t *rule, uint32_t n, uint32_t day, uint32_t left)
{
    if (n > rule->quota) {
        return TRAVEL_WINDOW_NEVER;
    }

    if (w->sum + (uint64_t) n <= rule->quota) {
        return 0;
    }

    /* at most one day more: the earth has no zones further apart */
    return left + (w->opened > day ? TRAVEL_WINDOW_SPAN_MAX : 0);
}


void
travel_window_day_take(travel_window_t *w, uint32_t n)
{
    w->sum += travel_window_fits(w, n);
}


void
travel_window_day_undo(travel_window_t *w, uint32_t n, uint32_t day)
{
    if (w->opened == day) {
        w->sum -= n < w->sum ? n : w->sum;
    }
}
