/*
 * Reads claims of the caller's token on demand.
 *
 * The token was verified in this request, by its signature or by its bytes in
 * the cache of verified tokens; its payload is taken from the request itself
 * and only parsed when somebody asks for a claim.  The last token parsed is
 * kept by this process with its document, so what asks for several claims, or
 * the same caller again, costs one comparison of the token's bytes.
 *
 * The statics belong to the process; one token is read at a time.
 */

#include "ngx_http_travel_bearer.h"
#include "../../common/base64url.h"
#include "../../common/digits.h"
#include "../../common/json.h"


#define NGX_HTTP_TRAVEL_CLAIM_DEPTH  64
#define NGX_HTTP_TRAVEL_CLAIM_MAX    4096       /* bytes of one value */


static const travel_json_node_t *ngx_http_travel_claim_find(
    ngx_http_request_t *r, const ngx_str_t *path);
static travel_json_t *ngx_http_travel_claim_document(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_claim_read(const ngx_str_t *token);
static const travel_json_node_t *ngx_http_travel_claim_step(
    const travel_json_t *doc, const travel_json_node_t *node,
    travel_str_t name, ngx_uint_t caseless);
static ngx_uint_t ngx_http_travel_claim_scalar(const travel_json_node_t *node,
    travel_str_t *ret_text);
static ngx_uint_t ngx_http_travel_claim_passes(
    const ngx_http_travel_claim_t *claim, travel_str_t text);
static ngx_int_t ngx_http_travel_claim_render(ngx_http_request_t *r,
    const travel_json_node_t *node, ngx_str_t *ret_text);


static travel_json_t  *ngx_http_travel_claim_doc;
static size_t          ngx_http_travel_claim_len;     /* 0: nothing is kept */
static u_char          ngx_http_travel_claim_token[TRAVEL_JWT_MAX];
static uint8_t         ngx_http_travel_claim_payload[TRAVEL_JWT_MAX];


void
ngx_http_travel_claims_close(void)
{
    travel_json_free(ngx_http_travel_claim_doc);
    ngx_http_travel_claim_doc = NULL;
    ngx_http_travel_claim_len = 0;
}


/* --- the document --------------------------------------------------------- */

/* NULL: the caller has no token, or has not been let in. */
static travel_json_t *
ngx_http_travel_claim_document(ngx_http_request_t *r)
{
    ngx_str_t               token;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx == NULL || !ctx->authenticated
        || ngx_http_travel_auth_bearer(r->main, &token) != NGX_OK
        || token.len == 0 || token.len > TRAVEL_JWT_MAX)
    {
        return NULL;
    }

    if (token.len == ngx_http_travel_claim_len
        && ngx_memcmp(token.data, ngx_http_travel_claim_token, token.len) == 0)
    {
        return ngx_http_travel_claim_doc;
    }

    if (ngx_http_travel_claim_read(&token) != NGX_OK) {
        return NULL;
    }

    ngx_memcpy(ngx_http_travel_claim_token, token.data, token.len);
    ngx_http_travel_claim_len = token.len;

    return ngx_http_travel_claim_doc;
}


static ngx_int_t
ngx_http_travel_claim_read(const ngx_str_t *token)
{
    u_char               *dot, *end, *last;
    size_t                len;
    travel_str_t          part, payload;
    travel_json_error_t   err;

    ngx_http_travel_claim_len = 0;

    if (ngx_http_travel_claim_doc == NULL) {
        ngx_http_travel_claim_doc = travel_json_create(1024);
        if (ngx_http_travel_claim_doc == NULL) {
            return NGX_ERROR;
        }
    }

    last = token->data + token->len;
    dot = ngx_strlchr(token->data, last, '.');
    end = dot ? ngx_strlchr(dot + 1, last, '.') : NULL;

    if (end == NULL) {
        return NGX_ERROR;
    }

    part.data = (char *) dot + 1;
    part.len = end - dot - 1;

    if (travel_base64url_decode(ngx_http_travel_claim_payload, &len, part)
        != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    payload.data = (char *) ngx_http_travel_claim_payload;
    payload.len = len;

    return (travel_json_parse(ngx_http_travel_claim_doc, payload,
                              NGX_HTTP_TRAVEL_CLAIM_DEPTH, &err)
            == TRAVEL_OK) ? NGX_OK : NGX_ERROR;
}


/* --- paths ---------------------------------------------------------------- */

static const travel_json_node_t *
ngx_http_travel_claim_find(ngx_http_request_t *r, const ngx_str_t *path)
{
    char                      *p, step[NGX_HTTP_TRAVEL_CLAIM_MAX];
    size_t                     i;
    travel_str_t               name;
    travel_json_t             *doc;
    const travel_json_node_t  *node;

    doc = ngx_http_travel_claim_document(r);
    if (doc == NULL) {
        return NULL;
    }

    node = travel_json_nodes(doc);

    if (path->len == 0 || path->data[0] != '/') {
        return ngx_http_travel_claim_step(doc, node,
                                          ngx_http_travel_view(path), 0);
    }

    for (i = 0; i < path->len && node != NULL; /* void */) {

        for (p = step, i++; i < path->len && path->data[i] != '/'; i++) {

            *p = (char) path->data[i];

            if (*p == '~' && i + 1 < path->len) {
                i++;
                *p = (path->data[i] == '1') ? '/' : '~';
            }

            p++;
        }

        name.data = step;
        name.len = p - step;

        node = ngx_http_travel_claim_step(doc, node, name, 0);
    }

    return node;
}


/* A member, or an element by its number.  Caseless, because nginx has lowered
 * the name: the member as it is, else the only one that differs in case. */
static const travel_json_node_t *
ngx_http_travel_claim_step(const travel_json_t *doc,
    const travel_json_node_t *node, travel_str_t name, ngx_uint_t caseless)
{
    uint32_t                   at, i, child;
    uint64_t                   n;
    const travel_json_node_t  *nodes, *found;

    nodes = travel_json_nodes(doc);
    at = (uint32_t) (node - nodes);

    if (node->type == TRAVEL_JSON_ARRAY) {

        if (travel_digits_parse(&n, name) != TRAVEL_OK || n >= node->count) {
            return NULL;
        }

        for (child = at + 1; n != 0; n--) {
            child = nodes[child].next;
        }

        return &nodes[child];
    }

    if (node->type != TRAVEL_JSON_OBJECT) {
        return NULL;
    }

    found = travel_json_member(doc, at, name);

    if (found != NULL || !caseless) {
        return found;
    }

    for (i = 0, child = at + 1; i < node->count; i++) {

        if (nodes[child].text.len == name.len
            && ngx_strncasecmp((u_char *) nodes[child].text.data,
                               (u_char *) name.data, name.len) == 0)
        {
            if (found != NULL) {
                return NULL;
            }

            found = &nodes[child + 1];
        }

        child = nodes[child + 1].next;
    }

    return found;
}


/* --- values --------------------------------------------------------------- */

static ngx_uint_t
ngx_http_travel_claim_scalar(const travel_json_node_t *node,
    travel_str_t *ret_text)
{
    switch (node->type) {

    case TRAVEL_JSON_STRING:
    case TRAVEL_JSON_NUMBER:
        *ret_text = node->text;
        return 1;

    case TRAVEL_JSON_TRUE:
        *ret_text = TRAVEL_STR("true");
        return 1;

    case TRAVEL_JSON_FALSE:
        *ret_text = TRAVEL_STR("false");
        return 1;

    default:
        return 0;
    }
}


ngx_uint_t
ngx_http_travel_claim_holds(ngx_http_request_t *r,
    const ngx_http_travel_claim_t *claim)
{
    uint32_t                   i;
    ngx_uint_t                 passes, wanted;
    travel_str_t               text;
    const travel_json_node_t  *node, *element;

    /* "differs" holds unless some value is equal */
    wanted = (claim->test != NGX_HTTP_TRAVEL_CLAIM_DIFFERS);

    node = ngx_http_travel_claim_find(r, &claim->path);

    if (node == NULL || node->type == TRAVEL_JSON_NULL) {
        return !wanted;
    }

    if (claim->test == NGX_HTTP_TRAVEL_CLAIM_EXISTS) {
        return 1;
    }

    if (node->type != TRAVEL_JSON_ARRAY) {
        passes = ngx_http_travel_claim_scalar(node, &text)
                 && ngx_http_travel_claim_passes(claim, text);
        return passes == wanted;
    }

    passes = 0;
    element = node + 1;

    for (i = 0; i < node->count && !passes; i++) {
        passes = ngx_http_travel_claim_scalar(element, &text)
                 && ngx_http_travel_claim_passes(claim, text);
        element = travel_json_nodes(ngx_http_travel_claim_doc) + element->next;
    }

    return passes == wanted;
}


static ngx_uint_t
ngx_http_travel_claim_passes(const ngx_http_travel_claim_t *claim,
    travel_str_t text)
{
#if (NGX_PCRE)
    ngx_str_t  s;

    if (claim->test == NGX_HTTP_TRAVEL_CLAIM_MATCHES) {
        s = ngx_http_travel_str(text);
        return ngx_regex_exec(claim->regex, &s, NULL, 0) >= 0;
    }
#endif

    return travel_str_eq(text, ngx_http_travel_view(&claim->text));
}


ngx_int_t
ngx_http_travel_claim_text(ngx_http_request_t *r, const ngx_str_t *path,
    ngx_str_t *ret_text)
{
    const travel_json_node_t  *node;

    node = ngx_http_travel_claim_find(r, path);

    if (node == NULL) {
        return NGX_DECLINED;
    }

    return ngx_http_travel_claim_render(r, node, ret_text);
}


static ngx_int_t
ngx_http_travel_claim_render(ngx_http_request_t *r,
    const travel_json_node_t *node, ngx_str_t *ret_text)
{
    u_char                    *p, text[NGX_HTTP_TRAVEL_CLAIM_MAX];
    size_t                     i;
    uint32_t                   n, count;
    travel_str_t               value;
    const travel_json_node_t  *nodes;

    nodes = travel_json_nodes(ngx_http_travel_claim_doc);
    count = 1;

    if (node->type == TRAVEL_JSON_ARRAY) {
        count = node->count;
        node++;
    }

    for (p = text, n = 0; n < count; n++, node = nodes + node->next) {

        if (!ngx_http_travel_claim_scalar(node, &value)
            || value.len + 1 > (size_t) (text + sizeof(text) - p))
        {
            return NGX_DECLINED;
        }

        if (n != 0) {
            *p++ = ' ';
        }

        for (i = 0; i < value.len; i++) {

            /* it may become a line of a header */
            if ((u_char) value.data[i] < 0x20 || value.data[i] == 0x7f) {
                return NGX_DECLINED;
            }

            *p++ = (u_char) value.data[i];
        }
    }

    ret_text->len = p - text;
    ret_text->data = ngx_pnalloc(r->pool, ret_text->len + 1);

    if (ret_text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ret_text->data, text, ret_text->len);

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_claim_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *variable = (ngx_str_t *) data;

    u_char                    *p, *end, *last;
    ngx_int_t                  rc;
    ngx_str_t                  text;
    travel_str_t               name;
    travel_json_t             *doc;
    const travel_json_node_t  *node;

    doc = ngx_http_travel_claim_document(r);
    node = doc ? travel_json_nodes(doc) : NULL;

    last = variable->data + variable->len;
    p = variable->data + sizeof("travel_claim_") - 1;

    while (node != NULL && p <= last) {

        for (end = p; end < last; end++) {
            if (end > p && end + 1 < last && end[0] == '_' && end[1] == '_') {
                break;
            }
        }

        name.data = (char *) p;
        name.len = end - p;

        node = ngx_http_travel_claim_step(doc, node, name, 1);
        p = (end == last) ? last + 1 : end + 2;
    }

    rc = node ? ngx_http_travel_claim_render(r, node, &text) : NGX_DECLINED;

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = text.data;
    v->len = (unsigned) text.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* --- configuration -------------------------------------------------------- */

char *
ngx_http_travel_claim_parse(ngx_conf_t *cf, ngx_array_t *claims,
    ngx_str_t *value)
{
    u_char                   *p, *eq, *last;
#if (NGX_PCRE)
    u_char                    errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t       rc;
#endif
    ngx_http_travel_claim_t  *claim;

    claim = ngx_array_push(claims);
    if (claim == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(claim, sizeof(ngx_http_travel_claim_t));

    p = value->data + sizeof("claim:") - 1;
    last = value->data + value->len;
    eq = ngx_strlchr(p, last, '=');

    claim->path.data = p;
    claim->path.len = (eq ? eq : last) - p;

    if (eq != NULL) {
        claim->test = NGX_HTTP_TRAVEL_CLAIM_EQUALS;
        claim->text.data = eq + 1;
        claim->text.len = last - eq - 1;

        if (claim->path.len != 0 && eq[-1] == '!') {
            claim->test = NGX_HTTP_TRAVEL_CLAIM_DIFFERS;
            claim->path.len--;
        }
    }

    if (claim->path.len == 0
        || claim->path.len >= NGX_HTTP_TRAVEL_CLAIM_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_require\" test \"%V\" names no claim, "
                           "write claim:NAME, claim:NAME=TEXT, "
                           "claim:NAME!=TEXT or claim:NAME=~REGEX", value);
        return NGX_CONF_ERROR;
    }

    if (claim->test != NGX_HTTP_TRAVEL_CLAIM_EQUALS
        || claim->text.len == 0 || claim->text.data[0] != '~')
    {
        return NGX_CONF_OK;
    }

    claim->test = NGX_HTTP_TRAVEL_CLAIM_MATCHES;
    claim->text.data++;
    claim->text.len--;

#if (NGX_PCRE)
    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    if (claim->text.len != 0 && claim->text.data[0] == '*') {
        claim->text.data++;
        claim->text.len--;
        rc.options = NGX_REGEX_CASELESS;
    }

    rc.pattern = claim->text;
    rc.pool = cf->pool;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (claim->text.len == 0 || ngx_regex_compile(&rc) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_require\" test \"%V\" has no regular "
                           "expression behind =~: %V", value, &rc.err);
        return NGX_CONF_ERROR;
    }

    claim->regex = rc.regex;

    return NGX_CONF_OK;
#else
    return "uses a regular expression, but nginx was built without PCRE";
#endif
}
