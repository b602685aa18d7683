/* Large payloads and results: put and got; contract in the header. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "claim.h"


/* What is there stays: a repeat has the same to say, and the first may have
 * been read. */
int
worker_claim_put(worker_pg_t *pg, const worker_claim_t *claim)
{
    int          rc;
    char         keep[32];
    PGresult    *res;
    const char  *params[5] = { claim->uuid, claim->what, claim->sub,
                               claim->text, keep };

    snprintf(keep, sizeof(keep), "%lld ms", (long long) claim->keep_ms);

    if (worker_pg_ready(pg) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    res = worker_pg_exec(pg, "INSERT INTO jobs.claim"
                             " (job, what, sub, data, expires_at)"
                             " VALUES ($1::uuid, $2, $3, $4,"
                             "         clock_timestamp() + $5::interval)"
                             " ON CONFLICT (job, what) DO NOTHING", 5, params);
    rc = PQresultStatus(res) == PGRES_COMMAND_OK ? TRAVEL_OK : TRAVEL_ERROR;
    PQclear(res);

    return rc;
}


int
worker_claim_get(worker_pg_t *pg, const char *uuid, const char *what,
    char **ret_text)
{
    int          rc;
    char        *text;
    PGresult    *res;
    const char  *params[2] = { uuid, what };

    if (worker_pg_ready(pg) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    res = worker_pg_exec(pg, "SELECT data FROM jobs.claim"
                             " WHERE job = $1::uuid AND what = $2", 2, params);
    rc = TRAVEL_ERROR;

    if (PQresultStatus(res) == PGRES_TUPLES_OK) {
        rc = PQntuples(res) > 0 ? TRAVEL_OK : TRAVEL_INVALID;
    }

    if (rc == TRAVEL_OK) {
        text = strdup(PQgetvalue(res, 0, 0));
        rc = text != NULL ? TRAVEL_OK : TRAVEL_ERROR;
        *ret_text = text != NULL ? text : *ret_text;
    }

    PQclear(res);
    return rc;
}
