/*
 * travelctl mail bounced: a mail that came back, as the mail server pipes it in
 * (RFC 3464).  What is no such report is let pass; only when the database
 * cannot be asked the server is told to come again (EX_TEMPFAIL).
 */

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "ctl.h"
#include "../../common/dsn.h"
#include "../../common/ids.h"

#define MAIL_DOMAIN  "@travel.local"         /* of our Message-IDs */


/* The job that wrote it, by its Message-ID; false: another's. */
static bool
mail_job(const travel_dsn_t *dsn, char job[TRAVEL_UUID_TEXT_LEN + 1])
{
    travel_uuid_t  id;

    if (strlen(dsn->message_id) < TRAVEL_UUID_TEXT_LEN
        || strcmp(dsn->message_id + TRAVEL_UUID_TEXT_LEN, MAIL_DOMAIN) != 0
        || travel_uuid_parse(&id, (travel_str_t) { dsn->message_id,
                             TRAVEL_UUID_TEXT_LEN }) != TRAVEL_OK)
    {
        return false;
    }

    travel_uuid_format(job, &id);
    job[TRAVEL_UUID_TEXT_LEN] = '\0';

    return true;
}


/* One recipient on record. */
static int
mail_bounce(PGconn *pg, const travel_dsn_recipient_t *who, const char *job)
{
    int          known;
    char         status[16], reason[200];
    PGresult    *res;
    const char  *params[5] = { who->address,
                               travel_smtp_bounce_name(who->bounce), status,
                               reason, job };

    snprintf(status, sizeof(status), "%u.%u.%u", who->status.class % 10,
             who->status.subject % 1000, who->status.detail % 1000);
    snprintf(reason, sizeof(reason), "%s%s%s", status,
             who->why[0] != '\0' ? " " : "", who->why);

    res = ctl_query(pg, "SELECT jobs.bounce($1, $2, $3, $4, $5::uuid)", 5,
                    params);

    if (res == NULL) {
        return CTL_BROKEN;
    }

    known = PQgetvalue(res, 0, 0)[0] == 't';
    PQclear(res);
    printf("%s  %s  %s%s\n", who->address,
           travel_smtp_bounce_name(who->bounce), reason,
           known ? "" : "  (we have not written to it)");

    return CTL_GOOD;
}


static int
mail_take(const char *config, const travel_dsn_t *dsn)
{
    int             rc;
    char            job[TRAVEL_UUID_TEXT_LEN + 1];
    bool            ours;
    size_t          i;
    PGconn         *pg;
    worker_conf_t  *conf;

    conf = ctl_conf(config);
    pg = conf != NULL ? ctl_pg(conf->pg_dsn) : NULL;
    rc = pg != NULL ? CTL_GOOD : CTL_BROKEN;
    ours = mail_job(dsn, job);

    for (i = 0; rc == CTL_GOOD && i < dsn->n; i++) {
        if (dsn->recipients[i].bounce != TRAVEL_SMTP_ACCEPTED) {
            rc = mail_bounce(pg, &dsn->recipients[i], ours ? job : NULL);
        }
    }

    PQfinish(pg);
    worker_conf_free(conf);

    return rc == CTL_GOOD ? EX_OK : EX_TEMPFAIL;
}


int
travelctl_mail_bounced(int argc, char **argv)
{
    int            rc;
    char          *text;
    size_t         len;
    const char    *config = NULL, *args[CTL_ARGS_MAX + 1];
    travel_dsn_t   dsn;

    ctl_option_t  options[] = {
        CTL_CONFIG(config),
        { .name = NULL }
    };
    ctl_spec_t  spec = { "mail bounced [options] [FILE]",
                         "A mail that came back, from FILE or standard input: "
                         "what it says of each\naddress is put on record, and "
                         "who takes no mail is not written to again.\nFor a "
                         "pipe of the mail server: exit code 75 means come "
                         "again.", options, 0, 1 };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    text = ctl_read(args[0] != NULL ? args[0] : "-", &len);

    if (text == NULL) {
        return EX_TEMPFAIL;
    }

    rc = EX_OK;

    if (travel_dsn_parse(&dsn, (travel_str_t) { text, len }) == TRAVEL_OK) {
        rc = mail_take(config, &dsn);
    } else {
        printf("no delivery status notification\n");
    }

    free(text);
    return rc;
}
