/*
 * Zero trust: directives, configuration, variables, and the timer that looks
 * at the databases.  A module of its own, so that its access handler runs
 * after auth's.
 */

#include "ngx_http_travel_risk.h"


#define NGX_HTTP_TRAVEL_RISK_REFRESH  1000    /* ms between two looks */


/* A line that needs what may stand elsewhere: checked when all is read. */
typedef struct {
    const char                       *name;
    ngx_http_travel_auth_loc_conf_t  *alcf;      /* of the line's location */
    ngx_str_t                         location;
    ngx_str_t                         file;
    ngx_uint_t                        line;
} ngx_http_travel_risk_check_t;


static ngx_int_t ngx_http_travel_risk_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_risk_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_risk_checks(ngx_conf_t *cf,
    ngx_http_travel_risk_main_conf_t *rmcf);
static ngx_int_t ngx_http_travel_risk_counters(ngx_conf_t *cf,
    ngx_http_travel_risk_main_conf_t *rmcf);
static void *ngx_http_travel_risk_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_risk_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_risk_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

static char *ngx_http_travel_risk_proxies(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_risk_geoip(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_risk_geo(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_risk_stepup(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_risk_score(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_risk_needs_auth(ngx_conf_t *cf,
    const char *name);

static ngx_int_t ngx_http_travel_risk_client_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_travel_risk_place_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_travel_risk_number_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_travel_risk_reasons_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static ngx_int_t ngx_http_travel_risk_init_process(ngx_cycle_t *cycle);
static void ngx_http_travel_risk_exit_process(ngx_cycle_t *cycle);
static void ngx_http_travel_risk_refresh(ngx_event_t *ev);


/* This process's timer. */
static ngx_event_t       ngx_http_travel_risk_timer;
static ngx_connection_t  ngx_http_travel_risk_ident;


static const char  *ngx_http_travel_risk_results[] = {
    "travel_risk_total{result=\"passed\"}",
    "travel_risk_total{result=\"reported\"}",
    "travel_risk_total{result=\"challenged\"}",
    "travel_risk_total{result=\"stepped_up\"}",
    "travel_risk_total{result=\"blocked\"}"
};

static const char  *ngx_http_travel_risk_signals[] = {
    "travel_risk_signals_total{signal=\"travel\"}",
    "travel_risk_signals_total{signal=\"country\"}",
    "travel_risk_signals_total{signal=\"device\"}",
    "travel_risk_signals_total{signal=\"failures\"}",
    "travel_risk_signals_total{signal=\"hours\"}"
};

static const char  *ngx_http_travel_risk_countries[] = {
    "travel_geo_total{result=\"allowed\"}",
    "travel_geo_total{result=\"denied\"}",
    "travel_geo_total{result=\"unknown_allowed\"}",
    "travel_geo_total{result=\"unknown_denied\"}"
};

static const char  *ngx_http_travel_risk_stepups[] = {
    "travel_stepup_total{result=\"asked\"}",
    "travel_stepup_total{result=\"met\"}"
};

static const char  *ngx_http_travel_risk_told_names[] = {
    "travel_risk_shared_total{result=\"sent\"}",
    "travel_risk_shared_total{result=\"dropped\"}",
    "travel_risk_shared_total{result=\"heard\"}",
    "travel_risk_shared_total{result=\"refused\"}"
};

static const char  *ngx_http_travel_risk_reloads[] = {
    "travel_geoip_reads_total{result=\"read\"}",
    "travel_geoip_reads_total{result=\"failed\"}"
};


static ngx_command_t  ngx_http_travel_risk_commands[] = {

    { ngx_string("travel_trusted_proxy"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_risk_proxies,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_geoip"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_travel_risk_geoip,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_geo"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_risk_geo,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_stepup"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_travel_risk_stepup,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_risk"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_risk_score,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_risk_shared"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_travel_risk_main_conf_t, shared),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_risk_module_ctx = {
    ngx_http_travel_risk_add_variables,    /* preconfiguration */
    ngx_http_travel_risk_init,             /* postconfiguration */

    ngx_http_travel_risk_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_risk_create_loc_conf,  /* create location configuration */
    ngx_http_travel_risk_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_travel_risk_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_risk_module_ctx,      /* module context */
    ngx_http_travel_risk_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_risk_init_process,     /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_travel_risk_exit_process,     /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_variable_t  ngx_http_travel_risk_variables[] = {

    { ngx_string("travel_client_ip"), NULL,
      ngx_http_travel_risk_client_variable,
      0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_binary_client_ip"), NULL,
      ngx_http_travel_risk_client_variable,
      1,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_country"), NULL, ngx_http_travel_risk_place_variable,
      offsetof(ngx_http_travel_risk_record_t, country),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_city"), NULL, ngx_http_travel_risk_place_variable,
      offsetof(ngx_http_travel_risk_record_t, city),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_lat"), NULL, ngx_http_travel_risk_number_variable,
      'a', NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_lon"), NULL, ngx_http_travel_risk_number_variable,
      'o', NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_asn"), NULL, ngx_http_travel_risk_number_variable,
      'n', NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_risk"), NULL, ngx_http_travel_risk_number_variable,
      'r', NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_risk_reasons"), NULL,
      ngx_http_travel_risk_reasons_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* --- configuration ------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_risk_add_variables(ngx_conf_t *cf)
{
    return ngx_http_travel_variables(cf, ngx_http_travel_risk_variables);
}


static void *
ngx_http_travel_risk_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_risk_main_conf_t  *rmcf;

    rmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_risk_main_conf_t));
    if (rmcf == NULL) {
        return NULL;
    }

    rmcf->shared = NGX_CONF_UNSET;

    /*
     * set by ngx_pcalloc():
     *
     *     rmcf->zone = NULL;
     *     rmcf->geo, stepup = 0;
     */

    if (ngx_array_init(&rmcf->databases, cf->pool, 2,
                       sizeof(ngx_http_travel_geoip_t *))
        != NGX_OK
        || ngx_array_init(&rmcf->checks, cf->pool, 4,
                          sizeof(ngx_http_travel_risk_check_t))
           != NGX_OK)
    {
        return NULL;
    }

    return rmcf;
}


static void *
ngx_http_travel_risk_create_loc_conf(ngx_conf_t *cf)
{
    /* all NULL: unset */
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_risk_loc_conf_t));
}


/* Each directive is one thing: inherited as a whole or not. */
static char *
ngx_http_travel_risk_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_travel_risk_loc_conf_t  *prev = parent;
    ngx_http_travel_risk_loc_conf_t  *conf = child;

    if (conf->proxies == NULL) {
        conf->proxies = prev->proxies;
    }

    if (conf->geo == NULL) {
        conf->geo = prev->geo;
    }

    if (conf->risk == NULL) {
        conf->risk = prev->risk;
    }

    if (!conf->stepup_set) {
        conf->stepup = prev->stepup;
        conf->stepup_set = prev->stepup_set;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_risk_proxies(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_risk_loc_conf_t  *rlcf = conf;

    if (rlcf->proxies != NULL) {
        return "is duplicate, name all proxies in one line";
    }

    rlcf->proxies = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_proxies_t));
    if (rlcf->proxies == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_travel_proxies_directive(cf, rlcf->proxies);
}


static char *
ngx_http_travel_risk_geoip(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_risk_main_conf_t  *rmcf = conf;

    return ngx_http_travel_geoip_directive(cf, &rmcf->databases);
}


static char *
ngx_http_travel_risk_geo(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_risk_loc_conf_t  *rlcf = conf;

    char                              *rv;
    ngx_http_travel_risk_check_t      *check;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    if (rlcf->geo != NULL) {
        return "is duplicate, name all countries in one line";
    }

    rlcf->geo = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_geo_t));
    if (rlcf->geo == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_travel_geo_directive(cf, rlcf->geo);

    if (rv != NGX_CONF_OK || rlcf->geo->mode == 0) {
        return rv;
    }

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_risk_module);
    rmcf->geo = 1;

    check = ngx_array_push(&rmcf->checks);
    if (check == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(check, sizeof(*check));
    check->file = rlcf->geo->file;
    check->line = rlcf->geo->line;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_risk_stepup(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_risk_loc_conf_t  *rlcf = conf;

    ngx_str_t                         *value;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    if (rlcf->stepup_set) {
        return "is duplicate";
    }

    rlcf->stepup_set = 1;
    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    rlcf->stepup = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_stepup_t));
    if (rlcf->stepup == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_travel_stepup_directive(cf, rlcf->stepup) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_risk_module);
    rmcf->stepup = 1;

    return ngx_http_travel_risk_needs_auth(cf, "travel_stepup");
}


static char *
ngx_http_travel_risk_score(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_risk_loc_conf_t  *rlcf = conf;

    char                              *rv;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    if (rlcf->risk != NULL) {
        return "is duplicate";
    }

    rlcf->risk = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_risk_t));
    if (rlcf->risk == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_travel_risk_directive(cf, rlcf->risk);

    if (rv != NGX_CONF_OK || !rlcf->risk->on) {
        return rv;
    }

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_risk_module);

    if (rmcf->zone == NULL) {
        rmcf->zone = ngx_http_travel_sightings_zone(cf);
        if (rmcf->zone == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_travel_risk_needs_auth(cf, "travel_risk");
}


/* Of a location's own line only: one above is for those below that ask who it
 * is. */
static char *
ngx_http_travel_risk_needs_auth(ngx_conf_t *cf, const char *name)
{
    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_travel_risk_check_t      *check;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    if (!(cf->cmd_type & NGX_HTTP_LOC_CONF)) {
        return NGX_CONF_OK;
    }

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_risk_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    check = ngx_array_push(&rmcf->checks);
    if (check == NULL) {
        return NGX_CONF_ERROR;
    }

    check->name = name;
    check->alcf = ngx_http_conf_get_module_loc_conf(cf,
                                                  ngx_http_travel_auth_module);
    check->location = clcf->name;
    check->file = cf->conf_file->file.name;
    check->line = cf->conf_file->line;

    return NGX_CONF_OK;
}


/* --- when all is read ---------------------------------------------------- */

static ngx_int_t
ngx_http_travel_risk_init(ngx_conf_t *cf)
{
    ngx_http_travel_risk_main_conf_t  *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_risk_module);

    ngx_conf_init_value(rmcf->shared, 0);

    if (ngx_http_travel_risk_shared_init(cf, rmcf) != NGX_OK
        || ngx_http_travel_risk_checks(cf, rmcf) != NGX_OK
        || ngx_http_travel_risk_counters(cf, rmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rmcf->geo
        && ngx_http_travel_phase(cf, NGX_HTTP_PREACCESS_PHASE,
                                 ngx_http_travel_geo_handler)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((rmcf->zone != NULL || rmcf->stepup)
        && ngx_http_travel_phase(cf, NGX_HTTP_ACCESS_PHASE,
                                 ngx_http_travel_risk_handler)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rmcf->zone != NULL
        && ngx_http_travel_phase(cf, NGX_HTTP_LOG_PHASE,
                                 ngx_http_travel_risk_log_handler)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_risk_checks(ngx_conf_t *cf,
    ngx_http_travel_risk_main_conf_t *rmcf)
{
    ngx_uint_t                     i;
    ngx_http_travel_risk_check_t  *check;

    check = rmcf->checks.elts;

    for (i = 0; i < rmcf->checks.nelts; i++) {

        if (check[i].alcf == NULL && rmcf->databases.nelts == 0) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"travel_geo\" knows no countries: add "
                          "\"travel_geoip FILE\" to http in %V:%ui",
                          &check[i].file, check[i].line);
            return NGX_ERROR;
        }

        if (check[i].alcf != NULL
            && check[i].alcf->mode == NGX_HTTP_TRAVEL_AUTH_OFF)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%s\" in location \"%V\" judges nobody: add "
                          "\"travel_auth required\" in %V:%ui", check[i].name,
                          &check[i].location, &check[i].file, check[i].line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_risk_declare(ngx_conf_t *cf, const char **names, ngx_int_t *to,
    ngx_uint_t n, const char *help)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        to[i] = ngx_http_travel_counter_add(cf, names[i], help);

        if (to[i] == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_risk_counters(ngx_conf_t *cf,
    ngx_http_travel_risk_main_conf_t *rmcf)
{
    static const char  *evicted[] = { "travel_risk_evicted_total" };
    static const char  *failures[] = { "travel_risk_failures_total" };

    if (rmcf->zone != NULL
        && (ngx_http_travel_risk_declare(cf, ngx_http_travel_risk_results,
                rmcf->results, NGX_HTTP_TRAVEL_RISK_RESULTS,
                "Requests by what followed from their risk score.")
            != NGX_OK
            || ngx_http_travel_risk_declare(cf, ngx_http_travel_risk_signals,
                   rmcf->signals, TRAVEL_RISK_SIGNALS,
                   "Requests whose score a signal raised.")
               != NGX_OK
            || ngx_http_travel_risk_declare(cf, evicted, &rmcf->evicted, 1,
                   "Users forgotten for want of room in the zone.")
               != NGX_OK
            || ngx_http_travel_risk_declare(cf, failures, &rmcf->failures, 1,
                   "Refused credentials that were counted.")
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (rmcf->shared
        && ngx_http_travel_risk_declare(cf, ngx_http_travel_risk_told_names,
               rmcf->told, NGX_HTTP_TRAVEL_RISK_TOLD,
               "Sightings of users between nodes.")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rmcf->geo
        && ngx_http_travel_risk_declare(cf, ngx_http_travel_risk_countries,
               rmcf->countries, NGX_HTTP_TRAVEL_GEO_RESULTS,
               "Requests by what travel_geo said of their country.")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rmcf->stepup
        && ngx_http_travel_risk_declare(cf, ngx_http_travel_risk_stepups,
               rmcf->stepups, 2, "Requests that travel_stepup looked at.")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rmcf->databases.nelts == 0) {
        return NGX_OK;
    }

    return ngx_http_travel_risk_declare(cf, ngx_http_travel_risk_reloads,
               rmcf->reloads, 2,
               "Changed databases, by each worker that read them.");
}


/* --- the request --------------------------------------------------------- */

ngx_http_travel_risk_record_t *
ngx_http_travel_risk_record(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    if (ctx->room[NGX_HTTP_TRAVEL_ROOM_RISK] == NULL) {
        ctx->room[NGX_HTTP_TRAVEL_ROOM_RISK] =
            ngx_pcalloc(r->main->pool, sizeof(ngx_http_travel_risk_record_t));
    }

    return ctx->room[NGX_HTTP_TRAVEL_ROOM_RISK];
}


static void
ngx_http_travel_risk_value(ngx_http_variable_value_t *v, const ngx_str_t *s)
{
    v->data = s->data;
    v->len = s->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}


static ngx_int_t
ngx_http_travel_risk_client_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                       binary;
    ngx_http_travel_risk_record_t  *record;

    record = ngx_http_travel_risk_record(r);

    if (record == NULL) {
        return NGX_ERROR;
    }

    if (data == 1) {
        ngx_http_travel_client_binary(r, record, &binary);
        ngx_http_travel_risk_value(v, &binary);
        return NGX_OK;
    }

    if (ngx_http_travel_client_text(r, record) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_travel_risk_value(v, &record->text);

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_risk_place_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                      *s;
    ngx_http_travel_risk_record_t  *record;

    record = ngx_http_travel_risk_record(r);

    if (record == NULL || ngx_http_travel_locate(r, record) != NGX_OK) {
        return NGX_ERROR;
    }

    s = (ngx_str_t *) ((u_char *) record + data);

    if (s->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_http_travel_risk_value(v, s);

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_risk_number_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                         *p;
    ngx_str_t                       s;
    ngx_uint_t                      known;
    ngx_http_travel_risk_record_t  *record;

    record = ngx_http_travel_risk_record(r);

    if (record == NULL) {
        return NGX_ERROR;
    }

    /* the score is read, never made, by its variable */
    if (data != 'r' && ngx_http_travel_locate(r, record) != NGX_OK) {
        return NGX_ERROR;
    }

    known = (data == 'r') ? record->judged
            : (data == 'n') ? (record->asn != 0) : record->placed;

    if (!known) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    s.data = p;

    switch (data) {

    case 'n':
        p = ngx_sprintf(p, "%uD", record->asn);
        break;

    case 'r':
        p = ngx_sprintf(p, "%.2f", record->score);
        break;

    default:
        p = ngx_sprintf(p, "%.4f", (data == 'a') ? record->lat : record->lon);
    }

    s.len = p - s.data;
    ngx_http_travel_risk_value(v, &s);

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_risk_reasons_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_travel_risk_record_t  *record;

    record = ngx_http_travel_risk_record(r);

    if (record == NULL) {
        return NGX_ERROR;
    }

    if (!record->judged || record->reasons.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_http_travel_risk_value(v, &record->reasons);

    return NGX_OK;
}


/* --- the process --------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_risk_init_process(ngx_cycle_t *cycle)
{
    ngx_event_t                       *ev;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_risk_module);

    if (rmcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    if (ngx_http_travel_risk_shared_start(cycle, rmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rmcf->databases.nelts == 0) {
        return NGX_OK;
    }

    ngx_http_travel_risk_ident.fd = (ngx_socket_t) -1;

    ev = &ngx_http_travel_risk_timer;
    ev->handler = ngx_http_travel_risk_refresh;
    ev->data = &ngx_http_travel_risk_ident;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_TRAVEL_RISK_REFRESH);

    return NGX_OK;
}


static void
ngx_http_travel_risk_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_travel_risk_timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_risk_timer);
    }
}


static void
ngx_http_travel_risk_refresh(ngx_event_t *ev)
{
    ngx_int_t                          rc;
    ngx_uint_t                         i;
    ngx_http_travel_geoip_t          **geoip;
    ngx_http_travel_risk_main_conf_t  *rmcf;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    rmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_travel_risk_module);
    geoip = rmcf->databases.elts;

    for (i = 0; i < rmcf->databases.nelts; i++) {
        rc = ngx_http_travel_geoip_refresh(geoip[i], ev->log);

        if (rc != NGX_DECLINED) {
            ngx_http_travel_count(rmcf->reloads[rc != NGX_OK], 1);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_TRAVEL_RISK_REFRESH);
}
