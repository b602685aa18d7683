/* What cache's own files share: L1, the node's knowledge, running fills. */

#ifndef NGX_HTTP_TRAVEL_CACHE_ROOM_H
#define NGX_HTTP_TRAVEL_CACHE_ROOM_H

#include "ngx_http_travel_cache.h"
#include "../../common/cache_record.h"
#include "../../common/hash.h"


/* Counters of L2 and of the nodes' lock, in this order. */
typedef enum {
    NGX_HTTP_TRAVEL_L2_HIT,
    NGX_HTTP_TRAVEL_L2_MISS,
    NGX_HTTP_TRAVEL_L2_REFUSED,       /* not whole, or not to be judged */
    NGX_HTTP_TRAVEL_L2_LOST,          /* no reply in time */
    NGX_HTTP_TRAVEL_L2_STORED,
    NGX_HTTP_TRAVEL_L2_WAITED,        /* for another node's fill */
    NGX_HTTP_TRAVEL_L2_GAVE_UP,
    NGX_HTTP_TRAVEL_L2_COUNTERS
} ngx_http_travel_l2_e;

/* Of answers kept by the rules of HTTP: ngx_http_travel_kept.h */
typedef struct ngx_http_travel_kept_conf_s  ngx_http_travel_kept_conf_t;
typedef struct ngx_http_travel_kept_main_s  ngx_http_travel_kept_main_t;

/* A server block, as a part of keys: a client may name any host to any. */
typedef struct {
    ngx_uint_t                  number;       /* from 1, in nginx.conf */
    ngx_str_t                   text;         /* its name and number */
} ngx_http_travel_kept_server_t;

typedef struct {
    ngx_http_travel_kept_main_t  *http;       /* NULL: no travel_cache http */

    ngx_http_travel_zone_t     *cache;
    ngx_http_travel_zone_t     *fills;
    ngx_http_travel_zone_t     *purges;
    ngx_http_travel_zone_t     *tags;
    ngx_http_travel_zone_t     *writers;

    ngx_uint_t                  hit;          /* counters */
    ngx_uint_t                  miss;
    ngx_uint_t                  stale;
    ngx_uint_t                  expired;
    ngx_uint_t                  invalidated;
    ngx_uint_t                  collapsed;
    ngx_uint_t                  stored;
    ngx_uint_t                  refused;      /* fills not kept */
    ngx_uint_t                  evicted;
    ngx_uint_t                  gaps;
    ngx_uint_t                  purged;       /* purges */
    ngx_uint_t                  dropped;      /* entries that they took */
    ngx_uint_t                  l2[NGX_HTTP_TRAVEL_L2_COUNTERS];
    ngx_uint_t                  warmed;       /* URIs of warm-ups */
    ngx_uint_t                  unwarmed;
    ngx_array_t                 warm;         /* warm_conf_t *, by server */
    ngx_uint_t                  used;         /* some location caches */
    ngx_uint_t                  tails;        /* there is a stream to follow */
} ngx_http_travel_cache_main_conf_t;


/* --- the gzip coding of answers (packed.c) ------------------------------- */

typedef struct {
    ngx_int_t                   level;        /* 0: off */
    size_t                      min;          /* bytes */
    ngx_hash_t                  types;        /* of upstreams' answers */
    ngx_array_t                *type_keys;
} ngx_http_travel_packed_conf_t;

/* What is kept of an answer: its bytes, of which the first 'head' (a record's)
 * belong to either coding, and the others once more in gzip, or nothing. */
typedef struct {
    ngx_str_t                   body;
    size_t                      head;
    ngx_str_t                   packed;
    ngx_uint_t                  kind;         /* ngx_http_travel_l1_kind_e */
} ngx_http_travel_content_t;

/* This location's. */
ngx_http_travel_packed_conf_t *ngx_http_travel_packed_conf(
    ngx_http_request_t *r);
ngx_uint_t ngx_http_travel_packed_wanted(ngx_http_request_t *r,
    const ngx_http_travel_packed_conf_t *conf);
/* Fills content->packed, from r->pool, unless it is there, or not worth it. */
void ngx_http_travel_packed_make(ngx_http_request_t *r,
    const ngx_http_travel_packed_conf_t *conf,
    ngx_http_travel_content_t *content);

/* Of an answer that is in the other coding for other clients: Vary; of a coded
 * one Content-Encoding, and its ETag, if it has one, becomes weak. */
ngx_int_t ngx_http_travel_packed_vary(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_packed_said(ngx_http_request_t *r);
ngx_int_t ngx_http_travel_packed_weaken(ngx_http_request_t *r);

/* travel_cache_gzip */
char *ngx_http_travel_packed_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_travel_packed_init(ngx_http_travel_packed_conf_t *conf);
char *ngx_http_travel_packed_merge(ngx_conf_t *cf,
    ngx_http_travel_packed_conf_t *prev, ngx_http_travel_packed_conf_t *conf);

extern ngx_str_t  ngx_http_travel_packed_types[];


/* --- the node's knowledge: tags, position, generation (node.c) ----------- */

/* A look without a lock, consistent in itself. */
typedef struct {
    uint64_t              generation;   /* 0: nothing is known */
    uint64_t              era;
    travel_stream_id_t    pos;
    travel_lsn_t          commit;
    travel_lsn_t          floor;        /* fills must have replayed this */
    ngx_msec_t            heard;        /* ngx_current_msec */
    travel_stream_id_t    since;        /* all after this was followed; {0}:
                                           not known yet */
    ngx_uint_t            settled;      /* floor is known since a break */
} ngx_http_travel_knowledge_t;

ngx_int_t ngx_http_travel_tags_init(ngx_http_travel_shard_t *shard);
ngx_int_t ngx_http_travel_node_start(ngx_cycle_t *cycle,
    ngx_http_travel_cache_main_conf_t *cmcf);

/* The generation as it is now: for who has read slots since it looked. */
uint64_t ngx_http_travel_node_generation(void);

/* Names the run of ids that the stream is in: ids of another cannot be
 * compared.  Never the same twice. */
uint64_t ngx_http_travel_node_ids(void);

void ngx_http_travel_node_look(ngx_http_travel_knowledge_t *ret_look);
ngx_uint_t ngx_http_travel_node_hearing(
    const ngx_http_travel_knowledge_t *look);

/* The key under which this node hashes tags and cache keys. */
const travel_siphash_key_t *ngx_http_travel_node_key(void);

/* The last invalidation of a tag, or of one that shares its slot. */
void ngx_http_travel_tag_last(uint64_t tag, travel_stream_id_t *ret_id,
    travel_lsn_t *ret_lsn);
/* Was any of them invalidated after 'pos', as far as is known? */
ngx_uint_t ngx_http_travel_tags_since(const uint64_t *tags, ngx_uint_t n,
    travel_stream_id_t pos);


/* --- L1 (l1.c) ----------------------------------------------------------- */

typedef enum {
    NGX_HTTP_TRAVEL_L1_ABSENT,
    NGX_HTTP_TRAVEL_L1_FRESH,
    NGX_HTTP_TRAVEL_L1_EXPIRED,       /* within its stale time */
    NGX_HTTP_TRAVEL_L1_UNSURE,        /* of an older generation, or unheard */
    NGX_HTTP_TRAVEL_L1_OVER,          /* past its stale time: dropped */
    NGX_HTTP_TRAVEL_L1_INVALID        /* a tag was invalidated: dropped */
} ngx_http_travel_l1_e;

/* What an entry is: an answer, or of a larger one (l1_large.c) the list of its
 * parts or one of these. */
typedef enum {
    NGX_HTTP_TRAVEL_L1_WHOLE,
    NGX_HTTP_TRAVEL_L1_LIST,
    NGX_HTTP_TRAVEL_L1_PART
} ngx_http_travel_l1_kind_e;

ngx_int_t ngx_http_travel_l1_init(ngx_http_travel_shard_t *shard);

/* ret_hit is filled, from r->pool, for FRESH, EXPIRED and UNSURE. */
ngx_http_travel_l1_e ngx_http_travel_l1_find(ngx_http_request_t *r,
    ngx_http_travel_zone_t *zone, const ngx_http_travel_fill_t *fill,
    travel_stream_id_t floor, ngx_http_travel_hit_t *ret_hit);

#define NGX_HTTP_TRAVEL_L1_BODY_MAX  (128 * 1024)

/* NGX_OK; NGX_DECLINED: no room that bounded eviction could make, what is there
 * is newer, or the body is larger.  '*ret_evicted' counts entries that had to
 * go. */
ngx_int_t ngx_http_travel_l1_insert(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag,
    ngx_uint_t *ret_evicted);

/* Bytes of the body of an entry of that kind, whatever its age; it counts as a
 * hit.  NGX_OK; NGX_DECLINED: there is none, or it has not so many. */
ngx_int_t ngx_http_travel_l1_read_of(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill, ngx_uint_t kind, size_t from,
    size_t len, u_char *p);

/* The same find and insert for answers of up to LARGE_MAX bytes (and an eighth
 * of the zone), those above what fits an entry in parts. */
#define NGX_HTTP_TRAVEL_LARGE_MAX  (4 * 1024 * 1024 + 64 * 1024)

ngx_http_travel_l1_e ngx_http_travel_large_find(ngx_http_request_t *r,
    ngx_http_travel_zone_t *zone, const ngx_http_travel_fill_t *fill,
    travel_stream_id_t floor, ngx_http_travel_hit_t *ret_hit);
ngx_int_t ngx_http_travel_large_insert(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag,
    ngx_uint_t *ret_evicted);

#define NGX_HTTP_TRAVEL_PURGE_STREAM  "travel:purge"
#define NGX_HTTP_TRAVEL_PURGE_KEPT    "16384"     /* entries of it */

/* A purge: what it means, and whether it only ends an entry's time (so that it
 * may stand in until it is renewed) or takes it out. */
#define NGX_HTTP_TRAVEL_PURGE_WHAT    1024

typedef enum {
    NGX_HTTP_TRAVEL_PURGE_NONE,
    NGX_HTTP_TRAVEL_PURGE_TAG,
    NGX_HTTP_TRAVEL_PURGE_ROUTE,      /* NAME NUL, values as keys have them */
    NGX_HTTP_TRAVEL_PURGE_PREFIX,     /* of the key */
    NGX_HTTP_TRAVEL_PURGE_ALL,
    NGX_HTTP_TRAVEL_PURGE_MARK        /* of an unsafe request: kept_marks.c */
} ngx_http_travel_purge_e;

typedef struct {
    ngx_uint_t            kind;         /* ngx_http_travel_purge_e */
    ngx_uint_t            soft;
    uint64_t              tag;          /* hashed */
    ngx_uint_t            ours;         /* MARK: made by this node */
    size_t                len;
    u_char                what[NGX_HTTP_TRAVEL_PURGE_WHAT];
} ngx_http_travel_purge_t;

typedef ngx_uint_t (*ngx_http_travel_purge_means_pt)(
    const ngx_http_travel_purge_t *purge, const u_char *key, size_t len,
    const uint64_t *tags, ngx_uint_t ntags);

/* Goes through at most 'buckets' buckets from *where on, which is 0 again at
 * the end.  Returns how many entries it took, or ended the time of. */
ngx_uint_t ngx_http_travel_l1_purge(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_purge_t *purge, ngx_http_travel_purge_means_pt means,
    ngx_uint_t *where, ngx_uint_t buckets);
/* Takes the fill's entry out. */
void ngx_http_travel_l1_drop(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_fill_t *fill);

/* A look without a lock, for metrics. */
void ngx_http_travel_l1_usage(ngx_http_travel_zone_t *zone, size_t *ret_used,
    size_t *ret_size, ngx_uint_t *ret_entries);


/* --- the entrance, for the room's own (cache_module.c) ------------------- */

void ngx_http_travel_cache_count(ngx_http_request_t *r,
    ngx_http_travel_l2_e what);

/* Into L1 where the location has one, and counted. */
ngx_int_t ngx_http_travel_cache_keep(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag);

/* What the fill's caller gets of it; both from r->pool or longer-lived. */
void ngx_http_travel_cache_give(const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag,
    ngx_http_travel_hit_t *ret_hit);


/* --- L2 (l2.c) ----------------------------------------------------------- */

/* Into the background pipeline; what cannot be written now never is. */
void ngx_http_travel_l2_store(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag);
void ngx_http_travel_l2_unlock(ngx_http_travel_fill_t *fill);

/*
 * l2_wait.c: one node fills a key, the others look for its answer now and then.
 *
 * claim: asks for the lock (SET NX GET); op's handler hears nil when it is
 * ours, else the holder's value.  NGX_AGAIN: asked; NGX_DECLINED.
 *
 * wait: 'look' is called by its event, first of the struct, later;
 * NGX_DECLINED: it has been too long, or too many wait.  A waiter ends once.
 */
struct ngx_http_travel_redis_op_s;

typedef struct {
    ngx_event_t                event;          /* first: 'look' finds us */
    ngx_http_request_t        *request;
    ngx_msec_t                 until;
    ngx_msec_t                 step;
    ngx_uint_t                *waiters;        /* of this nginx worker */
    unsigned                   waiting:1;      /* counted among them */
} ngx_http_travel_l2_wait_t;

ngx_int_t ngx_http_travel_l2_claim(struct ngx_http_travel_redis_op_s *op,
    const ngx_str_t *key, const ngx_str_t *value, ngx_msec_t lives);
void ngx_http_travel_l2_wait_init(ngx_http_travel_l2_wait_t *w,
    ngx_http_request_t *r, ngx_msec_t longest, ngx_uint_t *waiters,
    ngx_event_handler_pt look);
ngx_int_t ngx_http_travel_l2_wait(ngx_http_travel_l2_wait_t *w);
void ngx_http_travel_l2_wait_end(ngx_http_travel_l2_wait_t *w);
/* Can this node say, by what it has followed, that no tag of a record was
 * overwritten since?  'generation' as the look began. */
ngx_uint_t ngx_http_travel_l2_followed(uint64_t generation,
    const uint64_t *tags, ngx_uint_t n, const travel_cache_record_t *record);
/* What signs records. */
travel_str_t ngx_http_travel_l2_secret(void);


/* --- purges (purge.c, and their location in purge_api.c) ----------------- */

ngx_int_t ngx_http_travel_purge_init(ngx_http_travel_shard_t *shard);
ngx_int_t ngx_http_travel_purge_start(ngx_cycle_t *cycle,
    ngx_http_travel_cache_main_conf_t *cmcf);

/* Where the node stands in the stream of purges; {0} when it does not know. */
void ngx_http_travel_purge_place(travel_stream_id_t *ret_pos);
/* Did a purge after 'pos' mean this answer, or may it have?  'elsewhere': the
 * place is another node's, and not knowing is yes. */
ngx_uint_t ngx_http_travel_purge_since(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t pos, ngx_uint_t elsewhere);
/* NGX_OK: this node has carried it out; NGX_AGAIN: not yet. */
ngx_int_t ngx_http_travel_purge_outcome(travel_stream_id_t id,
    ngx_uint_t *ret_dropped);

/* The last purge that emptied this node's memory; {0}: none that is known. */
void ngx_http_travel_purge_emptied(travel_stream_id_t *ret_id);

/* travel_purge [permission=NAME] */
char *ngx_http_travel_purge_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_travel_purge_handler(ngx_http_request_t *r);
/* The permission that this location asks for. */
ngx_str_t *ngx_http_travel_purge_permission(ngx_http_request_t *r);


/* --- the node's leases on fills (lease.c) -------------------------------- */

ngx_int_t ngx_http_travel_lease_init(ngx_http_travel_shard_t *shard);
void ngx_http_travel_lease_use(ngx_http_travel_zone_t *zone);

/* NGX_OK, with a serial to give back (0: no room, nothing to give back);
 * NGX_BUSY: another worker fills from a position >= need. */
ngx_int_t ngx_http_travel_lease_take(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t need, uint32_t *ret_serial);
void ngx_http_travel_lease_drop(uint64_t hash, uint32_t serial);
/* Does another worker, alive, fill from a position >= need? */
ngx_uint_t ngx_http_travel_lease_held(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t need, travel_stream_id_t *ret_pos);


/* --- warm-up (warm.c) ---------------------------------------------------- */

typedef struct ngx_http_travel_warm_conf_s  ngx_http_travel_warm_conf_t;

/* travel_cache_warm ...: 'conf' is the room's main configuration. */
char *ngx_http_travel_warm_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* Begins to look whether a round is due; last, when all else has started. */
ngx_int_t ngx_http_travel_warm_start(ngx_cycle_t *cycle,
    ngx_http_travel_cache_main_conf_t *cmcf);


/* --- writers (writers.c) ------------------------------------------------- */

ngx_int_t ngx_http_travel_writers_init(ngx_http_travel_shard_t *shard);
void ngx_http_travel_writers_use(ngx_http_travel_zone_t *zone);
/* Anybody may have written up to here without our hearing of it. */
void ngx_http_travel_writers_missed(const travel_consistency_t *missed);


/* --- running fills (fills.c) --------------------------------------------- */

/* Is the key being filled on this node, from a position that a caller with this
 * floor may join? */
ngx_uint_t ngx_http_travel_fills_running(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t floor);
/* Where such a fill must have begun: not before the floor, nor before what has
 * overwritten the answer since. */
travel_stream_id_t ngx_http_travel_fills_need(
    const ngx_http_travel_fill_t *fill, travel_stream_id_t floor);
/* Ends the fill of the key, if 'r' is the one that runs it. */
void ngx_http_travel_fills_end(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill);


/* --- answers of upstreams (kept_conf.c) ---------------------------------- */

/* Does the key of an answer begin so, once both are spelt as they should be? */
ngx_uint_t ngx_http_travel_kept_begins(const u_char *key, size_t len,
    const u_char *prefix, size_t prefix_len);

/* travel_cache http ...: makes *ret_conf. */
char *ngx_http_travel_kept_directive(ngx_conf_t *cf,
    ngx_http_travel_kept_conf_t **ret_conf);
/* After the zone of answers is there. */
ngx_int_t ngx_http_travel_kept_init(ngx_conf_t *cf,
    ngx_http_travel_cache_main_conf_t *cmcf);
void ngx_http_travel_kept_use(ngx_http_travel_cache_main_conf_t *cmcf);
/* A purge by tag ends them, too: L1 does not know their tags.  So does what
 * another node's unsafe request made invalid. */
void ngx_http_travel_kept_purged(const ngx_http_travel_purge_t *purge);
/* Is this the name of this node? */
ngx_uint_t ngx_http_travel_kept_ours(const ngx_str_t *node);
/* NULL: not in this location. */
ngx_http_travel_kept_conf_t *ngx_http_travel_kept_conf(ngx_http_request_t *r);

#endif
