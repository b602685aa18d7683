/*
 * Which fills are under way on this node, for all of its nginx workers.
 *
 * The zone "fills" is a table of leases under each shard's lock: the hash of a
 * key, who fills it, from which position.  A hash stands for its key here: two
 * keys of one hash wait for each other, look again, and go on alone.  A lease
 * ends with its fill; of a worker that died it ends by time, or when somebody
 * who waits finds that the process is gone.
 *
 * A lease is looked for in a bounded number of slots.  When those are taken the
 * fill goes on without one, which costs a statement and nothing else.
 */

#include "ngx_http_travel_cache_room.h"


#define NGX_HTTP_TRAVEL_LEASE_PROBES  8
#define NGX_HTTP_TRAVEL_LEASE_TIME    10000    /* ms */


typedef struct {
    uint64_t              hash;
    uint64_t              generation;
    travel_stream_id_t    pos;
    ngx_msec_t            until;        /* ngx_current_msec of any worker */
    ngx_pid_t             pid;          /* 0: free */
    uint32_t              serial;       /* of the fill, in its worker */
} ngx_http_travel_lease_t;

typedef struct {
    ngx_uint_t                nslots;
    ngx_http_travel_lease_t   slots[1];
} ngx_http_travel_leases_t;


static ngx_http_travel_lease_t *ngx_http_travel_lease_slot_locked(
    ngx_http_travel_leases_t *t, uint64_t hash);
static ngx_uint_t ngx_http_travel_lease_runs(
    const ngx_http_travel_lease_t *lease);
static ngx_uint_t ngx_http_travel_lease_joinable(
    const ngx_http_travel_lease_t *lease, const ngx_http_travel_fill_t *fill,
    travel_stream_id_t need);
static void ngx_http_travel_lease_end(uint64_t hash, ngx_pid_t pid,
    uint32_t serial);


static ngx_http_travel_zone_t  *ngx_http_travel_lease_zone;
static uint32_t                 ngx_http_travel_lease_serial;


ngx_int_t
ngx_http_travel_lease_init(ngx_http_travel_shard_t *shard)
{
    size_t                     room;
    ngx_http_travel_leases_t  *t;

    room = (shard->pool->pfree - 1) * ngx_pagesize;

    t = ngx_slab_alloc_locked(shard->pool, room);
    if (t == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(t, room);

    t->nslots = (room - offsetof(ngx_http_travel_leases_t, slots))
                / sizeof(ngx_http_travel_lease_t);
    shard->data = t;

    return NGX_OK;
}


void
ngx_http_travel_lease_use(ngx_http_travel_zone_t *zone)
{
    ngx_http_travel_lease_zone = zone;
}


/* The key's slot, or one that may be taken, or NULL. */
static ngx_http_travel_lease_t *
ngx_http_travel_lease_slot_locked(ngx_http_travel_leases_t *t, uint64_t hash)
{
    ngx_uint_t                i;
    ngx_http_travel_lease_t  *lease, *spare;

    spare = NULL;

    for (i = 0; i < NGX_HTTP_TRAVEL_LEASE_PROBES; i++) {
        lease = &t->slots[((uint32_t) hash + i) % t->nslots];

        if (lease->pid != 0 && lease->hash == hash) {
            return lease;
        }

        if (spare == NULL && !ngx_http_travel_lease_runs(lease)) {
            spare = lease;
        }
    }

    return spare;
}


static ngx_uint_t
ngx_http_travel_lease_runs(const ngx_http_travel_lease_t *lease)
{
    return lease->pid != 0
           && (ngx_msec_int_t) (lease->until - ngx_current_msec) > 0;
}


/* Somebody else's fill, whose answer would do for this caller. */
static ngx_uint_t
ngx_http_travel_lease_joinable(const ngx_http_travel_lease_t *lease,
    const ngx_http_travel_fill_t *fill, travel_stream_id_t need)
{
    return ngx_http_travel_lease_runs(lease) && lease->hash == fill->hash
           && lease->pid != ngx_pid && lease->generation == fill->generation
           && travel_stream_id_cmp(lease->pos, need) >= 0;
}


ngx_int_t
ngx_http_travel_lease_take(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t need, uint32_t *ret_serial)
{
    ngx_int_t                  rc;
    ngx_http_travel_shard_t   *shard;
    ngx_http_travel_lease_t   *lease;

    *ret_serial = 0;
    rc = NGX_OK;

    if (ngx_http_travel_lease_zone == NULL) {
        return NGX_OK;
    }

    shard = ngx_http_travel_shard(ngx_http_travel_lease_zone, fill->hash);

    ngx_http_travel_shard_lock(shard);

    lease = ngx_http_travel_lease_slot_locked(shard->data, fill->hash);

    if (lease != NULL && ngx_http_travel_lease_joinable(lease, fill, need)) {
        rc = NGX_BUSY;

    } else if (lease != NULL) {

        if (++ngx_http_travel_lease_serial == 0) {
            ngx_http_travel_lease_serial = 1;
        }

        lease->hash = fill->hash;
        lease->generation = fill->generation;
        lease->pos = fill->pos;
        lease->until = ngx_current_msec + NGX_HTTP_TRAVEL_LEASE_TIME;
        lease->pid = ngx_pid;
        lease->serial = ngx_http_travel_lease_serial;

        *ret_serial = lease->serial;
    }

    ngx_http_travel_shard_unlock(shard);

    return rc;
}


void
ngx_http_travel_lease_drop(uint64_t hash, uint32_t serial)
{
    if (serial != 0) {
        ngx_http_travel_lease_end(hash, ngx_pid, serial);
    }
}


static void
ngx_http_travel_lease_end(uint64_t hash, ngx_pid_t pid, uint32_t serial)
{
    ngx_http_travel_shard_t   *shard;
    ngx_http_travel_lease_t   *lease;

    shard = ngx_http_travel_shard(ngx_http_travel_lease_zone, hash);

    ngx_http_travel_shard_lock(shard);

    lease = ngx_http_travel_lease_slot_locked(shard->data, hash);

    if (lease != NULL && lease->hash == hash && lease->pid == pid
        && lease->serial == serial)
    {
        lease->pid = 0;
    }

    ngx_http_travel_shard_unlock(shard);
}


ngx_uint_t
ngx_http_travel_lease_held(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t need, travel_stream_id_t *ret_pos)
{
    ngx_http_travel_lease_t    copy;
    ngx_http_travel_shard_t   *shard;
    ngx_http_travel_lease_t   *lease;

    if (ngx_http_travel_lease_zone == NULL) {
        return 0;
    }

    ngx_memzero(&copy, sizeof(ngx_http_travel_lease_t));

    shard = ngx_http_travel_shard(ngx_http_travel_lease_zone, fill->hash);

    ngx_http_travel_shard_lock(shard);

    lease = ngx_http_travel_lease_slot_locked(shard->data, fill->hash);

    if (lease != NULL) {
        copy = *lease;
    }

    ngx_http_travel_shard_unlock(shard);

    if (!ngx_http_travel_lease_joinable(&copy, fill, need)) {
        return 0;
    }

    if (kill(copy.pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
        ngx_http_travel_lease_end(copy.hash, copy.pid, copy.serial);
        return 0;
    }

    *ret_pos = copy.pos;

    return 1;
}
