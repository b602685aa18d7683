/*
 * What a process does for the partitions that are its own: what of them is
 * paused, the heartbeat that replicas are measured by, the outbox and the dead;
 * and what it tells of its breakers.
 */

#include <stdio.h>
#include <stdlib.h>

#include "breakers.h"
#include "keeper_parts.h"
#include "relay.h"
#include "../pool/log.h"

#define KEEPER_PAUSE_MS    250      /* what is paused is looked at as often */
#define KEEPER_ERRAND_MS   1000     /* outbox and dead, without a ring */
#define KEEPER_LIVE_MS     1000     /* between attempts to connect */
#define KEEPER_TELL_MS     5000     /* how the breakers are, changed or not */


static bool
keeper_holds(worker_keeper_t *keeper, const keeper_lot_t *lot, int64_t now)
{
    worker_lease_t  lease;

    lease = worker_keeper_lease(keeper, lot);

    return lease.fence != 0 && lease.until > now && !lease.let_go;
}


static void
keeper_pauses_read(worker_pauses_t *pauses, const PGresult *res)
{
    int  i;

    for (i = 0; i < PQntuples(res) && i < WORKER_PAUSES_MAX; i++) {
        snprintf(pauses->names[i], sizeof(pauses->names[i]), "%s",
                 PQgetvalue(res, i, 0));
    }

    pauses->n = (size_t) i;
}


/* Nothing is leased before this is known, and without PostgreSQL it stays as it
 * was. */
void
worker_keeper_pause(worker_keeper_t *keeper, int64_t now)
{
    bool             same;
    PGresult        *res;
    worker_pauses_t  pauses = { 0 };

    if (now < keeper->pause_at) {
        return;
    }

    keeper->pause_at = now + KEEPER_PAUSE_MS;
    res = worker_keeper_pg(keeper, "SELECT kind || ' ' || name FROM jobs.paused"
                                   " ORDER BY kind, name", 0, NULL);

    if (res == NULL) {
        return;
    }

    keeper_pauses_read(&pauses, res);
    PQclear(res);

    pthread_mutex_lock(&keeper->mutex);
    pauses.version = keeper->pauses.version;
    same = pauses.version > 0
           && memcmp(&pauses, &keeper->pauses, sizeof(pauses)) == 0;

    if (!same) {
        pauses.version++;
        keeper->pauses = pauses;
    }

    pthread_mutex_unlock(&keeper->mutex);

    if (!same) {
        worker_keeper_ring(keeper);
    }
}


static int
keeper_position_read(worker_keeper_t *keeper)
{
    char           timeline[9];
    PGresult      *res;
    travel_lsn_t   at;
    travel_str_t   lsn;

    res = worker_keeper_pg(keeper,
                           "SELECT lsn, pg_walfile_name(lsn)"
                           "  FROM pg_current_wal_flush_lsn() AS lsn", 0,
                           NULL);

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
void
worker_keeper_beat(worker_keeper_t *keeper, int64_t now)
{
    char           timeline[16];
    PGresult      *res;
    keeper_lot_t  *lot;
    const char    *params[1] = { timeline };

    lot = worker_keeper_find(keeper, TRAVEL_STR("maintenance"), 0);

    if (lot == NULL || now < keeper->beat_at || !keeper_holds(keeper, lot, now))
    {
        return;
    }

    keeper->beat_at = now + KEEPER_TICK_MS;

    if (keeper->position.timeline == 0
        && keeper_position_read(keeper) != TRAVEL_OK)
    {
        return;
    }

    snprintf(timeline, sizeof(timeline), "%u",
             (unsigned) keeper->position.timeline);
    res = worker_keeper_pg(keeper,
                           "INSERT INTO travel.heartbeat (seq, timeline, at)"
                           " VALUES (1, $1::integer, clock_timestamp())"
                           " ON CONFLICT (one) DO UPDATE"
                           "    SET seq = travel.heartbeat.seq + 1,"
                           "        timeline = excluded.timeline,"
                           "        at = excluded.at", 1, params);
    PQclear(res);

    (void) keeper_position_read(keeper);
}


/* How this process's breakers are: at once when one has changed. */
void
worker_keeper_tell(worker_keeper_t *keeper, int64_t now)
{
    redisReply             *reply;
    worker_breakers_t       command;
    const worker_sheet_t   *sheet;

    sheet = keeper->spec.queue->sheet;

    if ((now < keeper->tell_at
         && !worker_breakers_changed(sheet, &keeper->told))
        || !worker_breakers_command(&command, sheet, keeper->spec.seat,
                                    worker_keeper_now(CLOCK_REALTIME)))
    {
        return;
    }

    keeper->tell_at = now + KEEPER_TELL_MS;
    reply = worker_keeper_redis(keeper, command.argc, command.argv);
    freeReplyObject(reply);
}


static void
keeper_watchers(worker_keeper_t *keeper, int64_t now)
{
    if (keeper->cache != NULL && keeper->cache->err) {
        worker_log(WORKER_LOG_WARN, "redis cache: %s", keeper->cache->errstr);
        redisFree(keeper->cache);
        keeper->cache = NULL;
    }

    if (keeper->cache == NULL && now >= keeper->cache_at) {
        keeper->cache = worker_redis_cache(keeper->spec.conf, "travel-live",
                                          KEEPER_REDIS_S);
        keeper->cache_at = now + KEEPER_LIVE_MS;
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


/* A row that was not visible yet when later ones were sent is found by a ring
 * for one round more, then by each round, which looks at all. */
static uint64_t
keeper_outbox_after(keeper_lot_t *lot, bool round)
{
    if (!round) {
        return lot->outbox_after;
    }

    lot->outbox_after = lot->outbox_was;
    lot->outbox_was = lot->outbox_top;
    return 0;
}


void
worker_keeper_errands(worker_keeper_t *keeper, int64_t now)
{
    int             sent;
    size_t          i, first;
    bool            round, more, rung;
    keeper_lot_t   *lot;
    worker_relay_t  relay;

    first = keeper->errand_lot;

    for (i = 0; i < keeper->nlots; i++) {
        lot = keeper->lots[(first + i) % keeper->nlots];
        pthread_mutex_lock(&keeper->mutex);
        rung = lot->rung;
        lot->rung = false;
        pthread_mutex_unlock(&keeper->mutex);
        round = now >= lot->round_at;

        if ((!round && !rung) || !keeper_holds(keeper, lot, now)) {
            continue;
        }

        if (keeper->redis == NULL) {
            return;                 /* the next round connects */
        }

        keeper_watchers(keeper, now);
        lot->round_at = round ? now + KEEPER_ERRAND_MS : lot->round_at;

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
            .after = keeper_outbox_after(lot, round),
            .top = &lot->outbox_top,
        };
        sent = worker_relay_outbox(&relay);
        more = sent >= WORKER_RELAY_ROUND;

        if (sent >= 0 && round) {
            sent = worker_relay_dead(&relay);
        }

        if (sent < 0 && worker_redis_error(keeper->redis) != NULL) {
            worker_keeper_redis_drop(keeper, worker_redis_error(keeper->redis));
            keeper->errand_lot = (first + i + 1) % keeper->nlots;
            return;
        }

        if (more) {
            keeper_errand(keeper, lot);     /* others first, and the leases */
            keeper->errand_lot = (first + i + 1) % keeper->nlots;
            return;
        }
    }
}
