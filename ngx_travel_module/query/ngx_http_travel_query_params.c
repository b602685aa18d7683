/*
 * From the request to a query's values: fetched, decoded, checked, and what is
 * made of them: the answer's identity and its tags.
 */

#include "ngx_http_travel_query_room.h"


typedef struct {
    ngx_http_travel_detail_t   details[TRAVEL_QUERY_PARAMS_MAX + 1];
    ngx_uint_t                 n;
    unsigned                   missing:1;   /* what the path names cannot be */
} ngx_http_travel_param_faults_t;


static ngx_int_t ngx_http_travel_param_fetch(ngx_http_request_t *r,
    ngx_http_travel_query_source_t *source, ngx_str_t *ret_text,
    ngx_uint_t *ret_sound);
static ngx_int_t ngx_http_travel_param_decode(ngx_http_request_t *r,
    ngx_str_t *raw, ngx_str_t *ret_text, ngx_uint_t *ret_sound);
static ngx_int_t ngx_http_travel_param_value(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf, ngx_uint_t i,
    ngx_http_travel_param_faults_t *faults, const char **value);
static ngx_int_t ngx_http_travel_param_cursor(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf,
    ngx_http_travel_param_faults_t *faults, const char **keys);
static ngx_int_t ngx_http_travel_param_fault(ngx_http_request_t *r,
    const char *param, const char *code, const char *why,
    ngx_http_travel_param_faults_t *faults);
static ngx_int_t ngx_http_travel_param_refuse(ngx_http_request_t *r,
    ngx_http_travel_param_faults_t *faults);
static const char *ngx_http_travel_param_code(const travel_param_t *param,
    ngx_int_t rc);
static char *ngx_http_travel_param_keep(ngx_http_request_t *r,
    const travel_param_t *param, ngx_str_t *text);


ngx_int_t
ngx_http_travel_query_params(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf, const char **values)
{
    ngx_uint_t                      i;
    ngx_http_travel_param_faults_t  faults;

    faults.n = 0;
    faults.missing = 0;

    for (i = 0; i < qlcf->query->nparams; i++) {
        if (ngx_http_travel_param_value(r, qlcf, i, &faults, &values[i])
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (qlcf->query->nkeys != 0
        && ngx_http_travel_param_cursor(r, qlcf, &faults, &values[i])
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (faults.missing) {
        return ngx_http_travel_query_refuse(r, TRAVEL_E_RESOURCE_NOT_FOUND);
    }

    return faults.n ? ngx_http_travel_param_refuse(r, &faults) : NGX_OK;
}


static ngx_int_t
ngx_http_travel_param_cursor(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf,
    ngx_http_travel_param_faults_t *faults, const char **keys)
{
    ngx_int_t   rc;
    ngx_str_t   text;
    ngx_uint_t  sound;

    static ngx_http_travel_query_source_t  cursor = {
        NULL, ngx_string("cursor")
    };

    if (ngx_http_travel_param_fetch(r, &cursor, &text, &sound) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = sound ? ngx_http_travel_cursor_read(r, qlcf, &text, keys)
               : NGX_DECLINED;

    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_http_travel_param_fault(r, "cursor", "cursor",
                                       "is none that a page of this list gave "
                                       "as its next_cursor", faults);
}


static ngx_int_t
ngx_http_travel_param_value(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf, ngx_uint_t i,
    ngx_http_travel_param_faults_t *faults, const char **value)
{
    char                             why[160];
    ngx_int_t                        rc;
    ngx_str_t                        text;
    ngx_uint_t                       sound;
    const travel_param_t            *param;
    ngx_http_travel_query_source_t  *source;

    param = &qlcf->query->params[i];
    source = &qlcf->sources[i];

    if (ngx_http_travel_param_fetch(r, source, &text, &sound) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!sound) {
        return ngx_http_travel_param_fault(r, param->name, "format",
                                           "is not well percent-encoded",
                                           faults);
    }

    if (text.len == 0) {
        *value = param->fallback;

        if (param->fallback == NULL && !param->optional) {
            return ngx_http_travel_param_fault(r, param->name, "required",
                                               "is required", faults);
        }

        return NGX_OK;
    }

    rc = travel_param_check(param, ngx_http_travel_view(&text), why);

    if (rc == TRAVEL_OK) {
        *value = ngx_http_travel_param_keep(r, param, &text);
        return *value != NULL ? NGX_OK : NGX_ERROR;
    }

    /* "/journeys/xyz" names nothing that could exist */

    if (source->value != NULL) {
        faults->missing = 1;
        return NGX_OK;
    }

    return ngx_http_travel_param_fault(r, param->name,
                                       ngx_http_travel_param_code(param, rc),
                                       why, faults);
}


static ngx_int_t
ngx_http_travel_param_fetch(ngx_http_request_t *r,
    ngx_http_travel_query_source_t *source, ngx_str_t *ret_text,
    ngx_uint_t *ret_sound)
{
    ngx_str_t  raw;

    *ret_sound = 1;

    if (source->value != NULL) {
        return ngx_http_complex_value(r, source->value, ret_text);
    }

    if (r->args.len == 0
        || ngx_http_arg(r, source->arg.data, source->arg.len, &raw) != NGX_OK)
    {
        ngx_str_null(ret_text);
        return NGX_OK;
    }

    return ngx_http_travel_param_decode(r, &raw, ret_text, ret_sound);
}


/* As a form is encoded: %HH, and '+' for a space. */

static ngx_int_t
ngx_http_travel_param_decode(ngx_http_request_t *r, ngx_str_t *raw,
    ngx_str_t *ret_text, ngx_uint_t *ret_sound)
{
    u_char     *p, *dst;
    size_t      i;
    ngx_int_t   byte;

    for (i = 0; i < raw->len; i++) {
        if (raw->data[i] == '%' || raw->data[i] == '+') {
            break;
        }
    }

    if (i == raw->len) {
        *ret_text = *raw;
        return NGX_OK;
    }

    dst = ngx_pnalloc(r->pool, raw->len);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    for (p = dst, i = 0; i < raw->len; i++) {

        if (raw->data[i] == '+') {
            *p++ = ' ';
            continue;
        }

        if (raw->data[i] != '%') {
            *p++ = raw->data[i];
            continue;
        }

        byte = (i + 2 < raw->len) ? ngx_hextoi(&raw->data[i + 1], 2)
                                  : NGX_ERROR;
        if (byte == NGX_ERROR) {
            *ret_sound = 0;
            return NGX_OK;
        }

        *p++ = (u_char) byte;
        i += 2;
    }

    ret_text->data = dst;
    ret_text->len = p - dst;

    return NGX_OK;
}


/* NUL-terminated; a UUID in lower case, so that one thing has one identity. */

static char *
ngx_http_travel_param_keep(ngx_http_request_t *r, const travel_param_t *param,
    ngx_str_t *text)
{
    u_char  *copy;

    copy = ngx_pnalloc(r->pool, text->len + 1);
    if (copy == NULL) {
        return NULL;
    }

    if (param->type == TRAVEL_PARAM_UUID) {
        ngx_strlow(copy, text->data, text->len);

    } else {
        ngx_memcpy(copy, text->data, text->len);
    }

    copy[text->len] = '\0';

    return (char *) copy;
}


/* --- faults -------------------------------------------------------------- */

static const char *
ngx_http_travel_param_code(const travel_param_t *param, ngx_int_t rc)
{
    switch (param->type) {

    case TRAVEL_PARAM_ENUM:
        return "enum";

    case TRAVEL_PARAM_TEXT:
        return rc == TRAVEL_REFUSED ? "length" : "format";

    case TRAVEL_PARAM_UUID:
    case TRAVEL_PARAM_DATE:
    case TRAVEL_PARAM_TIMESTAMP:
        return "format";

    default:
        return rc == TRAVEL_REFUSED ? "range" : "type";
    }
}


static ngx_int_t
ngx_http_travel_param_fault(ngx_http_request_t *r, const char *param,
    const char *code, const char *why, ngx_http_travel_param_faults_t *faults)
{
    u_char                    *p;
    size_t                     name, len;
    ngx_http_travel_detail_t  *detail;

    name = ngx_strlen(param);
    len = ngx_strlen(why);

    p = ngx_pnalloc(r->pool, 1 + name + len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    detail = &faults->details[faults->n++];
    ngx_memzero(detail, sizeof(ngx_http_travel_detail_t));

    detail->pointer.data = (char *) p;
    detail->pointer.len = 1 + name;
    *p++ = '/';
    p = ngx_cpymem(p, param, name);

    detail->message.data = (char *) p;
    detail->message.len = len;
    ngx_memcpy(p, why, len);

    detail->code.data = code;
    detail->code.len = ngx_strlen(code);

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_param_refuse(ngx_http_request_t *r,
    ngx_http_travel_param_faults_t *faults)
{
    size_t                     size;
    ngx_str_t                  first, why;
    ngx_http_travel_detail_t  *details;

    size = faults->n * sizeof(ngx_http_travel_detail_t);

    details = ngx_palloc(r->pool, size);
    if (details == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(details, faults->details, size);

    first = ngx_http_travel_str(details[0].pointer);
    first.data++;
    first.len--;
    why = ngx_http_travel_str(details[0].message);

    return ngx_http_travel_error_details(r, TRAVEL_E_VALIDATION_ERROR, details,
                                         faults->n,
                                         "The query parameter \"%V\" %V.",
                                         &first, &why);
}


/* --- identity ------------------------------------------------------------ */

/* "name\0", the statement's digest, then per value a mark, its length and its
 * bytes: what lengths frame cannot be confused by what values hold. */

ngx_int_t
ngx_http_travel_query_identity(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf, const char *const *values,
    ngx_str_t *ret_identity)
{
    u_char                 *p;
    size_t                  len;
    uint32_t                n;
    ngx_uint_t              i, nvalues;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    nvalues = qlcf->query->nparams + qlcf->query->nkeys;

    len = qlcf->name.len + 1 + sizeof(qlcf->digest) + 36;
    for (i = 0; i < nvalues; i++) {
        len += 5 + (values[i] != NULL ? ngx_strlen(values[i]) : 0);
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_identity->data = p;
    p = ngx_cpymem(p, qlcf->name.data, qlcf->name.len);
    *p++ = '\0';
    p = ngx_cpymem(p, qlcf->digest, sizeof(qlcf->digest));

    for (i = 0; i < nvalues; i++) {
        if (values[i] == NULL) {
            *p++ = '-';
            continue;
        }

        *p++ = '=';
        n = (uint32_t) ngx_strlen(values[i]);
        p = ngx_cpymem(p, &n, sizeof(n));
        p = ngx_cpymem(p, values[i], n);
    }

    if (qlcf->query->viewer != 0 && ctx->user.len != 0) {
        p = ngx_cpymem(p, ctx->user.data, ngx_min(ctx->user.len, 36));
    }

    ret_identity->len = p - ret_identity->data;

    return NGX_OK;
}


/* --- tags ---------------------------------------------------------------- */

/* "user:{viewer} journey:{id}" into pieces, at configuration time. */

ngx_int_t
ngx_http_travel_query_template(ngx_conf_t *cf,
    ngx_http_travel_query_loc_conf_t *qlcf)
{
    u_char                         *p, *open;
    ngx_uint_t                      start;
    travel_str_t                    name;
    const travel_param_t           *param;
    ngx_http_travel_query_piece_t  *piece;

    if (ngx_array_init(&qlcf->pieces, cf->pool, 4,
                       sizeof(ngx_http_travel_query_piece_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    start = 1;

    for (p = (u_char *) qlcf->query->tags; p != NULL && *p; /* void */) {

        if (*p == ' ') {
            p++;
            start = 1;
            continue;
        }

        piece = ngx_array_push(&qlcf->pieces);
        if (piece == NULL) {
            return NGX_ERROR;
        }

        open = p + strcspn((char *) p, "{ ");

        piece->text.data = p;
        piece->text.len = open - p;
        piece->space = start;
        piece->param = NGX_HTTP_TRAVEL_PIECE_END;
        start = 0;
        p = open;

        if (*p != '{') {
            continue;
        }

        name.data = (char *) p + 1;
        name.len = strcspn(name.data, "}");
        p += name.len + 2;

        param = travel_query_param(qlcf->query, name);
        piece->param = param != NULL ? param - qlcf->query->params
                                     : NGX_HTTP_TRAVEL_PIECE_VIEWER;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_query_tags(ngx_http_request_t *r,
    ngx_http_travel_query_loc_conf_t *qlcf, const char *const *values,
    ngx_str_t *ret_tags)
{
    u_char                         *p, *tag;
    size_t                          len;
    ngx_str_t                       value;
    ngx_uint_t                      i, absent;
    ngx_http_travel_ctx_t          *ctx;
    ngx_http_travel_query_piece_t  *piece;

    ngx_str_null(ret_tags);

    if (qlcf->pieces.nelts == 0) {
        return NGX_OK;
    }

    ctx = ngx_http_travel_get_ctx(r);
    piece = qlcf->pieces.elts;

    for (len = 0, i = 0; i < qlcf->pieces.nelts; i++) {
        len += 1 + piece[i].text.len;

        if (piece[i].param == NGX_HTTP_TRAVEL_PIECE_VIEWER) {
            len += ctx->user.len;

        } else if (piece[i].param >= 0 && values[piece[i].param] != NULL) {
            len += ngx_strlen(values[piece[i].param]);
        }
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_tags->data = p;
    tag = p;
    absent = 0;

    for (i = 0; i < qlcf->pieces.nelts; i++) {

        if (piece[i].space) {
            p = absent ? tag : p;
            tag = p;
            absent = 0;

            if (p != ret_tags->data) {
                *p++ = ' ';
            }
        }

        ngx_str_null(&value);

        if (piece[i].param == NGX_HTTP_TRAVEL_PIECE_VIEWER) {
            value = ctx->user;

        } else if (piece[i].param >= 0 && values[piece[i].param] != NULL) {
            value.data = (u_char *) values[piece[i].param];
            value.len = ngx_strlen(value.data);
        }

        absent |= (piece[i].param != NGX_HTTP_TRAVEL_PIECE_END
                   && value.len == 0);

        p = ngx_cpymem(p, piece[i].text.data, piece[i].text.len);

        if (value.len != 0) {
            p = ngx_cpymem(p, value.data, value.len);
        }
    }

    ret_tags->len = (absent ? tag : p) - ret_tags->data;

    return NGX_OK;
}
