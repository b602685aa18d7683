/*
 * A client of the queue role for threads that may wait: of its master, or of
 * the masters of a cluster, where each command goes to whoever has its key.
 *
 * One thread at a time owns it.  What is broken stays broken: its owner closes
 * it and opens another when it tries again.
 */

#ifndef WORKER_REDIS_H
#define WORKER_REDIS_H

#include "../pool/conf.h"

struct redisContext;
struct redisReply;

#define WORKER_WHY_MAX  256

typedef struct worker_redis_s  worker_redis_t;

/* NULL, and why. */
worker_redis_t *worker_redis_open(const worker_conf_t *conf, const char *name,
    int timeout_s, char why[WORKER_WHY_MAX]);
/* NULL: not now. */
worker_redis_t *worker_redis_connect(const worker_conf_t *conf,
    const char *name, int timeout_s);
/* None (NULL) may be closed, too. */
void worker_redis_close(worker_redis_t **predis);

/* Does a server say that it is a replica?  It keeps its connections when it
 * becomes one. */
bool worker_redis_readonly(const struct redisReply *reply);

/* Why it is broken; NULL: it is not. */
const char *worker_redis_error(const worker_redis_t *redis);

/* As redisCommand() and redisCommandArgv(); NULL: it is broken.  A command that
 * a server of a cluster has redirected was followed. */
struct redisReply *worker_redis_command(worker_redis_t *redis,
    const char *format, ...);
struct redisReply *worker_redis_argv(worker_redis_t *redis, int argc,
    const char **argv, const size_t *argvlen);

/* Many in one write: the replies come in the order of the commands, whoever
 * gave them.  False, NULL: it is broken. */
bool worker_redis_append(worker_redis_t *redis, const char *format, ...);
bool worker_redis_append_argv(worker_redis_t *redis, int argc,
    const char **argv, const size_t *argvlen);
struct redisReply *worker_redis_reply(worker_redis_t *redis);
/* Writes them now, not when the first reply is asked for. */
void worker_redis_flush(worker_redis_t *redis);

/* Has the server keep a script, so that its SHA does for it; nothing may be
 * outstanding.  One at a time, and none in a cluster, where it would have to be
 * with each master. */
void worker_redis_keep_script(worker_redis_t *redis, travel_str_t text);
/* Its SHA; NULL: it is not kept. */
const char *worker_redis_script(const worker_redis_t *redis,
    travel_str_t text);
/* The server has said that it has it no more. */
void worker_redis_script_gone(worker_redis_t *redis);

/* Do as many replicas as workers.conf asks for ("acks") have all that was
 * written so far?  True when it asks for none. */
bool worker_redis_kept(worker_redis_t *redis);

/* A connection to the cache role; NULL: not now, or there is none. */
struct redisContext *worker_redis_cache(const worker_conf_t *conf,
    const char *name, int timeout_s);

#endif
