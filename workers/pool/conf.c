/*
 * workers.conf: read by libconfuse, checked once, then immutable.
 *
 * libconfuse knows sections, titles and includes; what a value may be is in
 * conf_value.c, what goes together with what is here.
 */

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <confuse.h>

#include "conf_parts.h"
#include "log.h"
#include "../jobs/job.h"
#include "../publish/kafka.h"
#include "../../common/seal.h"

#define CONF_FILE_MAX  16384

/* What every destination of calls to the outside has. */
#define CONF_DESTINATION(timeout, concurrency)                                \
    CFG_STR("timeout", timeout, CFGF_NONE),                                   \
    CFG_INT("concurrency", concurrency, CFGF_NONE),                           \
    CFG_INT("breaker_failures", 5, CFGF_NONE),                                \
    CFG_STR("breaker_open", "60s", CFGF_NONE),                                \
    CFG_INT("breaker_successes", 2, CFGF_NONE)


static cfg_opt_t  conf_redis_opts[] = {
    CFG_STR("socket", NULL, CFGF_NONE),
    CFG_STR("user", NULL, CFGF_NONE),
    CFG_STR("password_file", NULL, CFGF_NONE),
    CFG_BOOL("cluster", cfg_false, CFGF_NONE),
    CFG_INT("acks", 0, CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_postgres_opts[] = {
    CFG_STR("dsn", NULL, CFGF_NONE),
    CFG_STR("password_file", NULL, CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_smtp_opts[] = {
    CFG_STR("host", "127.0.0.1", CFGF_NONE),
    CFG_INT("port", 25, CFGF_NONE),
    CFG_STR("from", "travel@travel.local", CFGF_NONE),
    CFG_STR("user", NULL, CFGF_NONE),
    CFG_STR("password_file", NULL, CFGF_NONE),
    CFG_STR("tls", "off", CFGF_NONE),
    CFG_STR("ca_file", NULL, CFGF_NONE),
    CONF_DESTINATION("30s", 8),
    CFG_END()
};

static cfg_opt_t  conf_push_opts[] = {
    CFG_STR("key_file", NULL, CFGF_NONE),
    CFG_STR("key_id", NULL, CFGF_NONE),
    CFG_STR("team_id", NULL, CFGF_NONE),
    CFG_STR("topic", NULL, CFGF_NONE),
    CFG_STR("url", NULL, CFGF_NONE),
    CFG_STR("ca_file", NULL, CFGF_NONE),
    CONF_DESTINATION("10s", 100),
    CFG_END()
};

static cfg_opt_t  conf_kafka_opts[] = {
    CFG_STR("brokers", NULL, CFGF_NONE),
    CFG_STR("topic_prefix", "", CFGF_NONE),
    CFG_STR_LIST("properties", "{}", CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_otlp_opts[] = {
    CFG_STR("url", NULL, CFGF_NONE),
    CFG_FLOAT("sample", 0.1, CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_partner_opts[] = {
    CFG_STR("url", NULL, CFGF_NONE),
    CFG_STR("key_file", NULL, CFGF_NONE),
    CONF_DESTINATION("5s", 16),
    CFG_STR_LIST("header", "{}", CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_schedule_opts[] = {
    CFG_STR("cron", NULL, CFGF_NONE),
    CFG_STR("timezone", "UTC", CFGF_NONE),
    CFG_STR("type", NULL, CFGF_NONE),
    CFG_STR("body", NULL, CFGF_NONE),
    CFG_STR("catch_up", "once", CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_etl_opts[] = {
    CFG_STR("file", NULL, CFGF_NONE),
    CFG_INT("batch", 1000, CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_autoscale_opts[] = {
    CFG_INT("processes", 0, CFGF_NONE),
    CFG_INT("slots", 0, CFGF_NONE),
    CFG_STR("age", "2s", CFGF_NONE),
    CFG_STR("every", "5s", CFGF_NONE),
    CFG_STR("idle", "60s", CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_recycle_opts[] = {
    CFG_INT("jobs", 0, CFGF_NONE),
    CFG_STR("memory", NULL, CFGF_NONE),
    CFG_FLOAT("jitter", 0.2, CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_opts[] = {
    CFG_STR("run_dir", "run", CFGF_NONE),
    CFG_INT("processes", 2, CFGF_NONE),
    CFG_INT("slots", 16, CFGF_NONE),
    CFG_INT("waiting", 2000, CFGF_NONE),
    CFG_STR("claim_check", "64k", CFGF_NONE),
    CFG_STR("log_level", "info", CFGF_NONE),
    CFG_STR_LIST("queues", "{}", CFGF_NONE),
    CFG_STR("lease_ttl", "10s", CFGF_NONE),
    CFG_STR("drain", "30s", CFGF_NONE),
    CFG_STR("metrics", NULL, CFGF_NONE),
    CFG_STR("prompts", "conf/travel/prompts", CFGF_NONE),
    CFG_STR("templates", "conf/travel/templates", CFGF_NONE),
    CFG_STR("sealed_key", NULL, CFGF_NONE),
    CFG_STR("topics", "off", CFGF_NONE),
    CFG_STR("payments", NULL, CFGF_NONE),
    CFG_STR("images", NULL, CFGF_NONE),
    CFG_STR_LIST("webhook_allow", "{}", CFGF_NONE),
    CFG_SEC("autoscale", conf_autoscale_opts, CFGF_NONE),
    CFG_SEC("recycle", conf_recycle_opts, CFGF_NONE),
    CFG_SEC("redis", conf_redis_opts, CFGF_TITLE | CFGF_MULTI),
    CFG_SEC("postgres", conf_postgres_opts, CFGF_TITLE | CFGF_MULTI),
    CFG_SEC("smtp", conf_smtp_opts, CFGF_NONE),
    CFG_SEC("push", conf_push_opts, CFGF_TITLE | CFGF_MULTI),
    CFG_SEC("otlp", conf_otlp_opts, CFGF_NONE),
    CFG_SEC("kafka", conf_kafka_opts, CFGF_NONE),
    CFG_SEC("partner", conf_partner_opts, CFGF_TITLE | CFGF_MULTI),
    CFG_SEC("type", worker_conf_type_opts, CFGF_TITLE | CFGF_MULTI),
    CFG_SEC("queue", worker_conf_queue_opts,
            CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
    CFG_SEC("schedule", conf_schedule_opts,
            CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
    CFG_SEC("etl", conf_etl_opts,
            CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
    CFG_FUNC("include", &cfg_include),
    CFG_END()
};


static const char  *conf_reading;    /* a section may not know its file */


/* One line for whatever libconfuse or we have to say. */
static void
conf_complain(cfg_t *cfg, const char *fmt, va_list ap)
{
    char  what[512];

    vsnprintf(what, sizeof(what), fmt, ap);

    fprintf(stderr, "%s:%d: %s\n",
            cfg != NULL && cfg->filename != NULL ? cfg->filename
                                                 : conf_reading,
            cfg != NULL ? cfg->line : 0, what);
}


static char *
conf_string(cfg_t *cfg, const char *name)
{
    char  *v;

    v = cfg_getstr(cfg, name);

    return v != NULL && *v ? strdup(v) : NULL;
}


void
worker_conf_duration(cfg_t *cfg, const char *name, long *ms)
{
    const char  *text;

    text = cfg_getstr(cfg, name);

    if (text != NULL) {
        (void) !worker_conf_duration_parse(text, ms);
    }
}


void
worker_conf_rate(cfg_t *cfg, const char *name, double *rate)
{
    const char  *text;

    text = cfg_getstr(cfg, name);

    if (text != NULL) {
        (void) !worker_conf_rate_parse(text, rate);
    }
}


/* The first line of a secret's file; NULL in *ret_secret when not asked for. */
static int
conf_secret(cfg_t *cfg, const char *name, char **ret_secret)
{
    char         line[1024];
    FILE        *f;
    const char  *path;

    path = cfg_getstr(cfg, name);

    if (path == NULL || *path == '\0') {
        return TRAVEL_OK;
    }

    f = fopen(path, "re");

    if (f == NULL) {
        cfg_error(cfg, "%s \"%s\": %s, create it or correct the path", name,
                  path, strerror(errno));
        return TRAVEL_INVALID;
    }

    if (fgets(line, sizeof(line), f) == NULL) {
        line[0] = '\0';
    }

    fclose(f);
    line[strcspn(line, "\r\n")] = '\0';

    if (line[0] == '\0') {
        cfg_error(cfg, "%s \"%s\" is empty", name, path);
        return TRAVEL_INVALID;
    }

    *ret_secret = strdup(line);
    explicit_bzero(line, sizeof(line));

    return *ret_secret != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


/* The private keys that open what the edge seals. */
static int
conf_sealed(cfg_t *cfg, worker_conf_t *conf)
{
    int           rc;
    char          pem[16384];
    FILE         *f;
    const char   *path;
    travel_str_t  text;

    path = cfg_getstr(cfg, "sealed_key");

    if (path == NULL || *path == '\0') {
        return TRAVEL_OK;
    }

    f = fopen(path, "re");

    if (f == NULL) {
        cfg_error(cfg, "sealed_key \"%s\": %s, create it or correct the path",
                  path, strerror(errno));
        return TRAVEL_INVALID;
    }

    text = (travel_str_t) { pem, fread(pem, 1, sizeof(pem), f) };
    fclose(f);
    rc = travel_seal_private(&conf->sealed_keys, text);
    explicit_bzero(pem, sizeof(pem));

    if (rc != TRAVEL_OK) {
        cfg_error(cfg, "sealed_key \"%s\" must hold 1 to %d private X25519 "
                  "keys in PEM, the newest first: make one with \"openssl "
                  "genpkey -algorithm X25519\"", path, TRAVEL_SEAL_KEYS_MAX);
    }

    return rc;
}


/* What only the queue role may be asked for, and a cluster's addresses. */
static int
conf_redis_check(cfg_t *cfg, cfg_t *sec, bool queue)
{
    bool         cluster;
    long         acks;
    const char  *socket;

    cluster = cfg_getbool(sec, "cluster");
    acks = cfg_getint(sec, "acks");
    socket = cfg_getstr(sec, "socket");

    if (!queue && (cluster || acks != 0)) {
        cfg_error(cfg, "redis cache: cluster and acks are for the queue: what "
                  "a cache holds may be lost, and its keys are not kept "
                  "together by slot");
        return TRAVEL_INVALID;
    }

    if (acks < 0 || acks > 16) {
        cfg_error(cfg, "redis queue: acks is %ld, must be 0 to 16", acks);
        return TRAVEL_INVALID;
    }

    if (cluster && (strchr(socket, '/') != NULL
                    || strchr(socket, ':') == NULL))
    {
        cfg_error(cfg, "redis queue: cluster and the socket \"%s\": servers "
                  "of a cluster are known by host:port", socket);
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static int
conf_redis(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t  *sec;

    sec = cfg_gettsec(cfg, "redis", "queue");

    if (sec == NULL || cfg_getstr(sec, "socket") == NULL) {
        cfg_error(cfg, "no redis queue { socket = ... }: name the queue "
                  "Redis by its Unix socket or host:port");
        return TRAVEL_INVALID;
    }

    if (conf_redis_check(cfg, sec, true) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    conf->redis_socket = conf_string(sec, "socket");
    conf->redis_user = conf_string(sec, "user");
    conf->redis_cluster = cfg_getbool(sec, "cluster");
    conf->redis_acks = cfg_getint(sec, "acks");

    if (conf_secret(sec, "password_file", &conf->redis_password)
        != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    sec = cfg_gettsec(cfg, "redis", "cache");

    if (sec == NULL || cfg_getstr(sec, "socket") == NULL) {
        return TRAVEL_OK;
    }

    if (conf_redis_check(cfg, sec, false) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    conf->cache_socket = conf_string(sec, "socket");
    conf->cache_user = conf_string(sec, "user");

    return conf_secret(sec, "password_file", &conf->cache_password);
}


/* dsn + password as libpq wants it: quoted, quotes and backslashes escaped. */
static char *
conf_dsn_merge(const char *dsn, const char *password)
{
    char        *merged, *p;
    const char  *s;

    merged = malloc(strlen(dsn) + 2 * strlen(password) + 16);

    if (merged == NULL) {
        return NULL;
    }

    p = merged + sprintf(merged, "%s password='", dsn);

    for (s = password; *s; s++) {
        if (*s == '\'' || *s == '\\') {
            *p++ = '\\';
        }

        *p++ = *s;
    }

    *p++ = '\'';
    *p = '\0';

    return merged;
}


/* One section, its dsn and password; *ret_dsn stays NULL without it. */
static int
conf_database(cfg_t *cfg, const char *title, char **ret_dsn)
{
    int          rc;
    char        *password;
    cfg_t       *sec;
    const char  *dsn;

    sec = cfg_gettsec(cfg, "postgres", title);
    dsn = sec != NULL ? cfg_getstr(sec, "dsn") : NULL;

    if (dsn == NULL) {
        return TRAVEL_OK;
    }

    password = NULL;
    rc = conf_secret(sec, "password_file", &password);

    if (rc != TRAVEL_OK) {
        return rc;
    }

    *ret_dsn = password != NULL ? conf_dsn_merge(dsn, password) : strdup(dsn);
    free(password);

    return *ret_dsn != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


static int
conf_postgres(cfg_t *cfg, worker_conf_t *conf)
{
    int  rc;

    rc = conf_database(cfg, "primary", &conf->pg_dsn);

    if (rc == TRAVEL_OK && conf->pg_dsn == NULL) {
        cfg_error(cfg, "no postgres primary { dsn = ... }: name the "
                  "database that jobs write to");
        return TRAVEL_INVALID;
    }

    return rc == TRAVEL_OK
           ? conf_database(cfg, "analytics", &conf->analytics_dsn) : rc;
}


/* Bounds and breaker of a destination, under its name. */
static worker_partner_t *
conf_destination(cfg_t *sec, worker_conf_t *conf, const char *name)
{
    worker_partner_t  *to;

    if (conf->npartners == WORKER_PARTNERS_MAX
        || worker_conf_partner(conf, name) != NULL)
    {
        cfg_error(sec, "\"%s\": %s", name,
                  conf->npartners == WORKER_PARTNERS_MAX
                  ? "too many partners" : "that name is taken");
        return NULL;
    }

    to = &conf->partners[conf->npartners++];
    to->code = strdup(name);
    worker_conf_duration(sec, "timeout", &to->timeout_ms);
    to->concurrency = (unsigned) cfg_getint(sec, "concurrency");
    to->breaker_failures = (unsigned) cfg_getint(sec, "breaker_failures");
    to->breaker_successes = (unsigned) cfg_getint(sec, "breaker_successes");
    worker_conf_duration(sec, "breaker_open", &to->breaker_open_ms);

    return to;
}


static int
conf_smtp(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t             *sec;
    worker_partner_t  *to;

    sec = cfg_getsec(cfg, "smtp");
    to = conf_destination(sec, conf, "smtp");

    if (to == NULL) {
        return TRAVEL_INVALID;
    }

    conf->smtp_timeout_ms = to->timeout_ms;
    conf->smtp_tls = (worker_tls_e) worker_conf_tls(cfg_getstr(sec, "tls"));
    conf->smtp_ca_file = conf_string(sec, "ca_file");
    conf->smtp_host = conf_string(sec, "host");
    conf->smtp_from = conf_string(sec, "from");
    conf->smtp_user = conf_string(sec, "user");
    conf->smtp_port = (unsigned) cfg_getint(sec, "port");

    return conf_secret(sec, "password_file", &conf->smtp_password);
}


/* --- push services ------------------------------------------------------- */

/* A whole file of at most 16 KiB, NUL-terminated, owned; NULL: said. */
static char *
conf_file(cfg_t *sec, const char *name)
{
    char        *text;
    FILE        *f;
    size_t       n;
    const char  *path;

    path = cfg_getstr(sec, name);
    f = path != NULL ? fopen(path, "re") : NULL;
    text = f != NULL ? calloc(1, CONF_FILE_MAX + 1) : NULL;

    if (text == NULL) {
        cfg_error(sec, "push %s needs %s, a file that can be read",
                  cfg_title(sec), name);

    } else {
        n = fread(text, 1, CONF_FILE_MAX, f);
        text[n] = '\0';
    }

    if (f != NULL) {
        fclose(f);
    }

    return text;
}


static char *
conf_member(const json_t *root, const char *name)
{
    const char  *text;

    text = json_string_value(json_object_get(root, name));
    return text != NULL && *text != '\0' ? strdup(text) : NULL;
}


/* A service account's key as Google hands it out. */
static int
conf_fcm(cfg_t *sec, worker_push_conf_t *push, const char *text)
{
    json_t  *root;

    root = json_loads(text, 0, NULL);
    push->pem = conf_member(root, "private_key");
    push->key_id = conf_member(root, "private_key_id");
    push->client_email = conf_member(root, "client_email");
    push->project_id = conf_member(root, "project_id");
    push->token_url = conf_member(root, "token_uri");
    json_decref(root);

    if (push->pem == NULL || push->key_id == NULL || push->project_id == NULL
        || push->client_email == NULL || push->token_url == NULL)
    {
        cfg_error(sec, "push fcm: key_file is not the JSON key of a service "
                  "account, download one from the Google Cloud console");
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static int
conf_apns(cfg_t *sec, worker_push_conf_t *push, const char *text)
{
    push->pem = strdup(text);
    push->key_id = conf_string(sec, "key_id");
    push->team_id = conf_string(sec, "team_id");
    push->topic = conf_string(sec, "topic");

    if (push->key_id == NULL || push->team_id == NULL || push->topic == NULL
        || strstr(text, "PRIVATE KEY") == NULL)
    {
        cfg_error(sec, "push apns needs key_file (the .p8 of an APNs key), "
                  "key_id, team_id and topic (the app's bundle id)");
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static int
conf_push(cfg_t *sec, worker_conf_t *conf)
{
    int                  rc;
    char                *text;
    bool                 fcm;
    size_t               n;
    const char          *url;
    worker_partner_t    *to;
    worker_push_conf_t  *push;

    fcm = strcmp(cfg_title(sec), "fcm") == 0;

    if (!fcm && strcmp(cfg_title(sec), "apns") != 0) {
        cfg_error(sec, "push \"%s\": there are \"fcm\" and \"apns\"",
                  cfg_title(sec));
        return TRAVEL_INVALID;
    }

    to = conf_destination(sec, conf, cfg_title(sec));
    text = to != NULL ? conf_file(sec, "key_file") : NULL;

    if (text == NULL) {
        return TRAVEL_INVALID;
    }

    push = &conf->push[fcm ? WORKER_PUSH_FCM : WORKER_PUSH_APNS];
    url = cfg_getstr(sec, "url");
    url = url != NULL ? url : fcm ? "https://fcm.googleapis.com"
                                  : "https://api.push.apple.com";
    push->url = strdup(url);

    for (n = strlen(push->url); n > 0 && push->url[n - 1] == '/'; n--) {
        push->url[n - 1] = '\0';
    }

    push->ca_file = conf_string(sec, "ca_file");
    push->timeout_ms = to->timeout_ms;
    rc = fcm ? conf_fcm(sec, push, text) : conf_apns(sec, push, text);
    explicit_bzero(text, strlen(text));
    free(text);
    return rc;
}


static int
conf_pushes(cfg_t *cfg, worker_conf_t *conf)
{
    size_t  i;

    for (i = 0; i < cfg_size(cfg, "push"); i++) {
        if (conf_push(cfg_getnsec(cfg, "push", i), conf) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    return TRAVEL_OK;
}


static void
conf_otlp(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t  *sec;

    sec = cfg_getsec(cfg, "otlp");
    conf->otlp_url = conf_string(sec, "url");
    conf->otlp_sample = cfg_getfloat(sec, "sample");
}


static int
conf_partner(cfg_t *sec, worker_conf_t *conf)
{
    size_t             i, n;
    const char        *url;
    worker_partner_t  *partner;

    url = cfg_getstr(sec, "url");

    if (url == NULL) {
        cfg_error(sec, "partner %s needs a url", cfg_title(sec));
        return TRAVEL_INVALID;
    }

    partner = conf_destination(sec, conf, cfg_title(sec));

    if (partner == NULL) {
        return TRAVEL_INVALID;
    }

    partner->url = strdup(url);

    for (n = strlen(partner->url); n > 0 && partner->url[n - 1] == '/'; n--) {
        partner->url[n - 1] = '\0';
    }

    n = cfg_size(sec, "header");

    if (n >= WORKER_HEADERS_MAX) {
        cfg_error(sec, "partner %s has more than %d headers",
                  partner->code, WORKER_HEADERS_MAX - 1);
        return TRAVEL_INVALID;
    }

    for (i = 0; i < n; i++) {
        partner->headers[i] = strdup(cfg_getnstr(sec, "header", i));
    }

    return conf_secret(sec, "key_file", &partner->key);
}


/* An option that names the partner who does something; NULL: nobody does. */
static bool
conf_partner_for(cfg_t *cfg, const worker_conf_t *conf, const char *option,
    char **ret_partner)
{
    *ret_partner = conf_string(cfg, option);

    if (*ret_partner == NULL
        || worker_conf_partner(conf, *ret_partner) != NULL)
    {
        return true;
    }

    cfg_error(cfg, "%s = \"%s\" is no partner, add its section", option,
              *ret_partner);
    return false;
}


static int
conf_partners(cfg_t *cfg, worker_conf_t *conf)
{
    size_t  i, n;

    n = cfg_size(cfg, "partner");

    for (i = 0; i < n; i++) {
        if (conf_partner(cfg_getnsec(cfg, "partner", i), conf) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    return conf_partner_for(cfg, conf, "payments", &conf->payments)
           && conf_partner_for(cfg, conf, "images", &conf->images)
           ? TRAVEL_OK : TRAVEL_INVALID;
}


static int
conf_schedule(cfg_t *sec, worker_schedule_t *schedule)
{
    const char  *cron, *type, *why;

    cron = cfg_getstr(sec, "cron");
    type = cfg_getstr(sec, "type");

    if (cron == NULL || type == NULL
        || worker_job_type((travel_str_t) { type, strlen(type) }) == NULL)
    {
        cfg_error(sec, "schedule %s needs cron = \"...\" and the type of a "
                  "job", cfg_title(sec));
        return TRAVEL_INVALID;
    }

    if (travel_cron_parse(&schedule->cron,
                          (travel_str_t) { cron, strlen(cron) }, &why)
        != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    schedule->name = strdup(cfg_title(sec));
    schedule->expression = strdup(cron);
    schedule->timezone = strdup(cfg_getstr(sec, "timezone"));
    schedule->type = strdup(type);
    schedule->body = conf_string(sec, "body");
    schedule->catch_up = (worker_catch_up_e) worker_conf_catch_up(
                             cfg_getstr(sec, "catch_up"));

    return TRAVEL_OK;
}


static int
conf_schedules(cfg_t *cfg, worker_conf_t *conf)
{
    size_t  i, n;

    n = cfg_size(cfg, "schedule");

    if (n > WORKER_SCHEDULES_MAX) {
        cfg_error(cfg, "more than %d schedules", WORKER_SCHEDULES_MAX);
        return TRAVEL_INVALID;
    }

    for (i = 0; i < n; i++) {
        conf->nschedules++;         /* first, so that free sees the row */

        if (conf_schedule(cfg_getnsec(cfg, "schedule", i),
                          &conf->schedules[i]) != TRAVEL_OK)
        {
            return TRAVEL_INVALID;
        }
    }

    return TRAVEL_OK;
}


static int
conf_etl(cfg_t *cfg, worker_conf_t *conf)
{
    size_t       i, n;
    cfg_t       *sec;
    const char  *file;

    n = cfg_size(cfg, "etl");

    if (n > WORKER_ETL_MAX || (n > 0 && conf->analytics_dsn == NULL)) {
        cfg_error(cfg, n > WORKER_ETL_MAX ? "too many etl sections"
                  : "etl needs postgres analytics { dsn = ... }: the database "
                    "it writes to");
        return TRAVEL_INVALID;
    }

    for (i = 0; i < n; i++) {
        sec = cfg_getnsec(cfg, "etl", i);
        file = cfg_getstr(sec, "file");

        if (file == NULL || access(file, R_OK) != 0) {
            cfg_error(sec, "etl %s needs a file that can be read",
                      cfg_title(sec));
            return TRAVEL_INVALID;
        }

        conf->etl[conf->netl++] = (worker_etl_t) {
            strdup(cfg_title(sec)), strdup(file),
            (unsigned) cfg_getint(sec, "batch")
        };
    }

    return TRAVEL_OK;
}


/* Which queues this pool serves; all of them when nothing is said. */
static int
conf_queues(cfg_t *cfg, worker_conf_t *conf)
{
    size_t       i, j, n, max;
    const char  *name;

    max = sizeof(conf->queues) / sizeof(conf->queues[0]) - 1;
    n = cfg_size(cfg, "queues");

    for (i = 0; n == 0 && i < max && travel_queue_name(i) != NULL; i++) {
        conf->queues[i] = strdup(travel_queue_name(i));
    }

    for (i = 0; i < n; i++) {
        name = cfg_getnstr(cfg, "queues", i);

        for (j = 0; j < i && strcmp(conf->queues[j], name) != 0; j++) {
            /* looks for it */ ;
        }

        if (j < i || i == max) {
            cfg_error(cfg, "queues: \"%s\" is named twice", name);
            return TRAVEL_INVALID;
        }

        conf->queues[i] = strdup(name);
    }

    return TRAVEL_OK;
}


/* The bounds of the pool's size; without the section it is what it is. */
static int
conf_autoscale(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t                *sec;
    worker_size_t        *max;
    worker_scale_conf_t  *scale;

    sec = cfg_getsec(cfg, "autoscale");
    scale = &conf->scale;
    max = &scale->max;
    scale->min = (worker_size_t) { conf->processes, conf->slots };
    *max = scale->min;

    if (cfg_getint(sec, "processes") > 0) {
        max->processes = (unsigned) cfg_getint(sec, "processes");
    }

    if (cfg_getint(sec, "slots") > 0) {
        max->slots = (unsigned) cfg_getint(sec, "slots");
    }

    worker_conf_duration(sec, "age", &scale->age_ms);
    worker_conf_duration(sec, "every", &scale->every_ms);
    worker_conf_duration(sec, "idle", &scale->idle_ms);

    if (max->processes < conf->processes || max->slots < conf->slots) {
        cfg_error(sec, "autoscale: processes and slots are the most there may "
                  "be, at least the pool's own %u and %u", conf->processes,
                  conf->slots);
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static void
conf_recycle(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t       *sec;
    const char  *memory;

    sec = cfg_getsec(cfg, "recycle");
    memory = cfg_getstr(sec, "memory");
    conf->recycle_jobs = (uint64_t) cfg_getint(sec, "jobs");
    conf->recycle_jitter = cfg_getfloat(sec, "jitter");

    if (memory != NULL) {
        (void) !worker_conf_size_parse(memory, &conf->recycle_memory);
    }
}


static int
conf_top(cfg_t *cfg, worker_conf_t *conf)
{
    conf->run_dir = conf_string(cfg, "run_dir");
    conf->metrics = conf_string(cfg, "metrics");
    conf->prompts_dir = conf_string(cfg, "prompts");
    conf->templates_dir = conf_string(cfg, "templates");
    conf->topics = strcmp(cfg_getstr(cfg, "topics"), "on") == 0;
    conf->log_level = worker_log_level(cfg_getstr(cfg, "log_level"));
    conf->processes = (unsigned) cfg_getint(cfg, "processes");
    conf->slots = (unsigned) cfg_getint(cfg, "slots");
    conf->waiting = (unsigned) cfg_getint(cfg, "waiting");
    (void) !worker_conf_size_parse(cfg_getstr(cfg, "claim_check"),
                                   &conf->claim_check);
    worker_conf_duration(cfg, "lease_ttl", &conf->lease_ttl_ms);
    worker_conf_duration(cfg, "drain", &conf->drain_ms);
    conf_recycle(cfg, conf);

    return conf_autoscale(cfg, conf) == TRAVEL_OK
           ? conf_queues(cfg, conf) : TRAVEL_INVALID;
}


/* Networks that are not public and yet may be told. */
static int
conf_allow(cfg_t *cfg, worker_conf_t *conf)
{
    size_t       i, n;
    const char  *text;

    n = cfg_size(cfg, "webhook_allow");

    for (i = 0; i < n; i++) {
        text = cfg_getnstr(cfg, "webhook_allow", i);

        if (i == WORKER_ALLOW_MAX
            || travel_network_parse(&conf->webhook_allow[i], (travel_str_t) {
                                    text, strlen(text) }) != TRAVEL_OK)
        {
            cfg_error(cfg, "webhook_allow: \"%s\" is no network, write it "
                      "like 10.1.0.0/16 (%d at most)", text, WORKER_ALLOW_MAX);
            return TRAVEL_INVALID;
        }

        conf->nwebhook_allow++;
    }

    return TRAVEL_OK;
}


static int
conf_kafka(cfg_t *cfg, worker_conf_t *conf)
{
    char    why[256];
    cfg_t  *sec;
    size_t  i, n;

    sec = cfg_getsec(cfg, "kafka");
    conf->kafka_brokers = conf_string(sec, "brokers");
    n = cfg_size(sec, "properties");

    if (conf->kafka_brokers == NULL) {
        return TRAVEL_OK;
    }

    if (n >= WORKER_PROPERTIES_MAX) {
        cfg_error(sec, "kafka: more than %d properties",
                  WORKER_PROPERTIES_MAX - 1);
        return TRAVEL_INVALID;
    }

    conf->kafka_prefix = strdup(cfg_getstr(sec, "topic_prefix"));

    for (i = 0; i < n; i++) {
        conf->kafka_properties[i] = strdup(cfg_getnstr(sec, "properties", i));
    }

    if (!worker_kafka_check(conf, why)) {
        cfg_error(sec, "kafka: %s", why);
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static bool
conf_fill(cfg_t *cfg, worker_conf_t *conf)
{
    conf_otlp(cfg, conf);

    return conf_top(cfg, conf) == TRAVEL_OK
           && conf_allow(cfg, conf) == TRAVEL_OK
           && conf_redis(cfg, conf) == TRAVEL_OK
           && conf_postgres(cfg, conf) == TRAVEL_OK
           && conf_sealed(cfg, conf) == TRAVEL_OK
           && conf_smtp(cfg, conf) == TRAVEL_OK
           && conf_pushes(cfg, conf) == TRAVEL_OK
           && conf_kafka(cfg, conf) == TRAVEL_OK
           && conf_partners(cfg, conf) == TRAVEL_OK
           && worker_conf_work(cfg, conf) == TRAVEL_OK
           && conf_schedules(cfg, conf) == TRAVEL_OK
           && conf_etl(cfg, conf) == TRAVEL_OK;
}


worker_conf_t *
worker_conf_load(const char *path)
{
    int             rc;
    cfg_t          *cfg;
    worker_conf_t  *conf;

    conf = calloc(1, sizeof(worker_conf_t));
    cfg = cfg_init(conf_opts, CFGF_NONE);

    if (conf == NULL || cfg == NULL) {
        fprintf(stderr, "%s:0: out of memory\n", path);
        goto failed;
    }

    cfg_set_error_function(cfg, conf_complain);

    worker_conf_rules(cfg);

    conf->path = strdup(path);
    conf_reading = path;
    rc = cfg_parse(cfg, path);

    if (rc == CFG_FILE_ERROR) {
        fprintf(stderr, "%s:0: %s, name the file by -c\n", path,
                strerror(errno));
        goto failed;
    }

    if (rc != CFG_SUCCESS || !conf_fill(cfg, conf)) {
        goto failed;
    }

    cfg_free(cfg);
    return conf;

failed:

    if (cfg != NULL) {
        cfg_free(cfg);
    }

    worker_conf_free(conf);
    return NULL;
}


static void
conf_partner_free(worker_partner_t *partner)
{
    size_t  i;

    free(partner->code);
    free(partner->url);
    free(partner->key);

    for (i = 0; i < WORKER_HEADERS_MAX; i++) {
        free(partner->headers[i]);
    }
}


static void
conf_push_free(worker_push_conf_t *push)
{
    free(push->url);
    free(push->pem);
    free(push->key_id);
    free(push->client_email);
    free(push->project_id);
    free(push->token_url);
    free(push->team_id);
    free(push->topic);
    free(push->ca_file);
}


void
worker_conf_free(worker_conf_t *conf)
{
    size_t  i;

    if (conf == NULL) {
        return;
    }

    for (i = 0; i < conf->npartners; i++) {
        conf_partner_free(&conf->partners[i]);
    }

    for (i = 0; i < WORKER_PROPERTIES_MAX; i++) {
        free(conf->kafka_properties[i]);
    }

    free(conf->payments);
    free(conf->images);
    free(conf->kafka_brokers);
    free(conf->kafka_prefix);

    for (i = 0; i < WORKER_PUSH_SERVICES; i++) {
        conf_push_free(&conf->push[i]);
    }

    for (i = 0; i < conf->ntypes; i++) {
        free(conf->types[i].type);
    }

    for (i = 0; i < conf->nschedules; i++) {
        free(conf->schedules[i].name);
        free(conf->schedules[i].expression);
        free(conf->schedules[i].timezone);
        free(conf->schedules[i].type);
        free(conf->schedules[i].body);
    }

    for (i = 0; i < sizeof(conf->queues) / sizeof(conf->queues[0]); i++) {
        free(conf->queues[i]);
    }

    free(conf->path);
    free(conf->run_dir);
    free(conf->metrics);
    free(conf->redis_socket);
    free(conf->redis_user);
    free(conf->redis_password);
    free(conf->cache_socket);
    free(conf->cache_user);
    free(conf->cache_password);
    for (i = 0; i < conf->netl; i++) {
        free(conf->etl[i].name);
        free(conf->etl[i].file);
    }

    free(conf->pg_dsn);
    free(conf->analytics_dsn);
    free(conf->smtp_host);
    free(conf->smtp_from);
    free(conf->smtp_user);
    free(conf->smtp_password);
    free(conf->smtp_ca_file);
    free(conf->otlp_url);
    free(conf->prompts_dir);
    free(conf->templates_dir);
    travel_seal_free(conf->sealed_keys);
    free(conf);
}


const worker_partner_t *
worker_conf_partner(const worker_conf_t *conf, const char *code)
{
    size_t  i;

    for (i = 0; i < conf->npartners; i++) {
        if (strcmp(conf->partners[i].code, code) == 0) {
            return &conf->partners[i];
        }
    }

    return NULL;
}


const char *
worker_catch_up_name(worker_catch_up_e catch_up)
{
    static const char *const  names[] = { "skip", "once", "all" };

    return names[catch_up];
}


const worker_etl_t *
worker_conf_etl(const worker_conf_t *conf, const char *name)
{
    size_t  i;

    for (i = 0; i < conf->netl; i++) {
        if (strcmp(conf->etl[i].name, name) == 0) {
            return &conf->etl[i];
        }
    }

    return NULL;
}
