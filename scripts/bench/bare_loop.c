/*
 * The ceiling of worker.noop: what a loop does that only reads jobs and writes
 * their ends, on one connection, one call after the other: XREADGROUP COUNT
 * 256, then XACK and the settle script for what came, in one write.  No leases,
 * no order per key, no start that a cancel could come before, no handler.
 *
 *   bare_loop SOCKET USER PASSWORD QUEUE PARTITIONS
 *
 * Prints how many jobs it has taken from the queue's normal streams.
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "../../common/envelope.h"
#include "../../common/queues.h"
#include "../../common/worker_scripts.h"

#define LOOP_COUNT    256
#define LOOP_COUNT_S  "256"
#define LOOP_KEYS     6
#define LOOP_KEYS_S   "6"
#define LOOP_ARGS     13
#define LOOP_GROUP    "bench"
#define LOOP_OWNER    "bench"
#define LOOP_FENCE    "1"
#define LOOP_NOW      "1795000000000"

typedef struct {
    redisContext  *redis;
    const char    *queue;
    unsigned       partition;
    char           sha[41];
    char           keys[LOOP_KEYS][128];
    char           uuids[LOOP_COUNT * TRAVEL_UUID_TEXT_LEN + 1];
    char           ids[LOOP_COUNT * 44 + 1];
    char           next[64];        /* behind the last entry of the batch */
    const char    *argv[3 + LOOP_KEYS + LOOP_ARGS];
} loop_t;


static void
loop_die(const loop_t *l, const char *what)
{
    fprintf(stderr, "bare_loop: %s: %s\n", what, l->redis != NULL
            && l->redis->err ? l->redis->errstr : "refused");
    exit(1);
}


static redisReply *
loop_reply(loop_t *l, const char *what)
{
    void        *raw;
    redisReply  *reply;

    raw = NULL;

    if (redisGetReply(l->redis, &raw) != REDIS_OK) {
        loop_die(l, what);
    }

    reply = raw;

    if (reply->type == REDIS_REPLY_ERROR) {
        loop_die(l, reply->str);
    }

    return reply;
}


static redisReply *
loop_call(loop_t *l, int argc, const char **argv)
{
    redisReply  *reply;

    reply = redisCommandArgv(l->redis, argc, argv, NULL);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        loop_die(l, reply != NULL ? reply->str : argv[0]);
    }

    return reply;
}


static void
loop_connect(loop_t *l, const char *socket, const char *user,
    const char *password)
{
    redisReply    *reply;
    travel_str_t   script;
    const char    *auth[] = { "AUTH", user, password };
    const char    *load[] = { "SCRIPT", "LOAD", NULL };

    l->redis = redisConnectUnix(socket);

    if (l->redis == NULL || l->redis->err) {
        loop_die(l, socket);
    }

    freeReplyObject(loop_call(l, 3, auth));

    script = travel_worker_script(TRAVEL_SCRIPT_SETTLE);
    load[2] = script.data;              /* a literal: it ends with a NUL */
    reply = loop_call(l, 3, load);
    snprintf(l->sha, sizeof(l->sha), "%s", reply->str);
    freeReplyObject(reply);
}


/* The keys of a partition, in the script's order; it is ours from now on. */
static void
loop_take(loop_t *l, unsigned partition)
{
    int                      i;
    static const char *const  names[LOOP_KEYS] = {
        "owner", "high", "normal", "low", "delayed", "dead"
    };
    const char              *own[] = { "HSET", l->keys[0], "owner", LOOP_OWNER,
                                       "fence", LOOP_FENCE };
    const char              *group[] = { "XGROUP", "CREATE", l->keys[2],
                                         LOOP_GROUP, "0", "MKSTREAM" };

    l->partition = partition;

    for (i = 0; i < LOOP_KEYS; i++) {
        snprintf(l->keys[i], sizeof(l->keys[i]), "travel:{%s.%u}:%s", l->queue,
                 partition, names[i]);
    }

    freeReplyObject(loop_call(l, 6, own));
    freeReplyObject(loop_call(l, 6, group));
}


static void
loop_job(loop_t *l, size_t i, const redisReply *entry)
{
    size_t             n;
    const char        *why;
    travel_str_t       fields[2 * TRAVEL_ENVELOPE_FIELDS];
    const redisReply  *body;
    travel_envelope_t  env;

    body = entry->element[1];

    for (n = 0; n < body->elements && n < 2 * TRAVEL_ENVELOPE_FIELDS; n++) {
        fields[n].data = body->element[n]->str;
        fields[n].len = (size_t) body->element[n]->len;
    }

    if (travel_envelope_read(&env, fields, n, &why) != TRAVEL_OK) {
        loop_die(l, why);
    }

    memcpy(l->uuids + i * TRAVEL_UUID_TEXT_LEN, env.id.data + env.id.len
           - TRAVEL_UUID_TEXT_LEN, TRAVEL_UUID_TEXT_LEN);
}


static const char *
loop_id(const redisReply *entries, size_t n)
{
    return entries->element[n]->element[0]->str;
}


/* The id behind the last one. */
static const char *
loop_next(loop_t *l, const redisReply *entries)
{
    unsigned long long  ms, seq;

    if (sscanf(loop_id(entries, entries->elements - 1), "%llu-%llu", &ms, &seq)
        != 2)
    {
        loop_die(l, "XREADGROUP");
    }

    snprintf(l->next, sizeof(l->next), "%llu-%llu", ms, seq + 1);
    return l->next;
}


static void
loop_ack(loop_t *l, const redisReply *entries)
{
    size_t       n;
    const char  *argv[3 + LOOP_COUNT] = { "XACK", l->keys[2], LOOP_GROUP };

    for (n = 0; n < entries->elements; n++) {
        argv[3 + n] = loop_id(entries, n);
    }

    redisAppendCommandArgv(l->redis, (int) (3 + n), argv, NULL);
}


static void
loop_settle(loop_t *l, const redisReply *entries)
{
    int     argc, i;
    char    heads[LOOP_COUNT * TRAVEL_SETTLE_HEAD + 1], *id;
    size_t  n;

    argc = 0;
    l->argv[argc++] = "EVALSHA";
    l->argv[argc++] = l->sha;
    l->argv[argc++] = LOOP_KEYS_S;

    for (i = 0; i < LOOP_KEYS; i++) {
        l->argv[argc++] = l->keys[i];
    }

    for (n = 0, id = l->ids; n < entries->elements; n++) {
        loop_job(l, n, entries->element[n]);
        id += sprintf(id, "%.43s ", loop_id(entries, n));
        memcpy(heads + n * TRAVEL_SETTLE_HEAD, "2S0-", TRAVEL_SETTLE_HEAD);
    }

    l->uuids[n * TRAVEL_UUID_TEXT_LEN] = '\0';
    heads[n * TRAVEL_SETTLE_HEAD] = '\0';

    l->argv[argc++] = LOOP_OWNER;
    l->argv[argc++] = LOOP_FENCE;
    l->argv[argc++] = LOOP_NOW;
    l->argv[argc++] = l->uuids;
    l->argv[argc++] = l->ids;
    l->argv[argc++] = "0";
    l->argv[argc++] = heads;
    l->argv[argc++] = "";
    l->argv[argc++] = "0";
    l->argv[argc++] = loop_id(entries, 0);
    l->argv[argc++] = loop_next(l, entries);
    l->argv[argc++] = "";
    l->argv[argc++] = "0";

    loop_ack(l, entries);
    redisAppendCommandArgv(l->redis, argc, l->argv, NULL);
    freeReplyObject(loop_reply(l, "XACK"));
    freeReplyObject(loop_reply(l, "settle"));
}


/* One batch; how many jobs it had. */
static size_t
loop_turn(loop_t *l)
{
    size_t       n;
    redisReply  *reply, *entries;
    const char  *read[] = { "XREADGROUP", "GROUP", LOOP_GROUP, "loop",
                            "COUNT", LOOP_COUNT_S, "STREAMS", l->keys[2],
                            ">" };

    reply = loop_call(l, sizeof(read) / sizeof(read[0]), read);
    n = 0;

    if (reply->type == REDIS_REPLY_ARRAY) {
        entries = reply->element[0]->element[1];
        n = entries->elements;

        if (n > 0) {
            loop_settle(l, entries);
        }
    }

    freeReplyObject(reply);
    return n;
}


int
main(int argc, char **argv)
{
    size_t     n, all;
    unsigned   partition, partitions;
    static loop_t  l;

    if (argc != 6) {
        fprintf(stderr, "usage: bare_loop SOCKET USER PASSWORD QUEUE "
                        "PARTITIONS\n");
        return 2;
    }

    l.queue = argv[4];
    partitions = (unsigned) strtoul(argv[5], NULL, 10);
    loop_connect(&l, argv[1], argv[2], argv[3]);

    for (all = 0, partition = 0; partition < partitions; partition++) {
        loop_take(&l, partition);

        while ((n = loop_turn(&l)) > 0) {
            all += n;
        }
    }

    redisFree(l.redis);
    printf("%zu\n", all);
    return 0;
}
