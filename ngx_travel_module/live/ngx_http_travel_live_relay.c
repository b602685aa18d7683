/*
 * This nginx worker's part in the relay.
 *
 * Of the nginx workers that share a zone one holds the subscriptions: it has
 * the link to Redis on which all channels are joined that anybody watches, and
 * writes what comes to the board, for those who watch it and for itself.  Each
 * has a bell, a datagram socket with a random name in the abstract namespace;
 * who writes rings it, once until its owner looks.  A bell is only a hint: all
 * look a few times a second anyway.
 *
 * The holder goes, others see it within two looks: it resigns when it is to
 * exit; it is dead when there is no such process; it counts as dead when it
 * has not looked for a long time.  Who sees it first holds from then on, and
 * all are told that nothing is joined.  It joins all channels again, and asks
 * once for the node where each of the topics is then (live_places.c): with that
 * it tells them that they are joined, and only who is not up to there reads
 * the history.  One that was only slow finds that it does not hold any more
 * before it writes anything.
 *
 *   OUT      before the start, and after the stop
 *   MEMBER   has a place on the board
 *   HOLDER   likewise, and the link
 *   ALONE    has a link for itself: the only nginx worker, or there was no
 *            place, or no memory, for it; so it stays
 *
 * An upgrade (USR2) starts an empty zone: then both have a holder.
 */

#include "ngx_http_travel_live_relay.h"
#include "ngx_http_travel_live_places.h"
#include "ngx_http_travel_live_room.h"
#include <sys/un.h>

#define NGX_HTTP_TRAVEL_RELAY_LOOK   200        /* ms */
#define NGX_HTTP_TRAVEL_RELAY_STUCK  3000       /* a holder's last look */
#define NGX_HTTP_TRAVEL_RELAY_GONE   60000      /* a member's */
#define NGX_HTTP_TRAVEL_RELAY_TURNS  16         /* reads before others turn */
#define NGX_HTTP_TRAVEL_RELAY_NAMES  32768      /* bytes of names at once */

typedef enum {
    NGX_HTTP_TRAVEL_RELAY_OUT,
    NGX_HTTP_TRAVEL_RELAY_MEMBER,
    NGX_HTTP_TRAVEL_RELAY_HOLDER,
    NGX_HTTP_TRAVEL_RELAY_ALONE
} ngx_http_travel_relay_state_e;

/* What a look has seen of the others. */
typedef struct {
    ngx_int_t                          holder;
    uint64_t                           turn;
    ngx_pid_t                          pids[NGX_HTTP_TRAVEL_BOARD_MEMBERS];
    ngx_msec_t                         beats[NGX_HTTP_TRAVEL_BOARD_MEMBERS];
} ngx_http_travel_sight_t;


static void ngx_http_travel_relay_rung(ngx_event_t *rev);
static ngx_int_t ngx_http_travel_relay_enter(void);
static void ngx_http_travel_relay_exit(void);
static void ngx_http_travel_relay_alone(const char *why);
static void ngx_http_travel_relay_look(ngx_event_t *ev);
static void ngx_http_travel_relay_see(ngx_http_travel_board_t *board,
    ngx_http_travel_sight_t *sight);
static ngx_uint_t ngx_http_travel_relay_dead(
    const ngx_http_travel_sight_t *sight, ngx_int_t member, ngx_msec_t silent);
static void ngx_http_travel_relay_take(const ngx_http_travel_sight_t *sight);
static void ngx_http_travel_relay_resign(void);
static void ngx_http_travel_relay_reap(const ngx_http_travel_sight_t *sight);
static void ngx_http_travel_relay_read(ngx_event_t *ev);
static void ngx_http_travel_relay_hear(const ngx_http_travel_notice_t *n);
static void ngx_http_travel_relay_told(const ngx_http_travel_notice_t *n,
    const ngx_str_t *channel);
static void ngx_http_travel_relay_walk(ngx_http_travel_walk_e what,
    ngx_int_t member, void (*each)(const ngx_str_t *name));
static void ngx_http_travel_relay_joined_here(const ngx_str_t *name);
static void ngx_http_travel_relay_join_held(const ngx_str_t *name);
static void ngx_http_travel_relay_up(void *data);
static void ngx_http_travel_relay_down(void *data);
static void ngx_http_travel_relay_joined(void *data, const ngx_str_t *channel);
static void ngx_http_travel_relay_placed(const ngx_http_travel_mark_t *mark,
    const ngx_str_t *channel, const ngx_str_t *position);
static void ngx_http_travel_relay_message(void *data, const ngx_str_t *channel,
    const ngx_str_t *source, const ngx_str_t *payload);


static struct {
    ngx_http_travel_relay_state_e      state;
    ngx_http_travel_shard_t           *shard;
    ngx_http_travel_redis_listener_t  *hears;      /* the hub */
    ngx_http_travel_found_pt           found;      /* the hub's, too */
    ngx_http_travel_redis_listener_t   held;       /* the holder's link */
    uint64_t                           epoch;      /* of the board */
    uint64_t                           name;       /* of the bell */
    ngx_int_t                          place;
    ngx_connection_t                  *bell;
    ngx_event_t                        look;
    ngx_event_t                        reader;     /* posted */
    u_char                            *notices;
    u_char                            *names;
    const char                        *full;       /* it cannot stay: why */
    unsigned                           missed:1;   /* notices, of this link */
} ngx_http_travel_relay;

/* While the board is locked: who is rung when it is not any more. */
static ngx_http_travel_bells_t  ngx_http_travel_bells;


/* --- the bell ------------------------------------------------------------ */

static socklen_t
ngx_http_travel_relay_address(struct sockaddr_un *sun, uint64_t name)
{
    u_char  *p;

    ngx_memzero(sun, sizeof(struct sockaddr_un));
    sun->sun_family = AF_UNIX;

    /* abstract: the first byte is zero, and no file is left behind */
    p = ngx_sprintf((u_char *) sun->sun_path + 1, "travel-live-%016xL", name);

    return (socklen_t) (p - (u_char *) sun);
}


static ngx_int_t
ngx_http_travel_relay_bell(ngx_cycle_t *cycle)
{
    int                 fd;
    struct sockaddr_un  sun;

    if (travel_random(&ngx_http_travel_relay.name,
                      sizeof(ngx_http_travel_relay.name))
        != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return NGX_ERROR;
    }

    if (bind(fd, (struct sockaddr *) &sun,
             ngx_http_travel_relay_address(&sun, ngx_http_travel_relay.name))
        == -1)
    {
        (void) close(fd);
        return NGX_ERROR;
    }

    ngx_http_travel_relay.bell = ngx_get_connection(fd, cycle->log);

    if (ngx_http_travel_relay.bell == NULL) {
        (void) close(fd);
        return NGX_ERROR;
    }

    ngx_http_travel_relay.bell->read->log = cycle->log;
    ngx_http_travel_relay.bell->write->log = cycle->log;
    ngx_http_travel_relay.bell->read->handler = ngx_http_travel_relay_rung;

    return ngx_add_event(ngx_http_travel_relay.bell->read, NGX_READ_EVENT,
                         NGX_LEVEL_EVENT);
}


static void
ngx_http_travel_relay_rung(ngx_event_t *rev)
{
    u_char             buf[8];
    ngx_connection_t  *c = rev->data;

    while (recv(c->fd, buf, sizeof(buf), 0) >= 0) { /* void */ }

    ngx_http_travel_relay_read(&ngx_http_travel_relay.reader);
}


/* --- the board, locked --------------------------------------------------- */

/* NULL: it is not the board that was entered, or this place is lost; then it
 * is not locked. */
static ngx_http_travel_board_t *
ngx_http_travel_relay_lock(void)
{
    ngx_http_travel_board_t   *board;
    ngx_http_travel_member_t  *m;

    ngx_http_travel_shard_lock(ngx_http_travel_relay.shard);

    board = ngx_http_travel_relay.shard->data;
    m = &board->members[ngx_http_travel_relay.place];

    if (board->epoch == ngx_http_travel_relay.epoch && m->pid == ngx_pid
        && m->name == ngx_http_travel_relay.name)
    {
        ngx_http_travel_bells.n = 0;
        return board;
    }

    ngx_http_travel_shard_unlock(ngx_http_travel_relay.shard);
    ngx_post_event(&ngx_http_travel_relay.reader, &ngx_posted_events);

    return NULL;
}


/* And rings; its own bell is an event. */
static void
ngx_http_travel_relay_unlock(void)
{
    uint64_t            name;
    ngx_uint_t          i;
    struct sockaddr_un  sun;

    ngx_http_travel_shard_unlock(ngx_http_travel_relay.shard);

    for (i = 0; i < ngx_http_travel_bells.n; i++) {
        name = ngx_http_travel_bells.names[i];

        if (name == ngx_http_travel_relay.name) {
            ngx_post_event(&ngx_http_travel_relay.reader, &ngx_posted_events);
            continue;
        }

        /* who is not there is found out otherwise */
        (void) sendto(ngx_http_travel_relay.bell->fd, "", 1,
                      MSG_DONTWAIT|MSG_NOSIGNAL, (struct sockaddr *) &sun,
                      ngx_http_travel_relay_address(&sun, name));
    }
}


/* --- life ---------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_relay_start(ngx_cycle_t *cycle, ngx_http_travel_zone_t *zone,
    ngx_http_travel_redis_listener_t *hears, ngx_http_travel_found_pt found)
{
    ngx_core_conf_t  *ccf;

    static ngx_connection_t  dummy;      /* what timers' debug log looks at */

    if (ngx_process == NGX_PROCESS_HELPER
        || !ngx_http_travel_redis_configured(NGX_HTTP_TRAVEL_REDIS_CACHE))
    {
        return NGX_OK;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    ngx_http_travel_relay.hears = hears;
    ngx_http_travel_relay.found = found;
    ngx_http_travel_relay.shard = ngx_http_travel_shard(zone, 0);

    ngx_http_travel_relay.held.on_up = ngx_http_travel_relay_up;
    ngx_http_travel_relay.held.on_down = ngx_http_travel_relay_down;
    ngx_http_travel_relay.held.on_joined = ngx_http_travel_relay_joined;
    ngx_http_travel_relay.held.on_message = ngx_http_travel_relay_message;

    ngx_http_travel_relay.look.handler = ngx_http_travel_relay_look;
    ngx_http_travel_relay.look.data = &dummy;
    ngx_http_travel_relay.look.log = cycle->log;
    ngx_http_travel_relay.look.cancelable = 1;

    ngx_http_travel_relay.reader.handler = ngx_http_travel_relay_read;
    ngx_http_travel_relay.reader.log = cycle->log;

    ngx_http_travel_places_start(cycle, ngx_http_travel_relay_placed);

    if (ngx_process != NGX_PROCESS_WORKER || ccf->worker_processes == 1) {
        ngx_http_travel_relay_alone(NULL);
        return NGX_OK;
    }

    ngx_http_travel_relay.notices = ngx_alloc(NGX_HTTP_TRAVEL_BOARD_NOTICE,
                                              cycle->log);
    ngx_http_travel_relay.names = ngx_alloc(NGX_HTTP_TRAVEL_RELAY_NAMES,
                                            cycle->log);

    if (ngx_http_travel_relay.notices == NULL
        || ngx_http_travel_relay.names == NULL)
    {
        return NGX_ERROR;
    }

    if (ngx_http_travel_relay_bell(cycle) != NGX_OK) {
        ngx_http_travel_relay_alone("no bell could be made");

    } else if (ngx_http_travel_relay_enter() != NGX_OK) {
        ngx_http_travel_relay_alone("too many nginx workers share the zone");

    } else {
        ngx_http_travel_relay_look(&ngx_http_travel_relay.look);
    }

    return NGX_OK;
}


void
ngx_http_travel_relay_stop(void)
{
    if (ngx_http_travel_relay.state != NGX_HTTP_TRAVEL_RELAY_ALONE) {
        ngx_http_travel_relay_exit();
    }

    ngx_http_travel_relay.state = NGX_HTTP_TRAVEL_RELAY_OUT;
    ngx_http_travel_places_stop();

    if (ngx_http_travel_relay.reader.posted) {
        ngx_delete_posted_event(&ngx_http_travel_relay.reader);
    }

    if (ngx_http_travel_relay.look.timer_set) {
        ngx_del_timer(&ngx_http_travel_relay.look);
    }

    if (ngx_http_travel_relay.bell != NULL) {
        ngx_close_connection(ngx_http_travel_relay.bell);
        ngx_http_travel_relay.bell = NULL;
    }

    ngx_free(ngx_http_travel_relay.notices);
    ngx_free(ngx_http_travel_relay.names);
    ngx_http_travel_relay.notices = NULL;
    ngx_http_travel_relay.names = NULL;
}


static ngx_int_t
ngx_http_travel_relay_enter(void)
{
    ngx_int_t                 place;
    ngx_http_travel_board_t  *board;

    ngx_http_travel_shard_lock(ngx_http_travel_relay.shard);

    board = ngx_http_travel_relay.shard->data;
    ngx_http_travel_relay.epoch = board->epoch;
    place = ngx_http_travel_board_enter_locked(board,
                                               ngx_http_travel_relay.name);

    ngx_http_travel_shard_unlock(ngx_http_travel_relay.shard);

    if (place < 0) {
        return NGX_BUSY;
    }

    ngx_http_travel_relay.place = place;
    ngx_http_travel_relay.state = NGX_HTTP_TRAVEL_RELAY_MEMBER;

    return NGX_OK;
}


static void
ngx_http_travel_relay_exit(void)
{
    ngx_http_travel_board_t  *board;

    if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_OUT) {
        return;
    }

    if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_HOLDER) {
        ngx_http_travel_redis_unlisten();
    }

    ngx_http_travel_relay.state = NGX_HTTP_TRAVEL_RELAY_OUT;
    board = ngx_http_travel_relay_lock();

    if (board != NULL) {
        ngx_http_travel_board_expel_locked(board, ngx_http_travel_relay.place,
                                           &ngx_http_travel_bells);
        ngx_http_travel_relay_unlock();
    }
}


/* A link for itself, for good; 'why' NULL: as it should be. */
static void
ngx_http_travel_relay_alone(const char *why)
{
    if (why != NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "this nginx worker subscribes to live topics on its "
                      "own: %s", why);
    }

    ngx_http_travel_relay_exit();
    ngx_http_travel_relay.state = NGX_HTTP_TRAVEL_RELAY_ALONE;

    ngx_http_travel_relay.hears->on_down(ngx_http_travel_relay.hears->data);

    (void) ngx_http_travel_redis_listen((ngx_cycle_t *) ngx_cycle,
                                        ngx_http_travel_relay.hears);
}


/* --- looking ------------------------------------------------------------- */

static void
ngx_http_travel_relay_look(ngx_event_t *ev)
{
    ngx_http_travel_board_t  *board;
    ngx_http_travel_sight_t   sight;

    if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_ALONE) {
        return;
    }

    board = ngx_http_travel_relay_lock();

    if (board != NULL) {
        ngx_http_travel_relay_see(board, &sight);
        ngx_http_travel_relay_unlock();

        if (sight.holder == ngx_http_travel_relay.place) {

            if (ngx_exiting) {
                ngx_http_travel_relay_resign();
            } else {
                ngx_http_travel_relay_reap(&sight);
            }

        } else if (!ngx_exiting
                   && (sight.holder == NGX_HTTP_TRAVEL_BOARD_NOBODY
                       || ngx_http_travel_relay_dead(&sight, sight.holder,
                                            NGX_HTTP_TRAVEL_RELAY_STUCK)))
        {
            ngx_http_travel_relay_take(&sight);
        }
    }

    ngx_post_event(&ngx_http_travel_relay.reader, &ngx_posted_events);
    ngx_add_timer(ev, NGX_HTTP_TRAVEL_RELAY_LOOK);
}


static void
ngx_http_travel_relay_see(ngx_http_travel_board_t *board,
    ngx_http_travel_sight_t *sight)
{
    ngx_uint_t  i;

    board->members[ngx_http_travel_relay.place].beat = ngx_current_msec;

    sight->holder = board->holder;
    sight->turn = board->turn;

    for (i = 0; i < NGX_HTTP_TRAVEL_BOARD_MEMBERS; i++) {
        sight->pids[i] = board->members[i].pid;
        sight->beats[i] = board->members[i].beat;
    }
}


static ngx_uint_t
ngx_http_travel_relay_dead(const ngx_http_travel_sight_t *sight,
    ngx_int_t member, ngx_msec_t silent)
{
    return (kill(sight->pids[member], 0) == -1 && ngx_errno == ESRCH)
           || (ngx_msec_int_t) (ngx_current_msec - sight->beats[member])
              > (ngx_msec_int_t) silent;
}


/* From now on it is this one, if it is still he who was seen before. */
static void
ngx_http_travel_relay_take(const ngx_http_travel_sight_t *sight)
{
    ngx_uint_t                taken;
    ngx_http_travel_board_t  *board;

    board = ngx_http_travel_relay_lock();

    if (board == NULL) {
        return;
    }

    taken = board->turn == sight->turn;

    if (taken) {
        ngx_http_travel_board_hold_locked(board, ngx_http_travel_relay.place,
                                          &ngx_http_travel_bells);
    }

    ngx_http_travel_relay_unlock();

    if (!taken) {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "this nginx worker holds the node's live subscriptions");
    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_TAKEN);

    ngx_http_travel_relay.state = NGX_HTTP_TRAVEL_RELAY_HOLDER;
    (void) ngx_http_travel_redis_listen((ngx_cycle_t *) ngx_cycle,
                                        &ngx_http_travel_relay.held);
}


static void
ngx_http_travel_relay_resign(void)
{
    ngx_http_travel_board_t  *board;

    ngx_http_travel_redis_unlisten();
    ngx_http_travel_relay.state = NGX_HTTP_TRAVEL_RELAY_MEMBER;

    board = ngx_http_travel_relay_lock();

    if (board != NULL) {
        ngx_http_travel_board_hold_locked(board, NGX_HTTP_TRAVEL_BOARD_NOBODY,
                                          &ngx_http_travel_bells);
        ngx_http_travel_relay_unlock();
    }
}


/* The holder takes those who are gone out of all channels. */
static void
ngx_http_travel_relay_reap(const ngx_http_travel_sight_t *sight)
{
    ngx_int_t                 i;
    ngx_http_travel_board_t  *board;

    for (i = 0; i < NGX_HTTP_TRAVEL_BOARD_MEMBERS; i++) {

        if (sight->pids[i] == 0 || i == ngx_http_travel_relay.place
            || (sight->pids[i] != NGX_HTTP_TRAVEL_BOARD_LEAVING
                && !ngx_http_travel_relay_dead(sight, i,
                                               NGX_HTTP_TRAVEL_RELAY_GONE)))
        {
            continue;
        }

        board = ngx_http_travel_relay_lock();

        if (board == NULL) {
            return;
        }

        if (board->members[i].pid == sight->pids[i]) {
            ngx_http_travel_board_expel_locked(board, i,
                                               &ngx_http_travel_bells);
        }

        ngx_http_travel_relay_unlock();

        ngx_http_travel_relay_walk(NGX_HTTP_TRAVEL_WALK_EXPEL, i,
                                   ngx_http_travel_redis_leave);

        board = ngx_http_travel_relay_lock();

        if (board == NULL) {
            return;
        }

        if (board->members[i].pid == NGX_HTTP_TRAVEL_BOARD_LEAVING) {
            ngx_http_travel_board_free_locked(board, i);
        }

        ngx_http_travel_relay_unlock();
    }
}


/* --- reading ------------------------------------------------------------- */

/* What was said of channels is not known any more: from what is joined now on
 * all is heard again.  Of what is not joined yet something may be lost, so a
 * position proves nothing, until all of it is joined by another link. */
static void
ngx_http_travel_relay_lost(void)
{
    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_OVERRUN);
    ngx_http_travel_relay.missed = 1;

    ngx_http_travel_relay.hears->on_down(ngx_http_travel_relay.hears->data);
    ngx_http_travel_relay_walk(NGX_HTTP_TRAVEL_WALK_JOINED,
                               ngx_http_travel_relay.place,
                               ngx_http_travel_relay_joined_here);

    if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_HOLDER) {
        ngx_http_travel_relay_walk(NGX_HTTP_TRAVEL_WALK_UNJOINED,
                                   ngx_http_travel_relay.place,
                                   ngx_http_travel_relay_join_held);
    }
}


/* The board was emptied, or this place was taken away. */
static void
ngx_http_travel_relay_again(void)
{
    ngx_http_travel_redis_listener_t  *hears = ngx_http_travel_relay.hears;

    if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_HOLDER) {
        ngx_http_travel_redis_unlisten();
    }

    if (ngx_http_travel_relay_enter() != NGX_OK) {
        ngx_http_travel_relay_alone("too many nginx workers share the zone");
        return;
    }

    hears->on_down(hears->data);
    hears->on_up(hears->data);
}


static void
ngx_http_travel_relay_read(ngx_event_t *ev)
{
    size_t                     used;
    u_char                    *p, *last;
    ngx_uint_t                 lost, turns;
    ngx_http_travel_board_t   *board;
    ngx_http_travel_notice_t  *n;

    for (turns = 0;
         ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_MEMBER
         || ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_HOLDER;
         turns++)
    {
        if (ngx_http_travel_relay.full != NULL) {
            ngx_http_travel_relay_alone(ngx_http_travel_relay.full);
            return;
        }

        if (turns == NGX_HTTP_TRAVEL_RELAY_TURNS) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        board = ngx_http_travel_relay_lock();

        if (board == NULL) {
            ngx_http_travel_relay_again();
            continue;
        }

        if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_HOLDER
            && board->holder != ngx_http_travel_relay.place)
        {
            /* too slow: another has taken it */
            ngx_http_travel_relay_unlock();
            ngx_http_travel_redis_unlisten();
            ngx_http_travel_relay.state = NGX_HTTP_TRAVEL_RELAY_MEMBER;
            continue;
        }

        used = ngx_http_travel_board_read_locked(board,
                   ngx_http_travel_relay.place, ngx_http_travel_relay.notices,
                   NGX_HTTP_TRAVEL_BOARD_NOTICE, &lost);
        ngx_http_travel_relay_unlock();

        if (lost) {
            ngx_http_travel_relay_lost();
            continue;
        }

        if (used == 0) {
            return;
        }

        last = ngx_http_travel_relay.notices + used;

        for (p = ngx_http_travel_relay.notices; p < last; p += n->size) {
            n = (ngx_http_travel_notice_t *) p;
            ngx_http_travel_relay_hear(n);
        }
    }
}


static void
ngx_http_travel_relay_hear(const ngx_http_travel_notice_t *n)
{
    ngx_str_t                          channel, source, payload;
    ngx_http_travel_redis_listener_t  *hears = ngx_http_travel_relay.hears;

    channel.data = (u_char *) n->data;
    channel.len = n->channel;
    source.data = channel.data + channel.len;
    source.len = n->source;
    payload.data = source.data + source.len;
    payload.len = n->payload;

    switch (n->kind) {

    case NGX_HTTP_TRAVEL_NOTICE_MESSAGE:
        hears->on_message(hears->data, &channel,
                          source.len ? &source : &channel, &payload);
        break;

    case NGX_HTTP_TRAVEL_NOTICE_JOINED:
        if (payload.len > 0 && !ngx_http_travel_relay.missed) {
            ngx_http_travel_relay.found(&channel, &payload);
        } else {
            hears->on_joined(hears->data, &channel);
        }

        break;

    case NGX_HTTP_TRAVEL_NOTICE_DOWN:
        ngx_http_travel_relay.missed = 0;
        hears->on_down(hears->data);
        break;

    default:
        ngx_http_travel_relay_told(n, &channel);
    }
}


/* The holder is told that somebody watches a channel, or nobody does: which of
 * both is so now, the board says. */
static void
ngx_http_travel_relay_told(const ngx_http_travel_notice_t *n,
    const ngx_str_t *channel)
{
    ngx_uint_t                  watched;
    ngx_http_travel_board_t    *board;

    board = ngx_http_travel_relay_lock();

    if (board == NULL) {
        return;
    }

    watched = ngx_http_travel_board_find_locked(board, channel) != NULL;
    ngx_http_travel_relay_unlock();

    if (ngx_http_travel_relay.state != NGX_HTTP_TRAVEL_RELAY_HOLDER) {
        return;
    }

    if (n->kind == NGX_HTTP_TRAVEL_NOTICE_JOIN && watched) {
        (void) ngx_http_travel_redis_join(channel);

    } else if (n->kind == NGX_HTTP_TRAVEL_NOTICE_LEAVE && !watched) {
        ngx_http_travel_redis_leave(channel);
    }
}


/* Some of the names under one lock, and then each of them without. */
static void
ngx_http_travel_relay_walk(ngx_http_travel_walk_e what, ngx_int_t member,
    void (*each)(const ngx_str_t *name))
{
    u_char                   *p, *last;
    ngx_str_t                 name;
    ngx_uint_t                bucket, done;
    ngx_http_travel_board_t  *board;

    bucket = 0;

    do {
        board = ngx_http_travel_relay_lock();

        if (board == NULL) {
            return;
        }

        p = ngx_http_travel_relay.names;
        last = p + ngx_http_travel_board_walk_locked(
                       ngx_http_travel_relay.shard, what, member, &bucket, p,
                       NGX_HTTP_TRAVEL_RELAY_NAMES);
        done = bucket == board->nbuckets;

        ngx_http_travel_relay_unlock();

        for ( /* void */ ; p < last; p += name.len) {
            name.len = *p++;
            name.data = p;
            each(&name);
        }

    } while (!done);
}


static void
ngx_http_travel_relay_joined_here(const ngx_str_t *name)
{
    ngx_http_travel_redis_listener_t  *hears = ngx_http_travel_relay.hears;

    hears->on_joined(hears->data, name);
}


static void
ngx_http_travel_relay_join_held(const ngx_str_t *name)
{
    (void) ngx_http_travel_redis_join(name);
}


/* --- the hub's ----------------------------------------------------------- */

void
ngx_http_travel_relay_join(const ngx_str_t *channel)
{
    ngx_http_travel_board_t  *board;

    if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_ALONE) {
        (void) ngx_http_travel_redis_join(channel);
        return;
    }

    if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_OUT) {
        return;
    }

    board = ngx_http_travel_relay_lock();

    if (board == NULL) {
        return;                          /* on_up will ask for it */
    }

    if (ngx_http_travel_board_join_locked(ngx_http_travel_relay.shard,
                                          ngx_http_travel_relay.place, channel,
                                          &ngx_http_travel_bells)
        != NGX_OK)
    {
        ngx_http_travel_relay.full = "no memory in travel_zone \"relay\", "
                                     "which should be larger";
        ngx_post_event(&ngx_http_travel_relay.reader, &ngx_posted_events);
    }

    ngx_http_travel_relay_unlock();
}


void
ngx_http_travel_relay_leave(const ngx_str_t *channel)
{
    ngx_http_travel_board_t  *board;

    if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_ALONE) {
        ngx_http_travel_redis_leave(channel);
        return;
    }

    if (ngx_http_travel_relay.state == NGX_HTTP_TRAVEL_RELAY_OUT) {
        return;
    }

    board = ngx_http_travel_relay_lock();

    if (board != NULL) {
        ngx_http_travel_board_leave_locked(ngx_http_travel_relay.shard,
                                           ngx_http_travel_relay.place,
                                           channel, &ngx_http_travel_bells);
        ngx_http_travel_relay_unlock();
    }
}


/* --- the holder's link --------------------------------------------------- */

static void
ngx_http_travel_relay_up(void *data)
{
    (void) data;

    ngx_http_travel_relay_walk(NGX_HTTP_TRAVEL_WALK_UNJOINED,
                               ngx_http_travel_relay.place,
                               ngx_http_travel_relay_join_held);
}


/* The board, when this one still holds; else it is not locked. */
static ngx_http_travel_board_t *
ngx_http_travel_relay_lock_held(void)
{
    ngx_http_travel_board_t  *board;

    board = ngx_http_travel_relay_lock();

    if (board == NULL || board->holder == ngx_http_travel_relay.place) {
        return board;
    }

    ngx_http_travel_relay_unlock();
    ngx_post_event(&ngx_http_travel_relay.reader, &ngx_posted_events);

    return NULL;
}


static void
ngx_http_travel_relay_down(void *data)
{
    ngx_http_travel_board_t  *board;

    (void) data;

    board = ngx_http_travel_relay_lock_held();

    if (board != NULL) {
        ngx_http_travel_board_down_locked(board, &ngx_http_travel_bells);
        ngx_http_travel_relay_unlock();
    }
}


/* The channel, and the board, when this one still holds and somebody watches
 * it; else it is not locked, and what nobody watches is left. */
static ngx_http_travel_channel_t *
ngx_http_travel_relay_lock_watched(const ngx_str_t *channel,
    ngx_http_travel_board_t **ret_board)
{
    ngx_http_travel_board_t    *board;
    ngx_http_travel_channel_t  *c;

    board = ngx_http_travel_relay_lock_held();

    if (board == NULL) {
        return NULL;
    }

    c = ngx_http_travel_board_find_locked(board, channel);

    if (c == NULL) {
        ngx_http_travel_relay_unlock();
        ngx_http_travel_redis_leave(channel);
    }

    *ret_board = board;

    return c;
}


/* Where is the topic now?  Patterns, of which there is no history, are
 * nowhere. */
static void
ngx_http_travel_relay_joined(void *data, const ngx_str_t *channel)
{
    ngx_http_travel_mark_t      mark;
    ngx_http_travel_board_t    *board;
    ngx_http_travel_channel_t  *c;

    static const ngx_str_t  nowhere = ngx_string("");

    (void) data;

    c = ngx_http_travel_relay_lock_watched(channel, &board);

    if (c == NULL) {
        return;
    }

    mark.link = board->link;
    mark.joins = c->joins;
    ngx_http_travel_relay_unlock();

    if (ngx_strlchr(channel->data, channel->data + channel->len, '*')) {
        ngx_http_travel_relay_placed(&mark, channel, &nowhere);
    } else {
        ngx_http_travel_places_ask(&mark, channel);
    }
}


/* The position is of use to those who have waited since it was asked for. */
static void
ngx_http_travel_relay_placed(const ngx_http_travel_mark_t *mark,
    const ngx_str_t *channel, const ngx_str_t *position)
{
    ngx_str_t                   none = ngx_string("");
    ngx_http_travel_board_t    *board;
    ngx_http_travel_channel_t  *c;

    if (ngx_http_travel_relay.state != NGX_HTTP_TRAVEL_RELAY_HOLDER) {
        return;
    }

    c = ngx_http_travel_relay_lock_watched(channel, &board);

    if (c == NULL) {
        return;
    }

    if (mark->link == board->link) {
        c->link = board->link;
        ngx_http_travel_board_write_locked(board, c->members,
            NGX_HTTP_TRAVEL_NOTICE_JOINED, channel, &none,
            mark->joins == c->joins ? position : &none,
            &ngx_http_travel_bells);
    }

    ngx_http_travel_relay_unlock();
}


static void
ngx_http_travel_relay_message(void *data, const ngx_str_t *channel,
    const ngx_str_t *source, const ngx_str_t *payload)
{
    ngx_str_t                   none = ngx_string("");
    ngx_http_travel_board_t    *board;
    ngx_http_travel_channel_t  *c;

    (void) data;

    c = ngx_http_travel_relay_lock_watched(channel, &board);

    if (c == NULL) {
        return;
    }

    ngx_http_travel_board_write_locked(board, c->members,
        NGX_HTTP_TRAVEL_NOTICE_MESSAGE, channel,
        source->data == channel->data ? &none : source, payload,
        &ngx_http_travel_bells);
    ngx_http_travel_relay_unlock();

    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_RELAYED);
}
