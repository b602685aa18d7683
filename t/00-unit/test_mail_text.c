/* A mail as it goes over the wire: what a server or a reader could take for
 * something else is quoted. */

#include <stdlib.h>

#include "unit.h"
#include "out/mail_text.h"

static char  *text;


static int
render(const char *subject, const char *body, const char *html)
{
    size_t         len;
    worker_mail_t  mail = { .to = "a@b.org", .subject = subject,
                            .message_id = "id@travel.local", .text = body,
                            .html = html };

    free(text);
    text = NULL;

    return worker_mail_text(&text, &len, "T <t@b.org>", &mail, NULL);
}


/* What stands behind the headers. */
static const char *
body(void)
{
    return strstr(text, "\r\n\r\n") + 4;
}


static void
what_is_quoted(void **state)
{
    size_t       i, column;
    char         line[400];

    (void) state;

    assert_int_equal(render("s", "a\n.\n..b\nc \nd=\ne\tf\r\ng\t", NULL),
                     TRAVEL_OK);
    assert_string_equal(body(), "a\r\n=2E\r\n=2E.b\r\nc=20\r\nd=3D\r\n"
                                "e\tf\r\ng=09\r\n.\r\n");
    assert_int_equal(render("s", "Z\xc3\xbc\x01", NULL), TRAVEL_OK);
    assert_string_equal(body(), "Z=C3=BC=01\r\n.\r\n");
    assert_int_equal(render("s", "", NULL), TRAVEL_OK);
    assert_string_equal(body(), ".\r\n");

    memset(line, '.', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    assert_int_equal(render("s", line, NULL), TRAVEL_OK);

    for (i = 0, column = 0; body()[i] != '\0'; i++, column++) {
        assert_true(column != 0 || body()[i] != '.' || body()[i + 1] == '\r');
        assert_true(column <= 78);
        column = body()[i] == '\n' ? (size_t) -1 : column;
    }
}


static void
two_parts(void **state)
{
    (void) state;

    assert_int_equal(render("s", "--=_travel", "<p>--=_travel--"), TRAVEL_OK);
    assert_non_null(strstr(text, "\r\n\r\n--=3D_travel\r\n\r\n--=_travel\r\n"));
    assert_non_null(strstr(text, "<p>--=3D_travel--\r\n\r\n--=_travel--\r\n"
                                 ".\r\n"));
}


static void
headers(void **state)
{
    char    subject[300], longer[5000];
    char   *line, *end;

    (void) state;

    assert_int_equal(render("plain", "x", NULL), TRAVEL_OK);
    assert_non_null(strstr(text, "\r\nSubject: plain\r\n"));
    assert_non_null(strstr(text, "\r\nMessage-ID: <id@travel.local>\r\n"));
    assert_int_equal(render("a\r\nBcc: c@d.org", "x", NULL), TRAVEL_INVALID);
    assert_null(text);

    /* two words, cut between characters */
    memset(subject, 'x', 44);
    strcpy(subject + 44, "\xc3\xbc\xc3\xbc");
    assert_int_equal(render(subject, "x", NULL), TRAVEL_OK);
    assert_non_null(strstr(text, "?=\r\n =?UTF-8?B?w7zDvA==?=\r\n"));

    /* what is longer than a line may be is folded, plain as it is */
    memset(longer, 'y', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(render(longer, "x", NULL), TRAVEL_OK);

    for (line = text; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
        assert_in_range(end - line, 0, 998);
    }

    /* a line break in one that is encoded is a character like others */
    assert_int_equal(render("\xc3\xbc\nBcc: c@d.org", "x", NULL), TRAVEL_OK);
    assert_null(strstr(text, "Bcc"));
    free(text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_is_quoted),
        cmocka_unit_test(two_parts),
        cmocka_unit_test(headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
