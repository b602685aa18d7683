/*
 * What is remembered of users and of addresses: zone "risk".
 *
 * A shard holds two tables of sets of eight entries: profiles of users, and
 * refusals of addresses in an eighth of the room, so that a flood of bad
 * tokens cannot push profiles out.  An entry is known by its whole 16-byte key
 * (the user's UUID; the address, of IPv6 its /64) and the least recently used
 * of a full set is forgotten: that user is seen for the first time again.
 * Nothing is allocated after the start.  All of it happens under the lock of
 * the key's shard, one per request: addresses are mostly without refusals,
 * which a look without the lock at the set's eight stamps tells.
 *
 * The hash is SipHash under a random key, the same in all shards; it is read
 * without a lock as it never changes (see token).
 */

#include "ngx_http_travel_risk.h"


#define NGX_HTTP_TRAVEL_SIGHTINGS_ZONE    (8 * 1024 * 1024)
#define NGX_HTTP_TRAVEL_SIGHTINGS_SHARDS  8
#define NGX_HTTP_TRAVEL_SIGHTINGS_LAYOUT  2
#define NGX_HTTP_TRAVEL_SIGHTINGS_WAYS    8
#define NGX_HTTP_TRAVEL_SIGHTINGS_KEY     16
#define NGX_HTTP_TRAVEL_SIGHTINGS_FADED   3600     /* seconds: 2^-12 are left */
#define NGX_HTTP_TRAVEL_SIGHTINGS_AGAIN   60       /* s until told again */

typedef struct {
    u_char                  key[NGX_HTTP_TRAVEL_SIGHTINGS_KEY];
    uint64_t                used;      /* unix seconds; 0: empty */
    int64_t                 told;      /* likewise: to other nodes */
    travel_risk_profile_t   profile;
} ngx_http_travel_sightings_user_t;

typedef struct {
    u_char                  key[NGX_HTTP_TRAVEL_SIGHTINGS_KEY];
    uint64_t                used;
    travel_risk_burst_t     failures;
} ngx_http_travel_sightings_address_t;

typedef struct {
    travel_siphash_key_t                  key;
    ngx_http_travel_sightings_user_t     *users;
    uint64_t                              user_mask;      /* sets - 1 */
    ngx_http_travel_sightings_address_t  *addresses;
    uint64_t                              address_mask;
} ngx_http_travel_sightings_shard_t;


static ngx_int_t ngx_http_travel_sightings_init(
    ngx_http_travel_shard_t *shard);
static void *ngx_http_travel_sightings_table(ngx_http_travel_shard_t *shard,
    size_t room, size_t entry, uint64_t *ret_mask);
static ngx_uint_t ngx_http_travel_sightings_news(
    ngx_http_travel_sightings_user_t *entry, const travel_risk_sighting_t *s);
static ngx_http_travel_sightings_user_t *ngx_http_travel_sightings_user_locked(
    ngx_http_travel_sightings_shard_t *sh, uint64_t hash, const u_char *key,
    int64_t now, ngx_uint_t create, ngx_uint_t *ret_evicted);
static ngx_http_travel_sightings_address_t *
    ngx_http_travel_sightings_address_locked(
    ngx_http_travel_sightings_shard_t *sh, uint64_t hash, const u_char *key,
    int64_t now, ngx_uint_t create);
static ngx_uint_t ngx_http_travel_sightings_quiet(
    ngx_http_travel_shard_t *shard, uint64_t hash, int64_t now);
static void ngx_http_travel_sightings_network(const travel_address_t *address,
    u_char *key);


ngx_http_travel_zone_t *
ngx_http_travel_sightings_zone(ngx_conf_t *cf)
{
    return ngx_http_travel_zone(cf, "risk", NGX_HTTP_TRAVEL_SIGHTINGS_ZONE,
                                NGX_HTTP_TRAVEL_SIGHTINGS_SHARDS,
                                NGX_HTTP_TRAVEL_SIGHTINGS_LAYOUT,
                                ngx_http_travel_sightings_init);
}


/* --- layout -------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_sightings_init(ngx_http_travel_shard_t *shard)
{
    size_t                              room;
    ngx_http_travel_sightings_shard_t  *sh;

    sh = ngx_slab_calloc_locked(shard->pool,
                                sizeof(ngx_http_travel_sightings_shard_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_travel_shard_key(shard, &sh->key,
                          offsetof(ngx_http_travel_sightings_shard_t, key))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    room = (shard->pool->pfree - 2) * ngx_pagesize;

    sh->users = ngx_http_travel_sightings_table(shard, room / 8 * 7,
                    sizeof(ngx_http_travel_sightings_user_t), &sh->user_mask);
    sh->addresses = ngx_http_travel_sightings_table(shard, room / 8,
                        sizeof(ngx_http_travel_sightings_address_t),
                        &sh->address_mask);

    if (sh->users == NULL || sh->addresses == NULL) {
        return NGX_ERROR;
    }

    shard->data = sh;

    return NGX_OK;
}


/* As many sets as fit, a power of two. */
static void *
ngx_http_travel_sightings_table(ngx_http_travel_shard_t *shard, size_t room,
    size_t entry, uint64_t *ret_mask)
{
    size_t  sets;

    for (sets = 1; 2 * sets * NGX_HTTP_TRAVEL_SIGHTINGS_WAYS * entry <= room;
         sets *= 2)
    {
        /* void */
    }

    *ret_mask = sets - 1;

    return ngx_slab_calloc_locked(shard->pool,
                                  sets * NGX_HTTP_TRAVEL_SIGHTINGS_WAYS
                                  * entry);
}


uint64_t
ngx_http_travel_sightings_hash(ngx_http_travel_zone_t *zone, const void *data,
    size_t len)
{
    uint64_t                            hash;
    ngx_http_travel_sightings_shard_t  *sh;

    sh = zone->shards[0].data;
    hash = travel_siphash(&sh->key, data, len);

    return hash ? hash : 1;
}


/* --- users --------------------------------------------------------------- */

ngx_uint_t
ngx_http_travel_sightings_judge(ngx_http_travel_zone_t *zone,
    const travel_uuid_t *user, const ngx_http_travel_risk_t *risk,
    const travel_risk_sighting_t *sighting, ngx_uint_t learn,
    travel_risk_verdict_t *ret_verdict, ngx_uint_t *ret_news)
{
    uint64_t                            hash;
    ngx_uint_t                          evicted;
    ngx_http_travel_shard_t            *shard;
    ngx_http_travel_sightings_user_t   *entry;
    ngx_http_travel_sightings_shard_t  *sh;

    *ret_news = 0;

    if (user == NULL) {
        travel_risk_judge(ret_verdict, &risk->rule, NULL, sighting);
        return 0;
    }

    hash = ngx_http_travel_sightings_hash(zone, user->b,
                                          NGX_HTTP_TRAVEL_SIGHTINGS_KEY);
    shard = ngx_http_travel_shard(zone, hash);
    evicted = 0;

    ngx_http_travel_shard_lock(shard);

    sh = shard->data;
    entry = ngx_http_travel_sightings_user_locked(sh, hash, user->b,
                                                  sighting->now, 0, &evicted);

    travel_risk_judge(ret_verdict, &risk->rule, entry ? &entry->profile : NULL,
                      sighting);

    if (learn || ret_verdict->score < risk->threshold) {

        if (entry == NULL) {
            entry = ngx_http_travel_sightings_user_locked(sh, hash,
                            user->b, sighting->now, 1, &evicted);
        }

        *ret_news = ngx_http_travel_sightings_news(entry, sighting);
        travel_risk_learn(&entry->profile, sighting);
    }

    ngx_http_travel_shard_unlock(shard);

    return evicted;
}


/* Is there something to tell of him?  A place moves all the time: it is told
 * with the country, and once in a while. */
static ngx_uint_t
ngx_http_travel_sightings_news(ngx_http_travel_sightings_user_t *entry,
    const travel_risk_sighting_t *s)
{
    ngx_uint_t  other;

    other = (s->country && s->country != entry->profile.countries[0])
            || (s->device && s->device != entry->profile.devices[0]);

    if (s->now - entry->told < (other ? 1 : NGX_HTTP_TRAVEL_SIGHTINGS_AGAIN)) {
        return 0;
    }

    entry->told = s->now;

    return 1;
}


void
ngx_http_travel_sightings_heard(ngx_http_travel_zone_t *zone,
    const travel_uuid_t *user, const travel_risk_sighting_t *sighting)
{
    uint64_t                            hash;
    ngx_uint_t                          evicted;
    ngx_http_travel_shard_t            *shard;
    ngx_http_travel_sightings_user_t   *entry;

    hash = ngx_http_travel_sightings_hash(zone, user->b,
                                          NGX_HTTP_TRAVEL_SIGHTINGS_KEY);
    shard = ngx_http_travel_shard(zone, hash);

    ngx_http_travel_shard_lock(shard);

    entry = ngx_http_travel_sightings_user_locked(shard->data, hash, user->b,
                                                  sighting->now, 1, &evicted);
    travel_risk_hear(&entry->profile, sighting);

    ngx_http_travel_shard_unlock(shard);
}


static ngx_http_travel_sightings_user_t *
ngx_http_travel_sightings_user_locked(ngx_http_travel_sightings_shard_t *sh,
    uint64_t hash, const u_char *key, int64_t now, ngx_uint_t create,
    ngx_uint_t *ret_evicted)
{
    ngx_uint_t                         i;
    ngx_http_travel_sightings_user_t  *entry, *oldest;

    entry = &sh->users[(hash & sh->user_mask)
                       * NGX_HTTP_TRAVEL_SIGHTINGS_WAYS];
    oldest = entry;

    for (i = 0; i < NGX_HTTP_TRAVEL_SIGHTINGS_WAYS; i++, entry++) {

        if (entry->used != 0
            && ngx_memcmp(entry->key, key, NGX_HTTP_TRAVEL_SIGHTINGS_KEY) == 0)
        {
            entry->used = now;
            return entry;
        }

        if (entry->used < oldest->used) {
            oldest = entry;
        }
    }

    if (!create) {
        return NULL;
    }

    *ret_evicted = (oldest->used != 0);

    ngx_memzero(oldest, sizeof(*oldest));
    ngx_memcpy(oldest->key, key, NGX_HTTP_TRAVEL_SIGHTINGS_KEY);
    oldest->used = now;

    return oldest;
}


/* --- addresses ----------------------------------------------------------- */

/* A subscriber has a /64 of IPv6 and may choose in it as he likes. */
static void
ngx_http_travel_sightings_network(const travel_address_t *address, u_char *key)
{
    ngx_memcpy(key, address->bytes, NGX_HTTP_TRAVEL_SIGHTINGS_KEY);

    if (!travel_address_is_v4(address)) {
        ngx_memzero(key + 8, 8);
    }
}


double
ngx_http_travel_sightings_failures(ngx_http_travel_zone_t *zone,
    const travel_address_t *address, int64_t now)
{
    u_char                                key[NGX_HTTP_TRAVEL_SIGHTINGS_KEY];
    double                                count;
    uint64_t                              hash;
    ngx_http_travel_shard_t              *shard;
    ngx_http_travel_sightings_address_t  *entry;

    ngx_http_travel_sightings_network(address, key);
    hash = ngx_http_travel_sightings_hash(zone, key, sizeof(key));
    shard = ngx_http_travel_shard(zone, hash);

    if (ngx_http_travel_sightings_quiet(shard, hash, now)) {
        return 0;
    }

    ngx_http_travel_shard_lock(shard);

    entry = ngx_http_travel_sightings_address_locked(shard->data, hash, key,
                                                     now, 0);
    count = entry ? travel_risk_burst_count(&entry->failures, now) : 0;

    ngx_http_travel_shard_unlock(shard);

    return count;
}


/* Without the lock: the stamps are words, and one that is being written now
 * may count from the next request on. */
static ngx_uint_t
ngx_http_travel_sightings_quiet(ngx_http_travel_shard_t *shard, uint64_t hash,
    int64_t now)
{
    ngx_uint_t                            i;
    ngx_http_travel_sightings_shard_t    *sh;
    ngx_http_travel_sightings_address_t  *entry;

    sh = shard->data;
    entry = &sh->addresses[(hash & sh->address_mask)
                           * NGX_HTTP_TRAVEL_SIGHTINGS_WAYS];

    for (i = 0; i < NGX_HTTP_TRAVEL_SIGHTINGS_WAYS; i++) {
        if ((int64_t) *(volatile uint64_t *) &entry[i].used
            > now - NGX_HTTP_TRAVEL_SIGHTINGS_FADED)
        {
            return 0;
        }
    }

    return 1;
}


static ngx_http_travel_sightings_address_t *
ngx_http_travel_sightings_address_locked(ngx_http_travel_sightings_shard_t *sh,
    uint64_t hash, const u_char *key, int64_t now, ngx_uint_t create)
{
    ngx_uint_t                            i;
    ngx_http_travel_sightings_address_t  *entry, *oldest;

    entry = &sh->addresses[(hash & sh->address_mask)
                           * NGX_HTTP_TRAVEL_SIGHTINGS_WAYS];
    oldest = entry;

    for (i = 0; i < NGX_HTTP_TRAVEL_SIGHTINGS_WAYS; i++, entry++) {

        if (entry->used != 0
            && ngx_memcmp(entry->key, key, NGX_HTTP_TRAVEL_SIGHTINGS_KEY) == 0)
        {
            return entry;
        }

        if (entry->used < oldest->used) {
            oldest = entry;
        }
    }

    if (!create) {
        return NULL;
    }

    ngx_memzero(oldest, sizeof(*oldest));
    ngx_memcpy(oldest->key, key, NGX_HTTP_TRAVEL_SIGHTINGS_KEY);
    oldest->used = now;

    return oldest;
}


void
ngx_http_travel_sightings_failed(ngx_http_travel_zone_t *zone,
    const travel_address_t *address, const travel_uuid_t *user, int64_t now)
{
    u_char                                key[NGX_HTTP_TRAVEL_SIGHTINGS_KEY];
    uint64_t                              hash;
    ngx_uint_t                            evicted;
    ngx_http_travel_shard_t              *shard;
    ngx_http_travel_sightings_user_t     *entry;
    ngx_http_travel_sightings_address_t  *from;

    ngx_http_travel_sightings_network(address, key);
    hash = ngx_http_travel_sightings_hash(zone, key, sizeof(key));
    shard = ngx_http_travel_shard(zone, hash);

    ngx_http_travel_shard_lock(shard);

    from = ngx_http_travel_sightings_address_locked(shard->data, hash, key,
                                                    now, 1);
    from->used = now;
    travel_risk_burst_add(&from->failures, now);

    ngx_http_travel_shard_unlock(shard);

    if (user == NULL) {
        return;
    }

    hash = ngx_http_travel_sightings_hash(zone, user->b,
                                          NGX_HTTP_TRAVEL_SIGHTINGS_KEY);
    shard = ngx_http_travel_shard(zone, hash);

    ngx_http_travel_shard_lock(shard);

    entry = ngx_http_travel_sightings_user_locked(shard->data, hash,
                                              user->b, now, 1, &evicted);
    travel_risk_burst_add(&entry->profile.failures, now);

    ngx_http_travel_shard_unlock(shard);
}
