/* The travel_query directive and the queries of the catalog. */

#include "ngx_http_travel_query_room.h"


static void *ngx_http_travel_query_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_query_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_query_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_travel_query_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_query_values(ngx_conf_t *cf,
    ngx_http_travel_query_loc_conf_t *qlcf);
static char *ngx_http_travel_query_source(ngx_conf_t *cf,
    ngx_http_travel_query_source_t *source, ngx_str_t *text);
static ngx_int_t ngx_http_travel_query_route_counters(ngx_conf_t *cf,
    ngx_http_travel_query_loc_conf_t *qlcf);
static ngx_http_travel_query_entry_t *ngx_http_travel_query_load(
    ngx_conf_t *cf, const ngx_str_t *name);
static ngx_http_travel_query_entry_t *ngx_http_travel_query_parse_file(
    ngx_conf_t *cf, const ngx_str_t *name, const char *path);
static ngx_http_travel_query_entry_t *ngx_http_travel_query_entry(
    ngx_conf_t *cf, const travel_query_t *query);
static ngx_int_t ngx_http_travel_query_statements(ngx_conf_t *cf,
    ngx_http_travel_query_entry_t *entry, u_char *name);
static ngx_uint_t ngx_http_travel_query_sane(const ngx_str_t *name);
static void ngx_http_travel_query_cleanup(void *data);
static ngx_int_t ngx_http_travel_query_check(ngx_conf_t *cf,
    ngx_http_travel_query_main_conf_t *qmcf);
static ngx_int_t ngx_http_travel_query_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_query_init_process(ngx_cycle_t *cycle);
static void ngx_http_travel_query_exit_process(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_travel_query_priorities[] = {
    { ngx_string("high"),   TRAVEL_PRIORITY_HIGH },
    { ngx_string("normal"), TRAVEL_PRIORITY_NORMAL },
    { ngx_string("low"),    TRAVEL_PRIORITY_LOW },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_travel_query_commands[] = {

    { ngx_string("travel_query"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_travel_query_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_query_priority"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_travel_query_loc_conf_t, priority),
      &ngx_http_travel_query_priorities },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_query_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_travel_query_postconfiguration, /* postconfiguration */

    ngx_http_travel_query_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_query_create_loc_conf, /* create location configuration */
    ngx_http_travel_query_merge_loc_conf   /* merge location configuration */
};


ngx_module_t  ngx_http_travel_query_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_query_module_ctx,     /* module context */
    ngx_http_travel_query_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_query_init_process,    /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_travel_query_exit_process,    /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_http_travel_query_main_conf_t *
ngx_http_travel_query_main(ngx_http_request_t *r)
{
    return ngx_http_get_module_main_conf(r, ngx_http_travel_query_module);
}


static void *
ngx_http_travel_query_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_query_main_conf_t  *qmcf;

    qmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_query_main_conf_t));
    if (qmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&qmcf->entries, cf->pool, 32,
                       sizeof(ngx_http_travel_query_entry_t *)) != NGX_OK)
    {
        return NULL;
    }

    return qmcf;
}


static void *
ngx_http_travel_query_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_query_loc_conf_t  *qlcf;

    qlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_query_loc_conf_t));
    if (qlcf == NULL) {
        return NULL;
    }

    qlcf->priority = NGX_CONF_UNSET_UINT;

    return qlcf;
}


/* A location's query is its own; only the priority comes down to it. */

static char *
ngx_http_travel_query_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_travel_query_loc_conf_t  *prev = parent;
    ngx_http_travel_query_loc_conf_t  *conf = child;

    if (conf->priority == NGX_CONF_UNSET_UINT) {
        conf->priority = prev->priority;
    }

    if (conf->query != NULL && conf->priority == NGX_CONF_UNSET_UINT) {
        conf->priority = conf->query->priority;
    }

    return NGX_CONF_OK;
}


/* --- the directive ------------------------------------------------------- */

static char *
ngx_http_travel_query_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_query_loc_conf_t  *qlcf = conf;

    char       *rv;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (qlcf->query != NULL) {
        return "is duplicate: a location reads one thing";
    }

    if (ngx_http_travel_method(&value[1]) != NGX_HTTP_GET) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_query\" method \"%V\" must be GET (HEAD "
                           "goes along); writes are travel_command",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    qlcf->query = ngx_http_travel_query_find(cf, &value[2]);
    if (qlcf->query == NULL) {
        return NGX_CONF_ERROR;
    }

    if (qlcf->query->returns == TRAVEL_RETURNS_ROWS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_query\" \"%V\" returns rows, which is for "
                           "the check= of a travel_command; let it return one "
                           "or list", &value[2]);
        return NGX_CONF_ERROR;
    }

    qlcf->statement = ngx_http_travel_query_statement(cf, qlcf->query);
    qlcf->name = qlcf->statement->name;
    qlcf->next = qlcf->query->nkeys != 0
                 ? &ngx_http_travel_query_entry(cf, qlcf->query)->next : NULL;

    if (travel_sha256(qlcf->digest,
                      ngx_http_travel_view(&qlcf->statement->sql))
        != TRAVEL_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (qlcf->query->requires != NULL) {
        qlcf->requires.data = (u_char *) qlcf->query->requires;
        qlcf->requires.len = ngx_strlen(qlcf->requires.data);
    }

    rv = ngx_http_travel_query_values(cf, qlcf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_http_travel_query_template(cf, qlcf) != NGX_OK
        || ngx_http_travel_query_route_counters(cf, qlcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_GET,
                                 ngx_http_travel_query_handler);
}


/* param=VALUE for some, $arg_<param> for the others. */

static char *
ngx_http_travel_query_values(ngx_conf_t *cf,
    ngx_http_travel_query_loc_conf_t *qlcf)
{
    u_char                *eq;
    ngx_str_t             *value, text;
    ngx_uint_t             i;
    travel_str_t           name;
    const travel_param_t  *param;

    for (i = 0; i < qlcf->query->nparams; i++) {
        param = &qlcf->query->params[i];
        qlcf->sources[i].arg.data = (u_char *) param->name;
        qlcf->sources[i].arg.len = ngx_strlen(param->name);
    }

    value = cf->args->elts;

    for (i = 3; i < cf->args->nelts; i++) {

        eq = ngx_strlchr(value[i].data, value[i].data + value[i].len, '=');

        name.data = (const char *) value[i].data;
        name.len = eq != NULL ? (size_t) (eq - value[i].data) : 0;
        param = eq != NULL ? travel_query_param(qlcf->query, name) : NULL;

        if (param == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_query\" parameter \"%V\" must be "
                               "NAME=VALUE with a NAME that %s declares with "
                               "\"-- @param\"", &value[i],
                               qlcf->query->file);
            return NGX_CONF_ERROR;
        }

        text.data = eq + 1;
        text.len = value[i].data + value[i].len - text.data;

        if (ngx_http_travel_query_source(cf,
                &qlcf->sources[param - qlcf->query->params], &text)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_travel_query_arg_char(u_char c)
{
    return c == '_' || (c >= '0' && c <= '9')
           || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}


static char *
ngx_http_travel_query_source(ngx_conf_t *cf,
    ngx_http_travel_query_source_t *source, ngx_str_t *text)
{
    size_t  i;

    static const ngx_str_t  arg = ngx_string("$arg_");

    if (text->len > arg.len
        && ngx_strncmp(text->data, arg.data, arg.len) == 0)
    {
        for (i = arg.len; i < text->len; i++) {
            if (!ngx_http_travel_query_arg_char(text->data[i])) {
                break;
            }
        }

        if (i == text->len) {
            source->arg.data = text->data + arg.len;
            source->arg.len = text->len - arg.len;
            return NGX_CONF_OK;
        }
    }

    source->value = ngx_http_travel_expression(cf, text);

    return source->value ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_travel_query_route_counters(ngx_conf_t *cf,
    ngx_http_travel_query_loc_conf_t *qlcf)
{
    u_char      *p;
    ngx_int_t    n;
    ngx_uint_t   i;

    static const char *const  results[] = { "ok", "not_found" };
    static const char *const  cached[] = { "hit", "stale", "miss", "bypass" };

    for (i = 0; i < 2; i++) {
        p = ngx_pnalloc(cf->pool, 64 + qlcf->name.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_sprintf(p, "travel_query_total"
                              "{route=\"%V\",result=\"%s\"}%Z",
                           &qlcf->name, results[i]);

        n = ngx_http_travel_counter_add(cf, (char *) p,
                                        "Reads answered, by query.");
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        *(i == 0 ? &qlcf->answered : &qlcf->not_found) = n;
    }

    for (i = 0; i < 4; i++) {
        p = ngx_pnalloc(cf->pool, 72 + qlcf->name.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_sprintf(p, "travel_cache_requests_total"
                              "{route=\"%V\",result=\"%s\"}%Z",
                           &qlcf->name, cached[i]);

        n = ngx_http_travel_counter_add(cf, (char *) p,
                                        "Answers by query and by what the "
                                        "cache knew: hit ratios.");
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        qlcf->cached[i] = n;
    }

    return NGX_OK;
}


ngx_http_travel_read_conf_t *
ngx_http_travel_query_read_conf(ngx_conf_t *cf, const ngx_str_t *route)
{
    ngx_http_travel_read_conf_t        *rcf;
    ngx_http_travel_query_loc_conf_t    like;
    ngx_http_travel_query_main_conf_t  *qmcf;

    qmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_query_module);
    qmcf->reads = 1;

    ngx_memzero(&like, sizeof(ngx_http_travel_query_loc_conf_t));
    like.name = *route;

    rcf = ngx_palloc(cf->pool, sizeof(ngx_http_travel_read_conf_t));

    if (rcf == NULL
        || ngx_http_travel_query_route_counters(cf, &like) != NGX_OK)
    {
        return NULL;
    }

    rcf->name = like.name;
    rcf->answered = like.answered;
    rcf->not_found = like.not_found;
    ngx_memcpy(rcf->cached, like.cached, sizeof(like.cached));

    return rcf;
}


/* --- the catalog --------------------------------------------------------- */

const travel_query_t *
ngx_http_travel_query_find(ngx_conf_t *cf, const ngx_str_t *name)
{
    ngx_uint_t                           i;
    ngx_http_travel_query_entry_t      **entries, *entry;
    ngx_http_travel_query_main_conf_t   *qmcf;

    qmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_query_module);
    entries = qmcf->entries.elts;

    for (i = 0; i < qmcf->entries.nelts; i++) {
        entry = entries[i];

        if (entry->statement.name.len == name->len
            && ngx_memcmp(entry->statement.name.data, name->data, name->len)
               == 0)
        {
            return entry->query;
        }
    }

    entry = ngx_http_travel_query_load(cf, name);

    return entry != NULL ? entry->query : NULL;
}


static ngx_http_travel_query_entry_t *
ngx_http_travel_query_entry(ngx_conf_t *cf, const travel_query_t *query)
{
    ngx_uint_t                           i;
    ngx_http_travel_query_entry_t      **entries;
    ngx_http_travel_query_main_conf_t   *qmcf;

    qmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_query_module);
    entries = qmcf->entries.elts;

    for (i = 0; i < qmcf->entries.nelts; i++) {
        if (entries[i]->query == query) {
            return entries[i];
        }
    }

    return NULL;
}


const ngx_http_travel_pg_statement_t *
ngx_http_travel_query_statement(ngx_conf_t *cf, const travel_query_t *query)
{
    ngx_http_travel_query_entry_t  *entry;

    entry = ngx_http_travel_query_entry(cf, query);

    return entry != NULL ? &entry->statement : NULL;
}


/* A name is a file's name: it must not lead out of the directory. */

static ngx_uint_t
ngx_http_travel_query_sane(const ngx_str_t *name)
{
    size_t  i;

    for (i = 0; i < name->len; i++) {
        if (!((name->data[i] >= 'a' && name->data[i] <= 'z')
              || (name->data[i] >= '0' && name->data[i] <= '9')
              || name->data[i] == '_'
              || (name->data[i] == '.' && i > 0
                  && name->data[i - 1] != '.')))
        {
            return 0;
        }
    }

    return name->len > 0 && name->len < 60;
}


static ngx_http_travel_query_entry_t *
ngx_http_travel_query_load(ngx_conf_t *cf, const ngx_str_t *name)
{
    u_char                       *path;
    ngx_http_travel_main_conf_t  *tmcf;

    tmcf = ngx_http_travel_main_conf(cf);

    if (tmcf->catalog.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "query \"%V\" needs a catalog: put "
                           "\"travel_catalog DIRECTORY;\" above, in http{}",
                           name);
        return NULL;
    }

    if (!ngx_http_travel_query_sane(name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "query name \"%V\" must be of lower case letters, "
                           "digits, '_' and '.', as in journeys.list", name);
        return NULL;
    }

    path = ngx_pnalloc(cf->pool, tmcf->catalog.len + name->len
                                 + sizeof("/queries/.sql"));
    if (path == NULL) {
        return NULL;
    }

    (void) ngx_sprintf(path, "%V/queries/%V.sql%Z", &tmcf->catalog, name);

    return ngx_http_travel_query_parse_file(cf, name, (char *) path);
}


static ngx_http_travel_query_entry_t *
ngx_http_travel_query_parse_file(ngx_conf_t *cf, const ngx_str_t *name,
    const char *path)
{
    int                                  rc;
    char                                *text;
    size_t                               len;
    u_char                              *key;
    travel_str_t                         view;
    ngx_pool_cleanup_t                  *cln;
    travel_catalog_fault_t               fault;
    ngx_http_travel_query_entry_t       *entry, **slot;
    ngx_http_travel_query_main_conf_t   *qmcf;

    qmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_query_module);

    entry = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_query_entry_t));
    key = ngx_pnalloc(cf->pool, name->len + 1);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (entry == NULL || key == NULL || cln == NULL) {
        return NULL;
    }

    (void) ngx_cpystrn(key, name->data, name->len + 1);

    rc = travel_catalog_read(&text, &len, path, &fault);

    if (rc == TRAVEL_OK) {
        view.data = text;
        view.len = len;
        rc = travel_query_parse(&entry->query, (char *) key, path, view,
                                &fault);
        free(text);
    }

    if (rc != TRAVEL_OK) {
        if (rc == TRAVEL_INVALID) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s:%uz: %s", fault.file,
                               fault.line ? fault.line : (size_t) 1,
                               fault.message);
        }

        return NULL;
    }

    cln->handler = ngx_http_travel_query_cleanup;
    cln->data = entry->query;

    if (ngx_http_travel_query_statements(cf, entry, key) != NGX_OK) {
        return NULL;
    }

    slot = ngx_array_push(&qmcf->entries);
    if (slot == NULL) {
        return NULL;
    }

    *slot = entry;

    return entry;
}


/* The pages of a list after its first one are a statement of their own. */

static ngx_int_t
ngx_http_travel_query_statements(ngx_conf_t *cf,
    ngx_http_travel_query_entry_t *entry, u_char *name)
{
    travel_query_t                  *query;
    ngx_http_travel_pg_statement_t  *st;

    query = entry->query;
    st = &entry->statement;

    st->name.data = name;
    st->name.len = ngx_strlen(name);
    st->sql.data = (u_char *) query->sql;
    st->sql.len = ngx_strlen(query->sql);
    st->nparams = query->nbinds;
    st->class = query->slow ? NGX_HTTP_TRAVEL_PG_SLOW
                            : NGX_HTTP_TRAVEL_PG_FAST;
    st->timeout = query->timeout_ms;

    if (query->sql_next == NULL) {
        return NGX_OK;
    }

    entry->next = *st;
    st = &entry->next;

    st->name.data = ngx_pnalloc(cf->pool, entry->statement.name.len + 1);
    if (st->name.data == NULL) {
        return NGX_ERROR;
    }

    st->name.len = ngx_sprintf(st->name.data, "%V+", &entry->statement.name)
                   - st->name.data;
    st->sql.data = (u_char *) query->sql_next;
    st->sql.len = ngx_strlen(query->sql_next);
    st->nparams = query->nbinds + query->nkeys;

    return NGX_OK;
}


static void
ngx_http_travel_query_cleanup(void *data)
{
    travel_query_free(data);
}


/* --- life ---------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_query_postconfiguration(ngx_conf_t *cf)
{
    ngx_int_t                           n;
    ngx_uint_t                          i;
    ngx_http_travel_query_main_conf_t  *qmcf;

    static const struct {
        size_t       offset;
        const char  *name;
        const char  *help;
    } counters[] = {
#define NGX_HTTP_TRAVEL_QUERY_COUNTER(field, name, help)                      \
        { offsetof(ngx_http_travel_query_main_conf_t, field), name, help }

        NGX_HTTP_TRAVEL_QUERY_COUNTER(to_replica,
            "travel_route_total{to=\"replica\"}",
            "Statements answered, by the kind of server."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(to_primary,
            "travel_route_total{to=\"primary\"}",
            "Statements answered, by the kind of server."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(to_analytics,
            "travel_route_total{to=\"analytics\"}",
            "Statements answered, by the kind of server."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(to_frozen,
            "travel_route_total{to=\"unverified\"}",
            "Statements answered, by the kind of server."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(rerouted,
            "travel_query_rerouted_total",
            "Statements sent once more to another server."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(overloaded[TRAVEL_PRIORITY_HIGH],
            "travel_query_overloaded_total{priority=\"high\"}",
            "Reads refused or shed because there was no room."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(overloaded[TRAVEL_PRIORITY_NORMAL],
            "travel_query_overloaded_total{priority=\"normal\"}",
            "Reads refused or shed because there was no room."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(overloaded[TRAVEL_PRIORITY_LOW],
            "travel_query_overloaded_total{priority=\"low\"}",
            "Reads refused or shed because there was no room."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(unavailable,
            "travel_query_failed_total{why=\"unavailable\"}",
            "Statements without an answer."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(timed_out,
            "travel_query_failed_total{why=\"timeout\"}",
            "Statements without an answer."),
        NGX_HTTP_TRAVEL_QUERY_COUNTER(failed,
            "travel_query_failed_total{why=\"sql\"}",
            "Statements without an answer.")

#undef NGX_HTTP_TRAVEL_QUERY_COUNTER
    };

    qmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_query_module);

    if (qmcf->entries.nelts == 0 && !qmcf->reads) {
        return NGX_OK;
    }

    for (i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        n = ngx_http_travel_counter_add(cf, counters[i].name,
                                        counters[i].help);
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        *(ngx_uint_t *) ((u_char *) qmcf + counters[i].offset) = n;
    }

    return ngx_http_travel_query_check(cf, qmcf) == NGX_OK
           ? ngx_http_travel_cursor_secret(cf, qmcf) : NGX_ERROR;
}


/* A report must have where to go: it may not go to the fast servers. */

static ngx_int_t
ngx_http_travel_query_check(ngx_conf_t *cf,
    ngx_http_travel_query_main_conf_t *qmcf)
{
    ngx_uint_t                       i;
    ngx_http_travel_query_entry_t  **entries;

    entries = qmcf->entries.elts;

    for (i = 0; i < qmcf->entries.nelts; i++) {

        if (entries[i]->query->analytics
            && ngx_http_travel_pg_configured(cf,
                                             NGX_HTTP_TRAVEL_PG_ANALYTICS)
               == 0)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "query \"%V\" says \"@route analytics\", and there "
                          "is no such server: add \"travel_postgres analytics "
                          "...;\" or take the line out of %s",
                          &entries[i]->statement.name,
                          entries[i]->query->file);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_query_init_process(ngx_cycle_t *cycle)
{
    if (ngx_http_travel_cycle_conf(cycle) == NULL) {
        return NGX_OK;
    }

    return ngx_http_travel_router_init(cycle);
}


static void
ngx_http_travel_query_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_router_exit();
}
