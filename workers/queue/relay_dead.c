/*
 * Dead letters: from Redis to PostgreSQL.
 *
 * A letter is not copied in one step with the mark of how far that came, so it
 * may be copied twice: its id is the primary key.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>
#include <jansson.h>

#include "queue.h"
#include "relay.h"
#include "../../common/digits.h"
#include "../../common/json.h"
#include "../pool/log.h"

#define DEAD_BATCH      100
#define DEAD_BATCH_STR  "100"
#define DEAD_MARK       "dead_mark"     /* in :owner: the last one copied */
#define DEAD_ID_MAX     256             /* what is longer is no id, and more
                                           than an index may hold */


static const char *
dead_field(const redisReply *fields, const char *name)
{
    size_t  i;

    for (i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, name) == 0) {
            return fields->element[i + 1]->str;
        }
    }

    return NULL;
}


/* The whole entry as JSON; bytes that are no UTF-8 (a malformed entry may
 * hold any) become question marks. */
static char *
dead_envelope(const redisReply *fields)
{
    size_t   i, k;
    char    *text, *s;
    json_t  *o, *v;

    o = json_object();

    for (i = 0; i + 1 < fields->elements; i += 2) {
        s = fields->element[i + 1]->str;

        for (k = 0; k < (size_t) fields->element[i + 1]->len; k++) {
            if (s[k] == '\0') {
                s[k] = '?';         /* jsonb takes no zero */
            }
        }

        v = json_string(s);

        for (k = 0; v == NULL && s[k]; k++) {
            s[k] = (unsigned char) s[k] < 0x80 ? s[k] : '?';
        }

        json_object_set_new(o, fields->element[i]->str,
                            v != NULL ? v : json_string(s));
    }

    text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(o);

    return text;
}


static int
dead_insert(const worker_relay_t *relay, const redisReply *entry)
{
    int                rc;
    char               number[8], nameless[96], *envelope;
    char               uuid[TRAVEL_UUID_TEXT_LEN + 1];
    json_t            *body;
    PGresult          *res;
    const char        *params[16];
    const redisReply  *fields;

    fields = entry->element[1];
    envelope = dead_envelope(fields);   /* first: it mends the texts */

    snprintf(number, sizeof(number), "%u", relay->number);
    snprintf(nameless, sizeof(nameless), "%s.%u.%s", relay->queue,
             relay->number, entry->element[0]->str);

    params[0] = dead_field(fields, "id");
    params[0] = params[0] != NULL && strlen(params[0]) <= DEAD_ID_MAX
                ? params[0] : nameless;
    params[1] = relay->queue;
    params[2] = number;
    params[3] = dead_field(fields, "type");
    params[3] = params[3] != NULL ? params[3] : "";
    params[4] = dead_field(fields, "sub");
    params[5] = dead_field(fields, "key");
    params[6] = dead_field(fields, "body");
    body = params[6] != NULL ? json_loads(params[6], JSON_DECODE_ANY, NULL)
                             : NULL;
    params[6] = body != NULL ? params[6] : NULL;
    params[7] = dead_field(fields, "attempts");
    params[8] = dead_field(fields, "cause");
    params[9] = dead_field(fields, "first_error");
    params[10] = dead_field(fields, "last_error");
    params[11] = dead_field(fields, "trace");
    params[12] = dead_field(fields, "died_at");
    params[13] = envelope;
    params[14] = entry->element[0]->str;
    params[15] = travel_job_id_uuid(uuid, (travel_str_t) { params[0],
                                                       strlen(params[0]) })
                 ? uuid : NULL;

    res = worker_pg_exec(relay->pg,
                         "INSERT INTO jobs.dead (job_id, queue, partition,"
                         "  type, sub, key, body, attempts, cause,"
                         "  first_error, last_error, trace, died_at, envelope,"
                         "  entry)"
                         " VALUES ($1, $2, $3::integer, $4, $5, $6,"
                         "  coalesce((SELECT c.data::jsonb FROM jobs.claim"
                         "             AS c WHERE c.job = $16::uuid"
                         "               AND c.what = 'body'), $7::jsonb),"
                         "  $8::integer, $9, $10, $11, $12,"
                         "  to_timestamp($13::float8 / 1000), $14::jsonb, $15)"
                         " ON CONFLICT (job_id) DO NOTHING", 16, params);
    rc = worker_pg_good(res) ? TRAVEL_OK : TRAVEL_ERROR;

    if (rc != TRAVEL_OK) {
        worker_log(WORKER_LOG_WARN, "%s: dead letter %s: %s", relay->queue,
                   params[0], worker_pg_error(relay->pg));
    }

    PQclear(res);
    json_decref(body);
    free(envelope);

    return rc;
}


static redisReply *
dead_read(const worker_relay_t *relay, const char *owner, const char *dead)
{
    char         from[64];
    redisReply  *mark, *reply;

    mark = worker_redis_command(relay->redis, "HGET %s " DEAD_MARK, owner);

    if (mark == NULL) {
        return NULL;
    }

    snprintf(from, sizeof(from), "%s%s",
             mark->type == REDIS_REPLY_STRING ? "(" : "",
             mark->type == REDIS_REPLY_STRING ? mark->str : "-");
    freeReplyObject(mark);

    reply = worker_redis_command(relay->redis, "XRANGE %s %s + COUNT "
                                 DEAD_BATCH_STR, dead, from);

    if (reply != NULL && reply->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


/* Letters that are all copied and past their time. */
static void
dead_trim(const worker_relay_t *relay, const char *dead)
{
    redisReply       *reply;
    struct timespec   now;

    clock_gettime(CLOCK_REALTIME, &now);
    reply = worker_redis_command(relay->redis, "XTRIM %s MINID %lld", dead,
                                 (long long) now.tv_sec * 1000
                                 - relay->retention_ms);
    freeReplyObject(reply);         /* another day, if not now */
}


int
worker_relay_dead(const worker_relay_t *relay)
{
    int           rc;
    char          owner[TRAVEL_KEY_MAX], dead[TRAVEL_KEY_MAX];
    size_t        i, n;
    redisReply   *reply, *set;
    travel_str_t  queue;

    queue = (travel_str_t) { relay->queue, strlen(relay->queue) };
    (void) travel_key_named(owner, queue, relay->number, "owner");
    (void) travel_key_named(dead, queue, relay->number, "dead");

    reply = dead_read(relay, owner, dead);

    if (reply == NULL) {
        return TRAVEL_ERROR;
    }

    rc = TRAVEL_OK;
    n = reply->elements;

    if (n > 0 && worker_pg_ready(relay->pg) != TRAVEL_OK) {
        freeReplyObject(reply);
        return TRAVEL_ERROR;
    }

    for (i = 0; rc == TRAVEL_OK && i < n; i++) {
        rc = dead_insert(relay, reply->element[i]);

        if (rc == TRAVEL_OK) {
            set = worker_redis_command(relay->redis,
                                       "HSET %s " DEAD_MARK " %s", owner,
                                       reply->element[i]->element[0]->str);
            rc = set != NULL ? TRAVEL_OK : TRAVEL_ERROR;
            freeReplyObject(set);
        }
    }

    if (rc == TRAVEL_OK && n > 0 && n < DEAD_BATCH) {
        dead_trim(relay, dead);
    }

    freeReplyObject(reply);
    return rc == TRAVEL_OK ? (int) n : rc;
}
