/* travelctl schedule: what happens by the clock, seen and steered. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ctl.h"
#include "../schedule/schedule.h"
#include "../../common/timestamp.h"


static const worker_schedule_t *
schedule_find(const worker_conf_t *conf, const char *name)
{
    size_t  i;

    for (i = 0; i < conf->nschedules; i++) {
        if (strcmp(conf->schedules[i].name, name) == 0) {
            return &conf->schedules[i];
        }
    }

    ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-", "%s has no schedule \"%s\"",
                conf->path, name);
    return NULL;
}


static void
schedule_instant(char dst[TRAVEL_TIMESTAMP_LEN + 1], int64_t at)
{
    travel_timestamp_format(dst, (uint64_t) at * 1000);
    memcpy(dst + 19, "Z", 2);
}


/* Name, cron, zone, type, last fire, next fire, how often, state. */
static void
schedule_line(const worker_schedule_t *schedule, PGconn *pg)
{
    bool         known;
    char         next[TRAVEL_TIMESTAMP_LEN + 1];
    int64_t      at, last;
    PGresult    *res;
    const char  *params[1] = { schedule->name };

    res = PQexecParams(pg,
        "SELECT to_char(last_fire AT TIME ZONE 'UTC',"
        "               'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), fired, skipped,"
        "       paused, floor(extract(epoch FROM last_fire))::bigint"
        "  FROM jobs.schedule WHERE name = $1", 1, NULL, params, NULL, NULL,
        0);
    known = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1;
    last = known ? strtoll(PQgetvalue(res, 0, 4), NULL, 10) : time(NULL);
    snprintf(next, sizeof(next), "never");

    if (worker_schedule_next(schedule, last, &at) == TRAVEL_OK) {
        schedule_instant(next, at);
    }

    printf("%-14s %-16s %-16s %-24s %-20s %-20s %6s %6s %s %s\n",
           schedule->name, schedule->expression, schedule->timezone,
           schedule->type, known ? PQgetvalue(res, 0, 0) : "-", next,
           known ? PQgetvalue(res, 0, 1) : "0",
           known ? PQgetvalue(res, 0, 2) : "0",
           worker_catch_up_name(schedule->catch_up),
           known && *PQgetvalue(res, 0, 3) == 't' ? "paused" : "active");
    PQclear(res);
}


int
travelctl_schedule_list(int argc, char **argv)
{
    int             rc;
    size_t          i;
    PGconn         *pg;
    const char     *config = NULL, *args[CTL_ARGS_MAX + 1];
    worker_conf_t  *conf;

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "schedule list [options]",
                           "Name, cron, time zone, job type, last and next "
                           "fire, fired, skipped, catch-up, state.", options,
                           0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    conf = ctl_conf(config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    rc = pg != NULL ? CTL_GOOD : CTL_BROKEN;

    for (i = 0; rc == CTL_GOOD && i < conf->nschedules; i++) {
        schedule_line(&conf->schedules[i], pg);
    }

    PQfinish(pg);
    worker_conf_free(conf);
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
                              : CTL_REFUSED;
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
        res = ctl_query(pg, "UPDATE jobs.schedule SET paused = $2::boolean"
                            " WHERE name = $1 RETURNING name", 2, params);

        if (res != NULL) {
            rc = PQntuples(res) > 0 ? CTL_GOOD
                 : ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                               "no schedule \"%s\" has ever run here", name);
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
