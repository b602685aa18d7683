/* travelctl live tell: an operator's word to who watches a topic. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <hiredis/hiredis.h>
#include <jansson.h>

#include "ctl.h"
#include "../../common/live_message.h"
#include "../../common/timestamp.h"

#define LIVE_REDIS_S  10                /* an answer may take */


static int
live_topic(const char *name)
{
    travel_live_topic_t  topic;

    if (travel_live_topic_parse(&topic, (travel_str_t) { name, strlen(name) })
        != TRAVEL_OK)
    {
        return ctl_broken("there is no topic \"%s\": system:announcements, "
                          "user:ID:notifications, journey:ID ...", name);
    }

    if (topic.kind == TRAVEL_LIVE_JOB) {
        return ctl_broken("\"%s\" tells the job's own state: nothing else can "
                          "be said there", name);
    }

    return topic.pattern ? ctl_broken("\"%s\" is a pattern: a message has one "
                                      "topic", name)
                         : CTL_GOOD;
}


/* The message as all others have it, owned; NULL with a complaint. */
static char *
live_message(const char *type, const char *data)
{
    char             ts[TRAVEL_TIMESTAMP_LEN], *text;
    json_t          *value;
    struct timespec  now;

    value = json_loads(data, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(value)) {
        json_decref(value);
        ctl_broken("DATA is not a JSON object");
        return NULL;
    }

    clock_gettime(CLOCK_REALTIME, &now);
    travel_timestamp_format(ts, (uint64_t) now.tv_sec * 1000
                                + (uint64_t) now.tv_nsec / 1000000);

    value = json_pack("{s:s, s:o, s:o}", "type", type, "data", value, "ts",
                      json_stringn(ts, sizeof(ts)));
    text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(value);

    if (text == NULL || strlen(text) > TRAVEL_LIVE_MESSAGE_MAX) {
        ctl_broken("TYPE is no UTF-8 text, or DATA is over %d bytes",
                   TRAVEL_LIVE_MESSAGE_MAX);
        free(text);
        return NULL;
    }

    return text;
}


static int
live_tell(const worker_conf_t *conf, const char *topic, const char *message)
{
    int            rc;
    redisReply    *reply;
    redisContext  *redis;

    redis = worker_redis_cache(conf, "travelctl", LIVE_REDIS_S);

    if (redis == NULL) {
        return ctl_broken("the cache Redis is not there (redis cache of %s)",
                          conf->path);
    }

    reply = redisCommand(redis, "EVAL %s 1 " TRAVEL_LIVE_PREFIX "%s %s %d %d",
                         travel_live_publish, topic, message, TRAVEL_LIVE_KEEP,
                         TRAVEL_LIVE_TTL_MS);
    rc = CTL_GOOD;

    if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
        puts(reply->str);

    } else {
        rc = ctl_broken("Redis: %s", reply != NULL && reply->str != NULL
                        ? reply->str : redis->errstr);
    }

    freeReplyObject(reply);
    redisFree(redis);
    return rc;
}


int
travelctl_live_tell(int argc, char **argv)
{
    int             rc;
    char           *message;
    const char     *config = NULL, *args[CTL_ARGS_MAX + 1];
    worker_conf_t  *conf;

    ctl_option_t  options[] = { CTL_CONFIG(config), { .name = NULL } };
    ctl_spec_t    spec = { "live tell [options] TOPIC TYPE [DATA]",
                           "Tells who watches TOPIC, system:announcements say, "
                           "a message of this type with\nDATA, a JSON object; "
                           "prints its cursor.", options, 2, 3 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    rc = live_topic(args[0]);
    message = rc == CTL_GOOD
              ? live_message(args[1], args[2] != NULL ? args[2] : "{}") : NULL;
    conf = message != NULL ? ctl_conf(config) : NULL;
    rc = conf != NULL ? live_tell(conf, args[0], message) : CTL_BROKEN;

    free(message);
    worker_conf_free(conf);
    return rc;
}
