/*
 * Jobs about flows (store/flow.h): flow.start and flow.run begin one,
 * flow.cancel and flow.retry are an operator's word, flow.told is what a flow
 * says to the one above it, flow.check looks for ends that no flow has heard
 * of.
 *
 * flow.start comes from the edge and so begins no job of an internal queue;
 * flow.run is for schedules, for the command line and for flows of the house.
 */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "families.h"
#include "resource.h"
#include "../pool/slot.h"
#include "../queue/browse.h"
#include "../queue/place.h"
#include "../queue/redis.h"
#include "../store/flow.h"

#define FLOW_REDIS_S   2
#define FLOW_PAGE_STR  "500"
#define FLOW_PAGE      500

/* What a look at the hash of a node's job is for. */
typedef struct {
    worker_job_t    *job;
    worker_redis_t  *redis;
    json_int_t       ended;          /* nodes whose flow was told */
} flow_walk_t;

enum { WALK_FLOW, WALK_JOB, WALK_QUEUE, WALK_LOST };


static worker_verdict_e
flow_start_in(worker_tx_t *tx)
{
    int   rc;
    char  id[37];

    rc = worker_tx_flow(tx, NULL, json_deep_copy(tx->job->body), id);

    if (rc != TRAVEL_OK) {
        worker_tx_end(tx);
        return rc == TRAVEL_INVALID ? WORKER_REJECT : WORKER_RETRY;
    }

    return worker_tx_commit(tx, json_pack("{s:s, s:O, s:s, s:I}", "id", id,
                                "name", json_object_get(tx->job->body, "name"),
                                "state", "running", "nodes",
                                (json_int_t) json_object_size(json_object_get(
                                    tx->job->body, "nodes"))));
}


static worker_verdict_e
flow_start(worker_job_t *job)
{
    return worker_tx_run(job, "start", flow_start_in);
}


/* --- what is asked of one ------------------------------------------------- */

/* One statement about the body's flow, which says NULL when it is not one for
 * that: 'params' begin with flow, queue and partition. */
static worker_verdict_e
flow_do(worker_tx_t *tx, const char *sql, const char *third)
{
    char            queue[TRAVEL_QUEUE_NAME_MAX + 1], partition[16];
    PGresult       *res;
    const char     *flow;
    travel_uuid_t   id;

    flow = worker_body_string(tx->job, "flow");

    if (flow == NULL || travel_uuid_parse(&id, (travel_str_t) { flow,
                                          strlen(flow) }) != TRAVEL_OK)
    {
        return worker_tx_refuse(tx, "VALIDATION_ERROR",
                                "\"flow\" is not the id of one");
    }

    worker_job_partition(tx->job, queue, partition);

    const char *params[] = { flow, queue, partition, third };

    res = worker_tx_exec(tx, sql, third != NULL ? 4 : 3, params);

    if (res == NULL) {
        return worker_tx_retry(tx, NULL);
    }

    if (PQgetisnull(res, 0, 0)) {
        PQclear(res);
        return worker_tx_refuse(tx, "CONFLICT",
                                "there is no such flow, or not in a state "
                                "for this");
    }

    tx->outbox = true;
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
flow_cancel_in(worker_tx_t *tx)
{
    return flow_do(tx, "SELECT jobs.flow_cancel($1::uuid, $4::boolean, $2,"
                       " $3::int)",
                   json_is_true(json_object_get(tx->job->body, "failed"))
                   ? "f" : "t");
}


static worker_verdict_e
flow_retry_in(worker_tx_t *tx)
{
    return flow_do(tx, "SELECT jobs.flow_retry($1::uuid, $2, $3::int)", NULL);
}


static worker_verdict_e
flow_told_in(worker_tx_t *tx)
{
    return flow_do(tx, "SELECT to_jsonb(jobs.flow_told($1::uuid, $4, $2,"
                       " $3::int))", worker_body_string(tx->job, "node"));
}


static worker_verdict_e
flow_retry(worker_job_t *job)
{
    return worker_tx_run(job, "retry", flow_retry_in);
}


static worker_verdict_e
flow_told(worker_job_t *job)
{
    return worker_tx_run(job, "told", flow_told_in);
}


/* --- nodes in the queue --------------------------------------------------- */

/* The id of a row's job, wherever its partition is now; the queue is the
 * row's. */
static bool
walk_job(const flow_walk_t *walk, const PGresult *res, int row,
    travel_job_id_t *ret_id)
{
    travel_job_id_t  id;

    id.queue = (travel_str_t) { PQgetvalue(res, row, WALK_QUEUE),
                                (size_t) PQgetlength(res, row, WALK_QUEUE) };

    if (travel_uuid_parse(&id.id, (travel_str_t) {
                          PQgetvalue(res, row, WALK_JOB), 36 }) != TRAVEL_OK
        || worker_place(walk->redis, &id, travel_uuid_bucket(&id.id))
           != TRAVEL_OK)
    {
        return false;
    }

    *ret_id = id;
    return true;
}


static worker_verdict_e
walk_end(flow_walk_t *walk, const PGresult *res, int row, const char *state,
    const char *error)
{
    bool               is_new = false;
    worker_verdict_e   verdict;

    verdict = worker_flow_node_over(walk->job,
                                    PQgetvalue(res, row, WALK_FLOW),
                                    PQgetvalue(res, row, WALK_JOB), state,
                                    NULL, error, &is_new);
    walk->ended += verdict == WORKER_DONE && is_new;

    return verdict;
}


static worker_verdict_e
walk_redis(const flow_walk_t *walk)
{
    return worker_job_fail(walk->job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                           "Redis cannot be asked");
}


/* A node's job is called off.  One that is not there yet finds out as it
 * begins. */
static worker_verdict_e
walk_call_off(flow_walk_t *walk, const PGresult *res, int row)
{
    bool              gone;
    char             *answer;
    travel_job_id_t   id;

    answer = walk_job(walk, res, row, &id)
             ? worker_browse_cancel(walk->redis, &id) : NULL;

    if (answer == NULL) {
        return walk_redis(walk);
    }

    gone = strcmp(answer, "cancelled") == 0;
    free(answer);

    return gone ? walk_end(walk, res, row, "cancelled",
                           "{\"code\": \"CANCELLED\","
                           " \"message\": \"its flow was called off\"}")
                : WORKER_DONE;
}


/* One that is over and whose flow has not heard of it: its owner died between,
 * or Redis has lost it. */
static worker_verdict_e
walk_look(flow_walk_t *walk, const PGresult *res, int row)
{
    char                  key[TRAVEL_KEY_MAX];
    bool                  there;
    redisReply           *reply;
    travel_job_id_t       id;
    worker_verdict_e      verdict;
    travel_job_status_e   status;

    if (!walk_job(walk, res, row, &id)) {
        return walk_redis(walk);
    }

    (void) travel_key_job(key, &id);
    reply = worker_redis_command(walk->redis, "HGET %s status", key);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        freeReplyObject(reply);
        return walk_redis(walk);
    }

    verdict = WORKER_DONE;
    there = reply->type == REDIS_REPLY_STRING;

    if (!there && *PQgetvalue(res, row, WALK_LOST) == 't') {
        verdict = walk_end(walk, res, row, "dead", "{\"code\": \"LOST\","
                           " \"message\": \"the queue does not know it\"}");

    } else if (there
               && travel_job_status_parse(&status, (travel_str_t) {
                                          reply->str, (size_t) reply->len })
                  == TRAVEL_OK && travel_job_status_final(status))
    {
        verdict = walk_end(walk, res, row, reply->str,
                           "{\"code\": \"ENDED\","
                           " \"message\": \"found by flow.check\"}");
    }

    freeReplyObject(reply);
    return verdict;
}


/* Page by page over what 'sql' selects behind $2 (columns as WALK_...); $1 is
 * 'which'. */
static worker_verdict_e
flow_walk(worker_job_t *job, const char *sql, const char *which,
    worker_verdict_e (*each)(flow_walk_t *walk, const PGresult *res, int row))
{
    int                i, n;
    char               after[37];
    PGresult          *res;
    flow_walk_t        walk = { .job = job };
    const char        *params[] = { which, after };
    worker_verdict_e   verdict;

    snprintf(after, sizeof(after), "%s", TRAVEL_ENVELOPE_ANYBODY);
    walk.redis = worker_redis_connect(job->slot->conf, "travel-flow",
                                      FLOW_REDIS_S);

    if (walk.redis == NULL) {
        return walk_redis(&walk);
    }

    verdict = WORKER_DONE;

    do {
        res = worker_query(job, sql, 2, params);
        n = res != NULL ? PQntuples(res) : 0;
        verdict = res != NULL ? WORKER_DONE : WORKER_RETRY;

        for (i = 0; verdict == WORKER_DONE && i < n; i++) {
            verdict = each(&walk, res, i);
            snprintf(after, sizeof(after), "%s", PQgetvalue(res, i, WALK_JOB));
        }

        PQclear(res);
    } while (verdict == WORKER_DONE && n == FLOW_PAGE && !job->cancel);

    worker_redis_close(&walk.redis);

    if (walk.ended > 0) {
        worker_tx_announce(job, "");
    }

    if (verdict == WORKER_DONE) {
        json_decref(job->result);
        job->result = json_pack("{s:I}", "ended", walk.ended);
    }

    return verdict;
}


static worker_verdict_e
flow_cancel(worker_job_t *job)
{
    worker_verdict_e  verdict;

    verdict = worker_tx_run(job, "cancel", flow_cancel_in);

    return verdict != WORKER_DONE ? verdict : flow_walk(job,
        "SELECT flow, job, queue, false FROM jobs.flow_node"
        " WHERE flow = $1::uuid AND job > $2::uuid AND NOT always"
        "   AND state IN ('queued', 'running')"
        " ORDER BY job LIMIT " FLOW_PAGE_STR,
        worker_body_string(job, "flow"), walk_call_off);
}


static worker_verdict_e
flow_check(worker_job_t *job)
{
    const char  *older;

    older = worker_body_string(job, "older");

    return flow_walk(job,
        "SELECT n.flow, n.job, n.queue, NOT EXISTS ("
        "         SELECT FROM jobs.outbox AS o"
        "          WHERE o.sent_at IS NULL AND o.kind = 'job'"
        "            AND right(o.payload->>'id', 36) = n.job::text)"
        "  FROM jobs.flow_node AS n"
        " WHERE n.state IN ('queued', 'running') AND n.job > $2::uuid"
        "   AND n.queued_at < clock_timestamp() - $1::interval"
        " ORDER BY n.job LIMIT " FLOW_PAGE_STR,
        older != NULL ? older : "2 minutes", walk_look);
}


const worker_job_type_t  worker_jobs_flow[] = {
    { "flow.start", "account", TRAVEL_PRIORITY_NORMAL, flow_start, NULL,
      WORKER_RETRY_DEFAULTS, true },
    { "flow.run", "maintenance", TRAVEL_PRIORITY_NORMAL, flow_start, NULL,
      WORKER_RETRY_DEFAULTS, true },
    { "flow.cancel", "account", TRAVEL_PRIORITY_HIGH, flow_cancel, NULL,
      WORKER_RETRY_DEFAULTS, true },
    { "flow.retry", "account", TRAVEL_PRIORITY_HIGH, flow_retry, NULL,
      WORKER_RETRY_DEFAULTS, true },
    { "flow.told", "maintenance", TRAVEL_PRIORITY_HIGH, flow_told, NULL,
      10, 1000, 300000, 300000, true },
    { "flow.check", "maintenance", TRAVEL_PRIORITY_LOW, flow_check, NULL,
      WORKER_RETRY_DEFAULTS, true },
    { .type = NULL }
};
