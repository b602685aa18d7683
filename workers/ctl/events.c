/* travelctl events and projection: what happened, and what is made of it. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl.h"

#define EVENTS_TURNS     100000      /* of a rebuild */
#define EVENTS_WAIT_US   100000      /* somebody else is at it, or not yet */

typedef struct {
    worker_conf_t  *conf;
    PGconn         *pg;
} events_ctl_t;


static bool
events_open(events_ctl_t *e, const char *config)
{
    e->conf = ctl_conf(config);
    e->pg = e->conf != NULL ? ctl_pg(e->conf->pg_dsn) : NULL;

    return e->pg != NULL;
}


static int
events_close(events_ctl_t *e, int rc)
{
    PQfinish(e->pg);
    worker_conf_free(e->conf);
    return rc;
}


#define EVENTS_COLUMNS                                                        \
    "to_char(created_at AT TIME ZONE 'UTC',"                                  \
    "        'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), stream_type, stream_id,"   \
    " version, type, data::text"


int
travelctl_events_list(int argc, char **argv)
{
    int          rc;
    long         limit = 100;
    char         number[24];
    const char  *config = NULL, *user = NULL, *args[CTL_ARGS_MAX + 1];
    const char  *from = "-infinity", *until = "infinity", *params[5];

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { "user", CTL_UUID, &user, "UUID", "of this user, newest first" },
        { "from", CTL_INSTANT, &from, "TIME", "of then or later" },
        { "until", CTL_INSTANT, &until, "TIME", "of before then" },
        { "limit", CTL_NUMBER, &limit, "N", "at most so many (100)" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "events list [options] [AGGREGATE ID]",
                         "The events of an aggregate (booking ID, journey ID, "
                         "...) in order, or\nthose of a user: the audit log.  "
                         "Exit code 1: there are none.", options, 0, 2 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if ((user == NULL) == (args[1] == NULL)) {
        return ctl_broken("give either --user, or an aggregate and its id");
    }

    snprintf(number, sizeof(number), "%ld", limit);
    params[0] = from;
    params[1] = until;
    params[2] = number;

    if (user != NULL) {
        params[3] = user;

        return ctl_rows(config, "SELECT " EVENTS_COLUMNS
            "  FROM events.get_user_events($4::uuid, $2::timestamptz, $3::int)"
            " WHERE created_at >= $1::timestamptz", 4, params, NULL);
    }

    if (!ctl_uuid(args[1], args[0])) {
        return CTL_BROKEN;
    }

    params[3] = args[0];
    params[4] = args[1];

    return ctl_rows(config, "SELECT " EVENTS_COLUMNS
        "  FROM events.get_events($4, $5::uuid, 0, NULL)"
        " WHERE created_at >= $1::timestamptz AND created_at < $2::timestamptz"
        " ORDER BY version LIMIT $3::int", 5, params, NULL);
}


int
travelctl_events_state(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *at = NULL, *args[CTL_ARGS_MAX + 1];
    const char  *params[3];

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { "as-of", CTL_INSTANT, &at, "TIME",
          "as it was then: 2026-05-01T12:00:00Z (now)" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "events state [options] AGGREGATE ID",
                         "The state of an aggregate, folded from its events.  "
                         "Exit code 1: it was\nnot there.", options, 2, 2 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!ctl_uuid(args[1], args[0])) {
        return CTL_BROKEN;
    }

    params[0] = args[0];
    params[1] = args[1];
    params[2] = at != NULL ? at : "infinity";

    return ctl_rows(config,
        "SELECT jsonb_pretty(s) FROM events.state_at($1, $2::uuid,"
        "       $3::timestamptz) AS s WHERE s IS NOT NULL", 3, params, NULL);
}


int
travelctl_events_types(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "events types [options]",
                           "Every event type: aggregate, topic, what its data "
                           "must have.", options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return ctl_rows(config,
        "SELECT rpad(type, 24), rpad(stream_type, 12),"
        "       rpad(coalesce(topic, '-'), 16), members::text"
        "  FROM events.type ORDER BY type", 0, NULL, NULL);
}


/* --- projections ---------------------------------------------------------- */


int
travelctl_projection_list(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "projection list [options]",
                           "Each projection: generation, live or being "
                           "rebuilt, events taken in,\nevents that wait, when "
                           "it moved last.", options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return ctl_rows(config,
        "SELECT rpad(name, 20), generation,"
        "       CASE WHEN live THEN 'live' ELSE 'rebuilding' END, events,"
        "       (SELECT count(*) FROM events.event AS e"
        "         WHERE e.xid >= p.checkpoint),"
        "       to_char(updated_at AT TIME ZONE 'UTC',"
        "               'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        "  FROM events.projection AS p ORDER BY name, generation", 0, NULL,
        NULL);
}


/* A number that one statement answers; -2 with a complaint. */
static long
events_number(events_ctl_t *e, const char *sql, int n,
    const char *const *params)
{
    long       v;
    PGresult  *res;

    res = ctl_query(e->pg, sql, n, params);

    if (res == NULL) {
        return -2;
    }

    v = PQntuples(res) > 0 && !PQgetisnull(res, 0, 0)
        ? strtol(PQgetvalue(res, 0, 0), NULL, 10) : -1;
    PQclear(res);
    return v;
}


/* Takes batches into the new generation until it can take the live one's
 * place; each batch and the switch are transactions of their own. */
static int
projection_rebuild(events_ctl_t *e, const char *name, long *ret_events)
{
    int          turn;
    long         n;
    char         generation[24];
    const char  *params[2] = { name, generation };

    n = events_number(e, "SELECT events.rebuild($1)", 1, params);
    snprintf(generation, sizeof(generation), "%ld", n);
    *ret_events = 0;

    for (turn = 0; n >= -1 && turn < EVENTS_TURNS; turn++) {
        n = events_number(e, "SELECT events.project($1, $2::int, "
                          "500)", 2, params);

        if (n > 0) {
            *ret_events += n;
            continue;
        }

        if (n < -1) {
            break;
        }

        n = events_number(e, "SELECT events.switch($1, $2::int)::int", 2,
                          params);

        if (n == 1) {
            return CTL_GOOD;
        }

        usleep(EVENTS_WAIT_US);
    }

    return CTL_BROKEN;
}


static int
projection_known(events_ctl_t *e, const char *name)
{
    long  n;

    n = events_number(e, "SELECT count(*) FROM events.projection"
                         " WHERE name = $1 AND live", 1, &name);

    return n == 1 ? CTL_GOOD
           : n == 0 ? ctl_found(CTL_REFUSED, "projection", name) : CTL_BROKEN;
}


int
travelctl_projection_rebuild(int argc, char **argv)
{
    int           rc;
    long          events;
    const char   *config = NULL, *args[CTL_ARGS_MAX + 1];
    events_ctl_t  e = { NULL, NULL };

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "projection rebuild [options] NAME",
                           "Makes a projection anew from the first event on; "
                           "readers see the old\none until the new one has "
                           "caught up.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (events_open(&e, config)) {
        rc = projection_known(&e, args[0]);
        rc = rc == CTL_GOOD ? projection_rebuild(&e, args[0], &events) : rc;

    } else {
        rc = CTL_BROKEN;
    }

    if (rc == CTL_GOOD) {
        printf("%s: %ld events\n", args[0], events);
    }

    return events_close(&e, rc);
}
