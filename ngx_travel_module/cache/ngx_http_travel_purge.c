/*
 * Purges: what an operator takes out of all nodes' caches.
 *
 * They travel by a stream of their own on the cache role, "travel:purge", that
 * every nginx worker tails: a node's login may write there anyway, while
 * writing to the queue's invalidation stream would let it claim commits,
 * timelines and positions that never were.  The stream is capped and as mortal
 * as the rest of that role, and so are the entries it could have missed.
 *
 * One shard of the zone "purges" holds the node's place in the stream and a
 * ring of the last purges, all under the shard's lock.  The first worker to
 * read a purge enters it there and then goes through L1, slice by slice; if it
 * dies meanwhile, whoever next connects does it again.  Entries that are not in
 * L1 now are judged by the ring: a fill notes the node's place when it begins
 * and is not kept when a purge since then means it, and an entry of L2 carries
 * the place of who filled it.  What is older than the ring reaches is unknown,
 * and not taken.
 *
 * Marks of unsafe requests (kept_marks.c) go the same way, past the ring: L2
 * has versions for that.
 */

#include "ngx_http_travel_cache_room.h"
#include "../net/ngx_http_travel_redis.h"


#define NGX_HTTP_TRAVEL_PURGE_RING     64
#define NGX_HTTP_TRAVEL_PURGE_SLICE    4096     /* buckets per turn */


typedef struct {
    travel_stream_id_t         id;
    ngx_http_travel_purge_t    purge;
    ngx_uint_t                 space;        /* of the id */
    ngx_pid_t                  pid;          /* who goes through L1 */
    ngx_uint_t                 done;
    ngx_uint_t                 dropped;
} ngx_http_travel_purged_t;

typedef struct {
    ngx_uint_t                 known;        /* 'from' and 'pos' do say it */
    ngx_uint_t                 space;        /* counts beginnings: ids of
                                                another cannot be compared */
    travel_stream_id_t         from;         /* the ring holds all after this */
    travel_stream_id_t         pos;          /* last id read */
    ngx_uint_t                 n;            /* ever entered */
    ngx_http_travel_purged_t   ring[NGX_HTTP_TRAVEL_PURGE_RING];
} ngx_http_travel_purges_t;


static void ngx_http_travel_purge_on_up(void *data, ngx_str_t *after);
static void ngx_http_travel_purge_on_start(void *data, ngx_str_t *after);
static void ngx_http_travel_purge_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields);
static void ngx_http_travel_purge_on_batch(void *data, ngx_uint_t newest);
static ngx_int_t ngx_http_travel_purge_read(
    const ngx_http_travel_reply_t *fields, ngx_http_travel_purge_t *ret_purge);
static void ngx_http_travel_purge_adopt(void);
static void ngx_http_travel_purge_sweep(ngx_event_t *ev);
static ngx_http_travel_purged_t *ngx_http_travel_purge_ours_locked(
    ngx_http_travel_purges_t *t);
static ngx_uint_t ngx_http_travel_purge_means(
    const ngx_http_travel_purge_t *purge, const u_char *key, size_t len,
    const uint64_t *tags, ngx_uint_t ntags);


static ngx_http_travel_shard_t            *ngx_http_travel_purge_shard;
static ngx_http_travel_cache_main_conf_t  *ngx_http_travel_purge_conf;
static ngx_http_travel_redis_tail_t        ngx_http_travel_purge_tail;

/* This process's tail, and its way through L1. */
static u_char              ngx_http_travel_purge_after[64];
static travel_stream_id_t  ngx_http_travel_purge_asked;
static ngx_event_t         ngx_http_travel_purge_event;
static ngx_connection_t    ngx_http_travel_purge_dummy;
static travel_stream_id_t  ngx_http_travel_purge_current;
static ngx_http_travel_purge_t  ngx_http_travel_purge_what;
static ngx_uint_t          ngx_http_travel_purge_where;
static ngx_uint_t          ngx_http_travel_purge_dropped;


ngx_int_t
ngx_http_travel_purge_init(ngx_http_travel_shard_t *shard)
{
    ngx_http_travel_purges_t  *t;

    t = ngx_slab_calloc_locked(shard->pool, sizeof(ngx_http_travel_purges_t));
    if (t == NULL) {
        return NGX_ERROR;
    }

    shard->data = t;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_purge_start(ngx_cycle_t *cycle,
    ngx_http_travel_cache_main_conf_t *cmcf)
{
    ngx_int_t  rc;

    ngx_http_travel_purge_conf = cmcf;
    ngx_http_travel_purge_shard = &cmcf->purges->shards[0];

    ngx_http_travel_purge_dummy.fd = (ngx_socket_t) -1;
    ngx_http_travel_purge_event.data = &ngx_http_travel_purge_dummy;
    ngx_http_travel_purge_event.handler = ngx_http_travel_purge_sweep;
    ngx_http_travel_purge_event.log = cycle->log;
    ngx_http_travel_purge_event.cancelable = 1;

    if (!ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE)) {
        return NGX_OK;
    }

    ngx_str_set(&ngx_http_travel_purge_tail.stream,
                NGX_HTTP_TRAVEL_PURGE_STREAM);
    ngx_http_travel_purge_tail.on_up = ngx_http_travel_purge_on_up;
    ngx_http_travel_purge_tail.on_start = ngx_http_travel_purge_on_start;
    ngx_http_travel_purge_tail.on_entry = ngx_http_travel_purge_on_entry;
    ngx_http_travel_purge_tail.on_batch = ngx_http_travel_purge_on_batch;

    rc = ngx_http_travel_redis_tail(cycle, NGX_HTTP_TRAVEL_REDIS_CACHE,
                                    &ngx_http_travel_purge_tail);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* --- the tail ------------------------------------------------------------ */

static void
ngx_http_travel_purge_on_up(void *data, ngx_str_t *after)
{
    ngx_uint_t                 known;
    ngx_http_travel_purges_t  *t;

    ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

    t = ngx_http_travel_purge_shard->data;
    known = t->known;
    ngx_http_travel_purge_asked = t->pos;

    ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);

    ngx_http_travel_purge_adopt();

    if (!known) {
        ngx_str_set(after, "$");
        return;
    }

    after->data = ngx_http_travel_purge_after;
    after->len = travel_stream_id_format((char *) after->data,
                                         ngx_http_travel_purge_asked);
}


/*
 * The stream does not go on where this node stood: it is the node's first look,
 * or the stream is another, its entries lost with the server's memory, or some
 * were trimmed away unread.  The ring begins anew; only in the last case were
 * there purges this node should have followed, and all of L1 goes.
 */
static void
ngx_http_travel_purge_on_start(void *data, ngx_str_t *after)
{
    ngx_uint_t                 missed;
    travel_stream_id_t         id;
    ngx_http_travel_purged_t  *p;
    ngx_http_travel_purges_t  *t;

    if (travel_stream_id_parse(&id, ngx_http_travel_view(after)) != TRAVEL_OK) {
        return;
    }

    missed = 0;

    ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

    t = ngx_http_travel_purge_shard->data;

    if (!t->known
        || travel_stream_id_cmp(id, ngx_http_travel_purge_asked) < 0
        || travel_stream_id_cmp(id, t->pos) > 0)
    {
        missed = t->known
                 && travel_stream_id_cmp(id, ngx_http_travel_purge_asked) > 0;

        t->known = 1;
        t->space++;
        t->from = id;
        t->pos = id;

        if (missed) {
            p = &t->ring[t->n++ % NGX_HTTP_TRAVEL_PURGE_RING];
            ngx_memzero(p, sizeof(ngx_http_travel_purged_t));
            p->id = id;
            p->space = t->space;
            p->pid = ngx_pid;
            p->purge.kind = NGX_HTTP_TRAVEL_PURGE_ALL;
        }
    }

    ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);

    if (missed) {
        ngx_post_event(&ngx_http_travel_purge_event, &ngx_posted_events);
    }
}


static void
ngx_http_travel_purge_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields)
{
    ngx_uint_t                 ours;
    travel_stream_id_t         at;
    ngx_http_travel_purge_t    purge;
    ngx_http_travel_purged_t  *p;
    ngx_http_travel_purges_t  *t;

    if (travel_stream_id_parse(&at, ngx_http_travel_view(id)) != TRAVEL_OK) {
        return;
    }

    if (ngx_http_travel_purge_read(fields, &purge) != NGX_OK) {
        ngx_memzero(&purge, sizeof(purge));
        purge.kind = NGX_HTTP_TRAVEL_PURGE_ALL;      /* of a newer node: safe */
    }

    ours = 0;

    ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

    t = ngx_http_travel_purge_shard->data;

    if (!t->known) {
        t->known = 1;                    /* emptied: nothing before is known */
        t->from = at;
        t->pos.ms = 0;
        t->pos.seq = 0;
    }

    if (travel_stream_id_cmp(at, t->pos) > 0) {
        ours = 1;
        t->pos = at;
    }

    if (ours && purge.kind != NGX_HTTP_TRAVEL_PURGE_MARK) {
        p = &t->ring[t->n++ % NGX_HTTP_TRAVEL_PURGE_RING];

        if (p->pid != 0 && p->space == t->space
            && travel_stream_id_cmp(p->id, t->from) > 0)
        {
            t->from = p->id;
        }

        ngx_memzero(p, sizeof(ngx_http_travel_purged_t));
        p->id = at;
        p->space = t->space;
        p->purge = purge;
        p->pid = ngx_pid;
    }

    ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);

    if (ours) {
        ngx_http_travel_kept_purged(&purge);
    }

    if (ours && purge.kind != NGX_HTTP_TRAVEL_PURGE_MARK) {
        ngx_http_travel_count(ngx_http_travel_purge_conf->purged, 1);
        ngx_post_event(&ngx_http_travel_purge_event, &ngx_posted_events);
    }
}


static void
ngx_http_travel_purge_on_batch(void *data, ngx_uint_t newest)
{
    /* each entry has been told already */
}


static ngx_int_t
ngx_http_travel_purge_read(const ngx_http_travel_reply_t *fields,
    ngx_http_travel_purge_t *ret_purge)
{
    ngx_str_t   name, value;
    ngx_uint_t  i, count;

    ngx_memzero(ret_purge, sizeof(ngx_http_travel_purge_t));

    count = ngx_http_travel_reply_count(fields);

    for (i = 0; i + 1 < count; i += 2) {
        name = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(fields, i));
        value = ngx_http_travel_reply_str(
                                     ngx_http_travel_reply_elt(fields, i + 1));

        if (name.len == 4 && ngx_strncmp(name.data, "kind", 4) == 0) {

            if (value.len != 1 || value.data[0] < '1' || value.data[0] > '5') {
                return NGX_ERROR;
            }

            ret_purge->kind = value.data[0] - '0';

        } else if (name.len == 4 && ngx_strncmp(name.data, "soft", 4) == 0) {
            ret_purge->soft = (value.len == 1 && value.data[0] == '1');

        } else if (name.len == 4 && ngx_strncmp(name.data, "from", 4) == 0) {
            ret_purge->ours = ngx_http_travel_kept_ours(&value);

        } else if (name.len == 4 && ngx_strncmp(name.data, "what", 4) == 0) {

            if (value.len > sizeof(ret_purge->what)) {
                return NGX_ERROR;
            }

            ngx_memcpy(ret_purge->what, value.data, value.len);
            ret_purge->len = value.len;
        }
    }

    if (ret_purge->kind == NGX_HTTP_TRAVEL_PURGE_TAG) {
        ret_purge->tag = travel_siphash(ngx_http_travel_node_key(),
                                        ret_purge->what, ret_purge->len);
    }

    return ret_purge->kind ? NGX_OK : NGX_ERROR;
}


/* --- through L1 ---------------------------------------------------------- */

/* Purges whose worker died on the way are ours now. */
static void
ngx_http_travel_purge_adopt(void)
{
    ngx_pid_t                  dead;
    ngx_uint_t                 i, found;
    ngx_http_travel_purged_t  *p;
    ngx_http_travel_purges_t  *t;

    found = 0;

    for (i = 0; i < NGX_HTTP_TRAVEL_PURGE_RING; i++) {
        dead = 0;

        ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

        t = ngx_http_travel_purge_shard->data;
        p = &t->ring[i];

        if (p->pid != 0 && !p->done && p->pid != ngx_pid) {
            dead = p->pid;
        }

        ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);

        if (dead == 0 || kill(dead, 0) == 0 || ngx_errno != NGX_ESRCH) {
            continue;
        }

        ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

        t = ngx_http_travel_purge_shard->data;

        if (t->ring[i].pid == dead && !t->ring[i].done) {
            t->ring[i].pid = ngx_pid;
            found = 1;
        }

        ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);
    }

    if (found) {
        ngx_post_event(&ngx_http_travel_purge_event, &ngx_posted_events);
    }
}


static ngx_http_travel_purged_t *
ngx_http_travel_purge_ours_locked(ngx_http_travel_purges_t *t)
{
    ngx_uint_t                 i;
    ngx_http_travel_purged_t  *p, *first;

    first = NULL;

    for (i = 0; i < NGX_HTTP_TRAVEL_PURGE_RING; i++) {
        p = &t->ring[i];

        if (p->pid == ngx_pid && !p->done
            && (first == NULL || travel_stream_id_cmp(p->id, first->id) < 0))
        {
            first = p;
        }
    }

    return first;
}


/* A slice of L1 per turn of the loop, the oldest of our purges first. */
static void
ngx_http_travel_purge_sweep(ngx_event_t *ev)
{
    ngx_uint_t                 more, n;
    ngx_http_travel_purged_t  *p;

    more = 0;

    ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

    p = ngx_http_travel_purge_ours_locked(ngx_http_travel_purge_shard->data);

    if (p != NULL) {
        if (travel_stream_id_cmp(p->id, ngx_http_travel_purge_current) != 0) {
            ngx_http_travel_purge_where = 0;
            ngx_http_travel_purge_dropped = 0;
        }

        ngx_http_travel_purge_current = p->id;
        ngx_http_travel_purge_what = p->purge;
    }

    ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);

    if (p == NULL) {
        return;
    }

    n = ngx_http_travel_l1_purge(ngx_http_travel_purge_conf->cache,
                                 &ngx_http_travel_purge_what,
                                 ngx_http_travel_purge_means,
                                 &ngx_http_travel_purge_where,
                                 NGX_HTTP_TRAVEL_PURGE_SLICE);

    ngx_http_travel_purge_dropped += n;

    if (n) {
        ngx_http_travel_count(ngx_http_travel_purge_conf->dropped, n);
    }

    if (ngx_http_travel_purge_where == 0) {

        ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

        p = ngx_http_travel_purge_ours_locked(
                                           ngx_http_travel_purge_shard->data);

        if (p != NULL && travel_stream_id_cmp(p->id,
                                              ngx_http_travel_purge_current)
                         == 0)
        {
            p->done = 1;
            p->dropped = ngx_http_travel_purge_dropped;
        }

        more = ngx_http_travel_purge_ours_locked(
                                    ngx_http_travel_purge_shard->data) != NULL;

        ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);

        ngx_memzero(&ngx_http_travel_purge_current,
                    sizeof(travel_stream_id_t));

    } else {
        more = 1;
    }

    if (more) {
        ngx_add_timer(&ngx_http_travel_purge_event, 1);
    }
}


/* --- what a purge means -------------------------------------------------- */

static ngx_uint_t
ngx_http_travel_purge_means(const ngx_http_travel_purge_t *purge,
    const u_char *key, size_t len, const uint64_t *tags, ngx_uint_t ntags)
{
    size_t      name, rest;
    ngx_uint_t  k;

    switch (purge->kind) {

    case NGX_HTTP_TRAVEL_PURGE_ALL:
        return 1;

    case NGX_HTTP_TRAVEL_PURGE_TAG:
        for (k = 0; k < ntags; k++) {
            if (tags[k] == purge->tag) {
                return 1;
            }
        }

        return 0;

    case NGX_HTTP_TRAVEL_PURGE_PREFIX:
        return (purge->len <= len
                && ngx_memcmp(purge->what, key, purge->len) == 0)
               || ngx_http_travel_kept_begins(key, len, purge->what,
                                              purge->len);

    case NGX_HTTP_TRAVEL_PURGE_ROUTE:

        /* NAME NUL, then (in a key only) a digest, then the values */

        name = ngx_strnlen((u_char *) purge->what, purge->len) + 1;

        if (name > purge->len || name + TRAVEL_SHA256_LEN > len
            || ngx_memcmp(purge->what, key, name) != 0)
        {
            return 0;
        }

        rest = purge->len - name;

        return name + TRAVEL_SHA256_LEN + rest <= len
               && ngx_memcmp(purge->what + name,
                             key + name + TRAVEL_SHA256_LEN, rest)
                  == 0;

    default:
        return 1;
    }
}


void
ngx_http_travel_purge_place(travel_stream_id_t *ret_pos)
{
    ngx_http_travel_purges_t  *t;

    ret_pos->ms = 0;
    ret_pos->seq = 0;

    if (ngx_http_travel_purge_shard == NULL) {
        return;
    }

    ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

    t = ngx_http_travel_purge_shard->data;
    *ret_pos = t->pos;

    ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);
}


void
ngx_http_travel_purge_emptied(travel_stream_id_t *ret_id)
{
    ngx_uint_t                 i;
    ngx_http_travel_purged_t  *p;
    ngx_http_travel_purges_t  *t;

    ret_id->ms = 0;
    ret_id->seq = 0;

    ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

    t = ngx_http_travel_purge_shard->data;

    for (i = 0; i < NGX_HTTP_TRAVEL_PURGE_RING; i++) {
        p = &t->ring[i];

        if (p->pid != 0 && p->done && !p->purge.soft
            && p->purge.kind == NGX_HTTP_TRAVEL_PURGE_ALL
            && travel_stream_id_cmp(p->id, *ret_id) > 0)
        {
            *ret_id = p->id;
        }
    }

    ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);
}


ngx_uint_t
ngx_http_travel_purge_since(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t pos, ngx_uint_t elsewhere)
{
    ngx_uint_t                 i, means;
    ngx_http_travel_purged_t  *p;
    ngx_http_travel_purges_t  *t;

    if (ngx_http_travel_purge_shard == NULL) {
        return 0;
    }

    ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

    t = ngx_http_travel_purge_shard->data;

    /* outside of what the ring reaches nobody knows; a fill of our own that
     * began before the node knew its place was not promised anything */

    means = travel_stream_id_cmp(pos, t->from) < 0
            || travel_stream_id_cmp(pos, t->pos) > 0;

    if (!t->known) {
        means = elsewhere;

    } else if (!elsewhere && pos.ms == 0 && pos.seq == 0) {
        means = 0;
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_PURGE_RING && !means; i++) {
        p = &t->ring[i];

        if (p->pid != 0 && p->space == t->space
            && travel_stream_id_cmp(p->id, pos) > 0)
        {
            means = ngx_http_travel_purge_means(&p->purge, fill->key.data,
                                                fill->key.len, fill->tags,
                                                fill->ntags + fill->nrows);
        }
    }

    ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);

    return means;
}


ngx_int_t
ngx_http_travel_purge_outcome(travel_stream_id_t id, ngx_uint_t *ret_dropped)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_travel_purges_t  *t;

    rc = NGX_AGAIN;

    ngx_http_travel_shard_lock(ngx_http_travel_purge_shard);

    t = ngx_http_travel_purge_shard->data;

    for (i = 0; i < NGX_HTTP_TRAVEL_PURGE_RING; i++) {
        if (t->ring[i].pid != 0 && t->ring[i].done
            && travel_stream_id_cmp(t->ring[i].id, id) == 0)
        {
            *ret_dropped = t->ring[i].dropped;
            rc = NGX_OK;
        }
    }

    ngx_http_travel_shard_unlock(ngx_http_travel_purge_shard);

    return rc;
}
