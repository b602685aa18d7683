/*
 * workers.conf: read by libconfuse, checked once, then immutable.
 *
 * libconfuse knows sections, titles and includes; what a value may be is in
 * conf_value.c, what goes together with what is here, in conf_work.c (job types
 * and queues), conf_accounts.c and conf_outside.c (whom the workers call).
 */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <confuse.h>
#include <libpq-fe.h>

#include "conf_parts.h"
#include "log.h"
#include "../jobs/job.h"
#include "../../common/seal.h"

#define CONF_MAX  (1024 * 1024)     /* of the file */

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

static cfg_opt_t  conf_otlp_opts[] = {
    CFG_STR("url", NULL, CFGF_NONE),
    CFG_FLOAT("sample", 0.1, CFGF_NONE),
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
    CFG_STR("run_dir", NULL, CFGF_DEPRECATED),  /* of older files */
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
    CFG_SEC("redis", conf_redis_opts,
            CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
    CFG_SEC("postgres", conf_postgres_opts,
            CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
    CFG_SEC("smtp", worker_conf_smtp_opts, CFGF_NONE),
    CFG_SEC("push", worker_conf_push_opts,
            CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
    CFG_SEC("otlp", conf_otlp_opts, CFGF_NONE),
    CFG_SEC("accounts", worker_conf_accounts_opts, CFGF_NONE),
    CFG_SEC("kafka", worker_conf_kafka_opts, CFGF_NONE),
    CFG_SEC("partner", worker_conf_partner_opts,
            CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
    CFG_SEC("type", worker_conf_type_opts,
            CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
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


char *
worker_conf_string(cfg_t *cfg, const char *name)
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
int
worker_conf_secret(cfg_t *cfg, const char *name, char **ret_secret)
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


/* A section of another name would be read by nobody. */
static int
conf_roles(cfg_t *cfg, const char *section, const char *one, const char *other)
{
    cfg_t   *sec;
    size_t   i;

    for (i = 0; i < cfg_size(cfg, section); i++) {
        sec = cfg_getnsec(cfg, section, i);

        if (strcmp(cfg_title(sec), one) != 0
            && strcmp(cfg_title(sec), other) != 0)
        {
            cfg_error(sec, "%s \"%s\": there are \"%s\" and \"%s\"",
                      section, cfg_title(sec), one, other);
            return TRAVEL_INVALID;
        }
    }

    return TRAVEL_OK;
}


static int
conf_redis(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t  *sec;

    if (conf_roles(cfg, "redis", "queue", "cache") != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    sec = cfg_gettsec(cfg, "redis", "queue");

    if (sec == NULL || cfg_getstr(sec, "socket") == NULL) {
        cfg_error(cfg, "no redis queue { socket = ... }: name the queue "
                  "Redis by its Unix socket or host:port");
        return TRAVEL_INVALID;
    }

    if (conf_redis_check(cfg, sec, true) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    conf->redis_socket = worker_conf_string(sec, "socket");
    conf->redis_user = worker_conf_string(sec, "user");
    conf->redis_cluster = cfg_getbool(sec, "cluster");
    conf->redis_acks = cfg_getint(sec, "acks");

    if (worker_conf_secret(sec, "password_file", &conf->redis_password)
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

    conf->cache_socket = worker_conf_string(sec, "socket");
    conf->cache_user = worker_conf_string(sec, "user");

    return worker_conf_secret(sec, "password_file", &conf->cache_password);
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


static int
conf_dsn_check(cfg_t *sec, const char *title, const char *dsn)
{
    char              *why;
    PQconninfoOption  *options;

    why = NULL;
    options = PQconninfoParse(dsn, &why);

    if (options == NULL) {
        cfg_error(sec, "postgres %s: dsn: %.*s", title,
                  why != NULL ? (int) strcspn(why, "\n") : 13,
                  why != NULL ? why : "out of memory");
    }

    PQconninfoFree(options);
    PQfreemem(why);
    return options != NULL ? TRAVEL_OK : TRAVEL_INVALID;
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

    if (conf_dsn_check(sec, title, dsn) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    password = NULL;
    rc = worker_conf_secret(sec, "password_file", &password);

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

    rc = conf_roles(cfg, "postgres", "primary", "analytics");

    if (rc == TRAVEL_OK) {
        rc = conf_database(cfg, "primary", &conf->pg_dsn);
    }

    if (rc == TRAVEL_OK && conf->pg_dsn == NULL) {
        cfg_error(cfg, "no postgres primary { dsn = ... }: name the "
                  "database that jobs write to");
        return TRAVEL_INVALID;
    }

    return rc == TRAVEL_OK
           ? conf_database(cfg, "analytics", &conf->analytics_dsn) : rc;
}


static void
conf_otlp(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t  *sec;

    sec = cfg_getsec(cfg, "otlp");
    conf->otlp_url = worker_conf_string(sec, "url");
    conf->otlp_sample = cfg_getfloat(sec, "sample");
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
    schedule->body = worker_conf_string(sec, "body");
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
    conf->metrics = worker_conf_string(cfg, "metrics");
    conf->prompts_dir = worker_conf_string(cfg, "prompts");
    conf->templates_dir = worker_conf_string(cfg, "templates");
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


static bool
conf_fill(cfg_t *cfg, worker_conf_t *conf)
{
    conf_otlp(cfg, conf);

    return conf_top(cfg, conf) == TRAVEL_OK
           && conf_redis(cfg, conf) == TRAVEL_OK
           && conf_postgres(cfg, conf) == TRAVEL_OK
           && conf_sealed(cfg, conf) == TRAVEL_OK
           && worker_conf_accounts(cfg, conf) == TRAVEL_OK
           && worker_conf_outside(cfg, conf) == TRAVEL_OK
           && worker_conf_work(cfg, conf) == TRAVEL_OK
           && conf_schedules(cfg, conf) == TRAVEL_OK
           && conf_etl(cfg, conf) == TRAVEL_OK;
}


/*
 * Comments become blanks: libconfuse (3.3) counts lines that begin with one
 * more than once, and its complaints would name the wrong line.
 */
static void
conf_blank(char *p)
{
    char  *end, quote;
    bool   begins;                  /* a comment may begin here */

    quote = '\0';
    begins = true;

    for ( ; *p != '\0'; p++) {

        if (quote != '\0') {
            if (*p == '\\' && p[1] != '\0') {
                p++;
            } else if (*p == quote) {
                quote = '\0';
            }

        } else if (*p == '"' || *p == '\'') {
            quote = *p;

        } else if (begins && p[0] == '/' && p[1] == '*'
                   && (end = strstr(p + 2, "*/")) != NULL)
        {
            for (end += 2; p < end; p++) {
                *p = *p == '\n' ? '\n' : ' ';
            }

            p--;

        } else if (begins && (*p == '#' || (p[0] == '/' && p[1] == '/'))) {
            memset(p, ' ', strcspn(p, "\n"));
        }

        begins = isspace((unsigned char) *p);
    }
}


/* As cfg_parse(). */
static int
conf_parse(cfg_t *cfg, const char *path)
{
    int      rc;
    char    *text;
    FILE    *f;
    size_t   n;

    f = fopen(path, "re");

    if (f == NULL) {
        return CFG_FILE_ERROR;
    }

    text = calloc(1, CONF_MAX + 2);
    n = text != NULL ? fread(text, 1, CONF_MAX, f) : CONF_MAX;
    fclose(f);

    if (n == CONF_MAX) {
        free(text);
        errno = EFBIG;
        return CFG_FILE_ERROR;
    }

    text[n] = '\n';
    conf_blank(text);

    f = fmemopen(text, n + 1, "r");
    cfg->filename = strdup(path);
    rc = f != NULL ? cfg_parse_fp(cfg, f) : CFG_FILE_ERROR;

    if (f != NULL) {
        fclose(f);
    }

    free(text);
    return rc;
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
    rc = conf_parse(cfg, path);

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


void
worker_conf_free(worker_conf_t *conf)
{
    size_t  i;

    if (conf == NULL) {
        return;
    }

    worker_conf_outside_free(conf);
    worker_conf_accounts_free(conf);

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
    free(conf->otlp_url);
    free(conf->prompts_dir);
    free(conf->templates_dir);
    travel_seal_free(conf->sealed_keys);
    free(conf);
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
