/* Push services' answers: a word is of plain characters, a good status is
 * sent, and nothing but a service's own word ends a token (410 apart). */

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#include "push_answer.h"


static void
check(const travel_push_answer_t *a, int status)
{
    size_t  i;

    for (i = 0; a->reason[i] != '\0'; i++) {
        if (!isalnum((unsigned char) a->reason[i]) && a->reason[i] != '_') {
            abort();
        }
    }

    if ((status == 200) != (a->outcome == TRAVEL_PUSH_SENT)
        || i >= sizeof(a->reason) || a->gone_ms < 0
        || (a->gone_ms > 0 && a->outcome != TRAVEL_PUSH_GONE))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int                   status;
    travel_str_t          body;
    travel_push_answer_t  a;

    static const int  statuses[] = { 0, 200, 400, 401, 403, 404, 410, 413,
                                     429, 500, 503 };

    if (n == 0) {
        return 0;
    }

    status = statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))];
    body = (travel_str_t) { (const char *) data + 1, n - 1 };

    travel_push_fcm(&a, status, body);
    check(&a, status);
    travel_push_apns(&a, status, body);
    check(&a, status);
    return 0;
}
