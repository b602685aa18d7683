/*
 * The answer to an HTTP/1.1 request of ours (RFC 9112), out of a buffer that
 * its bytes were collected in.  For small documents: the body is wanted whole.
 */

#ifndef TRAVEL_HTTP_ANSWER_H
#define TRAVEL_HTTP_ANSWER_H

#include "travel.h"

#define TRAVEL_HTTP_HEAD_MAX  16384     /* bytes before the body, 1xx too */

/* Texts point into the buffer; a header that is not there has no data. */
typedef struct {
    unsigned      status;
    travel_str_t  body;
    travel_str_t  etag;
    travel_str_t  last_modified;
    travel_str_t  location;
    travel_str_t  cache_control;
    travel_str_t  age;
    travel_str_t  coding;           /* Content-Encoding */
} travel_http_answer_t;

/*
 * 'text' holds what has come so far; 'closed': nothing more will.  The answer
 * to a GET: interim answers (1xx) are passed over, the body ends as
 * Content-Length, the last chunk or the end of the connection say.
 *
 * TRAVEL_OK; TRAVEL_UNKNOWN: there is more to come; TRAVEL_INVALID with
 * *ret_why a static sentence.  With TRAVEL_OK a chunked body has been joined
 * in place, so it is asked no more after that.
 */
int travel_http_answer(travel_http_answer_t *ret_answer, char *text, size_t len,
    bool closed, const char **ret_why) TRAVEL_MUST_CHECK;

/*
 * For how many seconds the answer may be taken as fresh (RFC 9111 section
 * 4.2), as a private cache sees it: max-age less Age, 0 for no-store and
 * no-cache, -1 when it does not say.
 */
int64_t travel_http_freshness(const travel_http_answer_t *answer);

#endif
