/* Streams and delayed sets looked through by the script BROWSE, page by page;
 * which of their jobs are meant is decided here. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "browse.h"
#include "place.h"
#include "../../common/timestamp.h"
#include "../../common/traceparent.h"
#include "../../common/worker_scripts.h"

#define BROWSE_PAGE     500
#define BROWSE_PLACES   7           /* streams, closed streams, delayed */

/* A row of the script. */
enum {
    ROW_UUID, ROW_AT, ROW_STATUS, ROW_ATTEMPTS, ROW_UPDATED, ROW_ERROR,
    ROW_CANCEL, ROW_TYPE, ROW_SUB, ROW_KEY, ROW_TS, ROW_TP, ROW_DEADLINE,
    ROW_SEALED, ROW_CLAIM, ROW_BODY, ROW_MAX
};

typedef struct {
    const worker_browse_t  *what;
    json_t                 *list;
    uint64_t                before;     /* unix ms: changed by then */
    size_t                  left;       /* entries to look at */
    const char             *queue;      /* where it is now, so below */
    unsigned                partition;
    const char             *place;      /* "high", "delayed" */
    bool                    delayed;
} browse_t;


static uint64_t
browse_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


static const char *
browse_text(const redisReply *row, size_t i)
{
    return row->element[i]->type == REDIS_REPLY_STRING ? row->element[i]->str
                                                       : "";
}


static json_t *
browse_time(const char *ms)
{
    char  text[TRAVEL_TIMESTAMP_LEN];

    if (*ms == '\0' || strtoull(ms, NULL, 10) == 0) {
        return json_null();
    }

    travel_timestamp_format(text, strtoull(ms, NULL, 10));

    return json_stringn(text, sizeof(text));
}


static json_t *
browse_string(const char *text)
{
    json_t  *value;

    value = *text != '\0' ? json_string(text) : NULL;

    return value != NULL ? value : json_null();
}


static json_t *
browse_json(const char *text)
{
    json_t  *value;

    value = *text != '\0' ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    return value != NULL ? value : json_null();
}


static json_t *
browse_trace(const char *tp)
{
    char          hex[33];
    travel_trace_t  trace;

    if (travel_traceparent_parse(&trace, (travel_str_t) { tp, strlen(tp) })
        != TRAVEL_OK)
    {
        return json_null();
    }

    snprintf(hex, sizeof(hex), "%.32s", tp + 3);

    return json_string(hex);
}


/* --- states --------------------------------------------------------------- */

bool
worker_browse_state(const char *text)
{
    return strcmp(text, "queued") == 0 || strcmp(text, "scheduled") == 0
           || strcmp(text, "running") == 0 || strcmp(text, "retrying") == 0;
}


/* Of a job that is over and not yet off its stream: that status. */
static const char *
browse_state(const browse_t *b, const redisReply *row)
{
    const char  *status;

    status = browse_text(row, ROW_STATUS);

    if (strcmp(status, "queued") == 0 && b->delayed
        && strcmp(browse_text(row, ROW_AT), "0") != 0)
    {
        return "scheduled";
    }

    return status;
}


static bool
browse_is(const char *want, const char *is)
{
    return want == NULL || strcmp(want, is) == 0;
}


static bool
browse_meant(const browse_t *b, const redisReply *row)
{
    const char             *state, *dot;
    const worker_browse_t  *what;

    what = b->what;
    state = browse_state(b, row);
    dot = what->job != NULL ? strrchr(what->job, '.') : NULL;

    return worker_browse_state(state)
           && browse_is(what->state, state)
           && browse_is(what->type, browse_text(row, ROW_TYPE))
           && browse_is(what->sub, browse_text(row, ROW_SUB))
           && browse_is(dot != NULL ? dot + 1 : NULL,
                        browse_text(row, ROW_UUID))
           && (what->older_s == 0
               || strtoull(browse_text(row, ROW_UPDATED), NULL, 10)
                  <= b->before);
}


/* --- one of them ---------------------------------------------------------- */

/* What was given, without what only workers may read. */
static json_t *
browse_body(const redisReply *row)
{
    size_t       n;
    char         name[128];
    json_t      *body;
    const char  *sealed;

    if (*browse_text(row, ROW_CLAIM) != '\0') {
        return json_string("(in jobs.claim)");
    }

    body = browse_json(browse_text(row, ROW_BODY));

    for (sealed = browse_text(row, ROW_SEALED); *sealed; sealed += n) {
        sealed += strspn(sealed, " ");
        n = strcspn(sealed, " ");
        snprintf(name, sizeof(name), "%.*s", (int) n, sealed);

        if (json_is_object(body) && json_object_get(body, name) != NULL) {
            json_object_set_new(body, name, json_string("(sealed)"));
        }
    }

    return body;
}


static json_t *
browse_one(const browse_t *b, const redisReply *row)
{
    char     id[160], where[64];
    json_t  *one;

    snprintf(id, sizeof(id), "%s.%u.%.60s", b->queue, b->partition,
             browse_text(row, ROW_UUID));
    snprintf(where, sizeof(where), "%s.%u:%s", b->queue, b->partition,
             b->place);
    one = json_pack("{s:o, s:o, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o,"
                    " s:b, s:s}",
        "id", browse_string(id),
        "type", browse_string(browse_text(row, ROW_TYPE)),
        "state", browse_state(b, row),
        "sub", browse_string(browse_text(row, ROW_SUB)),
        "key", browse_string(browse_text(row, ROW_KEY)),
        "attempts", (json_int_t) atoll(browse_text(row, ROW_ATTEMPTS)),
        "created_at", browse_time(browse_text(row, ROW_TS)),
        "updated_at", browse_time(browse_text(row, ROW_UPDATED)),
        "due_at", b->delayed ? browse_time(browse_text(row, ROW_AT))
                             : json_null(),
        "error", browse_json(browse_text(row, ROW_ERROR)),
        "trace_id", browse_trace(browse_text(row, ROW_TP)),
        "called_off", *browse_text(row, ROW_CANCEL) != '\0',
        "where", where);

    if (one != NULL && b->what->bodies) {
        json_object_set_new(one, "deadline",
                            browse_time(browse_text(row, ROW_DEADLINE)));
        json_object_set_new(one, "body", browse_body(row));
    }

    return one;
}


/* False: there is no room for one more. */
static bool
browse_row(browse_t *b, const redisReply *row)
{
    if (row->type != REDIS_REPLY_ARRAY || row->elements != ROW_MAX
        || !browse_meant(b, row))
    {
        return true;
    }

    if (b->what->limit > 0 && json_array_size(b->list) == b->what->limit) {
        return false;
    }

    (void) json_array_append_new(b->list, browse_one(b, row));

    return true;
}


/* --- pages ---------------------------------------------------------------- */

/* Where the next page begins is in 'after', "" at the end.  TRAVEL_REFUSED: no
 * more is wanted. */
static int
browse_page(worker_redis_t *redis, browse_t *b, const char *key,
    char after[48])
{
    int          rc;
    size_t       i;
    redisReply  *reply;

    reply = worker_redis_command(redis, "EVAL %s 1 %s %s %d",
                                 travel_worker_script(TRAVEL_SCRIPT_BROWSE)
                                 .data, key, after, BROWSE_PAGE);

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements < 1)
    {
        freeReplyObject(reply);
        return TRAVEL_ERROR;
    }

    rc = TRAVEL_OK;
    snprintf(after, 48, "%s", reply->element[0]->str);

    for (i = 1; rc == TRAVEL_OK && i < reply->elements; i++) {
        rc = browse_row(b, reply->element[i]) ? TRAVEL_OK : TRAVEL_REFUSED;
    }

    b->left -= reply->elements - 1 < b->left ? reply->elements - 1 : b->left;
    freeReplyObject(reply);

    return rc;
}


static int
browse_place(worker_redis_t *redis, browse_t *b, size_t place)
{
    int           rc;
    char          key[TRAVEL_KEY_MAX + sizeof(TRAVEL_CLOSED)], after[48];
    size_t        n;
    travel_str_t  queue;

    queue = (travel_str_t) { b->queue, strlen(b->queue) };
    b->delayed = place == BROWSE_PLACES - 1;

    if (b->delayed) {
        b->place = "delayed";
        travel_key_named(key, queue, b->partition, "delayed");
    } else {
        b->place = travel_priority_name((travel_priority_e)
                                        (place % TRAVEL_PRIORITY_MAX));
        n = travel_key_stream(key, queue, b->partition, (travel_priority_e)
                              (place % TRAVEL_PRIORITY_MAX));

        if (place >= TRAVEL_PRIORITY_MAX) {
            memcpy(key + n, TRAVEL_CLOSED, sizeof(TRAVEL_CLOSED));
        }
    }

    rc = TRAVEL_OK;

    for (snprintf(after, sizeof(after), "0"); rc == TRAVEL_OK && *after; ) {
        rc = b->left > 0 ? browse_page(redis, b, key, after) : TRAVEL_REFUSED;
    }

    return rc;
}


static int
browse_queue(worker_redis_t *redis, browse_t *b)
{
    int              rc;
    size_t           place;
    unsigned         top;
    travel_layout_t  layout;

    if (worker_layout(redis, (travel_str_t) { b->queue, strlen(b->queue) },
                      &layout) != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    rc = TRAVEL_OK;
    top = travel_layout_top(&layout);

    for (b->partition = 0; rc == TRAVEL_OK && b->partition < top;
         b->partition++)
    {
        for (place = 0; rc == TRAVEL_OK && place < BROWSE_PLACES; place++) {
            rc = browse_place(redis, b, place);
        }
    }

    return rc;
}


/* The partition that a job's id names, alone. */
static int
browse_job(worker_redis_t *redis, browse_t *b)
{
    int              rc;
    char             name[TRAVEL_QUEUE_NAME_MAX + 1];
    size_t           place;
    travel_job_id_t  id;

    if (travel_job_id_possible(&id, (travel_str_t) { b->what->job,
                                                     strlen(b->what->job) })
        != TRAVEL_OK)
    {
        return TRAVEL_OK;               /* no job has it */
    }

    snprintf(name, sizeof(name), "%.*s", (int) id.queue.len, id.queue.data);
    b->queue = name;
    b->partition = id.partition;
    rc = TRAVEL_OK;

    for (place = 0; rc == TRAVEL_OK && place < BROWSE_PLACES
                    && json_array_size(b->list) == 0; place++)
    {
        rc = browse_place(redis, b, place);
    }

    return rc;
}


int
worker_browse(worker_redis_t *redis, const worker_browse_t *what,
    json_t *list)
{
    int       rc;
    size_t    i;
    browse_t  b = { .what = what, .list = list, .left = WORKER_BROWSE_SCAN };

    b.before = browse_now() - (uint64_t) what->older_s * 1000;

    if (what->job != NULL) {
        return browse_job(redis, &b);
    }

    rc = TRAVEL_OK;

    for (i = 0; rc == TRAVEL_OK && travel_queue_name(i) != NULL; i++) {
        b.queue = travel_queue_name(i);

        if (browse_is(what->queue, b.queue)) {
            rc = browse_queue(redis, &b);
        }
    }

    return rc;
}


/* --- what is done with them ----------------------------------------------- */

char *
worker_browse_cancel(worker_redis_t *redis, const travel_job_id_t *id)
{
    char         key[TRAVEL_KEY_MAX], *answer;
    redisReply  *reply;

    travel_key_job(key, id);
    reply = worker_redis_command(redis, "EVAL %s 1 %s %llu",
                             travel_worker_script(TRAVEL_SCRIPT_CALL_OFF).data,
                             key, (unsigned long long) browse_now());
    answer = reply != NULL && reply->type == REDIS_REPLY_STRING
             ? strdup(reply->str) : NULL;
    freeReplyObject(reply);

    return answer;
}


int
worker_browse_now(worker_redis_t *redis, const travel_job_id_t *id)
{
    int          rc;
    char         key[TRAVEL_KEY_MAX], uuid[TRAVEL_UUID_TEXT_LEN + 1];
    redisReply  *reply;

    travel_uuid_format(uuid, &id->id);
    uuid[TRAVEL_UUID_TEXT_LEN] = '\0';
    travel_key_named(key, id->queue, id->partition, "delayed");
    reply = worker_redis_command(redis, "EVAL %s 1 %s %s %llu",
                                 travel_worker_script(TRAVEL_SCRIPT_NOW).data,
                                 key, uuid,
                                 (unsigned long long) browse_now());
    rc = reply == NULL || reply->type != REDIS_REPLY_INTEGER ? TRAVEL_ERROR
         : reply->integer == 1 ? TRAVEL_OK : TRAVEL_REFUSED;
    freeReplyObject(reply);

    return rc;
}
