/*
 * Answers of upstreams in Redis (role "cache"), for all nodes: l2=on.
 *
 * Every URI, or what key= makes of it, has a version there, made at its first
 * fill.  Whoever fills reads it before the upstream is asked, and its answer
 * carries it; an unsafe request puts another in its place.  So an answer whose
 * fill began before the invalidation is never believed after it, whichever node
 * made it, and a version that was evicted makes its answers invalid, no more.
 * Groups (RFC 9875) are named only by the answer, too late for a version:
 * kept_groups.c has another way, and answers with groups cost a second look.
 *
 * An entry is signed (common/cache_record.h) and holds the node's record with
 * nothing in it that means something on that node alone: tags and marks are
 * made again from its fields.  Nodes must be of one architecture, or they do
 * not understand each other's heads, and fill themselves.
 *
 * The state of a look lives in r->pool; its timer, its place among those who
 * wait and the lock end with it.
 */

#include "ngx_http_travel_kept.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/cache_record.h"
#include "../../common/digits.h"


#define NGX_HTTP_TRAVEL_KEPT_L2_TIMEOUT   50       /* ms for a reply */
#define NGX_HTTP_TRAVEL_KEPT_L2_WRITES    256      /* unanswered, per worker */
#define NGX_HTTP_TRAVEL_KEPT_L2_SKEW      2000     /* ms, of nodes' clocks */


typedef enum {
    NGX_HTTP_TRAVEL_KEPT_L2_BASE,       /* the resource's own entries */
    NGX_HTTP_TRAVEL_KEPT_L2_VARIANT     /* that of this request's fields */
} ngx_http_travel_kept_l2_e;

/* Whose answer could do: the caller's own, one for all. */
typedef struct {
    ngx_str_t                   user;
    ngx_str_t                   variant;
    u_char                      key[NGX_HTTP_TRAVEL_KEPT_L2_KEY];
    size_t                      len;
} ngx_http_travel_candidate_t;

struct ngx_http_travel_kept_l2_s {
    ngx_http_travel_l2_wait_t    wait;         /* first: see its event */
    ngx_http_travel_kept_t      *h;
    ngx_http_request_t          *request;
    ngx_http_travel_kept_l2_e     stage;
    ngx_http_travel_candidate_t  candidates[2];
    ngx_uint_t                   n;
    u_char                       uri[NGX_HTTP_TRAVEL_KEPT_L2_KEY];
    size_t                       uri_len;
    ngx_http_travel_fill_t       lock;         /* its name, and what is held */
    u_char                       value[64];
    ngx_str_t                    version;
    u_char                       digits[NGX_HTTP_TRAVEL_KEPT_L2_VERSION];
    uint64_t                     sequence;     /* of groups, before the fill */
    ngx_http_travel_record_t    *found;

    ngx_http_travel_record_t    *grouped;      /* what MGET is to tell of */
    ngx_http_travel_fill_t       grouped_at;
    ngx_uint_t                   ngroups;
    uint64_t                     since;
    unsigned                     over:1;
};


static ngx_int_t ngx_http_travel_kept_l2_candidates(
    ngx_http_travel_kept_l2_t *s);
static ngx_int_t ngx_http_travel_kept_l2_name(ngx_http_travel_kept_t *h,
    const ngx_str_t *user, const ngx_str_t *variant,
    u_char name[2 * TRAVEL_SHA256_LEN]);
static ngx_int_t ngx_http_travel_kept_l2_look(ngx_http_travel_kept_l2_t *s);
static void ngx_http_travel_kept_l2_seen(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_int_t ngx_http_travel_kept_l2_judge(ngx_http_travel_kept_l2_t *s,
    const ngx_http_travel_reply_t *reply);
static ngx_int_t ngx_http_travel_kept_l2_believe(ngx_http_travel_kept_l2_t *s,
    ngx_http_travel_candidate_t *c, ngx_str_t *bytes);
static ngx_uint_t ngx_http_travel_kept_l2_valid(ngx_http_travel_kept_l2_t *s,
    const travel_cache_record_t *record, ngx_http_travel_record_t *rec,
    ngx_http_travel_fill_t *at);
static ngx_uint_t ngx_http_travel_kept_l2_fits(ngx_http_travel_kept_l2_t *s,
    const ngx_http_travel_candidate_t *c, const ngx_http_travel_record_t *rec);
static ngx_int_t ngx_http_travel_kept_l2_take(ngx_http_travel_kept_l2_t *s,
    ngx_http_travel_record_t *rec, ngx_http_travel_fill_t *at);
static ngx_int_t ngx_http_travel_kept_l2_groups(ngx_http_travel_kept_l2_t *s,
    ngx_http_travel_record_t *rec, const ngx_http_travel_fill_t *at,
    const ngx_str_t *groups, ngx_uint_t n);
static void ngx_http_travel_kept_l2_grouped(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_kept_l2_missed(ngx_http_travel_kept_l2_t *s);
static ngx_int_t ngx_http_travel_kept_l2_lock(ngx_http_travel_kept_l2_t *s);
static void ngx_http_travel_kept_l2_locked(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_kept_l2_again(ngx_event_t *ev);
static void ngx_http_travel_kept_l2_end(ngx_http_travel_kept_l2_t *s);
static void ngx_http_travel_kept_l2_gone(void *data);
static void ngx_http_travel_kept_l2_write(ngx_http_travel_kept_t *h,
    const ngx_str_t *user, const ngx_str_t *variant,
    const ngx_http_travel_record_t *rec, uint64_t ttl);
static void ngx_http_travel_kept_l2_put(ngx_http_travel_kept_t *h,
    const ngx_http_travel_record_t *rec, const u_char *name,
    const u_char *bytes, size_t len, uint64_t ttl);
static void ngx_http_travel_kept_l2_written(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);


/* The version of a URI and the sequence of groups, made where there is none,
 * and entries. */
static const char  ngx_http_travel_kept_l2_read[] =
    "local v = redis.call('GET', KEYS[1])\n"
    "if not v then\n"
    "  v = ARGV[1]\n"
    "  redis.call('SET', KEYS[1], v, 'EX', 86400)\n"
    "end\n"
    "local s = redis.call('GET', KEYS[2])\n"
    "if not s then\n"
    "  s = redis.call('TIME')[1] .. '000000'\n"
    "  redis.call('SET', KEYS[2], s)\n"
    "end\n"
    "local out = {v, s}\n"
    "for i = 3, #KEYS do out[i] = redis.call('GET', KEYS[i]) or '' end\n"
    "return out\n";

/* An entry, a version that lives as long, and its groups. */
static const char  ngx_http_travel_kept_l2_set[] =
    "redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])\n"
    "local s = redis.call('GET', KEYS[3])\n"
    "for i = 4, #KEYS do\n"
    "  if s then redis.call('SET', KEYS[i], s, 'NX', 'EX', 2678400) end\n"
    "end\n"
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2], 'GT')\n";


static ngx_uint_t              ngx_http_travel_kept_l2_waiting;
static ngx_uint_t              ngx_http_travel_kept_l2_writing;
static uint64_t                ngx_http_travel_kept_l2_serial;


/* --- names --------------------------------------------------------------- */

/* Digests of words, since hashes under a node's own key mean nothing to
 * others.  'name' is in hex. */
static ngx_int_t
ngx_http_travel_kept_l2_name(ngx_http_travel_kept_t *h, const ngx_str_t *user,
    const ngx_str_t *variant, u_char name[2 * TRAVEL_SHA256_LEN])
{
    uint8_t       md[TRAVEL_SHA256_LEN];
    travel_str_t  parts[5];

    parts[0] = ngx_http_travel_view(&h->key);
    parts[1] = ngx_http_travel_view(user);
    parts[2] = ngx_http_travel_view(variant);
    parts[3] = ngx_http_travel_view(&h->words);
    parts[4] = ngx_http_travel_view(&h->server->text);

    if (travel_sha256_parts(md, parts, 5) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    travel_hex_encode((char *) name, md, TRAVEL_SHA256_LEN);

    return NGX_OK;
}


/* The key of a URI's version; 'text' is what its mark is made of. */
size_t
ngx_http_travel_kept_l2_uri(u_char *key, const u_char *text, size_t len)
{
    u_char        hex[2 * TRAVEL_SHA256_LEN];
    uint8_t       md[TRAVEL_SHA256_LEN];
    travel_str_t  s;

    s.data = (char *) text;
    s.len = len;

    if (travel_sha256(md, s) != TRAVEL_OK) {
        return 0;
    }

    travel_hex_encode((char *) hex, md, TRAVEL_SHA256_LEN);

    return ngx_sprintf(key, "travel:l2uri:%*s", sizeof(hex), hex) - key;
}


size_t
ngx_http_travel_kept_l2_random(u_char *p)
{
    return ngx_sprintf(p, "%08xD%08xD", (uint32_t) ngx_random(),
                       (uint32_t) (ngx_random() ^ ngx_pid << 8))
           - p;
}


/* What the entry must say that it answers. */
static ngx_int_t
ngx_http_travel_kept_l2_title(ngx_http_travel_kept_t *h, const ngx_str_t *user,
    const ngx_str_t *variant, const ngx_str_t *version, uint64_t sequence,
    ngx_str_t *ret_title)
{
    u_char  *p;

    p = ngx_pnalloc(h->request->pool, h->key.len + user->len + variant->len
                                      + version->len + h->server->text.len
                                      + NGX_INT64_LEN + 5);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_title->data = p;
    ret_title->len = ngx_sprintf(p, "%V %V %V %V %V %uL", &h->key, user,
                                 variant, version, &h->server->text, sequence)
                     - p;

    return NGX_OK;
}


/* --- is it there? -------------------------------------------------------- */

ngx_int_t
ngx_http_travel_kept_l2_ask(ngx_http_travel_kept_t *h)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_travel_kept_l2_t  *s;

    /* what was sent before on this link is done before */

    if (!h->conf->l2 || h->shared != NULL || ngx_http_travel_kept_l2_owes()
        || !ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE)
        || !ngx_http_travel_redis_up(NGX_HTTP_TRAVEL_REDIS_CACHE))
    {
        return NGX_DECLINED;
    }

    cln = ngx_pool_cleanup_add(h->request->pool,
                               sizeof(ngx_http_travel_kept_l2_t));
    if (cln == NULL) {
        return NGX_DECLINED;
    }

    s = cln->data;
    ngx_memzero(s, sizeof(ngx_http_travel_kept_l2_t));
    cln->handler = ngx_http_travel_kept_l2_gone;

    s->h = h;
    s->request = h->request;
    ngx_http_travel_l2_wait_init(&s->wait, h->request, h->conf->wait,
                                 &ngx_http_travel_kept_l2_waiting,
                                 ngx_http_travel_kept_l2_again);

    h->shared = s;

    if (ngx_http_travel_kept_l2_candidates(s) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_travel_kept_l2_look(s);
}


/* As the walk through the node's own memory goes. */
static ngx_int_t
ngx_http_travel_kept_l2_candidates(ngx_http_travel_kept_l2_t *s)
{
    ngx_uint_t                    i;
    ngx_http_travel_kept_t       *h;
    ngx_http_travel_candidate_t  *c;
    u_char                        name[2 * TRAVEL_SHA256_LEN];

    h = s->h;

    if (h->user.len && !h->insists) {
        s->candidates[s->n++].user = h->user;
    }

    if (h->conf->mode != NGX_HTTP_TRAVEL_KEPT_PRIVATE && !h->insists) {
        s->n++;
    }

    for (i = 0; i < s->n; i++) {
        c = &s->candidates[i];

        if (ngx_http_travel_kept_l2_name(h, &c->user, &c->variant, name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        c->len = ngx_sprintf(c->key, "travel:l2:%*s", sizeof(name), name)
                 - c->key;

        if (i == 0) {
            ngx_memcpy(s->lock.name, name, sizeof(s->lock.name));
        }
    }

    s->uri_len = ngx_http_travel_kept_l2_uri(s->uri, h->target.data,
                                            h->target.len);

    return s->uri_len ? NGX_OK : NGX_ERROR;
}


/* NGX_AGAIN, or NGX_DECLINED when nothing can be asked. */
static ngx_int_t
ngx_http_travel_kept_l2_look(ngx_http_travel_kept_l2_t *s)
{
    u_char                       fresh[NGX_HTTP_TRAVEL_KEPT_L2_VERSION];
    size_t                       argvlen[5];
    ngx_uint_t                   i;
    const char                  *argv[5];
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, s->request,
                                  NGX_HTTP_TRAVEL_KEPT_L2_TIMEOUT,
                                  ngx_http_travel_kept_l2_seen, s);
    if (op == NULL) {
        return NGX_DECLINED;
    }

    argv[0] = (char *) s->uri;
    argvlen[0] = s->uri_len;

    argv[1] = NGX_HTTP_TRAVEL_KEPT_L2_SEQUENCE;
    argvlen[1] = sizeof(NGX_HTTP_TRAVEL_KEPT_L2_SEQUENCE) - 1;

    for (i = 0; i < s->n; i++) {
        argv[i + 2] = (char *) s->candidates[i].key;
        argvlen[i + 2] = s->candidates[i].len;
    }

    argv[i + 2] = (char *) fresh;
    argvlen[i + 2] = ngx_http_travel_kept_l2_random(fresh);

    return ngx_http_travel_redis_script(op, ngx_http_travel_kept_l2_read, i + 2,
                                        i + 3, argv, argvlen)
           == NGX_OK ? NGX_AGAIN : NGX_DECLINED;
}


static void
ngx_http_travel_kept_l2_seen(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_int_t                  rc;
    ngx_str_t                  version, sequence;
    ngx_http_travel_kept_l2_t  *s = op->data;

    (void) i;

    if (reply == NULL || ngx_http_travel_reply_count(reply) != s->n + 2) {
        ngx_http_travel_cache_count(s->request, NGX_HTTP_TRAVEL_L2_LOST);
        ngx_http_travel_kept_l2_end(s);
        return;
    }

    version = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 0));

    sequence = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 1));

    if (version.len > sizeof(s->digits)
        || travel_digits_parse(&s->sequence, ngx_http_travel_view(&sequence))
           != TRAVEL_OK)
    {
        s->version.len = 0;
        ngx_http_travel_kept_l2_end(s);
        return;
    }

    ngx_memcpy(s->digits, version.data, version.len);
    s->version.data = s->digits;
    s->version.len = version.len;

    rc = ngx_http_travel_kept_l2_judge(s, reply);

    if (rc == NGX_AGAIN) {
        /* the answers of this resource depend on the request's fields */
        s->stage = NGX_HTTP_TRAVEL_KEPT_L2_VARIANT;
        rc = ngx_http_travel_kept_l2_look(s);

        if (rc == NGX_AGAIN) {
            return;
        }
    }

    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_OK) {
        ngx_http_travel_cache_count(s->request, NGX_HTTP_TRAVEL_L2_HIT);
        ngx_http_travel_kept_l2_end(s);
        return;
    }

    ngx_http_travel_kept_l2_missed(s);
}


static void
ngx_http_travel_kept_l2_missed(ngx_http_travel_kept_l2_t *s)
{
    if (s->n == 0) {
        ngx_http_travel_kept_l2_end(s);
        return;
    }

    if (!s->wait.waiting && s->lock.lock.len == 0) {
        ngx_http_travel_cache_count(s->request, NGX_HTTP_TRAVEL_L2_MISS);
    }

    if (s->lock.lock.len != 0 || s->h->conf->wait == 0
        || ngx_http_travel_kept_l2_lock(s) != NGX_AGAIN)
    {
        ngx_http_travel_kept_l2_end(s);
    }
}


/* NGX_OK: one of them it is; NGX_DONE: one it may be, its groups are asked
 * about; NGX_AGAIN: one says what they vary by; NGX_DECLINED. */
static ngx_int_t
ngx_http_travel_kept_l2_judge(ngx_http_travel_kept_l2_t *s,
    const ngx_http_travel_reply_t *reply)
{
    ngx_int_t    rc, best;
    ngx_str_t    bytes;
    ngx_uint_t   i;

    best = NGX_DECLINED;

    for (i = 0; i < s->n; i++) {
        bytes = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply,
                                                                   i + 2));

        rc = bytes.len ? ngx_http_travel_kept_l2_believe(s, &s->candidates[i],
                                                        &bytes)
                       : NGX_DECLINED;

        if (rc == NGX_OK || rc == NGX_DONE) {
            return rc;
        }

        if (rc == NGX_AGAIN) {
            best = NGX_AGAIN;
        }
    }

    return best;
}


static ngx_int_t
ngx_http_travel_kept_l2_believe(ngx_http_travel_kept_l2_t *s,
    ngx_http_travel_candidate_t *c, ngx_str_t *bytes)
{
    u_char                     *p;
    uint64_t                    since;
    ngx_int_t                   n;
    ngx_str_t                   title, body, last;
    ngx_str_t                   groups[NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX];
    ngx_http_travel_kept_t     *h;
    ngx_http_travel_fill_t      at;
    travel_cache_record_t       record;
    ngx_http_travel_record_t   *rec;
    u_char                      name[2 * TRAVEL_SHA256_LEN];

    h = s->h;

    if (travel_cache_record_decode(&record, ngx_http_travel_view(bytes),
                                   ngx_http_travel_l2_secret())
        != TRAVEL_OK)
    {
        return NGX_DECLINED;
    }

    /* the sequence as its fill began is the last word of its title */

    last = ngx_http_travel_str(record.key);
    p = last.data + last.len;

    while (p > last.data && p[-1] != ' ') {
        p--;
    }

    last.len -= p - last.data;
    last.data = p;

    if (travel_digits_parse(&since, ngx_http_travel_view(&last)) != TRAVEL_OK
        || ngx_http_travel_kept_l2_title(h, &c->user, &c->variant, &s->version,
                                        since, &title)
           != NGX_OK
        || !travel_str_eq(record.key, ngx_http_travel_view(&title))
        || !travel_str_eq(record.tags, ngx_http_travel_view(&h->words)))
    {
        return NGX_DECLINED;
    }

    /* the reply goes with its callback */

    body.len = record.body.len;
    body.data = ngx_pnalloc(s->request->pool, body.len);
    rec = ngx_pcalloc(s->request->pool, sizeof(ngx_http_travel_record_t));

    if (body.data == NULL || rec == NULL) {
        return NGX_DECLINED;
    }

    ngx_memcpy(body.data, record.body.data, body.len);

    if (ngx_http_travel_record_read(s->request, &body, rec) != NGX_OK
        || ngx_http_travel_kept_key(h, &c->user, &c->variant, &at) != NGX_OK
        || !ngx_http_travel_kept_l2_valid(s, &record, rec, &at))
    {
        return NGX_DECLINED;
    }

    if (rec->head.kind == NGX_HTTP_TRAVEL_RECORD_VARIANTS) {

        if (s->stage != NGX_HTTP_TRAVEL_KEPT_L2_BASE
            || ngx_http_travel_kept_variants(h, &rec->body, &c->variant)
               != NGX_OK
            || ngx_http_travel_kept_l2_name(h, &c->user, &c->variant, name)
               != NGX_OK)
        {
            return NGX_DECLINED;
        }

        ngx_http_travel_kept_note(h, &at, NGX_HTTP_TRAVEL_RECORD_VARIANTS,
                                  &rec->body, record.ttl);
        c->len = ngx_sprintf(c->key, "travel:l2:%*s", sizeof(name), name)
                 - c->key;

        return NGX_AGAIN;
    }

    if (!ngx_http_travel_kept_l2_fits(s, c, rec)) {
        return NGX_DECLINED;
    }

    n = ngx_http_travel_kept_groups_of(s->request, &rec->fields, groups);

    if (n == 0) {
        return ngx_http_travel_kept_l2_take(s, rec, &at);
    }

    s->since = since;

    return n > 0 ? ngx_http_travel_kept_l2_groups(s, rec, &at, groups, n)
                 : NGX_DECLINED;
}


/* NGX_DONE: Redis is asked whether they stand. */
static ngx_int_t
ngx_http_travel_kept_l2_groups(ngx_http_travel_kept_l2_t *s,
    ngx_http_travel_record_t *rec, const ngx_http_travel_fill_t *at,
    const ngx_str_t *groups, ngx_uint_t n)
{
    size_t                       argvlen[NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX + 1];
    const char                  *argv[NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX + 1];
    ngx_http_travel_redis_op_t  *op;

    argv[0] = "MGET";
    argvlen[0] = 4;

    if (ngx_http_travel_kept_group_keys(s->request, groups, n, argv + 1,
                                        argvlen + 1)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, s->request,
                                  NGX_HTTP_TRAVEL_KEPT_L2_TIMEOUT,
                                  ngx_http_travel_kept_l2_grouped, s);
    if (op == NULL) {
        return NGX_DECLINED;
    }

    s->grouped = rec;
    s->grouped_at = *at;
    s->ngroups = n;

    return ngx_http_travel_redis_command(op, n + 1, argv, argvlen) == NGX_OK
           ? NGX_DONE : NGX_DECLINED;
}


static void
ngx_http_travel_kept_l2_grouped(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_kept_l2_t  *s = op->data;

    (void) i;

    if (ngx_http_travel_kept_groups_hold(reply, s->ngroups, s->since)
        && ngx_http_travel_kept_l2_take(s, s->grouped, &s->grouped_at)
           == NGX_OK)
    {
        ngx_http_travel_cache_count(s->request, NGX_HTTP_TRAVEL_L2_HIT);
        ngx_http_travel_kept_l2_end(s);
        return;
    }

    ngx_http_travel_kept_l2_missed(s);
}


/* May this node say that nothing of it was overwritten since, and is it for
 * this caller?  Its tags and marks are made here. */
static ngx_uint_t
ngx_http_travel_kept_l2_valid(ngx_http_travel_kept_l2_t *s,
    const travel_cache_record_t *record, ngx_http_travel_record_t *rec,
    ngx_http_travel_fill_t *at)
{
    ngx_uint_t               n;
    ngx_http_travel_kept_t  *h;

    h = s->h;

    if ((int64_t) record->filled
        > ngx_http_travel_kept_now() + NGX_HTTP_TRAVEL_KEPT_L2_SKEW
        || ngx_http_travel_kept_depends(h, &rec->fields, rec) != NGX_OK)
    {
        return 0;
    }

    rec->head.pos = record->pos;
    at->purge = record->purge;
    n = 0;

    /* by its key, and by its tags, as many at a time as a fill has */

    do {
        at->ntags = ngx_min(rec->head.ntags - n, NGX_HTTP_TRAVEL_TAGS_MAX);
        ngx_memcpy(at->tags, rec->head.tags + n, at->ntags * sizeof(uint64_t));

        if (ngx_http_travel_purge_since(at, record->purge, 1)) {
            return 0;
        }

        n += at->ntags;

    } while (n < rec->head.ntags);

    at->ntags = 0;

    return rec->head.ntags == 0
           || !ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_QUEUE)
           || ngx_http_travel_l2_followed(h->look.generation, rec->head.tags,
                                          rec->head.ntags, record);
}


/* An answer, fresh, and for this caller? */
static ngx_uint_t
ngx_http_travel_kept_l2_fits(ngx_http_travel_kept_l2_t *s,
    const ngx_http_travel_candidate_t *c, const ngx_http_travel_record_t *rec)
{
    ngx_http_travel_kept_t  *h;

    h = s->h;

    return rec->head.kind == NGX_HTTP_TRAVEL_RECORD_ANSWER
           && travel_http_judge(&rec->head.fresh, &h->cc,
                                ngx_http_travel_kept_now())
              == TRAVEL_HTTP_SERVE
           && (c->user.len != 0 || (h->user.len == 0 && !h->credentials)
               || (rec->head.fresh.flags & TRAVEL_HTTP_OPEN));
}


/* By all rules: into the node's memory, if it has room for it, and to the
 * request. */
static ngx_int_t
ngx_http_travel_kept_l2_take(ngx_http_travel_kept_l2_t *s,
    ngx_http_travel_record_t *rec, ngx_http_travel_fill_t *at)
{
    u_char                      *p;
    ngx_str_t                    bytes;
    ngx_http_travel_kept_t      *h;

    h = s->h;

    bytes.len = ngx_http_travel_record_size(rec) + rec->body.len;
    bytes.data = ngx_pnalloc(s->request->pool, bytes.len);
    if (bytes.data == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_http_travel_record_write(bytes.data, rec);

    if (rec->body.len) {
        ngx_memcpy(p, rec->body.data, rec->body.len);
    }

    at->ttl = ngx_min(at->ttl, (ngx_msec_t)
                      travel_http_retention(&rec->head.fresh) * 1000);
    (void) ngx_http_travel_kept_insert(h, at, &bytes, p - bytes.data, rec);

    s->found = rec;

    return NGX_OK;
}


ngx_http_travel_record_t *
ngx_http_travel_kept_l2_found(ngx_http_travel_kept_t *h)
{
    return h->shared ? h->shared->found : NULL;
}


/* --- the nodes' lock ----------------------------------------------------- */

static ngx_int_t
ngx_http_travel_kept_l2_lock(ngx_http_travel_kept_l2_t *s)
{
    u_char                       name[NGX_HTTP_TRAVEL_KEPT_L2_KEY];
    ngx_str_t                    key, value;
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, s->request,
                                  NGX_HTTP_TRAVEL_KEPT_L2_TIMEOUT,
                                  ngx_http_travel_kept_l2_locked, s);
    if (op == NULL) {
        return NGX_DECLINED;
    }

    key.data = name;
    key.len = ngx_sprintf(name, "travel:l2lock:%*s", sizeof(s->lock.name),
                          s->lock.name) - name;
    value.data = s->value;
    value.len = ngx_sprintf(s->value, "%P %uL %08xD", ngx_pid,
                            ++ngx_http_travel_kept_l2_serial,
                            (uint32_t) ngx_random())
                - s->value;

    s->lock.lock.data = s->value;

    return ngx_http_travel_l2_claim(op, &key, &value, s->h->conf->wait);
}


static void
ngx_http_travel_kept_l2_locked(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_reply_e    type;
    ngx_http_travel_kept_l2_t  *s = op->data;

    (void) i;

    type = reply ? ngx_http_travel_reply_type(reply)
                 : NGX_HTTP_TRAVEL_REPLY_ERROR;

    if (type == NGX_HTTP_TRAVEL_REPLY_NIL) {
        s->lock.lock.len = ngx_strnlen(s->value, sizeof(s->value));

        /* who held it may have stored in between */

        if (ngx_http_travel_kept_l2_look(s) == NGX_AGAIN) {
            return;
        }

    } else if (type == NGX_HTTP_TRAVEL_REPLY_STRING
               && ngx_http_travel_l2_wait(&s->wait) == NGX_AGAIN)
    {
        return;
    }

    ngx_http_travel_kept_l2_end(s);
}


static void
ngx_http_travel_kept_l2_again(ngx_event_t *ev)
{
    ngx_http_travel_kept_l2_t  *s;

    s = (ngx_http_travel_kept_l2_t *) ev;

    if (ngx_http_travel_kept_l2_look(s) != NGX_AGAIN) {
        ngx_http_travel_kept_l2_end(s);
    }
}


/* With the answer, or without: the request goes on. */
static void
ngx_http_travel_kept_l2_end(ngx_http_travel_kept_l2_t *s)
{
    ngx_http_travel_l2_wait_end(&s->wait);

    if (s->over) {
        return;
    }

    s->over = 1;

    if (s->found) {
        ngx_http_travel_kept_end_fill(s->h);
    }

    ngx_http_travel_kept_woken(s->request);
}


void
ngx_http_travel_kept_l2_release(ngx_http_travel_kept_t *h)
{
    if (h->shared && h->shared->lock.lock.len != 0) {
        ngx_http_travel_l2_unlock(&h->shared->lock);
    }
}


static void
ngx_http_travel_kept_l2_gone(void *data)
{
    ngx_http_travel_kept_l2_t  *s = data;

    ngx_http_travel_l2_wait_end(&s->wait);

    s->over = 1;

    if (s->lock.lock.len != 0) {
        ngx_http_travel_l2_unlock(&s->lock);
    }
}


/* --- into Redis ---------------------------------------------------------- */

void
ngx_http_travel_kept_l2_store(ngx_http_travel_kept_t *h,
    const ngx_http_travel_record_t *rec)
{
    ngx_str_t                  none;
    ngx_http_travel_record_t   names;

    if (h->shared == NULL || h->shared->version.len == 0
        || ngx_http_travel_kept_l2_owes()
        || !ngx_http_travel_redis_up(NGX_HTTP_TRAVEL_REDIS_CACHE))
    {
        return;
    }

    if (h->names.len) {
        ngx_str_null(&none);
        ngx_memzero(&names, sizeof(names));
        names.head.kind = NGX_HTTP_TRAVEL_RECORD_VARIANTS;
        names.body = h->names;
        ngx_http_travel_kept_l2_write(h, &h->owner, &none, &names,
                                     ngx_max(h->store.ttl, 86400000));
    }

    ngx_http_travel_kept_l2_write(h, &h->owner, &h->variant, rec,
                                 h->store.ttl);
}


static void
ngx_http_travel_kept_l2_write(ngx_http_travel_kept_t *h, const ngx_str_t *user,
    const ngx_str_t *variant, const ngx_http_travel_record_t *rec,
    uint64_t ttl)
{
    u_char                    *p;
    size_t                     len;
    ngx_str_t                  title, body;
    ngx_pool_t                *pool;
    travel_cache_record_t      record;
    ngx_http_travel_node_t     node;
    ngx_http_travel_record_t   portable;
    u_char                     name[2 * TRAVEL_SHA256_LEN];

    pool = h->request->pool;

    /* what means something on this node alone */

    portable = *rec;
    portable.head.ntags = 0;
    portable.head.nmarks = 0;
    portable.head.generation = 0;
    portable.head.era = 0;
    portable.head.seq = 0;

    body.len = ngx_http_travel_record_size(&portable) + rec->body.len;
    body.data = ngx_pnalloc(pool, body.len);

    if (body.data == NULL
        || ngx_http_travel_kept_l2_title(h, user, variant, &h->shared->version,
                                        h->shared->sequence, &title)
           != NGX_OK
        || ngx_http_travel_kept_l2_name(h, user, variant, name) != NGX_OK)
    {
        return;
    }

    p = ngx_http_travel_record_write(body.data, &portable);

    if (rec->body.len) {
        ngx_memcpy(p, rec->body.data, rec->body.len);
    }

    ngx_memzero(&record, sizeof(travel_cache_record_t));
    ngx_memzero(&node, sizeof(ngx_http_travel_node_t));
    ngx_http_travel_node(&node);

    record.pos = rec->head.pos;
    record.purge = h->purge;
    record.timeline = node.commit.timeline;
    record.filled = ngx_http_travel_kept_now();
    record.ttl = ttl;
    record.key = ngx_http_travel_view(&title);
    record.tags = ngx_http_travel_view(&h->words);
    record.body = ngx_http_travel_view(&body);

    len = travel_cache_record_size(&record);
    p = (len != 0) ? ngx_pnalloc(pool, len) : NULL;

    if (p != NULL
        && travel_cache_record_encode((char *) p, &record,
                                      ngx_http_travel_l2_secret())
           == TRAVEL_OK)
    {
        ngx_http_travel_kept_l2_put(h, rec, name, p, len, ttl);
    }
}


static void
ngx_http_travel_kept_l2_put(ngx_http_travel_kept_t *h,
    const ngx_http_travel_record_t *rec, const u_char *name,
    const u_char *bytes, size_t len, uint64_t ttl)
{
    u_char                       px[NGX_INT64_LEN];
    u_char                       key[NGX_HTTP_TRAVEL_KEPT_L2_KEY];
    size_t                       argvlen[NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX + 5];
    ngx_int_t                    n;
    ngx_str_t                    groups[NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX];
    const char                  *argv[NGX_HTTP_TRAVEL_KEPT_GROUPS_MAX + 5];
    ngx_http_travel_redis_op_t  *op;

    n = rec->fields.elts
        ? ngx_http_travel_kept_groups_of(h->request, &rec->fields, groups) : 0;

    if (ttl == 0 || n < 0
        || ngx_http_travel_kept_group_keys(h->request, groups, n, argv + 3,
                                           argvlen + 3)
           != NGX_OK
        || ngx_http_travel_kept_l2_writing >= NGX_HTTP_TRAVEL_KEPT_L2_WRITES)
    {
        return;
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL, 0,
                                  ngx_http_travel_kept_l2_written, NULL);
    if (op == NULL) {
        return;
    }

    argv[0] = (char *) h->shared->uri;
    argvlen[0] = h->shared->uri_len;
    argv[1] = (char *) key;
    argvlen[1] = ngx_sprintf(key, "travel:l2:%*s",
                             (size_t) 2 * TRAVEL_SHA256_LEN, name)
                 - key;
    argv[2] = NGX_HTTP_TRAVEL_KEPT_L2_SEQUENCE;
    argvlen[2] = sizeof(NGX_HTTP_TRAVEL_KEPT_L2_SEQUENCE) - 1;
    argv[n + 3] = (char *) bytes;
    argvlen[n + 3] = len;
    argv[n + 4] = (char *) px;
    argvlen[n + 4] = ngx_sprintf(px, "%uL", ttl) - px;

    if (ngx_http_travel_redis_script(op, ngx_http_travel_kept_l2_set, n + 3,
                                     n + 5, argv, argvlen)
        == NGX_OK)
    {
        ngx_http_travel_kept_l2_writing++;
        ngx_http_travel_cache_count(h->request, NGX_HTTP_TRAVEL_L2_STORED);
    }
}


static void
ngx_http_travel_kept_l2_written(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    (void) op;
    (void) i;
    (void) reply;

    ngx_http_travel_kept_l2_writing--;
}
