/*
 * Seats: how many guests a user, and an address, has on this node.
 *
 * Shared by the nginx workers: one shard with a table of chains, an entry for
 * each key and process.  A process that died cannot give its seats back, so
 * they are counted by process, and who finds no seat left looks whether the
 * others who hold some are still there (outside the lock), before he refuses.
 *
 * A shard that was emptied after a crash has forgotten the seats that are
 * taken: then more are let in than should be, until these have left.
 */

#include "ngx_http_travel_live_room.h"

#define NGX_HTTP_TRAVEL_SEATS_ZONE     (2 * 1024 * 1024)
#define NGX_HTTP_TRAVEL_SEATS_LAYOUT   1
#define NGX_HTTP_TRAVEL_SEATS_BUCKETS  4096
#define NGX_HTTP_TRAVEL_SEATS_OTHERS   32       /* processes looked at */


typedef struct ngx_http_travel_seat_s  ngx_http_travel_seat_t;

struct ngx_http_travel_seat_s {
    ngx_http_travel_seat_t   *next;
    uint64_t                  key;
    ngx_pid_t                 pid;
    ngx_uint_t                taken;
};

typedef struct {
    travel_siphash_key_t      secret;
    ngx_http_travel_seat_t   *buckets[NGX_HTTP_TRAVEL_SEATS_BUCKETS];
} ngx_http_travel_seats_t;


static ngx_int_t ngx_http_travel_seats_init(ngx_http_travel_shard_t *shard);
static ngx_uint_t ngx_http_travel_seats_count_locked(
    ngx_http_travel_seats_t *seats, uint64_t key, ngx_pid_t *others,
    ngx_uint_t *ret_n);
static ngx_int_t ngx_http_travel_seats_add_locked(
    ngx_http_travel_shard_t *shard, uint64_t key);
static void ngx_http_travel_seats_forget_locked(ngx_http_travel_shard_t *shard,
    uint64_t key, ngx_pid_t pid);


ngx_http_travel_zone_t *
ngx_http_travel_seats_zone(ngx_conf_t *cf)
{
    return ngx_http_travel_zone(cf, "live", NGX_HTTP_TRAVEL_SEATS_ZONE, 1,
                                NGX_HTTP_TRAVEL_SEATS_LAYOUT,
                                ngx_http_travel_seats_init);
}


static ngx_int_t
ngx_http_travel_seats_init(ngx_http_travel_shard_t *shard)
{
    ngx_http_travel_seats_t  *seats;

    seats = ngx_slab_calloc_locked(shard->pool,
                                   sizeof(ngx_http_travel_seats_t));
    if (seats == NULL
        || ngx_http_travel_shard_key(shard, &seats->secret,
                                     offsetof(ngx_http_travel_seats_t, secret))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    shard->data = seats;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_seat_take(ngx_http_travel_zone_t *zone, u_char kind,
    const void *whose, size_t len, ngx_uint_t limit, uint64_t *ret_seat)
{
    u_char                    text[1 + sizeof(ngx_sockaddr_t)];
    uint64_t                  key;
    ngx_int_t                 rc;
    ngx_pid_t                 others[NGX_HTTP_TRAVEL_SEATS_OTHERS];
    ngx_uint_t                i, n, dead, taken;
    ngx_http_travel_shard_t  *shard;
    ngx_http_travel_seats_t  *seats;

    if (limit == 0 || len > sizeof(text) - 1) {
        return NGX_OK;
    }

    text[0] = kind;
    ngx_memcpy(text + 1, whose, len);

    shard = ngx_http_travel_shard(zone, 0);

    for (dead = 0; /* void */ ; /* void */) {
        ngx_http_travel_shard_lock(shard);

        seats = shard->data;
        key = travel_siphash(&seats->secret, text, len + 1);
        key += key == 0;

        taken = ngx_http_travel_seats_count_locked(seats, key, others, &n);
        rc = taken < limit ? ngx_http_travel_seats_add_locked(shard, key)
                           : NGX_BUSY;

        ngx_http_travel_shard_unlock(shard);

        if (rc != NGX_BUSY || dead) {
            break;
        }

        for (i = 0; i < n; i++) {
            if (kill(others[i], 0) == -1 && ngx_errno == ESRCH) {
                dead++;

                ngx_http_travel_shard_lock(shard);
                ngx_http_travel_seats_forget_locked(shard, key, others[i]);
                ngx_http_travel_shard_unlock(shard);
            }
        }

        if (dead == 0) {
            break;
        }
    }

    if (rc == NGX_OK) {
        *ret_seat = key;
    }

    /* no memory is no reason to refuse anybody */
    return rc == NGX_BUSY ? NGX_BUSY : NGX_OK;
}


void
ngx_http_travel_seat_leave(ngx_http_travel_zone_t *zone, uint64_t *seat)
{
    ngx_http_travel_seat_t   *s;
    ngx_http_travel_shard_t  *shard;
    ngx_http_travel_seats_t  *seats;

    if (*seat == 0) {
        return;
    }

    shard = ngx_http_travel_shard(zone, 0);
    ngx_http_travel_shard_lock(shard);

    seats = shard->data;

    for (s = seats->buckets[*seat % NGX_HTTP_TRAVEL_SEATS_BUCKETS]; s != NULL;
         s = s->next)
    {
        if (s->key == *seat && s->pid == ngx_pid) {
            if (--s->taken == 0) {
                ngx_http_travel_seats_forget_locked(shard, *seat, ngx_pid);
            }

            break;
        }
    }

    ngx_http_travel_shard_unlock(shard);
    *seat = 0;
}


static ngx_uint_t
ngx_http_travel_seats_count_locked(ngx_http_travel_seats_t *seats,
    uint64_t key, ngx_pid_t *others, ngx_uint_t *ret_n)
{
    ngx_uint_t               taken;
    ngx_http_travel_seat_t  *s;

    *ret_n = 0;
    taken = 0;

    for (s = seats->buckets[key % NGX_HTTP_TRAVEL_SEATS_BUCKETS]; s != NULL;
         s = s->next)
    {
        if (s->key != key) {
            continue;
        }

        taken += s->taken;

        if (s->pid != ngx_pid && *ret_n < NGX_HTTP_TRAVEL_SEATS_OTHERS) {
            others[(*ret_n)++] = s->pid;
        }
    }

    return taken;
}


static ngx_int_t
ngx_http_travel_seats_add_locked(ngx_http_travel_shard_t *shard, uint64_t key)
{
    ngx_http_travel_seat_t   *s, **bucket;
    ngx_http_travel_seats_t  *seats = shard->data;

    bucket = &seats->buckets[key % NGX_HTTP_TRAVEL_SEATS_BUCKETS];

    for (s = *bucket; s != NULL; s = s->next) {
        if (s->key == key && s->pid == ngx_pid) {
            s->taken++;
            return NGX_OK;
        }
    }

    s = ngx_slab_alloc_locked(shard->pool, sizeof(ngx_http_travel_seat_t));
    if (s == NULL) {
        return NGX_ERROR;
    }

    s->key = key;
    s->pid = ngx_pid;
    s->taken = 1;
    s->next = *bucket;
    *bucket = s;

    return NGX_OK;
}


static void
ngx_http_travel_seats_forget_locked(ngx_http_travel_shard_t *shard,
    uint64_t key, ngx_pid_t pid)
{
    ngx_http_travel_seat_t   *s, **at;
    ngx_http_travel_seats_t  *seats = shard->data;

    for (at = &seats->buckets[key % NGX_HTTP_TRAVEL_SEATS_BUCKETS];
         *at != NULL; at = &(*at)->next)
    {
        s = *at;

        if (s->key == key && s->pid == pid) {
            *at = s->next;
            ngx_slab_free_locked(shard->pool, s);
            return;
        }
    }
}
