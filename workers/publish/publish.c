/* Publishing domain events: a batch out of the store, pipelined into Redis. */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "publish.h"
#include "../pool/log.h"

/* Stream key, position, type, event. */
static const char  publish_columns[] =
    "'" WORKER_TOPIC_PREFIX "' || p.name || ':'"
    " || (hashtextextended(e.stream_id::text, 0)"
    "     & 9223372036854775807) % p.partitions,"
    "e.position, e.type, " WORKER_TAIL_EVENT;


/* Every reply is read, so that none is taken for a later command's. */
static bool
publish_replies(worker_redis_t *redis, int n)
{
    bool         good;
    redisReply  *reply;

    for (good = true; n > 0; n--) {
        reply = worker_redis_reply(redis);

        if (reply == NULL) {
            return false;
        }

        if (reply->type == REDIS_REPLY_ERROR) {
            worker_log(WORKER_LOG_WARN, "topics: redis: %s", reply->str);
            good = false;
        }

        freeReplyObject(reply);
    }

    return good;
}


static bool
publish_send(worker_redis_t *redis, const PGresult *rows)
{
    int  i, n;

    n = PQntuples(rows);

    for (i = 0; i < n; i++) {
        if (!worker_redis_append(redis, "XADD %s * id %s type %s event %s",
                                 PQgetvalue(rows, i, 0),
                                 PQgetvalue(rows, i, 1),
                                 PQgetvalue(rows, i, 2),
                                 PQgetvalue(rows, i, 3)))
        {
            return false;
        }
    }

    return publish_replies(redis, n);
}


int
worker_publish(worker_tail_t *tail, worker_pg_t *pg, worker_redis_t *redis)
{
    int        n;
    bool       failed;
    char       next[24];
    PGresult  *rows;

    tail->name = WORKER_TOPICS_NAME;
    rows = worker_tail_next(tail, pg, publish_columns, next, &failed);

    if (rows == NULL) {
        return failed ? TRAVEL_ERROR : 0;
    }

    n = PQntuples(rows);
    failed = !publish_send(redis, rows) || !worker_redis_kept(redis)
             || !worker_tail_move(tail, pg, next, n);
    PQclear(rows);

    if (failed) {
        worker_tail_again(tail);
        return TRAVEL_ERROR;
    }

    return n > 0 ? n : 1;           /* there may be more behind them */
}
