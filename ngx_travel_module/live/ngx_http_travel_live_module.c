/* The directives of live. */

#include "ngx_http_travel_live_session.h"
#include "ngx_http_travel_live_board.h"
#include "../../common/origin.h"


static void *ngx_http_travel_live_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_travel_live_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_travel_live_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_live_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_travel_live_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_live_endpoint(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_live_origins(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *list, void *conf);
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

    { ngx_string("travel_live_batch"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_travel_live_main_conf_t, batch),
      NULL },

    { ngx_string("travel_publish"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_travel_publish_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static const ngx_http_travel_param_t  ngx_http_travel_live_params[] = {

    { "max_message", ngx_http_travel_param_size,
      offsetof(ngx_http_travel_live_loc_conf_t, max_message),
      "125", "16m", "64k", NULL, 0 },

    { "queue", ngx_http_travel_param_size,
      offsetof(ngx_http_travel_live_loc_conf_t, queue),
      "4k", "64m", "256k", NULL, 0 },

    { "heartbeat", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_live_loc_conf_t, heartbeat),
      "200ms", "1h", "30s", NULL, 0 },

    { "close", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_live_loc_conf_t, close),
      "100ms", "60s", "5s", NULL, 0 },

    { "poll", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_live_loc_conf_t, poll),
      "1s", "5m", "30s", NULL, 0 },

    { "retry", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_live_loc_conf_t, retry),
      "100ms", "1m", "2s", NULL, 0 },

    { "rate", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_live_loc_conf_t, rate),
      "0", "1000", "50", "messages a second, 0 for no bound", 0 },

    { "deflate", ngx_http_travel_param_flag,
      offsetof(ngx_http_travel_live_loc_conf_t, deflate),
      NULL, NULL, "on", NULL, 0 },

    { "topics", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_live_loc_conf_t, topics),
      "1", "1000", "64", NULL, 0 },

    { "endpoint", ngx_http_travel_live_endpoint,
      offsetof(ngx_http_travel_live_loc_conf_t, endpoint),
      NULL, NULL, NULL, NULL, 0 },

    { "init", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_live_loc_conf_t, init),
      "100ms", "1m", "10s", NULL, 0 },

    { "operations", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_live_loc_conf_t, operations),
      "1", "1000", "100", NULL, 0 },

    { "per_user", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_live_loc_conf_t, per_user),
      "0", "1000000", "0", "sockets and streams, 0 for no bound", 0 },

    { "per_address", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_live_loc_conf_t, per_address),
      "0", "1000000", "0", "sockets and streams, 0 for no bound", 0 },

    { "presence", ngx_http_travel_param_flag,
      offsetof(ngx_http_travel_live_loc_conf_t, presence),
      NULL, NULL, "off", NULL, 0 },

    { "grant", ngx_http_travel_param_expression,
      offsetof(ngx_http_travel_live_loc_conf_t, grant),
      NULL, NULL, NULL, NULL, 0 },

    { "check", ngx_http_travel_live_uri,
      offsetof(ngx_http_travel_live_loc_conf_t, check),
      NULL, NULL, NULL, NULL, 0 },

    { "origins", ngx_http_travel_live_origins,
      offsetof(ngx_http_travel_live_loc_conf_t, origins),
      NULL, NULL, NULL, NULL, 1 },

      ngx_http_travel_null_param
};


static ngx_http_module_t  ngx_http_travel_live_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_travel_live_create_main_conf, /* create main configuration */
    ngx_http_travel_live_init_main_conf,   /* init main configuration */

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
    ngx_http_travel_live_main_conf_t  *lmcf;

    lmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_live_main_conf_t));

    if (lmcf != NULL) {
        lmcf->batch = NGX_CONF_UNSET;
    }

    return lmcf;
}


static char *
ngx_http_travel_live_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_travel_live_main_conf_t  *lmcf = conf;

    (void) cf;

    ngx_conf_init_value(lmcf->batch, 1);

    return NGX_CONF_OK;
}


static void *
ngx_http_travel_live_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_live_loc_conf_t  *llcf;

    llcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_live_loc_conf_t));
    if (llcf == NULL) {
        return NULL;
    }

    llcf->door = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_door_t));

    if (llcf->door == NULL
        || ngx_http_travel_params_default(cf, ngx_http_travel_live_params, llcf)
           != NGX_CONF_OK)
    {
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

    ngx_str_t                         *value;
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

    if (ngx_http_travel_params(cf, ngx_http_travel_live_params, 2, llcf)
        != NGX_CONF_OK)
    {
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

    if (llcf->check != NULL) {
        return "has a check=, which is for \"topics\": the schema's @topic "
               "says who may watch a subscription";
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_GET|NGX_HTTP_POST|NGX_HTTP_PUT
                                     |NGX_HTTP_DELETE,
                                 ngx_http_travel_live_handler);
}


static char *
ngx_http_travel_live_endpoint(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    if (value->data[0] != '/') {
        return "must be a URI of this server block, as /api/graphql";
    }

    return ngx_http_travel_param_text(cf, param, value, conf);
}


static char *
ngx_http_travel_live_origins(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *list, void *conf)
{
    ngx_http_travel_live_loc_conf_t  *llcf = conf;

    u_char        *p, *last;
    travel_str_t  *pattern;

    (void) param;

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
        "travel_live_batched_total",
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
        "Writes to sockets, many by one system call.",
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
    ngx_http_travel_socket_start(ngx_http_travel_live_conf->batch);

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
