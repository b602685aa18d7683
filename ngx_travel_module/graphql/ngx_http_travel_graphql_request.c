/*
 * A request by GraphQL over HTTP: the media types, GET and POST, the body's
 * members, persisted documents.
 *
 * What is no GraphQL request at all (its type, its JSON) is refused by the
 * usual error answer; what is one, by a GraphQL response.  A POST must be
 * application/json, and so no form of another site's page can make one; a GET
 * never writes.
 */

#include "ngx_http_travel_graphql_room.h"

#define NGX_HTTP_TRAVEL_GRAPHQL_SPARE  64
#define NGX_HTTP_TRAVEL_GRAPHQL_SMALL  (16 * 1024)


/* JSON documents of requests that are over, for those to come: a new one costs
 * memory, and the system a random key.  Of this nginx worker; large ones are
 * not kept. */

static travel_json_t  *ngx_http_travel_graphql_spare[
                           NGX_HTTP_TRAVEL_GRAPHQL_SPARE];
static ngx_uint_t      ngx_http_travel_graphql_nspare;


static void ngx_http_travel_graphql_begin(ngx_http_travel_graphql_t *g);
static void ngx_http_travel_graphql_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_graphql_accept(ngx_http_travel_graphql_t *g);
static ngx_int_t ngx_http_travel_graphql_type(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_graphql_bytes(ngx_http_travel_graphql_t *g,
    ngx_str_t *ret_body);
static ngx_int_t ngx_http_travel_graphql_post(ngx_http_travel_graphql_t *g);
static ngx_int_t ngx_http_travel_graphql_get(ngx_http_travel_graphql_t *g);
static ngx_int_t ngx_http_travel_graphql_members(ngx_http_travel_graphql_t *g);
static ngx_int_t ngx_http_travel_graphql_persist(ngx_http_travel_graphql_t *g);
static ngx_int_t ngx_http_travel_graphql_allow(ngx_http_travel_graphql_t *g);
static void ngx_http_travel_graphql_json_over(void *data);


ngx_int_t
ngx_http_travel_graphql_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_travel_ctx_t      *ctx;
    ngx_http_travel_graphql_t  *g;

    static ngx_str_t  route = ngx_string("graphql");

    ctx = ngx_http_travel_get_ctx(r);
    g = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_graphql_t));

    if (ctx == NULL || g == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->route = route;
    ctx->room[NGX_HTTP_TRAVEL_ROOM_GRAPHQL] = g;

    g->request = r;
    g->conf = ngx_http_get_module_loc_conf(r, ngx_http_travel_graphql_module);
    g->main = ngx_http_get_module_main_conf(r, ngx_http_travel_graphql_module);
    g->get = (r->method != NGX_HTTP_POST);
    ngx_str_set(&g->operation, "");      /* bytes, even if there are none */

    rc = ngx_http_travel_graphql_page(r, g->conf);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_http_travel_graphql_accept(g) != NGX_OK) {
        return ngx_http_travel_error(r, TRAVEL_E_NOT_ACCEPTABLE,
                                     "The answer is application/graphql-"
                                     "response+json or application/json.");
    }

    if (!g->get && ngx_http_travel_graphql_type(r) != NGX_OK) {
        return ngx_http_travel_error(r, TRAVEL_E_UNSUPPORTED_MEDIA_TYPE,
                                     "The body must be application/json, in "
                                     "UTF-8.");
    }

    if (!g->get && r->headers_in.content_length_n > (off_t) g->conf->max_body)
    {
        return ngx_http_travel_error(r, TRAVEL_E_PAYLOAD_TOO_LARGE,
                                     "The body may have %uz bytes.",
                                     g->conf->max_body);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_travel_graphql_read);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


/*
 * What the answer needs may all be here, so that the request ends within; and
 * its client may be gone, so that it ends for good.  Until this returns to
 * nginx, which goes on with the request, one more count keeps it.
 */
static void
ngx_http_travel_graphql_read(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t      *ctx;
    ngx_http_travel_graphql_t  *g;

    ctx = ngx_http_travel_get_ctx(r);
    g = ctx->room[NGX_HTTP_TRAVEL_ROOM_GRAPHQL];

    r->main->count++;
    g->inside = 1;

    ngx_http_travel_graphql_begin(g);

    g->inside = 0;
    ngx_http_finalize_request(r, NGX_DONE);
}


static void
ngx_http_travel_graphql_begin(ngx_http_travel_graphql_t *g)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r = g->request;

    rc = g->get ? ngx_http_travel_graphql_get(g)
                : ngx_http_travel_graphql_post(g);

    if (rc == NGX_AGAIN) {
        g->async = 1;
        return;
    }

    if (rc == NGX_OK && !r->header_sent) {
        rc = ngx_http_travel_graphql_persist(g);
    }

    if (rc != NGX_OK || r->header_sent) {
        ngx_http_travel_graphql_end(g, rc);
        return;
    }

    ngx_http_travel_graphql_execute(g);
}


/* As in command: only a request that waited for others runs what is posted. */
void
ngx_http_travel_graphql_end(ngx_http_travel_graphql_t *g, ngx_int_t rc)
{
    if (g->async && !g->inside) {
        ngx_http_travel_finish(g->request, rc);
        return;
    }

    ngx_http_finalize_request(g->request, rc);
}


/* --- media types --------------------------------------------------------- */

static ngx_uint_t
ngx_http_travel_graphql_named(const ngx_str_t *s, const char *name)
{
    return ngx_strlcasestrn(s->data, s->data + s->len, (u_char *) name,
                            ngx_strlen(name) - 1) != NULL;
}


/* What the client would rather have; of the same weight, the first that it
 * names; without a word, JSON. */
static ngx_int_t
ngx_http_travel_graphql_accept(ngx_http_travel_graphql_t *g)
{
    unsigned      modern, json, modern_at, json_at;
    ngx_str_t    *accept;
    travel_str_t  text;

    accept = ngx_http_travel_header_in(g->request, "accept",
                                       sizeof("accept") - 1);
    if (accept == NULL || accept->len == 0) {
        return NGX_OK;
    }

    text = ngx_http_travel_view(accept);
    modern = travel_http_accept_weight(text,
                          TRAVEL_STR("application/graphql-response+json"),
                          &modern_at);
    json = travel_http_accept_weight(text, TRAVEL_STR("application/json"),
                                     &json_at);

    g->modern = modern > json
                || (modern == json && modern_at != 0
                    && (json_at == 0 || modern_at < json_at));

    return modern != 0 || json != 0 ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_travel_graphql_type(ngx_http_request_t *r)
{
    ngx_str_t  type, *value;

    static const ngx_str_t  json = ngx_string("application/json");

    if (r->headers_in.content_type == NULL) {
        return NGX_DECLINED;
    }

    value = &r->headers_in.content_type->value;
    type = *value;

    if (type.len < json.len
        || ngx_strncasecmp(type.data, json.data, json.len) != 0
        || (type.len > json.len && type.data[json.len] != ';'
            && type.data[json.len] != ' '))
    {
        return NGX_DECLINED;
    }

    return ngx_http_travel_graphql_named(value, "charset=")
           && !ngx_http_travel_graphql_named(value, "charset=utf-8")
           && !ngx_http_travel_graphql_named(value, "charset=\"utf-8")
           ? NGX_DECLINED : NGX_OK;
}


/* --- the members --------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_graphql_bytes(ngx_http_travel_graphql_t *g,
    ngx_str_t *ret_body)
{
    u_char  *p;
    off_t    size;

    size = ngx_http_travel_received_size(g->request);

    if (size > (off_t) g->conf->max_body) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(g->request->pool, (size_t) size + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_body->data = p;
    ret_body->len = (size_t) size;

    return ngx_http_travel_received_copy(g->request, p);
}


static ngx_int_t
ngx_http_travel_graphql_parse(ngx_http_travel_graphql_t *g,
    travel_json_t **ret_json, const ngx_str_t *text)
{
    travel_json_t       *json;
    travel_json_error_t  error;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(g->request->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json = ngx_http_travel_graphql_nspare > 0
           ? ngx_http_travel_graphql_spare[--ngx_http_travel_graphql_nspare]
           : travel_json_create(64);

    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_travel_graphql_json_over;
    cln->data = json;
    *ret_json = json;

    switch (travel_json_parse(json, ngx_http_travel_view(text), 0, &error)) {

    case TRAVEL_OK:
        return NGX_OK;

    case TRAVEL_INVALID:
        return ngx_http_travel_error(g->request, error.kind, "%s",
                                     error.message);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static void
ngx_http_travel_graphql_json_over(void *data)
{
    travel_json_t  *json = data;

    if (ngx_http_travel_graphql_nspare == NGX_HTTP_TRAVEL_GRAPHQL_SPARE
        || travel_json_room(json) > NGX_HTTP_TRAVEL_GRAPHQL_SMALL)
    {
        travel_json_free(json);
        return;
    }

    ngx_http_travel_graphql_spare[ngx_http_travel_graphql_nspare++] = json;
}


void
ngx_http_travel_graphql_request_exit(void)
{
    while (ngx_http_travel_graphql_nspare > 0) {
        travel_json_free(ngx_http_travel_graphql_spare[
                             --ngx_http_travel_graphql_nspare]);
    }
}


static ngx_int_t
ngx_http_travel_graphql_post(ngx_http_travel_graphql_t *g)
{
    ngx_int_t   rc;
    ngx_str_t   body;

    if (g->request->request_body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_graphql_bytes(g, &body);

    if (rc == NGX_DECLINED) {
        return ngx_http_travel_error(g->request, TRAVEL_E_PAYLOAD_TOO_LARGE,
                                     "The body may have %uz bytes.",
                                     g->conf->max_body);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_graphql_parse(g, &g->json, &body);

    if (rc != NGX_OK || g->request->header_sent) {
        return rc;
    }

    if (g->conf->batch != 0
        && travel_json_nodes(g->json)->type == TRAVEL_JSON_ARRAY)
    {
        return ngx_http_travel_graphql_batch(g, &body);
    }

    return ngx_http_travel_graphql_members(g);
}


/* *ret_text: of a string; absent and null are an empty one. */
static ngx_int_t
ngx_http_travel_graphql_string(ngx_http_travel_graphql_t *g, uint32_t object,
    const char *name, ngx_str_t *ret_text)
{
    travel_str_t               key;
    const travel_json_node_t  *node;

    key.data = name;
    key.len = ngx_strlen(name);
    node = travel_json_member(g->json, object, key);
    ngx_str_set(ret_text, "");

    if (node == NULL || node->type == TRAVEL_JSON_NULL) {
        return NGX_OK;
    }

    if (node->type != TRAVEL_JSON_STRING) {
        return NGX_DECLINED;
    }

    *ret_text = ngx_http_travel_str(node->text);
    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_graphql_malformed(ngx_http_travel_graphql_t *g,
    const char *what)
{
    return ngx_http_travel_graphql_error(g, NGX_HTTP_BAD_REQUEST,
                                         TRAVEL_E_MALFORMED_REQUEST, "%s",
                                         what);
}


/* extensions.persistedQuery.sha256Hash */
static ngx_int_t
ngx_http_travel_graphql_extension(ngx_http_travel_graphql_t *g,
    const travel_json_t *json, const travel_json_node_t *extensions)
{
    u_char                    *hash;
    uint32_t                   at;
    const travel_json_node_t  *node;

    at = (uint32_t) (extensions - travel_json_nodes(json));
    node = travel_json_member(json, at, TRAVEL_STR("persistedQuery"));

    if (node == NULL || node->type != TRAVEL_JSON_OBJECT) {
        return NGX_OK;
    }

    at = (uint32_t) (node - travel_json_nodes(json));
    node = travel_json_member(json, at, TRAVEL_STR("sha256Hash"));

    if (node == NULL || node->type != TRAVEL_JSON_STRING
        || node->text.len != 2 * TRAVEL_SHA256_LEN)
    {
        return ngx_http_travel_graphql_malformed(g, "The persisted query's "
                                     "\"sha256Hash\" must be 64 hexadecimal "
                                     "digits.");
    }

    /* it is looked up as bytes */

    hash = ngx_pnalloc(g->request->pool, node->text.len);
    if (hash == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_strlow(hash, (u_char *) node->text.data, node->text.len);
    g->hash.data = hash;
    g->hash.len = node->text.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_graphql_members(ngx_http_travel_graphql_t *g)
{
    const travel_json_node_t  *root, *node;

    root = travel_json_nodes(g->json);

    if (root->type == TRAVEL_JSON_ARRAY) {
        return ngx_http_travel_graphql_malformed(g, "Operations are not taken "
                                     "in batches: send one object.");
    }

    if (root->type != TRAVEL_JSON_OBJECT) {
        return ngx_http_travel_graphql_malformed(g, "The body must be an "
                                     "object.");
    }

    if (ngx_http_travel_graphql_string(g, 0, "query", &g->query) != NGX_OK) {
        return ngx_http_travel_graphql_malformed(g, "\"query\" must be a "
                                                 "string.");
    }

    if (ngx_http_travel_graphql_string(g, 0, "operationName", &g->operation)
        != NGX_OK)
    {
        return ngx_http_travel_graphql_malformed(g, "\"operationName\" must be "
                                     "a string or null.");
    }

    node = travel_json_member(g->json, 0, TRAVEL_STR("variables"));

    if (node != NULL && node->type != TRAVEL_JSON_NULL) {
        if (node->type != TRAVEL_JSON_OBJECT) {
            return ngx_http_travel_graphql_malformed(g, "\"variables\" must be "
                                         "an object or null.");
        }

        g->variables.present = 1;
        g->variables.json = g->json;
        g->variables.object = (uint32_t) (node - root);
    }

    node = travel_json_member(g->json, 0, TRAVEL_STR("extensions"));

    if (node == NULL || node->type == TRAVEL_JSON_NULL) {
        return NGX_OK;
    }

    if (node->type != TRAVEL_JSON_OBJECT) {
        return ngx_http_travel_graphql_malformed(g, "\"extensions\" must be an "
                                     "object or null.");
    }

    return ngx_http_travel_graphql_extension(g, g->json, node);
}


/* --- GET ----------------------------------------------------------------- */

/* An argument of the query string, decoded; absent: empty. */
static ngx_int_t
ngx_http_travel_graphql_arg(ngx_http_travel_graphql_t *g, const char *name,
    ngx_str_t *ret_text)
{
    u_char     *src, *dst, *p;
    ngx_str_t   value;

    ngx_str_set(ret_text, "");

    if (ngx_http_arg(g->request, (u_char *) name, ngx_strlen(name), &value)
        != NGX_OK)
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(g->request->pool, value.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, value.data, value.len);

    for (src = p; src < p + value.len; src++) {
        if (*src == '+') {
            *src = ' ';
        }
    }

    src = p;
    dst = p;
    ngx_unescape_uri(&dst, &src, value.len, 0);
    ret_text->data = p;
    ret_text->len = dst - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_graphql_get(ngx_http_travel_graphql_t *g)
{
    ngx_int_t                  rc;
    ngx_str_t                  variables, extensions;
    const travel_json_node_t  *root;

    if (ngx_http_travel_graphql_arg(g, "query", &g->query) != NGX_OK
        || ngx_http_travel_graphql_arg(g, "operationName", &g->operation)
           != NGX_OK
        || ngx_http_travel_graphql_arg(g, "variables", &variables) != NGX_OK
        || ngx_http_travel_graphql_arg(g, "extensions", &extensions) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (variables.len != 0) {
        rc = ngx_http_travel_graphql_parse(g, &g->json2, &variables);

        if (rc != NGX_OK || g->request->header_sent) {
            return rc;
        }

        root = travel_json_nodes(g->json2);

        if (root->type != TRAVEL_JSON_OBJECT && root->type != TRAVEL_JSON_NULL)
        {
            return ngx_http_travel_graphql_malformed(g, "\"variables\" must be "
                                         "an object or null.");
        }

        g->variables.present = (root->type == TRAVEL_JSON_OBJECT);
        g->variables.json = g->json2;
    }

    if (extensions.len == 0) {
        return NGX_OK;
    }

    rc = ngx_http_travel_graphql_parse(g, &g->json, &extensions);

    if (rc != NGX_OK || g->request->header_sent) {
        return rc;
    }

    root = travel_json_nodes(g->json);

    if (root->type != TRAVEL_JSON_OBJECT) {
        return ngx_http_travel_graphql_malformed(g, "\"extensions\" must be an "
                                     "object or null.");
    }

    return ngx_http_travel_graphql_extension(g, g->json, root);
}


/* --- persisted documents ------------------------------------------------- */

static ngx_int_t
ngx_http_travel_graphql_persist(ngx_http_travel_graphql_t *g)
{
    u_char      hex[2 * TRAVEL_SHA256_LEN];
    uint8_t     md[TRAVEL_SHA256_LEN];
    ngx_str_t   query;

    if (g->conf->allowed != NULL) {
        return ngx_http_travel_graphql_allow(g);
    }

    if (g->hash.len != 0 && g->conf->apq) {

        if (g->query.len == 0) {
            if (ngx_http_travel_graphql_recall(&g->hash, &query) != NGX_OK) {
                return ngx_http_travel_graphql_error(g, NGX_HTTP_OK,
                                       TRAVEL_E_RESOURCE_NOT_FOUND,
                                       "PersistedQueryNotFound");
            }

            g->query.len = query.len;
            g->query.data = ngx_pstrdup(g->request->pool, &query);

            return g->query.data != NULL ? NGX_OK
                                         : NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (travel_sha256(md, ngx_http_travel_view(&g->query)) != TRAVEL_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        travel_hex_encode((char *) hex, md, TRAVEL_SHA256_LEN);

        if (ngx_strncasecmp(hex, g->hash.data, sizeof(hex)) != 0) {
            return ngx_http_travel_graphql_malformed(g, "The \"sha256Hash\" is "
                                         "not that of the query.");
        }

        ngx_http_travel_graphql_remember(&g->hash, &g->query);
    }

    if (g->query.len == 0) {
        return ngx_http_travel_graphql_malformed(g, "Must provide a query "
                                                 "string.");
    }

    return NGX_OK;
}


/* Only what is in the list's files, by its text or by its hash. */
static ngx_int_t
ngx_http_travel_graphql_allow(ngx_http_travel_graphql_t *g)
{
    u_char                              hex[2 * TRAVEL_SHA256_LEN];
    uint8_t                             md[TRAVEL_SHA256_LEN];
    ngx_str_t                           id;
    ngx_uint_t                          i;
    ngx_http_travel_graphql_allowed_t  *allowed;

    id = g->hash;

    if (g->query.len != 0) {
        if (travel_sha256(md, ngx_http_travel_view(&g->query)) != TRAVEL_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        travel_hex_encode((char *) hex, md, TRAVEL_SHA256_LEN);
        id.data = hex;
        id.len = sizeof(hex);
    }

    allowed = g->conf->allowed->elts;

    for (i = 0; i < g->conf->allowed->nelts && id.len == sizeof(hex); i++) {
        if (ngx_strncasecmp(allowed[i].id, id.data, sizeof(hex)) == 0) {
            g->query = allowed[i].text;
            return NGX_OK;
        }
    }

    return ngx_http_travel_graphql_error(g, NGX_HTTP_FORBIDDEN,
                                         TRAVEL_E_AUTHORIZATION_ERROR,
                                         "This document is not on the list of "
                                         "those that are answered here.");
}
