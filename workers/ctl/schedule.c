/* travelctl schedule: what happens by the clock, seen and steered. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "ctl.h"
#include "../schedule/own.h"
#include "../../common/timestamp.h"


/* One of workers.conf, or NULL. */
static const worker_schedule_t *
schedule_find(const worker_conf_t *conf, const char *name)
{
    size_t  i;

    for (i = 0; i < conf->nschedules; i++) {
        if (strcmp(conf->schedules[i].name, name) == 0) {
            return &conf->schedules[i];
        }
    }

    return NULL;
}


static int
schedule_none(const char *name)
{
    return ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                       "there is no schedule \"%s\"", name);
}


static void
schedule_instant(char dst[TRAVEL_TIMESTAMP_LEN + 1], int64_t at)
{
    travel_timestamp_format(dst, (uint64_t) at * 1000);
    memcpy(dst + 19, "Z", 2);
}


/* Of both tables: last fire, fired, skipped, paused, last fire as a number. */
#define SCHEDULE_COLUMNS                                                      \
    "to_char(last_fire AT TIME ZONE 'UTC',"                                   \
    "        'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), fired, skipped, paused,"    \
    " floor(extract(epoch FROM last_fire))::bigint"
#define SCHEDULE_OWN  6              /* where they begin in an own one's row */


/* Name, cron, zone, type, last fire, next fire, how often, state.  The columns
 * are those from 'k' on of a row that may not be there. */
static void
schedule_line(const worker_schedule_t *schedule, const PGresult *res, int row,
    int k)
{
    bool     known;
    char     next[TRAVEL_TIMESTAMP_LEN + 1];
    int64_t  at, last;

    known = PQntuples(res) > row;
    last = known ? strtoll(PQgetvalue(res, row, k + 4), NULL, 10)
                 : time(NULL);
    snprintf(next, sizeof(next), "never");

    if (worker_schedule_next(schedule, last, &at) == TRAVEL_OK) {
        schedule_instant(next, at);
    }

    printf("%-14s %-16s %-16s %-24s %-20s %-20s %6s %6s %s %s\n",
           schedule->name, schedule->expression, schedule->timezone,
           schedule->type, known ? PQgetvalue(res, row, k) : "-", next,
           known ? PQgetvalue(res, row, k + 1) : "0",
           known ? PQgetvalue(res, row, k + 2) : "0",
           worker_catch_up_name(schedule->catch_up),
           known && *PQgetvalue(res, row, k + 3) == 't' ? "paused" : "active");
}


static int
schedule_shipped(const worker_conf_t *conf, PGconn *pg)
{
    size_t       i;
    PGresult    *res;
    const char  *params[1];

    for (i = 0; i < conf->nschedules; i++) {
        params[0] = conf->schedules[i].name;
        res = ctl_query(pg, "SELECT " SCHEDULE_COLUMNS
                            "  FROM jobs.schedule WHERE name = $1", 1, params);

        if (res == NULL) {
            return CTL_BROKEN;
        }

        schedule_line(&conf->schedules[i], res, 0, 0);
        PQclear(res);
    }

    return CTL_GOOD;
}


static int
schedule_own(PGconn *pg)
{
    int                 row;
    PGresult           *res;
    const char         *why;
    worker_schedule_t   own;

    res = ctl_query(pg, "SELECT " WORKER_OWN_COLUMNS ", " SCHEDULE_COLUMNS
                        "  FROM jobs.own_schedule ORDER BY name", 0, NULL);

    if (res == NULL) {
        return CTL_BROKEN;
    }

    for (row = 0; row < PQntuples(res); row++) {
        if (worker_own_schedule(res, row, &own, &why) == TRAVEL_OK) {
            schedule_line(&own, res, row, SCHEDULE_OWN);
        } else {
            printf("%-14s %s\n", PQgetvalue(res, row, 0), why);
        }
    }

    PQclear(res);
    return CTL_GOOD;
}


int
travelctl_schedule_list(int argc, char **argv)
{
    int             rc;
    PGconn         *pg;
    const char     *config = NULL, *args[CTL_ARGS_MAX + 1];
    worker_conf_t  *conf;

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "schedule list [options]",
                           "Name, cron, time zone, job type, last and next "
                           "fire, fired, skipped, catch-up, state:\nthose of "
                           "workers.conf, then those that were added.", options,
                           0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    conf = ctl_conf(config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    rc = pg != NULL ? schedule_shipped(conf, pg) : CTL_BROKEN;
    rc = rc == CTL_GOOD ? schedule_own(pg) : rc;

    PQfinish(pg);
    worker_conf_free(conf);
    return rc;
}


/* One that was added, its job enqueued. */
static int
schedule_run_own(const worker_conf_t *conf, const char *name)
{
    int                 rc;
    PGconn             *pg;
    PGresult           *res;
    const char         *why = NULL, *params[] = { name };
    worker_schedule_t   own;

    pg = ctl_pg(conf->pg_dsn);
    res = pg != NULL ? ctl_query(pg, "SELECT " WORKER_OWN_COLUMNS
                                     "  FROM jobs.own_schedule"
                                     " WHERE name = $1", 1, params) : NULL;

    if (res == NULL) {
        rc = CTL_BROKEN;

    } else if (PQntuples(res) == 0) {
        rc = schedule_none(name);

    } else if (worker_own_schedule(res, 0, &own, &why) != TRAVEL_OK) {
        rc = ctl_broken("schedule %s: %s", name, why);

    } else {
        rc = ctl_enqueue(conf, &own, "by hand");
    }

    PQclear(res);
    PQfinish(pg);
    return rc;
}


int
travelctl_schedule_run(int argc, char **argv)
{
    int                       rc;
    const char               *config = NULL, *args[CTL_ARGS_MAX + 1];
    worker_conf_t            *conf;
    const worker_schedule_t  *schedule;

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "schedule run [options] NAME",
                           "Enqueues the schedule's job now and prints its "
                           "id.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    conf = ctl_conf(config);
    rc = CTL_BROKEN;

    if (conf != NULL) {
        schedule = schedule_find(conf, args[0]);
        rc = schedule != NULL ? ctl_enqueue(conf, schedule, "by hand")
                              : schedule_run_own(conf, args[0]);
    }

    worker_conf_free(conf);
    return rc;
}


static int
schedule_pause(const char *config, const char *name, const char *paused)
{
    int             rc;
    PGconn         *pg;
    PGresult       *res;
    const char     *params[2] = { name, paused };
    worker_conf_t  *conf;

    conf = ctl_conf(config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    rc = CTL_BROKEN;

    if (pg != NULL) {
        res = ctl_query(pg,
            "WITH s AS (UPDATE jobs.schedule SET paused = $2::boolean"
            "            WHERE name = $1 RETURNING name),"
            " o AS (UPDATE jobs.own_schedule SET paused = $2::boolean"
            "        WHERE name = $1 RETURNING name)"
            " SELECT name FROM s UNION ALL SELECT name FROM o", 2, params);

        if (res != NULL) {
            rc = PQntuples(res) > 0 ? CTL_GOOD : schedule_none(name);
        }

        PQclear(res);
        PQfinish(pg);
    }

    worker_conf_free(conf);
    return rc;
}


int
travelctl_schedule_pause(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "schedule pause [options] NAME",
                           "From the leader's next look on (1 s) it does not "
                           "fire.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return schedule_pause(config, args[0], "t");
}


int
travelctl_schedule_resume(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "schedule resume [options] NAME",
                           "It fires again; what was missed goes by its "
                           "catch_up.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return schedule_pause(config, args[0], "f");
}


/* A row for it, new or in the place of the old one. */
static int
schedule_put(const worker_conf_t *conf, const worker_schedule_t *own,
    const char *catch_up)
{
    int          rc;
    PGconn      *pg;
    PGresult    *res;
    const char  *params[] = { own->name, own->expression, own->timezone,
                              own->type, own->body, catch_up };

    pg = ctl_pg(conf->pg_dsn);
    res = pg != NULL ? ctl_query(pg,
        "INSERT INTO jobs.own_schedule (" WORKER_OWN_COLUMNS ")"
        " VALUES ($1, $2, $3, $4, $5::jsonb, $6)"
        " ON CONFLICT (name) DO UPDATE SET cron = EXCLUDED.cron,"
        "    timezone = EXCLUDED.timezone, type = EXCLUDED.type,"
        "    body = EXCLUDED.body, catch_up = EXCLUDED.catch_up", 6, params)
        : NULL;
    rc = res != NULL ? CTL_GOOD : CTL_BROKEN;
    PQclear(res);
    PQfinish(pg);

    return rc;
}


/* What is wrong with it, or NULL. */
static const char *
schedule_wrong(const worker_conf_t *conf, worker_schedule_t *own,
    const char *catch_up)
{
    json_t      *body;
    const char  *why;

    if (schedule_find(conf, own->name) != NULL) {
        return "workers.conf has one of this name";
    }

    if (own->expression == NULL || own->type == NULL) {
        return "needs --cron and --type";
    }

    if (strcmp(catch_up, "skip") != 0 && strcmp(catch_up, "once") != 0) {
        return "--catch-up takes skip or once";
    }

    body = json_loads(own->body, 0, NULL);
    why = json_is_object(body) ? NULL : "--body is not a JSON object";
    json_decref(body);

    return why != NULL || worker_own_check(own, &why) != TRAVEL_OK ? why
                                                                   : NULL;
}


int
travelctl_schedule_add(int argc, char **argv)
{
    int             rc;
    const char     *config = NULL, *cron = NULL, *type = NULL, *body = "{}";
    const char     *zone = "UTC", *catch_up = "skip", *why;
    const char     *args[CTL_ARGS_MAX + 1];
    worker_conf_t  *conf;

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { "cron", CTL_STRING, &cron, "CRON", "when: \"*/5 * * * *\"" },
        { "type", CTL_STRING, &type, "TYPE", "of the job" },
        { "body", CTL_STRING, &body, "JSON", "what it is given ({})" },
        { "timezone", CTL_STRING, &zone, "ZONE", "of the cron (UTC)" },
        { "catch-up", CTL_STRING, &catch_up, "POLICY",
          "of what was missed: skip (as without it) or once" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "schedule add [options] NAME",
                         "Adds a schedule, or changes one that was added: the "
                         "pool fires it from the next\nminute on, without a "
                         "reload.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    worker_schedule_t own = { .name = (char *) args[0],
                              .expression = (char *) cron,
                              .timezone = (char *) zone,
                              .type = (char *) type, .body = (char *) body };

    conf = ctl_conf(config);

    if (conf == NULL) {
        return CTL_BROKEN;
    }

    why = schedule_wrong(conf, &own, catch_up);
    rc = why != NULL ? ctl_refused(TRAVEL_E_VALIDATION_ERROR, "-",
                                   "schedule %s: %s", args[0], why)
                     : schedule_put(conf, &own, catch_up);
    worker_conf_free(conf);

    return rc;
}


int
travelctl_schedule_remove(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "schedule remove [options] NAME",
                           "A schedule that was added fires no more.",
                           options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    rc = ctl_rows(config, "DELETE FROM jobs.own_schedule WHERE name = $1"
                          " RETURNING name", 1, args, NULL);

    return rc == CTL_REFUSED ? schedule_none(args[0]) : rc;
}
