/*
 * travel_postgres ROLE "conninfo" [param=value ...]: what libpq will be given.
 *
 * libpq would resolve names while it connects, and block the nginx worker for
 * it; so names become "hostaddr" here, while blocking is allowed.  The host
 * stays for checking certificates.
 */

#include "ngx_http_travel_net.h"

#include <libpq-fe.h>
#include <stdio.h>

#define NGX_HTTP_TRAVEL_CONNINFO_MAX  64      /* keywords */


typedef struct {
    const char  *keywords[NGX_HTTP_TRAVEL_CONNINFO_MAX];
    const char  *values[NGX_HTTP_TRAVEL_CONNINFO_MAX];
    ngx_uint_t   n;
} ngx_http_travel_conninfo_t;

/* A line of the configuration while it is read. */
typedef struct {
    ngx_http_travel_pg_conf_t   server;
    ngx_http_travel_conninfo_t  conninfo;
} ngx_http_travel_pg_line_t;


static ngx_int_t ngx_http_travel_pg_parse(ngx_conf_t *cf, ngx_str_t *conninfo,
    ngx_http_travel_conninfo_t *ret_info);
static ngx_int_t ngx_http_travel_pg_namespace(ngx_conf_t *cf,
    ngx_http_travel_pg_conf_t *pc, ngx_http_travel_conninfo_t *info);
static const char *ngx_http_travel_pg_get(ngx_http_travel_conninfo_t *info,
    const char *keyword);
static void ngx_http_travel_pg_set(ngx_http_travel_conninfo_t *info,
    const char *keyword, const char *value);
static void ngx_http_travel_pg_default(ngx_http_travel_conninfo_t *info,
    const char *keyword, const char *value);
static ngx_int_t ngx_http_travel_pg_host(ngx_conf_t *cf,
    ngx_http_travel_conninfo_t *info);
static char *ngx_http_travel_pg_options(ngx_conf_t *cf, const char *given,
    ngx_msec_t timeout);
static ngx_int_t ngx_http_travel_pg_finish(ngx_conf_t *cf,
    ngx_http_travel_pg_conf_t *pc, ngx_http_travel_conninfo_t *info);
static ngx_int_t ngx_http_travel_pg_role(ngx_conf_t *cf, ngx_str_t *role,
    ngx_http_travel_net_conf_t *nmcf, ngx_http_travel_pg_conf_t *pc);
static char *ngx_http_travel_pg_password_file(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *path, void *conf);
static char *ngx_http_travel_pg_password_env(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *name, void *conf);


static struct {
    const char                 *word;
    ngx_http_travel_pg_role_e   role;
} ngx_http_travel_pg_roles[] = {
    { "primary",   NGX_HTTP_TRAVEL_PG_PRIMARY },
    { "replica",   NGX_HTTP_TRAVEL_PG_REPLICA },
    { "analytics", NGX_HTTP_TRAVEL_PG_ANALYTICS }
};


static const ngx_http_travel_param_t  ngx_http_travel_postgres_params[] = {

    { "connections", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_pg_line_t, server.info.connections),
      "1", "64", "4", NULL, 0 },

    { "pipeline", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_pg_line_t, server.pipeline),
      "1", "1024", "16", "queries in flight", 0 },

    { "queue", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_pg_line_t, server.queue),
      "0", "1000000", "1024", "queries that wait", 0 },

    { "slow", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_pg_line_t, server.slow),
      "1", "16", "1", "sessions", 0 },

    { "max_lag", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_pg_line_t, server.info.max_lag),
      "10ms", "1h", NULL, NULL, 0 },

    { "slow_start", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_pg_line_t, server.info.slow_start),
      "0", "10m", "5s", NULL, 0 },

    { "spill", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_pg_line_t, server.info.spill),
      "0", "1000000", NULL, "queries", 0 },

    { "timeout", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_pg_line_t, server.timeout),
      "10ms", "60s", "5s", NULL, 0 },

    { "slow_timeout", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_pg_line_t, server.slow_timeout),
      "10ms", "1h", "60s", NULL, 0 },

    { "password_file", ngx_http_travel_pg_password_file,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "password_env", ngx_http_travel_pg_password_env,
      0,
      NULL, NULL, NULL, NULL, 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_pg_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                    *value;
    ngx_http_travel_pg_conf_t    *made, *pc;
    ngx_http_travel_pg_line_t     line;
    ngx_http_travel_net_conf_t   *nmcf;

    (void) cmd;

    nmcf = conf;
    value = cf->args->elts;

    ngx_memzero(&line, sizeof(ngx_http_travel_pg_line_t));
    made = &line.server;
    made->info.max_lag = NGX_CONF_UNSET_MSEC;
    made->info.spill = NGX_CONF_UNSET_UINT;

    if (ngx_http_travel_pg_role(cf, &value[1], nmcf, made) != NGX_OK
        || ngx_http_travel_pg_parse(cf, &value[2], &line.conninfo) != NGX_OK
        || ngx_http_travel_params_whole(cf, ngx_http_travel_postgres_params, 3,
                                        &line)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    /* reports may be older; a primary may be given all it can take */

    ngx_conf_init_msec_value(made->info.max_lag,
                             made->info.role == NGX_HTTP_TRAVEL_PG_ANALYTICS
                             ? 600000 : 5000);
    ngx_conf_init_uint_value(made->info.spill,
                             made->info.connections * made->pipeline);

    if (ngx_http_travel_pg_host(cf, &line.conninfo) != NGX_OK
        || ngx_http_travel_pg_namespace(cf, made, &line.conninfo) != NGX_OK
        || ngx_http_travel_pg_finish(cf, made, &line.conninfo) != NGX_OK
        || ngx_http_travel_net_counters(cf, "postgres", &made->info.name,
                                        &made->counters)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    pc = ngx_array_push(&nmcf->servers);
    if (pc == NULL) {
        return NGX_CONF_ERROR;
    }

    *pc = *made;

    return NGX_CONF_OK;
}


/* Database and schema; the edge's statements name other schemas themselves. */
static ngx_int_t
ngx_http_travel_pg_namespace(ngx_conf_t *cf, ngx_http_travel_pg_conf_t *pc,
    ngx_http_travel_conninfo_t *info)
{
    u_char      *p;
    const char  *database;

    database = ngx_http_travel_pg_get(info, "dbname");

    p = ngx_pnalloc(cf->pool, ngx_strlen(database) + sizeof("|public"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    pc->info.namespace.data = p;
    pc->info.namespace.len = ngx_sprintf(p, "%s|public", database) - p;

    return NGX_OK;
}


ngx_uint_t
ngx_http_travel_pg_configured(ngx_conf_t *cf, ngx_http_travel_pg_role_e role)
{
    ngx_uint_t                   i, n;
    ngx_http_travel_pg_conf_t   *pc;
    ngx_http_travel_net_conf_t  *nmcf;

    nmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_net_module);
    pc = nmcf->servers.elts;

    for (n = 0, i = 0; i < nmcf->servers.nelts; i++) {
        n += (pc[i].info.role == role);
    }

    return n;
}


/* "primary", then "primary-2"; replicas count from one. */
static ngx_int_t
ngx_http_travel_pg_role(ngx_conf_t *cf, ngx_str_t *role,
    ngx_http_travel_net_conf_t *nmcf, ngx_http_travel_pg_conf_t *pc)
{
    u_char                     *p;
    ngx_uint_t                  i, n;
    ngx_http_travel_pg_conf_t  *other;

    n = sizeof(ngx_http_travel_pg_roles) / sizeof(ngx_http_travel_pg_roles[0]);

    for (i = 0; i < n; i++) {
        if (role->len == ngx_strlen(ngx_http_travel_pg_roles[i].word)
            && ngx_strncmp(role->data, ngx_http_travel_pg_roles[i].word,
                           role->len) == 0)
        {
            break;
        }
    }

    if (i == n) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_postgres\" role \"%V\" must be "
                           "\"primary\", \"replica\" or \"analytics\"", role);
        return NGX_ERROR;
    }

    pc->info.role = ngx_http_travel_pg_roles[i].role;

    other = nmcf->servers.elts;
    n = 1;

    for (i = 0; i < nmcf->servers.nelts; i++) {
        n += (other[i].info.role == pc->info.role);
    }

    if (n == 1 && pc->info.role == NGX_HTTP_TRAVEL_PG_PRIMARY) {
        pc->info.name = *role;
        return NGX_OK;
    }

    p = ngx_pnalloc(cf->pool, role->len + 1 + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    pc->info.name.data = p;
    pc->info.name.len = ngx_sprintf(p, "%V-%ui", role, n) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_pg_parse(ngx_conf_t *cf, ngx_str_t *conninfo,
    ngx_http_travel_conninfo_t *ret_info)
{
    char              *text, *why;
    ngx_str_t          s;
    PQconninfoOption  *options, *o;

    ngx_memzero(ret_info, sizeof(ngx_http_travel_conninfo_t));

    text = ngx_http_travel_net_cstr(cf->pool, conninfo);
    if (text == NULL) {
        return NGX_ERROR;
    }

    why = NULL;
    options = PQconninfoParse(text, &why);

    if (options == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_postgres\" connection string: %s",
                           why ? why : "out of memory");
        PQfreemem(why);
        return NGX_ERROR;
    }

    for (o = options; o->keyword; o++) {

        if (o->val == NULL || o->val[0] == '\0') {
            continue;
        }

        s.data = (u_char *) o->keyword;
        s.len = ngx_strlen(o->keyword);
        text = ngx_http_travel_net_cstr(cf->pool, &s);

        s.data = (u_char *) o->val;
        s.len = ngx_strlen(o->val);
        why = ngx_http_travel_net_cstr(cf->pool, &s);

        if (text == NULL || why == NULL) {
            PQconninfoFree(options);
            return NGX_ERROR;
        }

        ngx_http_travel_pg_set(ret_info, text, why);
    }

    PQconninfoFree(options);

    if (ngx_http_travel_pg_get(ret_info, "user") == NULL
        || ngx_http_travel_pg_get(ret_info, "dbname") == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_postgres\" connection string must have "
                           "user= and dbname=");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static const char *
ngx_http_travel_pg_get(ngx_http_travel_conninfo_t *info, const char *keyword)
{
    ngx_uint_t  i;

    for (i = 0; i < info->n; i++) {
        if (ngx_strcmp(info->keywords[i], keyword) == 0) {
            return info->values[i];
        }
    }

    return NULL;
}


static void
ngx_http_travel_pg_set(ngx_http_travel_conninfo_t *info, const char *keyword,
    const char *value)
{
    ngx_uint_t  i;

    for (i = 0; i < info->n; i++) {
        if (ngx_strcmp(info->keywords[i], keyword) == 0) {
            info->values[i] = value;
            return;
        }
    }

    /* libpq knows about 40 keywords; one stays for the NULL */

    if (info->n < NGX_HTTP_TRAVEL_CONNINFO_MAX - 1) {
        info->keywords[info->n] = keyword;
        info->values[info->n] = value;
        info->n++;
    }
}


static void
ngx_http_travel_pg_default(ngx_http_travel_conninfo_t *info,
    const char *keyword, const char *value)
{
    if (ngx_http_travel_pg_get(info, keyword) == NULL) {
        ngx_http_travel_pg_set(info, keyword, value);
    }
}


/* All addresses of a name as libpq takes them: two lists of equal length. */
static ngx_int_t
ngx_http_travel_pg_host(ngx_conf_t *cf, ngx_http_travel_conninfo_t *info)
{
    char        **addrs, *hosts, *list, *h, *l;
    size_t        size;
    ngx_str_t     name;
    ngx_uint_t    i, n;
    const char   *host;

    host = ngx_http_travel_pg_get(info, "host");

    if (host && ngx_strchr(host, ',')) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_postgres\" takes one host; write one "
                           "directive per server");
        return NGX_ERROR;
    }

    if (host == NULL || host[0] == '/' || host[0] == '@'
        || ngx_http_travel_pg_get(info, "hostaddr"))
    {
        return NGX_OK;
    }

    name.data = (u_char *) host;
    name.len = ngx_strlen(host);

    if (ngx_http_travel_net_resolve(cf, &name, 5432, &addrs, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    size = n * (name.len + 1);
    hosts = ngx_pnalloc(cf->pool, size);
    list = ngx_pnalloc(cf->pool, n * (NGX_SOCKADDR_STRLEN + 1));

    if (hosts == NULL || list == NULL) {
        return NGX_ERROR;
    }

    h = hosts;
    l = list;

    for (i = 0; i < n; i++) {
        h = (char *) ngx_cpymem(h, host, name.len);
        *h++ = ',';
        l = (char *) ngx_cpymem(l, addrs[i], ngx_strlen(addrs[i]));
        *l++ = ',';
    }

    h[-1] = '\0';
    l[-1] = '\0';

    ngx_http_travel_pg_set(info, "host", hosts);
    ngx_http_travel_pg_set(info, "hostaddr", list);

    return NGX_OK;
}


/* Settings as start-up options, so that no SET is ever sent. */
static char *
ngx_http_travel_pg_options(ngx_conf_t *cf, const char *given,
    ngx_msec_t timeout)
{
    char    *p;
    size_t   size;

    given = given ? given : "";
    size = ngx_strlen(given) + 160;

    p = ngx_pnalloc(cf->pool, size);

    if (p) {
        (void) snprintf(p, size, "%s -c TimeZone=UTC -c statement_timeout=%u"
                        " -c default_transaction_read_only=on", given,
                        (unsigned) timeout);
    }

    return p;
}


static ngx_int_t
ngx_http_travel_pg_finish(ngx_conf_t *cf, ngx_http_travel_pg_conf_t *pc,
    ngx_http_travel_conninfo_t *info)
{
    size_t        size;
    char         *fast, *slow;
    const char   *given, **all;
    ngx_uint_t    i;

    given = ngx_http_travel_pg_get(info, "options");
    fast = ngx_http_travel_pg_options(cf, given, pc->timeout);
    slow = ngx_http_travel_pg_options(cf, given, pc->slow_timeout);

    if (fast == NULL || slow == NULL) {
        return NGX_ERROR;
    }

    ngx_http_travel_pg_set(info, "client_encoding", "UTF8");
    ngx_http_travel_pg_default(info, "application_name", "travel-edge");
    ngx_http_travel_pg_default(info, "tcp_user_timeout", "10000");
    ngx_http_travel_pg_default(info, "keepalives_idle", "30");
    ngx_http_travel_pg_default(info, "keepalives_interval", "10");
    ngx_http_travel_pg_default(info, "keepalives_count", "3");

    /* a ticket cache may be on the network: only if asked for */

    ngx_http_travel_pg_default(info, "gssencmode", "disable");
    ngx_http_travel_pg_set(info, "options", fast);

    size = (info->n + 1) * sizeof(char *);

    all = ngx_pcalloc(cf->pool, 3 * size);
    if (all == NULL) {
        return NGX_ERROR;
    }

    pc->keywords = all;
    pc->values_fast = all + info->n + 1;
    pc->values_slow = pc->values_fast + info->n + 1;

    for (i = 0; i < info->n; i++) {
        pc->keywords[i] = info->keywords[i];
        pc->values_fast[i] = info->values[i];
        pc->values_slow[i] = (info->values[i] == fast) ? slow
                                                       : info->values[i];
    }

    return NGX_OK;
}


static char *
ngx_http_travel_pg_password_file(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *path, void *conf)
{
    ngx_http_travel_pg_line_t  *line = conf;

    char       *text;
    ngx_str_t   secret;

    (void) param;

    if (ngx_http_travel_net_secret(cf, path, &secret) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    text = ngx_http_travel_net_cstr(cf->pool, &secret);
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_http_travel_pg_set(&line->conninfo, "password", text);

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_pg_password_env(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *name, void *conf)
{
    ngx_http_travel_pg_line_t  *line = conf;

    char       *text;
    ngx_str_t   secret;

    (void) param;

    text = ngx_http_travel_net_cstr(cf->pool, name);
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }

    text = getenv(text);

    if (text == NULL || *text == '\0') {
        return "names a variable that is not in nginx's environment: set it "
               "where nginx is started";
    }

    secret.data = (u_char *) text;
    secret.len = ngx_strlen(text);

    text = ngx_http_travel_net_cstr(cf->pool, &secret);
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_http_travel_pg_set(&line->conninfo, "password", text);

    return NGX_CONF_OK;
}
