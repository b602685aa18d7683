/* The JSON writer: commas, escapes, bounds; read back by jansson. */

#include <jansson.h>

#include "unit.h"
#include "json_writer.h"


static void
document(travel_json_writer_t *w)
{
    travel_json_object(w);
    travel_json_member_cstring(w, "a", "x\"\\/\b\n\x01");
    travel_json_member_int(w, "b", INT64_MIN);
    travel_json_key(w, L("c"));
    travel_json_array(w);
    travel_json_array(w);
    travel_json_array_end(w);
    travel_json_object(w);
    travel_json_object_end(w);
    travel_json_uint(w, UINT64_MAX);
    travel_json_bool(w, true);
    travel_json_bool(w, false);
    travel_json_null(w);
    travel_json_raw(w, L("{\"raw\":[1,2]}"));
    travel_json_array_end(w);
    travel_json_key(w, L("d\n"));
    travel_json_fixed(w, -12345, 3);
    travel_json_object_end(w);
}


static const char  written[] =
    "{\"a\":\"x\\\"\\\\/\\b\\n\\u0001\",\"b\":-9223372036854775808,"
    "\"c\":[[],{},18446744073709551615,true,false,null,{\"raw\":[1,2]}],"
    "\"d\\n\":-12.345}";


static void
everything(void **state)
{
    char                  buf[512];
    size_t                n;
    travel_json_writer_t  w;

    (void) state;

    travel_json_writer_init(&w, buf, sizeof(buf));
    document(&w);
    n = travel_json_writer_finish(&w);

    assert_str(((travel_str_t) { buf, n }), written);
}


static void
every_room(void **state)
{
    char                  buf[sizeof(written) + 8];
    size_t                room;
    travel_json_writer_t  w;

    (void) state;

    for (room = 0; room < sizeof(written); room++) {
        memset(buf, '#', sizeof(buf));
        travel_json_writer_init(&w, buf, room);
        document(&w);

        /* too small is told, needs are counted, the rest stays untouched,
         * what was written is the beginning of it all */

        assert_int_equal(travel_json_writer_finish(&w),
                         room < sizeof(written) - 1 ? 0 : sizeof(written) - 1);
        assert_int_equal(w.len, sizeof(written) - 1);
        assert_int_equal(buf[room], '#');

        for (size_t i = 0; i < room && buf[i] != '#'; i++) {
            assert_int_equal(buf[i], written[i]);
        }
    }

    travel_json_writer_init(&w, NULL, 0);
    document(&w);
    assert_int_equal(w.len, sizeof(written) - 1);
}


static void
unbalanced(void **state)
{
    char                  buf[64];
    travel_json_writer_t  w;

    (void) state;

    travel_json_writer_init(&w, buf, sizeof(buf));
    travel_json_object(&w);
    assert_int_equal(travel_json_writer_finish(&w), 0);
    travel_json_object_end(&w);
    assert_int_equal(travel_json_writer_finish(&w), 2);
}


static void
fixed(void **state)
{
    size_t                i, n;
    char                  buf[64];
    travel_json_writer_t  w;

    static const struct { int64_t v; unsigned digits; const char *text; }
    rows[] = {
        { 0, 0, "0" }, { 0, 2, "0.00" }, { 5, 3, "0.005" }, { -5, 3, "-0.005" },
        { 12345, 3, "12.345" }, { 1000, 3, "1.000" }, { -1, 0, "-1" },
        { INT64_MAX, 18, "9.223372036854775807" },
        { INT64_MIN, 18, "-9.223372036854775808" },
        { INT64_MIN, 99, "-9.223372036854775808" }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        travel_json_writer_init(&w, buf, sizeof(buf));
        travel_json_fixed(&w, rows[i].v, rows[i].digits);
        n = travel_json_writer_finish(&w);
        assert_str(((travel_str_t) { buf, n }), rows[i].text);
    }
}


/* Long strings of one to four byte characters at every alignment to the
 * writer's chunks come out as an independent parser wants them. */

static void
long_strings(void **state)
{
    char                  text[1200], buf[8 * 1200];
    size_t                i, k, n, len;
    json_t               *back;
    json_error_t          err;
    travel_json_writer_t  w;

    static const char  *chars[] = {
        "a", "\"", "\x1f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"
    };

    (void) state;

    for (k = 0; k < N(chars); k++) {
        for (i = 0; i < 140; i++) {
            memset(text, 'x', i);

            for (n = i; n + 4 < 700; n += len) {
                len = strlen(chars[k]);
                memcpy(text + n, chars[k], len);
            }

            travel_json_writer_init(&w, buf, sizeof(buf));
            travel_json_string(&w, (travel_str_t) { text, n });
            len = travel_json_writer_finish(&w);
            assert_true(len >= n + 2);

            back = json_loadb(buf, len, JSON_DECODE_ANY, &err);
            assert_non_null(back);
            assert_int_equal(json_string_length(back), n);
            assert_memory_equal(json_string_value(back), text, n);
            json_decref(back);
        }
    }
}


static void
broken_utf8(void **state)
{
    char                  buf[8192], text[600];
    size_t                i, n;
    json_t               *back;
    json_error_t          err;
    travel_json_writer_t  w;

    static const char  *bad[] = {
        "\x80", "\xff", "\xc3", "a\xe2\x82", "\xed\xa0\x80", "\xc0\x80",
        "\xf4\x90\x80\x80", "\xf0\x9f\x98", "ok\xc3(", "\xfe\xfe\xff\xff"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        travel_json_writer_init(&w, buf, sizeof(buf));
        travel_json_string(&w, S(bad[i]));
        n = travel_json_writer_finish(&w);

        back = json_loadb(buf, n, JSON_DECODE_ANY, &err);
        assert_non_null(back);
        assert_non_null(strstr(json_string_value(back), "\xef\xbf\xbd"));
        json_decref(back);
    }

    memset(text, 0x80, sizeof(text));
    travel_json_writer_init(&w, buf, sizeof(buf));
    travel_json_string(&w, (travel_str_t) { text, sizeof(text) });
    n = travel_json_writer_finish(&w);
    back = json_loadb(buf, n, JSON_DECODE_ANY, &err);
    assert_non_null(back);
    json_decref(back);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(everything),
        cmocka_unit_test(every_room),
        cmocka_unit_test(unbalanced),
        cmocka_unit_test(fixed),
        cmocka_unit_test(long_strings),
        cmocka_unit_test(broken_utf8)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
