/* API keys as text. */

#include "unit.h"
#include "api_key.h"


static void
there_and_back(void **state)
{
    char          text[TRAVEL_API_KEY_LEN];
    size_t        i;
    uint8_t       secret[TRAVEL_API_KEY_SECRET];
    travel_str_t  id;

    static const uint8_t  eight[8] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
                                       0xcd, 0xef };

    (void) state;

    for (i = 0; i < sizeof(secret); i++) {
        secret[i] = (uint8_t) (255 - i);
    }

    travel_api_key_format(text, eight, secret);
    assert_memory_equal(text, "trv_0123456789abcdef_", 21);
    assert_int_equal(travel_api_key_parse(&id,
                            (travel_str_t) { text, sizeof(text) }), TRAVEL_OK);
    assert_str(id, "0123456789abcdef");
}


static void
refused(void **state)
{
    char          good[] = "trv_0123456789abcdef_"
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    size_t        i;
    char          was;
    travel_str_t  id;

    (void) state;

    assert_int_equal(travel_api_key_parse(&id, S(good)), TRAVEL_OK);
    assert_int_equal(travel_api_key_parse(&id,
                     (travel_str_t) { good, strlen(good) - 1 }),
                     TRAVEL_INVALID);
    assert_int_equal(travel_api_key_parse(&id, L("")), TRAVEL_INVALID);

    /* any byte that is wrong, wherever it stands */
    for (i = 0; i < strlen(good); i++) {
        was = good[i];
        good[i] = '=';
        assert_int_equal(travel_api_key_parse(&id, S(good)), TRAVEL_INVALID);
        good[i] = '\0';
        assert_int_equal(travel_api_key_parse(&id,
                         (travel_str_t) { good, sizeof(good) - 1 }),
                         TRAVEL_INVALID);
        good[i] = was;
    }

    /* bits behind the last byte */
    good[strlen(good) - 1] = 'B';
    assert_int_equal(travel_api_key_parse(&id, S(good)), TRAVEL_INVALID);
    good[4] = 'A';
    assert_int_equal(travel_api_key_parse(&id, S(good)), TRAVEL_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(refused)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
