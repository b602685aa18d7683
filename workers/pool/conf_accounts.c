/* workers.conf: accounts of our own, whose tokens the workers sign. */

#include <stdlib.h>
#include <string.h>

#include "conf_parts.h"
#include "../../common/jwt.h"

#define CONF_JWKS_MAX     4096
#define CONF_LANE_MEMORY  8             /* KiB: what Argon2 wants of a lane */

cfg_opt_t  worker_conf_accounts_opts[] = {
    CFG_STR("signing_key", NULL, CFGF_NONE),
    CFG_STR("issuer", "https://travel.local", CFGF_NONE),
    CFG_STR("audience", "travel", CFGF_NONE),
    CFG_STR("permissions", "journeys:read journeys:write stories:read "
            "stories:write bookings:read bookings:write jobs:read",
            CFGF_NONE),
    CFG_STR("link", "http://localhost:3000", CFGF_NONE),
    CFG_STR("access_ttl", "30m", CFGF_NONE),
    CFG_STR("refresh_ttl", "7d", CFGF_NONE),
    CFG_STR("session_idle", "24h", CFGF_NONE),
    CFG_STR("verify_ttl", "24h", CFGF_NONE),
    CFG_STR("reset_ttl", "30m", CFGF_NONE),
    CFG_INT("argon2_memory", 19456, CFGF_NONE),
    CFG_INT("argon2_passes", 2, CFGF_NONE),
    CFG_INT("argon2_lanes", 1, CFGF_NONE),
    CFG_END()
};


/* One that the edge will know: EC P-256. */
static int
conf_signing_key(cfg_t *sec, worker_accounts_t *accounts)
{
    char         jwks[CONF_JWKS_MAX];
    const char  *why;

    accounts->pem = worker_conf_file(sec, "signing_key");

    if (accounts->pem == NULL) {
        return TRAVEL_INVALID;
    }

    if (travel_jwks_of_pem(jwks, sizeof(jwks), (travel_str_t) { accounts->pem,
                           strlen(accounts->pem) }, &why) != TRAVEL_OK)
    {
        cfg_error(sec, "accounts: signing_key \"%s\": %s; make one with "
                  "\"openssl ecparam -name prime256v1 -genkey -noout\"",
                  cfg_getstr(sec, "signing_key"), why);
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


static int
conf_argon2(cfg_t *sec, worker_accounts_t *accounts)
{
    accounts->memory = (unsigned) cfg_getint(sec, "argon2_memory");
    accounts->passes = (unsigned) cfg_getint(sec, "argon2_passes");
    accounts->lanes = (unsigned) cfg_getint(sec, "argon2_lanes");

    if (accounts->memory < CONF_LANE_MEMORY * accounts->lanes) {
        cfg_error(sec, "accounts: argon2_memory = %u is less than %d for each "
                  "of argon2_lanes", accounts->memory, CONF_LANE_MEMORY);
        return TRAVEL_INVALID;
    }

    return TRAVEL_OK;
}


int
worker_conf_accounts(cfg_t *cfg, worker_conf_t *conf)
{
    int                 rc;
    size_t              n;
    cfg_t              *sec;
    worker_accounts_t  *accounts;

    sec = cfg_getsec(cfg, "accounts");
    accounts = &conf->accounts;

    if (cfg_getstr(sec, "signing_key") == NULL) {
        return TRAVEL_OK;
    }

    rc = conf_signing_key(sec, accounts);

    if (rc == TRAVEL_OK) {
        rc = conf_argon2(sec, accounts);
    }

    if (rc != TRAVEL_OK) {
        return rc;
    }

    accounts->issuer = worker_conf_string(sec, "issuer");
    accounts->audience = worker_conf_string(sec, "audience");
    accounts->permissions = strdup(cfg_getstr(sec, "permissions"));
    accounts->link = worker_conf_string(sec, "link");
    worker_conf_duration(sec, "access_ttl", &accounts->access_ms);
    worker_conf_duration(sec, "refresh_ttl", &accounts->refresh_ms);
    worker_conf_duration(sec, "session_idle", &accounts->idle_ms);
    worker_conf_duration(sec, "verify_ttl", &accounts->verify_ms);
    worker_conf_duration(sec, "reset_ttl", &accounts->reset_ms);

    for (n = strlen(accounts->link);
         n > 0 && accounts->link[n - 1] == '/'; n--)
    {
        accounts->link[n - 1] = '\0';
    }

    return TRAVEL_OK;
}


void
worker_conf_accounts_free(worker_conf_t *conf)
{
    if (conf->accounts.pem != NULL) {
        explicit_bzero(conf->accounts.pem, strlen(conf->accounts.pem));
    }

    free(conf->accounts.pem);
    free(conf->accounts.issuer);
    free(conf->accounts.audience);
    free(conf->accounts.permissions);
    free(conf->accounts.link);
}
