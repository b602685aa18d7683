/* Where travelctl finds things: files, the run directory, the servers. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <limits.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "ctl.h"
#include "../queue/redis.h"

#define CTL_REDIS_S  10             /* an answer may take */



static char *
ctl_slurp(FILE *f, size_t *ret_len)
{
    char    *buf, *more;
    size_t   len, room, n;

    len = 0;
    room = 64 * 1024;
    buf = malloc(room);

    while (buf != NULL) {
        n = fread(buf + len, 1, room - len - 1, f);
        len += n;

        if (n == 0) {
            break;
        }

        if (room - len > 1) {
            continue;
        }

        room *= 2;
        more = realloc(buf, room);

        if (more == NULL) {
            free(buf);
        }

        buf = more;
    }

    if (buf == NULL || ferror(f)) {
        free(buf);
        return NULL;
    }

    buf[len] = '\0';
    *ret_len = len;
    return buf;
}


char *
ctl_read(const char *path, size_t *ret_len)
{
    char  *buf;
    FILE  *f;

    if (strcmp(path, "-") == 0) {
        f = stdin;
    } else {
        f = fopen(path, "rb");
    }

    if (f == NULL) {
        ctl_broken("%s: %s", path, strerror(errno));
        return NULL;
    }

    errno = 0;
    buf = ctl_slurp(f, ret_len);

    if (buf == NULL) {
        ctl_broken("%s: %s", path, strerror(errno != 0 ? errno : ENOMEM));
    }

    if (f != stdin) {
        fclose(f);
    }

    return buf;
}


const char *
ctl_run_path(const char *name)
{
    static char      paths[4][PATH_MAX];
    static unsigned  turn;

    char        *p;
    const char  *run;

    p = paths[turn++ % 4];
    run = getenv("TRAVEL_RUN");
    snprintf(p, PATH_MAX, "%s/%s", run != NULL && *run ? run : "run", name);

    return p;
}


worker_conf_t *
ctl_conf(const char *config)
{
    if (config == NULL) {
        config = ctl_run_path("workers.conf");
    }

    if (access(config, R_OK) != 0) {
        ctl_broken("%s: %s; name it by --config or its directory by TRAVEL_RUN",
                   config, strerror(errno));
        return NULL;
    }

    return worker_conf_load(config);
}


PGconn *
ctl_pg(const char *dsn)
{
    PGconn      *pg;
    const char  *names[] = { "dbname", "application_name", "connect_timeout",
                             "options", NULL };
    const char  *values[] = { dsn, "travelctl", "10", "-c TimeZone=UTC", NULL };

    pg = PQconnectdbParams(names, values, 1);

    if (PQstatus(pg) != CONNECTION_OK) {
        ctl_broken("PostgreSQL: %s", PQerrorMessage(pg));
        PQfinish(pg);
        return NULL;
    }

    return pg;
}


worker_redis_t *
ctl_redis(const worker_conf_t *conf)
{
    char             why[WORKER_WHY_MAX];
    worker_redis_t  *redis;

    redis = worker_redis_open(conf, "travelctl", CTL_REDIS_S, why);

    if (redis == NULL) {
        ctl_broken("Redis %s: %s", conf->redis_socket, why);
    }

    return redis;
}
