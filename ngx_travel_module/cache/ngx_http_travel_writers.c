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
 *
 * Where the stream's ids have gone back since a write was noted, its id means
 * nothing any more; its commit still does.
 */

#include "ngx_http_travel_cache_room.h"
#include "../../common/ids.h"


#define NGX_HTTP_TRAVEL_WRITERS_WAYS  8

typedef struct {
    travel_lsn_t           commit;       /* lsn 0: nothing is known */
    travel_stream_id_t     inval;
    uint64_t               ids;          /* the run that inval is of */
} ngx_http_travel_written_t;

typedef struct {
    travel_uuid_t              user;
    ngx_http_travel_written_t  write;
} ngx_http_travel_writer_t;

typedef struct {
    ngx_http_travel_written_t  floor;    /* of whoever is not found */
    ngx_http_travel_written_t  missed;   /* of everybody: a gap's end */
    ngx_uint_t                nsets;
    ngx_http_travel_writer_t  slots[1];
} ngx_http_travel_writers_t;


static ngx_http_travel_writer_t *ngx_http_travel_writers_set(
    ngx_http_travel_shard_t *shard, uint64_t hash);
static void ngx_http_travel_writers_raise(ngx_http_travel_written_t *to,
    const ngx_http_travel_written_t *write);
static ngx_http_travel_written_t ngx_http_travel_written(
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
        w->floor.ids = ngx_http_travel_node_ids();
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
    ngx_http_travel_written_t   written;
    ngx_http_travel_writers_t  *w;

    written = ngx_http_travel_written(missed);

    for (i = 0; i < ngx_http_travel_writers_zone->nshards; i++) {
        shard = &ngx_http_travel_writers_zone->shards[i];

        ngx_http_travel_shard_lock(shard);

        w = shard->data;
        ngx_http_travel_writers_raise(&w->missed, &written);

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
ngx_http_travel_writers_raise(ngx_http_travel_written_t *to,
    const ngx_http_travel_written_t *write)
{
    if (travel_lsn_cmp(write->commit, to->commit) > 0) {
        to->commit = write->commit;
    }

    if (write->ids == ngx_http_travel_node_ids()
        && (to->ids != write->ids
            || travel_stream_id_cmp(write->inval, to->inval) > 0))
    {
        to->ids = write->ids;
        to->inval = write->inval;
    }
}


static ngx_http_travel_written_t
ngx_http_travel_written(const travel_consistency_t *write)
{
    ngx_http_travel_written_t  w;

    w.commit = write->commit;
    w.inval = write->inval;
    w.ids = ngx_http_travel_node_ids();

    return w;
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
    ngx_http_travel_written_t   written;
    ngx_http_travel_writers_t  *w;

    if (ngx_http_travel_writers_zone == NULL
        || travel_uuid_parse(&id, ngx_http_travel_view(user)) != TRAVEL_OK)
    {
        return;
    }

    written = ngx_http_travel_written(write);
    hash = travel_siphash(ngx_http_travel_node_key(), &id, sizeof(id));
    shard = ngx_http_travel_shard(ngx_http_travel_writers_zone, hash);

    ngx_http_travel_shard_lock(shard);

    w = shard->data;
    slot = ngx_http_travel_writers_set(shard, hash);
    victim = slot;

    for (i = 0; i < NGX_HTTP_TRAVEL_WRITERS_WAYS; i++) {

        if (ngx_memcmp(&slot[i].user, &id, sizeof(id)) == 0) {
            ngx_http_travel_writers_raise(&slot[i].write, &written);
            ngx_http_travel_shard_unlock(shard);
            return;
        }

        if (travel_lsn_cmp(slot[i].write.commit, victim->write.commit) < 0) {
            victim = &slot[i];
        }
    }

    ngx_http_travel_writers_raise(&w->floor, &victim->write);

    victim->user = id;
    victim->write = written;

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
    ngx_http_travel_written_t   written;
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
    written = w->floor;

    for (i = 0; i < NGX_HTTP_TRAVEL_WRITERS_WAYS; i++) {
        if (ngx_memcmp(&slot[i].user, &id, sizeof(id)) == 0) {
            written = slot[i].write;
            break;
        }
    }

    ngx_http_travel_writers_raise(&written, &w->missed);

    ngx_http_travel_shard_unlock(shard);

    ret_write->commit = written.commit;

    if (written.ids == ngx_http_travel_node_ids()) {
        ret_write->inval = written.inval;
    }
}
