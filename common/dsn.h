/*
 * Delivery status notifications: what a mail server far away says of a mail
 * that ours had taken (RFC 3464; RFC 6533 beyond ASCII), in a report (RFC
 * 6522).
 */

#ifndef TRAVEL_DSN_H
#define TRAVEL_DSN_H

#include "smtp_reply.h"

#define TRAVEL_DSN_RECIPIENTS  64           /* of a report; more are left out */
#define TRAVEL_DSN_ADDRESS     320

typedef struct {
    char                  address[TRAVEL_DSN_ADDRESS + 1];   /* whom we wrote
                                       to: Original-Recipient, else Final- */
    travel_smtp_bounce_e  bounce;   /* ACCEPTED: delivered, relayed, expanded;
                                       SOFT: delayed, or may do later */
    travel_smtp_reply_t   status;   /* class, subject, detail; no code */
    char                  why[160];     /* Diagnostic-Code, printable */
} travel_dsn_recipient_t;

typedef struct {
    travel_dsn_recipient_t  recipients[TRAVEL_DSN_RECIPIENTS];
    size_t                  n;
    char                    message_id[200];    /* of the mail, without <>; "":
                                                   it was not returned */
} travel_dsn_t;

/* Of a whole message, or its beginning.  TRAVEL_OK, or TRAVEL_INVALID: it is no
 * such report, or names nobody. */
int travel_dsn_parse(travel_dsn_t *ret_dsn, travel_str_t message)
    TRAVEL_MUST_CHECK;

#endif
