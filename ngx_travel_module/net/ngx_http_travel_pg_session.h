/*
 * Sessions, servers and operations of PostgreSQL as net's own files see them.
 */

#ifndef NGX_HTTP_TRAVEL_PG_SESSION_H
#define NGX_HTTP_TRAVEL_PG_SESSION_H

#include "ngx_http_travel_net.h"

#include <libpq-fe.h>

#define NGX_HTTP_TRAVEL_PG_OP_MAGIC  0x5452504F            /* "TRPO" */
#define NGX_HTTP_TRAVEL_PG_INLINE    512      /* bytes of values in an op */
#define NGX_HTTP_TRAVEL_PG_PREPARED  4096     /* statements known at most */
#define NGX_HTTP_TRAVEL_PG_NAME      64       /* NAMEDATALEN */


typedef enum {
    NGX_HTTP_TRAVEL_SESSION_DOWN,         /* timer: when to try again */
    NGX_HTTP_TRAVEL_SESSION_UNUSED,       /* slow ones, until first asked for */
    NGX_HTTP_TRAVEL_SESSION_CONNECTING,   /* timer: until when */
    NGX_HTTP_TRAVEL_SESSION_READY         /* in pipeline mode */
} ngx_http_travel_session_state_e;

typedef enum {
    NGX_HTTP_TRAVEL_SESSION_FAST,
    NGX_HTTP_TRAVEL_SESSION_SLOW,
    NGX_HTTP_TRAVEL_SESSION_CONTROL
} ngx_http_travel_session_kind_e;

typedef enum {
    NGX_HTTP_TRAVEL_CANCEL_NONE,
    NGX_HTTP_TRAVEL_CANCEL_WANTED,        /* in server->cancels */
    NGX_HTTP_TRAVEL_CANCEL_SENT           /* the control session asks */
} ngx_http_travel_cancel_e;

typedef struct ngx_http_travel_session_s  ngx_http_travel_session_t;
typedef struct ngx_http_travel_pg_call_s  ngx_http_travel_pg_call_t;
typedef struct ngx_http_travel_pg_known_s ngx_http_travel_pg_known_t;


/* An operation: what the room sees, and where it is. */
struct ngx_http_travel_pg_call_s {
    ngx_http_travel_pg_op_t       op;         /* first */
    ngx_queue_t                   place;      /* a wait queue, or free */
    ngx_queue_t                   due;        /* server->due, by deadline */
    ngx_http_travel_session_t    *session;    /* where it was sent */
    ngx_http_cleanup_t           *cleanup;    /* of op.request */
    ngx_http_travel_pg_known_t   *known;      /* its statement */
    ngx_msec_t                    deadline;
    const char                  **values;     /* into 'bytes' or 'blob' */
    u_char                       *blob;       /* ngx_alloc(), or NULL */
    travel_priority_e             priority;
    unsigned                      slow:1;
    unsigned                      waiting:1;  /* in a wait queue, or shed */
    unsigned                      shed:1;     /* in server->shed */
    unsigned                      timed:1;    /* in server->due */
    unsigned                      done:1;     /* no handler call any more */
    unsigned                      resent:1;   /* after a neighbour's error */
    unsigned                      prepared:1; /* again, after 26000 or 0A000 */
    unsigned                      busy:1;     /* inside its handler */
    unsigned                      sent:1;     /* an entry refers to it */
    u_char                        bytes[NGX_HTTP_TRAVEL_PG_INLINE]
                                  __attribute__((aligned(sizeof(void *))));
};


struct ngx_http_travel_session_s {
    ngx_http_travel_pg_server_t      *server;
    ngx_http_travel_session_kind_e    kind;
    ngx_http_travel_session_state_e   state;
    ngx_uint_t                        number;
    PGconn                           *pg;
    ngx_connection_t                 *c;          /* watches pg's socket */
    ngx_uint_t                        attempt;    /* failures in a row */
    ngx_uint_t                        generation; /* ++ at each drop */
    ngx_queue_t                       pipeline;   /* entries in order */
    ngx_uint_t                        in_flight;  /* queries among them */
    ngx_uint_t                        unsynced;   /* queries since a Sync */
    ngx_uint_t                        sent;       /* since the last flush */
    ngx_event_t                       flush;      /* posted, once per turn */
    ngx_event_t                       timer;      /* see states; cancelable */
    ngx_msec_t                        heard;      /* when bytes last came */
    ngx_msec_t                        asked;      /* since when one waits */
    u_char                           *prepared;   /* by statement: 0 not yet,
                                                     else its generation */
    uint32_t                         *versions;   /* which text that was */
    ngx_http_travel_cancel_e          cancel;     /* slow only */
    ngx_queue_t                       cancels;    /* in server->cancels */
    const char                       *broken;     /* why it is to be dropped by
                                                     its flush, or NULL */
    char                              pid[16];    /* backend, as text */
};


struct ngx_http_travel_pg_server_s {
    ngx_http_travel_pg_conf_t     *conf;
    ngx_http_travel_session_t     *sessions;      /* fast, then slow */
    ngx_uint_t                     nfast;
    ngx_uint_t                     nslow;
    ngx_http_travel_session_t      control;
    ngx_queue_t                    waiting[TRAVEL_PRIORITY_MAX]; /* fast */
    ngx_queue_t                    waiting_slow[TRAVEL_PRIORITY_MAX];
    ngx_uint_t                     nwaiting;      /* of all of them */
    ngx_queue_t                    shed;          /* to be told so, by 'turn' */
    ngx_queue_t                    due;           /* live calls, by deadline */
    ngx_event_t                    deadline;
    ngx_event_t                    turn;          /* posted: dispatch */
    ngx_queue_t                    cancels;       /* sessions to cancel */
    unsigned                       closing:1;     /* the nginx worker exits */
};


/* --- ngx_http_travel_pg_session.c ----------------------------------------- */

void ngx_http_travel_session_init(ngx_http_travel_session_t *s,
    ngx_http_travel_pg_server_t *server, ngx_http_travel_session_kind_e kind,
    ngx_uint_t number);
void ngx_http_travel_session_connect(ngx_http_travel_session_t *s);

/* The one place where a session ends: outstanding calls are lost with 'why'
 * (static). */
void ngx_http_travel_session_drop(ngx_http_travel_session_t *s,
    const char *why);

/* Puts a call into the pipeline; alone: between two Syncs of its own.
 * NGX_OK, or NGX_ERROR: the call is not in it, and the session is about to be
 * dropped, but not from here, where some room asks for something. */
ngx_int_t ngx_http_travel_session_send(ngx_http_travel_session_t *s,
    ngx_http_travel_pg_call_t *call, ngx_uint_t alone);

void ngx_http_travel_session_statements_init(void);
ngx_http_travel_pg_known_t *ngx_http_travel_session_statement(
    const ngx_http_travel_pg_statement_t *statement);


/* --- ngx_http_travel_pg.c ------------------------------------------------- */

/* The answer of a call; 'res' is cleared unless kept. */
void ngx_http_travel_pg_deliver(ngx_http_travel_pg_call_t *call,
    PGresult *res);
void ngx_http_travel_pg_lost(ngx_http_travel_pg_call_t *call,
    const char *why);
/* The pipeline has no more to do with it. */
void ngx_http_travel_pg_unsent(ngx_http_travel_pg_call_t *call);
/* Capacity came free, a session came up, or one went: send or give up. */
void ngx_http_travel_pg_dispatch(ngx_http_travel_pg_server_t *server);
void ngx_http_travel_pg_dispatch_soon(ngx_http_travel_pg_server_t *server);

/* Back to the free list, unless something still refers to it. */
void ngx_http_travel_pg_call_end(ngx_http_travel_pg_call_t *call);


/* --- ngx_http_travel_pg_line.c -------------------------------------------- */

void ngx_http_travel_pg_wait(ngx_http_travel_pg_call_t *call,
    ngx_uint_t first);
void ngx_http_travel_pg_unwait(ngx_http_travel_pg_call_t *call);
/* Of the lines of a class: is anybody there; who is next, or NULL. */
ngx_uint_t ngx_http_travel_pg_waits(const ngx_queue_t *lines);
ngx_http_travel_pg_call_t *ngx_http_travel_pg_first(ngx_queue_t *lines);
/* Makes room in line for a call of that priority: 0 when all that wait are as
 * urgent. */
ngx_uint_t ngx_http_travel_pg_shed_for(ngx_http_travel_pg_server_t *server,
    travel_priority_e priority);
/* From an event only. */
void ngx_http_travel_pg_tell_shed(ngx_http_travel_pg_server_t *server);

#endif /* NGX_HTTP_TRAVEL_PG_SESSION_H */
