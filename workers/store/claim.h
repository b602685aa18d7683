/*
 * Payloads and results that are too large for Redis rest in jobs.claim; the
 * envelope (field "claim") or the job's hash (likewise) says so.  Kept under
 * the job's uuid, so that a repeat finds what is there.
 */

#ifndef WORKER_CLAIM_H
#define WORKER_CLAIM_H

#include "pg.h"

#define WORKER_CLAIM_BODY    "body"
#define WORKER_CLAIM_RESULT  "result"

typedef struct {
    const char  *uuid;              /* of the job */
    const char  *what;              /* one of the two above */
    const char  *sub;               /* whose it is */
    const char  *text;              /* JSON */
    int64_t      keep_ms;           /* from now on, at least */
} worker_claim_t;

/* TRAVEL_OK, or TRAVEL_ERROR: the database cannot be used, see worker_pg_... */
int worker_claim_put(worker_pg_t *pg, const worker_claim_t *claim)
    TRAVEL_MUST_CHECK;

/* TRAVEL_OK with a text that is the caller's to free; TRAVEL_INVALID: it is not
 * there; TRAVEL_ERROR as above. */
int worker_claim_get(worker_pg_t *pg, const char *uuid, const char *what,
    char **ret_text) TRAVEL_MUST_CHECK;

#endif
