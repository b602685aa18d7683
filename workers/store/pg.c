/*
 * One blocking PostgreSQL session of a worker thread.
 *
 * The slot's thread owns everything here; nothing is locked.  A statement is
 * known by its text: the table maps text to the name under which this
 * connection has it prepared, and is emptied with the connection.  The link is
 * given up in one place, pg_drop.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "pg.h"
#include "../trace/trace.h"

#define PG_STATEMENTS   512              /* a power of two; 3/4 used */
#define PG_SUMMARY_MAX  96
#define PG_LOOKS        3

typedef struct {
    char      *sql;                      /* owned; NULL: free */
    uint64_t   hash;
    unsigned   number;                   /* prepared as "s<number>" */
} pg_statement_t;

struct worker_pg_s {
    char                  *dsn;          /* owned */
    char                  *application;  /* owned */
    PGconn                *conn;         /* NULL: not connected */
    const travel_trace_t  *parent;       /* borrowed, see worker_pg_trace */
    pg_statement_t         statements[PG_STATEMENTS];
    unsigned               used;
    unsigned               serial;       /* of names; never used twice */
    char                   error[256];
    char                   sqlstate[6];
};


worker_pg_t *
worker_pg_create(const char *dsn, const char *application)
{
    worker_pg_t  *pg;

    pg = calloc(1, sizeof(worker_pg_t));

    if (pg == NULL) {
        return NULL;
    }

    pg->dsn = strdup(dsn);
    pg->application = strdup(application);

    if (pg->dsn == NULL || pg->application == NULL) {
        worker_pg_free(&pg);
    }

    return pg;
}


static void
pg_forget(worker_pg_t *pg)
{
    size_t  i;

    for (i = 0; i < PG_STATEMENTS; i++) {
        free(pg->statements[i].sql);
        pg->statements[i].sql = NULL;
    }

    pg->used = 0;
}


static void
pg_drop(worker_pg_t *pg)
{
    if (pg->conn != NULL) {
        PQfinish(pg->conn);
        pg->conn = NULL;
    }

    pg_forget(pg);
}


void
worker_pg_free(worker_pg_t **ppg)
{
    worker_pg_t  *pg;

    pg = *ppg;
    *ppg = NULL;

    if (pg == NULL) {
        return;
    }

    pg_drop(pg);
    free(pg->dsn);
    free(pg->application);
    free(pg);
}


/* One line of it: libpq's texts end in newlines and may have several lines. */
static void
pg_set_error(worker_pg_t *pg, const char *text, const char *sqlstate)
{
    size_t  n;

    if (strncmp(text, "ERROR:  ", 8) == 0) {
        text += 8;
    }

    n = strcspn(text, "\n");
    snprintf(pg->error, sizeof(pg->error), "%.*s", (int) n, text);
    snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s",
             sqlstate != NULL ? sqlstate : "08006");
}


static void
pg_quiet(void *ctx, const PGresult *res)
{
    (void) ctx;
    (void) res;
}


/* A session that the server has ended while nobody looked: noticed before a
 * statement is lost on it.  Its last words, if any, come before the end. */
static void
pg_look(worker_pg_t *pg)
{
    int            i;
    struct pollfd  fd;

    fd.fd = PQsocket(pg->conn);
    fd.events = POLLIN;

    if (PQtransactionStatus(pg->conn) != PQTRANS_IDLE) {
        return;
    }

    for (i = 0; i < PG_LOOKS && poll(&fd, 1, 0) == 1; i++) {

        if (PQconsumeInput(pg->conn) == 0) {
            pg_set_error(pg, PQerrorMessage(pg->conn), NULL);
            pg_drop(pg);
            return;
        }
    }
}


int
worker_pg_ready(worker_pg_t *pg)
{
    const char  *names[] = {
        "dbname", "application_name", "connect_timeout", "keepalives_idle",
        "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "options", NULL
    };
    const char  *values[] = {
        pg->dsn, pg->application, "5", "15", "5", "3", "20000",
        "-c TimeZone=UTC -c idle_in_transaction_session_timeout=60s "
        "-c statement_timeout=60s -c lock_timeout=15s", NULL
    };

    if (pg->conn != NULL) {
        pg_look(pg);
    }

    if (pg->conn != NULL && PQstatus(pg->conn) == CONNECTION_OK) {
        return TRAVEL_OK;
    }

    pg_drop(pg);
    pg->conn = PQconnectdbParams(names, values, 1);

    if (pg->conn == NULL || PQstatus(pg->conn) != CONNECTION_OK) {
        pg_set_error(pg, pg->conn != NULL ? PQerrorMessage(pg->conn)
                                          : "out of memory", NULL);
        pg_drop(pg);
        return TRAVEL_ERROR;
    }

    PQsetNoticeReceiver(pg->conn, pg_quiet, NULL);
    return TRAVEL_OK;
}


bool
worker_pg_good(const PGresult *res)
{
    ExecStatusType  status;

    status = PQresultStatus(res);
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}


const char *
worker_pg_error(const worker_pg_t *pg)
{
    return pg->error;
}


const char *
worker_pg_sqlstate(const worker_pg_t *pg)
{
    return pg->sqlstate;
}


bool
worker_pg_away(const worker_pg_t *pg)
{
    size_t  i;

    static const char *const  away[] = {
        "08",                       /* the link */
        "53",                       /* no room: connections, disk, memory */
        "57P",                      /* going down, crashed, starting */
        "25006"                     /* read only: a primary no more */
    };

    for (i = 0; i < sizeof(away) / sizeof(away[0]); i++) {
        if (strncmp(pg->sqlstate, away[i], strlen(away[i])) == 0) {
            return true;
        }
    }

    return false;
}


void
worker_pg_trace(worker_pg_t *pg, const travel_trace_t *parent)
{
    pg->parent = parent;
}


/* FNV-1a: statements are ours, nobody outside chooses them. */
static uint64_t
pg_hash(const char *text)
{
    uint64_t  h;

    for (h = 14695981039346656037ULL; *text != '\0'; text++) {
        h = (h ^ (uint8_t) *text) * 1099511628211ULL;
    }

    return h;
}


/* The statement's place: used, or the free one it would take. */
static pg_statement_t *
pg_statement(worker_pg_t *pg, const char *sql)
{
    size_t           i;
    uint64_t         hash;
    pg_statement_t  *st;

    hash = pg_hash(sql);

    for (i = hash; ; i++) {
        st = &pg->statements[i & (PG_STATEMENTS - 1)];

        if (st->sql == NULL) {
            st->hash = hash;
            return st;
        }

        if (st->hash == hash && strcmp(st->sql, sql) == 0) {
            return st;
        }
    }
}


/* Finds or prepares; NULL with *ret_failed when the server refused, NULL
 * without when the statement has to go unprepared. */
static const char *
pg_prepare(worker_pg_t *pg, const char *sql, char name[16],
    PGresult **ret_failed)
{
    PGresult        *res;
    pg_statement_t  *st;

    st = pg_statement(pg, sql);

    if (st->sql == NULL) {

        if (pg->used >= PG_STATEMENTS / 4 * 3) {
            return NULL;
        }

        st->number = ++pg->serial;
        snprintf(name, 16, "s%u", st->number);
        res = PQprepare(pg->conn, name, sql, 0, NULL);

        if (PQresultStatus(res) != PGRES_COMMAND_OK) {
            *ret_failed = res;
            return NULL;
        }

        PQclear(res);
        st->sql = strdup(sql);

        if (st->sql == NULL) {
            return NULL;
        }

        pg->used++;
    }

    snprintf(name, 16, "s%u", st->number);
    return name;
}


/* "INSERT travel.bookings" of "INSERT INTO travel.bookings (...": the verb and
 * its first target (semantic conventions: db.query.summary). */
static size_t
pg_summary(char *dst, const char *sql)
{
    size_t       verb, n;
    const char  *p, *word;

    static const char  *before[] = { "INTO", "UPDATE", "FROM", NULL };

    sql += strspn(sql, " \n");
    verb = strcspn(sql, " \n;");
    word = NULL;

    if (strncmp(sql, "SELECT", 6) == 0) {
        p = sql + verb + strspn(sql + verb, " \n");
        n = strcspn(p, " \n(,");

        if (p[n] == '(' && n > 0) {
            word = p;
        }
    }

    for (p = sql; word == NULL && *p != '\0'; p += strspn(p, " \n")) {
        size_t  i;

        n = strcspn(p, " \n");

        for (i = 0; before[i] != NULL; i++) {
            if (strlen(before[i]) == n && strncmp(p, before[i], n) == 0) {
                word = p + n + strspn(p + n, " \n");
            }
        }

        p += n;
    }

    n = word != NULL ? strcspn(word, " \n(;,") : 0;

    return (size_t) snprintf(dst, PG_SUMMARY_MAX, "%.*s%s%.*s",
                             (int) (verb < 24 ? verb : 24), sql,
                             n > 0 ? " " : "", (int) (n < 64 ? n : 64),
                             n > 0 ? word : "");
}


static void
pg_emit(worker_pg_t *pg, const char *sql, uint64_t start, bool failed)
{
    char           summary[PG_SUMMARY_MAX], namespace[PG_SUMMARY_MAX];
    size_t         n, len;
    const char    *db, *host;
    travel_span_t  span;
    travel_attr_t  attrs[7];

    len = pg_summary(summary, sql);
    db = pg->conn != NULL ? PQdb(pg->conn) : NULL;
    host = pg->conn != NULL ? PQhost(pg->conn) : NULL;
    n = 0;

    attrs[n++] = (travel_attr_t) { TRAVEL_STR("db.system.name"),
        TRAVEL_ATTR_STRING, { .s = TRAVEL_STR("postgresql") } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("db.query.summary"),
        TRAVEL_ATTR_STRING, { .s = { summary, len } } };
    attrs[n++] = (travel_attr_t) { TRAVEL_STR("db.query.text"),
        TRAVEL_ATTR_STRING, { .s = { sql, strlen(sql) } } };

    /* database and schema; ours are in the statements' own words */
    if (db != NULL) {
        snprintf(namespace, sizeof(namespace), "%.64s|public", db);
        attrs[n++] = (travel_attr_t) { TRAVEL_STR("db.namespace"),
            TRAVEL_ATTR_STRING, { .s = { namespace, strlen(namespace) } } };
    }

    if (host != NULL && *host != '\0') {
        attrs[n++] = (travel_attr_t) { TRAVEL_STR("server.address"),
            TRAVEL_ATTR_STRING, { .s = { host, strlen(host) } } };
    }

    if (failed) {
        attrs[n++] = (travel_attr_t) { TRAVEL_STR("error.type"),
            TRAVEL_ATTR_STRING, { .s = { pg->sqlstate, 5 } } };
        attrs[n++] = (travel_attr_t) { TRAVEL_STR("db.response.status_code"),
            TRAVEL_ATTR_STRING, { .s = { pg->sqlstate, 5 } } };
    }

    memset(&span, 0, sizeof(span));
    span.id = worker_trace_child(pg->parent);
    memcpy(span.parent, pg->parent->span_id, sizeof(span.parent));
    span.name = (travel_str_t) { summary, len };
    span.kind = TRAVEL_SPAN_CLIENT;
    span.start_ns = start;
    span.end_ns = worker_trace_now();
    span.error = failed;
    span.message = (travel_str_t) { pg->error, failed ? strlen(pg->error) : 0 };
    span.attrs = attrs;
    span.nattrs = n;

    worker_trace_emit(&span);
}


/* Notes what went wrong; true when the statement failed. */
static bool
pg_judge(worker_pg_t *pg, const char *sql, const PGresult *res)
{
    const char      *state;
    pg_statement_t  *st;

    if (worker_pg_good(res)) {
        return false;
    }

    state = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    pg_set_error(pg, res != NULL && *PQresultErrorMessage(res) != '\0'
                     ? PQresultErrorMessage(res) : PQerrorMessage(pg->conn),
                 state);

    if (PQstatus(pg->conn) != CONNECTION_OK) {
        return true;             /* worker_pg_ready makes a new one */
    }

    /* the plan's shape changed, or somebody deallocated: prepare afresh */
    st = pg_statement(pg, sql);

    if (st->sql != NULL && (strcmp(pg->sqlstate, "0A000") == 0
                            || strcmp(pg->sqlstate, "26000") == 0))
    {
        pg_forget(pg);           /* all: a hole would cut probe chains */
    }

    return true;
}


PGresult *
worker_pg_exec(worker_pg_t *pg, const char *sql, int n,
    const char *const *params)
{
    return worker_pg_exec_binary(pg, sql, n, params, NULL, NULL);
}


PGresult *
worker_pg_exec_binary(worker_pg_t *pg, const char *sql, int n,
    const char *const *params, const int *lengths, const int *formats)
{
    char         name[16];
    bool         failed;
    uint64_t     start;
    PGresult    *res;
    const char  *prepared;

    if (pg->conn == NULL) {
        pg_set_error(pg, "not connected", NULL);
        return PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
    }

    start = pg->parent != NULL ? worker_trace_now() : 0;
    res = NULL;

    if (n == 0 && params == NULL) {
        res = PQexec(pg->conn, sql);         /* BEGIN, COMMIT, ROLLBACK */

    } else {
        prepared = pg_prepare(pg, sql, name, &res);

        if (prepared != NULL) {
            res = PQexecPrepared(pg->conn, prepared, n, params, lengths,
                                 formats, 0);

        } else if (res == NULL) {
            res = PQexecParams(pg->conn, sql, n, NULL, params, lengths,
                               formats, 0);
        }
    }

    failed = pg_judge(pg, sql, res);

    if (pg->parent != NULL && (pg->parent->flags & TRAVEL_TRACE_SAMPLED)) {
        pg_emit(pg, sql, start, failed);
    }

    return res;
}
