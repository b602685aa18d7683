/* travelctl topic: the streams of domain events, how long and how far. */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "ctl.h"
#include "../publish/publish.h"


/* Entries of all partitions; -1: Redis does not say. */
static long long
topic_length(worker_redis_t *redis, const char *name, int partitions)
{
    int          i;
    long long    n;
    redisReply  *reply;

    for (n = 0, i = 0; i < partitions && n >= 0; i++) {
        reply = worker_redis_command(redis, "XLEN " WORKER_TOPIC_PREFIX
                                     "%s:%d", name,
                             i);
        n = reply != NULL && reply->type == REDIS_REPLY_INTEGER
            ? n + reply->integer : -1;
        freeReplyObject(reply);
    }

    return n;
}


static int
topic_list(PGconn *pg, worker_redis_t *redis)
{
    int        i, rc;
    PGresult  *res;

    res = ctl_query(pg,
        "SELECT p.name, p.partitions, p.retention,"
        "       (SELECT string_agg(t.type, ' ' ORDER BY t.type)"
        "          FROM events.type AS t WHERE t.topic = p.name),"
        "       (SELECT count(*) FROM events.event AS e"
        "          JOIN events.type AS t ON t.type = e.type"
        "         WHERE t.topic = p.name AND e.xid >= coalesce("
        "               (SELECT checkpoint FROM events.publisher"
        "                 WHERE name = 'topics'), '0'))"
        "  FROM events.topic AS p ORDER BY p.name", 0, NULL);
    rc = res != NULL ? CTL_GOOD : CTL_BROKEN;

    for (i = 0; rc == CTL_GOOD && i < PQntuples(res); i++) {
        printf("%-18s %3s  %-8s %8lld %8s  %s\n", PQgetvalue(res, i, 0),
               PQgetvalue(res, i, 1), PQgetvalue(res, i, 2),
               topic_length(redis, PQgetvalue(res, i, 0),
                            atoi(PQgetvalue(res, i, 1))),
               PQgetvalue(res, i, 4), PQgetvalue(res, i, 3));
    }

    PQclear(res);
    return rc;
}


int
travelctl_topic_list(int argc, char **argv)
{
    int             rc;
    PGconn         *pg;
    const char     *config = NULL, *args[CTL_ARGS_MAX + 1];
    worker_redis_t *redis;
    worker_conf_t  *conf;

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "topic list [options]",
                         "Each topic: partitions, retention, entries, events "
                         "that wait, event types.", options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    conf = ctl_conf(config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    redis = pg != NULL ? ctl_redis(conf) : NULL;
    rc = redis != NULL ? topic_list(pg, redis) : CTL_BROKEN;

    worker_redis_close(&redis);
    PQfinish(pg);
    worker_conf_free(conf);
    return rc;
}
