/*
 * The keeper: the thread of a worker process that talks to PostgreSQL about
 * partitions, so that the fetcher never waits for a database.
 *
 * It takes and renews leases, counts the live processes, takes its fair share,
 * gives extras back, reads what is paused, beats travel.heartbeat, relays the
 * outbox and moves the dead.  It and the fetcher meet only in worker_lease_t
 * and worker_pauses_t, under its mutex.
 */

#ifndef WORKER_KEEPER_H
#define WORKER_KEEPER_H

#include "../pool/conf.h"
#include "../../common/consistency.h"

typedef struct worker_keeper_s  worker_keeper_t;

struct worker_queue_s;

typedef struct {
    long long  fence;           /* 0: not ours */
    int64_t    until;           /* monotonic ms: it lapses */
    bool       wanted_back;     /* keeper asks the fetcher to let go */
    bool       let_go;          /* fetcher's answer */
    long long  lift;            /* Redis knows a higher fence than ours */
} worker_lease_t;

typedef struct {
    const worker_conf_t    *conf;
    struct worker_queue_s  *queue;
    const char             *owner;      /* this incarnation: a lease holder */
    const char             *seat;       /* host, pool and index: the same in
                                           the next incarnation */
    int                     ring_fd;
} worker_keeper_spec_t;

#define WORKER_PAUSES_MAX  160      /* queues and types there may be */

/* What is paused (jobs.paused), as last read; version 0: never yet. */
typedef struct {
    uint64_t  version;              /* raised when it has changed */
    size_t    n;
    char      names[WORKER_PAUSES_MAX][72];     /* "queue booking",
                                                   "type booking.create" */
} worker_pauses_t;

worker_keeper_t *worker_keeper_start(const worker_keeper_spec_t *spec);

/* Fetcher: copies the leases' words, takes its answers.  Which partitions
 * there are is the keeper's to say (travel:layout): 'meet' is called for each
 * one, under the mutex. */
void worker_keeper_meet(worker_keeper_t *keeper,
    void (*meet)(void *data, const char *queue, unsigned number,
                 worker_lease_t *lease),
    void *data);
bool worker_keeper_rang(worker_keeper_t *keeper);
/* Fetcher: what is paused, if that has another version than 'known'. */
bool worker_keeper_pauses(worker_keeper_t *keeper, uint64_t known,
    worker_pauses_t *ret_pauses);
/* Fetcher: something changed, do not wait for the next round. */
void worker_keeper_hurry(worker_keeper_t *keeper);

/* Any thread: rows of the outbox wait in this partition. */
void worker_keeper_outbox(worker_keeper_t *keeper, travel_str_t queue,
    unsigned number);

/* Any thread: the primary's position as last seen; timeline 0: never. */
travel_lsn_t worker_keeper_position(worker_keeper_t *keeper);

/* Any thread: PostgreSQL does not answer, so leases lapse unrenewed. */
bool worker_keeper_blind(worker_keeper_t *keeper);

/* Gives all leases back, leaves the registry, joins the thread. */
void worker_keeper_stop(worker_keeper_t **pkeeper);

#endif
