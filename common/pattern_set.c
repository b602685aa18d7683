/* Sets of code points for the pattern compiler: ranges, union, complement,
 * Unicode's general categories by short and long name. */

#include <stdlib.h>

#include "pattern_parts.h"

static const struct {
    const char  *name;
    const char  *category;
} pattern_long_names[] = {
    { "Letter", "L" },                 { "Cased_Letter", "LC" },
    { "Uppercase_Letter", "Lu" },      { "Lowercase_Letter", "Ll" },
    { "Titlecase_Letter", "Lt" },      { "Modifier_Letter", "Lm" },
    { "Other_Letter", "Lo" },          { "Mark", "M" },
    { "Combining_Mark", "M" },         { "Nonspacing_Mark", "Mn" },
    { "Spacing_Mark", "Mc" },          { "Enclosing_Mark", "Me" },
    { "Number", "N" },                 { "Decimal_Number", "Nd" },
    { "digit", "Nd" },                 { "Letter_Number", "Nl" },
    { "Other_Number", "No" },          { "Punctuation", "P" },
    { "punct", "P" },                  { "Connector_Punctuation", "Pc" },
    { "Dash_Punctuation", "Pd" },      { "Open_Punctuation", "Ps" },
    { "Close_Punctuation", "Pe" },     { "Initial_Punctuation", "Pi" },
    { "Final_Punctuation", "Pf" },     { "Other_Punctuation", "Po" },
    { "Symbol", "S" },                 { "Math_Symbol", "Sm" },
    { "Currency_Symbol", "Sc" },       { "Modifier_Symbol", "Sk" },
    { "Other_Symbol", "So" },          { "Separator", "Z" },
    { "Space_Separator", "Zs" },       { "Line_Separator", "Zl" },
    { "Paragraph_Separator", "Zp" },   { "Other", "C" },
    { "Control", "Cc" },               { "cntrl", "Cc" },
    { "Format", "Cf" },                { "Surrogate", "Cs" },
    { "Private_Use", "Co" },           { "Unassigned", "Cn" },
    { NULL, NULL }
};


bool
pattern_grow(void **pp, size_t *cap, size_t want, size_t item)
{
    void    *p;
    size_t   n = *cap ? *cap : 16;

    while (n < want) {
        n *= 2;
    }

    if (n == *cap) {
        return true;
    }

    p = realloc(*pp, n * item);
    if (p == NULL) {
        return false;
    }

    *pp = p;
    *cap = n;

    return true;
}


bool
pattern_ranges_add(pattern_ranges_t *to, uint32_t lo, uint32_t hi)
{
    if (!pattern_grow((void **) &to->r, &to->cap, to->n + 1,
                      sizeof(to->r[0])))
    {
        return false;
    }

    to->r[to->n].lo = lo;
    to->r[to->n].hi = hi;
    to->n++;

    return true;
}


bool
pattern_ranges_add_all(pattern_ranges_t *to, const pattern_ranges_t *from)
{
    size_t  i;

    for (i = 0; i < from->n; i++) {
        if (!pattern_ranges_add(to, from->r[i].lo, from->r[i].hi)) {
            return false;
        }
    }

    return true;
}


static int
pattern_range_cmp(const void *a, const void *b)
{
    const pattern_range_t  *ra = a, *rb = b;

    return (ra->lo > rb->lo) - (ra->lo < rb->lo);
}


void
pattern_ranges_sort(pattern_ranges_t *ranges)
{
    size_t            i, n = 0;
    pattern_range_t  *r = ranges->r;

    if (ranges->n == 0) {
        return;
    }

    qsort(r, ranges->n, sizeof(r[0]), pattern_range_cmp);

    for (i = 1; i < ranges->n; i++) {
        if (r[i].lo <= r[n].hi + 1) {
            if (r[i].hi > r[n].hi) {
                r[n].hi = r[i].hi;
            }

        } else {
            r[++n] = r[i];
        }
    }

    ranges->n = n + 1;
}


bool
pattern_ranges_invert(pattern_ranges_t *ranges)
{
    size_t            i, n = ranges->n;
    uint32_t          lo = 0;
    pattern_ranges_t  out = { NULL, 0, 0 };

    for (i = 0; i < n; i++) {
        if (ranges->r[i].lo > lo
            && !pattern_ranges_add(&out, lo, ranges->r[i].lo - 1))
        {
            free(out.r);
            return false;
        }

        lo = ranges->r[i].hi + 1;
    }

    if (lo <= PATTERN_CP_MAX && !pattern_ranges_add(&out, lo, PATTERN_CP_MAX)) {
        free(out.r);
        return false;
    }

    free(ranges->r);
    *ranges = out;

    return true;
}


static bool
pattern_category_has(const char *want, const char *category)
{
    if (want[1] == '\0') {
        return want[0] == category[0];
    }

    if (want[1] == 'C' && want[0] == 'L') {
        return category[0] == 'L' && (category[1] == 'u' || category[1] == 'l'
                                      || category[1] == 't');
    }

    return want[0] == category[0] && want[1] == category[1];
}


static bool
pattern_category_collect(pattern_ranges_t *to, const char *want,
    bool unassigned)
{
    size_t    i;
    uint32_t  lo = 0;

    for (i = 0; i < pattern_unicode_count; i++) {

        if (unassigned && pattern_unicode[i].lo > lo
            && !pattern_ranges_add(to, lo, pattern_unicode[i].lo - 1))
        {
            return false;
        }

        lo = pattern_unicode[i].hi + 1;

        if (pattern_category_has(want,
                           pattern_categories[pattern_unicode[i].category])
            && !pattern_ranges_add(to, pattern_unicode[i].lo,
                                   pattern_unicode[i].hi))
        {
            return false;
        }
    }

    return !unassigned || lo > PATTERN_CP_MAX
           || pattern_ranges_add(to, lo, PATTERN_CP_MAX);
}


bool
pattern_category_add(pattern_ranges_t *to, travel_str_t name,
    bool *ret_memory)
{
    size_t       i;
    bool         known = false;
    const char  *want = NULL;
    char         brief[3] = "";

    *ret_memory = false;

    for (i = 0; pattern_long_names[i].name; i++) {
        if (strlen(pattern_long_names[i].name) == name.len
            && memcmp(pattern_long_names[i].name, name.data, name.len) == 0)
        {
            want = pattern_long_names[i].category;
        }
    }

    if (want == NULL) {
        if (name.len < 1 || name.len > 2) {
            return false;
        }

        memcpy(brief, name.data, name.len);
        want = brief;
    }

    known = strcmp(want, "Cn") == 0 || strcmp(want, "LC") == 0;

    for (i = 0; !known && pattern_categories[i]; i++) {
        known = want[0] == pattern_categories[i][0]
                && (want[1] == '\0' || want[1] == pattern_categories[i][1]);
    }

    if (!known) {
        return false;
    }

    *ret_memory = !pattern_category_collect(to, want,
                                            want[0] == 'C'
                                            && (want[1] == '\0'
                                                || want[1] == 'n'));
    return !*ret_memory;
}
