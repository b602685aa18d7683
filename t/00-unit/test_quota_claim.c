/* Quota claims: what goes in comes out; what is none is refused. */

#include "unit.h"
#include "quota_claim.h"


static travel_quota_claim_t
sample(size_t key_len)
{
    size_t                i;
    travel_quota_claim_t  claim;

    memset(&claim, 0, sizeof(claim));
    claim.node = 0x0123456789abcdefULL;
    claim.policy = UINT64_MAX;
    claim.hash = 1;
    claim.at = 1795000000000ULL;
    claim.shared_at = 1795000000123ULL;
    claim.born = 7;
    claim.cost = 1000000000;
    claim.day = 20784;
    claim.left = 86400000;
    claim.marks[0] = 23;
    claim.marks[3] = 255;
    claim.key_len = key_len;

    for (i = 0; i < key_len; i++) {
        claim.key[i] = (uint8_t) (255 - i);
    }

    return claim;
}


static void
test_round(void **state)
{
    char                  text[TRAVEL_QUOTA_CLAIM_MAX];
    size_t                len, key;
    travel_quota_claim_t  in, out;

    (void) state;

    for (key = 0; key <= TRAVEL_QUOTA_CLAIM_KEY; key++) {
        in = sample(key);
        in.more = key % 2;
        len = travel_quota_claim_format(text, &in);
        assert_in_range(len, 1, TRAVEL_QUOTA_CLAIM_MAX);
        assert_int_equal(text[0], in.more ? 'm' : 'c');

        memset(&out, 0xff, sizeof(out));
        assert_int_equal(travel_quota_claim_parse(&out,
                                                  (travel_str_t) { text, len }),
                         TRAVEL_OK);
        assert_true(in.node == out.node && in.policy == out.policy
                    && in.hash == out.hash && in.at == out.at
                    && in.shared_at == out.shared_at);
        assert_true(in.born == out.born && in.cost == out.cost
                    && in.day == out.day && in.left == out.left);
        assert_memory_equal(in.marks, out.marks, sizeof(in.marks));
        assert_int_equal(out.more, in.more);
        assert_int_equal(out.key_len, key);
        assert_memory_equal(in.key, out.key, key);
    }
}


static void
test_refused(void **state)
{
    char                  text[TRAVEL_QUOTA_CLAIM_MAX + 8];
    size_t                len, n;
    travel_quota_claim_t  in, out;

    (void) state;

    in = sample(0);
    len = travel_quota_claim_format(text, &in);
    memset(&out, 0x55, sizeof(out));

    for (n = 0; n < len; n++) {
        assert_int_equal(travel_quota_claim_parse(&out,
                                                  (travel_str_t) { text, n }),
                         TRAVEL_INVALID);
    }

    assert_int_equal(out.born, 0x55555555);

    text[0] = 'x';
    assert_int_equal(travel_quota_claim_parse(&out,
                                              (travel_str_t) { text, len }),
                     TRAVEL_INVALID);
    text[0] = 'c';
    text[1] = 'B';                                   /* another version */
    assert_int_equal(travel_quota_claim_parse(&out,
                                              (travel_str_t) { text, len }),
                     TRAVEL_INVALID);
    text[1] = '+';
    assert_int_equal(travel_quota_claim_parse(&out,
                                              (travel_str_t) { text, len }),
                     TRAVEL_INVALID);

    in = sample(TRAVEL_QUOTA_CLAIM_KEY);
    len = travel_quota_claim_format(text, &in);
    memcpy(text + len, "AAAA", 4);
    assert_int_equal(travel_quota_claim_parse(&out,
                                              (travel_str_t) { text, len + 4 }),
                     TRAVEL_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
