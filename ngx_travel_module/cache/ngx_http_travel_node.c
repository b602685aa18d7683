/*
 * What this node knows of the invalidation stream: how far it has read, and
 * per tag the last invalidation (contracts section 4).
 *
 * One shard of the zone "tags" holds both.  Writers are the tails, one per
 * nginx worker; each applies every entry, under the shard's lock, and applying
 * twice changes nothing: positions and slots only grow.  Readers take no lock:
 * the head and each slot carry a sequence word, odd while it is written.
 *
 * 'generation' names an unbroken stretch of knowledge.  It changes when the
 * stream cannot be followed without a gap, when the timeline changes, and when
 * the zone starts or is emptied; answers of another generation are not served
 * while a server can be asked.  An emptied shard loses its generation before
 * anything else, so a reader of slots who finds the generation it began with
 * has not read slots that were being emptied.
 *
 * 'era' changes with the timeline and when the stream's ids went back: answers
 * of another era are never served, their positions mean nothing any more.
 * 'space' counts the latter; what was remembered of another space counts as
 * never invalidated.  A tail whose link is older than the new ids (it may still
 * have entries of the lost server in its buffer) is ignored until its link,
 * too, is a new one.
 *
 * After a gap, and after a second of silence, 'settled' is off.  It comes back
 * with a batch that was read to the stream's end and lies half a second of the
 * stream's own clock (two heartbeats) behind the break: LSNs are taken before
 * their entries are added, so what was skipped may carry a higher LSN than the
 * next entry, but not than that.  The highest commit then known becomes the
 * floor that every fill must have replayed; after a gap it is every caller's as
 * well, since their last writes may be among what was skipped.
 *
 * 'since' is where an unbroken stretch was settled: what another node says of a
 * position from there on, this one can judge.
 *
 * A batch counts as news of now only when it was asked for within the last
 * second: a worker that was stopped finds old answers in its socket.
 */

#include "ngx_http_travel_cache_room.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/digits.h"
#include "../../common/queues.h"


#define NGX_HTTP_TRAVEL_NODE_SILENCE   1000       /* ms */
#define NGX_HTTP_TRAVEL_NODE_SETTLE    500        /* ms, by the ids */
#define NGX_HTTP_TRAVEL_SEQ_TRIES      1000


typedef struct {
    uint32_t                  seq;
    uint32_t                  timeline;
    uint64_t                  lsn;
    uint64_t                  id_ms;
    uint32_t                  id_seq;
    uint32_t                  space;           /* of the id */
} ngx_http_travel_tag_slot_t;

typedef struct {
    uint64_t                  seq;
    ngx_http_travel_knowledge_t  know;
    uint64_t                  ids;             /* stamp: zone's start, space */
    uint32_t                  space;
    ngx_uint_t                missed;          /* entries, since settled */
    travel_stream_id_t        broken;          /* where settled went off */
    travel_siphash_key_t      key;
    ngx_uint_t                nslots;
    ngx_http_travel_tag_slot_t  slots[1];
} ngx_http_travel_tags_t;


typedef struct {
    ngx_str_t                 tags;
    ngx_str_t                 sub;
    travel_consistency_t      write;
} ngx_http_travel_inval_t;


typedef struct {
    ngx_queue_t               queue;
    travel_stream_id_t        id;
    ngx_event_t               event;
    ngx_http_request_t       *request;
    void                    (*woken)(ngx_http_request_t *r);
} ngx_http_travel_node_waiter_t;


static void ngx_http_travel_node_on_up(void *data, ngx_str_t *after);
static void ngx_http_travel_node_on_start(void *data, ngx_str_t *after);
static void ngx_http_travel_node_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields);
static void ngx_http_travel_node_on_batch(void *data, ngx_uint_t newest);
static void ngx_http_travel_node_read(const ngx_http_travel_reply_t *fields,
    ngx_http_travel_inval_t *ret_inval);
static void ngx_http_travel_node_apply_locked(ngx_http_travel_tags_t *t,
    const ngx_http_travel_inval_t *inval);
static void ngx_http_travel_node_tag_locked(ngx_http_travel_tags_t *t,
    travel_str_t tag, const travel_consistency_t *write);
static ngx_uint_t ngx_http_travel_node_follows_locked(
    ngx_http_travel_tags_t *t);
static void ngx_http_travel_node_break_locked(ngx_http_travel_tags_t *t,
    travel_stream_id_t at);
static ngx_uint_t ngx_http_travel_node_settle_locked(
    ngx_http_travel_tags_t *t);
static void ngx_http_travel_node_begin_locked(ngx_http_travel_tags_t *t);
static void ngx_http_travel_node_end_locked(ngx_http_travel_tags_t *t);
static uint64_t ngx_http_travel_node_stamp(void);
static void ngx_http_travel_node_wake(void);
static void ngx_http_travel_node_waited(ngx_event_t *ev);
static void ngx_http_travel_node_leave(void *data);


static ngx_http_travel_shard_t            *ngx_http_travel_node_shard;
static ngx_http_travel_cache_main_conf_t  *ngx_http_travel_node_conf;
static ngx_http_travel_redis_tail_t        ngx_http_travel_node_tail;
static ngx_queue_t                         ngx_http_travel_node_waiters;

/* This process's tail: what it asked for, and when. */
static u_char                              ngx_http_travel_node_after[64];
static travel_stream_id_t                  ngx_http_travel_node_asked;
static ngx_msec_t                          ngx_http_travel_node_asked_at;
static uint32_t                            ngx_http_travel_node_reads;


/* --- the zone ------------------------------------------------------------ */

ngx_int_t
ngx_http_travel_tags_init(ngx_http_travel_shard_t *shard)
{
    size_t                   room;
    ngx_http_travel_tags_t  *t;

    room = (shard->pool->pfree - 1) * ngx_pagesize;

    t = ngx_slab_alloc_locked(shard->pool, room);
    if (t == NULL) {
        return NGX_ERROR;
    }

    /* readers take no lock: the generation goes first and comes back last */

    __atomic_store_n(&t->know.generation, 0, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    ngx_memzero(t, room);

    if (travel_random(&t->key, sizeof(t->key)) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    t->nslots = (room - offsetof(ngx_http_travel_tags_t, slots))
                / sizeof(ngx_http_travel_tag_slot_t);

    t->know.era = ngx_http_travel_node_stamp();
    t->ids = t->know.era;

    __atomic_store_n(&t->know.generation, t->know.era, __ATOMIC_RELEASE);

    shard->data = t;

    return NGX_OK;
}


/* Never the same twice on a machine: microseconds of the clock, salted. */
static uint64_t
ngx_http_travel_node_stamp(void)
{
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    return ((uint64_t) tv.tv_sec * 1000000 + tv.tv_usec) << 8
           | (ngx_random() & 0xff);
}


ngx_int_t
ngx_http_travel_node_start(ngx_cycle_t *cycle,
    ngx_http_travel_cache_main_conf_t *cmcf)
{
    ngx_int_t  rc;

    ngx_http_travel_node_shard = &cmcf->tags->shards[0];
    ngx_http_travel_node_conf = cmcf;

    ngx_queue_init(&ngx_http_travel_node_waiters);

    ngx_str_set(&ngx_http_travel_node_tail.stream, TRAVEL_KEY_INVAL);
    ngx_http_travel_node_tail.on_up = ngx_http_travel_node_on_up;
    ngx_http_travel_node_tail.on_start = ngx_http_travel_node_on_start;
    ngx_http_travel_node_tail.on_entry = ngx_http_travel_node_on_entry;
    ngx_http_travel_node_tail.on_batch = ngx_http_travel_node_on_batch;

    if (!ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_QUEUE)) {
        return NGX_OK;
    }

    rc = ngx_http_travel_redis_tail(cycle, NGX_HTTP_TRAVEL_REDIS_QUEUE,
                                    &ngx_http_travel_node_tail);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


const travel_siphash_key_t *
ngx_http_travel_node_key(void)
{
    ngx_http_travel_tags_t  *t;

    t = ngx_http_travel_node_shard->data;

    return &t->key;
}


/* --- reading without a lock ---------------------------------------------- */

void
ngx_http_travel_node_look(ngx_http_travel_knowledge_t *ret_look)
{
    uint64_t                 seq;
    ngx_uint_t               i;
    ngx_http_travel_tags_t  *t;

    t = ngx_http_travel_node_shard->data;

    for (i = 0; i < NGX_HTTP_TRAVEL_SEQ_TRIES; i++) {
        seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE);

        *ret_look = t->know;

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (!(seq & 1) && seq == __atomic_load_n(&t->seq, __ATOMIC_RELAXED)) {
            return;
        }

        ngx_cpu_pause();
    }

    /* a writer died inside: taking the lock empties the shard */
    ngx_http_travel_shard_lock(ngx_http_travel_node_shard);
    ngx_http_travel_shard_unlock(ngx_http_travel_node_shard);

    ngx_memzero(ret_look, sizeof(ngx_http_travel_knowledge_t));
}


uint64_t
ngx_http_travel_node_generation(void)
{
    ngx_http_travel_tags_t  *t;

    t = ngx_http_travel_node_shard->data;

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    return __atomic_load_n(&t->know.generation, __ATOMIC_RELAXED);
}


uint64_t
ngx_http_travel_node_ids(void)
{
    ngx_http_travel_tags_t  *t;

    t = ngx_http_travel_node_shard->data;

    return __atomic_load_n(&t->ids, __ATOMIC_RELAXED);
}


ngx_uint_t
ngx_http_travel_node_hearing(const ngx_http_travel_knowledge_t *look)
{
    return look->generation != 0 && look->settled
           && (ngx_msec_int_t) (ngx_current_msec - look->heard)
              < NGX_HTTP_TRAVEL_NODE_SILENCE;
}


void
ngx_http_travel_node(ngx_http_travel_node_t *ret_node)
{
    ngx_http_travel_knowledge_t  look;

    ngx_memzero(ret_node, sizeof(ngx_http_travel_node_t));

    if (ngx_http_travel_node_shard == NULL
        || ngx_http_travel_node_shard->data == NULL)
    {
        return;
    }

    ngx_http_travel_node_look(&look);

    ret_node->pos = look.pos;
    ret_node->commit = look.commit;
    ret_node->hearing = ngx_http_travel_node_hearing(&look);
    ret_node->silence = look.heard ? ngx_current_msec - look.heard
                                   : ngx_current_msec;
}


void
ngx_http_travel_tag_last(uint64_t tag, travel_stream_id_t *ret_id,
    travel_lsn_t *ret_lsn)
{
    uint32_t                     seq;
    ngx_uint_t                   i;
    ngx_http_travel_tags_t      *t;
    ngx_http_travel_tag_slot_t  *slot;

    t = ngx_http_travel_node_shard->data;
    slot = &t->slots[tag % t->nslots];

    for (i = 0; i < NGX_HTTP_TRAVEL_SEQ_TRIES; i++) {
        seq = __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE);

        ret_id->ms = slot->id_ms;
        ret_id->seq = slot->id_seq;
        ret_lsn->lsn = slot->lsn;
        ret_lsn->timeline = slot->timeline;

        if (slot->space != t->space) {
            ret_id->ms = 0;
            ret_id->seq = 0;
        }

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (!(seq & 1)
            && seq == __atomic_load_n(&slot->seq, __ATOMIC_RELAXED))
        {
            return;
        }

        ngx_cpu_pause();
    }

    /* unreadable: newer than anything, so nothing is served by it */
    ret_id->ms = (uint64_t) -1;
    ret_id->seq = 0;
}


ngx_uint_t
ngx_http_travel_tags_since(const uint64_t *tags, ngx_uint_t n,
    travel_stream_id_t pos)
{
    ngx_uint_t           i;
    travel_lsn_t         lsn;
    travel_stream_id_t   last;

    for (i = 0; i < n; i++) {
        ngx_http_travel_tag_last(tags[i], &last, &lsn);

        if (travel_stream_id_cmp(last, pos) > 0) {
            return 1;
        }
    }

    return 0;
}


/* --- writing: the tail --------------------------------------------------- */

static void
ngx_http_travel_node_on_up(void *data, ngx_str_t *after)
{
    ngx_http_travel_tags_t  *t;

    ngx_http_travel_shard_lock(ngx_http_travel_node_shard);

    t = ngx_http_travel_node_shard->data;
    ngx_http_travel_node_asked = t->know.pos;
    ngx_http_travel_node_reads = t->space;

    ngx_http_travel_shard_unlock(ngx_http_travel_node_shard);

    ngx_http_travel_node_asked_at = ngx_current_msec;

    if (ngx_http_travel_node_asked.ms == 0) {
        ngx_str_set(after, "$");
        return;
    }

    after->data = ngx_http_travel_node_after;
    after->len = travel_stream_id_format((char *) after->data,
                                         ngx_http_travel_node_asked);
}


/*
 * This tail begins behind 'after', which is not what it asked for.  That is a
 * break unless another worker's tail has read as far already; ids that went
 * back are told by what was asked for, and by whoever is the first to see it.
 */
static void
ngx_http_travel_node_on_start(void *data, ngx_str_t *after)
{
    ngx_uint_t               back, gap;
    travel_stream_id_t       id;
    ngx_http_travel_tags_t  *t;

    if (travel_stream_id_parse(&id, ngx_http_travel_view(after))
        != TRAVEL_OK)
    {
        return;
    }

    ngx_http_travel_shard_lock(ngx_http_travel_node_shard);

    t = ngx_http_travel_node_shard->data;

    back = (t->space == ngx_http_travel_node_reads
            && travel_stream_id_cmp(id, ngx_http_travel_node_asked) < 0);

    gap = (back || t->know.pos.ms == 0
           || travel_stream_id_cmp(id, t->know.pos) > 0);

    if (gap) {
        ngx_http_travel_node_begin_locked(t);

        t->know.generation = ngx_http_travel_node_stamp();
        t->know.pos = id;
        t->know.since.ms = 0;
        t->missed = 1;
        ngx_http_travel_node_break_locked(t, id);

        if (back) {
            t->know.era = t->know.generation;
            t->ids = t->know.generation;

            /* who reads a slot by the new space finds the new generation */
            __atomic_store_n(&t->space, t->space + 1, __ATOMIC_RELEASE);
        }

        ngx_http_travel_node_end_locked(t);
    }

    ngx_http_travel_node_reads = t->space;

    ngx_http_travel_shard_unlock(ngx_http_travel_node_shard);

    ngx_http_travel_node_asked_at = ngx_current_msec;

    if (gap) {
        ngx_http_travel_count(ngx_http_travel_node_conf->gaps, 1);
    }
}


static void
ngx_http_travel_node_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields)
{
    ngx_uint_t                follows;
    ngx_http_travel_tags_t   *t;
    ngx_http_travel_inval_t   inval;

    ngx_memzero(&inval, sizeof(inval));

    if (travel_stream_id_parse(&inval.write.inval, ngx_http_travel_view(id))
        != TRAVEL_OK)
    {
        return;
    }

    ngx_http_travel_node_read(fields, &inval);

    ngx_http_travel_shard_lock(ngx_http_travel_node_shard);

    t = ngx_http_travel_node_shard->data;
    follows = ngx_http_travel_node_follows_locked(t);

    if (follows) {
        ngx_http_travel_node_apply_locked(t, &inval);
    }

    ngx_http_travel_shard_unlock(ngx_http_travel_node_shard);

    if (follows && inval.sub.len != 0 && inval.write.commit.lsn != 0) {
        ngx_http_travel_writer_note(&inval.sub, &inval.write);
    }
}


static void
ngx_http_travel_node_on_batch(void *data, ngx_uint_t newest)
{
    ngx_uint_t               missed;
    ngx_msec_t               took;
    travel_consistency_t     now;
    ngx_http_travel_tags_t  *t;

    took = ngx_current_msec - ngx_http_travel_node_asked_at;
    ngx_http_travel_node_asked_at = ngx_current_msec;

    missed = 0;
    ngx_memzero(&now, sizeof(now));

    if (newest && took < NGX_HTTP_TRAVEL_NODE_SILENCE) {
        ngx_http_travel_shard_lock(ngx_http_travel_node_shard);

        t = ngx_http_travel_node_shard->data;

        if (ngx_http_travel_node_follows_locked(t)) {
            ngx_http_travel_node_begin_locked(t);

            missed = ngx_http_travel_node_settle_locked(t);
            now.commit = t->know.floor;
            now.inval = t->know.pos;
            t->know.heard = ngx_current_msec;

            ngx_http_travel_node_end_locked(t);
        }

        ngx_http_travel_shard_unlock(ngx_http_travel_node_shard);
    }

    if (missed) {
        ngx_http_travel_writers_missed(&now);
    }

    ngx_http_travel_node_wake();
}


/* Does this process's tail read the stream that the node follows?  An emptied
 * shard has begun to count anew: whoever reads on is in it. */
static ngx_uint_t
ngx_http_travel_node_follows_locked(ngx_http_travel_tags_t *t)
{
    if (ngx_http_travel_node_reads > t->space) {
        ngx_http_travel_node_reads = t->space;
    }

    return ngx_http_travel_node_reads == t->space;
}


static void
ngx_http_travel_node_break_locked(ngx_http_travel_tags_t *t,
    travel_stream_id_t at)
{
    t->know.settled = 0;
    t->broken = at;
}


/* Whether settled has just come back, and callers' writes were missed. */
static ngx_uint_t
ngx_http_travel_node_settle_locked(ngx_http_travel_tags_t *t)
{
    ngx_uint_t  missed;

    if (t->know.settled || t->know.commit.lsn == 0
        || t->know.pos.ms < t->broken.ms + NGX_HTTP_TRAVEL_NODE_SETTLE)
    {
        return 0;
    }

    missed = t->missed;

    if (missed || t->know.since.ms == 0) {
        t->know.since = t->know.pos;
    }

    t->know.floor = t->know.commit;
    t->know.settled = 1;
    t->missed = 0;

    return missed;
}


static void
ngx_http_travel_node_read(const ngx_http_travel_reply_t *fields,
    ngx_http_travel_inval_t *ret_inval)
{
    uint64_t      n;
    ngx_str_t     name, value;
    ngx_uint_t    i, count;

    count = ngx_http_travel_reply_count(fields);

    for (i = 0; i + 1 < count; i += 2) {
        name = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(fields, i));
        value = ngx_http_travel_reply_str(
                                    ngx_http_travel_reply_elt(fields, i + 1));

        if (name.len == 4 && ngx_strncmp(name.data, "tags", 4) == 0) {
            ret_inval->tags = value;

        } else if (name.len == 3 && ngx_strncmp(name.data, "sub", 3) == 0) {
            ret_inval->sub = value;

        } else if (name.len == 8 && ngx_strncmp(name.data, "timeline", 8) == 0
                   && travel_digits_parse(&n, ngx_http_travel_view(&value))
                      == TRAVEL_OK
                   && n <= NGX_MAX_UINT32_VALUE)
        {
            ret_inval->write.commit.timeline = (uint32_t) n;

        } else if (name.len == 3 && ngx_strncmp(name.data, "lsn", 3) == 0
                   && travel_lsn_parse(&n, ngx_http_travel_view(&value))
                      == TRAVEL_OK)
        {
            ret_inval->write.commit.lsn = n;
        }
    }
}


static void
ngx_http_travel_node_apply_locked(ngx_http_travel_tags_t *t,
    const ngx_http_travel_inval_t *inval)
{
    u_char                      *p, *last, *start;
    travel_str_t                 tag;
    const travel_consistency_t  *write = &inval->write;

    /* tags first: whoever sees the new position must see the tags as well */

    p = inval->tags.data;
    last = p + inval->tags.len;

    while (p < last) {
        while (p < last && *p == ' ') {
            p++;
        }

        start = p;

        while (p < last && *p != ' ') {
            p++;
        }

        if (p > start) {
            tag.data = (char *) start;
            tag.len = p - start;
            ngx_http_travel_node_tag_locked(t, tag, write);
        }
    }

    ngx_http_travel_node_begin_locked(t);

    if (t->know.pos.ms == 0
        || (t->know.heard != 0
            && (ngx_msec_int_t) (ngx_current_msec - t->know.heard)
               >= NGX_HTTP_TRAVEL_NODE_SILENCE
            && t->know.settled))
    {
        ngx_http_travel_node_break_locked(t, write->inval);
    }

    if (t->know.commit.timeline != 0
        && write->commit.timeline > t->know.commit.timeline)
    {
        t->know.generation = ngx_http_travel_node_stamp();
        t->know.era = t->know.generation;
        ngx_http_travel_node_break_locked(t, write->inval);
    }

    if (travel_lsn_cmp(write->commit, t->know.commit) > 0) {
        t->know.commit = write->commit;
    }

    if (travel_stream_id_cmp(write->inval, t->know.pos) > 0) {
        t->know.pos = write->inval;
    }

    ngx_http_travel_node_end_locked(t);
}


static void
ngx_http_travel_node_tag_locked(ngx_http_travel_tags_t *t, travel_str_t tag,
    const travel_consistency_t *write)
{
    uint64_t                     hash;
    travel_lsn_t                 known;
    travel_stream_id_t           id, last;
    ngx_http_travel_tag_slot_t  *slot;

    hash = travel_siphash(&t->key, tag.data, tag.len);
    slot = &t->slots[hash % t->nslots];

    known.timeline = slot->timeline;
    known.lsn = slot->lsn;
    last.ms = slot->id_ms;
    last.seq = slot->id_seq;

    id = write->inval;

    if (id.seq > NGX_MAX_UINT32_VALUE) {
        id.ms++;                     /* later than it was: that is safe */
        id.seq = 0;
    }

    __atomic_store_n(&slot->seq, slot->seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    if (slot->space != t->space || travel_stream_id_cmp(id, last) > 0) {
        slot->space = t->space;
        slot->id_ms = id.ms;
        slot->id_seq = (uint32_t) id.seq;
    }

    if (travel_lsn_cmp(write->commit, known) > 0) {
        slot->timeline = write->commit.timeline;
        slot->lsn = write->commit.lsn;
    }

    __atomic_store_n(&slot->seq, slot->seq + 1, __ATOMIC_RELEASE);
}


static void
ngx_http_travel_node_begin_locked(ngx_http_travel_tags_t *t)
{
    __atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}


static void
ngx_http_travel_node_end_locked(ngx_http_travel_tags_t *t)
{
    __atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);
}


/* --- waiting for a position ---------------------------------------------- */

ngx_int_t
ngx_http_travel_node_wait(ngx_http_request_t *r, travel_stream_id_t id,
    ngx_msec_t timeout, void (*woken)(ngx_http_request_t *r))
{
    ngx_pool_cleanup_t             *cln;
    ngx_http_travel_knowledge_t     look;
    ngx_http_travel_node_waiter_t  *w;

    if (ngx_http_travel_node_shard == NULL) {
        return NGX_ERROR;
    }

    ngx_http_travel_node_look(&look);

    if (travel_stream_id_cmp(look.pos, id) >= 0) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_travel_node_waiter_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    w = cln->data;
    ngx_memzero(w, sizeof(ngx_http_travel_node_waiter_t));

    w->id = id;
    w->request = r;
    w->woken = woken;
    w->event.data = w;
    w->event.handler = ngx_http_travel_node_waited;
    w->event.log = r->connection->log;

    cln->handler = ngx_http_travel_node_leave;

    ngx_queue_insert_tail(&ngx_http_travel_node_waiters, &w->queue);
    ngx_add_timer(&w->event, timeout);

    return NGX_AGAIN;
}


/* Whoever's position is reached goes on in this loop turn. */
static void
ngx_http_travel_node_wake(void)
{
    ngx_queue_t                    *q, *next;
    ngx_http_travel_knowledge_t     look;
    ngx_http_travel_node_waiter_t  *w;

    if (ngx_queue_empty(&ngx_http_travel_node_waiters)) {
        return;
    }

    ngx_http_travel_node_look(&look);

    for (q = ngx_queue_head(&ngx_http_travel_node_waiters);
         q != ngx_queue_sentinel(&ngx_http_travel_node_waiters);
         q = next)
    {
        next = ngx_queue_next(q);
        w = ngx_queue_data(q, ngx_http_travel_node_waiter_t, queue);

        if (travel_stream_id_cmp(look.pos, w->id) >= 0 && !w->event.posted) {
            ngx_post_event(&w->event, &ngx_posted_events);
        }
    }
}


/* By position or by time: the caller looks for itself which it was. */
static void
ngx_http_travel_node_waited(ngx_event_t *ev)
{
    ngx_http_travel_node_waiter_t  *w;

    w = ev->data;

    ngx_http_travel_node_leave(w);
    w->woken(w->request);
}


static void
ngx_http_travel_node_leave(void *data)
{
    ngx_http_travel_node_waiter_t  *w = data;

    if (w->queue.next == NULL) {
        return;
    }

    ngx_queue_remove(&w->queue);
    w->queue.next = NULL;

    if (w->event.timer_set) {
        ngx_del_timer(&w->event);
    }

    if (w->event.posted) {
        ngx_delete_posted_event(&w->event);
    }
}
