/*
 * The room's entrance: trace context in, the server span out.
 *
 * Per process: the state of the id generator.  Everything else is in the
 * request context or, for spans that ended, in the export queue.
 *
 * A request's context is made before its location is known; the first location
 * it comes to decides whether it is traced.  What is not traced has no sampled
 * flag, so that the other rooms need not ask.
 */

#include "ngx_http_travel_observe_room.h"
#include "../../common/digits.h"
#include "../../common/hash.h"


#define NGX_HTTP_TRAVEL_SAMPLE_ALL  (1 << 20)
#define NGX_HTTP_TRAVEL_OBSERVE_ATTRS  20
#define NGX_HTTP_TRAVEL_OBSERVE_TEXT   1024     /* of one attribute */
#define NGX_HTTP_TRAVEL_SERVICE_MAX    128
#define NGX_HTTP_TRAVEL_PATH_MAX       512


typedef struct {
    ngx_flag_t           trace;
} ngx_http_travel_observe_loc_conf_t;

/* Of one request: ctx->room[NGX_HTTP_TRAVEL_ROOM_OBSERVE]. */
typedef struct {
    ngx_str_t            method;       /* error_page makes a GET of all */
    unsigned             decided:1;    /* a location has said ... */
    unsigned             quiet:1;      /* ... that nothing is traced */
} ngx_http_travel_observed_t;


static ngx_int_t ngx_http_travel_observe_post_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_observe_rewrite(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_observe_log(ngx_http_request_t *r);
static void ngx_http_travel_observe_context(ngx_http_request_t *r,
    ngx_http_travel_observe_main_conf_t *omcf, ngx_http_travel_ctx_t *ctx);
static ngx_str_t *ngx_http_travel_observe_traceparent(
    ngx_http_request_t *r);
static void ngx_http_travel_observe_server_span(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_uint_t status, uint64_t now);
static void ngx_http_travel_observe_attrs(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, travel_span_t *span, travel_attr_t *attrs);
static ngx_uint_t ngx_http_travel_observe_known(const ngx_str_t *method);
static uint64_t ngx_http_travel_observe_random(void);

static void *ngx_http_travel_observe_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_observe_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_observe_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_travel_observe_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_observe_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_observe_init_process(ngx_cycle_t *cycle);
static void ngx_http_travel_observe_exit_process(ngx_cycle_t *cycle);
static char *ngx_http_travel_otlp(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_otlp_service(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_otlp_sample(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_observe_answer(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_travel_observe_id_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_travel_observe_duration_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);


static ngx_command_t  ngx_http_travel_observe_commands[] = {

    { ngx_string("travel_otlp"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_travel_otlp,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_trace"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_travel_observe_loc_conf_t, trace),
      NULL },

    { ngx_string("travel_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_travel_observe_answer,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_travel_health_handler },

    { ngx_string("travel_ready"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_travel_observe_answer,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_travel_ready_handler },

    { ngx_string("travel_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_travel_observe_answer,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_travel_metrics_handler },

      ngx_null_command
};


static const ngx_http_travel_param_t  ngx_http_travel_otlp_params[] = {

    { "service", ngx_http_travel_otlp_service,
      offsetof(ngx_http_travel_observe_main_conf_t, service),
      NULL, NULL, "travel-edge", NULL, 0 },

    { "sample", ngx_http_travel_otlp_sample,
      offsetof(ngx_http_travel_observe_main_conf_t, sample),
      "0", "1", "0.1", NULL, 0 },

    { "slow", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_observe_main_conf_t, slow),
      "1ms", "1h", "1s", NULL, 0 },

    { "queue", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_observe_main_conf_t, queue),
      "64", "1048576", "4096", "spans of an nginx worker", 0 },

    { "batch", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_observe_main_conf_t, batch),
      "1", "65536", "512", "spans", 0 },

    { "interval", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_observe_main_conf_t, interval),
      "10ms", "60s", "1s", NULL, 0 },

    { "timeout", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_observe_main_conf_t, timeout),
      "100ms", "60s", "5s", NULL, 0 },

      ngx_http_travel_null_param
};


static ngx_http_module_t  ngx_http_travel_observe_module_ctx = {
    ngx_http_travel_observe_preconfiguration,   /* preconfiguration */
    ngx_http_travel_observe_postconfiguration,  /* postconfiguration */

    ngx_http_travel_observe_create_main_conf,   /* create main configuration */
    NULL,                                       /* init main configuration */

    NULL,                                       /* create server config */
    NULL,                                       /* merge server config */

    ngx_http_travel_observe_create_loc_conf,    /* create location config */
    ngx_http_travel_observe_merge_loc_conf      /* merge location config */
};


ngx_module_t  ngx_http_travel_observe_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_observe_module_ctx,   /* module context */
    ngx_http_travel_observe_commands,      /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_observe_init_process,  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_travel_observe_exit_process,  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


typedef enum {
    NGX_HTTP_TRAVEL_VAR_TRACE_ID,
    NGX_HTTP_TRAVEL_VAR_SPAN_ID,
    NGX_HTTP_TRAVEL_VAR_TRACEPARENT
} ngx_http_travel_observe_var_e;


static ngx_http_variable_t  ngx_http_travel_observe_variables[] = {

    { ngx_string("travel_trace_id"), NULL,
      ngx_http_travel_observe_id_variable, NGX_HTTP_TRAVEL_VAR_TRACE_ID, 0, 0 },

    { ngx_string("travel_span_id"), NULL,
      ngx_http_travel_observe_id_variable, NGX_HTTP_TRAVEL_VAR_SPAN_ID, 0, 0 },

    { ngx_string("travel_traceparent"), NULL,
      ngx_http_travel_observe_id_variable, NGX_HTTP_TRAVEL_VAR_TRACEPARENT,
      0, 0 },

    { ngx_string("travel_duration_ms"), NULL,
      ngx_http_travel_observe_duration_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* --- a request's way ----------------------------------------------------- */

static ngx_int_t
ngx_http_travel_observe_post_read(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t                *ctx;
    ngx_http_travel_observed_t           *seen;
    ngx_http_travel_observe_main_conf_t  *omcf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_travel_get_ctx(r);
    seen = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_observed_t));

    if (ctx == NULL || seen == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    omcf = ngx_http_get_module_main_conf(r, ngx_http_travel_observe_module);

    seen->method = r->method_name;
    ctx->room[NGX_HTTP_TRAVEL_ROOM_OBSERVE] = seen;
    ctx->start_ns = ngx_http_travel_observe_now();

    ngx_http_travel_observe_context(r, omcf, ctx);

    return NGX_DECLINED;
}


/* The location is known, and nothing has run in it: is it to be traced? */
static ngx_int_t
ngx_http_travel_observe_rewrite(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t               *ctx;
    ngx_http_travel_observed_t          *seen;
    ngx_http_travel_observe_loc_conf_t  *olcf;

    ctx = ngx_http_travel_get_ctx(r);
    seen = ctx ? ctx->room[NGX_HTTP_TRAVEL_ROOM_OBSERVE] : NULL;

    if (r != r->main || seen == NULL || seen->decided) {
        return NGX_DECLINED;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_observe_module);

    seen->decided = 1;
    seen->quiet = !olcf->trace;

    if (seen->quiet) {
        ctx->trace.flags &= ~TRAVEL_TRACE_SAMPLED;
    }

    return NGX_DECLINED;
}


/* The caller's trace when there is one, else one of our own; our span's id. */
static void
ngx_http_travel_observe_context(ngx_http_request_t *r,
    ngx_http_travel_observe_main_conf_t *omcf, ngx_http_travel_ctx_t *ctx)
{
    uint64_t     word;
    ngx_str_t   *header, *state;

    header = ngx_http_travel_observe_traceparent(r);

    if (header != NULL
        && travel_traceparent_parse(&ctx->trace, ngx_http_travel_view(header))
           == TRAVEL_OK)
    {
        ngx_memcpy(ctx->parent, ctx->trace.span_id, 8);

        state = ngx_http_travel_header_in(r, "tracestate",
                                          sizeof("tracestate") - 1);
        if (state != NULL) {
            ctx->tracestate.data = state->data;
            ctx->tracestate.len =
                travel_tracestate_keep(ngx_http_travel_view(state));
        }

    } else {
        word = ngx_http_travel_observe_random();
        ngx_memcpy(ctx->trace.trace_id, &word, 8);
        word = ngx_http_travel_observe_random() | 1;     /* never all zero */
        ngx_memcpy(ctx->trace.trace_id + 8, &word, 8);

        ctx->trace.flags = TRAVEL_TRACE_RANDOM;

        if ((word >> 32) % NGX_HTTP_TRAVEL_SAMPLE_ALL < omcf->sample) {
            ctx->trace.flags |= TRAVEL_TRACE_SAMPLED;
        }
    }

    word = ngx_http_travel_observe_random() | 1;
    ngx_memcpy(ctx->trace.span_id, &word, 8);
}


/* The one traceparent: two contradict each other, and count as none. */
static ngx_str_t *
ngx_http_travel_observe_traceparent(ngx_http_request_t *r)
{
    ngx_str_t        *found;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    found = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != sizeof("traceparent") - 1
                || h[i].lowcase_key == NULL
                || ngx_memcmp(h[i].lowcase_key, "traceparent",
                              sizeof("traceparent") - 1)
                   != 0)
            {
                continue;
            }

            if (found != NULL) {
                return NULL;
            }

            found = &h[i].value;
        }
    }

    return found;
}


static ngx_int_t
ngx_http_travel_observe_log(ngx_http_request_t *r)
{
    uint64_t                              now;
    ngx_str_t                            *route;
    ngx_uint_t                            status, quiet;
    ngx_http_travel_ctx_t                *ctx;
    ngx_http_travel_observed_t           *seen;
    ngx_http_travel_observe_loc_conf_t   *olcf;
    ngx_http_travel_observe_main_conf_t  *omcf;

    static ngx_str_t  none = ngx_string("none");

    ctx = ngx_http_travel_get_ctx(r);
    seen = ctx ? ctx->room[NGX_HTTP_TRAVEL_ROOM_OBSERVE] : NULL;

    if (seen == NULL) {
        return NGX_OK;              /* refused before its head was read */
    }

    omcf = ngx_http_get_module_main_conf(r, ngx_http_travel_observe_module);
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_observe_module);

    now = ngx_http_travel_observe_now();
    status = r->err_status ? r->err_status : r->headers_out.status;
    route = ctx->route.len ? &ctx->route : &none;

    ngx_http_travel_durations_add(omcf->durations, route, status,
                                  now > ctx->start_ns
                                  ? (now - ctx->start_ns) / 1000 : 0);

    quiet = seen->decided ? seen->quiet : !olcf->trace;

    if (quiet || !omcf->configured) {
        return NGX_OK;
    }

    if ((ctx->trace.flags & TRAVEL_TRACE_SAMPLED)
        || status >= 500
        || now > ctx->start_ns + omcf->slow * 1000000)
    {
        ngx_http_travel_observe_server_span(r, ctx, status, now);
        ngx_http_travel_observe_tries(r, now);
    }

    return NGX_OK;
}


travel_str_t
ngx_http_travel_observe_method(ngx_http_request_t *r)
{
    ngx_http_travel_observed_t  *seen;

    seen = ngx_http_travel_get_ctx(r)->room[NGX_HTTP_TRAVEL_ROOM_OBSERVE];

    return ngx_http_travel_observe_known(&seen->method)
           ? ngx_http_travel_view(&seen->method) : TRAVEL_STR("_OTHER");
}


static void
ngx_http_travel_observe_attr(travel_span_t *span, travel_attr_t *attrs,
    const char *name, travel_str_t value)
{
    if (value.len == 0) {
        return;
    }

    attrs[span->nattrs].name.data = name;
    attrs[span->nattrs].name.len = ngx_strlen(name);
    attrs[span->nattrs].type = TRAVEL_ATTR_STRING;
    attrs[span->nattrs].v.s = value;
    attrs[span->nattrs].v.s.len = ngx_min(value.len,
                                          NGX_HTTP_TRAVEL_OBSERVE_TEXT);
    span->nattrs++;
}


static travel_str_t
ngx_http_travel_observe_cstr(const char *s)
{
    travel_str_t  v;

    v.data = s;
    v.len = s ? ngx_strlen(s) : 0;

    return v;
}


/* Semantic conventions of OpenTelemetry for HTTP servers: 4xx is no error. */
static void
ngx_http_travel_observe_server_span(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_uint_t status, uint64_t now)
{
    u_char                       name[128], *p, digits[4];
    travel_str_t                 code;
    travel_span_t                span;
    travel_attr_t                attrs[NGX_HTTP_TRAVEL_OBSERVE_ATTRS];
    ngx_http_travel_observed_t  *seen;

    static const ngx_str_t  other = ngx_string("HTTP");

    seen = ctx->room[NGX_HTTP_TRAVEL_ROOM_OBSERVE];

    ngx_memzero(&span, sizeof(span));

    /* a name of few values: neither unknown methods nor paths */

    p = ngx_snprintf(name, sizeof(name), "%V%s%V",
                     ngx_http_travel_observe_known(&seen->method)
                     ? &seen->method : &other,
                     ctx->route.len ? " " : "", &ctx->route);
    span.name.data = (char *) name;
    span.name.len = p - name;

    span.id = ctx->trace;
    ngx_memcpy(span.parent, ctx->parent, 8);
    span.kind = TRAVEL_SPAN_SERVER;
    span.start_ns = ctx->start_ns;
    span.end_ns = now;
    span.error = (status >= 500);
    span.attrs = attrs;

    attrs[0].name = TRAVEL_STR("http.response.status_code");
    attrs[0].type = TRAVEL_ATTR_INT;
    attrs[0].v.i = status;
    span.nattrs = 1;

    ngx_http_travel_observe_attrs(r, ctx, &span, attrs);

    if (span.error) {
        code.data = (char *) digits;
        code.len = ngx_snprintf(digits, sizeof(digits), "%ui", status)
                   - digits;

        if (ctx->error != TRAVEL_E_NONE) {
            code = ngx_http_travel_observe_cstr(travel_error_code(ctx->error));
        }

        ngx_http_travel_observe_attr(&span, attrs, "error.type", code);

    } else if (ctx->error != TRAVEL_E_NONE) {
        code = ngx_http_travel_observe_cstr(travel_error_code(ctx->error));
        ngx_http_travel_observe_attr(&span, attrs, "travel.error", code);
    }

    ngx_http_travel_export_span(&span);
}


static void
ngx_http_travel_observe_attrs(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, travel_span_t *span, travel_attr_t *attrs)
{
    u_char                      *q;
    travel_str_t                 path, method;
    ngx_http_travel_observed_t  *seen;

    seen = ctx->room[NGX_HTTP_TRAVEL_ROOM_OBSERVE];
    method = ngx_http_travel_view(&seen->method);

    if (!ngx_http_travel_observe_known(&seen->method)) {
        ngx_http_travel_observe_attr(span, attrs,
                                     "http.request.method_original", method);
        method = TRAVEL_STR("_OTHER");
    }

    ngx_http_travel_observe_attr(span, attrs, "http.request.method", method);

    /* as the client sent it: error_page has rewritten r->uri */

    path = ngx_http_travel_view(&r->unparsed_uri);
    q = ngx_strlchr(r->unparsed_uri.data,
                    r->unparsed_uri.data + r->unparsed_uri.len, '?');
    if (q != NULL) {
        path.len = q - r->unparsed_uri.data;
    }

    ngx_http_travel_observe_attr(span, attrs, "url.path", path);

#if (NGX_HTTP_SSL)
    ngx_http_travel_observe_attr(span, attrs, "url.scheme",
                                 r->connection->ssl ? TRAVEL_STR("https")
                                                    : TRAVEL_STR("http"));
#else
    ngx_http_travel_observe_attr(span, attrs, "url.scheme",
                                 TRAVEL_STR("http"));
#endif

    ngx_http_travel_observe_attr(span, attrs, "http.route",
                                 ngx_http_travel_view(&ctx->route));
    ngx_http_travel_observe_attr(span, attrs, "client.address",
                            ngx_http_travel_view(&r->connection->addr_text));
    ngx_http_travel_observe_attr(span, attrs, "server.address",
                                ngx_http_travel_view(&r->headers_in.server));
    ngx_http_travel_observe_attr(span, attrs, "travel.request_id",
                                 ngx_http_travel_view(&ctx->request_id));
    ngx_http_travel_observe_attr(span, attrs, "travel.server",
                                 ngx_http_travel_view(&ctx->server));
    ngx_http_travel_observe_attr(span, attrs, "travel.job",
                                 ngx_http_travel_view(&ctx->job));
    ngx_http_travel_observe_attr(span, attrs, "travel.cache",
                            ngx_http_travel_observe_cstr(ctx->cache_status));
    ngx_http_travel_observe_attr(span, attrs, "travel.limited",
                                 ngx_http_travel_observe_cstr(ctx->limited));

    if (r->headers_in.user_agent != NULL) {
        ngx_http_travel_observe_attr(span, attrs, "user_agent.original",
                    ngx_http_travel_view(&r->headers_in.user_agent->value));
    }
}


static ngx_uint_t
ngx_http_travel_observe_known(const ngx_str_t *method)
{
    ngx_uint_t  i;

    static const ngx_str_t  methods[] = {
        ngx_string("GET"), ngx_string("POST"), ngx_string("DELETE"),
        ngx_string("HEAD"), ngx_string("PUT"), ngx_string("PATCH"),
        ngx_string("OPTIONS"), ngx_string("TRACE"), ngx_string("CONNECT")
    };

    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (methods[i].len == method->len
            && ngx_memcmp(methods[i].data, method->data, method->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* --- for other rooms ----------------------------------------------------- */

void
ngx_http_travel_observe_child(ngx_http_request_t *r, travel_trace_t *ret_id)
{
    uint64_t                word;
    ngx_http_travel_ctx_t  *ctx;

    ngx_memzero(ret_id, sizeof(travel_trace_t));

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL || ctx->start_ns == 0) {
        return;
    }

    *ret_id = ctx->trace;
    word = ngx_http_travel_observe_random() | 1;
    ngx_memcpy(ret_id->span_id, &word, 8);
}


void
ngx_http_travel_observe_span(ngx_http_request_t *r, travel_span_t *span)
{
    ngx_http_travel_ctx_t  *ctx;

    static const u_char  zero[8];

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx == NULL || ctx->start_ns == 0
        || !(ctx->trace.flags & TRAVEL_TRACE_SAMPLED))
    {
        return;
    }

    if (ngx_memcmp(span->id.span_id, zero, 8) == 0) {
        ngx_http_travel_observe_child(r, &span->id);
    }

    if (ngx_memcmp(span->parent, zero, 8) == 0) {
        ngx_memcpy(span->parent, ctx->trace.span_id, 8);
    }

    if (span->end_ns == 0) {
        span->end_ns = ngx_http_travel_observe_now();
    }

    ngx_http_travel_export_span(span);
}


uint64_t
ngx_http_travel_observe_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


/* SipHash of a counter under a key drawn per process: ids are unique across
 * workers and cannot be guessed from one another. */
static uint64_t
ngx_http_travel_observe_random(void)
{
    static ngx_pid_t             seeded_by;
    static uint64_t              counter;
    static travel_siphash_key_t  key;

    if (seeded_by != ngx_pid) {
        if (travel_random(&key, sizeof(key)) != TRAVEL_OK) {
            key.k0 = ((uint64_t) ngx_random() << 32) ^ ngx_pid;
            key.k1 = ngx_http_travel_observe_now();
        }

        seeded_by = ngx_pid;
    }

    counter++;

    return travel_siphash(&key, &counter, sizeof(counter));
}


/* --- configuration ------------------------------------------------------- */

static char *
ngx_http_travel_otlp_service(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    if (value->len > NGX_HTTP_TRAVEL_SERVICE_MAX) {
        return "must be a name of 1 to 128 characters";
    }

    return ngx_http_travel_param_text(cf, param, value, conf);
}


static char *
ngx_http_travel_otlp_sample(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_observe_main_conf_t  *omcf = conf;

    ngx_int_t  n;

    (void) cf;
    (void) param;

    n = ngx_atofp(value->data, value->len, 6);

    if (n < 0 || n > 1000000) {
        return "must be a ratio from 0 to 1, as in sample=0.1";
    }

    omcf->sample = (ngx_uint_t) n * NGX_HTTP_TRAVEL_SAMPLE_ALL / 1000000;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_otlp(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_observe_main_conf_t  *omcf = conf;

    ngx_str_t  *value;

    if (omcf->configured) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len <= 7 || ngx_strncmp(value[1].data, "http://", 7) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_otlp\" \"%V\" must be an http:// URL, as "
                           "in http://127.0.0.1:4318/v1/traces", &value[1]);
        return NGX_CONF_ERROR;
    }

    omcf->url.url.data = value[1].data + 7;
    omcf->url.url.len = value[1].len - 7;
    omcf->url.default_port = 4318;
    omcf->url.uri_part = 1;

    if (ngx_parse_url(cf->pool, &omcf->url) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_otlp\" \"%V\": %s", &value[1],
                           omcf->url.err ? omcf->url.err : "bad URL");
        return NGX_CONF_ERROR;
    }

    omcf->host = omcf->url.host;
    omcf->path = omcf->url.uri;

    if (omcf->path.len == 0) {
        ngx_str_set(&omcf->path, "/v1/traces");
    }

    if (omcf->path.len > NGX_HTTP_TRAVEL_PATH_MAX
        || omcf->host.len > NGX_HTTP_TRAVEL_SERVICE_MAX)
    {
        return "has a URL of more than 128 characters of host or 512 of path";
    }

    if (ngx_http_travel_params(cf, ngx_http_travel_otlp_params, 2, omcf)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    omcf->configured = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_observe_answer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_handler_pt                   handler;
    ngx_http_travel_observe_main_conf_t  *omcf;

    handler = (ngx_http_handler_pt) cmd->post;

    if (handler == ngx_http_travel_metrics_handler) {
        omcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_observe_module);
        omcf->measured = 1;
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_GET, handler);
}


static void *
ngx_http_travel_observe_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_observe_main_conf_t  *omcf;

    omcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_observe_main_conf_t));

    /* set by ngx_pcalloc(): omcf->configured = 0, the URL empty */

    if (omcf == NULL
        || ngx_http_travel_params_default(cf, ngx_http_travel_otlp_params, omcf)
           != NGX_CONF_OK)
    {
        return NULL;
    }

    return omcf;
}


static void *
ngx_http_travel_observe_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_observe_loc_conf_t  *olcf;

    olcf = ngx_palloc(cf->pool, sizeof(ngx_http_travel_observe_loc_conf_t));
    if (olcf == NULL) {
        return NULL;
    }

    olcf->trace = NGX_CONF_UNSET;

    return olcf;
}


static char *
ngx_http_travel_observe_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_travel_observe_loc_conf_t  *prev = parent;
    ngx_http_travel_observe_loc_conf_t  *conf = child;

    ngx_http_travel_observe_main_conf_t  *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_observe_module);

    /* where a collector is named, everything is traced unless told off */
    ngx_conf_merge_value(conf->trace, prev->trace, (ngx_flag_t)
                         omcf->configured);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_observe_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_travel_variables(cf, ngx_http_travel_observe_variables);
}


static ngx_int_t
ngx_http_travel_observe_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_travel_observe_main_conf_t  *omcf;

    static const char  help[] = "Spans by what became of them.";

    omcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_observe_module);
    if (!omcf->configured && !omcf->measured) {
        return NGX_OK;
    }

    omcf->durations = ngx_http_travel_zone(cf, "durations", 512 * 1024, 1, 1,
                                           ngx_http_travel_durations_init);
    if (omcf->durations == NULL) {
        return NGX_ERROR;
    }

    omcf->exported = ngx_http_travel_counter_add(cf,
                           "travel_spans_total{result=\"exported\"}", help);
    omcf->dropped = ngx_http_travel_counter_add(cf,
                           "travel_spans_total{result=\"dropped\"}", help);
    omcf->failed = ngx_http_travel_counter_add(cf,
                           "travel_spans_total{result=\"failed\"}", help);

    if (ngx_http_travel_phase(cf, NGX_HTTP_POST_READ_PHASE,
                              ngx_http_travel_observe_post_read)
        != NGX_OK
        || ngx_http_travel_phase(cf, NGX_HTTP_REWRITE_PHASE,
                                 ngx_http_travel_observe_rewrite)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_phase(cf, NGX_HTTP_LOG_PHASE,
                                 ngx_http_travel_observe_log);
}


static ngx_int_t
ngx_http_travel_observe_init_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_observe_main_conf_t  *omcf;

    if (ngx_http_travel_cycle_conf(cycle) == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    omcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_observe_module);

    return omcf->configured ? ngx_http_travel_export_start(cycle, omcf)
                            : NGX_OK;
}


static void
ngx_http_travel_observe_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_export_stop(cycle);
}


/* --- variables ----------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_observe_id_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                 *p;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->start_ns == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, TRAVEL_TRACEPARENT_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;

    switch (data) {

    case NGX_HTTP_TRAVEL_VAR_TRACE_ID:
        travel_hex_encode((char *) p, ctx->trace.trace_id, 16);
        v->len = 32;
        break;

    case NGX_HTTP_TRAVEL_VAR_SPAN_ID:
        travel_hex_encode((char *) p, ctx->trace.span_id, 8);
        v->len = 16;
        break;

    default: /* NGX_HTTP_TRAVEL_VAR_TRACEPARENT */
        travel_traceparent_format((char *) p, &ctx->trace);
        v->len = TRAVEL_TRACEPARENT_LEN;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_observe_duration_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                 *p;
    uint64_t                us, now, start;
    ngx_uint_t              rest;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN + sizeof(".000"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* nginx's own clock where nobody is observed: always a number */

    start = ctx->start_ns;
    if (start == 0) {
        start = ((uint64_t) r->start_sec * 1000 + r->start_msec) * 1000000;
    }

    now = ngx_http_travel_observe_now();
    us = (now > start) ? (now - start) / 1000 : 0;

    rest = us % 1000;

    v->data = p;

    p += travel_digits_format((char *) p, us / 1000);
    *p++ = '.';
    *p++ = (u_char) ('0' + rest / 100);
    *p++ = (u_char) ('0' + rest / 10 % 10);
    *p++ = (u_char) ('0' + rest % 10);

    v->len = p - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
