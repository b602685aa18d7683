/* What the JSON parser (json.c) and the questions about its documents
 * (json_value.c) share; nobody else includes this. */

#ifndef JSON_PARTS_H
#define JSON_PARTS_H

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "json.h"
#include "hash.h"

#define JSON_SMALL_OBJECT  16         /* more members have a hash table */

/* One hash table in 'slots'.  Ordered by end, then by object descending,
 * which is the order in which objects close. */
typedef struct {
    uint32_t  end;            /* nodes[object].next */
    uint32_t  object;
    uint32_t  start;          /* first slot */
    uint32_t  mask;           /* slots - 1 */
} json_table_t;

struct travel_json_s {
    travel_json_node_t    *nodes;
    size_t                 n;
    size_t                 cap;
    char                  *arena;
    size_t                 arena_cap;
    uint32_t              *slots;      /* index of the name's node, 0 free */
    size_t                 nslots;
    size_t                 slots_cap;
    json_table_t          *tables;
    size_t                 ntables;
    size_t                 tables_cap;
    travel_siphash_key_t   seed;
};


static inline uint64_t
json_hash(const travel_json_t *doc, travel_str_t name)
{
    return travel_siphash(&doc->seed, name.len ? name.data : "", name.len);
}


/* First byte from p on that ends a run of plain ASCII: a quote, a backslash,
 * a control character or anything outside ASCII; 'end' when there is none. */
static inline const char *
json_plain_run(const char *p, const char *end)
{
#if defined(__SSE2__)

    int            bits;
    __m128i        v, bad;
    const __m128i  quote = _mm_set1_epi8('"');
    const __m128i  slash = _mm_set1_epi8('\\');
    const __m128i  space = _mm_set1_epi8(0x20);

    while (end - p >= 16) {
        v = _mm_loadu_si128((const __m128i *) (const void *) p);

        /* signed compare: bytes of 0x80 and above are "less than space" */

        bad = _mm_or_si128(_mm_cmplt_epi8(v, space),
                           _mm_or_si128(_mm_cmpeq_epi8(v, quote),
                                        _mm_cmpeq_epi8(v, slash)));
        bits = _mm_movemask_epi8(bad);

        if (bits) {
            return p + __builtin_ctz((unsigned) bits);
        }

        p += 16;
    }

#else

#define JSON_ONES  UINT64_C(0x0101010101010101)

    uint64_t  w, q, s;

    while (end - p >= 8) {
        memcpy(&w, p, 8);

        q = w ^ (JSON_ONES * '"');
        s = w ^ (JSON_ONES * '\\');

        if ((w | (w - JSON_ONES * 0x20) | (q - JSON_ONES) | (s - JSON_ONES))
            & (JSON_ONES * 0x80))
        {
            break;            /* somewhere in these eight; borrow is harmless */
        }

        p += 8;
    }

#endif

    while (p < end && (uint8_t) *p >= 0x20 && (uint8_t) *p < 0x80
           && *p != '"' && *p != '\\')
    {
        p++;
    }

    return p;
}

#endif
