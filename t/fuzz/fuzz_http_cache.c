/* What an origin's fields are read with: directives, structured fields, dates,
 * Vary, references.  Nothing reads or writes beyond what it was given; what is
 * put in one form stays so when it is put again. */

#include <stdint.h>
#include <stdlib.h>

#include "cache_control.h"
#include "http_accept.h"
#include "http_date.h"
#include "http_target.h"
#include "http_vary.h"
#include "structured_field.h"


static void
check(bool ok)
{
    if (!ok) {
        abort();
    }
}


static void
fuzz_structured(travel_str_t s)
{
    char              *text;
    travel_sf_t        sf;
    travel_str_t       key;
    travel_sf_item_t   item;

    sf = travel_sf_open(s);

    while (travel_sf_list_next(&sf, &item) == TRAVEL_OK) {
        check(item.text.len <= s.len);

        if (item.type == TRAVEL_SF_STRING) {
            text = malloc(item.text.len + 1);
            check(travel_sf_string(text, item.text) <= item.text.len);
            free(text);
        }
    }

    sf = travel_sf_open(s);

    while (travel_sf_dict_next(&sf, &key, &item) == TRAVEL_OK) {
        check(key.len > 0 && key.len <= s.len);
    }
}


static void
fuzz_vary(travel_str_t s)
{
    char           *value, *again;
    size_t          n, m;
    travel_str_t    name;
    travel_vary_t   vary = { 0 };

    travel_vary_add(&vary, s);
    check(vary.n <= TRAVEL_VARY_NAMES_MAX && vary.used <= sizeof(vary.text));

    name = s.len % 2 ? TRAVEL_STR("accept") : TRAVEL_STR("x");
    value = malloc(s.len + 1);
    again = malloc(s.len + 2);

    n = travel_vary_value(value, name, &s, 1);
    check(n <= s.len + 1);

    m = travel_vary_value(again, name, &(travel_str_t) { value, n }, 1);
    check(m == n && memcmp(value, again, n) == 0);

    free(value);
    free(again);
}


static void
fuzz_accept(travel_str_t s)
{
    unsigned  weight, place;

    weight = travel_http_accept_weight(s, TRAVEL_STR("a/b"), &place);

    check(weight <= 1000 && place <= s.len);
    check(travel_http_accepts(s, TRAVEL_STR("a/b"))
          == (weight != 0 && place != 0));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char                    *target, date[TRAVEL_HTTP_DATE_LEN];
    size_t                   len;
    int64_t                  t, back;
    travel_str_t             s, path;
    travel_cache_control_t   cc = { 0 };

    s = (travel_str_t) { (const char *) data, n };
    path = TRAVEL_STR("/a/b?c");

    travel_cache_control_parse(&cc, s);
    (void) ! travel_cache_control_targeted(&cc, s);

    fuzz_structured(s);
    fuzz_accept(s);
    fuzz_vary(s);

    if (travel_http_date_parse(&t, s, 1700000000) == TRAVEL_OK) {
        travel_http_date_format(date, t);
        check(travel_http_date_parse(&back,
                  (travel_str_t) { date, sizeof(date) }, 1700000000)
              == TRAVEL_OK && back == t);
    }

    target = malloc(path.len + n + 1);

    if (travel_http_target(target, &len, TRAVEL_STR("http"),
                           TRAVEL_STR("a.example"), path, s) == TRAVEL_OK)
    {
        check(len > 0 && len <= path.len + n + 1 && target[0] == '/');
    }

    check(travel_http_normal(target, s) <= n);

    free(target);

    return 0;
}
