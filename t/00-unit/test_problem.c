/* Error answers in both forms, read back by jansson. */

#include <jansson.h>

#include "unit.h"
#include "problem.h"


static const travel_problem_detail_t  details[] = {
    { L("/party_size"), L("maximum"), L("must be at most 20"), 0, false,
      L("/properties/party_size/maximum") },
    { L(""), L("MALFORMED_JSON"), L("a \"quoted\" thing"), 17, true,
      { NULL, 0 } }
};

static const travel_problem_t  problem = {
    TRAVEL_E_VALIDATION_ERROR, L("Two things are wrong"), details, 2,
    L("/api/v1/bookings"), L("req-1"), 1772391600123,
    NULL, 0, { NULL, 0 }
};


static json_t *
render(const travel_problem_t *p, travel_problem_form_e form)
{
    char          buf[2048];
    size_t        n, need;
    json_t       *root;
    json_error_t  err;

    need = travel_problem_render(NULL, 0, p, form);
    n = travel_problem_render(buf, sizeof(buf), p, form);
    assert_int_equal(n, need);

    assert_int_equal(travel_problem_render(buf, need, p, form), need);
    assert_int_equal(travel_problem_render(buf, need - 1, p, form), 0);
    assert_int_equal(travel_problem_render(buf, 0, p, form), 0);
    travel_problem_render(buf, need, p, form);

    root = json_loadb(buf, need, JSON_REJECT_DUPLICATES, &err);
    assert_non_null(root);

    return root;
}


static const char *
text(json_t *object, const char *name)
{
    const char  *s = json_string_value(json_object_get(object, name));

    assert_non_null(s);

    return s;
}


static void
check_details(json_t *list)
{
    json_t  *d;

    assert_int_equal(json_array_size(list), 2);

    d = json_array_get(list, 0);
    assert_int_equal(json_object_size(d), 4);
    assert_string_equal(text(d, "schema"), "/properties/party_size/maximum");
    assert_string_equal(text(d, "pointer"), "/party_size");
    assert_string_equal(text(d, "code"), "maximum");
    assert_string_equal(text(d, "message"), "must be at most 20");

    d = json_array_get(list, 1);
    assert_int_equal(json_object_size(d), 4);
    assert_string_equal(text(d, "message"), "a \"quoted\" thing");
    assert_int_equal(json_integer_value(json_object_get(d, "offset")), 17);
}


static void
envelope(void **state)
{
    json_t  *root, *e;

    (void) state;

    root = render(&problem, TRAVEL_PROBLEM_ENVELOPE);
    assert_int_equal(json_object_size(root), 1);
    e = json_object_get(root, "error");

    assert_int_equal(json_object_size(e), 5);
    assert_string_equal(text(e, "code"), "VALIDATION_ERROR");
    assert_string_equal(text(e, "message"), "Two things are wrong");
    assert_string_equal(text(e, "timestamp"), "2026-03-01T19:00:00.123Z");
    assert_string_equal(text(e, "request_id"), "req-1");
    check_details(json_object_get(e, "details"));
    json_decref(root);

    assert_string_equal(travel_problem_media_type(TRAVEL_PROBLEM_ENVELOPE),
                        "application/json");
}


static void
rfc9457(void **state)
{
    json_t  *root;

    (void) state;

    root = render(&problem, TRAVEL_PROBLEM_RFC9457);

    assert_int_equal(json_object_size(root), 9);
    assert_string_equal(text(root, "type"),
                        "https://travel.local/problems/VALIDATION_ERROR");
    assert_string_equal(text(root, "title"),
                        "The request does not satisfy its schema");
    assert_int_equal(json_integer_value(json_object_get(root, "status")), 422);
    assert_string_equal(text(root, "detail"), "Two things are wrong");
    assert_string_equal(text(root, "instance"), "/api/v1/bookings");
    assert_string_equal(text(root, "code"), "VALIDATION_ERROR");
    assert_string_equal(text(root, "request_id"), "req-1");
    assert_string_equal(text(root, "timestamp"), "2026-03-01T19:00:00.123Z");
    check_details(json_object_get(root, "errors"));
    json_decref(root);

    assert_string_equal(travel_problem_media_type(TRAVEL_PROBLEM_RFC9457),
                        "application/problem+json");
}


static void
every_code_with_nothing_else(void **state)
{
    int               i;
    json_t           *root, *e;
    travel_problem_t  p;

    (void) state;

    for (i = TRAVEL_E_NONE; i <= TRAVEL_E_MAX; i++) {
        memset(&p, 0, sizeof(p));
        p.error = (travel_error_e) i;

        root = render(&p, TRAVEL_PROBLEM_ENVELOPE);
        e = json_object_get(root, "error");
        assert_string_equal(text(e, "code"), travel_error_code(p.error));
        assert_string_equal(text(e, "message"), travel_error_title(p.error));
        assert_int_equal(json_array_size(json_object_get(e, "details")), 0);
        assert_true(json_is_array(json_object_get(e, "details")));
        json_decref(root);

        root = render(&p, TRAVEL_PROBLEM_RFC9457);
        assert_null(json_object_get(root, "instance"));
        assert_int_equal(json_integer_value(json_object_get(root, "status")),
                         travel_error_status(p.error));
        json_decref(root);
    }
}


static void
test_violated(void **state)
{
    json_t            *root, *list;
    travel_problem_t   p = problem;
    travel_str_t       names[2] = { L("user-60"), L("ip-10") };

    (void) state;
    p.error = TRAVEL_E_RATE_LIMIT_EXCEEDED;
    p.violated = names;
    p.nviolated = 2;

    root = render(&p, TRAVEL_PROBLEM_RFC9457);
    assert_string_equal(text(root, "type"), TRAVEL_PROBLEM_QUOTA);
    assert_string_equal(text(root, "title"), "Too many requests");
    list = json_object_get(root, "violated-policies");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "user-60");
    assert_string_equal(json_string_value(json_array_get(list, 1)), "ip-10");
    json_decref(root);
}


/* RFC 9457 section 3.1.4: a type has one title, whatever happened. */
static void
test_types(void **state)
{
    int                i;
    json_t            *root;
    const char        *type;
    travel_problem_t   p;

    (void) state;

    for (i = TRAVEL_E_NONE; i <= TRAVEL_E_MAX; i++) {
        p = problem;
        p.error = (travel_error_e) i;
        p.violated = NULL;
        p.nviolated = 0;

        root = render(&p, TRAVEL_PROBLEM_RFC9457);
        type = text(root, "type");

        assert_string_equal(text(root, "title"), travel_error_title(p.error));

        if (p.error == TRAVEL_E_QUEUE_FULL) {
            assert_string_equal(type, TRAVEL_PROBLEM_CAPACITY);

        } else if (p.error == TRAVEL_E_RISK_TOO_HIGH) {
            assert_string_equal(type, TRAVEL_PROBLEM_ABNORMAL);

        } else {
            assert_memory_equal(type, TRAVEL_PROBLEM_TYPE,
                                strlen(TRAVEL_PROBLEM_TYPE));
            assert_string_equal(type + strlen(TRAVEL_PROBLEM_TYPE),
                                travel_error_code(p.error));
        }

        json_decref(root);
    }
}


static void
test_base(void **state)
{
    char              uri[TRAVEL_PROBLEM_BASE_MAX + 2];
    json_t           *root;
    travel_problem_t  p = problem;

    (void) state;

    p.base = L("https://api.example.com/problems/");
    root = render(&p, TRAVEL_PROBLEM_RFC9457);
    assert_string_equal(text(root, "type"),
                        "https://api.example.com/problems/VALIDATION_ERROR");
    json_decref(root);

    memset(uri, 'a', sizeof(uri));
    p.base = (travel_str_t) { uri, TRAVEL_PROBLEM_BASE_MAX };
    root = render(&p, TRAVEL_PROBLEM_RFC9457);
    assert_int_equal(strlen(text(root, "type")),
                     TRAVEL_PROBLEM_BASE_MAX + strlen("VALIDATION_ERROR"));
    json_decref(root);

    p.base.len++;
    root = render(&p, TRAVEL_PROBLEM_RFC9457);
    assert_string_equal(text(root, "type"),
                        TRAVEL_PROBLEM_TYPE "VALIDATION_ERROR");
    json_decref(root);
}


/* Every code has a page, with its title and what to do; the list names it. */

static void
test_pages(void **state)
{
    int     e;
    char    page[16384], link[128];
    size_t  n, need;

    (void) state;

    for (e = TRAVEL_E_NONE; e < TRAVEL_E_MAX; e++) {
        need = travel_problem_page(NULL, 0, (travel_error_e) e);
        assert_int_equal(travel_problem_page(page, need - 1,
                                             (travel_error_e) e), 0);
        n = travel_problem_page(page, need, (travel_error_e) e);
        assert_int_equal(n, need);
        page[n] = '\0';

        assert_ptr_equal(strstr(page, "<!DOCTYPE html>"), page);
        assert_string_equal(page + n - 8, "</html>\n");

        if (e != TRAVEL_E_NONE) {
            assert_non_null(strstr(page, travel_error_code(e)));
            assert_true(strlen(travel_error_advice(e)) > 10);
        }
    }

    n = travel_problem_page(page, sizeof(page), TRAVEL_E_NONE);
    page[n] = '\0';

    for (e = 0; e < TRAVEL_E_MAX; e++) {
        snprintf(link, sizeof(link), "<a href=\"%s\">", travel_error_code(e));
        assert_non_null(strstr(page, link));
    }

    n = travel_problem_page(page, sizeof(page), TRAVEL_E_VALIDATION_ERROR);
    page[n] = '\0';
    assert_non_null(strstr(page, "&quot;errors&quot;"));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(envelope),
        cmocka_unit_test(rfc9457),
        cmocka_unit_test(every_code_with_nothing_else),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_violated),
        cmocka_unit_test(test_base),
        cmocka_unit_test(test_pages)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
