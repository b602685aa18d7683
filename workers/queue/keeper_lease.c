/*
 * Who is there, and which partitions each of them has: the seats, and the
 * leases of ours.  The rules are in keeper.c.
 */

#include <stdio.h>
#include <stdlib.h>

#include "keeper_parts.h"
#include "../pool/log.h"

#define KEEPER_KEY_SEATS   "travel:workers"
#define KEEPER_ORPHAN_MS   2000     /* free that long: anybody takes it */
#define KEEPER_SETTLED_MS  3000     /* a seat that lives as long gets its own */


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
    char         ttl[24];
    redisReply  *reply;
    const char  *argv[6] = {
        "EVAL", travel_worker_script(TRAVEL_SCRIPT_SEATS).data, "1",
        KEEPER_KEY_SEATS, keeper->seat, ttl
    };

    snprintf(ttl, sizeof(ttl), "%ld", keeper->spec.conf->lease_ttl_ms);
    reply = worker_keeper_redis(keeper, 6, argv);

    if (reply != NULL) {
        keeper_seats_read(keeper, reply, now);
        freeReplyObject(reply);
    }
}


/* --- leases --------------------------------------------------------------- */

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

    return worker_keeper_find(keeper, queue,
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

    res = worker_keeper_pg(keeper,
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
worker_lease_t
worker_keeper_lease(worker_keeper_t *keeper, const keeper_lot_t *lot)
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

    lease = worker_keeper_lease(keeper, lot);

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

    res = worker_keeper_pg(keeper,
                           "SELECT q, p, jobs.lease(q, p, $3, $4::interval)"
                           "  FROM unnest($1::text[], $2::integer[])"
                           "       AS t (q, p)", 4, params);

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
        worker_keeper_ring(keeper);
    }
}


static void
keeper_release(worker_keeper_t *keeper, keeper_lot_t *lot)
{
    char         number[8];
    PGresult    *res;
    const char  *params[3] = { lot->queue, number, keeper->spec.owner };

    snprintf(number, sizeof(number), "%u", lot->number);
    res = worker_keeper_pg(keeper,
                           "SELECT jobs.release($1, $2::integer, $3)", 3,
                           params);

    if (res == NULL) {
        return;
    }

    PQclear(res);
    lot->free_since = worker_keeper_now(CLOCK_MONOTONIC);
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

    res = worker_keeper_pg(keeper,
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


static void
keeper_renew(worker_keeper_t *keeper, int64_t now)
{
    size_t                i, n;
    static keeper_lot_t  *list[WORKER_PARTITIONS_MAX];

    for (i = 0, n = 0; i < keeper->nlots; i++) {
        if (worker_keeper_lease(keeper, keeper->lots[i]).fence
            && keeper_wants(keeper, keeper->lots[i], now))
        {
            list[n++] = keeper->lots[i];
        }
    }

    keeper_lease(keeper, list, n, worker_keeper_now(CLOCK_MONOTONIC));
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

    for (i = 0; i < keeper->nlots && !worker_keeper_stopping(keeper); i++) {
        lot = keeper->lots[i];

        if (worker_keeper_lease(keeper, lot).fence
            || !keeper_wants(keeper, lot, now))
        {
            continue;
        }

        if (!set) {
            res = worker_keeper_pg(keeper, "SET lock_timeout = '500ms'", 0,
                                   NULL);

            if (res == NULL) {
                return;
            }

            PQclear(res);
            set = true;
        }

        keeper_lease(keeper, &lot, 1, worker_keeper_now(CLOCK_MONOTONIC));
    }
}


void
worker_keeper_leases(worker_keeper_t *keeper, int64_t now)
{
    size_t           i;
    bool             unmet;
    keeper_lot_t    *lot;
    worker_lease_t   lease;

    keeper_seats(keeper, now);

    for (i = 0; i < keeper->nlots; i++) {
        lot = keeper->lots[i];
        lease = worker_keeper_lease(keeper, lot);

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
        lease = worker_keeper_lease(keeper, lot);
        unmet |= (lot->mine || lot->free) && lease.fence == 0;
        unmet |= lease.wanted_back;
    }

    keeper->lease_at = now + (unmet || keeper->nlots == 0
                              ? KEEPER_TICK_MS
                              : keeper->spec.conf->lease_ttl_ms / 3);
}


void
worker_keeper_leave(worker_keeper_t *keeper)
{
    PGresult    *res;
    redisReply  *reply;
    const char  *params[1] = { keeper->spec.owner };
    const char  *rem[3] = { "ZREM", KEEPER_KEY_SEATS, keeper->seat };

    res = worker_keeper_pg(keeper,
                           "UPDATE jobs.partition"
                           "   SET owner = NULL, expires_at = '-infinity'"
                           " WHERE owner = $1", 1, params);
    PQclear(res);

    reply = worker_keeper_redis(keeper, 3, rem);

    if (reply != NULL) {
        freeReplyObject(reply);
    }
}
