/*
 * Counts in shared memory.
 *
 * Zone "limits".  A shard is an array of sets of eight slots of fixed size; a
 * slot holds the windows of one (policy, key).  The set is chosen by a hash,
 * within it the whole key decides.  When a set is full the slot that was idle
 * longest goes: work is bounded, nothing is allocated after the start, and a
 * flood of strange keys pushes out only what shares their sets.
 *
 * Everything of a shard is read and written under its lock.  A request that
 * several policies count takes one lock at a time: each policy is asked and
 * counts under its own shard's lock, and if a later one refuses, the earlier
 * ones are taken back.  So no window ever admits more than its quota, a
 * refused request leaves nothing behind, and the price is that for the
 * microsecond in between another process may be refused a place that becomes
 * free again.
 *
 * Time is CLOCK_MONOTONIC read anew, not nginx's cached time: it is one clock
 * for all processes and survives reloads, wall clock steps neither block nor
 * open a window, and Retry-After is true to the millisecond.  On Linux reading
 * it is no system call.
 */

#include "ngx_http_travel_shared.h"
#include "../../common/hash.h"


#define NGX_HTTP_TRAVEL_SLOTS_ZONE    (32 * 1024 * 1024)
#define NGX_HTTP_TRAVEL_SLOTS_SHARDS  16
#define NGX_HTTP_TRAVEL_SLOTS_LAYOUT  4
#define NGX_HTTP_TRAVEL_SLOTS_WAYS    8
#define NGX_HTTP_TRAVEL_SLOTS_HASHED  255       /* key_len of a hashed key */

typedef struct {
    uint64_t              policy;
    uint64_t              seen;        /* ms */
    uint32_t              born;        /* differs for each use of the slot */
    uint32_t              longest;     /* ms, span of its last window */
    u_char                key_len;
    u_char                key[NGX_HTTP_TRAVEL_LIMIT_KEY];
    ngx_http_travel_lease_t  lease;
    travel_window_t       windows[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
} ngx_http_travel_slot_t;

typedef struct {
    uint64_t              hash[NGX_HTTP_TRAVEL_SLOTS_WAYS];   /* 0: free */
    ngx_http_travel_slot_t  slots[NGX_HTTP_TRAVEL_SLOTS_WAYS];
} ngx_http_travel_slots_set_t;

typedef struct {
    travel_siphash_key_t  key;         /* the same in all shards, constant */
    uint32_t              born;
    uint32_t              nsets;
    travel_stream_id_t    settled;     /* shard 0: of costs, the last read */
    ngx_http_travel_slots_set_t  *sets;
} ngx_http_travel_slots_t;

/* A key as it is looked up: policy and bytes in a row, to be hashed at once. */
typedef struct {
    uint64_t              policy;
    u_char                bytes[NGX_HTTP_TRAVEL_LIMIT_KEY];
    u_char                len;
} ngx_http_travel_slots_key_t;


static ngx_int_t ngx_http_travel_slots_init(ngx_http_travel_shard_t *shard);
static ngx_int_t ngx_http_travel_slots_key(ngx_http_travel_slots_key_t *dst,
    uint64_t policy, const ngx_str_t *key);
static ngx_http_travel_slot_t *ngx_http_travel_slots_find_locked(
    ngx_http_travel_slots_t *sh, uint64_t hash,
    const ngx_http_travel_slots_key_t *key, ngx_http_travel_verdict_t *v);
static ngx_int_t ngx_http_travel_slots_pk(ngx_http_travel_verdict_t *v,
    const ngx_str_t *key);
static ngx_uint_t ngx_http_travel_slots_mine_locked(
    const ngx_http_travel_verdict_t *v, uint64_t *now);
static void ngx_http_travel_slots_advance_locked(ngx_http_travel_slot_t *slot,
    const ngx_http_travel_verdict_t *v);
static void ngx_http_travel_slots_take_locked(ngx_http_travel_slot_t *slot,
    ngx_http_travel_verdict_t *v);
static void ngx_http_travel_slots_undo_locked(ngx_http_travel_slot_t *slot,
    ngx_http_travel_verdict_t *v, uint64_t now);
static void ngx_http_travel_slots_ask_locked(ngx_http_travel_slot_t *slot,
    ngx_uint_t count, ngx_http_travel_verdict_t *v);
static void ngx_http_travel_slots_report_locked(ngx_http_travel_slot_t *slot,
    ngx_http_travel_verdict_t *v);


ngx_http_travel_zone_t *
ngx_http_travel_slots_zone(ngx_conf_t *cf)
{
    return ngx_http_travel_zone(cf, "limits", NGX_HTTP_TRAVEL_SLOTS_ZONE,
                                NGX_HTTP_TRAVEL_SLOTS_SHARDS,
                                NGX_HTTP_TRAVEL_SLOTS_LAYOUT,
                                ngx_http_travel_slots_init);
}


static ngx_int_t
ngx_http_travel_slots_init(ngx_http_travel_shard_t *shard)
{
    size_t                    room;
    ngx_http_travel_slots_t  *sh;

    sh = ngx_slab_calloc_locked(shard->pool, sizeof(ngx_http_travel_slots_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_travel_shard_key(shard, &sh->key,
                                  offsetof(ngx_http_travel_slots_t, key))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    room = (shard->pool->pfree - 1) * ngx_pagesize;
    sh->nsets = (uint32_t) (room / sizeof(ngx_http_travel_slots_set_t));

    sh->sets = ngx_slab_calloc_locked(shard->pool,
                                      sh->nsets * sizeof(*sh->sets));
    if (sh->sets == NULL) {
        return NGX_ERROR;
    }

    shard->data = sh;

    return NGX_OK;
}


uint64_t
ngx_http_travel_slots_now(void)
{
#if (NGX_HAVE_CLOCK_MONOTONIC)
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
#else
    return ngx_current_msec;
#endif
}


ngx_int_t
ngx_http_travel_slots_ask(ngx_http_travel_zone_t *zone, const ngx_str_t *key,
    ngx_uint_t count, ngx_http_travel_verdict_t *v)
{
    uint64_t                      hash;
    ngx_http_travel_slot_t       *slot;
    ngx_http_travel_slots_t      *sh;
    ngx_http_travel_slots_key_t   k;

    if (ngx_http_travel_slots_key(&k, v->policy->id, key) != NGX_OK) {
        return NGX_ERROR;
    }

    sh = zone->shards[0].data;
    hash = travel_siphash(&sh->key, &k, sizeof(k.policy)
                          + ngx_min(k.len, NGX_HTTP_TRAVEL_LIMIT_KEY));

    v->hash = hash ? hash : 1;
    v->shard = ngx_http_travel_shard(zone, v->hash);
    v->at = ngx_http_travel_slots_now();
    v->counted = 0;
    v->full = 0;
    v->evicted = 0;
    v->blocks = 0;
    v->on_credit = 0;
    v->waits = 0;
    v->asks = 0;

    if (v->policy->partition && ngx_http_travel_slots_pk(v, key) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_travel_shard_lock(v->shard);

    slot = ngx_http_travel_slots_find_locked(v->shard->data, v->hash, &k, v);
    ngx_http_travel_slots_ask_locked(slot, count, v);

    ngx_http_travel_shard_unlock(v->shard);

    return NGX_OK;
}


void
ngx_http_travel_slots_undo(ngx_http_travel_verdict_t *v)
{
    uint64_t  now;

    if (!v->counted) {
        return;
    }

    now = ngx_http_travel_slots_now();

    ngx_http_travel_shard_lock(v->shard);

    if (ngx_http_travel_slots_mine_locked(v, &now)) {
        ngx_http_travel_slots_undo_locked(v->slot, v, now);
        ngx_http_travel_slots_report_locked(v->slot, v);

        if (v->policy->mode == NGX_HTTP_TRAVEL_MODE_GLOBAL
            && (v->shared || v->on_credit) && !v->shared_counted)
        {
            ngx_http_travel_shared_undo_locked(
                               &((ngx_http_travel_slot_t *) v->slot)->lease, v);
        }
    }

    ngx_http_travel_shard_unlock(v->shard);

    v->counted = 0;
}


ngx_http_travel_lease_t *
ngx_http_travel_slots_lease_locked(const ngx_http_travel_verdict_t *v)
{
    uint64_t  now;

    now = 0;

    return ngx_http_travel_slots_mine_locked(v, &now)
           ? &((ngx_http_travel_slot_t *) v->slot)->lease : NULL;
}


void
ngx_http_travel_slots_charge(ngx_http_travel_verdict_t *v, uint32_t cost)
{
    uint64_t                 now;
    ngx_http_travel_slot_t  *slot;

    if (!v->asked) {
        return;
    }

    slot = v->slot;
    now = ngx_http_travel_slots_now();

    ngx_http_travel_shard_lock(v->shard);

    if (ngx_http_travel_slots_mine_locked(v, &now)) {

        if (v->counted) {
            ngx_http_travel_slots_undo_locked(v->slot, v, now);
        }

        /* on all nodes: what was not reserved is reported with a lease */
        if (v->policy->mode == NGX_HTTP_TRAVEL_MODE_GLOBAL
            && !v->shared_counted && cost > v->cost)
        {
            slot->lease.credit += cost - v->cost;
        }

        v->cost = cost;
        v->at = now;

        ngx_http_travel_slots_take_locked(v->slot, v);
    }

    ngx_http_travel_shard_unlock(v->shard);
}


ngx_int_t
ngx_http_travel_slots_again(ngx_http_travel_zone_t *zone,
    ngx_http_travel_verdict_t *v)
{
    ngx_int_t                     rc;
    ngx_uint_t                    i;
    ngx_http_travel_slots_t      *sh;
    ngx_http_travel_slots_set_t  *set;

    rc = NGX_DECLINED;
    v->shard = ngx_http_travel_shard(zone, v->hash);

    ngx_http_travel_shard_lock(v->shard);

    sh = v->shard->data;
    set = &sh->sets[((v->hash & 0xffffffff) * sh->nsets) >> 32];

    for (i = 0; i < NGX_HTTP_TRAVEL_SLOTS_WAYS; i++) {
        if (set->hash[i] == v->hash && set->slots[i].born == v->born
            && set->slots[i].policy == v->policy->id)
        {
            v->slot = &set->slots[i];
            v->asked = 1;
            rc = NGX_OK;
        }
    }

    ngx_http_travel_shard_unlock(v->shard);

    return rc;
}


uint64_t
ngx_http_travel_slots_node(ngx_http_travel_zone_t *zone)
{
    ngx_http_travel_slots_t  *sh;

    sh = zone->shards[0].data;

    return travel_siphash(&sh->key, "node", 4);
}


ngx_uint_t
ngx_http_travel_slots_settle(ngx_http_travel_zone_t *zone,
    travel_stream_id_t id)
{
    ngx_uint_t                ours;
    ngx_http_travel_slots_t  *sh;

    ngx_http_travel_shard_lock(&zone->shards[0]);

    sh = zone->shards[0].data;
    ours = travel_stream_id_cmp(id, sh->settled) > 0;

    if (ours) {
        sh->settled = id;
    }

    ngx_http_travel_shard_unlock(&zone->shards[0]);

    return ours;
}


void
ngx_http_travel_slots_restart(ngx_http_travel_zone_t *zone,
    travel_stream_id_t asked, travel_stream_id_t id)
{
    ngx_uint_t                new;
    ngx_http_travel_slots_t  *sh;

    new = (asked.ms == 0);

    ngx_http_travel_shard_lock(&zone->shards[0]);

    sh = zone->shards[0].data;

    if (new ? sh->settled.ms == 0
            : travel_stream_id_cmp(id, asked) < 0
              && travel_stream_id_cmp(sh->settled, asked) >= 0)
    {
        sh->settled = id;
    }

    ngx_http_travel_shard_unlock(&zone->shards[0]);
}


travel_stream_id_t
ngx_http_travel_slots_settled(ngx_http_travel_zone_t *zone)
{
    travel_stream_id_t        id;
    ngx_http_travel_slots_t  *sh;

    ngx_http_travel_shard_lock(&zone->shards[0]);

    sh = zone->shards[0].data;
    id = sh->settled;

    ngx_http_travel_shard_unlock(&zone->shards[0]);

    return id;
}


/* An evicted slot was born again, an emptied one not at all. */
static ngx_uint_t
ngx_http_travel_slots_mine_locked(const ngx_http_travel_verdict_t *v,
    uint64_t *now)
{
    ngx_http_travel_slot_t  *slot;

    slot = v->slot;

    if (slot->born != v->born || slot->policy != v->policy->id) {
        return 0;
    }

    /* another process may have read the clock earlier and come later */
    slot->seen = ngx_max(slot->seen, *now);
    *now = slot->seen;

    return 1;
}


static void
ngx_http_travel_slots_undo_locked(ngx_http_travel_slot_t *slot,
    ngx_http_travel_verdict_t *v, uint64_t now)
{
    ngx_uint_t                 i;
    ngx_http_travel_window_t  *window;

    window = v->policy->windows;

    for (i = 0; i < v->policy->nwindows; i++) {

        if (window[i].calendar) {
            travel_window_day_undo(&slot->windows[i], v->cost, v->day.day);
            continue;
        }

        travel_window_undo(&slot->windows[i], &window[i].rule, v->cost,
                           v->marks[i], (uint32_t) v->at, (uint32_t) now);
    }

    v->at = now;
    v->counted = 0;

    ngx_http_travel_slots_advance_locked(slot, v);
}


/* What the client may know of the key: the same on every node, and nothing
 * that leads back to it if it cannot be guessed. */
static ngx_int_t
ngx_http_travel_slots_pk(ngx_http_travel_verdict_t *v, const ngx_str_t *key)
{
    uint8_t       md[TRAVEL_SHA256_LEN];
    ngx_str_t     dst, src;
    travel_str_t  part[2];

    part[0].data = (char *) &v->policy->id;
    part[0].len = sizeof(v->policy->id);
    part[1] = ngx_http_travel_view(key);

    if (travel_sha256_parts(md, part, 2) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    src.data = md;
    src.len = sizeof(v->pk) / 4 * 3;
    dst.data = v->pk;

    ngx_encode_base64(&dst, &src);

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_slots_key(ngx_http_travel_slots_key_t *dst, uint64_t policy,
    const ngx_str_t *key)
{
    dst->policy = policy;

    if (key->len <= NGX_HTTP_TRAVEL_LIMIT_KEY) {
        ngx_memcpy(dst->bytes, key->data, key->len);
        dst->len = (u_char) key->len;
        return NGX_OK;
    }

    ngx_memzero(dst->bytes, sizeof(dst->bytes));
    dst->len = NGX_HTTP_TRAVEL_SLOTS_HASHED;

    return (travel_sha256(dst->bytes, ngx_http_travel_view(key)) == TRAVEL_OK)
           ? NGX_OK : NGX_ERROR;
}


static ngx_http_travel_slot_t *
ngx_http_travel_slots_find_locked(ngx_http_travel_slots_t *sh, uint64_t hash,
    const ngx_http_travel_slots_key_t *key, ngx_http_travel_verdict_t *v)
{
    size_t                        len;
    ngx_uint_t                    i, victim;
    ngx_http_travel_slot_t       *slot;
    ngx_http_travel_slots_set_t  *set;

    set = &sh->sets[((hash & 0xffffffff) * sh->nsets) >> 32];
    len = ngx_min(key->len, NGX_HTTP_TRAVEL_LIMIT_KEY);

    for (i = 0; i < NGX_HTTP_TRAVEL_SLOTS_WAYS; i++) {

        slot = &set->slots[i];

        if (set->hash[i] == hash
            && slot->policy == key->policy
            && slot->key_len == key->len
            && ngx_memcmp(slot->key, key->bytes, len) == 0)
        {
            return slot;
        }
    }

    for (i = 0, victim = 0; i < NGX_HTTP_TRAVEL_SLOTS_WAYS; i++) {

        if (set->hash[i] == 0) {
            victim = i;
            break;
        }

        if (set->slots[i].seen < set->slots[victim].seen) {
            victim = i;
        }
    }

    slot = &set->slots[victim];

    v->evicted = (set->hash[victim] != 0
                  && slot->seen + slot->longest > v->at);

    ngx_memzero(slot, sizeof(ngx_http_travel_slot_t));
    set->hash[victim] = hash;
    slot->policy = key->policy;
    slot->born = ++sh->born;
    slot->seen = v->at;
    slot->longest = v->policy->windows[v->policy->nwindows - 1].rule.span;
    slot->key_len = key->len;
    ngx_memcpy(slot->key, key->bytes, len);

    return slot;
}


static void
ngx_http_travel_slots_ask_locked(ngx_http_travel_slot_t *slot,
    ngx_uint_t count, ngx_http_travel_verdict_t *v)
{
    uint32_t                         need;
    ngx_uint_t                       i;
    travel_window_t                 *w;
    const ngx_http_travel_window_t  *window;

    /* after two days nothing counts any more, and 32 bits are soon too few */
    if (v->at > slot->seen + 2 * (uint64_t) TRAVEL_WINDOW_SPAN_MAX) {
        ngx_memzero(slot->windows, sizeof(slot->windows));
        ngx_memzero(&slot->lease, sizeof(slot->lease));
    }

    /* another process may have read the clock earlier and come later */
    slot->seen = ngx_max(slot->seen, v->at);
    v->at = slot->seen;

    window = v->policy->windows;
    need = v->cost ? v->cost : 1;

    for (i = 0; i < v->policy->nwindows; i++) {
        w = &slot->windows[i];

        if (window[i].calendar) {
            travel_window_turn(w, v->day.day);

        } else {
            travel_window_advance(w, &window[i].rule, (uint32_t) v->at);
        }

        if (travel_window_room(w, &window[i].rule) < need) {
            v->full = 1;
            v->blocks |= 1u << i;
        }
    }

    v->asked = 1;
    v->slot = slot;
    v->born = slot->born;

    if (v->shared && !v->full && count && v->cost != 0) {
        ngx_http_travel_shared_take_locked(&slot->lease, v);
    }

    if (!v->full && count && !v->waits) {
        ngx_http_travel_slots_take_locked(slot, v);
    }

    ngx_http_travel_slots_report_locked(slot, v);

    if (v->shared) {
        ngx_http_travel_shared_report_locked(&slot->lease, v);

    } else if (v->counted && v->policy->mode == NGX_HTTP_TRAVEL_MODE_GLOBAL) {

        /* without Redis; the others hear of it when it is back */
        slot->lease.credit += v->cost;
        v->on_credit = 1;
    }
}


static void
ngx_http_travel_slots_advance_locked(ngx_http_travel_slot_t *slot,
    const ngx_http_travel_verdict_t *v)
{
    ngx_uint_t                       i;
    const ngx_http_travel_window_t  *window;

    window = v->policy->windows;

    for (i = 0; i < v->policy->nwindows; i++) {

        if (window[i].calendar) {
            travel_window_turn(&slot->windows[i], v->day.day);
            continue;
        }

        travel_window_advance(&slot->windows[i], &window[i].rule,
                              (uint32_t) v->at);
    }
}


static void
ngx_http_travel_slots_take_locked(ngx_http_travel_slot_t *slot,
    ngx_http_travel_verdict_t *v)
{
    ngx_uint_t                       i;
    const ngx_http_travel_window_t  *window;

    if (v->cost == 0) {
        return;
    }

    window = v->policy->windows;

    for (i = 0; i < v->policy->nwindows; i++) {

        if (window[i].calendar) {
            travel_window_day_take(&slot->windows[i], v->cost);
            continue;
        }

        v->marks[i] = (uint8_t) travel_window_take(&slot->windows[i],
                                                   &window[i].rule, v->cost,
                                                   (uint32_t) v->at);
    }

    v->counted = 1;
}


/* Room and times as they are now, at v->at. */
static void
ngx_http_travel_slots_report_locked(ngx_http_travel_slot_t *slot,
    ngx_http_travel_verdict_t *v)
{
    uint32_t                         now, need, wait;
    ngx_uint_t                       i;
    const travel_window_t           *w;
    const ngx_http_travel_window_t  *window;

    now = (uint32_t) v->at;
    need = v->cost ? v->cost : 1;
    v->worst = 0;
    v->retry = 0;

    for (i = 0; i < v->policy->nwindows; i++) {
        w = &slot->windows[i];
        window = &v->policy->windows[i];

        v->room[i] = travel_window_room(w, &window->rule);

        if (window->calendar) {
            v->wait[i] = w->sum ? v->day.left : 0;

        } else {
            v->wait[i] = v->room[i]
                         ? travel_window_more(w, &window->rule, now)
                         : travel_window_wait(w, &window->rule, 1, now);
        }

        if (v->blocks & (1u << i)) {
            wait = window->calendar
                   ? travel_window_day_wait(w, &window->rule, need,
                                            v->day.day, v->day.left)
                   : travel_window_wait(w, &window->rule, need, now);

            /* who refuses goes first, and of them who does for longest */
            if (wait >= v->retry) {
                v->retry = wait;
                v->worst = i;
            }

        } else if (v->blocks == 0
                   && (v->room[i] < v->room[v->worst]
                       || (v->room[i] == 0
                           && v->wait[i] > v->wait[v->worst])))
        {
            v->worst = i;
        }
    }
}
