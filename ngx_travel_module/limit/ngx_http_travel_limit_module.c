/* How often?  Directives and configuration of the limiter. */

#include "ngx_http_travel_policy.h"
#include "../../common/hash.h"


static ngx_int_t ngx_http_travel_limit_filter(ngx_http_request_t *r);

static void *ngx_http_travel_limit_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_limit_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_limit_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_travel_limit_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_limit_phase_handler(ngx_conf_t *cf,
    ngx_http_phases phase, ngx_http_handler_pt handler);

static char *ngx_http_travel_limit_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_limit_key(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_str_t *text);
static ngx_uint_t ngx_http_travel_limit_identity(const ngx_str_t *text);
static char *ngx_http_travel_limit_parameter(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_uint_t *dry_run, ngx_str_t *value);
static ngx_int_t ngx_http_travel_limit_rate(const ngx_str_t *value,
    travel_window_rule_t *rule);
static ngx_int_t ngx_http_travel_limit_burst(const ngx_str_t *value,
    travel_window_rule_t *rule);
static char *ngx_http_travel_limit_window(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, const ngx_str_t *value,
    const travel_window_rule_t *rule);
static ngx_int_t ngx_http_travel_limit_name(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy);
static ngx_http_travel_policy_t *ngx_http_travel_limit_policy(ngx_conf_t *cf,
    ngx_http_travel_limit_main_conf_t *lmcf,
    const ngx_http_travel_policy_t *wanted);
static ngx_uint_t ngx_http_travel_limit_same(
    const ngx_http_travel_policy_t *a, const ngx_http_travel_policy_t *b);
static ngx_int_t ngx_http_travel_limit_texts(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy);
static ngx_int_t ngx_http_travel_limit_counters(ngx_conf_t *cf,
    ngx_http_travel_window_t *window);
static ngx_int_t ngx_http_travel_limit_add(ngx_conf_t *cf,
    ngx_array_t **limits, const ngx_http_travel_limit_t *limit);


static ngx_http_output_header_filter_pt  ngx_http_travel_limit_next_filter;


static ngx_command_t  ngx_http_travel_limit_commands[] = {

    { ngx_string("travel_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_limit_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_limit_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_travel_limit_init,            /* postconfiguration */

    ngx_http_travel_limit_create_main_conf,   /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_limit_create_loc_conf, /* create location configuration */
    ngx_http_travel_limit_merge_loc_conf   /* merge location configuration */
};


ngx_module_t  ngx_http_travel_limit_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_limit_module_ctx,     /* module context */
    ngx_http_travel_limit_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_travel_limit_filter(ngx_http_request_t *r)
{
    if (r == r->main && ngx_http_travel_limit_headers(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_travel_limit_next_filter(r);
}


/* --- configuration ------------------------------------------------------- */

static void *
ngx_http_travel_limit_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_limit_main_conf_t  *lmcf;

    lmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_limit_main_conf_t));
    if (lmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     lmcf->zone = NULL;
     *     lmcf->early = 0;
     *     lmcf->late = 0;
     */

    if (ngx_array_init(&lmcf->policies, cf->pool, 4,
                       sizeof(ngx_http_travel_policy_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return lmcf;
}


static void *
ngx_http_travel_limit_create_loc_conf(ngx_conf_t *cf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     llcf->limits = NULL;
     *     llcf->alone = 0;
     */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_limit_loc_conf_t));
}


/* What is limited above is limited here too, unless this level said off. */
static char *
ngx_http_travel_limit_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_travel_limit_loc_conf_t  *prev = parent;
    ngx_http_travel_limit_loc_conf_t  *conf = child;

    ngx_uint_t                i;
    ngx_http_travel_limit_t  *limit;

    if (conf->alone || prev->limits == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->limits == NULL) {
        conf->limits = prev->limits;
        return NGX_CONF_OK;
    }

    limit = prev->limits->elts;

    for (i = 0; i < prev->limits->nelts; i++) {
        if (ngx_http_travel_limit_add(cf, &conf->limits, &limit[i]) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* A request asks a policy once, by the first line that fits it. */
static ngx_int_t
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


static char *
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
        rv = ngx_http_travel_limit_parameter(cf, &policy, &limit.dry_run,
                                             &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (policy.nwindows == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" of \"%V\" must have a rate, as in "
                           "60r/m", &policy.text);
        return NGX_CONF_ERROR;
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

    if (ngx_http_travel_limit_add(cf, &llcf->limits, &limit) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_limit_key(ngx_conf_t *cf, ngx_http_travel_policy_t *policy,
    ngx_str_t *text)
{
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

    return NGX_CONF_OK;
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
    ngx_http_travel_policy_t *policy, ngx_uint_t *dry_run, ngx_str_t *value)
{
    u_char                *p;
    ngx_uint_t             i;
    travel_window_rule_t   rule;

    if (ngx_strcmp(value->data, "dry_run") == 0) {
        *dry_run = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "name=", 5) == 0) {
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

    if (ngx_strncmp(value->data, "burst=", 6) == 0) {
        if (ngx_http_travel_limit_burst(value, &rule) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_limit\" \"%V\" must be burst=N/T with "
                               "T of 1s to 1d, as in burst=10/10s", value);
            return NGX_CONF_ERROR;
        }

        return ngx_http_travel_limit_window(cf, policy, value, &rule);
    }

    if (ngx_http_travel_limit_rate(value, &rule) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" rate \"%V\" must be <N>r/s, r/m, "
                           "r/h or r/d with N of 1 to %d; other parameters are "
                           "burst=N/T, name=NAME and dry_run", value,
                           TRAVEL_WINDOW_QUOTA_MAX);
        return NGX_CONF_ERROR;
    }

    return ngx_http_travel_limit_window(cf, policy, value, &rule);
}


static ngx_int_t
ngx_http_travel_limit_rate(const ngx_str_t *value, travel_window_rule_t *rule)
{
    uint32_t   span;
    ngx_int_t  quota;

    if (value->len < 4
        || ngx_strncmp(value->data + value->len - 3, "r/", 2) != 0)
    {
        return NGX_ERROR;
    }

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
        break;
    default:
        return NGX_ERROR;
    }

    quota = ngx_atoi(value->data, value->len - 3);
    if (quota < 1 || quota > (ngx_int_t) TRAVEL_WINDOW_QUOTA_MAX) {
        return NGX_ERROR;
    }

    *rule = travel_window_rule((uint32_t) quota, span);

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_limit_burst(const ngx_str_t *value, travel_window_rule_t *rule)
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

    quota = ngx_atoi(p, slash - p);
    if (quota < 1 || quota > (ngx_int_t) TRAVEL_WINDOW_QUOTA_MAX) {
        return NGX_ERROR;
    }

    s.data = slash + 1;
    s.len = last - s.data;

    span = ngx_parse_time(&s, 1);
    if (span < 1 || span > (ngx_int_t) (TRAVEL_WINDOW_SPAN_MAX / 1000)) {
        return NGX_ERROR;
    }

    *rule = travel_window_rule((uint32_t) quota, (uint32_t) span * 1000);

    return NGX_OK;
}


/* Windows stand by rising span, so that the same set has one order. */
static char *
ngx_http_travel_limit_window(ngx_conf_t *cf, ngx_http_travel_policy_t *policy,
    const ngx_str_t *value, const travel_window_rule_t *rule)
{
    ngx_uint_t                 i;
    ngx_http_travel_window_t  *w;

    w = policy->windows;

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

    w[i].rule = *rule;
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


/* --- policies ------------------------------------------------------------ */

static ngx_http_travel_policy_t *
ngx_http_travel_limit_policy(ngx_conf_t *cf,
    ngx_http_travel_limit_main_conf_t *lmcf,
    const ngx_http_travel_policy_t *wanted)
{
    ngx_uint_t                  i;
    ngx_http_travel_policy_t  **policies, **slot, *policy;

    policies = lmcf->policies.elts;

    for (i = 0; i < lmcf->policies.nelts; i++) {

        if (policies[i]->name.len != wanted->name.len
            || ngx_strncmp(policies[i]->name.data, wanted->name.data,
                           wanted->name.len)
               != 0)
        {
            continue;
        }

        if (ngx_http_travel_limit_same(policies[i], wanted)) {
            return policies[i];
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" name \"%V\" already stands for "
                           "another key or other rates: give this line a "
                           "name=NAME of its own", &wanted->name);
        return NULL;
    }

    if (lmcf->zone == NULL) {
        lmcf->zone = ngx_http_travel_slots_zone(cf);
        if (lmcf->zone == NULL) {
            return NULL;
        }
    }

    policy = ngx_palloc(cf->pool, sizeof(ngx_http_travel_policy_t));
    slot = ngx_array_push(&lmcf->policies);

    if (policy == NULL || slot == NULL) {
        return NULL;
    }

    *policy = *wanted;
    *slot = policy;

    if (policy->identity) {
        lmcf->late = 1;

    } else {
        lmcf->early = 1;
    }

    if (ngx_http_travel_limit_texts(cf, policy) != NGX_OK) {
        return NULL;
    }

    return policy;
}


static ngx_uint_t
ngx_http_travel_limit_same(const ngx_http_travel_policy_t *a,
    const ngx_http_travel_policy_t *b)
{
    ngx_uint_t  i;

    if (a->nwindows != b->nwindows || a->text.len != b->text.len
        || ngx_strncmp(a->text.data, b->text.data, a->text.len) != 0)
    {
        return 0;
    }

    for (i = 0; i < a->nwindows; i++) {
        if (a->windows[i].rule.quota != b->windows[i].rule.quota
            || a->windows[i].rule.span != b->windows[i].rule.span)
        {
            return 0;
        }
    }

    return 1;
}


/* What is said of a policy in headers and metrics, and the id under which it
 * counts: a reload with the same line goes on with the same counts. */
static ngx_int_t
ngx_http_travel_limit_texts(ngx_conf_t *cf, ngx_http_travel_policy_t *policy)
{
    size_t                     len;
    u_char                    *p;
    uint8_t                    md[TRAVEL_SHA256_LEN];
    ngx_uint_t                 i;
    travel_str_t               part[2];
    ngx_http_travel_window_t  *w;

    len = policy->nwindows * (sizeof("\"-\";q=;w=, ") + policy->name.len
                              + 3 * NGX_INT32_LEN);

    policy->header.data = ngx_pnalloc(cf->pool, len);
    if (policy->header.data == NULL) {
        return NGX_ERROR;
    }

    p = policy->header.data;

    for (i = 0; i < policy->nwindows; i++) {
        w = &policy->windows[i];

        w->name.data = ngx_pnalloc(cf->pool, policy->name.len
                                             + NGX_INT32_LEN + 2);
        w->item.data = ngx_pnalloc(cf->pool, policy->name.len + NGX_INT32_LEN
                                             + sizeof("\"-\";r="));
        if (w->name.data == NULL || w->item.data == NULL) {
            return NGX_ERROR;
        }

        w->name.len = ngx_sprintf(w->name.data, "%V-%uD%Z", &policy->name,
                                  w->rule.span / 1000)
                      - w->name.data - 1;
        w->item.len = ngx_sprintf(w->item.data, "\"%V\";r=", &w->name)
                      - w->item.data;

        p = ngx_sprintf(p, "%s\"%V\";q=%uD;w=%uD", i ? ", " : "", &w->name,
                        w->rule.quota, w->rule.span / 1000);

        if (ngx_http_travel_limit_counters(cf, w) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    policy->header.len = p - policy->header.data;

    part[0] = ngx_http_travel_view(&policy->text);
    part[1] = ngx_http_travel_view(&policy->header);

    if (travel_sha256_parts(md, part, 2) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(&policy->id, md, sizeof(policy->id));

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_limit_counters(ngx_conf_t *cf, ngx_http_travel_window_t *window)
{
    u_char  *refused, *dry;

    static const char  refused_name[] = "travel_limit_refused_total";
    static const char  dry_name[] = "travel_limit_dry_run_total";

    refused = ngx_pnalloc(cf->pool, sizeof(refused_name) + window->name.len
                                    + sizeof("{policy=\"\"}"));
    dry = ngx_pnalloc(cf->pool, sizeof(dry_name) + window->name.len
                                + sizeof("{policy=\"\"}"));

    if (refused == NULL || dry == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(refused, "%s{policy=\"%V\"}%Z", refused_name,
                       &window->name);
    (void) ngx_sprintf(dry, "%s{policy=\"%V\"}%Z", dry_name, &window->name);

    window->refused = ngx_http_travel_counter_add(cf, (char *) refused,
                          "Requests refused, by the window that refused.");
    window->dry = ngx_http_travel_counter_add(cf, (char *) dry,
                          "Requests a dry run would have refused.");

    return (window->refused == NGX_ERROR || window->dry == NGX_ERROR)
           ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_travel_limit_init(ngx_conf_t *cf)
{
    ngx_http_travel_limit_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_limit_module);

    if (lmcf->policies.nelts == 0) {
        return NGX_OK;
    }

    lmcf->admitted = ngx_http_travel_counter_add(cf,
                         "travel_limit_admitted_total",
                         "Requests that all their limits admitted.");
    lmcf->evicted = ngx_http_travel_counter_add(cf,
                        "travel_limit_evicted_total",
                        "Counts given up because the zone was full.");

    if (lmcf->admitted == NGX_ERROR || lmcf->evicted == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (lmcf->early
        && ngx_http_travel_limit_phase_handler(cf, NGX_HTTP_PREACCESS_PHASE,
                                               ngx_http_travel_limit_early)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (lmcf->late
        && ngx_http_travel_limit_phase_handler(cf, NGX_HTTP_ACCESS_PHASE,
                                               ngx_http_travel_limit_late)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_travel_limit_next_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_travel_limit_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_limit_phase_handler(ngx_conf_t *cf, ngx_http_phases phase,
    ngx_http_handler_pt handler)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[phase].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = handler;

    return NGX_OK;
}
