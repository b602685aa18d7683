/*
 * The thread that stores points.
 *
 * A consumer group: each process reads as a consumer of its own, what it had
 * read and not stored first, and takes over what a consumer that died has left.
 * Entries are acknowledged and deleted after the commit; a batch that cannot be
 * stored because PostgreSQL is away stays pending; one that PostgreSQL refuses
 * is tried entry by entry, and the entry at fault is logged and dropped.
 *
 * All is the thread's own but 'stopping', which is under the mutex.
 */

#include "track.h"
#include "../pool/log.h"
#include "../queue/redis.h"
#include "../store/pg.h"
#include "../../common/json.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TRACK_STREAM   "travel:points"
#define TRACK_GROUP    "store"
#define TRACK_BATCH    1000
#define TRACK_PAUSE    250                /* ms, when there was little */
#define TRACK_AGAIN    1000               /* ms, when something is away */
#define TRACK_CLAIM_S  2
#define TRACK_IDLE     "5000"             /* ms: its consumer is gone; if
                                             not, rows are told twice, and
                                             stored once */
#define TRACK_PURGE_S  3600
#define TRACK_REDIS_S  5

/* $1: [{"e": entry, "j": journey, "u": user, "m": what was sent}, ...].  What
 * the edge took after the journey's end, within its keep=, is left out: it
 * counts when an entry came, which its id says. */
#define TRACK_STORE                                                           \
    "INSERT INTO travel.journey_points"                                       \
    " (journey_id, entry, user_id, at, lat, lon, speed_kmh, heading)"         \
    " SELECT p.j::uuid, p.e, nullif(p.u, '')::uuid,"                          \
    "   coalesce((p.m->>'at')::timestamptz, a.at),"                           \
    "   (p.m->'position'->>'lat')::float8,"                                   \
    "   (p.m->'position'->>'lon')::float8,"                                   \
    "   (p.m->>'speed_kmh')::real, (p.m->>'heading')::real"                   \
    "  FROM jsonb_to_recordset($1::jsonb)"                                    \
    "       AS p(e text, j text, u text, m jsonb),"                           \
    "  LATERAL (SELECT to_timestamp(split_part(p.e, '-', 1)::bigint"          \
    "                               / 1000.0) AS at) AS a"                    \
    " WHERE NOT EXISTS (SELECT FROM travel.journeys AS y"                     \
    "                    WHERE y.id = p.j::uuid AND y.completed_at < a.at)"   \
    " ON CONFLICT DO NOTHING"

#define TRACK_PURGE                                                           \
    "DELETE FROM travel.journey_points WHERE at < now() - interval '30 days'"


struct worker_track_s {
    const worker_conf_t  *conf;
    const char           *owner;
    pthread_t             thread;
    pthread_mutex_t       mutex;
    pthread_cond_t        cond;
    worker_pg_t          *pg;
    redisContext         *redis;
    time_t                claim;          /* the next look at what was left */
    time_t                purge;
    bool                  fresh;          /* own pending entries first */
    bool                  stopping;
};

typedef struct {
    char    *data;
    size_t   len;
    size_t   room;
    bool     failed;
} track_text_t;


/* --- text ---------------------------------------------------------------- */

static void
track_add(track_text_t *t, const char *data, size_t len)
{
    char    *p;
    size_t   room;

    if (t->failed) {
        return;
    }

    if (t->len + len + 1 > t->room) {
        room = 2 * (t->len + len + 1);
        p = realloc(t->data, room);

        if (p == NULL) {
            t->failed = true;
            return;
        }

        t->data = p;
        t->room = room;
    }

    memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
}


static void
track_quoted(track_text_t *t, const char *data, size_t len)
{
    char  *text;

    text = malloc(6 * len + 2);

    if (text == NULL) {
        t->failed = true;
        return;
    }

    track_add(t, text, travel_json_quote(text, (travel_str_t) { data, len }));
    free(text);
}


static const redisReply *
track_field(const redisReply *fields, const char *name)
{
    size_t  i;

    for (i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, name) == 0) {
            return fields->element[i + 1];
        }
    }

    return NULL;
}


/* [id, [name, value, ...]]; the fields are nil when it was deleted. */
static void
track_entry(track_text_t *t, const redisReply *entry)
{
    size_t             i;
    const redisReply  *value, *fields = entry->element[1];

    static const struct {
        const char  *name;
        const char  *before;
    } parts[] = { { "id", ",\"j\":" }, { "sub", ",\"u\":" } };

    track_add(t, t->len > 1 ? "," : "", t->len > 1);
    track_add(t, "{\"e\":", 5);
    track_quoted(t, entry->element[0]->str, entry->element[0]->len);

    for (i = 0; i < 2; i++) {
        value = track_field(fields, parts[i].name);
        track_add(t, parts[i].before, strlen(parts[i].before));
        track_quoted(t, value ? value->str : "", value ? value->len : 0);
    }

    value = track_field(fields, "m");
    track_add(t, ",\"m\":", 5);
    track_add(t, value ? value->str : "{}", value ? value->len : 2);
    track_add(t, "}", 1);
}


static bool
track_whole(const redisReply *entry)
{
    return entry->type == REDIS_REPLY_ARRAY && entry->elements == 2
           && entry->element[1]->type == REDIS_REPLY_ARRAY;
}


/* --- storing ------------------------------------------------------------- */

/* Entries 'from' to before 'to': TRAVEL_OK; TRAVEL_REFUSED: PostgreSQL does not
 * take them; TRAVEL_ERROR: not now. */
static int
track_insert(worker_track_t *track, const redisReply *entries, size_t from,
    size_t to)
{
    int            rc;
    size_t         i;
    PGresult      *res;
    const char    *params[1];
    track_text_t   text = { 0 };

    track_add(&text, "[", 1);

    for (i = from; i < to; i++) {
        if (track_whole(entries->element[i])) {
            track_entry(&text, entries->element[i]);
        }
    }

    track_add(&text, "]", 1);

    if (text.failed || worker_pg_ready(track->pg) != TRAVEL_OK) {
        free(text.data);
        return TRAVEL_ERROR;
    }

    params[0] = text.data;
    res = worker_pg_exec(track->pg, TRACK_STORE, 1, params);

    rc = PQresultStatus(res) == PGRES_COMMAND_OK ? TRAVEL_OK
         : res != NULL && !worker_pg_away(track->pg) ? TRAVEL_REFUSED
                                                     : TRAVEL_ERROR;
    PQclear(res);
    free(text.data);

    return rc;
}


static int
track_store(worker_track_t *track, const redisReply *entries)
{
    int     rc;
    size_t  i;

    rc = track_insert(track, entries, 0, entries->elements);

    if (rc != TRAVEL_REFUSED) {
        return rc;
    }

    for (i = 0; i < entries->elements; i++) {
        rc = track_insert(track, entries, i, i + 1);

        if (rc == TRAVEL_ERROR) {
            return rc;
        }

        if (rc == TRAVEL_REFUSED) {
            worker_log(WORKER_LOG_WARN, "the point %s is dropped: %s",
                       entries->element[i]->element[0]->str,
                       worker_pg_error(track->pg));
        }
    }

    return TRAVEL_OK;
}


/* --- Redis --------------------------------------------------------------- */

static void
track_drop(worker_track_t *track)
{
    if (track->redis != NULL) {
        redisFree(track->redis);
        track->redis = NULL;
    }
}


static bool
track_redis(worker_track_t *track)
{
    redisReply  *reply;

    if (track->redis != NULL) {
        return true;
    }

    track->redis = worker_redis_cache(track->conf, "travel-track",
                                      TRACK_REDIS_S);
    if (track->redis == NULL) {
        return false;
    }

    /* there already, usually */
    reply = redisCommand(track->redis, "XGROUP CREATE " TRACK_STREAM " "
                         TRACK_GROUP " 0 MKSTREAM");
    if (reply == NULL) {
        track_drop(track);
        return false;
    }

    freeReplyObject(reply);
    track->fresh = true;

    return true;
}


/* Entries that are stored are done with. */
static bool
track_done(worker_track_t *track, const redisReply *entries)
{
    bool          ok;
    size_t        i, n = entries->elements;
    redisReply   *reply;
    const char  **argv;

    argv = calloc(n + 3, sizeof(char *));

    if (argv == NULL) {
        return false;
    }

    argv[0] = "XACK";
    argv[1] = TRACK_STREAM;
    argv[2] = TRACK_GROUP;

    for (i = 0; i < n; i++) {
        argv[3 + i] = entries->element[i]->type == REDIS_REPLY_ARRAY
                      ? entries->element[i]->element[0]->str : "0-0";
    }

    reply = redisCommandArgv(track->redis, (int) n + 3, argv, NULL);
    ok = reply != NULL;
    freeReplyObject(reply);

    argv[1] = "XDEL";
    argv[2] = TRACK_STREAM;
    reply = ok ? redisCommandArgv(track->redis, (int) n + 2, argv + 1, NULL)
               : NULL;
    ok = reply != NULL;
    freeReplyObject(reply);
    free(argv);

    return ok;
}


/* Takes care of a list of entries; false: not now. */
static bool
track_take(worker_track_t *track, const redisReply *entries)
{
    if (entries->type != REDIS_REPLY_ARRAY || entries->elements == 0) {
        return true;
    }

    if (track_store(track, entries) != TRAVEL_OK) {
        worker_log(WORKER_LOG_WARN, "points are not stored: %s",
                   worker_pg_error(track->pg));
        track->fresh = true;
        return false;
    }

    if (!track_done(track, entries)) {
        track_drop(track);
        return false;
    }

    return true;
}


/* What consumers have left that are not there any more. */
static bool
track_claim(worker_track_t *track)
{
    bool         ok;
    redisReply  *reply;

    if (time(NULL) < track->claim) {
        return true;
    }

    track->claim = time(NULL) + TRACK_CLAIM_S;

    reply = redisCommand(track->redis, "XAUTOCLAIM " TRACK_STREAM " "
                         TRACK_GROUP " %s " TRACK_IDLE " 0-0 COUNT %d",
                         track->owner, TRACK_BATCH);
    if (reply == NULL) {
        track_drop(track);
        return false;
    }

    ok = reply->type != REDIS_REPLY_ARRAY || reply->elements < 2
         || track_take(track, reply->element[1]);
    freeReplyObject(reply);

    return ok;
}


/* *ret_n: how many there were. */
static bool
track_read(worker_track_t *track, size_t *ret_n)
{
    bool         ok;
    redisReply  *reply, *entries;

    *ret_n = 0;
    reply = redisCommand(track->redis, "XREADGROUP GROUP " TRACK_GROUP " %s "
                         "COUNT %d BLOCK 1000 STREAMS " TRACK_STREAM " %s",
                         track->owner, TRACK_BATCH,
                         track->fresh ? "0" : ">");

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        /* the group went with the stream: both are made again */
        freeReplyObject(reply);
        track_drop(track);
        return false;
    }

    ok = true;

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1
        && reply->element[0]->elements == 2)
    {
        entries = reply->element[0]->element[1];
        *ret_n = entries->elements;

        if (track->fresh && *ret_n == 0) {
            track->fresh = false;
            *ret_n = TRACK_BATCH;               /* go on at once */
        }

        ok = track_take(track, entries);
    }

    freeReplyObject(reply);

    return ok;
}


/* --- the thread ---------------------------------------------------------- */

static void
track_purge(worker_track_t *track)
{
    if (time(NULL) >= track->purge && worker_pg_ready(track->pg) == TRAVEL_OK)
    {
        PQclear(worker_pg_exec(track->pg, TRACK_PURGE, 0, NULL));
        track->purge = time(NULL) + TRACK_PURGE_S;
    }
}


/* Ms until the next turn. */
static long
track_turn(worker_track_t *track)
{
    size_t  n;

    if (!track_redis(track) || !track_claim(track)
        || !track_read(track, &n))
    {
        return TRACK_AGAIN;
    }

    track_purge(track);

    return n < TRACK_BATCH ? TRACK_PAUSE : 0;
}


static bool
track_wait(worker_track_t *track, long ms)
{
    bool             stopping;
    struct timespec  until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;

    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }

    pthread_mutex_lock(&track->mutex);

    if (!track->stopping && ms > 0) {
        pthread_cond_timedwait(&track->cond, &track->mutex, &until);
    }

    stopping = track->stopping;
    pthread_mutex_unlock(&track->mutex);

    return !stopping;
}


static void *
track_main(void *data)
{
    long             ms;
    worker_track_t  *track = data;

    do {
        ms = track_turn(track);
    } while (track_wait(track, ms));

    track_drop(track);

    return NULL;
}


worker_track_t *
worker_track_start(const worker_conf_t *conf, const char *owner)
{
    worker_track_t  *track;

    if (conf->cache_socket == NULL) {
        return NULL;
    }

    track = calloc(1, sizeof(worker_track_t));

    if (track == NULL) {
        return NULL;
    }

    track->conf = conf;
    track->owner = owner;
    track->pg = worker_pg_create(conf->pg_dsn, "travel-track");
    pthread_mutex_init(&track->mutex, NULL);
    pthread_cond_init(&track->cond, NULL);

    if (track->pg == NULL
        || pthread_create(&track->thread, NULL, track_main, track) != 0)
    {
        worker_log(WORKER_LOG_ERROR, "the thread of points does not start");
        worker_pg_free(&track->pg);
        free(track);
        return NULL;
    }

    return track;
}


void
worker_track_stop(worker_track_t **ptrack)
{
    worker_track_t  *track;

    track = *ptrack;
    *ptrack = NULL;

    if (track == NULL) {
        return;
    }

    pthread_mutex_lock(&track->mutex);
    track->stopping = true;
    pthread_cond_signal(&track->cond);
    pthread_mutex_unlock(&track->mutex);
    pthread_join(track->thread, NULL);

    worker_pg_free(&track->pg);
    pthread_cond_destroy(&track->cond);
    pthread_mutex_destroy(&track->mutex);
    free(track);
}
