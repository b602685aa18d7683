/*
 * One blocking connection to a Redis, and which of several servers it goes to:
 * the master, wherever it is now.
 */

#ifndef WORKER_CONNECT_H
#define WORKER_CONNECT_H

#include "redis.h"

/* One of a role's servers. */
typedef struct {
    char  text[256];                  /* a host, or a path where */
    int   port;                       /* is 0 */
} worker_address_t;

/* The n-th of a list of addresses, from 0; returns how many there are. */
unsigned worker_redis_address(worker_address_t *ret, const char *list,
    unsigned n);
/* What INFO replication cluster has answered: why a server cannot be used by a
 * role that is no cluster (a literal); NULL: it can. */
const char *worker_redis_unfit(const struct redisReply *info);

typedef struct {
    const char  *user;                /* NULL: the default one */
    const char  *password;            /* NULL: none */
    const char  *name;                /* in CLIENT LIST */
    int          timeout_s;
    bool         any;                 /* a cluster's: any of its servers */
} worker_login_t;

/* Connected and logged in; NULL, and why. */
struct redisContext *worker_connect(const worker_address_t *at,
    const worker_login_t *login, char why[WORKER_WHY_MAX]);
/* To the master among the addresses; likewise. */
struct redisContext *worker_connect_master(const char *list,
    const worker_login_t *login, char why[WORKER_WHY_MAX]);

#endif
