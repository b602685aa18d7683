/* Answers of push services, and what they mean for message and token. */

#include "unit.h"
#include "push_answer.h"

#define DETAIL(code)  "{\"error\": {\"code\": 1, \"status\": \"X\","          \
    " \"details\": [{\"@type\": \"y\"}, {\"errorCode\": \"" code "\"}]}}"


typedef void (*judge_pt)(travel_push_answer_t *, int, travel_str_t);

typedef struct {
    int                     status;
    const char             *body;
    travel_push_outcome_e   outcome;
    const char             *reason;
} case_t;


static void
check(judge_pt judge, const case_t *cases, size_t n)
{
    size_t                i;
    travel_push_answer_t  a;

    for (i = 0; i < n; i++) {
        judge(&a, cases[i].status, S(cases[i].body));

        if (a.outcome != cases[i].outcome
            || strcmp(a.reason, cases[i].reason) != 0)
        {
            fail_msg("%d %s: %d %s", cases[i].status, cases[i].body,
                     (int) a.outcome, a.reason);
        }
    }
}


static void
test_fcm(void **state)
{
    travel_push_answer_t  a;

    static const case_t  cases[] = {
        { 200, "{\"name\": \"projects/p/messages/1\"}", TRAVEL_PUSH_SENT, "" },
        { 404, DETAIL("UNREGISTERED"), TRAVEL_PUSH_GONE, "UNREGISTERED" },
        { 403, DETAIL("SENDER_ID_MISMATCH"), TRAVEL_PUSH_GONE,
          "SENDER_ID_MISMATCH" },
        { 429, DETAIL("QUOTA_EXCEEDED"), TRAVEL_PUSH_SLOW, "QUOTA_EXCEEDED" },
        { 503, DETAIL("UNAVAILABLE"), TRAVEL_PUSH_SLOW, "UNAVAILABLE" },
        { 500, DETAIL("INTERNAL"), TRAVEL_PUSH_LATER, "INTERNAL" },
        { 400, DETAIL("INVALID_ARGUMENT"), TRAVEL_PUSH_REFUSED,
          "INVALID_ARGUMENT" },
        { 400, "{\"error\": {\"status\": \"INVALID_ARGUMENT\", \"details\":"
               " [{\"fieldViolations\": [{\"field\": \"message.token\"}]}]}}",
          TRAVEL_PUSH_GONE, "INVALID_ARGUMENT" },
        { 400, "{\"error\": {\"status\": \"INVALID_ARGUMENT\", \"details\":"
               " [{\"fieldViolations\": [{\"field\": \"message.data\"}]}]}}",
          TRAVEL_PUSH_REFUSED, "INVALID_ARGUMENT" },
        { 401, "{\"error\": {\"status\": \"UNAUTHENTICATED\"}}",
          TRAVEL_PUSH_KEY, "UNAUTHENTICATED" },
        { 401, DETAIL("THIRD_PARTY_AUTH_ERROR"), TRAVEL_PUSH_LATER,
          "THIRD_PARTY_AUTH_ERROR" },
        { 401, "", TRAVEL_PUSH_KEY, "" },
        { 404, "<html>", TRAVEL_PUSH_REFUSED, "" },
        { 404, "{\"error\": {\"status\": \"NOT_FOUND\"}}",
          TRAVEL_PUSH_REFUSED, "NOT_FOUND" },
        { 429, "[]", TRAVEL_PUSH_LATER, "" },
        { 502, "", TRAVEL_PUSH_LATER, "" },
        { 302, "", TRAVEL_PUSH_LATER, "" },
        { 0, "", TRAVEL_PUSH_LATER, "" },
        { 418, "{\"error\": {\"status\": \"a\\nb c\"}}", TRAVEL_PUSH_REFUSED,
          "abc" }
    };

    (void) state;

    check(travel_push_fcm, cases, N(cases));

    travel_push_fcm(&a, 429, S(DETAIL("QUOTA_EXCEEDED")));
    assert_int_equal(a.wait_ms, 60000);
    travel_push_fcm(&a, 503, S(DETAIL("UNAVAILABLE")));
    assert_int_equal(a.wait_ms, 0);
}


static void
test_apns(void **state)
{
    travel_push_answer_t  a;

    static const case_t  cases[] = {
        { 200, "", TRAVEL_PUSH_SENT, "" },
        { 410, "{\"reason\": \"Unregistered\", \"timestamp\": 5}",
          TRAVEL_PUSH_GONE, "Unregistered" },
        { 410, "", TRAVEL_PUSH_GONE, "" },
        { 400, "{\"reason\": \"BadDeviceToken\"}", TRAVEL_PUSH_GONE,
          "BadDeviceToken" },
        { 400, "{\"reason\": \"DeviceTokenNotForTopic\"}", TRAVEL_PUSH_GONE,
          "DeviceTokenNotForTopic" },
        { 400, "{\"reason\": \"BadTopic\"}", TRAVEL_PUSH_REFUSED, "BadTopic" },
        { 403, "{\"reason\": \"ExpiredProviderToken\"}", TRAVEL_PUSH_KEY,
          "ExpiredProviderToken" },
        { 403, "{\"reason\": \"InvalidProviderToken\"}", TRAVEL_PUSH_LATER,
          "InvalidProviderToken" },
        { 413, "{\"reason\": \"PayloadTooLarge\"}", TRAVEL_PUSH_REFUSED,
          "PayloadTooLarge" },
        { 429, "{\"reason\": \"TooManyRequests\"}", TRAVEL_PUSH_LATER,
          "TooManyRequests" },
        { 429, "{\"reason\": \"TooManyProviderTokenUpdates\"}",
          TRAVEL_PUSH_SLOW, "TooManyProviderTokenUpdates" },
        { 503, "{\"reason\": \"ServiceUnavailable\"}", TRAVEL_PUSH_SLOW,
          "ServiceUnavailable" },
        { 500, "{\"reason\": \"InternalServerError\"}", TRAVEL_PUSH_LATER,
          "InternalServerError" },
        { 0, "", TRAVEL_PUSH_LATER, "" }
    };

    (void) state;

    check(travel_push_apns, cases, N(cases));

    travel_push_apns(&a, 410, S("{\"reason\": \"Unregistered\","
                                " \"timestamp\": 1700000000000}"));
    assert_int_equal(a.gone_ms, 1700000000000);
    travel_push_apns(&a, 410, S("{\"timestamp\": -5}"));
    assert_int_equal(a.gone_ms, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_fcm),
        cmocka_unit_test(test_apns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
