/*
 * What the keeper's files share: keeper.c (connections, which partitions there
 * are, the thread), keeper_lease.c, keeper_errand.c.  All of it is the keeper
 * thread's, but for what the struct says of the mutex.
 */

#ifndef WORKER_KEEPER_PARTS_H
#define WORKER_KEEPER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../store/pg.h"

#define KEEPER_TICK_MS     250
#define KEEPER_REDIS_S     2

typedef struct {
    char            queue[TRAVEL_QUEUE_NAME_MAX + 1];
    unsigned        number;
    size_t          place;          /* in the list: of the queue, the number */
    worker_lease_t  lease;          /* mutex */
    bool            rung;           /* mutex: outbox rows wait */
    int64_t         round_at;       /* its next, without a ring */
    uint64_t        outbox_top;     /* the row that was sent last */
    uint64_t        outbox_after;   /* the same, two rounds ago */
    uint64_t        outbox_was;     /* one round ago */
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
    worker_pauses_t       pauses;
    bool                  hurry;        /* leases */
    bool                  errand;       /* some lot is rung */
    bool                  stopping;
    _Atomic bool          rang;
    _Atomic bool          blind;        /* PostgreSQL does not answer */

    worker_pg_t          *pg;           /* keeper thread, so below */
    worker_redis_t       *redis;
    redisContext         *cache;        /* that role; NULL: away */
    int64_t               cache_at;     /* when it is tried again */
    size_t                rank;
    size_t                live;
    int64_t               live_since;   /* the table has not changed since */
    uint64_t              live_hash;
    int64_t               layout_at;
    int64_t               lease_at;
    int64_t               pause_at;
    size_t                errand_lot;   /* the first: one whose master is away
                                           must not stop the others */
    int64_t               beat_at;
    int64_t               tell_at;
    uint64_t              told;         /* breakers.h */
    bool                  complained;
};

/* Milliseconds. */
int64_t worker_keeper_now(clockid_t clock);
bool worker_keeper_stopping(worker_keeper_t *keeper);

/* NULL, and it is told: it does not answer, or has answered with an error. */
redisReply *worker_keeper_redis(worker_keeper_t *keeper, int argc,
    const char **argv);
void worker_keeper_redis_drop(worker_keeper_t *keeper, const char *why);
PGresult *worker_keeper_pg(worker_keeper_t *keeper, const char *sql, int n,
    const char *const *params);

keeper_lot_t *worker_keeper_find(const worker_keeper_t *keeper,
    travel_str_t queue, unsigned number);

/* keeper_lease.c: a round, when it is time; the lease as it stands; all leases
 * and our seat given back */
void worker_keeper_leases(worker_keeper_t *keeper, int64_t now);
worker_lease_t worker_keeper_lease(worker_keeper_t *keeper,
    const keeper_lot_t *lot);
void worker_keeper_leave(worker_keeper_t *keeper);

/* The fetcher's next turn is now. */
void worker_keeper_ring(worker_keeper_t *keeper);

/* keeper_errand.c: each when it is time */
void worker_keeper_pause(worker_keeper_t *keeper, int64_t now);
void worker_keeper_beat(worker_keeper_t *keeper, int64_t now);
void worker_keeper_tell(worker_keeper_t *keeper, int64_t now);
void worker_keeper_errands(worker_keeper_t *keeper, int64_t now);

#endif
