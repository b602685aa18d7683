/*
 * travel_problems [base=URI]: the pages that the types of problems lead to
 * (RFC 9457 section 3.1.1), one for each code and a list of all.
 */

#include "ngx_http_travel.h"


static char *ngx_http_travel_problems_base(ngx_conf_t *cf,
    const ngx_str_t *arg);
static ngx_int_t ngx_http_travel_problems_handler(ngx_http_request_t *r);


char *
ngx_http_travel_problems(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char       *rv;
    ngx_str_t  *value;

    (void) cmd;
    (void) conf;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {
        rv = ngx_http_travel_problems_base(cf, &value[1]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_GET,
                                 ngx_http_travel_problems_handler);
}


static char *
ngx_http_travel_problems_base(ngx_conf_t *cf, const ngx_str_t *arg)
{
    ngx_str_t                     base;
    ngx_http_travel_main_conf_t  *tmcf;

    tmcf = ngx_http_travel_main_conf(cf);

    base.data = arg->data + 5;
    base.len = arg->len - 5;

    if (arg->len <= 5 || ngx_strncmp(arg->data, "base=", 5) != 0
        || base.len > TRAVEL_PROBLEM_BASE_MAX
        || base.data[base.len - 1] != '/'
        || (ngx_strncmp(base.data, "https://", 8) != 0
            && ngx_strncmp(base.data, "http://", 7) != 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_problems\" parameter \"%V\" must be "
                           "base=, an http or https URI of at most %d "
                           "characters that ends with \"/\", such as "
                           "base=https://api.example.com/problems/", arg,
                           TRAVEL_PROBLEM_BASE_MAX);
        return NGX_CONF_ERROR;
    }

    if (tmcf->problem_base.len
        && (tmcf->problem_base.len != base.len
            || ngx_memcmp(tmcf->problem_base.data, base.data, base.len) != 0))
    {
        return "has another base= than one before it: problems have one type "
               "wherever they are told";
    }

    tmcf->problem_base = base;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_problems_handler(ngx_http_request_t *r)
{
    u_char          *p, *last;
    size_t           size;
    ngx_int_t        rc;
    ngx_str_t        body;
    travel_str_t     name;
    travel_error_e   error;

    static const ngx_str_t  html = ngx_string("text/html; charset=utf-8");

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    last = r->uri.data + r->uri.len;

    for (p = last; p > r->uri.data && p[-1] != '/'; p--) {
        /* void */
    }

    name.data = (char *) p;
    name.len = last - p;

    error = travel_error_by_code(name);

    if (error == TRAVEL_E_NONE && name.len) {
        return NGX_HTTP_NOT_FOUND;
    }

    size = travel_problem_page(NULL, 0, error);

    body.data = ngx_pnalloc(r->pool, size);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.len = travel_problem_page((char *) body.data, size, error);

    return ngx_http_travel_send(r, NGX_HTTP_OK, &html, &body);
}
