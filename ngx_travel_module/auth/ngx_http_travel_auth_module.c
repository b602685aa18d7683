/*
 * Who are you?  The access handler, its directives and variables.
 *
 * A request costs: the Authorization header, one look-up in the cache of
 * verified tokens, and the judgement of the claims.  Only a token that is not
 * there is parsed and its signature checked, by the one parser of this
 * process: nothing here waits, so one token is handled at a time.
 *
 * What is remembered is that a key signed a token; whether that key is still
 * in the set, and whether issuer, audience, type, times and permissions are
 * acceptable here and now, is asked on every request.
 */

#include "ngx_http_travel_bearer.h"


#define NGX_HTTP_TRAVEL_AUTH_OFF        0
#define NGX_HTTP_TRAVEL_AUTH_OPTIONAL   1
#define NGX_HTTP_TRAVEL_AUTH_REQUIRED   2

#define NGX_HTTP_TRAVEL_AUTH_LEEWAY     30        /* seconds */
#define NGX_HTTP_TRAVEL_AUTH_LEEWAY_MAX 300
#define NGX_HTTP_TRAVEL_AUTH_REFRESH    1000      /* ms between two looks */


typedef enum {
    NGX_HTTP_TRAVEL_AUTH_CACHED,
    NGX_HTTP_TRAVEL_AUTH_VERIFIED,
    NGX_HTTP_TRAVEL_AUTH_ANONYMOUS,
    NGX_HTTP_TRAVEL_AUTH_ABSENT,
    NGX_HTTP_TRAVEL_AUTH_EXPIRED,
    NGX_HTTP_TRAVEL_AUTH_INVALID,
    NGX_HTTP_TRAVEL_AUTH_FORBIDDEN,
    NGX_HTTP_TRAVEL_AUTH_RESULTS
} ngx_http_travel_auth_result_e;

typedef struct {
    ngx_array_t              sets;      /* ngx_http_travel_jwks_t * */
    ngx_http_travel_zone_t  *zone;
    ngx_int_t                counters[NGX_HTTP_TRAVEL_AUTH_RESULTS];
    unsigned                 used:1;    /* some location authenticates */
} ngx_http_travel_auth_main_conf_t;

/* One travel_require line: all of 'all', and one of 'any' if there are some. */
typedef struct {
    ngx_array_t              all;       /* ngx_str_t */
    ngx_array_t              any;       /* ngx_str_t */
} ngx_http_travel_require_t;

typedef struct {
    ngx_uint_t               mode;
    ngx_str_t                names;     /* jwks=, as written */
    ngx_array_t             *sets;      /* ngx_http_travel_jwks_t * */
    ngx_str_t                audience;
    ngx_str_t                typ;
    time_t                   leeway;
    ngx_array_t             *requires;  /* ngx_http_travel_require_t */

    /* where travel_auth stood, for what is only found wrong when merging */
    ngx_str_t                file;
    ngx_uint_t               line;
} ngx_http_travel_auth_loc_conf_t;


static ngx_int_t ngx_http_travel_auth_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_auth_bearer(ngx_http_request_t *r,
    ngx_str_t *ret_token);
static ngx_int_t ngx_http_travel_auth_token(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx,
    ngx_str_t *token);
static ngx_http_travel_jwks_t *ngx_http_travel_auth_choose(
    ngx_http_travel_auth_main_conf_t *amcf,
    ngx_http_travel_auth_loc_conf_t *alcf, const travel_jwt_t *jwt);
static ngx_int_t ngx_http_travel_auth_verify(
    ngx_http_travel_auth_main_conf_t *amcf, ngx_http_travel_jwks_t *jwks,
    const ngx_str_t *token, ngx_http_travel_facts_t *facts,
    const char **ret_why);
static ngx_int_t ngx_http_travel_auth_admit(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, const ngx_http_travel_jwks_t *jwks,
    const ngx_http_travel_facts_t *facts, const char **ret_why);
static void ngx_http_travel_auth_forget(ngx_http_travel_ctx_t *ctx);
static ngx_int_t ngx_http_travel_auth_require(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx);
static ngx_int_t ngx_http_travel_auth_forbid(ngx_http_request_t *r,
    const ngx_array_t *permissions, const char *some);
static ngx_int_t ngx_http_travel_auth_refuse(ngx_http_request_t *r,
    ngx_http_travel_auth_result_e result, travel_error_e code,
    const char *why);
static ngx_int_t ngx_http_travel_auth_challenge(ngx_http_request_t *r,
    const char *error, const char *name, const ngx_str_t *value);
static void ngx_http_travel_auth_count(ngx_http_request_t *r,
    ngx_http_travel_auth_result_e result);

static ngx_int_t ngx_http_travel_auth_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static ngx_int_t ngx_http_travel_auth_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_auth_init(ngx_conf_t *cf);
static void *ngx_http_travel_auth_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_auth_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_auth_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_travel_auth_resolve(ngx_conf_t *cf,
    ngx_http_travel_auth_loc_conf_t *conf);

static char *ngx_http_travel_auth_jwks(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_travel_auth_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_auth_parameter(ngx_conf_t *cf,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_str_t *value);
static char *ngx_http_travel_auth_require_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_travel_auth_permission(ngx_conf_t *cf,
    ngx_array_t *permissions, ngx_str_t text);

static ngx_int_t ngx_http_travel_auth_init_process(ngx_cycle_t *cycle);
static void ngx_http_travel_auth_exit_process(ngx_cycle_t *cycle);
static void ngx_http_travel_auth_refresh(ngx_event_t *ev);


/* This process's parser and its refresh timer. */
static travel_jwt_parser_t  *ngx_http_travel_auth_parser;
static ngx_event_t           ngx_http_travel_auth_timer;
static ngx_connection_t      ngx_http_travel_auth_ident;


static ngx_conf_enum_t  ngx_http_travel_auth_modes[] = {
    { ngx_string("off"), NGX_HTTP_TRAVEL_AUTH_OFF },
    { ngx_string("optional"), NGX_HTTP_TRAVEL_AUTH_OPTIONAL },
    { ngx_string("required"), NGX_HTTP_TRAVEL_AUTH_REQUIRED },
    { ngx_null_string, 0 }
};


static const char  *ngx_http_travel_auth_results[] = {
    "travel_auth_total{result=\"cached\"}",
    "travel_auth_total{result=\"verified\"}",
    "travel_auth_total{result=\"anonymous\"}",
    "travel_auth_total{result=\"absent\"}",
    "travel_auth_total{result=\"expired\"}",
    "travel_auth_total{result=\"invalid\"}",
    "travel_auth_total{result=\"forbidden\"}"
};


static ngx_command_t  ngx_http_travel_auth_commands[] = {

    { ngx_string("travel_jwks"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_travel_auth_jwks,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_auth_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_require"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_auth_require_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_auth_module_ctx = {
    ngx_http_travel_auth_add_variables,    /* preconfiguration */
    ngx_http_travel_auth_init,             /* postconfiguration */

    ngx_http_travel_auth_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_auth_create_loc_conf,  /* create location configuration */
    ngx_http_travel_auth_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_travel_auth_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_auth_module_ctx,      /* module context */
    ngx_http_travel_auth_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_auth_init_process,     /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_travel_auth_exit_process,     /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_variable_t  ngx_http_travel_auth_variables[] = {

    { ngx_string("travel_user"), NULL, ngx_http_travel_auth_variable,
      offsetof(ngx_http_travel_ctx_t, user), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_sub"), NULL, ngx_http_travel_auth_variable,
      offsetof(ngx_http_travel_ctx_t, sub), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_issuer"), NULL, ngx_http_travel_auth_variable,
      offsetof(ngx_http_travel_ctx_t, issuer), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_email"), NULL, ngx_http_travel_auth_variable,
      offsetof(ngx_http_travel_ctx_t, email), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("travel_permissions"), NULL, ngx_http_travel_auth_variable,
      offsetof(ngx_http_travel_ctx_t, permissions), NGX_HTTP_VAR_NOCACHEABLE,
      0 },

      ngx_http_null_variable
};


/* --- the request ------------------------------------------------------------ */

static ngx_int_t
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

    rc = ngx_http_travel_auth_bearer(r, &token);

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
        && alcf->requires == NULL)
    {
        ngx_http_travel_auth_count(r, NGX_HTTP_TRAVEL_AUTH_ANONYMOUS);
        return NGX_DECLINED;
    }

    return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_ABSENT,
                                       TRAVEL_E_AUTHENTICATION_ERROR,
                                       rc == NGX_BUSY
                                       ? "the scheme is not Bearer" : NULL);
}


/*
 * NGX_OK: a token; NGX_DECLINED: no header; NGX_BUSY: another scheme, which is
 * never taken for an anonymous caller; NGX_ABORT: more than one header.
 */
static ngx_int_t
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
    ngx_int_t                          rc;
    const char                        *why;
    travel_error_e                     code;
    travel_jwt_policy_t                policy;
    ngx_http_travel_jwks_t            *jwks;
    ngx_http_travel_facts_t            facts;
    ngx_http_travel_token_e            verdict;
    ngx_http_travel_auth_result_e      result;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);
    result = NGX_HTTP_TRAVEL_AUTH_VERIFIED;

    if (token->len == 0 || token->len > TRAVEL_JWT_MAX) {
        return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_INVALID,
                   TRAVEL_E_TOKEN_INVALID,
                   token->len ? "the token is longer than 8192 bytes"
                              : "the token is empty");
    }

    /* a bad verdict is asked for under the first set; a token of another set
     * of the same location is verified anew, which is only slower */
    jwks = *(ngx_http_travel_jwks_t **) alcf->sets->elts;

    rc = ngx_http_travel_token_find(amcf->zone, token, jwks->digest, &verdict,
                                    &facts);

    if (rc == NGX_OK && verdict != NGX_HTTP_TRAVEL_TOKEN_GOOD) {
        return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_INVALID,
                   TRAVEL_E_TOKEN_INVALID,
                   (verdict == NGX_HTTP_TRAVEL_TOKEN_FORGED)
                   ? "the signature is not valid"
                   : "it is signed with a key that is not known here");
    }

    if (rc == NGX_OK) {
        jwks = ngx_http_travel_auth_choose(amcf, alcf, &facts.jwt);

        if (jwks != NULL
            && (facts.digest == jwks->digest
                || ngx_http_travel_jwks_holds(jwks, facts.thumbprint))
            && (TRAVEL_ALG_BIT(facts.jwt.alg) & jwks->algs))
        {
            result = NGX_HTTP_TRAVEL_AUTH_CACHED;

        } else {
            rc = NGX_DECLINED;
        }
    }

    if (rc != NGX_OK) {
        if (travel_jwt_parse(ngx_http_travel_auth_parser,
                             ngx_http_travel_view(token), &facts.jwt, &why)
            != TRAVEL_OK)
        {
            return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_INVALID,
                                               TRAVEL_E_TOKEN_INVALID, why);
        }

        jwks = ngx_http_travel_auth_choose(amcf, alcf, &facts.jwt);

        if (jwks == NULL) {
            return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_INVALID,
                       TRAVEL_E_TOKEN_INVALID,
                       "its issuer is not accepted here");
        }

        rc = ngx_http_travel_auth_verify(amcf, jwks, token, &facts, &why);

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc != NGX_OK) {
            return ngx_http_travel_auth_refuse(r, NGX_HTTP_TRAVEL_AUTH_INVALID,
                                               TRAVEL_E_TOKEN_INVALID, why);
        }
    }

    policy.issuer = ngx_http_travel_view(&jwks->issuer);
    policy.audience = ngx_http_travel_view(&alcf->audience);
    policy.typ = ngx_http_travel_view(&alcf->typ);
    policy.leeway = alcf->leeway;
    policy.exp_required = true;

    code = travel_jwt_judge(&facts.jwt, &policy, ngx_time(), &why);

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

    if (rc == NGX_OK) {
        ngx_http_travel_auth_count(r, result);
    }

    return rc;
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


/* Checks the signature and remembers the verdict; the facts' permissions are
 * brought to their normal form before that. */
static ngx_int_t
ngx_http_travel_auth_verify(ngx_http_travel_auth_main_conf_t *amcf,
    ngx_http_travel_jwks_t *jwks, const ngx_str_t *token,
    ngx_http_travel_facts_t *facts, const char **ret_why)
{
    int                      rc;
    size_t                   key;
    travel_str_t             subject;
    ngx_http_travel_token_e  verdict;

    static u_char            permissions[TRAVEL_JWT_MAX];

    rc = travel_jwks_verify(jwks->keys, &facts->jwt,
                            ngx_http_travel_view(token), &key, ret_why);

    if (rc == TRAVEL_ERROR) {
        return NGX_ERROR;
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
    size_t               i;
    u_char              *p, user[TRAVEL_UUID_TEXT_LEN];
    ngx_str_t           *dst[4];
    travel_str_t         src[4], subject;
    const travel_jwt_t  *jwt;

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

    p = ngx_pnalloc(r->pool, TRAVEL_UUID_TEXT_LEN + src[0].len + src[1].len
                             + src[2].len + src[3].len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->user.data = p;
    ctx->user.len = TRAVEL_UUID_TEXT_LEN;
    p = ngx_cpymem(p, user, TRAVEL_UUID_TEXT_LEN);

    for (i = 0; i < 4; i++) {
        dst[i]->data = p;
        dst[i]->len = src[i].len;
        p = ngx_cpymem(p, src[i].data, src[i].len);
    }

    ctx->authenticated = 1;

    return NGX_OK;
}


static void
ngx_http_travel_auth_forget(ngx_http_travel_ctx_t *ctx)
{
    ctx->authenticated = 0;
    ngx_str_null(&ctx->user);
    ngx_str_null(&ctx->sub);
    ngx_str_null(&ctx->issuer);
    ngx_str_null(&ctx->email);
    ngx_str_null(&ctx->permissions);
}


/* --- permissions ------------------------------------------------------------ */

ngx_uint_t
ngx_http_travel_permitted(ngx_http_request_t *r, const ngx_str_t *permission)
{
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    return ctx != NULL && ctx->authenticated
           && ngx_http_travel_permissions_hold(&ctx->permissions, permission);
}


static ngx_int_t
ngx_http_travel_auth_require(ngx_http_request_t *r,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_http_travel_ctx_t *ctx)
{
    ngx_str_t                  *permission;
    ngx_uint_t                  i, n;
    ngx_array_t                 missing;
    ngx_http_travel_require_t  *require;

    if (alcf->requires == NULL) {
        return NGX_OK;
    }

    require = alcf->requires->elts;

    for (n = 0; n < alcf->requires->nelts; n++) {

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
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_auth_forbid(ngx_http_request_t *r,
    const ngx_array_t *permissions, const char *some)
{
    u_char      *p;
    size_t       len;
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

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                                     "This needs the %s \"%V\".", some,
                                     &names));
}


/* --- refusals --------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_auth_refuse(ngx_http_request_t *r,
    ngx_http_travel_auth_result_e result, travel_error_e code, const char *why)
{
    ngx_int_t  rc;
    ngx_str_t  s;

    ngx_http_travel_auth_count(r, result);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "travel_auth: %s: %s", travel_error_code(code),
                  why ? why : "no token");

    s.data = (u_char *) (why ? why : "");
    s.len = ngx_strlen(s.data);

    rc = ngx_http_travel_auth_challenge(r,
             (code == TRAVEL_E_AUTHENTICATION_ERROR) ? NULL : "invalid_token",
             "error_description", &s);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (code) {

    case TRAVEL_E_AUTHENTICATION_ERROR:
        rc = ngx_http_travel_error(r, code,
                 "This needs an access token: \"Authorization: Bearer "
                 "TOKEN\".");
        break;

    case TRAVEL_E_TOKEN_EXPIRED:
        rc = ngx_http_travel_error(r, code, "The access token has expired.");
        break;

    default:
        rc = ngx_http_travel_error(r, code,
                                   "The access token is not acceptable: %V.",
                                   &s);
    }

    return ngx_http_travel_refuse(r, rc);
}


/* WWW-Authenticate, RFC 6750 section 3; 'error' NULL: the bare challenge. */
static ngx_int_t
ngx_http_travel_auth_challenge(ngx_http_request_t *r, const char *error,
    const char *name, const ngx_str_t *value)
{
    u_char           *p;
    size_t            len;
    ngx_table_elt_t  *h;

    static const u_char  bare[] = "Bearer realm=\"travel\"";

    h = r->headers_out.www_authenticate;

    if (h == NULL) {
        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));
        ngx_str_set(&h->key, "WWW-Authenticate");
        r->headers_out.www_authenticate = h;
    }

    h->hash = 1;
    h->value.data = (u_char *) bare;
    h->value.len = sizeof(bare) - 1;

    if (error == NULL) {
        return NGX_OK;
    }

    len = sizeof(bare) + sizeof(", error=\"\", =\"\"") + ngx_strlen(error)
          + ngx_strlen(name) + value->len;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    h->value.data = p;
    h->value.len = ngx_sprintf(p, "%s, error=\"%s\", %s=\"", bare, error, name)
                   - p;

    /* sentences of ours may quote a claim's name; a quoted-string may not */
    for (len = 0; len < value->len; len++) {
        p[h->value.len++] = (value->data[len] == '"') ? '\'' : value->data[len];
    }

    p[h->value.len++] = '"';

    return NGX_OK;
}


static void
ngx_http_travel_auth_count(ngx_http_request_t *r,
    ngx_http_travel_auth_result_e result)
{
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    ngx_http_travel_count(amcf->counters[result], 1);
}


/* --- variables -------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_auth_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t              *s;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    s = (ngx_str_t *) ((u_char *) ctx + data);

    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = (s->len == 0);
    v->len = s->len;
    v->data = s->data;

    return NGX_OK;
}


/* --- configuration ---------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_auth_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_travel_auth_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static void *
ngx_http_travel_auth_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_auth_main_conf_t));
    if (amcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     amcf->zone = NULL;
     *     amcf->used = 0;
     */

    if (ngx_array_init(&amcf->sets, cf->pool, 4,
                       sizeof(ngx_http_travel_jwks_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return amcf;
}


static void *
ngx_http_travel_auth_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf;

    alcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_auth_loc_conf_t));
    if (alcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     alcf->names, audience, typ, file = { 0, NULL };
     *     alcf->sets = NULL;
     */

    alcf->mode = NGX_CONF_UNSET_UINT;
    alcf->leeway = NGX_CONF_UNSET;
    alcf->requires = NGX_CONF_UNSET_PTR;

    return alcf;
}


static char *
ngx_http_travel_auth_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_travel_auth_loc_conf_t  *prev = parent;
    ngx_http_travel_auth_loc_conf_t  *conf = child;

    ngx_uint_t                 said_off;
    ngx_http_core_loc_conf_t  *clcf;

    said_off = (conf->mode == NGX_HTTP_TRAVEL_AUTH_OFF);

    /* travel_auth is one thing: its parameters are inherited with it or not */
    if (conf->mode == NGX_CONF_UNSET_UINT) {
        conf->mode = prev->mode;
        conf->names = prev->names;
        conf->sets = prev->sets;
        conf->audience = prev->audience;
        conf->typ = prev->typ;
        conf->leeway = prev->leeway;
        conf->file = prev->file;
        conf->line = prev->line;
    }

    if (conf->mode == NGX_CONF_UNSET_UINT) {
        conf->mode = NGX_HTTP_TRAVEL_AUTH_OFF;
    }

    if (conf->leeway == NGX_CONF_UNSET) {
        conf->leeway = NGX_HTTP_TRAVEL_AUTH_LEEWAY;
    }

    if (conf->mode != NGX_HTTP_TRAVEL_AUTH_OFF && conf->sets == NULL
        && ngx_http_travel_auth_resolve(cf, conf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->requires != NGX_CONF_UNSET_PTR && conf->requires != NULL
        && conf->mode == NGX_HTTP_TRAVEL_AUTH_OFF && clcf->name.len != 0)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"travel_require\" in location \"%V\" asks for "
                      "permissions of nobody: add \"travel_auth required\"",
                      &clcf->name);
        return NGX_CONF_ERROR;
    }

    /* "travel_auth off" here: what is required above is not asked here */
    if (conf->requires == NGX_CONF_UNSET_PTR && said_off) {
        conf->requires = NULL;
    }

    ngx_conf_merge_ptr_value(conf->requires, prev->requires, NULL);

    return NGX_CONF_OK;
}


/* jwks= names sets that may stand further down in the file. */
static char *
ngx_http_travel_auth_resolve(ngx_conf_t *cf,
    ngx_http_travel_auth_loc_conf_t *conf)
{
    u_char                            *p, *end, *last;
    ngx_uint_t                         i;
    ngx_http_travel_jwks_t           **set, **slot;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_auth_module);
    set = amcf->sets.elts;

    if (conf->names.len == 0) {

        if (amcf->sets.nelts == 1) {
            conf->sets = &amcf->sets;
            return NGX_CONF_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"travel_auth\" must have jwks=NAME, as %s in %V:%ui",
                      amcf->sets.nelts ? "there are several \"travel_jwks\""
                                       : "of a \"travel_jwks NAME file=PATH\"",
                      &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    conf->sets = ngx_array_create(cf->pool, 2,
                                  sizeof(ngx_http_travel_jwks_t *));
    if (conf->sets == NULL) {
        return NGX_CONF_ERROR;
    }

    last = conf->names.data + conf->names.len;

    for (p = conf->names.data; p <= last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        for (i = 0; i < amcf->sets.nelts; i++) {
            if (set[i]->name.len == (size_t) (end - p)
                && ngx_strncmp(set[i]->name.data, p, end - p) == 0)
            {
                break;
            }
        }

        if (i == amcf->sets.nelts) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"travel_auth\" names jwks \"%*s\", but there is no "
                          "\"travel_jwks %*s file=PATH\" in %V:%ui",
                          (size_t) (end - p), p, (size_t) (end - p), p,
                          &conf->file, conf->line);
            return NGX_CONF_ERROR;
        }

        slot = ngx_array_push(conf->sets);
        if (slot == NULL) {
            return NGX_CONF_ERROR;
        }

        *slot = set[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_auth_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_auth_main_conf_t  *amcf = conf;

    return ngx_http_travel_jwks_directive(cf, &amcf->sets);
}


static char *
ngx_http_travel_auth_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf = conf;

    char                              *rv;
    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_conf_enum_t                   *e;
    ngx_http_travel_auth_main_conf_t  *amcf;

    if (alcf->mode != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (e = ngx_http_travel_auth_modes; e->name.len; e++) {
        if (e->name.len == value[1].len
            && ngx_strcmp(e->name.data, value[1].data) == 0)
        {
            alcf->mode = e->value;
        }
    }

    if (alcf->mode == NGX_CONF_UNSET_UINT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_auth\" mode \"%V\" must be off, optional "
                           "or required", &value[1]);
        return NGX_CONF_ERROR;
    }

    alcf->file = cf->conf_file->file.name;
    alcf->line = cf->conf_file->line;

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_travel_auth_parameter(cf, alcf, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (alcf->mode == NGX_HTTP_TRAVEL_AUTH_OFF) {
        return NGX_CONF_OK;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_auth_module);

    if (!amcf->used) {
        amcf->used = 1;

        amcf->zone = ngx_http_travel_token_zone(cf);
        if (amcf->zone == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_auth_parameter(ngx_conf_t *cf,
    ngx_http_travel_auth_loc_conf_t *alcf, ngx_str_t *value)
{
    ngx_str_t  s;

    if (ngx_strncmp(value->data, "jwks=", 5) == 0 && value->len > 5) {
        alcf->names.data = value->data + 5;
        alcf->names.len = value->len - 5;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "audience=", 9) == 0 && value->len > 9) {
        alcf->audience.data = value->data + 9;
        alcf->audience.len = value->len - 9;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "typ=", 4) == 0 && value->len > 4) {
        alcf->typ.data = value->data + 4;
        alcf->typ.len = value->len - 4;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "leeway=", 7) == 0) {
        s.data = value->data + 7;
        s.len = value->len - 7;

        alcf->leeway = ngx_parse_time(&s, 1);

        if (alcf->leeway != (time_t) NGX_ERROR
            && alcf->leeway <= NGX_HTTP_TRAVEL_AUTH_LEEWAY_MAX)
        {
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"travel_auth\" parameter \"%V\" must be "
                       "jwks=NAME[,NAME...], audience=TEXT, typ=TEXT or "
                       "leeway=0..5m", value);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_travel_auth_require_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_auth_loc_conf_t  *alcf = conf;

    char                       *rv;
    u_char                     *p, *end, *last;
    ngx_str_t                  *value, s;
    ngx_uint_t                  i;
    ngx_http_travel_require_t  *require;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        if (alcf->requires != NGX_CONF_UNSET_PTR) {
            return "\"off\" stands beside other permissions, keep one of them";
        }

        alcf->requires = NULL;
        return NGX_CONF_OK;
    }

    if (alcf->requires == NULL) {
        return "stands beside \"travel_require off\", keep one of them";
    }

    if (alcf->requires == NGX_CONF_UNSET_PTR) {
        alcf->requires = ngx_array_create(cf->pool, 1,
                                          sizeof(ngx_http_travel_require_t));
        if (alcf->requires == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    require = ngx_array_push(alcf->requires);

    if (require == NULL
        || ngx_array_init(&require->all, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&require->any, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "any=", 4) != 0) {
            rv = ngx_http_travel_auth_permission(cf, &require->all, value[i]);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (require->any.nelts != 0) {
            return "has any= twice, use a second \"travel_require\" line";
        }

        last = value[i].data + value[i].len;

        for (p = value[i].data + 4; p <= last; p = end + 1) {

            end = ngx_strlchr(p, last, ',');
            if (end == NULL) {
                end = last;
            }

            s.data = p;
            s.len = end - p;

            rv = ngx_http_travel_auth_permission(cf, &require->any, s);
            if (rv != NGX_CONF_OK) {
                return rv;
            }
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_auth_permission(ngx_conf_t *cf, ngx_array_t *permissions,
    ngx_str_t text)
{
    u_char     *p;
    ngx_str_t  *permission;

    if (!ngx_http_travel_permission_ok(&text)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_require\" permission \"%V\" must be "
                           "NOUN:VERB in lower case, as in journeys:read",
                           &text);
        return NGX_CONF_ERROR;
    }

    permission = ngx_array_push(permissions);
    p = ngx_pnalloc(cf->pool, text.len);

    if (permission == NULL || p == NULL) {
        return NGX_CONF_ERROR;
    }

    permission->data = p;
    permission->len = ngx_http_travel_permissions_normal(p,
                                              ngx_http_travel_view(&text));

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_auth_init(ngx_conf_t *cf)
{
    ngx_uint_t                         i;
    ngx_http_handler_pt               *h;
    ngx_http_core_main_conf_t         *cmcf;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_travel_auth_module);

    if (!amcf->used) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_AUTH_RESULTS; i++) {
        amcf->counters[i] =
            ngx_http_travel_counter_add(cf, ngx_http_travel_auth_results[i],
                                        "Requests by what their token was.");
        if (amcf->counters[i] == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_travel_auth_handler;

    return NGX_OK;
}


/* --- the process ------------------------------------------------------------ */

static ngx_int_t
ngx_http_travel_auth_init_process(ngx_cycle_t *cycle)
{
    ngx_event_t                       *ev;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_auth_module);

    if (amcf == NULL || !amcf->used
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    ngx_http_travel_auth_parser = travel_jwt_parser_create();
    if (ngx_http_travel_auth_parser == NULL) {
        return NGX_ERROR;
    }

    ngx_http_travel_auth_ident.fd = (ngx_socket_t) -1;

    ev = &ngx_http_travel_auth_timer;
    ev->handler = ngx_http_travel_auth_refresh;
    ev->data = &ngx_http_travel_auth_ident;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_TRAVEL_AUTH_REFRESH);

    return NGX_OK;
}


static void
ngx_http_travel_auth_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_travel_auth_timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_auth_timer);
    }

    travel_jwt_parser_free(ngx_http_travel_auth_parser);
    ngx_http_travel_auth_parser = NULL;
}


static void
ngx_http_travel_auth_refresh(ngx_event_t *ev)
{
    ngx_uint_t                         i;
    ngx_http_travel_jwks_t           **set;
    ngx_http_travel_auth_main_conf_t  *amcf;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    amcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_travel_auth_module);
    set = amcf->sets.elts;

    for (i = 0; i < amcf->sets.nelts; i++) {
        ngx_http_travel_jwks_refresh(set[i], ev->log);
    }

    ngx_add_timer(ev, NGX_HTTP_TRAVEL_AUTH_REFRESH);
}
