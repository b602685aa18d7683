/*
 * Is a good credential still in force?  Asks the revocations and answers what
 * they say; and how a request waits in the access phase, which everything in
 * auth that has to ask somebody shares.
 */

#include "ngx_http_travel_risk.h"


static ngx_int_t ngx_http_travel_auth_judged(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx,
    const ngx_http_travel_credential_t *credential);
static ngx_int_t ngx_http_travel_auth_blind(ngx_http_request_t *r,
    const char *why);


ngx_int_t
ngx_http_travel_auth_in_force(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx,
    const ngx_http_travel_jwks_t *jwks, const ngx_http_travel_facts_t *facts)
{
    ngx_http_travel_credential_t  credential;

    ngx_memzero(&credential, sizeof(credential));

    credential.issuer = facts->jwt.iss;
    credential.key_issuer = ngx_http_travel_view(&jwks->issuer);
    credential.jti = facts->jwt.jti;
    credential.kid = facts->jwt.kid;
    credential.user = ngx_http_travel_view(&ctx->user);
    credential.iat = facts->jwt.iat;
    credential.thumbprint = facts->thumbprint;

    return ngx_http_travel_auth_judged(r, alcf, ctx, &credential);
}


/* A user's revocation is about tokens: their keys are taken back by name. */
ngx_int_t
ngx_http_travel_auth_key_in_force(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx)
{
    ngx_http_travel_credential_t  credential;

    ngx_memzero(&credential, sizeof(credential));
    credential.key = ngx_http_travel_view(&ctx->api_key);

    return ngx_http_travel_auth_judged(r, alcf, ctx, &credential);
}


static ngx_int_t
ngx_http_travel_auth_judged(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx,
    const ngx_http_travel_credential_t *credential)
{
    ngx_int_t                          rc;
    const char                        *why;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    rc = ngx_http_travel_revocation_judge(r, &alcf->revocation,
                                          amcf->revocations, credential,
                                          &why);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (rc == NGX_DECLINED && ctx->user.len == TRAVEL_UUID_TEXT_LEN) {
        ngx_http_travel_risk_suspect(r, ctx->user.data);
    }

    ngx_http_travel_auth_forget(ctx);

    switch (rc) {

    case NGX_AGAIN:
        return NGX_AGAIN;

    case NGX_DECLINED:
        return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_REVOKED,
                                           TRAVEL_E_TOKEN_INVALID,
                                           "it has been revoked");

    case NGX_BUSY:
        return ngx_http_travel_auth_blind(r, why);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* It cannot be told now whether the credential is still good. */
static ngx_int_t
ngx_http_travel_auth_blind(ngx_http_request_t *r, const char *why)
{
    ngx_http_travel_auth_count(r, NGX_HTTP_TRAVEL_AUTH_BLIND);

    if (ngx_http_travel_add_number(r, "Retry-After", 1) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "It cannot be told now whether the "
                                     "caller's credential is still good: %s.",
                                     why));
}


/* --- waiting -------------------------------------------------------------- */

ngx_http_travel_auth_request_t *
ngx_http_travel_auth_request(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t            *ctx;
    ngx_http_travel_auth_request_t  **slot;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    slot = (ngx_http_travel_auth_request_t **)
               &ctx->room[NGX_HTTP_TRAVEL_ROOM_AUTH];

    if (*slot == NULL) {
        *slot = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_auth_request_t));
    }

    return *slot;
}


void
ngx_http_travel_auth_suspend(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


void
ngx_http_travel_auth_resume(ngx_http_request_t *r)
{
    ngx_connection_t    *c;
    ngx_http_log_ctx_t  *ctx;

    c = r->connection;
    ctx = c->log->data;
    ctx->current_request = r;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}
