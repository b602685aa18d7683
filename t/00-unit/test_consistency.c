/* Positions and the signed token that carries them. */

#include "unit.h"
#include "consistency.h"


static void
lsn_text(void **state)
{
    char      text[18];
    size_t    i, n;
    uint64_t  v;

    static const struct { const char *text; uint64_t lsn; } rows[] = {
        { "0/0", 0 }, { "16/B374D848", 0x16B374D848 }, { "0/1", 1 },
        { "1/0", 1ull << 32 }, { "FFFFFFFF/FFFFFFFF", UINT64_MAX },
        { "0/10", 16 }
    };

    static const char  *bad[] = {
        "", "/", "0", "0/", "/0", "0/0/0", "123456789/0", "0/123456789",
        "g/0", "0/g", " 0/0", "0/0 ", "0x1/0", "-1/0"
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        n = travel_lsn_format(text, rows[i].lsn);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(n, strlen(text));
        assert_int_equal(travel_lsn_parse(&v, S(rows[i].text)), TRAVEL_OK);
        assert_true(v == rows[i].lsn);
    }

    assert_int_equal(travel_lsn_parse(&v, L("16/b374d848")), TRAVEL_OK);
    assert_true(v == 0x16B374D848);
    assert_int_equal(travel_lsn_parse(&v, L("00000016/0B374D84")), TRAVEL_OK);

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_lsn_parse(&v, S(bad[i])), TRAVEL_INVALID);
    }
}


static void
order(void **state)
{
    (void) state;

    /* a later timeline wins whatever its LSN */

    assert_true(travel_lsn_cmp((travel_lsn_t) { 1, 900 },
                               (travel_lsn_t) { 2, 100 }) < 0);
    assert_true(travel_lsn_cmp((travel_lsn_t) { 2, 900 },
                               (travel_lsn_t) { 2, 100 }) > 0);
    assert_true(travel_lsn_cmp((travel_lsn_t) { 2, UINT64_MAX },
                               (travel_lsn_t) { 2, 0 }) > 0);
    assert_true(travel_lsn_cmp((travel_lsn_t) { 2, 7 },
                               (travel_lsn_t) { 2, 7 }) == 0);

    assert_true(travel_stream_id_cmp((travel_stream_id_t) { 5, 9 },
                                     (travel_stream_id_t) { 6, 0 }) < 0);
    assert_true(travel_stream_id_cmp((travel_stream_id_t) { 6, 10 },
                                     (travel_stream_id_t) { 6, 9 }) > 0);
    assert_true(travel_stream_id_cmp((travel_stream_id_t) { 6, 9 },
                                     (travel_stream_id_t) { 6, 9 }) == 0);
}


static void
stream_ids(void **state)
{
    char                text[42];
    size_t              i;
    travel_stream_id_t  id;

    static const char  *good[] = {
        "0-0", "1700000000000-0", "1700000000000-17",
        "18446744073709551615-18446744073709551615"
    };

    static const char  *bad[] = {
        "", "-", "1", "1-", "-1", "1-1-1", "1-a", "a-1", "1 -1", "01-1",
        "18446744073709551616-0", "0-18446744073709551616", "$", "*", "+"
    };

    (void) state;

    for (i = 0; i < N(good); i++) {
        assert_int_equal(travel_stream_id_parse(&id, S(good[i])), TRAVEL_OK);
        assert_int_equal(travel_stream_id_format(text, id), strlen(good[i]));
        assert_string_equal(text, good[i]);
    }

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_stream_id_parse(&id, S(bad[i])),
                         TRAVEL_INVALID);
    }
}


static void
tokens(void **state)
{
    char                  text[TRAVEL_CONSISTENCY_MAX];
    size_t                i, n, bit, refused, invalid;
    int                   rc;
    travel_consistency_t  back, token = {
        { 3, 0x16B374D848 }, { 1764000000123, 77 }
    };

    (void) state;

    assert_int_equal(travel_consistency_sign(text, &n, &token, L("k")),
                     TRAVEL_OK);
    assert_int_equal(n, 50);
    assert_true(n <= TRAVEL_CONSISTENCY_MAX);

    assert_int_equal(travel_consistency_verify(&back,
                         (travel_str_t) { text, n }, L("k")), TRAVEL_OK);
    assert_int_equal(back.commit.timeline, 3);
    assert_true(back.commit.lsn == token.commit.lsn);
    assert_true(back.inval.ms == token.inval.ms);
    assert_true(back.inval.seq == token.inval.seq);

    assert_int_equal(travel_consistency_verify(&back,
                         (travel_str_t) { text, n }, L("K")), TRAVEL_REFUSED);
    assert_int_equal(travel_consistency_verify(&back,
                         (travel_str_t) { text, n }, L("")), TRAVEL_REFUSED);

    /* no bit of it may change */

    memset(&back, 0x5a, sizeof(back));
    refused = invalid = 0;

    for (i = 0; i < n; i++) {
        for (bit = 0; bit < 8; bit++) {
            text[i] ^= (char) (1 << bit);
            rc = travel_consistency_verify(&back, (travel_str_t) { text, n },
                                           L("k"));
            text[i] ^= (char) (1 << bit);

            assert_true(rc == TRAVEL_REFUSED || rc == TRAVEL_INVALID);
            refused += rc == TRAVEL_REFUSED;
            invalid += rc == TRAVEL_INVALID;
        }
    }

    assert_true(refused > 100 && invalid > 50);
    assert_int_equal(back.commit.timeline, 0x5a5a5a5a);

    for (i = 0; i < n; i++) {
        assert_int_equal(travel_consistency_verify(&back,
                             (travel_str_t) { text, i }, L("k")),
                         TRAVEL_INVALID);
    }

    assert_int_equal(travel_consistency_verify(&back,
                         L("job:booking.3.017f22e2-79b0-7cc3-98c4-dc0c0c0739"),
                         L("k")), TRAVEL_INVALID);
}


static void
what_cannot_be_signed(void **state)
{
    char                  text[TRAVEL_CONSISTENCY_MAX];
    size_t                n;
    travel_consistency_t  token = { { 1, 1 }, { 1, 1 } };

    (void) state;

    assert_int_equal(travel_consistency_sign(text, &n, &token, L("")),
                     TRAVEL_INVALID);

    token.inval.seq = (uint64_t) UINT32_MAX + 1;
    assert_int_equal(travel_consistency_sign(text, &n, &token, L("k")),
                     TRAVEL_INVALID);

    token.inval.seq = UINT32_MAX;
    assert_int_equal(travel_consistency_sign(text, &n, &token, L("k")),
                     TRAVEL_OK);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(lsn_text),
        cmocka_unit_test(order),
        cmocka_unit_test(stream_ids),
        cmocka_unit_test(tokens),
        cmocka_unit_test(what_cannot_be_signed)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
