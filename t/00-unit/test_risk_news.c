/* Sightings between nodes: what goes in comes out; what was changed does not */

#include "unit.h"
#include "risk_news.h"


static travel_risk_sighting_t
paris(void)
{
    return (travel_risk_sighting_t) {
        .now = 1795000000, .placed = true, .lat = 48.8566, .lon = -2.3522,
        .radius = 20, .country = 18, .device = UINT64_MAX };
}


static void
test_round(void **state)
{
    char                     bytes[TRAVEL_RISK_NEWS_LEN];
    size_t                   i;
    travel_uuid_t            user, back;
    travel_risk_sighting_t   in, out;

    (void) state;

    for (i = 0; i < sizeof(user.b); i++) {
        user.b[i] = (uint8_t) (i * 17);
    }

    for (i = 0; i < 2; i++) {
        in = paris();
        in.placed = i == 0;

        assert_int_equal(travel_risk_news_encode(bytes, &user, &in, L("key")),
                         TRAVEL_OK);
        assert_int_equal(travel_risk_news_decode(&back, &out,
                             (travel_str_t) { bytes, sizeof(bytes) },
                             L("key")), TRAVEL_OK);

        assert_memory_equal(back.b, user.b, sizeof(user.b));
        assert_true(out.now == in.now);
        assert_int_equal(out.country, in.country);
        assert_true(out.device == in.device);
        assert_int_equal(out.placed, in.placed);
        assert_true(out.failures == 0);

        if (in.placed) {
            assert_int_equal(out.radius, in.radius);
            assert_true(out.lat > 48.85659 && out.lat < 48.85661);
            assert_true(out.lon < -2.35219 && out.lon > -2.35221);
        }
    }
}


static void
test_refused(void **state)
{
    char                     bytes[TRAVEL_RISK_NEWS_LEN + 1];
    size_t                   i;
    travel_uuid_t            user = { { 0 } }, back;
    travel_risk_sighting_t   s, out;
    travel_str_t             text = { bytes, TRAVEL_RISK_NEWS_LEN };

    (void) state;

    s = paris();
    assert_int_equal(travel_risk_news_encode(bytes, &user, &s, L("key")),
                     TRAVEL_OK);
    assert_int_equal(travel_risk_news_decode(&back, &out, text, L("other")),
                     TRAVEL_INVALID);

    for (i = 0; i < TRAVEL_RISK_NEWS_LEN; i++) {
        bytes[i] ^= 1;
        assert_int_equal(travel_risk_news_decode(&back, &out, text, L("key")),
                         TRAVEL_INVALID);
        bytes[i] ^= 1;
    }

    for (i = 0; i <= TRAVEL_RISK_NEWS_LEN + 1; i++) {
        text.len = i;
        assert_int_equal(travel_risk_news_decode(&back, &out, text, L("key")),
                         i == TRAVEL_RISK_NEWS_LEN ? TRAVEL_OK
                                                   : TRAVEL_INVALID);
    }

    /* signed, and yet impossible */

    text.len = TRAVEL_RISK_NEWS_LEN;

    for (i = 0; i < 3; i++) {
        s = paris();
        s.lat = i == 0 ? 91 : s.lat;
        s.lon = i == 1 ? -181 : s.lon;
        s.now = i == 2 ? -1 : s.now;
        assert_int_equal(travel_risk_news_encode(bytes, &user, &s, L("key")),
                         TRAVEL_OK);
        assert_int_equal(travel_risk_news_decode(&back, &out, text, L("key")),
                         TRAVEL_INVALID);
    }
}


/* What is older than what is known changes neither place nor hours. */
static void
test_heard(void **state)
{
    travel_risk_profile_t    profile = { 0 };
    travel_risk_sighting_t   s;

    (void) state;

    s = paris();
    travel_risk_learn(&profile, &s);

    s.now -= 7200;
    s.lat = 40;
    s.country = 99;
    s.device = 7;
    travel_risk_hear(&profile, &s);

    assert_true(profile.placed_at == s.now + 7200);
    assert_true(profile.lat > 48);
    assert_int_equal(profile.hour, (s.now + 7200) / 3600);
    assert_int_equal(profile.countries[0], 99);
    assert_true(profile.devices[0] == 7);
    assert_int_equal(profile.countries[1], 18);

    s.now += 9000;
    travel_risk_hear(&profile, &s);
    assert_true(profile.placed_at == s.now);
    assert_true(profile.lat == 40);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
