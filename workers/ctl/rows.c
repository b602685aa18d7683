/* Statements that travelctl's commands run, and their rows, printed. */

#include <stdio.h>

#include <jansson.h>

#include "ctl.h"
#include "../store/pg.h"


PGresult *
ctl_query(PGconn *pg, const char *sql, int n, const char *const *params)
{
    PGresult  *res;

    res = PQexecParams(pg, sql, n, NULL, params, NULL, NULL, 0);

    if (!worker_pg_good(res)) {
        ctl_broken("PostgreSQL: %s", PQresultErrorMessage(res));
        PQclear(res);
        return NULL;
    }

    return res;
}


static void
ctl_row(const PGresult *res, int row)
{
    int  k;

    for (k = 0; k < PQnfields(res); k++) {
        printf("%s%s", k > 0 ? "  " : "", PQgetvalue(res, row, k));
    }

    putchar('\n');
}


void
ctl_row_json(const PGresult *res, int row)
{
    int      k;
    json_t  *line;

    line = json_object();

    for (k = 0; k < PQnfields(res); k++) {
        (void) json_object_set_new(line, PQfname(res, k),
                                   PQgetisnull(res, row, k) ? json_null()
                                   : json_string(PQgetvalue(res, row, k)));
    }

    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}


int
ctl_found(int rc, const char *what, const char *id)
{
    return rc == CTL_REFUSED
           ? ctl_refused(TRAVEL_E_RESOURCE_NOT_FOUND, "-",
                         "there is no %s %s", what, id)
           : rc;
}


int
ctl_rows(const char *config, const char *sql, int n,
    const char *const *params, void (*print)(const PGresult *res, int row))
{
    int             i, rc;
    PGconn         *pg;
    PGresult       *res;
    worker_conf_t  *conf;

    conf = ctl_conf(config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    res = pg != NULL ? ctl_query(pg, sql, n, params) : NULL;
    rc = CTL_BROKEN;

    if (res != NULL) {
        rc = PQntuples(res) > 0 ? CTL_GOOD : CTL_REFUSED;

        for (i = 0; i < PQntuples(res); i++) {
            if (print != NULL) {
                print(res, i);
            } else {
                ctl_row(res, i);
            }
        }
    }

    PQclear(res);
    PQfinish(pg);
    worker_conf_free(conf);
    return rc;
}
