/*
 * The breaker room: its directives, the refusal, its variable, status and
 * metrics.
 */

#include "ngx_http_travel_breaker_room.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/json_writer.h"


#define NGX_HTTP_TRAVEL_BREAKER_ROOM  (NGX_HTTP_TRAVEL_BREAKERS_MAX * 320)


typedef struct {
    ngx_array_t  *names;           /* ngx_http_complex_value_t */
} ngx_http_travel_breaker_loc_conf_t;


static ngx_int_t ngx_http_travel_breaker_access(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_breaker_status(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_breaker_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_travel_breaker_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_breaker_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_travel_breaker_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_breaker_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_breaker_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_travel_breaker_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_breaker_status_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_travel_breaker_init_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_travel_breaker_commands[] = {

    { ngx_string("travel_breakers"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_travel_breaker_main_conf_t, enable),
      NULL },

    { ngx_string("travel_breaker"),
      NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_breaker_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_breaker_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_travel_breaker_status_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_breaker_module_ctx = {
    ngx_http_travel_breaker_preconfiguration, /* preconfiguration */
    ngx_http_travel_breaker_postconfiguration, /* postconfiguration */

    ngx_http_travel_breaker_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_breaker_create_loc_conf, /* create location config */
    ngx_http_travel_breaker_merge_loc_conf /* merge location configuration */
};


ngx_module_t  ngx_http_travel_breaker_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_breaker_module_ctx,   /* module context */
    ngx_http_travel_breaker_commands,      /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_breaker_init_process,  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_variable_t  ngx_http_travel_breaker_vars[] = {

    { ngx_string("travel_breaker_"), NULL, ngx_http_travel_breaker_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

      ngx_http_null_variable
};


/* --- the refusal ---------------------------------------------------------- */

void
ngx_http_travel_breaker_refused(ngx_http_request_t *r)
{
    ngx_http_travel_breaker_main_conf_t  *bmcf;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_breaker_module);
    ngx_http_travel_count(bmcf->refused, 1);
}


ngx_int_t
ngx_http_travel_breaker_refuse(ngx_http_request_t *r, ngx_uint_t later)
{
    ngx_http_travel_breaker_refused(r);

    if (ngx_http_travel_add_number(r, "Retry-After", later) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                 NGX_HTTP_TRAVEL_BREAKER_SAYS);
}


/* Reads are not refused: nobody outside is asked for them. */
static ngx_int_t
ngx_http_travel_breaker_access(ngx_http_request_t *r)
{
    ngx_str_t                            name;
    ngx_uint_t                           i, later;
    ngx_http_complex_value_t            *value;
    ngx_http_travel_breaker_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_breaker_module);

    if (blcf->names == NULL || r != r->main
        || (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS)))
    {
        return NGX_DECLINED;
    }

    value = blcf->names->elts;

    for (i = 0; i < blcf->names->nelts; i++) {

        if (ngx_http_complex_value(r, &value[i], &name) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (ngx_http_travel_breaker_ask(&name, &later) != NGX_OK) {
            return ngx_http_travel_refuse(r,
                                    ngx_http_travel_breaker_refuse(r, later));
        }
    }

    return NGX_DECLINED;
}


/* --- seen ----------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_breaker_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    uint64_t                          wait;
    ngx_str_t                        *full = (ngx_str_t *) data;
    ngx_uint_t                        i, n;
    travel_breaker_state_e            state;
    const ngx_http_travel_breaker_t  *rows;

    (void) r;

    state = TRAVEL_BREAKER_CLOSED;
    rows = ngx_http_travel_breakers(&n);

    for (i = 0; i < n; i++) {
        if (rows[i].len + sizeof("travel_breaker_") - 1 == full->len
            && ngx_memcmp(rows[i].name,
                          full->data + sizeof("travel_breaker_") - 1,
                          rows[i].len)
               == 0)
        {
            state = ngx_http_travel_breaker_state(&rows[i], &wait);
        }
    }

    v->data = (u_char *) travel_breaker_name(state);
    v->len = ngx_strlen(v->data);
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_breaker_status(ngx_http_request_t *r)
{
    uint64_t                          wait;
    ngx_str_t                         body;
    ngx_uint_t                        i, n;
    travel_json_writer_t              w;
    travel_breaker_state_e            state;
    const ngx_http_travel_breaker_t  *rows;

    body.data = ngx_pnalloc(r->pool, NGX_HTTP_TRAVEL_BREAKER_ROOM);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rows = ngx_http_travel_breakers(&n);
    travel_json_writer_init(&w, (char *) body.data,
                            NGX_HTTP_TRAVEL_BREAKER_ROOM);
    travel_json_object(&w);
    travel_json_key(&w, TRAVEL_STR("breakers"));
    travel_json_array(&w);

    for (i = 0; i < n; i++) {
        wait = 0;
        state = ngx_http_travel_breaker_state(&rows[i], &wait);

        travel_json_object(&w);
        travel_json_member_string(&w, "name", (travel_str_t) {
                                      (const char *) rows[i].name,
                                      rows[i].len });
        travel_json_member_cstring(&w, "state", travel_breaker_name(state));
        travel_json_member_int(&w, "processes", rows[i].sum.told);
        travel_json_member_int(&w, "open", rows[i].sum.open);
        travel_json_member_int(&w, "retry_after_ms", (int64_t) wait);
        travel_json_object_end(&w);
    }

    travel_json_array_end(&w);
    travel_json_object_end(&w);
    body.len = travel_json_writer_finish(&w);

    return ngx_http_travel_send(r, NGX_HTTP_OK, NULL, &body);
}


size_t
ngx_http_travel_breaker_metrics_size(void)
{
    return NGX_HTTP_TRAVEL_BREAKER_ROOM;
}


u_char *
ngx_http_travel_breaker_metrics(u_char *p, u_char *last)
{
    uint64_t                          wait;
    ngx_uint_t                        i, n, s;
    travel_breaker_state_e            state;
    const ngx_http_travel_breaker_t  *rows;

    rows = ngx_http_travel_breakers(&n);

    if (n == 0) {
        return p;
    }

    p = ngx_slprintf(p, last, "# HELP travel_edge_breaker_state 1 for the "
                     "state that the workers' breakers are in together.\n"
                     "# TYPE travel_edge_breaker_state gauge\n");

    for (i = 0; i < n; i++) {
        state = ngx_http_travel_breaker_state(&rows[i], &wait);

        for (s = TRAVEL_BREAKER_CLOSED; s <= TRAVEL_BREAKER_HALF_OPEN; s++) {
            p = ngx_slprintf(p, last, "travel_edge_breaker_state{destination="
                             "\"%*s\",state=\"%s\"} %ui\n", rows[i].len,
                             rows[i].name,
                             travel_breaker_name((travel_breaker_state_e) s),
                             (ngx_uint_t) (s == (ngx_uint_t) state));
        }
    }

    return p;
}


/* --- configuration -------------------------------------------------------- */

static void *
ngx_http_travel_breaker_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_breaker_main_conf_t  *bmcf;

    /* set by ngx_pcalloc(): bmcf->needed = 0 */

    bmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_breaker_main_conf_t));
    if (bmcf == NULL) {
        return NULL;
    }

    bmcf->enable = NGX_CONF_UNSET;

    return bmcf;
}


static void *
ngx_http_travel_breaker_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_breaker_loc_conf_t  *blcf;

    blcf = ngx_palloc(cf->pool, sizeof(ngx_http_travel_breaker_loc_conf_t));
    if (blcf == NULL) {
        return NULL;
    }

    blcf->names = NGX_CONF_UNSET_PTR;

    return blcf;
}


static char *
ngx_http_travel_breaker_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_travel_breaker_loc_conf_t  *prev = parent;
    ngx_http_travel_breaker_loc_conf_t  *conf = child;

    (void) cf;

    ngx_conf_merge_ptr_value(conf->names, prev->names, NULL);

    return NGX_CONF_OK;
}


void
ngx_http_travel_breaker_needed(ngx_conf_t *cf)
{
    ngx_http_travel_breaker_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_breaker_module);
    bmcf->needed = 1;
}


/* travel_breaker NAME ...; or "off" alone, against what a server says. */
static char *
ngx_http_travel_breaker_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_breaker_loc_conf_t  *blcf = conf;

    ngx_str_t                          *value;
    ngx_uint_t                          i;
    ngx_http_complex_value_t           *name;

    (void) cmd;

    if (blcf->names != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    blcf->names = NULL;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    blcf->names = ngx_array_create(cf->pool, cf->args->nelts,
                                   sizeof(ngx_http_complex_value_t));
    if (blcf->names == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0 || value[i].len >= TRAVEL_BREAKER_NAME_MAX
            || ngx_strcmp(value[i].data, "off") == 0
            || ngx_strchr(value[i].data, ' ') != NULL)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is no destination: name a partner of "
                               "workers.conf, or smtp, fcm, apns", &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(blcf->names);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_http_travel_expression_at(cf, &value[i], name) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    ngx_http_travel_breaker_needed(cf);

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_breaker_status_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    (void) cmd;
    (void) conf;

    ngx_http_travel_breaker_needed(cf);

    return ngx_http_travel_claim(cf, NGX_HTTP_GET,
                                 ngx_http_travel_breaker_status);
}


static ngx_int_t
ngx_http_travel_breaker_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_travel_variables(cf, ngx_http_travel_breaker_vars);
}


static ngx_int_t
ngx_http_travel_breaker_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_travel_breaker_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_breaker_module);

    if (bmcf->enable == NGX_CONF_UNSET) {
        bmcf->enable = bmcf->needed;
    }

    if (bmcf->enable
        && !ngx_http_travel_redis_declared(cf, NGX_HTTP_TRAVEL_REDIS_QUEUE))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "breakers are read from the "
                           "queue: add \"travel_redis queue ...;\"");
        return NGX_ERROR;
    }

    bmcf->refused = ngx_http_travel_counter_add(cf,
                        "travel_breaker_refused_total",
                        "Writes refused because a breaker is open.");
    if (bmcf->refused == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_http_travel_phase(cf, NGX_HTTP_ACCESS_PHASE,
                                 ngx_http_travel_breaker_access);
}


static ngx_int_t
ngx_http_travel_breaker_init_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_breaker_main_conf_t  *bmcf;

    if ((ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
        || cycle->conf_ctx[ngx_http_module.index] == NULL)
    {
        return NGX_OK;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_travel_breaker_module);

    if (bmcf->enable) {
        ngx_http_travel_breakers_start(cycle);
    }

    return NGX_OK;
}
