/*
 * Redis for threads that may wait.
 *
 * Without a cluster there is one server and nothing is remembered of what was
 * sent.  With one, 'sent' keeps each command until its reply is taken: its
 * text, for the case that it must be asked again elsewhere, and its reply, for
 * the case that it had to be read before its turn.  Replies of one connection
 * come in the order of its commands, so a server is asked again only after all
 * that it still owes has been read.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "connect.h"
#include "redis.h"
#include "../pool/log.h"
#include "../../common/cluster.h"

#define REDIS_REDIRECTIONS  5
#define REDIS_WAIT_MS       "1000"

typedef struct {
    travel_cluster_node_t   at;
    redisContext           *rc;         /* NULL: not connected yet */
    bool                    written;    /* since replicas were asked */
} redis_server_t;

typedef struct {
    size_t                  server;
    char                   *text;
    size_t                  len;
    redisReply             *reply;      /* read before its turn, or NULL */
} redis_sent_t;

struct worker_redis_s {
    const worker_conf_t    *conf;
    worker_login_t          login;
    char                    error[WORKER_WHY_MAX];  /* "": not broken */

    redis_server_t         *servers;    /* the first is the only one */
    size_t                  nservers;

    const char             *script;     /* the one that is kept, and its SHA */
    char                    sha[41];

    travel_cluster_map_t   *map;        /* NULL: no cluster; so below */
    bool                    stale;      /* it was told that a slot has moved */
    redis_sent_t           *sent;
    size_t                  head;
    size_t                  count;
    size_t                  room;
};


static void
redis_break(worker_redis_t *redis, const char *why)
{
    if (redis->error[0] == '\0') {
        snprintf(redis->error, sizeof(redis->error), "%s", why);
    }
}


const char *
worker_redis_error(const worker_redis_t *redis)
{
    return redis->error[0] ? redis->error : NULL;
}


/* --- servers -------------------------------------------------------------- */

/* Its place; servers are kept for good, there are few. */
static size_t
redis_server(worker_redis_t *redis, const travel_cluster_node_t *at)
{
    size_t           i;
    redis_server_t  *more;

    for (i = 0; i < redis->nservers; i++) {
        if (travel_cluster_node_eq(&redis->servers[i].at, at)) {
            return i;
        }
    }

    more = realloc(redis->servers, (i + 1) * sizeof(redis_server_t));

    if (more == NULL) {
        redis_break(redis, "out of memory");
        return 0;
    }

    redis->servers = more;
    redis->servers[i] = (redis_server_t) { .at = *at };

    return redis->nservers++;
}


static redisContext *
redis_connection(worker_redis_t *redis, size_t i)
{
    char              why[WORKER_WHY_MAX];
    redis_server_t   *server;
    worker_address_t  at;

    server = &redis->servers[i];

    if (server->rc == NULL) {
        snprintf(at.text, sizeof(at.text), "%s", server->at.host);
        at.port = server->at.port;
        server->rc = worker_connect(&at, &redis->login, why);
    }

    if (server->rc == NULL) {
        redis_break(redis, why);
    }

    return server->rc;
}


/* Whoever is asked last for what anybody can do. */
static size_t
redis_anybody(const worker_redis_t *redis)
{
    size_t  i;

    for (i = 0; i < redis->nservers; i++) {
        if (redis->servers[i].rc != NULL) {
            return i;
        }
    }

    return 0;
}


/* --- the map -------------------------------------------------------------- */

static int
redis_map_ask(worker_redis_t *redis, redisContext *rc,
    const travel_cluster_node_t *asked, char why[WORKER_WHY_MAX])
{
    int          rcode;
    redisReply  *reply;

    reply = redisCommand(rc, "CLUSTER NODES");

    if (reply == NULL || reply->type != REDIS_REPLY_STRING) {
        snprintf(why, WORKER_WHY_MAX, "CLUSTER NODES: %s", reply == NULL
                 ? rc->errstr : reply->type == REDIS_REPLY_ERROR
                                ? reply->str : "unexpected answer");
        freeReplyObject(reply);
        return TRAVEL_ERROR;
    }

    rcode = travel_cluster_map_parse(redis->map,
                (travel_str_t) { reply->str, (size_t) reply->len }, asked);
    freeReplyObject(reply);

    if (rcode != TRAVEL_OK) {
        snprintf(why, WORKER_WHY_MAX, "CLUSTER NODES: no master has slots");
    }

    return rcode;
}


/* The first of the addresses that answers; it stays connected when it is one of
 * the masters. */
static int
redis_map_open(worker_redis_t *redis, char why[WORKER_WHY_MAX])
{
    int                    rcode;
    size_t                 i;
    unsigned               n, count;
    redisContext          *rc;
    worker_address_t       at;
    travel_cluster_node_t  asked;

    rcode = TRAVEL_ERROR;
    snprintf(why, WORKER_WHY_MAX, "no address");
    count = worker_redis_address(&at, redis->conf->redis_socket, 0);

    for (n = 0; n < count && rcode != TRAVEL_OK; n++) {
        (void) worker_redis_address(&at, redis->conf->redis_socket, n);
        rc = worker_connect(&at, &redis->login, why);

        if (rc == NULL) {
            continue;
        }

        memset(&asked, 0, sizeof(asked));
        (void) travel_cluster_node_set(&asked, (travel_str_t) { at.text,
                                       strlen(at.text) }, (unsigned) at.port);
        rcode = redis_map_ask(redis, rc, &asked, why);

        for (i = 0; rcode == TRAVEL_OK && i < redis->map->n; i++) {
            if (travel_cluster_node_eq(&redis->map->nodes[i], &asked)) {
                i = redis_server(redis, &asked);
                redis->servers[i].rc = rc;
                return rcode;
            }
        }

        redisFree(rc);
    }

    return rcode;
}


static void
redis_map_refresh(worker_redis_t *redis)
{
    size_t  i;
    char    why[WORKER_WHY_MAX];

    i = redis_anybody(redis);

    if (redis->servers[i].rc != NULL
        && redis_map_ask(redis, redis->servers[i].rc, &redis->servers[i].at,
                         why) == TRAVEL_OK)
    {
        redis->stale = false;
    }
}


static size_t
redis_route(worker_redis_t *redis, const char *text, size_t len)
{
    int                           slot;
    const travel_cluster_node_t  *node;

    if (redis->stale && redis->count == 0) {
        redis_map_refresh(redis);
    }

    slot = travel_cluster_command_slot((travel_str_t) { text, len });

    if (slot == TRAVEL_CLUSTER_ANY) {
        return redis->nservers > 0 ? redis_anybody(redis)
                                   : redis_server(redis, redis->map->nodes);
    }

    node = travel_cluster_map_find(redis->map, (unsigned) slot);

    if (node == NULL) {
        redis_break(redis, "nobody has the key's slot");
        return 0;
    }

    return redis_server(redis, node);
}


/* --- life ----------------------------------------------------------------- */

worker_redis_t *
worker_redis_open(const worker_conf_t *conf, const char *name, int timeout_s,
    char why[WORKER_WHY_MAX])
{
    worker_redis_t  *redis;

    snprintf(why, WORKER_WHY_MAX, "out of memory");
    redis = calloc(1, sizeof(worker_redis_t));

    if (redis == NULL) {
        return NULL;
    }

    redis->conf = conf;
    redis->login = (worker_login_t) { conf->redis_user, conf->redis_password,
                                      name, timeout_s, conf->redis_cluster };

    if (conf->redis_cluster) {
        redis->map = calloc(1, sizeof(travel_cluster_map_t));

        if (redis->map != NULL && redis_map_open(redis, why) == TRAVEL_OK) {
            return redis;
        }

    } else {
        redis->servers = calloc(1, sizeof(redis_server_t));
        redis->nservers = redis->servers != NULL;

        if (redis->servers != NULL) {
            redis->servers->rc = worker_connect_master(conf->redis_socket,
                                                       &redis->login, why);
        }

        if (redis->servers != NULL && redis->servers->rc != NULL) {
            return redis;
        }
    }

    worker_redis_close(&redis);
    return NULL;
}


worker_redis_t *
worker_redis_connect(const worker_conf_t *conf, const char *name,
    int timeout_s)
{
    char             why[WORKER_WHY_MAX];
    worker_redis_t  *redis;

    redis = worker_redis_open(conf, name, timeout_s, why);

    if (redis == NULL) {
        worker_log(WORKER_LOG_DEBUG, "redis %s: %s", name, why);
    }

    return redis;
}


static redis_sent_t
redis_pop(worker_redis_t *redis)
{
    redis_sent_t  sent;

    sent = redis->sent[redis->head];
    redis->head = (redis->head + 1) % redis->room;
    redis->count--;

    return sent;
}


void
worker_redis_close(worker_redis_t **predis)
{
    size_t           i;
    redis_sent_t     sent;
    worker_redis_t  *redis;

    redis = *predis;
    *predis = NULL;

    if (redis == NULL) {
        return;
    }

    while (redis->count > 0) {
        sent = redis_pop(redis);
        freeReplyObject(sent.reply);
        free(sent.text);
    }

    for (i = 0; i < redis->nservers; i++) {
        if (redis->servers[i].rc != NULL) {
            redisFree(redis->servers[i].rc);
        }
    }

    free(redis->sent);
    free(redis->servers);
    free(redis->map);
    free(redis);
}


/* --- commands ------------------------------------------------------------- */

static bool
redis_push(worker_redis_t *redis, size_t server, char *text, size_t len)
{
    size_t         i, room;
    redis_sent_t  *sent;

    if (redis->count == redis->room) {
        room = redis->room ? 2 * redis->room : 16;
        sent = calloc(room, sizeof(redis_sent_t));

        if (sent == NULL) {
            redis_break(redis, "out of memory");
            return false;
        }

        for (i = 0; i < redis->count; i++) {
            sent[i] = redis->sent[(redis->head + i) % redis->room];
        }

        free(redis->sent);
        redis->sent = sent;
        redis->head = 0;
        redis->room = room;
    }

    i = (redis->head + redis->count++) % redis->room;
    redis->sent[i] = (redis_sent_t) { server, text, len, NULL };

    return true;
}


/* Consumes the text, which hiredis has made. */
static bool
redis_append(worker_redis_t *redis, char *text, int len)
{
    size_t         i;
    redisContext  *rc;

    if (len < 0) {
        redis_break(redis, "out of memory");
        return false;
    }

    i = redis->map != NULL && redis->error[0] == '\0'
        ? redis_route(redis, text, (size_t) len) : 0;
    rc = redis->error[0] == '\0' ? redis_connection(redis, i) : NULL;

    if (rc == NULL
        || redisAppendFormattedCommand(rc, text, (size_t) len) != REDIS_OK)
    {
        redis_break(redis, "out of memory");
        free(text);
        return false;
    }

    redis->servers[i].written = true;

    if (redis->map != NULL && redis_push(redis, i, text, (size_t) len)) {
        return true;
    }

    free(text);

    return redis->error[0] == '\0';
}


bool
worker_redis_readonly(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR
           && strncmp(reply->str, "READONLY", 8) == 0;
}


static redisReply *
redis_read(worker_redis_t *redis, size_t server)
{
    void          *reply;
    redisContext  *rc;

    reply = NULL;
    rc = redis->servers[server].rc;

    if (redisGetReply(rc, &reply) != REDIS_OK || reply == NULL) {
        redis_break(redis, rc->errstr);
        return NULL;
    }

    if (redis->map == NULL && worker_redis_readonly(reply)) {
        /* the last one from there; the next connection finds the new master */
        redis_break(redis, "it has become a replica");
    }

    return reply;
}


/* All that the server still owes. */
static bool
redis_catch_up(worker_redis_t *redis, size_t server)
{
    size_t         i;
    redis_sent_t  *sent;

    for (i = 0; i < redis->count; i++) {
        sent = &redis->sent[(redis->head + i) % redis->room];

        if (sent->server == server && sent->reply == NULL) {
            sent->reply = redis_read(redis, server);

            if (sent->reply == NULL) {
                return false;
            }
        }
    }

    return true;
}


/* The command once more, where the answer says; NULL: it is broken. */
static redisReply *
redis_follow(worker_redis_t *redis, const redis_sent_t *sent,
    const travel_cluster_answer_t *answer, size_t *ret_server)
{
    bool           asking;
    size_t         i;
    redisReply    *reply;
    redisContext  *rc;

    asking = answer->kind == TRAVEL_CLUSTER_ASK;
    i = redis_server(redis, &answer->node);
    rc = redis->error[0] == '\0' ? redis_connection(redis, i) : NULL;

    if (rc == NULL || !redis_catch_up(redis, i)) {
        return NULL;
    }

    if ((asking && redisAppendCommand(rc, "ASKING") != REDIS_OK)
        || redisAppendFormattedCommand(rc, sent->text, sent->len) != REDIS_OK)
    {
        redis_break(redis, "out of memory");
        return NULL;
    }

    if (asking) {
        reply = redis_read(redis, i);

        if (reply == NULL) {
            return NULL;
        }

        freeReplyObject(reply);
    }

    redis->servers[i].written = true;
    *ret_server = i;

    return redis_read(redis, i);
}


static bool
redis_redirects(worker_redis_t *redis, const redisReply *reply, size_t server,
    travel_cluster_answer_t *ret_answer)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ERROR
        || travel_cluster_answer_parse(ret_answer,
               (travel_str_t) { reply->str, (size_t) reply->len },
               &redis->servers[server].at) != TRAVEL_OK
        || ret_answer->kind == TRAVEL_CLUSTER_LATER)
    {
        return false;
    }

    if (ret_answer->kind == TRAVEL_CLUSTER_MOVED) {
        (void) travel_cluster_map_move(redis->map, ret_answer->slot,
                                       &ret_answer->node);
        redis->stale = true;
    }

    return true;
}


redisReply *
worker_redis_reply(worker_redis_t *redis)
{
    size_t                    server;
    unsigned                  n;
    redisReply               *reply;
    redis_sent_t              sent;
    travel_cluster_answer_t   answer;

    if (redis->error[0]) {
        return NULL;
    }

    if (redis->map == NULL) {
        return redis_read(redis, 0);
    }

    if (redis->count == 0) {
        redis_break(redis, "a reply that nobody asked for");
        return NULL;
    }

    sent = redis_pop(redis);
    server = sent.server;
    reply = sent.reply != NULL ? sent.reply : redis_read(redis, server);

    for (n = 0; n < REDIS_REDIRECTIONS
                && redis_redirects(redis, reply, server, &answer); n++)
    {
        freeReplyObject(reply);
        reply = redis_follow(redis, &sent, &answer, &server);
    }

    free(sent.text);

    return reply;
}


static bool
redis_append_format(worker_redis_t *redis, const char *format, va_list ap)
{
    int    len;
    char  *text;

    text = NULL;
    len = redisvFormatCommand(&text, format, ap);

    return redis_append(redis, text, len);
}


void
worker_redis_keep_script(worker_redis_t *redis, travel_str_t text)
{
    size_t       len[3] = { 6, 4, text.len };
    const char  *argv[3] = { "SCRIPT", "LOAD", text.data };
    redisReply  *reply;

    if (redis->map != NULL || worker_redis_script(redis, text) != NULL) {
        return;
    }

    reply = worker_redis_argv(redis, 3, argv, len);

    if (reply != NULL && reply->type == REDIS_REPLY_STRING
        && reply->len == sizeof(redis->sha) - 1)
    {
        memcpy(redis->sha, reply->str, sizeof(redis->sha));
        redis->script = text.data;
    }

    freeReplyObject(reply);
}


const char *
worker_redis_script(const worker_redis_t *redis, travel_str_t text)
{
    return redis->script == text.data ? redis->sha : NULL;
}


void
worker_redis_script_gone(worker_redis_t *redis)
{
    redis->script = NULL;
}


void
worker_redis_flush(worker_redis_t *redis)
{
    int             done;
    size_t          i;
    redisContext   *rc;

    for (i = 0; i < redis->nservers && redis->error[0] == '\0'; i++) {
        rc = redis->servers[i].rc;
        done = rc == NULL;

        while (!done) {
            if (redisBufferWrite(rc, &done) != REDIS_OK) {
                redis_break(redis, rc->errstr);
                break;
            }
        }
    }
}


bool
worker_redis_append(worker_redis_t *redis, const char *format, ...)
{
    bool     sent;
    va_list  ap;

    va_start(ap, format);
    sent = redis_append_format(redis, format, ap);
    va_end(ap);

    return sent;
}


bool
worker_redis_append_argv(worker_redis_t *redis, int argc, const char **argv,
    const size_t *argvlen)
{
    int    len;
    char  *text;

    text = NULL;
    len = redisFormatCommandArgv(&text, argc, argv, argvlen);

    return redis_append(redis, text, len);
}


redisReply *
worker_redis_command(worker_redis_t *redis, const char *format, ...)
{
    bool     sent;
    va_list  ap;

    va_start(ap, format);
    sent = redis_append_format(redis, format, ap);
    va_end(ap);

    return sent ? worker_redis_reply(redis) : NULL;
}


redisReply *
worker_redis_argv(worker_redis_t *redis, int argc, const char **argv,
    const size_t *argvlen)
{
    return worker_redis_append_argv(redis, argc, argv, argvlen)
           ? worker_redis_reply(redis) : NULL;
}


bool
worker_redis_kept(worker_redis_t *redis)
{
    bool             kept;
    size_t           i;
    redisReply      *reply;
    redis_server_t  *server;

    kept = true;

    for (i = 0; redis->conf->redis_acks > 0 && kept && i < redis->nservers;
         i++)
    {
        server = &redis->servers[i];

        if (server->rc == NULL || !server->written) {
            continue;
        }

        reply = redisCommand(server->rc, "WAIT %d " REDIS_WAIT_MS,
                             (int) redis->conf->redis_acks);
        kept = reply != NULL && reply->type == REDIS_REPLY_INTEGER
               && reply->integer >= redis->conf->redis_acks;

        if (reply == NULL) {
            redis_break(redis, server->rc->errstr);
        }

        freeReplyObject(reply);
        server->written = !kept;
    }

    return kept && redis->error[0] == '\0';
}
