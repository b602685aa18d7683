/*
 * What is remembered of API keys that were asked for.
 *
 * Zone "apikeys".  A shard holds two tables of sets of four entries: one for
 * keys that are good, and one an eighth as large for keys that are none, so
 * that a flood of invented keys cannot push the good ones out.  An entry is
 * found by SipHash of the key's SHA-256 under a random key, and by that whole
 * SHA-256, compared in constant time: nothing can be learnt from how long a
 * wrong key takes.  In a full set the entry that would be believed for the
 * shortest time gives way.
 *
 * Everything in a shard is read and written under its lock; the SipHash key is
 * set once and read without: a shard that is emptied takes it from a
 * neighbour again.  An emptied zone costs questions to PostgreSQL, no more.
 */

#include "ngx_http_travel_bearer.h"


#define NGX_HTTP_TRAVEL_KEYS_ZONE    (4 * 1024 * 1024)
#define NGX_HTTP_TRAVEL_KEYS_SHARDS  4
#define NGX_HTTP_TRAVEL_KEYS_LAYOUT  1
#define NGX_HTTP_TRAVEL_KEYS_WAYS    4

typedef struct {
    uint8_t                        digest[TRAVEL_SHA256_LEN];
    ngx_http_travel_key_facts_t    facts;
} ngx_http_travel_keys_entry_t;

typedef struct {
    ngx_http_travel_keys_entry_t  *entries;
    uint64_t                       mask;         /* sets - 1 */
} ngx_http_travel_keys_table_t;

typedef struct {
    travel_siphash_key_t           secret;
    ngx_http_travel_keys_table_t   good;
    ngx_http_travel_keys_table_t   bad;
} ngx_http_travel_keys_shard_t;


static ngx_int_t ngx_http_travel_keys_init(ngx_http_travel_shard_t *shard);
static ngx_int_t ngx_http_travel_keys_table(ngx_http_travel_shard_t *shard,
    ngx_http_travel_keys_table_t *table, size_t room);
static ngx_http_travel_keys_entry_t *ngx_http_travel_keys_set(
    const ngx_http_travel_keys_table_t *table, uint64_t hash);
static ngx_http_travel_keys_entry_t *ngx_http_travel_keys_entry_locked(
    const ngx_http_travel_keys_table_t *table, uint64_t hash,
    const uint8_t *digest);
static uint64_t ngx_http_travel_keys_hash(ngx_http_travel_zone_t *zone,
    const uint8_t *digest);


ngx_http_travel_zone_t *
ngx_http_travel_known_keys_zone(ngx_conf_t *cf)
{
    return ngx_http_travel_zone(cf, "apikeys", NGX_HTTP_TRAVEL_KEYS_ZONE,
                                NGX_HTTP_TRAVEL_KEYS_SHARDS,
                                NGX_HTTP_TRAVEL_KEYS_LAYOUT,
                                ngx_http_travel_keys_init);
}


static ngx_int_t
ngx_http_travel_keys_init(ngx_http_travel_shard_t *shard)
{
    size_t                         room;
    ngx_http_travel_keys_shard_t  *sh;

    sh = ngx_slab_calloc_locked(shard->pool,
                                sizeof(ngx_http_travel_keys_shard_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    room = (shard->pool->pfree - 3) * ngx_pagesize;

    if (ngx_http_travel_shard_key(shard, &sh->secret,
                              offsetof(ngx_http_travel_keys_shard_t, secret))
        != NGX_OK
        || ngx_http_travel_keys_table(shard, &sh->good, room / 8 * 7) != NGX_OK
        || ngx_http_travel_keys_table(shard, &sh->bad, room / 8) != NGX_OK)
    {
        return NGX_ERROR;
    }

    shard->data = sh;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_keys_table(ngx_http_travel_shard_t *shard,
    ngx_http_travel_keys_table_t *table, size_t room)
{
    size_t  sets, set;

    set = NGX_HTTP_TRAVEL_KEYS_WAYS * sizeof(ngx_http_travel_keys_entry_t);

    for (sets = 1; 2 * sets * set <= room; sets *= 2) {
        /* void */
    }

    table->mask = sets - 1;
    table->entries = ngx_slab_calloc_locked(shard->pool, sets * set);

    return table->entries ? NGX_OK : NGX_ERROR;
}


static uint64_t
ngx_http_travel_keys_hash(ngx_http_travel_zone_t *zone, const uint8_t *digest)
{
    ngx_http_travel_keys_shard_t  *sh;

    sh = zone->shards[0].data;

    return travel_siphash(&sh->secret, digest, TRAVEL_SHA256_LEN);
}


static ngx_http_travel_keys_entry_t *
ngx_http_travel_keys_set(const ngx_http_travel_keys_table_t *table,
    uint64_t hash)
{
    return &table->entries[(hash & table->mask) * NGX_HTTP_TRAVEL_KEYS_WAYS];
}


static ngx_http_travel_keys_entry_t *
ngx_http_travel_keys_entry_locked(const ngx_http_travel_keys_table_t *table,
    uint64_t hash, const uint8_t *digest)
{
    ngx_uint_t                     i;
    travel_str_t                   known, shown;
    ngx_http_travel_keys_entry_t  *set;

    set = ngx_http_travel_keys_set(table, hash);

    shown.data = (const char *) digest;
    shown.len = TRAVEL_SHA256_LEN;

    for (i = 0; i < NGX_HTTP_TRAVEL_KEYS_WAYS; i++) {

        known.data = (const char *) set[i].digest;
        known.len = TRAVEL_SHA256_LEN;

        if (set[i].facts.until > ngx_time() && travel_secret_eq(known, shown))
        {
            return &set[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_travel_known_key_find(ngx_http_travel_zone_t *zone,
    const uint8_t digest[TRAVEL_SHA256_LEN],
    ngx_http_travel_key_facts_t *ret_facts)
{
    uint64_t                       hash;
    ngx_int_t                      rc;
    ngx_http_travel_shard_t       *shard;
    ngx_http_travel_keys_entry_t  *entry;
    ngx_http_travel_keys_shard_t  *sh;

    hash = ngx_http_travel_keys_hash(zone, digest);
    shard = ngx_http_travel_shard(zone, hash);
    rc = NGX_DECLINED;

    ngx_http_travel_shard_lock(shard);

    sh = shard->data;
    entry = ngx_http_travel_keys_entry_locked(&sh->good, hash, digest);

    if (entry == NULL) {
        entry = ngx_http_travel_keys_entry_locked(&sh->bad, hash, digest);
    }

    if (entry != NULL) {
        *ret_facts = entry->facts;
        rc = NGX_OK;
    }

    ngx_http_travel_shard_unlock(shard);

    return rc;
}


void
ngx_http_travel_known_key_keep(ngx_http_travel_zone_t *zone,
    const uint8_t digest[TRAVEL_SHA256_LEN],
    const ngx_http_travel_key_facts_t *facts)
{
    uint64_t                       hash;
    ngx_uint_t                     i;
    ngx_http_travel_shard_t       *shard;
    ngx_http_travel_keys_entry_t  *set, *victim;
    ngx_http_travel_keys_shard_t  *sh;

    hash = ngx_http_travel_keys_hash(zone, digest);
    shard = ngx_http_travel_shard(zone, hash);

    ngx_http_travel_shard_lock(shard);

    sh = shard->data;

    /* what was good and is not any more must not be found again */
    victim = ngx_http_travel_keys_entry_locked(&sh->good, hash, digest);

    if (victim != NULL && !facts->good) {
        victim->facts.until = 0;
        victim = NULL;
    }

    if (victim == NULL) {
        set = ngx_http_travel_keys_set(facts->good ? &sh->good : &sh->bad,
                                       hash);
        victim = set;

        for (i = 1; i < NGX_HTTP_TRAVEL_KEYS_WAYS; i++) {
            if (set[i].facts.until < victim->facts.until) {
                victim = &set[i];
            }
        }
    }

    ngx_memcpy(victim->digest, digest, TRAVEL_SHA256_LEN);
    victim->facts = *facts;

    ngx_http_travel_shard_unlock(shard);
}
