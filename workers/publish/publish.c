/* Publishing domain events: a batch out of the store, pipelined into Redis. */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "publish.h"
#include "../pool/log.h"

#define PUBLISH_BATCH  "500"


/* A result with rows, or NULL. */
static PGresult *
publish_ask(worker_pg_t *pg, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    if (worker_pg_ready(pg) != TRAVEL_OK) {
        return NULL;
    }

    res = worker_pg_exec(pg, sql, n, params);

    if (PQresultStatus(res) == PGRES_TUPLES_OK) {
        return res;
    }

    worker_log(WORKER_LOG_WARN, "topics: %s", worker_pg_error(pg));
    PQclear(res);
    return NULL;
}


/* Where the last publisher was; the first one begins at the first event. */
static bool
publish_begin(worker_publisher_t *publisher, worker_pg_t *pg)
{
    PGresult  *res;

    res = publish_ask(pg, "INSERT INTO events.publisher AS p (name)"
                          " VALUES ('topics') ON CONFLICT (name) DO UPDATE"
                          "    SET updated_at = p.updated_at"
                          " RETURNING checkpoint", 0, NULL);

    if (res == NULL) {
        return false;
    }

    snprintf(publisher->checkpoint, sizeof(publisher->checkpoint), "%s",
             PQgetvalue(res, 0, 0));
    PQclear(res);
    return true;
}


/* Columns: stream key, oldest id to keep, position, type, event. */
static PGresult *
publish_rows(worker_pg_t *pg, const char *from, const char *to)
{
    const char  *params[] = { from, to };

    return publish_ask(pg,
        "SELECT '" WORKER_TOPIC_PREFIX "' || p.name || ':'"
        "       || (hashtextextended(e.stream_id::text, 0)"
        "           & 9223372036854775807) % p.partitions,"
        "       floor(extract(epoch FROM clock_timestamp() - p.retention)"
        "             * 1000)::bigint,"
        "       e.position, e.type,"
        "       json_build_object('id', e.position, 'type', e.type,"
        "           'aggregate', e.stream_type, 'aggregate_id', e.stream_id,"
        "           'version', e.version, 'user_id', e.user_id,"
        "           'trace', e.trace, 'data', e.data,"
        "           'created_at', travel.rfc3339(e.created_at))"
        "  FROM events.tail($1::xid8, $2::xid8) AS e"
        "  JOIN events.type AS t ON t.type = e.type"
        "  JOIN events.topic AS p ON p.name = t.topic"
        " ORDER BY e.position", 2, params);
}


/* Every reply is read, so that none is taken for a later command's. */
static bool
publish_replies(redisContext *redis, int n)
{
    bool         good;
    void        *raw;
    redisReply  *reply;

    for (good = true; n > 0; n--) {
        raw = NULL;

        if (redisGetReply(redis, &raw) != REDIS_OK || raw == NULL) {
            return false;
        }

        reply = raw;

        if (reply->type == REDIS_REPLY_ERROR) {
            worker_log(WORKER_LOG_WARN, "topics: redis: %s", reply->str);
            good = false;
        }

        freeReplyObject(reply);
    }

    return good;
}


static bool
publish_send(redisContext *redis, const PGresult *rows)
{
    int  i, n;

    n = PQntuples(rows);

    for (i = 0; i < n; i++) {
        if (redisAppendCommand(redis, "XADD %s MINID ~ %s * id %s type %s"
                                      " event %s", PQgetvalue(rows, i, 0),
                               PQgetvalue(rows, i, 1), PQgetvalue(rows, i, 2),
                               PQgetvalue(rows, i, 3), PQgetvalue(rows, i, 4))
            != REDIS_OK
            || redisAppendCommand(redis, "XTRIM %s MAXLEN ~ %d",
                                  PQgetvalue(rows, i, 0), WORKER_TOPIC_MAX)
               != REDIS_OK)
        {
            return false;
        }
    }

    return publish_replies(redis, 2 * n);
}


static bool
publish_move(worker_publisher_t *publisher, worker_pg_t *pg, const char *to,
    int n)
{
    char         number[16];
    PGresult    *res;
    const char  *params[] = { to, number };

    snprintf(number, sizeof(number), "%d", n);
    res = publish_ask(pg, "UPDATE events.publisher"
                          "   SET checkpoint = $1::xid8,"
                          "       published = published + $2::bigint,"
                          "       updated_at = now()"
                          " WHERE name = 'topics' RETURNING checkpoint", 2,
                      params);

    if (res == NULL) {
        return false;
    }

    PQclear(res);
    snprintf(publisher->checkpoint, sizeof(publisher->checkpoint), "%s", to);
    return true;
}


int
worker_publish(worker_publisher_t *publisher, worker_pg_t *pg,
    redisContext *redis)
{
    int          n;
    bool         good;
    PGresult    *next, *rows;
    const char  *params[1];

    if (publisher->checkpoint[0] == '\0' && !publish_begin(publisher, pg)) {
        return TRAVEL_ERROR;
    }

    params[0] = publisher->checkpoint;
    next = publish_ask(pg,
        "SELECT h, EXISTS (SELECT FROM events.event"
        "                   WHERE xid >= $1::xid8 AND xid < h)"
        "  FROM events.horizon($1::xid8, " PUBLISH_BATCH ") AS h", 1, params);

    if (next == NULL) {
        publisher->checkpoint[0] = '\0';
        return TRAVEL_ERROR;
    }

    if (*PQgetvalue(next, 0, 1) != 't') {
        PQclear(next);
        return 0;
    }

    rows = publish_rows(pg, publisher->checkpoint, PQgetvalue(next, 0, 0));
    n = rows != NULL ? PQntuples(rows) : 0;
    good = rows != NULL && publish_send(redis, rows)
           && publish_move(publisher, pg, PQgetvalue(next, 0, 0), n);
    PQclear(rows);
    PQclear(next);

    if (!good) {
        publisher->checkpoint[0] = '\0';
        return TRAVEL_ERROR;
    }

    return n > 0 ? n : 1;           /* there may be more behind them */
}
