/*
 * Into the store: what was captured of an upstream's answer, when its end has
 * come and nothing that it depends on was overwritten meanwhile; and notes that
 * stand where an answer would.
 */

#include "ngx_http_travel_kept.h"
#include "../net/ngx_http_travel_redis.h"


static ngx_uint_t ngx_http_travel_kept_places(ngx_http_travel_kept_t *h,
    const ngx_str_t *bytes, const ngx_http_travel_record_t *rec);


void
ngx_http_travel_kept_keep(ngx_http_travel_kept_t *h)
{
    ngx_str_t                   bytes;
    ngx_http_travel_record_t    rec;

    bytes.data = h->capture;
    bytes.len = h->captured;
    ngx_memzero(&rec, sizeof(rec));

    if ((h->expected < 0
         || (off_t) (h->captured - h->head) == h->expected)
        && ngx_http_travel_record_read(h->request, &bytes, &rec) == NGX_OK
        && ngx_http_travel_kept_keepable(h, &rec)
        && !ngx_http_travel_purge_since(&h->store, h->purge, 0)
        && ngx_http_travel_kept_places(h, &bytes, &rec))
    {
        ngx_http_travel_count(ngx_http_travel_kept.stored, 1);

        /* a purge that came in between may have gone by already */

        if (ngx_http_travel_purge_since(&h->store, h->purge, 0)) {
            ngx_http_travel_l1_drop(ngx_http_travel_kept.cache, &h->store);
        }

    } else {
        ngx_http_travel_count(ngx_http_travel_kept.refused, 1);
    }

    /* after the insert: whoever waited finds it */
    ngx_http_travel_kept_end_fill(h);
}


/* Into the node's memory, where it is not too large for that, and to Redis. */
static ngx_uint_t
ngx_http_travel_kept_places(ngx_http_travel_kept_t *h, const ngx_str_t *bytes,
    const ngx_http_travel_record_t *rec)
{
    ngx_int_t  rc;

    rc = ngx_http_travel_kept_insert(h, &h->store, bytes, h->head, rec);

    if (h->conf->l2 && rec->body.len <= NGX_HTTP_TRAVEL_KEPT_L2_MAX) {
        ngx_http_travel_kept_l2_store(h, rec);
    }

    return rc == NGX_OK;
}


ngx_int_t
ngx_http_travel_kept_insert(ngx_http_travel_kept_t *h,
    const ngx_http_travel_fill_t *at, const ngx_str_t *bytes, size_t head,
    const ngx_http_travel_record_t *rec)
{
    ngx_str_t                       etag;
    ngx_uint_t                      evicted;
    ngx_http_travel_content_t       content;
    ngx_http_travel_packed_conf_t  *pcf;

    pcf = ngx_http_travel_packed_conf(h->request);

    ngx_memzero(&content, sizeof(content));
    content.body = *bytes;
    content.head = head;
    ngx_str_set(&etag, "");

    if (rec->head.packable) {
        ngx_http_travel_packed_make(h->request, pcf, &content);
    }

    return ngx_http_travel_large_insert(ngx_http_travel_kept.cache, at,
                                        &content, &etag, &evicted);
}


/* Nothing that it depends on was overwritten while it came, and the node would
 * have heard of it. */
ngx_uint_t
ngx_http_travel_kept_keepable(ngx_http_travel_kept_t *h,
    const ngx_http_travel_record_t *rec)
{
    ngx_http_travel_knowledge_t  look;

    if (ngx_http_travel_kept_marked(rec)) {
        return 0;
    }

    if (rec->head.ntags == 0
        || !ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_QUEUE))
    {
        return 1;
    }

    ngx_http_travel_node_look(&look);

    if (look.generation != rec->head.generation
        || !ngx_http_travel_node_hearing(&h->look)
        || !ngx_http_travel_node_hearing(&look))
    {
        return 0;
    }

    if (ngx_http_travel_tags_since(rec->head.tags, rec->head.ntags,
                                   rec->head.pos))
    {
        return 0;
    }

    return ngx_http_travel_node_generation() == rec->head.generation;
}


/* A record without an answer. */
void
ngx_http_travel_kept_note(ngx_http_travel_kept_t *h,
    const ngx_http_travel_fill_t *at, ngx_uint_t kind, const ngx_str_t *text,
    ngx_msec_t ttl)
{
    u_char                   *p;
    size_t                    len;
    ngx_str_t                   etag;
    ngx_uint_t                  evicted;
    ngx_http_travel_fill_t      fill;
    ngx_http_travel_record_t    rec;
    ngx_http_travel_content_t   content;

    ngx_memzero(&rec, sizeof(rec));
    rec.head.kind = kind;
    rec.head.seq = h->seq;

    fill = *at;
    fill.ttl = ngx_min(fill.ttl, ttl);
    ngx_str_set(&etag, "");

    len = ngx_http_travel_record_size(&rec);

    ngx_memzero(&content, sizeof(content));
    content.head = len;
    content.body.len = len + (text ? text->len : 0);
    content.body.data = ngx_pnalloc(h->request->pool, content.body.len);
    if (content.body.data == NULL) {
        return;
    }

    p = ngx_http_travel_record_write(content.body.data, &rec);

    if (text != NULL) {
        ngx_memcpy(p, text->data, text->len);
    }

    (void) ngx_http_travel_l1_insert(ngx_http_travel_kept.cache, &fill,
                                     &content, &etag, &evicted);
}
