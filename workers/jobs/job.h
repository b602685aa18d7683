/*
 * What a job handler sees, and the table by which job types are known.
 *
 * A handler runs in a slot (a thread) in plain blocking code, or in stages
 * between which it waits for the outside without one (ask.h).  It may run
 * again at any time with the same job id: after a crash, a retry, or a lost
 * lease.  So every effect in PostgreSQL goes through store/tx.h (inbox, fence)
 * and every outside call through a saga step of store/saga.h and out/.
 *
 * The slot owns the job; the handler fills result and error and returns.
 */

#ifndef WORKER_JOB_H
#define WORKER_JOB_H

#include <jansson.h>

#include "../../common/envelope.h"
#include "../../common/errors.h"
#include "../../common/ids.h"
#include "../../common/queues.h"
#include "../../common/consistency.h"
#include "../../common/traceparent.h"

struct worker_slot_s;                /* pool/slot.h: connections, trace, log */

typedef enum {
    WORKER_DONE,        /* succeeded: job->result is the answer */
    WORKER_RETRY,       /* try again later: job->error says why */
    WORKER_REJECT,      /* refused for good: status failed */
    WORKER_SNOOZE,      /* not yet: once more later, and no attempt is spent */
    WORKER_FENCED,      /* the lease is lost: leave the job to its new owner */
    WORKER_AWAIT        /* goes on when an answer is there: ask.h */
} worker_verdict_e;

struct worker_job_s;
struct worker_ask_s;                 /* out/ask.h: what it waits for */
struct worker_http_response_s;

/* The next stage of a handler; resp: NULL unless it asked for one. */
typedef worker_verdict_e (*worker_resume_pt)(struct worker_job_s *job,
    const struct worker_http_response_s *resp);

typedef struct {
    char  code[48];                  /* an errors.def code or a partner's */
    char  message[256];
    long  retry_after_ms;            /* floor below the backoff; 0 none */
} worker_error_t;

typedef struct worker_job_s {
    travel_envelope_t     env;       /* views into 'memory' */
    char                 *memory;    /* the entry's bytes, owned */
    travel_job_id_t       id;        /* parsed env.id */
    char                  job_id[TRAVEL_JOB_ID_MAX + 1];
    char                  uuid[37];  /* of the job: a create's aggregate id */
    char                  key[37];   /* ordering key: the aggregate's id */
    char                  sub[37];   /* caller, internal user id */
    json_t               *body;      /* env.body, parsed */
    unsigned              attempt;   /* 1 on the first run */
    int64_t               deadline;  /* monotonic ms, type's timeout
                                        included */
    long long             fence;     /* of the partition's lease */
    const char           *owner;     /* of the lease: this process's name */
    travel_trace_t        trace;     /* the process span; flags 0: unsampled */

    struct worker_slot_s *slot;      /* borrowed while the handler runs */
    struct worker_job_s  *carrier;   /* the queue's job that runs this one
                                        once more; NULL: it is itself */

    /* set by the handler or by the transaction it commits */
    json_t               *result;    /* owned, or NULL */
    worker_error_t        error;
    travel_consistency_t  commit;    /* of the last commit; lsn 0: none */
    uint64_t              tokens;    /* of language models, in this attempt:
                                        what the caller's limit is charged */
    _Atomic bool          cancel;    /* cooperative: read where it suits */
    _Atomic bool          called_off;    /* by somebody, 'cancel' too: to be
                                        retried means to be given up */

    /* between the stages of a handler (ask.h) */
    struct worker_ask_s  *ask;       /* owned */
    worker_resume_pt      resume;
    void                 *state;     /* the handler's own */
    void                (*free_state)(void *state);
    json_t               *memo;      /* owned: what it knows when it is run
                                        from its top again */
} worker_job_t;

typedef worker_verdict_e (*worker_handler_pt)(worker_job_t *job);

/* Runs once when a job is refused for good or its retries are used up, to put
 * that on record (state failed, <aggregate>.failed).  May be NULL. */
typedef worker_verdict_e (*worker_giveup_pt)(worker_job_t *job);

typedef struct {
    const char         *type;        /* "booking.create"; NULL ends a table */
    const char         *queue;
    travel_priority_e   priority;
    worker_handler_pt   run;
    worker_giveup_pt    giveup;
    unsigned            retries;     /* after the first run */
    long                base_ms;
    long                cap_ms;
    long                timeout_ms;
    bool                unordered;   /* order=none */
} worker_job_type_t;

#define WORKER_RETRY_DEFAULTS  3, 1000, 300000, 300000

/*
 * Many jobs of the type at once, of any partitions of the process: many rows,
 * one statement.  Fills a verdict for each and, by worker_job_fail, its error.
 * They share nothing but the slot: each has its fence, and each may run again
 * alone or with others.
 */
typedef void (*worker_batch_pt)(worker_job_t *const *jobs,
    worker_verdict_e *verdicts, size_t n);

/* A type's batch handler beside its 'run', which is for one that must be alone.
 * How many within 'max' follows from how long they take.  'answered' is for
 * those that wait (WORKER_AWAIT) and have their answers, whatever their stages;
 * NULL: each goes on alone. */
typedef struct {
    const char       *type;          /* NULL ends a table */
    worker_batch_pt   run;
    unsigned          max;
    worker_batch_pt   answered;
    bool              raw;           /* both read env.body themselves: 'body' is
                                        NULL.  Nothing in it may be sealed */
} worker_job_batch_t;

/* jobs/table.c: NULL when the type has none. */
const worker_job_batch_t *worker_job_batch(const char *type);

/* jobs/table.c: all families, NULL when the type is not known. */
const worker_job_type_t *worker_job_type(travel_str_t type);
/* Do operators steer by it?  Then it is never paused. */
bool worker_job_steers(const worker_job_type_t *type);
/* The i-th type, NULL past the end. */
const worker_job_type_t *worker_job_type_at(size_t i);

/* jobs/ask.c: what a handler in stages has found out in this attempt, by name.
 * The first is borrowed, or NULL; the second steals 'value'. */
json_t *worker_job_memo(const worker_job_t *job, const char *name);
void worker_job_memo_set(worker_job_t *job, const char *name, json_t *value);

/* The partition it is of, for statements: queue and number, as texts. */
void worker_job_partition(const worker_job_t *job,
    char queue[TRAVEL_QUEUE_NAME_MAX + 1], char partition[16]);

/* The lease that it runs under, likewise; whose it is: job->owner. */
typedef struct {
    char  queue[TRAVEL_QUEUE_NAME_MAX + 1];
    char  partition[16];
    char  fence[24];
} worker_job_lease_t;

void worker_job_lease(const worker_job_t *job, worker_job_lease_t *ret_lease);

/* Returns SNOOZE: return worker_job_snooze(job, ms).  What has no deadline may
 * do so for ever; its key is held as by a retry. */
worker_verdict_e worker_job_snooze(worker_job_t *job, long ms);

/* Fills job->error, returns 'verdict': return worker_job_fail(job, ...). */
worker_verdict_e worker_job_fail(worker_job_t *job, worker_verdict_e verdict,
    const char *code, const char *fmt, ...) TRAVEL_PRINTF(4, 5);

#endif
