/*
 * What clients of accounts carry: access tokens (JWT, RFC 9068 as far as its
 * claims go), refresh tokens and the tokens of mails: 256 bits, base64url.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "../pool/slot.h"

#define TOKEN_TICKET  "ngx_travel ticket "


/* --- secrets ------------------------------------------------------------- */

int
account_hash(char dst[ACCOUNT_HASH_MAX], const char *secret)
{
    uint8_t  md[TRAVEL_SHA256_LEN];

    if (travel_sha256(md, (travel_str_t) { secret, strlen(secret) })
        != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    memcpy(dst, "\\x", 2);
    travel_hex_encode(dst + 2, md, sizeof(md));
    dst[ACCOUNT_HASH_MAX - 1] = '\0';
    return TRAVEL_OK;
}


static void
token_text(char dst[ACCOUNT_SECRET_MAX], uint8_t secret[TRAVEL_SHA256_LEN])
{
    dst[travel_base64url_encode(dst, secret, TRAVEL_SHA256_LEN)] = '\0';
    explicit_bzero(secret, TRAVEL_SHA256_LEN);
}


int
account_ticket(char dst[ACCOUNT_SECRET_MAX],
    const worker_accounts_t *accounts, const char *id)
{
    char     text[sizeof(TOKEN_TICKET) + TRAVEL_UUID_TEXT_LEN];
    uint8_t  md[TRAVEL_SHA256_LEN];

    snprintf(text, sizeof(text), "%s%s", TOKEN_TICKET, id);

    if (travel_hmac_sha256(md, (travel_str_t) { accounts->pem,
                                                strlen(accounts->pem) },
                           (travel_str_t) { text, strlen(text) })
        != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    token_text(dst, md);
    return TRAVEL_OK;
}


int
account_pair(account_pair_t *ret_pair)
{
    uint8_t          rnd[8], secret[TRAVEL_SHA256_LEN];
    travel_uuid_t    id;
    account_pair_t   pair;

    if (travel_random(rnd, sizeof(rnd)) != TRAVEL_OK
        || travel_random(secret, sizeof(secret)) != TRAVEL_OK)
    {
        return TRAVEL_ERROR;
    }

    pair.issued = (int64_t) time(NULL);
    id = travel_uuid7((uint64_t) pair.issued * 1000, 0, rnd);
    travel_uuid_format(pair.jti, &id);
    pair.jti[TRAVEL_UUID_TEXT_LEN] = '\0';
    token_text(pair.refresh, secret);

    if (account_hash(pair.hash, pair.refresh) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    *ret_pair = pair;
    return TRAVEL_OK;
}


const char *
account_interval(char dst[ACCOUNT_INTERVAL_MAX], long ms)
{
    snprintf(dst, ACCOUNT_INTERVAL_MAX, "%ld ms", ms);
    return dst;
}


/* --- the answer ---------------------------------------------------------- */

/* Everybody's permissions, and his own. */
static json_t *
token_permissions(const char *all, const char *own)
{
    size_t       n, i;
    json_t      *list;
    const char  *text[2] = { all, own };

    list = json_array();

    for (i = 0; i < 2; i++) {
        for ( ;; ) {
            text[i] += strspn(text[i], " \t\r\n");
            n = strcspn(text[i], " \t\r\n");

            if (n == 0) {
                break;
            }

            json_array_append_new(list, json_stringn(text[i], n));
            text[i] += n;
        }
    }

    return list;
}


/* The claims as JSON text, owned; NULL: out of memory. */
static char *
token_claims(const worker_accounts_t *accounts, const account_pair_t *pair,
    const char *user, const char *session, const PGresult *who)
{
    bool     two;
    char    *text;
    json_t  *claims;

    two = strcmp(PQgetvalue(who, 0, 4), "aal2") == 0;
    claims = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:I, s:s, s:b,"
                       " s:s, s:[s, s*], s:o}",
                       "iss", accounts->issuer, "sub", user,
                       "aud", accounts->audience,
                       "iat", (json_int_t) pair->issued,
                       "exp", (json_int_t) (pair->issued
                                            + accounts->access_ms / 1000),
                       "jti", pair->jti, "sid", session,
                       "auth_time", (json_int_t)
                                    strtoll(PQgetvalue(who, 0, 3), NULL, 10),
                       "email", PQgetvalue(who, 0, 0), "email_verified", 1,
                       "acr", PQgetvalue(who, 0, 4), "amr", "pwd",
                       two ? "otp" : NULL,
                       "permissions",
                       token_permissions(accounts->permissions,
                                         PQgetvalue(who, 0, 2)));
    text = json_dumps(claims, JSON_COMPACT);
    json_decref(claims);

    return text;
}


/* NULL: out of memory. */
static json_t *
token_sign(const worker_accounts_t *accounts, const account_pair_t *pair,
    const char *user, const char *session, const char *ends,
    const PGresult *who)
{
    char        *claims, *access;
    json_t      *answer;
    const char  *why;

    answer = NULL;
    access = malloc(TRAVEL_JWT_MAX + 1);
    claims = token_claims(accounts, pair, user, session, who);

    if (access != NULL && claims != NULL
        && travel_jwt_sign(access, TRAVEL_JWT_MAX + 1,
                           (travel_str_t) { accounts->pem,
                                            strlen(accounts->pem) },
                           (travel_str_t) { claims, strlen(claims) }, &why)
           == TRAVEL_OK)
    {
        answer = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:{s:s, s:s,"
                           " s:s?}}",
                           "id", session, "access_token", access,
                           "token_type", "Bearer",
                           "expires_in", (json_int_t)
                                         (accounts->access_ms / 1000),
                           "refresh_token", pair->refresh,
                           "refresh_expires_at", ends, "user",
                           "id", user, "email", PQgetvalue(who, 0, 0),
                           "name", PQgetisnull(who, 0, 1)
                                   ? NULL : PQgetvalue(who, 0, 1));
    }

    free(claims);
    free(access);
    return answer;
}


json_t *
account_answer(worker_tx_t *tx, const account_pair_t *pair, const char *user,
    const char *session, const char *ends)
{
    json_t      *answer;
    PGresult    *who;
    const char  *params[] = { user, session };

    who = worker_tx_exec(tx,
        "SELECT a.email, u.name, array_to_string(a.permissions, ' '),"
        "       floor(extract(epoch FROM s.created_at))::bigint, s.acr"
        "  FROM credentials.account AS a"
        "  JOIN travel.users AS u ON u.id = a.user_id"
        "  JOIN credentials.session AS s ON s.user_id = a.user_id"
        " WHERE a.user_id = $1::uuid AND s.id = $2::uuid", 2, params);

    if (who == NULL) {
        return NULL;
    }

    answer = PQntuples(who) == 1
             ? token_sign(&tx->job->slot->conf->accounts, pair, user, session,
                          ends, who) : NULL;
    PQclear(who);

    if (answer == NULL) {
        worker_tx_end(tx);
        (void) worker_job_fail(tx->job, WORKER_RETRY, "INTERNAL_ERROR",
                               "the access token cannot be signed");
    }

    return answer;
}
