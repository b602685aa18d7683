/* Scores, each by an example worked out by hand, and what is learnt. */

#include "unit.h"
#include "risk.h"

#include <math.h>

#define NOON   (20000ll * 86400 + 12 * 3600)     /* a day in 2024, UTC */
#define close_to(a, b)  assert_true(fabs((a) - (b)) < 0.005)


static const travel_risk_rule_t  rule_usual = {
    .weight = { [TRAVEL_RISK_TRAVEL] = 0.85, [TRAVEL_RISK_COUNTRY] = 0.4,
                [TRAVEL_RISK_DEVICE] = 0.4, [TRAVEL_RISK_FAILURES] = 0.6,
                [TRAVEL_RISK_HOURS] = 0.2 },
    .speed = 1000
};

static travel_risk_rule_t        rule;


static travel_risk_sighting_t
at(int64_t now, const char *country, double lat, double lon)
{
    travel_risk_sighting_t  s = { .now = now, .placed = true, .lat = lat,
                                  .lon = lon, .radius = 20 };

    s.country = travel_risk_country(S(country));
    s.device = 1;

    return s;
}


static travel_risk_verdict_t
judge(const travel_risk_profile_t *p, travel_risk_sighting_t s)
{
    travel_risk_verdict_t  v;

    travel_risk_judge(&v, &rule, p, &s);

    return v;
}


static int
setup(void **state)
{
    (void) state;

    rule = rule_usual;

    return 0;
}


/* Great circles that others have measured. */
static void
distance(void **state)
{
    (void) state;

    /* a degree of the equator is 111.195 km */
    close_to(travel_risk_distance(0, 0, 0, 1), 111.195);
    close_to(travel_risk_distance(0, 179.5, 0, -179.5), 111.195);
    close_to(travel_risk_distance(-90, 0, 90, 0), 20015.115);
    close_to(travel_risk_distance(48.8566, 2.3522, 48.8566, 2.3522), 0);
    /* Paris, New York */
    assert_in_range(travel_risk_distance(48.8566, 2.3522, 40.7128, -74.0060),
                    5836, 5838);
    /* antipodes, where the sine is just above one */
    assert_in_range(travel_risk_distance(12.3, 45.6, -12.3, -134.4), 20014,
                    20016);
}


static void
first_sighting(void **state)
{
    travel_risk_verdict_t  v;
    travel_risk_profile_t  p = { 0 };

    (void) state;

    v = judge(&p, at(NOON, "FR", 48.8566, 2.3522));
    assert_true(v.score == 0);

    v = judge(NULL, at(NOON, "FR", 48.8566, 2.3522));
    assert_true(v.score == 0);
}


static void
travel(void **state)
{
    travel_risk_verdict_t   v;
    travel_risk_profile_t   p = { 0 };
    travel_risk_sighting_t  s;

    (void) state;

    s = at(NOON, "FR", 48.8566, 2.3522);
    travel_risk_learn(&p, &s);

    /* New York after an hour: 5837 - 20 - 20 = 5797 km/h, certainly */
    v = judge(&p, at(NOON + 3600, "FR", 40.7128, -74.0060));
    assert_true(v.signal[TRAVEL_RISK_TRAVEL] == 1);
    close_to(v.score, 0.85);

    /* after eight hours an airliner: 725 km/h */
    v = judge(&p, at(NOON + 8 * 3600, "FR", 40.7128, -74.0060));
    assert_true(v.score == 0);

    /* after four: 1449 km/h, 0.449 of the way from 1000 to 2000 */
    v = judge(&p, at(NOON + 4 * 3600, "FR", 40.7128, -74.0060));
    close_to(v.signal[TRAVEL_RISK_TRAVEL], 0.449);
    close_to(v.score, 0.38);

    /* 39 km away within the second: both places are only so exact */
    v = judge(&p, at(NOON, "FR", 48.8566 + 39 / 111.195, 2.3522));
    assert_true(v.score == 0);

    v = judge(&p, at(NOON, "FR", 48.8566 + 43 / 111.195, 2.3522));
    assert_true(v.signal[TRAVEL_RISK_TRAVEL] == 1);

    /* no place, and a clock that was set back */
    s = at(NOON + 1, "FR", 40.7128, -74.0060);
    s.placed = false;
    assert_true(judge(&p, s).score == 0);
    travel_risk_learn(&p, &s);
    assert_true(p.placed_at == NOON);

    v = judge(&p, at(NOON - 3600, "FR", 40.7128, -74.0060));
    assert_true(v.signal[TRAVEL_RISK_TRAVEL] == 1);
    v = judge(&p, at(NOON - 3600, "FR", 48.8566, 2.3522));
    assert_true(v.score == 0);

    /* a place of any size still ends at 500 km */
    s = at(NOON + 60, "FR", 40.7128, -74.0060);
    s.radius = 20000;
    assert_true(judge(&p, s).signal[TRAVEL_RISK_TRAVEL] == 1);
}


static void
sums(void **state)
{
    travel_risk_verdict_t   v;
    travel_risk_profile_t   p = { 0 };
    travel_risk_sighting_t  s;

    (void) state;

    s = at(NOON, "FR", 48.8566, 2.3522);
    travel_risk_learn(&p, &s);

    /* neighbours: a new country alone */
    v = judge(&p, at(NOON + 7200, "BE", 50.8503, 4.3517));
    close_to(v.score, 0.4);

    /* in hundredths, so that the sum of one is not less than its weight */
    rule.weight[TRAVEL_RISK_COUNTRY] = 0.2;
    v = judge(&p, at(NOON + 7200, "BE", 50.8503, 4.3517));
    assert_true(v.score == 20 / 100.0);
    rule = rule_usual;

    /* with a new device: 1 - 0.6 * 0.6 */
    s = at(NOON + 7200, "BE", 50.8503, 4.3517);
    s.device = 2;
    close_to(judge(&p, s).score, 0.64);

    /* after ten refused tokens: 1 - 0.6 * 0.6 * 0.4 */
    s.failures = 10;
    close_to(judge(&p, s).score, 0.86);

    /* and at once: 1 - 0.6 * 0.6 * 0.4 * 0.15 */
    s.now = NOON + 60;
    close_to(judge(&p, s).score, 0.98);

    /* weights rule */
    memset(rule.weight, 0, sizeof(rule.weight));
    assert_true(judge(&p, s).score == 0);
    rule.weight[TRAVEL_RISK_DEVICE] = 1;
    assert_true(judge(&p, s).score == 1);

    rule = rule_usual;
}


static void
failures(void **state)
{
    size_t                  i;
    travel_risk_burst_t     b = { 0 };
    travel_risk_profile_t   p = { 0 };
    travel_risk_sighting_t  s;

    (void) state;

    assert_true(travel_risk_burst_count(&b, NOON) == 0);

    for (i = 0; i < 8; i++) {
        travel_risk_burst_add(&b, NOON);
    }

    close_to(travel_risk_burst_count(&b, NOON), 8);
    close_to(travel_risk_burst_count(&b, NOON + 300), 4);
    close_to(travel_risk_burst_count(&b, NOON + 900), 1);
    /* the clock goes back: nothing is forgiven, nothing grows */
    close_to(travel_risk_burst_count(&b, NOON - 300), 8);

    travel_risk_burst_add(&b, NOON + 300);
    close_to(travel_risk_burst_count(&b, NOON + 300), 5);

    /* three are free, six and a half are half of the signal */
    s = at(NOON, "FR", 48.8566, 2.3522);
    s.failures = 3;
    assert_true(judge(NULL, s).score == 0);
    s.failures = 6.5;
    close_to(judge(NULL, s).score, 0.6 * 0.5);

    /* the user's own count as well: the larger of the two */
    s.failures = 1;
    p.failures.at = NOON;
    p.failures.count = 40;
    close_to(judge(&p, s).score, 0.6);
}


static void
hours(void **state)
{
    int                     day;
    travel_risk_profile_t   p = { 0 };
    travel_risk_sighting_t  s;

    (void) state;

    /* two active hours a day, at nine and ten, however many requests */
    for (day = 0; day < 10; day++) {
        s = at(NOON + day * 86400 - 3 * 3600, "FR", 48.8566, 2.3522);
        travel_risk_learn(&p, &s);
        travel_risk_learn(&p, &s);
        s.now += 3600;
        travel_risk_learn(&p, &s);
    }

    /* nineteen are over: too few to say anything */
    s.now = NOON + 9 * 86400 + 12 * 3600;
    assert_int_equal(p.hours[9] + p.hours[10], 19);
    assert_true(judge(&p, s).score == 0);

    /* at midnight of the next day: not his hour, and so to its end */
    travel_risk_learn(&p, &s);
    assert_int_equal(p.hours[9] + p.hours[10], 20);
    close_to(judge(&p, s).score, 0.2);
    travel_risk_learn(&p, &s);
    close_to(judge(&p, s).score, 0.2);

    /* eight and eleven o'clock are next to his; seven is not */
    s.now = NOON + 10 * 86400 - 4 * 3600;
    assert_true(judge(&p, s).score == 0);
    s.now = NOON + 10 * 86400 - 3600;
    assert_true(judge(&p, s).score == 0);
    s.now = NOON + 10 * 86400 - 5 * 3600;
    close_to(judge(&p, s).score, 0.2);

    /* one hour of 41 around it: 1 - 1/41/0.05 = 0.512 */
    memset(p.hours, 0, sizeof(p.hours));
    p.hours[9] = 40;
    p.hours[0] = 1;
    s.now = NOON + 10 * 86400 - 12 * 3600;
    close_to(judge(&p, s).signal[TRAVEL_RISK_HOURS], 0.512);

    /* a year of mornings does not overflow; old habits fade */
    for (day = 0; day < 400; day++) {
        s.now = NOON + (20 + day) * 86400 - 3 * 3600;
        travel_risk_learn(&p, &s);
    }

    assert_in_range(p.hours[9], 128, 255);
    assert_int_equal(p.hours[0], 0);
}


/* The eight latest countries and devices, each once. */
static void
memory(void **state)
{
    char                    code[3] = "AA";
    size_t                  i;
    travel_risk_profile_t   p = { 0 };
    travel_risk_sighting_t  s;

    (void) state;

    for (i = 0; i < 9; i++) {
        code[1] = (char) ('A' + i);
        s = at(NOON, code, 0, 0);
        s.device = i + 1;
        travel_risk_learn(&p, &s);
        travel_risk_learn(&p, &s);

        /* the second one is used again and again, so it stays */
        if (i) {
            s = at(NOON, "AB", 0, 0);
            s.device = 2;
            travel_risk_learn(&p, &s);
        }
    }

    s = at(NOON, "AA", 0, 0);
    s.device = 1;
    close_to(judge(&p, s).score, 0.64);

    for (i = 1; i < 9; i++) {
        code[1] = (char) ('A' + i);
        s = at(NOON, code, 0, 0);
        s.device = i + 1;
        assert_true(judge(&p, s).score == 0);
    }
}


static void
names(void **state)
{
    (void) state;

    assert_string_equal(travel_risk_signal_name(TRAVEL_RISK_TRAVEL), "travel");
    assert_string_equal(travel_risk_signal_name(TRAVEL_RISK_HOURS), "hours");
    assert_int_equal(travel_risk_country(S("DE")), 'D' << 8 | 'E');
    assert_int_equal(travel_risk_country(S("de")), 0);
    assert_int_equal(travel_risk_country(S("DEU")), 0);
    assert_int_equal(travel_risk_country(S("")), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(distance),
        cmocka_unit_test(first_sighting),
        cmocka_unit_test(travel),
        cmocka_unit_test(sums),
        cmocka_unit_test(failures),
        cmocka_unit_test(hours),
        cmocka_unit_test(memory),
        cmocka_unit_test(names)
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
