/* Cached answers as bytes: what goes in comes out; nothing else is believed. */

#include "unit.h"
#include "cache_record.h"


static const travel_cache_record_t  sample = {
    { 1700000000123, 4 }, 7, { 1700000000001, 2 },
    1700000000200, 60000, 5000,
    { "places.search\0key", 17 }, { "place:1 x", 9 }, { "\"abc\"", 5 },
    { "{\"a\":1}", 7 }, { "\x1f\x8b\0", 3 }
};


static char *
encoded(const travel_cache_record_t *record, size_t *ret_len)
{
    char  *p;

    *ret_len = travel_cache_record_size(record);
    assert_true(*ret_len > 0);

    p = malloc(*ret_len);
    assert_non_null(p);
    assert_int_equal(travel_cache_record_encode(p, record, L("secret")),
                     TRAVEL_OK);

    return p;
}


static void
round_trip(void **state)
{
    char                   *p;
    size_t                  n;
    travel_cache_record_t   r;

    (void) state;

    p = encoded(&sample, &n);

    assert_int_equal(travel_cache_record_decode(&r, (travel_str_t) { p, n },
                                                L("secret")), TRAVEL_OK);
    assert_int_equal(travel_stream_id_cmp(r.pos, sample.pos), 0);
    assert_int_equal(travel_stream_id_cmp(r.purge, sample.purge), 0);
    assert_int_equal(r.timeline, 7);
    assert_true(r.filled == 1700000000200);
    assert_true(r.ttl == 60000 && r.stale == 5000);
    assert_true(travel_str_eq(r.key, sample.key));
    assert_true(travel_str_eq(r.tags, sample.tags));
    assert_true(travel_str_eq(r.etag, sample.etag));
    assert_true(travel_str_eq(r.body, sample.body));
    assert_true(travel_str_eq(r.packed, sample.packed));

    free(p);
}


static void
nothing_in_it(void **state)
{
    char                   *p;
    size_t                  n;
    travel_cache_record_t   r, empty;

    (void) state;

    memset(&empty, 0, sizeof(empty));
    p = encoded(&empty, &n);

    assert_int_equal(travel_cache_record_decode(&r, (travel_str_t) { p, n },
                                                L("secret")), TRAVEL_OK);
    assert_int_equal(r.key.len + r.body.len + r.packed.len, 0);

    free(p);
}


/* Each single changed byte, each shorter and longer piece, another secret. */
static void
not_ours(void **state)
{
    char                   *p, *longer;
    size_t                  i, n;
    travel_cache_record_t   r;

    (void) state;

    p = encoded(&sample, &n);

    for (i = 0; i < n; i++) {
        p[i] ^= 1;
        assert_int_equal(travel_cache_record_decode(&r,
                                                    (travel_str_t) { p, n },
                                                    L("secret")),
                         TRAVEL_INVALID);
        p[i] ^= 1;

        assert_int_equal(travel_cache_record_decode(&r,
                                                    (travel_str_t) { p, i },
                                                    L("secret")),
                         TRAVEL_INVALID);
    }

    longer = calloc(1, n + 1);
    assert_non_null(longer);
    memcpy(longer, p, n);
    assert_int_equal(travel_cache_record_decode(&r,
                         (travel_str_t) { longer, n + 1 }, L("secret")),
                     TRAVEL_INVALID);

    assert_int_equal(travel_cache_record_decode(&r, (travel_str_t) { p, n },
                                                L("Secret")), TRAVEL_INVALID);
    free(longer);
    free(p);
}


/* Signed, and yet beyond the bounds: an older or a broken colleague. */
static void
out_of_bounds(void **state)
{
    char                   *p;
    size_t                  n;
    travel_cache_record_t   r, big;

    (void) state;

    big = sample;
    big.ttl = TRAVEL_CACHE_RECORD_TIME + 1;
    p = encoded(&big, &n);
    assert_int_equal(travel_cache_record_decode(&r, (travel_str_t) { p, n },
                                                L("secret")), TRAVEL_INVALID);
    free(p);

    big = sample;
    big.filled = UINT64_MAX;
    p = encoded(&big, &n);
    assert_int_equal(travel_cache_record_decode(&r, (travel_str_t) { p, n },
                                                L("secret")), TRAVEL_INVALID);
    free(p);

    big = sample;
    big.body.len = TRAVEL_CACHE_RECORD_MAX;
    assert_int_equal(travel_cache_record_size(&big), 0);
    big.body.len = SIZE_MAX;
    assert_int_equal(travel_cache_record_size(&big), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(nothing_in_it),
        cmocka_unit_test(not_ours),
        cmocka_unit_test(out_of_bounds)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
