/* travel_graphql and travel_graphql_sdl: directives, the schema, life. */

#include "ngx_http_travel_graphql_room.h"
#include "../../common/graphql/sdl.h"

#include <dirent.h>


static void *ngx_http_travel_graphql_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_graphql_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_graphql_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_graphql_sdl_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_travel_graphql_sdl_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_graphql_load(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_graphql_orders(ngx_conf_t *cf,
    ngx_http_travel_graphql_main_conf_t *gmcf);
static ngx_int_t ngx_http_travel_graphql_counters(ngx_conf_t *cf,
    ngx_http_travel_graphql_main_conf_t *gmcf);
static void ngx_http_travel_graphql_unload(void *data);
static ngx_int_t ngx_http_travel_graphql_init_process(ngx_cycle_t *cycle);
static void ngx_http_travel_graphql_exit_process(ngx_cycle_t *cycle);
static char *ngx_http_travel_graphql_persisted(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_graphql_graphiql(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_graphql_list(ngx_conf_t *cf, ngx_str_t *dir,
    ngx_http_travel_graphql_loc_conf_t *glcf);


static ngx_command_t  ngx_http_travel_graphql_commands[] = {

    { ngx_string("travel_graphql"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      ngx_http_travel_graphql_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_graphql_sdl"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_travel_graphql_sdl_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


#if (TRAVEL_GRAPHQL_DEPTH_MAX != 24 || TRAVEL_GRAPHQL_BREADTH_MAX != 2000      \
     || NGX_HTTP_TRAVEL_GRAPHQL_BATCH != 50)
#error the bounds below, and in the reference, are others
#endif

static const ngx_http_travel_param_t  ngx_http_travel_graphql_params[] = {

    { "depth", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_graphql_loc_conf_t, depth),
      "1", "24", "12", "objects in one another", 0 },

    { "fields", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_graphql_loc_conf_t, fields),
      "1", "2000", "500", NULL, 0 },

    { "cost", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_graphql_loc_conf_t, cost),
      "1", "1000000", "5000", NULL, 0 },

    { "batch", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_graphql_loc_conf_t, batch),
      "0", "50", "0", "operations of an array, 0 for no arrays", 0 },

    { "max_body", ngx_http_travel_param_size,
      offsetof(ngx_http_travel_graphql_loc_conf_t, max_body),
      "1k", "16m", "256k", NULL, 0 },

    { "persisted", ngx_http_travel_graphql_persisted,
      offsetof(ngx_http_travel_graphql_loc_conf_t, apq),
      NULL, NULL, "apq", NULL, 0 },

    { "status", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_graphql_loc_conf_t, strict),
      NULL, NULL, "legacy", "legacy|strict", 0 },

    { "graphiql", ngx_http_travel_graphql_graphiql,
      offsetof(ngx_http_travel_graphql_loc_conf_t, graphiql),
      NULL, NULL, NULL, NULL, 0 },

      ngx_http_travel_null_param
};


static ngx_http_module_t  ngx_http_travel_graphql_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_travel_graphql_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_graphql_create_loc_conf, /* create location conf */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_travel_graphql_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_graphql_module_ctx,   /* module context */
    ngx_http_travel_graphql_commands,      /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_graphql_init_process,  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_travel_graphql_exit_process,  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_travel_graphql_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_graphql_main_conf_t));
}


static void *
ngx_http_travel_graphql_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_graphql_loc_conf_t  *glcf;

    glcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_graphql_loc_conf_t));

    if (glcf == NULL
        || ngx_http_travel_params_default(cf, ngx_http_travel_graphql_params,
                                          glcf)
           != NGX_CONF_OK)
    {
        return NULL;
    }

    return glcf;
}


/* --- directives ---------------------------------------------------------- */

static char *
ngx_http_travel_graphql_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_graphql_loc_conf_t  *glcf = conf;

    if (glcf->enabled) {
        return "is duplicate";
    }

    glcf->enabled = 1;

    if (ngx_http_travel_params(cf, ngx_http_travel_graphql_params, 1, glcf)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (glcf->batch > 0) {
        glcf->door = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_door_t));
        if (glcf->door == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_http_travel_door(cf, glcf->door);
    }

    if (ngx_http_travel_graphql_load(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_GET|NGX_HTTP_POST,
                                 ngx_http_travel_graphql_handler);
}


static char *
ngx_http_travel_graphql_persisted(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_graphql_loc_conf_t  *glcf = conf;

    (void) param;

    glcf->apq = (ngx_strcmp(value->data, "apq") == 0);

    if (glcf->apq || ngx_strcmp(value->data, "off") == 0) {
        return NGX_CONF_OK;
    }

    return ngx_http_travel_graphql_list(cf, value, glcf);
}


static char *
ngx_http_travel_graphql_graphiql(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    if (value->len < 2 || value->data[0] != '/'
        || value->data[value->len - 1] != '/')
    {
        return "must be the URI of a directory, as /graphiql/";
    }

    return ngx_http_travel_param_text(cf, param, value, conf);
}


/* Each *.graphql file of a directory is a document that may be asked. */
static char *
ngx_http_travel_graphql_list(ngx_conf_t *cf, ngx_str_t *dir,
    ngx_http_travel_graphql_loc_conf_t *glcf)
{
    DIR                                *d;
    char                               *text;
    size_t                              len;
    uint8_t                             md[TRAVEL_SHA256_LEN];
    u_char                              path[NGX_MAX_PATH];
    ngx_str_t                           name;
    struct dirent                      *entry;
    travel_catalog_fault_t              fault;
    ngx_http_travel_graphql_allowed_t  *allowed;

    if (ngx_conf_full_name(cf->cycle, dir, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    d = opendir((char *) dir->data);
    glcf->allowed = ngx_array_create(cf->pool, 16,
                                     sizeof(ngx_http_travel_graphql_allowed_t));

    if (d == NULL || glcf->allowed == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"persisted=%V\" must be off, apq or a directory "
                           "of *.graphql files", dir);
        if (d != NULL) {
            closedir(d);
        }

        return NGX_CONF_ERROR;
    }

    while ((entry = readdir(d)) != NULL) {
        name.data = (u_char *) entry->d_name;
        name.len = ngx_strlen(entry->d_name);

        if (name.len < 9
            || ngx_strcmp(name.data + name.len - 8, ".graphql") != 0)
        {
            continue;
        }

        (void) ngx_snprintf(path, sizeof(path), "%V/%V%Z", dir, &name);
        allowed = ngx_array_push(glcf->allowed);

        if (allowed == NULL
            || travel_catalog_read(&text, &len, (char *) path, &fault)
               != TRAVEL_OK)
        {
            closedir(d);
            return "cannot read a file of its list";
        }

        allowed->text.data = ngx_pnalloc(cf->pool, len + 1);

        if (allowed->text.data == NULL
            || travel_sha256(md, (travel_str_t) { text, len }) != TRAVEL_OK)
        {
            free(text);
            closedir(d);
            return NGX_CONF_ERROR;
        }

        ngx_memcpy(allowed->text.data, text, len);
        allowed->text.len = len;
        travel_hex_encode((char *) allowed->id, md, TRAVEL_SHA256_LEN);
        free(text);
    }

    closedir(d);

    return NGX_CONF_OK;
}


/* --- the schema ---------------------------------------------------------- */

/* By the language's own rules: every mistake, not the first. */
static ngx_int_t
ngx_http_travel_graphql_schema(ngx_conf_t *cf,
    ngx_http_travel_graphql_main_conf_t *gmcf)
{
    int                              rc;
    size_t                           i;
    travel_graphql_report_t          report;
    const travel_graphql_mistake_t  *mistake;

    travel_graphql_report_init(&report, NGX_HTTP_TRAVEL_GRAPHQL_MISTAKES);
    rc = travel_graphql_schema_make(&gmcf->schema, gmcf->document, &report);

    for (i = 0; i < report.n; i++) {
        mistake = &report.items[i];
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V:%uD:%uD: %s",
                           &gmcf->file, mistake->places[0].line,
                           mistake->places[0].column, mistake->message);
    }

    travel_graphql_report_free(&report);

    return rc == TRAVEL_OK ? NGX_OK : NGX_ERROR;
}


/* The file, kept as long as the configuration is. */
static ngx_int_t
ngx_http_travel_graphql_file(ngx_conf_t *cf, const ngx_str_t *catalog,
    ngx_http_travel_graphql_main_conf_t *gmcf)
{
    char                    *text;
    size_t                   len;
    u_char                  *path;
    ngx_pool_cleanup_t      *cln;
    travel_catalog_fault_t   broken;

    path = ngx_pnalloc(cf->pool, catalog->len
                                 + sizeof("/graphql/schema.graphql"));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (path == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(path, "%V/graphql/schema.graphql%Z", catalog);

    switch (travel_catalog_read(&text, &len, (char *) path, &broken)) {

    case TRAVEL_OK:
        break;

    case TRAVEL_INVALID:
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s: %s", path,
                           broken.message);
        return NGX_ERROR;

    default:
        return NGX_ERROR;
    }

    gmcf->file.data = path;
    gmcf->file.len = ngx_strlen(path);
    gmcf->sdl.data = (u_char *) text;
    gmcf->sdl.len = len;
    cln->handler = ngx_http_travel_graphql_unload;
    cln->data = gmcf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_graphql_load(ngx_conf_t *cf)
{
    int                                   rc;
    ngx_str_t                             route;
    travel_graphql_fault_t                fault;
    ngx_http_travel_main_conf_t          *tmcf;
    ngx_http_travel_graphql_main_conf_t  *gmcf;

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_graphql_module);
    tmcf = ngx_http_travel_main_conf(cf);

    if (gmcf->mapping != NULL) {
        return NGX_OK;
    }

    if (tmcf->catalog.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_graphql\" needs a catalog: put "
                           "\"travel_catalog DIRECTORY;\" above, in http{}");
        return NGX_ERROR;
    }

    if (ngx_http_travel_graphql_file(cf, &tmcf->catalog, gmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&fault, sizeof(travel_graphql_fault_t));
    rc = travel_graphql_parse_schema(&gmcf->document,
                                     ngx_http_travel_view(&gmcf->sdl), &fault);

    if (rc == TRAVEL_OK) {
        if (ngx_http_travel_graphql_schema(cf, gmcf) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = travel_graphql_map(&gmcf->mapping, gmcf->document, &fault);
    }

    if (rc != TRAVEL_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V:%uD:%uD: %s",
                           &gmcf->file, fault.line, fault.column,
                           fault.message);
        return NGX_ERROR;
    }

    travel_graphql_sdl(gmcf->document, &gmcf->public);

    if (gmcf->public.failed) {
        return NGX_ERROR;
    }

    ngx_str_set(&route, "graphql");
    gmcf->reads = ngx_http_travel_query_read_conf(cf, &route);

    if (gmcf->reads == NULL
        || ngx_http_travel_graphql_orders(cf, gmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_graphql_counters(cf, gmcf);
}


/* NUL-terminated, as names of files are. */
static ngx_int_t
ngx_http_travel_graphql_word(ngx_conf_t *cf, travel_str_t text,
    ngx_str_t *ret_word)
{
    u_char  *p;

    p = ngx_pnalloc(cf->pool, text.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(p, (u_char *) (text.len ? text.data : ""),
                       text.len + 1);
    ret_word->data = p;
    ret_word->len = text.len;

    return NGX_OK;
}


/* The commands of mutations: their files, checks, input. */
static ngx_int_t
ngx_http_travel_graphql_orders(ngx_conf_t *cf,
    ngx_http_travel_graphql_main_conf_t *gmcf)
{
    size_t                             at;
    ngx_http_travel_order_spec_t       spec;
    const travel_graphql_map_field_t  *field;
    ngx_http_travel_graphql_order_t   *order;

    if (ngx_array_init(&gmcf->orders, cf->pool, 8,
                       sizeof(ngx_http_travel_graphql_order_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    at = 0;

    while ((field = travel_graphql_map_command(gmcf->mapping, &at)) != NULL) {

        order = ngx_array_push(&gmcf->orders);

        if (order == NULL
            || ngx_http_travel_graphql_word(cf, field->command, &spec.type)
               != NGX_OK
            || ngx_http_travel_graphql_word(cf, field->check, &spec.check)
               != NGX_OK
            || ngx_http_travel_graphql_word(cf, field->breaker, &spec.breaker)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        spec.wait = field->wait;
        order->field = field;
        order->order = ngx_http_travel_command_order(cf, &spec);

        if (order->order == NULL) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "%V:%uD: this field's "
                               "command is what does not load", &gmcf->file,
                               field->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_travel_graphql_unload(void *data)
{
    ngx_http_travel_graphql_main_conf_t  *gmcf = data;

    travel_graphql_schema_free(gmcf->schema);
    travel_graphql_document_free(gmcf->document);
    travel_graphql_text_free(&gmcf->public);
    free(gmcf->sdl.data);
}


static ngx_int_t
ngx_http_travel_graphql_counters(ngx_conf_t *cf,
    ngx_http_travel_graphql_main_conf_t *gmcf)
{
    ngx_int_t    n;
    ngx_uint_t   i, *fields[4];

    static const char *const  names[][2] = {
        { "travel_graphql_plans_total{result=\"made\"}",
          "Plans of GraphQL operations, by whether one was there." },
        { "travel_graphql_plans_total{result=\"reused\"}",
          "Plans of GraphQL operations, by whether one was there." },
        { "travel_graphql_refused_total",
          "GraphQL requests that were not executed." },
        { "travel_graphql_partial_total",
          "GraphQL answers with errors beside or instead of data." }
    };

    fields[0] = &gmcf->planned;
    fields[1] = &gmcf->reused;
    fields[2] = &gmcf->refused;
    fields[3] = &gmcf->partial;

    for (i = 0; i < 4; i++) {
        n = ngx_http_travel_counter_add(cf, names[i][0], names[i][1]);
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        *fields[i] = (ngx_uint_t) n;
    }

    return NGX_OK;
}


/* --- the SDL's own location ---------------------------------------------- */

static char *
ngx_http_travel_graphql_sdl_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    if (ngx_http_travel_graphql_load(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_GET,
                                 ngx_http_travel_graphql_sdl_handler);
}


static ngx_int_t
ngx_http_travel_graphql_sdl_handler(ngx_http_request_t *r)
{
    ngx_int_t                             rc;
    ngx_str_t                             sdl;
    ngx_http_travel_graphql_main_conf_t  *gmcf;

    static ngx_str_t  type = ngx_string("text/plain; charset=utf-8");

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_graphql_module);

    sdl.data = (u_char *) gmcf->public.data;
    sdl.len = gmcf->public.len;

    return ngx_http_travel_send(r, NGX_HTTP_OK, &type, &sdl);
}


/* --- life ---------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_graphql_init_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_graphql_main_conf_t  *gmcf;

    if (ngx_http_travel_cycle_conf(cycle) == NULL) {
        return NGX_OK;
    }

    gmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_graphql_module);
    ngx_http_travel_graphql_watches_init();

    return gmcf->mapping != NULL ? ngx_http_travel_graphql_plans_init(cycle)
                                 : NGX_OK;
}


static void
ngx_http_travel_graphql_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_graphql_plans_exit();
    ngx_http_travel_graphql_request_exit();
    ngx_http_travel_graphql_watches_exit();
}
