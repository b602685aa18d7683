/*
 * Leases and what else a process has to settle with PostgreSQL: which
 * partitions there are, and the thread; what it does is in keeper_lease.c and
 * keeper_errand.c.
 *
 * One thread, one PostgreSQL session, one blocking Redis connection, all its
 * own.  keeper->mutex guards the lots' leases, the list of lots (it only
 * grows), the position, the pauses and the flags; PostgreSQL and Redis are
 * never talked to under it.
 *
 * Who should have which partition: the live processes of pools that serve the
 * same queues are the seats of one table (travel:workers, a sorted set of
 * seat by time last seen), and partition i of all, in the order of their names,
 * wants to go to seat i mod live.  Everybody computes the same, so a lease
 * moves only when a seat came or went.  A free partition whose seat does not
 * take it within some seconds is taken by whoever sees it.
 *
 * A lease counts from before it was asked for, so this process stops before
 * PostgreSQL lets another one begin.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "keeper_parts.h"
#include "../pool/log.h"

#define KEEPER_LAYOUT_MS   1000


int64_t
worker_keeper_now(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* --- Redis and PostgreSQL ------------------------------------------------- */

void
worker_keeper_redis_drop(worker_keeper_t *keeper, const char *why)
{
    worker_log(WORKER_LOG_WARN, "redis keeper: %s", why);
    worker_redis_close(&keeper->redis);
}


redisReply *
worker_keeper_redis(worker_keeper_t *keeper, int argc, const char **argv)
{
    redisReply  *reply;

    if (keeper->redis == NULL) {
        keeper->redis = worker_redis_connect(keeper->spec.conf,
                                             "travel-keeper", KEEPER_REDIS_S);
    }

    if (keeper->redis == NULL) {
        return NULL;
    }

    reply = worker_redis_argv(keeper->redis, argc, argv, NULL);

    if (reply == NULL) {
        worker_keeper_redis_drop(keeper, worker_redis_error(keeper->redis));
        return NULL;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        worker_log(WORKER_LOG_WARN, "redis keeper: %s", reply->str);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


PGresult *
worker_keeper_pg(worker_keeper_t *keeper, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    res = worker_pg_ready(keeper->pg) == TRAVEL_OK
          ? worker_pg_exec(keeper->pg, sql, n, params) : NULL;

    if (worker_pg_good(res)) {
        keeper->complained = false;
        atomic_store(&keeper->blind, false);
        return res;
    }

    if (!keeper->complained) {
        worker_log(WORKER_LOG_WARN, "postgres keeper: %s",
                   worker_pg_error(keeper->pg));
        keeper->complained = true;
    }

    atomic_store(&keeper->blind, true);
    PQclear(res);
    return NULL;
}


void
worker_keeper_ring(worker_keeper_t *keeper)
{
    uint64_t  one;

    one = 1;
    atomic_store(&keeper->rang, true);

    if (write(keeper->spec.ring_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        worker_log(WORKER_LOG_ERROR, "eventfd: %s", strerror(errno));
    }
}


/* --- which partitions there are ------------------------------------------- */

keeper_lot_t *
worker_keeper_find(const worker_keeper_t *keeper, travel_str_t queue,
    unsigned number)
{
    size_t         i;
    keeper_lot_t  *lot;

    for (i = 0; i < keeper->nlots; i++) {
        lot = keeper->lots[i];

        if (lot->number == number && strlen(lot->queue) == queue.len
            && memcmp(lot->queue, queue.data, queue.len) == 0)
        {
            return lot;
        }
    }

    return NULL;
}


/* 'turn': of the queue.  The order is by place, so that processes which came to
 * know of them at different times agree on it. */
static void
keeper_lot_add(worker_keeper_t *keeper, const char *queue, size_t turn,
    unsigned number)
{
    size_t         i;
    keeper_lot_t  *lot;

    if (worker_keeper_find(keeper, (travel_str_t) { queue, strlen(queue) },
                           number) != NULL)
    {
        return;
    }

    lot = calloc(1, sizeof(keeper_lot_t));

    if (lot == NULL || keeper->nlots == WORKER_PARTITIONS_MAX) {
        free(lot);
        return;
    }

    snprintf(lot->queue, sizeof(lot->queue), "%s", queue);
    lot->number = number;
    lot->place = turn * TRAVEL_PARTITIONS_MAX + number;

    pthread_mutex_lock(&keeper->mutex);

    for (i = keeper->nlots; i > 0 && keeper->lots[i - 1]->place > lot->place;
         i--)
    {
        keeper->lots[i] = keeper->lots[i - 1];
    }

    keeper->lots[i] = lot;
    keeper->nlots++;
    pthread_mutex_unlock(&keeper->mutex);
}


static redisReply *
keeper_layout_text(worker_keeper_t *keeper, const char *queue)
{
    char         text[16];
    redisReply  *reply;
    const char  *set[4] = { "HSETNX", TRAVEL_KEY_LAYOUT, queue, text };
    const char  *get[3] = { "HGET", TRAVEL_KEY_LAYOUT, queue };

    reply = worker_keeper_redis(keeper, 3, get);

    if (reply == NULL || reply->type != REDIS_REPLY_NIL) {
        return reply;
    }

    freeReplyObject(reply);
    snprintf(text, sizeof(text), "%d", TRAVEL_PARTITIONS_DEFAULT);
    reply = worker_keeper_redis(keeper, 4, set);

    if (reply == NULL) {
        return NULL;
    }

    freeReplyObject(reply);

    return worker_keeper_redis(keeper, 3, get);
}


/* travel:layout says which partitions a queue has; a queue that is not in it
 * yet gets the default.  Those of before stay ours: they may have dead letters,
 * delayed jobs, rows of the outbox. */
static int
keeper_layout_one(worker_keeper_t *keeper, size_t turn)
{
    int              rc;
    unsigned         i;
    redisReply      *reply;
    const char      *queue = keeper->spec.conf->queues[turn];
    travel_layout_t  layout;

    reply = keeper_layout_text(keeper, queue);

    if (reply == NULL) {
        return TRAVEL_ERROR;
    }

    rc = reply->type == REDIS_REPLY_STRING
         ? travel_layout_parse(&layout, (travel_str_t) { reply->str,
                               (size_t) reply->len }) : TRAVEL_INVALID;

    if (rc != TRAVEL_OK) {
        worker_log(WORKER_LOG_ERROR, "travel:layout: %s has \"%s\" partitions, "
                   "set it to 1..%d", queue, reply->str != NULL ? reply->str
                   : "", TRAVEL_PARTITIONS_MAX);
        freeReplyObject(reply);
        return rc;
    }

    freeReplyObject(reply);

    for (i = 0; i < travel_layout_top(&layout); i++) {
        keeper_lot_add(keeper, queue, turn, i);
    }

    return TRAVEL_OK;
}


static void
keeper_layout(worker_keeper_t *keeper, int64_t now)
{
    size_t  i;

    if (now < keeper->layout_at) {
        return;
    }

    for (i = 0; keeper->spec.conf->queues[i] != NULL; i++) {
        if (keeper_layout_one(keeper, i) != TRAVEL_OK) {
            keeper->layout_at = now + KEEPER_TICK_MS;
            return;
        }
    }

    keeper->layout_at = now + KEEPER_LAYOUT_MS;
}


/* --- the thread ----------------------------------------------------------- */

static void
keeper_pause(worker_keeper_t *keeper)
{
    int64_t          until;
    struct timespec  ts;

    until = worker_keeper_now(CLOCK_MONOTONIC) + KEEPER_TICK_MS;
    ts.tv_sec = until / 1000;
    ts.tv_nsec = until % 1000 * 1000000;

    pthread_mutex_lock(&keeper->mutex);

    while (!keeper->stopping && !keeper->hurry && !keeper->errand
           && pthread_cond_timedwait(&keeper->wake, &keeper->mutex, &ts) == 0)
    {
        continue;
    }

    keeper->errand = false;

    if (keeper->hurry) {
        keeper->hurry = false;
        keeper->lease_at = 0;
    }

    pthread_mutex_unlock(&keeper->mutex);
}


bool
worker_keeper_stopping(worker_keeper_t *keeper)
{
    bool  stopping;

    pthread_mutex_lock(&keeper->mutex);
    stopping = keeper->stopping;
    pthread_mutex_unlock(&keeper->mutex);

    return stopping;
}


static void *
keeper_main(void *data)
{
    int64_t           now;
    worker_keeper_t  *keeper = data;

    while (!worker_keeper_stopping(keeper)) {
        now = worker_keeper_now(CLOCK_MONOTONIC);
        keeper_layout(keeper, now);
        worker_keeper_pause(keeper, now);

        if (now >= keeper->lease_at && keeper->pauses.version > 0) {
            worker_keeper_leases(keeper, now);
        }

        worker_keeper_beat(keeper, now);
        worker_keeper_tell(keeper, now);
        worker_keeper_errands(keeper, now);
        keeper_pause(keeper);
    }

    worker_keeper_leave(keeper);
    return NULL;
}


worker_keeper_t *
worker_keeper_start(const worker_keeper_spec_t *spec)
{
    size_t               i, n;
    worker_keeper_t     *keeper;
    pthread_condattr_t   attr;

    keeper = calloc(1, sizeof(worker_keeper_t));

    if (keeper == NULL) {
        return NULL;
    }

    keeper->spec = *spec;
    keeper->live = 1;

    for (i = 0, n = 0; spec->conf->queues[i] != NULL; i++) {
        n += (size_t) snprintf(keeper->seat + n, sizeof(keeper->seat) - n,
                               "%s,", spec->conf->queues[i]);
    }

    snprintf(keeper->seat + n, sizeof(keeper->seat) - n, "|%s", spec->seat);

    keeper->pg = worker_pg_create(spec->conf->pg_dsn, spec->owner);

    if (keeper->pg == NULL) {
        free(keeper);
        return NULL;
    }

    pthread_mutex_init(&keeper->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &attr);
    pthread_condattr_destroy(&attr);

    if (pthread_create(&keeper->thread, NULL, keeper_main, keeper) != 0) {
        worker_pg_free(&keeper->pg);
        free(keeper);
        return NULL;
    }

    return keeper;
}


void
worker_keeper_stop(worker_keeper_t **pkeeper)
{
    size_t            i;
    worker_keeper_t  *keeper;

    keeper = *pkeeper;
    *pkeeper = NULL;

    if (keeper == NULL) {
        return;
    }

    pthread_mutex_lock(&keeper->mutex);
    keeper->stopping = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->mutex);
    pthread_join(keeper->thread, NULL);

    worker_pg_free(&keeper->pg);

    if (keeper->cache != NULL) {
        redisFree(keeper->cache);
    }

    worker_redis_close(&keeper->redis);

    for (i = 0; i < keeper->nlots; i++) {
        free(keeper->lots[i]);
    }

    pthread_mutex_destroy(&keeper->mutex);
    pthread_cond_destroy(&keeper->wake);
    free(keeper);
}


/* --- for the other threads ------------------------------------------------ */

void
worker_keeper_meet(worker_keeper_t *keeper,
    void (*meet)(void *data, const char *queue, unsigned number,
                 worker_lease_t *lease),
    void *data)
{
    size_t  i;

    pthread_mutex_lock(&keeper->mutex);

    for (i = 0; i < keeper->nlots; i++) {
        meet(data, keeper->lots[i]->queue, keeper->lots[i]->number,
             &keeper->lots[i]->lease);
    }

    pthread_mutex_unlock(&keeper->mutex);
}


bool
worker_keeper_pauses(worker_keeper_t *keeper, uint64_t known,
    worker_pauses_t *ret_pauses)
{
    bool  other;

    pthread_mutex_lock(&keeper->mutex);
    other = keeper->pauses.version != known;

    if (other) {
        *ret_pauses = keeper->pauses;
    }

    pthread_mutex_unlock(&keeper->mutex);

    return other;
}


bool
worker_keeper_rang(worker_keeper_t *keeper)
{
    return atomic_exchange(&keeper->rang, false);
}


void
worker_keeper_hurry(worker_keeper_t *keeper)
{
    pthread_mutex_lock(&keeper->mutex);
    keeper->hurry = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->mutex);
}


void
worker_keeper_outbox(worker_keeper_t *keeper, travel_str_t queue,
    unsigned number)
{
    keeper_lot_t  *lot;

    pthread_mutex_lock(&keeper->mutex);
    lot = worker_keeper_find(keeper, queue, number);

    if (lot != NULL) {
        lot->rung = true;
    }

    keeper->errand = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->mutex);
}


travel_lsn_t
worker_keeper_position(worker_keeper_t *keeper)
{
    travel_lsn_t  at;

    pthread_mutex_lock(&keeper->mutex);
    at = keeper->position;
    pthread_mutex_unlock(&keeper->mutex);

    return at;
}


bool
worker_keeper_blind(worker_keeper_t *keeper)
{
    return atomic_load(&keeper->blind);
}
