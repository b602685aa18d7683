/* Names of topics, as watchers send them, and hints, as Redis does: what is
 * taken for a topic lies within its text and is one again. */

#include <stdint.h>
#include <stdlib.h>

#include "live_message.h"


static void
check(bool ok)
{
    if (!ok) {
        abort();
    }
}


static bool
within(travel_str_t part, travel_str_t whole)
{
    return part.len == 0
           || (part.data >= whole.data
               && part.data + part.len <= whole.data + whole.len);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    travel_str_t         s, message;
    travel_stream_id_t   id;
    travel_live_topic_t  t, again;

    s = (travel_str_t) { (const char *) data, n };

    if (travel_live_topic_parse(&t, s) == TRAVEL_OK) {
        check(n > 0 && n <= TRAVEL_LIVE_TOPIC_MAX);
        check(within(t.id, s) && within(t.channel, s));
        check(t.pattern == (memchr(data, '*', n) != NULL));
        check(travel_live_topic_parse(&again, t.text) == TRAVEL_OK
              && again.kind == t.kind);
    }

    if (travel_live_passing(s, &message) == TRAVEL_OK
        && message.data + message.len != s.data + s.len)
    {
        abort();
    }

    if (travel_live_hint(s, &id, &message) == TRAVEL_OK) {
        check(within(message, s) && message.len < n);
        check(!travel_live_follows(id, id));
        check(travel_live_missed(id, id) == 0);
    }

    return 0;
}
