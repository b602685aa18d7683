/* Answers of other servers: whatever comes, and in whatever pieces. */

#include <stdint.h>
#include <stdlib.h>

#include "http_answer.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int                    rc;
    char                  *text;
    const char            *why;
    travel_http_answer_t   a;

    text = malloc(n + 1);
    if (text == NULL) {
        return 0;
    }

    memcpy(text, data, n);
    rc = travel_http_answer(&a, text, n / 2, false, &why);

    /* what is malformed does not become right by what follows */
    if (rc != TRAVEL_OK
        && travel_http_answer(&a, text, n, true, &why) == TRAVEL_OK)
    {
        if (rc == TRAVEL_INVALID) {
            abort();
        }

        rc = TRAVEL_OK;
    }

    if (rc == TRAVEL_OK
        && (a.status < 200 || a.body.data < text
            || a.body.data + a.body.len > text + n
            || travel_http_freshness(&a) < -1))
    {
        abort();
    }

    free(text);

    return 0;
}
