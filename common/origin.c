/* Origins and the patterns that allow them.  See origin.h. */

#include "digits.h"
#include "origin.h"


static bool
travel_origin_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'
           || c == '.' || c == '_';
}


/* Where the host begins; 0: no scheme. */

static size_t
travel_origin_host(travel_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len && ((s.data[i] >= 'a' && s.data[i] <= 'z')
                              || (i != 0 && (s.data[i] == '+'
                                             || s.data[i] == '-'
                                             || s.data[i] == '.'
                                             || (s.data[i] >= '0'
                                                 && s.data[i] <= '9')))); i++)
    {
        /* void */
    }

    return i != 0 && s.len - i > 3 && memcmp(s.data + i, "://", 3) == 0
           ? i + 3 : 0;
}


/* 1 to 65535, as digits alone. */

static bool
travel_origin_port(travel_str_t s)
{
    uint64_t  port;

    return travel_digits_parse(&port, s) == TRAVEL_OK && port >= 1
           && port <= 65535;
}


/* "[::1]", or a name; the rest may be a port. */

static bool
travel_origin_authority(travel_str_t s)
{
    size_t  i = 0;

    if (s.len != 0 && s.data[0] == '[') {
        for (i = 1; i < s.len && ((s.data[i] >= '0' && s.data[i] <= '9')
                                  || (s.data[i] >= 'a' && s.data[i] <= 'f')
                                  || s.data[i] == ':' || s.data[i] == '.'); i++)
        {
            /* void */
        }

        if (i < 3 || i == s.len || s.data[i++] != ']') {
            return false;
        }

    } else {
        while (i < s.len && travel_origin_host_char(s.data[i])) {
            i++;
        }

        if (i == 0 || s.data[0] == '.') {
            return false;
        }
    }

    if (i == s.len) {
        return true;
    }

    return s.data[i] == ':'
           && travel_origin_port((travel_str_t) { s.data + i + 1,
                                                  s.len - i - 1 });
}


/* "https://a:443", which browsers write without the port: it would fit none. */

static bool
travel_origin_default_port(travel_str_t s)
{
    size_t  i, begin, end;

    static const struct {
        const char  *scheme;
        const char  *port;
    } defaults[] = { { "http://", ":80" }, { "https://", ":443" } };

    for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        begin = strlen(defaults[i].scheme);
        end = strlen(defaults[i].port);

        if (s.len > begin + end
            && memcmp(s.data, defaults[i].scheme, begin) == 0
            && memcmp(s.data + s.len - end, defaults[i].port, end) == 0)
        {
            return true;
        }
    }

    return false;
}


bool
travel_origin_sane(travel_str_t origin)
{
    size_t  host;

    if (origin.len == 0 || origin.len > TRAVEL_ORIGIN_MAX) {
        return false;
    }

    host = travel_origin_host(origin);

    return host != 0
           && travel_origin_authority((travel_str_t) { origin.data + host,
                                                       origin.len - host });
}


bool
travel_origin_pattern_sane(travel_str_t pattern)
{
    size_t  host;

    if (travel_str_eq(pattern, TRAVEL_STR("*"))) {
        return true;
    }

    if (travel_origin_default_port(pattern)) {
        return false;
    }

    host = pattern.len <= TRAVEL_ORIGIN_MAX ? travel_origin_host(pattern) : 0;

    if (host != 0 && pattern.len - host > 2
        && memcmp(pattern.data + host, "*.", 2) == 0)
    {
        host += 2;
    }

    return host != 0 && pattern.data[host] != '['
           ? travel_origin_authority((travel_str_t) { pattern.data + host,
                                                      pattern.len - host })
           : travel_origin_sane(pattern);
}


bool
travel_origin_match(travel_str_t pattern, travel_str_t origin)
{
    size_t  host, tail;

    if (!travel_origin_sane(origin)) {
        return false;
    }

    if (travel_str_eq(pattern, TRAVEL_STR("*"))) {
        return true;
    }

    host = travel_origin_host(pattern);

    if (host == 0 || pattern.len - host < 2 || pattern.data[host] != '*') {
        return travel_str_eq(pattern, origin);
    }

    /* the same scheme, something, and ".example.com" with the same port */

    tail = pattern.len - host - 1;

    return origin.len > host + tail
           && memcmp(origin.data, pattern.data, host) == 0
           && memcmp(origin.data + origin.len - tail, pattern.data + host + 1,
                     tail) == 0;
}
