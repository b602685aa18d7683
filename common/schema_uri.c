/* Resolution of URI references, RFC 3986 section 5.2. */

#include "schema_parts.h"

typedef struct {
    travel_str_t  scheme;             /* data NULL: absent, here and below */
    travel_str_t  authority;
    travel_str_t  path;
    travel_str_t  query;
} schema_uri_t;


static schema_uri_t
schema_uri_split(travel_str_t text)
{
    const char    *p = text.data, *end = text.data + text.len, *q;
    schema_uri_t   uri = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };

    q = memchr(p, '#', (size_t) (end - p));
    if (q) {
        end = q;
    }

    for (q = p; q < end && *q != ':' && *q != '/' && *q != '?'; q++) {
        /* void */
    }

    if (q < end && *q == ':' && q > p) {
        uri.scheme = (travel_str_t) { p, (size_t) (q - p) };
        p = q + 1;
    }

    if (end - p >= 2 && p[0] == '/' && p[1] == '/') {
        for (q = p + 2; q < end && *q != '/' && *q != '?'; q++) {
            /* void */
        }

        uri.authority = (travel_str_t) { p + 2, (size_t) (q - p - 2) };
        p = q;
    }

    for (q = p; q < end && *q != '?'; q++) {
        /* void */
    }

    uri.path = (travel_str_t) { p, (size_t) (q - p) };

    if (q < end) {
        uri.query = (travel_str_t) { q + 1, (size_t) (end - q - 1) };
    }

    return uri;
}


/* Section 5.2.4, in place; returns the new length. */
static size_t
schema_uri_dots(char *path, size_t len)
{
    char    *out = path;
    size_t   i = 0, n;

    while (i < len) {
        for (n = 1; i + n < len && path[i + n] != '/'; n++) {
            /* void */
        }

        /* one segment with the '/' before it, if there is one */

        if (path[i] == '/' && n == 2 && path[i + 1] == '.') {
            if (i + n == len) {
                *out++ = '/';
            }

        } else if (path[i] == '/' && n == 3 && path[i + 1] == '.'
                   && path[i + 2] == '.')
        {
            while (out > path && *--out != '/') {
                /* void */
            }

            if (i + n == len) {
                *out++ = '/';
            }

        } else {
            memmove(out, path + i, n);
            out += n;
        }

        i += n;
    }

    return (size_t) (out - path);
}


static char *
schema_uri_put(char *p, travel_str_t s)
{
    if (s.len) {
        memcpy(p, s.data, s.len);
    }

    return p + s.len;
}


size_t
schema_uri_resolve(char *dst, travel_str_t base_text, travel_str_t ref_text)
{
    char          *p = dst, *path;
    schema_uri_t   base, ref;

    base_text.data = base_text.data ? base_text.data : "";
    base = schema_uri_split(base_text);
    ref = schema_uri_split(ref_text);

    if (ref.scheme.data == NULL) {
        ref.scheme = base.scheme;

        if (ref.authority.data == NULL) {
            ref.authority = base.authority;

            if (ref.path.len == 0) {
                ref.path = base.path;
                ref.query = ref.query.data ? ref.query : base.query;
                base.path.len = 0;

            } else if (ref.path.data[0] != '/') {
                while (base.path.len
                       && base.path.data[base.path.len - 1] != '/')
                {
                    base.path.len--;
                }

                goto merge;
            }
        }
    }

    base.path.len = 0;

merge:

    if (ref.scheme.data) {
        p = schema_uri_put(p, ref.scheme);
        *p++ = ':';
    }

    if (ref.authority.data) {
        p = schema_uri_put(p, TRAVEL_STR("//"));
        p = schema_uri_put(p, ref.authority);
    }

    path = p;

    if (base.path.len == 0 && ref.authority.data && ref.path.len
        && ref.path.data[0] != '/')
    {
        *p++ = '/';
    }

    p = schema_uri_put(p, base.path);
    p = schema_uri_put(p, ref.path);
    p = path + schema_uri_dots(path, (size_t) (p - path));

    if (ref.query.data) {
        *p++ = '?';
        p = schema_uri_put(p, ref.query);
    }

    return (size_t) (p - dst);
}
