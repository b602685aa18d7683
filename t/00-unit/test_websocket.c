/* WebSocket frames (RFC 6455) and permessage-deflate (RFC 7692). */

#include <stdio.h>

#include "unit.h"
#include "websocket.h"
#include "websocket_deflate.h"


/* A client's frame; returns its length. */
static size_t
frame(uint8_t *dst, unsigned first, const char *data, size_t len)
{
    size_t                i, n = 0;
    static const uint8_t  mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    dst[n++] = (uint8_t) first;

    if (len < 126) {
        dst[n++] = (uint8_t) (0x80 | len);

    } else if (len < 65536) {
        dst[n++] = 0x80 | 126;
        dst[n++] = (uint8_t) (len >> 8);
        dst[n++] = (uint8_t) len;

    } else {
        dst[n++] = 0x80 | 127;
        for (i = 0; i < 8; i++) {
            dst[n++] = (uint8_t) ((uint64_t) len >> (56 - 8 * i));
        }
    }

    memcpy(dst + n, mask, 4);
    n += 4;

    for (i = 0; i < len; i++) {
        dst[n++] = (uint8_t) data[i] ^ mask[i & 3];
    }

    return n;
}


/*
 * What a reader makes of bytes that come 'step' at a time, as text: "t(...)"
 * and "b(...)" messages, "p(...)" ping, "q(...)" pong, "c1000(...)" close,
 * "!1002" broken.
 */
static void
read_all(char *out, const uint8_t *bytes, size_t n, size_t step, uint64_t max,
    bool deflate)
{
    char                message[70000], *o = out;
    size_t              at, used = 0;
    uint8_t             copy[80000], *p, *end;
    travel_ws_event_t   ev;
    travel_ws_reader_t  r;

    assert_true(n <= sizeof(copy));
    memcpy(copy, bytes, n);
    travel_ws_reader_init(&r, max, deflate);
    *o = '\0';

    for (at = 0; at < n; at += step) {
        p = copy + at;
        end = copy + (at + step < n ? at + step : n);

        for ( ;; ) {
            travel_ws_read(&r, &p, end, &ev);

            if (ev.event == TRAVEL_WS_MORE) {
                assert_ptr_equal(p, end);
                break;
            }

            if (ev.event == TRAVEL_WS_PIECE) {
                memcpy(message + used, ev.data.data, ev.data.len);
                used += ev.data.len;

                if (ev.last) {
                    o += sprintf(o, "%c%s(%.*s)", " tb"[ev.opcode],
                                 ev.compressed ? "z" : "", (int) used,
                                 message);
                    used = 0;
                }

            } else if (ev.event == TRAVEL_WS_CONTROL) {
                if (ev.opcode == TRAVEL_WS_CLOSE) {
                    o += sprintf(o, "c%u(%.*s)", ev.code, (int) ev.data.len,
                                 ev.data.data);
                } else {
                    o += sprintf(o, "%c(%.*s)",
                                 ev.opcode == TRAVEL_WS_PING ? 'p' : 'q',
                                 (int) ev.data.len, ev.data.data);
                }

            } else {
                sprintf(o, "!%u", ev.code);
                return;
            }
        }
    }
}


/* Frames given as (first byte, data) pairs; however they are cut, the same
 * comes of them. */
static void
reads(const char *want, ...)
{
    int          first;
    char         got[4096];
    size_t       n = 0, step;
    uint8_t      bytes[8192];
    va_list      ap;
    const char  *data;

    va_start(ap, want);

    while ((first = va_arg(ap, int)) != -1) {
        data = va_arg(ap, const char *);
        n += frame(bytes + n, (unsigned) first, data, strlen(data));
    }

    va_end(ap);

    for (step = 1; step <= n; step = step < 20 ? step + 1 : step * 2) {
        read_all(got, bytes, n, step, 0, false);
        assert_string_equal(got, want);
    }

    read_all(got, bytes, n, n, 0, false);
    assert_string_equal(got, want);
}


static void
test_handshake(void **state)
{
    char  accept[TRAVEL_WS_ACCEPT_LEN];

    (void) state;

    /* the example of section 1.3 */
    assert_int_equal(travel_ws_accept(accept, L("dGhlIHNhbXBsZSBub25jZQ==")),
                     TRAVEL_OK);
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28);

    assert_false(travel_ws_key_sane(L("dGhlIHNhbXBsZSBub25jZQ=")));
    assert_false(travel_ws_key_sane(L("dGhlIHNhbXBsZSBub25jZR==")));
    assert_false(travel_ws_key_sane(L("dGhlIHNhbXBsZSBub25j Q==")));
    assert_int_equal(travel_ws_accept(accept, L("x")), TRAVEL_INVALID);
}


static void
test_messages(void **state)
{
    (void) state;

    reads("t(Hello)", 0x81, "Hello", -1);
    reads("b()", 0x82, "", -1);
    reads("t(Hello)t(x)", 0x01, "Hel", 0x80, "lo", 0x81, "x", -1);
    reads("t(Hello)", 0x01, "", 0x00, "Hel", 0x00, "", 0x80, "lo", -1);
    reads("t(Hello)", 0x01, "Hello", 0x80, "", -1);
    /* control frames between fragments (section 5.4) */
    reads("p(a)q(b)t(Hello)", 0x01, "Hel", 0x89, "a", 0x8A, "b", 0x80, "lo",
          -1);
    reads("c1000(bye)", 0x88, "\x03\xe8" "bye", -1);
    reads("c1005()", 0x88, "", -1);
    reads("c4999()", 0x88, "\x13\x87", -1);
}


static void
test_broken(void **state)
{
    (void) state;

    reads("!1002", 0xC1, "x", -1);              /* RSV1, not negotiated */
    reads("!1002", 0xA1, "x", -1);
    reads("!1002", 0x91, "x", -1);
    reads("!1002", 0x83, "x", -1);              /* reserved opcodes */
    reads("!1002", 0x8B, "x", -1);
    reads("!1002", 0x8F, "x", -1);
    reads("!1002", 0x09, "x", -1);              /* fragmented control */
    reads("!1002", 0x80, "x", -1);              /* nothing to continue */
    reads("!1002", 0x00, "x", -1);
    reads("t(x)!1002", 0x81, "x", 0x80, "x", -1);
    reads("!1002", 0x01, "x", 0x81, "y", -1);   /* a message within another */
    reads("!1002", 0x88, "\x03", -1);           /* close codes */
    reads("!1002", 0x88, "\x03\xe7", -1);
    reads("!1002", 0x88, "\x03\xec", -1);
    reads("!1002", 0x88, "\x03\xed", -1);
    reads("!1002", 0x88, "\x03\xee", -1);
    reads("!1002", 0x88, "\x03\xf7", -1);
    reads("!1002", 0x88, "\x07\xd0", -1);
    reads("!1002", 0x88, "\x13\x88", -1);
    reads("!1007", 0x88, "\x03\xe8\xff", -1);
    reads("!1007", 0x88, "\x03\xe8\xe2\x82", -1);
}


static void
head_only(const char *bytes, size_t n, uint64_t max, bool deflate,
    const char *want)
{
    char    got[64];
    size_t  step;

    for (step = 1; step <= n; step++) {
        read_all(got, (const uint8_t *) bytes, n, step, max, deflate);
        assert_string_equal(got, want);
    }
}


static void
test_heads(void **state)
{
    char     got[70100], data[70000];
    uint8_t  bytes[70100];
    size_t   n;

    (void) state;

    head_only("\x81\x05Hello", 7, 0, false, "!1002");        /* no mask */
    head_only("\x89\xFE\x00\x7E", 4, 0, false, "!1002");     /* ping of 126 */
    head_only("\x82\xFE\x00\x7D....", 8, 0, false, "!1002"); /* not minimal */
    head_only("\x82\xFF\0\0\0\0\0\0\xFF\xFF....", 14, 0, false, "!1002");
    head_only("\x82\xFF\x80\0\0\0\0\0\0\0....", 14, 0, false, "!1002");
    head_only("\x82\xFF\0\0\0\1\0\0\0\0....", 14, 65536, false, "!1009");
    head_only("\xC9\x80....", 6, 0, true, "!1002");          /* RSV1 of ping */
    head_only("\xC0\x80....", 6, 0, true, "!1002");

    memset(data, 'x', sizeof(data));
    n = frame(bytes, 0x82, data, 65536);
    read_all(got, bytes, n, n, 65536, false);
    assert_int_equal(strlen(got), 65536 + 3);

    n = frame(bytes, 0x02, data, 60000);
    n += frame(bytes + n, 0x80, data, 5537);
    read_all(got, bytes, n, 1000, 65536, false);
    assert_string_equal(got, "!1009");

    n = frame(bytes, 0xC1, "abc", 3);
    n += frame(bytes + n, 0x81, "abc", 3);
    read_all(got, bytes, n, 2, 0, true);
    assert_string_equal(got, "tz(abc)t(abc)");
}


static void
test_utf8(void **state)
{
    unsigned                  i;
    char                      want[64];

    static const char *const  good[] = {
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "\xc2\x80",
        "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
        ("12345678\xc3\xa4" "12345678")
    };
    static const char *const  bad[] = {
        "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80", "\xff",
        "\xc3(", "\xe2\x82(", "12345678\xff", "\xc3", "\xe2\x82",
        "\xf0\x90\x80"
    };

    (void) state;

    for (i = 0; i < N(good); i++) {
        sprintf(want, "t(%s)", good[i]);
        reads(want, 0x81, good[i], -1);
    }

    for (i = 0; i < N(bad); i++) {
        reads("!1007", 0x81, bad[i], -1);
    }

    /* a character in two frames; bytes of binary may be anything */
    reads("t(\xe2\x82\xac)", 0x01, "\xe2", 0x00, "\x82", 0x80, "\xac", -1);
    reads("!1007", 0x01, "\xe2", 0x80, "x", -1);
    reads("!1007", 0x01, "\xe2", 0x80, "", -1);
    reads("b(\xff)", 0x82, "\xff", -1);
}


static void
test_unmask(void **state)
{
    size_t                at, len, i;
    uint8_t               data[64], want[64];
    static const uint8_t  mask[4] = { 1, 2, 4, 8 };

    (void) state;

    for (at = 0; at < 9; at++) {
        for (len = 0; at + len <= 40; len++) {
            for (i = 0; i < 64; i++) {
                data[i] = want[i] = (uint8_t) i;
            }

            for (i = 0; i < len; i++) {
                want[at + i] ^= mask[(3 + i) & 3];
            }

            assert_int_equal(travel_ws_unmask(data + at, len, mask, 3),
                             (3 + len) & 3);
            assert_memory_equal(data, want, 64);
        }
    }
}


static void
test_out(void **state)
{
    char     text[TRAVEL_WS_CONTROL_MAX], reason[200];
    uint8_t  head[TRAVEL_WS_HEAD_MAX];

    (void) state;

    assert_int_equal(travel_ws_head(head, TRAVEL_WS_TEXT, false, 125), 2);
    assert_memory_equal(head, "\x81\x7d", 2);
    assert_int_equal(travel_ws_head(head, TRAVEL_WS_BINARY, true, 126), 4);
    assert_memory_equal(head, "\xc2\x7e\x00\x7e", 4);
    assert_int_equal(travel_ws_head(head, TRAVEL_WS_TEXT, false, 65536), 10);
    assert_memory_equal(head, "\x81\x7f\0\0\0\0\0\1\0\0", 10);

    assert_int_equal(travel_ws_close(text, 1001, L("gone")), 6);
    assert_memory_equal(text, "\x03\xe9gone", 6);
    assert_int_equal(travel_ws_close(text, TRAVEL_WS_NO_STATUS, L("x")), 0);

    /* cut between characters: 41 of three bytes each are 123 */
    memset(reason, 'a', 2);
    memset(reason + 2, 0, sizeof(reason) - 2);
    while (strlen(reason) < 150) {
        strcat(reason, "\xe2\x82\xac");
    }
    assert_int_equal(travel_ws_close(text, 1000, S(reason)), 2 + 2 + 120);
}


static void
agree(const char *offer, int rc, unsigned window, const char *answer)
{
    char                 text[TRAVEL_WS_DEFLATE_MAX];
    size_t               len = 0;
    travel_ws_deflate_t  deal = { 0 };

    assert_int_equal(travel_ws_deflate_agree(S(offer), &deal, text, &len), rc);

    if (rc == TRAVEL_OK) {
        assert_int_equal(deal.window, window);
        assert_str(((travel_str_t) { text, len }), answer);
    }
}


#define PMD   "permessage-deflate"
#define OURS  PMD "; server_no_context_takeover; client_no_context_takeover"

static void
test_agree(void **state)
{
    (void) state;

    agree(PMD, TRAVEL_OK, 15, OURS);
    agree(PMD "; client_max_window_bits", TRAVEL_OK, 15, OURS);
    agree(PMD "; client_max_window_bits=8", TRAVEL_OK, 15, OURS);
    agree(PMD ";server_max_window_bits=10 ;client_no_context_takeover",
          TRAVEL_OK, 10, OURS "; server_max_window_bits=10");
    agree(PMD "; server_max_window_bits=\"9\"", TRAVEL_OK, 9,
          OURS "; server_max_window_bits=9");
    agree("x-other; a=b, " PMD "; what, " PMD, TRAVEL_OK, 15, OURS);
    agree(PMD "; server_max_window_bits=8, " PMD, TRAVEL_OK, 15, OURS);

    agree("x-webkit-deflate-frame", TRAVEL_REFUSED, 0, NULL);
    agree("", TRAVEL_REFUSED, 0, NULL);
    agree(PMD "; server_max_window_bits", TRAVEL_REFUSED, 0, NULL);
    agree(PMD "; server_max_window_bits=16", TRAVEL_REFUSED, 0, NULL);
    agree(PMD "; client_max_window_bits=08", TRAVEL_REFUSED, 0, NULL);
    agree(PMD "; server_no_context_takeover=1", TRAVEL_REFUSED, 0, NULL);
    agree(PMD "; client_max_window_bits; client_max_window_bits",
          TRAVEL_REFUSED, 0, NULL);
    agree(PMD ";", TRAVEL_INVALID, 0, NULL);
    agree(PMD " x", TRAVEL_INVALID, 0, NULL);
    agree(PMD "; a=", TRAVEL_INVALID, 0, NULL);
    agree(PMD "; a=\"b", TRAVEL_INVALID, 0, NULL);
}


static void
test_deflate(void **state)
{
    char                 *big, hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    size_t                i, sizes[] = { 0, 1, 5, 4000, 70000, 300000 };
    travel_str_t          out, back, packed;
    travel_ws_packer_t   *packer, *other;
    travel_ws_deflate_t   deal;

    (void) state;

    packer = travel_ws_packer_create();
    other = travel_ws_packer_create();
    big = malloc(300000);

    /* the examples of section 7.2.3 */
    packed = (travel_str_t) { hello, 7 };
    assert_int_equal(travel_ws_inflate(packer, packed, 5, &out), TRAVEL_OK);
    assert_str(out, "Hello");
    assert_int_equal(travel_ws_inflate(packer, packed, 4, &out),
                     TRAVEL_REFUSED);
    assert_int_equal(travel_ws_inflate(packer,
                         L("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
                         100, &out), TRAVEL_OK);
    assert_str(out, "Hello");
    assert_int_equal(travel_ws_inflate(packer,
                         L("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 100, &out),
                     TRAVEL_OK);
    assert_str(out, "Hello");
    assert_int_equal(travel_ws_inflate(packer,
                         L("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07"
                           "\x00"), 100, &out), TRAVEL_OK);
    assert_str(out, "Hello");
    assert_int_equal(travel_ws_inflate(packer, L("\x02\x00"), 100, &out),
                     TRAVEL_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(travel_ws_inflate(packer, L("\xff\xff\xff"), 100, &out),
                     TRAVEL_INVALID);

    for (deal.window = 9; deal.window <= 15; deal.window++) {
        for (i = 0; i < N(sizes); i++) {
            size_t  k;

            for (k = 0; k < sizes[i]; k++) {
                big[k] = (char) ((k * k >> 3) ^ k);
            }

            assert_int_equal(travel_ws_deflate(packer, &deal,
                                 (travel_str_t) { big, sizes[i] }, &out),
                             TRAVEL_OK);
            assert_int_equal(travel_ws_inflate(other, out, sizes[i], &back),
                             TRAVEL_OK);
            assert_int_equal(back.len, sizes[i]);
            assert_memory_equal(back.data, big, sizes[i]);
        }
    }

    /* a bomb goes off inside its bound */
    memset(big, 0, 300000);
    assert_int_equal(travel_ws_deflate(packer, &deal,
                         (travel_str_t) { big, 300000 }, &out), TRAVEL_ERROR);
    deal.window = 15;
    assert_int_equal(travel_ws_deflate(packer, &deal,
                         (travel_str_t) { big, 300000 }, &out), TRAVEL_OK);
    assert_true(out.len < 3000);
    assert_int_equal(travel_ws_inflate(other, out, 65536, &back),
                     TRAVEL_REFUSED);

    free(big);
    travel_ws_packer_free(packer);
    travel_ws_packer_free(other);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_unmask),
        cmocka_unit_test(test_out),
        cmocka_unit_test(test_agree),
        cmocka_unit_test(test_deflate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
