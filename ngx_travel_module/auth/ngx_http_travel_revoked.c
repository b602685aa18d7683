/*
 * The table of what has been taken back.
 *
 * Zone "revocations", one shard: a head and an open-addressed table of slots,
 * linear probing, at most half full.  A slot holds 128 bits of keyed hash
 * (two SipHashes under two random keys) of kind, issuer and id, never the text:
 * who could make two of them meet would need the keys, and would gain a
 * refusal.
 *
 * Writers (the feeds of all nginx workers, each of which applies everything,
 * and the sweep) hold the shard's lock; what is known only grows until it
 * expires, so applying twice or in another order is the same.  Readers take no
 * lock: the head has a sequence word that is odd while somebody writes, and who
 * has read while it changed reads again.  A writer that died inside leaves it
 * odd; the reader then takes the lock, which empties the shard, and an empty
 * table is not a loaded one.
 *
 * A slot is removed by moving its successors back, so there are no tombstones
 * and a look-up ends at the first empty slot.
 */

#include "ngx_http_travel_revocation.h"
#include "../../common/base64url.h"
#include "../../common/hash.h"
#include "../../common/jwt.h"


#define NGX_HTTP_TRAVEL_REVOKED_ZONE    (4 * 1024 * 1024)
#define NGX_HTTP_TRAVEL_REVOKED_LAYOUT  1
#define NGX_HTTP_TRAVEL_REVOKED_TRIES   1000
#define NGX_HTTP_TRAVEL_REVOKED_SWEEP   2048       /* slots a turn */

typedef struct {
    uint64_t              h1;          /* 0: empty */
    uint64_t              h2;
    int64_t               before;      /* INT64_MAX: whenever issued */
    int64_t               expires;
} ngx_http_travel_revoked_slot_t;

typedef struct {
    uint64_t                        seq;
    ngx_http_travel_revoked_t       state;
    travel_siphash_key_t            keys[2];
    ngx_uint_t                      kinds[TRAVEL_REVOKE_KINDS];
                                                   /* ever added, of a kind */
    ngx_uint_t                      used;
    ngx_uint_t                      hand;          /* the sweep's place */
    ngx_uint_t                      mask;          /* slots - 1 */
    ngx_http_travel_revoked_slot_t  slots[1];
} ngx_http_travel_revoked_table_t;

typedef struct {
    uint64_t              h1;
    uint64_t              h2;
} ngx_http_travel_revoked_hash_t;


static ngx_int_t ngx_http_travel_revoked_layout(
    ngx_http_travel_shard_t *shard);
static ngx_uint_t ngx_http_travel_revoked_look(
    const ngx_http_travel_revoked_table_t *t,
    const ngx_http_travel_credential_t *credential);
static ngx_uint_t ngx_http_travel_revoked_thumbprint(
    const ngx_http_travel_revoked_table_t *t,
    const ngx_http_travel_credential_t *credential);
static ngx_uint_t ngx_http_travel_revoked_is(
    const ngx_http_travel_revoked_table_t *t, travel_revoke_e kind,
    travel_str_t issuer, travel_str_t id, int64_t iat);
static void ngx_http_travel_revoked_hash(
    const ngx_http_travel_revoked_table_t *t, travel_revoke_e kind,
    travel_str_t issuer, travel_str_t id,
    ngx_http_travel_revoked_hash_t *ret_hash);
static ngx_int_t ngx_http_travel_revoked_add_locked(
    ngx_http_travel_revoked_table_t *t, const travel_revocation_t *revocation,
    int64_t expires);
static void ngx_http_travel_revoked_remove_locked(
    ngx_http_travel_revoked_table_t *t, ngx_uint_t i);
static ngx_http_travel_revoked_table_t *ngx_http_travel_revoked_lock(
    ngx_http_travel_zone_t *zone);
static void ngx_http_travel_revoked_unlock(ngx_http_travel_zone_t *zone,
    ngx_http_travel_revoked_table_t *t);


ngx_http_travel_zone_t *
ngx_http_travel_revoked_zone(ngx_conf_t *cf)
{
    return ngx_http_travel_zone(cf, "revocations",
                                NGX_HTTP_TRAVEL_REVOKED_ZONE, 1,
                                NGX_HTTP_TRAVEL_REVOKED_LAYOUT,
                                ngx_http_travel_revoked_layout);
}


static ngx_int_t
ngx_http_travel_revoked_layout(ngx_http_travel_shard_t *shard)
{
    size_t                            room, head;
    ngx_uint_t                        n;
    ngx_http_travel_revoked_table_t  *t;

    head = offsetof(ngx_http_travel_revoked_table_t, slots);
    room = (shard->pool->pfree - 1) * ngx_pagesize;

    for (n = 2;
         head + 2 * n * sizeof(ngx_http_travel_revoked_slot_t) <= room;
         n *= 2)
    {
        /* void */
    }

    room = head + n * sizeof(ngx_http_travel_revoked_slot_t);

    t = ngx_slab_alloc_locked(shard->pool, room);
    if (t == NULL) {
        return NGX_ERROR;
    }

    /* a reader may be inside: what it finds must not look like a finding */
    __atomic_store_n(&t->seq, t->seq | 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    ngx_memzero((u_char *) t + sizeof(t->seq), room - sizeof(t->seq));

    if (travel_random(t->keys, sizeof(t->keys)) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    t->mask = n - 1;
    shard->data = t;

    __atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);

    return NGX_OK;
}


/* --- reading without a lock ----------------------------------------------- */

ngx_uint_t
ngx_http_travel_revoked(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_credential_t *credential,
    ngx_http_travel_revoked_t *ret_state)
{
    uint64_t                          seq;
    ngx_uint_t                        i, revoked;
    ngx_http_travel_revoked_table_t  *t;

    t = zone->shards[0].data;

    for (i = 0; i < NGX_HTTP_TRAVEL_REVOKED_TRIES; i++) {
        seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE);

        if (!(seq & 1)) {
            *ret_state = t->state;
            revoked = ngx_http_travel_revoked_look(t, credential);

            __atomic_thread_fence(__ATOMIC_ACQUIRE);

            if (seq == __atomic_load_n(&t->seq, __ATOMIC_RELAXED)) {
                return revoked;
            }
        }

        ngx_cpu_pause();
    }

    /* waits for a writer; if it died inside, the shard is emptied by this */
    ngx_http_travel_shard_lock(&zone->shards[0]);

    t = zone->shards[0].data;
    *ret_state = t->state;
    revoked = ngx_http_travel_revoked_look(t, credential);

    ngx_http_travel_shard_unlock(&zone->shards[0]);

    return revoked;
}


/*
 * A revocation names an issuer or means all.  The issuer of a token is its
 * "iss"; that of a key is whom its set pins, for who holds a stolen key of a
 * set that pins none can write any "iss".
 */
static ngx_uint_t
ngx_http_travel_revoked_look(const ngx_http_travel_revoked_table_t *t,
    const ngx_http_travel_credential_t *c)
{
    travel_str_t  any;

    any.data = NULL;
    any.len = 0;

    if (t->kinds[TRAVEL_REVOKE_JTI] && c->jti.len != 0
        && (ngx_http_travel_revoked_is(t, TRAVEL_REVOKE_JTI, any, c->jti,
                                       c->iat)
            || (c->issuer.len != 0
                && ngx_http_travel_revoked_is(t, TRAVEL_REVOKE_JTI, c->issuer,
                                              c->jti, c->iat))))
    {
        return 1;
    }

    if (t->kinds[TRAVEL_REVOKE_KID]
        && (ngx_http_travel_revoked_is(t, TRAVEL_REVOKE_KID, any, c->kid,
                                       c->iat)
            || ngx_http_travel_revoked_thumbprint(t, c)
            || (c->key_issuer.len != 0
                && ngx_http_travel_revoked_is(t, TRAVEL_REVOKE_KID,
                                              c->key_issuer, c->kid,
                                              c->iat))))
    {
        return 1;
    }

    if (t->kinds[TRAVEL_REVOKE_USER]
        && ngx_http_travel_revoked_is(t, TRAVEL_REVOKE_USER, any, c->user,
                                      c->iat))
    {
        return 1;
    }

    return t->kinds[TRAVEL_REVOKE_KEY]
           && ngx_http_travel_revoked_is(t, TRAVEL_REVOKE_KEY, any, c->key,
                                         c->iat);
}


/* A key may be called by its thumbprint, as RFC 7638 writes it. */
static ngx_uint_t
ngx_http_travel_revoked_thumbprint(const ngx_http_travel_revoked_table_t *t,
    const ngx_http_travel_credential_t *c)
{
    char          text[TRAVEL_BASE64URL_LEN(TRAVEL_THUMBPRINT_LEN)];
    travel_str_t  any, id;

    if (c->thumbprint == NULL) {
        return 0;
    }

    any.data = NULL;
    any.len = 0;

    id.data = text;
    id.len = travel_base64url_encode(text, c->thumbprint,
                                     TRAVEL_THUMBPRINT_LEN);

    return ngx_http_travel_revoked_is(t, TRAVEL_REVOKE_KID, any, id, c->iat);
}


static ngx_uint_t
ngx_http_travel_revoked_is(const ngx_http_travel_revoked_table_t *t,
    travel_revoke_e kind, travel_str_t issuer, travel_str_t id, int64_t iat)
{
    ngx_uint_t                             i, n;
    ngx_http_travel_revoked_hash_t         hash;
    const ngx_http_travel_revoked_slot_t  *slot;

    /* what is longer cannot have been revoked */
    if (id.len == 0 || id.len > TRAVEL_REVOCATION_ID_MAX
        || issuer.len > TRAVEL_REVOCATION_ID_MAX)
    {
        return 0;
    }

    ngx_http_travel_revoked_hash(t, kind, issuer, id, &hash);

    /* bounded also while a writer moves things about under us */
    for (n = 0, i = hash.h1 & t->mask; n <= t->mask; n++) {

        slot = &t->slots[i];

        if (slot->h1 == 0) {
            return 0;
        }

        if (slot->h1 == hash.h1 && slot->h2 == hash.h2) {
            return slot->expires > ngx_time() && iat < slot->before;
        }

        i = (i + 1) & t->mask;
    }

    return 0;
}


static void
ngx_http_travel_revoked_hash(const ngx_http_travel_revoked_table_t *t,
    travel_revoke_e kind, travel_str_t issuer, travel_str_t id,
    ngx_http_travel_revoked_hash_t *ret_hash)
{
    u_char    *p, text[4 + 2 * TRAVEL_REVOCATION_ID_MAX];
    uint16_t   len;

    len = (uint16_t) issuer.len;

    text[0] = (u_char) kind;
    text[1] = (u_char) len;
    text[2] = (u_char) (len >> 8);
    p = text + 3;

    if (issuer.len != 0) {
        p = ngx_cpymem(p, issuer.data, issuer.len);
    }

    p = ngx_cpymem(p, id.data, id.len);

    ret_hash->h1 = travel_siphash(&t->keys[0], text, p - text) | 1ULL << 63;
    ret_hash->h2 = travel_siphash(&t->keys[1], text, p - text);
}


/* --- writing -------------------------------------------------------------- */

static ngx_http_travel_revoked_table_t *
ngx_http_travel_revoked_lock(ngx_http_travel_zone_t *zone)
{
    ngx_http_travel_revoked_table_t  *t;

    ngx_http_travel_shard_lock(&zone->shards[0]);

    t = zone->shards[0].data;

    __atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    return t;
}


static void
ngx_http_travel_revoked_unlock(ngx_http_travel_zone_t *zone,
    ngx_http_travel_revoked_table_t *t)
{
    __atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);

    ngx_http_travel_shard_unlock(&zone->shards[0]);
}


ngx_int_t
ngx_http_travel_revoked_add(ngx_http_travel_zone_t *zone,
    const travel_revocation_t *revocation, int64_t expires)
{
    ngx_int_t                         rc;
    ngx_http_travel_revoked_table_t  *t;

    if (expires <= ngx_time()) {
        return NGX_DECLINED;
    }

    t = ngx_http_travel_revoked_lock(zone);
    rc = ngx_http_travel_revoked_add_locked(t, revocation, expires);
    ngx_http_travel_revoked_unlock(zone, t);

    return rc;
}


static ngx_int_t
ngx_http_travel_revoked_add_locked(ngx_http_travel_revoked_table_t *t,
    const travel_revocation_t *revocation, int64_t expires)
{
    int64_t                          before;
    ngx_uint_t                       i;
    ngx_http_travel_revoked_hash_t   hash;
    ngx_http_travel_revoked_slot_t  *slot;

    before = (revocation->kind == TRAVEL_REVOKE_USER) ? revocation->before
                                                      : INT64_MAX;

    ngx_http_travel_revoked_hash(t, revocation->kind, revocation->issuer,
                                 revocation->id, &hash);

    for (i = hash.h1 & t->mask; /* void */ ; i = (i + 1) & t->mask) {

        slot = &t->slots[i];

        if (slot->h1 == 0) {
            break;
        }

        if (slot->h1 == hash.h1 && slot->h2 == hash.h2) {

            if (slot->before >= before && slot->expires >= expires) {
                return NGX_DECLINED;
            }

            slot->before = ngx_max(slot->before, before);
            slot->expires = ngx_max(slot->expires, expires);

            return NGX_OK;
        }
    }

    if (t->used > t->mask / 2) {
        t->state.full = 1;
        return NGX_ERROR;
    }

    slot->h1 = hash.h1;
    slot->h2 = hash.h2;
    slot->before = before;
    slot->expires = expires;

    t->used++;
    t->kinds[revocation->kind]++;

    return NGX_OK;
}


ngx_uint_t
ngx_http_travel_revoked_sweep(ngx_http_travel_zone_t *zone, time_t now)
{
    ngx_uint_t                        i, n, gone;
    ngx_http_travel_revoked_table_t  *t;

    t = zone->shards[0].data;

    if (__atomic_load_n(&t->used, __ATOMIC_RELAXED) == 0) {
        return 0;
    }

    t = ngx_http_travel_revoked_lock(zone);
    n = ngx_min(t->mask + 1, (ngx_uint_t) NGX_HTTP_TRAVEL_REVOKED_SWEEP);

    for (gone = 0, i = t->hand; n != 0; n--) {

        if (t->slots[i].h1 != 0 && t->slots[i].expires <= now) {
            ngx_http_travel_revoked_remove_locked(t, i);
            gone++;
            continue;                  /* another one may stand here now */
        }

        i = (i + 1) & t->mask;
    }

    t->hand = i;

    ngx_http_travel_revoked_unlock(zone, t);

    return gone;
}


/* Moves back whatever the hole would hide. */
static void
ngx_http_travel_revoked_remove_locked(ngx_http_travel_revoked_table_t *t,
    ngx_uint_t hole)
{
    ngx_uint_t  i, home;

    for (i = (hole + 1) & t->mask;
         t->slots[i].h1 != 0;
         i = (i + 1) & t->mask)
    {
        home = t->slots[i].h1 & t->mask;

        /* is its home at or before the hole, going round? */
        if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }

    ngx_memzero(&t->slots[hole], sizeof(ngx_http_travel_revoked_slot_t));
    t->used--;
}


/* --- the feed's place ----------------------------------------------------- */

ngx_uint_t
ngx_http_travel_revoked_from(ngx_http_travel_zone_t *zone,
    travel_stream_id_t id, ngx_uint_t back)
{
    ngx_uint_t                        gap;
    ngx_http_travel_revoked_table_t  *t;

    t = ngx_http_travel_revoked_lock(zone);

    gap = back || !t->state.loaded
          || travel_stream_id_cmp(id, t->state.pos) > 0;

    if (gap) {
        t->state.loaded = 0;
        t->state.pos = id;
    }

    ngx_http_travel_revoked_unlock(zone, t);

    return gap;
}


void
ngx_http_travel_revoked_reached(ngx_http_travel_zone_t *zone,
    travel_stream_id_t id)
{
    ngx_http_travel_revoked_table_t  *t;

    t = ngx_http_travel_revoked_lock(zone);

    if (t->state.loaded && travel_stream_id_cmp(id, t->state.pos) > 0) {
        t->state.pos = id;
    }

    ngx_http_travel_revoked_unlock(zone, t);
}


void
ngx_http_travel_revoked_heard(ngx_http_travel_zone_t *zone, ngx_msec_t when)
{
    ngx_http_travel_revoked_table_t  *t;

    t = ngx_http_travel_revoked_lock(zone);

    if ((ngx_msec_int_t) (when - t->state.heard) > 0) {
        t->state.heard = when;
    }

    ngx_http_travel_revoked_unlock(zone, t);
}


void
ngx_http_travel_revoked_loaded(ngx_http_travel_zone_t *zone,
    travel_stream_id_t id, ngx_uint_t full)
{
    ngx_http_travel_revoked_table_t  *t;

    t = ngx_http_travel_revoked_lock(zone);

    if (!t->state.loaded || travel_stream_id_cmp(id, t->state.pos) > 0) {
        t->state.pos = id;
    }

    t->state.loaded = 1;
    t->state.full = full ? 1 : 0;

    ngx_http_travel_revoked_unlock(zone, t);
}
