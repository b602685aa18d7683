/*
 * A report's text, line by line: the header that names the boundary, the part
 * with the fields of each recipient, and behind it the Message-ID of what was
 * returned.  Contract in the header.
 */

#include <stdio.h>
#include <strings.h>

#include "dsn.h"

#define DSN_FIELD  2048                     /* of a field, unfolded */

typedef struct {
    const char  *p;
    const char  *end;
} dsn_reader_t;

typedef struct {
    char    text[DSN_FIELD];                /* "Name: value", one line */
    size_t  len;
} dsn_field_t;


static bool
dsn_line(dsn_reader_t *r, travel_str_t *ret_line)
{
    const char  *nl;

    if (r->p == r->end) {
        return false;
    }

    nl = memchr(r->p, '\n', (size_t) (r->end - r->p));
    ret_line->data = r->p;
    ret_line->len = (size_t) ((nl != NULL ? nl : r->end) - r->p);
    r->p = nl != NULL ? nl + 1 : r->end;

    if (ret_line->len > 0 && ret_line->data[ret_line->len - 1] == '\r') {
        ret_line->len--;
    }

    return true;
}


static void
dsn_append(dsn_field_t *field, travel_str_t line)
{
    size_t  i, n;

    n = sizeof(field->text) - 1 - field->len;
    n = line.len < n ? line.len : n;

    for (i = 0; i < n; i++) {
        field->text[field->len++] = line.data[i] == '\0' ? ' ' : line.data[i];
    }

    field->text[field->len] = '\0';
}


/* The next field with its continuation lines; false: a blank line, a boundary
 * ('stop', which stays to be read) or the end. */
static bool
dsn_field(dsn_reader_t *r, const char *stop, dsn_field_t *ret_field)
{
    size_t        n;
    dsn_reader_t  at;
    travel_str_t  line;

    ret_field->len = 0;
    n = stop != NULL ? strlen(stop) : 0;

    for ( ;; ) {
        at = *r;

        if (!dsn_line(r, &line)) {
            break;
        }

        if (ret_field->len > 0
            && (line.len == 0 || (line.data[0] != ' ' && line.data[0] != '\t')))
        {
            *r = at;
            break;
        }

        if (n > 0 && line.len >= n && memcmp(line.data, stop, n) == 0) {
            *r = at;
            return false;
        }

        if (line.len == 0) {
            return false;
        }

        dsn_append(ret_field, line);
    }

    return ret_field->len > 0;
}


/* The value of the field if it has this name, without blanks around; NULL. */
static char *
dsn_value(dsn_field_t *field, const char *name)
{
    char    *p;
    size_t   n;

    n = strlen(name);

    if (strncasecmp(field->text, name, n) != 0 || field->text[n] != ':') {
        return NULL;
    }

    for (p = field->text + n + 1; *p == ' ' || *p == '\t'; p++) {
        /* blanks */
    }

    for (n = strlen(p); n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'); n--) {
        p[n - 1] = '\0';
    }

    return p;
}


/* A parameter of a Content-Type, quoted or not; false: there is none. */
static bool
dsn_parameter(const char *value, const char *name, char *dst, size_t room)
{
    bool         quoted;
    size_t       n, len;
    const char  *p;

    len = strlen(name);

    for (p = strchr(value, ';'); p != NULL; p = strchr(p, ';')) {
        for (p++; *p == ' ' || *p == '\t'; p++) {
            /* blanks */
        }

        if (strncasecmp(p, name, len) != 0 || p[len] != '=') {
            continue;
        }

        p += len + 1;
        quoted = *p == '"';
        p += quoted;

        for (n = 0; *p != '\0' && n + 1 < room; p++) {
            if (quoted ? *p == '"' : *p == ';' || *p == ' ' || *p == '\t') {
                break;
            }

            if (quoted && *p == '\\' && p[1] != '\0') {
                p++;
            }

            dst[n++] = *p;
        }

        dst[n] = '\0';
        return n > 0;
    }

    return false;
}


/* The header; false: it is no report of that kind.  'boundary' with its
 * "--". */
static bool
dsn_report(dsn_reader_t *r, char *boundary, size_t room)
{
    bool          found;
    char         *value, type[64];
    dsn_field_t   field;

    found = false;
    boundary[0] = '-';
    boundary[1] = '-';

    while (dsn_field(r, NULL, &field)) {
        value = dsn_value(&field, "Content-Type");

        if (value != NULL) {
            found = strncasecmp(value, "multipart/report", 16) == 0
                    && dsn_parameter(value, "report-type", type, sizeof(type))
                    && strcasecmp(type, "delivery-status") == 0
                    && dsn_parameter(value, "boundary", boundary + 2, room - 2);
        }
    }

    return found;
}


/* To the fields of the part that has them. */
static bool
dsn_part(dsn_reader_t *r, const char *boundary)
{
    bool          found;
    char         *value;
    size_t        n;
    dsn_field_t   field;
    travel_str_t  line;

    n = strlen(boundary);
    found = false;

    while (!found && dsn_line(r, &line)) {
        if (line.len < n || memcmp(line.data, boundary, n) != 0) {
            continue;
        }

        while (dsn_field(r, boundary, &field)) {
            value = dsn_value(&field, "Content-Type");
            found |= value != NULL
                     && (strncasecmp(value, "message/delivery-status", 23) == 0
                         || strncasecmp(value, "message/global-delivery-status",
                                        30) == 0);
        }
    }

    return found;
}


/* --- a recipient ---------------------------------------------------------- */

/* "rfc822; a@example.org" */
static void
dsn_address(char dst[TRAVEL_DSN_ADDRESS + 1], const char *value)
{
    size_t       n;
    const char  *p;

    p = strchr(value, ';');

    if (p == NULL) {
        return;
    }

    for (p++; *p == ' ' || *p == '\t' || *p == '<'; p++) {
        /* blanks */
    }

    n = strcspn(p, " \t>");

    if (n > 0 && n <= TRAVEL_DSN_ADDRESS && memchr(p, '@', n) != NULL) {
        memcpy(dst, p, n);
        dst[n] = '\0';
    }
}


/* "5.1.1 (no such user)" */
static bool
dsn_status(travel_smtp_reply_t *status, const char *value)
{
    int       n;
    unsigned  class, subject, detail;

    n = 0;

    if (sscanf(value, "%1u.%3u.%3u%n", &class, &subject, &detail, &n) != 3
        || n == 0 || (class != 2 && class != 4 && class != 5))
    {
        return false;
    }

    *status = (travel_smtp_reply_t) { 0, class, subject, detail };
    return true;
}


static void
dsn_why(char *dst, size_t room, const char *value)
{
    size_t  i;

    for (i = 0; value[i] != '\0' && i + 1 < room; i++) {
        dst[i] = value[i];

        if ((unsigned char) value[i] < ' ' || value[i] == 127) {
            dst[i] = ' ';
        }

        /* not within a character */
        if (i + 2 == room && (unsigned char) value[i] >= 0x80) {
            break;
        }
    }

    dst[i] = '\0';
}


/* What the action and the status come to: "delayed" will be tried again by who
 * says so; of what failed the status tells whether it is for good. */
static bool
dsn_judge(travel_dsn_recipient_t *who, const char *action)
{
    travel_smtp_reply_t  reply;

    if (strcasecmp(action, "delivered") == 0
        || strcasecmp(action, "relayed") == 0
        || strcasecmp(action, "expanded") == 0)
    {
        who->bounce = TRAVEL_SMTP_ACCEPTED;
        return true;
    }

    if (strcasecmp(action, "delayed") == 0) {
        who->bounce = TRAVEL_SMTP_SOFT;
        return true;
    }

    reply = who->status;
    reply.code = reply.class * 100;

    if (strcasecmp(action, "failed") != 0 || reply.class < 4) {
        return false;
    }

    who->bounce = travel_smtp_judge(&reply, TRAVEL_SMTP_RCPT);
    return true;
}


/* The fields up to a blank line; those of the message itself name nobody. */
static void
dsn_group(dsn_reader_t *r, const char *boundary, travel_dsn_t *dsn)
{
    char                     *value, action[16], original[TRAVEL_DSN_ADDRESS
                                                          + 1];
    dsn_field_t               field;
    travel_dsn_recipient_t    who;

    memset(&who, 0, sizeof(who));
    action[0] = '\0';
    original[0] = '\0';

    while (dsn_field(r, boundary, &field)) {

        if ((value = dsn_value(&field, "Original-Recipient")) != NULL) {
            dsn_address(original, value);

        } else if ((value = dsn_value(&field, "Final-Recipient")) != NULL) {
            dsn_address(who.address, value);

        } else if ((value = dsn_value(&field, "Action")) != NULL) {
            snprintf(action, sizeof(action), "%.*s",
                     (int) strcspn(value, " \t("), value);

        } else if ((value = dsn_value(&field, "Status")) != NULL) {
            (void) dsn_status(&who.status, value);

        } else if ((value = dsn_value(&field, "Diagnostic-Code")) != NULL) {
            dsn_why(who.why, sizeof(who.why), value);
        }
    }

    if (original[0] != '\0') {
        memcpy(who.address, original, sizeof(original));
    }

    if (who.address[0] != '\0' && dsn->n < TRAVEL_DSN_RECIPIENTS
        && dsn_judge(&who, action))
    {
        dsn->recipients[dsn->n++] = who;
    }
}


/* Of the mail that came back, whole or its header. */
static void
dsn_returned(dsn_reader_t *r, travel_dsn_t *dsn)
{
    char         *value;
    size_t        n;
    dsn_field_t   field;

    while (r->p < r->end && dsn->message_id[0] == '\0') {
        if (!dsn_field(r, NULL, &field)) {
            continue;
        }

        value = dsn_value(&field, "Message-ID");

        if (value != NULL) {
            value += *value == '<';
            n = strcspn(value, "> \t");

            if (n < sizeof(dsn->message_id)) {
                memcpy(dsn->message_id, value, n);
                dsn->message_id[n] = '\0';
            }
        }
    }
}


int
travel_dsn_parse(travel_dsn_t *ret_dsn, travel_str_t message)
{
    char          boundary[2 + 80];
    size_t        n;
    dsn_reader_t  r = { message.data, message.data + message.len };
    travel_dsn_t  dsn;

    memset(&dsn, 0, sizeof(dsn));

    if (!dsn_report(&r, boundary, sizeof(boundary))
        || !dsn_part(&r, boundary))
    {
        return TRAVEL_INVALID;
    }

    n = strlen(boundary);

    while (r.p < r.end
           && ((size_t) (r.end - r.p) < n || memcmp(r.p, boundary, n) != 0))
    {
        dsn_group(&r, boundary, &dsn);
    }

    if (dsn.n == 0) {
        return TRAVEL_INVALID;
    }

    dsn_returned(&r, &dsn);
    *ret_dsn = dsn;

    return TRAVEL_OK;
}
