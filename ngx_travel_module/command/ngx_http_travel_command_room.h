/* What command's own files share and no other room may use. */

#ifndef NGX_HTTP_TRAVEL_COMMAND_ROOM_H
#define NGX_HTTP_TRAVEL_COMMAND_ROOM_H

#include "ngx_http_travel_command.h"
#include "../breaker/ngx_http_travel_breaker.h"
#include "../net/ngx_http_travel_redis.h"
#include "../query/ngx_http_travel_query.h"
#include "../cache/ngx_http_travel_cache.h"
#include "../observe/ngx_http_travel_observe.h"
#include "../../common/catalog.h"
#include "../../common/digits.h"
#include "../../common/envelope.h"
#include "../../common/hash.h"
#include "../../common/json.h"
#include "../../common/json_writer.h"
#include "../../common/layout.h"
#include "../../common/queues.h"
#include "../../common/queue_scripts.h"
#include "../../common/seal.h"

#define NGX_HTTP_TRAVEL_JOBS_URL       "/api/v1/jobs/"
#define NGX_HTTP_TRAVEL_COMMAND_ERRORS 100     /* of a body, at most */
#define NGX_HTTP_TRAVEL_COMMAND_SETS   4       /* members from the path */
#define NGX_HTTP_TRAVEL_COMMAND_UNIQUE 8       /* parts of unique= */
#define NGX_HTTP_TRAVEL_BATCH_BODY     8388608         /* bytes, at most */
#define NGX_HTTP_TRAVEL_IDEM_KEY_MAX   255
#define NGX_HTTP_TRAVEL_SEALED_NAMES   (TRAVEL_COMMAND_SEALED_MAX * 65)


/* --- configuration -------------------------------------------------------- */

typedef enum {
    NGX_HTTP_TRAVEL_COMMAND_ACCEPTED,
    NGX_HTTP_TRAVEL_COMMAND_REPLAYED,
    NGX_HTTP_TRAVEL_COMMAND_REFUSED,
    NGX_HTTP_TRAVEL_COMMAND_FULL,
    NGX_HTTP_TRAVEL_COMMAND_UNAVAILABLE,
    NGX_HTTP_TRAVEL_COMMAND_UNKNOWN,
    NGX_HTTP_TRAVEL_COMMAND_ABORTED,
    NGX_HTTP_TRAVEL_COMMAND_UNHEARD,   /* in, but its client had hung up */
    NGX_HTTP_TRAVEL_COMMAND_OUTCOMES
} ngx_http_travel_command_outcome_e;

/* A command of the catalog: one object per type and cycle. */
typedef struct {
    travel_command_t          *command;    /* freed with the cycle */
    ngx_str_t                  type;
    ngx_str_t                  queue;
    ngx_uint_t                 counters[NGX_HTTP_TRAVEL_COMMAND_OUTCOMES];
} ngx_http_travel_command_entry_t;

/* travel_backlog: what a partition may hold, and how much of that in per cent
 * commands of each priority may fill. */
typedef struct {
    uint64_t                   messages;
    size_t                     bytes;
    ngx_uint_t                 share[TRAVEL_PRIORITY_MAX];
} ngx_http_travel_backlog_t;

typedef struct {
    ngx_array_t                entries;    /* ..._command_entry_t * */
    ngx_http_travel_backlog_t  backlog;
    travel_seal_public_t      *sealed_key; /* or NULL */
    const travel_query_t      *result;     /* travel_job_status result=, or
                                              NULL */
    const ngx_http_travel_pg_statement_t  *result_statement;
    ngx_uint_t                 used;       /* any directive of the room */
    ngx_uint_t                 waited;     /* counters */
    ngx_uint_t                 late;
    ngx_uint_t                 streams;
    ngx_uint_t                 streams_full;
} ngx_http_travel_command_main_conf_t;

typedef struct {
    ngx_str_t                  member;
    ngx_http_complex_value_t  *value;
} ngx_http_travel_command_set_t;

/* travel_command METHOD TYPE ...: one per method of a location. */
typedef struct {
    ngx_uint_t                             method;
    ngx_http_travel_command_entry_t       *entry;
    const travel_query_t                  *check;        /* or NULL */
    const ngx_http_travel_pg_statement_t  *check_statement;
    ngx_msec_t                             wait;         /* cap of Prefer */
    ngx_msec_t                             wait_default;
    size_t                                 max_body;
    ngx_http_complex_value_t              *id;           /* or NULL */
    ngx_http_travel_command_set_t          sets[NGX_HTTP_TRAVEL_COMMAND_SETS];
    ngx_uint_t                             nsets;
    ngx_http_travel_command_set_t          unique[
                                               NGX_HTTP_TRAVEL_COMMAND_UNIQUE];
    ngx_uint_t                             nunique;      /* 0: need not be */
    ngx_str_t                              unique_ttl;   /* ms, as text */
    ngx_str_t                              resource;
    ngx_str_t                              breaker;      /* member, or empty */
    ngx_str_t                              idem_ttl;     /* ms, as text: less
                                             than jobs are remembered, for a
                                             repeat must find its first */
    ngx_uint_t                             max_errors;
    ngx_uint_t                             batch;        /* items, 0: none */
    ngx_msec_t                             deadline;     /* to be begun, or 0 */
    ngx_uint_t                             pack;         /* batch_jobs=one */
    ngx_uint_t                             annotate;     /* formats= */
    ngx_uint_t                             idempotency;  /* required */
    ngx_uint_t                             final;        /* require=final */
} ngx_http_travel_command_use_t;

struct ngx_http_travel_order_s {
    ngx_http_travel_command_use_t   use;       /* of no location */
    ngx_msec_t                      wait;
};

typedef struct {
    ngx_array_t                uses;       /* ..._command_use_t * */
    ngx_http_complex_value_t  *job_id;     /* travel_job_status */
    ngx_msec_t                 job_wait;
    ngx_msec_t                 job_events; /* longest event stream, 0: none */
    ngx_uint_t                 job_streams;    /* of an nginx worker */
    unsigned                   job:1;
} ngx_http_travel_command_loc_conf_t;

/* The creating command of a kind of aggregate ("booking"), or NULL. */
ngx_http_travel_command_entry_t *ngx_http_travel_command_creator(
    ngx_http_request_t *r, travel_str_t aggregate);


/* --- jobs as Redis has them ----------------------------------------------- */

/* An id with its text beside it; texts live in r->pool or in the id itself. */
typedef struct {
    travel_job_id_t            id;         /* queue points into 'text' */
    size_t                     len;
    char                       text[TRAVEL_JOB_ID_MAX + 1];
} ngx_http_travel_job_name_t;

typedef enum {
    NGX_HTTP_TRAVEL_JOB_STATUS,
    NGX_HTTP_TRAVEL_JOB_SUB,
    NGX_HTTP_TRAVEL_JOB_TYPE,
    NGX_HTTP_TRAVEL_JOB_KEY,
    NGX_HTTP_TRAVEL_JOB_RESOURCE,
    NGX_HTTP_TRAVEL_JOB_CREATED_AT,
    NGX_HTTP_TRAVEL_JOB_UPDATED_AT,
    NGX_HTTP_TRAVEL_JOB_ATTEMPTS,
    NGX_HTTP_TRAVEL_JOB_PROGRESS,
    NGX_HTTP_TRAVEL_JOB_RESULT,
    NGX_HTTP_TRAVEL_JOB_ERROR,
    NGX_HTTP_TRAVEL_JOB_TIMELINE,
    NGX_HTTP_TRAVEL_JOB_LSN,
    NGX_HTTP_TRAVEL_JOB_INVAL,
    NGX_HTTP_TRAVEL_JOB_ECHO,
    NGX_HTTP_TRAVEL_JOB_PROMISED,     /* the first answer was the 202 */
    NGX_HTTP_TRAVEL_JOB_CLAIM,        /* the result is in the database */
    NGX_HTTP_TRAVEL_JOB_MOVED,        /* to this partition: see it there */
    NGX_HTTP_TRAVEL_JOB_FIELDS
} ngx_http_travel_job_field_e;

typedef struct {
    const ngx_http_travel_job_name_t  *name;
    ngx_str_t                  field[NGX_HTTP_TRAVEL_JOB_FIELDS];
    travel_job_status_e        status;     /* valid when 'found' */
    travel_consistency_t       write;      /* valid when 'written' */
    unsigned                   found:1;
    unsigned                   final:1;
    unsigned                   written:1;
} ngx_http_travel_job_t;

/* NGX_OK, or NGX_DECLINED: not a job of this layout. */
ngx_int_t ngx_http_travel_job_name(ngx_http_travel_job_name_t *ret_name,
    const travel_job_id_t *id);
ngx_int_t ngx_http_travel_job_parse(ngx_http_travel_job_name_t *ret_name,
    const ngx_str_t *text);
/* The same of an id that is known to be one. */
void ngx_http_travel_job_named(ngx_http_travel_job_name_t *ret_name,
    const travel_job_id_t *id);
/* The chain of that id in a table of so many, which is zeroed at first. */
#define NGX_HTTP_TRAVEL_JOB_BUCKETS  1024    /* a power of two */
ngx_queue_t *ngx_http_travel_job_bucket(ngx_queue_t *table,
    const travel_uuid_t *id);
/* Has it been given another place since its name was told?  NGX_DECLINED. */
ngx_int_t ngx_http_travel_job_moved(const ngx_http_travel_job_t *job,
    unsigned *ret_partition);
/* Is the job the caller's? */
ngx_uint_t ngx_http_travel_job_mine(ngx_http_request_t *r,
    const ngx_http_travel_job_t *job);
/* Fills a record, copied into r->pool, from alternating names and values. */
ngx_int_t ngx_http_travel_job_pairs(ngx_http_request_t *r,
    const ngx_http_travel_reply_t *pairs, ngx_http_travel_job_t *ret_job);

/* job NULL: Redis could not be asked.  Called once, from an event, unless r
 * ends before; job lives in r->pool. */
typedef void (*ngx_http_travel_job_done_pt)(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);

/* The same for a job whose id alone is known: first where it has its place now,
 * then where it had before the last repartitioning.  Sets the partition. */
ngx_int_t ngx_http_travel_job_find(ngx_http_request_t *r,
    ngx_http_travel_job_name_t *ret_name, const travel_job_id_t *id,
    ngx_http_travel_job_done_pt done, void *data);

/* Reads once; a result that is in the database is read there.  NGX_OK: done
 * will be called; NGX_DECLINED: no link. 'name' must live as long as r. */
ngx_int_t ngx_http_travel_job_read(ngx_http_request_t *r,
    const ngx_http_travel_job_name_t *name, ngx_http_travel_job_done_pt done,
    void *data);

/*
 * Waits until the job has ended, 'timeout' ms at most, then tells how it is.
 * First expect, before the command is sent, so that no message is missed; then
 * start.  With 'poll' ms the job is looked at besides, for jobs whose messages
 * go elsewhere; 'now' looks at once.
 */
typedef struct ngx_http_travel_waiter_s  ngx_http_travel_waiter_t;

ngx_http_travel_waiter_t *ngx_http_travel_job_expect(ngx_http_request_t *r,
    const ngx_http_travel_job_name_t *name, ngx_http_travel_job_done_pt done,
    void *data);
void ngx_http_travel_job_start(ngx_http_travel_waiter_t *waiter,
    ngx_msec_t timeout, ngx_msec_t poll, ngx_uint_t now);
void ngx_http_travel_job_forget(ngx_http_travel_waiter_t *waiter);
/* Of a type whose result is told once: this waiter is who it is told to. */
void ngx_http_travel_job_receive(ngx_http_travel_waiter_t *waiter);
/* Looks now, and from now on whenever the job changes, at every change if the
 * workers tell this nginx worker of them: then 'poll' is what is done besides,
 * should a message be lost.  'each': done() is called at each look, until the
 * request ends or the waiter is forgotten. */
void ngx_http_travel_job_watch(ngx_http_travel_waiter_t *waiter,
    ngx_uint_t each);
void ngx_http_travel_job_look(ngx_http_travel_waiter_t *waiter);

/* Questions that a waiter and an observer ask alike: the hash's fields, which
 * 'view' makes a record of that is valid as long as the reply; and to be told
 * of the job's changes over the reply channel. */
ngx_int_t ngx_http_travel_job_fields_ask(ngx_http_travel_redis_op_t *op,
    const travel_job_id_t *id);
ngx_int_t ngx_http_travel_job_fields_view(
    const ngx_http_travel_reply_t *reply, ngx_http_travel_job_t *ret_job);
ngx_int_t ngx_http_travel_job_watch_ask(ngx_http_travel_redis_op_t *op,
    const ngx_http_travel_job_name_t *name);
ngx_uint_t ngx_http_travel_job_watch_taken(
    const ngx_http_travel_reply_t *reply);

/* job_observe.c: the channel named this job; all may have changed. */
void ngx_http_travel_observers_hear(const travel_uuid_t *id);
void ngx_http_travel_observers_again(void);

/* This nginx worker's reply channel; empty when there is none. */
ngx_int_t ngx_http_travel_job_channel_init(ngx_cycle_t *cycle);
travel_str_t ngx_http_travel_job_channel(void);

/* travel_job_status */
ngx_int_t ngx_http_travel_job_handler(ngx_http_request_t *r);
/* The job as its status_url tells it. */
ngx_int_t ngx_http_travel_job_body(ngx_http_request_t *r,
    const ngx_http_travel_job_name_t *name, ngx_http_travel_job_t *job,
    travel_json_writer_t *w);
size_t ngx_http_travel_job_room(const ngx_http_travel_job_t *job);
void ngx_http_travel_job_write(travel_json_writer_t *w,
    const ngx_http_travel_job_name_t *name, const ngx_http_travel_job_t *job);

/* job_events.c: starts a stream with what the job, which is the caller's, is
 * now: NGX_DONE, it goes on by itself; else what finalize wants. */
ngx_int_t ngx_http_travel_stream_start(ngx_http_request_t *r,
    const ngx_http_travel_job_name_t *name, ngx_http_travel_job_t *job);

/* For query: GET of what is not there yet, and tokens that are job ids. */
void ngx_http_travel_pending_hooks(void);


/* --- partitions ----------------------------------------------------------- */

/* NGX_OK: it is known (layout_now); NGX_AGAIN: not yet, ready(r) will be
 * called; NGX_ERROR: cannot be asked. */
ngx_int_t ngx_http_travel_layout(ngx_http_request_t *r,
    void (*ready)(ngx_http_request_t *r, ngx_int_t rc));
/* A partition was closed, so there is another one.  NGX_OK: ready(r) will be
 * called; without r it is just asked for. */
ngx_int_t ngx_http_travel_layout_again(ngx_http_request_t *r,
    void (*ready)(ngx_http_request_t *r, ngx_int_t rc));
/* What is known now; the default when nothing is. */
travel_layout_t ngx_http_travel_layout_now(travel_str_t queue);
/* NGX_OK, or NGX_BUSY: no room for a body of 'size' bytes at this priority,
 * *ret_later seconds until there may be.  Counts one. */
ngx_int_t ngx_http_travel_backlog(travel_str_t queue, unsigned partition,
    travel_priority_e priority, size_t size,
    const ngx_http_travel_backlog_t *bound, ngx_uint_t *ret_later);


/* --- a command on its way ------------------------------------------------- */

/* Why an item of a batch is refused; error TRAVEL_E_NONE: it is not. */
typedef struct {
    travel_error_e                   error;
    ngx_str_t                        text;
    ngx_http_travel_detail_t        *details;
    ngx_uint_t                       ndetails;
} ngx_http_travel_fault_t;

typedef struct {
    ngx_array_t                      items;      /* ..._command_t * */
    ngx_array_t                      jobs;       /* what is sent: the items, or
                                                    what carries them */
    ngx_uint_t                       left;       /* without an answer */
    ngx_uint_t                       later;      /* Retry-After, or 0 */
    ngx_uint_t                       next;       /* item to be checked */
    ngx_uint_t                       checking;   /* checks under way */
    unsigned                         sending:1;
    unsigned                         over:1;     /* the request was answered */
} ngx_http_travel_batch_t;

typedef struct ngx_http_travel_command_s  ngx_http_travel_command_t;

struct ngx_http_travel_command_s {
    ngx_http_travel_command_use_t   *use;
    ngx_str_t                        body;       /* as it will be enqueued */
    ngx_str_t                        plain;      /* before it was sealed */
    ngx_str_t                        sealed;     /* names; empty: nothing is */
    ngx_str_t                        echo;       /* members while pending */
    ngx_str_t                        key;        /* ordering key, creates: "" */
    const char                     **values;     /* of the check */
    char                           **members;    /* ids that values came from */
    ngx_str_t                        idem;       /* Idempotency-Key, or empty */
    u_char                           scope[TRAVEL_SHA256_LEN];
    u_char                           print[2 * TRAVEL_SHA256_LEN];
    u_char                           alike[TRAVEL_SHA256_LEN];
    ngx_msec_t                       wait;       /* ms, 0: 202 at once */
    ngx_str_t                        applied;    /* Preference-Applied */
    ngx_http_travel_job_name_t       name;
    ngx_str_t                        id;         /* of the aggregate */
    ngx_http_travel_waiter_t        *waiter;
    ngx_msec_t                       since;      /* when the wait began */
    uint64_t                         sent_ns;
    travel_trace_t                   span;       /* of the enqueue */
    ngx_http_travel_detail_t        *rows;       /* of the check */
    ngx_uint_t                       nrows;
    ngx_uint_t                       looked;     /* rows judged so far */
    ngx_int_t                        told;       /* what finalize wants after a
                                                    refusal */
    ngx_http_travel_batch_t         *batch;      /* of the request, or NULL */
    ngx_uint_t                       index;      /* of an item; of a pack, its
                                                    first's */
    ngx_uint_t                       spans;      /* items, refused ones too */
    ngx_uint_t                       holds;      /* items; 0: it is no pack */
    ngx_http_travel_command_t       *job;        /* that carries this item, or
                                                    NULL */
    ngx_http_travel_fault_t          fault;
    ngx_http_travel_ordered_pt       done;       /* another room's command */
    void                            *data;
    ngx_http_travel_divert_t         divert;
    unsigned                         item:1;
    unsigned                         answered:1;
    unsigned                         ndjson:1;
    unsigned                         primary:1;  /* the check ran there */
    unsigned                         replayed:1;
    unsigned                         async:1;    /* suspended */
    unsigned                         unique:1;   /* 'alike' is set */
    unsigned                         sought:1;   /* its key, in the partitions
                                                    before */
    unsigned                         moved:5;    /* times that its partition was
                                                    closed */
};

#define ngx_http_travel_command_of(r)                                         \
    ((ngx_http_travel_command_t *)                                            \
         ngx_http_travel_get_ctx(r)->room[NGX_HTTP_TRAVEL_ROOM_COMMAND])

void ngx_http_travel_command_count(ngx_http_travel_command_t *cmd,
    ngx_http_travel_command_outcome_e outcome);

/* Notes that the client was told, for finalize; returns NGX_DONE. */
ngx_int_t ngx_http_travel_command_told(ngx_http_request_t *r, ngx_int_t rc);

/* body.c: NGX_OK with body, echo, key and values filled; NGX_DONE: refused,
 * see told; else what finalize wants. */
ngx_int_t ngx_http_travel_command_media(ngx_http_request_t *r,
    ngx_http_travel_command_use_t *use);
ngx_int_t ngx_http_travel_command_body(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* The same for a body that is in cmd->body already. */
ngx_int_t ngx_http_travel_command_given(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* The most that a body may have; that of a batch holds many. */
size_t ngx_http_travel_command_max_body(
    const ngx_http_travel_command_use_t *use);

/* batch.c: push and lines fill cmd->batch, NGX_DECLINED: too many; put is
 * accept for a batch, and always finishes r. */
ngx_int_t ngx_http_travel_batch_push(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, u_char *start, u_char *end);
ngx_int_t ngx_http_travel_batch_lines(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
void ngx_http_travel_batch_put(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* Looks for the key of each item in the partitions before, then accept. */
void ngx_http_travel_batch_seek(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* It was looked for in vain, or, not NGX_OK, could not be. */
void ngx_http_travel_batch_sought(ngx_http_request_t *r,
    ngx_http_travel_command_t *item, ngx_int_t rc);

/* pack.c: fills cmd->batch->jobs from the items, which are judged. */
ngx_int_t ngx_http_travel_batch_pack(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* The id of an item that a pack carries. */
travel_uuid_t ngx_http_travel_batch_item_id(
    const ngx_http_travel_command_t *item);
/* The packs, as a member of the answer. */
void ngx_http_travel_batch_write_jobs(travel_json_writer_t *w,
    const ngx_http_travel_command_t *cmd);

/* The check of each item, then accept; always finishes r.  An item is judged,
 * with the rows that it has. */
void ngx_http_travel_batch_check(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
void ngx_http_travel_batch_judged(ngx_http_request_t *r,
    ngx_http_travel_command_t *item);
/* Its Idempotency-Key was looked up: another request's, or 'uuid' was first. */
void ngx_http_travel_batch_recalled(ngx_http_request_t *r,
    ngx_http_travel_command_t *item, const ngx_str_t *uuid);

/* seal.c: the directive; at the start, what a command needs to be sealed, and
 * that its check reads nothing sealed; a body that 'doc' was parsed from. */
char *ngx_http_travel_sealed_key_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_travel_command_sealable(ngx_conf_t *cf,
    ngx_http_travel_command_main_conf_t *cmcf);
ngx_int_t ngx_http_travel_command_check_secret(ngx_conf_t *cf,
    const ngx_http_travel_command_use_t *use);
ngx_int_t ngx_http_travel_command_seal(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const travel_json_t *doc);
/* What tells a repeat from another request: of what the client sent. */
ngx_int_t ngx_http_travel_command_print(ngx_http_request_t *r,
    const ngx_http_travel_command_t *cmd, uint8_t md[TRAVEL_SHA256_LEN]);

/* unique.c: the parameter; what makes a command alike to others */
char *ngx_http_travel_command_unique_parts(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
ngx_int_t ngx_http_travel_command_unique(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const travel_json_t *doc);

/* coding.c: gzip or not; refuses what is neither */
ngx_int_t ngx_http_travel_command_coding(ngx_http_request_t *r,
    ngx_uint_t *ret_gzip);
ngx_int_t ngx_http_travel_command_inflate(ngx_http_request_t *r, size_t max,
    ngx_str_t *body);

/* prefer.c: *ret_applied is what Preference-Applied says, empty for nothing. */
ngx_int_t ngx_http_travel_command_prefer(ngx_http_request_t *r,
    ngx_msec_t cap, ngx_msec_t unasked, ngx_msec_t *ret_wait,
    ngx_str_t *ret_applied);
ngx_int_t ngx_http_travel_command_idempotency(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);

/* handler.c */
ngx_int_t ngx_http_travel_command_handler(ngx_http_request_t *r);
void ngx_http_travel_command_suspend(ngx_http_request_t *r);
void ngx_http_travel_command_end(ngx_http_request_t *r, ngx_int_t rc);
/* Runs the check: NGX_OK, judged() or accept() follow, or what finishes r. */
ngx_int_t ngx_http_travel_command_ask(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* What the check's rows come to. */
travel_error_e ngx_http_travel_command_verdict(
    const ngx_http_travel_command_t *cmd, ngx_str_t *ret_text);
/* Answers with the check's rows. */
ngx_int_t ngx_http_travel_command_refuse(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);

/* accept.c: always finishes r, now or later. */
void ngx_http_travel_command_accept(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* By the script, whose answer says more than that it is in. */
#define ngx_http_travel_command_scripted(cmd)                                 \
    ((cmd)->idem.len || (cmd)->unique)

/* Its steps, for a batch: ids; the message, sent, with a handler for its
 * replies; the enqueue's span; a job hash whose message was refused. */
ngx_int_t ngx_http_travel_command_ids(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const travel_range_t *range);
ngx_int_t ngx_http_travel_command_put(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_redis_handler_pt handler);
void ngx_http_travel_command_span(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_uint_t error);
void ngx_http_travel_command_forget(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply);
/* And for a repeat: goes on, or ends since the queue cannot be reached; fills
 * waiter; it is in: the promise now, or the outcome when there is one in
 * time. */
void ngx_http_travel_command_resume(ngx_http_request_t *r, ngx_int_t rc);
void ngx_http_travel_command_expect(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
void ngx_http_travel_command_accepted(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_msec_t poll);

/* Whose command it is: the caller's id, or that of anybody. */
travel_str_t ngx_http_travel_command_sub(const ngx_http_travel_ctx_t *ctx);

/* recall.c: the command's Idempotency-Key in the partitions before the last
 * repartitioning: NGX_OK, r goes on. */
ngx_int_t ngx_http_travel_command_seek(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* For a repeat that the check refuses: NGX_OK, it finishes r. */
ngx_int_t ngx_http_travel_command_recall(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* The key was used before, says the script: for the same, or another. */
void ngx_http_travel_command_replay(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_http_travel_reply_t *reply);
void ngx_http_travel_command_mismatch(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* The command takes the first one's id. */
ngx_int_t ngx_http_travel_command_rename(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, const ngx_str_t *uuid);

/* answer.c: what finalize wants. */
ngx_int_t ngx_http_travel_command_promise(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
/* The same to a repeat, which does not wait and so honours no wait=. */
ngx_int_t ngx_http_travel_command_again(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
ngx_int_t ngx_http_travel_command_outcome(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd, ngx_http_travel_job_t *job);
/* 503 with Retry-After, in a second or 'later'. */
ngx_int_t ngx_http_travel_command_unavailable(ngx_http_request_t *r,
    travel_error_e code, const char *text);
ngx_int_t ngx_http_travel_command_later(ngx_http_request_t *r,
    travel_error_e code, ngx_uint_t later, const char *text);
/* "job":{id,status,status_url}, for a body that is being written. */
void ngx_http_travel_command_job_member(travel_json_writer_t *w,
    const ngx_http_travel_job_name_t *name, const char *status);
/* id, status, status_url, for an object that is being written. */
void ngx_http_travel_command_job_members(travel_json_writer_t *w,
    const ngx_http_travel_job_name_t *name, const char *status);
/* Headers that every answer to an accepted command has. */
ngx_int_t ngx_http_travel_command_applied(ngx_http_request_t *r,
    ngx_http_travel_command_t *cmd);
ngx_int_t ngx_http_travel_command_send(ngx_http_request_t *r,
    ngx_uint_t status, travel_json_writer_t *w);
/* A writer over 'size' bytes of r->pool. */
ngx_int_t ngx_http_travel_command_writer(ngx_http_request_t *r,
    travel_json_writer_t *w, size_t size);

#endif /* NGX_HTTP_TRAVEL_COMMAND_ROOM_H */
