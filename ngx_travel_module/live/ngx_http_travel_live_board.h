/*
 * The board: what the nginx workers of a node tell each other of the channels
 * that they watch, in the shared zone "relay".
 *
 *   members   nginx workers that take part, of all generations that share the
 *             zone; one of them, the holder, is subscribed at Redis for all
 *   channels  each that some member watches: who does, as a set of bits, and
 *             whether Redis has joined it since the holder's link was made
 *   the ring  notices, each written once, with the set of those who have still
 *             to read it; that set is its count of references
 *
 * All of it is under the lock of the zone's one shard, and a member that reads
 * copies its notices out under that lock: so no notice is looked at while it
 * is written over, and a process that dies anywhere leaves at worst a dirty
 * shard, which the next locker empties.  The board's epoch is then another,
 * and whoever finds that enters anew.
 *
 * The ring is never full: the oldest notices are written over.  Those who had
 * not read them are marked, learn of it when they read next, and go back to
 * the truth, the topics' histories.
 *
 * All functions want the shard locked.
 */

#ifndef NGX_HTTP_TRAVEL_LIVE_BOARD_H
#define NGX_HTTP_TRAVEL_LIVE_BOARD_H

#include "../core/ngx_http_travel.h"

#define NGX_HTTP_TRAVEL_BOARD_MEMBERS  64
#define NGX_HTTP_TRAVEL_BOARD_NOTICE   131072  /* bytes of one, at most */
#define NGX_HTTP_TRAVEL_BOARD_LEAVING  ((ngx_pid_t) -1)
#define NGX_HTTP_TRAVEL_BOARD_NOBODY   (-1)

typedef enum {
    NGX_HTTP_TRAVEL_NOTICE_MESSAGE,
    NGX_HTTP_TRAVEL_NOTICE_JOINED,     /* from now on every message comes; the
                                          payload: the topic's position, known
                                          since all who hear this waited */
    NGX_HTTP_TRAVEL_NOTICE_DOWN,       /* nothing is joined any more */
    NGX_HTTP_TRAVEL_NOTICE_JOIN,       /* to the holder: somebody watches it */
    NGX_HTTP_TRAVEL_NOTICE_LEAVE       /* to the holder: nobody does */
} ngx_http_travel_notice_e;

/* As in the ring, and as it is copied out; the channel's name, the source's
 * (a pattern's message; else it is the channel's) and the payload follow. */
typedef struct {
    uint64_t                        readers;
    uint32_t                        size;      /* of all, rounded up */
    uint32_t                        payload;
    uint16_t                        channel;
    uint16_t                        source;
    uint16_t                        kind;
    uint16_t                        unused;
    u_char                          data[];
} ngx_http_travel_notice_t;

typedef struct {
    ngx_pid_t                       pid;       /* 0: free; LEAVING: the holder
                                                  takes it out of channels */
    uint64_t                        name;      /* of its bell */
    uint64_t                        read;      /* where it reads next */
    ngx_msec_t                      beat;      /* when it last looked */
    unsigned                        rung:1;    /* and has not looked since */
    unsigned                        lost:1;    /* not all was read in time */
} ngx_http_travel_member_t;

typedef struct ngx_http_travel_channel_s  ngx_http_travel_channel_t;

struct ngx_http_travel_channel_s {
    ngx_http_travel_channel_t      *next;
    uint64_t                        members;
    uint64_t                        link;      /* by which it was joined */
    uint64_t                        joins;     /* of the board, when somebody
                                                  last waited for that */
    size_t                          len;
    u_char                          name[];
};

typedef struct {
    travel_siphash_key_t            secret;
    uint64_t                        epoch;
    uint64_t                        turn;      /* of holders */
    uint64_t                        link;      /* another for each loss */
    uint64_t                        joins;     /* that had to wait */
    ngx_int_t                       holder;    /* or NOBODY */
    ngx_http_travel_member_t        members[NGX_HTTP_TRAVEL_BOARD_MEMBERS];
    ngx_uint_t                      nbuckets;
    ngx_http_travel_channel_t     **buckets;
    uint64_t                        head;      /* bytes ever written */
    uint64_t                        tail;      /* bytes written over */
    size_t                          size;      /* of the ring */
    u_char                         *ring;
} ngx_http_travel_board_t;

/* Whose bells are to be rung when the lock is released. */
typedef struct {
    ngx_uint_t                      n;
    uint64_t                        names[NGX_HTTP_TRAVEL_BOARD_MEMBERS];
} ngx_http_travel_bells_t;

ngx_http_travel_zone_t *ngx_http_travel_board_zone(ngx_conf_t *cf);


/* --- members ------------------------------------------------------------- */

/* A place; NGX_BUSY: there is none. */
ngx_int_t ngx_http_travel_board_enter_locked(ngx_http_travel_board_t *board,
    uint64_t name);
/* It is no member any more; its place is free when the holder has taken it out
 * of all channels (WALK_EXPEL). */
void ngx_http_travel_board_expel_locked(ngx_http_travel_board_t *board,
    ngx_int_t member, ngx_http_travel_bells_t *bells);
void ngx_http_travel_board_free_locked(ngx_http_travel_board_t *board,
    ngx_int_t member);
/* Another holds, or nobody: all are told that nothing is joined. */
void ngx_http_travel_board_hold_locked(ngx_http_travel_board_t *board,
    ngx_int_t member, ngx_http_travel_bells_t *bells);
/* The holder's link is lost: likewise. */
void ngx_http_travel_board_down_locked(ngx_http_travel_board_t *board,
    ngx_http_travel_bells_t *bells);


/* --- channels ------------------------------------------------------------ */

ngx_http_travel_channel_t *ngx_http_travel_board_find_locked(
    ngx_http_travel_board_t *board, const ngx_str_t *name);
/* NGX_ERROR: no memory. */
ngx_int_t ngx_http_travel_board_join_locked(ngx_http_travel_shard_t *shard,
    ngx_int_t member, const ngx_str_t *name, ngx_http_travel_bells_t *bells);
void ngx_http_travel_board_leave_locked(ngx_http_travel_shard_t *shard,
    ngx_int_t member, const ngx_str_t *name, ngx_http_travel_bells_t *bells);

typedef enum {
    NGX_HTTP_TRAVEL_WALK_JOINED,       /* the member's that are joined */
    NGX_HTTP_TRAVEL_WALK_UNJOINED,     /* everybody's that are not */
    NGX_HTTP_TRAVEL_WALK_EXPEL         /* the member's, which it leaves: those
                                          that nobody watches any more */
} ngx_http_travel_walk_e;

/* Their names, each after its length (a byte), from the bucket on, which is
 * nbuckets when all are done; a bucket whose names may not fit waits for the
 * next call.  Bytes written. */
size_t ngx_http_travel_board_walk_locked(ngx_http_travel_shard_t *shard,
    ngx_http_travel_walk_e what, ngx_int_t member, ngx_uint_t *bucket,
    u_char *buf, size_t size);


/* --- notices ------------------------------------------------------------- */

void ngx_http_travel_board_write_locked(ngx_http_travel_board_t *board,
    uint64_t readers, ngx_http_travel_notice_e kind, const ngx_str_t *channel,
    const ngx_str_t *source, const ngx_str_t *payload,
    ngx_http_travel_bells_t *bells);

/* Copies what the member has still to read, as much as fits; 0: nothing.  With
 * *ret_lost set some is gone, and so is all that was still there. */
size_t ngx_http_travel_board_read_locked(ngx_http_travel_board_t *board,
    ngx_int_t member, u_char *buf, size_t size, ngx_uint_t *ret_lost);

#endif
