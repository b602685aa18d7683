/*
 * Flows: what a specification must be, and the statements of those who run its
 * jobs.
 *
 * All that follows from a node's end is one function of the database and so one
 * transaction; nothing of a flow is kept in this process.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "../jobs/resource.h"
#include "../../common/dag.h"

#define FLOW_DELAY_MAX  (31LL * 86400 * 1000)


/* --- what is a flow ------------------------------------------------------- */

typedef struct {
    worker_job_t       *job;         /* job->error says what is wrong */
    json_t             *places;      /* a node's name → its number */
    travel_dag_edge_t  *edges;
    size_t              nedges;
} flow_check_t;


static bool
flow_no(flow_check_t *c, const char *where, const char *why)
{
    (void) worker_job_fail(c->job, WORKER_REJECT, "VALIDATION_ERROR",
                           "flow: %.80s: %s", where, why);
    return false;
}


static bool
flow_is_name(const char *s)
{
    size_t  n;

    n = s != NULL ? strlen(s) : 0;

    return n > 0 && n <= WORKER_FLOW_NAME
           && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
}


/* Members that a job may have, by their JSON type; a boolean is JSON_TRUE. */
typedef struct {
    const char  *name;
    json_type    type;
} flow_member_t;


static bool
flow_members(flow_check_t *c, const char *where, const json_t *object,
    const flow_member_t *members)
{
    void                 *at;
    json_t               *value;
    json_type             type;
    const char           *name;
    const flow_member_t  *m;

    for (at = json_object_iter((json_t *) object); at != NULL;
         at = json_object_iter_next((json_t *) object, at))
    {
        name = json_object_iter_key(at);
        value = json_object_iter_value(at);
        type = json_is_boolean(value) ? JSON_TRUE : json_typeof(value);

        for (m = members; m->name != NULL && strcmp(m->name, name) != 0; m++) {
            /* void */
        }

        if (m->name == NULL || m->type != type) {
            return flow_no(c, where, m->name == NULL
                           ? "has a member that is none of a flow's"
                           : "has a member of another JSON type");
        }
    }

    return true;
}


/* A type that is known, and may be begun from here: who can write the queues
 * of the edge is not to reach the others by a flow.  Its queue and priority go
 * into the specification. */
static bool
flow_job(flow_check_t *c, const char *where, json_t *node)
{
    json_t                   *key;
    const char               *name;
    travel_str_t              queue;
    travel_uuid_t             uuid;
    const worker_job_type_t  *type;

    name = json_string_value(json_object_get(node, "type"));
    type = name != NULL ? worker_job_type((travel_str_t) { name,
                                                           strlen(name) })
                        : NULL;

    if (type == NULL) {
        return flow_no(c, where, "has no job type that there is");
    }

    queue = (travel_str_t) { type->queue, strlen(type->queue) };

    if (travel_queue_internal(queue)
        && !travel_queue_internal(c->job->id.queue))
    {
        return flow_no(c, where, "is of a type for the house's own flows");
    }

    key = json_object_get(node, "key");

    if (key != NULL
        && travel_uuid_parse(&uuid, (travel_str_t) { json_string_value(key),
                             json_string_length(key) }) != TRAVEL_OK)
    {
        return flow_no(c, where, "\"key\" is not a uuid");
    }

    json_object_set_new(node, "queue", json_string(type->queue));
    json_object_set_new(node, "priority",
                        json_string(travel_priority_name(type->priority)));
    return true;
}


static bool
flow_after(flow_check_t *c, const char *name, const json_t *after)
{
    size_t         i, k;
    json_t        *place;
    const char    *before;

    for (i = 0; i < json_array_size(after); i++) {
        before = json_string_value(json_array_get(after, i));
        place = before != NULL ? json_object_get(c->places, before) : NULL;

        if (place == NULL) {
            return flow_no(c, name, "is after a node that there is not");
        }

        for (k = 0; k < i; k++) {
            if (json_equal(json_array_get(after, k),
                           json_array_get(after, i)))
            {
                return flow_no(c, name, "is after a node twice");
            }
        }

        if (c->nedges == WORKER_FLOW_EDGES) {
            return flow_no(c, name, "the flow has more edges than one may");
        }

        c->edges[c->nedges++] = (travel_dag_edge_t) {
            (uint32_t) json_integer_value(place),
            (uint32_t) json_integer_value(json_object_get(c->places, name))
        };
    }

    return true;
}


static bool
flow_node(flow_check_t *c, const char *name, json_t *node)
{
    json_t      *delay, *results;

    static const flow_member_t  members[] = {
        { "type", JSON_STRING }, { "body", JSON_OBJECT },
        { "key", JSON_STRING }, { "after", JSON_ARRAY },
        { "results", JSON_STRING }, { "always", JSON_TRUE },
        { "optional", JSON_TRUE }, { "delay_ms", JSON_INTEGER },
        { NULL, JSON_NULL }
    };

    if (!json_is_object(node) || !flow_is_name(name)) {
        return flow_no(c, name, "is no node, or has no name of one");
    }

    if (!flow_members(c, name, node, members) || !flow_job(c, name, node)) {
        return false;
    }

    delay = json_object_get(node, "delay_ms");
    results = json_object_get(node, "results");

    if (delay != NULL && (json_integer_value(delay) < 0
                          || json_integer_value(delay) > FLOW_DELAY_MAX))
    {
        return flow_no(c, name, "\"delay_ms\" is not within 31 days");
    }

    if (results != NULL && !flow_is_name(json_string_value(results))) {
        return flow_no(c, name, "\"results\" is not a member's name");
    }

    return flow_after(c, name, json_object_get(node, "after"));
}


static bool
flow_nodes(flow_check_t *c, json_t *nodes)
{
    int          rc;
    json_t      *node;
    size_t       n;
    uint32_t     bad;
    const char  *name;

    n = 0;

    json_object_foreach(nodes, name, node) {
        json_object_set_new(c->places, name, json_integer((json_int_t) n++));
    }

    json_object_foreach(nodes, name, node) {
        if (!flow_node(c, name, node)) {
            return false;
        }
    }

    bad = 0;
    rc = travel_dag_check(n, c->edges, c->nedges, &bad);

    if (rc == TRAVEL_OK) {
        return true;
    }

    if (rc == TRAVEL_ERROR) {
        return flow_no(c, "nodes", "no memory");
    }

    n = 0;

    json_object_foreach(nodes, name, node) {
        if (n++ == bad) {
            break;
        }
    }

    return flow_no(c, name, "waits for itself");
}


static bool
flow_callbacks(flow_check_t *c, json_t *spec)
{
    size_t   i;
    json_t  *job;

    static const char *const    names[] = { "on_success", "on_failure",
                                            "on_end" };
    static const flow_member_t  members[] = {
        { "type", JSON_STRING }, { "body", JSON_OBJECT },
        { "key", JSON_STRING }, { NULL, JSON_NULL }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        job = json_object_get(spec, names[i]);

        if (job != NULL && (!flow_members(c, names[i], job, members)
                            || !flow_job(c, names[i], job)))
        {
            return false;
        }
    }

    return true;
}


static bool
flow_spec(flow_check_t *c, json_t *spec)
{
    json_t      *nodes;
    const char  *failed;

    static const flow_member_t  members[] = {
        { "name", JSON_STRING }, { "nodes", JSON_OBJECT },
        { "if_failed", JSON_STRING }, { "on_success", JSON_OBJECT },
        { "on_failure", JSON_OBJECT }, { "on_end", JSON_OBJECT },
        { "schedule", JSON_STRING }, { "fire_at", JSON_STRING },
        { NULL, JSON_NULL }
    };

    if (!json_is_object(spec)) {
        return flow_no(c, "it", "is no object");
    }

    if (!flow_members(c, "it", spec, members)) {
        return false;
    }

    if (!flow_is_name(json_string_value(json_object_get(spec, "name")))) {
        return flow_no(c, "name", "is not one of [A-Za-z0-9._-]{1,64}");
    }

    nodes = json_object_get(spec, "nodes");

    if (json_object_size(nodes) == 0
        || json_object_size(nodes) > WORKER_FLOW_NODES)
    {
        return flow_no(c, "nodes", "are not 1 to 10000");
    }

    failed = json_string_value(json_object_get(spec, "if_failed"));

    if (failed != NULL && strcmp(failed, "stop") != 0
        && strcmp(failed, "cancel") != 0 && strcmp(failed, "continue") != 0)
    {
        return flow_no(c, "if_failed", "is not stop, cancel or continue");
    }

    return flow_callbacks(c, spec) && flow_nodes(c, nodes);
}


/* TRAVEL_OK, or TRAVEL_INVALID with job->error filled. */
static int
flow_check(worker_job_t *job, json_t *spec)
{
    bool          good;
    flow_check_t  c = { .job = job };

    c.places = json_object();
    c.edges = malloc(WORKER_FLOW_EDGES * sizeof(travel_dag_edge_t));
    good = c.edges != NULL ? flow_spec(&c, spec)
                           : flow_no(&c, "it", "no memory");
    json_decref(c.places);
    free(c.edges);

    return good ? TRAVEL_OK : TRAVEL_INVALID;
}


/* --- beginning one -------------------------------------------------------- */

static int
flow_id(const worker_tx_t *tx, const char *key, char ret_id[37])
{
    travel_str_t   parts[4];
    travel_uuid_t  id;

    if (key == NULL) {
        memcpy(ret_id, tx->job->uuid, 37);
        return TRAVEL_OK;
    }

    parts[0] = TRAVEL_STR("flow");
    parts[1] = (travel_str_t) { tx->job->uuid, strlen(tx->job->uuid) };
    parts[2] = (travel_str_t) { tx->step, strlen(tx->step) };
    parts[3] = (travel_str_t) { key, strlen(key) };

    if (travel_uuid8(&id, parts, 4) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    travel_uuid_format(ret_id, &id);
    ret_id[36] = '\0';
    return TRAVEL_OK;
}


/* A view as a C string, or NULL for an empty one; 'dst' has room for it. */
static const char *
flow_text(char *dst, size_t room, travel_str_t text)
{
    if (text.len == 0 || text.len >= room) {
        return NULL;
    }

    memcpy(dst, text.data, text.len);
    dst[text.len] = '\0';
    return dst;
}


int
worker_tx_flow(worker_tx_t *tx, const char *key, json_t *spec,
    char ret_id[37])
{
    char           queue[TRAVEL_QUEUE_NAME_MAX + 1], partition[16], *text;
    char           email[321], parent[37], trace[TRAVEL_TRACEPARENT_LEN + 1];
    PGresult      *res;
    worker_job_t  *job;
    const char    *params[9];

    job = tx->job;

    if (flow_check(job, spec) != TRAVEL_OK) {
        json_decref(spec);
        return TRAVEL_INVALID;
    }

    text = json_dumps(spec, WORKER_TX_DUMP);
    json_decref(spec);

    if (text == NULL || flow_id(tx, key, ret_id) != TRAVEL_OK) {
        free(text);
        (void) worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                               "flow: no memory");
        return TRAVEL_ERROR;
    }

    worker_job_partition(job, queue, partition);
    params[0] = ret_id;
    params[1] = text;
    params[2] = job->sub;
    params[3] = flow_text(email, sizeof(email), job->env.email);
    params[4] = worker_flow_of(job)
                ? flow_text(parent, sizeof(parent), job->env.flow) : NULL;
    params[5] = job->uuid;
    params[6] = worker_tx_trace(trace, &job->trace);
    params[7] = queue;
    params[8] = partition;

    res = worker_tx_exec(tx, "SELECT jobs.flow_start($1::uuid, $2::jsonb, $3,"
                             " $4, $5::uuid, $6::uuid, $7, $8, $9::int)", 9,
                         params);
    free(text);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    PQclear(res);
    tx->outbox = true;
    return TRAVEL_OK;
}


/* --- the jobs of its nodes ------------------------------------------------ */

/* An envelope may say anything. */
bool
worker_flow_of(const worker_job_t *job)
{
    travel_uuid_t  id;

    return job->env.flow.len > 0
           && travel_uuid_parse(&id, job->env.flow) == TRAVEL_OK;
}


json_t *
worker_flow_results(worker_job_t *job)
{
    char         flow[37];
    json_t      *results;
    PGresult    *res;
    const char  *params[] = { flow_text(flow, sizeof(flow), job->env.flow),
                              job->uuid };

    if (!worker_flow_of(job)) {
        return json_object();
    }

    res = worker_query(job, "SELECT jobs.flow_results(flow, name)"
                          "  FROM jobs.flow_node"
                          " WHERE flow = $1::uuid AND job = $2::uuid", 2,
                     params);

    if (res == NULL) {
        return NULL;
    }

    results = PQntuples(res) > 0 ? json_loads(PQgetvalue(res, 0, 0), 0, NULL)
                                 : json_object();
    PQclear(res);
    return results;
}


worker_verdict_e
worker_flow_begin(worker_job_t *job)
{
    bool         wanted;
    char         flow[37];
    PGresult    *res;
    const char  *params[] = { flow_text(flow, sizeof(flow), job->env.flow),
                              job->uuid, job->job_id };

    res = worker_query(job, "SELECT jobs.flow_begin($1::uuid, $2::uuid, $3)", 3,
                     params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    wanted = *PQgetvalue(res, 0, 0) == 't';
    PQclear(res);

    if (wanted) {
        return WORKER_DONE;
    }

    job->called_off = true;
    return worker_job_fail(job, WORKER_RETRY, "CANCELLED",
                           "its flow was called off");
}


/* The error as JSON, or NULL: there is none.  The caller frees it. */
static char *
flow_error(const worker_job_t *job)
{
    char    *text;
    json_t  *error;

    if (job->error.code[0] == '\0') {
        return NULL;
    }

    error = worker_failure(job);
    text = error != NULL ? json_dumps(error, JSON_COMPACT) : NULL;
    json_decref(error);

    return text;
}


worker_verdict_e
worker_flow_node_over(worker_job_t *job, const char *flow, const char *node,
    const char *state, const char *result, const char *error, bool *ret_new)
{
    PGresult            *res;
    const char          *params[9];
    worker_verdict_e     verdict;
    worker_job_lease_t   lease;

    worker_job_lease(job, &lease);
    params[0] = flow;
    params[1] = node;
    params[2] = state;
    params[3] = result;
    params[4] = error;
    params[5] = lease.queue;
    params[6] = lease.partition;
    params[7] = job->owner;
    params[8] = lease.fence;

    res = worker_query(job, "SELECT jobs.flow_done_fenced($1::uuid, $2::uuid,"
                            " $3, $4::jsonb, $5::jsonb, $6, $7::int, $8,"
                            " $9::bigint)", 9, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    *ret_new = *PQgetvalue(res, 0, 0) == 't';
    verdict = PQgetisnull(res, 0, 0) ? WORKER_FENCED : WORKER_DONE;
    PQclear(res);

    return verdict;
}


worker_verdict_e
worker_flow_done(worker_job_t *job, const char *state)
{
    bool               good, is_new;
    char               flow[37], *result, *error;
    worker_verdict_e   verdict;

    good = strcmp(state, travel_job_status_name(TRAVEL_JOB_SUCCEEDED)) == 0;
    result = good && job->result != NULL && !job->env.once
             ? json_dumps(job->result, WORKER_TX_DUMP) : NULL;
    error = good ? NULL : flow_error(job);
    verdict = worker_flow_node_over(job, flow_text(flow, sizeof(flow),
                                                   job->env.flow),
                                    job->uuid, state, result, error, &is_new);
    free(result);
    free(error);

    if (verdict == WORKER_DONE) {
        worker_tx_announce(job, "");
    }

    return verdict;
}
