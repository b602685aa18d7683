/* What the I/O thread tells the board of a destination: its breaker, its calls.
 * Called by that thread alone. */

#ifndef WORKER_ACCOUNT_H
#define WORKER_ACCOUNT_H

#include "breaker.h"
#include "../pool/board.h"

/* The row is this destination's from now on. */
void worker_account_open(worker_board_destination_t *row, const char *name);

/* How the breaker is at 'now_ms' (monotonic). */
void worker_account_breaker(worker_board_destination_t *row,
    const worker_breaker_t *breaker, uint64_t now_ms);

void worker_account_call(worker_board_destination_t *row, bool good,
    uint64_t took_ms);

#endif
