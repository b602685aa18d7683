/* What the files that make the metrics' text share. */

#ifndef WORKER_METRICS_PARTS_H
#define WORKER_METRICS_PARTS_H

#include <stdio.h>

#include "board.h"

uint64_t worker_metrics_load(const _Atomic uint64_t *v);
void worker_metrics_head(FILE *f, const char *name, const char *type,
    const char *help);

/* metrics_out.c: destinations of calls, their breakers; what the leader of the
 * schedules counted in the database */
void worker_metrics_out(FILE *f, const worker_board_t *board);

/* metrics_state.c: all of it as JSON, malloc'ed; NULL: out of memory */
char *worker_metrics_state(const worker_conf_t *conf,
    const worker_board_t *board);

/* metrics_pool.c: how large the pool is, what was recycled */
void worker_metrics_pool(FILE *f, const worker_board_t *board);

#endif
