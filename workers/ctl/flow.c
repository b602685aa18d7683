/* travelctl flow: jobs that wait for each other, begun, seen and steered. */

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "ctl.h"
#include "../schedule/schedule.h"


int
travelctl_flow_list(int argc, char **argv)
{
    int          rc;
    long         limit = 100;
    char         number[24];
    const char  *config = NULL, *state = NULL, *name = NULL;
    const char  *args[CTL_ARGS_MAX + 1], *params[] = { NULL, NULL, number };

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { "state", CTL_STRING, &state, "STATE",
          "succeeded, failed, cancelled (those that are not over)" },
        { "name", CTL_STRING, &name, "NAME", "of this name" },
        { "limit", CTL_NUMBER, &limit, "N", "at most so many (100)" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "flow list [options]",
                         "Flows, the newest first: id, name, state, since "
                         "when, nodes that are over, of how\nmany, failed.  "
                         "Exit code 1: there are none.", options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    params[0] = state;
    params[1] = name;
    snprintf(number, sizeof(number), "%ld", limit);

    return ctl_rows(config,
        "SELECT w.id, w.name, jobs.flow_state(w),"
        "       to_char(w.created_at AT TIME ZONE 'UTC',"
        "               'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
        "       w.nodes - w.open, w.nodes, w.failed"
        "  FROM jobs.flow AS w"
        " WHERE w.state = coalesce($1, 'running')"
        "   AND ($2::text IS NULL OR w.name = $2)"
        " ORDER BY w.created_at DESC, w.id DESC LIMIT $3::bigint", 3, params,
        NULL);
}


int
travelctl_flow_show(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "flow show [options] ID",
                           "Everything known about a flow and its nodes, as "
                           "JSON.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!ctl_uuid(args[0], "flow")) {
        return CTL_BROKEN;
    }

    rc = ctl_rows(config,
        "SELECT jsonb_pretty(to_jsonb(w) || jsonb_build_object('graph', ("
        "  SELECT jsonb_object_agg(n.name, to_jsonb(n) - 'flow' - 'name'"
        "         || jsonb_build_object('after', (SELECT"
        "              coalesce(jsonb_agg(e.node), '[]') FROM jobs.flow_edge"
        "                AS e WHERE e.flow = n.flow AND e.next = n.name)))"
        "    FROM jobs.flow_node AS n WHERE n.flow = w.id)))"
        "  FROM jobs.flow AS w WHERE w.id = $1::uuid", 1, args,
        NULL);

    return ctl_found(rc, "flow", args[0]);
}


/* A job with this body; its uuid is the flow's, if it begins one. */
static int
flow_enqueue(const char *config, const char *name, const char *type,
    const char *body)
{
    int                 rc;
    worker_conf_t      *conf;
    worker_schedule_t   schedule = { .name = (char *) name,
                                     .type = (char *) type,
                                     .body = (char *) body };

    conf = ctl_conf(config);
    rc = conf != NULL ? ctl_enqueue(conf, &schedule, "flow by hand")
                      : CTL_BROKEN;
    worker_conf_free(conf);

    return rc;
}


int
travelctl_flow_start(int argc, char **argv)
{
    int            rc;
    char          *text;
    json_t        *spec_json;
    size_t         len;
    const char    *config = NULL, *args[CTL_ARGS_MAX + 1];
    json_error_t   err;

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "flow start [options] FILE",
                           "Begins the flow that FILE, or - standard input, "
                           "describes (workers/store/flow.h),\nand prints the "
                           "id of the job that does; its last part is the "
                           "flow's.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    text = ctl_read(args[0], &len);

    if (text == NULL) {
        return CTL_BROKEN;
    }

    spec_json = json_loadb(text, len, 0, &err);

    if (!json_is_object(spec_json)) {
        rc = ctl_refused(TRAVEL_E_MALFORMED_JSON, "-", "%s: %s, line %d",
                         args[0], spec_json != NULL ? "is no object"
                                                    : err.text, err.line);
    } else {
        rc = flow_enqueue(config, args[0], "flow.run", text);
    }

    json_decref(spec_json);
    free(text);
    return rc;
}


/* What is done to one that is in one of 'states', by a job; 'no' is what a flow
 * in another is not. */
typedef struct {
    const char  *type;
    const char  *states;
    const char  *no;
} flow_act_t;


static int
flow_by_job(const char *config, const char *id, const flow_act_t *act)
{
    int          rc;
    char         body[64];
    const char  *params[] = { id, act->states };

    if (!ctl_uuid(id, "flow")) {
        return CTL_BROKEN;
    }

    rc = ctl_rows(config, "SELECT name FROM jobs.flow WHERE id = $1::uuid"
                          " AND state = ANY (string_to_array($2, ' '))", 2,
                  params, NULL);

    if (rc == CTL_REFUSED) {
        return ctl_refused(TRAVEL_E_CONFLICT, "-",
                           "there is no flow %s that %s", id, act->no);
    }

    snprintf(body, sizeof(body), "{\"flow\": \"%.36s\"}", id);
    return rc == CTL_GOOD ? flow_enqueue(config, id, act->type, body) : rc;
}


static int
flow_command(int argc, char **argv, const flow_act_t *act, const char *usage,
    const char *about)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { usage, about, options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return flow_by_job(config, args[0], act);
}


int
travelctl_flow_cancel(int argc, char **argv)
{
    static const flow_act_t  cancel = { "flow.cancel", "running",
                                        "is not over" };

    return flow_command(argc, argv, &cancel, "flow cancel [options] ID",
                        "Calls off a flow, with all that is under way of "
                        "it; what always runs does.  Prints\nits name and "
                        "the job that does it.");
}


int
travelctl_flow_retry(int argc, char **argv)
{
    static const flow_act_t  retry = { "flow.retry", "failed cancelled",
                                       "has ended badly" };

    return flow_command(argc, argv, &retry, "flow retry [options] ID",
                        "Runs once more what failed, died or was called "
                        "off, and what was skipped for that.\nPrints the "
                        "flow's name and the job that does it.");
}
