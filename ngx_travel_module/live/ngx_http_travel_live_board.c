/*
 * The board's members, channels and ring: see the header.
 *
 * Positions in the ring count bytes and only grow; a position's place is its
 * remainder.  Notices begin at multiples of 32, which the ring's size is too,
 * so what is left before its end always holds a notice's head: one that nobody
 * reads fills it when the next does not fit.
 */

#include "ngx_http_travel_live_board.h"

#define NGX_HTTP_TRAVEL_BOARD_ZONE    (16 * 1024 * 1024)
#define NGX_HTTP_TRAVEL_BOARD_LAYOUT  2
#define NGX_HTTP_TRAVEL_BOARD_UNIT    32
#define NGX_HTTP_TRAVEL_BOARD_SPREAD  2048     /* bytes of zone to a bucket */


static ngx_int_t ngx_http_travel_board_init(ngx_http_travel_shard_t *shard);
static void ngx_http_travel_board_ring(ngx_http_travel_board_t *board,
    uint64_t readers, ngx_http_travel_bells_t *bells);
static void ngx_http_travel_board_room_locked(ngx_http_travel_board_t *board,
    size_t size);


static ngx_inline uint64_t
ngx_http_travel_board_bit(ngx_int_t member)
{
    return (uint64_t) 1 << member;
}


static ngx_inline ngx_http_travel_notice_t *
ngx_http_travel_board_at(ngx_http_travel_board_t *board, uint64_t position)
{
    return (ngx_http_travel_notice_t *) (board->ring
                                         + position % board->size);
}


ngx_http_travel_zone_t *
ngx_http_travel_board_zone(ngx_conf_t *cf)
{
    return ngx_http_travel_zone(cf, "relay", NGX_HTTP_TRAVEL_BOARD_ZONE, 1,
                                NGX_HTTP_TRAVEL_BOARD_LAYOUT,
                                ngx_http_travel_board_init);
}


/* A quarter of the zone is the ring; channels have the rest. */
static ngx_int_t
ngx_http_travel_board_init(ngx_http_travel_shard_t *shard)
{
    size_t                    size;
    ngx_http_travel_board_t  *board;

    board = ngx_slab_calloc_locked(shard->pool,
                                   sizeof(ngx_http_travel_board_t));
    if (board == NULL
        || ngx_http_travel_shard_key(shard, &board->secret,
                                     offsetof(ngx_http_travel_board_t, secret))
           != NGX_OK
        || travel_random(&board->epoch, sizeof(board->epoch)) != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    board->holder = NGX_HTTP_TRAVEL_BOARD_NOBODY;
    board->link = 1;
    size = shard->pool->end - shard->pool->start;

    board->nbuckets = size / NGX_HTTP_TRAVEL_BOARD_SPREAD;
    board->buckets = ngx_slab_calloc_locked(shard->pool,
                         board->nbuckets * sizeof(ngx_http_travel_channel_t *));

    board->size = size / 4 / NGX_HTTP_TRAVEL_BOARD_UNIT
                  * NGX_HTTP_TRAVEL_BOARD_UNIT;
    board->ring = ngx_slab_alloc_locked(shard->pool, board->size);

    if (board->buckets == NULL || board->ring == NULL) {
        return NGX_ERROR;
    }

    shard->data = board;

    return NGX_OK;
}


/* --- members ------------------------------------------------------------- */

static uint64_t
ngx_http_travel_board_all(const ngx_http_travel_board_t *board)
{
    uint64_t    all;
    ngx_uint_t  i;

    all = 0;

    for (i = 0; i < NGX_HTTP_TRAVEL_BOARD_MEMBERS; i++) {
        if (board->members[i].pid > 0) {
            all |= ngx_http_travel_board_bit(i);
        }
    }

    return all;
}


ngx_int_t
ngx_http_travel_board_enter_locked(ngx_http_travel_board_t *board,
    uint64_t name)
{
    ngx_int_t                  i;
    ngx_http_travel_member_t  *m;

    for (i = 0; i < NGX_HTTP_TRAVEL_BOARD_MEMBERS; i++) {
        m = &board->members[i];

        if (m->pid == 0) {
            ngx_memzero(m, sizeof(ngx_http_travel_member_t));
            m->pid = ngx_pid;
            m->name = name;
            m->beat = ngx_current_msec;
            m->read = board->head;
            return i;
        }
    }

    return NGX_BUSY;
}


void
ngx_http_travel_board_expel_locked(ngx_http_travel_board_t *board,
    ngx_int_t member, ngx_http_travel_bells_t *bells)
{
    board->members[member].pid = NGX_HTTP_TRAVEL_BOARD_LEAVING;

    if (board->holder == member) {
        ngx_http_travel_board_hold_locked(board, NGX_HTTP_TRAVEL_BOARD_NOBODY,
                                          bells);
    }
}


void
ngx_http_travel_board_free_locked(ngx_http_travel_board_t *board,
    ngx_int_t member)
{
    ngx_uint_t  lost;

    /* what it has not read must not be missed by who has its place next */
    board->members[member].lost = 1;
    (void) ngx_http_travel_board_read_locked(board, member, NULL, 0, &lost);

    board->members[member].pid = 0;
}


void
ngx_http_travel_board_hold_locked(ngx_http_travel_board_t *board,
    ngx_int_t member, ngx_http_travel_bells_t *bells)
{
    board->holder = member;
    board->turn++;
    ngx_http_travel_board_down_locked(board, bells);
}


void
ngx_http_travel_board_down_locked(ngx_http_travel_board_t *board,
    ngx_http_travel_bells_t *bells)
{
    ngx_str_t  none = ngx_string("");

    board->link++;
    ngx_http_travel_board_write_locked(board, ngx_http_travel_board_all(board),
                                       NGX_HTTP_TRAVEL_NOTICE_DOWN, &none,
                                       &none, &none, bells);
}


/* --- channels ------------------------------------------------------------ */

static ngx_http_travel_channel_t **
ngx_http_travel_board_place(ngx_http_travel_board_t *board,
    const ngx_str_t *name)
{
    uint64_t                     hash;
    ngx_http_travel_channel_t  **at;

    hash = travel_siphash(&board->secret, name->data, name->len);

    for (at = &board->buckets[hash % board->nbuckets]; *at != NULL;
         at = &(*at)->next)
    {
        if ((*at)->len == name->len
            && ngx_memcmp((*at)->name, name->data, name->len) == 0)
        {
            break;
        }
    }

    return at;
}


ngx_http_travel_channel_t *
ngx_http_travel_board_find_locked(ngx_http_travel_board_t *board,
    const ngx_str_t *name)
{
    return *ngx_http_travel_board_place(board, name);
}


static void
ngx_http_travel_board_tell_holder(ngx_http_travel_board_t *board,
    ngx_http_travel_notice_e kind, const ngx_str_t *name,
    ngx_http_travel_bells_t *bells)
{
    ngx_str_t  none = ngx_string("");

    if (board->holder != NGX_HTTP_TRAVEL_BOARD_NOBODY) {
        ngx_http_travel_board_write_locked(board,
            ngx_http_travel_board_bit(board->holder), kind, name, &none, &none,
            bells);
    }
}


ngx_int_t
ngx_http_travel_board_join_locked(ngx_http_travel_shard_t *shard,
    ngx_int_t member, const ngx_str_t *name, ngx_http_travel_bells_t *bells)
{
    ngx_str_t                     none = ngx_string("");
    ngx_http_travel_board_t      *board = shard->data;
    ngx_http_travel_channel_t    *channel, **at;

    at = ngx_http_travel_board_place(board, name);
    channel = *at;

    if (channel == NULL) {

        if (name->len > 255) {
            return NGX_ERROR;
        }

        channel = ngx_slab_calloc_locked(shard->pool,
                                         sizeof(ngx_http_travel_channel_t)
                                         + name->len);
        if (channel == NULL) {
            return NGX_ERROR;
        }

        channel->len = name->len;
        ngx_memcpy(channel->name, name->data, name->len);
        *at = channel;
    }

    channel->members |= ngx_http_travel_board_bit(member);

    if (channel->link == board->link) {
        ngx_http_travel_board_write_locked(board,
            ngx_http_travel_board_bit(member), NGX_HTTP_TRAVEL_NOTICE_JOINED,
            name, &none, &none, bells);

    } else {
        channel->joins = ++board->joins;
        ngx_http_travel_board_tell_holder(board, NGX_HTTP_TRAVEL_NOTICE_JOIN,
                                          name, bells);
    }

    return NGX_OK;
}


void
ngx_http_travel_board_leave_locked(ngx_http_travel_shard_t *shard,
    ngx_int_t member, const ngx_str_t *name, ngx_http_travel_bells_t *bells)
{
    ngx_http_travel_board_t     *board = shard->data;
    ngx_http_travel_channel_t   *channel, **at;

    at = ngx_http_travel_board_place(board, name);
    channel = *at;

    if (channel == NULL) {
        return;
    }

    channel->members &= ~ngx_http_travel_board_bit(member);

    if (channel->members == 0) {
        *at = channel->next;
        ngx_slab_free_locked(shard->pool, channel);
        ngx_http_travel_board_tell_holder(board, NGX_HTTP_TRAVEL_NOTICE_LEAVE,
                                          name, bells);
    }
}


static size_t
ngx_http_travel_board_walk_bucket(ngx_http_travel_shard_t *shard,
    ngx_http_travel_walk_e what, ngx_int_t member, ngx_uint_t bucket,
    u_char *buf)
{
    u_char                      *p = buf;
    uint64_t                     bit;
    ngx_uint_t                   wanted, joined;
    ngx_http_travel_board_t     *board = shard->data;
    ngx_http_travel_channel_t   *channel, **at;

    bit = ngx_http_travel_board_bit(member);
    at = &board->buckets[bucket];

    while (*at != NULL) {
        channel = *at;
        joined = channel->link == board->link;

        if (what == NGX_HTTP_TRAVEL_WALK_EXPEL) {
            channel->members &= ~bit;
            wanted = channel->members == 0;

        } else {
            wanted = what == NGX_HTTP_TRAVEL_WALK_JOINED
                     ? joined && (channel->members & bit) : !joined;
        }

        if (wanted) {
            *p++ = (u_char) channel->len;
            p = ngx_cpymem(p, channel->name, channel->len);
        }

        if (channel->members == 0) {
            *at = channel->next;
            ngx_slab_free_locked(shard->pool, channel);

        } else {
            at = &channel->next;
        }
    }

    return p - buf;
}


size_t
ngx_http_travel_board_walk_locked(ngx_http_travel_shard_t *shard,
    ngx_http_travel_walk_e what, ngx_int_t member, ngx_uint_t *bucket,
    u_char *buf, size_t size)
{
    size_t                      used, room;
    ngx_http_travel_board_t    *board = shard->data;
    ngx_http_travel_channel_t  *channel;

    used = 0;

    while (*bucket < board->nbuckets) {
        room = 0;

        for (channel = board->buckets[*bucket]; channel != NULL;
             channel = channel->next)
        {
            room += 1 + channel->len;
        }

        if (used > 0 && used + room > size) {
            break;
        }

        if (room <= size) {
            used += ngx_http_travel_board_walk_bucket(shard, what, member,
                                                      *bucket, buf + used);
        }

        (*bucket)++;
    }

    return used;
}


/* --- notices ------------------------------------------------------------- */

static void
ngx_http_travel_board_ring(ngx_http_travel_board_t *board, uint64_t readers,
    ngx_http_travel_bells_t *bells)
{
    ngx_uint_t                 i;
    ngx_http_travel_member_t  *m;

    for (i = 0; readers != 0; i++, readers >>= 1) {
        m = &board->members[i];

        if ((readers & 1) && !m->rung) {
            m->rung = 1;
            bells->names[bells->n++] = m->name;
        }
    }
}


static void
ngx_http_travel_board_lose(ngx_http_travel_board_t *board, uint64_t readers)
{
    ngx_uint_t  i;

    for (i = 0; readers != 0; i++, readers >>= 1) {
        if (readers & 1) {
            board->members[i].lost = 1;
        }
    }
}


/* The oldest go; whoever had still to read them has lost something. */
static void
ngx_http_travel_board_room_locked(ngx_http_travel_board_t *board, size_t size)
{
    ngx_http_travel_notice_t  *n;

    while (board->head + size - board->tail > board->size) {
        n = ngx_http_travel_board_at(board, board->tail);
        ngx_http_travel_board_lose(board, n->readers);
        board->tail += n->size;
    }
}


static ngx_http_travel_notice_t *
ngx_http_travel_board_append_locked(ngx_http_travel_board_t *board,
    size_t size)
{
    ngx_http_travel_notice_t  *n;

    ngx_http_travel_board_room_locked(board, size);

    n = ngx_http_travel_board_at(board, board->head);
    ngx_memzero(n, sizeof(ngx_http_travel_notice_t));
    n->size = (uint32_t) size;
    board->head += size;

    return n;
}


void
ngx_http_travel_board_write_locked(ngx_http_travel_board_t *board,
    uint64_t readers, ngx_http_travel_notice_e kind, const ngx_str_t *channel,
    const ngx_str_t *source, const ngx_str_t *payload,
    ngx_http_travel_bells_t *bells)
{
    size_t                     size, left;
    u_char                    *p;
    ngx_http_travel_notice_t  *n;

    if (readers == 0) {
        return;
    }

    ngx_http_travel_board_ring(board, readers, bells);

    size = ngx_align(sizeof(ngx_http_travel_notice_t) + channel->len
                     + source->len + payload->len, NGX_HTTP_TRAVEL_BOARD_UNIT);

    if (size > ngx_min(NGX_HTTP_TRAVEL_BOARD_NOTICE, board->size / 4)) {
        ngx_http_travel_board_lose(board, readers);
        return;
    }

    left = board->size - board->head % board->size;

    if (left < size) {
        (void) ngx_http_travel_board_append_locked(board, left);
    }

    n = ngx_http_travel_board_append_locked(board, size);
    n->readers = readers;
    n->kind = kind;
    n->channel = (uint16_t) channel->len;
    n->source = (uint16_t) source->len;
    n->payload = (uint32_t) payload->len;

    p = ngx_cpymem(n->data, channel->data, channel->len);
    p = ngx_cpymem(p, source->data, source->len);
    ngx_memcpy(p, payload->data, payload->len);
}


size_t
ngx_http_travel_board_read_locked(ngx_http_travel_board_t *board,
    ngx_int_t member, u_char *buf, size_t size, ngx_uint_t *ret_lost)
{
    size_t                     used;
    uint64_t                   bit;
    ngx_http_travel_member_t  *m;
    ngx_http_travel_notice_t  *n;

    bit = ngx_http_travel_board_bit(member);
    m = &board->members[member];
    used = 0;

    *ret_lost = m->lost;

    if (m->read < board->tail) {
        m->read = board->tail;
    }

    for ( /* void */ ; m->read < board->head; m->read += n->size) {
        n = ngx_http_travel_board_at(board, m->read);

        if ((n->readers & bit) && !m->lost) {

            if (used + n->size > size) {
                return used;
            }

            ngx_memcpy(buf + used, n, n->size);
            used += n->size;
        }

        n->readers &= ~bit;
    }

    m->rung = 0;
    m->lost = 0;

    return used;
}
