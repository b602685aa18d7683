/*
 * CORS by the Fetch standard: who may read answers from a browser.
 *
 * The edge alone decides: what an application behind it says in Access-Control
 * headers is taken out, since a browser that sees two answers believes none.
 * A preflight has no credentials, so it is answered before anybody asks for
 * them, counted by no limit and passed to nobody.
 */

#include "ngx_http_travel_headers.h"
#include "../../common/http_token.h"
#include "../../common/origin.h"

#define NGX_HTTP_TRAVEL_CORS_ASKED_MAX  1024    /* of requested headers */


static char *ngx_http_travel_cors_origin(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_cors_list(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static ngx_uint_t ngx_http_travel_cors_tokens(const ngx_str_t *list);
static ngx_uint_t ngx_http_travel_cors_allows(
    const ngx_http_travel_cors_t *cors, const ngx_str_t *origin);
static ngx_int_t ngx_http_travel_cors_allow(ngx_http_request_t *r,
    const ngx_http_travel_cors_t *cors, ngx_str_t *origin);
static ngx_int_t ngx_http_travel_cors_grant(ngx_http_request_t *r,
    const ngx_http_travel_cors_t *cors);


static ngx_str_t  ngx_http_travel_cors_methods =
    ngx_string("GET, HEAD, POST, PUT, PATCH, DELETE");
static ngx_str_t  ngx_http_travel_cors_asks =
    ngx_string("authorization, content-type, idempotency-key, if-match, "
               "if-none-match, prefer, traceparent, tracestate, "
               "travel-consistency, x-api-key, x-request-id");
static ngx_str_t  ngx_http_travel_cors_shows =
    ngx_string("ETag, Idempotent-Replayed, Location, Preference-Applied, "
               "RateLimit, RateLimit-Policy, Retry-After, Server-Timing, "
               "Travel-Consistency, Travel-Explain, X-Request-Id");


/* --- the directive ------------------------------------------------------- */

static const ngx_http_travel_param_t  ngx_http_travel_cors_params[] = {

    { "credentials", ngx_http_travel_param_alone,
      offsetof(ngx_http_travel_cors_t, credentials),
      NULL, NULL, NULL, NULL, 0 },

    { "max_age", ngx_http_travel_param_sec_text,
      offsetof(ngx_http_travel_cors_t, max_age),
      "0", "1d", "1h", NULL, 0 },

    { "methods", ngx_http_travel_cors_list,
      offsetof(ngx_http_travel_cors_t, methods),
      NULL, NULL, NULL, NULL, 0 },

    { "headers", ngx_http_travel_cors_list,
      offsetof(ngx_http_travel_cors_t, headers),
      NULL, NULL, NULL, NULL, 0 },

    { "expose", ngx_http_travel_cors_list,
      offsetof(ngx_http_travel_cors_t, expose),
      NULL, NULL, NULL, NULL, 0 },

    { "", ngx_http_travel_cors_origin,
      offsetof(ngx_http_travel_cors_t, origins),
      NULL, NULL, NULL, NULL, 1 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_cors_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_headers_loc_conf_t  *hlcf = conf;

    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_http_travel_cors_t  *cors;

    if (hlcf->cors_set) {
        return "is duplicate";
    }

    hlcf->cors_set = 1;
    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    cors = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_cors_t));
    if (cors == NULL
        || ngx_array_init(&cors->origins, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cors->headers = ngx_http_travel_cors_asks;
    cors->expose = ngx_http_travel_cors_shows;

    if (ngx_http_travel_params_whole(cf, ngx_http_travel_cors_params, 1, cors)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (cors->origins.nelts == 0) {
        return "names no origin: add those whose scripts may read the "
               "answers, like https://app.example.com";
    }

    value = cors->origins.elts;

    for (i = 0; i < cors->origins.nelts; i++) {
        cors->any |= (value[i].len == 1);
    }

    if (cors->any && cors->credentials) {
        return "gives credentials to any origin: name the origins, or take "
               "\"credentials\" out";
    }

    hlcf->cors = cors;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_cors_origin(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_str_t    *origin;
    ngx_array_t  *origins;

    (void) cf;

    if (!travel_origin_pattern_sane(ngx_http_travel_view(value))) {
        return "must be an origin in lower case, like https://app.example.com, "
               "https://*.example.com or *";
    }

    origins = (ngx_array_t *) ((char *) conf + param->offset);
    origin = ngx_array_push(origins);
    if (origin == NULL) {
        return NGX_CONF_ERROR;
    }

    *origin = *value;

    return NGX_CONF_OK;
}


/* "a,b" becomes "a, b"; "*" stays. */
static char *
ngx_http_travel_cors_list(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    u_char     *p;
    size_t      i;
    ngx_str_t   list, *ret_list;

    list = *value;
    ret_list = (ngx_str_t *) ((char *) conf + param->offset);

    if (!ngx_http_travel_cors_tokens(&list)) {
        return "must be a list of names with commas between, like "
               "headers=authorization,x-mine";
    }

    p = ngx_pnalloc(cf->pool, 2 * list.len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    ret_list->data = p;

    for (i = 0; i < list.len; i++) {
        if (list.data[i] == ' ') {
            continue;
        }

        *p++ = list.data[i];

        if (list.data[i] == ',') {
            *p++ = ' ';
        }
    }

    ret_list->len = p - ret_list->data;

    return NGX_CONF_OK;
}


/* Names of headers or methods with commas between, spaces behind these. */

static ngx_uint_t
ngx_http_travel_cors_tokens(const ngx_str_t *list)
{
    u_char  c;
    size_t  i, n;

    n = 0;                              /* of the name so far */

    for (i = 0; i < list->len; i++) {
        c = list->data[i];

        if (c == ',') {
            if (n == 0) {
                return 0;
            }

            n = 0;
            continue;
        }

        if (c == ' ' && n == 0) {
            continue;
        }

        if (!travel_http_tchar((char) c)) {
            return 0;
        }

        n++;
    }

    return n != 0;
}


/* --- requests ------------------------------------------------------------ */

static ngx_uint_t
ngx_http_travel_cors_allows(const ngx_http_travel_cors_t *cors,
    const ngx_str_t *origin)
{
    ngx_str_t   *pattern;
    ngx_uint_t   i;

    pattern = cors->origins.elts;

    for (i = 0; i < cors->origins.nelts; i++) {
        if (travel_origin_match(ngx_http_travel_view(&pattern[i]),
                                ngx_http_travel_view(origin)))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_travel_cors_allow(ngx_http_request_t *r,
    const ngx_http_travel_cors_t *cors, ngx_str_t *origin)
{
    static ngx_str_t  any = ngx_string("*");
    static ngx_str_t  yes = ngx_string("true");

    if (ngx_http_travel_add_header(r, "Access-Control-Allow-Origin",
                                   cors->any ? &any : origin)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return cors->credentials
           ? ngx_http_travel_add_header(r, "Access-Control-Allow-Credentials",
                                        &yes)
           : NGX_OK;
}


/* What a preflight is told besides: methods, headers, for how long. */

static ngx_int_t
ngx_http_travel_cors_grant(ngx_http_request_t *r,
    const ngx_http_travel_cors_t *cors)
{
    ngx_str_t         methods, headers, age, *asked;
    const ngx_str_t  *allow;

    methods = cors->methods;
    headers = cors->headers;
    age = cors->max_age;

    if (methods.len == 0) {
        allow = ngx_http_travel_allowed(r);
        methods = allow != NULL ? *allow : ngx_http_travel_cors_methods;
    }

    /* "*" is no wildcard with credentials, and never covers authorization */

    if (headers.len == 1) {
        asked = ngx_http_travel_header_in(r, "access-control-request-headers",
                           sizeof("access-control-request-headers") - 1);

        if (asked != NULL && asked->len <= NGX_HTTP_TRAVEL_CORS_ASKED_MAX
            && ngx_http_travel_cors_tokens(asked))
        {
            headers = *asked;
        }
    }

    if (ngx_http_travel_add_header(r, "Access-Control-Allow-Methods", &methods)
            != NGX_OK
        || ngx_http_travel_add_header(r, "Access-Control-Allow-Headers",
                                      &headers) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_add_header(r, "Access-Control-Max-Age", &age);
}


ngx_int_t
ngx_http_travel_cors_preflight(ngx_http_request_t *r,
    const ngx_http_travel_cors_t *cors)
{
    ngx_int_t               rc;
    ngx_str_t              *origin;
    ngx_http_travel_ctx_t  *ctx;

    static ngx_str_t  vary = ngx_string("Access-Control-Request-Method, "
                                        "Access-Control-Request-Headers");
    static ngx_str_t  preflight = ngx_string("preflight");

    if (r->method != NGX_HTTP_OPTIONS) {
        return NGX_DECLINED;
    }

    origin = ngx_http_travel_header_in(r, "origin", sizeof("origin") - 1);

    if (origin == NULL
        || ngx_http_travel_header_in(r, "access-control-request-method",
                             sizeof("access-control-request-method") - 1)
           == NULL)
    {
        return NGX_DECLINED;
    }

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->route = preflight;

    /* the header filter says the rest, as for any answer */

    if (ngx_http_travel_add_header(r, "Vary", &vary) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ngx_http_travel_cors_allows(cors, origin)) {
        return ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                                     "Scripts of this origin may not ask "
                                     "here.");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_travel_cors_grant(r, cors) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    rc = ngx_http_send_header(r);

    return rc == NGX_ERROR || rc > NGX_OK ? rc : NGX_OK;
}


/* --- answers ------------------------------------------------------------- */

/* Takes out what came from behind. */

static void
ngx_http_travel_cors_strip(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static const u_char  prefix[] = "access-control-";

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len > sizeof(prefix) - 1
                && ngx_strncasecmp(h[i].key.data, (u_char *) prefix,
                                   sizeof(prefix) - 1) == 0)
            {
                h[i].hash = 0;
            }
        }
    }
}


ngx_int_t
ngx_http_travel_cors_headers(ngx_http_request_t *r,
    const ngx_http_travel_cors_t *cors)
{
    ngx_str_t  *origin, expose;

    static ngx_str_t  vary = ngx_string("Origin");

    if (ngx_http_travel_headers_behind(r)) {
        ngx_http_travel_cors_strip(r);
    }

    /* without it a shared cache would give one origin's answer to another */

    if (!cors->any
        && ngx_http_travel_add_header(r, "Vary", &vary) != NGX_OK)
    {
        return NGX_ERROR;
    }

    origin = ngx_http_travel_header_in(r, "origin", sizeof("origin") - 1);

    if (!cors->any
        && (origin == NULL || !ngx_http_travel_cors_allows(cors, origin)))
    {
        return NGX_OK;
    }

    if (ngx_http_travel_cors_allow(r, cors, origin) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return NGX_OK;
    }

    expose = cors->expose;

    return ngx_http_travel_add_header(r, "Access-Control-Expose-Headers",
                                      &expose);
}
