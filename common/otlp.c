/*
 * OTLP trace batches in protobuf's wire format, written straight into the
 * caller's memory.
 *
 * Every message is measured before it is written (its length goes in front of
 * it), by a *_size function that mirrors the *_put function beside it; the
 * room is checked once, against the whole.  Text that is not UTF-8 has its bad
 * bytes replaced by '?', because a collector refuses the whole batch, all
 * callers' spans, over one of them.
 */

#include "otlp.h"
#include "utf8.h"


/* Tags: field number << 3 | wire type (0 varint, 1 fixed64, 2 length, 5
 * fixed32).  Those over 15 take two bytes. */

enum {
    REQUEST_RESOURCE_SPANS = 1 << 3 | 2,

    RESOURCE_SPANS_RESOURCE = 1 << 3 | 2,
    RESOURCE_SPANS_SCOPE_SPANS = 2 << 3 | 2,

    RESOURCE_ATTRIBUTES = 1 << 3 | 2,

    SCOPE_SPANS_SCOPE = 1 << 3 | 2,
    SCOPE_SPANS_SPANS = 2 << 3 | 2,

    SCOPE_NAME = 1 << 3 | 2,

    SPAN_TRACE_ID = 1 << 3 | 2,
    SPAN_SPAN_ID = 2 << 3 | 2,
    SPAN_PARENT = 4 << 3 | 2,
    SPAN_NAME = 5 << 3 | 2,
    SPAN_KIND = 6 << 3 | 0,
    SPAN_START = 7 << 3 | 1,
    SPAN_END = 8 << 3 | 1,
    SPAN_ATTRIBUTES = 9 << 3 | 2,
    SPAN_LINKS = 13 << 3 | 2,
    SPAN_STATUS = 15 << 3 | 2,
    SPAN_FLAGS = 16 << 3 | 5,

    LINK_TRACE_ID = 1 << 3 | 2,
    LINK_SPAN_ID = 2 << 3 | 2,
    LINK_FLAGS = 6 << 3 | 5,

    STATUS_MESSAGE = 2 << 3 | 2,
    STATUS_CODE = 3 << 3 | 0,

    KEY_VALUE_KEY = 1 << 3 | 2,
    KEY_VALUE_VALUE = 2 << 3 | 2,

    ANY_STRING = 1 << 3 | 2,
    ANY_BOOL = 2 << 3 | 0,
    ANY_INT = 3 << 3 | 0,
    ANY_DOUBLE = 4 << 3 | 1
};

#define STATUS_CODE_ERROR  2

#define LINK_SIZE  ((2 + 16) + (2 + 8) + (1 + 4))

static const travel_str_t  travel_otlp_scope = { "ngx_travel", 10 };


static inline size_t
travel_varint_size(uint64_t v)
{
    /* seven bits a byte; the highest bit set decides */

    return (size_t) (63 - __builtin_clzll(v | 1)) / 7 + 1;
}


static inline uint8_t *
travel_varint_put(uint8_t *p, uint64_t v)
{
    for ( /* void */ ; v >= 0x80; v >>= 7) {
        *p++ = (uint8_t) (v | 0x80);
    }

    *p++ = (uint8_t) v;

    return p;
}


/* A length-delimited field of one-byte tag, from its payload's length. */

static inline size_t
travel_field_size(size_t len)
{
    return 1 + travel_varint_size(len) + len;
}


static inline uint8_t *
travel_head_put(uint8_t *p, unsigned tag, size_t len)
{
    *p++ = (uint8_t) tag;

    return travel_varint_put(p, len);
}


static inline uint8_t *
travel_bytes_put(uint8_t *p, unsigned tag, const void *data, size_t len)
{
    p = travel_head_put(p, tag, len);
    memcpy(p, data, len);

    return p + len;
}


static inline uint8_t *
travel_fixed32_put(uint8_t *p, uint32_t v)
{
    int  i;

    for (i = 0; i < 4; i++) {
        *p++ = (uint8_t) (v >> (8 * i));
    }

    return p;
}


static inline uint8_t *
travel_fixed64_put(uint8_t *p, uint64_t v)
{
    p = travel_fixed32_put(p, (uint32_t) v);

    return travel_fixed32_put(p, (uint32_t) (v >> 32));
}


static uint8_t *
travel_text_put(uint8_t *p, unsigned tag, travel_str_t s)
{
    size_t    i;
    uint64_t  high, word;

    p = travel_head_put(p, tag, s.len);

    if (s.len) {
        memcpy(p, s.data, s.len);
    }

    /* a bit 7 in any byte: eight at a time, then the rest */

    for (high = 0, i = 0; s.len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, p + i, sizeof(word));
        high |= word;
    }

    for ( /* void */ ; i < s.len; i++) {
        high |= p[i];
    }

    if (high & 0x8080808080808080) {
        travel_utf8_mend((char *) p, (char *) p + s.len);
    }

    return p + s.len;
}


/* AnyValue: a oneof, so zero and false are written too. */

static size_t
travel_any_size(const travel_attr_t *attr)
{
    switch (attr->type) {

    case TRAVEL_ATTR_STRING:
        return travel_field_size(attr->v.s.len);

    case TRAVEL_ATTR_INT:
        return 1 + travel_varint_size((uint64_t) attr->v.i);

    case TRAVEL_ATTR_DOUBLE:
        return 1 + 8;

    case TRAVEL_ATTR_BOOL:
        return 1 + 1;
    }

    return 0;
}


static uint8_t *
travel_any_put(uint8_t *p, const travel_attr_t *attr)
{
    uint64_t  bits;

    switch (attr->type) {

    case TRAVEL_ATTR_STRING:
        return travel_text_put(p, ANY_STRING, attr->v.s);

    case TRAVEL_ATTR_INT:
        *p++ = ANY_INT;
        return travel_varint_put(p, (uint64_t) attr->v.i);

    case TRAVEL_ATTR_DOUBLE:
        memcpy(&bits, &attr->v.d, sizeof(bits));
        *p++ = ANY_DOUBLE;
        return travel_fixed64_put(p, bits);

    case TRAVEL_ATTR_BOOL:
        *p++ = ANY_BOOL;
        *p++ = attr->v.b;
        return p;
    }

    return p;
}


static size_t
travel_attr_size(const travel_attr_t *attr)
{
    return travel_field_size(attr->name.len)
           + travel_field_size(travel_any_size(attr));
}


static size_t
travel_attrs_size(const travel_attr_t *attrs, size_t n)
{
    size_t  i, size;

    for (size = 0, i = 0; i < n; i++) {
        size += travel_field_size(travel_attr_size(&attrs[i]));
    }

    return size;
}


static uint8_t *
travel_attrs_put(uint8_t *p, unsigned tag, const travel_attr_t *attrs,
    size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        p = travel_head_put(p, tag, travel_attr_size(&attrs[i]));
        p = travel_text_put(p, KEY_VALUE_KEY, attrs[i].name);
        p = travel_head_put(p, KEY_VALUE_VALUE, travel_any_size(&attrs[i]));
        p = travel_any_put(p, &attrs[i]);
    }

    return p;
}


static uint8_t *
travel_links_put(uint8_t *p, const travel_trace_t *links, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        p = travel_head_put(p, SPAN_LINKS, LINK_SIZE);
        p = travel_bytes_put(p, LINK_TRACE_ID, links[i].trace_id, 16);
        p = travel_bytes_put(p, LINK_SPAN_ID, links[i].span_id, 8);
        *p++ = LINK_FLAGS;
        p = travel_fixed32_put(p, links[i].flags);
    }

    return p;
}


/* Status of a failed span: message, if any, and code. */

static size_t
travel_status_size(const travel_span_t *span)
{
    return (span->message.len ? travel_field_size(span->message.len) : 0) + 2;
}


static uint8_t *
travel_status_put(uint8_t *p, const travel_span_t *span)
{
    p = travel_head_put(p, SPAN_STATUS, travel_status_size(span));

    if (span->message.len) {
        p = travel_text_put(p, STATUS_MESSAGE, span->message);
    }

    *p++ = STATUS_CODE;
    *p++ = STATUS_CODE_ERROR;

    return p;
}


static bool
travel_span_root(const travel_span_t *span)
{
    static const uint8_t  none[8];

    return memcmp(span->parent, none, sizeof(none)) == 0;
}


static size_t
travel_span_size(const travel_span_t *span)
{
    size_t  size;

    size = (2 + 16) + (2 + 8)                         /* own ids */
           + travel_field_size(span->name.len)
           + 2                                        /* kind */
           + (1 + 8) + (1 + 8)                        /* start, end */
           + travel_attrs_size(span->attrs, span->nattrs)
           + span->nlinks * travel_field_size(LINK_SIZE)
           + (2 + 4);                                 /* flags */

    if (!travel_span_root(span)) {
        size += 2 + 8;
    }

    if (span->error) {
        size += travel_field_size(travel_status_size(span));
    }

    return size;
}


size_t
travel_otlp_span(uint8_t *dst, size_t room, const travel_span_t *span)
{
    size_t    size;
    uint8_t  *p;

    size = travel_span_size(span);

    if (travel_field_size(size) > room) {
        return 0;
    }

    p = travel_head_put(dst, SCOPE_SPANS_SPANS, size);

    p = travel_bytes_put(p, SPAN_TRACE_ID, span->id.trace_id, 16);
    p = travel_bytes_put(p, SPAN_SPAN_ID, span->id.span_id, 8);

    if (!travel_span_root(span)) {
        p = travel_bytes_put(p, SPAN_PARENT, span->parent, 8);
    }

    p = travel_text_put(p, SPAN_NAME, span->name);

    *p++ = SPAN_KIND;
    *p++ = (uint8_t) span->kind;
    *p++ = SPAN_START;
    p = travel_fixed64_put(p, span->start_ns);
    *p++ = SPAN_END;
    p = travel_fixed64_put(p, span->end_ns);

    p = travel_attrs_put(p, SPAN_ATTRIBUTES, span->attrs, span->nattrs);
    p = travel_links_put(p, span->links, span->nlinks);

    if (span->error) {
        p = travel_status_put(p, span);
    }

    p = travel_varint_put(p, SPAN_FLAGS);
    p = travel_fixed32_put(p, span->id.flags);

    return (size_t) (p - dst);
}


size_t
travel_otlp_batch_head(uint8_t *dst, size_t room,
    const travel_attr_t *resource, size_t nresource, size_t spans_len)
{
    size_t    attrs, scope, scope_spans, resource_spans, size;
    uint8_t  *p;

    attrs = travel_attrs_size(resource, nresource);
    scope = travel_field_size(travel_otlp_scope.len);
    scope_spans = travel_field_size(scope) + spans_len;
    resource_spans = travel_field_size(attrs) + travel_field_size(scope_spans);
    size = travel_field_size(resource_spans) - spans_len;

    if (size > room) {
        return 0;
    }

    p = travel_head_put(dst, REQUEST_RESOURCE_SPANS, resource_spans);

    p = travel_head_put(p, RESOURCE_SPANS_RESOURCE, attrs);
    p = travel_attrs_put(p, RESOURCE_ATTRIBUTES, resource, nresource);

    p = travel_head_put(p, RESOURCE_SPANS_SCOPE_SPANS, scope_spans);
    p = travel_head_put(p, SCOPE_SPANS_SCOPE, scope);
    p = travel_bytes_put(p, SCOPE_NAME, travel_otlp_scope.data,
                         travel_otlp_scope.len);

    return (size_t) (p - dst);
}
