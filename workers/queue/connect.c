/*
 * Connections to Redis for threads that may wait, and which of several servers
 * they go to: the master, wherever it is now.
 *
 * A list of addresses, apart by spaces or commas, names all servers of a role.
 * They are tried in turn; one that says it is a replica is not it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <hiredis/hiredis.h>

#include "connect.h"
#include "../pool/log.h"

#define CONNECT_APART  " ,"


unsigned
worker_redis_address(worker_address_t *ret, const char *list, unsigned n)
{
    char        *colon;
    size_t       len;
    unsigned     count;
    const char  *p;

    count = 0;

    for (p = list + strspn(list, CONNECT_APART); *p != '\0';
         p += len, p += strspn(p, CONNECT_APART))
    {
        len = strcspn(p, CONNECT_APART);

        if (count++ != n || len >= sizeof(ret->text)) {
            continue;
        }

        memcpy(ret->text, p, len);
        ret->text[len] = '\0';
    }

    if (n >= count) {
        return count;
    }

    ret->port = 0;

    if (strncmp(ret->text, "unix:", 5) == 0) {
        memmove(ret->text, ret->text + 5, strlen(ret->text) - 4);

    } else if (strchr(ret->text, '/') == NULL
               && (colon = strrchr(ret->text, ':')) != NULL)
    {
        *colon = '\0';
        ret->port = atoi(colon + 1);
    }

    return count;
}


const char *
worker_redis_unfit(const redisReply *info)
{
    if (info->type != REDIS_REPLY_STRING) {
        return NULL;
    }

    if (strstr(info->str, "cluster_enabled:1") != NULL) {
        return "it is a node of a Redis Cluster: \"redis queue\" of "
               "workers.conf needs cluster = true, and the cache can be none";
    }

    return strstr(info->str, "role:master") == NULL ? "it is a replica" : NULL;
}


/* False: the reply is an error, or there is none; 'why' says so. */
static bool
connect_good(redisContext *rc, redisReply *reply, char why[WORKER_WHY_MAX])
{
    bool  good;

    good = reply != NULL && reply->type != REDIS_REPLY_ERROR;

    if (!good) {
        snprintf(why, WORKER_WHY_MAX, "%s", reply != NULL ? reply->str
                                                          : rc->errstr);
    }

    freeReplyObject(reply);
    return good;
}


static bool
connect_login(redisContext *rc, const worker_login_t *login,
    char why[WORKER_WHY_MAX])
{
    redisReply  *reply;
    const char  *unfit;

    if (login->password != NULL
        && !connect_good(rc, redisCommand(rc, "AUTH %s %s", login->user != NULL
                                          ? login->user : "default",
                                          login->password), why))
    {
        return false;
    }

    if (!connect_good(rc, redisCommand(rc, "CLIENT SETNAME %s", login->name),
                      why))
    {
        return false;
    }

    if (login->any) {
        return true;
    }

    reply = redisCommand(rc, "INFO replication cluster");
    unfit = reply != NULL ? worker_redis_unfit(reply) : NULL;
    freeReplyObject(reply);

    if (unfit != NULL) {
        snprintf(why, WORKER_WHY_MAX, "%s", unfit);
    }

    return unfit == NULL;
}


redisContext *
worker_connect(const worker_address_t *at, const worker_login_t *login,
    char why[WORKER_WHY_MAX])
{
    redisContext    *rc;
    struct timeval   tv = { login->timeout_s, 0 };

    rc = at->port > 0 ? redisConnectWithTimeout(at->text, at->port, tv)
                      : redisConnectUnixWithTimeout(at->text, tv);

    if (rc == NULL) {
        snprintf(why, WORKER_WHY_MAX, "out of memory");
        return NULL;
    }

    if (rc->err || redisSetTimeout(rc, tv) != REDIS_OK) {
        snprintf(why, WORKER_WHY_MAX, "%s", rc->errstr);

    } else if (connect_login(rc, login, why)) {
        return rc;
    }

    redisFree(rc);
    return NULL;
}


redisContext *
worker_connect_master(const char *list, const worker_login_t *login,
    char why[WORKER_WHY_MAX])
{
    unsigned           n, count;
    redisContext      *rc;
    worker_address_t   at;

    snprintf(why, WORKER_WHY_MAX, "no address");
    rc = NULL;
    n = 0;

    do {
        count = worker_redis_address(&at, list, n);

        if (n < count) {
            rc = worker_connect(&at, login, why);
        }
    } while (rc == NULL && ++n < count);

    return rc;
}


redisContext *
worker_redis_cache(const worker_conf_t *conf, const char *name, int timeout_s)
{
    char            why[WORKER_WHY_MAX];
    redisContext   *rc;
    worker_login_t  login = { conf->cache_user, conf->cache_password, name,
                              timeout_s, false };

    if (conf->cache_socket == NULL) {
        return NULL;
    }

    rc = worker_connect_master(conf->cache_socket, &login, why);

    if (rc == NULL) {
        worker_log(WORKER_LOG_DEBUG, "redis %s: %s", name, why);
    }

    return rc;
}
