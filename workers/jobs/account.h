/*
 * Accounts of our own (schema 120): what their handlers share.
 *
 * account.c registers, verifies and resets; account_session.c logs in, renews
 * and ends; account_factor.c asks for a second factor; account_token.c makes
 * what clients carry; account_password.c hashes.  Secrets come sealed
 * (common/seal.h), answers with secrets are told once (result "once"), and the
 * database has hashes alone, and a second factor's secret sealed.
 */

#ifndef WORKER_ACCOUNT_H
#define WORKER_ACCOUNT_H

#include "resource.h"
#include "../pool/conf.h"
#include "../../common/base64url.h"
#include "../../common/hash.h"
#include "../../common/jwt.h"

#define ACCOUNT_SECRET_MAX    (TRAVEL_BASE64URL_LEN(TRAVEL_SHA256_LEN) + 1)
#define ACCOUNT_HASH_MAX      (2 + 2 * TRAVEL_SHA256_LEN + 1)
#define ACCOUNT_PASSWORD_MAX  192
#define ACCOUNT_INTERVAL_MAX  32

/* --- passwords (account_password.c) -------------------------------------- */

/* Argon2id (RFC 9106) with the parameters of workers.conf and a new salt, as
 * the text "$argon2id$v=19$m=...".  TRAVEL_OK or TRAVEL_ERROR: memory. */
int account_password_hash(char dst[ACCOUNT_PASSWORD_MAX],
    const worker_accounts_t *accounts, const char *password)
    TRAVEL_MUST_CHECK;

/* TRAVEL_OK; TRAVEL_REFUSED: it is another; TRAVEL_ERROR: memory.  'hash' NULL:
 * there is none, which takes as long to say. */
int account_password_check(const worker_accounts_t *accounts,
    const char *hash, const char *password) TRAVEL_MUST_CHECK;

/* Was it hashed with other parameters than those of today? */
bool account_password_stale(const worker_accounts_t *accounts,
    const char *hash);

/* --- what clients carry (account_token.c) -------------------------------- */

/* A session's pair: the access token, to be signed, and a refresh token. */
typedef struct {
    char     jti[TRAVEL_UUID_TEXT_LEN + 1];
    char     refresh[ACCOUNT_SECRET_MAX];
    char     hash[ACCOUNT_HASH_MAX];     /* of the refresh token, as bytea */
    int64_t  issued;                     /* unix s */
} account_pair_t;

int account_pair(account_pair_t *ret_pair) TRAVEL_MUST_CHECK;

/* The SHA-256 of a secret that a client or a mail carries, as bytea. */
int account_hash(char dst[ACCOUNT_HASH_MAX], const char *secret)
    TRAVEL_MUST_CHECK;

/* What the mail of a ticket carries: it follows from the ticket's id and our
 * key, so that no queue has it on its way to the mail. */
int account_ticket(char dst[ACCOUNT_SECRET_MAX],
    const worker_accounts_t *accounts, const char *id) TRAVEL_MUST_CHECK;

/* Inside of the transaction that made the pair: the answer with both tokens.
 * 'ends': of the refresh token, RFC 3339.  NULL: the transaction is over, for
 * RETRY. */
json_t *account_answer(worker_tx_t *tx, const account_pair_t *pair,
    const char *user, const char *session, const char *ends);

/* "1800000 ms", for the database. */
const char *account_interval(char dst[ACCOUNT_INTERVAL_MAX], long ms);

/* --- sessions (account_session.c) ---------------------------------------- */

/* In a transaction: the session that has the job's id, with its event; its
 * answer is committed.  'device': how the user calls it, or NULL; 'acr':
 * "aal1", with a second factor "aal2". */
worker_verdict_e account_begin(worker_tx_t *tx, const account_pair_t *pair,
    const char *device, const char *acr);

/* In a transaction: ends a session of the user's, or all (NULL), with its
 * event, which is told also when there was none to end.  How many; -1: the
 * transaction is over, for RETRY. */
long account_end(worker_tx_t *tx, const char *user, const char *session,
    const char *by);

/* After it: their access tokens are not good any more, on any node.  DONE or
 * RETRY; may be repeated. */
worker_verdict_e account_take_back(worker_job_t *job, const char *user,
    const char *session);

/* --- the second factor (account_factor.c) --------------------------------- */

/* In a transaction of tx->user's: TRAVEL_OK and *ret_acr: none is asked for, or
 * the code was good and is used up; TRAVEL_UNKNOWN: one is asked for, and
 * 'code' is NULL; TRAVEL_REFUSED: it is not good; TRAVEL_ERROR: over, for
 * RETRY. */
int account_factor(worker_tx_t *tx, const char *code, const char **ret_acr)
    TRAVEL_MUST_CHECK;

/* --- all ----------------------------------------------------------------- */

/* DONE; REJECT: accounts are not set up here. */
worker_verdict_e account_ready(worker_job_t *job);

/* RETRY: it could not be hashed or compared. */
worker_verdict_e account_no_memory(worker_job_t *job);

/* May a secret be tried for this?  DONE; REJECT: not now; RETRY. */
worker_verdict_e account_try(worker_job_t *job, const char *who);

#endif
