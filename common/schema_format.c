/*
 * The values of "format" that assert: date-time, date, time, duration, email,
 * idn-email, hostname, ipv4, ipv6, uri, uri-reference, uuid, json-pointer,
 * relative-json-pointer, regex.  Any other is an annotation.
 *
 * Texts are well-formed UTF-8 from the JSON parser; each check is one pass.
 */

#include "schema_parts.h"

typedef struct {
    const char  *p;
    const char  *end;
} schema_scan_t;


static inline bool
schema_digit(char c)
{
    return (uint8_t) (c - '0') < 10;
}


static inline bool
schema_alpha(char c)
{
    return (uint8_t) ((c | 0x20) - 'a') < 26;
}


static inline bool
schema_is_hex(char c)
{
    return schema_digit(c) || (uint8_t) ((c | 0x20) - 'a') < 6;
}


static bool
schema_take(schema_scan_t *s, char c)
{
    if (s->p == s->end || *s->p != c) {
        return false;
    }

    s->p++;

    return true;
}


/* Exactly n digits. */
static bool
schema_take_digits(schema_scan_t *s, unsigned n, unsigned *ret_v)
{
    unsigned  v = 0;

    for ( ; n; n--) {
        if (s->p == s->end || !schema_digit(*s->p)) {
            return false;
        }

        v = v * 10 + (unsigned) (*s->p++ - '0');
    }

    *ret_v = v;

    return true;
}


static bool
schema_take_date(schema_scan_t *s)
{
    bool      leap;
    unsigned  y, m, d;

    static const uint8_t  days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
                                     30, 31 };

    if (!schema_take_digits(s, 4, &y) || !schema_take(s, '-')
        || !schema_take_digits(s, 2, &m) || !schema_take(s, '-')
        || !schema_take_digits(s, 2, &d))
    {
        return false;
    }

    leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    return m >= 1 && m <= 12 && d >= 1
           && d <= days[m - 1] + (m == 2 && leap ? 1u : 0u);
}


/* RFC 3339 full-time; a leap second only where UTC may have one. */
static bool
schema_take_time(schema_scan_t *s)
{
    char      sign;
    unsigned  h, m, sec, oh = 0, om = 0, frac, minute;

    if (!schema_take_digits(s, 2, &h) || !schema_take(s, ':')
        || !schema_take_digits(s, 2, &m) || !schema_take(s, ':')
        || !schema_take_digits(s, 2, &sec) || h > 23 || m > 59 || sec > 60)
    {
        return false;
    }

    if (schema_take(s, '.')) {
        if (!schema_take_digits(s, 1, &frac)) {
            return false;
        }

        while (s->p < s->end && schema_digit(*s->p)) {
            s->p++;
        }
    }

    if (s->p == s->end) {
        return false;
    }

    sign = *s->p++;

    if (sign == '+' || sign == '-') {
        if (!schema_take_digits(s, 2, &oh) || !schema_take(s, ':')
            || !schema_take_digits(s, 2, &om) || oh > 23 || om > 59)
        {
            return false;
        }

    } else if (sign != 'Z' && sign != 'z') {
        return false;
    }

    if (sec < 60) {
        return true;
    }

    minute = h * 60 + m + 1440;
    minute = sign == '-' ? minute + oh * 60 + om : minute - oh * 60 - om;

    return minute % 1440 == 1439;
}


static bool
schema_is_date(travel_str_t t)
{
    schema_scan_t  s = { t.data, t.data + t.len };

    return schema_take_date(&s) && s.p == s.end;
}


static bool
schema_is_time(travel_str_t t)
{
    schema_scan_t  s = { t.data, t.data + t.len };

    return schema_take_time(&s) && s.p == s.end;
}


static bool
schema_is_date_time(travel_str_t t)
{
    schema_scan_t  s = { t.data, t.data + t.len };

    return schema_take_date(&s)
           && (schema_take(&s, 'T') || schema_take(&s, 't'))
           && schema_take_time(&s) && s.p == s.end;
}


/* Numbers with the designators of 'order' behind them, each once, in order,
 * and without a gap between the first and the last (RFC 3339 appendix A). */
static bool
schema_take_periods(schema_scan_t *s, const char *order)
{
    bool         any = false;
    const char  *start, *found;

    while (s->p < s->end && schema_digit(*s->p)) {

        for (start = s->p; s->p < s->end && schema_digit(*s->p); s->p++) {
            /* void */
        }

        if (s->p == s->end || s->p == start) {
            return false;
        }

        found = *s->p ? strchr(order, *s->p) : NULL;

        if (found == NULL || (any && found != order)) {
            return false;
        }

        order = found + 1;
        any = true;
        s->p++;
    }

    return any;
}


static bool
schema_is_duration(travel_str_t t)
{
    bool           any;
    schema_scan_t  s = { t.data, t.data + t.len };

    if (!schema_take(&s, 'P')) {
        return false;
    }

    if (t.len > 2 && t.data[t.len - 1] == 'W') {
        return schema_take_periods(&s, "W") && s.p == s.end;
    }

    any = schema_take_periods(&s, "YMD");

    if (!any && s.p != t.data + 1) {
        return false;
    }

    if (schema_take(&s, 'T')) {
        return schema_take_periods(&s, "HMS") && s.p == s.end;
    }

    return any && s.p == s.end;
}


static bool
schema_is_hostname(travel_str_t t)
{
    size_t  i, label = 0;

    if (t.len == 0 || t.len > 253) {
        return false;
    }

    for (i = 0; i < t.len; i++) {

        if (t.data[i] == '.') {
            if (label == 0 || t.data[i - 1] == '-') {
                return false;
            }

            label = 0;
            continue;
        }

        if (!(schema_alpha(t.data[i]) || schema_digit(t.data[i])
              || (t.data[i] == '-' && label > 0)) || ++label > 63)
        {
            return false;
        }
    }

    return label > 0 && t.data[t.len - 1] != '-';
}


static bool
schema_is_ipv4(travel_str_t t)
{
    unsigned       i, v, digits;
    schema_scan_t  s = { t.data, t.data + t.len };

    for (i = 0; i < 4; i++) {
        if (i && !schema_take(&s, '.')) {
            return false;
        }

        for (v = 0, digits = 0; s.p < s.end && schema_digit(*s.p); digits++) {
            if (digits == 3 || (digits && v == 0)) {
                return false;
            }

            v = v * 10 + (unsigned) (*s.p++ - '0');
        }

        if (digits == 0 || v > 255) {
            return false;
        }
    }

    return s.p == s.end;
}


static bool
schema_is_ipv6(travel_str_t t)
{
    bool           gap = false;
    unsigned       groups = 0, digits;
    const char    *start;
    schema_scan_t  s = { t.data, t.data + t.len };

    if (t.len >= 2 && t.data[0] == ':' && t.data[1] == ':') {
        gap = true;
        s.p += 2;

        if (s.p == s.end) {
            return true;
        }
    }

    for ( ;; ) {
        start = s.p;

        for (digits = 0; s.p < s.end && schema_is_hex(*s.p); digits++) {
            s.p++;
        }

        if (s.p < s.end && *s.p == '.') {
            groups += 2;
            return schema_is_ipv4((travel_str_t) { start,
                                                   (size_t) (s.end - start) })
                   && (gap ? groups < 8 : groups == 8);
        }

        if (digits == 0 || digits > 4) {
            return false;
        }

        groups++;

        if (s.p == s.end) {
            return gap ? groups < 8 : groups == 8;
        }

        if (!schema_take(&s, ':')) {
            return false;
        }

        if (schema_take(&s, ':')) {
            if (gap) {
                return false;
            }

            gap = true;

            if (s.p == s.end) {
                return groups < 8;
            }
        }
    }
}


/* The local part of RFC 5321: a dot-string or a quoted string. */
static bool
schema_is_local_part(const char *p, const char *end, bool international)
{
    bool  dot = true;

    if (p == end || end - p > 64) {
        return false;
    }

    if (*p == '"') {
        if (end - p < 2 || end[-1] != '"') {
            return false;
        }

        for (p++, end--; p < end; p++) {
            if (*p == '\\' && p + 1 < end && (uint8_t) p[1] >= 0x20) {
                p++;

            } else if (*p == '"' || *p == '\\' || (uint8_t) *p < 0x20
                       || *p == 0x7F
                       || ((uint8_t) *p >= 0x80 && !international))
            {
                return false;
            }
        }

        return true;
    }

    for ( ; p < end; p++) {
        if (*p == '.') {
            if (dot) {
                return false;
            }

            dot = true;
            continue;
        }

        if (!schema_alpha(*p) && !schema_digit(*p)
            && (*p == '\0' || !strchr("!#$%&'*+-/=?^_`{|}~", *p))
            && !((uint8_t) *p >= 0x80 && international))
        {
            return false;
        }

        dot = false;
    }

    return !dot;
}


static bool
schema_is_mail_domain(travel_str_t t, bool international)
{
    size_t  i;

    if (t.len > 2 && t.data[0] == '[' && t.data[t.len - 1] == ']') {
        t.data++;
        t.len -= 2;

        if (t.len > 5 && memcmp(t.data, "IPv6:", 5) == 0) {
            t.data += 5;
            t.len -= 5;
            return schema_is_ipv6(t);
        }

        return schema_is_ipv4(t);
    }

    if (!international) {
        return schema_is_hostname(t);
    }

    for (i = 0; i < t.len; i++) {
        if ((uint8_t) t.data[i] < 0x80 && !schema_alpha(t.data[i])
            && !schema_digit(t.data[i]) && t.data[i] != '-'
            && t.data[i] != '.')
        {
            return false;
        }
    }

    return t.len > 0 && t.len <= 255 && t.data[0] != '.'
           && t.data[t.len - 1] != '.';
}


static bool
schema_mail(travel_str_t t, bool international)
{
    const char    *at;
    travel_str_t   domain;

    at = memrchr(t.data, '@', t.len);

    if (at == NULL || t.len > 320) {
        return false;
    }

    domain.data = at + 1;
    domain.len = (size_t) (t.data + t.len - domain.data);

    return schema_is_local_part(t.data, at, international)
           && schema_is_mail_domain(domain, international);
}


static bool
schema_is_email(travel_str_t t)
{
    return schema_mail(t, false);
}


static bool
schema_is_idn_email(travel_str_t t)
{
    return schema_mail(t, true);
}


static bool
schema_is_uuid(travel_str_t t)
{
    size_t  i;

    if (t.len != 36) {
        return false;
    }

    for (i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (t.data[i] != '-') {
                return false;
            }

        } else if (!schema_is_hex(t.data[i])) {
            return false;
        }
    }

    return true;
}


/* Characters of RFC 3986: unreserved, sub-delims, percent-encoded, 'more'. */
static bool
schema_uri_chars(const char *p, const char *end, const char *more)
{
    for ( ; p < end; p++) {

        if (*p == '%') {
            if (end - p < 3 || !schema_is_hex(p[1]) || !schema_is_hex(p[2])) {
                return false;
            }

            p += 2;

        } else if (!schema_alpha(*p) && !schema_digit(*p)
                   && (*p == '\0' || (!strchr("-._~!$&'()*+,;=", *p)
                                      && !strchr(more, *p))))
        {
            return false;
        }
    }

    return true;
}


static bool
schema_uri_authority(const char *p, const char *end)
{
    const char    *at, *q;
    travel_str_t   host;

    at = memrchr(p, '@', (size_t) (end - p));

    if (at) {
        if (!schema_uri_chars(p, at, ":")) {
            return false;
        }

        p = at + 1;
    }

    for (q = end; q > p && schema_digit(q[-1]); q--) {
        /* void */
    }

    if (q > p && q[-1] == ':') {
        end = q - 1;                  /* a port, maybe empty */
    }

    if (p < end && *p == '[') {
        host.data = p + 1;
        host.len = (size_t) (end - p) - 1;

        if (host.len == 0 || host.data[--host.len] != ']') {
            return false;
        }

        return schema_is_ipv6(host)
               || (host.len > 3 && (host.data[0] | 0x20) == 'v'
                   && schema_is_hex(host.data[1])
                   && schema_uri_chars(host.data, host.data + host.len, ":"));
    }

    return schema_uri_chars(p, end, "");
}


static bool
schema_is_uri_reference(travel_str_t t)
{
    bool         first = true;
    const char  *p = t.data, *end = t.data + t.len, *q, *tail = end;

    q = memchr(p, '#', (size_t) (end - p));
    if (q) {
        if (!schema_uri_chars(q + 1, end, ":@/?")) {
            return false;
        }

        end = q;
    }

    q = memchr(p, '?', (size_t) (end - p));
    if (q) {
        if (!schema_uri_chars(q + 1, end, ":@/?")) {
            return false;
        }

        end = q;
    }

    for (q = p; q < end && *q != ':' && *q != '/'; q++) {
        if (!(schema_alpha(*q) || (q > p && (schema_digit(*q) || *q == '+'
                                             || *q == '-' || *q == '.'))))
        {
            first = false;
        }
    }

    if (q < end && *q == ':') {
        if (!first || q == p) {
            return false;             /* a colon in a relative first segment */
        }

        p = q + 1;
    }

    if (end - p >= 2 && p[0] == '/' && p[1] == '/') {
        tail = memchr(p + 2, '/', (size_t) (end - p - 2));
        tail = tail ? tail : end;

        if (!schema_uri_authority(p + 2, tail)) {
            return false;
        }

        p = tail;
    }

    return schema_uri_chars(p, end, ":@/");
}


static bool
schema_is_uri(travel_str_t t)
{
    size_t  i;

    for (i = 0; i < t.len && (schema_alpha(t.data[i])
                              || (i && (schema_digit(t.data[i])
                                        || t.data[i] == '+'
                                        || t.data[i] == '-'
                                        || t.data[i] == '.'))); i++)
    {
        /* void */
    }

    return i > 0 && i < t.len && t.data[i] == ':'
           && schema_is_uri_reference(t);
}


static bool
schema_is_json_pointer(travel_str_t t)
{
    size_t  i;

    if (t.len && t.data[0] != '/') {
        return false;
    }

    for (i = 0; i < t.len; i++) {
        if (t.data[i] == '~'
            && (i + 1 == t.len
                || (t.data[i + 1] != '0' && t.data[i + 1] != '1')))
        {
            return false;
        }
    }

    return true;
}


static bool
schema_is_relative_pointer(travel_str_t t)
{
    size_t  i;

    for (i = 0; i < t.len && schema_digit(t.data[i]); i++) {
        /* void */
    }

    if (i == 0 || (i > 1 && t.data[0] == '0')) {
        return false;
    }

    if (i + 1 == t.len && t.data[i] == '#') {
        return true;
    }

    return schema_is_json_pointer((travel_str_t) { t.data + i, t.len - i });
}


schema_format_pt
schema_format_find(travel_str_t name)
{
    size_t  i;

    static const struct {
        const char        *name;
        schema_format_pt   format;
    } formats[] = {
        { "date-time", schema_is_date_time },
        { "date", schema_is_date },
        { "time", schema_is_time },
        { "duration", schema_is_duration },
        { "email", schema_is_email },
        { "idn-email", schema_is_idn_email },
        { "hostname", schema_is_hostname },
        { "ipv4", schema_is_ipv4 },
        { "ipv6", schema_is_ipv6 },
        { "uri", schema_is_uri },
        { "uri-reference", schema_is_uri_reference },
        { "uuid", schema_is_uuid },
        { "json-pointer", schema_is_json_pointer },
        { "relative-json-pointer", schema_is_relative_pointer },
        { "regex", travel_pattern_valid }
    };

    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strlen(formats[i].name) == name.len
            && memcmp(formats[i].name, name.data, name.len) == 0)
        {
            return formats[i].format;
        }
    }

    return NULL;
}
