/*
 * travel_problems [base=URI]: the pages that the types of problems lead to
 * (RFC 9457 section 3.1.1), one for each code and a list of all.
 */

#include "ngx_http_travel.h"


static char *ngx_http_travel_problems_base(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *base, void *conf);
static ngx_int_t ngx_http_travel_problems_handler(ngx_http_request_t *r);


static const ngx_http_travel_param_t  ngx_http_travel_problems_params[] = {

    { "base", ngx_http_travel_problems_base,
      offsetof(ngx_http_travel_main_conf_t, problem_base),
      NULL, NULL, NULL, NULL, 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_problems(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    (void) cmd;
    (void) conf;

    if (ngx_http_travel_params(cf, ngx_http_travel_problems_params, 1,
                               ngx_http_travel_main_conf(cf))
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_travel_claim(cf, NGX_HTTP_GET,
                                 ngx_http_travel_problems_handler);
}


static char *
ngx_http_travel_problems_base(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *base, void *conf)
{
    ngx_str_t  *known;

    (void) cf;

    known = (ngx_str_t *) ((char *) conf + param->offset);

    if (base->len > TRAVEL_PROBLEM_BASE_MAX
        || base->data[base->len - 1] != '/'
        || (ngx_strncmp(base->data, "https://", 8) != 0
            && ngx_strncmp(base->data, "http://", 7) != 0))
    {
        return "must be an http or https URI of at most 255 characters that "
               "ends with \"/\", such as "
               "base=https://api.example.com/problems/";
    }

    if (known->len
        && (known->len != base->len
            || ngx_memcmp(known->data, base->data, base->len) != 0))
    {
        return "is another base= than one before it: problems have one type "
               "wherever they are told";
    }

    *known = *base;

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
