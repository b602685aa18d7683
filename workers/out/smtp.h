/*
 * Outgoing mail over SMTP, by the process's I/O thread (io.h): sessions are
 * kept and used again, as many at once as 'concurrency' of the section smtp
 * says; one breaker for the server.
 */

#ifndef WORKER_SMTP_H
#define WORKER_SMTP_H

#include "../../common/smtp_reply.h"
#include "../../common/traceparent.h"
#include "io.h"

typedef struct {
    const char            *to;
    const char            *subject;
    const char            *message_id;     /* without <>; stable per job */
    const char            *text;
    const char            *html;           /* or NULL */
    const travel_trace_t  *trace;          /* parent span, or NULL */
} worker_mail_t;

typedef struct {
    travel_smtp_bounce_e  bounce;          /* SOFT when nobody answered, too */
    unsigned              status;          /* of the reply; 0: none */
    long                  retry_after_ms;  /* the breaker's; 0: none */
    char                  why[160];        /* one line, unless ACCEPTED */
} worker_mail_answer_t;

/* Any thread; blocks until the last of them has its answer. */
void worker_smtp_send(worker_io_t *io, const worker_mail_t *mails,
    worker_mail_answer_t *ret_answers, size_t n);

#endif
