/* Cursors: the first line is text from a client, the rest values to sign. */

#include <stdlib.h>
#include <string.h>

#include "../../common/cursor.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char          buf[TRAVEL_CURSOR_RAW_MAX], text[TRAVEL_CURSOR_MAX];
    size_t        n;
    const char   *v[2], *nl;
    travel_str_t  from, values[2], secret = TRAVEL_STR("a secret");

    nl = size ? memchr(data, '\n', size) : NULL;
    if (nl == NULL) {
        return 0;
    }

    from = (travel_str_t) { (const char *) data,
                            (size_t) (nl - (const char *) data) };

    if (travel_cursor_verify(buf, v, 2, from, TRAVEL_STR("fuzz"), secret)
        == TRAVEL_OK)
    {
        abort();
    }

    values[0] = from;
    values[1] = (travel_str_t) { nl + 1, size - from.len - 1 };

    if (travel_cursor_sign(text, &n, values, 2, TRAVEL_STR("fuzz"), secret)
        == TRAVEL_OK
        && (travel_cursor_verify(buf, v, 2, (travel_str_t) { text, n },
                                 TRAVEL_STR("fuzz"), secret) != TRAVEL_OK
            || strlen(v[0]) != values[0].len
            || memcmp(v[1], values[1].data, values[1].len) != 0))
    {
        abort();
    }

    return 0;
}
