/*
 * What the commands of travelctl share: options, files, where things are.
 *
 * Every command is  int travelctl_<group>_<verb>(int argc, char **argv)  with
 * argv[0] its verb, and returns the exit code: 0 good, 1 the answer is no,
 * 2 it could not be found out.  Reasons go to stderr.
 */

#ifndef TRAVELCTL_H
#define TRAVELCTL_H

#include <libpq-fe.h>

#include "../pool/conf.h"
#include "../queue/redis.h"
#include "../../common/errors.h"
#include "../../common/jwt.h"
#include "../../common/queues.h"

#define CTL_GOOD     0
#define CTL_REFUSED  1
#define CTL_BROKEN   2

typedef enum {
    CTL_STRING,             /* const char ** */
    CTL_FLAG,               /* bool * */
    CTL_NUMBER,             /* long *, not negative */
    CTL_SECONDS,            /* long *, from 90, 90s, 15m, 12h, 7d */
    CTL_UUID,               /* const char **, as it was written */
    CTL_INSTANT             /* const char **, RFC 3339 */
} ctl_kind_e;

typedef struct {
    const char  *name;      /* without dashes; NULL ends the table */
    ctl_kind_e   kind;
    void        *value;     /* untouched when the option is not given */
    const char  *arg;       /* its name in the help, NULL for a flag */
    const char  *help;
} ctl_option_t;

typedef struct {
    const char          *usage;       /* after "travelctl ", one line */
    const char          *about;
    const ctl_option_t  *options;
    int                  min_args;
    int                  max_args;
} ctl_spec_t;

#define CTL_ARGS_MAX  64

/* True: go on, 'args' filled, NULL from the first that was not given to the
 * last.  False: leave with *ret_rc, the help or the complaint has been
 * printed. */
bool ctl_parse(const ctl_spec_t *spec, int argc, char **argv,
    const char *args[CTL_ARGS_MAX + 1], int *ret_rc);

/* Is an argument the UUID of a 'what'?  False with a complaint. */
bool ctl_uuid(const char *text, const char *what);

/* Is it a job's?  False with a complaint. */
bool ctl_job_id(travel_job_id_t *ret_id, const char *text);

/* The whole of a file, "-" being standard input; NUL-terminated, owned by the
 * caller.  NULL with a complaint on stderr. */
char *ctl_read(const char *path, size_t *ret_len);

/* "travelctl: ..." on stderr; returns CTL_BROKEN. */
int ctl_broken(const char *fmt, ...) TRAVEL_PRINTF(1, 2);

/* One line "CODE pointer message" on stderr; returns CTL_REFUSED. */
int ctl_refused(travel_error_e code, const char *pointer, const char *fmt, ...)
    TRAVEL_PRINTF(3, 4);

/* TRAVEL_RUN or "run", joined with 'name'; a static buffer per call of the
 * last four. */
const char *ctl_run_path(const char *name);

/* A token of ours with these permissions, good for a minute.  CTL_GOOD, or
 * CTL_BROKEN with a complaint. */
int ctl_token(const char *permissions, char ret_token[TRAVEL_JWT_MAX + 1]);

/* workers.conf by --config, else from the run directory.  NULL with a
 * complaint. */
worker_conf_t *ctl_conf(const char *config);

/* The option of every command that reads it. */
#define CTL_CONFIG(var)                                                       \
    { "config", CTL_STRING, &(var), "FILE",                                   \
      "workers.conf (that of the run directory)" }

/* The option of every command that lists. */
#define CTL_JSON(var)                                                         \
    { "json", CTL_FLAG, &(var), NULL, "one JSON object a line" }

/* A session, or NULL with a complaint. */
PGconn *ctl_pg(const char *dsn);

/* The result of a statement that went well, the caller's to clear; NULL with a
 * complaint. */
PGresult *ctl_query(PGconn *pg, const char *sql, int n,
    const char *const *params);

/* The same on a session of its own, each row printed by 'print', NULL: its
 * columns two spaces apart.  CTL_REFUSED, without a complaint: no rows. */
int ctl_rows(const char *config, const char *sql, int n,
    const char *const *params, void (*print)(const PGresult *res, int row));

/* A row as one JSON object a line: its columns' names and texts. */
void ctl_row_json(const PGresult *res, int row);

/* The code of ctl_rows(), which is CTL_REFUSED where there is no row, after a
 * complaint that there is no such 'what'. */
int ctl_found(int rc, const char *what, const char *id);

/* Enqueues a job by hand, another each time, whose name, type and body are the
 * schedule's; prints its id.  'salt' tells two of one moment apart. */
int ctl_enqueue(const worker_conf_t *conf, const worker_schedule_t *schedule,
    const char *salt);

/* The queue Redis, logged in, or NULL with a complaint. */
worker_redis_t *ctl_redis(const worker_conf_t *conf);

/* The commands. */
int travelctl_migrate_up(int argc, char **argv);
int travelctl_migrate_down(int argc, char **argv);
int travelctl_migrate_status(int argc, char **argv);
int travelctl_token_mint(int argc, char **argv);
int travelctl_token_jwks(int argc, char **argv);
int travelctl_token_verify(int argc, char **argv);
int travelctl_token_revoke(int argc, char **argv);
int travelctl_token_revocations(int argc, char **argv);
int travelctl_account_logout(int argc, char **argv);
int travelctl_key_create(int argc, char **argv);
int travelctl_key_list(int argc, char **argv);
int travelctl_key_revoke(int argc, char **argv);
int travelctl_jobs_status(int argc, char **argv);
int travelctl_jobs_run(int argc, char **argv);
int travelctl_jobs_list(int argc, char **argv);
int travelctl_jobs_show(int argc, char **argv);
int travelctl_jobs_cancel(int argc, char **argv);
int travelctl_jobs_now(int argc, char **argv);
int travelctl_dead_list(int argc, char **argv);
int travelctl_dead_show(int argc, char **argv);
int travelctl_dead_requeue(int argc, char **argv);
int travelctl_dead_drop(int argc, char **argv);
int travelctl_queue_init(int argc, char **argv);
int travelctl_queue_stat(int argc, char **argv);
int travelctl_queue_pause(int argc, char **argv);
int travelctl_queue_resume(int argc, char **argv);
int travelctl_queue_paused(int argc, char **argv);
int travelctl_queue_preload(int argc, char **argv);
int travelctl_queue_repartition(int argc, char **argv);
int travelctl_live_tell(int argc, char **argv);
int travelctl_mail_bounced(int argc, char **argv);
int travelctl_events_list(int argc, char **argv);
int travelctl_events_state(int argc, char **argv);
int travelctl_events_types(int argc, char **argv);
int travelctl_projection_list(int argc, char **argv);
int travelctl_projection_rebuild(int argc, char **argv);
int travelctl_schedule_list(int argc, char **argv);
int travelctl_schedule_run(int argc, char **argv);
int travelctl_schedule_pause(int argc, char **argv);
int travelctl_schedule_resume(int argc, char **argv);
int travelctl_schedule_add(int argc, char **argv);
int travelctl_schedule_remove(int argc, char **argv);
int travelctl_saga_list(int argc, char **argv);
int travelctl_saga_show(int argc, char **argv);
int travelctl_saga_resume(int argc, char **argv);
int travelctl_saga_compensate(int argc, char **argv);
int travelctl_saga_close(int argc, char **argv);
int travelctl_flow_start(int argc, char **argv);
int travelctl_flow_list(int argc, char **argv);
int travelctl_flow_show(int argc, char **argv);
int travelctl_flow_cancel(int argc, char **argv);
int travelctl_flow_retry(int argc, char **argv);
int travelctl_topic_list(int argc, char **argv);
int travelctl_webhook_add(int argc, char **argv);
int travelctl_webhook_list(int argc, char **argv);
int travelctl_webhook_rotate(int argc, char **argv);
int travelctl_webhook_set(int argc, char **argv);
int travelctl_webhook_log(int argc, char **argv);
int travelctl_webhook_replay(int argc, char **argv);
int travelctl_trace_show(int argc, char **argv);
int travelctl_catalog_check(int argc, char **argv);
int travelctl_cache_purge(int argc, char **argv);
int travelctl_graphql_check(int argc, char **argv);
int travelctl_graphql_explain(int argc, char **argv);
int travelctl_schema_check(int argc, char **argv);

/* Has the database what the GraphQL schema of 'dir' says of it?  NULL: only
 * the schema is read; without one there is nothing to be said.  Complaints go
 * to stderr, and are counted.  False: it could not be found out. */
bool ctl_graphql_survey(const char *dir, PGconn *pg, unsigned *good,
    unsigned *bad);

#endif
