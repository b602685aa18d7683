/* The directives travel_command, travel_job_status and travel_backlog, and the
 * commands of the catalog. */

#include "ngx_http_travel_command_room.h"


static void *ngx_http_travel_command_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_command_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_command_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_command_set(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_command_breaker(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_command_final(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_command_check(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *name, void *conf);
static char *ngx_http_travel_job_results(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *name, void *conf);
static char *ngx_http_travel_backlog_share(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_command_packable(ngx_conf_t *cf,
    ngx_http_travel_command_use_t *use);
static char *ngx_http_travel_command_whole(ngx_conf_t *cf,
    ngx_http_travel_command_use_t *use);
static char *ngx_http_travel_job_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_backlog_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_http_travel_command_entry_t *ngx_http_travel_command_load(
    ngx_conf_t *cf, ngx_str_t *type);
static ngx_int_t ngx_http_travel_command_parse_file(ngx_conf_t *cf,
    ngx_str_t *type, travel_command_t **ret_command);
static ngx_int_t ngx_http_travel_command_counters(ngx_conf_t *cf,
    ngx_http_travel_command_entry_t *entry);
static void ngx_http_travel_command_cleanup(void *data);
static ngx_int_t ngx_http_travel_command_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_command_init_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_travel_command_commands[] = {

    { ngx_string("travel_command"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_travel_command_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_job_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_job_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_sealed_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_travel_sealed_key_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_backlog"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_travel_backlog_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static const ngx_http_travel_param_t  ngx_http_travel_command_params[] = {

    { "check", ngx_http_travel_command_check,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "wait", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_command_use_t, wait),
      "0", "10m", "0", NULL, 0 },

    { "wait_default", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_command_use_t, wait_default),
      "0", "10m", "0", NULL, 0 },

    { "max_body", ngx_http_travel_param_size,
      offsetof(ngx_http_travel_command_use_t, max_body),
      "1", "1m", "64k", NULL, 0 },

    { "max_errors", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_command_use_t, max_errors),
      "1", "100", "20", NULL, 0 },

    { "formats", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_command_use_t, annotate),
      NULL, NULL, "assert", "assert|annotate", 0 },

    { "batch", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_command_use_t, batch),
      "1", "1000", NULL, "items of a body", 0 },

    { "batch_jobs", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_command_use_t, pack),
      NULL, NULL, "each", "each|one", 0 },

    { "deadline", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_command_use_t, deadline),
      "1s", "1d", NULL, NULL, 0 },

    { "id", ngx_http_travel_param_expression,
      offsetof(ngx_http_travel_command_use_t, id),
      NULL, NULL, NULL, NULL, 0 },

    { "set", ngx_http_travel_command_set,
      0,
      NULL, NULL, NULL, NULL, 1 },

    { "resource", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_command_use_t, resource),
      NULL, NULL, NULL, NULL, 0 },

    { "breaker", ngx_http_travel_command_breaker,
      offsetof(ngx_http_travel_command_use_t, breaker),
      NULL, NULL, NULL, NULL, 0 },

    { "idempotency", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_command_use_t, idempotency),
      NULL, NULL, "optional", "optional|required", 0 },

    { "idempotency_ttl", ngx_http_travel_param_msec_text,
      offsetof(ngx_http_travel_command_use_t, idem_ttl),
      "1s", "3d", "24h", NULL, 0 },

    { "require", ngx_http_travel_command_final,
      offsetof(ngx_http_travel_command_use_t, final),
      NULL, NULL, NULL, NULL, 0 },

    { "unique", ngx_http_travel_command_unique_parts,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "unique_ttl", ngx_http_travel_param_msec_text,
      offsetof(ngx_http_travel_command_use_t, unique_ttl),
      "1s", "3d", "1h", NULL, 0 },

      ngx_http_travel_null_param
};


static const ngx_http_travel_param_t  ngx_http_travel_job_status_params[] = {

    { "id", ngx_http_travel_param_expression,
      offsetof(ngx_http_travel_command_loc_conf_t, job_id),
      NULL, NULL, NULL, NULL, 0 },

    { "wait", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_command_loc_conf_t, job_wait),
      "0", "10m", "0", NULL, 0 },

    { "events", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_command_loc_conf_t, job_events),
      "0", "10m", "5m", NULL, 0 },

    { "streams", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_command_loc_conf_t, job_streams),
      "1", "100000", "1000", "open streams", 0 },

    { "result", ngx_http_travel_job_results,
      0,
      NULL, NULL, NULL, NULL, 0 },

      ngx_http_travel_null_param
};


static const ngx_http_travel_param_t  ngx_http_travel_backlog_params[] = {

    { "bytes", ngx_http_travel_param_size,
      offsetof(ngx_http_travel_command_main_conf_t, backlog.bytes),
      "1m", "1024g", "256m", NULL, 0 },

    { "normal", ngx_http_travel_backlog_share,
      offsetof(ngx_http_travel_command_main_conf_t,
               backlog.share[TRAVEL_PRIORITY_NORMAL]),
      "1%", "100%", "95%", "of the bound", 0 },

    { "low", ngx_http_travel_backlog_share,
      offsetof(ngx_http_travel_command_main_conf_t,
               backlog.share[TRAVEL_PRIORITY_LOW]),
      "1%", "100%", "80%", "of the bound", 0 },

      ngx_http_travel_null_param
};


static ngx_http_module_t  ngx_http_travel_command_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_travel_command_postconfiguration, /* postconfiguration */

    ngx_http_travel_command_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_command_create_loc_conf, /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_travel_command_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_command_module_ctx,   /* module context */
    ngx_http_travel_command_commands,      /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_command_init_process,  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_travel_command_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_command_main_conf_t  *cmcf;

    /* set by ngx_pcalloc(): cmcf->used = 0 */

    cmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_command_main_conf_t));
    if (cmcf == NULL) {
        return NULL;
    }

    cmcf->backlog.messages = 100000;
    cmcf->backlog.share[TRAVEL_PRIORITY_HIGH] = 100;

    if (ngx_http_travel_params_default(cf, ngx_http_travel_backlog_params, cmcf)
        != NGX_CONF_OK
        || ngx_array_init(&cmcf->entries, cf->pool, 8,
                          sizeof(ngx_http_travel_command_entry_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return cmcf;
}


static void *
ngx_http_travel_command_create_loc_conf(ngx_conf_t *cf)
{
    /* a location's commands are its own and are not inherited: no merge */
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_command_loc_conf_t));
}


/* --- travel_command METHOD TYPE [param=value ...] ------------------------- */

static char *
ngx_http_travel_command_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_command_loc_conf_t  *clcf = conf;

    char                                 *rv;
    ngx_str_t                            *value;
    ngx_http_travel_command_use_t        *use, **slot;
    ngx_http_travel_command_main_conf_t  *cmcf;

    (void) cmd;

    value = cf->args->elts;
    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_command_module);

    if (clcf->uses.elts == NULL
        && ngx_array_init(&clcf->uses, cf->pool, 2,
                          sizeof(ngx_http_travel_command_use_t *))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    use = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_command_use_t));
    slot = ngx_array_push(&clcf->uses);

    if (use == NULL || slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = use;
    cmcf->used = 1;

    use->method = ngx_http_travel_method(&value[1]);

    if (!(use->method & (NGX_HTTP_POST|NGX_HTTP_PUT|NGX_HTTP_PATCH
                         |NGX_HTTP_DELETE)))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_command\" method \"%V\" must be POST, "
                           "PUT, PATCH or DELETE", &value[1]);
        return NGX_CONF_ERROR;
    }

    use->entry = ngx_http_travel_command_load(cf, &value[2]);
    if (use->entry == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_travel_params_whole(cf, ngx_http_travel_command_params, 3, use)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_travel_command_whole(cf, use);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_travel_claim(cf, use->method,
                                 ngx_http_travel_command_handler);
}


static char *
ngx_http_travel_command_final(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_command_use_t  *use = conf;

    (void) cf;
    (void) param;

    if (value->len != 5 || ngx_strncmp(value->data, "final", 5) != 0) {
        return "must be require=final";
    }

    use->final = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_command_breaker(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_breaker_needed(cf);

    return ngx_http_travel_param_text(cf, param, value, conf);
}


/* set=journey_id:$journey_id */
static char *
ngx_http_travel_command_set(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_command_use_t  *use = conf;

    u_char                         *p;
    ngx_str_t                       text;
    ngx_http_travel_command_set_t  *set;

    (void) param;

    p = ngx_strlchr(value->data, value->data + value->len, ':');

    if (p == NULL || p == value->data || p == value->data + value->len - 1) {
        return "must be member:value, such as \"set=journey_id:$journey_id\"";
    }

    if (use->nsets == NGX_HTTP_TRAVEL_COMMAND_SETS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"set=\" may be given %d times at most",
                           NGX_HTTP_TRAVEL_COMMAND_SETS);
        return NGX_CONF_ERROR;
    }

    set = &use->sets[use->nsets++];

    set->member.data = value->data;
    set->member.len = p - value->data;

    text.data = p + 1;
    text.len = value->data + value->len - p - 1;

    set->value = ngx_http_travel_expression(cf, &text);

    return set->value ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_travel_command_check(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *name, void *conf)
{
    ngx_http_travel_command_use_t  *use = conf;

    (void) param;

    use->check = ngx_http_travel_query_find(cf, name);
    if (use->check == NULL) {
        return NGX_CONF_ERROR;
    }

    if (use->check->returns != TRAVEL_RETURNS_ROWS) {
        return "must be a query that says \"-- @returns rows\" (code, pointer, "
               "message)";
    }

    if (ngx_http_travel_command_check_secret(cf, use) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    use->check_statement = ngx_http_travel_query_statement(cf, use->check);

    return use->check_statement ? NGX_CONF_OK : NGX_CONF_ERROR;
}


const ngx_http_travel_order_t *
ngx_http_travel_command_order(ngx_conf_t *cf,
    ngx_http_travel_order_spec_t *spec)
{
    char                                 *rv;
    ngx_http_travel_order_t              *order;
    ngx_http_travel_command_use_t        *use;
    ngx_http_travel_command_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_command_module);
    order = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_order_t));

    if (order == NULL) {
        return NULL;
    }

    cmcf->used = 1;
    order->wait = spec->wait;
    use = &order->use;
    use->breaker = spec->breaker;
    use->method = NGX_HTTP_POST;

    if (ngx_http_travel_params_default(cf, ngx_http_travel_command_params, use)
        != NGX_CONF_OK)
    {
        return NULL;
    }

    use->entry = ngx_http_travel_command_load(cf, &spec->type);

    if (use->entry != NULL && use->entry->command->once) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "command \"%V\" tells its result once, to who waits "
                           "for it by travel_command: it cannot be a GraphQL "
                           "mutation", &spec->type);
        return NULL;
    }

    if (use->entry == NULL) {
        return NULL;
    }

    rv = spec->check.len ? ngx_http_travel_command_check(cf, NULL, &spec->check,
                                                         use)
                         : NGX_CONF_OK;

    if (rv != NGX_CONF_OK) {
        if (rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "command \"%V\": \"check: %V\" %s", &spec->type,
                               &spec->check, rv);
        }

        return NULL;
    }

    if (use->breaker.len != 0) {
        ngx_http_travel_breaker_needed(cf);
    }

    return order;
}


/* Whether many of these may go in as one. */
static char *
ngx_http_travel_command_packable(ngx_conf_t *cf,
    ngx_http_travel_command_use_t *use)
{
    const char        *hint;
    travel_command_t  *command;

    command = use->entry->command;

    hint = use->batch == 0 ? "needs batch=, how many items a body may have"
         : !command->batches ? "needs a worker that takes an array as a job's "
                               "body: if there is one, say \"batches\": true "
                               "in the command's file"
         : use->check ? "lets the worker check: remove check="
         : use->breaker.len ? "asks no breaker: remove breaker="
         : use->nunique ? "cannot be unique: remove unique="
         : NULL;

    if (hint == NULL) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"batch_jobs=one\" of %V %s",
                       &use->entry->type, hint);

    return NGX_CONF_ERROR;
}


/* What only shows when all parameters are known. */
static char *
ngx_http_travel_command_whole(ngx_conf_t *cf,
    ngx_http_travel_command_use_t *use)
{
    travel_command_t  *command;

    command = use->entry->command;

    if (use->resource.len == 0 && command->resource) {
        use->resource.data = (u_char *) command->resource;
        use->resource.len = ngx_strlen(command->resource);
    }

    if (!command->creates && use->id == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_command\" %V changes something that is "
                           "there: add id=$..., its id from the path",
                           &use->entry->type);
        return NGX_CONF_ERROR;
    }

    if (command->creates && use->id) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_command\" %V creates, so the id is made "
                           "here: remove id=", &use->entry->type);
        return NGX_CONF_ERROR;
    }

    if (use->batch && (use->id || use->nsets)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"batch=\" is for commands that are all in the "
                           "body: remove id= and set= of %V",
                           &use->entry->type);
        return NGX_CONF_ERROR;
    }

    if (use->resource.len != 0 && use->resource.data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"resource=%V\" must be a path, which begins with "
                           "\"/\": what Location is, less the id",
                           &use->resource);
        return NGX_CONF_ERROR;
    }

    if (use->wait != 0 && use->wait_default > use->wait) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"wait_default=\" of %V is longer than \"wait=\", "
                           "which is the most that is waited",
                           &use->entry->type);
        return NGX_CONF_ERROR;
    }

    if (use->nunique == 0 && ngx_http_travel_param_given(cf, "unique_ttl")) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"unique_ttl=\" of %V says for how long what is "
                           "unique: add unique=, or remove it",
                           &use->entry->type);
        return NGX_CONF_ERROR;
    }

    use->wait = ngx_max(use->wait, use->wait_default);

    if (use->pack
        && ngx_http_travel_command_packable(cf, use) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (!command->once) {
        return NGX_CONF_OK;
    }

    if (use->wait < 1000 || use->batch) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_command\" %V tells its result once, to "
                           "who waits for it: add wait= of 1s or more, and no "
                           "batch=", &use->entry->type);
        return NGX_CONF_ERROR;
    }

    if (use->wait_default == 0) {
        use->wait_default = use->wait;
    }

    return NGX_CONF_OK;
}


/* --- travel_job_status id=$job_id [wait=30s] [events=5m] [streams=1000]
 *     [result=QUERY] ------------------------------------------------------ */

/* The query that reads results which are in the database: for all waits. */
static char *
ngx_http_travel_job_results(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *name, void *conf)
{
    const travel_query_t                 *query;
    ngx_http_travel_command_main_conf_t  *cmcf;

    (void) param;
    (void) conf;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_command_module);
    query = ngx_http_travel_query_find(cf, name);

    if (query == NULL) {
        return NGX_CONF_ERROR;
    }

    if (query->nparams != 1 || query->viewer == 0
        || (cmcf->result && cmcf->result != query))
    {
        return "must be one query for all locations, of :viewer and one "
               "parameter, the job's uuid";
    }

    cmcf->result = query;
    cmcf->result_statement = ngx_http_travel_query_statement(cf, query);

    return cmcf->result_statement ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_travel_job_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_command_loc_conf_t  *clcf = conf;

    ngx_http_travel_command_main_conf_t  *cmcf;

    (void) cmd;

    if (clcf->job) {
        return "is duplicate";
    }

    clcf->job = 1;
    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_command_module);
    cmcf->used = 1;

    if (ngx_http_travel_params_whole(cf, ngx_http_travel_job_status_params, 1,
                                     clcf)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (clcf->job_id == NULL) {
        return "needs id=, the job's id from the path: id=$job_id";
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_GET|NGX_HTTP_DELETE,
                                 ngx_http_travel_job_handler);
}


static char *
ngx_http_travel_backlog_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_command_main_conf_t  *cmcf = conf;

    char       *rv;
    ngx_int_t   n;
    ngx_str_t  *value;

    (void) cmd;

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > 100000000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_backlog\" \"%V\" must be a number of "
                           "messages per partition, from 1 to 100000000",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    cmcf->backlog.messages = (uint64_t) n;

    rv = ngx_http_travel_params(cf, ngx_http_travel_backlog_params, 2, cmcf);

    if (rv == NGX_CONF_OK
        && cmcf->backlog.share[TRAVEL_PRIORITY_LOW]
           > cmcf->backlog.share[TRAVEL_PRIORITY_NORMAL])
    {
        return "gives more room to low= than to normal=: the low are to be "
               "refused first";
    }

    return rv;
}


static char *
ngx_http_travel_backlog_share(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_int_t  n;

    (void) cf;

    n = (value->data[value->len - 1] == '%')
        ? ngx_atoi(value->data, value->len - 1) : NGX_ERROR;

    if (n < 1 || n > 100) {
        return "must be a share of the bound, from 1% to 100%";
    }

    *(ngx_uint_t *) ((char *) conf + param->offset) = (ngx_uint_t) n;

    return NGX_CONF_OK;
}


/* --- the catalog's commands ----------------------------------------------- */

static ngx_http_travel_command_entry_t *
ngx_http_travel_command_load(ngx_conf_t *cf, ngx_str_t *type)
{
    ngx_uint_t                             i;
    ngx_pool_cleanup_t                    *cln;
    ngx_http_travel_command_entry_t       *entry, **entries;
    ngx_http_travel_command_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_command_module);
    entries = cmcf->entries.elts;

    for (i = 0; i < cmcf->entries.nelts; i++) {
        if (entries[i]->type.len == type->len
            && ngx_strncmp(entries[i]->type.data, type->data, type->len) == 0)
        {
            return entries[i];
        }
    }

    entry = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_command_entry_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (entry == NULL || cln == NULL
        || ngx_http_travel_command_parse_file(cf, type, &entry->command)
           != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_http_travel_command_cleanup;
    cln->data = entry->command;

    entry->type = *type;
    entry->queue.data = (u_char *) entry->command->queue;
    entry->queue.len = ngx_strlen(entry->command->queue);

    entries = ngx_array_push(&cmcf->entries);
    if (entries == NULL
        || ngx_http_travel_command_counters(cf, entry) != NGX_OK)
    {
        return NULL;
    }

    *entries = entry;

    return entry;
}


static void
ngx_http_travel_command_cleanup(void *data)
{
    travel_command_free(data);
}


static ngx_int_t
ngx_http_travel_command_parse_file(ngx_conf_t *cf, ngx_str_t *type,
    travel_command_t **ret_command)
{
    int                           rc;
    char                         *text, *path;
    size_t                        len, i;
    travel_str_t                  source;
    travel_catalog_fault_t        fault;
    ngx_http_travel_main_conf_t  *mcf;

    mcf = ngx_http_travel_main_conf(cf);

    if (mcf->catalog.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_command\" needs \"travel_catalog\" "
                           "before it");
        return NGX_ERROR;
    }

    for (i = 0; i < type->len; i++) {
        if (!((type->data[i] >= 'a' && type->data[i] <= 'z')
              || type->data[i] == '_' || (type->data[i] == '.' && i > 0)))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "command \"%V\" must be a name such as "
                               "\"booking.create\"", type);
            return NGX_ERROR;
        }
    }

    path = ngx_pnalloc(cf->pool, mcf->catalog.len + type->len
                                 + sizeof("/commands/.json"));
    if (path == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf((u_char *) path, "%V/commands/%V.json%Z",
                       &mcf->catalog, type);

    text = NULL;
    ngx_memzero(&fault, sizeof(travel_catalog_fault_t));

    rc = travel_catalog_read(&text, &len, path, &fault);

    if (rc == TRAVEL_OK) {
        source.data = text;
        source.len = len;

        rc = travel_command_parse(ret_command, (char *) type->data, path,
                                  source, &fault);
        free(text);
    }

    if (rc == TRAVEL_OK) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s:%uz: %s",
                       fault.file[0] ? fault.file : path,
                       fault.line ? fault.line : (size_t) 1,
                       fault.message[0] ? fault.message : "out of memory");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_travel_command_counters(ngx_conf_t *cf,
    ngx_http_travel_command_entry_t *entry)
{
    u_char      *p;
    ngx_int_t    n;
    ngx_uint_t   i;

    static const char  *outcomes[NGX_HTTP_TRAVEL_COMMAND_OUTCOMES] = {
        "accepted", "replayed", "refused", "full", "unavailable", "unknown",
        "aborted", "unheard"
    };

    for (i = 0; i < NGX_HTTP_TRAVEL_COMMAND_OUTCOMES; i++) {
        p = ngx_pnalloc(cf->pool, entry->type.len + 80);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_sprintf(p, "travel_commands_total{type=\"%V\",outcome=\"%s\"}%Z",
                    &entry->type, outcomes[i]);

        n = ngx_http_travel_counter_add(cf, (char *) p, "Commands by outcome");
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        entry->counters[i] = (ngx_uint_t) n;
    }

    return NGX_OK;
}


void
ngx_http_travel_command_count(ngx_http_travel_command_t *cmd,
    ngx_http_travel_command_outcome_e outcome)
{
    ngx_http_travel_count(cmd->use->entry->counters[outcome],
                          cmd->holds ? cmd->holds : 1);
}


ngx_http_travel_command_entry_t *
ngx_http_travel_command_creator(ngx_http_request_t *r, travel_str_t aggregate)
{
    ngx_uint_t                            i;
    travel_str_t                          kind;
    ngx_http_travel_command_entry_t     **entries;
    ngx_http_travel_command_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_command_module);
    entries = cmcf->entries.elts;

    for (i = 0; i < cmcf->entries.nelts; i++) {
        kind.data = entries[i]->command->aggregate;
        kind.len = ngx_strlen(kind.data);

        if (entries[i]->command->creates && travel_str_eq(kind, aggregate)) {
            return entries[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_travel_command_postconfiguration(ngx_conf_t *cf)
{
    ngx_int_t                             waited, late, streams, full;
    ngx_http_travel_command_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_command_module);

    if (!cmcf->used) {
        return NGX_OK;
    }

    if (ngx_http_travel_command_sealable(cf, cmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    waited = ngx_http_travel_counter_add(cf,
                       "travel_job_waits_total{result=\"ended\"}",
                       "Requests that waited for a job");
    late = ngx_http_travel_counter_add(cf,
                       "travel_job_waits_total{result=\"late\"}",
                       "Requests that waited for a job");

    streams = ngx_http_travel_counter_add(cf,
                       "travel_job_streams_total{result=\"opened\"}",
                       "Event streams of jobs that clients asked for");
    full = ngx_http_travel_counter_add(cf,
                       "travel_job_streams_total{result=\"full\"}",
                       "Event streams of jobs that clients asked for");

    if (waited == NGX_ERROR || late == NGX_ERROR || streams == NGX_ERROR
        || full == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    cmcf->waited = (ngx_uint_t) waited;
    cmcf->late = (ngx_uint_t) late;
    cmcf->streams = (ngx_uint_t) streams;
    cmcf->streams_full = (ngx_uint_t) full;

    ngx_http_travel_pending_hooks();

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_command_init_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_command_main_conf_t  *cmcf;

    if ((ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
        || cycle->conf_ctx[ngx_http_module.index] == NULL)
    {
        return NGX_OK;
    }

    cmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_command_module);

    if (cmcf == NULL || !cmcf->used) {
        return NGX_OK;
    }

    return ngx_http_travel_job_channel_init(cycle);
}
