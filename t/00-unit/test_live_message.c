/* Topics of live messages and their positions. */

#include "unit.h"
#include "graphql_message.h"
#include "live_message.h"

#define ID  "01890000-0000-7000-8000-000000000001"


static void
test_topics(void **state)
{
    size_t               i;
    char                 longer[200];
    travel_live_topic_t  t;

    static const char *const  bad[] = {
        "", "user", "user:", "user:" ID, "user:" ID ":", "user:" ID ":mail",
        "user:" ID ":events:x", "user:x:events", "journey:", "journey:x",
        "journey:" ID ":x", "job:" ID, "job:*", "system:", "system:*",
        "system:announcements:x", ":" ID, "*", "user:*", "user:*:*",
        "JOURNEY:" ID
    };

    (void) state;

    assert_int_equal(travel_live_topic_parse(&t, L("user:" ID ":events")),
                     TRAVEL_OK);
    assert_int_equal(t.kind, TRAVEL_LIVE_USER);
    assert_str(t.id, ID);
    assert_str(t.channel, "events");
    assert_false(t.pattern);

    assert_int_equal(travel_live_topic_parse(&t, L("journey:" ID)), TRAVEL_OK);
    assert_int_equal(t.kind, TRAVEL_LIVE_JOURNEY);
    assert_str(t.id, ID);

    assert_int_equal(travel_live_topic_parse(&t, L("job:booking.3." ID)),
                     TRAVEL_OK);
    assert_int_equal(t.kind, TRAVEL_LIVE_JOB);
    assert_int_equal(travel_live_topic_parse(&t, L("system:announcements")),
                     TRAVEL_OK);
    assert_int_equal(t.kind, TRAVEL_LIVE_SYSTEM);

    assert_int_equal(travel_live_topic_parse(&t, L("journey:*")), TRAVEL_OK);
    assert_true(t.pattern);
    assert_int_equal(travel_live_topic_parse(&t, L("user:*:insights")),
                     TRAVEL_OK);
    assert_true(t.pattern);

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_live_topic_parse(&t, S(bad[i])),
                         TRAVEL_INVALID);
    }

    memset(longer, 'x', sizeof(longer));
    assert_int_equal(travel_live_topic_parse(&t,
                         (travel_str_t) { longer, sizeof(longer) }),
                     TRAVEL_INVALID);
}


static travel_stream_id_t
at(uint64_t ms, uint64_t seq)
{
    return (travel_stream_id_t) { .ms = ms, .seq = seq };
}


static void
test_positions(void **state)
{
    (void) state;

    assert_true(travel_live_follows(at(5, 3), at(5, 4)));
    assert_false(travel_live_follows(at(5, 3), at(5, 5)));
    assert_false(travel_live_follows(at(5, 3), at(5, 3)));
    assert_false(travel_live_follows(at(5, 3), at(6, 1)));
    assert_true(travel_live_follows(at(5, 0), at(5, 1)));
    assert_true(travel_live_follows(at(5, 0), at(9, 1)));
    assert_false(travel_live_follows(at(5, 0), at(9, 2)));
    assert_false(travel_live_follows(at(5, 0), at(4, 1)));

    assert_int_equal(travel_live_missed(at(5, 3), at(5, 4)), 0);
    assert_int_equal(travel_live_missed(at(5, 3), at(5, 1)), 0);
    assert_int_equal(travel_live_missed(at(5, 3), at(5, 10)), 6);
    assert_int_equal(travel_live_missed(at(5, 0), at(9, 1)), 0);
    assert_int_equal(travel_live_missed(at(5, 0), at(9, 4)), 3);
    assert_int_equal(travel_live_missed(at(5, 3), at(9, 1)), -1);
    assert_int_equal(travel_live_missed(at(9, 3), at(5, 1)), -1);
}


static void
test_hint(void **state)
{
    travel_str_t        m;
    travel_stream_id_t  id;

    (void) state;

    assert_int_equal(travel_live_hint(L("17-4 {\"a\": 1}"), &id, &m),
                     TRAVEL_OK);
    assert_int_equal(id.ms, 17);
    assert_int_equal(id.seq, 4);
    assert_str(m, "{\"a\": 1}");

    assert_int_equal(travel_live_hint(L("17-4"), &id, &m), TRAVEL_INVALID);
    assert_int_equal(travel_live_hint(L("x {}"), &id, &m), TRAVEL_INVALID);
    assert_int_equal(travel_live_hint(L(""), &id, &m), TRAVEL_INVALID);
}


static int
message(travel_graphql_message_t *m, travel_json_t *doc, const char *text,
    bool legacy)
{
    return travel_graphql_message_parse(m, doc,
                                        (travel_str_t) { text, strlen(text) },
                                        legacy);
}


static void
test_graphql(void **state)
{
    travel_json_t             *doc;
    travel_graphql_message_t   m;

    (void) state;

    doc = travel_json_create(64);
    assert_non_null(doc);

    assert_int_equal(message(&m, doc, "{\"id\":\"1\",\"type\":\"subscribe\","
                             "\"payload\":{\"query\":\"{a}\"}}", false),
                     TRAVEL_OK);
    assert_int_equal(m.kind, TRAVEL_GRAPHQL_MESSAGE_SUBSCRIBE);
    assert_str(m.id, "1");

    /* the same is no word of the old protocol, which asks for less */
    assert_int_equal(message(&m, doc, "{\"id\":\"1\",\"type\":\"subscribe\","
                             "\"payload\":{}}", true), TRAVEL_INVALID);
    assert_int_equal(message(&m, doc, "{\"id\":\"1\",\"type\":\"start\","
                             "\"payload\":{}}", true), TRAVEL_OK);
    assert_int_equal(message(&m, doc, "{\"id\":\"1\",\"type\":\"subscribe\","
                             "\"payload\":{}}", false), TRAVEL_INVALID);
    assert_int_equal(message(&m, doc, "{\"id\":1,\"type\":\"stop\"}", true),
                     TRAVEL_INVALID);

    assert_int_equal(message(&m, doc, "{\"type\":\"connection_init\","
                             "\"payload\":{\"accessToken\":\"bearer a.b\"}}",
                             false), TRAVEL_OK);
    assert_str(travel_graphql_message_token(doc, m.payload), "a.b");
    assert_int_equal(message(&m, doc, "{\"type\":\"connection_init\","
                             "\"payload\":{\"authToken\":\"a\\nb\"}}", true),
                     TRAVEL_OK);
    assert_str(travel_graphql_message_token(doc, m.payload), "-");
    assert_int_equal(message(&m, doc, "{\"type\":\"ping\",\"payload\":null}",
                             false), TRAVEL_OK);
    assert_null(m.payload);
    assert_int_equal(travel_graphql_message_token(doc, m.payload).len, 0);
    assert_int_equal(message(&m, doc, "{\"type\":\"ping\",\"payload\":[]}",
                             false), TRAVEL_INVALID);

    travel_json_free(doc);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_hint),
        cmocka_unit_test(test_graphql),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
