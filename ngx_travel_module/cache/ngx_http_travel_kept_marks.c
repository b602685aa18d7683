/*
 * What unsafe requests have made invalid: URIs (RFC 9111 section 4.4) and
 * groups (RFC 9875), on this node.
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
#include "../../common/http_target.h"
#include "../../common/structured_field.h"


typedef struct {
    uint64_t      seq;              /* of the last invalidation */
    uint64_t      nslots;
    uint64_t      slots[1];
} ngx_http_travel_marks_t;


static ngx_int_t ngx_http_travel_mark_of(ngx_http_request_t *r,
    const char *kind, const ngx_str_t *name, uint64_t *ret_mark);
static void ngx_http_travel_marks_reference(ngx_http_request_t *r,
    const ngx_str_t *ref);
static void ngx_http_travel_marks_groups(ngx_http_request_t *r,
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

ngx_int_t
ngx_http_travel_origin(ngx_http_request_t *r, ngx_str_t *ret_scheme,
    ngx_str_t *ret_authority)
{
    u_char     *p;
    ngx_str_t   host;

    ngx_str_set(ret_scheme, "http");

#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        ngx_str_set(ret_scheme, "https");
    }
#endif

    host = r->headers_in.host ? r->headers_in.host->value
                              : r->headers_in.server;

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


static ngx_int_t
ngx_http_travel_mark_of(ngx_http_request_t *r, const char *kind,
    const ngx_str_t *name, uint64_t *ret_mark)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   scheme, authority;

    if (ngx_http_travel_origin(r, &scheme, &authority) != NGX_OK) {
        return NGX_ERROR;
    }

    len = ngx_strlen(kind) + scheme.len + authority.len + name->len + 2;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = ngx_sprintf(p, "%s%V %V %V", kind, &scheme, &authority, name) - p;
    *ret_mark = travel_siphash(ngx_http_travel_node_key(), p, len);

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_mark_uri(ngx_http_request_t *r, const ngx_str_t *target,
    uint64_t *ret_mark)
{
    return ngx_http_travel_mark_of(r, "u", target, ret_mark);
}


ngx_int_t
ngx_http_travel_mark_group(ngx_http_request_t *r, const ngx_str_t *group,
    uint64_t *ret_mark)
{
    return ngx_http_travel_mark_of(r, "g", group, ret_mark);
}


/* --- an unsafe request has succeeded ------------------------------------- */

void
ngx_http_travel_marks_unsafe(ngx_http_request_t *r)
{
    uint64_t          mark;
    ngx_str_t         groups;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (ngx_http_travel_mark_uri(r, &r->unparsed_uri, &mark) != NGX_OK) {
        return;
    }

    ngx_http_travel_mark(mark);
    ngx_str_null(&groups);

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
            ngx_http_travel_marks_reference(r, &h[i].value);

        } else if (ngx_http_travel_name_is(&h[i].key,
                                           "cache-group-invalidation"))
        {
            ngx_http_travel_marks_groups(r, &h[i].value);
        }
    }
}


static void
ngx_http_travel_marks_reference(ngx_http_request_t *r, const ngx_str_t *ref)
{
    size_t      len;
    uint64_t    mark;
    ngx_str_t   scheme, authority, target;

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

    if (ngx_http_travel_mark_uri(r, &target, &mark) == NGX_OK) {
        ngx_http_travel_mark(mark);
    }
}


/* Each line is read by itself: what one of them spoils stays in it.  Members
 * are Strings; others, and a line that is malformed, do not count. */
static void
ngx_http_travel_marks_groups(ngx_http_request_t *r, const ngx_str_t *field)
{
    int               rc;
    uint64_t          marks[NGX_HTTP_TRAVEL_KEPT_MARKS_MAX];
    ngx_str_t         name;
    ngx_uint_t        n;
    travel_sf_t       sf;
    travel_sf_item_t  item;

    sf = travel_sf_open(ngx_http_travel_view(field));
    n = 0;

    while ((rc = travel_sf_list_next(&sf, &item)) == TRAVEL_OK) {

        if (item.type != TRAVEL_SF_STRING
            || n == NGX_HTTP_TRAVEL_KEPT_MARKS_MAX)
        {
            continue;
        }

        name.data = ngx_pnalloc(r->pool, item.text.len + 1);
        if (name.data == NULL) {
            return;
        }

        name.len = travel_sf_string((char *) name.data, item.text);

        if (ngx_http_travel_mark_group(r, &name, &marks[n]) != NGX_OK) {
            return;
        }

        n++;
    }

    while (rc == TRAVEL_UNKNOWN && n > 0) {
        ngx_http_travel_mark(marks[--n]);
    }
}
