/*
 * One-dimensional arrays in PostgreSQL's binary form: the parameters of which
 * unnest() makes rows.  Many rows cost one statement, and none of their values
 * is written as text or parsed again.
 */

#ifndef WORKER_ARRAY_H
#define WORKER_ARRAY_H

#include "pg.h"

/* The types, by the oids that they have in every database. */
typedef enum {
    WORKER_ARRAY_INT8        = 20,
    WORKER_ARRAY_INT4        = 23,
    WORKER_ARRAY_TEXT        = 25,
    WORKER_ARRAY_TIMESTAMPTZ = 1184,
    WORKER_ARRAY_UUID        = 2950
} worker_array_e;

typedef struct {
    char            *data;           /* owned */
    size_t           len;
    size_t           room;
    uint32_t         n;
    worker_array_e   type;
    bool             nulls;
    bool             failed;         /* memory: it is not run */
} worker_array_t;

void worker_array_init(worker_array_t *a, worker_array_e type);
void worker_array_free(worker_array_t *a);

/* One more element.  The caller knows the type. */
void worker_array_null(worker_array_t *a);
void worker_array_text(worker_array_t *a, travel_str_t text);
void worker_array_uuid(worker_array_t *a, const uint8_t uuid[16]);
void worker_array_int4(worker_array_t *a, int32_t v);
void worker_array_int8(worker_array_t *a, int64_t v);
/* Microseconds since 1970. */
void worker_array_timestamp(worker_array_t *a, int64_t unix_us);

/* Runs 'sql' prepared, with the arrays as its parameters; each must be cast in
 * it ($1::uuid[]) or its type be clear.  As worker_pg_exec; NULL: no memory. */
PGresult *worker_array_exec(worker_pg_t *pg, const char *sql,
    worker_array_t *arrays, int n);

#endif
