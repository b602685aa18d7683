/* References to resources of one's own origin. */

#include "http_target.h"


static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c + 32) : c;
}


static bool
same_nocase(travel_str_t a, travel_str_t b)
{
    size_t  i;

    if (a.len != b.len) {
        return false;
    }

    for (i = 0; i < a.len; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }

    return true;
}


size_t
travel_http_authority(char *dst, travel_str_t scheme, travel_str_t host)
{
    size_t        i, n;
    travel_str_t  port;

    port = travel_str_eq(scheme, TRAVEL_STR("https")) ? TRAVEL_STR(":443")
                                                      : TRAVEL_STR(":80");
    n = host.len;

    if (n > port.len
        && memcmp(host.data + n - port.len, port.data, port.len) == 0)
    {
        n -= port.len;

    } else if (n > 0 && host.data[n - 1] == ':') {
        n--;
    }

    for (i = 0; i < n; i++) {
        dst[i] = lower(host.data[i]);
    }

    return n;
}


/* Length of "scheme" in "scheme:...", 0: there is none. */
static size_t
scheme_len(travel_str_t ref)
{
    char    c;
    size_t  i;

    for (i = 0; i < ref.len; i++) {
        c = lower(ref.data[i]);

        if (c == ':') {
            return i;
        }

        if (!((c >= 'a' && c <= 'z')
              || (i > 0 && ((c >= '0' && c <= '9') || c == '+' || c == '-'
                            || c == '.'))))
        {
            return 0;
        }
    }

    return 0;
}


static travel_str_t
after(travel_str_t s, size_t n)
{
    s.data += n;
    s.len -= n;

    return s;
}


static size_t
until(travel_str_t s, const char *stops)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '\0' || strchr(stops, s.data[i]) != NULL) {
            break;
        }
    }

    return i;
}


/* Takes "." and ".." segments out of the path dst[0..n), in place. */
static size_t
remove_dots(char *dst, size_t n)
{
    size_t  in, out, end;

    for (in = 0, out = 0; in < n; in = end) {

        /* dst[in] is '/', the segment goes up to the next one */

        for (end = in + 1; end < n && dst[end] != '/'; end++) {
            /* void */
        }

        if (end - in == 2 && dst[in + 1] == '.') {
            if (end == n) {
                dst[out++] = '/';
            }

            continue;
        }

        if (end - in == 3 && dst[in + 1] == '.' && dst[in + 2] == '.') {
            while (out > 0 && dst[--out] != '/') {
                /* void */
            }

            if (end == n) {
                dst[out++] = '/';
            }

            continue;
        }

        memmove(dst + out, dst + in, end - in);
        out += end - in;
    }

    return out;
}


static int
hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
         : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}


static bool
unreserved(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9')
           || c == '-' || c == '.' || c == '_' || c == '~';
}


size_t
travel_http_normal(char *dst, travel_str_t target)
{
    int     high, low;
    char    c;
    size_t  i, n, path;

    static const char  digits[] = "0123456789ABCDEF";

    n = 0;

    for (i = 0; i < target.len; i++) {
        c = target.data[i];
        high = low = -1;

        if (c == '%' && i + 2 < target.len) {
            high = hex_digit(target.data[i + 1]);
            low = hex_digit(target.data[i + 2]);
        }

        if (high < 0 || low < 0) {
            dst[n++] = c;
            continue;
        }

        i += 2;
        c = (char) (high << 4 | low);

        if (unreserved(c)) {
            dst[n++] = c;
            continue;
        }

        dst[n++] = '%';
        dst[n++] = digits[high];
        dst[n++] = digits[low];
    }

    if (n == 0 || dst[0] != '/') {
        return n;
    }

    path = until((travel_str_t) { dst, n }, "?");
    i = remove_dots(dst, path);

    if (i == 0) {
        dst[i++] = '/';
    }

    memmove(dst + i, dst + path, n - path);

    return i + n - path;
}


/* Is the authority that stands at the head of 'ref' ours?  Moves on to the
 * path. */
static int
own_authority(travel_str_t scheme, travel_str_t authority, travel_str_t *ref)
{
    char          buf[256];
    size_t        n;
    travel_str_t  theirs;

    n = until(*ref, "/?#");

    if (n > sizeof(buf)) {
        return TRAVEL_REFUSED;
    }

    theirs.data = ref->data;
    theirs.len = n;
    theirs.len = travel_http_authority(buf, scheme, theirs);
    theirs.data = buf;

    if (!travel_str_eq(theirs, authority)) {
        return TRAVEL_REFUSED;
    }

    *ref = after(*ref, n);

    return TRAVEL_OK;
}


int
travel_http_target(char *dst, size_t *ret_len, travel_str_t scheme,
    travel_str_t authority, travel_str_t path, travel_str_t ref)
{
    bool          absolute;
    size_t        n, len, query;
    travel_str_t  theirs;

    if (path.len == 0 || path.data[0] != '/') {
        return TRAVEL_INVALID;
    }

    ref.len = until(ref, "#");
    n = scheme_len(ref);
    absolute = n != 0;

    if (absolute) {
        theirs.data = ref.data;
        theirs.len = n;

        if (!same_nocase(theirs, scheme)) {
            return TRAVEL_REFUSED;
        }

        ref = after(ref, n + 1);

        if (ref.len < 2 || memcmp(ref.data, "//", 2) != 0) {
            return TRAVEL_INVALID;
        }
    }

    if (ref.len >= 2 && memcmp(ref.data, "//", 2) == 0) {
        ref = after(ref, 2);
        absolute = true;

        if (own_authority(scheme, authority, &ref) != TRAVEL_OK) {
            return TRAVEL_REFUSED;
        }
    }

    len = 0;
    query = until(ref, "?");

    if (absolute && query == 0) {
        dst[len++] = '/';

    } else if (query == 0) {
        /* the same path: "" keeps the query, "?q" brings its own */
        n = ref.len == 0 ? path.len : until(path, "?");
        memcpy(dst, path.data, n);
        len = n;

    } else {
        if (ref.data[0] != '/') {
            for (n = until(path, "?"); path.data[n - 1] != '/'; n--) {
                /* void */
            }

            memcpy(dst, path.data, n);
            len = n;
        }

        memcpy(dst + len, ref.data, query);
        len = remove_dots(dst, len + query);

        if (len == 0) {
            dst[len++] = '/';
        }
    }

    memcpy(dst + len, ref.data + query, ref.len - query);
    *ret_len = len + ref.len - query;

    return TRAVEL_OK;
}
