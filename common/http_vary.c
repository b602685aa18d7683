/* Vary: names in order, values in one form. */

#include "http_vary.h"


#define VARY_MEMBERS_MAX  64


static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}


static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c + 32) : c;
}


static int
compare(travel_str_t a, travel_str_t b)
{
    int     rc;
    size_t  n;

    n = a.len < b.len ? a.len : b.len;
    rc = n ? memcmp(a.data, b.data, n) : 0;

    return rc ? rc : (a.len > b.len) - (a.len < b.len);
}


/* The next member of a comma-separated list, without the blanks around it and
 * the empty ones before it; a comma within quotes is no separator. */
static bool
next_member(const char **p, const char *end, travel_str_t *ret_member)
{
    bool         quoted;
    const char  *s, *start;

    s = *p;

    while (s < end && (is_blank(*s) || *s == ',')) {
        s++;
    }

    if (s == end) {
        *p = s;
        return false;
    }

    start = s;

    for (quoted = false; s < end && (quoted || *s != ','); s++) {
        if (*s == '"') {
            quoted = !quoted;

        } else if (quoted && *s == '\\' && s + 1 < end) {
            s++;
        }
    }

    *p = s;

    while (s > start && is_blank(s[-1])) {
        s--;
    }

    ret_member->data = start;
    ret_member->len = (size_t) (s - start);

    return true;
}


/* In its place among the sorted ones, unless it is there. */
static void
insert(travel_vary_t *vary, travel_str_t name)
{
    int     rc;
    size_t  i;

    for (i = 0; i < vary->n; i++) {
        rc = compare(vary->names[i], name);

        if (rc == 0) {
            return;
        }

        if (rc > 0) {
            break;
        }
    }

    if (vary->n == TRAVEL_VARY_NAMES_MAX) {
        vary->any = true;
        return;
    }

    memmove(&vary->names[i + 1], &vary->names[i],
            (vary->n - i) * sizeof(travel_str_t));
    vary->names[i] = name;
    vary->n++;
}


void
travel_vary_add(travel_vary_t *vary, travel_str_t line)
{
    char          *to;
    size_t         i;
    const char    *p, *end;
    travel_str_t   member, name;

    p = line.data;
    end = p + line.len;

    while (next_member(&p, end, &member)) {

        if (travel_str_eq(member, TRAVEL_STR("*"))
            || vary->used + member.len > sizeof(vary->text))
        {
            vary->any = true;
            return;
        }

        to = vary->text + vary->used;

        for (i = 0; i < member.len; i++) {
            to[i] = lower(member.data[i]);
        }

        vary->used += member.len;

        name.data = to;
        name.len = member.len;
        insert(vary, name);
    }
}


static bool
is_unordered(travel_str_t name)
{
    return travel_str_eq(name, TRAVEL_STR("accept"))
           || travel_str_eq(name, TRAVEL_STR("accept-charset"))
           || travel_str_eq(name, TRAVEL_STR("accept-encoding"))
           || travel_str_eq(name, TRAVEL_STR("accept-language"));
}


/* A member without the blanks around its ";", and in lower case. */
static size_t
put_plain(char *dst, travel_str_t member)
{
    size_t  i, n;

    for (i = 0, n = 0; i < member.len; i++) {
        if (!is_blank(member.data[i])) {
            dst[n++] = lower(member.data[i]);
        }
    }

    return n;
}


/* Sorts the members that 'dst' holds, each followed by a comma, in place. */
static void
sort_members(char *dst, size_t len)
{
    char          copy[TRAVEL_VARY_SIZE], *to;
    size_t        i, k, n;
    const char   *p;
    travel_str_t  members[VARY_MEMBERS_MAX], m;

    if (len > sizeof(copy)) {
        return;                 /* as it is: it only matches less */
    }

    memcpy(copy, dst, len);

    for (p = copy, n = 0; p < copy + len; p = m.data + m.len + 1) {
        m.data = p;
        m.len = (size_t) ((const char *) memchr(p, ',', len - (p - copy)) - p);

        if (n == VARY_MEMBERS_MAX) {
            return;
        }

        for (i = n++; i > 0 && compare(members[i - 1], m) > 0; i--) {
            members[i] = members[i - 1];
        }

        members[i] = m;
    }

    for (k = 0, to = dst; k < n; k++) {
        memcpy(to, members[k].data, members[k].len);
        to += members[k].len;
        *to++ = ',';
    }
}


size_t
travel_vary_value(char *dst, travel_str_t name, const travel_str_t *lines,
    size_t n)
{
    char         *to;
    bool          unordered;
    size_t        i;
    const char   *p, *end;
    travel_str_t  member;

    unordered = is_unordered(name);
    to = dst;

    /* within quotes, case and commas mean something again */

    for (i = 0; i < n && unordered; i++) {
        unordered = lines[i].len == 0
                    || memchr(lines[i].data, '"', lines[i].len) == NULL;
    }

    for (i = 0; i < n; i++) {
        p = lines[i].data;
        end = p + lines[i].len;

        while (next_member(&p, end, &member)) {

            if (unordered) {
                to += put_plain(to, member);

            } else {
                memcpy(to, member.data, member.len);
                to += member.len;
            }

            *to++ = ',';
        }
    }

    if (unordered && to > dst) {
        sort_members(dst, (size_t) (to - dst));
    }

    return (size_t) (to - dst) - (to > dst);
}
