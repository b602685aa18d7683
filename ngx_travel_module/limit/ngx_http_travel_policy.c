/*
 * Policies: what a travel_limit line says, read at configuration time.
 *
 * A line is read into a policy and a limit (the policy in this place: its
 * methods, its cost); the same policy elsewhere is found again by its name.
 */

#include "ngx_http_travel_policy.h"
#include "../net/ngx_http_travel_redis.h"


static char *ngx_http_travel_limit_key(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_str_t *text);
static ngx_uint_t ngx_http_travel_limit_lone(const ngx_str_t *text,
    ngx_str_t *ret_name);
static ngx_uint_t ngx_http_travel_limit_identity(const ngx_str_t *text);
static char *ngx_http_travel_limit_parameter(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_http_travel_limit_t *limit,
    ngx_str_t *value);
static char *ngx_http_travel_limit_named(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_str_t *value);
static char *ngx_http_travel_limit_cost(ngx_conf_t *cf,
    ngx_http_travel_limit_t *limit, ngx_str_t *value);
static char *ngx_http_travel_limit_delay(ngx_conf_t *cf,
    ngx_http_travel_limit_t *limit, ngx_str_t *value);
static char *ngx_http_travel_limit_tz(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_str_t *value);
static char *ngx_http_travel_limit_sharing(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_str_t *value);
static char *ngx_http_travel_limit_shared(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy);
static char *ngx_http_travel_limit_whole(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_http_travel_limit_t *limit);
static ngx_int_t ngx_http_travel_limit_rate(const ngx_str_t *value,
    ngx_http_travel_window_t *window);
static ngx_int_t ngx_http_travel_limit_quota(const u_char *p, size_t len,
    ngx_uint_t bytes);
static ngx_int_t ngx_http_travel_limit_burst(const ngx_str_t *value,
    ngx_http_travel_window_t *window);
static char *ngx_http_travel_limit_window(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, const ngx_str_t *value,
    const ngx_http_travel_window_t *window);
static ngx_int_t ngx_http_travel_limit_name(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy);


/* A request asks a policy once, by the first line that fits it. */
ngx_int_t
ngx_http_travel_limit_add(ngx_conf_t *cf, ngx_array_t **limits,
    const ngx_http_travel_limit_t *limit)
{
    ngx_uint_t                i;
    ngx_http_travel_limit_t  *elt;

    if (*limits == NULL) {
        *limits = ngx_array_create(cf->pool, 4,
                                   sizeof(ngx_http_travel_limit_t));
        if (*limits == NULL) {
            return NGX_ERROR;
        }
    }

    elt = (*limits)->elts;

    for (i = 0; i < (*limits)->nelts; i++) {
        if (elt[i].policy == limit->policy
            && elt[i].methods == limit->methods)
        {
            return NGX_OK;
        }
    }

    elt = ngx_array_push(*limits);
    if (elt == NULL) {
        return NGX_ERROR;
    }

    *elt = *limit;

    return NGX_OK;
}


char *
ngx_http_travel_limit_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_limit_loc_conf_t  *llcf = conf;

    char                               *rv;
    ngx_str_t                          *value;
    ngx_uint_t                          i, method;
    ngx_http_travel_limit_t             limit;
    ngx_http_travel_policy_t            policy;
    ngx_http_travel_limit_main_conf_t  *lmcf;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        llcf->alone = 1;
        return NGX_CONF_OK;
    }

    ngx_memzero(&limit, sizeof(limit));
    ngx_memzero(&policy, sizeof(policy));

    limit.cost_fixed = 1;
    limit.hold = 100;

    for (i = 1; i < cf->args->nelts; i++) {

        method = ngx_http_travel_method(&value[i]);

        if (method == 0) {
            break;
        }

        limit.methods |= (method == NGX_HTTP_HEAD) ? NGX_HTTP_GET : method;
    }

    if (i == cf->args->nelts) {
        return "names methods but no key, as in "
               "\"travel_limit POST $travel_user 60r/m\"";
    }

    rv = ngx_http_travel_limit_key(cf, &policy, &value[i]);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i++; i < cf->args->nelts; i++) {
        rv = ngx_http_travel_limit_parameter(cf, &policy, &limit, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    rv = ngx_http_travel_limit_whole(cf, &policy, &limit);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (policy.name.len == 0
        && ngx_http_travel_limit_name(cf, &policy) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_limit_module);

    limit.policy = ngx_http_travel_limit_policy(cf, lmcf, &policy);
    if (limit.policy == NULL) {
        return NGX_CONF_ERROR;
    }

    if (limit.cost >= NGX_HTTP_TRAVEL_COST_TOKENS) {
        lmcf->measured = 1;
    }

    if (limit.cost == NGX_HTTP_TRAVEL_COST_TOKENS) {
        lmcf->settled = 1;
    }

    if (ngx_http_travel_limit_add(cf, &llcf->limits, &limit) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_limit_key(ngx_conf_t *cf, ngx_http_travel_policy_t *policy,
    ngx_str_t *text)
{
    ngx_str_t                         name;
    ngx_http_compile_complex_value_t  ccv;

    ngx_memzero(&ccv, sizeof(ccv));

    ccv.cf = cf;
    ccv.value = text;
    ccv.complex_value = &policy->key;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (policy->key.lengths == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" key \"%V\" must have a variable, "
                           "as in \"travel_limit $travel_user 60r/m\"", text);
        return NGX_CONF_ERROR;
    }

    policy->text = *text;
    policy->identity = ngx_http_travel_limit_identity(text);
    policy->variable = NGX_ERROR;

    if (ngx_http_travel_limit_lone(text, &name)) {
        policy->variable = ngx_http_get_variable_index(cf, &name);

        if (policy->variable == NGX_ERROR) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* Is it "$name" and nothing more?  Then its value needs no copy. */
static ngx_uint_t
ngx_http_travel_limit_lone(const ngx_str_t *text, ngx_str_t *ret_name)
{
    size_t  i;

    if (text->len < 2 || text->data[0] != '$') {
        return 0;
    }

    for (i = 1; i < text->len; i++) {
        if (!isalnum(text->data[i]) && text->data[i] != '_') {
            return 0;
        }
    }

    /* a digit is a regex capture */
    if (isdigit(text->data[1])) {
        return 0;
    }

    ret_name->data = text->data + 1;
    ret_name->len = text->len - 1;

    return 1;
}


/* Does the key need to know who it is?  Our variables do, but for those that
 * tell where the request comes from. */
static ngx_uint_t
ngx_http_travel_limit_identity(const ngx_str_t *text)
{
    size_t       i, skip;
    u_char      *p, *last;

    static const char  *early[] = {
        "client_ip", "binary_client_ip", "country", "city", "asn"
    };

    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        if (*p != '$') {
            continue;
        }

        p += (p + 1 < last && p[1] == '{') ? 2 : 1;

        if (last - p < 7 || ngx_strncmp(p, "travel_", 7) != 0) {
            continue;
        }

        for (i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
            skip = 7 + ngx_strlen(early[i]);

            if ((size_t) (last - p) >= skip
                && ngx_strncmp(p + 7, early[i], skip - 7) == 0
                && ((size_t) (last - p) == skip
                    || (!isalnum(p[skip]) && p[skip] != '_')))
            {
                break;
            }
        }

        if (i == sizeof(early) / sizeof(early[0])) {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_http_travel_limit_parameter(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_http_travel_limit_t *limit,
    ngx_str_t *value)
{
    ngx_http_travel_window_t  window;

    ngx_memzero(&window, sizeof(window));

    if (ngx_strcmp(value->data, "dry_run") == 0) {
        limit->dry_run = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value->data, "partition") == 0) {
        policy->partition = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value->data, "window=day") == 0) {
        policy->calendar = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "name=", 5) == 0) {
        return ngx_http_travel_limit_named(cf, policy, value);
    }

    if (ngx_strncmp(value->data, "cost=", 5) == 0
        || ngx_strncmp(value->data, "reserve=", 8) == 0)
    {
        return ngx_http_travel_limit_cost(cf, limit, value);
    }

    if (ngx_strncmp(value->data, "mode=", 5) == 0
        || ngx_strncmp(value->data, "fail=", 5) == 0
        || ngx_strncmp(value->data, "slice=", 6) == 0
        || ngx_strncmp(value->data, "timeout=", 8) == 0)
    {
        return ngx_http_travel_limit_sharing(cf, policy, value);
    }

    if (ngx_strncmp(value->data, "delay=", 6) == 0
        || ngx_strncmp(value->data, "hold=", 5) == 0)
    {
        return ngx_http_travel_limit_delay(cf, limit, value);
    }

    if (ngx_strncmp(value->data, "tz=", 3) == 0) {
        return ngx_http_travel_limit_tz(cf, policy, value);
    }

    if (ngx_strncmp(value->data, "burst=", 6) == 0) {
        if (ngx_http_travel_limit_burst(value, &window) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_limit\" \"%V\" must be burst=N/T with "
                               "T of 1s to 1d, as in burst=10/10s", value);
            return NGX_CONF_ERROR;
        }

        return ngx_http_travel_limit_window(cf, policy, value, &window);
    }

    if (ngx_http_travel_limit_rate(value, &window) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" rate \"%V\" must be <N>r/s, r/m, "
                           "r/h or r/d with N of 1 to %d, or bytes as in "
                           "10mb/h; other parameters are burst=N/T, "
                           "name=NAME, cost=, reserve=, window=day, tz=, "
                           "mode=, slice=, fail=, timeout=, delay=, hold=, "
                           "partition and dry_run", value,
                           TRAVEL_WINDOW_QUOTA_MAX);
        return NGX_CONF_ERROR;
    }

    return ngx_http_travel_limit_window(cf, policy, value, &window);
}


static char *
ngx_http_travel_limit_named(ngx_conf_t *cf, ngx_http_travel_policy_t *policy,
    ngx_str_t *value)
{
    u_char      *p;
    ngx_uint_t   i;

    p = value->data + 5;

    for (i = 0; i < value->len - 5; i++) {
        if (!((p[i] >= 'a' && p[i] <= 'z') || p[i] == '_' || p[i] == '-'
              || (p[i] >= '0' && p[i] <= '9')))
        {
            break;
        }
    }

    if (i == 0 || i < value->len - 5 || i > 32) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" \"%V\" must be 1 to 32 of "
                           "a-z, 0-9, - and _", value);
        return NGX_CONF_ERROR;
    }

    policy->name.data = p;
    policy->name.len = i;

    return NGX_CONF_OK;
}


/* cost=N | cost=$variable | cost=MEASURE, and reserve=N for a measure. */
static char *
ngx_http_travel_limit_cost(ngx_conf_t *cf, ngx_http_travel_limit_t *limit,
    ngx_str_t *value)
{
    ngx_str_t                         text;
    ngx_int_t                         n;
    ngx_http_compile_complex_value_t  ccv;

    text.data = (u_char *) ngx_strchr(value->data, '=') + 1;
    text.len = value->data + value->len - text.data;

    if (ngx_strcmp(text.data, "request") == 0) {
        limit->cost = NGX_HTTP_TRAVEL_COST_REQUEST;

    } else if (ngx_strcmp(text.data, "tokens") == 0) {
        limit->cost = NGX_HTTP_TRAVEL_COST_TOKENS;

    } else if (ngx_strcmp(text.data, "response") == 0) {
        limit->cost = NGX_HTTP_TRAVEL_COST_RESPONSE;

    } else if (ngx_strcmp(text.data, "bytes") == 0) {
        limit->cost = NGX_HTTP_TRAVEL_COST_BYTES;

    } else if (ngx_strchr(text.data, '$') != NULL) {
        ngx_memzero(&ccv, sizeof(ccv));

        ccv.cf = cf;
        ccv.value = &text;
        ccv.complex_value = &limit->cost_value;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        limit->cost = NGX_HTTP_TRAVEL_COST_VALUE;

    } else {
        n = ngx_http_travel_limit_quota(text.data, text.len, 1);

        if (n == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_limit\" \"%V\" must be a number of 1 "
                               "to %d, or of cost= a variable, request, "
                               "response, bytes or tokens", value,
                               TRAVEL_WINDOW_QUOTA_MAX);
            return NGX_CONF_ERROR;
        }

        limit->cost_fixed = (uint32_t) n;
    }

    return NGX_CONF_OK;
}


/* delay=T hold=N */
static char *
ngx_http_travel_limit_delay(ngx_conf_t *cf, ngx_http_travel_limit_t *limit,
    ngx_str_t *value)
{
    ngx_int_t  n;
    ngx_str_t  text;

    text.data = (u_char *) ngx_strchr(value->data, '=') + 1;
    text.len = value->data + value->len - text.data;

    if (*value->data == 'd') {
        n = ngx_parse_time(&text, 0);

        if (n >= 1 && n <= 60000) {
            limit->delay = (uint32_t) n;
            return NGX_CONF_OK;
        }

    } else {
        n = ngx_atoi(text.data, text.len);

        if (n >= 1 && n <= 100000) {
            limit->hold = (uint32_t) n;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"travel_limit\" \"%V\" must be delay=1ms to 60s, "
                       "hold=1 to 100000", value);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_travel_limit_tz(ngx_conf_t *cf, ngx_http_travel_policy_t *policy,
    ngx_str_t *value)
{
    const travel_zone_t                *zone;
    ngx_http_compile_complex_value_t    ccv;
    ngx_http_travel_limit_main_conf_t  *lmcf;

    policy->tz.data = value->data + 3;
    policy->tz.len = value->len - 3;

    ngx_memzero(&ccv, sizeof(ccv));

    ccv.cf = cf;
    ccv.value = &policy->tz;
    ccv.complex_value = &policy->tz_value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_limit_module);

    if (ngx_http_travel_tz_load(cf, &lmcf->zones) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (policy->tz_value.lengths != NULL) {
        return NGX_CONF_OK;
    }

    zone = ngx_http_travel_tz_find(&lmcf->zones, &policy->tz);
    if (zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" \"%V\" names no time zone of this "
                           "machine's tz database: tz=Area/City, tz=UTC or a "
                           "variable", value);
        return NGX_CONF_ERROR;
    }

    policy->zone = *zone;

    return NGX_CONF_OK;
}


/* mode=, fail=, slice=N|N%, timeout=T */
static char *
ngx_http_travel_limit_sharing(ngx_conf_t *cf, ngx_http_travel_policy_t *policy,
    ngx_str_t *value)
{
    size_t      len;
    u_char     *p;
    ngx_int_t   n;
    ngx_str_t   text;
    ngx_uint_t  i;

    static const struct {
        const char  *text;
        ngx_uint_t   fail;
        ngx_uint_t   n;
    } words[] = {
        { "mode=local", 0, NGX_HTTP_TRAVEL_MODE_LOCAL },
        { "mode=global", 0, NGX_HTTP_TRAVEL_MODE_GLOBAL },
        { "mode=strict", 0, NGX_HTTP_TRAVEL_MODE_STRICT },
        { "fail=local", 1, NGX_HTTP_TRAVEL_FAIL_LOCAL },
        { "fail=open", 1, NGX_HTTP_TRAVEL_FAIL_OPEN },
        { "fail=closed", 1, NGX_HTTP_TRAVEL_FAIL_CLOSED }
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {

        if (ngx_strcmp(value->data, words[i].text) != 0) {
            continue;
        }

        if (words[i].fail) {
            policy->fail = words[i].n;

        } else {
            policy->mode = words[i].n;
        }

        return NGX_CONF_OK;
    }

    p = (u_char *) ngx_strchr(value->data, '=') + 1;
    len = value->data + value->len - p;

    if (*value->data == 's') {
        policy->percent = (len > 1 && p[len - 1] == '%');
        n = ngx_http_travel_limit_quota(p, len - policy->percent, 1);

        if (n >= 1 && (!policy->percent || n <= 100)) {
            policy->slice = (uint32_t) n;
            return NGX_CONF_OK;
        }

    } else if (*value->data == 't') {
        text.data = p;
        text.len = len;
        n = ngx_parse_time(&text, 0);

        if (n >= 5 && n <= 10000) {
            policy->timeout = n;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"travel_limit\" \"%V\" must be mode=local, global or "
                       "strict, fail=local, open or closed, slice=N or "
                       "slice=1% to 100%, timeout=5ms to 10s", value);
    return NGX_CONF_ERROR;
}


/* Defaults of a shared limit: a tenth of its smallest quota, leased for a
 * sixteenth of its shortest window. */
static char *
ngx_http_travel_limit_shared(ngx_conf_t *cf, ngx_http_travel_policy_t *policy)
{
    uint32_t    least;
    ngx_uint_t  i;

    if (policy->mode == NGX_HTTP_TRAVEL_MODE_LOCAL) {

        if (policy->slice || policy->timeout || policy->fail) {
            return "has slice=, fail= or timeout= and needs mode=global or "
                   "mode=strict";
        }

        return NGX_CONF_OK;
    }

    if (!ngx_http_travel_redis_declared(cf, NGX_HTTP_TRAVEL_REDIS_CACHE)) {
        return "has mode=global or mode=strict and needs a \"travel_redis "
               "cache\" line before it";
    }

    least = policy->windows[0].rule.quota;

    for (i = 1; i < policy->nwindows; i++) {
        least = ngx_min(least, policy->windows[i].rule.quota);
    }

    if (policy->slice == 0) {
        policy->slice = 10;
        policy->percent = 1;
    }

    if (policy->percent) {
        policy->slice = (uint32_t) ((uint64_t) least * policy->slice / 100);
        policy->slice = ngx_max(policy->slice, 1);
        policy->percent = 0;
    }

    if (policy->slice > least) {
        return "has a slice= larger than its smallest quota";
    }

    if (policy->timeout == 0) {
        policy->timeout = 100;
    }

    policy->life = ngx_min(policy->windows[0].rule.span / 16, 5000);

    return NGX_CONF_OK;
}


/* What only the whole line shows to be wrong. */
static char *
ngx_http_travel_limit_whole(ngx_conf_t *cf, ngx_http_travel_policy_t *policy,
    ngx_http_travel_limit_t *limit)
{
    ngx_uint_t                 i, bytes, days;
    ngx_http_travel_window_t  *w;

    w = policy->windows;

    if (policy->nwindows == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" of \"%V\" must have a rate, as in "
                           "60r/m", &policy->text);
        return NGX_CONF_ERROR;
    }

    for (i = 0, bytes = 0, days = 0; i < policy->nwindows; i++) {
        bytes += w[i].bytes;

        if (policy->calendar && w[i].calendar) {
            days++;

        } else {
            w[i].calendar = 0;
        }
    }

    if (days != policy->calendar || (policy->tz.len != 0 && days == 0)) {
        return "has window=day or tz= and needs a rate per day, as in "
               "\"100r/d window=day tz=UTC\"";
    }

    policy->bytes = (bytes != 0);

    if ((limit->cost >= NGX_HTTP_TRAVEL_COST_REQUEST && bytes == 0)
        || ((limit->cost == NGX_HTTP_TRAVEL_COST_FIXED
             || limit->cost == NGX_HTTP_TRAVEL_COST_TOKENS) && bytes != 0))
    {
        return "counts bytes by cost=request, response or bytes and rates in "
               "bytes, as in \"10mb/h cost=response\", or neither";
    }

    if (limit->cost < NGX_HTTP_TRAVEL_COST_REQUEST
        && limit->cost_fixed > w[0].rule.quota)
    {
        return "costs more than its shortest window has: nothing would ever "
               "be admitted";
    }

    return ngx_http_travel_limit_shared(cf, policy);
}


static ngx_int_t
ngx_http_travel_limit_rate(const ngx_str_t *value,
    ngx_http_travel_window_t *window)
{
    u_char     *p;
    uint32_t    span;
    ngx_int_t   quota;

    if (value->len < 4 || value->data[value->len - 2] != '/') {
        return NGX_ERROR;
    }

    p = value->data + value->len - 3;

    if (*p != 'r' && *p != 'b') {
        return NGX_ERROR;
    }

    window->bytes = (*p == 'b');

    switch (value->data[value->len - 1]) {
    case 's':
        span = 1000;
        break;
    case 'm':
        span = 60 * 1000;
        break;
    case 'h':
        span = 3600 * 1000;
        break;
    case 'd':
        span = 24 * 3600 * 1000;
        window->calendar = 1;
        break;
    default:
        return NGX_ERROR;
    }

    quota = ngx_http_travel_limit_quota(value->data, p - value->data,
                                        window->bytes);
    if (quota == NGX_ERROR) {
        return NGX_ERROR;
    }

    window->rule = travel_window_rule((uint32_t) quota, span);

    return NGX_OK;
}


/* 1 to QUOTA_MAX; bytes also as 64k or 10m. */
static ngx_int_t
ngx_http_travel_limit_quota(const u_char *p, size_t len, ngx_uint_t bytes)
{
    ssize_t    n;
    ngx_str_t  s;

    if (bytes) {
        s.data = (u_char *) p;
        s.len = len;
        n = len ? ngx_parse_size(&s) : NGX_ERROR;

    } else {
        n = ngx_atoi((u_char *) p, len);
    }

    return (n < 1 || n > (ssize_t) TRAVEL_WINDOW_QUOTA_MAX) ? NGX_ERROR : n;
}


static ngx_int_t
ngx_http_travel_limit_burst(const ngx_str_t *value,
    ngx_http_travel_window_t *window)
{
    u_char     *p, *slash, *last;
    ngx_str_t   s;
    ngx_int_t   quota, span;

    p = value->data + 6;
    last = value->data + value->len;

    slash = ngx_strlchr(p, last, '/');
    if (slash == NULL) {
        return NGX_ERROR;
    }

    quota = ngx_http_travel_limit_quota(p, slash - p, 1);
    if (quota == NGX_ERROR) {
        return NGX_ERROR;
    }

    s.data = slash + 1;
    s.len = last - s.data;

    span = ngx_parse_time(&s, 1);
    if (span < 1 || span > (ngx_int_t) (TRAVEL_WINDOW_SPAN_MAX / 1000)) {
        return NGX_ERROR;
    }

    window->rule = travel_window_rule((uint32_t) quota,
                                      (uint32_t) span * 1000);

    return NGX_OK;
}


/* Windows stand by rising span, so that the same set has one order. */
static char *
ngx_http_travel_limit_window(ngx_conf_t *cf, ngx_http_travel_policy_t *policy,
    const ngx_str_t *value, const ngx_http_travel_window_t *window)
{
    ngx_uint_t                   i;
    ngx_http_travel_window_t    *w;
    const travel_window_rule_t  *rule;

    w = policy->windows;
    rule = &window->rule;

    if (policy->nwindows == NGX_HTTP_TRAVEL_LIMIT_WINDOWS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" \"%V\" is one window too many: at "
                           "most %d stand in one line, use a second line with "
                           "another name=", value,
                           NGX_HTTP_TRAVEL_LIMIT_WINDOWS);
        return NGX_CONF_ERROR;
    }

    for (i = policy->nwindows; i > 0 && w[i - 1].rule.span >= rule->span; i--) {

        if (w[i - 1].rule.span == rule->span) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_limit\" \"%V\" is a second window of "
                               "%uD s, keep the smaller one", value,
                               rule->span / 1000);
            return NGX_CONF_ERROR;
        }

        w[i] = w[i - 1];
    }

    w[i] = *window;
    policy->nwindows++;

    return NGX_CONF_OK;
}


/* Without name=: "user" for $travel_user, "ip" for an address, else the
 * variable's own name. */
static ngx_int_t
ngx_http_travel_limit_name(ngx_conf_t *cf, ngx_http_travel_policy_t *policy)
{
    u_char     *p;
    ngx_str_t   s;
    ngx_uint_t  i;

    s = policy->text;

    if (ngx_strcmp(s.data, "$binary_remote_addr") == 0
        || ngx_strcmp(s.data, "$remote_addr") == 0
        || ngx_strcmp(s.data, "$travel_binary_client_ip") == 0
        || ngx_strcmp(s.data, "$travel_client_ip") == 0)
    {
        ngx_str_set(&policy->name, "ip");
        return NGX_OK;
    }

    if (s.len > 8 && ngx_strncmp(s.data, "$travel_", 8) == 0) {
        s.data += 8;
        s.len -= 8;
    }

    p = ngx_pnalloc(cf->pool, s.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    policy->name.data = p;

    for (i = 0; i < s.len && p < policy->name.data + 32; i++) {
        if ((s.data[i] >= 'a' && s.data[i] <= 'z') || s.data[i] == '_'
            || (s.data[i] >= '0' && s.data[i] <= '9'))
        {
            *p++ = s.data[i];
        }
    }

    policy->name.len = p - policy->name.data;

    if (policy->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" of \"%V\" must have a name=NAME",
                           &policy->text);
        return NGX_ERROR;
    }

    return NGX_OK;
}
