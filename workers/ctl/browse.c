/* travelctl jobs list, show, cancel, now: what is in the queues, looked through
 * and steered. */

#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "../queue/browse.h"

/* Which of them; what is NULL or 0 does not matter. */
typedef struct {
    const char      *config;
    worker_browse_t  what;
    long             limit;
    bool             all;
    bool             json;
    worker_conf_t   *conf;
    worker_redis_t  *redis;
} browse_ctl_t;

#define BROWSE_OPTIONS(b)                                                     \
    CTL_CONFIG((b).config),                                                   \
    { "state", CTL_STRING, &(b).what.state, "STATE",                          \
      "queued, scheduled, running or retrying" },                             \
    { "queue", CTL_STRING, &(b).what.queue, "NAME", "of this queue" },        \
    { "type", CTL_STRING, &(b).what.type, "TYPE", "of this job type" },       \
    { "sub", CTL_UUID, &(b).what.sub, "UUID", "of this user" },               \
    { "older", CTL_SECONDS, &(b).what.older_s, "TIME",                        \
      "in its state for so long" },                                           \
    { "limit", CTL_NUMBER, &(b).limit, "N", "at most so many" }


/* CTL_GOOD, or CTL_BROKEN with a complaint. */
static int
browse_open(browse_ctl_t *b)
{
    const worker_browse_t  *what;

    what = &b->what;

    if (what->state != NULL && !worker_browse_state(what->state)) {
        return ctl_broken("--state does not take \"%s\": queued, scheduled, "
                          "running or retrying; travelctl dead list has the "
                          "dead", what->state);
    }

    if (what->queue != NULL
        && !travel_queue_exists((travel_str_t) { what->queue,
                                                 strlen(what->queue) }))
    {
        return ctl_broken("there is no queue \"%s\": travelctl queue stat "
                          "lists them", what->queue);
    }

    b->what.limit = (size_t) b->limit;
    b->conf = ctl_conf(b->config);
    b->redis = b->conf != NULL ? ctl_redis(b->conf) : NULL;

    return b->redis != NULL ? CTL_GOOD : CTL_BROKEN;
}


static int
browse_close(browse_ctl_t *b, int rc)
{
    worker_redis_close(&b->redis);
    worker_conf_free(b->conf);
    return rc;
}


static int
browse_silent(browse_ctl_t *b)
{
    return ctl_broken("Redis: %s", worker_redis_error(b->redis) != NULL
                      ? worker_redis_error(b->redis) : "unexpected answer");
}


static const char *
browse_text(const json_t *one, const char *name)
{
    const char  *text;

    text = json_string_value(json_object_get(one, name));

    return text != NULL ? text : "-";
}


static void
browse_print(const json_t *one, bool json)
{
    const json_t  *error;

    if (json) {
        json_dumpf(one, stdout, JSON_COMPACT);
        putchar('\n');
        return;
    }

    error = json_object_get(one, "error");
    printf("%-9s  %-55s %-22s %2lld  %s  %s%s%s%s\n", browse_text(one, "state"),
           browse_text(one, "id"), browse_text(one, "type"),
           (long long) json_integer_value(json_object_get(one, "attempts")),
           browse_text(one, "updated_at"), browse_text(one, "due_at"),
           json_is_true(json_object_get(one, "called_off"))
           ? "  called off" : "", json_is_object(error) ? "  " : "",
           json_is_object(error) ? browse_text(error, "message") : "");
}


int
travelctl_jobs_list(int argc, char **argv)
{
    int           rc;
    size_t        i;
    json_t       *list, *one;
    const char   *args[CTL_ARGS_MAX + 1];
    browse_ctl_t  b = { .limit = 50 };

    ctl_option_t  options[] = {
        BROWSE_OPTIONS(b),
        CTL_JSON(b.json),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "jobs list [options]",
                         "What is in the queues: state, job, type, attempts, "
                         "since when, when it is due,\nerror.  At most 50, if "
                         "--limit does not say.  What is over: travelctl jobs "
                         "status;\nthe dead: travelctl dead list.  Exit code "
                         "1: there are none.", options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (browse_open(&b) != CTL_GOOD) {
        return browse_close(&b, CTL_BROKEN);
    }

    list = json_array();
    rc = worker_browse(b.redis, &b.what, list);

    json_array_foreach(list, i, one) {
        browse_print(one, b.json);
    }

    if (rc == TRAVEL_REFUSED) {
        fprintf(stderr, "there are more: --limit, or a narrower filter\n");
    }

    rc = rc == TRAVEL_ERROR ? browse_silent(&b)
         : json_array_size(list) > 0 ? CTL_GOOD : CTL_REFUSED;
    json_decref(list);

    return browse_close(&b, rc);
}


/* "owner" and "fence" of the partition that it is in. */
static void
browse_owner(browse_ctl_t *b, json_t *one)
{
    char         sql_queue[TRAVEL_QUEUE_NAME_MAX + 1], number[16];
    PGconn      *pg;
    PGresult    *res;
    const char  *params[2] = { sql_queue, number };

    if (sscanf(browse_text(one, "where"), "%16[a-z].%15[0-9]", sql_queue,
               number) != 2)
    {
        return;
    }

    pg = ctl_pg(b->conf->pg_dsn);
    res = pg != NULL ? ctl_query(pg,
        "SELECT owner, fence FROM jobs.partition"
        " WHERE queue = $1 AND partition = $2::integer"
        "   AND expires_at > clock_timestamp()", 2, params) : NULL;

    if (res != NULL && PQntuples(res) == 1) {
        json_object_set_new(one, "owner", json_string(PQgetvalue(res, 0, 0)));
        json_object_set_new(one, "fence",
                            json_integer(atoll(PQgetvalue(res, 0, 1))));
    }

    PQclear(res);
    PQfinish(pg);
}


int
travelctl_jobs_show(int argc, char **argv)
{
    int           rc;
    json_t       *list, *one;
    const char   *args[CTL_ARGS_MAX + 1];
    browse_ctl_t  b = { .config = NULL };

    ctl_option_t  options[] = { CTL_CONFIG(b.config), { .name = NULL } };
    ctl_spec_t    spec = { "jobs show [options] ID",
                           "A job that is not over, as JSON: state, attempts, "
                           "error, trace, where it is,\nwho has that partition "
                           "(and runs it, since updated_at), what it was given "
                           "without\nwhat is sealed.  Exit code 1: it is not "
                           "in a queue.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    b.what.job = args[0];
    b.what.bodies = true;

    if (browse_open(&b) != CTL_GOOD) {
        return browse_close(&b, CTL_BROKEN);
    }

    list = json_array();
    rc = worker_browse(b.redis, &b.what, list);
    one = json_array_get(list, 0);

    if (one != NULL) {
        browse_owner(&b, one);
        json_dumpf(one, stdout, JSON_INDENT(2));
        putchar('\n');
        rc = CTL_GOOD;

    } else {
        rc = rc == TRAVEL_ERROR ? browse_silent(&b)
             : ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-", "%s is in no "
                           "queue: travelctl jobs status says what became of "
                           "it", args[0]);
    }

    json_decref(list);

    return browse_close(&b, rc);
}


/* --- cancel --------------------------------------------------------------- */

static int
browse_cancel_one(browse_ctl_t *b, const char *text)
{
    int              rc;
    char            *answer;
    travel_job_id_t  id;

    if (!ctl_job_id(&id, text)) {
        return CTL_BROKEN;
    }

    answer = worker_browse_cancel(b->redis, &id);

    if (answer == NULL) {
        return browse_silent(b);
    }

    rc = CTL_GOOD;

    if (*answer == '\0') {
        rc = ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                         "there is no job %s", text);

    } else if (strcmp(answer, "cancelled") != 0
               && strcmp(answer, "told") != 0)
    {
        rc = ctl_refused(TRAVEL_E_JOB_NOT_CANCELLABLE, "-",
                         "the job is %s", answer);

    } else {
        puts(answer);
    }

    free(answer);
    return rc;
}


static int
browse_cancel_some(browse_ctl_t *b)
{
    int      rc;
    size_t   i;
    json_t  *list, *one;

    list = json_array();
    rc = worker_browse(b->redis, &b->what, list) == TRAVEL_ERROR
         ? browse_silent(b)
         : json_array_size(list) > 0 ? CTL_GOOD : CTL_REFUSED;

    json_array_foreach(list, i, one) {
        if (rc != CTL_BROKEN) {
            printf("%s ", browse_text(one, "id"));
            fflush(stdout);

            if (browse_cancel_one(b, browse_text(one, "id")) == CTL_BROKEN) {
                rc = CTL_BROKEN;
            }
        }
    }

    json_decref(list);
    return rc;
}


int
travelctl_jobs_cancel(int argc, char **argv)
{
    int           rc;
    const char   *args[CTL_ARGS_MAX + 1];
    browse_ctl_t  b = { .config = NULL };

    ctl_option_t  options[] = {
        BROWSE_OPTIONS(b),
        { "all", CTL_FLAG, &b.all, NULL, "all of them" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "jobs cancel [options] [ID]",
                         "A job that has not begun is cancelled at once; one "
                         "that runs, or waits for a retry,\nis told, and ends "
                         "as its handler says or is given up (cancelled). "
                         "Exit code 1:\nit is over, or there are none.",
                         options, 0, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (args[0] == NULL && b.what.state == NULL && b.what.queue == NULL
        && b.what.type == NULL && b.what.sub == NULL && b.what.older_s == 0
        && !b.all)
    {
        return ctl_broken("which of them? Name a job, a filter or --all");
    }

    rc = browse_open(&b) != CTL_GOOD ? CTL_BROKEN
         : args[0] != NULL ? browse_cancel_one(&b, args[0])
                           : browse_cancel_some(&b);

    return browse_close(&b, rc);
}


int
travelctl_jobs_now(int argc, char **argv)
{
    int              rc;
    const char      *args[CTL_ARGS_MAX + 1];
    browse_ctl_t     b = { .config = NULL };
    travel_job_id_t  id;

    ctl_option_t  options[] = { CTL_CONFIG(b.config), { .name = NULL } };
    ctl_spec_t    spec = { "jobs now [options] ID",
                           "A job that waits for its time, or for a retry, is "
                           "due now and starts within a\nsecond, unless it is "
                           "paused.  Exit code 1: it does not wait.", options,
                           1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!ctl_job_id(&id, args[0]) || browse_open(&b) != CTL_GOOD) {
        return browse_close(&b, CTL_BROKEN);
    }

    rc = worker_browse_now(b.redis, &id);
    rc = rc == TRAVEL_OK ? CTL_GOOD
         : rc == TRAVEL_ERROR ? browse_silent(&b)
         : ctl_refused(TRAVEL_E_CONFLICT, "-", "the job waits neither for its "
                       "time nor for a retry: travelctl jobs show %s",
                       args[0]);

    return browse_close(&b, rc);
}
