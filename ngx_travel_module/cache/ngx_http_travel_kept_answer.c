/*
 * What the upstream said: filters that stand before all others, so that they
 * see it as it came.
 *
 * An answer that may be stored is copied as it goes by, at most max_size bytes
 * of it, and kept when its end has come: one that breaks off never is.  What
 * the client gets instead of it (the stored answer after a 304 or an error) is
 * put in the place of the header, and of the body when that begins.
 *
 * A client that is told 304 from a new answer has nothing more to wait for, yet
 * the answer is read to its end: r->header_only, by which nginx would stop, is
 * taken back, and the body goes no further than this filter.  So it is with a
 * background request.
 */

#include "ngx_http_travel_kept.h"
#include "../net/ngx_http_travel_redis.h"


#define NGX_HTTP_TRAVEL_KEPT_PASS_TTL  10000     /* ms */
#define NGX_HTTP_TRAVEL_KEPT_NAMES_TTL (24 * 3600 * 1000)  /* at least */
#define NGX_HTTP_TRAVEL_KEPT_GROW      4096


static ngx_int_t ngx_http_travel_kept_header_filter(ngx_http_request_t *r);
static ngx_uint_t ngx_http_travel_kept_differs(ngx_http_request_t *r,
    const ngx_http_travel_record_t *old);
static ngx_int_t ngx_http_travel_kept_failed(ngx_http_travel_kept_t *h);
static ngx_int_t ngx_http_travel_kept_next(ngx_http_travel_kept_t *h);
static void ngx_http_travel_kept_strip(ngx_http_request_t *r);

static ngx_int_t ngx_http_travel_kept_received(ngx_http_travel_kept_t *h);
static const char *ngx_http_travel_kept_judged(ngx_http_travel_kept_t *h,
    ngx_array_t *fields, ngx_uint_t status,
    ngx_http_travel_record_t *ret_rec, ngx_http_travel_meaning_t *meaning);
static ngx_int_t ngx_http_travel_kept_place(ngx_http_travel_kept_t *h,
    ngx_http_travel_meaning_t *meaning, ngx_http_travel_record_t *rec);
static ngx_int_t ngx_http_travel_kept_confirmed(ngx_http_travel_kept_t *h);
static ngx_int_t ngx_http_travel_kept_replace(ngx_http_travel_kept_t *h,
    ngx_http_travel_record_t *rec, const char *detail, ngx_uint_t status);

static ngx_int_t ngx_http_travel_kept_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_travel_kept_take(ngx_http_travel_kept_t *h,
    ngx_chain_t *in);
static ngx_int_t ngx_http_travel_kept_room(ngx_http_travel_kept_t *h,
    size_t len);
static void ngx_http_travel_kept_consume(ngx_chain_t *in);
static ngx_int_t ngx_http_travel_kept_flush(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


void
ngx_http_travel_kept_filters(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_travel_kept_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_travel_kept_body_filter;
}


/* --- the header ---------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_kept_header_filter(ngx_http_request_t *r)
{
    ngx_uint_t               moved, status;
    ngx_http_travel_kept_t  *h;

    h = ngx_http_travel_kept_find(r, &moved);

    if (h == NULL
        || (h->state != NGX_HTTP_TRAVEL_KEPT_PASS
            && h->state != NGX_HTTP_TRAVEL_KEPT_FILL))
    {
        return (h != NULL && h->background) ? NGX_OK
                                            : ngx_http_next_header_filter(r);
    }

    status = r->headers_out.status;

    if (h->old != NULL && !h->background
        && (status == NGX_HTTP_INTERNAL_SERVER_ERROR
            || status == NGX_HTTP_BAD_GATEWAY
            || status == NGX_HTTP_SERVICE_UNAVAILABLE
            || status == NGX_HTTP_GATEWAY_TIME_OUT)
        && travel_http_stands_in(&h->old->head.fresh, &h->cc,
                                 ngx_http_travel_kept_now()))
    {
        ngx_http_travel_count(ngx_http_travel_kept.stood_in, 1);
        ngx_http_travel_kept_end_fill(h);
        return ngx_http_travel_kept_replace(h, h->old, "stale-if-error",
                                            status);
    }

    /* nginx's own answer, or that of a place to which an error led */

    if (moved || r->upstream == NULL
        || r->upstream->headers_in.status_n != status)
    {
        return ngx_http_travel_kept_failed(h);
    }

    if (h->unsafe && status < NGX_HTTP_BAD_REQUEST) {
        ngx_http_travel_marks_unsafe(h);
    }

    if (h->state == NGX_HTTP_TRAVEL_KEPT_FILL) {
        return (status == NGX_HTTP_NOT_MODIFIED && h->asks)
               ? ngx_http_travel_kept_confirmed(h)
               : ngx_http_travel_kept_received(h);
    }

    if (r->method == NGX_HTTP_HEAD && h->old != NULL && status == NGX_HTTP_OK
        && ngx_http_travel_kept_differs(r, h->old))
    {
        ngx_http_travel_marks_outdate(h, &h->target);
    }

    h->state = NGX_HTTP_TRAVEL_KEPT_OVER;

    if (ngx_http_travel_kept_status(r, "fwd=%s; fwd-status=%ui", h->fwd,
                                    status)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_kept_next(h);
}


/* Does the header of a new answer tell of another body?  Section 4.3.5. */
static ngx_uint_t
ngx_http_travel_kept_differs(ngx_http_request_t *r,
    const ngx_http_travel_record_t *old)
{
    ngx_http_travel_field_t  *etag;

    if (r->headers_out.content_length_n >= 0
        && r->headers_out.content_length_n != (off_t) old->body.len)
    {
        return 1;
    }

    if (old->head.last_modified && r->headers_out.last_modified_time > 0
        && r->headers_out.last_modified_time != old->head.last_modified)
    {
        return 1;
    }

    etag = ngx_http_travel_record_field(old, "etag");

    return etag != NULL && r->headers_out.etag != NULL
           && (r->headers_out.etag->value.len != etag->value.len
               || ngx_memcmp(r->headers_out.etag->value.data,
                             etag->value.data, etag->value.len)
                  != 0);
}


/* The upstream did not answer.  What must be validated is then not to be had
 * (RFC 9111 section 5.2.2.2). */
static ngx_int_t
ngx_http_travel_kept_failed(ngx_http_travel_kept_t *h)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = h->request;

    h->state = NGX_HTTP_TRAVEL_KEPT_OVER;
    ngx_http_travel_kept_end_fill(h);

    if (h->background) {
        return NGX_OK;
    }

    if (h->old == NULL || r->headers_out.status != NGX_HTTP_BAD_GATEWAY
        || !(h->old->head.fresh.flags & (TRAVEL_HTTP_NEVER_STALE
                                         |TRAVEL_HTTP_ALWAYS_ASK)))
    {
        return ngx_http_next_header_filter(r);
    }

    ngx_http_travel_record_reset(r);

    rc = ngx_http_travel_error(r, TRAVEL_E_GATEWAY_TIMEOUT,
                               "The stored answer must be validated, and its "
                               "origin cannot be reached.");

    /* what was to be the body is not */
    h->state = NGX_HTTP_TRAVEL_KEPT_REPLACE;

    return rc;
}


static ngx_int_t
ngx_http_travel_kept_next(ngx_http_travel_kept_t *h)
{
    ngx_http_travel_kept_strip(h->request);

    return h->background ? NGX_OK : ngx_http_next_header_filter(h->request);
}


/* Fields that are addressed to this cache. */
static void
ngx_http_travel_kept_strip(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_http_travel_name_is(&h[i].key, "surrogate-key")
            || ngx_http_travel_name_is(&h[i].key, "surrogate-control")
            || ngx_http_travel_name_is(&h[i].key, "ngx-travel-cache-control"))
        {
            h[i].hash = 0;
        }
    }
}


/* RFC 9211: a line of its own is appended to what caches before said. */
ngx_int_t
ngx_http_travel_kept_status(ngx_http_request_t *r, const char *fmt, ...)
{
    u_char     *p, buf[256];
    va_list     args;
    ngx_str_t   value;

    p = ngx_cpymem(buf, "ngx_travel; ", sizeof("ngx_travel; ") - 1);

    va_start(args, fmt);
    p = ngx_vslprintf(p, buf + sizeof(buf), fmt, args);
    va_end(args);

    value.len = p - buf;
    value.data = ngx_pnalloc(r->pool, value.len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(value.data, buf, value.len);

    return ngx_http_travel_add_header(r, "Cache-Status", &value);
}


ngx_int_t
ngx_http_travel_kept_age(ngx_http_request_t *r, uint32_t age)
{
    return ngx_http_travel_add_number(r, "Age", age);
}


/* --- a full answer ------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_kept_received(ngx_http_travel_kept_t *h)
{
    ngx_int_t                   rc;
    ngx_uint_t                  status;
    const char                 *why, *vain;
    ngx_array_t                 fields;
    ngx_http_request_t         *r;
    ngx_http_travel_record_t   *rec;
    ngx_http_travel_meaning_t   meaning;

    r = h->request;
    status = r->headers_out.status;
    vain = h->joins ? "; collapsed=?0" : "";

    rec = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_record_t));

    if (rec == NULL || ngx_http_travel_fields_collect(r, &fields) != NGX_OK) {
        return NGX_ERROR;
    }

    h->expected = r->headers_out.content_length_n;

    why = ngx_http_travel_kept_judged(h, &fields, status, rec, &meaning);

    if (why == NULL && h->expected > (off_t) h->conf->max_size) {
        why = "max_size";
    }

    if (why == NULL) {
        ngx_http_travel_record_judge_coding(r, rec);

        h->head = ngx_http_travel_record_size(rec);
        h->size = h->head + (h->expected >= 0 ? (size_t) h->expected
                                              : NGX_HTTP_TRAVEL_KEPT_GROW);
        h->capture = ngx_palloc(r->pool, h->size);

        if (h->capture == NULL) {
            return NGX_ERROR;
        }

        h->captured = ngx_http_travel_record_write(h->capture, rec)
                      - h->capture;
        h->state = NGX_HTTP_TRAVEL_KEPT_CAPTURE;

        if (ngx_http_travel_record_coding(r, rec) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = ngx_http_travel_kept_status(r, "fwd=%s; fwd-status=%ui; stored%s; "
                                         "ttl=%L", h->fwd, status, vain,
                                         (int64_t) rec->head.fresh.lifetime
                                         - rec->head.fresh.initial_age);

    } else {
        h->state = NGX_HTTP_TRAVEL_KEPT_OVER;
        ngx_http_travel_kept_refused(h, status);

        rc = ngx_http_travel_kept_status(r, "fwd=%s; fwd-status=%ui%s; "
                                         "detail=%s", h->fwd, status, vain,
                                         why);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    /* the conditions were kept from the upstream: they are answered here */

    if (status == NGX_HTTP_OK && !ngx_http_travel_record_changed(r, rec)) {
        ngx_http_travel_record_unchanged(r);
    }

    rc = ngx_http_travel_kept_next(h);

    if (h->background && r->upstream->buffering) {
        /* no temporary file for what goes nowhere */
        r->upstream->buffering = 0;

    } else if (r->header_only && h->state == NGX_HTTP_TRAVEL_KEPT_CAPTURE
               && rc == NGX_OK)
    {
        r->header_only = 0;
        h->silent = 1;
    }

    return rc;
}


void
ngx_http_travel_kept_refused(ngx_http_travel_kept_t *h, ngx_uint_t status)
{
    if (status < NGX_HTTP_INTERNAL_SERVER_ERROR) {
        ngx_http_travel_kept_note(h, &h->fill, NGX_HTTP_TRAVEL_RECORD_PASS,
                                  NULL, NGX_HTTP_TRAVEL_KEPT_PASS_TTL);
    }

    ngx_http_travel_count(ngx_http_travel_kept.refused, 1);
    ngx_http_travel_kept_end_fill(h);
}


/* NULL: it may be stored, as *ret_rec; else why not. */
static const char *
ngx_http_travel_kept_judged(ngx_http_travel_kept_t *h, ngx_array_t *fields,
    ngx_uint_t status, ngx_http_travel_record_t *ret_rec,
    ngx_http_travel_meaning_t *meaning)
{
    uint32_t                set;
    const char             *why;
    ngx_uint_t              i, n;
    travel_http_facts_t    *answer;
    travel_http_policy_t    policy;
    ngx_http_travel_field_t  *field;

    ngx_http_travel_fields_read(h->request, fields, meaning);

    answer = &meaning->answer;
    answer->status = status;
    answer->asked_ms = h->asked_ms;
    answer->came_ms = ngx_http_travel_kept_now();
    answer->credentials = h->credentials || h->user.len != 0;

    /* whose it is */

    set = answer->cc.set;
    policy = h->conf->policy;

    h->open = h->user.len == 0
              || (h->conf->mode == NGX_HTTP_TRAVEL_KEPT_AUTO
                  && !(set & TRAVEL_CC_PRIVATE)
                  && (set & (TRAVEL_CC_PUBLIC|TRAVEL_CC_S_MAXAGE)));

    policy.shared = h->open;
    answer->credentials_ours = !h->open;

    /* known in any case, for the client's conditions */

    ret_rec->head.kind = NGX_HTTP_TRAVEL_RECORD_ANSWER;
    ret_rec->head.status = status;
    ret_rec->head.date = answer->date ? answer->date
                                      : answer->came_ms / 1000;
    ret_rec->head.last_modified = answer->last_modified;
    ret_rec->head.type_len = h->request->headers_out.content_type_len;

    why = travel_http_storable(answer, &policy);

    if (why != NULL) {
        return why;
    }

    if (meaning->cookie) {

        if (!(h->conf->ignore & NGX_HTTP_TRAVEL_KEPT_IGNORE_COOKIE)) {
            return "set-cookie";
        }

        /* one caller's cookie is not the next one's */

        field = fields->elts;

        for (i = 0, n = 0; i < fields->nelts; i++) {
            if (!ngx_http_travel_name_is(&field[i].name, "set-cookie")) {
                field[n++] = field[i];
            }
        }

        fields->nelts = n;
    }

    travel_http_assess(&ret_rec->head.fresh, answer, &policy);
    ret_rec->fields = *fields;

    if (ngx_http_travel_kept_depends(h, fields, ret_rec) != NGX_OK) {
        return "tags";
    }

    if (!ngx_http_travel_kept_keepable(h, ret_rec)) {
        return "invalidated";
    }

    if (ngx_http_travel_kept_place(h, meaning, ret_rec) != NGX_OK) {
        return "memory";
    }

    return NULL;
}


/* Tags and marks: the directive's, the upstream's, the URI's, its groups'. */
ngx_int_t
ngx_http_travel_kept_depends(ngx_http_travel_kept_t *h,
    const ngx_array_t *fields, ngx_http_travel_record_t *rec)
{
    u_char     *p, *last, *start;
    ngx_int_t   i, n;
    ngx_str_t   value, groups[NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX];

    rec->head.generation = h->look.generation;
    rec->head.era = h->look.era;
    rec->head.pos = h->look.pos;
    rec->head.seq = h->seq;

    rec->head.ntags = h->ntags;
    ngx_memcpy(rec->head.tags, h->tags, h->ntags * sizeof(uint64_t));

    rec->head.nmarks = 1;
    rec->head.marks[0] = h->uri;

    if (h->conf->key != NULL) {
        rec->head.marks[rec->head.nmarks++] = h->named;
    }

    if (ngx_http_travel_fields_join(h->request, fields, "surrogate-key",
                                    &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = value.data;
    last = p + value.len;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == ',')) {
            p++;
        }

        start = p;

        while (p < last && *p != ' ' && *p != ',') {
            p++;
        }

        if (p == start) {
            break;
        }

        if (rec->head.ntags == NGX_HTTP_TRAVEL_KEPT_TAGS_MAX) {
            return NGX_ERROR;
        }

        rec->head.tags[rec->head.ntags++]
            = travel_siphash(ngx_http_travel_node_key(), start, p - start);
    }

    n = ngx_http_travel_kept_groups_of(h->request, fields, groups);

    for (i = 0; i < n; i++) {
        rec->head.marks[rec->head.nmarks++]
            = ngx_http_travel_mark_of(&groups[i]);
    }

    return n < 0 ? NGX_ERROR : NGX_OK;
}


/* The key under which it is stored, and what stands at the resource's own. */
static ngx_int_t
ngx_http_travel_kept_place(ngx_http_travel_kept_t *h,
    ngx_http_travel_meaning_t *meaning, ngx_http_travel_record_t *rec)
{
    size_t                   i;
    u_char                  *p;
    ngx_str_t                user, variant, names;
    ngx_msec_t               ttl, names_ttl;
    ngx_http_travel_fill_t   base;

    ngx_str_null(&user);
    ngx_str_null(&variant);

    if (!h->open) {
        user = h->user;
    }

    ttl = (ngx_msec_t) travel_http_retention(&rec->head.fresh) * 1000;

    if (meaning->vary.n) {
        /* not before the answers that it leads to */
        names_ttl = ngx_max(ttl, NGX_HTTP_TRAVEL_KEPT_NAMES_TTL);

        if (ngx_http_travel_kept_key(h, &user, &variant, &base) != NGX_OK
            || ngx_http_travel_kept_variant(h->request, meaning->vary.names,
                                            meaning->vary.n, &variant)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        names.data = ngx_pnalloc(h->request->pool,
                                 meaning->vary.used + meaning->vary.n);
        if (names.data == NULL) {
            return NGX_ERROR;
        }

        for (i = 0, p = names.data; i < meaning->vary.n; i++) {
            p = ngx_cpymem(p, meaning->vary.names[i].data,
                           meaning->vary.names[i].len);
            *p++ = ' ';
        }

        names.len = p - names.data;

        ngx_http_travel_kept_note(h, &base, NGX_HTTP_TRAVEL_RECORD_VARIANTS,
                                  &names, names_ttl);
        h->names = names;
    }

    h->owner = user;
    h->variant = variant;

    if (ngx_http_travel_kept_key(h, &user, &variant, &h->store) != NGX_OK) {
        return NGX_ERROR;
    }

    h->store.ttl = ngx_min(h->store.ttl, ttl);

    return NGX_OK;
}


/* --- the stored answer goes out ------------------------------------------ */

/* 304: it is as it was, and its fields are those that came now. */
static ngx_int_t
ngx_http_travel_kept_confirmed(ngx_http_travel_kept_t *h)
{
    ngx_str_t                   etag;
    ngx_uint_t                  typed;
    ngx_array_t                 fields;
    ngx_http_request_t         *r;
    ngx_http_travel_field_t    *was, *is;
    ngx_http_travel_record_t   *rec;
    ngx_http_travel_meaning_t   meaning;

    r = h->request;

    rec = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_record_t));

    if (rec == NULL || ngx_http_travel_fields_collect(r, &fields) != NGX_OK) {
        return NGX_ERROR;
    }

    rec->fields = fields;
    was = ngx_http_travel_record_field(h->old, "etag");
    is = ngx_http_travel_record_field(rec, "etag");
    etag = is ? is->value : (ngx_str_t) ngx_null_string;
    typed = ngx_http_travel_record_field(rec, "content-type") != NULL;

    if (ngx_http_travel_fields_merge(r, h->old, &fields) != NGX_OK) {
        return NGX_ERROR;
    }

    if (etag.len && was != NULL
        && (etag.len != was->value.len
            || ngx_memcmp(etag.data, was->value.data, etag.len) != 0))
    {
        /* it speaks of another one: nothing is learnt (section 4.3.4) */
        ngx_http_travel_kept_end_fill(h);
        rec = h->old;

    } else if (ngx_http_travel_kept_judged(h, &fields, h->old->head.status,
                                           rec, &meaning)
               == NULL)
    {
        if (!typed) {
            rec->head.type_len = h->old->head.type_len;
        }

        ngx_http_travel_record_judge_coding(r, rec);

        rec->body = h->old->body;
        h->head = ngx_http_travel_record_size(rec);
        h->size = h->head + rec->body.len;
        h->capture = ngx_palloc(r->pool, h->size);

        if (h->capture == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(ngx_http_travel_record_write(h->capture, rec),
                   rec->body.data, rec->body.len);
        h->captured = h->size;
        h->expected = rec->body.len;
        ngx_http_travel_kept_keep(h);

    } else {
        rec->fields = fields;
        rec->body = h->old->body;
        rec->head.fresh = h->old->head.fresh;
        ngx_http_travel_kept_refused(h, NGX_HTTP_OK);
    }

    ngx_http_travel_count(ngx_http_travel_kept.revalidated, 1);

    return ngx_http_travel_kept_replace(h, rec, NULL, NGX_HTTP_NOT_MODIFIED);
}


static ngx_int_t
ngx_http_travel_kept_replace(ngx_http_travel_kept_t *h,
    ngx_http_travel_record_t *rec, const char *detail, ngx_uint_t status)
{
    ngx_int_t               rc;
    ngx_buf_t              *b;
    ngx_http_request_t     *r;
    ngx_http_travel_ctx_t  *ctx;

    r = h->request;
    h->state = NGX_HTTP_TRAVEL_KEPT_REPLACE;

    if (h->background) {
        return NGX_OK;
    }

    ctx = ngx_http_travel_get_ctx(r);
    ctx->cache_status = detail ? "STALE" : "REVALIDATED";

    if (ngx_http_travel_record_respond(r, rec) != NGX_OK
        || ngx_http_travel_record_coding(r, rec) != NGX_OK
        || ngx_http_travel_kept_age(r,
                                    travel_http_age(&rec->head.fresh,
                                                  ngx_http_travel_kept_now()))
           != NGX_OK
        || ngx_http_travel_kept_status(r, "fwd=%s; fwd-status=%ui%s%s",
                                       h->fwd, status,
                                       detail ? "; detail=" : "",
                                       detail ? detail : "")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    h->out = ngx_alloc_chain_link(r->pool);
    b = ngx_calloc_buf(r->pool);

    if (h->out == NULL || b == NULL) {
        return NGX_ERROR;
    }

    b->pos = rec->body.data;
    b->last = b->pos + rec->body.len;
    b->memory = rec->body.len ? 1 : 0;
    b->last_buf = 1;
    b->last_in_chain = 1;

    h->out->buf = b;
    h->out->next = NULL;

    rc = ngx_http_next_header_filter(r);

    if (r->header_only) {
        h->out = NULL;
    }

    return rc;
}


/* --- the body ------------------------------------------------------------ */

static ngx_int_t
ngx_http_travel_kept_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_uint_t               moved;
    ngx_chain_t             *out;
    ngx_http_travel_kept_t  *h;

    h = ngx_http_travel_kept_find(r, &moved);

    if (h == NULL || (in == NULL && !h->background)) {
        return ngx_http_next_body_filter(r, in);
    }

    if (h->state == NGX_HTTP_TRAVEL_KEPT_CAPTURE && !moved
        && ngx_http_travel_kept_take(h, in) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (h->state == NGX_HTTP_TRAVEL_KEPT_REPLACE && h->out != NULL) {
        ngx_http_travel_kept_consume(in);

        out = h->out;
        h->out = NULL;

        return ngx_http_next_body_filter(r, out);
    }

    if (h->silent || h->state == NGX_HTTP_TRAVEL_KEPT_REPLACE) {
        ngx_http_travel_kept_consume(in);
        return ngx_http_travel_kept_flush(r);
    }

    return ngx_http_next_body_filter(r, in);
}


/* Copies what goes by; NGX_OK also when it is too much and given up. */
static ngx_int_t
ngx_http_travel_kept_take(ngx_http_travel_kept_t *h, ngx_chain_t *in)
{
    size_t       len;
    ssize_t      n;
    ngx_buf_t   *b;
    ngx_uint_t   last;

    for (last = 0; in != NULL; in = in->next) {
        b = in->buf;

        if (b->last_buf || (h->background && b->last_in_chain)) {
            last = 1;
        }

        if (ngx_buf_special(b)) {
            continue;
        }

        len = ngx_buf_size(b);

        if (ngx_http_travel_kept_room(h, len) != NGX_OK) {
            h->state = NGX_HTTP_TRAVEL_KEPT_OVER;
            ngx_http_travel_kept_refused(h, NGX_HTTP_OK);
            return NGX_OK;
        }

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(h->capture + h->captured, b->pos, len);

        } else {
            /* a temporary file just written, as nginx's own filters read it */

            n = ngx_read_file(b->file, h->capture + h->captured, len,
                              b->file_pos);

            if (n != (ssize_t) len) {
                return NGX_ERROR;
            }
        }

        h->captured += len;
    }

    if (last) {
        h->state = NGX_HTTP_TRAVEL_KEPT_OVER;
        ngx_http_travel_kept_keep(h);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_kept_room(ngx_http_travel_kept_t *h, size_t len)
{
    u_char  *p;
    size_t   size;

    if (h->captured + len <= h->size) {
        return NGX_OK;
    }

    if (h->captured + len - h->head > h->conf->max_size) {
        return NGX_DECLINED;
    }

    size = ngx_max(2 * h->size, h->captured + len);
    size = ngx_min(size, h->head + h->conf->max_size);

    p = ngx_palloc(h->request->pool, size);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    ngx_memcpy(p, h->capture, h->captured);
    (void) ngx_pfree(h->request->pool, h->capture);

    h->capture = p;
    h->size = size;

    return NGX_OK;
}


static void
ngx_http_travel_kept_consume(ngx_chain_t *in)
{
    for ( /* void */ ; in != NULL; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
    }
}


/* Only what is still on its way: an empty chain is none to send. */
static ngx_int_t
ngx_http_travel_kept_flush(ngx_http_request_t *r)
{
    if (r != r->main
        || (r->out == NULL && !r->buffered && !r->connection->buffered))
    {
        return NGX_OK;
    }

    return ngx_http_next_body_filter(r, NULL);
}
