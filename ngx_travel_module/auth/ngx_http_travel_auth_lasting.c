/*
 * What let a caller in, for those whom it keeps in: a socket outlives its
 * request, and its credential may be taken back meanwhile.
 *
 * The facts of the token are looked up again: it was verified a moment ago, so
 * they are in the cache of tokens.
 */

#include "ngx_http_travel_bearer.h"


struct ngx_http_travel_lasting_s {
    ngx_http_travel_credential_t   credential;
    ngx_http_travel_zone_t        *zone;
    uint8_t                        thumbprint[TRAVEL_THUMBPRINT_LEN];
    char                           text[];
};


static ngx_int_t ngx_http_travel_lasting_token(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_http_travel_auth_loc_conf_t *alcf,
    ngx_http_travel_credential_t *credential, ngx_http_travel_facts_t *facts);


ngx_int_t
ngx_http_travel_lasting(ngx_http_request_t *r,
    ngx_http_travel_lasting_t **ret_lasting)
{
    char                              *p;
    size_t                             i, len;
    travel_str_t                      *texts[6];
    ngx_http_travel_ctx_t             *ctx;
    ngx_http_travel_facts_t            facts;
    ngx_http_travel_lasting_t         *lasting;
    ngx_http_travel_credential_t       c;
    ngx_http_travel_auth_loc_conf_t   *alcf;
    ngx_http_travel_auth_main_conf_t  *amcf;

    *ret_lasting = NULL;

    ctx = ngx_http_travel_get_ctx(r);
    alcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_auth_module);
    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (!ctx->authenticated || !alcf->revocation.on) {
        return NGX_OK;
    }

    ngx_memzero(&c, sizeof(c));

    if (ctx->api_key.len != 0) {
        c.key = ngx_http_travel_view(&ctx->api_key);

    } else if (ngx_http_travel_lasting_token(r, ctx, alcf, &c, &facts)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    texts[0] = &c.issuer;
    texts[1] = &c.key_issuer;
    texts[2] = &c.jti;
    texts[3] = &c.kid;
    texts[4] = &c.user;
    texts[5] = &c.key;

    for (len = 0, i = 0; i < 6; i++) {
        len += texts[i]->len;
    }

    lasting = ngx_alloc(sizeof(ngx_http_travel_lasting_t) + len,
                        r->connection->log);
    if (lasting == NULL) {
        return NGX_ERROR;
    }

    for (p = lasting->text, i = 0; i < 6; i++) {
        if (texts[i]->len != 0) {
            ngx_memcpy(p, texts[i]->data, texts[i]->len);
        }

        texts[i]->data = p;
        p += texts[i]->len;
    }

    if (c.thumbprint != NULL) {
        ngx_memcpy(lasting->thumbprint, c.thumbprint, TRAVEL_THUMBPRINT_LEN);
        c.thumbprint = lasting->thumbprint;
    }

    lasting->credential = c;
    lasting->zone = amcf->revocations;

    *ret_lasting = lasting;
    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_lasting_token(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_http_travel_auth_loc_conf_t *alcf,
    ngx_http_travel_credential_t *credential, ngx_http_travel_facts_t *facts)
{
    ngx_str_t                          token;
    ngx_uint_t                         i;
    ngx_http_travel_jwks_t           **sets;
    ngx_http_travel_token_e            verdict;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    if (alcf->sets == NULL
        || ngx_http_travel_auth_bearer(r, &token) != NGX_OK
        || ngx_http_travel_token_find(amcf->zone, &token, 0, &verdict, facts)
           != NGX_OK
        || verdict != NGX_HTTP_TRAVEL_TOKEN_GOOD)
    {
        return NGX_DECLINED;
    }

    credential->issuer = facts->jwt.iss;
    credential->jti = facts->jwt.jti;
    credential->kid = facts->jwt.kid;
    credential->user = ngx_http_travel_view(&ctx->user);
    credential->iat = facts->jwt.iat;
    credential->thumbprint = facts->thumbprint;

    sets = alcf->sets->elts;

    for (i = 0; i < alcf->sets->nelts; i++) {
        if (ngx_http_travel_jwks_holds(sets[i], facts->thumbprint)) {
            credential->key_issuer = ngx_http_travel_view(&sets[i]->issuer);
            break;
        }
    }

    return NGX_OK;
}


void
ngx_http_travel_lasting_free(ngx_http_travel_lasting_t *lasting)
{
    ngx_free(lasting);
}


ngx_uint_t
ngx_http_travel_lasting_revoked(const ngx_http_travel_lasting_t *lasting)
{
    ngx_http_travel_revoked_t  state;

    return ngx_http_travel_revoked(lasting->zone, &lasting->credential,
                                   &state);
}
