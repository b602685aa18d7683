/*
 * Links to Redis: connect, greet, flush once per loop turn, drop with a reason.
 *
 * Who owns what.  hiredis owns the descriptor and its context; the context dies
 * in two ways only: ngx_http_travel_link_drop() (our decision), or hiredis's
 * own, which ends in the cleanup hook.  Both first forget link->ac, release the
 * watch and unpost the flush, so no event can reach a dead context.  A drop
 * from inside a reply callback is safe: hiredis defers the freeing.
 *
 * Commands asked for while the very first connection is being made are kept in
 * hiredis' buffer and leave right behind the greeting, so that a fresh nginx
 * worker does not refuse its first requests.  After a failure they are refused
 * until the link is up again.
 *
 * Nothing is written from where a command is asked for: hiredis' addWrite hook
 * posts one event, and that event writes what the whole loop turn gathered.
 */

#include "ngx_http_travel_redis_link.h"

#include "../../common/digits.h"

#include <stdio.h>


static void ngx_http_travel_link_greet(ngx_http_travel_link_t *link);
static void ngx_http_travel_link_greeted(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_travel_link_informed(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_travel_link_pinged(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_travel_link_retry(ngx_http_travel_link_t *link);
static void ngx_http_travel_link_detach(ngx_http_travel_link_t *link,
    const char *why);
static void ngx_http_travel_link_timer(ngx_event_t *ev);
static void ngx_http_travel_link_flush(ngx_event_t *ev);
static void ngx_http_travel_link_write(ngx_http_travel_link_t *link);
static void ngx_http_travel_link_read_event(ngx_event_t *ev);
static void ngx_http_travel_link_write_event(ngx_event_t *ev);
static void ngx_http_travel_link_connected(const redisAsyncContext *ac,
    int status);
static void ngx_http_travel_link_add_read(void *data);
static void ngx_http_travel_link_del_read(void *data);
static void ngx_http_travel_link_add_write(void *data);
static void ngx_http_travel_link_del_write(void *data);
static void ngx_http_travel_link_cleanup(void *data);


void
ngx_http_travel_link_init(ngx_http_travel_link_t *link,
    ngx_http_travel_redis_conf_t *conf, const char *what)
{
    ngx_memzero(link, sizeof(ngx_http_travel_link_t));

    link->conf = conf;
    link->what = what;
    link->why = "not connected";

    link->timer.handler = ngx_http_travel_link_timer;
    link->timer.data = link;
    link->timer.log = ngx_cycle->log;
    link->timer.cancelable = 1;

    link->flush.handler = ngx_http_travel_link_flush;
    link->flush.data = link;
    link->flush.log = ngx_cycle->log;
}


void
ngx_http_travel_link_connect(ngx_http_travel_link_t *link)
{
    redisAsyncContext                     *ac;
    ngx_http_travel_redis_conf_t          *conf;
    const ngx_http_travel_redis_server_t  *server;

    conf = link->conf;

    if (link->aim) {
        server = link->aim(link);

    } else {
        server = conf->servers.elts;
        server += link->server % conf->servers.nelts;
    }

    if (server == NULL) {
        ngx_add_timer(&link->timer, NGX_HTTP_TRAVEL_RETRY_FLOOR);
        return;
    }

    link->at = server;

    /* an address is numeric, so hiredis' getaddrinfo() asks nobody */

    ac = server->path ? redisAsyncConnectUnix(server->path)
                      : redisAsyncConnect(server->addr, server->port);

    if (ac == NULL) {
        ngx_http_travel_link_detach(link, "out of memory");
        return;
    }

    if (ac->err) {
        ngx_http_travel_link_detach(link, ac->errstr);
        redisAsyncFree(ac);
        return;
    }

    link->c = ngx_http_travel_fd_open(ac->c.fd, link,
                                      ngx_http_travel_link_read_event,
                                      ngx_http_travel_link_write_event);
    if (link->c == NULL) {
        ngx_http_travel_link_detach(link, "no free worker_connections");
        redisAsyncFree(ac);
        return;
    }

    link->ac = ac;
    link->state = NGX_HTTP_TRAVEL_LINK_CONNECTING;

    ac->data = link;
    ac->ev.data = link;
    ac->ev.addRead = ngx_http_travel_link_add_read;
    ac->ev.delRead = ngx_http_travel_link_del_read;
    ac->ev.addWrite = ngx_http_travel_link_add_write;
    ac->ev.delWrite = ngx_http_travel_link_del_write;
    ac->ev.cleanup = ngx_http_travel_link_cleanup;

    (void) redisAsyncSetConnectCallback(ac, ngx_http_travel_link_connected);

    ngx_add_timer(&link->timer, conf->timeout);

    ngx_http_travel_link_greet(link);
}


/* AUTH, SELECT, CLIENT SETNAME, INFO and PING go out first, in one write with
 * what follows them; a Redis that still loads its data refuses the PING.  In a
 * cluster a replica says itself who the master is. */
static void
ngx_http_travel_link_greet(ngx_http_travel_link_t *link)
{
    u_char                         name[80], *p;
    int                            n;
    char                           db[16];
    const char                    *argv[3];
    size_t                         len[3];
    redisAsyncContext             *ac;
    ngx_http_travel_redis_conf_t  *conf;

    ac = link->ac;
    conf = link->conf;

    if (conf->password.len) {
        argv[0] = "AUTH";
        len[0] = 4;
        n = 1;

        if (conf->user.len) {
            argv[n] = (char *) conf->user.data;
            len[n++] = conf->user.len;
        }

        argv[n] = (char *) conf->password.data;
        len[n++] = conf->password.len;

        (void) redisAsyncCommandArgv(ac, ngx_http_travel_link_greeted,
                                     (void *) "AUTH", n, argv, len);
    }

    if (conf->db) {
        argv[0] = "SELECT";
        len[0] = 6;
        argv[1] = db;
        len[1] = (size_t) snprintf(db, sizeof(db), "%d", (int) conf->db);

        (void) redisAsyncCommandArgv(ac, ngx_http_travel_link_greeted,
                                     (void *) "SELECT", 2, argv, len);
    }

    p = ngx_snprintf(name, sizeof(name), "travel-edge-%P-%s", ngx_pid,
                     link->what);
    argv[0] = "CLIENT";
    len[0] = 6;
    argv[1] = "SETNAME";
    len[1] = 7;
    argv[2] = (char *) name;
    len[2] = p - name;

    (void) redisAsyncCommandArgv(ac, NULL, NULL, 3, argv, len);

    if (!conf->cluster) {
        argv[0] = "INFO";
        len[0] = 4;
        argv[1] = "replication";
        len[1] = 11;
        argv[2] = "cluster";
        len[2] = 7;

        (void) redisAsyncCommandArgv(ac, ngx_http_travel_link_informed, NULL,
                                     3, argv, len);
    }

    argv[0] = "PING";
    len[0] = 4;

    (void) redisAsyncCommandArgv(ac, ngx_http_travel_link_pinged, NULL, 1,
                                 argv, len);
}


static void
ngx_http_travel_link_greeted(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply              *r;
    ngx_http_travel_link_t  *link;

    r = reply;
    link = ac->data;

    if (r == NULL || r->type != REDIS_REPLY_ERROR || link->ac != ac) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "redis %V (%s): %s refused: %s", &link->conf->name,
                  link->what, (char *) data, r->str);

    ngx_http_travel_link_drop(link, "login refused");
}


/* Of several servers one is the master, and of none of them is known that it is
 * a cluster's; who may not ask takes what there is. */
static void
ngx_http_travel_link_informed(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply              *r;
    ngx_http_travel_link_t  *link;

    (void) data;

    r = reply;
    link = ac->data;

    if (r == NULL || link->ac != ac || r->type != REDIS_REPLY_STRING) {
        return;
    }

    if (strstr(r->str, "cluster_enabled:1") != NULL) {
        ngx_http_travel_link_drop(link, "it is a node of a Redis Cluster: "
                                  "\"travel_redis queue\" needs cluster=on, "
                                  "and the cache can be none");
        return;
    }

    if (strstr(r->str, "role:master") == NULL) {
        ngx_http_travel_link_drop(link, "it is a replica");
    }
}


static void
ngx_http_travel_link_pinged(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply              *r;
    ngx_http_travel_link_t  *link;

    (void) data;

    r = reply;
    link = ac->data;

    if (r == NULL || link->ac != ac) {
        return;
    }

    if (r->type == REDIS_REPLY_ERROR) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "redis %V (%s): PING refused: %s", &link->conf->name,
                      link->what, r->str);

        ngx_http_travel_link_drop(link, "not ready");
        return;
    }

    if (link->attempt) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "redis %V (%s): connected again", &link->conf->name,
                      link->what);
    }

    link->state = NGX_HTTP_TRAVEL_LINK_UP;
    link->attempt = 0;

    if (link->silence) {
        ngx_add_timer(&link->timer, link->silence);

    } else if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    ngx_http_travel_count(link->conf->counters.connects, 1);

    if (link->on_up) {
        link->on_up(link);
    }
}


/* Forgets the context without freeing it, and says why. */
static void
ngx_http_travel_link_detach(ngx_http_travel_link_t *link, const char *why)
{
    ngx_uint_t                    level;
    ngx_http_travel_link_state_e  was;

    was = link->state;

    link->ac = NULL;
    link->demoted = 0;
    link->state = NGX_HTTP_TRAVEL_LINK_DOWN;

    ngx_http_travel_fd_release(&link->c, 0);

    if (link->flush.posted) {
        ngx_delete_posted_event(&link->flush);
    }

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    if (link->closing) {
        return;
    }

    /* a server that stays away is told of once, not at each attempt */

    level = link->attempt ? NGX_LOG_INFO : NGX_LOG_WARN;

    ngx_log_error(level, ngx_cycle->log, 0, "redis %V (%s): dropped: %s",
                  &link->conf->name, link->what, why);

    ngx_http_travel_count(link->conf->counters.drops, 1);

    ngx_http_travel_link_retry(link);

    if (was == NGX_HTTP_TRAVEL_LINK_UP && link->on_down) {
        link->on_down(link);
    }
}


static void
ngx_http_travel_link_retry(ngx_http_travel_link_t *link)
{
    ngx_msec_t  delay;

    delay = ngx_http_travel_net_backoff(link->attempt
                                        / link->conf->servers.nelts);

    link->attempt++;
    link->server++;

    if (!link->resting) {
        ngx_add_timer(&link->timer, delay);
    }
}


void
ngx_http_travel_link_wake(ngx_http_travel_link_t *link)
{
    if (!link->resting) {
        return;
    }

    link->resting = 0;

    if (link->state == NGX_HTTP_TRAVEL_LINK_DOWN && !link->timer.timer_set
        && !link->closing)
    {
        ngx_http_travel_link_connect(link);
    }
}


void
ngx_http_travel_link_drop(ngx_http_travel_link_t *link, const char *why)
{
    redisAsyncContext  *ac;

    ac = link->ac;
    link->why = why;

    if (ac == NULL) {
        return;
    }

    ngx_http_travel_link_detach(link, why);

    ac->ev.addRead = NULL;
    ac->ev.delRead = NULL;
    ac->ev.addWrite = NULL;
    ac->ev.delWrite = NULL;
    ac->ev.cleanup = NULL;

    redisAsyncFree(ac);
}


void
ngx_http_travel_link_close(ngx_http_travel_link_t *link)
{
    link->closing = 1;

    ngx_http_travel_link_drop(link, "shutting down");

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }
}


/*
 * hiredis' own formatter allocates and scans a format string per argument, and
 * was the largest single cost of accepting a command.  NULL: out of memory.
 */
char *
ngx_http_travel_link_format(ngx_uint_t argc, const char **argv,
    const size_t *argvlen, size_t *ret_len)
{
    char          *p;
    size_t         size;
    ngx_uint_t     i;

    static char   *text;
    static size_t  room;

    size = 1 + TRAVEL_DIGITS_MAX + 2 + 1;

    for (i = 0; i < argc; i++) {
        size += 1 + TRAVEL_DIGITS_MAX + 2 + argvlen[i] + 2;
    }

    if (size > room) {
        p = ngx_alloc(2 * size, ngx_cycle->log);
        if (p == NULL) {
            return NULL;
        }

        if (text) {
            ngx_free(text);
        }

        text = p;
        room = 2 * size;
    }

    p = text;
    *p++ = '*';
    p += travel_digits_format(p, argc);
    *p++ = '\r';
    *p++ = '\n';

    for (i = 0; i < argc; i++) {
        *p++ = '$';
        p += travel_digits_format(p, argvlen[i]);
        *p++ = '\r';
        *p++ = '\n';
        p = (char *) ngx_cpymem(p, argv[i], argvlen[i]);
        *p++ = '\r';
        *p++ = '\n';
    }

    /* hiredis looks for the command's name with strchr() */

    *p = '\0';
    *ret_len = p - text;

    return text;
}


ngx_int_t
ngx_http_travel_link_send(ngx_http_travel_link_t *link, redisCallbackFn *fn,
    void *data, ngx_uint_t argc, const char **argv, const size_t *argvlen)
{
    char    *text;
    size_t   len;

    text = ngx_http_travel_link_format(argc, argv, argvlen, &len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_travel_link_send_text(link, fn, data, text, len);
}


ngx_int_t
ngx_http_travel_link_send_text(ngx_http_travel_link_t *link,
    redisCallbackFn *fn, void *data, const char *text, size_t len)
{
    if (link->ac == NULL
        || (link->state != NGX_HTTP_TRAVEL_LINK_UP && link->attempt))
    {
        return NGX_DECLINED;
    }

    /* refuses by itself while it is disconnecting */

    if (redisAsyncFormattedCommand(link->ac, fn, data, text, len) != REDIS_OK)
    {
        return NGX_DECLINED;
    }

    link->commands++;

    return NGX_OK;
}


static void
ngx_http_travel_link_timer(ngx_event_t *ev)
{
    ngx_msec_t               quiet;
    ngx_http_travel_link_t  *link;

    link = ev->data;

    switch (link->state) {

    case NGX_HTTP_TRAVEL_LINK_DOWN:
        if (!link->resting) {
            ngx_http_travel_link_connect(link);
        }
        return;

    case NGX_HTTP_TRAVEL_LINK_CONNECTING:
    case NGX_HTTP_TRAVEL_LINK_GREETING:
        ngx_http_travel_link_drop(link, "connecting took too long");
        return;

    case NGX_HTTP_TRAVEL_LINK_UP:
        break;
    }

    quiet = ngx_current_msec - link->heard;

    if (quiet >= link->silence) {
        ngx_http_travel_link_drop(link, "silent for too long");
        return;
    }

    ngx_add_timer(ev, link->silence - quiet);
}


static void
ngx_http_travel_link_flush(ngx_event_t *ev)
{
    ngx_http_travel_link_t  *link;

    link = ev->data;

    if (link->ac) {
        ngx_http_travel_link_write(link);
    }
}


static void
ngx_http_travel_link_write(ngx_http_travel_link_t *link)
{
    if (link->on_write) {
        link->flushing = 1;
        link->on_write(link);
        link->flushing = 0;
    }

    if (link->ac == NULL) {
        return;
    }

    if (link->commands) {
        ngx_http_travel_count(link->conf->counters.commands,
                              (ngx_int_t) link->commands);
        link->commands = 0;
    }

    /* from here on, bytes of what was asked for may have left */

    if (link->state != NGX_HTTP_TRAVEL_LINK_CONNECTING) {
        link->epoch++;
    }

    link->flushing = 1;
    redisAsyncHandleWrite(link->ac);
    link->flushing = 0;
}


static void
ngx_http_travel_link_read_event(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_travel_link_t  *link;

    c = ev->data;
    link = c->data;

    if (c->close) {
        ngx_http_travel_link_drop(link, "shutting down");
        return;
    }

    if (link->state == NGX_HTTP_TRAVEL_LINK_CONNECTING) {
        /* an error, most likely: the write side tells */
        ngx_http_travel_link_write(link);
        return;
    }

    link->heard = ngx_current_msec;

    redisAsyncHandleRead(link->ac);

    if (link->demoted) {
        ngx_http_travel_link_drop(link, "it has become a replica");
    }
}


static void
ngx_http_travel_link_write_event(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_travel_link_t  *link;

    c = ev->data;
    link = c->data;

    if (c->close) {
        ngx_http_travel_link_drop(link, "shutting down");
        return;
    }

    ngx_http_travel_link_write(link);
}


static void
ngx_http_travel_link_connected(const redisAsyncContext *ac, int status)
{
    ngx_http_travel_link_t  *link;

    link = ac->data;

    if (status == REDIS_OK && link->ac == ac) {
        link->state = NGX_HTTP_TRAVEL_LINK_GREETING;
        link->epoch++;
        link->heard = ngx_current_msec;

        if (ac->c.connection_type == REDIS_CONN_TCP) {
            (void) redisEnableKeepAlive((redisContext *) &ac->c);
        }
    }
}


static void
ngx_http_travel_link_add_read(void *data)
{
    ngx_http_travel_link_t  *link = data;

    if (link->c && ngx_http_travel_fd_read(link->c, 1) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "redis %V: cannot watch for reading",
                      &link->conf->name);
    }
}


static void
ngx_http_travel_link_del_read(void *data)
{
    ngx_http_travel_link_t  *link = data;

    if (link->c) {
        (void) ngx_http_travel_fd_read(link->c, 0);
    }
}


static void
ngx_http_travel_link_add_write(void *data)
{
    ngx_http_travel_link_t  *link = data;

    if (link->c == NULL) {
        return;
    }

    /*
     * While it connects, writing must wait for the socket to say so; after a
     * partial write too.  Else the rest of this loop turn may add to it.
     */

    if (link->state == NGX_HTTP_TRAVEL_LINK_CONNECTING || link->flushing) {
        (void) ngx_http_travel_fd_write(link->c, 1);
        return;
    }

    if (!link->flush.posted) {
        ngx_post_event(&link->flush, &ngx_posted_events);
    }
}


static void
ngx_http_travel_link_del_write(void *data)
{
    ngx_http_travel_link_t  *link = data;

    if (link->c) {
        (void) ngx_http_travel_fd_write(link->c, 0);
    }
}


/* hiredis gave the context up by itself; it frees it after this. */
static void
ngx_http_travel_link_cleanup(void *data)
{
    const char              *why;
    ngx_http_travel_link_t  *link = data;

    if (link->ac == NULL) {
        return;
    }

    why = link->ac->errstr && link->ac->errstr[0] ? link->ac->errstr
                                                  : "link lost";
    link->why = "link lost";

    ngx_http_travel_link_detach(link, why);
}
