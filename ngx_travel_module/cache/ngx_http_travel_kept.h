/*
 * Answers of upstreams (proxy_pass and its like) kept by the rules of HTTP
 * (RFC 9111): what the files of this part share.
 *
 *     travel_cache http [default=T] [stale=T] [heuristic=T] [max_size=S]
 *                       [wait=T] ["key=..."] ["tags=..."] [shared|private]
 *                       [ignore=request|set-cookie ...] [l2=on|off];
 *
 *   kept_conf.c     the directive
 *   kept_lookup.c   before the content: is the answer known?
 *   kept_ask.c      if not: a wait, or what the upstream is asked
 *   kept_answer.c   filters: what the upstream said, kept or replaced
 *   kept_fields.c   what of it is stored, and what it means
 *   kept_store.c    into the store
 *   kept_record.c   an answer as bytes, and back into a response
 *   kept_marks.c    what an unsafe request has made invalid
 *   kept_groups.c   groups of answers (RFC 9875), here and in Redis
 *   kept_l2.c       l2=on: answers in Redis, for all nodes
 *   kept_told.c     ... and marks, told to all of them
 *
 * Records are bodies of L1 entries under keys of their own.  L1 judges neither
 * their time nor their tags: a record carries both, since an upstream names its
 * tags only when it answers.
 */

#ifndef NGX_HTTP_TRAVEL_KEPT_H
#define NGX_HTTP_TRAVEL_KEPT_H

#include "ngx_http_travel_cache_room.h"
#include "../../common/http_freshness.h"
#include "../../common/http_vary.h"


#define NGX_HTTP_TRAVEL_KEPT_TAGS_MAX   64     /* directive's and upstream's */
#define NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX 64     /* of RFC 9875 */
#define NGX_HTTP_TRAVEL_KEPT_MARKS_MAX  66     /* the URI's, that of key=, and
                                                  of groups */
#define NGX_HTTP_TRAVEL_KEPT_L2_MAX     (900 * 1024)

#define NGX_HTTP_TRAVEL_KEPT_NAME       2048   /* a key: its text, user, ... */

#define NGX_HTTP_TRAVEL_KEPT_IGNORE_REQUEST  0x1
#define NGX_HTTP_TRAVEL_KEPT_IGNORE_COOKIE   0x2


typedef enum {
    NGX_HTTP_TRAVEL_KEPT_AUTO,         /* per caller, but open answers */
    NGX_HTTP_TRAVEL_KEPT_SHARED,
    NGX_HTTP_TRAVEL_KEPT_PRIVATE
} ngx_http_travel_kept_mode_e;

struct ngx_http_travel_kept_conf_s {
    travel_http_policy_t         policy;       /* 'shared' is set per request */
    ngx_http_travel_kept_mode_e  mode;
    ngx_flag_t                   shared;       /* as written */
    ngx_flag_t                   private;
    size_t                       max_size;
    ngx_msec_t                   wait;         /* for another's fill; 0: none */
    ngx_uint_t                   ignore;
    ngx_uint_t                   l2;           /* in Redis, too */
    ngx_http_complex_value_t    *key;
    ngx_http_complex_value_t    *tags;
};

struct ngx_http_travel_kept_main_s {
    ngx_http_travel_zone_t     *cache;         /* L1's */
    ngx_http_travel_zone_t     *marks;
    ngx_uint_t                  hit;           /* counters */
    ngx_uint_t                  stale;
    ngx_uint_t                  miss;
    ngx_uint_t                  bypass;
    ngx_uint_t                  revalidated;
    ngx_uint_t                  collapsed;
    ngx_uint_t                  stood_in;
    ngx_uint_t                  stored;
    ngx_uint_t                  refused;
    ngx_uint_t                  dropped;       /* by an unsafe request */
};

/* This cycle's, from init_process on; without zones where nothing of the kind
 * is configured. */
extern ngx_http_travel_kept_main_t  ngx_http_travel_kept;


/* --- records (kept_record.c) --------------------------------------------- */

typedef enum {
    NGX_HTTP_TRAVEL_RECORD_ANSWER,
    NGX_HTTP_TRAVEL_RECORD_VARIANTS,   /* names of fields; answers are beside */
    NGX_HTTP_TRAVEL_RECORD_PASS        /* not storable lately: no waiting */
} ngx_http_travel_record_e;

/* One field of an answer. */
typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   value;
    unsigned                    hidden:1;      /* not for the client */
} ngx_http_travel_field_t;

/* A record as it lies in memory; what has a length follows in this order. */
typedef struct {
    uint32_t                    version;
    uint32_t                    kind;
    uint32_t                    status;
    uint32_t                    nfields;
    uint32_t                    fields_len;
    uint32_t                    ntags;
    uint32_t                    nmarks;
    uint32_t                    type_len;      /* of Content-Type, up to ";" */
    uint32_t                    packable;      /* may be given in gzip, too */
    int64_t                     date;          /* unix s */
    int64_t                     last_modified; /* unix s, 0: none */
    travel_http_freshness_t     fresh;
    uint64_t                    generation;    /* node's, when the fill began */
    uint64_t                    era;
    travel_stream_id_t          pos;
    uint64_t                    seq;           /* of marks, then */
    uint64_t                    tags[NGX_HTTP_TRAVEL_KEPT_TAGS_MAX];
    uint64_t                    marks[NGX_HTTP_TRAVEL_KEPT_MARKS_MAX];
} ngx_http_travel_record_head_t;

typedef struct {
    ngx_http_travel_record_head_t  head;
    ngx_array_t                    fields;     /* ngx_http_travel_field_t */
    ngx_str_t                      body;       /* VARIANTS: names, spaced */
    unsigned                       packed:1;   /* the body is in gzip */
} ngx_http_travel_record_t;

/* Bytes that the record takes, without its body, and writing them. */
size_t ngx_http_travel_record_size(const ngx_http_travel_record_t *rec);
u_char *ngx_http_travel_record_write(u_char *p,
    const ngx_http_travel_record_t *rec);

/* Views into 'bytes'.  NGX_DECLINED: of another version. */
ngx_int_t ngx_http_travel_record_read(ngx_http_request_t *r,
    const ngx_str_t *bytes, ngx_http_travel_record_t *ret_rec);

ngx_http_travel_field_t *ngx_http_travel_record_field(
    const ngx_http_travel_record_t *rec, const char *name);

/* Puts the record's status and fields in the place of what is in
 * r->headers_out; 304 where the client's conditions say so. */
ngx_int_t ngx_http_travel_record_respond(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec);

/* Before it is written: may the answer be given in gzip, too?  Not one that is
 * coded already, whose bytes are vouched for, or that must stay as it is. */
void ngx_http_travel_record_judge_coding(ngx_http_request_t *r,
    ngx_http_travel_record_t *rec);
/* After _respond(): what is to be said of its coding. */
ngx_int_t ngx_http_travel_record_coding(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec);

/* As if no answer had been begun. */
void ngx_http_travel_record_reset(ngx_http_request_t *r);

/* Do the client's conditions (RFC 9110 section 13) want the body of what is in
 * r->headers_out?  If not, it becomes a 304. */
ngx_uint_t ngx_http_travel_record_changed(ngx_http_request_t *r,
    const ngx_http_travel_record_t *rec);
void ngx_http_travel_record_unchanged(ngx_http_request_t *r);


/* --- what the upstream said (kept_fields.c) ------------------------------ */

/* What an answer means to the cache. */
typedef struct {
    travel_http_facts_t         answer;
    travel_vary_t               vary;
    unsigned                    cookie:1;      /* has Set-Cookie */
} ngx_http_travel_meaning_t;

/* Collects the fields of the upstream's answer that may be stored. */
ngx_int_t ngx_http_travel_fields_collect(ngx_http_request_t *r,
    ngx_array_t *ret_fields);
/* The fields of 'old' with those of a 304 in their place (section 3.2). */
ngx_int_t ngx_http_travel_fields_merge(ngx_http_request_t *r,
    const ngx_http_travel_record_t *old, ngx_array_t *fields);
void ngx_http_travel_fields_read(ngx_http_request_t *r,
    const ngx_array_t *fields, ngx_http_travel_meaning_t *ret_meaning);

/* The lines of a field joined with commas, from r->pool; empty: none. */
ngx_int_t ngx_http_travel_fields_join(ngx_http_request_t *r,
    const ngx_array_t *fields, const char *name, ngx_str_t *ret_value);

ngx_uint_t ngx_http_travel_name_is(const ngx_str_t *name, const char *is);


/* --- marks (kept_marks.c) ------------------------------------------------ */

/* A mark is a hash of a text; what is longer is a digest with its kind. */
#define NGX_HTTP_TRAVEL_MARK_TEXT    512
#define NGX_HTTP_TRAVEL_MARK_URI     'u'
#define NGX_HTTP_TRAVEL_MARK_GROUP   'g'
#define NGX_HTTP_TRAVEL_MARK_KEY     'k'

ngx_int_t ngx_http_travel_marks_init(ngx_http_travel_shard_t *shard);
/* A fill that begins now is older than any later invalidation. */
uint64_t ngx_http_travel_marks_now(void);
void ngx_http_travel_mark(uint64_t mark);
ngx_uint_t ngx_http_travel_marked(uint64_t mark, uint64_t seq);

/* What a mark of a URI of the request's own origin, in whatever spelling, or of
 * a group there, is made of; or of a text that key= has made. */
ngx_int_t ngx_http_travel_mark_text(ngx_http_request_t *r, u_char kind,
    const ngx_str_t *name, ngx_str_t *ret_text);
uint64_t ngx_http_travel_mark_of(const ngx_str_t *text);

/* The texts of the marks of groups that a field names, at most 'max' of them:
 * how many it names; NGX_ERROR: no memory.  A malformed field names none. */
ngx_int_t ngx_http_travel_mark_groups(ngx_http_request_t *r,
    const ngx_str_t *field, ngx_str_t *texts, ngx_uint_t max);
/* Of an answer; NGX_ERROR also when there are more than may be. */
ngx_int_t ngx_http_travel_kept_groups_of(ngx_http_request_t *r,
    const ngx_array_t *fields, ngx_str_t *texts);

/* Does the request line name another host than Host does? */
ngx_uint_t ngx_http_travel_two_hosts(ngx_http_request_t *r);

/* scheme://host, from r->pool. */
ngx_int_t ngx_http_travel_origin(ngx_http_request_t *r, ngx_str_t *ret_scheme,
    ngx_str_t *ret_authority);



/* --- a request (kept_lookup.c) ------------------------------------------- */

typedef enum {
    NGX_HTTP_TRAVEL_KEPT_START,
    NGX_HTTP_TRAVEL_KEPT_PASS,         /* to the upstream, nothing is kept */
    NGX_HTTP_TRAVEL_KEPT_FILL,         /* the answer may be kept */
    NGX_HTTP_TRAVEL_KEPT_CAPTURE,      /* it is being kept */
    NGX_HTTP_TRAVEL_KEPT_REPLACE,      /* ours goes out in its place */
    NGX_HTTP_TRAVEL_KEPT_OVER          /* nothing more to do */
} ngx_http_travel_kept_state_e;

typedef struct ngx_http_travel_kept_l2_s  ngx_http_travel_kept_l2_t;

typedef struct {
    ngx_http_request_t             *request;
    ngx_http_travel_kept_conf_t    *conf;
    ngx_http_travel_kept_state_e    state;

    travel_cache_control_t          cc;        /* the request's */
    ngx_str_t                       caller;    /* $travel_user, or empty */
    ngx_str_t                       user;      /* whose cache; empty: shared */
    ngx_str_t                       key;       /* of the resource */
    ngx_http_travel_kept_server_t  *server;    /* a part of it; none of key='s:
                                                  number 0, no text */
    ngx_http_travel_fill_t          fill;      /* of what was looked up */
    ngx_http_travel_knowledge_t     look;      /* the node's, at the start */
    uint64_t                        seq;       /* of marks, at the start */
    travel_stream_id_t              purge;     /* of purges, then */
    uint64_t                        uri;       /* mark */
    uint64_t                        named;     /* mark of what key= made */
    ngx_str_t                       target;    /* the text of the latter, if
                                                  there is key=, else of the
                                                  former: names the version of
                                                  its answers in Redis */
    ngx_str_t                       words;     /* the directive's tags */
    ngx_http_travel_kept_l2_t       *shared;    /* what Redis was asked */
    uint64_t                        tags[NGX_HTTP_TRAVEL_TAGS_MAX];
    ngx_uint_t                      ntags;     /* the directive's */
    int64_t                         asked_ms;

    ngx_http_travel_record_t       *old;       /* found, not fresh; or NULL */
    const char                     *fwd;       /* why the upstream is asked */

    u_char                         *capture;   /* record, then the body */
    size_t                          captured;  /* bytes in it */
    size_t                          size;      /* bytes of it */
    ngx_http_travel_fill_t          store;     /* under which key */
    ngx_str_t                       owner;     /* the same in words: whose */
    ngx_str_t                       variant;
    ngx_str_t                       names;     /* what it varies by */
    off_t                           expected;  /* bytes of the body, or -1 */
    size_t                          head;      /* bytes before the body */

    ngx_chain_t                    *out;       /* REPLACE: not yet sent */

    ngx_uint_t                      joins;     /* fills waited for */
    ngx_msec_t                      patience;  /* no wait beyond this */

    unsigned                        credentials:1;  /* Authorization */
    unsigned                        no_store:1;     /* the request wants that */
    unsigned                        insists:1;      /* on the origin's word */
    unsigned                        alone:1;        /* not storable lately */
    unsigned                        filling:1;      /* registered as running */
    unsigned                        asks:1;         /* with validators of old */
    unsigned                        open:1;         /* the answer is for all */
    unsigned                        background:1;   /* a subrequest of ours */
    unsigned                        unsafe:1;
    unsigned                        silent:1;       /* the client has had its
                                                       answer: no body */
} ngx_http_travel_kept_t;

/* A successful unsafe request made its targets invalid. */
void ngx_http_travel_marks_unsafe(ngx_http_travel_kept_t *h);
void ngx_http_travel_marks_outdate(ngx_http_travel_kept_t *h,
    const ngx_str_t *text);

int64_t ngx_http_travel_kept_now(void);
ngx_int_t ngx_http_travel_kept_handler(ngx_http_request_t *r);

/* Of this very request, also after an internal redirect (*ret_moved). */
ngx_http_travel_kept_t *ngx_http_travel_kept_find(ngx_http_request_t *r,
    ngx_uint_t *ret_moved);

/* The key of an answer: whose, of what, in which variant. */
ngx_int_t ngx_http_travel_kept_key(ngx_http_travel_kept_t *h,
    const ngx_str_t *user, const ngx_str_t *variant,
    ngx_http_travel_fill_t *ret_fill);
/* The request's values of the named fields, hashed. */
ngx_int_t ngx_http_travel_kept_variant(ngx_http_request_t *r,
    const travel_str_t *names, size_t n, ngx_str_t *ret_variant);

/* 'names' are those of a VARIANTS record, with a space after each. */
ngx_int_t ngx_http_travel_kept_variants(ngx_http_travel_kept_t *h,
    const ngx_str_t *names, ngx_str_t *ret_variant);

/* Made invalid on this node: by an unsafe request, or a purge by tag. */
ngx_uint_t ngx_http_travel_kept_marked(const ngx_http_travel_record_t *rec);

/* The state of a request, new. */
ngx_http_travel_kept_t *ngx_http_travel_kept_create(ngx_http_request_t *r,
    ngx_http_travel_kept_conf_t *conf);


/* --- the upstream is asked (kept_ask.c) ---------------------------------- */

/* For a phase handler: NGX_DECLINED (to the upstream), NGX_AGAIN (waits). */
ngx_int_t ngx_http_travel_kept_ask(ngx_http_travel_kept_t *h);
/* Behind the client's back; then _behind() for the subrequest. */
void ngx_http_travel_kept_refresh(ngx_http_travel_kept_t *h,
    ngx_http_travel_record_t *rec);
ngx_int_t ngx_http_travel_kept_behind(ngx_http_travel_kept_t *h);
ngx_int_t ngx_http_travel_kept_conditions(ngx_http_travel_kept_t *h);
void ngx_http_travel_kept_end_fill(ngx_http_travel_kept_t *h);
/* A request that waited goes on with its phases. */
void ngx_http_travel_kept_woken(ngx_http_request_t *r);


/* --- into the store (kept_store.c) --------------------------------------- */

/* What was captured, whole; ends the fill. */
void ngx_http_travel_kept_keep(ngx_http_travel_kept_t *h);
/* 'bytes' are 'rec' as it is written, 'head' of them before its body. */
ngx_int_t ngx_http_travel_kept_insert(ngx_http_travel_kept_t *h,
    const ngx_http_travel_fill_t *at, const ngx_str_t *bytes, size_t head,
    const ngx_http_travel_record_t *rec);
/* May it be kept, by all that this node knows now? */
ngx_uint_t ngx_http_travel_kept_keepable(ngx_http_travel_kept_t *h,
    const ngx_http_travel_record_t *rec);
/* A record without an answer, under 'at'. */
void ngx_http_travel_kept_note(ngx_http_travel_kept_t *h,
    const ngx_http_travel_fill_t *at, ngx_uint_t kind, const ngx_str_t *text,
    ngx_msec_t ttl);


/* --- in Redis (kept_l2.c) --------------------------------------------- */

/* Once in a request, of who fills: has another node the answer, or does it
 * fill?  Of a client that insists on the origin's word only the URI's version,
 * so that all nodes get that.  NGX_AGAIN: the phases will be run again, found()
 * then says; NGX_DECLINED. */
ngx_int_t ngx_http_travel_kept_l2_ask(ngx_http_travel_kept_t *h);
ngx_http_travel_record_t *ngx_http_travel_kept_l2_found(
    ngx_http_travel_kept_t *h);
/* What has been kept, for all nodes; then the nodes' lock. */
void ngx_http_travel_kept_l2_store(ngx_http_travel_kept_t *h,
    const ngx_http_travel_record_t *rec);
void ngx_http_travel_kept_l2_release(ngx_http_travel_kept_t *h);
/* The key of a URI's version, by the text of its mark; 0: none.  Random
 * text. */
#define NGX_HTTP_TRAVEL_KEPT_L2_KEY      96
#define NGX_HTTP_TRAVEL_KEPT_L2_VERSION  16       /* characters */
size_t ngx_http_travel_kept_l2_uri(u_char *key, const u_char *text,
    size_t len);
size_t ngx_http_travel_kept_l2_random(u_char *p);

/* Groups there (kept_groups.c): their keys, from r->pool; do they all stand at
 * 'since' or before it, by the reply to an MGET of them?  And one's end. */
struct ngx_http_travel_redis_op_s;
struct ngx_http_travel_reply_s;

#define NGX_HTTP_TRAVEL_KEPT_L2_SEQUENCE  "travel:l2seq"

ngx_int_t ngx_http_travel_kept_group_keys(ngx_http_request_t *r,
    const ngx_str_t *texts, ngx_uint_t n, const char **argv, size_t *argvlen);
ngx_uint_t ngx_http_travel_kept_groups_hold(
    const struct ngx_http_travel_reply_s *reply, ngx_uint_t n, uint64_t since);
ngx_int_t ngx_http_travel_kept_group_over(
    struct ngx_http_travel_redis_op_s *op, const ngx_str_t *text);

/* A mark was made here (kept_told.c).  Does Redis not know of one yet? */
ngx_uint_t ngx_http_travel_kept_l2_owes(void);
void ngx_http_travel_kept_l2_changed(const ngx_str_t *text);
/* This node in words, at most NGX_INT64_LEN. */
size_t ngx_http_travel_kept_l2_node(u_char *p);


/* --- filters (kept_answer.c) ---------------------------------- */

/* Tags and marks of an answer with these fields. */
ngx_int_t ngx_http_travel_kept_depends(ngx_http_travel_kept_t *h,
    const ngx_array_t *fields, ngx_http_travel_record_t *rec);

ngx_int_t ngx_http_travel_kept_status(ngx_http_request_t *r,
    const char *fmt, ...);
ngx_int_t ngx_http_travel_kept_age(ngx_http_request_t *r, uint32_t age);


void ngx_http_travel_kept_filters(void);
/* It will not be stored: others need not wait for it, nor for the next. */
void ngx_http_travel_kept_refused(ngx_http_travel_kept_t *h,
    ngx_uint_t status);

#endif
