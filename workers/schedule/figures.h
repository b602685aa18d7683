/*
 * What the databases know and Prometheus wants to: sagas, schedules, webhooks,
 * the outbox, batches of messages, publishers, ETL.  Counted now and then by
 * who leads the schedules, put on its process's sheet.
 */

#ifndef WORKER_FIGURES_H
#define WORKER_FIGURES_H

#include "../pool/board.h"
#include "../store/pg.h"

/* 'warehouse' may be NULL.  Families: travel_<name>, see pool/metrics_out.c. */
void worker_figures_count(worker_sheet_t *sheet, worker_pg_t *pg,
    worker_pg_t *warehouse);

/* Nothing is known any more: another one leads. */
void worker_figures_clear(worker_sheet_t *sheet);

#endif
