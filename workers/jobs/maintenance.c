/*
 * Jobs of the house, started by schedules: partitions ahead, archival,
 * snapshots, projections, expired rows, reminders; and by whoever changes rows
 * with SQL: what is stale now.
 *
 * Each may run twice, or beside itself, without harm: the functions they call
 * look for what is left to do.  Those that could have much to do take it in
 * transactions of bounded size and look whether they were cancelled.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "families.h"
#include "resource.h"
#include "../pool/slot.h"

#define MAINTENANCE_TURNS   1000        /* batches in one run */
#define MAINTENANCE_REMIND  "200"       /* bookings of one run */


/* A statement whose one row is the job's result. */
static worker_verdict_e
maintenance_once(worker_job_t *job, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    res = worker_query(job, sql, n, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    json_decref(job->result);
    job->result = worker_row_json(res, 0);
    PQclear(res);
    return WORKER_DONE;
}


/* A text member of the body, or what holds without it. */
static const char *
maintenance_option(const worker_job_t *job, const char *name,
    const char *value)
{
    const char  *v;

    v = worker_body_string(job, name);
    return v != NULL ? v : value;
}


static worker_verdict_e
maintenance_partitions(worker_job_t *job)
{
    return maintenance_once(job, "SELECT json_build_object('made',"
                                 "       events.ensure_partitions(24))", 0,
                            NULL);
}


static worker_verdict_e
maintenance_archive(worker_job_t *job)
{
    const char  *params[] = { maintenance_option(job, "keep", "2 years") };

    return maintenance_once(job, "SELECT json_build_object('archived',"
                                 "       events.archive($1::interval))", 1,
                            params);
}


static worker_verdict_e
maintenance_snapshots(worker_job_t *job)
{
    return maintenance_once(job, "SELECT json_build_object('made',"
                                 "       events.take_snapshots(50, 1000))", 0,
                            NULL);
}


/* Dead letters, each queue's by its retention, or all by the body's "dead". */
static bool
maintenance_expire_dead(worker_job_t *job, json_int_t *sum)
{
    int          i;
    char         keep[48];
    json_int_t   n;
    PGresult    *res;
    const char  *queue, *params[2];

    for (i = 0; (queue = travel_queue_name((size_t) i)) != NULL; i++) {
        snprintf(keep, sizeof(keep), "%ld ms",
                 worker_conf_retention_ms(job->slot->conf, queue));
        params[0] = queue;
        params[1] = maintenance_option(job, "dead", keep);

        do {
            res = worker_query(job, "SELECT jobs.expire_dead($1,"
                                    " $2::interval, 5000)", 2, params);

            if (res == NULL) {
                return false;
            }

            n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
            *sum += n;
            PQclear(res);
        } while (n > 0 && !job->cancel);
    }

    return true;
}


/* Batches until one has nothing to do; their sum per column is the result. */
static worker_verdict_e
maintenance_expire(worker_job_t *job)
{
    int          i, k;
    json_int_t   n, sum[4] = { 0, 0, 0, 0 }, batch;
    PGresult    *res;
    const char  *params[] = {
        maintenance_option(job, "inbox", "30 days"),
        maintenance_option(job, "outbox", "7 days")
    };

    batch = 1;

    for (i = 0; batch > 0 && i < MAINTENANCE_TURNS && !job->cancel; i++) {
        res = worker_query(job, "SELECT * FROM jobs.expire($1::interval,"
                                " $2::interval, NULL, 5000)", 2,
                           params);

        if (res == NULL) {
            return WORKER_RETRY;
        }

        for (batch = 0, k = 0; k < 4; k++) {
            n = strtoll(PQgetvalue(res, 0, k), NULL, 10);
            sum[k] += n;
            batch += n;
        }

        PQclear(res);
    }

    if (!maintenance_expire_dead(job, &sum[3])) {
        return WORKER_RETRY;
    }

    res = worker_query(job, "SELECT jobs.expire_sagas($1::interval, 50000),"
                            " jobs.expire_webhooks($1::interval, 50000),"
                            " jobs.expire_notices($1::interval, 50000),"
                            " jobs.expire_claims(50000),"
                            " travel.expire_finds(50000),"
                            " jobs.expire_flows($1::interval, 5000),"
                            " jobs.expire_checkpoints($1::interval, 50000),"
                            " credentials.expire(50000)",
                       1, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    PQclear(res);
    json_decref(job->result);
    job->result = json_pack("{s:I, s:I, s:I, s:I}", "inbox", sum[0],
                            "outbox", sum[1], "saga", sum[2], "dead", sum[3]);
    return WORKER_DONE;
}


/* Every live projection, until it has nothing more to take in. */
static worker_verdict_e
maintenance_project(worker_job_t *job)
{
    int         i, turn;
    long        n, total;
    PGresult   *names, *res;

    names = worker_query(job, "SELECT name, generation"
                              "  FROM events.projection WHERE live"
                              " ORDER BY name", 0, NULL);

    if (names == NULL) {
        return WORKER_RETRY;
    }

    total = 0;

    for (i = 0; i < PQntuples(names); i++) {
        const char  *params[] = { PQgetvalue(names, i, 0),
                                  PQgetvalue(names, i, 1) };

        n = 1;

        for (turn = 0; n > 0 && turn < MAINTENANCE_TURNS && !job->cancel;
             turn++)
        {
            res = worker_query(job, "SELECT events.project($1, $2::int,"
                                    " 500)", 2, params);

            if (res == NULL) {
                PQclear(names);
                return WORKER_RETRY;
            }

            n = strtol(PQgetvalue(res, 0, 0), NULL, 10);
            total += n > 0 ? n : 0;
            PQclear(res);
        }
    }

    PQclear(names);
    json_decref(job->result);
    job->result = json_pack("{s:I}", "events", (json_int_t) total);
    return WORKER_DONE;
}


/* --- reminders ----------------------------------------------------------- */

/* A booking's, by one channel; 'who' is told there. */
static int
maintenance_remind_by(worker_tx_t *tx, const PGresult *res, int row,
    const char *type, const char *member, int who)
{
    json_t  *body;

    body = json_pack("{s:s, s:s, s:o}", "template", "booking_reminder",
                     member, PQgetvalue(res, row, who), "data",
                     json_loads(PQgetvalue(res, row, 3), 0, NULL));

    return worker_tx_job(tx, type, PQgetvalue(res, row, 0), body);
}


static int
maintenance_remind_all(worker_tx_t *tx, const PGresult *res)
{
    int  i;

    for (i = 0; i < PQntuples(res); i++) {
        if (!PQgetisnull(res, i, 1)
            && maintenance_remind_by(tx, res, i, "notification.email", "to",
                                     1) != TRAVEL_OK)
        {
            return TRAVEL_ERROR;
        }

        if (!PQgetisnull(res, i, 2)
            && maintenance_remind_by(tx, res, i, "notification.push", "user",
                                     2) != TRAVEL_OK)
        {
            return TRAVEL_ERROR;
        }
    }

    return TRAVEL_OK;
}


/* Who has a booking within a day is told, once: by mail, and on his devices;
 * those who have neither are not. */
static worker_verdict_e
maintenance_remind_in(worker_tx_t *tx)
{
    int          n;
    PGresult    *res;
    const char  *params[] = { maintenance_option(tx->job, "ahead", "24 hours"),
                              MAINTENANCE_REMIND };

    res = worker_tx_exec(tx,
        "WITH due AS ("
        "  INSERT INTO travel.reminders (booking_id)"
        "  SELECT b.id FROM travel.bookings AS b"
        "    JOIN travel.users AS u ON u.id = b.user_id"
        "   WHERE b.status = 'confirmed'"
        "     AND (u.email IS NOT NULL OR EXISTS (SELECT FROM travel.devices"
        "              AS d WHERE d.user_id = u.id))"
        "     AND b.booking_date > now()"
        "     AND b.booking_date <= now() + $1::interval"
        "     AND NOT EXISTS (SELECT FROM travel.reminders AS r"
        "                      WHERE r.booking_id = b.id)"
        "   ORDER BY b.booking_date LIMIT $2::int"
        "  ON CONFLICT DO NOTHING RETURNING booking_id)"
        " SELECT b.id, u.email, (SELECT u.id WHERE EXISTS (SELECT"
        "           FROM travel.devices AS d WHERE d.user_id = u.id)),"
        "        json_build_object("
        "    'name', coalesce(u.name, 'traveller'), 'partner', p.name,"
        "    'venue_name', coalesce(b.venue_name, b.venue_id),"
        "    'party_size', b.party_size,"
        "    'confirmation_number', b.confirmation_number,"
        "    'date', to_char(b.booking_date AT TIME ZONE u.tz,"
        "                    'FMDay, FMDD FMMonth YYYY, HH24:MI')"
        "            || ' (' || u.tz || ')')"
        "  FROM due JOIN travel.bookings AS b ON b.id = due.booking_id"
        "  JOIN travel.partners AS p ON p.code = b.partner"
        "  JOIN travel.users AS u ON u.id = b.user_id", 2, params);

    if (res == NULL || maintenance_remind_all(tx, res) != TRAVEL_OK) {
        return worker_tx_retry(tx, res);
    }

    n = PQntuples(res);
    PQclear(res);
    return worker_tx_commit(tx, json_pack("{s:i}", "reminded", n));
}


static worker_verdict_e
maintenance_remind(worker_job_t *job)
{
    return worker_tx_run(job, "remind", maintenance_remind_in);
}


/* Its commit says it, after that of who asked (jobs.tell_stale). */
static worker_verdict_e
maintenance_stale_in(worker_tx_t *tx)
{
    size_t       i;
    json_t      *tags;
    const char  *tag;

    tags = json_object_get(tx->job->body, "tags");

    for (i = 0; i < json_array_size(tags); i++) {
        tag = json_string_value(json_array_get(tags, i));

        if (tag == NULL || strpbrk(tag, " \t\r\n") != NULL) {
            return worker_tx_refuse(tx, "VALIDATION_ERROR",
                                    "a tag is a text without blanks");
        }

        worker_tx_tag(tx, "%s", tag);
    }

    return worker_tx_commit(tx, NULL);
}


static worker_verdict_e
maintenance_stale(worker_job_t *job)
{
    return worker_tx_run(job, "stale", maintenance_stale_in);
}


#define MAINTENANCE_TYPE(name, run)                                           \
    { name, "maintenance", TRAVEL_PRIORITY_LOW, run, NULL, 5, 1000, 300000,   \
      300000, true }

const worker_job_type_t  worker_jobs_maintenance[] = {
    MAINTENANCE_TYPE("maintenance.partitions", maintenance_partitions),
    MAINTENANCE_TYPE("maintenance.archive", maintenance_archive),
    MAINTENANCE_TYPE("maintenance.snapshots", maintenance_snapshots),
    MAINTENANCE_TYPE("maintenance.expire", maintenance_expire),
    MAINTENANCE_TYPE("maintenance.project", maintenance_project),
    MAINTENANCE_TYPE("maintenance.stale", maintenance_stale),
    MAINTENANCE_TYPE("booking.remind", maintenance_remind),
    { .type = NULL }
};
