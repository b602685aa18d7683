/* travelctl webhook: who is told of domain events, and how that went. */

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "ctl.h"
#include "../schedule/schedule.h"
#include "../../common/hash.h"

#define WEBHOOK_SECRET  24              /* random bytes */

#define WEBHOOK_CONFIG(var)                                                   \
    { "config", CTL_STRING, &(var), "FILE",                                   \
      "workers.conf (that of the run directory)" }


/* Runs a statement and prints its rows; CTL_REFUSED when there are none. */
static int
webhook_print(const char *config, const char *sql, int n,
    const char *const *params)
{
    int             i, k, rc;
    PGconn         *pg;
    PGresult       *res;
    worker_conf_t  *conf;

    conf = ctl_conf(config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    rc = CTL_BROKEN;

    if (pg != NULL) {
        res = PQexecParams(pg, sql, n, NULL, params, NULL, NULL, 0);

        if (PQresultStatus(res) != PGRES_TUPLES_OK) {
            ctl_broken("PostgreSQL: %s", PQresultErrorMessage(res));

        } else {
            rc = PQntuples(res) > 0 ? CTL_GOOD : CTL_REFUSED;

            for (i = 0; i < PQntuples(res); i++) {
                for (k = 0; k < PQnfields(res); k++) {
                    printf("%s%s", k > 0 ? "  " : "", PQgetvalue(res, i, k));
                }

                putchar('\n');
            }
        }

        PQclear(res);
        PQfinish(pg);
    }

    worker_conf_free(conf);
    return rc;
}


/* A new "whsec_..." of random bytes. */
static bool
webhook_secret(char dst[64])
{
    uint8_t  bytes[WEBHOOK_SECRET];

    if (travel_random(bytes, sizeof(bytes)) != TRAVEL_OK) {
        ctl_broken("no random bytes");
        return false;
    }

    memcpy(dst, "whsec_", 6);
    EVP_EncodeBlock((uint8_t *) dst + 6, bytes, sizeof(bytes));
    return true;
}


int
travelctl_webhook_add(int argc, char **argv)
{
    int          rc;
    char         secret[64];
    const char  *config = NULL, *types = "%", *user = NULL;
    const char  *args[CTL_ARGS_MAX + 1], *params[4];

    ctl_option_t  options[] = {
        WEBHOOK_CONFIG(config),
        { "types", CTL_STRING, &types, "LIST",
          "event types, a comma between; % stands for anything (%)" },
        { "user", CTL_STRING, &user, "UUID", "of this user's events only" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "webhook add [options] URL",
                         "Tells URL of domain events from now on.  Prints its "
                         "id and its secret.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!webhook_secret(secret)) {
        return CTL_BROKEN;
    }

    params[0] = args[0];
    params[1] = types;
    params[2] = user;
    params[3] = secret;

    return webhook_print(config,
        "WITH p AS (INSERT INTO events.publisher (name, checkpoint)"
        "  VALUES ('webhooks', pg_snapshot_xmin(pg_current_snapshot()))"
        "  ON CONFLICT (name) DO NOTHING)"
        " INSERT INTO jobs.webhook (url, types, user_id, secrets)"
        " VALUES ($1, string_to_array($2, ','), $3::uuid, ARRAY[$4])"
        " RETURNING id, secrets[1]", 4, params);
}


int
travelctl_webhook_list(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { WEBHOOK_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "webhook list [options]",
                           "Id, state, types, delivered, pending, dead, url.",
                           options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return webhook_print(config,
        "SELECT w.id, w.state, array_to_string(w.types, ','),"
        "       count(d.id) FILTER (WHERE d.state = 'delivered'),"
        "       count(d.id) FILTER (WHERE d.state = 'pending'),"
        "       count(d.id) FILTER (WHERE d.state = 'dead'), w.url"
        "  FROM jobs.webhook AS w"
        "  LEFT JOIN jobs.webhook_delivery AS d ON d.webhook_id = w.id"
        " GROUP BY w.id ORDER BY w.created_at", 0, NULL);
}


int
travelctl_webhook_rotate(int argc, char **argv)
{
    int          rc;
    bool         drop = false;
    char         secret[64];
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1], *params[2];

    ctl_option_t  options[] = {
        WEBHOOK_CONFIG(config),
        { "drop-old", CTL_FLAG, &drop, NULL, "the newest alone signs" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "webhook rotate [options] ID",
                         "Adds a secret, and prints it; the old ones sign, "
                         "too, until --drop-old.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    params[0] = args[0];
    params[1] = secret;

    if (drop) {
        return webhook_print(config,
            "UPDATE jobs.webhook SET secrets = secrets[1:1],"
            "       updated_at = now() WHERE id = $1::uuid"
            " RETURNING id, secrets[1]", 1, params);
    }

    if (!webhook_secret(secret)) {
        return CTL_BROKEN;
    }

    return webhook_print(config,
        "UPDATE jobs.webhook SET secrets = (ARRAY[$2] || secrets)[1:4],"
        "       updated_at = now() WHERE id = $1::uuid"
        " RETURNING id, secrets[1]", 2, params);
}


int
travelctl_webhook_set(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { WEBHOOK_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "webhook set [options] ID active|disabled",
                           "Lets a webhook rest, or be told again.", options,
                           2, 2 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return webhook_print(config,
        "UPDATE jobs.webhook SET state = $2, updated_at = now()"
        " WHERE id = $1::uuid RETURNING id, state", 2, args);
}


int
travelctl_webhook_log(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { WEBHOOK_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "webhook log [options] ID",
                           "Deliveries of a webhook, newest first, and their "
                           "attempts.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return webhook_print(config,
        "SELECT d.id, d.type, d.state, coalesce(string_agg("
        "         to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"
        "         || 'Z ' || a.status || ' ' || a.ms || 'ms'"
        "         || coalesce(' ' || a.error, ''), ', ' ORDER BY a.at), '-')"
        "  FROM jobs.webhook_delivery AS d"
        "  LEFT JOIN jobs.webhook_attempt AS a ON a.delivery_id = d.id"
        " WHERE d.webhook_id = $1::uuid"
        " GROUP BY d.id ORDER BY d.position DESC LIMIT 200", 1, args);
}


int
travelctl_webhook_replay(int argc, char **argv)
{
    int                 rc;
    char                body[128], job[TRAVEL_JOB_ID_MAX + 1], salt[64];
    const char         *config = NULL, *args[CTL_ARGS_MAX + 1];
    redisContext       *redis;
    worker_conf_t      *conf;
    struct timespec     now;
    worker_schedule_t   schedule = { .name = "webhook.replay",
                                     .type = "webhook.deliver",
                                     .body = body };

    ctl_option_t  options[] = { WEBHOOK_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "webhook replay [options] DELIVERY",
                           "Sends a delivery once more, under its first "
                           "webhook-id; prints the job.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    rc = webhook_print(config,
        "UPDATE jobs.webhook_delivery SET state = 'pending'"
        " WHERE id = $1::uuid RETURNING id", 1, args);
    conf = rc == CTL_GOOD ? ctl_conf(config) : NULL;
    redis = conf != NULL ? ctl_redis(conf) : NULL;

    if (redis != NULL) {
        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(body, sizeof(body), "{\"delivery\": \"%.36s\"}", args[0]);
        snprintf(salt, sizeof(salt), "%ld %.36s", now.tv_nsec, args[0]);
        rc = worker_schedule_enqueue(redis, &schedule, now.tv_sec, salt, job)
             == TRAVEL_OK ? CTL_GOOD
                          : ctl_broken("the job could not be enqueued");
        redisFree(redis);

        if (rc == CTL_GOOD) {
            puts(job);
        }
    }

    worker_conf_free(conf);
    return rc;
}
