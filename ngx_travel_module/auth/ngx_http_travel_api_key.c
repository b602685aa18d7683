/*
 * API keys: "X-Api-Key: KEY" or "Authorization: ApiKey KEY".
 *
 * A key is looked up by its SHA-256: in the zone of known keys, else by one
 * question to PostgreSQL, for which the request waits in the access phase
 * without holding anything up.  The question goes to any fit server; a
 * function there says whether there is such a key (the edge cannot read the
 * table), and a key that was just made may be unknown to a replica for as long
 * as it lags.
 *
 * An answer is believed for ttl=, a denial for negative=; a key that is taken
 * back is refused at once by the revocations, by its id (revocation.c).  What
 * an address may ask for in vain is bounded like the signatures it may have
 * checked (budget.c).
 */

#include "ngx_http_travel_bearer.h"
#include "../net/ngx_http_travel_pg.h"
#include "../query/ngx_http_travel_query.h"
#include "../../common/digits.h"


#define NGX_HTTP_TRAVEL_KEY_TIMEOUT       2000      /* ms */


static ngx_int_t ngx_http_travel_key_shown(ngx_http_request_t *r,
    ngx_str_t *ret_key);
static ngx_int_t ngx_http_travel_key_know(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, const uint8_t *digest,
    const ngx_str_t *id, ngx_http_travel_key_facts_t *ret_facts);
static ngx_int_t ngx_http_travel_key_ask(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_auth_request_t *ar,
    const uint8_t *digest, const ngx_str_t *id);
static void ngx_http_travel_key_told(ngx_http_travel_pg_op_t *op,
    ngx_http_travel_pg_result_t *result);
static ngx_int_t ngx_http_travel_key_facts(
    const ngx_http_travel_pg_result_t *result,
    ngx_http_travel_key_facts_t *facts);
static ngx_int_t ngx_http_travel_key_admit(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, const ngx_http_travel_key_facts_t *facts,
    const ngx_str_t *id);
static ngx_int_t ngx_http_travel_key_unavailable(ngx_http_request_t *r);


static ngx_http_travel_pg_statement_t  ngx_http_travel_key_statement = {
    ngx_string("travel_api_key"),
    ngx_string("SELECT user_id, permissions, expires "
               "FROM travel.api_key_check($1, decode($2, 'hex'))"),
    2,
    NGX_HTTP_TRAVEL_PG_FAST,
    NGX_HTTP_TRAVEL_KEY_TIMEOUT,
    0
};


static const ngx_http_travel_param_t  ngx_http_travel_api_key_params[] = {

    { "ttl", ngx_http_travel_param_sec,
      offsetof(ngx_http_travel_api_key_conf_t, ttl),
      "1s", "1h", "1m", NULL, 0 },

    { "negative", ngx_http_travel_param_sec,
      offsetof(ngx_http_travel_api_key_conf_t, negative),
      "1s", "5m", "5s", NULL, 0 },

      ngx_http_travel_null_param
};


/* --- configuration -------------------------------------------------------- */

char *
ngx_http_travel_api_key_directive(ngx_conf_t *cf,
    ngx_http_travel_api_key_conf_t *conf)
{
    ngx_str_t  *value;

    if (conf->set) {
        return "is duplicate";
    }

    value = cf->args->elts;

    conf->set = 1;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") != 0) {
        return "must be \"off\" alone, or \"on\" with ttl=TIME, "
               "negative=TIME";
    }

    conf->on = 1;

    return ngx_http_travel_params_whole(cf, ngx_http_travel_api_key_params, 2,
                                        conf);
}


/* --- the request ---------------------------------------------------------- */

ngx_int_t
ngx_http_travel_api_key(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx)
{
    uint8_t                      digest[TRAVEL_SHA256_LEN];
    ngx_int_t                    rc;
    ngx_str_t                    key, id;
    travel_str_t                 part;
    ngx_http_travel_key_facts_t  facts;

    rc = ngx_http_travel_key_shown(r, &key);

    if (rc == NGX_ABORT) {
        return ngx_http_travel_refuse(r,
                   ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                                         "The request has more than one "
                                         "credential."));
    }

    if (rc != NGX_OK) {
        return NGX_DECLINED;
    }

    if (travel_api_key_parse(&part, ngx_http_travel_view(&key)) != TRAVEL_OK
        || travel_sha256(digest, ngx_http_travel_view(&key)) != TRAVEL_OK)
    {
        return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_INVALID,
                                           TRAVEL_E_TOKEN_INVALID,
                                           "it is no API key");
    }

    id = ngx_http_travel_str(part);

    rc = ngx_http_travel_key_know(r, alcf, digest, &id, &facts);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!facts.good) {
        return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_INVALID,
                                           TRAVEL_E_TOKEN_INVALID,
                                           "there is no such API key");
    }

    if (facts.expires != 0 && facts.expires <= ngx_time()) {
        return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_EXPIRED,
                                           TRAVEL_E_TOKEN_EXPIRED,
                                           "the API key has expired");
    }

    rc = ngx_http_travel_key_admit(r, ctx, &facts, &id);

    if (rc == NGX_OK && alcf->revocation.on) {
        rc = ngx_http_travel_auth_key_in_force(r, alcf, ctx);
    }

    if (rc == NGX_OK) {
        ngx_http_travel_auth_count(r, NGX_HTTP_TRAVEL_AUTH_API_KEY);
    }

    return rc;
}


/* NGX_OK: one key; NGX_DECLINED: none; NGX_ABORT: two credentials, which might
 * be two callers. */
static ngx_int_t
ngx_http_travel_key_shown(ngx_http_request_t *r, ngx_str_t *ret_key)
{
    u_char           *p, *last;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == 9
                && ngx_strncasecmp(h[i].key.data, (u_char *) "x-api-key", 9)
                   == 0)
            {
                *ret_key = h[i].value;
                n++;
            }
        }
    }

    h = r->headers_in.authorization;

    if (h != NULL && h->value.len >= 7
        && ngx_strncasecmp(h->value.data, (u_char *) "apikey ", 7) == 0)
    {
        last = h->value.data + h->value.len;

        for (p = h->value.data + 7; p < last && *p == ' '; p++) {
            /* void */
        }

        ret_key->data = p;
        ret_key->len = last - p;
        n++;

    } else if (n != 0 && h != NULL && h->value.len >= 6
               && ngx_strncasecmp(h->value.data, (u_char *) "bearer", 6) == 0)
    {
        n++;
    }

#if (nginx_version >= 1023000)
    if (n != 0 && h != NULL && h->next != NULL) {
        n++;
    }
#endif

    return (n == 0) ? NGX_DECLINED : (n == 1) ? NGX_OK : NGX_ABORT;
}


/* Remembered, told on an earlier run of this phase, or to be asked for. */
static ngx_int_t
ngx_http_travel_key_know(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, const uint8_t *digest,
    const ngx_str_t *id, ngx_http_travel_key_facts_t *ret_facts)
{
    ngx_http_travel_auth_request_t    *ar;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    if (ngx_http_travel_known_key_find(amcf->keys, digest, ret_facts)
        == NGX_OK)
    {
        return NGX_OK;
    }

    ar = ngx_http_travel_auth_request(r);
    if (ar == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (ar->key_state) {

    case NGX_HTTP_TRAVEL_KEY_TOLD:
        /* the zone may have forgotten it already */
        *ret_facts = *ar->key;
        return NGX_OK;

    case NGX_HTTP_TRAVEL_KEY_FAILED:
        return ngx_http_travel_key_unavailable(r);

    default:
        return ngx_http_travel_key_ask(r, alcf, ar, digest, id);
    }
}


static ngx_int_t
ngx_http_travel_key_ask(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_auth_request_t *ar,
    const uint8_t *digest, const ngx_str_t *id)
{
    char                               key_id[TRAVEL_API_KEY_ID_LEN + 1];
    char                               hex[2 * TRAVEL_SHA256_LEN + 1];
    ngx_uint_t                         wait;
    const char                        *values[2];
    ngx_http_travel_route_t            route;
    ngx_http_travel_route_need_t       need;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    ngx_memzero(&need, sizeof(need));
    need.priority = TRAVEL_PRIORITY_HIGH;

    if (ngx_http_travel_route(&need, &route) != NGX_OK) {
        return ngx_http_travel_key_unavailable(r);
    }

    if (alcf->budget.interval != 0) {
        wait = ngx_http_travel_budget_take(amcf->budgets, &alcf->budget,
                                           r->connection->sockaddr);
        if (wait != 0) {
            return ngx_http_travel_auth_over(r, wait);
        }
    }

    ar->key = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_key_facts_t));
    if (ar->key == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(ar->key_digest, digest, TRAVEL_SHA256_LEN);
    ngx_memcpy(key_id, id->data, TRAVEL_API_KEY_ID_LEN);
    key_id[TRAVEL_API_KEY_ID_LEN] = '\0';
    travel_hex_encode(hex, digest, TRAVEL_SHA256_LEN);
    hex[2 * TRAVEL_SHA256_LEN] = '\0';

    values[0] = key_id;
    values[1] = hex;

    if (ngx_http_travel_pg_query(route.server, r,
                                 &ngx_http_travel_key_statement, values,
                                 TRAVEL_PRIORITY_HIGH,
                                 ngx_http_travel_key_told, r)
        != NGX_OK)
    {
        if (alcf->budget.interval != 0) {
            ngx_http_travel_budget_return(amcf->budgets, &alcf->budget,
                                          r->connection->sockaddr);
        }

        return ngx_http_travel_key_unavailable(r);
    }

    ngx_http_travel_auth_suspend(r);

    return NGX_AGAIN;
}


static void
ngx_http_travel_key_told(ngx_http_travel_pg_op_t *op,
    ngx_http_travel_pg_result_t *result)
{
    const char                        *state;
    ngx_http_request_t                *r;
    ngx_http_travel_auth_request_t    *ar;
    ngx_http_travel_auth_loc_conf_t   *alcf;
    ngx_http_travel_auth_main_conf_t  *amcf;

    r = op->data;
    ar = ngx_http_travel_auth_request(r);
    alcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_auth_module);
    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    state = result ? ngx_http_travel_pg_sqlstate(result) : NULL;
    ar->key_state = NGX_HTTP_TRAVEL_KEY_TOLD;

    if (result == NULL || state != NULL
        || ngx_http_travel_key_facts(result, ar->key) != NGX_OK)
    {
        ar->key_state = NGX_HTTP_TRAVEL_KEY_FAILED;

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "travel_api_key: PostgreSQL could not be asked: %s",
                      result == NULL ? op->lost
                      : state != NULL ? ngx_http_travel_pg_message(result)
                      : "the answer is not what travel.api_key_check answers");
    }

    if (alcf->budget.interval != 0
        && (ar->key_state == NGX_HTTP_TRAVEL_KEY_FAILED || ar->key->good))
    {
        ngx_http_travel_budget_return(amcf->budgets, &alcf->budget,
                                      r->connection->sockaddr);
    }

    if (ar->key_state == NGX_HTTP_TRAVEL_KEY_TOLD) {
        ar->key->until = ngx_time() + (ar->key->good ? alcf->api_key.ttl
                                                     : alcf->api_key.negative);
        ngx_http_travel_known_key_keep(amcf->keys, ar->key_digest, ar->key);
    }

    ngx_http_travel_auth_resume(r);
}


static ngx_int_t
ngx_http_travel_key_facts(const ngx_http_travel_pg_result_t *result,
    ngx_http_travel_key_facts_t *facts)
{
    uint64_t   expires;
    ngx_str_t  user, permissions, text;

    ngx_memzero(facts, sizeof(ngx_http_travel_key_facts_t));

    if (ngx_http_travel_pg_rows(result) == 0) {
        return NGX_OK;
    }

    if (ngx_http_travel_pg_columns(result) != 3) {
        return NGX_ERROR;
    }

    user = ngx_http_travel_pg_value(result, 0, 0);
    permissions = ngx_http_travel_pg_value(result, 0, 1);
    text = ngx_http_travel_pg_value(result, 0, 2);

    if (user.len != TRAVEL_UUID_TEXT_LEN
        || permissions.len > NGX_HTTP_TRAVEL_KEY_PERMISSIONS)
    {
        return NGX_ERROR;
    }

    if (text.data != NULL) {
        if (travel_digits_parse(&expires, ngx_http_travel_view(&text))
            != TRAVEL_OK)
        {
            return NGX_ERROR;
        }

        facts->expires = (time_t) expires;
    }

    facts->good = 1;
    ngx_memcpy(facts->user, user.data, TRAVEL_UUID_TEXT_LEN);
    facts->len = (uint16_t) ngx_http_travel_permissions_normal(
                     facts->permissions, ngx_http_travel_view(&permissions));

    return NGX_OK;
}


/* The owner is the caller, by our own name for them. */
static ngx_int_t
ngx_http_travel_key_admit(ngx_http_request_t *r, ngx_http_travel_ctx_t *ctx,
    const ngx_http_travel_key_facts_t *facts, const ngx_str_t *id)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, TRAVEL_UUID_TEXT_LEN + facts->len + id->len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->user.data = p;
    ctx->user.len = TRAVEL_UUID_TEXT_LEN;
    p = ngx_cpymem(p, facts->user, TRAVEL_UUID_TEXT_LEN);

    ctx->sub = ctx->user;
    ngx_str_set(&ctx->issuer, NGX_HTTP_TRAVEL_OUR_ISSUER);

    ctx->permissions.data = p;
    ctx->permissions.len = facts->len;
    p = ngx_cpymem(p, facts->permissions, facts->len);

    ctx->api_key.data = p;
    ctx->api_key.len = id->len;
    ngx_memcpy(p, id->data, id->len);

    ctx->authenticated = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_key_unavailable(ngx_http_request_t *r)
{
    ngx_http_travel_auth_count(r, NGX_HTTP_TRAVEL_AUTH_BLIND);

    if (ngx_http_travel_add_number(r, "Retry-After", 1) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "It cannot be told now whether the API "
                                     "key is good."));
}
