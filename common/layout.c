/* Ranges of partitions: text to struct and back, places; contract in the
 * header. */

#include <stdio.h>

#include "digits.h"
#include "layout.h"


/* "4@0"; "4" alone is from 0 on. */
int
travel_range_parse(travel_range_t *ret_range, travel_str_t text)
{
    uint64_t       n, base;
    const char    *at;
    travel_str_t   count, first;

    at = text.len > 0 ? memchr(text.data, '@', text.len) : NULL;
    count = text;
    base = 0;

    if (at != NULL) {
        count.len = (size_t) (at - text.data);
        first.data = at + 1;
        first.len = text.len - count.len - 1;

        if (travel_digits_parse(&base, first) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    if (travel_digits_parse(&n, count) != TRAVEL_OK || n < 1
        || n > TRAVEL_PARTITIONS_MAX || base > TRAVEL_PARTITIONS_MAX - n)
    {
        return TRAVEL_INVALID;
    }

    *ret_range = (travel_range_t) { (unsigned) n, (unsigned) base };

    return TRAVEL_OK;
}


static bool
layout_apart(const travel_range_t *a, const travel_range_t *b)
{
    return a->base + a->n <= b->base || b->base + b->n <= a->base;
}


int
travel_layout_parse(travel_layout_t *ret_layout, travel_str_t text)
{
    const char       *less;
    travel_str_t      now, was;
    travel_layout_t   layout = { { 0, 0 }, { 0, 0 } };

    less = text.len > 0 ? memchr(text.data, '<', text.len) : NULL;
    now = text;

    if (less != NULL) {
        now.len = (size_t) (less - text.data);
        was.data = less + 1;
        was.len = text.len - now.len - 1;

        if (travel_range_parse(&layout.was, was) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    if (travel_range_parse(&layout.now, now) != TRAVEL_OK
        || !layout_apart(&layout.now, &layout.was))
    {
        return TRAVEL_INVALID;
    }

    *ret_layout = layout;

    return TRAVEL_OK;
}


size_t
travel_range_format(char dst[TRAVEL_LAYOUT_TEXT_MAX],
    const travel_range_t *range)
{
    return (size_t) snprintf(dst, TRAVEL_LAYOUT_TEXT_MAX, "%u@%u",
                             range->n % 1000, range->base % 1000);
}


size_t
travel_layout_format(char dst[TRAVEL_LAYOUT_TEXT_MAX],
    const travel_layout_t *layout)
{
    size_t  n;

    if (layout->was.n == 0 && layout->now.base == 0) {
        return (size_t) snprintf(dst, TRAVEL_LAYOUT_TEXT_MAX, "%u",
                                 layout->now.n % 1000);
    }

    n = travel_range_format(dst, &layout->now);

    if (layout->was.n > 0) {
        dst[n++] = '<';
        n += (size_t) snprintf(dst + n, TRAVEL_LAYOUT_TEXT_MAX - n, "%u@%u",
                               layout->was.n % 1000, layout->was.base % 1000);
    }

    return n;
}


unsigned
travel_range_place(const travel_range_t *range, unsigned bucket)
{
    return range->base + bucket % range->n;
}


unsigned
travel_layout_top(const travel_layout_t *layout)
{
    unsigned  now, was;

    now = layout->now.base + layout->now.n;
    was = layout->was.base + layout->was.n;

    return now > was ? now : was;
}


int
travel_layout_next(travel_layout_t *ret_layout, const travel_layout_t *layout,
    unsigned n)
{
    travel_layout_t  next;

    next.was = layout->now;
    next.now = (travel_range_t) { n, layout->now.base + layout->now.n };

    if (next.now.base + n > TRAVEL_PARTITIONS_MAX) {
        next.now.base = 0;
    }

    if (n < 1 || n > TRAVEL_PARTITIONS_MAX
        || !layout_apart(&next.now, &next.was))
    {
        return TRAVEL_REFUSED;
    }

    *ret_layout = next;

    return TRAVEL_OK;
}
