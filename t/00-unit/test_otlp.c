/* OTLP batches, read back by a protobuf reader that shares nothing with the
 * writer. */

#include "unit.h"
#include "otlp.h"


/* One field at a time: number, wire type, and its value or bytes. */

typedef struct {
    const uint8_t  *p;
    const uint8_t  *end;
    unsigned        number;
    unsigned        wire;
    uint64_t        value;
    const uint8_t  *data;
    size_t          len;
} reader_t;


static uint64_t
read_varint(reader_t *r)
{
    int       shift;
    uint64_t  v;

    for (v = 0, shift = 0; ; shift += 7) {
        assert_true(r->p < r->end && shift < 64);
        v |= (uint64_t) (*r->p & 0x7f) << shift;

        if (!(*r->p++ & 0x80)) {
            return v;
        }
    }
}


static reader_t
reader(const uint8_t *data, size_t len)
{
    return (reader_t) { .p = data, .end = data + len };
}


static bool
next(reader_t *r)
{
    int       i, n;
    uint64_t  tag;

    if (r->p == r->end) {
        return false;
    }

    tag = read_varint(r);
    r->number = (unsigned) (tag >> 3);
    r->wire = tag & 7;

    switch (r->wire) {

    case 0:
        r->value = read_varint(r);
        return true;

    case 1:
    case 5:
        n = r->wire == 1 ? 8 : 4;
        assert_true(r->end - r->p >= n);

        for (r->value = 0, i = 0; i < n; i++) {
            r->value |= (uint64_t) *r->p++ << (8 * i);
        }

        return true;

    case 2:
        r->len = read_varint(r);
        assert_true(r->len <= (size_t) (r->end - r->p));
        r->data = r->p;
        r->p += r->len;
        return true;
    }

    fail_msg("wire type %u", r->wire);

    return false;
}


/* The n-th occurrence of a field; false when there are fewer. */

static bool
find(reader_t *ret, const uint8_t *data, size_t len, unsigned number,
    unsigned n)
{
    bool      found = false;
    reader_t  r = reader(data, len);

    while (next(&r)) {                 /* to the end: all of it must parse */
        if (r.number == number && n-- == 0) {
            *ret = r;
            found = true;
        }
    }

    return found;
}


static unsigned
count(const uint8_t *data, size_t len, unsigned number)
{
    unsigned  n = 0;
    reader_t  r = reader(data, len);

    while (next(&r)) {
        n += r.number == number;
    }

    return n;
}


#define assert_field_bytes(span, num, bytes, n)                               \
    do {                                                                      \
        reader_t  f_;                                                         \
                                                                              \
        assert_true(find(&f_, (span).data, (span).len, num, 0));              \
        assert_int_equal(f_.wire, 2);                                         \
        assert_int_equal(f_.len, n);                                          \
        assert_memory_equal(f_.data, bytes, n);                               \
    } while (0)

#define assert_field_value(span, num, type, v)                                \
    do {                                                                      \
        reader_t  f_;                                                         \
                                                                              \
        assert_true(find(&f_, (span).data, (span).len, num, 0));              \
        assert_int_equal(f_.wire, type);                                      \
        assert_true(f_.value == (uint64_t) (v));                              \
    } while (0)


static const travel_attr_t  attrs[] = {
    { L("http.route"), TRAVEL_ATTR_STRING, { .s = L("/api/v1/bookings") } },
    { L("http.status"), TRAVEL_ATTR_INT, { .i = 202 } },
    { L("neg"), TRAVEL_ATTR_INT, { .i = -1 } },
    { L("ms"), TRAVEL_ATTR_DOUBLE, { .d = 0.25 } },
    { L("hit"), TRAVEL_ATTR_BOOL, { .b = true } },
    { L("miss"), TRAVEL_ATTR_BOOL, { .b = false } },
    { L("zero"), TRAVEL_ATTR_INT, { .i = 0 } },
    { L("empty"), TRAVEL_ATTR_STRING, { .s = { NULL, 0 } } }
};

static const travel_trace_t  link_to = {
    { 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9 },
    { 8, 8, 8, 8, 8, 8, 8, 8 }, 1
};


static travel_span_t
sample(void)
{
    travel_span_t  span = {
        .name = L("POST /api/v1/bookings"),
        .kind = TRAVEL_SPAN_SERVER,
        .start_ns = 1764000000123456789, .end_ns = 1764000000223456789,
        .error = true, .message = L("it failed"),
        .attrs = attrs, .nattrs = N(attrs),
        .links = &link_to, .nlinks = 1
    };

    memset(span.id.trace_id, 0x11, 16);
    memset(span.id.span_id, 0x22, 8);
    memset(span.parent, 0x33, 8);
    span.id.flags = TRAVEL_TRACE_SAMPLED | TRAVEL_TRACE_RANDOM;

    return span;
}


static void
check_any(reader_t any, const travel_attr_t *attr)
{
    uint64_t  bits;

    assert_int_equal(any.number, 2);

    switch (attr->type) {

    case TRAVEL_ATTR_STRING:
        assert_field_bytes(any, 1, attr->v.s.data ? attr->v.s.data : "",
                           attr->v.s.len);
        break;

    case TRAVEL_ATTR_BOOL:
        assert_field_value(any, 2, 0, attr->v.b);
        break;

    case TRAVEL_ATTR_INT:
        assert_field_value(any, 3, 0, attr->v.i);
        break;

    case TRAVEL_ATTR_DOUBLE:
        memcpy(&bits, &attr->v.d, sizeof(bits));
        assert_field_value(any, 4, 1, bits);
        break;
    }
}


static void
check_attrs(reader_t owner, unsigned number)
{
    unsigned  i;
    reader_t  kv, any;

    assert_int_equal(count(owner.data, owner.len, number), N(attrs));

    for (i = 0; i < N(attrs); i++) {
        assert_true(find(&kv, owner.data, owner.len, number, i));
        assert_field_bytes(kv, 1, attrs[i].name.data, attrs[i].name.len);
        assert_true(find(&any, kv.data, kv.len, 2, 0));
        check_any(any, &attrs[i]);
    }
}


static void
whole_span(void **state)
{
    size_t         n, i;
    uint8_t        buf[1024];
    reader_t       span, status, link;
    travel_span_t  in;

    (void) state;

    in = sample();
    n = travel_otlp_span(buf, sizeof(buf), &in);
    assert_true(n > 0);

    span = reader(buf, n);
    assert_true(next(&span));
    assert_int_equal(span.number, 2);              /* ScopeSpans.spans */
    assert_ptr_equal(span.p, buf + n);

    assert_field_bytes(span, 1, in.id.trace_id, 16);
    assert_field_bytes(span, 2, in.id.span_id, 8);
    assert_field_bytes(span, 4, in.parent, 8);
    assert_field_bytes(span, 5, in.name.data, in.name.len);
    assert_field_value(span, 6, 0, 2);
    assert_field_value(span, 7, 1, in.start_ns);
    assert_field_value(span, 8, 1, in.end_ns);
    assert_field_value(span, 16, 5, 3);
    check_attrs(span, 9);

    assert_true(find(&link, span.data, span.len, 13, 0));
    assert_field_bytes(link, 1, link_to.trace_id, 16);
    assert_field_bytes(link, 2, link_to.span_id, 8);
    assert_field_value(link, 6, 5, 1);

    assert_true(find(&status, span.data, span.len, 15, 0));
    assert_field_bytes(status, 2, "it failed", 9);
    assert_field_value(status, 3, 0, 2);

    /* no room, no byte */

    for (i = 0; i < n; i++) {
        memset(buf, '#', sizeof(buf));
        assert_int_equal(travel_otlp_span(buf, i, &in), 0);
        assert_int_equal(buf[0], '#');
        assert_int_equal(buf[i], '#');
    }

    assert_int_equal(travel_otlp_span(buf, n, &in), n);
    assert_int_equal(buf[n], '#');
}


static void
bare_span(void **state)
{
    size_t         n;
    uint8_t        buf[256];
    reader_t       span;
    travel_span_t  in = { .kind = TRAVEL_SPAN_INTERNAL };

    (void) state;

    n = travel_otlp_span(buf, sizeof(buf), &in);
    span = reader(buf, n);
    assert_true(next(&span));

    assert_int_equal(count(span.data, span.len, 4), 0);   /* root */
    assert_int_equal(count(span.data, span.len, 9), 0);
    assert_int_equal(count(span.data, span.len, 13), 0);
    assert_int_equal(count(span.data, span.len, 15), 0);  /* status UNSET */

    in.error = true;
    n = travel_otlp_span(buf, sizeof(buf), &in);
    span = reader(buf, n);
    assert_true(next(&span));
    assert_int_equal(count(span.data, span.len, 15), 1);
}


/* Lengths around where their own encoding grows by a byte. */

static void
long_texts(void **state)
{
    size_t         len, n;
    char           text[20000];
    uint8_t        buf[21000];
    reader_t       span;
    travel_span_t  in = { .kind = TRAVEL_SPAN_CLIENT };

    static const size_t  lens[] = {
        40, 100, 126, 127, 128, 129, 16000, 16250, 16300, 16383, 16384, 16385,
        20000
    };

    (void) state;

    memset(text, 'n', sizeof(text));

    for (len = 0; len < N(lens); len++) {
        in.name = (travel_str_t) { text, lens[len] };
        n = travel_otlp_span(buf, sizeof(buf), &in);

        span = reader(buf, n);
        assert_true(next(&span));
        assert_ptr_equal(span.p, buf + n);
        assert_field_bytes(span, 5, text, lens[len]);
        assert_int_equal(travel_otlp_span(buf, n - 1, &in), 0);
    }
}


static void
batch(void **state)
{
    int            i;
    size_t         n, head, spans;
    uint8_t        buf[8192], body[4096];
    reader_t       rs, res, ss, scope;
    travel_span_t  in;

    (void) state;

    in = sample();

    for (spans = 0, i = 0; i < 5; i++) {
        n = travel_otlp_span(body + spans, sizeof(body) - spans, &in);
        assert_true(n > 0);
        spans += n;
    }

    head = travel_otlp_batch_head(buf, sizeof(buf), attrs, N(attrs), spans);
    assert_true(head > 0);
    memcpy(buf + head, body, spans);

    rs = reader(buf, head + spans);
    assert_true(next(&rs));
    assert_int_equal(rs.number, 1);
    assert_ptr_equal(rs.p, buf + head + spans);

    assert_true(find(&res, rs.data, rs.len, 1, 0));
    check_attrs(res, 1);

    assert_int_equal(count(rs.data, rs.len, 2), 1);
    assert_true(find(&ss, rs.data, rs.len, 2, 0));
    assert_true(find(&scope, ss.data, ss.len, 1, 0));
    assert_field_bytes(scope, 1, "ngx_travel", 10);
    assert_int_equal(count(ss.data, ss.len, 2), 5);

    for (n = 0; n < head; n++) {
        assert_int_equal(travel_otlp_batch_head(buf, n, attrs, N(attrs),
                                                spans), 0);
    }

    assert_int_equal(travel_otlp_batch_head(buf, head, attrs, N(attrs), spans),
                     head);

    /* an empty batch without a resource is still well-formed */

    head = travel_otlp_batch_head(buf, sizeof(buf), NULL, 0, 0);
    rs = reader(buf, head);
    assert_true(next(&rs));
    assert_true(find(&ss, rs.data, rs.len, 2, 0));
}


/* One caller's broken text must not cost everybody's spans: the collector
 * takes a batch only if all of its strings are UTF-8. */

static void
broken_utf8(void **state)
{
    size_t         i, n;
    uint8_t        buf[256];
    reader_t       span;
    travel_span_t  in = { .kind = TRAVEL_SPAN_SERVER };

    static const struct { const char *in, *out; } rows[] = {
        { "/caf\xc3\xa9", "/caf\xc3\xa9" }, { "/caf\xe9", "/caf?" },
        { "\xff\xfe", "??" }, { "\xe2\x82", "??" },
        { "\xe2\x82\xac\x80", "\xe2\x82\xac?" }, { "\xed\xa0\x80", "???" },
        { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" }, { "\xc0\xaf", "??" }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        in.name = S(rows[i].in);
        n = travel_otlp_span(buf, sizeof(buf), &in);
        span = reader(buf, n);
        assert_true(next(&span));
        assert_field_bytes(span, 5, rows[i].out, strlen(rows[i].out));
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(whole_span),
        cmocka_unit_test(bare_span),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(batch),
        cmocka_unit_test(broken_utf8)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
