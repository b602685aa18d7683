/* Queue names, and the exact spelling of every key. */

#include "unit.h"
#include "queues.h"


static void
names(void **state)
{
    size_t           i;
    travel_job_id_t  id;

    static const char  *all[] = {
        "journey", "booking", "ai", "notification", "analytics", "content",
        "account", "maintenance"
    };

    (void) state;

    for (i = 0; i < N(all); i++) {
        assert_string_equal(travel_queue_name(i), all[i]);
        assert_true(travel_queue_exists(S(all[i])));
    }

    assert_null(travel_queue_name(N(all)));
    assert_null(travel_queue_name(SIZE_MAX));

    assert_false(travel_queue_exists(L("trip")));
    assert_false(travel_queue_exists(L("journeys")));
    assert_false(travel_queue_exists(L("")));

    assert_true(travel_queue_internal(L("notification")));
    assert_true(travel_queue_internal(L("analytics")));
    assert_true(travel_queue_internal(L("maintenance")));
    assert_false(travel_queue_internal(L("booking")));
    assert_false(travel_queue_internal(L("nowhere")));

    assert_int_equal(travel_job_id_possible(&id,
        L("booking.3.0190a5c2-7e3b-7000-8000-000000000001")), TRAVEL_OK);
    assert_int_equal(id.partition, 3);
    assert_int_equal(travel_job_id_possible(&id,
        L("trip.4.0190a5c2-7e3b-7000-8000-000000000001")), TRAVEL_INVALID);
    assert_int_equal(travel_job_id_possible(&id, L("booking.4.x")),
                     TRAVEL_INVALID);
    assert_int_equal(id.partition, 3);
}


static void
priorities_and_statuses(void **state)
{
    int                  i, final;
    travel_priority_e    p;
    travel_job_status_e  s;

    (void) state;

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        assert_int_equal(travel_priority_parse(&p, S(travel_priority_name(
                             (travel_priority_e) i))), TRAVEL_OK);
        assert_int_equal(p, i);
    }

    assert_int_equal(travel_priority_parse(&p, L("urgent")), TRAVEL_INVALID);
    assert_int_equal(travel_priority_parse(&p, L("")), TRAVEL_INVALID);
    assert_string_equal(travel_priority_name(TRAVEL_PRIORITY_MAX), "unknown");

    for (final = 0, i = 0; i < TRAVEL_JOB_STATUS_MAX; i++) {
        assert_int_equal(travel_job_status_parse(&s, S(travel_job_status_name(
                             (travel_job_status_e) i))), TRAVEL_OK);
        assert_int_equal(s, i);
        final += travel_job_status_final(s);
    }

    assert_int_equal(final, 4);
    assert_false(travel_job_status_final(TRAVEL_JOB_RETRYING));
    assert_true(travel_job_status_final(TRAVEL_JOB_CANCELLED));
    assert_int_equal(travel_job_status_parse(&s, L("done")), TRAVEL_INVALID);
}


static void
keys(void **state)
{
    char             key[TRAVEL_KEY_MAX], name[256];
    size_t           n;
    uint8_t          scope[32];
    travel_job_id_t  id;

    (void) state;

    n = travel_key_stream(key, L("booking"), 3, TRAVEL_PRIORITY_HIGH);
    assert_string_equal(key, "travel:{booking.3}:high");
    assert_int_equal(n, strlen(key));

    n = travel_key_named(key, L("ai"), 0, "delayed");
    assert_string_equal(key, "travel:{ai.0}:delayed");
    assert_int_equal(n, strlen(key));

    assert_int_equal(travel_job_id_parse(&id,
                     L("booking.3.017f22e2-79b0-7cc3-98c4-dc0c0c07398f")),
                     TRAVEL_OK);
    n = travel_key_job(key, &id);
    assert_string_equal(key, "travel:{booking.3}:job:"
                             "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_int_equal(n, strlen(key));

    memset(scope, 0xa5, sizeof(scope));
    n = travel_key_idem(key, L("maintenance"), 255, scope);
    assert_string_equal(key, "travel:{maintenance.255}:idem:"
                             "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"
                             "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5");
    assert_int_equal(n, strlen(key));

    /* nothing is written past the key's room, nothing half */

    memset(name, 'x', sizeof(name));
    name[255] = '\0';
    assert_int_equal(travel_key_named(key, L("ai"), 0, name), 0);
    assert_string_equal(key, "");
    assert_int_equal(travel_key_named(key, L("seventeen-letters"), 0, "dead"),
                     0);
    assert_int_equal(travel_key_named(key, L("ai"), 256, "dead"), 0);
    assert_int_equal(travel_key_named(key, L(""), 0, "dead"), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(priorities_and_statuses),
        cmocka_unit_test(keys)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
