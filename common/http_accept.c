/* Which media types a client names. */

#include <strings.h>

#include "http_accept.h"


static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}


static travel_str_t
trim(const char *p, const char *end)
{
    while (p < end && is_blank(*p)) {
        p++;
    }

    while (end > p && is_blank(end[-1])) {
        end--;
    }

    return (travel_str_t) { p, (size_t) (end - p) };
}


/* Up to one of the two, past quoted strings. */
static const char *
until(const char *p, const char *end, char a, char b)
{
    bool  quoted;

    for (quoted = false; p < end; p++) {

        if (*p == '"') {
            quoted = !quoted;

        } else if (quoted) {
            p += *p == '\\' && p + 1 < end;

        } else if (*p == a || *p == b) {
            break;
        }
    }

    return p;
}


/* "q=0", "q=0.", "q=0.000" */
static bool
is_refusal(travel_str_t param)
{
    size_t  i;

    if (param.len < 3 || strncasecmp(param.data, "q=0", 3) != 0) {
        return false;
    }

    for (i = 3; i < param.len; i++) {
        if (param.data[i] != '0' && !(i == 3 && param.data[i] == '.')) {
            return false;
        }
    }

    return true;
}


bool
travel_http_accepts(travel_str_t accept, travel_str_t type)
{
    bool           refused;
    const char    *p, *end, *stop;
    travel_str_t   range;

    end = accept.data + accept.len;

    for (p = accept.data; p < end; p = stop + 1) {
        stop = until(p, end, ',', ';');
        range = trim(p, stop);
        refused = false;

        while (stop < end && *stop == ';') {
            p = stop + 1;
            stop = until(p, end, ',', ';');
            refused |= is_refusal(trim(p, stop));
        }

        if (!refused && range.len == type.len
            && strncasecmp(range.data, type.data, type.len) == 0)
        {
            return true;
        }
    }

    return false;
}
