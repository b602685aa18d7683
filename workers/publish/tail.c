/* A publisher's way along the event store; the contract is in the header. */

#include <stdio.h>
#include <stdlib.h>

#include "tail.h"
#include "../pool/log.h"

#define TAIL_BATCH  "500"


PGresult *
worker_tail_ask(const worker_tail_t *tail, worker_pg_t *pg, const char *sql,
    int n, const char *const *params)
{
    PGresult  *res;

    if (worker_pg_ready(pg) != TRAVEL_OK) {
        return NULL;
    }

    res = worker_pg_exec(pg, sql, n, params);

    if (PQresultStatus(res) == PGRES_TUPLES_OK) {
        return res;
    }

    worker_log(WORKER_LOG_WARN, "%s: %s", tail->name, worker_pg_error(pg));
    PQclear(res);
    return NULL;
}


/* Where the last publisher was; the first one begins at the first event. */
static bool
tail_begin(worker_tail_t *tail, worker_pg_t *pg)
{
    PGresult    *res;
    const char  *params[] = { tail->name };

    res = worker_tail_ask(tail, pg,
        "INSERT INTO events.publisher AS p (name) VALUES ($1)"
        " ON CONFLICT (name) DO UPDATE SET updated_at = p.updated_at"
        " RETURNING checkpoint", 1, params);

    if (res == NULL) {
        return false;
    }

    snprintf(tail->checkpoint, sizeof(tail->checkpoint), "%s",
             PQgetvalue(res, 0, 0));
    PQclear(res);
    return true;
}


/* True: something waits before *ret_next. */
static bool
tail_waits(worker_tail_t *tail, worker_pg_t *pg, char ret_next[24],
    bool *ret_failed)
{
    bool         waits;
    PGresult    *res;
    const char  *params[] = { tail->checkpoint };

    res = worker_tail_ask(tail, pg,
        "SELECT h, EXISTS (SELECT FROM events.event"
        "                   WHERE xid >= $1::xid8 AND xid < h)"
        "  FROM events.horizon($1::xid8, " TAIL_BATCH ") AS h", 1, params);

    if (res == NULL) {
        *ret_failed = true;
        return false;
    }

    waits = *PQgetvalue(res, 0, 1) == 't';
    snprintf(ret_next, 24, "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
    return waits;
}


PGresult *
worker_tail_next(worker_tail_t *tail, worker_pg_t *pg, const char *columns,
    char ret_next[24], bool *ret_failed)
{
    char         sql[2048];
    PGresult    *rows;
    const char  *params[] = { tail->checkpoint, ret_next };

    *ret_failed = false;
    rows = NULL;
    snprintf(sql, sizeof(sql), "SELECT %s"
             "  FROM events.tail($1::xid8, $2::xid8) AS e"
             "  JOIN events.type AS t ON t.type = e.type"
             "  JOIN events.topic AS p ON p.name = t.topic"
             " ORDER BY e.position", columns);

    if (tail->checkpoint[0] == '\0' && !tail_begin(tail, pg)) {
        *ret_failed = true;

    } else if (tail_waits(tail, pg, ret_next, ret_failed)) {
        rows = worker_tail_ask(tail, pg, sql, 2, params);
        *ret_failed = rows == NULL;
    }

    if (*ret_failed) {
        worker_tail_again(tail);
    }

    return rows;
}


bool
worker_tail_move(worker_tail_t *tail, worker_pg_t *pg, const char *next, int n)
{
    char         number[16];
    PGresult    *res;
    const char  *params[] = { next, number, tail->name };

    snprintf(number, sizeof(number), "%d", n);
    res = worker_tail_ask(tail, pg,
        "UPDATE events.publisher SET checkpoint = $1::xid8,"
        "       published = published + $2::bigint, updated_at = now()"
        " WHERE name = $3 RETURNING checkpoint", 3, params);

    if (res == NULL) {
        return false;
    }

    PQclear(res);
    snprintf(tail->checkpoint, sizeof(tail->checkpoint), "%s", next);
    return true;
}


void
worker_tail_again(worker_tail_t *tail)
{
    tail->checkpoint[0] = '\0';
}
