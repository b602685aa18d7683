/*
 * An answer of an upstream as bytes for L1, and back into a response.
 *
 * A record is its head, cut after the last mark, then its fields, then its
 * body.  L1 gives back what it was given or nothing; lengths are checked all
 * the same, since a reload may have brought another version of this file.
 */

#include "ngx_http_travel_kept.h"
#include "../../common/http_date.h"


#define NGX_HTTP_TRAVEL_RECORD_VERSION  2
#define NGX_HTTP_TRAVEL_RECORD_TYPE     128       /* bytes of a media type */

/* A field's lengths, before its name and value. */
typedef struct {
    uint16_t  name;
    uint16_t  hidden;
    uint32_t  value;
} ngx_http_travel_field_head_t;


static ngx_int_t ngx_http_travel_record_fields(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec);
static ngx_int_t ngx_http_travel_record_date(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec);
static ngx_uint_t ngx_http_travel_record_packable(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec);
static ngx_uint_t ngx_http_travel_record_type_in(
    const ngx_http_travel_record_t *rec, ngx_hash_t *types);
static ngx_uint_t ngx_http_travel_record_etag_in(const ngx_str_t *list,
    const ngx_str_t *etag);


/* Everything of the head but tags and marks. */
static size_t
ngx_http_travel_record_fixed(void)
{
    return offsetof(ngx_http_travel_record_head_t, tags);
}


size_t
ngx_http_travel_record_size(const ngx_http_travel_record_t *rec)
{
    size_t                    len;
    ngx_uint_t                i;
    ngx_http_travel_field_t  *field;

    len = ngx_http_travel_record_fixed()
          + (rec->head.ntags + rec->head.nmarks) * sizeof(uint64_t);

    field = rec->fields.elts;

    for (i = 0; i < rec->fields.nelts; i++) {
        len += sizeof(ngx_http_travel_field_head_t) + field[i].name.len
               + field[i].value.len;
    }

    return len;
}


u_char *
ngx_http_travel_record_write(u_char *p, const ngx_http_travel_record_t *rec)
{
    u_char                        *start, *fields;
    uint32_t                       len;
    ngx_uint_t                     i;
    ngx_http_travel_field_t       *field;
    ngx_http_travel_field_head_t   fh;

    start = p;

    p = ngx_cpymem(p, &rec->head, ngx_http_travel_record_fixed());
    p = ngx_cpymem(p, rec->head.tags, rec->head.ntags * sizeof(uint64_t));
    p = ngx_cpymem(p, rec->head.marks, rec->head.nmarks * sizeof(uint64_t));

    fields = p;
    field = rec->fields.elts;

    for (i = 0; i < rec->fields.nelts; i++) {
        fh.name = field[i].name.len;
        fh.hidden = field[i].hidden;
        fh.value = field[i].value.len;

        p = ngx_cpymem(p, &fh, sizeof(fh));
        p = ngx_cpymem(p, field[i].name.data, field[i].name.len);

        if (field[i].value.len) {
            p = ngx_cpymem(p, field[i].value.data, field[i].value.len);
        }
    }

    len = NGX_HTTP_TRAVEL_RECORD_VERSION;
    ngx_memcpy(start + offsetof(ngx_http_travel_record_head_t, version),
               &len, sizeof(len));

    len = rec->fields.nelts;
    ngx_memcpy(start + offsetof(ngx_http_travel_record_head_t, nfields),
               &len, sizeof(len));

    len = p - fields;
    ngx_memcpy(start + offsetof(ngx_http_travel_record_head_t, fields_len),
               &len, sizeof(len));

    return p;
}


ngx_int_t
ngx_http_travel_record_read(ngx_http_request_t *r, const ngx_str_t *bytes,
    ngx_http_travel_record_t *ret_rec)
{
    u_char                         *p, *last, *end;
    ngx_uint_t                      i;
    ngx_http_travel_field_t        *field;
    ngx_http_travel_field_head_t    fh;
    ngx_http_travel_record_head_t  *head;

    p = bytes->data;
    last = p + bytes->len;
    head = &ret_rec->head;

    if (bytes->len < ngx_http_travel_record_fixed()) {
        return NGX_DECLINED;
    }

    ngx_memcpy(head, p, ngx_http_travel_record_fixed());
    p += ngx_http_travel_record_fixed();

    if (head->version != NGX_HTTP_TRAVEL_RECORD_VERSION
        || head->ntags > NGX_HTTP_TRAVEL_KEPT_TAGS_MAX
        || head->nmarks > NGX_HTTP_TRAVEL_KEPT_MARKS_MAX
        || (size_t) (last - p) < (head->ntags + head->nmarks)
                                 * sizeof(uint64_t) + head->fields_len)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(head->tags, p, head->ntags * sizeof(uint64_t));
    p += head->ntags * sizeof(uint64_t);
    ngx_memcpy(head->marks, p, head->nmarks * sizeof(uint64_t));
    p += head->nmarks * sizeof(uint64_t);

    if (ngx_array_init(&ret_rec->fields, r->pool, head->nfields + 1,
                       sizeof(ngx_http_travel_field_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    end = p + head->fields_len;

    for (i = 0; i < head->nfields; i++) {

        if ((size_t) (end - p) < sizeof(fh)) {
            return NGX_DECLINED;
        }

        ngx_memcpy(&fh, p, sizeof(fh));
        p += sizeof(fh);

        if ((size_t) (end - p) < (size_t) fh.name + fh.value) {
            return NGX_DECLINED;
        }

        field = ngx_array_push(&ret_rec->fields);
        if (field == NULL) {
            return NGX_ERROR;
        }

        field->name.data = p;
        field->name.len = fh.name;
        field->value.data = p + fh.name;
        field->value.len = fh.value;
        field->hidden = fh.hidden;

        p += (size_t) fh.name + fh.value;
    }

    ret_rec->body.data = end;
    ret_rec->body.len = last - end;

    return NGX_OK;
}


ngx_http_travel_field_t *
ngx_http_travel_record_field(const ngx_http_travel_record_t *rec,
    const char *name)
{
    ngx_uint_t                i;
    ngx_http_travel_field_t  *field;

    field = rec->fields.elts;

    for (i = 0; i < rec->fields.nelts; i++) {
        if (ngx_http_travel_name_is(&field[i].name, name)) {
            return &field[i];
        }
    }

    return NULL;
}


/* --- into a response ----------------------------------------------------- */

ngx_int_t
ngx_http_travel_record_respond(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec)
{
    ngx_http_travel_record_reset(r);

    r->headers_out.status = rec->head.status;
    r->headers_out.content_length_n = rec->body.len;

    if (rec->head.last_modified) {
        r->headers_out.last_modified_time = rec->head.last_modified;
    }

    if (ngx_http_travel_record_fields(r, rec) != NGX_OK
        || ngx_http_travel_record_date(r, rec) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* nginx's own filter is left what needs no answer here: If-Match and
     * If-Unmodified-Since */

    r->disable_not_modified = 0;

    if (rec->head.status == NGX_HTTP_OK) {

        if (!ngx_http_travel_record_changed(r, rec)) {
            ngx_http_travel_record_unchanged(r);
            return NGX_OK;
        }

        r->allow_ranges = 1;
        r->single_range = 0;
    }

    return NGX_OK;
}


/* --- its coding ---------------------------------------------------------- */

void
ngx_http_travel_record_judge_coding(ngx_http_request_t *r,
    ngx_http_travel_record_t *rec)
{
    rec->head.packable = ngx_http_travel_packed_conf(r)->level != 0
                         && ngx_http_travel_record_packable(r, rec);
}


static ngx_uint_t
ngx_http_travel_record_packable(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec)
{
    ngx_str_t               value;
    travel_cache_control_t  cc;

    if (rec->head.status != NGX_HTTP_OK
        || ngx_http_travel_record_field(rec, "content-encoding") != NULL
        || ngx_http_travel_record_field(rec, "content-digest") != NULL
        || ngx_http_travel_record_field(rec, "content-md5") != NULL
        || !ngx_http_travel_record_type_in(
               rec, &ngx_http_travel_packed_conf(r)->types)
        || ngx_http_travel_fields_join(r, &rec->fields, "cache-control",
                                       &value)
           != NGX_OK)
    {
        return 0;
    }

    ngx_memzero(&cc, sizeof(cc));
    travel_cache_control_parse(&cc, ngx_http_travel_view(&value));

    return !(cc.set & TRAVEL_CC_NO_TRANSFORM);
}


static ngx_uint_t
ngx_http_travel_record_type_in(const ngx_http_travel_record_t *rec,
    ngx_hash_t *types)
{
    size_t                    len;
    u_char                    type[NGX_HTTP_TRAVEL_RECORD_TYPE];
    ngx_uint_t                hash;
    ngx_http_travel_field_t  *field;

    field = ngx_http_travel_record_field(rec, "content-type");

    if (field == NULL) {
        return 0;
    }

    if (types->size == 0) {
        return 1;                        /* "*" */
    }

    len = ngx_min(rec->head.type_len, field->value.len);

    if (len > sizeof(type)) {
        return 0;
    }

    hash = ngx_hash_strlow(type, field->value.data, len);

    return ngx_hash_find(types, hash, type, len) != NULL;
}


ngx_int_t
ngx_http_travel_record_coding(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec)
{
    ngx_str_t  value;

    if (!rec->head.packable || ngx_http_travel_packed_conf(r)->level == 0) {
        return NGX_OK;
    }

    if (ngx_http_travel_fields_join(r, &rec->fields, "vary", &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((value.len == 0
         || ngx_strlcasestrn(value.data, value.data + value.len,
                             (u_char *) "accept-encoding",
                             sizeof("accept-encoding") - 2)
            == NULL)
        && ngx_http_travel_packed_vary(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!rec->packed) {
        return NGX_OK;
    }

    return (r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
           ? ngx_http_travel_packed_weaken(r)
           : ngx_http_travel_packed_said(r);
}


void
ngx_http_travel_record_unchanged(ngx_http_request_t *r)
{
    r->headers_out.status = NGX_HTTP_NOT_MODIFIED;
    r->headers_out.status_line.len = 0;
    r->headers_out.content_type.len = 0;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    if (r->headers_out.content_encoding) {
        r->headers_out.content_encoding->hash = 0;
        r->headers_out.content_encoding = NULL;
    }
}


/* As if nothing had been said yet. */
void
ngx_http_travel_record_reset(ngx_http_request_t *r)
{
    ngx_memzero(&r->headers_out.status,
                sizeof(ngx_http_headers_out_t)
                - offsetof(ngx_http_headers_out_t, status));

    r->headers_out.headers.part.nelts = 0;
    r->headers_out.headers.part.next = NULL;
    r->headers_out.headers.last = &r->headers_out.headers.part;

    r->headers_out.trailers.part.nelts = 0;
    r->headers_out.trailers.part.next = NULL;
    r->headers_out.trailers.last = &r->headers_out.trailers.part;

    r->headers_out.content_length_n = -1;
    r->headers_out.last_modified_time = -1;

    r->err_status = 0;
}


static ngx_int_t
ngx_http_travel_record_fields(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec)
{
    ngx_uint_t                i, k;
    ngx_table_elt_t          *h, **slot;
    ngx_http_travel_field_t  *field;

    /* what nginx's filters find by a pointer */

    static const struct {
        const char  *name;
        size_t       offset;
    } known[] = {
        { "etag", offsetof(ngx_http_headers_out_t, etag) },
        { "last-modified", offsetof(ngx_http_headers_out_t, last_modified) },
        { "expires", offsetof(ngx_http_headers_out_t, expires) },
        { "server", offsetof(ngx_http_headers_out_t, server) },
        { "www-authenticate",
          offsetof(ngx_http_headers_out_t, www_authenticate) },
        { "content-encoding",
          offsetof(ngx_http_headers_out_t, content_encoding) },
    };

    field = rec->fields.elts;

    for (i = 0; i < rec->fields.nelts; i++) {

        if (field[i].hidden) {
            continue;
        }

        if (ngx_http_travel_name_is(&field[i].name, "content-type")) {
            r->headers_out.content_type = field[i].value;
            r->headers_out.content_type_len = ngx_min(rec->head.type_len,
                                                      field[i].value.len);
            continue;
        }

        h = ngx_http_travel_push_field(r, &field[i].name, &field[i].value);
        if (h == NULL) {
            return NGX_ERROR;
        }

        for (k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            if (ngx_http_travel_name_is(&field[i].name, known[k].name)) {
                slot = (ngx_table_elt_t **)
                       ((u_char *) &r->headers_out + known[k].offset);
                *slot = h;
            }
        }

#if (nginx_version < 1023000)

        if (ngx_http_travel_name_is(&field[i].name, "cache-control")) {

            if (r->headers_out.cache_control.elts == NULL
                && ngx_array_init(&r->headers_out.cache_control, r->pool, 1,
                                  sizeof(ngx_table_elt_t *))
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            slot = ngx_array_push(&r->headers_out.cache_control);
            if (slot == NULL) {
                return NGX_ERROR;
            }

            *slot = h;
        }

#else

        if (ngx_http_travel_name_is(&field[i].name, "cache-control")) {
            slot = &r->headers_out.cache_control;

            while (*slot) {
                slot = &(*slot)->next;
            }

            *slot = h;
        }

#endif
    }

    return NGX_OK;
}


/* When the answer was made, not when it goes out again. */
static ngx_int_t
ngx_http_travel_record_date(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec)
{
    ngx_str_t  value;

    static const ngx_str_t  name = ngx_string("Date");

    value.len = TRAVEL_HTTP_DATE_LEN;
    value.data = ngx_pnalloc(r->pool, TRAVEL_HTTP_DATE_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    travel_http_date_format((char *) value.data, rec->head.date);

    r->headers_out.date = ngx_http_travel_push_field(r, &name, &value);

    return r->headers_out.date ? NGX_OK : NGX_ERROR;
}


/* --- the client's conditions (RFC 9110 section 13) ----------------------- */

ngx_uint_t
ngx_http_travel_record_changed(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec)
{
    int64_t           since, modified;
    ngx_str_t        *value;
    ngx_table_elt_t  *h;

    if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) {
        return 1;
    }

    h = r->headers_in.if_none_match;

    if (h != NULL) {
        value = r->headers_out.etag ? &r->headers_out.etag->value : NULL;
        return !ngx_http_travel_record_etag_in(&h->value, value);
    }

    h = r->headers_in.if_modified_since;

    if (h == NULL
        || travel_http_date_parse(&since, ngx_http_travel_view(&h->value),
                                  ngx_time())
           != TRAVEL_OK)
    {
        return 1;
    }

    /* where the origin names no time, the answer is as old as its date */
    modified = rec->head.last_modified ? rec->head.last_modified
                                       : rec->head.date;

    return modified > since;
}


static ngx_uint_t
ngx_http_travel_record_etag_in(const ngx_str_t *list, const ngx_str_t *etag)
{
    u_char     *p, *last, *start;
    ngx_str_t   bare;

    p = list->data;
    last = p + list->len;

    if (list->len == 1 && *p == '*') {
        return 1;
    }

    if (etag == NULL) {
        return 0;
    }

    /* the comparison is the weak one: W/ does not count */

    bare = *etag;

    if (bare.len > 2 && bare.data[0] == 'W' && bare.data[1] == '/') {
        bare.data += 2;
        bare.len -= 2;
    }

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        if (last - p > 2 && p[0] == 'W' && p[1] == '/') {
            p += 2;
        }

        start = p;

        if (p < last && *p == '"') {
            for (p++; p < last && *p != '"'; p++) {
                /* void */
            }

            p += (p < last);

        } else {
            while (p < last && *p != ',') {
                p++;
            }
        }

        if ((size_t) (p - start) == bare.len
            && ngx_memcmp(start, bare.data, bare.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
