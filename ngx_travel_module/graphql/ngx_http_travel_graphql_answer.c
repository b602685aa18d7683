/*
 * GraphQL responses: data, errors, or both.
 *
 * Status by GraphQL over HTTP: a client that only takes application/json gets
 * 200 for all that is a GraphQL response; one that takes
 * application/graphql-response+json is told by the status, too.
 */

#include "ngx_http_travel_graphql_room.h"
#include "../../common/graphql/complete.h"


static ngx_str_t  ngx_http_travel_graphql_types[] = {
    ngx_string("application/json; charset=utf-8"),
    ngx_string("application/graphql-response+json; charset=utf-8")
};


ngx_int_t
ngx_http_travel_graphql_send(ngx_http_travel_graphql_t *g, ngx_uint_t status,
    ngx_str_t *body)
{
    static ngx_str_t  accept = ngx_string("Accept");

    /* by a cache on the way, only an answer to GET is kept */

    if (g->get && ngx_http_travel_add_header(g->request, "Vary", &accept)
                  != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_send(g->request, status,
                                &ngx_http_travel_graphql_types[g->modern],
                                body);
}


ngx_uint_t
ngx_http_travel_graphql_well(ngx_http_travel_graphql_t *g, ngx_uint_t failed)
{
    return failed && g->modern && g->conf->strict
           ? NGX_HTTP_TRAVEL_GRAPHQL_PARTIAL : NGX_HTTP_OK;
}


/* --- what PostgreSQL said ------------------------------------------------ */

ngx_int_t
ngx_http_travel_graphql_keep(ngx_http_travel_graphql_t *g,
    travel_graphql_text_t *text, ngx_str_t *ret_text)
{
    u_char  *p;

    p = text->failed ? NULL : ngx_pnalloc(g->request->pool, text->len + 1);

    if (p != NULL) {
        if (text->len != 0) {
            ngx_memcpy(p, text->data, text->len);
        }

        p[text->len] = '\0';
        ret_text->data = p;
        ret_text->len = text->len;
    }

    travel_graphql_text_free(text);

    return p != NULL ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_travel_graphql_data(ngx_http_travel_graphql_t *g,
    const travel_graphql_node_t *nodes, ngx_uint_t only,
    const travel_graphql_node_t *above, ngx_str_t *body)
{
    int                    rc;
    travel_graphql_text_t  out, errors;

    if (body->len < sizeof("{\"data\":}") - 1) {
        return NGX_ERROR;
    }

    body->data += sizeof("{\"data\":") - 1;
    body->len -= sizeof("{\"data\":}") - 1;

    ngx_memzero(&out, sizeof(travel_graphql_text_t));
    ngx_memzero(&errors, sizeof(travel_graphql_text_t));

    if (g->told.len != 0) {
        travel_graphql_text_add(&errors, ngx_http_travel_view(&g->told));
    }

    rc = travel_graphql_complete(nodes, only, above,
                                 ngx_http_travel_view(body), &out, &errors);

    if (rc == TRAVEL_INVALID) {
        ngx_log_error(NGX_LOG_ERR, g->request->connection->log, 0,
                      "a GraphQL statement's answer is not of its plan: %V",
                      body);
    }

    if (rc != TRAVEL_OK) {
        travel_graphql_text_free(&out);
        travel_graphql_text_free(&errors);
        return NGX_ERROR;
    }

    if (ngx_http_travel_graphql_keep(g, &errors, &g->told) != NGX_OK) {
        travel_graphql_text_free(&out);
        return NGX_ERROR;
    }

    if (out.len == 0) {                    /* it can go out as it is */
        travel_graphql_text_free(&out);
        return NGX_OK;
    }

    return ngx_http_travel_graphql_keep(g, &out, body);
}


ngx_int_t
ngx_http_travel_graphql_part(ngx_http_travel_graphql_t *g,
    ngx_http_travel_pg_result_t *result, ngx_str_t *ret_body)
{
    ngx_int_t               rc;
    travel_graphql_node_t  *root;

    if (ngx_http_travel_pg_result_keep(result, g->request) != NGX_OK) {
        return NGX_ERROR;
    }

    *ret_body = ngx_http_travel_pg_value(result, 0, 0);
    root = travel_graphql_root(g->part->plan, g->part->part.only);

    rc = g->part->plan->operation->op == TRAVEL_GRAPHQL_MUTATION
         ? ngx_http_travel_graphql_data(g, root->children, 0, root, ret_body)
         : ngx_http_travel_graphql_data(g, root, 1, NULL, ret_body);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return g->part->sql->marked
           ? ngx_http_travel_graphql_cursor_body(g, g->part->plan->roots,
                                                 ret_body)
           : NGX_OK;
}


/* --- errors -------------------------------------------------------------- */

static void
ngx_http_travel_graphql_place(travel_json_writer_t *w, uint32_t line,
    uint32_t column)
{
    travel_json_object(w);
    travel_json_member_int(w, "line", line);
    travel_json_member_int(w, "column", column);
    travel_json_object_end(w);
}


static void
ngx_http_travel_graphql_code(travel_json_writer_t *w, int code)
{
    travel_json_key(w, TRAVEL_STR("extensions"));
    travel_json_object(w);
    travel_json_member_cstring(w, "code", travel_error_code(code));
    travel_json_object_end(w);
}


static void
ngx_http_travel_graphql_mistake(travel_json_writer_t *w,
    const travel_graphql_mistake_t *mistake, int code)
{
    size_t  i;

    travel_json_object(w);
    travel_json_member_cstring(w, "message", mistake->message);

    if (mistake->nplaces > 0) {
        travel_json_key(w, TRAVEL_STR("locations"));
        travel_json_array(w);

        for (i = 0; i < mistake->nplaces; i++) {
            ngx_http_travel_graphql_place(w, mistake->places[i].line,
                                          mistake->places[i].column);
        }

        travel_json_array_end(w);
    }

    ngx_http_travel_graphql_code(w, code);
    travel_json_object_end(w);
}


static void
ngx_http_travel_graphql_write(travel_json_writer_t *w,
    const travel_graphql_error_t *error, const ngx_str_t *path)
{
    travel_json_object(w);
    travel_json_member_cstring(w, "message", error->message);

    if (error->line != 0) {
        travel_json_key(w, TRAVEL_STR("locations"));
        travel_json_array(w);
        ngx_http_travel_graphql_place(w, error->line, error->column);
        travel_json_array_end(w);
    }

    if (path != NULL) {
        travel_json_key(w, TRAVEL_STR("path"));
        travel_json_array(w);
        travel_json_string(w, ngx_http_travel_view(path));
        travel_json_array_end(w);
    }

    ngx_http_travel_graphql_code(w, error->code);
    travel_json_object_end(w);
}


/* A request that was not executed: a status of its own, where that is told. */
static ngx_uint_t
ngx_http_travel_graphql_status(ngx_http_travel_graphql_t *g,
    ngx_uint_t status)
{
    if (!g->modern && status == NGX_HTTP_TRAVEL_GRAPHQL_INVALID) {
        return NGX_HTTP_OK;
    }

    if (status == NGX_HTTP_TRAVEL_GRAPHQL_INVALID && !g->conf->strict) {
        return NGX_HTTP_BAD_REQUEST;
    }

    return status;
}


ngx_int_t
ngx_http_travel_graphql_refuse(ngx_http_travel_graphql_t *g,
    ngx_uint_t status, const travel_graphql_error_t *error)
{
    u_char                   *buf;
    size_t                    i, size;
    ngx_str_t                 body;
    travel_json_writer_t      w;
    ngx_http_travel_ctx_t    *ctx;
    travel_graphql_report_t  *report = g->report;

    static ngx_str_t  bearer = ngx_string("Bearer realm=\"travel\"");

    size = 6 * ngx_strlen(error->message) + 256;

    for (i = 0; report != NULL && i < report->n; i++) {
        size += 6 * ngx_strlen(report->items[i].message) + 256
                + 64 * report->items[i].nplaces;
    }

    buf = ngx_pnalloc(g->request->pool, size);
    ctx = ngx_http_travel_get_ctx(g->request);

    if (buf == NULL || ctx == NULL
        || (status == NGX_HTTP_UNAUTHORIZED
            && ngx_http_travel_add_header(g->request, "WWW-Authenticate",
                                          &bearer) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->error = error->code;
    ngx_http_travel_count(g->main->refused, 1);

    travel_json_writer_init(&w, (char *) buf, size);
    travel_json_object(&w);
    travel_json_key(&w, TRAVEL_STR("errors"));
    travel_json_array(&w);

    for (i = 0; report != NULL && i < report->n; i++) {
        ngx_http_travel_graphql_mistake(&w, &report->items[i], error->code);
    }

    if (report == NULL) {
        ngx_http_travel_graphql_write(&w, error, NULL);
    }

    travel_json_array_end(&w);
    travel_json_object_end(&w);

    body.data = buf;
    body.len = travel_json_writer_finish(&w);

    return ngx_http_travel_graphql_send(g,
               ngx_http_travel_graphql_status(g, status), &body);
}


ngx_int_t
ngx_http_travel_graphql_error(ngx_http_travel_graphql_t *g,
    ngx_uint_t status, travel_error_e code, const char *fmt, ...)
{
    u_char                  *p;
    va_list                  args;
    travel_graphql_error_t   error;

    ngx_memzero(&error, sizeof(travel_graphql_error_t));
    error.code = code;

    va_start(args, fmt);
    p = ngx_vslprintf((u_char *) error.message, (u_char *) error.message
                      + sizeof(error.message) - 1, fmt, args);
    va_end(args);
    *p = '\0';

    return ngx_http_travel_graphql_refuse(g, status, &error);
}


/* --- some of it failed --------------------------------------------------- */

static const char *
ngx_http_travel_graphql_sentence(ngx_int_t failure)
{
    switch (failure) {

    case TRAVEL_E_VALIDATION_ERROR:
        return "A value is not one that this field can take.";

    case TRAVEL_E_GATEWAY_TIMEOUT:
        return "The database did not answer in time.";

    case TRAVEL_E_DEPENDENCY_UNAVAILABLE:
        return "The database cannot be asked at the moment.";

    default:
        return "The field could not be answered.";
    }
}


/* Is a root null that may not be?  The whole of data is, then. */
static ngx_uint_t
ngx_http_travel_graphql_missing(ngx_http_travel_graphql_t *g, ngx_uint_t i,
    const travel_graphql_node_t *node)
{
    if (node->field == NULL || !node->field->nonnull) {
        return 0;
    }

    return g->failures[i] != NGX_OK
           || (g->pieces[i].len == 4
               && ngx_strncmp(g->pieces[i].data, "null", 4) == 0);
}


/* What became of a root that failed. */
static void
ngx_http_travel_graphql_root_error(ngx_http_travel_graphql_t *g, ngx_uint_t i,
    const travel_graphql_node_t *node, travel_json_writer_t *w)
{
    ngx_str_t                key;
    travel_graphql_error_t   error;

    ngx_memzero(&error, sizeof(travel_graphql_error_t));
    error.code = (int) g->failures[i];
    error.line = node->line;
    error.column = node->column;
    (void) ngx_cpystrn((u_char *) error.message, (u_char *)
                       ngx_http_travel_graphql_sentence(g->failures[i]),
                       sizeof(error.message));

    if (g->messages != NULL && g->messages[i].len != 0) {
        (void) ngx_cpystrn((u_char *) error.message, g->messages[i].data,
                           ngx_min(g->messages[i].len + 1,
                                   sizeof(error.message)));
    }

    key = ngx_http_travel_str(node->key);
    ngx_http_travel_graphql_write(w, &error, &key);
}


/* Data and errors of roots that were asked one by one. */
ngx_int_t
ngx_http_travel_graphql_partial(ngx_http_travel_graphql_t *g)
{
    size_t                        size;
    u_char                       *buf;
    ngx_str_t                     body;
    ngx_uint_t                    i, none, failed;
    travel_json_writer_t          w;
    const travel_graphql_node_t  *node;

    none = 0;
    failed = (g->told.len != 0);
    size = 64 + g->told.len;

    for (node = g->plan->plan->roots, i = 0; node != NULL;
         node = node->next, i++)
    {
        size += 6 * node->key.len * 2 + g->pieces[i].len
                + 6 * TRAVEL_GRAPHQL_ERROR_TEXT + 256;
        failed |= g->failures[i] != NGX_OK;
        none |= ngx_http_travel_graphql_missing(g, i, node);
    }

    buf = ngx_pnalloc(g->request->pool, size);
    if (buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    travel_json_writer_init(&w, (char *) buf, size);
    travel_json_object(&w);

    if (failed) {
        travel_json_key(&w, TRAVEL_STR("errors"));
        travel_json_array(&w);
    }

    for (node = g->plan->plan->roots, i = 0; node != NULL;
         node = node->next, i++)
    {
        if (g->failures[i] != NGX_OK) {
            ngx_http_travel_graphql_root_error(g, i, node, &w);
        }
    }

    if (g->told.len != 0) {
        travel_json_raw(&w, ngx_http_travel_view(&g->told));
    }

    if (failed) {
        travel_json_array_end(&w);
        ngx_http_travel_count(g->main->partial, 1);
    }

    travel_json_key(&w, TRAVEL_STR("data"));

    if (none) {
        travel_json_null(&w);

    } else {
        travel_json_object(&w);

        for (node = g->plan->plan->roots, i = 0; node != NULL;
             node = node->next, i++)
        {
            travel_json_key(&w, node->key);
            travel_json_raw(&w, g->failures[i] == NGX_OK
                                ? ngx_http_travel_view(&g->pieces[i])
                                : TRAVEL_STR("null"));
        }

        travel_json_object_end(&w);
    }

    travel_json_object_end(&w);
    body.data = buf;
    body.len = travel_json_writer_finish(&w);

    return ngx_http_travel_graphql_send(g,
               ngx_http_travel_graphql_well(g, failed), &body);
}
