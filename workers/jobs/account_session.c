/*
 * Sessions of accounts: account.login, account.refresh, account.logout,
 * account.logout_all.
 *
 * A session is a family of refresh tokens, each good once (RFC 9700 section
 * 4.14.2).  A second use says that two have the token, and ends the session,
 * whoever came first.  What is ended has its access tokens taken back, too.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "ask.h"
#include "families.h"
#include "../pool/slot.h"
#include "../queue/revoke.h"

#define SESSION_REDIS_S    5
#define SESSION_REVOKE_S   (30 * 24 * 3600LL)   /* as travelctl token revoke */

/* The job's state. */
typedef struct {
    account_pair_t  pair;
    char            user[TRAVEL_UUID_TEXT_LEN + 1];    /* "": nobody */
    char            session[TRAVEL_UUID_TEXT_LEN + 1];
    char            password[ACCOUNT_PASSWORD_MAX];    /* "": stays */
    bool            refused;                           /* the second factor */
} session_t;


static void
session_free(void *state)
{
    explicit_bzero(state, sizeof(session_t));
    free(state);
}


/* --- one begins ---------------------------------------------------------- */

/* The session and its first refresh token.  NULL: over. */
static PGresult *
session_row(worker_tx_t *tx, const account_pair_t *pair, const char *device)
{
    char                      ttl[ACCOUNT_INTERVAL_MAX];
    char                      access[ACCOUNT_INTERVAL_MAX];
    char                      idle[ACCOUNT_INTERVAL_MAX];
    const worker_accounts_t  *accounts;

    accounts = &tx->job->slot->conf->accounts;

    const char *params[] = {
        tx->job->uuid, tx->user, device,
        account_interval(ttl, accounts->refresh_ms), pair->hash, pair->jti,
        account_interval(access, accounts->access_ms),
        account_interval(idle, accounts->idle_ms)
    };

    return worker_tx_exec(tx,
        "SELECT travel.rfc3339(credentials.begin($1::uuid, $2::uuid, $3,"
        "       $4::interval, $5::bytea, $6, $7::interval, $8::interval))", 8,
        params);
}


/* How he was authenticated. */
static int
session_acr(worker_tx_t *tx, const char *acr)
{
    PGresult    *res;
    const char  *params[] = { tx->job->uuid, acr };

    res = worker_tx_exec(tx, "UPDATE credentials.session SET acr = $2"
                             " WHERE id = $1::uuid AND acr <> $2", 2, params);
    PQclear(res);

    return res != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


worker_verdict_e
account_begin(worker_tx_t *tx, const account_pair_t *pair, const char *device,
    const char *acr)
{
    json_t    *answer;
    PGresult  *res;

    res = session_row(tx, pair, device);

    if (res == NULL || session_acr(tx, acr) != TRAVEL_OK
        || worker_tx_event(tx, "user", tx->user, -1, "user.logged_in",
                           json_pack("{s:s, s:s*}", "session", tx->job->uuid,
                                     "device", device)) != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    answer = account_answer(tx, pair, tx->user, tx->job->uuid,
                            PQgetvalue(res, 0, 0));
    PQclear(res);

    if (answer == NULL) {
        return WORKER_RETRY;
    }

    worker_tx_tag(tx, "user:%s", tx->user);
    return worker_tx_commit(tx, answer);
}


/* --- account.login ------------------------------------------------------- */

/* Whose address it is, and by which password; DONE or RETRY. */
static worker_verdict_e
login_look(worker_job_t *job, session_t *s, const char *email)
{
    PGresult    *res;
    const char  *params[] = { email };

    res = worker_query(job,
        "SELECT user_id, password FROM credentials.account"
        " WHERE lower(email) = lower($1) AND password IS NOT NULL", 1, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    if (PQntuples(res) == 1) {
        snprintf(s->user, sizeof(s->user), "%s", PQgetvalue(res, 0, 0));
        snprintf(s->password, sizeof(s->password), "%s",
                 PQgetvalue(res, 0, 1));
    }

    PQclear(res);
    return WORKER_DONE;
}


/* An address without an account costs a transaction, too. */
static worker_verdict_e
login_failed_in(worker_tx_t *tx)
{
    session_t  *s = tx->job->state;

    if (s->user[0] != '\0') {
        tx->user = s->user;

        if (worker_tx_event(tx, "user", s->user, -1, "user.login_failed",
                            json_object()) != TRAVEL_OK)
        {
            return worker_tx_retry(tx, NULL);
        }
    }

    return worker_tx_commit(tx, NULL);
}


static worker_verdict_e
login_failed(worker_job_t *job, const char *why)
{
    worker_verdict_e  verdict;

    verdict = worker_tx_run(job, "failed", login_failed_in);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    return worker_job_fail(job, WORKER_REJECT, "CREDENTIALS_INVALID", "%s",
                           why);
}


/* The password was right: it does not count, and may be hashed anew. */
static int
login_noted(worker_tx_t *tx, const session_t *s)
{
    PGresult    *res;
    const char  *params[] = { s->user, s->password[0] ? s->password : NULL };

    res = worker_tx_exec(tx,
        "WITH a AS (UPDATE credentials.account"
        "              SET password = coalesce($2, password)"
        "            WHERE user_id = $1::uuid RETURNING email)"
        "SELECT credentials.tried(sha256(convert_to(lower(email), 'UTF8')))"
        "  FROM a", 2, params);
    PQclear(res);

    return res != NULL ? TRAVEL_OK : TRAVEL_ERROR;
}


static worker_verdict_e
login_in(worker_tx_t *tx)
{
    session_t   *s = tx->job->state;
    const char  *acr;

    tx->user = s->user;

    switch (account_factor(tx, worker_body_string(tx->job, "code"), &acr)) {

    case TRAVEL_OK:
        break;

    case TRAVEL_UNKNOWN:
        return worker_tx_refuse(tx, "SECOND_FACTOR_REQUIRED",
                                "the account asks for a code, too");

    case TRAVEL_REFUSED:
        s->refused = true;
        return worker_tx_refuse(tx, "CREDENTIALS_INVALID",
                                "the code is not good, or not any more");

    default:
        return worker_tx_retry(tx, NULL);
    }

    return login_noted(tx, s) == TRAVEL_OK
           ? account_begin(tx, &s->pair, worker_body_string(tx->job, "device"),
                           acr)
           : worker_tx_retry(tx, NULL);
}


static worker_verdict_e
login_checked(worker_job_t *job, session_t *s, const char *password)
{
    int                       rc;
    worker_verdict_e          verdict;
    const worker_accounts_t  *accounts;

    accounts = &job->slot->conf->accounts;
    rc = account_password_check(accounts, s->password[0] ? s->password : NULL,
                                password);

    if (rc == TRAVEL_REFUSED) {
        return login_failed(job, "no account has this address and this "
                                 "password");
    }

    if (rc == TRAVEL_OK && account_password_stale(accounts, s->password)) {
        rc = account_password_hash(s->password, accounts, password);
    } else {
        s->password[0] = '\0';
    }

    if (rc != TRAVEL_OK || account_pair(&s->pair) != TRAVEL_OK) {
        return account_no_memory(job);
    }

    verdict = worker_tx_run(job, "login", login_in);

    return verdict == WORKER_REJECT && s->refused
           ? login_failed(job, "the code is not good, or not any more")
           : verdict;
}


static worker_verdict_e
account_login(worker_job_t *job)
{
    session_t         *s;
    const char        *email, *password;
    worker_verdict_e   verdict;

    email = worker_body_string(job, "email");
    password = worker_body_string(job, "password");

    if (email == NULL || password == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "email and password are needed");
    }

    s = worker_job_state(job, sizeof(session_t), session_free);

    if (s == NULL) {
        return WORKER_RETRY;
    }

    verdict = account_ready(job);
    verdict = verdict == WORKER_DONE ? account_try(job, email) : verdict;
    verdict = verdict == WORKER_DONE ? login_look(job, s, email) : verdict;

    return verdict == WORKER_DONE ? login_checked(job, s, password) : verdict;
}


/* --- they end ------------------------------------------------------------ */

long
account_end(worker_tx_t *tx, const char *user, const char *session,
    const char *by)
{
    int          rc;
    long         n;
    PGresult    *res;
    const char  *params[] = { user, session, by };

    res = worker_tx_exec(tx, "SELECT credentials.end($1::uuid, $2::uuid, $3)",
                         3, params);

    if (res == NULL) {
        worker_tx_end(tx);
        return -1;
    }

    n = strtol(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);

    rc = session != NULL
         ? worker_tx_event(tx, "user", user, -1, "user.session_ended",
                           json_pack("{s:s, s:s}", "session", session, "by",
                                     by))
         : worker_tx_event(tx, "user", user, -1, "user.sessions_ended",
                           json_pack("{s:i, s:s}", "count", (int) n, "by",
                                     by));

    if (rc != TRAVEL_OK) {
        worker_tx_end(tx);
        return -1;
    }

    worker_tx_tag(tx, "user:%s", user);
    return n;
}


static int
session_revoke(worker_job_t *job, const travel_revocation_t *list, size_t n,
    long long expires)
{
    int              rc;
    char             why[WORKER_WHY_MAX];
    worker_redis_t  *redis;

    redis = worker_redis_open(job->slot->conf, "account", SESSION_REDIS_S,
                              why);
    rc = redis != NULL ? worker_revoke(redis, list, n, expires, why)
                       : TRAVEL_ERROR;
    worker_redis_close(&redis);

    if (rc != TRAVEL_OK) {
        (void) worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                               "access tokens are not taken back: %s", why);
    }

    return rc;
}


/* What is in the rows; of all sessions' end also what was issued to the user
 * otherwise, until this second. */
static int
session_revoke_rows(worker_job_t *job, const PGresult *res, const char *user)
{
    int                   i, n, rc;
    long long             ends, last;
    travel_revocation_t  *list;
    const char           *issuer;

    n = PQntuples(res);
    list = calloc((size_t) n + 1, sizeof(travel_revocation_t));

    if (list == NULL) {
        return TRAVEL_ERROR;
    }

    last = 0;
    issuer = job->slot->conf->accounts.issuer;

    for (i = 0; i < n; i++) {
        ends = strtoll(PQgetvalue(res, i, 1), NULL, 10);
        last = ends > last ? ends : last;
        list[i] = (travel_revocation_t) {
            .kind = TRAVEL_REVOKE_JTI, .issuer = { issuer, strlen(issuer) },
            .id = { PQgetvalue(res, i, 0), (size_t) PQgetlength(res, i, 0) }
        };
    }

    rc = n > 0 ? session_revoke(job, list, (size_t) n, last) : TRAVEL_OK;

    if (rc == TRAVEL_OK && user != NULL) {
        list[0] = (travel_revocation_t) {
            .kind = TRAVEL_REVOKE_USER, .id = { user, strlen(user) },
            .before = (int64_t) time(NULL)
        };
        rc = session_revoke(job, list, 1,
                            (long long) time(NULL) + SESSION_REVOKE_S);
    }

    free(list);
    return rc;
}


worker_verdict_e
account_take_back(worker_job_t *job, const char *user, const char *session)
{
    int          rc;
    PGresult    *res;
    const char  *params[] = { user, session };

    res = worker_query(job, "SELECT jti, ends FROM credentials.access_left("
                            "$1::uuid, $2::uuid)", 2, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    rc = session_revoke_rows(job, res, session == NULL ? user : NULL);
    PQclear(res);

    return rc == TRAVEL_OK ? WORKER_DONE : WORKER_RETRY;
}


/* --- account.logout, account.logout_all ---------------------------------- */

/* job->key: the session. */
static worker_verdict_e
logout_in(worker_tx_t *tx)
{
    long           n;
    worker_job_t  *job;

    job = tx->job;
    n = account_end(tx, job->sub, job->key, "logout");

    if (n < 0) {
        return WORKER_RETRY;
    }

    if (n == 0) {
        return worker_tx_refuse(tx, "RESOURCE_NOT_FOUND",
                                "there is no such session");
    }

    return worker_tx_commit(tx, json_pack("{s:s, s:s}", "id", job->key,
                                          "status", "ended"));
}


static worker_verdict_e
account_logout(worker_job_t *job)
{
    worker_verdict_e  verdict;

    verdict = account_ready(job);
    verdict = verdict == WORKER_DONE ? worker_tx_run(job, "logout", logout_in)
                                     : verdict;

    return verdict == WORKER_DONE ? account_take_back(job, job->sub, job->key)
                                  : verdict;
}


static worker_verdict_e
logout_all_in(worker_tx_t *tx)
{
    long  n;

    n = account_end(tx, tx->job->sub, NULL, "logout");

    return n < 0 ? WORKER_RETRY
                 : worker_tx_commit(tx, json_pack("{s:s, s:I}", "status",
                                                  "ended", "sessions",
                                                  (json_int_t) n));
}


static worker_verdict_e
account_logout_all(worker_job_t *job)
{
    worker_verdict_e  verdict;

    verdict = account_ready(job);
    verdict = verdict == WORKER_DONE
              ? worker_tx_run(job, "logout", logout_all_in) : verdict;

    return verdict == WORKER_DONE ? account_take_back(job, job->sub, NULL)
                                  : verdict;
}


/* --- account.refresh ----------------------------------------------------- */

static PGresult *
refresh_row(worker_tx_t *tx, const session_t *s)
{
    char                      old[ACCOUNT_HASH_MAX];
    char                      access[ACCOUNT_INTERVAL_MAX];
    char                      idle[ACCOUNT_INTERVAL_MAX];
    const worker_accounts_t  *accounts;

    accounts = &tx->job->slot->conf->accounts;

    const char *params[] = {
        old, s->pair.hash, s->pair.jti,
        account_interval(access, accounts->access_ms),
        account_interval(idle, accounts->idle_ms)
    };

    if (account_hash(old, worker_body_string(tx->job, "refresh_token"))
        != TRAVEL_OK)
    {
        return NULL;
    }

    return worker_tx_exec(tx,
        "SELECT verdict, user_id, session_id, travel.rfc3339(ends)"
        "  FROM credentials.renew($1::bytea, $2::bytea, $3, $4::interval,"
        "                         $5::interval)", 5, params);
}


static worker_verdict_e
refresh_renewed(worker_tx_t *tx, const session_t *s, const char *ends)
{
    json_t  *answer;

    if (worker_tx_event(tx, "user", s->user, -1, "user.session_renewed",
                        json_pack("{s:s}", "session", s->session))
        != TRAVEL_OK)
    {
        return worker_tx_retry(tx, NULL);
    }

    answer = account_answer(tx, &s->pair, s->user, s->session, ends);

    if (answer == NULL) {
        return WORKER_RETRY;
    }

    worker_tx_tag(tx, "user:%s", s->user);
    return worker_tx_commit(tx, answer);
}


/* REJECT with s->user: the token was used a second time. */
static worker_verdict_e
refresh_in(worker_tx_t *tx)
{
    PGresult          *res;
    session_t         *s = tx->job->state;
    const char        *said;
    worker_verdict_e   verdict;

    res = refresh_row(tx, s);

    if (res == NULL) {
        return worker_tx_retry(tx, NULL);
    }

    said = PQgetvalue(res, 0, 0);
    snprintf(s->session, sizeof(s->session), "%s", PQgetvalue(res, 0, 2));

    if (strcmp(said, "renewed") == 0) {
        snprintf(s->user, sizeof(s->user), "%s", PQgetvalue(res, 0, 1));
        tx->user = s->user;
        verdict = refresh_renewed(tx, s, PQgetvalue(res, 0, 3));

    } else {
        if (strcmp(said, "reused") == 0) {
            snprintf(s->user, sizeof(s->user), "%s", PQgetvalue(res, 0, 1));
        }

        verdict = worker_tx_refuse(tx, "SESSION_INVALID",
                                   "the refresh token is not good, or not any "
                                   "more (%s)", said);
    }

    PQclear(res);
    return verdict;
}


static worker_verdict_e
refresh_reused_in(worker_tx_t *tx)
{
    session_t  *s = tx->job->state;

    tx->user = s->user;

    return account_end(tx, s->user, s->session, "reuse") < 0
           ? WORKER_RETRY : worker_tx_commit(tx, NULL);
}


static worker_verdict_e
refresh_reused(worker_job_t *job, const session_t *s)
{
    worker_verdict_e  verdict;

    verdict = worker_tx_run(job, "reused", refresh_reused_in);
    verdict = verdict == WORKER_DONE
              ? account_take_back(job, s->user, s->session) : verdict;

    return verdict != WORKER_DONE ? verdict
           : worker_job_fail(job, WORKER_REJECT, "SESSION_INVALID",
                             "the refresh token was used before: its session "
                             "is ended");
}


static worker_verdict_e
account_refresh(worker_job_t *job)
{
    session_t         *s;
    worker_verdict_e   verdict;

    if (worker_body_string(job, "refresh_token") == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "refresh_token is needed");
    }

    s = worker_job_state(job, sizeof(session_t), session_free);

    if (s == NULL || account_pair(&s->pair) != TRAVEL_OK) {
        return WORKER_RETRY;
    }

    verdict = account_ready(job);
    verdict = verdict == WORKER_DONE ? worker_tx_run(job, "refresh", refresh_in)
                                     : verdict;

    return verdict == WORKER_REJECT && s->user[0] != '\0'
           ? refresh_reused(job, s) : verdict;
}


const worker_job_type_t  worker_jobs_session[] = {
    { "account.login", "account", TRAVEL_PRIORITY_HIGH, account_login,
      NULL, WORKER_RETRY_DEFAULTS, true },
    { "account.refresh", "account", TRAVEL_PRIORITY_HIGH, account_refresh,
      NULL, WORKER_RETRY_DEFAULTS, true },
    { "account.logout", "account", TRAVEL_PRIORITY_HIGH, account_logout,
      NULL, WORKER_RETRY_DEFAULTS, false },
    { "account.logout_all", "account", TRAVEL_PRIORITY_HIGH,
      account_logout_all, NULL, WORKER_RETRY_DEFAULTS, false },
    { .type = NULL }
};
