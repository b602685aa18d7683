/*
 * The scheduler's thread: who leads, what is due, what was missed.  The leader
 * is the publisher of domain events, too.
 *
 * Everything here belongs to that thread but for 'stopping', which has the
 * mutex.  What was fired last is in jobs.schedule; the leader keeps a copy and
 * reads it again every few seconds, because travelctl may pause a schedule.
 *
 * The lead is lost with the database session.  A leader that does not notice
 * (it was stopped, or its machine slept) may fire what its successor fires
 * too: the ids are the same.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "figures.h"
#include "schedule.h"
#include "../publish/publish.h"
#include "../pool/log.h"
#include "../queue/redis.h"
#include "../store/pg.h"

#define SCHEDULE_TICK_MS     500     /* between looks, and tries for the lead */
#define SCHEDULE_REFRESH_S   1       /* jobs.schedule, and the leader's sign */
#define SCHEDULE_COUNT_S     5       /* between counts for the metrics */
#define SCHEDULE_TRIM_S      5       /* between looks at the topics' ends */
#define SCHEDULE_LATE_S      60      /* later than that: it was missed */
#define SCHEDULE_AHEAD_S     86400   /* no fire is that far in the future */
#define SCHEDULE_ALL_MAX     1000    /* fires of one schedule in one look */
#define SCHEDULE_REDIS_S     2

#define SCHEDULE_LOCK        "29298, 1"      /* the advisory lock's two keys */
#define SCHEDULE_FROZEN      "15 s"

typedef struct {
    int64_t  last;                  /* fire time, unix seconds; 0 not known */
    int64_t  next;                  /* 0: to be worked out */
    bool     paused;
} schedule_state_t;

struct worker_scheduler_s {
    const worker_conf_t  *conf;
    const char           *owner;
    pthread_t             thread;
    pthread_mutex_t       mutex;
    pthread_cond_t        cond;
    bool                  stopping;

    worker_sheet_t       *sheet;
    worker_pg_t          *pg;
    worker_pg_t          *warehouse;    /* or NULL: there is none */
    int64_t               count_at;     /* monotonic, as is refresh_at */
    worker_redis_t       *redis;
    bool                  leads;
    int64_t               refresh_at;
    worker_tail_t         topics;
    int64_t               trim_at;      /* monotonic, too */
    schedule_state_t      states[WORKER_SCHEDULES_MAX];
};


/* A statement that worked, or NULL: then the lead is gone with the session. */
static PGresult *
schedule_ask(worker_scheduler_t *s, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    if (worker_pg_ready(s->pg) != TRAVEL_OK) {
        s->leads = false;
        return NULL;
    }

    res = worker_pg_exec(s->pg, sql, n, params);

    if (worker_pg_good(res)) {
        return res;
    }

    worker_log(WORKER_LOG_WARN, "schedules: %s", worker_pg_error(s->pg));
    PQclear(res);

    if (worker_pg_away(s->pg)) {
        s->leads = false;
    }

    return NULL;
}


/* --- the lead ------------------------------------------------------------ */

/* A leader whose sign is old is frozen: its session is ended, so that its lock
 * is free at the next try. */
static void
schedule_oust(worker_scheduler_t *s)
{
    PGresult  *res;

    res = schedule_ask(s,
        "SELECT l.owner, pg_terminate_backend(l.pid)"
        "  FROM jobs.schedule_leader AS l"
        " WHERE l.at < clock_timestamp() - interval '" SCHEDULE_FROZEN "'"
        "   AND EXISTS (SELECT FROM pg_locks AS k"
        "                WHERE k.locktype = 'advisory' AND k.pid = l.pid"
        "                  AND k.classid = 29298 AND k.objid = 1)",
        0, NULL);

    if (res != NULL && PQntuples(res) > 0) {
        worker_log(WORKER_LOG_WARN, "schedules: %s led and gave no sign, "
                   "its session is ended", PQgetvalue(res, 0, 0));
    }

    PQclear(res);
}


/* Makes rows of new schedules, which begin now, and tells of changed ones. */
static bool
schedule_register(worker_scheduler_t *s)
{
    size_t                    i;
    PGresult                 *res;
    const char               *params[5];
    const worker_schedule_t  *schedule;

    for (i = 0; i < s->conf->nschedules; i++) {
        schedule = &s->conf->schedules[i];
        params[0] = schedule->name;
        params[1] = schedule->expression;
        params[2] = schedule->timezone;
        params[3] = schedule->type;
        params[4] = worker_catch_up_name(schedule->catch_up);

        res = schedule_ask(s,
            "INSERT INTO jobs.schedule AS s (name, cron, timezone, type,"
            "                                catch_up, last_fire)"
            " VALUES ($1, $2, $3, $4, $5, clock_timestamp())"
            " ON CONFLICT (name) DO UPDATE"
            "    SET cron = EXCLUDED.cron, timezone = EXCLUDED.timezone,"
            "        type = EXCLUDED.type, catch_up = EXCLUDED.catch_up",
            5, params);

        if (res == NULL) {
            return false;
        }

        PQclear(res);
    }

    return true;
}


static void
schedule_lead(worker_scheduler_t *s)
{
    bool       got;
    PGresult  *res;

    res = schedule_ask(s, "SELECT pg_try_advisory_lock(" SCHEDULE_LOCK ")", 0,
                       NULL);
    got = res != NULL && *PQgetvalue(res, 0, 0) == 't';
    PQclear(res);

    if (!got) {
        schedule_oust(s);
        return;
    }

    s->leads = true;
    s->refresh_at = 0;
    worker_tail_again(&s->topics);

    if (!schedule_register(s)) {
        s->leads = false;
    }

    if (s->leads) {
        worker_log(WORKER_LOG_INFO, "schedules: leads, %zu of them",
                   s->conf->nschedules);
    }
}


static const worker_schedule_t *
schedule_named(const worker_scheduler_t *s, const char *name, size_t *ret_i)
{
    size_t  i;

    for (i = 0; i < s->conf->nschedules; i++) {
        if (strcmp(s->conf->schedules[i].name, name) == 0) {
            *ret_i = i;
            return &s->conf->schedules[i];
        }
    }

    return NULL;
}


/* The leader's sign, which only the session with the lock may give: it may be
 * another session than the last time, made again without a word. */
static bool
schedule_sign(worker_scheduler_t *s)
{
    bool         held;
    PGresult    *res;
    const char  *params[1] = { s->owner };

    res = schedule_ask(s,
        "INSERT INTO jobs.schedule_leader AS l (owner, pid, at)"
        " SELECT $1, pg_backend_pid(), clock_timestamp() FROM pg_locks"
        "  WHERE locktype = 'advisory' AND classid = 29298 AND objid = 1"
        "    AND pid = pg_backend_pid() AND granted"
        " ON CONFLICT (one) DO UPDATE SET owner = EXCLUDED.owner,"
        "    pid = EXCLUDED.pid, at = EXCLUDED.at RETURNING pid", 1, params);
    held = res != NULL && PQntuples(res) == 1;

    if (res != NULL && !held) {
        worker_log(WORKER_LOG_WARN, "schedules: the session with the lock is "
                   "gone, and the lead with it");
        s->leads = false;
    }

    PQclear(res);
    return held;
}


static int64_t
schedule_clock(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return ts.tv_sec;
}


/* The clock was ahead when these were fired, and was set right: what comes
 * before that time need not wait for it. */
static void
schedule_set_back(worker_scheduler_t *s)
{
    PGresult  *res;

    res = schedule_ask(s,
        "UPDATE jobs.schedule SET last_fire = clock_timestamp()"
        " WHERE last_fire > clock_timestamp() + interval '1 day'", 0, NULL);

    if (res != NULL) {
        worker_log(WORKER_LOG_WARN, "schedules: %s were fired by a clock that "
                   "was ahead; they go on from now", PQcmdTuples(res));
    }

    PQclear(res);
}


/* The sign, then how far the schedules are. */
static bool
schedule_refresh(worker_scheduler_t *s)
{
    int          row;
    bool         ahead;
    size_t       i;
    int64_t      last, now;
    PGresult    *res;

    if (!schedule_sign(s)) {
        return false;
    }

    res = schedule_ask(s, "SELECT name, floor(extract(epoch FROM last_fire))"
                          "             ::bigint, paused FROM jobs.schedule",
                       0, NULL);

    if (res == NULL) {
        return false;
    }

    ahead = false;
    now = schedule_clock(CLOCK_REALTIME);

    for (row = 0; row < PQntuples(res); row++) {
        if (schedule_named(s, PQgetvalue(res, row, 0), &i) == NULL) {
            continue;
        }

        last = strtoll(PQgetvalue(res, row, 1), NULL, 10);
        ahead |= last > now + SCHEDULE_AHEAD_S;

        if (last != s->states[i].last) {
            s->states[i].last = last;
            s->states[i].next = 0;
        }

        s->states[i].paused = *PQgetvalue(res, row, 2) == 't';
    }

    PQclear(res);
    s->refresh_at = schedule_clock(CLOCK_MONOTONIC) + SCHEDULE_REFRESH_S;

    if (ahead) {
        schedule_set_back(s);       /* the next time they are read right */
    }

    return true;
}


/* --- firing -------------------------------------------------------------- */

static bool
schedule_move(worker_scheduler_t *s, size_t i, int64_t at, const char *job)
{
    char         when[24];
    PGresult    *res;
    const char  *params[] = { s->conf->schedules[i].name, when, job };

    snprintf(when, sizeof(when), "%lld", (long long) at);
    res = schedule_ask(s,
        "UPDATE jobs.schedule"
        "   SET last_fire = to_timestamp($2::bigint),"
        "       last_job = coalesce($3, last_job),"
        "       fired = fired + ($3 IS NOT NULL)::int,"
        "       skipped = skipped + ($3 IS NULL)::int"
        " WHERE name = $1 AND last_fire < to_timestamp($2::bigint)",
        3, params);

    if (res == NULL) {
        return false;
    }

    PQclear(res);
    s->states[i].last = at;
    s->states[i].next = 0;
    return true;
}


/* The queue Redis, for a while; NULL: not now. */
static worker_redis_t *
schedule_redis(worker_scheduler_t *s)
{
    if (s->redis == NULL) {
        s->redis = worker_redis_connect(s->conf, "travel-schedule",
                                        SCHEDULE_REDIS_S);
    }

    return s->redis;
}


/* What waits to be published, one batch at a time.  True: more waits. */
static bool
schedule_publish(worker_scheduler_t *s)
{
    int      n;
    int64_t  now;

    if (!s->conf->topics || !s->leads || schedule_redis(s) == NULL) {
        return false;
    }

    now = schedule_clock(CLOCK_MONOTONIC);

    if (now >= s->trim_at) {
        s->trim_at = now + SCHEDULE_TRIM_S;

        if (!worker_topics_trim(&s->topics, s->pg, s->redis)) {
            worker_redis_close(&s->redis);
            return false;
        }
    }

    n = worker_publish(&s->topics, s->pg, s->redis);

    if (n < 0) {
        worker_redis_close(&s->redis);
    }

    return n > 0;
}


/* Webhooks: a batch of events becomes deliveries.  True: more may wait. */
static bool
schedule_fan_out(worker_scheduler_t *s)
{
    bool       more;
    PGresult  *res;

    res = s->leads ? schedule_ask(s, "SELECT jobs.fan_out(500)", 0, NULL)
                   : NULL;
    more = res != NULL && strcmp(PQgetvalue(res, 0, 0), "0") != 0;
    PQclear(res);

    return more;
}


static bool
schedule_fire(worker_scheduler_t *s, size_t i, int64_t at)
{
    int                       rc;
    char                      job[TRAVEL_JOB_ID_MAX + 1];
    const worker_schedule_t  *schedule;

    schedule = &s->conf->schedules[i];

    rc = schedule_redis(s) != NULL
         ? worker_schedule_enqueue(s->redis, schedule, at, NULL, job)
         : TRAVEL_ERROR;

    if (rc != TRAVEL_OK) {
        worker_log(WORKER_LOG_WARN, "schedule %s: the job is not enqueued, "
                   "will try again", schedule->name);
        worker_redis_close(&s->redis);
        return false;
    }

    worker_log(WORKER_LOG_INFO, "schedule %s: %s", schedule->name, job);
    return schedule_move(s, i, at, job);
}


/* What is due of one schedule.  False: something did not work, later again. */
static bool
schedule_due(worker_scheduler_t *s, size_t i, int64_t now)
{
    int                       n;
    int64_t                   at;
    schedule_state_t         *state;
    const worker_schedule_t  *schedule;

    schedule = &s->conf->schedules[i];
    state = &s->states[i];

    for (n = 0; n < SCHEDULE_ALL_MAX; n++) {

        if (state->next == 0
            && worker_schedule_next(schedule, state->last, &state->next)
               != TRAVEL_OK)
        {
            state->next = INT64_MAX;
        }

        if (state->next > now) {
            return true;
        }

        at = state->next;

        if (now - at > SCHEDULE_LATE_S
            && schedule->catch_up != WORKER_CATCH_UP_ALL)
        {
            if (worker_schedule_last(schedule, state->last, now, &at)
                != TRAVEL_OK)
            {
                return true;
            }

            if (schedule->catch_up == WORKER_CATCH_UP_SKIP
                && now - at > SCHEDULE_LATE_S)
            {
                worker_log(WORKER_LOG_WARN, "schedule %s: what was missed is "
                           "skipped", schedule->name);

                if (!schedule_move(s, i, at, NULL)) {
                    return false;
                }

                continue;
            }
        }

        if (!schedule_fire(s, i, at)) {
            return false;
        }
    }

    return true;
}


/* The figures: the leader counts, others know nothing. */
static void
schedule_count(worker_scheduler_t *s)
{
    int64_t  now;

    now = schedule_clock(CLOCK_MONOTONIC);

    if (!s->leads) {
        if (s->count_at != 0) {
            worker_figures_clear(s->sheet);
            s->count_at = 0;
        }

    } else if (now >= s->count_at) {
        worker_figures_count(s->sheet, s->pg, s->warehouse);
        s->count_at = now + SCHEDULE_COUNT_S;
    }
}


/* Returns ms until the next look. */
static long
schedule_turn(worker_scheduler_t *s)
{
    size_t           i;
    int64_t          now, next;
    struct timespec  ts;

    if (!s->leads) {
        schedule_lead(s);
    }

    clock_gettime(CLOCK_REALTIME, &ts);
    now = ts.tv_sec;

    if (!s->leads
        || (schedule_clock(CLOCK_MONOTONIC) >= s->refresh_at
            && !schedule_refresh(s)))
    {
        schedule_count(s);
        return SCHEDULE_TICK_MS;
    }

    next = INT64_MAX;

    for (i = 0; i < s->conf->nschedules && s->leads; i++) {
        if (s->states[i].paused || s->states[i].last == 0
            || !schedule_due(s, i, now))
        {
            continue;
        }

        next = s->states[i].next < next ? s->states[i].next : next;
    }

    schedule_count(s);

    if (schedule_publish(s) || schedule_fan_out(s)) {
        return 1;
    }

    if (next - now > 1) {
        return SCHEDULE_TICK_MS;
    }

    return next > now ? 1000 - ts.tv_nsec / 1000000 + 1 : SCHEDULE_TICK_MS;
}


/* --- the thread ---------------------------------------------------------- */

static bool
schedule_wait(worker_scheduler_t *s, long ms)
{
    bool             stopping;
    struct timespec  until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;

    pthread_mutex_lock(&s->mutex);

    if (!s->stopping) {
        pthread_cond_timedwait(&s->cond, &s->mutex, &until);
    }

    stopping = s->stopping;
    pthread_mutex_unlock(&s->mutex);

    return !stopping;
}


static void *
schedule_main(void *data)
{
    long                 ms;
    worker_scheduler_t  *s;

    s = data;

    do {
        ms = schedule_turn(s);
    } while (schedule_wait(s, ms));

    return NULL;
}


worker_scheduler_t *
worker_scheduler_start(const worker_conf_t *conf, const char *owner,
    worker_sheet_t *sheet)
{
    worker_scheduler_t  *s;
    pthread_condattr_t   attr;

    s = calloc(1, sizeof(worker_scheduler_t));

    if (s == NULL) {
        return NULL;
    }

    s->conf = conf;
    s->owner = owner;
    s->sheet = sheet;
    s->pg = worker_pg_create(conf->pg_dsn, "travel-schedule");
    s->warehouse = conf->analytics_dsn != NULL
                   ? worker_pg_create(conf->analytics_dsn, "travel-schedule")
                   : NULL;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->cond, &attr);
    pthread_condattr_destroy(&attr);

    if (s->pg == NULL
        || pthread_create(&s->thread, NULL, schedule_main, s) != 0)
    {
        worker_log(WORKER_LOG_ERROR, "the scheduler's thread does not start");
        worker_pg_free(&s->pg);
        worker_pg_free(&s->warehouse);
        free(s);
        return NULL;
    }

    return s;
}


void
worker_scheduler_stop(worker_scheduler_t **pscheduler)
{
    worker_scheduler_t  *s;

    s = *pscheduler;
    *pscheduler = NULL;

    if (s == NULL) {
        return;
    }

    pthread_mutex_lock(&s->mutex);
    s->stopping = true;
    pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);

    worker_pg_free(&s->pg);
    worker_pg_free(&s->warehouse);
    worker_redis_close(&s->redis);

    pthread_cond_destroy(&s->cond);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}
