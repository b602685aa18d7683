/*
 * How well did he prove who he is?  Step-up authentication by RFC 9470: a
 * token states by 'acr' how its user was authenticated and by 'auth_time'
 * when; where that is not enough the client is told what would be.
 */

#include "ngx_http_travel_risk.h"


#define NGX_HTTP_TRAVEL_STEPUP_ACRS  8

#define NGX_HTTP_TRAVEL_STEPUP_ACR                                            \
    "must list one to 8 values of the claim acr, the one preferred first, as " \
    "in acr=mfa,pwd; spaces and quotes cannot be in them"


static const ngx_http_travel_param_t  ngx_http_travel_stepup_params[] = {

    { "acr", ngx_http_travel_stepup_acr,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "max_age", ngx_http_travel_param_sec,
      offsetof(ngx_http_travel_stepup_t, max_age),
      "0", "30d", NULL, NULL, 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_stepup_directive(ngx_conf_t *cf,
    ngx_http_travel_stepup_t *stepup)
{
    stepup->max_age = -1;

    return ngx_http_travel_params(cf, ngx_http_travel_stepup_params, 1,
                                  stepup);
}


/* The texts go into a quoted-string and are separated by spaces there. */
char *
ngx_http_travel_stepup_acr(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *list, void *conf)
{
    u_char                    *p, *end, *last;
    ngx_str_t                 *acr;
    ngx_http_travel_stepup_t  *stepup;

    stepup = (ngx_http_travel_stepup_t *) ((char *) conf + param->offset);

    if (ngx_array_init(&stepup->acr, cf->pool, 2, sizeof(ngx_str_t)) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    stepup->values.len = list->len;
    stepup->values.data = ngx_pnalloc(cf->pool, list->len);
    if (stepup->values.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(stepup->values.data, list->data, list->len);

    for (p = stepup->values.data; p < stepup->values.data + list->len; p++) {

        if (*p <= 0x20 || *p >= 0x7f || *p == '"' || *p == '\\') {
            return NGX_HTTP_TRAVEL_STEPUP_ACR;
        }

        if (*p == ',') {
            *p = ' ';
        }
    }

    last = list->data + list->len;

    for (p = list->data; p <= last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        if (end == p || stepup->acr.nelts == NGX_HTTP_TRAVEL_STEPUP_ACRS) {
            return NGX_HTTP_TRAVEL_STEPUP_ACR;
        }

        acr = ngx_array_push(&stepup->acr);
        if (acr == NULL) {
            return NGX_CONF_ERROR;
        }

        acr->data = p;
        acr->len = end - p;
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_travel_stepup_met(ngx_http_request_t *r,
    const ngx_http_travel_stepup_t *stepup)
{
    int64_t                           age;
    ngx_str_t                        *acr;
    ngx_uint_t                        i;
    ngx_http_travel_ctx_t            *ctx;
    ngx_http_travel_auth_loc_conf_t  *alcf;

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx == NULL || !ctx->authenticated) {
        return 0;
    }

    if (stepup->acr.nelts != 0) {
        acr = stepup->acr.elts;

        for (i = 0; i < stepup->acr.nelts; i++) {
            if (acr[i].len == ctx->acr.len
                && ngx_memcmp(acr[i].data, ctx->acr.data, acr[i].len) == 0)
            {
                break;
            }
        }

        if (i == stepup->acr.nelts) {
            return 0;
        }
    }

    if (stepup->max_age == -1) {
        return 1;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_auth_module);

    /* none is long ago; one in the future is a clock's fault or a lie */
    if (ctx->auth_time <= 0 || ctx->auth_time > ngx_time() + alcf->leeway) {
        return 0;
    }

    age = ngx_time() - ctx->auth_time;

    return age <= stepup->max_age;
}


/* RFC 9470 section 3. */
ngx_int_t
ngx_http_travel_stepup_refuse(ngx_http_request_t *r,
    const ngx_http_travel_stepup_t *stepup)
{
    u_char                 *p;
    ngx_int_t               rc;
    ngx_str_t               value;
    ngx_http_travel_ctx_t  *ctx;

    static const char  head[] = "Bearer realm=\"travel\"";
    static const char  error[] =
        ", error=\"insufficient_user_authentication\", error_description=\""
        "A different or more recent authentication is required\"";

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof(head) + sizeof(error)
                             + sizeof(", acr_values=\"\"") + stepup->values.len
                             + sizeof(", max_age=\"\"") + NGX_TIME_T_LEN);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.data = p;
    p = ngx_cpymem(p, head, sizeof(head) - 1);

    /* who shows no token has made no error (RFC 6750 section 3.1) */
    if (ctx->authenticated) {
        p = ngx_cpymem(p, error, sizeof(error) - 1);
    }

    if (stepup->acr.nelts != 0) {
        p = ngx_sprintf(p, ", acr_values=\"%V\"", &stepup->values);
    }

    if (stepup->max_age != -1) {
        p = ngx_sprintf(p, ", max_age=\"%T\"", stepup->max_age);
    }

    value.len = p - value.data;

    if (ngx_http_travel_challenge(r, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_leave(r, ctx->authenticated
                                  ? TRAVEL_E_STEP_UP_REQUIRED
                                  : TRAVEL_E_AUTHENTICATION_ERROR);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ctx->authenticated
         ? ngx_http_travel_error(r, TRAVEL_E_STEP_UP_REQUIRED,
                                 "This needs a different or more recent "
                                 "authentication of the user: get a token by "
                                 "what WWW-Authenticate says.")
         : ngx_http_travel_error(r, TRAVEL_E_AUTHENTICATION_ERROR,
                                 "This needs an access token: "
                                 "\"Authorization: Bearer TOKEN\".");

    return ngx_http_travel_refuse(r, rc);
}
