/*
 * The inside of a worker process's queue client: what the files of queue/
 * share.  Everything here belongs to the fetcher thread unless it says
 * otherwise; fetcher.c opens with who does what.
 */

#ifndef WORKER_FETCHER_H
#define WORKER_FETCHER_H

#include <pthread.h>
#include <stdatomic.h>

#include "entry.h"
#include "hub.h"
#include "keeper.h"
#include "queue.h"
#include "ready.h"
#include "../pool/slots.h"
#include "../../common/layout.h"

#define WORKER_PARTITIONS_MAX  1024         /* of all queues of a pool */
#define WORKER_IN_MEMORY_MAX   8192         /* entries of one process */
#define WORKER_BYTES_MAX       (64 << 20)   /* their packs */
#define WORKER_BATCH_MAX       256          /* jobs of one script call */
#define WORKER_INVAL_MAX       "100000"     /* entries of travel:inval */
#define WORKER_SPANS_LINKS     16           /* of one receive or settle span */
#define WORKER_KEY_BUCKETS     1024         /* per partition, a power of two */
#define WORKER_ORIGIN_AHEAD    4            /* of 'origins': stream 0 to 2 */

typedef enum {
    WORKER_PART_FREE,           /* not ours, or not yet adopted */
    WORKER_PART_ADOPTING,
    WORKER_PART_OPEN,
    WORKER_PART_CLOSING         /* open, but starts nothing: to be released */
} worker_part_state_e;

typedef enum {                  /* how far an adoption has come */
    WORKER_ADOPT_SCRIPT,
    WORKER_ADOPT_DELAYED,       /* page by page */
    WORKER_ADOPT_BEFORE         /* what the partitions before still hold */
} worker_adopt_step_e;

/* The line of one ordering key: at most one job of it is busy; a retrying job
 * holds the key without being in memory. */
typedef struct worker_key_s {
    struct worker_key_s  *chain;            /* in its hash bucket */
    char                  text[37];
    worker_entry_t       *busy;             /* READY to SETTLING, or NULL */
    worker_entries_t      line;             /* WAITING, in order */
    char                  held_by[37];      /* the retrying job's uuid, or "" */
    int64_t               held_until;       /* unix ms */
    struct worker_key_s  *held_prev;        /* in part->held */
    struct worker_key_s  *held_next;
} worker_key_t;

typedef struct {
    char      key[TRAVEL_KEY_MAX];
    size_t    key_len;
    char      last[WORKER_STREAM_ID_MAX];   /* the last id that was read */
    char      passed[WORKER_STREAM_ID_MAX]; /* the first that was passed over
                                               (pause.c); "": none */
    unsigned  turn;                         /* raised when it is read anew */
    bool      rung;                         /* it may have news */
    bool      asked;                        /* in an open XREAD */
    struct worker_ahead_s  *ahead;          /* ahead.c; or NULL */
} worker_stream_t;

typedef struct worker_ahead_s  worker_ahead_t;

/* What is in memory of one stream, or of the delayed set; a stream's in the
 * order it was read, so the first is the oldest that is not settled. */
typedef struct {
    worker_entry_t  *oldest;
    worker_entry_t  *newest;
} worker_origin_t;

typedef struct {
    char      text[TRAVEL_KEY_MAX];
    size_t    len;
} worker_rkey_t;

typedef struct worker_partition_s  worker_partition_t;

/* Keys of which an entry was passed over, by their hashes (pause.c). */
typedef struct {
    uint64_t  *marks;                       /* open addressing; 0: free */
    size_t     n;
    size_t     room;                        /* a power of two, or 0 */
} worker_passed_t;

/* What one script call carries, for its callback. */
typedef struct {
    worker_queue_t       *queue;
    worker_partition_t   *part;
    uint64_t              epoch;
    worker_entries_t      entries;
    uint64_t              sent_ns;          /* unix, for its span */
} worker_batch_t;

/* Whose traces one call serves. */
typedef struct {
    travel_trace_t        links[WORKER_SPANS_LINKS];
    size_t                n;
    size_t                messages;
} worker_spans_t;

struct worker_partition_s {
    worker_queue_t       *queue;
    char                  queue_name[TRAVEL_QUEUE_NAME_MAX + 1];
    unsigned              number;
    char                  name[TRAVEL_QUEUE_NAME_MAX + 5];    /* "booking.3" */
    worker_rkey_t         owner;            /* Redis keys, immutable */
    worker_rkey_t         delayed;
    worker_rkey_t         dead;
    worker_rkey_t         ended;
    worker_stream_t       streams[TRAVEL_PRIORITY_MAX];
    bool                  closed;           /* these have the names of that */
    travel_range_t        range;            /* that it took the place of */
    struct worker_before_s  *before;        /* before.c; or NULL: nothing there
                                               holds a key */
    bool                  paused;           /* some type of its queue is */
    bool                  shut;             /* all of them are */
    worker_passed_t       passed;
    long                  retention_s;      /* of what became of jobs */
    unsigned              slot;             /* of all its keys */
    worker_link_t        *bell;             /* in a cluster: its own, or NULL */
    bool                  bell_armed;

    worker_part_state_e   state;
    worker_adopt_step_e   adopt_step;
    size_t                adopt_offset;
    bool                  resync;           /* adopt again, keep what is here:
                                               an answer was lost */
    bool                  first;            /* nothing is here yet */
    uint64_t              epoch;            /* raised when the lease is lost */
    long long             fence;
    uint64_t              turn;             /* adoptions: see 'holder' */
    worker_rkey_t         holder;           /* "owner#turn": who we are to the
                                               scripts */
    int64_t               retry_at;         /* nothing is sent before */
    int64_t               closing_since;

    worker_batch_t       *batch;            /* being gathered for a start */
    bool                  adopting;         /* a call is open, so below */
    bool                  starting;
    bool                  settling;
    bool                  promoting;
    bool                  forgetting;
    bool                  doubtful;         /* settle holds entries that may
                                               have been settled */
    int64_t               promote_at;       /* unix ms */

    worker_ready_t        ready[TRAVEL_PRIORITY_MAX];
    worker_entries_t      settle;           /* in the order they finished */
    size_t                entries;          /* in memory */
    size_t                handed;           /* STARTING or HANDED */
    worker_origin_t       origins[WORKER_ORIGIN_AHEAD
                                  + TRAVEL_PRIORITY_MAX];
                                            /* 0: delayed; 1 to 3: streams, and
                                               what was taken ahead of them */
    worker_key_t         *held;
    worker_key_t         *keys[WORKER_KEY_BUCKETS];

    worker_lease_t        lease;            /* keeper's word, its mutex */
    worker_board_part_t  *gauge;            /* or NULL: the board is full */
};

/* An invalidation on its way to the stream. */
typedef struct worker_inval_s {
    struct worker_inval_s  *next;
    worker_queue_t         *queue;
    worker_entry_t         *entry;
    travel_lsn_t            commit;
    char                    sub[37];
    char                    tags[];
} worker_inval_t;

typedef struct {
    worker_inval_t   *head;
    worker_inval_t  **tail;
} worker_invals_t;

typedef struct worker_progress_s {
    struct worker_progress_s  *next;
    travel_job_id_t            id;
    char                       queue[TRAVEL_QUEUE_NAME_MAX];
    unsigned                   percent;
} worker_progress_t;

struct worker_queue_s {
    const worker_conf_t   *conf;
    worker_sheet_t        *sheet;
    const char            *owner;           /* name of the lease holder */
    worker_keeper_t       *keeper;
    worker_slots_t        *slots;

    worker_hub_t          *hub;             /* scripts, invalidations */
    worker_link_t         *bell;            /* XREAD BLOCK: what is new?  NULL
                                               in a cluster */
    bool                   bell_armed;
    unsigned               inval_slot;      /* of those streams */
    unsigned               quota_slot;
    int                    ring_fd;         /* eventfd: slots and keeper */

    pthread_mutex_t        mutex;           /* guards the next two */
    worker_invals_t        invals_in;       /* from slots */
    worker_progress_t     *progress_in;

    worker_invals_t        invals;          /* to be sent (again) */
    uint64_t               pauses;          /* version that is in force */
    worker_type_t          types[WORKER_BOARD_TYPES];
    size_t                 ntypes;
    worker_partition_t    *parts[WORKER_PARTITIONS_MAX];
    size_t                 nparts;
    size_t                 turn;            /* whose turn it is first */
    size_t                 in_memory;
    size_t                 bytes;
    double                 entry_bytes;     /* of the last ones read, about */
    size_t                 starting;        /* entries in start calls */
    size_t                 starting_of[TRAVEL_PRIORITY_MAX];
    double                 starting_ms;     /* their expected time */
    size_t                 handed;          /* with the slots */
    size_t                 stuck;           /* of these, given up on */
    size_t                 watched;         /* of handed_list, the last one */
    size_t                 finishing;       /* wait for their invalidations */
    worker_entries_t       suspects;        /* started, to be run alone */
    bool                   alone;           /* one of them runs */
    worker_entry_t       **handed_list;     /* room for every handed entry */
    size_t                 handed_room;

    worker_args_t          args;            /* of the call being made */
    int64_t                now;             /* of the turn, monotonic ms */
    int64_t                now_unix;        /* of the turn, unix ms */
    int64_t                meet_at;         /* next meeting with the keeper;
                                               0: at once, it must hurry */
    int64_t                second_at;       /* next once-a-second work */
    int64_t                complain_at;     /* reading fails: said again */
    int64_t                inval_at;        /* none is sent before */
    int64_t                full_until;      /* Redis has no room; looked at
                                               again after that */
    int64_t                beat_at;         /* next invalidation heartbeat */
    int64_t                gauge_at;
    int64_t                ready_at;        /* a rate lets more start then */
    int64_t                waited_ms;       /* the longest that a job has waited
                                               for a slot, this second */
    bool                   beating;         /* ours is the heartbeat */
    bool                   looking;         /* a look ahead is under way */
    bool                   draining;
    int64_t                drain_until;
    bool                   failed;          /* leave with an exit code */
};

/* partition.c */
uint64_t worker_key_hash(const char *text);
const char *worker_stream_last(const worker_stream_t *stream);
worker_partition_t *worker_part_create(worker_queue_t *queue,
    const char *queue_name, unsigned number);
void worker_part_free(worker_partition_t *part);
/* The names of its streams: of a closed partition, or of an open one. */
void worker_part_name_streams(worker_partition_t *part, bool closed);
/* The lease is gone or void: forgets all that is in memory. */
void worker_part_lose(worker_partition_t *part, const char *why);
/* A new entry: into its key's line, or straight to settle when it can not be
 * run.  Consumes it. */
void worker_part_add(worker_partition_t *part, worker_entry_t *entry);
/* A retrying job comes back to the front of the line it holds. */
void worker_part_return(worker_partition_t *part, worker_entry_t *entry);
/* It was taken to be started and was not: it is the next of its lane again. */
void worker_part_unstart(worker_partition_t *part, worker_entry_t *entry);
/* The entry's key goes to the next in line. */
void worker_part_release(worker_partition_t *part, worker_entry_t *entry);
/* The entry's key waits for it until 'due'. */
void worker_part_hold(worker_partition_t *part, worker_entry_t *entry,
    int64_t due);
void worker_part_hold_key(worker_partition_t *part, travel_str_t key,
    travel_str_t uuid, int64_t due);
void worker_part_unhold(worker_partition_t *part, travel_str_t uuid);
/* The key that is held by 'uuid', which may hold several. */
void worker_part_unhold_key(worker_partition_t *part, const char *key,
    const char *uuid);
/* The link to who has its keys; NULL: not known. */
worker_link_t *worker_part_link(const worker_partition_t *part);
bool worker_part_up(const worker_partition_t *part);
/* Is the job with this uuid, of the delayed set, in memory?  Also when it is
 * about to be settled again and may have come into that set the first time. */
bool worker_part_in_hand(const worker_partition_t *part, travel_str_t uuid);
/* Calls 'overdue' for every key held by a job that is overdue by 'ms'. */
void worker_part_overdue(worker_partition_t *part, int64_t ms,
    void (*overdue)(worker_partition_t *part, const char *uuid));
/* What waits to be started and stands in a stream is forgotten, and the streams
 * are read from their start again; what has been started is known then. */
void worker_part_rewind(worker_partition_t *part);
/* Takes the place of the hanging 'entry': its key, its place among its
 * stream's. */
void worker_part_twin(worker_partition_t *part, worker_entry_t *entry,
    worker_entry_t *twin);
/* An entry that was taken ahead: reading has come to it. */
void worker_part_caught_up(worker_partition_t *part, worker_entry_t *entry);
/* The oldest of the stream (1-3) that is not settled, "" when there is none or
 * it is not leaving; and the id before which all are settled or leaving. */
void worker_part_bounds(const worker_partition_t *part, unsigned stream,
    const char **ret_oldest, char ret_next[WORKER_STREAM_ID_MAX]);
/* Who we are to the partition, two arguments. */
void worker_args_fence(worker_args_t *args, const worker_partition_t *part);
/* What the calls for a batch begin with: the partition's keys (with :dead, if
 * that is asked for), then owner, fence and now, the jobs' uuids and the ids of
 * their entries.  Returns how many are keys. */
int worker_args_batch(worker_args_t *args, const worker_partition_t *part,
    const worker_entries_t *entries, bool dead);
/* Out of memory and off the books. */
void worker_part_forget(worker_partition_t *part, worker_entry_t *entry);
worker_type_t *worker_queue_type(worker_queue_t *queue, travel_str_t name);

/* spans.c: 'spans' starts zeroed; nothing is emitted when no job added to it
 * was sampled. */
void worker_spans_add(worker_spans_t *spans, const worker_entry_t *entry,
    bool settle);
void worker_spans_end(const worker_spans_t *spans,
    const worker_partition_t *part, const char *operation, uint64_t start_ns,
    bool error);

/* read.c: what is read from the streams */
void worker_read_turn(worker_queue_t *queue);
bool worker_read_start(worker_queue_t *queue);
/* Entries that memory has room for, up to its share for this priority: what is
 * short is kept for the higher ones. */
size_t worker_read_room(const worker_queue_t *queue, unsigned priority);

/* An entry from the fields of a stream's; NULL: no memory. */
worker_entry_t *worker_read_entry(const struct redisReply *fields);

/* pause.c: what is not to start.  Takes the keeper's word, when it is another
 * one; what of a partition's queue is paused, when it becomes ours. */
void worker_pause_turn(worker_queue_t *queue);
void worker_pause_part(worker_partition_t *part);
/* Is this entry, which was just read, to be left in its stream?  Only asked
 * when part->paused. */
bool worker_pause_passes(worker_partition_t *part,
    const worker_entry_t *entry);
void worker_pause_forget(worker_partition_t *part);

/* ahead.c: what stands behind a caller's long line */
void worker_ahead_turn(worker_queue_t *queue);
/* Is this entry, which was just read, in memory already?  Then it has its
 * place among those read. */
bool worker_ahead_known(worker_partition_t *part, unsigned stream,
    travel_str_t id);
void worker_ahead_stop(worker_stream_t *s);

/* take.c: what brings entries in besides */
void worker_take_turn(worker_queue_t *queue);
/* It broke: what of the partitions behind it is as we believe? */
void worker_take_link_down(worker_queue_t *queue, const worker_link_t *link);
/* Adopts the partition, again if need be. */
void worker_take_begin(worker_partition_t *part);
/* May it promote, were it time?  And in how many ms it is time. */
bool worker_take_promotes(const worker_partition_t *part);
int64_t worker_take_promote_ms(const worker_partition_t *part);

/* Its adoption is over: it may start. */
void worker_take_opened(worker_partition_t *part);

/* before.c: keys that jobs of the partitions before still hold.  Asks; an
 * adoption goes on when they are held, and waits while there are too many. */
void worker_before_ask(worker_partition_t *part);
void worker_before_turn(worker_queue_t *queue);
void worker_before_forget(worker_partition_t *part);

/* give.c: what starts, settles and reports */
void worker_give_turn(worker_queue_t *queue);
void worker_give_collect(worker_queue_t *queue);
bool worker_give_idle(const worker_queue_t *queue);
/* The run is over and all it had to say is said: settles it. */
void worker_give_finish(worker_queue_t *queue, worker_entry_t *entry);

/* limits.c: may one more of the type start now?  When time alone is in the way,
 * queue->ready_at says until when. */
bool worker_limits_allow(worker_queue_t *queue, worker_type_t *type);
void worker_limits_started(worker_type_t *type);
void worker_limits_turn(worker_queue_t *queue);
/* Of the key of the type's grants. */
unsigned worker_limits_slot(const worker_type_t *type);

/* settle.c: what became of them, written; one call at a time */
void worker_settle_turn(worker_partition_t *part);
/* Counts the entry's outcome on the board. */
void worker_settle_count(worker_queue_t *queue, const worker_entry_t *entry);

/* watch.c: what the clock asks for */
void worker_watch_slots(worker_queue_t *queue);
void worker_watch_beat(worker_queue_t *queue);
void worker_watch_gauges(worker_queue_t *queue);
void worker_watch_ended(worker_queue_t *queue);

/* True when the script refused: the reply says who owns it, or what to do;
 * the partition has been lost or set to adopt again. */
worker_batch_t *worker_batch_create(worker_partition_t *part);
bool worker_part_refused(worker_partition_t *part,
    const struct redisReply *reply);

#endif
