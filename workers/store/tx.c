/*
 * The transaction of a job: fence, inbox, state, domain events and outbox in
 * one commit.
 *
 * A worker_tx_t lives on the stack of the slot that runs the job; the slot's
 * PostgreSQL session is in a transaction exactly while tx->open.  Every way
 * out of a transaction goes through worker_tx_commit or worker_tx_end.
 *
 * The invalidation leaves after COMMIT, so a crash in between would lose it;
 * therefore the inbox row keeps the tags, and whoever runs the job again and
 * finds the row (WORKER_TX_SEEN) sends them once more.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tx.h"
#include "../pool/log.h"
#include "../pool/slot.h"
#include "../queue/queue.h"
#include "../trace/trace.h"

#define TX_LSN_TRIES  5


static worker_pg_t *
tx_pg(const worker_tx_t *tx)
{
    return tx->job->slot->pg;
}


/* What the client may know; the rest is for the log. */
static void
tx_fail(worker_tx_t *tx, const char *what)
{
    const char  *state;

    state = worker_pg_sqlstate(tx_pg(tx));

    worker_log_job(WORKER_LOG_WARN, tx->job, -1, "%s, step %s: %s (%s)", what,
                   tx->step, worker_pg_error(tx_pg(tx)), state);

    (void) worker_job_fail(tx->job, WORKER_RETRY,
                           strncmp(state, "22", 2) == 0
                           || strncmp(state, "23", 2) == 0
                           || strncmp(state, "42", 2) == 0
                           ? "INTERNAL_ERROR" : "DEPENDENCY_UNAVAILABLE",
                           "the database could not take the step \"%s\" (%s)",
                           tx->step, state);
}


static PGresult *
tx_run(worker_tx_t *tx, const char *sql, int n, const char *const *params)
{
    PGresult  *res;

    res = worker_pg_exec(tx_pg(tx), sql, n, params);

    if (worker_pg_good(res)) {
        return res;
    }

    tx_fail(tx, "statement failed");
    PQclear(res);
    return NULL;
}


static void
tx_rollback(worker_tx_t *tx)
{
    if (tx->open) {
        tx->open = false;
        PQclear(worker_pg_exec(tx_pg(tx), "ROLLBACK", 0, NULL));
    }
}


/* The commit's position: asked for in a statement of its own, after COMMIT
 * (contracts section 4). */
static int
tx_commit_lsn(worker_tx_t *tx)
{
    char           timeline[9];
    PGresult      *res;
    travel_lsn_t   lsn;

    res = worker_pg_exec(tx_pg(tx),
                         "SELECT lsn, pg_walfile_name(lsn)"
                         "  FROM pg_current_wal_flush_lsn() AS lsn",
                         0, (const char *const []) { NULL });

    if (PQresultStatus(res) != PGRES_TUPLES_OK
        || travel_lsn_parse(&lsn.lsn, (travel_str_t) { PQgetvalue(res, 0, 0),
                                (size_t) PQgetlength(res, 0, 0) }) != TRAVEL_OK)
    {
        PQclear(res);
        return TRAVEL_ERROR;
    }

    snprintf(timeline, sizeof(timeline), "%.8s", PQgetvalue(res, 0, 1));
    lsn.timeline = (uint32_t) strtoul(timeline, NULL, 16);
    PQclear(res);

    tx->job->commit.commit = lsn;
    return TRAVEL_OK;
}


int
worker_tx_position(worker_job_t *const *jobs, size_t n)
{
    size_t       i;
    worker_tx_t  tx = { .job = jobs[0] };

    if (tx_commit_lsn(&tx) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    for (i = 1; i < n; i++) {
        jobs[i]->commit.commit = jobs[0]->commit.commit;
    }

    return TRAVEL_OK;
}


static void
tx_tell(worker_job_t *job, const char *tags, bool outbox)
{
    worker_job_t    *carrier;
    worker_queue_t  *queue;

    queue = job->slot->queue;
    carrier = job->carrier != NULL ? job->carrier : job;

    if (queue != NULL && tags[0] != '\0') {
        worker_queue_invalidate(queue, carrier, tags, job->commit.commit);
    }

    if (queue != NULL && outbox) {
        worker_queue_outbox(queue, carrier);
    }
}


void
worker_tx_announce(worker_job_t *job, const char *tags)
{
    tx_tell(job, tags, true);
}


/* After a commit that is known to have happened. */
static int
tx_announce(worker_tx_t *tx)
{
    unsigned         i;
    struct timespec  pause = { 0, 200000000 };

    for (i = 0; tx_commit_lsn(tx) != TRAVEL_OK; i++) {

        if (i == TX_LSN_TRIES) {
            tx_fail(tx, "no position for the commit");
            return TRAVEL_ERROR;
        }

        nanosleep(&pause, NULL);
        (void) !worker_pg_ready(tx_pg(tx));
    }

    tx_tell(tx->job, tx->tags, tx->outbox);
    return TRAVEL_OK;
}


/* Fence and inbox in one statement: a lease changes hands only after all
 * transactions that hold it FOR KEY SHARE are over, so this snapshot sees what
 * they wrote. */
static PGresult *
tx_look(worker_tx_t *tx)
{
    worker_job_lease_t   lease;
    const char          *params[] = { lease.queue, lease.partition,
                                      tx->job->owner, lease.fence,
                                      tx->job->uuid, tx->step };

    worker_job_lease(tx->job, &lease);

    return tx_run(tx,
                  "SELECT jobs.fenced($1, $2::int, $3, $4::bigint),"
                  "       i.step IS NOT NULL, i.result,"
                  "       array_to_string(i.tags, ' ')"
                  "  FROM (SELECT 1) AS one"
                  "  LEFT JOIN jobs.inbox AS i"
                  "    ON i.job_id = $5::uuid AND i.step = $6", 6, params);
}


static worker_tx_e
tx_seen(worker_tx_t *tx, const PGresult *res)
{
    if (!PQgetisnull(res, 0, 2)) {
        tx->seen = json_loads(PQgetvalue(res, 0, 2), JSON_DECODE_ANY, NULL);
    }

    snprintf(tx->tags, sizeof(tx->tags), "%s", PQgetvalue(res, 0, 3));
    tx_rollback(tx);
    tx->outbox = true;

    return tx_announce(tx) == TRAVEL_OK ? WORKER_TX_SEEN : WORKER_TX_FAILED;
}


worker_tx_e
worker_tx_begin(worker_tx_t *tx, worker_job_t *job, const char *step)
{
    PGresult     *res;
    worker_tx_e   state;

    memset(tx, 0, sizeof(*tx));
    tx->job = job;
    tx->step = step;

    worker_pg_trace(tx_pg(tx), &job->trace);

    if (worker_pg_ready(tx_pg(tx)) != TRAVEL_OK) {
        tx_fail(tx, "no connection");
        return WORKER_TX_FAILED;
    }

    res = tx_run(tx, "BEGIN", 0, NULL);

    if (res == NULL) {
        return WORKER_TX_FAILED;
    }

    PQclear(res);
    tx->open = true;
    res = tx_look(tx);

    if (res == NULL) {
        tx_rollback(tx);
        return WORKER_TX_FAILED;
    }

    if (*PQgetvalue(res, 0, 0) != 't') {
        tx_rollback(tx);
        state = WORKER_TX_FENCED;

    } else if (*PQgetvalue(res, 0, 1) == 't') {
        state = tx_seen(tx, res);

    } else {
        state = WORKER_TX_FRESH;
    }

    PQclear(res);
    return state;
}


PGresult *
worker_tx_exec(worker_tx_t *tx, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    res = tx_run(tx, sql, n, params);

    if (res == NULL) {
        tx_rollback(tx);
    }

    return res;
}


/* As worker_tx_exec, for statements whose rows do not matter. */
static int
tx_do(worker_tx_t *tx, const char *sql, int n, const char *const *params)
{
    PGresult  *res;

    res = worker_tx_exec(tx, sql, n, params);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    PQclear(res);
    return TRAVEL_OK;
}


const char *
worker_tx_trace(char dst[TRAVEL_TRACEPARENT_LEN + 1],
    const travel_trace_t *trace)
{
    if (!(trace->flags & TRAVEL_TRACE_SAMPLED)) {
        return NULL;
    }

    travel_traceparent_format(dst, trace);
    dst[TRAVEL_TRACEPARENT_LEN] = '\0';
    return dst;
}


/*
 * An event is also told to who watches (live_message.h): its user, also by the
 * topic that its type names (events.type), and those of a journey.  The same
 * statement, so that nothing is told that did not happen, and nothing happens
 * that is not told.
 */
#define TX_EVENT                                                              \
    "WITH e AS (SELECT events.append($1, $2::uuid, $3::int, $4, $5::jsonb,"   \
    "                  $6::uuid, $7::uuid, $8) AS version),"                  \
    " t AS (SELECT array_remove(ARRAY["                                       \
    "         'user:' || $6 || ':events',"                                    \
    "         CASE WHEN $1 = 'journey' THEN 'journey:' || $2 END,"            \
    "         events.user_topic($4, $6::uuid)], NULL)"                        \
    "       AS topics)"                                                       \
    "INSERT INTO jobs.outbox"                                                 \
    " (queue, partition, kind, aggregate, payload, trace)"                    \
    " SELECT $9, $10::int, 'live', $2::uuid, jsonb_build_object("             \
    "   'topics', t.topics,"                                                  \
    "   'message', jsonb_build_object('type', $4,"                            \
    "     'id', $2 || '/' || e.version, 'data', $5::jsonb,"                   \
    "     'aggregate', jsonb_build_object('type', $1, 'id', $2),"             \
    "     'ts', clock_timestamp())), $8 FROM e, t"


int
worker_tx_event(worker_tx_t *tx, const char *stream_type,
    const char *stream_id, int expected, const char *type, json_t *data)
{
    int          rc;
    char         version[16], tp[TRAVEL_TRACEPARENT_LEN + 1], *text;
    char         queue[TRAVEL_QUEUE_NAME_MAX + 1], partition[16];
    const char  *params[10];

    text = json_dumps(data, WORKER_TX_DUMP);
    json_decref(data);
    snprintf(version, sizeof(version), "%d", expected);

    params[0] = stream_type;
    params[1] = stream_id;
    params[2] = expected >= 0 ? version : NULL;
    params[3] = type;
    params[4] = text;
    params[5] = tx->user != NULL ? tx->user
                : tx->job->sub[0] != '\0' ? tx->job->sub : NULL;
    params[6] = tx->job->uuid;
    params[7] = worker_tx_trace(tp, &tx->job->trace);

    worker_job_partition(tx->job, queue, partition);
    params[8] = queue;
    params[9] = partition;

    rc = tx_do(tx, TX_EVENT, 10, params);
    free(text);

    if (rc == TRAVEL_OK) {
        tx->outbox = true;
    }

    return rc;
}


/* The PRODUCER span of a follow-up job; its ids travel in the envelope. */
static travel_trace_t
tx_job_span(const worker_job_t *job, const worker_job_type_t *type,
    const char *id)
{
    char           name[64];
    travel_span_t  span;
    travel_attr_t  attrs[] = {
        { TRAVEL_STR("messaging.system"), TRAVEL_ATTR_STRING,
          { .s = TRAVEL_STR("redis") } },
        { TRAVEL_STR("messaging.operation.name"), TRAVEL_ATTR_STRING,
          { .s = TRAVEL_STR("send") } },
        { TRAVEL_STR("messaging.operation.type"), TRAVEL_ATTR_STRING,
          { .s = TRAVEL_STR("send") } },
        { TRAVEL_STR("messaging.destination.name"), TRAVEL_ATTR_STRING,
          { .s = { type->queue, strlen(type->queue) } } },
        { TRAVEL_STR("messaging.message.id"), TRAVEL_ATTR_STRING,
          { .s = { id, strlen(id) } } },
    };

    memset(&span, 0, sizeof(span));
    span.id = worker_trace_child(&job->trace);
    memcpy(span.parent, job->trace.span_id, sizeof(span.parent));
    span.name = (travel_str_t) { name, (size_t) snprintf(name, sizeof(name),
                                     "send %s", type->queue) };
    span.kind = TRAVEL_SPAN_PRODUCER;
    span.start_ns = worker_trace_now();
    span.end_ns = span.start_ns;
    span.attrs = attrs;
    span.nattrs = sizeof(attrs) / sizeof(attrs[0]);

    worker_trace_emit(&span);
    return span.id;
}


/* The follow-up's id: derived, so that a repeated transaction names the same
 * job; its partition is the caller's, whose bucket the job's own id carries. */
static int
tx_job_id(const worker_job_t *job, const char *step,
    const worker_job_type_t *type, const char *key,
    char dst[TRAVEL_JOB_ID_MAX + 1])
{
    travel_str_t     parts[4];
    travel_job_id_t  id;

    parts[0] = (travel_str_t) { job->uuid, strlen(job->uuid) };
    parts[1] = (travel_str_t) { step, strlen(step) };
    parts[2] = (travel_str_t) { type->type, strlen(type->type) };

    parts[3] = (travel_str_t) { key, strlen(key) };

    if (travel_uuid8(&id.id, parts, 4) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    id.queue = (travel_str_t) { type->queue, strlen(type->queue) };
    id.partition = travel_uuid_bucket(&job->id.id)
                   % TRAVEL_PARTITIONS_DEFAULT;
    (void) travel_job_id_format(dst, &id);
    return TRAVEL_OK;
}


json_t *
worker_tx_job_payload(worker_job_t *job, const char *step, const char *type,
    const char *key, json_t *body)
{
    char                      id[TRAVEL_JOB_ID_MAX + 1];
    char                      tp[TRAVEL_TRACEPARENT_LEN + 1];
    json_t                   *payload;
    travel_trace_t            trace;
    const worker_job_type_t  *jt;

    jt = worker_job_type((travel_str_t) { type, strlen(type) });

    if (jt == NULL || tx_job_id(job, step, jt, key, id) != TRAVEL_OK) {
        json_decref(body);
        return NULL;
    }

    trace = job->trace;

    if (trace.flags & TRAVEL_TRACE_SAMPLED) {
        trace = tx_job_span(job, jt, id);
    }

    payload = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o*, s:i, s:i}",
                        "id", id, "type", jt->type, "sub", job->sub,
                        "key", key,
                        "priority", travel_priority_name(jt->priority),
                        "body", body, "not_before", 0,
                        "bucket", (int) travel_uuid_bucket(&job->id.id));

    if (payload != NULL && job->env.email.len > 0) {
        json_object_set_new(payload, "email",
                            json_stringn(job->env.email.data,
                                         job->env.email.len));
    }

    if (payload != NULL && worker_tx_trace(tp, &trace) != NULL) {
        json_object_set_new(payload, "tp", json_string(tp));
    }

    return payload;
}


/* 'unique' NULL: as often as it is asked for; 'quiet_ms' 0: the first wins. */
static int
tx_job_put(worker_tx_t *tx, const char *type, const char *key,
    json_t *body, const char *unique, int64_t window_ms, int64_t quiet_ms)
{
    int                       rc;
    char                      partition[16], *text;
    char                      queue[TRAVEL_QUEUE_NAME_MAX + 1];
    char                      tp[TRAVEL_TRACEPARENT_LEN + 1];
    json_t                   *payload;
    const char               *params[5];

    payload = worker_tx_job_payload(tx->job, tx->step, type, key, body);

    if (payload == NULL) {
        (void) worker_job_fail(tx->job, WORKER_RETRY, "INTERNAL_ERROR",
                               "the follow-up job \"%s\" is not known", type);
        tx_rollback(tx);
        return TRAVEL_ERROR;
    }

    if (unique != NULL) {
        json_object_set_new(payload, "unique", json_string(unique));
        json_object_set_new(payload, "unique_ms", json_integer(window_ms));
        json_object_set_new(payload, "quiet_ms", json_integer(quiet_ms));
        /* all of them meet in one partition */
        json_object_set_new(payload, "bucket",
                            json_integer(travel_bucket((travel_str_t) {
                                         unique, strlen(unique) })));
    }

    text = json_dumps(payload, WORKER_TX_DUMP);
    json_decref(payload);

    worker_job_partition(tx->job, queue, partition);

    params[0] = queue;
    params[1] = partition;
    params[2] = key;
    params[3] = text;
    params[4] = worker_tx_trace(tp, &tx->job->trace);

    rc = tx_do(tx, "INSERT INTO jobs.outbox"
                   " (queue, partition, kind, aggregate, payload, trace)"
                   " VALUES ($1, $2::int, 'job', $3::uuid, $4::jsonb, $5)",
               5, params);
    free(text);

    if (rc == TRAVEL_OK) {
        tx->outbox = true;
    }

    return rc;
}


int
worker_tx_job(worker_tx_t *tx, const char *type, const char *key,
    json_t *body)
{
    return tx_job_put(tx, type, key, body, NULL, 0, 0);
}


int
worker_tx_job_unique(worker_tx_t *tx, const char *type, const char *key,
    json_t *body, const char *unique, int64_t window_ms)
{
    return tx_job_put(tx, type, key, body, unique, window_ms, 0);
}


int
worker_tx_job_debounced(worker_tx_t *tx, const char *type, const char *key,
    json_t *body, const char *unique, int64_t quiet_ms, int64_t max_ms)
{
    return tx_job_put(tx, type, key, body, unique,
                      max_ms > quiet_ms ? max_ms : quiet_ms, quiet_ms);
}


void
worker_tx_tag(worker_tx_t *tx, const char *fmt, ...)
{
    int      n;
    size_t   len;
    va_list  ap;

    len = strlen(tx->tags);

    if (len > 0 && len + 1 < sizeof(tx->tags)) {
        tx->tags[len++] = ' ';
        tx->tags[len] = '\0';
    }

    va_start(ap, fmt);
    n = vsnprintf(tx->tags + len, sizeof(tx->tags) - len, fmt, ap);
    va_end(ap);

    if (n < 0 || (size_t) n >= sizeof(tx->tags) - len) {
        tx->overflow = true;
    }
}


static int
tx_inbox(worker_tx_t *tx, const json_t *result)
{
    int          rc;
    char        *text;
    const char  *params[4];

    text = result != NULL ? json_dumps(result, WORKER_TX_DUMP) : NULL;
    params[0] = tx->job->uuid;
    params[1] = tx->step;
    params[2] = text;
    params[3] = tx->tags;

    rc = tx_do(tx, "INSERT INTO jobs.inbox (job_id, step, result, tags)"
                   " VALUES ($1::uuid, $2, $3::jsonb,"
                   "         string_to_array($4, ' '))", 4, params);
    free(text);
    return rc;
}


worker_verdict_e
worker_tx_commit(worker_tx_t *tx, json_t *result)
{
    PGresult  *res;

    if (!tx->open || tx->overflow) {
        if (tx->overflow) {
            (void) worker_job_fail(tx->job, WORKER_RETRY, "INTERNAL_ERROR",
                                   "more tags than a transaction may have");
        }

        json_decref(result);
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    if (tx_inbox(tx, tx->job->env.once ? NULL : result) != TRAVEL_OK) {
        json_decref(result);
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    tx->open = false;
    res = tx_run(tx, "COMMIT", 0, NULL);

    if (res == NULL) {
        /* unknown outcome: the next run finds the inbox row or does not */
        json_decref(result);
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    PQclear(res);
    json_decref(tx->job->result);
    tx->job->result = result;

    if (tx_announce(tx) != TRAVEL_OK) {
        worker_tx_end(tx);
        return WORKER_RETRY;
    }

    worker_tx_end(tx);
    return WORKER_DONE;
}


void
worker_tx_end(worker_tx_t *tx)
{
    tx_rollback(tx);
    json_decref(tx->seen);
    tx->seen = NULL;
}


/* A row that needs nothing is not locked: whoever books for its user looks at
 * it at the same time. */
int
worker_tx_user(worker_tx_t *tx)
{
    char         email[321];
    bool         told, made;
    PGresult    *res;
    const char  *params[2];

    snprintf(email, sizeof(email), "%.*s", (int) tx->job->env.email.len,
             tx->job->env.email.len > 0 ? tx->job->env.email.data : "");
    params[0] = tx->job->sub;
    params[1] = email[0] != '\0' ? email : NULL;

    res = worker_tx_exec(tx,
                         "INSERT INTO travel.users AS u (id, sub, email)"
                         " SELECT $1::uuid, $1::text, $2::text"
                         "  WHERE NOT EXISTS (SELECT FROM travel.users AS k"
                         "         WHERE k.id = $1::uuid"
                         "           AND (k.email IS NOT NULL"
                         "                OR $2::text IS NULL))"
                         " ON CONFLICT (id) DO UPDATE"
                         "    SET email = EXCLUDED.email"
                         "  WHERE u.email IS NULL"
                         "    AND EXCLUDED.email IS NOT NULL"
                         " RETURNING xmax = 0", 2, params);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    told = PQntuples(res) > 0;
    made = told && *PQgetvalue(res, 0, 0) == 't';
    PQclear(res);

    if (!told) {
        return TRAVEL_OK;
    }

    return worker_tx_event(tx, "user", tx->job->sub, -1,
                           made ? "user.created" : "user.updated",
                           json_pack("{s:s?}", "email", params[1]));
}
