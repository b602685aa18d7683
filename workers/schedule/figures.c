/*
 * Figures from the databases.  Each query goes by an index of what is open, so
 * that it costs the same however much is done.
 */

#include <stdio.h>
#include <stdlib.h>

#include "figures.h"
#include "../pool/log.h"

/* Columns: name with labels, value.  Label values are ours or go by a CHECK,
 * but for names of schedules and jobs, which format(%s) takes from
 * workers.conf; what would end a label is taken out of them. */
#define FIGURES_LABEL(value)  "translate(" value ", E'\"\\\\\\n', '')"

static const char  figures_sql[] =
    "SELECT format('travel_sagas{state=\"%s\"}', st.state), count(r.id)"
    "  FROM unnest(ARRAY['running', 'undoing', 'stuck']) AS st(state)"
    "  LEFT JOIN jobs.saga_run AS r ON r.state = st.state"
    "   AND r.state IN ('running', 'undoing', 'stuck') GROUP BY st.state"
    " UNION ALL "
    "SELECT format('travel_saga_oldest_seconds{state=\"%s\"}', state),"
    "       extract(epoch FROM clock_timestamp() - min(updated_at))"
    "  FROM jobs.saga_run WHERE state IN ('running', 'undoing', 'stuck')"
    " GROUP BY state"
    " UNION ALL "
    "SELECT format('travel_schedule_' || f.name || '{schedule=\"%s\"}', "
            FIGURES_LABEL("s.name") "), f.value"
    "  FROM jobs.schedule AS s, LATERAL (VALUES"
    "       ('last_fire_timestamp_seconds', extract(epoch FROM s.last_fire)),"
    "       ('fired_total', s.fired), ('skipped_total', s.skipped),"
    "       ('paused', s.paused::int)) AS f(name, value)"
    " UNION ALL "
    "SELECT format('travel_paused_since_timestamp_seconds{kind=\"%s\",name=\"%s\"}', kind, "
            FIGURES_LABEL("name") "), extract(epoch FROM since)"
    "  FROM jobs.paused"
    " UNION ALL "
    "SELECT format('travel_webhooks{state=\"%s\"}', state), count(*)"
    "  FROM jobs.webhook GROUP BY state"
    " UNION ALL "
    "SELECT 'travel_webhook_pending', count(*)"
    "  FROM jobs.webhook_delivery WHERE state = 'pending'"
    " UNION ALL "
    "SELECT 'travel_webhook_oldest_pending_seconds', coalesce(extract(epoch"
    "       FROM clock_timestamp() - min(created_at)), 0)"
    "  FROM jobs.webhook_delivery WHERE state = 'pending'"
    " UNION ALL "
    "SELECT format('travel_outbox_unsent{kind=\"%s\"}', k.kind), count(o.id)"
    "  FROM unnest(ARRAY['job', 'live']) AS k(kind)"
    "  LEFT JOIN jobs.outbox AS o ON o.kind = k.kind AND o.sent_at IS NULL"
    " GROUP BY k.kind"
    " UNION ALL "
    "SELECT 'travel_outbox_oldest_seconds', coalesce(extract(epoch"
    "       FROM clock_timestamp() - min(created_at)), 0)"
    "  FROM jobs.outbox WHERE sent_at IS NULL"
    " UNION ALL "
    "SELECT format('travel_notices{state=\"%s\"}', st.state), count(n.n)"
    "  FROM unnest(ARRAY['waiting', 'taken']) AS st(state)"
    "  LEFT JOIN jobs.notice AS n ON n.state = st.state"
    "   AND n.state IN ('waiting', 'taken') GROUP BY st.state"
    " UNION ALL "
    "SELECT format('travel_publisher_' || f.name || '{publisher=\"%s\"}',"
    "              p.name), f.value"
    "  FROM events.publisher AS p, LATERAL (VALUES"
    "       ('published_total', p.published::numeric),"
    "       ('moved_timestamp_seconds', extract(epoch FROM p.updated_at)))"
    "       AS f(name, value)";

static const char  figures_warehouse[] =
    "SELECT format('travel_etl_' || f.name || '{job=\"%s\"}', "
            FIGURES_LABEL("s.job_name") "), f.value"
    "  FROM analytics.etl_job_status AS s, LATERAL (VALUES"
    "       ('last_sync_timestamp_seconds', extract(epoch FROM s.last_sync)),"
    "       ('rows_total', s.rows::numeric),"
    "       ('runs_total', s.runs::numeric)) AS f(name, value)"
    " WHERE isfinite(s.last_sync) OR f.name <> 'last_sync_timestamp_seconds'";


static PGresult *
figures_ask(worker_pg_t *pg, const char *sql)
{
    PGresult  *res;

    if (worker_pg_ready(pg) != TRAVEL_OK) {
        return NULL;
    }

    res = worker_pg_exec(pg, sql, 0, (const char *const []) { NULL });

    if (PQresultStatus(res) == PGRES_TUPLES_OK) {
        return res;
    }

    worker_log(WORKER_LOG_WARN, "figures: %s", worker_pg_error(pg));
    PQclear(res);
    return NULL;
}


/* From row 'n' on; how far it came.  A reader may be half-way through a name:
 * a row is out of use while its name changes. */
static size_t
figures_put(worker_sheet_t *sheet, size_t n, const PGresult *res)
{
    int                     i;
    const char             *name;
    worker_board_figure_t  *row;

    for (i = 0; i < PQntuples(res) && n < WORKER_BOARD_FIGURES; i++) {
        name = PQgetvalue(res, i, 0);
        row = &sheet->figures[n];

        if (strlen(name) >= sizeof(row->name)) {
            continue;
        }

        if (!atomic_load(&row->used) || strcmp(row->name, name) != 0) {
            atomic_store(&row->used, false);
            strcpy(row->name, name);
        }

        atomic_store(&row->value, strtod(PQgetvalue(res, i, 1), NULL));
        atomic_store(&row->used, true);
        n++;
    }

    return n;
}


void
worker_figures_count(worker_sheet_t *sheet, worker_pg_t *pg,
    worker_pg_t *warehouse)
{
    size_t     n;
    PGresult  *res, *etl;

    res = figures_ask(pg, figures_sql);

    if (res == NULL) {
        return;                     /* as they were */
    }

    n = figures_put(sheet, 0, res);
    etl = warehouse != NULL ? figures_ask(warehouse, figures_warehouse) : NULL;

    if (etl != NULL) {
        n = figures_put(sheet, n, etl);
    }

    for ( ; n < WORKER_BOARD_FIGURES; n++) {
        atomic_store(&sheet->figures[n].used, false);
    }

    PQclear(res);
    PQclear(etl);
}


void
worker_figures_clear(worker_sheet_t *sheet)
{
    size_t  i;

    for (i = 0; i < WORKER_BOARD_FIGURES; i++) {
        atomic_store(&sheet->figures[i].used, false);
    }
}
