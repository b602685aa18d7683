/*
 * The net room as an nginx module: its directives, and the life of its links
 * in one nginx worker.
 *
 * Nothing connects in the master: links are made in init_process and closed in
 * exit_process, both without waiting for anybody.
 */

#include "ngx_http_travel_net.h"
#include "../../common/backoff.h"


static ngx_int_t ngx_http_travel_net_init_process(ngx_cycle_t *cycle);
static void ngx_http_travel_net_exit_process(ngx_cycle_t *cycle);
static void *ngx_http_travel_net_create_conf(ngx_conf_t *cf);


static ngx_uint_t  ngx_http_travel_net_started;


static ngx_command_t  ngx_http_travel_net_commands[] = {

    { ngx_string("travel_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_travel_redis_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_postgres"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_travel_pg_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_net_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_travel_net_create_conf,       /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_travel_net_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_net_module_ctx,       /* module context */
    ngx_http_travel_net_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_net_init_process,      /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_travel_net_exit_process,      /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_travel_net_create_conf(ngx_conf_t *cf)
{
    ngx_http_travel_net_conf_t  *conf;

    /* set by ngx_pcalloc(): conf->redis[].configured = 0 */

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_net_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    ngx_str_set(&conf->redis[NGX_HTTP_TRAVEL_REDIS_QUEUE].name, "queue");
    ngx_str_set(&conf->redis[NGX_HTTP_TRAVEL_REDIS_CACHE].name, "cache");

    if (ngx_array_init(&conf->servers, cf->pool, 4,
                       sizeof(ngx_http_travel_pg_conf_t))
        != NGX_OK)
    {
        return NULL;
    }

    return conf;
}


static ngx_int_t
ngx_http_travel_net_init_process(ngx_cycle_t *cycle)
{
    return ngx_http_travel_net_start(cycle);
}


ngx_int_t
ngx_http_travel_net_start(ngx_cycle_t *cycle)
{
    ngx_http_travel_net_conf_t  *conf;

    if (ngx_http_travel_net_started) {
        return NGX_OK;
    }

    /* the cache manager and loader come here too and serve nobody */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    if (cycle->conf_ctx[ngx_http_module.index] == NULL) {
        return NGX_OK;
    }

    conf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_net_module);
    if (conf == NULL) {
        return NGX_OK;
    }

    ngx_http_travel_net_started = 1;

    /* the clock has stood still since the configuration began to be read, and
     * what may take so long begins now */
    ngx_time_update();

    if (ngx_http_travel_redis_start(cycle, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_travel_pg_start(cycle, conf);
}


static void
ngx_http_travel_net_exit_process(ngx_cycle_t *cycle)
{
    (void) cycle;

    if (!ngx_http_travel_net_started) {
        return;
    }

    ngx_http_travel_redis_unlisten();
    ngx_http_travel_feed_stop();
    ngx_http_travel_redis_stop();
    ngx_http_travel_pg_stop();
}


ngx_msec_t
ngx_http_travel_net_backoff(ngx_uint_t attempt)
{
    return (ngx_msec_t) travel_backoff_ms((unsigned) ngx_min(attempt, 31),
                                          NGX_HTTP_TRAVEL_RETRY_FLOOR,
                                          NGX_HTTP_TRAVEL_RETRY_CAP,
                                          NGX_HTTP_TRAVEL_RETRY_FLOOR,
                                          (uint32_t) ngx_random());
}
