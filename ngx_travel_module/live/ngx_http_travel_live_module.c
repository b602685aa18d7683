/* The directives travel_live and travel_live_allow. */

#include "ngx_http_travel_live_session.h"
#include "ngx_http_travel_live_board.h"
#include "../../common/origin.h"

#define NGX_HTTP_TRAVEL_LIVE_MESSAGE_MAX  (16 * 1024 * 1024)


static void *ngx_http_travel_live_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_live_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_live_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_travel_live_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_live_parameter(ngx_conf_t *cf,
    ngx_http_travel_live_loc_conf_t *llcf, ngx_str_t *arg);
static char *ngx_http_travel_live_grant(ngx_conf_t *cf,
    ngx_http_travel_live_loc_conf_t *llcf, ngx_str_t *value);
static char *ngx_http_travel_live_origins(ngx_conf_t *cf,
    ngx_http_travel_live_loc_conf_t *llcf, ngx_str_t *list);
static ngx_int_t ngx_http_travel_live_counters(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_live_init_process(ngx_cycle_t *cycle);
static void ngx_http_travel_live_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_travel_live_commands[] = {

    { ngx_string("travel_live"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_live_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_live_allow"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_travel_live_allow_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_publish"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_travel_publish_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_live_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_travel_live_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_live_create_loc_conf,  /* create location configuration */
    ngx_http_travel_live_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_travel_live_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_live_module_ctx,      /* module context */
    ngx_http_travel_live_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_live_init_process,     /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_travel_live_exit_process,     /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* This worker's view of the counters' names. */
static const ngx_http_travel_live_main_conf_t  *ngx_http_travel_live_conf;


static void *
ngx_http_travel_live_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_live_main_conf_t));
}


static void *
ngx_http_travel_live_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_live_loc_conf_t  *llcf;

    llcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_live_loc_conf_t));
    if (llcf == NULL) {
        return NULL;
    }

    llcf->max_message = 65536;
    llcf->queue = 262144;
    llcf->heartbeat = 30000;
    llcf->close = 5000;
    llcf->rate = 50;
    llcf->deflate = 1;
    llcf->topics = 64;
    llcf->poll = 30000;
    llcf->retry = 2000;
    llcf->init = 10000;
    llcf->operations = 100;

    llcf->door = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_door_t));
    if (llcf->door == NULL) {
        return NULL;
    }

    return llcf;
}


static char *
ngx_http_travel_live_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_travel_live_loc_conf_t  *prev = parent;
    ngx_http_travel_live_loc_conf_t  *conf = child;

    (void) cf;

    if (conf->rules == NULL) {
        conf->rules = prev->rules;
    }

    return NGX_CONF_OK;
}


/* A location's is its own: what lies below does not become a socket too. */
static char *
ngx_http_travel_live_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_live_loc_conf_t  *llcf = conf;

    char                              *rv;
    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_http_travel_live_main_conf_t  *lmcf;

    (void) cmd;

    if (llcf->set) {
        return "is duplicate";
    }

    llcf->set = 1;
    value = cf->args->elts;
    ngx_http_travel_door(cf, llcf->door);

    if (value[1].len == 3 && ngx_strncmp(value[1].data, "off", 3) == 0) {
        return cf->args->nelts == 2 ? NGX_CONF_OK
                                    : "off takes no parameters";
    }

    if (value[1].len == 4 && ngx_strncmp(value[1].data, "echo", 4) == 0) {
        llcf->protocol = &ngx_http_travel_echo;

    } else if (value[1].len == 6
               && ngx_strncmp(value[1].data, "topics", 6) == 0)
    {
        llcf->protocol = &ngx_http_travel_topics;

    } else if (value[1].len == 7
               && ngx_strncmp(value[1].data, "graphql", 7) == 0)
    {
        llcf->protocol = &ngx_http_travel_graphql_socket;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_live\" knows no \"%V\": use topics, "
                           "graphql, echo or off",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_travel_live_parameter(cf, llcf, &value[i]);

        if (rv == NGX_CONF_OK) {
            continue;
        }

        if (rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_live\": \"%V\" %s", &value[i], rv);
        }

        return NGX_CONF_ERROR;
    }

    if (ngx_http_travel_live_counters(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (llcf->protocol != &ngx_http_travel_echo) {
        lmcf = ngx_http_conf_get_module_main_conf(cf,
                                                  ngx_http_travel_live_module);
        lmcf->presence |= llcf->presence;

        if (lmcf->relay == NULL) {
            lmcf->relay = ngx_http_travel_board_zone(cf);
            if (lmcf->relay == NULL) {
                return NGX_CONF_ERROR;
            }
        }
    }

    if (llcf->per_user > 0 || llcf->per_address > 0) {
        llcf->seats = ngx_http_travel_seats_zone(cf);
        if (llcf->seats == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (llcf->protocol != &ngx_http_travel_graphql_socket) {
        return llcf->endpoint.len == 0
               ? ngx_http_travel_claim(cf, NGX_HTTP_GET,
                                       ngx_http_travel_live_handler)
               : "has an endpoint=, which is for \"graphql\"";
    }

    if (llcf->endpoint.len == 0) {
        return "graphql needs endpoint=URI, where travel_graphql is";
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_GET|NGX_HTTP_POST|NGX_HTTP_PUT
                                     |NGX_HTTP_DELETE,
                                 ngx_http_travel_live_handler);
}


ngx_uint_t
ngx_http_travel_live_is(const ngx_str_t *arg, const char *name,
    ngx_str_t *ret_value)
{
    size_t  n;

    n = ngx_strlen(name);

    if (arg->len <= n || ngx_strncmp(arg->data, name, n) != 0) {
        return 0;
    }

    ret_value->data = arg->data + n;
    ret_value->len = arg->len - n;

    return 1;
}


static char *
ngx_http_travel_live_number(const ngx_str_t *value, ngx_uint_t *ret_n)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n < 0 || n > 1000000) {
        return "must be a number of sockets and streams from 1 to 1000000, or "
               "0 for no bound";
    }

    *ret_n = n;

    return NGX_CONF_OK;
}


/* NGX_CONF_OK, NGX_CONF_ERROR after logging, or what is wrong. */
static char *
ngx_http_travel_live_parameter(ngx_conf_t *cf,
    ngx_http_travel_live_loc_conf_t *llcf, ngx_str_t *arg)
{
    ssize_t     size;
    ngx_int_t   n;
    ngx_str_t   v;

    if (ngx_http_travel_live_is(arg, "max_message=", &v)) {
        size = ngx_parse_size(&v);

        if (size < 125 || size > NGX_HTTP_TRAVEL_LIVE_MESSAGE_MAX) {
            return "must be a size from 125 to 16m";
        }

        llcf->max_message = size;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "queue=", &v)) {
        size = ngx_parse_size(&v);

        if (size < 4096 || size > 64 * 1024 * 1024) {
            return "must be a size from 4k to 64m";
        }

        llcf->queue = size;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "heartbeat=", &v)) {
        n = ngx_parse_time(&v, 0);

        if (n < 200 || n > 3600000) {
            return "must be a time from 200ms to 1h";
        }

        llcf->heartbeat = n;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "close=", &v)) {
        n = ngx_parse_time(&v, 0);

        if (n < 100 || n > 60000) {
            return "must be a time from 100ms to 60s";
        }

        llcf->close = n;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "poll=", &v)) {
        n = ngx_parse_time(&v, 0);

        if (n < 1000 || n > 300000) {
            return "must be a time from 1s to 5m";
        }

        llcf->poll = n;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "retry=", &v)) {
        n = ngx_parse_time(&v, 0);

        if (n < 100 || n > 60000) {
            return "must be a time from 100ms to 1m";
        }

        llcf->retry = n;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "rate=", &v)) {
        n = ngx_atoi(v.data, v.len);

        if (n < 0 || n > 1000) {
            return "must be a number of messages a second, up to 1000, or 0 "
                   "for no bound";
        }

        llcf->rate = n;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "deflate=", &v)) {

        if (v.len == 2 && ngx_strncmp(v.data, "on", 2) == 0) {
            llcf->deflate = 1;
            return NGX_CONF_OK;
        }

        if (v.len == 3 && ngx_strncmp(v.data, "off", 3) == 0) {
            llcf->deflate = 0;
            return NGX_CONF_OK;
        }

        return "must be on or off";
    }

    if (ngx_http_travel_live_is(arg, "topics=", &v)) {
        n = ngx_atoi(v.data, v.len);

        if (n < 1 || n > 1000) {
            return "must be a number of topics from 1 to 1000";
        }

        llcf->topics = n;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "endpoint=", &v)) {

        if (v.data[0] != '/') {
            return "must be a URI of this server block, as /api/graphql";
        }

        llcf->endpoint = v;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "init=", &v)) {
        n = ngx_parse_time(&v, 0);

        if (n < 100 || n > 60000) {
            return "must be a time from 100ms to 1m";
        }

        llcf->init = n;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "operations=", &v)) {
        n = ngx_atoi(v.data, v.len);

        if (n < 1 || n > 1000) {
            return "must be a number of operations from 1 to 1000";
        }

        llcf->operations = n;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_live_is(arg, "per_user=", &v)) {
        return ngx_http_travel_live_number(&v, &llcf->per_user);
    }

    if (ngx_http_travel_live_is(arg, "per_address=", &v)) {
        return ngx_http_travel_live_number(&v, &llcf->per_address);
    }

    if (ngx_http_travel_live_is(arg, "presence=", &v)) {

        if (v.len == 2 && ngx_strncmp(v.data, "on", 2) == 0) {
            llcf->presence = 1;
            return NGX_CONF_OK;
        }

        return v.len == 3 && ngx_strncmp(v.data, "off", 3) == 0
               ? NGX_CONF_OK : "must be on or off";
    }

    if (ngx_http_travel_live_is(arg, "grant=", &v)) {
        return ngx_http_travel_live_grant(cf, llcf, &v);
    }

    if (ngx_http_travel_live_is(arg, "origins=", &v)) {
        return ngx_http_travel_live_origins(cf, llcf, &v);
    }

    return "is no parameter that is known";
}


static char *
ngx_http_travel_live_grant(ngx_conf_t *cf,
    ngx_http_travel_live_loc_conf_t *llcf, ngx_str_t *value)
{
    ngx_http_compile_complex_value_t  ccv;

    llcf->grant = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (llcf->grant == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = llcf->grant;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


static char *
ngx_http_travel_live_origins(ngx_conf_t *cf,
    ngx_http_travel_live_loc_conf_t *llcf, ngx_str_t *list)
{
    u_char        *p, *last;
    travel_str_t  *pattern;

    if (llcf->origins == NULL) {
        llcf->origins = ngx_array_create(cf->pool, 4, sizeof(travel_str_t));
        if (llcf->origins == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    last = list->data + list->len;

    for (p = list->data; p <= last; p++) {

        pattern = ngx_array_push(llcf->origins);
        if (pattern == NULL) {
            return NGX_CONF_ERROR;
        }

        pattern->data = (char *) p;

        while (p < last && *p != ',') {
            p++;
        }

        pattern->len = (char *) p - pattern->data;

        if (!travel_origin_pattern_sane(*pattern)) {
            return "must list origins, separated by commas, as "
                   "https://app.example.com or https://*.example.com";
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_live_counters(ngx_conf_t *cf)
{
    ngx_uint_t                         i;
    ngx_http_travel_live_main_conf_t  *lmcf;

    static const char *const  names[] = {
        "travel_live_opened_total",
        "travel_live_ended_total{how=\"closed\"}",
        "travel_live_ended_total{how=\"lost\"}",
        "travel_live_ended_total{how=\"silent\"}",
        "travel_live_ended_total{how=\"slow\"}",
        "travel_live_ended_total{how=\"broken\"}",
        "travel_live_ended_total{how=\"flood\"}",
        "travel_live_ended_total{how=\"released\"}",
        "travel_live_ended_total{how=\"expired\"}",
        "travel_live_ended_total{how=\"revoked\"}",
        "travel_live_refused_total",
        "travel_live_messages_total{way=\"in\"}",
        "travel_live_messages_total{way=\"out\"}",
        "travel_live_relay_total{what=\"message\"}",
        "travel_live_relay_total{what=\"overrun\"}",
        "travel_live_relay_total{what=\"taken_over\"}"
    };

    static const char *const  help[] = {
        "Sockets that were opened.",
        "Sockets that ended, and how.", "Sockets that ended, and how.",
        "Sockets that ended, and how.", "Sockets that ended, and how.",
        "Sockets that ended, and how.", "Sockets that ended, and how.",
        "Sockets that ended, and how.", "Sockets that ended, and how.",
        "Sockets that ended, and how.",
        "Handshakes that were refused.",
        "Messages of sockets.", "Messages of sockets.",
        "What the nginx workers tell each other of topics.",
        "What the nginx workers tell each other of topics.",
        "What the nginx workers tell each other of topics."
    };

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_live_module);

    for (i = 0; i < NGX_HTTP_TRAVEL_LIVE_COUNTERS; i++) {
        lmcf->counters[i] = ngx_http_travel_counter_add(cf, names[i], help[i]);

        if (lmcf->counters[i] == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_travel_live_count(ngx_http_travel_live_counter_e what)
{
    ngx_http_travel_live_counts(what, 1);
}


void
ngx_http_travel_live_counts(ngx_http_travel_live_counter_e what, ngx_uint_t n)
{
    if (n > 0) {
        ngx_http_travel_count(ngx_http_travel_live_conf->counters[what], n);
    }
}


static ngx_int_t
ngx_http_travel_live_init_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_live_conf = ngx_http_cycle_get_module_main_conf(cycle,
                                    ngx_http_travel_live_module);

    if (ngx_http_travel_live_conf == NULL) {
        return NGX_OK;                                   /* no http{} */
    }

    if (ngx_http_travel_live_conf->relay != NULL
        && ngx_http_travel_hub_start(cycle, ngx_http_travel_live_conf->relay)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_travel_live_conf->presence
        && ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE)
        && ngx_http_travel_presence_start(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_travel_requery_start(cycle);
    ngx_http_travel_guests_start(cycle);
    ngx_http_travel_socket_start();

    return NGX_OK;
}


static void
ngx_http_travel_live_exit_process(ngx_cycle_t *cycle)
{
    (void) cycle;

    ngx_http_travel_presence_stop();
    ngx_http_travel_socket_stop();
    ngx_http_travel_guests_stop();
    ngx_http_travel_requery_stop();
    ngx_http_travel_hub_stop();
    ngx_http_travel_watcher_stop();
    ngx_http_travel_talk_stop();
    ngx_http_travel_publish_stop();
}
