/* Cache directives: a table of names, and two ways of writing them. */

#include "cache_control.h"
#include "structured_field.h"


typedef struct {
    const char   *name;
    uint32_t      bit;
    int           seconds;      /* offset of its value, -1: it has none */
} cc_directive_t;


#define seconds_of(field)  (int) offsetof(travel_cache_control_t, field)

static const cc_directive_t  directives[] = {
    { "max-age",                TRAVEL_CC_MAX_AGE,  seconds_of(max_age) },
    { "s-maxage",               TRAVEL_CC_S_MAXAGE, seconds_of(s_maxage) },
    { "min-fresh",              TRAVEL_CC_MIN_FRESH, seconds_of(min_fresh) },
    { "max-stale",              TRAVEL_CC_MAX_STALE, seconds_of(max_stale) },
    { "stale-while-revalidate", TRAVEL_CC_SWR,      seconds_of(swr) },
    { "stale-if-error",         TRAVEL_CC_SIE,      seconds_of(sie) },
    { "no-cache",               TRAVEL_CC_NO_CACHE,         -1 },
    { "no-store",               TRAVEL_CC_NO_STORE,         -1 },
    { "private",                TRAVEL_CC_PRIVATE,          -1 },
    { "public",                 TRAVEL_CC_PUBLIC,           -1 },
    { "must-revalidate",        TRAVEL_CC_MUST_REVALIDATE,  -1 },
    { "proxy-revalidate",       TRAVEL_CC_PROXY_REVALIDATE, -1 },
    { "no-transform",           TRAVEL_CC_NO_TRANSFORM,     -1 },
    { "must-understand",        TRAVEL_CC_MUST_UNDERSTAND,  -1 },
    { "only-if-cached",         TRAVEL_CC_ONLY_IF_CACHED,   -1 },
};


static const cc_directive_t *
find_directive(travel_str_t name)
{
    size_t       i, k;
    const char  *s;

    for (i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        s = directives[i].name;

        for (k = 0; k < name.len && s[k] != '\0'; k++) {
            if ((name.data[k] >= 'A' && name.data[k] <= 'Z'
                 ? name.data[k] + 32 : name.data[k]) != s[k])
            {
                break;
            }
        }

        if (k == name.len && s[k] == '\0') {
            return &directives[i];
        }
    }

    return NULL;
}


int
travel_delta_seconds(uint32_t *ret_v, travel_str_t text)
{
    size_t    i;
    uint64_t  v;

    if (text.len == 0) {
        return TRAVEL_INVALID;
    }

    for (i = 0, v = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return TRAVEL_INVALID;
        }

        v = v * 10 + (uint64_t) (text.data[i] - '0');

        if (v > TRAVEL_DELTA_SECONDS_MAX) {
            v = TRAVEL_DELTA_SECONDS_MAX;
        }
    }

    *ret_v = (uint32_t) v;

    return TRAVEL_OK;
}


static void
set_seconds(travel_cache_control_t *cc, const cc_directive_t *d, uint32_t v)
{
    memcpy((char *) cc + d->seconds, &v, sizeof(v));
    cc->set |= d->bit;
}


static void
set_directive(travel_cache_control_t *cc, const cc_directive_t *d,
    travel_str_t value, bool has_value)
{
    uint32_t  v;

    if (cc->set & d->bit) {
        return;
    }

    if (d->seconds < 0) {
        cc->set |= d->bit;
        return;
    }

    if (has_value && travel_delta_seconds(&v, value) == TRAVEL_OK) {
        set_seconds(cc, d, v);

    } else if (d->bit == TRAVEL_CC_MAX_STALE && !has_value) {
        set_seconds(cc, d, TRAVEL_DELTA_SECONDS_MAX);

    } else if (d->bit & (TRAVEL_CC_MAX_AGE|TRAVEL_CC_S_MAXAGE)) {
        set_seconds(cc, d, 0);
    }
}


static bool
is_gap(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}


/* A quoted value with its quotes taken off; a missing end is the line's. */
static const char *
quoted(const char *p, const char *end, travel_str_t *ret_value)
{
    ret_value->data = ++p;

    while (p < end && *p != '"') {
        p += (*p == '\\' && p + 1 < end) ? 2 : 1;
    }

    ret_value->len = (size_t) (p - ret_value->data);

    return p < end ? p + 1 : end;
}


void
travel_cache_control_parse(travel_cache_control_t *cc, travel_str_t line)
{
    bool                   has_value;
    const char            *p, *end;
    travel_str_t           name, value;
    const cc_directive_t  *d;

    p = line.data;
    end = p + line.len;
    cc->set |= TRAVEL_CC_ANY;

    while (p < end) {

        while (p < end && is_gap(*p)) {
            p++;
        }

        name.data = p;

        while (p < end && !is_gap(*p) && *p != '=') {
            p++;
        }

        name.len = (size_t) (p - name.data);
        value = TRAVEL_NULL_STR;
        has_value = p < end && *p == '=';

        if (has_value) {
            p++;

            if (p < end && *p == '"') {
                p = quoted(p, end, &value);

            } else {
                value.data = p;

                while (p < end && !is_gap(*p)) {
                    p++;
                }

                value.len = (size_t) (p - value.data);
            }
        }

        d = find_directive(name);

        if (d != NULL) {
            set_directive(cc, d, value, has_value);
        }

        /* what is left of a member that is none: "a b" */

        while (p < end && *p != ',') {
            p++;
        }
    }
}


/* The last of a key that comes twice counts; what has the wrong type does not
 * count at all. */
static void
set_targeted(travel_cache_control_t *cc, const cc_directive_t *d,
    const travel_sf_item_t *item)
{
    int64_t  v;

    if (d->seconds < 0) {
        if (item->type == TRAVEL_SF_BOOLEAN && item->number == 0) {
            cc->set &= ~d->bit;

        } else {
            /* a string is a qualified one */
            cc->set |= d->bit;
        }

        return;
    }

    if (item->type != TRAVEL_SF_INTEGER) {
        cc->set &= ~d->bit;
        return;
    }

    v = item->number < 0 ? 0 : item->number;
    v = v > TRAVEL_DELTA_SECONDS_MAX ? TRAVEL_DELTA_SECONDS_MAX : v;
    set_seconds(cc, d, (uint32_t) v);
}


int
travel_cache_control_targeted(travel_cache_control_t *ret_cc,
    travel_str_t field)
{
    int                      rc;
    travel_sf_t              sf;
    travel_str_t             key;
    travel_sf_item_t         item;
    const cc_directive_t    *d;
    travel_cache_control_t   cc;

    memset(&cc, 0, sizeof(cc));
    sf = travel_sf_open(field);

    while ((rc = travel_sf_dict_next(&sf, &key, &item)) == TRAVEL_OK) {
        cc.set |= TRAVEL_CC_ANY;
        d = find_directive(key);

        if (d != NULL) {
            set_targeted(&cc, d, &item);
        }
    }

    if (rc != TRAVEL_UNKNOWN || !(cc.set & TRAVEL_CC_ANY)) {
        return TRAVEL_INVALID;
    }

    *ret_cc = cc;

    return TRAVEL_OK;
}
