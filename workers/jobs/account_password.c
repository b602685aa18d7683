/* Passwords: hashed with Argon2id, compared, and hashed anew when workers.conf
 * asks for more than it did.  Hashes of bcrypt, brought along from elsewhere,
 * are compared, too. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <argon2.h>
#include <crypt.h>

#include "account.h"

#define PASSWORD_SALT_LEN  16
#define PASSWORD_HASH_LEN  32


int
account_password_hash(char dst[ACCOUNT_PASSWORD_MAX],
    const worker_accounts_t *accounts, const char *password)
{
    uint8_t  salt[PASSWORD_SALT_LEN];

    if (travel_random(salt, sizeof(salt)) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    return argon2id_hash_encoded(accounts->passes, accounts->memory,
                                 accounts->lanes, password, strlen(password),
                                 salt, sizeof(salt), PASSWORD_HASH_LEN, dst,
                                 ACCOUNT_PASSWORD_MAX) == ARGON2_OK
           ? TRAVEL_OK : TRAVEL_ERROR;
}


/* The same work, for nothing. */
static int
password_nobody(const worker_accounts_t *accounts, const char *password)
{
    uint8_t               hash[PASSWORD_HASH_LEN];
    static const uint8_t  salt[PASSWORD_SALT_LEN];

    return argon2id_hash_raw(accounts->passes, accounts->memory,
                             accounts->lanes, password, strlen(password),
                             salt, sizeof(salt), hash, sizeof(hash))
           == ARGON2_OK ? TRAVEL_REFUSED : TRAVEL_ERROR;
}


/* bcrypt, whose hashes begin with "$2": it reads 72 bytes of a password. */
static int
password_bcrypt(const char *hash, const char *password)
{
    int                 rc;
    const char         *made;
    struct crypt_data  *data;

    data = calloc(1, sizeof(struct crypt_data));

    if (data == NULL) {
        return TRAVEL_ERROR;
    }

    /* not crypt_r: sanitizers stand before it, and have no libcrypt to ask */
    made = crypt_rn(password, hash, data, sizeof(struct crypt_data));
    rc = made != NULL
         && travel_secret_eq((travel_str_t) { made, strlen(made) },
                             (travel_str_t) { hash, strlen(hash) })
         ? TRAVEL_OK : TRAVEL_REFUSED;
    explicit_bzero(data, sizeof(struct crypt_data));
    free(data);

    return rc;
}


int
account_password_check(const worker_accounts_t *accounts, const char *hash,
    const char *password)
{
    if (hash == NULL) {
        return password_nobody(accounts, password);
    }

    if (strncmp(hash, "$2", 2) == 0) {
        return password_bcrypt(hash, password);
    }

    switch (argon2id_verify(hash, password, strlen(password))) {

    case ARGON2_OK:
        return TRAVEL_OK;

    case ARGON2_MEMORY_ALLOCATION_ERROR:
    case ARGON2_THREAD_FAIL:
        return TRAVEL_ERROR;

    default:
        return TRAVEL_REFUSED;
    }
}


bool
account_password_stale(const worker_accounts_t *accounts, const char *hash)
{
    int   n;
    char  head[64];

    n = snprintf(head, sizeof(head), "$argon2id$v=%d$m=%u,t=%u,p=%u$",
                 ARGON2_VERSION_NUMBER, accounts->memory, accounts->passes,
                 accounts->lanes);

    return strncmp(hash, head, (size_t) n) != 0;
}
