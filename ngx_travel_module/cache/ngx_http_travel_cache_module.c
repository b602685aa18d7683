/*
 * The room's entrance: the travel_cache directive, and what query asks of the
 * cache: look up, begin a fill, store it or not (contracts section 4).
 */

#include "ngx_http_travel_cache_room.h"
#include "../net/ngx_http_travel_redis.h"


#define NGX_HTTP_TRAVEL_CACHE_TTL_MAX   (30 * 24 * 3600 * 1000LL)


typedef struct {
    ngx_msec_t                  ttl;         /* 0: off */
    ngx_msec_t                  stale;
    ngx_http_complex_value_t   *tags;
    ngx_flag_t                  l1;
    ngx_flag_t                  l2;
    ngx_str_t                   permission;  /* of travel_purge */
    ngx_http_travel_kept_conf_t  *http;      /* of an upstream's answers */
    ngx_http_travel_packed_conf_t  packed;
} ngx_http_travel_cache_loc_conf_t;


static ngx_int_t ngx_http_travel_cache_ask(ngx_http_request_t *r,
    ngx_http_travel_cache_main_conf_t *cmcf, const ngx_str_t *identity,
    const ngx_str_t *tags, travel_stream_id_t floor_inval,
    ngx_http_travel_fill_t *ret_fill);
static ngx_int_t ngx_http_travel_cache_tags(ngx_http_travel_fill_t *fill,
    const ngx_str_t *tags);
static uint64_t ngx_http_travel_cache_hash(const ngx_http_travel_fill_t *fill);
static ngx_uint_t ngx_http_travel_cache_knows(
    ngx_http_travel_cache_main_conf_t *cmcf, ngx_http_travel_fill_t *fill);
static ngx_uint_t ngx_http_travel_cache_keepable(
    const ngx_http_travel_fill_t *fill, travel_lsn_t replay);
static ngx_uint_t ngx_http_travel_cache_plain(void);

static void *ngx_http_travel_cache_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_travel_cache_create_srv_conf(ngx_conf_t *cf);
static void *ngx_http_travel_cache_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_cache_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_travel_cache_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_travel_cache_zones(ngx_conf_t *cf,
    ngx_http_travel_cache_main_conf_t *cmcf);
static ngx_int_t ngx_http_travel_cache_init_process(ngx_cycle_t *cycle);
static char *ngx_http_travel_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static const struct {
    const char  *name;
    const char  *help;
    size_t       offset;
} ngx_http_travel_cache_counters[] = {

#define counter(label, field)                                                 \
    { "travel_cache_total{result=\"" label "\"}", "Look-ups by result.",      \
      offsetof(ngx_http_travel_cache_main_conf_t, field) }

    counter("hit", hit),
    counter("miss", miss),
    counter("stale", stale),
    counter("expired", expired),
    counter("invalidated", invalidated),
    counter("collapsed", collapsed),

#undef counter

    { "travel_cache_fills_total{result=\"stored\"}",
      "Fills by what became of them.",
      offsetof(ngx_http_travel_cache_main_conf_t, stored) },
    { "travel_cache_fills_total{result=\"refused\"}",
      "Fills by what became of them.",
      offsetof(ngx_http_travel_cache_main_conf_t, refused) },
    { "travel_cache_evicted_total", "Entries that made room.",
      offsetof(ngx_http_travel_cache_main_conf_t, evicted) },

#define counter(label, index)                                                 \
    { "travel_cache_l2_total{result=\"" label "\"}",                          \
      "Look-ups and writes in Redis by result.",                              \
      offsetof(ngx_http_travel_cache_main_conf_t, l2)                         \
      + sizeof(ngx_uint_t) * (index) }

    counter("hit", NGX_HTTP_TRAVEL_L2_HIT),
    counter("miss", NGX_HTTP_TRAVEL_L2_MISS),
    counter("refused", NGX_HTTP_TRAVEL_L2_REFUSED),
    counter("lost", NGX_HTTP_TRAVEL_L2_LOST),
    counter("stored", NGX_HTTP_TRAVEL_L2_STORED),
    counter("waited", NGX_HTTP_TRAVEL_L2_WAITED),
    counter("gave_up", NGX_HTTP_TRAVEL_L2_GAVE_UP),

#undef counter

    { "travel_cache_warmed_total{result=\"answered\"}",
      "Requests of warm-ups by result.",
      offsetof(ngx_http_travel_cache_main_conf_t, warmed) },
    { "travel_cache_warmed_total{result=\"failed\"}",
      "Requests of warm-ups by result.",
      offsetof(ngx_http_travel_cache_main_conf_t, unwarmed) },
    { "travel_cache_purges_total", "Purges this node has read.",
      offsetof(ngx_http_travel_cache_main_conf_t, purged) },
    { "travel_cache_purged_entries_total",
      "Entries of this node's memory that purges took.",
      offsetof(ngx_http_travel_cache_main_conf_t, dropped) },
    { "travel_invalidation_gaps_total",
      "Times the invalidation stream could not be followed.",
      offsetof(ngx_http_travel_cache_main_conf_t, gaps) }
};


static ngx_command_t  ngx_http_travel_cache_commands[] = {

    { ngx_string("travel_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_cache,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_purge"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_travel_purge_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_travel_cache_loc_conf_t, permission),
      NULL },

    { ngx_string("travel_cache_warm"),
      NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_travel_warm_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_cache_gzip"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_travel_packed_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_travel_cache_loc_conf_t, packed),
      NULL },

    { ngx_string("travel_cache_gzip_types"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_types_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_travel_cache_loc_conf_t, packed.type_keys),
      &ngx_http_travel_packed_types[0] },

      ngx_null_command
};


static const ngx_http_travel_param_t  ngx_http_travel_cache_params[] = {

    { "stale", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_cache_loc_conf_t, stale),
      "0", "30d", "0", NULL, 0 },

    { "tags", ngx_http_travel_param_expression,
      offsetof(ngx_http_travel_cache_loc_conf_t, tags),
      NULL, NULL, NULL, NULL, 0 },

    { "l1", ngx_http_travel_param_flag,
      offsetof(ngx_http_travel_cache_loc_conf_t, l1),
      NULL, NULL, "on", NULL, 0 },

    { "l2", ngx_http_travel_param_flag,
      offsetof(ngx_http_travel_cache_loc_conf_t, l2),
      NULL, NULL, "off", NULL, 0 },

      ngx_http_travel_null_param
};


static ngx_http_module_t  ngx_http_travel_cache_module_ctx = {
    NULL,                                     /* preconfiguration */
    ngx_http_travel_cache_postconfiguration,  /* postconfiguration */

    ngx_http_travel_cache_create_main_conf,   /* create main configuration */
    NULL,                                     /* init main configuration */

    ngx_http_travel_cache_create_srv_conf,    /* create server configuration */
    NULL,                                     /* merge server configuration */

    ngx_http_travel_cache_create_loc_conf,    /* create location config */
    ngx_http_travel_cache_merge_loc_conf      /* merge location config */
};


ngx_module_t  ngx_http_travel_cache_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_cache_module_ctx,     /* module context */
    ngx_http_travel_cache_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_travel_cache_init_process,    /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* --- lookup -------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_cache_lookup(ngx_http_request_t *r, const ngx_str_t *identity,
    const ngx_str_t *tags, travel_stream_id_t floor_inval,
    ngx_http_travel_fill_t *ret_fill, ngx_http_travel_hit_t *ret_hit)
{
    ngx_http_travel_l1_e                found;
    ngx_http_travel_cache_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_cache_module);

    if (ngx_http_travel_cache_ask(r, cmcf, identity, tags, floor_inval,
                                  ret_fill)
        != NGX_OK)
    {
        return NGX_ABORT;
    }

    found = ret_fill->l1 ? ngx_http_travel_large_find(r, cmcf->cache, ret_fill,
                                                      floor_inval, ret_hit)
                         : NGX_HTTP_TRAVEL_L1_ABSENT;

    if (found == NGX_HTTP_TRAVEL_L1_FRESH) {
        ngx_http_travel_count(cmcf->hit, 1);
        return NGX_OK;
    }

    ngx_http_travel_purge_place(&ret_fill->purge);

    switch (found) {

    case NGX_HTTP_TRAVEL_L1_EXPIRED:
        if (ngx_http_travel_fills_running(ret_fill, floor_inval)) {
            ngx_http_travel_count(cmcf->stale, 1);
            return NGX_OK;           /* somebody is at it: old is good enough */
        }

        ngx_http_travel_count(cmcf->expired, 1);
        ret_hit->renew = 1;
        return NGX_DECLINED;

    case NGX_HTTP_TRAVEL_L1_OVER:
        ngx_http_travel_count(cmcf->expired, 1);
        break;

    case NGX_HTTP_TRAVEL_L1_INVALID:
        ngx_http_travel_count(cmcf->invalidated, 1);
        break;

    default:
        ngx_http_travel_count(cmcf->miss, 1);
    }

    if (ret_fill->fresh && ngx_http_travel_fills_running(ret_fill, floor_inval))
    {
        ngx_http_travel_count(cmcf->collapsed, 1);
        return NGX_BUSY;
    }

    return NGX_DECLINED;
}


/* What is looked for, and what a fill of it would be: NGX_DECLINED where
 * nothing is cached. */
static ngx_int_t
ngx_http_travel_cache_ask(ngx_http_request_t *r,
    ngx_http_travel_cache_main_conf_t *cmcf, const ngx_str_t *identity,
    const ngx_str_t *tags, travel_stream_id_t floor_inval,
    ngx_http_travel_fill_t *ret_fill)
{
    ngx_str_t                          more;
    ngx_http_travel_cache_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_cache_module);

    ngx_memzero(ret_fill, sizeof(ngx_http_travel_fill_t));

    if (clcf->ttl == 0) {
        return NGX_DECLINED;
    }

    ngx_str_set(&more, "");              /* bytes, even if there are none */

    if (clcf->tags != NULL
        && ngx_http_complex_value(r, clcf->tags, &more) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_travel_cache_tags(ret_fill, tags) != NGX_OK
        || ngx_http_travel_cache_tags(ret_fill, &more) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "travel_cache: more than %d tags, the answer is not "
                      "cached", NGX_HTTP_TRAVEL_TAGS_MAX);
        return NGX_DECLINED;
    }

    ret_fill->enabled = 1;
    ret_fill->l1 = clcf->l1;
    ret_fill->l2 = clcf->l2;
    ret_fill->packed = ngx_http_travel_packed_wanted(r, &clcf->packed);
    ret_fill->need = floor_inval;
    ret_fill->named[0] = *tags;
    ret_fill->named[1] = more;

    if (tags->data == NULL) {
        ngx_str_set(&ret_fill->named[0], "");
    }

    ret_fill->key = *identity;
    ret_fill->ttl = clcf->ttl;
    ret_fill->stale = clcf->stale;
    ret_fill->hash = ngx_http_travel_cache_hash(ret_fill);
    ret_fill->fresh = ngx_http_travel_cache_knows(cmcf, ret_fill);

    return NGX_OK;
}


/* Adds the hashes of space-separated tags. */
static ngx_int_t
ngx_http_travel_cache_tags(ngx_http_travel_fill_t *fill, const ngx_str_t *tags)
{
    u_char  *p, *last, *end;

    last = tags->data + tags->len;

    for (p = tags->data; p < last; p = end + 1) {

        end = memchr(p, ' ', last - p);
        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            continue;
        }

        if (fill->ntags == NGX_HTTP_TRAVEL_TAGS_MAX) {
            return NGX_ERROR;
        }

        fill->tags[fill->ntags++] = travel_siphash(ngx_http_travel_node_key(),
                                                   p, end - p);
    }

    return NGX_OK;
}


/* Of key and tags, which together say which answer it is. */
static uint64_t
ngx_http_travel_cache_hash(const ngx_http_travel_fill_t *fill)
{
    uint64_t    hash;
    ngx_uint_t  k;

    hash = travel_siphash(ngx_http_travel_node_key(), fill->key.data,
                          fill->key.len);

    /* tags are hashes under a secret key: a multiplication mixes them in */

    for (k = 0; k < fill->ntags; k++) {
        hash = (hash ^ fill->tags[k]) * 0x9e3779b97f4a7c15ULL;
    }

    return hash ^ (hash >> 29);
}


/* Where the node stands as the fill begins, and what its server must have
 * replayed.  False: the node does not hear the stream. */
static ngx_uint_t
ngx_http_travel_cache_knows(ngx_http_travel_cache_main_conf_t *cmcf,
    ngx_http_travel_fill_t *fill)
{
    ngx_uint_t                    k;
    travel_lsn_t                  lsn;
    travel_stream_id_t            last;
    ngx_http_travel_knowledge_t   look;

    if (ngx_http_travel_cache_plain()) {
        return 1;
    }

    ngx_http_travel_node_look(&look);

    fill->generation = look.generation;
    fill->era = look.era;
    fill->pos = look.pos;
    fill->floor = look.floor;

    for (k = 0; k < fill->ntags; k++) {
        ngx_http_travel_tag_last(fill->tags[k], &last, &lsn);

        if (travel_lsn_cmp(lsn, fill->floor) > 0) {
            fill->floor = lsn;
        }
    }

    return ngx_http_travel_node_hearing(&look);
}


/* Without a queue there is no invalidation stream: TTL alone rules. */
static ngx_uint_t
ngx_http_travel_cache_plain(void)
{
    return !ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_QUEUE);
}


/* --- the end of a fill --------------------------------------------------- */

/* Behind the tags by which it is found: those are what it is, these only what
 * may end it. */
void
ngx_http_travel_cache_touched(ngx_http_travel_fill_t *fill,
    const ngx_str_t *tags)
{
    ngx_uint_t  found;

    if (tags->len == 0 || !fill->enabled) {
        return;
    }

    found = fill->ntags;

    if (ngx_http_travel_cache_tags(fill, tags) != NGX_OK) {
        fill->enabled = 0;
    }

    fill->nrows = fill->ntags - found;
    fill->ntags = found;
    fill->l2 = 0;
}



void
ngx_http_travel_cache_store(ngx_http_request_t *r,
    ngx_http_travel_fill_t *fill, const ngx_str_t *body,
    travel_lsn_t replay, ngx_http_travel_hit_t *ret_hit)
{
    ngx_str_t                   etag;
    ngx_http_travel_content_t   content;

    ngx_memzero(&content, sizeof(ngx_http_travel_content_t));
    content.body = *body;

    if (ngx_http_travel_cache_etag(r, body, &etag) != NGX_OK) {
        ngx_str_null(&etag);
        ngx_http_travel_cache_give(fill, &content, &etag, ret_hit);
        ngx_http_travel_cache_abandon(r, fill);
        return;
    }

    if (ngx_http_travel_cache_keepable(fill, replay)) {
        ngx_http_travel_packed_make(r, ngx_http_travel_packed_conf(r),
                                    &content);
        (void) ngx_http_travel_cache_keep(r, fill, &content, &etag);
        ngx_http_travel_l2_store(r, fill, &content, &etag);

    } else {
        ngx_http_travel_count(((ngx_http_travel_cache_main_conf_t *)
                               ngx_http_get_module_main_conf(r,
                                          ngx_http_travel_cache_module))
                              ->refused, 1);
    }

    ngx_http_travel_cache_give(fill, &content, &etag, ret_hit);

    /* after the insert: whoever waited finds it */
    ngx_http_travel_cache_abandon(r, fill);
}


void
ngx_http_travel_cache_give(const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag,
    ngx_http_travel_hit_t *ret_hit)
{
    ngx_memzero(ret_hit, sizeof(ngx_http_travel_hit_t));

    ret_hit->packed = (fill->packed && content->packed.len != 0);
    ret_hit->body = ret_hit->packed ? content->packed : content->body;
    ret_hit->etag = *etag;
}


ngx_int_t
ngx_http_travel_cache_coding(ngx_http_request_t *r,
    const ngx_http_travel_hit_t *hit)
{
    if (ngx_http_travel_packed_conf(r)->level == 0) {
        return NGX_OK;
    }

    if (ngx_http_travel_packed_vary(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return hit->packed ? ngx_http_travel_packed_said(r) : NGX_OK;
}


ngx_int_t
ngx_http_travel_cache_keep(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill,
    const ngx_http_travel_content_t *content, const ngx_str_t *etag)
{
    ngx_uint_t                          evicted;
    ngx_http_travel_cache_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_cache_module);

    if (!fill->l1) {
        return NGX_DECLINED;
    }

    if (ngx_http_travel_large_insert(cmcf->cache, fill, content, etag,
                                     &evicted)
        != NGX_OK)
    {
        ngx_http_travel_count(cmcf->refused, 1);
        return NGX_DECLINED;
    }

    /* a purge that came in between may have gone by already */

    if (ngx_http_travel_purge_since(fill, fill->purge, 0)) {
        ngx_http_travel_l1_drop(cmcf->cache, fill);
    }

    ngx_http_travel_count(cmcf->stored, 1);

    if (evicted) {
        ngx_http_travel_count(cmcf->evicted, evicted);
    }

    return NGX_OK;
}


void
ngx_http_travel_cache_count(ngx_http_request_t *r, ngx_http_travel_l2_e what)
{
    ngx_http_travel_cache_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_cache_module);

    ngx_http_travel_count(cmcf->l2[what], 1);
}


static ngx_uint_t
ngx_http_travel_cache_keepable(const ngx_http_travel_fill_t *fill,
    travel_lsn_t replay)
{
    ngx_uint_t                    k;
    travel_lsn_t                  lsn;
    travel_stream_id_t            last;
    ngx_http_travel_knowledge_t   look;

    if (!fill->enabled || !fill->fresh
        || ngx_http_travel_purge_since(fill, fill->purge, 0))
    {
        return 0;
    }

    if (ngx_http_travel_cache_plain()) {
        return 1;
    }

    ngx_http_travel_node_look(&look);

    if (look.generation != fill->generation
        || !ngx_http_travel_node_hearing(&look)
        || travel_lsn_cmp(replay, look.floor) < 0)
    {
        return 0;
    }

    for (k = 0; k < fill->ntags + fill->nrows; k++) {
        ngx_http_travel_tag_last(fill->tags[k], &last, &lsn);

        if (travel_stream_id_cmp(last, fill->pos) > 0
            || travel_lsn_cmp(replay, lsn) < 0)
        {
            return 0;
        }
    }

    /* the slots just read were not being emptied */

    return ngx_http_travel_node_generation() == fill->generation;
}


void
ngx_http_travel_cache_abandon(ngx_http_request_t *r,
    ngx_http_travel_fill_t *fill)
{
    ngx_http_travel_fills_end(r, fill);

    if (fill->lock.len != 0) {
        ngx_http_travel_l2_unlock(fill);     /* behind what was stored */
    }
}


ngx_int_t
ngx_http_travel_cache_etag(ngx_http_request_t *r, const ngx_str_t *body,
    ngx_str_t *ret_etag)
{
    u_char   *p;
    uint8_t   md[TRAVEL_SHA256_LEN];

    p = ngx_pnalloc(r->pool, 34);
    if (p == NULL
        || travel_sha256(md, ngx_http_travel_view(body)) != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    p[0] = '"';
    travel_hex_encode((char *) p + 1, md, 16);
    p[33] = '"';

    ret_etag->data = p;
    ret_etag->len = 34;

    return NGX_OK;
}


void
ngx_http_travel_cache_usage(size_t *ret_used, size_t *ret_size,
    ngx_uint_t *ret_entries)
{
    ngx_http_travel_cache_main_conf_t  *cmcf;

    *ret_used = 0;
    *ret_size = 0;
    *ret_entries = 0;

    cmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_travel_cache_module);

    if (cmcf->used) {
        ngx_http_travel_l1_usage(cmcf->cache, ret_used, ret_size,
                                 ret_entries);
    }
}


/* --- configuration ------------------------------------------------------- */

static char *
ngx_http_travel_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_cache_loc_conf_t  *clcf = conf;

    ngx_int_t                           ms;
    ngx_str_t                          *value;
    ngx_http_travel_cache_main_conf_t  *cmcf;

    if (clcf->ttl != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        if (cf->args->nelts > 2) {
            return "takes nothing after \"off\"";
        }

        clcf->ttl = 0;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "http") == 0) {
        clcf->ttl = 0;
        return ngx_http_travel_kept_directive(cf, &clcf->http);
    }

    ms = ngx_parse_time(&value[1], 0);

    if (ms < 1 || ms > NGX_HTTP_TRAVEL_CACHE_TTL_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_cache\" time \"%V\" must be \"off\", "
                           "\"http\" or from 1ms to 30d, as in "
                           "\"travel_cache 30s\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    clcf->ttl = ms;

    if (ngx_http_travel_params_whole(cf, ngx_http_travel_cache_params, 2, clcf)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (!clcf->l1 && !clcf->l2) {
        return "keeps nothing with l1=off: add l2=on, or say "
               "\"travel_cache off\"";
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_cache_module);
    cmcf->used = 1;

    return NGX_CONF_OK;
}


ngx_http_travel_kept_conf_t *
ngx_http_travel_kept_conf(ngx_http_request_t *r)
{
    ngx_http_travel_cache_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_cache_module);

    return clcf->http;
}


ngx_http_travel_packed_conf_t *
ngx_http_travel_packed_conf(ngx_http_request_t *r)
{
    ngx_http_travel_cache_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_cache_module);

    return &clcf->packed;
}


ngx_str_t *
ngx_http_travel_purge_permission(ngx_http_request_t *r)
{
    ngx_http_travel_cache_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_cache_module);

    return &clcf->permission;
}


static void *
ngx_http_travel_cache_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_cache_main_conf_t));
}


/* Filled when all are known: ngx_http_travel_kept_init(). */
static void *
ngx_http_travel_cache_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_kept_server_t));
}


static void *
ngx_http_travel_cache_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_cache_loc_conf_t  *clcf;

    clcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_cache_loc_conf_t));
    if (clcf == NULL) {
        return NULL;
    }

    clcf->ttl = NGX_CONF_UNSET_MSEC;
    ngx_http_travel_packed_init(&clcf->packed);

    return clcf;
}


static char *
ngx_http_travel_cache_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_travel_cache_loc_conf_t  *prev = parent;
    ngx_http_travel_cache_loc_conf_t  *conf = child;

    /* one line says all of these */

    if (conf->ttl == NGX_CONF_UNSET_MSEC) {
        conf->ttl = prev->ttl;
        conf->stale = prev->stale;
        conf->tags = prev->tags;
        conf->l1 = prev->l1;
        conf->l2 = prev->l2;
        conf->http = prev->http;
        ngx_conf_merge_msec_value(conf->ttl, prev->ttl, 0);
    }

    return ngx_http_travel_packed_merge(cf, &prev->packed, &conf->packed);
}


static ngx_int_t
ngx_http_travel_cache_postconfiguration(ngx_conf_t *cf)
{
    size_t                              i;
    ngx_int_t                           index;
    ngx_http_travel_cache_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_cache_module);

    /* what callers wrote is of interest where nothing is cached, too */
    cmcf->tails = cmcf->used
                  || ngx_http_travel_redis_declared(cf,
                                                 NGX_HTTP_TRAVEL_REDIS_QUEUE);

    if (!cmcf->tails) {
        return NGX_OK;
    }

    if (ngx_http_travel_cache_zones(cf, cmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(ngx_http_travel_cache_counters)
                    / sizeof(ngx_http_travel_cache_counters[0]); i++)
    {
        index = ngx_http_travel_counter_add(cf,
                                       ngx_http_travel_cache_counters[i].name,
                                       ngx_http_travel_cache_counters[i].help);
        if (index == NGX_ERROR) {
            return NGX_ERROR;
        }

        *(ngx_uint_t *) ((u_char *) cmcf
                         + ngx_http_travel_cache_counters[i].offset) = index;
    }

    return ngx_http_travel_kept_init(cf, cmcf);
}


static ngx_int_t
ngx_http_travel_cache_zones(ngx_conf_t *cf,
    ngx_http_travel_cache_main_conf_t *cmcf)
{
    if (cmcf->used) {
        cmcf->cache = ngx_http_travel_zone(cf, "cache", 64 * 1024 * 1024, 8, 3,
                                           ngx_http_travel_l1_init);
        cmcf->fills = ngx_http_travel_zone(cf, "fills", 512 * 1024, 4, 1,
                                           ngx_http_travel_lease_init);
        cmcf->purges = ngx_http_travel_zone(cf, "purges", 256 * 1024, 1, 1,
                                            ngx_http_travel_purge_init);

        if (cmcf->cache == NULL || cmcf->fills == NULL
            || cmcf->purges == NULL)
        {
            return NGX_ERROR;
        }
    }

    cmcf->tags = ngx_http_travel_zone(cf, "tags", 8 * 1024 * 1024, 1, 4,
                                      ngx_http_travel_tags_init);
    cmcf->writers = ngx_http_travel_zone(cf, "writers", 8 * 1024 * 1024, 8, 3,
                                         ngx_http_travel_writers_init);

    return cmcf->tags == NULL || cmcf->writers == NULL ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_travel_cache_init_process(ngx_cycle_t *cycle)
{
    ngx_http_travel_cache_main_conf_t  *cmcf;

    if (ngx_http_travel_cycle_conf(cycle) == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    cmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_travel_cache_module);

    ngx_http_travel_kept_use(cmcf);

    if (!cmcf->tails) {
        return NGX_OK;
    }

    ngx_http_travel_writers_use(cmcf->writers);

    if (cmcf->fills != NULL) {
        ngx_http_travel_lease_use(cmcf->fills);

        if (ngx_http_travel_purge_start(cycle, cmcf) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_travel_node_start(cycle, cmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_travel_warm_start(cycle, cmcf);
}
