/* What live's own files share and no other room may use. */

#ifndef NGX_HTTP_TRAVEL_LIVE_ROOM_H
#define NGX_HTTP_TRAVEL_LIVE_ROOM_H

#include "ngx_http_travel_live.h"
#include "../auth/ngx_http_travel_auth.h"
#include "../net/ngx_http_travel_inner.h"
#include "../../common/websocket.h"
#include "../../common/websocket_deflate.h"


/* --- configuration ------------------------------------------------------- */

typedef struct ngx_http_travel_socket_s  ngx_http_travel_socket_t;

typedef enum {
    NGX_HTTP_TRAVEL_LIVE_OPENED,
    NGX_HTTP_TRAVEL_LIVE_CLOSED,       /* either side closed in order */
    NGX_HTTP_TRAVEL_LIVE_LOST,         /* the connection broke */
    NGX_HTTP_TRAVEL_LIVE_SILENT,       /* no sign of life */
    NGX_HTTP_TRAVEL_LIVE_SLOW,         /* did not read what it was sent */
    NGX_HTTP_TRAVEL_LIVE_BROKEN,       /* broke the protocol */
    NGX_HTTP_TRAVEL_LIVE_FLOOD,        /* sent too often */
    NGX_HTTP_TRAVEL_LIVE_RELEASED,     /* the nginx worker shuts down */
    NGX_HTTP_TRAVEL_LIVE_EXPIRED_TOKEN,
    NGX_HTTP_TRAVEL_LIVE_REVOKED_TOKEN,
    NGX_HTTP_TRAVEL_LIVE_REFUSED,      /* handshakes */
    NGX_HTTP_TRAVEL_LIVE_RECEIVED,     /* messages */
    NGX_HTTP_TRAVEL_LIVE_SENT,
    NGX_HTTP_TRAVEL_LIVE_BATCHED,      /* writes, many by one call */
    NGX_HTTP_TRAVEL_LIVE_RELAYED,      /* messages, to this node's workers */
    NGX_HTTP_TRAVEL_LIVE_OVERRUN,      /* a worker did not read them in time */
    NGX_HTTP_TRAVEL_LIVE_TAKEN,        /* another worker subscribes for all */
    NGX_HTTP_TRAVEL_LIVE_COUNTERS
} ngx_http_travel_live_counter_e;

typedef struct {
    ngx_int_t              counters[NGX_HTTP_TRAVEL_LIVE_COUNTERS];
    ngx_http_travel_zone_t  *relay;    /* NULL: no location watches topics */
    ngx_flag_t             batch;      /* many writes by one call */
    unsigned               presence:1; /* some location counts who watches */
} ngx_http_travel_live_main_conf_t;

/* What is spoken over a socket.  All but 'open' are called from the socket's
 * own handlers. */
typedef struct {
    ngx_str_t    name;                 /* of the subprotocol; empty: none */
    /* while there is still a request: copies what it needs of it */
    ngx_int_t  (*open)(ngx_http_travel_socket_t *s, ngx_http_request_t *r);
    void       (*message)(ngx_http_travel_socket_t *s, ngx_uint_t text,
                          ngx_str_t *data);
    /* the socket is about to be freed; NULL: nothing to do */
    void       (*gone)(ngx_http_travel_socket_t *s);
    /* last words before the server closes with that code; may be NULL */
    void       (*farewell)(ngx_http_travel_socket_t *s, unsigned code);
} ngx_http_travel_protocol_t;

typedef struct ngx_http_travel_publish_s  ngx_http_travel_publish_t;

typedef struct {
    ngx_uint_t                         set;
    const ngx_http_travel_protocol_t  *protocol;   /* NULL: off */
    size_t                             max_message;
    size_t                             queue;      /* bytes unsent, at most */
    ngx_msec_t                         heartbeat;
    ngx_msec_t                         close;      /* for the other's close */
    ngx_uint_t                         rate;       /* frames a second */
    ngx_flag_t                         deflate;
    ngx_array_t                       *origins;    /* travel_str_t patterns */
    ngx_uint_t                         topics;     /* of one socket */
    ngx_msec_t                         poll;       /* the longest */
    ngx_msec_t                         retry;      /* told to EventSource */
    ngx_str_t                          endpoint;   /* of GraphQL operations */
    ngx_msec_t                         init;       /* for connection_init */
    ngx_uint_t                         operations; /* of one session */
    ngx_uint_t                         per_user;   /* guests; 0: no bound */
    ngx_uint_t                         per_address;
    ngx_http_travel_zone_t            *seats;      /* NULL: no bounds */
    ngx_flag_t                         presence;
    ngx_http_travel_publish_t         *publish;    /* NULL: not here */
    ngx_http_travel_door_t            *door;
    ngx_http_complex_value_t          *grant;      /* a topic; NULL: none */
    ngx_http_complex_value_t          *check;      /* who may; NULL: all that
                                                      the location lets in */
    ngx_array_t                       *rules;      /* travel_live_allow */
} ngx_http_travel_live_loc_conf_t;

void ngx_http_travel_live_count(ngx_http_travel_live_counter_e what);
void ngx_http_travel_live_counts(ngx_http_travel_live_counter_e what,
    ngx_uint_t n);


/* --- texts --------------------------------------------------------------- */

typedef struct {
    ngx_uint_t             refs;
    size_t                 len;
    u_char                 data[];
} ngx_http_travel_text_t;

/* With one owner, and room for 'len' bytes; NULL: out of memory. */
ngx_http_travel_text_t *ngx_http_travel_text(size_t len);
ngx_http_travel_text_t *ngx_http_travel_text_copy(const void *data,
    size_t len);
void ngx_http_travel_text_release(ngx_http_travel_text_t *text);

/* A whole message as one frame. */
ngx_http_travel_text_t *ngx_http_travel_text_frame(travel_ws_opcode_e opcode,
    ngx_uint_t compressed, const void *data, size_t len);

/* JSON as an event of text/event-stream (WHATWG HTML section 9.2); type and
 * id may be NULL. */
ngx_http_travel_text_t *ngx_http_travel_text_event(const char *type,
    const ngx_str_t *id, const void *data, size_t len);


/* --- guests: whoever stays longer than a request ------------------------- */

/*
 * What lets him in, and until when.  A guest is told to leave when his
 * credential is taken back and when the nginx worker ends; that his token
 * expires he finds himself, by his own timer.
 */
typedef struct ngx_http_travel_guest_s  ngx_http_travel_guest_t;

struct ngx_http_travel_guest_s {
    ngx_queue_t                     queue;
    ngx_http_travel_lasting_t      *lasting;   /* may be revoked; NULL: not */
    time_t                          expires;   /* the token; 0: never */
    ngx_http_travel_zone_t         *seats;
    ngx_uint_t                      per_user;
    uint64_t                        seat;      /* the user's; 0: none */
    uint64_t                        place;     /* the address's */
    u_char                          user[TRAVEL_UUID_TEXT_LEN];
    /* may be called more than once; must not free the guest */
    void                          (*leave)(ngx_http_travel_guest_t *guest,
                                           unsigned code, const char *reason,
                                           ngx_http_travel_live_counter_e how);
    unsigned                        entered:1;
    unsigned                        known:1;   /* there is a user */
};

/* Fills it from the caller of r, who takes his seats; conf NULL: none.
 * NGX_OK; NGX_BUSY: he has as many as he may; NGX_ERROR. */
ngx_int_t ngx_http_travel_guest_invite(ngx_http_travel_guest_t *guest,
    ngx_http_request_t *r, const ngx_http_travel_live_loc_conf_t *conf);
/* What the handler returns when he could not be invited. */
ngx_int_t ngx_http_travel_guest_refused(ngx_http_request_t *r, ngx_int_t rc);
/* From now on he is told to leave, perhaps at once, but never from within. */
void ngx_http_travel_guest_enter(ngx_http_travel_guest_t *guest);
/* He is gone, whether he had entered or not. */
void ngx_http_travel_guest_gone(ngx_http_travel_guest_t *guest);
/* He stays, by another credential, which becomes his.  NGX_OK; NGX_BUSY: the
 * user that he is now has as many seats as he may. */
ngx_int_t ngx_http_travel_guest_renew(ngx_http_travel_guest_t *guest,
    ngx_http_travel_guest_t *by);
/* ms until his token ends; -1: never, 0: it has. */
ngx_msec_int_t ngx_http_travel_guest_left(
    const ngx_http_travel_guest_t *guest);

/* Seats of the node: NGX_OK, with *ret_seat 0 where there is no bound;
 * NGX_BUSY. */
ngx_http_travel_zone_t *ngx_http_travel_seats_zone(ngx_conf_t *cf);
ngx_int_t ngx_http_travel_seat_take(ngx_http_travel_zone_t *zone, u_char kind,
    const void *whose, size_t len, ngx_uint_t limit, uint64_t *ret_seat);
void ngx_http_travel_seat_leave(ngx_http_travel_zone_t *zone, uint64_t *seat);

void ngx_http_travel_guests_start(ngx_cycle_t *cycle);
void ngx_http_travel_guests_stop(void);


/* --- sockets ------------------------------------------------------------- */

typedef struct ngx_http_travel_unsent_s  ngx_http_travel_unsent_t;

struct ngx_http_travel_unsent_s {
    ngx_http_travel_unsent_t  *next;
    ngx_http_travel_text_t    *text;
};

/*
 * A message for a crowd touches every socket once, and a crowd does not fit
 * the CPU's cache: what is needed of each comes first, in so many lines, which
 * are fetched ahead.
 */
#define NGX_HTTP_TRAVEL_LINE          64
#define NGX_HTTP_TRAVEL_SOCKET_LINES  2

static ngx_inline void
ngx_http_travel_fetch(const void *p, ngx_uint_t lines)
{
    while (lines-- > 0) {
        __builtin_prefetch((const u_char *) p + lines * NGX_HTTP_TRAVEL_LINE);
    }
}


struct ngx_http_travel_socket_s {
    ngx_connection_t                       *connection;
    const ngx_http_travel_live_loc_conf_t  *conf;

    ngx_http_travel_unsent_t               *unsent;
    ngx_http_travel_unsent_t              **last;
    size_t                                  sent;      /* of the first */
    size_t                                  queued;    /* memory of all */
    ngx_http_travel_unsent_t                one;       /* most have but one */
    ngx_queue_t                             dirty;     /* to be flushed */

    unsigned                                closing:1; /* our close is sent */
    unsigned                                closed:1;  /* theirs has come */
    unsigned                                deaf:1;    /* only EOF is awaited */
    unsigned                                failed:1;  /* end it now */
    unsigned                                heard:1;   /* since the last look */
    unsigned                                pinged:1;  /* and no word since */
    unsigned                                flushes:1; /* is in that queue */

    const ngx_http_travel_protocol_t       *protocol;
    void                                   *data;      /* the protocol's */
    ngx_queue_t                             queue;     /* of this worker's */

    travel_ws_reader_t                      reader;
    travel_ws_deflate_t                     deal;      /* window 0: none */
    u_char                                 *message;   /* begun, incomplete */
    size_t                                  used;
    size_t                                  room;

    ngx_msec_t                              beat;      /* the next look */
    ngx_msec_t                              alive;     /* the next ping */
    ngx_msec_t                              paid;      /* rate: until when */
    ngx_msec_t                              since;     /* a message began */
    ngx_http_travel_guest_t                 guest;

    /* what the end is counted as, and for the log; NULL: it goes on */
    const char                             *why;
    ngx_http_travel_live_counter_e          how;
};

/* r's socket, from the handshake: NULL, out of memory.  It takes the
 * connection over when r's handler has returned NGX_DONE. */
ngx_http_travel_socket_t *ngx_http_travel_socket_create(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf,
    const travel_ws_deflate_t *deal);
void ngx_http_travel_socket_adopt(ngx_http_request_t *r,
    ngx_http_travel_socket_t *s);

/* Queues a text that holds whole frames, to be sent with all others at the end
 * of the loop's turn; never frees the socket.
 * One that has more unsent than it may is closed with 1013. */
void ngx_http_travel_socket_send(ngx_http_travel_socket_t *s,
    ngx_http_travel_text_t *text);
/* Makes a message of it, packed when that was agreed and is worth it. */
void ngx_http_travel_socket_message(ngx_http_travel_socket_t *s,
    travel_ws_opcode_e opcode, const void *data, size_t len);

/* The guest has another token: the socket ends with that. */
void ngx_http_travel_socket_renewed(ngx_http_travel_socket_t *s);

/* Starts the closing handshake. */
void ngx_http_travel_socket_close(ngx_http_travel_socket_t *s, unsigned code,
    const char *reason, ngx_http_travel_live_counter_e how);

/* The same after the protocol's last words. */
void ngx_http_travel_socket_leave(ngx_http_travel_socket_t *s, unsigned code,
    const char *reason, ngx_http_travel_live_counter_e how);

/* 'batches': many may be written to by one call. */
void ngx_http_travel_socket_start(ngx_uint_t batches);
void ngx_http_travel_socket_stop(void);


/* --- event streams (text/event-stream) ----------------------------------- */

typedef struct ngx_http_travel_events_s  ngx_http_travel_events_t;

/* Both are called once; 'gone' also when 'farewell' was not. */
typedef struct {
    /* last words before the server ends it; may be NULL */
    void       (*farewell)(ngx_http_travel_events_t *e, unsigned code);
    void       (*gone)(ngx_http_travel_events_t *e);
} ngx_http_travel_events_pt;

/* One that outlives the handler of its request, in the request's pool. */
struct ngx_http_travel_events_s {
    ngx_http_request_t                     *request;
    const ngx_http_travel_live_loc_conf_t  *conf;
    const ngx_http_travel_events_pt        *owner;
    void                                   *data;      /* the owner's */
    ngx_http_travel_guest_t                 guest;

    ngx_http_travel_unsent_t               *unsent;
    ngx_http_travel_unsent_t              **last;
    ngx_http_travel_unsent_t               *flying;    /* nginx has them */
    size_t                                  queued;    /* bytes unsent */
    ngx_chain_t                            *free;
    ngx_chain_t                            *busy;

    ngx_event_t                             flush;     /* posted */
    ngx_event_t                             timer;
    ngx_msec_t                              beat;      /* the next comment */
    ngx_msec_t                              end;       /* ending: until when */
    ngx_msec_t                              stuck;     /* since when, or 0 */

    const char                             *why;
    ngx_http_travel_live_counter_e          how;

    unsigned                                opened:1;
    unsigned                                ending:1;
    unsigned                                failed:1;
};

/* 'owner' and 'data' are set, and the guest is invited: all is given back when
 * r goes.  NGX_ERROR: nothing was done. */
ngx_int_t ngx_http_travel_events_init(ngx_http_travel_events_t *e,
    ngx_http_request_t *r, const ngx_http_travel_live_loc_conf_t *conf);
/* Sends the header and takes r over.  NGX_DONE: it is on; other values are to
 * end r with. */
ngx_int_t ngx_http_travel_events_open(ngx_http_travel_events_t *e);
/* Whole events; they are sent together at the end of the loop's turn.  Never
 * frees.  One that has more unsent than it may is ended. */
void ngx_http_travel_events_send(ngx_http_travel_events_t *e,
    ngx_http_travel_text_t *text);
/* The same for a text that the caller gives away; NULL: out of memory. */
void ngx_http_travel_events_give(ngx_http_travel_events_t *e,
    ngx_http_travel_text_t *text);
/* Ends it when all is sent; with last words when the server wants it. */
void ngx_http_travel_events_end(ngx_http_travel_events_t *e);
void ngx_http_travel_events_leave(ngx_http_travel_events_t *e, unsigned code,
    const char *reason, ngx_http_travel_live_counter_e how);


/* --- topics by HTTP alone ------------------------------------------------ */

/* NGX_DECLINED: r does not ask for an event stream, nor for a poll. */
ngx_int_t ngx_http_travel_live_http(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf);


/* --- what clients publish ------------------------------------------------ */

char *ngx_http_travel_publish_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_travel_publish_stop(void);
/* The body must be application/json of so many bytes; NGX_OK unless an error
 * was answered.  No form of another site's page can make that. */
ngx_int_t ngx_http_travel_live_json_type(ngx_http_request_t *r, size_t max);

/* A socket, a stream or a poll, when it is known that the caller may; as a
 * content handler. */
ngx_int_t ngx_http_travel_live_begin(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf);


/* --- what another location says (check=URI) ------------------------------- */

/* The parameter: an expression that begins with "/". */
char *ngx_http_travel_live_uri(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
/* Asks it by a GET in the caller's name.  NGX_DONE: it is under way, r is kept,
 * and the handler, given the status, ends it; until then whoever is cancels
 * *ret_inner.  Else what r ends with. */
ngx_int_t ngx_http_travel_live_ask(ngx_http_request_t *r,
    ngx_http_travel_door_t *door, ngx_http_complex_value_t *check,
    ngx_http_travel_inner_pt handler, void *data,
    ngx_http_travel_inner_t **ret_inner);
/* NGX_OK with nothing sent: he may; else r has its answer. */
ngx_int_t ngx_http_travel_live_verdict(ngx_http_request_t *r,
    ngx_uint_t status);
/* Before live_begin(). */
ngx_int_t ngx_http_travel_live_check(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf);


/* --- the handshake, and what is spoken ----------------------------------- */

ngx_int_t ngx_http_travel_live_handler(ngx_http_request_t *r);
/* Does the header, a list, have the token (in lower case)? */
ngx_uint_t ngx_http_travel_live_token(ngx_http_request_t *r,
    const char *header, size_t len, const char *token);
/* May a page of r's Origin speak for its reader? */
ngx_uint_t ngx_http_travel_live_origin(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf);

extern const ngx_http_travel_protocol_t  ngx_http_travel_echo;
extern const ngx_http_travel_protocol_t  ngx_http_travel_topics;
/* Chosen when the socket is opened: one of the two subprotocols. */
extern const ngx_http_travel_protocol_t  ngx_http_travel_graphql_socket;


/* --- who may watch what (allow) ------------------------------------------ */

/* One travel_live_allow line. */
typedef struct {
    ngx_uint_t             kind;       /* travel_live_kind_e, or PATTERN */
    ngx_uint_t             own;
    ngx_uint_t             all;
    ngx_str_t              permission; /* empty: none will do */
} ngx_http_travel_live_rule_t;

#define NGX_HTTP_TRAVEL_LIVE_PATTERN  4

/* What a caller may watch, as bits, so that the request is not needed later:
 * kinds of which he may all, and those of which he may his own. */
typedef struct {
    unsigned               all;
    unsigned               own;
    u_char                 user[TRAVEL_UUID_TEXT_LEN];
    unsigned               known:1;
    ngx_str_t              grant;      /* this topic too; in the heap */
} ngx_http_travel_live_rights_t;

char *ngx_http_travel_live_allow_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_travel_live_rights(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf,
    ngx_http_travel_live_rights_t *ret_rights);
/* NGX_OK; NGX_DECLINED: he may not; NGX_ERROR: there is no such topic.  With
 * *ret_owner, a user's id within 'rights', he may if it turns out to be his. */
ngx_int_t ngx_http_travel_live_allowed(
    const ngx_http_travel_live_rights_t *rights, const ngx_str_t *topic,
    const u_char **ret_owner);

#endif
