/*
 * The hub: topics that somebody on this nginx worker watches, and who.
 *
 * A topic is joined when its first subscriber comes and left with its last, on
 * Redis once for all nginx workers of the node (live_relay.h); each message is
 * made into a text once, whoever is sent it.  What is
 * subscribed is told only when it is true: after Redis has joined the channel
 * and the topic's position is known.
 *
 * A subscriber says where it has stopped reading (a cursor), or nothing.  It
 * hears, in this order: ready, then a gap if there is one, then messages, each
 * after the other without holes; a hole is always told as a gap.
 *
 * Of a job the hash in the queue role is the truth, and a message is the whole
 * state: who has another one hears the newest, first of all who has none, and
 * what lay between nobody misses.
 */

#ifndef NGX_HTTP_TRAVEL_LIVE_HUB_H
#define NGX_HTTP_TRAVEL_LIVE_HUB_H

#include "ngx_http_travel_live_room.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/live_message.h"

typedef struct ngx_http_travel_topic_s       ngx_http_travel_topic_t;
typedef struct ngx_http_travel_subscriber_s  ngx_http_travel_subscriber_t;

/* Forms that a message is made into at most once (per nginx worker). */
typedef enum {
    NGX_HTTP_TRAVEL_FORM_JSON,         /* the JSON protocol's */
    NGX_HTTP_TRAVEL_FORM_FRAME,        /* the same as a frame */
    NGX_HTTP_TRAVEL_FORM_EVENT,        /* as an event, its id the cursor */
    NGX_HTTP_TRAVEL_FORM_DATA,         /* as an event without an id */
    NGX_HTTP_TRAVEL_FORMS
} ngx_http_travel_form_e;

/* A message as a subscription's plan sees it; one for each plan. */
typedef struct ngx_http_travel_projection_s  ngx_http_travel_projection_t;

struct ngx_http_travel_projection_s {
    ngx_http_travel_projection_t             *next;
    struct ngx_http_travel_graphql_watch_s   *watch;
    ngx_http_travel_text_t                   *text;
};

/* Lives during the call that hands it on; its texts count their owners. */
typedef struct {
    const ngx_str_t          *topic;
    travel_stream_id_t        id;
    ngx_str_t                 json;
    ngx_http_travel_text_t   *forms[NGX_HTTP_TRAVEL_FORMS];
    ngx_http_travel_projection_t  *projections;
} ngx_http_travel_message_t;

/* None of these may unsubscribe from within, nor free the subscriber; but
 * 'refused' must: there is no such job, or it is not his. */
typedef struct {
    void  (*ready)(ngx_http_travel_subscriber_t *sub);
    /* 'missed' messages are lost, -1: nobody knows how many */
    void  (*gap)(ngx_http_travel_subscriber_t *sub, int64_t missed);
    void  (*message)(ngx_http_travel_subscriber_t *sub,
                     ngx_http_travel_message_t *message);
    void  (*refused)(ngx_http_travel_subscriber_t *sub);
} ngx_http_travel_subscriber_pt;

struct ngx_http_travel_subscriber_s {
    ngx_queue_t                           queue;      /* the topic's */
    const ngx_http_travel_subscriber_pt  *handlers;
    void                                 *near;       /* the owner's: what its
                                                         'message' looks at, to
                                                         be fetched; or NULL */
    travel_stream_id_t                    pos;        /* all up to it is told */
    unsigned                              resumes:1;  /* pos was given */
    unsigned                              ready:1;
    unsigned                              behind:1;   /* history first */
    const u_char                         *owner;      /* whose it must be, a
                                                         user's id; or NULL */

    void                                 *data;       /* the owner's */
    ngx_http_travel_topic_t              *topic;
    ngx_http_travel_subscriber_t         *next;       /* the owner's */
    ngx_http_travel_redis_op_t           *op;         /* reads history */
};

/* Fills and adds the subscriber, whose memory is its owner's; 'cursor' may be
 * NULL, 'owner' is what live_allowed() said, and lives as long.  'handlers' are
 * called from now on, never from within.  NGX_ERROR: no memory, or live is not
 * possible. */
ngx_int_t ngx_http_travel_subscribe(ngx_http_travel_subscriber_t *sub,
    const ngx_str_t *topic, const u_char *owner,
    const travel_stream_id_t *cursor,
    const ngx_http_travel_subscriber_pt *handlers, void *data);
void ngx_http_travel_unsubscribe(ngx_http_travel_subscriber_t *sub);

const ngx_str_t *ngx_http_travel_subscribed(
    const ngx_http_travel_subscriber_t *sub);

/*
 * A line: a channel of one listener, without history.  'joined' whenever what
 * is sent comes from now on (again, after a lost link).
 */
typedef struct {
    void                           (*joined)(void *data);
    void                           (*message)(void *data,
                                              const ngx_str_t *message);
    void                            *data;
    ngx_http_travel_topic_t         *topic;
} ngx_http_travel_line_t;

/* NGX_BUSY: somebody listens to that name here. */
ngx_int_t ngx_http_travel_hub_listen(ngx_http_travel_line_t *line,
    const ngx_str_t *name);
void ngx_http_travel_hub_hang_up(ngx_http_travel_line_t *line);

ngx_int_t ngx_http_travel_hub_start(ngx_cycle_t *cycle,
    ngx_http_travel_zone_t *relay);
void ngx_http_travel_hub_stop(void);

/* --- presence ------------------------------------------------------------ */

/* What was told of a topic's watchers. */
typedef struct {
    ngx_uint_t                     told;
    ngx_msec_t                     at;
} ngx_http_travel_presence_t;

/* Who asks how many watch a topic: one question at a time. */
typedef struct ngx_http_travel_asker_s  ngx_http_travel_asker_t;

struct ngx_http_travel_asker_s {
    /* count -1: it cannot be told now */
    void                         (*answer)(ngx_http_travel_asker_t *asker,
                                           ngx_int_t count);
    void                          *data;
    ngx_http_travel_redis_op_t    *op;
    ngx_str_t                      topic;
    u_char                         text[TRAVEL_LIVE_TOPIC_MAX];
};

ngx_int_t ngx_http_travel_presence_start(ngx_cycle_t *cycle);
void ngx_http_travel_presence_stop(void);
ngx_uint_t ngx_http_travel_presence_due(const ngx_http_travel_presence_t *p,
    ngx_uint_t watchers);
void ngx_http_travel_presence_say(ngx_http_travel_presence_t *p,
    const ngx_str_t *topic, ngx_uint_t watchers);
/* The hub's topics whose turn it is, that many at most. */
void ngx_http_travel_hub_presence(ngx_uint_t n);

/* NGX_OK: the answer will come; NGX_BUSY, NGX_ERROR. */
ngx_int_t ngx_http_travel_presence_ask(ngx_http_travel_asker_t *asker,
    const ngx_str_t *topic);
void ngx_http_travel_presence_forget(ngx_http_travel_asker_t *asker);


/* --- what is told of a topic --------------------------------------------- */

#define NGX_HTTP_TRAVEL_CURSOR_MAX  48
#define NGX_HTTP_TRAVEL_TOLD_MAX    1024   /* all but a message's own JSON */
#define NGX_HTTP_TRAVEL_LIVE_BACK   5000   /* ms: reconnections spread */

/* JSON at 'dst', which holds NGX_HTTP_TRAVEL_TOLD_MAX; its length. */
size_t ngx_http_travel_told_ready(const ngx_http_travel_subscriber_t *sub,
    char *dst);
size_t ngx_http_travel_told_gap(const ngx_http_travel_subscriber_t *sub,
    int64_t missed, char *dst);
/* 'topic' may be NULL, or what is none: it is told only if it can be one. */
size_t ngx_http_travel_told_error(const char *code, const char *message,
    const ngx_str_t *topic, char *dst);
/* Why 'refused'. */
size_t ngx_http_travel_told_refused(const ngx_http_travel_subscriber_t *sub,
    char *dst);
/* The same for who says it in his own words. */
#define NGX_HTTP_TRAVEL_TOLD_REFUSED                                          \
    "There is nothing by that id, or it is not the caller's."
/* JSON of its own for n subscribers, linked by 'next'; NULL: no memory. */
ngx_http_travel_text_t *ngx_http_travel_told_bye(
    const ngx_http_travel_subscriber_t *subs, ngx_uint_t n, unsigned code);
/* The message's own text in that form, made by the first who asks; NULL: no
 * memory. */
ngx_http_travel_text_t *ngx_http_travel_told(
    ngx_http_travel_message_t *message, ngx_http_travel_form_e form);

/* An execution result, with the cursor in its extensions; NULL: no memory, or
 * the message is no object. */
ngx_http_travel_text_t *ngx_http_travel_told_to(
    ngx_http_travel_message_t *message,
    struct ngx_http_travel_graphql_watch_s *watch);
/* All that was made of it. */
void ngx_http_travel_told_release(ngx_http_travel_message_t *message);

/* What this nginx worker keeps for the protocols. */
void ngx_http_travel_watcher_stop(void);
void ngx_http_travel_talk_stop(void);

#endif
