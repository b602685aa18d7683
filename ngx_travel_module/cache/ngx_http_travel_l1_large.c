/*
 * Answers that are larger than an entry of L1 may be.
 *
 * Such an answer is cut into parts, each an entry of its own under a name that
 * is made for this one answer, so they lie in all shards; under the answer's
 * key stands the list of them.  The list is judged and found as other entries
 * are; parts are found by it alone.  So no lock is ever held for more than one
 * part, and nothing needs to be pinned: where a part was evicted the answer is
 * not there, and its list goes, too.
 *
 * Parts go in before their list.  Who replaces a list takes its parts out;
 * those of a list that went by itself are not asked for any more and leave by
 * the hand.
 */

#include "ngx_http_travel_cache_room.h"


#define NGX_HTTP_TRAVEL_LARGE_PART  (64 * 1024)
#define NGX_HTTP_TRAVEL_LARGE_ZONE  8          /* of the zone: one of these */


/* What a list has: the bytes are the body's, then those of its gzip coding. */
typedef struct {
    u_char                id[16];
    uint64_t              head;
    uint64_t              body;
    uint64_t              packed;
} ngx_http_travel_large_t;

typedef struct {
    u_char                id[16];
    uint64_t              number;
} ngx_http_travel_large_name_t;


static void ngx_http_travel_large_name(const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_large_t *large, ngx_uint_t number,
    ngx_http_travel_large_name_t *name, ngx_http_travel_fill_t *ret_part);
static ngx_int_t ngx_http_travel_large_parts(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content,
    const ngx_http_travel_large_t *large, ngx_uint_t *ret_evicted);
static void ngx_http_travel_large_drop(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill, const ngx_http_travel_large_t *large);
static ngx_int_t ngx_http_travel_large_read(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill, const ngx_http_travel_large_t *large,
    size_t from, size_t len, u_char *p);


ngx_http_travel_l1_e
ngx_http_travel_large_find(ngx_http_request_t *r, ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill, travel_stream_id_t floor,
    ngx_http_travel_hit_t *ret_hit)
{
    size_t                    head, from, len;
    u_char                   *p;
    ngx_http_travel_l1_e      found;
    ngx_http_travel_large_t   large;

    found = ngx_http_travel_l1_find(r, zone, fill, floor, ret_hit);

    if ((found != NGX_HTTP_TRAVEL_L1_FRESH
         && found != NGX_HTTP_TRAVEL_L1_EXPIRED
         && found != NGX_HTTP_TRAVEL_L1_UNSURE)
        || !ret_hit->list)
    {
        return found;
    }

    ngx_memcpy(&large, ret_hit->body.data, sizeof(large));

    ret_hit->packed = (fill->packed && large.packed != 0);

    /* both codings have the head; the coded one's rest is behind the body */

    head = ret_hit->packed ? large.head : large.body;
    from = large.body;
    len = ret_hit->packed ? large.packed : 0;

    p = ngx_pnalloc(r->pool, head + len);

    if (p == NULL
        || ngx_http_travel_large_read(zone, fill, &large, 0, head, p)
           != NGX_OK
        || ngx_http_travel_large_read(zone, fill, &large, from, len, p + head)
           != NGX_OK)
    {
        ngx_http_travel_l1_drop(zone, fill);
        ngx_http_travel_large_drop(zone, fill, &large);
        return NGX_HTTP_TRAVEL_L1_ABSENT;
    }

    ret_hit->body.data = p;
    ret_hit->body.len = head + len;

    return found;
}


ngx_int_t
ngx_http_travel_large_insert(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag,
    ngx_uint_t *ret_evicted)
{
    ngx_int_t                   rc;
    ngx_uint_t                  evicted, replaces;
    ngx_http_travel_large_t     large, old;
    ngx_http_travel_content_t   list;

    *ret_evicted = 0;

    large.head = content->head;
    large.body = content->body.len;
    large.packed = content->packed.len;

    if (large.body > NGX_HTTP_TRAVEL_LARGE_MAX
        || (large.body > NGX_HTTP_TRAVEL_L1_BODY_MAX
            && (large.body + large.packed
                > zone->size / NGX_HTTP_TRAVEL_LARGE_ZONE
                || travel_random(large.id, sizeof(large.id)) != TRAVEL_OK)))
    {
        return NGX_DECLINED;
    }

    replaces = (ngx_http_travel_l1_read_of(zone, fill, NGX_HTTP_TRAVEL_L1_LIST,
                                           0, sizeof(old), (u_char *) &old)
                == NGX_OK);

    if (large.body <= NGX_HTTP_TRAVEL_L1_BODY_MAX) {
        rc = ngx_http_travel_l1_insert(zone, fill, content, etag,
                                       ret_evicted);

    } else {
        rc = ngx_http_travel_large_parts(zone, fill, content, &large,
                                         ret_evicted);
        if (rc == NGX_OK) {
            ngx_memzero(&list, sizeof(list));
            list.kind = NGX_HTTP_TRAVEL_L1_LIST;
            list.body.data = (u_char *) &large;
            list.body.len = sizeof(large);

            rc = ngx_http_travel_l1_insert(zone, fill, &list, etag, &evicted);
            *ret_evicted += evicted;
        }

        if (rc != NGX_OK) {
            ngx_http_travel_large_drop(zone, fill, &large);
        }
    }

    if (rc == NGX_OK && replaces) {
        ngx_http_travel_large_drop(zone, fill, &old);
    }

    return rc;
}


static ngx_int_t
ngx_http_travel_large_parts(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content,
    const ngx_http_travel_large_t *large, ngx_uint_t *ret_evicted)
{
    size_t                         at, n;
    u_char                         bytes[NGX_HTTP_TRAVEL_LARGE_PART];
    ngx_str_t                      none;
    ngx_uint_t                     evicted;
    ngx_http_travel_fill_t         part;
    ngx_http_travel_content_t      piece;
    ngx_http_travel_large_name_t   name;

    ngx_str_set(&none, "");
    ngx_memzero(&piece, sizeof(piece));
    piece.kind = NGX_HTTP_TRAVEL_L1_PART;

    for (at = 0; at < large->body + large->packed; at += piece.body.len) {

        n = 0;
        piece.body.len = ngx_min(NGX_HTTP_TRAVEL_LARGE_PART,
                                 large->body + large->packed - at);

        if (at + piece.body.len <= large->body) {
            piece.body.data = content->body.data + at;

        } else if (at >= large->body) {
            piece.body.data = content->packed.data + (at - large->body);

        } else {
            n = large->body - at;
            ngx_memcpy(bytes, content->body.data + at, n);
            ngx_memcpy(bytes + n, content->packed.data, piece.body.len - n);
            piece.body.data = bytes;
        }

        ngx_http_travel_large_name(fill, large,
                                   at / NGX_HTTP_TRAVEL_LARGE_PART, &name,
                                   &part);

        if (ngx_http_travel_l1_insert(zone, &part, &piece, &none, &evicted)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }

        *ret_evicted += evicted;
    }

    return NGX_OK;
}


static void
ngx_http_travel_large_drop(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill, const ngx_http_travel_large_t *large)
{
    size_t                         at;
    ngx_http_travel_fill_t         part;
    ngx_http_travel_large_name_t   name;

    for (at = 0; at < large->body + large->packed;
         at += NGX_HTTP_TRAVEL_LARGE_PART)
    {
        ngx_http_travel_large_name(fill, large,
                                   at / NGX_HTTP_TRAVEL_LARGE_PART, &name,
                                   &part);
        ngx_http_travel_l1_drop(zone, &part);
    }
}


static ngx_int_t
ngx_http_travel_large_read(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill, const ngx_http_travel_large_t *large,
    size_t from, size_t len, u_char *p)
{
    size_t                         skip, n;
    ngx_http_travel_fill_t         part;
    ngx_http_travel_large_name_t   name;

    while (len) {
        skip = from % NGX_HTTP_TRAVEL_LARGE_PART;
        n = ngx_min(len, NGX_HTTP_TRAVEL_LARGE_PART - skip);

        ngx_http_travel_large_name(fill, large,
                                   from / NGX_HTTP_TRAVEL_LARGE_PART, &name,
                                   &part);

        if (ngx_http_travel_l1_read_of(zone, &part, NGX_HTTP_TRAVEL_L1_PART,
                                       skip, n, p)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }

        from += n;
        len -= n;
        p += n;
    }

    return NGX_OK;
}


/* 'name' is what the part's key points at.  It depends on nothing by itself:
 * its list does. */
static void
ngx_http_travel_large_name(const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_large_t *large, ngx_uint_t number,
    ngx_http_travel_large_name_t *name, ngx_http_travel_fill_t *ret_part)
{
    ngx_memcpy(name->id, large->id, sizeof(name->id));
    name->number = number;

    *ret_part = *fill;
    ret_part->key.data = (u_char *) name;
    ret_part->key.len = sizeof(ngx_http_travel_large_name_t);
    ret_part->ntags = 0;
    ret_part->nrows = 0;
    ret_part->hash = travel_siphash(ngx_http_travel_node_key(), name,
                                    sizeof(ngx_http_travel_large_name_t));
}
