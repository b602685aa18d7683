/*
 * booking.create by the batch: what most bookings are, in one statement for as
 * many as stand at the same step (schema 087).
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

typedef enum {
    BATCH_ALONE,
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
    batch_item_t         *items;
    bool                  failed;   /* the last statement */
} batch_t;

typedef json_t *(*batch_facts_pt)(worker_job_t *job, const batch_item_t *item);


/* --- one statement ------------------------------------------------------- */

/* As jobs.batched has it; steals 'facts'. */
static json_t *
batch_row(const worker_job_t *job, size_t i, json_t *facts)
{
    char     tp[TRAVEL_TRACEPARENT_LEN + 1];
    json_t  *row;

    row = json_pack("{s:i, s:s#, s:i, s:I, s:s, s:s, s:s, s:s*, s:O*, s:o*}",
                    "n", (int) i,
                    "queue", job->id.queue.data, (int) job->id.queue.len,
                    "partition", (int) job->id.partition,
                    "fence", (json_int_t) job->fence,
                    "id", job->uuid, "job", job->job_id, "sub", job->sub,
                    "trace", worker_tx_trace(tp, &job->trace),
                    "body", facts == NULL ? job->body : NULL,
                    "facts", facts);

    if (job->env.email.len > 0) {
        (void) json_object_set_new(row, "email", json_stringn(
                                       job->env.email.data,
                                       job->env.email.len));
    }

    return row;
}


static char *
batch_rows(const batch_t *b, batch_way_e way, batch_facts_pt facts)
{
    char    *text;
    size_t   i;
    json_t  *rows;

    rows = json_array();

    for (i = 0; i < b->n; i++) {
        if (b->items[i].way == way) {
            json_array_append_new(rows, batch_row(b->jobs[i], i,
                                      facts != NULL
                                      ? facts(b->jobs[i], &b->items[i])
                                      : NULL));
        }
    }

    text = json_array_size(rows) > 0 ? json_dumps(rows, JSON_COMPACT) : NULL;
    json_decref(rows);
    return text;
}


/* Marks the jobs it was done for; their rows are the result's, n in column 0.
 * NULL: it failed, or there was nothing to do. */
static PGresult *
batch_exec(batch_t *b, batch_way_e way, const char *sql, batch_facts_pt facts)
{
    int           i;
    char         *text;
    PGresult     *res;
    worker_pg_t  *pg;
    const char   *params[2];

    text = batch_rows(b, way, facts);

    if (text == NULL) {
        return NULL;
    }

    pg = b->jobs[0]->slot->pg;
    params[0] = b->jobs[0]->owner;
    params[1] = text;
    res = worker_pg_ready(pg) == TRAVEL_OK ? worker_pg_exec(pg, sql, 2, params)
                                           : NULL;
    free(text);

    b->failed = PQresultStatus(res) != PGRES_TUPLES_OK;

    if (b->failed) {
        worker_log(WORKER_LOG_WARN, "a batch of bookings: %s (%s)",
                   worker_pg_error(pg), worker_pg_sqlstate(pg));
        PQclear(res);
        return NULL;
    }

    for (i = 0; i < PQntuples(res); i++) {
        b->items[atoi(PQgetvalue(res, i, 0))].done = true;
    }

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

void
booking_create_batch(worker_job_t *const *jobs, worker_verdict_e *verdicts,
    size_t n)
{
    bool       told;
    size_t     i;
    batch_t    b = { jobs, verdicts, n, calloc(n, sizeof(batch_item_t)),
                     false };
    PGresult  *res;

    res = b.items != NULL
          ? batch_exec(&b, BATCH_ALONE, "SELECT n FROM"
                       " travel.bookings_begin($1, $2::jsonb)", NULL) : NULL;
    told = res != NULL && batch_announce(&b, BATCH_ALONE);

    for (i = 0; i < n; i++) {

        if (b.items == NULL || (!b.items[i].done && !batch_is_away(&b))) {
            verdicts[i] = booking_create(jobs[i]);

        } else if (!b.items[i].done || !told) {
            verdicts[i] = batch_away(jobs[i]);

        } else {
            worker_saga_done(jobs[i], 1);
            worker_partner_taken(jobs[i], "hold");
            verdicts[i] = booking_create(jobs[i]);
        }
    }

    PQclear(res);
    free(b.items);
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


/* The call after the one that was answered. */
static const char *
batch_next(const worker_job_t *job, const batch_item_t *item)
{
    return strcmp(item->step, "hold") == 0
           && booking_is_paid(job, item->answer) ? "pay" : "confirm";
}


static json_t *
batch_step_facts(worker_job_t *job, const batch_item_t *item)
{
    return json_pack("{s:s, s:O, s:s}", "step", item->step, "result",
                     item->answer, "next", batch_next(job, item));
}


static json_t *
batch_confirm_facts(worker_job_t *job, const batch_item_t *item)
{
    const json_t  *results;

    results = worker_job_memo(job, "results");

    return json_pack("{s:O, s:O*, s:O, s:o}",
                     "hold", json_object_get(results, "hold"),
                     "pay", json_object_get(results, "pay"),
                     "confirm", item->answer,
                     "mail", worker_tx_job_payload(job, "confirm",
                                 "notification.email", job->key, NULL));
}


static void
batch_goes_on(batch_t *b)
{
    size_t         i;
    PGresult      *res;
    batch_item_t  *item;

    res = batch_exec(b, BATCH_GO_ON, "SELECT n FROM"
                     " jobs.sagas_go_on($1, $2::jsonb)", batch_step_facts);
    PQclear(res);

    for (i = 0; i < b->n; i++) {
        item = &b->items[i];

        if (item->done && item->way == BATCH_GO_ON) {
            worker_partner_taken(b->jobs[i], batch_next(b->jobs[i], item));
            b->verdicts[i] = batch_go_on(b->jobs[i], item);
        }
    }
}


static void
batch_confirms(batch_t *b)
{
    int            k;
    bool           told;
    size_t         i;
    PGresult      *res;
    worker_job_t  *job;

    res = batch_exec(b, BATCH_CONFIRM, "SELECT n, booking FROM"
                     " travel.bookings_confirm($1, $2::jsonb)",
                     batch_confirm_facts);

    if (res == NULL) {
        return;
    }

    told = batch_announce(b, BATCH_CONFIRM);

    for (k = 0; k < PQntuples(res); k++) {
        i = (size_t) atoi(PQgetvalue(res, k, 0));
        job = b->jobs[i];
        worker_job_answered(job);
        json_decref(job->result);
        job->result = worker_row_json_at(res, k, 1);
        b->verdicts[i] = told ? WORKER_DONE : batch_away(job);
    }

    PQclear(res);
}


void
booking_answered_batch(worker_job_t *const *jobs, worker_verdict_e *verdicts,
    size_t n)
{
    size_t    i;
    batch_t   b = { jobs, verdicts, n, calloc(n, sizeof(batch_item_t)),
                    false };

    for (i = 0; b.items != NULL && i < n; i++) {
        batch_sort(jobs[i], &b.items[i]);
    }

    if (b.items != NULL) {
        batch_goes_on(&b);
        batch_confirms(&b);
    }

    for (i = 0; i < n; i++) {
        if (b.items == NULL || !b.items[i].done) {
            verdicts[i] = batch_is_away(&b) ? batch_away(jobs[i])
                                            : worker_job_resume(jobs[i]);
        }

        if (b.items != NULL) {
            json_decref(b.items[i].answer);
        }
    }

    free(b.items);
}
