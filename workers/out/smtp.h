/*
 * Outgoing mail over SMTP, by the process's I/O thread (io.h): sessions are
 * kept and used again, as many at once as 'concurrency' of the section smtp
 * says; one breaker for the server.
 */

#ifndef WORKER_SMTP_H
#define WORKER_SMTP_H

#include "../../common/smtp_reply.h"
#include "../../common/traceparent.h"
#include "ask.h"

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

/*
 * Many mails at once, each with its answer; both arrays, and the texts of the
 * mails, must stay until it is over.  A mail waits for its turn for
 * 'patience_ms' at most, answer included (0: the section's time-out), and from
 * then on for the section's time-out.  What is not over is given up within a
 * second when *cancel (may be NULL) becomes true.  NULL: out of memory.
 */
worker_ask_t *worker_smtp_ask(const worker_mail_t *mails,
    worker_mail_answer_t *ret_answers, size_t n, long patience_ms,
    const _Atomic bool *cancel);

#endif
