/* travelctl webhook: who is told of domain events, and how that went. */

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "../schedule/schedule.h"
#include "../../common/hash.h"

#define WEBHOOK_SECRET  24              /* random bytes */


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


/* http or https, and a host: what libcurl will make of it. */
static bool
webhook_url_good(const char *text)
{
    bool    good;
    char   *scheme, *host;
    CURLU  *url;

    scheme = NULL;
    host = NULL;
    url = curl_url();
    good = url != NULL
           && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK
           && curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK
           && curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK
           && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0)
           && *host != '\0' && strncmp(text, "http", 4) == 0;

    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(url);
    return good;
}


/* Patterns of event types with commas between; an empty one fits nothing. */
static bool
webhook_types_good(const char *text)
{
    size_t  n;

    for ( ;; ) {
        n = strspn(text, "abcdefghijklmnopqrstuvwxyz_.%");

        if (n == 0) {
            return false;
        }

        text += n;

        if (*text == '\0') {
            return true;
        }

        if (*text++ != ',') {
            return false;
        }
    }
}


int
travelctl_webhook_add(int argc, char **argv)
{
    int          rc;
    char         secret[64];
    const char  *config = NULL, *types = "%", *user = NULL;
    const char  *args[CTL_ARGS_MAX + 1], *params[4];

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { "types", CTL_STRING, &types, "LIST",
          "event types, a comma between; % stands for anything (%)" },
        { "user", CTL_UUID, &user, "UUID", "of this user's events only" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "webhook add [options] URL",
                         "Tells URL of domain events from now on.  Prints its "
                         "id and its secret.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!webhook_url_good(args[0])) {
        return ctl_broken("\"%s\" is not a URL, write it like "
                          "https://example.com/hooks", args[0]);
    }

    if (!webhook_types_good(types)) {
        return ctl_broken("--types does not take \"%s\": write event types "
                          "(travelctl events types), a comma between", types);
    }

    if (!webhook_secret(secret)) {
        return CTL_BROKEN;
    }

    params[0] = args[0];
    params[1] = types;
    params[2] = user;
    params[3] = secret;

    return ctl_rows(config,
        "WITH p AS (INSERT INTO events.publisher (name, checkpoint)"
        "  VALUES ('webhooks', pg_snapshot_xmin(pg_current_snapshot()))"
        "  ON CONFLICT (name) DO NOTHING)"
        " INSERT INTO jobs.webhook (url, types, user_id, secrets)"
        " VALUES ($1, string_to_array($2, ','), $3::uuid, ARRAY[$4])"
        " RETURNING id, secrets[1]", 4, params, NULL);
}


int
travelctl_webhook_list(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "webhook list [options]",
                           "Id, state, types, delivered, pending, dead, url.",
                           options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    return ctl_rows(config,
        "SELECT w.id, w.state, array_to_string(w.types, ','),"
        "       count(d.id) FILTER (WHERE d.state = 'delivered'),"
        "       count(d.id) FILTER (WHERE d.state = 'pending'),"
        "       count(d.id) FILTER (WHERE d.state = 'dead'), w.url"
        "  FROM jobs.webhook AS w"
        "  LEFT JOIN jobs.webhook_delivery AS d ON d.webhook_id = w.id"
        " GROUP BY w.id ORDER BY w.created_at", 0, NULL, NULL);
}


int
travelctl_webhook_rotate(int argc, char **argv)
{
    int          rc;
    bool         drop = false;
    char         secret[64];
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1], *params[2];

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
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

    if (!ctl_uuid(args[0], "webhook") || (!drop && !webhook_secret(secret))) {
        return CTL_BROKEN;
    }

    rc = ctl_rows(config, drop
        ? "UPDATE jobs.webhook SET secrets = secrets[1:1],"
          "       updated_at = now() WHERE id = $1::uuid"
          " RETURNING id, secrets[1]"
        : "UPDATE jobs.webhook SET secrets = (ARRAY[$2] || secrets)[1:4],"
          "       updated_at = now() WHERE id = $1::uuid"
          " RETURNING id, secrets[1]", drop ? 1 : 2, params, NULL);

    return ctl_found(rc, "webhook", args[0]);
}


int
travelctl_webhook_set(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "webhook set [options] ID active|disabled",
                           "Lets a webhook rest, or be told again.", options,
                           2, 2 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!ctl_uuid(args[0], "webhook")) {
        return CTL_BROKEN;
    }

    if (strcmp(args[1], "active") != 0 && strcmp(args[1], "disabled") != 0) {
        return ctl_broken("\"%s\" is neither active nor disabled", args[1]);
    }

    rc = ctl_rows(config,
        "UPDATE jobs.webhook SET state = $2, updated_at = now()"
        " WHERE id = $1::uuid RETURNING id, state", 2, args, NULL);

    return ctl_found(rc, "webhook", args[0]);
}


int
travelctl_webhook_log(int argc, char **argv)
{
    int          rc;
    const char  *config = NULL, *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "webhook log [options] ID",
                           "Deliveries of a webhook, newest first, and their "
                           "attempts.  Exit code 1: there are none.",
                           options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!ctl_uuid(args[0], "webhook")) {
        return CTL_BROKEN;
    }

    return ctl_rows(config,
        "SELECT d.id, d.type, d.state, coalesce(string_agg("
        "         to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"
        "         || 'Z ' || a.status || ' ' || a.ms || 'ms'"
        "         || coalesce(' ' || a.error, ''), ', ' ORDER BY a.at), '-')"
        "  FROM jobs.webhook_delivery AS d"
        "  LEFT JOIN jobs.webhook_attempt AS a ON a.delivery_id = d.id"
        " WHERE d.webhook_id = $1::uuid"
        " GROUP BY d.id ORDER BY d.position DESC LIMIT 200", 1, args, NULL);
}


int
travelctl_webhook_replay(int argc, char **argv)
{
    int                 rc;
    char                body[128];
    const char         *config = NULL, *args[CTL_ARGS_MAX + 1];
    worker_conf_t      *conf;
    worker_schedule_t   schedule = { .name = "webhook.replay",
                                     .type = "webhook.deliver",
                                     .body = body };

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "webhook replay [options] DELIVERY",
                           "Sends a delivery once more, under its first "
                           "webhook-id; prints the job.\nExit code 1: there is "
                           "none, or its webhook is not active.", options, 1,
                           1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!ctl_uuid(args[0], "delivery")) {
        return CTL_BROKEN;
    }

    rc = ctl_found(ctl_rows(config,
        "UPDATE jobs.webhook_delivery AS d SET state = 'pending'"
        "  FROM jobs.webhook AS w"
        " WHERE d.id = $1::uuid AND w.id = d.webhook_id"
        "   AND w.state = 'active' RETURNING d.id", 1, args, NULL),
        "delivery of an active webhook", args[0]);
    conf = rc == CTL_GOOD ? ctl_conf(config) : NULL;

    if (conf != NULL) {
        snprintf(body, sizeof(body), "{\"delivery\": \"%.36s\"}", args[0]);
        rc = ctl_enqueue(conf, &schedule, args[0]);
    }

    worker_conf_free(conf);
    return rc;
}
