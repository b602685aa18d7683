/*
 * The outbox: from PostgreSQL to Redis.
 *
 * A row is not sent in one step with its mark, so it may be sent twice: a job
 * is enqueued once per id, and requeued once per outbox row.
 *
 * The rows of a batch are sent one behind the other, and the answers read when
 * all are out.  What was answered up to the first failure is marked; what may
 * have gone out behind that is sent again.  While Redis works on a batch
 * PostgreSQL marks the one before and looks for the next.
 */

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include <hiredis/hiredis.h>
#include <jansson.h>

#include "place.h"
#include "queue.h"
#include "relay.h"
#include "../../common/digits.h"
#include "../../common/json.h"
#include "../../common/live_message.h"
#include "../jobs/job.h"
#include "../pool/log.h"
#include "../store/claim.h"

#define RELAY_BATCH      1000
#define RELAY_BATCH_STR  "1000"
#define RELAY_LOOK_S     3600
#define RELAY_UNIQUE_MAX 1024
#define RELAY_JSON       16384          /* to begin with */
#define RELAY_MESSAGES   32             /* of one script call */
#define RELAY_LIVE_FIRST 4
#define RELAY_LIVE_ARGS  7              /* with the first of them */


/* A row on its way: so many answers are to come, from the cache role if it is
 * a message, else from the queue role. */
typedef struct {
    int       rc;
    unsigned  answers;
    bool      live;
} relay_sent_t;

typedef struct {
    const worker_relay_t  *relay;
    PGresult              *rows;
    travel_json_t         *row;         /* the payload of the one at hand */
    redisReply            *layout;      /* travel:layout */
    int                    nsent;
    int                    nread;       /* of these, answers read */
    int                    ndone;       /* of these, to be marked */
    relay_sent_t           sent[RELAY_BATCH];
} relay_batch_t;


static void relay_answers(relay_batch_t *batch);


/* --- the outbox ----------------------------------------------------------- */

static const travel_json_node_t *
relay_node(const relay_batch_t *batch, travel_str_t name,
    travel_json_type_e type)
{
    const travel_json_node_t  *node;

    node = travel_json_member(batch->row, 0, name);

    return node != NULL && node->type == type ? node : NULL;
}


static travel_str_t
relay_member(const relay_batch_t *batch, travel_str_t name)
{
    const travel_json_node_t  *node;

    node = relay_node(batch, name, TRAVEL_JSON_STRING);

    return node != NULL ? node->text : TRAVEL_STR("");
}


/* 0: it has none. */
static int64_t
relay_number(const relay_batch_t *batch, travel_str_t name)
{
    const travel_json_node_t  *node;

    node = relay_node(batch, name, TRAVEL_JSON_NUMBER);

    return node != NULL ? (int64_t) travel_json_double(node) : 0;
}


/* What the layout says under a queue's name and what follows that; NULL:
 * nothing. */
static const char *
relay_layout(const relay_batch_t *batch, travel_str_t queue, const char *tail)
{
    size_t             i, n;
    const redisReply  *layout, *name;

    layout = batch->layout;
    n = strlen(tail);

    for (i = 0; i + 1 < layout->elements; i += 2) {
        name = layout->element[i];

        if ((size_t) name->len == queue.len + n
            && memcmp(name->str, queue.data, queue.len) == 0
            && strcmp(name->str + queue.len, tail) == 0)
        {
            return layout->element[i + 1]->str;
        }
    }

    return NULL;
}


/* A row that was sent shortly before a repartitioning, and not marked, is
 * looked for where it went. */
static int
relay_place(relay_batch_t *batch, travel_job_id_t *id)
{
    bool              bucket;
    unsigned          place;
    const char       *text, *since;
    travel_layout_t   layout = TRAVEL_LAYOUT_DEFAULT;

    text = relay_layout(batch, id->queue, "");

    if (text != NULL
        && travel_layout_parse(&layout, (travel_str_t) { text, strlen(text) })
           != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    since = relay_layout(batch, id->queue, ":since");
    bucket = relay_node(batch, TRAVEL_STR("bucket"), TRAVEL_JSON_NUMBER)
             != NULL;
    place = bucket ? (unsigned) relay_number(batch, TRAVEL_STR("bucket"))
                     % TRAVEL_BUCKETS
                   : travel_uuid_bucket(&id->id);

    if (!bucket && id->partition >= layout.now.base
        && id->partition < layout.now.base + layout.now.n)
    {
        return TRAVEL_OK;           /* its writer knew */
    }

    if (layout.was.n > 0 && since != NULL
        && time(NULL) - atoll(since) < RELAY_LOOK_S)
    {
        relay_answers(batch);
        return worker_place(batch->relay->redis, id, place);
    }

    id->partition = travel_range_place(&layout.now, place);

    return TRAVEL_OK;
}


/* The id as it is under the present layout: the writer of the row knew the
 * bucket, not how many partitions there are. */
static int
relay_job_id(relay_batch_t *batch, char *ret_text,
    travel_priority_e *ret_priority)
{
    travel_job_id_t  id;

    if (travel_job_id_parse(&id, relay_member(batch, TRAVEL_STR("id")))
        != TRAVEL_OK
        || travel_priority_parse(ret_priority, relay_member(batch,
                                                   TRAVEL_STR("priority")))
           != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    if (relay_place(batch, &id) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    (void) travel_job_id_format(ret_text, &id);
    return TRAVEL_OK;
}


/* Its partition is closed: the same job, where its id has its place now. */
static int
relay_move(const worker_relay_t *relay, travel_str_t from, char *ret_text)
{
    travel_job_id_t   id;
    travel_layout_t   layout;

    if (travel_job_id_parse(&id, from) != TRAVEL_OK
        || worker_layout(relay->redis, id.queue, &layout) != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    id.partition = travel_range_place(&layout.now,
                                      travel_uuid_bucket(&id.id));
    (void) travel_job_id_format(ret_text, &id);
    return TRAVEL_OK;
}


/* What a row says of a job but for its id and body; false: too little. */
static bool
relay_envelope(const relay_batch_t *batch, travel_envelope_t *env)
{
    env->type = relay_member(batch, TRAVEL_STR("type"));
    env->sub = relay_member(batch, TRAVEL_STR("sub"));
    env->email = relay_member(batch, TRAVEL_STR("email"));
    env->key = relay_member(batch, TRAVEL_STR("key"));
    env->tp = relay_member(batch, TRAVEL_STR("tp"));
    env->sealed = relay_member(batch, TRAVEL_STR("sealed"));
    env->flow = relay_member(batch, TRAVEL_STR("flow"));

    return env->type.len > 0 && env->sub.len > 0 && env->key.len > 0;
}


/* A payload that is too large for the stream stays in the database, until its
 * job's dead letter would be gone; the message says so. */
static int
relay_claim(const worker_relay_t *relay, travel_envelope_t *env,
    int64_t later, uint64_t at)
{
    int              rc;
    char             uuid[TRAVEL_UUID_TEXT_LEN + 1], sub[TRAVEL_UUID_TEXT_LEN
                                                         + 1], *body;
    worker_claim_t   claim;

    if (env->body.len <= relay->claim_check
        || !travel_job_id_uuid(uuid, env->id))
    {
        return TRAVEL_OK;
    }

    snprintf(sub, sizeof(sub), "%.*s", (int) env->sub.len, env->sub.data);
    body = strndup(env->body.data, env->body.len);

    if (body == NULL) {
        return TRAVEL_ERROR;
    }

    claim = (worker_claim_t) {
        .uuid = uuid, .what = WORKER_CLAIM_BODY, .sub = sub,
        .text = body, .keep_ms = 2 * relay->retention_ms
    };

    if (later > (int64_t) at) {
        claim.keep_ms += later - (int64_t) at;
    }

    rc = worker_claim_put(relay->pg, &claim);
    free(body);

    if (rc == TRAVEL_OK) {
        env->claim = TRAVEL_STR("1");
        env->body = TRAVEL_STR("{}");
    }

    return rc;
}


/* Its answer is to come. */
static int
relay_enqueue(const relay_batch_t *batch, const travel_envelope_t *env,
    travel_priority_e priority, int64_t later)
{
    char             key[RELAY_UNIQUE_MAX];
    travel_str_t     text;
    worker_unique_t  unique = { key, relay_number(batch,
                                                  TRAVEL_STR("unique_ms")),
                                relay_number(batch, TRAVEL_STR("quiet_ms")) };

    text = relay_member(batch, TRAVEL_STR("unique"));

    if (text.len >= sizeof(key)) {
        return TRAVEL_INVALID;
    }

    snprintf(key, sizeof(key), "%.*s", (int) text.len, text.data);

    return worker_enqueue_append(batch->relay->redis, env, priority, later,
                                 text.len > 0 && unique.window_ms > 0
                                 ? &unique : NULL);
}


static int
relay_job(relay_batch_t *batch, uint64_t at)
{
    int                 rc;
    char                id[TRAVEL_JOB_ID_MAX + 1];
    travel_envelope_t   env = { 0 };
    int64_t             later, quiet;
    travel_priority_e   priority;

    const travel_json_node_t  *body;

    rc = relay_job_id(batch, id, &priority);

    if (rc != TRAVEL_OK) {
        return rc;
    }

    body = relay_node(batch, TRAVEL_STR("body"), TRAVEL_JSON_OBJECT);

    if (!relay_envelope(batch, &env) || body == NULL) {
        return TRAVEL_INVALID;
    }

    env.body = body->text;          /* as it was written */
    env.id = (travel_str_t) { id, strlen(id) };
    env.ts = at;
    quiet = relay_number(batch, TRAVEL_STR("quiet_ms"));
    later = quiet > 0 ? (int64_t) at + quiet
                      : relay_number(batch, TRAVEL_STR("not_before"));

    /* the body of one that others may replace is with its message */
    rc = quiet > 0 ? TRAVEL_OK : relay_claim(batch->relay, &env, later, at);

    return rc == TRAVEL_OK ? relay_enqueue(batch, &env, priority, later) : rc;
}


/* The letter of a job that is not among the dead any more. */
static int
relay_drop(const relay_batch_t *batch)
{
    int                    rc;
    char                   dead[TRAVEL_KEY_MAX];
    redisReply            *reply;
    travel_str_t           entry;
    const worker_relay_t  *relay;

    relay = batch->relay;
    entry = relay_member(batch, TRAVEL_STR("entry"));

    if (entry.len == 0) {
        return TRAVEL_OK;
    }

    (void) travel_key_named(dead, (travel_str_t) { relay->queue,
                            strlen(relay->queue) }, relay->number, "dead");
    reply = worker_redis_command(relay->redis, "XDEL %s %b", dead, entry.data,
                                 entry.len);
    rc = reply != NULL ? TRAVEL_OK : TRAVEL_ERROR;
    freeReplyObject(reply);

    return rc;
}


/* A dead job's payload may still be where it was put. */
static int
relay_claimed(const worker_relay_t *relay, travel_envelope_t *env)
{
    int    rc;
    char   uuid[TRAVEL_UUID_TEXT_LEN + 1], *text;

    if (env->body.len > 2 || !travel_job_id_uuid(uuid, env->id)) {
        return TRAVEL_OK;
    }

    text = NULL;
    rc = worker_claim_get(relay->pg, uuid, WORKER_CLAIM_BODY, &text);
    free(text);

    if (rc == TRAVEL_OK) {
        env->claim = TRAVEL_STR("1");
    }

    return rc == TRAVEL_INVALID ? TRAVEL_OK : rc;
}


/* Who asks for it by its old id is told where it is. */
static int
relay_moved(const relay_batch_t *batch, const char *to)
{
    int                    rc;
    char                   key[TRAVEL_KEY_MAX];
    redisReply            *reply;
    travel_job_id_t        from, now;
    const worker_relay_t  *relay;

    relay = batch->relay;

    if (travel_job_id_parse(&from, relay_member(batch, TRAVEL_STR("id")))
        != TRAVEL_OK
        || travel_job_id_parse(&now, (travel_str_t) { to, strlen(to) })
           != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    (void) travel_key_job(key, &from);
    reply = worker_redis_command(relay->redis, "HSET %s moved %u", key,
                                 now.partition);
    rc = reply != NULL && reply->type == REDIS_REPLY_INTEGER ? TRAVEL_OK
                                                             : TRAVEL_ERROR;
    freeReplyObject(reply);
    reply = worker_redis_command(relay->redis, "PEXPIRE %s %ld", key,
                                 relay->retention_ms);
    freeReplyObject(reply);

    return rc;
}


/* Its body as it came; neither deadline nor waiter: both were of the first
 * time.  'token' is the outbox row. */
static int
relay_requeue(const relay_batch_t *batch, const char *token)
{
    int                        rc;
    char                       id[TRAVEL_JOB_ID_MAX + 1];
    int64_t                    later;
    uint64_t                   ts;
    travel_envelope_t          env = { 0 };
    travel_priority_e          priority;
    const worker_relay_t      *relay;
    const worker_job_type_t   *type;

    relay = batch->relay;
    env.id = relay_member(batch, TRAVEL_STR("id"));
    env.body = relay_member(batch, TRAVEL_STR("body"));

    if (!relay_envelope(batch, &env) || env.body.len == 0) {
        return TRAVEL_INVALID;
    }

    if (relay_claimed(relay, &env) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    type = worker_job_type(env.type);
    env.ts = travel_digits_parse(&ts, relay_member(batch, TRAVEL_STR("ts")))
             == TRAVEL_OK ? ts : 0;

    priority = type != NULL ? type->priority : TRAVEL_PRIORITY_NORMAL;
    later = relay_number(batch, TRAVEL_STR("not_before"));
    rc = worker_requeue(relay->redis, &env, priority, later, token);

    if (rc == TRAVEL_REFUSED && relay_move(relay, env.id, id) == TRAVEL_OK) {
        env.id = (travel_str_t) { id, strlen(id) };
        rc = worker_requeue(relay->redis, &env, priority, later, token);
        rc = rc == TRAVEL_OK ? relay_moved(batch, id) : TRAVEL_ERROR;
    }

    return rc == TRAVEL_OK ? relay_drop(batch) : rc;
}


/* To the history of a topic (live_message.h): 'n' messages, nodes from 'at' on.
 * Returns in how many calls, or TRAVEL_ERROR. */
static int
relay_live_topic(const relay_batch_t *batch, travel_str_t topic, uint32_t at,
    uint32_t n)
{
    int                        argc, calls;
    char                       keep[16], ttl[16];
    char                       key[sizeof(TRAVEL_LIVE_PREFIX)
                                   + TRAVEL_LIVE_TOPIC_MAX];
    size_t                     len[RELAY_LIVE_ARGS + RELAY_MESSAGES];
    const char                *argv[RELAY_LIVE_ARGS + RELAY_MESSAGES] = {
        "EVAL", travel_live_publish, "1", key, NULL, keep, ttl
    };
    const travel_json_node_t  *nodes;

    if (topic.len > TRAVEL_LIVE_TOPIC_MAX) {
        return 0;                   /* nobody can name it */
    }

    snprintf(key, sizeof(key), TRAVEL_LIVE_PREFIX "%.*s", (int) topic.len,
             topic.data);
    snprintf(keep, sizeof(keep), "%d", TRAVEL_LIVE_KEEP);
    snprintf(ttl, sizeof(ttl), "%d", TRAVEL_LIVE_TTL_MS);
    nodes = travel_json_nodes(batch->row);

    for (calls = 0; n > 0; calls++) {
        argv[RELAY_LIVE_FIRST] = nodes[at].text.data;

        for (argc = 0; argc < RELAY_LIVE_ARGS; argc++) {
            len[argc] = argc == RELAY_LIVE_FIRST ? nodes[at].text.len
                                                 : strlen(argv[argc]);
        }

        for (n--, at = nodes[at].next;
             n > 0 && argc < RELAY_LIVE_ARGS + RELAY_MESSAGES;
             n--, at = nodes[at].next)
        {
            argv[argc] = nodes[at].text.data;
            len[argc++] = nodes[at].text.len;
        }

        if (redisAppendCommandArgv(batch->relay->live, argc, argv, len)
            != REDIS_OK)
        {
            return TRAVEL_ERROR;
        }
    }

    return calls;
}


/* The row's messages: 'n' nodes from the index that is returned on. */
static uint32_t
relay_live_messages(const relay_batch_t *batch, uint32_t *ret_n)
{
    const travel_json_node_t  *node;

    *ret_n = 1;
    node = relay_node(batch, TRAVEL_STR("message"), TRAVEL_JSON_OBJECT);

    if (node != NULL) {
        return (uint32_t) (node - travel_json_nodes(batch->row));
    }

    node = relay_node(batch, TRAVEL_STR("messages"), TRAVEL_JSON_ARRAY);
    *ret_n = node != NULL ? node->count : 0;

    return node != NULL
           ? (uint32_t) (node - travel_json_nodes(batch->row)) + 1 : 0;
}


/* One of the row's messages to one topic more: an entry of "also", [topic,
 * place from 0], the node at 'entry'. */
static int
relay_live_also(const relay_batch_t *batch, uint32_t entry, uint32_t first,
    uint32_t n)
{
    double                     place;
    const travel_json_node_t  *nodes, *topic;

    nodes = travel_json_nodes(batch->row);

    if (nodes[entry].type != TRAVEL_JSON_ARRAY || nodes[entry].count != 2) {
        return TRAVEL_INVALID;
    }

    topic = &nodes[entry + 1];

    if (topic->type != TRAVEL_JSON_STRING
        || nodes[topic->next].type != TRAVEL_JSON_NUMBER)
    {
        return TRAVEL_INVALID;
    }

    place = travel_json_double(&nodes[topic->next]);

    if (place < 0 || place >= n) {
        return TRAVEL_INVALID;
    }

    for ( ; place >= 1; place--) {
        first = nodes[first].next;
    }

    return relay_live_topic(batch, topic->text, first, 1);
}


/*
 * {"topics": [...], "message": {...}}, or "messages": [{...}, ...] in order; of
 * these some go to other topics, too: "also": [[topic, place], ...].
 * What has waited longer than a history lasts is of no use to anybody.
 */
static int
relay_live(const relay_batch_t *batch, bool stale, relay_sent_t *sent)
{
    int                        calls;
    uint32_t                   i, n, first, at;
    const travel_json_node_t  *topics, *also, *nodes;

    if (batch->relay->mute) {
        return TRAVEL_OK;
    }

    nodes = travel_json_nodes(batch->row);
    topics = relay_node(batch, TRAVEL_STR("topics"), TRAVEL_JSON_ARRAY);
    first = relay_live_messages(batch, &n);

    if (stale || batch->relay->live == NULL || topics == NULL || n == 0) {
        return TRAVEL_INVALID;
    }

    sent->live = true;
    at = (uint32_t) (topics - nodes) + 1;

    for (i = 0; i < topics->count; i++, at = nodes[at].next) {
        calls = relay_live_topic(batch, nodes[at].text, first, n);

        if (calls < 0) {
            return calls;
        }

        sent->answers += (unsigned) calls;
    }

    also = relay_node(batch, TRAVEL_STR("also"), TRAVEL_JSON_ARRAY);
    at = also != NULL ? (uint32_t) (also - nodes) + 1 : 0;

    for (i = 0; also != NULL && i < also->count; i++, at = nodes[at].next) {
        calls = relay_live_also(batch, at, first, n);

        if (calls < 0) {
            return calls;
        }

        sent->answers += (unsigned) calls;
    }

    return TRAVEL_OK;
}


/* Of all rows that are out. */
static void
relay_answers(relay_batch_t *batch)
{
    void          *raw;
    redisReply    *reply;
    relay_sent_t  *sent;

    for ( ; batch->nread < batch->nsent; batch->nread++) {
        sent = &batch->sent[batch->nread];

        for ( ; sent->answers > 0; sent->answers--) {

            if (!sent->live) {
                sent->rc = worker_enqueue_answer(batch->relay->redis);
                continue;
            }

            raw = NULL;

            if (redisGetReply(batch->relay->live, &raw) != REDIS_OK) {
                sent->rc = TRAVEL_ERROR;
                continue;
            }

            reply = raw;

            if (reply->type != REDIS_REPLY_STRING) {
                sent->rc = TRAVEL_ERROR;
            }

            if (worker_redis_readonly(reply)) {
                /* the next connection goes to the master */
                (void) shutdown(batch->relay->live->fd, SHUT_RDWR);
            }

            freeReplyObject(reply);
        }
    }
}


/* Columns: id, kind, stale, payload, unix ms. */
static int
relay_row(relay_batch_t *batch, int i, relay_sent_t *sent)
{
    int                   rc;
    const char           *kind;
    travel_json_error_t   err;

    rc = travel_json_parse(batch->row,
                           (travel_str_t) { PQgetvalue(batch->rows, i, 3),
                               (size_t) PQgetlength(batch->rows, i, 3) },
                           TRAVEL_JSON_DEPTH_MAX, &err);

    if (rc != TRAVEL_OK) {
        return rc;
    }

    kind = PQgetvalue(batch->rows, i, 1);

    if (strcmp(kind, "live") == 0) {
        return relay_live(batch, PQgetvalue(batch->rows, i, 2)[0] == 't',
                          sent);
    }

    if (strcmp(kind, "requeue") == 0) {
        relay_answers(batch);
        return relay_requeue(batch, PQgetvalue(batch->rows, i, 0));
    }

    if (strcmp(kind, "drop") == 0) {
        relay_answers(batch);
        return relay_drop(batch);
    }

    rc = relay_job(batch, strtoull(PQgetvalue(batch->rows, i, 4), NULL, 10));
    sent->answers = rc == TRAVEL_OK;

    return rc;
}


static void
relay_flush(const worker_relay_t *relay)
{
    int  done;

    worker_redis_flush(relay->redis);

    for (done = relay->live == NULL; !done; ) {
        if (redisBufferWrite(relay->live, &done) != REDIS_OK) {
            return;             /* the answers will say */
        }
    }
}


/* All rows, until one cannot be sent; their answers are to come. */
static int
relay_send(relay_batch_t *batch)
{
    int            i;
    relay_sent_t  *sent;

    worker_enqueue_begin(batch->relay->redis);
    batch->layout = worker_redis_command(batch->relay->redis,
                                         "HGETALL " TRAVEL_KEY_LAYOUT);
    batch->row = travel_json_create(RELAY_JSON);

    if (batch->layout == NULL || batch->row == NULL) {
        freeReplyObject(batch->layout);
        travel_json_free(batch->row);
        return TRAVEL_ERROR;
    }

    for (i = 0; i < PQntuples(batch->rows); i++) {
        sent = &batch->sent[i];
        memset(sent, 0, sizeof(*sent));
        sent->rc = relay_row(batch, i, sent);
        batch->nsent = i + 1;

        if (sent->rc == TRAVEL_ERROR) {
            break;
        }
    }

    relay_flush(batch->relay);
    travel_json_free(batch->row);
    freeReplyObject(batch->layout);
    return TRAVEL_OK;
}


/* The rows that are done with are marked: live messages go, the others are kept
 * as sent for a while.  A mark that is lost in a crash costs a repeat, so nobody
 * waits for the disk. */
static int
relay_mark(const relay_batch_t *batch)
{
    int          i, rc;
    char         kept[RELAY_BATCH * 22 + 3], gone[RELAY_BATCH * 22 + 3];
    char        *to;
    size_t      *len, nkept, ngone;
    PGresult    *res;
    const char  *params[2] = { kept, gone };

    if (batch->ndone == 0) {
        return TRAVEL_OK;
    }

    nkept = 0;
    ngone = 0;

    for (i = 0; i < batch->ndone; i++) {
        to = strcmp(PQgetvalue(batch->rows, i, 1), "live") == 0 ? gone : kept;
        len = to == gone ? &ngone : &nkept;
        *len += (size_t) sprintf(to + *len, "%c%s", *len > 0 ? ',' : '{',
                                 PQgetvalue(batch->rows, i, 0));
    }

    snprintf(kept + nkept, 3, nkept > 0 ? "}" : "{}");
    snprintf(gone + ngone, 3, ngone > 0 ? "}" : "{}");

    res = worker_pg_exec(batch->relay->pg,
                         "WITH gone AS (DELETE FROM jobs.outbox"
                         "               WHERE id = ANY ($2::bigint[])),"
                         " kept AS (UPDATE jobs.outbox"
                         "             SET sent_at = clock_timestamp()"
                         "           WHERE id = ANY ($1::bigint[]))"
                         " SELECT set_config('synchronous_commit', 'off',"
                         "                   true)", 2, params);
    rc = worker_pg_good(res) ? TRAVEL_OK : TRAVEL_ERROR;
    PQclear(res);

    if (rc == TRAVEL_OK) {
        *batch->relay->top = strtoull(PQgetvalue(batch->rows, batch->ndone - 1,
                                                 0), NULL, 10);
    }

    return rc;
}


/* Reads what is to come, and tells how many rows are done with.  A row that can
 * never be sent is among them: it must not stop those behind it. */
static int
relay_settle(relay_batch_t *batch)
{
    int  i;

    relay_answers(batch);

    for (i = 0; i < batch->nsent; i++) {

        if (batch->sent[i].rc == TRAVEL_INVALID) {
            worker_log(WORKER_LOG_ERROR, "%s.%u: outbox row %s can not be "
                       "sent and is left out", batch->relay->queue,
                       batch->relay->number, PQgetvalue(batch->rows, i, 0));

        } else if (batch->sent[i].rc != TRAVEL_OK) {
            break;
        }
    }

    if (i > 0 && !worker_redis_kept(batch->relay->redis)) {
        return TRAVEL_ERROR;        /* a failover might forget them */
    }

    batch->ndone = i;

    return i == batch->nsent ? TRAVEL_OK : TRAVEL_ERROR;
}


/* Those behind the row 'after'; false: they are not known. */
static bool
relay_look(relay_batch_t *batch, const worker_relay_t *relay, uint64_t after)
{
    char         number[8], behind[24];
    const char  *params[4] = { relay->queue, number,
                               relay->live != NULL || relay->mute
                               ? "t" : "f", behind };

    memset(batch, 0, offsetof(relay_batch_t, sent));
    batch->relay = relay;
    snprintf(number, sizeof(number), "%u", relay->number);
    snprintf(behind, sizeof(behind), "%" PRIu64, after);

    batch->rows = worker_pg_exec(relay->pg,
                                 "SELECT id, kind,"
                                 "       created_at"
                                 "       < now() - interval '1 hour',"
                                 "       payload, (extract(epoch"
                                 "       FROM clock_timestamp())"
                                 "        * 1000)::bigint"
                                 "  FROM jobs.outbox"
                                 " WHERE queue = $1"
                                 "   AND partition = $2::integer"
                                 "   AND sent_at IS NULL AND id > $4::bigint"
                                 "   AND (kind <> 'live' OR $3::boolean"
                                 "        OR created_at"
                                 "           < now() - interval '1 hour')"
                                 " ORDER BY id LIMIT " RELAY_BATCH_STR,
                                 4, params);

    if (worker_pg_good(batch->rows)) {
        return true;
    }

    PQclear(batch->rows);
    batch->rows = NULL;

    return false;
}


/* Is there more behind a whole batch, for this turn? */
static bool
relay_look_on(relay_batch_t *next, const relay_batch_t *batch, int sent)
{
    int  n;

    n = PQntuples(batch->rows);

    return n == RELAY_BATCH && sent + n < WORKER_RELAY_ROUND
           && relay_look(next, batch->relay,
                         strtoull(PQgetvalue(batch->rows, n - 1, 0), NULL, 10))
           && PQntuples(next->rows) > 0;
}


int
worker_relay_outbox(const worker_relay_t *relay)
{
    int             rc, sent;
    bool            more;
    relay_batch_t   batches[2], *batch, *other;

    batch = &batches[0];
    other = &batches[1];
    memset(other, 0, offsetof(relay_batch_t, sent));

    if (worker_pg_ready(relay->pg) != TRAVEL_OK
        || !relay_look(batch, relay, relay->after))
    {
        return TRAVEL_ERROR;
    }

    if (PQntuples(batch->rows) == 0) {
        PQclear(batch->rows);
        return 0;
    }

    sent = 0;

    do {
        rc = relay_send(batch);

        /* the one before: answered, not marked */
        if (relay_mark(other) != TRAVEL_OK) {
            rc = TRAVEL_ERROR;
        }

        PQclear(other->rows);
        memset(other, 0, offsetof(relay_batch_t, sent));
        more = rc == TRAVEL_OK && relay_look_on(other, batch, sent);

        if (relay_settle(batch) != TRAVEL_OK) {
            rc = TRAVEL_ERROR;
        }

        sent += batch->ndone;
        more = more && rc == TRAVEL_OK;

        if (more) {
            batch = other;
            other = batch == &batches[0] ? &batches[1] : &batches[0];
        }
    } while (more);

    if (relay_mark(batch) != TRAVEL_OK) {
        rc = TRAVEL_ERROR;
    }

    PQclear(batch->rows);
    PQclear(other->rows);

    return rc == TRAVEL_OK ? sent : TRAVEL_ERROR;
}
