/*
 * Each caller's last write, so that nobody reads before it, token or not.
 *
 * A zone of sets of eight slots, found by the user's hash, each set within one
 * shard and under that shard's lock.  When a set is full the oldest write in
 * it goes, and its position becomes the shard's floor: whoever is not found is
 * held to the floor, so forgetting costs a little freshness of choice and
 * never a stale read.  The same rule covers a shard emptied after a crash: it
 * starts with the floor at what the node knew then.  After a gap in the stream
 * everybody may have written unheard: 'missed' is where the node has caught up.
 */

#include "ngx_http_travel_cache_room.h"
#include "../../common/ids.h"


#define NGX_HTTP_TRAVEL_WRITERS_WAYS  8

typedef struct {
    travel_uuid_t          user;
    travel_consistency_t   write;        /* lsn 0: the slot is free */
} ngx_http_travel_writer_t;

typedef struct {
    travel_consistency_t      floor;     /* of whoever is not found */
    travel_consistency_t      missed;    /* of everybody: a break's end */
    ngx_uint_t                nsets;
    ngx_http_travel_writer_t  slots[1];
} ngx_http_travel_writers_t;


static ngx_http_travel_writer_t *ngx_http_travel_writers_set(
    ngx_http_travel_shard_t *shard, uint64_t hash);
static void ngx_http_travel_writers_raise(travel_consistency_t *to,
    const travel_consistency_t *write);


static ngx_http_travel_zone_t  *ngx_http_travel_writers_zone;


ngx_int_t
ngx_http_travel_writers_init(ngx_http_travel_shard_t *shard)
{
    size_t                        room;
    ngx_http_travel_node_t        node;
    ngx_http_travel_writers_t    *w;

    room = (shard->pool->pfree - 1) * ngx_pagesize;

    w = ngx_slab_calloc_locked(shard->pool, room);
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->nsets = (room - offsetof(ngx_http_travel_writers_t, slots))
               / (NGX_HTTP_TRAVEL_WRITERS_WAYS
                  * sizeof(ngx_http_travel_writer_t));

    if (ngx_http_travel_writers_zone != NULL) {
        ngx_http_travel_node(&node);
        w->floor.commit = node.commit;
        w->floor.inval = node.pos;
    }

    shard->data = w;

    return NGX_OK;
}


void
ngx_http_travel_writers_use(ngx_http_travel_zone_t *zone)
{
    ngx_http_travel_writers_zone = zone;
}


void
ngx_http_travel_writers_missed(const travel_consistency_t *missed)
{
    ngx_uint_t                  i;
    ngx_http_travel_shard_t    *shard;
    ngx_http_travel_writers_t  *w;

    for (i = 0; i < ngx_http_travel_writers_zone->nshards; i++) {
        shard = &ngx_http_travel_writers_zone->shards[i];

        ngx_http_travel_shard_lock(shard);

        w = shard->data;
        ngx_http_travel_writers_raise(&w->missed, missed);

        ngx_http_travel_shard_unlock(shard);
    }
}


static ngx_http_travel_writer_t *
ngx_http_travel_writers_set(ngx_http_travel_shard_t *shard, uint64_t hash)
{
    ngx_http_travel_writers_t  *w;

    w = shard->data;

    return &w->slots[(uint32_t) hash % w->nsets
                     * NGX_HTTP_TRAVEL_WRITERS_WAYS];
}


static void
ngx_http_travel_writers_raise(travel_consistency_t *to,
    const travel_consistency_t *write)
{
    if (travel_lsn_cmp(write->commit, to->commit) > 0) {
        to->commit = write->commit;
    }

    if (travel_stream_id_cmp(write->inval, to->inval) > 0) {
        to->inval = write->inval;
    }
}


void
ngx_http_travel_writer_note(const ngx_str_t *user,
    const travel_consistency_t *write)
{
    uint64_t                    hash;
    ngx_uint_t                  i;
    travel_uuid_t               id;
    ngx_http_travel_shard_t    *shard;
    ngx_http_travel_writer_t   *slot, *victim;
    ngx_http_travel_writers_t  *w;

    if (ngx_http_travel_writers_zone == NULL
        || travel_uuid_parse(&id, ngx_http_travel_view(user)) != TRAVEL_OK)
    {
        return;
    }

    hash = travel_siphash(ngx_http_travel_node_key(), &id, sizeof(id));
    shard = ngx_http_travel_shard(ngx_http_travel_writers_zone, hash);

    ngx_http_travel_shard_lock(shard);

    w = shard->data;
    slot = ngx_http_travel_writers_set(shard, hash);
    victim = slot;

    for (i = 0; i < NGX_HTTP_TRAVEL_WRITERS_WAYS; i++) {

        if (ngx_memcmp(&slot[i].user, &id, sizeof(id)) == 0) {
            ngx_http_travel_writers_raise(&slot[i].write, write);
            ngx_http_travel_shard_unlock(shard);
            return;
        }

        if (travel_stream_id_cmp(slot[i].write.inval, victim->write.inval)
            < 0)
        {
            victim = &slot[i];
        }
    }

    ngx_http_travel_writers_raise(&w->floor, &victim->write);

    victim->user = id;
    victim->write = *write;

    ngx_http_travel_shard_unlock(shard);
}


void
ngx_http_travel_writer_last(const ngx_str_t *user,
    travel_consistency_t *ret_write)
{
    uint64_t                    hash;
    ngx_uint_t                  i;
    travel_uuid_t               id;
    ngx_http_travel_shard_t    *shard;
    ngx_http_travel_writer_t   *slot;
    ngx_http_travel_writers_t  *w;

    ngx_memzero(ret_write, sizeof(travel_consistency_t));

    if (ngx_http_travel_writers_zone == NULL
        || travel_uuid_parse(&id, ngx_http_travel_view(user)) != TRAVEL_OK)
    {
        return;
    }

    hash = travel_siphash(ngx_http_travel_node_key(), &id, sizeof(id));
    shard = ngx_http_travel_shard(ngx_http_travel_writers_zone, hash);

    ngx_http_travel_shard_lock(shard);

    w = shard->data;
    slot = ngx_http_travel_writers_set(shard, hash);
    *ret_write = w->floor;

    for (i = 0; i < NGX_HTTP_TRAVEL_WRITERS_WAYS; i++) {
        if (ngx_memcmp(&slot[i].user, &id, sizeof(id)) == 0) {
            *ret_write = slot[i].write;
            break;
        }
    }

    ngx_http_travel_writers_raise(ret_write, &w->missed);

    ngx_http_travel_shard_unlock(shard);
}
