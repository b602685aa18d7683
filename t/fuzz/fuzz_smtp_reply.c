/* Mail servers' replies: the code is the line's, an enhanced one agrees with
 * it, and only a 5xx ends a mail. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "smtp_reply.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char                  code[12];
    travel_smtp_reply_t   reply;
    travel_smtp_stage_e   stage;
    travel_smtp_bounce_e  bounce;

    if (travel_smtp_reply_parse(&reply, (travel_str_t) {
                                (const char *) data, n }) != TRAVEL_OK)
    {
        return 0;
    }

    snprintf(code, sizeof(code), "%03u", reply.code);

    if (memcmp(code, data, 3) != 0
        || (reply.class != 0 && reply.class != reply.code / 100)
        || reply.subject > 999 || reply.detail > 999)
    {
        abort();
    }

    for (stage = TRAVEL_SMTP_SESSION; stage <= TRAVEL_SMTP_DATA; stage++) {
        bounce = travel_smtp_judge(&reply, stage);

        if ((bounce == TRAVEL_SMTP_ACCEPTED) != (reply.code < 400)
            || (bounce > TRAVEL_SMTP_SOFT && reply.code < 500))
        {
            abort();
        }
    }

    return 0;
}
