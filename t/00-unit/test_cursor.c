/* Cursors: what is signed comes back, and nothing else does. */

#include "unit.h"
#include "cursor.h"
#include "base64url.h"

#define SECRET  TRAVEL_STR("0123456789abcdef0123456789abcdef")
#define SCOPE   TRAVEL_STR("journeys.list\0ann")


static size_t
sign(char *dst, const char *a, const char *b)
{
    size_t              n = 0;
    const travel_str_t  values[] = { { a, strlen(a) }, { b, strlen(b) } };

    assert_int_equal(travel_cursor_sign(dst, &n, values, 2, SCOPE, SECRET),
                     TRAVEL_OK);
    assert_true(n <= TRAVEL_CURSOR_MAX);

    return n;
}


static void
there_and_back(void **state)
{
    char         text[TRAVEL_CURSOR_MAX], buf[TRAVEL_CURSOR_RAW_MAX];
    size_t       i, n;
    const char  *v[4];

    static const char *const  pairs[][2] = {
        { "2026-03-01 19:00:00.123456+00", "0196-uuid" }, { "", "" },
        { "a", "" }, { "", "b" }, { "\xf0\x9f\x97\xba", "-1.5e300" }
    };

    (void) state;

    for (i = 0; i < N(pairs); i++) {
        n = sign(text, pairs[i][0], pairs[i][1]);
        assert_int_equal(travel_cursor_verify(buf, v, 2,
                             (travel_str_t) { text, n }, SCOPE, SECRET),
                         TRAVEL_OK);
        assert_string_equal(v[0], pairs[i][0]);
        assert_string_equal(v[1], pairs[i][1]);
    }
}


static void
tampered(void **state)
{
    int          rc;
    char         text[TRAVEL_CURSOR_MAX], buf[TRAVEL_CURSOR_RAW_MAX], was;
    size_t       i, n;
    const char  *v[4];

    (void) state;

    n = sign(text, "2026-03-01", "17");

    for (i = 0; i < n; i++) {
        was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        rc = travel_cursor_verify(buf, v, 2, (travel_str_t) { text, n }, SCOPE,
                                  SECRET);
        assert_true(rc == TRAVEL_REFUSED || rc == TRAVEL_INVALID);
        text[i] = was;
    }

    for (i = 0; i < n; i++) {
        rc = travel_cursor_verify(buf, v, 2, (travel_str_t) { text, i }, SCOPE,
                                  SECRET);
        assert_true(rc == TRAVEL_REFUSED || rc == TRAVEL_INVALID);
    }
}


static void
elsewhere(void **state)
{
    char          text[TRAVEL_CURSOR_MAX], buf[TRAVEL_CURSOR_RAW_MAX];
    const char   *v[4];
    travel_str_t  t;

    (void) state;

    t.data = text;
    t.len = sign(text, "a", "b");

    assert_int_equal(travel_cursor_verify(buf, v, 2, t,
                         TRAVEL_STR("bookings.list\0ann"), SECRET),
                     TRAVEL_REFUSED);
    assert_int_equal(travel_cursor_verify(buf, v, 2, t,
                         TRAVEL_STR("journeys.list\0bob"), SECRET),
                     TRAVEL_REFUSED);
    assert_int_equal(travel_cursor_verify(buf, v, 2, t, SCOPE,
                         TRAVEL_STR("another")), TRAVEL_REFUSED);
    assert_int_equal(travel_cursor_verify(buf, v, 2, t, SCOPE,
                         TRAVEL_NULL_STR), TRAVEL_REFUSED);

    /* signed, but of another number of columns */

    assert_int_equal(travel_cursor_verify(buf, v, 1, t, SCOPE, SECRET),
                     TRAVEL_INVALID);
    assert_int_equal(travel_cursor_verify(buf, v, 3, t, SCOPE, SECRET),
                     TRAVEL_INVALID);
}


static void
not_to_be_signed(void **state)
{
    char          text[TRAVEL_CURSOR_MAX], big[TRAVEL_CURSOR_RAW_MAX];
    size_t        n;
    travel_str_t  values[5] = { TRAVEL_STR("a"), TRAVEL_STR("b"),
                                TRAVEL_STR("c"), TRAVEL_STR("d"),
                                TRAVEL_STR("e") };

    (void) state;

    memset(big, 'x', sizeof(big));

    assert_int_equal(travel_cursor_sign(text, &n, values, 0, SCOPE, SECRET),
                     TRAVEL_INVALID);
    assert_int_equal(travel_cursor_sign(text, &n, values, 5, SCOPE, SECRET),
                     TRAVEL_INVALID);
    assert_int_equal(travel_cursor_sign(text, &n, values, 4, SCOPE,
                                        TRAVEL_NULL_STR), TRAVEL_INVALID);
    values[1] = TRAVEL_STR("b\0c");
    assert_int_equal(travel_cursor_sign(text, &n, values, 2, SCOPE, SECRET),
                     TRAVEL_INVALID);

    /* the longest that fits, and one more: version, two NULs, the MAC */

    values[1] = (travel_str_t) { big, TRAVEL_CURSOR_RAW_MAX - 16 - 1 - 3 };
    assert_int_equal(travel_cursor_sign(text, &n, values, 2, SCOPE, SECRET),
                     TRAVEL_OK);
    assert_int_equal(n, TRAVEL_BASE64URL_LEN(TRAVEL_CURSOR_RAW_MAX));
    values[1].len++;
    assert_int_equal(travel_cursor_sign(text, &n, values, 2, SCOPE, SECRET),
                     TRAVEL_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(tampered),
        cmocka_unit_test(elsewhere),
        cmocka_unit_test(not_to_be_signed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
