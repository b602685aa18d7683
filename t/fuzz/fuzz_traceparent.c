/* Trace headers: what is accepted comes out the same; what is kept of a
 * tracestate is kept again. */

#include <stdint.h>
#include <stdlib.h>

#include "traceparent.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char            text[TRAVEL_TRACEPARENT_LEN];
    size_t          keep;
    travel_str_t    s, again;
    travel_trace_t  t, back;

    s = (travel_str_t) { (const char *) data, n };

    if (travel_traceparent_parse(&t, s) == TRAVEL_OK) {
        travel_traceparent_format(text, &t);
        again = (travel_str_t) { text, sizeof(text) };

        if (travel_traceparent_parse(&back, again) != TRAVEL_OK
            || memcmp(&t, &back, sizeof(t)) != 0
            || memcmp(text + 3, data + 3, 49) != 0)
        {
            abort();
        }
    }

    keep = travel_tracestate_keep(s);

    if (keep > n || keep > 512
        || travel_tracestate_keep((travel_str_t) { s.data, keep }) != keep)
    {
        abort();
    }

    return 0;
}
