/*
 * A publisher's way along the event store: where it was (its row in
 * events.publisher), up to where a batch may go, what is in it.
 *
 * One publisher of a name runs at a time; a tail belongs to one thread.
 */

#ifndef WORKER_TAIL_H
#define WORKER_TAIL_H

#include <time.h>

#include "../store/pg.h"

typedef struct {
    const char  *name;          /* in events.publisher, and in the log */
    char         checkpoint[24];    /* "": to be read */
    time_t       said;          /* when a lagging group was told of last */
} worker_tail_t;

/* One event as those who follow see it: of "e", a row of events.tail. */
#define WORKER_TAIL_EVENT                                                     \
    "json_build_object('id', e.position, 'type', e.type,"                     \
    " 'aggregate', e.stream_type, 'aggregate_id', e.stream_id,"               \
    " 'version', e.version, 'user_id', e.user_id, 'trace', e.trace,"          \
    " 'data', e.data, 'created_at', travel.rfc3339(e.created_at))"

/* A result with rows, or NULL: the log says why. */
PGresult *worker_tail_ask(const worker_tail_t *tail, worker_pg_t *pg,
    const char *sql, int n, const char *const *params);

/*
 * The next batch: the rows of 'columns' (of e, an event; t, its type; p, its
 * topic) up to *ret_next, in the order of their positions.  NULL: none waits,
 * or *ret_failed: the checkpoint is read again then.
 */
PGresult *worker_tail_next(worker_tail_t *tail, worker_pg_t *pg,
    const char *columns, char ret_next[24], bool *ret_failed);

/* The batch of 'n' events up to 'next' is published. */
bool worker_tail_move(worker_tail_t *tail, worker_pg_t *pg, const char *next,
    int n);

/* It is not: from the database's checkpoint again. */
void worker_tail_again(worker_tail_t *tail);

#endif
