/*
 * L1: answers in shared memory.
 *
 * A shard is one block of equal chunks, linked by index, and a table of bucket
 * heads.  An entry is a chain of chunks: its header, key, body and the body's
 * gzip coding, if there is one, follow one another through them.  Since every
 * chunk fits every entry, memory cannot fragment: what an eviction frees, any
 * answer can use.
 *
 * Eviction is SIEVE's: entries stand in the order of their arrival, a hit only
 * sets a bit, and a hand moves from the oldest to the newest, clearing bits
 * until it finds an entry without one.  Steps and evictions per insert are
 * bounded; when the bound is met the answer is simply not kept.
 *
 * Everything in a shard is guarded by the shard's lock.  A body, at most
 * NGX_HTTP_TRAVEL_L1_BODY_MAX bytes (larger answers are several entries, see
 * l1_large.c), is copied out under it: into what is left of r->pool's current
 * block, or else into memory of this process that was there before, so that
 * nothing is allocated under the lock.
 */

#include "ngx_http_travel_cache_room.h"


#define NGX_HTTP_TRAVEL_L1_CHUNK      1024
#define NGX_HTTP_TRAVEL_L1_KEY_MAX    2048
#define NGX_HTTP_TRAVEL_L1_STEPS      128      /* of the hand, per insert */
#define NGX_HTTP_TRAVEL_L1_EVICTIONS  160      /* per insert */
#define NGX_HTTP_TRAVEL_L1_CHAIN      64       /* entries looked at per find */
#define NGX_HTTP_TRAVEL_L1_ETAG       40
#define NGX_HTTP_TRAVEL_L1_PURGE      64       /* buckets per lock */
#define NGX_HTTP_TRAVEL_L1_NONE       0xffffffff

#define NGX_HTTP_TRAVEL_L1_DATA                                               \
    (NGX_HTTP_TRAVEL_L1_CHUNK - sizeof(uint32_t))


typedef struct {
    uint32_t              next;         /* chunk of the same entry, or free */
    u_char                data[NGX_HTTP_TRAVEL_L1_DATA];
} ngx_http_travel_l1_chunk_t;

typedef struct {
    uint64_t              hash;
    uint64_t              generation;
    uint64_t              era;
    travel_stream_id_t    pos;
    uint64_t              tags[NGX_HTTP_TRAVEL_TAGS_MAX];
    uint32_t              ntags;        /* by which it is found */
    uint32_t              nrows;        /* more of them, of its rows */
    uint32_t              bucket;       /* next entry of the same bucket */
    uint32_t              newer;
    uint32_t              older;
    uint32_t              key_len;
    uint32_t              head_len;     /* of the body: in either coding */
    uint32_t              body_len;
    uint32_t              packed_len;   /* 0: there is only the plain one */
    uint32_t              visited;
    uint32_t              kind;         /* ngx_http_travel_l1_kind_e */
    uint32_t              etag_len;
    int64_t               filled;       /* unix ms */
    int64_t               expires;
    int64_t               stale_until;
    u_char                etag[NGX_HTTP_TRAVEL_L1_ETAG];
} ngx_http_travel_l1_entry_t;

typedef struct {
    uint32_t              nbuckets;
    uint32_t              nchunks;
    uint32_t              fresh;        /* from here on never used */
    uint32_t              free;         /* head of the free chain */
    uint32_t              nfree;        /* chain and fresh ones together */
    uint32_t              nentries;
    uint32_t              newest;
    uint32_t              oldest;
    uint32_t              hand;
    uint32_t              spare;
    uint32_t             *buckets;
    ngx_http_travel_l1_chunk_t  *chunks;
} ngx_http_travel_l1_t;


/* Walks the bytes of an entry behind its header. */
typedef struct {
    ngx_http_travel_l1_t  *l1;
    uint32_t               chunk;
    size_t                 offset;
} ngx_http_travel_l1_cursor_t;


static ngx_http_travel_l1_entry_t *ngx_http_travel_l1_entry(
    ngx_http_travel_l1_t *l1, uint32_t i);
static uint32_t ngx_http_travel_l1_lookup_locked(ngx_http_travel_l1_t *l1,
    const ngx_http_travel_fill_t *fill);
static ngx_http_travel_l1_e ngx_http_travel_l1_judge(
    const ngx_http_travel_l1_entry_t *e, const ngx_http_travel_fill_t *fill,
    travel_stream_id_t floor, int64_t now);
static void ngx_http_travel_l1_copy_locked(ngx_http_travel_l1_t *l1,
    uint32_t i, ngx_uint_t packed, u_char *p);
static u_char *ngx_http_travel_l1_place(ngx_http_request_t *r, size_t len);
static void ngx_http_travel_l1_set_locked(ngx_http_travel_l1_t *l1,
    uint32_t i, const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag,
    int64_t now);
static ngx_uint_t ngx_http_travel_l1_newer_locked(ngx_http_travel_l1_t *l1,
    uint32_t i, const ngx_http_travel_fill_t *fill, int64_t now);
static void ngx_http_travel_l1_remove_locked(ngx_http_travel_l1_t *l1,
    uint32_t i);
static ngx_uint_t ngx_http_travel_l1_room_locked(ngx_http_travel_l1_t *l1,
    uint32_t need);
static uint32_t ngx_http_travel_l1_victim_locked(ngx_http_travel_l1_t *l1,
    ngx_uint_t *steps);
static ngx_uint_t ngx_http_travel_l1_purge_locked(ngx_http_travel_l1_t *l1,
    ngx_uint_t bucket, const ngx_http_travel_purge_t *purge,
    ngx_http_travel_purge_means_pt means);
static uint32_t ngx_http_travel_l1_alloc_locked(ngx_http_travel_l1_t *l1,
    uint32_t n);
static void ngx_http_travel_l1_link_locked(ngx_http_travel_l1_t *l1,
    uint32_t i);
static ngx_uint_t ngx_http_travel_l1_same(ngx_http_travel_l1_t *l1,
    uint32_t i, const ngx_http_travel_fill_t *fill);
static ngx_uint_t ngx_http_travel_l1_equal(ngx_http_travel_l1_cursor_t *c,
    const u_char *p, size_t len);
static void ngx_http_travel_l1_write(ngx_http_travel_l1_cursor_t *c,
    const u_char *p, size_t len);
static void ngx_http_travel_l1_read(ngx_http_travel_l1_cursor_t *c, u_char *p,
    size_t len);


/* Where bodies are copied to under the lock; its bytes are of one request. */
static u_char  ngx_http_travel_l1_body[NGX_HTTP_TRAVEL_L1_BODY_MAX];


ngx_int_t
ngx_http_travel_l1_init(ngx_http_travel_shard_t *shard)
{
    u_char                *p;
    size_t                 room;
    uint32_t               i;
    ngx_http_travel_l1_t  *l1;

    room = (shard->pool->pfree - 1) * ngx_pagesize;

    p = ngx_slab_alloc_locked(shard->pool, room);
    if (p == NULL) {
        return NGX_ERROR;
    }

    l1 = (ngx_http_travel_l1_t *) p;
    room -= sizeof(ngx_http_travel_l1_t);

    l1->nchunks = room / (NGX_HTTP_TRAVEL_L1_CHUNK + sizeof(uint32_t));
    l1->nbuckets = l1->nchunks;
    l1->fresh = 0;
    l1->free = NGX_HTTP_TRAVEL_L1_NONE;
    l1->nfree = l1->nchunks;
    l1->nentries = 0;
    l1->newest = NGX_HTTP_TRAVEL_L1_NONE;
    l1->oldest = NGX_HTTP_TRAVEL_L1_NONE;
    l1->hand = NGX_HTTP_TRAVEL_L1_NONE;
    l1->chunks = (ngx_http_travel_l1_chunk_t *)
                 (p + sizeof(ngx_http_travel_l1_t));
    l1->buckets = (uint32_t *) (l1->chunks + l1->nchunks);

    for (i = 0; i < l1->nbuckets; i++) {
        l1->buckets[i] = NGX_HTTP_TRAVEL_L1_NONE;
    }

    shard->data = l1;

    return NGX_OK;
}


static ngx_http_travel_l1_entry_t *
ngx_http_travel_l1_entry(ngx_http_travel_l1_t *l1, uint32_t i)
{
    /* data follows a 4-byte link: the header is packed with care to that */
    return (ngx_http_travel_l1_entry_t *)
           ngx_align_ptr(l1->chunks[i].data, sizeof(uint64_t));
}


static void
ngx_http_travel_l1_cursor(ngx_http_travel_l1_cursor_t *c,
    ngx_http_travel_l1_t *l1, uint32_t i)
{
    c->l1 = l1;
    c->chunk = i;
    c->offset = (u_char *) (ngx_http_travel_l1_entry(l1, i) + 1)
                - l1->chunks[i].data;
}


/* --- find ---------------------------------------------------------------- */

ngx_http_travel_l1_e
ngx_http_travel_l1_find(ngx_http_request_t *r, ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill, travel_stream_id_t floor,
    ngx_http_travel_hit_t *ret_hit)
{
    u_char                       *p, *copy, etag[NGX_HTTP_TRAVEL_L1_ETAG];
    int64_t                       now, filled;
    uint32_t                      i;
    ngx_time_t                   *tp;
    ngx_http_travel_l1_t         *l1;
    ngx_http_travel_l1_e          verdict;
    ngx_http_travel_shard_t      *shard;
    ngx_http_travel_l1_entry_t   *e;

    tp = ngx_timeofday();
    now = (int64_t) tp->sec * 1000 + tp->msec;
    shard = ngx_http_travel_shard(zone, fill->hash);

    ngx_http_travel_shard_lock(shard);

    l1 = shard->data;
    i = ngx_http_travel_l1_lookup_locked(l1, fill);

    if (i == NGX_HTTP_TRAVEL_L1_NONE) {
        ngx_http_travel_shard_unlock(shard);
        return NGX_HTTP_TRAVEL_L1_ABSENT;
    }

    e = ngx_http_travel_l1_entry(l1, i);
    verdict = ngx_http_travel_l1_judge(e, fill, floor, now);

    switch (verdict) {

    case NGX_HTTP_TRAVEL_L1_INVALID:
    case NGX_HTTP_TRAVEL_L1_OVER:
        if (e->kind == NGX_HTTP_TRAVEL_L1_WHOLE) {
            ngx_http_travel_l1_remove_locked(l1, i);
        }                              /* a list goes when it is replaced */
        /* fall through */

    case NGX_HTTP_TRAVEL_L1_ABSENT:
        ngx_http_travel_shard_unlock(shard);
        return verdict;

    default:
        break;
    }

    if (!e->visited) {
        e->visited = 1;             /* all that a hit writes, and only once */
    }

    ret_hit->list = (e->kind == NGX_HTTP_TRAVEL_L1_LIST);
    ret_hit->packed = (fill->packed && e->packed_len != 0);
    ret_hit->body.len = ret_hit->packed ? e->head_len + e->packed_len
                                        : e->body_len;
    ret_hit->etag.len = e->etag_len;
    ngx_memcpy(etag, e->etag, e->etag_len);
    filled = e->filled;

    p = ngx_http_travel_l1_place(r, ret_hit->body.len + ret_hit->etag.len);
    copy = p ? p : ngx_http_travel_l1_body;

    ngx_http_travel_l1_copy_locked(l1, i, ret_hit->packed, copy);

    ngx_http_travel_shard_unlock(shard);

    if (p == NULL) {
        p = ngx_pnalloc(r->pool, ret_hit->body.len + ret_hit->etag.len);
        if (p == NULL) {
            return NGX_HTTP_TRAVEL_L1_ABSENT;
        }

        ngx_memcpy(p, copy, ret_hit->body.len);
    }

    ret_hit->body.data = p;
    ret_hit->etag.data = p + ret_hit->body.len;
    ngx_memcpy(ret_hit->etag.data, etag, ret_hit->etag.len);

    ret_hit->age = (now > filled) ? (now - filled) / 1000 : 0;
    ret_hit->stale = (verdict != NGX_HTTP_TRAVEL_L1_FRESH);

    return verdict;
}


ngx_int_t
ngx_http_travel_l1_read_of(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill, ngx_uint_t kind, size_t from,
    size_t len, u_char *p)
{
    uint32_t                      i;
    ngx_int_t                     rc;
    ngx_http_travel_l1_t         *l1;
    ngx_http_travel_shard_t      *shard;
    ngx_http_travel_l1_entry_t   *e;
    ngx_http_travel_l1_cursor_t   cursor;

    rc = NGX_DECLINED;
    shard = ngx_http_travel_shard(zone, fill->hash);

    ngx_http_travel_shard_lock(shard);

    l1 = shard->data;
    i = ngx_http_travel_l1_lookup_locked(l1, fill);
    e = (i != NGX_HTTP_TRAVEL_L1_NONE) ? ngx_http_travel_l1_entry(l1, i)
                                       : NULL;

    if (e != NULL && e->kind == kind && from + len <= e->body_len) {
        e->visited = 1;

        ngx_http_travel_l1_cursor(&cursor, l1, i);
        cursor.offset += e->key_len + from;
        ngx_http_travel_l1_read(&cursor, p, len);
        rc = NGX_OK;
    }

    ngx_http_travel_shard_unlock(shard);

    return rc;
}


/* The body in one coding or the other. */
static void
ngx_http_travel_l1_copy_locked(ngx_http_travel_l1_t *l1, uint32_t i,
    ngx_uint_t packed, u_char *p)
{
    ngx_http_travel_l1_entry_t   *e;
    ngx_http_travel_l1_cursor_t   cursor;

    e = ngx_http_travel_l1_entry(l1, i);

    ngx_http_travel_l1_cursor(&cursor, l1, i);
    cursor.offset += e->key_len;

    if (!packed) {
        ngx_http_travel_l1_read(&cursor, p, e->body_len);
        return;
    }

    ngx_http_travel_l1_read(&cursor, p, e->head_len);
    cursor.offset += e->body_len - e->head_len;
    ngx_http_travel_l1_read(&cursor, p + e->head_len, e->packed_len);
}


/* Bytes of r->pool that need no allocation; NULL: there are not so many. */
static u_char *
ngx_http_travel_l1_place(ngx_http_request_t *r, size_t len)
{
    ngx_pool_t  *p;

    p = r->pool->current;

    if (len > r->pool->max || (size_t) (p->d.end - p->d.last) < len) {
        return NULL;
    }

    return ngx_pnalloc(r->pool, len);
}


static uint32_t
ngx_http_travel_l1_lookup_locked(ngx_http_travel_l1_t *l1,
    const ngx_http_travel_fill_t *fill)
{
    uint32_t    i;
    ngx_uint_t  n;

    i = l1->buckets[(uint32_t) fill->hash % l1->nbuckets];

    for (n = 0; i != NGX_HTTP_TRAVEL_L1_NONE
                && n < NGX_HTTP_TRAVEL_L1_CHAIN; n++)
    {
        if (ngx_http_travel_l1_same(l1, i, fill)) {
            return i;
        }

        i = ngx_http_travel_l1_entry(l1, i)->bucket;
    }

    return NGX_HTTP_TRAVEL_L1_NONE;
}


/* The tags are part of what an answer is: two locations may ask the same query
 * and make it depend on different things. */
static ngx_uint_t
ngx_http_travel_l1_same(ngx_http_travel_l1_t *l1, uint32_t i,
    const ngx_http_travel_fill_t *fill)
{
    ngx_http_travel_l1_entry_t   *e;
    ngx_http_travel_l1_cursor_t   cursor;

    e = ngx_http_travel_l1_entry(l1, i);

    if (e->hash != fill->hash || e->key_len != fill->key.len
        || e->ntags != fill->ntags
        || ngx_memcmp(e->tags, fill->tags, e->ntags * sizeof(uint64_t)) != 0)
    {
        return 0;
    }

    ngx_http_travel_l1_cursor(&cursor, l1, i);

    return ngx_http_travel_l1_equal(&cursor, fill->key.data, fill->key.len);
}


static ngx_http_travel_l1_e
ngx_http_travel_l1_judge(const ngx_http_travel_l1_entry_t *e,
    const ngx_http_travel_fill_t *fill, travel_stream_id_t floor, int64_t now)
{
    int64_t  expires, over;

    if (e->era != fill->era) {
        return NGX_HTTP_TRAVEL_L1_INVALID;
    }

    /* a commit is hard: nothing brings back what it overwrote */

    if (fill->generation != 0
        && ngx_http_travel_tags_since(e->tags, e->ntags + e->nrows, e->pos))
    {
        return NGX_HTTP_TRAVEL_L1_INVALID;
    }

    /* slots of a table that was emptied meanwhile tell nothing */

    if (fill->generation != 0
        && fill->generation != ngx_http_travel_node_generation())
    {
        return NGX_HTTP_TRAVEL_L1_ABSENT;
    }

    /* the caller has written since; others may still be served */

    if (travel_stream_id_cmp(floor, e->pos) > 0) {
        return NGX_HTTP_TRAVEL_L1_ABSENT;
    }

    /* the time of this location, if that is less than the fill's */

    expires = e->filled + (int64_t) fill->ttl;
    over = expires + (int64_t) fill->stale;

    expires = ngx_min(expires, e->expires);
    over = ngx_min(over, e->stale_until);

    if (now > over) {
        return NGX_HTTP_TRAVEL_L1_OVER;
    }

    if (!fill->fresh || e->generation != fill->generation) {
        return NGX_HTTP_TRAVEL_L1_UNSURE;
    }

    return (now <= expires) ? NGX_HTTP_TRAVEL_L1_FRESH
                            : NGX_HTTP_TRAVEL_L1_EXPIRED;
}


/* --- insert -------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_l1_insert(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag,
    ngx_uint_t *ret_evicted)
{
    size_t                    size;
    int64_t                   now;
    uint32_t                  i, need;
    ngx_time_t               *tp;
    ngx_http_travel_l1_t     *l1;
    ngx_http_travel_shard_t  *shard;

    *ret_evicted = 0;

    if (content->body.len > NGX_HTTP_TRAVEL_L1_BODY_MAX
        || fill->key.len > NGX_HTTP_TRAVEL_L1_KEY_MAX
        || etag->len > NGX_HTTP_TRAVEL_L1_ETAG)
    {
        return NGX_DECLINED;
    }

    tp = ngx_timeofday();
    now = (int64_t) tp->sec * 1000 + tp->msec;

    /* at most one pointer's width goes to the header's alignment */
    size = sizeof(uint64_t) + sizeof(ngx_http_travel_l1_entry_t)
           + fill->key.len + content->body.len + content->packed.len;
    need = (size + NGX_HTTP_TRAVEL_L1_DATA - 1) / NGX_HTTP_TRAVEL_L1_DATA;

    shard = ngx_http_travel_shard(zone, fill->hash);

    ngx_http_travel_shard_lock(shard);

    l1 = shard->data;

    i = ngx_http_travel_l1_lookup_locked(l1, fill);

    if (i != NGX_HTTP_TRAVEL_L1_NONE) {

        if (ngx_http_travel_l1_newer_locked(l1, i, fill, now)) {
            ngx_http_travel_shard_unlock(shard);
            return NGX_DECLINED;
        }

        ngx_http_travel_l1_remove_locked(l1, i);
    }

    if (need <= l1->nchunks / 8) {
        *ret_evicted = ngx_http_travel_l1_room_locked(l1, need);
    }

    if (need > l1->nchunks / 8 || l1->nfree < need) {
        ngx_http_travel_shard_unlock(shard);
        return NGX_DECLINED;
    }

    i = ngx_http_travel_l1_alloc_locked(l1, need);
    ngx_http_travel_l1_set_locked(l1, i, fill, content, etag, now);
    ngx_http_travel_l1_link_locked(l1, i);

    ngx_http_travel_shard_unlock(shard);

    return NGX_OK;
}


static void
ngx_http_travel_l1_set_locked(ngx_http_travel_l1_t *l1, uint32_t i,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag,
    int64_t now)
{
    ngx_uint_t                    k;
    ngx_http_travel_l1_entry_t   *e;
    ngx_http_travel_l1_cursor_t   cursor;

    e = ngx_http_travel_l1_entry(l1, i);

    e->hash = fill->hash;
    e->generation = fill->generation;
    e->era = fill->era;
    e->pos = fill->pos;
    e->ntags = fill->ntags;
    e->nrows = fill->nrows;

    for (k = 0; k < fill->ntags + fill->nrows; k++) {
        e->tags[k] = fill->tags[k];
    }

    e->key_len = fill->key.len;
    e->head_len = content->head;
    e->body_len = content->body.len;
    e->packed_len = content->packed.len;
    e->visited = 0;
    e->kind = content->kind;
    e->filled = (fill->filled != 0) ? fill->filled : now;
    e->expires = e->filled + fill->ttl;
    e->stale_until = e->expires + fill->stale;
    e->etag_len = etag->len;
    ngx_memcpy(e->etag, etag->data, etag->len);

    ngx_http_travel_l1_cursor(&cursor, l1, i);
    ngx_http_travel_l1_write(&cursor, fill->key.data, fill->key.len);
    ngx_http_travel_l1_write(&cursor, content->body.data, content->body.len);
    ngx_http_travel_l1_write(&cursor, content->packed.data,
                             content->packed.len);
}


/* A fill that was overtaken must not replace one that began later. */
static ngx_uint_t
ngx_http_travel_l1_newer_locked(ngx_http_travel_l1_t *l1, uint32_t i,
    const ngx_http_travel_fill_t *fill, int64_t now)
{
    ngx_http_travel_l1_entry_t  *e;

    e = ngx_http_travel_l1_entry(l1, i);

    return e->generation == fill->generation && now <= e->expires
           && travel_stream_id_cmp(e->pos, fill->pos) > 0;
}


/* Evicts until 'need' chunks are free, or the bound is met. */
static ngx_uint_t
ngx_http_travel_l1_room_locked(ngx_http_travel_l1_t *l1, uint32_t need)
{
    uint32_t    i;
    ngx_uint_t  n, steps;

    steps = NGX_HTTP_TRAVEL_L1_STEPS;

    for (n = 0; l1->nfree < need && n < NGX_HTTP_TRAVEL_L1_EVICTIONS; n++) {
        i = ngx_http_travel_l1_victim_locked(l1, &steps);

        if (i == NGX_HTTP_TRAVEL_L1_NONE) {
            break;
        }

        ngx_http_travel_l1_remove_locked(l1, i);
    }

    return n;
}


/* The hand goes on from where it stood, oldest to newest, and around.  Out of
 * steps it takes what it points at. */
static uint32_t
ngx_http_travel_l1_victim_locked(ngx_http_travel_l1_t *l1, ngx_uint_t *steps)
{
    uint32_t                     i;
    ngx_http_travel_l1_entry_t  *e;

    i = l1->hand;

    if (i == NGX_HTTP_TRAVEL_L1_NONE) {
        i = l1->oldest;
    }

    while (i != NGX_HTTP_TRAVEL_L1_NONE) {
        e = ngx_http_travel_l1_entry(l1, i);

        if (!e->visited || *steps == 0) {
            l1->hand = e->newer;
            return i;
        }

        e->visited = 0;
        (*steps)--;
        i = (e->newer != NGX_HTTP_TRAVEL_L1_NONE) ? e->newer : l1->oldest;
    }

    return NGX_HTTP_TRAVEL_L1_NONE;
}


static uint32_t
ngx_http_travel_l1_alloc_locked(ngx_http_travel_l1_t *l1, uint32_t n)
{
    uint32_t  i, head;

    head = NGX_HTTP_TRAVEL_L1_NONE;
    l1->nfree -= n;

    while (n--) {
        if (l1->free != NGX_HTTP_TRAVEL_L1_NONE) {
            i = l1->free;
            l1->free = l1->chunks[i].next;

        } else {
            i = l1->fresh++;
        }

        l1->chunks[i].next = head;
        head = i;
    }

    return head;
}


static void
ngx_http_travel_l1_link_locked(ngx_http_travel_l1_t *l1, uint32_t i)
{
    uint32_t                    *bucket;
    ngx_http_travel_l1_entry_t  *e;

    e = ngx_http_travel_l1_entry(l1, i);
    bucket = &l1->buckets[(uint32_t) e->hash % l1->nbuckets];

    e->bucket = *bucket;
    *bucket = i;

    e->newer = NGX_HTTP_TRAVEL_L1_NONE;
    e->older = l1->newest;

    if (l1->newest != NGX_HTTP_TRAVEL_L1_NONE) {
        ngx_http_travel_l1_entry(l1, l1->newest)->newer = i;

    } else {
        l1->oldest = i;
    }

    l1->newest = i;
    l1->nentries += (e->kind != NGX_HTTP_TRAVEL_L1_PART);
}


static void
ngx_http_travel_l1_remove_locked(ngx_http_travel_l1_t *l1, uint32_t i)
{
    uint32_t                    *p, n, next;
    ngx_http_travel_l1_entry_t  *e;

    e = ngx_http_travel_l1_entry(l1, i);

    for (p = &l1->buckets[(uint32_t) e->hash % l1->nbuckets];
         *p != i;
         p = &ngx_http_travel_l1_entry(l1, *p)->bucket)
    {
        /* void */
    }

    *p = e->bucket;
    l1->nentries -= (e->kind != NGX_HTTP_TRAVEL_L1_PART);

    if (l1->hand == i) {
        l1->hand = e->newer;
    }

    if (e->older != NGX_HTTP_TRAVEL_L1_NONE) {
        ngx_http_travel_l1_entry(l1, e->older)->newer = e->newer;

    } else {
        l1->oldest = e->newer;
    }

    if (e->newer != NGX_HTTP_TRAVEL_L1_NONE) {
        ngx_http_travel_l1_entry(l1, e->newer)->older = e->older;

    } else {
        l1->newest = e->older;
    }

    for (n = i; n != NGX_HTTP_TRAVEL_L1_NONE; n = next) {
        next = l1->chunks[n].next;
        l1->chunks[n].next = l1->free;
        l1->free = n;
        l1->nfree++;
    }
}


/* --- purges -------------------------------------------------------------- */

void
ngx_http_travel_l1_drop(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill)
{
    uint32_t                  i;
    ngx_http_travel_shard_t  *shard;

    shard = ngx_http_travel_shard(zone, fill->hash);

    ngx_http_travel_shard_lock(shard);

    i = ngx_http_travel_l1_lookup_locked(shard->data, fill);

    if (i != NGX_HTTP_TRAVEL_L1_NONE) {
        ngx_http_travel_l1_remove_locked(shard->data, i);
    }

    ngx_http_travel_shard_unlock(shard);
}


ngx_uint_t
ngx_http_travel_l1_purge(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_purge_t *purge, ngx_http_travel_purge_means_pt means,
    ngx_uint_t *where, ngx_uint_t buckets)
{
    ngx_uint_t                dropped, number, first, n;
    ngx_http_travel_l1_t     *l1;
    ngx_http_travel_shard_t  *shard;

    dropped = 0;

    /* shards have their buckets one behind the other in this count */

    while (buckets) {
        first = *where;

        for (number = 0; number < zone->nshards; number++) {
            l1 = zone->shards[number].data;

            if (first < l1->nbuckets) {
                break;
            }

            first -= l1->nbuckets;
        }

        if (number == zone->nshards) {
            *where = 0;
            return dropped;
        }

        shard = &zone->shards[number];

        ngx_http_travel_shard_lock(shard);

        l1 = shard->data;

        for (n = 0; n < NGX_HTTP_TRAVEL_L1_PURGE && n < buckets
                    && first + n < l1->nbuckets; n++)
        {
            dropped += ngx_http_travel_l1_purge_locked(l1, first + n, purge,
                                                       means);
        }

        ngx_http_travel_shard_unlock(shard);

        *where += n;
        buckets -= n;
    }

    return dropped;
}


static ngx_uint_t
ngx_http_travel_l1_purge_locked(ngx_http_travel_l1_t *l1, ngx_uint_t bucket,
    const ngx_http_travel_purge_t *purge, ngx_http_travel_purge_means_pt means)
{
    u_char                        key[NGX_HTTP_TRAVEL_L1_KEY_MAX];
    int64_t                       now;
    uint32_t                      i, next;
    ngx_uint_t                    n, dropped;
    ngx_time_t                   *tp;
    ngx_http_travel_l1_entry_t   *e;
    ngx_http_travel_l1_cursor_t   cursor;

    tp = ngx_timeofday();
    now = (int64_t) tp->sec * 1000 + tp->msec;
    dropped = 0;

    for (i = l1->buckets[bucket], n = 0;
         i != NGX_HTTP_TRAVEL_L1_NONE && n < NGX_HTTP_TRAVEL_L1_CHAIN;
         i = next, n++)
    {
        e = ngx_http_travel_l1_entry(l1, i);
        next = e->bucket;

        if (e->kind == NGX_HTTP_TRAVEL_L1_PART) {
            continue;                  /* its list is what is purged */
        }

        ngx_http_travel_l1_cursor(&cursor, l1, i);
        ngx_http_travel_l1_read(&cursor, key, e->key_len);

        if (!means(purge, key, e->key_len, e->tags,
                   e->ntags + e->nrows)) {
            continue;
        }

        dropped++;

        if (purge->soft && e->stale_until > now) {
            e->expires = ngx_min(e->expires, now - 1);

        } else {
            ngx_http_travel_l1_remove_locked(l1, i);
        }
    }

    return dropped;
}


void
ngx_http_travel_l1_usage(ngx_http_travel_zone_t *zone, size_t *ret_used,
    size_t *ret_size, ngx_uint_t *ret_entries)
{
    ngx_uint_t             i;
    ngx_http_travel_l1_t  *l1;

    *ret_used = 0;
    *ret_size = 0;
    *ret_entries = 0;

    for (i = 0; i < zone->nshards; i++) {
        l1 = zone->shards[i].data;

        *ret_size += (size_t) l1->nchunks * NGX_HTTP_TRAVEL_L1_CHUNK;
        *ret_used += (size_t) (l1->nchunks - l1->nfree)
                     * NGX_HTTP_TRAVEL_L1_CHUNK;
        *ret_entries += l1->nentries;
    }
}


/* --- bytes through chunks ------------------------------------------------ */

/* The run of bytes at the cursor, at most 'len'; moves on when a chunk ends. */
static u_char *
ngx_http_travel_l1_run(ngx_http_travel_l1_cursor_t *c, size_t len,
    size_t *ret_n)
{
    while (c->offset >= NGX_HTTP_TRAVEL_L1_DATA) {
        c->offset -= NGX_HTTP_TRAVEL_L1_DATA;
        c->chunk = c->l1->chunks[c->chunk].next;
    }

    *ret_n = ngx_min(len, NGX_HTTP_TRAVEL_L1_DATA - c->offset);
    c->offset += *ret_n;

    return c->l1->chunks[c->chunk].data + c->offset - *ret_n;
}


static ngx_uint_t
ngx_http_travel_l1_equal(ngx_http_travel_l1_cursor_t *c, const u_char *p,
    size_t len)
{
    size_t   n;
    u_char  *run;

    while (len) {
        run = ngx_http_travel_l1_run(c, len, &n);

        if (ngx_memcmp(run, p, n) != 0) {
            return 0;
        }

        p += n;
        len -= n;
    }

    return 1;
}


static void
ngx_http_travel_l1_write(ngx_http_travel_l1_cursor_t *c, const u_char *p,
    size_t len)
{
    size_t   n;
    u_char  *run;

    while (len) {
        run = ngx_http_travel_l1_run(c, len, &n);
        ngx_memcpy(run, p, n);
        p += n;
        len -= n;
    }
}


static void
ngx_http_travel_l1_read(ngx_http_travel_l1_cursor_t *c, u_char *p, size_t len)
{
    size_t   n;
    u_char  *run;

    while (len) {
        run = ngx_http_travel_l1_run(c, len, &n);
        ngx_memcpy(p, run, n);
        p += n;
        len -= n;
    }
}
