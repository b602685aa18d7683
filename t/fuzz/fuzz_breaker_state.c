/* What processes tell of breakers: what is taken comes out the same. */

#include <stdint.h>
#include <stdlib.h>

#include "breaker_state.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char                    text[TRAVEL_BREAKER_TEXT_MAX];
    size_t                  len;
    uint64_t                wait;
    const uint8_t          *line;
    travel_str_t            field, value;
    travel_breaker_sum_t    sum = { 0 };
    travel_breaker_entry_t  entry, again;

    line = n > 0 ? memchr(data, '\n', n) : NULL;

    if (line == NULL) {
        return 0;
    }

    field = (travel_str_t) { (const char *) data, (size_t) (line - data) };
    value = (travel_str_t) { (const char *) line + 1, n - field.len - 1 };

    if (travel_breaker_parse(&entry, field, value) != TRAVEL_OK) {
        return 0;
    }

    len = travel_breaker_format(text, entry.state, entry.until_ms,
                                entry.at_ms);

    if (len >= sizeof(text) || entry.destination.len > field.len
        || travel_breaker_parse(&again, field, (travel_str_t) { text, len })
           != TRAVEL_OK
        || again.state != entry.state || again.until_ms != entry.until_ms
        || again.at_ms != entry.at_ms)
    {
        abort();
    }

    travel_breaker_add(&sum, &entry, entry.at_ms);

    if (travel_breaker_sum(&sum, entry.at_ms, &wait) == TRAVEL_BREAKER_OPEN
        && (wait == 0 || entry.state != TRAVEL_BREAKER_OPEN))
    {
        abort();
    }

    return 0;
}
