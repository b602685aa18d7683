/*
 * The rows of a batch.  Each function is one statement, hence one transaction,
 * that checks the lease's fence itself: who lost the lease changes nothing.
 */

#include <stdio.h>
#include <stdlib.h>

#include "notice.h"

#define NOTICE_TRIES   6                /* of one message */
#define NOTICE_BASE    5000L            /* ms; doubled each time */
#define NOTICE_CAP     300000L

#define NOTICE_LEASE                                                          \
    "WITH f AS MATERIALIZED ("                                                \
    "  SELECT jobs.fenced($1, $2::int, $3, $4::bigint) AS ok)"


/* The first five parameters of all: the lease and the batch. */
static void
notice_params(worker_job_lease_t *l, const worker_job_t *job,
    const char *params[5])
{
    worker_job_lease(job, l);

    params[0] = l->queue;
    params[1] = l->partition;
    params[2] = job->owner;
    params[3] = l->fence;
    params[4] = job->uuid;
}


/* There is a row, and its first column says whether the lease is ours. */
static worker_verdict_e
notice_ask(worker_job_t *job, const char *sql, int n,
    const char *const *params, PGresult **ret_res)
{
    PGresult  *res;

    res = worker_query(job, sql, n, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    if (*PQgetvalue(res, 0, 0) != 't') {
        PQclear(res);
        return WORKER_FENCED;
    }

    *ret_res = res;
    return WORKER_DONE;
}


static worker_verdict_e
notice_do(worker_job_t *job, const char *sql, int n,
    const char *const *params)
{
    PGresult          *res;
    worker_verdict_e   verdict;

    res = NULL;
    verdict = notice_ask(job, sql, n, params, &res);
    PQclear(res);
    return verdict;
}


/* Its users hear of it where they are, too. */
static bool
notice_told(worker_tx_t *tx)
{
    char         *data, queue[TRAVEL_QUEUE_NAME_MAX + 1], partition[16];
    PGresult     *res;
    const char   *params[5];

    worker_job_partition(tx->job, queue, partition);
    data = json_dumps(json_object_get(tx->job->body, "data"), JSON_COMPACT);
    params[0] = queue;
    params[1] = partition;
    params[2] = tx->job->uuid;
    params[3] = worker_body_string(tx->job, "template");
    params[4] = data;
    res = worker_tx_exec(tx, "SELECT jobs.tell_noticed($1, $2::integer,"
                             " $3::uuid, $4, $5::jsonb)", 5, params);
    free(data);
    PQclear(res);
    tx->outbox = res != NULL;

    return res != NULL;
}


worker_verdict_e
notice_expand(worker_job_t *job, const char *channel)
{
    char         *text;
    PGresult     *res;
    const char   *params[3];
    worker_tx_e   state;
    worker_tx_t   tx;

    state = worker_tx_begin(&tx, job, "expand");

    if (state != WORKER_TX_FRESH) {
        return worker_tx_not_fresh(&tx, state);
    }

    text = json_dumps(json_object_get(job->body, "recipients"), JSON_COMPACT);
    params[0] = job->uuid;
    params[1] = channel;
    params[2] = text != NULL ? text : "[]";
    res = worker_tx_exec(&tx, "SELECT jobs.notice_rows($1::uuid, $2,"
                              "                        $3::jsonb)", 3,
                         params);
    free(text);

    if (res == NULL) {
        worker_tx_end(&tx);
        return WORKER_RETRY;
    }

    PQclear(res);
    return notice_told(&tx) ? worker_tx_commit(&tx, NULL)
                            : worker_tx_retry(&tx, NULL);
}


worker_verdict_e
notice_recover(worker_job_t *job)
{
    const char          *params[5];
    worker_job_lease_t   lease;

    notice_params(&lease, job, params);

    return notice_do(job, NOTICE_LEASE
        ", back AS (UPDATE jobs.notice SET state = 'waiting'"
        "            FROM f WHERE f.ok AND batch = $5::uuid"
        "             AND state = 'taken')"
        " SELECT ok FROM f", 5, params);
}


static worker_verdict_e
notice_read(worker_job_t *job, PGresult *res, notice_t **ret_notices,
    size_t *ret_n)
{
    int        i;
    size_t     n;
    notice_t  *notices;

    notices = calloc((size_t) PQntuples(res), sizeof(notice_t));

    if (notices == NULL) {
        return worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                               "out of memory");
    }

    for (n = 0, i = 0; i < PQntuples(res); i++) {
        notices[n++] = (notice_t) {
            atoi(PQgetvalue(res, i, 1)), PQgetvalue(res, i, 2),
            PQgetvalue(res, i, 3), PQgetvalue(res, i, 4),
            (unsigned) atoi(PQgetvalue(res, i, 5))
        };
    }

    *ret_notices = notices;
    *ret_n = n;
    return WORKER_DONE;
}


worker_verdict_e
notice_take(worker_job_t *job, PGresult **ret_res, notice_t **ret_notices,
    size_t *ret_n)
{
    char                 limit[16];
    PGresult            *res;
    const char          *params[6];
    worker_verdict_e     verdict;
    worker_job_lease_t   lease;

    *ret_res = NULL;
    *ret_notices = NULL;
    *ret_n = 0;
    notice_params(&lease, job, params);
    snprintf(limit, sizeof(limit), "%d", NOTICE_CHUNK);
    params[5] = limit;

    verdict = notice_ask(job, NOTICE_LEASE
        ", due AS (SELECT n FROM jobs.notice, f"
        "           WHERE f.ok AND batch = $5::uuid AND state = 'waiting'"
        "             AND due <= now() ORDER BY n LIMIT $6::int),"
        " took AS ("
        "  UPDATE jobs.notice AS t"
        "     SET state = 'taken', fence = $4::bigint,"
        "         attempts = t.attempts + 1"
        "    FROM due WHERE t.batch = $5::uuid AND t.n = due.n"
        "  RETURNING t.n, t.service, t.address, t.data, t.attempts)"
        " SELECT f.ok, took.n, took.service, took.address,"
        "        coalesce(took.data::text, ''), took.attempts"
        "   FROM f LEFT JOIN took ON true ORDER BY took.n", 6, params, &res);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    if (!PQgetisnull(res, 0, 1)) {      /* else it is the lease alone */
        verdict = notice_read(job, res, ret_notices, ret_n);
    }

    if (*ret_notices == NULL) {
        PQclear(res);
    } else {
        *ret_res = res;
    }

    return verdict;
}


/* {n, state, error, wait, bounced, gone} of one. */
static json_t *
notice_outcome(const notice_t *notice, const notice_answer_t *answer)
{
    long         wait;
    const char  *state;

    wait = 0;
    state = answer->outcome == NOTICE_SENT ? "sent" : "refused";

    if (answer->outcome == NOTICE_LATER) {
        wait = notice->attempts < 16 ? NOTICE_BASE << (notice->attempts - 1)
                                     : NOTICE_CAP;
        wait = wait < NOTICE_CAP ? wait : NOTICE_CAP;
        wait = answer->wait_ms > 0 ? answer->wait_ms : wait;
        state = notice->attempts < NOTICE_TRIES ? "waiting" : "failed";
    }

    return json_pack("{s:i, s:s, s:s?, s:I, s:b, s:I}", "n", notice->n,
                     "state", state, "error",
                     answer->why[0] != '\0' ? answer->why : NULL,
                     "wait", (json_int_t) wait, "bounced",
                     answer->outcome == NOTICE_BOUNCED,
                     "gone", (json_int_t) answer->gone_ms);
}


worker_verdict_e
notice_settle(worker_job_t *job, const notice_t *notices,
    const notice_answer_t *answers, size_t n)
{
    char                *text;
    size_t               i;
    json_t              *list;
    const char          *params[6];
    worker_verdict_e     verdict;
    worker_job_lease_t   lease;

    list = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(list, notice_outcome(&notices[i], &answers[i]));
    }

    text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    notice_params(&lease, job, params);
    params[5] = text;

    /* a device that registered again after the service last saw it is not
     * the one that is gone */
    verdict = notice_do(job, NOTICE_LEASE
        ", said AS (SELECT s.* FROM f, jsonb_to_recordset($6::jsonb)"
        "             AS s(n int, state text, error text, wait bigint,"
        "                  bounced boolean, gone bigint) WHERE f.ok),"
        " done AS ("
        "  UPDATE jobs.notice AS t"
        "     SET state = s.state, error = s.error,"
        "         due = now() + s.wait * interval '1 millisecond'"
        "    FROM said AS s"
        "   WHERE t.batch = $5::uuid AND t.n = s.n"
        "     AND t.state = 'taken' AND t.fence = $4::bigint"
        "  RETURNING t.service, t.address, t.device, s.bounced, s.gone,"
        "            s.error),"
        " dropped AS ("
        "  DELETE FROM travel.devices AS d USING done"
        "   WHERE done.bounced AND d.id = done.device"
        "     AND (done.gone = 0"
        "          OR d.registered_at < to_timestamp(done.gone / 1000.0))),"
        " bounced AS ("
        "  INSERT INTO jobs.suppressed (address, reason)"
        "  SELECT DISTINCT ON (lower(address)) lower(address), error"
        "    FROM done WHERE bounced AND service = 'email'"
        "  ON CONFLICT (address) DO NOTHING)"
        " SELECT ok FROM f", 6, params);
    free(text);
    return verdict;
}


worker_verdict_e
notice_count(worker_job_t *job, notice_count_t *ret_count)
{
    PGresult            *res;
    const char          *params[5];
    worker_verdict_e     verdict;
    worker_job_lease_t   lease;

    notice_params(&lease, job, params);

    verdict = notice_ask(job, NOTICE_LEASE
        " SELECT bool_and(f.ok),"
        "        count(*) FILTER (WHERE state = 'sent'),"
        "        count(*) FILTER (WHERE state = 'refused'),"
        "        count(*) FILTER (WHERE state = 'failed'),"
        "        count(*) FILTER (WHERE state IN ('waiting', 'taken')),"
        "        coalesce(ceil(1000 * extract(epoch FROM min(due) FILTER"
        "                 (WHERE state = 'waiting') - now())), 0)::bigint"
        "   FROM f LEFT JOIN jobs.notice ON batch = $5::uuid", 5, params,
        &res);

    if (verdict == WORKER_DONE) {
        *ret_count = (notice_count_t) {
            strtol(PQgetvalue(res, 0, 1), NULL, 10),
            strtol(PQgetvalue(res, 0, 2), NULL, 10),
            strtol(PQgetvalue(res, 0, 3), NULL, 10),
            strtol(PQgetvalue(res, 0, 4), NULL, 10),
            strtol(PQgetvalue(res, 0, 5), NULL, 10)
        };
        PQclear(res);
    }

    return verdict;
}


worker_verdict_e
notice_fail(worker_job_t *job)
{
    const char          *params[5];
    worker_job_lease_t   lease;

    notice_params(&lease, job, params);

    return notice_do(job, NOTICE_LEASE
        ", failed AS ("
        "  UPDATE jobs.notice SET state = 'failed',"
        "         error = coalesce(error, 'the batch gave up')"
        "    FROM f WHERE f.ok AND batch = $5::uuid"
        "     AND state IN ('waiting', 'taken'))"
        " SELECT ok FROM f", 5, params);
}
