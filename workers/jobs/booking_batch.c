/*
 * booking.create by the batch: what most bookings are, in one statement for as
 * many as stand at the same step (schema 097).
 *
 * A statement answers for the jobs it has done.  Every other one, and every
 * answer of a partner that is not plainly good, goes the way of a single job
 * (booking.c) from where it stands: both write the same rows, and what is done
 * is noted with the job as the steps of a saga note it (saga_run.h, partner.h).
 */

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "booking.h"
#include "../pool/log.h"
#include "../pool/slot.h"
#include "../store/leases.h"

typedef enum {
    BATCH_ALONE,
    BATCH_OF_TRIP,          /* which is told, too: by itself */
    BATCH_GO_ON,            /* the next partner is to be asked */
    BATCH_CONFIRM
} batch_way_e;

/* Of one job, while a batch is at work. */
typedef struct {
    batch_way_e   way;
    bool          done;     /* by a statement */
    const char   *step;     /* that was answered */
    json_t       *answer;   /* owned */
} batch_item_t;

typedef struct {
    worker_job_t *const  *jobs;
    worker_verdict_e     *verdicts;
    size_t                n;
    batch_item_t         *items;    /* owned; NULL: no memory, so below */
    size_t               *which;    /* of the jobs, each of a statement's */
    size_t               *told;     /* of the jobs, each row of its result's */
    bool                  failed;   /* the last statement */
} batch_t;

/* A statement and its parameters: the leases, then for each job its place among
 * these and its id, then what 'row' adds of it. */
enum {
    BATCH_OF = WORKER_LEASES_ARRAYS,
    BATCH_IDS,
    BATCH_OWN,
    BATCH_ARRAYS = 16
};

typedef struct {
    const char      *sql;       /* answers n first: which job it has done */
    worker_array_e   types[BATCH_ARRAYS - BATCH_OWN];   /* as 'row' adds */
    int              n;
    void           (*row)(worker_array_t *own, worker_job_t *job,
                          const batch_item_t *item);
} batch_statement_t;


/* --- one statement ------------------------------------------------------- */

static travel_str_t
batch_str(const char *text)
{
    return (travel_str_t) { text, strlen(text) };
}


/* Of which NULL and an empty one are SQL's NULL. */
static void
batch_text(worker_array_t *a, travel_str_t text)
{
    if (text.len > 0) {
        worker_array_text(a, text);
    } else {
        worker_array_null(a);
    }
}


/* Steals 'doc'; NULL is NULL. */
static void
batch_json(worker_array_t *a, json_t *doc)
{
    char  *text;

    text = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
    batch_text(a, text != NULL ? batch_str(text) : TRAVEL_NULL_STR);
    free(text);
    json_decref(doc);
}


static void
batch_trace(worker_array_t *a, const worker_job_t *job)
{
    char         tp[TRAVEL_TRACEPARENT_LEN + 1];
    const char  *trace;

    trace = worker_tx_trace(tp, &job->trace);
    batch_text(a, trace != NULL ? batch_str(trace) : TRAVEL_NULL_STR);
}


/* The arrays of the jobs that go that way.  How many these are. */
static size_t
batch_rows(batch_t *b, batch_way_e way, const batch_statement_t *st,
    worker_array_t *arrays, worker_leases_t *leases)
{
    int            k;
    size_t         i, n;
    worker_job_t  *job;

    worker_array_init(&arrays[BATCH_OF], WORKER_ARRAY_INT4);
    worker_array_init(&arrays[BATCH_IDS], WORKER_ARRAY_UUID);

    for (k = 0; k < st->n; k++) {
        worker_array_init(&arrays[BATCH_OWN + k], st->types[k]);
    }

    for (i = 0, n = 0; i < b->n; i++) {
        if (b->items[i].way != way) {
            continue;
        }

        job = b->jobs[i];
        b->which[n++] = i;
        worker_array_int4(&arrays[BATCH_OF],
                          worker_leases_place(leases, arrays, job));
        worker_array_uuid(&arrays[BATCH_IDS], job->id.id.b);
        st->row(&arrays[BATCH_OWN], job, &b->items[i]);
    }

    return n;
}


static PGresult *
batch_send(batch_t *b, const batch_statement_t *st, worker_array_t *arrays)
{
    PGresult     *res;
    worker_pg_t  *pg;

    pg = b->jobs[0]->slot->pg;
    res = worker_pg_ready(pg) == TRAVEL_OK
          ? worker_array_exec(pg, st->sql, arrays, BATCH_OWN + st->n) : NULL;

    b->failed = PQresultStatus(res) != PGRES_TUPLES_OK;

    if (b->failed) {
        worker_log(WORKER_LOG_WARN, "a batch of bookings: %s (%s)",
                   worker_pg_error(pg), worker_pg_sqlstate(pg));
        PQclear(res);
        return NULL;
    }

    return res;
}


/* Marks the jobs it was done for.  NULL: it failed, or there was nothing to
 * do. */
static PGresult *
batch_exec(batch_t *b, batch_way_e way, const batch_statement_t *st)
{
    int               k;
    PGresult         *res;
    worker_array_t    arrays[BATCH_ARRAYS] = { { .data = NULL } };
    worker_leases_t   leases;

    res = NULL;

    if (worker_leases_init(&leases, arrays, b->n) == TRAVEL_OK
        && batch_rows(b, way, st, arrays, &leases) > 0)
    {
        res = batch_send(b, st, arrays);
    }

    for (k = 0; k < PQntuples(res); k++) {
        b->told[k] = b->which[atoi(PQgetvalue(res, k, 0)) - 1];
        b->items[b->told[k]].done = true;
    }

    for (k = 0; k < BATCH_ARRAYS; k++) {
        worker_array_free(&arrays[k]);
    }

    worker_leases_free(&leases);
    return res;
}


/* A commit's position, and who must hear of it.  False: it cannot be found
 * out; run again the jobs find what they have done, and say it then. */
static bool
batch_announce(batch_t *b, batch_way_e way)
{
    char           tags[512];
    size_t         i, n;
    worker_job_t  *job, **told;

    told = calloc(b->n, sizeof(worker_job_t *));

    for (i = 0, n = 0; told != NULL && i < b->n; i++) {
        if (b->items[i].way == way && b->items[i].done) {
            told[n++] = b->jobs[i];
        }
    }

    if (told == NULL
        || (n > 0 && worker_tx_position(told, n) != TRAVEL_OK))
    {
        free(told);
        return false;
    }

    for (i = 0; i < n; i++) {
        job = told[i];
        booking_tags_text(tags, sizeof(tags), job->sub, job->uuid,
                          worker_body_string(job, "journey_id"));
        worker_tx_announce(job, tags);
    }

    free(told);
    return true;
}


/* --- the rest, one by one ------------------------------------------------- */

/* No use in trying each of them alone. */
static bool
batch_is_away(const batch_t *b)
{
    return b->failed && worker_pg_away(b->jobs[0]->slot->pg);
}


static worker_verdict_e
batch_away(worker_job_t *job)
{
    return worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                           "the database could not take the booking (%s)",
                           worker_pg_sqlstate(job->slot->pg));
}


static bool
batch_begin(batch_t *b, worker_job_t *const *jobs, worker_verdict_e *verdicts,
    size_t n)
{
    memset(b, 0, sizeof(*b));
    b->jobs = jobs;
    b->verdicts = verdicts;
    b->n = n;
    b->items = calloc(n, sizeof(batch_item_t));
    b->which = calloc(n, sizeof(size_t));
    b->told = calloc(n, sizeof(size_t));

    return b->items != NULL && b->which != NULL && b->told != NULL;
}


static void
batch_end(batch_t *b)
{
    size_t  i;

    for (i = 0; b->items != NULL && i < b->n; i++) {
        json_decref(b->items[i].answer);
    }

    free(b->items);
    free(b->which);
    free(b->told);
}


/* The partner's answer is dealt with: the handler goes on. */
static worker_verdict_e
batch_go_on(worker_job_t *job, batch_item_t *item)
{
    worker_job_answered(job);
    worker_partner_note(job, item->step, WORKER_DONE, item->answer);
    item->answer = NULL;

    return worker_job_again(job);
}


/* --- the first stage ------------------------------------------------------ */

/* The body as it came, if it came as it is. */
static void
batch_body(worker_array_t *a, const worker_job_t *job)
{
    if (job->env.claim.len > 0 || job->env.sealed.len > 0) {
        batch_json(a, json_incref(job->body));
    } else {
        worker_array_text(a, job->env.body);
    }
}


static void
batch_sub(worker_array_t *a, const worker_job_t *job)
{
    travel_uuid_t  sub;

    if (travel_uuid_parse(&sub, batch_str(job->sub)) == TRAVEL_OK) {
        worker_array_uuid(a, sub.b);
    } else {
        worker_array_null(a);
    }
}


static void
batch_create_row(worker_array_t *own, worker_job_t *job,
    const batch_item_t *item)
{
    (void) item;
    batch_sub(&own[0], job);
    batch_text(&own[1], job->env.email);
    batch_trace(&own[2], job);
    batch_body(&own[3], job);
}


static const batch_statement_t  batch_create = {
    "SELECT n FROM travel.bookings_begin($1, $2, $3, $4, $5, $6, $7, $8, $9,"
    " $10) AS n",
    { WORKER_ARRAY_UUID, WORKER_ARRAY_TEXT, WORKER_ARRAY_TEXT,
      WORKER_ARRAY_TEXT }, 4, batch_create_row
};


static worker_verdict_e
batch_created(batch_t *b, size_t i, bool told)
{
    worker_job_t  *job;

    job = b->jobs[i];

    if (!b->items[i].done && !batch_is_away(b)) {
        return booking_create(job);
    }

    if (!b->items[i].done || !told) {
        return batch_away(job);
    }

    worker_saga_done(job, 1);
    worker_partner_taken(job, "hold");
    return booking_create(job);
}


void
booking_create_batch(worker_job_t *const *jobs, worker_verdict_e *verdicts,
    size_t n)
{
    bool       good, told;
    size_t     i;
    batch_t    b;
    PGresult  *res;

    good = batch_begin(&b, jobs, verdicts, n);

    for (i = 0; good && i < n; i++) {
        if (worker_body_string(jobs[i], "trip_id") != NULL) {
            b.items[i].way = BATCH_OF_TRIP;
        }
    }

    res = good ? batch_exec(&b, BATCH_ALONE, &batch_create) : NULL;
    told = res != NULL && batch_announce(&b, BATCH_ALONE);

    for (i = 0; i < n; i++) {
        verdicts[i] = good ? batch_created(&b, i, told)
                           : booking_create(jobs[i]);
    }

    PQclear(res);
    batch_end(&b);
}


/* --- the answers ---------------------------------------------------------- */

/* What a good answer to the step must have. */
static const char *
batch_needed(const char *step)
{
    return strcmp(step, "hold") == 0 ? "hold_id"
           : strcmp(step, "pay") == 0 ? "charge_id" : "confirmation_number";
}


static void
batch_sort(worker_job_t *job, batch_item_t *item)
{
    item->step = worker_partner_asked(job);
    item->answer = worker_partner_good(worker_job_answer(job));
    item->way = item->step == NULL
                || json_string_value(json_object_get(item->answer,
                                     batch_needed(item->step))) == NULL
                ? BATCH_ALONE
                : strcmp(item->step, "confirm") == 0 ? BATCH_CONFIRM
                                                     : BATCH_GO_ON;
}


/* As the partner wrote it: it is JSON, and was read. */
static void
batch_answer(worker_array_t *a, const worker_job_t *job)
{
    const worker_http_response_t  *resp;

    resp = worker_job_answer(job);
    worker_array_text(a, (travel_str_t) { resp->body, resp->len });
}


/* The call after the one that was answered. */
static const char *
batch_next(const worker_job_t *job, const batch_item_t *item)
{
    return strcmp(item->step, "hold") == 0
           && booking_is_paid(job, item->answer) ? "pay" : "confirm";
}


static void
batch_step_row(worker_array_t *own, worker_job_t *job,
    const batch_item_t *item)
{
    batch_text(&own[0], batch_str(item->step));
    batch_answer(&own[1], job);
    batch_text(&own[2], batch_str(batch_next(job, item)));
}


static const batch_statement_t  batch_step = {
    "SELECT n FROM jobs.sagas_go_on($1, $2, $3, $4, $5, $6, $7, $8, $9) AS n",
    { WORKER_ARRAY_TEXT, WORKER_ARRAY_TEXT, WORKER_ARRAY_TEXT }, 3,
    batch_step_row
};


static void
batch_confirm_row(worker_array_t *own, worker_job_t *job,
    const batch_item_t *item)
{
    json_t  *results;

    (void) item;
    results = worker_job_memo(job, "results");

    batch_sub(&own[0], job);
    batch_text(&own[1], job->env.email);
    batch_trace(&own[2], job);
    batch_json(&own[3], json_incref(json_object_get(results, "hold")));
    batch_json(&own[4], json_incref(json_object_get(results, "pay")));
    batch_answer(&own[5], job);
    batch_json(&own[6], worker_tx_job_payload(job, "confirm",
                                              "notification.email", job->key,
                                              NULL));
}


static const batch_statement_t  batch_confirm = {
    "SELECT n, booking FROM travel.bookings_confirm($1, $2, $3, $4, $5, $6,"
    " $7, $8, $9, $10, $11, $12, $13)",
    { WORKER_ARRAY_UUID, WORKER_ARRAY_TEXT, WORKER_ARRAY_TEXT,
      WORKER_ARRAY_TEXT, WORKER_ARRAY_TEXT, WORKER_ARRAY_TEXT,
      WORKER_ARRAY_TEXT }, 7,
    batch_confirm_row
};


static void
batch_goes_on(batch_t *b)
{
    int            k;
    size_t         i;
    PGresult      *res;
    batch_item_t  *item;

    res = batch_exec(b, BATCH_GO_ON, &batch_step);

    for (k = 0; k < PQntuples(res); k++) {
        i = b->told[k];
        item = &b->items[i];
        worker_partner_taken(b->jobs[i], batch_next(b->jobs[i], item));
        b->verdicts[i] = batch_go_on(b->jobs[i], item);
    }

    PQclear(res);
}


static void
batch_confirms(batch_t *b)
{
    int            k;
    bool           told;
    PGresult      *res;
    worker_job_t  *job;

    res = batch_exec(b, BATCH_CONFIRM, &batch_confirm);

    if (res == NULL) {
        return;
    }

    told = batch_announce(b, BATCH_CONFIRM);

    for (k = 0; k < PQntuples(res); k++) {
        job = b->jobs[b->told[k]];
        worker_job_answered(job);
        json_decref(job->result);
        job->result = worker_row_json_at(res, k, 1);
        b->verdicts[b->told[k]] = told ? WORKER_DONE : batch_away(job);
    }

    PQclear(res);
}


void
booking_answered_batch(worker_job_t *const *jobs, worker_verdict_e *verdicts,
    size_t n)
{
    bool      good;
    size_t    i;
    batch_t   b;

    good = batch_begin(&b, jobs, verdicts, n);

    for (i = 0; good && i < n; i++) {
        batch_sort(jobs[i], &b.items[i]);
    }

    if (good) {
        batch_goes_on(&b);
        batch_confirms(&b);
    }

    for (i = 0; i < n; i++) {
        if (!good || !b.items[i].done) {
            verdicts[i] = batch_is_away(&b) ? batch_away(jobs[i])
                                            : worker_job_resume(jobs[i]);
        }
    }

    batch_end(&b);
}
