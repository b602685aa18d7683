/* Delivery status notifications: what servers write, and what is none. */

#include <stdio.h>

#include "unit.h"
#include "dsn.h"

#define HEAD                                                                  \
    "From: MAILER-DAEMON@mx.example.org\r\nTo: travel@travel.local\r\n"       \
    "Subject: Undelivered Mail\r\nMIME-Version: 1.0\r\n"                      \
    "Content-Type: multipart/report; report-type=delivery-status;\r\n"        \
    "\tboundary=\"b1=_x\"\r\n\r\nThis is MIME.\r\n\r\n--b1=_x\r\n"            \
    "Content-Type: text/plain\r\n\r\nSorry. Status: 9.9.9\r\n\r\n--b1=_x\r\n" \
    "Content-Description: Delivery report\r\n"                                \
    "Content-Type: message/delivery-status\r\n\r\n"                           \
    "Reporting-MTA: dns; mx.example.org\r\n"                                  \
    "Arrival-Date: Tue, 1 Sep 2026 10:00:00 +0000\r\n\r\n"

#define TAIL                                                                  \
    "\r\n--b1=_x\r\nContent-Type: text/rfc822-headers\r\n\r\n"                \
    "From: travel@travel.local\r\nMessage-ID:\r\n"                            \
    " <01890000-0000-7000-8000-000000000001@travel.local>\r\n"                \
    "Subject: Hello\r\n\r\n--b1=_x--\r\n"


static void
statuses(void **state)
{
    size_t        i;
    char          text[4096];
    travel_dsn_t  dsn;

    static const struct {
        const char            *action;
        const char            *status;
        travel_smtp_bounce_e   bounce;
    } cases[] = {
        { "failed", "5.1.1", TRAVEL_SMTP_HARD },
        { "failed", "5.1.2", TRAVEL_SMTP_HARD },
        { "failed", "5.1.10 (null MX)", TRAVEL_SMTP_HARD },
        { "failed", "5.1.8", TRAVEL_SMTP_REFUSED },
        { "failed", "5.2.1", TRAVEL_SMTP_HARD },
        { "failed", "5.2.2", TRAVEL_SMTP_SOFT },
        { "failed", "5.7.1", TRAVEL_SMTP_REFUSED },
        { "failed", "5.4.4", TRAVEL_SMTP_SOFT },
        { "failed", "4.4.7", TRAVEL_SMTP_SOFT },
        { "Failed (really)", "5.0.0", TRAVEL_SMTP_REFUSED },
        { "delayed", "4.4.1", TRAVEL_SMTP_SOFT },
        { "delayed", "5.1.1", TRAVEL_SMTP_SOFT },
        { "delivered", "2.0.0", TRAVEL_SMTP_ACCEPTED },
        { "relayed", "2.0.0", TRAVEL_SMTP_ACCEPTED },
        { "expanded", "2.0.0", TRAVEL_SMTP_ACCEPTED }
    };

    (void) state;

    for (i = 0; i < N(cases); i++) {
        snprintf(text, sizeof(text), HEAD
                 "Final-Recipient: rfc822; a@example.org\r\nAction: %s\r\n"
                 "Status: %s\r\n" TAIL, cases[i].action, cases[i].status);
        assert_int_equal(travel_dsn_parse(&dsn, S(text)), TRAVEL_OK);
        assert_int_equal(dsn.n, 1);
        assert_string_equal(dsn.recipients[0].address, "a@example.org");

        if (dsn.recipients[0].bounce != cases[i].bounce) {
            fail_msg("%s %s: %s", cases[i].action, cases[i].status,
                     travel_smtp_bounce_name(dsn.recipients[0].bounce));
        }

        assert_string_equal(dsn.message_id, "01890000-0000-7000-8000-"
                            "000000000001@travel.local");
    }
}


static void
several(void **state)
{
    travel_dsn_t  dsn;

    (void) state;

    assert_int_equal(travel_dsn_parse(&dsn, L(HEAD
        "Original-Recipient: rfc822;Alice@Example.org\r\n"
        "Final-Recipient: RFC822; al@inner.example\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1\r\n\t<al@inner.example>: unknown\r\n"
        "\r\n"
        "Final-Recipient: utf-8; j\xc3\xb6rg@example.org\r\n"
        "Action: failed\r\nStatus: 4.2.2\r\n"
        "\r\n"
        "Final-Recipient: rfc822; nobody\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "\r\n"
        "Final-Recipient: rfc822; x@example.org\r\nAction: failed\r\n"
        TAIL)), TRAVEL_OK);
    assert_int_equal(dsn.n, 2);
    assert_string_equal(dsn.recipients[0].address, "Alice@Example.org");
    assert_int_equal(dsn.recipients[0].status.class, 5);
    assert_string_equal(dsn.recipients[0].why,
                        "smtp; 550 5.1.1 <al@inner.example>: unknown");
    assert_string_equal(dsn.recipients[1].address, "j\xc3\xb6rg@example.org");
    assert_int_equal(dsn.recipients[1].bounce, TRAVEL_SMTP_SOFT);
    assert_string_equal(dsn.recipients[1].why, "");
}


/* Lines that end in LF alone, as a pipe has them; nothing was returned; the end
 * is missing. */
static void
as_it_comes(void **state)
{
    travel_dsn_t  dsn;

    (void) state;

    assert_int_equal(travel_dsn_parse(&dsn, L(
        "content-type: Multipart/Report; boundary=x; "
        "Report-Type=Delivery-Status\n\n--x\n"
        "Content-Type: message/global-delivery-status\n\n"
        "Reporting-MTA: dns; m\n\nFinal-Recipient: rfc822; <a@b.example>\n"
        "Status: 5.1.1\nAction: failed")), TRAVEL_OK);
    assert_int_equal(dsn.n, 1);
    assert_string_equal(dsn.recipients[0].address, "a@b.example");
    assert_string_equal(dsn.message_id, "");
}


static void
none(void **state)
{
    size_t        i;
    travel_dsn_t  dsn;

    static const char *const  texts[] = {
        "", "\r\n", "Subject: out of office\r\n\r\nStatus: 5.1.1\r\n",
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
        "Content-Type: multipart/report; report-type=disposition-notification;"
        " boundary=x\r\n\r\n--x\r\nContent-Type: message/delivery-status\r\n"
        "\r\nFinal-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.1.1",
        "Content-Type: multipart/report; report-type=delivery-status\r\n\r\n",
        HEAD TAIL,
        HEAD "Final-Recipient: rfc822; a@b.example\r\nAction: eaten\r\n"
        "Status: 5.1.1\r\n" TAIL
    };

    (void) state;

    for (i = 0; i < N(texts); i++) {
        if (travel_dsn_parse(&dsn, S(texts[i])) != TRAVEL_INVALID) {
            fail_msg("%zu is taken", i);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(statuses), cmocka_unit_test(several),
        cmocka_unit_test(as_it_comes), cmocka_unit_test(none)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
