/* W3C Trace Context: the cases of the specification and of its test suite. */

#include <stdio.h>

#include "unit.h"
#include "traceparent.h"


#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"


static void
accepted(void **state)
{
    size_t          i;
    char            text[TRAVEL_TRACEPARENT_LEN + 1] = { 0 };
    travel_trace_t  t;

    static const struct { const char *header; int flags; } rows[] = {
        { "00-" TRACE "-" SPAN "-00", 0 },
        { "00-" TRACE "-" SPAN "-01", 1 },
        { "00-" TRACE "-" SPAN "-02", 2 },
        { "00-" TRACE "-" SPAN "-03", 3 },
        { "00-" TRACE "-" SPAN "-ff", 3 },        /* unknown flags drop */
        { "00-" TRACE "-" SPAN "-04", 0 },
        { "01-" TRACE "-" SPAN "-01", 1 },
        { "cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like", 1 },
        { "cc-" TRACE "-" SPAN "-01-", 1 },
        { "fe-" TRACE "-" SPAN "-09", 1 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(travel_traceparent_parse(&t, S(rows[i].header)),
                         TRAVEL_OK);
        assert_int_equal(t.flags, rows[i].flags);
        assert_memory_equal(t.trace_id, "\x0a\xf7\x65\x19\x16\xcd\x43\xdd"
                            "\x84\x48\xeb\x21\x1c\x80\x31\x9c", 16);
        assert_memory_equal(t.span_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);

        travel_traceparent_format(text, &t);
        assert_memory_equal(text, "00-" TRACE "-" SPAN "-0", 54);
        assert_int_equal(text[54] - '0', rows[i].flags);
    }

    t.flags = 0xfd;
    travel_traceparent_format(text, &t);
    assert_string_equal(text, "00-" TRACE "-" SPAN "-01");
}


static void
refused(void **state)
{
    size_t          i;
    travel_trace_t  t, was;

    static const char  *rows[] = {
        "", "00", "00-", "-",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-",
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-001",
        "00-" TRACE "-" SPAN "-01-what",              /* 00 has no more */
        "00-" TRACE "-" SPAN "-01.",
        "cc-" TRACE "-" SPAN "-01.what",
        "cc-" TRACE "-" SPAN "-0100",
        "ff-" TRACE "-" SPAN "-01",
        "0-" TRACE "-" SPAN "-001",
        ".0-" TRACE "-" SPAN "-01",
        "0.-" TRACE "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-" TRACE "-B7AD6B7169203331-01",
        "00-" TRACE "-" SPAN "-0A",
        "00-" TRACE "-" SPAN "-.0",
        "00-" TRACE "-" SPAN "-0.",
        "00-.af7651916cd43dd8448eb211c80319c-" SPAN "-01",
        "00-0af7651916cd43dd8448eb211c80319-" SPAN "-001",
        "00-" TRACE "-b7ad6b716920333-001",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        " 00-" TRACE "-" SPAN "-01",
        "00-" TRACE "-" SPAN "-01 "
    };

    (void) state;

    memset(&was, 0x5a, sizeof(was));
    t = was;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(travel_traceparent_parse(&t, S(rows[i])),
                         TRAVEL_INVALID);
    }

    assert_int_equal(travel_traceparent_parse(&t, TRAVEL_NULL_STR),
                     TRAVEL_INVALID);
    assert_memory_equal(&t, &was, sizeof(t));
}


static void
tracestate(void **state)
{
    size_t  i;

    static const struct { const char *header; size_t keep; } rows[] = {
        { "", 0 }, { " ", 0 }, { ",", 0 }, { ", ,\t,", 0 },
        { "foo=1", 5 }, { "foo=1,bar=2", 11 }, { "foo=1 \t , \t bar=2", 17 },
        { "foo=1,bar=2,", 11 }, { "foo=1,,bar=2", 12 }, { " foo=1 ", 6 },
        { "foo=1,foo=2", 11 },                /* duplicates pass */
        { "fw529a3039@dt=x", 15 }, { "0a@b=1", 6 }, { "a-_*/@z=1", 9 },
        { "foo=a b", 7 }, { "foo=!~", 6 },
        { "foo", 0 }, { "foo=", 0 }, { "=1", 0 }, { "Foo=1", 0 },
        { "foo =1", 0 }, { "foo=1=2", 0 }, { "foo=1,bar", 0 },
        { "foo.bar=1", 0 }, { "@foo=1", 0 }, { "foo=\xc3\xa9", 0 },
        { "foo=a\tb", 0 }, { "foo=1;bar=2", 0 }, { "foo=1;bar", 9 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(travel_tracestate_keep(S(rows[i].header)),
                         rows[i].keep);
    }

    assert_int_equal(travel_tracestate_keep(TRAVEL_NULL_STR), 0);
}


static void
tracestate_bounds(void **state)
{
    int     i;
    char    text[2048];
    size_t  n, two;

    (void) state;

    /* 32 members pass, a 33rd makes it no list */

    for (n = 0, i = 0; i < 32; i++) {
        n += (size_t) sprintf(text + n, "%sbar%02d=%02d", i ? "," : "", i, i);
    }

    assert_int_equal(travel_tracestate_keep((travel_str_t) { text, n }), n);

    n += (size_t) sprintf(text + n, ",bar=1");
    assert_int_equal(travel_tracestate_keep((travel_str_t) { text, n }), 0);

    /* a key or value of 256 passes, of 257 does not */

    memset(text, 'a', sizeof(text));
    text[256] = '=';
    assert_int_equal(travel_tracestate_keep((travel_str_t) { text, 258 }),
                     258);
    text[256] = 'a';
    text[257] = '=';
    assert_int_equal(travel_tracestate_keep((travel_str_t) { text, 259 }), 0);

    memset(text, 'a', sizeof(text));
    text[1] = '=';
    assert_int_equal(travel_tracestate_keep((travel_str_t) { text, 258 }),
                     258);
    assert_int_equal(travel_tracestate_keep((travel_str_t) { text, 259 }), 0);

    /* over 512 bytes whole members are dropped from the end */

    text[200] = ',';
    text[202] = '=';
    two = 400;
    text[400] = ',';
    text[402] = '=';
    assert_int_equal(travel_tracestate_keep((travel_str_t) { text, 600 }),
                     two);
    assert_int_equal(travel_tracestate_keep((travel_str_t) { text, 512 }),
                     512);
    assert_int_equal(travel_tracestate_keep((travel_str_t) { text, 513 }),
                     two);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(refused),
        cmocka_unit_test(tracestate),
        cmocka_unit_test(tracestate_bounds)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
