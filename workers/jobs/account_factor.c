/*
 * A second factor for accounts: account.enrol_totp, account.confirm_totp,
 * account.remove_totp, and what login asks of it.
 *
 * A secret is made here, shown once, and good from the first code on that it
 * has made.  The database has it sealed to the workers' own key, so it needs
 * the key under which it was sealed (sealed_key of workers.conf) as long as it
 * is there.  Recovery codes have 80 random bits, and are kept as hashes.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "ask.h"
#include "families.h"
#include "partner.h"
#include "../pool/slot.h"
#include "../../common/seal.h"
#include "../../common/totp.h"

#define FACTOR_CODES        10
#define FACTOR_CODE_BYTES   10          /* of a recovery code: 16 letters */
#define FACTOR_CODE_MAX     64          /* as said */
#define FACTOR_SEALED_MAX   (TRAVEL_SEALED_LEN(TRAVEL_TOTP_SECRET) + 1)
#define FACTOR_BASE32_MAX   (TRAVEL_BASE32_LEN(TRAVEL_TOTP_SECRET) + 1)
#define FACTOR_WHO          "totp "

typedef struct {
    char     email[256];
    uint8_t  secret[TRAVEL_TOTP_SECRET];
    char     sealed[FACTOR_SEALED_MAX];
} factor_t;


static void
factor_free(void *state)
{
    explicit_bzero(state, sizeof(factor_t));
    free(state);
}


static travel_str_t
factor_str(const char *text)
{
    return (travel_str_t) { text, strlen(text) };
}


static travel_seal_place_t
factor_place(const char *user)
{
    return (travel_seal_place_t) { TRAVEL_STR("account.enrol_totp"),
                                   factor_str(user), TRAVEL_STR("secret") };
}


/* --- a code is said ------------------------------------------------------- */

/* A row's one value; 0: it is null or false, -1: the transaction is over. */
static long
factor_value(worker_tx_t *tx, const char *sql, int n,
    const char *const *params)
{
    long         value;
    PGresult    *res;
    const char  *text;

    res = worker_tx_exec(tx, sql, n, params);

    if (res == NULL) {
        return -1;
    }

    text = PQgetvalue(res, 0, 0);
    value = *text == 't' ? 1 : strtol(text, NULL, 10);
    PQclear(res);

    return value;
}


/* As account_factor. */
static int
factor_recovery(worker_tx_t *tx, const char *code)
{
    long         left;
    char         plain[FACTOR_CODE_MAX + 1], hash[ACCOUNT_HASH_MAX];
    const char  *params[] = { tx->user, hash };

    if (strlen(code) > FACTOR_CODE_MAX
        || travel_recovery_plain(plain, factor_str(code)) != TRAVEL_OK
        || account_hash(hash, plain) != TRAVEL_OK)
    {
        return TRAVEL_REFUSED;
    }

    /* one more than are left, so that the last one is told from none */
    left = factor_value(tx, "SELECT coalesce(credentials.use_recovery("
                            "$1::uuid, $2::bytea) + 1, 0)", 2, params);

    if (left <= 0) {
        return left == 0 ? TRAVEL_REFUSED : TRAVEL_ERROR;
    }

    return worker_tx_event(tx, "user", tx->user, -1, "user.recovery_used",
                           json_pack("{s:I}", "left",
                                     (json_int_t) left - 1));
}


/* Is it a code of this secret, of a step that was not used?  As
 * account_factor; TRAVEL_INVALID: it is no such code. */
static int
factor_totp(worker_tx_t *tx, const char *sealed, const char *code)
{
    int                         rc;
    char                        text[FACTOR_SEALED_MAX], step[24];
    long                        used;
    size_t                      len;
    uint64_t                    n;
    const char                 *params[] = { tx->user, step };
    travel_seal_place_t         place;
    const travel_seal_keys_t   *keys;

    keys = tx->job->slot->conf->sealed_keys;
    place = factor_place(tx->user);

    if (keys == NULL || strlen(sealed) >= sizeof(text)
        || travel_unseal(text, &len, keys, &place, factor_str(sealed))
           != TRAVEL_OK)
    {
        worker_tx_end(tx);
        (void) worker_job_fail(tx->job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                               "no key here opens the second factor: see "
                               "sealed_key");
        return TRAVEL_ERROR;
    }

    rc = travel_totp_step(&n, (travel_str_t) { text, len }, factor_str(code),
                          (int64_t) time(NULL));
    explicit_bzero(text, sizeof(text));

    if (rc != TRAVEL_OK) {
        return rc;
    }

    snprintf(step, sizeof(step), "%llu", (unsigned long long) n);
    used = factor_value(tx, "SELECT credentials.use_step($1::uuid,"
                            " $2::bigint)", 2, params);

    return used < 0 ? TRAVEL_ERROR : used == 0 ? TRAVEL_REFUSED : TRAVEL_OK;
}


int
account_factor(worker_tx_t *tx, const char *code, const char **ret_acr)
{
    int          rc;
    PGresult    *res;
    const char  *params[] = { tx->user };

    res = worker_tx_exec(tx,
        "SELECT secret FROM credentials.factor"
        " WHERE user_id = $1::uuid AND confirmed_at IS NOT NULL"
        "   FOR UPDATE", 1, params);

    if (res == NULL) {
        return TRAVEL_ERROR;
    }

    if (PQntuples(res) == 0) {
        *ret_acr = "aal1";
        rc = TRAVEL_OK;

    } else if (code == NULL) {
        rc = TRAVEL_UNKNOWN;

    } else {
        *ret_acr = "aal2";
        rc = factor_totp(tx, PQgetvalue(res, 0, 0), code);
        rc = rc == TRAVEL_INVALID ? factor_recovery(tx, code) : rc;
    }

    PQclear(res);
    return rc;
}


/* --- whose it is ---------------------------------------------------------- */

/* The caller says his password once more.  DONE, REJECT or RETRY. */
static worker_verdict_e
factor_password(worker_job_t *job, factor_t *f)
{
    int                rc;
    PGresult          *res;
    const char        *params[] = { job->sub }, *password;
    worker_verdict_e   verdict;

    password = worker_body_string(job, "password");
    res = worker_query(job, "SELECT email, password FROM credentials.account"
                            " WHERE user_id = $1::uuid"
                            "   AND password IS NOT NULL", 1, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    if (PQntuples(res) == 0 || password == NULL) {
        PQclear(res);
        return worker_job_fail(job, WORKER_REJECT, "RESOURCE_NOT_FOUND",
                               "the caller has no account here");
    }

    snprintf(f->email, sizeof(f->email), "%s", PQgetvalue(res, 0, 0));
    verdict = account_try(job, f->email);
    rc = verdict == WORKER_DONE
         ? account_password_check(&job->slot->conf->accounts,
                                  PQgetvalue(res, 0, 1), password)
         : TRAVEL_OK;
    PQclear(res);

    return verdict != WORKER_DONE || rc == TRAVEL_OK ? verdict
           : rc == TRAVEL_REFUSED
           ? worker_job_fail(job, WORKER_REJECT, "CREDENTIALS_INVALID",
                             "this is not the caller's password")
           : account_no_memory(job);
}


/* The job's new state, of a caller who has said his password.  Likewise. */
static worker_verdict_e
factor_begin(worker_job_t *job)
{
    factor_t          *f;
    worker_verdict_e   verdict;

    f = worker_job_state(job, sizeof(factor_t), factor_free);

    if (f == NULL) {
        return WORKER_RETRY;
    }

    verdict = account_ready(job);

    return verdict == WORKER_DONE ? factor_password(job, f) : verdict;
}


/* What was tried for this was right. */
static int
factor_tried(worker_tx_t *tx, const char *who)
{
    const char  *params[] = { who };

    return factor_value(tx, "SELECT credentials.tried(sha256(convert_to("
                            "lower($1), 'UTF8')))", 1, params) < 0
           ? TRAVEL_ERROR : TRAVEL_OK;
}


/* --- account.enrol_totp --------------------------------------------------- */

static json_t *
enrol_answer(const factor_t *f)
{
    char  secret[FACTOR_BASE32_MAX], label[3 * sizeof(f->email)];
    char  uri[sizeof(label) + FACTOR_BASE32_MAX + 64];

    secret[travel_base32_encode(secret, f->secret, sizeof(f->secret))] = '\0';

    if (!worker_path_segment(label, sizeof(label), f->email)) {
        snprintf(label, sizeof(label), "account");
    }

    snprintf(uri, sizeof(uri), "otpauth://totp/Travel:%s?secret=%s"
             "&issuer=Travel", label, secret);

    return json_pack("{s:s, s:s}", "secret", secret, "otpauth_uri", uri);
}


static worker_verdict_e
enrol_in(worker_tx_t *tx)
{
    long         enrolled;
    factor_t    *f = tx->job->state;
    const char  *params[] = { tx->job->sub, f->sealed };

    enrolled = factor_value(tx, "SELECT credentials.enrol($1::uuid, $2)", 2,
                            params);

    if (enrolled == 0) {
        return worker_tx_refuse(tx, "CONFLICT", "there is a second factor: "
                                "remove it first");
    }

    return enrolled < 0 || factor_tried(tx, f->email) != TRAVEL_OK
           || worker_tx_event(tx, "user", tx->job->sub, -1,
                              "user.factor_enrolled", json_object())
              != TRAVEL_OK
           ? worker_tx_retry(tx, NULL)
           : worker_tx_commit(tx, enrol_answer(f));
}


static worker_verdict_e
account_enrol(worker_job_t *job)
{
    factor_t            *f;
    worker_verdict_e     verdict;
    travel_seal_place_t  place;

    verdict = factor_begin(job);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    f = job->state;
    place = factor_place(job->sub);

    if (job->slot->conf->sealed_keys == NULL
        || travel_random(f->secret, sizeof(f->secret)) != TRAVEL_OK
        || travel_seal(f->sealed,
                       travel_seal_newest(job->slot->conf->sealed_keys),
                       &place, (travel_str_t) { (const char *) f->secret,
                                                sizeof(f->secret) })
           != TRAVEL_OK)
    {
        return worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                               "the secret cannot be sealed");
    }

    return worker_tx_run(job, "enrol", enrol_in);
}


/* --- account.confirm_totp ------------------------------------------------- */

/* "ABCD-EFGH-..." and its hash; the text without dashes is what is hashed. */
static json_t *
confirm_code(char hash[ACCOUNT_HASH_MAX])
{
    char     plain[TRAVEL_BASE32_LEN(FACTOR_CODE_BYTES) + 1];
    char     text[sizeof(plain) + 4];
    uint8_t  rnd[FACTOR_CODE_BYTES];

    if (travel_random(rnd, sizeof(rnd)) != TRAVEL_OK) {
        return NULL;
    }

    plain[travel_base32_encode(plain, rnd, sizeof(rnd))] = '\0';
    snprintf(text, sizeof(text), "%.4s-%.4s-%.4s-%.4s", plain, plain + 4,
             plain + 8, plain + 12);

    return account_hash(hash, plain) == TRAVEL_OK ? json_string(text) : NULL;
}


/* NULL: the transaction is over. */
static json_t *
confirm_codes(worker_tx_t *tx)
{
    int          i;
    char         hash[ACCOUNT_HASH_MAX];
    json_t      *codes, *code;
    const char  *params[] = { tx->user, hash };

    codes = json_array();

    for (i = 0; i < FACTOR_CODES; i++) {
        code = confirm_code(hash);

        if (code == NULL
            || json_array_append_new(codes, code) != 0
            || factor_value(tx, "INSERT INTO credentials.recovery (user_id,"
                                " hash) VALUES ($1::uuid, $2::bytea)"
                                " RETURNING 1", 2, params) < 0)
        {
            json_decref(codes);
            worker_tx_end(tx);
            return NULL;
        }
    }

    return codes;
}


static worker_verdict_e
confirm_good(worker_tx_t *tx, const char *who)
{
    json_t  *codes;

    if (factor_tried(tx, who) != TRAVEL_OK
        || worker_tx_event(tx, "user", tx->user, -1, "user.factor_confirmed",
                           json_object()) != TRAVEL_OK)
    {
        return worker_tx_retry(tx, NULL);
    }

    codes = confirm_codes(tx);

    return codes == NULL ? WORKER_RETRY
           : worker_tx_commit(tx, json_pack("{s:s, s:o}", "status", "confirmed",
                                            "recovery_codes", codes));
}


static worker_verdict_e
confirm_in(worker_tx_t *tx)
{
    int          rc;
    char         who[sizeof(FACTOR_WHO) + TRAVEL_UUID_TEXT_LEN];
    PGresult    *res;
    const char  *params[] = { tx->job->sub };

    tx->user = tx->job->sub;
    snprintf(who, sizeof(who), FACTOR_WHO "%s", tx->user);
    res = worker_tx_exec(tx, "SELECT secret FROM credentials.factor"
                             " WHERE user_id = $1::uuid"
                             "   AND confirmed_at IS NULL FOR UPDATE", 1,
                         params);

    if (res == NULL) {
        return worker_tx_retry(tx, NULL);
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return worker_tx_refuse(tx, "RESOURCE_NOT_FOUND",
                                "there is no secret to confirm");
    }

    rc = factor_totp(tx, PQgetvalue(res, 0, 0),
                     worker_body_string(tx->job, "code"));
    PQclear(res);

    return rc == TRAVEL_ERROR ? worker_tx_retry(tx, NULL)
           : rc == TRAVEL_OK ? confirm_good(tx, who)
           : worker_tx_refuse(tx, "CREDENTIALS_INVALID",
                              "the code is not good, or not any more");
}


static worker_verdict_e
account_confirm(worker_job_t *job)
{
    char              who[sizeof(FACTOR_WHO) + TRAVEL_UUID_TEXT_LEN];
    worker_verdict_e  verdict;

    if (worker_body_string(job, "code") == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "code is needed");
    }

    snprintf(who, sizeof(who), FACTOR_WHO "%s", job->sub);
    verdict = account_ready(job);
    verdict = verdict == WORKER_DONE ? account_try(job, who) : verdict;

    return verdict == WORKER_DONE ? worker_tx_run(job, "confirm", confirm_in)
                                  : verdict;
}


/* --- account.remove_totp -------------------------------------------------- */

/* One that was never confirmed goes by the password alone. */
static worker_verdict_e
remove_in(worker_tx_t *tx)
{
    int          rc;
    long         gone;
    factor_t    *f = tx->job->state;
    const char  *acr, *params[] = { tx->job->sub };

    tx->user = tx->job->sub;
    rc = account_factor(tx, worker_body_string(tx->job, "code"), &acr);

    if (rc == TRAVEL_ERROR) {
        return worker_tx_retry(tx, NULL);
    }

    if (rc != TRAVEL_OK) {
        return worker_tx_refuse(tx, "CREDENTIALS_INVALID",
                                "the code is not good, or not any more");
    }

    gone = factor_value(tx, "WITH gone AS (DELETE FROM credentials.factor"
                            " WHERE user_id = $1::uuid RETURNING 1)"
                            "SELECT count(*) FROM gone", 1, params);

    if (gone == 0) {
        return worker_tx_refuse(tx, "RESOURCE_NOT_FOUND",
                                "there is no second factor");
    }

    return gone < 0 || factor_tried(tx, f->email) != TRAVEL_OK
           || worker_tx_event(tx, "user", tx->user, -1, "user.factor_removed",
                              json_object()) != TRAVEL_OK
           ? worker_tx_retry(tx, NULL)
           : worker_tx_commit(tx, json_pack("{s:s}", "status", "removed"));
}


static worker_verdict_e
account_remove(worker_job_t *job)
{
    worker_verdict_e  verdict;

    verdict = factor_begin(job);

    return verdict == WORKER_DONE ? worker_tx_run(job, "remove", remove_in)
                                  : verdict;
}


const worker_job_type_t  worker_jobs_factor[] = {
    { "account.enrol_totp", "account", TRAVEL_PRIORITY_HIGH, account_enrol,
      NULL, WORKER_RETRY_DEFAULTS, true },
    { "account.confirm_totp", "account", TRAVEL_PRIORITY_HIGH,
      account_confirm, NULL, WORKER_RETRY_DEFAULTS, true },
    { "account.remove_totp", "account", TRAVEL_PRIORITY_HIGH, account_remove,
      NULL, WORKER_RETRY_DEFAULTS, true },
    { .type = NULL }
};
