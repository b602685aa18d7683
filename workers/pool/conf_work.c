/* workers.conf: what it says of types and of queues. */

#include <string.h>

#include "conf_parts.h"
#include "../jobs/job.h"
#include "../../common/queues.h"

#define CONF_RETENTION_MS  (4L * 24 * 3600 * 1000)

cfg_opt_t  worker_conf_type_opts[] = {
    CFG_INT("retries", -1, CFGF_NONE),
    CFG_STR("base", NULL, CFGF_NONE),
    CFG_STR("cap", NULL, CFGF_NONE),
    CFG_STR("timeout", NULL, CFGF_NONE),
    CFG_INT("weight", 1, CFGF_NONE),
    CFG_INT("concurrency", 0, CFGF_NONE),
    CFG_STR("rate", NULL, CFGF_NONE),
    CFG_INT("user_concurrency", 0, CFGF_NONE),
    CFG_STR("user_rate", NULL, CFGF_NONE),
    CFG_END()
};

cfg_opt_t  worker_conf_queue_opts[] = {
    CFG_STR("retention", NULL, CFGF_NONE),
    CFG_END()
};


static int
conf_type(cfg_t *sec, worker_type_conf_t *type)
{
    const char  *name;

    name = cfg_title(sec);

    if (worker_job_type((travel_str_t) { name, strlen(name) }) == NULL) {
        cfg_error(sec, "type \"%s\" is not the type of a job, correct the "
                  "name or remove the section", name);
        return TRAVEL_INVALID;
    }

    type->base_ms = -1;
    type->cap_ms = -1;
    type->timeout_ms = -1;
    type->type = strdup(name);
    type->retries = (int) cfg_getint(sec, "retries");
    worker_conf_duration(sec, "base", &type->base_ms);
    worker_conf_duration(sec, "cap", &type->cap_ms);
    worker_conf_duration(sec, "timeout", &type->timeout_ms);
    type->weight = (unsigned) cfg_getint(sec, "weight");
    type->concurrency = (unsigned) cfg_getint(sec, "concurrency");
    type->user_concurrency = (unsigned) cfg_getint(sec, "user_concurrency");
    worker_conf_rate(sec, "rate", &type->rate);
    worker_conf_rate(sec, "user_rate", &type->user_rate);

    if (type->cap_ms >= 0 && type->base_ms > type->cap_ms) {
        cfg_error(sec, "type \"%s\": base is above cap, which bounds it", name);
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static int
conf_types(cfg_t *cfg, worker_conf_t *conf)
{
    size_t  i, n;

    n = cfg_size(cfg, "type");

    if (n > WORKER_TYPES_MAX) {
        cfg_error(cfg, "more than %d types", WORKER_TYPES_MAX);
        return TRAVEL_INVALID;
    }

    for (i = 0; i < n; i++) {
        conf->ntypes++;             /* first, so that free sees the row */

        if (conf_type(cfg_getnsec(cfg, "type", i), &conf->types[i])
            != TRAVEL_OK)
        {
            return TRAVEL_INVALID;
        }
    }

    return TRAVEL_OK;
}


/* The queue's place in the list of all, or -1. */
static int
conf_queue_index(const char *queue)
{
    int          i;
    const char  *name;

    for (i = 0; (name = travel_queue_name((size_t) i)) != NULL; i++) {
        if (strcmp(name, queue) == 0) {
            return i;
        }
    }

    return -1;
}


static int
conf_queue(cfg_t *sec, worker_conf_t *conf)
{
    int  i;

    i = conf_queue_index(cfg_title(sec));

    if (i < 0 || i >= WORKER_QUEUES_MAX) {
        cfg_error(sec, "queue \"%s\" is not the name of a queue",
                  cfg_title(sec));
        return TRAVEL_INVALID;
    }

    worker_conf_duration(sec, "retention", &conf->retention_ms[i]);

    return TRAVEL_OK;
}


int
worker_conf_work(cfg_t *cfg, worker_conf_t *conf)
{
    size_t  i, n;

    for (i = 0; i < WORKER_QUEUES_MAX; i++) {
        conf->retention_ms[i] = CONF_RETENTION_MS;
    }

    n = cfg_size(cfg, "queue");

    for (i = 0; i < n; i++) {
        if (conf_queue(cfg_getnsec(cfg, "queue", i), conf) != TRAVEL_OK) {
            return TRAVEL_INVALID;
        }
    }

    return conf_types(cfg, conf);
}


long
worker_conf_retention_ms(const worker_conf_t *conf, const char *queue)
{
    int  i;

    i = conf_queue_index(queue);

    return i >= 0 && i < WORKER_QUEUES_MAX ? conf->retention_ms[i]
                                           : CONF_RETENTION_MS;
}
