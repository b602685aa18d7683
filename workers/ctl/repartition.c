/*
 * travelctl queue repartition: other partitions for a queue, while it is used.
 *
 * The new ones are opened (they know whose place they take), the old ones
 * closed (nothing can be added to them), and the layout says so; whoever meets
 * a closed partition asks for the layout again.  Never may the layout be told
 * while an old one can still be added to: a job that came later would be done
 * first.  On one server the last two leave in one write.  In a cluster they go
 * to several, and with 'acks' a failover may undo one of them; so there all are
 * closed, and kept, before the layout is told, and who adds something in that
 * moment is told to come again.
 *
 * Each step may be done twice, so a call that was interrupted is simply made
 * again.  What is left in the old ones their owners finish; keys of it wait in
 * the new ones (workers/queue/before.c).
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "ctl.h"
#include "../queue/place.h"
#include "../../common/queues.h"
#include "../../common/worker_scripts.h"

#define REPARTITION_LOCK     "travel:layout:lock"
#define REPARTITION_LOCK_MS  "30000"
#define REPARTITION_KEEP_S   (72L * 3600)   /* an Idempotency-Key, at most */

typedef struct {
    const worker_conf_t  *conf;
    worker_redis_t       *redis;
    const char           *queue;
    travel_layout_t       was;
    travel_layout_t       next;
} repartition_t;


static travel_str_t
repartition_str(const char *text)
{
    return (travel_str_t) { text, strlen(text) };
}


/* The keys of a partition that OPEN and CLOSE want, as words. */
static void
repartition_keys(const char *queue, unsigned partition,
    char keys[5][TRAVEL_KEY_MAX])
{
    unsigned  p;

    (void) travel_key_named(keys[0], repartition_str(queue), partition,
                            "owner");

    for (p = 0; p < TRAVEL_PRIORITY_MAX; p++) {
        (void) travel_key_stream(keys[1 + p], repartition_str(queue),
                                 partition, (travel_priority_e) p);
    }

    (void) travel_key_named(keys[4], repartition_str(queue), partition,
                            "delayed");
}


static bool
repartition_append(repartition_t *r, travel_script_e script,
    unsigned partition, const char *range)
{
    char         keys[5][TRAVEL_KEY_MAX];
    const char  *argv[9];
    int          i, n;

    repartition_keys(r->queue, partition, keys);
    n = script == TRAVEL_SCRIPT_OPEN ? 5 : 4;
    argv[0] = "EVAL";
    argv[1] = travel_worker_script(script).data;
    argv[2] = n == 5 ? "5" : "4";

    for (i = 0; i < n; i++) {
        argv[3 + i] = keys[i];
    }

    argv[3 + n] = range;

    return worker_redis_append_argv(r->redis, 3 + n + (range != NULL), argv,
                                    NULL);
}


/* The reply's number, or -1 with a complaint. */
static long long
repartition_number(repartition_t *r)
{
    long long    n;
    redisReply  *reply;

    reply = worker_redis_reply(r->redis);

    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER) {
        ctl_broken("Redis: %s", reply != NULL && reply->str != NULL
                   ? reply->str : worker_redis_error(r->redis));
        freeReplyObject(reply);
        return -1;
    }

    n = reply->integer;
    freeReplyObject(reply);

    return n;
}


static int
repartition_open(repartition_t *r)
{
    char       range[TRAVEL_LAYOUT_TEXT_MAX];
    bool       left;
    unsigned   i;
    long long  n;

    (void) travel_range_format(range, &r->next.was);
    left = false;

    for (i = 0; i < r->next.now.n; i++) {
        if (!repartition_append(r, TRAVEL_SCRIPT_OPEN, r->next.now.base + i,
                                range))
        {
            return ctl_broken("Redis: %s", worker_redis_error(r->redis));
        }
    }

    for (i = 0; i < r->next.now.n; i++) {
        n = repartition_number(r);

        if (n < 0) {
            return CTL_BROKEN;
        }

        left |= n == 0;
    }

    return left ? ctl_refused(TRAVEL_E_CONFLICT, "-", "partitions %u to %u of "
                              "%s were used before and still have jobs",
                              r->next.now.base,
                              r->next.now.base + r->next.now.n - 1, r->queue)
                : CTL_GOOD;
}


/* n answers; -1 and a complaint, when one is none. */
static int
repartition_answers(repartition_t *r, unsigned n)
{
    while (n-- > 0) {
        if (repartition_number(r) < 0) {
            return CTL_BROKEN;
        }
    }

    return CTL_GOOD;
}


/* Will a failover not undo what was written so far? */
static int
repartition_kept(repartition_t *r)
{
    return worker_redis_kept(r->redis) ? CTL_GOOD
           : ctl_broken("fewer than acks = %ld replicas have it: nothing has "
                        "changed yet, to be called again", r->conf->redis_acks);
}


/* Closes all of before and tells the new layout. */
static int
repartition_switch(repartition_t *r)
{
    int       rc;
    char      text[TRAVEL_LAYOUT_TEXT_MAX];
    unsigned  i;

    (void) travel_layout_format(text, &r->next);

    for (i = 0; i < r->next.was.n; i++) {
        if (!repartition_append(r, TRAVEL_SCRIPT_CLOSE, r->next.was.base + i,
                                NULL))
        {
            return ctl_broken("Redis: %s", worker_redis_error(r->redis));
        }
    }

    if (r->conf->redis_cluster || r->conf->redis_acks > 0) {
        rc = repartition_answers(r, i);
        rc = rc == CTL_GOOD ? repartition_kept(r) : rc;

        if (rc != CTL_GOOD) {
            return rc;
        }

        i = 0;
    }

    if (!worker_redis_append(r->redis, "HSET %s %s %s %s:since %lld",
                             TRAVEL_KEY_LAYOUT, r->queue, text, r->queue,
                             (long long) time(NULL)))
    {
        return ctl_broken("Redis: %s", worker_redis_error(r->redis));
    }

    return repartition_answers(r, i + 1);
}


/* What is left of before: queued, running, waiting for a retry; -1: Redis does
 * not say. */
static long long
repartition_left(repartition_t *r)
{
    char          keys[5][TRAVEL_KEY_MAX];
    unsigned      i;
    long long     left;
    redisReply   *reply;
    const char   *argv[9] = { "EVAL", travel_worker_script(
                              TRAVEL_SCRIPT_BEFORE).data, "5", keys[0],
                              keys[1], keys[2], keys[3], keys[4], "0" };

    for (left = 0, i = 0; i < r->next.was.n; i++) {
        repartition_keys(r->queue, r->next.was.base + i, keys);

        reply = worker_redis_argv(r->redis, 9, argv, NULL);

        if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
            || reply->elements == 0 || reply->element[0]->integer < 0)
        {
            ctl_broken("%s.%u cannot be counted", r->queue,
                       r->next.was.base + i);
            freeReplyObject(reply);
            return -1;
        }

        left += reply->element[0]->integer;
        freeReplyObject(reply);
    }

    return left;
}


/* Nobody will own what was before any more: what became of its jobs goes by
 * itself when it has been kept for long enough. */
static int
repartition_forget(repartition_t *r)
{
    char          owner[TRAVEL_KEY_MAX], ended[TRAVEL_KEY_MAX], ttl[24];
    bool          more;
    unsigned      i;
    redisReply   *reply;
    const char   *argv[6] = { "EVAL", travel_worker_script(
                              TRAVEL_SCRIPT_FORGET).data, "2", owner, ended,
                              ttl };

    snprintf(ttl, sizeof(ttl), "%ld",
             worker_conf_retention_ms(r->conf, r->queue) / 1000);

    for (i = 0; i < r->next.was.n; i += !more) {
        (void) travel_key_named(owner, repartition_str(r->queue),
                                r->next.was.base + i, "owner");
        (void) travel_key_named(ended, repartition_str(r->queue),
                                r->next.was.base + i, "ended");

        reply = worker_redis_argv(r->redis, 6, argv, NULL);

        if (reply == NULL || reply->type != REDIS_REPLY_INTEGER) {
            freeReplyObject(reply);
            return ctl_broken("Redis: %s", worker_redis_error(r->redis));
        }

        more = reply->integer == 1;
        freeReplyObject(reply);
    }

    return CTL_GOOD;
}


static int
repartition_wait(repartition_t *r, long seconds)
{
    long long  left;
    time_t     until;

    until = time(NULL) + seconds;

    while ((left = repartition_left(r)) > 0 && time(NULL) < until) {
        usleep(200000);
    }

    if (left > 0) {
        printf("%lld jobs of before are not over yet\n", left);
    }

    return left < 0 ? CTL_BROKEN : left > 0 ? CTL_REFUSED : CTL_GOOD;
}


/* Is the one before so long ago that nobody asks for it any more? */
static int
repartition_again(repartition_t *r, bool force)
{
    long         ago;
    long long    left;
    redisReply  *reply;

    r->next = r->was;

    if (r->was.was.n == 0) {
        return CTL_GOOD;
    }

    left = repartition_left(r);

    if (left != 0) {
        return left < 0 ? CTL_BROKEN
               : ctl_refused(TRAVEL_E_CONFLICT, "-", "%lld jobs of before the "
                             "last repartitioning are not over yet", left);
    }

    reply = worker_redis_command(r->redis, "HGET %s %s:since",
                                 TRAVEL_KEY_LAYOUT, r->queue);
    ago = (long) time(NULL) - (reply != NULL
                               && reply->type == REDIS_REPLY_STRING
                               ? atol(reply->str) : 0);
    freeReplyObject(reply);

    return force || ago > REPARTITION_KEEP_S ? repartition_forget(r)
           : ctl_refused(TRAVEL_E_CONFLICT, "-", "the last repartitioning was "
                         "%ld h ago: for 72 h a repeat under an Idempotency-"
                         "Key is looked for in the partitions before; --force "
                         "if nobody repeats", ago / 3600);
}


static int
repartition_run(repartition_t *r, long n, bool force)
{
    int  rc;

    if (worker_layout(r->redis, repartition_str(r->queue), &r->was)
        != TRAVEL_OK)
    {
        return ctl_broken("travel:layout cannot be read");
    }

    if (r->was.now.n == (unsigned) n) {
        return ctl_refused(TRAVEL_E_CONFLICT, "-", "%s has %ld partitions",
                           r->queue, n);
    }

    rc = repartition_again(r, force);

    if (rc != CTL_GOOD) {
        return rc;
    }

    if (travel_layout_next(&r->next, &r->was, (unsigned) n) != TRAVEL_OK) {
        return ctl_refused(TRAVEL_E_CONFLICT, "-", "there are no %ld numbers "
                           "left beside the %u in use (%d in all)", n,
                           r->was.now.n, TRAVEL_PARTITIONS_MAX);
    }

    rc = repartition_open(r);

    return rc == CTL_GOOD ? repartition_switch(r) : rc;
}


/* One at a time. */
static bool
repartition_lock(repartition_t *r)
{
    bool         mine;
    redisReply  *reply;

    reply = worker_redis_command(r->redis, "SET %s 1 NX PX %s",
                                 REPARTITION_LOCK, REPARTITION_LOCK_MS);
    mine = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);

    return mine;
}


int
travelctl_queue_repartition(int argc, char **argv)
{
    int             rc;
    bool            force = false;
    long            n, wait = 60;
    char           *end;
    const char     *config = NULL, *args[CTL_ARGS_MAX + 1];
    redisReply     *reply;
    repartition_t   r = { .redis = NULL };
    worker_conf_t  *conf;

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { "wait", CTL_SECONDS, &wait, "TIME",
          "for what was queued before to be over (60s)" },
        { "force", CTL_FLAG, &force, NULL,
          "also within 72 h of the last time" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "queue repartition [options] QUEUE N",
                         "Gives a queue N partitions while it is used: order "
                         "per key is kept, nothing is\nlost or done twice.  "
                         "Exit code 1: not done, or what was queued before is "
                         "not\nover yet.", options, 2, 2 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    n = strtol(args[1], &end, 10);
    r.queue = args[0];

    if (!travel_queue_exists(repartition_str(r.queue))) {
        return ctl_broken("there is no queue \"%s\"", r.queue);
    }

    if (*end != '\0' || n < 1 || n > TRAVEL_PARTITIONS_MAX) {
        return ctl_broken("N is from 1 to %d", TRAVEL_PARTITIONS_MAX);
    }

    conf = ctl_conf(config);
    r.conf = conf;
    r.redis = conf != NULL ? ctl_redis(conf) : NULL;
    rc = CTL_BROKEN;

    if (r.redis != NULL && repartition_lock(&r)) {
        rc = repartition_run(&r, n, force);
        reply = worker_redis_command(r.redis, "DEL %s", REPARTITION_LOCK);
        freeReplyObject(reply);

    } else if (r.redis != NULL) {
        rc = ctl_refused(TRAVEL_E_CONFLICT, "-", "another repartitioning is "
                         "under way");
    }

    if (rc == CTL_GOOD) {
        printf("%s has %ld partitions now, %u to %u\n", r.queue, n,
               r.next.now.base, r.next.now.base + r.next.now.n - 1);
        fflush(stdout);
        rc = repartition_wait(&r, wait);
    }

    worker_redis_close(&r.redis);
    worker_conf_free(conf);

    return rc;
}
