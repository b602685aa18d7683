/* The traceparent header to ids and back, and what of tracestate may pass. */

#include "hash.h"
#include "traceparent.h"


#define TRAVEL_TRACESTATE_MEMBERS  32
#define TRAVEL_TRACESTATE_BYTES    512
#define TRAVEL_TRACESTATE_KEY      256
#define TRAVEL_TRACESTATE_VALUE    256


static bool
travel_trace_zero(const uint8_t *id, size_t n)
{
    uint8_t  any;

    for (any = 0; n; n--) {
        any |= *id++;
    }

    return any == 0;
}


/*  0  3                                36               53 55
 *  00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01   */

int
travel_traceparent_parse(travel_trace_t *ret_trace, travel_str_t header)
{
    uint8_t         version;
    const char     *p;
    travel_trace_t  t;

    p = header.data;

    if (header.len < TRAVEL_TRACEPARENT_LEN
        || p[2] != '-' || p[35] != '-' || p[52] != '-'
        || travel_hex_decode(&version, (travel_str_t) { p, 2 })
        || travel_hex_decode(t.trace_id, (travel_str_t) { p + 3, 32 })
        || travel_hex_decode(t.span_id, (travel_str_t) { p + 36, 16 })
        || travel_hex_decode(&t.flags, (travel_str_t) { p + 53, 2 }))
    {
        return TRAVEL_INVALID;
    }

    if (version == 0xff
        || travel_trace_zero(t.trace_id, sizeof(t.trace_id))
        || travel_trace_zero(t.span_id, sizeof(t.span_id)))
    {
        return TRAVEL_INVALID;
    }

    /* a later version may go on, but only after another dash */

    if (header.len > TRAVEL_TRACEPARENT_LEN
        && (version == 0 || p[TRAVEL_TRACEPARENT_LEN] != '-'))
    {
        return TRAVEL_INVALID;
    }

    t.flags &= TRAVEL_TRACE_SAMPLED | TRAVEL_TRACE_RANDOM;
    *ret_trace = t;

    return TRAVEL_OK;
}


void
travel_traceparent_format(char *dst, const travel_trace_t *trace)
{
    uint8_t  flags;

    flags = trace->flags & (TRAVEL_TRACE_SAMPLED | TRAVEL_TRACE_RANDOM);

    memcpy(dst, "00-", 3);
    travel_hex_encode(dst + 3, trace->trace_id, sizeof(trace->trace_id));
    dst[35] = '-';
    travel_hex_encode(dst + 36, trace->span_id, sizeof(trace->span_id));
    dst[52] = '-';
    travel_hex_encode(dst + 53, &flags, 1);
}


static bool
travel_tracestate_key_char(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
        return true;
    }

    return !first && (c == '_' || c == '-' || c == '*' || c == '/'
                      || c == '@');
}


/* One list-member between 'p' and 'end', blanks around it already gone. */

static bool
travel_tracestate_member(const char *p, const char *end)
{
    const char  *start;

    for (start = p; p < end && *p != '='; p++) {
        if (!travel_tracestate_key_char(*p, p == start)) {
            return false;
        }
    }

    if (p == start || p == end || p - start > TRAVEL_TRACESTATE_KEY) {
        return false;
    }

    start = ++p;

    for ( /* void */ ; p < end; p++) {
        if (*p < 0x20 || *p > 0x7e || *p == '=') {
            return false;
        }
    }

    return p > start && p - start <= TRAVEL_TRACESTATE_VALUE;
}


/* The whole header must be well-formed, also what is then cut off: a list
 * with a broken or a 33rd member says nothing that can be relied on. */

size_t
travel_tracestate_keep(travel_str_t header)
{
    size_t       keep, members;
    const char  *p, *end, *last, *next;

    if (header.len == 0) {
        return 0;
    }

    keep = 0;
    members = 0;
    p = header.data;
    end = p + header.len;

    for ( /* void */ ; p < end; p = next + 1) {

        next = memchr(p, ',', (size_t) (end - p));
        if (next == NULL) {
            next = end;
        }

        while (p < next && (*p == ' ' || *p == '\t')) {
            p++;
        }

        for (last = next; last > p; last--) {
            if (last[-1] != ' ' && last[-1] != '\t') {
                break;
            }
        }

        if (p == last) {
            continue;                /* empty members are allowed */
        }

        if (++members > TRAVEL_TRACESTATE_MEMBERS
            || !travel_tracestate_member(p, last))
        {
            return 0;
        }

        if ((size_t) (last - header.data) <= TRAVEL_TRACESTATE_BYTES) {
            keep = (size_t) (last - header.data);
        }
    }

    return keep;
}
