/* Cron expressions and time zone files: against almanacs, and against libc's
 * own reading of the same zones. */

#include "unit.h"

#include <stdio.h>
#include <time.h>

#include "cron.h"
#include "tzif.h"

#define YEAR  (366LL * 86400)
#define ROOM  128

static char  zone_file[65536];


static travel_str_t
zone_bytes(const char *name)
{
    char    path[128];
    FILE   *f;
    size_t  n;

    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    f = fopen(path, "rb");
    assert_non_null(f);
    n = fread(zone_file, 1, sizeof(zone_file), f);
    fclose(f);

    return (travel_str_t) { zone_file, n };
}


static int64_t
utc(const char *text)
{
    struct tm  tm;

    memset(&tm, 0, sizeof(tm));
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));

    return (int64_t) timegm(&tm);
}


/* The fire times after 'after', as UTC texts in one line. */
static void
fires(const char *expr, const char *zone, const char *after, const char *want)
{
    int                    i, n;
    char                   line[512], one[32];
    size_t                 len;
    time_t                 t;
    int64_t                at;
    const char            *why, *p;
    struct tm              tm;
    travel_cron_t          cron;
    travel_zone_t          z = { NULL, 0 };
    travel_zone_change_t   changes[ROOM];

    assert_int_equal(travel_cron_parse(&cron, S(expr), &why), TRAVEL_OK);
    at = utc(after);

    if (zone != NULL) {
        assert_int_equal(travel_tzif_read(changes, ROOM, &z.n,
                                          zone_bytes(zone), at - YEAR,
                                          at + 12 * YEAR), TRAVEL_OK);
        z.changes = changes;
    }

    for (n = 1, p = want; (p = strchr(p, '|')) != NULL; p++) {
        n++;
    }

    line[0] = '\0';

    for (i = 0; i < n; i++) {
        assert_int_equal(travel_cron_next(&cron, &z, at, &at), TRAVEL_OK);
        t = (time_t) at;
        gmtime_r(&t, &tm);
        strftime(one, sizeof(one), "%Y-%m-%d %H:%M", &tm);
        assert_int_equal(at % 60, 0);
        len = strlen(line);
        snprintf(line + len, sizeof(line) - len, "%s%s", i ? "|" : "", one);
    }

    assert_string_equal(line, want);
}


static void
test_fields(void **state)
{
    (void) state;
    fires("*/15 * * * *", NULL, "2026-05-01 10:15:00",
          "2026-05-01 10:30|2026-05-01 10:45|2026-05-01 11:00");
    fires("5,35 8-10/2 * * *", NULL, "2026-05-01 08:05:00",
          "2026-05-01 08:35|2026-05-01 10:05|2026-05-01 10:35|"
          "2026-05-02 08:05");
    fires("0 2 * * *", NULL, "2026-12-31 02:00:00", "2027-01-01 02:00");
    fires("0 0 31 * *", NULL, "2026-01-31 00:00:00",
          "2026-03-31 00:00|2026-05-31 00:00");
    fires("0 12 29 feb *", NULL, "2026-01-01 00:00:00",
          "2028-02-29 12:00|2032-02-29 12:00");
    fires("0 0 * * 7", NULL, "2026-05-01 00:00:00", "2026-05-03 00:00");
    fires("0 0 * * Sun", NULL, "2026-05-01 00:00:00", "2026-05-03 00:00");
    fires("0 0 * JAN-mar mon-fri", NULL, "2026-03-30 12:00:00",
          "2026-03-31 00:00|2027-01-01 00:00|2027-01-04 00:00");
    /* one of the two is enough, unless one is a star */
    fires("0 0 13 * fri", NULL, "2026-05-01 00:00:00",
          "2026-05-08 00:00|2026-05-13 00:00|2026-05-15 00:00");
    fires("0 0 */2 * mon", NULL, "2026-05-01 00:00:00",
          "2026-05-11 00:00|2026-05-25 00:00");
    fires("10/20 5 * * *", NULL, "2026-05-01 00:00:00",
          "2026-05-01 05:10|2026-05-01 05:30|2026-05-01 05:50");
    fires("59 23 31 12 *", NULL, "2026-05-01 00:00:00", "2026-12-31 23:59");
}


static void
test_words(void **state)
{
    (void) state;
    fires("@hourly", NULL, "2026-05-01 10:59:59", "2026-05-01 11:00");
    fires("@daily", NULL, "2026-05-01 00:00:00", "2026-05-02 00:00");
    fires("@midnight", NULL, "2026-05-01 00:00:00", "2026-05-02 00:00");
    fires("@weekly", NULL, "2026-05-01 00:00:00", "2026-05-03 00:00");
    fires("@monthly", NULL, "2026-05-01 00:00:00", "2026-06-01 00:00");
    fires("@yearly", NULL, "2026-05-01 00:00:00", "2027-01-01 00:00");
    fires("@annually", NULL, "2026-05-01 00:00:00", "2027-01-01 00:00");
}


static void
test_refused(void **state)
{
    size_t         i;
    int64_t        at;
    const char    *why;
    travel_cron_t  cron;
    travel_zone_t  none = { NULL, 0 };

    static const struct {
        const char  *text;
        const char  *why;
    } bad[] = {
        { "", "five fields" }, { "* * * *", "five fields" },
        { "@often", "minute" }, { "@reboot x x x x", "minute" },
        { "60 * * * *", "minute" }, { "* 24 * * *", "hour" },
        { "* * 0 * *", "day" }, { "* * 32 * *", "day" },
        { "* * * 13 *", "month" }, { "* * * * 8", "weekday" },
        { "* * * * * *", "behind" }, { "*/0 * * * *", "minute" },
        { "5-1 * * * *", "minute" }, { "1,,2 * * * *", "minute" },
        { "1- * * * *", "minute" }, { "-1 * * * *", "minute" },
        { "1, * * * *", "minute" }, { "9999 * * * *", "minute" },
        { "* * * */feb *", "month" }, { "* * * janu *", "month" },
        { "* * * * fri-sun", "weekday" }, { "1x * * * *", "minute" }
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        why = NULL;
        assert_int_equal(travel_cron_parse(&cron, S(bad[i].text), &why),
                         TRAVEL_INVALID);
        assert_non_null(strstr(why, bad[i].why));
    }

    assert_int_equal(travel_cron_parse(&cron, S("0 0 30 2 *"), &why),
                     TRAVEL_OK);
    at = 77;
    assert_int_equal(travel_cron_next(&cron, &none, 0, &at), TRAVEL_REFUSED);
    assert_int_equal(at, 77);
}


/* Berlin 2026: 02:00 -> 03:00 on 29 March, 03:00 -> 02:00 on 25 October. */
static void
test_summer_time(void **state)
{
    (void) state;
    fires("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00:00",
          "2026-03-28 01:30|2026-03-29 01:00|2026-03-30 00:30");
    fires("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00",
          "2026-10-25 00:30|2026-10-26 01:30");
    fires("*/30 * * * *", "Europe/Berlin", "2026-03-29 00:00:00",
          "2026-03-29 00:30|2026-03-29 01:00|2026-03-29 01:30");
    fires("0,30 * * * *", "Europe/Berlin", "2026-10-24 23:30:00",
          "2026-10-25 00:00|2026-10-25 00:30|2026-10-25 01:00|"
          "2026-10-25 01:30|2026-10-25 02:00");
    fires("0 9 * * mon", "America/New_York", "2026-03-01 00:00:00",
          "2026-03-02 14:00|2026-03-09 13:00");
    /* two entries in the hour that is left out: at its jump, once */
    fires("10,50 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00",
          "2026-03-29 01:00|2026-03-30 00:10");
    /* Beirut: midnight itself is left out */
    fires("0 0 * * *", "Asia/Beirut", "2026-03-27 00:00:00",
          "2026-03-27 22:00|2026-03-28 22:00|2026-03-29 21:00");
    /* Havana: one o'clock back to midnight */
    fires("0 0 * * *", "America/Havana", "2026-10-31 12:00:00",
          "2026-11-01 04:00|2026-11-02 05:00");
    /* half an hour only */
    fires("45 1 * * *", "Australia/Lord_Howe", "2026-04-03 20:00:00",
          "2026-04-04 14:45|2026-04-05 15:15");
    fires("0 2 * * *", "UTC", "2026-05-01 10:00:00", "2026-05-02 02:00");
}


/* The same offsets as libc gives, every six hours for 60 years. */
static void
zone_as_libc(const char *name)
{
    size_t                 i, n;
    time_t                 t;
    int64_t                from, at;
    struct tm              tm;
    travel_zone_change_t   changes[ROOM];

    setenv("TZ", name, 1);
    tzset();

    for (from = utc("1996-01-01 00:00:00"); from < utc("2056-01-01 00:00:00");
         from += 10 * YEAR)
    {
        assert_int_equal(travel_tzif_read(changes, ROOM, &n, zone_bytes(name),
                                          from, from + 10 * YEAR), TRAVEL_OK);

        for (i = 0, at = from; at <= from + 10 * YEAR; at += 6 * 3600) {
            while (i + 1 < n && changes[i + 1].from <= at) {
                i++;
            }

            t = (time_t) at;
            localtime_r(&t, &tm);
            assert_int_equal(changes[i].offset, tm.tm_gmtoff);
        }
    }

    setenv("TZ", "UTC", 1);
    tzset();
}


static void
test_zones(void **state)
{
    size_t  i;

    static const char *const  names[] = {
        "UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo",
        "Australia/Lord_Howe", "Asia/Beirut", "America/Havana",
        "Africa/Casablanca", "Pacific/Apia", "America/Santiago",
        "Asia/Kathmandu", "Europe/Dublin", "America/Nuuk", "Asia/Gaza"
    };

    (void) state;

    for (i = 0; i < N(names); i++) {
        zone_as_libc(names[i]);
    }
}


static void
test_no_zones(void **state)
{
    size_t                 n, len;
    travel_str_t           s;
    travel_zone_change_t   changes[ROOM];

    (void) state;
    s = zone_bytes("Europe/Berlin");
    n = 99;

    for (len = 0; len < s.len; len++) {
        assert_int_equal(travel_tzif_read(changes, ROOM, &n,
                             (travel_str_t) { s.data, len }, 0, YEAR),
                         TRAVEL_INVALID);
    }

    assert_int_equal(n, 99);
    assert_int_equal(travel_tzif_read(changes, 2, &n, s, 0, 20 * YEAR),
                     TRAVEL_INVALID);
    assert_int_equal(travel_tzif_read(changes, ROOM, &n, s, 5, 4),
                     TRAVEL_INVALID);
    assert_int_equal(travel_tzif_read(changes, ROOM, &n, s, 0,
                                      100 * YEAR), TRAVEL_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_summer_time),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_no_zones)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
