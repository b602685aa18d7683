/* Passwords and what clients of accounts carry. */

#include <stdio.h>

#include "unit.h"
#include "../../workers/jobs/account.h"

static const worker_accounts_t  accounts = {
    .pem = "-----BEGIN EC PRIVATE KEY-----\n", .memory = 7168, .passes = 1,
    .lanes = 1
};


static void
test_password(void **state)
{
    char               a[ACCOUNT_PASSWORD_MAX], b[ACCOUNT_PASSWORD_MAX];
    worker_accounts_t  stronger = accounts;

    (void) state;
    assert_int_equal(account_password_hash(a, &accounts, "se\xc3\xb1or one"),
                     TRAVEL_OK);
    assert_int_equal(account_password_hash(b, &accounts, "se\xc3\xb1or one"),
                     TRAVEL_OK);
    assert_int_equal(strncmp(a, "$argon2id$v=19$m=7168,t=1,p=1$", 30), 0);
    assert_string_not_equal(a, b);

    assert_int_equal(account_password_check(&accounts, a, "se\xc3\xb1or one"),
                     TRAVEL_OK);
    assert_int_equal(account_password_check(&accounts, a, "se\xc3\xb1or two"),
                     TRAVEL_REFUSED);
    assert_int_equal(account_password_check(&accounts, a, ""),
                     TRAVEL_REFUSED);
    assert_int_equal(account_password_check(&accounts, NULL, "anything"),
                     TRAVEL_REFUSED);
    assert_int_equal(account_password_check(&accounts, "$argon2id$v=19$m=1",
                                            "anything"), TRAVEL_REFUSED);
    assert_int_equal(account_password_check(&accounts, "", ""),
                     TRAVEL_REFUSED);

    assert_false(account_password_stale(&accounts, a));
    stronger.passes = 11;
    assert_true(account_password_stale(&stronger, a));
    assert_true(account_password_stale(&accounts, "$argon2i$v=19$m=7168"));
}


/* RFC 9106 section 5.3 has associated data, which nobody here uses; this is
 * the reference implementation's own vector. */
static void
test_vector(void **state)
{
    static const char  hash[] =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ"
        "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    (void) state;
    assert_int_equal(account_password_check(&accounts, hash, "password"),
                     TRAVEL_OK);
    assert_int_equal(account_password_check(&accounts, hash, "Password"),
                     TRAVEL_REFUSED);
}


/* Made by another implementation (libxcrypt's, from Python), cost 12. */
static void
test_bcrypt(void **state)
{
    static const char  hash[] =
        "$2b$12$abcdefghijklmnopqrstuuFDJRuYeKkCzo3Wy7h8SxhBSHBAHiPK2";

    (void) state;
    assert_int_equal(account_password_check(&accounts, hash, "correct horse"),
                     TRAVEL_OK);
    assert_int_equal(account_password_check(&accounts, hash, "correct Horse"),
                     TRAVEL_REFUSED);
    assert_int_equal(account_password_check(&accounts, "$2b$99$x", "x"),
                     TRAVEL_REFUSED);
    assert_int_equal(account_password_check(&accounts, "$2", "*0"),
                     TRAVEL_REFUSED);
    assert_true(account_password_stale(&accounts, hash));
}


static void
test_secrets(void **state)
{
    char               hash[ACCOUNT_HASH_MAX], text[2][ACCOUNT_SECRET_MAX];
    account_pair_t     a, b;
    worker_accounts_t  other = accounts;

    (void) state;
    assert_int_equal(account_hash(hash, "abc"), TRAVEL_OK);
    assert_string_equal(hash, "\\xba7816bf8f01cfea414140de5dae2223b00361a396"
                              "177a9cb410ff61f20015ad");

    assert_int_equal(account_pair(&a), TRAVEL_OK);
    assert_int_equal(account_pair(&b), TRAVEL_OK);
    assert_int_equal(strlen(a.refresh), 43);
    assert_string_not_equal(a.refresh, b.refresh);
    assert_string_not_equal(a.jti, b.jti);
    assert_int_equal(account_hash(hash, a.refresh), TRAVEL_OK);
    assert_string_equal(hash, a.hash);

    assert_int_equal(account_ticket(text[0], &accounts, "1"), TRAVEL_OK);
    assert_int_equal(account_ticket(text[1], &accounts, "1"), TRAVEL_OK);
    assert_int_equal(strlen(text[0]), 43);
    assert_string_equal(text[0], text[1]);
    assert_int_equal(account_ticket(text[1], &accounts, "2"), TRAVEL_OK);
    assert_string_not_equal(text[0], text[1]);
    other.pem = "-----BEGIN EC PRIVATE KEY-----\nx";
    assert_int_equal(account_ticket(text[1], &other, "1"), TRAVEL_OK);
    assert_string_not_equal(text[0], text[1]);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_bcrypt),
        cmocka_unit_test(test_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
