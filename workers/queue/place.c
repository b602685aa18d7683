/* The layout of a queue, asked for each time: it may change. */

#include <hiredis/hiredis.h>

#include "place.h"
#include "../pool/log.h"


int
worker_layout(worker_redis_t *redis, travel_str_t queue,
    travel_layout_t *ret_layout)
{
    int          rc;
    redisReply  *reply;

    reply = worker_redis_command(redis, "HGET " TRAVEL_KEY_LAYOUT " %b",
                                 queue.data, queue.len);

    if (reply == NULL) {
        return TRAVEL_ERROR;
    }

    rc = TRAVEL_OK;

    if (reply->type == REDIS_REPLY_NIL) {
        *ret_layout = (travel_layout_t) TRAVEL_LAYOUT_DEFAULT;

    } else if (reply->type != REDIS_REPLY_STRING
               || travel_layout_parse(ret_layout, (travel_str_t) { reply->str,
                                      (size_t) reply->len }) != TRAVEL_OK)
    {
        worker_log(WORKER_LOG_ERROR, "travel:layout: %.*s cannot be \"%s\"",
                   (int) queue.len, queue.data,
                   reply->str != NULL ? reply->str : "");
        rc = TRAVEL_ERROR;
    }

    freeReplyObject(reply);
    return rc;
}


/* Is its hash in its partition?  -1: Redis did not say. */
static long long
place_exists(worker_redis_t *redis, const travel_job_id_t *id)
{
    char         key[TRAVEL_KEY_MAX];
    long long    n;
    redisReply  *reply;

    (void) travel_key_job(key, id);
    reply = worker_redis_command(redis, "EXISTS %s", key);
    n = reply != NULL && reply->type == REDIS_REPLY_INTEGER ? reply->integer
                                                            : -1;
    freeReplyObject(reply);

    return n;
}


int
worker_place(worker_redis_t *redis, travel_job_id_t *id, unsigned bucket)
{
    long long        there;
    travel_layout_t  layout;

    if (worker_layout(redis, id->queue, &layout) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    if (layout.was.n > 0) {
        id->partition = travel_range_place(&layout.was, bucket);
        there = place_exists(redis, id);

        if (there != 0) {
            return there > 0 ? TRAVEL_OK : TRAVEL_ERROR;
        }
    }

    id->partition = travel_range_place(&layout.now, bucket);

    return TRAVEL_OK;
}
