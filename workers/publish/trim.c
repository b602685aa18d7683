/*
 * Trimming the topics: what is past its retention or above a partition's bound
 * goes, by whole blocks of the stream, but nothing from the lowest entry on
 * that a group of consumers has not acknowledged.  The script sees groups and
 * entries at one moment, so a group that is made meanwhile loses nothing.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "publish.h"
#include "../pool/log.h"

#define TRIM_SAY_S  60            /* between warnings of a group that lags */

/*
 * KEYS stream  ARGV id before which entries are old, most entries
 * → the group that kept some from going, or "".
 *
 * A group has acknowledged what is before its first pending entry; if it has
 * none, all that it was given.
 */
static const char  trim_script[] =
    "local function before(a, b)\n"
    "  local am, as = a:match('(%d+)-(%d+)')\n"
    "  local bm, bs = b:match('(%d+)-(%d+)')\n"
    "  am, bm = tonumber(am), tonumber(bm)\n"
    "  return am < bm or (am == bm and tonumber(as) < tonumber(bs))\n"
    "end\n"
    "local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])\n"
    "if groups.err then return '' end\n"
    "local floor, slow = nil, ''\n"
    "for _, g in ipairs(groups) do\n"
    "  local t = {}\n"
    "  for i = 1, #g, 2 do t[g[i]] = g[i + 1] end\n"
    "  local at\n"
    "  if t.pending > 0 then\n"
    "    at = redis.call('XPENDING', KEYS[1], t.name)[2]\n"
    "  else\n"
    "    local ms, n = t['last-delivered-id']:match('(%d+)-(%d+)')\n"
    "    at = ms .. '-' .. string.format('%.0f', n + 1)\n"
    "  end\n"
    "  if not floor or before(at, floor) then floor, slow = at, t.name end\n"
    "end\n"
    "local old = ARGV[1] .. '-0'\n"
    "local held = floor and before(floor, old)\n"
    "redis.call('XTRIM', KEYS[1], 'MINID', '~', held and floor or old,\n"
    "           'LIMIT', 0)\n"
    "if held then\n"
    "  local first = redis.call('XRANGE', KEYS[1], floor, '(' .. old,\n"
    "                           'COUNT', 1)\n"
    "  held = #first > 0\n"
    "end\n"
    "local over = redis.call('XLEN', KEYS[1]) - ARGV[2]\n"
    "if over > 0 and floor then\n"
    "  local gone = redis.call('XTRIM', KEYS[1], 'MINID', '~', floor,\n"
    "                          'LIMIT', over)\n"
    "  held = held or over - gone > 100\n"
    "elseif over > 0 then\n"
    "  redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[2], 'LIMIT', 0)\n"
    "end\n"
    "return held and slow or ''\n";


/* How many partitions the rows have; -1: it broke on the way. */
static int
trim_send(worker_redis_t *redis, const PGresult *rows)
{
    int  i, k, n;

    for (i = 0, n = 0; i < PQntuples(rows); i++) {
        for (k = 0; k < atoi(PQgetvalue(rows, i, 1)); k++, n++) {
            if (!worker_redis_append(redis, "EVAL %s 1 " WORKER_TOPIC_PREFIX
                                            "%s:%d %s %d", trim_script,
                                     PQgetvalue(rows, i, 0), k,
                                     PQgetvalue(rows, i, 2),
                                     WORKER_TOPIC_MAX))
            {
                return -1;
            }
        }
    }

    return n;
}


/* False: Redis is gone.  The last group that kept something is left in
 * 'slow'. */
static bool
trim_replies(worker_redis_t *redis, int n, char slow[64])
{
    redisReply  *reply;

    for (; n > 0; n--) {
        reply = worker_redis_reply(redis);

        if (reply == NULL) {
            return false;
        }

        if (reply->type == REDIS_REPLY_ERROR) {
            worker_log(WORKER_LOG_WARN, "topics: redis: %s", reply->str);

        } else if (reply->type == REDIS_REPLY_STRING && reply->len > 0) {
            snprintf(slow, 64, "%s", reply->str);
        }

        freeReplyObject(reply);
    }

    return true;
}


bool
worker_topics_trim(worker_tail_t *tail, worker_pg_t *pg, worker_redis_t *redis)
{
    int        n;
    char       slow[64] = "";
    time_t     now;
    PGresult  *rows;

    tail->name = WORKER_TOPICS_NAME;
    rows = worker_tail_ask(tail, pg,
        "SELECT name, partitions,"
        "       floor(extract(epoch FROM clock_timestamp() - retention)"
        "             * 1000)::bigint FROM events.topic", 0, NULL);

    if (rows == NULL) {
        return true;
    }

    n = trim_send(redis, rows);
    PQclear(rows);

    if (n < 0 || !trim_replies(redis, n, slow)) {
        return false;
    }

    now = time(NULL);

    if (slow[0] != '\0' && now >= tail->said + TRIM_SAY_S) {
        tail->said = now;
        worker_log(WORKER_LOG_WARN, "topics: the group \"%s\" has not "
                   "acknowledged what is past its time: that is kept; "
                   "XGROUP DESTROY it if nobody follows by it any more", slow);
    }

    return true;
}
