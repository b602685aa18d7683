/* What the I/O thread tells the board of a destination. */

#include <stdio.h>
#include <time.h>

#include "account.h"
#include "../../common/breaker_state.h"


void
worker_account_open(worker_board_destination_t *row, const char *name)
{
    memset(row, 0, sizeof(*row));
    snprintf(row->name, sizeof(row->name), "%s", name);
    atomic_store(&row->used, true);
}


static int64_t
account_unix_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


void
worker_account_breaker(worker_board_destination_t *row,
    const worker_breaker_t *breaker, uint64_t now_ms)
{
    int  state;

    state = breaker->state == WORKER_BREAKER_OPEN ? TRAVEL_BREAKER_OPEN
            : breaker->state == WORKER_BREAKER_HALF_OPEN
              ? TRAVEL_BREAKER_HALF_OPEN : TRAVEL_BREAKER_CLOSED;

    if (state == atomic_load(&row->state)) {
        return;
    }

    if (state == TRAVEL_BREAKER_OPEN) {
        atomic_store(&row->until_ms, account_unix_ms()
                     + (int64_t) (breaker->until_ms - now_ms));
        worker_board_add(&row->opened, 1);
    }

    atomic_store(&row->state, state);
    worker_board_add(&row->changes, 1);
}


void
worker_account_call(worker_board_destination_t *row, bool good,
    uint64_t took_ms)
{
    size_t  i;
    double  s;

    s = (double) took_ms / 1e3;

    for (i = 0; i < WORKER_BOARD_BUCKETS - 1; i++) {
        if (s <= worker_board_bounds[i]) {
            break;
        }
    }

    worker_board_add(good ? &row->good : &row->bad, 1);
    worker_board_add(&row->took[i], 1);
    worker_board_add(&row->took_us, took_ms * 1000);
}
