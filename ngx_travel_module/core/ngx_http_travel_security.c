/*
 * The headers that tell a browser what an answer is not: a page to frame, a
 * script to guess, a place to send referrers to.  One directive, safe for an
 * interface of JSON; each can be said otherwise.  What an application behind
 * us says itself stays: it knows its pages.
 */

#include "ngx_http_travel_headers.h"


typedef enum {
    NGX_HTTP_TRAVEL_SECURITY_CSP,
    NGX_HTTP_TRAVEL_SECURITY_HSTS,
    NGX_HTTP_TRAVEL_SECURITY_NOSNIFF,
    NGX_HTTP_TRAVEL_SECURITY_FRAME,
    NGX_HTTP_TRAVEL_SECURITY_REFERRER,
    NGX_HTTP_TRAVEL_SECURITY_PERMISSIONS
} ngx_http_travel_security_e;


static char *ngx_http_travel_security_value(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_security_check(ngx_uint_t i,
    const ngx_str_t *value);
static ngx_uint_t ngx_http_travel_security_said(ngx_http_request_t *r,
    const ngx_str_t *name);


static const struct {
    ngx_str_t    header;
    ngx_str_t    value;
} ngx_http_travel_securities[NGX_HTTP_TRAVEL_SECURITY_MAX] = {

    { ngx_string("Content-Security-Policy"),
      ngx_string("default-src 'none'; frame-ancestors 'none'") },

    { ngx_string("Strict-Transport-Security"),
      ngx_string("max-age=31536000; includeSubDomains") },

    { ngx_string("X-Content-Type-Options"),
      ngx_string("nosniff") },

    { ngx_string("X-Frame-Options"),
      ngx_string("DENY") },

    { ngx_string("Referrer-Policy"),
      ngx_string("no-referrer") },

    { ngx_string("Permissions-Policy"),
      ngx_string("camera=(), geolocation=(), microphone=(), payment=(), "
                 "usb=()") }
};


static const ngx_http_travel_param_t
    ngx_http_travel_security_headers_params[] = {

    { "csp", ngx_http_travel_security_value,
      offsetof(ngx_http_travel_security_t,
               value[NGX_HTTP_TRAVEL_SECURITY_CSP]),
      NULL, NULL, NULL, NULL, 0 },

    { "hsts", ngx_http_travel_security_value,
      offsetof(ngx_http_travel_security_t,
               value[NGX_HTTP_TRAVEL_SECURITY_HSTS]),
      NULL, NULL, NULL, NULL, 0 },

    { "nosniff", ngx_http_travel_security_value,
      offsetof(ngx_http_travel_security_t,
               value[NGX_HTTP_TRAVEL_SECURITY_NOSNIFF]),
      NULL, NULL, NULL, NULL, 0 },

    { "frame", ngx_http_travel_security_value,
      offsetof(ngx_http_travel_security_t,
               value[NGX_HTTP_TRAVEL_SECURITY_FRAME]),
      NULL, NULL, NULL, NULL, 0 },

    { "referrer", ngx_http_travel_security_value,
      offsetof(ngx_http_travel_security_t,
               value[NGX_HTTP_TRAVEL_SECURITY_REFERRER]),
      NULL, NULL, NULL, NULL, 0 },

    { "permissions", ngx_http_travel_security_value,
      offsetof(ngx_http_travel_security_t,
               value[NGX_HTTP_TRAVEL_SECURITY_PERMISSIONS]),
      NULL, NULL, NULL, NULL, 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_security_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_headers_loc_conf_t  *hlcf = conf;

    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_travel_security_t  *security;

    if (hlcf->security_set) {
        return "is duplicate";
    }

    hlcf->security_set = 1;
    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") != 0) {
        return "begins with \"on\", then what is to be different; or is "
               "\"off\" alone";
    }

    security = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_security_t));
    if (security == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_SECURITY_MAX; i++) {
        security->value[i] = ngx_http_travel_securities[i].value;
    }

    if (ngx_http_travel_params(cf, ngx_http_travel_security_headers_params, 2,
                               security)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    hlcf->security = security;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_security_value(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_str_t   *place;
    ngx_uint_t   i;

    (void) cf;

    place = (ngx_str_t *) ((char *) conf + param->offset);
    i = place - ((ngx_http_travel_security_t *) conf)->value;

    if (ngx_strcmp(value->data, "off") == 0) {
        ngx_str_null(place);
        return NGX_CONF_OK;
    }

    if (i == NGX_HTTP_TRAVEL_SECURITY_NOSNIFF) {
        return ngx_strcmp(value->data, "on") == 0 ? NGX_CONF_OK
                                                  : "must be \"on\" or \"off\"";
    }

    *place = *value;

    return ngx_http_travel_security_check(i, value);
}


static char *
ngx_http_travel_security_check(ngx_uint_t i, const ngx_str_t *value)
{
    size_t      n;
    ngx_uint_t  k;

    static const ngx_str_t  referrers[] = {
        ngx_string("no-referrer"), ngx_string("no-referrer-when-downgrade"),
        ngx_string("origin"), ngx_string("origin-when-cross-origin"),
        ngx_string("same-origin"), ngx_string("strict-origin"),
        ngx_string("strict-origin-when-cross-origin"),
        ngx_string("unsafe-url")
    };

    for (n = 0; n < value->len; n++) {
        if (value->data[n] < ' ' || value->data[n] > '~') {
            return "has a line break or a letter that no header can hold";
        }
    }

    switch (i) {

    case NGX_HTTP_TRAVEL_SECURITY_HSTS:
        return value->len > 8 && ngx_strncmp(value->data, "max-age=", 8) == 0
               && value->data[8] >= '0' && value->data[8] <= '9'
               ? NGX_CONF_OK
               : "must begin with max-age=SECONDS, or be off";

    case NGX_HTTP_TRAVEL_SECURITY_FRAME:
        return (value->len == 4 && ngx_strncmp(value->data, "DENY", 4) == 0)
               || (value->len == 10
                   && ngx_strncmp(value->data, "SAMEORIGIN", 10) == 0)
               ? NGX_CONF_OK : "must be DENY, SAMEORIGIN or off: finer things "
                               "are csp='s";

    case NGX_HTTP_TRAVEL_SECURITY_REFERRER:
        for (k = 0; k < sizeof(referrers) / sizeof(referrers[0]); k++) {
            if (referrers[k].len == value->len
                && ngx_strncmp(referrers[k].data, value->data, value->len)
                   == 0)
            {
                return NGX_CONF_OK;
            }
        }

        return "is no referrer policy: use no-referrer, same-origin, "
               "strict-origin or another that the standard names, or off";

    default:
        return NGX_CONF_OK;
    }
}


/* --- answers ------------------------------------------------------------- */

static ngx_uint_t
ngx_http_travel_security_said(ngx_http_request_t *r, const ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].hash != 0 && h[i].key.len == name->len
                && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/* RFC 6797 section 7.2: no Strict-Transport-Security over plain HTTP. */

ngx_int_t
ngx_http_travel_security_add(ngx_http_request_t *r,
    const ngx_http_travel_security_t *security)
{
    ngx_uint_t  i, https, others;

    https = 0;

    /* only an application, or a page of ours, says any of these itself */

    others = ngx_http_travel_headers_behind(r)
             || (r->headers_out.content_type.len >= 9
                 && ngx_strncmp(r->headers_out.content_type.data, "text/html",
                                9) == 0);

#if (NGX_HTTP_SSL)
    https = r->connection->ssl != NULL;
#endif

    for (i = 0; i < NGX_HTTP_TRAVEL_SECURITY_MAX; i++) {

        if (security->value[i].len == 0
            || (i == NGX_HTTP_TRAVEL_SECURITY_HSTS && !https)
            || (others
                && ngx_http_travel_security_said(r,
                       &ngx_http_travel_securities[i].header)))
        {
            continue;
        }

        if (ngx_http_travel_push_field(r,
                                       &ngx_http_travel_securities[i].header,
                                       &security->value[i])
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
