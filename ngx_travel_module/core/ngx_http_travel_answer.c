/* Answers that the module itself makes: bodies, errors, finishing requests. */

#include "ngx_http_travel.h"
#include "../../common/digits.h"


static ngx_int_t ngx_http_travel_error_send(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx);
static ngx_uint_t ngx_http_travel_error_elsewhere(ngx_http_request_t *r,
    travel_error_e error);
static travel_problem_form_e ngx_http_travel_error_form(ngx_http_request_t *r);
static ngx_str_t ngx_http_travel_status_line(ngx_uint_t status);
static travel_str_t ngx_http_travel_error_instance(ngx_http_request_t *r);


ngx_int_t
ngx_http_travel_error(ngx_http_request_t *r, travel_error_e code,
    const char *fmt, ...)
{
    u_char                 *p, buf[NGX_MAX_ERROR_STR];
    va_list                 args;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_null(&ctx->error_message);

    if (fmt != NULL) {
        va_start(args, fmt);
        p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
        va_end(args);

        ctx->error_message.len = p - buf;
        ctx->error_message.data = ngx_pnalloc(r->pool, p - buf);
        if (ctx->error_message.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memcpy(ctx->error_message.data, buf, p - buf);
    }

    ctx->error = code;
    ctx->details = NULL;
    ctx->ndetails = 0;

    return ngx_http_travel_error_send(r, ctx);
}


ngx_int_t
ngx_http_travel_error_details(ngx_http_request_t *r, travel_error_e code,
    ngx_http_travel_detail_t *details, ngx_uint_t n, const char *fmt, ...)
{
    u_char                 *p, buf[NGX_MAX_ERROR_STR];
    va_list                 args;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    ctx->error_message.len = p - buf;
    ctx->error_message.data = ngx_pnalloc(r->pool, p - buf);
    if (ctx->error_message.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(ctx->error_message.data, buf, p - buf);

    ctx->error = code;
    ctx->details = details;
    ctx->ndetails = n;

    return ngx_http_travel_error_send(r, ctx);
}


static ngx_int_t
ngx_http_travel_error_send(ngx_http_request_t *r, ngx_http_travel_ctx_t *ctx)
{
    size_t                        size;
    ngx_str_t                     body, type;
    ngx_int_t                     rc;
    ngx_time_t                   *tp;
    travel_problem_t              problem;
    travel_problem_form_e         form;
    ngx_http_travel_main_conf_t  *tmcf;

    if (r->header_sent) {
        return NGX_ERROR;
    }

    if (ctx->divert == NULL && ngx_http_travel_error_elsewhere(r, ctx->error)) {
        return travel_error_status(ctx->error);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    tp = ngx_timeofday();
    form = ngx_http_travel_error_form(r);

    ngx_memzero(&problem, sizeof(problem));
    problem.error = ctx->error;
    problem.message = ngx_http_travel_view(&ctx->error_message);
    problem.details = ctx->details;
    problem.ndetails = ctx->ndetails;
    problem.violated = ctx->violated;
    problem.nviolated = ctx->nviolated;
    problem.request_id = ngx_http_travel_view(&ctx->request_id);
    problem.unix_ms = (uint64_t) tp->sec * 1000 + tp->msec;

    if (form == TRAVEL_PROBLEM_RFC9457) {
        tmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_module);
        problem.base = ngx_http_travel_view(&tmcf->problem_base);
        problem.instance = ngx_http_travel_error_instance(r);
    }

    size = travel_problem_render(NULL, 0, &problem, form);

    body.data = ngx_pnalloc(r->pool, size);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.len = travel_problem_render((char *) body.data, size, &problem, form);

    type.data = (u_char *) travel_problem_media_type(form);
    type.len = ngx_strlen(type.data);

    return ngx_http_travel_send(r, travel_error_status(ctx->error), &type,
                                &body);
}


/*
 * Has the operator an error_page of his own for it, a login or a page for
 * people?  Nginx then sends that, as it does for what its own modules refuse in
 * front of an application.  Where the content is a room's the answer stays as
 * it is, as an application's does; and one that leads to travel_error_page
 * would say the same in fewer words.
 */
static ngx_uint_t
ngx_http_travel_error_elsewhere(ngx_http_request_t *r, travel_error_e error)
{
    ngx_int_t                     status;
    ngx_uint_t                    i, k;
    ngx_str_t                    *ours, *value;
    ngx_http_err_page_t          *page;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_travel_main_conf_t  *tmcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->error_pages == NULL || r != r->main || r->error_page
        || r->uri_changes == 0 || ngx_http_travel_claimed(r))
    {
        return 0;
    }

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_module);
    ours = tmcf->error_pages.elts;
    page = clcf->error_pages->elts;
    status = travel_error_status(error);

    for (i = 0; i < clcf->error_pages->nelts; i++) {

        if (page[i].status != status) {
            continue;
        }

        value = &page[i].value.value;

        for (k = 0; k < tmcf->error_pages.nelts; k++) {
            if (page[i].value.lengths == NULL && value->len >= ours[k].len
                && ngx_memcmp(value->data, ours[k].data, ours[k].len) == 0
                && (value->len == ours[k].len
                    || value->data[ours[k].len] == '/'))
            {
                return 0;
            }
        }

        return 1;
    }

    return 0;
}


/* The path as the client sent it: error_page has rewritten r->uri. */
static travel_str_t
ngx_http_travel_error_instance(ngx_http_request_t *r)
{
    u_char        *q;
    travel_str_t   path;

    path = ngx_http_travel_view(&r->unparsed_uri);

    q = ngx_strlchr(r->unparsed_uri.data,
                    r->unparsed_uri.data + r->unparsed_uri.len, '?');
    if (q != NULL) {
        path.len = q - r->unparsed_uri.data;
    }

    return path;
}


/* problem+json only to a client that names it; the envelope to all others. */
static travel_problem_form_e
ngx_http_travel_error_form(ngx_http_request_t *r)
{
    ngx_str_t  *accept;

    accept = ngx_http_travel_header_in(r, "accept", sizeof("accept") - 1);

    if (accept != NULL
        && travel_http_accepts(ngx_http_travel_view(accept),
                               TRAVEL_STR("application/problem+json")))
    {
        return TRAVEL_PROBLEM_RFC9457;
    }

    return TRAVEL_PROBLEM_ENVELOPE;
}


ngx_int_t
ngx_http_travel_refuse(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


void
ngx_http_travel_finish(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);
    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* The reason phrases that nginx does not have; empty: it has its own. */
static ngx_str_t
ngx_http_travel_status_line(ngx_uint_t status)
{
    ngx_uint_t  i;

    static const struct {
        ngx_uint_t   status;
        ngx_str_t    line;
    } lines[] = {
        { 207, ngx_string("207 Multi-Status") },
        { 422, ngx_string("422 Unprocessable Content") },
        { 426, ngx_string("426 Upgrade Required") },
        { 431, ngx_string("431 Request Header Fields Too Large") },
        { 0, ngx_null_string }
    };

    for (i = 0; lines[i].status != 0 && lines[i].status != status; i++) {
        /* void */
    }

    return lines[i].line;
}


ngx_int_t
ngx_http_travel_send(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *type, ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    ngx_http_travel_ctx_t  *ctx;

    static const ngx_str_t  json = ngx_string("application/json");

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx != NULL && ctx->divert != NULL) {
        ctx->divert->status = status;
        ctx->divert->body = *body;
        return NGX_OK;
    }

    if (type == NULL) {
        type = &json;
    }

    r->headers_out.status = status;
    r->headers_out.status_line = ngx_http_travel_status_line(status);
    r->headers_out.content_length_n = body->len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    if (r->headers_out.content_length) {
        r->headers_out.content_length->hash = 0;
        r->headers_out.content_length = NULL;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = body->len ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;
    b->sync = (b->last_buf || b->memory) ? 0 : 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_table_elt_t *
ngx_http_travel_push_field(ngx_http_request_t *r, const ngx_str_t *key,
    const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    h->key = *key;
    h->value = *value;

    return h;
}


ngx_int_t
ngx_http_travel_add_number(ngx_http_request_t *r, const char *key, uint64_t n)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = travel_digits_format((char *) value.data, n);

    return ngx_http_travel_add_header(r, key, &value);
}


ngx_str_t *
ngx_http_travel_header_in(ngx_http_request_t *r, const char *lower,
    size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && h[i].lowcase_key != NULL
            && ngx_memcmp(h[i].lowcase_key, lower, len) == 0)
        {
            return &h[i].value;
        }
    }
}
