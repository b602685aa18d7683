/* Reading parameters of directives by their tables. */

#include "ngx_http_travel_params.h"

#define NGX_HTTP_TRAVEL_PARAMS_MAX  64


/* A value as a number, or a negative one when it is none. */
typedef ngx_int_t (*ngx_http_travel_measure_pt)(ngx_str_t *text);


static char *ngx_http_travel_param(ngx_conf_t *cf,
    const ngx_http_travel_param_t *params, ngx_str_t *arg, uint64_t *seen,
    void *conf);
static ngx_int_t ngx_http_travel_param_find(
    const ngx_http_travel_param_t *params, const ngx_str_t *arg,
    ngx_str_t *ret_value);
static char *ngx_http_travel_param_unknown(ngx_conf_t *cf,
    const ngx_http_travel_param_t *params, ngx_str_t *arg, const char *wrong);
static char *ngx_http_travel_param_unsigned(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf,
    ngx_http_travel_measure_pt measure, const char *noun);
static char *ngx_http_travel_param_digits(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf,
    ngx_http_travel_measure_pt measure);
static char *ngx_http_travel_param_bounded(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value,
    ngx_http_travel_measure_pt measure, const char *noun, ngx_int_t *ret_n);


/* What stands behind the name: arguments end with a NUL, so it may be looked
 * for there. */
static const char *
ngx_http_travel_param_sign(const ngx_http_travel_param_t *param)
{
    return param->read == ngx_http_travel_param_alone ? "" : "=";
}


static ngx_inline ngx_uint_t
ngx_http_travel_param_nameless(const ngx_http_travel_param_t *param)
{
    return param->name[0] == '\0';
}


char *
ngx_http_travel_params_default(ngx_conf_t *cf,
    const ngx_http_travel_param_t *params, void *conf)
{
    char       *rv;
    ngx_str_t   value;

    for ( /* void */ ; params->name != NULL; params++) {

        if (params->def == NULL) {
            continue;
        }

        value.data = (u_char *) params->def;
        value.len = ngx_strlen(params->def);
        rv = params->read(cf, params, &value, conf);

        if (rv != NGX_CONF_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "default \"%s=%V\" %s", params->name, &value,
                               rv == NGX_CONF_ERROR ? "cannot be set" : rv);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_travel_params(ngx_conf_t *cf, const ngx_http_travel_param_t *params,
    ngx_uint_t from, void *conf)
{
    char        *rv;
    uint64_t     seen;
    ngx_str_t   *value;
    ngx_uint_t   i;

    seen = 0;
    value = cf->args->elts;

    for (i = from; i < cf->args->nelts; i++) {
        rv = ngx_http_travel_param(cf, params, &value[i], &seen, conf);

        if (rv == NGX_CONF_OK) {
            continue;
        }

        if (rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\": \"%V\" %s",
                               &value[0], &value[i], rv);
        }

        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_travel_params_whole(ngx_conf_t *cf,
    const ngx_http_travel_param_t *params, ngx_uint_t from, void *conf)
{
    return ngx_http_travel_params_default(cf, params, conf) == NGX_CONF_OK
           ? ngx_http_travel_params(cf, params, from, conf) : NGX_CONF_ERROR;
}


ngx_uint_t
ngx_http_travel_param_given(ngx_conf_t *cf, const char *name)
{
    size_t       len;
    ngx_str_t   *value;
    ngx_uint_t   i;

    len = ngx_strlen(name);
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        if (value[i].len > len && value[i].data[len] == '='
            && ngx_strncmp(value[i].data, name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_http_travel_param(ngx_conf_t *cf, const ngx_http_travel_param_t *params,
    ngx_str_t *arg, uint64_t *seen, void *conf)
{
    char       *rv;
    uint64_t    bit;
    ngx_int_t   n;
    ngx_str_t   value;

    n = ngx_http_travel_param_find(params, arg, &value);

    if (n == NGX_DECLINED) {
        return ngx_http_travel_param_unknown(cf, params, arg, NULL);
    }

    if (value.len == 0 && params[n].read != ngx_http_travel_param_alone) {
        return "needs a value";
    }

    bit = (uint64_t) 1 << n;

    if ((*seen & bit) && !params[n].many) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\": \"%s%s\" is given twice",
                           (ngx_str_t *) cf->args->elts, params[n].name,
                           ngx_http_travel_param_sign(&params[n]));
        return NGX_CONF_ERROR;               /* it may be a password */
    }

    *seen |= bit;

    rv = params[n].read(cf, &params[n], &value, conf);

    if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR
        && ngx_http_travel_param_nameless(&params[n]))
    {
        return ngx_http_travel_param_unknown(cf, params, arg, rv);
    }

    return rv;
}


/* Its row, and what stands behind "NAME="; NGX_DECLINED: there is none. */
static ngx_int_t
ngx_http_travel_param_find(const ngx_http_travel_param_t *params,
    const ngx_str_t *arg, ngx_str_t *ret_value)
{
    size_t       len;
    ngx_int_t    n;
    const char  *sign;

    for (n = 0; params[n].name != NULL && n < NGX_HTTP_TRAVEL_PARAMS_MAX; n++)
    {
        if (ngx_http_travel_param_nameless(&params[n])) {
            *ret_value = *arg;
            return n;
        }

        len = ngx_strlen(params[n].name);
        sign = ngx_http_travel_param_sign(&params[n]);

        if (arg->len < len || ngx_strncmp(arg->data, params[n].name, len) != 0
            || (sign[0] ? arg->data[len] != sign[0] : arg->len != len))
        {
            continue;
        }

        len += ngx_strlen(sign);
        ret_value->data = arg->data + len;
        ret_value->len = arg->len - len;
        return n;
    }

    return NGX_DECLINED;
}


/* 'wrong' is what the row without a name says; NULL: there is none. */
static char *
ngx_http_travel_param_unknown(ngx_conf_t *cf,
    const ngx_http_travel_param_t *params, ngx_str_t *arg, const char *wrong)
{
    u_char      *p, *last, all[NGX_MAX_CONF_ERRSTR / 2];
    ngx_str_t   *directive, list;
    ngx_uint_t   i, n;

    p = all;
    last = all + sizeof(all);

    for (n = 0; params[n].name != NULL
                && !ngx_http_travel_param_nameless(&params[n]); n++)
    {
        /* void */
    }

    for (i = 0; i < n; i++) {
        p = ngx_slprintf(p, last, "%s%s%s",
                         i == 0 ? "" : i + 1 < n ? ", " : " or ",
                         params[i].name,
                         ngx_http_travel_param_sign(&params[i]));
    }

    list.data = all;
    list.len = p - all;
    directive = cf->args->elts;

    if (wrong) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\": \"%V\" %s; or %s%V",
                           directive, arg, wrong, n > 1 ? "one of " : "",
                           &list);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" parameter \"%V\" must be %s%V", directive,
                           arg, n > 1 ? "one of " : "", &list);
    }

    return NGX_CONF_ERROR;
}


/* --- readers -------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_measure_number(ngx_str_t *text)
{
    return ngx_atoi(text->data, text->len);
}


static ngx_int_t
ngx_http_travel_measure_msec(ngx_str_t *text)
{
    return ngx_parse_time(text, 0);
}


static ngx_int_t
ngx_http_travel_measure_sec(ngx_str_t *text)
{
    return ngx_parse_time(text, 1);
}


/* With "g", too, which ngx_parse_size() does not know. */
static ngx_int_t
ngx_http_travel_measure_size(ngx_str_t *text)
{
    return (ngx_int_t) ngx_parse_offset(text);
}


/* In hundredths: "0", "1", "0.85", with two digits behind the point at most. */
static ngx_int_t
ngx_http_travel_measure_share(ngx_str_t *text)
{
    return text->data[0] == '.' ? NGX_ERROR
                                : ngx_atofp(text->data, text->len, 2);
}


char *
ngx_http_travel_param_number(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    return ngx_http_travel_param_unsigned(cf, param, value, conf,
                                          ngx_http_travel_measure_number,
                                          "number");
}


char *
ngx_http_travel_param_msec(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    return ngx_http_travel_param_unsigned(cf, param, value, conf,
                                          ngx_http_travel_measure_msec,
                                          "time");
}


char *
ngx_http_travel_param_size(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    return ngx_http_travel_param_unsigned(cf, param, value, conf,
                                          ngx_http_travel_measure_size,
                                          "size");
}


char *
ngx_http_travel_param_sec(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    char       *rv;
    ngx_int_t   n;

    rv = ngx_http_travel_param_bounded(cf, param, value,
                                       ngx_http_travel_measure_sec, "time",
                                       &n);
    if (rv == NGX_CONF_OK) {
        *(time_t *) ((char *) conf + param->offset) = (time_t) n;
    }

    return rv;
}


char *
ngx_http_travel_param_sec32(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    char       *rv;
    ngx_int_t   n;

    rv = ngx_http_travel_param_bounded(cf, param, value,
                                       ngx_http_travel_measure_sec, "time",
                                       &n);
    if (rv == NGX_CONF_OK) {
        *(uint32_t *) ((char *) conf + param->offset) = (uint32_t) n;
    }

    return rv;
}


char *
ngx_http_travel_param_msec_text(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    return ngx_http_travel_param_digits(cf, param, value, conf,
                                        ngx_http_travel_measure_msec);
}


char *
ngx_http_travel_param_sec_text(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    return ngx_http_travel_param_digits(cf, param, value, conf,
                                        ngx_http_travel_measure_sec);
}


char *
ngx_http_travel_param_real(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    char       *rv;
    ngx_int_t   n;

    rv = ngx_http_travel_param_bounded(cf, param, value,
                                       ngx_http_travel_measure_number,
                                       "number", &n);
    if (rv == NGX_CONF_OK) {
        *(double *) ((char *) conf + param->offset) = (double) n;
    }

    return rv;
}


char *
ngx_http_travel_param_share(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    char       *rv;
    ngx_int_t   n;

    rv = ngx_http_travel_param_bounded(cf, param, value,
                                       ngx_http_travel_measure_share, "number",
                                       &n);
    if (rv == NGX_CONF_OK) {
        *(double *) ((char *) conf + param->offset) = n / 100.0;
    }

    return rv;
}


/* ngx_uint_t, ngx_msec_t and size_t are one type by other names. */
static char *
ngx_http_travel_param_unsigned(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf,
    ngx_http_travel_measure_pt measure, const char *noun)
{
    char       *rv;
    ngx_int_t   n;

    rv = ngx_http_travel_param_bounded(cf, param, value, measure, noun, &n);

    if (rv == NGX_CONF_OK) {
        *(ngx_uint_t *) ((char *) conf + param->offset) = (ngx_uint_t) n;
    }

    return rv;
}


/* A time as others will be told it. */
static char *
ngx_http_travel_param_digits(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf,
    ngx_http_travel_measure_pt measure)
{
    char       *rv;
    u_char     *p;
    ngx_int_t   n;
    ngx_str_t  *text;

    rv = ngx_http_travel_param_bounded(cf, param, value, measure, "time", &n);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    p = ngx_pnalloc(cf->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    text = (ngx_str_t *) ((char *) conf + param->offset);
    text->data = p;
    text->len = ngx_sprintf(p, "%i", n) - p;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_param_bounded(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value,
    ngx_http_travel_measure_pt measure, const char *noun, ngx_int_t *ret_n)
{
    u_char     *text;
    ngx_int_t   n;
    ngx_str_t   low, high;

    low.data = (u_char *) param->low;
    low.len = ngx_strlen(param->low);
    high.data = (u_char *) param->high;
    high.len = ngx_strlen(param->high);

    n = measure(value);

    if (n >= measure(&low) && n <= measure(&high)) {
        *ret_n = n;
        return NGX_CONF_OK;
    }

    text = ngx_pnalloc(cf->pool, NGX_MAX_CONF_ERRSTR);
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_snprintf(text, NGX_MAX_CONF_ERRSTR, "must be a %s from %s to %s%s%s%Z",
                 noun, param->low, param->high, param->what ? ": " : "",
                 param->what ? param->what : "");

    return (char *) text;
}


char *
ngx_http_travel_param_flag(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_flag_t  on;

    (void) cf;

    on = (value->len == 2 && ngx_strncmp(value->data, "on", 2) == 0);

    if (!on && (value->len != 3 || ngx_strncmp(value->data, "off", 3) != 0)) {
        return "must be \"on\" or \"off\"";
    }

    *(ngx_flag_t *) ((char *) conf + param->offset) = on;

    return NGX_CONF_OK;
}


char *
ngx_http_travel_param_alone(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    (void) cf;
    (void) value;

    *(ngx_flag_t *) ((char *) conf + param->offset) = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_travel_param_word(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    u_char      *text;
    size_t       len;
    ngx_uint_t   i;
    const char  *word;

    i = 0;
    word = param->what;

    for ( ;; ) {
        len = strcspn(word, "|");

        if (len == value->len && ngx_strncmp(word, value->data, len) == 0) {
            *(ngx_uint_t *) ((char *) conf + param->offset) = i;
            return NGX_CONF_OK;
        }

        if (word[len] == '\0') {
            break;
        }

        word += len + 1;
        i++;
    }

    text = ngx_pnalloc(cf->pool, NGX_MAX_CONF_ERRSTR);
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_snprintf(text, NGX_MAX_CONF_ERRSTR, "must be %s=%s%Z", param->name,
                 param->what);

    return (char *) text;
}


char *
ngx_http_travel_param_text(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    (void) cf;

    *(ngx_str_t *) ((char *) conf + param->offset) = *value;

    return NGX_CONF_OK;
}


char *
ngx_http_travel_param_expression(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_complex_value_t  *cv;

    cv = ngx_http_travel_expression(cf, value);
    if (cv == NULL) {
        return NGX_CONF_ERROR;
    }

    *(ngx_http_complex_value_t **) ((char *) conf + param->offset) = cv;

    return NGX_CONF_OK;
}


ngx_http_complex_value_t *
ngx_http_travel_expression(ngx_conf_t *cf, ngx_str_t *text)
{
    ngx_http_complex_value_t  *cv;

    cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (cv == NULL) {
        return NULL;
    }

    return ngx_http_travel_expression_at(cf, text, cv) == NGX_OK ? cv : NULL;
}


ngx_int_t
ngx_http_travel_expression_at(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_complex_value_t *cv)
{
    ngx_http_compile_complex_value_t  ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = text;
    ccv.complex_value = cv;

    return ngx_http_compile_complex_value(&ccv);
}
