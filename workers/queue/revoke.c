/* Revocations, announced in batches of two script calls each. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "revoke.h"
#include "../../common/queues.h"

#define REVOKE_BATCH  512
#define REVOKE_SHOWN  64                /* of an id that is none */
#define REVOKE_ARGS   6                 /* before the members */

typedef char  revoke_member_t[TRAVEL_REVOCATION_MEMBER_MAX];


/* EVAL of a script of one key, of all members. */
static int
revoke_eval(worker_redis_t *redis, const char *const head[REVOKE_ARGS],
    const revoke_member_t *members, const size_t *lens, size_t n,
    char why[WORKER_WHY_MAX])
{
    int          rc, argc;
    size_t       i, len[REVOKE_BATCH + REVOKE_ARGS];
    redisReply  *reply;
    const char  *argv[REVOKE_BATCH + REVOKE_ARGS];

    for (argc = 0; argc < REVOKE_ARGS; argc++) {
        argv[argc] = head[argc];
        len[argc] = strlen(head[argc]);
    }

    for (i = 0; i < n; i++, argc++) {
        argv[argc] = members[i];
        len[argc] = lens[i];
    }

    reply = worker_redis_argv(redis, argc, argv, len);
    rc = TRAVEL_OK;

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        snprintf(why, WORKER_WHY_MAX, "Redis: %s", reply != NULL
                 ? reply->str : worker_redis_error(redis));
        rc = TRAVEL_ERROR;

    } else if (!worker_redis_kept(redis)) {
        snprintf(why, WORKER_WHY_MAX,
                 "Redis: too few replicas have it; repeat it");
        rc = TRAVEL_ERROR;
    }

    freeReplyObject(reply);

    return rc;
}


static int
revoke_tell(worker_redis_t *redis, const revoke_member_t *members,
    const size_t *lens, size_t n, long long expires, char why[WORKER_WHY_MAX])
{
    int   rc;
    char  until[24], past[24];

    snprintf(until, sizeof(until), "%lld", expires);
    snprintf(past, sizeof(past), "%lld",
             (long long) time(NULL) - TRAVEL_REVOCATION_EXPIRED);

    const char *const note[REVOKE_ARGS] = {
        "EVAL", travel_revoke_note_script, "1", TRAVEL_KEY_REVOKED, until, past
    };
    const char *const tell[REVOKE_ARGS] = {
        "EVAL", travel_revoke_tell_script, "1", TRAVEL_KEY_REVOKE, until,
        TRAVEL_REVOCATION_STREAM_MAX
    };

    rc = revoke_eval(redis, note, members, lens, n, why);

    return rc == TRAVEL_OK ? revoke_eval(redis, tell, members, lens, n, why)
                           : rc;
}


static int
revoke_batch(worker_redis_t *redis, const travel_revocation_t *revocations,
    size_t n, long long expires, char why[WORKER_WHY_MAX])
{
    int               rc;
    size_t            i, lens[REVOKE_BATCH];
    revoke_member_t  *members;

    members = calloc(n, sizeof(revoke_member_t));

    if (members == NULL) {
        snprintf(why, WORKER_WHY_MAX, "out of memory");
        return TRAVEL_ERROR;
    }

    rc = TRAVEL_OK;

    for (i = 0; i < n && rc == TRAVEL_OK; i++) {
        rc = travel_revocation_format(members[i], &lens[i], &revocations[i]);
    }

    if (rc == TRAVEL_OK) {
        rc = revoke_tell(redis, (const revoke_member_t *) members, lens, n,
                         expires, why);

    } else {
        snprintf(why, WORKER_WHY_MAX, "\"%.*s\" can be no id: 1 to %d bytes "
                 "without control characters",
                 (int) (revocations[i - 1].id.len < REVOKE_SHOWN
                        ? revocations[i - 1].id.len : REVOKE_SHOWN),
                 revocations[i - 1].id.data, TRAVEL_REVOCATION_ID_MAX);
    }

    free(members);

    return rc;
}


int
worker_revoke(worker_redis_t *redis, const travel_revocation_t *revocations,
    size_t n, long long expires, char why[WORKER_WHY_MAX])
{
    int     rc;
    size_t  part;

    rc = TRAVEL_OK;

    while (n > 0 && rc == TRAVEL_OK) {
        part = n < REVOKE_BATCH ? n : REVOKE_BATCH;
        rc = revoke_batch(redis, revocations, part, expires, why);
        revocations += part;
        n -= part;
    }

    return rc;
}
