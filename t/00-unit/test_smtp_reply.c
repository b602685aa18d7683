/* Replies of mail servers, and what they mean for the mail. */

#include "unit.h"
#include "smtp_reply.h"


static travel_smtp_bounce_e
judge(const char *line, travel_smtp_stage_e stage)
{
    travel_smtp_reply_t  reply;

    assert_int_equal(travel_smtp_reply_parse(&reply, (travel_str_t) {
                                             line, strlen(line) }), TRAVEL_OK);
    return travel_smtp_judge(&reply, stage);
}


static void
test_a_line(void **state)
{
    size_t               i;
    travel_smtp_reply_t  r;

    static const char *const  bad[] = { "", "5", "55", "55x no", "5500 no",
        "199 x", "600 x", "550x", "abc", " 550 x", "-550" };

    (void) state;

    assert_int_equal(travel_smtp_reply_parse(&r,
                         TRAVEL_STR("550 5.1.1 No such user\r\n")), TRAVEL_OK);
    assert_int_equal(r.code, 550);
    assert_int_equal(r.class * 10000 + r.subject * 100 + r.detail, 50101);

    assert_int_equal(travel_smtp_reply_parse(&r,
                         TRAVEL_STR("250-PIPELINING")), TRAVEL_OK);
    assert_int_equal(r.code, 250);
    assert_int_equal(r.class, 0);

    assert_int_equal(travel_smtp_reply_parse(&r, TRAVEL_STR("354")),
                     TRAVEL_OK);
    assert_int_equal(travel_smtp_reply_parse(&r,
                         TRAVEL_STR("554 5.7.999")), TRAVEL_OK);
    assert_int_equal(r.detail, 999);

    /* no enhanced code: another class, cut off, glued, too long */
    assert_int_equal(travel_smtp_reply_parse(&r,
                         TRAVEL_STR("450 5.1.1 x")), TRAVEL_OK);
    assert_int_equal(r.class, 0);
    assert_int_equal(travel_smtp_reply_parse(&r,
                         TRAVEL_STR("550 5.1")), TRAVEL_OK);
    assert_int_equal(r.class, 0);
    assert_int_equal(travel_smtp_reply_parse(&r,
                         TRAVEL_STR("550 5.1.1x")), TRAVEL_OK);
    assert_int_equal(r.class, 0);
    assert_int_equal(travel_smtp_reply_parse(&r,
                         TRAVEL_STR("550 5.1.1234")), TRAVEL_OK);
    assert_int_equal(r.class, 0);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(travel_smtp_reply_parse(&r, (travel_str_t) {
                             bad[i], strlen(bad[i]) }), TRAVEL_INVALID);
    }
}


static void
test_bounces(void **state)
{
    size_t  i;

    static const struct {
        const char            *line;
        travel_smtp_stage_e    stage;
        travel_smtp_bounce_e   bounce;
    } cases[] = {
        { "250 OK", TRAVEL_SMTP_DATA, TRAVEL_SMTP_ACCEPTED },
        { "451 later", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_SOFT },
        { "452 4.2.2 full", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_SOFT },
        { "421 4.3.2 closing", TRAVEL_SMTP_DATA, TRAVEL_SMTP_SOFT },
        { "550 no such user", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_HARD },
        { "551 moved", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_HARD },
        { "553 not a name", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_HARD },
        { "550 spam", TRAVEL_SMTP_DATA, TRAVEL_SMTP_REFUSED },
        { "550 5.1.1 no such", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_HARD },
        { "550 5.1.2 no such host", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_HARD },
        { "550 5.1.10 null MX", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_HARD },
        { "550 5.1.1 told late", TRAVEL_SMTP_DATA, TRAVEL_SMTP_HARD },
        { "553 5.1.8 sender", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_REFUSED },
        { "550 5.2.1 disabled", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_HARD },
        { "552 5.2.2 full", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_SOFT },
        { "552 5.3.4 too big", TRAVEL_SMTP_DATA, TRAVEL_SMTP_REFUSED },
        { "550 5.4.1 no route", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_SOFT },
        { "550 5.7.1 policy", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_REFUSED },
        { "554 5.7.1 spam", TRAVEL_SMTP_DATA, TRAVEL_SMTP_REFUSED },
        { "554 no", TRAVEL_SMTP_DATA, TRAVEL_SMTP_REFUSED },
        { "552 full", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_SOFT },
        { "552 too big", TRAVEL_SMTP_DATA, TRAVEL_SMTP_REFUSED },
        { "530 5.7.0 STARTTLS first", TRAVEL_SMTP_SESSION, TRAVEL_SMTP_SOFT },
        { "535 5.7.8 who?", TRAVEL_SMTP_SESSION, TRAVEL_SMTP_SOFT },
        { "550 5.7.1 sender", TRAVEL_SMTP_SESSION, TRAVEL_SMTP_SOFT },
        { "530 login", TRAVEL_SMTP_RCPT, TRAVEL_SMTP_SOFT }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (judge(cases[i].line, cases[i].stage) != cases[i].bounce) {
            fail_msg("%s: %s", cases[i].line, travel_smtp_bounce_name(
                         judge(cases[i].line, cases[i].stage)));
        }
    }

    assert_string_equal(travel_smtp_bounce_name(TRAVEL_SMTP_HARD), "hard");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_a_line),
        cmocka_unit_test(test_bounces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
