/* Revocations as text: there and back, and what is no revocation. */

#include "unit.h"
#include "revocation.h"


static void
there_and_back(void **state)
{
    char                 text[TRAVEL_REVOCATION_MEMBER_MAX];
    size_t               i, len;
    travel_revocation_t  got;

    static const struct {
        const char           *text;
        travel_revocation_t   r;
    } rows[] = {
        { "jti\t0\t\tabc",
          { TRAVEL_REVOKE_JTI, TRAVEL_STR(""), TRAVEL_STR("abc"), 0 } },
        { "user\t1700000000\t\t01890000-0000-7000-8000-000000000001",
          { TRAVEL_REVOKE_USER, TRAVEL_STR(""),
            TRAVEL_STR("01890000-0000-7000-8000-000000000001"), 1700000000 } },
        { "kid\t0\thttps://id.example.com\tkey 1",
          { TRAVEL_REVOKE_KID, TRAVEL_STR("https://id.example.com"),
            TRAVEL_STR("key 1"), 0 } },
        { "key\t9223372036854775807\t\tx",
          { TRAVEL_REVOKE_KEY, TRAVEL_STR(""), TRAVEL_STR("x"), INT64_MAX } }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        assert_int_equal(travel_revocation_format(text, &len, &rows[i].r),
                         TRAVEL_OK);
        assert_int_equal(len, strlen(rows[i].text));
        assert_memory_equal(text, rows[i].text, len);

        assert_int_equal(travel_revocation_parse(&got,
                                    (travel_str_t) { text, len }), TRAVEL_OK);
        assert_int_equal(got.kind, rows[i].r.kind);
        assert_true(got.before == rows[i].r.before);
        assert_true(travel_str_eq(got.issuer, rows[i].r.issuer));
        assert_true(travel_str_eq(got.id, rows[i].r.id));
    }
}


static void
longest(void **state)
{
    char                 text[TRAVEL_REVOCATION_MEMBER_MAX];
    char                 id[TRAVEL_REVOCATION_ID_MAX + 1];
    size_t               len;
    travel_revocation_t  r = { .kind = TRAVEL_REVOKE_USER,
                               .before = INT64_MAX };

    (void) state;

    memset(id, 'x', sizeof(id));
    r.id = (travel_str_t) { id, TRAVEL_REVOCATION_ID_MAX };
    r.issuer = r.id;
    assert_int_equal(travel_revocation_format(text, &len, &r), TRAVEL_OK);
    assert_in_range(len, 2 * TRAVEL_REVOCATION_ID_MAX, sizeof(text));

    r.id.len++;
    assert_int_equal(travel_revocation_format(text, &len, &r), TRAVEL_INVALID);
}


static void
refused(void **state)
{
    char                 text[TRAVEL_REVOCATION_MEMBER_MAX];
    size_t               i, len;
    travel_revocation_t  r;

    static const char  *bad[] = {
        "", "jti", "jti\t0", "jti\t0\t", "jti\t0\t\t", "\t0\t\tx",
        "jti\t\t\tx", "jti\t-1\t\tx", "jti\t1.5\t\tx", "jit\t0\t\tx",
        "jtii\t0\t\tx", "jti\t9223372036854775808\t\tx", "jti\t0\t\tx\ty",
        "jti\t0\ta\nb\tx", "jti\t0\t\tx\177"
    };

    (void) state;

    for (i = 0; i < N(bad); i++) {
        assert_int_equal(travel_revocation_parse(&r, S(bad[i])),
                         TRAVEL_INVALID);
    }

    r = (travel_revocation_t) { TRAVEL_REVOKE_JTI, L(""), L(""), 0 };
    assert_int_equal(travel_revocation_format(text, &len, &r), TRAVEL_INVALID);
    r.id = L("a\tb");
    assert_int_equal(travel_revocation_format(text, &len, &r), TRAVEL_INVALID);
    r.id = L("a");
    r.issuer = L("\r\n");
    assert_int_equal(travel_revocation_format(text, &len, &r), TRAVEL_INVALID);
    r.issuer = L("");
    r.before = -1;
    assert_int_equal(travel_revocation_format(text, &len, &r), TRAVEL_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(longest),
        cmocka_unit_test(refused)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
