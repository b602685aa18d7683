/*
 * Do we know the answer?  L1 in shared memory; tags; the node's place in the
 * invalidation stream (contracts section 4).
 *
 *     travel_cache TTL [tags=...] [stale=T];        in a travel_query location
 *
 * Zones: "cache" (entries), "tags" (the tag table, never evicted),
 * "writers" (each caller's last write).
 *
 * An entry carries {pos, tags}: pos = node.pos when its fill began.  It is
 * served only if no tag's last id > pos, and only while the node hears the
 * stream (1 s of silence: everything counts as stale).
 */

#ifndef NGX_HTTP_TRAVEL_CACHE_H
#define NGX_HTTP_TRAVEL_CACHE_H

#include "../core/ngx_http_travel.h"

#define NGX_HTTP_TRAVEL_TAGS_MAX  16

/* What must be known of a fill before it begins; taken under no lock. */
typedef struct {
    travel_stream_id_t    pos;          /* node.pos at the start */
    uint64_t              generation;   /* of the node's knowledge, then; 0:
                                           no stream, time alone rules */
    uint64_t              era;          /* timeline and stream, then */
    travel_lsn_t          floor;        /* the highest LSN of its tags: the fill
                                           must read from a server that has
                                           replayed this, else the primary */
    uint64_t              tags[NGX_HTTP_TRAVEL_TAGS_MAX];     /* hashed */
    ngx_uint_t            ntags;
    ngx_uint_t            nrows;        /* more in tags[]: see touched */
    ngx_str_t             key;          /* full key, from r->pool */
    uint64_t              hash;
    ngx_msec_t            ttl;          /* ms */
    ngx_msec_t            stale;        /* ms after ttl, for errors and TTL */
    ngx_str_t             named[2];     /* the tags in words: the query's own,
                                           and those of the directive */
    travel_stream_id_t    need;         /* the caller's own last write: a fill
                                           that began before is not joined */
    travel_stream_id_t    purge;        /* the node's place among the purges, as
                                           the fill began */
    int64_t               filled;       /* unix ms; 0: now, as it is stored */
    u_char                name[64];     /* in L2: hex; empty: not made */
    ngx_str_t             lock;         /* in L2: what to release, or empty */
    unsigned              enabled:1;    /* a travel_cache applies here */
    unsigned              fresh:1;      /* the node hears the stream */
    unsigned              l1:1;         /* kept in shared memory */
    unsigned              l2:1;         /* kept in Redis */
    unsigned              packed:1;     /* the caller takes gzip */
} ngx_http_travel_fill_t;

/* A found answer, copied into r->pool. */
typedef struct {
    ngx_str_t             body;
    ngx_str_t             etag;         /* quoted, of the plain body */
    time_t                age;          /* seconds since the fill */
    unsigned              packed:1;     /* the body is in gzip */
    unsigned              list:1;       /* it is L1's list of parts */
    unsigned              stale:1;
    unsigned              renew:1;      /* only its time is over: it may be
                                           served while r renews it */
} ngx_http_travel_hit_t;

/*
 * Looks r up.  'identity' is what makes the key: route, parameters, and the
 * viewer where the query binds it.  'tags' are the query's own (its @tags
 * line, expanded, separated by spaces; may be empty); those of the directive
 * join them.  Fills ret_fill always (so that a miss can be stored later).
 * 'floor_inval' is the caller's own last write: an entry whose pos is older is
 * not served.
 *
 * NGX_OK: *ret_hit; NGX_DECLINED: miss, fill it (a *ret_hit with stale set is
 * what may be served should the fill fail, with 'renew' before it); NGX_BUSY:
 * some nginx worker of this node fills it and has pos >= floor_inval: wait()
 * may join;
 * NGX_ABORT: no caching here.
 */
ngx_int_t ngx_http_travel_cache_lookup(ngx_http_request_t *r,
    const ngx_str_t *identity, const ngx_str_t *tags,
    travel_stream_id_t floor_inval, ngx_http_travel_fill_t *ret_fill,
    ngx_http_travel_hit_t *ret_hit);

/* Joins the running fill; 'woken' is called when it ended (look up again) or
 * after 'timeout' ms.  Ends by itself with the request. */
ngx_int_t ngx_http_travel_cache_wait(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill, ngx_msec_t timeout,
    void (*woken)(ngx_http_request_t *r));

/* Marks the fill as running on this node; ended by store or abandon, and by the
 * request's end.  NGX_BUSY: another nginx worker has begun it meanwhile, wait()
 * may join; else, and when NGX_DECLINED, the answer is not kept. */
ngx_int_t ngx_http_travel_cache_begin(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill);

/*
 * For who has begun a fill: is the answer in L2, or does another node fill it?
 * 'fill' must live as long as r.  NGX_DECLINED: no, fill it.  NGX_AGAIN:
 * done(r, rc) will be called, unless r ends before, with NGX_OK (*ret_hit is
 * filled, L1 has it, the fill has ended) or NGX_DECLINED.  Bounded in time.
 */
ngx_int_t ngx_http_travel_cache_fetch(ngx_http_request_t *r,
    ngx_http_travel_fill_t *fill, travel_stream_id_t floor_inval,
    ngx_http_travel_hit_t *ret_hit,
    void (*done)(ngx_http_request_t *r, ngx_int_t rc));

/* Stores what a server with replay position 'replay' answered; kept only if
 * replay >= the LSN of every tag, checked again now, and the node heard the
 * stream all along.  '*ret_hit' is what the caller gets of it. */
void ngx_http_travel_cache_store(ngx_http_request_t *r,
    ngx_http_travel_fill_t *fill, const ngx_str_t *body,
    travel_lsn_t replay, ngx_http_travel_hit_t *ret_hit);
void ngx_http_travel_cache_abandon(ngx_http_request_t *r,
    ngx_http_travel_fill_t *fill);

/* Before store: the answer holds rows by these tags (separated by spaces),
 * which only its making has told.  Such an answer is kept in shared memory
 * only; with more tags than an entry holds it is not kept. */
void ngx_http_travel_cache_touched(ngx_http_travel_fill_t *fill,
    const ngx_str_t *tags);

/* Strong validator of a body: quoted hex, from r->pool. */
ngx_int_t ngx_http_travel_cache_etag(ngx_http_request_t *r,
    const ngx_str_t *body, ngx_str_t *ret_etag);

/* What is to be said of a kept answer's coding: Vary, and of a packed one
 * Content-Encoding and that its ETag, set before, is weak. */
ngx_int_t ngx_http_travel_cache_coding(ngx_http_request_t *r,
    const ngx_http_travel_hit_t *hit);

/* What the entries take, of what there is: bytes, and how many they are. */
void ngx_http_travel_cache_usage(size_t *ret_used, size_t *ret_size,
    ngx_uint_t *ret_entries);


/* --- the node's position ------------------------------------------------- */

typedef struct {
    travel_stream_id_t    pos;          /* last id processed */
    travel_lsn_t          commit;       /* highest commit seen in the stream */
    ngx_msec_t            silence;      /* ms since anything was heard */
    unsigned              hearing:1;    /* silence < 1 s and no gap */
} ngx_http_travel_node_t;

void ngx_http_travel_node(ngx_http_travel_node_t *ret_node);

/* Calls back when node.pos >= id, or after timeout ms; ends with the request.
 * NGX_OK: already there; NGX_AGAIN: will call; NGX_ERROR. */
ngx_int_t ngx_http_travel_node_wait(ngx_http_request_t *r,
    travel_stream_id_t id, ngx_msec_t timeout,
    void (*woken)(ngx_http_request_t *r));

/* The caller's last write, by internal user id: noted by the stream and by
 * command when an answer passes through; {0} when none is known. */
void ngx_http_travel_writer_note(const ngx_str_t *user,
    const travel_consistency_t *write);
void ngx_http_travel_writer_last(const ngx_str_t *user,
    travel_consistency_t *ret_write);


/* --- answers that are kept elsewhere ------------------------------------- */

typedef struct {
    uint64_t              tags[NGX_HTTP_TRAVEL_TAGS_MAX];     /* hashed */
    ngx_uint_t            ntags;
    travel_stream_id_t    pos;
    uint64_t              generation;
} ngx_http_travel_since_t;

/* Before the answer is asked for. */
void ngx_http_travel_since_now(ngx_http_travel_since_t *since);
/* By which tags it can be overwritten (separated by spaces).  NGX_DECLINED:
 * there are none, or too many. */
ngx_int_t ngx_http_travel_since_tags(ngx_http_travel_since_t *since,
    const ngx_str_t *tags);
ngx_uint_t ngx_http_travel_since_changed(
    const ngx_http_travel_since_t *since);

extern ngx_module_t  ngx_http_travel_cache_module;

#endif
