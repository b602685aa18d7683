/* travelctl catalog check: does every query and command file hold, and does a
 * database take each statement, with the parameter types it declares, and what
 * the GraphQL schema says of it? */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "../../common/catalog.h"

typedef struct {
    const char  *dir;
    const char  *dsn;
    const char  *config;
    PGconn      *pg;
    bool         verbose;
    unsigned     good;
    unsigned     bad;
} catalog_t;


static void
catalog_bad(catalog_t *c, const char *file, size_t line, const char *what)
{
    c->bad++;

    /* what concerns the whole file is said of its first line */
    fprintf(stderr, "%s:%zu: %s\n", file, line > 0 ? line : 1, what);
}


/* The line of the file on which the statement's n-th character stands; the
 * rewritten SQL keeps the file's line ends, the comment head is above it, and
 * a @cursor's pages stand between a line before and a line behind. */
static size_t
catalog_line(const char *text, const char *sql, bool wrapped,
    const char *position)
{
    long         n;
    size_t       line, head, body;
    const char  *p;

    line = 0;

    for (n = position != NULL ? atol(position) : 0, p = sql; n > 1 && *p; p++) {
        line += *p == '\n';
        n -= (p[1] & 0xc0) != 0x80;
    }

    head = 1;
    body = 1;

    for (p = text; *p != '\0'; p++) {
        head += *p == '\n';
    }

    for (p = sql; *p != '\0'; p++) {
        body += *p == '\n';
    }

    /* the statement ends where the file ends, up to the last line's end */
    head -= *text != '\0' && text[strlen(text) - 1] == '\n';
    body -= *sql != '\0' && sql[strlen(sql) - 1] == '\n';

    if (wrapped) {
        body -= 2;
        line -= line > 0;
        line -= line == body && line > 0;
    }

    return position != NULL && head >= body ? head - body + 1 + line : 0;
}


static void
catalog_prepare(catalog_t *c, const char *path, const char *text,
    const travel_query_t *query)
{
    char        *message;
    PGresult    *res;
    const char  *sql = query->sql;

    res = PQprepare(c->pg, "", sql, 0, NULL);

    if (PQresultStatus(res) == PGRES_COMMAND_OK && query->sql_next != NULL) {
        PQclear(res);
        sql = query->sql_next;
        res = PQprepare(c->pg, "", sql, 0, NULL);
    }

    if (PQresultStatus(res) == PGRES_COMMAND_OK) {
        c->good++;

        if (c->verbose) {
            printf("good  %s\n", query->name);
        }

    } else {
        message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
        catalog_bad(c, path,
                    catalog_line(text, sql, query->nkeys != 0,
                                 PQresultErrorField(res,
                                     PG_DIAG_STATEMENT_POSITION)),
                    message != NULL ? message : PQerrorMessage(c->pg));
    }

    PQclear(res);
}


static void
catalog_query(catalog_t *c, const char *path, const char *name, char *text,
    size_t len)
{
    travel_query_t          *query;
    travel_catalog_fault_t   fault = { 0 };

    if (travel_query_parse(&query, name, path, (travel_str_t) { text, len },
                           &fault) != TRAVEL_OK)
    {
        catalog_bad(c, path, fault.line, fault.message[0] != '\0'
                                         ? fault.message : "out of memory");
        return;
    }

    if (c->pg != NULL) {
        catalog_prepare(c, path, text, query);
    } else {
        c->good++;
    }

    travel_query_free(query);
}


static void
catalog_command(catalog_t *c, const char *path, const char *name, char *text,
    size_t len)
{
    travel_command_t        *command;
    travel_catalog_fault_t   fault = { 0 };

    if (travel_command_parse(&command, name, path,
                             (travel_str_t) { text, len }, &fault)
        != TRAVEL_OK)
    {
        catalog_bad(c, path, fault.line, fault.message[0] != '\0'
                                         ? fault.message : "out of memory");
        return;
    }

    c->good++;

    if (c->verbose) {
        printf("good  %s\n", command->type);
    }

    travel_command_free(command);
}


/* Each file of dir/folder that ends so; false when there is no such folder. */
static bool
catalog_folder(catalog_t *c, const char *folder, const char *suffix,
    void (*check)(catalog_t *c, const char *path, const char *name,
                  char *text, size_t len))
{
    int              i, n;
    char             path[PATH_MAX], *text, *dot;
    size_t           len;
    struct dirent  **entries;

    snprintf(path, sizeof(path), "%s/%s", c->dir, folder);
    n = scandir(path, &entries, NULL, alphasort);

    if (n < 0) {
        ctl_broken("%s: %s", path, strerror(errno));
        return false;
    }

    for (i = 0; i < n; i++) {
        dot = strrchr(entries[i]->d_name, '.');

        if (dot != NULL && dot != entries[i]->d_name
            && strcmp(dot, suffix) == 0)
        {
            snprintf(path, sizeof(path), "%s/%s/%s", c->dir, folder,
                     entries[i]->d_name);
            text = ctl_read(path, &len);
            *dot = '\0';

            if (text == NULL) {
                c->bad++;
            } else {
                check(c, path, entries[i]->d_name, text, len);
            }

            free(text);
        }

        free(entries[i]);
    }

    free(entries);
    return true;
}


/* The database of --dsn, TRAVEL_EDGE_DSN or workers.conf. */
static bool
catalog_connect(catalog_t *c)
{
    worker_conf_t  *conf;

    if (c->dsn == NULL) {
        c->dsn = getenv("TRAVEL_EDGE_DSN");
    }

    if (c->dsn != NULL) {
        c->pg = ctl_pg(c->dsn);
        return c->pg != NULL;
    }

    conf = ctl_conf(c->config);

    if (conf != NULL) {
        c->pg = ctl_pg(conf->pg_dsn);
        worker_conf_free(conf);
    }

    return c->pg != NULL;
}


int
travelctl_catalog_check(int argc, char **argv)
{
    int          rc;
    bool         offline = false, read;
    catalog_t    c = { .dir = "conf/travel" };
    const char  *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = {
        { "dir", CTL_STRING, &c.dir, "DIR", "the product (conf/travel)" },
        { "dsn", CTL_STRING, &c.dsn, "DSN",
          "database (TRAVEL_EDGE_DSN, else workers.conf's)" },
        CTL_CONFIG(c.config),
        { "offline", CTL_FLAG, &offline, NULL, "read the files only" },
        { "verbose", CTL_FLAG, &c.verbose, NULL, "name the good ones too" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "catalog check [options]",
                         "Reads queries/*.sql, commands/*.json and "
                         "graphql/schema.graphql and prepares each\nquery, and "
                         "a statement for each field of the schema.  Exit code "
                         "1 when a file does\nnot hold; each complaint is "
                         "file:line: what.", options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!offline && !catalog_connect(&c)) {
        return CTL_BROKEN;
    }

    read = catalog_folder(&c, "queries", ".sql", catalog_query)
           && catalog_folder(&c, "commands", ".json", catalog_command)
           && ctl_graphql_survey(c.dir, c.pg, &c.good, &c.bad);

    if (c.pg != NULL) {
        PQfinish(c.pg);
    }

    if (!read) {
        return CTL_BROKEN;
    }

    printf("%u good, %u bad\n", c.good, c.bad);
    return c.bad > 0 ? CTL_REFUSED : CTL_GOOD;
}
