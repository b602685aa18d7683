/*
 * The cache of verified tokens.
 *
 * Zone "tokens".  A shard holds two rings of bytes, one for good tokens and a
 * smaller one for refused signatures, so that a flood of forged tokens cannot
 * push the good ones out.  An entry is written at a ring's end, over the
 * oldest ones; 'written' counts all bytes ever written, and an entry that
 * began at p is whole while written - p <= size.  A ring has an index of sets
 * of four (hash, p) pairs; a dead or the oldest pair of a set is replaced.
 *
 * So a look-up compares at most four pairs and, on an equal hash, the whole
 * token; an insertion is one memcpy: bounded work, no allocation, nothing to
 * fragment.  All of it happens under the shard's lock.  Facts are copied to a
 * buffer of this process before the lock is released.
 *
 * The hash is that of the token's tail, its signature, which differs from
 * token to token; forged ones that share a tail meet in one set of the bad
 * ring, where they push out one another.  It is SipHash under a random key
 * that is the same in all shards.  The key is read without a lock: it never
 * changes, except that a shard which is emptied after a crash takes it from a
 * neighbour again.
 */

#include "ngx_http_travel_bearer.h"


#define NGX_HTTP_TRAVEL_TOKEN_ZONE      (16 * 1024 * 1024)
#define NGX_HTTP_TRAVEL_TOKEN_SHARDS    8
#define NGX_HTTP_TRAVEL_TOKEN_LAYOUT    3
#define NGX_HTTP_TRAVEL_TOKEN_WAYS      4
#define NGX_HTTP_TRAVEL_TOKEN_TYPICAL   512       /* bytes per index pair */
#define NGX_HTTP_TRAVEL_TOKEN_TAIL      64        /* bytes that are hashed */
#define NGX_HTTP_TRAVEL_TOKEN_BAD_TIME  5         /* seconds */

typedef struct {
    uint64_t          hash;
    uint64_t          at;              /* 1 + where it began; 0: empty */
} ngx_http_travel_token_pair_t;

typedef struct {
    u_char                        *data;
    uint64_t                       size;       /* of data, a multiple of 8 */
    uint64_t                       written;
    ngx_http_travel_token_pair_t  *pairs;      /* sets of TOKEN_WAYS */
    uint64_t                       mask;       /* sets - 1 */
} ngx_http_travel_token_ring_t;

typedef struct {
    travel_siphash_key_t           key;
    ngx_http_travel_token_ring_t   good;
    ngx_http_travel_token_ring_t   bad;
} ngx_http_travel_token_shard_t;

/* What stands in a ring; the token and the packed facts follow it. */
typedef struct {
    uint64_t          digest;          /* of the key set that judged it */
    time_t            until;           /* bad verdicts only */
    uint32_t          verdict;
    uint16_t          token_len;
    uint16_t          packed_len;
} ngx_http_travel_token_entry_t;

/* Facts in a ring: lengths here, the texts in the same order behind. */
typedef struct {
    int64_t           exp;
    int64_t           nbf;
    int64_t           iat;
    int64_t           auth_time;
    uint64_t          rule;
    uint8_t           thumbprint[TRAVEL_THUMBPRINT_LEN];
    u_char            user[TRAVEL_UUID_TEXT_LEN];
    uint16_t          alg;
    uint16_t          naud;
    uint16_t          typ;
    uint16_t          iss;
    uint16_t          sub;
    uint16_t          user_id;
    uint16_t          email;
    uint16_t          permissions;
    uint16_t          acr;
    uint16_t          jti;
    uint16_t          kid;
    uint16_t          auds[NGX_HTTP_TRAVEL_AUDS_MAX];
} ngx_http_travel_token_packed_t;

#define NGX_HTTP_TRAVEL_TOKEN_PACKED_MAX                                      \
    (sizeof(ngx_http_travel_token_packed_t) + TRAVEL_JWT_MAX)


static ngx_int_t ngx_http_travel_token_init(ngx_http_travel_shard_t *shard);
static ngx_int_t ngx_http_travel_token_ring(ngx_http_travel_shard_t *shard,
    ngx_http_travel_token_ring_t *ring, size_t room);
static ngx_http_travel_token_entry_t *ngx_http_travel_token_lookup_locked(
    ngx_http_travel_token_ring_t *ring, uint64_t hash, const ngx_str_t *token);
static void ngx_http_travel_token_store_locked(
    ngx_http_travel_token_ring_t *ring, uint64_t hash,
    const ngx_http_travel_token_entry_t *entry, const ngx_str_t *token,
    const u_char *packed);
static ngx_uint_t ngx_http_travel_token_whole(
    const ngx_http_travel_token_ring_t *ring, uint64_t at);
static uint64_t ngx_http_travel_token_hash(ngx_http_travel_zone_t *zone,
    const ngx_str_t *token);
static size_t ngx_http_travel_token_pack(u_char *dst, size_t room,
    const ngx_http_travel_facts_t *facts);
static void ngx_http_travel_token_unpack(const u_char *src,
    ngx_http_travel_facts_t *facts);


/* One token is handled at a time: packed facts, going in or coming out. */
static union {
    uint64_t  align;
    u_char    bytes[NGX_HTTP_TRAVEL_TOKEN_PACKED_MAX];
} ngx_http_travel_token_buffer;


ngx_http_travel_zone_t *
ngx_http_travel_token_zone(ngx_conf_t *cf)
{
    return ngx_http_travel_zone(cf, "tokens", NGX_HTTP_TRAVEL_TOKEN_ZONE,
                                NGX_HTTP_TRAVEL_TOKEN_SHARDS,
                                NGX_HTTP_TRAVEL_TOKEN_LAYOUT,
                                ngx_http_travel_token_init);
}


/* --- layout -------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_token_init(ngx_http_travel_shard_t *shard)
{
    size_t                          room;
    ngx_http_travel_token_shard_t  *sh;

    sh = ngx_slab_calloc_locked(shard->pool,
                                sizeof(ngx_http_travel_token_shard_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_travel_shard_key(shard, &sh->key,
                                  offsetof(ngx_http_travel_token_shard_t, key))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* four allocations of whole pages, each rounded up */
    room = (shard->pool->pfree - 4) * ngx_pagesize;

    if (ngx_http_travel_token_ring(shard, &sh->good, room / 8 * 7) != NGX_OK
        || ngx_http_travel_token_ring(shard, &sh->bad, room / 8) != NGX_OK)
    {
        return NGX_ERROR;
    }

    shard->data = sh;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_token_ring(ngx_http_travel_shard_t *shard,
    ngx_http_travel_token_ring_t *ring, size_t room)
{
    size_t  sets;

    for (sets = 1;
         2 * sets * NGX_HTTP_TRAVEL_TOKEN_WAYS
             * NGX_HTTP_TRAVEL_TOKEN_TYPICAL <= room;
         sets *= 2)
    {
        /* void */
    }

    ring->mask = sets - 1;
    ring->pairs = ngx_slab_calloc_locked(shard->pool,
                                         sets * NGX_HTTP_TRAVEL_TOKEN_WAYS
                                         * sizeof(*ring->pairs));
    if (ring->pairs == NULL) {
        return NGX_ERROR;
    }

    ring->size = (room - sets * NGX_HTTP_TRAVEL_TOKEN_WAYS
                         * sizeof(*ring->pairs)) & ~(size_t) 7;

    ring->data = ngx_slab_alloc_locked(shard->pool, ring->size);

    return (ring->data == NULL) ? NGX_ERROR : NGX_OK;
}


/* --- look up, remember --------------------------------------------------- */

ngx_int_t
ngx_http_travel_token_find(ngx_http_travel_zone_t *zone,
    const ngx_str_t *token, uint64_t digest,
    ngx_http_travel_token_e *ret_verdict, ngx_http_travel_facts_t *ret_facts)
{
    uint64_t                        hash;
    ngx_int_t                       rc;
    ngx_http_travel_shard_t        *shard;
    ngx_http_travel_token_entry_t  *entry;
    ngx_http_travel_token_shard_t  *sh;

    hash = ngx_http_travel_token_hash(zone, token);
    shard = ngx_http_travel_shard(zone, hash);
    rc = NGX_DECLINED;

    ngx_http_travel_shard_lock(shard);

    sh = shard->data;
    entry = ngx_http_travel_token_lookup_locked(&sh->good, hash, token);

    if (entry != NULL) {
        rc = NGX_OK;
        *ret_verdict = NGX_HTTP_TRAVEL_TOKEN_GOOD;
        ret_facts->digest = entry->digest;
        ngx_memcpy(ngx_http_travel_token_buffer.bytes,
                   (u_char *) (entry + 1) + token->len, entry->packed_len);

    } else {
        entry = ngx_http_travel_token_lookup_locked(&sh->bad, hash, token);

        if (entry != NULL && entry->digest == digest
            && entry->until > ngx_time())
        {
            rc = NGX_OK;
            *ret_verdict = entry->verdict;
        }
    }

    ngx_http_travel_shard_unlock(shard);

    if (rc == NGX_OK && *ret_verdict == NGX_HTTP_TRAVEL_TOKEN_GOOD) {
        ngx_http_travel_token_unpack(ngx_http_travel_token_buffer.bytes,
                                     ret_facts);
    }

    return rc;
}


ngx_uint_t
ngx_http_travel_token_refused(ngx_http_travel_zone_t *zone,
    const ngx_str_t *token, uint64_t digest,
    ngx_http_travel_token_e *ret_verdict)
{
    uint64_t                        hash;
    ngx_uint_t                      refused;
    ngx_http_travel_shard_t        *shard;
    ngx_http_travel_token_entry_t  *entry;
    ngx_http_travel_token_shard_t  *sh;

    hash = ngx_http_travel_token_hash(zone, token);
    shard = ngx_http_travel_shard(zone, hash);
    refused = 0;

    ngx_http_travel_shard_lock(shard);

    sh = shard->data;
    entry = ngx_http_travel_token_lookup_locked(&sh->bad, hash, token);

    if (entry != NULL && entry->digest == digest && entry->until > ngx_time())
    {
        refused = 1;
        *ret_verdict = entry->verdict;
    }

    ngx_http_travel_shard_unlock(shard);

    return refused;
}


void
ngx_http_travel_token_keep(ngx_http_travel_zone_t *zone,
    const ngx_str_t *token, uint64_t digest, ngx_http_travel_token_e verdict,
    const ngx_http_travel_facts_t *facts)
{
    uint64_t                        hash;
    ngx_http_travel_shard_t        *shard;
    ngx_http_travel_token_shard_t  *sh;
    ngx_http_travel_token_entry_t   entry;

    entry.digest = digest;
    entry.until = ngx_time() + NGX_HTTP_TRAVEL_TOKEN_BAD_TIME;
    entry.verdict = verdict;
    entry.token_len = (uint16_t) token->len;
    entry.packed_len = 0;

    if (verdict == NGX_HTTP_TRAVEL_TOKEN_GOOD) {
        entry.packed_len = (uint16_t)
            ngx_http_travel_token_pack(ngx_http_travel_token_buffer.bytes,
                                     sizeof(ngx_http_travel_token_buffer.bytes),
                                       facts);
        if (entry.packed_len == 0) {
            return;
        }
    }

    hash = ngx_http_travel_token_hash(zone, token);
    shard = ngx_http_travel_shard(zone, hash);

    ngx_http_travel_shard_lock(shard);

    sh = shard->data;

    ngx_http_travel_token_store_locked(
        (verdict == NGX_HTTP_TRAVEL_TOKEN_GOOD) ? &sh->good : &sh->bad,
        hash, &entry, token, ngx_http_travel_token_buffer.bytes);

    ngx_http_travel_shard_unlock(shard);
}


static uint64_t
ngx_http_travel_token_hash(ngx_http_travel_zone_t *zone,
    const ngx_str_t *token)
{
    size_t                          len;
    ngx_http_travel_token_shard_t  *sh;

    sh = zone->shards[0].data;
    len = ngx_min(token->len, NGX_HTTP_TRAVEL_TOKEN_TAIL);

    return travel_siphash(&sh->key, token->data + token->len - len, len);
}


static ngx_uint_t
ngx_http_travel_token_whole(const ngx_http_travel_token_ring_t *ring,
    uint64_t at)
{
    return at != 0 && ring->written - (at - 1) <= ring->size;
}


static ngx_http_travel_token_entry_t *
ngx_http_travel_token_lookup_locked(ngx_http_travel_token_ring_t *ring,
    uint64_t hash, const ngx_str_t *token)
{
    ngx_uint_t                      i;
    ngx_http_travel_token_pair_t   *pair;
    ngx_http_travel_token_entry_t  *entry;

    pair = &ring->pairs[(hash & ring->mask) * NGX_HTTP_TRAVEL_TOKEN_WAYS];

    for (i = 0; i < NGX_HTTP_TRAVEL_TOKEN_WAYS; i++) {

        if (pair[i].hash != hash
            || !ngx_http_travel_token_whole(ring, pair[i].at))
        {
            continue;
        }

        entry = (ngx_http_travel_token_entry_t *)
                    (ring->data + (pair[i].at - 1) % ring->size);

        if (entry->token_len == token->len
            && ngx_memcmp((u_char *) (entry + 1), token->data, token->len) == 0)
        {
            return entry;
        }
    }

    return NULL;
}


static void
ngx_http_travel_token_store_locked(ngx_http_travel_token_ring_t *ring,
    uint64_t hash, const ngx_http_travel_token_entry_t *entry,
    const ngx_str_t *token, const u_char *packed)
{
    u_char                        *p;
    uint64_t                       need, left, at, oldest;
    ngx_uint_t                     i;
    ngx_http_travel_token_pair_t  *pair, *victim;

    need = ngx_align(sizeof(*entry) + token->len + entry->packed_len, 8);

    /* one entry may take a quarter of a tiny zone's ring, not all of it */
    if (need > ring->size / 4) {
        return;
    }

    pair = &ring->pairs[(hash & ring->mask) * NGX_HTTP_TRAVEL_TOKEN_WAYS];
    victim = pair;
    oldest = UINT64_MAX;

    for (i = 0; i < NGX_HTTP_TRAVEL_TOKEN_WAYS; i++) {

        if (pair[i].hash == hash) {
            victim = &pair[i];
            break;
        }

        at = ngx_http_travel_token_whole(ring, pair[i].at) ? pair[i].at : 0;

        if (at < oldest) {
            victim = &pair[i];
            oldest = at;
        }
    }

    left = ring->size - ring->written % ring->size;

    if (left < need) {
        ring->written += left;
    }

    victim->hash = hash;
    victim->at = ring->written + 1;

    p = ring->data + ring->written % ring->size;
    ring->written += need;

    p = ngx_cpymem(p, entry, sizeof(*entry));
    p = ngx_cpymem(p, token->data, token->len);

    if (entry->packed_len != 0) {
        ngx_memcpy(p, packed, entry->packed_len);
    }
}


/* --- facts as bytes ------------------------------------------------------ */

static u_char *
ngx_http_travel_token_put(u_char *p, const travel_str_t *text,
    uint16_t *ret_len)
{
    *ret_len = (uint16_t) text->len;

    /* an absent claim has no data at all */
    return text->len ? ngx_cpymem(p, text->data, text->len) : p;
}


static const u_char *
ngx_http_travel_token_take(const u_char *p, size_t len, travel_str_t *ret_text)
{
    ret_text->data = (const char *) p;
    ret_text->len = len;

    return p + len;
}


/* Returns the length, or 0: too many audiences or too long. */
static size_t
ngx_http_travel_token_pack(u_char *dst, size_t room,
    const ngx_http_travel_facts_t *facts)
{
    u_char                          *p;
    size_t                           i, len;
    const travel_jwt_t              *jwt;
    ngx_http_travel_token_packed_t   packed;

    jwt = &facts->jwt;

    len = sizeof(packed) + jwt->typ.len + jwt->iss.len + jwt->sub.len
          + jwt->user_id.len + jwt->email.len + jwt->permissions.len
          + jwt->acr.len
          + jwt->jti.len + jwt->kid.len;

    if (jwt->naud > NGX_HTTP_TRAVEL_AUDS_MAX) {
        return 0;
    }

    for (i = 0; i < jwt->naud; i++) {
        len += jwt->auds[i].len;
    }

    if (len > room) {
        return 0;
    }

    ngx_memzero(&packed, sizeof(packed));

    packed.exp = jwt->exp;
    packed.nbf = jwt->nbf;
    packed.iat = jwt->iat;
    packed.auth_time = jwt->auth_time;
    packed.rule = facts->rule;
    packed.alg = (uint16_t) jwt->alg;
    packed.naud = (uint16_t) jwt->naud;
    ngx_memcpy(packed.thumbprint, facts->thumbprint, TRAVEL_THUMBPRINT_LEN);
    ngx_memcpy(packed.user, facts->user, TRAVEL_UUID_TEXT_LEN);

    p = dst + sizeof(packed);
    p = ngx_http_travel_token_put(p, &jwt->typ, &packed.typ);
    p = ngx_http_travel_token_put(p, &jwt->iss, &packed.iss);
    p = ngx_http_travel_token_put(p, &jwt->sub, &packed.sub);
    p = ngx_http_travel_token_put(p, &jwt->user_id, &packed.user_id);
    p = ngx_http_travel_token_put(p, &jwt->email, &packed.email);
    p = ngx_http_travel_token_put(p, &jwt->permissions, &packed.permissions);
    p = ngx_http_travel_token_put(p, &jwt->acr, &packed.acr);
    p = ngx_http_travel_token_put(p, &jwt->jti, &packed.jti);
    p = ngx_http_travel_token_put(p, &jwt->kid, &packed.kid);

    for (i = 0; i < jwt->naud; i++) {
        p = ngx_http_travel_token_put(p, &jwt->auds[i], &packed.auds[i]);
    }

    ngx_memcpy(dst, &packed, sizeof(packed));

    return len;
}


static void
ngx_http_travel_token_unpack(const u_char *src, ngx_http_travel_facts_t *facts)
{
    size_t                                 i;
    const u_char                          *p;
    travel_jwt_t                          *jwt;
    const ngx_http_travel_token_packed_t  *packed;

    packed = (const ngx_http_travel_token_packed_t *) src;
    jwt = &facts->jwt;

    ngx_memzero(jwt, sizeof(*jwt));

    jwt->alg = packed->alg;
    jwt->exp = packed->exp;
    jwt->nbf = packed->nbf;
    jwt->iat = packed->iat;
    jwt->auth_time = packed->auth_time;
    jwt->auds = facts->auds;
    jwt->naud = packed->naud;
    facts->rule = packed->rule;
    ngx_memcpy(facts->thumbprint, packed->thumbprint, TRAVEL_THUMBPRINT_LEN);
    ngx_memcpy(facts->user, packed->user, TRAVEL_UUID_TEXT_LEN);

    p = src + sizeof(*packed);
    p = ngx_http_travel_token_take(p, packed->typ, &jwt->typ);
    p = ngx_http_travel_token_take(p, packed->iss, &jwt->iss);
    p = ngx_http_travel_token_take(p, packed->sub, &jwt->sub);
    p = ngx_http_travel_token_take(p, packed->user_id, &jwt->user_id);
    p = ngx_http_travel_token_take(p, packed->email, &jwt->email);
    p = ngx_http_travel_token_take(p, packed->permissions, &jwt->permissions);
    p = ngx_http_travel_token_take(p, packed->acr, &jwt->acr);
    p = ngx_http_travel_token_take(p, packed->jti, &jwt->jti);
    p = ngx_http_travel_token_take(p, packed->kid, &jwt->kid);

    for (i = 0; i < packed->naud; i++) {
        p = ngx_http_travel_token_take(p, packed->auds[i], &facts->auds[i]);
    }
}
