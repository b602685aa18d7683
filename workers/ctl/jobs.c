/* travelctl jobs status: what became of a job. */

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>
#include <jansson.h>

#include "ctl.h"
#include "../../common/timestamp.h"


static const char *
jobs_field(const redisReply *hash, const char *name)
{
    size_t  i;

    for (i = 0; i + 1 < hash->elements; i += 2) {
        if (strcmp(hash->element[i]->str, name) == 0) {
            return hash->element[i + 1]->str;
        }
    }

    return NULL;
}


static json_t *
jobs_time(const char *ms)
{
    char  text[TRAVEL_TIMESTAMP_LEN];

    if (ms == NULL || *ms == '\0') {
        return json_null();
    }

    travel_timestamp_format(text, strtoull(ms, NULL, 10));
    return json_stringn(text, sizeof(text));
}


static json_t *
jobs_json(const char *text)
{
    json_t  *value;

    value = text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    return value != NULL ? value : json_null();
}


static json_t *
jobs_number(const char *text)
{
    return text != NULL && *text != '\0' ? json_integer(atoll(text))
                                         : json_null();
}


static json_t *
jobs_text(const char *text)
{
    return text != NULL && *text != '\0' ? json_string(text) : json_null();
}


/* The same members as GET /api/v1/jobs/{id}, and those only we may see. */
static void
jobs_print(const char *id, const redisReply *hash, const char *result)
{
    json_t  *job;

    job = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "id", id,
        "type", jobs_text(jobs_field(hash, "type")),
        "status", jobs_text(jobs_field(hash, "status")),
        "progress", jobs_number(jobs_field(hash, "progress")),
        "attempts", jobs_number(jobs_field(hash, "attempts")),
        "result", jobs_json(result),
        "error", jobs_json(jobs_field(hash, "error")),
        "created_at", jobs_time(jobs_field(hash, "created_at")),
        "updated_at", jobs_time(jobs_field(hash, "updated_at")),
        "sub", jobs_text(jobs_field(hash, "sub")),
        "key", jobs_text(jobs_field(hash, "key")));

    json_dumpf(job, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(job);
}


/* A result that was too large for the hash is in the database. */
static int
jobs_tell(const worker_conf_t *conf, const char *id, const redisReply *hash)
{
    PGconn      *pg;
    PGresult    *res;
    const char  *uuid[1] = { strrchr(id, '.') + 1 };

    if (jobs_field(hash, "claim") == NULL) {
        jobs_print(id, hash, jobs_field(hash, "result"));
        return CTL_GOOD;
    }

    pg = ctl_pg(conf->pg_dsn);
    res = pg != NULL ? ctl_query(pg, "SELECT data FROM jobs.claim"
                                     " WHERE job = $1::uuid"
                                     "   AND what = 'result'", 1, uuid) : NULL;

    if (res != NULL) {
        jobs_print(id, hash, PQntuples(res) > 0 ? PQgetvalue(res, 0, 0)
                                                : NULL);
    }

    PQclear(res);
    PQfinish(pg);

    return res != NULL ? CTL_GOOD : CTL_BROKEN;
}


int
travelctl_jobs_status(int argc, char **argv)
{
    int              rc;
    char             key[TRAVEL_KEY_MAX];
    redisReply      *hash;
    const char      *config = NULL, *args[CTL_ARGS_MAX + 1];
    worker_redis_t  *redis;
    worker_conf_t   *conf;
    travel_job_id_t  id;

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "jobs status [options] ID",
                         "ID as a 202 gives it: booking.3.<uuid>.  Exit code "
                         "1: no such job.", options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!ctl_job_id(&id, args[0])) {
        return CTL_BROKEN;
    }

    conf = ctl_conf(config);
    redis = conf != NULL ? ctl_redis(conf) : NULL;
    rc = CTL_BROKEN;

    if (redis != NULL) {
        travel_key_job(key, &id);
        hash = worker_redis_command(redis, "HGETALL %s", key);

        if (hash == NULL || hash->type != REDIS_REPLY_ARRAY) {
            ctl_broken("Redis: %s", hash != NULL ? hash->str
                                                 : worker_redis_error(redis));

        } else if (hash->elements == 0) {
            rc = ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                             "there is no job %s (results are kept for a "
                             "limited time)", args[0]);
        } else {
            rc = jobs_tell(conf, args[0], hash);
        }

        freeReplyObject(hash);
        worker_redis_close(&redis);
    }

    worker_conf_free(conf);
    return rc;
}
