/*
 * Leases and what else a process has to settle with PostgreSQL.
 *
 * One thread, one PostgreSQL session, one blocking Redis connection, all its
 * own.  keeper->mutex guards the lots' leases, the list of lots (it only
 * grows), the position and the flags; PostgreSQL and Redis are never talked
 * to under it.
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

#include <hiredis/hiredis.h>

#include "breakers.h"
#include "fetcher.h"
#include "relay.h"
#include "../pool/log.h"

#define KEEPER_KEY_SEATS   "travel:workers"
#define KEEPER_TICK_MS     250
#define KEEPER_ERRAND_MS   1000     /* outbox and dead, without a ring */
#define KEEPER_LIVE_MS     1000     /* between attempts to connect */
#define KEEPER_LAYOUT_MS   1000
#define KEEPER_TELL_MS     5000     /* how the breakers are, changed or not */
#define KEEPER_ORPHAN_MS   2000     /* free that long: anybody takes it */
#define KEEPER_SETTLED_MS  3000     /* a seat that lives as long gets its own */
#define KEEPER_REDIS_S     2
#define KEEPER_SEATS_MAX   1024

typedef struct {
    char            queue[TRAVEL_QUEUE_NAME_MAX + 1];
    unsigned        number;
    size_t          place;          /* in the list: of the queue, the number */
    worker_lease_t  lease;          /* mutex */
    bool            rung;           /* mutex: outbox rows wait */
    bool            free;           /* as last seen in PostgreSQL */
    int64_t         free_since;
    bool            mine;           /* the seat it wants is ours */
    bool            seated;         /* the seat it wants is taken, and long
                                       enough to hand it over */
} keeper_lot_t;

struct worker_keeper_s {
    worker_keeper_spec_t  spec;
    char                  seat[320];    /* queues and seat */
    pthread_t             thread;
    pthread_mutex_t       mutex;
    pthread_cond_t        wake;

    keeper_lot_t         *lots[WORKER_PARTITIONS_MAX];
    size_t                nlots;        /* mutex to change, so below */
    travel_lsn_t          position;
    bool                  hurry;        /* leases */
    bool                  errand;       /* some lot is rung */
    bool                  stopping;
    _Atomic bool          rang;
    _Atomic bool          blind;        /* PostgreSQL does not answer */

    worker_pg_t          *pg;           /* keeper thread, so below */
    worker_redis_t       *redis;
    redisContext         *cache;       /* that role; NULL: away */
    int64_t               told_at;     /* when it is tried again */
    size_t                rank;
    size_t                live;
    int64_t               live_since;   /* the table has not changed since */
    uint64_t              live_hash;
    int64_t               layout_at;
    int64_t               lease_at;
    int64_t               errand_at;
    size_t                errand_lot;   /* the first: one whose master is away
                                           must not stop the others */
    int64_t               beat_at;
    int64_t               tell_at;
    uint64_t              told;         /* breakers.h */
    bool                  complained;
};


static int64_t
keeper_now(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static void
keeper_ring(worker_keeper_t *keeper)
{
    uint64_t  one;

    one = 1;
    atomic_store(&keeper->rang, true);

    if (write(keeper->spec.ring_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        worker_log(WORKER_LOG_ERROR, "eventfd: %s", strerror(errno));
    }
}


/* --- Redis ---------------------------------------------------------------- */

static void
keeper_redis_drop(worker_keeper_t *keeper, const char *why)
{
    worker_log(WORKER_LOG_WARN, "redis keeper: %s", why);
    worker_redis_close(&keeper->redis);
}


static redisReply *
keeper_redis(worker_keeper_t *keeper, int argc, const char **argv)
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
        keeper_redis_drop(keeper, worker_redis_error(keeper->redis));
        return NULL;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        worker_log(WORKER_LOG_WARN, "redis keeper: %s", reply->str);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


/* --- which partitions there are ------------------------------------------- */

static keeper_lot_t *
keeper_lot_find(const worker_keeper_t *keeper, travel_str_t queue,
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

    if (keeper_lot_find(keeper, (travel_str_t) { queue, strlen(queue) },
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


/* travel:layout says which partitions a queue has; a queue that is not in it
 * yet gets the default.  Those of before stay ours: they may have dead letters,
 * delayed jobs, rows of the outbox. */
static int
keeper_layout_one(worker_keeper_t *keeper, size_t turn)
{
    int              rc;
    char             text[16];
    unsigned         i;
    redisReply      *reply;
    const char      *queue = keeper->spec.conf->queues[turn];
    travel_layout_t  layout;
    const char  *set[4] = { "HSETNX", TRAVEL_KEY_LAYOUT, queue, text };
    const char  *get[3] = { "HGET", TRAVEL_KEY_LAYOUT, queue };

    snprintf(text, sizeof(text), "%d", TRAVEL_PARTITIONS_DEFAULT);
    reply = keeper_redis(keeper, 4, set);

    if (reply == NULL) {
        return TRAVEL_ERROR;
    }

    freeReplyObject(reply);
    reply = keeper_redis(keeper, 3, get);

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


/* --- who is there --------------------------------------------------------- */

static void
keeper_seats_read(worker_keeper_t *keeper, const redisReply *reply,
    int64_t now)
{
    size_t       i, prefix;
    uint64_t     hash;
    const char  *p, *seat;

    prefix = (size_t) (strchr(keeper->seat, '|') - keeper->seat) + 1;
    keeper->live = 0;
    keeper->rank = 0;
    hash = 1469598103934665603u;

    for (i = 0; i < reply->elements; i++) {
        seat = reply->element[i]->str;

        if (strncmp(seat, keeper->seat, prefix) != 0) {
            continue;               /* serves other queues: another table */
        }

        /* A set orders members of one score only: rank by name. */
        keeper->rank += strcmp(seat, keeper->seat) < 0;
        keeper->live++;

        for (p = seat; *p; p++) {
            hash += (uint8_t) *p * 1099511628211u;
        }
    }

    if (keeper->live == 0) {
        keeper->live = 1;
    }

    if (hash != keeper->live_hash) {
        keeper->live_hash = hash;
        keeper->live_since = now;
    }
}


/* Without Redis the table stays as it was last seen. */
static void
keeper_seats(worker_keeper_t *keeper, int64_t now)
{
    char         at[24], old[24];
    int64_t      unix_ms;
    redisReply  *reply;
    const char  *add[4] = { "ZADD", KEEPER_KEY_SEATS, at, keeper->seat };
    const char  *trim[4] = { "ZREMRANGEBYSCORE", KEEPER_KEY_SEATS, "-inf",
                             old };
    const char  *all[4] = { "ZRANGE", KEEPER_KEY_SEATS, "0", "-1" };

    unix_ms = keeper_now(CLOCK_REALTIME);
    snprintf(at, sizeof(at), "%lld", (long long) unix_ms);
    snprintf(old, sizeof(old), "%lld",
             (long long) (unix_ms - keeper->spec.conf->lease_ttl_ms));

    reply = keeper_redis(keeper, 4, add);

    if (reply == NULL) {
        return;
    }

    freeReplyObject(reply);
    reply = keeper_redis(keeper, 4, trim);

    if (reply == NULL) {
        return;
    }

    freeReplyObject(reply);
    reply = keeper_redis(keeper, 4, all);

    if (reply != NULL) {
        keeper_seats_read(keeper, reply, now);
        freeReplyObject(reply);
    }
}


/* --- leases --------------------------------------------------------------- */

static PGresult *
keeper_pg(worker_keeper_t *keeper, const char *sql, int n,
    const char *const *params)
{
    PGresult        *res;
    ExecStatusType   status;

    if (worker_pg_ready(keeper->pg) != TRAVEL_OK) {
        res = NULL;
        status = PGRES_FATAL_ERROR;
    } else {
        res = worker_pg_exec(keeper->pg, sql, n, params);
        status = PQresultStatus(res);
    }

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
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


/* {"a","b"} of names that need no escapes. */
static void
keeper_arrays(char *queues, char *numbers, keeper_lot_t **list, size_t n)
{
    size_t  i;

    *queues++ = '{';
    *numbers++ = '{';

    for (i = 0; i < n; i++) {
        queues += sprintf(queues, "%s%s", i ? "," : "", list[i]->queue);
        numbers += sprintf(numbers, "%s%u", i ? "," : "", list[i]->number);
    }

    strcpy(queues, "}");
    strcpy(numbers, "}");
}


static keeper_lot_t *
keeper_lot_of(worker_keeper_t *keeper, PGresult *res, int row)
{
    travel_str_t  queue;

    queue.data = PQgetvalue(res, row, 0);
    queue.len = (size_t) PQgetlength(res, row, 0);

    return keeper_lot_find(keeper, queue,
                           (unsigned) atoi(PQgetvalue(res, row, 1)));
}


/* Which lots nobody has.  A lot without a row has never had an owner. */
static int
keeper_survey(worker_keeper_t *keeper, int64_t now)
{
    int            i;
    size_t         n;
    bool           taken;
    PGresult      *res;
    keeper_lot_t  *lot;
    const char    *params[1] = { keeper->spec.owner };

    res = keeper_pg(keeper,
                    "SELECT queue, partition FROM jobs.partition"
                    " WHERE owner IS NOT NULL AND owner <> $1"
                    "   AND expires_at >= clock_timestamp()", 1, params);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    for (n = 0; n < keeper->nlots; n++) {
        lot = keeper->lots[n];
        taken = false;

        for (i = 0; i < PQntuples(res) && !taken; i++) {
            taken = keeper_lot_of(keeper, res, i) == lot;
        }

        if (!taken && !lot->free) {
            lot->free_since = now;
        }

        lot->free = !taken;
        lot->mine = n % keeper->live == keeper->rank;
        lot->seated = now - keeper->live_since >= KEEPER_SETTLED_MS;
    }

    PQclear(res);
    return TRAVEL_OK;
}


/* The lease as it stands now: the fetcher writes its answers any time. */
static worker_lease_t
keeper_lease_of(worker_keeper_t *keeper, const keeper_lot_t *lot)
{
    worker_lease_t  lease;

    pthread_mutex_lock(&keeper->mutex);
    lease = lot->lease;
    pthread_mutex_unlock(&keeper->mutex);

    return lease;
}


static bool
keeper_wants(worker_keeper_t *keeper, const keeper_lot_t *lot, int64_t now)
{
    worker_lease_t  lease;

    lease = keeper_lease_of(keeper, lot);

    if (lease.fence) {
        return !lease.let_go;
    }

    return lot->free
           && (lot->mine || now - lot->free_since >= KEEPER_ORPHAN_MS);
}


static void
keeper_granted(worker_keeper_t *keeper, keeper_lot_t *lot, long long fence,
    int64_t asked, bool *changed)
{
    pthread_mutex_lock(&keeper->mutex);

    if (lot->lease.fence != fence) {
        *changed = true;
        lot->lease.wanted_back = false;
        lot->lease.let_go = false;
    }

    lot->lease.fence = fence;
    lot->lease.until = fence ? asked + keeper->spec.conf->lease_ttl_ms : 0;

    if (fence && !lot->mine && lot->seated && !lot->lease.wanted_back) {
        lot->lease.wanted_back = true;
        *changed = true;
    } else if (lot->mine && lot->lease.wanted_back && !lot->lease.let_go) {
        lot->lease.wanted_back = false;
        *changed = true;
    }

    pthread_mutex_unlock(&keeper->mutex);
}


/* Takes or renews in one statement; lots in one order, so that two processes
 * can not wait for each other. */
static void
keeper_lease(worker_keeper_t *keeper, keeper_lot_t **list, size_t n,
    int64_t asked)
{
    int            i;
    bool           changed;
    char           ttl[32];
    static char    queues[WORKER_PARTITIONS_MAX * (TRAVEL_QUEUE_NAME_MAX + 1)
                          + 3];
    static char    numbers[WORKER_PARTITIONS_MAX * 4 + 3];
    PGresult      *res;
    keeper_lot_t  *lot;
    const char    *params[4] = { queues, numbers, keeper->spec.owner, ttl };

    if (n == 0) {
        return;
    }

    keeper_arrays(queues, numbers, list, n);
    snprintf(ttl, sizeof(ttl), "%ld ms", keeper->spec.conf->lease_ttl_ms);

    res = keeper_pg(keeper,
                    "SELECT q, p, jobs.lease(q, p, $3, $4::interval)"
                    "  FROM unnest($1::text[], $2::integer[]) AS t (q, p)",
                    4, params);

    if (res == NULL) {
        return;
    }

    changed = false;

    for (i = 0; i < PQntuples(res); i++) {
        lot = keeper_lot_of(keeper, res, i);

        if (lot != NULL) {
            keeper_granted(keeper, lot, PQgetisnull(res, i, 2)
                           ? 0 : atoll(PQgetvalue(res, i, 2)), asked,
                           &changed);
        }
    }

    PQclear(res);

    if (changed) {
        keeper_ring(keeper);
    }
}


static void
keeper_release(worker_keeper_t *keeper, keeper_lot_t *lot)
{
    char         number[8];
    PGresult    *res;
    const char  *params[3] = { lot->queue, number, keeper->spec.owner };

    snprintf(number, sizeof(number), "%u", lot->number);
    res = keeper_pg(keeper, "SELECT jobs.release($1, $2::integer, $3)", 3,
                    params);

    if (res == NULL) {
        return;
    }

    PQclear(res);
    lot->free_since = keeper_now(CLOCK_MONOTONIC);
    pthread_mutex_lock(&keeper->mutex);
    memset(&lot->lease, 0, sizeof(lot->lease));
    pthread_mutex_unlock(&keeper->mutex);
}


/* Redis has seen a higher fence than PostgreSQL gives (the database came back
 * from a backup, say).  The lease is the authority: its fence catches up. */
static void
keeper_lift(worker_keeper_t *keeper, keeper_lot_t *lot, long long lift)
{
    char         number[8], fence[24];
    PGresult    *res;
    const char  *params[4] = { lot->queue, number, keeper->spec.owner, fence };

    snprintf(number, sizeof(number), "%u", lot->number);
    snprintf(fence, sizeof(fence), "%lld", lift);

    res = keeper_pg(keeper,
                    "UPDATE jobs.partition SET fence = $4::bigint + 1"
                    " WHERE queue = $1 AND partition = $2::integer"
                    "   AND owner = $3 AND fence <= $4::bigint"
                    "   AND expires_at > clock_timestamp()", 4, params);

    if (res == NULL) {
        return;
    }

    PQclear(res);
    pthread_mutex_lock(&keeper->mutex);
    lot->lease.lift = 0;
    pthread_mutex_unlock(&keeper->mutex);
}


static bool
keeper_stopping(worker_keeper_t *keeper)
{
    bool  stopping;

    pthread_mutex_lock(&keeper->mutex);
    stopping = keeper->stopping;
    pthread_mutex_unlock(&keeper->mutex);

    return stopping;
}


static void
keeper_renew(worker_keeper_t *keeper, int64_t now)
{
    size_t                i, n;
    static keeper_lot_t  *list[WORKER_PARTITIONS_MAX];

    for (i = 0, n = 0; i < keeper->nlots; i++) {
        if (keeper_lease_of(keeper, keeper->lots[i]).fence
            && keeper_wants(keeper, keeper->lots[i], now))
        {
            list[n++] = keeper->lots[i];
        }
    }

    keeper_lease(keeper, list, n, keeper_now(CLOCK_MONOTONIC));
}


/* New ones one by one: a take-over waits for the transactions of the owner
 * before, and neither our renewals nor the other lots shall wait with it. */
static void
keeper_take(worker_keeper_t *keeper, int64_t now)
{
    size_t         i;
    bool           set;
    PGresult      *res;
    keeper_lot_t  *lot;

    set = false;

    for (i = 0; i < keeper->nlots && !keeper_stopping(keeper); i++) {
        lot = keeper->lots[i];

        if (keeper_lease_of(keeper, lot).fence
            || !keeper_wants(keeper, lot, now))
        {
            continue;
        }

        if (!set) {
            res = keeper_pg(keeper, "SET lock_timeout = '500ms'", 0, NULL);

            if (res == NULL) {
                return;
            }

            PQclear(res);
            set = true;
        }

        keeper_lease(keeper, &lot, 1, keeper_now(CLOCK_MONOTONIC));
    }
}


static void
keeper_leases(worker_keeper_t *keeper, int64_t now)
{
    size_t           i;
    bool             unmet;
    keeper_lot_t    *lot;
    worker_lease_t   lease;

    keeper_seats(keeper, now);

    for (i = 0; i < keeper->nlots; i++) {
        lot = keeper->lots[i];
        lease = keeper_lease_of(keeper, lot);

        if (lease.fence && lease.let_go) {
            keeper_release(keeper, lot);
        } else if (lease.fence && lease.lift) {
            keeper_lift(keeper, lot, lease.lift);
        }
    }

    unmet = keeper_survey(keeper, now) != TRAVEL_OK;

    if (!unmet) {
        keeper_renew(keeper, now);
        keeper_take(keeper, now);
    }

    for (i = 0; i < keeper->nlots; i++) {
        lot = keeper->lots[i];
        lease = keeper_lease_of(keeper, lot);
        unmet |= (lot->mine || lot->free) && lease.fence == 0;
        unmet |= lease.wanted_back;
    }

    keeper->lease_at = now + (unmet || keeper->nlots == 0
                              ? KEEPER_TICK_MS
                              : keeper->spec.conf->lease_ttl_ms / 3);
}


/* --- heartbeat and errands ------------------------------------------------ */

static bool
keeper_holds(worker_keeper_t *keeper, const keeper_lot_t *lot, int64_t now)
{
    worker_lease_t  lease;

    lease = keeper_lease_of(keeper, lot);

    return lease.fence != 0 && lease.until > now && !lease.let_go;
}


static int
keeper_position_read(worker_keeper_t *keeper)
{
    char           timeline[9];
    PGresult      *res;
    travel_lsn_t   at;
    travel_str_t   lsn;

    res = keeper_pg(keeper, "SELECT lsn, pg_walfile_name(lsn)"
                            "  FROM pg_current_wal_flush_lsn() AS lsn",
                    0, NULL);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    lsn.data = PQgetvalue(res, 0, 0);
    lsn.len = (size_t) PQgetlength(res, 0, 0);

    if (travel_lsn_parse(&at.lsn, lsn) != TRAVEL_OK) {
        PQclear(res);
        return TRAVEL_INVALID;
    }

    snprintf(timeline, sizeof(timeline), "%.8s", PQgetvalue(res, 0, 1));
    at.timeline = (uint32_t) strtoul(timeline, NULL, 16);
    PQclear(res);

    pthread_mutex_lock(&keeper->mutex);
    keeper->position = at;
    pthread_mutex_unlock(&keeper->mutex);

    return TRAVEL_OK;
}


/* The row whose age on a replica is that replica's lag.  The timeline is that
 * of the beat before: it changes while nobody can write. */
static void
keeper_beat(worker_keeper_t *keeper)
{
    char         timeline[16];
    PGresult    *res;
    const char  *params[1] = { timeline };

    if (keeper->position.timeline == 0
        && keeper_position_read(keeper) != TRAVEL_OK)
    {
        return;
    }

    snprintf(timeline, sizeof(timeline), "%u",
             (unsigned) keeper->position.timeline);
    res = keeper_pg(keeper,
                    "INSERT INTO travel.heartbeat (seq, timeline, at)"
                    " VALUES (1, $1::integer, clock_timestamp())"
                    " ON CONFLICT (one) DO UPDATE"
                    "    SET seq = travel.heartbeat.seq + 1,"
                    "        timeline = excluded.timeline,"
                    "        at = excluded.at", 1, params);
    PQclear(res);

    (void) keeper_position_read(keeper);
}


static void
keeper_watchers(worker_keeper_t *keeper, int64_t now)
{
    if (keeper->cache != NULL && keeper->cache->err) {
        worker_log(WORKER_LOG_WARN, "redis cache: %s", keeper->cache->errstr);
        redisFree(keeper->cache);
        keeper->cache = NULL;
    }

    if (keeper->cache == NULL && now >= keeper->told_at) {
        keeper->cache = worker_redis_cache(keeper->spec.conf, "travel-live",
                                          KEEPER_REDIS_S);
        keeper->told_at = now + KEEPER_LIVE_MS;
    }
}


/* Its outbox has rows. */
static void
keeper_errand(worker_keeper_t *keeper, keeper_lot_t *lot)
{
    pthread_mutex_lock(&keeper->mutex);
    lot->rung = true;
    keeper->errand = true;
    pthread_mutex_unlock(&keeper->mutex);
}


static void
keeper_errands(worker_keeper_t *keeper, int64_t now)
{
    int             sent;
    size_t          i, first;
    bool            all, rung;
    keeper_lot_t   *lot;
    worker_relay_t  relay;

    all = now >= keeper->errand_at;

    if (all) {
        keeper->errand_at = now + KEEPER_ERRAND_MS;
    }

    first = keeper->errand_lot;

    for (i = 0; i < keeper->nlots; i++) {
        lot = keeper->lots[(first + i) % keeper->nlots];
        pthread_mutex_lock(&keeper->mutex);
        rung = lot->rung;
        lot->rung = false;
        pthread_mutex_unlock(&keeper->mutex);

        if ((!all && !rung) || !keeper_holds(keeper, lot, now)) {
            continue;
        }

        if (keeper->redis == NULL) {
            return;                 /* the next round connects */
        }

        keeper_watchers(keeper, now);

        relay = (worker_relay_t) {
            .pg = keeper->pg,
            .redis = keeper->redis,
            .live = keeper->cache,
            .mute = keeper->spec.conf->cache_socket == NULL,
            .queue = lot->queue,
            .number = lot->number,
            .retention_ms = worker_conf_retention_ms(keeper->spec.conf,
                                                     lot->queue),
            .claim_check = keeper->spec.conf->claim_check,
        };
        sent = worker_relay_outbox(&relay);

        if (sent >= WORKER_RELAY_ROUND) {
            keeper_errand(keeper, lot);
        }

        if (sent >= 0 && all) {
            sent = worker_relay_dead(&relay);
        }

        if (sent < 0 && worker_redis_error(keeper->redis) != NULL) {
            keeper_redis_drop(keeper, worker_redis_error(keeper->redis));
            keeper->errand_lot = (first + i + 1) % keeper->nlots;
            return;
        }
    }
}


/* --- the thread ----------------------------------------------------------- */

static void
keeper_pause(worker_keeper_t *keeper)
{
    int64_t          until;
    struct timespec  ts;

    until = keeper_now(CLOCK_MONOTONIC) + KEEPER_TICK_MS;
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


static void
keeper_leave(worker_keeper_t *keeper)
{
    PGresult    *res;
    redisReply  *reply;
    const char  *params[1] = { keeper->spec.owner };
    const char  *rem[3] = { "ZREM", KEEPER_KEY_SEATS, keeper->seat };

    res = keeper_pg(keeper, "UPDATE jobs.partition"
                            "   SET owner = NULL, expires_at = '-infinity'"
                            " WHERE owner = $1", 1, params);
    PQclear(res);

    reply = keeper_redis(keeper, 3, rem);

    if (reply != NULL) {
        freeReplyObject(reply);
    }
}


/* How this process's breakers are: at once when one has changed. */
static void
keeper_tell(worker_keeper_t *keeper, int64_t now)
{
    redisReply             *reply;
    worker_breakers_t       command;
    const worker_sheet_t   *sheet;

    sheet = keeper->spec.queue->sheet;

    if ((now < keeper->tell_at
         && !worker_breakers_changed(sheet, &keeper->told))
        || !worker_breakers_command(&command, sheet, keeper->spec.seat,
                                    keeper_now(CLOCK_REALTIME)))
    {
        return;
    }

    keeper->tell_at = now + KEEPER_TELL_MS;
    reply = keeper_redis(keeper, command.argc, command.argv);
    freeReplyObject(reply);
}


static void *
keeper_main(void *data)
{
    int64_t           now;
    worker_keeper_t  *keeper = data;
    keeper_lot_t     *beat;

    while (!keeper_stopping(keeper)) {
        now = keeper_now(CLOCK_MONOTONIC);
        keeper_layout(keeper, now);

        if (now >= keeper->lease_at) {
            keeper_leases(keeper, now);
        }

        beat = keeper_lot_find(keeper, TRAVEL_STR("maintenance"), 0);

        if (beat != NULL && now >= keeper->beat_at
            && keeper_holds(keeper, beat, now))
        {
            keeper->beat_at = now + KEEPER_TICK_MS;
            keeper_beat(keeper);
        }

        keeper_tell(keeper, now);
        keeper_errands(keeper, now);
        keeper_pause(keeper);
    }

    keeper_leave(keeper);
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
    lot = keeper_lot_find(keeper, queue, number);

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
