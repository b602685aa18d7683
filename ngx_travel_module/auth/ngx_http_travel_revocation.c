/*
 * The feed of revocations, and the rule by which a request is judged.
 *
 * Each nginx worker tails the stream and applies every entry to the table that
 * all share.  Where reading does not simply go on (a start, a gap, ids that
 * went back) the whole set is read as well: the place in the stream is taken
 * first, so what is added meanwhile comes through the stream.  Until that is
 * done the table is not loaded and nobody who authenticates is answered: the
 * request waits a bounded time, then it is 503.  There is no way around that.
 *
 * on_blind= is for later: the table is loaded, but Redis has been silent for
 * longer than blind=.  Silence is measured from when a read was asked for, not
 * from when its answer was seen, so a worker that was stopped does not take
 * what lay in its socket for news; a read lasts two seconds.
 *
 * Statics below belong to the process; the table is shared (revoked.c).
 */

#include "ngx_http_travel_bearer.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/digits.h"
#include "../../common/queues.h"


#define NGX_HTTP_TRAVEL_REVOCATION_TURN   250       /* between two looks */
#define NGX_HTTP_TRAVEL_REVOCATION_POLL   20        /* of who waits */
#define NGX_HTTP_TRAVEL_REVOCATION_COUNT  "1000"    /* members a reply */

typedef enum {
    NGX_HTTP_TRAVEL_REVOCATION_APPLIED,
    NGX_HTTP_TRAVEL_REVOCATION_EXPIRED,
    NGX_HTTP_TRAVEL_REVOCATION_LOADED,
    NGX_HTTP_TRAVEL_REVOCATION_LOST,
    NGX_HTTP_TRAVEL_REVOCATION_EVENTS
} ngx_http_travel_revocation_event_e;


static void ngx_http_travel_revocation_on_up(void *data, ngx_str_t *after);
static void ngx_http_travel_revocation_on_start(void *data, ngx_str_t *after);
static void ngx_http_travel_revocation_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields);
static void ngx_http_travel_revocation_on_batch(void *data, ngx_uint_t newest);
static void ngx_http_travel_revocation_on_idle(void *data);
static void ngx_http_travel_revocation_on_down(void *data);
static void ngx_http_travel_revocation_apply(ngx_str_t *member,
    ngx_str_t *expires);
static void ngx_http_travel_revocation_load(void);
static void ngx_http_travel_revocation_scan(const ngx_str_t *cursor);
static void ngx_http_travel_revocation_scanned(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_revocation_turn(ngx_event_t *ev);
static ngx_int_t ngx_http_travel_revocation_hold(ngx_http_request_t *r,
    ngx_msec_t wait);
static void ngx_http_travel_revocation_held(ngx_event_t *ev);
static void ngx_http_travel_revocation_let_go(void *data);


static const char  *ngx_http_travel_revocation_names[] = {
    "travel_revocations_total{event=\"applied\"}",
    "travel_revocations_total{event=\"expired\"}",
    "travel_revocations_total{event=\"loaded\"}",
    "travel_revocations_total{event=\"lost\"}"
};

static ngx_int_t
    ngx_http_travel_revocation_counters[NGX_HTTP_TRAVEL_REVOCATION_EVENTS];

static ngx_http_travel_zone_t        *ngx_http_travel_revocation_zone;
static ngx_http_travel_redis_tail_t   ngx_http_travel_revocation_tail;
static ngx_event_t                    ngx_http_travel_revocation_timer;
static ngx_connection_t               ngx_http_travel_revocation_ident;

/* How many were applied by this process. */
static ngx_uint_t                     ngx_http_travel_revocation_seen;

/* This process's tail: its link is up and has a place; what it asked for and
 * when; what it has read. */
static ngx_uint_t                     ngx_http_travel_revocation_up;
static u_char                         ngx_http_travel_revocation_after[64];
static travel_stream_id_t             ngx_http_travel_revocation_asked;
static ngx_msec_t                     ngx_http_travel_revocation_asked_at;
static travel_stream_id_t             ngx_http_travel_revocation_read;

/* This process's reading of the set. */
static ngx_uint_t                     ngx_http_travel_revocation_loading;
static ngx_uint_t                     ngx_http_travel_revocation_again;
static ngx_uint_t                     ngx_http_travel_revocation_full;
static ngx_msec_t                     ngx_http_travel_revocation_began;
static travel_stream_id_t             ngx_http_travel_revocation_base;


static const ngx_http_travel_param_t  ngx_http_travel_revocation_params[] = {

    { "on_blind", ngx_http_travel_param_word,
      offsetof(ngx_http_travel_revocation_t, deny),
      NULL, NULL, "allow", "allow|deny", 0 },

    { "blind", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_revocation_t, blind),
      "5s", "1h", "10s", NULL, 0 },

    { "wait", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_revocation_t, wait),
      "0", "10s", "2s", NULL, 0 },

      ngx_http_travel_null_param
};


/* --- configuration -------------------------------------------------------- */

char *
ngx_http_travel_revocation_directive(ngx_conf_t *cf,
    ngx_http_travel_revocation_t *revocation)
{
    ngx_str_t  *value;

    if (revocation->set) {
        return "is duplicate";
    }

    value = cf->args->elts;

    revocation->set = 1;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") != 0) {
        return "must be \"off\" alone, or \"on\" with on_blind=allow|deny, "
               "blind=TIME, wait=TIME";
    }

    revocation->on = 1;

    return ngx_http_travel_params_whole(cf, ngx_http_travel_revocation_params,
                                        2, revocation);
}


void
ngx_http_travel_revocation_merge(ngx_http_travel_revocation_t *conf,
    const ngx_http_travel_revocation_t *prev)
{
    if (!conf->set) {
        *conf = *prev;
    }
}


ngx_int_t
ngx_http_travel_revocation_init(ngx_conf_t *cf)
{
    ngx_uint_t  i;

    if (!ngx_http_travel_redis_declared(cf, NGX_HTTP_TRAVEL_REDIS_QUEUE)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"travel_revocation on\" needs to know where "
                      "revocations are: add \"travel_redis queue ADDRESS\"");
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_TRAVEL_REVOCATION_EVENTS; i++) {
        ngx_http_travel_revocation_counters[i] =
            ngx_http_travel_counter_add(cf, ngx_http_travel_revocation_names[i],
                                        "What became of revocations here.");
        if (ngx_http_travel_revocation_counters[i] == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* --- the process ---------------------------------------------------------- */

ngx_int_t
ngx_http_travel_revocation_open(ngx_cycle_t *cycle,
    ngx_http_travel_zone_t *zone)
{
    ngx_int_t                      rc;
    ngx_event_t                   *ev;
    ngx_http_travel_redis_tail_t  *tail;

    ngx_http_travel_revocation_zone = zone;

    tail = &ngx_http_travel_revocation_tail;

    ngx_str_set(&tail->stream, TRAVEL_KEY_REVOKE);
    tail->on_up = ngx_http_travel_revocation_on_up;
    tail->on_start = ngx_http_travel_revocation_on_start;
    tail->on_entry = ngx_http_travel_revocation_on_entry;
    tail->on_batch = ngx_http_travel_revocation_on_batch;
    tail->on_idle = ngx_http_travel_revocation_on_idle;
    tail->on_down = ngx_http_travel_revocation_on_down;

    rc = ngx_http_travel_redis_tail(cycle, NGX_HTTP_TRAVEL_REDIS_QUEUE, tail);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_http_travel_revocation_ident.fd = (ngx_socket_t) -1;

    ev = &ngx_http_travel_revocation_timer;
    ev->handler = ngx_http_travel_revocation_turn;
    ev->data = &ngx_http_travel_revocation_ident;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_TRAVEL_REVOCATION_TURN);

    return NGX_OK;
}


void
ngx_http_travel_revocation_close(void)
{
    if (ngx_http_travel_revocation_timer.timer_set) {
        ngx_del_timer(&ngx_http_travel_revocation_timer);
    }
}


/* Loads what an emptied shard has lost or a broken link left undone; forgets
 * what has expired. */
static void
ngx_http_travel_revocation_turn(ngx_event_t *ev)
{
    ngx_uint_t                    gone;
    ngx_http_travel_revoked_t     state;
    ngx_http_travel_credential_t  nothing;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    ngx_memzero(&nothing, sizeof(nothing));

    (void) ngx_http_travel_revoked(ngx_http_travel_revocation_zone, &nothing,
                                   &state);

    if (!state.loaded) {
        ngx_http_travel_revocation_load();
    }

    gone = ngx_http_travel_revoked_sweep(ngx_http_travel_revocation_zone,
                                         ngx_time());
    if (gone != 0) {
        ngx_http_travel_count(
            ngx_http_travel_revocation_counters[
                                         NGX_HTTP_TRAVEL_REVOCATION_EXPIRED],
            gone);

        /* there is room again: what did not fit can be had from the set */
        if (state.full) {
            ngx_http_travel_revocation_load();
        }
    }

    ngx_add_timer(ev, NGX_HTTP_TRAVEL_REVOCATION_TURN);
}


/* --- the stream ----------------------------------------------------------- */

static void
ngx_http_travel_revocation_on_up(void *data, ngx_str_t *after)
{
    ngx_http_travel_revoked_t     state;
    ngx_http_travel_credential_t  nothing;

    ngx_memzero(&nothing, sizeof(nothing));

    (void) ngx_http_travel_revoked(ngx_http_travel_revocation_zone, &nothing,
                                   &state);

    /* it has its place when that is confirmed: by on_start or by an answer */
    ngx_http_travel_revocation_up = 0;
    ngx_http_travel_revocation_asked = state.pos;
    ngx_http_travel_revocation_read = state.pos;
    ngx_http_travel_revocation_asked_at = ngx_current_msec;

    if (!state.loaded || state.pos.ms == 0) {
        ngx_memzero(&ngx_http_travel_revocation_asked,
                    sizeof(ngx_http_travel_revocation_asked));
        ngx_str_set(after, "$");
        return;
    }

    after->data = ngx_http_travel_revocation_after;
    after->len = travel_stream_id_format((char *) after->data, state.pos);
}


static void
ngx_http_travel_revocation_on_start(void *data, ngx_str_t *after)
{
    ngx_uint_t          back;
    travel_stream_id_t  id;

    if (travel_stream_id_parse(&id, ngx_http_travel_view(after))
        != TRAVEL_OK)
    {
        return;
    }

    back = travel_stream_id_cmp(id, ngx_http_travel_revocation_asked) < 0;

    ngx_http_travel_revocation_up = 1;
    ngx_http_travel_revocation_read = id;
    ngx_http_travel_revocation_asked_at = ngx_current_msec;

    if (ngx_http_travel_revoked_from(ngx_http_travel_revocation_zone, id, back))
    {
        /* what is being read now may have been read before that place */
        ngx_http_travel_revocation_again = ngx_http_travel_revocation_loading;
        ngx_http_travel_revocation_load();
        return;
    }

    ngx_http_travel_revoked_heard(ngx_http_travel_revocation_zone,
                                  ngx_current_msec);
}


static void
ngx_http_travel_revocation_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields)
{
    ngx_str_t           name, value, member, expires;
    ngx_uint_t          i, n;
    travel_stream_id_t  at;

    if (travel_stream_id_parse(&at, ngx_http_travel_view(id)) != TRAVEL_OK) {
        return;
    }

    ngx_str_null(&member);
    ngx_str_null(&expires);

    n = ngx_http_travel_reply_count(fields);

    for (i = 0; i + 1 < n; i += 2) {
        name = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(fields, i));
        value = ngx_http_travel_reply_str(
                                    ngx_http_travel_reply_elt(fields, i + 1));

        if (name.len == 1 && name.data[0] == 'r') {
            member = value;

        } else if (name.len == 3 && ngx_strncmp(name.data, "exp", 3) == 0) {
            expires = value;
        }
    }

    if (member.len != 0) {
        ngx_http_travel_revocation_apply(&member, &expires);
    }

    ngx_http_travel_revocation_read = at;

    /* after the entry: who goes on from here has it */
    ngx_http_travel_revoked_reached(ngx_http_travel_revocation_zone, at);
}


ngx_uint_t
ngx_http_travel_revocations(void)
{
    return ngx_http_travel_revocation_seen;
}


static void
ngx_http_travel_revocation_apply(ngx_str_t *member, ngx_str_t *expires)
{
    ngx_int_t            rc;
    uint64_t             until;
    travel_revocation_t  revocation;

    if (travel_revocation_parse(&revocation, ngx_http_travel_view(member))
            != TRAVEL_OK
        || travel_digits_parse(&until, ngx_http_travel_view(expires))
           != TRAVEL_OK
        || until > INT64_MAX)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "travel_revocation: \"%V\" until \"%V\" is no "
                      "revocation, and is not applied", member, expires);
        return;
    }

    rc = ngx_http_travel_revoked_add(ngx_http_travel_revocation_zone,
                                     &revocation, (int64_t) until);

    /* a neighbour may have been faster: it is news to this process */
    ngx_http_travel_revocation_seen++;

    if (rc == NGX_OK) {
        ngx_http_travel_count(
            ngx_http_travel_revocation_counters[
                                         NGX_HTTP_TRAVEL_REVOCATION_APPLIED],
            1);

    } else if (rc == NGX_ERROR) {
        ngx_http_travel_revocation_full = 1;
        ngx_http_travel_count(
            ngx_http_travel_revocation_counters[
                                         NGX_HTTP_TRAVEL_REVOCATION_LOST],
            1);
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "travel_revocation: the zone \"revocations\" is full; "
                      "until there is room on_blind= decides: make it larger "
                      "by \"travel_zone revocations SIZE\"");
    }
}


static void
ngx_http_travel_revocation_on_batch(void *data, ngx_uint_t newest)
{
    if (newest) {
        ngx_http_travel_revocation_on_idle(data);
        return;
    }

    ngx_http_travel_revocation_asked_at = ngx_current_msec;
}


static void
ngx_http_travel_revocation_on_idle(void *data)
{
    /* a link that was up all along has its place, too */
    ngx_http_travel_revocation_up = 1;

    ngx_http_travel_revoked_heard(ngx_http_travel_revocation_zone,
                                  ngx_http_travel_revocation_asked_at);

    ngx_http_travel_revocation_asked_at = ngx_current_msec;
}


static void
ngx_http_travel_revocation_on_down(void *data)
{
    ngx_http_travel_revocation_up = 0;
}


/* --- the set -------------------------------------------------------------- */

/*
 * May begin whenever this process's tail has a place: what is added later
 * comes through it.  ZSCAN returns every member that is there all the time.
 */
static void
ngx_http_travel_revocation_load(void)
{
    ngx_str_t  cursor;

    if (ngx_http_travel_revocation_loading || !ngx_http_travel_revocation_up) {
        return;
    }

    ngx_http_travel_revocation_full = 0;
    ngx_http_travel_revocation_began = ngx_current_msec;
    ngx_http_travel_revocation_base = ngx_http_travel_revocation_read;

    ngx_str_set(&cursor, "0");
    ngx_http_travel_revocation_scan(&cursor);
}


static void
ngx_http_travel_revocation_scan(const ngx_str_t *cursor)
{
    size_t                       len[5];
    const char                  *argv[5];
    ngx_http_travel_redis_op_t  *op;

    argv[0] = "ZSCAN";
    len[0] = 5;
    argv[1] = TRAVEL_KEY_REVOKED;
    len[1] = sizeof(TRAVEL_KEY_REVOKED) - 1;
    argv[2] = (char *) cursor->data;
    len[2] = cursor->len;
    argv[3] = "COUNT";
    len[3] = 5;
    argv[4] = NGX_HTTP_TRAVEL_REVOCATION_COUNT;
    len[4] = sizeof(NGX_HTTP_TRAVEL_REVOCATION_COUNT) - 1;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, NULL, 0,
                                  ngx_http_travel_revocation_scanned, NULL);

    /* when it cannot be asked now, the next turn tries again */
    ngx_http_travel_revocation_loading =
        op != NULL
        && ngx_http_travel_redis_command(op, 5, argv, len) == NGX_OK;
}


static void
ngx_http_travel_revocation_scanned(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                       cursor, member, expires;
    ngx_uint_t                      n;
    const ngx_http_travel_reply_t  *pairs;

    ngx_http_travel_revocation_loading = 0;

    if (reply == NULL
        || ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_ARRAY
        || ngx_http_travel_reply_count(reply) != 2)
    {
        if (reply != NULL) {
            member = ngx_http_travel_reply_str(reply);
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "travel_revocation: the revocations cannot be read, "
                          "Redis says \"%V\"", &member);
        }

        return;
    }

    cursor = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 0));
    pairs = ngx_http_travel_reply_elt(reply, 1);
    n = ngx_http_travel_reply_count(pairs);

    for (i = 0; i + 1 < n; i += 2) {
        member = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(pairs, i));
        expires = ngx_http_travel_reply_str(
                                     ngx_http_travel_reply_elt(pairs, i + 1));

        ngx_http_travel_revocation_apply(&member, &expires);
    }

    if (cursor.len != 1 || cursor.data[0] != '0') {
        ngx_http_travel_revocation_scan(&cursor);
        return;
    }

    if (ngx_http_travel_revocation_again) {
        ngx_http_travel_revocation_again = 0;
        ngx_http_travel_revocation_load();
        return;
    }

    ngx_http_travel_revoked_heard(ngx_http_travel_revocation_zone,
                                  ngx_http_travel_revocation_began);

    ngx_http_travel_revoked_loaded(ngx_http_travel_revocation_zone,
                                   ngx_http_travel_revocation_base,
                                   ngx_http_travel_revocation_full);

    ngx_http_travel_count(
        ngx_http_travel_revocation_counters[NGX_HTTP_TRAVEL_REVOCATION_LOADED],
        1);
}


/* --- the request ---------------------------------------------------------- */

ngx_int_t
ngx_http_travel_revocation_judge(ngx_http_request_t *r,
    const ngx_http_travel_revocation_t *revocation,
    ngx_http_travel_zone_t *zone,
    const ngx_http_travel_credential_t *credential, const char **ret_why)
{
    ngx_http_travel_revoked_t  state;

    if (ngx_http_travel_revoked(zone, credential, &state)) {
        return NGX_DECLINED;
    }

    if (!state.loaded) {
        *ret_why = "what has been revoked is not known yet";
        ngx_http_travel_revocation_load();
        return ngx_http_travel_revocation_hold(r, revocation->wait);
    }

    if (!revocation->deny) {
        return NGX_OK;
    }

    if (state.full) {
        *ret_why = "there are more revocations than there is room for";
        return NGX_BUSY;
    }

    if ((ngx_msec_int_t) (ngx_current_msec - state.heard)
        > (ngx_msec_int_t) revocation->blind)
    {
        *ret_why = "nothing has been heard of revocations for too long";
        return NGX_BUSY;
    }

    return NGX_OK;
}


/* Who waits looks again every few milliseconds, by the request's own event;
 * the time runs from the first wait. */
static ngx_int_t
ngx_http_travel_revocation_hold(ngx_http_request_t *r, ngx_msec_t wait)
{
    ngx_event_t                     *ev;
    ngx_pool_cleanup_t              *cln;
    ngx_http_travel_auth_request_t  *ar;

    ar = ngx_http_travel_auth_request(r);
    if (ar == NULL) {
        return NGX_ERROR;
    }

    ev = &ar->hold;

    if (ev->handler == NULL) {

        if (wait == 0) {
            return NGX_BUSY;
        }

        cln = ngx_pool_cleanup_add(r->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_travel_revocation_let_go;
        cln->data = ev;

        ev->handler = ngx_http_travel_revocation_held;
        ev->data = r;
        ev->log = r->connection->log;
        ar->until = ngx_current_msec + wait;
    }

    if ((ngx_msec_int_t) (ar->until - ngx_current_msec) <= 0) {
        return NGX_BUSY;
    }

    ngx_http_travel_auth_suspend(r);
    ngx_add_timer(ev, NGX_HTTP_TRAVEL_REVOCATION_POLL);

    return NGX_AGAIN;
}


static void
ngx_http_travel_revocation_held(ngx_event_t *ev)
{
    ngx_http_travel_auth_resume(ev->data);
}


static void
ngx_http_travel_revocation_let_go(void *data)
{
    ngx_event_t  *ev = data;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}
