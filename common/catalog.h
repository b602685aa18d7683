/*
 * The product's catalog as files: named queries (queries/NAME.sql) and commands
 * (commands/TYPE.json), parsed and checked without a database.
 *
 * A query file is comment lines, then one SQL statement:
 *
 *     -- What it answers, in a sentence.
 *     -- @public                      anybody may ask, or
 *     -- @requires  journeys:read     who may ask, when :viewer is not bound
 *     -- @param     limit  int 1..100 = 20
 *     -- @param     cursor uuid?               '?': may be absent (SQL NULL)
 *     -- @param     q      text 2..80          bounds of text are code points
 *     -- @param     theme  enum(a|b|c)?
 *     -- @returns   one | list | rows          one: no row is a 404
 *     -- @tags      user:{viewer} journey:{id}
 *     -- @pending   journey                    see command: not yet there
 *     -- @class     fast | slow                default fast
 *     -- @route     replica | analytics        default replica
 *     -- @priority  high | normal | low        default normal: who waits and
 *                                              who is shed under overload
 *     -- @timeout   2s                         default 2s
 *     -- @cursor    created_at desc, id desc   a list by pages, see below
 *     SELECT ... :viewer ... :limit ...
 *
 * With @cursor the statement yields a row per item, neither ordered nor
 * limited: the columns named (none null, together unique) and one called
 * "item"; what the client gets is {items, next_cursor} of 'limit' items.  With
 * "@returns one" no row is a 404; one whose item is null stands for none.
 *
 * 'one' and 'list' statements yield one text column of JSON, which goes to the
 * client as it is.  A query that does not bind :viewer and has neither @public
 * nor @requires does not load; a @public one that binds it gets NULL from the
 * anonymous.  ":name" inside quotes, comments and "::" casts is left alone;
 * every parameter declared is used, and every one used is declared.
 */

#ifndef TRAVEL_CATALOG_H
#define TRAVEL_CATALOG_H

#include "travel.h"
#include "schema.h"
#include "queues.h"

#define TRAVEL_QUERY_PARAMS_MAX  16
#define TRAVEL_QUERY_KEYS_MAX    4
#define TRAVEL_COMMAND_SEALED_MAX  8

typedef enum {
    TRAVEL_PARAM_INT,           /* 32 bits */
    TRAVEL_PARAM_BIGINT,
    TRAVEL_PARAM_NUMBER,        /* double */
    TRAVEL_PARAM_TEXT,
    TRAVEL_PARAM_UUID,
    TRAVEL_PARAM_BOOL,
    TRAVEL_PARAM_DATE,
    TRAVEL_PARAM_TIMESTAMP,
    TRAVEL_PARAM_ENUM
} travel_param_type_e;

typedef struct {
    char                 *name;
    travel_param_type_e   type;
    bool                  optional;
    bool                  bounded;
    double                min;           /* number: value; text: length */
    double                max;
    char                 *fallback;      /* default as text, or NULL */
    char                **words;         /* ENUM, NULL-terminated */
    int                   position;      /* $n in the rewritten SQL: by the
                                            order of declaration, from 1 */
} travel_param_t;

typedef enum {
    TRAVEL_RETURNS_ONE,
    TRAVEL_RETURNS_LIST,
    TRAVEL_RETURNS_ROWS          /* prechecks: code, pointer, message */
} travel_returns_e;

typedef struct {
    char                *name;           /* a column of the statement */
    bool                 desc;
} travel_query_key_t;

typedef struct {
    char                *name;           /* "journeys.list" */
    char                *file;
    char                *sql;            /* rewritten to $1 ... $n with casts */
    size_t               nbinds;         /* n */
    char                *sql_next;       /* a later page of a @cursor list: the
                                            keys are $n+1 ...; else NULL */
    travel_query_key_t   keys[TRAVEL_QUERY_KEYS_MAX];
    size_t               nkeys;          /* 0: no @cursor */
    int                  viewer;         /* its $n (the last), or 0 */
    travel_param_t       params[TRAVEL_QUERY_PARAMS_MAX];
    size_t               nparams;
    travel_returns_e     returns;
    bool                 public;
    char                *requires;       /* permission, or NULL */
    char                *tags;           /* template, or NULL */
    char                *pending;        /* aggregate kind, or NULL */
    bool                 slow;
    bool                 analytics;
    travel_priority_e    priority;
    long                 timeout_ms;
} travel_query_t;

typedef struct {
    size_t  line;                        /* 1-based, 0 unknown */
    char    file[256];
    char    message[320];                /* what is wrong, what to do */
} travel_catalog_fault_t;

/* TRAVEL_OK, TRAVEL_INVALID with *ret_fault, TRAVEL_ERROR (memory). */
int travel_query_parse(travel_query_t **ret_query, const char *name,
    const char *file, travel_str_t text, travel_catalog_fault_t *ret_fault)
    TRAVEL_MUST_CHECK;
void travel_query_free(travel_query_t *query);

const travel_param_t *travel_query_param(const travel_query_t *query,
    travel_str_t name);

/* Checks one parameter's text against its type and bounds.  TRAVEL_OK, or with
 * a sentence for the client in ret_why: TRAVEL_INVALID (not of the type) or
 * TRAVEL_REFUSED (of the type, but out of bounds or none of the words). */
int travel_param_check(const travel_param_t *param, travel_str_t value,
    char ret_why[160]) TRAVEL_MUST_CHECK;

/*
 * A command file is JSON:
 *
 *     { "type": "booking.create", "queue": "booking", "priority": "normal",
 *       "aggregate": "booking",           the kind of thing it makes or changes
 *       "creates": true,                  its id is the command id
 *       "resource": "/api/v1/bookings/",  Location prefix (creates only)
 *       "key": "id",                      ordering key: "id", or a member name
 *       "deadline": "5m",                 optional
 *       "pending": {"partner": true},     members echoed while it is pending
 *       "accepted": "cancelling",         the aggregate's status in the 202;
 *                                         default "pending"
 *       "result": "once",                 optional: the result goes to who
 *                                         waits for it and is stored nowhere
 *       "batches": true,                  a job's body may be an array: many in
 *                                         one (creates only, key "id")
 *       "schema": { ... JSON Schema 2020-12 of the body ... } }
 *
 * Members that the schema marks "x-sealed": true are sealed before the command
 * is stored (seal.h); none of them is the key or echoed.
 */
typedef struct {
    char                *type;
    char                *file;
    char                *queue;
    travel_priority_e    priority;
    char                *aggregate;
    bool                 creates;
    char                *resource;       /* or NULL */
    char                *key;
    long                 deadline_ms;    /* 0: none */
    char               **pending;        /* members echoed while it is pending,
                                            NULL-terminated */
    char                *accepted;       /* or NULL: "pending" */
    char                *sealed[TRAVEL_COMMAND_SEALED_MAX];
    size_t               nsealed;
    bool                 once;           /* its result is stored nowhere */
    bool                 batches;        /* a job's body may be an array: many
                                            commands in one */
    travel_schema_t     *schema;
} travel_command_t;

int travel_command_parse(travel_command_t **ret_command, const char *type,
    const char *file, travel_str_t text, travel_catalog_fault_t *ret_fault)
    TRAVEL_MUST_CHECK;
void travel_command_free(travel_command_t *command);

/* Reads a whole file; NUL-terminated, owned. */
int travel_catalog_read(char **ret_text, size_t *ret_len, const char *path,
    travel_catalog_fault_t *ret_fault) TRAVEL_MUST_CHECK;

#endif
