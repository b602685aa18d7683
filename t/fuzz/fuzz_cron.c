/* Cron expressions: the next time is later, and on the minute; time zone
 * files: offsets and times in order. */

#include <stdlib.h>

#include "../../common/cron.h"
#include "../../common/tzif.h"

#define ROOM   128
#define START  1700000000
#define YEAR   (366LL * 86400)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                 i, n;
    int64_t                at, next;
    const char            *why;
    travel_str_t           text = { (const char *) data, size };
    travel_cron_t          cron;
    travel_zone_t          zone = { NULL, 0 };
    travel_zone_change_t   changes[ROOM];

    if (travel_cron_parse(&cron, text, &why) == TRAVEL_OK) {
        for (at = START, i = 0; i < 3; i++, at = next) {
            if (travel_cron_next(&cron, &zone, at, &next) != TRAVEL_OK) {
                break;
            }

            if (next <= at || next % 60 != 0) {
                abort();
            }
        }
    }

    if (travel_tzif_read(changes, ROOM, &n, text, START, START + 9 * YEAR)
        != TRAVEL_OK)
    {
        return 0;
    }

    if (n == 0) {
        abort();
    }

    for (i = 1; i < n; i++) {
        if (changes[i].from <= changes[i - 1].from
            || changes[i].from > START + 9 * YEAR)
        {
            abort();
        }
    }

    zone = (travel_zone_t) { changes, n };

    if (travel_cron_parse(&cron, TRAVEL_STR("30 2 * * *"), &why) != TRAVEL_OK
        || travel_cron_next(&cron, &zone, START, &next) != TRAVEL_OK
        || next <= START)
    {
        abort();
    }

    return 0;
}
