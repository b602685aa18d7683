/* The keeper's two errands for a partition it owns: the outbox (relay.c) and
 * the dead (relay_dead.c). */

#ifndef WORKER_RELAY_H
#define WORKER_RELAY_H

#include "redis.h"
#include "../store/pg.h"

struct redisContext;

typedef struct {
    worker_pg_t          *pg;
    worker_redis_t       *redis;
    struct redisContext  *live;       /* the cache role; NULL: away, and live
                                         messages wait, jobs do not */
    bool                  mute;       /* there is no such role: nobody hears */
    const char           *queue;
    unsigned              number;
    long                  retention_ms;         /* of dead letters */
    uint64_t              claim_check;          /* larger payloads stay in the
                                                   database */
    uint64_t              after;      /* no row up to this one is looked for */
    uint64_t             *top;        /* the last row sent; kept if there is
                                         none */
} worker_relay_t;

/* Sends what waits in jobs.outbox, in id order, and marks it.  A row may become
 * visible behind later ones, so 'after' is for most looks, not for all; without
 * it each of them passes over all that was sent since the last vacuum.  Returns
 * rows sent, or a TRAVEL_ code below zero: what was not marked is sent again.
 * After WORKER_RELAY_ROUND rows there may be more: others are to have their
 * turn. */
#define WORKER_RELAY_ROUND  4000
int worker_relay_outbox(const worker_relay_t *relay) TRAVEL_MUST_CHECK;

/* Copies what is new in :dead to jobs.dead, and takes out of it what is past
 * its time there.  Likewise. */
int worker_relay_dead(const worker_relay_t *relay) TRAVEL_MUST_CHECK;

#endif
