/* travelctl token revoke and revocations: what is no longer good. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "revoke.h"
#include "../../common/digits.h"
#include "../../common/ids.h"
#include "../../common/queues.h"
#include "../../common/timestamp.h"
#include "../queue/revoke.h"

#define REVOKE_ISSUER  "https://travel.local"

typedef struct {
    const char  *config;
    const char  *jti;
    const char  *user;
    const char  *kid;
    const char  *issuer;
    const char  *before;
    long         expires;
} revoke_ctl_t;


static travel_str_t
revoke_str(const char *text)
{
    return (travel_str_t) { text, text != NULL ? strlen(text) : 0 };
}


int
ctl_revoke(worker_redis_t *redis, const travel_revocation_t *revocations,
    size_t n, long long expires)
{
    char  why[WORKER_WHY_MAX];

    return worker_revoke(redis, revocations, n, expires, why) == TRAVEL_OK
           ? CTL_GOOD : ctl_broken("%s", why);
}


/* --- token revoke -------------------------------------------------------- */


/* Unix seconds or an RFC 3339 time; by default the next second, so that a
 * token of this one is among those issued before. */
static bool
revoke_before(const char *text, int64_t *ret_before)
{
    int64_t   ms;
    uint64_t  n;

    if (text == NULL) {
        *ret_before = (int64_t) time(NULL) + 1;
        return true;
    }

    if (travel_digits_parse(&n, revoke_str(text)) == TRAVEL_OK
        && n <= UINT32_MAX)
    {
        *ret_before = (int64_t) n;
        return true;
    }

    if (travel_timestamp_parse(&ms, revoke_str(text)) == TRAVEL_OK
        && ms >= 0)
    {
        *ret_before = (ms + 999) / 1000;
        return true;
    }

    return false;
}


/* The internal user: a UUID as it is, or by issuer and subject. */
static int
revoke_user(const revoke_ctl_t *c, char id[TRAVEL_UUID_TEXT_LEN])
{
    travel_str_t   part[2];
    travel_uuid_t  uuid;

    if (c->issuer == NULL || strcmp(c->issuer, REVOKE_ISSUER) == 0) {

        if (travel_uuid_parse(&uuid, revoke_str(c->user)) == TRAVEL_OK) {
            travel_uuid_format(id, &uuid);
            return CTL_GOOD;
        }

        if (c->issuer == NULL) {
            return ctl_broken("--user is a UUID ($travel_user), or the \"sub\" "
                              "of a token together with --issuer");
        }
    }

    part[0] = revoke_str(c->issuer);
    part[1] = revoke_str(c->user);

    if (travel_uuid8(&uuid, part, 2) != TRAVEL_OK) {
        return ctl_broken("the user cannot be hashed");
    }

    travel_uuid_format(id, &uuid);
    return CTL_GOOD;
}


static int
revoke_what(const revoke_ctl_t *c, char user[TRAVEL_UUID_TEXT_LEN],
    travel_revocation_t *ret_r)
{
    int  n, rc;

    *ret_r = (travel_revocation_t) { .issuer = revoke_str(c->issuer) };

    n = (c->jti != NULL) + (c->user != NULL) + (c->kid != NULL);

    if (n != 1) {
        return ctl_broken("name one of --jti, --user and --kid");
    }

    if (c->before != NULL && c->user == NULL) {
        return ctl_broken("--before goes with --user");
    }

    if (c->jti != NULL || c->kid != NULL) {
        ret_r->kind = c->jti != NULL ? TRAVEL_REVOKE_JTI : TRAVEL_REVOKE_KID;
        ret_r->id = revoke_str(c->jti != NULL ? c->jti : c->kid);
        return CTL_GOOD;
    }

    rc = revoke_user(c, user);

    if (rc == CTL_GOOD && !revoke_before(c->before, &ret_r->before)) {
        rc = ctl_broken("--before \"%s\" is neither unix seconds nor a time as "
                        "2026-03-01T19:00:00Z", c->before);
    }

    ret_r->kind = TRAVEL_REVOKE_USER;
    ret_r->issuer = revoke_str("");
    ret_r->id = (travel_str_t) { user, TRAVEL_UUID_TEXT_LEN };

    return rc;
}


static int
revoke_open(const char *config, worker_conf_t **ret_conf,
    worker_redis_t **ret_redis)
{
    *ret_conf = ctl_conf(config);
    *ret_redis = *ret_conf != NULL ? ctl_redis(*ret_conf) : NULL;

    return *ret_redis != NULL ? CTL_GOOD : CTL_BROKEN;
}


static int
revoke_close(worker_conf_t *conf, worker_redis_t *redis, int rc)
{
    worker_redis_close(&redis);
    worker_conf_free(conf);
    return rc;
}


int
travelctl_token_revoke(int argc, char **argv)
{
    int                   rc;
    char                  user[TRAVEL_UUID_TEXT_LEN];
    const char           *args[CTL_ARGS_MAX + 1];
    worker_redis_t       *redis;
    revoke_ctl_t          c = { .expires = CTL_REVOKE_TTL };
    worker_conf_t        *conf;
    travel_revocation_t   r;

    ctl_option_t  options[] = {
        { "jti", CTL_STRING, &c.jti, "JTI", "the token with this \"jti\"" },
        { "user", CTL_STRING, &c.user, "USER",
          "all tokens of this user issued before --before" },
        { "kid", CTL_STRING, &c.kid, "KID",
          "all tokens that this key signed: its \"kid\" or thumbprint" },
        { "issuer", CTL_STRING, &c.issuer, "URL",
          "only those of this issuer (any); with --user: whose \"sub\" it is" },
        { "before", CTL_STRING, &c.before, "T",
          "unix seconds or 2026-03-01T19:00:00Z (now)" },
        { "expires", CTL_SECONDS, &c.expires, "TIME",
          "how long to remember: longer than any such token lives (30d)" },
        CTL_CONFIG(c.config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "token revoke --jti J | --user U | --kid K [options]",
                         "Takes tokens back, on every node within a second.",
                         options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (c.expires < 1) {
        return ctl_broken("--expires is at least one second");
    }

    rc = revoke_what(&c, user, &r);

    if (rc != CTL_GOOD) {
        return rc;
    }

    rc = revoke_open(c.config, &conf, &redis);

    if (rc == CTL_GOOD) {
        rc = ctl_revoke(redis, &r, 1, (long long) time(NULL) + c.expires);
    }

    return revoke_close(conf, redis, rc);
}


/* --- token revocations --------------------------------------------------- */


static void
revoke_print(const travel_revocation_t *r, const char *expires)
{
    char  at[TRAVEL_TIMESTAMP_LEN], before[TRAVEL_TIMESTAMP_LEN];

    travel_timestamp_format(at, strtoull(expires, NULL, 10) * 1000);
    printf("%-4s %.*s", travel_revoke_name(r->kind), (int) r->id.len,
           r->id.data);

    if (r->kind == TRAVEL_REVOKE_USER) {
        travel_timestamp_format(before, (uint64_t) r->before * 1000);
        printf(" issued before %.19sZ", before);
    }

    if (r->issuer.len != 0) {
        printf(" of %.*s", (int) r->issuer.len, r->issuer.data);
    }

    printf(", until %.19sZ\n", at);
}


static int
revoke_list(worker_redis_t *redis)
{
    size_t                i;
    redisReply           *reply, **e;
    travel_revocation_t   r;

    reply = worker_redis_command(redis, "ZRANGEBYSCORE %s (%lld +inf "
                                 "WITHSCORES", TRAVEL_KEY_REVOKED,
                                 (long long) time(NULL));

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
        ctl_broken("Redis: %s", reply != NULL && reply->str != NULL
                                ? reply->str : worker_redis_error(redis));
        freeReplyObject(reply);
        return CTL_BROKEN;
    }

    for (i = 0; i + 1 < reply->elements; i += 2) {
        e = &reply->element[i];

        if (travel_revocation_parse(&r, (travel_str_t) { e[0]->str, e[0]->len })
            == TRAVEL_OK)
        {
            revoke_print(&r, e[1]->str);
        } else {
            printf("not a revocation: %s\n", e[0]->str);
        }
    }

    freeReplyObject(reply);
    return CTL_GOOD;
}


int
travelctl_token_revocations(int argc, char **argv)
{
    int             rc;
    const char     *config = NULL, *args[CTL_ARGS_MAX + 1];
    worker_redis_t *redis;
    worker_conf_t  *conf;

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "token revocations [options]",
                         "Lists what is revoked now, next to expire first.",
                         options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    rc = revoke_open(config, &conf, &redis);

    return revoke_close(conf, redis, rc == CTL_GOOD ? revoke_list(redis) : rc);
}
