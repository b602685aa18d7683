/* Fuzz driver: any bytes into the JSON parser; what it accepts must hold
 * together, what it refuses must say where. */

#include <stdlib.h>

#include "errors.h"
#include "json.h"

#define CHECK(c)  do { if (!(c)) { abort(); } } while (0)


static void
fuzz_document(const travel_json_t *doc, const travel_json_t *twin)
{
    char                      *quoted, pointer[64];
    double                     d;
    size_t                     n = travel_json_count(doc);
    int64_t                    v;
    uint32_t                   i, k, count;
    const travel_json_node_t  *json = travel_json_nodes(doc);

    CHECK(n > 0 && json[0].next == n);
    CHECK(travel_json_equal(doc, 0, twin, 0));

    for (i = 0; i < n; i++) {

        CHECK(json[i].next > i && json[i].next <= n);
        CHECK(travel_json_pointer(doc, i, pointer, sizeof(pointer)) < 64);

        if (json[i].type == TRAVEL_JSON_NUMBER) {
            d = travel_json_double(&json[i]);
            CHECK(d == d);

            if (travel_json_int64(&json[i], &v) == TRAVEL_OK) {
                CHECK(json[i].integer && (double) v == d);
            }
        }

        if (json[i].type == TRAVEL_JSON_STRING) {
            quoted = malloc(6 * json[i].text.len + 2);
            CHECK(travel_json_quote(quoted, json[i].text)
                  <= 6 * json[i].text.len + 2);
            free(quoted);
        }

        if (json[i].type >= TRAVEL_JSON_ARRAY) {
            for (k = i + 1, count = 0; k < json[i].next; count++) {

                if (json[i].type == TRAVEL_JSON_OBJECT) {
                    CHECK(json[k].type == TRAVEL_JSON_STRING);
                    CHECK(travel_json_member(doc, i, json[k].text)
                          == &json[k + 1]);
                    k++;
                }

                k = json[k].next;
            }

            CHECK(k == json[i].next && count == json[i].count);
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                   rc;
    travel_str_t          text = { (const char *) data, size };
    travel_json_error_t   err;

    static travel_json_t  *doc, *twin;

    if (doc == NULL) {
        doc = travel_json_create(0);
        twin = travel_json_create(64);
    }

    rc = travel_json_parse(doc, text, 0, &err);

    if (rc == TRAVEL_OK) {
        CHECK(travel_json_parse(twin, text, 0, &err) == TRAVEL_OK);
        fuzz_document(doc, twin);
        return 0;
    }

    CHECK(rc == TRAVEL_INVALID && err.offset <= size);
    CHECK(err.kind == TRAVEL_E_MALFORMED_JSON
          || err.kind == TRAVEL_E_DUPLICATE_KEY);
    CHECK(travel_json_count(doc) == 0);

    return 0;
}
