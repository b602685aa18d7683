/* The error table: codes, statuses, titles, and what a bare status means. */

#include "unit.h"
#include "errors.h"


static void
rows_are_whole(void **state)
{
    int  i, status;

    (void) state;

    for (i = 0; i < TRAVEL_E_MAX; i++) {
        status = travel_error_status((travel_error_e) i);

        assert_in_range(status, 400, 505);
        assert_true(strlen(travel_error_title((travel_error_e) i)) > 5);
        assert_int_equal(travel_error_by_code(S(travel_error_code(
                             (travel_error_e) i))), i);
    }
}


static void
contract_codes(void **state)
{
    size_t  i;

    static const struct { const char *code; int status; } rows[] = {
        { "VALIDATION_ERROR", 422 }, { "MALFORMED_JSON", 400 },
        { "DUPLICATE_KEY", 400 }, { "AUTHENTICATION_ERROR", 401 },
        { "TOKEN_EXPIRED", 401 }, { "TOKEN_INVALID", 401 },
        { "AUTHORIZATION_ERROR", 403 }, { "RESOURCE_NOT_FOUND", 404 },
        { "METHOD_NOT_ALLOWED", 405 }, { "CONFLICT", 409 },
        { "IDEMPOTENCY_MISMATCH", 422 }, { "PAYLOAD_TOO_LARGE", 413 },
        { "UNSUPPORTED_MEDIA_TYPE", 415 }, { "RATE_LIMIT_EXCEEDED", 429 },
        { "EXTERNAL_SERVICE_ERROR", 502 }, { "QUEUE_FULL", 503 },
        { "DEPENDENCY_UNAVAILABLE", 503 }, { "OUTCOME_UNKNOWN", 503 },
        { "INTERNAL_ERROR", 500 }, { "BOOKING_NOT_CANCELLABLE", 409 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(travel_error_status(travel_error_by_code(
                             S(rows[i].code))), rows[i].status);
    }
}


static void
alien_codes(void **state)
{
    (void) state;

    assert_int_equal(travel_error_by_code(L("")), TRAVEL_E_NONE);
    assert_int_equal(travel_error_by_code(L("CONFLIC")), TRAVEL_E_NONE);
    assert_int_equal(travel_error_by_code(L("CONFLICTS")), TRAVEL_E_NONE);
    assert_int_equal(travel_error_by_code(L("conflict")), TRAVEL_E_NONE);

    assert_string_equal(travel_error_code(TRAVEL_E_NONE), "INTERNAL_ERROR");
    assert_int_equal(travel_error_status(TRAVEL_E_MAX), 500);
    assert_string_equal(travel_error_title((travel_error_e) 9999),
                        "An internal error occurred");
}


static void
bare_statuses(void **state)
{
    int  status;

    (void) state;

    assert_int_equal(travel_error_by_status(400), TRAVEL_E_MALFORMED_REQUEST);
    assert_int_equal(travel_error_by_status(404), TRAVEL_E_RESOURCE_NOT_FOUND);
    assert_int_equal(travel_error_by_status(405), TRAVEL_E_METHOD_NOT_ALLOWED);
    assert_int_equal(travel_error_by_status(408), TRAVEL_E_REQUEST_TIMEOUT);
    assert_int_equal(travel_error_by_status(411), TRAVEL_E_LENGTH_REQUIRED);
    assert_int_equal(travel_error_by_status(412), TRAVEL_E_PRECONDITION_FAILED);
    assert_int_equal(travel_error_by_status(416),
                     TRAVEL_E_RANGE_NOT_SATISFIABLE);
    assert_int_equal(travel_error_by_status(421), TRAVEL_E_MISDIRECTED_REQUEST);
    assert_int_equal(travel_error_by_status(413), TRAVEL_E_PAYLOAD_TOO_LARGE);
    assert_int_equal(travel_error_by_status(414), TRAVEL_E_URI_TOO_LONG);
    assert_int_equal(travel_error_by_status(431), TRAVEL_E_HEADERS_TOO_LARGE);
    assert_int_equal(travel_error_by_status(494), TRAVEL_E_HEADERS_TOO_LARGE);
    assert_int_equal(travel_error_by_status(418), TRAVEL_E_MALFORMED_REQUEST);
    assert_int_equal(travel_error_by_status(501), TRAVEL_E_NOT_IMPLEMENTED);
    assert_int_equal(travel_error_by_status(0), TRAVEL_E_INTERNAL_ERROR);
    assert_int_equal(travel_error_by_status(200), TRAVEL_E_INTERNAL_ERROR);

    /* a status that a row has is answered with a row that has it */

    for (status = 400; status < 600; status++) {
        travel_error_e  e = travel_error_by_status(status);
        int             i;

        for (i = 0; i < TRAVEL_E_MAX; i++) {
            if (travel_error_status((travel_error_e) i) == status) {
                assert_int_equal(travel_error_status(e), status);
            }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(contract_codes),
        cmocka_unit_test(alien_codes),
        cmocka_unit_test(bare_statuses)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
