/*
 * Policies: what a travel_limit line says, read at configuration time.
 *
 * A line is read into a policy and a limit (the policy in this place: its
 * methods, its cost); the same policy elsewhere is found again by its name.
 */

#include "ngx_http_travel_policy.h"
#include "../net/ngx_http_travel_redis.h"


/* What a line says, before it is known whether others say the same. */
typedef struct {
    ngx_http_travel_policy_t  policy;
    ngx_http_travel_limit_t   limit;
} ngx_http_travel_limit_line_t;


static char *ngx_http_travel_limit_key(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_str_t *text);
static ngx_uint_t ngx_http_travel_limit_lone(const ngx_str_t *text,
    ngx_str_t *ret_name);
static ngx_uint_t ngx_http_travel_limit_identity(const ngx_str_t *text);
static char *ngx_http_travel_limit_named(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_limit_cost(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_limit_reserve(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_limit_tz(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_limit_day(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_limit_slice(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_limit_burst(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_limit_rate(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static char *ngx_http_travel_limit_shared(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy);
static char *ngx_http_travel_limit_whole(ngx_conf_t *cf,
    ngx_http_travel_limit_line_t *line);
static ngx_int_t ngx_http_travel_limit_rate_parse(const ngx_str_t *value,
    ngx_http_travel_window_t *window);
static ngx_int_t ngx_http_travel_limit_quota(const u_char *p, size_t len,
    ngx_uint_t bytes);
static char *ngx_http_travel_limit_window(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, const ngx_str_t *value,
    const ngx_http_travel_window_t *window);
static ngx_int_t ngx_http_travel_limit_name(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy);


static const ngx_http_travel_param_t  ngx_http_travel_limit_params[] = {

    { "burst", ngx_http_travel_limit_burst,
      0,
      NULL, NULL, NULL, NULL, 1 },

    { "name", ngx_http_travel_limit_named,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "cost", ngx_http_travel_limit_cost,
      0,
      NULL, NULL, "1", NULL, 0 },

    { "reserve", ngx_http_travel_limit_reserve,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "window", ngx_http_travel_limit_day,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "tz", ngx_http_travel_limit_tz,
      0,
      NULL, NULL, NULL, NULL, 0 },

    { "mode", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_limit_line_t, policy.mode),
      NULL, NULL, "local", "local|global|strict", 0 },

    { "slice", ngx_http_travel_limit_slice,
      0,
      NULL, NULL, "10%", NULL, 0 },

    { "fail", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_limit_line_t, policy.fail),
      NULL, NULL, "local", "local|open|closed", 0 },

    { "timeout", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_limit_line_t, policy.timeout),
      "5ms", "10s", "100ms", NULL, 0 },

    { "delay", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_limit_line_t, limit.delay),
      "1ms", "60s", NULL, NULL, 0 },

    { "hold", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_limit_line_t, limit.hold),
      "1", "100000", "100", "requests", 0 },

    { "partition", ngx_http_travel_param_alone,
      offsetof(ngx_http_travel_limit_line_t, policy.partition),
      NULL, NULL, NULL, NULL, 0 },

    { "dry_run", ngx_http_travel_param_alone,
      offsetof(ngx_http_travel_limit_line_t, limit.dry_run),
      NULL, NULL, NULL, NULL, 0 },

    { "", ngx_http_travel_limit_rate,
      0,
      NULL, NULL, NULL, NULL, 1 },

      ngx_http_travel_null_param
};


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
    ngx_http_travel_limit_line_t        line;
    ngx_http_travel_limit_main_conf_t  *lmcf;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        llcf->alone = 1;
        return NGX_CONF_OK;
    }

    ngx_memzero(&line, sizeof(line));

    for (i = 1; i < cf->args->nelts; i++) {

        method = ngx_http_travel_method(&value[i]);

        if (method == 0) {
            break;
        }

        line.limit.methods |= (method == NGX_HTTP_HEAD) ? NGX_HTTP_GET
                                                        : method;
    }

    if (i == cf->args->nelts) {
        return "names methods but no key, as in "
               "\"travel_limit POST $travel_user 60r/m\"";
    }

    if (ngx_http_travel_limit_key(cf, &line.policy, &value[i])
        != NGX_CONF_OK
        || ngx_http_travel_params_whole(cf, ngx_http_travel_limit_params,
                                        i + 1, &line)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_travel_limit_whole(cf, &line);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (line.policy.name.len == 0
        && ngx_http_travel_limit_name(cf, &line.policy) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_limit_module);

    line.limit.policy = ngx_http_travel_limit_policy(cf, lmcf, &line.policy);
    if (line.limit.policy == NULL) {
        return NGX_CONF_ERROR;
    }

    if (line.limit.cost >= NGX_HTTP_TRAVEL_COST_TOKENS) {
        lmcf->measured = 1;
    }

    if (line.limit.cost == NGX_HTTP_TRAVEL_COST_TOKENS) {
        lmcf->settled = 1;
    }

    if (ngx_http_travel_limit_add(cf, &llcf->limits, &line.limit) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_limit_key(ngx_conf_t *cf, ngx_http_travel_policy_t *policy,
    ngx_str_t *text)
{
    ngx_str_t  name;

    if (ngx_http_travel_expression_at(cf, text, &policy->key) != NGX_OK) {
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
ngx_http_travel_limit_named(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_limit_line_t  *line = conf;

    u_char      c;
    ngx_uint_t  i;

    (void) cf;
    (void) param;

    for (i = 0; i < value->len; i++) {
        c = value->data[i];

        if (i == 32 || !((c >= 'a' && c <= 'z') || c == '_' || c == '-'
                         || (c >= '0' && c <= '9')))
        {
            return "must be 1 to 32 of a-z, 0-9, - and _";
        }
    }

    line->policy.name = *value;

    return NGX_CONF_OK;
}


/* cost=N | cost=$variable | cost=MEASURE */
static char *
ngx_http_travel_limit_cost(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_limit_line_t  *line = conf;

    ngx_int_t   n;
    ngx_uint_t  i;

    static const struct {
        const char              *name;
        ngx_http_travel_cost_e   cost;
    } measures[] = {
        { "request", NGX_HTTP_TRAVEL_COST_REQUEST },
        { "response", NGX_HTTP_TRAVEL_COST_RESPONSE },
        { "bytes", NGX_HTTP_TRAVEL_COST_BYTES },
        { "tokens", NGX_HTTP_TRAVEL_COST_TOKENS }
    };

    (void) param;

    for (i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
        if (ngx_strcmp(value->data, measures[i].name) == 0) {
            line->limit.cost = measures[i].cost;
            return NGX_CONF_OK;
        }
    }

    if (ngx_strlchr(value->data, value->data + value->len, '$') != NULL) {
        if (ngx_http_travel_expression_at(cf, value, &line->limit.cost_value)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        line->limit.cost = NGX_HTTP_TRAVEL_COST_VALUE;
        return NGX_CONF_OK;
    }

    n = ngx_http_travel_limit_quota(value->data, value->len, 1);
    if (n == NGX_ERROR) {
        return "must be a number from 1 to 1000000000, a variable, request, "
               "response, bytes or tokens";
    }

    line->limit.cost_fixed = (uint32_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_limit_reserve(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_limit_line_t  *line = conf;

    ngx_int_t  n;

    (void) cf;
    (void) param;

    n = ngx_http_travel_limit_quota(value->data, value->len, 1);
    if (n == NGX_ERROR) {
        return "must be a number from 1 to 1000000000: what counts until the "
               "cost is known";
    }

    line->limit.cost_fixed = (uint32_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_limit_tz(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_limit_line_t  *line = conf;

    const travel_zone_t                *zone;
    ngx_http_travel_policy_t           *policy;
    ngx_http_travel_limit_main_conf_t  *lmcf;

    (void) param;

    policy = &line->policy;
    policy->tz = *value;

    if (ngx_http_travel_expression_at(cf, &policy->tz, &policy->tz_value)
        != NGX_OK)
    {
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
        return "names no time zone of this machine's tz database: "
               "tz=Area/City, tz=UTC or a variable";
    }

    policy->zone = *zone;

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_limit_day(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_limit_line_t  *line = conf;

    (void) cf;
    (void) param;

    if (ngx_strcmp(value->data, "day") != 0) {
        return "must be window=day, with a rate per day";
    }

    line->policy.calendar = 1;

    return NGX_CONF_OK;
}


/* slice=N | slice=N% */
static char *
ngx_http_travel_limit_slice(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_limit_line_t  *line = conf;

    ngx_int_t   n;
    ngx_uint_t  percent;

    (void) cf;
    (void) param;

    percent = (value->len > 1 && value->data[value->len - 1] == '%');
    n = ngx_http_travel_limit_quota(value->data, value->len - percent, 1);

    if (n == NGX_ERROR || (percent && n > 100)) {
        return "must be a number from 1 up to the smallest quota, or 1% to "
               "100% of that";
    }

    line->policy.slice = (uint32_t) n;
    line->policy.percent = percent;

    return NGX_CONF_OK;
}


/* A slice is leased for a sixteenth of the shortest window. */
static char *
ngx_http_travel_limit_shared(ngx_conf_t *cf, ngx_http_travel_policy_t *policy)
{
    uint32_t    least;
    ngx_uint_t  i;

    if (policy->mode == NGX_HTTP_TRAVEL_MODE_LOCAL) {

        if (ngx_http_travel_param_given(cf, "slice")
            || ngx_http_travel_param_given(cf, "timeout")
            || ngx_http_travel_param_given(cf, "fail"))
        {
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

    if (policy->percent) {
        policy->slice = (uint32_t) ((uint64_t) least * policy->slice / 100);
        policy->slice = ngx_max(policy->slice, 1);
        policy->percent = 0;
    }

    if (policy->slice > least) {
        return "has a slice= larger than its smallest quota";
    }

    policy->life = ngx_min(policy->windows[0].rule.span / 16, 5000);

    return NGX_CONF_OK;
}


/* What only the whole line shows to be wrong. */
static char *
ngx_http_travel_limit_whole(ngx_conf_t *cf, ngx_http_travel_limit_line_t *line)
{
    ngx_uint_t                 i, bytes, days;
    ngx_http_travel_limit_t   *limit;
    ngx_http_travel_policy_t  *policy;
    ngx_http_travel_window_t  *w;

    limit = &line->limit;
    policy = &line->policy;
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

    if (limit->cost < NGX_HTTP_TRAVEL_COST_TOKENS
        && ngx_http_travel_param_given(cf, "reserve"))
    {
        return "has reserve= and a cost that is known at once: remove it, or "
               "add cost=tokens, request, response or bytes";
    }

    if (limit->delay == 0 && ngx_http_travel_param_given(cf, "hold")) {
        return "has hold=, how many requests may wait, and lets none wait: "
               "add delay=, or remove it";
    }

    if (limit->cost < NGX_HTTP_TRAVEL_COST_REQUEST
        && limit->cost_fixed > w[0].rule.quota)
    {
        return "costs more than its shortest window has: nothing would ever "
               "be admitted";
    }

    return ngx_http_travel_limit_shared(cf, policy);
}


static char *
ngx_http_travel_limit_rate(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_limit_line_t  *line = conf;

    ngx_http_travel_window_t  window;

    (void) param;

    ngx_memzero(&window, sizeof(window));

    if (ngx_http_travel_limit_rate_parse(value, &window) != NGX_OK) {
        return "must be a rate, <N>r/s, r/m, r/h or r/d with N from 1 to "
               "1000000000, or of bytes as in 10mb/h";
    }

    return ngx_http_travel_limit_window(cf, &line->policy, value, &window);
}


static ngx_int_t
ngx_http_travel_limit_rate_parse(const ngx_str_t *value,
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


/* burst=N/T */
static char *
ngx_http_travel_limit_burst(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_http_travel_limit_line_t  *line = conf;

    u_char                    *slash, *last;
    ngx_str_t                  s;
    ngx_int_t                  quota, span;
    ngx_http_travel_window_t   window;

    (void) param;

    quota = NGX_ERROR;
    span = NGX_ERROR;
    last = value->data + value->len;
    slash = ngx_strlchr(value->data, last, '/');

    if (slash != NULL) {
        quota = ngx_http_travel_limit_quota(value->data, slash - value->data,
                                            1);
        s.data = slash + 1;
        s.len = last - s.data;
        span = ngx_parse_time(&s, 1);
    }

    if (quota == NGX_ERROR || span < 1
        || span > (ngx_int_t) (TRAVEL_WINDOW_SPAN_MAX / 1000))
    {
        return "must be burst=N/T with T from 1s to 1d, as in burst=10/10s";
    }

    ngx_memzero(&window, sizeof(window));
    window.rule = travel_window_rule((uint32_t) quota, (uint32_t) span * 1000);

    return ngx_http_travel_limit_window(cf, &line->policy, value, &window);
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
