/* One worker process, from the fork to its exit code. */

#ifndef WORKER_PROCESS_H
#define WORKER_PROCESS_H

#include "board.h"

#define WORKER_OWNER_MAX  64

typedef struct {
    const worker_conf_t  *conf;
    worker_sheet_t       *sheet;
    unsigned              index;
    const char           *seat;       /* the same in every incarnation */
    char                  owner[WORKER_OWNER_MAX];    /* this one's name */
} worker_process_t;

/* In the child, after the fork.  Does not return. */
void worker_process_main(const worker_process_t *process)
    __attribute__((noreturn));

#endif
