/*
 * The access handler: from the Authorization header to an identity, or to a
 * refusal.
 *
 * A request costs: the header, one look-up in the cache of verified tokens,
 * and the judgement of the claims.  Only a token that is not there is parsed
 * and its signature checked, by the one parser of this process: nothing here
 * waits, so one token is handled at a time.
 *
 * What is remembered is that a key signed a token; whether that key is still
 * in the set, and whether issuer, audience, type, times and permissions are
 * acceptable here and now, is asked on every request.
 *
 * A refusal is to be cheap too: a token that was refused is remembered for
 * some seconds, and what an address may spend on signature checks is bounded
 * before anything of the token is read.
 */

#include "ngx_http_travel_risk.h"


static ngx_int_t ngx_http_travel_auth_token(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx,
    ngx_str_t *token);
static ngx_int_t ngx_http_travel_auth_know(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, const ngx_str_t *token,
    ngx_http_travel_jwks_t **ret_jwks, ngx_http_travel_facts_t *ret_facts,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why);
static ngx_int_t ngx_http_travel_auth_afford(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, const ngx_str_t *token,
    uint64_t digest, ngx_http_travel_jwks_t **ret_jwks,
    ngx_http_travel_facts_t *ret_facts,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why);
static ngx_int_t ngx_http_travel_auth_learn(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, const ngx_str_t *token,
    uint64_t digest, ngx_http_travel_jwks_t **ret_jwks,
    ngx_http_travel_facts_t *ret_facts,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why);
static ngx_int_t ngx_http_travel_auth_recall(
    ngx_http_travel_auth_main_conf_t *amcf, const ngx_str_t *token,
    uint64_t digest, ngx_http_travel_facts_t *ret_facts,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why);
static ngx_uint_t ngx_http_travel_auth_refused(
    ngx_http_travel_auth_main_conf_t *amcf, const ngx_str_t *token,
    uint64_t digest, ngx_http_travel_auth_result_e *ret_result,
    const char **ret_why);
static void ngx_http_travel_auth_verdict(ngx_http_travel_token_e verdict,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why);
static ngx_http_travel_jwks_t *ngx_http_travel_auth_choose(
    ngx_http_travel_auth_main_conf_t *amcf,
    ngx_http_travel_auth_loc_conf_t *alcf, const travel_jwt_t *jwt);
static ngx_int_t ngx_http_travel_auth_keys(ngx_http_request_t *r,
    ngx_http_travel_jwks_t *jwks, ngx_http_travel_auth_result_e *ret_result,
    const char **ret_why);
static ngx_int_t ngx_http_travel_auth_verify(ngx_http_request_t *r,
    ngx_http_travel_jwks_t *jwks, const ngx_str_t *token,
    ngx_http_travel_facts_t *facts, const char **ret_why);
static ngx_int_t ngx_http_travel_auth_admit(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, const ngx_http_travel_jwks_t *jwks,
    const ngx_http_travel_facts_t *facts, const char **ret_why);
static ngx_uint_t ngx_http_travel_auth_requires(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf);
static ngx_uint_t ngx_http_travel_auth_concerns(ngx_http_request_t *r,
    const ngx_http_travel_require_t *require);
static ngx_int_t ngx_http_travel_auth_require(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx);
static ngx_int_t ngx_http_travel_auth_forbid_claim(ngx_http_request_t *r,
    const ngx_http_travel_claim_t *claim);
static ngx_int_t ngx_http_travel_auth_forbid(ngx_http_request_t *r,
    const ngx_array_t *permissions, const char *some);


static travel_jwt_parser_t  *ngx_http_travel_auth_parser;

/* Seconds until the address of the token at hand can afford its check. */
static ngx_uint_t            ngx_http_travel_auth_wait;


ngx_int_t
ngx_http_travel_auth_open(void)
{
    ngx_http_travel_auth_parser = travel_jwt_parser_create();

    return ngx_http_travel_auth_parser ? NGX_OK : NGX_ERROR;
}


void
ngx_http_travel_auth_close(void)
{
    travel_jwt_parser_free(ngx_http_travel_auth_parser);
    ngx_http_travel_auth_parser = NULL;
}


ngx_int_t
ngx_http_travel_auth_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    ngx_str_t                         token;
    ngx_http_travel_ctx_t            *ctx;
    ngx_http_travel_auth_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_auth_module);

    if (alcf->mode == NGX_HTTP_TRAVEL_AUTH_OFF && alcf->requires == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a redirect may have led here from a location with other rules */
    ngx_http_travel_auth_forget(ctx);

    if (alcf->api_key.on && alcf->mode != NGX_HTTP_TRAVEL_AUTH_OFF) {
        rc = ngx_http_travel_api_key(r, alcf, ctx);

        if (rc == NGX_OK) {
            return ngx_http_travel_auth_require(r, alcf, ctx);
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    rc = ngx_http_travel_auth_bearer(r, &token);

    if (rc == NGX_OK && alcf->sets == NULL) {
        rc = NGX_BUSY;
    }

    if (rc == NGX_OK && alcf->mode != NGX_HTTP_TRAVEL_AUTH_OFF) {
        rc = ngx_http_travel_auth_token(r, alcf, ctx, &token);

        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_http_travel_auth_require(r, alcf, ctx);
    }

    if (rc == NGX_ABORT) {
        return ngx_http_travel_refuse(r,
                   ngx_http_travel_error(r, TRAVEL_E_MALFORMED_REQUEST,
                                         "The request has more than one "
                                         "Authorization header."));
    }

    if (rc == NGX_DECLINED
        && alcf->mode == NGX_HTTP_TRAVEL_AUTH_OPTIONAL
        && !ngx_http_travel_auth_requires(r, alcf))
    {
        ngx_http_travel_auth_count(r, NGX_HTTP_TRAVEL_AUTH_ANONYMOUS);
        return NGX_DECLINED;
    }

    return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_ABSENT,
                                       TRAVEL_E_AUTHENTICATION_ERROR,
                                       rc == NGX_BUSY
                                       ? "the scheme is not one that is "
                                         "accepted here" : NULL);
}


ngx_int_t
ngx_http_travel_auth_bearer(ngx_http_request_t *r, ngx_str_t *ret_token)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    h = r->headers_in.authorization;

    if (h == NULL) {
        return NGX_DECLINED;
    }

#if (nginx_version >= 1023000)
    /* older ones answer 400 to a second header by themselves */
    if (h->next != NULL) {
        return NGX_ABORT;
    }
#endif

    p = h->value.data;
    last = p + h->value.len;

    if (h->value.len < 6
        || ngx_strncasecmp(p, (u_char *) "bearer", 6) != 0
        || (h->value.len > 6 && p[6] != ' '))
    {
        return NGX_BUSY;
    }

    for (p += 6; p < last && *p == ' '; p++) {
        /* void */
    }

    ret_token->data = p;
    ret_token->len = last - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_auth_token(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx,
    ngx_str_t *token)
{
    ngx_int_t                       rc;
    const char                     *why;
    travel_error_e                  code;
    travel_jwt_policy_t             policy;
    ngx_http_travel_jwks_t         *jwks;
    ngx_http_travel_facts_t         facts;
    ngx_http_travel_auth_result_e   result;

    rc = ngx_http_travel_auth_know(r, alcf, token, &jwks, &facts, &result,
                                   &why);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK && result == NGX_HTTP_TRAVEL_AUTH_OVER_BUDGET) {
        return ngx_http_travel_auth_over(r, ngx_http_travel_auth_wait);
    }

    if (rc != NGX_OK && result == NGX_HTTP_TRAVEL_AUTH_NO_KEYS) {
        return ngx_http_travel_auth_no_keys(r);
    }

    if (rc != NGX_OK) {
        return ngx_http_travel_auth_refuse(r, result, TRAVEL_E_TOKEN_INVALID,
                                           why);
    }

    policy.issuer = ngx_http_travel_view(&jwks->issuer);
    policy.audience = ngx_http_travel_view(&alcf->audience);
    policy.typ = ngx_http_travel_view(&alcf->typ);
    policy.leeway = alcf->leeway;
    policy.exp_required = true;

    code = travel_jwt_judge(&facts.jwt, &policy, ngx_time(), &why);

    if (code == TRAVEL_E_TOKEN_INVALID && facts.rule == jwks->rule) {
        ngx_http_travel_risk_suspect(r, facts.user);
    }

    if (code != TRAVEL_E_NONE) {
        return ngx_http_travel_auth_refuse(r,
                   (code == TRAVEL_E_TOKEN_EXPIRED)
                   ? NGX_HTTP_TRAVEL_AUTH_EXPIRED
                   : NGX_HTTP_TRAVEL_AUTH_INVALID, code, why);
    }

    rc = ngx_http_travel_auth_admit(r, ctx, jwks, &facts, &why);

    if (rc == NGX_DECLINED) {
        return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_INVALID,
                                           TRAVEL_E_TOKEN_INVALID, why);
    }

    if (rc == NGX_OK && alcf->revocation.on) {
        rc = ngx_http_travel_auth_in_force(r, alcf, ctx, jwks, &facts);
    }

    if (rc == NGX_OK) {
        ngx_http_travel_auth_count(r, result);
    }

    return rc;
}


/*
 * Facts of a token that a key of the right set signed, remembered or found out
 * now.  NGX_OK; NGX_DECLINED with *ret_why; NGX_AGAIN: the request is parked
 * until there are keys; NGX_ERROR.  *ret_result says how.
 */
static ngx_int_t
ngx_http_travel_auth_know(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, const ngx_str_t *token,
    ngx_http_travel_jwks_t **ret_jwks, ngx_http_travel_facts_t *ret_facts,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why)
{
    uint64_t                           digest;
    ngx_int_t                          rc;
    ngx_http_travel_jwks_t            *jwks;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);
    *ret_result = NGX_HTTP_TRAVEL_AUTH_INVALID;

    if (token->len == 0 || token->len > TRAVEL_JWT_MAX) {
        *ret_why = token->len ? "the token is longer than 8192 bytes"
                              : "the token is empty";
        return NGX_DECLINED;
    }

    /* a bad verdict is one set's: of several, the token must name it first */
    jwks = *(ngx_http_travel_jwks_t **) alcf->sets->elts;

    if (ngx_http_travel_jwks_behind(jwks)) {
        (void) ngx_http_travel_jwks_source_ready(jwks);
    }

    digest = (alcf->sets->nelts == 1) ? jwks->digest : 0;

    rc = ngx_http_travel_auth_recall(amcf, token, digest, ret_facts,
                                     ret_result, ret_why);

    if (rc == NGX_OK) {
        jwks = ngx_http_travel_auth_choose(amcf, alcf, &ret_facts->jwt);

        if (jwks != NULL) {
            rc = ngx_http_travel_auth_keys(r, jwks, ret_result, ret_why);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (jwks != NULL
            && (ret_facts->digest == jwks->digest
                || ngx_http_travel_jwks_holds(jwks, ret_facts->thumbprint))
            && (TRAVEL_ALG_BIT(ret_facts->jwt.alg) & jwks->algs))
        {
            *ret_jwks = jwks;
            return NGX_OK;
        }

        if (jwks != NULL
            && ngx_http_travel_auth_refused(amcf, token, jwks->digest,
                                            ret_result, ret_why))
        {
            return NGX_DECLINED;
        }

    } else if (rc == NGX_ABORT) {
        return NGX_DECLINED;
    }

    return ngx_http_travel_auth_afford(r, alcf, token, digest, ret_jwks,
                                       ret_facts, ret_result, ret_why);
}


/* What is not remembered has to be found out, if its sender can afford it. */
static ngx_int_t
ngx_http_travel_auth_afford(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, const ngx_str_t *token,
    uint64_t digest, ngx_http_travel_jwks_t **ret_jwks,
    ngx_http_travel_facts_t *ret_facts,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why)
{
    ngx_int_t                          rc;
    ngx_sockaddr_t                     room;
    const struct sockaddr             *sockaddr;
    ngx_http_travel_auth_main_conf_t  *amcf;

    *ret_result = NGX_HTTP_TRAVEL_AUTH_INVALID;

    if (alcf->budget.interval == 0) {
        return ngx_http_travel_auth_learn(r, alcf, token, digest, ret_jwks,
                                          ret_facts, ret_result, ret_why);
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);
    sockaddr = ngx_http_travel_client_sockaddr(r, &room);

    ngx_http_travel_auth_wait =
        ngx_http_travel_budget_take(amcf->budgets, &alcf->budget, sockaddr);

    if (ngx_http_travel_auth_wait != 0) {
        *ret_result = NGX_HTTP_TRAVEL_AUTH_OVER_BUDGET;
        *ret_why = "its address sent too many bad tokens";
        return NGX_DECLINED;
    }

    rc = ngx_http_travel_auth_learn(r, alcf, token, digest, ret_jwks,
                                    ret_facts, ret_result, ret_why);

    if (rc == NGX_OK || rc == NGX_AGAIN
        || *ret_result == NGX_HTTP_TRAVEL_AUTH_KNOWN_BAD
        || *ret_result == NGX_HTTP_TRAVEL_AUTH_NO_KEYS)
    {
        ngx_http_travel_budget_return(amcf->budgets, &alcf->budget, sockaddr);
    }

    return rc;
}


/* Reads the token, chooses the set, checks the signature. */
static ngx_int_t
ngx_http_travel_auth_learn(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, const ngx_str_t *token,
    uint64_t digest, ngx_http_travel_jwks_t **ret_jwks,
    ngx_http_travel_facts_t *ret_facts,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why)
{
    ngx_int_t                          rc;
    ngx_http_travel_jwks_t            *jwks;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    if (travel_jwt_parse(ngx_http_travel_auth_parser,
                         ngx_http_travel_view(token), &ret_facts->jwt, ret_why)
        != TRAVEL_OK)
    {
        ngx_http_travel_token_keep(amcf->zone, token, digest,
                                   NGX_HTTP_TRAVEL_TOKEN_MALFORMED, NULL);
        return NGX_DECLINED;
    }

    jwks = ngx_http_travel_auth_choose(amcf, alcf, &ret_facts->jwt);

    if (jwks == NULL) {
        *ret_why = "its issuer is not accepted here";
        return NGX_DECLINED;
    }

    rc = ngx_http_travel_auth_keys(r, jwks, ret_result, ret_why);
    if (rc != NGX_OK) {
        return rc;
    }

    if (digest == 0
        && ngx_http_travel_auth_refused(amcf, token, jwks->digest, ret_result,
                                        ret_why))
    {
        return NGX_DECLINED;
    }

    *ret_result = NGX_HTTP_TRAVEL_AUTH_INVALID;

    rc = ngx_http_travel_auth_verify(r, jwks, token, ret_facts, ret_why);

    if (rc == NGX_OK) {
        *ret_result = NGX_HTTP_TRAVEL_AUTH_VERIFIED;
        *ret_jwks = jwks;
    }

    return rc;
}


/* NGX_OK: facts; NGX_ABORT: it is known to be bad; NGX_DECLINED: unknown. */
static ngx_int_t
ngx_http_travel_auth_recall(ngx_http_travel_auth_main_conf_t *amcf,
    const ngx_str_t *token, uint64_t digest,
    ngx_http_travel_facts_t *ret_facts,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why)
{
    ngx_http_travel_token_e  verdict;

    if (ngx_http_travel_token_find(amcf->zone, token, digest, &verdict,
                                   ret_facts)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (verdict == NGX_HTTP_TRAVEL_TOKEN_GOOD) {
        *ret_result = NGX_HTTP_TRAVEL_AUTH_CACHED;
        return NGX_OK;
    }

    ngx_http_travel_auth_verdict(verdict, ret_result, ret_why);

    return NGX_ABORT;
}


/* Is it known that this set has no key that signed it? */
static ngx_uint_t
ngx_http_travel_auth_refused(ngx_http_travel_auth_main_conf_t *amcf,
    const ngx_str_t *token, uint64_t digest,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why)
{
    ngx_http_travel_token_e  verdict;

    if (!ngx_http_travel_token_refused(amcf->zone, token, digest, &verdict)) {
        return 0;
    }

    ngx_http_travel_auth_verdict(verdict, ret_result, ret_why);

    return 1;
}


static void
ngx_http_travel_auth_verdict(ngx_http_travel_token_e verdict,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why)
{
    *ret_result = NGX_HTTP_TRAVEL_AUTH_KNOWN_BAD;

    switch (verdict) {

    case NGX_HTTP_TRAVEL_TOKEN_FORGED:
        *ret_why = "the signature is not valid";
        break;

    case NGX_HTTP_TRAVEL_TOKEN_STRANGE:
        *ret_why = "it is signed with a key that is not known here";
        break;

    default:
        *ret_why = "it is not well-formed";
    }
}


/*
 * Which of the location's sets may have issued it: the one that pins its
 * issuer, else the first that pins none; but such a set cannot speak for an
 * issuer that any other set pins.  With one set that pins, it is that one,
 * whose judgement will name the mismatch.
 */
static ngx_http_travel_jwks_t *
ngx_http_travel_auth_choose(ngx_http_travel_auth_main_conf_t *amcf,
    ngx_http_travel_auth_loc_conf_t *alcf, const travel_jwt_t *jwt)
{
    ngx_uint_t                i;
    ngx_http_travel_jwks_t  **set, *open;

    set = alcf->sets->elts;
    open = NULL;

    for (i = 0; i < alcf->sets->nelts; i++) {

        if (set[i]->issuer.len == 0) {
            if (open == NULL) {
                open = set[i];
            }

            continue;
        }

        if (alcf->sets->nelts == 1
            || travel_str_eq(ngx_http_travel_view(&set[i]->issuer), jwt->iss))
        {
            return set[i];
        }
    }

    set = amcf->sets.elts;

    for (i = 0; i < amcf->sets.nelts; i++) {
        if (set[i]->issuer.len != 0
            && travel_str_eq(ngx_http_travel_view(&set[i]->issuer), jwt->iss))
        {
            return NULL;
        }
    }

    return open;
}


/* NGX_OK: the set has keys; NGX_AGAIN: they are on their way, and so the
 * request waits; NGX_DECLINED: it has none, or none that may still be used. */
static ngx_int_t
ngx_http_travel_auth_keys(ngx_http_request_t *r, ngx_http_travel_jwks_t *jwks,
    ngx_http_travel_auth_result_e *ret_result, const char **ret_why)
{
    if (jwks->source == NULL
        || ngx_http_travel_jwks_source_ready(jwks) == NGX_OK)
    {
        return NGX_OK;
    }

    if (ngx_http_travel_jwks_wait(r, jwks) == NGX_OK) {
        return NGX_AGAIN;
    }

    *ret_result = NGX_HTTP_TRAVEL_AUTH_NO_KEYS;
    *ret_why = "its issuer's keys cannot be had";

    return NGX_DECLINED;
}


/* Checks the signature and remembers the verdict; the facts' permissions are
 * brought to their normal form before that.  NGX_AGAIN: the key is not there,
 * and the request waits for it. */
static ngx_int_t
ngx_http_travel_auth_verify(ngx_http_request_t *r, ngx_http_travel_jwks_t *jwks,
    const ngx_str_t *token, ngx_http_travel_facts_t *facts,
    const char **ret_why)
{
    int                                rc;
    size_t                             key;
    travel_str_t                       subject;
    ngx_http_travel_token_e            verdict;
    ngx_http_travel_auth_main_conf_t  *amcf;

    static u_char                      permissions[TRAVEL_JWT_MAX];

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    rc = travel_jwks_verify(jwks->keys, &facts->jwt,
                            ngx_http_travel_view(token), &key, ret_why);

    if (rc == TRAVEL_ERROR) {
        return NGX_ERROR;
    }

    if (rc == TRAVEL_UNKNOWN && ngx_http_travel_jwks_wait(r, jwks) == NGX_OK) {
        return NGX_AGAIN;
    }

    if (rc != TRAVEL_OK) {
        verdict = (rc == TRAVEL_UNKNOWN) ? NGX_HTTP_TRAVEL_TOKEN_STRANGE
                                         : NGX_HTTP_TRAVEL_TOKEN_FORGED;
        ngx_http_travel_token_keep(amcf->zone, token, jwks->digest, verdict,
                                   NULL);
        return NGX_DECLINED;
    }

    facts->digest = jwks->digest;
    ngx_memcpy(facts->thumbprint, travel_jwks_thumbprint(jwks->keys, key),
               TRAVEL_THUMBPRINT_LEN);

    /* the key's own name, not what the token calls it */
    facts->jwt.kid = travel_jwks_kid(jwks->keys, key);

    facts->jwt.permissions.len =
        ngx_http_travel_permissions_normal(permissions,
                                           facts->jwt.permissions);
    facts->jwt.permissions.data = (char *) permissions;

    facts->rule = 0;
    ngx_memzero(facts->user, TRAVEL_UUID_TEXT_LEN);

    if (ngx_http_travel_identify(jwks, &facts->jwt, facts->user, &subject)
        == NULL)
    {
        facts->rule = jwks->rule;
    }

    ngx_http_travel_token_keep(amcf->zone, token, jwks->digest,
                               NGX_HTTP_TRAVEL_TOKEN_GOOD, facts);

    return NGX_OK;
}


/* Fills the context with one allocation. */
static ngx_int_t
ngx_http_travel_auth_admit(ngx_http_request_t *r, ngx_http_travel_ctx_t *ctx,
    const ngx_http_travel_jwks_t *jwks, const ngx_http_travel_facts_t *facts,
    const char **ret_why)
{
    size_t                            i;
    u_char                           *p, user[TRAVEL_UUID_TEXT_LEN];
    ngx_str_t                        *dst[5];
    travel_str_t                      src[5], subject;
    const travel_jwt_t               *jwt;
    ngx_http_travel_auth_loc_conf_t  *alcf;

    jwt = &facts->jwt;

    if (facts->rule == jwks->rule) {
        ngx_memcpy(user, facts->user, TRAVEL_UUID_TEXT_LEN);
        subject = (jwt->sub.len != 0) ? jwt->sub : jwt->user_id;

    } else {
        *ret_why = ngx_http_travel_identify(jwks, jwt, user, &subject);

        if (*ret_why != NULL) {
            return NGX_DECLINED;
        }
    }

    src[0] = subject;          dst[0] = &ctx->sub;
    src[1] = jwt->iss;         dst[1] = &ctx->issuer;
    src[2] = jwt->email;       dst[2] = &ctx->email;
    src[3] = jwt->permissions; dst[3] = &ctx->permissions;
    src[4] = jwt->acr;         dst[4] = &ctx->acr;

    p = ngx_pnalloc(r->pool, TRAVEL_UUID_TEXT_LEN + src[0].len + src[1].len
                             + src[2].len + src[3].len + src[4].len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->user.data = p;
    ctx->user.len = TRAVEL_UUID_TEXT_LEN;
    p = ngx_cpymem(p, user, TRAVEL_UUID_TEXT_LEN);

    for (i = 0; i < 5; i++) {
        dst[i]->data = p;
        dst[i]->len = src[i].len;

        if (src[i].len != 0) {
            p = ngx_cpymem(p, src[i].data, src[i].len);
        }
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_auth_module);

    ctx->auth_time = jwt->auth_time;
    ctx->expires = jwt->exp + alcf->leeway;
    ctx->authenticated = 1;

    return NGX_OK;
}


void
ngx_http_travel_auth_forget(ngx_http_travel_ctx_t *ctx)
{
    ctx->authenticated = 0;
    ngx_str_null(&ctx->user);
    ngx_str_null(&ctx->sub);
    ngx_str_null(&ctx->issuer);
    ngx_str_null(&ctx->email);
    ngx_str_null(&ctx->permissions);
    ngx_str_null(&ctx->api_key);
    ngx_str_null(&ctx->acr);
    ctx->auth_time = INT64_MIN;
    ctx->expires = 0;
}


/* --- permissions --------------------------------------------------------- */

ngx_uint_t
ngx_http_travel_permitted(ngx_http_request_t *r, const ngx_str_t *permission)
{
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    return ctx != NULL && ctx->authenticated
           && ngx_http_travel_permissions_hold(&ctx->permissions, permission);
}


/* Is anything required of this request? */
static ngx_uint_t
ngx_http_travel_auth_requires(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf)
{
    ngx_uint_t                  i;
    ngx_http_travel_require_t  *require;

    if (alcf->requires == NULL) {
        return 0;
    }

    require = alcf->requires->elts;

    for (i = 0; i < alcf->requires->nelts; i++) {
        if (ngx_http_travel_auth_concerns(r, &require[i])) {
            return 1;
        }
    }

    return 0;
}


/* HEAD may what GET may. */
static ngx_uint_t
ngx_http_travel_auth_concerns(ngx_http_request_t *r,
    const ngx_http_travel_require_t *require)
{
    ngx_uint_t  method;

    method = (r->method == NGX_HTTP_HEAD) ? NGX_HTTP_GET : r->method;

    return require->methods == 0 || (require->methods & method);
}


static ngx_int_t
ngx_http_travel_auth_require(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx)
{
    ngx_str_t                  *permission;
    ngx_uint_t                  i, n;
    ngx_array_t                 missing;
    ngx_http_travel_claim_t    *claim;
    ngx_http_travel_require_t  *require;

    if (alcf->requires == NULL) {
        return ngx_http_travel_admit(r);
    }

    require = alcf->requires->elts;

    for (n = 0; n < alcf->requires->nelts; n++) {

        if (!ngx_http_travel_auth_concerns(r, &require[n])) {
            continue;
        }

        permission = require[n].all.elts;

        for (i = 0; i < require[n].all.nelts; i++) {
            if (!ngx_http_travel_permissions_hold(&ctx->permissions,
                                                  &permission[i]))
            {
                missing = require[n].all;
                missing.elts = &permission[i];
                missing.nelts = 1;
                return ngx_http_travel_auth_forbid(r, &missing, "permission");
            }
        }

        permission = require[n].any.elts;

        for (i = 0; i < require[n].any.nelts; i++) {
            if (ngx_http_travel_permissions_hold(&ctx->permissions,
                                                 &permission[i]))
            {
                break;
            }
        }

        if (i != 0 && i == require[n].any.nelts) {
            return ngx_http_travel_auth_forbid(r, &require[n].any,
                                               "one permission of");
        }

        claim = require[n].claims.elts;

        for (i = 0; i < require[n].claims.nelts; i++) {
            if (!ngx_http_travel_claim_holds(r, &claim[i])) {
                return ngx_http_travel_auth_forbid_claim(r, &claim[i]);
            }
        }
    }

    return ngx_http_travel_admit(r);
}


/* What the claim must be is ours to know. */
static ngx_int_t
ngx_http_travel_auth_forbid_claim(ngx_http_request_t *r,
    const ngx_http_travel_claim_t *claim)
{
    ngx_int_t  rc;

    static ngx_str_t  why =
        ngx_string("a claim of the token is not what this needs");

    ngx_http_travel_auth_count(r, NGX_HTTP_TRAVEL_AUTH_FORBIDDEN);

    if (ngx_http_travel_auth_challenge(r, "insufficient_scope",
                                       "error_description", &why)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_leave(r, TRAVEL_E_AUTHORIZATION_ERROR);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                                     "The token's claim \"%V\" is not what "
                                     "this needs.", &claim->path));
}


static ngx_int_t
ngx_http_travel_auth_forbid(ngx_http_request_t *r,
    const ngx_array_t *permissions, const char *some)
{
    u_char      *p;
    size_t       len;
    ngx_int_t    rc;
    ngx_str_t   *permission, names;
    ngx_uint_t   i;

    permission = permissions->elts;
    len = 0;

    for (i = 0; i < permissions->nelts; i++) {
        len += permission[i].len + 1;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    names.data = p;

    for (i = 0; i < permissions->nelts; i++) {
        p = ngx_cpymem(p, permission[i].data, permission[i].len);
        *p++ = ' ';
    }

    names.len = p - names.data - 1;

    ngx_http_travel_auth_count(r, NGX_HTTP_TRAVEL_AUTH_FORBIDDEN);

    if (ngx_http_travel_auth_challenge(r, "insufficient_scope", "scope",
                                       &names)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_leave(r, TRAVEL_E_AUTHORIZATION_ERROR);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                                     "This needs the %s \"%V\".", some,
                                     &names));
}
