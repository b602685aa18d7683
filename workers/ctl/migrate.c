/*
 * travelctl migrate: the schema as numbered files, each applied once.
 *
 * NNN_name.sql goes up, NNN_name.down.sql back.  A file and the row that
 * records it (public.schema_migrations) commit together.  Files numbered 000
 * need a superuser (extensions that are not trusted, roles) and use that
 * session; all others run as the schema's owner, who may be made by 000.  The
 * "base" session is the superuser's when there is one, else the owner's: it
 * keeps the records and holds the advisory lock that keeps two runs apart.
 */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <limits.h>

#include "ctl.h"
#include "../../common/hash.h"

#define MIGRATE_MAX      1000
#define MIGRATE_LOCK     "7310313371984225388"      /* any constant of ours */
#define MIGRATE_HEX      (2 * TRAVEL_SHA256_LEN)

typedef struct {
    int    version;
    char  *name;                    /* of the file, without ".sql"; owned */
    char   checksum[MIGRATE_HEX + 1];
    char   applied_at[40];          /* "" : not applied */
    char   applied_sum[MIGRATE_HEX + 1];
    bool   present;                 /* the file exists */
} migrate_file_t;

typedef struct {
    const char      *dir;
    const char      *dsn;
    const char      *superuser_dsn;
    PGconn          *base;          /* one of the next two */
    PGconn          *owner;         /* opened when first needed */
    PGconn          *superuser;     /* NULL: no dsn given */
    migrate_file_t  *files;         /* by version */
    size_t           n;
} migrate_t;


static int
migrate_complain(const PGconn *pg, const PGresult *res, const char *path,
    const char *text)
{
    int          line, position;
    const char  *field;

    line = 0;
    field = res != NULL ? PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION)
                        : NULL;

    if (field != NULL && text != NULL) {
        /* the position counts characters, not bytes: step over UTF-8 tails */
        position = atoi(field);

        for (line = 1; position > 1 && *text != '\0'; text++) {
            if (*text == '\n') {
                line++;
            }

            if ((text[1] & 0xc0) != 0x80) {
                position--;
            }
        }
    }

    if (line > 0) {
        return ctl_broken("%s:%d: %s", path, line, PQresultErrorMessage(res));
    }

    return ctl_broken("%s: %s", path, res != NULL && *PQresultErrorMessage(res)
                                      ? PQresultErrorMessage(res)
                                      : PQerrorMessage(pg));
}


/* Runs 'sql'; true when it succeeded. */
static bool
migrate_do(PGconn *pg, const char *path, const char *sql)
{
    PGresult        *res;
    ExecStatusType   status;

    res = PQexec(pg, sql);
    status = PQresultStatus(res);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK
        && status != PGRES_EMPTY_QUERY)
    {
        migrate_complain(pg, res, path, sql);
        PQclear(res);
        return false;
    }

    PQclear(res);
    return true;
}


static int
migrate_by_version(const void *a, const void *b)
{
    const migrate_file_t  *fa = a, *fb = b;

    return (fa->version > fb->version) - (fa->version < fb->version);
}


static migrate_file_t *
migrate_find(migrate_t *m, int version)
{
    size_t  i;

    for (i = 0; i < m->n; i++) {
        if (m->files[i].version == version) {
            return &m->files[i];
        }
    }

    return NULL;
}


static char *
migrate_text(const migrate_t *m, const migrate_file_t *file, const char *suffix,
    char path[PATH_MAX], size_t *ret_len)
{
    snprintf(path, PATH_MAX, "%s/%s%s", m->dir, file->name, suffix);
    return ctl_read(path, ret_len);
}


static bool
migrate_checksum(migrate_t *m, migrate_file_t *file)
{
    char     path[PATH_MAX], *text;
    size_t   len;
    uint8_t  md[TRAVEL_SHA256_LEN];
    int      rc;

    text = migrate_text(m, file, ".sql", path, &len);

    if (text == NULL) {
        return false;
    }

    rc = travel_sha256(md, (travel_str_t) { text, len });
    free(text);

    if (rc != TRAVEL_OK) {
        ctl_broken("%s: cannot be hashed", path);
        return false;
    }

    travel_hex_encode(file->checksum, md, sizeof(md));
    return true;
}


/* Takes NNN_name.sql; leaves everything else (.down.sql, notes) alone. */
static bool
migrate_add(migrate_t *m, const char *name)
{
    size_t           len;
    migrate_file_t  *file;

    len = strlen(name);

    if (len < 9 || !isdigit((unsigned char) name[0])
        || !isdigit((unsigned char) name[1])
        || !isdigit((unsigned char) name[2]) || name[3] != '_'
        || strcmp(name + len - 4, ".sql") != 0
        || (len > 9 && strcmp(name + len - 9, ".down.sql") == 0))
    {
        return true;
    }

    file = migrate_find(m, atoi(name));

    if (file != NULL) {
        ctl_broken("%s: %s and %s have the same number", m->dir, file->name,
                   name);
        return false;
    }

    file = &m->files[m->n++];
    file->version = atoi(name);
    file->name = strndup(name, len - 4);
    file->present = true;

    return file->name != NULL && migrate_checksum(m, file);
}


static bool
migrate_scan(migrate_t *m)
{
    DIR            *dir;
    bool            good;
    struct dirent  *entry;

    m->files = calloc(2 * MIGRATE_MAX, sizeof(migrate_file_t));
    dir = opendir(m->dir);

    if (m->files == NULL || dir == NULL) {
        ctl_broken("%s: %s", m->dir, strerror(errno));

        if (dir != NULL) {
            closedir(dir);
        }

        return false;
    }

    good = true;

    while (good && (entry = readdir(dir)) != NULL) {
        good = migrate_add(m, entry->d_name);
    }

    closedir(dir);

    if (good && m->n == 0) {
        ctl_broken("%s: no file is named like 010_name.sql", m->dir);
        good = false;
    }

    qsort(m->files, m->n, sizeof(migrate_file_t), migrate_by_version);
    return good;
}


/* The owner's session; when the superuser keeps the records, the owner is
 * given leave to write them too. */
static PGconn *
migrate_owner(migrate_t *m)
{
    char  *user, sql[256];
    bool   good;

    if (m->owner != NULL) {
        return m->owner;
    }

    m->owner = ctl_pg(m->dsn);

    if (m->owner == NULL || m->superuser == NULL) {
        return m->owner;
    }

    user = PQescapeIdentifier(m->superuser, PQuser(m->owner),
                              strlen(PQuser(m->owner)));
    snprintf(sql, sizeof(sql), "GRANT SELECT, INSERT, DELETE ON "
             "public.schema_migrations TO %s", user != NULL ? user : "");
    good = user != NULL && migrate_do(m->superuser, "schema_migrations", sql);
    PQfreemem(user);

    return good ? m->owner : NULL;
}


/* Whose session runs this file. */
static PGconn *
migrate_session(migrate_t *m, const migrate_file_t *file)
{
    if (file->version != 0) {
        return migrate_owner(m);
    }

    if (m->superuser == NULL) {
        ctl_broken("%s needs a superuser: give --superuser-dsn or "
                   "TRAVEL_SUPERUSER_DSN", file->name);
    }

    return m->superuser;
}


static bool
migrate_ensure_table(migrate_t *m)
{
    bool       there;
    PGresult  *res;

    res = PQexec(m->base, "SELECT to_regclass('public.schema_migrations')");
    there = PQresultStatus(res) == PGRES_TUPLES_OK
            && !PQgetisnull(res, 0, 0);
    PQclear(res);

    return there || migrate_do(m->base, "schema_migrations",
        "CREATE TABLE public.schema_migrations ("
        "  version integer PRIMARY KEY, name text NOT NULL,"
        "  checksum text NOT NULL,"
        "  applied_at timestamptz NOT NULL DEFAULT clock_timestamp())");
}


static bool
migrate_applied(migrate_t *m)
{
    int              i;
    PGresult        *res;
    migrate_file_t  *file;

    res = PQexec(m->base,
                 "SELECT version, name, checksum,"
                 " to_char(applied_at AT TIME ZONE 'UTC',"
                 "         'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
                 " FROM public.schema_migrations ORDER BY version");

    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        migrate_complain(m->base, res, "schema_migrations", NULL);
        PQclear(res);
        return false;
    }

    for (i = 0; i < PQntuples(res) && m->n < 2 * MIGRATE_MAX; i++) {
        file = migrate_find(m, atoi(PQgetvalue(res, i, 0)));

        if (file == NULL) {
            file = &m->files[m->n++];
            file->version = atoi(PQgetvalue(res, i, 0));
            file->name = strdup(PQgetvalue(res, i, 1));
        }

        snprintf(file->applied_sum, sizeof(file->applied_sum), "%s",
                 PQgetvalue(res, i, 2));
        snprintf(file->applied_at, sizeof(file->applied_at), "%s",
                 PQgetvalue(res, i, 3));
    }

    PQclear(res);
    qsort(m->files, m->n, sizeof(migrate_file_t), migrate_by_version);
    return true;
}


static bool
migrate_open(migrate_t *m, bool change)
{
    if (m->dsn == NULL) {
        m->dsn = getenv("TRAVEL_OWNER_DSN");
    }

    if (m->superuser_dsn == NULL) {
        m->superuser_dsn = getenv("TRAVEL_SUPERUSER_DSN");
    }

    if (m->dsn == NULL) {
        ctl_broken("which database? give --dsn or TRAVEL_OWNER_DSN");
        return false;
    }

    if (!migrate_scan(m)) {
        return false;
    }

    if (m->superuser_dsn != NULL) {
        m->base = m->superuser = ctl_pg(m->superuser_dsn);
    } else {
        m->base = m->owner = ctl_pg(m->dsn);
    }

    return m->base != NULL
           && (!change || migrate_do(m->base, "lock",
                              "SELECT pg_advisory_lock(" MIGRATE_LOCK ")"))
           && migrate_ensure_table(m) && migrate_applied(m);
}


static int
migrate_close(migrate_t *m, int rc)
{
    size_t  i;

    if (m->owner != NULL) {
        PQfinish(m->owner);
    }

    if (m->superuser != NULL) {
        PQfinish(m->superuser);
    }

    for (i = 0; i < m->n; i++) {
        free(m->files[i].name);
    }

    free(m->files);
    return rc;
}


static bool
migrate_record(PGconn *pg, const migrate_file_t *file, bool up)
{
    char         version[16];
    bool         good;
    PGresult    *res;
    const char  *params[] = { version, file->name, file->checksum };

    snprintf(version, sizeof(version), "%d", file->version);

    res = PQexecParams(pg,
              up ? "INSERT INTO public.schema_migrations"
                   " (version, name, checksum) VALUES ($1, $2, $3)"
                 : "DELETE FROM public.schema_migrations WHERE version = $1",
              up ? 3 : 1, NULL, params, NULL, NULL, 0);
    good = PQresultStatus(res) == PGRES_COMMAND_OK;

    if (!good) {
        migrate_complain(pg, res, file->name, NULL);
    }

    PQclear(res);
    return good;
}


/* One file in one transaction with its record. */
static bool
migrate_run(migrate_t *m, migrate_file_t *file, bool up)
{
    char     path[PATH_MAX], *text;
    bool     good;
    size_t   len;
    PGconn  *pg;

    pg = migrate_session(m, file);

    if (pg == NULL) {
        return false;
    }

    text = migrate_text(m, file, up ? ".sql" : ".down.sql", path, &len);

    if (text == NULL) {
        return false;
    }

    good = migrate_do(pg, path, "BEGIN") && migrate_do(pg, path, text);

    if (good && PQtransactionStatus(pg) != PQTRANS_INTRANS) {
        ctl_broken("%s: ends its own transaction; a schema file must not",
                   path);
        good = false;
    }

    good = good && migrate_record(pg, file, up)
           && migrate_do(pg, path, "COMMIT");

    if (!good && PQtransactionStatus(pg) != PQTRANS_IDLE) {
        PQclear(PQexec(pg, "ROLLBACK"));
    }

    free(text);

    if (good) {
        printf("%s %s\n", up ? "applied" : "undone", file->name);
        fflush(stdout);
    }

    return good;
}


static const char  migrate_about[] =
    "Schema files are named NNN_name.sql and undone by NNN_name.down.sql; each "
    "runs in\na transaction with its row in public.schema_migrations.  Files "
    "numbered 000 run\nas the superuser.";

#define MIGRATE_OPTIONS(m)                                                    \
    { "dir", CTL_STRING, &(m).dir, "DIR",                                     \
      "schema files (conf/travel/schema)" },                                  \
    { "dsn", CTL_STRING, &(m).dsn, "DSN",                                     \
      "the schema's owner (TRAVEL_OWNER_DSN)" },                              \
    { "superuser-dsn", CTL_STRING, &(m).superuser_dsn, "DSN",                 \
      "for files 000 (TRAVEL_SUPERUSER_DSN)" }


int
travelctl_migrate_up(int argc, char **argv)
{
    int          rc;
    size_t       i;
    migrate_t    m = { .dir = "conf/travel/schema" };
    const char  *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = { MIGRATE_OPTIONS(m), { .name = NULL } };
    ctl_spec_t    spec = { "migrate up [options]", migrate_about, options,
                           0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!migrate_open(&m, true)) {
        return migrate_close(&m, CTL_BROKEN);
    }

    for (i = 0; i < m.n; i++) {
        if (m.files[i].applied_at[0] != '\0' && m.files[i].present
            && strcmp(m.files[i].checksum, m.files[i].applied_sum) != 0)
        {
            ctl_broken("%s was changed after it was applied; undo it first "
                       "(migrate down) or write a new file", m.files[i].name);
            return migrate_close(&m, CTL_REFUSED);
        }
    }

    for (i = 0; i < m.n; i++) {
        if (m.files[i].applied_at[0] == '\0'
            && !migrate_run(&m, &m.files[i], true))
        {
            return migrate_close(&m, CTL_BROKEN);
        }
    }

    return migrate_close(&m, CTL_GOOD);
}


int
travelctl_migrate_down(int argc, char **argv)
{
    int          rc;
    bool         one;
    long         to = -1;
    size_t       i;
    migrate_t    m = { .dir = "conf/travel/schema" };
    const char  *args[CTL_ARGS_MAX + 1];

    ctl_option_t  options[] = {
        MIGRATE_OPTIONS(m),
        { "to", CTL_NUMBER, &to, "NNN",
          "undo all above this number; default: the last one only" },
        { .name = NULL }
    };
    ctl_spec_t    spec = { "migrate down [options]", migrate_about, options,
                           0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    one = to == -1;

    if (!migrate_open(&m, true)) {
        return migrate_close(&m, CTL_BROKEN);
    }

    for (i = m.n; i-- > 0; ) {
        if (m.files[i].applied_at[0] == '\0') {
            continue;
        }

        if (!one && m.files[i].version <= to) {
            break;
        }

        if (!migrate_run(&m, &m.files[i], false)) {
            return migrate_close(&m, CTL_BROKEN);
        }

        if (one) {
            break;
        }
    }

    return migrate_close(&m, CTL_GOOD);
}


int
travelctl_migrate_status(int argc, char **argv)
{
    int              rc, word;
    size_t           i;
    migrate_t        m = { .dir = "conf/travel/schema" };
    const char      *args[CTL_ARGS_MAX + 1];
    migrate_file_t  *file;

    static const char  *words[] = { "applied", "pending", "changed", "gone" };

    ctl_option_t  options[] = { MIGRATE_OPTIONS(m), { .name = NULL } };
    ctl_spec_t    spec = { "migrate status [options]",
                           "Exit code 1 when a file is pending, changed or "
                           "gone.", options, 0, 0 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if (!migrate_open(&m, false)) {
        return migrate_close(&m, CTL_BROKEN);
    }

    rc = CTL_GOOD;

    for (i = 0; i < m.n; i++) {
        file = &m.files[i];
        word = 0;

        if (file->applied_at[0] == '\0') {
            word = 1;

        } else if (!file->present) {
            word = 3;

        } else if (strcmp(file->checksum, file->applied_sum) != 0) {
            word = 2;
        }

        if (word != 0) {
            rc = CTL_REFUSED;
        }

        printf("%-8s %-20s %s\n", words[word],
               file->applied_at[0] != '\0' ? file->applied_at : "-",
               file->name);
    }

    return migrate_close(&m, rc);
}
