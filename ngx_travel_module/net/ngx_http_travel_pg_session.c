/*
 * One PostgreSQL session on the event loop: connecting, the pipeline, and its
 * end.
 *
 * The pipeline is a queue of entries in the order in which the server will
 * answer: PREPARE, QUERY, SYNC.  Results are matched to its head and to nothing
 * else; an answer that does not fit ends the session.
 *
 * Fast queries of one loop turn form a segment that one Sync closes; a flush
 * request after each but the last lets early answers out before a late one is
 * ready.  An error undoes the rest of its segment: those neighbours are sent
 * again once, each in a segment of its own.  What is prepared is prepared in
 * the same pipeline, right before its first use.
 *
 * libpq owns the socket and may replace it while it connects, so our watch is
 * taken off before each step and put on what the step left.  Nothing here
 * waits: connecting is polled, results are taken only while libpq is not busy.
 *
 * Under TLS a record is read from the socket whole, and libpq may take a part
 * of it: the rest is in the TLS library, where the event loop does not see it.
 * So input is taken until there is none.
 *
 * A handler that is called for a result may drop this very session (a send
 * fails): 'generation' tells, and the loop over results leaves.
 */

#include "ngx_http_travel_pg_session.h"

#include <openssl/ssl.h>
#include <stdio.h>


typedef enum {
    NGX_HTTP_TRAVEL_ENTRY_PREPARE,
    NGX_HTTP_TRAVEL_ENTRY_FORGET,
    NGX_HTTP_TRAVEL_ENTRY_QUERY,
    NGX_HTTP_TRAVEL_ENTRY_SYNC
} ngx_http_travel_entry_kind_e;


typedef struct {
    ngx_queue_t                    queue;      /* pipeline, or free */
    ngx_http_travel_entry_kind_e   kind;
    ngx_http_travel_pg_call_t     *call;       /* PREPARE: whose need it is */
    ngx_http_travel_pg_known_t    *known;
    PGresult                      *refused;    /* QUERY: its PREPARE's error */
    unsigned                       answered:1; /* its NULL is still to come */
    unsigned                       again:1;    /* to be sent again */
} ngx_http_travel_entry_t;


struct ngx_http_travel_pg_known_s {
    const ngx_http_travel_pg_statement_t  *statement;
    ngx_uint_t                             index;
};


static void ngx_http_travel_session_tell(ngx_http_travel_session_t *s,
    PGconn *pg, const char *why);
static void ngx_http_travel_session_lose(ngx_http_travel_session_t *s,
    const char *why);
static void ngx_http_travel_session_poll(ngx_http_travel_session_t *s);
static void ngx_http_travel_session_poll_event(ngx_event_t *ev);
static void ngx_http_travel_session_ready(ngx_http_travel_session_t *s);
static void ngx_http_travel_session_timer(ngx_event_t *ev);
static void ngx_http_travel_session_flush(ngx_event_t *ev);
static ngx_int_t ngx_http_travel_session_write(ngx_http_travel_session_t *s);
static void ngx_http_travel_session_read_event(ngx_event_t *ev);
static void ngx_http_travel_session_write_event(ngx_event_t *ev);
static ngx_uint_t ngx_http_travel_session_hidden(
    ngx_http_travel_session_t *s);
static void ngx_http_travel_session_drain(ngx_http_travel_session_t *s);
static void ngx_http_travel_session_result(ngx_http_travel_session_t *s,
    ngx_http_travel_entry_t *entry, PGresult *res);
static void ngx_http_travel_session_prepared(ngx_http_travel_session_t *s,
    ngx_http_travel_entry_t *entry, PGresult *res);
static void ngx_http_travel_session_answer(ngx_http_travel_session_t *s,
    ngx_http_travel_entry_t *entry, PGresult *res);
static void ngx_http_travel_session_finished(ngx_http_travel_session_t *s,
    ngx_http_travel_entry_t *entry);
static ngx_int_t ngx_http_travel_session_sync(ngx_http_travel_session_t *s);
static ngx_int_t ngx_http_travel_session_prepare(ngx_http_travel_session_t *s,
    ngx_http_travel_pg_call_t *call, const char *name);
static void ngx_http_travel_session_name(ngx_http_travel_session_t *s,
    ngx_http_travel_pg_known_t *known, char name[NGX_HTTP_TRAVEL_PG_NAME]);
static ngx_http_travel_entry_t *ngx_http_travel_session_push(
    ngx_http_travel_session_t *s, ngx_http_travel_entry_kind_e kind,
    ngx_http_travel_pg_call_t *call);
static void ngx_http_travel_session_entry_free(ngx_http_travel_entry_t *entry);
static void ngx_http_travel_session_notice(void *data, const PGresult *res);


/* of this nginx worker */

static ngx_queue_t                  ngx_http_travel_session_entries;
static ngx_http_travel_pg_known_t  *ngx_http_travel_session_known;
static ngx_uint_t                   ngx_http_travel_session_nknown;


/* --- statements and entries ----------------------------------------------- */

void
ngx_http_travel_session_statements_init(void)
{
    ngx_queue_init(&ngx_http_travel_session_entries);
}


/* The small number of a statement, found again by its address: the table is
 * twice as large as it may become full. */
ngx_http_travel_pg_known_t *
ngx_http_travel_session_statement(
    const ngx_http_travel_pg_statement_t *statement)
{
    uint64_t                     hash;
    ngx_uint_t                   i;
    ngx_http_travel_pg_known_t  *known;

    if (ngx_http_travel_session_known == NULL) {
        ngx_http_travel_session_known =
            ngx_pcalloc(ngx_cycle->pool, 2 * NGX_HTTP_TRAVEL_PG_PREPARED
                        * sizeof(ngx_http_travel_pg_known_t));
        if (ngx_http_travel_session_known == NULL) {
            return NULL;
        }
    }

    hash = ((uintptr_t) statement >> 4) * 0x9e3779b97f4a7c15ULL;

    for (i = hash >> 32; /* void */ ; i++) {
        i %= 2 * NGX_HTTP_TRAVEL_PG_PREPARED;
        known = &ngx_http_travel_session_known[i];

        if (known->statement == statement) {
            return known;
        }

        if (known->statement == NULL) {
            break;
        }
    }

    if (ngx_http_travel_session_nknown == NGX_HTTP_TRAVEL_PG_PREPARED) {
        return NULL;
    }

    known->statement = statement;
    known->index = ngx_http_travel_session_nknown++;

    return known;
}


static ngx_http_travel_entry_t *
ngx_http_travel_session_push(ngx_http_travel_session_t *s,
    ngx_http_travel_entry_kind_e kind, ngx_http_travel_pg_call_t *call)
{
    ngx_uint_t                i;
    ngx_queue_t              *q;
    ngx_http_travel_entry_t  *entry;

    if (ngx_queue_empty(&ngx_http_travel_session_entries)) {

        entry = ngx_palloc(ngx_cycle->pool,
                           64 * sizeof(ngx_http_travel_entry_t));
        if (entry == NULL) {
            return NULL;
        }

        for (i = 0; i < 64; i++) {
            ngx_queue_insert_tail(&ngx_http_travel_session_entries,
                                  &entry[i].queue);
        }
    }

    q = ngx_queue_head(&ngx_http_travel_session_entries);
    ngx_queue_remove(q);

    entry = ngx_queue_data(q, ngx_http_travel_entry_t, queue);
    ngx_memzero(entry, sizeof(ngx_http_travel_entry_t));

    entry->kind = kind;
    entry->call = call;
    entry->known = call ? call->known : NULL;

    ngx_queue_insert_tail(&s->pipeline, &entry->queue);

    return entry;
}


static void
ngx_http_travel_session_entry_free(ngx_http_travel_entry_t *entry)
{
    if (entry->refused) {
        PQclear(entry->refused);
    }

    ngx_queue_insert_head(&ngx_http_travel_session_entries, &entry->queue);
}


/* --- connecting ----------------------------------------------------------- */

void
ngx_http_travel_session_init(ngx_http_travel_session_t *s,
    ngx_http_travel_pg_server_t *server, ngx_http_travel_session_kind_e kind,
    ngx_uint_t number)
{
    s->server = server;
    s->kind = kind;
    s->number = number;
    s->state = NGX_HTTP_TRAVEL_SESSION_UNUSED;

    ngx_queue_init(&s->pipeline);

    s->flush.handler = ngx_http_travel_session_flush;
    s->flush.data = s;
    s->flush.log = ngx_cycle->log;

    s->timer.handler = ngx_http_travel_session_timer;
    s->timer.data = s;
    s->timer.log = ngx_cycle->log;
    s->timer.cancelable = 1;
}


void
ngx_http_travel_session_connect(ngx_http_travel_session_t *s)
{
    ngx_http_travel_pg_conf_t  *conf;

    conf = s->server->conf;

    if (s->prepared == NULL) {
        s->prepared = ngx_palloc(ngx_cycle->pool,
                                 NGX_HTTP_TRAVEL_PG_PREPARED);
        s->versions = ngx_pcalloc(ngx_cycle->pool,
                                  NGX_HTTP_TRAVEL_PG_PREPARED
                                  * sizeof(uint32_t));
        if (s->prepared == NULL || s->versions == NULL) {
            s->prepared = NULL;
            ngx_http_travel_session_drop(s, "out of memory");
            return;
        }
    }

    ngx_memzero(s->prepared, NGX_HTTP_TRAVEL_PG_PREPARED);

    s->state = NGX_HTTP_TRAVEL_SESSION_CONNECTING;

    s->pg = PQconnectStartParams(conf->keywords,
                                 s->kind == NGX_HTTP_TRAVEL_SESSION_SLOW
                                     ? conf->values_slow : conf->values_fast,
                                 0);
    if (s->pg == NULL || PQstatus(s->pg) == CONNECTION_BAD) {
        ngx_http_travel_session_drop(s, "cannot connect");
        return;
    }

    (void) PQsetNoticeReceiver(s->pg, ngx_http_travel_session_notice, s);

    s->c = ngx_http_travel_fd_open(PQsocket(s->pg), s,
                                   ngx_http_travel_session_poll_event,
                                   ngx_http_travel_session_poll_event);
    if (s->c == NULL) {
        ngx_http_travel_session_drop(s, "no free worker_connections");
        return;
    }

    if (ngx_http_travel_fd_write(s->c, 1) != NGX_OK) {
        ngx_http_travel_session_drop(s, "cannot watch the socket");
        return;
    }

    ngx_add_timer(&s->timer, conf->timeout);
}


static void
ngx_http_travel_session_poll_event(ngx_event_t *ev)
{
    ngx_connection_t           *c;
    ngx_http_travel_session_t  *s;

    c = ev->data;
    s = c->data;

    if (c->close) {
        ngx_http_travel_session_drop(s, "shutting down");
        return;
    }

    ngx_http_travel_session_poll(s);
}


static void
ngx_http_travel_session_poll(ngx_http_travel_session_t *s)
{
    int                        fd;
    ngx_int_t                  rc;
    PostgresPollingStatusType  status;

    fd = s->c->fd;

    /* the step may close this descriptor */

    (void) ngx_http_travel_fd_read(s->c, 0);
    (void) ngx_http_travel_fd_write(s->c, 0);

    status = PQconnectPoll(s->pg);

    if (status == PGRES_POLLING_FAILED) {
        ngx_http_travel_session_drop(s, "cannot connect");
        return;
    }

    if (PQsocket(s->pg) != fd) {
        ngx_http_travel_fd_release(&s->c, 1);

        s->c = ngx_http_travel_fd_open(PQsocket(s->pg), s,
                                       ngx_http_travel_session_poll_event,
                                       ngx_http_travel_session_poll_event);
        if (s->c == NULL) {
            ngx_http_travel_session_drop(s, "no free worker_connections");
            return;
        }
    }

    switch (status) {

    case PGRES_POLLING_OK:
        ngx_http_travel_session_ready(s);
        return;

    case PGRES_POLLING_READING:
        rc = ngx_http_travel_fd_read(s->c, 1);
        break;

    default:
        rc = ngx_http_travel_fd_write(s->c, 1);
        break;
    }

    if (rc != NGX_OK) {
        ngx_http_travel_session_drop(s, "cannot watch the socket");
    }
}


static void
ngx_http_travel_session_ready(ngx_http_travel_session_t *s)
{
    ngx_del_timer(&s->timer);

    if (PQsetnonblocking(s->pg, 1) != 0 || PQenterPipelineMode(s->pg) != 1) {
        ngx_http_travel_session_drop(s, "no pipeline mode");
        return;
    }

    s->c->read->handler = ngx_http_travel_session_read_event;
    s->c->write->handler = ngx_http_travel_session_write_event;

    if (ngx_http_travel_fd_read(s->c, 1) != NGX_OK) {
        ngx_http_travel_session_drop(s, "cannot watch the socket");
        return;
    }

    (void) snprintf(s->pid, sizeof(s->pid), "%d", PQbackendPID(s->pg));

    if (s->attempt) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "postgres %V: session %ui connected again",
                      &s->server->conf->info.name, s->number);
    }

    s->state = NGX_HTTP_TRAVEL_SESSION_READY;
    s->attempt = 0;
    s->heard = ngx_current_msec;

    ngx_http_travel_count(s->server->conf->counters.connects, 1);

    ngx_http_travel_pg_dispatch(s->server);
}


static void
ngx_http_travel_session_timer(ngx_event_t *ev)
{
    ngx_http_travel_session_t  *s;

    s = ev->data;

    if (s->state == NGX_HTTP_TRAVEL_SESSION_CONNECTING) {
        ngx_http_travel_session_drop(s, "connecting took too long");
        return;
    }

    if (s->state != NGX_HTTP_TRAVEL_SESSION_DOWN) {
        return;
    }

    if (s->kind == NGX_HTTP_TRAVEL_SESSION_SLOW
        && !ngx_http_travel_pg_waits(s->server->waiting_slow))
    {
        /* whoever asks next finds a session that never failed */

        s->state = NGX_HTTP_TRAVEL_SESSION_UNUSED;
        s->attempt = 0;
        return;
    }

    ngx_http_travel_session_connect(s);
}


static void
ngx_http_travel_session_notice(void *data, const PGresult *res)
{
    const char                 *text;
    ngx_http_travel_session_t  *s;

    s = data;
    text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "postgres %V: session %ui: notice: %s",
                  &s->server->conf->info.name, s->number,
                  text ? text : "");
}


/* --- the end -------------------------------------------------------------- */

void
ngx_http_travel_session_drop(ngx_http_travel_session_t *s, const char *why)
{
    PGconn                       *pg;
    ngx_http_travel_pg_server_t  *server;

    pg = s->pg;
    server = s->server;

    s->pg = NULL;
    s->state = NGX_HTTP_TRAVEL_SESSION_DOWN;
    s->generation++;
    s->in_flight = 0;
    s->unsynced = 0;
    s->sent = 0;
    s->broken = NULL;

    /* libpq closes it itself when the server hangs up */

    if (s->c) {
        ngx_http_travel_fd_release(&s->c, pg == NULL
                                          || PQsocket(pg) != s->c->fd);
    }

    if (s->flush.posted) {
        ngx_delete_posted_event(&s->flush);
    }

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    if (!server->closing) {
        ngx_http_travel_session_tell(s, pg, why);
        ngx_http_travel_count(server->conf->counters.drops, 1);

        ngx_add_timer(&s->timer, ngx_http_travel_net_backoff(s->attempt));
        s->attempt++;
    }

    if (pg) {
        PQfinish(pg);
    }

    if (s->cancel == NGX_HTTP_TRAVEL_CANCEL_WANTED) {
        ngx_queue_remove(&s->cancels);
    }

    s->cancel = NGX_HTTP_TRAVEL_CANCEL_NONE;

    ngx_http_travel_session_lose(s, why);
    ngx_http_travel_pg_dispatch_soon(server);
}


static void
ngx_http_travel_session_tell(ngx_http_travel_session_t *s, PGconn *pg,
    const char *why)
{
    u_char      *last;
    ngx_str_t    text;
    ngx_uint_t   level;

    ngx_str_set(&text, "");

    if (pg) {
        text.data = (u_char *) PQerrorMessage(pg);
        text.len = ngx_strlen(text.data);
        last = ngx_strlchr(text.data, text.data + text.len, LF);
        text.len = last ? (size_t) (last - text.data) : text.len;
    }

    /* a server that stays away is told of once, not at each attempt */

    level = s->attempt ? NGX_LOG_INFO : NGX_LOG_WARN;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "postgres %V: session %ui dropped: %s%s%V",
                  &s->server->conf->info.name, s->number, why,
                  text.len ? ": " : "", &text);
}


/* What it had in hand goes back; handlers may ask for more, and must find the
 * pipeline empty. */
static void
ngx_http_travel_session_lose(ngx_http_travel_session_t *s, const char *why)
{
    ngx_queue_t                 lost, *q;
    ngx_http_travel_entry_t    *entry;
    ngx_http_travel_pg_call_t  *call;

    ngx_queue_init(&lost);

    if (!ngx_queue_empty(&s->pipeline)) {
        ngx_queue_add(&lost, &s->pipeline);
        ngx_queue_init(&s->pipeline);
    }

    while (!ngx_queue_empty(&lost)) {
        q = ngx_queue_head(&lost);
        ngx_queue_remove(q);

        entry = ngx_queue_data(q, ngx_http_travel_entry_t, queue);
        call = entry->kind == NGX_HTTP_TRAVEL_ENTRY_QUERY ? entry->call : NULL;

        ngx_http_travel_session_entry_free(entry);

        if (call) {
            ngx_http_travel_pg_lost(call, why);
            ngx_http_travel_pg_unsent(call);
        }
    }
}


/* --- sending -------------------------------------------------------------- */

static void
ngx_http_travel_session_name(ngx_http_travel_session_t *s,
    ngx_http_travel_pg_known_t *known, char name[NGX_HTTP_TRAVEL_PG_NAME])
{
    const ngx_str_t  *n;

    n = &known->statement->name;

    /* cut at what PostgreSQL keeps of a name; the number makes it unique */

    (void) snprintf(name, NGX_HTTP_TRAVEL_PG_NAME, "%.*s#%u.%u",
                    (int) ngx_min(n->len, 48), (char *) n->data,
                    (unsigned) known->index,
                    (unsigned) (s->prepared[known->index] & 0x7f));
}


static ngx_int_t
ngx_http_travel_session_sync(ngx_http_travel_session_t *s)
{
    if (PQpipelineSync(s->pg) != 1
        || ngx_http_travel_session_push(s, NGX_HTTP_TRAVEL_ENTRY_SYNC, NULL)
           == NULL)
    {
        return NGX_ERROR;
    }

    s->unsynced = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_session_prepare(ngx_http_travel_session_t *s,
    ngx_http_travel_pg_call_t *call, const char *name)
{
    if (PQsendPrepare(s->pg, name,
                      (const char *) call->known->statement->sql.data, 0, NULL)
        != 1
        || ngx_http_travel_session_push(s, NGX_HTTP_TRAVEL_ENTRY_PREPARE, call)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The text has changed since this session prepared it: the old one goes, and
 * the new one gets another name. */
static ngx_int_t
ngx_http_travel_session_renew(ngx_http_travel_session_t *s,
    ngx_http_travel_pg_call_t *call)
{
    char                         name[NGX_HTTP_TRAVEL_PG_NAME];
    char                         sql[NGX_HTTP_TRAVEL_PG_NAME + 16];
    u_char                      *prepared;
    ngx_http_travel_pg_known_t  *known;

    known = call->known;
    prepared = &s->prepared[known->index];

    if (s->versions[known->index] == known->statement->version) {
        return NGX_OK;
    }

    s->versions[known->index] = known->statement->version;

    if (!(*prepared & 0x80)) {
        return NGX_OK;
    }

    ngx_http_travel_session_name(s, known, name);
    *prepared = (*prepared + 1) & 0x7f;

    (void) snprintf(sql, sizeof(sql), "DEALLOCATE \"%s\"", name);

    if (PQsendQueryParams(s->pg, sql, 0, NULL, NULL, NULL, NULL, 0) != 1
        || ngx_http_travel_session_push(s, NGX_HTTP_TRAVEL_ENTRY_FORGET, call)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_session_send(ngx_http_travel_session_t *s,
    ngx_http_travel_pg_call_t *call, ngx_uint_t alone)
{
    char        name[NGX_HTTP_TRAVEL_PG_NAME];
    u_char     *prepared;
    ngx_int_t   rc;

    rc = NGX_ERROR;
    prepared = &s->prepared[call->known->index];

    if (s->unsynced) {
        if (alone) {
            if (ngx_http_travel_session_sync(s) != NGX_OK) {
                goto failed;
            }

        } else if (PQsendFlushRequest(s->pg) != 1) {
            goto failed;
        }
    }

    if (ngx_http_travel_session_renew(s, call) != NGX_OK) {
        goto failed;
    }

    ngx_http_travel_session_name(s, call->known, name);

    /* the high bit: prepared; the rest: under which name */

    if (!(*prepared & 0x80)) {
        if (ngx_http_travel_session_prepare(s, call, name) != NGX_OK) {
            goto failed;
        }

        *prepared |= 0x80;
    }

    if (PQsendQueryPrepared(s->pg, name, (int) call->known->statement->nparams,
                            call->values, NULL, NULL, 0)
        != 1
        || ngx_http_travel_session_push(s, NGX_HTTP_TRAVEL_ENTRY_QUERY, call)
           == NULL)
    {
        goto failed;
    }

    call->session = s;
    call->sent = 1;
    call->op.sent = 1;

    if (s->in_flight == 0) {
        s->asked = ngx_current_msec;
    }

    s->in_flight++;
    s->unsynced++;
    s->sent++;

    if (alone && ngx_http_travel_session_sync(s) != NGX_OK) {
        s->broken = "cannot send";
    }

    rc = NGX_OK;
    goto done;

failed:

    s->broken = "cannot send";

done:

    if (!s->flush.posted) {
        ngx_post_event(&s->flush, &ngx_posted_events);
    }

    return rc;
}


/* The end of a loop turn: one Sync, one write. */
static void
ngx_http_travel_session_flush(ngx_event_t *ev)
{
    ngx_http_travel_session_t  *s;

    s = ev->data;

    if (s->state != NGX_HTTP_TRAVEL_SESSION_READY) {
        return;
    }

    if (s->sent) {
        ngx_http_travel_count(s->server->conf->counters.commands,
                              (ngx_int_t) s->sent);
        s->sent = 0;
    }

    if (s->broken) {
        ngx_http_travel_session_drop(s, s->broken);
        return;
    }

    if (s->unsynced && ngx_http_travel_session_sync(s) != NGX_OK) {
        ngx_http_travel_session_drop(s, "cannot send");
        return;
    }

    (void) ngx_http_travel_session_write(s);
}


static ngx_int_t
ngx_http_travel_session_write(ngx_http_travel_session_t *s)
{
    int  rc;

    rc = PQflush(s->pg);

    if (rc < 0) {
        ngx_http_travel_session_drop(s, "cannot send");
        return NGX_ERROR;
    }

    if (ngx_http_travel_fd_write(s->c, rc == 1) != NGX_OK) {
        ngx_http_travel_session_drop(s, "cannot watch the socket");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_travel_session_write_event(ngx_event_t *ev)
{
    ngx_connection_t           *c;
    ngx_http_travel_session_t  *s;

    c = ev->data;
    s = c->data;

    if (c->close) {
        ngx_http_travel_session_drop(s, "shutting down");
        return;
    }

    (void) ngx_http_travel_session_write(s);
}


/* --- receiving ------------------------------------------------------------ */

static void
ngx_http_travel_session_read_event(ngx_event_t *ev)
{
    ngx_uint_t                  generation;
    ngx_connection_t           *c;
    ngx_http_travel_session_t  *s;

    c = ev->data;
    s = c->data;

    if (c->close) {
        ngx_http_travel_session_drop(s, "shutting down");
        return;
    }

    s->heard = ngx_current_msec;
    generation = s->generation;

    do {
        if (PQconsumeInput(s->pg) != 1) {
            /* what came before the end may still be whole answers */

            ngx_http_travel_session_drain(s);

            if (s->generation == generation) {
                ngx_http_travel_session_drop(s, "connection lost");
            }

            return;
        }

        ngx_http_travel_session_drain(s);

        if (s->generation != generation) {
            return;
        }

    } while (ngx_http_travel_session_hidden(s));

    if (PQstatus(s->pg) == CONNECTION_BAD) {
        ngx_http_travel_session_drop(s, "connection lost");
        return;
    }

    /* input may have made room for output that did not go out */

    if (s->c->write->active && ngx_http_travel_session_write(s) != NGX_OK) {
        return;
    }

    ngx_http_travel_pg_dispatch(s->server);
}


static ngx_uint_t
ngx_http_travel_session_hidden(ngx_http_travel_session_t *s)
{
    SSL  *ssl;

    ssl = PQsslInUse(s->pg) ? PQsslStruct(s->pg, "OpenSSL") : NULL;

    return ssl != NULL && SSL_pending(ssl) > 0;
}


static void
ngx_http_travel_session_drain(ngx_http_travel_session_t *s)
{
    PGresult                 *res;
    ngx_uint_t                generation, nothing;
    ngx_queue_t              *q;
    ngx_http_travel_entry_t  *entry;

    nothing = 0;
    generation = s->generation;

    /* PQisBusy() also digests notices while nothing is asked */

    while (!PQisBusy(s->pg) && !ngx_queue_empty(&s->pipeline)) {

        res = PQgetResult(s->pg);

        q = ngx_queue_head(&s->pipeline);
        entry = ngx_queue_data(q, ngx_http_travel_entry_t, queue);

        if (res == NULL) {

            if (entry->answered) {
                nothing = 0;
                ngx_queue_remove(q);
                ngx_http_travel_session_finished(s, entry);

            } else if (++nothing > 2) {
                ngx_http_travel_session_drop(s, "answers out of turn");
            }

        } else {
            nothing = 0;
            ngx_http_travel_session_result(s, entry, res);
        }

        if (s->generation != generation) {
            return;
        }
    }
}


static void
ngx_http_travel_session_result(ngx_http_travel_session_t *s,
    ngx_http_travel_entry_t *entry, PGresult *res)
{
    char            *severity;
    ExecStatusType   status;

    status = PQresultStatus(res);

    if (status == PGRES_PIPELINE_SYNC) {
        PQclear(res);

        if (entry->kind != NGX_HTTP_TRAVEL_ENTRY_SYNC) {
            ngx_http_travel_session_drop(s, "sync out of turn");
            return;
        }

        ngx_queue_remove(&entry->queue);
        ngx_http_travel_session_entry_free(entry);
        return;
    }

    if (entry->kind == NGX_HTTP_TRAVEL_ENTRY_SYNC || entry->answered) {
        PQclear(res);
        ngx_http_travel_session_drop(s, "answers out of turn");
        return;
    }

    if (status == PGRES_FATAL_ERROR) {
        severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

        if (severity == NULL || ngx_strcmp(severity, "ERROR") != 0) {
            ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                          "postgres %V: session %ui: %s",
                          &s->server->conf->info.name, s->number,
                          PQresultErrorMessage(res));
            PQclear(res);
            ngx_http_travel_session_drop(s, "the server ended the session");
            return;
        }
    }

    entry->answered = 1;

    if (entry->kind == NGX_HTTP_TRAVEL_ENTRY_PREPARE) {
        ngx_http_travel_session_prepared(s, entry, res);

    } else if (entry->kind == NGX_HTTP_TRAVEL_ENTRY_FORGET) {
        PQclear(res);

    } else {
        ngx_http_travel_session_answer(s, entry, res);
    }
}


static void
ngx_http_travel_session_prepared(ngx_http_travel_session_t *s,
    ngx_http_travel_entry_t *entry, PGresult *res)
{
    ExecStatusType            status;
    ngx_http_travel_entry_t  *query;

    status = PQresultStatus(res);

    if (status == PGRES_COMMAND_OK) {
        PQclear(res);
        return;
    }

    s->prepared[entry->known->index] &= 0x7f;

    if (status == PGRES_PIPELINE_ABORTED) {
        PQclear(res);
        return;
    }

    /* its query follows it; that one will be told, instead of sent again */

    query = ngx_queue_data(ngx_queue_next(&entry->queue),
                           ngx_http_travel_entry_t, queue);
    query->refused = res;
}


static void
ngx_http_travel_session_answer(ngx_http_travel_session_t *s,
    ngx_http_travel_entry_t *entry, PGresult *res)
{
    u_char                     *prepared;
    const char                 *state;
    ngx_http_travel_pg_call_t  *call;

    call = entry->call;

    if (PQresultStatus(res) == PGRES_PIPELINE_ABORTED) {
        PQclear(res);

        if (entry->refused) {
            res = entry->refused;
            entry->refused = NULL;
            ngx_http_travel_pg_deliver(call, res);
            return;
        }

        if (call->done) {
            return;
        }

        if (call->resent) {
            ngx_http_travel_pg_lost(call, "undone by another query's error");
            return;
        }

        call->resent = 1;
        entry->again = 1;
        return;
    }

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (state && !call->done && !call->prepared
        && (ngx_strcmp(state, "26000") == 0 || ngx_strcmp(state, "0A000") == 0))
    {
        /* unknown to the session, or its result's type changed: anew, under
         * another name */

        PQclear(res);

        prepared = &s->prepared[call->known->index];
        *prepared = (*prepared + 1) & 0x7f;

        call->prepared = 1;
        entry->again = 1;
        return;
    }

    ngx_http_travel_pg_deliver(call, res);
}


/* The NULL after an answer: the entry is over. */
static void
ngx_http_travel_session_finished(ngx_http_travel_session_t *s,
    ngx_http_travel_entry_t *entry)
{
    ngx_uint_t                  again;
    ngx_http_travel_pg_call_t  *call;

    call = entry->call;
    again = entry->again;

    if (entry->kind != NGX_HTTP_TRAVEL_ENTRY_QUERY) {
        ngx_http_travel_session_entry_free(entry);
        return;
    }

    ngx_http_travel_session_entry_free(entry);

    s->in_flight--;

    if (s->cancel == NGX_HTTP_TRAVEL_CANCEL_WANTED) {
        /* it ended by itself */
        ngx_queue_remove(&s->cancels);
        s->cancel = NGX_HTTP_TRAVEL_CANCEL_NONE;
    }

    if (again && !call->done) {
        ngx_http_travel_count(s->server->conf->counters.resent, 1);

        if (ngx_http_travel_session_send(s, call, 1) != NGX_OK) {
            ngx_http_travel_pg_lost(call, "connection lost");
            ngx_http_travel_pg_unsent(call);
        }

        return;
    }

    ngx_http_travel_pg_unsent(call);
}
