/* How often?  The module: configuration and handlers of the limiter. */

#include "ngx_http_travel_policy.h"
#include "../net/ngx_http_travel_redis.h"


static ngx_int_t ngx_http_travel_limit_filter(ngx_http_request_t *r);

static void *ngx_http_travel_limit_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_limit_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_limit_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_travel_limit_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_limit_init_process(ngx_cycle_t *cycle);


static ngx_http_output_header_filter_pt  ngx_http_travel_limit_next_filter;


static ngx_command_t  ngx_http_travel_limit_commands[] = {

    { ngx_string("travel_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_limit_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_limit_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_travel_limit_init,            /* postconfiguration */

    ngx_http_travel_limit_create_main_conf,   /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_limit_create_loc_conf, /* create location configuration */
    ngx_http_travel_limit_merge_loc_conf   /* merge location configuration */
};


ngx_module_t  ngx_http_travel_limit_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_limit_module_ctx,     /* module context */
    ngx_http_travel_limit_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_limit_init_process,    /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_travel_limit_filter(ngx_http_request_t *r)
{
    if (r == r->main && ngx_http_travel_limit_headers(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_travel_limit_next_filter(r);
}


/* --- configuration ------------------------------------------------------- */

static void *
ngx_http_travel_limit_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_limit_main_conf_t  *lmcf;

    lmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_limit_main_conf_t));
    if (lmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     lmcf->zone = NULL;
     *     lmcf->early = 0;
     *     lmcf->late = 0;
     *     lmcf->measured = 0;
     *     lmcf->zones = { NULL };
     */

    if (ngx_array_init(&lmcf->policies, cf->pool, 4,
                       sizeof(ngx_http_travel_policy_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return lmcf;
}


static void *
ngx_http_travel_limit_create_loc_conf(ngx_conf_t *cf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     llcf->limits = NULL;
     *     llcf->alone = 0;
     */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_limit_loc_conf_t));
}


/* What is limited above is limited here too, unless this level said off. */
static char *
ngx_http_travel_limit_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_travel_limit_loc_conf_t  *prev = parent;
    ngx_http_travel_limit_loc_conf_t  *conf = child;

    ngx_uint_t                i;
    ngx_http_travel_limit_t  *limit;

    if (conf->alone || prev->limits == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->limits == NULL) {
        conf->limits = prev->limits;
        return NGX_CONF_OK;
    }

    limit = prev->limits->elts;

    for (i = 0; i < prev->limits->nelts; i++) {
        if (ngx_http_travel_limit_add(cf, &conf->limits, &limit[i]) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_limit_init(ngx_conf_t *cf)
{
    ngx_http_travel_limit_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_limit_module);

    if (lmcf->policies.nelts == 0) {
        return NGX_OK;
    }

    lmcf->admitted = ngx_http_travel_counter_add(cf,
                         "travel_limit_admitted_total",
                         "Requests that all their limits admitted.");
    lmcf->evicted = ngx_http_travel_counter_add(cf,
                        "travel_limit_evicted_total",
                        "Counts given up because the zone was full.");

    lmcf->tokens = ngx_http_travel_counter_add(cf,
                       "travel_limit_tokens_total",
                       "Costs that jobs have told limits of this node.");

    if (lmcf->admitted == NGX_ERROR || lmcf->evicted == NGX_ERROR
        || lmcf->tokens == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    if (lmcf->settled
        && !ngx_http_travel_redis_declared(cf, NGX_HTTP_TRAVEL_REDIS_QUEUE))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" with cost=tokens hears of costs "
                           "through the queue: add a \"travel_redis queue\" "
                           "line");
        return NGX_ERROR;
    }

    if (lmcf->measured
        && ngx_http_travel_phase(cf, NGX_HTTP_LOG_PHASE,
                                 ngx_http_travel_limit_log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (lmcf->early
        && ngx_http_travel_phase(cf, NGX_HTTP_PREACCESS_PHASE,
                                 ngx_http_travel_limit_early)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (lmcf->late
        && ngx_http_travel_phase(cf, NGX_HTTP_ACCESS_PHASE,
                                 ngx_http_travel_limit_late)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_travel_limit_next_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_travel_limit_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_limit_init_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_limit_main_conf_t  *lmcf;

    if (ngx_http_travel_cycle_conf(cycle) == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    lmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_limit_module);

    return lmcf->settled ? ngx_http_travel_settled_start(cycle, lmcf) : NGX_OK;
}


/* --- gauges -------------------------------------------------------------- */

size_t
ngx_http_travel_limit_metrics_size(void)
{
    ngx_http_travel_limit_main_conf_t  *lmcf;

    lmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_travel_limit_module);

    return 256 + lmcf->policies.nelts * 128;
}


u_char *
ngx_http_travel_limit_metrics(u_char *p, u_char *last)
{
    ngx_uint_t                           i;
    ngx_http_travel_policy_t           **policy;
    ngx_http_travel_limit_main_conf_t   *lmcf;

    lmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_travel_limit_module);
    policy = lmcf->policies.elts;

    p = ngx_slprintf(p, last,
                     "# HELP travel_limit_over_admission_bound What this node "
                     "may admit beyond a shared quota: its slice; the sum over "
                     "nodes is the bound of all.\n"
                     "# TYPE travel_limit_over_admission_bound gauge\n");

    for (i = 0; i < lmcf->policies.nelts; i++) {
        if (policy[i]->mode == NGX_HTTP_TRAVEL_MODE_GLOBAL) {
            p = ngx_slprintf(p, last, "travel_limit_over_admission_bound"
                             "{policy=\"%V\"} %uD\n", &policy[i]->name,
                             policy[i]->slice);
        }
    }

    return p;
}
