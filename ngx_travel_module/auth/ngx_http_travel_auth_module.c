/*
 * Who are you?  Directives, configuration, variables, and the timer that looks
 * at the key files; the question itself is asked in auth_access.
 */

#include "ngx_http_travel_bearer.h"
#include "../net/ngx_http_travel_pg.h"


#define NGX_HTTP_TRAVEL_AUTH_REFRESH  1000        /* ms between two looks */


static ngx_int_t ngx_http_travel_auth_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_auth_init(ngx_conf_t *cf);
static void *ngx_http_travel_auth_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_auth_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_auth_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_travel_auth_inherit(ngx_conf_t *cf,
    ngx_http_travel_auth_loc_conf_t *prev,
    ngx_http_travel_auth_loc_conf_t *conf);
static char *ngx_http_travel_auth_resolve(ngx_conf_t *cf,
    ngx_http_travel_auth_loc_conf_t *conf);

static char *ngx_http_travel_auth_jwks(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_auth_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_auth_require_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_auth_budget(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_auth_api_key(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_auth_claim_header(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_travel_auth_precontent(ngx_http_request_t *r);
static char *ngx_http_travel_auth_revocation(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_http_travel_require_t *ngx_http_travel_auth_require_line(
    ngx_conf_t *cf, ngx_http_travel_auth_loc_conf_t *alcf);
static char *ngx_http_travel_auth_require_all(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_auth_require_any(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_auth_permission(ngx_conf_t *cf,
    ngx_array_t *permissions, ngx_str_t text);

static ngx_int_t ngx_http_travel_auth_init_process(ngx_cycle_t *cycle);
static void ngx_http_travel_auth_exit_process(ngx_cycle_t *cycle);
static void ngx_http_travel_auth_refresh(ngx_event_t *ev);


/* This process's refresh timer. */
static ngx_event_t           ngx_http_travel_auth_timer;
static ngx_connection_t      ngx_http_travel_auth_ident;


static ngx_conf_enum_t  ngx_http_travel_auth_modes[] = {
    { ngx_string("off"), NGX_HTTP_TRAVEL_AUTH_OFF },
    { ngx_string("optional"), NGX_HTTP_TRAVEL_AUTH_OPTIONAL },
    { ngx_string("required"), NGX_HTTP_TRAVEL_AUTH_REQUIRED },
    { ngx_null_string, 0 }
};


static const char  *ngx_http_travel_auth_results[] = {
    "travel_auth_total{result=\"cached\"}",
    "travel_auth_total{result=\"verified\"}",
    "travel_auth_total{result=\"anonymous\"}",
    "travel_auth_total{result=\"absent\"}",
    "travel_auth_total{result=\"expired\"}",
    "travel_auth_total{result=\"invalid\"}",
    "travel_auth_total{result=\"known_bad\"}",
    "travel_auth_total{result=\"forbidden\"}",
    "travel_auth_total{result=\"over_budget\"}",
    "travel_auth_total{result=\"revoked\"}",
    "travel_auth_total{result=\"blind\"}",
    "travel_auth_total{result=\"no_keys\"}",
    "travel_auth_total{result=\"api_key\"}"
};


static ngx_command_t  ngx_http_travel_auth_commands[] = {

    { ngx_string("travel_jwks"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_travel_auth_jwks,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_auth_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_require"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_auth_require_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_api_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_auth_api_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_claim_header"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_travel_auth_claim_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_revocation"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_auth_revocation,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_signature_budget"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_travel_auth_budget,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static const ngx_http_travel_param_t  ngx_http_travel_auth_params[] = {

    { "jwks", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_auth_loc_conf_t, names),
      NULL, NULL, NULL, NULL, 0 },

    { "audience", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_auth_loc_conf_t, audience),
      NULL, NULL, NULL, NULL, 0 },

    { "typ", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_auth_loc_conf_t, typ),
      NULL, NULL, NULL, NULL, 0 },

    { "leeway", ngx_http_travel_param_sec,
      offsetof(ngx_http_travel_auth_loc_conf_t, leeway),
      "0", "5m", "30s", NULL, 0 },

      ngx_http_travel_null_param
};


static const ngx_http_travel_param_t  ngx_http_travel_require_params[] = {

    { "any", ngx_http_travel_auth_require_any,
      offsetof(ngx_http_travel_require_t, any),
      NULL, NULL, NULL, NULL, 1 },

    { "", ngx_http_travel_auth_require_all,
      0,
      NULL, NULL, NULL, NULL, 1 },

      ngx_http_travel_null_param
};


static ngx_http_module_t  ngx_http_travel_auth_module_ctx = {
    ngx_http_travel_auth_add_variables,    /* preconfiguration */
    ngx_http_travel_auth_init,             /* postconfiguration */

    ngx_http_travel_auth_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_auth_create_loc_conf,  /* create location configuration */
    ngx_http_travel_auth_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_travel_auth_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_auth_module_ctx,      /* module context */
    ngx_http_travel_auth_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_auth_init_process,     /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_travel_auth_exit_process,     /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_variable_t  ngx_http_travel_auth_variables[] = {

    { ngx_string("travel_user"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, user), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_sub"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, sub), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_issuer"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, issuer), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_email"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, email), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_permissions"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, permissions), NGX_HTTP_VAR_NOCACHEABLE,
      0 },

    { ngx_string("travel_api_key"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, api_key), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_claim_"), NULL, ngx_http_travel_claim_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

      ngx_http_null_variable
};


/* --- configuration ------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_auth_add_variables(ngx_conf_t *cf)
{
    return ngx_http_travel_variables(cf, ngx_http_travel_auth_variables);
}


static void *
ngx_http_travel_auth_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_auth_main_conf_t));
    if (amcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     amcf->zone = NULL;
     *     amcf->used = 0;
     */

    if (ngx_array_init(&amcf->sets, cf->pool, 4,
                       sizeof(ngx_http_travel_jwks_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return amcf;
}


static void *
ngx_http_travel_auth_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf;

    alcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_auth_loc_conf_t));
    if (alcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     alcf->names, audience, typ, file = { 0, NULL };
     *     alcf->sets = NULL;
     *     alcf->requires = NULL;
     *     alcf->alone = 0;
     *     alcf->budget = { 0 };
     */

    alcf->mode = NGX_CONF_UNSET_UINT;

    return ngx_http_travel_params_default(cf, ngx_http_travel_auth_params,
                                          alcf)
           == NGX_CONF_OK ? alcf : NULL;
}


static char *
ngx_http_travel_auth_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_travel_auth_loc_conf_t  *prev = parent;
    ngx_http_travel_auth_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_travel_require_t  *require;

    if (conf->mode == NGX_HTTP_TRAVEL_AUTH_OFF) {
        conf->alone = 1;
    }

    /* travel_auth is one thing: its parameters are inherited with it or not */
    if (conf->mode == NGX_CONF_UNSET_UINT) {
        conf->mode = prev->mode;
        conf->names = prev->names;
        conf->sets = prev->sets;
        conf->audience = prev->audience;
        conf->typ = prev->typ;
        conf->leeway = prev->leeway;
        conf->file = prev->file;
        conf->line = prev->line;
    }

    if (conf->mode == NGX_CONF_UNSET_UINT) {
        conf->mode = NGX_HTTP_TRAVEL_AUTH_OFF;
    }

    if (!conf->budget.set) {
        conf->budget = prev->budget;

        if (!conf->budget.set) {
            ngx_http_travel_budget_default(&conf->budget);
        }
    }

    ngx_http_travel_revocation_merge(&conf->revocation, &prev->revocation);

    if (!conf->api_key.set) {
        conf->api_key = prev->api_key;
    }

    if (ngx_http_travel_claim_header_merge(cf, &conf->claim_headers,
                                           prev->claim_headers,
                                           conf->claim_headers_alone)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->mode != NGX_HTTP_TRAVEL_AUTH_OFF && conf->sets == NULL
        && ngx_http_travel_auth_resolve(cf, conf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->requires != NULL
        && conf->mode == NGX_HTTP_TRAVEL_AUTH_OFF && clcf->name.len != 0)
    {
        require = conf->requires->elts;
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"travel_require\" in location \"%V\" asks for "
                      "permissions of nobody: add \"travel_auth required\" "
                      "in %V:%ui", &clcf->name, &require->file, require->line);
        return NGX_CONF_ERROR;
    }

    return ngx_http_travel_auth_inherit(cf, prev, conf);
}


/* What is required above is required here too, unless this level said off. */
static char *
ngx_http_travel_auth_inherit(ngx_conf_t *cf,
    ngx_http_travel_auth_loc_conf_t *prev,
    ngx_http_travel_auth_loc_conf_t *conf)
{
    void  *own;

    if (conf->alone || prev->requires == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->requires == NULL) {
        conf->requires = prev->requires;
        return NGX_CONF_OK;
    }

    own = ngx_array_push_n(conf->requires, prev->requires->nelts);
    if (own == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(own, prev->requires->elts,
               prev->requires->nelts * sizeof(ngx_http_travel_require_t));

    return NGX_CONF_OK;
}


/* jwks= names sets that may stand further down in the file. */
static char *
ngx_http_travel_auth_resolve(ngx_conf_t *cf,
    ngx_http_travel_auth_loc_conf_t *conf)
{
    u_char                            *p, *end, *last;
    ngx_uint_t                         i;
    ngx_http_travel_jwks_t           **set, **slot;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_auth_module);
    set = amcf->sets.elts;

    if (conf->names.len == 0) {

        if (amcf->sets.nelts == 0 && conf->api_key.on) {
            return NGX_CONF_OK;          /* API keys alone */
        }

        if (amcf->sets.nelts == 1) {
            conf->sets = &amcf->sets;
            return NGX_CONF_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"travel_auth\" must have jwks=NAME, as %s in %V:%ui",
                      amcf->sets.nelts ? "there are several \"travel_jwks\""
                                       : "of a \"travel_jwks NAME file=PATH\"",
                      &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    conf->sets = ngx_array_create(cf->pool, 2,
                                  sizeof(ngx_http_travel_jwks_t *));
    if (conf->sets == NULL) {
        return NGX_CONF_ERROR;
    }

    last = conf->names.data + conf->names.len;

    for (p = conf->names.data; p <= last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        for (i = 0; i < amcf->sets.nelts; i++) {
            if (set[i]->name.len == (size_t) (end - p)
                && ngx_strncmp(set[i]->name.data, p, end - p) == 0)
            {
                break;
            }
        }

        if (i == amcf->sets.nelts) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"travel_auth\" names jwks \"%*s\", but there is no "
                          "\"travel_jwks %*s file=PATH\" in %V:%ui",
                          (size_t) (end - p), p, (size_t) (end - p), p,
                          &conf->file, conf->line);
            return NGX_CONF_ERROR;
        }

        slot = ngx_array_push(conf->sets);
        if (slot == NULL) {
            return NGX_CONF_ERROR;
        }

        *slot = set[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_auth_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_auth_main_conf_t  *amcf = conf;

    return ngx_http_travel_jwks_directive(cf, &amcf->sets);
}


static char *
ngx_http_travel_auth_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf = conf;

    ngx_str_t                         *value;
    ngx_conf_enum_t                   *e;
    ngx_http_travel_auth_main_conf_t  *amcf;

    if (alcf->mode != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (e = ngx_http_travel_auth_modes; e->name.len; e++) {
        if (e->name.len == value[1].len
            && ngx_strcmp(e->name.data, value[1].data) == 0)
        {
            alcf->mode = e->value;
        }
    }

    if (alcf->mode == NGX_CONF_UNSET_UINT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_auth\" mode \"%V\" must be off, optional "
                           "or required", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (alcf->mode == NGX_HTTP_TRAVEL_AUTH_OFF && cf->args->nelts > 2) {
        return "is off and asks for something all the same: remove the "
               "parameters, or say optional or required";
    }

    alcf->file = cf->conf_file->file.name;
    alcf->line = cf->conf_file->line;

    if (ngx_http_travel_params(cf, ngx_http_travel_auth_params, 2, alcf)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (alcf->mode == NGX_HTTP_TRAVEL_AUTH_OFF) {
        return NGX_CONF_OK;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_auth_module);

    if (!amcf->used) {
        amcf->used = 1;

        amcf->zone = ngx_http_travel_token_zone(cf);
        amcf->budgets = ngx_http_travel_budget_zone(cf);
        if (amcf->zone == NULL || amcf->budgets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_auth_require_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf = conf;

    ngx_str_t                  *value;
    ngx_uint_t                  i, method;
    ngx_http_travel_require_t  *require;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        alcf->alone = 1;
        return NGX_CONF_OK;
    }

    require = ngx_http_travel_auth_require_line(cf, alcf);
    if (require == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        method = ngx_http_travel_method(&value[i]);

        if (method == 0) {
            break;
        }

        require->methods |= (method == NGX_HTTP_HEAD) ? NGX_HTTP_GET : method;
    }

    if (i == cf->args->nelts) {
        return "names methods but no permission, as in "
               "\"travel_require GET journeys:read\"";
    }

    return ngx_http_travel_params(cf, ngx_http_travel_require_params, i,
                                  require);
}


static ngx_http_travel_require_t *
ngx_http_travel_auth_require_line(ngx_conf_t *cf,
    ngx_http_travel_auth_loc_conf_t *alcf)
{
    ngx_http_travel_require_t  *require;

    if (alcf->requires == NULL) {
        alcf->requires = ngx_array_create(cf->pool, 1,
                                          sizeof(ngx_http_travel_require_t));
        if (alcf->requires == NULL) {
            return NULL;
        }
    }

    require = ngx_array_push(alcf->requires);

    if (require == NULL
        || ngx_array_init(&require->all, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&require->any, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&require->claims, cf->pool, 1,
                          sizeof(ngx_http_travel_claim_t)) != NGX_OK)
    {
        return NULL;
    }

    require->methods = 0;
    require->file = cf->conf_file->file.name;
    require->line = cf->conf_file->line;

    return require;
}


/* A permission, or claim:TEST. */
static char *
ngx_http_travel_auth_require_all(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_require_t  *require = conf;

    (void) param;

    return ngx_strncmp(value->data, "claim:", 6) == 0
           ? ngx_http_travel_claim_parse(cf, &require->claims, value)
           : ngx_http_travel_auth_permission(cf, &require->all, *value);
}


/* "a:b,c:d" */
static char *
ngx_http_travel_auth_require_any(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    char         *rv;
    u_char       *p, *end, *last;
    ngx_str_t     s;
    ngx_array_t  *any;

    any = (ngx_array_t *) ((char *) conf + param->offset);

    if (any->nelts != 0) {
        return "is a second any=: put it into a second \"travel_require\" "
               "line, both must be met";
    }

    last = value->data + value->len;

    for (p = value->data; p <= last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        s.data = p;
        s.len = end - p;

        rv = ngx_http_travel_auth_permission(cf, any, s);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_auth_budget(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf = conf;

    return ngx_http_travel_budget_directive(cf, &alcf->budget);
}


static char *
ngx_http_travel_auth_api_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf = conf;

    char                              *rv;
    ngx_http_travel_auth_main_conf_t  *amcf;

    rv = ngx_http_travel_api_key_directive(cf, &alcf->api_key);

    if (rv != NGX_CONF_OK || !alcf->api_key.on) {
        return rv;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_auth_module);

    if (amcf->keys == NULL) {
        amcf->keys = ngx_http_travel_known_keys_zone(cf);
    }

    return amcf->keys ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_travel_auth_claim_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf = conf;

    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_auth_module);
    amcf->claim_headers = 1;

    return ngx_http_travel_claim_header_directive(cf, &alcf->claim_headers,
                                                  &alcf->claim_headers_alone);
}


/* After access, whatever "satisfy" says; before what hands headers on. */
static ngx_int_t
ngx_http_travel_auth_precontent(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t            *ctx;
    ngx_http_travel_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_auth_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_travel_module);

    if (ctx != NULL) {
        ngx_str_null(&ctx->claims);
    }

    if (alcf->claim_headers == NULL) {
        return NGX_DECLINED;
    }

    return (ngx_http_travel_claim_header_apply(r, alcf->claim_headers)
            == NGX_OK) ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static char *
ngx_http_travel_auth_revocation(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf = conf;

    char                              *rv;
    ngx_http_travel_auth_main_conf_t  *amcf;

    rv = ngx_http_travel_revocation_directive(cf, &alcf->revocation);

    if (rv != NGX_CONF_OK || !alcf->revocation.on) {
        return rv;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_auth_module);

    if (amcf->revocations == NULL) {
        amcf->revocations = ngx_http_travel_revoked_zone(cf);
    }

    return amcf->revocations ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_travel_auth_permission(ngx_conf_t *cf, ngx_array_t *permissions,
    ngx_str_t text)
{
    u_char     *p;
    ngx_str_t  *permission;

    if (!ngx_http_travel_permission_ok(&text)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_require\" permission \"%V\" must be "
                           "NOUN:VERB in lower case, as in journeys:read, and "
                           "methods stand before it",
                           &text);
        return NGX_CONF_ERROR;
    }

    permission = ngx_array_push(permissions);
    p = ngx_pnalloc(cf->pool, text.len);

    if (permission == NULL || p == NULL) {
        return NGX_CONF_ERROR;
    }

    permission->data = p;
    permission->len = ngx_http_travel_permissions_normal(p,
                                              ngx_http_travel_view(&text));

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_auth_init(ngx_conf_t *cf)
{
    ngx_uint_t                         i;
    ngx_http_travel_jwks_t           **set;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_auth_module);
    set = amcf->sets.elts;

    for (i = 0; i < amcf->sets.nelts; i++) {
        if (set[i]->source != NULL
            && ngx_http_travel_jwks_source_init(cf, set[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* before the cache, which asks them what an answer varies by */

    if (amcf->claim_headers) {
        ngx_http_travel_before_content(cf, ngx_http_travel_auth_precontent);
    }

    if (!amcf->used) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_AUTH_RESULTS; i++) {
        amcf->counters[i] =
            ngx_http_travel_counter_add(cf, ngx_http_travel_auth_results[i],
                                        "Requests by what their token was.");
        if (amcf->counters[i] == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    amcf->served_last = ngx_http_travel_counter_add(cf,
                            "travel_auth_served_last_total",
                            "Turns in line of connections over their budget.");
    if (amcf->served_last == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (amcf->keys != NULL && !ngx_http_travel_pg_declared(cf)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"travel_api_key on\" needs to know where the keys "
                      "are: add \"travel_postgres primary CONNINFO\"");
        return NGX_ERROR;
    }

    if (amcf->revocations != NULL
        && ngx_http_travel_revocation_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_phase(cf, NGX_HTTP_ACCESS_PHASE,
                                 ngx_http_travel_auth_handler);
}


/* --- the process --------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_auth_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                         i;
    ngx_event_t                       *ev;
    ngx_http_travel_jwks_t           **set;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_auth_module);

    if (amcf == NULL || !amcf->used
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    if (ngx_http_travel_auth_open() != NGX_OK) {
        return NGX_ERROR;
    }

    if (amcf->revocations != NULL
        && ngx_http_travel_revocation_open(cycle, amcf->revocations) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_travel_auth_ident.fd = (ngx_socket_t) -1;

    ev = &ngx_http_travel_auth_timer;
    ev->handler = ngx_http_travel_auth_refresh;
    ev->data = &ngx_http_travel_auth_ident;
    ev->log = cycle->log;
    ev->cancelable = 1;

    set = amcf->sets.elts;

    for (i = 0; i < amcf->sets.nelts; i++) {
        if (set[i]->source != NULL) {
            ngx_http_travel_jwks_source_start(set[i]);
        }
    }

    /* keys from a URL are wanted at once */
    ngx_add_timer(ev, 1);

    return NGX_OK;
}


static void
ngx_http_travel_auth_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                         i;
    ngx_http_travel_jwks_t           **set;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_auth_module);

    if (amcf == NULL || ngx_http_travel_auth_timer.handler == NULL) {
        return;
    }

    set = amcf->sets.elts;

    for (i = 0; i < amcf->sets.nelts; i++) {
        if (set[i]->source != NULL) {
            ngx_http_travel_jwks_source_stop(set[i]);
        }
    }

    if (ngx_http_travel_auth_timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_auth_timer);
    }

    ngx_http_travel_claims_close();
    ngx_http_travel_revocation_close();
    ngx_http_travel_auth_close();
}


static void
ngx_http_travel_auth_refresh(ngx_event_t *ev)
{
    ngx_uint_t                         i;
    ngx_http_travel_jwks_t           **set;
    ngx_http_travel_auth_main_conf_t  *amcf;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    amcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_travel_auth_module);
    set = amcf->sets.elts;

    for (i = 0; i < amcf->sets.nelts; i++) {
        if (set[i]->source != NULL) {
            ngx_http_travel_jwks_source_tick(set[i]);

        } else {
            ngx_http_travel_jwks_refresh(set[i], ev->log);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_TRAVEL_AUTH_REFRESH);
}


u_char *
ngx_http_travel_auth_metrics(u_char *p, u_char *last)
{
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_travel_auth_module);

    if (amcf == NULL || !amcf->used) {
        return p;
    }

    return ngx_http_travel_jwks_metrics(&amcf->sets, p, last);
}


size_t
ngx_http_travel_auth_metrics_size(void)
{
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_travel_auth_module);

    return (amcf == NULL) ? 0 : 1024 + amcf->sets.nelts * 1024;
}
