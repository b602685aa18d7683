/* travelctl: the operator's command line; finds the command and runs it. */

#include <stdio.h>

#include "ctl.h"

typedef struct {
    const char  *group;
    const char  *verb;
    int        (*run)(int argc, char **argv);
    const char  *about;
} ctl_command_t;

static const ctl_command_t  ctl_commands[] = {
    { "migrate", "up", travelctl_migrate_up,
      "apply the schema files that are not applied yet" },
    { "migrate", "down", travelctl_migrate_down,
      "undo the last applied schema file, or down to one" },
    { "migrate", "status", travelctl_migrate_status,
      "list applied, pending and changed schema files" },
    { "token", "mint", travelctl_token_mint,
      "sign an access token (ES256)" },
    { "token", "jwks", travelctl_token_jwks,
      "print the public JWKS of a signing key" },
    { "token", "verify", travelctl_token_verify,
      "check a token as the edge does" },
    { "token", "revoke", travelctl_token_revoke,
      "take tokens back" },
    { "token", "revocations", travelctl_token_revocations,
      "list what is revoked" },
    { "account", "logout", travelctl_account_logout,
      "end all sessions of an account" },
    { "key", "create", travelctl_key_create,
      "make an API key" },
    { "key", "list", travelctl_key_list,
      "list API keys" },
    { "key", "revoke", travelctl_key_revoke,
      "take API keys back" },
    { "jobs", "list", travelctl_jobs_list,
      "what is in the queues, by state, type, user, age" },
    { "jobs", "show", travelctl_jobs_show,
      "one of these, with what it was given and who runs it" },
    { "jobs", "status", travelctl_jobs_status,
      "what became of a job" },
    { "jobs", "run", travelctl_jobs_run,
      "run one job here, outside the queue, to look at it closely" },
    { "jobs", "cancel", travelctl_jobs_cancel,
      "call one or some off, also while they run" },
    { "jobs", "now", travelctl_jobs_now,
      "do not wait for its time or its retry" },
    { "dead", "list", travelctl_dead_list,
      "jobs that used up their retries" },
    { "dead", "show", travelctl_dead_show,
      "one of them, with its cause and envelope" },
    { "dead", "requeue", travelctl_dead_requeue,
      "run them again, under their own ids" },
    { "dead", "drop", travelctl_dead_drop,
      "forget them" },
    { "queue", "init", travelctl_queue_init,
      "write the layout, make the consumer groups" },
    { "queue", "stat", travelctl_queue_stat,
      "depth, age and owner of each partition" },
    { "queue", "pause", travelctl_queue_pause,
      "start nothing of a queue or a job type" },
    { "queue", "resume", travelctl_queue_resume,
      "let it go on" },
    { "queue", "paused", travelctl_queue_paused,
      "what is paused, since when and why" },
    { "queue", "preload", travelctl_queue_preload,
      "put many jobs of one type on their streams" },
    { "queue", "repartition", travelctl_queue_repartition,
      "other partitions, while it is used" },
    { "live", "tell", travelctl_live_tell,
      "a word to who watches a topic" },
    { "mail", "bounced", travelctl_mail_bounced,
      "a mail that came back, piped in by the mail server" },
    { "events", "list", travelctl_events_list,
      "events of an aggregate or of a user" },
    { "events", "state", travelctl_events_state,
      "an aggregate's state, at any time" },
    { "events", "types", travelctl_events_types,
      "the event types and what their data must have" },
    { "projection", "list", travelctl_projection_list,
      "projections and how far they are" },
    { "projection", "rebuild", travelctl_projection_rebuild,
      "make one anew while it is read" },
    { "schedule", "list", travelctl_schedule_list,
      "what happens by the clock" },
    { "schedule", "run", travelctl_schedule_run,
      "enqueue a schedule's job now" },
    { "schedule", "pause", travelctl_schedule_pause,
      "let a schedule rest" },
    { "schedule", "resume", travelctl_schedule_resume,
      "let it go on" },
    { "schedule", "add", travelctl_schedule_add,
      "one more, while the pool runs" },
    { "schedule", "remove", travelctl_schedule_remove,
      "take such a one out" },
    { "saga", "list", travelctl_saga_list,
      "sagas that are not over" },
    { "saga", "show", travelctl_saga_show,
      "one of them, with its steps" },
    { "saga", "resume", travelctl_saga_resume,
      "take one up where it was" },
    { "saga", "compensate", travelctl_saga_compensate,
      "undo what one has done" },
    { "saga", "close", travelctl_saga_close,
      "it was settled by hand" },
    { "flow", "start", travelctl_flow_start,
      "begin jobs that wait for each other" },
    { "flow", "list", travelctl_flow_list,
      "flows that are not over" },
    { "flow", "show", travelctl_flow_show,
      "one of them, with its nodes" },
    { "flow", "cancel", travelctl_flow_cancel,
      "call one off, with all that is under way" },
    { "flow", "retry", travelctl_flow_retry,
      "run once more what failed of one" },
    { "topic", "list", travelctl_topic_list,
      "streams of domain events and how far they are" },
    { "webhook", "add", travelctl_webhook_add,
      "tell a url of domain events" },
    { "webhook", "list", travelctl_webhook_list,
      "webhooks and how they are doing" },
    { "webhook", "rotate", travelctl_webhook_rotate,
      "a new secret beside the old one" },
    { "webhook", "set", travelctl_webhook_set,
      "let one rest, or be told again" },
    { "webhook", "log", travelctl_webhook_log,
      "deliveries and their attempts" },
    { "webhook", "replay", travelctl_webhook_replay,
      "send a delivery once more" },
    { "trace", "show", travelctl_trace_show,
      "a trace as a tree" },
    { "catalog", "check", travelctl_catalog_check,
      "prepare every query against a database" },
    { "schema", "check", travelctl_schema_check,
      "check a document by a JSON Schema" },
    { "graphql", "check", travelctl_graphql_check,
      "is a document valid by a schema" },
    { "graphql", "explain", travelctl_graphql_explain,
      "the SQL, cost and tags of a document" },
    { "cache", "purge", travelctl_cache_purge,
      "drop answers from the caches of all nodes" },
    { NULL, NULL, NULL, NULL }
};


static int
ctl_usage(FILE *f, const char *group)
{
    const ctl_command_t  *c;

    fprintf(f, "usage: travelctl GROUP COMMAND [options] [arguments]\n\n");

    for (c = ctl_commands; c->group != NULL; c++) {
        if (group == NULL || strcmp(group, c->group) == 0) {
            fprintf(f, "  %-10s %-11s %s\n", c->group, c->verb, c->about);
        }
    }

    fprintf(f, "\nEach command explains itself with --help.  Exit codes: "
               "0 good, 1 refused,\n2 cannot tell.  TRAVEL_RUN names the run "
               "directory (default \"run\").\n");

    return f == stdout ? CTL_GOOD : CTL_BROKEN;
}


static bool
ctl_is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0
           || strcmp(word, "help") == 0;
}


int
main(int argc, char **argv)
{
    bool                  known;
    const ctl_command_t  *c;

    if (argc < 2) {
        return ctl_usage(stderr, NULL);
    }

    if (ctl_is_help(argv[1])) {
        return ctl_usage(stdout, NULL);
    }

    known = false;

    for (c = ctl_commands; c->group != NULL; c++) {

        if (strcmp(c->group, argv[1]) != 0) {
            continue;
        }

        known = true;

        if (argc > 2 && strcmp(c->verb, argv[2]) == 0) {
            return c->run(argc - 2, argv + 2);
        }
    }

    if (known && argc > 2 && ctl_is_help(argv[2])) {
        return ctl_usage(stdout, argv[1]);
    }

    ctl_broken("unknown command \"%s%s%s\"", argv[1], argc > 2 ? " " : "",
               argc > 2 ? argv[2] : "");
    return ctl_usage(stderr, known ? argv[1] : NULL);
}
