/*
 * An entry: one message of a stream on its way through a worker process.
 *
 * Ownership moves as a whole: the fetcher makes it, hands it to the slots
 * (pool/slots.h), gets it back finished, settles and frees it.  The fields
 * say which of the two may touch them.
 */

#ifndef WORKER_ENTRY_H
#define WORKER_ENTRY_H

#include "../jobs/job.h"

#define WORKER_STREAM_ID_MAX  42

typedef enum {
    WORKER_ENTRY_WAITING,       /* in its key's line */
    WORKER_ENTRY_READY,         /* at the head of it, in part->ready */
    WORKER_ENTRY_STARTING,      /* in a start call */
    WORKER_ENTRY_HANDED,        /* with the slots */
    WORKER_ENTRY_FINISHED,      /* back, waits for its invalidations */
    WORKER_ENTRY_SETTLING       /* in part->settle or in a settle call */
} worker_entry_state_e;

typedef enum {
    WORKER_OUTCOME_SUCCEEDED,
    WORKER_OUTCOME_RETRYING,
    WORKER_OUTCOME_FAILED,
    WORKER_OUTCOME_DEAD,
    WORKER_OUTCOME_CANCELLED,   /* before it started */
    WORKER_OUTCOME_FENCED,      /* nothing to write: it has a new owner */
    WORKER_OUTCOME_MAX
} worker_outcome_e;

/* The job's status in words; not of FENCED. */
const char *worker_outcome_status(worker_outcome_e outcome);

/* What the table and workers.conf say about a type, resolved once. */
typedef struct {
    const worker_job_type_t  *type;
    const worker_job_batch_t *batch;      /* or NULL */
    unsigned                  number;     /* row in the board's counters */
    unsigned                  retries;
    long                      base_ms;
    long                      cap_ms;
    long                      timeout_ms;
    double                    est_ms;     /* fetcher: running mean of a run */
    bool                      asks;       /* fetcher: it has been seen to wait
                                             for the outside without a slot */
    unsigned                  weight;     /* among types of a priority */
    unsigned                  user_concurrency;   /* of one caller in a
                                             partition; 0: any, so below */
    double                    user_rate;  /* a second */
    unsigned                  concurrency;        /* of the type in all pools */
    double                    rate;

    /* fetcher's (ready.c, limits.c) */
    size_t                    ready;      /* that may start, in memory */
    size_t                    running;    /* taken, and not over */
    size_t                    grant;      /* of 'concurrency', ours */
    double                    share;      /* of 'rate', ours */
    int64_t                   granted_until;      /* monotonic ms */
    int64_t                   ask_at;
    int64_t                   asked_at;
    unsigned                  slot;       /* in a cluster: of its grants */
    bool                      asking;     /* a call is open */
    bool                      paused;     /* none is to start (pause.c) */
    double                    tokens;
    int64_t                   filled_at;
} worker_type_t;

struct worker_partition_s;
struct worker_key_s;
struct worker_lane_s;

typedef struct worker_entry_s {
    worker_job_t                job;          /* slot's while HANDED */

    /* fetcher's */
    struct worker_entry_s      *next;         /* in whatever list it is in */
    struct worker_partition_s  *part;
    uint64_t                    epoch;        /* of part when it was read: a
                                                 different one now means that
                                                 the lease was lost between */
    struct worker_key_s        *key;          /* line it stands in, or NULL */
    struct worker_lane_s       *lane;         /* it was taken from (ready.h) */
    worker_type_t              *type;         /* NULL: not known */
    worker_entry_state_e        state;
    uint8_t                     priority;     /* of the stream, or the type's */
    uint8_t                     stream;       /* 1-3 high, normal, low; 0 from
                                                 the delayed set */
    char                        stream_id[WORKER_STREAM_ID_MAX];
    travel_str_t                pack;         /* the fields, in job.memory */
    unsigned                    invals;       /* XADDs without an answer */
    size_t                      handed_index; /* in queue->handed_list */
    int64_t                     until;        /* monotonic ms: the deadline, for
                                                 the watch; the job's own is
                                                 shorter in a saga's step */
    double                      expected_ms;  /* type's estimate, frozen when
                                                 it was started: a sum of them
                                                 must come out even */
    int64_t                     due_ms;       /* RETRYING: unix */
    void                       *home;         /* AWAIT: the slots it comes
                                                 back to */
    bool                        suspect;      /* its slot crashed before */
    bool                        again;        /* an owner was lost with it: in
                                                 no batch, so that a crash
                                                 names its job */
    bool                        stuck;        /* past deadline and grace */
    bool                        watched;      /* the clock has seen it run */
    bool                        resent;       /* its settling may have been
                                                 done: no answer came */
    bool                        ahead;        /* taken before reading came to
                                                 it (ahead.c) */
    bool                        leaving;      /* in the settle call */
    struct worker_entry_s      *older;        /* of the same stream, or of */
    struct worker_entry_s      *newer;        /* the delayed set, in memory */

    /* set by the slot before it hands the entry back */
    bool                        giveup;       /* in: only give up, cause says
                                                 why */
    bool                        over;         /* in: only tell its flow */
    worker_outcome_e            outcome;
    char                       *result;       /* JSON text, or NULL */
    size_t                      result_len;
    bool                        claimed;      /* the result is in jobs.claim */
    uint64_t                    run_ns;       /* from its start to its end */
    uint64_t                    slot_ns;      /* of these in a slot */
    unsigned                    stages;       /* of its handler, so far */
    int64_t                     delay_ms;     /* RETRYING: wait this long */
    bool                        uncounted;    /* RETRYING: not an attempt */
    char                        cause[48];    /* DEAD */

    /* the slots' from the first stage to the last (pool/run.c) */
    travel_trace_t              parent;       /* of the process span */
    bool                        linked;
    uint64_t                    begin_ns;     /* monotonic */
    uint64_t                    start_ns;     /* unix, of the process span */
} worker_entry_t;

typedef struct {
    worker_entry_t   *head;
    worker_entry_t  **tail;
    size_t            count;
} worker_entries_t;

void worker_entries_init(worker_entries_t *list);
void worker_entries_push(worker_entries_t *list, worker_entry_t *entry);
void worker_entries_push_front(worker_entries_t *list, worker_entry_t *entry);
worker_entry_t *worker_entries_pop(worker_entries_t *list);

/* An entry from its packed fields (copied), or from 'n' names and values,
 * which it packs.  Never fails for what they hold: an entry that cannot be
 * read has env.id or type missing and 'cause' says MALFORMED.  NULL: out of
 * memory. */
worker_entry_t *worker_entry_create(const char *pack, size_t len);
worker_entry_t *worker_entry_pack(const travel_str_t *fields, size_t n);
void worker_entry_free(worker_entry_t *entry);

/* The ordering key of a pack, without making an entry; empty: none. */
travel_str_t worker_pack_field(travel_str_t pack, const char *name);

#endif
