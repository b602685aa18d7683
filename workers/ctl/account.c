/* travelctl account logout: ends somebody's sessions. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "revoke.h"
#include "../../common/ids.h"


/* What was given with the sessions, and whatever else was issued to the user
 * until this second. */
static int
account_revoke(worker_redis_t *redis, const PGresult *res, const char *user)
{
    int                   i, n, rc;
    travel_revocation_t  *list;

    n = PQntuples(res);
    list = calloc((size_t) n + 1, sizeof(travel_revocation_t));

    if (list == NULL) {
        return ctl_broken("out of memory");
    }

    for (i = 0; i < n; i++) {
        list[i].kind = TRAVEL_REVOKE_JTI;
        list[i].id = (travel_str_t) { PQgetvalue(res, i, 0),
                                      (size_t) PQgetlength(res, i, 0) };
    }

    list[n] = (travel_revocation_t) {
        .kind = TRAVEL_REVOKE_USER, .id = { user, TRAVEL_UUID_TEXT_LEN },
        .before = (int64_t) time(NULL)
    };

    rc = ctl_revoke(redis, list, (size_t) n + 1,
                    (long long) time(NULL) + CTL_REVOKE_TTL);
    free(list);
    return rc;
}


/* The database first: who is interrupted after that repeats it. */
static int
account_logout(PGconn *pg, worker_redis_t *redis, const char *user)
{
    int          rc;
    PGresult    *res;
    const char  *params[] = { user, NULL };

    res = ctl_query(pg, "SELECT credentials.end_all($1::uuid)", 1, params);

    if (res == NULL) {
        return CTL_BROKEN;
    }

    if (PQgetisnull(res, 0, 0)) {
        PQclear(res);
        return ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                           "there is no such account");
    }

    printf("%s sessions ended\n", PQgetvalue(res, 0, 0));
    PQclear(res);

    res = ctl_query(pg, "SELECT jti FROM credentials.access_left($1::uuid,"
                        " $2::uuid)", 2, params);

    if (res == NULL) {
        return CTL_BROKEN;
    }

    rc = account_revoke(redis, res, user);
    PQclear(res);
    return rc;
}


int
travelctl_account_logout(int argc, char **argv)
{
    int              rc;
    char             user[TRAVEL_UUID_TEXT_LEN + 1];
    PGconn          *pg;
    const char      *config = NULL, *args[CTL_ARGS_MAX + 1];
    travel_uuid_t    id;
    worker_conf_t   *conf;
    worker_redis_t  *redis;

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "account logout USER [options]",
                         "Ends all sessions of an account, with their tokens.",
                         options, 1, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (travel_uuid_parse(&id, (travel_str_t) { args[0], strlen(args[0]) })
        != TRAVEL_OK)
    {
        return ctl_broken("\"%s\" is not the UUID of a user", args[0]);
    }

    travel_uuid_format(user, &id);
    user[TRAVEL_UUID_TEXT_LEN] = '\0';
    conf = ctl_conf(config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    redis = pg != NULL ? ctl_redis(conf) : NULL;
    rc = redis != NULL ? account_logout(pg, redis, user) : CTL_BROKEN;

    worker_redis_close(&redis);
    PQfinish(pg);
    worker_conf_free(conf);
    return rc;
}
