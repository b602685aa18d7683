/* Appends JSON to a caller's buffer and counts what did not fit. */

#include "digits.h"
#include "json_parts.h"
#include "json_writer.h"


#define TRAVEL_WRITER_CHUNK  128     /* bytes of a string quoted at a time */
#define TRAVEL_FIXED_MAX     18


void
travel_json_writer_init(travel_json_writer_t *w, char *dst, size_t room)
{
    w->dst = dst;
    w->room = room;
    w->len = 0;
    w->depth = 0;
    w->comma = false;
    w->overflow = false;
}


size_t
travel_json_writer_finish(const travel_json_writer_t *w)
{
    return w->overflow || w->depth ? 0 : w->len;
}


static void
travel_json_put(travel_json_writer_t *w, const char *p, size_t n)
{
    /* after the first miss nothing more is written, small as it may be:
     * what stands in the buffer is then a prefix of the whole */

    if (w->overflow || n > w->room - w->len) {
        w->overflow = true;

    } else if (n) {
        memcpy(w->dst + w->len, p, n);
    }

    w->len += n;
}


static void
travel_json_value(travel_json_writer_t *w, const char *p, size_t n)
{
    if (w->comma) {
        travel_json_put(w, ",", 1);
    }

    travel_json_put(w, p, n);
    w->comma = true;
}


static void
travel_json_open(travel_json_writer_t *w, const char *bracket)
{
    travel_json_value(w, bracket, 1);
    w->comma = false;
    w->depth++;
}


static void
travel_json_close(travel_json_writer_t *w, const char *bracket)
{
    travel_json_put(w, bracket, 1);
    w->comma = true;
    w->depth--;
}


void
travel_json_object(travel_json_writer_t *w)
{
    travel_json_open(w, "{");
}


void
travel_json_object_end(travel_json_writer_t *w)
{
    travel_json_close(w, "}");
}


void
travel_json_array(travel_json_writer_t *w)
{
    travel_json_open(w, "[");
}


void
travel_json_array_end(travel_json_writer_t *w)
{
    travel_json_close(w, "]");
}


void
travel_json_key(travel_json_writer_t *w, travel_str_t name)
{
    travel_json_string(w, name);
    travel_json_put(w, ":", 1);
    w->comma = false;
}


/* How much of 's' to quote next: up to a chunk, not cutting a UTF-8 sequence
 * (a byte that is no continuation always starts a character). */

static size_t
travel_json_chunk(travel_str_t s)
{
    size_t  n;

    if (s.len <= TRAVEL_WRITER_CHUNK) {
        return s.len;
    }

    for (n = TRAVEL_WRITER_CHUNK; n > TRAVEL_WRITER_CHUNK - 4; n--) {
        if (((unsigned char) s.data[n] & 0xc0) != 0x80) {
            break;
        }
    }

    return n;
}


/* Most strings stand for themselves from end to end. */

void
travel_json_string(travel_json_writer_t *w, travel_str_t s)
{
    char    buf[6 * TRAVEL_WRITER_CHUNK + 2];
    size_t  n, quoted;

    travel_json_value(w, "\"", 1);

    if (s.len) {
        n = (size_t) (json_plain_run(s.data, s.data + s.len) - s.data);
        travel_json_put(w, s.data, n);

        s.data += n;
        s.len -= n;
    }

    while (s.len) {
        n = travel_json_chunk(s);
        quoted = travel_json_quote(buf, (travel_str_t) { s.data, n });
        travel_json_put(w, buf + 1, quoted - 2);

        s.data += n;
        s.len -= n;
    }

    travel_json_put(w, "\"", 1);
}


void
travel_json_cstring(travel_json_writer_t *w, const char *s)
{
    travel_json_string(w, (travel_str_t) { s, strlen(s) });
}


void
travel_json_fixed(travel_json_writer_t *w, int64_t v, unsigned digits)
{
    char      buf[1 + TRAVEL_DIGITS_MAX + 1 + TRAVEL_FIXED_MAX], *p;
    uint64_t  u, scale;
    unsigned  i;

    p = buf;
    u = (uint64_t) v;

    if (v < 0) {
        *p++ = '-';
        u = 0 - u;
    }

    if (digits > TRAVEL_FIXED_MAX) {
        digits = TRAVEL_FIXED_MAX;
    }

    for (scale = 1, i = 0; i < digits; i++) {
        scale *= 10;
    }

    p += travel_digits_format(p, u / scale);

    if (digits) {
        *p++ = '.';

        for (u %= scale, i = digits; i; i--, u /= 10) {
            p[i - 1] = (char) ('0' + u % 10);
        }

        p += digits;
    }

    travel_json_value(w, buf, (size_t) (p - buf));
}


void
travel_json_int(travel_json_writer_t *w, int64_t v)
{
    travel_json_fixed(w, v, 0);
}


void
travel_json_uint(travel_json_writer_t *w, uint64_t v)
{
    char  buf[TRAVEL_DIGITS_MAX];

    travel_json_value(w, buf, travel_digits_format(buf, v));
}


void
travel_json_bool(travel_json_writer_t *w, bool v)
{
    travel_json_raw(w, v ? TRAVEL_STR("true") : TRAVEL_STR("false"));
}


void
travel_json_null(travel_json_writer_t *w)
{
    travel_json_raw(w, TRAVEL_STR("null"));
}


void
travel_json_raw(travel_json_writer_t *w, travel_str_t json)
{
    travel_json_value(w, json.data, json.len);
}


void
travel_json_member_string(travel_json_writer_t *w, const char *name,
    travel_str_t s)
{
    travel_json_key(w, (travel_str_t) { name, strlen(name) });
    travel_json_string(w, s);
}


void
travel_json_member_cstring(travel_json_writer_t *w, const char *name,
    const char *s)
{
    travel_json_member_string(w, name, (travel_str_t) { s, strlen(s) });
}


void
travel_json_member_int(travel_json_writer_t *w, const char *name, int64_t v)
{
    travel_json_key(w, (travel_str_t) { name, strlen(name) });
    travel_json_int(w, v);
}
