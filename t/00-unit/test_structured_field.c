/* Structured fields: what RFC 9651 takes, and what it does not. */

#include "unit.h"
#include "structured_field.h"


/* Reads all of a list; its members' number, -1: malformed. */
static int
list(const char *text, travel_sf_item_t *last)
{
    int               rc, n;
    travel_sf_t       sf;
    travel_sf_item_t  item;

    sf = travel_sf_open(S(text));

    for (n = 0; (rc = travel_sf_list_next(&sf, &item)) == TRAVEL_OK; n++) {
        if (last != NULL) {
            *last = item;
        }
    }

    return rc == TRAVEL_UNKNOWN ? n : -1;
}


static int
dict(const char *text)
{
    int               rc, n;
    travel_sf_t       sf;
    travel_str_t      key;
    travel_sf_item_t  item;

    sf = travel_sf_open(S(text));

    for (n = 0; (rc = travel_sf_dict_next(&sf, &key, &item)) == TRAVEL_OK; n++)
    {
        /* void */
    }

    return rc == TRAVEL_UNKNOWN ? n : -1;
}


static void
test_items(void **state)
{
    travel_sf_item_t  item;

    (void) state;

    assert_int_equal(list("42", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_INTEGER);
    assert_int_equal(item.number, 42);

    assert_int_equal(list("-999999999999999", &item), 1);
    assert_int_equal(item.number, -999999999999999);
    assert_int_equal(list("1000000000000000", NULL), -1);

    assert_int_equal(list("4.5", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_DECIMAL);
    assert_int_equal(item.number, 4500);
    assert_int_equal(list("-0.125", &item), 1);
    assert_int_equal(item.number, -125);
    assert_int_equal(list("1.", NULL), -1);
    assert_int_equal(list("1.1234", NULL), -1);
    assert_int_equal(list("1234567890123.0", NULL), -1);
    assert_int_equal(list("-", NULL), -1);

    assert_int_equal(list("\"a \\\"b\\\\\"", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_STRING);
    assert_str(item.text, "a \\\"b\\\\");
    assert_int_equal(list("\"a", NULL), -1);
    assert_int_equal(list("\"a\\", NULL), -1);
    assert_int_equal(list("\"\\a\"", NULL), -1);
    assert_int_equal(list("\"\xc3\xbc\"", NULL), -1);

    assert_int_equal(list("*foo123/456:x", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_TOKEN);
    assert_str(item.text, "*foo123/456:x");

    assert_int_equal(list(":cHJldGVuZA==:", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_BYTES);
    assert_int_equal(list(":a b:", NULL), -1);
    assert_int_equal(list(":ab", NULL), -1);

    assert_int_equal(list("?1", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_BOOLEAN);
    assert_int_equal(item.number, 1);
    assert_int_equal(list("?", NULL), -1);
    assert_int_equal(list("?2", NULL), -1);

    assert_int_equal(list("@1659578233", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_DATE);
    assert_int_equal(item.number, 1659578233);
    assert_int_equal(list("@1.5", NULL), -1);
    assert_int_equal(list("@", NULL), -1);

    assert_int_equal(list("%\"f%c3%bc\"", &item), 1);
    assert_int_equal(item.type, TRAVEL_SF_DISPLAY);
    assert_int_equal(list("%\"f%C3\"", NULL), -1);
    assert_int_equal(list("%\"f%c\"", NULL), -1);
    assert_int_equal(list("%f", NULL), -1);
}


static void
test_lists(void **state)
{
    (void) state;

    assert_int_equal(list("", NULL), 0);
    assert_int_equal(list("   ", NULL), 0);
    assert_int_equal(list("a, b\t,c", NULL), 3);
    assert_int_equal(list(" a ", NULL), 1);
    assert_int_equal(list("a,", NULL), -1);
    assert_int_equal(list("a,,b", NULL), -1);
    assert_int_equal(list("a b", NULL), -1);
    assert_int_equal(list("a;x=1; y ;z", NULL), -1);
    assert_int_equal(list("a;x=1; y;z", NULL), 1);
    assert_int_equal(list("a;X", NULL), -1);
    assert_int_equal(list("(\"foo\" \"bar\");q=1, (), ( a  b )", NULL), 3);
    assert_int_equal(list("(a", NULL), -1);
    assert_int_equal(list("(a\"b\")", NULL), -1);
}


static void
test_dictionaries(void **state)
{
    (void) state;

    assert_int_equal(dict(""), 0);
    assert_int_equal(dict("max-age=60, public, a;x=?0, b=(1 2)"), 4);
    assert_int_equal(dict("a=1,a=2"), 2);
    assert_int_equal(dict("A=1"), -1);
    assert_int_equal(dict("a="), -1);
    assert_int_equal(dict("a = 1"), -1);
    assert_int_equal(dict("a=1,"), -1);
    assert_int_equal(dict("max-age=60 public"), -1);
}


static void
test_string_without_escapes(void **state)
{
    char    out[16];
    size_t  n;

    (void) state;

    n = travel_sf_string(out, L("a\\\"b\\\\c"));
    assert_str(((travel_str_t) { out, n }), "a\"b\\c");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_dictionaries),
        cmocka_unit_test(test_string_without_escapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
