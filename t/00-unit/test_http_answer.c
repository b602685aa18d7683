/* Answers to our own requests: framings, refusals, every cut, freshness. */

#include <stdio.h>

#include "unit.h"
#include "http_answer.h"


static int
ask(travel_http_answer_t *answer, const char *text, bool closed)
{
    static char  buf[65536];
    const char  *why;
    size_t       len;

    len = strlen(text);
    memcpy(buf, text, len);

    return travel_http_answer(answer, buf, len, closed, &why);
}


static void
framings(void **state)
{
    size_t                i, k, n;
    char                  buf[512];
    const char           *why;
    travel_http_answer_t  a;

    static const struct { const char *text, *body; unsigned status; } rows[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200 },
        { "HTTP/1.0 200\r\ncontent-length:\t5 \r\n\r\nhello", "hello", 200 },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "3\r\nhel\r\n002;x=y\r\nlo\r\n0\r\n\r\n", "hello", 200 },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
          "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
          "01234567890123456789", 200 },
        { "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", "", 304 },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
          "Link: x\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno",
          "no", 404 },
        { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(ask(&a, rows[i].text, false), TRAVEL_OK);
        assert_int_equal(a.status, rows[i].status);
        assert_str(a.body, rows[i].body);

        /* cut anywhere: more is to come, or it ended too early */

        n = strlen(rows[i].text);

        for (k = 0; k < n; k++) {
            memcpy(buf, rows[i].text, k);
            assert_int_equal(travel_http_answer(&a, buf, k, false, &why),
                             TRAVEL_UNKNOWN);
            assert_int_equal(travel_http_answer(&a, buf, k, true, &why),
                             TRAVEL_INVALID);
        }
    }

    assert_int_equal(ask(&a, "HTTP/1.1 200 OK\r\n\r\nall of it", false),
                     TRAVEL_UNKNOWN);
    assert_int_equal(ask(&a, "HTTP/1.1 200 OK\r\n\r\nall of it", true),
                     TRAVEL_OK);
    assert_str(a.body, "all of it");
}


static void
fields(void **state)
{
    travel_http_answer_t  a;

    (void) state;

    assert_int_equal(ask(&a, "HTTP/1.1 301 Moved\r\nETag: \"a b\"\r\n"
                         "LAST-MODIFIED: Thu\r\nlocation:/x\r\n"
                         "Cache-Control: max-age=5\r\nAge: 2\r\n"
                         "Content-Encoding: gzip\r\nLocation: /second\r\n"
                         "Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", false),
                     TRAVEL_OK);
    assert_str(a.etag, "\"a b\"");
    assert_str(a.last_modified, "Thu");
    assert_str(a.location, "/x");
    assert_str(a.coding, "gzip");
    assert_int_equal(travel_http_freshness(&a), 3);
}


static void
refusals(void **state)
{
    size_t                i;
    travel_http_answer_t  a;

    static const char  *rows[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nnothing\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: x\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: x\ry\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
            "Content-Length: 3\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            "fffffffffffffffff\r\n"
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(ask(&a, rows[i], false), TRAVEL_INVALID);
    }
}


static void
bounds(void **state)
{
    static char           text[40000];
    size_t                n;
    const char           *why;
    travel_http_answer_t  a;

    (void) state;

    n = (size_t) sprintf(text, "HTTP/1.1 200 OK\r\nX: ");
    memset(text + n, 'x', sizeof(text) - n);
    assert_int_equal(travel_http_answer(&a, text, 1000, false, &why),
                     TRAVEL_UNKNOWN);
    assert_int_equal(travel_http_answer(&a, text, sizeof(text), false, &why),
                     TRAVEL_INVALID);

    for (n = 0; n + 25 < sizeof(text); n += 25) {
        memcpy(text + n, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }

    assert_int_equal(travel_http_answer(&a, text, n, false, &why),
                     TRAVEL_INVALID);
}


static void
freshness(void **state)
{
    size_t  i;

    static const struct { const char *control, *age; int64_t fresh; } rows[] = {
        { NULL, NULL, -1 },
        { "", NULL, -1 },
        { "public", NULL, -1 },
        { "max-age=600", NULL, 600 },
        { "public, Max-Age=600, must-revalidate", NULL, 600 },
        { "max-age=600", "100", 500 },
        { "max-age=600", "601", 0 },
        { "max-age=600", "x", 600 },
        { "max-age=600, no-store", NULL, 0 },
        { "no-cache", NULL, 0 },
        { "max-age=x", NULL, -1 },
        { "max-age=", NULL, -1 },
        { "max-age=99999999999999999999", NULL, 2147483648 },
        { "s-maxage=5", NULL, -1 },
        { ",,max-age=7,", NULL, 7 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        travel_http_answer_t  a = { 0 };

        if (rows[i].control) {
            a.cache_control = S(rows[i].control);
        }

        if (rows[i].age) {
            a.age = S(rows[i].age);
        }

        assert_int_equal(travel_http_freshness(&a), rows[i].fresh);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(framings),
        cmocka_unit_test(fields),
        cmocka_unit_test(refusals),
        cmocka_unit_test(bounds),
        cmocka_unit_test(freshness)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
