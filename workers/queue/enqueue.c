/* Putting a job into a queue from the workers' side, once per job id. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "queue.h"
#include "../pool/log.h"
#include "../../common/digits.h"
#include "../../common/hash.h"
#include "../../common/worker_scripts.h"

#define ENQUEUE_ARGS  (3 + 4 + 6 + 2 * TRAVEL_ENVELOPE_FIELDS)


/* Milliseconds since 1970 in decimal. */
static size_t
enqueue_number(char *dst, int64_t v)
{
    return travel_digits_format(dst, v > 0 ? (uint64_t) v : 0);
}


static int64_t
enqueue_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


int
worker_enqueue_answer(worker_redis_t *redis)
{
    int          rc;
    redisReply  *reply;

    reply = worker_redis_reply(redis);

    if (reply == NULL) {
        return TRAVEL_ERROR;
    }

    rc = TRAVEL_OK;

    if (reply->type != REDIS_REPLY_INTEGER) {
        worker_log(WORKER_LOG_WARN, "enqueue: redis: %s",
                   reply->type == REDIS_REPLY_ERROR ? reply->str : "?");
        rc = TRAVEL_ERROR;

        if (reply->type == REDIS_REPLY_ERROR
            && strncmp(reply->str, "NOSCRIPT", 8) == 0)
        {
            worker_redis_script_gone(redis);
        }

    } else if (reply->integer < 0) {
        rc = TRAVEL_REFUSED;
    }

    freeReplyObject(reply);
    return rc;
}


/* What tells two jobs of one unique key: :unique:<sha256 of type and key>. */
static size_t
enqueue_unique_key(char *dst, const travel_job_id_t *id, travel_str_t type,
    const char *unique)
{
    char      name[8 + 2 * TRAVEL_SHA256_LEN + 1], text[512];
    size_t    n;
    uint8_t   md[TRAVEL_SHA256_LEN];

    n = (size_t) snprintf(text, sizeof(text), "%.*s %s", (int) type.len,
                          type.data, unique);

    if (n >= sizeof(text)
        || travel_sha256(md, (travel_str_t) { text, n }) != TRAVEL_OK)
    {
        return 0;
    }

    memcpy(name, "unique:", 7);
    travel_hex_encode(name + 7, md, sizeof(md));
    name[7 + 2 * TRAVEL_SHA256_LEN] = '\0';

    return travel_key_named(dst, id->queue, id->partition, name);
}


/* By the script's SHA if Redis is known to keep it: its text is longer than the
 * job, and Redis reads 16 kB at a time and has each such piece on the disk
 * before the next.  'token' NULL: a new job; 'unique' NULL: whatever there
 * is. */
static int
enqueue_put(worker_redis_t *redis, const travel_envelope_t *env,
    travel_priority_e priority, int64_t not_before_ms, const char *token,
    const worker_unique_t *unique)
{
    char                        job[TRAVEL_KEY_MAX], stream[TRAVEL_KEY_MAX];
    char                        delayed[TRAVEL_KEY_MAX];
    char                        once[TRAVEL_KEY_MAX];
    char                        window[TRAVEL_DIGITS_MAX];
    char                        quiet[TRAVEL_DIGITS_MAX];
    char                        uuid[TRAVEL_UUID_TEXT_LEN];
    char                        later[TRAVEL_DIGITS_MAX];
    char                        now[TRAVEL_DIGITS_MAX];
    size_t                      n, len[ENQUEUE_ARGS];
    const char                 *sha, *argv[ENQUEUE_ARGS];
    travel_str_t                script;
    travel_job_id_t             id;
    travel_envelope_scratch_t   scratch;

    if (travel_job_id_possible(&id, env->id) != TRAVEL_OK) {
        return TRAVEL_INVALID;
    }

    script = travel_worker_script(token != NULL ? TRAVEL_SCRIPT_REQUEUE
                                                : TRAVEL_SCRIPT_ENQUEUE);
    travel_uuid_format(uuid, &id.id);

    sha = worker_redis_script(redis, script);
    argv[0] = sha != NULL ? "EVALSHA" : "EVAL";
    len[0] = strlen(argv[0]);
    argv[1] = sha != NULL ? sha : script.data;
    len[1] = sha != NULL ? strlen(sha) : script.len;
    argv[2] = "3";
    len[2] = 1;
    argv[3] = job;
    len[3] = travel_key_job(job, &id);
    argv[4] = stream;
    len[4] = travel_key_stream(stream, id.queue, id.partition, priority);
    argv[5] = delayed;
    len[5] = travel_key_named(delayed, id.queue, id.partition, "delayed");
    n = 6;

    if (unique != NULL) {
        argv[2] = "4";
        argv[n] = once;
        len[n] = enqueue_unique_key(once, &id, env->type, unique->key);

        if (len[n++] == 0) {
            return TRAVEL_INVALID;
        }
    }

    argv[n] = later;
    len[n++] = enqueue_number(later, not_before_ms);
    argv[n] = now;
    len[n++] = enqueue_number(now, enqueue_now());
    argv[n] = uuid;
    len[n++] = sizeof(uuid);
    argv[n] = id.queue.data;
    len[n++] = id.queue.len;

    if (unique != NULL) {
        argv[n] = window;
        len[n++] = enqueue_number(window, unique->window_ms);
        argv[n] = quiet;
        len[n++] = enqueue_number(quiet, unique->quiet_ms);
    }

    if (token != NULL) {
        argv[n] = token;
        len[n++] = strlen(token);
    }

    n = travel_envelope_args(env, &scratch, argv, len, n);

    return worker_redis_append_argv(redis, (int) n, argv, len) ? TRAVEL_OK
                                                               : TRAVEL_ERROR;
}


void
worker_enqueue_begin(worker_redis_t *redis)
{
    worker_redis_keep_script(redis,
                             travel_worker_script(TRAVEL_SCRIPT_ENQUEUE));
}


int
worker_enqueue_append(worker_redis_t *redis, const travel_envelope_t *env,
    travel_priority_e priority, int64_t not_before_ms,
    const worker_unique_t *unique)
{
    return enqueue_put(redis, env, priority, not_before_ms, NULL, unique);
}


/* 'rc' of the request; when that was appended, what came of it. */
static int
enqueue_wait(worker_redis_t *redis, int rc)
{
    return rc == TRAVEL_OK ? worker_enqueue_answer(redis) : rc;
}


int
worker_enqueue(worker_redis_t *redis, const travel_envelope_t *env,
    travel_priority_e priority, int64_t not_before_ms)
{
    return enqueue_wait(redis, enqueue_put(redis, env, priority, not_before_ms,
                                           NULL, NULL));
}


int
worker_requeue(worker_redis_t *redis, const travel_envelope_t *env,
    travel_priority_e priority, int64_t not_before_ms, const char *token)
{
    return enqueue_wait(redis, enqueue_put(redis, env, priority, not_before_ms,
                                           token, NULL));
}
