/*
 * Which PostgreSQL server answers a read.
 *
 * Every nginx worker probes every server each 250 ms on the server's control
 * session and keeps what it heard in this file's table; nothing is shared and
 * nothing is locked.  A probe tells: in recovery or not, the position replayed
 * (of a primary: flushed), the timeline, the newest heartbeat (a row that the
 * workers rewrite each 250 ms).
 *
 * The primary is the writable server with the highest timeline, whatever role
 * nginx.conf gave it.  A replica is fit while it answers, is on the primary's
 * timeline and lags at most max_lag.
 *
 * Lag, the smaller of two upper bounds, neither of which compares the clocks
 * of two machines:
 *  - heartbeat: how far the replica's newest heartbeat is behind the primary's
 *    newest (both written by one clock), and how long ago that was new to us;
 *  - position: when it has replayed what the primary had flushed at its last
 *    probe, the time since that probe.
 *
 * With no primary the last verdict is frozen: nothing can be said to lag, and
 * answers are marked unverified.
 *
 * A replica that becomes fit again warms up: its share of the reads grows from
 * a tenth to all of it over slow_start; the rest goes where it went.  When no
 * replica can take a read, it spills over to the primary, which takes no more
 * than its spill= of this nginx worker's work for that, and half of it for
 * reads of low priority.
 *
 * Analytics servers stand apart: reports go to them and to nobody else, other
 * reads never do, and they are never the primary.
 */

#include "ngx_http_travel_query_room.h"


#define NGX_HTTP_TRAVEL_ROUTER_INTERVAL   250
#define NGX_HTTP_TRAVEL_ROUTER_TIMEOUT    600     /* a dead end is seen within
                                                     a second */
#define NGX_HTTP_TRAVEL_ROUTER_SILENCE    1500    /* then it counts as down */
#define NGX_HTTP_TRAVEL_ROUTER_YOUNG      3000    /* wait for first probes */
#define NGX_HTTP_TRAVEL_ROUTER_MAX        64
#define NGX_HTTP_TRAVEL_ROUTER_SHARE      10      /* %, of one just back */
#define NGX_HTTP_TRAVEL_ROUTER_LAG_NONE   NGX_MAX_INT32_VALUE


typedef struct {
    ngx_http_travel_pg_server_t             *server;
    const ngx_http_travel_pg_server_info_t  *info;
    ngx_event_t                              timer;
    ngx_msec_t                               seen;       /* last answer */
    ngx_msec_t                               beat_seen;  /* 'beat' was new */
    int64_t                                  beat;       /* ms, its clock; 0 */
    travel_lsn_t                             replay;
    ngx_msec_t                               lag;
    ngx_msec_t                               warm_since; /* warming: since */
    unsigned                                 warming:1;
    unsigned                                 lost:1;     /* was fit before */
    unsigned                                 answers:1;
    unsigned                                 recovery:1;
    unsigned                                 fit:1;
    unsigned                                 complained:1;
} ngx_http_travel_router_server_t;

typedef struct {
    ngx_http_travel_router_server_t  servers[NGX_HTTP_TRAVEL_ROUTER_MAX];
    ngx_uint_t                       n;
    ngx_uint_t                       nreplicas;  /* in the configuration */
    ngx_http_travel_router_server_t *primary;    /* NULL: none is known */
    travel_lsn_t                     last;       /* of the last primary */
    ngx_msec_t                       born;
} ngx_http_travel_router_t;


static void ngx_http_travel_router_timer(ngx_event_t *ev);
static void ngx_http_travel_router_heard(ngx_http_travel_pg_op_t *op,
    ngx_http_travel_pg_result_t *result);
static ngx_int_t ngx_http_travel_router_read(
    ngx_http_travel_router_server_t *s, ngx_http_travel_pg_result_t *result);
static void ngx_http_travel_router_complain(
    ngx_http_travel_router_server_t *s, ngx_http_travel_pg_result_t *result);
static void ngx_http_travel_router_judge(void);
static ngx_http_travel_router_server_t *ngx_http_travel_router_find_primary(
    void);
static void ngx_http_travel_router_verdict(
    ngx_http_travel_router_server_t *s, ngx_uint_t fit);
static ngx_uint_t ngx_http_travel_router_share(
    ngx_http_travel_router_server_t *s);
static ngx_msec_t ngx_http_travel_router_lag(
    const ngx_http_travel_router_server_t *s);
static ngx_uint_t ngx_http_travel_router_up(
    const ngx_http_travel_router_server_t *s);


/* Process-wide, made in init_process. */
static ngx_http_travel_router_t  *ngx_http_travel_router;

static const ngx_http_travel_pg_statement_t  ngx_http_travel_router_probe = {
    ngx_string("travel.probe"),
    ngx_string(
        "SELECT r.recovery, "
        "CASE WHEN r.recovery THEN pg_last_wal_replay_lsn() "
             "ELSE pg_current_wal_flush_lsn() END, "
        "CASE WHEN r.recovery THEN h.timeline "
             "ELSE ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), "
                  "1, 8))::bit(32)::int END, "
        "(extract(epoch FROM h.at) * 1000)::bigint "
        "FROM (SELECT pg_is_in_recovery() AS recovery) AS r "
        "LEFT JOIN travel.heartbeat AS h ON true"),
    0,
    NGX_HTTP_TRAVEL_PG_FAST,
    NGX_HTTP_TRAVEL_ROUTER_TIMEOUT,
    0
};


/* --- life ---------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_router_init(ngx_cycle_t *cycle)
{
    ngx_uint_t                        i, n;
    ngx_event_t                      *ev;
    ngx_http_travel_router_t         *router;
    ngx_http_travel_router_server_t  *s;

    /* an event's data must start like a connection: nginx logs its fd */
    static ngx_connection_t  dumb;

    dumb.fd = (ngx_socket_t) -1;

    n = ngx_http_travel_pg_server_count();
    if (n == 0) {
        return NGX_OK;
    }

    router = ngx_pcalloc(cycle->pool, sizeof(ngx_http_travel_router_t));
    if (router == NULL) {
        return NGX_ERROR;
    }

    router->n = ngx_min(n, NGX_HTTP_TRAVEL_ROUTER_MAX);
    router->born = ngx_current_msec;

    for (i = 0; i < router->n; i++) {
        s = &router->servers[i];
        s->server = ngx_http_travel_pg_server(i);
        s->info = ngx_http_travel_pg_server_info(s->server);
        s->lag = NGX_HTTP_TRAVEL_ROUTER_LAG_NONE;
        router->nreplicas += (s->info->role == NGX_HTTP_TRAVEL_PG_REPLICA);

        ev = &s->timer;
        ev->data = &dumb;
        ev->handler = ngx_http_travel_router_timer;
        ev->log = cycle->log;
        ev->cancelable = 1;

        ngx_add_timer(ev, 1);
    }

    ngx_http_travel_router = router;

    return NGX_OK;
}


void
ngx_http_travel_router_exit(void)
{
    ngx_uint_t                 i;
    ngx_http_travel_router_t  *router = ngx_http_travel_router;

    if (router == NULL) {
        return;
    }

    for (i = 0; i < router->n; i++) {
        if (router->servers[i].timer.timer_set) {
            ngx_del_timer(&router->servers[i].timer);
        }
    }

    ngx_http_travel_router = NULL;
}


/* --- probes -------------------------------------------------------------- */

static void
ngx_http_travel_router_timer(ngx_event_t *ev)
{
    ngx_int_t                         rc;
    ngx_http_travel_router_server_t  *s;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    s = (ngx_http_travel_router_server_t *)
            ((u_char *) ev - offsetof(ngx_http_travel_router_server_t, timer));

    rc = ngx_http_travel_pg_probe(s->server, &ngx_http_travel_router_probe,
                                  NGX_HTTP_TRAVEL_ROUTER_TIMEOUT,
                                  ngx_http_travel_router_heard, s);

    if (rc != NGX_OK && rc != NGX_BUSY && s->answers) {
        s->answers = 0;
        ngx_http_travel_router_judge();
    }

    /* at start the control session is being made: ask again soon */
    ngx_add_timer(ev, (rc == NGX_DECLINED && s->seen == 0)
                      ? 5 : NGX_HTTP_TRAVEL_ROUTER_INTERVAL);
}


static void
ngx_http_travel_router_heard(ngx_http_travel_pg_op_t *op,
    ngx_http_travel_pg_result_t *result)
{
    ngx_http_travel_router_server_t  *s = op->data;

    if (ngx_http_travel_router == NULL) {
        return;
    }

    if (result != NULL
        && ngx_http_travel_pg_sqlstate(result) == NULL
        && ngx_http_travel_router_read(s, result) == NGX_OK)
    {
        s->answers = 1;
        s->complained = 0;
        s->seen = ngx_current_msec;

    } else {
        s->answers = 0;
        ngx_http_travel_router_complain(s, result);
    }

    ngx_http_travel_router_judge();
}


/* Once per trouble: a probe comes four times a second. */

static void
ngx_http_travel_router_complain(ngx_http_travel_router_server_t *s,
    ngx_http_travel_pg_result_t *result)
{
    const char  *why;

    if (s->complained || result == NULL) {
        return;                      /* net has logged the lost link */
    }

    s->complained = 1;

    why = ngx_http_travel_pg_sqlstate(result) != NULL
          ? ngx_http_travel_pg_message(result) : "an answer of another shape";

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "travel_postgres \"%V\" cannot be probed: %s; is its schema "
                  "migrated?", &s->info->name, why);
}


static ngx_int_t
ngx_http_travel_router_read(ngx_http_travel_router_server_t *s,
    ngx_http_travel_pg_result_t *result)
{
    int64_t       beat;
    ngx_str_t     recovery, lsn, timeline, at;
    travel_lsn_t  replay;

    if (ngx_http_travel_pg_rows(result) != 1
        || ngx_http_travel_pg_columns(result) != 4)
    {
        return NGX_ERROR;
    }

    recovery = ngx_http_travel_pg_value(result, 0, 0);
    lsn = ngx_http_travel_pg_value(result, 0, 1);
    timeline = ngx_http_travel_pg_value(result, 0, 2);
    at = ngx_http_travel_pg_value(result, 0, 3);

    if (recovery.len != 1
        || travel_lsn_parse(&replay.lsn, ngx_http_travel_view(&lsn))
           != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    /* a replica without a heartbeat row knows neither: timeline 0 */
    replay.timeline = timeline.len
                      ? (uint32_t) ngx_atoi(timeline.data, timeline.len) : 0;
    beat = at.len ? (int64_t) ngx_atoof(at.data, at.len) : 0;

    if (beat != s->beat) {
        s->beat = beat;
        s->beat_seen = ngx_current_msec;
    }

    s->recovery = recovery.data[0] == 't';
    s->replay = replay;

    return NGX_OK;
}


/* --- verdicts ------------------------------------------------------------ */

static ngx_uint_t
ngx_http_travel_router_up(const ngx_http_travel_router_server_t *s)
{
    /* an old worker finishes its requests without probing */

    return s->answers
           && (ngx_exiting
               || ngx_current_msec - s->seen < NGX_HTTP_TRAVEL_ROUTER_SILENCE)
           && ngx_http_travel_pg_server_ready(s->server) > 0;
}


static ngx_http_travel_router_server_t *
ngx_http_travel_router_find_primary(void)
{
    ngx_uint_t                        i;
    ngx_http_travel_router_t         *router = ngx_http_travel_router;
    ngx_http_travel_router_server_t  *s, *best;

    best = NULL;

    for (i = 0; i < router->n; i++) {
        s = &router->servers[i];

        if (s->recovery || s->info->role == NGX_HTTP_TRAVEL_PG_ANALYTICS
            || !ngx_http_travel_router_up(s))
        {
            continue;
        }

        if (best == NULL || s->replay.timeline > best->replay.timeline) {
            best = s;
        }
    }

    /* one that came back with an older timeline than we have seen is no
     * primary: it must be made a replica first */

    if (best != NULL
        && best->replay.timeline < ngx_http_travel_router->last.timeline)
    {
        return NULL;
    }

    return best;
}


static void
ngx_http_travel_router_judge(void)
{
    ngx_uint_t                        i;
    ngx_http_travel_router_t         *router = ngx_http_travel_router;
    ngx_http_travel_router_server_t  *s, *primary;

    primary = ngx_http_travel_router_find_primary();

    if (primary != router->primary) {
        if (primary != NULL) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "travel_postgres \"%V\" is the primary, timeline %uD",
                          &primary->info->name, primary->replay.timeline);

        } else {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "no PostgreSQL primary is known: reads go on "
                          "unverified");
        }

        router->primary = primary;
    }

    if (primary == NULL) {
        return;
    }

    router->last = primary->replay;

    for (i = 0; i < router->n; i++) {
        s = &router->servers[i];

        if (!s->recovery) {
            s->lag = 0;
            s->fit = 0;
            continue;
        }

        s->lag = ngx_http_travel_router_lag(s);
        ngx_http_travel_router_verdict(s,
            s->lag <= s->info->max_lag
            && s->info->role != NGX_HTTP_TRAVEL_PG_ANALYTICS
            && s->replay.timeline == primary->replay.timeline);
    }
}


/* One that was lost comes back slowly; at start all begin warm. */

static void
ngx_http_travel_router_verdict(ngx_http_travel_router_server_t *s,
    ngx_uint_t fit)
{
    if (s->fit && !fit) {
        s->lost = 1;
        s->warming = 0;
    }

    if (fit && s->lost) {
        s->lost = 0;
        s->warming = s->info->slow_start != 0;
        s->warm_since = ngx_current_msec;
    }

    s->fit = fit;
}


/* Of its full share, in percent. */

static ngx_uint_t
ngx_http_travel_router_share(ngx_http_travel_router_server_t *s)
{
    ngx_msec_t  warm;

    if (!s->warming) {
        return 100;
    }

    warm = ngx_current_msec - s->warm_since;

    if (warm >= s->info->slow_start) {
        s->warming = 0;
        return 100;
    }

    return ngx_max((ngx_uint_t) (warm * 100 / s->info->slow_start),
                   NGX_HTTP_TRAVEL_ROUTER_SHARE);
}


static ngx_msec_t
ngx_http_travel_router_lag(const ngx_http_travel_router_server_t *s)
{
    int64_t                           behind;
    ngx_msec_t                        lag;
    ngx_http_travel_router_server_t  *primary = ngx_http_travel_router->primary;

    lag = NGX_HTTP_TRAVEL_ROUTER_LAG_NONE;

    if (!s->answers) {
        return lag;
    }

    if (s->beat != 0 && primary->beat != 0) {
        behind = primary->beat - s->beat;
        behind = ngx_max(behind, 0)
                 + (ngx_msec_int_t) (ngx_current_msec - primary->beat_seen);
        lag = (ngx_msec_t) ngx_min(behind, NGX_HTTP_TRAVEL_ROUTER_LAG_NONE);
    }

    if (travel_lsn_cmp(s->replay, primary->replay) >= 0) {
        lag = ngx_min(lag, ngx_current_msec - primary->seen);
    }

    return lag;
}


void
ngx_http_travel_router_suspect(ngx_http_travel_pg_server_t *server)
{
    ngx_uint_t                 i;
    ngx_http_travel_router_t  *router = ngx_http_travel_router;

    for (i = 0; router != NULL && i < router->n; i++) {
        if (router->servers[i].server == server) {
            router->servers[i].answers = 0;
            ngx_http_travel_router_judge();
            return;
        }
    }
}


/* --- choice -------------------------------------------------------------- */

/* Of two chosen at random the less loaded one: near to the best of all, and no
 * herd runs to the same. */

static ngx_http_travel_router_server_t *
ngx_http_travel_router_of_two(ngx_http_travel_router_server_t **fit,
    ngx_uint_t n)
{
    ngx_uint_t  a, b;

    if (n == 1) {
        return fit[0];
    }

    a = (ngx_uint_t) ngx_random() % n;
    b = (ngx_uint_t) ngx_random() % (n - 1);

    if (b >= a) {
        b++;
    }

    return ngx_http_travel_pg_server_load(fit[a]->server)
           <= ngx_http_travel_pg_server_load(fit[b]->server) ? fit[a] : fit[b];
}


/* Warming ones are left out as often as their share says: '*ret_spare' is one
 * of those then, for when there is nobody else.  '*ret_behind': some are fit,
 * and none has replayed enough. */

static ngx_http_travel_router_server_t *
ngx_http_travel_router_replica(const ngx_http_travel_route_need_t *need,
    const ngx_http_travel_pg_server_t *avoid,
    ngx_http_travel_router_server_t **ret_spare, ngx_uint_t *ret_behind)
{
    ngx_uint_t                        i, n;
    ngx_http_travel_router_t         *router = ngx_http_travel_router;
    ngx_http_travel_router_server_t  *s, *fit[NGX_HTTP_TRAVEL_ROUTER_MAX];

    *ret_spare = NULL;
    *ret_behind = 0;

    for (n = 0, i = 0; i < router->n; i++) {
        s = &router->servers[i];

        if (!s->fit || s->server == avoid || !ngx_http_travel_router_up(s)) {
            continue;
        }

        if (travel_lsn_cmp(s->replay, need->floor) < 0) {
            *ret_behind = 1;
            continue;
        }

        if (s->warming && (ngx_uint_t) ngx_random() % 100
                          >= ngx_http_travel_router_share(s))
        {
            *ret_spare = s;
            continue;
        }

        fit[n++] = s;
    }

    return n ? ngx_http_travel_router_of_two(fit, n) : NULL;
}


/* Reads that replicas cannot take must not drown the primary, which has the
 * writes to do.  One that must not be older than a write has no other place. */

static ngx_uint_t
ngx_http_travel_router_spills(const ngx_http_travel_route_need_t *need,
    ngx_uint_t behind)
{
    ngx_uint_t                        most;
    ngx_http_travel_router_t         *router = ngx_http_travel_router;
    ngx_http_travel_router_server_t  *primary = router->primary;

    if (router->nreplicas == 0 || need->primary || behind) {
        return 1;
    }

    most = primary->info->spill;

    if (need->priority == TRAVEL_PRIORITY_LOW) {
        most = (most + 1) / 2;
    }

    return ngx_http_travel_pg_server_load(primary->server) < most;
}


/* A server for reports: also a subscriber, which is nobody's standby, so that
 * only of a standby can be said how far it is behind. */

static ngx_int_t
ngx_http_travel_router_analytics(const ngx_http_travel_route_need_t *need,
    const ngx_http_travel_pg_server_t *avoid,
    ngx_http_travel_route_t *ret_route)
{
    ngx_uint_t                        i, n, young;
    ngx_http_travel_router_t         *router = ngx_http_travel_router;
    ngx_http_travel_router_server_t  *s, *fit[NGX_HTTP_TRAVEL_ROUTER_MAX];

    young = 0;

    for (n = 0, i = 0; i < router->n; i++) {
        s = &router->servers[i];

        if (s->info->role != NGX_HTTP_TRAVEL_PG_ANALYTICS
            || s->server == avoid)
        {
            continue;
        }

        young |= (s->seen == 0);

        if (ngx_http_travel_router_up(s)
            && (!s->recovery || router->primary == NULL
                || s->lag <= s->info->max_lag))
        {
            fit[n++] = s;
        }
    }

    if (n == 0) {
        return young && !ngx_exiting
               && ngx_current_msec - router->born
                  < NGX_HTTP_TRAVEL_ROUTER_YOUNG
               ? NGX_AGAIN : NGX_DECLINED;
    }

    s = ngx_http_travel_router_of_two(fit, n);

    ret_route->server = s->server;
    ret_route->replay = s->replay;
    ret_route->unverified = travel_lsn_cmp(s->replay, need->floor) < 0;

    return NGX_OK;
}


/* With no primary: of those that were fit at last the one that has most; with
 * no primary ever known, any. */

static ngx_http_travel_router_server_t *
ngx_http_travel_router_frozen(const ngx_http_travel_pg_server_t *avoid)
{
    ngx_uint_t                        i, any;
    ngx_http_travel_router_t         *router = ngx_http_travel_router;
    ngx_http_travel_router_server_t  *s, *best;

    best = NULL;
    any = (router->last.timeline == 0);

    for (i = 0; i < router->n; i++) {
        s = &router->servers[i];

        if (!s->recovery || s->server == avoid || !(s->fit || any)
            || s->info->role == NGX_HTTP_TRAVEL_PG_ANALYTICS
            || !ngx_http_travel_router_up(s))
        {
            continue;
        }

        if (best == NULL || travel_lsn_cmp(s->replay, best->replay) > 0) {
            best = s;
        }
    }

    return best;
}


/* A primary has flushed whatever it told anybody about, so that a floor of its
 * own timeline needs no newer probe. */

static void
ngx_http_travel_router_to_primary(const ngx_http_travel_route_need_t *need,
    ngx_http_travel_route_t *ret_route)
{
    ngx_http_travel_router_server_t  *primary = ngx_http_travel_router->primary;

    ret_route->server = primary->server;
    ret_route->replay = primary->replay;
    ret_route->unverified = 0;

    if (need->floor.timeline == primary->replay.timeline
        && need->floor.lsn > primary->replay.lsn)
    {
        ret_route->replay = need->floor;
    }
}


ngx_int_t
ngx_http_travel_router_pick(const ngx_http_travel_route_need_t *need,
    const ngx_http_travel_pg_server_t *avoid,
    ngx_http_travel_route_t *ret_route)
{
    ngx_uint_t                        behind;
    ngx_http_travel_router_t         *router = ngx_http_travel_router;
    ngx_http_travel_router_server_t  *s, *spare, *primary;

    if (router == NULL) {
        return NGX_DECLINED;
    }

    if (need->analytics) {
        return ngx_http_travel_router_analytics(need, avoid, ret_route);
    }

    spare = NULL;
    behind = 0;
    primary = router->primary;

    if (primary != NULL && !ngx_http_travel_router_up(primary)) {
        ngx_http_travel_router_judge();
        primary = router->primary;
    }

    if (primary != NULL && !need->primary) {
        s = ngx_http_travel_router_replica(need, avoid, &spare, &behind);

        if (s == NULL && spare != NULL
            && (primary->server == avoid
                || !ngx_http_travel_router_spills(need, 0)))
        {
            s = spare;
        }

        if (s != NULL) {
            ret_route->server = s->server;
            ret_route->replay = s->replay;
            ret_route->unverified = 0;
            return NGX_OK;
        }
    }

    if (primary != NULL) {
        if (primary->server == avoid) {
            return NGX_DECLINED;
        }

        if (!ngx_http_travel_router_spills(need, behind)) {
            return NGX_BUSY;
        }

        ngx_http_travel_router_to_primary(need, ret_route);
        return NGX_OK;
    }

    if (router->last.timeline == 0 && !ngx_exiting
        && ngx_current_msec - router->born < NGX_HTTP_TRAVEL_ROUTER_YOUNG)
    {
        return NGX_AGAIN;
    }

    s = need->primary ? NULL : ngx_http_travel_router_frozen(avoid);
    if (s == NULL) {
        return NGX_DECLINED;
    }

    ret_route->server = s->server;
    ret_route->replay = s->replay;
    ret_route->unverified = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_route(const ngx_http_travel_route_need_t *need,
    ngx_http_travel_route_t *ret_route)
{
    ngx_int_t  rc;

    rc = ngx_http_travel_router_pick(need, NULL, ret_route);

    return rc == NGX_AGAIN ? NGX_DECLINED : rc;
}


ngx_uint_t
ngx_http_travel_route_states(ngx_http_travel_route_state_t *states,
    ngx_uint_t max)
{
    ngx_uint_t                        i;
    ngx_http_travel_router_t         *router = ngx_http_travel_router;
    ngx_http_travel_router_server_t  *s;

    for (i = 0; router != NULL && i < router->n && i < max; i++) {
        s = &router->servers[i];

        states[i].name = s->info->name;
        states[i].up = ngx_http_travel_router_up(s);
        states[i].fit = s->fit;
        states[i].primary = (s == router->primary);
        states[i].replay = s->replay;
        states[i].analytics = s->info->role == NGX_HTTP_TRAVEL_PG_ANALYTICS;
        states[i].lag = s->lag;
        states[i].share = s->fit ? ngx_http_travel_router_share(s) : 0;
        states[i].in_flight = ngx_http_travel_pg_server_load(s->server);
    }

    return i;
}
