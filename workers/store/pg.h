/*
 * One blocking PostgreSQL session of a worker thread, with prepared
 * statements by text and reconnection.  Not thread-safe: its slot owns it.
 */

#ifndef WORKER_PG_H
#define WORKER_PG_H

#include <libpq-fe.h>

#include "../../common/travel.h"
#include "../../common/consistency.h"
#include "../../common/traceparent.h"

typedef struct worker_pg_s  worker_pg_t;

worker_pg_t *worker_pg_create(const char *dsn, const char *application);
void worker_pg_free(worker_pg_t **ppg);

/* Connects when needed.  TRAVEL_OK or TRAVEL_ERROR (see worker_pg_error). */
int worker_pg_ready(worker_pg_t *pg) TRAVEL_MUST_CHECK;

/* Runs 'sql' prepared (once per connection, by text) with text parameters.
 * Never NULL unless out of memory; check PQresultStatus.  A broken connection
 * is noticed here and made again by the next worker_pg_ready. */
PGresult *worker_pg_exec(worker_pg_t *pg, const char *sql, int n,
    const char *const *params);

/* The same with a length and a format (1: binary) for each parameter. */
PGresult *worker_pg_exec_binary(worker_pg_t *pg, const char *sql, int n,
    const char *const *params, const int *lengths, const int *formats);

/* The span under which statements run from now on; NULL: none.  Borrowed. */
void worker_pg_trace(worker_pg_t *pg, const travel_trace_t *parent);

const char *worker_pg_error(const worker_pg_t *pg);
/* Was the statement done, with rows or without?  NULL was not. */
bool worker_pg_good(const PGresult *res);
/* SQLSTATE of the last failed statement; "08006" when the link broke. */
const char *worker_pg_sqlstate(const worker_pg_t *pg);
/* Did it fail because the server was away, full, going or coming?  Then it was
 * not the statement's fault, nor the job's. */
bool worker_pg_away(const worker_pg_t *pg);

#endif
