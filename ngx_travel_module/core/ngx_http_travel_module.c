/* The module's ground: main configuration, dispatch by method, error pages. */

#include "ngx_http_travel_core.h"


#define NGX_HTTP_TRAVEL_SECRET_MIN  32
#define NGX_HTTP_TRAVEL_SECRET_MAX  1024


typedef struct {
    const char           *name;
    ngx_uint_t            method;
} ngx_http_travel_method_name_t;

typedef struct {
    ngx_uint_t            methods;
    ngx_http_handler_pt   handler;
} ngx_http_travel_claim_t;

typedef struct {
    ngx_array_t          *claims;      /* ngx_http_travel_claim_t */
    ngx_str_t             allow;       /* value of the Allow header */
    void                **loc_conf;    /* where they are claimed */
} ngx_http_travel_loc_conf_t;


static ngx_int_t ngx_http_travel_content_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_error_page_handler(ngx_http_request_t *r);

static void *ngx_http_travel_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_travel_init_process(ngx_cycle_t *cycle);

static char *ngx_http_travel_catalog(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_consistency_key(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_error_page(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_travel_allow(ngx_conf_t *cf,
    ngx_http_travel_loc_conf_t *tlcf);
static ngx_int_t ngx_http_travel_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_text_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_travel_error_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_travel_method_name_t  ngx_http_travel_methods[] = {
    { "GET",    NGX_HTTP_GET },
    { "HEAD",   NGX_HTTP_HEAD },
    { "POST",   NGX_HTTP_POST },
    { "PUT",    NGX_HTTP_PUT },
    { "PATCH",  NGX_HTTP_PATCH },
    { "DELETE", NGX_HTTP_DELETE },
    { NULL,     0 }
};


static ngx_command_t  ngx_http_travel_commands[] = {

    { ngx_string("travel_catalog"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_travel_catalog,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_consistency_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_travel_consistency_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE23,
      ngx_http_travel_zone_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_error_page"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_travel_error_page,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_problems"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_travel_problems,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


/* The first of ours to be called. */
static ngx_int_t
ngx_http_travel_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_travel_headers_install();

    return ngx_http_travel_satisfy_init(cf);
}


static ngx_http_module_t  ngx_http_travel_core_module_ctx = {
    ngx_http_travel_add_variables,         /* preconfiguration */
    ngx_http_travel_postconfiguration,     /* postconfiguration */

    ngx_http_travel_create_main_conf,      /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_create_loc_conf,       /* create location configuration */
    ngx_http_travel_merge_loc_conf         /* merge location configuration */
};


ngx_str_t  ngx_http_travel_own = ngx_string("the node itself");


ngx_module_t  ngx_http_travel_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_core_module_ctx,      /* module context */
    ngx_http_travel_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_init_process,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* Context fields as variables: name, getter, offset in the context. */
static ngx_http_variable_t  ngx_http_travel_core_variables[] = {

    { ngx_string("travel_request_id"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, request_id), 0, 0 },

    { ngx_string("travel_route"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, route), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_server"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, server), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_job"), NULL, ngx_http_travel_ctx_variable,
      offsetof(ngx_http_travel_ctx_t, job), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_cache_status"), NULL, ngx_http_travel_text_variable,
      offsetof(ngx_http_travel_ctx_t, cache_status),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_limited"), NULL, ngx_http_travel_text_variable,
      offsetof(ngx_http_travel_ctx_t, limited), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_error"), NULL, ngx_http_travel_error_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* --- dispatch ------------------------------------------------------------ */

static ngx_int_t
ngx_http_travel_content_handler(ngx_http_request_t *r)
{
    ngx_uint_t                   i, method;
    ngx_http_travel_claim_t     *claim;
    ngx_http_travel_loc_conf_t  *tlcf;

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_module);

    /* an "if" or "limit_except" of the location has led here: what rooms know
     * of it is in the location's own configuration */
    r->loc_conf = tlcf->loc_conf;

    method = (r->method == NGX_HTTP_HEAD) ? NGX_HTTP_GET : r->method;
    claim = tlcf->claims->elts;

    for (i = 0; i < tlcf->claims->nelts; i++) {
        if (claim[i].methods & method) {
            return claim[i].handler(r);
        }
    }

    if (ngx_http_travel_add_header(r, "Allow", &tlcf->allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_error(r, TRAVEL_E_METHOD_NOT_ALLOWED,
                                 "This resource supports %V.", &tlcf->allow);
}


char *
ngx_http_travel_claim(ngx_conf_t *cf, ngx_uint_t methods,
    ngx_http_handler_pt handler)
{
    ngx_uint_t                   i;
    ngx_http_travel_claim_t     *claim;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_travel_loc_conf_t  *tlcf;

    tlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_travel_module);

    if (tlcf->claims == NULL) {
        tlcf->claims = ngx_array_create(cf->pool, 4,
                                        sizeof(ngx_http_travel_claim_t));
        if (tlcf->claims == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    claim = tlcf->claims->elts;

    for (i = 0; i < tlcf->claims->nelts; i++) {
        if (claim[i].methods & methods) {
            return "claims a method that another travel directive of this "
                   "location serves, give each method once";
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler != NULL
        && clcf->handler != ngx_http_travel_content_handler)
    {
        return "shares its location with another content handler, such as "
               "proxy_pass: move one of them to a location of its own";
    }

    claim = ngx_array_push(tlcf->claims);
    if (claim == NULL) {
        return NGX_CONF_ERROR;
    }

    claim->methods = methods;
    claim->handler = handler;

    clcf->handler = ngx_http_travel_content_handler;
    tlcf->loc_conf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf;

    if (ngx_http_travel_allow(cf, tlcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_travel_claimed(ngx_http_request_t *r)
{
    ngx_http_travel_loc_conf_t  *tlcf;

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_module);

    return tlcf->claims != NULL;
}


static ngx_int_t
ngx_http_travel_allow(ngx_conf_t *cf, ngx_http_travel_loc_conf_t *tlcf)
{
    u_char                         *p;
    ngx_uint_t                      i, methods;
    ngx_http_travel_claim_t        *claim;
    ngx_http_travel_method_name_t  *m;

    claim = tlcf->claims->elts;
    methods = 0;

    for (i = 0; i < tlcf->claims->nelts; i++) {
        methods |= claim[i].methods;
    }

    if (methods & NGX_HTTP_GET) {
        methods |= NGX_HTTP_HEAD;
    }

    p = ngx_pnalloc(cf->pool, 64);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tlcf->allow.data = p;

    for (m = ngx_http_travel_methods; m->name != NULL; m++) {
        if (methods & m->method) {
            p = ngx_sprintf(p, "%s%s", p == tlcf->allow.data ? "" : ", ",
                            m->name);
        }
    }

    tlcf->allow.len = p - tlcf->allow.data;

    return NGX_OK;
}


const ngx_str_t *
ngx_http_travel_allowed(ngx_http_request_t *r)
{
    ngx_http_travel_loc_conf_t  *tlcf;

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_module);

    return tlcf->allow.len != 0 ? &tlcf->allow : NULL;
}


ngx_uint_t
ngx_http_travel_method(const ngx_str_t *name)
{
    ngx_http_travel_method_name_t  *m;

    for (m = ngx_http_travel_methods; m->name != NULL; m++) {
        if (name->len == ngx_strlen(m->name)
            && ngx_strncmp(name->data, m->name, name->len) == 0)
        {
            return m->method;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_travel_phase(ngx_conf_t *cf, ngx_http_phases phase,
    ngx_http_handler_pt handler)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[phase].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = handler;

    return NGX_OK;
}


void
ngx_http_travel_before_content(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_http_travel_main_conf(cf)->before_content = handler;
}


ngx_int_t
ngx_http_travel_before_content_init(ngx_conf_t *cf)
{
    ngx_http_travel_main_conf_t  *tmcf;

    tmcf = ngx_http_travel_main_conf(cf);

    return tmcf->before_content
           ? ngx_http_travel_phase(cf, NGX_HTTP_PRECONTENT_PHASE,
                                   tmcf->before_content)
           : NGX_OK;
}


/* --- errors that nginx itself found, by error_page ----------------------- */

static ngx_int_t
ngx_http_travel_error_page_handler(ngx_http_request_t *r)
{
    ngx_uint_t              status;
    travel_error_e          code;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    status = r->err_status ? r->err_status : r->headers_out.status;
    code = travel_error_by_status(status ? status : NGX_HTTP_NOT_FOUND);

    /* a room that left the answer to nginx knows it better */

    if (ctx->error != TRAVEL_E_NONE
        && travel_error_status(ctx->error) == travel_error_status(code))
    {
        code = ctx->error;
    }

    /* error_page without "=" keeps the status that led here: 494 stays 494 in
     * the log, and the client sees the table's */
    r->err_status = travel_error_status(code);

    return ngx_http_travel_error(r, code, NULL);
}


static char *
ngx_http_travel_error_page(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                    *name;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_travel_main_conf_t  *tmcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler != NULL) {
        return "shares its location with another content handler: give the "
               "error page a location of its own";
    }

    tmcf = ngx_http_travel_main_conf(cf);

    name = ngx_array_push(&tmcf->error_pages);
    if (name == NULL) {
        return NGX_CONF_ERROR;
    }

    *name = clcf->name;
    clcf->handler = ngx_http_travel_error_page_handler;

    return NGX_CONF_OK;
}


/* --- configuration ------------------------------------------------------- */

static char *
ngx_http_travel_catalog(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_main_conf_t  *tmcf = conf;

    ngx_str_t        *value;
    ngx_file_info_t   fi;

    if (tmcf->catalog.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    tmcf->catalog = value[1];

    if (ngx_conf_full_name(cf->cycle, &tmcf->catalog, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_file_info(tmcf->catalog.data, &fi) == NGX_FILE_ERROR
        || !ngx_is_dir(&fi))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"travel_catalog\" \"%V\" is not a directory: name "
                           "the one that holds queries/ and commands/",
                           &tmcf->catalog);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_consistency_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_main_conf_t  *tmcf = conf;

    u_char      buf[NGX_HTTP_TRAVEL_SECRET_MAX];
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_str_t  *value;

    if (tmcf->consistency_secret.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(value[1].data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"travel_consistency_key\" \"%V\" cannot be "
                           "opened: make it with \"openssl rand -hex 32\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));
    ngx_close_file(fd);

    while (n > 0 && (buf[n - 1] == LF || buf[n - 1] == CR)) {
        n--;
    }

    if (n < NGX_HTTP_TRAVEL_SECRET_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_consistency_key\" \"%V\" must hold at "
                           "least %d characters: make it with "
                           "\"openssl rand -hex 32\"", &value[1],
                           NGX_HTTP_TRAVEL_SECRET_MIN);
        return NGX_CONF_ERROR;
    }

    tmcf->consistency_secret.len = n;
    tmcf->consistency_secret.data = ngx_pnalloc(cf->pool, n);
    if (tmcf->consistency_secret.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(tmcf->consistency_secret.data, buf, n);
    ngx_explicit_memzero(buf, sizeof(buf));

    return NGX_CONF_OK;
}


static void *
ngx_http_travel_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_main_conf_t  *tmcf;

    tmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_main_conf_t));
    if (tmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&tmcf->zones, cf->pool, 8,
                       sizeof(ngx_http_travel_zone_t *))
        != NGX_OK
        || ngx_array_init(&tmcf->error_pages, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_http_travel_counters_init(cf, tmcf) != NGX_OK)
    {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     tmcf->catalog = { 0, NULL };
     *     tmcf->consistency_secret = { 0, NULL };
     *     tmcf->counter_zone = NULL;
     */

    return tmcf;
}


static void *
ngx_http_travel_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_loc_conf_t));
}


/* Claims belong to one location and are not inherited, but by what is a part of
 * it: as proxy_pass has it. */
static char *
ngx_http_travel_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_travel_loc_conf_t  *prev = parent;
    ngx_http_travel_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (prev->claims != NULL && clcf->handler == NULL
        && (clcf->noname || clcf->lmt_excpt))
    {
        *conf = *prev;
        clcf->handler = ngx_http_travel_content_handler;
    }

    return NGX_CONF_OK;
}


ngx_http_travel_main_conf_t *
ngx_http_travel_main_conf(ngx_conf_t *cf)
{
    return ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_module);
}


ngx_http_travel_main_conf_t *
ngx_http_travel_cycle_conf(ngx_cycle_t *cycle)
{
    if (ngx_get_conf(cycle->conf_ctx, ngx_http_module) == NULL) {
        return NULL;
    }

    return ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_module);
}


static ngx_int_t
ngx_http_travel_init_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_main_conf_t  *tmcf;

    tmcf = ngx_http_travel_cycle_conf(cycle);

    if (tmcf != NULL && tmcf->counter_zone != NULL) {
        ngx_http_travel_counters_use(tmcf);
    }

    return NGX_OK;
}


/* --- variables ----------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_add_variables(ngx_conf_t *cf)
{
    return ngx_http_travel_variables(cf, ngx_http_travel_core_variables);
}


ngx_int_t
ngx_http_travel_variables(ngx_conf_t *cf, ngx_http_variable_t *table)
{
    ngx_http_variable_t  *var, *v;

    for (v = table; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_ctx_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t              *s;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    s = (ngx_str_t *) ((u_char *) ctx + data);

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = (s->len == 0);
    v->len = s->len;
    v->data = s->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_text_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char             *text;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    text = *(const char **) ((u_char *) ctx + data);

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = (text == NULL);
    v->len = text ? ngx_strlen(text) : 0;
    v->data = (u_char *) text;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_error_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char             *text;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    text = (ctx->error == TRAVEL_E_NONE) ? NULL
                                         : travel_error_code(ctx->error);

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = (text == NULL);
    v->len = text ? ngx_strlen(text) : 0;
    v->data = (u_char *) text;

    return NGX_OK;
}
