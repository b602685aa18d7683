/* Delivery status notifications: what is told of a recipient is whole. */

#include <stdint.h>
#include <stdlib.h>

#include "dsn.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t               i;
    static travel_dsn_t  dsn;

    if (travel_dsn_parse(&dsn, (travel_str_t) { (const char *) data, n })
        != TRAVEL_OK)
    {
        return 0;
    }

    if (dsn.n == 0 || dsn.n > TRAVEL_DSN_RECIPIENTS
        || strlen(dsn.message_id) >= sizeof(dsn.message_id))
    {
        abort();
    }

    for (i = 0; i < dsn.n; i++) {
        if (strchr(dsn.recipients[i].address, '@') == NULL
            || strlen(dsn.recipients[i].why) >= sizeof(dsn.recipients[i].why)
            || (dsn.recipients[i].bounce > TRAVEL_SMTP_SOFT
                && dsn.recipients[i].status.class != 5))
        {
            abort();
        }
    }

    return 0;
}
