/*
 * L2: answers in Redis (role "cache"), shared by all nodes.
 *
 * The request that fills a key of this node first asks here.  An entry is
 * believed when it is whole and signed (common/cache_record.h), when its key
 * and tags are these, byte by byte, and when this node can judge it: the node
 * hears the invalidation stream, has followed it without a gap since before
 * the entry's position, and no tag was invalidated after that.  Else it is as
 * if it were not there.
 *
 * With no entry the nodes agree on who fills: SET NX PX of a lock that holds
 * the filler's position.  Who gets it looks once more, for the one before him
 * stored and released after the first look.  Who loses looks for the entry a
 * few more times and then fills as well; so does whoever must not read from
 * that position.  The lock is released by value, and runs out by itself.
 *
 * All of it is best effort and bounded in time: a reply that does not come is
 * a miss.  The state lives in r->pool and ends with the request; writes and
 * releases go into the background pipeline of the link and nobody waits.
 */

#include "ngx_http_travel_cache_room.h"
#include "../net/ngx_http_travel_redis.h"


#define NGX_HTTP_TRAVEL_L2_TIMEOUT   50         /* ms for a reply */
#define NGX_HTTP_TRAVEL_L2_LOCK      2000       /* ms it lives at most */
#define NGX_HTTP_TRAVEL_L2_WAIT      1000       /* ms a loser waits at most */
#define NGX_HTTP_TRAVEL_L2_WRITES    256        /* unanswered, per worker */
#define NGX_HTTP_TRAVEL_L2_BODY_MAX  (1000 * 1024)
#define NGX_HTTP_TRAVEL_L2_SKEW      2000       /* ms between nodes' clocks */

#define NGX_HTTP_TRAVEL_L2_KEY       "travel:l2:"
#define NGX_HTTP_TRAVEL_L2_LOCK_KEY  "travel:l2lock:"
#define NGX_HTTP_TRAVEL_L2_KEY_LEN   96
#define NGX_HTTP_TRAVEL_L2_VALUE     96


typedef struct {
    ngx_http_travel_l2_wait_t  wait;           /* first: see its event */
    ngx_http_request_t        *request;
    ngx_http_travel_fill_t    *fill;
    ngx_http_travel_hit_t     *hit;
    travel_stream_id_t         floor;
    void                     (*done)(ngx_http_request_t *r, ngx_int_t rc);
    unsigned                   over:1;         /* done was called */
    u_char                     lock[NGX_HTTP_TRAVEL_L2_VALUE];
    size_t                     lock_len;
    u_char                     key[NGX_HTTP_TRAVEL_L2_KEY_LEN];
    size_t                     key_len;
    u_char                     lock_key[NGX_HTTP_TRAVEL_L2_KEY_LEN];
    size_t                     lock_key_len;
} ngx_http_travel_l2_fetch_t;


static ngx_int_t ngx_http_travel_l2_name(ngx_http_travel_fill_t *fill);
static ngx_int_t ngx_http_travel_l2_get(ngx_http_travel_l2_fetch_t *f);
static void ngx_http_travel_l2_got(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_int_t ngx_http_travel_l2_believe(ngx_http_travel_l2_fetch_t *f,
    travel_str_t bytes);
static ngx_uint_t ngx_http_travel_l2_judge(ngx_http_travel_l2_fetch_t *f,
    const travel_cache_record_t *record);
static ngx_int_t ngx_http_travel_l2_take(ngx_http_travel_l2_fetch_t *f,
    const travel_cache_record_t *record);
static ngx_int_t ngx_http_travel_l2_lock(ngx_http_travel_l2_fetch_t *f);
static void ngx_http_travel_l2_locked(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_uint_t ngx_http_travel_l2_worth(ngx_http_travel_l2_fetch_t *f,
    ngx_str_t holder);
static void ngx_http_travel_l2_again(ngx_event_t *ev);
static void ngx_http_travel_l2_end(ngx_http_travel_l2_fetch_t *f,
    ngx_int_t rc);
static void ngx_http_travel_l2_gone(void *data);
static void ngx_http_travel_l2_write(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill, const char *bytes, size_t len);
static void ngx_http_travel_l2_written(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);


/* Removes a lock that is still ours. */
static const char  ngx_http_travel_l2_release[] =
    "if redis.call('get', KEYS[1]) == ARGV[1] then "
    "return redis.call('del', KEYS[1]) end return 0";


static ngx_uint_t  ngx_http_travel_l2_waiting;
static ngx_uint_t  ngx_http_travel_l2_writing;
static uint64_t    ngx_http_travel_l2_serial;


/* --- asking -------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_cache_fetch(ngx_http_request_t *r,
    ngx_http_travel_fill_t *fill, travel_stream_id_t floor,
    ngx_http_travel_hit_t *ret_hit,
    void (*done)(ngx_http_request_t *r, ngx_int_t rc))
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_travel_l2_fetch_t  *f;

    if (!fill->l2 || !fill->fresh
        || !ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE)
        || !ngx_http_travel_redis_up(NGX_HTTP_TRAVEL_REDIS_CACHE)
        || ngx_http_travel_l2_name(fill) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_travel_l2_fetch_t));
    if (cln == NULL) {
        return NGX_DECLINED;
    }

    f = cln->data;
    ngx_memzero(f, sizeof(ngx_http_travel_l2_fetch_t));
    cln->handler = ngx_http_travel_l2_gone;

    f->request = r;
    f->fill = fill;
    f->hit = ret_hit;
    f->floor = floor;
    f->done = done;
    ngx_http_travel_l2_wait_init(&f->wait, r, NGX_HTTP_TRAVEL_L2_WAIT,
                                 &ngx_http_travel_l2_waiting,
                                 ngx_http_travel_l2_again);

    f->key_len = ngx_sprintf(f->key, NGX_HTTP_TRAVEL_L2_KEY "%*s",
                             sizeof(fill->name), fill->name) - f->key;
    f->lock_key_len = ngx_sprintf(f->lock_key,
                                  NGX_HTTP_TRAVEL_L2_LOCK_KEY "%*s",
                                  sizeof(fill->name), fill->name)
                      - f->lock_key;
    f->lock_len = ngx_sprintf(f->lock, "%uL-%uL %P %uL %uxL", fill->pos.ms,
                              fill->pos.seq, ngx_pid,
                              ++ngx_http_travel_l2_serial,
                              (uint64_t) ngx_random() << 31 | ngx_random())
                  - f->lock;

    return ngx_http_travel_l2_get(f);
}


/* The key's name in Redis: a digest of all that tells answers apart, in words,
 * since hashes under a node's own key mean nothing to others. */
static ngx_int_t
ngx_http_travel_l2_name(ngx_http_travel_fill_t *fill)
{
    uint8_t       md[TRAVEL_SHA256_LEN];
    travel_str_t  parts[3];

    parts[0] = ngx_http_travel_view(&fill->key);
    parts[1] = ngx_http_travel_view(&fill->named[0]);
    parts[2] = ngx_http_travel_view(&fill->named[1]);

    if (travel_sha256_parts(md, parts, 3) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    travel_hex_encode((char *) fill->name, md, sizeof(fill->name) / 2);

    return NGX_OK;
}


/* NGX_AGAIN, or NGX_DECLINED when nothing can be asked. */
static ngx_int_t
ngx_http_travel_l2_get(ngx_http_travel_l2_fetch_t *f)
{
    size_t                       argvlen[2];
    const char                  *argv[2];
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, f->request,
                                  NGX_HTTP_TRAVEL_L2_TIMEOUT,
                                  ngx_http_travel_l2_got, f);
    if (op == NULL) {
        return NGX_DECLINED;
    }

    argv[0] = "GET";
    argvlen[0] = 3;
    argv[1] = (char *) f->key;
    argvlen[1] = f->key_len;

    return ngx_http_travel_redis_command(op, 2, argv, argvlen) == NGX_OK
           ? NGX_AGAIN : NGX_DECLINED;
}


static void
ngx_http_travel_l2_got(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                    bytes;
    ngx_uint_t                   locked, first;
    ngx_http_travel_l2_fetch_t  *f = op->data;

    locked = (f->fill->lock.len != 0);
    first = !f->wait.waiting && !locked;

    if (reply == NULL) {
        ngx_http_travel_cache_count(f->request, NGX_HTTP_TRAVEL_L2_LOST);
        ngx_http_travel_l2_end(f, NGX_DECLINED);
        return;
    }

    if (ngx_http_travel_reply_type(reply) == NGX_HTTP_TRAVEL_REPLY_STRING) {
        bytes = ngx_http_travel_reply_str(reply);

        if (ngx_http_travel_l2_believe(f, ngx_http_travel_view(&bytes))
            == NGX_OK)
        {
            ngx_http_travel_cache_count(f->request, NGX_HTTP_TRAVEL_L2_HIT);
            ngx_http_travel_l2_end(f, NGX_OK);
            return;
        }

        if (first) {
            ngx_http_travel_cache_count(f->request,
                                        NGX_HTTP_TRAVEL_L2_REFUSED);
        }

    } else if (first) {
        ngx_http_travel_cache_count(f->request, NGX_HTTP_TRAVEL_L2_MISS);
    }

    if (locked || ngx_http_travel_l2_lock(f) != NGX_AGAIN) {
        ngx_http_travel_l2_end(f, NGX_DECLINED);
    }
}


/* --- judging ------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_l2_believe(ngx_http_travel_l2_fetch_t *f, travel_str_t bytes)
{
    travel_cache_record_t  record;

    if (travel_cache_record_decode(&record, bytes, ngx_http_travel_l2_secret())
            != TRAVEL_OK
        || !ngx_http_travel_l2_judge(f, &record))
    {
        return NGX_DECLINED;
    }

    return ngx_http_travel_l2_take(f, &record);
}


static ngx_uint_t
ngx_http_travel_l2_judge(ngx_http_travel_l2_fetch_t *f,
    const travel_cache_record_t *record)
{
    uint64_t                       now, ttl;
    ngx_time_t                    *tp;
    const ngx_http_travel_fill_t  *fill = f->fill;

    if (record->key.len != fill->key.len
        || ngx_memcmp(record->key.data, fill->key.data, fill->key.len) != 0
        || record->tags.len != fill->named[0].len + 1 + fill->named[1].len
        || ngx_memcmp(record->tags.data, fill->named[0].data,
                      fill->named[0].len) != 0
        || record->tags.data[fill->named[0].len] != ' '
        || ngx_memcmp(record->tags.data + fill->named[0].len + 1,
                      fill->named[1].data, fill->named[1].len) != 0
        || record->body.len > NGX_HTTP_TRAVEL_L2_BODY_MAX
        || record->packed.len > NGX_HTTP_TRAVEL_L2_BODY_MAX
        || record->etag.len > 64)
    {
        return 0;
    }

    tp = ngx_timeofday();
    now = (uint64_t) tp->sec * 1000 + tp->msec;
    ttl = ngx_min(record->ttl, (uint64_t) fill->ttl);

    if (now >= record->filled + ttl
        || record->filled > now + NGX_HTTP_TRAVEL_L2_SKEW
        || travel_stream_id_cmp(f->floor, record->pos) > 0)
    {
        return 0;
    }

    if (ngx_http_travel_purge_since(fill, record->purge, 1)) {
        return 0;
    }

    return fill->generation == 0
           || ngx_http_travel_l2_followed(fill->generation, fill->tags,
                                          fill->ntags, record);
}


/*
 * Can this node say that nothing of the entry was overwritten since?  Only of
 * positions that it has itself passed without a gap, in the run of ids and on
 * the timeline that it is in.  A run of ids has no name that nodes share; an
 * entry of another is told by its being older than this one's beginning.
 */
ngx_uint_t
ngx_http_travel_l2_followed(uint64_t generation, const uint64_t *tags,
    ngx_uint_t n, const travel_cache_record_t *record)
{
    ngx_http_travel_knowledge_t  look;

    ngx_http_travel_node_look(&look);

    if (look.generation != generation
        || !ngx_http_travel_node_hearing(&look)
        || record->timeline != look.commit.timeline
        || look.since.ms == 0
        || travel_stream_id_cmp(record->pos, look.since) < 0
        || travel_stream_id_cmp(record->pos, look.pos) > 0
        || record->filled < (look.era >> 8) / 1000 + NGX_HTTP_TRAVEL_L2_SKEW)
    {
        return 0;
    }

    if (ngx_http_travel_tags_since(tags, n, record->pos)) {
        return 0;
    }

    return ngx_http_travel_node_generation() == generation;
}


/* The reply that the record's strings lie in goes with its callback. */
static ngx_int_t
ngx_http_travel_l2_copy(ngx_http_request_t *r,
    const travel_cache_record_t *record, ngx_http_travel_content_t *ret_content,
    ngx_str_t *ret_etag)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, record->body.len + record->packed.len
                             + record->etag.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_content->head = 0;
    ret_content->body.data = p;
    ret_content->body.len = record->body.len;
    p = ngx_cpymem(p, record->body.data, record->body.len);

    ret_content->packed.data = p;
    ret_content->packed.len = record->packed.len;
    p = ngx_cpymem(p, record->packed.data, record->packed.len);

    ret_etag->data = p;
    ret_etag->len = record->etag.len;
    ngx_memcpy(p, record->etag.data, record->etag.len);

    return NGX_OK;
}


/* Into L1, with the position and the age that it has, and to the caller. */
static ngx_int_t
ngx_http_travel_l2_take(ngx_http_travel_l2_fetch_t *f,
    const travel_cache_record_t *record)
{
    ngx_str_t                   etag;
    uint64_t                    now;
    ngx_time_t                 *tp;
    ngx_http_travel_fill_t      taken;
    ngx_http_travel_content_t   content;

    if (ngx_http_travel_l2_copy(f->request, record, &content, &etag)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* where nodes differ in their settings, one may have to make it still */

    ngx_http_travel_packed_make(f->request,
                                ngx_http_travel_packed_conf(f->request),
                                &content);

    tp = ngx_timeofday();
    now = (uint64_t) tp->sec * 1000 + tp->msec;

    ngx_http_travel_cache_give(f->fill, &content, &etag, f->hit);
    f->hit->age = (now > record->filled) ? (now - record->filled) / 1000 : 0;
    f->hit->stale = 0;

    taken = *f->fill;
    taken.pos = record->pos;
    taken.purge = record->purge;
    taken.filled = record->filled;
    taken.ttl = record->ttl;
    taken.stale = record->stale;

    ngx_http_travel_cache_keep(f->request, &taken, &content, &etag);
    ngx_http_travel_cache_abandon(f->request, f->fill);

    return NGX_OK;
}


/* --- the nodes' lock ----------------------------------------------------- */

static ngx_int_t
ngx_http_travel_l2_lock(ngx_http_travel_l2_fetch_t *f)
{
    ngx_str_t                    key, value;
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, f->request,
                                  NGX_HTTP_TRAVEL_L2_TIMEOUT,
                                  ngx_http_travel_l2_locked, f);
    if (op == NULL) {
        return NGX_DECLINED;
    }

    key.data = f->lock_key;
    key.len = f->lock_key_len;
    value.data = f->lock;
    value.len = f->lock_len;

    return ngx_http_travel_l2_claim(op, &key, &value, NGX_HTTP_TRAVEL_L2_LOCK);
}


static void
ngx_http_travel_l2_locked(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_l2_fetch_t  *f = op->data;

    if (reply != NULL
        && ngx_http_travel_reply_type(reply) == NGX_HTTP_TRAVEL_REPLY_NIL)
    {
        f->fill->lock.data = f->lock;
        f->fill->lock.len = f->lock_len;

        /* who held it may have stored in between */

        if (ngx_http_travel_l2_get(f) == NGX_AGAIN) {
            return;
        }

    } else if (reply != NULL
               && ngx_http_travel_reply_type(reply)
                  == NGX_HTTP_TRAVEL_REPLY_STRING
               && ngx_http_travel_l2_worth(f, ngx_http_travel_reply_str(reply))
               && ngx_http_travel_l2_wait(&f->wait) == NGX_AGAIN)
    {
        return;
    }

    ngx_http_travel_l2_end(f, NGX_DECLINED);
}


/* Will the holder's answer do for us?  "POS PID SERIAL RANDOM". */
static ngx_uint_t
ngx_http_travel_l2_worth(ngx_http_travel_l2_fetch_t *f, ngx_str_t holder)
{
    u_char              *space;
    travel_str_t         text;
    travel_stream_id_t   pos;

    space = ngx_strlchr(holder.data, holder.data + holder.len, ' ');
    if (space == NULL) {
        return 0;
    }

    text.data = (char *) holder.data;
    text.len = space - holder.data;

    return travel_stream_id_parse(&pos, text) == TRAVEL_OK
           && travel_stream_id_cmp(pos, ngx_http_travel_fills_need(f->fill,
                                                                   f->floor))
              >= 0;
}


static void
ngx_http_travel_l2_again(ngx_event_t *ev)
{
    ngx_http_travel_l2_fetch_t  *f;

    f = (ngx_http_travel_l2_fetch_t *) ev;

    if (ngx_http_travel_l2_get(f) != NGX_AGAIN) {
        ngx_http_travel_l2_end(f, NGX_DECLINED);
    }
}


static void
ngx_http_travel_l2_end(ngx_http_travel_l2_fetch_t *f, ngx_int_t rc)
{
    ngx_http_travel_l2_wait_end(&f->wait);

    if (!f->over) {
        f->over = 1;

        ngx_http_set_log_request(f->request->connection->log, f->request);
        f->done(f->request, rc);
    }
}


/* The request has ended, with or without its fill. */
static void
ngx_http_travel_l2_gone(void *data)
{
    ngx_http_travel_l2_fetch_t  *f = data;

    ngx_http_travel_l2_wait_end(&f->wait);

    /* the pool of *f->fill is still there: cleanups run before it goes */

    if (f->fill->lock.len != 0) {
        ngx_http_travel_l2_unlock(f->fill);
    }
}


/* --- writing ------------------------------------------------------------- */

void
ngx_http_travel_l2_store(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag)
{
    size_t                  len;
    u_char                 *p, *tags;
    ngx_time_t             *tp;
    travel_cache_record_t   record;
    ngx_http_travel_node_t  node;

    if (!fill->l2 || content->body.len > NGX_HTTP_TRAVEL_L2_BODY_MAX
        || fill->name[0] == '\0'
        || ngx_http_travel_l2_writing >= NGX_HTTP_TRAVEL_L2_WRITES
        || !ngx_http_travel_redis_up(NGX_HTTP_TRAVEL_REDIS_CACHE))
    {
        return;
    }

    ngx_memzero(&record, sizeof(travel_cache_record_t));
    ngx_memzero(&node, sizeof(ngx_http_travel_node_t));

    if (fill->generation != 0) {
        ngx_http_travel_node(&node);
    }

    tp = ngx_timeofday();

    record.pos = fill->pos;
    record.purge = fill->purge;
    record.timeline = node.commit.timeline;
    record.filled = (uint64_t) tp->sec * 1000 + tp->msec;
    record.ttl = fill->ttl;
    record.stale = fill->stale;
    record.key = ngx_http_travel_view(&fill->key);
    record.etag = ngx_http_travel_view(etag);
    record.body = ngx_http_travel_view(&content->body);
    record.packed = ngx_http_travel_view(&content->packed);
    record.tags.len = fill->named[0].len + 1 + fill->named[1].len;

    tags = ngx_pnalloc(r->pool, record.tags.len);
    if (tags == NULL) {
        return;
    }

    record.tags.data = (char *) tags;
    p = ngx_cpymem(tags, fill->named[0].data, fill->named[0].len);
    *p++ = ' ';
    ngx_memcpy(p, fill->named[1].data, fill->named[1].len);

    len = travel_cache_record_size(&record);
    p = (len != 0) ? ngx_pnalloc(r->pool, len) : NULL;

    if (p != NULL
        && travel_cache_record_encode((char *) p, &record,
                                      ngx_http_travel_l2_secret())
           == TRAVEL_OK)
    {
        ngx_http_travel_l2_write(r, fill, (char *) p, len);
    }
}


static void
ngx_http_travel_l2_write(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill, const char *bytes, size_t len)
{
    u_char                       px[NGX_INT64_LEN];
    u_char                       key[NGX_HTTP_TRAVEL_L2_KEY_LEN];
    size_t                       argvlen[5];
    const char                  *argv[5];
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                  ngx_http_travel_l2_written, NULL);
    if (op == NULL) {
        return;
    }

    argv[0] = "SET";
    argvlen[0] = 3;
    argv[1] = (char *) key;
    argvlen[1] = ngx_sprintf(key, NGX_HTTP_TRAVEL_L2_KEY "%*s",
                             sizeof(fill->name), fill->name) - key;
    argv[2] = bytes;
    argvlen[2] = len;
    argv[3] = "PX";
    argvlen[3] = 2;
    argv[4] = (char *) px;
    argvlen[4] = ngx_sprintf(px, "%M", fill->ttl) - px;

    if (ngx_http_travel_redis_command(op, 5, argv, argvlen) == NGX_OK) {
        ngx_http_travel_l2_writing++;
        ngx_http_travel_cache_count(r, NGX_HTTP_TRAVEL_L2_STORED);
    }
}


/* Whatever came of it: nobody has waited. */
static void
ngx_http_travel_l2_written(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_l2_writing--;
}


static void
ngx_http_travel_l2_released(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    /* not released, or run out before: time has done it */
}


void
ngx_http_travel_l2_unlock(ngx_http_travel_fill_t *fill)
{
    u_char                       key[NGX_HTTP_TRAVEL_L2_KEY_LEN];
    size_t                       argvlen[2];
    const char                  *argv[2];
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                  ngx_http_travel_l2_released, NULL);
    if (op == NULL) {
        return;
    }

    argv[0] = (char *) key;
    argvlen[0] = ngx_sprintf(key, NGX_HTTP_TRAVEL_L2_LOCK_KEY "%*s",
                             sizeof(fill->name), fill->name) - key;
    argv[1] = (char *) fill->lock.data;
    argvlen[1] = fill->lock.len;

    (void) ngx_http_travel_redis_script(op, ngx_http_travel_l2_release, 1, 2,
                                        argv, argvlen);
    ngx_str_null(&fill->lock);
}


/* What signs the nodes' tokens signs their records; with no such key only
 * accidents are caught. */
travel_str_t
ngx_http_travel_l2_secret(void)
{
    ngx_http_travel_main_conf_t  *mcf;

    mcf = ngx_http_travel_cycle_conf((ngx_cycle_t *) ngx_cycle);

    if (mcf == NULL || mcf->consistency_secret.len == 0) {
        return TRAVEL_STR("travel");
    }

    return ngx_http_travel_view(&mcf->consistency_secret);
}
