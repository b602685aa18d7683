/* travelctl key: API keys, made, listed, taken back. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "revoke.h"
#include "../../common/api_key.h"
#include "../../common/ids.h"

#define KEY_FORGET  (24 * 3600L)      /* s: longer than a node remembers */

typedef struct {
    const char  *config;
    const char  *owner;
    const char  *name;
    const char  *permissions;
    long         expires;
} key_ctl_t;



static bool
key_owner(const char *text, char id[TRAVEL_UUID_TEXT_LEN + 1])
{
    travel_uuid_t  uuid;

    if (text == NULL
        || travel_uuid_parse(&uuid, (travel_str_t) { text, strlen(text) })
           != TRAVEL_OK)
    {
        return false;
    }

    travel_uuid_format(id, &uuid);
    id[TRAVEL_UUID_TEXT_LEN] = '\0';
    return true;
}


/* Words of travel_require: a noun and a verb each. */
static bool
key_permissions_good(const char *text)
{
    size_t       n;
    const char  *colon;

    for ( ;; ) {
        text += strspn(text, " ,");
        n = strcspn(text, " ,");

        if (n == 0) {
            return true;
        }

        colon = memchr(text, ':', n);

        if (colon == NULL || colon == text || colon == text + n - 1) {
            return false;
        }

        text += n;
    }
}


/* --- create --------------------------------------------------------------- */


static int
key_store(PGconn *pg, const key_ctl_t *c, const char *owner, const char *id,
    const char *hash)
{
    char         expires[24];
    PGresult    *res;
    const char  *params[6];

    snprintf(expires, sizeof(expires), "%ld", c->expires);

    params[0] = id;
    params[1] = hash;
    params[2] = owner;
    params[3] = c->name;
    params[4] = c->permissions;
    params[5] = c->expires ? expires : NULL;

    res = ctl_query(pg,
        "INSERT INTO credentials.api_key "
        "(id, hash, user_id, name, permissions, expires_at) "
        "VALUES ($1, decode($2, 'hex'), $3, $4, "
        "        array_remove(regexp_split_to_array($5, '[ ,]+'), ''), "
        "        now() + make_interval(secs => $6::float8))", 6, params);

    if (res == NULL) {
        return CTL_BROKEN;
    }

    PQclear(res);
    return CTL_GOOD;
}


int
travelctl_key_create(int argc, char **argv)
{
    int             rc;
    char            owner[TRAVEL_UUID_TEXT_LEN + 1];
    char            key[TRAVEL_API_KEY_LEN + 1];
    char            id[TRAVEL_API_KEY_ID_LEN + 1];
    char            hex[2 * TRAVEL_SHA256_LEN + 1];
    PGconn         *pg;
    uint8_t         random[8 + TRAVEL_API_KEY_SECRET], md[TRAVEL_SHA256_LEN];
    const char     *args[CTL_ARGS_MAX + 1];
    key_ctl_t       c = { .name = "", .permissions = "" };
    worker_conf_t  *conf;

    ctl_option_t  options[] = {
        { "owner", CTL_STRING, &c.owner, "USER",
          "whose key it is, a UUID ($travel_user)" },
        { "permissions", CTL_STRING, &c.permissions, "\"A B\"",
          "what it may do (nothing)" },
        { "name", CTL_STRING, &c.name, "TEXT", "what it is for" },
        { "expires", CTL_SECONDS, &c.expires, "TIME", "its life (for ever)" },
        CTL_CONFIG(c.config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "key create --owner USER [options]",
                         "Makes an API key and prints it: it is not kept and "
                         "cannot be shown again.", options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!key_owner(c.owner, owner)) {
        return ctl_broken("--owner is the UUID of a user");
    }

    if (!key_permissions_good(c.permissions)) {
        return ctl_broken("--permissions does not take \"%s\": write "
                          "noun:verb, like journeys:read", c.permissions);
    }

    if (travel_random(random, sizeof(random)) != TRAVEL_OK) {
        return ctl_broken("there is no randomness");
    }

    travel_api_key_format(key, random, random + 8);
    key[TRAVEL_API_KEY_LEN] = '\0';
    travel_hex_encode(id, random, 8);
    id[TRAVEL_API_KEY_ID_LEN] = '\0';

    if (travel_sha256(md, (travel_str_t) { key, TRAVEL_API_KEY_LEN })
        != TRAVEL_OK)
    {
        return ctl_broken("the key cannot be hashed");
    }

    travel_hex_encode(hex, md, sizeof(md));
    hex[2 * TRAVEL_SHA256_LEN] = '\0';

    conf = ctl_conf(c.config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    rc = pg != NULL ? key_store(pg, &c, owner, id, hex) : CTL_BROKEN;

    if (rc == CTL_GOOD) {
        puts(key);
    }

    PQfinish(pg);
    worker_conf_free(conf);
    return rc;
}


/* --- list ----------------------------------------------------------------- */


static int
key_list(PGconn *pg, const char *owner)
{
    int        i, n;
    PGresult  *res;

    res = ctl_query(pg,
        "SELECT id, user_id, name, array_to_string(permissions, ' '), "
        "       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' "
        "            WHEN expires_at <= now() THEN 'expired' "
        "            WHEN expires_at IS NULL THEN 'good' "
        "            ELSE to_char(expires_at, "
        "                 '\"until\" YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') END "
        "  FROM credentials.api_key "
        " WHERE $1::uuid IS NULL OR user_id = $1::uuid "
        " ORDER BY created_at, id", 1, &owner);

    if (res == NULL) {
        return CTL_BROKEN;
    }

    n = PQntuples(res);

    for (i = 0; i < n; i++) {
        printf("%s  %s  %s  [%s]  %s\n", PQgetvalue(res, i, 0),
               PQgetvalue(res, i, 1), PQgetvalue(res, i, 4),
               PQgetvalue(res, i, 3), PQgetvalue(res, i, 2));
    }

    PQclear(res);
    return CTL_GOOD;
}


int
travelctl_key_list(int argc, char **argv)
{
    int             rc;
    char            owner[TRAVEL_UUID_TEXT_LEN + 1];
    PGconn         *pg;
    const char     *args[CTL_ARGS_MAX + 1];
    key_ctl_t       c = { .config = NULL };
    worker_conf_t  *conf;

    ctl_option_t  options[] = {
        { "owner", CTL_STRING, &c.owner, "USER", "only this user's" },
        CTL_CONFIG(c.config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "key list [options]",
                         "Lists API keys: id, owner, state, permissions, name.",
                         options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (c.owner != NULL && !key_owner(c.owner, owner)) {
        return ctl_broken("--owner is the UUID of a user");
    }

    conf = ctl_conf(c.config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    rc = pg != NULL ? key_list(pg, c.owner != NULL ? owner : NULL)
                    : CTL_BROKEN;

    PQfinish(pg);
    worker_conf_free(conf);
    return rc;
}


/* --- revoke --------------------------------------------------------------- */


/* The database first: whoever forgets the revocation asks there again. */
static int
key_revoke(PGconn *pg, worker_redis_t *redis, const char *id, const char *owner)
{
    int                   i, n, rc;
    PGresult             *res;
    const char           *params[2] = { id, owner };
    travel_revocation_t  *list;

    res = ctl_query(pg,
        "UPDATE credentials.api_key "
        "   SET revoked_at = coalesce(revoked_at, now()) "
        " WHERE id = $1 OR user_id = $2::uuid RETURNING id", 2, params);

    if (res == NULL) {
        return CTL_BROKEN;
    }

    n = PQntuples(res);

    if (n == 0) {
        PQclear(res);
        return ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                           "there is no such API key");
    }

    list = calloc((size_t) n, sizeof(*list));
    rc = list != NULL ? CTL_GOOD : ctl_broken("out of memory");

    for (i = 0; i < n && list != NULL; i++) {
        list[i].kind = TRAVEL_REVOKE_KEY;
        list[i].id = (travel_str_t) { PQgetvalue(res, i, 0),
                                      strlen(PQgetvalue(res, i, 0)) };
    }

    if (rc == CTL_GOOD) {
        rc = ctl_revoke(redis, list, (size_t) n,
                        (long long) time(NULL) + KEY_FORGET);
    }

    free(list);
    PQclear(res);
    return rc;
}


int
travelctl_key_revoke(int argc, char **argv)
{
    int             rc;
    char            owner[TRAVEL_UUID_TEXT_LEN + 1];
    PGconn         *pg;
    const char     *args[CTL_ARGS_MAX + 1];
    key_ctl_t       c = { .config = NULL };
    worker_redis_t *redis;
    worker_conf_t  *conf;

    ctl_option_t  options[] = {
        { "owner", CTL_STRING, &c.owner, "USER", "all keys of this user" },
        CTL_CONFIG(c.config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "key revoke ID | --owner USER [options]",
                         "Takes API keys back, on every node within a second.",
                         options, 0, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if ((args[0] != NULL) == (c.owner != NULL)) {
        return ctl_broken("name the id of a key or an --owner");
    }

    if (c.owner != NULL && !key_owner(c.owner, owner)) {
        return ctl_broken("--owner is the UUID of a user");
    }

    conf = ctl_conf(c.config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    redis = pg != NULL ? ctl_redis(conf) : NULL;
    rc = redis != NULL ? key_revoke(pg, redis, args[0],
                                    c.owner != NULL ? owner : NULL)
                       : CTL_BROKEN;

    worker_redis_close(&redis);
    PQfinish(pg);
    worker_conf_free(conf);
    return rc;
}
