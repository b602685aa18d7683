/*
 * The board: anonymous memory that the supervisor maps before the first fork
 * and shares with every worker process.
 *
 * A process writes its own sheet only: counters by its fetcher thread, a
 * slot's line by that slot's thread.  The supervisor reads all of it, while
 * they live (metrics) and after they died (which job was in the slot that
 * crashed).  Relaxed atomics do: a number may be a moment old, never torn.
 */

#ifndef WORKER_BOARD_H
#define WORKER_BOARD_H

#include <stdatomic.h>

#include "conf.h"
#include "recycle.h"
#include "../queue/entry.h"

#define WORKER_PROCESSES_MAX   64
#define WORKER_SLOTS_MAX       256
#define WORKER_BOARD_TYPES     128      /* the last row: types not known */
#define WORKER_BOARD_BUCKETS   17       /* run time; the last is +Inf */
#define WORKER_BOARD_DESTINATIONS  64
#define WORKER_BOARD_FIGURES  512
#define WORKER_BOARD_PARTS     128      /* owned partitions with a gauge */

typedef struct {
    _Atomic int64_t  started_ms;        /* monotonic; 0: idle */
    char             job_id[TRAVEL_JOB_ID_MAX + 1];
    char             type[40];
} worker_board_slot_t;

typedef struct {
    char              name[TRAVEL_QUEUE_NAME_MAX + 8];    /* "booking.3" */
    _Atomic bool      used;
    _Atomic int64_t   depth[TRAVEL_PRIORITY_MAX];
    _Atomic int64_t   delayed;
    _Atomic int64_t   dead;
    _Atomic int64_t   oldest_ms;        /* unix; 0: nothing waits */
    _Atomic int64_t   fence;
} worker_board_part_t;

typedef struct {
    _Atomic uint64_t  outcome[WORKER_OUTCOME_MAX];
    _Atomic uint64_t  run[WORKER_BOARD_BUCKETS];
    _Atomic uint64_t  run_us;           /* sum */
} worker_board_type_t;

typedef struct {                            /* written by the I/O thread */
    char              name[48];
    _Atomic bool      used;
    _Atomic int       state;            /* travel_breaker_state_e */
    _Atomic int64_t   until_ms;         /* unix; an open one's */
    _Atomic uint64_t  changes;          /* of the state */
    _Atomic uint64_t  opened;
    _Atomic uint64_t  good;             /* calls, so below */
    _Atomic uint64_t  bad;
    _Atomic uint64_t  refused;          /* by the breaker */
    _Atomic int64_t   active;
    _Atomic uint64_t  took[WORKER_BOARD_BUCKETS];
    _Atomic uint64_t  took_us;          /* sum */
} worker_board_destination_t;

typedef struct {                            /* written by who leads the
                                               schedules */
    char              name[120];        /* with its labels */
    _Atomic bool      used;
    _Atomic double    value;
} worker_board_figure_t;

typedef struct {
    _Atomic int              pid;       /* 0: not running */
    _Atomic int              crash_slot;    /* set by the signal handler; -1 */
    _Atomic uint64_t         restarts;
    _Atomic uint64_t         fetched;
    _Atomic uint64_t         leases_taken;
    _Atomic uint64_t         leases_lost;
    _Atomic uint64_t         redis_drops;
    _Atomic uint64_t         redis_moved;   /* commands sent again, in a */
    _Atomic uint64_t         redis_asked;   /* cluster */
    _Atomic uint64_t         in_memory;
    _Atomic uint64_t         asking;        /* jobs that wait without a slot */
    _Atomic unsigned         nslots;        /* it is to have: the supervisor's
                                               word */
    _Atomic int64_t          waited_ms;     /* the longest that a job waited for
                                               nothing but a slot, of late */
    _Atomic uint64_t         ran;           /* jobs, since it was started */
    _Atomic uint64_t         recycled[WORKER_RECYCLE_MAX];
    _Atomic uint64_t         spans_exported;
    _Atomic uint64_t         spans_dropped;
    _Atomic uint64_t         spans_failed;
    worker_board_type_t      types[WORKER_BOARD_TYPES];
    worker_board_part_t      parts[WORKER_BOARD_PARTS];
    worker_board_slot_t      slots[WORKER_SLOTS_MAX];
    worker_board_destination_t  destinations[WORKER_BOARD_DESTINATIONS];
    worker_board_figure_t    figures[WORKER_BOARD_FIGURES];
} worker_sheet_t;

typedef struct {
    _Atomic unsigned  processes;            /* that there are to be; the */
    _Atomic unsigned  slots;                /* supervisor's, so below */
    _Atomic uint64_t  scalings[2];          /* up, down */
    worker_sheet_t    sheets[WORKER_PROCESSES_MAX];
} worker_board_t;

worker_board_t *worker_board_create(void);      /* NULL: no memory */

/* The longest of all waited_ms: in any process that runs. */
int64_t worker_board_waited(const worker_board_t *board);

/* A process is about to start on this sheet: slots idle, gauges cleared,
 * counters kept. */
void worker_board_reset(worker_sheet_t *sheet);

/* Upper bounds of the run-time buckets in seconds, without +Inf. */
extern const double  worker_board_bounds[WORKER_BOARD_BUCKETS - 1];

void worker_board_ran(worker_sheet_t *sheet, unsigned type, uint64_t run_ns);

static inline void
worker_board_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
