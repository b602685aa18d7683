/*
 * The connections of one thread to the queue role: to its master, or to every
 * master of a cluster, where a command goes to whoever has its key's slot.
 *
 * The thread that made a hub owns it and all its links.
 */

#ifndef WORKER_HUB_H
#define WORKER_HUB_H

#include <poll.h>

#include "link.h"

typedef struct worker_hub_s  worker_hub_t;

typedef struct {
    const worker_conf_t  *conf;
    const char           *name;       /* of its links, in CLIENT LIST */
    /* A link to a server broke; what was open on it has been answered. */
    void                (*down)(void *data, const worker_link_t *link);
    void                 *data;
} worker_hub_spec_t;

typedef struct {
    uint64_t              moved;      /* commands that were sent again for a */
    uint64_t              asked;      /* slot that had moved, or was moving */
} worker_hub_stat_t;

worker_hub_t *worker_hub_create(const worker_hub_spec_t *spec);
/* Open commands are answered with NULL before. */
void worker_hub_free(worker_hub_t **phub);

bool worker_hub_is_cluster(const worker_hub_t *hub);
worker_hub_stat_t worker_hub_stat(const worker_hub_t *hub);

/*
 * The link to the slot's server; NULL: none is known.  It lives as long as the
 * hub, but the next turn may name another.  What a server redirects is sent
 * again where it says, once its link is up; answers of other kinds than MOVED
 * and ASK come to the callback.
 */
worker_link_t *worker_hub_link(const worker_hub_t *hub, unsigned slot);

/* One more link, turned and flushed with the others, for commands that block:
 * to the slot's server, wherever that is; nothing on it is sent again.  NULL:
 * no memory. */
worker_link_t *worker_hub_bell(worker_hub_t *hub, const char *name,
    unsigned slot);
/* Not from inside a callback. */
void worker_hub_mute(worker_hub_t *hub, worker_link_t **pbell);

/* For poll(): the hub's array, its first 'ahead' places the caller's. */
struct pollfd *worker_hub_poll(worker_hub_t *hub, size_t ahead,
    size_t *ret_n);
/* After poll(), with what is behind those places; now: monotonic ms. */
void worker_hub_turn(worker_hub_t *hub, const struct pollfd *fds, int64_t now);
/* Writes what the turn gathered. */
void worker_hub_flush(worker_hub_t *hub);
/* ms until it wants a turn without an event, or -1. */
int worker_hub_wait(const worker_hub_t *hub, int64_t now);

#endif
