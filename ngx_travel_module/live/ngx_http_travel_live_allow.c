/*
 * Who may watch what.  The rules are looked at once, while there is a request,
 * and become a few bits that a socket takes along.
 *
 * Without a rule a caller may watch user:{his own id}:... and his own jobs, and
 * everybody system:announcements; other jobs and journeys only where a rule or
 * the location's grant= says so, patterns only by a rule with a permission.
 *
 * Whose a job is stands in its hash, which the hub reads: it is told who it
 * must be (hub.h).
 */

#include "ngx_http_travel_live_room.h"
#include "../auth/ngx_http_travel_auth.h"
#include "../../common/live_message.h"


static ngx_str_t  ngx_http_travel_live_kinds[] = {
    ngx_string("user"),
    ngx_string("journey"),
    ngx_string("job"),
    ngx_string("system"),
    ngx_string("pattern"),
    ngx_null_string
};


/* travel_live_allow KIND own | all | PERMISSION ...; */
char *
ngx_http_travel_live_allow_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_live_loc_conf_t  *llcf = conf;

    ngx_str_t                    *value;
    ngx_uint_t                    i, kind;
    ngx_http_travel_live_rule_t  *rule;

    (void) cmd;

    value = cf->args->elts;

    for (kind = 0; ngx_http_travel_live_kinds[kind].len; kind++) {
        if (value[1].len == ngx_http_travel_live_kinds[kind].len
            && ngx_memcmp(value[1].data, ngx_http_travel_live_kinds[kind].data,
                          value[1].len) == 0)
        {
            break;
        }
    }

    if (ngx_http_travel_live_kinds[kind].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_live_allow\" knows no \"%V\": use user, "
                           "journey, job, system or pattern", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (llcf->rules == NULL) {
        llcf->rules = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_travel_live_rule_t));
        if (llcf->rules == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 2; i < cf->args->nelts; i++) {
        rule = ngx_array_push(llcf->rules);
        if (rule == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(rule, sizeof(ngx_http_travel_live_rule_t));
        rule->kind = kind;

        if (value[i].len == 3 && ngx_memcmp(value[i].data, "own", 3) == 0) {

            if (kind != TRAVEL_LIVE_USER && kind != TRAVEL_LIVE_JOB) {
                return "has \"own\", which is about \"user\" and \"job\" "
                       "topics: let the location's grant= give the others";
            }

            rule->own = 1;

        } else if (value[i].len == 3
                   && ngx_memcmp(value[i].data, "all", 3) == 0)
        {
            if (kind == NGX_HTTP_TRAVEL_LIVE_PATTERN) {
                return "has \"all\": patterns need a permission";
            }

            rule->all = 1;

        } else if (ngx_strlchr(value[i].data, value[i].data + value[i].len,
                               ':') == NULL)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_live_allow\": \"%V\" must be own, "
                               "all or a permission as noun:verb", &value[i]);
            return NGX_CONF_ERROR;

        } else {
            rule->permission = value[i];
        }
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_travel_live_rights(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf,
    ngx_http_travel_live_rights_t *ret_rights)
{
    ngx_str_t                     text;
    ngx_uint_t                    i;
    ngx_http_travel_ctx_t        *ctx;
    ngx_http_travel_live_rule_t  *rule;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(ret_rights, sizeof(ngx_http_travel_live_rights_t));

    if (ctx->authenticated && ctx->user.len == TRAVEL_UUID_TEXT_LEN) {
        ngx_memcpy(ret_rights->user, ctx->user.data, TRAVEL_UUID_TEXT_LEN);
        ret_rights->known = 1;
        ret_rights->own = 1 << TRAVEL_LIVE_USER | 1 << TRAVEL_LIVE_JOB;
    }

    ret_rights->all = 1 << TRAVEL_LIVE_SYSTEM;

    rule = conf->rules ? conf->rules->elts : NULL;

    for (i = 0; conf->rules && i < conf->rules->nelts; i++) {
        if (rule[i].all
            || (rule[i].permission.len
                && ngx_http_travel_permitted(r, &rule[i].permission)))
        {
            ret_rights->all |= 1 << rule[i].kind;
        }
    }

    if (conf->grant == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, conf->grant, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    if (text.len == 0) {
        return NGX_OK;
    }

    ret_rights->grant.data = ngx_alloc(text.len, r->connection->log);
    if (ret_rights->grant.data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(ret_rights->grant.data, text.data, text.len);
    ret_rights->grant.len = text.len;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_live_allowed(const ngx_http_travel_live_rights_t *rights,
    const ngx_str_t *topic, const u_char **ret_owner)
{
    travel_live_topic_t  t;

    *ret_owner = NULL;

    if (travel_live_topic_parse(&t, ngx_http_travel_view(topic)) != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    if (t.pattern) {
        return rights->all & 1 << NGX_HTTP_TRAVEL_LIVE_PATTERN
               ? NGX_OK : NGX_DECLINED;
    }

    if (rights->all & 1 << t.kind) {
        return NGX_OK;
    }

    if (rights->known && rights->own & 1 << t.kind
        && t.id.len == TRAVEL_UUID_TEXT_LEN
        && ngx_memcmp(t.id.data, rights->user, TRAVEL_UUID_TEXT_LEN) == 0)
    {
        return NGX_OK;
    }

    if (rights->grant.len == topic->len && topic->len > 0
        && ngx_memcmp(rights->grant.data, topic->data, topic->len) == 0)
    {
        return NGX_OK;
    }

    if (t.kind == TRAVEL_LIVE_JOB && rights->known
        && rights->own & 1 << TRAVEL_LIVE_JOB)
    {
        *ret_owner = rights->user;
        return NGX_OK;
    }

    return NGX_DECLINED;
}
