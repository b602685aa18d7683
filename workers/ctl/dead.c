/* travelctl dead: jobs that used up their retries, looked at, requeued,
 * dropped. */

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "ctl.h"

/* Which of them; what is NULL does not matter. */
typedef struct {
    const char  *config;
    const char  *job;
    const char  *queue;
    const char  *type;
    const char  *cause;
    const char  *sub;
    const char  *after;
    const char  *before;
    long         limit;             /* 0: none */
    long         rate;              /* a second; 0: at once */
    bool         all;
} dead_filter_t;

#define DEAD_OPTIONS(f)                                                       \
    CTL_CONFIG((f).config),                                                   \
    { "queue", CTL_STRING, &(f).queue, "NAME", "of this queue" },             \
    { "type", CTL_STRING, &(f).type, "TYPE", "of this job type" },            \
    { "cause", CTL_STRING, &(f).cause, "CODE", "that died of this" },         \
    { "sub", CTL_UUID, &(f).sub, "UUID", "of this user" },                    \
    { "after", CTL_INSTANT, &(f).after, "TIME", "that died then or later" },  \
    { "before", CTL_INSTANT, &(f).before, "TIME", "that died before" },       \
    { "limit", CTL_NUMBER, &(f).limit, "N", "at most so many" }


/* The filter as the functions in the database take it, owned by the caller. */
static char *
dead_filter_text(const dead_filter_t *f)
{
    char    *text;
    json_t  *filter;

    filter = json_pack("{s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*}",
                       "job", f->job, "queue", f->queue, "type", f->type,
                       "cause", f->cause, "sub", f->sub, "after", f->after,
                       "before", f->before);

    if (filter != NULL && f->limit > 0) {
        json_object_set_new(filter, "limit", json_integer(f->limit));
    }

    if (filter != NULL && f->rate > 0) {
        json_object_set_new(filter, "rate", json_integer(f->rate));
    }

    text = filter != NULL ? json_dumps(filter, JSON_COMPACT) : NULL;
    json_decref(filter);

    if (text == NULL) {
        ctl_broken("the filter is no UTF-8 text");
    }

    return text;
}


static int
dead_rows(const dead_filter_t *f, const char *sql,
    void (*print)(const PGresult *res, int row))
{
    int          rc;
    char        *filter;
    const char  *params[1];

    filter = dead_filter_text(f);

    if (filter == NULL) {
        return CTL_BROKEN;
    }

    params[0] = filter;
    rc = ctl_rows(f->config, sql, 1, params, print);
    free(filter);

    return rc;
}


static void
dead_row(const PGresult *res, int row)
{
    printf("%s  %-55s %-20s %3s  %s: %s\n", PQgetvalue(res, row, 0),
           PQgetvalue(res, row, 1), PQgetvalue(res, row, 2),
           PQgetvalue(res, row, 3), PQgetvalue(res, row, 4),
           PQgetvalue(res, row, 5));
}


int
travelctl_dead_list(int argc, char **argv)
{
    int            rc;
    bool           json = false;
    dead_filter_t  f = { .limit = 50 };
    const char    *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { DEAD_OPTIONS(f), CTL_JSON(json),
                                { .name = NULL } };
    ctl_spec_t    spec = { "dead list [options]",
                           "The dead, newest first: when, job, type, attempts, "
                           "cause: last error.\nAt most 50, if --limit does "
                           "not say. Exit code 1: there are none.", options,
                           0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return dead_rows(&f,
        "SELECT to_char(died_at AT TIME ZONE 'UTC',"
        "               'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS died_at,"
        "       job_id AS job, type, attempts, cause,"
        "       coalesce(jobs.error_json(last_error)->>'message', last_error,"
        "                '') AS last_error"
        "  FROM jobs.dead_matching($1::jsonb - 'limit')"
        " ORDER BY died_at DESC LIMIT ($1::jsonb->>'limit')::bigint",
        json ? ctl_row_json : dead_row);
}


static int
dead_absent(int rc, const char *job)
{
    if (rc == CTL_REFUSED) {
        ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                    "%s is not among the dead", job);
    }

    return rc;
}


int
travelctl_dead_show(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "dead show [options] ID",
                         "Everything known about a dead job, as JSON.  Exit "
                         "code 1: it is not among the dead.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    rc = ctl_rows(config, "SELECT jsonb_pretty(to_jsonb(d)) FROM jobs.dead"
                            " AS d WHERE job_id = $1", 1, args, NULL);

    return dead_absent(rc, args[0]);
}


/* Nobody empties the shelf by leaving something out. */
static bool
dead_chosen(dead_filter_t *f, const char *job)
{
    f->job = job;

    if (job != NULL || f->queue != NULL || f->type != NULL || f->cause != NULL
        || f->sub != NULL || f->after != NULL || f->before != NULL || f->all)
    {
        return true;
    }

    ctl_broken("which of them? Name a job, a filter or --all");
    return false;
}


/* A row "N text" whose number says whether there were any. */
static long  dead_count;

static void
dead_counted(const PGresult *res, int row)
{
    dead_count = atol(PQgetvalue(res, row, 0));
    puts(PQgetvalue(res, row, 1));
}


static int
dead_change(dead_filter_t *f, const char *job, const char *sql)
{
    int  rc;

    if (!dead_chosen(f, job)) {
        return CTL_BROKEN;
    }

    dead_count = 0;
    rc = dead_rows(f, sql, dead_counted);

    if (rc == CTL_GOOD && dead_count == 0) {
        rc = CTL_REFUSED;
    }

    return job != NULL ? dead_absent(rc, job) : rc;
}


int
travelctl_dead_requeue(int argc, char **argv)
{
    int            rc;
    dead_filter_t  f = { .limit = 0 };
    const char    *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = {
        DEAD_OPTIONS(f),
        { "all", CTL_FLAG, &f.all, NULL, "all of them" },
        { "rate", CTL_NUMBER, &f.rate, "N", "so many a second, not at once" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "dead requeue [options] [ID]",
                         "Puts dead jobs back into their queues under their "
                         "own ids, in the order in which\nthey died: what they "
                         "have done is not done again.  Exit code 1: none was "
                         "fit.", options, 0, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return dead_change(&f, args[0],
        "SELECT requeued, requeued || ' requeued' || CASE WHEN unfit > 0"
        "       THEN ', ' || unfit || ' cannot be run again' ELSE '' END"
        "  FROM jobs.requeue_dead($1::jsonb)");
}


int
travelctl_dead_drop(int argc, char **argv)
{
    int            rc;
    dead_filter_t  f = { .limit = 0 };
    const char    *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = {
        DEAD_OPTIONS(f),
        { "all", CTL_FLAG, &f.all, NULL, "all of them" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "dead drop [options] [ID]",
                         "Forgets dead jobs.  Exit code 1: there were none.",
                         options, 0, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return dead_change(&f, args[0],
        "SELECT n, n || ' dropped' FROM jobs.drop_dead($1::jsonb) AS n");
}
