/* The rules of an HTTP cache, line by line of RFC 9111 and RFC 5861. */

#include "unit.h"
#include "http_freshness.h"


#define NOW     1700000000
#define NOW_MS  (NOW * 1000LL)

static const travel_http_policy_t  shared = { true, 0, 86400, 0 };
static const travel_http_policy_t  own = { false, 0, 86400, 0 };


static travel_http_facts_t
answer(const char *cc)
{
    travel_http_facts_t   a = { 0 };

    a.status = 200;
    a.date = NOW;
    a.asked_ms = NOW_MS;
    a.came_ms = NOW_MS;
    travel_cache_control_parse(&a.cc, S(cc));

    return a;
}


static travel_http_freshness_t
fresh(const travel_http_facts_t *a, const travel_http_policy_t *policy)
{
    travel_http_freshness_t  f;

    travel_http_assess(&f, a, policy);

    return f;
}


static void
why(const char *cc, const travel_http_policy_t *policy, const char *want)
{
    const char            *got;
    travel_http_facts_t    a;

    a = answer(cc);
    got = travel_http_storable(&a, policy);

    if (want == NULL) {
        assert_null(got);

    } else {
        assert_non_null(got);
        assert_string_equal(got, want);
    }
}


static void
test_storing(void **state)
{
    travel_http_facts_t   a;

    (void) state;

    why("max-age=60", &shared, NULL);
    why("max-age=60, no-store", &shared, "no-store");
    why("max-age=60, private", &shared, "private");
    why("max-age=60, private", &own, NULL);
    why("max-age=60, no-cache", &shared, "no-cache");
    why("max-age=0", &shared, "no-freshness");
    why("s-maxage=60", &own, "no-freshness");
    why("", &shared, "no-freshness");

    a = answer("max-age=60");
    a.vary_any = true;
    assert_string_equal(travel_http_storable(&a, &shared), "vary");

    a = answer("max-age=60");
    a.credentials = true;
    assert_string_equal(travel_http_storable(&a, &shared), "authorization");
    a.credentials_ours = true;
    assert_null(travel_http_storable(&a, &own));

    a = answer("max-age=60, must-revalidate");
    a.credentials = true;
    assert_null(travel_http_storable(&a, &shared));

    /* a validator makes what is stale at once worth keeping */
    a = answer("max-age=0");
    a.has_etag = true;
    assert_null(travel_http_storable(&a, &shared));
    a = answer("no-cache");
    a.last_modified = NOW - 5;
    assert_null(travel_http_storable(&a, &shared));

    /* and so does a window in which it may be stale */
    why("max-age=0, stale-if-error=5", &shared, NULL);
    why("max-age=0, stale-if-error=5, must-revalidate", &shared,
        "no-freshness");
}


static void
test_statuses(void **state)
{
    uint32_t              status;
    travel_http_facts_t   a;

    (void) state;

    for (status = 100; status < 600; status++) {
        a = answer("");
        a.status = status;
        a.last_modified = NOW - 86400;

        assert_int_equal(travel_http_storable(&a, &shared) == NULL,
                         travel_http_status_heuristic(status));

        a = answer("max-age=60");
        a.status = status;

        assert_int_equal(travel_http_storable(&a, &shared) == NULL,
                         status >= 200 && status != 206 && status != 304);

        a = answer("max-age=60, must-understand, no-store");
        a.status = status;

        assert_int_equal(travel_http_storable(&a, &shared) == NULL,
                         travel_http_status_heuristic(status)
                         || status == 302 || status == 303 || status == 307
                         || status == 421 || status == 451);
    }
}


static void
test_lifetimes(void **state)
{
    travel_http_policy_t  policy;
    travel_http_facts_t   a;

    (void) state;

    a = answer("max-age=1, s-maxage=2");
    a.has_expires = true;
    a.expires = NOW + 3;
    assert_int_equal(fresh(&a, &shared).lifetime, 2);
    assert_int_equal(fresh(&a, &own).lifetime, 1);

    a = answer("");
    a.has_expires = true;
    a.expires = NOW + 3;
    assert_int_equal(fresh(&a, &shared).lifetime, 3);
    a.date = NOW - 10;
    assert_int_equal(fresh(&a, &shared).lifetime, 13);
    a.expires = 0;                              /* unreadable */
    a.last_modified = NOW - 86400;
    assert_int_equal(fresh(&a, &shared).lifetime, 0);
    a.expires = INT64_MAX / 4;
    assert_true(fresh(&a, &shared).lifetime == TRAVEL_DELTA_SECONDS_MAX);

    /* a targeted field leaves Expires aside, and heuristics with it */
    a = answer("");
    a.targeted = true;
    a.has_expires = true;
    a.expires = NOW + 3;
    assert_int_equal(fresh(&a, &shared).lifetime, 0);

    /* heuristics */
    a = answer("");
    a.last_modified = NOW - 1000;
    assert_int_equal(fresh(&a, &shared).lifetime, 100);
    a.last_modified = NOW - 86400000;
    assert_int_equal(fresh(&a, &shared).lifetime, 86400);
    a.last_modified = NOW + 1000;
    assert_int_equal(fresh(&a, &shared).lifetime, 0);
    a.last_modified = NOW - 1000;
    a.status = 299;
    assert_int_equal(fresh(&a, &shared).lifetime, 0);
    travel_cache_control_parse(&a.cc, L("public"));
    assert_int_equal(fresh(&a, &shared).lifetime, 100);

    policy = shared;
    policy.fallback = 7;
    a.status = 200;
    assert_int_equal(fresh(&a, &policy).lifetime, 7);
    a = answer("max-age=0");
    assert_int_equal(fresh(&a, &policy).lifetime, 0);
    a = answer("");
    a.status = 404;
    assert_int_equal(fresh(&a, &policy).lifetime, 0);
    policy.heuristic_max = 0;
    policy.fallback = 0;
    a.status = 200;
    a.last_modified = NOW - 1000;
    assert_int_equal(fresh(&a, &policy).lifetime, 0);
}


static void
test_ages(void **state)
{
    travel_http_facts_t      a;
    travel_http_freshness_t  f;

    (void) state;

    a = answer("max-age=100");
    a.age = 10;
    a.asked_ms = NOW_MS - 3000;
    f = fresh(&a, &shared);
    assert_int_equal(f.initial_age, 13);
    assert_int_equal(travel_http_age(&f, NOW_MS), 13);
    assert_int_equal(travel_http_age(&f, NOW_MS + 5000), 18);
    assert_int_equal(travel_http_age(&f, NOW_MS - 5000), 13);

    a.date = NOW - 50;                          /* the clock says more */
    assert_int_equal(fresh(&a, &shared).initial_age, 50);
    a.date = NOW + 50;
    assert_int_equal(fresh(&a, &shared).initial_age, 13);
    a.date = 0;
    assert_int_equal(fresh(&a, &shared).initial_age, 13);

    a.age = TRAVEL_DELTA_SECONDS_MAX;
    f = fresh(&a, &shared);
    assert_true(travel_http_age(&f, NOW_MS + 5000)
                == TRAVEL_DELTA_SECONDS_MAX);
}


static travel_http_verdict_e
judge(const char *cc, const char *request, int64_t age)
{
    travel_http_facts_t      a;
    travel_cache_control_t   r = { 0 };
    travel_http_freshness_t  f;

    a = answer(cc);
    a.has_etag = true;
    f = fresh(&a, &shared);

    if (*request != '\0') {
        travel_cache_control_parse(&r, S(request));
    }

    return travel_http_judge(&f, &r, NOW_MS + age * 1000);
}


static void
test_verdicts(void **state)
{
    (void) state;

    assert_int_equal(judge("max-age=10", "", 9), TRAVEL_HTTP_SERVE);
    assert_int_equal(judge("max-age=10", "", 10), TRAVEL_HTTP_ASK_STALE);
    assert_int_equal(judge("max-age=10, no-cache", "", 0),
                     TRAVEL_HTTP_ASK_STALE);

    assert_int_equal(judge("max-age=10", "no-cache", 0),
                     TRAVEL_HTTP_ASK_REQUEST);
    assert_int_equal(judge("max-age=10", "max-age=5", 5), TRAVEL_HTTP_SERVE);
    assert_int_equal(judge("max-age=10", "max-age=5", 6),
                     TRAVEL_HTTP_ASK_REQUEST);
    assert_int_equal(judge("max-age=10", "min-fresh=5", 5),
                     TRAVEL_HTTP_SERVE);
    assert_int_equal(judge("max-age=10", "min-fresh=5", 6),
                     TRAVEL_HTTP_ASK_REQUEST);

    assert_int_equal(judge("max-age=10", "max-stale", 1000),
                     TRAVEL_HTTP_SERVE_STALE);
    assert_int_equal(judge("max-age=10", "max-stale=5", 15),
                     TRAVEL_HTTP_SERVE_STALE);
    assert_int_equal(judge("max-age=10", "max-stale=5", 16),
                     TRAVEL_HTTP_ASK_STALE);
    assert_int_equal(judge("max-age=10", "max-stale=5, max-age=8", 12),
                     TRAVEL_HTTP_ASK_REQUEST);
    assert_int_equal(judge("max-age=10, must-revalidate", "max-stale", 11),
                     TRAVEL_HTTP_ASK_STALE);
    assert_int_equal(judge("max-age=10, proxy-revalidate", "max-stale", 11),
                     TRAVEL_HTTP_ASK_STALE);
    assert_int_equal(judge("s-maxage=10", "max-stale", 11),
                     TRAVEL_HTTP_ASK_STALE);

    assert_int_equal(judge("max-age=10, stale-while-revalidate=5", "", 15),
                     TRAVEL_HTTP_SERVE_REFRESH);
    assert_int_equal(judge("max-age=10, stale-while-revalidate=5", "", 16),
                     TRAVEL_HTTP_ASK_STALE);
    assert_int_equal(judge("max-age=10, stale-while-revalidate=5",
                           "min-fresh=1", 12), TRAVEL_HTTP_ASK_STALE);
    assert_int_equal(judge("s-maxage=10, stale-while-revalidate=5", "", 12),
                     TRAVEL_HTTP_ASK_STALE);
}


static bool
stands_in(const char *cc, const char *request, int64_t age)
{
    travel_http_facts_t      a;
    travel_cache_control_t   r = { 0 };
    travel_http_freshness_t  f;

    a = answer(cc);
    f = fresh(&a, &shared);
    travel_cache_control_parse(&r, S(request));

    return travel_http_stands_in(&f, &r, NOW_MS + age * 1000);
}


static void
test_standing_in(void **state)
{
    (void) state;

    assert_true(stands_in("max-age=10", "", 5));
    assert_false(stands_in("max-age=10", "", 11));
    assert_true(stands_in("max-age=10, stale-if-error=5", "", 15));
    assert_false(stands_in("max-age=10, stale-if-error=5", "", 16));
    assert_true(stands_in("max-age=10", "stale-if-error=5", 15));
    assert_false(stands_in("max-age=10", "stale-if-error=5", 16));
    assert_false(stands_in("max-age=10, stale-if-error=5, must-revalidate",
                           "", 5));
    assert_false(stands_in("max-age=10, stale-if-error=5, no-cache", "", 5));
}


static void
test_retention(void **state)
{
    travel_http_facts_t      a;
    travel_http_freshness_t  f;

    (void) state;

    a = answer("max-age=10, stale-if-error=5, stale-while-revalidate=7");
    f = fresh(&a, &shared);
    assert_int_equal(travel_http_retention(&f), 17);
    a.age = 100;
    f = fresh(&a, &shared);
    assert_int_equal(travel_http_retention(&f), 0);
    a.has_etag = true;
    f = fresh(&a, &shared);
    assert_int_equal(travel_http_retention(&f), 86400);
}


/* RFC 5861 sections 3.1 and 4.1, to the second. */
static void
test_printed_stale(void **state)
{
    travel_http_facts_t      a;
    travel_http_freshness_t  f;
    travel_cache_control_t   none = { 0 };
    size_t                   i;

    static const struct {
        int64_t                age;
        travel_http_verdict_e  verdict;
    } swr[] = {
        { 0, TRAVEL_HTTP_SERVE }, { 599, TRAVEL_HTTP_SERVE },
        { 600, TRAVEL_HTTP_SERVE_REFRESH }, { 630, TRAVEL_HTTP_SERVE_REFRESH },
        { 631, TRAVEL_HTTP_ASK_STALE }
    };

    static const struct {
        int64_t  age;
        bool     stands_in;
    } sie[] = {
        { 600, true }, { 900, true }, { 1800, true }, { 1801, false }
    };

    (void) state;

    a = answer("max-age=600, stale-while-revalidate=30");
    f = fresh(&a, &shared);

    for (i = 0; i < N(swr); i++) {
        assert_int_equal(travel_http_judge(&f, &none,
                                           NOW_MS + swr[i].age * 1000),
                         swr[i].verdict);
    }

    a = answer("max-age=600, stale-if-error=1200");
    f = fresh(&a, &shared);

    for (i = 0; i < N(sie); i++) {
        assert_int_equal(travel_http_judge(&f, &none,
                                           NOW_MS + sie[i].age * 1000),
                         TRAVEL_HTTP_ASK_STALE);
        assert_int_equal(travel_http_stands_in(&f, &none,
                                               NOW_MS + sie[i].age * 1000),
                         sie[i].stands_in);
    }

    assert_int_equal(travel_http_age(&f, NOW_MS + 900000), 900);
}


/* RFC 9213 section 3.1: what a CDN's cache, another shared one and a browser's
 * make of the same lines. */
static void
test_printed_targeted(void **state)
{
    travel_http_facts_t  a;

    (void) state;

    a = answer("max-age=60, s-maxage=120");
    assert_int_equal(fresh(&a, &shared).lifetime, 120);
    assert_int_equal(fresh(&a, &own).lifetime, 60);

    a.targeted = true;
    assert_int_equal(travel_cache_control_targeted(&a.cc, L("max-age=600")),
                     TRAVEL_OK);
    assert_int_equal(fresh(&a, &shared).lifetime, 600);

    /* "none" leaves it to heuristics, and nothing forbids to store */
    assert_int_equal(travel_cache_control_targeted(&a.cc, L("none")),
                     TRAVEL_OK);
    a.last_modified = NOW - 1000;
    assert_null(travel_http_storable(&a, &shared));
    assert_int_equal(fresh(&a, &shared).lifetime, 100);

    why("no-store", &shared, "no-store");
}


/* RFC 9111 section 5.2.2.3: a cache that knows the rule stores, and leaves out
 * no-store. */
static void
test_printed_understood(void **state)
{
    travel_http_facts_t  a;

    (void) state;

    a = answer("must-understand, no-store");
    a.last_modified = NOW - 1000;
    assert_null(travel_http_storable(&a, &shared));

    a.status = 299;
    assert_string_equal(travel_http_storable(&a, &shared), "must-understand");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_storing),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_lifetimes),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_standing_in),
        cmocka_unit_test(test_retention),
        cmocka_unit_test(test_printed_stale),
        cmocka_unit_test(test_printed_targeted),
        cmocka_unit_test(test_printed_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
