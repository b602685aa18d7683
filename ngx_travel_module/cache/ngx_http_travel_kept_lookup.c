/*
 * Before the content of a location with an upstream: is the answer known?
 *
 * The handler stands in the precontent phase, after access: who may not have
 * an answer never gets here.  It serves a record (NGX_DONE), waits for another
 * request that asks the same (NGX_AGAIN; it is run again then), or lets the
 * upstream be asked (NGX_DECLINED), with conditions of its own in the place of
 * the client's.
 *
 * Whose cache: with a caller that travel_auth knows, first his own records,
 * then those of the shared cache that are open (public, s-maxage).  The state
 * of a request lives in r->pool, and is found again after an internal redirect
 * through the pool's cleanup list.
 */

#include "ngx_http_travel_kept.h"
#include "../net/ngx_http_travel_redis.h"


#define NGX_HTTP_TRAVEL_KEPT_KEPT     (30 * 24 * 3600 * 1000LL)
#define NGX_HTTP_TRAVEL_KEPT_KEY_MAX  1024   /* of a key; else it is hashed */


static ngx_int_t ngx_http_travel_kept_whose(ngx_http_travel_kept_t *h,
    const ngx_http_travel_ctx_t *ctx);
static void ngx_http_travel_kept_gone(void *data);
static ngx_int_t ngx_http_travel_kept_request(ngx_http_travel_kept_t *h);
static const char *ngx_http_travel_kept_unfit(ngx_http_travel_kept_t *h);
static ngx_int_t ngx_http_travel_kept_default_key(ngx_http_travel_kept_t *h);
static ngx_int_t ngx_http_travel_kept_tags(ngx_http_travel_kept_t *h);
static void ngx_http_travel_kept_control(ngx_http_travel_kept_t *h);

static ngx_int_t ngx_http_travel_kept_walk(ngx_http_travel_kept_t *h);
static ngx_int_t ngx_http_travel_kept_choose(ngx_http_travel_kept_t *h,
    ngx_http_travel_record_t *ret_rec, travel_http_verdict_e *ret_verdict);
static ngx_int_t ngx_http_travel_kept_load(ngx_http_travel_kept_t *h,
    const ngx_str_t *user, ngx_http_travel_fill_t *fill,
    ngx_http_travel_record_t *ret_rec);
static ngx_int_t ngx_http_travel_kept_get(ngx_http_travel_kept_t *h,
    ngx_http_travel_fill_t *fill, ngx_http_travel_record_t *ret_rec);
static ngx_uint_t ngx_http_travel_kept_valid(ngx_http_travel_kept_t *h,
    const ngx_http_travel_record_t *rec);

static ngx_int_t ngx_http_travel_kept_serve(ngx_http_travel_kept_t *h,
    ngx_http_travel_record_t *rec);


int64_t
ngx_http_travel_kept_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}


ngx_int_t
ngx_http_travel_kept_handler(ngx_http_request_t *r)
{
    ngx_uint_t                    moved;
    ngx_http_travel_ctx_t        *ctx;
    ngx_http_travel_kept_t       *h;
    ngx_http_travel_kept_conf_t  *conf;

    h = ngx_http_get_module_ctx(r, ngx_http_travel_cache_module);

    if (h != NULL && h->background) {
        return ngx_http_travel_kept_behind(h);
    }

    if (h != NULL) {
        return ngx_http_travel_kept_walk(h);
    }

    conf = ngx_http_travel_kept_conf(r);

    /* a redirect by an upstream or for an error answers under the name of the
     * request that it came from, but it is not that answer */

    if (conf == NULL || r != r->main || r->content_handler == NULL
        || r->error_page || ngx_http_travel_claimed(r)
        || ngx_http_travel_kept_find(r, &moved) != NULL)
    {
        return NGX_DECLINED;
    }

    h = ngx_http_travel_kept_create(r, conf);
    ctx = ngx_http_travel_get_ctx(r);

    if (h == NULL || ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (conf->mode != NGX_HTTP_TRAVEL_KEPT_SHARED
        && ngx_http_travel_kept_whose(h, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->fwd = ngx_http_travel_kept_unfit(h);

    if (h->fwd == NULL) {
        return ngx_http_travel_kept_request(h) == NGX_OK
               ? ngx_http_travel_kept_walk(h)
               : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_travel_count(ngx_http_travel_kept.bypass, 1);
    ctx->cache_status = "BYPASS";
    h->state = NGX_HTTP_TRAVEL_KEPT_PASS;

    return NGX_DECLINED;
}


ngx_http_travel_kept_t *
ngx_http_travel_kept_create(ngx_http_request_t *r,
    ngx_http_travel_kept_conf_t *conf)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_travel_kept_t  *h;

    static ngx_http_travel_kept_server_t  none;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_travel_kept_t));
    if (cln == NULL) {
        return NULL;
    }

    h = cln->data;
    ngx_memzero(h, sizeof(ngx_http_travel_kept_t));

    h->request = r;
    h->conf = conf;
    h->server = conf->key ? &none
                          : ngx_http_get_module_srv_conf(r,
                                                ngx_http_travel_cache_module);
    cln->handler = ngx_http_travel_kept_gone;

    ngx_http_set_ctx(r, h, ngx_http_travel_cache_module);

    return h;
}


/*
 * A user's own answers are of what he showed, too: what one key or token of his
 * may not see, a wider one may have been given, and the upstream may go by what
 * it was told of his claims.
 */
static ngx_int_t
ngx_http_travel_kept_whose(ngx_http_travel_kept_t *h,
    const ngx_http_travel_ctx_t *ctx)
{
    u_char        *p;
    uint8_t        md[TRAVEL_SHA256_LEN];
    travel_str_t   parts[3];

    h->caller = ctx->user;
    h->user = ctx->user;

    if (ctx->user.len == 0
        || ctx->permissions.len + ctx->api_key.len + ctx->claims.len == 0)
    {
        return NGX_OK;
    }

    parts[0] = ngx_http_travel_view(&ctx->permissions);
    parts[1] = ngx_http_travel_view(&ctx->api_key);
    parts[2] = ngx_http_travel_view(&ctx->claims);

    p = ngx_pnalloc(h->request->pool, ctx->user.len + 1
                                      + 2 * TRAVEL_SHA256_LEN);

    if (p == NULL || travel_sha256_parts(md, parts, 3) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    h->user.data = p;
    p = ngx_cpymem(p, ctx->user.data, ctx->user.len);
    *p++ = ':';
    travel_hex_encode((char *) p, md, TRAVEL_SHA256_LEN);
    h->user.len = p + 2 * TRAVEL_SHA256_LEN - h->user.data;

    return NGX_OK;
}


/* Its place in the list is how a request's state is found again. */
static void
ngx_http_travel_kept_gone(void *data)
{
    ngx_http_travel_kept_t  *h = data;

    h->request = NULL;
}


ngx_http_travel_kept_t *
ngx_http_travel_kept_find(ngx_http_request_t *r, ngx_uint_t *ret_moved)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_travel_kept_t  *h;

    *ret_moved = 0;

    h = ngx_http_get_module_ctx(r, ngx_http_travel_cache_module);

    if (h != NULL) {
        return h;
    }

    if (!r->internal && !r->error_page) {
        return NULL;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_travel_kept_gone) {
            h = cln->data;

            if (h->request == r) {
                *ret_moved = 1;
                return h;
            }
        }
    }

    return NULL;
}


/* --- what is asked ------------------------------------------------------- */

/* Why a request has nothing to do with the cache; NULL: it has. */
static const char *
ngx_http_travel_kept_unfit(ngx_http_travel_kept_t *h)
{
    ngx_http_request_t  *r;

    r = h->request;

    if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) {
        h->unsafe = !(r->method & (NGX_HTTP_OPTIONS|NGX_HTTP_TRACE
                                   |NGX_HTTP_PROPFIND));
        return "method";
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked
        || r->headers_in.upgrade != NULL || ngx_http_travel_two_hosts(r))
    {
        return "bypass";
    }

    if (h->conf->mode == NGX_HTTP_TRAVEL_KEPT_PRIVATE && h->user.len == 0) {
        return "bypass";
    }

    return NULL;
}


static ngx_int_t
ngx_http_travel_kept_request(ngx_http_travel_kept_t *h)
{
    ngx_http_request_t  *r;

    r = h->request;

    h->credentials = (r->headers_in.authorization != NULL);
    h->expected = -1;

    if (!(h->conf->ignore & NGX_HTTP_TRAVEL_KEPT_IGNORE_REQUEST)) {
        ngx_http_travel_kept_control(h);
    }

    h->no_store = (h->cc.set & TRAVEL_CC_NO_STORE) != 0;

    if (h->conf->key != NULL) {
        if (ngx_http_complex_value(r, h->conf->key, &h->key) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (ngx_http_travel_kept_default_key(h) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_travel_mark_text(r, NGX_HTTP_TRAVEL_MARK_URI,
                                  &r->unparsed_uri, &h->target)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    h->uri = ngx_http_travel_mark_of(&h->target);

    if (h->conf->key != NULL) {
        if (ngx_http_travel_mark_text(r, NGX_HTTP_TRAVEL_MARK_KEY, &h->key,
                                      &h->target)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        h->named = ngx_http_travel_mark_of(&h->target);
    }

    return ngx_http_travel_kept_tags(h);
}


static ngx_int_t
ngx_http_travel_kept_default_key(ngx_http_travel_kept_t *h)
{
    ngx_str_t            scheme, authority;
    ngx_http_request_t  *r;

    r = h->request;

    if (ngx_http_travel_origin(r, &scheme, &authority) != NGX_OK) {
        return NGX_ERROR;
    }

    h->key.len = scheme.len + 3 + authority.len + r->unparsed_uri.len;
    h->key.data = ngx_pnalloc(r->pool, h->key.len);
    if (h->key.data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(h->key.data, "%V://%V%V", &scheme, &authority,
                &r->unparsed_uri);

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_kept_tags(ngx_http_travel_kept_t *h)
{
    u_char     *p, *last, *start;
    ngx_str_t   tags;

    if (h->conf->tags == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(h->request, h->conf->tags, &tags) != NGX_OK) {
        return NGX_ERROR;
    }

    h->words = tags;
    p = tags.data;
    last = p + tags.len;

    for ( ;; ) {

        while (p < last && *p == ' ') {
            p++;
        }

        start = p;

        while (p < last && *p != ' ') {
            p++;
        }

        if (p == start) {
            return NGX_OK;
        }

        if (h->ntags == NGX_HTTP_TRAVEL_TAGS_MAX) {
            ngx_log_error(NGX_LOG_ERR, h->request->connection->log, 0,
                          "travel_cache: more than %d tags, the answer is not "
                          "kept", NGX_HTTP_TRAVEL_TAGS_MAX);
            h->no_store = 1;
            return NGX_OK;
        }

        h->tags[h->ntags++] = travel_siphash(ngx_http_travel_node_key(),
                                             start, p - start);
    }
}


static void
ngx_http_travel_kept_control(ngx_http_travel_kept_t *h)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *e;

    part = &h->request->headers_in.headers.part;
    e = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return;
            }

            part = part->next;
            e = part->elts;
            i = 0;
        }

        if (ngx_http_travel_name_is(&e[i].key, "cache-control")) {
            travel_cache_control_parse(&h->cc,
                                       ngx_http_travel_view(&e[i].value));
        }
    }
}


/* --- keys ---------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_kept_key(ngx_http_travel_kept_t *h, const ngx_str_t *user,
    const ngx_str_t *variant, ngx_http_travel_fill_t *ret_fill)
{
    u_char        *p;
    uint64_t       tags;
    uint8_t        md[TRAVEL_SHA256_LEN];
    ngx_str_t      key;
    ngx_uint_t     i;

    key = h->key;

    p = ngx_pnalloc(h->request->pool,
                    sizeof("http  # ") + 16 + user->len + variant->len
                    + ngx_min(key.len, NGX_HTTP_TRAVEL_KEPT_KEY_MAX)
                    + 2 * TRAVEL_SHA256_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* locations that give an answer different tags do not share it, nor do
     * server blocks: what one is asked under another's name is its own */

    for (i = 0, tags = h->server->number; i < h->ntags; i++) {
        tags = (tags ^ h->tags[i]) * 0x9e3779b97f4a7c15ULL;
    }

    ngx_memzero(ret_fill, sizeof(ngx_http_travel_fill_t));
    ret_fill->key.data = p;

    /* the text first: a purge goes by how keys begin */

    p = ngx_cpymem(p, key.data,
                   ngx_min(key.len, NGX_HTTP_TRAVEL_KEPT_KEY_MAX));
    p = ngx_sprintf(p, " %V %V#%016xL", user, variant, tags);

    if (key.len > NGX_HTTP_TRAVEL_KEPT_KEY_MAX) {

        if (travel_sha256(md, ngx_http_travel_view(&key)) != TRAVEL_OK) {
            return NGX_ERROR;
        }

        travel_hex_encode((char *) p, md, TRAVEL_SHA256_LEN);
        p += 2 * TRAVEL_SHA256_LEN;
    }

    ret_fill->key.len = p - ret_fill->key.data;
    ret_fill->hash = travel_siphash(ngx_http_travel_node_key(),
                                    ret_fill->key.data, ret_fill->key.len);
    ret_fill->ttl = NGX_HTTP_TRAVEL_KEPT_KEPT;
    ret_fill->enabled = 1;
    ret_fill->fresh = 1;
    ret_fill->packed
        = ngx_http_travel_packed_wanted(h->request,
                                        ngx_http_travel_packed_conf(
                                                                h->request));

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_kept_variant(ngx_http_request_t *r, const travel_str_t *names,
    size_t n, ngx_str_t *ret_variant)
{
    char             *value;
    size_t            i, k, len;
    uint8_t           md[TRAVEL_SHA256_LEN];
    ngx_str_t         name;
    ngx_array_t       lines;
    travel_str_t      parts[2 * TRAVEL_VARY_NAMES_MAX], *line;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (ngx_array_init(&lines, r->pool, 4, sizeof(travel_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        name = ngx_http_travel_str(names[i]);

        part = &r->headers_in.headers.part;
        h = part->elts;
        lines.nelts = 0;
        len = 0;

        for (k = 0; /* void */ ; k++) {

            if (k >= part->nelts) {
                if (part->next == NULL) {
                    break;
                }

                part = part->next;
                h = part->elts;
                k = 0;
            }

            if (h[k].key.len == name.len
                && ngx_strncasecmp(h[k].key.data, name.data, name.len) == 0)
            {
                line = ngx_array_push(&lines);
                if (line == NULL) {
                    return NGX_ERROR;
                }

                *line = ngx_http_travel_view(&h[k].value);
                len += h[k].value.len + 1;
            }
        }

        value = ngx_pnalloc(r->pool, len + 1);
        if (value == NULL) {
            return NGX_ERROR;
        }

        /* absent is not the same as empty */

        value[0] = lines.nelts ? '=' : '-';
        parts[2 * i] = names[i];
        parts[2 * i + 1].data = value;
        parts[2 * i + 1].len = 1 + travel_vary_value(value + 1, names[i],
                                                     lines.elts, lines.nelts);
    }

    ret_variant->len = 2 * TRAVEL_SHA256_LEN;
    ret_variant->data = ngx_pnalloc(r->pool, ret_variant->len);

    if (ret_variant->data == NULL
        || travel_sha256_parts(md, parts, 2 * n) != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    travel_hex_encode((char *) ret_variant->data, md, TRAVEL_SHA256_LEN);

    return NGX_OK;
}


/* --- look-up ------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_kept_walk(ngx_http_travel_kept_t *h)
{
    ngx_int_t                  rc;
    ngx_http_request_t        *r;
    travel_http_verdict_e      verdict;
    ngx_http_travel_record_t  *rec, *found;

    r = h->request;
    verdict = TRAVEL_HTTP_SERVE;

    rec = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_record_t));
    if (rec == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->seq = ngx_http_travel_marks_now();
    ngx_http_travel_node_look(&h->look);

    h->old = NULL;
    h->alone = 0;
    h->fwd = "uri-miss";

    rc = ngx_http_travel_kept_choose(h, rec, &verdict);

    found = ngx_http_travel_kept_l2_found(h);

    if (found != NULL
        && (rc == NGX_DECLINED
            || (rc == NGX_OK && verdict > TRAVEL_HTTP_SERVE_REFRESH)))
    {
        /* too large for the node's memory, or that had no room */
        rc = NGX_OK;
        *rec = *found;
        verdict = travel_http_judge(&rec->head.fresh, &h->cc,
                                    ngx_http_travel_kept_now());
    }

    if (rc == NGX_OK && rec->packed && verdict != TRAVEL_HTTP_SERVE
        && verdict != TRAVEL_HTTP_SERVE_STALE)
    {
        /* what the upstream confirms is kept anew, in both codings */
        h->fill.packed = 0;
        rc = ngx_http_travel_kept_get(h, &h->fill, rec);
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_OK) {

        switch (verdict) {

        case TRAVEL_HTTP_SERVE:
        case TRAVEL_HTTP_SERVE_STALE:
            return ngx_http_travel_kept_serve(h, rec);

        case TRAVEL_HTTP_SERVE_REFRESH:
            ngx_http_travel_kept_refresh(h, rec);
            return ngx_http_travel_kept_serve(h, rec);

        case TRAVEL_HTTP_ASK_REQUEST:
            h->fwd = "request";
            h->insists = 1;
            break;

        default:
            h->fwd = "stale";
        }

        h->old = rec;
    }

    if (h->cc.set & TRAVEL_CC_ONLY_IF_CACHED) {
        h->state = NGX_HTTP_TRAVEL_KEPT_OVER;

        return ngx_http_travel_refuse(r,
                   ngx_http_travel_error(r, TRAVEL_E_GATEWAY_TIMEOUT,
                                         "The answer is not in the cache, and "
                                         "only-if-cached was asked for."));
    }

    return ngx_http_travel_kept_ask(h);
}


/*
 * The caller's own record, or one that is open to all: the first that may be
 * served, else the first.  NGX_DECLINED: there is none; h->fill is where one is
 * looked for.
 */
static ngx_int_t
ngx_http_travel_kept_choose(ngx_http_travel_kept_t *h,
    ngx_http_travel_record_t *ret_rec, travel_http_verdict_e *ret_verdict)
{
    ngx_int_t                 rc;
    ngx_str_t                 users[2];
    ngx_uint_t                i, n;
    travel_http_verdict_e     verdict;
    ngx_http_travel_fill_t    fill;
    ngx_http_travel_record_t  rec;

    /* of callers whose credentials are not judged here nothing is kept but that
     * nothing is: what is shared stays untouched by that */
    static const ngx_str_t    unknown = ngx_string("?");

    n = 0;

    if (h->user.len) {
        users[n++] = h->user;

    } else if (h->credentials) {
        users[n++] = unknown;
    }

    if (h->conf->mode != NGX_HTTP_TRAVEL_KEPT_PRIVATE) {
        ngx_str_null(&users[n]);
        n++;
    }

    ngx_str_null(&h->fill.key);
    ngx_memzero(&rec, sizeof(rec));

    for (i = 0; i < n; i++) {

        rc = ngx_http_travel_kept_load(h, &users[i], &fill, &rec);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (h->fill.key.len == 0) {
            h->fill = fill;
        }

        if (rc != NGX_OK) {
            continue;
        }

        if (users[i].len == 0 && (h->user.len || h->credentials)
            && !(rec.head.fresh.flags & TRAVEL_HTTP_OPEN))
        {
            continue;
        }

        verdict = travel_http_judge(&rec.head.fresh, &h->cc,
                                    ngx_http_travel_kept_now());

        if (verdict <= TRAVEL_HTTP_SERVE_REFRESH
            || ret_rec->head.version == 0)
        {
            h->fill = fill;
            *ret_rec = rec;
            *ret_verdict = verdict;
        }

        if (verdict <= TRAVEL_HTTP_SERVE_REFRESH) {
            break;
        }
    }

    return ret_rec->head.version ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_travel_kept_load(ngx_http_travel_kept_t *h, const ngx_str_t *user,
    ngx_http_travel_fill_t *fill, ngx_http_travel_record_t *ret_rec)
{
    ngx_int_t  rc;
    ngx_str_t  variant;

    ngx_str_null(&variant);

    if (ngx_http_travel_kept_key(h, user, &variant, fill) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_travel_kept_get(h, fill, ret_rec);

    if (rc == NGX_OK
        && ret_rec->head.kind == NGX_HTTP_TRAVEL_RECORD_VARIANTS)
    {
        if (ngx_http_travel_kept_variants(h, &ret_rec->body, &variant)
                != NGX_OK
            || ngx_http_travel_kept_key(h, user, &variant, fill) != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = ngx_http_travel_kept_get(h, fill, ret_rec);

        if (rc == NGX_DECLINED) {
            h->fwd = "vary-miss";
        }
    }

    if (rc == NGX_OK && ret_rec->head.kind == NGX_HTTP_TRAVEL_RECORD_PASS) {
        h->alone = 1;
        return NGX_DECLINED;
    }

    return rc;
}


static ngx_int_t
ngx_http_travel_kept_get(ngx_http_travel_kept_t *h,
    ngx_http_travel_fill_t *fill, ngx_http_travel_record_t *ret_rec)
{
    ngx_int_t              rc;
    travel_stream_id_t     floor;
    ngx_http_travel_l1_e   found;
    ngx_http_travel_hit_t  hit;

    ngx_memzero(&floor, sizeof(floor));

    found = ngx_http_travel_large_find(h->request, ngx_http_travel_kept.cache,
                                       fill, floor, &hit);

    switch (found) {

    case NGX_HTTP_TRAVEL_L1_FRESH:
    case NGX_HTTP_TRAVEL_L1_EXPIRED:
    case NGX_HTTP_TRAVEL_L1_UNSURE:
        break;

    default:
        return NGX_DECLINED;
    }

    rc = ngx_http_travel_record_read(h->request, &hit.body, ret_rec);
    ret_rec->packed = hit.packed;

    if (rc == NGX_OK && !ngx_http_travel_kept_valid(h, ret_rec)) {
        rc = NGX_DECLINED;
    }

    if (rc == NGX_OK && found == NGX_HTTP_TRAVEL_L1_EXPIRED) {
        /* a soft purge has ended its time: stale from now on */
        ret_rec->head.fresh.lifetime
            = ngx_min(ret_rec->head.fresh.lifetime,
                      travel_http_age(&ret_rec->head.fresh,
                                      ngx_http_travel_kept_now()));
    }

    return rc;
}


/* Made invalid on this node: by an unsafe request, or a purge by tag. */
ngx_uint_t
ngx_http_travel_kept_marked(const ngx_http_travel_record_t *rec)
{
    ngx_uint_t  i;

    for (i = 0; i < rec->head.nmarks; i++) {
        if (ngx_http_travel_marked(rec->head.marks[i], rec->head.seq)) {
            return 1;
        }
    }

    for (i = 0; i < rec->head.ntags; i++) {
        if (ngx_http_travel_marked(rec->head.tags[i], rec->head.seq)) {
            return 1;
        }
    }

    return 0;
}


/* Nothing that it depends on has been overwritten since its fill began. */
static ngx_uint_t
ngx_http_travel_kept_valid(ngx_http_travel_kept_t *h,
    const ngx_http_travel_record_t *rec)
{
    travel_consistency_t  own;

    if (ngx_http_travel_kept_marked(rec)) {
        return 0;
    }

    if (rec->head.ntags == 0
        || !ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_QUEUE))
    {
        return 1;
    }

    if (rec->head.generation != h->look.generation
        || rec->head.era != h->look.era
        || !ngx_http_travel_node_hearing(&h->look))
    {
        return 0;
    }

    if (ngx_http_travel_tags_since(rec->head.tags, rec->head.ntags,
                                   rec->head.pos))
    {
        return 0;
    }

    if (h->caller.len) {
        ngx_http_travel_writer_last(&h->caller, &own);

        if (travel_stream_id_cmp(own.inval, rec->head.pos) > 0) {
            return 0;
        }
    }

    /* the slots just read were not being emptied */

    return ngx_http_travel_node_generation() == h->look.generation;
}


ngx_int_t
ngx_http_travel_kept_variants(ngx_http_travel_kept_t *h,
    const ngx_str_t *names, ngx_str_t *ret_variant)
{
    size_t         n;
    u_char        *p, *last, *end;
    travel_str_t   name[TRAVEL_VARY_NAMES_MAX];

    p = names->data;
    last = p + names->len;

    for (n = 0; p < last && n < TRAVEL_VARY_NAMES_MAX; n++) {
        end = ngx_strlchr(p, last, ' ');

        if (end == NULL) {
            break;
        }

        name[n].data = (char *) p;
        name[n].len = end - p;
        p = end + 1;
    }

    return ngx_http_travel_kept_variant(h->request, name, n, ret_variant);
}


/* --- a hit --------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_kept_serve(ngx_http_travel_kept_t *h,
    ngx_http_travel_record_t *rec)
{
    int64_t                 ttl;
    uint32_t                age;
    ngx_int_t               rc;
    ngx_buf_t              *b;
    ngx_chain_t             out;
    ngx_http_request_t     *r;
    ngx_http_travel_ctx_t  *ctx;

    r = h->request;
    h->state = NGX_HTTP_TRAVEL_KEPT_OVER;

    ctx = ngx_http_travel_get_ctx(r);
    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return ngx_http_travel_refuse(r, rc);
    }

    age = travel_http_age(&rec->head.fresh, ngx_http_travel_kept_now());
    ttl = (int64_t) rec->head.fresh.lifetime - age;

    if (ngx_http_travel_record_respond(r, rec) != NGX_OK
        || ngx_http_travel_record_coding(r, rec) != NGX_OK
        || ngx_http_travel_kept_age(r, age) != NGX_OK
        || ngx_http_travel_kept_status(r, "%s; ttl=%L",
                                       h->joins ? "fwd=uri-miss; collapsed"
                                                : "hit", ttl)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->cache_status = ttl > 0 ? "HIT" : "STALE";
    ngx_http_travel_count(ttl > 0 ? ngx_http_travel_kept.hit
                                  : ngx_http_travel_kept.stale, 1);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return ngx_http_travel_refuse(r, rc);
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return ngx_http_travel_refuse(r, NGX_ERROR);
    }

    b->pos = rec->body.data;
    b->last = b->pos + rec->body.len;
    b->memory = rec->body.len ? 1 : 0;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_travel_refuse(r, ngx_http_output_filter(r, &out));
}
