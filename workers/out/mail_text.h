/* A mail as it goes over the wire (RFC 5322, RFC 2045, RFC 2047). */

#ifndef WORKER_MAIL_TEXT_H
#define WORKER_MAIL_TEXT_H

#include "smtp.h"

/*
 * Headers and body: ASCII, CRLF, no line over 78 but for headers, none that
 * begins with a dot, and one at the end; *ret_text is the caller's (free).
 * trace: the mail's own span, for a header, or NULL.  TRAVEL_INVALID: a header
 * would have a line break in it; TRAVEL_ERROR: out of memory.
 */
int worker_mail_text(char **ret_text, size_t *ret_len, const char *from,
    const worker_mail_t *mail, const travel_trace_t *trace) TRAVEL_MUST_CHECK;

#endif
