/* Command files: what loads, into what, and what each fault says and where. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/catalog.h"


#define SCHEMA  "\"schema\": { \"type\": \"object\", \"properties\": "        \
                "{ \"partner\": { \"type\": \"string\" }, \"a{\\\"}\": true } }"

#define HEAD    "{ \"type\": \"booking.create\",\n  \"queue\": \"booking\",\n" \
                "  \"aggregate\": \"booking\",\n"


static int
load(travel_command_t **c, const char *text, travel_catalog_fault_t *fault)
{
    memset(fault, 0, sizeof(*fault));

    return travel_command_parse(c, "booking.create", "booking.create.json",
                                (travel_str_t) { text, strlen(text) }, fault);
}


static void
refuse(const char *text, size_t line, const char *says)
{
    int                      rc;
    travel_command_t        *c = NULL;
    travel_catalog_fault_t   fault;

    rc = load(&c, text, &fault);

    if (rc != TRAVEL_INVALID || fault.line != line
        || strstr(fault.message, says) == NULL)
    {
        print_error("rc %d, line %zu: %s\n", rc, fault.line, fault.message);
    }

    assert_int_equal(rc, TRAVEL_INVALID);
    assert_null(c);
    assert_int_equal(fault.line, line);
    assert_non_null(strstr(fault.message, says));
    assert_string_equal(fault.file, "booking.create.json");
}


static void
test_whole_file(void **state)
{
    travel_command_t        *c;
    travel_catalog_fault_t   fault;

    (void) state;

    assert_int_equal(load(&c, HEAD
        "\"priority\": \"high\", \"creates\": true,"
        "\"resource\": \"/api/v1/bookings/\", \"key\": \"partner\","
        "\"deadline\": \"5m\", \"pending\": { \"partner\": true },"
        "\"description\": \"A table.\"," SCHEMA "}", &fault), TRAVEL_OK);

    assert_string_equal(c->type, "booking.create");
    assert_string_equal(c->file, "booking.create.json");
    assert_string_equal(c->queue, "booking");
    assert_string_equal(c->aggregate, "booking");
    assert_string_equal(c->resource, "/api/v1/bookings/");
    assert_string_equal(c->key, "partner");
    assert_string_equal(c->pending[0], "partner");
    assert_null(c->pending[1]);
    assert_int_equal(c->priority, TRAVEL_PRIORITY_HIGH);
    assert_int_equal(c->deadline_ms, 300000);
    assert_true(c->creates);
    assert_false(c->once);
    assert_false(c->batches);

    travel_command_free(c);

    assert_int_equal(load(&c, HEAD "\"creates\": true, \"batches\": true,"
                          SCHEMA "}", &fault), TRAVEL_OK);
    assert_true(c->batches);

    travel_command_free(c);

    assert_int_equal(load(&c, HEAD "\"result\": \"once\"," SCHEMA "}",
                          &fault), TRAVEL_OK);
    assert_true(c->once);
    travel_command_free(c);
}


/* The schema is cut out of the text: it must judge as written. */

static void
test_schema_judges(void **state)
{
    size_t                   n;
    travel_json_t           *doc;
    travel_command_t        *c;
    travel_json_error_t      err;
    travel_schema_run_t     *run;
    travel_schema_error_t    errs[4];
    travel_catalog_fault_t   fault;

    (void) state;

    assert_int_equal(load(&c, HEAD SCHEMA ", \"key\": \"id\" }", &fault),
                     TRAVEL_OK);
    assert_int_equal(c->priority, TRAVEL_PRIORITY_NORMAL);
    assert_false(c->creates);
    assert_null(c->resource);
    assert_null(c->pending[0]);

    doc = travel_json_create(64);
    run = travel_schema_run_create();

    assert_int_equal(travel_json_parse(doc, TRAVEL_STR("{\"partner\": \"x\"}"),
                                       0, &err), TRAVEL_OK);
    assert_int_equal(travel_schema_check(c->schema, doc, run, errs, 4, &n),
                     TRAVEL_OK);
    assert_int_equal(travel_json_parse(doc, TRAVEL_STR("{\"partner\": 1}"),
                                       0, &err), TRAVEL_OK);
    assert_int_equal(travel_schema_check(c->schema, doc, run, errs, 4, &n),
                     TRAVEL_REFUSED);
    assert_string_equal(errs[0].pointer, "/partner");

    travel_schema_run_free(run);
    travel_json_free(doc);
    travel_command_free(c);
}


static void
test_refused(void **state)
{
    (void) state;

    refuse("", 1, "JSON");
    refuse("[]", 1, "object");
    refuse("{ \"type\": \"booking.create\",\n\n \"queue\" }", 3, "JSON");
    refuse("{ \"type\": \"a\",\n \"type\": \"a\" }", 2, "/type");
    refuse(HEAD "\"colour\": 1," SCHEMA "}", 4, "\"colour\" is not known");
    refuse("{ \"type\": \"booking.create\" }", 0, "\"schema\" is missing");
    refuse("{ " SCHEMA "}", 0, "\"type\" is missing");
    refuse("{ \"type\": 1, " SCHEMA "}", 1, "\"type\" must be a string");
    refuse("{\n \"type\": \"booking.cancel\", " SCHEMA "}", 2,
           "the file's name");
    refuse("{ \"type\": \"booking.create\",\n\"queue\": \"bookings\", "
           SCHEMA "}", 2, "no queue \"bookings\"");
    refuse("{ \"type\": \"booking.create\",\n\"queue\": \"notification\", "
           SCHEMA "}", 2, "internal");
    refuse("{ \"type\": \"booking.create\", \"queue\": \"booking\", "
           SCHEMA "}", 0, "\"aggregate\" is missing");
    refuse(HEAD "\"priority\": \"top\"," SCHEMA "}", 4, "high, normal");
    refuse(HEAD "\"result\": \"twice\"," SCHEMA "}", 4, "must be \"once\"");
    refuse(HEAD "\"creates\": 1," SCHEMA "}", 4, "true or false");
    refuse(HEAD "\"batches\": 1," SCHEMA "}", 4, "true or false");
    refuse(HEAD "\"batches\": true," SCHEMA "}", 4, "that create");
    refuse(HEAD "\"batches\": true, \"creates\": true, \"pending\": "
           "{\"partner\": true}," SCHEMA "}", 4, "pending");
    refuse(HEAD "\"creates\": true, \"resource\": \"/x\"," SCHEMA "}", 4,
           "ends with '/'");
    refuse(HEAD "\"resource\": \"/x/\"," SCHEMA "}", 4, "needs \"creates\"");
    refuse(HEAD "\"key\": \"venue\"," SCHEMA "}", 4, "no member");
    refuse(HEAD "\"deadline\": \"5\"," SCHEMA "}", 4, "duration");
    refuse(HEAD "\"deadline\": \"0s\"," SCHEMA "}", 4, "duration");
    refuse(HEAD "\"pending\": [\"partner\"]," SCHEMA "}", 4, "an object");
    refuse(HEAD "\"pending\": {\"partner\": 1}," SCHEMA "}", 4, "value true");
    refuse(HEAD "\"pending\": {\"venue\": true}," SCHEMA "}", 4, "venue");
    refuse(HEAD "\"schema\": {\n \"properties\": {\n  \"x\": { \"type\": 5 }\n"
           "} } }", 6, "/properties/x");
    refuse(HEAD "\"schema\": { \"$ref\": \"http://x/y\" } }", 4, "schema");
}


#define SEALED(members)  "\"schema\": { \"properties\": { " members " } } }"
#define MARK             "{ \"x-sealed\": true }"

static void
test_sealed(void **state)
{
    travel_command_t        *c;
    travel_catalog_fault_t   fault;

    (void) state;

    /* however it is spelt, and wherever the mark comes from */

    assert_int_equal(load(&c, HEAD "\"schema\": { \"properties\": { "
                          "\"card\": { \"x\\u002dsealed\": true }, "
                          "\"open\": { \"x-sealed\": false }, "
                          "\"pin\": { \"$ref\": \"#/$defs/s\" } }, "
                          "\"allOf\": [ { \"properties\": { \"card\": " MARK
                          " } } ], \"$defs\": { \"s\": " MARK " } } }",
                          &fault), TRAVEL_OK);
    assert_int_equal(c->nsealed, 2);
    assert_true(strcmp(c->sealed[0], "card") == 0
                || strcmp(c->sealed[1], "card") == 0);
    assert_true(strcmp(c->sealed[0], "pin") == 0
                || strcmp(c->sealed[1], "pin") == 0);
    travel_command_free(c);

    refuse(HEAD "\"key\": \"card\", " SEALED("\"card\": " MARK), 4,
           "cannot be the key");
    refuse(HEAD "\"pending\": { \"card\": true }, " SEALED("\"card\": " MARK),
           4, "echoed");
    refuse(HEAD SEALED("\"a b\": " MARK), 4, "letters");
    refuse(HEAD SEALED("\"card\": { \"properties\": { \"no\": " MARK " } }"),
           4, "seal nothing");
    refuse(HEAD "\"schema\": { \"anyOf\": [ { \"properties\": { \"card\": "
           MARK " } } ] } }", 4, "seal nothing");
    refuse(HEAD "\"schema\": " MARK " }", 4, "seal nothing");
    refuse(HEAD "\"schema\": { \"additionalProperties\": " MARK " } }", 4,
           "seal nothing");
    refuse(HEAD SEALED("\"a\": " MARK ", \"b\": " MARK ", \"c\": " MARK ", "
                       "\"d\": " MARK ", \"e\": " MARK ", \"f\": " MARK ", "
                       "\"g\": " MARK ", \"h\": " MARK ", \"i\": " MARK),
           4, "8 members at most");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_schema_judges),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sealed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
