/* travelctl queue pause, resume, paused: what is not to start for a while. */

#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "../jobs/job.h"


/* A queue or a job type that can be paused; CTL_BROKEN or CTL_REFUSED with a
 * complaint. */
static int
pause_name(const char *name)
{
    const worker_job_type_t  *type;

    if (strchr(name, '.') == NULL) {
        return travel_queue_exists((travel_str_t) { name, strlen(name) })
               ? CTL_GOOD
               : ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-", "there is no "
                             "queue \"%s\": travelctl queue stat lists them",
                             name);
    }

    type = worker_job_type((travel_str_t) { name, strlen(name) });

    if (type == NULL) {
        return ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                           "there is no job type \"%s\"", name);
    }

    if (worker_job_steers(type)) {
        return ctl_refused(TRAVEL_E_CONFLICT, "-", "\"%s\" is what operators "
                           "steer by, it is never paused", name);
    }

    return CTL_GOOD;
}


/* 'sql' of each name, the first of 'n' parameters; 'no' when it says that
 * nothing has changed. */
static int
pause_each(const char *config, const char *const *names, const char *sql,
    int n, const char **params, int (*no)(const char *name))
{
    int             rc, each;
    PGconn         *pg;
    PGresult       *res;
    worker_conf_t  *conf;

    conf = ctl_conf(config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    rc = pg != NULL ? CTL_GOOD : CTL_BROKEN;

    for ( ; rc != CTL_BROKEN && *names != NULL; names++) {
        params[0] = *names;
        res = ctl_query(pg, sql, n, params);
        each = res == NULL ? CTL_BROKEN
               : *PQgetvalue(res, 0, 0) == 't' ? CTL_GOOD : no(*names);
        rc = each != CTL_GOOD ? each : rc;
        PQclear(res);
    }

    PQfinish(pg);
    worker_conf_free(conf);
    return rc;
}


static int
pause_was(const char *name)
{
    printf("%s was paused already\n", name);
    return CTL_GOOD;
}


static int
pause_was_not(const char *name)
{
    return ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                       "\"%s\" is not paused: travelctl queue paused lists "
                       "what is", name);
}


int
travelctl_queue_pause(int argc, char **argv)
{
    int          rc;
    size_t       i;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];
    const char  *params[3] = { NULL, getenv("USER"), NULL };

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { "reason", CTL_STRING, &params[2], "TEXT", "for others to read" },
        { "by", CTL_STRING, &params[1], "WHO", "who says so ($USER)" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "queue pause [options] NAME...",
                         "NAME is a queue (booking) or a job type "
                         "(booking.create).  Within a second nothing of\nit is "
                         "started any more, in all pools; what runs ends, what "
                         "waits is kept, new\ncommands are taken as before, "
                         "deadlines and retention go on.  It lasts until\n"
                         "travelctl queue resume, whatever is restarted.",
                         options, 1, CTL_ARGS_MAX };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    for (i = 0; args[i] != NULL; i++) {
        rc = pause_name(args[i]);

        if (rc != CTL_GOOD) {
            return rc;
        }
    }

    return pause_each(config, args, "SELECT jobs.pause($1, $2, $3)", 3, params,
                      pause_was);
}


int
travelctl_queue_resume(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1], *params[1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "queue resume [options] NAME...",
                           "What was paused goes on.  Exit code 1: it was "
                           "not paused.", options, 1, CTL_ARGS_MAX };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return pause_each(config, args, "SELECT jobs.resume($1)", 1, params,
                      pause_was_not);
}


static void
pause_row(const PGresult *res, int row)
{
    printf("%-6s %-28s %s  %s%s%s\n", PQgetvalue(res, row, 0),
           PQgetvalue(res, row, 1), PQgetvalue(res, row, 2),
           PQgetvalue(res, row, 3), PQgetisnull(res, row, 4) ? "" : ": ",
           PQgetvalue(res, row, 4));
}


int
travelctl_queue_paused(int argc, char **argv)
{
    int          rc;
    bool         json = false;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        CTL_JSON(json),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "queue paused [options]",
                         "What is paused: queue or type, its name, since "
                         "when, by whom: why.\nExit code 1: nothing is.",
                         options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (json) {
        return ctl_rows(config, "SELECT row_to_json(p) FROM jobs.paused AS p"
                                " ORDER BY since", 0, NULL, NULL);
    }

    return ctl_rows(config,
        "SELECT kind, name, to_char(since AT TIME ZONE 'UTC',"
        "               'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
        "       coalesce(by, '-'), reason"
        "  FROM jobs.paused ORDER BY since", 0, NULL, pause_row);
}
