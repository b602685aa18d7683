/*
 * GET /metrics in the Prometheus text format (version 0.0.4) and GET /state,
 * the same and what runs as JSON, served by the supervisor from the board;
 * never blocks it.
 */

#ifndef WORKER_METRICS_H
#define WORKER_METRICS_H

#include <poll.h>

#include "board.h"

#define WORKER_METRICS_FDS  17      /* the listener and its connections */

typedef struct worker_metrics_s  worker_metrics_t;

/* At the config's "metrics", which it borrows.  NULL: cannot listen, said in
 * the log. */
worker_metrics_t *worker_metrics_open(const worker_conf_t *conf,
    const worker_board_t *board);
void worker_metrics_close(worker_metrics_t **pmetrics);

/* Fills 'fds' for poll(), returns how many; afterwards hand the same back. */
nfds_t worker_metrics_poll(worker_metrics_t *metrics, struct pollfd *fds);
void worker_metrics_turn(worker_metrics_t *metrics, const struct pollfd *fds,
    nfds_t n);

/* The text itself, malloc'ed; NULL: out of memory. */
char *worker_metrics_text(const worker_board_t *board, size_t *ret_len);

#endif
