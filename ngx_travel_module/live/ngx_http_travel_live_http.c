/*
 * travel_live topics by HTTP alone: an event stream, or a poll.
 *
 *   GET ?topic=T[,T...][&cursor=C[,C...]]      Accept: text/event-stream
 *
 *     retry: 2000
 *
 *     id: C[,C...]
 *     event: subscribed | gap | bye              none: a message
 *     data: what a socket is told of it
 *
 *   GET ?topic=T[,T...][&cursor=C[,C...]][&wait=T]
 *
 *     {"cursor":"C[,C...]","messages":[what a socket is told, ...]}
 *
 * Cursors stand in the order of the topics, "-" for one that has none.  A
 * stream goes on from Last-Event-ID, which browsers send, else from cursor=.
 * A poll without cursors says at once where the topics stand; with them, it
 * answers when there is something to tell, or the time is over.
 *
 * Both live in the request's pool and end with it.
 */

#include "ngx_http_travel_live_hub.h"

#define NGX_HTTP_TRAVEL_HTTP_TOPICS  16
#define NGX_HTTP_TRAVEL_HTTP_LATE    2000      /* ms more for Redis */


typedef struct {
    ngx_http_request_t                     *request;
    const ngx_http_travel_live_loc_conf_t  *conf;
    ngx_http_travel_live_rights_t           rights;
    ngx_uint_t                              n;
    ngx_str_t                               topics[NGX_HTTP_TRAVEL_HTTP_TOPICS];
    const u_char                           *owners[NGX_HTTP_TRAVEL_HTTP_TOPICS];
    ngx_str_t                               cursors;
    unsigned                                resumes:1;
    unsigned                                lost:1;    /* no such cursor */
    ngx_http_travel_subscriber_t            subs[NGX_HTTP_TRAVEL_HTTP_TOPICS];
} ngx_http_travel_asked_t;

typedef struct {
    ngx_http_travel_events_t                events;
    ngx_http_travel_asked_t                *asked;
} ngx_http_travel_follower_t;

typedef struct {
    ngx_http_travel_asked_t                *asked;
    ngx_http_travel_guest_t                 guest;
    ngx_event_t                             timer;
    ngx_event_t                             answer;    /* posted */
    ngx_http_travel_unsent_t               *told;
    ngx_http_travel_unsent_t              **last;
    size_t                                  bytes;
    ngx_uint_t                              waiting;   /* not ready yet */
    travel_stream_id_t                      pos[NGX_HTTP_TRAVEL_HTTP_TOPICS];
    unsigned                                full:1;
    unsigned                                late:1;    /* its time is over */
    unsigned                                leaves:1;
    unsigned                                revoked:1;
} ngx_http_travel_poll_t;


static ngx_int_t ngx_http_travel_asked(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, ngx_str_t *list,
    ngx_http_travel_asked_t **ret_asked);
static ngx_int_t ngx_http_travel_asked_topics(ngx_http_travel_asked_t *a,
    ngx_str_t *list);
static ngx_int_t ngx_http_travel_asked_cursors(ngx_http_travel_asked_t *a,
    ngx_uint_t stream);
static ngx_int_t ngx_http_travel_asked_cursor(ngx_http_travel_asked_t *a,
    ngx_uint_t i, travel_stream_id_t *ret_id);
static ngx_int_t ngx_http_travel_asked_watch(ngx_http_travel_asked_t *a,
    const ngx_http_travel_subscriber_pt *handlers, void *data);
static void ngx_http_travel_asked_gone(ngx_http_travel_asked_t *a);

static ngx_int_t ngx_http_travel_follow(ngx_http_request_t *r,
    ngx_http_travel_asked_t *a);
static void ngx_http_travel_follower_ready(ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_follower_gap(ngx_http_travel_subscriber_t *sub,
    int64_t missed);
static void ngx_http_travel_follower_news(ngx_http_travel_subscriber_t *sub,
    ngx_http_travel_message_t *message);
static void ngx_http_travel_follower_refused(
    ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_follower_tell(ngx_http_travel_follower_t *f,
    const char *type, const void *json, size_t len);
static void ngx_http_travel_follower_farewell(ngx_http_travel_events_t *e,
    unsigned code);
static void ngx_http_travel_follower_gone(ngx_http_travel_events_t *e);

static ngx_int_t ngx_http_travel_poll(ngx_http_request_t *r,
    ngx_http_travel_asked_t *a);
static ngx_int_t ngx_http_travel_poll_wait(ngx_http_travel_poll_t *p,
    ngx_msec_t *ret_wait);
static void ngx_http_travel_poll_ready(ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_poll_gap(ngx_http_travel_subscriber_t *sub,
    int64_t missed);
static void ngx_http_travel_poll_news(ngx_http_travel_subscriber_t *sub,
    ngx_http_travel_message_t *message);
static void ngx_http_travel_poll_refused(ngx_http_travel_subscriber_t *sub);
static void ngx_http_travel_poll_tell(ngx_http_travel_subscriber_t *sub,
    const char *json, size_t len);
static void ngx_http_travel_poll_keep(ngx_http_travel_poll_t *p,
    ngx_http_travel_subscriber_t *sub, ngx_http_travel_text_t *text);
static void ngx_http_travel_poll_complete(ngx_http_travel_poll_t *p);
static void ngx_http_travel_poll_guest(ngx_http_travel_guest_t *guest,
    unsigned code, const char *reason, ngx_http_travel_live_counter_e how);
static void ngx_http_travel_poll_answer(ngx_event_t *ev);
static ngx_int_t ngx_http_travel_poll_body(ngx_http_travel_poll_t *p,
    ngx_str_t *ret_body);
static void ngx_http_travel_poll_cleanup(void *data);


static const ngx_http_travel_subscriber_pt  ngx_http_travel_follower_hears = {
    ngx_http_travel_follower_ready,
    ngx_http_travel_follower_gap,
    ngx_http_travel_follower_news,
    ngx_http_travel_follower_refused
};

static const ngx_http_travel_events_pt  ngx_http_travel_follower = {
    ngx_http_travel_follower_farewell,
    ngx_http_travel_follower_gone
};

static const ngx_http_travel_subscriber_pt  ngx_http_travel_poll_hears = {
    ngx_http_travel_poll_ready,
    ngx_http_travel_poll_gap,
    ngx_http_travel_poll_news,
    ngx_http_travel_poll_refused
};


ngx_int_t
ngx_http_travel_live_http(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf)
{
    ngx_int_t                 rc;
    ngx_str_t                 list;
    ngx_uint_t                stream;
    ngx_http_travel_asked_t  *a;

    if (r != r->main
        || ngx_http_travel_header_in(r, "upgrade", 7) != NULL)
    {
        return NGX_DECLINED;
    }

    stream = ngx_http_travel_event_stream_wanted(r);

    if (ngx_http_arg(r, (u_char *) "topic", 5, &list) != NGX_OK) {
        ngx_str_null(&list);
    }

    if (!stream && list.len == 0) {
        return NGX_DECLINED;
    }

    if (!ngx_http_travel_live_origin(r, conf)) {
        ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_REFUSED);
        return ngx_http_travel_error(r, TRAVEL_E_AUTHORIZATION_ERROR,
                   "Pages of this origin may not watch anything here.");
    }

    rc = ngx_http_travel_asked(r, conf, &list, &a);

    if (rc == NGX_OK && !r->header_sent) {
        rc = ngx_http_travel_asked_cursors(a, stream);
    }

    if (rc != NGX_OK || r->header_sent) {
        ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_REFUSED);
        return rc;
    }

    return stream ? ngx_http_travel_follow(r, a) : ngx_http_travel_poll(r, a);
}


/* --- what is asked for --------------------------------------------------- */

/* NGX_OK: *ret_asked, unless an error was answered. */
static ngx_int_t
ngx_http_travel_asked(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf, ngx_str_t *list,
    ngx_http_travel_asked_t **ret_asked)
{
    u_char                   *src, *dst;
    ngx_int_t                 rc;
    ngx_str_t                 text;
    ngx_http_travel_asked_t  *a;

    a = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_asked_t));
    text.data = ngx_pnalloc(r->pool, list->len + 1);

    if (a == NULL || text.data == NULL
        || ngx_http_travel_live_rights(r, conf, &a->rights) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    src = list->data;
    dst = text.data;
    ngx_unescape_uri(&dst, &src, list->len, 0);
    text.len = dst - text.data;

    a->request = r;
    a->conf = conf;
    *ret_asked = a;

    rc = ngx_http_travel_asked_topics(a, &text);
    ngx_free(a->rights.grant.data);

    return rc;
}


static ngx_int_t
ngx_http_travel_asked_topics(ngx_http_travel_asked_t *a, ngx_str_t *list)
{
    u_char      *p, *last;
    ngx_int_t    rc;
    ngx_str_t   *topic;
    ngx_uint_t   i;

    last = list->data + list->len;

    for (p = list->data; p <= last; p++) {

        if (a->n == ngx_min(a->conf->topics, NGX_HTTP_TRAVEL_HTTP_TOPICS)) {
            return ngx_http_travel_error(a->request,
                       TRAVEL_E_RATE_LIMIT_EXCEEDED,
                       "One request may not watch more than %ui topics.",
                       a->n);
        }

        topic = &a->topics[a->n++];
        topic->data = p;

        while (p < last && *p != ',') {
            p++;
        }

        topic->len = p - topic->data;
        rc = ngx_http_travel_live_allowed(&a->rights, topic,
                                          &a->owners[a->n - 1]);

        if (rc == NGX_ERROR) {
            return ngx_http_travel_error(a->request,
                       TRAVEL_E_RESOURCE_NOT_FOUND, "There is no such topic.");
        }

        if (rc != NGX_OK) {
            return ngx_http_travel_error(a->request,
                       TRAVEL_E_AUTHORIZATION_ERROR,
                       "The caller may not watch this topic.");
        }

        for (i = 0; i < a->n - 1; i++) {
            if (a->topics[i].len == topic->len
                && ngx_memcmp(a->topics[i].data, topic->data, topic->len) == 0)
            {
                return ngx_http_travel_error(a->request,
                           TRAVEL_E_VALIDATION_ERROR,
                           "A topic is named twice.");
            }
        }
    }

    return NGX_OK;
}


/* Last-Event-ID is not the client's to mend: one that is none is a gap. */
static ngx_int_t
ngx_http_travel_asked_cursors(ngx_http_travel_asked_t *a, ngx_uint_t stream)
{
    ngx_str_t           *last;
    ngx_uint_t           i;
    travel_stream_id_t   id;

    last = stream ? ngx_http_travel_header_in(a->request, "last-event-id", 13)
                  : NULL;

    if (last != NULL && last->len > 0) {
        a->cursors = *last;

    } else if (ngx_http_arg(a->request, (u_char *) "cursor", 6, &a->cursors)
               != NGX_OK)
    {
        ngx_str_null(&a->cursors);
        return NGX_OK;
    }

    a->resumes = 1;

    for (i = 0; i < a->n; i++) {
        if (ngx_http_travel_asked_cursor(a, i, &id) != NGX_ERROR) {
            continue;
        }

        if (last == NULL || last->len == 0) {
            return ngx_http_travel_error(a->request, TRAVEL_E_VALIDATION_ERROR,
                       "The cursor is none that was given here.");
        }

        a->lost = 1;
    }

    return NGX_OK;
}


/* NGX_DECLINED: it has none. */
static ngx_int_t
ngx_http_travel_asked_cursor(ngx_http_travel_asked_t *a, ngx_uint_t i,
    travel_stream_id_t *ret_id)
{
    u_char        *p, *last;
    travel_str_t   text;

    p = a->cursors.data;
    last = p + a->cursors.len;

    for ( ;; ) {
        text.data = (char *) p;

        while (p < last && *p != ',') {
            p++;
        }

        text.len = (char *) p - text.data;

        if (i-- == 0) {
            break;
        }

        if (p == last) {
            return NGX_ERROR;
        }

        p++;
    }

    if (text.len == 1 && text.data[0] == '-') {
        return NGX_DECLINED;
    }

    return travel_stream_id_parse(ret_id, text) == TRAVEL_OK ? NGX_OK
                                                             : NGX_ERROR;
}


/* A cursor that is none becomes the oldest there can be, which is a gap. */
static ngx_int_t
ngx_http_travel_asked_watch(ngx_http_travel_asked_t *a,
    const ngx_http_travel_subscriber_pt *handlers, void *data)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    travel_stream_id_t   id;

    for (i = 0; i < a->n; i++) {
        rc = a->resumes ? ngx_http_travel_asked_cursor(a, i, &id)
                        : NGX_DECLINED;

        if (rc == NGX_ERROR || (a->lost && rc == NGX_OK)) {
            ngx_memzero(&id, sizeof(id));
            id.seq = 1;
            rc = NGX_OK;
        }

        if (ngx_http_travel_subscribe(&a->subs[i], &a->topics[i], a->owners[i],
                                      rc == NGX_OK ? &id : NULL, handlers,
                                      data)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        a->subs[i].next = i + 1 < a->n ? &a->subs[i + 1] : NULL;
    }

    return NGX_OK;
}


static void
ngx_http_travel_asked_gone(ngx_http_travel_asked_t *a)
{
    ngx_uint_t  i;

    for (i = 0; i < a->n; i++) {
        ngx_http_travel_unsubscribe(&a->subs[i]);
    }
}


static u_char *
ngx_http_travel_asked_where(ngx_http_travel_asked_t *a, u_char *p,
    const travel_stream_id_t *pos)
{
    ngx_uint_t  i;

    for (i = 0; i < a->n; i++) {
        if (i > 0) {
            *p++ = ',';
        }

        if (!a->subs[i].ready) {
            *p++ = '-';
            continue;
        }

        p += travel_stream_id_format((char *) p, pos ? pos[i]
                                                     : a->subs[i].pos);
    }

    return p;
}


static ngx_int_t
ngx_http_travel_unavailable(ngx_http_request_t *r)
{
    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_REFUSED);

    return ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                 "Nothing can be watched now.");
}


/* --- an event stream ----------------------------------------------------- */

static ngx_int_t
ngx_http_travel_follow(ngx_http_request_t *r, ngx_http_travel_asked_t *a)
{
    u_char                       text[64];
    ngx_int_t                    rc;
    ngx_http_travel_follower_t  *f;

    f = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_follower_t));
    if (f == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    f->asked = a;
    f->events.owner = &ngx_http_travel_follower;
    f->events.data = f;

    if (ngx_http_travel_events_init(&f->events, r, a->conf) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_travel_guest_invite(&f->events.guest, r, a->conf);

    if (rc != NGX_OK) {
        return ngx_http_travel_guest_refused(r, rc);
    }

    if (!r->header_only
        && ngx_http_travel_asked_watch(a, &ngx_http_travel_follower_hears, f)
           != NGX_OK)
    {
        return ngx_http_travel_unavailable(r);
    }

    rc = ngx_http_travel_events_open(&f->events);

    if (rc == NGX_DONE) {
        ngx_http_travel_events_give(&f->events,
            ngx_http_travel_text_copy(text, ngx_sprintf(text, "retry: %M\n\n",
                                                        a->conf->retry)
                                            - text));
    }

    return rc;
}


static void
ngx_http_travel_follower_ready(ngx_http_travel_subscriber_t *sub)
{
    char    json[NGX_HTTP_TRAVEL_TOLD_MAX];
    size_t  len;

    len = ngx_http_travel_told_ready(sub, json);
    ngx_http_travel_follower_tell(sub->data, "subscribed", json, len);
}


static void
ngx_http_travel_follower_gap(ngx_http_travel_subscriber_t *sub,
    int64_t missed)
{
    char    json[NGX_HTTP_TRAVEL_TOLD_MAX];
    size_t  len;

    len = ngx_http_travel_told_gap(sub, missed, json);
    ngx_http_travel_follower_tell(sub->data, "gap", json, len);
}


/* Of one topic, the event is the same for all; else each has an id of its
 * own, before what is the same. */
static void
ngx_http_travel_follower_news(ngx_http_travel_subscriber_t *sub,
    ngx_http_travel_message_t *message)
{
    u_char                       id[NGX_HTTP_TRAVEL_HTTP_TOPICS
                                    * (NGX_HTTP_TRAVEL_CURSOR_MAX + 1) + 8];
    u_char                      *p;
    ngx_http_travel_text_t      *text;
    ngx_http_travel_follower_t  *f = sub->data;

    text = ngx_http_travel_told(message, f->asked->n == 1
                                         ? NGX_HTTP_TRAVEL_FORM_EVENT
                                         : NGX_HTTP_TRAVEL_FORM_DATA);

    if (text != NULL && f->asked->n > 1) {
        p = ngx_cpymem(id, "id: ", 4);
        p = ngx_http_travel_asked_where(f->asked, p, NULL);
        *p++ = '\n';

        ngx_http_travel_events_give(&f->events,
                                    ngx_http_travel_text_copy(id, p - id));
    }

    if (text == NULL) {
        ngx_http_travel_events_give(&f->events, NULL);
        return;
    }

    ngx_http_travel_events_send(&f->events, text);
}


/* The stream goes on without it. */
static void
ngx_http_travel_follower_refused(ngx_http_travel_subscriber_t *sub)
{
    char    json[NGX_HTTP_TRAVEL_TOLD_MAX];
    size_t  len;

    len = ngx_http_travel_told_refused(sub, json);
    ngx_http_travel_unsubscribe(sub);
    ngx_http_travel_follower_tell(sub->data, "error", json, len);
}


static void
ngx_http_travel_follower_tell(ngx_http_travel_follower_t *f, const char *type,
    const void *json, size_t len)
{
    u_char     text[NGX_HTTP_TRAVEL_HTTP_TOPICS
                    * (NGX_HTTP_TRAVEL_CURSOR_MAX + 1)];
    ngx_str_t  id;

    id.data = text;
    id.len = ngx_http_travel_asked_where(f->asked, text, NULL) - text;

    ngx_http_travel_events_give(&f->events,
                                ngx_http_travel_text_event(type, &id, json,
                                                           len));
}


/* EventSource comes back by itself, after 'retry'. */
static void
ngx_http_travel_follower_farewell(ngx_http_travel_events_t *e, unsigned code)
{
    u_char                       text[64];
    ngx_http_travel_text_t      *bye;
    ngx_http_travel_follower_t  *f = e->data;

    if (code == TRAVEL_WS_GOING_AWAY) {
        ngx_http_travel_events_give(e,
            ngx_http_travel_text_copy(text,
                ngx_sprintf(text, "retry: %i\n",
                            ngx_random() % NGX_HTTP_TRAVEL_LIVE_BACK + 1)
                - text));
    }

    bye = ngx_http_travel_told_bye(f->asked->subs, f->asked->n, code);

    if (bye != NULL) {
        ngx_http_travel_follower_tell(f, "bye", bye->data, bye->len);
        ngx_http_travel_text_release(bye);
    }
}


static void
ngx_http_travel_follower_gone(ngx_http_travel_events_t *e)
{
    ngx_http_travel_follower_t  *f = e->data;

    ngx_http_travel_asked_gone(f->asked);
}


/* --- a poll -------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_poll(ngx_http_request_t *r, ngx_http_travel_asked_t *a)
{
    ngx_int_t                rc;
    ngx_msec_t               wait;
    ngx_http_cleanup_t      *cln;
    ngx_http_travel_poll_t  *p;

    p = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_poll_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (p == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_travel_poll_cleanup;
    cln->data = p;

    p->asked = a;
    p->last = &p->told;
    p->waiting = a->n;
    p->guest.leave = ngx_http_travel_poll_guest;

    p->timer.handler = ngx_http_travel_poll_answer;
    p->timer.data = p;
    p->timer.log = r->connection->log;
    p->answer = p->timer;

    rc = ngx_http_travel_guest_invite(&p->guest, r, a->conf);
    if (rc != NGX_OK) {
        return ngx_http_travel_guest_refused(r, rc);
    }

    rc = ngx_http_travel_poll_wait(p, &wait);
    if (rc != NGX_OK || r->header_sent) {
        return rc;
    }

    if (ngx_http_travel_asked_watch(a, &ngx_http_travel_poll_hears, p)
        != NGX_OK)
    {
        return ngx_http_travel_unavailable(r);
    }

    ngx_http_travel_guest_enter(&p->guest);
    ngx_add_timer(&p->timer, wait);

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


/* wait=25s, at most the location's and the token's time. */
static ngx_int_t
ngx_http_travel_poll_wait(ngx_http_travel_poll_t *p, ngx_msec_t *ret_wait)
{
    ngx_int_t       n;
    ngx_str_t       text;
    ngx_msec_int_t  left;

    *ret_wait = p->asked->conf->poll;

    if (ngx_http_arg(p->asked->request, (u_char *) "wait", 4, &text)
        == NGX_OK)
    {
        n = ngx_parse_time(&text, 0);

        if (n == NGX_ERROR) {
            return ngx_http_travel_error(p->asked->request,
                       TRAVEL_E_VALIDATION_ERROR,
                       "\"wait\" must be a time, such as 25s.");
        }

        *ret_wait = ngx_min(*ret_wait, (ngx_msec_t) n);
    }

    left = ngx_http_travel_guest_left(&p->guest);

    if (left >= 0) {
        *ret_wait = ngx_min(*ret_wait, (ngx_msec_t) left);
    }

    return NGX_OK;
}


/* Without cursors it is where the topics stand that was asked for. */
static void
ngx_http_travel_poll_ready(ngx_http_travel_subscriber_t *sub)
{
    ngx_http_travel_poll_t  *p = sub->data;

    p->pos[sub - p->asked->subs] = sub->pos;

    p->waiting--;

    if (!p->asked->resumes || p->told != NULL || p->late) {
        ngx_http_travel_poll_complete(p);
    }
}


static void
ngx_http_travel_poll_gap(ngx_http_travel_subscriber_t *sub, int64_t missed)
{
    char    json[NGX_HTTP_TRAVEL_TOLD_MAX];
    size_t  len;

    len = ngx_http_travel_told_gap(sub, missed, json);
    ngx_http_travel_poll_tell(sub, json, len);
}


static void
ngx_http_travel_poll_news(ngx_http_travel_subscriber_t *sub,
    ngx_http_travel_message_t *message)
{
    ngx_http_travel_text_t  *text;

    text = ngx_http_travel_told(message, NGX_HTTP_TRAVEL_FORM_JSON);

    if (text != NULL) {
        ngx_http_travel_poll_keep(sub->data, sub, text);
    }
}


static void
ngx_http_travel_poll_refused(ngx_http_travel_subscriber_t *sub)
{
    char                     json[NGX_HTTP_TRAVEL_TOLD_MAX];
    size_t                   len;
    ngx_http_travel_poll_t  *p = sub->data;

    len = ngx_http_travel_told_refused(sub, json);
    ngx_http_travel_unsubscribe(sub);
    p->waiting--;

    ngx_http_travel_poll_tell(sub, json, len);
}


/* What is for this poll alone. */
static void
ngx_http_travel_poll_tell(ngx_http_travel_subscriber_t *sub, const char *json,
    size_t len)
{
    ngx_http_travel_text_t  *text;

    text = ngx_http_travel_text_copy(json, len);

    if (text != NULL) {
        ngx_http_travel_poll_keep(sub->data, sub, text);
        ngx_http_travel_text_release(text);
    }
}


/* What does not fit any more comes with the next poll: the cursor stays. */
static void
ngx_http_travel_poll_keep(ngx_http_travel_poll_t *p,
    ngx_http_travel_subscriber_t *sub, ngx_http_travel_text_t *text)
{
    ngx_http_travel_unsent_t  *u;

    if (p->full
        || (p->bytes > 0 && p->bytes + text->len > p->asked->conf->queue))
    {
        p->full = 1;
        return;
    }

    u = ngx_palloc(p->asked->request->pool, sizeof(ngx_http_travel_unsent_t));

    if (u == NULL) {
        p->full = 1;
        return;
    }

    u->text = text;
    u->next = NULL;
    text->refs++;

    *p->last = u;
    p->last = &u->next;
    p->bytes += text->len;
    p->pos[sub - p->asked->subs] = sub->pos;

    ngx_http_travel_poll_complete(p);
}


/* There is an answer, if all topics stand. */
static void
ngx_http_travel_poll_complete(ngx_http_travel_poll_t *p)
{
    if (p->waiting == 0) {
        ngx_post_event(&p->answer, &ngx_posted_events);
    }
}


static void
ngx_http_travel_poll_guest(ngx_http_travel_guest_t *guest, unsigned code,
    const char *reason, ngx_http_travel_live_counter_e how)
{
    ngx_http_travel_poll_t  *p;

    (void) reason;
    (void) how;

    p = ngx_queue_data(guest, ngx_http_travel_poll_t, guest);

    if (code == TRAVEL_LIVE_REVOKED) {
        p->revoked = 1;
    }

    p->leaves = 1;
    ngx_post_event(&p->answer, &ngx_posted_events);
}


/* Has the history been read? */
static ngx_uint_t
ngx_http_travel_poll_stands(ngx_http_travel_poll_t *p)
{
    ngx_uint_t  i;

    for (i = 0; i < p->asked->n; i++) {
        if (!p->asked->subs[i].ready || p->asked->subs[i].behind) {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_travel_poll_answer(ngx_event_t *ev)
{
    ngx_int_t                rc;
    ngx_str_t                body;
    ngx_http_request_t      *r;
    ngx_http_travel_poll_t  *p = ev->data;

    static ngx_str_t  fresh = ngx_string("no-store");

    r = p->asked->request;
    ngx_http_set_log_request(r->connection->log, r);

    if ((!p->late || ev != &p->timer) && !p->leaves && p->told == NULL
        && (p->asked->resumes || p->waiting > 0)
        && !ngx_http_travel_poll_stands(p))
    {
        /* till all topics stand: that, or what they have, ends it */
        if (!p->late) {
            p->late = 1;
            ngx_add_timer(&p->timer, NGX_HTTP_TRAVEL_HTTP_LATE);
        }

        return;
    }

    if (p->revoked) {
        rc = ngx_http_travel_error(r, TRAVEL_E_TOKEN_INVALID,
                                   "The credential has been revoked.");

    } else if (p->waiting > 0) {
        rc = ngx_http_travel_unavailable(r);

    } else if (ngx_http_travel_poll_body(p, &body) != NGX_OK
               || ngx_http_travel_add_header(r, "Cache-Control", &fresh)
                  != NGX_OK)
    {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    } else {
        rc = ngx_http_travel_send(r, NGX_HTTP_OK, NULL, &body);
    }

    ngx_http_travel_finish(r, rc);
}


static ngx_int_t
ngx_http_travel_poll_body(ngx_http_travel_poll_t *p, ngx_str_t *ret_body)
{
    size_t                     n;
    u_char                    *dst;
    ngx_http_travel_unsent_t  *u;

    n = p->asked->n * (NGX_HTTP_TRAVEL_CURSOR_MAX + 1) + 64;

    for (u = p->told; u != NULL; u = u->next) {
        n += u->text->len + 1;
    }

    ret_body->data = ngx_pnalloc(p->asked->request->pool, n);
    if (ret_body->data == NULL) {
        return NGX_ERROR;
    }

    dst = ngx_sprintf(ret_body->data, "{\"cursor\":\"");
    dst = ngx_http_travel_asked_where(p->asked, dst, p->pos);
    dst = ngx_sprintf(dst, "\",\"messages\":[");

    for (u = p->told; u != NULL; u = u->next) {
        dst = ngx_cpymem(dst, u->text->data, u->text->len);

        if (u->next != NULL) {
            *dst++ = ',';
        }
    }

    *dst++ = ']';
    *dst++ = '}';
    ret_body->len = dst - ret_body->data;

    return NGX_OK;
}


static void
ngx_http_travel_poll_cleanup(void *data)
{
    ngx_http_travel_poll_t    *p = data;
    ngx_http_travel_unsent_t  *u;

    ngx_http_travel_asked_gone(p->asked);
    ngx_http_travel_guest_gone(&p->guest);

    for (u = p->told; u != NULL; u = u->next) {
        ngx_http_travel_text_release(u->text);
    }

    if (p->timer.timer_set) {
        ngx_del_timer(&p->timer);
    }

    if (p->answer.posted) {
        ngx_delete_posted_event(&p->answer);
    }
}
