/* travelctl queue: the partitions in Redis, made, looked at, filled. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <hiredis/hiredis.h>
#include <jansson.h>

#include "ctl.h"
#include "../jobs/job.h"
#include "../../common/layout.h"
#include "../../common/worker_scripts.h"
#include "../../common/hash.h"
#include "../../common/timestamp.h"

#define QUEUE_PIPELINE  500          /* jobs in flight while preloading */

typedef struct {
    const char     *config;
    worker_conf_t  *conf;
    worker_redis_t *redis;
} queue_ctl_t;


static bool
queue_open(queue_ctl_t *q)
{
    q->conf = ctl_conf(q->config);
    q->redis = q->conf != NULL ? ctl_redis(q->conf) : NULL;

    return q->redis != NULL;
}


static int
queue_close(queue_ctl_t *q, int rc)
{
    worker_redis_close(&q->redis);
    worker_conf_free(q->conf);
    return rc;
}


/* A reply that is no error, or NULL with a complaint. */
static redisReply *
queue_reply(worker_redis_t *redis)
{
    redisReply  *reply;

    reply = worker_redis_reply(redis);

    if (reply == NULL) {
        ctl_broken("Redis: %s", worker_redis_error(redis));
        return NULL;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ctl_broken("Redis: %s", reply->str);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


static travel_str_t
queue_str(const char *text)
{
    return (travel_str_t) { text, strlen(text) };
}


/* Each queue's layout, in the order of the queues; the default where there is
 * none.  False when Redis does not answer. */
static bool
queue_layout(worker_redis_t *redis, travel_layout_t layouts[16])
{
    size_t       i;
    redisReply  *reply;
    const char  *name;

    for (i = 0; (name = travel_queue_name(i)) != NULL && i < 16; i++) {
        worker_redis_append(redis, "HGET %s %s", TRAVEL_KEY_LAYOUT, name);
    }

    for (i = 0; travel_queue_name(i) != NULL && i < 16; i++) {
        reply = queue_reply(redis);

        if (reply == NULL) {
            return false;
        }

        if (reply->type != REDIS_REPLY_STRING
            || travel_layout_parse(&layouts[i], queue_str(reply->str))
               != TRAVEL_OK)
        {
            layouts[i] = (travel_layout_t) TRAVEL_LAYOUT_DEFAULT;
        }

        freeReplyObject(reply);
    }

    return true;
}


/* --- init --------------------------------------------------------------- */


static bool
queue_init(worker_redis_t *redis, long partitions)
{
    size_t           i;
    redisReply      *reply;
    const char      *name;
    travel_layout_t  layouts[16];

    for (i = 0; (name = travel_queue_name(i)) != NULL; i++) {
        reply = worker_redis_command(redis, "HSETNX %s %s %d",
                                     TRAVEL_KEY_LAYOUT, name,
                                     (int) partitions);

        if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
            ctl_broken("Redis: %s", reply != NULL ? reply->str
                                                  : worker_redis_error(redis));
            freeReplyObject(reply);
            return false;
        }

        freeReplyObject(reply);
    }

    if (!queue_layout(redis, layouts)) {
        return false;
    }

    for (i = 0; (name = travel_queue_name(i)) != NULL; i++) {
        printf("%-14s %u partitions\n", name, layouts[i].now.n);
    }

    return true;
}


int
travelctl_queue_init(int argc, char **argv)
{
    int          rc;
    long         partitions = TRAVEL_PARTITIONS_DEFAULT;
    const char  *args[CTL_ARGS_MAX + 1];
    queue_ctl_t  q = { .config = NULL };

    ctl_option_t  options[] = {
        CTL_CONFIG(q.config),
        { "partitions", CTL_NUMBER, &partitions, "N",
          "for queues that have no number yet (4)" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "queue init [options]",
                         "Writes travel:layout; what is there already stays.",
                         options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (partitions < 1 || partitions > TRAVEL_PARTITIONS_MAX) {
        return ctl_broken("--partitions is from 1 to %d",
                          TRAVEL_PARTITIONS_MAX);
    }

    rc = queue_open(&q) && queue_init(q.redis, partitions) ? CTL_GOOD
                                                           : CTL_BROKEN;
    return queue_close(&q, rc);
}


/* --- stat --------------------------------------------------------------- */


typedef struct {
    long long  depth[TRAVEL_PRIORITY_MAX];
    long long  delayed;
    long long  dead;
    double     age;                  /* of the oldest entry, seconds; -1 none */
    char       owner[96];
    char       fence[24];
} queue_figures_t;


static void
queue_ask(worker_redis_t *redis, const char *queue, unsigned partition)
{
    char      key[TRAVEL_KEY_MAX];
    unsigned  p;

    for (p = 0; p < TRAVEL_PRIORITY_MAX; p++) {
        travel_key_stream(key, queue_str(queue), partition, p);
        worker_redis_append(redis, "XLEN %s", key);
        worker_redis_append(redis, "XRANGE %s - + COUNT 1", key);
        worker_redis_append(redis, "XLEN %s" TRAVEL_CLOSED, key);
        worker_redis_append(redis, "XRANGE %s" TRAVEL_CLOSED " - + COUNT 1",
                            key);
    }

    travel_key_named(key, queue_str(queue), partition, "delayed");
    worker_redis_append(redis, "ZCARD %s", key);
    travel_key_named(key, queue_str(queue), partition, "dead");
    worker_redis_append(redis, "XLEN %s", key);
    travel_key_named(key, queue_str(queue), partition, "owner");
    worker_redis_append(redis, "HMGET %s owner fence", key);
}


static bool
queue_count(worker_redis_t *redis, long long *ret_n)
{
    redisReply  *reply;

    reply = worker_redis_reply(redis);

    if (reply == NULL) {
        return false;
    }

    *ret_n = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return true;
}


static bool
queue_oldest(worker_redis_t *redis, queue_figures_t *f)
{
    double            age;
    redisReply       *reply, *entry;
    struct timespec   now;

    reply = worker_redis_reply(redis);

    if (reply == NULL) {
        return false;
    }

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) {
        entry = reply->element[0];
        clock_gettime(CLOCK_REALTIME, &now);
        age = (double) now.tv_sec + (double) now.tv_nsec / 1e9
              - (double) strtoull(entry->element[0]->str, NULL, 10) / 1000.0;

        if (age > f->age) {
            f->age = age;
        }
    }

    freeReplyObject(reply);
    return true;
}


static bool
queue_owner(worker_redis_t *redis, queue_figures_t *f)
{
    redisReply  *reply;

    reply = worker_redis_reply(redis);

    if (reply == NULL) {
        return false;
    }

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
        && reply->element[0]->type == REDIS_REPLY_STRING
        && reply->element[1]->type == REDIS_REPLY_STRING)
    {
        snprintf(f->owner, sizeof(f->owner), "%.*s",
                 (int) strcspn(reply->element[0]->str, "#"),
                 reply->element[0]->str);
        snprintf(f->fence, sizeof(f->fence), "%s", reply->element[1]->str);
    }

    freeReplyObject(reply);
    return true;
}


static bool
queue_figures(worker_redis_t *redis, queue_figures_t *f)
{
    unsigned   p;
    long long  closed;

    memset(f, 0, sizeof(*f));
    f->age = -1;

    for (p = 0; p < TRAVEL_PRIORITY_MAX; p++) {
        if (!queue_count(redis, &f->depth[p]) || !queue_oldest(redis, f)
            || !queue_count(redis, &closed) || !queue_oldest(redis, f))
        {
            return false;
        }

        f->depth[p] += closed;
    }

    return queue_count(redis, &f->delayed) && queue_count(redis, &f->dead)
           && queue_owner(redis, f);
}


static void
queue_print(const char *queue, unsigned partition, const queue_figures_t *f,
    bool json)
{
    char     name[40], age[24];
    json_t  *line;

    snprintf(name, sizeof(name), "%s.%u", queue, partition);

    if (json) {
        line = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:s}",
            "partition", name, "high", (json_int_t) f->depth[0],
            "normal", (json_int_t) f->depth[1],
            "low", (json_int_t) f->depth[2],
            "delayed", (json_int_t) f->delayed,
            "dead", (json_int_t) f->dead, "age_s", f->age,
            "owner", f->owner, "fence", f->fence);
        json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(line);
        return;
    }

    snprintf(age, sizeof(age), f->age < 0 ? "-" : "%.1fs", f->age);
    printf("%-16s %8lld %8lld %8lld %8lld %6lld %9s  %s%s%s\n", name,
           f->depth[0], f->depth[1], f->depth[2], f->delayed, f->dead,
           age, f->owner[0] != '\0' ? f->owner : "-",
           f->fence[0] != '\0' ? " #" : "", f->fence);
}


static bool
queue_stat(worker_redis_t *redis, const char *only, bool json)
{
    size_t           i;
    unsigned         p, top;
    const char      *name;
    queue_figures_t  f;
    travel_layout_t  layouts[16];

    if (!queue_layout(redis, layouts)) {
        return false;
    }

    if (!json) {
        printf("%-16s %8s %8s %8s %8s %6s %9s  %s\n", "partition", "high",
               "normal", "low", "delayed", "dead", "oldest", "owner #fence");
    }

    for (i = 0; (name = travel_queue_name(i)) != NULL; i++) {

        if (only != NULL && strcmp(only, name) != 0) {
            continue;
        }

        top = travel_layout_top(&layouts[i]);

        for (p = 0; p < top; p++) {
            queue_ask(redis, name, p);
        }

        for (p = 0; p < top; p++) {
            if (!queue_figures(redis, &f)) {
                ctl_broken("Redis: %s", worker_redis_error(redis));
                return false;
            }

            queue_print(name, p, &f, json);
        }
    }

    return true;
}


int
travelctl_queue_stat(int argc, char **argv)
{
    int          rc;
    bool         json = false;
    const char  *queue = NULL, *args[CTL_ARGS_MAX + 1];
    queue_ctl_t  q = { .config = NULL };

    ctl_option_t  options[] = {
        CTL_CONFIG(q.config),
        { "queue", CTL_STRING, &queue, "NAME", "this queue only" },
        CTL_JSON(json),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "queue stat [options]",
                         "Per partition: what is not settled, by priority; "
                         "what waits for a retry or\nits time (delayed), "
                         "dead, the oldest entry's age, and the owner with its "
                         "fence.",
                         options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (queue != NULL && !travel_queue_exists(queue_str(queue))) {
        return ctl_broken("there is no queue \"%s\"", queue);
    }

    rc = queue_open(&q) && queue_stat(q.redis, queue, json) ? CTL_GOOD
                                                            : CTL_BROKEN;
    return queue_close(&q, rc);
}


/* --- preload ------------------------------------------------------------ */


typedef struct {
    const worker_job_type_t  *type;
    const char               *sub;
    const char               *body;
    travel_range_t            range;
    worker_redis_t           *redis;
} queue_preload_t;


/* One job as the edge would accept it: the hash, then the stream entry. */
static bool
queue_append(queue_preload_t *p, uint64_t now)
{
    char                       id[TRAVEL_JOB_ID_MAX + 1], ms[24];
    char                       uuid[TRAVEL_UUID_TEXT_LEN + 1];
    char                       hash[TRAVEL_KEY_MAX], stream[TRAVEL_KEY_MAX];
    size_t                     n, len[2 + 2 * TRAVEL_ENVELOPE_FIELDS + 1];
    uint8_t                    rnd[10];
    const char                *argv[2 + 2 * TRAVEL_ENVELOPE_FIELDS + 1];
    travel_job_id_t            job;
    travel_envelope_t          env;
    travel_envelope_scratch_t  scratch;

    if (travel_random(rnd, sizeof(rnd)) != TRAVEL_OK) {
        return false;
    }

    job.queue = queue_str(p->type->queue);
    job.id = travel_uuid7(now, (unsigned) (rnd[8] << 8 | rnd[9])
                               % TRAVEL_BUCKETS, rnd);
    job.partition = travel_range_place(&p->range,
                                       travel_uuid_bucket(&job.id));
    travel_job_id_format(id, &job);
    travel_uuid_format(uuid, &job.id);
    uuid[TRAVEL_UUID_TEXT_LEN] = '\0';
    travel_key_job(hash, &job);
    travel_key_stream(stream, job.queue, job.partition, p->type->priority);
    snprintf(ms, sizeof(ms), "%llu", (unsigned long long) now);

    memset(&env, 0, sizeof(env));
    env.id = queue_str(id);
    env.type = queue_str(p->type->type);
    env.sub = queue_str(p->sub);
    env.key = queue_str(uuid);
    env.body = queue_str(p->body);
    env.ts = now;

    argv[0] = "XADD";
    len[0] = 4;
    argv[1] = stream;
    len[1] = strlen(stream);
    argv[2] = "*";
    len[2] = 1;
    n = travel_envelope_args(&env, &scratch, argv, len, 3);

    return worker_redis_append(p->redis, "HSET %s status queued type %s queue "
               "%s sub %s key %s created_at %s updated_at %s attempts 0", hash,
               p->type->type, p->type->queue, p->sub, uuid, ms, ms)
           && worker_redis_append_argv(p->redis, (int) n, argv, len);
}


static bool
queue_drain(worker_redis_t *redis, long replies)
{
    redisReply  *reply;

    for ( ; replies > 0; replies--) {
        reply = queue_reply(redis);

        if (reply == NULL) {
            return false;
        }

        freeReplyObject(reply);
    }

    return true;
}


static bool
queue_preload(queue_preload_t *p, long count)
{
    long             i, n;
    struct timespec  now, start;

    clock_gettime(CLOCK_REALTIME, &start);
    now = start;

    for (i = 0; i < count; i += n) {
        n = count - i < QUEUE_PIPELINE ? count - i : QUEUE_PIPELINE;
        clock_gettime(CLOCK_REALTIME, &now);

        for (long k = 0; k < n; k++) {
            if (!queue_append(p, (uint64_t) now.tv_sec * 1000
                                 + (uint64_t) now.tv_nsec / 1000000))
            {
                ctl_broken("Redis: %s", worker_redis_error(p->redis));
                return false;
            }
        }

        if (!queue_drain(p->redis, 2 * n)) {
            return false;
        }
    }

    clock_gettime(CLOCK_REALTIME, &now);
    printf("%ld jobs of %s on %u partitions in %.2fs\n", count, p->type->type,
           p->range.n, (double) (now.tv_sec - start.tv_sec)
                          + (double) (now.tv_nsec - start.tv_nsec) / 1e9);
    return true;
}


static bool
queue_partitions(queue_preload_t *p)
{
    size_t           i;
    travel_layout_t  layouts[16];

    if (!queue_layout(p->redis, layouts)) {
        return false;
    }

    for (i = 0; travel_queue_name(i) != NULL; i++) {
        if (strcmp(travel_queue_name(i), p->type->queue) == 0) {
            p->range = layouts[i].now;
        }
    }

    return p->range.n > 0;
}


int
travelctl_queue_preload(int argc, char **argv)
{
    int              rc;
    long             count = 1000;
    json_t          *body;
    const char      *type = NULL, *args[CTL_ARGS_MAX + 1];
    queue_ctl_t      q = { .config = NULL };
    queue_preload_t  p = { .sub = "01890000-0000-7000-8000-000000000000",
                           .body = "{}" };

    ctl_option_t  options[] = {
        CTL_CONFIG(q.config),
        { "type", CTL_STRING, &type, "TYPE", "job type, maintenance.noop say" },
        { "count", CTL_NUMBER, &count, "N", "how many (1000)" },
        { "body", CTL_STRING, &p.body, "JSON", "the same for all ({})" },
        { "sub", CTL_STRING, &p.sub, "UUID", "whose (the demo user's)" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "queue preload --type TYPE [options]",
                         "Puts jobs on their streams as the edge would, "
                         "spread over all partitions,\npipelined.",
                         options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    p.type = type != NULL ? worker_job_type(queue_str(type)) : NULL;

    if (p.type == NULL) {
        return ctl_broken("--type: there is no job type \"%s\"",
                          type != NULL ? type : "");
    }

    body = json_loads(p.body, 0, NULL);

    if (body == NULL) {
        return ctl_broken("--body is not a JSON object");
    }

    json_decref(body);

    if (!queue_open(&q)) {
        return queue_close(&q, CTL_BROKEN);
    }

    p.redis = q.redis;
    rc = queue_partitions(&p) && queue_preload(&p, count) ? CTL_GOOD
                                                          : CTL_BROKEN;
    return queue_close(&q, rc);
}
