/* Tells the edge how this process's circuit breakers are: from its sheet, as
 * fields of one hash (common/breaker_state.h). */

#include <stdio.h>

#include "breakers.h"
#include "../../common/breaker_state.h"


bool
worker_breakers_command(worker_breakers_t *ret_command,
    const worker_sheet_t *sheet, const char *seat, int64_t now_ms)
{
    int                                 n;
    size_t                              i;
    const worker_board_destination_t   *to;

    n = 0;
    ret_command->argv[n++] = "HSET";
    ret_command->argv[n++] = TRAVEL_KEY_BREAKERS;

    for (i = 0; i < WORKER_BOARD_DESTINATIONS; i++) {
        to = &sheet->destinations[i];

        if (!atomic_load(&to->used)) {
            break;
        }

        snprintf(ret_command->text[i][0], sizeof(ret_command->text[i][0]),
                 "%.47s %.200s", to->name, seat);
        (void) travel_breaker_format(ret_command->text[i][1],
                   (travel_breaker_state_e) atomic_load(&to->state),
                   (uint64_t) atomic_load(&to->until_ms), (uint64_t) now_ms);
        ret_command->argv[n++] = ret_command->text[i][0];
        ret_command->argv[n++] = ret_command->text[i][1];
    }

    ret_command->argc = n;
    return n > 2;
}


bool
worker_breakers_changed(const worker_sheet_t *sheet, uint64_t *memory)
{
    size_t    i;
    uint64_t  sum;

    sum = 0;

    for (i = 0; i < WORKER_BOARD_DESTINATIONS; i++) {
        if (atomic_load(&sheet->destinations[i].used)) {
            sum += 1 + atomic_load(&sheet->destinations[i].changes);
        }
    }

    if (sum == *memory) {
        return false;
    }

    *memory = sum;
    return true;
}
