/*
 * Accounts: account.register, account.verify, account.request_reset,
 * account.reset, and account.mail, which carries what the first three need.
 *
 * Nobody learns from an answer, or from how long it takes, whether an address
 * has an account: who registers or forgets is told to look into his mails, and
 * the mail says what there is.  What a mail carries follows from its ticket's
 * id (account_ticket), so it is in no queue; the database has its hash.
 *
 * A registration's password rests with its ticket.  Who opens the mail says it
 * once more: so nobody who registers another's address has his password there
 * when that one follows the mail.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "ask.h"
#include "families.h"
#include "notice.h"
#include "../pool/slot.h"

#define ACCOUNT_TELL_MS  (60 * 60 * 1000)  /* "you have an account": once in */

/* The job's state. */
typedef struct {
    account_pair_t  pair;
    char            user[TRAVEL_UUID_TEXT_LEN + 1];
    char            password[ACCOUNT_PASSWORD_MAX];    /* its hash */
    char            ticket[ACCOUNT_HASH_MAX];
} account_t;


static void
account_free(void *state)
{
    explicit_bzero(state, sizeof(account_t));
    free(state);
}


worker_verdict_e
account_ready(worker_job_t *job)
{
    return job->slot->conf->accounts.pem != NULL ? WORKER_DONE
           : worker_job_fail(job, WORKER_REJECT, "NOT_IMPLEMENTED",
                             "there are no accounts here: users come from "
                             "other issuers");
}


worker_verdict_e
account_no_memory(worker_job_t *job)
{
    return worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                           "no memory for a password");
}


worker_verdict_e
account_try(worker_job_t *job, const char *who)
{
    long         wait;
    PGresult    *res;
    const char  *params[] = { who };

    res = worker_query(job, "SELECT credentials.try("
                            "sha256(convert_to(lower($1), 'UTF8')))", 1,
                       params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    wait = strtol(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);

    return wait == 0 ? WORKER_DONE
           : worker_job_fail(job, WORKER_REJECT, "LOGIN_THROTTLED",
                             "too many in a row: try again in %ld s", wait);
}


/* --- tickets ------------------------------------------------------------- */

/* A ticket with the job's id and the event that says so; false: over.  One of
 * the kind that was sent just now is enough. */
static bool
ticket_issue(worker_tx_t *tx, const char *purpose, const char *password,
    long ttl_ms, const char *event)
{
    bool          issued;
    char          secret[ACCOUNT_SECRET_MAX], hash[ACCOUNT_HASH_MAX];
    char          ttl[ACCOUNT_INTERVAL_MAX];
    PGresult     *res;
    const char   *params[] = { tx->job->uuid, hash, tx->user, purpose,
                               password, account_interval(ttl, ttl_ms) };

    if (account_ticket(secret, &tx->job->slot->conf->accounts, tx->job->uuid)
        != TRAVEL_OK || account_hash(hash, secret) != TRAVEL_OK)
    {
        return false;
    }

    res = worker_tx_exec(tx, "SELECT credentials.issue($1::uuid, $2::bytea,"
                             " $3::uuid, $4, $5, $6::interval)", 6, params);
    issued = res != NULL && *PQgetvalue(res, 0, 0) == 't';
    PQclear(res);

    return res != NULL
           && (!issued
               || (worker_tx_event(tx, "user", tx->user, -1, event,
                                   json_object()) == TRAVEL_OK
                   && worker_tx_job(tx, "account.mail", tx->user,
                                    json_pack("{s:s}", "ticket",
                                              tx->job->uuid)) == TRAVEL_OK));
}


/* Who asks has a mail's token, and says a password: its hash is in *ret_a, the
 * job's new state.  DONE, REJECT or RETRY. */
static worker_verdict_e
ticket_of(worker_job_t *job, account_t **ret_a)
{
    account_t         *a;
    const char        *token;
    worker_verdict_e   verdict;

    if (worker_body_string(job, "password") == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "token and password are needed");
    }

    a = worker_job_state(job, sizeof(account_t), account_free);

    if (a == NULL) {
        return WORKER_RETRY;
    }

    verdict = account_ready(job);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    *ret_a = a;
    token = worker_body_string(job, "token");

    return token != NULL && account_hash(a->ticket, token) == TRAVEL_OK
           ? WORKER_DONE
           : worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                             "token is what the mail carries");
}


static worker_verdict_e
ticket_refuse(worker_job_t *job)
{
    return worker_job_fail(job, WORKER_REJECT, "LINK_INVALID",
                           "the token is not good, or not any more");
}


static worker_verdict_e
ticket_refuse_in(worker_tx_t *tx)
{
    worker_tx_end(tx);
    return ticket_refuse(tx->job);
}


/* The ticket is used up, by whom it belongs to: tx->user.  DONE; REJECT, RETRY:
 * the transaction is over. */
static worker_verdict_e
ticket_redeem(worker_tx_t *tx, account_t *a, const char *purpose)
{
    PGresult    *res;
    const char  *params[] = { a->ticket, purpose };

    res = worker_tx_exec(tx, "SELECT credentials.redeem($1::bytea, $2)", 2,
                         params);

    if (res == NULL) {
        return worker_tx_retry(tx, NULL);
    }

    if (PQgetisnull(res, 0, 0)) {
        PQclear(res);
        return ticket_refuse_in(tx);
    }

    snprintf(a->user, sizeof(a->user), "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
    tx->user = a->user;
    return WORKER_DONE;
}


/* Of a good ticket the password that was registered with, if any; DONE, REJECT
 * or RETRY. */
static worker_verdict_e
ticket_look(worker_job_t *job, account_t *a, const char *purpose)
{
    bool         good;
    PGresult    *res;
    const char  *params[] = { a->ticket, purpose };

    res = worker_query(job,
        "SELECT password FROM credentials.ticket"
        " WHERE hash = $1::bytea AND purpose = $2 AND used_at IS NULL"
        "   AND expires_at > now()", 2, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    good = PQntuples(res) == 1;
    snprintf(a->password, sizeof(a->password), "%s",
             good ? PQgetvalue(res, 0, 0) : "");
    PQclear(res);

    return good ? WORKER_DONE : ticket_refuse(job);
}


/* --- account.register ---------------------------------------------------- */

/* Who has an account is told so by mail. */
static int
register_known(worker_tx_t *tx, const char *email)
{
    return worker_tx_job_unique(tx, "notification.email", tx->user,
                                json_pack("{s:s, s:s, s:{s:s}}",
                                          "template", "account_known",
                                          "to", email, "data", "link",
                                          tx->job->slot->conf->accounts.link),
                                tx->user, ACCOUNT_TELL_MS);
}


/* 'res': as credentials.register answers. */
static worker_verdict_e
register_told(worker_tx_t *tx, account_t *a, const PGresult *res)
{
    bool  made, verified, good;

    snprintf(a->user, sizeof(a->user), "%s", PQgetvalue(res, 0, 0));
    tx->user = a->user;
    made = *PQgetvalue(res, 0, 1) == 't';
    verified = *PQgetvalue(res, 0, 2) == 't';

    good = !made
           || worker_tx_event(tx, "user", a->user, -1, "user.created",
                              json_pack("{s:s, s:s*}", "email",
                                        worker_body_string(tx->job, "email"),
                                        "name",
                                        worker_body_string(tx->job, "name")))
              == TRAVEL_OK;

    if (good && verified) {
        good = register_known(tx, PQgetvalue(res, 0, 3)) == TRAVEL_OK;

    } else if (good) {
        good = ticket_issue(tx, "verify", a->password,
                            tx->job->slot->conf->accounts.verify_ms,
                            "user.verification_requested");
    }

    return good ? worker_tx_commit(tx, NULL) : worker_tx_retry(tx, NULL);
}


static worker_verdict_e
register_in(worker_tx_t *tx)
{
    PGresult          *res;
    const char        *params[] = { tx->job->uuid,
                                    worker_body_string(tx->job, "email"),
                                    worker_body_string(tx->job, "name") };
    worker_verdict_e   verdict;

    res = worker_tx_exec(tx, "SELECT user_id, made, verified, known"
                             "  FROM credentials.register($1::uuid, $2, $3)",
                         3, params);

    if (res == NULL) {
        return worker_tx_retry(tx, NULL);
    }

    verdict = register_told(tx, tx->job->state, res);
    PQclear(res);
    return verdict;
}


/* Hashed before it is known whether anybody needs it. */
static worker_verdict_e
account_register(worker_job_t *job)
{
    account_t         *a;
    const char        *password;
    worker_verdict_e   verdict;

    password = worker_body_string(job, "password");

    if (worker_body_string(job, "email") == NULL || password == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "email and password are needed");
    }

    a = worker_job_state(job, sizeof(account_t), account_free);

    if (a == NULL) {
        return WORKER_RETRY;
    }

    verdict = account_ready(job);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    if (account_password_hash(a->password, &job->slot->conf->accounts,
                              password) != TRAVEL_OK)
    {
        return account_no_memory(job);
    }

    return worker_tx_run(job, "register", register_in);
}


/* --- account.verify ------------------------------------------------------ */

/* The address is verified, unless it was.  As ticket_redeem. */
static worker_verdict_e
verify_account(worker_tx_t *tx, const account_t *a)
{
    PGresult    *res;
    const char  *params[] = { tx->user, a->password };

    res = worker_tx_exec(tx,
        "SELECT credentials.verify($1::uuid, $2), email"
        "  FROM credentials.account WHERE user_id = $1::uuid", 2, params);

    if (res == NULL) {
        return worker_tx_retry(tx, NULL);
    }

    if (*PQgetvalue(res, 0, 0) != 't') {
        PQclear(res);
        return ticket_refuse_in(tx);
    }

    if (worker_tx_event(tx, "user", tx->user, -1, "user.verified",
                        json_pack("{s:s}", "email", PQgetvalue(res, 0, 1)))
        != TRAVEL_OK)
    {
        return worker_tx_retry(tx, res);
    }

    PQclear(res);
    return WORKER_DONE;
}


static worker_verdict_e
verify_in(worker_tx_t *tx)
{
    account_t         *a = tx->job->state;
    worker_verdict_e   verdict;

    verdict = ticket_redeem(tx, a, "verify");
    verdict = verdict == WORKER_DONE ? verify_account(tx, a) : verdict;

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    return account_begin(tx, &a->pair, worker_body_string(tx->job, "device"),
                         "aal1");
}


/* The password must be that of the registration whose mail this is. */
static worker_verdict_e
account_verify(worker_job_t *job)
{
    int                rc;
    account_t         *a;
    const char        *password;
    worker_verdict_e   verdict;

    a = NULL;
    password = worker_body_string(job, "password");
    verdict = ticket_of(job, &a);
    verdict = verdict == WORKER_DONE ? account_try(job, a->ticket) : verdict;
    verdict = verdict == WORKER_DONE ? ticket_look(job, a, "verify") : verdict;

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    rc = account_password_check(&job->slot->conf->accounts, a->password,
                                password);

    if (rc == TRAVEL_REFUSED) {
        return worker_job_fail(job, WORKER_REJECT, "CREDENTIALS_INVALID",
                               "this is not the password that was registered "
                               "with");
    }

    if (rc != TRAVEL_OK || account_pair(&a->pair) != TRAVEL_OK) {
        return account_no_memory(job);
    }

    return worker_tx_run(job, "verify", verify_in);
}


/* --- account.request_reset ----------------------------------------------- */

/* An address without an account costs a transaction, too. */
static worker_verdict_e
request_reset_in(worker_tx_t *tx)
{
    PGresult    *res;
    account_t   *a = tx->job->state;
    const char  *params[] = { worker_body_string(tx->job, "email") };

    res = worker_tx_exec(tx, "SELECT user_id FROM credentials.account"
                             " WHERE lower(email) = lower($1)", 1, params);

    if (res == NULL) {
        return worker_tx_retry(tx, NULL);
    }

    if (PQntuples(res) == 1) {
        snprintf(a->user, sizeof(a->user), "%s", PQgetvalue(res, 0, 0));
        tx->user = a->user;
    }

    PQclear(res);

    if (tx->user != NULL
        && !ticket_issue(tx, "reset", NULL,
                         tx->job->slot->conf->accounts.reset_ms,
                         "user.reset_requested"))
    {
        return worker_tx_retry(tx, NULL);
    }

    return worker_tx_commit(tx, NULL);
}


static worker_verdict_e
account_request_reset(worker_job_t *job)
{
    worker_verdict_e  verdict;

    if (worker_body_string(job, "email") == NULL) {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "email is needed");
    }

    if (worker_job_state(job, sizeof(account_t), account_free) == NULL) {
        return WORKER_RETRY;
    }

    verdict = account_ready(job);

    return verdict == WORKER_DONE
           ? worker_tx_run(job, "request", request_reset_in) : verdict;
}


/* --- account.reset ------------------------------------------------------- */

/* The password is another, and the address verified by that; whom it belongs to
 * is told.  False: over. */
static bool
reset_account(worker_tx_t *tx, const account_t *a)
{
    bool         good, first;
    PGresult    *res;
    const char  *params[] = { tx->user, a->password };

    res = worker_tx_exec(tx,
        "SELECT credentials.change($1::uuid, $2), email"
        "  FROM credentials.account WHERE user_id = $1::uuid", 2, params);

    if (res == NULL) {
        return false;
    }

    first = *PQgetvalue(res, 0, 0) == 't';
    good = (!first
            || worker_tx_event(tx, "user", tx->user, -1, "user.verified",
                               json_pack("{s:s}", "email",
                                         PQgetvalue(res, 0, 1))) == TRAVEL_OK)
           && worker_tx_event(tx, "user", tx->user, -1,
                              "user.password_changed", json_object())
              == TRAVEL_OK
           && worker_tx_job(tx, "notification.email", tx->user,
                            json_pack("{s:s, s:s, s:{s:s}}", "template",
                                      "account_changed", "to",
                                      PQgetvalue(res, 0, 1), "data", "link",
                                      tx->job->slot->conf->accounts.link))
              == TRAVEL_OK;
    PQclear(res);

    return good;
}


static worker_verdict_e
reset_in(worker_tx_t *tx)
{
    long               n;
    account_t         *a = tx->job->state;
    worker_verdict_e   verdict;

    verdict = ticket_redeem(tx, a, "reset");

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    n = reset_account(tx, a) ? account_end(tx, tx->user, NULL, "reset") : -1;

    return n < 0 ? worker_tx_retry(tx, NULL)
           : worker_tx_commit(tx, json_pack("{s:s, s:s, s:I}", "status",
                                            "changed", "user", tx->user,
                                            "sessions_ended",
                                            (json_int_t) n));
}


static worker_verdict_e
account_reset(worker_job_t *job)
{
    account_t         *a;
    const char        *password;
    worker_verdict_e   verdict;

    a = NULL;
    password = worker_body_string(job, "password");
    verdict = ticket_of(job, &a);
    verdict = verdict == WORKER_DONE ? ticket_look(job, a, "reset") : verdict;

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    if (account_password_hash(a->password, &job->slot->conf->accounts,
                              password) != TRAVEL_OK)
    {
        return account_no_memory(job);
    }

    verdict = worker_tx_run(job, "reset", reset_in);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    return account_take_back(job, json_string_value(json_object_get(job->result,
                                                                    "user")),
                             NULL);
}


/* --- account.mail -------------------------------------------------------- */

/* What its template is given; NULL: the ticket is used up or its time is over.
 * Borrowed from 'res': the address. */
static json_t *
mail_data(const worker_job_t *job, const PGresult *res)
{
    char                      token[ACCOUNT_SECRET_MAX];
    json_t                   *data;
    const char               *ticket;
    const worker_accounts_t  *accounts;

    accounts = &job->slot->conf->accounts;
    ticket = worker_body_string(job, "ticket");

    if (PQntuples(res) == 0
        || account_ticket(token, accounts, ticket) != TRAVEL_OK)
    {
        return NULL;
    }

    data = json_pack("{s:s, s:s, s:s}", "token", token, "link",
                     accounts->link, "until", PQgetvalue(res, 0, 2));
    explicit_bzero(token, sizeof(token));

    return data;
}


static worker_verdict_e
account_mail(worker_job_t *job)
{
    json_t            *data;
    PGresult          *res;
    const char        *params[] = { worker_body_string(job, "ticket") };
    worker_verdict_e   verdict;

    verdict = account_ready(job);

    if (verdict != WORKER_DONE) {
        return verdict;
    }

    res = worker_query(job,
        "SELECT a.email, t.purpose,"
        "       to_char(t.expires_at, 'YYYY-MM-DD HH24:MI') || ' UTC'"
        "  FROM credentials.ticket AS t"
        "  JOIN credentials.account AS a USING (user_id)"
        " WHERE t.id = $1::uuid AND t.used_at IS NULL"
        "   AND t.expires_at > now()", 1, params);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    data = mail_data(job, res);

    if (data == NULL) {
        PQclear(res);
        json_decref(job->result);
        job->result = json_pack("{s:s}", "skipped",
                                "the ticket is not good any more");
        return WORKER_DONE;
    }

    json_object_set_new(job->body, "template",
                        json_string(strcmp(PQgetvalue(res, 0, 1), "verify")
                                    == 0 ? "account_verify"
                                         : "account_reset"));
    json_object_set_new(job->body, "to", json_string(PQgetvalue(res, 0, 0)));
    json_object_set_new(job->body, "data", data);
    PQclear(res);

    return worker_notification_email(job);
}


const worker_job_type_t  worker_jobs_account[] = {
    { "account.register", "account", TRAVEL_PRIORITY_NORMAL, account_register,
      NULL, WORKER_RETRY_DEFAULTS, true },
    { "account.verify", "account", TRAVEL_PRIORITY_HIGH, account_verify,
      NULL, WORKER_RETRY_DEFAULTS, true },
    { "account.request_reset", "account", TRAVEL_PRIORITY_NORMAL,
      account_request_reset, NULL, WORKER_RETRY_DEFAULTS, true },
    { "account.reset", "account", TRAVEL_PRIORITY_HIGH, account_reset,
      NULL, WORKER_RETRY_DEFAULTS, true },
    { "account.mail", "notification", TRAVEL_PRIORITY_HIGH, account_mail,
      NULL, 8, 1000, 300000, 120000, true },
    { .type = NULL }
};
