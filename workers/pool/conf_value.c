/*
 * What a value of workers.conf may be: judged right after it was read, so that
 * each refusal names file and line.
 */

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf_parts.h"
#include "log.h"
#include "../jobs/job.h"

#define CONF_DAY_MS  (24L * 3600 * 1000)


/* "10s", "250ms", "5m", "2h", "1d"; a bare number is refused: of what? */
int
worker_conf_duration_parse(const char *text, long *ret_ms)
{
    static const struct {
        const char  *unit;
        long         ms;
    } units[] = {
        { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 },
        { "h", 3600 * 1000 }, { "d", CONF_DAY_MS }
    };

    char    *end;
    long     n;
    size_t   i;

    if (!isdigit((unsigned char) text[0])) {
        return TRAVEL_INVALID;
    }

    errno = 0;
    n = strtol(text, &end, 10);

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            if (errno != 0 || n > 365 * CONF_DAY_MS / units[i].ms) {
                return TRAVEL_INVALID;
            }

            *ret_ms = n * units[i].ms;
            return TRAVEL_OK;
        }
    }

    return TRAVEL_INVALID;
}


int
worker_conf_size_parse(const char *text, uint64_t *ret_bytes)
{
    char     *end;
    long      n;
    unsigned  shift;

    if (!isdigit((unsigned char) text[0])) {
        return TRAVEL_INVALID;
    }

    errno = 0;
    n = strtol(text, &end, 10);
    shift = strcmp(end, "k") == 0 ? 10 : strcmp(end, "m") == 0 ? 20
            : strcmp(end, "g") == 0 ? 30 : 0;

    if (errno != 0 || shift == 0 || n > 1 << 20) {
        return TRAVEL_INVALID;
    }

    *ret_bytes = (uint64_t) n << shift;
    return TRAVEL_OK;
}


int
worker_conf_rate_parse(const char *text, double *ret_rate)
{
    char    *end;
    long     n, per;

    if (!isdigit((unsigned char) text[0])) {
        return TRAVEL_INVALID;
    }

    errno = 0;
    n = strtol(text, &end, 10);
    per = strcmp(end, "/s") == 0 ? 1 : strcmp(end, "/m") == 0 ? 60
          : strcmp(end, "/h") == 0 ? 3600 : 0;

    if (errno != 0 || per == 0 || n < 1 || n > 1000000) {
        return TRAVEL_INVALID;
    }

    *ret_rate = (double) n / (double) per;
    return TRAVEL_OK;
}


/* --- what a value may be -------------------------------------------------- */

typedef enum {
    CONF_DURATION,              /* min in ms */
    CONF_NUMBER,
    CONF_SIZE,                  /* min and max in KiB */
    CONF_SHARE,                 /* a number from 0 to 1 */
    CONF_LEVEL,
    CONF_QUEUE,
    CONF_ADDRESS,               /* host:port */
    CONF_TLS,
    CONF_FILE,
    CONF_URL,
    CONF_HEADER,
    CONF_SWITCH,
    CONF_CRON,
    CONF_TIMEZONE,
    CONF_CATCH_UP,
    CONF_JSON,                  /* an object */
    CONF_RETENTION,
    CONF_RATE,
    CONF_TEXT                   /* not empty */
} conf_kind_e;

static const struct conf_rule {
    const char   *path;         /* as libconfuse names it */
    conf_kind_e   kind;
    long          min;
    long          max;
} conf_rules[] = {
    { "prompts", CONF_TEXT, 0, 0 },
    { "templates", CONF_TEXT, 0, 0 },
    { "processes", CONF_NUMBER, 1, 64 },
    { "slots", CONF_NUMBER, 1, 256 },
    { "waiting", CONF_NUMBER, 0, 100000 },
    { "autoscale|processes", CONF_NUMBER, 1, 64 },
    { "autoscale|slots", CONF_NUMBER, 1, 256 },
    { "autoscale|age", CONF_DURATION, 10, 0 },
    { "autoscale|every", CONF_DURATION, 100, 0 },
    { "autoscale|idle", CONF_DURATION, 100, 0 },
    { "recycle|jobs", CONF_NUMBER, 1, LONG_MAX },
    { "recycle|memory", CONF_SIZE, 16 << 10, LONG_MAX },
    { "claim_check", CONF_SIZE, 1, 16 << 10 },
    { "recycle|jitter", CONF_SHARE, 0, 0 },
    { "lease_ttl", CONF_DURATION, 1000, 0 },
    { "drain", CONF_DURATION, 0, 0 },
    { "log_level", CONF_LEVEL, 0, 0 },
    { "queues", CONF_QUEUE, 0, 0 },
    { "metrics", CONF_ADDRESS, 0, 0 },
    { "smtp|host", CONF_TEXT, 0, 0 },
    { "smtp|from", CONF_TEXT, 0, 0 },
    { "smtp|port", CONF_NUMBER, 1, 65535 },
    { "smtp|tls", CONF_TLS, 0, 0 },
    { "smtp|ca_file", CONF_FILE, 0, 0 },
    { "push|url", CONF_URL, 0, 0 },
    { "push|ca_file", CONF_FILE, 0, 0 },
    { "push|timeout", CONF_DURATION, 1, 0 },
    { "push|concurrency", CONF_NUMBER, 1, 1024 },
    { "push|breaker_failures", CONF_NUMBER, 1, 1000 },
    { "push|breaker_open", CONF_DURATION, 10, 0 },
    { "push|breaker_successes", CONF_NUMBER, 1, 100 },
    { "smtp|timeout", CONF_DURATION, 1, 0 },
    { "smtp|concurrency", CONF_NUMBER, 1, 1024 },
    { "smtp|breaker_failures", CONF_NUMBER, 1, 1000 },
    { "smtp|breaker_open", CONF_DURATION, 10, 0 },
    { "smtp|breaker_successes", CONF_NUMBER, 1, 100 },
    { "otlp|sample", CONF_SHARE, 0, 0 },
    { "otlp|url", CONF_URL, 0, 0 },
    { "partner|url", CONF_URL, 0, 0 },
    { "partner|timeout", CONF_DURATION, 1, 0 },
    { "partner|concurrency", CONF_NUMBER, 1, 1024 },
    { "partner|breaker_failures", CONF_NUMBER, 1, 1000 },
    { "partner|breaker_open", CONF_DURATION, 10, 0 },
    { "partner|breaker_successes", CONF_NUMBER, 1, 100 },
    { "partner|header", CONF_HEADER, 0, 0 },
    { "type|retries", CONF_NUMBER, 0, 1000 },
    { "type|base", CONF_DURATION, 1, 0 },
    { "type|cap", CONF_DURATION, 1, 0 },
    { "type|timeout", CONF_DURATION, 1, 0 },
    { "type|weight", CONF_NUMBER, 1, 1000 },
    { "type|concurrency", CONF_NUMBER, 1, 1024 },
    { "type|rate", CONF_RATE, 0, 0 },
    { "type|user_concurrency", CONF_NUMBER, 1, 1024 },
    { "type|user_rate", CONF_RATE, 0, 0 },
    { "queue|retention", CONF_RETENTION, 3600 * 1000, 21 * CONF_DAY_MS },
    { "topics", CONF_SWITCH, 0, 0 },
    { "accounts|issuer", CONF_TEXT, 0, 0 },
    { "accounts|audience", CONF_TEXT, 0, 0 },
    { "accounts|link", CONF_URL, 0, 0 },
    { "accounts|access_ttl", CONF_DURATION, 1000, 0 },
    { "accounts|refresh_ttl", CONF_DURATION, 1000, 0 },
    { "accounts|session_idle", CONF_DURATION, 1000, 0 },
    { "accounts|verify_ttl", CONF_DURATION, 1000, 0 },
    { "accounts|reset_ttl", CONF_DURATION, 1000, 0 },
    { "accounts|argon2_memory", CONF_NUMBER, 7168, 1 << 20 },
    { "accounts|argon2_passes", CONF_NUMBER, 1, 64 },
    { "accounts|argon2_lanes", CONF_NUMBER, 1, 16 },
    { "etl|batch", CONF_NUMBER, 1, 100000 },
    { "schedule|cron", CONF_CRON, 0, 0 },
    { "schedule|timezone", CONF_TIMEZONE, 0, 0 },
    { "schedule|catch_up", CONF_CATCH_UP, 0, 0 },
    { "schedule|body", CONF_JSON, 0, 0 }
};

#define CONF_RULES  (sizeof(conf_rules) / sizeof(conf_rules[0]))


/* By the last part of its path: names that two sections share mean one thing
 * in both. */
static const struct conf_rule *
conf_rule_of(const char *name)
{
    size_t       i;
    const char  *bar;

    for (i = 0; i < CONF_RULES; i++) {
        bar = strchr(conf_rules[i].path, '|');

        if (strcmp(bar != NULL ? bar + 1 : conf_rules[i].path, name) == 0) {
            return &conf_rules[i];
        }
    }

    return NULL;
}


static bool
conf_url_good(const char *v)
{
    return strncmp(v, "http://", 7) == 0 || strncmp(v, "https://", 8) == 0;
}


/* "host:port" */
static bool
conf_address_good(const char *v)
{
    char        *end;
    long         port;
    const char  *colon;

    colon = strrchr(v, ':');

    if (colon == NULL || !isdigit((unsigned char) colon[1])) {
        return false;
    }

    port = strtol(colon + 1, &end, 10);
    return *end == '\0' && port >= 1 && port <= 65535;
}


/* The name of a zone of the tz database, and nothing outside of it: there are
 * directories and lists beside the zones. */
static bool
conf_timezone_good(const char *v)
{
    char   path[256], magic[4];
    bool   good;
    FILE  *f;

    if (strcmp(v, "UTC") == 0) {
        return true;
    }

    if (!isalpha((unsigned char) v[0]) || strstr(v, "..") != NULL
        || strlen(v) >= 64)
    {
        return false;
    }

    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", v);
    f = fopen(path, "re");

    if (f == NULL) {
        return false;
    }

    good = fread(magic, 1, sizeof(magic), f) == sizeof(magic)
           && memcmp(magic, "TZif", sizeof(magic)) == 0;
    fclose(f);
    return good;
}


static bool
conf_object_good(const char *v)
{
    bool     good;
    json_t  *body;

    body = json_loads(v, 0, NULL);
    good = json_is_object(body);
    json_decref(body);

    return good;
}


int
worker_conf_catch_up(const char *v)
{
    int  i;

    for (i = WORKER_CATCH_UP_SKIP; i <= WORKER_CATCH_UP_ALL; i++) {
        if (strcmp(worker_catch_up_name((worker_catch_up_e) i), v) == 0) {
            return i;
        }
    }

    return -1;
}


/* The enum's value, or -1. */
int
worker_conf_tls(const char *v)
{
    return strcmp(v, "off") == 0 ? WORKER_TLS_OFF
           : strcmp(v, "starttls") == 0 ? WORKER_TLS_STARTTLS
           : strcmp(v, "implicit") == 0 ? WORKER_TLS_IMPLICIT : -1;
}


static const char *
conf_cron_wrong(const char *v)
{
    const char     *why;
    travel_cron_t   cron;

    return travel_cron_parse(&cron, (travel_str_t) { v, strlen(v) }, &why)
           == TRAVEL_OK ? NULL : why;
}


/* What is wrong with a text, or NULL. */
static const char *
conf_text_wrong(const struct conf_rule *rule, const char *v)
{
    long      ms;
    double    rate;
    uint64_t  bytes;

    switch (rule->kind) {

    case CONF_SIZE:
        return worker_conf_size_parse(v, &bytes) == TRAVEL_OK
               && bytes >> 10 >= (uint64_t) rule->min
               && bytes >> 10 <= (uint64_t) rule->max
               ? NULL : rule->min > 1
               ? "is no size or too small a one, write it like 512m or 2g "
                 "(16m at least)"
               : "is no size from 1k to 16m, write it like 64k";

    case CONF_DURATION:
        return worker_conf_duration_parse(v, &ms) == TRAVEL_OK
               && ms >= rule->min
               ? NULL : "is no duration or too short a one, write it like "
                        "250ms, 10s, 5m, 2h or 1d";

    case CONF_RETENTION:
        return worker_conf_duration_parse(v, &ms) == TRAVEL_OK
               && ms >= rule->min && ms <= rule->max
               ? NULL : "is no duration from 1h to 21d: what a job has done "
                        "is remembered for 30d, and longer than the job";

    case CONF_RATE:
        return worker_conf_rate_parse(v, &rate) == TRAVEL_OK
               ? NULL : "is no rate, write it like 50/s, 30/m or 100/h";

    case CONF_LEVEL:
        return worker_log_level(v) >= 0
               ? NULL : "is none of error, warn, info, debug";

    case CONF_QUEUE:
        return travel_queue_exists((travel_str_t) { v, strlen(v) })
               ? NULL : "is not the name of a queue";

    case CONF_ADDRESS:
        return conf_address_good(v)
               ? NULL : "is not host:port, with a port from 1 to 65535";

    case CONF_TEXT:
        return *v != '\0' ? NULL : "is empty, leave the line out or fill it";

    case CONF_TLS:
        return worker_conf_tls(v) >= 0
               ? NULL : "is none of \"off\", \"starttls\", \"implicit\"";

    case CONF_FILE:
        return access(v, R_OK) == 0 ? NULL : "is no file that can be read";

    case CONF_URL:
        return conf_url_good(v)
               ? NULL : "does not begin with http:// or https://";

    case CONF_HEADER:
        return strchr(v, ':') != NULL ? NULL : "is not \"Name: value\"";

    case CONF_SWITCH:
        return strcmp(v, "on") == 0 || strcmp(v, "off") == 0
               ? NULL : "is neither \"on\" nor \"off\"";

    case CONF_CRON:
        return conf_cron_wrong(v);

    case CONF_TIMEZONE:
        return conf_timezone_good(v)
               ? NULL : "is no time zone below /usr/share/zoneinfo, write it "
                        "like Europe/Berlin (is tzdata installed?)";

    case CONF_CATCH_UP:
        return worker_conf_catch_up(v) >= 0
               ? NULL : "is none of \"skip\", \"once\", \"all\"";

    case CONF_JSON:
        return conf_object_good(v) ? NULL : "is not a JSON object";

    case CONF_NUMBER:
    case CONF_SHARE:
        break;
    }

    return NULL;
}


/* Called by the parser after each value, so that the line is the value's. */
static int
conf_check(cfg_t *cfg, cfg_opt_t *opt)
{
    long                      n;
    double                    share;
    unsigned                  last;
    const char               *v, *wrong;
    const struct conf_rule   *rule;

    rule = conf_rule_of(cfg_opt_name(opt));
    last = cfg_opt_size(opt) - 1;

    if (rule == NULL || cfg_opt_size(opt) == 0) {
        return 0;
    }

    if (rule->kind == CONF_NUMBER) {
        n = cfg_opt_getnint(opt, last);

        if (n < rule->min || n > rule->max) {
            cfg_error(cfg, "%s = %ld is outside %ld..%ld", cfg_opt_name(opt),
                      n, rule->min, rule->max);
            return -1;
        }

        return 0;
    }

    if (rule->kind == CONF_SHARE) {
        share = cfg_opt_getnfloat(opt, last);

        if (share < 0 || share > 1) {
            cfg_error(cfg, "%s = %g is outside 0..1", cfg_opt_name(opt),
                      share);
            return -1;
        }

        return 0;
    }

    v = cfg_opt_getnstr(opt, last);
    wrong = v != NULL ? conf_text_wrong(rule, v) : NULL;

    if (wrong != NULL) {
        cfg_error(cfg, "%s: \"%s\" %s", cfg_opt_name(opt), v, wrong);
        return -1;
    }

    return 0;
}


void
worker_conf_rules(cfg_t *cfg)
{
    size_t  i;

    for (i = 0; i < CONF_RULES; i++) {
        cfg_set_validate_func(cfg, conf_rules[i].path, conf_check);
    }
}
