/*
 * Key sets from a URL: one fetch for all nginx workers.
 *
 * Zone "jwks_NAME", one shard: the last good document, when it was fetched,
 * when the next fetch is due, how long its keys may be used, and a lease.  The
 * worker that takes the lease fetches; it publishes what it got if the lease
 * is still its own.  A worker that dies with it loses it: a lease ends a
 * little after the fetch must have ended.  Everything in the zone is read and
 * written under the shard's lock, but for 'generation', which any request may
 * read to see whether this process is behind; it only ever grows.
 *
 * Once a second each worker looks: it reads the document if that is another
 * one, and takes the lease if a fetch is due.  A fetch is due when nine tenths
 * of the document's lifetime are over, less some jitter; after a failure, in
 * growing intervals; and when a token names a key that is not there, at most
 * once per cooldown.  The lifetime is refresh=, or what the issuer's
 * Cache-Control says if that is less, but not less than cooldown=.  When
 * lifetime and grace= are over the keys are not used any more.
 *
 * A reload keeps the zone.  'id' says whose document it is: when the URL has
 * changed the first new worker empties it, and workers of the old
 * configuration leave it alone from then on.
 */

#include "ngx_http_travel_bearer.h"


#define NGX_HTTP_TRAVEL_SOURCE_LAYOUT    1
#define NGX_HTTP_TRAVEL_SOURCE_SLACK     (64 * 1024)   /* zone over max_size */
#define NGX_HTTP_TRAVEL_SOURCE_LEASE     2000    /* ms beyond the time-out */
#define NGX_HTTP_TRAVEL_SOURCE_RETRY     1000    /* ms after one failure */
#define NGX_HTTP_TRAVEL_SOURCE_RETRIES   60000   /* at most */

#define NGX_HTTP_TRAVEL_SOURCE_ETAG      256
#define NGX_HTTP_TRAVEL_SOURCE_MODIFIED  64

/* Times are milliseconds of the monotonic clock; 0: never. */
typedef struct {
    ngx_atomic_t      generation;
    uint64_t          id;              /* 0: nobody's */
    uint64_t          lease;           /* 0: nobody fetches */
    uint64_t          leases;
    ngx_msec_t        lease_until;
    ngx_msec_t        asked;           /* an unknown key, last */
    ngx_msec_t        due;
    ngx_msec_t        fetched;
    ngx_msec_t        until;
    ngx_uint_t        failures;        /* since the last success */
    size_t            etag_len;
    size_t            modified_len;
    size_t            len;
    size_t            room;
    u_char            etag[NGX_HTTP_TRAVEL_SOURCE_ETAG];
    u_char            modified[NGX_HTTP_TRAVEL_SOURCE_MODIFIED];
    u_char            text[];
} ngx_http_travel_slot_t;


static ngx_int_t ngx_http_travel_slot_init(ngx_http_travel_shard_t *shard);
static ngx_http_travel_slot_t *ngx_http_travel_slot_lock(
    ngx_http_travel_jwks_source_t *source);
static void ngx_http_travel_slot_unlock(ngx_http_travel_jwks_source_t *source);
static ngx_uint_t ngx_http_travel_slot_lease_locked(
    ngx_http_travel_jwks_source_t *source, ngx_http_travel_slot_t *slot,
    u_char *headers, size_t *ret_len);

static ngx_int_t ngx_http_travel_source_id(ngx_http_travel_jwks_t *jwks);
static ngx_int_t ngx_http_travel_source_counters(ngx_conf_t *cf,
    ngx_http_travel_jwks_t *jwks);

static void ngx_http_travel_source_sync(ngx_http_travel_jwks_t *jwks);
static u_char *ngx_http_travel_source_copy_locked(
    ngx_http_travel_jwks_source_t *source, ngx_http_travel_slot_t *slot,
    size_t *ret_len);
static void ngx_http_travel_source_adopt(ngx_http_travel_jwks_t *jwks,
    u_char *text, size_t len);
static void ngx_http_travel_source_fetch(ngx_http_travel_jwks_t *jwks,
    u_char *headers, size_t len);
static void ngx_http_travel_source_fetched(void *data, const char *why,
    const travel_http_answer_t *answer);
static const char *ngx_http_travel_source_judge(ngx_http_travel_jwks_t *jwks,
    const travel_http_answer_t *answer);
static const char *ngx_http_travel_source_take(ngx_http_travel_jwks_t *jwks,
    const travel_http_answer_t *answer);
static void ngx_http_travel_source_good_locked(
    ngx_http_travel_jwks_source_t *source, ngx_http_travel_slot_t *slot,
    const travel_http_answer_t *answer);
static size_t ngx_http_travel_slot_text(u_char *dst, size_t room,
    travel_str_t text);
static void ngx_http_travel_source_failed(ngx_http_travel_jwks_t *jwks,
    const char *why);


#define NGX_HTTP_TRAVEL_SOURCE_ACCEPT                                         \
    "Accept: application/jwk-set+json, application/json" CRLF

/* Room for that and both conditions of a request. */
#define NGX_HTTP_TRAVEL_SOURCE_HEADERS                                        \
    (sizeof(NGX_HTTP_TRAVEL_SOURCE_ACCEPT                                     \
            "If-None-Match: " CRLF "If-Modified-Since: " CRLF)                \
     + NGX_HTTP_TRAVEL_SOURCE_ETAG + NGX_HTTP_TRAVEL_SOURCE_MODIFIED)


/* --- configuration ------------------------------------------------------- */

/* Is there a parameter that only a URL has? */
static ngx_uint_t
ngx_http_travel_jwks_source_tuned(ngx_conf_t *cf)
{
    ngx_uint_t  i;

    static const char *const  only[] = {
        "refresh", "grace", "cooldown", "timeout", "wait", "max_size", "ca"
    };

    for (i = 0; i < sizeof(only) / sizeof(only[0]); i++) {
        if (ngx_http_travel_param_given(cf, only[i])) {
            return 1;
        }
    }

    return 0;
}


char *
ngx_http_travel_jwks_source_check(ngx_conf_t *cf, ngx_http_travel_jwks_t *jwks)
{
    char                           *rv;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;

    if ((jwks->file.len == 0) == (source->place.url.len == 0)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_jwks\" \"%V\" must have file=PATH or "
                           "url=URL%s", &jwks->name,
                           jwks->file.len ? ", not both" : "");
        return NGX_CONF_ERROR;
    }

    if (jwks->file.len != 0) {

        if (ngx_http_travel_jwks_source_tuned(cf)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_jwks\" \"%V\": refresh=, grace=, "
                               "cooldown=, timeout=, wait=, max_size= and ca= "
                               "go with url=, a file is looked at once a "
                               "second", &jwks->name);
            return NGX_CONF_ERROR;
        }

        jwks->source = NULL;
        return NGX_CONF_OK;
    }

    rv = ngx_http_travel_http_url(cf, &source->place, &source->place.url);

    if (rv != NGX_CONF_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_jwks\" \"%V\": url \"%V\" %s",
                           &jwks->name, &source->place.url, rv);
        return NGX_CONF_ERROR;
    }

    if (source->place.ca.len != 0 && !source->place.tls) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_jwks\" \"%V\": ca= goes with an https "
                           "url", &jwks->name);
        return NGX_CONF_ERROR;
    }

    return (ngx_http_travel_source_id(jwks) == NGX_OK) ? NGX_CONF_OK
                                                       : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_travel_source_id(ngx_http_travel_jwks_t *jwks)
{
    uint8_t       md[TRAVEL_SHA256_LEN];
    travel_str_t  part[3];

    part[0] = ngx_http_travel_view(&jwks->name);
    part[1] = ngx_http_travel_view(&jwks->source->place.url);
    part[2] = (travel_str_t) { (char *) &jwks->algs, sizeof(jwks->algs) };

    if (travel_sha256_parts(md, part, 3) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(&jwks->source->id, md, sizeof(jwks->source->id));
    jwks->source->id |= 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_jwks_source_init(ngx_conf_t *cf, ngx_http_travel_jwks_t *jwks)
{
    u_char                         *name;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;

    if (ngx_http_travel_http_init(cf, &source->place, "travel_jwks")
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = ngx_pnalloc(cf->pool, sizeof("jwks_") + jwks->name.len);
    if (name == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(name, "jwks_%V%Z", &jwks->name);

    source->zone = ngx_http_travel_zone(cf, (char *) name,
                                        NGX_HTTP_TRAVEL_SOURCE_SLACK
                                        + ngx_align(source->place.max,
                                                    ngx_pagesize), 1,
                                        NGX_HTTP_TRAVEL_SOURCE_LAYOUT,
                                        ngx_http_travel_slot_init);
    if (source->zone == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_travel_source_counters(cf, jwks);
}


static ngx_int_t
ngx_http_travel_source_counters(ngx_conf_t *cf, ngx_http_travel_jwks_t *jwks)
{
    u_char      *name;
    ngx_uint_t   i;

    static const char  *outcomes[] = { "new", "same", "failed" };

    for (i = 0; i < NGX_HTTP_TRAVEL_JWKS_OUTCOMES; i++) {

        name = ngx_pnalloc(cf->pool, jwks->name.len + sizeof(
                   "travel_jwks_fetches_total{set=\"\",result=\"failed\"}"));
        if (name == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_sprintf(name, "travel_jwks_fetches_total{set=\"%V\","
                           "result=\"%s\"}%Z", &jwks->name, outcomes[i]);

        jwks->source->counters[i] =
            ngx_http_travel_counter_add(cf, (char *) name,
                                        "Fetches of a key set by what they "
                                        "brought.");
        if (jwks->source->counters[i] == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* --- the zone ------------------------------------------------------------ */

static ngx_int_t
ngx_http_travel_slot_init(ngx_http_travel_shard_t *shard)
{
    size_t                   room;
    ngx_http_travel_slot_t  *slot;

    /* what the zone has but for a page or two of nginx's own */
    room = (shard->pool->pfree - 2) * ngx_pagesize;

    slot = ngx_slab_calloc_locked(shard->pool, room);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    slot->room = room - offsetof(ngx_http_travel_slot_t, text);
    shard->data = slot;

    return NGX_OK;
}


/* NULL, and not locked, when the zone is another configuration's by now. */
static ngx_http_travel_slot_t *
ngx_http_travel_slot_lock(ngx_http_travel_jwks_source_t *source)
{
    ngx_http_travel_slot_t  *slot;

    ngx_http_travel_shard_lock(&source->zone->shards[0]);

    slot = source->zone->shards[0].data;
    source->generation = &slot->generation;

    if (slot->id == 0) {
        /* laid out at the start, or again after a crash */
        slot->id = source->id;
        slot->generation = ngx_current_msec;
    }

    if (slot->id != source->id) {
        ngx_http_travel_shard_unlock(&source->zone->shards[0]);
        source->adopted = slot->generation;
        return NULL;
    }

    return slot;
}


static void
ngx_http_travel_slot_unlock(ngx_http_travel_jwks_source_t *source)
{
    ngx_http_travel_shard_unlock(&source->zone->shards[0]);
}


/* Takes the lease and writes the headers of the request; 0: another has
 * it, or this process is to go. */
static ngx_uint_t
ngx_http_travel_slot_lease_locked(ngx_http_travel_jwks_source_t *source,
    ngx_http_travel_slot_t *slot, u_char *headers, size_t *ret_len)
{
    u_char     *p;
    ngx_str_t   s;

    if ((slot->lease != 0 && slot->lease_until > ngx_current_msec)
        || source->fetch != NULL || ngx_exiting || ngx_terminate || ngx_quit)
    {
        return 0;
    }

    slot->lease = ++slot->leases;
    slot->lease_until = ngx_current_msec + source->place.timeout
                        + NGX_HTTP_TRAVEL_SOURCE_LEASE;
    source->lease = slot->lease;

    p = ngx_cpymem(headers, NGX_HTTP_TRAVEL_SOURCE_ACCEPT,
                   sizeof(NGX_HTTP_TRAVEL_SOURCE_ACCEPT) - 1);

    if (slot->len != 0 && slot->etag_len != 0) {
        s.data = slot->etag;
        s.len = slot->etag_len;
        p = ngx_sprintf(p, "If-None-Match: %V" CRLF, &s);
    }

    if (slot->len != 0 && slot->modified_len != 0) {
        s.data = slot->modified;
        s.len = slot->modified_len;
        p = ngx_sprintf(p, "If-Modified-Since: %V" CRLF, &s);
    }

    *ret_len = p - headers;

    return 1;
}


/* --- a worker's view ----------------------------------------------------- */

void
ngx_http_travel_jwks_source_start(ngx_http_travel_jwks_t *jwks)
{
    ngx_http_travel_slot_t         *slot;
    ngx_http_travel_shard_t        *shard;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;
    shard = &source->zone->shards[0];

    ngx_http_travel_shard_lock(shard);

    slot = shard->data;

    if (slot->id != source->id) {
        slot->id = source->id;
        slot->generation = ngx_max(slot->generation + 1, ngx_current_msec);
        slot->lease = 0;
        slot->asked = 0;
        slot->due = 0;
        slot->fetched = 0;
        slot->until = 0;
        slot->failures = 0;
        slot->len = 0;
    }

    source->generation = &slot->generation;
    source->adopted = slot->generation - 1;

    ngx_http_travel_shard_unlock(shard);

    ngx_http_travel_source_sync(jwks);
}


void
ngx_http_travel_jwks_source_tick(ngx_http_travel_jwks_t *jwks)
{
    u_char                          headers[NGX_HTTP_TRAVEL_SOURCE_HEADERS];
    size_t                          len;
    ngx_uint_t                      mine;
    ngx_http_travel_slot_t         *slot;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;
    len = 0;

    ngx_http_travel_source_sync(jwks);

    if (source->due > ngx_current_msec) {
        return;
    }

    slot = ngx_http_travel_slot_lock(source);
    if (slot == NULL) {
        return;
    }

    mine = slot->due <= ngx_current_msec
           && ngx_http_travel_slot_lease_locked(source, slot, headers, &len);

    ngx_http_travel_slot_unlock(source);

    if (mine) {
        ngx_http_travel_source_fetch(jwks, headers, len);
    }
}


void
ngx_http_travel_jwks_source_stop(ngx_http_travel_jwks_t *jwks)
{
    ngx_http_travel_slot_t         *slot;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;

    if (source->fetch == NULL) {
        return;
    }

    ngx_http_travel_http_cancel(source->fetch);
    source->fetch = NULL;

    slot = ngx_http_travel_slot_lock(source);

    if (slot != NULL) {
        /* another worker may fetch at once */
        if (slot->lease == source->lease) {
            slot->lease = 0;
        }

        ngx_http_travel_slot_unlock(source);
    }
}


/* Reads times and, when it is another one, the document. */
static void
ngx_http_travel_source_sync(ngx_http_travel_jwks_t *jwks)
{
    size_t                          len;
    u_char                         *text;
    ngx_http_travel_slot_t         *slot;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;
    text = NULL;
    len = 0;

    slot = ngx_http_travel_slot_lock(source);
    if (slot == NULL) {
        return;
    }

    source->due = slot->due;

    /* after a crash emptied the zone we know better than it does */
    if (slot->until != 0) {
        source->until = slot->until;
    }

    if (slot->generation != source->adopted) {
        source->adopted = slot->generation;
        text = ngx_http_travel_source_copy_locked(source, slot, &len);
    }

    ngx_http_travel_slot_unlock(source);

    if (text != NULL) {
        ngx_http_travel_source_adopt(jwks, text, len);
        ngx_free(text);
    }
}


/* malloc() under a lock is memory-only and bounded by max_size. */
static u_char *
ngx_http_travel_source_copy_locked(ngx_http_travel_jwks_source_t *source,
    ngx_http_travel_slot_t *slot, size_t *ret_len)
{
    u_char  *text;

    if (slot->len == 0) {
        return NULL;
    }

    text = malloc(slot->len);

    if (text == NULL) {
        source->adopted = slot->generation - 1;
        return NULL;
    }

    ngx_memcpy(text, slot->text, slot->len);
    *ret_len = slot->len;

    return text;
}


static void
ngx_http_travel_source_adopt(ngx_http_travel_jwks_t *jwks, u_char *text,
    size_t len)
{
    uint64_t        digest;
    const char     *why;
    travel_jwks_t  *keys;

    why = ngx_http_travel_jwks_load(jwks, (travel_str_t) { (char *) text, len },
                                    &keys, &digest);

    if (why != NULL) {
        /* whoever published it could read it: there is no memory */
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "travel_jwks \"%V\": %s, going on with the keys read "
                      "before", &jwks->name, why);
        return;
    }

    travel_jwks_free(jwks->keys);
    jwks->keys = keys;
    jwks->digest = digest;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "travel_jwks \"%V\": %uz keys from \"%V\"", &jwks->name,
                  travel_jwks_count(keys), &jwks->source->place.url);
}


ngx_int_t
ngx_http_travel_jwks_source_ready(ngx_http_travel_jwks_t *jwks)
{
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;

    if (ngx_http_travel_jwks_behind(jwks)
        || jwks->keys == NULL || source->until <= ngx_current_msec)
    {
        ngx_http_travel_source_sync(jwks);
    }

    return (jwks->keys != NULL && source->until > ngx_current_msec)
           ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_travel_jwks_source_ask(ngx_http_travel_jwks_t *jwks,
    uint64_t *ret_lease)
{
    u_char                          headers[NGX_HTTP_TRAVEL_SOURCE_HEADERS];
    size_t                          len;
    ngx_int_t                       rc;
    ngx_uint_t                      mine;
    ngx_http_travel_slot_t         *slot;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;
    rc = NGX_DECLINED;
    mine = 0;
    len = 0;

    slot = ngx_http_travel_slot_lock(source);
    if (slot == NULL) {
        return NGX_DECLINED;
    }

    if (slot->lease != 0 && slot->lease_until > ngx_current_msec) {
        rc = NGX_AGAIN;

    } else if (slot->asked == 0
               || ngx_current_msec - slot->asked >= source->cooldown)
    {
        mine = ngx_http_travel_slot_lease_locked(source, slot, headers, &len);

        if (mine) {
            slot->asked = ngx_current_msec;
            rc = NGX_AGAIN;
        }
    }

    *ret_lease = slot->lease;

    ngx_http_travel_slot_unlock(source);

    if (mine) {
        ngx_http_travel_source_fetch(jwks, headers, len);
    }

    return rc;
}


ngx_uint_t
ngx_http_travel_jwks_source_busy(ngx_http_travel_jwks_t *jwks, uint64_t lease)
{
    ngx_uint_t               busy;
    ngx_http_travel_slot_t  *slot;

    slot = ngx_http_travel_slot_lock(jwks->source);
    if (slot == NULL) {
        return 0;
    }

    busy = (slot->lease == lease && slot->lease_until > ngx_current_msec);

    ngx_http_travel_slot_unlock(jwks->source);

    return busy;
}


/* --- the fetch ----------------------------------------------------------- */

static void
ngx_http_travel_source_fetch(ngx_http_travel_jwks_t *jwks, u_char *headers,
    size_t len)
{
    ngx_str_t                       s;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;

    s.data = headers;
    s.len = len;

    source->fetch = ngx_http_travel_http_get(&source->place, &s,
                                             ngx_http_travel_source_fetched,
                                             jwks, ngx_cycle->log);
    if (source->fetch == NULL) {
        ngx_http_travel_source_failed(jwks, "there is no memory");
    }
}


static void
ngx_http_travel_source_fetched(void *data, const char *why,
    const travel_http_answer_t *answer)
{
    ngx_http_travel_jwks_t  *jwks = data;

    jwks->source->fetch = NULL;

    if (why == NULL) {
        why = ngx_http_travel_source_judge(jwks, answer);
    }

    if (why != NULL) {
        ngx_http_travel_source_failed(jwks, why);
    }

    ngx_http_travel_jwks_wake();
}


/* NULL when the zone has it; or what is wrong. */
static const char *
ngx_http_travel_source_judge(ngx_http_travel_jwks_t *jwks,
    const travel_http_answer_t *answer)
{
    const char                     *why;
    ngx_http_travel_slot_t         *slot;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;

    if (answer->status == 200) {

        if (answer->coding.len != 0
            && !(answer->coding.len == 8
                 && ngx_strncasecmp((u_char *) answer->coding.data,
                                    (u_char *) "identity", 8) == 0))
        {
            return "its answer is compressed, which was not asked for";
        }

        return ngx_http_travel_source_take(jwks, answer);
    }

    if (answer->status != 304) {
        return (answer->status >= 500) ? "it answered with a status of 5xx"
               : (answer->status >= 400) ? "it answered with a status of 4xx"
                                         : "it answered with an odd status";
    }

    why = "it answered 304 to what was not asked";

    slot = ngx_http_travel_slot_lock(source);

    if (slot != NULL) {

        if (slot->len != 0 && slot->lease == source->lease) {
            ngx_http_travel_source_good_locked(source, slot, answer);
            why = NULL;
        }

        ngx_http_travel_slot_unlock(source);
    }

    if (why == NULL) {
        ngx_http_travel_count(source->counters[NGX_HTTP_TRAVEL_JWKS_SAME], 1);
        ngx_http_travel_source_sync(jwks);
    }

    return why;
}


/* A document: it is read before anyone else gets to see it. */
static const char *
ngx_http_travel_source_take(ngx_http_travel_jwks_t *jwks,
    const travel_http_answer_t *answer)
{
    uint64_t                        digest;
    const char                     *why;
    ngx_uint_t                      outcome;
    travel_jwks_t                  *keys;
    ngx_http_travel_slot_t         *slot;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;

    why = ngx_http_travel_jwks_load(jwks, answer->body, &keys, &digest);
    if (why != NULL) {
        return why;
    }

    travel_jwks_free(keys);

    outcome = NGX_HTTP_TRAVEL_JWKS_OUTCOMES;

    slot = ngx_http_travel_slot_lock(source);

    if (slot != NULL) {

        if (answer->body.len > slot->room) {
            why = "its keys do not fit in the zone";

        } else if (slot->lease == source->lease) {

            outcome = NGX_HTTP_TRAVEL_JWKS_SAME;

            if (slot->len != answer->body.len
                || ngx_memcmp(slot->text, answer->body.data, slot->len) != 0)
            {
                outcome = NGX_HTTP_TRAVEL_JWKS_NEW;
                slot->len = answer->body.len;
                ngx_memcpy(slot->text, answer->body.data, slot->len);
                slot->generation++;
            }

            ngx_http_travel_source_good_locked(source, slot, answer);
        }

        ngx_http_travel_slot_unlock(source);
    }

    if (outcome != NGX_HTTP_TRAVEL_JWKS_OUTCOMES) {
        ngx_http_travel_count(source->counters[outcome], 1);
        ngx_http_travel_source_sync(jwks);
    }

    return why;
}


/* The lease ends; the document is as good as new. */
static void
ngx_http_travel_source_good_locked(ngx_http_travel_jwks_source_t *source,
    ngx_http_travel_slot_t *slot, const travel_http_answer_t *answer)
{
    int64_t     fresh;
    ngx_msec_t  life;

    life = source->refresh;
    fresh = travel_http_freshness(answer);

    if (fresh >= 0 && (ngx_msec_t) fresh * 1000 < life) {
        life = ngx_max((ngx_msec_t) fresh * 1000,
                       ngx_min(source->cooldown, source->refresh));
    }

    slot->lease = 0;
    slot->failures = 0;
    slot->fetched = ngx_current_msec;
    slot->until = ngx_current_msec + life + source->grace;

    /* ahead of the end, and not with all other nodes at once */
    slot->due = ngx_current_msec + life - life / 10
                - (ngx_msec_t) ngx_random() % (life / 10 + 1);

    if (answer->status == 304 && answer->etag.len == 0) {
        return;
    }

    slot->etag_len = ngx_http_travel_slot_text(slot->etag, sizeof(slot->etag),
                                               answer->etag);
    slot->modified_len = ngx_http_travel_slot_text(slot->modified,
                                                   sizeof(slot->modified),
                                                   answer->last_modified);
}


/* A validator that is too long is none: the next fetch is unconditional. */
static size_t
ngx_http_travel_slot_text(u_char *dst, size_t room, travel_str_t text)
{
    if (text.len == 0 || text.len > room) {
        return 0;
    }

    ngx_memcpy(dst, text.data, text.len);

    return text.len;
}


/* The keys stay; the next attempt comes later and later. */
static void
ngx_http_travel_source_failed(ngx_http_travel_jwks_t *jwks, const char *why)
{
    ngx_msec_t                      wait, left;
    ngx_uint_t                      failures;
    ngx_http_travel_slot_t         *slot;
    ngx_http_travel_jwks_source_t  *source;

    source = jwks->source;
    failures = 0;
    wait = 0;
    left = 0;

    ngx_http_travel_count(source->counters[NGX_HTTP_TRAVEL_JWKS_FAILED], 1);

    slot = ngx_http_travel_slot_lock(source);
    if (slot == NULL) {
        return;
    }

    if (slot->lease == source->lease) {
        slot->lease = 0;
        failures = ++slot->failures;

        wait = NGX_HTTP_TRAVEL_SOURCE_RETRY << ngx_min(failures - 1, 6);
        wait = ngx_min(wait, NGX_HTTP_TRAVEL_SOURCE_RETRIES);
        wait = wait / 2 + (ngx_msec_t) ngx_random() % (wait / 2 + 1);

        slot->due = ngx_current_msec + wait;
        source->due = slot->due;
    }

    left = (slot->until > ngx_current_msec) ? slot->until - ngx_current_msec
                                            : 0;

    ngx_http_travel_slot_unlock(source);

    if (left != 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "travel_jwks \"%V\": \"%V\": %s, going on with the "
                      "keys fetched before for %M s", &jwks->name,
                      &source->place.url, why, left / 1000);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "travel_jwks \"%V\": \"%V\": %s, and there are no keys to "
                  "go on with", &jwks->name, &source->place.url, why);
}


/* --- metrics ------------------------------------------------------------- */

u_char *
ngx_http_travel_jwks_metrics(const ngx_array_t *sets, u_char *p, u_char *last)
{
    ngx_uint_t                i, k;
    ngx_msec_t                age;
    ngx_http_travel_slot_t   *slot;
    ngx_http_travel_jwks_t  **set, *jwks;

    static const struct {
        const char  *name;
        const char  *help;
    } metric[] = {
        { "travel_jwks_keys", "Keys of a set that can be used here." },
        { "travel_jwks_age_seconds", "Time since its issuer was last heard." },
        { "travel_jwks_failures", "Fetches that failed since then." },
        { "travel_jwks_usable", "Its keys are accepted." }
    };

    set = sets->elts;

    for (k = 0; k < sizeof(metric) / sizeof(metric[0]); k++) {
        p = ngx_slprintf(p, last, "# HELP %s %s\n# TYPE %s gauge\n",
                         metric[k].name, metric[k].help, metric[k].name);

        for (i = 0; i < sets->nelts; i++) {
            jwks = set[i];

            if (k == 0) {
                p = ngx_slprintf(p, last, "%s{set=\"%V\"} %uz\n",
                                 metric[k].name, &jwks->name,
                                 jwks->keys ? travel_jwks_count(jwks->keys)
                                            : 0);
                continue;
            }

            if (jwks->source == NULL) {
                continue;
            }

            if (k == 3) {
                p = ngx_slprintf(p, last, "%s{set=\"%V\"} %d\n",
                                 metric[k].name, &jwks->name,
                                 ngx_http_travel_jwks_source_ready(jwks)
                                 == NGX_OK);
                continue;
            }

            slot = ngx_http_travel_slot_lock(jwks->source);
            if (slot == NULL) {
                continue;
            }

            age = slot->fetched ? ngx_current_msec - slot->fetched : 0;

            if (k == 2) {
                age = slot->failures * 1000;
            }

            ngx_http_travel_slot_unlock(jwks->source);

            p = ngx_slprintf(p, last, "%s{set=\"%V\"} %M\n", metric[k].name,
                             &jwks->name, age / 1000);
        }
    }

    return p;
}
