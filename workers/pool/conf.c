/*
 * workers.conf: read by libconfuse, checked once, then immutable.
 *
 * libconfuse knows sections, titles and includes; what a duration is and what
 * a port may be is judged here, so that each refusal names file and line.
 */

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <confuse.h>

#include "conf.h"
#include "log.h"
#include "../../common/queues.h"

#define CONF_DAY_MS  (24L * 3600 * 1000)


static cfg_opt_t  conf_redis_opts[] = {
    CFG_STR("socket", NULL, CFGF_NONE),
    CFG_STR("user", NULL, CFGF_NONE),
    CFG_STR("password_file", NULL, CFGF_NONE),
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
    CFG_STR("starttls", "off", CFGF_NONE),
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
    CFG_STR("timeout", "5s", CFGF_NONE),
    CFG_INT("concurrency", 16, CFGF_NONE),
    CFG_STR_LIST("header", "{}", CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_type_opts[] = {
    CFG_INT("retries", -1, CFGF_NONE),
    CFG_STR("base", NULL, CFGF_NONE),
    CFG_STR("cap", NULL, CFGF_NONE),
    CFG_STR("timeout", NULL, CFGF_NONE),
    CFG_END()
};

static cfg_opt_t  conf_opts[] = {
    CFG_STR("run_dir", "run", CFGF_NONE),
    CFG_INT("processes", 2, CFGF_NONE),
    CFG_INT("slots", 16, CFGF_NONE),
    CFG_STR("log_level", "info", CFGF_NONE),
    CFG_STR_LIST("queues", "{}", CFGF_NONE),
    CFG_STR("lease_ttl", "10s", CFGF_NONE),
    CFG_STR("drain", "30s", CFGF_NONE),
    CFG_STR("metrics", NULL, CFGF_NONE),
    CFG_STR("prompts", "conf/travel/prompts", CFGF_NONE),
    CFG_STR("templates", "conf/travel/templates", CFGF_NONE),
    CFG_STR("sealed_key", NULL, CFGF_NONE),
    CFG_SEC("redis", conf_redis_opts, CFGF_TITLE | CFGF_MULTI),
    CFG_SEC("postgres", conf_postgres_opts, CFGF_TITLE | CFGF_MULTI),
    CFG_SEC("smtp", conf_smtp_opts, CFGF_NONE),
    CFG_SEC("otlp", conf_otlp_opts, CFGF_NONE),
    CFG_SEC("partner", conf_partner_opts, CFGF_TITLE | CFGF_MULTI),
    CFG_SEC("type", conf_type_opts, CFGF_TITLE | CFGF_MULTI),
    CFG_FUNC("include", &cfg_include),
    CFG_END()
};


/* One line for whatever libconfuse or we have to say. */
static void
conf_complain(cfg_t *cfg, const char *fmt, va_list ap)
{
    char  what[512];

    vsnprintf(what, sizeof(what), fmt, ap);

    fprintf(stderr, "%s:%d: %s\n",
            cfg != NULL && cfg->filename != NULL ? cfg->filename
                                                 : "workers.conf",
            cfg != NULL ? cfg->line : 0, what);
}


static char *
conf_string(cfg_t *cfg, const char *name)
{
    char  *v;

    v = cfg_getstr(cfg, name);

    return v != NULL && *v ? strdup(v) : NULL;
}


/* "10s", "250ms", "5m", "2h", "1d"; a bare number is refused: of what? */
static int
conf_duration_parse(const char *text, long *ret_ms)
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


/* Leaves *ms alone when the option is not given. */
static int
conf_duration(cfg_t *cfg, const char *name, long min, long *ms)
{
    long         v;
    const char  *text;

    text = cfg_getstr(cfg, name);

    if (text == NULL) {
        return TRAVEL_OK;
    }

    if (conf_duration_parse(text, &v) != TRAVEL_OK || v < min) {
        cfg_error(cfg, "%s = \"%s\" is not a duration of at least %ldms, "
                  "write it like 250ms, 10s, 5m, 2h or 1d", name, text, min);
        return TRAVEL_INVALID;
    }

    *ms = v;
    return TRAVEL_OK;
}


static int
conf_number(cfg_t *cfg, const char *name, long min, long max, unsigned *ret_v)
{
    long  v;

    v = cfg_getint(cfg, name);

    if (v < min || v > max) {
        cfg_error(cfg, "%s = %ld is outside %ld..%ld", name, v, min, max);
        return TRAVEL_INVALID;
    }

    *ret_v = (unsigned) v;
    return TRAVEL_OK;
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

    conf->redis_socket = conf_string(sec, "socket");
    conf->redis_user = conf_string(sec, "user");

    return conf_secret(sec, "password_file", &conf->redis_password);
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
conf_postgres(cfg_t *cfg, worker_conf_t *conf)
{
    int          rc;
    char        *password;
    cfg_t       *sec;
    const char  *dsn;

    sec = cfg_gettsec(cfg, "postgres", "primary");
    dsn = sec != NULL ? cfg_getstr(sec, "dsn") : NULL;

    if (dsn == NULL) {
        cfg_error(cfg, "no postgres primary { dsn = ... }: name the "
                  "database that jobs write to");
        return TRAVEL_INVALID;
    }

    password = NULL;
    rc = conf_secret(sec, "password_file", &password);

    if (rc != TRAVEL_OK) {
        return rc;
    }

    conf->pg_dsn = password != NULL ? conf_dsn_merge(dsn, password)
                                    : strdup(dsn);
    free(password);

    return conf->pg_dsn != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


static int
conf_smtp(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t       *sec;
    const char  *tls;

    sec = cfg_getsec(cfg, "smtp");
    tls = cfg_getstr(sec, "starttls");

    if (strcmp(tls, "off") != 0 && strcmp(tls, "required") != 0) {
        cfg_error(sec, "starttls = \"%s\" is neither \"off\" nor \"required\"",
                  tls);
        return TRAVEL_INVALID;
    }

    conf->smtp_starttls = strcmp(tls, "required") == 0;
    conf->smtp_host = conf_string(sec, "host");
    conf->smtp_from = conf_string(sec, "from");
    conf->smtp_user = conf_string(sec, "user");

    if (conf_number(sec, "port", 1, 65535, &conf->smtp_port) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    return conf_secret(sec, "password_file", &conf->smtp_password);
}


static int
conf_otlp(cfg_t *cfg, worker_conf_t *conf)
{
    cfg_t  *sec;

    sec = cfg_getsec(cfg, "otlp");
    conf->otlp_url = conf_string(sec, "url");
    conf->otlp_sample = cfg_getfloat(sec, "sample");

    if (conf->otlp_sample < 0 || conf->otlp_sample > 1) {
        cfg_error(sec, "sample = %g is outside 0..1", conf->otlp_sample);
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static int
conf_partner(cfg_t *sec, worker_partner_t *partner)
{
    size_t       i, n;
    const char  *url;

    url = cfg_getstr(sec, "url");

    if (url == NULL || (strncmp(url, "http://", 7) != 0
                        && strncmp(url, "https://", 8) != 0))
    {
        cfg_error(sec, "partner %s needs url = \"http://...\" or "
                  "\"https://...\"", cfg_title(sec));
        return TRAVEL_INVALID;
    }

    partner->code = strdup(cfg_title(sec));
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

        if (strchr(partner->headers[i], ':') == NULL) {
            cfg_error(sec, "header \"%s\" has no colon", partner->headers[i]);
            return TRAVEL_INVALID;
        }
    }

    if (conf_duration(sec, "timeout", 1, &partner->timeout_ms) != TRAVEL_OK
        || conf_number(sec, "concurrency", 1, 1024, &partner->concurrency)
           != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    return conf_secret(sec, "key_file", &partner->key);
}


static int
conf_partners(cfg_t *cfg, worker_conf_t *conf)
{
    size_t  i, n;

    n = cfg_size(cfg, "partner");

    if (n > WORKER_PARTNERS_MAX) {
        cfg_error(cfg, "more than %d partners", WORKER_PARTNERS_MAX);
        return TRAVEL_INVALID;
    }

    for (i = 0; i < n; i++) {
        conf->npartners++;          /* first, so that free sees the row */

        if (conf_partner(cfg_getnsec(cfg, "partner", i), &conf->partners[i])
            != TRAVEL_OK)
        {
            return TRAVEL_INVALID;
        }
    }

    return TRAVEL_OK;
}


static int
conf_type(cfg_t *sec, worker_type_conf_t *type)
{
    type->base_ms = -1;
    type->cap_ms = -1;
    type->timeout_ms = -1;
    type->type = strdup(cfg_title(sec));
    type->retries = (int) cfg_getint(sec, "retries");

    if (type->retries < -1 || type->retries > 1000) {
        cfg_error(sec, "retries = %d is outside 0..1000", type->retries);
        return TRAVEL_INVALID;
    }

    if (conf_duration(sec, "base", 1, &type->base_ms) != TRAVEL_OK
        || conf_duration(sec, "cap", 1, &type->cap_ms) != TRAVEL_OK
        || conf_duration(sec, "timeout", 1, &type->timeout_ms) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static int
conf_types(cfg_t *cfg, worker_conf_t *conf)
{
    size_t  i, n;

    n = cfg_size(cfg, "type");

    if (n > WORKER_TYPES_MAX) {
        cfg_error(cfg, "more than %d types", WORKER_TYPES_MAX);
        return TRAVEL_INVALID;
    }

    for (i = 0; i < n; i++) {
        conf->ntypes++;

        if (conf_type(cfg_getnsec(cfg, "type", i), &conf->types[i])
            != TRAVEL_OK)
        {
            return TRAVEL_INVALID;
        }
    }

    return TRAVEL_OK;
}


/* Which queues this pool serves; all of them when nothing is said. */
static int
conf_queues(cfg_t *cfg, worker_conf_t *conf)
{
    size_t        i, j, n, max;
    travel_str_t  name;

    max = sizeof(conf->queues) / sizeof(conf->queues[0]) - 1;
    n = cfg_size(cfg, "queues");

    for (i = 0; n == 0 && i < max && travel_queue_name(i) != NULL; i++) {
        conf->queues[i] = strdup(travel_queue_name(i));
    }

    for (i = 0; i < n; i++) {
        name.data = cfg_getnstr(cfg, "queues", i);
        name.len = strlen(name.data);

        if (!travel_queue_exists(name) || i == max) {
            cfg_error(cfg, "queues: there is no queue \"%s\"", name.data);
            return TRAVEL_INVALID;
        }

        for (j = 0; j < i; j++) {
            if (strcmp(conf->queues[j], name.data) == 0) {
                cfg_error(cfg, "queues: \"%s\" is named twice", name.data);
                return TRAVEL_INVALID;
            }
        }

        conf->queues[i] = strdup(name.data);
    }

    return TRAVEL_OK;
}


static int
conf_top(cfg_t *cfg, worker_conf_t *conf)
{
    conf->run_dir = conf_string(cfg, "run_dir");
    conf->metrics = conf_string(cfg, "metrics");
    conf->prompts_dir = conf_string(cfg, "prompts");
    conf->templates_dir = conf_string(cfg, "templates");
    conf->sealed_key = conf_string(cfg, "sealed_key");
    conf->log_level = worker_log_level(cfg_getstr(cfg, "log_level"));

    if (conf->log_level < 0) {
        cfg_error(cfg, "log_level = \"%s\" is none of error, warn, info, "
                  "debug", cfg_getstr(cfg, "log_level"));
        return TRAVEL_INVALID;
    }

    if (conf->metrics != NULL && strrchr(conf->metrics, ':') == NULL) {
        cfg_error(cfg, "metrics = \"%s\" is not host:port", conf->metrics);
        return TRAVEL_INVALID;
    }

    if (conf_number(cfg, "processes", 1, 64, &conf->processes) != TRAVEL_OK
        || conf_number(cfg, "slots", 1, 256, &conf->slots) != TRAVEL_OK
        || conf_duration(cfg, "lease_ttl", 1000, &conf->lease_ttl_ms)
           != TRAVEL_OK
        || conf_duration(cfg, "drain", 0, &conf->drain_ms) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    return conf_queues(cfg, conf);
}


static bool
conf_fill(cfg_t *cfg, worker_conf_t *conf)
{
    return conf_top(cfg, conf) == TRAVEL_OK
           && conf_redis(cfg, conf) == TRAVEL_OK
           && conf_postgres(cfg, conf) == TRAVEL_OK
           && conf_smtp(cfg, conf) == TRAVEL_OK
           && conf_otlp(cfg, conf) == TRAVEL_OK
           && conf_partners(cfg, conf) == TRAVEL_OK
           && conf_types(cfg, conf) == TRAVEL_OK;
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
    conf->path = strdup(path);
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

    for (i = 0; i < conf->ntypes; i++) {
        free(conf->types[i].type);
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
    free(conf->pg_dsn);
    free(conf->smtp_host);
    free(conf->smtp_from);
    free(conf->smtp_user);
    free(conf->smtp_password);
    free(conf->otlp_url);
    free(conf->prompts_dir);
    free(conf->templates_dir);
    free(conf->sealed_key);
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
