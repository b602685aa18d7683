/*
 * The budget of signature checks: what a client address may cost.
 *
 * A check of a signature that nobody made costs us more than it costs the
 * sender.  So an address may have so many refused tokens a second, with a
 * burst; beyond that its unknown tokens are refused before they are even read.
 * A check is paid before it is done and paid back when the signature was good,
 * so good clients pay nothing, however many share an address, and a worker
 * that is checking cannot be overtaken by another: the bound is exact.
 *
 * Zone "signatures".  A shard is a table of sets of eight entries, one entry
 * per address and rule, an IPv6 address counting as its /64.  The entry holds
 * the whole address, so two addresses never share one.  'spent' is the time up
 * to which the address has spent its budget (a leaky bucket kept as a time, in
 * microseconds of the monotonic clock, which all workers share); an entry
 * whose time has passed is as good as empty.  In a set that is full of debtors
 * the one that owes least is forgotten.
 *
 * Everything in a shard is read and written under its lock.  The key of the
 * hash is set once per shard and read without a lock; a shard that is emptied
 * after a crash takes it from a neighbour again.
 */

#include "ngx_http_travel_bearer.h"


#define NGX_HTTP_TRAVEL_BUDGET_ZONE     (2 * 1024 * 1024)
#define NGX_HTTP_TRAVEL_BUDGET_SHARDS   4
#define NGX_HTTP_TRAVEL_BUDGET_LAYOUT   1
#define NGX_HTTP_TRAVEL_BUDGET_WAYS     8
#define NGX_HTTP_TRAVEL_BUDGET_RATE     50        /* a second */
#define NGX_HTTP_TRAVEL_BUDGET_BURST    100
#define NGX_HTTP_TRAVEL_BUDGET_MAX      100000    /* of rate and of burst */

/* Whose budget, and under which rule: compared as bytes, so no padding. */
typedef struct {
    u_char            address[8];      /* IPv4, or the /64 of IPv6; zeroes */
    uint32_t          rule;
    uint32_t          family;          /* 0: the entry is empty */
} ngx_http_travel_budget_key_t;

typedef struct {
    ngx_http_travel_budget_key_t   key;
    int64_t                        spent;
} ngx_http_travel_budget_entry_t;

typedef struct {
    travel_siphash_key_t             secret;
    uint64_t                         mask;      /* sets - 1 */
    ngx_http_travel_budget_entry_t  *entries;
} ngx_http_travel_budget_shard_t;


static ngx_int_t ngx_http_travel_budget_init(ngx_http_travel_shard_t *shard);
static void ngx_http_travel_budget_key(ngx_http_travel_budget_key_t *key,
    const ngx_http_travel_budget_t *budget, const struct sockaddr *sockaddr);
static ngx_http_travel_budget_entry_t *ngx_http_travel_budget_entry_locked(
    ngx_http_travel_budget_shard_t *sh, uint64_t hash,
    const ngx_http_travel_budget_key_t *key);
static ngx_int_t ngx_http_travel_budget_rate(const ngx_str_t *value,
    ngx_http_travel_budget_t *budget);


ngx_http_travel_zone_t *
ngx_http_travel_budget_zone(ngx_conf_t *cf)
{
    return ngx_http_travel_zone(cf, "signatures", NGX_HTTP_TRAVEL_BUDGET_ZONE,
                                NGX_HTTP_TRAVEL_BUDGET_SHARDS,
                                NGX_HTTP_TRAVEL_BUDGET_LAYOUT,
                                ngx_http_travel_budget_init);
}


static ngx_int_t
ngx_http_travel_budget_init(ngx_http_travel_shard_t *shard)
{
    size_t                           room, sets;
    ngx_http_travel_budget_shard_t  *sh;

    sh = ngx_slab_calloc_locked(shard->pool,
                                sizeof(ngx_http_travel_budget_shard_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    /* the largest power of two that fits in most of the free pages */
    room = shard->pool->pfree * ngx_pagesize / 8 * 7;
    sets = 1;

    while (sets * 2 * NGX_HTTP_TRAVEL_BUDGET_WAYS
           * sizeof(ngx_http_travel_budget_entry_t) <= room)
    {
        sets *= 2;
    }

    sh->mask = sets - 1;
    sh->entries = ngx_slab_calloc_locked(shard->pool,
                                     sets * NGX_HTTP_TRAVEL_BUDGET_WAYS
                                     * sizeof(ngx_http_travel_budget_entry_t));

    if (sh->entries == NULL
        || ngx_http_travel_shard_key(shard, &sh->secret,
                            offsetof(ngx_http_travel_budget_shard_t, secret))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    shard->data = sh;

    return NGX_OK;
}


ngx_uint_t
ngx_http_travel_budget_take(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_budget_t *budget, const struct sockaddr *sockaddr)
{
    int64_t                          now, spent, over;
    uint64_t                         hash;
    ngx_http_travel_shard_t         *shard;
    ngx_http_travel_budget_key_t     key;
    ngx_http_travel_budget_shard_t  *sh;
    ngx_http_travel_budget_entry_t  *entry;

    ngx_http_travel_budget_key(&key, budget, sockaddr);

    sh = zone->shards[0].data;
    hash = travel_siphash(&sh->secret, &key, sizeof(key));
    shard = ngx_http_travel_shard(zone, hash);
    now = (int64_t) ngx_current_msec * 1000;

    ngx_http_travel_shard_lock(shard);

    entry = ngx_http_travel_budget_entry_locked(shard->data, hash, &key);
    spent = now;

    if (ngx_memcmp(&entry->key, &key, sizeof(key)) == 0) {
        spent = ngx_max(entry->spent, now);
    }

    spent += budget->interval;
    over = spent - now - budget->depth;

    if (over <= 0) {
        entry->key = key;
        entry->spent = spent;
    }

    ngx_http_travel_shard_unlock(shard);

    return (over <= 0) ? 0 : (ngx_uint_t) ((over + 999999) / 1000000);
}


void
ngx_http_travel_budget_return(ngx_http_travel_zone_t *zone,
    const ngx_http_travel_budget_t *budget, const struct sockaddr *sockaddr)
{
    uint64_t                         hash;
    ngx_http_travel_shard_t         *shard;
    ngx_http_travel_budget_key_t     key;
    ngx_http_travel_budget_shard_t  *sh;
    ngx_http_travel_budget_entry_t  *entry;

    ngx_http_travel_budget_key(&key, budget, sockaddr);

    sh = zone->shards[0].data;
    hash = travel_siphash(&sh->secret, &key, sizeof(key));
    shard = ngx_http_travel_shard(zone, hash);

    ngx_http_travel_shard_lock(shard);

    entry = ngx_http_travel_budget_entry_locked(shard->data, hash, &key);

    if (ngx_memcmp(&entry->key, &key, sizeof(key)) == 0) {
        entry->spent -= budget->interval;
    }

    ngx_http_travel_shard_unlock(shard);
}


static void
ngx_http_travel_budget_key(ngx_http_travel_budget_key_t *key,
    const ngx_http_travel_budget_t *budget, const struct sockaddr *sockaddr)
{
    ngx_memzero(key, sizeof(ngx_http_travel_budget_key_t));

    key->rule = budget->rule;
    key->family = sockaddr->sa_family;

    switch (sockaddr->sa_family) {

    case AF_INET:
        ngx_memcpy(key->address,
                   &((const struct sockaddr_in *) sockaddr)->sin_addr, 4);
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        ngx_memcpy(key->address,
                   &((const struct sockaddr_in6 *) sockaddr)->sin6_addr, 8);
        break;
#endif

    default:                           /* a Unix socket is one address */
        key->family |= 0x10000;
    }
}


/* The entry of the key; else the one to be overwritten, another's. */
static ngx_http_travel_budget_entry_t *
ngx_http_travel_budget_entry_locked(ngx_http_travel_budget_shard_t *sh,
    uint64_t hash, const ngx_http_travel_budget_key_t *key)
{
    ngx_uint_t                       i;
    ngx_http_travel_budget_entry_t  *set, *least;

    set = &sh->entries[(hash & sh->mask) * NGX_HTTP_TRAVEL_BUDGET_WAYS];
    least = set;

    for (i = 0; i < NGX_HTTP_TRAVEL_BUDGET_WAYS; i++) {

        if (ngx_memcmp(&set[i].key, key, sizeof(*key)) == 0) {
            return &set[i];
        }

        if (set[i].spent < least->spent) {
            least = &set[i];
        }
    }

    return least;
}


/* --- configuration ------------------------------------------------------- */

void
ngx_http_travel_budget_default(ngx_http_travel_budget_t *budget)
{
    budget->set = 1;
    budget->interval = 1000000 / NGX_HTTP_TRAVEL_BUDGET_RATE;
    budget->depth = budget->interval * NGX_HTTP_TRAVEL_BUDGET_BURST;
    budget->rule = (uint32_t) budget->interval;
}


static const ngx_http_travel_param_t
    ngx_http_travel_signature_budget_params[] = {

    { "burst", ngx_http_travel_param_number,
      0,
      "1", "100000", NULL, "checks", 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_budget_directive(ngx_conf_t *cf,
    ngx_http_travel_budget_t *budget)
{
    ngx_str_t   *value;
    ngx_uint_t   burst;

    value = cf->args->elts;

    if (budget->set) {
        return "is duplicate";
    }

    budget->set = 1;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_budget_rate(&value[1], budget) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_signature_budget\" rate \"%V\" must be "
                           "off, N/s or N/m with N of 1 to %d, as in 50/s",
                           &value[1], NGX_HTTP_TRAVEL_BUDGET_MAX);
        return NGX_CONF_ERROR;
    }

    burst = 0;

    if (ngx_http_travel_params(cf, ngx_http_travel_signature_budget_params, 2,
                               &burst)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (burst != 0) {
        budget->depth = budget->interval * (int64_t) burst;
    }

    /* entries of another rule count for themselves */
    budget->rule = (uint32_t) (budget->interval * 31
                               + budget->depth / budget->interval);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_budget_rate(const ngx_str_t *value,
    ngx_http_travel_budget_t *budget)
{
    ngx_int_t  n;

    if (value->len < 3) {
        return NGX_ERROR;
    }

    n = ngx_atoi(value->data, value->len - 2);

    if (n < 1 || n > NGX_HTTP_TRAVEL_BUDGET_MAX) {
        return NGX_ERROR;
    }

    if (ngx_strcmp(value->data + value->len - 2, "/s") == 0) {
        budget->interval = 1000000 / n;

    } else if (ngx_strcmp(value->data + value->len - 2, "/m") == 0) {
        budget->interval = 60000000 / n;

    } else {
        return NGX_ERROR;
    }

    budget->depth = budget->interval * 2 * n;

    return NGX_OK;
}
