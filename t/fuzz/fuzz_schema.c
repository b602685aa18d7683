/* Fuzz driver: a schema, a NUL byte, an instance.  Neither may crash the
 * other; a verdict must not depend on whether errors are asked for. */

#include <stdlib.h>

#include "schema.h"

#define CHECK(c)  do { if (!(c)) { abort(); } } while (0)


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                     rc;
    char                   *instance;
    size_t                  n;
    const uint8_t          *cut;
    travel_str_t            text;
    travel_schema_t        *schema;
    travel_json_error_t     err;
    travel_schema_error_t   errs[4];
    travel_schema_fault_t   fault;

    static travel_json_t        *doc;
    static travel_schema_run_t  *run;

    if (doc == NULL) {
        doc = travel_json_create(0);
        run = travel_schema_run_create();
    }

    cut = size ? memchr(data, 0, size) : NULL;
    text.data = (const char *) data;
    text.len = cut ? (size_t) (cut - data) : size;

    rc = travel_schema_compile(&schema, text, &fault);

    if (rc != TRAVEL_OK) {
        CHECK(rc == TRAVEL_INVALID || rc == TRAVEL_UNKNOWN);
        CHECK(fault.message[0]);
        return 0;
    }

    /* a block of its own, so that reading past its end is seen */

    n = cut ? size - text.len - 1 : 0;
    instance = malloc(n + !n);
    memcpy(instance, cut ? cut + 1 : data, n);

    rc = travel_json_parse(doc, (travel_str_t) { instance, n }, 0, &err);

    if (rc == TRAVEL_OK) {
        rc = travel_schema_check(schema, doc, run, errs, 4, &n);
        CHECK((rc == TRAVEL_REFUSED) == (n > 0) && n <= 4);
        CHECK(travel_schema_check(schema, doc, run, NULL, 0, &n) == rc);
    }

    (void) travel_schema_sealed(schema, TRAVEL_STR("a"));

    free(instance);
    travel_schema_free(schema);

    return 0;
}
