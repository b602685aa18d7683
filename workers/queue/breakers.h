/* Tells the edge how this process's circuit breakers are. */

#ifndef WORKER_BREAKERS_H
#define WORKER_BREAKERS_H

#include "../pool/board.h"

#define WORKER_BREAKERS_ARGS  (2 + 2 * WORKER_BOARD_DESTINATIONS)

typedef struct {
    const char  *argv[WORKER_BREAKERS_ARGS];    /* HSET ... */
    int          argc;
    char         text[WORKER_BOARD_DESTINATIONS][2][256];
} worker_breakers_t;

/* The command; false: there is nothing to tell. */
bool worker_breakers_command(worker_breakers_t *ret_command,
    const worker_sheet_t *sheet, const char *seat, int64_t now_ms);

/* True: something is not what it was when this was last true; 'memory' is the
 * caller's, zero at first. */
bool worker_breakers_changed(const worker_sheet_t *sheet, uint64_t *memory);

#endif
