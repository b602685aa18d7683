/*
 * What a mail server's reply means for the mail (RFC 5321 section 4.2,
 * RFC 3463, RFC 5248).
 */

#ifndef TRAVEL_SMTP_REPLY_H
#define TRAVEL_SMTP_REPLY_H

#include "travel.h"

typedef struct {
    unsigned  code;                 /* 550 */
    unsigned  class;                /* of 5.1.1; all 0: none was given */
    unsigned  subject;
    unsigned  detail;
} travel_smtp_reply_t;

/* The command that was answered. */
typedef enum {
    TRAVEL_SMTP_SESSION,            /* greeting, EHLO, STARTTLS, AUTH, MAIL */
    TRAVEL_SMTP_RCPT,
    TRAVEL_SMTP_DATA                /* and the mail itself */
} travel_smtp_stage_e;

typedef enum {
    TRAVEL_SMTP_ACCEPTED,
    TRAVEL_SMTP_SOFT,               /* try again later */
    TRAVEL_SMTP_REFUSED,            /* this mail is not wanted, now or later */
    TRAVEL_SMTP_HARD                /* the address takes no mail at all */
} travel_smtp_bounce_e;

/* One line: "550 5.1.1 ...", "250-...", "421 ...".  TRAVEL_INVALID: it does
 * not begin with a code from 200 to 599 and a blank, a hyphen or the end. */
int travel_smtp_reply_parse(travel_smtp_reply_t *ret_reply, travel_str_t line)
    TRAVEL_MUST_CHECK;

/* A 5xx to the session is a matter of our configuration, that somebody will
 * mend: soft. */
travel_smtp_bounce_e travel_smtp_judge(const travel_smtp_reply_t *reply,
    travel_smtp_stage_e stage);

/* "accepted", "soft", "refused", "hard". */
const char *travel_smtp_bounce_name(travel_smtp_bounce_e bounce);

#endif
