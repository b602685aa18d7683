/* UUIDs, buckets and job ids. */

#include "unit.h"
#include "hash.h"
#include "ids.h"


static travel_uuid_t
uuid(const char *text)
{
    travel_uuid_t  id;

    assert_int_equal(travel_uuid_parse(&id, S(text)), TRAVEL_OK);

    return id;
}


/* RFC 9562 appendix A.6: ms 0x017F22E279B0, rand_a 0xCC3,
 * rand_b 01, 0x8C4DC0C0C07398F */

static void
rfc_uuid7(void **state)
{
    char           text[37] = { 0 };
    travel_uuid_t  id;

    (void) state;

    id = travel_uuid7(0x017f22e279b0, 0xcc3,
                      (const uint8_t *) "\x18\xc4\xdc\x0c\x0c\x07\x39\x8f");
    travel_uuid_format(text, &id);

    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_int_equal(travel_uuid_bucket(&id), 0xcc3);
    assert_true(travel_uuid_ms(&id) == 1645557742000);
    assert_int_equal(travel_uuid_version(&id), 7);
}


static void
uuid7_keeps_its_parts(void **state)
{
    unsigned       bucket;
    uint8_t        rnd[8];
    travel_uuid_t  id;

    (void) state;

    memset(rnd, 0xff, sizeof(rnd));

    for (bucket = 0; bucket < TRAVEL_BUCKETS; bucket++) {
        id = travel_uuid7(1764000000000 + bucket, bucket, rnd);

        assert_int_equal(travel_uuid_bucket(&id), bucket);
        assert_int_equal(travel_uuid_version(&id), 7);
        assert_int_equal(id.b[8] & 0xc0, 0x80);
        assert_true(travel_uuid_ms(&id) == 1764000000000u + bucket);
    }

    /* a bucket too large must not reach the version */

    id = travel_uuid7(0, 0xffff, rnd);
    assert_int_equal(travel_uuid_version(&id), 7);
    assert_int_equal(travel_uuid_bucket(&id), 0xfff);
}


/* RFC 9562 section 6.2, method 2: the counter stays in rand_b. */

static void
ids_after_an_id(void **state)
{
    char           text[37] = { 0 };
    travel_uuid_t  id, next;

    (void) state;

    id = travel_uuid7(0x017f22e279b0, 0xcc3,
                      (const uint8_t *) "\x18\xc4\xdc\x0c\x0c\x07\x39\x8f");

    next = travel_uuid_after(&id, 0);
    assert_memory_equal(&next, &id, sizeof(id));

    next = travel_uuid_after(&id, 1);
    travel_uuid_format(text, &next);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c073990");

    next = travel_uuid_after(&id, 0xf3f8c671);
    travel_uuid_format(text, &next);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0d00000000");

    /* past the end of the random part it begins again; nothing else moves */

    id = travel_uuid7(0x017f22e279b0, 0xcc3,
                      (const uint8_t *) "\xff\xff\xff\xff\xff\xff\xff\xff");
    next = travel_uuid_after(&id, 3);
    travel_uuid_format(text, &next);
    assert_string_equal(text, "017f22e2-79b0-7cc3-8000-000000000002");
    assert_int_equal(travel_uuid_bucket(&next), 0xcc3);
}


/* RFC 9562 appendix B.2 gives the digest; ours is framed, so the shape is
 * checked on our own digest. */

static void
uuid8_from_digest(void **state)
{
    uint8_t             md[TRAVEL_SHA256_LEN];
    travel_uuid_t       a, b;
    const travel_str_t  parts[] = { L("https://issuer.example"), L("alice") };
    const travel_str_t  other[] = { L("https://other.example"), L("alice") };

    (void) state;

    assert_int_equal(travel_uuid8(&a, parts, 2), TRAVEL_OK);
    assert_int_equal(travel_sha256_parts(md, parts, 2), TRAVEL_OK);

    assert_int_equal(travel_uuid_version(&a), 8);
    assert_memory_equal(a.b, md, 6);
    assert_int_equal(a.b[6] & 0x0f, md[6] & 0x0f);
    assert_int_equal(a.b[7], md[7]);
    assert_int_equal(a.b[8], (md[8] & 0x3f) | 0x80);
    assert_memory_equal(a.b + 9, md + 9, 7);

    assert_int_equal(travel_uuid8(&b, other, 2), TRAVEL_OK);
    assert_memory_not_equal(&a, &b, sizeof(a));
}


static void
uuid_text(void **state)
{
    char           text[37] = { 0 };
    size_t         i;
    travel_uuid_t  id;

    static const char  *bad[] = {
        "", "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
        "017f22e279b07cc398c4dc0c0c07398f",
        "{17f22e2-79b0-7cc3-98c4-dc0c0c07398}",
        "017f22e2-79b0-7cc3-98c4_dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        "017f22e-279b0-7cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-08c4-dc0c0c07398f",       /* variant */
        "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "00000000-0000-0000-0000-000000000000",
        " 17f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    };

    (void) state;

    id = uuid("017F22E2-79B0-7CC3-98C4-DC0C0C07398F");
    travel_uuid_format(text, &id);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");

    /* any version, RFC 9562's examples of 1, 4, 5, 6 and 8 */

    id = uuid("C232AB00-9414-11EC-B3C8-9F6BDECED846");
    assert_int_equal(travel_uuid_version(&id), 1);
    id = uuid("919108f7-52d1-4320-9bac-f847db4148a8");
    assert_int_equal(travel_uuid_version(&id), 4);
    id = uuid("2ed6657d-e927-568b-95e1-2665a8aea6a2");
    assert_int_equal(travel_uuid_version(&id), 5);
    id = uuid("1EC9414C-232A-6B00-B3C8-9F6BDECED846");
    assert_int_equal(travel_uuid_version(&id), 6);
    id = uuid("5c146b14-3c52-8afd-938a-375d0df1fbf6");
    assert_int_equal(travel_uuid_version(&id), 8);

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_uuid_parse(&id, S(bad[i])), TRAVEL_INVALID);
    }
}


static void
buckets(void **state)
{
    unsigned       i, n, b, count[16] = { 0 };
    char           text[36];
    uint8_t        rnd[8] = { 0 };
    travel_uuid_t  id;

    (void) state;

    /* first 12 bits of sha256("abc") = ba7816... */

    assert_int_equal(travel_bucket(L("abc")), 0xba7);

    /* 4 partitions get about a quarter of 4000 users each */

    for (i = 0; i < 4000; i++) {
        id = travel_uuid7(i, i & 0xfff, rnd);
        travel_uuid_format(text, &id);
        b = travel_bucket((travel_str_t) { text, sizeof(text) });

        assert_true(b < TRAVEL_BUCKETS);
        count[b % 4]++;
    }

    for (n = 0; n < 4; n++) {
        assert_in_range(count[n], 850, 1150);
    }
}


static void
job_ids(void **state)
{
    char             text[TRAVEL_JOB_ID_MAX + 1];
    size_t           i, n;
    travel_job_id_t  id;

    static const char  *good[] = {
        "booking.3.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "ai.0.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "a.255.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "abcdefghijklmnop.255.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "abcdefghijklmnop.10.017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    };

    static const char  *bad[] = {
        "", "booking", "booking.3", "booking.3.",
        ".3.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "booking..017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "booking.256.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "booking.03.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "booking.-1.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "booking.3a.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "booking.3:017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "Booking.3.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "book1ng.3.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "b}{king.3.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "abcdefghijklmnopq.1.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "booking.3.017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "booking.3.017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        "booking.3.017f22e2-79b0-7cc3-98c4-dc0c0c07398f ",
        "booking.3.4.017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "booking.1111.017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    };

    (void) state;

    for (i = 0; i < N(good); i++) {
        assert_int_equal(travel_job_id_parse(&id, S(good[i])), TRAVEL_OK);
        n = travel_job_id_format(text, &id);
        assert_int_equal(n, strlen(good[i]));
        assert_string_equal(text, good[i]);
    }

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_job_id_parse(&id, S(bad[i])), TRAVEL_INVALID);
    }

    /* upper case is read, lower case is written */

    assert_int_equal(travel_job_id_parse(&id,
                         L("ai.1.017F22E2-79B0-7CC3-98C4-DC0C0C07398F")),
                     TRAVEL_OK);
    assert_str(id.queue, "ai");
    assert_int_equal(id.partition, 1);
    travel_job_id_format(text, &id);
    assert_string_equal(text, "ai.1.017f22e2-79b0-7cc3-98c4-dc0c0c07398f");

    /* what could not be read back is not written */

    id.partition = TRAVEL_PARTITIONS_MAX;
    assert_int_equal(travel_job_id_format(text, &id), 0);
    assert_string_equal(text, "");

    id.partition = 0;
    id.queue = L("longer-than-allowed");
    assert_int_equal(travel_job_id_format(text, &id), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(rfc_uuid7),
        cmocka_unit_test(uuid7_keeps_its_parts),
        cmocka_unit_test(ids_after_an_id),
        cmocka_unit_test(uuid8_from_digest),
        cmocka_unit_test(uuid_text),
        cmocka_unit_test(buckets),
        cmocka_unit_test(job_ids)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
