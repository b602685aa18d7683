/* Local days: against the dates that almanacs give. */

#include "unit.h"
#include "calendar.h"


#define HOUR  3600

static const travel_zone_change_t  berlin[] = {
    { 1761440400, 3600 },              /* 2025-10-26T01:00Z, winter */
    { 1774746000, 7200 },              /* 2026-03-29T01:00Z, summer */
    { 1792890000, 3600 }               /* 2026-10-25T01:00Z */
};

/* Beirut: at midnight the clock jumps to one o'clock. */
static const travel_zone_change_t  beirut[] = {
    { 0, 7200 },
    { 1774735200, 10800 }              /* 2026-03-28T22:00Z */
};

/* Havana: at one o'clock it goes back to midnight. */
static const travel_zone_change_t  havana[] = {
    { 0, -14400 },
    { 1793509200, -18000 }             /* 2026-11-01T05:00Z */
};


static void
day_is(const travel_zone_change_t *changes, size_t n, int64_t at,
    uint32_t day, uint32_t left)
{
    travel_day_t   d;
    travel_zone_t  zone = { changes, n };

    travel_calendar_day(&d, &zone, (uint64_t) at * 1000);
    assert_int_equal(d.day, day);
    assert_int_equal(d.left, left * 1000);
}


static void
test_utc(void **state)
{
    travel_day_t   d;
    travel_zone_t  zone = { NULL, 0 };

    (void) state;
    day_is(NULL, 0, 0, 0, 86400);
    day_is(NULL, 0, 86399, 0, 1);
    day_is(NULL, 0, 86400, 1, 86400);

    travel_calendar_day(&d, &zone, 86399999);
    assert_int_equal(d.day, 0);
    assert_int_equal(d.left, 1);
}


static void
test_summer_and_winter(void **state)
{
    /* 2026-03-29 is day 20541 */
    int64_t  day = 20541 * 86400LL;

    (void) state;
    day_is(berlin, 3, day - HOUR - 1, 20540, 1);
    day_is(berlin, 3, day - HOUR, 20541, 23 * HOUR);
    day_is(berlin, 3, day + 2 * HOUR, 20541, 20 * HOUR);

    /* 2026-10-25 is day 20751, of 25 hours */
    day = 20751 * 86400LL;
    day_is(berlin, 3, day - 2 * HOUR, 20751, 25 * HOUR);
    day_is(berlin, 3, day + 23 * HOUR - 1, 20751, 1);
    day_is(berlin, 3, day + 23 * HOUR, 20752, 24 * HOUR);
}


static void
test_no_midnight(void **state)
{
    (void) state;
    day_is(beirut, 2, 1774735199, 20540, 1);
    day_is(beirut, 2, 1774735200, 20541, 23 * HOUR);
}


static void
test_midnight_twice(void **state)
{
    /* 2026-11-01 is day 20758; its first hour comes twice */
    (void) state;
    day_is(havana, 2, 1793505600 - 1, 20757, 1);
    day_is(havana, 2, 1793505600, 20758, 25 * HOUR);
    day_is(havana, 2, 1793509200, 20758, 24 * HOUR);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_utc),
        cmocka_unit_test(test_summer_and_winter),
        cmocka_unit_test(test_no_midnight),
        cmocka_unit_test(test_midnight_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
