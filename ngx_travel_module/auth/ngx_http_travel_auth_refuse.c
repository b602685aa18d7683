/*
 * What is said to whom auth refuses: the answer, the challenge of RFC 6750, a
 * line in the log.
 *
 * A flood of refusals must cost little, and not fill the log: a few lines a
 * second, and how many there were besides (of this nginx worker).
 */

#include "ngx_http_travel_risk.h"


static void ngx_http_travel_auth_note(ngx_http_request_t *r,
    travel_error_e code, const char *why);


#define NGX_HTTP_TRAVEL_AUTH_LINES  10   /* of refused tokens a second */
#define NGX_HTTP_TRAVEL_AUTH_LATER  5    /* s, when there are no keys */

/* Refusals logged in this second, and those that were not since the last. */
static time_t                ngx_http_travel_auth_logged;
static ngx_uint_t            ngx_http_travel_auth_lines;
static ngx_uint_t            ngx_http_travel_auth_unlogged;


ngx_int_t
ngx_http_travel_auth_refuse(ngx_http_request_t *r,
    ngx_http_travel_auth_result_e result, travel_error_e code, const char *why)
{
    ngx_int_t               rc;
    ngx_str_t               s;
    ngx_http_travel_ctx_t  *ctx;

    ngx_http_travel_auth_count(r, result);

    ngx_http_travel_auth_note(r, code, why ? why : "no token");

    s.data = (u_char *) (why ? why : "");
    s.len = ngx_strlen(s.data);

    rc = ngx_http_travel_auth_challenge(r,
             (code == TRAVEL_E_AUTHENTICATION_ERROR) ? NULL : "invalid_token",
             "error_description", &s);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_leave(r, code);

    if (rc != NGX_OK) {
        /* whoever lets him in knows nothing of whose token it was */
        ctx = ngx_http_travel_get_ctx(r);
        ngx_http_travel_auth_forget(ctx);

        return rc;
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


/*
 * A flood of bad tokens must not become a flood of log lines: a few of them a
 * second, and how many there were besides.
 */
static void
ngx_http_travel_auth_note(ngx_http_request_t *r, travel_error_e code,
    const char *why)
{
    ngx_log_t  *log;

    log = r->connection->log;

    if (log->log_level < NGX_LOG_INFO) {
        return;
    }

    if (ngx_http_travel_auth_logged != ngx_time()) {
        ngx_http_travel_auth_logged = ngx_time();
        ngx_http_travel_auth_lines = 0;

        if (ngx_http_travel_auth_unlogged != 0) {
            ngx_log_error(NGX_LOG_INFO, log, 0,
                          "travel_auth: %ui more tokens were refused",
                          ngx_http_travel_auth_unlogged);
            ngx_http_travel_auth_unlogged = 0;
        }
    }

    if (++ngx_http_travel_auth_lines > NGX_HTTP_TRAVEL_AUTH_LINES) {
        ngx_http_travel_auth_unlogged++;
        return;
    }

    ngx_log_error(NGX_LOG_INFO, log, 0, "travel_auth: %s: %s",
                  travel_error_code(code), why);
}


/* The address has spent what its bad tokens may cost.  Not a 401: the token
 * may be good, and a client must not throw it away. */
ngx_int_t
ngx_http_travel_auth_over(ngx_http_request_t *r, ngx_uint_t seconds)
{
    ngx_sockaddr_t                     room;
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    ngx_http_travel_auth_count(r, NGX_HTTP_TRAVEL_AUTH_OVER_BUDGET);
    ngx_http_travel_auth_note(r, TRAVEL_E_RATE_LIMIT_EXCEEDED,
                              "its address sent too many bad tokens");
    ngx_http_travel_auth_last(r, ngx_http_travel_client_sockaddr(r, &room),
                              (ngx_uint_t) amcf->served_last);

    if (ngx_http_travel_add_number(r, "Retry-After", seconds) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_RATE_LIMIT_EXCEEDED,
                                     "Too many bad tokens came from this "
                                     "address: ask again in %ui s.", seconds));
}


/* Nobody can tell whether the token is good, so it is our fault. */
ngx_int_t
ngx_http_travel_auth_no_keys(ngx_http_request_t *r)
{
    ngx_http_travel_auth_count(r, NGX_HTTP_TRAVEL_AUTH_NO_KEYS);
    ngx_http_travel_auth_note(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                              "its issuer's keys cannot be had");

    if (ngx_http_travel_add_number(r, "Retry-After", NGX_HTTP_TRAVEL_AUTH_LATER)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "The keys of the token's issuer cannot be "
                                     "had at the moment."));
}


/* WWW-Authenticate, RFC 6750 section 3; 'error' NULL: the bare challenge. */
ngx_int_t
ngx_http_travel_auth_challenge(ngx_http_request_t *r, const char *error,
    const char *name, const ngx_str_t *value)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   text;

    static ngx_str_t  bare = ngx_string("Bearer realm=\"travel\"");

    if (error == NULL) {
        return ngx_http_travel_challenge(r, &bare);
    }

    len = bare.len + sizeof(", error=\"\", =\"\"") + ngx_strlen(error)
          + ngx_strlen(name) + value->len;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;
    text.len = ngx_sprintf(p, "%V, error=\"%s\", %s=\"", &bare, error, name)
               - p;

    /* sentences of ours may quote a claim's name; a quoted-string may not */
    for (len = 0; len < value->len; len++) {
        p[text.len++] = (value->data[len] == '"') ? '\'' : value->data[len];
    }

    p[text.len++] = '"';

    return ngx_http_travel_challenge(r, &text);
}


ngx_int_t
ngx_http_travel_challenge(ngx_http_request_t *r, const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

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
    h->value = *value;

    return NGX_OK;
}


void
ngx_http_travel_auth_count(ngx_http_request_t *r,
    ngx_http_travel_auth_result_e result)
{
    ngx_http_travel_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_travel_auth_module);

    ngx_http_travel_count(amcf->counters[result], 1);
}
