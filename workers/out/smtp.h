/* Outgoing mail over SMTP (libcurl), one message a call, from a slot. */

#ifndef WORKER_SMTP_H
#define WORKER_SMTP_H

#include "../../common/traceparent.h"
#include "../pool/conf.h"

typedef struct {
    const char            *to;
    const char            *subject;
    const char            *message_id;     /* without <>; stable per job */
    const char            *text;
    const char            *html;           /* or NULL */
    const travel_trace_t  *trace;          /* parent span */
} worker_mail_t;

/* TRAVEL_OK accepted; TRAVEL_REFUSED a permanent 5xx; TRAVEL_ERROR try again;
 * 'why' gets one line in the last two. */
int worker_smtp_send(const worker_conf_t *conf, const worker_mail_t *mail,
    char why[160]) TRAVEL_MUST_CHECK;

#endif
