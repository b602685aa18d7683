/* Text that grows.  See text.h. */

#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>


void
travel_graphql_text_free(travel_graphql_text_t *t)
{
    free(t->data);
    memset(t, 0, sizeof(*t));
}


static bool
text_room(travel_graphql_text_t *t, size_t more)
{
    char    *data;
    size_t   room;

    if (t->failed) {
        return false;
    }

    if (t->len + more < t->room) {
        return true;
    }

    room = t->room > 0 ? t->room : 256;

    while (room <= t->len + more) {
        room *= 2;
    }

    data = realloc(t->data, room);
    if (data == NULL) {
        t->failed = true;
        return false;
    }

    t->data = data;
    t->room = room;
    return true;
}


void
travel_graphql_text_add(travel_graphql_text_t *t, travel_str_t s)
{
    if (!text_room(t, s.len)) {
        return;
    }

    if (s.len > 0) {
        memcpy(t->data + t->len, s.data, s.len);
    }

    t->len += s.len;
    t->data[t->len] = '\0';
}


void
travel_graphql_text_puts(travel_graphql_text_t *t, const char *s)
{
    travel_graphql_text_add(t, (travel_str_t) { s, strlen(s) });
}


void
travel_graphql_text_printf(travel_graphql_text_t *t, const char *fmt, ...)
{
    int      n;
    char     buf[512];
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);

    if (n < 0 || (size_t) n >= sizeof(buf)) {
        t->failed = true;
        return;
    }

    travel_graphql_text_add(t, (travel_str_t) { buf, (size_t) n });
}


static void
text_quoted(travel_graphql_text_t *t, travel_str_t s, char quote)
{
    size_t  i;

    travel_graphql_text_add(t, (travel_str_t) { &quote, 1 });

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == quote) {
            travel_graphql_text_add(t, (travel_str_t) { &quote, 1 });
        }

        travel_graphql_text_add(t, (travel_str_t) { s.data + i, 1 });
    }

    travel_graphql_text_add(t, (travel_str_t) { &quote, 1 });
}


void
travel_graphql_text_literal(travel_graphql_text_t *t, travel_str_t s)
{
    text_quoted(t, s, '\'');
}


void
travel_graphql_text_name(travel_graphql_text_t *t, travel_str_t s)
{
    text_quoted(t, s, '"');
}


void
travel_graphql_text_join(travel_graphql_text_t *t,
    const travel_graphql_text_t *other)
{
    if (other->failed) {
        t->failed = true;
        return;
    }

    if (other->len > 0) {
        travel_graphql_text_add(t, (travel_str_t) { other->data, other->len });
    }
}


void
travel_graphql_text_string(travel_graphql_text_t *t, travel_str_t s)
{
    size_t  i, from = 0;

    travel_graphql_text_puts(t, "\"");

    for (i = 0; i < s.len; i++) {
        if ((unsigned char) s.data[i] >= 0x20 && s.data[i] != '"'
            && s.data[i] != '\\')
        {
            continue;
        }

        travel_graphql_text_add(t, (travel_str_t) { s.data + from, i - from });
        travel_graphql_text_printf(t, "\\u%04x", (unsigned char) s.data[i]);
        from = i + 1;
    }

    travel_graphql_text_add(t, (travel_str_t) { s.data + from, s.len - from });
    travel_graphql_text_puts(t, "\"");
}


void
travel_graphql_text_item(travel_graphql_text_t *t, travel_str_t s)
{
    size_t  i, from = 0;

    travel_graphql_text_puts(t, "\"");

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '"' || s.data[i] == '\\') {
            travel_graphql_text_add(t, (travel_str_t) { s.data + from,
                                                        i - from });
            travel_graphql_text_puts(t, "\\");
            from = i;
        }
    }

    travel_graphql_text_add(t, (travel_str_t) { s.data + from, s.len - from });
    travel_graphql_text_puts(t, "\"");
}
