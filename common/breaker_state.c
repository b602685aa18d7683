/* What worker processes tell of their circuit breakers. */

#include <inttypes.h>
#include <stdio.h>

#include "breaker_state.h"
#include "digits.h"

static const char *const  breaker_names[] = {
    [TRAVEL_BREAKER_CLOSED] = "closed",
    [TRAVEL_BREAKER_OPEN] = "open",
    [TRAVEL_BREAKER_HALF_OPEN] = "half-open"
};


const char *
travel_breaker_name(travel_breaker_state_e state)
{
    return breaker_names[state];
}


size_t
travel_breaker_format(char dst[TRAVEL_BREAKER_TEXT_MAX],
    travel_breaker_state_e state, uint64_t until_ms, uint64_t at_ms)
{
    return (size_t) snprintf(dst, TRAVEL_BREAKER_TEXT_MAX,
                             "%s %" PRIu64 " %" PRIu64, breaker_names[state],
                             until_ms, at_ms);
}


/* What stands before the next blank; the text goes on behind it. */
static travel_str_t
breaker_word(travel_str_t *text)
{
    size_t        n;
    const char   *blank;
    travel_str_t  word;

    blank = text->len > 0 ? memchr(text->data, ' ', text->len) : NULL;
    n = blank != NULL ? (size_t) (blank - text->data) : text->len;
    word = (travel_str_t) { text->data, n };
    n += blank != NULL;
    *text = (travel_str_t) { text->data + n, text->len - n };

    return word;
}


int
travel_breaker_parse(travel_breaker_entry_t *ret_entry, travel_str_t field,
    travel_str_t value)
{
    size_t                  i;
    travel_str_t            name, state;
    travel_breaker_entry_t  entry;

    name = breaker_word(&field);
    state = breaker_word(&value);

    for (i = 0; i < sizeof(breaker_names) / sizeof(breaker_names[0]); i++) {
        if (travel_str_eq(state, (travel_str_t) { breaker_names[i],
                                          strlen(breaker_names[i]) }))
        {
            break;
        }
    }

    if (i == sizeof(breaker_names) / sizeof(breaker_names[0])
        || name.len == 0 || name.len >= TRAVEL_BREAKER_NAME_MAX
        || field.len == 0
        || travel_digits_parse(&entry.until_ms, breaker_word(&value))
           != TRAVEL_OK
        || travel_digits_parse(&entry.at_ms, value) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    entry.destination = name;
    entry.state = (travel_breaker_state_e) i;
    *ret_entry = entry;
    return TRAVEL_OK;
}


void
travel_breaker_add(travel_breaker_sum_t *sum,
    const travel_breaker_entry_t *entry, uint64_t now_ms)
{
    if (now_ms > entry->at_ms
        && now_ms - entry->at_ms > TRAVEL_BREAKER_AGE_MS)
    {
        return;
    }

    sum->told++;

    if (entry->state == TRAVEL_BREAKER_HALF_OPEN) {
        sum->half_open++;

    } else if (entry->state == TRAVEL_BREAKER_OPEN) {
        sum->until_ms = sum->open == 0 || entry->until_ms < sum->until_ms
                        ? entry->until_ms : sum->until_ms;
        sum->open++;
    }
}


travel_breaker_state_e
travel_breaker_sum(const travel_breaker_sum_t *sum, uint64_t now_ms,
    uint64_t *ret_wait_ms)
{
    if (sum->open == 0 && sum->half_open == 0) {
        return TRAVEL_BREAKER_CLOSED;
    }

    if (sum->open < sum->told || sum->until_ms <= now_ms) {
        return TRAVEL_BREAKER_HALF_OPEN;
    }

    *ret_wait_ms = sum->until_ms - now_ms;
    return TRAVEL_BREAKER_OPEN;
}
