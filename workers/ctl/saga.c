/* travelctl saga: what is under way in several steps, seen and steered. */

#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "../jobs/job.h"
#include "../queue/queue.h"
#include "../schedule/schedule.h"
#include "../../common/timestamp.h"

/* Its steps in the order in which they were begun. */
#define SAGA_STEPS                                                            \
    "(SELECT string_agg(t.step || '=' || t.state, ' ' ORDER BY t.at, t.step)" \
    "   FROM (SELECT step, 'done' AS state, created_at AS at"                 \
    "           FROM jobs.inbox WHERE job_id = r.id"                          \
    "          UNION ALL SELECT step, state, updated_at"                      \
    "           FROM jobs.saga WHERE job_id = r.id) AS t)"

typedef struct {
    worker_conf_t  *conf;
    PGconn         *pg;
} saga_ctl_t;


/* Rows of a statement; NULL with a complaint. */
static PGresult *
saga_ask(saga_ctl_t *s, const char *config, const char *sql, int n,
    const char *const *params)
{
    if (n > 0 && !ctl_uuid(params[0], "saga")) {
        return NULL;
    }

    if (s->conf == NULL) {
        s->conf = ctl_conf(config);
        s->pg = s->conf != NULL ? ctl_pg(s->conf->pg_dsn) : NULL;
    }

    if (s->pg == NULL) {
        return NULL;
    }

    return ctl_query(s->pg, sql, n, params);
}


static int
saga_close(saga_ctl_t *s, int rc)
{
    PQfinish(s->pg);
    worker_conf_free(s->conf);
    return rc;
}


static void
saga_row(const PGresult *res, int row)
{
    printf("%s  %-10s %-8s %s  %s  %s\n", PQgetvalue(res, row, 0),
           PQgetvalue(res, row, 1), PQgetvalue(res, row, 2),
           PQgetvalue(res, row, 3), PQgetvalue(res, row, 4),
           PQgetvalue(res, row, 5));
}


static bool
saga_is_state(const char *text)
{
    size_t  i;

    static const char *const  states[] = { "running", "undoing", "stuck",
                                           "done", "undone", "closed" };

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i], text) == 0) {
            return true;
        }
    }

    return false;
}


int
travelctl_saga_list(int argc, char **argv)
{
    int          rc;
    bool         json = false;
    long         older = 0, limit = 100;
    char         age[24], number[24];
    const char  *config = NULL, *state = NULL, *args[CTL_ARGS_MAX + 1];
    const char  *params[] = { NULL, age, number };

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { "state", CTL_STRING, &state, "STATE",
          "running, undoing, stuck (these three), done, undone, closed" },
        { "older", CTL_SECONDS, &older, "TIME", "not moved for so long" },
        { "limit", CTL_NUMBER, &limit, "N", "at most so many (100)" },
        CTL_JSON(json),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "saga list [options]",
                         "Sagas that are not over: id, which, state, since "
                         "when, steps, error.\nExit code 1: there are none.",
                         options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (state != NULL && !saga_is_state(state)) {
        return ctl_broken("--state does not take \"%s\": running, undoing, "
                          "stuck, done, undone or closed", state);
    }

    params[0] = state;
    snprintf(age, sizeof(age), "%ld", older);
    snprintf(number, sizeof(number), "%ld", limit);

    return ctl_rows(config,
        "SELECT r.id, r.name, r.state,"
        "       to_char(r.updated_at AT TIME ZONE 'UTC',"
        "               'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS since,"
        "       coalesce(" SAGA_STEPS ", '-') AS steps,"
        "       coalesce(r.error->>'message', '') AS error"
        "  FROM jobs.saga_run AS r"
        " WHERE CASE WHEN $1::text IS NULL"
        "            THEN r.state IN ('running', 'undoing', 'stuck')"
        "            ELSE r.state = $1 END"
        "   AND r.updated_at <= now() - make_interval(secs => $2::int)"
        " ORDER BY r.updated_at LIMIT $3::bigint", 3, params,
        json ? ctl_row_json : saga_row);
}


int
travelctl_saga_show(int argc, char **argv)
{
    int          rc;
    PGresult    *res;
    saga_ctl_t   s = { NULL, NULL };
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "saga show [options] ID",
                           "Everything known about a saga and its steps, as "
                           "JSON.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    res = saga_ask(&s, config,
        "SELECT jsonb_pretty(to_jsonb(r) || jsonb_build_object('steps',"
        "  (SELECT coalesce(jsonb_agg(t.s ORDER BY t.at), '[]') FROM ("
        "    SELECT jsonb_build_object('step', step, 'state', 'done',"
        "           'at', created_at) AS s, created_at AS at"
        "      FROM jobs.inbox WHERE job_id = r.id"
        "     UNION ALL"
        "    SELECT to_jsonb(c) - 'job_id', c.updated_at"
        "      FROM jobs.saga AS c WHERE c.job_id = r.id) AS t)))"
        "  FROM jobs.saga_run AS r WHERE r.id = $1::uuid", 1, args);
    rc = CTL_BROKEN;

    if (res != NULL && PQntuples(res) == 0) {
        rc = ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                         "there is no saga %s", args[0]);

    } else if (res != NULL) {
        puts(PQgetvalue(res, 0, 0));
        rc = CTL_GOOD;
    }

    PQclear(res);
    return saga_close(&s, rc);
}


/* What jobs.steer_saga says is to be done, done. */
static int
saga_steer(const char *config, const char *id, const char *act)
{
    int                rc;
    PGresult          *res;
    saga_ctl_t         s = { NULL, NULL };
    const char        *params[2] = { id, act };
    worker_schedule_t  schedule = { .name = (char *) id };

    res = saga_ask(&s, config, "SELECT refused, code, type, body"
                               "  FROM jobs.steer_saga($1::uuid, $2)", 2,
                   params);
    rc = CTL_BROKEN;

    if (res != NULL && !PQgetisnull(res, 0, 0)) {
        rc = ctl_refused(strcmp(PQgetvalue(res, 0, 1), "CONFLICT") == 0
                         ? TRAVEL_E_CONFLICT : TRAVEL_E_RESOURCE_NOT_FOUND,
                         "-", "%s", PQgetvalue(res, 0, 0));

    } else if (res != NULL && !PQgetisnull(res, 0, 2)) {
        schedule.type = PQgetvalue(res, 0, 2);
        schedule.body = PQgetvalue(res, 0, 3);
        rc = ctl_enqueue(s.conf, &schedule, "saga by hand");

    } else if (res != NULL) {
        rc = CTL_GOOD;
    }

    PQclear(res);
    return saga_close(&s, rc);
}


static int
saga_command(int argc, char **argv, const char *act, const char *usage,
    const char *about)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { usage, about, options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return saga_steer(config, args[0], act);
}


int
travelctl_saga_resume(int argc, char **argv)
{
    return saga_command(argc, argv, "resume", "saga resume [options] ID",
                        "Takes up a saga that nobody works at, where it "
                        "was: forwards when it was on\nits way. One that is "
                        "being undone: saga compensate.");
}


int
travelctl_saga_compensate(int argc, char **argv)
{
    return saga_command(argc, argv, "compensate",
                        "saga compensate [options] ID",
                        "Undoes what a saga has done: one that is on its "
                        "way is turned round first,\none that got stuck "
                        "while it was undone is tried once more.");
}


int
travelctl_saga_close(int argc, char **argv)
{
    return saga_command(argc, argv, "close", "saga close [options] ID",
                        "The saga was settled by hand: it is not listed "
                        "any more.");
}
