/* Judging what needs no further subschema: enum and const, numbers, strings,
 * and whether the elements of an array differ. */

#include <stdio.h>
#include <stdlib.h>

#include "schema_check.h"

#define SCHEMA_SMALL_ARRAY  12        /* compared pair by pair */


bool
schema_eval_values(schema_check_t *ck, uint32_t at,
    const schema_values_t *values, uint32_t i)
{
    char                       list[160];
    size_t                     n = 0;
    uint32_t                   k;
    const travel_json_node_t  *v, *node = &ck->json[i];

    if (values->all_strings) {
        if (node->type == TRAVEL_JSON_STRING
            && schema_names_find(&values->strings, node->text) != SCHEMA_NONE)
        {
            return true;
        }

    } else {
        for (k = 0; k < values->values.n; k++) {
            if (travel_json_equal(ck->doc, i, ck->schema->doc,
                                  values->values.v[k]))
            {
                return true;
            }
        }

        if (!schema_spend(ck, values->values.n)) {
            return false;
        }
    }

    if (ck->quiet) {
        return false;
    }

    for (k = 0; values->all_strings && k < values->values.n; k++) {
        v = &travel_json_nodes(ck->schema->doc)[values->values.v[k]];

        if (v->text.len + 4 > sizeof(list) - n) {
            n = 0;
            break;
        }

        n += (size_t) snprintf(list + n, sizeof(list) - n, "%s%.*s",
                               k ? ", " : "", (int) v->text.len,
                               v->text.data);
    }

    if (n == 0) {
        return schema_refuse(ck, at, values->constant ? "const" : "enum", i,
                             NULL, "this is not one of the allowed values");
    }

    return schema_refuse(ck, at, values->constant ? "const" : "enum", i, NULL,
                         values->values.n == 1 ? "this must be %s"
                                               : "this must be one of %s",
                         list);
}


/* A plain integer of up to 18 digits, the usual one. */
static inline bool
schema_small_int(travel_str_t text, int64_t *ret_v)
{
    size_t   i = text.data[0] == '-';
    int64_t  v = 0;

    if (text.len - i > 18) {
        return false;
    }

    for ( ; i < text.len; i++) {
        if ((uint8_t) (text.data[i] - '0') > 9) {
            return false;
        }

        v = v * 10 + (text.data[i] - '0');
    }

    *ret_v = text.data[0] == '-' ? -v : v;

    return true;
}


bool
schema_eval_number(schema_check_t *ck, uint32_t at,
    const schema_number_t *number, uint32_t i)
{
    int               cmp;
    bool              ok = true, good = true;
    int64_t           v;
    unsigned          k;
    travel_str_t      text;
    travel_decimal_t  d;

    static const struct {
        const char  *keyword;
        const char  *words;
    } bounds[SCHEMA_BOUNDS] = {
        { "minimum", "this must be at least" },
        { "maximum", "this must be at most" },
        { "exclusiveMinimum", "this must be greater than" },
        { "exclusiveMaximum", "this must be less than" },
        { "multipleOf", "this must be a multiple of" }
    };

    if (number->quick && schema_small_int(ck->json[i].text, &v)
        && v >= number->lo && v <= number->hi)
    {
        return true;
    }

    d = travel_decimal_read(ck->json[i].text);

    for (k = 0; k < SCHEMA_BOUNDS; k++) {
        text = number->text[k];

        if (text.data == NULL) {
            continue;
        }

        if (k == SCHEMA_MULTIPLE_OF) {
            good = travel_decimal_multiple(&d, &number->bound[k]);

        } else {
            cmp = travel_decimal_cmp(&d, &number->bound[k]);
            good = k == SCHEMA_MINIMUM ? cmp >= 0
                   : k == SCHEMA_MAXIMUM ? cmp <= 0
                   : k == SCHEMA_EXCLUSIVE_MINIMUM ? cmp > 0 : cmp < 0;
        }

        if (!good) {
            ok = false;

            if (schema_enough(ck)) {
                return false;
            }

            schema_refuse(ck, at, bounds[k].keyword, i, NULL, "%s %.*s",
                          bounds[k].words,
                          (int) (text.len < 64 ? text.len : 64), text.data);
        }
    }

    return ok;
}


/* Code points are counted only where the count of bytes does not tell. */
static uint64_t
schema_length(travel_str_t text)
{
    size_t    i;
    uint64_t  n = 0;

    for (i = 0; i < text.len; i++) {
        n += ((uint8_t) text.data[i] & 0xC0) != 0x80;
    }

    return n;
}


bool
schema_eval_string(schema_check_t *ck, uint32_t at,
    const schema_string_t *string, uint32_t i)
{
    int           rc;
    bool          ok = true;
    travel_str_t  text = ck->json[i].text;

    if (text.len < string->min || text.len > string->max
        || (text.len + 3) / 4 < string->min)
    {
        if (schema_length(text) < string->min) {
            ok = schema_refuse(ck, at, "minLength", i, NULL,
                               string->min == 1
                               ? "this must not be empty"
                               : "this must have at least %llu characters",
                               (unsigned long long) string->min);

        } else if (schema_length(text) > string->max) {
            ok = schema_refuse(ck, at, "maxLength", i, NULL,
                               "this must have at most %llu characters",
                               (unsigned long long) string->max);
        }
    }

    if (!ok && schema_enough(ck)) {
        return false;
    }

    if (string->pattern) {
        rc = travel_pattern_search(string->pattern, text, &ck->run->scratch);

        if (rc == TRAVEL_ERROR) {
            ck->broken = true;
            return false;
        }

        if (rc != TRAVEL_OK) {
            ok = schema_refuse(ck, at, "pattern", i, NULL,
                               "this does not have the expected form");
        }
    }

    if (string->format && !ck->run->annotate && (ok || !schema_enough(ck))
        && !string->format(text))
    {
        ok = schema_refuse(ck, at, "format", i, NULL,
                           "this is not a valid %.*s",
                           (int) (string->format_name.len < 64
                                  ? string->format_name.len : 64),
                           string->format_name.data);
    }

    return ok;
}


/* Equal values have equal hashes: 1 and 1.0, members in any order. */
static uint64_t
schema_hash_scalar(schema_check_t *ck, const travel_json_node_t *node)
{
    size_t            k;
    uint64_t          h;
    const char       *p;
    travel_decimal_t  d;

    if (node->type == TRAVEL_JSON_STRING) {
        return travel_siphash(&ck->run->seed, node->text.data,
                              node->text.len);
    }

    h = ck->run->seed.k0 ^ (node->type + UINT64_C(0x9E3779B97F4A7C15));

    if (node->type == TRAVEL_JSON_NUMBER) {
        d = travel_decimal_read(node->text);
        h ^= (uint64_t) d.scale * 2 + d.negative;

        for (k = 0, p = d.digits; k < d.n; k++, p++) {
            p += *p == '.';
            h = (h ^ (uint8_t) *p) * UINT64_C(0xBF58476D1CE4E5B9);
            h ^= h >> 29;
        }
    }

    return travel_siphash(&ck->run->seed, &h, sizeof(h));
}


/* Hashes of the nodes of the subtree at 'i', children before parents. */
static void
schema_hash_subtree(schema_check_t *ck, uint32_t i, uint64_t *hashes)
{
    uint32_t                   c, k;
    uint64_t                   h, pair[3];
    const travel_json_node_t  *json = ck->json;

    for (k = json[i].next; k-- > i + 1; ) {

        if (json[k].type < TRAVEL_JSON_ARRAY) {
            hashes[k - i] = schema_hash_scalar(ck, &json[k]);
            continue;
        }

        h = json[k].type;

        for (c = k + 1; c < json[k].next; c = json[c].next) {
            pair[0] = hashes[c - i];

            if (json[k].type == TRAVEL_JSON_ARRAY) {
                pair[1] = h;
                pair[2] = 0;
                h = travel_siphash(&ck->run->seed, pair, sizeof(pair));

            } else {
                c++;
                pair[1] = hashes[c - i];
                pair[2] = 1;
                h += travel_siphash(&ck->run->seed, pair, sizeof(pair));
            }
        }

        pair[0] = h;
        pair[1] = json[k].count;
        pair[2] = json[k].type;
        hashes[k - i] = travel_siphash(&ck->run->seed, pair, sizeof(pair));
    }
}


static bool
schema_refuse_twin(schema_check_t *ck, uint32_t at, uint32_t twin)
{
    return schema_refuse(ck, at, "uniqueItems", twin, NULL,
                         "this element is in the array already");
}


bool
schema_eval_unique(schema_check_t *ck, uint32_t at, uint32_t i)
{
    void                      *p;
    size_t                     size, slots, h, *table;
    uint32_t                   c, e, mine, count = ck->json[i].count;
    uint64_t                  *hashes;
    const travel_json_node_t  *json = ck->json;

    mine = json[i].next - i;

    if (!schema_spend(ck, mine)) {
        return false;
    }

    if (count <= SCHEMA_SMALL_ARRAY) {

        for (c = i + 1; c < json[i].next; c = json[c].next) {
            for (e = i + 1; e < c; e = json[e].next) {
                if (travel_json_equal(ck->doc, e, ck->doc, c)) {
                    return schema_refuse_twin(ck, at, c);
                }
            }
        }

        return true;
    }

    for (slots = 32; slots < (size_t) count * 2; slots *= 2) {
        /* void */
    }

    size = mine * sizeof(uint64_t) + slots * sizeof(size_t);

    if (ck->run->hashes_cap < size) {
        p = realloc(ck->run->hashes, size);
        if (p == NULL) {
            ck->broken = true;
            return false;
        }

        ck->run->hashes = p;
        ck->run->hashes_cap = size;
    }

    hashes = ck->run->hashes;
    table = (size_t *) (hashes + mine);
    memset(table, 0, slots * sizeof(table[0]));

    schema_hash_subtree(ck, i, hashes);

    for (c = i + 1; c < json[i].next; c = json[c].next) {

        for (h = hashes[c - i] & (slots - 1); table[h];
             h = (h + 1) & (slots - 1))
        {
            if (hashes[table[h] - i] == hashes[c - i]
                && travel_json_equal(ck->doc, (uint32_t) table[h], ck->doc, c))
            {
                return schema_refuse_twin(ck, at, c);
            }
        }

        table[h] = c;
    }

    return true;
}
