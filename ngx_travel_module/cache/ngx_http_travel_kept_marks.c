/*
 * What unsafe requests have made invalid: URIs (RFC 9111 section 4.4) and
 * groups (RFC 9875), on this node; l2=on tells the others (kept_l2.c).
 *
 * A zone of one shard: a sequence, and a table of hashed slots, each with the
 * number of the last invalidation that fell into it.  A fill notes the sequence
 * as it begins; its answer is valid while none of its slots shows more.  Two
 * that share a slot invalidate each other, never more than that.
 *
 * No lock: the sequence only grows and a slot only rises, each in one atomic
 * step, so that a worker's death leaves nothing half done.  Numbers begin at
 * the clock: those of a table that was made anew are above all before it.
 */

#include "ngx_http_travel_kept.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/http_target.h"


typedef struct {
    uint64_t      seq;              /* of the last invalidation */
    uint64_t      nslots;
    uint64_t      slots[1];
} ngx_http_travel_marks_t;


static void ngx_http_travel_marks_reference(ngx_http_travel_kept_t *h,
    const ngx_str_t *ref);
static void ngx_http_travel_marks_groups(ngx_http_travel_kept_t *h,
    const ngx_str_t *field);


ngx_int_t
ngx_http_travel_marks_init(ngx_http_travel_shard_t *shard)
{
    size_t                    room;
    ngx_http_travel_marks_t  *m;

    room = (shard->pool->pfree - 1) * ngx_pagesize;

    m = ngx_slab_calloc_locked(shard->pool, room);
    if (m == NULL) {
        return NGX_ERROR;
    }

    m->nslots = (room - offsetof(ngx_http_travel_marks_t, slots))
                / sizeof(uint64_t);
    shard->data = m;

    return NGX_OK;
}


static ngx_http_travel_marks_t *
ngx_http_travel_marks(void)
{
    return ngx_http_travel_kept.marks->shards[0].data;
}


uint64_t
ngx_http_travel_marks_now(void)
{
    return __atomic_load_n(&ngx_http_travel_marks()->seq, __ATOMIC_SEQ_CST);
}


void
ngx_http_travel_mark(uint64_t mark)
{
    uint64_t                  seq, next, was, *slot;
    ngx_http_travel_marks_t  *m;

    m = ngx_http_travel_marks();
    slot = &m->slots[mark % m->nslots];
    seq = __atomic_load_n(&m->seq, __ATOMIC_SEQ_CST);

    do {
        next = ngx_max(seq + 1,
                       (uint64_t) ngx_http_travel_kept_now() << 16);
    } while (!__atomic_compare_exchange_n(&m->seq, &seq, next, 0,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));

    was = __atomic_load_n(slot, __ATOMIC_SEQ_CST);

    while (was < next
           && !__atomic_compare_exchange_n(slot, &was, next, 0,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    {
        /* void */
    }

    ngx_http_travel_count(ngx_http_travel_kept.dropped, 1);
}


ngx_uint_t
ngx_http_travel_marked(uint64_t mark, uint64_t seq)
{
    ngx_http_travel_marks_t  *m;

    m = ngx_http_travel_marks();

    return __atomic_load_n(&m->slots[mark % m->nslots], __ATOMIC_SEQ_CST)
           > seq;
}


/* --- what is marked ------------------------------------------------------ */

static travel_str_t
ngx_http_travel_scheme(ngx_http_request_t *r)
{
#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        return TRAVEL_STR("https");
    }
#endif

    return TRAVEL_STR("http");
}


/* A request line that names a host decides (RFC 9112 section 3.2.2). */
static void
ngx_http_travel_authority(ngx_http_request_t *r, ngx_str_t *ret_host)
{
    if (r->host_start == NULL) {
        *ret_host = r->headers_in.host ? r->headers_in.host->value
                                       : r->headers_in.server;
        return;
    }

    ret_host->data = r->host_start;
    ret_host->len = (r->port_end ? r->port_end : r->host_end) - r->host_start;
}


/* Then an upstream that is told Host answers for another resource. */
ngx_uint_t
ngx_http_travel_two_hosts(ngx_http_request_t *r)
{
    u_char        buf[2][256];
    size_t        len[2];
    ngx_str_t     host;
    travel_str_t  scheme;

    if (r->host_start == NULL || r->headers_in.host == NULL) {
        return 0;
    }

    ngx_http_travel_authority(r, &host);

    if (host.len > sizeof(buf[0])
        || r->headers_in.host->value.len > sizeof(buf[0]))
    {
        return 1;
    }

    scheme = ngx_http_travel_scheme(r);
    len[0] = travel_http_authority((char *) buf[0], scheme,
                                   ngx_http_travel_view(&host));
    len[1] = travel_http_authority((char *) buf[1], scheme,
                        ngx_http_travel_view(&r->headers_in.host->value));

    return len[0] != len[1] || ngx_memcmp(buf[0], buf[1], len[0]) != 0;
}


ngx_int_t
ngx_http_travel_origin(ngx_http_request_t *r, ngx_str_t *ret_scheme,
    ngx_str_t *ret_authority)
{
    u_char     *p;
    ngx_str_t   host;

    *ret_scheme = ngx_http_travel_str(ngx_http_travel_scheme(r));
    ngx_http_travel_authority(r, &host);

    p = ngx_pnalloc(r->pool, host.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_authority->data = p;
    ret_authority->len = travel_http_authority((char *) p,
                                             ngx_http_travel_view(ret_scheme),
                                             ngx_http_travel_view(&host));
    return NGX_OK;
}


ngx_int_t
ngx_http_travel_mark_text(ngx_http_request_t *r, u_char kind,
    const ngx_str_t *name, ngx_str_t *ret_text)
{
    u_char     *p;
    size_t      len;
    uint8_t     md[TRAVEL_SHA256_LEN];
    ngx_str_t   scheme, authority, normal;

    /* what becomes invalid does so in all its spellings */

    if (kind == NGX_HTTP_TRAVEL_MARK_URI) {
        normal.data = ngx_pnalloc(r->pool, name->len);
        if (normal.data == NULL) {
            return NGX_ERROR;
        }

        normal.len = travel_http_normal((char *) normal.data,
                                        ngx_http_travel_view(name));
        name = &normal;
    }

    if (kind == NGX_HTTP_TRAVEL_MARK_KEY) {
        ngx_str_null(&scheme);
        ngx_str_null(&authority);

    } else if (ngx_http_travel_origin(r, &scheme, &authority) != NGX_OK) {
        return NGX_ERROR;
    }

    len = scheme.len + authority.len + name->len + 3;

    p = ngx_pnalloc(r->pool, ngx_max(len, 1 + 2 * TRAVEL_SHA256_LEN));
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_text->data = p;
    ret_text->len = ngx_sprintf(p, "%c%V %V %V", kind, &scheme, &authority,
                                name)
                    - p;

    if (ret_text->len > NGX_HTTP_TRAVEL_MARK_TEXT) {

        if (travel_sha256(md, ngx_http_travel_view(ret_text)) != TRAVEL_OK) {
            return NGX_ERROR;
        }

        travel_hex_encode((char *) p + 1, md, TRAVEL_SHA256_LEN);
        ret_text->len = 1 + 2 * TRAVEL_SHA256_LEN;
    }

    return NGX_OK;
}


/* "http://host/path?query ..." */
static size_t
ngx_http_travel_kept_normal(const u_char *text, size_t len, u_char *dst)
{
    size_t        n;
    u_char       *p;
    travel_str_t  rest;

    p = ngx_strlchr((u_char *) text, (u_char *) text + len, '/');
    p = (p != NULL && p + 2 < text + len && p[1] == '/')
        ? ngx_strlchr(p + 2, (u_char *) text + len, '/') : NULL;

    if (p == NULL) {
        ngx_memcpy(dst, text, len);
        return len;
    }

    n = p - text;
    ngx_memcpy(dst, text, n);

    rest.data = (char *) p;
    rest.len = len - n;

    return n + travel_http_normal((char *) dst + n, rest);
}


ngx_uint_t
ngx_http_travel_kept_begins(const u_char *key, size_t len,
    const u_char *prefix, size_t prefix_len)
{
    size_t  n, p;
    u_char  buf[2][NGX_HTTP_TRAVEL_KEPT_NAME];

    if (len > sizeof(buf[0]) || prefix_len > sizeof(buf[0])
        || len < 7 || ngx_memcmp(key, "http", 4) != 0)
    {
        return 0;
    }

    n = ngx_http_travel_kept_normal(key, len, buf[0]);
    p = ngx_http_travel_kept_normal(prefix, prefix_len, buf[1]);

    return p <= n && ngx_memcmp(buf[0], buf[1], p) == 0;
}


uint64_t
ngx_http_travel_mark_of(const ngx_str_t *text)
{
    return travel_siphash(ngx_http_travel_node_key(), text->data, text->len);
}


/* --- an unsafe request has succeeded ------------------------------------- */

void
ngx_http_travel_marks_outdate(ngx_http_travel_kept_t *h, const ngx_str_t *text)
{
    ngx_http_travel_mark(ngx_http_travel_mark_of(text));

    if (h->conf->l2
        && ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE))
    {
        ngx_http_travel_kept_l2_changed(text);
    }
}


void
ngx_http_travel_marks_unsafe(ngx_http_travel_kept_t *kept)
{
    ngx_str_t            text, key;
    ngx_uint_t           i;
    ngx_list_part_t     *part;
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    r = kept->request;

    if (ngx_http_travel_mark_text(r, NGX_HTTP_TRAVEL_MARK_URI,
                                  &r->unparsed_uri, &text)
        != NGX_OK)
    {
        return;
    }

    ngx_http_travel_marks_outdate(kept, &text);

    /* all URIs of one key have one answer */

    if (kept->conf->key != NULL
        && ngx_http_complex_value(r, kept->conf->key, &key) == NGX_OK
        && ngx_http_travel_mark_text(r, NGX_HTTP_TRAVEL_MARK_KEY, &key, &text)
           == NGX_OK)
    {
        ngx_http_travel_marks_outdate(kept, &text);
    }

    part = &r->upstream->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_http_travel_name_is(&h[i].key, "location")
            || ngx_http_travel_name_is(&h[i].key, "content-location"))
        {
            ngx_http_travel_marks_reference(kept, &h[i].value);

        } else if (ngx_http_travel_name_is(&h[i].key,
                                           "cache-group-invalidation"))
        {
            ngx_http_travel_marks_groups(kept, &h[i].value);
        }
    }
}


static void
ngx_http_travel_marks_reference(ngx_http_travel_kept_t *h,
    const ngx_str_t *ref)
{
    size_t               len;
    ngx_str_t            scheme, authority, target, text;
    ngx_http_request_t  *r;

    r = h->request;
    target.data = ngx_pnalloc(r->pool, r->unparsed_uri.len + ref->len + 1);

    if (target.data == NULL
        || ngx_http_travel_origin(r, &scheme, &authority) != NGX_OK
        || travel_http_target((char *) target.data, &len,
                              ngx_http_travel_view(&scheme),
                              ngx_http_travel_view(&authority),
                              ngx_http_travel_view(&r->unparsed_uri),
                              ngx_http_travel_view(ref))
           != TRAVEL_OK)
    {
        return;
    }

    target.len = len;

    if (ngx_http_travel_mark_text(r, NGX_HTTP_TRAVEL_MARK_URI, &target, &text)
        == NGX_OK)
    {
        ngx_http_travel_marks_outdate(h, &text);
    }
}


/* Each line is read by itself: what one of them spoils stays in it. */
static void
ngx_http_travel_marks_groups(ngx_http_travel_kept_t *h,
    const ngx_str_t *field)
{
    ngx_int_t  n;
    ngx_str_t  texts[NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX];

    n = ngx_http_travel_mark_groups(h->request, field, texts,
                                    NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX);
    n = ngx_min(n, NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX);

    while (n > 0) {
        ngx_http_travel_marks_outdate(h, &texts[--n]);
    }
}
