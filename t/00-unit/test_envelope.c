/* The envelope: what goes onto a stream comes off it, and nothing else does. */

#include "unit.h"
#include "envelope.h"


#define FULL                                                                  \
    { L("id"), L("booking.3.x"), L("type"), L("booking.create"), L("v"),      \
      L("1"), L("sub"), L("u-1"), L("key"), L("k-1"), L("body"), L("{}") }


static size_t
collect(travel_str_t *fields, const travel_envelope_t *env)
{
    size_t                     n, i, len[2 * TRAVEL_ENVELOPE_FIELDS + 1];
    const char                *argv[2 * TRAVEL_ENVELOPE_FIELDS + 1];
    travel_envelope_scratch_t  scratch;

    argv[0] = "XADD";
    len[0] = 4;

    n = travel_envelope_args(env, &scratch, argv, len, 1);

    for (i = 1; i < n; i++) {
        /* the numbers live in 'scratch', which ends with this function */
        char  *copy = test_malloc(len[i] + 1);

        memcpy(copy, argv[i], len[i]);
        fields[i - 1] = (travel_str_t) { copy, len[i] };
    }

    assert_string_equal(argv[0], "XADD");

    return n - 1;
}


static void
release(travel_str_t *fields, size_t n)
{
    while (n--) {
        test_free((void *) fields[n].data);
    }
}


static void
full_round_trip(void **state)
{
    size_t             n;
    const char        *why;
    travel_str_t       fields[2 * TRAVEL_ENVELOPE_FIELDS];
    travel_envelope_t  back, env = {
        .id = L("booking.3.017f22e2-79b0-7cc3-98c4-dc0c0c07398f"),
        .type = L("booking.create"),
        .sub = L("017f22e2-79b0-7cc3-98c4-dc0c0c073980"),
        .email = L("a@example.org"),
        .key = L("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"),
        .quota = L("cAQ"),
        .sealed = L("card cvc"),
        .claim = L("1"),
        .flow = L("017f22e2-79b0-7cc3-98c4-dc0c0c073981"),
        .tp = L("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        .reply = L("travel:reply:1:2"),
        .body = L("{\"a\":\"\0\"}"),
        .ts = 1764000000123, .deadline = UINT64_MAX, .once = true
    };

    (void) state;

    n = collect(fields, &env);
    assert_int_equal(n, 2 * TRAVEL_ENVELOPE_FIELDS);
    assert_int_equal(travel_envelope_read(&back, fields, n, &why), TRAVEL_OK);

    assert_true(travel_str_eq(back.id, env.id));
    assert_true(travel_str_eq(back.type, env.type));
    assert_true(travel_str_eq(back.sub, env.sub));
    assert_true(travel_str_eq(back.email, env.email));
    assert_true(travel_str_eq(back.key, env.key));
    assert_true(travel_str_eq(back.tp, env.tp));
    assert_true(travel_str_eq(back.reply, env.reply));
    assert_true(travel_str_eq(back.quota, env.quota));
    assert_true(back.once);
    assert_true(travel_str_eq(back.sealed, env.sealed));
    assert_true(travel_str_eq(back.claim, env.claim));
    assert_true(travel_str_eq(back.flow, env.flow));
    assert_true(travel_str_eq(back.body, env.body));
    assert_true(back.ts == env.ts);
    assert_true(back.deadline == env.deadline);

    release(fields, n);
}


static void
absent_fields_are_left_out(void **state)
{
    size_t             n, i;
    const char        *why;
    travel_str_t       fields[2 * TRAVEL_ENVELOPE_FIELDS];
    travel_envelope_t  back, env = {
        .id = L("i"), .type = L("t"), .sub = L("s"), .key = L("k"),
        .body = L("0")
    };

    (void) state;

    n = collect(fields, &env);
    assert_int_equal(n, 14);

    for (i = 0; i < n; i += 2) {
        assert_false(travel_str_eq(fields[i], L("email")));
        assert_false(travel_str_eq(fields[i], L("tp")));
        assert_false(travel_str_eq(fields[i], L("reply")));
        assert_false(travel_str_eq(fields[i], L("deadline")));
    }

    assert_int_equal(travel_envelope_read(&back, fields, n, &why), TRAVEL_OK);
    assert_int_equal(back.email.len, 0);
    assert_int_equal(back.tp.len, 0);
    assert_true(back.deadline == 0);

    release(fields, n);
}


static void
unknown_names_are_skipped(void **state)
{
    const char         *why;
    travel_envelope_t   env;
    const travel_str_t  fields[] = {
        L("zzz"), L("1"), L("body"), L("{}"), L("vv"), L("2"), L("v"), L("1"),
        L("key"), L("k"), L("sub"), L("s"), L("type"), L("t"), L(""), L("x"),
        L("id"), L("i"), L("priority"), L("high"), L("zzz"), L("2"),
        L("xy"), L("3"), L("path"), L("/"), L("other"), L("4"),
        L("DEADLINE"), L("never"), L("BODY"), L("no")
    };

    (void) state;

    assert_int_equal(travel_envelope_read(&env, fields, N(fields), &why),
                     TRAVEL_OK);
    assert_str(env.id, "i");
    assert_str(env.body, "{}");
}


static void
refusals(void **state)
{
    int                i;
    size_t             n;
    const char        *why;
    travel_envelope_t  env, was;
    travel_str_t       f[16] = FULL;

    static const char  *missing[] = {
        "id is missing", "type is missing", "unknown envelope version",
        "sub is missing", "key is missing", "body is missing"
    };

    (void) state;

    memset(&was, 0x5a, sizeof(was));
    env = was;

    for (i = 0; i < 6; i++) {
        travel_str_t  g[12] = FULL;

        /* away, then there but empty */

        g[2 * i] = L("other");
        assert_int_equal(travel_envelope_read(&env, g, 12, &why),
                         TRAVEL_INVALID);
        assert_string_equal(why, missing[i]);

        g[2 * i] = f[2 * i];
        g[2 * i + 1] = L("");
        assert_int_equal(travel_envelope_read(&env, g, 12, &why),
                         TRAVEL_INVALID);
        assert_string_equal(why, missing[i]);
    }

    assert_int_equal(travel_envelope_read(&env, f, 11, &why), TRAVEL_INVALID);
    assert_string_equal(why, "a field has no value");

    f[5] = L("2");
    assert_int_equal(travel_envelope_read(&env, f, 12, &why), TRAVEL_INVALID);
    assert_string_equal(why, "unknown envelope version");
    f[5] = L("1");

    f[12] = L("ts");

    for (n = 0; n < 5; n++) {
        f[13] = S(((const char *[]) { "", "-1", "1.5", "now",
                                      "99999999999999999999" })[n]);
        assert_int_equal(travel_envelope_read(&env, f, 14, &why),
                         TRAVEL_INVALID);
        assert_string_equal(why, "ts is not a number");
    }

    f[12] = L("deadline");
    assert_int_equal(travel_envelope_read(&env, f, 14, &why), TRAVEL_INVALID);
    assert_string_equal(why, "deadline is not a number");

    f[12] = L("body");
    f[13] = L("{\"other\":1}");
    assert_int_equal(travel_envelope_read(&env, f, 14, &why), TRAVEL_INVALID);
    assert_string_equal(why, "a field is repeated");

    assert_int_equal(travel_envelope_read(&env, NULL, 0, &why),
                     TRAVEL_INVALID);
    assert_memory_equal(&env, &was, sizeof(env));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(full_round_trip),
        cmocka_unit_test(absent_fields_are_left_out),
        cmocka_unit_test(unknown_names_are_skipped),
        cmocka_unit_test(refusals)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
