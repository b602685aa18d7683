/*
 * life_event.record: many small rows, one statement for as many as wait.
 *
 * A job tells one event (its body is an object, the row has the job's id) or
 * many (an array; the row of the n-th has the n-th id after the job's, null is
 * what the edge has refused).  So a row's id follows from its job, and the
 * table is its own inbox: what is run again is there already.  Fences are
 * checked in the statement; a partition that is not ours any more keeps its
 * rows for its new owner.
 *
 * A statement that fails for one event's sake is run again event by event.
 * What cannot be written then leaves its batch: it becomes a job of its own,
 * under its own id, which is retried and dies alone.
 */

#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "../pool/log.h"
#include "../pool/slot.h"
#include "../queue/queue.h"
#include "../store/leases.h"
#include "../store/tx.h"
#include "../../common/json.h"
#include "../../common/timestamp.h"

#define LIFE_EVENT_BATCH  1000
#define LIFE_EVENT_DEPTH  (TRAVEL_JSON_DEPTH_DEFAULT + 1)   /* the array */

/* Parameters of travel.record_life_events: of partitions, then of events. */
enum {
    LIFE_OF = WORKER_LEASES_ARRAYS,
    LIFE_IDS,
    LIFE_USERS,
    LIFE_TYPES,
    LIFE_TITLES,
    LIFE_TIMES,
    LIFE_DATA,
    LIFE_BODIES,                    /* of those that may leave a batch */
    LIFE_ARRAYS
};

typedef struct {
    worker_job_t     *job;
    worker_verdict_e *verdict;
    int32_t           part;         /* its partition's place, from 1 */
    size_t            first;        /* its events' places, from 0 */
    size_t            events;
    bool              many;
    json_t           *apart;        /* jobs of what left it, or NULL */
} life_event_job_t;

typedef struct {
    worker_job_t     *const *jobs;  /* all there are */
    size_t            n;
    life_event_job_t *tell;         /* those that have events */
    size_t            ntell;
    worker_leases_t   leases;
    size_t            events;
    worker_array_t    arrays[LIFE_ARRAYS];
    travel_json_t    *doc;
} life_event_batch_t;


/* --- from jobs to rows ---------------------------------------------------- */

static int
life_event_begin(life_event_batch_t *b, worker_job_t *const *jobs, size_t n)
{
    size_t  i;

    static const worker_array_e  types[LIFE_ARRAYS - LIFE_OF] = {
        WORKER_ARRAY_INT4, WORKER_ARRAY_UUID, WORKER_ARRAY_UUID,
        WORKER_ARRAY_TEXT, WORKER_ARRAY_TEXT, WORKER_ARRAY_TIMESTAMPTZ,
        WORKER_ARRAY_TEXT, WORKER_ARRAY_TEXT
    };

    memset(b, 0, sizeof(*b));
    b->jobs = jobs;
    b->n = n;

    for (i = LIFE_OF; i < LIFE_ARRAYS; i++) {
        worker_array_init(&b->arrays[i], types[i - LIFE_OF]);
    }

    b->tell = calloc(n, sizeof(life_event_job_t));
    b->doc = travel_json_create(16384);

    return worker_leases_init(&b->leases, b->arrays, n) == TRAVEL_OK
           && b->tell != NULL && b->doc != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


static void
life_event_end(life_event_batch_t *b)
{
    size_t  i;

    for (i = 0; i < LIFE_ARRAYS; i++) {
        worker_array_free(&b->arrays[i]);
    }

    for (i = 0; i < b->ntell; i++) {
        json_decref(b->tell[i].apart);
    }

    worker_leases_free(&b->leases);
    travel_json_free(b->doc);
    free(b->tell);
}


/* The member of that type, its text; data NULL: there is none. */
static travel_str_t
life_event_member(const life_event_batch_t *b, uint32_t event,
    travel_str_t name, travel_json_type_e type)
{
    const travel_json_node_t  *node;

    node = travel_json_member(b->doc, event, name);

    return node != NULL && node->type == type ? node->text : TRAVEL_NULL_STR;
}


static void
life_event_text(life_event_batch_t *b, int column, travel_str_t text)
{
    if (text.data != NULL) {
        worker_array_text(&b->arrays[column], text);
    } else {
        worker_array_null(&b->arrays[column]);
    }
}


/* A zero would fail the parameter, and with it all of the statement: NULL, as
 * a type, fails the row. */
static void
life_event_texts(life_event_batch_t *b, uint32_t event)
{
    travel_str_t  type, title, data;

    type = life_event_member(b, event, TRAVEL_STR("type"), TRAVEL_JSON_STRING);
    title = life_event_member(b, event, TRAVEL_STR("title"),
                              TRAVEL_JSON_STRING);
    data = life_event_member(b, event, TRAVEL_STR("data"), TRAVEL_JSON_OBJECT);

    if ((title.data != NULL && memchr(title.data, 0, title.len) != NULL)
        || (type.data != NULL && memchr(type.data, 0, type.len) != NULL))
    {
        type = TRAVEL_NULL_STR;
        title = TRAVEL_NULL_STR;
    }

    life_event_text(b, LIFE_TYPES, type);
    life_event_text(b, LIFE_TITLES, title);
    life_event_text(b, LIFE_DATA, data.data != NULL ? data : TRAVEL_STR("{}"));
}


/* What no instant is becomes NULL, which the table refuses. */
static void
life_event_time(life_event_batch_t *b, uint32_t event)
{
    int64_t                    us;
    const travel_json_node_t  *node;

    node = travel_json_member(b->doc, event, TRAVEL_STR("occurred_at"));

    if (node != NULL && node->type == TRAVEL_JSON_STRING
        && travel_timestamp_parse_us(&us, node->text) == TRAVEL_OK)
    {
        worker_array_timestamp(&b->arrays[LIFE_TIMES], us);
    } else {
        worker_array_null(&b->arrays[LIFE_TIMES]);
    }
}


static void
life_event_row(life_event_batch_t *b, const life_event_job_t *tell,
    const travel_uuid_t *user, const travel_uuid_t *id, uint32_t event,
    bool alone)
{
    worker_array_int4(&b->arrays[LIFE_OF], tell->part);
    worker_array_uuid(&b->arrays[LIFE_IDS], id->b);
    worker_array_uuid(&b->arrays[LIFE_USERS], user->b);
    life_event_texts(b, event);
    life_event_time(b, event);

    if (alone) {
        worker_array_null(&b->arrays[LIFE_BODIES]);
    } else {
        worker_array_text(&b->arrays[LIFE_BODIES],
                          travel_json_nodes(b->doc)[event].text);
    }

    b->events++;
}


static void
life_event_rows(life_event_batch_t *b, const life_event_job_t *tell,
    const travel_uuid_t *user)
{
    uint32_t                   at, n;
    travel_uuid_t              id;
    const travel_json_node_t  *nodes;

    nodes = travel_json_nodes(b->doc);

    if (nodes[0].type == TRAVEL_JSON_OBJECT) {
        life_event_row(b, tell, user, &tell->job->id.id, 0, true);
        return;
    }

    for (at = 1, n = 1; at < nodes[0].next; at = nodes[at].next, n++) {
        if (nodes[at].type == TRAVEL_JSON_OBJECT) {
            id = travel_uuid_after(&tell->job->id.id, n);
            life_event_row(b, tell, user, &id, at, false);
        }
    }
}


/* What cannot be read is judged here. */
static void
life_event_read(life_event_batch_t *b, worker_job_t *job,
    worker_verdict_e *verdict)
{
    int                        type;
    travel_uuid_t              user;
    life_event_job_t          *tell;
    travel_json_error_t        err = { 0 };

    if (travel_json_parse(b->doc, job->env.body, LIFE_EVENT_DEPTH, &err)
        != TRAVEL_OK)
    {
        *verdict = worker_job_fail(job, WORKER_REJECT, "MALFORMED",
                                   "the body is not JSON: %s at byte %zu",
                                   err.message, err.offset);
        return;
    }

    type = travel_json_nodes(b->doc)[0].type;

    if ((type != TRAVEL_JSON_OBJECT && type != TRAVEL_JSON_ARRAY)
        || travel_uuid_parse(&user, job->env.sub) != TRAVEL_OK)
    {
        *verdict = worker_job_fail(job, WORKER_REJECT, "MALFORMED",
                                   "the body is no event and no list of "
                                   "events, or nobody's");
        return;
    }

    tell = &b->tell[b->ntell];
    tell->job = job;
    tell->verdict = verdict;
    tell->part = worker_leases_place(&b->leases, b->arrays, job);
    tell->first = b->events;
    life_event_rows(b, tell, &user);
    tell->events = b->events - tell->first;
    tell->many = type == TRAVEL_JSON_ARRAY;
    b->ntell++;
}


/* --- the statement -------------------------------------------------------- */

/* Would the same statement fail again, for what is in it? */
static bool
life_event_poisoned(const worker_pg_t *pg)
{
    const char  *state;

    state = worker_pg_sqlstate(pg);

    return strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0
           || strncmp(state, "54", 2) == 0;
}


/* Rows of (stale, apart, why, job): a partition's place (from 1) that is not
 * ours any more; or an event's that could not be written, its SQLSTATE, and the
 * job that it has become.  NULL: nothing was done. */
static PGresult *
life_event_write(life_event_batch_t *b)
{
    PGresult     *res;
    worker_pg_t  *pg;

    static const char  all[] =
        "SELECT stale, NULL, NULL, NULL FROM travel.record_life_events($1, $2,"
        " $3, $4, $5, $6, $7, $8, $9, $10, $11) AS stale";
    static const char  each[] =
        "SELECT stale, apart, why, job FROM travel.record_life_events_apart($1,"
        " $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

    pg = b->jobs[0]->slot->pg;

    if (worker_pg_ready(pg) != TRAVEL_OK) {
        return NULL;
    }

    res = worker_array_exec(pg, all, b->arrays, LIFE_BODIES);

    if (PQresultStatus(res) != PGRES_TUPLES_OK && life_event_poisoned(pg)) {
        PQclear(res);
        res = worker_array_exec(pg, each, b->arrays, LIFE_ARRAYS);
    }

    if (PQresultStatus(res) == PGRES_TUPLES_OK) {
        return res;
    }

    PQclear(res);
    return NULL;
}


/* --- verdicts ------------------------------------------------------------- */

static worker_verdict_e
life_event_unwritten(worker_job_t *job, const char *why)
{
    return worker_job_fail(job, WORKER_RETRY, worker_pg_away(job->slot->pg)
                           ? "DEPENDENCY_UNAVAILABLE" : "INTERNAL_ERROR",
                           "the events cannot be written (%s)", why);
}


/* A row of the answer. */
static void
life_event_told(life_event_batch_t *b, const PGresult *res, int row)
{
    size_t             i, place;
    life_event_job_t  *tell;

    if (!PQgetisnull(res, row, 0)) {
        place = strtoul(PQgetvalue(res, row, 0), NULL, 10);

        for (i = 0; i < b->ntell; i++) {
            if ((size_t) b->tell[i].part == place) {
                *b->tell[i].verdict = WORKER_FENCED;
            }
        }

        return;
    }

    place = strtoul(PQgetvalue(res, row, 1), NULL, 10) - 1;

    for (i = 0; i + 1 < b->ntell && b->tell[i + 1].first <= place; i++) {
        /* void */
    }

    tell = &b->tell[i];

    if (PQgetisnull(res, row, 3)) {
        *tell->verdict = life_event_unwritten(tell->job,
                                              PQgetvalue(res, row, 2));
        return;
    }

    if (tell->apart == NULL) {
        tell->apart = json_array();

        if (tell->job->slot->queue != NULL) {
            worker_queue_outbox(tell->job->slot->queue, tell->job);
        }
    }

    json_array_append_new(tell->apart, json_string(PQgetvalue(res, row, 3)));
    worker_log_job(WORKER_LOG_WARN, tell->job, -1, "an event left its batch"
                   " (%s), job %s", PQgetvalue(res, row, 2),
                   PQgetvalue(res, row, 3));
}


/* What became of it, for who waits, or looks at the job. */
static void
life_event_result(const life_event_job_t *tell)
{
    size_t  apart;

    if (*tell->verdict != WORKER_DONE) {
        return;
    }

    if (!tell->many) {
        json_decref(tell->job->result);
        tell->job->result = json_pack("{s:s}", "id", tell->job->uuid);
        return;
    }

    apart = json_array_size(tell->apart);
    json_decref(tell->job->result);
    tell->job->result = json_pack("{s:I, s:O*}", "recorded",
                                  (json_int_t) (tell->events - apart),
                                  "apart", tell->apart);
}


static void
life_event_judge(life_event_batch_t *b, const PGresult *res)
{
    int     row;
    size_t  i;

    for (i = 0; i < b->ntell; i++) {
        *b->tell[i].verdict = res != NULL ? WORKER_DONE
            : life_event_unwritten(b->tell[i].job,
                                   worker_pg_sqlstate(b->jobs[0]->slot->pg));
    }

    for (row = 0; res != NULL && row < PQntuples(res); row++) {
        life_event_told(b, res, row);
    }

    for (i = 0; i < b->ntell; i++) {
        life_event_result(&b->tell[i]);
    }
}


static void
life_event_batch(worker_job_t *const *jobs, worker_verdict_e *verdicts,
    size_t n)
{
    size_t              i;
    PGresult           *res;
    life_event_batch_t  b;

    if (life_event_begin(&b, jobs, n) != TRAVEL_OK) {
        for (i = 0; i < n; i++) {
            verdicts[i] = worker_job_fail(jobs[i], WORKER_RETRY,
                                          "INTERNAL_ERROR", "out of memory");
        }

        life_event_end(&b);
        return;
    }

    for (i = 0; i < n; i++) {
        life_event_read(&b, jobs[i], &verdicts[i]);
    }

    if (b.ntell > 0) {
        res = life_event_write(&b);
        life_event_judge(&b, res);

        if (res != NULL) {
            (void) !worker_tx_position(jobs, n);
        }

        PQclear(res);
    }

    life_event_end(&b);
}


static worker_verdict_e
life_event_record(worker_job_t *job)
{
    worker_job_t      *jobs[] = { job };
    worker_verdict_e   verdict;

    life_event_batch(jobs, &verdict, 1);
    return verdict;
}


const worker_job_type_t  worker_jobs_life_event[] = {
    { .type = "life_event.record", .queue = "content",
      .priority = TRAVEL_PRIORITY_NORMAL, .run = life_event_record,
      .retries = 5, .base_ms = 1000, .cap_ms = 60000, .timeout_ms = 60000,
      .unordered = true },
    { .type = NULL }
};

const worker_job_batch_t  worker_batches_life_event[] = {
    { "life_event.record", life_event_batch, LIFE_EVENT_BATCH, NULL, true },
    { .type = NULL }
};
