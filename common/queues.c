/* Names: queues, priorities, job states and every Redis key made of them. */

#include "digits.h"
#include "hash.h"
#include "queues.h"


static const struct {
    travel_str_t  name;
    bool          internal;
} travel_queues[] = {
    { { "journey", 7 },       false },
    { { "booking", 7 },       false },
    { { "ai", 2 },            false },
    { { "notification", 12 }, true },
    { { "analytics", 9 },     true },
    { { "content", 7 },       false },
    { { "account", 7 },       false },
    { { "maintenance", 11 },  true }
};

#define TRAVEL_QUEUES  (sizeof(travel_queues) / sizeof(travel_queues[0]))

static const travel_str_t travel_priorities[TRAVEL_PRIORITY_MAX] = {
    { "high", 4 }, { "normal", 6 }, { "low", 3 }
};

static const travel_str_t travel_job_statuses[TRAVEL_JOB_STATUS_MAX] = {
    { "queued", 6 }, { "running", 7 }, { "retrying", 8 }, { "succeeded", 9 },
    { "failed", 6 }, { "dead", 4 }, { "cancelled", 9 }
};


static size_t
travel_name_index(const travel_str_t *names, size_t n, travel_str_t name)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (travel_str_eq(names[i], name)) {
            break;
        }
    }

    return i;
}


static size_t
travel_queue_index(travel_str_t name)
{
    size_t  i;

    for (i = 0; i < TRAVEL_QUEUES; i++) {
        if (travel_str_eq(travel_queues[i].name, name)) {
            break;
        }
    }

    return i;
}


const char *
travel_queue_name(size_t i)
{
    return i < TRAVEL_QUEUES ? travel_queues[i].name.data : NULL;
}


bool
travel_queue_exists(travel_str_t name)
{
    return travel_queue_index(name) < TRAVEL_QUEUES;
}


bool
travel_queue_internal(travel_str_t name)
{
    size_t  i;

    i = travel_queue_index(name);

    return i < TRAVEL_QUEUES && travel_queues[i].internal;
}


int
travel_job_id_possible(travel_job_id_t *ret_id, travel_str_t text)
{
    travel_job_id_t  id;

    if (travel_job_id_parse(&id, text) != TRAVEL_OK
        || !travel_queue_exists(id.queue))
    {
        return TRAVEL_INVALID;
    }

    *ret_id = id;
    return TRAVEL_OK;
}


const char *
travel_priority_name(travel_priority_e p)
{
    return (unsigned) p < TRAVEL_PRIORITY_MAX ? travel_priorities[p].data
                                              : "unknown";
}


int
travel_priority_parse(travel_priority_e *ret_p, travel_str_t name)
{
    size_t  i;

    i = travel_name_index(travel_priorities, TRAVEL_PRIORITY_MAX, name);

    if (i == TRAVEL_PRIORITY_MAX) {
        return TRAVEL_INVALID;
    }

    *ret_p = (travel_priority_e) i;

    return TRAVEL_OK;
}


/* "travel:{<queue>.<partition>}:<name>" with 'extra' bytes to be kept free
 * behind it; 0 and an empty key when it would not fit or name no partition. */

static size_t
travel_key_base(char *dst, travel_str_t queue, unsigned partition,
    travel_str_t name, size_t extra)
{
    char                      *p;
    static const travel_str_t  head = { "travel:{", 8 };

    dst[0] = '\0';

    if (queue.len == 0 || queue.len > TRAVEL_QUEUE_NAME_MAX
        || partition >= TRAVEL_PARTITIONS_MAX
        || head.len + TRAVEL_QUEUE_NAME_MAX + 6 + name.len + extra + 1
           > TRAVEL_KEY_MAX)
    {
        return 0;
    }

    p = dst;

    memcpy(p, head.data, head.len);
    p += head.len;

    memcpy(p, queue.data, queue.len);
    p += queue.len;

    *p++ = '.';
    p += travel_digits_format(p, partition);
    *p++ = '}';
    *p++ = ':';

    memcpy(p, name.data, name.len);
    p += name.len;

    *p = '\0';

    return (size_t) (p - dst);
}


size_t
travel_key_stream(char *dst, travel_str_t queue, unsigned partition,
    travel_priority_e priority)
{
    return travel_key_named(dst, queue, partition,
                            travel_priority_name(priority));
}


size_t
travel_key_named(char *dst, travel_str_t queue, unsigned partition,
    const char *name)
{
    return travel_key_base(dst, queue, partition,
                           (travel_str_t) { name, strlen(name) }, 0);
}


size_t
travel_key_job(char *dst, const travel_job_id_t *id)
{
    size_t  n;

    n = travel_key_base(dst, id->queue, id->partition, TRAVEL_STR("job:"),
                        TRAVEL_UUID_TEXT_LEN);
    if (n == 0) {
        return 0;
    }

    travel_uuid_format(dst + n, &id->id);
    n += TRAVEL_UUID_TEXT_LEN;
    dst[n] = '\0';

    return n;
}


size_t
travel_key_idem(char *dst, travel_str_t queue, unsigned partition,
    const uint8_t scope[32])
{
    size_t  n;

    n = travel_key_base(dst, queue, partition, TRAVEL_STR("idem:"), 64);
    if (n == 0) {
        return 0;
    }

    travel_hex_encode(dst + n, scope, 32);
    n += 64;
    dst[n] = '\0';

    return n;
}


const char *
travel_job_status_name(travel_job_status_e s)
{
    return (unsigned) s < TRAVEL_JOB_STATUS_MAX ? travel_job_statuses[s].data
                                                : "unknown";
}


int
travel_job_status_parse(travel_job_status_e *ret_s, travel_str_t name)
{
    size_t  i;

    i = travel_name_index(travel_job_statuses, TRAVEL_JOB_STATUS_MAX, name);

    if (i == TRAVEL_JOB_STATUS_MAX) {
        return TRAVEL_INVALID;
    }

    *ret_s = (travel_job_status_e) i;

    return TRAVEL_OK;
}


bool
travel_job_status_final(travel_job_status_e s)
{
    return s == TRAVEL_JOB_SUCCEEDED || s == TRAVEL_JOB_FAILED
           || s == TRAVEL_JOB_DEAD || s == TRAVEL_JOB_CANCELLED;
}
