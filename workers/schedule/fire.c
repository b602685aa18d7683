/* One schedule: its times, and the job of a fire. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>
#include <jansson.h>

#include "schedule.h"
#include "../jobs/job.h"
#include "../pool/log.h"
#include "../queue/place.h"
#include "../queue/queue.h"
#include "../../common/tzif.h"
#include "../../common/timestamp.h"

#define FIRE_ZONES     "/usr/share/zoneinfo/"
#define FIRE_ZONE_MAX  65536
#define FIRE_CHANGES   128
#define FIRE_YEAR      (366LL * 86400)


/* --- times --------------------------------------------------------------- */

static int
fire_zone(const char *name, int64_t at, travel_zone_change_t *changes,
    travel_zone_t *ret_zone)
{
    int       fd;
    char      path[256], *file;
    size_t    n;
    ssize_t   got;
    int       rc;

    if (strcmp(name, "UTC") == 0) {
        *ret_zone = (travel_zone_t) { NULL, 0 };
        return TRAVEL_OK;
    }

    snprintf(path, sizeof(path), FIRE_ZONES "%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    file = malloc(FIRE_ZONE_MAX);
    got = fd >= 0 && file != NULL ? read(fd, file, FIRE_ZONE_MAX) : -1;
    rc = TRAVEL_ERROR;

    if (got > 0
        && travel_tzif_read(changes, FIRE_CHANGES, &n,
                            (travel_str_t) { file, (size_t) got },
                            at > FIRE_YEAR ? at - FIRE_YEAR : 0,
                            at + (TRAVEL_CRON_YEARS + 1) * FIRE_YEAR)
           == TRAVEL_OK)
    {
        *ret_zone = (travel_zone_t) { changes, n };
        rc = TRAVEL_OK;
    }

    if (fd >= 0) {
        close(fd);
    }

    free(file);
    return rc;
}


int
worker_schedule_next(const worker_schedule_t *schedule, int64_t after,
    int64_t *ret_at)
{
    travel_zone_t          zone;
    travel_zone_change_t   changes[FIRE_CHANGES];

    if (fire_zone(schedule->timezone, after, changes, &zone) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    return travel_cron_next(&schedule->cron, &zone, after, ret_at);
}


/* From ever further back, so that few fires are stepped through. */
int
worker_schedule_last(const worker_schedule_t *schedule, int64_t after,
    int64_t now, int64_t *ret_at)
{
    int                    rc;
    size_t                 i;
    int64_t                at, from, last;
    travel_zone_t          zone;
    travel_zone_change_t   changes[FIRE_CHANGES];

    static const int64_t  backs[] = { 3600, 86400, 32 * 86400LL,
                                      TRAVEL_CRON_YEARS * 365 * 86400LL };

    if (fire_zone(schedule->timezone, after, changes, &zone) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    for (i = 0; i < sizeof(backs) / sizeof(backs[0]); i++) {
        from = now - backs[i] > after ? now - backs[i] : after;
        last = from;

        while ((rc = travel_cron_next(&schedule->cron, &zone, last, &at))
               == TRAVEL_OK && at <= now)
        {
            last = at;
        }

        if (last > from) {
            *ret_at = last;
            return TRAVEL_OK;
        }

        if (from == after) {
            break;
        }
    }

    return TRAVEL_REFUSED;
}


/* --- the job ------------------------------------------------------------- */

json_t *
worker_schedule_body(const worker_schedule_t *schedule, int64_t at)
{
    char     when[TRAVEL_TIMESTAMP_LEN + 1];
    json_t  *body;

    travel_timestamp_format(when, (uint64_t) at * 1000);
    when[TRAVEL_TIMESTAMP_LEN] = '\0';

    body = schedule->body != NULL ? json_loads(schedule->body, 0, NULL)
                                  : json_object();
    json_object_set_new(body, "schedule", json_string(schedule->name));
    json_object_set_new(body, "fire_at", json_string(when));

    return body;
}


int
worker_schedule_enqueue(worker_redis_t *redis,
    const worker_schedule_t *schedule, int64_t at, const char *salt,
    char ret_job[TRAVEL_JOB_ID_MAX + 1])
{
    int                        rc;
    char                       number[24], uuid[TRAVEL_UUID_TEXT_LEN + 1];
    char                       text[TRAVEL_JOB_ID_MAX + 1], *body;
    travel_str_t               parts[4];
    json_t                    *object;
    travel_job_id_t            id;
    travel_envelope_t          env = { 0 };
    const worker_job_type_t   *type;

    type = worker_job_type((travel_str_t) { schedule->type,
                                            strlen(schedule->type) });
    snprintf(number, sizeof(number), "%lld", (long long) at);
    parts[0] = TRAVEL_STR("schedule");
    parts[1] = (travel_str_t) { schedule->name, strlen(schedule->name) };
    parts[2] = (travel_str_t) { number, strlen(number) };
    parts[3] = (travel_str_t) { salt, salt != NULL ? strlen(salt) : 0 };

    if (type == NULL
        || travel_uuid8(&id.id, parts, salt != NULL ? 4 : 3) != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    id.queue = (travel_str_t) { type->queue, strlen(type->queue) };

    if (worker_place(redis, &id, travel_uuid_bucket(&id.id)) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    (void) travel_job_id_format(text, &id);
    travel_uuid_format(uuid, &id.id);
    uuid[TRAVEL_UUID_TEXT_LEN] = '\0';
    object = worker_schedule_body(schedule, at);
    body = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);

    if (body == NULL) {
        return TRAVEL_ERROR;
    }

    env.id = (travel_str_t) { text, strlen(text) };
    env.type = (travel_str_t) { type->type, strlen(type->type) };
    env.sub = TRAVEL_STR(WORKER_SCHEDULE_SUB);
    env.key = (travel_str_t) { uuid, TRAVEL_UUID_TEXT_LEN };
    env.ts = (uint64_t) time(NULL) * 1000;
    env.body = (travel_str_t) { body, strlen(body) };

    rc = worker_enqueue(redis, &env, type->priority, 0);
    free(body);

    if (rc == TRAVEL_OK && !worker_redis_kept(redis)) {
        return TRAVEL_ERROR;        /* a failover might forget it */
    }

    if (rc == TRAVEL_OK) {
        memcpy(ret_job, text, sizeof(text));
    }

    return rc != TRAVEL_REFUSED ? rc : TRAVEL_ERROR;    /* it closed just now */
}
