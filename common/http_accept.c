/* What a client thinks of a media type. */

#include <string.h>
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


/* "q=0.25", in thousandths; what is no weight says nothing. */
static unsigned
weight_of(travel_str_t param, unsigned otherwise)
{
    size_t    i;
    unsigned  weight, unit;

    if (param.len < 3 || strncasecmp(param.data, "q=", 2) != 0
        || (param.data[2] != '0' && param.data[2] != '1'))
    {
        return otherwise;
    }

    weight = 0;

    for (i = 2, unit = 1000; i < param.len && unit > 0; i++) {

        if (param.data[i] >= '0' && param.data[i] <= '9') {
            weight += (unsigned) (param.data[i] - '0') * unit;
            unit /= 10;

        } else if (param.data[i] != '.') {
            break;
        }
    }

    return weight < 1000 ? weight : 1000;
}


/* How a range fits the type: 3, by its name; 2, "text" and all; 1, all; 0. */
static unsigned
fit_of(travel_str_t range, travel_str_t type)
{
    size_t  kind;

    if (range.len == type.len
        && strncasecmp(range.data, type.data, type.len) == 0)
    {
        return 3;
    }

    if (range.len < 3 || memcmp(range.data + range.len - 2, "/*", 2) != 0) {
        return 0;
    }

    kind = range.len - 1;

    if (kind < type.len && strncasecmp(range.data, type.data, kind) == 0) {
        return 2;
    }

    return range.len == 3 && range.data[0] == '*';
}


unsigned
travel_http_accept_weight(travel_str_t accept, travel_str_t type,
    unsigned *ret_place)
{
    unsigned       n, fit, best, weight, most;
    const char    *p, *end, *stop;
    travel_str_t   range;

    end = accept.data + accept.len;
    best = 0;
    most = 0;
    *ret_place = 0;

    for (p = accept.data, n = 1; p < end; p = stop + 1, n++) {
        stop = until(p, end, ',', ';');
        range = trim(p, stop);
        weight = 1000;

        while (stop < end && *stop == ';') {
            p = stop + 1;
            stop = until(p, end, ',', ';');
            weight = weight_of(trim(p, stop), weight);
        }

        fit = fit_of(range, type);

        if (fit > best || (fit == best && fit != 0 && weight > most)) {
            best = fit;
            most = weight;
            *ret_place = fit == 3 ? n : 0;
        }
    }

    return most;
}


bool
travel_http_accepts(travel_str_t accept, travel_str_t type)
{
    unsigned  place;

    return travel_http_accept_weight(accept, type, &place) != 0 && place != 0;
}
